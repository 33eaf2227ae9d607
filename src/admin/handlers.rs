//! `/api/v1/admin/…`. Every handler's caller is an [`Admin`].

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use mohaa_domain::player::PlayerId;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use utoipa::{OpenApi, ToSchema};

use super::users::{UserList, list_users};
use crate::access::{Admin, Route, delete, get, post};
use crate::audit::{self, LoggedEntry};
use crate::auth::Sessions;
use crate::http::query::{Parameter, QueryShape};
use crate::http::{ApiError, ErrorBody, JsonBody};
use crate::players::{self, MergeError, MergeList};
use crate::stats::answers::PlayerAnswer;
use crate::stats::{PlayerQuestion, Stats};
use crate::users::{self, Role, users_unavailable};

#[derive(OpenApi)]
#[openapi(
    paths(
        users, set_role, ban, unban, sign_out, merges, preview_merge, merge, undo_merge, anonymise, audit_log
    ),
    tags((name = "Administration", description = "What admins do."))
)]
pub struct AdminApi;

const SEARCH: Parameter =
    Parameter { name: "q", description: "Part of a name, or a user id.", example: "anna" };
const FROM_PLAYER: Parameter = Parameter {
    name: "from",
    description: "The player id that is to become a part of the other.",
    example: "4711",
};
const INTO_PLAYER: Parameter =
    Parameter { name: "into", description: "The player id that stays.", example: "1000000001" };
const USERS: QueryShape = QueryShape { parameters: &[SEARCH], filters: &[], paged: true };
const PREVIEW: QueryShape =
    QueryShape { parameters: &[FROM_PLAYER, INTO_PLAYER], filters: &[], paged: false };
const MERGES: QueryShape = QueryShape { parameters: &[], filters: &[], paged: true };
const AUDIT: QueryShape = QueryShape { parameters: &[], filters: &[], paged: true };

/// The query parameters of each path, for the OpenAPI document.
pub const QUERY_SHAPES: &[(&str, QueryShape)] = &[
    ("/api/v1/admin/users", USERS),
    ("/api/v1/admin/merges", MERGES),
    ("/api/v1/admin/merges/preview", PREVIEW),
    ("/api/v1/admin/audit", AUDIT),
];

pub fn routes() -> Vec<Route> {
    vec![
        get("/api/v1/admin/users", users),
        post("/api/v1/admin/users/{id}/role", set_role),
        post("/api/v1/admin/users/{id}/ban", ban),
        delete("/api/v1/admin/users/{id}/ban", unban),
        post("/api/v1/admin/users/{id}/sign-out", sign_out),
        get("/api/v1/admin/merges", merges),
        post("/api/v1/admin/merges", merge),
        get("/api/v1/admin/merges/preview", preview_merge),
        delete("/api/v1/admin/merges/{id}", undo_merge),
        post("/api/v1/admin/players/{id}/anonymise", anonymise),
        get("/api/v1/admin/audit", audit_log),
    ]
}

/// Users, the newest first
#[utoipa::path(
    get,
    path = "/api/v1/admin/users",
    tag = "Administration",
    responses((status = 200, body = UserList), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)),
    security(("bearer" = []), ("session" = []))
)]
pub async fn users(_: Admin, request: HttpRequest, pool: Data<PgPool>) -> Result<HttpResponse, ApiError> {
    let mut values = USERS.read(request.query_string());
    let search = values.parameter("q").unwrap_or_default();
    let paging = values.paging();
    values.finish()?;
    Ok(HttpResponse::Ok().json(list_users(&pool, search.trim(), paging).await.map_err(users_unavailable)?))
}

#[derive(Deserialize, ToSchema)]
pub struct RoleBody {
    pub role: Role,
}

