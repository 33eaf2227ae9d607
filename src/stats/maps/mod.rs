//! Maps: how often they are played, how sides fare there, and one map with its best players, weapons and servers.
//!
//! Plays, ends and durations are of matches, which count on the day they started; kills and players are of events, on the
//! day of the event, without those of bots unless asked for. A map without a name is none.

pub mod answers;
pub(super) mod handlers;
mod plays;

use std::collections::HashMap;

use chrono::{DateTime, Days, NaiveDate, Utc};
use clickhouse::Row;
use serde::Deserialize;
use uuid::Uuid;

use self::answers::{Balance, MapAnswer, MapFigures, MapList, MapServer};
use super::answers::WeaponKills;
use super::cache::Holds;
use super::leaderboard::BoardQuestion;
use super::matches::{MatchQuestion, match_conditions, on_days};
use super::names::weapon_name;
use super::people::canonical;
use super::query::Sql;
use super::selection::Selection;
use super::{Period, Stats};
use crate::http::ApiError;
use crate::http::query::{Format, Paging};

/// Players, weapons and matches on a map's page.
const TOP: u32 = 10;
const MOST_SERVERS: i64 = 25;

/// Which maps, in which order.
#[derive(Clone, Debug, Default)]
pub struct MapsQuestion {
    pub period: Period,
    /// Already narrowed to the period.
    pub selection: Selection,
    pub sort: MapSort,
    pub paging: Paging,
    pub format: Format,
}

/// What the list of maps is ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MapSort {
    #[default]
    Plays,
    Kills,
    Players,
    Duration,
    LastPlayed,
    Name,
}

impl MapSort {
    pub const ALL: [MapSort; 6] = [
        MapSort::Plays,
        MapSort::Kills,
        MapSort::Players,
        MapSort::Duration,
        MapSort::LastPlayed,
        MapSort::Name,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            MapSort::Plays => "plays",
            MapSort::Kills => "kills",
            MapSort::Players => "players",
            MapSort::Duration => "duration",
            MapSort::LastPlayed => "last_played",
            MapSort::Name => "name",
        }
    }

    /// As people read it.
    pub fn label(self) -> &'static str {
        match self {
            MapSort::Plays => "Plays",
            MapSort::Kills => "Kills",
            MapSort::Players => "Players",
            MapSort::Duration => "Average length",
            MapSort::LastPlayed => "Last played",
            MapSort::Name => "Name",
        }
    }

    pub fn from_word(word: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|sort| sort.as_str() == word);
        found.ok_or_else(|| format!("must be one of {}", Self::ALL.map(Self::as_str).join(", ")))
    }

    /// Over the columns of [`figures`]; the name decides between equal ones.
    fn order(self) -> &'static str {
        match self {
            MapSort::Plays => "plays DESC, map_name",
            MapSort::Kills => "kills DESC, map_name",
            MapSort::Players => "players DESC, map_name",
            MapSort::Duration => "average_duration DESC NULLS LAST, map_name",
            MapSort::LastPlayed => "last_played DESC, map_name",
            MapSort::Name => "map_name",
        }
    }
}

#[derive(Clone, Row, Deserialize)]
struct FiguresRow {
    map_name: String,
    plays: u64,
    allies: u64,
    axis: u64,
    draws: u64,
    average_duration: Option<f64>,
    #[serde(with = "clickhouse::serde::chrono::datetime64::millis")]
    last_played: DateTime<Utc>,
    kills: u64,
    players: u64,
    total: u64,
}

#[derive(Clone, Row, Deserialize)]
struct CountRow {
    total: u64,
}

#[derive(Clone, Row, Deserialize)]
struct DayRow {
    #[serde(with = "clickhouse::serde::chrono::date")]
    day: NaiveDate,
    plays: u64,
}

#[derive(Clone, Row, Deserialize)]
struct ServerRow {
    #[serde(with = "clickhouse::serde::uuid")]
    server_id: Uuid,
    plays: u64,
    #[serde(with = "clickhouse::serde::chrono::datetime64::millis")]
    last_played: DateTime<Utc>,
}

