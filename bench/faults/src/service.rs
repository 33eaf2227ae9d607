//! Asking the service, and waiting for what it is about to do.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::Request;
use mohaa_bench::connection::{Answer, Connection};

use crate::error::{FaultsError, Result};
use crate::metrics::Metrics;

const POLL: Duration = Duration::from_millis(20);

/// Asks again and again until there is an answer.
///
/// # Errors
/// When it stays away.
pub async fn eventually_within<T>(
    patience: Duration,
    what: &str,
    mut ask: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        if Instant::now() > deadline {
            return Err(FaultsError::NeverHappened { what: what.to_owned(), seconds: patience.as_secs() });
        }
        tokio::time::sleep(POLL).await;
    }
}

/// One GET on a connection of its own.
///
/// # Errors
/// When there is no answer.
pub async fn get(address: SocketAddr, path: &str) -> Result<Answer> {
    let mut connection = Connection::open(address).await?;
    Ok(connection.send(Request::get(path), Bytes::new()).await?)
}

/// # Errors
/// When there is no answer, or one without metrics.
pub async fn metrics(address: SocketAddr) -> Result<Metrics> {
    let body = get(address, "/metrics").await?.success()?;
    Metrics::parse(&String::from_utf8_lossy(&body))
}
