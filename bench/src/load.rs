//! A closed loop: each connection posts the next body when the last is answered, as game servers do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::{Request, StatusCode};
use mohaa_hot::traffic::at_level_time;
use tokio::task::JoinSet;

use crate::connection::Connection;
use crate::error::BenchError;
use crate::yardstick;

/// After a 429. Scripts don't come back at all; `Retry-After` would leave a connection idle for a whole round.
pub(crate) const PAUSE_AFTER_REFUSAL: Duration = Duration::from_millis(20);
pub(crate) const INGEST_PATH: &str = "/api/v1/ingest/events";

/// What one connection posts, over and over.
#[derive(Clone)]
pub struct Stream {
    pub token: String,
    /// When the match of the server began.
    pub began: Instant,
    pub bodies: Arc<Vec<Bytes>>,
    pub events_per_body: usize,
}

/// What a loop got.
#[derive(Clone, Debug, Default)]
pub struct LoadResult {
    pub elapsed: Duration,
    pub accepted_requests: u64,
    pub accepted_events: u64,
    /// Answers 429.
    pub refused_requests: u64,
    /// Of accepted requests, ascending.
    pub latencies: Vec<Duration>,
}

impl LoadResult {
    pub fn requests_per_second(&self) -> f64 {
        self.accepted_requests as f64 / self.elapsed.as_secs_f64()
    }

    pub fn events_per_second(&self) -> f64 {
        self.accepted_events as f64 / self.elapsed.as_secs_f64()
    }

    /// Milliseconds within which this part (0 to 1) of the accepted requests was answered.
    pub fn latency_ms(&self, part: f64) -> f64 {
        let place = (self.latencies.len() as f64 * part) as usize;
        let latency = self.latencies.get(place).or(self.latencies.last());
        latency.map_or(0.0, |latency| latency.as_secs_f64() * 1000.0)
    }
}

/// Runs one connection for each stream, for `length`.
///
/// # Errors
/// When any answer is neither 202 with the expected body nor 429.
pub async fn run(
    address: SocketAddr,
    streams: &[Stream],
    length: Duration,
) -> Result<LoadResult, BenchError> {
    let mut connections = Vec::with_capacity(streams.len());
    for stream in streams {
        connections.push((Connection::open(address).await?, stream.clone()));
    }
    let began = Instant::now();
    let mut loops = JoinSet::new();
    for (connection, stream) in connections {
        loops.spawn(one_connection(connection, stream, began + length));
    }
    let mut result = LoadResult::default();
    while let Some(ended) = loops.join_next().await {
        let one = ended??;
        result.accepted_requests += one.accepted_requests;
        result.accepted_events += one.accepted_events;
        result.refused_requests += one.refused_requests;
        result.latencies.extend(one.latencies);
    }
    result.elapsed = began.elapsed();
    result.latencies.sort_unstable();
    Ok(result)
}

async fn one_connection(
    mut connection: Connection,
    stream: Stream,
    end: Instant,
) -> Result<LoadResult, BenchError> {
    let expected = yardstick::answer(stream.events_per_body);
    let mut result = LoadResult::default();
    for body in stream.bodies.iter().cycle() {
        let sent_at = Instant::now();
        if sent_at >= end {
            break;
        }
        let request = Request::post(INGEST_PATH)
            .header("X-Server-Token", &stream.token)
            // What the scripts label their JSON with.
            .header("Content-Type", "application/x-www-form-urlencoded");
        let body = at_level_time(body, stream.began.elapsed().as_secs_f64());
        let answer = connection.send(request, body).await?;
        match answer.status {
            StatusCode::ACCEPTED if answer.body == expected.as_bytes() => {
                result.latencies.push(sent_at.elapsed());
                result.accepted_requests += 1;
                result.accepted_events += stream.events_per_body as u64;
            }
            StatusCode::TOO_MANY_REQUESTS => {
                result.refused_requests += 1;
                tokio::time::sleep(PAUSE_AFTER_REFUSAL).await;
            }
            _ => return Err(answer.unexpected()),
        }
    }
    Ok(result)
}
