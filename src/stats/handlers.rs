//! The statistics of api.md on HTTP: public, GET only, each answer with an `ETag`.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use mohaa_domain::player::PlayerId;
use mohaa_domain::vocabulary::EventType;
use mohaa_domain::weapon::WeaponSlug;
use utoipa::OpenApi;
use uuid::Uuid;

use super::answers;
use super::breakdowns::Interval;
use super::heatmap_handlers;
use super::leaderboard::{BoardQuestion, Statistic};
use super::matches::MatchQuestion;
use super::player::PlayerQuestion;
use super::selection::{self, Period, Selection, iso_week, iso_week_name, normal_map_name};
use super::timeline::{Place, TOLD, TimelineQuestion};
use super::{Stats, maps, search, server, weapons};
use crate::access::{Anyone, Route, get};
use crate::achievements::{AchievementStore, PlayerAchievements};
use crate::http::query::{FORMAT, Format, Paging, Parameter, QueryShape, QueryValues, whole_number};
use crate::http::{ApiError, ErrorBody, caching, table};
use crate::ratings;

type Answer = Result<HttpResponse, ApiError>;

const STAT: Parameter = Parameter {
    name: "stat",
    description: "What the board ranks by: kills (default), deaths, kd_ratio, headshots, headshot_percent, accuracy, \
                  damage, wins, win_rate, playtime, distance, killstreak or rating. A rating is over all that a player played: \
                  filters and periods choose who stands on its board, and guests never do.",
    example: "kills",
};
pub(super) const PERIOD: Parameter = Parameter {
    name: "period",
    description: "all (default), or the current day, week or month, UTC.",
    example: "week",
};
const WEEK: Parameter =
    Parameter { name: "week", description: "An ISO week (default: the current one).", example: "2026-W47" };

const BOARD: QueryShape = QueryShape {
    parameters: &[STAT, PERIOD, FORMAT],
    filters: &[
        selection::MAP,
        selection::SERVER,
        selection::GAMETYPE,
        selection::TEAM,
        selection::WEAPON,
        selection::FROM,
        selection::TO,
        selection::BOTS,
        selection::GUESTS,
    ],
    paged: true,
};
const WEEKLY_BOARD: QueryShape = QueryShape {
    parameters: &[STAT, WEEK, FORMAT],
    filters: &[
        selection::MAP,
        selection::SERVER,
        selection::GAMETYPE,
        selection::TEAM,
        selection::WEAPON,
        selection::BOTS,
        selection::GUESTS,
    ],
    paged: true,
};
const WEAPON_BOARD: QueryShape = QueryShape {
    parameters: &[STAT, PERIOD, FORMAT],
    filters: &[
        selection::MAP,
        selection::SERVER,
        selection::GAMETYPE,
        selection::TEAM,
        selection::FROM,
        selection::TO,
        selection::BOTS,
        selection::GUESTS,
    ],
    paged: true,
};
const MAP_BOARD: QueryShape = QueryShape {
    parameters: &[STAT, PERIOD, FORMAT],
    filters: &[
        selection::SERVER,
        selection::GAMETYPE,
        selection::TEAM,
        selection::WEAPON,
        selection::FROM,
        selection::TO,
        selection::BOTS,
        selection::GUESTS,
    ],
    paged: true,
};
pub(super) const PLAYER: QueryShape =
    QueryShape { parameters: &[], filters: &[selection::FROM, selection::TO, selection::BOTS], paged: false };
