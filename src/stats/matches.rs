//! Matches as lists show them.
//!
//! A match is over at its match_end, when another opened on its server, or ten minutes after its last event.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, Utc};
use clickhouse::Row;
use mohaa_domain::event::Event;
use mohaa_domain::vocabulary::Team;
use serde::Deserialize;
use uuid::Uuid;

use super::Stats;
use super::answers::{MatchList, MatchSummary};
use super::cache::Holds;
use super::people::canonical;
use super::query::Sql;
use super::selection::Selection;
use crate::http::ApiError;
use crate::http::query::{Format, Paging};

/// Beginning of a statement for matches with their outcomes, up to the conditions on rows of `match_totals`, which are called
/// `matches` here; binds the present in milliseconds five times. `match_totals` has a row a match and finds one by its id.
///
/// Which match a server opened last is only looked for on servers of which something was heard within ten minutes: the
/// others' matches are over by silence. Those servers and the matches heard of are told by the days of the table `matches`. What
/// was opened after the earliest of these is found by an index, and then looked up as a whole: of a match opened before, that
/// index may find no more than what came late.
const OUTCOMES: &str = "SELECT matches.match_id AS match_id, matches.server_id AS server_id, \
    max(matches.source_match_id) AS source_match_id, max(matches.map_name) AS map_name, \
    max(matches.gametype) AS gametype, min(matches.started_at) AS started_at, max(matches.updated_at) AS updated_at, \
    min(matches.opened) AS opened, \
    max(matches.allies_told).score AS allies_score, \
    max(matches.axis_told).score AS axis_score, \
    max(matches.winner_told).team AS winning_team, max(matches.max_clients) AS max_clients, \
    toInt32(ifNull(max(matches.round_number), 0)) AS round_number, sum(matches.kills) AS kills, \
    max(matches.ended_at) AS match_end_at, max(matches.duration) AS reported_duration, \
    match_end_at IS NOT NULL OR updated_at < fromUnixTimestamp64Milli(?, 'UTC') - INTERVAL 600 SECOND \
    OR opened < max(newest.newest_opened) AS is_ended, \
    if(is_ended, ifNull(match_end_at, updated_at), NULL) AS ended_at, \
    toUInt64(greatest(0., ifNull(toFloat64(reported_duration), \
    toFloat64(dateDiff('second', started_at, ifNull(match_end_at, updated_at)))))) AS duration_seconds \
    FROM match_totals AS matches LEFT JOIN (SELECT server_id, max(first) AS newest_opened FROM \
    (SELECT server_id, match_id, min(opened) AS first FROM match_totals WHERE server_id IN \
    (SELECT server_id FROM matches WHERE day >= toDate(fromUnixTimestamp64Milli(?, 'UTC') - INTERVAL 600 SECOND) \
    AND updated_at >= fromUnixTimestamp64Milli(?, 'UTC') - INTERVAL 600 SECOND) \
    AND match_id IN (SELECT match_id FROM match_totals WHERE opened_ms >= \
    (SELECT ifNull(minOrNull(opened_ms), 9223372036854775807) FROM match_totals WHERE match_id IN \
    (SELECT match_id FROM matches WHERE day >= toDate(fromUnixTimestamp64Milli(?, 'UTC') - INTERVAL 600 SECOND) \
    AND updated_at >= fromUnixTimestamp64Milli(?, 'UTC') - INTERVAL 600 SECOND))) \
    GROUP BY server_id, match_id) GROUP BY server_id) AS newest ON newest.server_id = matches.server_id WHERE 1";

const COLUMNS: &str = "match_id, server_id, source_match_id, map_name, gametype, is_ended, allies_score, axis_score, \
    winning_team, max_clients, round_number, kills, started_at, ended_at, updated_at, duration_seconds";

/// How many times as many rows of days are looked into when those before held too few of the matches that are asked for.
const WIDER: u64 = 8;

/// Which matches, and which page of them.
#[derive(Clone, Debug, Default)]
pub struct MatchQuestion {
    /// Days are those on which matches started.
    pub selection: Selection,
    /// Only matches that this player took part in.
    pub player_id: Option<String>,
    /// Only games of this tournament's bracket.
    pub tournament_id: Option<Uuid>,
    pub paging: Paging,
    pub format: Format,
}

