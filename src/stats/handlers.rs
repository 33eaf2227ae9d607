//! The statistics of api.md on HTTP: public, GET only, each answer with an `ETag`.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use mohaa_domain::player::PlayerId;
use mohaa_domain::weapon::WeaponSlug;
use utoipa::OpenApi;

use super::Stats;
use super::answers;
use super::leaderboard::{BoardQuestion, Statistic};
use super::matches::MatchQuestion;
use super::player::PlayerQuestion;
use super::selection::{self, Period, Selection, iso_week, iso_week_name, normal_map_name};
use crate::access::{Anyone, Route, get};
use crate::achievements::{AchievementStore, PlayerAchievements};
use crate::http::query::{Parameter, QueryShape, QueryValues};
use crate::http::{ApiError, ErrorBody, caching};

type Answer = Result<HttpResponse, ApiError>;

const STAT: Parameter = Parameter {
    name: "stat",
    description: "What the board ranks by: kills (default), deaths, kd_ratio, headshots, headshot_percent, accuracy, \
                  damage, wins, win_rate, playtime, distance or killstreak.",
    example: "kills",
};
const PERIOD: Parameter = Parameter {
    name: "period",
    description: "all (default), or the current day, week or month, UTC.",
    example: "week",
};
const WEEK: Parameter =
    Parameter { name: "week", description: "An ISO week (default: the current one).", example: "2026-W47" };

const BOARD: QueryShape = QueryShape {
    parameters: &[STAT, PERIOD],
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
    parameters: &[STAT, WEEK],
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
    parameters: &[STAT, PERIOD],
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
    parameters: &[STAT, PERIOD],
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
const PLAYER: QueryShape =
    QueryShape { parameters: &[], filters: &[selection::FROM, selection::TO, selection::BOTS], paged: false };
const PLAYER_WEAPONS: QueryShape = QueryShape {
    parameters: &[],
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
const PLAYER_MATCHES: QueryShape = QueryShape { paged: true, ..PLAYER_WEAPONS };
const MATCHES: QueryShape = QueryShape {
    parameters: &[],
    filters: &[
        selection::MAP,
        selection::SERVER,
        selection::GAMETYPE,
        selection::FROM,
        selection::TO,
        selection::PLAYER,
    ],
    paged: true,
};
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
    ("/api/v1/stats/player/{guid}/achievements", NOTHING),
    ("/api/v1/stats/matches", MATCHES),
    ("/api/v1/stats/match/{matchId}", NOTHING),
    ("/api/v1/stats/live", NOTHING),
    ("/api/v1/stats/live/matches", NOTHING),
    ("/api/v1/stats/totals", NOTHING),
];

#[derive(OpenApi)]
#[openapi(
    paths(
        leaderboard, weekly_leaderboard, weapon_leaderboard, map_leaderboard, player, player_weapons, player_matches,
        player_achievements,
        matches, match_detail, totals
    ),
    components(schemas(ErrorBody)),
    tags((name = "Statistics", description = "What has been stored, added up. Public."))
)]
pub struct StatsApi;

/// Routes of the statistics API. Needs `web::Data<Stats>`.
pub fn routes() -> Vec<Route> {
    vec![
        get("/api/v1/stats/leaderboard", leaderboard),
        get("/api/v1/stats/leaderboard/weekly", weekly_leaderboard),
        get("/api/v1/stats/leaderboard/weapon/{weapon}", weapon_leaderboard),
        get("/api/v1/stats/leaderboard/map/{map:.+}", map_leaderboard),
        get("/api/v1/stats/player/{guid}", player),
        get("/api/v1/stats/player/{guid}/weapons", player_weapons),
        get("/api/v1/stats/player/{guid}/matches", player_matches),
        get("/api/v1/stats/player/{guid}/achievements", player_achievements),
        get("/api/v1/stats/matches", matches),
        get("/api/v1/stats/match/{matchId}", match_detail),
        get("/api/v1/stats/totals", totals),
    ]
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
            paging: values.paging(),
            selection: Selection::take(&mut values),
        };
        values.finish()?;
        Ok(question)
    }
}

