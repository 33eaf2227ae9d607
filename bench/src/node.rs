//! What one node is like beside its work: how soon it is ready, what it holds when idle and for each match that it follows, and how
//! many pages and JSON answers it gives that it has in memory.
//!
//! The stores are started here and stay while the service comes and goes, so that neither their memory nor their start is taken for
//! its own.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::{Request, StatusCode};
use serde::Serialize;
use tokio::task::JoinSet;

use crate::clickhouse::ClickHouse;
use crate::connection::Connection;
use crate::crowd::{self, Crowd};
use crate::error::BenchError;
use crate::process::{Program, cpu_seconds, resident_bytes};
use crate::queries::{ACCEPT_ENCODING, Known, openapi};
use crate::report::median;
use crate::service::{Service, serve};
use crate::stores::Stores;
use crate::targets::{Measured, Target};

/// Memory that a start took is given back, caches settle.
const SETTLE: Duration = Duration::from_secs(5);
const READY_POLL: Duration = Duration::from_millis(2);
const READY_PATIENCE: Duration = Duration::from_secs(60);
/// Servers whose matches the pages tell of.
const SERVERS: usize = 40;
/// Matches before those whose memory is measured: what the first ones bring along is not of a match.
const FIRST_MATCHES: usize = 240;
/// Requests of 20 events that each match has seen: the 1,000 events of half a minute of a full server.
const REQUESTS_A_MATCH: usize = 50;
/// Connections that ask for pages.
const CONNECTIONS: usize = 16;
const WARM_UP: Duration = Duration::from_secs(1);

pub struct NodeOptions {
    pub service: PathBuf,
    /// This program, which is also the yardstick.
    pub yardstick: PathBuf,
    /// Emptied, filled and removed.
    pub data_dir: PathBuf,
    /// Starts of each kind, and loops of requests.
    pub rounds: usize,
    /// Matches whose memory is measured.
    pub matches: usize,
    /// Of each loop of requests.
    pub length: Duration,
}

/// A closed loop of requests.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct PagesSide {
    pub requests_per_second: f64,
    pub cpu_us_per_request: f64,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub struct NodeReport {
    /// From the start of the process until `/ready` says 200, in seconds.
    pub ready_with_stores: Vec<f64>,
    pub ready_embedded: Vec<f64>,
    /// The very first start, which makes the stores' folders and schemas.
    pub ready_embedded_first: f64,
    pub idle_bytes: u64,
    pub matches: usize,
    pub bytes_per_match: f64,
    pub questions: usize,
    /// Not answered 200, and left out.
    pub unanswered: Vec<String>,
    /// Of an answer as it is sent.
    pub mean_body_bytes: usize,
    pub pages: Vec<PagesSide>,
    pub yardstick: Vec<PagesSide>,
}

/// # Errors
/// When a program or the stores can't be started, or something is not answered as it should be.
pub async fn measure(options: &NodeOptions) -> Result<NodeReport, BenchError> {
    let data_dir = &options.data_dir;
    let in_data_dir = |source| BenchError::File { path: data_dir.clone(), source };
    if data_dir.exists() {
        std::fs::remove_dir_all(data_dir).map_err(in_data_dir)?;
    }
    std::fs::create_dir_all(data_dir).map_err(in_data_dir)?;
    let stores_dir = data_dir.join("stores");
    say("starting the service with embedded stores for the first time");
    let embedded = || {
        let mut command = serve(&options.service, &stores_dir, &[]);
        command.arg("--embedded");
        command
    };
    let log = data_dir.join("service.log");
    let ready_embedded_first = ready_after(embedded(), &log).await?;
    let mut ready_embedded = Vec::new();
    for _ in 0..options.rounds {
        ready_embedded.push(ready_after(embedded(), &log).await?);
    }
    let stores = Stores::of_data_dir(&stores_dir).await?;
    let beside = beside_stores(options, &stores).await;
    stores.stop().await;
    let beside = beside?;
    std::fs::remove_dir_all(data_dir).map_err(in_data_dir)?;
    Ok(NodeReport { ready_embedded, ready_embedded_first, ..beside })
}

async fn beside_stores(options: &NodeOptions, stores: &Stores) -> Result<NodeReport, BenchError> {
    say("starting the service beside stores that run");
    let log = options.data_dir.join("service.log");
    let own_dir = options.data_dir.join("service");
    let mut ready_with_stores = Vec::new();
    for _ in 0..options.rounds {
        let mut command = serve(&options.service, &own_dir, &crowd::SETTINGS);
        stores.tell(&mut command);
        ready_with_stores.push(ready_after(command, &log).await?);
    }
    let mut service = Service::start_on(stores, &options.service, &own_dir, &log, &crowd::SETTINGS).await?;
    let measured = running(options, stores, &mut service).await;
    service.stop().await;
    Ok(NodeReport { ready_with_stores, ..measured? })
}

