//! One player: totals, weapons and matches.

use chrono::{DateTime, Utc};
use clickhouse::Row;
use mohaa_domain::name::strip_colors;
use mohaa_domain::player::{PlayerId, is_guest_id};
use serde::Deserialize;
use uuid::Uuid;

use super::Stats;
use super::accuracy::weapon_accuracy;
use super::answers::{
    Alias, PlayerAnswer, PlayerMatch, PlayerMatches, PlayerWeapon, PlayerWeapons, Rival, WeaponKills,
};
use super::cache::Holds;
use super::leaderboard::KILOMETRES_PER_UNIT;
use super::matches::word_or_none;
use super::names::weapon_name;
use super::people::{ANONYMOUS_NAME, ANONYMOUS_PREFIX, Person, canonical};
use super::query::Sql;
use super::ratio::{kd_ratio, percent, round};
use super::selection::{KILLERS, PLAYER_MATCHES, PLAYER_STATS, RIVALS, Selection, Sums, WEAPON_STATS};
use crate::http::ApiError;
use crate::http::query::{Format, Paging};

/// A player, and what of theirs is asked about.
#[derive(Clone, Debug)]
pub struct PlayerQuestion {
    pub player_id: PlayerId,
    pub selection: Selection,
    pub format: Format,
}

impl PlayerQuestion {
    /// All that is known of a player.
    pub fn everything(player_id: PlayerId) -> Self {
        Self { player_id, selection: Selection::default(), format: Format::Json }
    }
}

#[derive(Clone, Row, Deserialize)]
struct TotalsRow {
    kills: u64,
    deaths: u64,
    headshots: u64,
    suicides: u64,
    team_kills: u64,
    damage: f64,
    damage_taken: f64,
    shots_fired: u64,
    shots_hit: u64,
    distance: f64,
    jumps: u64,
}

#[derive(Clone, Row, Deserialize)]
pub(super) struct SeenRow {
    rows: u64,
    #[serde(with = "clickhouse::serde::chrono::datetime64::millis")]
    first_seen: DateTime<Utc>,
    #[serde(with = "clickhouse::serde::chrono::datetime64::millis")]
    last_seen: DateTime<Utc>,
    /// With any event of theirs.
    pub(super) days: Vec<String>,
}

#[derive(Clone, Row, Deserialize)]
struct AliasRow {
    player_name: String,
    #[serde(with = "clickhouse::serde::chrono::datetime64::millis")]
    last_seen: DateTime<Utc>,
}

#[derive(Clone, Row, Deserialize)]
struct KillsRow {
    what: String,
    kills: u64,
}

#[derive(Clone, Row, Deserialize)]
struct WeaponRow {
    weapon: String,
    kills: u64,
    deaths: u64,
    headshots: u64,
    shots_fired: u64,
    shots_hit: u64,
    damage: f64,
}

#[derive(Clone, Row, Deserialize)]
struct PlayedRow {
    #[serde(with = "clickhouse::serde::uuid")]
    match_id: Uuid,
    #[serde(with = "clickhouse::serde::uuid")]
    server_id: Uuid,
    map_name: String,
    gametype: String,
    team: String,
    winning_team: String,
    is_ended: bool,
    kills: u64,
    deaths: u64,
    headshots: u64,
    #[serde(with = "clickhouse::serde::chrono::datetime64::millis")]
    started_at: DateTime<Utc>,
    #[serde(with = "clickhouse::serde::chrono::datetime64::millis::option")]
    ended_at: Option<DateTime<Utc>>,
    total: u64,
}

/// See `matches`.
fn until_silence(rows: &[PlayedRow]) -> Holds {
    if rows.iter().all(|row| row.is_ended) { Holds::UntilDataChanges } else { Holds::Briefly }
}

pub(super) fn unknown_player() -> ApiError {
    ApiError::not_found("unknown_player", "no event of a player with this id has been stored")
}