/// Give a user another role
///
/// The user's access tokens end; refreshed ones have the new role.
#[utoipa::path(
    post,
    path = "/api/v1/admin/users/{id}/role",
    tag = "Administration",
    params(("id" = i32, Path, description = "the user")),
    request_body = RoleBody,
    responses(
        (status = 204, description = "Done"),
        (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 409, description = "The last admin stays one", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn set_role(
    Admin(admin): Admin,
    pool: Data<PgPool>,
    sessions: Data<Sessions>,
    id: Path<i32>,
    JsonBody(body): JsonBody<RoleBody>,
) -> Result<HttpResponse, ApiError> {
    users::set_role(&pool, admin.user_id, *id, body.role).await?;
    access_changed(&sessions, *id).await
}

#[derive(Default, Deserialize, ToSchema)]
pub struct BanBody {
    /// For other admins; at most 500 characters.
    #[serde(default)]
    pub reason: String,
}

/// Ban a user
///
/// Nothing that is signed in as this user opens anything from here on.
#[utoipa::path(
    post,
    path = "/api/v1/admin/users/{id}/ban",
    tag = "Administration",
    params(("id" = i32, Path, description = "the user")),
    request_body = BanBody,
    responses(
        (status = 204, description = "Done"),
        (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 409, description = "The last admin can't be banned", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn ban(
    Admin(admin): Admin,
    pool: Data<PgPool>,
    sessions: Data<Sessions>,
    id: Path<i32>,
    JsonBody(body): JsonBody<BanBody>,
) -> Result<HttpResponse, ApiError> {
    users::ban(&pool, admin.user_id, *id, &body.reason).await?;
    access_changed(&sessions, *id).await
}

/// Let a banned user in again
#[utoipa::path(
    delete,
    path = "/api/v1/admin/users/{id}/ban",
    tag = "Administration",
    params(("id" = i32, Path, description = "the user")),
    responses(
        (status = 204, description = "Done"),
        (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn unban(
    Admin(admin): Admin,
    pool: Data<PgPool>,
    sessions: Data<Sessions>,
    id: Path<i32>,
) -> Result<HttpResponse, ApiError> {
    users::unban(&pool, admin.user_id, *id).await?;
    access_changed(&sessions, *id).await
}

async fn access_changed(sessions: &Sessions, user_id: i32) -> Result<HttpResponse, ApiError> {
    sessions.access_changed(user_id).await.map_err(users_unavailable)?;
    Ok(HttpResponse::NoContent().finish())
}

/// End every session of a user
#[utoipa::path(
    post,
    path = "/api/v1/admin/users/{id}/sign-out",
    tag = "Administration",
    params(("id" = i32, Path, description = "the user")),
    responses(
        (status = 204, description = "Done"),
        (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn sign_out(
    Admin(admin): Admin,
    pool: Data<PgPool>,
    sessions: Data<Sessions>,
    id: Path<i32>,
) -> Result<HttpResponse, ApiError> {
    users::sign_out_by_admin(&pool, &sessions, admin.user_id, *id).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Merges that hold, the latest first
#[utoipa::path(
    get,
    path = "/api/v1/admin/merges",
    tag = "Administration",
    responses((status = 200, body = MergeList), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)),
    security(("bearer" = []), ("session" = []))
)]
pub async fn merges(_: Admin, request: HttpRequest, pool: Data<PgPool>) -> Result<HttpResponse, ApiError> {
    let mut values = MERGES.read(request.query_string());
    let paging = values.paging();
    values.finish()?;
    Ok(HttpResponse::Ok().json(players::list_merges(&pool, paging).await.map_err(users_unavailable)?))
}

/// Two players side by side, before they are merged. What adds up to more than they have apart is not known before.
#[derive(Serialize, ToSchema)]
pub struct MergePreview {
    pub from: PlayerAnswer,
    pub into: PlayerAnswer,
    /// Kills of both; of one player, where they are one already.
    pub total_kills: u64,
    pub total_deaths: u64,
    pub total_headshots: u64,
    /// Why the merge would be refused as things are; null where it would not.
    pub refused: Option<MergeRefusal>,
}

/// What a merge would be answered.
#[derive(Serialize, ToSchema)]
pub struct MergeRefusal {
    pub error: String,
    #[schema(example = "player_linked")]
    pub code: String,
}

/// What a merge would bring together
#[utoipa::path(
    get,
    path = "/api/v1/admin/merges/preview",
    tag = "Administration",
    responses(
        (status = 200, body = MergePreview),
        (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody),
        (status = 404, description = "One of them is unknown", body = ErrorBody),
        (status = 422, body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn preview_merge(
    _: Admin,
    request: HttpRequest,
    pool: Data<PgPool>,
    stats: Data<Stats>,
) -> Result<HttpResponse, ApiError> {
    let mut values = PREVIEW.read(request.query_string());
    let mut player = |name: &str| {
        let id =
            values.parsed_parameter(name, |text| text.parse::<PlayerId>().map_err(|error| error.to_string()));
        if id.is_none() {
            values.mistake(name, "is needed");
        }
        id
    };
    let (from, into) = (player("from"), player("into"));
    values.finish()?;
    match (from, into) {
        (Some(from), Some(into)) => Ok(HttpResponse::Ok().json(preview(&pool, &stats, from, into).await?)),
        _ => Err(ApiError::bad_request("bad_request", "two players are needed")),
    }
}

/// Both players as they are now.
pub(crate) async fn preview(
    pool: &PgPool,
    stats: &Stats,
    from: PlayerId,
    into: PlayerId,
) -> Result<MergePreview, ApiError> {
    let refusal = players::why_not_merged(pool, from.as_str(), into.as_str()).await;
    let refused = refusal.map_err(users_unavailable)?.map(|refusal| {
        let error = refusal.to_string();
        MergeRefusal { code: ApiError::from(refusal).code().to_owned(), error }
    });
    let question = PlayerQuestion::everything;
    let (from_question, into_question) = (question(from), question(into));
    let (from, into) = tokio::try_join!(stats.player(&from_question), stats.player(&into_question))?;
    let are_one = from.player_id == into.player_id;
    let together = |one: u64, other: u64| if are_one { one } else { one + other };
    Ok(MergePreview {
        total_kills: together(from.total_kills, into.total_kills),
        total_deaths: together(from.total_deaths, into.total_deaths),
        total_headshots: together(from.total_headshots, into.total_headshots),
        refused,
        from,
        into,
    })
}

#[derive(Deserialize, ToSchema)]
pub struct MergeBody {
    /// The player id that is to become a part of the other.
    pub from: String,
    /// The player id that stays.
    pub into: String,
}

#[derive(Serialize, ToSchema)]
pub struct MergeAnswer {
    /// Takes it back: `DELETE /api/v1/admin/merges/{merge_id}`.
    pub merge_id: i64,
}

/// Merge two players
///
/// For all statistics from here on. No event is changed: an undone merge leaves nothing behind.
#[utoipa::path(
    post,
    path = "/api/v1/admin/merges",
    tag = "Administration",
    request_body = MergeBody,
    responses(
        (status = 201, body = MergeAnswer),
        (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody),
        (status = 404, description = "One of them is unknown", body = ErrorBody),
        (status = 409, description = "The first belongs to an account or is merged already, or they are one player", body = ErrorBody),
        (status = 422, body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn merge(
    Admin(admin): Admin,
    pool: Data<PgPool>,
    stats: Data<Stats>,
    JsonBody(body): JsonBody<MergeBody>,
) -> Result<HttpResponse, ApiError> {
    let merge_id = merge_players(&pool, &stats, admin.user_id, &body.from, &body.into).await?;
    Ok(HttpResponse::Created().json(MergeAnswer { merge_id }))
}

pub(crate) async fn merge_players(
    pool: &PgPool,
    stats: &Stats,
    admin: i32,
    from: &str,
    into: &str,
) -> Result<i64, ApiError> {
    let player = |name: &str, text: &str| {
        text.trim().parse::<PlayerId>().map_err(|error| ApiError::invalid_field(name, error.to_string()))
    };
    let (from, into) = (player("from", from)?, player("into", into)?);
    require_player(pool, stats, &from).await?;
    require_player(pool, stats, &into).await?;
    Ok(players::merge(pool, admin, from.as_str(), into.as_str()).await?)
}

impl From<MergeError> for ApiError {
    fn from(error: MergeError) -> Self {
        let message = error.to_string();
        match error {
            MergeError::Itself => Self::invalid_field("into", message),
            MergeError::Anonymous => Self::conflict("player_anonymous", message),
            MergeError::Linked => Self::conflict("player_linked", message),
            MergeError::Merged => Self::conflict("player_merged", message),
            MergeError::OnePlayer => Self::conflict("one_player", message),
            MergeError::Circle => Self::conflict("merge_circle", message),
            MergeError::Unknown => Self::not_found("unknown_merge", message),
            MergeError::Store(cause) => users_unavailable(cause),
        }
    }
}

/// Take a merge back
#[utoipa::path(
    delete,
    path = "/api/v1/admin/merges/{id}",
    tag = "Administration",
    params(("id" = i64, Path, description = "the merge")),
    responses(
        (status = 204, description = "They are two again"),
        (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn undo_merge(
    Admin(admin): Admin,
    pool: Data<PgPool>,
    id: Path<i64>,
) -> Result<HttpResponse, ApiError> {
    players::undo_merge(&pool, admin.user_id, *id).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Take a player's names off every page and answer
///
/// It can't be undone: the player's id leads to nobody from here on, nor does any other id of the same person, linked or
/// merged.
#[utoipa::path(
    post,
    path = "/api/v1/admin/players/{id}/anonymise",
    tag = "Administration",
    params(("id" = String, Path, description = "the player id")),
    responses(
        (status = 204, description = "Done"),
        (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn anonymise(
    Admin(admin): Admin,
    pool: Data<PgPool>,
    stats: Data<Stats>,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    anonymise_player(&pool, &stats, admin.user_id, &id).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Refuses an id under which nobody played and that no account has.
async fn require_player(pool: &PgPool, stats: &Stats, player_id: &PlayerId) -> Result<(), ApiError> {
    if let Ok(user_id) = player_id.as_str().parse::<i32>()
        && users::find(pool, user_id).await.map_err(users_unavailable)?.is_some()
    {
        return Ok(());
    }
    let question = PlayerQuestion::everything(player_id.clone());
    stats.player(&question).await.map(|_| ())
}

pub(crate) async fn anonymise_player(
    pool: &PgPool,
    stats: &Stats,
    admin: i32,
    player_id: &str,
) -> Result<(), ApiError> {
    let player_id: PlayerId = player_id
        .trim()
        .parse()
        .map_err(|_| ApiError::new(StatusCode::NOT_FOUND, "unknown_player", "this can't be a player's id"))?;
    require_player(pool, stats, &player_id).await?;
    let done = async {
        let mut transaction = pool.begin().await?;
        players::lock_decisions(&mut transaction).await?;
        players::anonymise(&mut transaction, admin, player_id.as_str()).await?;
        transaction.commit().await
    };
    done.await.map_err(users_unavailable)
}

#[derive(Serialize, ToSchema)]
pub struct AuditLog {
    pub page: u32,
    pub limit: u32,
    pub total: i64,
    pub entries: Vec<LoggedEntry>,
}

/// Who changed what, the latest first
#[utoipa::path(
    get,
    path = "/api/v1/admin/audit",
    tag = "Administration",
    responses((status = 200, body = AuditLog), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)),
    security(("bearer" = []), ("session" = []))
)]
pub async fn audit_log(_: Admin, request: HttpRequest, pool: Data<PgPool>) -> Result<HttpResponse, ApiError> {
    let mut values = AUDIT.read(request.query_string());
    let paging = values.paging();
    values.finish()?;
    let (entries, total) =
        audit::list(&pool, paging.limit, paging.offset()).await.map_err(users_unavailable)?;
    Ok(HttpResponse::Ok().json(AuditLog { page: paging.page, limit: paging.limit, total, entries }))
}
