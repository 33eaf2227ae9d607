//! Weapons: what each did in all hands, and one of them with its ranges, best players and maps.
//!
//! Accuracy is told of those players alone whose every hit has a weapon (`accuracy`): any weapon of the others may be short
//! of hits.

pub mod answers;
pub(super) mod handlers;
pub(super) mod ranges;

use clickhouse::Row;
use mohaa_domain::weapon::{self, WeaponClass};
use serde::Deserialize;

use self::answers::{WeaponAnswer, WeaponFigures, WeaponList, WeaponMap};
use super::accuracy::players_with_unassigned_hits;
use super::leaderboard::BoardQuestion;
use super::names::weapon_name;
use super::people::canonical;
use super::query::Sql;
use super::ratio::{percent, round};
use super::selection::{Selection, WEAPON_STATS};
use super::{Period, Stats};
use crate::http::ApiError;
use crate::http::query::{Format, Paging};

/// Players on a weapon's page.
const TOP_PLAYERS: u32 = 10;
const MOST_MAPS: i64 = 25;

/// Which weapons, in which order.
#[derive(Clone, Debug, Default)]
pub struct WeaponsQuestion {
    pub period: Period,
    /// Already narrowed to the period. Its weapon, if there is one, is the only one.
    pub selection: Selection,
    pub sort: WeaponSort,
    pub paging: Paging,
    pub format: Format,
}

/// What the list of weapons is ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WeaponSort {
    #[default]
    Kills,
    Headshots,
    Damage,
    Users,
    Accuracy,
    Distance,
}

impl WeaponSort {
    pub const ALL: [WeaponSort; 6] = [
        WeaponSort::Kills,
        WeaponSort::Headshots,
        WeaponSort::Damage,
        WeaponSort::Users,
        WeaponSort::Accuracy,
        WeaponSort::Distance,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            WeaponSort::Kills => "kills",
            WeaponSort::Headshots => "headshots",
            WeaponSort::Damage => "damage",
            WeaponSort::Users => "users",
            WeaponSort::Accuracy => "accuracy",
            WeaponSort::Distance => "distance",
        }
    }

    /// As people read it.
    pub fn label(self) -> &'static str {
        match self {
            WeaponSort::Kills => "Kills",
            WeaponSort::Headshots => "Headshots",
            WeaponSort::Damage => "Damage",
            WeaponSort::Users => "Users",
            WeaponSort::Accuracy => "Accuracy",
            WeaponSort::Distance => "Longest kill",
        }
    }

    pub fn from_word(word: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|sort| sort.as_str() == word);
        found.ok_or_else(|| format!("must be one of {}", Self::ALL.map(Self::as_str).join(", ")))
    }

    /// Over the columns of [`figures`]; the slug decides between equal ones.
    fn order(self) -> &'static str {
        match self {
            WeaponSort::Kills => "kills DESC",
            WeaponSort::Headshots => "headshots DESC",
            WeaponSort::Damage => "damage DESC",
            WeaponSort::Users => "users DESC",
            WeaponSort::Accuracy => "told_shots > 0 DESC, least(told_hits / greatest(told_shots, 1), 1) DESC",
            WeaponSort::Distance => "longest DESC",
        }
    }
}

#[derive(Clone, Row, Deserialize)]
struct FiguresRow {
    weapon: String,
    kills: u64,
    deaths: u64,
    headshots: u64,
    shots_fired: u64,
    shots_hit: u64,
    told_shots: u64,
    told_hits: u64,
    damage: f64,
    users: u64,
    measured_kills: u64,
    metres: f64,
    longest: f64,
    total: u64,
}

#[derive(Clone, Row, Deserialize)]
struct CountRow {
    total: u64,
}

#[derive(Clone, Row, Deserialize)]
struct MapRow {
    map_name: String,
    kills: u64,
    headshots: u64,
}

fn figures(slug: String) -> WeaponFigures {
    let class = weapon::by_slug(&slug).map_or(WeaponClass::Other, |weapon| weapon.class);
    WeaponFigures {
        name: weapon_name(&slug).name,
        slug,
        class: class.as_str(),
        kills: 0,
        deaths: 0,
        headshots: 0,
        headshot_percent: 0.0,
        shots_fired: 0,
        shots_hit: 0,
        accuracy: None,
        damage: 0.0,
        users: 0,
        average_kill_metres: None,
        longest_kill_metres: None,
    }
}

impl From<FiguresRow> for WeaponFigures {
    fn from(row: FiguresRow) -> Self {
        let distances = ranges::shown(row.measured_kills, row.metres, row.longest);
        WeaponFigures {
            kills: row.kills,
            deaths: row.deaths,
            headshots: row.headshots,
            headshot_percent: percent(row.headshots, row.kills),
            shots_fired: row.shots_fired,
            shots_hit: row.shots_hit,
            accuracy: (row.told_shots > 0).then(|| percent(row.told_hits, row.told_shots)),
            damage: round(row.damage, 3),
            users: row.users,
            average_kill_metres: distances.map(|distances| distances.average_metres),
            longest_kill_metres: distances.map(|distances| distances.longest_metres),
            ..figures(row.weapon)
        }
    }
}

