//! Live state of one match: a pure fold of its stamped events.
//!
//! **Order.** Events arrive out of order: scripts collect them, and send each kind when they like. The level's clock
//! orders them ([`Moment::at_ms`]; an event without level.time stands where the newest one did when it came). What
//! is younger than [`DISORDER_MS`] may still be preceded; so the moments of some seconds are kept, with the [`Board`] as it
//! was before them, and folded again when one comes that belongs between them. Disorder within that time therefore
//! leaves no trace: feed, streaks, multi-kills and first blood are those of the right order. What comes later corrects
//! the counts, and nothing that order decides.
//!
//! **Once.** Each event names itself by the spool that it is in, its sequence number and its place ([`Position`]). What
//! stands at or before the newest position folded of a spool was folded before, and changes nothing. So a
//! snapshot can be brought up to date from any point that lies before it.
//!
//! Equal inputs in equal order give equal states, whether or not the state was written down and read back in between.

mod board;
mod deeds;
mod moment;

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use board::{
    Board, ChatLine, Feats, Happening, KillLine, MOMENTUM_STEP_MS, MOST_PLAYERS, MULTI_KILL_MS,
    ObjectiveLine, PlayerLine, RoundLine, Scores, WeaponLine,
};
pub use deeds::Deeds;
use moment::People;
pub use moment::{Details, LiveEvent, Moment, Named, Who};

use crate::event::{Event, Millis, Stamp, Text};

/// Disorder that leaves no trace, in milliseconds of the level's clock.
pub const DISORDER_MS: i64 = 5_000;
/// A full server sends some five hundred moments in that time. Beyond, the oldest are settled early.
const MAX_PENDING: usize = 2_048;
/// Room for so many is made at once.
const FEW_MOMENTS: usize = 16;

/// Where an event stands: its spool, the record there, and its place in that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    pub spool_seq: u64,
    pub spool_index: u32,
}

/// Live state of a match. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LiveMatch {
    pub match_id: Uuid,
    pub server_id: Uuid,
    pub source_match_id: String,
    /// Before everything that is pending.
    settled: Board,
    /// In order; of equal moments the one that came first.
    pending: Vec<Moment>,
    #[serde(skip)]
    people: People,
    newest_ms: i64,
    /// Whether an event has told the level's clock.
    #[serde(default)]
    keeps_time: bool,
    /// What the clock of a match that does not keep time counts from.
    #[serde(default)]
    counts_from: Option<Millis>,
    folded: BTreeMap<Uuid, Position>,
    /// What of each player adds up, whatever the order: counted once, when it comes.
    deeds: BTreeMap<Text, Deeds>,
    /// Who did something since that was last asked, and when.
    #[serde(skip)]
    stirred: HashMap<Text, Millis>,
    /// When the last event was received.
    pub last_received_at: Millis,
    /// Up to which moment [`Self::middle`] goes.
    middle_ms: i64,
    /// `settled` with the first pending moments on top: what will be settled next, once nothing can come before its end
    /// any more. So each moment is folded once, and the board copied every [`DISORDER_MS`].
    #[serde(skip)]
    middle: Option<Middle>,
    /// `settled` with everything pending on top.
    #[serde(skip)]
    board: Option<Box<Board>>,
}

#[derive(Clone, Debug, PartialEq)]
struct Middle {
    board: Box<Board>,
    /// Pending moments that are in it.
    count: usize,
}

impl LiveMatch {
    pub fn new(match_id: Uuid, server_id: Uuid) -> Self {
        Self {
            match_id,
            server_id,
            source_match_id: String::new(),
            settled: Board::default(),
            pending: Vec::new(),
            people: People::default(),
            newest_ms: 0,
            keeps_time: false,
            counts_from: None,
            folded: BTreeMap::new(),
            deeds: BTreeMap::new(),
            stirred: HashMap::new(),
            last_received_at: Millis(0),
            middle_ms: 0,
            middle: None,
            board: None,
        }
    }

    /// Folds an event in; gives what viewers are told of by itself. Does nothing for one that was folded before.
    pub fn fold(&mut self, spool_id: Uuid, event: &Event, stamp: &Stamp) -> Option<Happening> {
        self.fold_all(spool_id, std::iter::once((event, stamp))).pop()
    }

