//! What an organizer decides about a tournament.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::At;
use super::seeding::{GroupSeeding, Ordering};
use super::standings::TieBreak;
use crate::name::can_be_seen;

/// More entrants than anybody has asked for; it bounds what a tournament may cost.
pub const MOST_ENTRANTS: u32 = 1024;
/// More rounds of Swiss than 1,024 entrants need.
const MOST_SWISS_ROUNDS: u32 = 32;
const MOST_MAPS: usize = 64;
const LONGEST_NAME: usize = 200;
const LONGEST_DESCRIPTION: usize = 10_000;
pub(super) const LONGEST_MAP: usize = 128;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    SingleElimination,
    DoubleElimination,
    RoundRobin,
    Swiss,
    GroupStage,
}

/// How double elimination ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrandFinal {
    /// The champions of the two brackets do not meet: the upper one's is first.
    None,
    /// One match.
    Simple,
    /// The lower bracket's champion has to win twice.
    #[default]
    Double,
}

/// Who is which seed when the bracket is made. An order by hand goes before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeedBy {
    #[default]
    Registration,
    Rating,
    /// Drawn with the random number that the start was given.
    Random,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FirstStage {
    #[default]
    Groups,
    Swiss,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Knockout {
    #[default]
    SingleElimination,
    DoubleElimination,
}

/// What a result is worth in a table.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PointsFor {
    pub win: f64,
    pub draw: f64,
    pub loss: f64,
}

impl PointsFor {
    pub const ROUND_ROBIN: PointsFor = PointsFor { win: 3.0, draw: 1.0, loss: 0.0 };
    pub const SWISS: PointsFor = PointsFor { win: 1.0, draw: 0.5, loss: 0.0 };
}

/// One step of a veto: who takes a map away or picks one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VetoStep {
    Ban1,
    Ban2,
    Pick1,
    Pick2,
}

/// What only some formats know. Absent means the default that each field names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Double elimination: `double` if absent.
    pub grand_final: Option<GrandFinal>,
    /// Single elimination: the losers of the semi-finals meet.
    pub third_place: bool,
    /// Double elimination: the losers of the lower bracket's last two rounds meet.
    pub consolation: bool,
    /// Double elimination: the worse half of the seeds starts in the lower bracket.
    pub lower_start: bool,
    /// Round robin: 1 if absent. Group stage: as many as make groups of four.
    pub groups: Option<u32>,
    pub group_seeding: GroupSeeding,
    /// Round robin and groups: everybody meets everybody twice.
    pub double_round_robin: bool,
    /// Group stage: what comes before the knockout.
    pub first_stage: FirstStage,
    pub knockout: Knockout,
    /// Group stage: how many of each group go on, 2 if absent; with Swiss, how many of all: as many as its limits let
    /// through, or else 8 or half of them.
    pub advance: Option<u32>,
    /// Swiss: as many as single elimination would take, if absent.
    pub swiss_rounds: Option<u32>,
    /// Swiss: so many wins are enough, and no further match is played.
    pub swiss_wins: Option<u32>,
    /// Swiss: so many losses end it.
    pub swiss_losses: Option<u32>,
    /// Swiss: two may meet again where no other round exists.
    pub allow_rematches: bool,
    /// What decides between equals, from the first; `points` comes first if it is not named.
    pub tie_breaks: Option<Vec<TieBreak>>,
    pub points: Option<PointsFor>,
    pub seed_by: SeedBy,
    /// Other than `best_of`, by round: `R3`, `W1`, `L4`, `GF` (both matches), `C`, `S5`, `G` (all groups), or `final`: the last
    /// of single elimination or the grand final.
    pub best_of_rounds: BTreeMap<String, u8>,
    /// After so many minutes a report that nobody answered holds; 0: never. 15 if absent.
    pub auto_accept_minutes: Option<u32>,
    /// By turns of bans until the maps to be played are left, if absent.
    pub veto: Option<Vec<VetoStep>>,
}

impl Options {
    pub fn auto_accept(&self) -> Option<At> {
        let minutes = self.auto_accept_minutes.unwrap_or(15);
        (minutes > 0).then(|| At::from(minutes) * 60_000)
    }
}

/// Times in milliseconds since 1970, each null if it was not set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Times {
    pub registration_start: Option<At>,
    pub registration_end: Option<At>,
    pub checkin_start: Option<At>,
    pub checkin_end: Option<At>,
    pub start_time: Option<At>,
}

