//! `/login/link/{code}`: the page of a one-time link. Looking at it uses nothing up; its button does.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;
use sqlx::PgPool;

use super::{Form, Pages, see, with_cookies};
use crate::access::{Anyone, NoFields, SafeForm};
use crate::auth::{
    LoginLinkError, SessionCookies, Sessions, consume_login_link, find_login_link, sign_browser_in,
};
use crate::http::ApiError;
use crate::postgres;

pub(super) async fn ask(
    _: Anyone,
    request: HttpRequest,
    pages: Data<Pages>,
    postgres: Data<PgPool>,
    code: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let user = find_login_link(&postgres, &code).await.map_err(link_error)?;
    let context = json!({ "name": user.display_name, "code": code.as_str() });
    pages
        .form(Form {
            request: &request,
            viewer: None,
            template: "login_link.html",
            title: "Sign in",
            context,
        })
        .await
}

pub(super) async fn sign_in(
    _: Anyone,
    request: HttpRequest,
    postgres: Data<PgPool>,
    cookies: Data<SessionCookies>,
    sessions: Data<Sessions>,
    code: Path<String>,
    _: SafeForm<NoFields>,
) -> Result<HttpResponse, ApiError> {
    let mut transaction = postgres.begin().await.map_err(|cause| link_error(cause.into()))?;
    let user = consume_login_link(&mut transaction, &code).await.map_err(link_error)?;
    let cookies = sign_browser_in(transaction, &sessions, **cookies, &request, user.user_id).await?;
    with_cookies(see("/"), cookies)
}

fn link_error(error: LoginLinkError) -> ApiError {
    match error {
        LoginLinkError::Gone => ApiError::new(
            actix_web::http::StatusCode::GONE,
            "login_link_gone",
            "this login link is unknown, was used or has expired: ask for a new one",
        ),
        LoginLinkError::Store(cause) => {
            let message = "nobody can sign in at the moment: try again";
            postgres::unanswered("users_unavailable", message, cause)
        }
    }
}
