//! Conditional answers: a strong `ETag` over the body, and 304 where the caller already has it.

use actix_web::http::header::{CACHE_CONTROL, ETAG, EntityTag, Header, HeaderValue, IfNoneMatch, VARY};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{ApiError, packed};

/// Caches ask each time: an answer may be 1.75 s old when it leaves here (`data_version`), and nobody is to see one
/// older than two. Asking is cheap while nothing was stored.
pub const STATS_LIFETIME: &str = "public, max-age=0, must-revalidate";

/// 200 with the answer as JSON, or 304 when the caller's copy is the same.
pub fn json<T: Serialize>(request: &HttpRequest, answer: &T) -> Result<HttpResponse, ApiError> {
    let body = serde_json::to_vec(answer).map_err(ApiError::internal)?;
    Ok(conditional(request, body, "application/json", STATS_LIFETIME))
}

/// 200 with this body, or 304 when the caller's copy is the same.
pub fn conditional(
    request: &HttpRequest,
    body: Vec<u8>,
    content_type: &'static str,
    cache_control: &'static str,
) -> HttpResponse {
    tagged(request, &tag_of(&body), body, content_type, cache_control)
}

/// A strong tag over a body.
pub fn tag_of(body: &[u8]) -> EntityTag {
    EntityTag::new_strong(URL_SAFE_NO_PAD.encode(&Sha256::digest(body)[..16]))
}

/// The same by a tag that is known without the body, which may then be left out where the caller [`has`] it.
pub fn tagged(
    request: &HttpRequest,
    tag: &EntityTag,
    body: impl Into<Bytes>,
    content_type: &'static str,
    cache_control: &'static str,
) -> HttpResponse {
    let is_known = has(request, tag);
    let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response.insert_header((ETAG, tag.to_string())).insert_header((CACHE_CONTROL, cache_control));
    if is_known {
        return response.finish();
    }
    let body = body.into();
    response.content_type(content_type);
    match packed::for_caller(request, tag, &body, content_type) {
        Some((encoding, packed)) => response
            .insert_header(encoding)
            .append_header((VARY, HeaderValue::from_static("accept-encoding")))
            .body(packed),
        None => response.body(body),
    }
}

/// Whether the caller already has what this tag stands for.
pub fn has(request: &HttpRequest, tag: &EntityTag) -> bool {
    match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|known| known.weak_eq(tag)),
        Err(_) => false,
    }
}
