//! Sessions: one for each sign-in of a browser, a device or an operator. An access token names its session; a refresh
//! token, good once, brings the next pair.
//!
//! Whoever shows a refresh token a second time has stolen it, or was stolen from: the whole session ends. Only a browser,
//! which sends requests side by side, may show its last one again for a moment, and gets no new one then.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection, PgPool, Postgres, Transaction};
use std::time::Duration;
use uuid::Uuid;

use super::access_token::{AccessTokens, InvalidAccessToken, Subject};
use super::{Identity, Revocations, hash_of_code, random_code, revocations::Revoked};
use crate::users::{Role, lock_user};

/// How long a session lives that nobody uses.
pub const SESSION_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);
/// However it is used, it ends then, and its user signs in again.
const LONGEST_SESSION: Duration = Duration::from_secs(180 * 24 * 3600);
/// What decides who gets into an account is changed only by somebody who signed in so lately.
const RECENT: Duration = Duration::from_secs(3600);
const REFRESH_TOKEN_BYTES: usize = 32;
/// How long a browser's last refresh token still helps requests that were under way.
const BROWSER_GRACE_SECONDS: f64 = 30.0;
const LONGEST_LABEL_CHARS: usize = 100;

/// How somebody signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionKind {
    Browser,
    /// By the device flow.
    Device,
    /// At the command line of the service.
    Operator,
}

