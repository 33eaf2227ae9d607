//! Player ids that belong to users. An id belongs to one user at most, with all that admins have merged with it, and a
//! user's own id to nobody else.

use chrono::{DateTime, Utc};
use mohaa_domain::player::ANONYMOUS_PREFIX;
use sqlx::{FromRow, PgConnection, PgPool};

use super::persons::{belonging_of, lock_decisions};

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

/// Links an id to a user, with whatever admins have merged with it; nothing happens where it is the user's already.
pub async fn link(connection: &mut PgConnection, user_id: i32, player_id: &str) -> Result<(), LinkError> {
    if player_id == user_id.to_string() {
        return Ok(());
    }
    if player_id.starts_with(ANONYMOUS_PREFIX) || is_id_of_a_user(player_id) {
        return Err(LinkError::OwnedByAnother);
    }
    lock_decisions(&mut *connection).await?;
    // Who was made anonymous is nobody's.
    let belonging = belonging_of(&mut *connection, player_id).await?;
    if belonging.is_anonymous || belonging.owners.iter().any(|owner| *owner != user_id) {
        return Err(LinkError::OwnedByAnother);
    }
    sqlx::query(
        "INSERT INTO user_identities (player_id, user_id) VALUES ($1, $2) ON CONFLICT (player_id) DO NOTHING",
    )
    .bind(player_id)
    .bind(user_id)
    .execute(connection)
    .await?;
    Ok(())
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