    /// Folds events in, one after the other, with the work of putting them in order done once for all of them.
    pub fn fold_all<'a>(
        &mut self,
        spool_id: Uuid,
        events: impl Iterator<Item = (&'a Event, &'a Stamp)>,
    ) -> Vec<Happening> {
        self.fold_events(spool_id, events.map(|(event, stamp)| LiveEvent::of(event, stamp)))
    }

    /// As [`fold_all`](Self::fold_all), of events that are ready for it.
    pub fn fold_events(&mut self, spool_id: Uuid, events: impl Iterator<Item = LiveEvent>) -> Vec<Happening> {
        self.fold_each(Some(spool_id), events)
    }

    /// Folds in what is read from where it is stored, which does not say what spool it came from: all of it is taken to be
    /// new.
    pub fn fold_stored<'a>(&mut self, events: impl Iterator<Item = (&'a Event, &'a Stamp)>) {
        self.fold_each(None, events.map(|(event, stamp)| LiveEvent::of(event, stamp)));
    }

    fn fold_each(
        &mut self,
        spool_id: Option<Uuid>,
        events: impl Iterator<Item = LiveEvent>,
    ) -> Vec<Happening> {
        let known = self.pending.len();
        let mut newest = spool_id.and_then(|spool_id| self.folded.get(&spool_id).copied());
        let mut is_in_order = true;
        for event in events {
            if spool_id.is_some() {
                if newest.is_some_and(|newest| newest >= event.position) {
                    continue;
                }
                newest = Some(event.position);
            }
            self.last_received_at = self.last_received_at.max(event.received_at);
            if self.source_match_id.is_empty() && !event.source_match_id.is_empty() {
                self.source_match_id = event.source_match_id.to_string();
            }
            deeds::count(&mut self.deeds, &mut self.stirred, &event);
            let LiveEvent { mut moment, has_level_time, .. } = event;
            if has_level_time {
                self.keep_time(moment.at_ms);
            } else {
                moment.at_ms = self.without_level_time(moment.event_at);
            }
            if moment.at_ms < self.newest_ms - DISORDER_MS {
                self.settled.count(&moment);
                (self.middle, self.board) = (None, None);
                continue;
            }
            is_in_order &= self.pending.last().is_none_or(|last| last.at_ms <= moment.at_ms);
            self.newest_ms = self.newest_ms.max(moment.at_ms);
            self.people.share(&mut moment.player);
            self.people.share(&mut moment.target);
            // A match keeps hundreds: by doubling, half of their room would be empty.
            if self.pending.len() == self.pending.capacity() {
                self.pending.reserve_exact(self.pending.len() / 4 + FEW_MOMENTS);
            }
            self.pending.push(moment);
        }
        if let (Some(spool_id), Some(newest)) = (spool_id, newest) {
            self.folded.insert(spool_id, newest);
        }
        let happenings = match (is_in_order, self.board.take()) {
            (true, Some(mut board)) => {
                let happenings =
                    self.pending[known..].iter().filter_map(|moment| board.apply(moment)).collect();
                self.board = Some(board);
                happenings
            }
            _ => self.fold_pending(known),
        };
        self.settle();
        happenings
    }

    /// The level's clock takes over from [`Self::counts_from`]: what was counted before it stays where it was.
    fn keep_time(&mut self, level_ms: i64) {
        if !self.keeps_time && level_ms < self.newest_ms - DISORDER_MS {
            self.settled = self.board().clone();
            self.pending.clear();
            (self.middle, self.board) = (None, None);
            (self.newest_ms, self.middle_ms) = (level_ms, level_ms);
        }
        self.keeps_time = true;
    }

    /// Where an event stands that says no level.time: beside the newest one, or by the time of events where none says any.
    fn without_level_time(&mut self, event_at: Millis) -> i64 {
        if self.keeps_time {
            return self.newest_ms;
        }
        let from = *self.counts_from.get_or_insert(event_at);
        event_at.0.saturating_sub(from.0).max(0)
    }

    /// Folds everything pending anew, the moments behind the `known` ones put where they belong; gives what those have
    /// brought.
    fn fold_pending(&mut self, known: usize) -> Vec<Happening> {
        let mut numbered: Vec<(bool, Moment)> =
            self.pending.drain(..).enumerate().map(|(number, moment)| (number >= known, moment)).collect();
        // Stable: of equal moments the one that came first.
        numbered.sort_by_key(|(_, moment)| moment.at_ms);
        let mut board = Box::new(self.settled.clone());
        let mut happenings = Vec::new();
        let mut middle = None;
        for (is_new, moment) in numbered {
            if middle.is_none() && moment.at_ms > self.middle_ms {
                middle = Some(Middle { board: board.clone(), count: self.pending.len() });
            }
            let happening = board.apply(&moment);
            happenings.extend(happening.filter(|_| is_new));
            self.pending.push(moment);
        }
        let count = self.pending.len();
        self.middle = Some(middle.unwrap_or_else(|| Middle { board: board.clone(), count }));
        self.board = Some(board);
        happenings
    }

    /// What is to be seen.
    pub fn board(&mut self) -> &Board {
        self.board_and_deeds().0
    }

    /// What is to be seen, and what of each player adds up. Guests have no deeds.
    pub fn board_and_deeds(&mut self) -> (&Board, &BTreeMap<Text, Deeds>) {
        if self.board.is_none() {
            self.fold_pending(self.pending.len());
        }
        // It was made above.
        (self.board.as_deref().unwrap_or(&self.settled), &self.deeds)
    }

    /// What of each player adds up.
    pub fn deeds(&self) -> &BTreeMap<Text, Deeds> {
        &self.deeds
    }

    /// Who did something that may earn an achievement since this was last asked, and when they last did.
    pub fn take_stirred(&mut self) -> HashMap<Text, Millis> {
        std::mem::take(&mut self.stirred)
    }

    /// The newest position that was folded of a spool.
    pub fn folded_of(&self, spool_id: Uuid) -> Option<Position> {
        self.folded.get(&spool_id).copied()
    }

    /// Settles what nothing can precede any more, or what is too much to wait for.
    fn settle(&mut self) {
        let is_due = self.middle_ms <= self.newest_ms - DISORDER_MS || self.pending.len() > MAX_PENDING;
        if is_due && let Some(Middle { board, count }) = self.middle.take() {
            self.settled = *board;
            self.pending.drain(..count);
            self.pending.shrink_to(self.pending.len() + FEW_MOMENTS);
            self.middle_ms = self.newest_ms;
            let count = self.pending.len();
            self.middle = self.board.clone().map(|board| Middle { board, count });
        }
    }
}
