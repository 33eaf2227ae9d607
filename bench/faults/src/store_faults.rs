//! ClickHouse failing in every way a store can: events are taken until the spool's budget is used up and refused with a
//! cause then, memory stays flat, and afterwards the backlog drains faster than events arrive. A row that is bad by
//! itself ends in the dead letters, alone.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use mohaa_actors::dead_letters::{DeadLetterContent, DeadLetters};

use crate::error::Result;
use crate::load::{Load, MAX_CLIENTS, Manner, Told, post_once};
use crate::metrics::Metrics;
use crate::outcome::Outcome;
use crate::process::ServiceProcess;
use crate::proxy::{FaultProxy, InsertFault};
use crate::service::{eventually_within, metrics};
use crate::stand::Stand;
use crate::verdict::{SETTLE_PATIENCE, Verdict, settled};

/// A full server's events a second, and how many servers a node is asked to serve here.
const NOMINAL_RATE: f64 = 100.0 * SERVERS as f64;
const SERVERS: u64 = 4;
/// How much faster than they arrive events must drain.
const DRAIN_FACTOR: f64 = 5.0;
/// The second half's memory over the first's.
const MEMORY_FACTOR: f64 = 1.1;
const FULL_PATIENCE: Duration = Duration::from_secs(120);
const SAMPLE_EVERY: Duration = Duration::from_millis(100);
/// Longer than the writers wait for the end of an insert.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(125);
const FULL_SPOOL_BYTES: u64 = 24 << 20;
const SHORT_SPOOL_BYTES: u64 = 2 << 20;

/// How long it is played, and whether what takes time is judged or only told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    Full,
    Short,
}

enum Harm {
    Refuse,
    Hang,
    Insert(InsertFault),
    /// A table changed underneath, and how to change it back.
    Table {
        harm: &'static str,
        mend: &'static str,
    },
}

/// What keeps everything from being stored.
const OUTAGES: [(&str, Harm); 9] = [
    ("connection refused", Harm::Refuse),
    ("no answer", Harm::Hang),
    ("500 mid-insert", Harm::Insert(InsertFault::BreakMidway)),
    ("too many parts", Harm::Insert(InsertFault::Exception { code: 252, name: "TOO_MANY_PARTS" })),
    ("memory limit", Harm::Insert(InsertFault::Exception { code: 241, name: "MEMORY_LIMIT_EXCEEDED" })),
    (
        "column dropped",
        Harm::Table {
            harm: "ALTER TABLE raw_events DROP COLUMN inflictor",
            mend: "ALTER TABLE raw_events ADD COLUMN inflictor LowCardinality(String) AFTER means_of_death",
        },
    ),
    (
        "column renamed",
        Harm::Table {
            harm: "ALTER TABLE raw_events RENAME COLUMN inflictor TO inflicted_by",
            mend: "ALTER TABLE raw_events RENAME COLUMN inflicted_by TO inflictor",
        },
    ),
    (
        // As many bytes: without a word on types the values would be taken for others.
        "column of another type",
        Harm::Table {
            harm: "ALTER TABLE raw_events MODIFY COLUMN max_clients Nullable(Float32)",
            mend: "ALTER TABLE raw_events MODIFY COLUMN max_clients Nullable(Int32)",
        },
    ),
    (
        // Of another size: every row behind the first would be misread.
        "column of another size",
        Harm::Table {
            harm: "ALTER TABLE raw_events MODIFY COLUMN max_clients Nullable(Int64)",
            mend: "ALTER TABLE raw_events MODIFY COLUMN max_clients Nullable(Int32)",
        },
    ),
];

struct Theatre {
    stand: Stand,
    proxy: FaultProxy,
    process: ServiceProcess,
    length: Length,
    seed: u64,
    spool_bytes: u64,
}