const PLAYER_WEAPONS: QueryShape = QueryShape {
    parameters: &[FORMAT],
    filters: &[
        selection::MAP,
        selection::SERVER,
        selection::GAMETYPE,
        selection::TEAM,
        selection::FROM,
        selection::TO,
        selection::BOTS,
    ],
    paged: false,
};
const INTERVAL: Parameter = Parameter {
    name: "interval",
    description: "How long an entry is: day, week (default) or month, UTC.",
    example: "week",
};
const PLAYER_FORM: QueryShape = QueryShape { parameters: &[INTERVAL, FORMAT], ..PLAYER_WEAPONS };
const PLAYER_ACHIEVEMENTS: QueryShape = QueryShape { parameters: &[FORMAT], filters: &[], paged: false };
const PLAYER_RIVALS: QueryShape = QueryShape {
    parameters: &[FORMAT],
    filters: &[selection::FROM, selection::TO, selection::BOTS],
    paged: true,
};
const PLAYERS: Parameter = Parameter {
    name: "players",
    description: "Two to four player ids with commas between them.",
    example: "4711,4712",
};
const COMPARISON: QueryShape = QueryShape { parameters: &[PLAYERS], filters: &[], paged: false };
pub const COMPARED: std::ops::RangeInclusive<usize> = 2..=4;
const PLAYER_MATCHES: QueryShape = QueryShape { paged: true, ..PLAYER_WEAPONS };
const MATCHES: QueryShape = QueryShape {
    parameters: &[FORMAT],
    filters: &[
        selection::MAP,
        selection::SERVER,
        selection::GAMETYPE,
        selection::FROM,
        selection::TO,
        selection::PLAYER,
        selection::TOURNAMENT,
    ],
    paged: true,
};
const CURSOR: Parameter =
    Parameter { name: "cursor", description: "`next_cursor` of the piece before.", example: "93500.41.7" };
const PIECE: Parameter =
    Parameter { name: "limit", description: "Moments a piece, 1 to 1000 (default 100).", example: "100" };
const TYPES: Parameter = Parameter {
    name: "type",
    description: "Event types, with commas between them: kill, chat, connect, disconnect, team_change, match_start, \
                  match_end, round_start, round_end, team_win, objective_update, objective_capture, vote_start, \
                  vote_passed, vote_failed, warmup_end or intermission_start. All when not said.",
    example: "kill,round_end",
};
const TIMELINE: QueryShape =
    QueryShape { parameters: &[CURSOR, PIECE, FORMAT], filters: &[TYPES, selection::PLAYER], paged: false };
const DEFAULT_PIECE: u32 = 100;
const MAX_PIECE: u32 = 1_000;
const NOTHING: QueryShape = QueryShape { parameters: &[], filters: &[], paged: false };

/// The query parameters of each path, for the OpenAPI document.
pub const QUERY_SHAPES: &[(&str, QueryShape)] = &[
    ("/api/v1/stats/leaderboard", BOARD),
    ("/api/v1/stats/leaderboard/weekly", WEEKLY_BOARD),
    ("/api/v1/stats/leaderboard/weapon/{weapon}", WEAPON_BOARD),
    ("/api/v1/stats/leaderboard/map/{map}", MAP_BOARD),
    ("/api/v1/stats/player/{guid}", PLAYER),
    ("/api/v1/stats/player/{guid}/weapons", PLAYER_WEAPONS),
    ("/api/v1/stats/player/{guid}/matches", PLAYER_MATCHES),
    ("/api/v1/stats/player/{guid}/maps", PLAYER_WEAPONS),
    ("/api/v1/stats/player/{guid}/rivals", PLAYER_RIVALS),
    ("/api/v1/stats/player/{guid}/form", PLAYER_FORM),
    ("/api/v1/stats/compare", COMPARISON),
    ("/api/v1/stats/player/{guid}/achievements", PLAYER_ACHIEVEMENTS),
    ("/api/v1/stats/player/{guid}/rating", ratings::HISTORY),
    ("/api/v1/stats/player/{guid}/heatmap/{map}", heatmap_handlers::PLAYER_HEATMAP),
    ("/api/v1/stats/maps/{map}/heatmap", heatmap_handlers::MAP_HEATMAP),
    ("/api/v1/stats/match/{matchId}/heatmap", heatmap_handlers::MATCH_HEATMAP),
    ("/api/v1/stats/matches", MATCHES),
    ("/api/v1/stats/match/{matchId}", NOTHING),
    ("/api/v1/stats/match/{matchId}/timeline", TIMELINE),
    ("/api/v1/stats/match/{matchId}/duels", NOTHING),
    ("/api/v1/stats/live", NOTHING),
    ("/api/v1/stats/live/matches", NOTHING),
    ("/api/v1/stats/totals", NOTHING),
    ("/api/v1/stats/maps", maps::handlers::LIST),
    ("/api/v1/stats/maps/{map}", maps::handlers::ONE),
    ("/api/v1/stats/weapons", weapons::handlers::LIST),
    ("/api/v1/stats/weapons/{slug}", weapons::handlers::ONE),
    ("/api/v1/stats/server/{serverId}", server::handlers::ONE),
    ("/api/v1/search", search::handlers::SEARCH),
    ("/api/v1/stats/player/name/{name}", PLAYER),
    ("/api/v1/stats/member/{id}", PLAYER),
];