/// `weapon, who` and sums of the selected part of weapons' sums.
fn by_weapon_and_player(selection: &Selection) -> Sql {
    let mut sql =
        Sql::new("SELECT toString(used.weapon) AS weapon, ").text(&canonical("player_id")).text(
            " AS who, sum(used.kills) AS k, sum(used.deaths) AS d, sum(used.headshots) AS h, \
             sum(used.shots_fired) AS sf, sum(used.shots_hit) AS sh, toFloat64(sum(used.damage)) AS dmg FROM ",
        )
        .text(selection.table(WEAPON_STATS))
        .text(" AS used WHERE 1");
    if let Some(weapon) = &selection.weapon {
        sql = sql.text(" AND used.weapon = ?").bind(weapon.as_str());
    }
    sql.then(selection.daily_conditions()).text(" GROUP BY weapon, who")
}

impl Stats {
    /// A page of the weapons that were used.
    pub async fn weapons(&self, question: &WeaponsQuestion) -> Result<WeaponList, ApiError> {
        let Paging { page, limit } = question.paging;
        let rows = self.weapon_figures(question).await?;
        let total = match rows.first() {
            Some(row) => row.total,
            // Behind the last page there is no row that could say how many there are.
            None if page > 1 => {
                let sql = Sql::new("SELECT uniqExact(weapon) AS total FROM (")
                    .then(by_weapon_and_player(&question.selection))
                    .text(")");
                self.row::<CountRow>(sql).await?.total
            }
            None => 0,
        };
        Ok(WeaponList {
            period: question.period.as_str(),
            sort: question.sort.as_str(),
            page,
            limit,
            total,
            weapons: rows.into_iter().map(WeaponFigures::from).collect(),
        })
    }

    /// One weapon; 404 for one that nobody ever used.
    pub async fn weapon(&self, period: Period, selection: &Selection) -> Result<WeaponAnswer, ApiError> {
        let slug = selection.weapon.clone().unwrap_or_default();
        self.require_weapon(&slug).await?;
        let paging = Paging { page: 1, limit: TOP_PLAYERS };
        let question = WeaponsQuestion { period, selection: selection.clone(), paging, ..Default::default() };
        let board = BoardQuestion { period, selection: selection.clone(), paging, ..Default::default() };
        let (rows, ranges, board, maps) = tokio::try_join!(
            self.weapon_figures(&question),
            self.ranges(&slug, selection),
            self.leaderboard(&board),
            self.maps_of_weapon(&slug, selection),
        )?;
        let row = rows.into_iter().next();
        let map =
            |row: MapRow| WeaponMap { map_name: row.map_name, kills: row.kills, headshots: row.headshots };
        Ok(WeaponAnswer {
            period: period.as_str(),
            figures: row.map_or_else(|| figures(slug), WeaponFigures::from),
            ranges,
            top_players: board.players,
            maps: maps.into_iter().map(map).collect(),
        })
    }

    /// Served by the sums of weapons and by `ranges::distances`.
    async fn weapon_figures(&self, question: &WeaponsQuestion) -> Result<Vec<FiguresRow>, ApiError> {
        let selection = &question.selection;
        let sql = Sql::new(
            "SELECT used.weapon AS weapon, used.kills AS kills, deaths, headshots, shots_fired, shots_hit, told_shots, \
             told_hits, damage, users, measured.kills AS measured_kills, metres, longest, count() OVER () AS total FROM \
             (SELECT weapon, sum(k) AS kills, sum(d) AS deaths, sum(h) AS headshots, sum(sf) AS shots_fired, \
             sum(sh) AS shots_hit, sumIf(sf, is_told) AS told_shots, sumIf(sh, is_told) AS told_hits, \
             sum(dmg) AS damage, countIf(k + sf + sh > 0 OR dmg > 0) AS users FROM \
             (SELECT *, who NOT IN (",
        )
        .then(players_with_unassigned_hits(selection, None))
        .text(") AS is_told FROM (")
        .then(by_weapon_and_player(selection))
        .text(")) GROUP BY weapon) AS used LEFT JOIN (")
        .then(ranges::distances(selection))
        .text(") AS measured USING (weapon) ORDER BY ")
        .text(question.sort.order())
        .text(", weapon LIMIT ? OFFSET ?")
        .bind(i64::from(question.paging.limit))
        .bind(question.paging.offset() as i64);
        self.rows(sql).await
    }

    /// Served by the primary key of `map_weapons`; of a server by that of `weapon_map_totals`, of some days by `weapon_stats`.
    async fn maps_of_weapon(&self, slug: &str, selection: &Selection) -> Result<Vec<MapRow>, ApiError> {
        let sql = Sql::new(
            "SELECT toString(used.map_name) AS map_name, sum(used.kills) AS kills, \
             sum(used.headshots) AS headshots FROM ",
        )
        .text(selection.table_of_map_weapons())
        .text(" AS used WHERE used.weapon = ? AND used.map_name != ''")
        .bind(slug)
        .then(selection.daily_conditions())
        .text(" GROUP BY map_name HAVING kills > 0 ORDER BY kills DESC, map_name LIMIT ?")
        .bind(MOST_MAPS);
        self.rows(sql).await
    }
}
