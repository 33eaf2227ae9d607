//! The ClickHouse engine killed while it inserts: no acknowledged row is missing or doubled, and roll-ups come to agree
//! with their base table by themselves, a metric saying meanwhile that they may not.

use std::path::Path;
use std::time::{Duration, Instant};

use mohaa_stats::simulate::dice::Dice;

use crate::error::{FaultsError, Result};
use crate::load::{Load, Manner, Told};
use crate::outcome::Outcome;
use crate::process::{ServiceProcess, kill_store};
use crate::service::{eventually_within, metrics};
use crate::stand::server_token;
use crate::verdict::{ROLLUP_PATIENCE, Verdict, settled};
use crate::warehouse::Warehouse;

/// Many small inserts, so that a kill meets one under way.
const SETTINGS: [(&str, &str); 2] = [("WORKER_FLUSH_INTERVAL", "10ms"), ("WORKER_BATCH_SIZE", "200")];
const ROUNDS_BETWEEN_VERDICTS: u64 = 5;
/// A supervisor waits up to 5 s before it starts an engine again that keeps dying, and a writer pauses as long.
const RESTART_PATIENCE: Duration = Duration::from_secs(60);

/// Kills the private engine of `serve --embedded`, `rounds` times.
///
/// # Errors
/// When the scenario can't be played.
pub async fn engine_kill(program: &Path, seed: u64, rounds: u64) -> Result<Outcome> {
    let began = Instant::now();
    let data_dir = passable_directory()?;
    let process = ServiceProcess::start_embedded(program, data_dir.path(), &SETTINGS).await?;
    let address = process.address();
    let token = server_token(&store_url(data_dir.path(), "POSTGRES_URL")?).await?;
    let warehouse = Warehouse::new(&store_url(data_dir.path(), "CLICKHOUSE_URL")?)?;
    let (mut verdict, mut told) = (Verdict::default(), Told::default());
    // Inserts all the time, and few enough rows for twenty verdicts.
    let manner = Manner { events: 5..=40, pause: Duration::from_millis(20), ..Manner::bombardment() };
    let mut load = None;
    let (mut unverified_rounds, mut slowest_verification) = (0, Duration::ZERO);
    for round in 0..rounds {
        let mut dice = Dice::new(seed, "engine", &[round]);
        load.get_or_insert_with(|| Load::start(address, &token, &format!("e{round}"), seed, &manner));
        let stored_before = stored(address).await?;
        eventually_within(RESTART_PATIENCE, "that inserts go on", async || {
            Ok((stored(address).await? > stored_before).then_some(()))
        })
        .await?;
        tokio::time::sleep(Duration::from_millis(dice.bits() % 200)).await;
        let victim = process.engine_pid()?.ok_or(FaultsError::NoEngine)?;
        kill_store(victim);
        let killed_at = Instant::now();
        eventually_within(RESTART_PATIENCE, "that a metric says the roll-ups may be off", async || {
            Ok((unverified_days(address).await? > 0.0).then_some(()))
        })
        .await?;
        unverified_rounds += 1;
        // The killed one may still be seen: its memory takes a moment to be given back.
        eventually_within(RESTART_PATIENCE, "a new engine", async || {
            Ok(process.engine_pid()?.filter(|engine| *engine != victim))
        })
        .await?;
        if (round + 1) % ROUNDS_BETWEEN_VERDICTS == 0 || round + 1 == rounds {
            if let Some(load) = load.take() {
                told.merge(load.stop().await?);
            }
            settled(address).await?;
            eventually_within(ROLLUP_PATIENCE, "that roll-ups are verified", async || {
                Ok((unverified_days(address).await? == 0.0).then_some(()))
            })
            .await?;
            slowest_verification = slowest_verification.max(killed_at.elapsed());
            // Nothing moves any more: once the metric says so, they must agree.
            let differing = warehouse.differing_rollups().await?;
            verdict.expect(differing.is_empty(), || {
                format!("verified roll-ups differ after round {}: {}", round + 1, differing.join("; "))
            });
            verdict.judge(&told, 0, address, &warehouse).await?;
            if !verdict.problems.is_empty() {
                verdict.problems.push(format!("found after round {} of seed {seed}", round + 1));
                break;
            }
        }
    }
    let books = metrics(address).await?;
    let (status, _) = process.terminate().await?;
    verdict.expect(status.success(), || format!("it ended with {status}"));
    verdict.judge_spool(data_dir.path())?;
    let figures = vec![
        format!("{} events accepted, all stored once", told.accepted()),
        format!("{} rows sent again", books.value("mohaa_batch_reinserted_rows_total")?),
        format!("{} days of roll-ups mended", books.value("mohaa_rollup_mended_days_total")?),
        format!("unverified told after {unverified_rounds} kills"),
        format!("verified within {:.0} s of the kill", slowest_verification.as_secs_f64()),
    ];
    Ok(Outcome { scenario: "engine kill", rounds, verdict, figures, took: began.elapsed() })
}

async fn stored(address: std::net::SocketAddr) -> Result<f64> {
    metrics(address).await?.value("mohaa_events_processed_total")
}

async fn unverified_days(address: std::net::SocketAddr) -> Result<f64> {
    metrics(address).await?.value("mohaa_rollup_unverified_days")
}

/// PostgreSQL under another user has to reach its files in it.
///
/// # Errors
/// When it can't be made.
pub fn passable_directory() -> Result<tempfile::TempDir> {
    use std::os::unix::fs::PermissionsExt as _;
    let passable = std::fs::Permissions::from_mode(0o711);
    tempfile::Builder::new().permissions(passable).tempdir().map_err(FaultsError::file(std::env::temp_dir()))
}

/// What `stores.env` names.
///
/// # Errors
/// When it can't be read, or does not.
pub fn store_url(data_dir: &Path, name: &str) -> Result<String> {
    let path = data_dir.join("stores.env");
    let stores = std::fs::read_to_string(&path).map_err(FaultsError::file(&path))?;
    let url = stores.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    url.map(str::to_owned).ok_or_else(|| FaultsError::StoreAddress(format!("{name} is not in stores.env")))
}
