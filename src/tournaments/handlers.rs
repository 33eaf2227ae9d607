//! `/api/v1/tournaments`: the list, one tournament, its settings, status and staff, bracket and standings.

use actix_web::http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use mohaa_actors::tournament::Done;
use mohaa_domain::tournament::{Format, Status};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{OpenApi, ToSchema};
use uuid::Uuid;

use super::answers::{BracketAnswer, StandingsAnswer, TournamentAnswer, View, standings};
use super::body::SettingsBody;
use super::organizing::staff;
use super::{Current, Tournaments, store, unavailable};
use crate::access::{Anyone, Organizer, Route, SignedIn, get, post, put};
use crate::http::query::{Paging, Parameter, QueryShape};
use crate::http::{ApiError, ErrorBody, JsonBody, from_json};

#[derive(OpenApi)]
#[openapi(
    paths(
        list, create, details, update, set_status, set_staff, list_staff, undo, bracket, table, super::entrants::register,
        super::entrants::withdraw, super::entrants::check_in, super::entrants::participants,
        super::entrants::disqualify, super::entrants::set_seeds, super::entrants::order_participants, super::matches::next_round,
        super::matches::one_match, super::matches::report, super::matches::confirm, super::matches::dispute,
        super::matches::resolve, super::matches::reset, super::matches::schedule, super::matches::start,
        super::matches::veto, super::matches::correct, super::log::audit_log, super::log::export, super::log::import,
        super::log::events, super::statistics::statistics
    ),
    tags((name = "Tournaments", description = "Brackets, entrants and results. Every change may carry an `Idempotency-Key`, under which it happens once, and \
        `If-Match: \"<version>\"`: 409 `stale` if the tournament is at another version by now."))
)]
pub struct TournamentsApi;

const STATUS: Parameter = Parameter {
    name: "status",
    description: "draft, registration_open, registration_closed, checkin, in_progress, completed or cancelled; all but drafts if absent.",
    example: "registration_open",
};
const FORMAT: Parameter = Parameter {
    name: "format",
    description: "single_elimination, double_elimination, round_robin, swiss or group_stage.",
    example: "swiss",
};
const LIST: QueryShape = QueryShape { parameters: &[], filters: &[STATUS, FORMAT], paged: true };

/// The query parameters of each path, for the OpenAPI document.
pub const QUERY_SHAPES: &[(&str, QueryShape)] = &[
    ("/api/v1/tournaments", LIST),
    ("/api/v1/tournaments/{id}/audit", super::log::AUDIT),
    ("/api/v1/tournaments/{id}/statistics", super::statistics::STATISTICS),
];

pub fn routes() -> Vec<Route> {
    vec![
        get("/api/v1/tournaments", list),
        post("/api/v1/tournaments", create),
        post("/api/v1/tournaments/import", super::log::import),
        get("/api/v1/tournaments/{id}", details),
        put("/api/v1/tournaments/{id}", update),
        post("/api/v1/tournaments/{id}/status", set_status),
        get("/api/v1/tournaments/{id}/staff", list_staff),
        put("/api/v1/tournaments/{id}/staff", set_staff),
        post("/api/v1/tournaments/{id}/undo", undo),
        get("/api/v1/tournaments/{id}/bracket", bracket),
        get("/api/v1/tournaments/{id}/standings", table),
        get("/api/v1/tournaments/{id}/statistics", super::statistics::statistics),
    ]
}

/// What a mutation that changed the tournament itself answers.
pub(super) fn changed_answer(current: &Current, done: Done) -> TournamentAnswer {
    let current = Current {
        id: current.id,
        version: done.version,
        tournament: done.tournament,
        owner_id: current.owner_id,
        owner_name: current.owner_name.clone(),
        created_at: current.created_at,
    };
    TournamentAnswer::from(&current)
}

