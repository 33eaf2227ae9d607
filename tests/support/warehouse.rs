//! ClickHouse as an analyst sees it; what it refuses fails the test.

use std::time::Duration;

use serde_json::Value;

use super::eventually;

/// A comparison of all roll-ups and the replacement of their days.
const ROLLUP_PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone)]
pub struct Warehouse(mohaa_faults::warehouse::Warehouse);

impl Warehouse {
    pub fn new(url: &str) -> Self {
        Self(mohaa_faults::warehouse::Warehouse::new(url).unwrap())
    }

    pub async fn execute(&self, sql: &str) {
        self.0.execute(sql).await.unwrap();
    }

    /// Drops the database: what hundreds of tests leave behind takes up the engine's memory.
    pub async fn drop_tables(&self) {
        let rows = self.0.rows("SELECT currentDatabase() AS name").await.unwrap_or_default();
        let name = rows.first().and_then(|row| row["name"].as_str()).filter(|name| name.starts_with("test_"));
        if let Some(name) = name {
            // A test that has stopped the engine leaves nothing to drop.
            let _ = self.0.execute(&format!("DROP DATABASE IF EXISTS {name} SYNC")).await;
        }
    }

    /// The rows of a query, each an object.
    pub async fn rows(&self, sql: &str) -> Vec<Value> {
        self.0.rows(sql).await.unwrap()
    }

    /// The only number of the only row; 0 while there is no such table yet.
    pub async fn count(&self, sql: &str) -> u64 {
        self.0.count(sql).await.unwrap_or(0)
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

    /// Returns when every roll-up agrees with its view's own SELECT over all of `raw_events`.
    pub async fn assert_rollups_agree(&self) {
        let differing = self.0.rollups_differing_after(ROLLUP_PATIENCE).await.unwrap();
        assert!(differing.is_empty(), "roll-ups differ from raw_events: {differing:#?}");
    }
}
