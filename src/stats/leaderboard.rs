//! Leaderboards: one statement ranks, four small ones dress the page's rows.
//!
//! On a board stand those who took part in the fighting of the selection (a kill or a death) or have a value above
//! zero; on a board of a ratio those with enough to divide by. Ties are ordered by kills, then by player id.
//! Accuracy comes from fire and hit events where a server sends those, else from its summaries, never from both. On a
//! weapon's board of accuracy stand those whose accuracy with it is known (`accuracy`). On the board of ratings stand those of
//! the selection who have one.

use clickhouse::Row;
use mohaa_domain::player::is_guest_id;
use mohaa_domain::rating::{Rating, is_provisional};
use serde::Deserialize;

use super::accuracy::{players_with_unassigned_hits, weapon_accuracy};
use super::answers::{Leaderboard, LeaderboardRow, RATING_DECIMALS};
use super::career::{careers, killstreaks};
use super::names::weapon_name;
use super::people::canonical;
use super::query::Sql;
use super::ratings::rated_players;
use super::ratio::{kd_ratio, percent, round};
use super::selection::{PLAYER_STATS, Selection, WEAPON_STATS};
use super::{Period, Stats};
use crate::http::ApiError;
use crate::http::query::{Format, Paging};

/// The game measures in units of which 16 make a foot.
pub(super) const KILOMETRES_PER_UNIT: f64 = 0.3048 / 16.0 / 1000.0;

/// What a board ranks by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Statistic {
    #[default]
    Kills,
    Deaths,
    KdRatio,
    Headshots,
    HeadshotPercent,
    Accuracy,
    Damage,
    Wins,
    WinRate,
    Playtime,
    Distance,
    Killstreak,
    Rating,
}

/// Which board, and which page of it.
#[derive(Clone, Debug, Default)]
pub struct BoardQuestion {
    pub statistic: Statistic,
    pub period: Period,
    /// The ISO week, when one was named.
    pub week: Option<String>,
    /// Already narrowed to the period.
    pub selection: Selection,
    pub paging: Paging,
    pub format: Format,
}

/// How a statistic is ranked.
struct Ranking {
    /// Over the columns of `counted`, `careers` and `streaks`.
    value: &'static str,
    /// What must reach the minimum, and the minimum.
    sample: Option<(&'static str, u32)>,
}

#[derive(Clone, Row, Deserialize)]
struct CountedRow {
    player_id: String,
    value: f64,
    kills: u64,
    deaths: u64,
    headshots: u64,
    damage: f64,
    shots_fired: u64,
    shots_hit: u64,
    #[serde(with = "clickhouse::serde::chrono::datetime64::millis")]
    last_active: chrono::DateTime<chrono::Utc>,
    total: u64,
}

#[derive(Clone, Row, Deserialize)]
struct CountRow {
    total: u64,
}

impl Statistic {
    pub const ALL: [Statistic; 13] = [
        Statistic::Kills,
        Statistic::Deaths,
        Statistic::KdRatio,
        Statistic::Headshots,
        Statistic::HeadshotPercent,
        Statistic::Accuracy,
        Statistic::Damage,
        Statistic::Wins,
        Statistic::WinRate,
        Statistic::Playtime,
        Statistic::Distance,
        Statistic::Killstreak,
        Statistic::Rating,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Statistic::Kills => "kills",
            Statistic::Deaths => "deaths",
            Statistic::KdRatio => "kd_ratio",
            Statistic::Headshots => "headshots",
            Statistic::HeadshotPercent => "headshot_percent",
            Statistic::Accuracy => "accuracy",
            Statistic::Damage => "damage",
            Statistic::Wins => "wins",
            Statistic::WinRate => "win_rate",
            Statistic::Playtime => "playtime",
            Statistic::Distance => "distance",
            Statistic::Killstreak => "killstreak",
            Statistic::Rating => "rating",
        }
    }