impl From<&Current> for TournamentAnswer {
    fn from(current: &Current) -> Self {
        let tournament = &current.tournament;
        TournamentAnswer {
            id: current.id,
            version: current.version,
            status: tournament.status.name(),
            settings: SettingsBody::from(&tournament.settings),
            owner_id: current.owner_id,
            owner_name: current.owner_name.clone(),
            participants: tournament.field().count(),
            waiting: tournament.waiting().count(),
            held_up: tournament.held_up.clone(),
            created_at: current.created_at,
        }
    }
}

#[derive(Serialize, ToSchema, sqlx::FromRow)]
pub struct ListedTournament {
    pub id: Uuid,
    #[sqlx(try_from = "i64")]
    pub version: u64,
    pub name: String,
    pub format: String,
    pub status: String,
    pub team_size: i32,
    pub participants: i64,
    pub max_participants: i32,
    pub game_mode: Option<String>,
    pub registration_start: Option<DateTime<Utc>>,
    pub registration_end: Option<DateTime<Utc>>,
    pub start_time: Option<DateTime<Utc>>,
    pub owner_id: i32,
    pub owner_name: String,
    pub created_at: DateTime<Utc>,
    #[serde(skip)]
    total: i64,
}

#[derive(Serialize, ToSchema)]
pub struct TournamentList {
    pub page: u32,
    pub limit: u32,
    pub total: i64,
    pub tournaments: Vec<ListedTournament>,
}

/// List tournaments
///
/// Those that are being played first, then those to come, the next one first, then those that are over, the last one
/// first.
#[utoipa::path(
    get,
    path = "/api/v1/tournaments",
    tag = "Tournaments",
    responses(
        (status = 200, description = "A page of them", body = TournamentList),
        (status = 422, description = "A parameter can't be used", body = ErrorBody),
        (status = 503, description = "Tournaments can't be read at the moment", body = ErrorBody),
    )
)]
pub async fn list(
    _: Anyone,
    request: HttpRequest,
    tournaments: Data<Tournaments>,
) -> Result<HttpResponse, ApiError> {
    let AskedOfList { status, format, paging } = asked_of_list(request.query_string())?;
    let status = status.as_deref();
    let statuses = status.as_ref().map_or(ALL_BUT_DRAFTS, std::slice::from_ref);
    let answer = listed(&tournaments, statuses, format.as_deref(), paging).await?;
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-cache")).json(answer))
}

/// Statuses of what is told to everybody.
pub const ALL_BUT_DRAFTS: &[&str] =
    &["registration_open", "registration_closed", "checkin", "in_progress", "completed", "cancelled"];

/// What somebody wants of the list.
pub struct AskedOfList {
    pub status: Option<String>,
    pub format: Option<String>,
    pub paging: Paging,
}

/// # Errors
/// 422 that names every parameter that can't be used.
pub fn asked_of_list(query_string: &str) -> Result<AskedOfList, ApiError> {
    let mut values = LIST.read(query_string);
    let word = |what: &'static str, known: bool| match known {
        true => Ok(()),
        false => Err(format!("is no {what}")),
    };
    let status = values.parsed_filter("status", |text| {
        word("status", store::status_of(text).is_some()).map(|()| text.to_owned())
    });
    let format = values.parsed_filter("format", |text| {
        let format: Result<Format, _> = serde_json::from_value(Value::String(text.to_owned()));
        word("format", format.is_ok()).map(|()| text.to_owned())
    });
    let paging = values.paging();
    values.finish()?;
    Ok(AskedOfList { status, format, paging })
}

