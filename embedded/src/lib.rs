//! Private PostgreSQL, Redis and ClickHouse for one process: the default for trying, developing and
//! testing.
//!
//! The service always talks to its stores over their own protocols; this crate only decides whose
//! servers these are. [`EmbeddedStores::start`] starts three of them under a data directory, restarts
//! one that dies (its URL stays valid, its data are kept) and stops them. While they run,
//! `DATA_DIR/stores.env` lists their URLs for other tools.
//!
//! Failures this survives: a store killed by any signal comes back by itself; Ctrl-C in the terminal
//! reaches only the service, which then stops the stores in order; when the service is killed, the
//! kernel tells the stores to end (`PR_SET_PDEATHSIG`), and the next start waits for them, then takes
//! their data over. A second start on the same directory is refused while the first one lives.

mod clickhouse_store;
mod found;
mod kept;
mod merges;
mod postgres_store;
mod predecessor;
mod redis_store;
mod spawn;
mod supervise;
pub mod testing;

pub use found::cache as setup_cache;
pub use merges::merge_settings;

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clickhouse_store::ClickHouseStore;
use kept::Kept;
use postgres_store::PostgresStore;
use redis_store::RedisStore;
use supervise::Supervised;

/// The user and database name in every store.
const NAME: &str = "mohaa";
/// A first start builds a PostgreSQL cluster, on a slow disk in seconds.
const READY_PATIENCE: Duration = Duration::from_secs(60);
/// A store that ended so often while starting will not start.
const RESTARTS_UNTIL_GIVEN_UP: u64 = 4;
const READY_POLL: Duration = Duration::from_millis(20);

/// Where the stores are reached. Passwords are in the URLs: never log them.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreUrls {
    /// `postgres://user:password@host:port/database`
    pub postgres_url: String,
    /// `redis://:password@host:port/index`
    pub redis_url: String,
    /// `http://user:password@host:port/database`
    pub clickhouse_url: String,
}

impl std::fmt::Debug for StoreUrls {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("StoreUrls { .. }")
    }
}

/// Which of the stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StoreKind {
    Postgres,
    Redis,
    ClickHouse,
}

impl StoreKind {
    /// Also the name of its log file, pid file and metric label.
    pub fn name(self) -> &'static str {
        match self {
            StoreKind::Postgres => "postgres",
            StoreKind::Redis => "redis",
            StoreKind::ClickHouse => "clickhouse",
        }
    }
}

/// A store's state, for metrics and health checks.
#[derive(Debug, Clone)]
pub struct StoreHealth {
    pub store: StoreKind,
    /// It answered a query just now.
    pub healthy: bool,
    /// Times it was restarted since [`EmbeddedStores::start`].
    pub restarts: u64,
    /// Process id while it runs.
    pub pid: Option<u32>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the data directory {0} is in use by another process")]
    InUse(PathBuf),
    #[error("cannot {action} {path}: {source}")]
    File { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{program} isn't installed; `make setup` gets it")]
    NotInstalled { program: &'static str },
    #[error(
        "the ClickHouse engine is missing ({0} doesn't exist, no clickhouse ≥ 25 on PATH); `make setup` gets it"
    )]
    NoEngine(PathBuf),
    #[error(
        "the gateway program clickhouse-engine is neither beside this program nor on PATH; \
         build it with `cargo build -p mohaa-embedded` or name it in MOHAA_CLICKHOUSE_ENGINE"
    )]
    NoGateway,
    #[error("cannot run {program}: {source}")]
    Run { program: String, source: std::io::Error },
    #[error("{program} failed with {status}: {output}")]
    Failed { program: String, status: String, output: String },
    #[error("no free port found between {0} and {1}")]
    NoPort(u16, u16),
    #[error("{store} doesn't start; the end of {log}:\n{tail}")]
    NotReady { store: &'static str, log: PathBuf, tail: String },
    #[error("{store} refuses its preparation: {message}")]
    Prepare { store: &'static str, message: String },
    #[error("PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody")]
    NoUserForPostgres,
    #[error("{path} belongs to PostgreSQL {found}, which isn't installed")]
    PostgresVersion { path: PathBuf, found: String },
    #[error("process {pid} of an earlier run still uses {path} and can't be ended")]
    Predecessor { pid: u32, path: PathBuf },
}

impl Error {
    fn file(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::File { action, path, source }
    }
}

/// Three running stores. Dropping it stops them too, but blocks while they end.
pub struct EmbeddedStores {
    data_dir: PathBuf,
    urls: StoreUrls,
    postgres: PostgresStore,
    redis: RedisStore,
    clickhouse: ClickHouseStore,
    /// Held as long as the stores run; the kernel releases it whatever ends the process.
    _lock: File,
}

/// A folder that only its owner may look into: names and chat lines are nobody else's business.
fn make_private_folder(folder: &Path) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::create_dir_all(folder).map_err(Error::file("make", folder))?;
    let private = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(folder, private).map_err(Error::file("make private", folder))
}

