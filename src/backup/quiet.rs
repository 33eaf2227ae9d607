//! The moment of a backup: nothing is being stored, on whichever node.
//!
//! Writers stand aside for whoever compares roll-ups, by a lock in PostgreSQL that every node looks at
//! ([`Reconciler`](crate::clickhouse::reconcile::Reconciler)). A backup takes the same lock. A node that can't see it goes on
//! storing; that is noticed by the rows, and the moment is tried again.

use std::time::{Duration, Instant};

use clickhouse::Client;
use sqlx::{PgConnection, PgPool};

use super::{BackupError, Result};
use crate::clickhouse::cluster::Engines;
use crate::clickhouse::reconcile::{COMPARISON_LOCK, STANDING_ASIDE_WITHIN, settled_rows};

/// Whoever compares is waited for.
const PATIENCE_FOR_TURN: Duration = Duration::from_secs(600);
const PATIENCE_FOR_QUIET: Duration = Duration::from_secs(120);
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// The writers of all nodes, standing aside for as long as this lives.
pub struct Writers {
    /// Holds the lock; ends it when it is dropped, however that happens.
    lock: PgConnection,
    clickhouse: Engines,
    since: Instant,
}

impl Writers {
    /// Asks for the lock, and gives every node the time in which it looks.
    pub async fn stand_aside(postgres: &PgPool, clickhouse: &Client) -> Result<Self> {
        let mut lock = postgres.acquire().await?.detach();
        let patience = format!("SET statement_timeout = {}", PATIENCE_FOR_TURN.as_millis());
        sqlx::raw_sql(sqlx::AssertSqlSafe(patience)).execute(&mut lock).await?;
        sqlx::query("SELECT pg_advisory_lock($1, $2)")
            .bind(COMPARISON_LOCK.0)
            .bind(COMPARISON_LOCK.1)
            .execute(&mut lock)
            .await?;
        tokio::time::sleep(STANDING_ASIDE_WITHIN).await;
        Ok(Self { lock, clickhouse: Engines::single(clickhouse.clone()), since: Instant::now() })
    }

    /// Waits until no insert runs; how many rows there are then.
    pub async fn quiet(&self) -> Result<u64> {
        loop {
            if let Some(rows) = settled_rows(&self.clickhouse).await? {
                return Ok(rows);
            }
            if self.since.elapsed() > PATIENCE_FOR_QUIET {
                return Err(BackupError::NotQuiet);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Whether there is still what [`quiet`](Self::quiet) has seen, and no insert runs.
    ///
    /// # Errors
    /// When events have been stored for so long that there will be no quiet.
    pub async fn stored_nothing_since(&self, rows: u64) -> Result<bool> {
        let is_quiet = settled_rows(&self.clickhouse).await? == Some(rows);
        match is_quiet || self.since.elapsed() <= PATIENCE_FOR_QUIET {
            true => Ok(is_quiet),
            false => Err(BackupError::NotQuiet),
        }
    }

    /// They store again.
    pub async fn go_on(self) -> Result<()> {
        use sqlx::Connection as _;
        Ok(self.lock.close().await?)
    }
}