#[derive(OpenApi)]
#[openapi(
    paths(
        leaderboard, weekly_leaderboard, weapon_leaderboard, map_leaderboard, player, player_weapons, player_matches,
        player_maps, player_rivals, player_form, comparison, player_achievements, ratings::player_rating,
        matches, match_detail, match_timeline, match_duels, totals,
        heatmap_handlers::player_heatmap, heatmap_handlers::map_heatmap, heatmap_handlers::match_heatmap
    ),
    components(schemas(ErrorBody)),
    tags((name = "Statistics", description = "What has been stored, added up. Public."))
)]
pub struct StatsApi;

/// Routes of the statistics API. Needs `web::Data<Stats>`.
pub fn routes() -> Vec<Route> {
    let mut routes = heatmap_handlers::routes();
    routes.extend(search::handlers::routes());
    routes.extend([
        get("/api/v1/stats/leaderboard", leaderboard),
        get("/api/v1/stats/leaderboard/weekly", weekly_leaderboard),
        get("/api/v1/stats/leaderboard/weapon/{weapon}", weapon_leaderboard),
        get("/api/v1/stats/leaderboard/map/{map:.+}", map_leaderboard),
        get("/api/v1/stats/player/{guid}", player),
        get("/api/v1/stats/player/{guid}/weapons", player_weapons),
        get("/api/v1/stats/player/{guid}/matches", player_matches),
        get("/api/v1/stats/player/{guid}/maps", player_maps),
        get("/api/v1/stats/player/{guid}/rivals", player_rivals),
        get("/api/v1/stats/player/{guid}/form", player_form),
        get("/api/v1/stats/player/{guid}/achievements", player_achievements),
        get("/api/v1/stats/player/{guid}/rating", ratings::player_rating),
        get("/api/v1/stats/compare", comparison),
        get("/api/v1/stats/matches", matches),
        get("/api/v1/stats/match/{matchId}", match_detail),
        get("/api/v1/stats/match/{matchId}/timeline", match_timeline),
        get("/api/v1/stats/match/{matchId}/duels", match_duels),
        get("/api/v1/stats/totals", totals),
    ]);
    routes.extend(weapons::handlers::routes());
    routes.extend(server::handlers::routes());
    // The last of all: whatever begins like a map's path is a map's name to them.
    routes.extend(maps::handlers::routes());
    routes
}

impl BoardQuestion {
    /// Reads the parameters of the general board, as API and page take them.
    pub fn read(stats: &Stats, query_string: &str) -> Result<Self, ApiError> {
        board_question(stats, BOARD.read(query_string))
    }
}

impl MatchQuestion {
    /// Reads the parameters of the list of matches, as API and page take them.
    pub fn read(query_string: &str) -> Result<Self, ApiError> {
        let mut values = MATCHES.read(query_string);
        let question = MatchQuestion {
            player_id: values
                .parsed_filter("player", |text| text.parse::<PlayerId>().map_err(|error| error.to_string()))
                .map(|id| id.as_str().to_owned()),
            tournament_id: values.parsed_filter("tournament", |text| {
                Uuid::parse_str(text).map_err(|_| "must be a tournament id (a UUID)".to_owned())
            }),
            format: values.format(),
            paging: values.paging(),
            selection: Selection::take(&mut values),
        };
        values.finish()?;
        Ok(question)
    }
}

