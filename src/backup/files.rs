//! The folder of a backup, and the files of the data directory in it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::manifest::{FORMAT, SavedFile};
use super::{BackupError, MANIFEST, Manifest, Result};

/// Of the data directory besides the spool; what is not there is not saved. The key that signs tokens is here where the service
/// made it itself.
const KEPT_FILES: [&str; 2] = ["jwt_secret", "server-tokens.json"];
const SPOOL: &str = "spool";
/// Fast, and the files are a third of what they were.
const COMPRESSION_LEVEL: i32 = 3;
const CHUNK_BYTES: usize = 1 << 20;

fn in_file(path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    move |source| BackupError::File { path: path.to_owned(), source }
}

/// The folder, closed to everybody but its owner: it holds what identifies people, and keys.
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    pub fn make(path: &Path) -> Result<Self> {
        if path.exists() {
            check_is_empty(path)?;
        }
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(in_file(path))?;
        Ok(Self { path: path.to_owned() })
    }

    /// A backup of which every file is as it was written.
    pub fn open(path: &Path) -> Result<(Self, Manifest)> {
        let no_backup = |reason: String| BackupError::NoBackup { path: path.to_owned(), reason };
        let text =
            fs::read(path.join(MANIFEST)).map_err(|error| no_backup(format!("{MANIFEST}: {error}")))?;
        let manifest: Manifest =
            serde_json::from_slice(&text).map_err(|error| no_backup(error.to_string()))?;
        if manifest.format != FORMAT {
            return Err(no_backup(format!("its format is {}, not {FORMAT}", manifest.format)));
        }
        let folder = Self { path: path.to_owned() };
        for file in manifest.all_files() {
            if !is_below(&file.path) {
                return Err(no_backup(format!("{} is outside of it", file.path)));
            }
            folder.check(file)?;
        }
        let is_ours = |path: &str| KEPT_FILES.contains(&path) || spool_file(path).is_some();
        if let Some(file) = manifest.files.iter().find(|file| !is_ours(&file.path)) {
            return Err(no_backup(format!("{} is no file of a data directory", file.path)));
        }
        Ok((folder, manifest))
    }

    fn check(&self, saved: &SavedFile) -> Result<()> {
        let path = self.path.join(&saved.path);
        let mut hashing = Hashing::new(io::sink());
        io::copy(&mut File::open(&path).map_err(in_file(&path))?, &mut hashing).map_err(in_file(&path))?;
        match hashing.end(saved.path.clone()) == *saved {
            true => Ok(()),
            false => Err(BackupError::Damaged { path: saved.path.clone() }),
        }
    }

    pub fn write_manifest(&self, manifest: &Manifest) -> Result<()> {
        let text = serde_json::to_vec_pretty(manifest)?;
        let path = self.path.join(MANIFEST);
        crate::config::kept::write_private_file(&path, &text).map_err(in_file(&path))
    }

    /// A file for a table's rows, to be written from its beginning to its end.
    pub fn compressed(&self, name: String) -> Result<CompressedFile> {
        let path = self.path.join(&name);
        let file = self.create(&path)?;
        let encoder = zstd::stream::write::Encoder::new(Hashing::new(file), COMPRESSION_LEVEL)
            .map_err(in_file(&path))?;
        Ok(CompressedFile { name, path, encoder })
    }

    fn create(&self, path: &Path) -> Result<File> {
        if let Some(parent) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(in_file(parent))?;
        }
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)
            .map_err(in_file(path))
    }

    /// What was written so, in pieces.
    pub fn decompressed(&self, file: &SavedFile) -> Result<Pieces> {
        let path = self.path.join(&file.path);
        let file = File::open(&path).map_err(in_file(&path))?;
        let decoder = zstd::stream::read::Decoder::new(file).map_err(in_file(&path))?;
        Ok(Pieces { path, decoder })
    }

    /// Copies the spool, which may be written to meanwhile, and what else is kept.
    ///
    /// Segments go first, the oldest before the others: one that vanishes was stored as a whole, and what the other files say is never
    /// older than the records. A segment that begins later holds events that came later.
    pub fn save_data_dir(&self, spool: &Path, data_dir: &Path) -> Result<Vec<SavedFile>> {
        let saved = self.path.join(SPOOL);
        if saved.exists() {
            fs::remove_dir_all(&saved).map_err(in_file(&saved))?;
        }
        let mut files = Vec::new();
        let mut names = files_below(spool).map_err(in_file(spool))?;
        names.sort_by_key(|name| (!name.starts_with("segment-"), name.clone()));
        for name in names.into_iter().filter(|name| name != "lock" && !name.ends_with(".unfinished")) {
            files.extend(self.save_file(&spool.join(&name), format!("{SPOOL}/{name}"))?);
        }
        for name in KEPT_FILES {
            files.extend(self.save_file(&data_dir.join(name), name.to_owned())?);
        }
        Ok(files)
    }

    /// Copies what there is of a file now; none where it has gone.
    fn save_file(&self, from: &Path, name: String) -> Result<Option<SavedFile>> {
        let mut source = match File::open(from) {
            Ok(source) => source,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(in_file(from)(error)),
        };
        let path = self.path.join(&name);
        let mut target = Hashing::new(self.create(&path)?);
        io::copy(&mut source, &mut target).map_err(in_file(&path))?;
        target.inner.sync_all().map_err(in_file(&path))?;
        Ok(Some(target.end(name)))
    }

    /// Puts the files where a service finds them at its next start. The spool is there as a whole, or not at all.
    pub fn restore_data_dir(&self, files: &[SavedFile], spool: &Path, data_dir: &Path) -> Result<()> {
        let mut beside = spool.as_os_str().to_owned();
        beside.push(".restored");
        let beside = PathBuf::from(beside);
        if beside.exists() {
            fs::remove_dir_all(&beside).map_err(in_file(&beside))?;
        }
        DirBuilder::new().recursive(true).mode(0o755).create(data_dir).map_err(in_file(data_dir))?;
        DirBuilder::new().recursive(true).mode(0o700).create(&beside).map_err(in_file(&beside))?;
        for file in files {
            let target = match spool_file(&file.path) {
                Some(name) => beside.join(name),
                None => data_dir.join(&file.path),
            };
            let source = self.path.join(&file.path);
            let mut written = self.create(&target)?;
            io::copy(&mut File::open(&source).map_err(in_file(&source))?, &mut written)
                .map_err(in_file(&target))?;
            written.sync_all().map_err(in_file(&target))?;
        }
        if spool.exists() {
            // Empty but for a lock, as was seen before.
            fs::remove_dir_all(spool).map_err(in_file(spool))?;
        }
        fs::rename(&beside, spool).map_err(in_file(spool))
    }
}