impl Times {
    pub fn has_checkin(&self) -> bool {
        self.checkin_start.is_some() || self.checkin_end.is_some()
    }

    /// When check-in opens by itself once registration is over: with only an end at once, and without both by hand alone.
    pub fn checkin_opens(&self) -> Option<At> {
        self.checkin_start.or(self.checkin_end.map(|_| 0))
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    pub name: String,
    pub description: String,
    pub format: Format,
    pub max_participants: u32,
    pub min_participants: u32,
    /// 1: entrants are single players.
    pub team_size: u32,
    pub game_mode: Option<String>,
    pub map_pool: Vec<String>,
    /// Minutes.
    pub timelimit: Option<u32>,
    pub fraglimit: Option<u32>,
    pub roundlimit: Option<u32>,
    pub best_of: u8,
    pub seeding: Ordering,
    #[serde(flatten)]
    pub times: Times,
    pub options: Options,
}

/// The named members of `other` in place of those of `one`; all where none is named. What can't be put together stays as it
/// was.
pub(super) fn merged<T: Clone + Serialize + DeserializeOwned>(
    one: &T,
    other: &T,
    fields: Option<&BTreeSet<String>>,
) -> T {
    let Some(fields) = fields else { return other.clone() };
    let (Ok(Value::Object(mut members)), Ok(Value::Object(others))) =
        (serde_json::to_value(one), serde_json::to_value(other))
    else {
        return one.clone();
    };
    for name in fields {
        match name.split_once('.') {
            None => put(&mut members, name, others.get(name)),
            Some((outer, inner)) => {
                if let Some(Value::Object(own)) = members.get_mut(outer) {
                    put(own, inner, others.get(outer).and_then(|other| other.get(inner)));
                }
            }
        }
    }
    serde_json::from_value(Value::Object(members)).unwrap_or_else(|_| one.clone())
}

fn put(members: &mut Map<String, Value>, name: &str, value: Option<&Value>) {
    match value {
        Some(value) => drop(members.insert(name.to_owned(), value.clone())),
        None => drop(members.remove(name)),
    }
}

/// A setting that can't be, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// As in JSON: `options.groups`.
    pub field: &'static str,
    pub why: String,
}

impl Settings {
    /// These with the named ones of `other`, by their names in JSON; all of them where none is named.
    #[must_use]
    pub fn with(&self, other: &Settings, fields: Option<&BTreeSet<String>>) -> Settings {
        merged(self, other, fields)
    }

