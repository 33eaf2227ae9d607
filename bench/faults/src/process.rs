//! The service as a child process, which can be killed without warning.

use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use mohaa_bench::process::{Program, descendants_named, resident_bytes};
use mohaa_embedded::StoreUrls;
pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};
use tokio::process::Command;

use crate::error::{FaultsError, Result};

/// A first start with private stores builds a PostgreSQL cluster.
const START_PATIENCE: Duration = Duration::from_secs(90);
const STOP_PATIENCE: Duration = Duration::from_secs(60);
/// Of a log, where it is shown.
const SHOWN_LOG_BYTES: usize = 4_000;
/// Name of the process that is the private ClickHouse engine, as far as the kernel keeps it.
const ENGINE_PROCESS: &str = "clickhouse";

/// The same everywhere: it protects nothing.
pub const JWT_SECRET: &str = "5b0f6d1c9e3a4782b6c0d5e4f3a29187";

/// What private stores need to know of the machine: programs, and where the engine is kept.
const KEPT_VARIABLES: [&str; 6] =
    ["PATH", "HOME", "TMPDIR", "XDG_CACHE_HOME", "MOHAA_ENGINE_CACHE", "MOHAA_CLICKHOUSE_ENGINE"];

pub struct ServiceProcess {
    program: Program,
    pub url: String,
    log: PathBuf,
}

impl ServiceProcess {
    /// `serve` on stores that live on when it is killed. `settings` are variables of its environment; those named
    /// later win.
    ///
    /// # Errors
    /// When it does not say that it listens.
    pub async fn start(
        program: &Path,
        data_dir: &Path,
        urls: &StoreUrls,
        settings: &[(&str, &str)],
    ) -> Result<Self> {
        let mut environment = vec![
            ("POSTGRES_URL", urls.postgres_url.as_str()),
            ("REDIS_URL", &urls.redis_url),
            ("CLICKHOUSE_URL", &urls.clickhouse_url),
            ("RATE_LIMITS", "off"),
            ("JWT_SECRET", JWT_SECRET),
        ];
        environment.extend_from_slice(settings);
        Self::spawn(program, data_dir, &["serve"], &environment).await
    }

    /// `serve --embedded`: its stores are its children.
    ///
    /// # Errors
    /// When it does not say that it listens.
    pub async fn start_embedded(program: &Path, data_dir: &Path, settings: &[(&str, &str)]) -> Result<Self> {
        Self::spawn(program, data_dir, &["serve", "--embedded"], settings).await
    }

    async fn spawn(
        program: &Path,
        data_dir: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<Self> {
        let log = data_dir.join("service.log");
        let kept = KEPT_VARIABLES.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(kept)
            .env("LISTEN", "127.0.0.1:0")
            .env("DATA_DIR", data_dir)
            .envs(environment.iter().copied())
            .current_dir(data_dir);
        match tokio::time::timeout(START_PATIENCE, Program::run(command, &log)).await {
            Ok(Ok(program)) => Ok(Self { url: format!("http://{}", program.address), program, log }),
            Ok(Err(mohaa_bench::error::BenchError::NotListening { .. })) | Err(_) => {
                Err(FaultsError::NotStarted { log: tail(&log) })
            }
            Ok(Err(error)) => Err(error.into()),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.program.address
    }

    /// SIGKILL, as the kernel does it when memory runs out; returns when the process is gone.
    ///
    /// # Errors
    /// When it isn't gone in time.
    pub async fn kill(mut self) -> Result<()> {
        self.program.signal(Signal::KILL);
        self.ended_within(STOP_PATIENCE).await.map(drop)
    }

    /// SIGTERM; says how it ended and how long that took.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn terminate(mut self) -> Result<(ExitStatus, Duration)> {
        let asked_at = Instant::now();
        self.signal(Signal::TERM);
        let status = self.ended_within(STOP_PATIENCE).await?;
        Ok((status, asked_at.elapsed()))
    }

    pub fn signal(&self, signal: Signal) {
        self.program.signal(signal);
    }

    /// How it ended by itself.
    ///
    /// # Errors
    /// When it runs on.
    pub async fn ended_within(&mut self, patience: Duration) -> Result<ExitStatus> {
        self.program.ended_within(patience).await.ok_or_else(|| FaultsError::NeverHappened {
            what: "the end of the service".to_owned(),
            seconds: patience.as_secs(),
        })
    }

    /// Bytes of memory it holds.
    ///
    /// # Errors
    /// When it is gone.
    pub fn resident_bytes(&self) -> Result<u64> {
        Ok(resident_bytes(self.program.pid)?)
    }

    /// The process of its private ClickHouse engine; none while that is being restarted.
    ///
    /// # Errors
    /// When the list of processes can't be read.
    pub fn engine_pid(&self) -> Result<Option<u32>> {
        Ok(descendants_named(self.program.pid, ENGINE_PROCESS)?.first().copied())
    }

    /// What it and its predecessors on this data directory wrote to standard error.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn log(&self) -> Result<String> {
        std::fs::read_to_string(&self.log).map_err(FaultsError::file(&self.log))
    }
}

/// SIGKILL to a store; it may be gone already.
pub(crate) fn kill_store(pid: u32) {
    if let Some(pid) = Pid::from_raw(pid.cast_signed()) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// Whether the kernel ended it by SIGKILL.
pub(crate) fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(Signal::KILL.as_raw())
}

fn tail(log: &Path) -> String {
    let text =
        std::fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let from = text.char_indices().rev().nth(SHOWN_LOG_BYTES).map_or(0, |(at, _)| at);
    text[from..].to_owned()
}

/// The service's program beside this one, as `cargo build` leaves it; tests run one folder deeper.
pub fn service_beside_this_program() -> PathBuf {
    let this = std::env::current_exe().unwrap_or_default();
    this.ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("mohaa-stats"))
        .find(|path| path.is_file())
        .unwrap_or_else(|| PathBuf::from("mohaa-stats"))
}