/// Whether a path leads to something below where it begins. The manifest may come from anybody.
fn is_below(path: &str) -> bool {
    path.split('/').all(|part| !matches!(part, "" | "." | "..") && !part.contains(['\\', '\0']))
}

/// The name within the spool, of a file of it.
fn spool_file(path: &str) -> Option<&str> {
    path.strip_prefix(SPOOL)?.strip_prefix('/')
}

/// Whether nothing is in a folder, if there is one, but empty folders and the lock that an ended service leaves.
pub fn check_is_empty(path: &Path) -> Result<()> {
    let files = files_below(path).map_err(in_file(path))?;
    match files.iter().all(|name| name == "lock") {
        true => Ok(()),
        false => Err(BackupError::NotEmpty(path.to_owned())),
    }
}

/// Refuses a folder within another one, whether or not it is there already.
pub fn refuse_within(path: &Path, folder: &Path) -> Result<()> {
    let absolute = |path: &Path| -> Result<PathBuf> {
        let path = std::path::absolute(path).map_err(in_file(path))?;
        // Of what is not there yet, the part that is may lead elsewhere.
        let there = path.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(&path);
        let missing = path.strip_prefix(there).unwrap_or(Path::new(""));
        Ok(there.canonicalize().map_err(in_file(there))?.join(missing))
    };
    match absolute(path)?.starts_with(absolute(folder)?) {
        true => Err(BackupError::WithinSpool(path.to_owned())),
        false => Ok(()),
    }
}

/// Every file, by its path below the folder; none where there is no folder.
fn files_below(folder: &Path) -> io::Result<Vec<String>> {
    let mut files = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(below) = folders.pop() {
        let entries = match fs::read_dir(folder.join(&below)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let name = format!("{below}{}", entry.file_name().to_string_lossy());
            match entry.file_type()?.is_dir() {
                true => folders.push(format!("{name}/")),
                false => files.push(name),
            }
        }
    }
    Ok(files)
}

/// Counts and hashes what passes.
struct Hashing<W> {
    inner: W,
    bytes: u64,
    hash: Sha256,
}

impl<W> Hashing<W> {
    fn new(inner: W) -> Self {
        Self { inner, bytes: 0, hash: Sha256::new() }
    }

