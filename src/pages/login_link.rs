//! `/login/link/{code}`: the page of a one-time link. Looking at it uses nothing up; its button does.

use actix_web::http::header::{CACHE_CONTROL, LOCATION};
use actix_web::web::{Data, Form, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::json;
use sqlx::PgPool;

use super::{PageHead, Pages};
use crate::auth::{
    AccessTokens, CsrfToken, LoginLinkError, SessionCookies, consume_login_link, find_login_link,
};
use crate::http::ApiError;

#[derive(Deserialize)]
pub(super) struct SignInForm {
    #[serde(default)]
    csrf: String,
}

pub(super) async fn ask(
    request: HttpRequest,
    pages: Data<Pages>,
    postgres: Data<PgPool>,
    cookies: Data<SessionCookies>,
    code: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let user = find_login_link(&postgres, &code).await.map_err(link_error)?;
    let csrf = CsrfToken::for_page(&request, **cookies);
    let context = json!({ "name": user.display_name, "csrf": csrf.value, "code": code.as_str() });
    let body = pages.render("login_link.html", &PageHead::of(&request, "Sign in"), &context)?;
    let mut response = HttpResponse::Ok();
    response.insert_header((CACHE_CONTROL, "no-store")).content_type("text/html; charset=utf-8");
    if let Some(cookie) = csrf.cookie {
        response.cookie(cookie);
    }
    Ok(response.body(body))
}

pub(super) async fn sign_in(
    request: HttpRequest,
    postgres: Data<PgPool>,
    cookies: Data<SessionCookies>,
    access_tokens: Data<AccessTokens>,
    code: Path<String>,
    form: Form<SignInForm>,
) -> Result<HttpResponse, ApiError> {
    CsrfToken::check(&request, &form.csrf)?;
    let user = consume_login_link(&postgres, &code).await.map_err(link_error)?;
    let token = access_tokens.issue(user.user_id, user.role).map_err(ApiError::internal)?;
    let mut response = HttpResponse::SeeOther();
    response.insert_header((LOCATION, "/")).insert_header((CACHE_CONTROL, "no-store"));
    Ok(response.cookie(cookies.sign_in(token)).finish())
}

fn link_error(error: LoginLinkError) -> ApiError {
    match error {
        LoginLinkError::Gone => ApiError::new(
            actix_web::http::StatusCode::GONE,
            "login_link_gone",
            "this login link is unknown, was used or has expired: ask for a new one",
        ),
        LoginLinkError::Store(cause) => {
            ApiError::unavailable("users_unavailable", "nobody can sign in at the moment: try again", 5)
                .with_source(cause)
        }
    }
}