/// Every fault once; each is an outcome of its own.
///
/// # Errors
/// When a scenario can't be played.
pub async fn store_faults(program: &Path, seed: u64, length: Length) -> Result<Vec<Outcome>> {
    let spool_bytes = if length == Length::Full { FULL_SPOOL_BYTES } else { SHORT_SPOOL_BYTES };
    let spool_setting = spool_bytes.to_string();
    let settings = [
        ("SPOOL_MAX_BYTES", spool_setting.as_str()),
        ("WORKER_BATCH_SIZE", "2000"),
        ("WORKER_BATCH_MAX", "2000"),
    ];
    let stand = Stand::new(program, "store_faults", &settings).await?;
    let proxy = FaultProxy::start(&stand.urls.clickhouse_url).await?;
    let through_proxy = proxy.in_front_of(&stand.urls.clickhouse_url)?;
    if length == Length::Full {
        proxy.hang();
    }
    let process = stand.start_with(&[("CLICKHOUSE_URL", &through_proxy)]).await?;
    let theatre = Theatre { stand, proxy, process, length, seed, spool_bytes };
    let mut told = Told::default();
    let mut outcomes = Vec::new();
    if length == Length::Full {
        outcomes.push(theatre.hanging_at_the_start(&mut told).await?);
    }
    theatre.warm_up(&mut told).await?;
    for (number, (name, harm)) in OUTAGES.iter().enumerate() {
        outcomes.push(theatre.outage(name, harm, number, &mut told).await?);
    }
    outcomes.push(theatre.lost_answers(&mut told).await?);
    outcomes.push(theatre.bad_row(&mut told).await?);
    let mut verdict = Verdict::default();
    crate::crash::end_cleanly(&mut verdict, theatre.process, &theatre.stand).await?;
    if let Some(last) = outcomes.last_mut() {
        last.verdict.problems.extend(verdict.problems);
    }
    Ok(outcomes)
}

impl Theatre {
    fn address(&self) -> SocketAddr {
        self.process.address()
    }

    fn load(&self, label: &str) -> Load {
        let manner = Manner { senders: SERVERS, events: 20..=20, ..Manner::bombardment() };
        Load::start(self.address(), &self.stand.token, label, self.seed, &manner)
    }

    /// A store that hangs when the service starts, and whose first connections never come back.
    async fn hanging_at_the_start(&self, told: &mut Told) -> Result<Outcome> {
        let began = Instant::now();
        let mut verdict = Verdict::default();
        told.merge(post_once(self.address(), &self.stand.token, "start", 0..200).await?);
        // The first question is on its way by then, or asked later and answered.
        tokio::time::sleep(Duration::from_secs(2)).await;
        self.proxy.forget_what_hangs();
        let awake_at = Instant::now();
        verdict.judge(told, 0, self.address(), &self.stand.warehouse).await?;
        let figures = vec![format!("stored {:.0} s after the store awoke", awake_at.elapsed().as_secs_f64())];
        Ok(Outcome { scenario: "no answer at the start", rounds: 1, verdict, figures, took: began.elapsed() })
    }

    /// What it has when all its threads have worked.
    async fn warm_up(&self, told: &mut Told) -> Result<()> {
        let load = self.load("warm");
        let events = self.spool_bytes / 2_000;
        eventually_within(FULL_PATIENCE, "a warm service", async || {
            Ok((load.accepted() > events).then_some(()))
        })
        .await?;
        told.merge(load.stop().await?);
        settled(self.address()).await.map(drop)
    }

    async fn harm(&self, harm: &Harm) -> Result<()> {
        match harm {
            Harm::Refuse => self.proxy.refuse().await,
            Harm::Hang => self.proxy.hang(),
            Harm::Insert(fault) => self.proxy.set(*fault),
            Harm::Table { harm, .. } => self.stand.warehouse.execute(harm).await?,
        }
        Ok(())
    }

    async fn mend(&self, harm: &Harm) -> Result<()> {
        match harm {
            Harm::Table { mend, .. } => self.stand.warehouse.execute(mend).await,
            // The service has given up by itself what will never be answered.
            Harm::Hang if self.length == Length::Full => {
                self.proxy.forget_what_hangs();
                Ok(())
            }
            _ => self.proxy.mend().await,
        }
    }