/// A page of the list. A scan of `tournaments`, which has a row a tournament.
pub async fn listed(
    tournaments: &Tournaments,
    statuses: &[&str],
    format: Option<&str>,
    paging: Paging,
) -> Result<TournamentList, ApiError> {
    let rows: Vec<ListedTournament> = sqlx::query_as(
        "SELECT tournaments.id, version, name, format, status, team_size, max_participants, game_mode,
                registration_start, registration_end, start_time, owner_id, display_name AS owner_name,
                tournaments.created_at, count(*) OVER () AS total,
                (SELECT count(*) FROM tournament_participants AS participant
                 WHERE participant.tournament_id = tournaments.id AND place = 'registered') AS participants
         FROM tournaments JOIN users ON users.id = owner_id
         WHERE status = ANY($1) AND ($2 IS NULL OR format = $2)
         ORDER BY CASE status WHEN 'in_progress' THEN 0 WHEN 'completed' THEN 2 WHEN 'cancelled' THEN 2 ELSE 1 END,
             CASE WHEN status IN ('completed', 'cancelled') THEN NULL ELSE start_time END,
             tournaments.updated_at DESC, tournaments.id
         LIMIT $3 OFFSET $4",
    )
    .bind(statuses)
    .bind(format)
    .bind(i64::from(paging.limit))
    .bind(i64::try_from(paging.offset()).unwrap_or(i64::MAX))
    .fetch_all(tournaments.pool())
    .await
    .map_err(unavailable)?;
    let total = match rows.first() {
        Some(row) => row.total,
        None if paging.page == 1 => 0,
        None => sqlx::query_scalar(
            "SELECT count(*) FROM tournaments WHERE status = ANY($1) AND ($2 IS NULL OR format = $2)",
        )
        .bind(statuses)
        .bind(format)
        .fetch_one(tournaments.pool())
        .await
        .map_err(unavailable)?,
    };
    Ok(TournamentList { page: paging.page, limit: paging.limit, total, tournaments: rows })
}

/// Make a tournament
///
/// A draft of which the caller is the owner.
#[utoipa::path(
    post,
    path = "/api/v1/tournaments",
    tag = "Tournaments",
    request_body = SettingsBody,
    responses(
        (status = 201, description = "The draft", body = TournamentAnswer),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "The signed-in user is no organizer", body = ErrorBody),
        (status = 409, description = "The idempotency key was used for another tournament", body = ErrorBody),
        (status = 422, description = "A field can't be used", body = ErrorBody),
        (status = 503, description = "Tournaments can't be changed at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn create(
    Organizer(caller): Organizer,
    request: HttpRequest,
    tournaments: Data<Tournaments>,
    JsonBody(body): JsonBody<SettingsBody>,
) -> Result<HttpResponse, ApiError> {
    let current = tournaments.create(&request, caller, body).await?;
    Ok(HttpResponse::Created().json(TournamentAnswer::from(&current)))
}

/// One tournament
#[utoipa::path(
    get,
    path = "/api/v1/tournaments/{id}",
    tag = "Tournaments",
    params(("id" = Uuid, Path, description = "the tournament")),
    responses(
        (status = 200, description = "Its settings and status", body = TournamentAnswer),
        (status = 404, description = "There is no such tournament", body = ErrorBody),
        (status = 503, description = "Tournaments can't be read at the moment", body = ErrorBody),
    )
)]
pub async fn details(
    _: Anyone,
    request: HttpRequest,
    tournaments: Data<Tournaments>,
    id: Path<Uuid>,
) -> Result<HttpResponse, ApiError> {
    QueryShape::default().read(request.query_string()).finish()?;
    let current = tournaments.read(*id).await?;
    Ok(versioned(&request, &current, || TournamentAnswer::from(&current)))
}

/// An answer that changes with the tournament's version alone.
pub(super) fn versioned<T: Serialize>(
    request: &HttpRequest,
    current: &Current,
    answer: impl FnOnce() -> T,
) -> HttpResponse {
    let tag = format!("\"{}\"", current.version);
    let known = request.headers().get(IF_NONE_MATCH).and_then(|header| header.to_str().ok());
    let is_known = known.is_some_and(|known| {
        known.split(',').any(|one| one.trim().strip_prefix("W/").unwrap_or(one.trim()) == tag)
    });
    let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response.insert_header((ETAG, tag)).insert_header((CACHE_CONTROL, "no-cache"));
    if is_known { response.finish() } else { response.json(answer()) }
}

