//! An open loop: requests leave when their time has come, whether or not those before are answered, as people do.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hyper::{Request, StatusCode};
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::catalogue::Question;
use crate::connection::Connection;
use crate::error::BenchError;

/// What browsers say.
pub(crate) const ACCEPT_ENCODING: &str = "gzip, deflate, br, zstd";

/// Questions that are asked at a time before the load.
const WARMING: usize = 4;

/// What came of a load.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LoadReport {
    pub requests_per_second: u32,
    pub seconds: u64,
    pub requests: usize,
    /// Answers that were not 200, and requests without an answer.
    pub refused: usize,
    /// From the moment at which a request should have left.
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
    /// Of each path, the slowest first.
    pub slowest: Vec<PathTimes>,
}

#[derive(Clone, Debug, Serialize)]
pub struct PathTimes {
    pub name: String,
    pub p50_ms: f64,
    pub max_ms: f64,
}

/// Connections that nobody uses at the moment.
type Idle = Arc<Mutex<Vec<Connection>>>;

/// Asks everything in turns, after having asked each once, several at a time: what was asked first must still be kept when the
/// load begins.
///
/// # Errors
/// When a task fails; what the service refuses is counted.
pub async fn run(
    address: SocketAddr,
    questions: &[Question],
    rate: u32,
    length: Duration,
) -> Result<LoadReport, BenchError> {
    let idle = Idle::default();
    let mut warming = JoinSet::new();
    for question in questions {
        if warming.len() >= WARMING {
            warming.join_next().await;
        }
        let (idle, path) = (idle.clone(), question.path.clone());
        warming.spawn(async move { ask(address, &idle, &path).await });
    }
    warming.join_all().await;
    let count = (f64::from(rate) * length.as_secs_f64()) as usize;
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for number in 0..count {
        let due = began + Duration::from_secs_f64(number as f64 / f64::from(rate));
        sleep_until(due).await;
        // A stride without a common divisor: neighbours in the list don't come together.
        let place = (number * 7_919) % questions.len();
        let (idle, path) = (idle.clone(), questions[place].path.clone());
        tasks.spawn(async move { (place, ask(address, &idle, &path).await, due.elapsed()) });
    }
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); questions.len()];
    let mut refused = 0;
    while let Some(ended) = tasks.join_next().await {
        let (place, is_answered, elapsed) = ended?;
        times[place].push(elapsed.as_secs_f64() * 1_000.0);
        refused += usize::from(!is_answered);
    }
    let mut all: Vec<f64> = times.concat();
    all.sort_by(f64::total_cmp);
    let mut slowest: Vec<PathTimes> = questions
        .iter()
        .zip(&mut times)
        .map(|(question, times)| {
            times.sort_by(f64::total_cmp);
            PathTimes { name: question.name.clone(), p50_ms: part(times, 0.5), max_ms: part(times, 1.0) }
        })
        .collect();
    slowest.sort_by(|one, other| other.p50_ms.total_cmp(&one.p50_ms));
    Ok(LoadReport {
        requests_per_second: rate,
        seconds: length.as_secs(),
        requests: all.len(),
        refused,
        p50_ms: part(&all, 0.5),
        p99_ms: part(&all, 0.99),
        max_ms: part(&all, 1.0),
        slowest,
    })
}

/// The value below which this part (0 to 1) of the ascending values lies; 0 without any.
pub(crate) fn part(ascending: &[f64], part: f64) -> f64 {
    let place = (ascending.len() as f64 * part) as usize;
    ascending.get(place).or(ascending.last()).copied().unwrap_or_default()
}

/// Whether the answer was 200.
async fn ask(address: SocketAddr, idle: &Idle, path: &str) -> bool {
    let kept = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let mut connection = match kept {
        Some(connection) => connection,
        None => match Connection::open(address).await {
            Ok(connection) => connection,
            Err(_) => return false,
        },
    };
    let request = Request::get(path).header("Accept-Encoding", ACCEPT_ENCODING);
    let Ok(answer) = connection.send(request, Bytes::new()).await else { return false };
    idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    answer.status == StatusCode::OK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_no_times_are_zero_and_the_last_is_the_greatest() {
        assert_eq!(part(&[], 0.99), 0.0);
        let ascending: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!((part(&ascending, 0.5), part(&ascending, 1.0)), (51.0, 100.0));
    }
}
