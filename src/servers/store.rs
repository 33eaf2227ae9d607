//! Servers and their tokens in PostgreSQL. A change tells every node by the triggers' notifications, and stands in the
//! audit log.

use super::{
    identify::ServerIdentity,
    token::{ServerToken, TokenHash},
};
use crate::audit::{self, By, Entry};
use crate::auth::Identity;
use crate::users::{CallerError, LockedUser, Role, lock_caller, lock_users};
use chrono::{DateTime, Utc};
use mohaa_domain::tracker::BotName;
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::{FromRow, PgConnection, PgExecutor, PgPool};
use std::net::IpAddr;
use utoipa::ToSchema;
use uuid::Uuid;

/// A token lives until it is revoked, or its server is removed.
const MOST_LIVE_TOKENS: i64 = 200_000;
pub(super) const LONGEST_NAME_CHARS: usize = 200;
/// A host name has at most 253 bytes.
const LONGEST_ADDRESS_CHARS: usize = 253;
const LONGEST_REGION_CHARS: usize = 40;
const LONGEST_DESCRIPTION_CHARS: usize = 500;
/// Each name that a server's events bring is compared with all of them.
const MOST_BOT_NAMES: usize = 32;
/// The engine cuts names at 32 bytes; what is longer marks nobody.
const LONGEST_BOT_NAME_CHARS: usize = 64;

#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("a server's name has 1 to {LONGEST_NAME_CHARS} characters and no control characters")]
    Name,
    #[error("{field} has 1 to {most} characters and no control characters")]
    Text { field: &'static str, most: usize },
    #[error("must be a host's name or address, without blanks, port or protocol")]
    Address,
    #[error("must be 1 to 65535")]
    Port,
    #[error(
        "{0:?} can't mark bots: it has to say something beside *, in at most {LONGEST_BOT_NAME_CHARS} characters"
    )]
    BotName(String),
    #[error("a server has at most {MOST_BOT_NAMES} names that mark bots")]
    TooManyBotNames,
    #[error("there is no server {0}")]
    Unknown(Uuid),
    #[error("the server belongs to somebody else")]
    NotYours,
    #[error("the server calls itself otherwise by now: look at it again")]
    Renamed,
    #[error("there is no user {0} who may have servers")]
    Owner(i32),
    #[error(transparent)]
    Caller(#[from] CallerError),
    #[error("servers can't be read or changed: {0}")]
    Store(#[from] sqlx::Error),
}

/// Who changes servers.
#[derive(Clone, Copy, Debug)]
pub enum Changer {
    /// At the command line.
    Operator,
    /// An admin, or an organizer for servers of their own.
    User(Identity),
}

impl Changer {
    pub(super) fn by(self) -> By {
        match self {
            Self::Operator => By::Operator,
            Self::User(caller) => By::User(caller.user_id),
        }
    }

    /// Locks a user and sees that they still are who they were: they come before servers.
    pub(super) async fn lock(self, connection: &mut PgConnection) -> Result<(), CallerError> {
        match self {
            Self::Operator => Ok(()),
            Self::User(caller) => lock_caller(connection, caller).await,
        }
    }

    /// Locks a server for whoever may change it: an owner is asked for while nobody can give it away.
    async fn lock_server(
        self,
        connection: &mut PgConnection,
        server_id: Uuid,
    ) -> Result<LockedServer, ServerError> {
        self.lock(&mut *connection).await?;
        let server = lock(connection, server_id).await?;
        match self {
            Self::User(caller) if caller.role != Role::Admin && server.owner_id != Some(caller.user_id) => {
                Err(ServerError::NotYours)
            }
            _ => Ok(server),
        }
    }
}

/// What is told about a server when it is made.
#[derive(Debug, Clone, Default)]
pub struct NewServer {
    pub name: String,
    pub address: Option<String>,
    pub port: Option<u16>,
    pub region: Option<String>,
    pub description: Option<String>,
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
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize, ToSchema)]
pub struct ListedServer {
    #[sqlx(rename = "id")]
    pub server_id: Uuid,
    pub name: String,
    pub address: Option<String>,
    pub port: Option<i32>,
    pub region: Option<String>,
    pub description: Option<String>,
    pub created_at: DateTime<Utc>,
    /// Null for a server without an owner.
    pub owner_id: Option<i32>,
    pub owner_name: Option<String>,
    /// Its events are held until it is.
    pub approved: bool,
    pub bot_names: Vec<String>,
    pub live_tokens: i64,
    /// To about ten seconds; null for one that never sent anything.
    pub last_seen_at: Option<DateTime<Utc>>,
}

