//! Access tokens: JWTs of 15 minutes, signed with HS256 and nothing else.
//!
//! The algorithm is pinned and the key is found by the token's key id, so a token can choose neither. While keys
//! change, the previous key's tokens are still taken; new ones are always signed with the current one.

use crate::{config::Secret, users::Role};
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

pub const ACCESS_TOKEN_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// Fixed names rather than our address: a token made at the command line must hold for a service whose address the
/// command can't know.
const ISSUER: &str = "mohaa-stats";
const AUDIENCE: &str = "mohaa-stats";
/// Clocks of two nodes may differ by so much.
const LEEWAY_SECONDS: u64 = 5;

/// What a token says. Times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    pub iss: String,
    pub aud: String,
    /// The user's id in decimal.
    pub sub: String,
    pub role: Role,
    pub iat: u64,
    pub nbf: u64,
    pub exp: u64,
    pub jti: Uuid,
    /// The session that it belongs to.
    pub sid: Uuid,
    /// Which of the user's access states it was made for; a later one ends it.
    #[serde(rename = "gen")]
    pub generation: i32,
}

/// Whom a token is made for.
#[derive(Debug, Clone, Copy)]
pub struct Subject {
    pub user_id: i32,
    pub role: Role,
    pub session_id: Uuid,
    pub generation: i32,
}

#[derive(Debug, thiserror::Error)]
pub enum InvalidAccessToken {
    #[error("the access token has expired")]
    Expired,
    #[error("the access token is not valid")]
    Invalid,
    #[error("the access token's session has ended, or its user may do other things now")]
    Revoked,
    #[error("the access token's user is banned")]
    Banned,
}

/// Makes and checks access tokens. Cheap to clone.
#[derive(Clone)]
pub struct AccessTokens {
    keys: Arc<Keys>,
}

struct Keys {
    current: Key,
    previous: Option<Key>,
    validation: Validation,
}

struct Key {
    id: String,
    encoding: EncodingKey,
    decoding: DecodingKey,
}

impl AccessTokens {
    pub fn new(secret: &Secret, previous: Option<&Secret>) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        validation.validate_nbf = true;
        validation.leeway = LEEWAY_SECONDS;
        let keys = Keys { current: Key::new(secret), previous: previous.map(Key::new), validation };
        Self { keys: Arc::new(keys) }
    }

    /// A token for this user that holds from now on.
    pub fn issue(&self, subject: &Subject) -> Result<String, jsonwebtoken::errors::Error> {
        let now = jsonwebtoken::get_current_timestamp();
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: subject.user_id.to_string(),
            role: subject.role,
            iat: now,
            nbf: now,
            exp: now + ACCESS_TOKEN_LIFETIME.as_secs(),
            jti: Uuid::new_v4(),
            sid: subject.session_id,
            generation: subject.generation,
        };
        let header = Header { kid: Some(self.keys.current.id.clone()), ..Header::new(Algorithm::HS256) };
        jsonwebtoken::encode(&header, &claims, &self.keys.current.encoding)
    }

    pub fn verify(&self, token: &str) -> Result<Claims, InvalidAccessToken> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| InvalidAccessToken::Invalid)?;
        let key_id = header.kid.ok_or(InvalidAccessToken::Invalid)?;
        let keys = [Some(&self.keys.current), self.keys.previous.as_ref()];
        let key =
            keys.into_iter().flatten().find(|key| key.id == key_id).ok_or(InvalidAccessToken::Invalid)?;
        jsonwebtoken::decode(token, &key.decoding, &self.keys.validation).map(|data| data.claims).map_err(
            |error| match error.kind() {
                jsonwebtoken::errors::ErrorKind::ExpiredSignature => InvalidAccessToken::Expired,
                _ => InvalidAccessToken::Invalid,
            },
        )
    }
}

impl Key {
    fn new(secret: &Secret) -> Self {
        let bytes = secret.expose().as_bytes();
        Self {
            id: key_id(bytes),
            encoding: EncodingKey::from_secret(bytes),
            decoding: DecodingKey::from_secret(bytes),
        }
    }
}