async fn running(
    options: &NodeOptions,
    stores: &Stores,
    service: &mut Service,
) -> Result<NodeReport, BenchError> {
    let pid = service.pid();
    tokio::time::sleep(SETTLE).await;
    let idle_bytes = resident_bytes(pid)?;

    say("pages");
    let mut crowd = Crowd::new(service.address());
    play(&mut crowd, service, SERVERS).await?;
    let yardstick_log = options.data_dir.join("yardstick.log");
    let yardstick = Program::start(&options.yardstick, &["yardstick"], &yardstick_log).await?;
    let pages = pages(options, stores, service, &yardstick).await;
    yardstick.stop().await;
    let pages = pages?;

    say("memory of matches");
    play(&mut crowd, service, FIRST_MATCHES).await?;
    let before = resident_bytes(pid)?;
    play(&mut crowd, service, FIRST_MATCHES + options.matches).await?;
    let grown = resident_bytes(pid)? as f64 - before as f64;
    let bytes_per_match = grown.max(0.0) / options.matches.max(1) as f64;
    Ok(NodeReport { idle_bytes, matches: options.matches, bytes_per_match, ..pages })
}

/// Adds servers until there are so many, plays their matches, and waits until all is stored and quiet.
async fn play(crowd: &mut Crowd, service: &mut Service, servers: usize) -> Result<(), BenchError> {
    let (first, stored) = (crowd.len(), service.counts().await?.stored_events);
    crowd.grow_to(servers).await?;
    let events = crowd.play(first, REQUESTS_A_MATCH).await? + servers - first;
    service.wait_until_stored(stored + events as f64).await?;
    tokio::time::sleep(SETTLE).await;
    Ok(())
}

/// How long it takes until events are taken; the service is then ended.
async fn ready_after(command: tokio::process::Command, log: &Path) -> Result<f64, BenchError> {
    let began = Instant::now();
    let program = Program::run(command, log).await?;
    let mut connection = Connection::open(program.address).await?;
    let is_ready = loop {
        let answer = connection.send(Request::get("/ready"), Bytes::new()).await?;
        if answer.status == StatusCode::OK {
            break true;
        }
        if began.elapsed() > READY_PATIENCE {
            break false;
        }
        tokio::time::sleep(READY_POLL).await;
    };
    let seconds = began.elapsed().as_secs_f64();
    program.stop().await;
    Ok(if is_ready { seconds } else { f64::NAN })
}

/// Everything that can be asked without parameters, in turn, beside static answers of the mean size.
async fn pages(
    options: &NodeOptions,
    stores: &Stores,
    service: &Service,
    yardstick: &Program,
) -> Result<NodeReport, BenchError> {
    let known = Known::ask(&ClickHouse::of_url(&stores.urls.clickhouse_url)?).await?;
    let mut connection = Connection::open(service.address()).await?;
    let (mut questions, _) = known.questions(&openapi(&mut connection).await?);
    questions.extend(known.pages());
    let (mut paths, mut unanswered, mut bytes) = (Vec::new(), Vec::new(), 0);
    for question in questions.iter().filter(|question| question.is_plain()) {
        let answer = get(&mut connection, &question.path).await?;
        match answer.status {
            StatusCode::OK => {
                bytes += answer.body.len();
                paths.push(question.path.clone());
            }
            status => unanswered.push(format!("{} ({})", question.name, status.as_u16())),
        }
    }
    let mean_body_bytes = bytes / paths.len().max(1);
    let statics = vec![format!("/static/{mean_body_bytes}")];
    asked(service.address(), service.pid(), &paths, WARM_UP).await?;
    asked(yardstick.address, yardstick.pid, &statics, WARM_UP).await?;
    let (mut of_service, mut of_yardstick) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        of_service.push(asked(service.address(), service.pid(), &paths, options.length).await?);
        of_yardstick.push(asked(yardstick.address, yardstick.pid, &statics, options.length).await?);
    }
    Ok(NodeReport {
        ready_with_stores: Vec::new(),
        ready_embedded: Vec::new(),
        ready_embedded_first: 0.0,
        idle_bytes: 0,
        matches: 0,
        bytes_per_match: 0.0,
        questions: paths.len(),
        unanswered,
        mean_body_bytes,
        pages: of_service,
        yardstick: of_yardstick,
    })
}

