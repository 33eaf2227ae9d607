//! Which part of the data a question is about: the filters of api.md, as conditions on the roll-ups' columns.

use chrono::{DateTime, Datelike, Days, NaiveDate, Utc, Weekday};
use mohaa_domain::vocabulary::{GameType, Team};
use mohaa_domain::weapon::WeaponSlug;
use uuid::Uuid;

use super::people::canonical;
use super::query::Sql;
use crate::http::query::{Parameter, QueryValues};

/// What is counted. Days are UTC days of the events.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selection {
    pub map_name: Option<String>,
    pub server_id: Option<Uuid>,
    pub game_type: Option<GameType>,
    pub team: Option<Team>,
    pub weapon: Option<String>,
    /// First day.
    pub from: Option<NaiveDate>,
    /// The day after the last one.
    pub to: Option<NaiveDate>,
    pub bots: Bots,
    /// Unverified guests too.
    pub guests: bool,
    /// Where it is known on which days there is anything of it: tables are partitioned by day, and other days need not be
    /// looked into.
    pub(crate) days: Option<Vec<String>>,
}

/// A roll-up of days and the tables that have the sums of all its days (`clickhouse/0013_sums_of_all_days.sql`).
#[derive(Clone, Copy, Debug)]
pub(super) struct Sums {
    pub(super) daily: &'static str,
    /// Told apart by map, game type and side, where the roll-up is.
    pub(super) by_map: &'static str,
    pub(super) overall: &'static str,
}

pub(super) const PLAYER_STATS: Sums =
    Sums { daily: "player_stats_daily", by_map: "player_map_totals", overall: "player_totals" };
pub(super) const WEAPON_STATS: Sums =
    Sums { daily: "weapon_stats", by_map: "weapon_map_totals", overall: "weapon_totals" };
pub(super) const PLAYER_MATCHES: Sums =
    Sums { daily: "player_match_totals", by_map: "player_matches", overall: "player_matches" };
pub(super) const COMBAT: Sums =
    Sums { daily: "player_combat", by_map: "player_fights", overall: "player_fights" };
pub(super) const RIVALS: Sums =
    Sums { daily: "player_rivals_daily", by_map: "player_rivals", overall: "player_rivals" };
/// The same from the other end: whom a player fell to.
pub(super) const KILLERS: Sums =
    Sums { daily: "player_rivals_daily", by_map: "player_killers", overall: "player_killers" };
pub(super) const STANCES: Sums =
    Sums { daily: "player_stances_daily", by_map: "player_stances", overall: "player_stances" };

/// What to do with events in which a bot took part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bots {
    #[default]
    Without,
    With,
    Only,
}

/// A calendar period, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Period {
    #[default]
    All,
    Day,
    Week,
    Month,
}

pub(super) const MAP: Parameter =
    Parameter { name: "map", description: "Map, as the game names it.", example: "dm/mohdm1" };
pub(super) const SERVER: Parameter = Parameter {
    name: "server",
    description: "Server id (UUID).",
    example: "6f1c1f0e-8a52-5d0e-9a5b-2f1d3c4b5a69",
};
pub(super) const GAMETYPE: Parameter = Parameter {
    name: "gametype",
    description: "Game type: single, ffa, tdm, rounds, objective, tow or liberation.",
    example: "tdm",
};
pub(super) const FROM: Parameter =
    Parameter { name: "from", description: "First day that counts, UTC (inclusive).", example: "2026-01-01" };
pub(super) const TO: Parameter = Parameter {
    name: "to",
    description: "Day before which it ends, UTC (exclusive).",
    example: "2026-02-01",
};
pub(super) const WEAPON: Parameter =
    Parameter { name: "weapon", description: "Weapon slug.", example: "m1-garand" };
pub(super) const TEAM: Parameter =
    Parameter { name: "team", description: "Side: allies or axis.", example: "allies" };