impl Stats {
    /// Everything about one player. Served by the primary keys of the roll-ups, which begin with the player.
    pub async fn player(&self, question: &PlayerQuestion) -> Result<PlayerAnswer, ApiError> {
        let PlayerQuestion { player_id, selection, .. } = question;
        let person = self.person(player_id.as_str()).await?;
        let (id, ids) = (person.canonical_id.as_str(), &person.ids);
        let seen = self.seen(ids).await?;
        let selection = &selection.on_days(&seen.days);
        let (killer, victim) = (canonical("player_id"), canonical("target_id"));
        let (
            totals,
            aliases,
            hitlocs,
            killers,
            victims,
            careers,
            best_killstreak,
            weapons,
            multi_kills,
            first_kills,
            stances,
            rating,
            user,
        ) = tokio::try_join!(
            self.player_totals(ids, selection),
            self.aliases(&person),
            self.kills_by(ids, selection, RIVALS, "player_id IN ?", "toString(hitloc)"),
            self.kills_by(ids, selection, KILLERS, "target_id IN ?", &killer),
            self.kills_by(ids, selection, RIVALS, "player_id IN ?", &victim),
            self.careers_of(selection, vec![id.to_owned()]),
            self.best_killstreak(selection, id),
            self.weapon_rows(ids, selection),
            self.multi_kills(ids, selection),
            self.first_kills(ids, selection),
            self.stances(ids, selection),
            self.rating_of(id),
            async { Ok(self.user_of_player(id).await) },
        )?;
        // Two ids of one person may have fought each other.
        let (killers, victims) = (without(killers, id), without(victims, id));
        let rivals = killers.first().into_iter().chain(victims.first()).map(|row| row.what.clone()).collect();
        let names = self.player_names(rivals).await?;
        let rival = |row: &KillsRow| {
            let name = names.of(&row.what);
            Rival {
                player_id: row.what.clone(),
                player_name: name.plain,
                player_name_raw: name.raw,
                kills: row.kills,
            }
        };
        let career = careers.get(id).copied().unwrap_or_default();
        let favourite_weapon = weapons.iter().find(|row| row.kills > 0).map(|row| {
            let weapon = weapon_name(&row.weapon);
            WeaponKills { slug: weapon.slug, name: weapon.name, kills: row.kills, headshots: row.headshots }
        });
        let nameless = if id.starts_with(ANONYMOUS_PREFIX) { ANONYMOUS_NAME } else { id };
        let latest_raw = aliases.first().map_or(nameless, |alias| alias.name_raw.as_str());
        Ok(PlayerAnswer {
            player_id: id.to_owned(),
            player_name: plain_name(latest_raw, id),
            player_name_raw: latest_raw.to_owned(),
            guest: is_guest_id(id),
            user,
            total_kills: totals.kills,
            total_deaths: totals.deaths,
            kd_ratio: kd_ratio(totals.kills, totals.deaths),
            total_headshots: totals.headshots,
            headshot_percent: percent(totals.headshots, totals.kills),
            total_damage: round(totals.damage, 3),
            damage_taken: round(totals.damage_taken, 3),
            shots_fired: totals.shots_fired,
            shots_hit: totals.shots_hit,
            accuracy: percent(totals.shots_hit, totals.shots_fired),
            suicides: totals.suicides,
            team_kills: totals.team_kills,
            best_killstreak,
            matches_played: career.matches_played,
            matches_won: career.matches_won,
            win_rate: percent(career.matches_won, career.matches_played),
            playtime_seconds: career.playtime_seconds,
            distance_km: round(totals.distance * KILOMETRES_PER_UNIT, 3),
            jumps: totals.jumps,
            rating,
            first_seen: seen.first_seen,
            last_active: seen.last_seen,
            hitlocs: hitlocs
                .into_iter()
                .filter(|row| !row.what.is_empty())
                .map(|row| (row.what, row.kills))
                .collect(),
            nemesis: killers.first().map(rival),
            favourite_victim: victims.first().map(rival),
            favourite_weapon,
            multi_kills,
            first_kills,
            stances,
            achievements: Vec::new(),
            aliases,
        })
    }

    /// What each weapon did in a player's hands, and to them; most kills first.
    pub async fn player_weapons(&self, question: &PlayerQuestion) -> Result<PlayerWeapons, ApiError> {
        let person = self.person(question.player_id.as_str()).await?;
        let id = person.canonical_id.as_str();
        let selection = &question.selection.on_days(&self.seen(&person.ids).await?.days);
        let (rows, with_unassigned_hits, distances) = tokio::try_join!(
            self.weapon_rows(&person.ids, selection),
            self.with_unassigned_hits(selection, vec![id.to_owned()]),
            self.distances_of_player(&person.ids, selection),
        )?;
        let has_unassigned_hits = with_unassigned_hits.contains(id);
        let weapons = rows.into_iter().map(|row| {
            let weapon = weapon_name(&row.weapon);
            let distances = distances.get(&row.weapon);
            PlayerWeapon {
                slug: weapon.slug,
                name: weapon.name,
                kills: row.kills,
                deaths: row.deaths,
                headshots: row.headshots,
                shots_fired: row.shots_fired,
                shots_hit: row.shots_hit,
                accuracy: weapon_accuracy(row.shots_hit, row.shots_fired, has_unassigned_hits),
                damage: round(row.damage, 3),
                average_kill_metres: distances.map(|distances| distances.average_metres),
                longest_kill_metres: distances.map(|distances| distances.longest_metres),
            }
        });
        Ok(PlayerWeapons { player_id: id.to_owned(), weapons: weapons.collect() })
    }

