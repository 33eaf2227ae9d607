//! Compares roll-ups with a recount of their base table, and replaces the days on which they differ.
//!
//! Needed after the store stopped uncleanly: an insert that was under way may have reached `raw_events` and not its
//! views, or the other way round. A recount runs the view's own SELECT over one day of `raw_events` into a table
//! beside the target, and a day that differs is exchanged as a whole (REPLACE PARTITION). Then the sums of all days are
//! recounted from the days and exchanged likewise. The writers wait meanwhile; the spool takes what arrives.
//!
//! An insert reaches `raw_events` and its views one after the other. One that runs during a recount would be in one of
//! them only, and the exchange would lose it or count it twice. So a part is compared again until no insert ran while it
//! was, wherever inserts come from; and so that this is soon, the writers of other nodes stand aside: who compares holds
//! a lock in PostgreSQL, which everybody looks at.
//!
//! Of a cluster each shard is compared by itself, on one of its replicas: what it counts is of its own events.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clickhouse::{Client, Row};
use mohaa_actors::clock::Clock;
use mohaa_actors::pipeline::Pipeline;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use serde::Deserialize;
use sqlx::{PgPool, Postgres, Transaction};
use tokio::sync::RwLock;
use uuid::Uuid;

use super::cluster::form::engine_without_replication;
use super::cluster::schema::engine_of;
use super::cluster::{ClusterError, Engines, Node};
use super::inserts;
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
/// Other nodes see within [`WATCH_INTERVAL`] that they are to stand aside, and end the inserts that they have begun.
const PATIENCE_FOR_QUIET: Duration = Duration::from_secs(60);
const LOOK_FOR_QUIET: Duration = Duration::from_millis(500);
/// How long the writers stand aside for another node at most. It may have died in a way that keeps its lock.
const LONGEST_STANDING_ASIDE: Duration = Duration::from_secs(600);
/// Of the advisory lock that is held by whoever compares, or else needs that nothing is stored for a while.
pub const COMPARISON_LOCK: (i32, i32) = (18, 1);
/// Within this time every node has seen that somebody holds it.
pub const STANDING_ASIDE_WITHIN: Duration = Duration::from_secs(3);
/// Start times are computed from two clocks of one second's resolution.
const SAME_START_SECONDS: i64 = 3;

/// When each engine was started, in seconds since 1970.
type Starts = BTreeMap<String, i64>;

/// Whether none was started anew, as far as both know it.
fn are_the_same_starts(known: &Starts, found: &Starts) -> bool {
    found.iter().all(|(node, started_at)| {
        known.get(node).is_some_and(|known| (known - started_at).abs() <= SAME_START_SECONDS)
    })
}

type Result<T> = std::result::Result<T, clickhouse::error::Error>;