    /// As people read it.
    pub fn label(self) -> &'static str {
        match self {
            Statistic::Kills => "Kills",
            Statistic::Deaths => "Deaths",
            Statistic::KdRatio => "Kills per death",
            Statistic::Headshots => "Headshots",
            Statistic::HeadshotPercent => "Headshot share",
            Statistic::Accuracy => "Accuracy",
            Statistic::Damage => "Damage",
            Statistic::Wins => "Wins",
            Statistic::WinRate => "Win rate",
            Statistic::Playtime => "Time played",
            Statistic::Distance => "Distance",
            Statistic::Killstreak => "Longest killstreak",
            Statistic::Rating => "Rating",
        }
    }

    pub fn from_word(word: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|statistic| statistic.as_str() == word);
        found.ok_or_else(|| format!("must be one of {}", words(&Self::ALL)))
    }

    /// Whether it can be told for one weapon.
    fn is_of_weapons(self) -> bool {
        !matches!(
            self,
            Statistic::Wins
                | Statistic::WinRate
                | Statistic::Playtime
                | Statistic::Distance
                | Statistic::Killstreak
                | Statistic::Rating
        )
    }

    fn ranking(self) -> Ranking {
        let (value, sample) = match self {
            Statistic::Kills => ("kills", None),
            Statistic::Deaths => ("deaths", None),
            Statistic::KdRatio => ("kills / greatest(deaths, 1)", Some(("kills + deaths", 10))),
            Statistic::Headshots => ("headshots", None),
            Statistic::HeadshotPercent => ("headshots / greatest(kills, 1) * 100", Some(("kills", 10))),
            Statistic::Accuracy => {
                ("least(shots_hit / greatest(shots_fired, 1), 1) * 100", Some(("shots_fired", 100)))
            }
            Statistic::Damage => ("damage", None),
            Statistic::Wins => ("matches_won", None),
            Statistic::WinRate => {
                ("matches_won / greatest(matches_played, 1) * 100", Some(("matches_played", 5)))
            }
            Statistic::Playtime => ("playtime_seconds", None),
            Statistic::Distance => ("distance", None),
            Statistic::Killstreak => ("killstreak", None),
            Statistic::Rating => ("rated.rating", None),
        };
        Ranking { value, sample }
    }

    /// The value as answers show it.
    fn shown(self, value: f64) -> serde_json::Number {
        let shown = match self {
            Statistic::KdRatio => round(value, 2),
            Statistic::HeadshotPercent | Statistic::Accuracy | Statistic::WinRate => round(value, 1),
            Statistic::Distance => round(value * KILOMETRES_PER_UNIT, 3),
            Statistic::Damage => round(value, 3),
            Statistic::Rating => round(value, RATING_DECIMALS),
            _ => return serde_json::Number::from(value as u64),
        };
        serde_json::Number::from_f64(shown).unwrap_or_else(|| serde_json::Number::from(0))
    }
}

fn words(statistics: &[Statistic]) -> String {
    statistics.iter().map(|statistic| statistic.as_str()).collect::<Vec<_>>().join(", ")
}

/// The ranked players of a question: `player_id, value` and what their rows are made of.
fn ranked(question: &BoardQuestion) -> Sql {
    let selection = &question.selection;
    let Ranking { value, sample } = question.statistic.ranking();
    let source = match &selection.weapon {
        // A weapon's roll-up knows no summaries and no way walked.
        Some(weapon) => Sql::new("SELECT ")
            .text(&canonical("player_id"))
            .text(
                " AS who, server_id, sum(kills) AS k, sum(deaths) AS d, sum(headshots) AS h, \
             toFloat64(sum(damage)) AS dmg, sum(shots_fired) AS sf, sum(shots_hit) AS sh, \
             toUInt64(0) AS ssf, toUInt64(0) AS ssh, toFloat64(0) AS dist, max(last_seen) AS ls \
             FROM ",
            )
            .text(selection.table(WEAPON_STATS))
            .text(" WHERE weapon = ?")
            .bind(weapon.as_str()),
        None => Sql::new("SELECT ")
            .text(&canonical("player_id"))
            .text(
                " AS who, server_id, sum(kills) AS k, sum(deaths) AS d, sum(headshots) AS h, \
             toFloat64(sum(damage)) AS dmg, sum(shots_fired) AS sf, sum(shots_hit) AS sh, \
             sum(summary_shots_fired) AS ssf, sum(summary_shots_hit) AS ssh, \
             toFloat64(sum(distance)) AS dist, max(last_seen) AS ls FROM ",
            )
            .text(selection.table(PLAYER_STATS))
            .text(" WHERE 1"),
    };
    let per_server = source
        .then(selection.daily_conditions())
        .then(selection.guest_condition())
        .text(" GROUP BY who, server_id");
    let counted = Sql::new(
        "SELECT who AS player_id, sum(k) AS kills, sum(d) AS deaths, sum(h) AS headshots, sum(dmg) AS damage, \
         sum(if(sf > 0, sf, ssf)) AS shots_fired, sum(if(sf > 0, sh, ssh)) AS shots_hit, \
         sum(dist) AS distance, max(ls) AS last_active FROM (",
    )
    .then(per_server)
    .text(") GROUP BY who");

    let mut sql = Sql::new("SELECT counted.player_id AS player_id, toFloat64(")
        .text(value)
        .text(") AS value, kills, deaths, headshots, damage, shots_fired, shots_hit, last_active FROM (")
        .then(counted)
        .text(") AS counted");
    match question.statistic {
        Statistic::Wins | Statistic::WinRate | Statistic::Playtime => {
            sql = sql
                .text(" LEFT JOIN (")
                .then(careers(selection, None))
                .text(") AS careers USING (player_id)");
        }
        Statistic::Killstreak => {
            sql = sql
                .text(" LEFT JOIN (")
                .then(killstreaks(selection, None, None))
                .text(") AS streaks USING (player_id)");
        }
        // Everybody of the selection who has a rating, however little they did in it.
        Statistic::Rating => {
            return sql.text(" INNER JOIN (").then(rated_players()).text(") AS rated USING (player_id)");
        }
        _ => {}
    }
    match (&selection.weapon, sample) {
        (Some(_), Some((sample, minimum))) if question.statistic == Statistic::Accuracy => sql
            .text(&format!(" WHERE {sample} >= {minimum} AND player_id NOT IN ("))
            .then(players_with_unassigned_hits(selection, None))
            .text(")"),
        (_, Some((sample, minimum))) => sql.text(&format!(" WHERE {sample} >= {minimum}")),
        // Who only died by a weapon has not used it.
        (Some(_), None) => sql.text(" WHERE kills + shots_fired + shots_hit > 0 OR damage > 0"),
        (None, None) => sql.text(" WHERE value > 0 OR kills + deaths > 0"),
    }
}

