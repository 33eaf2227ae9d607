//! Tournaments: brackets, tables and everything that can be done to them, as pure rules.
//!
//! A [`Tournament`] is a value. [`Tournament::apply`] gives the value that a [`Command`] makes of it with the [`Change`]s between the
//! two, or a [`Refusal`], and then nothing has changed. The same commands in the same order, with the same times and
//! random numbers, which commands carry, give the same tournament: the audit log is replayed by that, and taken back
//! from the end by [`Tournament::undo`].
//!
//! Of a match only what people said and did is kept for itself: sources of its sides, results, reports. Who stands on its
//! sides and its status follow from that and are derived anew after each command, in one pass from the first round to
//! the last. So a corrected result needs no rules of its own: whatever later match it gives other sides is open again.
//!
//! Matches whose sides were paired by name do not fall: Swiss rounds and groups stay as they were paired, and their tables
//! are counted from what holds now.

mod apply;
mod bout;
mod change;
mod command;
mod draw;
mod elimination;
mod entering;
mod entrant;
mod key;
mod log;
mod places;
mod playing;
mod round_robin;
mod seeding;
mod settings;
mod settle;
mod standings;
mod state;
mod swiss;

pub use apply::Applied;
pub use bout::{
    Bout, By, Dispute, Forfeit, Game, Occupant, Plan, Report, Side, Source, Status as BoutStatus, Verdict,
    VetoChoice,
};
pub use change::{Change, Frame};
pub use command::{Command, NAME_OF_FORGOTTEN, Refusal};
pub use entrant::{Entrant, EntrantId, Holder, Place};
pub use key::{InvalidKey, Key, Section};
pub use log::{Logged, Replay, ReplayError};
pub use places::Tier;
pub use playing::VetoTurn;
pub use seeding::{GroupSeeding, Ordering, fallers, groups};
pub use settings::{
    FirstStage, Format, GrandFinal, Knockout, MOST_ENTRANTS, Mistake, Options, PointsFor, SeedBy, Settings,
    Times, VetoStep, is_moment,
};
pub use standings::{Played, Points, Result as Outcome, Row, TieBreak};
pub use state::{Draw, Routes, Status, Step, Tournament};
pub use swiss::{Contender, NoLegalRound, Round, pair};

/// A moment in milliseconds since 1970.
pub type At = i64;
