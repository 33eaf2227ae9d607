//! What ClickHouse says of itself: parts and errors. Asked now and then, and remembered, so that looking costs nothing.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use clickhouse::Row;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clickhouse::cluster::Engines;

const ASK_EVERY: Duration = Duration::from_secs(4);
const PATIENCE: Duration = Duration::from_secs(2);
/// By the size of the system's tables alone; more is a store in trouble, which needs no more questions.
const MOST_SECONDS: &str = "2";

const MOST_ERRORS: usize = 5;

/// Of this service's database alone.
const PARTS: &str = "\
    SELECT sum(of_partition) AS parts, max(of_partition) AS fullest_partition FROM (
        SELECT count() AS of_partition FROM system.parts WHERE active AND database = currentDatabase() GROUP BY table, partition)";

/// Of the whole server, whoever asked for what failed.
const ERRORS: &str = "\
    SELECT toInt32(code) AS code, toString(name) AS name, toUInt64(value) AS times,
           toInt64(toUnixTimestamp(last_error_time)) AS last_at
    FROM system.errors WHERE last_error_time > now() - 600 ORDER BY last_error_time DESC, code LIMIT 5";

#[derive(Clone, Copy, Debug, PartialEq, Row, Deserialize, Serialize, ToSchema)]
pub struct Parts {
    /// Active parts of all tables.
    pub parts: u64,
    /// Of the partition that has most; ClickHouse refuses inserts at 3,000 unless it is told otherwise.
    pub fullest_partition: u64,
}

#[derive(Row, Deserialize)]
struct ErrorRow {
    code: i32,
    name: String,
    times: u64,
    last_at: i64,
}

/// An error that ClickHouse told somebody in the last ten minutes.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct EngineError {
    pub code: i32,
    /// `MEMORY_LIMIT_EXCEEDED`.
    pub name: String,
    /// Since it was started.
    pub times: u64,
    pub last_at: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug, Default)]
struct Told {
    parts: Option<Parts>,
    errors: Vec<EngineError>,
}

#[derive(Default)]
pub(super) struct Engine {
    told: RwLock<Told>,
}

impl Engine {
    /// Parts, where it could be asked lately, and errors.
    pub fn told(&self) -> (Option<Parts>, Vec<EngineError>) {
        let told = self.told.read().unwrap_or_else(PoisonError::into_inner).clone();
        (told.parts, told.errors)
    }

    /// Asks for ever.
    pub async fn ask(&self, engines: &Engines) {
        loop {
            let told = self.ask_all(engines).await;
            *self.told.write().unwrap_or_else(PoisonError::into_inner) = told;
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// What all nodes of a cluster say together.
    async fn ask_all(&self, engines: &Engines) -> Told {
        let mut told = Told::default();
        let shards = tokio::time::timeout(PATIENCE, engines.shards()).await;
        for node in shards.ok().and_then(Result::ok).unwrap_or_default().iter().flat_map(|shard| &shard.nodes)
        {
            let client = node.local.clone().with_setting("max_execution_time", MOST_SECONDS);
            if let Some(found) = within_patience(client.query(PARTS).fetch_one::<Parts>()).await {
                let so_far = told.parts.unwrap_or(Parts { parts: 0, fullest_partition: 0 });
                told.parts = Some(Parts {
                    parts: so_far.parts + found.parts,
                    fullest_partition: so_far.fullest_partition.max(found.fullest_partition),
                });
            }
            let errors = within_patience(client.query(ERRORS).fetch_all::<ErrorRow>()).await;
            told.errors.extend(errors.unwrap_or_default().into_iter().map(|row| EngineError {
                code: row.code,
                name: row.name,
                times: row.times,
                last_at: DateTime::from_timestamp(row.last_at, 0),
            }));
        }
        told.errors.sort_by_key(|error| std::cmp::Reverse(error.last_at));
        told.errors.truncate(MOST_ERRORS);
        told
    }
}

/// None where it doesn't answer, or its user may not know.
async fn within_patience<T>(asking: impl Future<Output = clickhouse::error::Result<T>>) -> Option<T> {
    match tokio::time::timeout(PATIENCE, asking).await {
        Ok(Ok(answer)) => Some(answer),
        Ok(Err(error)) => {
            tracing::debug!(%error, "ClickHouse does not say how it is");
            None
        }
        Err(_) => None,
    }
}
