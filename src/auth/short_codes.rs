//! How codes are kept that people type: game and device codes, keys of servers, invitations.
//!
//! They have 39 to 44 bits, and whoever read their SHA-256 could find them by trying all. So they are kept as HMACs under a key
//! made of JWT_SECRET, which PostgreSQL does not hold: the database alone opens nothing. While keys change
//! (JWT_SECRET_PREVIOUS) codes that were made before are known too.

use hmac::{Hmac, KeyInit, Mac as _};
use mohaa_domain::claim::normal_code;
use sha2::Sha256;
use std::fmt;

use crate::config::{HIDDEN, Secret};

/// Knows short codes again. Cheap to clone.
#[derive(Clone)]
pub struct ShortCodes {
    current: Hmac<Sha256>,
    previous: Option<Hmac<Sha256>>,
}

impl ShortCodes {
    pub fn new(secret: &Secret, previous: Option<&Secret>) -> Self {
        Self { current: keyed(secret), previous: previous.map(keyed) }
    }

    /// What is kept of a code, however it was typed.
    pub fn kept(&self, code: &str) -> Vec<u8> {
        digest(&self.current, code)
    }

    /// What may be kept of a code that somebody shows.
    pub fn shown(&self, code: &str) -> Vec<Vec<u8>> {
        std::iter::once(&self.current).chain(&self.previous).map(|key| digest(key, code)).collect()
    }
}

impl fmt::Debug for ShortCodes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(HIDDEN)
    }
}

#[allow(clippy::expect_used, reason = "HMAC takes keys of any length")]
fn keyed(secret: &Secret) -> Hmac<Sha256> {
    let label = "mohaa-stats short codes";
    let mut key =
        <Hmac<Sha256> as KeyInit>::new_from_slice(secret.expose().as_bytes()).expect("a key of any length");
    key.update(label.as_bytes());
    <Hmac<Sha256> as KeyInit>::new_from_slice(&key.finalize().into_bytes()).expect("a key of any length")
}

fn digest(key: &Hmac<Sha256>, code: &str) -> Vec<u8> {
    let mut mac = key.clone();
    mac.update(normal_code(code).as_bytes());
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::hash_of_code;

    fn secret(text: &str) -> Secret {
        Secret::new(text.repeat(32))
    }

    #[test]
    fn a_code_is_known_again_however_it_is_typed_and_by_its_key_alone() {
        let codes = ShortCodes::new(&secret("a"), None);
        let kept = codes.kept("K7WQ2MXHT");
        assert_eq!(codes.shown(" k7wq-2mxht"), std::slice::from_ref(&kept));
        assert_ne!(ShortCodes::new(&secret("b"), None).kept("K7WQ2MXHT"), kept);
        assert_ne!(hash_of_code("K7WQ2MXHT").to_vec(), kept);
        assert_eq!(kept.len(), 32);
    }

    #[test]
    fn while_keys_change_codes_of_before_are_known() {
        let before = ShortCodes::new(&secret("a"), None).kept("K7WQ2MXHT");
        let changed = ShortCodes::new(&secret("b"), Some(&secret("a")));
        assert!(changed.shown("K7WQ2MXHT").contains(&before) && changed.kept("K7WQ2MXHT") != before);
    }
}
