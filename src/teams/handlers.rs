//! `/api/v1/teams…`: teams and who is in them.

use std::collections::BTreeMap;
use std::str::FromStr;

use actix_web::web::{Data, Json, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use utoipa::{OpenApi, ToSchema};
use uuid::Uuid;

use super::invite_handlers;
use super::members::{remove_member, set_role, team_of};
use super::name::{InvalidTeamText, TeamName, TeamTag};
use super::store::{
    TeamDetails, TeamList, TeamMember, TeamRole, change_team, create_team, delete_team, list_teams,
};
use crate::access::{Anyone, Route, SignedIn, delete, get, post, put};
use crate::http::query::{Parameter, QueryShape};
use crate::http::{ApiError, ErrorBody, JsonBody, Once};

#[derive(OpenApi)]
#[openapi(
    paths(teams, add, team, change, remove, members, change_member, remove_member_of_team, my_teams),
    tags((name = "Teams", description = "Teams, their members and invitations. A change that carries an `Idempotency-Key` (1 to 256 characters, the user's own) \
        is done once: sent again within a day it is answered as it was; the key with another request is 409 `idempotency_key_reused`. \
        Refusals are not kept."))
)]
pub struct TeamsApi;

const SEARCH: Parameter =
    Parameter { name: "q", description: "Part of a team's name, or its tag.", example: "devils" };
pub(super) const LIST: QueryShape = QueryShape { parameters: &[SEARCH], filters: &[], paged: true };
pub(super) const PAGED: QueryShape = QueryShape { parameters: &[], filters: &[], paged: true };

pub fn routes() -> Vec<Route> {
    let mut routes = vec![
        get("/api/v1/teams", teams),
        post("/api/v1/teams", add),
        get("/api/v1/teams/{id}", team),
        put("/api/v1/teams/{id}", change),
        delete("/api/v1/teams/{id}", remove),
        get("/api/v1/teams/{id}/members", members),
        put("/api/v1/teams/{id}/members/{user_id}", change_member),
        delete("/api/v1/teams/{id}/members/{user_id}", remove_member_of_team),
        get("/api/v1/users/me/teams", my_teams),
    ];
    routes.extend(invite_handlers::routes());
    routes
}

/// Teams, by name
#[utoipa::path(
    get,
    path = "/api/v1/teams",
    tag = "Teams",
    responses(
        (status = 200, body = TeamList),
        (status = 422, description = "A parameter can't be used", body = ErrorBody),
        (status = 503, description = "Teams can't be read at the moment", body = ErrorBody),
    )
)]
pub async fn teams(_: Anyone, request: HttpRequest, pool: Data<PgPool>) -> Result<Json<TeamList>, ApiError> {
    let mut values = LIST.read(request.query_string());
    let search = values.parameter("q").unwrap_or_default();
    let paging = values.paging();
    values.finish()?;
    Ok(Json(list_teams(&pool, &search, None, paging).await?))
}

/// Teams of the signed-in user, by name
#[utoipa::path(
    get,
    path = "/api/v1/users/me/teams",
    tag = "Teams",
    responses(
        (status = 200, body = TeamList),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 422, description = "A parameter can't be used", body = ErrorBody),
        (status = 503, description = "Teams can't be read at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn my_teams(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    pool: Data<PgPool>,
) -> Result<Json<TeamList>, ApiError> {
    let mut values = PAGED.read(request.query_string());
    let paging = values.paging();
    values.finish()?;
    Ok(Json(list_teams(&pool, "", Some(caller.user_id), paging).await?))
}

/// What a team is called.
#[derive(Default, Deserialize, Serialize, ToSchema)]
pub struct TeamBody {
    /// 2 to 32 characters beside colour codes; no other team has it, whatever its case and colours.
    #[schema(example = "^1Red ^7Devils")]
    pub name: String,
    /// 1 to 8 characters beside colour codes; none where it is absent or empty.
    #[serde(default)]
    #[schema(example = "[RD]")]
    pub tag: Option<String>,
}

