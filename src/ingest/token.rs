//! Which token a request speaks with: `X-Server-Token`, then `Authorization`, then the body. Never the query string.

use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderValue};

use crate::http::ApiError;
use crate::servers::{ServerIdentity, ServerTokens, TokenError};

/// The token in the headers, if there is one.
pub fn of_headers(headers: &HeaderMap) -> Option<&str> {
    if let Some(token) = headers.get("X-Server-Token").and_then(text) {
        return Some(token);
    }
    let value = headers.get(AUTHORIZATION).and_then(text)?;
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Some(token.trim()),
        _ if value.eq_ignore_ascii_case("bearer") => None,
        _ => Some(value),
    }
}

fn text(value: &HeaderValue) -> Option<&str> {
    let text = value.to_str().ok()?.trim();
    (!text.is_empty()).then_some(text)
}

/// Whose token it is.
///
/// # Errors
/// 401 `missing_token` or `invalid_token`, which makes game scripts register anew; 503 `tokens_unavailable` while
/// nobody can say.
pub async fn identify(tokens: &ServerTokens, token: Option<&str>) -> Result<ServerIdentity, ApiError> {
    let Some(token) = token else {
        return Err(ApiError::unauthorized(
            "missing_token",
            "send the server's token in the header X-Server-Token",
        ));
    };
    tokens.identify(token).await.map_err(|error| match error {
        TokenError::Unknown => {
            ApiError::unauthorized("invalid_token", "this server token is not known, or was revoked")
        }
        TokenError::Unavailable => {
            ApiError::unavailable("tokens_unavailable", "server tokens can't be checked at the moment", 5)
        }
    })
}