impl TimelineQuestion {
    /// Reads what of a page's parameters is meant for its timeline.
    pub fn read_of_page(query_string: &str) -> Result<Self, ApiError> {
        Self::read(&TIMELINE.only(query_string))
    }

    /// Reads the parameters of a timeline.
    pub fn read(query_string: &str) -> Result<Self, ApiError> {
        let mut values = TIMELINE.read(query_string);
        let question = TimelineQuestion {
            types: values
                .parsed_filter("type", |text| {
                    let told = |word: &str| TOLD.into_iter().find(|it| it.as_str() == word.trim());
                    let types: Option<Vec<EventType>> = text.split(',').map(told).collect();
                    types.ok_or_else(|| {
                        "must be event types of a timeline, with commas between them".to_owned()
                    })
                })
                .unwrap_or_default(),
            player_id: values
                .parsed_filter("player", |text| text.parse::<PlayerId>().map_err(|error| error.to_string()))
                .map(|id| id.as_str().to_owned()),
            after: values.parsed_parameter("cursor", Place::from_word),
            limit: values
                .parsed_parameter("limit", |text| whole_number(text, MAX_PIECE))
                .unwrap_or(if values.format() == Format::Json { DEFAULT_PIECE } else { MAX_PIECE }),
            format: values.format(),
        };
        values.finish()?;
        Ok(question)
    }
}

fn board_question(stats: &Stats, mut values: QueryValues) -> Result<BoardQuestion, ApiError> {
    let statistic = values.parsed_parameter("stat", Statistic::from_word).unwrap_or_default();
    let period = values.parsed_parameter("period", Period::from_word).unwrap_or_default();
    let (format, paging) = (values.format(), values.paging());
    let selection = Selection::take(&mut values).within(period.days(stats.now()));
    values.finish()?;
    Ok(BoardQuestion { statistic, period, week: None, selection, paging, format })
}

/// Whom a comparison is about, as API and page are asked.
pub fn compared(query_string: &str) -> Result<Vec<PlayerId>, ApiError> {
    let mut values = COMPARISON.read(query_string);
    let player_ids = values.parsed_parameter("players", |text| {
        let ids: Result<Vec<PlayerId>, _> = text.split(',').map(|id| id.trim().parse()).collect();
        let ids = ids.map_err(|error| format!("{error}"))?;
        let is_several = COMPARED.contains(&ids.len());
        if is_several {
            Ok(ids)
        } else {
            Err("must be two to four player ids with commas between them".to_owned())
        }
    });
    if player_ids.is_none() {
        values.mistake("players", "must be said: two to four player ids with commas between them");
    }
    values.finish()?;
    Ok(player_ids.unwrap_or_default())
}

/// A player's maps, as API and page are asked for them.
pub fn player_maps_question(path: &str, query_string: &str) -> Result<PlayerQuestion, ApiError> {
    let mut values = PLAYER_WEAPONS.read(query_string);
    let question = player_question(path, &mut values)?;
    values.finish()?;
    Ok(question)
}

/// A player's matches, as API and page are asked for them.
pub fn player_matches_question(path: &str, query_string: &str) -> Result<(PlayerQuestion, Paging), ApiError> {
    paged_player_question(PLAYER_MATCHES, path, query_string)
}

/// A player's rivals, as API and page are asked for them.
pub fn player_rivals_question(path: &str, query_string: &str) -> Result<(PlayerQuestion, Paging), ApiError> {
    paged_player_question(PLAYER_RIVALS, path, query_string)
}

fn paged_player_question(
    shape: QueryShape,
    path: &str,
    query_string: &str,
) -> Result<(PlayerQuestion, Paging), ApiError> {
    let mut values = shape.read(query_string);
    let paging = values.paging();
    let question = player_question(path, &mut values)?;
    values.finish()?;
    Ok((question, paging))
}

fn player_question(path: &str, values: &mut QueryValues) -> Result<PlayerQuestion, ApiError> {
    let player_id = path.parse();
    let selection = Selection::take(values);
    let player_id =
        player_id.map_err(|_| ApiError::not_found("unknown_player", "this can't be a player's id"))?;
    Ok(PlayerQuestion { player_id, selection, format: values.format() })
}

