//! Whether the service keeps up: arrays arrive at a given rate for minutes, whether or not those before are answered, with everything on.
//! Meanwhile it is asked every second how much is stored, and the kernel how much memory it holds.

use std::collections::VecDeque;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hyper::{Request, StatusCode};
use mohaa_hot::traffic::{ServerTraffic, at_level_time};
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::connection::Connection;
use crate::crowd::{self, Crowd};
use crate::error::BenchError;
use crate::load::{INGEST_PATH, Stream};
use crate::process::{cpu_seconds, resident_bytes};
use crate::queries::part;
use crate::run::load_average;
use crate::service::Service;
use crate::targets::{Measured, Target};

/// Battles that differ, and bodies of each; servers share them.
const BATTLES: usize = 16;
const BODIES: usize = 8;
/// Requests that are due in the last moment may leave a moment later.
const GRACE: Duration = Duration::from_millis(50);
const SAMPLE_EVERY: Duration = Duration::from_millis(250);

pub struct SustainedOptions {
    pub service: PathBuf,
    /// Emptied, filled and removed.
    pub data_dir: PathBuf,
    /// Events a second of all servers together.
    pub rate: u32,
    pub length: Duration,
    /// Events of a request.
    pub size: usize,
    /// Each with a match and a connection.
    pub servers: usize,
}

/// How things stood at one moment.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Sample {
    pub seconds: f64,
    pub accepted_events: u64,
    pub stored_events: u64,
    /// Since the oldest event was accepted that is not stored; events are stored in about the order of their arrival.
    pub lag_seconds: f64,
    pub resident_bytes: u64,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub struct SustainedReport {
    pub rate: u32,
    pub size: usize,
    pub servers: usize,
    /// In which requests were due.
    pub length_seconds: f64,
    /// Until the last of them was answered.
    pub seconds: f64,
    pub accepted_events: u64,
    /// Answered 429 and not sent again.
    pub refused_requests: u64,
    /// From the moment at which a request should have left.
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_lag_seconds: f64,
    /// After the last request, until everything was stored.
    pub drained_after_seconds: f64,
    pub first_half_resident_bytes: f64,
    pub second_half_resident_bytes: f64,
    pub service_cores: f64,
    pub engine_cores: f64,
    pub load_average_before: Option<f64>,
    pub samples: Vec<Sample>,
}

/// What all connections count together.
#[derive(Default)]
pub(crate) struct Counted {
    accepted_events: AtomicU64,
    refused_requests: AtomicU64,
}

impl Counted {
    pub(crate) fn accepted_events(&self) -> u64 {
        self.accepted_events.load(Ordering::Acquire)
    }
}

/// # Errors
/// When the service can't be started, or answers what it should not.
pub async fn measure(options: &SustainedOptions) -> Result<SustainedReport, BenchError> {
    let data_dir = &options.data_dir;
    let in_data_dir = |source| BenchError::File { path: data_dir.clone(), source };
    if data_dir.exists() {
        std::fs::remove_dir_all(data_dir).map_err(in_data_dir)?;
    }
    std::fs::create_dir_all(data_dir).map_err(in_data_dir)?;
    let load_average_before = load_average();
    let log = data_dir.join("service.log");
    let mut service =
        Service::start(&options.service, &data_dir.join("data"), &log, &crowd::SETTINGS).await?;
    let measured = under_load(options, &mut service).await;
    service.stop().await;
    let measured = measured?;
    std::fs::remove_dir_all(data_dir).map_err(in_data_dir)?;
    Ok(SustainedReport { load_average_before, ..measured })
}

