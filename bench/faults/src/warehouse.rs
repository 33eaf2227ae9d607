//! ClickHouse as an analyst sees it: straight, past any proxy.

use std::time::{Duration, Instant};

use mohaa_stats::clickhouse::cluster::Engines;
use mohaa_stats::clickhouse::{client, schema};
use mohaa_stats::config::ClickHouseUrl;
use serde_json::Value;

use crate::error::{FaultsError, Result};

const POLL: Duration = Duration::from_millis(200);

#[derive(Clone)]
pub struct Warehouse {
    client: clickhouse::Client,
}

impl Warehouse {
    /// # Errors
    /// When `url` is no address of a ClickHouse.
    pub fn new(url: &str) -> Result<Self> {
        let url = ClickHouseUrl::parse(url).map_err(FaultsError::StoreAddress)?;
        Ok(Self { client: client::connect(&url) })
    }

    /// Makes the tables as the service would, for who looks into them before it did.
    ///
    /// # Errors
    /// When ClickHouse refuses.
    pub async fn prepare(&self) -> Result<()> {
        Ok(schema::migrate(&Engines::single(self.client.clone())).await?)
    }

    /// # Errors
    /// When ClickHouse refuses.
    pub async fn execute(&self, sql: &str) -> Result<()> {
        self.client.query_raw(sql).execute().await.map_err(failed(sql))
    }

    /// The rows of a query, each an object.
    ///
    /// # Errors
    /// When ClickHouse refuses.
    pub async fn rows(&self, sql: &str) -> Result<Vec<Value>> {
        let mut answer = self.client.query_raw(sql).fetch_bytes("JSONEachRow").map_err(failed(sql))?;
        let answer = answer.collect().await.map_err(failed(sql))?;
        answer
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| {
                serde_json::from_slice(line).map_err(|_| unexpected(sql, &String::from_utf8_lossy(line)))
            })
            .collect()
    }

    /// The only number of the only row.
    ///
    /// # Errors
    /// When ClickHouse refuses, or answers something else.
    pub async fn count(&self, sql: &str) -> Result<u64> {
        let rows = self.rows(sql).await?;
        let first = rows.first().and_then(Value::as_object).and_then(|row| row.values().next());
        first.and_then(Value::as_u64).ok_or_else(|| unexpected(sql, &format!("{first:?}")))
    }

    /// Every event's name (its player's) and how often it is stored.
    ///
    /// # Errors
    /// When ClickHouse can't be asked.
    pub async fn stored_names(&self) -> Result<Vec<(String, u64)>> {
        let sql = "SELECT player_name, count() AS copies FROM raw_events GROUP BY player_name";
        self.client.query(sql).fetch_all().await.map_err(failed(sql))
    }

    /// Waits until every roll-up agrees with its view's own SELECT over all of `raw_events`: after a crash that takes
    /// until they were compared. Names those that differ still after `patience`.
    ///
    /// # Errors
    /// When ClickHouse can't be asked.
    pub async fn rollups_differing_after(&self, patience: Duration) -> Result<Vec<String>> {
        let began = Instant::now();
        loop {
            match self.differing_rollups().await {
                // A service that has just begun may change the schema between two of these questions.
                Err(_) if began.elapsed() <= patience => {}
                Ok(differing) if !differing.is_empty() && began.elapsed() <= patience => {}
                known => return known,
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Names the roll-ups that differ now.
    ///
    /// # Errors
    /// When ClickHouse can't be asked, or has no roll-ups.
    pub async fn differing_rollups(&self) -> Result<Vec<String>> {
        let views_sql = "SELECT name, as_select FROM system.tables \
             WHERE database = currentDatabase() AND engine = 'MaterializedView'";
        let views = self.rows(views_sql).await?;
        if views.len() < 8 {
            return Err(unexpected(views_sql, &format!("{} views", views.len())));
        }
        let mut differing = Vec::new();
        for view in &views {
            let (Some(name), Some(select)) = (view["name"].as_str(), view["as_select"].as_str()) else {
                return Err(unexpected(views_sql, &view.to_string()));
            };
            let target = name.strip_suffix("_mv").unwrap_or(name);
            let recount = self.fingerprint(target, &format!("({select})")).await?;
            let merges = self
                .count(&format!(
                    "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name = '{target}' \
                     AND engine LIKE '%AggregatingMergeTree'"
                ))
                .await?
                == 1;
            let table = if merges { format!("{target} FINAL") } else { target.to_owned() };
            let stored = self.fingerprint(target, &table).await?;
            if recount != stored {
                differing.push(format!("{target}: {recount} by recount, {stored} stored"));
            }
        }
        Ok(differing)
    }

    /// Row count and content. States of `argMax` are left out: a tie may fall either way.
    async fn fingerprint(&self, target: &str, source: &str) -> Result<Value> {
        let columns = self
            .rows(&format!(
                "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = '{target}' \
                 AND NOT startsWith(type, 'AggregateFunction') AND default_kind != 'MATERIALIZED' ORDER BY position"
            ))
            .await?;
        let columns: Vec<&str> = columns.iter().filter_map(|column| column["name"].as_str()).collect();
        let columns = columns.join(", ");
        // Days are recounted each by itself, and what spans two of them has a row in each.
        let sql = format!(
            "SELECT count() AS rows, sum(cityHash64(tuple({columns}))) AS hash FROM {source} \
             SETTINGS do_not_merge_across_partitions_select_final = 1"
        );
        self.rows(&sql).await?.pop().ok_or_else(|| unexpected(&sql, "nothing"))
    }
}

fn failed(sql: &str) -> impl FnOnce(clickhouse::error::Error) -> FaultsError {
    move |source| FaultsError::ClickHouse { sql: sql.to_owned(), source }
}

fn unexpected(sql: &str, answer: &str) -> FaultsError {
    FaultsError::Answer { sql: sql.to_owned(), answer: answer.to_owned() }
}
