//! What somebody would do who has no such service: every game server's request becomes an insert of its own, of JSON, which the
//! engine gathers with others (`async_insert=1`) and answers when it is stored (`wait_for_async_insert=1`).
//!
//! The engine is the service's own, with the same table and views in another database. An engine that does not gather inserts by
//! itself, as a library has it, would store each of them alone and lose by far more than it has to. So they are also gathered
//! here, as a ClickHouse server does it, which costs the engine nothing; the faster of the two counts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mohaa_hot::traffic::BATCH_EVENTS;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::engine::{Engine, Rows};
use crate::error::BenchError;

/// Those who post at once.
pub const CLIENTS: usize = 64;
const DATABASE: &str = "async";
/// Rows that bodies are made of.
const ROWS: usize = 20_000;
const PROBE: Duration = Duration::from_secs(2);
/// `async_insert_busy_timeout_min_ms` and `async_insert_max_data_size` of a ClickHouse server, as it is delivered.
const GATHERED_FOR: Duration = Duration::from_millis(50);
const GATHERED_BYTES: usize = 10 << 20;

/// Both sides with as many clients, in turn.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct PeerRound {
    pub clients: usize,
    /// Accepted ones by the time until the last of them was stored.
    pub service_events_per_second: f64,
    /// By the time until the last was answered.
    pub service_accepted_per_second: f64,
    pub service_refused_requests: u64,
    pub async_events_per_second: f64,
    pub async_p50_ms: f64,
    pub async_p99_ms: f64,
    /// Events that one insert of the engine held: [`BATCH_EVENTS`] where requests were not gathered.
    pub async_events_per_insert: f64,
    /// Not by the engine, but here.
    pub gathered_here: bool,
}

/// What came of async inserts.
#[derive(Clone, Debug, Default)]
pub struct AsyncResult {
    pub events: u64,
    pub inserts: u64,
    pub elapsed: Duration,
    /// Ascending.
    pub latencies: Vec<Duration>,
}

/// Who gathers the inserts of several clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gathers {
    Engine,
    Here,
}

/// A request, and whom to tell when it is stored.
type Waiting = (Bytes, oneshot::Sender<()>);

/// What is inserted: [`BATCH_EVENTS`] of the given rows to a body, over and over, into a database of its own.
pub struct AsyncInserts {
    engine: Engine,
    bodies: Arc<Vec<Bytes>>,
    gathers: Gathers,
}

impl AsyncInserts {
    /// Makes the database, and finds out by whom inserts are gathered faster.
    ///
    /// # Errors
    /// When the engine refuses what it is asked.
    pub async fn prepare(engine: &Engine, rows: &Arc<Rows>) -> Result<Self, BenchError> {
        let engine = engine.in_database(DATABASE);
        engine.prepare().await?;
        engine.insert(rows, ROWS, ROWS).await?;
        let bodies = Arc::new(bodies_of(engine.json_rows(ROWS).await?));
        let mut inserts = Self { engine, bodies, gathers: Gathers::Engine };
        let by_engine = inserts.run(PROBE).await?.events_per_second();
        inserts.gathers = Gathers::Here;
        let here = inserts.run(PROBE).await?.events_per_second();
        if by_engine > here {
            inserts.gathers = Gathers::Engine;
        }
        Ok(inserts)
    }

    pub fn are_gathered_here(&self) -> bool {
        self.gathers == Gathers::Here
    }

    /// Runs [`CLIENTS`] connections, each with one insert at a time, for `length`.
    ///
    /// # Errors
    /// When an insert is refused, or fewer rows are stored than were answered for.
    pub async fn run(&self, length: Duration) -> Result<AsyncResult, BenchError> {
        let Self { engine, bodies, gathers } = self;
        let (rows_before, inserts_before) = engine.rows_and_inserts().await?;
        let mut result = match gathers {
            Gathers::Engine => engine_gathers(engine, bodies, length).await?,
            Gathers::Here => gathered_here(engine, bodies, length).await?,
        };
        let (rows, inserts) = engine.rows_and_inserts().await?;
        if rows - rows_before != result.events {
            let stored = format!("{} of {} rows are stored", rows - rows_before, result.events);
            return Err(BenchError::Differs(vec![stored]));
        }
        result.inserts = inserts.saturating_sub(inserts_before);
        result.latencies.sort_unstable();
        Ok(result)
    }
}

