//! The audit log: who changed what, written in the transaction of the change itself. Append-only: nothing here changes or
//! removes an entry.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::{FromRow, PgConnection, PgPool};
use utoipa::ToSchema;

/// Who changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    User(i32),
    /// At the command line.
    Operator,
    /// A game server in whose word a user's code came, or one that registers itself.
    GameServer {
        of_user: Option<i32>,
    },
}

impl By {
    pub fn user_id(self) -> Option<i32> {
        match self {
            Self::User(user_id) => Some(user_id),
            Self::Operator => None,
            Self::GameServer { of_user } => of_user,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::Operator => "operator",
            Self::GameServer { .. } => "game server",
        }
    }
}

/// What is written about a change.
#[derive(Debug)]
pub struct Entry<'a> {
    pub by: By,
    /// `player.merge`, `server.rotate_token`.
    pub action: &'a str,
    pub subject_kind: &'a str,
    pub subject_id: &'a str,
    pub before: Option<Value>,
    pub after: Option<Value>,
}

/// An entry as the log shows it.
#[derive(Debug, FromRow, Serialize, ToSchema)]
pub struct LoggedEntry {
    pub id: i64,
    pub at: DateTime<Utc>,
    pub user_id: Option<i32>,
    pub user_name: Option<String>,
    pub actor: String,
    pub action: String,
    pub subject_kind: String,
    pub subject_id: String,
    /// What it is called now; null for what is gone, and for players, whose names are with the statistics.
    pub subject_name: Option<String>,
    #[schema(value_type = Option<Object>)]
    pub before: Option<Value>,
    #[schema(value_type = Option<Object>)]
    pub after: Option<Value>,
}

/// Adds an entry; it stays only if the transaction does.
pub async fn record(connection: &mut PgConnection, entry: Entry<'_>) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO audit_log (user_id, actor, action, subject_kind, subject_id, before, after)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(entry.by.user_id())
    .bind(entry.by.as_str())
    .bind(entry.action)
    .bind(entry.subject_kind)
    .bind(entry.subject_id)
    .bind(entry.before)
    .bind(entry.after)
    .execute(connection)
    .await?;
    Ok(())
}

/// A page of the log, the latest entry first, and how many there are. By primary key.
pub async fn list(pool: &PgPool, limit: u32, offset: u64) -> sqlx::Result<(Vec<LoggedEntry>, i64)> {
    let entries = sqlx::query_as(
        r"SELECT audit_log.id, at, user_id, users.display_name AS user_name, actor, action, subject_kind, subject_id,
                 CASE
                 WHEN subject_kind = 'user' AND subject_id ~ '^[0-9]{1,18}$' THEN
                     (SELECT display_name FROM users WHERE id = subject_id::bigint)
                 WHEN subject_id !~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN NULL
                 WHEN subject_kind = 'server' THEN (SELECT name FROM servers WHERE id = subject_id::uuid)
                 WHEN subject_kind = 'team' THEN (SELECT name FROM teams WHERE id = subject_id::uuid)
                 WHEN subject_kind = 'tournament' THEN (SELECT name FROM tournaments WHERE id = subject_id::uuid)
                 WHEN subject_kind = 'webhook' THEN (SELECT name FROM webhooks WHERE id = subject_id::uuid)
                 END AS subject_name, before, after
          FROM audit_log LEFT JOIN users ON users.id = audit_log.user_id ORDER BY audit_log.id DESC LIMIT $1 OFFSET $2",
    )
    .bind(i64::from(limit))
    .bind(i64::try_from(offset).unwrap_or(i64::MAX))
    .fetch_all(pool)
    .await?;
    let total = sqlx::query_scalar("SELECT count(*) FROM audit_log").fetch_one(pool).await?;
    Ok((entries, total))
}