/// A name for the key that follows from it, so that all nodes agree, and that tells nothing about it.
fn key_id(secret: &[u8]) -> String {
    #[allow(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret).expect("a key of any length");
    mac.update(b"mohaa-stats key id");
    mac.finalize().into_bytes()[..4].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn tokens_of(secret: &str) -> AccessTokens {
        AccessTokens::new(&Secret::new(secret), None)
    }

    fn subject(role: Role) -> Subject {
        Subject { user_id: 1_000_000_001, role, session_id: Uuid::nil(), generation: 0 }
    }

    const ONE: &str = "0f8a3c5e7b9d1f2a4c6e8b0d3f5a7c9e";
    const OTHER: &str = "9e7c5a3f0d8b6e4c2a1f9d7b5e3c8a0f";

    fn signed(claims: &Claims, header: &Header, secret: &str) -> String {
        jsonwebtoken::encode(header, claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
    }

    fn issued() -> (Claims, Header) {
        let token = tokens_of(ONE).issue(&subject(Role::Admin)).unwrap();
        (tokens_of(ONE).verify(&token).unwrap(), jsonwebtoken::decode_header(&token).unwrap())
    }

    #[test]
    fn a_token_names_its_user_and_role_for_fifteen_minutes() {
        let (claims, header) = issued();
        assert_eq!((claims.sub.as_str(), claims.role), ("1000000001", Role::Admin));
        assert_eq!((claims.exp - claims.iat, claims.nbf), (900, claims.iat));
        assert_eq!((header.alg, header.kid.is_some()), (Algorithm::HS256, true));
    }

    #[test]
    fn a_token_of_another_key_is_refused_even_under_our_key_id() {
        let (claims, header) = issued();
        assert!(tokens_of(OTHER).verify(&signed(&claims, &header, ONE)).is_err());
        assert!(tokens_of(ONE).verify(&signed(&claims, &header, OTHER)).is_err());
        assert!(tokens_of(ONE).verify(&signed(&claims, &header, ONE)).is_ok());
    }

    #[test]
    fn the_previous_key_still_opens_while_keys_change() {
        let token = tokens_of(ONE).issue(&subject(Role::Player)).unwrap();
        let changed = AccessTokens::new(&Secret::new(OTHER), Some(&Secret::new(ONE)));
        assert!(changed.verify(&token).is_ok());
        let new = changed.issue(&subject(Role::Player)).unwrap();
        assert!(tokens_of(ONE).verify(&new).is_err() && tokens_of(OTHER).verify(&new).is_ok());
    }

    #[test]
    fn another_algorithm_audience_issuer_or_time_is_refused() {
        let (claims, header) = issued();
        let refused = |claims: Claims, header: Header| {
            tokens_of(ONE).verify(&signed(&claims, &header, ONE)).unwrap_err()
        };
        let hs512 = Header { alg: Algorithm::HS512, ..header.clone() };
        assert!(matches!(refused(claims.clone(), hs512), InvalidAccessToken::Invalid));
        let without_key_id = Header { kid: None, ..header.clone() };
        refused(claims.clone(), without_key_id);
        refused(Claims { aud: "another".to_owned(), ..claims.clone() }, header.clone());
        refused(Claims { iss: "another".to_owned(), ..claims.clone() }, header.clone());
        refused(Claims { nbf: claims.nbf + 60, ..claims.clone() }, header.clone());
        let expired = Claims { exp: claims.iat - 60, ..claims.clone() };
        assert!(matches!(refused(expired, header), InvalidAccessToken::Expired));
        assert!(tokens_of(ONE).verify("no.token.atall").is_err());
    }

    #[test]
    fn an_unsigned_token_is_refused() {
        let (claims, header) = issued();
        let token = signed(&claims, &header, ONE);
        let payload = token.split('.').nth(1).unwrap();
        // {"typ":"JWT","alg":"none"}
        assert!(tokens_of(ONE).verify(&format!("eyJ0eXAiOiJKV1QiLCJhbGciOiJub25lIn0.{payload}.")).is_err());
    }
}