    async fn outage(
        &self,
        name: &'static str,
        harm: &Harm,
        number: usize,
        told: &mut Told,
    ) -> Result<Outcome> {
        let began = Instant::now();
        let mut verdict = Verdict::default();
        let before = metrics(self.address()).await?;
        let load = self.load(&format!("o{number}"));
        self.harm(harm).await?;
        let harmed_at = Instant::now();
        let memory = Memory::watch(&self.process, async {
            eventually_within(FULL_PATIENCE, "a full spool and an insert that was tried again", async || {
                let refused = "mohaa_events_rejected_total{reason=\"spool_full\"}";
                let now = metrics(self.address()).await?;
                let is_full = now.series(refused)? > before.series(refused)?;
                // After some errors the writers wait longer than it takes to fill a small spool.
                let was_retried = matches!(harm, Harm::Hang) || retries(&now) > retries(&before);
                Ok((is_full && was_retried).then_some(()))
            })
            .await?;
            // As long again, with nothing but refusals.
            let hold = match (self.length, harm) {
                (Length::Full, Harm::Hang) => GIVEN_UP_AFTER.saturating_sub(harmed_at.elapsed()),
                (Length::Full, _) => harmed_at.elapsed().max(Duration::from_secs(5)),
                (Length::Short, _) => harmed_at.elapsed().min(Duration::from_secs(1)),
            };
            tokio::time::sleep(hold).await;
            Ok(())
        })
        .await?;
        let told_now = load.stop().await?;
        let during = metrics(self.address()).await?;
        self.judge_outage(harm, &before, &during, &told_now, &mut verdict)?;
        if self.length == Length::Full {
            verdict.expect(memory.growth() <= MEMORY_FACTOR, || {
                format!("memory grew by the factor {:.2} in the second half", memory.growth())
            });
        }
        let backlog = during.value("mohaa_events_in_flight")?;
        let mended_at = Instant::now();
        self.mend(harm).await?;
        let drain = self.drain(backlog, mended_at).await?;
        if self.length == Length::Full {
            verdict.expect(drain.events_per_second >= DRAIN_FACTOR * NOMINAL_RATE, || {
                format!("it drains {:.0} events/s", drain.events_per_second)
            });
        }
        let figures = vec![
            format!(
                "{} events taken, {} refused",
                told_now.accepted(),
                told_now.refused().values().sum::<u64>()
            ),
            format!("memory {memory}"),
            format!(
                "drained {:.0} events/s after {:.1} s",
                drain.events_per_second,
                drain.pause.as_secs_f64()
            ),
        ];
        told.merge(told_now);
        verdict.judge(told, 0, self.address(), &self.stand.warehouse).await?;
        let changed = self
            .stand
            .warehouse
            .count(&format!(
                "SELECT count() FROM raw_events WHERE type = 'distance' AND ifNull(max_clients, 0) != {MAX_CLIENTS}"
            ))
            .await?;
        verdict.expect(changed == 0, || format!("{changed} rows hold another value than was sent"));
        Ok(Outcome { scenario: name, rounds: 1, verdict, figures, took: began.elapsed() })
    }

    fn judge_outage(
        &self,
        harm: &Harm,
        before: &Metrics,
        during: &Metrics,
        told: &Told,
        verdict: &mut Verdict,
    ) -> Result<()> {
        verdict.expect(told.accepted() > 0, || "nothing was taken".to_owned());
        verdict.expect(told.unanswered() == 0, || format!("{} events had no answer", told.unanswered()));
        for ((status, cause), events) in told.refused() {
            verdict.expect((status, cause.as_str()) == (429, "spool_full"), || {
                format!("{events} events were refused with {status} {cause}")
            });
        }
        let spool = during.value("mohaa_spool_bytes")?;
        verdict.expect(spool <= self.spool_bytes as f64, || format!("the spool has grown to {spool} bytes"));
        // Without an answer it takes two minutes until an insert is tried again.
        if self.length == Length::Full || !matches!(harm, Harm::Hang) {
            verdict.expect(retries(during) > retries(before), || "no insert was tried again".to_owned());
        }
        Ok(())
    }

    /// How fast the backlog goes once it moves.
    async fn drain(&self, backlog: f64, mended_at: Instant) -> Result<Drain> {
        let in_flight = async || metrics(self.address()).await?.value("mohaa_events_in_flight");
        eventually_within(FULL_PATIENCE, "that the backlog moves", async || {
            Ok((in_flight().await? < backlog).then_some(()))
        })
        .await?;
        let pause = mended_at.elapsed();
        settled(self.address()).await?;
        // The first batch was under way before it showed: count from the mending less the pause before it.
        let took = mended_at.elapsed().saturating_sub(pause).max(SAMPLE_EVERY);
        Ok(Drain { pause, events_per_second: backlog / took.as_secs_f64() })
    }