pub(super) const BOTS: Parameter = Parameter {
    name: "bots",
    description: "Events with bots are left out; `with` adds them, `only` takes nothing else.",
    example: "with",
};
pub(super) const GUESTS: Parameter = Parameter {
    name: "guests",
    description: "`with` adds unverified guests, who are left out of boards otherwise.",
    example: "with",
};
pub(super) const PLAYER: Parameter = Parameter {
    name: "player",
    description: "Player id: matches that this player took part in.",
    example: "4711",
};

pub(super) const TOURNAMENT: Parameter = Parameter {
    name: "tournament",
    description: "Tournament id (UUID): games of its bracket that reported themselves.",
    example: "0198c2f4-7a10-7c3e-9d55-2f6a1c0b9e11",
};

impl Selection {
    /// Takes every filter that `values` still holds; mistakes stay with `values`.
    pub(super) fn take(values: &mut QueryValues) -> Self {
        let selection = Selection {
            map_name: values.filter("map").map(|map| normal_map_name(&map)),
            server_id: values.parsed_filter("server", |text| {
                Uuid::parse_str(text).map_err(|_| "must be a server id (a UUID)".to_owned())
            }),
            game_type: values.parsed_filter("gametype", game_type),
            team: values.parsed_filter("team", |text| match text {
                "allies" => Ok(Team::Allies),
                "axis" => Ok(Team::Axis),
                _ => Err("must be allies or axis".to_owned()),
            }),
            weapon: values.parsed_filter("weapon", |text| {
                text.parse::<WeaponSlug>()
                    .map(|slug| slug.as_str().to_owned())
                    .map_err(|error| error.to_string())
            }),
            from: values.parsed_filter("from", day),
            to: values.parsed_filter("to", day),
            bots: values
                .parsed_filter("bots", |text| match text {
                    "with" => Ok(Bots::With),
                    "only" => Ok(Bots::Only),
                    _ => Err("must be with or only".to_owned()),
                })
                .unwrap_or_default(),
            guests: values
                .parsed_filter("guests", |text| match text {
                    "with" => Ok(true),
                    _ => Err("must be with".to_owned()),
                })
                .unwrap_or_default(),
            days: None,
        };
        if let (Some(from), Some(to)) = (selection.from, selection.to)
            && from >= to
        {
            values.mistake("filter[to]", "must be after filter[from]");
        }
        selection
    }

