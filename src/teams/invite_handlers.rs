//! `/api/v1/teams/…/invites`, and what those who are invited call.

use std::time::Duration;

use actix_web::web::{Data, Json, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use utoipa::{OpenApi, ToSchema};
use uuid::Uuid;

use super::handlers::PAGED;
use super::invites::{
    InviteList, Invited, MadeInvite, TeamInvite, accept_code, accept_invite, decline_invite, invite,
    invites_of_team, invites_to, revoke_invite,
};
use super::store::TeamDetails;
use super::{TeamError, teams_unavailable};
use crate::access::{Route, SignedIn, delete, get, post};
use crate::auth::ShortCodes;
use crate::http::query::Paging;
use crate::http::{ApiError, ErrorBody, JsonBody, Once};
use crate::limits::GuessLimits;

#[derive(OpenApi)]
#[openapi(paths(invites, add_invite, revoke, accept, decline, accept_by_code, my_invites))]
pub struct TeamInvitesApi;

const DEFAULT_HOURS: u32 = 7 * 24;
const MOST_HOURS: u32 = 30 * 24;
const MOST_USES: i32 = 32;

pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/api/v1/teams/{id}/invites", invites),
        post("/api/v1/teams/{id}/invites", add_invite),
        post("/api/v1/teams/invites/accept", accept_by_code),
        delete("/api/v1/teams/{id}/invites/{invite_id}", revoke),
        post("/api/v1/teams/{id}/invites/{invite_id}/accept", accept),
        post("/api/v1/teams/{id}/invites/{invite_id}/decline", decline),
        get("/api/v1/users/me/team-invites", my_invites),
    ]
}

fn page_of(all: Vec<TeamInvite>, paging: Paging) -> Json<InviteList> {
    let total = all.len();
    Json(InviteList { page: paging.page, limit: paging.limit, total, invites: paging.cut(all) })
}

/// Invitations of a team, for its captain, the latest first
#[utoipa::path(
    get,
    path = "/api/v1/teams/{id}/invites",
    tag = "Teams",
    params(("id" = Uuid, Path, description = "the team")),
    responses(
        (status = 200, body = InviteList),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "The signed-in user is not the captain", body = ErrorBody),
        (status = 404, description = "There is no such team", body = ErrorBody),
        (status = 422, description = "A parameter can't be used", body = ErrorBody),
        (status = 503, description = "Teams can't be read at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn invites(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    pool: Data<PgPool>,
    id: Path<Uuid>,
) -> Result<Json<InviteList>, ApiError> {
    let mut values = PAGED.read(request.query_string());
    let paging = values.paging();
    values.finish()?;
    Ok(page_of(invites_of_team(&pool, caller, *id).await?, paging))
}

/// Invitations to the signed-in user, the latest first
#[utoipa::path(
    get,
    path = "/api/v1/users/me/team-invites",
    tag = "Teams",
    responses(
        (status = 200, body = InviteList),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 422, description = "A parameter can't be used", body = ErrorBody),
        (status = 503, description = "Teams can't be read at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn my_invites(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    pool: Data<PgPool>,
) -> Result<Json<InviteList>, ApiError> {
    let mut values = PAGED.read(request.query_string());
    let paging = values.paging();
    values.finish()?;
    Ok(page_of(invites_to(&pool, caller.user_id).await.map_err(teams_unavailable)?, paging))
}

#[derive(Default, Deserialize, Serialize, ToSchema)]
pub struct InviteBody {
    /// Whom to invite. Without it a code is made, for whoever has it.
    #[serde(default)]
    pub user_id: Option<i32>,
    /// How many may join by the code, 1 to 32.
    #[serde(default)]
    #[schema(example = 1)]
    pub uses: Option<i32>,
    /// How long it is good, 1 to 720; a week where it is absent.
    #[serde(default)]
    #[schema(example = 168)]
    pub hours: Option<u32>,
}

/// Invite into a team
///
/// By its captain: a user, or whoever shows the code, which is in this answer and never again.
#[utoipa::path(
    post,
    path = "/api/v1/teams/{id}/invites",
    tag = "Teams",
    params(("id" = Uuid, Path, description = "the team")),
    request_body = InviteBody,
    responses(
        (status = 201, body = MadeInvite),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "The signed-in user is not the captain", body = ErrorBody),
        (status = 404, description = "There is no such team", body = ErrorBody),
        (status = 409, description = "The user is in the team or has just declined, or there are too many invitations", body = ErrorBody),
        (status = 422, description = "A field can't be used", body = ErrorBody),
        (status = 503, description = "Teams can't be changed at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn add_invite(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    pool: Data<PgPool>,
    codes: Data<ShortCodes>,
    id: Path<Uuid>,
    JsonBody(body): JsonBody<InviteBody>,
) -> Result<HttpResponse, ApiError> {
    let once = Once::of(&request, &body)?;
    let hours = body.hours.unwrap_or(DEFAULT_HOURS);
    if !(1..=MOST_HOURS).contains(&hours) {
        return Err(ApiError::invalid_field("hours", format!("must be 1 to {MOST_HOURS}")));
    }
    let invited = match (body.user_id, body.uses) {
        (Some(user_id), None) => Invited::User(user_id),
        (Some(_), Some(_)) => {
            return Err(ApiError::invalid_field("uses", "belongs to a code, not to a user"));
        }
        (None, uses) => Invited::Anyone { uses: uses.unwrap_or(1) },
    };
    if matches!(invited, Invited::Anyone { uses } if !(1..=MOST_USES).contains(&uses)) {
        return Err(ApiError::invalid_field("uses", format!("must be 1 to {MOST_USES}")));
    }
    let lifetime = Duration::from_secs(u64::from(hours) * 3_600);
    Ok(HttpResponse::Created().json(invite(&pool, &codes, caller, &once, *id, invited, lifetime).await?))
}

