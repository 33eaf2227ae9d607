//! Reads a request body: bounded in size after decompression, and in time as a whole and for each part.

use std::io::Read;
use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap};
use actix_web::web::{Bytes, BytesMut, Payload};
use flate2::bufread::MultiGzDecoder;
use futures_util::{FutureExt as _, StreamExt};

use crate::http::ApiError;

/// Whoever sends fewer bytes than these within so many chunk timeouts only wants to keep a connection.
const SLOWEST_BYTES: usize = 16 << 10;
const SLOWEST_TIMEOUTS: u32 = 6;
/// 2^23 bytes: a window larger than that is not for HTTP (RFC 9659), and the decoder would allocate it.
const ZSTD_WINDOW_LOG: u32 = 23;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

/// A body as it was before it was packed.
pub struct Body {
    pub bytes: Bytes,
    /// Only its beginning could be unpacked, or its checksum is wrong.
    pub is_damaged: bool,
}

impl Body {
    pub fn whole(bytes: Bytes) -> Self {
        Self { bytes, is_damaged: false }
    }
}

/// Reads the whole body.
///
/// # Errors
/// 413 `body_too_large`, 415 `unsupported_encoding`, 408 `body_too_slow`, 400 `unreadable_body`.
pub async fn read(
    headers: &HeaderMap,
    mut payload: Payload,
    max_bytes: usize,
    chunk_timeout: Duration,
) -> Result<Body, ApiError> {
    let encoding = encoding_of(headers)?;
    let declared_length = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse::<u64>().ok());
    if declared_length.is_some_and(|length| length > max_bytes as u64) {
        return Err(too_large(max_bytes));
    }
    let mut received = BytesMut::with_capacity(declared_length.unwrap_or(0) as usize);
    let longest_drip = chunk_timeout.saturating_mul(SLOWEST_TIMEOUTS);
    let (mut drips_since, mut drips_from) = (Instant::now(), 0);
    loop {
        let part = match payload.next().now_or_never() {
            // Most bodies came with their headers.
            Some(part) => part,
            None => {
                let patience = chunk_timeout.min(longest_drip.saturating_sub(drips_since.elapsed()));
                tokio::time::timeout(patience, payload.next()).await.map_err(|_| too_slow(chunk_timeout))?
            }
        };
        let Some(part) = part else { break };
        let part = part.map_err(|error| {
            ApiError::bad_request("unreadable_body", "the body ended early or is not framed as HTTP asks")
                .with_source(error.to_string())
        })?;
        // A compressed body is never larger than what it holds, but for a few bytes of framing.
        if received.len() + part.len() > max_bytes + 1024 {
            return Err(too_large(max_bytes));
        }
        received.extend_from_slice(&part);
        if received.len() - drips_from >= SLOWEST_BYTES {
            (drips_since, drips_from) = (Instant::now(), received.len());
        }
    }
    match encoding {
        // Nothing is nothing, however it is packed.
        _ if received.is_empty() => Ok(Body::whole(Bytes::new())),
        Encoding::Identity if received.len() > max_bytes => Err(too_large(max_bytes)),
        Encoding::Identity => Ok(Body::whole(received.freeze())),
        Encoding::Gzip => unpack(MultiGzDecoder::new(&received[..]), max_bytes),
        Encoding::Zstd => {
            let mut decoder =
                zstd::stream::read::Decoder::with_buffer(&received[..]).map_err(ApiError::internal)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(ApiError::internal)?;
            unpack(decoder, max_bytes)
        }
    }
}

fn encoding_of(headers: &HeaderMap) -> Result<Encoding, ApiError> {
    let Some(value) = headers.get(CONTENT_ENCODING) else { return Ok(Encoding::Identity) };
    let name = value.to_str().unwrap_or("?").trim();
    match name.to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(Encoding::Identity),
        "gzip" | "x-gzip" => Ok(Encoding::Gzip),
        "zstd" => Ok(Encoding::Zstd),
        _ => {
            let message = "this content encoding is not supported: send gzip, zstd or none";
            Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding", message))
        }
    }
}

fn too_slow(chunk_timeout: Duration) -> ApiError {
    let seconds = chunk_timeout.as_secs_f32();
    let message = format!("the body paused for more than {seconds} s, or only dripped for much longer");
    ApiError::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", message)
}

fn too_large(max_bytes: usize) -> ApiError {
    let message = format!("the body holds more than {max_bytes} bytes; send fewer events a request");
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
}

/// Unpacks as far as it goes and no further than the limit, so that a small body can't become a large one.
fn unpack(decoder: impl Read, max_bytes: usize) -> Result<Body, ApiError> {
    let mut unpacked = Vec::new();
    let ended = decoder.take(max_bytes as u64 + 1).read_to_end(&mut unpacked);
    if unpacked.len() > max_bytes {
        return Err(too_large(max_bytes));
    }
    match ended {
        Ok(_) => Ok(Body::whole(unpacked.into())),
        Err(error) if !unpacked.is_empty() => {
            tracing::warn!(%error, bytes = unpacked.len(), "a compressed body is damaged");
            Ok(Body { bytes: unpacked.into(), is_damaged: true })
        }
        Err(error) => Err(damaged().with_source(error)),
    }
}

/// The answer for a compressed body that is damaged or cut short.
pub fn damaged() -> ApiError {
    ApiError::bad_request("unreadable_body", "the compressed body is damaged or cut short")
}