    /// The matches a player took part in, the latest first.
    pub async fn player_matches(
        &self,
        question: &PlayerQuestion,
        paging: Paging,
    ) -> Result<PlayerMatches, ApiError> {
        let PlayerQuestion { player_id, selection, .. } = question;
        let person = self.person(player_id.as_str()).await?;
        let id = person.canonical_id.as_str();
        let selection = &selection.on_days(&self.seen(&person.ids).await?.days);
        let their_matches = selection.table(PLAYER_MATCHES);
        let mine = Sql::new(" AND match_id IN (SELECT match_id FROM ")
            .text(their_matches)
            .text(" WHERE player_id IN ?")
            .bind(person.ids.clone())
            .then(selection.player_conditions())
            .text(")");
        let mut sql = Sql::new(
            "SELECT played.match_id AS match_id, played.server_id AS server_id, map_name, gametype, team, \
             winning_team, is_ended, kills, deaths, headshots, started_at, ended_at, count() OVER () AS total FROM \
             (SELECT match_id, server_id, max(side_told).team AS team, sum(kills) AS kills, sum(deaths) AS deaths, \
             sum(headshots) AS headshots FROM ",
        )
        .text(their_matches)
        .text(" WHERE player_id IN ?")
        .bind(person.ids.clone())
        .then(selection.player_conditions())
        .text(" GROUP BY match_id, server_id) AS played INNER JOIN (")
        .then(self.outcomes(mine))
        .text(") AS outcomes USING (match_id, server_id) WHERE 1");
        if let Some(map_name) = &selection.map_name {
            sql = sql.text(" AND map_name = ?").bind(map_name.as_str());
        }
        if let Some(game_type) = selection.game_type {
            sql = sql.text(" AND gametype = ?").bind(game_type.as_str());
        }
        if let Some(team) = selection.team {
            sql = sql.text(" AND team = ?").bind(team.as_str());
        }
        sql = sql
            .text(" ORDER BY started_at DESC, match_id LIMIT ? OFFSET ?")
            .bind(i64::from(paging.limit))
            .bind(paging.offset() as i64);
        let rows = self.rows_that_hold(sql, until_silence).await?;
        let servers = self.server_names(rows.iter().map(|row| row.server_id)).await;
        let total = match rows.first() {
            Some(row) => row.total,
            // Behind the last page there is no row that could say how many there are.
            None if paging.page > 1 => {
                Box::pin(self.player_matches(question, Paging { page: 1, limit: 1 })).await?.total
            }
            None => 0,
        };
        let matches = rows.into_iter().map(|row| PlayerMatch {
            match_id: row.match_id,
            server_name: servers.get(&row.server_id).cloned().unwrap_or_default(),
            server_id: row.server_id,
            result: result(&row),
            map_name: word_or_none(row.map_name),
            gametype: word_or_none(row.gametype),
            team: word_or_none(row.team),
            kills: row.kills,
            deaths: row.deaths,
            headshots: row.headshots,
            started_at: row.started_at,
            ended_at: row.ended_at,
        });
        Ok(PlayerMatches {
            player_id: id.to_owned(),
            page: paging.page,
            limit: paging.limit,
            total,
            matches: matches.collect(),
        })
    }

    /// Whom an id stands for; 404 for one who was never seen.
    pub async fn require_player(&self, player_id: &PlayerId) -> Result<String, ApiError> {
        let person = self.person(player_id.as_str()).await?;
        self.seen(&person.ids).await?;
        Ok(person.canonical_id)
    }

    /// When a player was seen first and last and on which days, bots' company or not; 404 for one who never was. Further
    /// questions about some of their days need only look into those. Served by the primary key of `player_days`.
    pub(super) async fn seen(&self, ids: &[String]) -> Result<SeenRow, ApiError> {
        self.seen_if_ever(ids).await?.ok_or_else(unknown_player)
    }

    /// As [`Stats::seen`]; none for a player who never was.
    pub(super) async fn seen_if_ever(&self, ids: &[String]) -> Result<Option<SeenRow>, ApiError> {
        let sql = Sql::new(
            "SELECT count() AS rows, min(player_days.first_seen) AS first_seen, \
             max(player_days.last_seen) AS last_seen, arraySort(groupUniqArray(toString(player_days.day))) AS days \
             FROM player_days WHERE player_id IN ?",
        );
        let seen: SeenRow = self.row(sql.bind(ids.to_vec())).await?;
        Ok((seen.rows > 0).then_some(seen))
    }

