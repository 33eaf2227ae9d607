//! One-time keys with which a game script registers a server: `XXXX-XXXX` at the end of the name it sends, as
//! ` [key:XXXX-XXXX]`, because scripts can't send headers. Good once and for 24 hours; only a hash is kept.

use chrono::{DateTime, Utc};
use mohaa_domain::claim::{CODE_ALPHABET, normal_code};
use sqlx::{PgConnection, PgPool};

use crate::audit::{self, By, Entry};
use crate::auth::hash_of_code;

/// 39 bits, guessed at twenty times in ten minutes from one address.
const KEY_CHARS: usize = 8;

/// A new key in the clear: shown once, never stored or logged.
pub struct MadeKey {
    pub key: String,
    pub expires_at: DateTime<Utc>,
}

/// Makes a key. The server that it registers belongs to the user who made it.
pub async fn make_server_key(pool: &PgPool, by: By) -> sqlx::Result<MadeKey> {
    let characters: String = (0..KEY_CHARS)
        .map(|_| char::from(CODE_ALPHABET[rand::random_range(0..CODE_ALPHABET.len())]))
        .collect();
    let mut transaction = pool.begin().await?;
    // By `server_keys_by_expiry`.
    sqlx::query("DELETE FROM server_keys WHERE expires_at < now() - interval '30 days'")
        .execute(&mut *transaction)
        .await?;
    let expires_at = sqlx::query_scalar(
        "INSERT INTO server_keys (key_hash, created_by, expires_at)
         VALUES ($1, $2, now() + interval '24 hours') RETURNING expires_at",
    )
    .bind(hash_of_code(&characters).as_slice())
    .bind(by.user_id())
    .fetch_one(&mut *transaction)
    .await?;
    let entry = Entry {
        by,
        action: "server.make_key",
        subject_kind: "server key",
        subject_id: "",
        before: None,
        after: Some(serde_json::json!({ "expires_at": expires_at })),
    };
    audit::record(&mut transaction, entry).await?;
    transaction.commit().await?;
    let (first, second) = characters.split_at(KEY_CHARS / 2);
    Ok(MadeKey { key: format!("{first}-{second}"), expires_at })
}

/// What the key at the end of a name is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ShownKey {
    None,
    /// Nobody ever made it: somebody guesses.
    Unknown,
    /// It was used or has expired, or its maker may have no servers any more.
    Spent,
    /// Used up by this; the server that it registers is this user's, or nobody's.
    Good {
        owner: Option<i32>,
    },
}

/// Uses a key up. By primary key.
pub(super) async fn consume_server_key(connection: &mut PgConnection, key: &str) -> sqlx::Result<ShownKey> {
    let hash = hash_of_code(&normal_code(key));
    let good: Option<Option<i32>> = sqlx::query_scalar(
        "UPDATE server_keys SET used_at = now()
         WHERE key_hash = $1 AND used_at IS NULL AND expires_at > now()
           AND NOT EXISTS (SELECT 1 FROM users WHERE users.id = server_keys.created_by
                           AND (banned_at IS NOT NULL OR deleted_at IS NOT NULL OR role = 'player'))
         RETURNING created_by",
    )
    .bind(hash.as_slice())
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(owner) = good {
        return Ok(ShownKey::Good { owner });
    }
    let was_made: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM server_keys WHERE key_hash = $1)")
        .bind(hash.as_slice())
        .fetch_one(connection)
        .await?;
    Ok(if was_made { ShownKey::Spent } else { ShownKey::Unknown })
}

/// Notes which server a key has registered.
pub(super) async fn note_server_of_key(
    connection: &mut PgConnection,
    key: &str,
    server_id: uuid::Uuid,
) -> sqlx::Result<()> {
    sqlx::query("UPDATE server_keys SET server_id = $2 WHERE key_hash = $1")
        .bind(hash_of_code(&normal_code(key)).as_slice())
        .bind(server_id)
        .execute(connection)
        .await?;
    Ok(())
}

/// A sent name without the key at its end, and that key.
pub(super) fn split_key(name: &str) -> (&str, Option<&str>) {
    let name = name.trim();
    let split = || {
        let (before, key) = name.strip_suffix(']')?.rsplit_once("[key:")?;
        Some((before.trim_end(), key.trim()))
    };
    match split() {
        Some((before, key)) => (before, Some(key)),
        None => (name, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_at_the_end_of_a_name_is_cut_off() {
        assert_eq!(split_key("Omaha [key:ABCD-EFGH]"), ("Omaha", Some("ABCD-EFGH")));
        assert_eq!(split_key(" [key:ABCD-EFGH] "), ("", Some("ABCD-EFGH")));
        assert_eq!(split_key("[EU] Omaha [key: abcd efgh ]"), ("[EU] Omaha", Some("abcd efgh")));
        for plain in ["Omaha", "Omaha [key:ABCD] 2", "Omaha [EU]", "key:ABCD-EFGH]", ""] {
            assert_eq!(split_key(plain), (plain, None));
        }
    }
}