#[derive(Clone, Row, Deserialize)]
pub(super) struct OutcomeRow {
    #[serde(with = "clickhouse::serde::uuid")]
    pub(super) match_id: Uuid,
    #[serde(with = "clickhouse::serde::uuid")]
    pub(super) server_id: Uuid,
    pub(super) source_match_id: String,
    pub(super) map_name: String,
    pub(super) gametype: String,
    pub(super) is_ended: bool,
    pub(super) allies_score: i32,
    pub(super) axis_score: i32,
    pub(super) winning_team: String,
    pub(super) max_clients: Option<i32>,
    pub(super) round_number: i32,
    pub(super) kills: u64,
    #[serde(with = "clickhouse::serde::chrono::datetime64::millis")]
    pub(super) started_at: DateTime<Utc>,
    #[serde(with = "clickhouse::serde::chrono::datetime64::millis::option")]
    pub(super) ended_at: Option<DateTime<Utc>>,
    #[serde(with = "clickhouse::serde::chrono::datetime64::millis")]
    pub(super) updated_at: DateTime<Utc>,
    pub(super) duration_seconds: u64,
}

#[derive(Clone, Row, Deserialize)]
struct CountRow {
    total: u64,
}

#[derive(Clone, Row, Deserialize)]
struct PlayersRow {
    #[serde(with = "clickhouse::serde::uuid")]
    match_id: Uuid,
    players: u64,
}

/// Of the table `matches`, which has a row for each match and day, or several until they are merged.
#[derive(Clone, Row, Deserialize)]
struct DayRow {
    #[serde(with = "clickhouse::serde::chrono::date")]
    day: NaiveDate,
    rows: u64,
}

pub(super) fn word_or_none(word: String) -> Option<String> {
    (!word.is_empty()).then_some(word)
}

/// live or ended.
pub(super) fn status(is_ended: bool) -> &'static str {
    if is_ended { "ended" } else { "live" }
}

/// What silence ends may end at any moment; what has ended is changed by data alone.
fn until_silence(rows: &[OutcomeRow]) -> Holds {
    if rows.iter().all(|row| row.is_ended) { Holds::UntilDataChanges } else { Holds::Briefly }
}

impl OutcomeRow {
    /// ` WHERE …`: this match's events, by the primary key of `raw_events` (server, match) within the days on which it has
    /// any. Every part of the table has a first and a last row, so the key alone would open them all.
    pub(super) fn its_events(&self) -> Sql {
        Sql::new(
            " WHERE server_id = toUUID(?) AND match_id = toUUID(?) \
             AND toDate(event_at) BETWEEN toDate(?) AND toDate(?)",
        )
        .bind(self.server_id.to_string())
        .bind(self.match_id.to_string())
        .bind(self.started_at.date_naive().to_string())
        .bind(self.updated_at.date_naive().to_string())
    }

    /// ` AND …`: the days on which this match has events, of a roll-up.
    pub(super) fn on_its_days(&self) -> Sql {
        Sql::new(" AND day BETWEEN toDate(?) AND toDate(?)")
            .bind(self.started_at.date_naive().to_string())
            .bind(self.updated_at.date_naive().to_string())
    }

    fn summary(self, server_name: String, player_count: u64, tournament_id: Option<Uuid>) -> MatchSummary {
        MatchSummary {
            match_id: self.match_id,
            source_match_id: word_or_none(self.source_match_id),
            server_id: self.server_id,
            server_name,
            map_name: word_or_none(self.map_name),
            gametype: word_or_none(self.gametype),
            status: status(self.is_ended),
            allies_score: self.allies_score,
            axis_score: self.axis_score,
            winning_team: word_or_none(self.winning_team),
            player_count,
            max_players: self.max_clients,
            round_number: self.round_number,
            kills: self.kills,
            started_at: self.started_at,
            ended_at: self.ended_at,
            updated_at: self.updated_at,
            duration_seconds: self.duration_seconds,
            tournament_id,
        }
    }
}

