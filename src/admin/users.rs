//! Users as admins see them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{FromRow, PgPool};
use utoipa::ToSchema;

use crate::http::query::Paging;
use crate::users::Role;

#[derive(Debug, FromRow, Serialize, ToSchema)]
pub struct ListedUser {
    #[sqlx(rename = "id")]
    pub user_id: i32,
    pub display_name: String,
    #[sqlx(try_from = "String")]
    pub role: Role,
    pub created_at: DateTime<Utc>,
    pub banned_at: Option<DateTime<Utc>>,
    pub ban_reason: Option<String>,
    /// `discord`, `steam`.
    pub providers: Vec<String>,
    pub player_ids: Vec<String>,
    pub open_sessions: i64,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct UserList {
    pub page: u32,
    pub limit: u32,
    pub total: i64,
    pub users: Vec<ListedUser>,
}

/// Users whose name holds `search` or whose id it is, the newest first.
pub async fn list_users(pool: &PgPool, search: &str, paging: Paging) -> sqlx::Result<UserList> {
    let users = sqlx::query_as(
        "SELECT id, display_name, role, created_at, banned_at, ban_reason,
                ARRAY(SELECT provider FROM sign_ins WHERE user_id = users.id ORDER BY linked_at) AS providers,
                ARRAY(SELECT player_id FROM user_identities WHERE user_id = users.id ORDER BY linked_at, player_id) AS player_ids,
                (SELECT count(*) FROM sessions
                 WHERE user_id = users.id AND ended_at IS NULL AND expires_at > now()) AS open_sessions
         FROM users
         WHERE deleted_at IS NULL AND ($1 = '' OR strpos(lower(display_name), lower($1)) > 0 OR id::text = $1)
         ORDER BY id DESC LIMIT $2 OFFSET $3",
    )
    .bind(search)
    .bind(i64::from(paging.limit))
    .bind(i64::try_from(paging.offset()).unwrap_or(i64::MAX))
    .fetch_all(pool)
    .await?;
    let total = sqlx::query_scalar(
        "SELECT count(*) FROM users
         WHERE deleted_at IS NULL AND ($1 = '' OR strpos(lower(display_name), lower($1)) > 0 OR id::text = $1)",
    )
    .bind(search)
    .fetch_one(pool)
    .await?;
    Ok(UserList { page: paging.page, limit: paging.limit, total, users })
}
