//! The shapes of a search.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::stats::answers::{TournamentName, WeaponName};

/// What bears a name like the one that was asked for; of each kind the best first.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct SearchAnswer {
    /// What was looked for: without colour codes and the white space around it.
    #[schema(example = "hiro")]
    pub query: String,
    /// At most 20.
    pub players: Vec<FoundPlayer>,
    /// At most 10.
    pub servers: Vec<FoundServer>,
    /// At most 10.
    pub maps: Vec<FoundMap>,
    /// At most 10.
    pub weapons: Vec<WeaponName>,
    /// At most 10; drafts are left out.
    pub tournaments: Vec<TournamentName>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FoundPlayer {
    pub player_id: String,
    /// Latest name, without colour codes.
    pub player_name: String,
    pub player_name_raw: String,
    /// The name that was found: this one or an earlier one.
    pub found_name: String,
    pub found_name_raw: String,
    pub last_active: DateTime<Utc>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FoundServer {
    pub server_id: Uuid,
    pub name: String,
    /// Heard of within the last three minutes.
    pub online: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FoundMap {
    pub map_name: String,
    pub plays: u64,
}