async fn under_load(
    options: &SustainedOptions,
    service: &mut Service,
) -> Result<SustainedReport, BenchError> {
    let (pid, engine_pids) = (service.pid(), service.engine_pids.clone());
    let mut crowd = Crowd::new(service.address());
    crowd.grow_to(options.servers).await?;
    service.wait_until_stored(options.servers as f64).await?;
    let bodies = arrays(options.size);
    let streams = crowd.streams(&bodies, options.size);
    let stored_before = service.counts().await?.stored_events;
    let engine_cpu = || engine_pids.iter().map(|&pid| cpu_seconds(pid)).sum::<Result<f64, _>>();
    let (cpu_before, engine_before) = (cpu_seconds(pid)?, engine_cpu()?);

    let counted = Arc::new(Counted::default());
    let began = Instant::now();
    let gap = Duration::from_secs_f64(options.size as f64 / f64::from(options.rate));
    let lanes = streams.len();
    let mut connections = JoinSet::new();
    for (lane, stream) in streams.into_iter().enumerate() {
        let connection = Connection::open(service.address()).await?;
        let due = Due { began, first: gap * lane as u32, every: gap * lanes as u32, length: options.length };
        connections.spawn(post_when_due(connection, vec![stream], due, counted.clone()));
    }
    let mut samples: Vec<Sample> = Vec::new();
    // When so many events had been accepted, of those that are not known to be stored.
    let mut arrivals: VecDeque<(u64, Instant)> = VecDeque::new();
    let mut next = began + SAMPLE_EVERY;
    let mut sample = async |service: &mut Service, samples: &mut Vec<Sample>| -> Result<u64, BenchError> {
        let accepted_events = counted.accepted_events();
        let now = Instant::now();
        arrivals.push_back((accepted_events, now));
        let stored_events = (service.counts().await?.stored_events - stored_before) as u64;
        while arrivals.front().is_some_and(|(accepted, _)| *accepted <= stored_events) {
            arrivals.pop_front();
        }
        // Something that came before that moment is not stored, and after the one before it.
        let lag = arrivals.front().map_or(Duration::ZERO, |(_, at)| at.elapsed() + SAMPLE_EVERY);
        samples.push(Sample {
            seconds: began.elapsed().as_secs_f64(),
            accepted_events,
            stored_events,
            lag_seconds: lag.as_secs_f64(),
            resident_bytes: resident_bytes(pid)?,
        });
        Ok(stored_events)
    };
    while next < began + options.length {
        sleep_until(next).await;
        sample(service, &mut samples).await?;
        next += SAMPLE_EVERY;
    }
    let mut latencies = Vec::new();
    while let Some(ended) = connections.join_next().await {
        latencies.extend(ended??);
    }
    let seconds = began.elapsed().as_secs_f64();
    let accepted_events = counted.accepted_events();
    let (service_cores, engine_cores) =
        ((cpu_seconds(pid)? - cpu_before) / seconds, (engine_cpu()? - engine_before) / seconds);
    service.wait_until_stored(stored_before + accepted_events as f64).await?;
    let drained_after_seconds = began.elapsed().as_secs_f64() - seconds;
    latencies.sort_by(f64::total_cmp);
    let (first, second) = samples.split_at(samples.len() / 2);
    let resident = |half: &[Sample]| {
        half.iter().map(|sample| sample.resident_bytes as f64).sum::<f64>() / half.len().max(1) as f64
    };
    Ok(SustainedReport {
        rate: options.rate,
        size: options.size,
        servers: options.servers,
        length_seconds: options.length.as_secs_f64(),
        seconds,
        accepted_events,
        refused_requests: counted.refused_requests.load(Ordering::Acquire),
        p50_ms: part(&latencies, 0.5),
        p99_ms: part(&latencies, 0.99),
        max_lag_seconds: samples.iter().map(|sample| sample.lag_seconds).fold(0.0, f64::max),
        drained_after_seconds,
        first_half_resident_bytes: resident(first),
        second_half_resident_bytes: resident(second),
        service_cores,
        engine_cores,
        load_average_before: None,
        samples,
    })
}

/// Bodies of so many events, which servers share.
pub(crate) fn arrays(size: usize) -> Vec<Arc<Vec<Bytes>>> {
    (0..BATTLES).map(|battle| Arc::new(ServerTraffic::arrays(battle, size, BODIES))).collect()
}

