//! Merges: an admin says that two ids are one person. Undone, they are two again.

use chrono::{DateTime, Utc};
use mohaa_domain::player::ANONYMOUS_PREFIX;
use serde_json::json;
use sqlx::{FromRow, PgPool};
use std::collections::BTreeMap;

use super::links::is_id_of_a_user;
use crate::audit::{self, By, Entry};
use crate::http::query::Paging;

#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    #[error("a player can't be merged into itself")]
    Itself,
    #[error("this player belongs to an account: merge the other one into it")]
    Linked,
    #[error("an anonymous player is nobody, and can't become a part of anybody")]
    Anonymous,
    #[error("this player is merged into another one already: undo that first")]
    Merged,
    #[error("the other player is, by earlier merges, a part of this one")]
    Circle,
    #[error("there is no such merge, or it was undone")]
    Unknown,
    #[error("merges can't be read or changed: {0}")]
    Store(#[from] sqlx::Error),
}

#[derive(Debug, Clone, FromRow, serde::Serialize, utoipa::ToSchema)]
pub struct ListedMerge {
    #[sqlx(rename = "id")]
    pub merge_id: i64,
    pub from_player: String,
    pub into_player: String,
    pub merged_by: Option<i32>,
    pub merged_at: DateTime<Utc>,
}

/// Joins `from` to `into`, for all questions from now on.
pub async fn merge(pool: &PgPool, admin: i32, from: &str, into: &str) -> Result<i64, MergeError> {
    if from == into {
        return Err(MergeError::Itself);
    }
    if from.starts_with(ANONYMOUS_PREFIX) || into.starts_with(ANONYMOUS_PREFIX) {
        return Err(MergeError::Anonymous);
    }
    let mut transaction = pool.begin().await?;
    // One merge at a time: two that make a circle only together would not see each other.
    sqlx::query("LOCK TABLE player_merges IN SHARE ROW EXCLUSIVE MODE").execute(&mut *transaction).await?;
    let is_linked: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM user_identities WHERE player_id = $1)
             OR EXISTS (SELECT FROM anonymous_players WHERE player_id = $1)",
    )
    .bind(from)
    .fetch_one(&mut *transaction)
    .await?;
    if is_linked || is_id_of_a_user(from) {
        return Err(MergeError::Linked);
    }
    let live: Vec<(String, String)> =
        sqlx::query_as("SELECT from_player, into_player FROM player_merges WHERE undone_at IS NULL")
            .fetch_all(&mut *transaction)
            .await?;
    let live: BTreeMap<String, String> = live.into_iter().collect();
    if live.contains_key(from) {
        return Err(MergeError::Merged);
    }
    let mut end = into;
    // No circle among those that are there, so this ends.
    while let Some(next) = live.get(end) {
        end = next;
    }
    if end == from {
        return Err(MergeError::Circle);
    }
    let merge_id: i64 = sqlx::query_scalar(
        "INSERT INTO player_merges (from_player, into_player, merged_by) VALUES ($1, $2, $3) RETURNING id",
    )
    .bind(from)
    .bind(into)
    .bind(admin)
    .fetch_one(&mut *transaction)
    .await?;
    let entry = Entry {
        by: By::User(admin),
        action: "player.merge",
        subject_kind: "player",
        subject_id: from,
        before: None,
        after: Some(json!({ "merge_id": merge_id, "into": into })),
    };
    audit::record(&mut transaction, entry).await?;
    transaction.commit().await?;
    Ok(merge_id)
}

/// Takes a merge back.
pub async fn undo_merge(pool: &PgPool, admin: i32, merge_id: i64) -> Result<(), MergeError> {
    let mut transaction = pool.begin().await?;
    let (from, into): (String, String) = sqlx::query_as(
        "UPDATE player_merges SET undone_at = now(), undone_by = $2 WHERE id = $1 AND undone_at IS NULL
         RETURNING from_player, into_player",
    )
    .bind(merge_id)
    .bind(admin)
    .fetch_optional(&mut *transaction)
    .await?
    .ok_or(MergeError::Unknown)?;
    let entry = Entry {
        by: By::User(admin),
        action: "player.undo_merge",
        subject_kind: "player",
        subject_id: &from,
        before: Some(json!({ "merge_id": merge_id, "into": into })),
        after: None,
    };
    audit::record(&mut transaction, entry).await?;
    transaction.commit().await?;
    Ok(())
}

#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct MergeList {
    pub page: u32,
    pub limit: u32,
    pub total: i64,
    pub merges: Vec<ListedMerge>,
}

/// The merges that hold, the latest first.
pub async fn list_merges(pool: &PgPool, paging: Paging) -> sqlx::Result<MergeList> {
    let merges = sqlx::query_as(
        "SELECT id, from_player, into_player, merged_by, merged_at FROM player_merges
         WHERE undone_at IS NULL ORDER BY id DESC LIMIT $1 OFFSET $2",
    )
    .bind(i64::from(paging.limit))
    .bind(i64::try_from(paging.offset()).unwrap_or(i64::MAX))
    .fetch_all(pool)
    .await?;
    let total = sqlx::query_scalar("SELECT count(*) FROM player_merges WHERE undone_at IS NULL")
        .fetch_one(pool)
        .await?;
    Ok(MergeList { page: paging.page, limit: paging.limit, total, merges })
}
