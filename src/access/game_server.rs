//! Game servers as callers, by their token: `X-Server-Token`, then `Authorization`, then the body. Never the query string.

use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use actix_web::{FromRequest, HttpRequest, web};

use super::{Access, Caller};
use crate::http::ApiError;
use crate::servers::{ServerIdentity, ServerTokens, TokenError};

/// A game server. Scripts send their token in the body too, which only the handler can read; so it is the handler that
/// asks who speaks, before it answers anything else. The application holds `web::Data<ServerTokens>`.
#[derive(Clone)]
pub struct GameServer {
    tokens: Arc<ServerTokens>,
}

impl Caller for GameServer {
    const ACCESS: Access = Access::GameServer;
}

impl FromRequest for GameServer {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let tokens = request.app_data::<web::Data<ServerTokens>>().map(|tokens| tokens.clone().into_inner());
        ready(tokens.map(|tokens| Self { tokens }).ok_or_else(|| ApiError::internal("no server tokens here")))
    }
}

impl GameServer {
    /// Whose token stands in the headers; none where there is no token.
    ///
    /// # Errors
    /// As [`identify`](Self::identify).
    pub async fn of_headers(&self, headers: &HeaderMap) -> Result<Option<ServerIdentity>, ApiError> {
        match token_in(headers) {
            Some(token) => self.identify(Some(token)).await.map(Some),
            None => Ok(None),
        }
    }

    /// Whose token stands in the headers, or else in the body; an empty one there is none.
    ///
    /// # Errors
    /// As [`identify`](Self::identify).
    pub async fn by_headers_or_body(
        &self,
        headers: &HeaderMap,
        body_token: &str,
    ) -> Result<ServerIdentity, ApiError> {
        let in_body = Some(body_token.trim()).filter(|token| !token.is_empty());
        self.identify(token_in(headers).or(in_body)).await
    }

    /// Whose token it is.
    ///
    /// # Errors
    /// 401 `missing_token` or `invalid_token`, which makes game scripts register anew; 503 `tokens_unavailable` while
    /// nobody can say.
    pub async fn identify(&self, token: Option<&str>) -> Result<ServerIdentity, ApiError> {
        let Some(token) = token else {
            return Err(ApiError::unauthorized(
                "missing_token",
                "send the server's token in the header X-Server-Token",
            ));
        };
        self.tokens.identify(token).await.map_err(|error| match error {
            TokenError::Unknown => {
                ApiError::unauthorized("invalid_token", "this server token is not known, or was revoked")
            }
            TokenError::Unavailable => {
                ApiError::unavailable("tokens_unavailable", "server tokens can't be checked at the moment", 5)
            }
        })
    }
}

fn token_in(headers: &HeaderMap) -> Option<&str> {
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
