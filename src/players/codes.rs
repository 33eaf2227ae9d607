//! Short codes that a signed-in user types in the game: `login CODE`, `!claim CODE`.
//!
//! A code is 44 random bits, good once and for ten minutes; guessing is limited where codes are taken. Of it a keyed hash is kept.

use chrono::{DateTime, Utc};
use mohaa_domain::claim::{CODE_ALPHABET, CODE_CHARS};
use sqlx::{PgConnection, PgPool};
use std::time::Duration;

use crate::auth::{Identity, ShortCodes};
use crate::users::{CallerError, lock_caller, lock_user};

pub const CODE_LIFETIME: Duration = Duration::from_secs(600);
/// What a code is for; one of each lives per user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To play under the account.
    GameLogin,
    /// To link the player who types it.
    Claim,
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Self::GameLogin => "game_login",
            Self::Claim => "claim",
        }
    }
}

pub struct MadeCode {
    pub code: String,
    pub expires_at: DateTime<Utc>,
}

#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    /// Never made, or used.
    #[error("this code is not known")]
    Unknown,
    #[error("this code has expired")]
    Expired,
    #[error("codes can't be looked up: {0}")]
    Store(#[from] sqlx::Error),
}

/// A random code of the alphabet.
pub(crate) fn random_short_code() -> String {
    (0..CODE_CHARS).map(|_| char::from(CODE_ALPHABET[rand::random_range(0..CODE_ALPHABET.len())])).collect()
}

/// A new code for this user, who is locked: an earlier one of the purpose is good for nothing any more, however many are
/// asked for at once.
pub async fn make_code(
    pool: &PgPool,
    codes: &ShortCodes,
    by: Identity,
    purpose: Purpose,
) -> Result<MadeCode, CallerError> {
    let user_id = by.user_id;
    let code = random_short_code();
    let mut transaction = pool.begin().await?;
    lock_caller(&mut transaction, by).await?;
    // By `identity_codes_by_expiry` and `identity_codes_by_user`.
    sqlx::query("DELETE FROM identity_codes WHERE expires_at < now() - interval '1 day'")
        .execute(&mut *transaction)
        .await?;
    sqlx::query("DELETE FROM identity_codes WHERE user_id = $1 AND purpose = $2")
        .bind(user_id)
        .bind(purpose.as_str())
        .execute(&mut *transaction)
        .await?;
    let expires_at = sqlx::query_scalar(
        "INSERT INTO identity_codes (code_hash, purpose, user_id, expires_at)
         VALUES ($1, $2, $3, now() + make_interval(secs => $4)) RETURNING expires_at",
    )
    .bind(codes.kept(&code))
    .bind(purpose.as_str())
    .bind(user_id)
    .bind(CODE_LIFETIME.as_secs_f64())
    .fetch_one(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(MadeCode { code, expires_at })
}

/// Uses a code up and tells whose it is; the user is locked until the transaction ends. Of two at once one gets it: the
/// second waits for the first, and finds it used. By primary key.
pub async fn consume_code(
    connection: &mut PgConnection,
    codes: &ShortCodes,
    code: &str,
    purpose: Purpose,
) -> Result<i32, CodeError> {
    let shown = codes.shown(code);
    let owner: Option<i32> = sqlx::query_scalar(
        "SELECT user_id FROM identity_codes WHERE code_hash = ANY($1) AND purpose = $2 AND used_at IS NULL",
    )
    .bind(&shown)
    .bind(purpose.as_str())
    .fetch_optional(&mut *connection)
    .await?;
    match lock_user(&mut *connection, owner.ok_or(CodeError::Unknown)?).await? {
        Some(user) if !user.is_banned => {}
        _ => return Err(CodeError::Unknown),
    }
    let found: Option<(i32, bool)> = sqlx::query_as(
        "UPDATE identity_codes SET used_at = CASE WHEN expires_at > now() THEN now() END
         WHERE code_hash = ANY($1) AND purpose = $2 AND used_at IS NULL
         RETURNING user_id, expires_at > now()",
    )
    .bind(&shown)
    .bind(purpose.as_str())
    .fetch_optional(connection)
    .await?;
    match found {
        Some((user_id, true)) => Ok(user_id),
        Some((_, false)) => Err(CodeError::Expired),
        None => Err(CodeError::Unknown),
    }
}

/// Whether nobody has used this code of theirs, and no other one took its place. By primary key.
pub async fn is_unused(pool: &PgPool, codes: &ShortCodes, user_id: i32, code: &str) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM identity_codes WHERE code_hash = ANY($1) AND user_id = $2 AND used_at IS NULL)",
    )
    .bind(codes.shown(code))
    .bind(user_id)
    .fetch_one(pool)
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use mohaa_domain::claim::{is_code, normal_code};

    #[test]
    fn a_code_has_forty_bits_and_is_read_as_people_type_it() {
        assert!((CODE_ALPHABET.len() as f64).log2() * CODE_CHARS as f64 >= 40.0);
        let code = random_short_code();
        assert_eq!(normal_code(&code), code);
        assert!(is_code(&code), "{code}");
        let (first, rest) = code.split_at(4);
        assert_eq!(normal_code(&format!(" {}-{rest} ", first.to_lowercase())), code);
    }
}
