//! Where kills happened: counts on a grid of square cells, of a map or of one match.
//!
//! A map's grid is read from `kill_heatmap`, whose cells of 32 map units are added up to those that were asked for; a
//! match's from `raw_events`, by its primary key. Both begin at the world's origin, so that cells of equal size are the
//! same ones everywhere.

use clickhouse::Row;
use mohaa_domain::player::PlayerId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Stats;
use super::matches::{OutcomeRow, word_or_none};
use super::query::Sql;
use super::selection::Selection;
use crate::http::ApiError;

/// Side of a stored cell, in map units; see `clickhouse/0002_rollups.sql`.
pub const SMALLEST_CELL: i32 = 32;
/// Some twenty metres: larger than any room.
pub const LARGEST_CELL: i32 = 1024;
/// What an answer holds at most (700 kB of JSON). A map of 16,384 units has no more cells of 128.
pub const MOST_POINTS: usize = 20_000;

/// Whose position is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HeatKind {
    /// Where players stood when they killed.
    #[default]
    Kills,
    /// Where those stood whom they killed.
    Victims,
    /// Where players died, by whatever.
    Deaths,
}

impl HeatKind {
    pub const ALL: [HeatKind; 3] = [HeatKind::Kills, HeatKind::Victims, HeatKind::Deaths];

    pub fn as_str(self) -> &'static str {
        match self {
            HeatKind::Kills => "kills",
            HeatKind::Victims => "victims",
            HeatKind::Deaths => "deaths",
        }
    }

    /// For people.
    pub fn label(self) -> &'static str {
        match self {
            HeatKind::Kills => "Kills: where the killer stood",
            HeatKind::Victims => "Kills: where the victim stood",
            HeatKind::Deaths => "Deaths",
        }
    }

    pub fn from_word(word: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == word);
        found.ok_or_else(|| "must be kills, victims or deaths".to_owned())
    }
}

/// What of a map or match is asked about.
#[derive(Clone, Debug)]
pub struct HeatmapQuestion {
    pub kind: HeatKind,
    /// Side of a cell in map units, a multiple of [`SMALLEST_CELL`].
    pub cell_size: i32,
    /// Only this player's kills or deaths.
    pub player_id: Option<PlayerId>,
    /// Server, team, weapon, days and bots; of a match, team and weapon.
    pub selection: Selection,
}

/// A grid of counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Heatmap {
    /// Null for a match on a map that its server never named.
    pub map_name: Option<String>,
    /// kills (where the player stood), victims (where the player's victims stood) or deaths.
    #[schema(example = "kills")]
    pub kind: &'static str,
    /// Side of a cell in map units. Twice what was asked for, or four times and so on, where there would be more than
    /// 20,000 points.
    #[schema(example = 128)]
    pub cell_size: i32,
    /// What all points of the map lie in, whatever the kind and the filters, rounded to whole cells; all 0 where no
    /// position is known.
    pub bounds: HeatmapBounds,
    /// Cells with something in them, by y, then x.
    pub points: Vec<HeatmapPoint>,
}

/// A rectangle in map units: x grows to the east, y to the north.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct HeatmapBounds {
    pub min_x: i32,
    pub min_y: i32,
    pub max_x: i32,
    pub max_y: i32,
}

/// A cell and how often it happened there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct HeatmapPoint {
    /// Lower corner of the cell.
    pub x: i32,
    pub y: i32,
    pub count: u64,
}

impl Heatmap {
    pub fn total(&self) -> u64 {
        self.points.iter().map(|point| point.count).sum()
    }

    pub fn most_in_a_cell(&self) -> u64 {
        self.points.iter().map(|point| point.count).max().unwrap_or_default()
    }
}

#[derive(Clone, Copy, Row, Deserialize)]
struct CellRow {
    column: i32,
    line: i32,
    count: u64,
}

/// In cells of [`SMALLEST_CELL`]; of `cells` none, the rest means nothing.
#[derive(Clone, Copy, Row, Deserialize)]
struct ExtentRow {
    cells: u64,
    first_column: i32,
    last_column: i32,
    first_line: i32,
    last_line: i32,
}

#[derive(Clone, Row, Deserialize)]
struct MapRow {
    map_name: String,
}

impl Stats {
    /// A map's grid.
    ///
    /// # Errors
    /// 404 for a map that nobody ever played.
    pub async fn map_heatmap(&self, map_name: &str, question: &HeatmapQuestion) -> Result<Heatmap, ApiError> {
        let player_ids = self.ids_asked_for(question).await?;
        let days = match &player_ids {
            Some(ids) => self.seen_if_ever(ids).await?.map(|seen| seen.days),
            None => None,
        };
        let question = &HeatmapQuestion {
            selection: Selection { days, ..question.selection.clone() },
            ..question.clone()
        };
        let cells = |cell_size| cells_of_map(map_name, question, player_ids.clone(), cell_size);
        let (_, extent, (cell_size, rows)) = tokio::try_join!(
            self.require_map(map_name),
            self.extent_of_map(map_name),
            self.bounded_cells(question.cell_size, cells),
        )?;
        Ok(heatmap(Some(map_name.to_owned()), question.kind, cell_size, extent, &rows))
    }

