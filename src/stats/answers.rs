//! The shapes of statistics, as the API answers them and as pages show them.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::achievements::PlayerAchievement;

pub use super::maps::answers::*;
pub use super::search::answers::*;
pub use super::server::answers::*;
pub use super::weapons::answers::*;

/// The answer for an id that several servers gave to their matches.
#[derive(Serialize, ToSchema)]
pub struct AmbiguousMatch {
    pub error: String,
    #[schema(example = "ambiguous_match")]
    pub code: String,
    /// The latest first.
    pub candidates: Vec<MatchCandidate>,
}

/// One of the matches that an ambiguous id may mean.
#[derive(Serialize, ToSchema)]
pub struct MatchCandidate {
    pub match_id: Uuid,
    pub server_id: Uuid,
    pub server_name: Option<String>,
    pub started_at: DateTime<Utc>,
}

/// A leaderboard's page.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Leaderboard {
    #[schema(example = "kills")]
    pub stat: &'static str,
    /// all, day, week or month.
    pub period: &'static str,
    /// The ISO week, on the weekly board.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-W47")]
    pub week: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weapon: Option<WeaponName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map_name: Option<String>,
    /// What a player needs to stand on a board of ratios: kills and deaths for kd_ratio, kills for
    /// headshot_percent, shots for accuracy, matches for win_rate. Null for other boards.
    pub min_sample: Option<u32>,
    pub page: u32,
    pub limit: u32,
    /// Players on the whole board.
    pub total: u64,
    pub players: Vec<LeaderboardRow>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LeaderboardRow {
    pub rank: u64,
    pub player_id: String,
    /// Latest name, without colour codes.
    pub player_name: String,
    /// Latest name as sent (`^1Hiro^7shi`).
    pub player_name_raw: String,
    /// An unverified guest, valid in one match only.
    pub guest: bool,
    /// What the board ranks by. Distance is in kilometres, playtime in seconds.
    #[schema(value_type = f64)]
    pub value: serde_json::Number,
    pub kills: u64,
    pub deaths: u64,
    pub kd_ratio: f64,
    pub headshots: u64,
    pub headshot_percent: f64,
    /// Of the weapon, on a weapon's board: null where it can't be told, as nothing was fired or some of the player's hits
    /// name no weapon.
    pub accuracy: Option<f64>,
    pub damage: f64,
    pub matches_played: u64,
    pub matches_won: u64,
    pub playtime_seconds: u64,
    /// The best estimate of the player's skill over all that they played, whatever the filters; null before their first
    /// rated match.
    pub rating: Option<f64>,
    /// What it is at least, all but surely: three deviations lower. The board of ratings ranks by it.
    pub rating_low: Option<f64>,
    /// What it is at most, all but surely: three deviations higher.
    pub rating_high: Option<f64>,
    /// Whether it is made of fewer than ten matches.
    pub rating_provisional: Option<bool>,
    pub last_active: DateTime<Utc>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct WeaponName {
    pub slug: String,
    pub name: String,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PlayerAnswer {
    pub player_id: String,
    pub player_name: String,
    pub player_name_raw: String,
    pub guest: bool,
    /// Every name the player was seen under, the latest first.
    pub aliases: Vec<Alias>,
    /// Who signs in as this player.
    pub user: Option<UserName>,
    pub total_kills: u64,
    pub total_deaths: u64,
    pub kd_ratio: f64,
    pub total_headshots: u64,
    pub headshot_percent: f64,
    pub total_damage: f64,
    pub damage_taken: f64,
    pub shots_fired: u64,
    pub shots_hit: u64,
    pub accuracy: f64,
    pub suicides: u64,
    pub team_kills: u64,
    pub best_killstreak: u64,
    pub matches_played: u64,
    pub matches_won: u64,
    pub win_rate: f64,
    pub playtime_seconds: u64,
    pub distance_km: f64,
    pub jumps: u64,
    /// Over all that the player played, whatever the filters; null before their first rated match.
    pub rating: Option<PlayerRating>,
    pub first_seen: DateTime<Utc>,
    pub last_active: DateTime<Utc>,
    /// Kills by where they hit.
    pub hitlocs: BTreeMap<String, u64>,
    /// Who killed this player most often.
    pub nemesis: Option<Rival>,
    /// Whom this player killed most often.
    pub favourite_victim: Option<Rival>,
    pub favourite_weapon: Option<WeaponKills>,
    pub multi_kills: MultiKills,
    /// Matches whose first kill was theirs.
    pub first_kills: u64,
    /// How the player stood when they killed and died, as servers call it.
    pub stances: BTreeMap<String, StanceTally>,
    /// Those that are unlocked.
    pub achievements: Vec<PlayerAchievement>,
}

/// Kills within four seconds of each other, without a death in between; each row of kills counted once, by its length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct MultiKills {
    pub double: u64,
    pub triple: u64,
    /// Of four.
    pub ultra: u64,
    /// Of five or more.
    pub monster: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct StanceTally {
    pub kills: u64,
    pub deaths: u64,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Alias {
    pub name: String,
    pub name_raw: String,
    pub last_seen: DateTime<Utc>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UserName {
    pub user_id: i32,
    pub name: String,
}

/// Decimals of ratings in answers: those that reference implementations publish.
pub const RATING_DECIMALS: i32 = 6;

/// How strong a player is by Weng and Lin's method, and how sure that is. Shown to people as the range from `low` to `high`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PlayerRating {
    /// The best estimate (μ); 25 for somebody new.
    #[schema(example = 27.635389)]
    pub value: f64,
    /// Its standard deviation (σ); 25/3 for somebody new.
    #[schema(example = 8.065901)]
    pub deviation: f64,
    /// What it is at least, all but surely (μ − 3σ): boards rank by it.
    #[schema(example = 3.437686)]
    pub low: f64,
    /// What it is at most, all but surely (μ + 3σ).
    #[schema(example = 51.833092)]
    pub high: f64,
    /// Rated matches.
    pub matches: u32,
    /// Whether there were fewer than ten of them.
    pub provisional: bool,
    /// Among all who have a rating; equal ones share a rank.
    pub rank: u64,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Rival {
    pub player_id: String,
    pub player_name: String,
    pub player_name_raw: String,
    pub kills: u64,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WeaponKills {
    pub slug: String,
    pub name: String,
    pub kills: u64,
    pub headshots: u64,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PlayerWeapons {
    pub player_id: String,
    pub weapons: Vec<PlayerWeapon>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PlayerWeapon {
    pub slug: String,
    pub name: String,
    /// Kills with this weapon.
    pub kills: u64,
    /// Deaths by this weapon.
    pub deaths: u64,
    pub headshots: u64,
    pub shots_fired: u64,
    pub shots_hit: u64,
    /// Null where it can't be told: nothing was fired, or some of the player's hits name no weapon.
    pub accuracy: Option<f64>,
    pub damage: f64,
    /// Of kills whose both places are known; null where there is none.
    pub average_kill_metres: Option<f64>,
    pub longest_kill_metres: Option<f64>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PlayerMatches {
    pub player_id: String,
    pub page: u32,
    pub limit: u32,
    pub total: u64,
    pub matches: Vec<PlayerMatch>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PlayerMatch {
    pub match_id: Uuid,
    pub map_name: Option<String>,
    pub gametype: Option<String>,
    pub server_id: Uuid,
    pub server_name: String,
    /// The side the player was last on.
    pub team: Option<String>,
    /// won, lost or draw; null while the match is live or when no side has won.
    pub result: Option<&'static str>,
    pub kills: u64,
    pub deaths: u64,
    pub headshots: u64,
    pub started_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
}

/// A player on each map.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PlayerMaps {
    pub player_id: String,
    /// The most played first.
    pub maps: Vec<PlayerMap>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PlayerMap {
    /// Null for matches whose map no event named.
    pub map_name: Option<String>,
    pub matches_played: u64,
    pub matches_won: u64,
    pub win_rate: f64,
    pub playtime_seconds: u64,
    pub kills: u64,
    pub deaths: u64,
    pub kd_ratio: f64,
    pub headshots: u64,
    pub headshot_percent: f64,
}

/// Whom a player met.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PlayerRivals {
    pub player_id: String,
    pub page: u32,
    pub limit: u32,
    pub total: u64,
    /// Those they met most often first.
    pub rivals: Vec<PlayerRival>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PlayerRival {
    pub player_id: String,
    pub player_name: String,
    pub player_name_raw: String,
    pub guest: bool,
    /// How often the player killed them.
    pub kills: u64,
    /// How often they killed the player.
    pub deaths: u64,
}

/// A player's figures over time.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PlayerForm {
    pub player_id: String,
    /// day, week or month.
    pub interval: &'static str,
    /// The latest first; intervals without events are left out.
    pub form: Vec<FormEntry>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FormEntry {
    /// First day of the interval, UTC.
    pub from: NaiveDate,
    pub kills: u64,
    pub deaths: u64,
    pub kd_ratio: f64,
    pub headshots: u64,
    pub headshot_percent: f64,
    pub accuracy: f64,
    pub damage: f64,
}

/// Players side by side.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Comparison {
    /// In the order in which they were named.
    pub players: Vec<PlayerAnswer>,
    /// How often they killed each other.
    pub duels: Vec<Duel>,
}

/// A match in a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MatchSummary {
    pub match_id: Uuid,
    /// What the server calls it; null when it does not name its matches.
    pub source_match_id: Option<String>,
    pub server_id: Uuid,
    pub server_name: String,
    pub map_name: Option<String>,
    pub gametype: Option<String>,
    /// live or ended.
    pub status: &'static str,
    pub allies_score: i32,
    pub axis_score: i32,
    /// allies or axis; none for a draw.
    pub winning_team: Option<String>,
    /// Who is on, of a live match; who took part, of an ended one.
    pub player_count: u64,
    pub max_players: Option<i32>,
    pub round_number: i32,
    pub kills: u64,
    pub started_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
    /// Time of the last event.
    pub updated_at: DateTime<Utc>,
    pub duration_seconds: u64,
    /// Whose bracket it is a game of.
    pub tournament_id: Option<Uuid>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MatchList {
    pub page: u32,
    pub limit: u32,
    pub total: u64,
    pub matches: Vec<MatchSummary>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MatchAnswer {
    pub match_id: Uuid,
    pub source_match_id: Option<String>,
    pub server: ServerName,
    pub map_name: Option<String>,
    pub gametype: Option<String>,
    /// live or ended.
    pub status: &'static str,
    pub started_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
    pub updated_at: DateTime<Utc>,
    pub duration_seconds: u64,
    pub allies_score: i32,
    pub axis_score: i32,
    /// allies or axis; none for a draw.
    pub winning_team: Option<String>,
    pub rounds: Vec<Round>,
    /// Whose bracket it is a game of.
    pub tournament: Option<MatchTournament>,
    /// Everybody who took part, most kills first, 4,096 at most.
    pub scoreboard: Vec<ScoreboardRow>,
    /// Whether more took part: those with fewer kills are left out.
    pub more_players: bool,
    pub top_weapons: Vec<WeaponKills>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ServerName {
    pub server_id: Uuid,
    pub name: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct MatchTournament {
    pub tournament_id: Uuid,
    pub name: String,
    /// The match of the bracket.
    #[schema(example = "W1.3")]
    pub key: String,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TournamentName {
    pub tournament_id: Uuid,
    pub name: String,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Round {
    pub round_number: i32,
    pub winning_team: Option<String>,
    pub started_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
    /// Null unless both its start and its end were seen.
    pub duration_seconds: Option<u64>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ScoreboardRow {
    pub player_id: String,
    pub player_name: String,
    pub player_name_raw: String,
    pub guest: bool,
    /// allies, axis or freeforall; null when no event said.
    pub team: Option<String>,
    pub kills: u64,
    pub deaths: u64,
    pub headshots: u64,
    pub damage: f64,
    pub accuracy: f64,
    pub suicides: u64,
    pub team_kills: u64,
    pub best_killstreak: u64,
}

/// A piece of a match's timeline.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MatchTimeline {
    pub match_id: Uuid,
    /// In the order of the level's clock.
    pub events: Vec<TimelineEvent>,
    /// `cursor` of the next piece; null behind the last one.
    pub next_cursor: Option<String>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TimelineEvent {
    /// Seconds into the match, by the level's clock.
    pub t: f64,
    pub at: DateTime<Utc>,
    #[serde(rename = "type")]
    pub event_type: String,
    /// What a kill counts as: kill, suicide, team_kill or world. Null for what is no kill.
    pub kind: Option<String>,
    pub headshot: bool,
    /// Null for the environment, and where nobody did it.
    pub actor: Option<TimelinePlayer>,
    pub target: Option<TimelinePlayer>,
    pub weapon: Option<WeaponName>,
    pub hitloc: Option<String>,
    pub means_of_death: Option<String>,
    pub round_number: Option<i32>,
    pub winning_team: Option<String>,
    /// What was said.
    pub message: Option<String>,
    /// The moment as a sentence.
    pub text: String,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TimelinePlayer {
    pub player_id: String,
    /// In this match.
    pub player_name: String,
    pub player_name_raw: String,
    pub team: Option<String>,
}

/// Who killed whom in a match.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MatchDuels {
    pub match_id: Uuid,
    /// Everybody who killed or died, by side.
    pub players: Vec<DuelPlayer>,
    /// Pairs with at least one kill that scores.
    pub duels: Vec<Duel>,
    /// The rounds that were seen to begin, each with its scoreboard.
    pub rounds: Vec<RoundBoard>,
    pub pace: Pace,
}

/// How many kills that score there were in each step of the level's clock, from its start on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Pace {
    pub step_seconds: u64,
    pub allies: Vec<u64>,
    pub axis: Vec<u64>,
    /// Of those who fight for no side.
    pub others: Vec<u64>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DuelPlayer {
    pub player_id: String,
    pub player_name: String,
    pub player_name_raw: String,
    pub guest: bool,
    /// The side they were last on when they killed or died.
    pub team: Option<String>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Duel {
    pub player_id: String,
    pub target_id: String,
    pub kills: u64,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RoundBoard {
    pub round_number: i32,
    /// Most kills first.
    pub scoreboard: Vec<RoundScore>,
}

#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct RoundScore {
    pub player_id: String,
    pub player_name: String,
    pub player_name_raw: String,
    pub team: Option<String>,
    pub kills: u64,
    pub deaths: u64,
    pub headshots: u64,
}

/// What is stored.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Totals {
    pub events: u64,
    pub matches: u64,
    pub players: u64,
    pub kills: u64,
    /// Servers that have reported.
    pub servers: u64,
    /// The same of the current day, UTC.
    pub today: DayTotals,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DayTotals {
    pub events: u64,
    pub matches: u64,
    pub players: u64,
    pub kills: u64,
}