    fn end(self, path: String) -> SavedFile {
        let sha256 = self.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        SavedFile { path, bytes: self.bytes, sha256 }
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A file that is being written.
pub struct CompressedFile {
    name: String,
    path: PathBuf,
    encoder: zstd::stream::write::Encoder<'static, Hashing<File>>,
}

impl CompressedFile {
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.encoder.write_all(bytes).map_err(in_file(&self.path))
    }

    pub fn end(self) -> Result<SavedFile> {
        let file = self.encoder.finish().map_err(in_file(&self.path))?;
        file.inner.sync_all().map_err(in_file(&self.path))?;
        Ok(file.end(self.name))
    }
}

/// What a compressed file holds.
pub struct Pieces {
    path: PathBuf,
    decoder: zstd::stream::read::Decoder<'static, BufReader<File>>,
}

impl Pieces {
    /// The next piece; none at the end.
    pub fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let mut piece = Vec::new();
        let mut part = (&mut self.decoder).take(CHUNK_BYTES as u64);
        part.read_to_end(&mut piece).map_err(in_file(&self.path))?;
        Ok((!piece.is_empty()).then_some(piece))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_table_comes_back_as_it_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::make(&directory.path().join("backup")).unwrap();
        let mut file = folder.compressed("postgres/users.copy.zst".to_owned()).unwrap();
        let line = b"1\tAnna\n".repeat(400_000);
        file.write(&line).unwrap();
        let saved = file.end().unwrap();
        folder.check(&saved).unwrap();
        let mut pieces = folder.decompressed(&saved).unwrap();
        let mut read = Vec::new();
        while let Some(piece) = pieces.next().unwrap() {
            assert!(piece.len() <= CHUNK_BYTES);
            read.extend(piece);
        }
        assert!(read == line);
    }

    #[test]
    fn a_spool_is_copied_without_its_lock_and_put_back_whole() {
        let directory = tempfile::tempdir().unwrap();
        let (data, spool) = (directory.path().join("data"), directory.path().join("data/spool"));
        fs::create_dir_all(spool.join("held")).unwrap();
        for name in ["lock", "identity", "segment-2-9", "segment-1-1", "held/a.request", "x.unfinished"] {
            fs::write(spool.join(name), name).unwrap();
        }
        fs::write(data.join("jwt_secret"), "key").unwrap();
        let folder = Folder::make(&directory.path().join("backup")).unwrap();
        let files = folder.save_data_dir(&spool, &data).unwrap();
        let names: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        let expected = [
            "spool/segment-1-1",
            "spool/segment-2-9",
            "spool/held/a.request",
            "spool/identity",
            "jwt_secret",
        ];
        assert_eq!(names, expected);
        assert!(matches!(check_is_empty(&spool), Err(BackupError::NotEmpty(_))));

        fs::remove_dir_all(&data).unwrap();
        check_is_empty(&spool).unwrap();
        folder.restore_data_dir(&files, &spool, &data).unwrap();
        assert_eq!(fs::read_to_string(spool.join("held/a.request")).unwrap(), "held/a.request");
        assert_eq!(fs::read_to_string(data.join("jwt_secret")).unwrap(), "key");
        assert!(!spool.join("lock").exists());
    }

    #[test]
    fn a_file_that_was_changed_is_noticed_and_so_is_one_that_leads_elsewhere() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        fs::create_dir_all(data.join("spool")).unwrap();
        fs::write(data.join("spool/identity"), "identity").unwrap();
        let path = directory.path().join("backup");
        let folder = Folder::make(&path).unwrap();
        let files = folder.save_data_dir(&data.join("spool"), &data).unwrap();
        assert!(matches!(Folder::open(&path), Err(BackupError::NoBackup { .. })), "without a manifest");
        let postgres = super::super::manifest::Postgres { version: 1, tables: vec![], sequences: vec![] };
        let clickhouse = super::super::manifest::ClickHouse { version: 1, tables: vec![] };
        let mut manifest = Manifest::new(postgres, clickhouse, files);
        folder.write_manifest(&manifest).unwrap();
        Folder::open(&path).unwrap();
        fs::write(path.join("spool/identity"), "identitx").unwrap();
        assert!(matches!(Folder::open(&path), Err(BackupError::Damaged { .. })));
        let outside = path.join("spool").join(directory.path().strip_prefix("/").unwrap());
        fs::create_dir_all(&outside).unwrap();
        fs::write(outside.join("identity"), "identity").unwrap();
        let absolute = format!("spool/{}/identity", directory.path().display());
        fs::create_dir_all(path.join("postgres")).unwrap();
        fs::write(path.join("spool/identity"), "identity").unwrap();
        fs::write(path.join("postgres/identity"), "identity").unwrap();
        for elsewhere in ["../data/spool/identity", &absolute, "spool/./identity", "postgres/identity"] {
            manifest.files[0].path = elsewhere.to_owned();
            folder.write_manifest(&manifest).unwrap();
            assert!(matches!(Folder::open(&path), Err(BackupError::NoBackup { .. })), "{elsewhere}");
        }
    }
}