impl Stats {
    /// Matches, the latest first.
    pub async fn matches(&self, question: &MatchQuestion) -> Result<MatchList, ApiError> {
        let Paging { page, limit } = question.paging;
        let Some(named) = self.matches_named(question).await? else {
            return Ok(MatchList { page, limit, total: 0, matches: Vec::new() });
        };
        let conditions = match_conditions(&question.selection);
        // None of the conditions is about how a match ended.
        let total = Sql::new(
            "SELECT count() AS total FROM (SELECT match_id, server_id, max(match_totals.map_name) AS map_name, \
             max(match_totals.gametype) AS gametype, min(match_totals.started_at) AS started_at FROM match_totals WHERE 1",
        )
        .then(named.clone())
        .then(on_days(&question.selection))
        .text(" GROUP BY match_id, server_id) WHERE 1")
        .then(conditions.clone());
        let page_of = |ids: Sql, conditions: Sql| {
            self.outcome_rows_sql(COLUMNS, ids, conditions)
                .text(" ORDER BY started_at DESC, match_id LIMIT ? OFFSET ?")
                .bind(i64::from(limit))
                .bind(question.paging.offset() as i64)
        };
        let rows = async {
            // By these ids they are found as they are.
            if !named.text.is_empty() {
                return self.rows_that_hold(page_of(named.clone(), conditions.clone()), until_silence).await;
            }
            let since = |day: Option<NaiveDate>| {
                page_of(
                    opened_since(&question.selection, day),
                    conditions.clone().then(condition_since("started_at", day)),
                )
            };
            let selection = &question.selection;
            let is_narrowed = selection.map_name.is_some()
                || selection.server_id.is_some()
                || selection.game_type.is_some();
            let wanted = question.paging.offset() + u64::from(limit);
            // Some matches have a row on the day before as well, and are not among those that started since.
            let wanted = if is_narrowed { wanted.saturating_mul(WIDER) } else { wanted + wanted / 4 };
            self.latest(selection, limit, wanted, since, until_silence).await
        };
        let (total, rows) = tokio::try_join!(self.row::<CountRow>(total), rows)?;
        Ok(MatchList { page, limit, total: total.total, matches: self.summaries(rows).await? })
    }

    /// ` AND match_id IN …` of the matches that a player took part in or that are a tournament's games, empty where neither is asked
    /// for; `None` when there can't be any.
    async fn matches_named(&self, question: &MatchQuestion) -> Result<Option<Sql>, ApiError> {
        let mut named = Sql::default();
        if let Some(player_id) = &question.player_id {
            named = named
                .text(" AND match_id IN (SELECT match_id FROM player_matches WHERE player_id IN ?)")
                .bind(self.person(player_id).await?.ids);
        }
        if let Some(tournament_id) = question.tournament_id {
            let games = self.games_of_tournament(tournament_id).await?;
            if games.is_empty() {
                return Ok(None);
            }
            let games: Vec<String> = games.into_iter().map(|(match_id, _)| match_id.to_string()).collect();
            named = named.text(" AND match_id IN (SELECT toUUID(arrayJoin(?)))").bind(games);
        }
        Ok(Some(named))
    }

    /// The matches that ended last.
    pub async fn ended_matches(&self, limit: u32) -> Result<Vec<MatchSummary>, ApiError> {
        let everything = Selection::default();
        // A match has a row on the day of its last event, and none ends later.
        let since = |day: Option<NaiveDate>| {
            self.outcome_rows_sql(
                COLUMNS,
                opened_since(&everything, day),
                Sql::new(" AND is_ended").then(condition_since("ended_at", day)),
            )
            .text(" ORDER BY ended_at DESC, match_id LIMIT ?")
            .bind(i64::from(limit))
        };
        // A live match may end by silence, and none of these rows tells whether there is one.
        let rows = self.latest(&everything, limit, limit.into(), since, |_| Holds::Briefly).await?;
        self.summaries(rows).await
    }

    /// The first `limit` rows of a list whose order goes from the latest day to the earliest. `since` makes its statement for the days
    /// from one on, which must answer nothing that is out of place in the whole list, or for all days. Days are added until these
    /// rows are full: first as many as have `wanted` rows in the table `matches`.
    async fn latest(
        &self,
        selection: &Selection,
        limit: u32,
        wanted: u64,
        since: impl Fn(Option<NaiveDate>) -> Sql,
        holds: fn(&[OutcomeRow]) -> Holds,
    ) -> Result<Vec<OutcomeRow>, ApiError> {
        // A row for each part of the table: how many rows those have is kept beside them.
        let sql = Sql::new("SELECT day, count() AS rows FROM matches GROUP BY day ORDER BY day DESC");
        let mut days: Vec<DayRow> = self.rows(sql).await?;
        days.retain(|row| selection.has_day(row.day));
        let mut wanted = wanted.max(1);
        loop {
            let first_day = first_day_of_rows(&days, wanted);
            let rows: Vec<OutcomeRow> = self.rows_that_hold(since(first_day), holds).await?;
            if first_day.is_none() || rows.len() >= limit as usize {
                return Ok(rows);
            }
            wanted = wanted.saturating_mul(WIDER);
        }
    }

    /// A part of all matches with their outcomes: `columns` of those that meet `conditions`, among those with ids that meet `ids`.
    pub(super) fn outcome_rows_sql(&self, columns: &str, ids: Sql, conditions: Sql) -> Sql {
        Sql::new("SELECT ")
            .text(columns)
            .text(" FROM (")
            .then(self.outcomes(ids))
            .text(") AS outcomes WHERE 1")
            .then(conditions)
    }

