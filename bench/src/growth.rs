//! How costs grow with what they depend on: events of a request, matches that are played, viewers, cores. Each point is a
//! measurement of its own; [`plots`](crate::plots) draws them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use mohaa_hot::traffic::BATCH_EVENTS;
use serde::{Deserialize, Serialize};

use crate::crowd::{self, Crowd};
use crate::error::BenchError;
use crate::live::{self, LiveOptions};
use crate::load::{self, Stream};
use crate::process::{Program, cpu_seconds, resident_bytes};
use crate::service::{Service, on_cores, serve};
use crate::stores::Stores;
use crate::sustained::{Counted, Due, arrays, post_when_due};

const SIZES: [usize; 10] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000];
const MATCHES: [usize; 9] = [1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000];
const VIEWERS: [usize; 6] = [1, 10, 100, 500, 1_000, 5_000];
/// Events a second of all matches together, however many.
const RATE: u32 = 10_000;
/// Requests that each match has seen before it is measured.
const REQUESTS_A_MATCH: usize = 10;
/// Servers of the measurements in which their number does not matter.
const SERVERS: usize = 16;
const LANES: usize = 64;
const WARM_UP: Duration = Duration::from_secs(1);
const SETTLE: Duration = Duration::from_secs(5);

/// What costs grow with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Growing {
    Sizes,
    Matches,
    Viewers,
    Cores,
}

