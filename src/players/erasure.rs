//! Takes the names of anonymous players out of ClickHouse.
//!
//! No page or answer shows them (`player_links` leads their ids to nobody); here they go from the disk as well: names, GUIDs and
//! member ids, what they wrote, and fields of events that this service doesn't know. Counts stay, under ids that name nobody.
//!
//! What is left to do is asked of ClickHouse itself: whoever has rows in `player_names` has names. They are deleted there last, so a
//! process that is killed is made up for at the next look.
//!
//! Events are stored meanwhile, and a statement changes what was there when it began. So only those rows of `player_names` are deleted
//! that were there at the beginning, by the numbers of their blocks; whatever is stored after that keeps its sign, which the next look
//! finds. An insert may be half way then, its row in `player_names` there and its event not: those that run at the beginning are waited
//! for before the first change.
//!
//! Any node may do it; a lock in PostgreSQL lets one at a time.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use clickhouse::query::Query;
use clickhouse::{Client, Row};
use prometheus::{IntCounter, Registry};
use serde::Deserialize;
use sqlx::{PgPool, Postgres, Transaction};
use tokio::time::Instant;

use crate::clickhouse::cluster::{ClusterError, Engines};
use crate::clickhouse::inserts;
use crate::data_version::DataVersion;
use crate::postgres::watch::{self, Progress, WatchError, Watcher};

/// The channel of the triggers in `migrations/0010_player_identity.sql`.
const CHANNEL: &str = "players";
/// Events of anonymous players who go on playing.
const LOOK_EVERY: Duration = Duration::from_secs(60 * 60);
/// After a change: others may follow it, and each look rewrites what holds one of their names.
const LOOK_AFTER: Duration = Duration::from_secs(10);
/// After a failure, or while another node is at it.
const RETRY_AFTER: Duration = Duration::from_secs(60);
/// An insert is given up by its writer after two and a half minutes.
const PATIENCE_FOR_INSERTS: Duration = Duration::from_secs(180);
const LOCK: (i32, i32) = (18, 3);
/// Ids that one statement names.
const IDS_A_STATEMENT: usize = 500;

/// What is changed for the ids that are bound to the only `?`.
const STATEMENTS: [&str; 4] = [
    "ALTER TABLE raw_events UPDATE player_name = '', player_guid = '', player_member_id = '', message = '', extra = '' \
     WHERE player_id IN ?",
    "ALTER TABLE raw_events UPDATE target_name = '', target_guid = '', target_member_id = '', extra = '' WHERE target_id IN ?",
    "ALTER TABLE player_match_totals UPDATE player_name = initializeAggregation('argMaxState', '', toDateTime64(0, 3, 'UTC')), \
     name_told = (toDateTime64(0, 3, 'UTC'), 0, 0, '') WHERE player_id IN ?",
    "ALTER TABLE player_aliases DELETE WHERE player_id IN ?",
];
/// Where the rows are that say what is to be done: partitions, and in each the last block. Parts are named
/// `<partition>_<first block>_<last block>_…`. By the beginning of the primary key.
const SIGNS: &str = "SELECT _partition_id AS partition, max(toUInt64(splitByChar('_', _part)[3])) AS last_block \
    FROM player_names WHERE player_id IN ? GROUP BY partition";
/// Takes them away, at the very end. What was stored since is in later blocks; a part that was merged with such a one ends with its
/// number, and stays for the next look. So do all rows of other partitions, whose first block may have the number 0.
const FORGET_SIGNS: &str = "ALTER TABLE player_names DELETE WHERE player_id IN ? \
    AND _partition_id IN ? AND toUInt64(splitByChar('_', _part)[3]) <= transform(_partition_id, ?, ?, 0)";

#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    #[error("PostgreSQL: {0}")]
    Postgres(#[from] sqlx::Error),
    #[error("ClickHouse: {0}")]
    ClickHouse(#[from] clickhouse::error::Error),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error("inserts don't end that may hold names")]
    InsertsDontEnd,
}

#[derive(Row, Deserialize)]
struct Sign {
    partition: String,
    last_block: u64,
}

/// What a look came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Erased {
    /// Another node is at it.
    Elsewhere,
    /// So many ids had names.
    Ids(u64),
}

#[derive(Clone)]
pub struct NameEraser {
    postgres: PgPool,
    engines: Engines,
    data_version: DataVersion,
    erased: IntCounter,
}