/// Ranks players
///
/// By default over everything stored, without bots and without unverified guests. Ratios need a minimum, which the
/// answer names as `min_sample`.
#[utoipa::path(get, path = "/api/v1/stats/leaderboard", tag = "Statistics", responses(
    (status = 200, description = "One page of the board", body = answers::Leaderboard),
    (status = 422, description = "Parameters that can't be used", body = ErrorBody),
    (status = 503, description = "Statistics can't be read at the moment", body = ErrorBody)))]
async fn leaderboard(_: Anyone, request: HttpRequest, stats: Data<Stats>) -> Answer {
    let question = BoardQuestion::read(&stats, request.query_string())?;
    table::answer(&request, question.format, &stats.leaderboard(&question).await?, "players")
}

/// Ranks players over one ISO week
#[utoipa::path(get, path = "/api/v1/stats/leaderboard/weekly", tag = "Statistics", responses(
    (status = 200, description = "One page of the board", body = answers::Leaderboard),
    (status = 422, description = "Parameters that can't be used", body = ErrorBody),
    (status = 503, description = "Statistics can't be read at the moment", body = ErrorBody)))]
async fn weekly_leaderboard(_: Anyone, request: HttpRequest, stats: Data<Stats>) -> Answer {
    let mut values = WEEKLY_BOARD.read(request.query_string());
    let named = values.parsed_parameter("week", |text| Ok((text.to_owned(), iso_week(text)?)));
    let (week, days) = named.unwrap_or_else(|| (iso_week_name(stats.now()), Period::Week.days(stats.now())));
    let question = board_question(&stats, values)?;
    let selection = question.selection.clone().within(days);
    let question = BoardQuestion { period: Period::Week, week: Some(week), selection, ..question };
    table::answer(&request, question.format, &stats.leaderboard(&question).await?, "players")
}

/// Ranks players by what they did with one weapon
///
/// `deaths` are those by this weapon; matches and time are the player's with any weapon.
#[utoipa::path(get, path = "/api/v1/stats/leaderboard/weapon/{weapon}", tag = "Statistics",
    params(("weapon" = String, Path, description = "Weapon slug", example = "m1-garand")), responses(
    (status = 200, description = "One page of the board", body = answers::Leaderboard),
    (status = 404, description = "Nobody ever used such a weapon", body = ErrorBody),
    (status = 422, description = "Parameters that can't be used", body = ErrorBody),
    (status = 503, description = "Statistics can't be read at the moment", body = ErrorBody)))]
async fn weapon_leaderboard(
    _: Anyone,
    request: HttpRequest,
    stats: Data<Stats>,
    weapon: Path<String>,
) -> Answer {
    let mut question = board_question(&stats, WEAPON_BOARD.read(request.query_string()))?;
    let slug: WeaponSlug =
        weapon.parse().map_err(|_| ApiError::not_found("unknown_weapon", "this can't be a weapon's slug"))?;
    stats.require_weapon(slug.as_str()).await?;
    question.selection.weapon = Some(slug.as_str().to_owned());
    table::answer(&request, question.format, &stats.leaderboard(&question).await?, "players")
}

/// Ranks players on one map
#[utoipa::path(get, path = "/api/v1/stats/leaderboard/map/{map}", tag = "Statistics",
    params(("map" = String, Path, description = "Map name; its slash may stand plain", example = "dm/mohdm1")), responses(
    (status = 200, description = "One page of the board", body = answers::Leaderboard),
    (status = 404, description = "Nobody ever played such a map", body = ErrorBody),
    (status = 422, description = "Parameters that can't be used", body = ErrorBody),
    (status = 503, description = "Statistics can't be read at the moment", body = ErrorBody)))]
async fn map_leaderboard(_: Anyone, request: HttpRequest, stats: Data<Stats>, map: Path<String>) -> Answer {
    let mut question = board_question(&stats, MAP_BOARD.read(request.query_string()))?;
    let map_name = normal_map_name(&map);
    stats.require_map(&map_name).await?;
    question.selection.map_name = Some(map_name);
    table::answer(&request, question.format, &stats.leaderboard(&question).await?, "players")
}

