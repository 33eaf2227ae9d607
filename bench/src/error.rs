//! Why a measurement could not be made.

use std::io;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error("{path}: {source}", path = .path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("can't run {program}: {source}", program = .program.display())]
    Run { program: PathBuf, source: io::Error },
    #[error("{program} ended before it listened; its log is {log}", program = .program.display(), log = .log.display())]
    NotListening { program: PathBuf, log: PathBuf },
    #[error("{program} did not make a server: {message}", program = .program.display())]
    NoServer { program: PathBuf, message: String },
    #[error("{program} did not make an organizer: {message}", program = .program.display())]
    NoOrganizer { program: PathBuf, message: String },
    #[error("process {pid} can't be read: {reason}")]
    Process { pid: u32, reason: String },
    #[error("the service runs no ClickHouse engine")]
    NoEngineProcess,
    #[error("{path} names no usable CLICKHOUSE_URL", path = .path.display())]
    NoEngineUrl { path: PathBuf },
    #[error("the limit of open files can't be raised: {0}")]
    FileLimit(#[source] io::Error),
    #[error("the runtime can't be made: {0}")]
    Runtime(#[source] io::Error),
    #[error("the yardstick can't listen: {0}")]
    Yardstick(#[source] io::Error),
    #[error("the traffic can't be read: {0}")]
    Traffic(#[from] mohaa_domain::wire::DecodeError),
    #[error("a form can't be read: {0}")]
    Form(#[from] mohaa_hot::mirror::FormError),
    #[error("connection: {0}")]
    Connect(#[source] io::Error),
    #[error("HTTP: {0}")]
    Http(#[from] hyper::Error),
    #[error("request: {0}")]
    Request(#[from] hyper::http::Error),
    #[error("answered {status}, which was not expected: {body}")]
    Answer { status: u16, body: String },
    #[error("{metric} is not among the metrics")]
    NoMetric { metric: &'static str },
    #[error("{stored:.0} of {accepted:.0} events were stored within {seconds} s")]
    NotStored { stored: f64, accepted: f64, seconds: u64 },
    #[error("nothing was accepted")]
    NothingAccepted,
    #[error("a connection's task failed: {0}")]
    Task(#[from] tokio::task::JoinError),
    #[error("private stores: {0}")]
    Stores(#[from] mohaa_embedded::Error),
    #[error("the address of {store} can't be used")]
    StoreUrl { store: &'static str },
    #[error("{program} can't bring the schemas up to date: {message}", program = .program.display())]
    Migrate { program: PathBuf, message: String },
    #[error("PostgreSQL: {0}")]
    Postgres(#[from] sqlx::Error),
    #[error("Redis: {0}")]
    Redis(String),
    #[error("what is stored differs from what was made: {}", .0.join("; "))]
    Differs(Vec<String>),
    #[error("the service has stored nothing that could be asked about: {what}")]
    NothingStored { what: &'static str },
    #[error("the report can't be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}