#[derive(Clone, Row, Deserialize)]
struct WeaponRow {
    weapon: String,
    kills: u64,
    headshots: u64,
}

impl From<FiguresRow> for MapFigures {
    fn from(row: FiguresRow) -> Self {
        MapFigures {
            map_name: row.map_name,
            plays: row.plays,
            kills: row.kills,
            players: row.players,
            balance: Balance { allies: row.allies, axis: row.axis, draws: row.draws },
            average_duration_seconds: row.average_duration.map(|seconds| seconds.round() as u64),
            last_played: Some(row.last_played),
        }
    }
}

impl MapFigures {
    fn of_nothing(map_name: &str) -> Self {
        MapFigures {
            map_name: map_name.to_owned(),
            plays: 0,
            kills: 0,
            players: 0,
            balance: Balance::default(),
            average_duration_seconds: None,
            last_played: None,
        }
    }
}

impl Stats {
    /// A page of the maps that were played.
    pub async fn maps(&self, question: &MapsQuestion) -> Result<MapList, ApiError> {
        let Paging { page, limit } = question.paging;
        let rows = self.map_figures(question).await?;
        let total = match rows.first() {
            Some(row) => row.total,
            // Behind the last page there is no row that could say how many there are.
            None if page > 1 => {
                let sql = Sql::new("SELECT count() AS total FROM (")
                    .then(self.plays_by("map_name", &question.selection))
                    .text(")");
                self.row::<CountRow>(sql).await?.total
            }
            None => 0,
        };
        Ok(MapList {
            period: question.period.as_str(),
            sort: question.sort.as_str(),
            page,
            limit,
            total,
            maps: rows.into_iter().map(MapFigures::from).collect(),
        })
    }

    /// One map; 404 for one that nobody ever played.
    pub async fn map(&self, period: Period, selection: &Selection) -> Result<MapAnswer, ApiError> {
        let map_name = selection.map_name.clone().unwrap_or_default();
        self.require_map(&map_name).await?;
        let paging = Paging { page: 1, limit: TOP };
        let question = MapsQuestion { period, selection: selection.clone(), paging, ..Default::default() };
        let board = BoardQuestion { period, selection: selection.clone(), paging, ..Default::default() };
        let of_map = MatchQuestion { selection: selection.clone(), paging, ..Default::default() };
        let (figures, days, board, weapons, servers, matches) = tokio::try_join!(
            self.map_figures(&question),
            self.days_of_map(selection),
            self.leaderboard(&board),
            self.weapons_on_map(selection),
            self.servers_of_map(selection),
            self.matches(&of_map),
        )?;
        let days: Vec<(NaiveDate, u64)> = days.iter().map(|row| (row.day, row.plays)).collect();
        let today = self.now().date_naive();
        let before_end = selection.to.and_then(|to| to.checked_sub_days(Days::new(1)));
        let last_day = before_end.map_or(today, |before_end| before_end.min(today));
        let names = self.server_names(servers.iter().map(|row| row.server_id)).await;
        let server = |row: ServerRow| MapServer {
            server_id: row.server_id,
            server_name: names.get(&row.server_id).cloned().unwrap_or_default(),
            plays: row.plays,
            last_played: row.last_played,
        };
        let weapon = |row: WeaponRow| {
            let weapon = weapon_name(&row.weapon);
            WeaponKills { slug: weapon.slug, name: weapon.name, kills: row.kills, headshots: row.headshots }
        };
        let figures = figures.into_iter().next();
        Ok(MapAnswer {
            period: period.as_str(),
            figures: figures.map_or_else(|| MapFigures::of_nothing(&map_name), MapFigures::from),
            played: plays::over_time(&days, selection.from, last_day),
            top_players: board.players,
            top_weapons: weapons.into_iter().map(weapon).collect(),
            servers: servers.into_iter().map(server).collect(),
            recent_matches: matches.matches,
        })
    }