/// Everything about one player
#[utoipa::path(get, path = "/api/v1/stats/player/{guid}", tag = "Statistics",
    params(("guid" = String, Path, description = "Forum or user id, engine guid, or a guest's id", example = "4711")), responses(
    (status = 200, description = "The player", body = answers::PlayerAnswer),
    (status = 404, description = "Nobody of this id was ever seen", body = ErrorBody),
    (status = 422, description = "Parameters that can't be used", body = ErrorBody),
    (status = 503, description = "Statistics can't be read at the moment", body = ErrorBody)))]
async fn player(
    _: Anyone,
    request: HttpRequest,
    stats: Data<Stats>,
    achievements: Data<AchievementStore>,
    guid: Path<String>,
) -> Answer {
    let mut values = PLAYER.read(request.query_string());
    let question = player_question(&guid, &mut values)?;
    values.finish()?;
    answer_player(&request, &stats, &achievements, &question).await
}

pub(super) async fn answer_player(
    request: &HttpRequest,
    stats: &Stats,
    achievements: &AchievementStore,
    question: &PlayerQuestion,
) -> Answer {
    let mut answer = stats.player(question).await?;
    answer.achievements = achievements.unlocked_by(&answer.player_id).await;
    caching::json(request, &answer)
}

/// What each weapon did in a player's hands
#[utoipa::path(get, path = "/api/v1/stats/player/{guid}/weapons", tag = "Statistics",
    params(("guid" = String, Path, description = "Forum or user id, engine guid, or a guest's id", example = "4711")), responses(
    (status = 200, description = "Weapons, most kills first", body = answers::PlayerWeapons),
    (status = 404, description = "Nobody of this id was ever seen", body = ErrorBody),
    (status = 422, description = "Parameters that can't be used", body = ErrorBody),
    (status = 503, description = "Statistics can't be read at the moment", body = ErrorBody)))]
async fn player_weapons(_: Anyone, request: HttpRequest, stats: Data<Stats>, guid: Path<String>) -> Answer {
    let mut values = PLAYER_WEAPONS.read(request.query_string());
    let question = player_question(&guid, &mut values)?;
    values.finish()?;
    table::answer(&request, question.format, &stats.player_weapons(&question).await?, "weapons")
}

/// Matches of a player, the latest first
#[utoipa::path(get, path = "/api/v1/stats/player/{guid}/matches", tag = "Statistics",
    params(("guid" = String, Path, description = "Forum or user id, engine guid, or a guest's id", example = "4711")), responses(
    (status = 200, description = "One page of matches", body = answers::PlayerMatches),
    (status = 404, description = "Nobody of this id was ever seen", body = ErrorBody),
    (status = 422, description = "Parameters that can't be used", body = ErrorBody),
    (status = 503, description = "Statistics can't be read at the moment", body = ErrorBody)))]
async fn player_matches(_: Anyone, request: HttpRequest, stats: Data<Stats>, guid: Path<String>) -> Answer {
    let (question, paging) = player_matches_question(&guid, request.query_string())?;
    table::answer(&request, question.format, &stats.player_matches(&question, paging).await?, "matches")
}

/// A player on each map
#[utoipa::path(get, path = "/api/v1/stats/player/{guid}/maps", tag = "Statistics",
    params(("guid" = String, Path, description = "Forum or user id, engine guid, or a guest's id", example = "4711")), responses(
    (status = 200, description = "The most played first", body = answers::PlayerMaps),
    (status = 404, description = "Nobody of this id was ever seen", body = ErrorBody),
    (status = 422, description = "Parameters that can't be used", body = ErrorBody),
    (status = 503, description = "Statistics can't be read at the moment", body = ErrorBody)))]
async fn player_maps(_: Anyone, request: HttpRequest, stats: Data<Stats>, guid: Path<String>) -> Answer {
    let question = player_maps_question(&guid, request.query_string())?;
    table::answer(&request, question.format, &stats.player_maps(&question).await?, "maps")
}

