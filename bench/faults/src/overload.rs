//! Ten times more than the store takes: it is kept busy, the rest is told so, and nothing else starves.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::Request;
use mohaa_bench::connection::Connection;
use tokio::runtime::Runtime;

use crate::error::{FaultsError, Result};
use crate::load::{Load, Manner, Told};
use crate::outcome::Outcome;
use crate::proxy::{FaultProxy, InsertFault};
use crate::service::metrics;
use crate::stand::Stand;
use crate::store_faults::Length;
use crate::verdict::{Verdict, settled};

/// A small spool, so that refusals begin within seconds; batches that are small beside what a window stores, and
/// writers enough for one to wait while others insert.
const SETTINGS: [(&str, &str); 4] = [
    ("SPOOL_MAX_BYTES", "8MiB"),
    ("WORKER_BATCH_SIZE", "1000"),
    ("WORKER_BATCH_MAX", "1000"),
    ("WORKER_COUNT", "4"),
];
/// Of the clients' threads: elsewhere they would have machines of their own.
const CLIENT_NICENESS: i32 = 10;
const CLIENTS: u64 = 64;
const CALIBRATION: Duration = Duration::from_secs(3);
/// What pages take without load: the rest of the machine is in that figure, too.
const AT_REST: Duration = Duration::from_secs(3);
/// What the store takes of what is offered.
const THROTTLED_TO: f64 = 0.1;
const LEAST_GOODPUT: f64 = 0.9;
/// On a machine that runs other tests, too.
const LEAST_GOODPUT_IN_TESTS: f64 = 0.5;
const PAGE_PATIENCE: Duration = Duration::from_millis(200);
const ASK_EVERY: Duration = Duration::from_millis(50);
const PATHS: [&str; 4] = ["/", "/api/v1/stats/leaderboard", "/health", "/metrics"];

/// # Errors
/// When the scenario can't be played.
pub async fn overload(program: &Path, seed: u64, length: Length) -> Result<Outcome> {
    let began = Instant::now();
    let stand = Stand::new(program, "overload", &SETTINGS).await?;
    let proxy = FaultProxy::start(&stand.urls.clickhouse_url).await?;
    let through_proxy = proxy.in_front_of(&stand.urls.clickhouse_url)?;
    let process = stand.start_with(&[("CLICKHOUSE_URL", &through_proxy)]).await?;
    let address = process.address();
    let (mut verdict, mut told) = (Verdict::default(), Told::default());
    let manner = Manner {
        senders: CLIENTS,
        events: 20..=20,
        pause: Duration::ZERO,
        pause_after_refusal: Duration::ZERO,
        reconnects: true,
    };

    let clients = Clients::start()?;
    let load = clients.load(address, &stand.token, "calibration", seed, &manner);
    tokio::time::sleep(CALIBRATION).await;
    let offered = load.accepted() as f64 / CALIBRATION.as_secs_f64();
    told.merge(load.stop().await?);
    let stored = settled(address).await?.value("mohaa_events_processed_total")?;
    let bytes_per_event = proxy.inserted_bytes() as f64 / stored;
    let peak = offered * THROTTLED_TO;
    proxy.set(InsertFault::Throttle { bytes_per_second: peak * bytes_per_event });

    let at_rest = visit_for(address, AT_REST).await?;
    let is_over = Arc::new(AtomicBool::new(false));
    let visitor = tokio::spawn(visit(address, is_over.clone()));
    let load = clients.load(address, &stand.token, "overload", seed, &manner);
    let (lead, window) = match length {
        Length::Full => (Duration::from_secs(5), Duration::from_secs(55)),
        Length::Short => (Duration::from_secs(2), Duration::from_secs(8)),
    };
    tokio::time::sleep(lead).await;
    let (stored_before, measured_from) = (processed(address).await?, Instant::now());
    tokio::time::sleep(window).await;
    let goodput = (processed(address).await? - stored_before) / measured_from.elapsed().as_secs_f64();
    told.merge(load.stop().await?);
    is_over.store(true, Ordering::Relaxed);
    let visits = visitor.await??;
    proxy.mend().await?;

    let least = if length == Length::Full { LEAST_GOODPUT } else { LEAST_GOODPUT_IN_TESTS };
    verdict.expect(goodput >= least * peak, || {
        format!("{goodput:.0} events/s were stored of {peak:.0} that the store takes")
    });
    let refused = told.refused();
    verdict.expect(!refused.is_empty(), || "nothing was refused".to_owned());
    for ((status, cause), events) in &refused {
        let has_cause = *status == 429 && matches!(cause.as_str(), "spool_full" | "mailbox_full");
        verdict.expect(has_cause, || format!("{events} events were refused with {status} {cause}"));
    }
    for failure in &visits.failures {
        verdict.problems.push(failure.clone());
    }
    let (slowest, p99) = visits.slowest();
    if length == Length::Full {
        verdict.expect(p99 <= PAGE_PATIENCE, || format!("{slowest} took {p99:?} at the 99th percentile"));
    }
    verdict.judge(&told, 0, address, &stand.warehouse).await?;
    crate::crash::end_cleanly(&mut verdict, process, &stand).await?;
    let figures = vec![
        format!("{offered:.0} events/s taken unthrottled, store throttled to {peak:.0}, {goodput:.0} stored"),
        format!("{} events taken, {} refused with 429", told.accepted(), refused.values().sum::<u64>()),
        format!("pages within, at p99: {visits}; at rest: {at_rest}"),
    ];
    Ok(Outcome { scenario: "overload", rounds: 1, verdict, figures, took: began.elapsed() })
}

