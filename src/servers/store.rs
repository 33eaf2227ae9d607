//! Servers and their tokens in PostgreSQL. A change tells every node by the triggers' notifications.

use super::{
    identify::ServerIdentity,
    token::{ServerToken, TokenHash},
};
use chrono::{DateTime, Utc};
use mohaa_domain::tracker::BotName;
use serde::Serialize;
use sqlx::{FromRow, PgExecutor, PgPool};
use uuid::Uuid;

/// A token lives until it is revoked, or its server is removed.
const MOST_LIVE_TOKENS: i64 = 200_000;
const LONGEST_NAME_CHARS: usize = 200;
/// Each name that a server's events bring is compared with all of them.
const MOST_BOT_NAMES: usize = 32;
/// The engine cuts names at 32 bytes; what is longer marks nobody.
const LONGEST_BOT_NAME_CHARS: usize = 64;

#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("a server's name has 1 to {LONGEST_NAME_CHARS} characters and no control characters")]
    Name,
    #[error(
        "{0:?} can't mark bots: it has to say something beside *, in at most {LONGEST_BOT_NAME_CHARS} characters"
    )]
    BotName(String),
    #[error("a server has at most {MOST_BOT_NAMES} names that mark bots")]
    TooManyBotNames,
    #[error("there is no server {0}")]
    Unknown(Uuid),
    #[error("servers can't be read or changed: {0}")]
    Store(#[from] sqlx::Error),
}

/// What is told about a server when it is made.
#[derive(Debug, Clone, Default)]
pub struct NewServer {
    pub name: String,
    pub address: Option<String>,
    pub port: Option<u16>,
    pub region: Option<String>,
    pub description: Option<String>,
    /// The user who made it; none for an operator at the command line.
    pub created_by: Option<i32>,
    /// Names that mark bots whose guid does not; `*` stands for any text.
    pub bot_names: Vec<String>,
}

/// A new server and its only sight of its token.
#[derive(Debug, Clone)]
pub struct AddedServer {
    pub server_id: Uuid,
    pub token: ServerToken,
}

/// A server as an operator sees it in a list.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize)]
pub struct ListedServer {
    #[sqlx(rename = "id")]
    pub server_id: Uuid,
    pub name: String,
    pub address: Option<String>,
    pub port: Option<i32>,
    pub region: Option<String>,
    pub description: Option<String>,
    pub created_at: DateTime<Utc>,
    pub approved: bool,
    pub bot_names: Vec<String>,
    pub live_tokens: i64,
}

/// Makes an approved server with one token.
pub async fn add_server(pool: &PgPool, new: &NewServer) -> Result<AddedServer, ServerError> {
    let name = new.name.trim();
    if name.is_empty() || name.chars().count() > LONGEST_NAME_CHARS || name.chars().any(char::is_control) {
        return Err(ServerError::Name);
    }
    let bot_names = readable_bot_names(&new.bot_names)?;
    let server_id = Uuid::new_v4();
    let mut transaction = pool.begin().await?;
    sqlx::query(
        "INSERT INTO servers (id, name, address, port, region, description, created_by, bot_names, approved_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, now())",
    )
    .bind(server_id)
    .bind(name)
    .bind(&new.address)
    .bind(new.port.map(i32::from))
    .bind(&new.region)
    .bind(&new.description)
    .bind(new.created_by)
    .bind(bot_names)
    .execute(&mut *transaction)
    .await?;
    let token = add_token(&mut *transaction, server_id).await?;
    transaction.commit().await?;
    Ok(AddedServer { server_id, token })
}

/// Sets the names that mark bots on a server from its next events on, on every node; returns them as they are compared.
pub async fn set_bot_names(
    pool: &PgPool,
    server_id: Uuid,
    bot_names: &[String],
) -> Result<Vec<String>, ServerError> {
    let bot_names = readable_bot_names(bot_names)?;
    let changed = sqlx::query("UPDATE servers SET bot_names = $2 WHERE id = $1 AND removed_at IS NULL")
        .bind(server_id)
        .bind(&bot_names)
        .execute(pool)
        .await?;
    if changed.rows_affected() == 0 { Err(ServerError::Unknown(server_id)) } else { Ok(bot_names) }
}

fn readable_bot_names(patterns: &[String]) -> Result<Vec<String>, ServerError> {
    if patterns.len() > MOST_BOT_NAMES {
        return Err(ServerError::TooManyBotNames);
    }
    let read = |pattern: &String| {
        BotName::parse(pattern)
            .filter(|_| pattern.chars().count() <= LONGEST_BOT_NAME_CHARS)
            .map(|bot_name| bot_name.as_str().to_owned())
            .ok_or_else(|| ServerError::BotName(pattern.clone()))
    };
    patterns.iter().map(read).collect()
}

