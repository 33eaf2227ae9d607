//! Brings the schema of ClickHouse up to date while nobody stores anything.
//!
//! Some migrations fill a table from another one and let it take that one's place. What is stored between the two would be in
//! neither, and two nodes that start at once would fill it twice. So whoever migrates holds the lock of whoever compares
//! roll-ups ([`Reconciler`](super::reconcile::Reconciler)): the writers of all nodes stand aside meanwhile, those of earlier versions
//! too, and the spool takes what arrives.

use std::time::{Duration, Instant};

use sqlx::{Connection as _, PgConnection, PgPool};

use super::cluster::{ClusterError, Engines};
use super::reconcile::{COMPARISON_LOCK, STANDING_ASIDE_WITHIN, settled_rows};
use super::schema::{self, SchemaError};

/// Whoever compares or migrates is waited for.
const PATIENCE_FOR_TURN: Duration = Duration::from_secs(600);
/// An insert that has begun ends within this time, or is one of a node that can't see the lock.
const PATIENCE_FOR_QUIET: Duration = Duration::from_secs(120);
const LOOK_AGAIN: Duration = Duration::from_millis(200);

#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    #[error(transparent)]
    Schema(#[from] SchemaError),
    #[error("PostgreSQL, whose lock keeps other nodes from storing meanwhile: {0}")]
    Lock(#[from] sqlx::Error),
    #[error("events are being stored all the time")]
    NotQuiet,
}

impl From<clickhouse::error::Error> for UpgradeError {
    fn from(error: clickhouse::error::Error) -> Self {
        UpgradeError::Schema(error.into())
    }
}

impl From<ClusterError> for UpgradeError {
    fn from(error: ClusterError) -> Self {
        UpgradeError::Schema(error.into())
    }
}

impl UpgradeError {
    /// Whether it may be otherwise in a moment, without anybody's doing.
    pub fn is_for_now(&self) -> bool {
        match self {
            UpgradeError::Schema(error) => error.is_for_now(),
            UpgradeError::Lock(_) | UpgradeError::NotQuiet => true,
        }
    }
}

/// Applies what is not applied yet. Several processes may do so at once, and others may store; PostgreSQL is not asked when
/// nothing is missing.
///
/// # Errors
/// When a store can't be reached or refuses, or other nodes go on storing.
pub async fn migrate(clickhouse: &Engines, postgres: &PgPool) -> Result<(), UpgradeError> {
    if schema::is_up_to_date(clickhouse).await? {
        return Ok(());
    }
    let lock = take_turn(postgres).await?;
    // Another node may have done it meanwhile.
    if !schema::is_up_to_date(clickhouse).await? {
        if schema::was_ever_applied(clickhouse).await? {
            tokio::time::sleep(STANDING_ASIDE_WITHIN).await;
            until_quiet(clickhouse).await?;
        }
        schema::migrate(clickhouse).await?;
    }
    Ok(lock.close().await?)
}

/// The lock lives as long as the connection, which is not the pool's: it ends with this process, however that happens.
async fn take_turn(postgres: &PgPool) -> Result<PgConnection, UpgradeError> {
    let mut lock = postgres.acquire().await?.detach();
    let patience = format!("SET statement_timeout = {}", PATIENCE_FOR_TURN.as_millis());
    sqlx::raw_sql(sqlx::AssertSqlSafe(patience)).execute(&mut lock).await?;
    sqlx::query("SELECT pg_advisory_lock($1, $2)")
        .bind(COMPARISON_LOCK.0)
        .bind(COMPARISON_LOCK.1)
        .execute(&mut lock)
        .await?;
    Ok(lock)
}

async fn until_quiet(clickhouse: &Engines) -> Result<(), UpgradeError> {
    let since = Instant::now();
    while settled_rows(clickhouse).await?.is_none() {
        if since.elapsed() > PATIENCE_FOR_QUIET {
            return Err(UpgradeError::NotQuiet);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Ok(())
}