/// Take an invitation back
#[utoipa::path(
    delete,
    path = "/api/v1/teams/{id}/invites/{invite_id}",
    tag = "Teams",
    params(
        ("id" = Uuid, Path, description = "the team"),
        ("invite_id" = Uuid, Path, description = "the invitation"),
    ),
    responses(
        (status = 204, description = "It is good for nothing any more"),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "The signed-in user is not the captain", body = ErrorBody),
        (status = 404, description = "There is no such team, or no such open invitation", body = ErrorBody),
        (status = 503, description = "Teams can't be changed at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn revoke(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    pool: Data<PgPool>,
    path: Path<(Uuid, Uuid)>,
) -> Result<HttpResponse, ApiError> {
    let once = Once::of(&request, &())?;
    let (team_id, invite_id) = path.into_inner();
    revoke_invite(&pool, caller, &once, team_id, invite_id).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Accept an invitation
#[utoipa::path(
    post,
    path = "/api/v1/teams/{id}/invites/{invite_id}/accept",
    tag = "Teams",
    params(
        ("id" = Uuid, Path, description = "the team"),
        ("invite_id" = Uuid, Path, description = "the invitation"),
    ),
    responses(
        (status = 200, description = "The team that the user is in now", body = TeamDetails),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 404, description = "The user has no such invitation", body = ErrorBody),
        (status = 409, description = "The team is full, or the user is in it or in too many", body = ErrorBody),
        (status = 410, description = "It has expired, was answered or revoked", body = ErrorBody),
        (status = 503, description = "Teams can't be changed at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn accept(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    pool: Data<PgPool>,
    path: Path<(Uuid, Uuid)>,
) -> Result<Json<TeamDetails>, ApiError> {
    let once = Once::of(&request, &())?;
    let (team_id, invite_id) = path.into_inner();
    Ok(Json(accept_invite(&pool, caller, &once, team_id, invite_id).await?))
}

/// Decline an invitation
#[utoipa::path(
    post,
    path = "/api/v1/teams/{id}/invites/{invite_id}/decline",
    tag = "Teams",
    params(
        ("id" = Uuid, Path, description = "the team"),
        ("invite_id" = Uuid, Path, description = "the invitation"),
    ),
    responses(
        (status = 204, description = "Declined; the team can't invite again for a day"),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 404, description = "The user has no such invitation", body = ErrorBody),
        (status = 410, description = "It has expired, was answered or revoked", body = ErrorBody),
        (status = 503, description = "Teams can't be changed at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn decline(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    pool: Data<PgPool>,
    path: Path<(Uuid, Uuid)>,
) -> Result<HttpResponse, ApiError> {
    let once = Once::of(&request, &())?;
    let (team_id, invite_id) = path.into_inner();
    decline_invite(&pool, caller, &once, team_id, invite_id).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[derive(Deserialize, Serialize, ToSchema)]
pub struct InviteCodeBody {
    /// In any case, divided anyhow.
    #[schema(example = "K7WQ2MXHT")]
    pub code: String,
}

/// Join a team by a code
#[utoipa::path(
    post,
    path = "/api/v1/teams/invites/accept",
    tag = "Teams",
    request_body = InviteCodeBody,
    responses(
        (status = 200, description = "The team that the user is in now", body = TeamDetails),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 404, description = "Nobody has made this code", body = ErrorBody),
        (status = 409, description = "The team is full, or the user is in it or in too many", body = ErrorBody),
        (status = 410, description = "It has expired, was revoked or is used up", body = ErrorBody),
        (status = 422, description = "A field can't be used", body = ErrorBody),
        (status = 429, description = "Too many wrong codes", body = ErrorBody),
        (status = 503, description = "Teams can't be changed at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn accept_by_code(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    pool: Data<PgPool>,
    codes: Data<ShortCodes>,
    guesses: Data<GuessLimits>,
    JsonBody(body): JsonBody<InviteCodeBody>,
) -> Result<Json<TeamDetails>, ApiError> {
    let once = Once::of(&request, &body)?;
    let guess = guesses.check(&request).await?;
    match accept_code(&pool, &codes, caller, &once, &body.code).await {
        Ok(team) => Ok(Json(team)),
        Err(error) => {
            if matches!(error, TeamError::UnknownInvite) {
                guess.was_wrong();
            }
            Err(error.into())
        }
    }
}
