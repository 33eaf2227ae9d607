//! The shapes of maps.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::stats::answers::{LeaderboardRow, MatchSummary, WeaponKills};

/// A page of the list of maps.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MapList {
    /// all, day, week or month.
    pub period: &'static str,
    #[schema(example = "plays")]
    pub sort: &'static str,
    pub page: u32,
    pub limit: u32,
    pub total: u64,
    pub maps: Vec<MapFigures>,
}

/// What was done on a map.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MapFigures {
    #[schema(example = "dm/mohdm1")]
    pub map_name: String,
    /// Matches that started on it.
    pub plays: u64,
    /// Kills that score.
    pub kills: u64,
    /// Who took part; a guest counts anew in each match.
    pub players: u64,
    pub balance: Balance,
    /// Of matches that are over; null while there is none.
    pub average_duration_seconds: Option<u64>,
    /// When its latest event happened; null where the filters leave no match.
    pub last_played: Option<DateTime<Utc>>,
}

/// How matches of sides ended, where their servers told it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Balance {
    /// Won by the allies.
    pub allies: u64,
    /// Won by the axis.
    pub axis: u64,
    pub draws: u64,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MapAnswer {
    /// all, day, week or month.
    pub period: &'static str,
    #[serde(flatten)]
    pub figures: MapFigures,
    pub played: PlaysOverTime,
    /// Most kills first.
    pub top_players: Vec<LeaderboardRow>,
    pub top_weapons: Vec<WeaponKills>,
    /// Servers that play it, most plays first.
    pub servers: Vec<MapServer>,
    /// The latest first.
    pub recent_matches: Vec<MatchSummary>,
}

/// Plays by the day, UTC, on which they started; of a long time by its weeks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PlaysOverTime {
    /// day or week.
    pub step: &'static str,
    /// Without gaps, the latest last; at most two years of them.
    pub points: Vec<Plays>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Plays {
    /// The day, or the week's Monday.
    pub from: NaiveDate,
    pub plays: u64,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MapServer {
    pub server_id: Uuid,
    pub server_name: String,
    pub plays: u64,
    pub last_played: DateTime<Utc>,
}
