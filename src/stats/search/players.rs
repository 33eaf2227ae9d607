//! Players by a name that they bear or bore.
//!
//! Served by the column `name_key` of `player_aliases`, read whole: names without colour codes, in lower case. An index of
//! parts of words would not help: each granule of 8,192 names holds nearly every one. Guests are strangers who may be
//! called like anybody, and players whose names were taken away are not found by one; neither is ever shown.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use clickhouse::Row;
use mohaa_domain::name::strip_colors;
use serde::Deserialize;

use super::answers::FoundPlayer;
use crate::http::ApiError;
use crate::stats::people::{ANONYMOUS_PREFIX, canonical, of_players};
use crate::stats::query::Sql;
use crate::stats::selection::Selection;
use crate::stats::{Stats, names::PlayerName};

const MOST_FOUND: usize = 20;
/// Of those whose names fit best: whoever was on last among them is told by a second question.
const MOST_CONSIDERED: i64 = 200;

#[derive(Clone, Row, Deserialize)]
struct FoundRow {
    player_id: String,
    fit: u8,
    found_name: String,
}

#[derive(Clone, Row, Deserialize)]
struct ActiveRow {
    who: String,
    #[serde(with = "clickhouse::serde::chrono::datetime64::millis")]
    last_active: DateTime<Utc>,
}

#[derive(Clone, Row, Deserialize)]
struct IdRow {
    who: String,
}

/// ` AND …`: neither a guest nor one without a name.
fn has_a_name_to_find() -> Sql {
    Selection::default()
        .guest_condition()
        .text(" AND NOT startsWith(")
        .text(&canonical("player_id"))
        .text(", ?)")
        .bind(ANONYMOUS_PREFIX)
}

impl Stats {
    /// Players with a name that holds `needle`: the same name first, then those that begin with it, then who was on last.
    pub(super) async fn players_named_like(&self, needle: &str) -> Result<Vec<FoundPlayer>, ApiError> {
        let sql = Sql::new("SELECT who AS player_id, min(how) AS fit, ")
            .text("argMin(player_name, (how, -toInt64(seen), player_name)) AS found_name FROM (SELECT ")
            .text(&canonical("player_id"))
            .text(
                " AS who, player_name, toUnixTimestamp64Milli(max(player_aliases.last_seen)) AS seen, \
                 toUInt8(multiIf(max(name_key) = lowerUTF8(?), 0, startsWith(max(name_key), lowerUTF8(?)), 1, 2)) AS how \
                 FROM player_aliases WHERE position(name_key, lowerUTF8(?)) > 0",
            )
            .bind(needle)
            .bind(needle)
            .bind(needle)
            .then(has_a_name_to_find())
            .text(" GROUP BY who, player_name) GROUP BY who ORDER BY fit, max(seen) DESC, player_id LIMIT ?")
            .bind(MOST_CONSIDERED);
        let rows: Vec<FoundRow> = self.rows(sql).await?;
        let player_ids: Vec<String> = rows.iter().map(|row| row.player_id.clone()).collect();
        let active = self.last_active(&player_ids).await?;
        let mut rows: Vec<(FoundRow, DateTime<Utc>)> = rows
            .into_iter()
            .filter_map(|row| active.get(&row.player_id).copied().map(|last_active| (row, last_active)))
            .collect();
        rows.sort_by(|(one, one_active), (other, other_active)| {
            (one.fit, other_active, &one.player_id).cmp(&(other.fit, one_active, &other.player_id))
        });
        rows.truncate(MOST_FOUND);
        let names = self.player_names(rows.iter().map(|(row, _)| row.player_id.clone()).collect()).await?;
        let player = |(row, last_active): (FoundRow, DateTime<Utc>)| {
            let PlayerName { plain, raw } = names.of(&row.player_id);
            FoundPlayer {
                player_id: row.player_id,
                player_name: plain,
                player_name_raw: raw,
                found_name: strip_colors(&row.found_name).trim().to_owned(),
                found_name_raw: row.found_name,
                last_active,
            }
        };
        Ok(rows.into_iter().map(player).collect())
    }

    /// Served by the primary key of `player_aliases`.
    async fn last_active(&self, player_ids: &[String]) -> Result<HashMap<String, DateTime<Utc>>, ApiError> {
        if player_ids.is_empty() {
            return Ok(HashMap::new());
        }
        let sql = Sql::new("SELECT ")
            .text(&canonical("player_id"))
            .text(" AS who, max(player_aliases.last_seen) AS last_active FROM player_aliases WHERE 1")
            .then(of_players("player_id", player_ids))
            .text(" GROUP BY who");
        let rows: Vec<ActiveRow> = self.rows(sql).await?;
        Ok(rows.into_iter().map(|row| (row.who, row.last_active)).collect())
    }

    /// Whoever was seen last under just this name; none where nobody was who can be found by one.
    pub(super) async fn player_named(&self, name: &str) -> Result<Option<String>, ApiError> {
        let sql = Sql::new("SELECT ")
            .text(&canonical("player_id"))
            .text(" AS who FROM player_aliases WHERE name_key = lowerUTF8(?)")
            .bind(name)
            .then(has_a_name_to_find())
            .text(" GROUP BY who ORDER BY max(player_aliases.last_seen) DESC, who LIMIT 1");
        let rows: Vec<IdRow> = self.rows(sql).await?;
        Ok(rows.into_iter().next().map(|row| row.who))
    }
}
