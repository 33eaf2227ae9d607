//! The service under measurement, with private stores of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::Request;

use crate::connection::Connection;
use crate::error::BenchError;
use crate::process::{Program, descendants_named};

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
    pub async fn start(program: &Path, data_dir: &Path, log: &Path) -> Result<Self, BenchError> {
        let (data_dir, writers) = (data_dir.to_string_lossy(), WRITERS.to_string());
        let arguments = [
            "serve",
            "--embedded",
            "--data-dir",
            data_dir.as_ref(),
            "--listen",
            "127.0.0.1:0",
            "--worker-count",
            &writers,
        ];
        let program = Program::start(program, &arguments, log).await?;
        let engine_pids = descendants_named(program.pid, ENGINE_PROCESS)?;
        if engine_pids.is_empty() {
            return Err(BenchError::NoEngineProcess);
        }
        let ops = Connection::open(program.address).await?;
        Ok(Self { program, ops, engine_pids })
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

    pub async fn counts(&mut self) -> Result<Counts, BenchError> {
        let answer = match self.ops.send(Request::get("/metrics"), Bytes::new()).await {
            Ok(answer) => answer,
            // The service closes a connection on which nothing was asked for ten seconds; servers took longer to be made.
            Err(_) => {
                self.ops = Connection::open(self.program.address).await?;
                self.ops.send(Request::get("/metrics"), Bytes::new()).await?
            }
        };
        let text = answer.success()?;
        let text = String::from_utf8_lossy(&text);
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

    pub async fn stop(self) {
        self.program.stop().await;
    }
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
