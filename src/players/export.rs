//! Everything that is stored about a user, for the user.

use chrono::{DateTime, Utc};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::Value;
use sqlx::{FromRow, PgPool};
use utoipa::ToSchema;
use uuid::Uuid;

use super::links::{LinkedPlayer, linked_players};
use super::persons::ids_of_person;
use crate::auth::SessionError;
use crate::servers::{ListedServer, list_servers};
use crate::teams::{ExportedMembership, TeamInvite, invites_to, memberships_of};
use crate::tournaments::{ExportedMutation, ExportedTournament, mutations_of, tournaments_of};
use crate::users::Role;
use crate::webhooks::{Webhook, webhooks_of};

/// What is stored about a user: everything in PostgreSQL that belongs to the account or to a player of theirs. Statistics of the linked players are public and stand at their own addresses.
#[derive(Debug, Serialize, ToSchema)]
pub struct Export {
    pub user_id: i32,
    pub display_name: String,
    pub role: Role,
    pub created_at: DateTime<Utc>,
    pub sign_ins: Vec<ExportedSignIn>,
    /// Ended ones stay for a month after they would have expired.
    pub sessions: Vec<ExportedSession>,
    pub players: Vec<LinkedPlayer>,
    /// Ids that count as the user's because admins have merged them with one of theirs.
    pub merged_players: Vec<String>,
    pub achievements: Vec<ExportedAchievement>,
    pub servers: Vec<ListedServer>,
    /// Teams that the user is in.
    pub teams: Vec<ExportedMembership>,
    /// Invitations to the user, answered ones for a month after they would have expired.
    pub team_invites: Vec<TeamInvite>,
    /// Webhooks of the user, without what opens them.
    pub webhooks: Vec<Webhook>,
    /// Tournaments that the user owns, is staff of, or has a place in.
    pub tournaments: Vec<ExportedTournament>,
    /// What the user did in tournaments, by their logs.
    pub tournament_log: Vec<ExportedMutation>,
    /// Servers of the user's that were removed.
    pub removed_servers: Vec<ExportedServer>,
    /// Keys that register a server; what they are is not stored.
    pub server_keys: Vec<ExportedKey>,
    /// What the user did and what was done to the account and to its players, by the audit log.
    pub audit: Vec<ExportedEntry>,
    /// Addresses of the statistics of each player.
    pub statistics: Vec<String>,
}

#[derive(Debug, FromRow, Serialize, ToSchema)]
pub struct ExportedSignIn {
    pub provider: String,
    pub subject: String,
    pub display_name: String,
    pub linked_at: DateTime<Utc>,
    pub last_used_at: DateTime<Utc>,
}

#[derive(Debug, FromRow, Serialize, ToSchema)]
pub struct ExportedSession {
    #[sqlx(rename = "id")]
    pub session_id: Uuid,
    /// `browser`, `device` or `operator`.
    pub kind: String,
    pub label: String,
    pub created_at: DateTime<Utc>,
    pub last_used_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
}

#[derive(Debug, FromRow, Serialize, ToSchema)]
pub struct ExportedAchievement {
    pub player_id: String,
    pub achievement: String,
    pub tier: i16,
    pub match_id: Option<Uuid>,
    pub tournament_id: Option<Uuid>,
    pub unlocked_at: DateTime<Utc>,
}

#[derive(Debug, FromRow, Serialize, ToSchema)]
pub struct ExportedServer {
    #[sqlx(rename = "id")]
    pub server_id: Uuid,
    pub name: String,
    pub removed_at: DateTime<Utc>,
}

#[derive(Debug, FromRow, Serialize, ToSchema)]
pub struct ExportedKey {
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub used_at: Option<DateTime<Utc>>,
    pub server_id: Option<Uuid>,
}

#[derive(Debug, FromRow, Serialize, ToSchema)]
pub struct ExportedEntry {
    pub at: DateTime<Utc>,
    pub action: String,
    pub subject_kind: String,
    pub subject_id: String,
    #[schema(value_type = Option<Object>)]
    pub before: Option<Value>,
    #[schema(value_type = Option<Object>)]
    pub after: Option<Value>,
}

/// # Errors
/// When PostgreSQL fails; [`SessionError::Invalid`] for a user who is no more.
pub async fn export(pool: &PgPool, user_id: i32) -> Result<Export, SessionError> {
    let user = crate::users::find(pool, user_id).await?.ok_or(SessionError::Invalid)?;
    let players = linked_players(pool, user_id).await?;
    let ids = ids_of_person(&mut *pool.acquire().await?, &user_id.to_string()).await?;
    let is_merged =
        |id: &&String| **id != user_id.to_string() && players.iter().all(|player| player.player_id != **id);
    let merged_players = ids.iter().filter(is_merged).cloned().collect();
    // By `sessions_by_user`.
    let sessions = sqlx::query_as(
        "SELECT id, kind, label, created_at, last_used_at, expires_at, ended_at FROM sessions
         WHERE user_id = $1 ORDER BY created_at, id",
    )
    .bind(user_id)
    .fetch_all(pool)
    .await?;
    let achievements = sqlx::query_as(
        "SELECT player_id, achievement, tier, match_id, tournament_id, unlocked_at FROM player_achievements
         WHERE player_id = ANY($1) ORDER BY unlocked_at, achievement, tier",
    )
    .bind(&ids)
    .fetch_all(pool)
    .await?;
    let server_keys = sqlx::query_as(
        "SELECT created_at, expires_at, used_at, server_id FROM server_keys WHERE created_by = $1 ORDER BY created_at",
    )
    .bind(user_id)
    .fetch_all(pool)
    .await?;
    let removed_servers = sqlx::query_as(
        "SELECT id, name, removed_at FROM servers WHERE created_by = $1 AND removed_at IS NOT NULL
         ORDER BY removed_at, id",
    )
    .bind(user_id)
    .fetch_all(pool)
    .await?;
    // By `audit_log_by_user` and `audit_log_by_subject`.
    let audit = sqlx::query_as(
        "SELECT at, action, subject_kind, subject_id, before, after FROM audit_log
         WHERE user_id = $1 OR (subject_kind = 'user' AND subject_id = $1::text)
            OR (subject_kind = 'player' AND subject_id = ANY($2)) ORDER BY id",
    )
    .bind(user_id)
    .bind(&ids)
    .fetch_all(pool)
    .await?;
    Ok(Export {
        servers: list_servers(pool, Some(user_id)).await?,
        teams: memberships_of(pool, user_id).await?,
        team_invites: invites_to(pool, user_id).await?,
        webhooks: webhooks_of(pool, user_id).await?,
        tournaments: tournaments_of(pool, user_id).await?,
        tournament_log: mutations_of(pool, user_id).await?,
        removed_servers,
        server_keys,
        audit,
        user_id,
        display_name: user.display_name,
        role: user.role,
        created_at: user.created_at,
        sign_ins: sign_ins_of(pool, user_id).await?,
        sessions,
        merged_players,
        achievements,
        statistics: ids
            .iter()
            .map(|id| format!("/api/v1/stats/player/{}", utf8_percent_encode(id, NON_ALPHANUMERIC)))
            .collect(),
        players,
    })
}

/// Accounts of providers that sign this user in, the first linked first. By `sign_ins_by_user`.
pub async fn sign_ins_of(pool: &PgPool, user_id: i32) -> sqlx::Result<Vec<ExportedSignIn>> {
    sqlx::query_as(
        "SELECT provider, subject, display_name, linked_at, last_used_at FROM sign_ins
         WHERE user_id = $1 ORDER BY linked_at",
    )
    .bind(user_id)
    .fetch_all(pool)
    .await
}
