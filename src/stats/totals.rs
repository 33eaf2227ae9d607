//! How much is stored, and what there is to choose from.

use clickhouse::Row;
use serde::Deserialize;
use uuid::Uuid;

use super::Stats;
use super::answers::{DayTotals, Totals, WeaponName};
use super::names::weapon_name;
use super::people::canonical;
use super::query::Sql;
use crate::http::ApiError;

/// More than a person would look through in a list of choices.
const MAX_CHOICES: i64 = 500;

#[derive(Clone, Row, Deserialize)]
struct MatchesRow {
    events: u64,
    matches: u64,
    servers: u64,
}

#[derive(Clone, Row, Deserialize)]
struct PlayersRow {
    players: u64,
    kills: u64,
}

#[derive(Clone, Row, Deserialize)]
struct WordRow {
    word: String,
}

#[derive(Clone, Row, Deserialize)]
struct ServerRow {
    #[serde(with = "clickhouse::serde::uuid")]
    server_id: Uuid,
}

impl Stats {
    /// Everything stored, and what the current day added. Kills of and by bots are left out.
    pub async fn totals(&self) -> Result<Totals, ApiError> {
        let today = self.now().date_naive().to_string();
        let matches = |table: &str| {
            Sql::new(&format!(
                "SELECT sum(counted.events) AS events, uniqExact(match_id) AS matches, \
                 uniqExact(server_id) AS servers FROM {table} AS counted"
            ))
        };
        let players = |table: &str| {
            Sql::new(&format!(
                "SELECT uniqExactIf({}, NOT bots) AS players, sumIf(counted.kills, NOT bots) AS kills \
                 FROM {table} AS counted",
                canonical("player_id")
            ))
        };
        let of_today = |sql: Sql| sql.text(" WHERE day = toDate(?)").bind(today.as_str());
        let (all, everybody, day, todays) = tokio::try_join!(
            self.row::<MatchesRow>(matches("match_totals")),
            self.row::<PlayersRow>(players("player_totals")),
            self.row::<MatchesRow>(of_today(matches("matches"))),
            self.row::<PlayersRow>(of_today(players("player_stats_daily"))),
        )?;
        Ok(Totals {
            events: all.events,
            matches: all.matches,
            players: everybody.players,
            kills: everybody.kills,
            servers: all.servers,
            today: DayTotals {
                events: day.events,
                matches: day.matches,
                players: todays.players,
                kills: todays.kills,
            },
        })
    }

    /// Maps that were played, by name.
    pub async fn known_maps(&self) -> Result<Vec<String>, ApiError> {
        let sql = Sql::new(
            "SELECT map_name AS word FROM match_totals WHERE map_name != '' GROUP BY word ORDER BY word LIMIT ?",
        );
        Ok(self.rows::<WordRow>(sql.bind(MAX_CHOICES)).await?.into_iter().map(|row| row.word).collect())
    }

    /// Weapons that were used, by name.
    pub async fn known_weapons(&self) -> Result<Vec<WeaponName>, ApiError> {
        let sql =
            Sql::new("SELECT toString(weapon) AS word FROM map_weapons GROUP BY word ORDER BY word LIMIT ?");
        let rows: Vec<WordRow> = self.rows(sql.bind(MAX_CHOICES)).await?;
        let mut weapons: Vec<WeaponName> = rows.iter().map(|row| weapon_name(&row.word)).collect();
        weapons.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(weapons)
    }

    /// Servers that have reported, by name.
    pub async fn known_servers(&self) -> Result<Vec<(Uuid, String)>, ApiError> {
        let sql = Sql::new("SELECT server_id FROM match_totals GROUP BY server_id LIMIT ?").bind(MAX_CHOICES);
        let rows: Vec<ServerRow> = self.rows(sql).await?;
        let mut servers: Vec<(Uuid, String)> =
            self.server_names(rows.into_iter().map(|row| row.server_id)).await.into_iter().collect();
        servers.sort_by(|one, other| (&one.1, one.0).cmp(&(&other.1, other.0)));
        Ok(servers)
    }

    /// 404 for a map that nobody ever played.
    pub async fn require_map(&self, map_name: &str) -> Result<(), ApiError> {
        let sql =
            Sql::new("SELECT map_name AS word FROM match_totals WHERE map_name = ? LIMIT 1").bind(map_name);
        if self.rows::<WordRow>(sql).await?.is_empty() {
            return Err(ApiError::not_found("unknown_map", "no match on a map of this name has been stored"));
        }
        Ok(())
    }

    /// 404 for a weapon that nobody ever used.
    pub async fn require_weapon(&self, slug: &str) -> Result<(), ApiError> {
        let sql = Sql::new(
            "SELECT toString(map_weapons.weapon) AS word FROM map_weapons WHERE map_weapons.weapon = ? LIMIT 1",
        );
        if self.rows::<WordRow>(sql.bind(slug)).await?.is_empty() {
            return Err(ApiError::not_found(
                "unknown_weapon",
                "no event with a weapon of this slug has been stored",
            ));
        }
        Ok(())
    }
}
