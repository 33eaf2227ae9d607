//! `Idempotency-Key`: a request that is sent again is not done again.

use actix_web::HttpRequest;
use actix_web::http::header::HeaderMap;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::ApiError;

const IDEMPOTENCY_KEY: &str = "Idempotency-Key";
/// Longer keys are nobody's.
const MOST_KEY_BYTES: usize = 256;

/// # Errors
/// 422 for a key that is empty, too long, or no text.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(header) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    match header.to_str() {
        Ok(key) if (1..=MOST_KEY_BYTES).contains(&key.trim().len()) => Ok(Some(key.trim().to_owned())),
        _ => Err(ApiError::invalid_field(IDEMPOTENCY_KEY, "1 to 256 visible characters")),
    }
}

/// A request that is done once, however often it is sent under its key. What was answered is kept by whoever does it.
#[derive(Clone, Debug, Default)]
pub struct Once {
    pub key: Option<String>,
    /// SHA-256 of what is asked: method, path and body.
    pub asked: [u8; 32],
}

impl Once {
    /// # Errors
    /// 422 for a key that can't be used.
    pub fn of(request: &HttpRequest, body: &impl Serialize) -> Result<Self, ApiError> {
        let key = idempotency_key(request.headers())?;
        let body = serde_json::to_vec(body).map_err(ApiError::internal)?;
        let mut hash = Sha256::new();
        for part in [request.method().as_str().as_bytes(), b" ", request.path().as_bytes(), b"\n", &body] {
            hash.update(part);
        }
        Ok(Self { key, asked: hash.finalize().into() })
    }
}