impl TeamBody {
    fn read(&self) -> Result<(TeamName, Option<TeamTag>), ApiError> {
        fn parsed<T: FromStr<Err = InvalidTeamText>>(
            field: &str,
            text: &str,
            mistakes: &mut BTreeMap<String, String>,
        ) -> Option<T> {
            text.parse()
                .map_err(|error: InvalidTeamText| mistakes.insert(field.to_owned(), error.to_string()))
                .ok()
        }
        let mut mistakes = BTreeMap::new();
        let name = parsed("name", &self.name, &mut mistakes);
        let tag = self.tag.as_deref().filter(|tag| !tag.trim().is_empty());
        let tag = tag.and_then(|tag| parsed("tag", tag, &mut mistakes));
        match name {
            Some(name) if mistakes.is_empty() => Ok((name, tag)),
            _ => Err(ApiError::invalid(mistakes)),
        }
    }
}

/// Make a team
///
/// The signed-in user becomes its captain.
#[utoipa::path(
    post,
    path = "/api/v1/teams",
    tag = "Teams",
    request_body = TeamBody,
    responses(
        (status = 201, body = TeamDetails),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 409, description = "The name is taken, or the user is in too many teams", body = ErrorBody),
        (status = 422, description = "A field can't be used", body = ErrorBody),
        (status = 503, description = "Teams can't be changed at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn add(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    pool: Data<PgPool>,
    JsonBody(body): JsonBody<TeamBody>,
) -> Result<HttpResponse, ApiError> {
    let once = Once::of(&request, &body)?;
    let (name, tag) = body.read()?;
    Ok(HttpResponse::Created().json(create_team(&pool, caller, &once, &name, tag.as_ref()).await?))
}

/// A team and everybody in it
#[utoipa::path(
    get,
    path = "/api/v1/teams/{id}",
    tag = "Teams",
    params(("id" = Uuid, Path, description = "the team")),
    responses(
        (status = 200, body = TeamDetails),
        (status = 404, description = "There is no such team", body = ErrorBody),
        (status = 503, description = "Teams can't be read at the moment", body = ErrorBody),
    )
)]
pub async fn team(_: Anyone, pool: Data<PgPool>, id: Path<Uuid>) -> Result<Json<TeamDetails>, ApiError> {
    Ok(Json(team_of(&pool, *id).await?))
}

/// Call a team otherwise
///
/// By its captain. Brackets show what it was called when it registered.
#[utoipa::path(
    put,
    path = "/api/v1/teams/{id}",
    tag = "Teams",
    params(("id" = Uuid, Path, description = "the team")),
    request_body = TeamBody,
    responses(
        (status = 200, body = TeamDetails),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "The signed-in user is not the captain", body = ErrorBody),
        (status = 404, description = "There is no such team", body = ErrorBody),
        (status = 409, description = "The name is taken", body = ErrorBody),
        (status = 422, description = "A field can't be used", body = ErrorBody),
        (status = 503, description = "Teams can't be changed at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn change(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    pool: Data<PgPool>,
    id: Path<Uuid>,
    JsonBody(body): JsonBody<TeamBody>,
) -> Result<Json<TeamDetails>, ApiError> {
    let once = Once::of(&request, &body)?;
    let (name, tag) = body.read()?;
    Ok(Json(change_team(&pool, caller, &once, *id, &name, tag.as_ref()).await?))
}

