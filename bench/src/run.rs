//! The way of an event: service, yardstick, bare inserts and inserts of JSON in turn, round by round.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hyper::Request;
use mohaa_domain::event::Millis;
use mohaa_hot::traffic::{BATCH_EVENTS, ServerTraffic};

use crate::connection::Connection;
use crate::engine::{Engine, Rows};
use crate::error::BenchError;
use crate::load::{self, LoadResult, Stream};
use crate::peers::{self, AsyncInserts, PeerRound};
use crate::process::{Program, cpu_seconds};
use crate::report::{IngestRound, Report, Settings, Side, StoreRound};
use crate::service::Service;

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
    let yardstick =
        Program::start(&options.yardstick, &["yardstick"], &data_dir.join("yardstick.log")).await?;
    let bench = Bench {
        traffic: (0..options.connections).map(ServerTraffic::of_server).collect(),
        yardstick,
        options,
    };
    let measured = bench.measure().await;
    bench.yardstick.stop().await;
    // After a failure the logs are wanted.
    if measured.is_ok() {
        std::fs::remove_dir_all(data_dir).map_err(in_data_dir)?;
    }
    measured
}

struct Bench<'a> {
    options: &'a RunOptions,
    traffic: Vec<ServerTraffic>,
    yardstick: Program,
}

/// A service on which the servers' matches have begun.
struct Playing {
    service: Service,
    streams: Vec<Stream>,
    data_dir: PathBuf,
}

impl Bench<'_> {
    async fn measure(&self) -> Result<Report, BenchError> {
        let options = self.options;
        let mut report = Report::new(Settings {
            connections: options.connections,
            rounds: options.rounds,
            round_seconds: options.round_length.as_secs_f64(),
            batch_events: BATCH_EVENTS,
            batch_body_bytes: mean_body(self.traffic.iter().map(|server| &server.batches)),
            single_body_bytes: mean_body(self.traffic.iter().map(|server| &server.singles)),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            load_average_before: load_average(),
        });
        let mut playing = self.start("interval", |server| &server.batches, BATCH_EVENTS).await?;
        let measured = self.measure_arrays(&mut playing, &mut report).await;
        playing.service.stop().await;
        measured?;
        let mut playing = self.start("always", |server| &server.singles, 1).await?;
        let measured = self.measure_singles(&mut playing, &mut report).await;
        playing.service.stop().await;
        measured?;
        Ok(report)
    }

    /// Starts a service whose spool reaches the disk so, and warms it and the yardstick up.
    async fn start(
        &self,
        spool_fsync: &str,
        bodies: fn(&ServerTraffic) -> &Vec<Bytes>,
        events_per_body: usize,
    ) -> Result<Playing, BenchError> {
        say(&format!("starting the service and its stores, SPOOL_FSYNC={spool_fsync}"));
        let data_dir = self.options.data_dir.join(spool_fsync);
        let log = self.options.data_dir.join(format!("{spool_fsync}.log"));
        let program = &self.options.service;
        let mut service = Service::start(program, &data_dir, &log, &[("SPOOL_FSYNC", spool_fsync)]).await?;
        // Each by a run of the program, which takes a while: a connection would be closed meanwhile.
        let mut tokens = Vec::with_capacity(self.traffic.len());
        for number in 0..self.traffic.len() {
            tokens.push(Service::add_server(program, &data_dir, &format!("bench {number}"))?);
        }
        let mut streams = Vec::with_capacity(self.traffic.len());
        let mut connection = Connection::open(service.address()).await?;
        let began = Instant::now();
        for (server, token) in self.traffic.iter().zip(tokens) {
            let request = Request::post(load::INGEST_PATH).header("X-Server-Token", &token);
            connection.send(request, server.prelude.clone()).await?.success()?;
            streams.push(Stream { token, began, bodies: Arc::new(bodies(server).clone()), events_per_body });
        }
        say("warming up");
        let warm = load::run(service.address(), &streams, WARM_UP).await?;
        load::run(self.yardstick.address, &streams, WARM_UP).await?;
        service.wait_until_stored((streams.len() as u64 + warm.accepted_events) as f64).await?;
        Ok(Playing { service, streams, data_dir })
    }

    async fn measure_arrays(&self, playing: &mut Playing, report: &mut Report) -> Result<(), BenchError> {
        let RunOptions { rounds, round_length, schema, .. } = self.options;
        let engine = Engine::of_data_dir(&playing.data_dir, schema)?;
        engine.prepare().await?;
        let rows = Arc::new(Rows::of_traffic(&self.traffic, now())?);
        for round in 1..=*rounds {
            say(&format!("round {round} of {rounds}: arrays of {BATCH_EVENTS}"));
            engine.hold_merges().await?;
            let (service, store) = playing.round(*round_length).await?;
            let yardstick = self.yardstick_round(&playing.streams, *round_length).await?;
            report.batches.push(IngestRound { service, yardstick });
            say(&format!("round {round} of {rounds}: bare inserts"));
            report.store.push(playing.bare_round(&engine, &rows, store).await?);
            engine.merge().await?;
        }
        say("preparing inserts of JSON");
        let inserts = AsyncInserts::prepare(&engine, &rows).await?;
        for round in 1..=*rounds {
            say(&format!("round {round} of {rounds}: {} clients", peers::CLIENTS));
            report.peers.push(playing.peer_round(&inserts, *round_length).await?);
        }
        Ok(())
    }

    async fn measure_singles(&self, playing: &mut Playing, report: &mut Report) -> Result<(), BenchError> {
        let RunOptions { rounds, round_length, .. } = self.options;
        for round in 1..=*rounds {
            say(&format!("round {round} of {rounds}: single events"));
            let (service, _) = playing.round(*round_length).await?;
            let yardstick = self.yardstick_round(&playing.streams, *round_length).await?;
            report.singles.push(IngestRound { service, yardstick });
        }
        Ok(())
    }

    async fn yardstick_round(&self, streams: &[Stream], length: Duration) -> Result<Side, BenchError> {
        let cpu = cpu_seconds(self.yardstick.pid)?;
        let load = load::run(self.yardstick.address, streams, length).await?;
        side(&load, cpu_seconds(self.yardstick.pid)? - cpu)
    }
}

