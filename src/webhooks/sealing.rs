//! Secrets at rest, and signatures.
//!
//! What is kept of a webhook's secret and address is sealed with ChaCha20-Poly1305 under a key made of JWT_SECRET, so that
//! the database alone opens nothing. While keys change (JWT_SECRET_PREVIOUS) both open; what the earlier one sealed is sealed
//! again at the next start.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac as _};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use sha2::Sha256;
use uuid::Uuid;

use crate::auth::random_code;
use crate::config::{HIDDEN, Secret};

/// Tells a secret's kind at a glance, and lets secret scanners find one that strayed.
const PREFIX: &str = "mohaa_w_";
/// 256 bits.
const RANDOM_BYTES: usize = 32;

/// What messages of a webhook are signed with; shown once, kept sealed.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret(String);

impl SigningSecret {
    pub fn random() -> Self {
        Self(format!("{PREFIX}{}", random_code(RANDOM_BYTES)))
    }

    pub(super) fn kept(text: String) -> Self {
        Self(text)
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(HIDDEN)
    }
}

/// The value of `X-Mohaa-Signature`: HMAC-SHA-256 of `timestamp.body` under the secret as it was shown, in hex.
#[allow(clippy::expect_used, reason = "HMAC takes keys of any length")]
pub fn signature_of(secret: &str, timestamp: i64, body: &[u8]) -> String {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret.as_bytes()).expect("a key of any length");
    mac.update(timestamp.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    let digits: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={digits}")
}

/// What a sealed text is: one can't be put in the place of another.
#[derive(Clone, Copy, Debug)]
pub enum SealedPart {
    Url,
    Secret,
}

impl SealedPart {
    fn context(self, webhook_id: Uuid) -> Vec<u8> {
        let part: &[u8] = match self {
            Self::Url => b"url",
            Self::Secret => b"secret",
        };
        [webhook_id.as_bytes().as_slice(), part].concat()
    }
}

/// What was opened.
pub(super) struct Opened {
    pub text: String,
    /// By the key that is on its way out.
    pub is_by_previous: bool,
}

#[derive(Clone)]
pub struct Sealer {
    current: std::sync::Arc<LessSafeKey>,
    previous: Option<std::sync::Arc<LessSafeKey>>,
}

impl Sealer {
    pub fn new(secret: &Secret, previous: Option<&Secret>) -> Self {
        Self { current: key_of(secret).into(), previous: previous.map(|secret| key_of(secret).into()) }
    }

    /// None only if the system's cryptography fails.
    pub(super) fn seal(&self, webhook_id: Uuid, part: SealedPart, text: &str) -> Option<Vec<u8>> {
        let mut nonce = [0_u8; NONCE_LEN];
        rand::fill(&mut nonce);
        let mut sealed = text.as_bytes().to_vec();
        let context = Aad::from(part.context(webhook_id));
        self.current
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), context, &mut sealed)
            .ok()?;
        Some([nonce.as_slice(), &sealed].concat())
    }

    /// None for what neither key has sealed for this place.
    pub(super) fn open(&self, webhook_id: Uuid, part: SealedPart, sealed: &[u8]) -> Option<Opened> {
        let open = |key: &LessSafeKey| {
            let (nonce, rest) = sealed.split_at_checked(NONCE_LEN)?;
            let mut rest = rest.to_vec();
            let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
            let text = key.open_in_place(nonce, Aad::from(part.context(webhook_id)), &mut rest).ok()?;
            String::from_utf8(text.to_vec()).ok()
        };
        if let Some(text) = open(&self.current) {
            return Some(Opened { text, is_by_previous: false });
        }
        let text = open(self.previous.as_deref()?)?;
        Some(Opened { text, is_by_previous: true })
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(HIDDEN)
    }
}

#[allow(clippy::expect_used, reason = "HMAC takes keys of any length, and gives one of the right length")]
fn key_of(secret: &Secret) -> LessSafeKey {
    let mut key =
        <Hmac<Sha256> as KeyInit>::new_from_slice(secret.expose().as_bytes()).expect("a key of any length");
    key.update(b"mohaa-stats secrets of webhooks");
    let key = UnboundKey::new(&CHACHA20_POLY1305, &key.finalize().into_bytes()).expect("a key of 32 bytes");
    LessSafeKey::new(key)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.repeat(32))
    }

    #[test]
    fn what_is_sealed_opens_in_its_place_only() {
        let sealer = Sealer::new(&secret("a"), None);
        let (one, other) = (Uuid::new_v4(), Uuid::new_v4());
        let sealed = sealer.seal(one, SealedPart::Secret, "text").unwrap();
        assert_ne!(sealed, sealer.seal(one, SealedPart::Secret, "text").unwrap());
        assert_eq!(sealer.open(one, SealedPart::Secret, &sealed).unwrap().text, "text");
        assert!(sealer.open(other, SealedPart::Secret, &sealed).is_none());
        assert!(sealer.open(one, SealedPart::Url, &sealed).is_none());
        assert!(sealer.open(one, SealedPart::Secret, &sealed[..20]).is_none());
        assert!(sealer.open(one, SealedPart::Secret, &[]).is_none());
    }

    #[test]
    fn while_keys_change_both_open() {
        let (old, new) = (secret("a"), secret("b"));
        let id = Uuid::new_v4();
        let sealed = Sealer::new(&old, None).seal(id, SealedPart::Url, "text").unwrap();
        let opened = Sealer::new(&new, Some(&old)).open(id, SealedPart::Url, &sealed).unwrap();
        assert!(opened.is_by_previous && opened.text == "text");
        assert!(Sealer::new(&new, None).open(id, SealedPart::Url, &sealed).is_none());
    }

    /// RFC 4231 has none of this shape; the value is that of `openssl dgst -sha256 -hmac`.
    #[test]
    fn a_signature_is_that_of_timestamp_and_body() {
        assert_eq!(
            signature_of("mohaa_w_example", 1_767_225_600, br#"{"event":"test"}"#),
            "sha256=c6a05cb2bf53516beb2b0ed1e37ba0d2d4dc2fd3e647686200568673e997ec85"
        );
        assert_eq!(format!("{:?}", SigningSecret::random()), HIDDEN);
    }
}