    /// A match's grid, with everybody who took part: bots and guests too, as on its scoreboard. The match is named by our
    /// id, or by what its server called it.
    pub async fn match_heatmap(&self, id: &str, question: &HeatmapQuestion) -> Result<Heatmap, ApiError> {
        let outcome = self.find_match(id).await?;
        let player_ids = self.ids_asked_for(question).await?;
        let cells = |cell_size| cells_of_match(&outcome, question, player_ids.clone(), cell_size);
        let (extent, (cell_size, rows)) = tokio::try_join!(
            self.extent_of_map(&outcome.map_name),
            self.bounded_cells(question.cell_size, cells),
        )?;
        Ok(heatmap(word_or_none(outcome.map_name.clone()), question.kind, cell_size, extent, &rows))
    }

    /// The maps that a player was seen on, the most fought on first. Served by the primary key of
    /// `player_map_totals`, which begins with the player.
    pub async fn maps_of_player(&self, player_id: &PlayerId) -> Result<Vec<String>, ApiError> {
        let person = self.person(player_id.as_str()).await?;
        let sql = Sql::new(
            "SELECT toString(player_map_totals.map_name) AS map_name FROM player_map_totals WHERE player_id IN ? \
             AND map_name != '' GROUP BY map_name ORDER BY sum(kills) + sum(deaths) DESC, map_name LIMIT 100",
        );
        let rows: Vec<MapRow> = self.rows(sql.bind(person.ids)).await?;
        Ok(rows.into_iter().map(|row| row.map_name).collect())
    }

    async fn ids_asked_for(&self, question: &HeatmapQuestion) -> Result<Option<Vec<String>>, ApiError> {
        match &question.player_id {
            Some(player_id) => Ok(Some(self.person(player_id.as_str()).await?.ids)),
            None => Ok(None),
        }
    }

    /// Everything that was ever stored of a map. Served by `map_extents`, a row for each map.
    async fn extent_of_map(&self, map_name: &str) -> Result<ExtentRow, ApiError> {
        let sql = Sql::new(
            "SELECT sum(map_extents.count) AS cells, min(map_extents.first_column) AS first_column, \
             max(map_extents.last_column) AS last_column, min(map_extents.first_line) AS first_line, \
             max(map_extents.last_line) AS last_line FROM map_extents WHERE map_name = ?",
        );
        self.row(sql.bind(map_name)).await
    }

    /// The cells that `statement` gives for a size, of the first size from `cell_size` on at which they are not too many.
    /// That is mostly the first one, and at most the tenth: positions end a million units from the origin.
    async fn bounded_cells(
        &self,
        cell_size: i32,
        statement: impl Fn(i32) -> Sql,
    ) -> Result<(i32, Vec<CellRow>), ApiError> {
        let mut cell_size = cell_size;
        loop {
            let sql = statement(cell_size)
                .text(" GROUP BY column, line ORDER BY line, column LIMIT ?")
                .bind(MOST_POINTS as i64 + 1);
            let rows: Vec<CellRow> = self.rows(sql).await?;
            if rows.len() <= MOST_POINTS {
                return Ok((cell_size, rows));
            }
            cell_size *= 2;
        }
    }
}

/// Served by the primary keys of `map_cells`, `weapon_cells`, `server_cells` and `player_cells`, or where days are asked for, or a
/// player's weapons or servers, by that of `kill_heatmap`: map, kind, player.
fn cells_of_map(
    map_name: &str,
    question: &HeatmapQuestion,
    player_ids: Option<Vec<String>>,
    cell_size: i32,
) -> Sql {
    let selection = &question.selection;
    let stored_cells = i64::from(cell_size / SMALLEST_CELL);
    let table = match (&player_ids, selection.server_id, &selection.weapon) {
        _ if selection.names_days() => "kill_heatmap",
        (None, None, None) => "map_cells",
        (None, None, Some(_)) => "weapon_cells",
        (None, Some(_), _) => "server_cells",
        (Some(_), None, None) => "player_cells",
        (Some(_), ..) => "kill_heatmap",
    };
    let mut sql = Sql::new(
        "SELECT toInt32(floor(cell_x / ?)) AS column, toInt32(floor(cell_y / ?)) AS line, \
         sum(stored.count) AS count FROM ",
    )
    .text(table)
    .text(" AS stored WHERE map_name = ? AND kind = ?")
    .bind(stored_cells)
    .bind(stored_cells)
    .bind(map_name)
    .bind(question.kind.as_str());
    if let Some(player_ids) = player_ids {
        sql = sql.text(" AND player_id IN ?").bind(player_ids);
        if table == "kill_heatmap" {
            sql = sql.then(selection.known_days_condition());
        }
    }
    sql.then(side_and_weapon(selection)).then(selection.player_conditions())
}

