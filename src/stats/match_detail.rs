//! One match: scoreboard, rounds, weapons.

use chrono::{DateTime, Utc};
use clickhouse::Row;
use mohaa_domain::live::MOST_PLAYERS;
use mohaa_domain::player::is_guest_id;
use serde::Deserialize;
use uuid::Uuid;

use super::Stats;
use super::answers::{MatchAnswer, MatchCandidate, Round, ScoreboardRow, ServerName, WeaponKills};
use super::matches::{OutcomeRow, status, word_or_none};
use super::names::weapon_name;
use super::people::{ANONYMOUS_PREFIX, canonical};
use super::query::Sql;
use super::ratio::{percent, round};
use crate::http::ApiError;

const TOP_WEAPONS: i64 = 10;

#[derive(Clone, Row, Deserialize)]
struct CandidateRow {
    #[serde(with = "clickhouse::serde::uuid")]
    match_id: Uuid,
    #[serde(with = "clickhouse::serde::uuid")]
    server_id: Uuid,
    #[serde(with = "clickhouse::serde::chrono::datetime64::millis")]
    started_at: DateTime<Utc>,
}

#[derive(Clone, Row, Deserialize)]
struct ScoreRow {
    #[serde(rename = "who")]
    player_id: String,
    player_name: String,
    team: String,
    kills: u64,
    deaths: u64,
    headshots: u64,
    damage: f64,
    shots_fired: u64,
    shots_hit: u64,
    suicides: u64,
    team_kills: u64,
}

#[derive(Clone, Row, Deserialize)]
struct RoundRow {
    round_number: i32,
    winning_team: String,
    #[serde(with = "clickhouse::serde::chrono::datetime64::millis::option")]
    started_at: Option<DateTime<Utc>>,
    #[serde(with = "clickhouse::serde::chrono::datetime64::millis::option")]
    ended_at: Option<DateTime<Utc>>,
}

#[derive(Clone, Row, Deserialize)]
struct WeaponRow {
    weapon: String,
    kills: u64,
    headshots: u64,
}

fn unknown_match() -> ApiError {
    ApiError::not_found("unknown_match", "no event of a match with this id has been stored")
}

impl Stats {
    /// A match by our id, or by what its server called it.
    pub async fn match_detail(&self, id: &str) -> Result<MatchAnswer, ApiError> {
        let outcome = self.find_match(id).await?;
        let (mut scores, streaks, rounds, weapons) = tokio::try_join!(
            self.scores(&outcome),
            self.killstreaks_in_match(&outcome),
            self.rounds(&outcome),
            self.top_weapons(&outcome),
        )?;
        let more_players = scores.len() > MOST_PLAYERS;
        scores.truncate(MOST_PLAYERS);
        let (servers, tournaments) =
            tokio::join!(self.server_names([outcome.server_id]), self.tournaments_of(vec![outcome.match_id]));
        let tournaments = tournaments.unwrap_or_default();
        let names = self.player_names(scores.iter().map(|row| row.player_id.clone()).collect()).await?;
        let scoreboard = scores.into_iter().map(|row| {
            // The name in this match, else the latest one.
            let known = names.of(&row.player_id);
            let named =
                word_or_none(row.player_name).filter(|_| !row.player_id.starts_with(ANONYMOUS_PREFIX));
            let raw = named.unwrap_or(known.raw);
            let plain = mohaa_domain::name::strip_colors(&raw).trim().to_owned();
            ScoreboardRow {
                player_name: if plain.is_empty() { known.plain } else { plain },
                player_name_raw: raw,
                guest: is_guest_id(&row.player_id),
                team: word_or_none(row.team),
                kills: row.kills,
                deaths: row.deaths,
                headshots: row.headshots,
                damage: round(row.damage, 3),
                accuracy: percent(row.shots_hit, row.shots_fired),
                suicides: row.suicides,
                team_kills: row.team_kills,
                best_killstreak: streaks.get(&row.player_id).copied().unwrap_or_default(),
                player_id: row.player_id,
            }
        });
        let round = |row: RoundRow| Round {
            round_number: row.round_number,
            winning_team: word_or_none(row.winning_team),
            started_at: row.started_at,
            ended_at: row.ended_at,
            duration_seconds: row
                .started_at
                .zip(row.ended_at)
                .and_then(|(start, end)| u64::try_from((end - start).num_seconds()).ok()),
        };
        let weapon = |row: WeaponRow| {
            let weapon = weapon_name(&row.weapon);
            WeaponKills { slug: weapon.slug, name: weapon.name, kills: row.kills, headshots: row.headshots }
        };
        Ok(MatchAnswer {
            match_id: outcome.match_id,
            source_match_id: word_or_none(outcome.source_match_id),
            server: ServerName {
                server_id: outcome.server_id,
                name: servers.get(&outcome.server_id).cloned().unwrap_or_default(),
            },
            map_name: word_or_none(outcome.map_name),
            gametype: word_or_none(outcome.gametype),
            status: status(outcome.is_ended),
            started_at: outcome.started_at,
            ended_at: outcome.ended_at,
            updated_at: outcome.updated_at,
            duration_seconds: outcome.duration_seconds,
            allies_score: outcome.allies_score,
            axis_score: outcome.axis_score,
            winning_team: word_or_none(outcome.winning_team),
            rounds: rounds.into_iter().map(round).collect(),
            tournament: tournaments.get(&outcome.match_id).cloned(),
            scoreboard: scoreboard.collect(),
            more_players,
            top_weapons: weapons.into_iter().map(weapon).collect(),
        })
    }