/// Makes an approved server with one token, at an operator's word.
pub async fn add_server(pool: &PgPool, new: &NewServer) -> Result<AddedServer, ServerError> {
    add_server_of(pool, Changer::Operator, new).await
}

/// Makes an approved server with one token; it is the user's who makes it.
pub async fn add_server_of(pool: &PgPool, by: Changer, new: &NewServer) -> Result<AddedServer, ServerError> {
    let name = new.name.trim();
    if !is_text(name, LONGEST_NAME_CHARS) {
        return Err(ServerError::Name);
    }
    for (field, text, most) in [
        ("region", &new.region, LONGEST_REGION_CHARS),
        ("description", &new.description, LONGEST_DESCRIPTION_CHARS),
    ] {
        if text.as_ref().is_some_and(|text| !is_text(text, most)) {
            return Err(ServerError::Text { field, most });
        }
    }
    if new.address.as_ref().is_some_and(|address| !is_host(address)) {
        return Err(ServerError::Address);
    }
    if new.port == Some(0) {
        return Err(ServerError::Port);
    }
    let bot_names = readable_bot_names(&new.bot_names)?;
    let server_id = Uuid::new_v4();
    let mut transaction = pool.begin().await?;
    by.lock(&mut transaction).await?;
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
    .bind(by.by().user_id())
    .bind(bot_names)
    .execute(&mut *transaction)
    .await?;
    let token = add_token(&mut *transaction, server_id).await?;
    log(&mut transaction, by.by(), "server.add", server_id, None, Some(json!({ "name": name }))).await?;
    transaction.commit().await?;
    Ok(AddedServer { server_id, token })
}

fn is_text(text: &str, most: usize) -> bool {
    !text.is_empty() && text.chars().count() <= most && !text.chars().any(char::is_control)
}

/// Whether players could be sent there: an IP address, IPv6 also in brackets, or a name whose parts are letters of any script,
/// figures, `-` and `_`.
pub(super) fn is_host(address: &str) -> bool {
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    if bare.parse::<IpAddr>().is_ok() {
        return true;
    }
    let is_part = |part: &str| {
        part.chars().any(char::is_alphanumeric)
            && part.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
    };
    address.chars().count() <= LONGEST_ADDRESS_CHARS
        && address.strip_suffix('.').unwrap_or(address).split('.').all(is_part)
}

async fn log(
    connection: &mut PgConnection,
    by: By,
    action: &str,
    server_id: Uuid,
    before: Option<Value>,
    after: Option<Value>,
) -> sqlx::Result<()> {
    let subject_id = server_id.to_string();
    let entry = Entry { by, action, subject_kind: "server", subject_id: &subject_id, before, after };
    audit::record(connection, entry).await
}