impl EmbeddedStores {
    /// Starts the stores under `data_dir` (made when missing, mode 0700 for what is secret) and
    /// returns when each of them answers a query. Needs a tokio runtime with I/O and time; the stores
    /// then live on independently of it.
    pub async fn start(data_dir: &Path) -> Result<Self, Error> {
        let started = Instant::now();
        std::fs::create_dir_all(data_dir).map_err(Error::file("make", data_dir))?;
        let data_dir = data_dir.canonicalize().map_err(Error::file("find", data_dir))?;
        let lock = lock_directory(&data_dir)?;
        let logs = data_dir.join("logs");
        make_private_folder(&logs)?;
        let run = data_dir.join("run");
        std::fs::create_dir_all(&run).map_err(Error::file("make", &run))?;

        let mut kept = Kept::read(&data_dir)?;
        // Before ports are chosen: a predecessor may still hold the ones we had.
        predecessor::end_all(&data_dir).await?;
        kept.choose_ports()?;
        kept.write(&data_dir)?;

        let (postgres, redis, clickhouse) = tokio::try_join!(
            PostgresStore::start(&data_dir, &kept),
            RedisStore::start(&data_dir, &kept),
            ClickHouseStore::start(&data_dir, &kept),
        )?;
        let urls = StoreUrls {
            postgres_url: postgres.url(),
            redis_url: redis.url(),
            clickhouse_url: clickhouse.url(),
        };
        write_private(
            &data_dir.join("stores.env"),
            &format!(
                "POSTGRES_URL={}\nREDIS_URL={}\nCLICKHOUSE_URL={}\n",
                urls.postgres_url, urls.redis_url, urls.clickhouse_url
            ),
        )?;
        tracing::info!(
            data_dir = %data_dir.display(),
            elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "the embedded stores are ready"
        );
        Ok(EmbeddedStores { data_dir, urls, postgres, redis, clickhouse, _lock: lock })
    }

    /// Valid until the stores are stopped, over restarts of each of them.
    pub fn urls(&self) -> StoreUrls {
        self.urls.clone()
    }

    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Asks each store a query; takes at most two seconds.
    pub async fn health(&self) -> [StoreHealth; 3] {
        let (postgres, redis, clickhouse) =
            tokio::join!(self.postgres.answers(), self.redis.answers(), self.clickhouse.answers());
        let [mut first, mut second, mut third] = self.restarts();
        first.healthy = postgres;
        second.healthy = redis;
        third.healthy = clickhouse;
        [first, second, third]
    }

    /// Restart counters and process ids without asking the stores; `healthy` is whether they run.
    pub fn restarts(&self) -> [StoreHealth; 3] {
        self.supervised().map(|supervised| StoreHealth {
            store: supervised.store(),
            healthy: supervised.pid().is_some(),
            restarts: supervised.restarts(),
            pid: supervised.pid(),
        })
    }

    fn supervised(&self) -> [&Supervised; 3] {
        [&self.postgres.supervised, &self.redis.supervised, &self.clickhouse.supervised]
    }

    /// Stops the stores cleanly, at most 30 s each, all at once.
    pub async fn stop(self) {
        // Dropping waits for child processes, which must not hold up the runtime.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }
}

impl Drop for EmbeddedStores {
    fn drop(&mut self) {
        for supervised in self.supervised() {
            supervised.ask_to_stop();
        }
        for supervised in self.supervised() {
            supervised.wait_stopped();
        }
        let path = self.data_dir.join("stores.env");
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!(%error, path = %path.display(), "cannot remove the list of store addresses");
        }
        tracing::info!("the embedded stores are stopped");
    }
}

fn lock_directory(data_dir: &Path) -> Result<File, Error> {
    let path = data_dir.join("stores.lock");
    let file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(Error::file("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::InUse(data_dir.to_owned())),
        Err(TryLockError::Error(source)) => Err(Error::File { action: "lock", path, source }),
    }
}

/// Writes a file with mode 0600 in one step: readers see the old or the new one.
fn write_private(path: &Path, content: &str) -> Result<(), Error> {
    let temporary = path.with_extension("new");
    // A leftover of a crash could have other permissions.
    let _ = std::fs::remove_file(&temporary);
    let write = || {
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&temporary)?;
        file.write_all(content.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    write().map_err(Error::file("write", path))
}

/// Waits until `answers` says so; gives up early on a store that keeps ending.
async fn wait_ready<F, Fut>(supervised: &Supervised, mut answers: F) -> Result<(), Error>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    let deadline = Instant::now() + READY_PATIENCE;
    while Instant::now() < deadline && supervised.restarts() < RESTARTS_UNTIL_GIVEN_UP {
        if answers().await {
            return Ok(());
        }
        tokio::time::sleep(READY_POLL).await;
    }
    Err(Error::NotReady {
        store: supervised.store().name(),
        log: supervised.log().to_owned(),
        tail: supervised.log_tail(),
    })
}