#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    #[error(transparent)]
    Store(#[from] clickhouse::error::Error),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error("another node compares")]
    AnotherNode,
    #[error("events are being stored while {0} is recounted")]
    Disturbed(&'static str),
}

pub struct Reconciler {
    engines: Engines,
    postgres: PgPool,
    gate: Arc<RwLock<()>>,
    /// Ends the names of the tables for recounts, so that no other process takes them for its own.
    recount_suffix: String,
    touched_days: Arc<TouchedDays>,
    /// Days that `raw_events` keeps, 0 without a limit.
    raw_events_ttl_days: u32,
    clock: Clock,
    comparisons: Arc<Comparisons>,
    differing_days: IntGaugeVec,
    data_version: DataVersion,
    unverified_days: IntGauge,
    mended_days: IntCounterVec,
    ended_comparisons: IntCounter,
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
    #[expect(clippy::too_many_arguments, reason = "built once, at start")]
    pub fn new(
        engines: Engines,
        postgres: PgPool,
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
        let ended_comparisons = IntCounter::new(
            "mohaa_rollup_comparisons_total",
            "Comparisons of roll-ups with their base tables that came to their end.",
        )?;
        registry.register(Box::new(ended_comparisons.clone()))?;
        for rollup in ROLLUPS {
            differing_days.with_label_values(&[rollup.table]).set(0);
            mended_days.with_label_values(&[rollup.table]);
        }
        Ok(Self {
            engines,
            postgres,
            gate: pipeline.gate.clone(),
            recount_suffix: format!("_recount_{}", Uuid::new_v4().simple()),
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
            ended_comparisons,
        })
    }

    pub fn comparisons(&self) -> Arc<Comparisons> {
        self.comparisons.clone()
    }

    /// Compares the touched days once at the start, whenever the store has been started anew, and whenever rows
    /// were stored after an attempt without a clear end; for ever.
    pub async fn watch(self) {
        let mut reconciled: Option<(Starts, u64)> = None;
        loop {
            let doubtful_inserts = self.comparisons.doubtful_inserts.load(Ordering::Acquire);
            let is_reconciled = |starts: &Starts| {
                reconciled.as_ref().is_some_and(|(known, known_doubtful)| {
                    are_the_same_starts(known, starts) && *known_doubtful == doubtful_inserts
                })
            };
            match self.starts_of_the_store().await {
                Ok((starts, silent)) if is_reconciled(&starts) => {
                    self.unverified_days.set(0);
                    // Nothing has happened since the last comparison that would ask for another one. A node that is silent may come
                    // back without what it had not written to its disk.
                    if silent == 0 {
                        self.forget_settled_days();
                    }
                    self.stand_aside().await;
                }
                Ok((starts, _)) => {
                    self.mark_unverified();
                    match self.reconcile().await {
                        Ok(()) => {
                            self.ended_comparisons.inc();
                            reconciled = Some((starts, doubtful_inserts));
                            *self.comparisons.compared.lock().unwrap_or_else(PoisonError::into_inner) =
                                Some(doubtful_inserts);
                            self.unverified_days.set(0);
                        }
                        Err(CompareError::AnotherNode) => self.stand_aside().await,
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

    fn forget_settled_days(&self) {
        if let Err(error) = self.touched_days.forget_settled() {
            tracing::warn!(%error, "days that need no comparison any more stay in the list of those to compare");
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

    /// Of a cluster those of the nodes that answer: one that is away is compared when it is back. And how many are silent.
    async fn starts_of_the_store(&self) -> std::result::Result<(Starts, usize), ClusterError> {
        let (mut starts, mut silent) = (Starts::new(), 0);
        for shard in within_patience(self.engines.shards()).await? {
            let answering = shard.all_answering().await?;
            silent += shard.nodes.len() - answering.len();
            for node in answering {
                let question = "SELECT toInt64(toUnixTimestamp(now())) - toInt64(uptime())";
                let started_at = within(QUESTION_PATIENCE, node.local.query(question).fetch_one()).await?;
                starts.insert(node.name.clone(), started_at);
            }
        }
        Ok((starts, silent))
    }

    /// Compares every touched day and mends what differs. Writers wait until it returns.
    ///
    /// # Errors
    /// When ClickHouse can't be reached, another node compares, or events are stored all the time; what was not
    /// compared is still in the list.
    pub async fn reconcile(&self) -> std::result::Result<(), CompareError> {
        let days = self.days_to_compare();
        if days.is_empty() {
            return Ok(());
        }
        let others_stand_aside = match self.take_turn().await {
            Ok(Some(turn)) => Some(turn),
            Ok(None) => return Err(CompareError::AnotherNode),
            Err(error) => {
                tracing::debug!(%error, "nobody can be asked to stand aside while roll-ups are compared");
                None
            }
        };
        let _writers_wait = self.gate.write().await;
        for shard in within_patience(self.engines.shards()).await? {
            let comparison = Comparison::new(self, shard.answering().await?);
            if others_stand_aside.is_some() {
                comparison.drop_recounts_of_the_dead().await?;
            }
            comparison.of_all_rollups(&days).await?;
        }
        for rollup in ROLLUPS {
            self.differing_days.with_label_values(&[rollup.table]).set(0);
        }
        tracing::info!(days = days.len(), "roll-ups agree with their base table");
        Ok(())
    }

    /// The lock, until the transaction is dropped; none while another node has it.
    async fn take_turn(&self) -> sqlx::Result<Option<Transaction<'static, Postgres>>> {
        let mut turn = self.postgres.begin().await?;
        let is_ours: bool = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1, $2)")
            .bind(COMPARISON_LOCK.0)
            .bind(COMPARISON_LOCK.1)
            .fetch_one(&mut *turn)
            .await?;
        Ok(is_ours.then_some(turn))
    }

    async fn another_node_compares(&self) -> bool {
        let asked = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                 AND classid::bigint = $1 AND objid::bigint = $2 AND objsubid = 2)",
        )
        .bind(i64::from(COMPARISON_LOCK.0))
        .bind(i64::from(COMPARISON_LOCK.1))
        .fetch_one(&self.postgres);
        asked.await.unwrap_or(false)
    }

    /// Holds this node's writers back while another one compares.
    async fn stand_aside(&self) {
        if !self.another_node_compares().await {
            return;
        }
        let _writers_wait = self.gate.write().await;
        let since = Instant::now();
        while self.another_node_compares().await {
            if since.elapsed() > LONGEST_STANDING_ASIDE {
                tracing::warn!(
                    "another node has compared roll-ups for long; events are stored again meanwhile"
                );
                return;
            }
            tokio::time::sleep(LOOK_FOR_QUIET).await;
        }
    }
}

/// What is done on one engine, of a cluster on one replica of a shard.
struct Comparison<'a> {
    reconciler: &'a Reconciler,
    node: &'a Node,
    client: Client,
}

impl<'a> Comparison<'a> {
    fn new(reconciler: &'a Reconciler, node: &'a Node) -> Self {
        let client = node.local.clone().with_setting("max_execution_time", STATEMENT_SECONDS.to_string());
        Self { reconciler, node, client }
    }

    async fn of_all_rollups(&self, days: &[i32]) -> std::result::Result<(), CompareError> {
        self.catch_up("raw_events").await?;
        for rollup in ROLLUPS {
            self.catch_up(rollup.table).await?;
            let parts: Vec<Part> = match rollup.span {
                Span::Day(expression) => days.iter().map(|&day| Part::Day { expression, day }).collect(),
                Span::AllDays => vec![Part::Everything],
            };
            for part in parts {
                self.compare_in_quiet(*rollup, part).await?;
            }
            self.execute(&format!("DROP TABLE IF EXISTS {}", self.recount_table(*rollup))).await?;
        }
        Ok(())
    }

    /// Other replicas may have rows that this one lacks still.
    async fn catch_up(&self, table: &str) -> Result<()> {
        within(STATEMENT_PATIENCE, self.node.catch_up(table)).await
    }

    async fn settled_rows(&self) -> std::result::Result<Option<u64>, ClusterError> {
        settled_rows_of(&self.reconciler.engines, self.node).await
    }

    /// A statement that changes something.
    async fn execute(&self, statement: &str) -> Result<()> {
        within(STATEMENT_PATIENCE, self.client.query_raw(statement).execute()).await
    }

    async fn date_of(&self, day: i32) -> Result<String> {
        within(QUESTION_PATIENCE, self.client.query("SELECT toString(toDate(?))").bind(day).fetch_one()).await
    }

    /// Compares a part until nothing was stored meanwhile, and mends it if it differs.
    async fn compare_in_quiet(&self, rollup: Rollup, part: Part) -> std::result::Result<(), CompareError> {
        let since = Instant::now();
        while !self.compare(rollup, part).await? {
            if since.elapsed() > PATIENCE_FOR_QUIET {
                return Err(CompareError::Disturbed(rollup.table));
            }
            tokio::time::sleep(LOOK_FOR_QUIET).await;
        }
        Ok(())
    }

    /// Says whether the part agrees now for certain. Otherwise events were being stored, and it must be compared again.
    async fn compare(&self, rollup: Rollup, part: Part) -> std::result::Result<bool, CompareError> {
        let before = self.settled_rows().await?;
        if before.is_none() {
            return Ok(false);
        }
        let expected = self.recount(rollup, part).await?;
        if expected == self.fingerprint(rollup.table, rollup, part).await? {
            return Ok(true);
        }
        if self.settled_rows().await? != before {
            return Ok(false);
        }
        self.reconciler.differing_days.with_label_values(&[rollup.table]).set(1);
        self.replace(rollup, part).await?;
        self.reconciler.mended_days.with_label_values(&[rollup.table]).inc();
        Ok(self.settled_rows().await? == before
            && expected == self.fingerprint(rollup.table, rollup, part).await?)
    }

    fn recount_table(&self, rollup: Rollup) -> String {
        format!("{}{}", rollup.table, self.reconciler.recount_suffix)
    }

    /// Recounts a part beside the target.
    async fn recount(&self, rollup: Rollup, part: Part) -> Result<Fingerprint> {
        let recount = self.recount_table(rollup);
        let target = rollup.table;
        let mut create = format!("CREATE TABLE IF NOT EXISTS {recount} AS {target}");
        let engine = within(QUESTION_PATIENCE, engine_of(&self.client, target)).await?;
        if engine.starts_with("Replicated") {
            // Other replicas get the result, not the recount.
            create = format!("{create} ENGINE = {}", engine_without_replication(&engine));
        }
        self.execute(&create).await?;
        let partition = self.partition_of(part).await?;
        self.execute(&format!("ALTER TABLE {recount} DROP PARTITION {partition}")).await?;
        let select = self.view_select(rollup, part).await?;
        let insert = self
            .client
            .query_raw(&format!("INSERT INTO {recount} {select}"))
            .with_setting("insert_deduplicate", "0")
            .with_setting("max_bytes_before_external_group_by", MOST_GROUPING_BYTES);
        within(STATEMENT_PATIENCE, insert.execute()).await?;
        self.fingerprint(&recount, rollup, part).await
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
        let ask = self
            .client
            .query_raw(&format!(
                "SELECT count() AS rows, sum(cityHash64(tuple({columns}))) AS hash FROM {table} {added_up} {condition}"
            ))
            // A match over midnight has the same key on two days, which are compared one by one.
            .with_setting("do_not_merge_across_partitions_select_final", "1");
        within(STATEMENT_PATIENCE, ask.fetch_one()).await
    }

    async fn replace(&self, rollup: Rollup, part: Part) -> Result<()> {
        // It is compared again should the machine lose its power before all of it is on the disk.
        let day = match part {
            Part::Day { day, .. } => day,
            Part::Everything => self.reconciler.clock.now().day(),
        };
        if let Err(error) = self.reconciler.touched_days.note(day) {
            tracing::warn!(%error, "a day that is replaced can't be noted");
        }
        let recount = self.recount_table(rollup);
        let partition = self.partition_of(part).await?;
        let target = rollup.table;
        self.execute(&format!("ALTER TABLE {target} REPLACE PARTITION {partition} FROM {recount}")).await?;
        self.reconciler.data_version.changed();
        tracing::warn!(
            target,
            partition,
            "a part of a roll-up differed from its base table and was replaced"
        );
        Ok(())
    }

    /// Drops what processes have left that were killed while they compared.
    async fn drop_recounts_of_the_dead(&self) -> Result<()> {
        let ask_for_tables = self.client.query(
            "SELECT name FROM system.tables WHERE database = currentDatabase() AND match(name, '_recount_[0-9a-f]{32}$')",
        );
        let tables: Vec<String> = within(QUESTION_PATIENCE, ask_for_tables.fetch_all()).await?;
        for table in tables {
            self.execute(&format!("DROP TABLE IF EXISTS {table}")).await?;
        }
        Ok(())
    }
}

/// The rows of `raw_events`, if no insert into it runs. When the answer is the same before and after, none ran
/// between: one that had begun before would have been seen running, and one that ended would have added rows.
///
/// # Errors
/// When ClickHouse does not answer.
pub async fn settled_rows(engines: &Engines) -> std::result::Result<Option<u64>, ClusterError> {
    let mut rows = 0;
    for shard in within_patience(engines.shards()).await? {
        match settled_rows_of(engines, shard.answering().await?).await? {
            Some(of_shard) => rows += of_shard,
            None => return Ok(None),
        }
    }
    Ok(Some(rows))
}

/// As [`settled_rows`], of one node.
async fn settled_rows_of(engines: &Engines, node: &Node) -> std::result::Result<Option<u64>, ClusterError> {
    if !inserts::running(engines).await?.is_empty() {
        return Ok(None);
    }
    let rows = match engines.cluster() {
        None => node.local.query("SELECT count() FROM raw_events"),
        // A new shard may have no table yet.
        Some(_) => node
            .anywhere()
            .query("SELECT toUInt64(ifNull(sum(total_rows), 0)) FROM system.tables WHERE database = ? AND name = 'raw_events'")
            .bind(&node.local_database),
    };
    let rows = within(QUESTION_PATIENCE, rows.fetch_one::<u64>()).await?;
    Ok(inserts::running(engines).await?.is_empty().then_some(rows))
}

async fn within_patience<T>(
    asking: impl Future<Output = std::result::Result<T, ClusterError>>,
) -> std::result::Result<T, ClusterError> {
    tokio::time::timeout(QUESTION_PATIENCE, asking)
        .await
        .unwrap_or(Err(ClusterError::ClickHouse(clickhouse::error::Error::TimedOut)))
}

async fn within<T>(patience: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(patience, work).await.unwrap_or(Err(clickhouse::error::Error::TimedOut))
}
