//! A player's figures told apart: by map, by rival, by time; and several players side by side.

use chrono::NaiveDate;
use clickhouse::Row;
use mohaa_domain::player::{PlayerId, is_guest_id};
use serde::Deserialize;

use super::Stats;
use super::answers::{
    Comparison, Duel, FormEntry, PlayerForm, PlayerMap, PlayerMaps, PlayerRival, PlayerRivals,
};
use super::matches::word_or_none;
use super::people::canonical;
use super::player::PlayerQuestion;
use super::query::Sql;
use super::ratio::{kd_ratio, percent, round};
use super::selection::{KILLERS, PLAYER_MATCHES, PLAYER_STATS, RIVALS, Sums};
use crate::http::ApiError;
use crate::http::query::Paging;

/// Entries of a player's form: five years of weeks.
const MOST_FORM_ENTRIES: i64 = 260;

/// How long an entry of a player's form is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interval {
    Day,
    #[default]
    Week,
    Month,
}

impl Interval {
    pub const ALL: [Interval; 3] = [Interval::Day, Interval::Week, Interval::Month];

    pub fn as_str(self) -> &'static str {
        match self {
            Interval::Day => "day",
            Interval::Week => "week",
            Interval::Month => "month",
        }
    }

    pub fn from_word(word: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|interval| interval.as_str() == word);
        found.ok_or_else(|| "must be day, week or month".to_owned())
    }

    /// The first day of the interval that `day` is in.
    fn first_day(self) -> &'static str {
        match self {
            Interval::Day => "day",
            Interval::Week => "toMonday(day)",
            Interval::Month => "toStartOfMonth(day)",
        }
    }
}

#[derive(Clone, Row, Deserialize)]
struct MapRow {
    map_name: String,
    matches_played: u64,
    matches_won: u64,
    playtime_seconds: u64,
    kills: u64,
    deaths: u64,
    headshots: u64,
}

#[derive(Clone, Row, Deserialize)]
struct RivalRow {
    who: String,
    kills: u64,
    deaths: u64,
    total: u64,
}

#[derive(Clone, Row, Deserialize)]
struct FormRow {
    first_day: String,
    kills: u64,
    deaths: u64,
    headshots: u64,
    damage: f64,
    shots_fired: u64,
    shots_hit: u64,
}

#[derive(Clone, Row, Deserialize)]
struct DuelRow {
    actor: String,
    target: String,
    kills: u64,
}