pub struct GrowthOptions {
    pub service: PathBuf,
    /// This program, which is also the yardstick.
    pub yardstick: PathBuf,
    /// Emptied, filled and removed.
    pub data_dir: PathBuf,
    pub growing: Vec<Growing>,
    /// Of each load.
    pub length: Duration,
    /// Leaves the greatest matches and viewers out, for a quick look.
    pub at_most: usize,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct SizePoint {
    pub events_a_request: usize,
    pub events_per_second: f64,
    pub service_cpu_us_per_event: f64,
    /// A handler that only parses.
    pub handler_cpu_us_per_event: f64,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct MatchPoint {
    pub matches: usize,
    pub events_per_second: f64,
    pub service_cpu_us_per_event: f64,
    pub resident_bytes: u64,
    /// With the service running and nothing played yet.
    pub idle_bytes: u64,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ViewerPoint {
    pub viewers: usize,
    pub messages_per_second: f64,
    pub service_cores: f64,
    pub service_cores_unwatched: f64,
    /// None where nobody saw a kill.
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct CorePoint {
    /// That the service is held to; stores and load are not.
    pub cores: usize,
    pub accepted_per_second: f64,
    /// By the time until the last was stored.
    pub stored_per_second: f64,
    pub service_cpu_us_per_event: f64,
    pub p99_ms: f64,
}

/// What was measured; what was not is as it was in an earlier run.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GrowthReport {
    pub machine_cores: usize,
    pub sizes: Vec<SizePoint>,
    pub matches: Vec<MatchPoint>,
    pub viewers: Vec<ViewerPoint>,
    pub cores: Vec<CorePoint>,
}

/// Adds to what an earlier run has measured.
///
/// # Errors
/// When a program or the stores can't be started, or something is not answered as it should be.
pub async fn measure(options: &GrowthOptions, mut report: GrowthReport) -> Result<GrowthReport, BenchError> {
    report.machine_cores = std::thread::available_parallelism().map_or(1, usize::from);
    for growing in &options.growing {
        make_empty(&options.data_dir)?;
        match growing {
            Growing::Sizes => report.sizes = sizes(options).await?,
            Growing::Matches => report.matches = matches(options).await?,
            Growing::Viewers => report.viewers = viewers(options).await?,
            Growing::Cores => report.cores = cores(options, report.machine_cores).await?,
        }
    }
    let data_dir = &options.data_dir;
    std::fs::remove_dir_all(data_dir)
        .map_err(|source| BenchError::File { path: data_dir.clone(), source })?;
    Ok(report)
}

fn make_empty(data_dir: &Path) -> Result<(), BenchError> {
    let in_data_dir = |source| BenchError::File { path: data_dir.to_owned(), source };
    if data_dir.exists() {
        std::fs::remove_dir_all(data_dir).map_err(in_data_dir)?;
    }
    std::fs::create_dir_all(data_dir).map_err(in_data_dir)
}

/// A closed loop, and what it cost until all of it was stored.
struct Loop {
    accepted_per_second: f64,
    stored_per_second: f64,
    service_cpu_us_per_event: f64,
    p99_ms: f64,
}

async fn closed_loop(
    service: &mut Service,
    streams: &[Stream],
    length: Duration,
) -> Result<Loop, BenchError> {
    let (pid, stored) = (service.pid(), service.counts().await?.stored_events);
    let (cpu, began) = (cpu_seconds(pid)?, Instant::now());
    let load = load::run(service.address(), streams, length).await?;
    service.wait_until_stored(stored + load.accepted_events as f64).await?;
    if load.accepted_events == 0 {
        return Err(BenchError::NothingAccepted);
    }
    let events = load.accepted_events as f64;
    Ok(Loop {
        accepted_per_second: load.events_per_second(),
        stored_per_second: events / began.elapsed().as_secs_f64(),
        service_cpu_us_per_event: (cpu_seconds(pid)? - cpu) * 1e6 / events,
        p99_ms: load.latency_ms(0.99),
    })
}

async fn sizes(options: &GrowthOptions) -> Result<Vec<SizePoint>, BenchError> {
    let data_dir = &options.data_dir;
    let log = data_dir.join("service.log");
    let mut service =
        Service::start(&options.service, &data_dir.join("data"), &log, &crowd::SETTINGS).await?;
    let yardstick_log = data_dir.join("yardstick.log");
    let yardstick = Program::start(&options.yardstick, &["yardstick"], &yardstick_log).await?;
    let measured = async {
        let mut crowd = Crowd::new(service.address());
        crowd.grow_to(SERVERS).await?;
        service.wait_until_stored(SERVERS as f64).await?;
        let mut points = Vec::new();
        for size in SIZES {
            say(&format!("{size} events a request"));
            let streams = crowd.streams(&arrays(size), size);
            closed_loop(&mut service, &streams, WARM_UP).await?;
            let of_service = closed_loop(&mut service, &streams, options.length).await?;
            let cpu = cpu_seconds(yardstick.pid)?;
            let load = load::run(yardstick.address, &streams, options.length).await?;
            let handler_cpu = cpu_seconds(yardstick.pid)? - cpu;
            points.push(SizePoint {
                events_a_request: size,
                events_per_second: of_service.accepted_per_second,
                service_cpu_us_per_event: of_service.service_cpu_us_per_event,
                handler_cpu_us_per_event: handler_cpu * 1e6 / load.accepted_events.max(1) as f64,
            });
        }
        Ok(points)
    }
    .await;
    yardstick.stop().await;
    service.stop().await;
    measured
}

async fn matches(options: &GrowthOptions) -> Result<Vec<MatchPoint>, BenchError> {
    let data_dir = &options.data_dir;
    let log = data_dir.join("service.log");
    let mut service =
        Service::start(&options.service, &data_dir.join("data"), &log, &crowd::SETTINGS).await?;
    let measured = async {
        tokio::time::sleep(SETTLE).await;
        let idle_bytes = resident_bytes(service.pid())?;
        let mut crowd = Crowd::new(service.address());
        let mut points = Vec::new();
        for matches in MATCHES.into_iter().filter(|matches| *matches <= options.at_most) {
            say(&format!("{matches} matches"));
            let (first, stored) = (crowd.len(), service.counts().await?.stored_events);
            crowd.grow_to(matches).await?;
            let played = crowd.play(first, REQUESTS_A_MATCH).await? + matches - first;
            service.wait_until_stored(stored + played as f64).await?;
            tokio::time::sleep(SETTLE).await;
            points.push(steadily(&mut service, &crowd, idle_bytes, options.length).await?);
        }
        Ok(points)
    }
    .await;
    service.stop().await;
    measured
}

/// Posts [`RATE`] events a second, spread over all matches.
async fn steadily(
    service: &mut Service,
    crowd: &Crowd,
    idle_bytes: u64,
    length: Duration,
) -> Result<MatchPoint, BenchError> {
    let streams = crowd.streams(&arrays(BATCH_EVENTS), BATCH_EVENTS);
    let gap = Duration::from_secs_f64(BATCH_EVENTS as f64 / f64::from(RATE));
    let (pid, stored) = (service.pid(), service.counts().await?.stored_events);
    let (cpu, counted) = (cpu_seconds(pid)?, Arc::new(Counted::default()));
    let began = tokio::time::Instant::now();
    let mut lanes = tokio::task::JoinSet::new();
    for lane in 0..LANES {
        let connection = crate::connection::Connection::open(service.address()).await?;
        // Each lane posts for its own servers in turn; where there are more lanes than servers, several for one.
        let of_lane: Vec<Stream> = match streams.len() >= LANES {
            true => streams.iter().skip(lane).step_by(LANES).cloned().collect(),
            false => vec![streams[lane % streams.len()].clone()],
        };
        let due = Due { began, first: gap * lane as u32, every: gap * LANES as u32, length };
        lanes.spawn(post_when_due(connection, of_lane, due, counted.clone()));
    }
    while let Some(ended) = lanes.join_next().await {
        ended??;
    }
    let events = counted.accepted_events() as f64;
    let seconds = began.elapsed().as_secs_f64();
    service.wait_until_stored(stored + events).await?;
    Ok(MatchPoint {
        matches: crowd.len(),
        events_per_second: events / seconds,
        service_cpu_us_per_event: (cpu_seconds(pid)? - cpu) * 1e6 / events.max(1.0),
        resident_bytes: resident_bytes(pid)?,
        idle_bytes,
    })
}

async fn viewers(options: &GrowthOptions) -> Result<Vec<ViewerPoint>, BenchError> {
    let mut points = Vec::new();
    for viewers in VIEWERS.into_iter().filter(|viewers| *viewers <= options.at_most) {
        say(&format!("{viewers} viewers"));
        let report = live::measure(&LiveOptions {
            service: options.service.clone(),
            data_dir: options.data_dir.clone(),
            servers: 200,
            viewers,
            rate: 4_000,
            length: options.length,
        })
        .await?;
        points.push(ViewerPoint {
            viewers,
            messages_per_second: report.messages_per_second,
            service_cores: report.service_cores,
            service_cores_unwatched: report.service_cores_unwatched,
            p50_ms: Some(report.p50_ms).filter(|ms| ms.is_finite()),
            p99_ms: Some(report.p99_ms).filter(|ms| ms.is_finite()),
        });
    }
    Ok(points)
}

async fn cores(options: &GrowthOptions, machine_cores: usize) -> Result<Vec<CorePoint>, BenchError> {
    let stores = Stores::of_data_dir(&options.data_dir.join("stores")).await?;
    let mut points = Vec::new();
    let held = (0..).map(|power| 1_usize << power).take_while(|cores| *cores <= machine_cores);
    for cores in held {
        say(&format!("{cores} of {machine_cores} cores"));
        match on(options, &stores, cores).await {
            Ok(point) => points.push(point),
            Err(error) => {
                stores.stop().await;
                return Err(error);
            }
        }
    }
    stores.stop().await;
    Ok(points)
}

async fn on(options: &GrowthOptions, stores: &Stores, cores: usize) -> Result<CorePoint, BenchError> {
    let own_dir = options.data_dir.join(format!("service-{cores}"));
    let mut command = serve(&options.service, &own_dir, &crowd::SETTINGS);
    stores.tell(&mut command);
    let log = options.data_dir.join("service.log");
    let mut service = Service::of_command(stores, on_cores(&command, cores), &log).await?;
    let measured = async {
        let mut crowd = Crowd::new(service.address());
        crowd.grow_to(SERVERS).await?;
        service.wait_until_stored(SERVERS as f64).await?;
        let streams = crowd.streams(&arrays(BATCH_EVENTS), BATCH_EVENTS);
        closed_loop(&mut service, &streams, WARM_UP).await?;
        let measured = closed_loop(&mut service, &streams, options.length).await?;
        Ok(CorePoint {
            cores,
            accepted_per_second: measured.accepted_per_second,
            stored_per_second: measured.stored_per_second,
            service_cpu_us_per_event: measured.service_cpu_us_per_event,
            p99_ms: measured.p99_ms,
        })
    }
    .await;
    service.stop().await;
    measured
}

fn say(what: &str) {
    eprintln!("growth: {what}");
}
