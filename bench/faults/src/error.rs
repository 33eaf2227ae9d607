//! Why a scenario could not be played. What the service did wrong is no error but a
//! [`Verdict`](crate::verdict::Verdict).

use std::io;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum FaultsError {
    #[error(transparent)]
    Bench(#[from] mohaa_bench::error::BenchError),
    #[error("{path}: {source}", path = .path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("the proxy: {0}")]
    Proxy(#[source] io::Error),
    #[error("a store's address can't be used: {0}")]
    StoreAddress(String),
    #[error("a game server can't be added: {0}")]
    Postgres(#[from] mohaa_stats::postgres::PostgresError),
    #[error("a game server can't be added: {0}")]
    AddServer(#[from] mohaa_stats::servers::ServerError),
    #[error(transparent)]
    Schema(#[from] mohaa_stats::clickhouse::schema::SchemaError),
    #[error("ClickHouse says {source} to «{sql}»")]
    ClickHouse { sql: String, source: clickhouse::error::Error },
    #[error("ClickHouse answered «{sql}» with {answer}")]
    Answer { sql: String, answer: String },
    #[error("{what} did not come about within {seconds} s")]
    NeverHappened { what: String, seconds: u64 },
    #[error("the service does not start; the end of its log:\n{log}")]
    NotStarted { log: String },
    #[error("{0:?} is no sample of a metric")]
    NoSample(String),
    #[error("there is no metric {0}")]
    NoMetric(String),
    #[error("the spool can't be opened: {0}")]
    Spool(#[from] mohaa_spool::OpenError),
    #[error(transparent)]
    DeadLetters(#[from] mohaa_actors::dead_letters::DeadLetterError),
    #[error("threads for clients can't be had: {0}")]
    Clients(#[source] io::Error),
    #[error("a task of the harness failed: {0}")]
    Task(#[from] tokio::task::JoinError),
    #[error("the service runs no engine of its own")]
    NoEngine,
}

impl FaultsError {
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| FaultsError::File { path, source }
    }
}

pub type Result<T> = std::result::Result<T, FaultsError>;
