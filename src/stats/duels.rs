//! Who killed whom in a match, in the whole of it and round by round, worked out from its kills in their order.
//!
//! A kill belongs to the round that began last before it on the level's clock; kills before the first one belong to none.
//! Kills that score fill the matrix; the scoreboards of rounds count as those of the match do.

use std::collections::{BTreeMap, HashMap};

use clickhouse::Row;
use mohaa_domain::player::is_guest_id;
use serde::Deserialize;

use super::Stats;
use super::answers::{Duel, DuelPlayer, MatchDuels, Pace, RoundBoard, RoundScore};
use super::matches::{OutcomeRow, word_or_none};
use super::people::canonical;
use super::query::Sql;
use super::timeline::AT_MS;
use crate::http::ApiError;

/// More than a day's match has; bounds what a server that sends nonsense costs.
const MOST_KILLS: i64 = 50_000;

#[derive(Clone, Row, Deserialize)]
struct KillRow {
    at_ms: i64,
    kill_kind: String,
    is_headshot: bool,
    actor_id: String,
    actor_team: String,
    target_id: String,
    target_team: String,
}

/// As many steps as a strip can show, none shorter than people can tell.
const PACE_STEPS: i64 = 60;
const SHORTEST_STEP_SECONDS: i64 = 5;

fn pace(kills: &[KillRow]) -> Pace {
    let last_ms = kills.iter().map(|kill| kill.at_ms).max().unwrap_or_default();
    let step_seconds = (last_ms / 1000 / PACE_STEPS + 1).max(SHORTEST_STEP_SECONDS);
    let step_of = |kill: &KillRow| usize::try_from(kill.at_ms / 1000 / step_seconds).unwrap_or_default();
    let steps = kills.iter().map(step_of).max().map_or(0, |last| last + 1);
    let empty = || vec![0; steps];
    let (mut allies, mut axis, mut others) = (empty(), empty(), empty());
    for kill in kills.iter().filter(|kill| kill.kill_kind == "kill") {
        let side = match kill.actor_team.as_str() {
            "allies" => &mut allies,
            "axis" => &mut axis,
            _ => &mut others,
        };
        side[step_of(kill)] += 1;
    }
    Pace { step_seconds: step_seconds.unsigned_abs(), allies, axis, others }
}

#[derive(Clone, Row, Deserialize)]
struct RoundStartRow {
    at_ms: i64,
    round_number: i32,
}

impl Stats {
    /// Who killed whom in a match, and the scoreboard of each of its rounds.
    pub async fn duels(&self, id: &str) -> Result<MatchDuels, ApiError> {
        let outcome = self.find_match(id).await?;
        let zero_ms = self.level_zero_ms(&outcome).await?;
        let (kills, starts) =
            tokio::try_join!(self.kills_of(&outcome, zero_ms), self.round_starts(&outcome, zero_ms))?;
        let mut teams: BTreeMap<&str, &str> = BTreeMap::new();
        let mut duels: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        let mut rounds: Vec<(i32, HashMap<&str, RoundScore>)> =
            starts.iter().map(|start| (start.round_number, HashMap::new())).collect();
        for kill in &kills {
            for (id, team) in [(&kill.actor_id, &kill.actor_team), (&kill.target_id, &kill.target_team)] {
                if !id.is_empty() {
                    let known = teams.entry(id).or_insert(team);
                    if !team.is_empty() {
                        *known = team;
                    }
                }
            }
            let scores = kill.kill_kind == "kill" && !kill.actor_id.is_empty();
            if scores && !kill.target_id.is_empty() {
                *duels.entry((&kill.actor_id, &kill.target_id)).or_default() += 1;
            }
            let begun = starts.partition_point(|start| start.at_ms <= kill.at_ms);
            let Some((_, board)) = begun.checked_sub(1).and_then(|at| rounds.get_mut(at)) else { continue };
            if scores {
                let score = board.entry(&kill.actor_id).or_default();
                score.kills += 1;
                score.headshots += u64::from(kill.is_headshot);
            }
            if !kill.target_id.is_empty() {
                board.entry(&kill.target_id).or_default().deaths += 1;
            }
        }
        let names = self.player_names(teams.keys().map(|id| (*id).to_owned()).collect()).await?;
        let mut players: Vec<DuelPlayer> = teams
            .iter()
            .map(|(id, team)| {
                let name = names.of(id);
                DuelPlayer {
                    player_id: (*id).to_owned(),
                    player_name: name.plain,
                    player_name_raw: name.raw,
                    guest: is_guest_id(id),
                    team: word_or_none((*team).to_owned()),
                }
            })
            .collect();
        players.sort_by(|one, other| (&one.team, &one.player_id).cmp(&(&other.team, &other.player_id)));
        let board = |(round_number, scores): (i32, HashMap<&str, RoundScore>)| {
            let mut players: Vec<RoundScore> = scores
                .into_iter()
                .map(|(id, score)| {
                    let name = names.of(id);
                    RoundScore {
                        player_id: id.to_owned(),
                        player_name: name.plain,
                        player_name_raw: name.raw,
                        team: teams.get(id).and_then(|team| word_or_none((*team).to_owned())),
                        ..score
                    }
                })
                .collect();
            players.sort_by(|one, other| {
                let rank = |score: &RoundScore| (std::cmp::Reverse(score.kills), score.deaths);
                rank(one).cmp(&rank(other)).then_with(|| one.player_id.cmp(&other.player_id))
            });
            RoundBoard { round_number, scoreboard: players }
        };
        let duel = |((actor, target), kills): ((&str, &str), u64)| Duel {
            player_id: actor.to_owned(),
            target_id: target.to_owned(),
            kills,
        };
        Ok(MatchDuels {
            match_id: outcome.match_id,
            players,
            duels: duels.into_iter().map(duel).collect(),
            rounds: rounds.into_iter().map(board).collect(),
            pace: pace(&kills),
        })
    }

    async fn kills_of(&self, outcome: &OutcomeRow, zero_ms: i64) -> Result<Vec<KillRow>, ApiError> {
        let sql = Sql::new("SELECT ")
            .text(AT_MS)
            .bind(zero_ms)
            .text(" AS at_ms, toString(events.kill_kind) AS kill_kind, is_headshot, ")
            .text(&canonical("events.player_id"))
            .text(" AS actor_id, toString(player_team) AS actor_team, ")
            .text(&canonical("events.target_id"))
            .text(" AS target_id, toString(events.target_team) AS target_team FROM raw_events AS events")
            .then(outcome.its_events())
            .text(" AND events.kill_kind != '' ORDER BY at_ms, spool_seq, spool_index LIMIT ?");
        self.rows(sql.bind(MOST_KILLS)).await
    }

    async fn round_starts(&self, outcome: &OutcomeRow, zero_ms: i64) -> Result<Vec<RoundStartRow>, ApiError> {
        let sql = Sql::new("SELECT min(").text(AT_MS).bind(zero_ms).text(
            ") AS at_ms, toInt32(ifNull(events.round_number, 0)) AS round_number FROM raw_events AS events",
        )
        .then(outcome.its_events())
        .text(
            " AND type = 'round_start' AND events.round_number IS NOT NULL GROUP BY round_number \
             ORDER BY at_ms, round_number LIMIT 500",
        );
        self.rows(sql).await
    }
}
