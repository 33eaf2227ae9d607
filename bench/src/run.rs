//! The whole measurement: service, yardstick and bare inserts in turn, round by round.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hyper::Request;
use mohaa_domain::event::Millis;

use crate::connection::Connection;
use crate::engine::{Engine, Rows};
use crate::error::BenchError;
use crate::load::{self, LoadResult, Stream};
use crate::process::{Program, cpu_seconds};
use crate::report::{IngestRound, Report, Settings, Side, StoreRound};
use crate::service::Service;
use crate::traffic::{BATCH_EVENTS, ServerTraffic};

/// Before the first round: caches fill, pools open.
const WARM_UP: Duration = Duration::from_secs(1);

pub struct RunOptions {
    /// The service's program.
    pub service: PathBuf,
    /// This program, which is also the yardstick.
    pub yardstick: PathBuf,
    /// Emptied, filled and removed.
    pub data_dir: PathBuf,
    /// The numbered ClickHouse files.
    pub schema: PathBuf,
    pub connections: usize,
    pub rounds: usize,
    /// Of each load loop.
    pub round_length: Duration,
}

/// # Errors
/// When a program can't be started, or answers what it should not.
pub async fn run(options: &RunOptions) -> Result<Report, BenchError> {
    let data_dir = &options.data_dir;
    let in_data_dir = |source| BenchError::File { path: data_dir.clone(), source };
    if data_dir.exists() {
        std::fs::remove_dir_all(data_dir).map_err(in_data_dir)?;
    }
    std::fs::create_dir_all(data_dir).map_err(in_data_dir)?;
    let mut bench = Bench::start(options).await?;
    let measured = bench.measure(options).await;
    bench.service.stop().await;
    bench.yardstick.stop().await;
    // After a failure the logs are wanted.
    if measured.is_ok() {
        std::fs::remove_dir_all(data_dir).map_err(in_data_dir)?;
    }
    measured
}

struct Bench {
    service: Service,
    yardstick: Program,
    engine: Engine,
    rows: Arc<Rows>,
    batches: Vec<Stream>,
    singles: Vec<Stream>,
}

impl Bench {
    async fn start(options: &RunOptions) -> Result<Self, BenchError> {
        let data_dir = &options.data_dir;
        let traffic: Vec<ServerTraffic> = (0..options.connections).map(ServerTraffic::of_server).collect();
        say("starting the service and its stores");
        let service = Service::start(&options.service, data_dir, &data_dir.join("service.log")).await?;
        let yardstick =
            Program::start(&options.yardstick, &["yardstick"], &data_dir.join("yardstick.log")).await?;
        let engine = Engine::of_data_dir(data_dir, &options.schema)?;
        engine.prepare().await?;

        let mut tokens = Vec::with_capacity(traffic.len());
        for number in 0..traffic.len() {
            tokens.push(Service::add_server(&options.service, data_dir, &format!("bench {number}"))?);
        }
        let began = Instant::now();
        let streams = |bodies: fn(&ServerTraffic) -> &Vec<Bytes>, events_per_body| -> Vec<Stream> {
            let of_server = |(server, token): (&ServerTraffic, &String)| Stream {
                token: token.clone(),
                began,
                bodies: Arc::new(bodies(server).clone()),
                events_per_body,
            };
            traffic.iter().zip(&tokens).map(of_server).collect()
        };
        let batches = streams(|server| &server.batches, BATCH_EVENTS);
        let singles = streams(|server| &server.singles, 1);
        let mut connection = Connection::open(service.address()).await?;
        for (server, token) in traffic.iter().zip(&tokens) {
            let request = Request::post("/api/v1/ingest/events").header("X-Server-Token", token);
            connection.send(request, server.prelude.clone()).await?.success()?;
        }
        let rows = Rows::of_traffic(&traffic, now())?;
        Ok(Self { service, yardstick, engine, rows: Arc::new(rows), batches, singles })
    }

    async fn measure(&mut self, options: &RunOptions) -> Result<Report, BenchError> {
        let mut report = Report::new(Settings {
            connections: options.connections,
            rounds: options.rounds,
            round_seconds: options.round_length.as_secs_f64(),
            batch_events: BATCH_EVENTS,
            batch_body_bytes: mean_body(&self.batches),
            single_body_bytes: mean_body(&self.singles),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            load_average_before: load_average(),
        });
        say("warming up");
        let mut accepted = self.batches.len() as f64;
        for streams in [&self.batches, &self.singles] {
            accepted += load::run(self.service.address(), streams, WARM_UP).await?.accepted_events as f64;
            load::run(self.yardstick.address, streams, WARM_UP).await?;
        }
        self.service.wait_until_stored(accepted).await?;
        for round in 1..=options.rounds {
            say(&format!("round {round} of {}: arrays of {BATCH_EVENTS}", options.rounds));
            self.engine.hold_merges().await?;
            let (service, store) = self.service_round(true, options.round_length).await?;
            let yardstick = self.yardstick_round(&self.batches, options.round_length).await?;
            report.batches.push(IngestRound { service, yardstick });
            if let Some(store) = store {
                say(&format!("round {round} of {}: bare inserts", options.rounds));
                report.store.push(self.bare_round(store).await?);
            }
            self.engine.merge().await?;
            say(&format!("round {round} of {}: single events", options.rounds));
            let (service, _) = self.service_round(false, options.round_length).await?;
            let yardstick = self.yardstick_round(&self.singles, options.round_length).await?;
            report.singles.push(IngestRound { service, yardstick });
        }
        Ok(report)
    }

