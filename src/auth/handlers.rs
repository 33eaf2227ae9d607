//! `/api/v1/auth/refresh` and `/logout`.

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use utoipa::{OpenApi, ToSchema};

use super::{ACCESS_TOKEN_LIFETIME, OpenedSession, SessionCookies, SessionError, Sessions};
use crate::access::{Anyone, Route, post};
use crate::http::{ApiError, ErrorBody, JsonBody};
use crate::postgres;

#[derive(OpenApi)]
#[openapi(
    paths(refresh, logout),
    tags((name = "Signing in", description = "Sessions of users and what opens them."))
)]
pub struct AuthApi;

pub fn routes() -> Vec<Route> {
    vec![post("/api/v1/auth/refresh", refresh), post("/api/v1/auth/logout", logout)]
}

/// A pair of tokens (RFC 6749, 5.1).
#[derive(Serialize, ToSchema)]
pub struct TokenPair {
    /// A JWT, to be sent as `Authorization: Bearer …`.
    pub access_token: String,
    /// Always `Bearer`.
    pub token_type: &'static str,
    /// Seconds that the access token holds.
    pub expires_in: u64,
    /// Good once: it brings the next pair.
    pub refresh_token: Option<String>,
}

impl From<OpenedSession> for TokenPair {
    fn from(opened: OpenedSession) -> Self {
        Self {
            access_token: opened.access_token,
            token_type: "Bearer",
            expires_in: ACCESS_TOKEN_LIFETIME.as_secs(),
            refresh_token: opened.refresh_token,
        }
    }
}

#[derive(Deserialize, ToSchema)]
pub struct RefreshBody {
    pub refresh_token: String,
}

/// The next pair of tokens
///
/// A refresh token is good once; whoever shows it again ends the session.
#[utoipa::path(
    post,
    path = "/api/v1/auth/refresh",
    tag = "Signing in",
    request_body = RefreshBody,
    responses(
        (status = 200, description = "The next pair", body = TokenPair),
        (status = 401, description = "Unknown, used, expired or revoked", body = ErrorBody),
        (status = 403, description = "The account is banned", body = ErrorBody),
        (status = 503, description = "Sessions can't be read at the moment", body = ErrorBody),
    )
)]
pub async fn refresh(
    _: Anyone,
    sessions: Data<Sessions>,
    JsonBody(body): JsonBody<RefreshBody>,
) -> Result<HttpResponse, ApiError> {
    let opened = sessions.renew(&body.refresh_token).await?;
    Ok(HttpResponse::Ok().json(TokenPair::from(opened)))
}

/// Sign out
///
/// Ends the session of the access token, or that of the refresh token in the body.
#[utoipa::path(
    post,
    path = "/api/v1/auth/logout",
    tag = "Signing in",
    request_body(content = Option<RefreshBody>, description = "where there is no access token"),
    responses(
        (status = 204, description = "The session has ended: none of its tokens opens anything"),
        (status = 401, description = "There is nobody to sign out", body = ErrorBody),
        (status = 503, description = "Sessions can't be changed at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []), ())
)]
pub async fn logout(
    Anyone(caller): Anyone,
    sessions: Data<Sessions>,
    cookies: Data<SessionCookies>,
    body: Option<JsonBody<RefreshBody>>,
) -> Result<HttpResponse, ApiError> {
    match (caller, body) {
        (Some(identity), _) => {
            sessions.end(identity.user_id, identity.session_id).await?;
        }
        (None, Some(JsonBody(body))) => sessions.end_by_refresh_token(&body.refresh_token).await?,
        (None, None) => return Err(ApiError::unauthorized("not_signed_in", "sign in first")),
    }
    let mut response = HttpResponse::NoContent();
    for cookie in cookies.sign_out() {
        response.cookie(cookie);
    }
    Ok(response.finish())
}

impl From<SessionError> for ApiError {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Invalid => Self::unauthorized(
                "invalid_refresh_token",
                "this session has ended or its token was used: sign in again",
            ),
            SessionError::NotRecent => Self::forbidden("sign_in_again", error.to_string()),
            SessionError::Banned => Self::forbidden("banned", "this account is banned"),
            SessionError::Store(cause) => {
                let message = "nobody can sign in at the moment: try again";
                postgres::unanswered("users_unavailable", message, cause)
            }
            SessionError::Sign(cause) => Self::internal(cause),
        }
    }
}