    /// Where this is read: sums of all days, unless it names days, and those with the fewest rows that can tell.
    pub(super) fn table(&self, sums: Sums) -> &'static str {
        if self.names_days() {
            sums.daily
        } else if self.tells_maps_apart() {
            sums.by_map
        } else {
            sums.overall
        }
    }

    /// As [`Selection::table`], for questions that tell maps apart themselves.
    pub(super) fn table_by_map(&self, sums: Sums) -> &'static str {
        if self.names_days() { sums.daily } else { sums.by_map }
    }

    /// Where weapons on maps are read, in all hands.
    pub(super) fn table_of_map_weapons(&self) -> &'static str {
        if self.names_days() || self.server_id.is_some() {
            self.table_by_map(WEAPON_STATS)
        } else {
            "map_weapons"
        }
    }

    /// Where players of maps are read.
    pub(super) fn table_of_map_players(&self) -> &'static str {
        let is_told_by_few = self.server_id.is_none() && self.game_type.is_none() && self.team.is_none();
        if is_told_by_few && !self.names_days() { "map_players" } else { self.table_by_map(PLAYER_STATS) }
    }

    /// Whether it names a map, a game type or a side.
    pub(super) fn tells_maps_apart(&self) -> bool {
        self.map_name.is_some() || self.game_type.is_some() || self.team.is_some()
    }

    pub(super) fn names_days(&self) -> bool {
        self.from.is_some() || self.to.is_some()
    }

    /// Whether it has room for what is of a day.
    pub(super) fn has_day(&self, day: NaiveDate) -> bool {
        self.from.is_none_or(|from| day >= from) && self.to.is_none_or(|to| day < to)
    }

    /// Narrowed to a period as well.
    #[must_use]
    pub fn within(mut self, days: (Option<NaiveDate>, Option<NaiveDate>)) -> Self {
        self.from = self.from.into_iter().chain(days.0).max();
        self.to = self.to.into_iter().chain(days.1).min();
        self
    }

    /// Conditions on the columns that every roll-up by player and server has: day, server, bots.
    pub(super) fn player_conditions(&self) -> Sql {
        self.day_and_server_conditions().then(self.bots_condition())
    }

    /// Conditions on rivals, among whom servers are not told apart.
    pub(super) fn day_and_bots_conditions(&self) -> Sql {
        self.day_conditions().then(self.bots_condition())
    }

    fn bots_condition(&self) -> Sql {
        Sql::new(match self.bots {
            Bots::Without => " AND NOT bots",
            Bots::With => "",
            Bots::Only => " AND bots",
        })
    }

    /// Conditions on roll-ups that tell maps, game types and sides apart, or on sums of all days.
    pub(super) fn daily_conditions(&self) -> Sql {
        let mut sql = self.player_conditions();
        if let Some(map_name) = &self.map_name {
            sql = sql.text(" AND map_name = ?").bind(map_name.as_str());
        }
        if let Some(game_type) = self.game_type {
            sql = sql.text(" AND gametype = ?").bind(game_type.as_str());
        }
        if let Some(team) = self.team {
            sql = sql.text(" AND team = ?").bind(team.as_str());
        }
        sql
    }

    pub(super) fn day_and_server_conditions(&self) -> Sql {
        let sql = self.day_conditions();
        match self.server_id {
            Some(server_id) => sql.text(" AND server_id = toUUID(?)").bind(server_id.to_string()),
            None => sql,
        }
    }

    /// Conditions on days alone.
    pub(super) fn day_conditions(&self) -> Sql {
        let mut sql = Sql::default();
        if let Some(from) = self.from {
            sql = sql.text(" AND day >= toDate(?)").bind(from.to_string());
        }
        if let Some(to) = self.to {
            sql = sql.text(" AND day < toDate(?)").bind(to.to_string());
        }
        if self.names_days() { sql.then(self.known_days()) } else { sql }
    }

    /// The days on which there is anything, of a roll-up that is only kept by days. Where this names days, other conditions
    /// say so already.
    pub(super) fn known_days_condition(&self) -> Sql {
        if self.names_days() { Sql::default() } else { self.known_days() }
    }

    fn known_days(&self) -> Sql {
        match &self.days {
            Some(days) => Sql::new(" AND day IN ?").bind(days.clone()),
            None => Sql::default(),
        }
    }

    /// The same, where nothing of it is on other days than these.
    pub(super) fn on_days(&self, days: &[String]) -> Self {
        Selection { days: Some(days.to_vec()), ..self.clone() }
    }

    /// Leaves out guests, who are valid in one match only, unless they were asked for.
    pub(super) fn guest_condition(&self) -> Sql {
        if self.guests {
            return Sql::default();
        }
        Sql::new(" AND NOT match(").text(&canonical("player_id")).text(", '^g_[a-z2-7]{16}$')")
    }
}

impl Period {
    pub const ALL: [Period; 4] = [Period::All, Period::Day, Period::Week, Period::Month];

    pub fn as_str(self) -> &'static str {
        match self {
            Period::All => "all",
            Period::Day => "day",
            Period::Week => "week",
            Period::Month => "month",
        }
    }

    pub fn from_word(word: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|period| period.as_str() == word);
        found.ok_or_else(|| "must be all, day, week or month".to_owned())
    }

    /// First day and the day after the last of the current period.
    pub fn days(self, now: DateTime<Utc>) -> (Option<NaiveDate>, Option<NaiveDate>) {
        let today = now.date_naive();
        let (from, to) = match self {
            Period::All => return (None, None),
            Period::Day => (Some(today), today.checked_add_days(Days::new(1))),
            Period::Week => {
                let monday = today.week(Weekday::Mon).first_day();
                (Some(monday), monday.checked_add_days(Days::new(7)))
            }
            Period::Month => {
                let first = today.with_day(1);
                (first, first.and_then(|first| first.checked_add_months(chrono::Months::new(1))))
            }
        };
        (from, to)
    }
}