/// Threads of lower priority than those of the service and its stores.
struct Clients(Option<Runtime>);

impl Clients {
    fn start() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .on_thread_start(|| {
                // Without it the figures are those of a machine that is too small for its clients.
                if let Err(error) = rustix::process::setpriority_process(None, CLIENT_NICENESS) {
                    eprintln!("faults: the clients' priority can't be lowered: {error}");
                }
            })
            .enable_all()
            .build()
            .map_err(FaultsError::Clients)?;
        Ok(Self(Some(runtime)))
    }

    fn load(&self, address: SocketAddr, token: &str, label: &str, seed: u64, manner: &Manner) -> Load {
        let _runtime = self.0.as_ref().map(Runtime::enter);
        Load::start(address, token, label, seed, manner)
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        // In a runtime another can't be waited for.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

async fn processed(address: SocketAddr) -> Result<f64> {
    metrics(address).await?.value("mohaa_events_processed_total")
}

#[derive(Default)]
struct Visits {
    latencies: BTreeMap<&'static str, Vec<Duration>>,
    failures: Vec<String>,
}

impl Visits {
    fn p99s(&self) -> impl Iterator<Item = (&'static str, Duration)> {
        self.latencies.iter().map(|(path, latencies)| {
            let mut sorted = latencies.clone();
            sorted.sort_unstable();
            (*path, sorted.get(sorted.len() * 99 / 100).copied().unwrap_or_default())
        })
    }

    fn slowest(&self) -> (&'static str, Duration) {
        self.p99s().max_by_key(|(_, p99)| *p99).unwrap_or_default()
    }
}

impl std::fmt::Display for Visits {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let told: Vec<String> =
            self.p99s().map(|(path, p99)| format!("{path} {:.0} ms", p99.as_secs_f64() * 1000.0)).collect();
        formatter.write_str(&told.join(", "))
    }
}

async fn visit_for(address: SocketAddr, length: Duration) -> Result<Visits> {
    let is_over = Arc::new(AtomicBool::new(false));
    let visitor = tokio::spawn(visit(address, is_over.clone()));
    tokio::time::sleep(length).await;
    is_over.store(true, Ordering::Relaxed);
    visitor.await?
}

/// Somebody who looks at pages meanwhile.
async fn visit(address: SocketAddr, is_over: Arc<AtomicBool>) -> Result<Visits> {
    let mut connection = Connection::open(address).await?;
    let mut visits = Visits::default();
    for path in PATHS.into_iter().cycle() {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let asked_at = Instant::now();
        let answer = connection.send(Request::get(path), Bytes::new()).await?;
        visits.latencies.entry(path).or_default().push(asked_at.elapsed());
        if !answer.status.is_success() {
            visits.failures.push(format!("{path} answered {}", answer.status));
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
    Ok(visits)
}
