//! The one order in which rows are locked, so that no two changes wait for each other:
//!
//! 1. rows of `users`, by id;
//! 2. what is decided about players, one change at a time (`players::lock_decisions`);
//! 3. whatever belongs to a user: codes, devices, login links, sessions, accounts of providers, links;
//! 4. rows of `teams`, by id, and then whatever belongs to a team: members, invitations;
//! 5. rows of `webhooks`, by id, and then what is sent to them;
//! 6. rows of `servers`, their keys and tokens; rows of `tournaments`, their staff and log.
//!
//! Whoever adds something to an account, or lets somebody in, locks its user first and looks then whether the account is
//! still what it was. So what a ban, a deletion or signing out everywhere leaves behind is nothing: whatever came before
//! it is ended by it, and whatever comes after it is refused.
//!
//! Rows of `users` are locked `FOR NO KEY UPDATE`, as changes of them are: rows that merely name a user (foreign keys, the
//! audit log's above all) don't wait for that.

use sqlx::{FromRow, PgConnection};

use crate::auth::Identity;
use crate::http::ApiError;
use crate::users::users_unavailable;

/// A user who was not deleted.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct LockedUser {
    #[sqlx(rename = "id")]
    pub user_id: i32,
    pub display_name: String,
    pub role: String,
    pub access_generation: i32,
    pub is_banned: bool,
}

/// Locks a user until the transaction ends; none for one who was deleted. By primary key.
pub async fn lock_user(connection: &mut PgConnection, user_id: i32) -> sqlx::Result<Option<LockedUser>> {
    sqlx::query_as(
        "SELECT id, display_name, role, access_generation, banned_at IS NOT NULL AS is_banned FROM users
         WHERE id = $1 AND deleted_at IS NULL FOR NO KEY UPDATE",
    )
    .bind(user_id)
    .fetch_optional(connection)
    .await
}

/// Locks a user and all who could undo what is done to them: admins that are not banned, a handful. By id.
pub(super) async fn lock_user_and_admins(
    connection: &mut PgConnection,
    user_id: i32,
) -> sqlx::Result<Vec<LockedUser>> {
    sqlx::query_as(
        "SELECT id, display_name, role, access_generation, banned_at IS NOT NULL AS is_banned FROM users
         WHERE deleted_at IS NULL AND (id = $1 OR (role = 'admin' AND banned_at IS NULL))
         ORDER BY id FOR NO KEY UPDATE",
    )
    .bind(user_id)
    .fetch_all(connection)
    .await
}

/// Locks several users, by id; those of them who were not deleted.
pub async fn lock_users(connection: &mut PgConnection, user_ids: &[i32]) -> sqlx::Result<Vec<LockedUser>> {
    sqlx::query_as(
        "SELECT id, display_name, role, access_generation, banned_at IS NOT NULL AS is_banned FROM users
         WHERE id = ANY($1) AND deleted_at IS NULL ORDER BY id FOR NO KEY UPDATE",
    )
    .bind(user_ids)
    .fetch_all(connection)
    .await
}

/// Why a caller who was signed in when they asked gets nothing.
#[derive(Debug, thiserror::Error)]
pub enum CallerError {
    #[error("this session has ended meanwhile: sign in again")]
    Ended,
    #[error("accounts can't be read: {0}")]
    Store(#[from] sqlx::Error),
}

impl From<CallerError> for ApiError {
    fn from(error: CallerError) -> Self {
        match error {
            CallerError::Ended => Self::unauthorized("token_revoked", error.to_string()),
            CallerError::Store(cause) => users_unavailable(cause),
        }
    }
}

/// Locks whoever asks for something that will outlive their request, and sees that their session still is open and that they
/// still may do what they could: an access token may be a moment older than its end, or than another role. By primary keys.
///
/// # Errors
/// [`CallerError::Ended`] for one who was signed out, banned, deleted or given another role meanwhile.
pub async fn lock_caller(connection: &mut PgConnection, caller: Identity) -> Result<(), CallerError> {
    match lock_user(connection, caller.user_id).await? {
        Some(user) if !user.is_banned && user.role == caller.role.as_str() => {}
        _ => return Err(CallerError::Ended),
    }
    require_open_session(connection, caller).await
}

/// For a caller who is locked: a session that was ended is open to nothing, whatever its access token still says.
///
/// # Errors
/// [`CallerError::Ended`].
pub(super) async fn require_open_session(
    connection: &mut PgConnection,
    caller: Identity,
) -> Result<(), CallerError> {
    let is_open: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM sessions WHERE id = $1 AND user_id = $2 AND ended_at IS NULL)",
    )
    .bind(caller.session_id)
    .bind(caller.user_id)
    .fetch_one(connection)
    .await?;
    if is_open { Ok(()) } else { Err(CallerError::Ended) }
}
