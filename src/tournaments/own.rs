//! What is stored about a user in tournaments, for the user.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::{FromRow, PgPool};
use utoipa::ToSchema;
use uuid::Uuid;

/// A tournament that a user has to do with.
#[derive(Debug, FromRow, Serialize, ToSchema)]
pub struct ExportedTournament {
    #[sqlx(rename = "id")]
    pub tournament_id: Uuid,
    pub name: String,
    pub status: String,
    /// owner, organizer, referee; null for who only takes part.
    pub role: Option<String>,
    /// Of the user's own place, the last one; null for who has none.
    pub participant_id: Option<i32>,
    pub participant_name: Option<String>,
    /// registered, waiting, withdrawn, no_show, dropped_out or disqualified.
    pub place: Option<String>,
    /// Of a disqualification.
    pub reason: Option<String>,
}

/// What a user did in a tournament, by its log.
#[derive(Debug, FromRow, Serialize, ToSchema)]
pub struct ExportedMutation {
    pub tournament_id: Uuid,
    pub version: i64,
    pub at: DateTime<Utc>,
    /// Null: an undo.
    #[schema(value_type = Option<Object>)]
    pub command: Option<Value>,
}

/// The tournaments that a user owns, is staff of, or has a place in. By primary keys, `tournament_staff_by_user` and
/// `tournament_participants_by_user`.
pub async fn tournaments_of(pool: &PgPool, user_id: i32) -> sqlx::Result<Vec<ExportedTournament>> {
    sqlx::query_as(
        "SELECT tournaments.id, tournaments.name, status,
                CASE WHEN owner_id = $1 THEN 'owner' ELSE staff.role END AS role,
                own.id AS participant_id, own.name AS participant_name, own.place, own.reason
         FROM tournaments
         LEFT JOIN tournament_staff AS staff ON staff.tournament_id = tournaments.id AND staff.user_id = $1
         LEFT JOIN LATERAL (
             SELECT id, name, place, reason FROM tournament_participants
             WHERE tournament_id = tournaments.id AND user_id = $1 ORDER BY id DESC LIMIT 1) AS own ON true
         WHERE owner_id = $1 OR staff.user_id IS NOT NULL OR own.id IS NOT NULL
         ORDER BY tournaments.created_at, tournaments.id",
    )
    .bind(user_id)
    .fetch_all(pool)
    .await
}

/// By `tournament_log_by_user`.
pub async fn mutations_of(pool: &PgPool, user_id: i32) -> sqlx::Result<Vec<ExportedMutation>> {
    sqlx::query_as(
        "SELECT tournament_id, version, at, command FROM tournament_log WHERE user_id = $1
         ORDER BY at, tournament_id, version",
    )
    .bind(user_id)
    .fetch_all(pool)
    .await
}
