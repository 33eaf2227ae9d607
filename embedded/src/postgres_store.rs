//! PostgreSQL, which refuses to run as root: then it runs as `postgres` or `nobody`, and its files must
//! be where that user can reach them.
//!
//! When a parent of the data directory is closed to that user (a root's home is), the cluster is put
//! under `/var/tmp`, in a folder named after the data directory, and the file `postgres.location` in the
//! data directory says where. Emptying `/var/tmp` then loses it; a data directory elsewhere avoids that.

use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use sha2::{Digest as _, Sha256};
use sqlx::{Connection as _, PgConnection};

use crate::kept::Kept;
use crate::spawn::User;
use crate::supervise::{Plan, Supervised};
use crate::{Error, NAME, StoreKind, found, spawn, wait_ready, write_private};

const LOCATION_FILE: &str = "postgres.location";
const ELSEWHERE: &str = "/var/tmp";
/// The kernel's limit for a socket's path is 107 bytes; `/.s.PGSQL.65535` takes 15.
const LONGEST_SOCKET_FOLDER: usize = 92;
/// How folders of clusters begin that `initdb` has not finished.
const UNFINISHED: &str = "data.new";
const ANSWER_PATIENCE: Duration = Duration::from_secs(2);
/// `max_connections`: pools of many tests share one server.
const MAX_CONNECTIONS: u32 = 300;

pub struct PostgresStore {
    pub supervised: Supervised,
    port: u16,
    password: String,
}

impl PostgresStore {
    pub async fn start(data_dir: &Path, kept: &Kept) -> Result<Self, Error> {
        let prepare = {
            let (data_dir, kept) = (data_dir.to_owned(), kept.clone());
            tokio::task::spawn_blocking(move || Cluster::prepare(&data_dir, &kept))
        };
        let cluster = prepare.await.map_err(|error| Error::Prepare {
            store: StoreKind::Postgres.name(),
            message: error.to_string(),
        })??;
        let port = kept.postgres_port;
        let supervised = Supervised::start(Plan {
            store: StoreKind::Postgres,
            data_dir: data_dir.to_owned(),
            // Fast shutdown: sessions are ended, a checkpoint is written.
            stop_signal: Signal::INT,
            command: Box::new(move || cluster.command(port)),
        })?;
        let store = PostgresStore { supervised, port, password: kept.postgres_password.clone() };
        wait_ready(&store.supervised, || store.answers_on("postgres")).await?;
        store.create_database(NAME, None).await?;
        Ok(store)
    }

    pub fn url(&self) -> String {
        self.url_of(NAME)
    }

    pub fn url_of(&self, database: &str) -> String {
        format!("postgres://{NAME}:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    pub async fn answers(&self) -> bool {
        self.answers_on(NAME).await
    }

    async fn answers_on(&self, database: &str) -> bool {
        let ask = async {
            let mut connection = PgConnection::connect(&self.url_of(database)).await?;
            sqlx::query("SELECT 1").execute(&mut connection).await?;
            connection.close().await
        };
        matches!(tokio::time::timeout(ANSWER_PATIENCE, ask).await, Ok(Ok(())))
    }

    /// Makes a database unless it exists, like `template` when one is named, to which nobody may be connected then. The names are ours,
    /// of letters, digits and underscores.
    pub async fn create_database(&self, name: &str, template: Option<&str>) -> Result<(), Error> {
        let create = async {
            let mut connection = PgConnection::connect(&self.url_of("postgres")).await?;
            let exists = sqlx::query("SELECT 1 FROM pg_database WHERE datname = $1")
                .bind(name)
                .fetch_optional(&mut connection)
                .await?
                .is_some();
            if !exists {
                let template = template.map_or_else(String::new, |name| format!(" TEMPLATE \"{name}\""));
                let sql = format!("CREATE DATABASE \"{name}\"{template}");
                sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await?;
            }
            connection.close().await
        };
        create.await.map_err(|error: sqlx::Error| Error::Prepare {
            store: StoreKind::Postgres.name(),
            message: error.to_string(),
        })
    }
}

/// Where the cluster of this data directory is, when it isn't inside.
pub fn location_elsewhere(data_dir: &Path) -> Option<PathBuf> {
    let text = std::fs::read_to_string(data_dir.join(LOCATION_FILE)).ok()?;
    Some(PathBuf::from(text.trim()))
}

struct Cluster {
    programs: PathBuf,
    files: PathBuf,
    sockets: PathBuf,
    user: Option<User>,
}

impl Cluster {
    /// Finds or builds the cluster. Blocks, at the first time for about a second.
    fn prepare(data_dir: &Path, kept: &Kept) -> Result<Self, Error> {
        let user = user_to_run_as()?;
        let base = base_folder(data_dir, user)?;
        make_owned(&base, user, 0o700)?;
        let files = base.join("data");
        let version_file = files.join("PG_VERSION");
        let version = std::fs::read_to_string(&version_file).ok().map(|text| text.trim().to_owned());
        let programs = match (found::postgres_programs(version.as_deref()), version) {
            (Some(programs), _) => programs,
            (None, Some(found)) => return Err(Error::PostgresVersion { path: files, found }),
            (None, None) => return Err(Error::NotInstalled { program: "postgres" }),
        };
        let sockets = socket_folder(&base);
        make_owned(&sockets, user, 0o700)?;
        let cluster = Cluster { programs, files, sockets, user };
        if !version_file.exists() {
            cluster.build(&base, kept)?;
        }
        Ok(cluster)
    }

