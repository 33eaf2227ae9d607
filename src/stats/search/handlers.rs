//! `/api/v1/search`, and a player by name or by forum id, as the game's `stats` command asks.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use mohaa_domain::name::strip_colors;
use mohaa_domain::player::PlayerId;
use sqlx::PgPool;
use utoipa::OpenApi;

use super::Needle;
use super::answers::SearchAnswer;
use crate::access::{Anyone, Route, get};
use crate::achievements::AchievementStore;
use crate::http::query::{Format, Parameter, QueryShape};
use crate::http::{ApiError, ErrorBody, caching};
use crate::stats::answers::PlayerAnswer;
use crate::stats::handlers::{PLAYER, answer_player};
use crate::stats::player::unknown_player;
use crate::stats::{PlayerQuestion, Selection, Stats};

const Q: Parameter = Parameter {
    name: "q",
    description: "A name or a part of one, 2 to 64 characters; colour codes and case don't matter.",
    example: "hiro",
};
/// Names in the game are at most 31 characters long; events bring any.
const LONGEST_NAME_BYTES: usize = 256;
pub(in crate::stats) const SEARCH: QueryShape = QueryShape { parameters: &[Q], filters: &[], paged: false };

#[derive(OpenApi)]
#[openapi(paths(search, player_by_name, player_of_member))]
pub struct SearchApi;

/// Before every other route that begins with `/api/v1/stats/player/`: a name may be any word.
pub(in crate::stats) fn routes() -> Vec<Route> {
    vec![
        get("/api/v1/search", search),
        get("/api/v1/stats/player/name/{name:.+}", player_by_name),
        get("/api/v1/stats/member/{id}", player_of_member),
    ]
}

/// The needle of a query string; none where nothing is looked for yet.
///
/// # Errors
/// 422 with `fields.q`.
pub fn read_needle(query_string: &str) -> Result<Option<Needle>, ApiError> {
    let mut values = SEARCH.read(query_string);
    let needle = values.parsed_parameter("q", Needle::parse);
    values.finish()?;
    Ok(needle)
}

/// Find by name
///
/// Players by any name they were seen under, servers, maps, weapons and tournaments. The very name comes first, then names
/// that begin with it, then those that hold it; of players who fit alike, whoever was on last. Guests and players whose names
/// were taken away are not found.
#[utoipa::path(get, path = "/api/v1/search", tag = "Statistics", responses(
    (status = 200, description = "What was found", body = SearchAnswer),
    (status = 304, description = "The caller's `If-None-Match` is still the answer's ETag"),
    (status = 422, description = "Nothing to look for, less than two characters, or more than 64", body = ErrorBody),
    (status = 503, description = "Statistics can't be read at the moment", body = ErrorBody)))]
async fn search(
    _: Anyone,
    request: HttpRequest,
    stats: Data<Stats>,
    pool: Data<PgPool>,
) -> Result<HttpResponse, ApiError> {
    let needle = read_needle(request.query_string())?;
    let needle = needle.ok_or_else(|| ApiError::invalid_field("q", "say what to look for"))?;
    caching::json(&request, &stats.search(&pool, &needle).await?)
}

/// Everything about the player of a name
///
/// Colour codes and case don't matter. Of several players who had this name, whoever was seen under it last. Guests are not
/// found.
#[utoipa::path(get, path = "/api/v1/stats/player/name/{name}", tag = "Statistics",
    params(("name" = String, Path, description = "The whole name", example = "Hiro")), responses(
    (status = 200, description = "The player", body = PlayerAnswer),
    (status = 404, description = "Nobody of this name was ever seen", body = ErrorBody),
    (status = 422, description = "Parameters that can't be used", body = ErrorBody),
    (status = 503, description = "Statistics can't be read at the moment", body = ErrorBody)))]
async fn player_by_name(
    _: Anyone,
    request: HttpRequest,
    stats: Data<Stats>,
    achievements: Data<AchievementStore>,
    name: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let mut values = PLAYER.read(request.query_string());
    let selection = Selection::take(&mut values);
    values.finish()?;
    let plain = strip_colors(&name).trim().to_owned();
    if plain.is_empty() || plain.len() > LONGEST_NAME_BYTES {
        return Err(unknown_player());
    }
    let found = stats.player_named(&plain).await?.ok_or_else(unknown_player)?;
    let player_id: PlayerId = found.parse().map_err(|_| unknown_player())?;
    answer_player(
        &request,
        &stats,
        &achievements,
        &PlayerQuestion { player_id, selection, format: Format::Json },
    )
    .await
}

/// Everything about the player of a forum or user id
#[utoipa::path(get, path = "/api/v1/stats/member/{id}", tag = "Statistics",
    params(("id" = String, Path, description = "Forum or user id", example = "4711")), responses(
    (status = 200, description = "The player", body = PlayerAnswer),
    (status = 404, description = "Nobody of this id was ever seen", body = ErrorBody),
    (status = 422, description = "Parameters that can't be used", body = ErrorBody),
    (status = 503, description = "Statistics can't be read at the moment", body = ErrorBody)))]
async fn player_of_member(
    _: Anyone,
    request: HttpRequest,
    stats: Data<Stats>,
    achievements: Data<AchievementStore>,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let mut values = PLAYER.read(request.query_string());
    let selection = Selection::take(&mut values);
    values.finish()?;
    let player_id: PlayerId = id.parse().map_err(|_| unknown_player())?;
    if player_id.member_id().is_none() {
        return Err(unknown_player());
    }
    answer_player(
        &request,
        &stats,
        &achievements,
        &PlayerQuestion { player_id, selection, format: Format::Json },
    )
    .await
}
