//! A server's token and the hash that stands for it everywhere but with its server.

use crate::auth::random_code;
use sha2::{Digest, Sha256};
use std::fmt;

/// Tells a token's kind at a glance, and lets secret scanners find one that strayed.
const PREFIX: &str = "mohaa_s_";
/// 256 bits.
const RANDOM_BYTES: usize = 32;

/// A new token in the clear: shown once, never stored or logged.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerToken(String);

impl ServerToken {
    pub fn random() -> Self {
        Self(format!("{PREFIX}{}", random_code(RANDOM_BYTES)))
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ServerToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(crate::config::HIDDEN)
    }
}

/// SHA-256 of a token. Tokens are 256 random bits, so nothing slower is needed against guessing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(bytes.try_into().ok()?))
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// 64 lower-case hexadecimal digits, as PostgreSQL's `encode(…, 'hex')` writes them.
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }

    pub fn to_hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Enough to tell two apart in a log.
        write!(formatter, "TokenHash({}…)", &self.to_hex()[..8])
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_token_has_its_prefix_and_256_random_bits() {
        let (one, other) = (ServerToken::random(), ServerToken::random());
        assert_ne!(one, other);
        assert_eq!(one.expose().strip_prefix("mohaa_s_").unwrap().len(), 43);
        assert!(
            one.expose().bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
        );
        assert_eq!(format!("{one:?}"), "[hidden]");
    }

    #[test]
    fn a_hash_survives_hex_and_nothing_else_reads_as_one() {
        let hash = TokenHash::of("token");
        assert_eq!(TokenHash::from_hex(&hash.to_hex()), Some(hash));
        assert_eq!(hash.to_hex(), "3c469e9d6c5875d37a43f353d4f88e61fcf812c66eee3457465a40b0da4153e0");
        for wrong in ["", "3c46", &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(TokenHash::from_hex(wrong), None, "{wrong}");
        }
    }
}
