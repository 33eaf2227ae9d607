//! What a run sent and what the service should say about it, as JSON.
//!
//! Expected statistics come from accepted requests alone. A request without an answer may have arrived or not: its
//! events stand apart under `unanswered`, so that a service's figures lie between `accepted` and both together.

use std::collections::BTreeMap;

use serde::Serialize;

use super::DialectChoice;
use super::dialect::Dialect;
use super::meaning::{MatchLedger, Tallies, Tally};

#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub seed: u64,
    pub dialect: DialectChoice,
    pub servers: Vec<ServerReport>,
    pub requests: RequestCounts,
    pub events: EventCounts,
    /// Matches of which at least one event was accepted.
    pub matches: usize,
    /// Logged-in players, by kills and then by id.
    pub players: Vec<PlayerReport>,
    /// Everybody without an id, together.
    pub guests: Tally,
    pub unanswered: UnansweredReport,
    /// Answers that weren't as they should be, and servers that gave up; the first of them.
    pub complaints: Vec<String>,
    pub elapsed_seconds: f64,
}

#[derive(Clone, Debug, Serialize)]
pub struct ServerReport {
    /// Which of the tokens it spoke with, from 0.
    pub token_index: usize,
    pub dialect: Dialect,
    pub events_sent: u64,
    pub events_accepted: u64,
    pub requests: u64,
    pub matches: Vec<MatchReport>,
}

/// One match, with map and game type only where an accepted event told them.
#[derive(Clone, Debug, Serialize)]
pub struct MatchReport {
    pub source_match_id: Option<String>,
    pub map_name: Option<&'static str>,
    pub gametype: Option<&'static str>,
    pub events_sent: u64,
    pub events_accepted: u64,
    pub kills: u64,
    pub deaths: u64,
    pub headshots: u64,
    pub suicides: u64,
    pub team_kills: u64,
    pub world_deaths: u64,
    pub guest_kills: u64,
    /// Logged-in players, by kills and then by id.
    pub scoreboard: Vec<ScoreLine>,
}

#[derive(Clone, Debug, Serialize)]
pub struct ScoreLine {
    pub player_id: String,
    pub kills: u64,
    pub deaths: u64,
    pub headshots: u64,
    pub best_killstreak: u64,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct RequestCounts {
    pub sent: u64,
    pub accepted: u64,
    /// Answered, but not with 202, and given up.
    pub refused: u64,
    pub unanswered: u64,
    /// Never sent, as too many were kept (dialect `tracker`).
    pub lost: u64,
    /// Further tries of requests that were not taken at once (dialect `tracker`).
    pub sent_again: u64,
    /// New tokens that servers asked for after a 401.
    pub registrations: u64,
    pub by_status: BTreeMap<u16, u64>,
}

impl RequestCounts {
    pub fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.accepted += other.accepted;
        self.refused += other.refused;
        self.unanswered += other.unanswered;
        self.lost += other.lost;
        self.sent_again += other.sent_again;
        self.registrations += other.registrations;
        for (status, count) in &other.by_status {
            *self.by_status.entry(*status).or_default() += count;
        }
    }
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct EventCounts {
    pub sent: u64,
    /// What 202 answers called `processed`.
    pub accepted: u64,
    /// What 202 answers called `rejected`: always 0, unless the service misread something.
    pub rejected: u64,
    /// In requests that were refused and given up.
    pub refused: u64,
    pub unanswered: u64,
    /// In requests that were never sent, as too many were kept. All of `sent` but accepted, rejected, refused and unanswered.
    pub lost: u64,
}

impl EventCounts {
    pub fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.accepted += other.accepted;
        self.rejected += other.rejected;
        self.refused += other.refused;
        self.unanswered += other.unanswered;
        self.lost += other.lost;
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct PlayerReport {
    pub player_id: String,
    pub name: String,
    #[serde(flatten)]
    pub tally: Tally,
}

#[derive(Clone, Debug, Serialize)]
pub struct UnansweredReport {
    pub events: u64,
    pub players: Vec<PlayerReport>,
    pub guests: Tally,
}

pub fn players(tallies: &Tallies) -> Vec<PlayerReport> {
    let mut players: Vec<(u32, PlayerReport)> = tallies
        .members
        .iter()
        .map(|(id, (persona, tally))| {
            let name = persona.readable_name.clone();
            (*id, PlayerReport { player_id: id.to_string(), name, tally: tally.clone() })
        })
        .collect();
    players.sort_by_key(|(id, player)| (std::cmp::Reverse(player.tally.kills), *id));
    players.into_iter().map(|(_, player)| player).collect()
}

impl MatchReport {
    pub fn new(
        source_match_id: Option<String>,
        ledger: &MatchLedger,
        events_sent: u64,
        events_accepted: u64,
    ) -> Self {
        let total = ledger.accepted.total();
        Self {
            source_match_id,
            map_name: ledger.map_name,
            gametype: ledger.game_type.map(super::event::GameType::word),
            events_sent,
            events_accepted,
            kills: total.kills,
            deaths: total.deaths,
            headshots: total.headshots,
            suicides: total.suicides,
            team_kills: total.team_kills,
            world_deaths: total.world_deaths,
            guest_kills: ledger.accepted.guests.kills,
            scoreboard: players(&ledger.accepted)
                .into_iter()
                .map(|player| ScoreLine {
                    player_id: player.player_id,
                    kills: player.tally.kills,
                    deaths: player.tally.deaths,
                    headshots: player.tally.headshots,
                    best_killstreak: player.tally.best_killstreak,
                })
                .collect(),
        }
    }
}
