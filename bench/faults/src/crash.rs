//! The service killed without warning: at random moments, and at every stage of the way of an event.

use std::path::Path;
use std::time::{Duration, Instant};

use mohaa_spool::crash_point::{self, CrashPoint};
use mohaa_stats::simulate::dice::Dice;

use crate::error::{FaultsError, Result};
use crate::load::{Load, Manner, Told};
use crate::outcome::Outcome;
use crate::process::{ServiceProcess, was_killed};
use crate::stand::Stand;
use crate::verdict::Verdict;

/// Small batches and segments, so that each moment has inserts, seals and rotations under way.
const SETTINGS: [(&str, &str); 4] = [
    ("WORKER_FLUSH_INTERVAL", "20ms"),
    ("WORKER_BATCH_SIZE", "100"),
    ("SPOOL_SEGMENT_BYTES", "64KiB"),
    ("SHUTDOWN_TIMEOUT", "60s"),
];
/// Crashes in a row without a look at what is stored, so that a recovery is often killed itself.
const ROUNDS_BETWEEN_VERDICTS: u64 = 20;
/// Segments are deleted now and then only.
const MOST_PASSAGES: u64 = 4;
/// A crash point that isn't met within this isn't on the way of events any more.
const CRASH_PATIENCE: Duration = Duration::from_secs(30);

/// SIGKILL at random moments under load, `rounds` times.
///
/// # Errors
/// When the scenario can't be played.
pub async fn crash(program: &Path, seed: u64, rounds: u64) -> Result<Outcome> {
    let began = Instant::now();
    let stand = Stand::new(program, "crash", &SETTINGS).await?;
    let (mut verdict, mut told) = (Verdict::default(), Told::default());
    for round in 0..rounds {
        let process = stand.start().await?;
        let kill_after = Duration::from_millis(20 + Dice::new(seed, "kill", &[round]).bits() % 900);
        told.merge(bombard_until_killed(process, &stand.token, seed, round, kill_after).await?);
        let is_last = round + 1 == rounds;
        if (round + 1) % ROUNDS_BETWEEN_VERDICTS == 0 || is_last {
            let process = stand.start().await?;
            verdict.judge(&told, 0, process.address(), &stand.warehouse).await?;
            if !verdict.problems.is_empty() {
                verdict.problems.push(format!("found after round {} of seed {seed}", round + 1));
                break;
            }
            if is_last {
                end_cleanly(&mut verdict, process, &stand).await?;
            } else {
                process.kill().await?;
            }
        }
    }
    let figures =
        vec![format!("{} events accepted, {} without an answer", told.accepted(), told.unanswered())];
    Ok(Outcome { scenario: "crash", rounds, verdict, figures, took: began.elapsed() })
}

/// Bombards a service and ends it before the senders notice.
///
/// # Errors
/// When the service doesn't end.
pub async fn bombard_until_killed(
    process: ServiceProcess,
    token: &str,
    seed: u64,
    round: u64,
    kill_after: Duration,
) -> Result<Told> {
    let load = Load::start(process.address(), token, &format!("r{round}"), seed, &Manner::bombardment());
    // The moment is the scenario's input: there is nothing to wait for.
    tokio::time::sleep(kill_after).await;
    process.kill().await?;
    load.stop().await
}

/// The process kills itself at each [`CrashPoint`] in turn, `rounds` times round.
///
/// # Errors
/// When the scenario can't be played.
pub async fn crash_points(program: &Path, seed: u64, rounds: u64) -> Result<Outcome> {
    let began = Instant::now();
    let stand = Stand::new(program, "crash_points", &SETTINGS).await?;
    let (mut verdict, mut told) = (Verdict::default(), Told::default());
    let marker = stand.data_dir().join("crash-once");
    for round in 0..rounds {
        for (place, point) in CrashPoint::ALL.into_iter().enumerate() {
            let passage = 1 + Dice::new(seed, point.name(), &[round]).bits() % MOST_PASSAGES;
            std::fs::write(&marker, "").map_err(FaultsError::file(&marker))?;
            let armed = format!("{}:{passage}:{}", point.name(), marker.display());
            match stand.start_with(&[(crash_point::VARIABLE, &armed)]).await {
                Ok(mut process) => {
                    let label = format!("p{}", round * CrashPoint::ALL.len() as u64 + place as u64);
                    let load =
                        Load::start(process.address(), &stand.token, &label, seed, &Manner::bombardment());
                    let ended = process.ended_within(CRASH_PATIENCE).await;
                    told.merge(load.stop().await?);
                    let crashed = ended.is_ok_and(was_killed);
                    verdict.expect(crashed, || {
                        format!("{}, passage {passage}, was never reached", point.name())
                    });
                }
                // It came by the point before it listened, while it brought what its predecessor left to the store.
                Err(FaultsError::NotStarted { .. }) if !marker.exists() => {}
                Err(error) => return Err(error),
            }

            // As a supervisor would: with the same environment, in which the variable now does nothing.
            let process = stand.start_with(&[(crash_point::VARIABLE, &armed)]).await?;
            verdict.judge(&told, 0, process.address(), &stand.warehouse).await?;
            if !verdict.problems.is_empty() {
                verdict.problems.push(format!("found after a crash {} (seed {seed})", point.name()));
                break;
            }
            if round + 1 == rounds && place + 1 == CrashPoint::ALL.len() {
                end_cleanly(&mut verdict, process, &stand).await?;
            } else {
                process.kill().await?;
            }
        }
    }
    let figures = vec![format!(
        "{} points; {} events accepted, {} without an answer",
        CrashPoint::ALL.len(),
        told.accepted(),
        told.unanswered()
    )];
    Ok(Outcome { scenario: "crash points", rounds, verdict, figures, took: began.elapsed() })
}

/// SIGTERM to a service with nothing to do: it ends without an error, leaves an empty spool and a clean log.
pub(crate) async fn end_cleanly(verdict: &mut Verdict, process: ServiceProcess, stand: &Stand) -> Result<()> {
    let log = process.log()?;
    verdict.expect(!log.contains("panicked"), || "the log tells of a panic".to_owned());
    verdict.expect(!log.contains(&stand.token), || "the log holds a server's token".to_owned());
    let (status, _) = process.terminate().await?;
    verdict.expect(status.success(), || format!("it ended with {status}"));
    verdict.judge_spool(stand.data_dir())
}
