//! Accuracy with one weapon: known where every hit of the player has a weapon.
//!
//! Some servers send hits that name none, and the tracker can't always tell it (no shot was seen before, or it was
//! stored before the tracker did). Any of a player's weapons may be short of such hits, so none has an accuracy then.

use std::collections::HashSet;

use clickhouse::Row;
use serde::Deserialize;

use super::Stats;
use super::people::{canonical, of_players};
use super::query::Sql;
use super::ratio::percent;
use super::selection::{PLAYER_STATS, Selection, Sums, WEAPON_STATS};
use crate::http::ApiError;

#[derive(Clone, Row, Deserialize)]
struct PlayerRow {
    player_id: String,
}

/// `player_id` of those with more hits than their weapons have, in the selected part of players' and weapons' sums.
pub(super) fn players_with_unassigned_hits(selection: &Selection, player_ids: Option<Vec<String>>) -> Sql {
    let hits_by_player = |sums: Sums| {
        let mut sql = Sql::new("SELECT ")
            .text(&canonical("player_id"))
            .text(" AS who, sum(shots_hit) AS hits FROM ")
            .text(selection.table(sums))
            .text(" WHERE 1");
        sql = sql.then(selection.daily_conditions());
        if let Some(player_ids) = &player_ids {
            sql = sql.then(of_players("player_id", player_ids));
        }
        sql.text(" GROUP BY who")
    };
    Sql::new("SELECT everything.who AS player_id FROM (")
        .then(hits_by_player(PLAYER_STATS))
        .text(") AS everything LEFT JOIN (")
        .then(hits_by_player(WEAPON_STATS))
        .text(") AS weapons USING (who) WHERE everything.hits > weapons.hits")
}

/// Percent of shots; none where nothing was fired, or some of the player's hits have no weapon.
pub(super) fn weapon_accuracy(shots_hit: u64, shots_fired: u64, has_unassigned_hits: bool) -> Option<f64> {
    (shots_fired > 0 && !has_unassigned_hits).then(|| percent(shots_hit, shots_fired))
}

impl Stats {
    pub(super) async fn with_unassigned_hits(
        &self,
        selection: &Selection,
        player_ids: Vec<String>,
    ) -> Result<HashSet<String>, ApiError> {
        if player_ids.is_empty() {
            return Ok(HashSet::new());
        }
        let rows: Vec<PlayerRow> =
            self.rows(players_with_unassigned_hits(selection, Some(player_ids))).await?;
        Ok(rows.into_iter().map(|row| row.player_id).collect())
    }
}
