//! Heatmaps on HTTP: of a player on a map, of a map, of a match.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use mohaa_domain::player::PlayerId;

use super::Stats;
use super::answers::AmbiguousMatch;
use super::handlers::PERIOD;
use super::heatmap::{HeatKind, Heatmap, HeatmapQuestion, LARGEST_CELL, SMALLEST_CELL};
use super::selection::{self, Period, Selection, normal_map_name};
use crate::access::{Anyone, Route, get};
use crate::http::query::{Parameter, QueryShape, QueryValues};
use crate::http::{ApiError, ErrorBody, caching};

type Answer = Result<HttpResponse, ApiError>;

const DEFAULT_CELL: i32 = 128;

const KIND: Parameter = Parameter {
    name: "kind",
    description: "kills (default): where the player stood; victims: where the player's victims stood; deaths: where \
                  the player died.",
    example: "deaths",
};
const CELL_SIZE: Parameter = Parameter {
    name: "cell_size",
    description: "Side of a cell in map units: a multiple of 32 from 32 to 1024.",
    example: "128",
};
const WIDTH: Parameter =
    Parameter { name: "width", description: "Width in pixels, 256 to 1600 (default 800).", example: "1200" };
const PLAYER: Parameter =
    Parameter { name: "player", description: "Only this player's kills or deaths.", example: "4711" };
const TEAM: Parameter = Parameter {
    name: "team",
    description: "Side of the player whose kill or death it is: allies or axis.",
    example: "allies",
};

pub(super) const PLAYER_HEATMAP: QueryShape = QueryShape {
    parameters: &[KIND, CELL_SIZE, PERIOD],
    filters: &[selection::SERVER, TEAM, selection::WEAPON, selection::FROM, selection::TO, selection::BOTS],
    paged: false,
};
pub(super) const MAP_HEATMAP: QueryShape = QueryShape {
    parameters: &[KIND, CELL_SIZE, PERIOD],
    filters: &[
        PLAYER,
        selection::SERVER,
        TEAM,
        selection::WEAPON,
        selection::FROM,
        selection::TO,
        selection::BOTS,
    ],
    paged: false,
};
pub(super) const MATCH_HEATMAP: QueryShape =
    QueryShape { parameters: &[KIND, CELL_SIZE], filters: &[PLAYER, TEAM, selection::WEAPON], paged: false };

/// What a map's heatmap takes as a picture.
pub const MAP_PICTURE: QueryShape =
    QueryShape { parameters: &[KIND, CELL_SIZE, PERIOD, WIDTH], ..MAP_HEATMAP };
/// What a match's heatmap takes as a picture.
pub const MATCH_PICTURE: QueryShape = QueryShape { parameters: &[KIND, CELL_SIZE, WIDTH], ..MATCH_HEATMAP };
/// What pages take to choose what their heatmap shows.
pub const HEATMAP_PANEL: QueryShape = QueryShape {
    parameters: &[KIND, PERIOD],
    filters: &[selection::MAP, TEAM, selection::WEAPON],
    paged: false,
};

/// To stand before other routes below the same map or player, whose last part takes any number of slashes.
pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/api/v1/stats/player/{guid}/heatmap/{map:.+}", player_heatmap),
        get("/api/v1/stats/maps/{map:.+}/heatmap", map_heatmap),
        get("/api/v1/stats/match/{matchId}/heatmap", match_heatmap),
    ]
}

impl HeatmapQuestion {
    /// Takes what a heatmap knows out of `values`; mistakes stay with them.
    pub fn take(stats: &Stats, values: &mut QueryValues, default_cell: i32) -> Self {
        let kind = values.parsed_parameter("kind", HeatKind::from_word).unwrap_or_default();
        let cell_size = values.parsed_parameter("cell_size", cell_size).unwrap_or(default_cell);
        let period = values.parsed_parameter("period", Period::from_word).unwrap_or_default();
        let player_id = values
            .parsed_filter("player", |text| text.parse::<PlayerId>().map_err(|error| error.to_string()));
        let selection = Selection::take(values).within(period.days(stats.now()));
        HeatmapQuestion { kind, cell_size, player_id, selection }
    }
}