impl NameEraser {
    /// # Errors
    /// When `registry` already holds a metric of this name.
    pub fn new(
        postgres: PgPool,
        engines: Engines,
        data_version: DataVersion,
        registry: &Registry,
    ) -> Result<Self, prometheus::Error> {
        let erased = IntCounter::new(
            "mohaa_names_erased_total",
            "Ids of anonymous players whose names this process took out of ClickHouse.",
        )?;
        registry.register(Box::new(erased.clone()))?;
        Ok(Self { postgres, engines, data_version, erased })
    }

    /// Looks whenever somebody becomes anonymous, and from time to time, until the watcher is dropped. ClickHouse must have its tables.
    pub async fn watch(self) -> Watcher {
        watch::start("names that are to be erased", move |progress| self.clone().listen(progress)).await
    }

    async fn listen(self, progress: Arc<Progress>) -> Result<Infallible, WatchError> {
        let mut listener = watch::listen(&self.postgres, CHANNEL).await?;
        progress.watching();
        let mut look_at = Instant::now();
        loop {
            tokio::select! {
                biased;
                notification = listener.next() => {
                    notification?;
                    look_at = look_at.min(Instant::now() + LOOK_AFTER);
                }
                () = tokio::time::sleep_until(look_at) => {
                    look_at = Instant::now() + match self.erase().await {
                        Ok(Erased::Ids(_)) => LOOK_EVERY,
                        Ok(Erased::Elsewhere) => RETRY_AFTER,
                        Err(error) => {
                            tracing::warn!(%error, "names of anonymous players can't be taken out of ClickHouse yet");
                            RETRY_AFTER
                        }
                    };
                }
            }
        }
    }

    /// Takes out whatever names there are of anonymous players.
    ///
    /// # Errors
    /// When a store fails; what is left is found at the next look.
    pub async fn erase(&self) -> Result<Erased, EraseError> {
        let Some(mut turn) = self.take_turn().await? else { return Ok(Erased::Elsewhere) };
        let ids: Vec<String> =
            sqlx::query_scalar("SELECT player_id FROM anonymous_players ORDER BY player_id")
                .fetch_all(&mut *turn)
                .await?;
        let mut count = 0;
        for shard in self.engines.shards().await? {
            let client = &shard.answering().await?.local;
            for ids in ids.chunks(IDS_A_STATEMENT) {
                count += self.erase_from(client, ids).await?;
            }
        }
        if count > 0 {
            tracing::info!(ids = count, "names of anonymous players were taken out of ClickHouse");
            self.erased.inc_by(count);
            self.data_version.changed();
        }
        Ok(Erased::Ids(count))
    }

    /// The lock, until the transaction is dropped; none while another node has it.
    async fn take_turn(&self) -> sqlx::Result<Option<Transaction<'static, Postgres>>> {
        let mut turn = self.postgres.begin().await?;
        let is_ours: bool = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1, $2)")
            .bind(LOCK.0)
            .bind(LOCK.1)
            .fetch_one(&mut *turn)
            .await?;
        Ok(is_ours.then_some(turn))
    }

    async fn erase_from(&self, client: &Client, ids: &[String]) -> Result<u64, EraseError> {
        // By the beginning of the primary key.
        let named: Vec<String> = client
            .query("SELECT DISTINCT player_id FROM player_names WHERE player_id IN ?")
            .bind(ids)
            .fetch_all()
            .await?;
        if named.is_empty() {
            return Ok(0);
        }
        let signs: Vec<Sign> = client.query(SIGNS).bind(&named).fetch_all().await?;
        if !inserts::end_of_those_that_run(&self.engines, PATIENCE_FOR_INSERTS).await? {
            return Err(EraseError::InsertsDontEnd);
        }
        for statement in STATEMENTS {
            change(client.query(statement).bind(&named)).await?;
        }
        let (partitions, last_blocks): (Vec<String>, Vec<u64>) =
            signs.into_iter().map(|sign| (sign.partition, sign.last_block)).unzip();
        let forget = client.query(FORGET_SIGNS).bind(&named).bind(&partitions);
        change(forget.bind(&partitions).bind(last_blocks)).await?;
        Ok(named.len() as u64)
    }
}

/// Returns when all is changed that was there when it began.
async fn change(statement: Query) -> Result<(), clickhouse::error::Error> {
    statement.with_setting("mutations_sync", "2").with_setting("max_execution_time", "0").execute().await
}
