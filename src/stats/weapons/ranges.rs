//! How far away victims stood: steps of the roll-up `kill_distances` as answers tell them.

use std::collections::HashMap;

use clickhouse::Row;
use serde::Deserialize;

use super::answers::{RangeStep, Ranges};
use crate::http::ApiError;
use crate::stats::Stats;
use crate::stats::query::Sql;
use crate::stats::ratio::round;
use crate::stats::selection::Selection;

/// As `clickhouse/0008_kill_distances.sql` steps.
const STEP_METRES: u16 = 5;
const DAILY: &str = "kill_distances";
/// Where the last step begins, which has no end.
const LAST_STEP_METRES: u16 = 500;

/// Metres of kills with known places.
#[derive(Clone, Copy, Debug)]
pub(in crate::stats) struct Distances {
    pub average_metres: f64,
    pub longest_metres: f64,
}

#[derive(Clone, Row, Deserialize)]
struct StepRow {
    metres: u16,
    kills: u64,
}

#[derive(Clone, Row, Deserialize)]
struct DistancesRow {
    weapon: String,
    kills: u64,
    metres: f64,
    longest: f64,
}

/// Where distances in all hands are read: a row for each weapon and step, unless days, servers, maps, game types or sides are
/// asked for.
fn table(selection: &Selection) -> &'static str {
    if is_overall(selection) { "weapon_ranges" } else { DAILY }
}

/// Whether these tables' few columns can tell.
fn is_overall(selection: &Selection) -> bool {
    !selection.names_days() && selection.server_id.is_none() && !selection.tells_maps_apart()
}

/// The selected part of the distances in `table` by weapon; `whose` are more conditions.
fn distances_in(table: &str, selection: &Selection, whose: Sql) -> Sql {
    Sql::new(
        "SELECT toString(measured.weapon) AS weapon, sum(measured.kills) AS kills, \
         toFloat64(sum(measured.distance)) AS metres, toFloat64(max(measured.longest)) AS longest FROM ",
    )
    .text(table)
    .text(" AS measured WHERE measured.weapon != ''")
    .then(selection.daily_conditions())
    .then(whose)
    .text(" GROUP BY weapon")
}

/// Average and longest as answers show them.
pub(super) fn shown(kills: u64, metres: f64, longest: f64) -> Option<Distances> {
    let of_kills = |kills| Distances {
        average_metres: round(metres / kills as f64, 1),
        longest_metres: round(longest, 1),
    };
    (kills > 0).then(|| of_kills(kills))
}

/// The selected part of distances in all hands by weapon.
pub(super) fn distances(selection: &Selection) -> Sql {
    distances_in(table(selection), selection, Sql::default())
}

impl Stats {
    /// By the primary key of `weapon_ranges` or `kill_distances`, which begins with the weapon.
    pub(super) async fn ranges(&self, weapon: &str, selection: &Selection) -> Result<Ranges, ApiError> {
        let sql = Sql::new("SELECT metres, sum(measured.kills) AS kills FROM ")
            .text(table(selection))
            .text(" AS measured WHERE measured.weapon = ?")
            .bind(weapon)
            .then(selection.daily_conditions())
            .text(" GROUP BY metres ORDER BY metres");
        let rows: Vec<StepRow> = self.rows(sql).await?;
        let counted: Vec<(u16, u64)> = rows.iter().map(|row| (row.metres, row.kills)).collect();
        Ok(without_gaps(&counted))
    }

    /// A player's distances by weapon. Served by the primary key of `player_ranges`, or `kill_distances`, in which there are few weapons before
    /// the player.
    pub(in crate::stats) async fn distances_of_player(
        &self,
        ids: &[String],
        selection: &Selection,
    ) -> Result<HashMap<String, Distances>, ApiError> {
        let whose = Sql::new(" AND player_id IN ?").bind(ids.to_vec());
        let sql = match is_overall(selection) {
            true => distances_in("player_ranges", selection, whose),
            false => distances_in(DAILY, selection, whose.then(selection.known_days_condition())),
        };
        let rows: Vec<DistancesRow> = self.rows(sql).await?;
        let told = |row: DistancesRow| Some((row.weapon, shown(row.kills, row.metres, row.longest)?));
        Ok(rows.into_iter().filter_map(told).collect())
    }
}

/// Steps with kills, in their order, with the empty ones before and between them.
fn without_gaps(counted: &[(u16, u64)]) -> Ranges {
    let furthest = counted.iter().map(|(metres, _)| *metres).max();
    let step = |from: u16| RangeStep {
        from_metres: from,
        to_metres: (from < LAST_STEP_METRES).then_some(from + STEP_METRES),
        kills: counted.iter().filter(|(metres, _)| *metres == from).map(|(_, kills)| kills).sum(),
    };
    let starts = furthest.into_iter().flat_map(|furthest| (0..=furthest).step_by(STEP_METRES.into()));
    Ranges { kills: counted.iter().map(|(_, kills)| kills).sum(), steps: starts.map(step).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_steps_are_told_and_the_last_one_has_no_end() {
        let ranges = without_gaps(&[(5, 2), (15, 1)]);
        let steps: Vec<(u16, Option<u16>, u64)> =
            ranges.steps.iter().map(|step| (step.from_metres, step.to_metres, step.kills)).collect();
        assert_eq!(steps, [(0, Some(5), 0), (5, Some(10), 2), (10, Some(15), 0), (15, Some(20), 1)]);
        assert_eq!(ranges.kills, 3);
        assert_eq!(without_gaps(&[]), Ranges { kills: 0, steps: Vec::new() });
        let far = without_gaps(&[(500, 1)]).steps;
        assert_eq!((far.len(), far[100].to_metres, far[99].to_metres), (101, None, Some(500)));
    }
}