/// Whom a player met, and how often they killed each other
#[utoipa::path(get, path = "/api/v1/stats/player/{guid}/rivals", tag = "Statistics",
    params(("guid" = String, Path, description = "Forum or user id, engine guid, or a guest's id", example = "4711")), responses(
    (status = 200, description = "Those they met most often first", body = answers::PlayerRivals),
    (status = 404, description = "Nobody of this id was ever seen", body = ErrorBody),
    (status = 422, description = "Parameters that can't be used", body = ErrorBody),
    (status = 503, description = "Statistics can't be read at the moment", body = ErrorBody)))]
async fn player_rivals(_: Anyone, request: HttpRequest, stats: Data<Stats>, guid: Path<String>) -> Answer {
    let (question, paging) = player_rivals_question(&guid, request.query_string())?;
    table::answer(&request, question.format, &stats.player_rivals(&question, paging).await?, "rivals")
}

/// A player's form over time
#[utoipa::path(get, path = "/api/v1/stats/player/{guid}/form", tag = "Statistics",
    params(("guid" = String, Path, description = "Forum or user id, engine guid, or a guest's id", example = "4711")), responses(
    (status = 200, description = "The latest first", body = answers::PlayerForm),
    (status = 404, description = "Nobody of this id was ever seen", body = ErrorBody),
    (status = 422, description = "Parameters that can't be used", body = ErrorBody),
    (status = 503, description = "Statistics can't be read at the moment", body = ErrorBody)))]
async fn player_form(_: Anyone, request: HttpRequest, stats: Data<Stats>, guid: Path<String>) -> Answer {
    let mut values = PLAYER_FORM.read(request.query_string());
    let interval = values.parsed_parameter("interval", Interval::from_word).unwrap_or_default();
    let question = player_question(&guid, &mut values)?;
    values.finish()?;
    table::answer(&request, question.format, &stats.player_form(&question, interval).await?, "form")
}

/// Players side by side
#[utoipa::path(get, path = "/api/v1/stats/compare", tag = "Statistics", responses(
    (status = 200, description = "In the order in which they were named", body = answers::Comparison),
    (status = 404, description = "Somebody of these was never seen", body = ErrorBody),
    (status = 422, description = "Parameters that can't be used", body = ErrorBody),
    (status = 503, description = "Statistics can't be read at the moment", body = ErrorBody)))]
async fn comparison(
    _: Anyone,
    request: HttpRequest,
    stats: Data<Stats>,
    achievements: Data<AchievementStore>,
) -> Answer {
    let player_ids = compared(request.query_string())?;
    let mut answer = stats.comparison(&player_ids).await?;
    for player in &mut answer.players {
        player.achievements = achievements.unlocked_by(&player.player_id).await;
    }
    caching::json(&request, &answer)
}

/// Achievements of a player
///
/// Those that are unlocked, and how far the others have come.
#[utoipa::path(get, path = "/api/v1/stats/player/{guid}/achievements", tag = "Achievements",
    params(("guid" = String, Path, description = "Forum or user id, engine guid, or a guest's id", example = "4711")), responses(
    (status = 200, description = "In the order of lists", body = PlayerAchievements),
    (status = 404, description = "Nobody of this id was ever seen", body = ErrorBody),
    (status = 422, description = "Parameters that can't be used", body = ErrorBody),
    (status = 503, description = "Statistics or achievements can't be read at the moment", body = ErrorBody)))]
async fn player_achievements(
    _: Anyone,
    request: HttpRequest,
    stats: Data<Stats>,
    achievements: Data<AchievementStore>,
    guid: Path<String>,
) -> Answer {
    let mut values = PLAYER_ACHIEVEMENTS.read(request.query_string());
    let question = player_question(&guid, &mut values)?;
    values.finish()?;
    let player_id = stats.require_player(&question.player_id).await?;
    table::answer(&request, question.format, &achievements.of_player(&player_id).await?, "achievements")
}