    /// Served by `match_totals` and `map_players`; of a server or a game type by `player_map_totals`, of some days by
    /// `player_stats_daily`.
    async fn map_figures(&self, question: &MapsQuestion) -> Result<Vec<FiguresRow>, ApiError> {
        let selection = &question.selection;
        let sql = Sql::new(
            "SELECT played.map_name AS map_name, plays, allies, axis, draws, average_duration, last_played, \
             fights.kills AS kills, fights.players AS players, count() OVER () AS total FROM (",
        )
        .then(self.plays_by("map_name", selection))
        .text(") AS played LEFT JOIN (SELECT toString(fought.map_name) AS map_name, ")
        .text("sum(fought.kills) AS kills, uniqExact(")
        .text(&canonical("player_id"))
        .text(") AS players FROM ")
        .text(selection.table_of_map_players())
        .text(" AS fought WHERE fought.map_name != ''")
        .then(selection.daily_conditions())
        .text(" GROUP BY map_name) AS fights USING (map_name) ORDER BY ")
        .text(question.sort.order())
        .text(" LIMIT ? OFFSET ?")
        .bind(i64::from(question.paging.limit))
        .bind(question.paging.offset() as i64);
        // A match may end by silence, which makes its duration count.
        self.rows_that_hold(sql, |_| Holds::Briefly).await
    }

    /// Matches on maps, by a column of their outcomes. In free-for-all a side is only the colour of a coat.
    fn plays_by(&self, column: &str, selection: &Selection) -> Sql {
        let won = |by: &str| format!("countIf(winning_team = '{by}' AND gametype NOT IN ('ffa', 'single'))");
        let columns = format!(
            "{column}, count() AS plays, {} AS allies, {} AS axis, {} AS draws, \
             avgOrNullIf(duration_seconds, is_ended) AS average_duration, max(updated_at) AS last_played",
            won("allies"),
            won("axis"),
            won("none"),
        );
        self.outcome_rows_sql(&columns, on_days(selection), conditions_of(selection))
            .text(" GROUP BY ")
            .text(column)
    }

    async fn days_of_map(&self, selection: &Selection) -> Result<Vec<DayRow>, ApiError> {
        let sql = self
            .outcome_rows_sql(
                "toDate(started_at) AS day, count() AS plays",
                on_days(selection),
                conditions_of(selection),
            )
            .text(" GROUP BY day ORDER BY day DESC LIMIT ?")
            .bind(plays::MOST_READ);
        self.rows(sql).await
    }

    async fn servers_of_map(&self, selection: &Selection) -> Result<Vec<ServerRow>, ApiError> {
        let columns = "server_id, count() AS plays, max(updated_at) AS last_played";
        let sql = self
            .outcome_rows_sql(columns, on_days(selection), conditions_of(selection))
            .text(" GROUP BY server_id ORDER BY plays DESC, last_played DESC, server_id LIMIT ?")
            .bind(MOST_SERVERS);
        self.rows(sql).await
    }

    /// Served by `map_weapons`; of a server by `weapon_map_totals`, of some days by `weapon_stats`.
    async fn weapons_on_map(&self, selection: &Selection) -> Result<Vec<WeaponRow>, ApiError> {
        let sql = Sql::new(
            "SELECT toString(used.weapon) AS weapon, sum(used.kills) AS kills, sum(used.headshots) AS headshots FROM ",
        )
        .text(selection.table_of_map_weapons())
        .text(" AS used WHERE 1")
        .then(selection.daily_conditions())
        .text(" GROUP BY weapon HAVING kills > 0 ORDER BY kills DESC, weapon LIMIT ?")
        .bind(i64::from(TOP));
        self.rows(sql).await
    }

    /// How often each map was played; of those that have a name.
    pub(super) async fn plays_of_maps(&self) -> Result<HashMap<String, u64>, ApiError> {
        #[derive(Clone, Row, Deserialize)]
        struct PlaysRow {
            map_name: String,
            plays: u64,
        }
        let all = Selection::default();
        let sql = self.outcome_rows_sql("map_name, count() AS plays", on_days(&all), conditions_of(&all));
        let rows: Vec<PlaysRow> = self.rows(sql.text(" GROUP BY map_name")).await?;
        Ok(rows.into_iter().map(|row| (row.map_name, row.plays)).collect())
    }
}

fn conditions_of(selection: &Selection) -> Sql {
    Sql::new(" AND map_name != ''").then(match_conditions(selection))
}
