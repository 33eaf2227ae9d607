//! Brings ratings to ClickHouse, where boards are asked. What was copied last is asked of the copy itself, so a process
//! that is killed or a ClickHouse that was away costs nothing but time. Any node may copy; all of them write the same.

use clickhouse::{Client, Row};
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, PgPool};

/// Rows that one insert writes, whole or not at all.
const ROWS_AN_INSERT: i64 = 10_000;

#[derive(Debug, thiserror::Error)]
pub(super) enum CopyError {
    #[error("PostgreSQL: {0}")]
    Postgres(#[from] sqlx::Error),
    #[error("ClickHouse: {0}")]
    ClickHouse(#[from] clickhouse::error::Error),
}

#[derive(Debug, FromRow, Row, Serialize, Deserialize)]
struct RatingRow {
    player_id: String,
    value: f64,
    deviation: f64,
    #[sqlx(try_from = "i32")]
    matches: u32,
    #[sqlx(try_from = "i64")]
    revision: u64,
}

/// Copies what is newer than the copy; whether there was anything.
pub(super) async fn copy(postgres: &PgPool, clickhouse: &Client) -> Result<bool, CopyError> {
    let copied: u64 = clickhouse.query("SELECT max(revision) FROM player_ratings").fetch_one().await?;
    let mut copied = i64::try_from(copied).unwrap_or(i64::MAX);
    // Asked after the copy, so it can't be behind it. By `player_ratings_by_revision`.
    let newest: Option<i64> =
        sqlx::query_scalar("SELECT max(revision) FROM player_ratings").fetch_one(postgres).await?;
    if newest.unwrap_or_default() < copied {
        tracing::warn!("ratings in ClickHouse are of a PostgreSQL that is no more: copying all of them anew");
        clickhouse.query("TRUNCATE TABLE player_ratings").execute().await?;
        copied = 0;
    }
    let mut has_copied = false;
    loop {
        let rows: Vec<RatingRow> = sqlx::query_as(
            "SELECT player_id, value, deviation, matches, revision FROM player_ratings
             WHERE revision > $1 ORDER BY revision LIMIT $2",
        )
        .bind(copied)
        .bind(ROWS_AN_INSERT)
        .fetch_all(postgres)
        .await?;
        let Some(last) = rows.last() else { return Ok(has_copied) };
        let through = i64::try_from(last.revision).unwrap_or(i64::MAX);
        // Equal rows may be wanted twice: after the table was emptied.
        let deduplicates_nothing = clickhouse.clone().with_setting("insert_deduplicate", "0");
        let mut insert = deduplicates_nothing.insert::<RatingRow>("player_ratings").await?;
        for row in &rows {
            insert.write(row).await?;
        }
        insert.end().await?;
        (copied, has_copied) = (through, true);
    }
}