impl Stats {
    /// A player on each map, the most played first. Served by the primary key of `player_matches`.
    pub async fn player_maps(&self, question: &PlayerQuestion) -> Result<PlayerMaps, ApiError> {
        let PlayerQuestion { player_id, selection, .. } = question;
        let person = self.person(player_id.as_str()).await?;
        let selection = &selection.on_days(&self.seen(&person.ids).await?.days);
        let their_matches = selection.table(PLAYER_MATCHES);
        let mut sql = Sql::new(
            "SELECT map AS map_name, count() AS matches_played, \
             countIf(winner IN ('allies', 'axis') AND side = winner) AS matches_won, \
             toUInt64(round(sum(milliseconds) / 1000)) AS playtime_seconds, sum(k) AS kills, sum(d) AS deaths, \
             sum(h) AS headshots FROM (SELECT match_id, max(side_told).team AS side, max(map_name) AS map, \
             max(gametype) AS game_type, ifNull(toInt64(max(last_level_ms)) - toInt64(min(first_level_ms)), \
             dateDiff('millisecond', min(first_seen), max(last_seen))) AS milliseconds, \
             sum(totals.kills) AS k, sum(totals.deaths) AS d, sum(totals.headshots) AS h FROM ",
        )
        .text(their_matches)
        .text(" AS totals WHERE player_id IN ?")
        .bind(person.ids.clone())
        .then(selection.player_conditions())
        .text(" GROUP BY match_id HAVING 1");
        if let Some(map_name) = &selection.map_name {
            sql = sql.text(" AND map = ?").bind(map_name.as_str());
        }
        if let Some(game_type) = selection.game_type {
            sql = sql.text(" AND game_type = ?").bind(game_type.as_str());
        }
        if let Some(team) = selection.team {
            sql = sql.text(" AND side = ?").bind(team.as_str());
        }
        sql = sql
            .text(
                ") AS played LEFT JOIN (SELECT match_id, max(winner_told).team AS winner FROM match_totals \
                 WHERE match_id IN (SELECT match_id FROM ",
            )
            .text(their_matches)
            .text(" WHERE player_id IN ?")
            .bind(person.ids.clone())
            .then(selection.player_conditions())
            .text(
                ") GROUP BY match_id) AS decided USING (match_id) GROUP BY map_name \
                 ORDER BY matches_played DESC, kills DESC, map_name ASC LIMIT 500",
            );
        let rows = self.rows::<MapRow>(sql).await?;
        let map = |row: MapRow| PlayerMap {
            map_name: word_or_none(row.map_name),
            matches_played: row.matches_played,
            matches_won: row.matches_won,
            win_rate: percent(row.matches_won, row.matches_played),
            playtime_seconds: row.playtime_seconds,
            kills: row.kills,
            deaths: row.deaths,
            kd_ratio: kd_ratio(row.kills, row.deaths),
            headshots: row.headshots,
            headshot_percent: percent(row.headshots, row.kills),
        };
        Ok(PlayerMaps { player_id: person.canonical_id, maps: rows.into_iter().map(map).collect() })
    }

    /// Whom a player met most often: how often they killed each other. Served by the primary keys of
    /// `player_rivals` and `player_killers`.
    pub async fn player_rivals(
        &self,
        question: &PlayerQuestion,
        paging: Paging,
    ) -> Result<PlayerRivals, ApiError> {
        let PlayerQuestion { player_id, selection, .. } = question;
        let person = self.person(player_id.as_str()).await?;
        let selection = &selection.on_days(&self.seen(&person.ids).await?.days);
        let half = |sums: Sums, who: &str, mine: &str, kills: &str, deaths: &str| {
            let table = selection.table(sums);
            Sql::new("SELECT ")
                .text(&canonical(who))
                .text(&format!(" AS who, {kills} AS k, {deaths} AS d FROM {table} AS met WHERE {mine} IN ?"))
                .bind(person.ids.clone())
                .then(selection.day_and_bots_conditions())
                .text(" GROUP BY who")
        };
        let sum = "sum(met.kills)";
        let sql = Sql::new(
            "SELECT who, sum(k) AS kills, sum(d) AS deaths, count() OVER () AS total FROM (",
        )
        .then(half(RIVALS, "target_id", "player_id", sum, "toUInt64(0)"))
        .text(" UNION ALL ")
        .then(half(KILLERS, "player_id", "target_id", "toUInt64(0)", sum))
        // Two ids of one person may have fought each other.
        .text(") WHERE who != ? GROUP BY who ORDER BY kills + deaths DESC, kills DESC, who ASC LIMIT ? OFFSET ?")
        .bind(person.canonical_id.as_str())
        .bind(i64::from(paging.limit))
        .bind(paging.offset() as i64);
        let rows = self.rows::<RivalRow>(sql).await?;
        let names = self.player_names(rows.iter().map(|row| row.who.clone()).collect()).await?;
        let total = match rows.first() {
            Some(row) => row.total,
            // Behind the last page there is no row that could say how many there are.
            None if paging.page > 1 => {
                Box::pin(self.player_rivals(question, Paging { page: 1, limit: 1 })).await?.total
            }
            None => 0,
        };
        let rivals = rows.into_iter().map(|row| {
            let name = names.of(&row.who);
            PlayerRival {
                player_name: name.plain,
                player_name_raw: name.raw,
                guest: is_guest_id(&row.who),
                player_id: row.who,
                kills: row.kills,
                deaths: row.deaths,
            }
        });
        Ok(PlayerRivals {
            player_id: person.canonical_id,
            page: paging.page,
            limit: paging.limit,
            total,
            rivals: rivals.collect(),
        })
    }