/// Servers that were not removed, by name. Tokens are counted by `server_tokens_live`.
pub async fn list_servers(pool: &PgPool) -> Result<Vec<ListedServer>, ServerError> {
    Ok(sqlx::query_as(
        "SELECT id, name, address, port, region, description, created_at, approved_at IS NOT NULL AS approved,
                bot_names, (SELECT count(*) FROM server_tokens WHERE server_id = servers.id AND revoked_at IS NULL) AS live_tokens
         FROM servers WHERE removed_at IS NULL ORDER BY lower(name), created_at",
    )
    .fetch_all(pool)
    .await?)
}

/// Revokes every token of a server at once on every node, and tells how many there were.
pub async fn revoke_server_tokens(pool: &PgPool, server_id: Uuid) -> Result<u64, ServerError> {
    let mut transaction = pool.begin().await?;
    let revoked = revoke_all(&mut transaction, server_id).await?;
    transaction.commit().await?;
    Ok(revoked)
}

/// Revokes every token of a server and makes a new one.
pub async fn rotate_server_token(pool: &PgPool, server_id: Uuid) -> Result<ServerToken, ServerError> {
    let mut transaction = pool.begin().await?;
    revoke_all(&mut transaction, server_id).await?;
    let token = add_token(&mut *transaction, server_id).await?;
    transaction.commit().await?;
    Ok(token)
}

/// The server's row is locked first: of two rotations at once, the second revokes the token of the first.
async fn revoke_all(connection: &mut sqlx::PgConnection, server_id: Uuid) -> Result<u64, ServerError> {
    sqlx::query("SELECT 1 FROM servers WHERE id = $1 AND removed_at IS NULL FOR UPDATE")
        .bind(server_id)
        .fetch_optional(&mut *connection)
        .await?
        .ok_or(ServerError::Unknown(server_id))?;
    // By `server_tokens_live`.
    let revoked = sqlx::query(
        "UPDATE server_tokens SET revoked_at = now() WHERE server_id = $1 AND revoked_at IS NULL",
    )
    .bind(server_id)
    .execute(&mut *connection)
    .await?;
    Ok(revoked.rows_affected())
}

async fn add_token(executor: impl PgExecutor<'_>, server_id: Uuid) -> sqlx::Result<ServerToken> {
    let token = ServerToken::random();
    sqlx::query("INSERT INTO server_tokens (server_id, token_hash) VALUES ($1, $2)")
        .bind(server_id)
        .bind(TokenHash::of(token.expose()).as_bytes().as_slice())
        .execute(executor)
        .await?;
    Ok(token)
}

#[derive(FromRow)]
struct LiveTokenRow {
    token_hash: Vec<u8>,
    server_id: Uuid,
    name: String,
    approved: bool,
    bot_names: Vec<String>,
}

impl LiveTokenRow {
    fn read(self) -> sqlx::Result<(TokenHash, ServerIdentity)> {
        let hash = TokenHash::from_bytes(&self.token_hash)
            .ok_or_else(|| sqlx::Error::Decode("a token's hash has not 32 bytes".into()))?;
        let identity = ServerIdentity {
            server_id: self.server_id,
            name: self.name.into(),
            approved: self.approved,
            bot_names: self.bot_names.iter().filter_map(|pattern| BotName::parse(pattern)).collect(),
        };
        Ok((hash, identity))
    }
}

/// Whose token this is, while it lives. By the unique index of `token_hash`.
pub(super) async fn find_live_token(pool: &PgPool, hash: TokenHash) -> sqlx::Result<Option<ServerIdentity>> {
    let row: Option<LiveTokenRow> = sqlx::query_as(
        "SELECT token_hash, server_id, name, approved_at IS NOT NULL AS approved, bot_names
         FROM server_tokens JOIN servers ON servers.id = server_id
         WHERE token_hash = $1 AND revoked_at IS NULL AND removed_at IS NULL",
    )
    .bind(hash.as_bytes().as_slice())
    .fetch_optional(pool)
    .await?;
    row.map(|row| Ok(row.read()?.1)).transpose()
}

/// All live tokens, the newest ones when there are very many. A scan, once a minute and node.
pub(super) async fn find_live_tokens(pool: &PgPool) -> sqlx::Result<Vec<(TokenHash, ServerIdentity)>> {
    let rows: Vec<LiveTokenRow> = sqlx::query_as(
        "SELECT token_hash, server_id, name, approved_at IS NOT NULL AS approved, bot_names
         FROM server_tokens JOIN servers ON servers.id = server_id
         WHERE revoked_at IS NULL AND removed_at IS NULL
         ORDER BY server_tokens.id DESC LIMIT $1",
    )
    .bind(MOST_LIVE_TOKENS)
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(LiveTokenRow::read).collect()
}
