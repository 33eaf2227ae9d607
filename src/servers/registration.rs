//! Game servers that register by themselves: what their scripts call that have no token.
//!
//! Whoever registers again from the same source address, with the same address and port, is the same server and gets
//! a further token; of a server's tokens that were got so, three live at most. From elsewhere, or with a key of somebody
//! who does not own it, it is another server: what a caller says about itself makes it nobody's heir. A server that a key
//! registered is so only for who goes on showing such a key, though it is used up. Nor does registering again rename
//! what somebody has looked at, or approve what an operator has revoked: that waits, whatever the policy, until an admin
//! approves it or a key vouches for it.

use std::net::IpAddr;

use serde_json::json;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::keys::{ShownKey, consume_server_key, note_server_of_key, split_key, without_keys};
use super::store::{AddedServer, LONGEST_NAME_CHARS, add_token};
use crate::audit::{self, By, Entry};
use crate::auth::ShortCodes;
use crate::config::RegistrationPolicy;

/// Servers that may wait for approval at once: each may have events held.
const MOST_WAITING: i64 = 100;
/// Of them, those that registered from one address (of IPv6: one /64).
const MOST_WAITING_OF_ONE_SOURCE: i64 = 10;
/// Tokens of a server that registers again and again.
const MOST_LIVE_TOKENS: i64 = 3;

/// What a script says, and where it says it from.
#[derive(Debug, Clone)]
pub struct Registration {
    pub source: IpAddr,
    /// With a key at its end, if there is one.
    pub name: String,
    pub address: Option<String>,
    pub port: Option<u16>,
}

/// A server that registered.
#[derive(Debug)]
pub struct Registered {
    pub server: AddedServer,
    /// It was let in without a key, but tried one that nobody made.
    pub showed_unknown_key: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// No server registers here without a key.
    #[error("servers register here with a key only")]
    Closed,
    /// As `Closed`, but the caller sent a key that was good once.
    #[error("the key was used or has expired")]
    SpentKey,
    /// As `Closed`, but the caller sent a key that nobody made.
    #[error("the key is unknown")]
    UnknownKey,
    #[error("too many servers wait for approval")]
    TooManyWaiting,
    #[error("servers can't be registered: {0}")]
    Store(#[from] sqlx::Error),
}

/// Registers a server, or gives a registered one a further token.
pub async fn register(
    pool: &PgPool,
    codes: &ShortCodes,
    policy: RegistrationPolicy,
    registration: &Registration,
) -> Result<Registered, RegisterError> {
    let (name, key) = split_key(&registration.name);
    let mut transaction = pool.begin().await?;
    let shown_key = match key {
        Some(key) => consume_server_key(&mut transaction, codes, key).await?,
        None => ShownKey::None,
    };
    let (owner, has_key) = match shown_key {
        ShownKey::Good { owner } => (owner, true),
        ShownKey::Unknown if policy == RegistrationPolicy::Closed => return Err(RegisterError::UnknownKey),
        ShownKey::None if policy == RegistrationPolicy::Closed => return Err(RegisterError::Closed),
        ShownKey::Spent { .. } if policy == RegistrationPolicy::Closed => {
            return Err(RegisterError::SpentKey);
        }
        // A script goes on sending the key that let it in, also when it is forgotten here.
        ShownKey::None | ShownKey::Spent { .. } | ShownKey::Unknown => (None, false),
    };
    let admission = Admission { owner, has_key, is_approved: has_key || policy == RegistrationPolicy::Open };
    let name = server_name(name, registration);
    let server_id = match find_earlier(&mut transaction, registration, shown_key).await? {
        Some(server_id) => {
            admit_again(&mut transaction, server_id, &name, &admission).await?;
            server_id
        }
        None => insert(&mut transaction, registration, &name, &admission).await?,
    };
    if let (true, Some(key)) = (has_key, key) {
        revoke_those_without_key(&mut transaction, server_id).await?;
        note_server_of_key(&mut transaction, codes, key, server_id).await?;
    }
    let is_approved: bool = sqlx::query_scalar("SELECT approved_at IS NOT NULL FROM servers WHERE id = $1")
        .bind(server_id)
        .fetch_one(&mut *transaction)
        .await?;
    let token = add_token(&mut *transaction, server_id).await?;
    revoke_oldest(&mut transaction, server_id).await?;
    let server = server_id.to_string();
    let entry = Entry {
        by: By::GameServer { of_user: admission.owner },
        action: "server.register",
        subject_kind: "server",
        subject_id: &server,
        before: None,
        after: Some(json!({ "name": name, "approved": is_approved, "by_key": has_key })),
    };
    audit::record(&mut transaction, entry).await?;
    transaction.commit().await?;
    let server = AddedServer { server_id, token };
    Ok(Registered { server, showed_unknown_key: shown_key == ShownKey::Unknown })
}

struct Admission {
    owner: Option<i32>,
    has_key: bool,
    is_approved: bool,
}

/// A name that can be shown. Scripts send what their server is called and can't be told to call it otherwise.
fn server_name(sent: &str, registration: &Registration) -> String {
    let sent = without_keys(sent);
    let name: String = sent.chars().filter(|c| !c.is_control()).take(LONGEST_NAME_CHARS).collect();
    let name = name.trim();
    match (name.is_empty(), &registration.address, registration.port) {
        (false, _, _) => name.to_owned(),
        (true, Some(address), Some(port)) => format!("{address}:{port}"),
        (true, _, _) => "Unnamed server".to_owned(),
    }
}

/// The server that registered from there before, locked until the transaction ends. Of two registrations of one server
/// at once the second waits for the first. With a good key it is one of the key's owner, or one that still waits for whoever
/// vouches for it; with a used one the server that the key registered; else one that no key registered. By
/// `servers_by_registration`, `server_keys_by_server`.
async fn find_earlier(
    connection: &mut PgConnection,
    registration: &Registration,
    key: ShownKey,
) -> Result<Option<Uuid>, sqlx::Error> {
    let source = registration.source.to_string();
    let port = registration.port.map(i32::from);
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended(concat_ws('|', $1, $2, $3), 0))")
        .bind(&source)
        .bind(&registration.address)
        .bind(port)
        .execute(&mut *connection)
        .await?;
    let (is_good, owner, of_key) = match key {
        ShownKey::Good { owner } => (true, owner, None),
        ShownKey::Spent { server_id } => (false, None, server_id),
        ShownKey::None | ShownKey::Unknown => (false, None, None),
    };
    sqlx::query_scalar(
        "SELECT id FROM servers
         WHERE registered_from = $1 AND address IS NOT DISTINCT FROM $2 AND port IS NOT DISTINCT FROM $3
           AND removed_at IS NULL
           AND CASE WHEN $4 THEN created_by IS NOT DISTINCT FROM $5
                             OR (created_by IS NULL AND approved_at IS NULL AND shut_out_at IS NULL)
                    WHEN $6::uuid IS NOT NULL THEN id = $6
                    ELSE NOT EXISTS (SELECT FROM server_keys WHERE server_keys.server_id = servers.id) END
         ORDER BY created_at LIMIT 1 FOR UPDATE",
    )
    .bind(source)
    .bind(&registration.address)
    .bind(port)
    .bind(is_good)
    .bind(owner)
    .bind(of_key)
    .fetch_optional(connection)
    .await
}

