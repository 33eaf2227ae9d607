//! Which ids are one person: those that a user linked, that an admin merged, or that were made anonymous. Events and
//! roll-ups keep the ids under which they came; questions bring them together by the table `player_links`.

use clickhouse::Row;
use serde::Deserialize;

use super::Stats;
use super::query::Sql;
use crate::http::ApiError;

/// Beginning of the ids of players whose names are not shown.
pub use mohaa_domain::player::ANONYMOUS_PREFIX;
pub(super) const ANONYMOUS_NAME: &str = "Anonymous";

/// Defines `links` for [`canonical`]: two arrays, of ids and of whom they stand for. It is worked out once a statement.
pub(super) const WITH_LINKS: &str = "WITH (SELECT (arrayConcat([''], groupArray(player_links.player_id)), \
    arrayConcat([''], groupArray(player_links.canonical_id))) FROM player_links FINAL \
    WHERE player_links.player_id != player_links.canonical_id) AS links ";

/// Whoever an id stands for, of a column.
pub(super) fn canonical(column: &str) -> String {
    format!("transform({column}, links.1, links.2, {column})")
}

/// ` AND …`: every id that stands for one of these players. Served by a primary key that begins with the column.
pub(super) fn of_players(column: &str, canonical_ids: &[String]) -> Sql {
    Sql::new(" AND ")
        .text(column)
        .text(
            " IN (SELECT arrayJoin(?) AS id UNION ALL SELECT player_links.player_id FROM player_links FINAL \
               WHERE player_links.canonical_id IN ?)",
        )
        .bind(canonical_ids.to_vec())
        .bind(canonical_ids.to_vec())
}

/// A player, and every id that stands for them.
#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) canonical_id: String,
    pub(super) ids: Vec<String>,
}

#[derive(Clone, Row, Deserialize)]
struct IdRow {
    id: String,
}

impl Stats {
    /// Whom an id stands for: itself, mostly.
    ///
    /// # Errors
    /// 404 for an id that was made anonymous: it leads to nobody any more.
    pub(super) async fn person(&self, player_id: &str) -> Result<Person, ApiError> {
        let sql =
            Sql::new("SELECT canonical_id AS id FROM player_links FINAL WHERE player_id = ?").bind(player_id);
        let found: Vec<IdRow> = self.rows(sql).await?;
        let canonical_id = found.into_iter().next().map_or_else(|| player_id.to_owned(), |row| row.id);
        if canonical_id.starts_with(ANONYMOUS_PREFIX) && canonical_id != player_id {
            return Err(super::player::unknown_player());
        }
        let sql = Sql::new(
            "SELECT player_id AS id FROM player_links FINAL WHERE canonical_id = ? AND player_id != canonical_id",
        )
        .bind(canonical_id.as_str());
        let linked: Vec<IdRow> = self.rows(sql).await?;
        let mut ids = vec![canonical_id.clone()];
        ids.extend(linked.into_iter().map(|row| row.id));
        Ok(Person { canonical_id, ids })
    }
}
