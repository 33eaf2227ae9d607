//! Who is signed in: by `Authorization: Bearer …`, else by the session cookie.
//!
//! The application holds `web::Data<Sessions>`.

use super::{
    InvalidAccessToken, SESSION_COOKIE, SessionCookies, Sessions, browser::RenewedAccess, csrf::is_cross_site,
};
use crate::{http::ApiError, users::Role};
use actix_web::{HttpMessage, HttpRequest, http::header::AUTHORIZATION, web};
use uuid::Uuid;

/// A user whose access token was checked. The role is the user's: a change of it ends the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    pub user_id: i32,
    pub role: Role,
    /// The sign-in that the token belongs to.
    pub session_id: Uuid,
}

/// Who the request's token says it is from.
///
/// # Errors
/// 401 `not_signed_in`, `token_expired`, `token_revoked` or `invalid_token`; 403 `banned`, or `cross_site` where another
/// site made the browser send it.
pub fn identify(request: &HttpRequest) -> Result<Identity, ApiError> {
    let sessions = request
        .app_data::<web::Data<Sessions>>()
        .ok_or_else(|| ApiError::unauthorized("not_signed_in", "nobody can sign in here"))?;
    let by_header = bearer_token(request);
    let by_cookie = by_header.is_none();
    let token = by_header
        .or_else(|| request.extensions().get::<RenewedAccess>().map(|renewed| renewed.0.clone()))
        .or_else(|| session_token(request))
        .ok_or_else(|| ApiError::unauthorized("not_signed_in", "sign in first"))?;
    let identity = sessions.identify(&token).map_err(|error| match error {
        InvalidAccessToken::Expired => ApiError::unauthorized(
            "token_expired",
            "the access token has expired: refresh it or sign in again",
        ),
        InvalidAccessToken::Revoked => {
            ApiError::unauthorized("token_revoked", "the session has ended: sign in again")
        }
        InvalidAccessToken::Banned => ApiError::forbidden("banned", "this account is banned"),
        InvalidAccessToken::Invalid => {
            ApiError::unauthorized("invalid_token", "the access token is not valid: sign in again")
        }
    })?;
    // A browser adds cookies by itself; a header it has to be given.
    if by_cookie && !request.method().is_safe() && is_cross_site(request) {
        return Err(ApiError::forbidden("cross_site", "this was sent by another site: use our own page"));
    }
    Ok(identity)
}

/// The scheme's name may be written in any case.
fn bearer_token(request: &HttpRequest) -> Option<String> {
    let header = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = header.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty()).then(|| token.trim().to_owned())
}

pub(super) fn session_token(request: &HttpRequest) -> Option<String> {
    // Programs that say they are a browser know it by its plain name. A browser has that one only from a site beside ours.
    let of_a_program = || {
        let is_a_browser =
            ["Sec-Fetch-Site", "Sec-Fetch-Mode"].iter().any(|name| request.headers().contains_key(*name));
        let is_ours = SessionCookies::are_in(request);
        let cookie = request.cookie(SESSION_COOKIE).filter(|_| !is_a_browser && !is_ours);
        cookie.map(|cookie| cookie.value().to_owned())
    };
    SessionCookies::value_in(request, SESSION_COOKIE).or_else(of_a_program).filter(|token| !token.is_empty())
}
