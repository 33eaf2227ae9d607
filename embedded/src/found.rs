//! Where the stores' programs are: installed, or in the cache that `make setup` fills.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Error;

/// Pinned with its checksums in `ops/setup.sh`.
const ENGINE_FOLDER: &str = "clickhouse-engine-26.7.3-stable.1";
/// Older servers lack settings and behaviour that the service relies on.
const OLDEST_CLICKHOUSE: u32 = 25;

/// The first executable of this name on PATH.
pub fn on_path(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(name))
        .find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// The folder shared by all checkouts of a user.
pub fn cache() -> PathBuf {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(folder) = variable("MOHAA_ENGINE_CACHE") {
        return folder;
    }
    let base = variable("XDG_CACHE_HOME")
        .unwrap_or_else(|| variable("HOME").unwrap_or_else(|| PathBuf::from("/")).join(".cache"));
    base.join("mohaa-stats")
}

/// A program somewhere in a package that set-up unpacked into the cache: their layouts differ.
fn unpacked(package: &str, names: &[&str]) -> Option<PathBuf> {
    let mut folders = vec![cache().join(package)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder {
                folders.push(path);
            } else if is_executable(&path) && names.iter().any(|name| path.ends_with(name)) {
                return Some(path);
            }
        }
    }
    None
}

/// The folder with `initdb` and `postgres`; of the given major version if a cluster needs it.
pub fn postgres_programs(version: Option<&str>) -> Option<PathBuf> {
    let mut folders: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            Some((path.file_name()?.to_str()?.parse().ok()?, path.join("bin")))
        })
        .collect();
    folders.sort();
    let installed = folders.into_iter().rev().map(|(_, folder)| folder);
    let on_path = on_path("postgres")
        .and_then(|program| program.canonicalize().ok())
        .and_then(|program| program.parent().map(Path::to_owned));
    let cached = unpacked("postgres", &["initdb"]).and_then(|program| program.parent().map(Path::to_owned));
    installed
        .chain(on_path)
        .chain(cached)
        .filter(|folder| is_executable(&folder.join("initdb")) && is_executable(&folder.join("postgres")))
        .find(|folder| version.is_none_or(|version| major_version(folder).as_deref() == Some(version)))
}

fn major_version(folder: &Path) -> Option<String> {
    // `postgres (PostgreSQL) 15.13 (Debian …)`
    let output = Command::new(folder.join("postgres")).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    Some(version.split('.').next()?.to_owned())
}

pub fn redis_server() -> Result<PathBuf, Error> {
    on_path("redis-server")
        .or_else(|| on_path("valkey-server"))
        .or_else(|| unpacked("valkey", &["valkey-server", "redis-server"]))
        .ok_or(Error::NotInstalled { program: "redis-server" })
}

/// A server's own binary, when it is recent enough.
pub fn clickhouse_server() -> Option<PathBuf> {
    let program = on_path("clickhouse")?;
    // `ClickHouse local version 25.8.1.1 (official build).`
    let output = Command::new(&program).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    let major: u32 = version.split('.').next()?.parse().ok()?;
    (major >= OLDEST_CLICKHOUSE).then_some(program)
}

pub fn engine_library() -> Result<PathBuf, Error> {
    let path = cache().join(ENGINE_FOLDER).join("libchdb.so");
    if path.is_file() { Ok(path) } else { Err(Error::NoEngine(path)) }
}

/// `clickhouse-engine`: as the environment says, beside this program (tests run one folder deeper),
/// or on PATH.
pub fn gateway() -> Result<PathBuf, Error> {
    const NAME: &str = "clickhouse-engine";
    if let Some(path) = std::env::var_os("MOHAA_CLICKHOUSE_ENGINE").map(PathBuf::from) {
        return if is_executable(&path) { Ok(path) } else { Err(Error::NoGateway) };
    }
    let here = std::env::current_exe().ok();
    here.iter()
        .flat_map(|program| program.ancestors().skip(1).take(2))
        .map(|folder| folder.join(NAME))
        .find(|path| is_executable(path))
        .or_else(|| on_path(NAME))
        .ok_or(Error::NoGateway)
}
