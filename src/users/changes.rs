//! What is done to users: roles, bans, deletion. Each is one transaction with its entry in the audit log; a trigger ends
//! the access tokens that say otherwise.

use mohaa_domain::tournament::NAME_OF_FORGOTTEN;
use serde_json::{Value, json};
use sqlx::{PgConnection, PgPool};

use super::Role;
use super::locks::{CallerError, LockedUser, lock_user_and_admins, require_open_session};
use crate::audit::{self, By, Entry};
use crate::auth::{Identity, Sessions, end_everything};
use crate::http::ApiError;
use crate::{players, postgres, teams, webhooks};

const LONGEST_REASON_CHARS: usize = 500;
const NAME_OF_DELETED: &str = NAME_OF_FORGOTTEN;

#[derive(Debug, thiserror::Error)]
pub enum UserChangeError {
    #[error("there is no such user")]
    Unknown,
    #[error("only an admin may do this")]
    NotAdmin,
    #[error("there has to be an admin: make somebody else one first")]
    LastAdmin,
    #[error("a reason has at most {LONGEST_REASON_CHARS} characters")]
    Reason,
    #[error(transparent)]
    Caller(#[from] CallerError),
    #[error("users can't be changed: {0}")]
    Store(#[from] sqlx::Error),
}

impl From<UserChangeError> for ApiError {
    fn from(error: UserChangeError) -> Self {
        let message = error.to_string();
        match error {
            UserChangeError::Unknown => Self::not_found("unknown_user", message),
            UserChangeError::NotAdmin => Self::forbidden("not_allowed", message),
            UserChangeError::LastAdmin => Self::conflict("last_admin", message),
            UserChangeError::Reason => Self::invalid_field("reason", message),
            UserChangeError::Caller(cause) => cause.into(),
            UserChangeError::Store(cause) => users_unavailable(cause),
        }
    }
}

/// While PostgreSQL can't be asked.
pub fn users_unavailable(cause: sqlx::Error) -> ApiError {
    let message = "accounts can't be read or changed at the moment: try again";
    postgres::unanswered("users_unavailable", message, cause)
}

/// Who may undo a change is locked with its subject, so that of two admins who demote each other one is left.
struct Change {
    role: String,
    was_banned: bool,
    is_last_admin: bool,
}

impl Change {
    /// Locks the subject, until the transaction ends.
    async fn begin(connection: &mut PgConnection, by: i32, user_id: i32) -> Result<Self, UserChangeError> {
        let locked = lock_user_and_admins(connection, user_id).await?;
        let is_admin = |user: &LockedUser| user.role == Role::Admin.as_str() && !user.is_banned;
        let subject = locked.iter().find(|user| user.user_id == user_id).ok_or(UserChangeError::Unknown)?;
        // Whoever lost the role meanwhile; a change of one's own account needs none.
        if by != user_id && !locked.iter().any(|user| user.user_id == by && is_admin(user)) {
            return Err(UserChangeError::NotAdmin);
        }
        let has_another_admin = locked.iter().any(|user| user.user_id != user_id && is_admin(user));
        Ok(Self {
            role: subject.role.clone(),
            was_banned: subject.is_banned,
            is_last_admin: subject.role == Role::Admin.as_str() && !has_another_admin,
        })
    }

    /// Refuses to take away the last one who could undo it.
    fn require_another_admin(&self) -> Result<(), UserChangeError> {
        if self.is_last_admin { Err(UserChangeError::LastAdmin) } else { Ok(()) }
    }
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
    let change = Change::begin(&mut transaction, by, user_id).await?;
    if role != Role::Admin {
        change.require_another_admin()?;
    }
    sqlx::query("UPDATE users SET role = $2 WHERE id = $1")
        .bind(user_id)
        .bind(role.as_str())
        .execute(&mut *transaction)
        .await?;
    if role < Role::Organizer {
        webhooks::disable_all_of(&mut transaction, user_id, "its owner is no organizer any more").await?;
    }
    let before = json!({ "role": change.role });
    log(&mut transaction, by, "user.set_role", user_id, before, json!({ "role": role })).await?;
    transaction.commit().await?;
    Ok(())
}

/// Keeps a user out, from this moment on. The reason may name anybody: it stands with the user and not in the log, which
/// nothing can be taken out of.
pub async fn ban(pool: &PgPool, by: i32, user_id: i32, reason: &str) -> Result<(), UserChangeError> {
    if reason.chars().count() > LONGEST_REASON_CHARS {
        return Err(UserChangeError::Reason);
    }
    let mut transaction = pool.begin().await?;
    let change = Change::begin(&mut transaction, by, user_id).await?;
    change.require_another_admin()?;
    sqlx::query("UPDATE users SET banned_at = coalesce(banned_at, now()), ban_reason = $2 WHERE id = $1")
        .bind(user_id)
        .bind(reason.trim())
        .execute(&mut *transaction)
        .await?;
    end_everything(&mut transaction, user_id).await?;
    teams::leave_all(&mut transaction, by, user_id).await?;
    webhooks::disable_all_of(&mut transaction, user_id, "its owner is banned").await?;
    let before = json!({ "banned": change.was_banned });
    log(&mut transaction, by, "user.ban", user_id, before, json!({ "banned": true })).await?;
    transaction.commit().await?;
    Ok(())
}

pub async fn unban(pool: &PgPool, by: i32, user_id: i32) -> Result<(), UserChangeError> {
    let mut transaction = pool.begin().await?;
    let change = Change::begin(&mut transaction, by, user_id).await?;
    sqlx::query("UPDATE users SET banned_at = NULL, ban_reason = NULL WHERE id = $1")
        .bind(user_id)
        .execute(&mut *transaction)
        .await?;
    let before = json!({ "banned": change.was_banned });
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
    let ended = async {
        let mut transaction = pool.begin().await?;
        Change::begin(&mut transaction, by, user_id).await?;
        let ended = end_everything(&mut transaction, user_id).await?;
        log(&mut transaction, by, "user.sign_out", user_id, json!({}), json!({})).await?;
        transaction.commit().await?;
        Ok::<_, UserChangeError>(ended)
    };
    sessions.have_ended(user_id, &ended.await?);
    Ok(())
}

/// Deletes a user at their own wish: what opens the account, what is linked to it and its name. The row stays, because its
/// id stands in tournaments and in the audit log, and so that nobody else gets it.
pub async fn delete_account(
    pool: &PgPool,
    caller: Identity,
    anonymise_players: bool,
) -> Result<(), UserChangeError> {
    let user_id = caller.user_id;
    let mut transaction = pool.begin().await?;
    let change = Change::begin(&mut transaction, user_id, user_id).await?;
    require_open_session(&mut transaction, caller).await?;
    change.require_another_admin()?;
    players::lock_decisions(&mut transaction).await?;
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
    teams::leave_all(&mut transaction, user_id, user_id).await?;
    webhooks::remove_all_of(&mut transaction, user_id).await?;
    sqlx::query("UPDATE users SET display_name = $2, role = 'player', ban_reason = NULL, deleted_at = now() WHERE id = $1")
        .bind(user_id)
        .bind(NAME_OF_DELETED)
        .execute(&mut *transaction)
        .await?;
    sqlx::query("SELECT forget_in_tournaments($1, $2)")
        .bind(user_id)
        .bind(NAME_OF_DELETED)
        .execute(&mut *transaction)
        .await?;
    let after = json!({ "players_anonymised": anonymise_players });
    log(&mut transaction, user_id, "user.delete", user_id, json!({ "role": change.role }), after).await?;
    transaction.commit().await?;
    Ok(())
}
