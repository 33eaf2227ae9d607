//! Compares roll-ups with a recount of their base table, and replaces the days on which they differ.
//!
//! Needed after the store stopped uncleanly: an insert that was under way may have reached `raw_events` and not its
//! views, or the other way round. A recount runs the view's own SELECT over one day of `raw_events` into a table
//! beside the target, and a day that differs is exchanged as a whole (REPLACE PARTITION). Then the sums of all days are
//! recounted from the days and exchanged likewise. The writers wait meanwhile; the spool takes what arrives.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clickhouse::{Client, Row};
use mohaa_actors::clock::Clock;
use mohaa_actors::pipeline::Pipeline;
use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use serde::Deserialize;
use tokio::sync::RwLock;

use super::schema::{ROLLUPS, Rollup, Span};
use super::touched_days::TouchedDays;
use crate::data_version::DataVersion;

/// How often the store is asked since when it runs.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);
/// Statements that move a day's rows; a recount reads a whole day.
const STATEMENT_SECONDS: u64 = 600;
/// Of a store that takes the connection and does not answer. Writers wait while days are compared, so nothing here may
/// wait for ever.
const STATEMENT_PATIENCE: Duration = Duration::from_secs(STATEMENT_SECONDS + 30);
/// A recount of everything may have more groups than memory has room for; beyond, they go to disk.
const MOST_GROUPING_BYTES: &str = "1000000000";
const QUESTION_PATIENCE: Duration = Duration::from_secs(10);
/// Start times are computed from two clocks of one second's resolution.
const SAME_START_SECONDS: i64 = 3;

type Result<T> = std::result::Result<T, clickhouse::error::Error>;

pub struct Reconciler {
    client: Client,
    gate: Arc<RwLock<()>>,
    touched_days: Arc<TouchedDays>,
    /// Days that `raw_events` keeps, 0 without a limit.
    raw_events_ttl_days: u32,
    clock: Clock,
    comparisons: Arc<Comparisons>,
    differing_days: IntGaugeVec,
    data_version: DataVersion,
    unverified_days: IntGauge,
    mended_days: IntCounterVec,
}

/// How far the comparisons have come. Until they are up to date, the list of touched days must be kept: a service that
/// ends before would leave a difference that nobody looks for again.
pub struct Comparisons {
    doubtful_inserts: Arc<AtomicU64>,
    /// The doubtful inserts that the last comparison knew of; none before the first.
    compared: Mutex<Option<u64>>,
}

impl Comparisons {
    pub fn are_up_to_date(&self) -> bool {
        *self.compared.lock().unwrap_or_else(PoisonError::into_inner)
            == Some(self.doubtful_inserts.load(Ordering::Acquire))
    }
}

/// What is compared, and exchanged, as a whole.
#[derive(Clone, Copy, Debug)]
enum Part {
    /// Days since 1970, by the expression that the table is partitioned by.
    Day {
        expression: &'static str,
        day: i32,
    },
    Everything,
}

#[derive(Row, Deserialize, PartialEq, Eq, Debug)]
struct Fingerprint {
    rows: u64,
    hash: u64,
}

impl Reconciler {
    /// # Errors
    /// When `registry` already holds a metric of the same name.
    pub fn new(
        client: Client,
        pipeline: &Pipeline,
        touched_days: Arc<TouchedDays>,
        raw_events_ttl_days: u32,
        clock: Clock,
        data_version: DataVersion,
        registry: &Registry,
    ) -> std::result::Result<Self, prometheus::Error> {
        let differing_days = IntGaugeVec::new(
            Opts::new("mohaa_rollup_drift_days", "Days on which a roll-up differs from its base table."),
            &["rollup"],
        )?;
        registry.register(Box::new(differing_days.clone()))?;
        let unverified_days = IntGauge::new(
            "mohaa_rollup_unverified_days",
            "Days whose roll-ups were not compared with their base table since the store was away, started anew, or \
             ended an insert unclearly.",
        )?;
        registry.register(Box::new(unverified_days.clone()))?;
        let mended_days = IntCounterVec::new(
            Opts::new("mohaa_rollup_mended_days_total", "Days of a roll-up that differed and were replaced."),
            &["rollup"],
        )?;
        registry.register(Box::new(mended_days.clone()))?;
        for rollup in ROLLUPS {
            differing_days.with_label_values(&[rollup.table]).set(0);
            mended_days.with_label_values(&[rollup.table]);
        }
        let client = client.with_setting("max_execution_time", STATEMENT_SECONDS.to_string());
        Ok(Self {
            client,
            gate: pipeline.gate.clone(),
            touched_days,
            raw_events_ttl_days,
            clock,
            comparisons: Arc::new(Comparisons {
                doubtful_inserts: pipeline.doubtful_inserts.clone(),
                compared: Mutex::new(None),
            }),
            differing_days,
            data_version,
            unverified_days,
            mended_days,
        })
    }