    /// Everything that is wrong with these settings; none is fine.
    pub fn mistakes(&self) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        let mut must = |holds: bool, field: &'static str, why: &str| {
            if !holds {
                mistakes.push(Mistake { field, why: why.to_owned() });
            }
        };
        let options = &self.options;
        let length = self.name.trim().chars().count();
        must((1..=LONGEST_NAME).contains(&length), "name", "1 to 200 characters");
        must(!self.name.chars().any(char::is_control), "name", "no control characters");
        must(self.name.trim().is_empty() || can_be_seen(&self.name), "name", "something that can be seen");
        must(
            self.description.chars().count() <= LONGEST_DESCRIPTION && !self.description.contains('\0'),
            "description",
            "at most 10,000 characters",
        );
        must((2..=MOST_ENTRANTS).contains(&self.max_participants), "max_participants", "2 to 1,024");
        must(
            (2..=self.max_participants).contains(&self.min_participants),
            "min_participants",
            "from 2 to max_participants",
        );
        must((1..=32).contains(&self.team_size), "team_size", "1 to 32");
        must(is_best_of(self.best_of), "best_of", "1, 3, 5 or 7");
        must(self.map_pool.len() <= MOST_MAPS, "map_pool", "at most 64 maps");
        must(
            self.map_pool.iter().all(|map| is_line(map, LONGEST_MAP)),
            "map_pool",
            "names of 1 to 128 characters, without control characters",
        );
        must(
            self.map_pool.iter().collect::<BTreeSet<_>>().len() == self.map_pool.len(),
            "map_pool",
            "each map once",
        );
        must(
            self.game_mode.as_deref().is_none_or(|mode| is_line(mode, LONGEST_MAP)),
            "game_mode",
            "1 to 128 characters, without control characters",
        );
        for (limit, field) in
            [(self.timelimit, "timelimit"), (self.fraglimit, "fraglimit"), (self.roundlimit, "roundlimit")]
        {
            must(limit.is_none_or(|limit| limit <= 100_000), field, "at most 100,000");
        }
        let Times { registration_start, registration_end, checkin_start, checkin_end, start_time } =
            self.times;
        for (at, field) in [
            (registration_start, "registration_start"),
            (registration_end, "registration_end"),
            (checkin_start, "checkin_start"),
            (checkin_end, "checkin_end"),
            (start_time, "start_time"),
        ] {
            must(at.is_none_or(is_moment), field, MOMENTS);
        }
        must(in_order(registration_start, registration_end), "registration_end", "after registration_start");
        must(in_order(checkin_start, checkin_end), "checkin_end", "after checkin_start");
        must(in_order(registration_end, start_time), "start_time", "not before registration_end");
        must(in_order(checkin_end, start_time), "start_time", "not before checkin_end");
        must(in_order(checkin_start, start_time), "start_time", "not before checkin_start");
        must(in_order(registration_start, start_time), "start_time", "after registration_start");
        must(in_order(registration_end, checkin_end), "checkin_end", "after registration_end");
        must(
            options.groups.is_none_or(|groups| (1..=MOST_ENTRANTS / 2).contains(&groups)),
            "options.groups",
            "1 to 512",
        );
        must(
            options.advance.is_none_or(|advance| (1..=MOST_ENTRANTS).contains(&advance)),
            "options.advance",
            "1 to 1,024",
        );
        must(
            options.swiss_rounds.is_none_or(|rounds| (1..=MOST_SWISS_ROUNDS).contains(&rounds)),
            "options.swiss_rounds",
            "1 to 32",
        );
        for (limit, field) in
            [(options.swiss_wins, "options.swiss_wins"), (options.swiss_losses, "options.swiss_losses")]
        {
            must(limit.is_none_or(|limit| (1..=MOST_SWISS_ROUNDS).contains(&limit)), field, "1 to 32");
        }
        must(
            options.points.is_none_or(|points| {
                [points.win, points.draw, points.loss]
                    .iter()
                    .all(|points| points.is_finite() && points.abs() <= 1000.0)
                    && points.win >= points.draw
                    && points.draw >= points.loss
            }),
            "options.points",
            "numbers from -1,000 to 1,000, a win worth no less than a draw, a draw no less than a loss",
        );
        let rounds = &options.best_of_rounds;
        must(
            rounds.len() <= 64
                && rounds.iter().all(|(round, best_of)| is_round(round) && is_best_of(*best_of)),
            "options.best_of_rounds",
            "rounds like R3, W1, L4, GF, C, S5, G or final, each with 1, 3, 5 or 7",
        );
        must(
            options.auto_accept_minutes.is_none_or(|minutes| minutes <= 10_080),
            "options.auto_accept_minutes",
            "at most a week",
        );
        must(
            options.tie_breaks.as_ref().is_none_or(|chain| !chain.is_empty() && chain.len() <= 16),
            "options.tie_breaks",
            "1 to 16 of them",
        );
        must(
            options.veto.as_ref().is_none_or(|steps| steps.len() <= MOST_MAPS),
            "options.veto",
            "at most 64 steps",
        );
        mistakes
    }
}

pub fn is_best_of(number: u8) -> bool {
    matches!(number, 1 | 3 | 5 | 7)
}

pub(super) fn is_line(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.trim().chars().count()) && !text.chars().any(char::is_control)
}

/// What [`is_moment`] takes, in words.
pub(super) const MOMENTS: &str = "a time of the years 1970 to 9999";

/// Whether stores and calendars can keep it.
pub fn is_moment(at: At) -> bool {
    const END_OF_9999: At = 253_402_300_799_999;
    (0..=END_OF_9999).contains(&at)
}

fn in_order(first: Option<At>, second: Option<At>) -> bool {
    first.zip(second).is_none_or(|(first, second)| first <= second)
}

fn is_round(text: &str) -> bool {
    let number = |rest: &str| rest.parse::<u16>().is_ok_and(|round| round > 0 && round.to_string() == rest);
    matches!(text, "final" | "G" | "GF" | "C") || text.strip_prefix(['R', 'W', 'L', 'S']).is_some_and(number)
}
