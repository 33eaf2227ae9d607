//! A season that was simulated, and every number that is told of it counted again from `raw_events`: by plain SQL that
//! knows nothing of roll-ups. An answer with a number that nobody recounted fails its test.

mod boards;
mod matches;
mod places;
mod players;
mod sql;

use std::collections::BTreeSet;

use crate::support::Season;
use crate::support::contract::Operation;

/// Every question about statistics, and the test that recounts its numbers.
const RECOUNTED: [(&str, &str); 32] = [
    ("/api/v1/achievements", ACHIEVEMENTS),
    ("/api/v1/search", MAP),
    ("/api/v1/stats/compare", PLAYER),
    ("/api/v1/stats/leaderboard", BOARD),
    ("/api/v1/stats/leaderboard/map/{map}", BOARD),
    ("/api/v1/stats/leaderboard/weapon/{weapon}", BOARD),
    ("/api/v1/stats/leaderboard/weekly", BOARD),
    ("/api/v1/stats/live", "live_matches_count_what_a_recount_counts"),
    ("/api/v1/stats/live/matches", "live_matches_count_what_a_recount_counts"),
    ("/api/v1/stats/maps", MAP),
    ("/api/v1/stats/maps/{map}", MAP),
    ("/api/v1/stats/maps/{map}/heatmap", MAP),
    ("/api/v1/stats/match/{matchId}", MATCH),
    ("/api/v1/stats/match/{matchId}/duels", MATCH),
    ("/api/v1/stats/match/{matchId}/heatmap", MATCH),
    ("/api/v1/stats/match/{matchId}/timeline", MATCH),
    ("/api/v1/stats/matches", MATCH),
    ("/api/v1/stats/member/{id}", PLAYER),
    ("/api/v1/stats/player/name/{name}", PLAYER),
    ("/api/v1/stats/player/{guid}", PLAYER),
    ("/api/v1/stats/player/{guid}/achievements", ACHIEVEMENTS),
    ("/api/v1/stats/player/{guid}/form", PLAYER),
    ("/api/v1/stats/player/{guid}/heatmap/{map}", MAP),
    ("/api/v1/stats/player/{guid}/maps", PLAYER),
    ("/api/v1/stats/player/{guid}/matches", PLAYER),
    ("/api/v1/stats/player/{guid}/rating", RATING),
    ("/api/v1/stats/player/{guid}/rivals", PLAYER),
    ("/api/v1/stats/player/{guid}/weapons", PLAYER),
    ("/api/v1/stats/server/{serverId}", SERVER),
    ("/api/v1/stats/totals", SERVER),
    ("/api/v1/stats/weapons", WEAPON),
    ("/api/v1/stats/weapons/{slug}", WEAPON),
];
const ACHIEVEMENTS: &str = "achievements_of_a_season_are_those_of_a_recount";
const BOARD: &str = "every_number_of_a_leaderboard_is_that_of_a_recount";
const MAP: &str = "every_number_of_a_map_is_that_of_a_recount";
const MATCH: &str = "every_number_of_a_match_is_that_of_a_recount";
const PLAYER: &str = "every_number_of_a_player_is_that_of_a_recount";
const RATING: &str = "ratings_of_a_season_are_those_of_a_replay_of_its_matches";
const SERVER: &str = "every_number_of_a_server_and_of_everything_is_that_of_a_recount";
const WEAPON: &str = "every_number_of_a_weapon_is_that_of_a_recount";

#[test]
fn every_question_about_statistics_is_one_whose_numbers_are_recounted() {
    let asked: BTreeSet<&str> = Operation::all()
        .iter()
        .filter(|it| it.method == "GET")
        .map(|it| it.path.as_str())
        .filter(|path| {
            path.starts_with("/api/v1/stats/") || ["/api/v1/achievements", "/api/v1/search"].contains(path)
        })
        .collect();
    let recounted: BTreeSet<&str> = RECOUNTED.iter().map(|(path, _)| *path).collect();
    assert_eq!(asked, recounted);
}

fn percent(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { (part / whole * 100.0).min(100.0) } else { 0.0 }
}

fn per_death(kills: f64, deaths: f64) -> f64 {
    kills / deaths.max(1.0)
}

/// Matches of today; and those of one server once more, forty days ago, with bots among them.
async fn season_of_two_days(name: &str) -> Season {
    let season = Season::play(name).await;
    let bots = "player_id != '' AND cityHash64(player_id) % 5 = 0 AS player_bot, \
                target_id != '' AND cityHash64(target_id) % 5 = 0 AS target_bot";
    season.again(40, "min", &format!("event_at - INTERVAL 40 DAY AS event_at, {bots}")).await;
    season.told().await;
    season
}