/// Lets a server's events count; those that are held are sent on by the nodes that hold them. `seen_name` is what it was
/// called when it was looked at: one that waits may call itself otherwise at any time, and is not approved as that.
pub async fn approve_server(
    pool: &PgPool,
    by: Changer,
    server_id: Uuid,
    seen_name: Option<&str>,
) -> Result<(), ServerError> {
    let mut transaction = pool.begin().await?;
    let before = by.lock_server(&mut transaction, server_id).await?;
    if !before.approved && seen_name.is_some_and(|seen| seen != before.name) {
        return Err(ServerError::Renamed);
    }
    if !before.approved {
        sqlx::query("UPDATE servers SET approved_at = now(), shut_out_at = NULL WHERE id = $1")
            .bind(server_id)
            .execute(&mut *transaction)
            .await?;
        log(&mut transaction, by.by(), "server.approve", server_id, None, None).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// Whether a server's events count; those of one that was removed don't. By primary key.
pub async fn is_approved(pool: &PgPool, server_id: Uuid) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM servers WHERE id = $1 AND approved_at IS NOT NULL AND removed_at IS NULL)",
    )
    .bind(server_id)
    .fetch_one(pool)
    .await
}

/// Gives a server to an organizer or admin, who may rotate its token and remove it.
pub async fn give_server(
    pool: &PgPool,
    admin: Identity,
    server_id: Uuid,
    owner_id: i32,
) -> Result<(), ServerError> {
    let mut transaction = pool.begin().await?;
    // Both at once, as locks of users go by id. Who loses the role at this moment gets the server before that, or not.
    let locked = lock_users(&mut transaction, &[admin.user_id, owner_id]).await?;
    let before = Changer::User(admin).lock_server(&mut transaction, server_id).await?;
    let may_have_servers =
        |user: &LockedUser| user.user_id == owner_id && user.role != Role::Player.as_str() && !user.is_banned;
    if !locked.iter().any(may_have_servers) {
        return Err(ServerError::Owner(owner_id));
    }
    sqlx::query("UPDATE servers SET created_by = $2 WHERE id = $1")
        .bind(server_id)
        .bind(owner_id)
        .execute(&mut *transaction)
        .await?;
    let (before, after) = (json!({ "owner": before.owner_id }), json!({ "owner": owner_id }));
    let by = By::User(admin.user_id);
    log(&mut transaction, by, "server.give", server_id, Some(before), Some(after)).await?;
    transaction.commit().await?;
    Ok(())
}

/// Removes a server and ends its tokens; what is stored of it stays under its name, what is held is thrown away.
pub async fn remove_server(pool: &PgPool, by: Changer, server_id: Uuid) -> Result<(), ServerError> {
    let mut transaction = pool.begin().await?;
    let before = by.lock_server(&mut transaction, server_id).await?;
    revoke_all(&mut transaction, server_id).await?;
    sqlx::query("UPDATE servers SET removed_at = now() WHERE id = $1")
        .bind(server_id)
        .execute(&mut *transaction)
        .await?;
    let before = json!({ "name": before.name });
    log(&mut transaction, by.by(), "server.remove", server_id, Some(before), None).await?;
    transaction.commit().await?;
    Ok(())
}