impl Playing {
    /// Posts to the service for a while, and waits until all of it is stored: what a request costs, it costs also
    /// after its answer.
    async fn round(&mut self, length: Duration) -> Result<(Side, ServiceStore), BenchError> {
        let pid = self.service.pid();
        let before = self.service.counts().await?;
        let (service_cpu, engine_cpu, began) = (cpu_seconds(pid)?, self.engine_cpu()?, Instant::now());
        let load = load::run(self.service.address(), &self.streams, length).await?;
        let accepted = load.accepted_events as f64;
        let after = self.service.wait_until_stored(before.stored_events + accepted).await?;
        let elapsed = began.elapsed();
        let service_cpu = cpu_seconds(pid)? - service_cpu;
        let store = ServiceStore {
            rows: load.accepted_events as usize,
            inserts: (after.inserts - before.inserts) as usize,
            elapsed,
            service_cpu,
            engine_cpu: self.engine_cpu()? - engine_cpu,
        };
        Ok((side(&load, service_cpu)?, store))
    }

    /// Inserts as many rows as the service just stored, in batches of the same mean size.
    async fn bare_round(
        &self,
        engine: &Engine,
        rows: &Arc<Rows>,
        service: ServiceStore,
    ) -> Result<StoreRound, BenchError> {
        let batch_rows = service.rows.div_ceil(service.inserts.max(1));
        let engine_cpu = self.engine_cpu()?;
        let bare = engine.insert(rows, service.rows, batch_rows).await?;
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

    /// As many clients post to the service, and then insert by themselves. Merges run as they please: who inserts by himself
    /// has them too.
    async fn peer_round(
        &mut self,
        inserts: &AsyncInserts,
        length: Duration,
    ) -> Result<PeerRound, BenchError> {
        let streams: Vec<Stream> = self.streams.iter().cycle().take(peers::CLIENTS).cloned().collect();
        let stored = self.service.counts().await?.stored_events;
        let began = Instant::now();
        let load = load::run(self.service.address(), &streams, length).await?;
        self.service.wait_until_stored(stored + load.accepted_events as f64).await?;
        let service_elapsed = began.elapsed();
        let by_themselves = inserts.run(length).await?;
        if by_themselves.events == 0 {
            return Err(BenchError::NothingAccepted);
        }
        Ok(PeerRound {
            clients: peers::CLIENTS,
            service_events_per_second: load.accepted_events as f64 / service_elapsed.as_secs_f64(),
            service_accepted_per_second: load.events_per_second(),
            service_refused_requests: load.refused_requests,
            async_events_per_second: by_themselves.events_per_second(),
            async_p50_ms: by_themselves.latency_ms(0.5),
            async_p99_ms: by_themselves.latency_ms(0.99),
            async_events_per_insert: by_themselves.events as f64 / by_themselves.inserts.max(1) as f64,
            gathered_here: inserts.are_gathered_here(),
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

fn mean_body<'a>(bodies: impl Iterator<Item = &'a Vec<Bytes>>) -> usize {
    let bodies: Vec<usize> = bodies.flatten().map(Bytes::len).collect();
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