/// Change a tournament's settings
///
/// What is absent stays as it is, what is null goes back to its default. Once it has begun, little can be changed.
#[utoipa::path(
    put,
    path = "/api/v1/tournaments/{id}",
    tag = "Tournaments",
    params(("id" = Uuid, Path, description = "the tournament")),
    request_body = SettingsBody,
    responses(
        (status = 200, description = "As it is now", body = TournamentAnswer),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "Not an organizer of it", body = ErrorBody),
        (status = 404, description = "There is no such tournament", body = ErrorBody),
        (status = 409, description = "Its status does not allow that any more, or it was changed meanwhile", body = ErrorBody),
        (status = 422, description = "A field can't be used", body = ErrorBody),
        (status = 503, description = "Tournaments can't be changed at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn update(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    tournaments: Data<Tournaments>,
    id: Path<Uuid>,
    JsonBody(change): JsonBody<Value>,
) -> Result<HttpResponse, ApiError> {
    let (current, done) = tournaments.change_settings(&request, caller, *id, || Ok(change)).await?;
    Ok(HttpResponse::Ok().json(changed_answer(&current, done)))
}

#[derive(Deserialize, ToSchema)]
pub struct StatusBody {
    #[schema(value_type = String, example = "registration_open")]
    pub status: Status,
}

/// Move a tournament on
///
/// draft, registration_open, registration_closed, checkin (passed over where no window is set), in_progress, completed;
/// cancelled from anywhere before completed. Times move it on by themselves; by hand it may be earlier.
#[utoipa::path(
    post,
    path = "/api/v1/tournaments/{id}/status",
    tag = "Tournaments",
    params(("id" = Uuid, Path, description = "the tournament")),
    request_body = StatusBody,
    responses(
        (status = 200, description = "As it is now", body = TournamentAnswer),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "Not an organizer of it", body = ErrorBody),
        (status = 404, description = "There is no such tournament", body = ErrorBody),
        (status = 409, description = "The step can't be taken, with the condition that fails", body = ErrorBody),
        (status = 422, description = "No status", body = ErrorBody),
        (status = 503, description = "Tournaments can't be changed at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn set_status(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    tournaments: Data<Tournaments>,
    id: Path<Uuid>,
    JsonBody(body): JsonBody<Value>,
) -> Result<HttpResponse, ApiError> {
    let status = || from_json::<StatusBody>(body).map(|body| body.status);
    let (current, done) = tournaments.move_on(&request, caller, *id, status).await?;
    Ok(HttpResponse::Ok().json(changed_answer(&current, done)))
}

#[derive(Deserialize, ToSchema)]
pub struct StaffBody {
    pub user_id: i32,
    /// organizer, referee, or null for neither any more. Needed: a misspelt name takes nobody's role away.
    #[serde(deserialize_with = "Option::deserialize")]
    pub role: Option<StaffWord>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StaffWord {
    Organizer,
    Referee,
}

#[derive(Serialize, ToSchema)]
pub struct StaffMember {
    pub user_id: i32,
    pub user_name: String,
    /// owner, organizer or referee.
    pub role: String,
}

#[derive(Serialize, ToSchema)]
pub struct StaffList {
    pub tournament_id: Uuid,
    pub version: u64,
    pub staff: Vec<StaffMember>,
}

/// The staff of a tournament
#[utoipa::path(
    get,
    path = "/api/v1/tournaments/{id}/staff",
    tag = "Tournaments",
    params(("id" = Uuid, Path, description = "the tournament")),
    responses(
        (status = 200, description = "Its owner, organizers and referees", body = StaffList),
        (status = 404, description = "There is no such tournament", body = ErrorBody),
        (status = 503, description = "Tournaments can't be read at the moment", body = ErrorBody),
    )
)]
pub async fn list_staff(
    _: Anyone,
    tournaments: Data<Tournaments>,
    id: Path<Uuid>,
) -> Result<HttpResponse, ApiError> {
    let current = tournaments.read(*id).await?;
    Ok(HttpResponse::Ok().json(staff(&tournaments, &current).await?))
}