impl Stats {
    /// One page of a board. Served by `player_totals`, or `weapon_totals` for one weapon's; where days, maps, game types or
    /// sides are asked for by the tables that tell them apart.
    pub async fn leaderboard(&self, question: &BoardQuestion) -> Result<Leaderboard, ApiError> {
        if question.selection.weapon.is_some() && !question.statistic.is_of_weapons() {
            let allowed: Vec<Statistic> =
                Statistic::ALL.into_iter().filter(|it| it.is_of_weapons()).collect();
            let why =
                format!("can't be told for one weapon; with a weapon it must be one of {}", words(&allowed));
            return Err(ApiError::invalid_field("stat", why));
        }
        let Paging { page, limit } = question.paging;
        let page_of_rows = Sql::new("SELECT *, count() OVER () AS total FROM (")
            .then(ranked(question))
            .text(") ORDER BY value DESC, kills DESC, player_id ASC LIMIT ? OFFSET ?")
            .bind(i64::from(limit))
            .bind(question.paging.offset() as i64);
        let rows: Vec<CountedRow> = self.rows(page_of_rows).await?;
        let total = match rows.first() {
            Some(row) => row.total,
            // Behind the last page there is no row that could say how many there are.
            None if page > 1 => {
                let total = Sql::new("SELECT count() AS total FROM (").then(ranked(question)).text(")");
                self.row::<CountRow>(total).await?.total
            }
            None => 0,
        };

        let player_ids: Vec<String> = rows.iter().map(|row| row.player_id.clone()).collect();
        let of_a_weapon = question.selection.weapon.is_some();
        // Only asked for where a weapon's accuracy is shown.
        let shooters = if of_a_weapon { player_ids.clone() } else { Vec::new() };
        let (names, careers, with_unassigned_hits, ratings) = tokio::try_join!(
            self.player_names(player_ids.clone()),
            self.careers_of(&question.selection, player_ids.clone()),
            self.with_unassigned_hits(&question.selection, shooters),
            self.ratings_of(player_ids),
        )?;
        let first_rank = question.paging.offset() + 1;
        let players = (first_rank..).zip(rows).map(|(rank, row)| {
            let name = names.of(&row.player_id);
            let career = careers.get(&row.player_id).copied().unwrap_or_default();
            let rating = ratings.get(&row.player_id);
            let figure = |of: fn(Rating) -> f64| rating.map(|it| round(of(it.rating), RATING_DECIMALS));
            LeaderboardRow {
                rank,
                player_name: name.plain,
                player_name_raw: name.raw,
                guest: is_guest_id(&row.player_id),
                value: question.statistic.shown(row.value),
                kills: row.kills,
                deaths: row.deaths,
                kd_ratio: kd_ratio(row.kills, row.deaths),
                headshots: row.headshots,
                headshot_percent: percent(row.headshots, row.kills),
                accuracy: match of_a_weapon {
                    true => {
                        let has_unassigned_hits = with_unassigned_hits.contains(&row.player_id);
                        weapon_accuracy(row.shots_hit, row.shots_fired, has_unassigned_hits)
                    }
                    false => Some(percent(row.shots_hit, row.shots_fired)),
                },
                damage: round(row.damage, 3),
                matches_played: career.matches_played,
                matches_won: career.matches_won,
                playtime_seconds: career.playtime_seconds,
                rating: figure(|rating| rating.value),
                rating_low: figure(Rating::low),
                rating_high: figure(Rating::high),
                rating_provisional: rating.map(|it| is_provisional(it.matches)),
                last_active: row.last_active,
                player_id: row.player_id,
            }
        });
        Ok(Leaderboard {
            stat: question.statistic.as_str(),
            period: question.period.as_str(),
            week: question.week.clone(),
            weapon: question.selection.weapon.as_deref().map(weapon_name),
            map_name: question.selection.map_name.clone(),
            min_sample: question.statistic.ranking().sample.map(|(_, minimum)| minimum),
            page,
            limit,
            total,
            players: players.collect(),
        })
    }
}
