//! The generations of scripts that a simulated server may speak, and how each puts events into requests.
//!
//! [`sentence`] finds the words for what happened, [`value`] writes them as form text or JSON, [`framing`] groups
//! them into requests.

pub mod framing;
pub mod sentence;
pub mod value;

/// What one server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// One event a request, unescaped form text, players named by their team.
    G1,
    /// Newline batches of such lines.
    G2,
    /// JSON arrays with explicit match ids.
    G3,
    /// The JSON arrays of today's scripts: no match id, no map, few event types.
    Live,
    /// JSON objects of API tools, with nested players and wall-clock time.
    Tools,
}

impl Dialect {
    /// In the order in which a mixed fleet takes them.
    pub const ALL: [Self; 5] = [Self::G1, Self::G2, Self::G3, Self::Live, Self::Tools];

    /// Whether its events name the match.
    pub fn names_matches(self) -> bool {
        matches!(self, Self::G2 | Self::G3 | Self::Tools)
    }

    /// Today's players mostly aren't logged in.
    pub fn usual_guest_percent(self) -> u8 {
        if self == Self::Live { 50 } else { 0 }
    }
}
