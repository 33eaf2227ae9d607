//! Extractors that tell a handler who is signed in: by `Authorization: Bearer …`, else by the session cookie.
//!
//! The application holds `web::Data<AccessTokens>`.

use super::{AccessTokens, InvalidAccessToken, SESSION_COOKIE};
use crate::{http::ApiError, users::Role};
use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header::AUTHORIZATION, web};
use std::future::{Ready, ready};

/// A user whose token was checked. The role is the one at the time the token was made, at most 15 minutes ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedInUser {
    pub user_id: i32,
    pub role: Role,
}

/// Somebody or nobody; a token that can't be used counts as nobody, for what everybody may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaybeUser(pub Option<SignedInUser>);

impl SignedInUser {
    fn of_request(request: &HttpRequest) -> Result<Self, ApiError> {
        let not_signed_in = || ApiError::unauthorized("not_signed_in", "sign in first");
        let token = bearer_token(request).or_else(|| session_token(request)).ok_or_else(not_signed_in)?;
        let tokens = request
            .app_data::<web::Data<AccessTokens>>()
            .ok_or_else(|| ApiError::internal("the application holds no access tokens"))?;
        let claims = tokens.verify(&token).map_err(|error| match error {
            InvalidAccessToken::Expired => {
                ApiError::unauthorized("token_expired", "sign in again: the session has ended")
            }
            InvalidAccessToken::Invalid => {
                ApiError::unauthorized("invalid_token", "the access token is not valid: sign in again")
            }
        })?;
        let user_id = claims.sub.parse().map_err(|_| not_signed_in())?;
        Ok(Self { user_id, role: claims.role })
    }

    /// Refuses a user who may do less than this role.
    pub fn require(&self, least: Role) -> Result<(), ApiError> {
        match self.role >= least {
            true => Ok(()),
            false => Err(ApiError::forbidden("not_allowed", format!("only an {least} may do this"))),
        }
    }
}

/// The scheme's name may be written in any case.
fn bearer_token(request: &HttpRequest) -> Option<String> {
    let header = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = header.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty()).then(|| token.trim().to_owned())
}

fn session_token(request: &HttpRequest) -> Option<String> {
    request.cookie(SESSION_COOKIE).map(|cookie| cookie.value().to_owned()).filter(|token| !token.is_empty())
}

impl FromRequest for SignedInUser {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::of_request(request))
    }
}

impl FromRequest for MaybeUser {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(match SignedInUser::of_request(request) {
            Ok(user) => Ok(Self(Some(user))),
            Err(error) if error.status().is_server_error() => Err(error),
            Err(_) => Ok(Self(None)),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::Secret;
    use actix_web::{cookie::Cookie, test::TestRequest};

    fn tokens() -> AccessTokens {
        AccessTokens::new(&Secret::new("0f8a3c5e7b9d1f2a4c6e8b0d3f5a7c9e"), None)
    }

    fn request() -> TestRequest {
        TestRequest::default().app_data(web::Data::new(tokens()))
    }

    fn user_of(request: TestRequest) -> Result<SignedInUser, ApiError> {
        SignedInUser::of_request(&request.to_http_request())
    }

    #[test]
    fn a_bearer_token_or_the_session_cookie_signs_in() {
        let token = tokens().issue(1_000_000_007, Role::Organizer).unwrap();
        let expected = SignedInUser { user_id: 1_000_000_007, role: Role::Organizer };
        for scheme in ["Bearer", "bearer"] {
            let header = (AUTHORIZATION, format!("{scheme} {token}"));
            assert_eq!(user_of(request().insert_header(header)).unwrap(), expected);
        }
        assert_eq!(user_of(request().cookie(Cookie::new(SESSION_COOKIE, token))).unwrap(), expected);
    }

    #[test]
    fn nobody_is_signed_in_by_nothing_or_by_a_foreign_token() {
        assert_eq!(user_of(request()).unwrap_err().code(), "not_signed_in");
        let foreign = request().insert_header((AUTHORIZATION, "Bearer mohaa_s_foreign"));
        let error = user_of(foreign).unwrap_err();
        assert_eq!((error.status().as_u16(), error.code()), (401, "invalid_token"));
    }

    #[actix_web::test]
    async fn what_everybody_may_see_is_shown_to_nobody_too() {
        let foreign = request().insert_header((AUTHORIZATION, "Bearer mohaa_s_foreign")).to_http_request();
        assert_eq!(MaybeUser::extract(&foreign).await.unwrap(), MaybeUser(None));
    }

    #[test]
    fn a_role_may_do_what_lesser_roles_may() {
        let user = |role| SignedInUser { user_id: 1, role };
        assert!(user(Role::Admin).require(Role::Organizer).is_ok());
        assert!(user(Role::Organizer).require(Role::Organizer).is_ok());
        assert_eq!(user(Role::Player).require(Role::Organizer).unwrap_err().status().as_u16(), 403);
    }
}
