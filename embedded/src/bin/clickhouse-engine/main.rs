//! `clickhouse-engine`: ClickHouse's HTTP interface over `libchdb.so`, on loopback, for one service.
//!
//! It loads the engine as a C library and serves the part of the interface that the `clickhouse`
//! crate, curl and Grafana use. The contract with whoever starts it: standard output carries one line
//! `listening on http://ADDRESS`, when it serves; SIGTERM or SIGINT lets running statements end,
//! closes the store and exits with 0. After `kill -9` the next start finds every acknowledged row.
//!
//! Where it differs from a server:
//! - one account, and no users, roles or quotas in SQL; a session's URL settings are those of its first
//!   request;
//! - results are complete in memory before they are sent, request bodies before they run;
//! - `KILL QUERY` goes by `query_id` only and covers requests still sending their body, which
//!   `system.processes` doesn't show (`KILL … TEST` does); with SYNC it returns when no attempt of the id
//!   runs any more. In `FROM system.processes` the `query_id` is the client's;
//! - no `INTO OUTFILE`, `FROM INFILE`, `file()`, `url()`, `remote()` or several statements in one request;
//! - no HTTP compression (`Content-Encoding`): `compress=1` and `decompress=1` with LZ4 only.

mod attempts;
mod engine;
mod exception;
mod framing;
mod libchdb;
mod request;
mod server;
mod sql;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use engine::{Engine, MAX_STATEMENTS};
use server::{Account, Gateway};

/// How long running statements may take to end after SIGTERM. Less than a supervisor's patience.
const STOP_PATIENCE: Duration = Duration::from_secs(20);
/// ClickHouse's parser recurses on the calling thread; a server's threads have 8 MiB.
const STACK_BYTES: usize = 8 << 20;

/// ClickHouse's HTTP interface over a private engine, on loopback only.
#[derive(Parser)]
#[command(name = "clickhouse-engine", version)]
struct Arguments {
    /// Folder of the store; made when missing.
    #[arg(long)]
    data_dir: PathBuf,
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The engine library, libchdb.so.
    #[arg(long)]
    library: PathBuf,
    /// File with `user:password` on its first line.
    #[arg(long)]
    credentials: PathBuf,
    /// Database made at start and used by requests that name none.
    #[arg(long, default_value = "default")]
    database: String,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{0} isn't a loopback address: the gateway serves this machine only")]
    NotLoopback(SocketAddr),
    #[error("cannot read the credentials {path}: {source}")]
    ReadCredentials { path: PathBuf, source: std::io::Error },
    #[error("the credentials file must hold user:password")]
    Credentials,
    #[error("cannot use the data folder {path}: {source}")]
    Folder { path: PathBuf, source: std::io::Error },
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("cannot start the runtime: {0}")]
    Runtime(std::io::Error),
    #[error(transparent)]
    Engine(#[from] engine::StartError),
}

fn main() {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info")),
        )
        .init();
    let code = match serve(Arguments::parse()) {
        Ok(()) => 0,
        Err(error) => {
            tracing::error!(%error, "the engine can't serve");
            1
        }
    };
    // The engine's threads and static destructors must not race an ordinary exit.
    libchdb::exit_now(code);
}

fn serve(arguments: Arguments) -> Result<(), Error> {
    if !arguments.listen.ip().is_loopback() {
        return Err(Error::NotLoopback(arguments.listen));
    }
    let account = read_account(&arguments)?;
    let folder_error = |source| Error::Folder { path: arguments.data_dir.clone(), source };
    std::fs::create_dir_all(&arguments.data_dir).map_err(folder_error)?;
    let folder = arguments.data_dir.canonicalize().map_err(folder_error)?;
    let library = arguments.library.canonicalize().unwrap_or_else(|_| arguments.library.clone());
    std::env::set_current_dir(&folder).map_err(folder_error)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(MAX_STATEMENTS + 8)
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    // The address is taken first: without it the store must not be opened, another may use it.
    let listener = runtime
        .block_on(TcpListener::bind(arguments.listen))
        .map_err(|source| Error::Listen { address: arguments.listen, source })?;
    let started = Instant::now();
    let engine = Arc::new(Engine::open(&library, &folder)?);
    engine.create_database(&arguments.database)?;
    tracing::info!(
        version = engine.version,
        opened_in_ms = started.elapsed().as_millis(),
        "the store is open"
    );
    let gateway = Arc::new(Gateway { engine: Arc::clone(&engine), account });
    runtime
        .block_on(accept(listener, gateway))
        .map_err(|source| Error::Listen { address: arguments.listen, source })?;
    engine.close();
    tracing::info!("the store is closed");
    Ok(())
}

fn read_account(arguments: &Arguments) -> Result<Account, Error> {
    let text = std::fs::read_to_string(&arguments.credentials)
        .map_err(|source| Error::ReadCredentials { path: arguments.credentials.clone(), source })?;
    let (user, password) =
        text.lines().next().and_then(|line| line.split_once(':')).ok_or(Error::Credentials)?;
    Ok(Account { user: user.to_owned(), password: password.to_owned(), database: arguments.database.clone() })
}

async fn accept(listener: TcpListener, gateway: Arc<Gateway>) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // A reader of the address must not keep the gateway from serving when it is gone.
    let _ = writeln!(std::io::stdout(), "listening on http://{}", listener.local_addr()?);
    let connections = GracefulShutdown::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, mostly: wait for some instead of spinning.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        };
        // Answers are small and awaited: waiting for more to send costs 40 ms each.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot turn off Nagle's algorithm");
        }
        let gateway = Arc::clone(&gateway);
        // Half-closed: a client that sent all and then left is served to the end.
        let service = service_fn(move |request| Arc::clone(&gateway).answer(request));
        let connection = hyper::server::conn::http1::Builder::new()
            .half_close(true)
            .serve_connection(TokioIo::new(stream), service);
        let watched = connections.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = watched.await {
                tracing::debug!(%error, "connection ended");
            }
        });
    }
    drop(listener);
    tracing::info!("stopping: running statements may end");
    let deadline = Instant::now() + STOP_PATIENCE;
    // Requests still sending their body have no end to wait for.
    let idle = tokio::time::timeout(Duration::from_millis(500), connections.shutdown());
    let _ = idle.await;
    while !gateway.engine.attempts.none_handed_over() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}