/// When a connection's requests are due.
pub(crate) struct Due {
    pub(crate) began: Instant,
    pub(crate) first: Duration,
    pub(crate) every: Duration,
    pub(crate) length: Duration,
}

/// Posts a body of each stream in turn when it is due, or as soon as the one before is answered; gives milliseconds from then to the
/// answer.
pub(crate) async fn post_when_due(
    mut connection: Connection,
    streams: Vec<Stream>,
    due: Due,
    counted: Arc<Counted>,
) -> Result<Vec<f64>, BenchError> {
    let mut latencies = Vec::new();
    let mut at = due.began + due.first;
    for (number, stream) in streams.iter().cycle().enumerate() {
        let body = &stream.bodies[number / streams.len() % stream.bodies.len()];
        if at >= due.began + due.length {
            break;
        }
        sleep_until(at).await;
        if due.began.elapsed() >= due.length + GRACE {
            break;
        }
        let body = at_level_time(body, stream.began.elapsed().as_secs_f64());
        let request = Request::post(INGEST_PATH).header("X-Server-Token", &stream.token);
        let answer = connection.send(request, body).await?;
        match answer.status {
            StatusCode::ACCEPTED => {
                latencies.push(at.elapsed().as_secs_f64() * 1_000.0);
                counted.accepted_events.fetch_add(stream.events_per_body as u64, Ordering::AcqRel);
            }
            StatusCode::TOO_MANY_REQUESTS => {
                counted.refused_requests.fetch_add(1, Ordering::AcqRel);
            }
            _ => return Err(answer.unexpected()),
        }
        at += due.every;
    }
    Ok(latencies)
}

impl SustainedReport {
    fn events_per_second(&self) -> f64 {
        self.accepted_events as f64 / self.length_seconds
    }

    fn memory_ratio(&self) -> f64 {
        self.second_half_resident_bytes / self.first_half_resident_bytes
    }

    /// What came of the targets.
    pub fn measured(&self) -> Vec<Measured> {
        vec![
            Measured::new(
                Target::SustainedRate,
                self.events_per_second(),
                format!(
                    "{} asked for, arrays of {} from {} servers, {} requests refused, p50 {:.1} ms, p99 {:.1} ms",
                    self.rate, self.size, self.servers, self.refused_requests, self.p50_ms, self.p99_ms
                ),
            ),
            Measured::new(
                Target::SustainedTime,
                self.length_seconds,
                format!("service {:.2} cores, engine {:.2} cores", self.service_cores, self.engine_cores),
            ),
            Measured::new(
                Target::SustainedLag,
                self.max_lag_seconds,
                format!("all stored {:.1} s after the end", self.drained_after_seconds),
            ),
            Measured::new(
                Target::SustainedMemory,
                self.memory_ratio(),
                format!(
                    "{:.0} MB and {:.0} MB on average",
                    self.first_half_resident_bytes / 1e6,
                    self.second_half_resident_bytes / 1e6
                ),
            ),
        ]
    }
}

impl fmt::Display for SustainedReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "{:.0} events/s of {} for {:.0} s, arrays of {} from {} servers, {} requests refused",
            self.events_per_second(),
            self.rate,
            self.length_seconds,
            self.size,
            self.servers,
            self.refused_requests
        )?;
        writeln!(out, "due to answered      p50 {:.1} ms, p99 {:.1} ms", self.p50_ms, self.p99_ms)?;
        writeln!(
            out,
            "oldest not stored    at most {:.1} s; all stored {:.1} s after the end",
            self.max_lag_seconds, self.drained_after_seconds
        )?;
        writeln!(
            out,
            "resident             {:.0} MB in the first half, {:.0} MB in the second",
            self.first_half_resident_bytes / 1e6,
            self.second_half_resident_bytes / 1e6
        )?;
        writeln!(
            out,
            "CPU                  service {:.2} cores, engine {:.2} cores",
            self.service_cores, self.engine_cores
        )
    }
}