impl SessionKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Browser => "browser",
            Self::Device => "device",
            Self::Operator => "operator",
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// Unknown, used, expired or ended: a caller learns no more.
    #[error("this refresh token is not valid any more: sign in again")]
    Invalid,
    #[error("this account is banned")]
    Banned,
    #[error("you signed in too long ago for this: sign out, sign in again and try once more")]
    NotRecent,
    #[error("sessions can't be read or changed: {0}")]
    Store(#[from] sqlx::Error),
    #[error("an access token can't be made: {0}")]
    Sign(#[from] jsonwebtoken::errors::Error),
}

/// What opens the service to whoever holds it.
#[derive(Debug)]
pub struct OpenedSession {
    pub session_id: Uuid,
    pub access_token: String,
    /// None where the earlier one still holds.
    pub refresh_token: Option<String>,
}

/// A session as its user sees it.
#[derive(Debug, FromRow, serde::Serialize, utoipa::ToSchema)]
pub struct ListedSession {
    #[sqlx(rename = "id")]
    pub session_id: Uuid,
    /// `browser`, `device` or `operator`.
    pub kind: String,
    pub label: String,
    pub created_at: DateTime<Utc>,
    pub last_used_at: DateTime<Utc>,
}

/// Opens, renews and ends sessions, and says who an access token is from. Cheap to clone.
#[derive(Clone)]
pub struct Sessions {
    pool: PgPool,
    tokens: AccessTokens,
    revocations: Revocations,
}

#[derive(FromRow)]
struct TokenRow {
    session_id: Uuid,
    user_id: i32,
    #[sqlx(try_from = "String")]
    role: Role,
    access_generation: i32,
    is_browser: bool,
    is_open: bool,
    is_banned: bool,
    used_seconds_ago: Option<f64>,
}

impl Sessions {
    pub fn new(pool: PgPool, tokens: AccessTokens, revocations: Revocations) -> Self {
        Self { pool, tokens, revocations }
    }

    /// Who the token says it is from. Asks nobody.
    ///
    /// # Errors
    /// When it is no token of ours, has expired, or its session or the user's access has ended.
    pub fn identify(&self, access_token: &str) -> Result<Identity, InvalidAccessToken> {
        let claims = self.tokens.verify(access_token)?;
        let user_id = claims.sub.parse().map_err(|_| InvalidAccessToken::Invalid)?;
        match self.revocations.of(claims.sid, user_id, claims.generation) {
            None => Ok(Identity { user_id, role: claims.role, session_id: claims.sid }),
            Some(Revoked::Banned) => Err(InvalidAccessToken::Banned),
            Some(Revoked::SessionEnded | Revoked::AccessChanged) => Err(InvalidAccessToken::Revoked),
        }
    }

    /// Signs a user in. `label` is by what the user knows the session again.
    ///
    /// # Errors
    /// [`SessionError::Banned`], [`SessionError::Invalid`] for a user who is no more, or when PostgreSQL fails.
    pub async fn open(
        &self,
        user_id: i32,
        kind: SessionKind,
        label: &str,
    ) -> Result<OpenedSession, SessionError> {
        self.open_after(self.pool.begin().await?, user_id, kind, label, None).await
    }

    /// As [`open`](Self::open), at the end of the transaction in which it was found out who signs in: whatever lets them in
    /// is used up only if they are in. `authenticated_at` is for what somebody approved who had signed in at that time: it
    /// lives no longer and may no more than what they approved it with.
    pub async fn open_after(
        &self,
        mut transaction: Transaction<'_, Postgres>,
        user_id: i32,
        kind: SessionKind,
        label: &str,
        authenticated_at: Option<DateTime<Utc>>,
    ) -> Result<OpenedSession, SessionError> {
        // Locked: a ban, or whatever else ends sessions, comes before this or finds the session.
        let user = lock_user(&mut transaction, user_id).await?.ok_or(SessionError::Invalid)?;
        if user.is_banned {
            return Err(SessionError::Banned);
        }
        // What nobody can use any more goes meanwhile, by `sessions_by_expiry`; later than anybody could ask why.
        sqlx::query("DELETE FROM sessions WHERE expires_at < now() - interval '30 days'")
            .execute(&mut *transaction)
            .await?;
        let session_id = Uuid::new_v4();
        let label: String = label.chars().filter(|c| !c.is_control()).take(LONGEST_LABEL_CHARS).collect();
        sqlx::query(
            "INSERT INTO sessions (id, user_id, kind, label, authenticated_at, expires_at)
             VALUES ($1, $2, $3, $4, coalesce($7, now()),
                     least(now() + make_interval(secs => $5), coalesce($7, now()) + make_interval(secs => $6)))",
        )
        .bind(session_id)
        .bind(user_id)
        .bind(kind.as_str())
        .bind(if label.trim().is_empty() { "unnamed" } else { label.trim() })
        .bind(SESSION_LIFETIME.as_secs_f64())
        .bind(LONGEST_SESSION.as_secs_f64())
        .bind(authenticated_at)
        .execute(&mut *transaction)
        .await?;
        let refresh_token = match kind {
            // An operator makes a new one.
            SessionKind::Operator => None,
            SessionKind::Browser | SessionKind::Device => {
                Some(add_refresh_token(&mut transaction, session_id).await?)
            }
        };
        transaction.commit().await?;
        tracing::info!(user_id, %session_id, kind = kind.as_str(), "signed in");
        let role = user.role.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        let generation = user.access_generation;
        let access_token = self.tokens.issue(&Subject { user_id, role, session_id, generation })?;
        Ok(OpenedSession { session_id, access_token, refresh_token })
    }

    /// The next pair of tokens.
    ///
    /// # Errors
    /// See [`SessionError`]. A token that was used before ends its session.
    pub async fn renew(&self, refresh_token: &str) -> Result<OpenedSession, SessionError> {
        self.renew_after(refresh_token, None).await
    }

    /// As [`renew`](Self::renew), for the requests that a browser sends side by side.
    pub(super) async fn renew_browser(&self, refresh_token: &str) -> Result<OpenedSession, SessionError> {
        self.renew_after(refresh_token, Some(BROWSER_GRACE_SECONDS)).await
    }

    async fn renew_after(
        &self,
        refresh_token: &str,
        browser_grace: Option<f64>,
    ) -> Result<OpenedSession, SessionError> {
        let hash = hash_of_code(refresh_token);
        let mut transaction = self.pool.begin().await?;
        // The user before the session, as everywhere: a ban, another role or an end of everything comes before this and is
        // seen, or after it and finds the session as this leaves it.
        let user_id: i32 = sqlx::query_scalar(
            "SELECT user_id FROM refresh_tokens AS token JOIN sessions AS session ON session.id = token.session_id
             WHERE token.token_hash = $1",
        )
        .bind(hash.as_slice())
        .fetch_optional(&mut *transaction)
        .await?
        .ok_or(SessionError::Invalid)?;
        lock_user(&mut transaction, user_id).await?.ok_or(SessionError::Invalid)?;
        // Locked: of two who show one token at once, the second sees that it is used.
        let row: TokenRow = sqlx::query_as(
            "SELECT session.id AS session_id, session.user_id, users.role, users.access_generation,
                    session.kind = 'browser' AS is_browser,
                    session.ended_at IS NULL AND session.expires_at > now() AND users.deleted_at IS NULL AS is_open,
                    users.banned_at IS NOT NULL AS is_banned,
                    extract(epoch FROM now() - token.used_at)::float8 AS used_seconds_ago
             FROM refresh_tokens AS token
             JOIN sessions AS session ON session.id = token.session_id
             JOIN users ON users.id = session.user_id
             WHERE token.token_hash = $1
             FOR UPDATE OF token, session",
        )
        .bind(hash.as_slice())
        .fetch_optional(&mut *transaction)
        .await?
        .ok_or(SessionError::Invalid)?;
        if row.is_banned {
            return Err(SessionError::Banned);
        }
        if !row.is_open {
            return Err(SessionError::Invalid);
        }
        let refresh_token = match row.used_seconds_ago {
            None => {
                sqlx::query("UPDATE refresh_tokens SET used_at = now() WHERE token_hash = $1")
                    .bind(hash.as_slice())
                    .execute(&mut *transaction)
                    .await?;
                sqlx::query(
                    "UPDATE sessions SET last_used_at = now(), expires_at =
                         least(now() + make_interval(secs => $2), authenticated_at + make_interval(secs => $3))
                     WHERE id = $1",
                )
                .bind(row.session_id)
                .bind(SESSION_LIFETIME.as_secs_f64())
                .bind(LONGEST_SESSION.as_secs_f64())
                .execute(&mut *transaction)
                .await?;
                Some(add_refresh_token(&mut transaction, row.session_id).await?)
            }
            Some(seconds) if row.is_browser && browser_grace.is_some_and(|grace| seconds < grace) => None,
            Some(_) => {
                tracing::warn!(session_id = %row.session_id, "a used refresh token was shown again: its session ends");
                end_one(&mut transaction, row.session_id).await?;
                transaction.commit().await?;
                self.revocations.session_ended(row.session_id);
                return Err(SessionError::Invalid);
            }
        };
        transaction.commit().await?;
        let access_token = self.tokens.issue(&Subject {
            user_id: row.user_id,
            role: row.role,
            session_id: row.session_id,
            generation: row.access_generation,
        })?;
        Ok(OpenedSession { session_id: row.session_id, access_token, refresh_token })
    }

    /// Ends a session of this user; whether there was one to end.
    pub async fn end(&self, user_id: i32, session_id: Uuid) -> Result<bool, SessionError> {
        let ended = sqlx::query(
            "UPDATE sessions SET ended_at = now() WHERE id = $1 AND user_id = $2 AND ended_at IS NULL",
        )
        .bind(session_id)
        .bind(user_id)
        .execute(&self.pool)
        .await?
        .rows_affected()
            > 0;
        if ended {
            tracing::info!(user_id, %session_id, "signed out");
            self.revocations.session_ended(session_id);
        }
        Ok(ended)
    }

    /// Ends the session of a refresh token, for those whose access token has expired.
    pub async fn end_by_refresh_token(&self, refresh_token: &str) -> Result<(), SessionError> {
        let ended: Option<(Uuid, i32)> = sqlx::query_as(
            "UPDATE sessions SET ended_at = now() WHERE ended_at IS NULL AND id =
                 (SELECT session_id FROM refresh_tokens WHERE token_hash = $1) RETURNING id, user_id",
        )
        .bind(hash_of_code(refresh_token).as_slice())
        .fetch_optional(&self.pool)
        .await?;
        if let Some((session_id, user_id)) = ended {
            tracing::info!(user_id, %session_id, "signed out");
            self.revocations.session_ended(session_id);
        }
        Ok(())
    }

    /// Ends every session of a user, and whatever would still open one (see [`end_everything`]). How many sessions there
    /// were.
    pub async fn end_all(&self, user_id: i32) -> Result<usize, SessionError> {
        let mut transaction = self.pool.begin().await?;
        lock_user(&mut transaction, user_id).await?;
        let ended = end_everything(&mut transaction, user_id).await?;
        transaction.commit().await?;
        self.have_ended(user_id, &ended);
        Ok(ended.len())
    }

    /// Takes effect here at once, after what [`end_everything`] did was committed.
    pub fn have_ended(&self, user_id: i32, ended: &[Uuid]) {
        tracing::info!(user_id, sessions = ended.len(), "signed out everywhere");
        for session_id in ended {
            self.revocations.session_ended(*session_id);
        }
    }

    /// Refuses a session whose user signed in longer ago than [`RECENT`].
    ///
    /// # Errors
    /// [`SessionError::NotRecent`], or when PostgreSQL fails.
    pub async fn require_recent(&self, session_id: Uuid) -> Result<(), SessionError> {
        let is_recent: Option<bool> = sqlx::query_scalar(
            "SELECT authenticated_at > now() - make_interval(secs => $2) FROM sessions
             WHERE id = $1 AND ended_at IS NULL",
        )
        .bind(session_id)
        .bind(RECENT.as_secs_f64())
        .fetch_optional(&self.pool)
        .await?;
        if is_recent == Some(true) { Ok(()) } else { Err(SessionError::NotRecent) }
    }

    /// The open sessions of a user, the last used first. By `sessions_by_user`.
    pub async fn list(&self, user_id: i32) -> Result<Vec<ListedSession>, SessionError> {
        Ok(sqlx::query_as(
            "SELECT id, kind, label, created_at, last_used_at FROM sessions
             WHERE user_id = $1 AND ended_at IS NULL AND expires_at > now() ORDER BY last_used_at DESC, id",
        )
        .bind(user_id)
        .fetch_all(&self.pool)
        .await?)
    }

    /// Takes effect at once here; PostgreSQL's notification tells the other nodes.
    pub async fn access_changed(&self, user_id: i32) -> sqlx::Result<()> {
        self.revocations.user_changed(&self.pool, user_id).await
    }
}

async fn add_refresh_token(connection: &mut PgConnection, session_id: Uuid) -> sqlx::Result<String> {
    let token = random_code(REFRESH_TOKEN_BYTES);
    sqlx::query("INSERT INTO refresh_tokens (token_hash, session_id) VALUES ($1, $2)")
        .bind(hash_of_code(&token).as_slice())
        .bind(session_id)
        .execute(connection)
        .await?;
    Ok(token)
}

async fn end_one(connection: &mut PgConnection, session_id: Uuid) -> sqlx::Result<()> {
    sqlx::query("UPDATE sessions SET ended_at = now() WHERE id = $1 AND ended_at IS NULL")
        .bind(session_id)
        .execute(connection)
        .await?;
    Ok(())
}

/// Ends every session of a user, who is locked, and whatever would still open one: approved devices that have not asked
/// again, codes, login links. By `sessions_by_user`, `identity_codes_by_user`, `login_links_by_user` and
/// `device_codes_by_user`.
pub async fn end_everything(connection: &mut PgConnection, user_id: i32) -> sqlx::Result<Vec<Uuid>> {
    for statement in [
        "UPDATE device_codes SET approved = false WHERE user_id = $1 AND approved AND used_at IS NULL",
        "DELETE FROM identity_codes WHERE user_id = $1 AND used_at IS NULL",
        "DELETE FROM login_links WHERE user_id = $1 AND used_at IS NULL",
    ] {
        sqlx::query(statement).bind(user_id).execute(&mut *connection).await?;
    }
    sqlx::query_scalar(
        "UPDATE sessions SET ended_at = now() WHERE user_id = $1 AND ended_at IS NULL RETURNING id",
    )
    .bind(user_id)
    .fetch_all(connection)
    .await
}
