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
