//! Users in PostgreSQL.

use super::{DisplayName, Role};
use crate::audit::{self, By, Entry};
use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgPool};

#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct User {
    #[sqlx(rename = "id")]
    pub user_id: i32,
    pub display_name: String,
    #[sqlx(try_from = "String")]
    pub role: Role,
    pub created_at: DateTime<Utc>,
}

/// Makes a user with the next free id, at an operator's word.
pub async fn add(pool: &PgPool, name: &DisplayName, role: Role) -> sqlx::Result<User> {
    let mut transaction = pool.begin().await?;
    let user: User = sqlx::query_as(
        "INSERT INTO users (display_name, role) VALUES ($1, $2) RETURNING id, display_name, role, created_at",
    )
    .bind(name.as_str())
    .bind(role.as_str())
    .fetch_one(&mut *transaction)
    .await?;
    let entry = Entry {
        by: By::Operator,
        action: "user.add",
        subject_kind: "user",
        subject_id: &user.user_id.to_string(),
        before: None,
        after: Some(serde_json::json!({ "role": role })),
    };
    audit::record(&mut transaction, entry).await?;
    transaction.commit().await?;
    Ok(user)
}

/// One who was not deleted. By primary key.
pub async fn find(pool: &PgPool, user_id: i32) -> sqlx::Result<Option<User>> {
    sqlx::query_as(
        "SELECT id, display_name, role, created_at FROM users WHERE id = $1 AND deleted_at IS NULL",
    )
    .bind(user_id)
    .fetch_optional(pool)
    .await
}

/// Whether a user may do nothing at the moment. By primary key.
pub async fn is_banned(pool: &PgPool, user_id: i32) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM users WHERE id = $1 AND banned_at IS NOT NULL)")
        .bind(user_id)
        .fetch_one(pool)
        .await
}

/// The player ids linked to a user, oldest link first: the first is the canonical one. By `user_identities_by_user`.
pub async fn find_player_ids(pool: &PgPool, user_id: i32) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar(
        "SELECT player_id FROM user_identities WHERE user_id = $1 ORDER BY linked_at, player_id",
    )
    .bind(user_id)
    .fetch_all(pool)
    .await
}