    pub fn comparisons(&self) -> Arc<Comparisons> {
        self.comparisons.clone()
    }

    /// Compares the touched days once at the start, whenever the store has been started anew, and whenever rows
    /// were stored after an attempt without a clear end; for ever.
    pub async fn watch(self) {
        let mut reconciled: Option<(i64, u64)> = None;
        loop {
            let doubtful_inserts = self.comparisons.doubtful_inserts.load(Ordering::Acquire);
            let is_reconciled = |started_at: i64| {
                reconciled.is_some_and(|(known_start, known_doubtful)| {
                    (known_start - started_at).abs() <= SAME_START_SECONDS
                        && known_doubtful == doubtful_inserts
                })
            };
            match self.store_started_at().await {
                Ok(started_at) if is_reconciled(started_at) => self.unverified_days.set(0),
                Ok(started_at) => {
                    self.mark_unverified();
                    match self.reconcile().await {
                        Ok(()) => {
                            reconciled = Some((started_at, doubtful_inserts));
                            *self.comparisons.compared.lock().unwrap_or_else(PoisonError::into_inner) =
                                Some(doubtful_inserts);
                            self.unverified_days.set(0);
                        }
                        Err(error) => tracing::warn!(%error, "roll-ups can't be compared yet"),
                    }
                }
                Err(error) => {
                    self.mark_unverified();
                    tracing::debug!(%error, "the store can't be asked since when it runs");
                }
            }
            tokio::time::sleep(WATCH_INTERVAL).await;
        }
    }

    fn mark_unverified(&self) {
        self.unverified_days.set(self.days_to_compare().len() as i64);
    }

    /// The touched days whose events are all there. A recount of a day that `RAW_EVENTS_TTL` has begun to empty would
    /// take from the roll-ups what they are kept for.
    fn days_to_compare(&self) -> Vec<i32> {
        let ttl = i32::try_from(self.raw_events_ttl_days).unwrap_or(i32::MAX);
        let oldest_whole = match ttl {
            0 => i32::MIN,
            days => self.clock.now().day().saturating_sub(days) + 1,
        };
        self.touched_days.all().into_iter().filter(|day| *day >= oldest_whole).collect()
    }

    async fn store_started_at(&self) -> Result<i64> {
        let question = "SELECT toInt64(toUnixTimestamp(now())) - toInt64(uptime())";
        within(QUESTION_PATIENCE, self.client.query(question).fetch_one()).await
    }

    /// A statement that changes something.
    async fn execute(&self, statement: &str) -> Result<()> {
        within(STATEMENT_PATIENCE, self.client.query_raw(statement).execute()).await
    }

    async fn date_of(&self, day: i32) -> Result<String> {
        within(QUESTION_PATIENCE, self.client.query("SELECT toString(toDate(?))").bind(day).fetch_one()).await
    }

    /// Compares every touched day and mends what differs. Writers wait until it returns.
    ///
    /// # Errors
    /// When ClickHouse can't be reached; what was not compared is still in the list.
    pub async fn reconcile(&self) -> Result<()> {
        let days = self.days_to_compare();
        if days.is_empty() {
            return Ok(());
        }
        let _writers_wait = self.gate.write().await;
        for rollup in ROLLUPS {
            let parts: Vec<Part> = match rollup.span {
                Span::Day(expression) => days.iter().map(|&day| Part::Day { expression, day }).collect(),
                Span::AllDays => vec![Part::Everything],
            };
            let mut differing = Vec::new();
            for part in parts {
                if self.recount(*rollup, part).await? {
                    differing.push(part);
                    self.differing_days.with_label_values(&[rollup.table]).set(differing.len() as i64);
                }
            }
            for &part in &differing {
                self.replace(*rollup, part).await?;
                self.mended_days.with_label_values(&[rollup.table]).inc();
            }
            self.drop_recount(*rollup).await?;
            self.differing_days.with_label_values(&[rollup.table]).set(0);
        }
        tracing::info!(days = days.len(), "roll-ups agree with their base table");
        Ok(())
    }

    fn recount_table(rollup: Rollup) -> String {
        format!("{}_recount", rollup.table)
    }