fn board_question(stats: &Stats, mut values: QueryValues) -> Result<BoardQuestion, ApiError> {
    let statistic = values.parsed_parameter("stat", Statistic::from_word).unwrap_or_default();
    let period = values.parsed_parameter("period", Period::from_word).unwrap_or_default();
    let paging = values.paging();
    let selection = Selection::take(&mut values).within(period.days(stats.now()));
    values.finish()?;
    Ok(BoardQuestion { statistic, period, week: None, selection, paging })
}

fn player_question(path: &str, values: &mut QueryValues) -> Result<PlayerQuestion, ApiError> {
    let player_id = path.parse();
    let selection = Selection::take(values);
    let player_id =
        player_id.map_err(|_| ApiError::not_found("unknown_player", "this can't be a player's id"))?;
    Ok(PlayerQuestion { player_id, selection })
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
    caching::json(&request, &stats.leaderboard(&question).await?)
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
    caching::json(&request, &stats.leaderboard(&question).await?)
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
    caching::json(&request, &stats.leaderboard(&question).await?)
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
    caching::json(&request, &stats.leaderboard(&question).await?)
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
    let mut answer = stats.player(&question).await?;
    answer.achievements = achievements.unlocked_by(&answer.player_id).await;
    caching::json(&request, &answer)
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
    caching::json(&request, &stats.player_weapons(&question).await?)
}

/// Matches of a player, the latest first
#[utoipa::path(get, path = "/api/v1/stats/player/{guid}/matches", tag = "Statistics",
    params(("guid" = String, Path, description = "Forum or user id, engine guid, or a guest's id", example = "4711")), responses(
    (status = 200, description = "One page of matches", body = answers::PlayerMatches),
    (status = 404, description = "Nobody of this id was ever seen", body = ErrorBody),
    (status = 422, description = "Parameters that can't be used", body = ErrorBody),
    (status = 503, description = "Statistics can't be read at the moment", body = ErrorBody)))]
async fn player_matches(_: Anyone, request: HttpRequest, stats: Data<Stats>, guid: Path<String>) -> Answer {
    let mut values = PLAYER_MATCHES.read(request.query_string());
    let paging = values.paging();
    let question = player_question(&guid, &mut values)?;
    values.finish()?;
    caching::json(&request, &stats.player_matches(&question, paging).await?)
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
    let mut values = NOTHING.read(request.query_string());
    let question = player_question(&guid, &mut values)?;
    values.finish()?;
    let player_id = stats.require_player(&question.player_id).await?;
    caching::json(&request, &achievements.of_player(&player_id).await?)
}

/// Matches, the latest first
#[utoipa::path(get, path = "/api/v1/stats/matches", tag = "Statistics", responses(
    (status = 200, description = "One page of matches", body = answers::MatchList),
    (status = 422, description = "Parameters that can't be used", body = ErrorBody),
    (status = 503, description = "Statistics can't be read at the moment", body = ErrorBody)))]
async fn matches(_: Anyone, request: HttpRequest, stats: Data<Stats>) -> Answer {
    let question = MatchQuestion::read(request.query_string())?;
    caching::json(&request, &stats.matches(&question).await?)
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

/// How much is stored
#[utoipa::path(get, path = "/api/v1/stats/totals", tag = "Statistics", responses(
    (status = 200, description = "Totals", body = answers::Totals),
    (status = 422, description = "Parameters that can't be used", body = ErrorBody),
    (status = 503, description = "Statistics can't be read at the moment", body = ErrorBody)))]
async fn totals(_: Anyone, request: HttpRequest, stats: Data<Stats>) -> Answer {
    NOTHING.read(request.query_string()).finish()?;
    caching::json(&request, &stats.totals().await?)
}
