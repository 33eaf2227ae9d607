//! What users do with their own account: look at their sessions and end them, take their data along, leave.

use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_DISPOSITION;
use actix_web::web::{Bytes, Data, Json, Path};
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use utoipa::{OpenApi, ToSchema};
use uuid::Uuid;

use super::{delete_account, users_unavailable};
use crate::access::{Route, SignedIn, delete, get, post};
use crate::auth::{ListedSession, SessionCookies, Sessions};
use crate::http::query::QueryShape;
use crate::http::{ApiError, ErrorBody};
use crate::players::{self, Export};

#[derive(OpenApi)]
#[openapi(paths(list_sessions, end_session, sign_out_everywhere, export_own_data, delete_own_account))]
pub struct AccountApi;

pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/api/v1/users/me/sessions", list_sessions),
        delete("/api/v1/users/me/sessions/{id}", end_session),
        post("/api/v1/auth/logout-everywhere", sign_out_everywhere),
        get("/api/v1/users/me/export", export_own_data),
        delete("/api/v1/users/me", delete_own_account),
    ]
}

#[derive(Serialize, ToSchema)]
pub struct SessionAnswer {
    pub session_id: Uuid,
    /// `browser`, `device` or `operator`.
    pub kind: String,
    pub label: String,
    pub created_at: DateTime<Utc>,
    /// When it last renewed its tokens.
    pub last_used_at: DateTime<Utc>,
    /// Whether it is the one that asks.
    pub current: bool,
}

impl SessionAnswer {
    pub fn new(session: ListedSession, current: Uuid) -> Self {
        Self {
            current: session.session_id == current,
            session_id: session.session_id,
            kind: session.kind,
            label: session.label,
            created_at: session.created_at,
            last_used_at: session.last_used_at,
        }
    }
}

const SESSIONS: QueryShape = QueryShape { parameters: &[], filters: &[], paged: true };

/// The query parameters of each path, for the OpenAPI document.
pub const QUERY_SHAPES: &[(&str, QueryShape)] = &[("/api/v1/users/me/sessions", SESSIONS)];

#[derive(Serialize, ToSchema)]
pub struct SessionList {
    pub page: u32,
    pub limit: u32,
    pub total: usize,
    pub sessions: Vec<SessionAnswer>,
}

/// Open sessions of the signed-in user, the last used first
#[utoipa::path(
    get,
    path = "/api/v1/users/me/sessions",
    tag = "Users",
    responses(
        (status = 200, description = "The sessions", body = SessionList),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 422, description = "A parameter can't be used", body = ErrorBody),
        (status = 503, description = "Sessions can't be read at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn list_sessions(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    sessions: Data<Sessions>,
) -> Result<Json<SessionList>, ApiError> {
    let mut values = SESSIONS.read(request.query_string());
    let paging = values.paging();
    values.finish()?;
    let open = sessions.list(caller.user_id).await?;
    let total = open.len();
    let sessions =
        paging.cut(open).into_iter().map(|session| SessionAnswer::new(session, caller.session_id)).collect();
    Ok(Json(SessionList { page: paging.page, limit: paging.limit, total, sessions }))
}

/// End a session
#[utoipa::path(
    delete,
    path = "/api/v1/users/me/sessions/{id}",
    tag = "Users",
    params(("id" = Uuid, Path, description = "the session")),
    responses(
        (status = 204, description = "None of its tokens opens anything any more"),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 404, description = "The user has no such session", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn end_session(
    SignedIn(caller): SignedIn,
    sessions: Data<Sessions>,
    id: Path<Uuid>,
) -> Result<HttpResponse, ApiError> {
    match sessions.end(caller.user_id, *id).await? {
        true => Ok(HttpResponse::NoContent().finish()),
        false => Err(ApiError::not_found("unknown_session", "there is no such session, or it has ended")),
    }
}

/// Sign out everywhere
#[utoipa::path(
    post,
    path = "/api/v1/auth/logout-everywhere",
    tag = "Signing in",
    responses(
        (status = 204, description = "Every session of the user has ended, this one too"),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn sign_out_everywhere(
    SignedIn(caller): SignedIn,
    sessions: Data<Sessions>,
    cookies: Data<SessionCookies>,
) -> Result<HttpResponse, ApiError> {
    sessions.end_all(caller.user_id).await?;
    Ok(signed_out(&cookies))
}

fn signed_out(cookies: &SessionCookies) -> HttpResponse {
    let mut response = HttpResponse::NoContent();
    for cookie in cookies.sign_out() {
        response.cookie(cookie);
    }
    response.finish()
}

/// Everything that is stored about the signed-in user
#[utoipa::path(
    get,
    path = "/api/v1/users/me/export",
    tag = "Users",
    responses(
        (status = 200, description = "The data, as a file", body = Export),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn export_own_data(
    SignedIn(caller): SignedIn,
    pool: Data<PgPool>,
) -> Result<HttpResponse, ApiError> {
    let export = players::export(&pool, caller.user_id).await?;
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_DISPOSITION, "attachment; filename=\"mohaa-stats-export.json\""))
        .json(export))
}

#[derive(Default, Deserialize, ToSchema)]
pub struct DeletionBody {
    /// Also take the names of the linked players off every page.
    #[serde(default)]
    pub anonymise_players: bool,
}

/// Delete the signed-in user's account
///
/// Sign-ins, sessions and links go; the id is never given to anybody else. Statistics of the players stay, without the
/// account, or without their names where that is asked for.
#[utoipa::path(
    delete,
    path = "/api/v1/users/me",
    tag = "Users",
    request_body(content = Option<DeletionBody>),
    responses(
        (status = 204, description = "The account is gone"),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "Signed in longer than an hour ago", body = ErrorBody),
        (status = 409, description = "The last admin can't leave", body = ErrorBody),
        (status = 415, description = "The body is not JSON", body = ErrorBody),
        (status = 422, description = "The body can't be read", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn delete_own_account(
    SignedIn(caller): SignedIn,
    pool: Data<PgPool>,
    sessions: Data<Sessions>,
    cookies: Data<SessionCookies>,
    request: HttpRequest,
    body: Bytes,
) -> Result<HttpResponse, ApiError> {
    // It can't be undone: a wish that can't be read is not one that was never made.
    let anonymise_players = match body.is_empty() {
        true => false,
        false if request.content_type() != "application/json" => {
            return Err(ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "send the body as application/json",
            ));
        }
        false => {
            serde_json::from_slice::<DeletionBody>(&body)
                .map_err(|_| ApiError::invalid_field("anonymise_players", "true or false, in a JSON object"))?
                .anonymise_players
        }
    };
    sessions.require_recent(caller.session_id).await?;
    delete_account(&pool, caller, anonymise_players).await?;
    sessions.access_changed(caller.user_id).await.map_err(users_unavailable)?;
    Ok(signed_out(&cookies))
}
