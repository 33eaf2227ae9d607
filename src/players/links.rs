//! Player ids that belong to users. An id belongs to one user at most, and a user's own id to nobody else.

use chrono::{DateTime, Utc};
use mohaa_domain::player::ANONYMOUS_PREFIX;
use sqlx::{FromRow, PgConnection, PgPool};

/// Ids of our users begin here; below are those of the forum.
const FIRST_USER_ID: i64 = 1_000_000_001;

#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("this player belongs to another account")]
    OwnedByAnother,
    #[error("links can't be read or changed: {0}")]
    Store(#[from] sqlx::Error),
}

/// A player id of a user.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, serde::Serialize, utoipa::ToSchema)]
pub struct LinkedPlayer {
    pub player_id: String,
    /// `claim` or `admin`.
    pub linked_by: String,
    pub linked_at: DateTime<Utc>,
}

/// Links an id to a user; nothing happens where it is the user's already.
pub async fn link(connection: &mut PgConnection, user_id: i32, player_id: &str) -> Result<(), LinkError> {
    if player_id == user_id.to_string() {
        return Ok(());
    }
    if player_id.starts_with(ANONYMOUS_PREFIX) || is_id_of_a_user(player_id) {
        return Err(LinkError::OwnedByAnother);
    }
    // Whoever an admin has merged into somebody else's player is theirs, and who was made anonymous is nobody's.
    let is_anothers: bool = sqlx::query_scalar(
        "WITH RECURSIVE merged AS (
             SELECT into_player FROM player_merges WHERE from_player = $1 AND undone_at IS NULL
             UNION SELECT player_merges.into_player FROM player_merges
             JOIN merged ON player_merges.from_player = merged.into_player WHERE undone_at IS NULL)
         SELECT EXISTS (SELECT FROM user_identities JOIN merged ON player_id = into_player WHERE user_id <> $2)
             OR EXISTS (SELECT FROM users JOIN merged ON id::text = into_player WHERE id <> $2)
             OR EXISTS (SELECT FROM anonymous_players WHERE player_id = $1)
             OR EXISTS (SELECT FROM anonymous_players JOIN merged ON player_id = into_player)",
    )
    .bind(player_id)
    .bind(user_id)
    .fetch_one(&mut *connection)
    .await?;
    if is_anothers {
        return Err(LinkError::OwnedByAnother);
    }
    sqlx::query(
        "INSERT INTO user_identities (player_id, user_id) VALUES ($1, $2) ON CONFLICT (player_id) DO NOTHING",
    )
    .bind(player_id)
    .bind(user_id)
    .execute(&mut *connection)
    .await?;
    let owner: i32 = sqlx::query_scalar("SELECT user_id FROM user_identities WHERE player_id = $1")
        .bind(player_id)
        .fetch_one(connection)
        .await?;
    if owner == user_id { Ok(()) } else { Err(LinkError::OwnedByAnother) }
}

/// Whether an id is in the range of our users' own, of which none can be claimed.
pub(super) fn is_id_of_a_user(player_id: &str) -> bool {
    player_id.parse::<i64>().is_ok_and(|id| (FIRST_USER_ID..=i64::from(i32::MAX)).contains(&id))
}

/// Takes an id from a user; whether it was theirs.
pub async fn unlink(connection: &mut PgConnection, user_id: i32, player_id: &str) -> sqlx::Result<bool> {
    let removed = sqlx::query("DELETE FROM user_identities WHERE user_id = $1 AND player_id = $2")
        .bind(user_id)
        .bind(player_id)
        .execute(connection)
        .await?;
    Ok(removed.rows_affected() > 0)
}

/// The ids of a user, the oldest link first. By `user_identities_by_user`.
pub async fn linked_players(pool: &PgPool, user_id: i32) -> sqlx::Result<Vec<LinkedPlayer>> {
    sqlx::query_as(
        "SELECT player_id, linked_by, linked_at FROM user_identities WHERE user_id = $1 ORDER BY linked_at, player_id",
    )
    .bind(user_id)
    .fetch_all(pool)
    .await
}
