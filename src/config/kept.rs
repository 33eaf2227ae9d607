//! What the service keeps in its data directory for itself and for the commands that run beside it.

use super::{choices::jwt_secret, secret::Secret};
use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

/// Holds the signing key that `serve --embedded` made, readable by its owner only.
const JWT_SECRET_FILE: &str = "jwt_secret";
/// Holds the address at which a running service is reached, which other commands can't know: its PUBLIC_URL, or where it
/// listens, perhaps on a port that it was given.
const SERVICE_URL_FILE: &str = "service.url";

/// The signing key of this data directory, if one was made and still reads as one.
pub fn read_jwt_secret(data_dir: &Path) -> io::Result<Option<Secret>> {
    match fs::read_to_string(data_dir.join(JWT_SECRET_FILE)) {
        Ok(text) => jwt_secret(text.trim()).map(Some).map_err(|problem| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{JWT_SECRET_FILE} of the data directory {problem}"),
            )
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The signing key of this data directory, made if there is none: 256 random bits. Tokens and sessions stay good
/// over restarts because the key does.
pub fn read_or_make_jwt_secret(data_dir: &Path) -> io::Result<Secret> {
    if let Some(secret) = read_jwt_secret(data_dir)? {
        return Ok(secret);
    }
    make_private_dir(data_dir)?;
    let secret = crate::auth::random_code(32);
    write_private_file(&data_dir.join(JWT_SECRET_FILE), secret.as_bytes())?;
    Ok(Secret::new(secret))
}

/// Remembers where the service is reached. It is left behind at the end: a login link stays printable, and the next
/// start overwrites it.
pub fn write_service_url(data_dir: &Path, url: &str) -> io::Result<()> {
    make_private_dir(data_dir)?;
    write_private_file(&data_dir.join(SERVICE_URL_FILE), url.as_bytes())
}

pub fn read_service_url(data_dir: &Path) -> Option<String> {
    let text = fs::read_to_string(data_dir.join(SERVICE_URL_FILE)).ok()?;
    Some(text.trim().to_owned()).filter(|url| !url.is_empty())
}

/// Makes the data directory if there is none, for its owner to enter and everybody to pass through: the private
/// PostgreSQL runs as another user below it, and every secret file in it has a mode of its own.
fn make_private_dir(data_dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o755).create(data_dir)
}

/// Replaces a file in one step, with mode 0600: a reader, or a start after a power failure, finds the old content
/// or the new one, never a part.
pub fn write_private_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = directory.join(format!(".{name}.{}", crate::auth::random_code(6)));
    let written = (|| {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        fs::File::open(directory)?.sync_all()
    })();
    if written.is_err() {
        // The first error is the one to tell; a file left beside is only clutter.
        let _ = fs::remove_file(&beside);
    }
    written
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_made_secret_is_kept_and_private() {
        let directory = tempfile::tempdir().unwrap();
        let data_dir = directory.path().join("fresh");
        assert_eq!(read_jwt_secret(&data_dir).unwrap(), None);
        let made = read_or_make_jwt_secret(&data_dir).unwrap();
        assert_eq!(read_or_make_jwt_secret(&data_dir).unwrap(), made);
        let mode = fs::metadata(data_dir.join(JWT_SECRET_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(&data_dir).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn a_truncated_secret_is_refused_rather_than_replaced() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(JWT_SECRET_FILE), "abc").unwrap();
        assert!(read_or_make_jwt_secret(directory.path()).unwrap_err().to_string().contains("too short"));
    }

    #[test]
    fn the_address_of_the_service_is_remembered() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(read_service_url(directory.path()), None);
        write_service_url(directory.path(), "http://127.0.0.1:41234").unwrap();
        assert_eq!(read_service_url(directory.path()).unwrap(), "http://127.0.0.1:41234");
    }
}