    /// `initdb` into a temporary folder, then a rename: a cluster is complete or absent.
    fn build(&self, base: &Path, kept: &Kept) -> Result<(), Error> {
        // Of this process alone: the `initdb` of one that was ended a moment ago may still be tidying up its own.
        let unfinished = base.join(format!("{UNFINISHED}{}", std::process::id()));
        remove_unfinished(base);
        let password_file = base.join("password");
        write_private(&password_file, &kept.postgres_password)?;
        if let Some(user) = self.user {
            chown(&password_file, Some(user.uid), Some(user.gid))
                .map_err(Error::file("give away", &password_file))?;
        }
        let program = self.programs.join("initdb");
        let mut command = spawn::command(&program, Signal::TERM, self.user)?;
        command.arg("--pgdata").arg(&unfinished).arg("--pwfile").arg(&password_file);
        command.args(["--username", NAME, "--encoding=UTF8", "--locale=C", "--auth=scram-sha-256"]);
        command.current_dir(base).env("LC_ALL", "C").stdin(std::process::Stdio::null());
        let output = command.output();
        let _ = std::fs::remove_file(&password_file);
        let name = program.display().to_string();
        let output = output.map_err(|source| Error::Run { program: name.clone(), source })?;
        if !output.status.success() {
            return Err(Error::Failed {
                program: name,
                status: output.status.to_string(),
                output: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            });
        }
        std::fs::rename(&unfinished, &self.files).map_err(Error::file("rename", &unfinished))
    }

    fn command(&self, port: u16) -> Result<Command, Error> {
        let mut command = spawn::command(&self.programs.join("postgres"), Signal::INT, self.user)?;
        command.arg("-D").arg(&self.files).current_dir(&self.files).env("LC_ALL", "C");
        for setting in [
            "listen_addresses=127.0.0.1".to_owned(),
            format!("port={port}"),
            format!("unix_socket_directories={}", self.sockets.display()),
            format!("max_connections={MAX_CONNECTIONS}"),
            "shared_buffers=32MB".to_owned(),
            "max_wal_size=256MB".to_owned(),
            "fsync=on".to_owned(),
            "log_min_messages=warning".to_owned(),
        ] {
            command.arg("-c").arg(setting);
        }
        Ok(command)
    }
}

pub fn user_to_run_as() -> Result<Option<User>, Error> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let path = Path::new("/etc/passwd");
    let accounts = std::fs::read_to_string(path).map_err(Error::file("read", path))?;
    let find = |name: &str| {
        accounts.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let matches = fields.len() > 3 && fields[0] == name;
            matches.then(|| Some(User { uid: fields[2].parse().ok()?, gid: fields[3].parse().ok()? }))?
        })
    };
    find("postgres").or_else(|| find("nobody")).map(Some).ok_or(Error::NoUserForPostgres)
}

fn base_folder(data_dir: &Path, user: Option<User>) -> Result<PathBuf, Error> {
    if let Some(elsewhere) = location_elsewhere(data_dir) {
        return Ok(elsewhere);
    }
    let inside = data_dir.join("postgres");
    let reachable = user.is_none_or(|user| data_dir.ancestors().all(|folder| may_enter(folder, user)));
    if reachable || inside.exists() {
        return Ok(inside);
    }
    let hash = Sha256::digest(data_dir.as_os_str().as_encoded_bytes());
    let name: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let elsewhere = Path::new(ELSEWHERE).join(format!("mohaa-stats-postgres-{name}"));
    tracing::warn!(
        files = %elsewhere.display(),
        "PostgreSQL can't run as root, and its user can't reach the data directory: its files are kept elsewhere"
    );
    write_private(&data_dir.join(LOCATION_FILE), &format!("{}\n", elsewhere.display()))?;
    Ok(elsewhere)
}

fn may_enter(folder: &Path, user: User) -> bool {
    let Ok(metadata) = std::fs::metadata(folder) else {
        return false;
    };
    let mode = metadata.permissions().mode();
    let bit = if metadata.uid() == user.uid {
        0o100
    } else if metadata.gid() == user.gid {
        0o010
    } else {
        0o001
    };
    mode & bit != 0
}

/// Beside the cluster, or in the temporary folder when that path is too long for a socket.
fn socket_folder(base: &Path) -> PathBuf {
    let beside = base.join("socket");
    if beside.as_os_str().len() <= LONGEST_SOCKET_FOLDER {
        return beside;
    }
    let hash = Sha256::digest(base.as_os_str().as_encoded_bytes());
    let name: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Path::new("/tmp").join(format!("mohaa-stats-socket-{name}"))
}

/// Makes a folder for that user alone. In a folder that everyone may write to, someone else could
/// have made it first: then it must be a real folder of that user.
fn make_owned(folder: &Path, user: Option<User>, mode: u32) -> Result<(), Error> {
    match DirBuilder::new().mode(mode).create(folder) {
        Ok(()) => {
            if let Some(user) = user {
                chown(folder, Some(user.uid), Some(user.gid)).map_err(Error::file("give away", folder))?;
            }
            return Ok(());
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(source) => return Err(Error::File { action: "make", path: folder.to_owned(), source }),
    }
    let metadata = std::fs::symlink_metadata(folder).map_err(Error::file("look at", folder))?;
    let owner = user.map_or_else(|| rustix::process::geteuid().as_raw(), |user| user.uid);
    if metadata.is_dir() && metadata.uid() == owner {
        return Ok(());
    }
    Err(Error::File {
        action: "use",
        path: folder.to_owned(),
        source: std::io::Error::other("it belongs to another user"),
    })
}

/// Removes what earlier processes began, as far as nobody else is removing it at this moment: what stays costs room until
/// the next try.
fn remove_unfinished(base: &Path) {
    for entry in std::fs::read_dir(base).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
