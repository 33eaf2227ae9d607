//! How a match ended: told once it has, and again when something corrects it.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use mohaa_domain::event::{Millis, Text};
use mohaa_domain::live::{LiveMatch, PlayerLine};
use mohaa_domain::vocabulary::{GameType, Team};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Whoever goes on from ended matches: ratings, brackets.
pub trait Summaries: Send + Sync + 'static {
    /// Keeps a summary in place of an earlier one of the match; whether it is kept, so that nobody has to keep it again.
    fn keep(&self, summary: Summary) -> BoxFuture<'_, bool>;
}

/// A match that is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub match_id: Uuid,
    pub server_id: Uuid,
    /// `""` where the server has no name for it.
    pub source_match_id: String,
    pub map_name: Text,
    pub game_type: GameType,
    pub started_at: Millis,
    pub ended_at: Millis,
    pub allies_score: i32,
    pub axis_score: i32,
    pub winning_team: Team,
    /// Its server said that it is over, by a match_end or a result; else it was only left.
    #[serde(default)]
    pub told_end: bool,
    /// By id.
    pub players: Vec<SummaryPlayer>,
}

/// Somebody who took part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SummaryPlayer {
    pub player_id: Text,
    pub team: Team,
    pub guest: bool,
    pub bot: bool,
    pub kills: u32,
    pub deaths: u32,
    pub playtime_seconds: u64,
}

impl Summary {
    pub(super) fn of(live: &mut LiveMatch, ended_at: Millis) -> Self {
        let (match_id, server_id) = (live.match_id, live.server_id);
        let source_match_id = live.source_match_id.clone();
        let board = live.board();
        let player = |(player_id, line): (&Text, &Arc<PlayerLine>)| SummaryPlayer {
            player_id: player_id.clone(),
            team: line.team,
            guest: line.guest,
            bot: line.bot,
            kills: line.kills,
            deaths: line.deaths,
            playtime_seconds: line.playtime_ms() / 1000,
        };
        Self {
            match_id,
            server_id,
            source_match_id,
            map_name: board.map_name.clone(),
            game_type: board.game_type,
            started_at: board.started_at.unwrap_or(ended_at),
            ended_at,
            allies_score: board.scores.allies,
            axis_score: board.scores.axis,
            winning_team: board.winning_team,
            told_end: board.has_ended,
            players: board.players.iter().map(player).collect(),
        }
    }
}
