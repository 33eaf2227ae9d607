//! A tournament as it is.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::At;
use super::bout::{Bout, By, Side, Source, Status as BoutStatus};
use super::entrant::{Entrant, EntrantId, Place};
use super::key::{Key, Section};
use super::settings::{FirstStage, Format, PointsFor, Settings};
use super::standings::{self, Member, Row, Rules, TieBreak};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Draft,
    RegistrationOpen,
    RegistrationClosed,
    Checkin,
    InProgress,
    Completed,
    Cancelled,
}

impl Status {
    /// As in JSON and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Status::Draft => "draft",
            Status::RegistrationOpen => "registration_open",
            Status::RegistrationClosed => "registration_closed",
            Status::Checkin => "checkin",
            Status::InProgress => "in_progress",
            Status::Completed => "completed",
            Status::Cancelled => "cancelled",
        }
    }

    pub fn has_begun(self) -> bool {
        matches!(self, Status::InProgress | Status::Completed)
    }
}

/// What was fixed as the bracket was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Draw {
    /// Decides seeds that are drawn, and lots.
    pub random: u64,
    /// Who is seed 1, 2, …
    pub seeds: Vec<EntrantId>,
    /// Of round robin and groups, each by seed.
    pub groups: Vec<Vec<EntrantId>>,
    /// Of Swiss: how many rounds there are at most.
    pub swiss_rounds: u16,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tournament {
    pub settings: Settings,
    pub status: Status,
    /// The last number given to an entrant.
    pub last_entrant: u32,
    pub entrants: BTreeMap<EntrantId, Entrant>,
    pub draw: Draw,
    pub bouts: BTreeMap<Key, Bout>,
    /// When check-in began.
    pub checkin_since: Option<At>,
    /// Those who had not checked in were dropped.
    pub checkin_is_over: bool,
    /// Something that time brought about was taken back: the clock waits for the next word of an organizer.
    pub clock_is_held: bool,
    /// Why time could not move it on; the next mutation by somebody has it tried again.
    pub held_up: Option<String>,
}

impl Tournament {
    pub fn new(settings: Settings) -> Tournament {
        Tournament {
            settings,
            status: Status::Draft,
            last_entrant: 0,
            entrants: BTreeMap::new(),
            draw: Draw::default(),
            bouts: BTreeMap::new(),
            checkin_since: None,
            checkin_is_over: false,
            clock_is_held: false,
            held_up: None,
        }
    }

    /// Those with a place in the field, in the order in which they took it.
    pub fn field(&self) -> impl Iterator<Item = &Entrant> {
        self.entrants.values().filter(|entrant| entrant.is_in())
    }

    /// Those who wait for a place, the next one first.
    pub fn waiting(&self) -> impl Iterator<Item = &Entrant> {
        self.entrants.values().filter(|entrant| entrant.place == Place::Waiting)
    }

    /// Whether a result may be a draw.
    pub fn has_draws(&self, key: Key) -> bool {
        matches!(key.section, Section::Group | Section::Swiss)
    }

    /// Where the winner and the loser of a match go, and on which side.
    pub fn routes(&self) -> BTreeMap<Key, Routes> {
        let mut routes: BTreeMap<Key, Routes> = BTreeMap::new();
        for bout in self.bouts.values() {
            for (side, source) in Side::BOTH.into_iter().zip(bout.sources) {
                match source {
                    Source::Winner(from) => routes.entry(from).or_default().winner = Some((bout.key, side)),
                    Source::Loser(from) => routes.entry(from).or_default().loser = Some((bout.key, side)),
                    _ => {}
                }
            }
        }
        routes
    }

    /// Whether the reset match is to be played: the lower bracket's champion won the grand final.
    pub fn reset_is_due(&self) -> bool {
        self.bouts
            .get(&Key::GRAND_FINAL)
            .and_then(|bout| bout.outcome.as_ref()?.verdict.winner)
            .is_some_and(|winner| winner == Side::Two)
    }

    /// Matches that exist: all but a reset match that is not due.
    pub fn existing(&self) -> impl Iterator<Item = &Bout> {
        let due = self.reset_is_due();
        self.bouts.values().filter(move |bout| bout.key != Key::RESET || due)
    }

    /// Whether there is nothing left to play.
    pub fn is_played(&self) -> bool {
        !self.bouts.is_empty()
            && self.existing().all(|bout| bout.status == BoutStatus::Completed)
            && (!self.has_swiss() || self.swiss_is_over())
    }

    pub fn has_swiss(&self) -> bool {
        let settings = &self.settings;
        settings.format == Format::Swiss
            || (settings.format == Format::GroupStage && settings.options.first_stage == FirstStage::Swiss)
    }

    /// The round of Swiss that was paired last, 0 before the first.
    pub fn swiss_round(&self) -> u16 {
        self.section(Section::Swiss).map(|bout| bout.key.round).max().unwrap_or(0)
    }

    /// Whether all of it was played: as many rounds as there are, or until fewer than two have anything to play for.
    pub fn swiss_is_over(&self) -> bool {
        let round = self.swiss_round();
        round > 0
            && self.section(Section::Swiss).all(|bout| bout.status == BoutStatus::Completed)
            && (round >= self.draw.swiss_rounds || self.still_in_swiss().len() < 2)
    }

    /// Those whom the next round of Swiss pairs, in the order of the table.
    pub fn still_in_swiss(&self) -> Vec<Row> {
        self.table(0)
            .into_iter()
            .filter(|row| {
                self.entrants.get(&row.entrant).is_some_and(Entrant::is_in)
                    && self.limits_reached(row) == (false, false)
            })
            .collect()
    }

    pub fn section(&self, section: Section) -> impl Iterator<Item = &Bout> {
        self.bouts.values().filter(move |bout| bout.key.section == section)
    }

