//! One match of a bracket: who plays, what was reported, what holds.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::At;
use super::entrant::EntrantId;
use super::key::Key;
use super::settings::merged;

/// One of the two sides of a match, written 1 and 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub enum Side {
    One,
    Two,
}

impl Side {
    pub const BOTH: [Side; 2] = [Side::One, Side::Two];

    pub fn other(self) -> Side {
        match self {
            Side::One => Side::Two,
            Side::Two => Side::One,
        }
    }

    pub fn index(self) -> usize {
        match self {
            Side::One => 0,
            Side::Two => 1,
        }
    }
}

impl From<Side> for u8 {
    fn from(side: Side) -> u8 {
        match side {
            Side::One => 1,
            Side::Two => 2,
        }
    }
}

impl TryFrom<u8> for Side {
    type Error = &'static str;

    fn try_from(number: u8) -> Result<Side, Self::Error> {
        match number {
            1 => Ok(Side::One),
            2 => Ok(Side::Two),
            _ => Err("a side is 1 or 2"),
        }
    }
}

/// Where a side's occupant comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The stage's seed of this number, from 1.
    Seed(u16),
    Bye,
    Winner(Key),
    Loser(Key),
    /// Who came to this place of this group (0: the only table), both from 1.
    Placed(u16, u16),
    /// Paired by name: Swiss and groups.
    Entrant(EntrantId),
}

/// Who stands on a side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Occupant {
    /// To be determined.
    Tbd,
    /// Nobody will come.
    Bye,
    Entrant(EntrantId),
}

impl Occupant {
    pub fn entrant(self) -> Option<EntrantId> {
        match self {
            Occupant::Entrant(entrant) => Some(entrant),
            Occupant::Tbd | Occupant::Bye => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Nobody is known yet.
    Locked,
    /// One side is.
    Waiting,
    Ready,
    Running,
    /// Played, or passed over because a side is a bye.
    Completed,
}

/// Who did not play.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Forfeit {
    One,
    Two,
    Both,
}

/// One game of a match that is best of several, or the game of a single one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Game {
    #[serde(default)]
    pub map: Option<String>,
    pub score1: u32,
    pub score2: u32,
    /// Follows from the scores unless they are equal.
    #[serde(default)]
    pub winner: Option<Side>,
    /// Our id of the match on the game server.
    #[serde(default)]
    pub match_id: Option<Uuid>,
}

impl Game {
    pub fn winner(&self) -> Option<Side> {
        self.winner.or(leader(self.score1, self.score2))
    }
}

/// What somebody says came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// In a match of one game its score; else games won.
    pub scores: [u32; 2],
    /// Null: a draw, or forfeited by both.
    pub winner: Option<Side>,
    pub forfeit: Option<Forfeit>,
    pub games: Vec<Game>,
}

impl Verdict {
    /// Whether two say the same; what they say of single games may differ.
    pub fn agrees(&self, other: &Verdict) -> bool {
        (self.scores, self.winner, self.forfeit) == (other.scores, other.winner, other.forfeit)
    }
}

pub fn leader(first: u32, second: u32) -> Option<Side> {
    match first.cmp(&second) {
        std::cmp::Ordering::Greater => Some(Side::One),
        std::cmp::Ordering::Less => Some(Side::Two),
        std::cmp::Ordering::Equal => None,
    }
}

/// Who acts on a tournament.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    Organizer(i64),
    Referee(i64),
    /// For the entrant: the player himself, or a captain of the team.
    Captain(i64, EntrantId),
    /// Anybody signed in who takes a place.
    User(i64),
    Server(Uuid),
    /// Time passed.
    Clock,
}

impl By {
    /// Whose word is final.
    pub fn is_staff(self) -> bool {
        matches!(self, By::Organizer(_) | By::Referee(_))
    }

    pub fn is_organizer(self) -> bool {
        matches!(self, By::Organizer(_))
    }