/// What `kill_heatmap_mv` does, for one match. Served as [`OutcomeRow::its_events`] says.
fn cells_of_match(
    outcome: &OutcomeRow,
    question: &HeatmapQuestion,
    player_ids: Option<Vec<String>>,
    cell_size: i32,
) -> Sql {
    // Column names only.
    let (who, side, x, y, what) = match question.kind {
        HeatKind::Kills => ("player_id", "player_team", "player_x", "player_y", "kill_kind = 'kill'"),
        HeatKind::Victims => ("player_id", "player_team", "target_x", "target_y", "kill_kind = 'kill'"),
        HeatKind::Deaths => ("target_id", "target_team", "target_x", "target_y", "kill_kind != ''"),
    };
    let mut sql = Sql::new(&format!(
        "SELECT toInt32(floor(assumeNotNull({x}) / ?)) AS column, toInt32(floor(assumeNotNull({y}) / ?)) AS line, \
         count() AS count FROM raw_events"
    ))
    .bind(i64::from(cell_size))
    .bind(i64::from(cell_size))
    .then(outcome.its_events())
    .text(&format!(" AND {what} AND {who} != '' AND abs({x}) <= 1000000 AND abs({y}) <= 1000000"));
    if let Some(player_ids) = player_ids {
        sql = sql.text(&format!(" AND {who} IN ?")).bind(player_ids);
    }
    if let Some(team) = question.selection.team {
        sql = sql.text(&format!(" AND {side} = ?")).bind(team.as_str());
    }
    if let Some(weapon) = &question.selection.weapon {
        sql = sql.text(" AND weapon = ?").bind(weapon.as_str());
    }
    sql
}

fn side_and_weapon(selection: &Selection) -> Sql {
    let mut sql = Sql::default();
    if let Some(team) = selection.team {
        sql = sql.text(" AND team = ?").bind(team.as_str());
    }
    if let Some(weapon) = &selection.weapon {
        sql = sql.text(" AND weapon = ?").bind(weapon.as_str());
    }
    sql
}

fn heatmap(
    map_name: Option<String>,
    kind: HeatKind,
    cell_size: i32,
    extent: ExtentRow,
    rows: &[CellRow],
) -> Heatmap {
    let points: Vec<HeatmapPoint> = rows
        .iter()
        .map(|row| HeatmapPoint { x: row.column * cell_size, y: row.line * cell_size, count: row.count })
        .collect();
    Heatmap { map_name, kind: kind.as_str(), cell_size, bounds: bounds(extent, cell_size, &points), points }
}

/// Around the map's extent and the points, which the roll-up lacks while the map's name isn't known yet.
fn bounds(extent: ExtentRow, cell_size: i32, points: &[HeatmapPoint]) -> HeatmapBounds {
    let lower = |cell: i32| (cell * SMALLEST_CELL).div_euclid(cell_size) * cell_size;
    let of_map = (extent.cells > 0).then(|| HeatmapBounds {
        min_x: lower(extent.first_column),
        min_y: lower(extent.first_line),
        max_x: lower(extent.last_column) + cell_size,
        max_y: lower(extent.last_line) + cell_size,
    });
    let of_points = points.iter().map(|point| HeatmapBounds {
        min_x: point.x,
        min_y: point.y,
        max_x: point.x + cell_size,
        max_y: point.y + cell_size,
    });
    let around = |one: HeatmapBounds, other: HeatmapBounds| HeatmapBounds {
        min_x: one.min_x.min(other.min_x),
        min_y: one.min_y.min(other.min_y),
        max_x: one.max_x.max(other.max_x),
        max_y: one.max_y.max(other.max_y),
    };
    of_map.into_iter().chain(of_points).reduce(around).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_whole_cells_around_everything() {
        let extent = ExtentRow { cells: 2, first_column: -1, last_column: 4, first_line: 0, last_line: 0 };
        let around = bounds(extent, 128, &[HeatmapPoint { x: 256, y: -128, count: 1 }]);
        assert_eq!(around, HeatmapBounds { min_x: -128, min_y: -128, max_x: 384, max_y: 128 });
        let nothing = ExtentRow { cells: 0, first_column: 0, last_column: 0, first_line: 0, last_line: 0 };
        assert_eq!(bounds(nothing, 128, &[]), HeatmapBounds::default());
    }
}
