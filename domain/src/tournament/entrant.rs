//! Who takes part.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::At;

/// An entrant's number within the tournament, from 1 in the order of registration. It is never given out twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EntrantId(pub u32);

/// For whom a place was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holder {
    User(i64),
    Team(Uuid),
    /// Entered by an organizer by name alone: nobody reports for it.
    Nobody,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    Registered,
    Waiting,
    /// Took it back before the start, or did not check in.
    Withdrawn,
    NoShow,
    /// Left after the start: from there on every match is forfeited.
    DroppedOut,
    Disqualified,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entrant {
    pub id: EntrantId,
    pub holder: Holder,
    /// As shown; of a team its name.
    pub name: String,
    /// The canonical player id of a single player, if one is linked.
    pub player_id: Option<String>,
    pub place: Place,
    /// When it left or was disqualified.
    pub left_at: Option<At>,
    /// Of a disqualification.
    pub reason: Option<String>,
    pub checked_in: bool,
    /// μ − 3σ when the place was taken.
    pub rating: Option<f64>,
    /// From 1: by hand, or as the bracket was made.
    pub seed: Option<u32>,
    pub registered_at: At,
}

impl Entrant {
    /// Whether it has a place in the field.
    pub fn is_in(&self) -> bool {
        self.place == Place::Registered
    }

    /// Whether the place was not given back before the start.
    pub fn has_stayed(&self) -> bool {
        !matches!(self.place, Place::Withdrawn | Place::NoShow)
    }

    /// Whether what it still had to play is forfeited.
    pub fn is_out(&self) -> bool {
        matches!(self.place, Place::DroppedOut | Place::Disqualified)
    }
}
