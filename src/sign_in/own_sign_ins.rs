//! `/api/v1/users/me/sign-ins`: the accounts of providers that open the account of who is signed in.

use actix_web::web::{Data, Json, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use sqlx::PgPool;
use utoipa::{OpenApi, ToSchema};

use super::accounts::unlink_sign_in;
use crate::access::{Route, SignedIn, delete, get};
use crate::auth::Sessions;
use crate::http::query::QueryShape;
use crate::http::{ApiError, ErrorBody};
use crate::players::{ExportedSignIn, sign_ins_of};
use crate::users::users_unavailable;

#[derive(OpenApi)]
#[openapi(paths(list_sign_ins, end_sign_in))]
pub struct OwnSignInsApi;

pub fn routes() -> Vec<Route> {
    vec![
        get("/api/v1/users/me/sign-ins", list_sign_ins),
        delete("/api/v1/users/me/sign-ins/{provider}/{subject}", end_sign_in),
    ]
}

const SIGN_INS: QueryShape = QueryShape { parameters: &[], filters: &[], paged: true };

/// The query parameters of each path, for the OpenAPI document.
pub const QUERY_SHAPES: &[(&str, QueryShape)] = &[("/api/v1/users/me/sign-ins", SIGN_INS)];

#[derive(Serialize, ToSchema)]
pub struct SignInList {
    pub page: u32,
    pub limit: u32,
    pub total: usize,
    pub sign_ins: Vec<ExportedSignIn>,
}

/// Accounts of providers that sign the signed-in user in, the first linked first
#[utoipa::path(
    get,
    path = "/api/v1/users/me/sign-ins",
    tag = "Users",
    responses(
        (status = 200, description = "The accounts", body = SignInList),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "The account is banned", body = ErrorBody),
        (status = 422, description = "A parameter can't be used", body = ErrorBody),
        (status = 503, description = "Sign-ins can't be read at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn list_sign_ins(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    pool: Data<PgPool>,
) -> Result<Json<SignInList>, ApiError> {
    let mut values = SIGN_INS.read(request.query_string());
    let paging = values.paging();
    values.finish()?;
    let linked = sign_ins_of(&pool, caller.user_id).await.map_err(users_unavailable)?;
    let (total, sign_ins) = (linked.len(), paging.cut(linked));
    Ok(Json(SignInList { page: paging.page, limit: paging.limit, total, sign_ins }))
}

/// Take a way to sign in from the signed-in user
#[utoipa::path(
    delete,
    path = "/api/v1/users/me/sign-ins/{provider}/{subject}",
    tag = "Users",
    params(
        ("provider" = String, Path, description = "`discord` or `steam`"),
        ("subject" = String, Path, description = "the account's id there"),
    ),
    responses(
        (status = 204, description = "It signs nobody in here any more"),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "Signed in longer than an hour ago, or banned", body = ErrorBody),
        (status = 404, description = "The user has no such sign-in", body = ErrorBody),
        (status = 409, description = "It is the only way into the account", body = ErrorBody),
        (status = 503, description = "Sign-ins can't be changed at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn end_sign_in(
    SignedIn(caller): SignedIn,
    pool: Data<PgPool>,
    sessions: Data<Sessions>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    sessions.require_recent(caller.session_id).await?;
    let (provider, subject) = path.into_inner();
    unlink_sign_in(&pool, caller, &provider, &subject).await?;
    Ok(HttpResponse::NoContent().finish())
}