async fn admit_again(
    connection: &mut PgConnection,
    server_id: Uuid,
    name: &str,
    admission: &Admission,
) -> Result<(), RegisterError> {
    sqlx::query(
        "UPDATE servers SET name = CASE WHEN $4 OR approved_at IS NULL THEN $2 ELSE name END,
                created_by = coalesce(created_by, $3),
                approved_at = CASE WHEN $4 THEN coalesce(approved_at, now()) ELSE approved_at END
         WHERE id = $1",
    )
    .bind(server_id)
    .bind(name)
    .bind(admission.owner)
    .bind(admission.has_key)
    .execute(connection)
    .await?;
    Ok(())
}

async fn insert(
    connection: &mut PgConnection,
    registration: &Registration,
    name: &str,
    admission: &Admission,
) -> Result<Uuid, RegisterError> {
    if !admission.is_approved {
        // Counted by one at a time: those who come at once would not see each other.
        sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('servers that wait for approval', 0))")
            .execute(&mut *connection)
            .await?;
        let (waiting, of_this_source): (i64, i64) = sqlx::query_as(
            "SELECT count(*), count(*) FILTER (WHERE inet_same_family(registered_from::inet, $1::inet)
                AND registered_from::inet <<= network(set_masklen($1::inet, CASE family($1::inet) WHEN 4 THEN 32 ELSE 64 END)))
             FROM servers WHERE approved_at IS NULL AND removed_at IS NULL",
        )
        .bind(registration.source.to_string())
        .fetch_one(&mut *connection)
        .await?;
        if waiting >= MOST_WAITING || of_this_source >= MOST_WAITING_OF_ONE_SOURCE {
            return Err(RegisterError::TooManyWaiting);
        }
    }
    let server_id = Uuid::new_v4();
    sqlx::query(
        "INSERT INTO servers (id, name, address, port, registered_from, created_by, approved_at)
         VALUES ($1, $2, $3, $4, $5, $6, CASE WHEN $7 THEN now() END)",
    )
    .bind(server_id)
    .bind(name)
    .bind(&registration.address)
    .bind(registration.port.map(i32::from))
    .bind(registration.source.to_string())
    .bind(admission.owner)
    .bind(admission.is_approved)
    .execute(connection)
    .await?;
    Ok(server_id)
}

/// A server that waited and is let in by its first key: who got a token of it before may be somebody else. By
/// `server_keys_by_server`, `server_tokens_live`.
async fn revoke_those_without_key(connection: &mut PgConnection, server_id: Uuid) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE server_tokens SET revoked_at = now() WHERE server_id = $1 AND revoked_at IS NULL
         AND NOT EXISTS (SELECT FROM server_keys WHERE server_keys.server_id = $1)",
    )
    .bind(server_id)
    .execute(connection)
    .await?;
    Ok(())
}

/// By `server_tokens_live`.
async fn revoke_oldest(connection: &mut PgConnection, server_id: Uuid) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE server_tokens SET revoked_at = now() WHERE revoked_at IS NULL AND id IN
           (SELECT id FROM server_tokens WHERE server_id = $1 AND revoked_at IS NULL
            ORDER BY created_at DESC, id DESC OFFSET $2)",
    )
    .bind(server_id)
    .bind(MOST_LIVE_TOKENS)
    .execute(connection)
    .await?;
    Ok(())
}
