//! The shapes of one server.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::stats::answers::LeaderboardRow;

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ServerAnswer {
    pub server_id: Uuid,
    pub name: String,
    /// Where players join, with the port if it is known.
    #[schema(example = "203.0.113.5:12203")]
    pub address: Option<String>,
    /// Heard of within the last three minutes.
    pub online: bool,
    /// Of the match that is being played; null where there is none.
    pub map_name: Option<String>,
    /// Who is on; null where no match is being played.
    pub player_count: Option<u64>,
    pub total_matches: u64,
    /// Kills that score, without those of and by bots.
    pub total_kills: u64,
    /// Everybody who was seen on it but bots; a guest counts anew in each match.
    pub unique_players: u64,
    /// When its latest event happened; null where it never sent one.
    pub last_activity: Option<DateTime<Utc>>,
    /// Most kills first.
    pub top_players: Vec<LeaderboardRow>,
    /// The map rotation: most plays first.
    pub maps: Vec<ServerMap>,
    /// Hour by hour without gaps, the current one last.
    pub activity: Vec<HourOfServer>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ServerMap {
    pub map_name: String,
    pub plays: u64,
    pub last_played: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct HourOfServer {
    /// Its beginning.
    pub hour: DateTime<Utc>,
    /// Who was seen in it, but bots.
    pub players: u64,
    pub events: u64,
}