    /// Recounts a part beside the target; says whether they differ.
    async fn recount(&self, rollup: Rollup, part: Part) -> Result<bool> {
        let recount = Self::recount_table(rollup);
        let target = rollup.table;
        self.execute(&format!("CREATE TABLE IF NOT EXISTS {recount} AS {target}")).await?;
        let partition = self.partition_of(part).await?;
        self.execute(&format!("ALTER TABLE {recount} DROP PARTITION {partition}")).await?;
        let before = match part {
            Part::Day { .. } => None,
            Part::Everything => Some(self.fingerprint(target, rollup, part).await?),
        };
        let select = self.view_select(rollup, part).await?;
        let insert = self
            .client
            .query_raw(&format!("INSERT INTO {recount} {select}"))
            .with_setting("insert_deduplicate", "0")
            .with_setting("max_bytes_before_external_group_by", MOST_GROUPING_BYTES);
        within(STATEMENT_PATIENCE, insert.execute()).await?;
        let expected = self.fingerprint(&recount, rollup, part).await?;
        let found = self.fingerprint(target, rollup, part).await?;
        if expected == found {
            return Ok(false);
        }
        // Other nodes' writers don't wait for us, and a recount of everything takes longer than one of a day.
        if before.is_some_and(|before| before != found) {
            let message = format!("another node stores into {target} while it is recounted");
            return Err(clickhouse::error::Error::Custom(message));
        }
        tracing::warn!(target, partition, ?expected, ?found, "a roll-up differs from its base table");
        Ok(true)
    }

    /// As statements name it.
    async fn partition_of(&self, part: Part) -> Result<String> {
        match part {
            Part::Day { day, .. } => Ok(format!("'{}'", self.date_of(day).await?)),
            Part::Everything => Ok("tuple()".to_owned()),
        }
    }

    /// The view's SELECT; of a day over that day of the base table alone.
    async fn view_select(&self, rollup: Rollup, part: Part) -> Result<String> {
        let ask_for_select = self
            .client
            .query("SELECT as_select FROM system.tables WHERE database = currentDatabase() AND name = ?")
            .bind(format!("{}_mv", rollup.table));
        let select: String = within(QUESTION_PATIENCE, ask_for_select.fetch_one()).await?;
        let Part::Day { day, .. } = part else { return Ok(select) };
        let ask_for_database = self.client.query("SELECT currentDatabase()");
        let database: String = within(QUESTION_PATIENCE, ask_for_database.fetch_one()).await?;
        let one_day =
            format!("FROM (SELECT * FROM raw_events WHERE toDate(event_at) = toDate({day})) AS raw_events");
        let restricted = select
            .replace(&format!("FROM {database}.raw_events"), &one_day)
            .replace(&format!("FROM `{database}`.raw_events"), &one_day);
        if restricted == select {
            let message = format!("the view of {} does not read raw_events as expected", rollup.table);
            return Err(clickhouse::error::Error::Custom(message));
        }
        Ok(restricted)
    }

    /// Row count and an order-free hash of a part. Names and other values kept as aggregate states are left out:
    /// they follow from the same rows, and a tie between two of them may fall either way.
    async fn fingerprint(&self, table: &str, rollup: Rollup, part: Part) -> Result<Fingerprint> {
        let ask_for_columns = self
            .client
            .query(
                "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = ? \
                 AND NOT startsWith(type, 'AggregateFunction') ORDER BY position",
            )
            .bind(table);
        let columns: Vec<String> = within(QUESTION_PATIENCE, ask_for_columns.fetch_all()).await?;
        let columns = columns.join(", ");
        let condition = match part {
            Part::Day { expression, day } => format!("WHERE {expression} = toDate({day})"),
            Part::Everything => String::new(),
        };
        let added_up = if rollup.adds_up { "FINAL" } else { "" };
        let ask = self.client.query_raw(&format!(
            "SELECT count() AS rows, sum(cityHash64(tuple({columns}))) AS hash FROM {table} {added_up} {condition}"
        ));
        within(STATEMENT_PATIENCE, ask.fetch_one()).await
    }

    async fn replace(&self, rollup: Rollup, part: Part) -> Result<()> {
        let recount = Self::recount_table(rollup);
        let partition = self.partition_of(part).await?;
        let target = rollup.table;
        self.execute(&format!("ALTER TABLE {target} REPLACE PARTITION {partition} FROM {recount}")).await?;
        self.data_version.changed();
        tracing::info!(target, partition, "a part of a roll-up was recounted and replaced");
        Ok(())
    }

    async fn drop_recount(&self, rollup: Rollup) -> Result<()> {
        self.execute(&format!("DROP TABLE IF EXISTS {}", Self::recount_table(rollup))).await
    }
}

async fn within<T>(patience: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(patience, work).await.unwrap_or(Err(clickhouse::error::Error::TimedOut))
}
