//! One server: what was played on it, by whom, and when it was busy.

pub mod answers;
pub(super) mod handlers;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use clickhouse::Row;
use serde::Deserialize;
use uuid::Uuid;

use self::answers::{HourOfServer, ServerAnswer, ServerMap};
use super::Stats;
use super::leaderboard::BoardQuestion;
use super::matches::match_conditions;
use super::people::canonical;
use super::query::Sql;
use super::selection::{PLAYER_STATS, Selection};
use crate::http::ApiError;
use crate::http::query::Paging;
use crate::servers::KnownServer;

const TOP_PLAYERS: u32 = 10;
const MOST_MAPS: i64 = 25;

/// How far back activity is told. Not the calendar's day: just after midnight that is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Span {
    #[default]
    Day,
    Week,
    Month,
}

impl Span {
    pub const ALL: [Span; 3] = [Span::Day, Span::Week, Span::Month];

    pub fn as_str(self) -> &'static str {
        match self {
            Span::Day => "day",
            Span::Week => "week",
            Span::Month => "month",
        }
    }

    pub fn from_word(word: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|span| span.as_str() == word);
        found.ok_or_else(|| "must be day, week or month".to_owned())
    }

    /// Hours, with the current one. A month is the longest one.
    fn hours(self) -> i32 {
        match self {
            Span::Day => 24,
            Span::Week => 7 * 24,
            Span::Month => 31 * 24,
        }
    }
}

#[derive(Clone, Row, Deserialize)]
struct MatchesRow {
    matches: u64,
    #[serde(with = "clickhouse::serde::chrono::datetime64::millis")]
    last_activity: DateTime<Utc>,
}

#[derive(Clone, Row, Deserialize)]
struct CountRow {
    count: u64,
}

#[derive(Clone, Row, Deserialize)]
struct MapRow {
    map_name: String,
    plays: u64,
    #[serde(with = "clickhouse::serde::chrono::datetime64::millis")]
    last_played: DateTime<Utc>,
}

#[derive(Clone, Row, Deserialize)]
struct HourRow {
    #[serde(with = "clickhouse::serde::chrono::datetime")]
    hour: DateTime<Utc>,
    players: u64,
    events: u64,
}

impl Stats {
    /// One server; nobody is on, as far as is stored. `known` is what PostgreSQL says of it.
    ///
    /// # Errors
    /// 404 for one that is not known and never sent anything.
    pub(super) async fn server(
        &self,
        server_id: Uuid,
        known: Option<&KnownServer>,
        span: Span,
    ) -> Result<ServerAnswer, ApiError> {
        let selection = Selection { server_id: Some(server_id), ..Selection::default() };
        let paging = Paging { page: 1, limit: TOP_PLAYERS };
        let board = BoardQuestion { selection: selection.clone(), paging, ..BoardQuestion::default() };
        let (matches, kills, players, board, maps, activity) = tokio::try_join!(
            self.matches_of_server(server_id),
            self.kills_on_server(&selection),
            self.players_of_server(server_id),
            self.leaderboard(&board),
            self.maps_of_server(&selection),
            self.activity_of_server(server_id, span),
        )?;
        if known.is_none() && matches.matches == 0 {
            return Err(ApiError::not_found("unknown_server", "there is no such server"));
        }
        let name = match known {
            Some(known) => known.name.clone(),
            None => self.server_names([server_id]).await.remove(&server_id).unwrap_or_default(),
        };
        let map = |row: MapRow| ServerMap {
            map_name: row.map_name,
            plays: row.plays,
            last_played: row.last_played,
        };
        Ok(ServerAnswer {
            server_id,
            name,
            address: known.and_then(KnownServer::join_address),
            online: known.is_some_and(|known| known.is_online(Utc::now())),
            map_name: None,
            player_count: None,
            total_matches: matches.matches,
            total_kills: kills,
            unique_players: players,
            last_activity: (matches.matches > 0).then_some(matches.last_activity),
            top_players: board.players,
            maps: maps.into_iter().map(map).collect(),
            activity,
        })
    }

    /// Reads the whole of `match_totals`, a row for each match.
    async fn matches_of_server(&self, server_id: Uuid) -> Result<MatchesRow, ApiError> {
        let sql = Sql::new(
            "SELECT uniqExact(match_id) AS matches, max(match_totals.updated_at) AS last_activity FROM match_totals \
             WHERE server_id = toUUID(?)",
        );
        self.row(sql.bind(server_id.to_string())).await
    }

    /// Served by `player_totals`, as boards of a server are.
    async fn kills_on_server(&self, selection: &Selection) -> Result<u64, ApiError> {
        let sql = Sql::new("SELECT sum(totals.kills) AS count FROM ")
            .text(selection.table(PLAYER_STATS))
            .text(" AS totals WHERE 1")
            .then(selection.daily_conditions());
        Ok(self.row::<CountRow>(sql).await?.count)
    }

    /// Served by the primary key of `server_players`: server, player.
    async fn players_of_server(&self, server_id: Uuid) -> Result<u64, ApiError> {
        let sql = Sql::new("SELECT uniqExact(")
            .text(&canonical("player_id"))
            .text(") AS count FROM server_players WHERE server_id = toUUID(?) AND NOT is_bot")
            .bind(server_id.to_string());
        Ok(self.row::<CountRow>(sql).await?.count)
    }

    async fn maps_of_server(&self, selection: &Selection) -> Result<Vec<MapRow>, ApiError> {
        let columns = "map_name, count() AS plays, max(updated_at) AS last_played";
        let sql = self
            .outcome_rows_sql(
                columns,
                Sql::default(),
                Sql::new(" AND map_name != ''").then(match_conditions(selection)),
            )
            .text(" GROUP BY map_name ORDER BY plays DESC, last_played DESC, map_name LIMIT ?")
            .bind(MOST_MAPS);
        self.rows(sql).await
    }

    /// Served by the primary key of `server_players_hourly`: server, hour.
    async fn activity_of_server(&self, server_id: Uuid, span: Span) -> Result<Vec<HourOfServer>, ApiError> {
        let current = self.now().duration_trunc(TimeDelta::hours(1)).map_err(ApiError::internal)?;
        let first = current - TimeDelta::hours(i64::from(span.hours() - 1));
        let sql = Sql::new("SELECT hour, uniqExactIf(")
            .text(&canonical("player_id"))
            .text(
                ", player_id != '' AND NOT is_bot) AS players, \
                 sumIf(server_players_hourly.events, player_id = '') AS events FROM server_players_hourly \
                 WHERE server_id = toUUID(?) AND hour >= toDateTime(?, 'UTC') GROUP BY hour ORDER BY hour",
            )
            .bind(server_id.to_string())
            .bind(first.timestamp());
        let rows: Vec<HourRow> = self.rows(sql).await?;
        let of_hour = |offset: i32| {
            let hour = first + TimeDelta::hours(i64::from(offset));
            let found = rows.binary_search_by_key(&hour, |row| row.hour).ok().map(|at| &rows[at]);
            HourOfServer {
                hour,
                players: found.map_or(0, |row| row.players),
                events: found.map_or(0, |row| row.events),
            }
        };
        Ok((0..span.hours()).map(of_hour).collect())
    }
}
