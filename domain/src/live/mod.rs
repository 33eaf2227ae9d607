//! Live state of one match: a pure fold of its stamped events.
//!
//! **Order.** Events arrive out of order: scripts collect them, and send each kind when they like. The level's clock
//! orders them ([`Moment::at_ms`]; an event without level.time stands where the newest one did when it came). What
//! is younger than [`DISORDER_MS`] is *pending* and may still be preceded; what is older is *settled*. The
//! [`Board`] that is seen is the settled one with everything pending on top, so disorder within that time leaves no
//! trace: feed, streaks, multi-kills and first blood are those of the right order. What comes later than that corrects
//! the counts, and nothing that order decides.
//!
//! **Once.** Each event names itself by the spool that it is in, its sequence number and its place ([`Position`]). What
//! stands at or before the newest position folded of a spool was folded before, and changes nothing. So a
//! snapshot can be brought up to date from any point that lies before it.
//!
//! Equal inputs in equal order give equal states, whether or not the state was written down and read back in between.

mod board;
mod moment;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use board::{
    Board, ChatLine, Happening, KillLine, MOMENTUM_STEP_MS, MULTI_KILL_MS, ObjectiveLine, PlayerLine,
    RoundLine, Scores, WeaponLine,
};
pub use moment::{Moment, Who};

use crate::event::{Event, Millis, Stamp};

/// Disorder that leaves no trace, in milliseconds of the level's clock.
pub const DISORDER_MS: i64 = 5_000;
/// Pending moments: a full server sends some five hundred in that time. Beyond, the oldest are settled early.
const MAX_PENDING: usize = 1_024;

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
    settled: Board,
    /// In order; of equal moments the one that came first.
    pending: Vec<Moment>,
    newest_ms: i64,
    folded: BTreeMap<Uuid, Position>,
    /// When the last event was received.
    pub last_received_at: Millis,
    #[serde(skip)]
    board: Option<Box<Board>>,
}

impl LiveMatch {
    pub fn new(match_id: Uuid, server_id: Uuid) -> Self {
        Self {
            match_id,
            server_id,
            source_match_id: String::new(),
            settled: Board::default(),
            pending: Vec::new(),
            newest_ms: 0,
            folded: BTreeMap::new(),
            last_received_at: Millis(0),
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
        let known = self.pending.len();
        let mut is_in_order = true;
        for (event, stamp) in events {
            let position = Position { spool_seq: stamp.spool_seq, spool_index: stamp.spool_index };
            if self.folded.get(&spool_id).is_some_and(|newest| *newest >= position) {
                continue;
            }
            self.folded.insert(spool_id, position);
            self.last_received_at = self.last_received_at.max(stamp.received_at);
            if self.source_match_id.is_empty() && !event.source_match_id.is_empty() {
                self.source_match_id = event.source_match_id.chars().take(200).collect();
            }
            let moment = Moment::of(event, stamp, self.newest_ms);
            if moment.at_ms < self.newest_ms - DISORDER_MS {
                self.settled.count(&moment);
                self.board = None;
                continue;
            }
            is_in_order &= self.pending.last().is_none_or(|last| last.at_ms <= moment.at_ms);
            self.newest_ms = self.newest_ms.max(moment.at_ms);
            self.pending.push(moment);
        }
        let happenings = match is_in_order {
            true => {
                let mut board = self.board.take().unwrap_or_else(|| self.board_through(known));
                let happenings =
                    self.pending[known..].iter().filter_map(|moment| board.apply(moment)).collect();
                self.board = Some(board);
                happenings
            }
            false => self.put_in_order(known),
        };
        self.settle();
        happenings
    }

    /// Puts the moments behind the `known` ones where they belong.
    fn put_in_order(&mut self, known: usize) -> Vec<Happening> {
        let mut numbered: Vec<(bool, Moment)> =
            self.pending.drain(..).enumerate().map(|(number, moment)| (number >= known, moment)).collect();
        // Stable: of equal moments the one that came first.
        numbered.sort_by_key(|(_, moment)| moment.at_ms);
        let mut board = Box::new(self.settled.clone());
        let mut happenings = Vec::new();
        for (is_new, moment) in numbered {
            let happening = board.apply(&moment);
            happenings.extend(happening.filter(|_| is_new));
            self.pending.push(moment);
        }
        self.board = Some(board);
        happenings
    }

    /// What is to be seen.
    pub fn board(&mut self) -> &Board {
        if self.board.is_none() {
            self.board = Some(self.board_through(self.pending.len()));
        }
        // It was made above.
        self.board.as_deref().unwrap_or(&self.settled)
    }

    /// The newest position that was folded of a spool.
    pub fn folded_of(&self, spool_id: Uuid) -> Option<Position> {
        self.folded.get(&spool_id).copied()
    }

    /// The settled board with so many pending moments on top.
    fn board_through(&self, count: usize) -> Box<Board> {
        let mut board = Box::new(self.settled.clone());
        for moment in self.pending.iter().take(count) {
            board.apply(moment);
        }
        board
    }

    fn settle(&mut self) {
        let settled_before = self.newest_ms - DISORDER_MS;
        let by_age = self.pending.partition_point(|moment| moment.at_ms < settled_before);
        let by_number = self.pending.len().saturating_sub(MAX_PENDING);
        for moment in self.pending.drain(..by_age.max(by_number)) {
            self.settled.apply(&moment);
        }
    }
}