    /// Matches with their outcomes, made of the rows of `match_totals` that meet `conditions`: each match's must all be among them.
    pub(super) fn outcomes(&self, conditions: Sql) -> Sql {
        let now = self.now();
        let presents = (0..5).fold(Sql::new(OUTCOMES), |sql, _| sql.bind_present(now));
        presents.then(conditions).text(" GROUP BY match_id, server_id")
    }

    /// Of these matches, by the primary key of `match_totals`.
    pub(super) async fn outcomes_of(&self, match_ids: &[String]) -> Result<Vec<OutcomeRow>, ApiError> {
        let of_matches =
            Sql::new(" AND matches.match_id IN (SELECT toUUID(arrayJoin(?)))").bind(match_ids.to_vec());
        let sql = Sql::new("SELECT ")
            .text(COLUMNS)
            .text(" FROM (")
            .then(self.outcomes(of_matches))
            .text(") AS outcomes ORDER BY started_at, match_id");
        self.rows_that_hold(sql, until_silence).await
    }

    pub(super) async fn outcome(&self, match_id: Uuid) -> Result<Option<OutcomeRow>, ApiError> {
        let its_id = Sql::new(" AND match_id = toUUID(?)").bind(match_id.to_string());
        let sql = self.outcome_rows_sql(COLUMNS, its_id, Sql::default());
        Ok(self.rows_that_hold(sql, until_silence).await?.into_iter().next())
    }

    async fn summaries(&self, rows: Vec<OutcomeRow>) -> Result<Vec<MatchSummary>, ApiError> {
        let (live, ended): (Vec<&OutcomeRow>, Vec<&OutcomeRow>) = rows.iter().partition(|row| !row.is_ended);
        let (took_part, present) =
            tokio::try_join!(self.players_of_ended(&ended), self.players_present(&live),)?;
        let (servers, tournaments) = tokio::join!(
            self.server_names(rows.iter().map(|row| row.server_id)),
            self.tournaments_of(rows.iter().map(|row| row.match_id).collect()),
        );
        let tournaments = tournaments.unwrap_or_default();
        let summary = |row: OutcomeRow| {
            let players = if row.is_ended { &took_part } else { &present };
            let player_count = players.get(&row.match_id).copied().unwrap_or_default();
            let server_name = servers.get(&row.server_id).cloned().unwrap_or_default();
            let tournament_id = tournaments.get(&row.match_id).map(|tournament| tournament.tournament_id);
            row.summary(server_name, player_count, tournament_id)
        };
        Ok(rows.into_iter().map(summary).collect())
    }

    /// Served by the match index of `player_match_totals`, on the days of these matches.
    async fn players_of_ended(&self, ended: &[&OutcomeRow]) -> Result<HashMap<Uuid, u64>, ApiError> {
        let first_day = ended.iter().map(|row| row.started_at.date_naive()).min();
        let last_day = ended.iter().map(|row| row.updated_at.date_naive()).max();
        let Some((first_day, last_day)) = first_day.zip(last_day) else { return Ok(HashMap::new()) };
        let match_ids: Vec<String> = ended.iter().map(|row| row.match_id.to_string()).collect();
        let sql = Sql::new("SELECT match_id, uniqExact(").text(&canonical("player_id")).text(
            ") AS players FROM player_match_totals \
             WHERE match_id IN (SELECT toUUID(arrayJoin(?))) AND day BETWEEN toDate(?) AND toDate(?) GROUP BY match_id",
        );
        let sql = sql.bind(match_ids).bind(first_day.to_string()).bind(last_day.to_string());
        let rows: Vec<PlayersRow> = self.rows(sql).await?;
        Ok(rows.into_iter().map(|row| (row.match_id, row.players)).collect())
    }
}

/// Conditions on matches with their outcomes. Days are those on which they started.
pub(super) fn match_conditions(selection: &Selection) -> Sql {
    let mut sql = Sql::default();
    if let Some(map_name) = &selection.map_name {
        sql = sql.text(" AND map_name = ?").bind(map_name.as_str());
    }
    if let Some(server_id) = selection.server_id {
        sql = sql.text(" AND server_id = toUUID(?)").bind(server_id.to_string());
    }
    if let Some(game_type) = selection.game_type {
        sql = sql.text(" AND gametype = ?").bind(game_type.as_str());
    }
    if let Some(from) = selection.from {
        sql = sql.text(" AND toDate(started_at) >= toDate(?)").bind(from.to_string());
    }
    if let Some(to) = selection.to {
        sql = sql.text(" AND toDate(started_at) < toDate(?)").bind(to.to_string());
    }
    sql
}

