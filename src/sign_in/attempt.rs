//! What a browser that was sent to a provider has to bring back: a signed cookie, good for ten minutes and for one answer.

use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use sqlx::PgPool;
use std::time::Duration;

use super::ProviderError;
use crate::config::Secret;

pub(super) const ATTEMPT_COOKIE: &str = "mohaa_sign_in";
pub(super) const ATTEMPT_LIFETIME: Duration = Duration::from_secs(600);
const AUDIENCE: &str = "mohaa-stats sign-in";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attempt {
    aud: String,
    exp: u64,
    pub(super) provider: String,
    /// The provider sends it back as it was.
    pub(super) state: String,
    /// Of PKCE; empty for providers without it. The provider knows its hash.
    pub(super) verifier: String,
    /// Where on our site the person was.
    pub(super) return_to: String,
    /// The signed-in user that the provider's account is to be linked to.
    pub(super) link_to: Option<i32>,
}

impl Attempt {
    pub(super) fn new(
        provider: &str,
        state: String,
        verifier: String,
        return_to: String,
        link_to: Option<i32>,
    ) -> Self {
        let exp = jsonwebtoken::get_current_timestamp() + ATTEMPT_LIFETIME.as_secs();
        Self {
            aud: AUDIENCE.to_owned(),
            exp,
            provider: provider.to_owned(),
            state,
            verifier,
            return_to,
            link_to,
        }
    }
}

/// Signs attempts and knows them again.
pub(super) struct Attempts {
    encoding: EncodingKey,
    /// The current key first; that of before while keys change.
    decoding: Vec<DecodingKey>,
    validation: Validation,
}

impl Attempts {
    /// With a key of their own: no attempt is ever taken for an access token, or the other way round.
    pub(super) fn new(secret: &Secret, previous: Option<&Secret>) -> Self {
        let key = key_of(secret);
        let keys = std::iter::once(key.clone()).chain(previous.map(key_of));
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "aud"]);
        validation.leeway = 0;
        Self {
            encoding: EncodingKey::from_secret(&key),
            decoding: keys.map(|key| DecodingKey::from_secret(&key)).collect(),
            validation,
        }
    }

    pub(super) fn sign(&self, attempt: &Attempt) -> Result<String, jsonwebtoken::errors::Error> {
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), attempt, &self.encoding)
    }

    /// The attempt that a cookie holds, if it is ours and still good.
    pub(super) fn read(&self, cookie: &str) -> Option<Attempt> {
        let read = |key| jsonwebtoken::decode(cookie, key, &self.validation).ok().map(|data| data.claims);
        self.decoding.iter().find_map(read)
    }
}

fn key_of(secret: &Secret) -> Vec<u8> {
    #[allow(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac =
        <Hmac<Sha256> as KeyInit>::new_from_slice(secret.expose().as_bytes()).expect("a key of any length");
    mac.update(b"mohaa-stats sign-in attempts");
    mac.finalize().into_bytes().to_vec()
}

/// Lets an answer be taken again.
pub(super) async fn give_back(pool: &PgPool, nonce: &str) -> Result<(), ProviderError> {
    sqlx::query("DELETE FROM openid_nonces WHERE nonce = $1").bind(nonce).execute(pool).await?;
    Ok(())
}

/// Refuses an answer that was taken before, on any node.
pub(super) async fn take_once(pool: &PgPool, nonce: &str) -> Result<(), ProviderError> {
    if nonce.len() > 255 {
        return Err(ProviderError::Forged("its nonce is too long"));
    }
    // Older ones are refused by their time. By `openid_nonces_by_age`.
    sqlx::query("DELETE FROM openid_nonces WHERE taken_at < now() - interval '1 hour'").execute(pool).await?;
    let taken = sqlx::query("INSERT INTO openid_nonces (nonce) VALUES ($1) ON CONFLICT DO NOTHING")
        .bind(nonce)
        .execute(pool)
        .await?;
    match taken.rows_affected() {
        0 => Err(ProviderError::Forged("it was used before")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_attempt_outlives_a_change_of_keys_by_one_key() {
        let [first, second, third] = ["first", "second", "third"].map(Secret::new);
        let attempt = Attempt::new("steam", "state".to_owned(), String::new(), "/".to_owned(), None);
        let cookie = Attempts::new(&first, None).sign(&attempt).unwrap();
        assert_eq!(Attempts::new(&second, Some(&first)).read(&cookie), Some(attempt));
        assert_eq!(Attempts::new(&third, Some(&second)).read(&cookie), None);
        assert_eq!(Attempts::new(&second, None).read(&cookie), None);
    }
}