async fn get(connection: &mut Connection, path: &str) -> Result<crate::connection::Answer, BenchError> {
    let request = Request::get(path).header("Accept-Encoding", ACCEPT_ENCODING);
    connection.send(request, Bytes::new()).await
}

/// Asks for everything in turns on [`CONNECTIONS`] connections, each from another place on.
async fn asked(
    address: SocketAddr,
    pid: u32,
    paths: &[String],
    length: Duration,
) -> Result<PagesSide, BenchError> {
    let (cpu, began) = (cpu_seconds(pid)?, Instant::now());
    let mut loops = JoinSet::new();
    for lane in 0..CONNECTIONS {
        let paths = paths.to_vec();
        loops.spawn(async move {
            let mut connection = Connection::open(address).await?;
            let mut answers = 0_u64;
            for path in paths.iter().cycle().skip(lane * paths.len() / CONNECTIONS) {
                if began.elapsed() >= length {
                    break;
                }
                let answer = get(&mut connection, path).await?;
                if answer.status != StatusCode::OK {
                    return Err(answer.unexpected());
                }
                answers += 1;
            }
            Ok(answers)
        });
    }
    let mut answers = 0;
    while let Some(ended) = loops.join_next().await {
        answers += ended??;
    }
    let seconds = began.elapsed().as_secs_f64();
    Ok(PagesSide {
        requests_per_second: answers as f64 / seconds,
        cpu_us_per_request: (cpu_seconds(pid)? - cpu) * 1e6 / answers.max(1) as f64,
    })
}

impl NodeReport {
    fn requests_per_second(sides: &[PagesSide]) -> f64 {
        median(sides.iter().map(|side| side.requests_per_second))
    }

    fn cpu_us(sides: &[PagesSide]) -> f64 {
        median(sides.iter().map(|side| side.cpu_us_per_request))
    }

    /// What came of the targets.
    pub fn measured(&self) -> Vec<Measured> {
        let starts = |times: &[f64]| {
            let longest = times.iter().copied().fold(0.0, f64::max);
            format!("median of {}, at most {longest:.2} s", times.len())
        };
        let embedded = format!(
            "{}; the first one, which makes them, {:.2} s",
            starts(&self.ready_embedded),
            self.ready_embedded_first
        );
        vec![
            Measured::new(
                Target::CachedPages,
                Self::requests_per_second(&self.pages),
                format!(
                    "{} questions of {} bytes, {:.0} µs each; static {:.0}/s, {:.0} µs; {} not answered",
                    self.questions,
                    self.mean_body_bytes,
                    Self::cpu_us(&self.pages),
                    Self::requests_per_second(&self.yardstick),
                    Self::cpu_us(&self.yardstick),
                    self.unanswered.len()
                ),
            ),
            Measured::new(Target::IdleMemory, self.idle_bytes as f64 / 1e6, "5 s after its start"),
            Measured::new(
                Target::MatchMemory,
                self.bytes_per_match / 1e3,
                format!("growth by {} matches of 32 players and 1,000 events", self.matches),
            ),
            Measured::new(
                Target::StartWithStores,
                median(self.ready_with_stores.iter().copied()),
                starts(&self.ready_with_stores),
            ),
            Measured::new(
                Target::StartEmbedded,
                median(self.ready_embedded.iter().copied()).max(self.ready_embedded_first),
                embedded,
            ),
        ]
    }
}

impl fmt::Display for NodeReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "start to ready       {:.2} s with stores up, {:.2} s with embedded ones, {:.2} s the first time",
            median(self.ready_with_stores.iter().copied()),
            median(self.ready_embedded.iter().copied()),
            self.ready_embedded_first
        )?;
        writeln!(
            out,
            "memory               {:.1} MB idle, {:.1} kB a match of {}",
            self.idle_bytes as f64 / 1e6,
            self.bytes_per_match / 1e3,
            self.matches
        )?;
        writeln!(
            out,
            "pages and JSON       {:.0} requests/s of {} bytes, static ones {:.0}; CPU {:.0} and {:.0} µs each",
            Self::requests_per_second(&self.pages),
            self.mean_body_bytes,
            Self::requests_per_second(&self.yardstick),
            Self::cpu_us(&self.pages),
            Self::cpu_us(&self.yardstick)
        )?;
        if !self.unanswered.is_empty() {
            writeln!(out, "not answered         {}", self.unanswered.join(", "))?;
        }
        Ok(())
    }
}

fn say(what: &str) {
    eprintln!("node: {what}");
}