fn cell_size(text: &str) -> Result<i32, String> {
    let is_taken = |size: &i32| (SMALLEST_CELL..=LARGEST_CELL).contains(size) && size % SMALLEST_CELL == 0;
    text.parse().ok().filter(is_taken).ok_or_else(|| {
        format!("must be a multiple of {SMALLEST_CELL} from {SMALLEST_CELL} to {LARGEST_CELL}")
    })
}

/// Where a player killed or died on one map
///
/// Without kills of and by bots, unless a filter asks for them.
#[utoipa::path(get, path = "/api/v1/stats/player/{guid}/heatmap/{map}", tag = "Statistics",
    params(
        ("guid" = String, Path, description = "Forum or user id, engine guid, or a guest's id", example = "4711"),
        ("map" = String, Path, description = "Map name; its slash may stand plain", example = "dm/mohdm1"),
    ), responses(
    (status = 200, description = "The grid; without points where the player has none", body = Heatmap),
    (status = 404, description = "Nobody of this id was ever seen, or nobody ever played such a map", body = ErrorBody),
    (status = 422, description = "Parameters that can't be used", body = ErrorBody),
    (status = 503, description = "Statistics can't be read at the moment", body = ErrorBody)))]
async fn player_heatmap(
    _: Anyone,
    request: HttpRequest,
    stats: Data<Stats>,
    path: Path<(String, String)>,
) -> Answer {
    let mut values = PLAYER_HEATMAP.read(request.query_string());
    let question = HeatmapQuestion::take(&stats, &mut values, DEFAULT_CELL);
    values.finish()?;
    let (guid, map_name) = path.into_inner();
    let player_id: PlayerId =
        guid.parse().map_err(|_| ApiError::not_found("unknown_player", "this can't be a player's id"))?;
    stats.require_player(&player_id).await?;
    let question = HeatmapQuestion { player_id: Some(player_id), ..question };
    caching::json(&request, &stats.map_heatmap(&normal_map_name(&map_name), &question).await?)
}

/// Where kills happened on one map
///
/// Of all players and guests. Without kills of and by bots, unless a filter asks for them.
#[utoipa::path(get, path = "/api/v1/stats/maps/{map}/heatmap", tag = "Statistics",
    params(("map" = String, Path, description = "Map name; its slash may stand plain", example = "dm/mohdm1")), responses(
    (status = 200, description = "The grid", body = Heatmap),
    (status = 404, description = "Nobody ever played such a map", body = ErrorBody),
    (status = 422, description = "Parameters that can't be used", body = ErrorBody),
    (status = 503, description = "Statistics can't be read at the moment", body = ErrorBody)))]
async fn map_heatmap(_: Anyone, request: HttpRequest, stats: Data<Stats>, map: Path<String>) -> Answer {
    let mut values = MAP_HEATMAP.read(request.query_string());
    let question = HeatmapQuestion::take(&stats, &mut values, DEFAULT_CELL);
    values.finish()?;
    caching::json(&request, &stats.map_heatmap(&normal_map_name(&map), &question).await?)
}

/// Where kills happened in one match
///
/// Of everybody who took part, guests and bots too. By our id, or by what its server called it (the latest of that name).
#[utoipa::path(get, path = "/api/v1/stats/match/{matchId}/heatmap", tag = "Statistics",
    params(("matchId" = String, Path, description = "Our match id, or the server's own")), responses(
    (status = 200, description = "The grid", body = Heatmap),
    (status = 404, description = "No such match was ever seen", body = ErrorBody),
    (status = 409, description = "Several servers have a match of this id; `candidates` lists them", body = AmbiguousMatch),
    (status = 422, description = "Parameters that can't be used", body = ErrorBody),
    (status = 503, description = "Statistics can't be read at the moment", body = ErrorBody)))]
async fn match_heatmap(
    _: Anyone,
    request: HttpRequest,
    stats: Data<Stats>,
    match_id: Path<String>,
) -> Answer {
    let mut values = MATCH_HEATMAP.read(request.query_string());
    let question = HeatmapQuestion::take(&stats, &mut values, DEFAULT_CELL);
    values.finish()?;
    caching::json(&request, &stats.match_heatmap(&match_id, &question).await?)
}
