//! SIGTERM under load: readiness drops before connections are refused, nothing accepted is lost, the process ends in
//! time. With the store away it ends in time all the same; with a second signal, at once.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use mohaa_stats::simulate::dice::Dice;
use rustix::process::Signal;

use crate::error::{FaultsError, Result};
use crate::load::{Load, Manner, Told};
use crate::outcome::Outcome;
use crate::proxy::FaultProxy;
use crate::service::get;
use crate::stand::Stand;
use crate::verdict::Verdict;

const TIMEOUT: Duration = Duration::from_secs(4);
/// The end of a process after its last line: threads, memory, a loaded machine.
const SLACK: Duration = Duration::from_secs(1);
/// "At once", on a loaded machine.
const AT_ONCE: Duration = Duration::from_secs(1);
const ASK_EVERY: Duration = Duration::from_millis(10);
/// A shell's word for a process that SIGTERM ended.
const ENDED_BY_SIGTERM: i32 = 143;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    StoreIsThere,
    StoreIsAway,
    ToldTwice,
}

/// `rounds` times each: a store that is there, one that is away, one that is away and a second SIGTERM.
///
/// # Errors
/// When the scenario can't be played.
pub async fn shutdown(program: &Path, seed: u64, rounds: u64) -> Result<Outcome> {
    let began = Instant::now();
    let timeout = format!("{}s", TIMEOUT.as_secs());
    let stand = Stand::new(program, "shutdown", &[("SHUTDOWN_TIMEOUT", &timeout)]).await?;
    let proxy = FaultProxy::start(&stand.urls.clickhouse_url).await?;
    let through_proxy = proxy.in_front_of(&stand.urls.clickhouse_url)?;
    let (mut verdict, mut told) = (Verdict::default(), Told::default());
    let mut figures = Vec::new();
    for variant in [Variant::StoreIsThere, Variant::StoreIsAway, Variant::ToldTwice] {
        let mut longest = Duration::ZERO;
        for round in 0..rounds {
            let mut dice = Dice::new(seed, "shutdown", &[variant as u64, round]);
            let mut process = stand.start_with(&[("CLICKHOUSE_URL", &through_proxy)]).await?;
            let manner = Manner { senders: 8, reconnects: true, ..Manner::bombardment() };
            let label = format!("{variant:?}{round}");
            let load = Load::start(process.address(), &stand.token, &label, seed, &manner);
            let readiness = tokio::spawn(watch_readiness(process.address()));
            let mut pause =
                async |most: u64| tokio::time::sleep(Duration::from_millis(100 + dice.bits() % most)).await;
            pause(500).await;
            if variant != Variant::StoreIsThere {
                proxy.refuse().await;
                pause(300).await;
            }
            let mut asked_at = Instant::now();
            process.signal(Signal::TERM);
            if variant == Variant::ToldTwice {
                pause(1_500).await;
                asked_at = Instant::now();
                process.signal(Signal::TERM);
            }
            let status = process.ended_within(TIMEOUT * 3).await?;
            let took = asked_at.elapsed();
            longest = longest.max(took);
            told.merge(load.stop().await?);
            readiness.await??.judge(variant, &mut verdict);
            let (most, code) = match variant {
                Variant::ToldTwice => (AT_ONCE, ENDED_BY_SIGTERM),
                _ => (TIMEOUT + SLACK, 0),
            };
            verdict.expect(took <= most, || format!("{variant:?}: it took {took:?} to end"));
            verdict.expect(status.code() == Some(code), || format!("{variant:?}: it ended with {status}"));
            proxy.mend().await?;
        }
        figures.push(format!("{variant:?}: ended within {:.1} s", longest.as_secs_f64()));
    }
    for ((status, cause), events) in told.refused() {
        verdict.expect((status, cause.as_str()) == (503, "draining"), || {
            format!("{events} events were refused with {status} {cause}")
        });
    }
    let process = stand.start().await?;
    verdict.judge(&told, 0, process.address(), &stand.warehouse).await?;
    crate::crash::end_cleanly(&mut verdict, process, &stand).await?;
    figures.push(format!("{} events accepted, {} without an answer", told.accepted(), told.unanswered()));
    Ok(Outcome { scenario: "shutdown", rounds, verdict, figures, took: began.elapsed() })
}

/// What `/ready` said on new connections, up to the first that was refused.
#[derive(Default)]
struct Readiness {
    was_ready: bool,
    unready_answers: u64,
}

async fn watch_readiness(address: SocketAddr) -> Result<Readiness> {
    let mut readiness = Readiness::default();
    loop {
        match get(address, "/ready").await {
            Ok(answer) if answer.status == StatusCode::OK => readiness.was_ready = true,
            Ok(_) => readiness.unready_answers += 1,
            Err(FaultsError::Bench(_)) => return Ok(readiness),
            Err(error) => return Err(error),
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

impl Readiness {
    fn judge(&self, variant: Variant, verdict: &mut Verdict) {
        verdict.expect(self.was_ready, || format!("{variant:?}: it never was ready"));
        verdict.expect(self.unready_answers > 0, || {
            format!("{variant:?}: connections were refused before readiness dropped")
        });
    }
}