    /// A player's figures interval by interval, the latest first; intervals without events are left out. Served by the
    /// primary key of `player_days`.
    pub async fn player_form(
        &self,
        question: &PlayerQuestion,
        interval: Interval,
    ) -> Result<PlayerForm, ApiError> {
        let PlayerQuestion { player_id, selection, .. } = question;
        let person = self.person(player_id.as_str()).await?;
        let selection = &selection.on_days(&self.seen(&person.ids).await?.days);
        let sql = Sql::new(&format!(
            "SELECT toString(began) AS first_day, sum(k) AS kills, sum(d) AS deaths, sum(h) AS headshots, \
             sum(dmg) AS damage, sum(if(sf > 0, sf, ssf)) AS shots_fired, sum(if(sf > 0, sh, ssh)) AS shots_hit FROM (\
             SELECT {} AS began, server_id, sum(kills) AS k, sum(deaths) AS d, sum(headshots) AS h, \
             toFloat64(sum(damage)) AS dmg, sum(shots_fired) AS sf, sum(shots_hit) AS sh, \
             sum(summary_shots_fired) AS ssf, sum(summary_shots_hit) AS ssh FROM {} WHERE player_id IN ?",
            interval.first_day(),
            // The days of a player don't tell these apart.
            if selection.tells_maps_apart() { PLAYER_STATS.daily } else { "player_days" },
        ))
        .bind(person.ids.clone())
        .then(selection.known_days_condition())
        .then(selection.daily_conditions())
        .text(" GROUP BY began, server_id) GROUP BY began ORDER BY began DESC LIMIT ?")
        .bind(MOST_FORM_ENTRIES);
        let rows = self.rows::<FormRow>(sql).await?;
        let entry = |row: FormRow| {
            let from: NaiveDate = row.first_day.parse().map_err(ApiError::internal)?;
            Ok(FormEntry {
                from,
                kills: row.kills,
                deaths: row.deaths,
                kd_ratio: kd_ratio(row.kills, row.deaths),
                headshots: row.headshots,
                headshot_percent: percent(row.headshots, row.kills),
                accuracy: percent(row.shots_hit, row.shots_fired),
                damage: round(row.damage, 3),
            })
        };
        let form: Result<Vec<FormEntry>, ApiError> = rows.into_iter().map(entry).collect();
        Ok(PlayerForm { player_id: person.canonical_id, interval: interval.as_str(), form: form? })
    }

    /// Players side by side, and how often they killed each other.
    pub async fn comparison(&self, player_ids: &[PlayerId]) -> Result<Comparison, ApiError> {
        let mut players = Vec::new();
        for player_id in player_ids {
            players.push(self.player(&PlayerQuestion::everything(player_id.clone())).await?);
        }
        let mut people = Vec::new();
        for player in &players {
            people.extend(self.person(&player.player_id).await?.ids);
        }
        let sql = Sql::new("SELECT ")
            .text(&canonical("player_id"))
            .text(" AS actor, ")
            .text(&canonical("target_id"))
            .text(
                " AS target, sum(player_rivals.kills) AS kills FROM player_rivals \
                 WHERE player_id IN ? AND target_id IN ? AND NOT bots GROUP BY actor, target HAVING actor != target \
                 ORDER BY actor, target",
            )
            .bind(people.clone())
            .bind(people);
        let rows: Vec<DuelRow> = self.rows(sql).await?;
        let duel = |row: DuelRow| Duel { player_id: row.actor, target_id: row.target, kills: row.kills };
        Ok(Comparison { players, duels: rows.into_iter().map(duel).collect() })
    }
}