/// Years whose every day ClickHouse's `Date` holds.
const STORED_YEARS: std::ops::RangeInclusive<i32> = 1971..=2148;

/// First day and the day after the last of an ISO week such as `2026-W47`.
pub(super) fn iso_week(text: &str) -> Result<(Option<NaiveDate>, Option<NaiveDate>), String> {
    let wrong = || "must be an ISO week such as 2026-W47".to_owned();
    let (year, week) = text.split_once("-W").ok_or_else(wrong)?;
    let is_exact = year.len() == 4 && week.len() == 2;
    let (year, week) = (year.parse().map_err(|_| wrong())?, week.parse().map_err(|_| wrong())?);
    let year: i32 = year;
    if !STORED_YEARS.contains(&year) {
        return Err(format!("must lie between {} and {}", STORED_YEARS.start(), STORED_YEARS.end()));
    }
    let monday =
        NaiveDate::from_isoywd_opt(year, week, Weekday::Mon).filter(|_| is_exact).ok_or_else(wrong)?;
    Ok((Some(monday), monday.checked_add_days(Days::new(7))))
}

/// The current ISO week, as `week` takes it.
pub(super) fn iso_week_name(now: DateTime<Utc>) -> String {
    let week = now.iso_week();
    format!("{:04}-W{:02}", week.year(), week.week())
}

/// The form in which map names are stored.
pub fn normal_map_name(text: &str) -> String {
    let lower = text.trim().trim_matches('/').to_lowercase();
    let name = lower.strip_prefix("maps/").unwrap_or(&lower);
    name.strip_suffix(".bsp").unwrap_or(name).to_owned()
}

fn game_type(text: &str) -> Result<GameType, String> {
    let known = GameType::from_word(text).filter(|game_type| *game_type != GameType::Unknown);
    known.ok_or_else(|| {
        let words: Vec<&str> =
            GameType::ALL.iter().map(|it| it.as_str()).filter(|word| !word.is_empty()).collect();
        format!("must be one of {}", words.join(", "))
    })
}

fn day(text: &str) -> Result<NaiveDate, String> {
    // ClickHouse's Date ends in 2149.
    let known =
        NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|day| (1970..2149).contains(&day.year()));
    known.ok_or_else(|| "must be a day such as 2026-01-31".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn date(text: &str) -> Option<NaiveDate> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn periods_are_the_current_calendar_ones_in_utc() {
        let now = "2026-11-22T23:59:59Z".parse().unwrap();
        assert_eq!(Period::Day.days(now), (date("2026-11-22"), date("2026-11-23")));
        assert_eq!(Period::Week.days(now), (date("2026-11-16"), date("2026-11-23")));
        assert_eq!(Period::Month.days(now), (date("2026-11-01"), date("2026-12-01")));
        assert_eq!(Period::All.days(now), (None, None));
    }

    #[test]
    fn an_iso_week_may_begin_in_the_year_before() {
        assert_eq!(iso_week("2026-W01"), Ok((date("2025-12-29"), date("2026-01-05"))));
        assert_eq!(iso_week_name("2026-11-22T10:00:00Z".parse().unwrap()), "2026-W47");
        assert_eq!(iso_week_name("2027-01-01T10:00:00Z".parse().unwrap()), "2026-W53");
        for wrong in ["2025-W53", "2026-W00", "2026-47", "2026-W7", "W47", "", "2026-W4x"] {
            assert!(iso_week(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn map_names_are_compared_in_their_stored_form() {
        for text in ["dm/mohdm1", " DM/MohDM1 ", "maps/dm/mohdm1.bsp", "/dm/mohdm1"] {
            assert_eq!(normal_map_name(text), "dm/mohdm1");
        }
    }
}
