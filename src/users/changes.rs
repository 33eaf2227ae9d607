//! What is done to users: roles, bans, deletion. Each is one transaction with its entry in the audit log; a trigger ends
//! the access tokens that say otherwise.

use serde_json::{Value, json};
use sqlx::{PgConnection, PgPool};

use super::Role;
use crate::audit::{self, By, Entry};
use crate::auth::{Sessions, end_everything};
use crate::http::ApiError;
use crate::{players, postgres};

const LONGEST_REASON_CHARS: usize = 500;
const NAME_OF_DELETED: &str = "deleted user";

#[derive(Debug, thiserror::Error)]
pub enum UserChangeError {
    #[error("there is no such user")]
    Unknown,
    #[error("there has to be an admin: make somebody else one first")]
    LastAdmin,
    #[error("a reason has at most {LONGEST_REASON_CHARS} characters")]
    Reason,
    #[error("users can't be changed: {0}")]
    Store(#[from] sqlx::Error),
}

impl From<UserChangeError> for ApiError {
    fn from(error: UserChangeError) -> Self {
        let message = error.to_string();
        match error {
            UserChangeError::Unknown => Self::not_found("unknown_user", message),
            UserChangeError::LastAdmin => Self::conflict("last_admin", message),
            UserChangeError::Reason => Self::invalid_field("reason", message),
            UserChangeError::Store(cause) => users_unavailable(cause),
        }
    }
}

/// While PostgreSQL can't be asked.
pub fn users_unavailable(cause: sqlx::Error) -> ApiError {
    let message = "accounts can't be read or changed at the moment: try again";
    postgres::unanswered("users_unavailable", message, cause)
}

/// Role and ban of a user, locked until the transaction ends.
async fn lock(connection: &mut PgConnection, user_id: i32) -> Result<(String, bool), UserChangeError> {
    let found = sqlx::query_as(
        "SELECT role, banned_at IS NOT NULL FROM users WHERE id = $1 AND deleted_at IS NULL FOR UPDATE",
    )
    .bind(user_id)
    .fetch_optional(connection)
    .await?;
    found.ok_or(UserChangeError::Unknown)
}

/// Refuses to take away the last one who could undo it.
async fn require_another_admin(connection: &mut PgConnection, user_id: i32) -> Result<(), UserChangeError> {
    // Locked, so that of two admins who demote each other one is left.
    let others: Vec<i32> = sqlx::query_scalar(
        "SELECT id FROM users WHERE role = 'admin' AND id <> $1 AND banned_at IS NULL AND deleted_at IS NULL
         ORDER BY id FOR UPDATE",
    )
    .bind(user_id)
    .fetch_all(connection)
    .await?;
    if others.is_empty() { Err(UserChangeError::LastAdmin) } else { Ok(()) }
}

async fn log(
    connection: &mut PgConnection,
    by: i32,
    action: &str,
    user_id: i32,
    before: Value,
    after: Value,
) -> sqlx::Result<()> {
    let entry = Entry {
        by: By::User(by),
        action,
        subject_kind: "user",
        subject_id: &user_id.to_string(),
        before: Some(before),
        after: Some(after),
    };
    audit::record(connection, entry).await
}

pub async fn set_role(pool: &PgPool, by: i32, user_id: i32, role: Role) -> Result<(), UserChangeError> {
    let mut transaction = pool.begin().await?;
    let (earlier, _) = lock(&mut transaction, user_id).await?;
    if earlier == Role::Admin.as_str() && role != Role::Admin {
        require_another_admin(&mut transaction, user_id).await?;
    }
    sqlx::query("UPDATE users SET role = $2 WHERE id = $1")
        .bind(user_id)
        .bind(role.as_str())
        .execute(&mut *transaction)
        .await?;
    log(&mut transaction, by, "user.set_role", user_id, json!({ "role": earlier }), json!({ "role": role }))
        .await?;
    transaction.commit().await?;
    Ok(())
}

/// Keeps a user out, from this moment on.
pub async fn ban(pool: &PgPool, by: i32, user_id: i32, reason: &str) -> Result<(), UserChangeError> {
    if reason.chars().count() > LONGEST_REASON_CHARS {
        return Err(UserChangeError::Reason);
    }
    let mut transaction = pool.begin().await?;
    let (role, was_banned) = lock(&mut transaction, user_id).await?;
    if role == Role::Admin.as_str() {
        require_another_admin(&mut transaction, user_id).await?;
    }
    sqlx::query("UPDATE users SET banned_at = coalesce(banned_at, now()), ban_reason = $2 WHERE id = $1")
        .bind(user_id)
        .bind(reason.trim())
        .execute(&mut *transaction)
        .await?;
    end_everything(&mut transaction, user_id).await?;
    sqlx::query("DELETE FROM login_links WHERE user_id = $1 AND used_at IS NULL")
        .bind(user_id)
        .execute(&mut *transaction)
        .await?;
    let after = json!({ "banned": true, "reason": reason.trim() });
    log(&mut transaction, by, "user.ban", user_id, json!({ "banned": was_banned }), after).await?;
    transaction.commit().await?;
    Ok(())
}

pub async fn unban(pool: &PgPool, by: i32, user_id: i32) -> Result<(), UserChangeError> {
    let mut transaction = pool.begin().await?;
    let (_, was_banned) = lock(&mut transaction, user_id).await?;
    sqlx::query("UPDATE users SET banned_at = NULL, ban_reason = NULL WHERE id = $1")
        .bind(user_id)
        .execute(&mut *transaction)
        .await?;
    let before = json!({ "banned": was_banned });
    log(&mut transaction, by, "user.unban", user_id, before, json!({ "banned": false })).await?;
    transaction.commit().await?;
    Ok(())
}

/// Ends every session of another user.
pub async fn sign_out_by_admin(
    pool: &PgPool,
    sessions: &Sessions,
    by: i32,
    user_id: i32,
) -> Result<(), ApiError> {
    let logged = async {
        let mut transaction = pool.begin().await?;
        lock(&mut transaction, user_id).await?;
        log(&mut transaction, by, "user.sign_out", user_id, json!({}), json!({})).await?;
        transaction.commit().await?;
        Ok::<_, UserChangeError>(())
    };
    logged.await?;
    sessions.end_all(user_id).await?;
    Ok(())
}

/// Deletes a user at their own wish: what opens the account, what is linked to it and its name. The row stays, because its
/// id stands in tournaments and in the audit log, and so that nobody else gets it.
pub async fn delete_account(
    pool: &PgPool,
    user_id: i32,
    anonymise_players: bool,
) -> Result<(), UserChangeError> {
    let mut transaction = pool.begin().await?;
    let (role, _) = lock(&mut transaction, user_id).await?;
    if role == Role::Admin.as_str() {
        require_another_admin(&mut transaction, user_id).await?;
    }
    // Who is anonymous stays it.
    let is_anonymous: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM anonymous_players WHERE player_id = $1::text)")
            .bind(user_id.to_string())
            .fetch_one(&mut *transaction)
            .await?;
    if anonymise_players || is_anonymous {
        players::anonymise(&mut transaction, user_id, &user_id.to_string()).await?;
    }
    for statement in [
        "DELETE FROM user_identities WHERE user_id = $1",
        "DELETE FROM sign_ins WHERE user_id = $1",
        "DELETE FROM identity_codes WHERE user_id = $1",
        "DELETE FROM login_links WHERE user_id = $1",
        "DELETE FROM device_codes WHERE user_id = $1",
        "UPDATE sessions SET ended_at = coalesce(ended_at, now()), label = 'deleted' WHERE user_id = $1",
    ] {
        sqlx::query(statement).bind(user_id).execute(&mut *transaction).await?;
    }
    sqlx::query("UPDATE users SET display_name = $2, role = 'player', ban_reason = NULL, deleted_at = now() WHERE id = $1")
        .bind(user_id)
        .bind(NAME_OF_DELETED)
        .execute(&mut *transaction)
        .await?;
    let after = json!({ "players_anonymised": anonymise_players });
    log(&mut transaction, user_id, "user.delete", user_id, json!({ "role": role }), after).await?;
    transaction.commit().await?;
    Ok(())
}