/// Matches, the latest first
#[utoipa::path(get, path = "/api/v1/stats/matches", tag = "Statistics", responses(
    (status = 200, description = "One page of matches", body = answers::MatchList),
    (status = 422, description = "Parameters that can't be used", body = ErrorBody),
    (status = 503, description = "Statistics can't be read at the moment", body = ErrorBody)))]
async fn matches(_: Anyone, request: HttpRequest, stats: Data<Stats>) -> Answer {
    let question = MatchQuestion::read(request.query_string())?;
    table::answer(&request, question.format, &stats.matches(&question).await?, "matches")
}

/// One match
///
/// By our id, or by what its server called it (the latest of that name).
#[utoipa::path(get, path = "/api/v1/stats/match/{matchId}", tag = "Statistics",
    params(("matchId" = String, Path, description = "Our match id, or the server's own")), responses(
    (status = 200, description = "The match", body = answers::MatchAnswer),
    (status = 404, description = "No such match was ever seen", body = ErrorBody),
    (status = 409, description = "Several servers have a match of this id; `candidates` lists them", body = answers::AmbiguousMatch),
    (status = 422, description = "Parameters that can't be used", body = ErrorBody),
    (status = 503, description = "Statistics can't be read at the moment", body = ErrorBody)))]
async fn match_detail(_: Anyone, request: HttpRequest, stats: Data<Stats>, match_id: Path<String>) -> Answer {
    NOTHING.read(request.query_string()).finish()?;
    caching::json(&request, &stats.match_detail(&match_id).await?)
}

/// What happened in a match, moment by moment
///
/// In the order of the level's clock. What a side says to itself is left out.
#[utoipa::path(get, path = "/api/v1/stats/match/{matchId}/timeline", tag = "Statistics",
    params(("matchId" = String, Path, description = "Our match id, or the server's own")), responses(
    (status = 200, description = "A piece of the timeline", body = answers::MatchTimeline),
    (status = 404, description = "No such match, or no such player, was ever seen", body = ErrorBody),
    (status = 409, description = "Several servers have a match of this id; `candidates` lists them", body = answers::AmbiguousMatch),
    (status = 422, description = "Parameters that can't be used", body = ErrorBody),
    (status = 503, description = "Statistics can't be read at the moment", body = ErrorBody)))]
async fn match_timeline(
    _: Anyone,
    request: HttpRequest,
    stats: Data<Stats>,
    match_id: Path<String>,
) -> Answer {
    let question = TimelineQuestion::read(request.query_string())?;
    table::answer(&request, question.format, &stats.timeline(&match_id, &question).await?, "events")
}

/// Who killed whom in a match, and the scoreboard of each round
#[utoipa::path(get, path = "/api/v1/stats/match/{matchId}/duels", tag = "Statistics",
    params(("matchId" = String, Path, description = "Our match id, or the server's own")), responses(
    (status = 200, description = "Who killed whom", body = answers::MatchDuels),
    (status = 404, description = "No such match was ever seen", body = ErrorBody),
    (status = 409, description = "Several servers have a match of this id; `candidates` lists them", body = answers::AmbiguousMatch),
    (status = 422, description = "Parameters that can't be used", body = ErrorBody),
    (status = 503, description = "Statistics can't be read at the moment", body = ErrorBody)))]
async fn match_duels(_: Anyone, request: HttpRequest, stats: Data<Stats>, match_id: Path<String>) -> Answer {
    NOTHING.read(request.query_string()).finish()?;
    caching::json(&request, &stats.duels(&match_id).await?)
}

/// How much is stored
#[utoipa::path(get, path = "/api/v1/stats/totals", tag = "Statistics", responses(
    (status = 200, description = "Totals", body = answers::Totals),
    (status = 422, description = "Parameters that can't be used", body = ErrorBody),
    (status = 503, description = "Statistics can't be read at the moment", body = ErrorBody)))]
async fn totals(_: Anyone, request: HttpRequest, stats: Data<Stats>) -> Answer {
    NOTHING.read(request.query_string()).finish()?;
    caching::json(&request, &stats.totals().await?)
}
