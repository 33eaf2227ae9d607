//! Ratings, as ClickHouse's copy of them has it (`crate::ratings` works them out). A rating is of a person over all that
//! they ever played: no filter changes it, filters only choose who is asked about.

use std::collections::HashMap;

use clickhouse::Row;
use mohaa_domain::rating::{Rating, is_provisional};
use serde::Deserialize;

use super::Stats;
use super::answers::{PlayerRating, RATING_DECIMALS};
use super::query::Sql;
use super::ratio::round;
use crate::http::ApiError;

/// What ratings rank by, over columns of `player_ratings`: what `Rating::low` is.
pub(super) const LOW: &str = "player_ratings.value - 3 * player_ratings.deviation";

#[derive(Clone, Row, Deserialize)]
struct OwnRow {
    own_value: f64,
    own_deviation: f64,
    own_matches: u32,
    stronger: u64,
}

#[derive(Clone, Row, Deserialize)]
struct RatingRow {
    player_id: String,
    value: f64,
    deviation: f64,
    matches: u32,
}

/// A rating and how many matches it is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct KnownRating {
    pub(super) rating: Rating,
    pub(super) matches: u32,
}

/// `player_id, rating` of everybody who has one.
pub(super) fn rated_players() -> Sql {
    Sql::new("SELECT player_ratings.player_id AS player_id, ")
        .text(LOW)
        .text(" AS rating FROM player_ratings FINAL WHERE player_ratings.matches > 0")
}

impl Stats {
    /// Served by the primary key of `player_ratings`.
    pub(super) async fn ratings_of(
        &self,
        player_ids: Vec<String>,
    ) -> Result<HashMap<String, KnownRating>, ApiError> {
        if player_ids.is_empty() {
            return Ok(HashMap::new());
        }
        let sql = Sql::new(
            "SELECT player_id, value, deviation, matches FROM player_ratings FINAL WHERE player_id IN ? AND matches > 0",
        );
        let rows: Vec<RatingRow> = self.rows(sql.bind(player_ids)).await?;
        let known = |row: RatingRow| {
            let rating = Rating { value: row.value, deviation: row.deviation };
            (row.player_id, KnownRating { rating, matches: row.matches })
        };
        Ok(rows.into_iter().map(known).collect())
    }

    /// A person's rating and their rank among all who have one; nothing before their first rated match. Reads the whole
    /// of `player_ratings`, a row for each person.
    pub(crate) async fn rating_of(&self, player_id: &str) -> Result<Option<PlayerRating>, ApiError> {
        let sql = Sql::new("WITH (SELECT ")
            .text(LOW)
            .text(
                " FROM player_ratings FINAL WHERE player_ratings.player_id = ? AND player_ratings.matches > 0) AS own \
                 SELECT anyIf(player_ratings.value, player_ratings.player_id = ?) AS own_value, \
                 anyIf(player_ratings.deviation, player_ratings.player_id = ?) AS own_deviation, \
                 anyIf(player_ratings.matches, player_ratings.player_id = ?) AS own_matches, \
                 countIf(",
            )
            .text(LOW)
            .text(
                " > own) AS stronger FROM player_ratings FINAL WHERE player_ratings.matches > 0 \
                 HAVING own_matches > 0",
            );
        let sql = (0..4).fold(sql, |sql, _| sql.bind(player_id));
        let rows: Vec<OwnRow> = self.rows(sql).await?;
        Ok(rows.into_iter().next().map(|row| {
            let rating = Rating { value: row.own_value, deviation: row.own_deviation };
            PlayerRating::of(rating, row.own_matches, row.stronger + 1)
        }))
    }
}

impl PlayerRating {
    fn of(rating: Rating, matches: u32, rank: u64) -> Self {
        let shown = |figure| round(figure, RATING_DECIMALS);
        Self {
            value: shown(rating.value),
            deviation: shown(rating.deviation),
            low: shown(rating.low()),
            high: shown(rating.high()),
            matches,
            provisional: is_provisional(matches),
            rank,
        }
    }
}