    async fn player_totals(&self, ids: &[String], selection: &Selection) -> Result<TotalsRow, ApiError> {
        let sql = Sql::new(
            "SELECT sum(k) AS kills, sum(d) AS deaths, sum(h) AS headshots, sum(s) AS suicides, \
             sum(tk) AS team_kills, sum(dmg) AS damage, sum(taken) AS damage_taken, \
             sum(if(sf > 0, sf, ssf)) AS shots_fired, sum(if(sf > 0, sh, ssh)) AS shots_hit, \
             sum(dist) AS distance, sum(j) AS jumps FROM (\
             SELECT sum(kills) AS k, sum(deaths) AS d, sum(headshots) AS h, sum(suicides) AS s, \
             sum(team_kills) AS tk, toFloat64(sum(damage)) AS dmg, toFloat64(sum(damage_taken)) AS taken, \
             sum(shots_fired) AS sf, sum(shots_hit) AS sh, sum(summary_shots_fired) AS ssf, \
             sum(summary_shots_hit) AS ssh, toFloat64(sum(distance)) AS dist, sum(jumps) AS j FROM ",
        )
        .text(selection.table(PLAYER_STATS))
        .text(" WHERE player_id IN ?")
        .bind(ids.to_vec())
        .then(selection.daily_conditions())
        .text(" GROUP BY server_id)");
        self.row(sql).await
    }

    async fn aliases(&self, person: &Person) -> Result<Vec<Alias>, ApiError> {
        let id = person.canonical_id.as_str();
        if id.starts_with(ANONYMOUS_PREFIX) {
            return Ok(Vec::new());
        }
        let sql = Sql::new(
            "SELECT player_name, max(player_aliases.last_seen) AS last_seen FROM player_aliases WHERE player_id IN ? \
             GROUP BY player_name ORDER BY last_seen DESC, player_name DESC LIMIT 50",
        );
        let rows: Vec<AliasRow> = self.rows(sql.bind(person.ids.clone())).await?;
        let alias = |row: AliasRow| Alias {
            name: plain_name(&row.player_name, id),
            name_raw: row.player_name,
            last_seen: row.last_seen,
        };
        Ok(rows.into_iter().map(alias).collect())
    }

    /// Kills of a player, or those they fell to, by an expression over `sums`, which `whose` narrows to the player; most first.
    async fn kills_by(
        &self,
        ids: &[String],
        selection: &Selection,
        sums: Sums,
        whose: &'static str,
        expression: &str,
    ) -> Result<Vec<KillsRow>, ApiError> {
        let sql = Sql::new("SELECT ")
            .text(expression)
            .text(" AS what, sum(kills) AS kills FROM ")
            .text(selection.table(sums))
            .text(" WHERE ")
            .text(whose)
            .bind(ids.to_vec())
            .then(selection.day_and_bots_conditions())
            .text(" GROUP BY what ORDER BY kills DESC, what ASC LIMIT 100");
        self.rows(sql).await
    }

    async fn weapon_rows(&self, ids: &[String], selection: &Selection) -> Result<Vec<WeaponRow>, ApiError> {
        let sql = Sql::new(
            "SELECT toString(used.weapon) AS weapon, sum(used.kills) AS kills, sum(used.deaths) AS deaths, \
             sum(used.headshots) AS headshots, sum(used.shots_fired) AS shots_fired, \
             sum(used.shots_hit) AS shots_hit, toFloat64(sum(used.damage)) AS damage FROM ",
        )
        .text(selection.table(WEAPON_STATS))
        .text(" AS used WHERE player_id IN ?")
        .bind(ids.to_vec())
        .then(selection.daily_conditions())
        .text(" GROUP BY weapon ORDER BY kills DESC, shots_fired DESC, weapon ASC LIMIT 200");
        self.rows(sql).await
    }
}

fn without(rows: Vec<KillsRow>, player_id: &str) -> Vec<KillsRow> {
    rows.into_iter().filter(|row| row.what != player_id).collect()
}

fn plain_name(raw: &str, id: &str) -> String {
    let plain = strip_colors(raw).trim().to_owned();
    if plain.is_empty() { id.to_owned() } else { plain }
}

fn result(row: &PlayedRow) -> Option<&'static str> {
    // In free-for-all a side is only the colour of a coat.
    let has_side = matches!(row.team.as_str(), "allies" | "axis") && row.gametype != "ffa";
    match row.winning_team.as_str() {
        _ if !row.is_ended || !has_side => None,
        "allies" | "axis" => Some(if row.winning_team == row.team { "won" } else { "lost" }),
        "none" => Some("draw"),
        _ => None,
    }
}
