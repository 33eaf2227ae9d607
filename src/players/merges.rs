//! Merges: an admin says that two ids are one person. Undone, they are two again.

use chrono::{DateTime, Utc};
use mohaa_domain::player::ANONYMOUS_PREFIX;
use serde_json::json;
use sqlx::{FromRow, PgConnection, PgPool};
use std::collections::BTreeMap;

use super::links::is_id_of_a_user;
use super::persons::{belonging_of, ids_of_person, lock_decisions};
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
    #[error("they are one player already")]
    OnePlayer,
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

/// Joins `from` to `into`, for all questions from now on. `from` and what was merged with it belong to nobody; where `into`
/// belongs to a user, they do from then on.
pub async fn merge(pool: &PgPool, admin: i32, from: &str, into: &str) -> Result<i64, MergeError> {
    let mut transaction = pool.begin().await?;
    lock_decisions(&mut transaction).await?;
    require_mergeable(&mut transaction, from, into).await?;
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

/// Why a merge would be refused as things are; none where it would not.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn why_not_merged(pool: &PgPool, from: &str, into: &str) -> sqlx::Result<Option<MergeError>> {
    let mut connection = pool.acquire().await?;
    match require_mergeable(&mut connection, from, into).await {
        Ok(()) => Ok(None),
        Err(MergeError::Store(cause)) => Err(cause),
        Err(refusal) => Ok(Some(refusal)),
    }
}

async fn require_mergeable(connection: &mut PgConnection, from: &str, into: &str) -> Result<(), MergeError> {
    if from == into {
        return Err(MergeError::Itself);
    }
    if from.starts_with(ANONYMOUS_PREFIX) || into.starts_with(ANONYMOUS_PREFIX) {
        return Err(MergeError::Anonymous);
    }
    let live: Vec<(String, String)> =
        sqlx::query_as("SELECT from_player, into_player FROM player_merges WHERE undone_at IS NULL")
            .fetch_all(&mut *connection)
            .await?;
    let live: BTreeMap<String, String> = live.into_iter().collect();
    let mut end = into;
    // No circle among those that are there, so this ends.
    while let Some(next) = live.get(end) {
        end = next;
    }
    if end == from {
        return Err(MergeError::Circle);
    }
    let is_merged = live.contains_key(from);
    if ids_of_person(&mut *connection, from).await?.iter().any(|id| id == into) {
        return Err(if is_merged { MergeError::Merged } else { MergeError::OnePlayer });
    }
    let belonging = belonging_of(&mut *connection, from).await?;
    match (is_id_of_a_user(from) || !belonging.owners.is_empty(), is_merged) {
        (_, true) => Err(MergeError::Merged),
        (true, false) => Err(MergeError::Linked),
        (false, false) if belonging.is_anonymous => Err(MergeError::Anonymous),
        (false, false) => Ok(()),
    }
}

/// Takes a merge back.
pub async fn undo_merge(pool: &PgPool, admin: i32, merge_id: i64) -> Result<(), MergeError> {
    let mut transaction = pool.begin().await?;
    lock_decisions(&mut transaction).await?;
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
