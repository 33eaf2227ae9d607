//! The service under measurement, with private stores of its own.

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::Request;

use crate::connection::Connection;
use crate::error::BenchError;
use crate::process::{Program, descendants_named};
use crate::stores::Stores;

/// Writers of the service, and connections of the bare inserts.
pub const WRITERS: usize = 2;
/// Name of the process that is the ClickHouse engine, as far as the kernel keeps it.
const ENGINE_PROCESS: &str = "clickhouse";
const STORE_PATIENCE: Duration = Duration::from_secs(300);
const STORE_POLL: Duration = Duration::from_millis(100);

pub struct Service {
    program: Program,
    ops: Connection,
    pub engine_pids: Vec<u32>,
}

/// What the service has counted since it was started.
#[derive(Clone, Copy, Debug)]
pub struct Counts {
    pub stored_events: f64,
    pub inserts: f64,
}

impl Service {
    /// Starts it with private stores. `settings` go to its environment (`SPOOL_FSYNC`, …); `log` is emptied first.
    ///
    /// # Errors
    /// When it does not listen, or runs no engine.
    pub async fn start(
        program: &Path,
        data_dir: &Path,
        log: &Path,
        settings: &[(&str, &str)],
    ) -> Result<Self, BenchError> {
        let mut command = serve(program, data_dir, settings);
        command.arg("--embedded");
        empty(log)?;
        let program = Program::run(command, log).await?;
        let engine_pids = descendants_named(program.pid, ENGINE_PROCESS)?;
        if engine_pids.is_empty() {
            return Err(BenchError::NoEngineProcess);
        }
        let ops = Connection::open(program.address).await?;
        Ok(Self { program, ops, engine_pids })
    }

    /// Starts it next to stores that run already, so that it can be started and stopped while they stay.
    ///
    /// # Errors
    /// When it does not listen.
    pub async fn start_on(
        stores: &Stores,
        program: &Path,
        data_dir: &Path,
        log: &Path,
        settings: &[(&str, &str)],
    ) -> Result<Self, BenchError> {
        let mut command = serve(program, data_dir, settings);
        stores.tell(&mut command);
        Self::of_command(stores, command, log).await
    }

    /// As [`start_on`](Self::start_on), with a command that was made by [`serve`].
    pub(crate) async fn of_command(
        stores: &Stores,
        command: tokio::process::Command,
        log: &Path,
    ) -> Result<Self, BenchError> {
        empty(log)?;
        let program = Program::run(command, log).await?;
        let ops = Connection::open(program.address).await?;
        Ok(Self { program, ops, engine_pids: stores.engine_pids() })
    }

    pub fn pid(&self) -> u32 {
        self.program.pid
    }

    pub fn address(&self) -> SocketAddr {
        self.program.address
    }

    /// Makes a game server and returns its token.
    pub fn add_server(program: &Path, data_dir: &Path, name: &str) -> Result<String, BenchError> {
        let output = Command::new(program)
            .args(["server", "add", "--name", name, "--data-dir"])
            .arg(data_dir)
            .output()
            .map_err(|source| BenchError::Run { program: program.to_owned(), source })?;
        let added: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        match added["token"].as_str() {
            Some(token) => Ok(token.to_owned()),
            None => {
                let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                Err(BenchError::NoServer { program: program.to_owned(), message })
            }
        }
    }

    async fn metrics(&mut self) -> Result<String, BenchError> {
        let answer = match self.ops.send(Request::get("/metrics"), Bytes::new()).await {
            Ok(answer) => answer,
            // The service closes a connection on which nothing was asked for ten seconds; servers took longer to be made.
            Err(_) => {
                self.ops = Connection::open(self.program.address).await?;
                self.ops.send(Request::get("/metrics"), Bytes::new()).await?
            }
        };
        Ok(String::from_utf8_lossy(&answer.success()?).into_owned())
    }

    pub async fn counts(&mut self) -> Result<Counts, BenchError> {
        let text = self.metrics().await?;
        let value = |metric| sample(&text, metric).ok_or(BenchError::NoMetric { metric });
        Ok(Counts {
            stored_events: value("mohaa_events_processed_total")?,
            inserts: value("mohaa_batch_insert_duration_seconds_count")?,
        })
    }

    /// Waits until so many events are stored.
    pub async fn wait_until_stored(&mut self, events: f64) -> Result<Counts, BenchError> {
        let began = Instant::now();
        loop {
            let counts = self.counts().await?;
            if counts.stored_events >= events {
                return Ok(counts);
            }
            if began.elapsed() > STORE_PATIENCE {
                return Err(BenchError::NotStored {
                    stored: counts.stored_events,
                    accepted: events,
                    seconds: STORE_PATIENCE.as_secs(),
                });
            }
            tokio::time::sleep(STORE_POLL).await;
        }
    }

    /// The value of a metric, the sum over all its labels.
    ///
    /// # Errors
    /// When the service does not say it.
    pub async fn metric(&mut self, metric: &'static str) -> Result<f64, BenchError> {
        sample(&self.metrics().await?, metric).ok_or(BenchError::NoMetric { metric })
    }

    pub async fn stop(self) {
        self.program.stop().await;
    }
}

/// The command that serves on a free port, with defaults but for what is said.
pub(crate) fn serve(program: &Path, data_dir: &Path, settings: &[(&str, &str)]) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(program);
    command.arg("serve").arg("--data-dir").arg(data_dir).args(["--listen", "127.0.0.1:0"]);
    command.args(["--worker-count", &WRITERS.to_string()]).envs(settings.iter().copied());
    command
}

/// The same command, held to the first cores of the machine.
pub(crate) fn on_cores(command: &tokio::process::Command, cores: usize) -> tokio::process::Command {
    let command = command.as_std();
    let mut held = tokio::process::Command::new("taskset");
    held.args(["--cpu-list", &format!("0-{}", cores.saturating_sub(1))]);
    held.arg(command.get_program()).args(command.get_args());
    held.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    held
}

fn empty(log: &Path) -> Result<(), BenchError> {
    File::create(log).map_err(|source| BenchError::File { path: log.to_owned(), source })?;
    Ok(())
}

/// The sum of a metric's samples over all its labels.
fn sample(text: &str, metric: &str) -> Option<f64> {
    text.lines()
        .filter_map(|line| {
            let rest = line.strip_prefix(metric)?;
            if !rest.starts_with(['{', ' ']) {
                return None;
            }
            rest.rsplit(' ').next()?.parse::<f64>().ok()
        })
        .reduce(|sum, value| sum + value)
}