    /// Posts to the service for a while, and waits until all of it is stored: what a request costs, it costs also
    /// after its answer.
    async fn service_round(
        &mut self,
        in_batches: bool,
        length: Duration,
    ) -> Result<(Side, Option<ServiceStore>), BenchError> {
        let pid = self.service.pid();
        let before = self.service.counts().await?;
        let (service_cpu, engine_cpu, began) = (cpu_seconds(pid)?, self.engine_cpu()?, Instant::now());
        let streams = if in_batches { &self.batches } else { &self.singles };
        let load = load::run(self.service.address(), streams, length).await?;
        let accepted = load.accepted_events as f64;
        let after = self.service.wait_until_stored(before.stored_events + accepted).await?;
        let elapsed = began.elapsed();
        let service_cpu = cpu_seconds(pid)? - service_cpu;
        let side = side(&load, service_cpu)?;
        if !in_batches {
            return Ok((side, None));
        }
        let store = ServiceStore {
            rows: load.accepted_events as usize,
            inserts: (after.inserts - before.inserts) as usize,
            elapsed,
            service_cpu,
            engine_cpu: self.engine_cpu()? - engine_cpu,
        };
        Ok((side, Some(store)))
    }

    async fn yardstick_round(&self, streams: &[Stream], length: Duration) -> Result<Side, BenchError> {
        let cpu = cpu_seconds(self.yardstick.pid)?;
        let load = load::run(self.yardstick.address, streams, length).await?;
        side(&load, cpu_seconds(self.yardstick.pid)? - cpu)
    }

    /// Inserts as many rows as the service just stored, in batches of the same mean size.
    async fn bare_round(&self, service: ServiceStore) -> Result<StoreRound, BenchError> {
        let batch_rows = service.rows.div_ceil(service.inserts.max(1));
        let engine_cpu = self.engine_cpu()?;
        let bare = self.engine.insert(&self.rows, service.rows, batch_rows).await?;
        let bare_engine_cpu = self.engine_cpu()? - engine_cpu;
        let per_row = |cpu: f64| cpu * 1e6 / service.rows as f64;
        Ok(StoreRound {
            rows: service.rows,
            inserts: service.inserts,
            bare_inserts: bare.inserts,
            rows_per_second: service.rows as f64 / service.elapsed.as_secs_f64(),
            bare_rows_per_second: bare.rows as f64 / bare.elapsed.as_secs_f64(),
            service_cpu_us_per_row: per_row(service.service_cpu),
            engine_cpu_us_per_row: per_row(service.engine_cpu),
            bare_engine_cpu_us_per_row: per_row(bare_engine_cpu),
        })
    }

    fn engine_cpu(&self) -> Result<f64, BenchError> {
        self.service.engine_pids.iter().map(|&pid| cpu_seconds(pid)).sum()
    }
}

/// What storing a round took.
struct ServiceStore {
    rows: usize,
    inserts: usize,
    elapsed: Duration,
    service_cpu: f64,
    engine_cpu: f64,
}

fn side(load: &LoadResult, cpu_seconds: f64) -> Result<Side, BenchError> {
    if load.accepted_requests == 0 {
        return Err(BenchError::NothingAccepted);
    }
    Ok(Side {
        requests_per_second: load.requests_per_second(),
        events_per_second: load.events_per_second(),
        accepted_requests: load.accepted_requests,
        refused_requests: load.refused_requests,
        p50_ms: load.latency_ms(0.5),
        p99_ms: load.latency_ms(0.99),
        cpu_us_per_request: cpu_seconds * 1e6 / load.accepted_requests as f64,
    })
}

fn mean_body(streams: &[Stream]) -> usize {
    let bodies: Vec<usize> = streams.iter().flat_map(|stream| stream.bodies.iter().map(Bytes::len)).collect();
    bodies.iter().sum::<usize>() / bodies.len().max(1)
}

fn now() -> Millis {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

/// Of the last minute: others at work on this machine make every figure but the ratios worse.
pub(crate) fn load_average() -> Option<f64> {
    let text = std::fs::read_to_string(Path::new("/proc/loadavg")).ok()?;
    text.split(' ').next()?.parse().ok()
}

fn say(what: &str) {
    eprintln!("bench: {what}");
}