/// Sets the names that mark bots on a server from its next events on, on every node; returns them as they are compared.
pub async fn set_bot_names(
    pool: &PgPool,
    server_id: Uuid,
    bot_names: &[String],
) -> Result<Vec<String>, ServerError> {
    let bot_names = readable_bot_names(bot_names)?;
    let mut transaction = pool.begin().await?;
    lock(&mut transaction, server_id).await?;
    sqlx::query("UPDATE servers SET bot_names = $2 WHERE id = $1")
        .bind(server_id)
        .bind(&bot_names)
        .execute(&mut *transaction)
        .await?;
    let after = json!({ "bot_names": bot_names });
    log(&mut transaction, By::Operator, "server.set_bot_names", server_id, None, Some(after)).await?;
    transaction.commit().await?;
    Ok(bot_names)
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

/// Servers that were not removed, of one owner or all: those that wait for approval, then by name. Tokens are counted by
/// `server_tokens_live`.
pub async fn list_servers(pool: &PgPool, owner_id: Option<i32>) -> sqlx::Result<Vec<ListedServer>> {
    sqlx::query_as(
        "SELECT servers.id, name, address, port, region, description, servers.created_at, servers.created_by AS owner_id,
                users.display_name AS owner_name, approved_at IS NOT NULL AS approved, bot_names,
                (SELECT count(*) FROM server_tokens WHERE server_id = servers.id AND revoked_at IS NULL) AS live_tokens,
                last_seen_at
         FROM servers LEFT JOIN users ON users.id = servers.created_by
         WHERE removed_at IS NULL AND ($1 IS NULL OR servers.created_by = $1)
         ORDER BY approved_at IS NOT NULL, lower(name), servers.created_at",
    )
    .bind(owner_id)
    .fetch_all(pool)
    .await
}

/// Revokes every token of a server at once on every node, and tells how many there were. One that registered by itself
/// has to be approved anew: its script registers again as soon as it is refused.
pub async fn revoke_server_tokens(pool: &PgPool, by: Changer, server_id: Uuid) -> Result<u64, ServerError> {
    let mut transaction = pool.begin().await?;
    by.lock_server(&mut transaction, server_id).await?;
    let revoked = revoke_all(&mut transaction, server_id).await?;
    sqlx::query("UPDATE servers SET approved_at = NULL, shut_out_at = now() WHERE id = $1 AND registered_from IS NOT NULL")
        .bind(server_id)
        .execute(&mut *transaction)
        .await?;
    let after = json!({ "revoked_tokens": revoked });
    log(&mut transaction, by.by(), "server.revoke_tokens", server_id, None, Some(after)).await?;
    transaction.commit().await?;
    Ok(revoked)
}

/// Revokes every token of a server and makes a new one.
pub async fn rotate_server_token(
    pool: &PgPool,
    by: Changer,
    server_id: Uuid,
) -> Result<ServerToken, ServerError> {
    let mut transaction = pool.begin().await?;
    by.lock_server(&mut transaction, server_id).await?;
    revoke_all(&mut transaction, server_id).await?;
    let token = add_token(&mut *transaction, server_id).await?;
    log(&mut transaction, by.by(), "server.rotate_token", server_id, None, None).await?;
    transaction.commit().await?;
    Ok(token)
}

#[derive(FromRow)]
struct LockedServer {
    name: String,
    owner_id: Option<i32>,
    approved: bool,
}

/// A server's row, locked until the transaction ends: of two rotations at once, the second revokes the token of the first.
async fn lock(connection: &mut PgConnection, server_id: Uuid) -> Result<LockedServer, ServerError> {
    let server = sqlx::query_as(
        "SELECT name, created_by AS owner_id, approved_at IS NOT NULL AS approved
         FROM servers WHERE id = $1 AND removed_at IS NULL FOR UPDATE",
    )
    .bind(server_id)
    .fetch_optional(connection)
    .await?;
    server.ok_or(ServerError::Unknown(server_id))
}

/// By `server_tokens_live`.
async fn revoke_all(connection: &mut PgConnection, server_id: Uuid) -> sqlx::Result<u64> {
    let revoked = sqlx::query(
        "UPDATE server_tokens SET revoked_at = now() WHERE server_id = $1 AND revoked_at IS NULL",
    )
    .bind(server_id)
    .execute(connection)
    .await?;
    Ok(revoked.rows_affected())
}

pub(super) async fn add_token(executor: impl PgExecutor<'_>, server_id: Uuid) -> sqlx::Result<ServerToken> {
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

/// The server of this id, if it has a live token.
pub(super) async fn find_live_server(pool: &PgPool, server_id: Uuid) -> sqlx::Result<Option<ServerIdentity>> {
    let row: Option<LiveTokenRow> = sqlx::query_as(
        "SELECT token_hash, server_id, name, approved_at IS NOT NULL AS approved, bot_names
         FROM server_tokens JOIN servers ON servers.id = server_id
         WHERE server_id = $1 AND revoked_at IS NULL AND removed_at IS NULL
         LIMIT 1",
    )
    .bind(server_id)
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