/// ` AND match_id IN …` of the matches that have events on the days of a selection, so all that started on one; empty where it
/// names none.
pub(super) fn on_days(selection: &Selection) -> Sql {
    match selection.names_days() {
        true => Sql::new(" AND match_id IN (SELECT match_id FROM matches WHERE 1")
            .then(selection.day_conditions())
            .text(")"),
        false => Sql::default(),
    }
}

/// ` AND match_id IN …` with each selected match that started or ended on `first_day` or later. All rows of one that started then
/// are on those days, so one of them has what the match has in the end: the greatest name of a map, the greatest game type. It may
/// be one behind the last day that is selected.
fn opened_since(selection: &Selection, first_day: Option<NaiveDate>) -> Sql {
    let Some(first_day) = first_day else { return on_days(selection) };
    let of_days = Selection { from: Some(first_day), to: selection.to, ..Selection::default() };
    let of_rows = match selection.to {
        Some(_) => Selection { server_id: selection.server_id, ..Selection::default() },
        None => Selection { from: None, ..selection.clone() },
    };
    Sql::new(" AND match_id IN (SELECT match_id FROM matches WHERE 1")
        .then(of_days.day_conditions())
        .then(match_conditions(&of_rows))
        .text(")")
}

fn condition_since(moment: &str, first_day: Option<NaiveDate>) -> Sql {
    match first_day {
        Some(day) => Sql::new(&format!(" AND toDate({moment}) >= toDate(?)")).bind(day.to_string()),
        None => Sql::default(),
    }
}

/// The day from which on there are so many rows; none when there are not on all days together.
fn first_day_of_rows(latest_first: &[DayRow], wanted: u64) -> Option<NaiveDate> {
    let mut rows = 0_u64;
    let found = latest_first.iter().find(|row| {
        rows = rows.saturating_add(row.rows);
        rows >= wanted
    });
    found.map(|row| row.day)
}

/// A stored match, as far as a result of it is concerned.
#[derive(Clone, Debug, PartialEq, Row, Deserialize)]
pub struct KnownMatch {
    #[serde(with = "clickhouse::serde::uuid")]
    pub match_id: Uuid,
    #[serde(with = "clickhouse::serde::uuid")]
    pub server_id: Uuid,
    pub allies_score: i32,
    pub axis_score: i32,
    pub winning_team: String,
    /// By its match_end.
    pub ended_at_ms: Option<i64>,
    /// Seconds, as a match_end said it.
    pub reported_duration: Option<f32>,
}

impl KnownMatch {
    /// Whether it is over with just this result.
    pub fn has_result(&self, result: &Event) -> bool {
        let says = |said: Option<i32>, known: i32| said.is_none_or(|said| said == known);
        self.ended_at_ms.is_some()
            && says(result.allies_score, self.allies_score)
            && says(result.axis_score, self.axis_score)
            && (result.winning_team == Team::Unknown || result.winning_team.as_str() == self.winning_team)
            && (result.duration.is_none()
                || self.reported_duration.is_none()
                || result.duration == self.reported_duration)
    }
}

impl Stats {
    /// A match by our id, read past every cache.
    pub async fn known_match(&self, match_id: Uuid) -> Result<Option<KnownMatch>, ApiError> {
        self.known(Sql::new(" AND match_id = toUUID(?)").bind(match_id.to_string()), Sql::default()).await
    }

    /// The latest match of a server that it calls so, read past every cache.
    pub async fn known_match_of(&self, server_id: Uuid, id: &str) -> Result<Option<KnownMatch>, ApiError> {
        let conditions = Sql::new(" AND server_id = toUUID(?) AND source_match_id = ?")
            .bind(server_id.to_string())
            .bind(id.to_owned());
        self.known(Sql::default(), conditions).await
    }

    async fn known(&self, ids: Sql, conditions: Sql) -> Result<Option<KnownMatch>, ApiError> {
        let sql = self
            .outcome_rows_sql(
                "match_id, server_id, allies_score, axis_score, winning_team, \
                 toUnixTimestamp64Milli(match_end_at) AS ended_at_ms, reported_duration",
                ids,
                conditions,
            )
            .text(" ORDER BY opened DESC LIMIT 1");
        let rows: Vec<KnownMatch> = self.rows_that_hold(sql, |_| Holds::Briefly).await?;
        Ok(rows.into_iter().next())
    }
}