/// Disband a team
///
/// By its captain or an admin. Its name is free again; tournaments that it played in keep it.
#[utoipa::path(
    delete,
    path = "/api/v1/teams/{id}",
    tag = "Teams",
    params(("id" = Uuid, Path, description = "the team")),
    responses(
        (status = 204, description = "Disbanded"),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "The signed-in user is neither captain nor admin", body = ErrorBody),
        (status = 404, description = "There is no such team", body = ErrorBody),
        (status = 503, description = "Teams can't be changed at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn remove(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    pool: Data<PgPool>,
    id: Path<Uuid>,
) -> Result<HttpResponse, ApiError> {
    let once = Once::of(&request, &())?;
    delete_team(&pool, caller, &once, *id).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[derive(Serialize, ToSchema)]
pub struct MemberList {
    pub page: u32,
    pub limit: u32,
    pub total: usize,
    pub members: Vec<TeamMember>,
}

/// Who is in a team: the captain, then members, then substitutes
#[utoipa::path(
    get,
    path = "/api/v1/teams/{id}/members",
    tag = "Teams",
    params(("id" = Uuid, Path, description = "the team")),
    responses(
        (status = 200, body = MemberList),
        (status = 404, description = "There is no such team", body = ErrorBody),
        (status = 422, description = "A parameter can't be used", body = ErrorBody),
        (status = 503, description = "Teams can't be read at the moment", body = ErrorBody),
    )
)]
pub async fn members(
    _: Anyone,
    request: HttpRequest,
    pool: Data<PgPool>,
    id: Path<Uuid>,
) -> Result<Json<MemberList>, ApiError> {
    let mut values = PAGED.read(request.query_string());
    let paging = values.paging();
    values.finish()?;
    let members = team_of(&pool, *id).await?.members;
    let total = members.len();
    Ok(Json(MemberList { page: paging.page, limit: paging.limit, total, members: paging.cut(members) }))
}

#[derive(Deserialize, Serialize, ToSchema)]
pub struct MemberBody {
    /// `captain` hands the team over: whoever was the captain becomes a member.
    pub role: TeamRole,
}

/// Give a member another role
///
/// By the captain. A captain's own role changes by handing the team over.
#[utoipa::path(
    put,
    path = "/api/v1/teams/{id}/members/{user_id}",
    tag = "Teams",
    params(("id" = Uuid, Path, description = "the team"), ("user_id" = i32, Path, description = "the member")),
    request_body = MemberBody,
    responses(
        (status = 200, body = TeamDetails),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "The signed-in user is not the captain", body = ErrorBody),
        (status = 404, description = "There is no such team or member", body = ErrorBody),
        (status = 409, description = "The team would be without a captain", body = ErrorBody),
        (status = 422, description = "A field can't be used", body = ErrorBody),
        (status = 503, description = "Teams can't be changed at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn change_member(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    pool: Data<PgPool>,
    path: Path<(Uuid, i32)>,
    JsonBody(body): JsonBody<MemberBody>,
) -> Result<Json<TeamDetails>, ApiError> {
    let once = Once::of(&request, &body)?;
    let (team_id, user_id) = path.into_inner();
    Ok(Json(set_role(&pool, caller, &once, team_id, user_id, body.role).await?))
}

/// Leave a team, or take somebody out of it
///
/// Everybody may leave; the captain takes out others.
#[utoipa::path(
    delete,
    path = "/api/v1/teams/{id}/members/{user_id}",
    tag = "Teams",
    params(("id" = Uuid, Path, description = "the team"), ("user_id" = i32, Path, description = "the member")),
    responses(
        (status = 204, description = "Not in the team any more"),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "It is somebody else, and the signed-in user is not the captain", body = ErrorBody),
        (status = 404, description = "There is no such team or member", body = ErrorBody),
        (status = 409, description = "The captain hands the team over first", body = ErrorBody),
        (status = 503, description = "Teams can't be changed at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn remove_member_of_team(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    pool: Data<PgPool>,
    path: Path<(Uuid, i32)>,
) -> Result<HttpResponse, ApiError> {
    let once = Once::of(&request, &())?;
    let (team_id, user_id) = path.into_inner();
    remove_member(&pool, caller, &once, team_id, user_id).await?;
    Ok(HttpResponse::NoContent().finish())
}