    pub fn user(self) -> Option<i64> {
        match self {
            By::Organizer(user) | By::Referee(user) | By::Captain(user, _) | By::User(user) => Some(user),
            By::Server(_) | By::Clock => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    pub by: By,
    pub at: At,
    pub verdict: Verdict,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispute {
    /// Null: time or the server brought it about.
    pub by: By,
    pub at: At,
    pub reason: String,
}

/// When and where, as far as it was said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Plan {
    pub scheduled_at: Option<At>,
    pub server_id: Option<Uuid>,
    pub map: Option<String>,
    pub stream_url: Option<String>,
    /// SHA-256, in hex, of the token with which the server says that it plays this match.
    pub token_hash: Option<String>,
}

impl Plan {
    /// This one with what is named of `other`, by names in JSON; all of it where nothing is named. A server comes with its token,
    /// and one that stays keeps the token that it has.
    #[must_use]
    pub fn with(&self, other: &Plan, fields: Option<&BTreeSet<String>>) -> Plan {
        let is_same_server = self.server_id == other.server_id;
        let names_server = fields.is_some_and(|fields| fields.contains("server_id"));
        let mut plan = merged(self, other, fields);
        if names_server {
            plan.token_hash = if is_same_server { &self.token_hash } else { &other.token_hash }.clone();
        }
        plan
    }
}

/// What became of a map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VetoChoice {
    /// Null: left over.
    pub side: Option<Side>,
    pub banned: bool,
    pub map: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bout {
    pub key: Key,
    pub sources: [Source; 2],
    pub best_of: u8,
    /// Follows from the sources and what came out before.
    pub occupants: [Occupant; 2],
    /// Follows from the rest.
    pub status: Status,
    /// What holds.
    pub outcome: Option<Report>,
    /// What was said by those whose word is not final, the last of each.
    pub reports: Vec<Report>,
    /// When the pending report holds, if nobody answers.
    pub accept_at: Option<At>,
    pub dispute: Option<Dispute>,
    pub started_at: Option<At>,
    /// Games that a server reported, until they decide the match.
    pub games: Vec<Game>,
    pub vetoes: Vec<VetoChoice>,
    pub plan: Plan,
}

impl Bout {
    pub fn new(key: Key, sources: [Source; 2], best_of: u8) -> Bout {
        Bout {
            key,
            sources,
            best_of,
            occupants: [Occupant::Tbd; 2],
            status: Status::Locked,
            outcome: None,
            reports: Vec::new(),
            accept_at: None,
            dispute: None,
            started_at: None,
            games: Vec::new(),
            vetoes: Vec::new(),
            plan: Plan::default(),
        }
    }

    pub fn has_bye(&self) -> bool {
        self.occupants.contains(&Occupant::Bye)
    }

    /// Whether it is or was to be played: both sides are entrants.
    pub fn is_real(&self) -> bool {
        self.occupants.iter().all(|occupant| occupant.entrant().is_some())
    }

    pub fn side_of(&self, entrant: EntrantId) -> Option<Side> {
        Side::BOTH.into_iter().find(|side| self.occupants[side.index()] == Occupant::Entrant(entrant))
    }

    /// Who goes on.
    pub fn winner(&self) -> Occupant {
        match (&self.outcome, self.occupants) {
            (Some(outcome), occupants) => {
                outcome.verdict.winner.map_or(Occupant::Bye, |winner| occupants[winner.index()])
            }
            (None, [Occupant::Bye, other] | [other, Occupant::Bye]) => other,
            (None, _) => Occupant::Tbd,
        }
    }

    /// Who is out, or falls. Nobody where a bye took part, even before the other side is known.
    pub fn loser(&self) -> Occupant {
        match (&self.outcome, self.occupants) {
            (Some(outcome), occupants) => {
                outcome.verdict.winner.map_or(Occupant::Bye, |winner| occupants[winner.other().index()])
            }
            (None, [Occupant::Bye, _] | [_, Occupant::Bye]) => Occupant::Bye,
            (None, _) => Occupant::Tbd,
        }
    }

    /// Whether a game that a server reported stands: it is part of what was said or holds, or what holds was decided without
    /// naming games. One that was taken back, fell or was played anew does not.
    pub fn has_game(&self, match_id: Uuid) -> bool {
        let verdicts = self.outcome.iter().chain(&self.reports).map(|report| &report.verdict);
        let mut named = self.games.iter().chain(verdicts.flat_map(|verdict| &verdict.games));
        let names_none =
            || self.outcome.iter().all(|it| it.verdict.games.iter().all(|game| game.match_id.is_none()));
        named.any(|game| game.match_id == Some(match_id)) || (self.outcome.is_some() && names_none())
    }

    /// Whether anything was done in it that other sides would make void.
    pub fn is_touched(&self) -> bool {
        self.outcome.is_some()
            || !self.reports.is_empty()
            || self.started_at.is_some()
            || self.dispute.is_some()
            || !self.games.is_empty()
            || !self.vetoes.is_empty()
    }

    /// As if nothing had been played; when and where stays.
    pub fn clear(&mut self) {
        let Bout { key, sources, best_of, occupants, status, plan, .. } = self;
        let plan = std::mem::take(plan);
        *self = Bout { occupants: *occupants, status: *status, plan, ..Bout::new(*key, *sources, *best_of) };
    }
}