/// Appoint an organizer or a referee
///
/// Or take the role away, with `role` null.
#[utoipa::path(
    put,
    path = "/api/v1/tournaments/{id}/staff",
    tag = "Tournaments",
    params(("id" = Uuid, Path, description = "the tournament")),
    request_body = StaffBody,
    responses(
        (status = 200, description = "The staff now", body = StaffList),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "Not an organizer of it", body = ErrorBody),
        (status = 404, description = "There is no such tournament", body = ErrorBody),
        (status = 409, description = "The tournament was changed meanwhile", body = ErrorBody),
        (status = 422, description = "No such user or role", body = ErrorBody),
        (status = 503, description = "Tournaments can't be changed at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn set_staff(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    tournaments: Data<Tournaments>,
    id: Path<Uuid>,
    JsonBody(body): JsonBody<Value>,
) -> Result<HttpResponse, ApiError> {
    let current = tournaments.appoint(&request, caller, *id, || from_json(body)).await?;
    Ok(HttpResponse::Ok().json(staff(&tournaments, &current).await?))
}

/// Take the last mutation back
///
/// Whatever it changed is as it was before. Again, it takes back the one before that.
#[utoipa::path(
    post,
    path = "/api/v1/tournaments/{id}/undo",
    tag = "Tournaments",
    params(("id" = Uuid, Path, description = "the tournament")),
    responses(
        (status = 200, description = "As it is now", body = TournamentAnswer),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "Not an organizer of it", body = ErrorBody),
        (status = 404, description = "There is no such tournament", body = ErrorBody),
        (status = 409, description = "There is nothing to take back, or it was changed meanwhile", body = ErrorBody),
        (status = 503, description = "Tournaments can't be changed at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn undo(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    tournaments: Data<Tournaments>,
    id: Path<Uuid>,
) -> Result<HttpResponse, ApiError> {
    let (current, done) = tournaments.undo(&request, caller, *id).await?;
    Ok(HttpResponse::Ok().json(changed_answer(&current, done)))
}

/// The bracket
///
/// Stages, groups, rounds and matches. A reset match is there once it is due.
#[utoipa::path(
    get,
    path = "/api/v1/tournaments/{id}/bracket",
    tag = "Tournaments",
    params(("id" = Uuid, Path, description = "the tournament")),
    responses(
        (status = 200, description = "All matches that exist", body = BracketAnswer),
        (status = 404, description = "There is no such tournament", body = ErrorBody),
        (status = 503, description = "Tournaments can't be read at the moment", body = ErrorBody),
    )
)]
pub async fn bracket(
    _: Anyone,
    request: HttpRequest,
    tournaments: Data<Tournaments>,
    id: Path<Uuid>,
) -> Result<HttpResponse, ApiError> {
    QueryShape::default().read(request.query_string()).finish()?;
    let current = tournaments.read(*id).await?;
    Ok(versioned(&request, &current, || View::new(current.id, &current.tournament).bracket(current.version)))
}

/// Standings
///
/// Tables of groups and Swiss with every tie-break and the matches behind them, and final places once all is played.
#[utoipa::path(
    get,
    path = "/api/v1/tournaments/{id}/standings",
    tag = "Tournaments",
    params(("id" = Uuid, Path, description = "the tournament")),
    responses(
        (status = 200, description = "Tables and final places", body = StandingsAnswer),
        (status = 404, description = "There is no such tournament", body = ErrorBody),
        (status = 503, description = "Tournaments can't be read at the moment", body = ErrorBody),
    )
)]
pub async fn table(
    _: Anyone,
    request: HttpRequest,
    tournaments: Data<Tournaments>,
    id: Path<Uuid>,
) -> Result<HttpResponse, ApiError> {
    QueryShape::default().read(request.query_string()).finish()?;
    let current = tournaments.read(*id).await?;
    Ok(versioned(&request, &current, || standings(current.id, &current.tournament, current.version)))
}
