//! One-time links that sign a user in, for operators who hand out access without Discord or Steam.
//!
//! Looking at the link does not use it up, so that a messenger's preview can't; only the form on its page does. Of
//! the code only a hash is kept: who reads the database signs nobody in.

use super::{hash_of_code, random_code};
use crate::audit::{self, By, Entry};
use crate::users::{LockedUser, User, lock_user};
use sqlx::{PgConnection, PgPool};

/// 256 bits: not to be guessed in 24 hours, or ever.
const CODE_BYTES: usize = 32;

#[derive(Debug, thiserror::Error)]
pub enum LoginLinkError {
    /// Unknown, used or expired: a caller learns no more.
    #[error("this login link is unknown, was used or has expired")]
    Gone,
    #[error("login links can't be looked up: {0}")]
    Store(#[from] sqlx::Error),
}

/// A new link for this user, good for 24 hours. Links that nobody can use any more are cleared away meanwhile.
pub async fn make_login_link(pool: &PgPool, user_id: i32, base_url: &str) -> sqlx::Result<String> {
    make_link(&mut *pool.acquire().await?, user_id, base_url).await
}

/// Another link for a user who is there already, at an operator's word.
pub async fn make_further_login_link(pool: &PgPool, user_id: i32, base_url: &str) -> sqlx::Result<String> {
    let mut transaction = pool.begin().await?;
    let link = make_link(&mut transaction, user_id, base_url).await?;
    let entry = Entry {
        by: By::Operator,
        action: "user.make_login_link",
        subject_kind: "user",
        subject_id: &user_id.to_string(),
        before: None,
        after: None,
    };
    audit::record(&mut transaction, entry).await?;
    transaction.commit().await?;
    Ok(link)
}

async fn make_link(connection: &mut PgConnection, user_id: i32, base_url: &str) -> sqlx::Result<String> {
    let code = random_code(CODE_BYTES);
    // By `login_links_by_expiry`.
    sqlx::query("DELETE FROM login_links WHERE expires_at < now() - interval '30 days'")
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "INSERT INTO login_links (code_hash, user_id, expires_at) VALUES ($1, $2, now() + interval '24 hours')",
    )
    .bind(hash_of_code(&code).as_slice())
    .bind(user_id)
    .execute(connection)
    .await?;
    Ok(format!("{base_url}/login/link/{code}"))
}

/// Whom the link would sign in, without using it up. By primary key.
pub async fn find_login_link(pool: &PgPool, code: &str) -> Result<User, LoginLinkError> {
    let user: Option<User> = sqlx::query_as(
        "SELECT users.id, users.display_name, users.role, users.created_at
         FROM login_links JOIN users ON users.id = login_links.user_id
         WHERE code_hash = $1 AND used_at IS NULL AND expires_at > now()",
    )
    .bind(hash_of_code(code).as_slice())
    .fetch_optional(pool)
    .await?;
    user.ok_or(LoginLinkError::Gone)
}

/// Uses the link up and tells whom it signs in. Of two calls at once one gets the user: the user's row is locked by the
/// first, and the second then finds the link used. So does whoever comes after the user was signed out everywhere. By
/// primary key.
pub async fn consume_login_link(
    connection: &mut PgConnection,
    code: &str,
) -> Result<LockedUser, LoginLinkError> {
    let hash = hash_of_code(code);
    let user_id: Option<i32> = sqlx::query_scalar(
        "SELECT user_id FROM login_links WHERE code_hash = $1 AND used_at IS NULL AND expires_at > now()",
    )
    .bind(hash.as_slice())
    .fetch_optional(&mut *connection)
    .await?;
    let user_id = user_id.ok_or(LoginLinkError::Gone)?;
    let user = lock_user(&mut *connection, user_id).await?.ok_or(LoginLinkError::Gone)?;
    let used = sqlx::query(
        "UPDATE login_links SET used_at = now() WHERE code_hash = $1 AND used_at IS NULL AND expires_at > now()",
    )
    .bind(hash.as_slice())
    .execute(connection)
    .await?;
    if used.rows_affected() == 1 { Ok(user) } else { Err(LoginLinkError::Gone) }
}
