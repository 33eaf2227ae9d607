//! ClickHouse as an analyst sees it.

use std::time::{Duration, Instant};

use mohaa_stats::clickhouse::client;
use mohaa_stats::config::ClickHouseUrl;
use serde_json::Value;

use super::eventually;

/// A comparison of all roll-ups and the replacement of their days.
const ROLLUP_PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone)]
pub struct Warehouse {
    client: clickhouse::Client,
}

impl Warehouse {
    pub fn new(url: &str) -> Self {
        Self { client: client::connect(&ClickHouseUrl::parse(url).unwrap()) }
    }

    pub async fn execute(&self, sql: &str) {
        self.client.query_raw(sql).execute().await.unwrap_or_else(|error| panic!("{error} in {sql}"));
    }

    /// The rows of a query, each an object.
    pub async fn rows(&self, sql: &str) -> Vec<Value> {
        self.try_rows(sql).await.unwrap_or_else(|error| panic!("{error} in {sql}"))
    }

    async fn try_rows(&self, sql: &str) -> Result<Vec<Value>, clickhouse::error::Error> {
        let answer = self.client.query_raw(sql).fetch_bytes("JSONEachRow")?.collect().await?;
        Ok(answer
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect())
    }

    /// The only number of the only row; 0 while there is no such table yet.
    pub async fn count(&self, sql: &str) -> u64 {
        let rows = self.try_rows(sql).await.unwrap_or_default();
        let first = rows.first().and_then(Value::as_object).and_then(|row| row.values().next());
        first.map_or(0, |value| value.as_u64().unwrap_or_else(|| panic!("{value} in {sql}")))
    }

    /// The events that were sent under an idempotency key, in the order in which they were sent.
    pub async fn events_of(&self, key: &str, expected: u64) -> Vec<Value> {
        let condition = format!("FROM raw_events WHERE idempotency_key = '{key}'");
        eventually(&format!("{expected} events of {key} are stored"), async || {
            (self.count(&format!("SELECT count() {condition}")).await == expected).then_some(())
        })
        .await;
        self.rows(&format!("SELECT * {condition} ORDER BY spool_seq, spool_index")).await
    }

    /// Returns when every roll-up agrees with its view's own SELECT over all of `raw_events`. After a crash that takes
    /// until they were compared; once they agree, they must go on to.
    pub async fn assert_rollups_agree(&self) {
        let began = Instant::now();
        let mut differing = self.differing_rollups().await;
        while !differing.is_empty() {
            assert!(began.elapsed() < ROLLUP_PATIENCE, "roll-ups differ from raw_events: {differing:#?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
            differing = self.differing_rollups().await;
        }
    }

    /// Names those that differ.
    async fn differing_rollups(&self) -> Vec<String> {
        let views = self
            .rows(
                "SELECT name, as_select FROM system.tables \
                 WHERE database = currentDatabase() AND engine = 'MaterializedView'",
            )
            .await;
        assert!(views.len() >= 8, "the roll-ups are missing: {views:?}");
        let mut differing = Vec::new();
        for view in views {
            let target = view["name"].as_str().unwrap().strip_suffix("_mv").unwrap();
            let recount =
                self.fingerprint(target, &format!("({})", view["as_select"].as_str().unwrap())).await;
            let merges = self
                .count(&format!(
                    "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name = '{target}' \
                     AND engine LIKE '%AggregatingMergeTree'"
                ))
                .await
                == 1;
            let stored =
                self.fingerprint(target, &format!("{target}{}", if merges { " FINAL" } else { "" })).await;
            if recount != stored {
                differing.push(format!("{target}: {recount} by recount, {stored} stored"));
            }
        }
        differing
    }

    /// Row count and content. States of `argMax` are left out: a tie may fall either way.
    async fn fingerprint(&self, target: &str, source: &str) -> Value {
        let columns = self
            .rows(&format!(
                "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = '{target}' \
                 AND NOT startsWith(type, 'AggregateFunction') ORDER BY position"
            ))
            .await;
        let columns: Vec<&str> = columns.iter().map(|column| column["name"].as_str().unwrap()).collect();
        let columns = columns.join(", ");
        // Days are recounted each by itself, and what spans two of them has a row in each.
        let sql = format!(
            "SELECT count() AS rows, sum(cityHash64(tuple({columns}))) AS hash FROM {source} \
             SETTINGS do_not_merge_across_partitions_select_final = 1"
        );
        self.rows(&sql).await.remove(0)
    }
}
