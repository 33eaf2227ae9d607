//! Inserts into `raw_events` that run at the moment, wherever they come from.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use clickhouse::Client;
use clickhouse::error::Error;

use super::cluster::{ClusterError, Engines};

const QUESTION_PATIENCE: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(200);
const RUNNING: &str = "SELECT query_id FROM system.processes \
    WHERE query_kind = 'Insert' AND positionCaseInsensitive(query, 'raw_events') > 0";

/// Their ids. Of a cluster those on all nodes that answer: an insert may have begun on one node and reach another.
///
/// # Errors
/// When ClickHouse does not answer.
pub async fn running(engines: &Engines) -> Result<HashSet<String>, ClusterError> {
    if engines.cluster().is_none() {
        let of_this_database = format!("{RUNNING} AND current_database = currentDatabase()");
        return ids(engines.questions(), &of_this_database).await;
    }
    let mut running = HashSet::new();
    for shard in within_patience(engines.shards()).await? {
        for node in shard.all_answering().await? {
            running.extend(ids(&node.anywhere(), RUNNING).await?);
        }
    }
    Ok(running)
}

/// Waits until those have ended that run now, whatever begins meanwhile. Says whether they have, within `patience`.
///
/// # Errors
/// When ClickHouse does not answer.
pub async fn end_of_those_that_run(engines: &Engines, patience: Duration) -> Result<bool, ClusterError> {
    let since = Instant::now();
    let mut waited_for = running(engines).await?;
    while !waited_for.is_empty() {
        if since.elapsed() > patience {
            return Ok(false);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
        let still_there = running(engines).await?;
        waited_for.retain(|id| still_there.contains(id));
    }
    Ok(true)
}

async fn ids(client: &Client, question: &str) -> Result<HashSet<String>, ClusterError> {
    let ids: Vec<String> = within_patience(async { Ok(client.query(question).fetch_all().await?) }).await?;
    Ok(ids.into_iter().collect())
}

async fn within_patience<T>(
    asking: impl Future<Output = Result<T, ClusterError>>,
) -> Result<T, ClusterError> {
    tokio::time::timeout(QUESTION_PATIENCE, asking)
        .await
        .unwrap_or(Err(ClusterError::ClickHouse(Error::TimedOut)))
}
