//! One-time keys with which a game script registers a server: `XXXX-XXXX` at the end of the name it sends, as
//! ` [key:XXXX-XXXX]`, because scripts can't send headers. Good once and for 24 hours; a keyed hash is kept.

use chrono::{DateTime, Utc};
use mohaa_domain::claim::CODE_ALPHABET;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::store::Changer;
use crate::audit::{self, Entry};
use crate::auth::ShortCodes;
use crate::users::{CallerError, Role, lock_user};

/// 39 bits, guessed at twenty times in ten minutes from one address.
const KEY_CHARS: usize = 8;
/// In any case.
const KEY_BEGINS: &str = "[key:";

/// A new key in the clear: shown once, never stored or logged.
pub struct MadeKey {
    pub key: String,
    pub expires_at: DateTime<Utc>,
}

/// Makes a key. The server that it registers belongs to the user who made it.
pub async fn make_server_key(pool: &PgPool, codes: &ShortCodes, by: Changer) -> Result<MadeKey, CallerError> {
    let characters: String = (0..KEY_CHARS)
        .map(|_| char::from(CODE_ALPHABET[rand::random_range(0..CODE_ALPHABET.len())]))
        .collect();
    let mut transaction = pool.begin().await?;
    by.lock(&mut transaction).await?;
    // By `server_keys_by_expiry`. One that registered a server tells whose that is as long as it is there.
    sqlx::query(
        "DELETE FROM server_keys WHERE expires_at < now() - interval '30 days' AND server_id IS NULL",
    )
    .execute(&mut *transaction)
    .await?;
    let expires_at = sqlx::query_scalar(
        "INSERT INTO server_keys (key_hash, created_by, expires_at)
         VALUES ($1, $2, now() + interval '24 hours') RETURNING expires_at",
    )
    .bind(codes.kept(&characters))
    .bind(by.by().user_id())
    .fetch_one(&mut *transaction)
    .await?;
    let entry = Entry {
        by: by.by(),
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
    /// It was used or has expired, or its maker may have no servers any more. It may have registered a server.
    Spent {
        server_id: Option<Uuid>,
    },
    /// Used up by this; the server that it registers is this user's, or nobody's.
    Good {
        owner: Option<i32>,
    },
}

/// Uses a key up, of a maker who still may have servers and is locked until the transaction ends: whoever loses the role or is
/// banned at this moment has the server before that, or not at all. By primary key.
pub(super) async fn consume_server_key(
    connection: &mut PgConnection,
    codes: &ShortCodes,
    key: &str,
) -> sqlx::Result<ShownKey> {
    let shown = codes.shown(key);
    let made: Option<(Option<i32>, Option<Uuid>)> =
        sqlx::query_as("SELECT created_by, server_id FROM server_keys WHERE key_hash = ANY($1)")
            .bind(&shown)
            .fetch_optional(&mut *connection)
            .await?;
    let Some((owner, server_id)) = made else { return Ok(ShownKey::Unknown) };
    if let Some(user_id) = owner {
        match lock_user(&mut *connection, user_id).await? {
            Some(user) if !user.is_banned && user.role != Role::Player.as_str() => {}
            _ => return Ok(ShownKey::Spent { server_id }),
        }
    }
    let used = sqlx::query(
        "UPDATE server_keys SET used_at = now() WHERE key_hash = ANY($1) AND used_at IS NULL AND expires_at > now()",
    )
    .bind(&shown)
    .execute(&mut *connection)
    .await?;
    if used.rows_affected() == 1 {
        return Ok(ShownKey::Good { owner });
    }
    // Somebody may have shown it at the same moment, who was waited for.
    let server_id = sqlx::query_scalar("SELECT server_id FROM server_keys WHERE key_hash = ANY($1)")
        .bind(&shown)
        .fetch_optional(connection)
        .await?
        .flatten();
    Ok(ShownKey::Spent { server_id })
}

/// Notes which server a key has registered.
pub(super) async fn note_server_of_key(
    connection: &mut PgConnection,
    codes: &ShortCodes,
    key: &str,
    server_id: Uuid,
) -> sqlx::Result<()> {
    sqlx::query("UPDATE server_keys SET server_id = $2 WHERE key_hash = ANY($1)")
        .bind(codes.shown(key))
        .bind(server_id)
        .execute(connection)
        .await?;
    Ok(())
}

/// A name without whatever in it looks like a key: one that stands elsewhere than at its end lets nobody in, and may be
/// good still.
pub(super) fn without_keys(name: &str) -> String {
    let mut kept = String::new();
    let mut rest = name;
    while let Some(at) = key_in(rest).first() {
        kept.push_str(&rest[..*at]);
        rest = rest[*at..].split_once(']').map_or("", |(_, after)| after);
    }
    kept.push_str(rest);
    kept
}

/// Where keys begin in a name, in whatever case that is written.
fn key_in(name: &str) -> Vec<usize> {
    let begins = |at: &usize| {
        name.get(*at..*at + KEY_BEGINS.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(KEY_BEGINS))
    };
    name.match_indices('[').map(|(at, _)| at).filter(begins).collect()
}

/// A sent name without the key at its end, and that key.
pub(super) fn split_key(name: &str) -> (&str, Option<&str>) {
    let name = name.trim();
    let split = || {
        let name = name.strip_suffix(']')?;
        let at = *key_in(name).last()?;
        Some((name[..at].trim_end(), name[at + KEY_BEGINS.len()..].trim()))
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
    fn a_key_that_stands_elsewhere_is_shown_to_nobody() {
        for (name, kept) in [
            ("Omaha [key:ABCD-EFGH] 24/7", "Omaha  24/7"),
            ("[key:ABCD-EFGH][key:ABCD-EFGJ] Omaha", " Omaha"),
            ("Omaha [key:ABCD", "Omaha "),
            ("Omaha [KEY:ABCD-EFGH]", "Omaha "),
            ("Omaha [EU] key:", "Omaha [EU] key:"),
        ] {
            assert_eq!(without_keys(name), kept);
        }
    }

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