    pub(super) async fn find_match(&self, id: &str) -> Result<OutcomeRow, ApiError> {
        if let Ok(match_id) = Uuid::parse_str(id)
            && let Some(outcome) = self.outcome(match_id).await?
        {
            return Ok(outcome);
        }
        let sql = Sql::new(
            "SELECT match_id, server_id, min(match_totals.started_at) AS started_at FROM match_totals \
             WHERE source_match_id = ? GROUP BY match_id, server_id ORDER BY started_at DESC, match_id LIMIT 100",
        );
        let candidates: Vec<CandidateRow> = self.rows(sql.bind(id)).await?;
        let latest = candidates.first().ok_or_else(unknown_match)?;
        if candidates.iter().all(|candidate| candidate.server_id == latest.server_id) {
            return self.outcome(latest.match_id).await?.ok_or_else(unknown_match);
        }
        let servers = self.server_names(candidates.iter().map(|candidate| candidate.server_id)).await;
        let listed: Vec<MatchCandidate> = candidates
            .iter()
            .map(|candidate| MatchCandidate {
                match_id: candidate.match_id,
                server_id: candidate.server_id,
                server_name: servers.get(&candidate.server_id).cloned(),
                started_at: candidate.started_at,
            })
            .collect();
        let listed = serde_json::to_value(listed).map_err(ApiError::internal)?;
        let message = "several servers have a match of this id; ask by the match_id of one of the candidates";
        Err(ApiError::conflict("ambiguous_match", message).with_detail("candidates", listed))
    }

    /// Served by the match index of `player_match_totals`, on the match's days. Bots stand on the scoreboard of their match.
    async fn scores(&self, outcome: &OutcomeRow) -> Result<Vec<ScoreRow>, ApiError> {
        let sql = Sql::new("SELECT ").text(&canonical("totals.player_id")).text(
            " AS who, max(totals.name_told).name AS player_name, max(totals.side_told).team AS team, \
             sum(totals.kills) AS kills, sum(totals.deaths) AS deaths, sum(totals.headshots) AS headshots, \
             toFloat64(sum(totals.damage)) AS damage, \
             if(sum(totals.shots_fired) > 0, sum(totals.shots_fired), sum(totals.summary_shots_fired)) AS shots_fired, \
             if(sum(totals.shots_fired) > 0, sum(totals.shots_hit), sum(totals.summary_shots_hit)) AS shots_hit, \
             sum(totals.suicides) AS suicides, sum(totals.team_kills) AS team_kills \
             FROM player_match_totals AS totals WHERE match_id = toUUID(?)",
        );
        let sql = sql
            .bind(outcome.match_id.to_string())
            .then(outcome.on_its_days())
            .text(" GROUP BY who ORDER BY kills DESC, deaths ASC, who ASC LIMIT ?")
            // One more tells that there are more.
            .bind(MOST_PLAYERS as i64 + 1);
        self.rows(sql).await
    }

    async fn rounds(&self, outcome: &OutcomeRow) -> Result<Vec<RoundRow>, ApiError> {
        let sql = Sql::new(
            "SELECT toInt32(ifNull(events.round_number, 0)) AS round_number, \
             argMaxIf(toString(events.winning_team), (event_at, spool_seq, spool_index), type = 'round_end') AS winning_team, \
             minIf(toNullable(event_at), type = 'round_start') AS started_at, \
             maxIf(toNullable(event_at), type = 'round_end') AS ended_at FROM raw_events AS events",
        )
        .then(outcome.its_events())
        .text(
            " AND type IN ('round_start', 'round_end') AND events.round_number IS NOT NULL \
             GROUP BY round_number ORDER BY round_number LIMIT 500",
        );
        self.rows(sql).await
    }

    async fn top_weapons(&self, outcome: &OutcomeRow) -> Result<Vec<WeaponRow>, ApiError> {
        let sql = Sql::new(
            "SELECT toString(events.weapon) AS weapon, count() AS kills, countIf(is_headshot) AS headshots \
             FROM raw_events AS events",
        )
        .then(outcome.its_events())
        .text(
            " AND kill_kind = 'kill' AND events.weapon != '' GROUP BY weapon ORDER BY kills DESC, weapon ASC LIMIT ?",
        );
        self.rows(sql.bind(TOP_WEAPONS)).await
    }
}