    /// Every answer of an insert is lost: each is verified, none repeated, and nothing piles up for ever.
    async fn lost_answers(&self, told: &mut Told) -> Result<Outcome> {
        let began = Instant::now();
        let mut verdict = Verdict::default();
        let faulted = self.proxy.faulted_inserts();
        self.proxy.set(InsertFault::LoseAnswer);
        let load = self.load("lost");
        let length = if self.length == Length::Full { 15 } else { 2 };
        tokio::time::sleep(Duration::from_secs(length)).await;
        told.merge(load.stop().await?);
        // Still losing answers: verification alone brings everything to its end.
        settled(self.address()).await?;
        let faulted = self.proxy.faulted_inserts() - faulted;
        self.proxy.mend().await?;
        verdict.expect(faulted > 0, || "no answer was lost".to_owned());
        verdict.judge(told, 0, self.address(), &self.stand.warehouse).await?;
        let figures = vec![format!("{faulted} answers lost, {} rows stored once", verdict.stored)];
        Ok(Outcome { scenario: "answer lost", rounds: 1, verdict, figures, took: began.elapsed() })
    }

    async fn bad_row(&self, told: &mut Told) -> Result<Outcome> {
        let began = Instant::now();
        let mut verdict = Verdict::default();
        let constraint = "ALTER TABLE raw_events ADD CONSTRAINT no_bad_row CHECK player_name != 'bad-77'";
        self.stand.warehouse.execute(constraint).await?;
        told.merge(post_once(self.address(), &self.stand.token, "bad", 0..200).await?);
        verdict.judge(told, 1, self.address(), &self.stand.warehouse).await?;
        self.stand.warehouse.execute("ALTER TABLE raw_events DROP CONSTRAINT no_bad_row").await?;
        let stored =
            self.stand.warehouse.count("SELECT count() FROM raw_events WHERE player_name LIKE 'bad-%'");
        let stored = stored.await?;
        verdict.expect(stored == 199, || format!("{stored} of 200 rows are stored"));
        let letters = DeadLetters::open(&self.stand.data_dir().join("spool"))?;
        for id in letters.ids()? {
            let letter = letters.read(&id)?;
            let is_told = letter.reason.contains("no_bad_row")
                && matches!(letter.content, DeadLetterContent::Row { code: 469, .. });
            verdict.expect(is_told, || format!("the dead letter does not say why: {letter:?}"));
            // Nothing forbids it any more.
            letters.ask_for(&id)?;
        }
        eventually_within(SETTLE_PATIENCE, "the dead letter is replayed", async || {
            Ok((letters.count() == 0).then_some(()))
        })
        .await?;
        verdict.judge(told, 0, self.address(), &self.stand.warehouse).await?;
        let figures = vec![
            "199 rows stored, 1 in the dead letters with its reason, and stored when replayed".to_owned(),
        ];
        Ok(Outcome { scenario: "one bad row", rounds: 1, verdict, figures, took: began.elapsed() })
    }
}

struct Drain {
    /// Until the first event moved.
    pause: Duration,
    events_per_second: f64,
}

/// Resident bytes over time.
struct Memory(Vec<u64>);

impl Memory {
    async fn watch(process: &ServiceProcess, work: impl Future<Output = Result<()>>) -> Result<Self> {
        let mut samples = Vec::new();
        tokio::pin!(work);
        loop {
            samples.push(process.resident_bytes()?);
            tokio::select! {
                ended = &mut work => {
                    ended?;
                    return Ok(Self(samples));
                }
                () = tokio::time::sleep(SAMPLE_EVERY) => {}
            }
        }
    }

    fn half_means(&self) -> (f64, f64) {
        let mean = |samples: &[u64]| samples.iter().sum::<u64>() as f64 / samples.len().max(1) as f64;
        let (first, second) = self.0.split_at(self.0.len() / 2);
        (mean(first), mean(second))
    }

    fn growth(&self) -> f64 {
        let (first, second) = self.half_means();
        second / first.max(1.0)
    }
}

impl std::fmt::Display for Memory {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (first, second) = self.half_means();
        let mib = f64::from(1 << 20);
        write!(formatter, "{:.0} then {:.0} MiB", first / mib, second / mib)
    }
}

fn retries(metrics: &Metrics) -> f64 {
    metrics.value("mohaa_batch_insert_retries_total").unwrap_or(0.0)
}