async fn engine_gathers(
    engine: &Engine,
    bodies: &Arc<Vec<Bytes>>,
    length: Duration,
) -> Result<AsyncResult, BenchError> {
    let began = Instant::now();
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (engine, bodies) = (engine.clone(), bodies.clone());
        clients.spawn(async move {
            let mut connection = engine.connect().await?;
            let mut latencies = Vec::new();
            for body in bodies.iter().cycle().skip(client * bodies.len() / CLIENTS) {
                let sent_at = Instant::now();
                if sent_at >= began + length {
                    break;
                }
                engine.insert_json(&mut connection, body.clone(), true).await?;
                latencies.push(sent_at.elapsed());
            }
            Ok::<_, BenchError>(latencies)
        });
    }
    gather(clients, began).await
}

/// As [`engine_gathers`], with the gathering done here: whoever waits is told when all that was gathered is stored.
async fn gathered_here(
    engine: &Engine,
    bodies: &Arc<Vec<Bytes>>,
    length: Duration,
) -> Result<AsyncResult, BenchError> {
    let (sender, receiver) = mpsc::channel::<Waiting>(CLIENTS);
    let gathering = tokio::spawn(flush(engine.clone(), receiver));
    let began = Instant::now();
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (sender, bodies) = (sender.clone(), bodies.clone());
        clients.spawn(async move {
            let mut latencies = Vec::new();
            for body in bodies.iter().cycle().skip(client * bodies.len() / CLIENTS) {
                let sent_at = Instant::now();
                if sent_at >= began + length {
                    break;
                }
                let (stored, is_stored) = oneshot::channel();
                // Whoever gathers has failed, and says why.
                if sender.send((body.clone(), stored)).await.is_err() || is_stored.await.is_err() {
                    break;
                }
                latencies.push(sent_at.elapsed());
            }
            Ok::<_, BenchError>(latencies)
        });
    }
    drop(sender);
    let result = gather(clients, began).await?;
    gathering.await??;
    Ok(result)
}

/// Inserts what has come, at most [`GATHERED_FOR`] after the first of it; several such inserts run at once, as in the engine.
async fn flush(engine: Engine, mut receiver: mpsc::Receiver<Waiting>) -> Result<(), BenchError> {
    let mut inserts = JoinSet::new();
    while let Some((first, stored)) = receiver.recv().await {
        let due = tokio::time::Instant::now() + GATHERED_FOR;
        let (mut rows, mut waiting) = (first.to_vec(), vec![stored]);
        while rows.len() < GATHERED_BYTES && waiting.len() < CLIENTS {
            let Ok(Some((body, stored))) = tokio::time::timeout_at(due, receiver.recv()).await else { break };
            rows.extend_from_slice(&body);
            waiting.push(stored);
        }
        let engine = engine.clone();
        inserts.spawn(async move {
            let mut connection = engine.connect().await?;
            engine.insert_json(&mut connection, Bytes::from(rows), false).await?;
            for stored in waiting {
                // A client that does not wait has nothing to learn.
                let _ = stored.send(());
            }
            Ok::<_, BenchError>(())
        });
    }
    while let Some(ended) = inserts.join_next().await {
        ended??;
    }
    Ok(())
}

async fn gather(
    mut clients: JoinSet<Result<Vec<Duration>, BenchError>>,
    began: Instant,
) -> Result<AsyncResult, BenchError> {
    let mut result = AsyncResult::default();
    while let Some(ended) = clients.join_next().await {
        result.latencies.extend(ended??);
    }
    result.elapsed = began.elapsed();
    result.events = (result.latencies.len() * BATCH_EVENTS) as u64;
    Ok(result)
}

/// A body is [`BATCH_EVENTS`] rows of those that the engine has, each without what defaults fill in.
fn bodies_of(rows: Vec<serde_json::Map<String, serde_json::Value>>) -> Vec<Bytes> {
    use serde_json::Value;
    let says_something = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        _ => true,
    };
    let lines: Vec<String> = rows
        .into_iter()
        .map(|row| {
            let said = row.into_iter().filter(|(_, value)| says_something(value)).collect();
            format!("{}\n", Value::Object(said))
        })
        .collect();
    lines.chunks_exact(BATCH_EVENTS).map(|rows| Bytes::from(rows.concat())).collect()
}

impl AsyncResult {
    pub fn events_per_second(&self) -> f64 {
        self.events as f64 / self.elapsed.as_secs_f64()
    }

    /// Milliseconds within which this part (0 to 1) of the inserts was answered.
    pub fn latency_ms(&self, part: f64) -> f64 {
        let place = (self.latencies.len() as f64 * part) as usize;
        let latency = self.latencies.get(place).or(self.latencies.last());
        latency.map_or(0.0, |latency| latency.as_secs_f64() * 1000.0)
    }
}