    /// The table of a group (from 1), or of Swiss (0).
    pub fn table(&self, group: u16) -> Vec<Row> {
        let section = if group == 0 { Section::Swiss } else { Section::Group };
        let members: &[EntrantId] = match group {
            0 => &self.draw.seeds,
            _ => self.draw.groups.get(usize::from(group - 1)).map_or(&[], Vec::as_slice),
        };
        let members: Vec<Member> = members
            .iter()
            .map(|id| Member { id: *id, rating: self.entrants.get(id).and_then(|entrant| entrant.rating) })
            .collect();
        let options = &self.settings.options;
        let (points, chain) = match group {
            0 => (PointsFor::SWISS, TieBreak::SWISS.as_slice()),
            _ => (PointsFor::ROUND_ROBIN, TieBreak::ROUND_ROBIN.as_slice()),
        };
        let rules = Rules {
            points: options.points.unwrap_or(points),
            chain: options.tie_breaks.as_deref().unwrap_or(chain),
            lots: self.draw.random,
        };
        standings::table(&members, self.section(section).filter(|bout| bout.key.group == group), &rules)
    }

    /// The table without equals, for who goes on: lots decide where the chain does not. Whom the limits of Swiss let
    /// through come before all others, then those who reached neither limit; who left meanwhile comes last.
    pub fn placed(&self, group: u16) -> Vec<EntrantId> {
        let mut rows = self.table(group);
        let random = self.draw.random;
        rows.sort_by_key(|row| {
            let through = self.way_out(group, row);
            (through, row.rank, Reverse((standings::lot(random, row.entrant), row.entrant)))
        });
        rows.into_iter().map(|row| row.entrant).collect()
    }

    /// How somebody comes out of the stage that a table is of.
    fn way_out(&self, group: u16, row: &Row) -> WayOut {
        let limits = if group == 0 { self.limits_reached(row) } else { (false, false) };
        let by_leaving = |key| {
            let outcome = self.bouts.get(key).and_then(|bout: &Bout| bout.outcome.as_ref());
            outcome.is_some_and(|outcome| outcome.by == By::Clock)
        };
        let forfeited = row.played.iter().any(|played| played.forfeited && by_leaving(&played.key));
        let missed_rounds =
            group == 0 && limits == (false, false) && row.played.len() < usize::from(self.swiss_round());
        let left = self.entrants.get(&row.entrant).is_some_and(Entrant::is_out);
        match limits {
            _ if left && (forfeited || missed_rounds) => WayOut::Left,
            (true, _) => WayOut::EnoughWins,
            (false, true) => WayOut::TooManyLosses,
            (false, false) => WayOut::ByRank,
        }
    }

    /// Whether enough matches of Swiss were won, or too many lost.
    fn limits_reached(&self, row: &Row) -> (bool, bool) {
        let options = &self.settings.options;
        let reached = |limit: Option<u32>, count: usize| limit.is_some_and(|limit| count >= limit as usize);
        (
            reached(options.swiss_wins, row.wins()),
            reached(options.swiss_losses, row.count(standings::Result::Loss)),
        )
    }

    /// Whether all matches of a group (from 1) or of Swiss (0) are played.
    pub fn group_is_over(&self, group: u16) -> bool {
        match group {
            0 => self.swiss_is_over(),
            _ => self
                .section(Section::Group)
                .filter(|bout| bout.key.group == group)
                .all(|bout| bout.status == BoutStatus::Completed),
        }
    }

    /// The numbers of the tables: 1, 2, … of groups, 0 of Swiss.
    pub fn tables(&self) -> Vec<u16> {
        let groups = u16::try_from(self.draw.groups.len()).unwrap_or(u16::MAX);
        if self.has_swiss() && !self.bouts.is_empty() { vec![0] } else { (1..=groups).collect() }
    }

    /// When something happens by itself next, in the past if it is due.
    pub fn next_deadline(&self) -> Option<At> {
        if self.clock_is_held || self.status == Status::Cancelled {
            return None;
        }
        let pending = self.bouts.values().filter_map(|bout| bout.accept_at).min();
        let step = self.next_step().filter(|_| self.held_up.is_none()).map(|(due, _)| due);
        pending.into_iter().chain(step).min()
    }

    /// What time does next to the status, and when.
    pub fn next_step(&self) -> Option<(At, Step)> {
        let times = &self.settings.times;
        let to = |status| move |at: At| (at, Step::To(status));
        match self.status {
            Status::Draft => times.registration_start.map(to(Status::RegistrationOpen)),
            Status::RegistrationOpen => times
                .registration_end
                .or(times.checkin_start)
                .or(times.start_time)
                .map(to(Status::RegistrationClosed)),
            Status::RegistrationClosed => match times.checkin_opens() {
                Some(opens) => Some((opens, Step::To(Status::Checkin))),
                None => times.start_time.map(to(Status::InProgress)),
            },
            Status::Checkin if !self.checkin_is_over && times.checkin_end.is_some() => {
                times.checkin_end.map(|at| (at, Step::EndCheckin))
            }
            Status::Checkin => times.start_time.map(to(Status::InProgress)),
            Status::InProgress | Status::Completed | Status::Cancelled => None,
        }
    }
}

/// What time does to a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    To(Status),
    /// Those who did not check in lose their place.
    EndCheckin,
}

/// In this order the first places of a stage are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum WayOut {
    /// As many wins as let through.
    EnoughWins,
    ByRank,
    TooManyLosses,
    /// Left before it was over: the knockout is for those who can play it.
    Left,
}

/// Where those of a match go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Routes {
    pub winner: Option<(Key, Side)>,
    pub loser: Option<(Key, Side)>,
}
