//! What a player's matches add up to: played, won, time, and the longest run of kills.
//!
//! Time played is the span from a player's first to last event in a match, by `level.time` where their events have it,
//! else by the events' own time. A match is won by those who were on the winning side when they were last seen. A run ends with any death and with the match; `level.time` orders
//! the kills where it was sent, because batches arrive out of order.

use std::collections::HashMap;

use clickhouse::Row;
use serde::Deserialize;

use super::Stats;
use super::matches::OutcomeRow;
use super::people::{canonical, of_players};
use super::query::Sql;
use super::selection::{COMBAT, PLAYER_MATCHES, Selection};
use crate::http::ApiError;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Career {
    pub(super) matches_played: u64,
    pub(super) matches_won: u64,
    pub(super) playtime_seconds: u64,
}

#[derive(Clone, Row, Deserialize)]
struct CareerRow {
    player_id: String,
    matches_played: u64,
    matches_won: u64,
    playtime_seconds: u64,
}

#[derive(Clone, Row, Deserialize)]
struct StreakRow {
    player_id: String,
    killstreak: u64,
}

/// `player_id, matches_played, matches_won, playtime_seconds` of the selected part of players' matches. Of some players served
/// by the primary keys of `player_matches` and `match_totals`.
pub(super) fn careers(selection: &Selection, player_ids: Option<&[String]>) -> Sql {
    let mut sql = Sql::new(
        "SELECT who AS player_id, count() AS matches_played, \
         countIf(winner IN ('allies', 'axis') AND side = winner) AS matches_won, \
         toUInt64(round(sum(milliseconds) / 1000)) AS playtime_seconds \
         FROM (SELECT ",
    )
    .text(&canonical("player_id"))
    .text(
        " AS who, match_id, max(side_told).team AS side, max(map_name) AS map, \
         max(gametype) AS game_type, ifNull(toInt64(max(last_level_ms)) - toInt64(min(first_level_ms)), \
         dateDiff('millisecond', min(first_seen), max(last_seen))) AS milliseconds \
         FROM ",
    )
    .text(selection.table(PLAYER_MATCHES))
    .text(" WHERE 1")
    .then(selection.player_conditions());
    if let Some(player_ids) = player_ids {
        sql = sql.then(of_players("player_id", player_ids));
    }
    sql = sql.text(" GROUP BY who, match_id HAVING 1");
    if let Some(map_name) = &selection.map_name {
        sql = sql.text(" AND map = ?").bind(map_name.as_str());
    }
    if let Some(game_type) = selection.game_type {
        sql = sql.text(" AND game_type = ?").bind(game_type.as_str());
    }
    if let Some(team) = selection.team {
        sql = sql.text(" AND side = ?").bind(team.as_str());
    }
    sql =
        sql.text(") AS played LEFT JOIN (SELECT match_id, max(winner_told).team AS winner FROM match_totals");
    if let Some(player_ids) = player_ids {
        sql = sql
            .text(" WHERE match_id IN (SELECT match_id FROM ")
            .text(selection.table(PLAYER_MATCHES))
            .text(" WHERE 1")
            .then(selection.player_conditions())
            .then(of_players("player_id", player_ids))
            .text(")");
    }
    sql.text(" GROUP BY match_id) AS decided USING (match_id) GROUP BY who")
}

/// `player_id, killstreak` of the selected part of players' kills and deaths, which are counted on from one death to the next.
pub(super) fn killstreaks(
    selection: &Selection,
    player_ids: Option<Vec<String>>,
    in_match: Option<&OutcomeRow>,
) -> Sql {
    let table = match (in_match, &player_ids) {
        (Some(_), _) => COMBAT.daily,
        // It tells days too, and finds a player's by key.
        (None, Some(_)) => COMBAT.overall,
        (None, None) => selection.table(COMBAT),
    };
    let mut conditions = selection.daily_conditions();
    if let Some(player_ids) = player_ids {
        conditions = conditions.then(of_players("player_id", &player_ids));
    }
    if let Some(outcome) = in_match {
        conditions = conditions
            .text(" AND match_id = toUUID(?)")
            .bind(outcome.match_id.to_string())
            .then(outcome.on_its_days());
    }
    Sql::new("SELECT who AS player_id, max(best_in_match) AS killstreak FROM (")
        .then(killstreaks_by_match(table, conditions))
        .text(") GROUP BY who")
}

/// `who, match_id, best_in_match` of the rows of `table`, which is one of [`COMBAT`]'s, that meet `conditions`.
pub(super) fn killstreaks_by_match(table: &str, conditions: Sql) -> Sql {
    Sql::new("SELECT ")
        .text(&canonical("player_id"))
        .text(
            " AS who, match_id, toUInt64(arrayMax(arrayCumSumNonNegative(arrayMap(entry -> if(entry.5, 1, -4294967296), arraySort(\
             groupArray((ifNull(level_time, 0), event_at, spool_seq, spool_index, is_kill))))))) AS best_in_match FROM ",
        )
        .text(table)
        .text(" WHERE 1")
        .then(conditions)
        .text(" GROUP BY who, match_id")
}

impl Stats {
    pub(super) async fn careers_of(
        &self,
        selection: &Selection,
        player_ids: Vec<String>,
    ) -> Result<HashMap<String, Career>, ApiError> {
        if player_ids.is_empty() {
            return Ok(HashMap::new());
        }
        let rows: Vec<CareerRow> = self.rows(careers(selection, Some(&player_ids))).await?;
        let career = |row: &CareerRow| Career {
            matches_played: row.matches_played,
            matches_won: row.matches_won,
            playtime_seconds: row.playtime_seconds,
        };
        Ok(rows.into_iter().map(|row| (row.player_id.clone(), career(&row))).collect())
    }

    pub(super) async fn killstreaks_in_match(
        &self,
        outcome: &OutcomeRow,
    ) -> Result<HashMap<String, u64>, ApiError> {
        let everything = Selection { bots: super::Bots::With, ..Selection::default() };
        let rows: Vec<StreakRow> = self.rows(killstreaks(&everything, None, Some(outcome))).await?;
        Ok(rows.into_iter().map(|row| (row.player_id, row.killstreak)).collect())
    }

    pub(super) async fn best_killstreak(
        &self,
        selection: &Selection,
        player_id: &str,
    ) -> Result<u64, ApiError> {
        let sql = killstreaks(selection, Some(vec![player_id.to_owned()]), None);
        let rows: Vec<StreakRow> = self.rows(sql).await?;
        Ok(rows.first().map_or(0, |row| row.killstreak))
    }
}
