//! One telemetry event: what the game server said ([`Event`]) and what we made of it ([`Stamp`]).
//!
//! Text is `""` when absent, numbers and flags are `None`. A value whose normal form loses what was said (a
//! team called `american`, a hit location sent as an integer, a number that can't be read) also stands in
//! [`Event::extra`] under the field name it came with, so that nothing received is forgotten.

use compact_str::CompactString;
use uuid::Uuid;

use crate::vocabulary::{EventType, GameType, KillKind, Team};

/// Short text, kept inline up to 24 bytes: names, ids and words of events are mostly shorter than that.
pub type Text = CompactString;

/// Milliseconds since the Unix epoch, UTC.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct Millis(pub i64);

impl Millis {
    /// Days since the Unix epoch: the number of the ClickHouse partition (`toDate(event_at)`) this moment is in.
    pub fn day(self) -> i32 {
        i32::try_from(self.0.div_euclid(86_400_000)).unwrap_or(i32::MAX)
    }
}

/// The block of fields that describes one player in an event. Any part may be absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Player {
    /// Raw name with its colour codes (`^1Hiro^7shi`).
    pub name: Text,
    /// `*_guid` as sent: a decimal forum id, an engine guid, `unauth_<slot>`, `world`, in G1 the team.
    pub guid: Text,
    /// Forum id of a logged-in player (`*_smf_id`, in G1 `*_member_id`), `""` or a decimal above 0.
    pub member_id: Text,
    pub team: Team,
    /// Position in map units.
    pub x: Option<f32>,
    pub y: Option<f32>,
    pub z: Option<f32>,
    /// View angles in degrees.
    pub pitch: Option<f32>,
    pub yaw: Option<f32>,
    pub stance: Text,
}

/// A token that came with an event. It opens doors, so neither `{:?}` nor a row ever shows it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretText(Text);

impl SecretText {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&str> for SecretText {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl std::fmt::Debug for SecretText {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("[hidden]")
    }
}

/// What a game server said in one event, decoded and normalised but not yet interpreted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Event {
    /// Canonical type; `Other` for types that nobody listed, whose name is `source_type`.
    pub event_type: EventType,
    /// The `type` as sent (`player_kill`).
    pub source_type: Text,
    /// What the server calls the match; `""` also for `no_match` and `match_sess_0.000_0.000`, which name none and
    /// stand in `extra`.
    pub source_match_id: Text,
    /// What the server calls its session.
    pub session_id: Text,
    /// Token of the tournament match that is played. Read while the event is fresh and never stored: an event
    /// read back from its row has none.
    pub match_token: SecretText,
    /// Code by which the player claims to be somebody: of `!claim CODE` in chat, or of an `identity_claim`. Read while the
    /// event is fresh and never stored, as above.
    pub claim_code: SecretText,
    /// The match of which this is the result, where that is known for sure: the tracker need not find it. Read while the event
    /// is fresh and never stored, as above.
    pub result_of: Option<Box<Uuid>>,
    /// Seconds since the map was loaded, when `timestamp` was that.
    pub level_time: Option<f64>,
    /// The sender's own time, when `timestamp` was an epoch value or RFC 3339.
    pub sent_at: Option<Millis>,
    /// Map as sent with this very event, `""` when not.
    pub map_name: Text,
    pub game_type: GameType,
    /// Who the event is about or who acted: attacker, killer, player (of a headshot: the scorer).
    pub player: Player,
    /// Who it was done to: victim or target.
    pub target: Player,
    /// Slot number of the player (`client_num`).
    pub client_num: Option<i32>,
    /// Weapon's name as sent, never G1's means-of-death number; where no weapon was sent `new_weapon`, else
    /// `inflictor`.
    pub weapon_name: Text,
    /// Canonical name of the hit location where it is one of the engine's, else as sent.
    pub hitloc: Text,
    /// Canonical means of death where it is one of the engine's, else as sent.
    pub means_of_death: Text,
    pub inflictor: Text,
    pub damage: Option<f32>,
    /// `item` or `item_name`.
    pub item: Text,
    /// Chat line.
    pub message: Text,
    pub team_only: Option<bool>,
    pub round_number: Option<i32>,
    pub allies_score: Option<i32>,
    pub axis_score: Option<i32>,
    pub winning_team: Team,
    pub player_count: Option<i32>,
    pub max_clients: Option<i32>,
    /// Length of a match in seconds, as a match_end says it.
    pub duration: Option<f32>,
    /// Distances since the last such event, in map units; all of it walked where the kinds were not told apart.
    pub walked: Option<f32>,
    pub sprinted: Option<f32>,
    pub swam: Option<f32>,
    pub driven: Option<f32>,
    /// Shots of an `accuracy_summary`.
    pub shots_fired: Option<i32>,
    pub shots_hit: Option<i32>,
    /// A JSON object with every field that has no place above, and with the received text of those whose
    /// normal form lost something; `""` when there is none. Never holds addresses, tokens or passwords.
    pub extra: String,
}

/// [`Event::source_type`] of a match's result: it may come long after the match, and moves nothing but that.
pub const RESULT: &str = "match_result";

impl Event {
    /// Whether it is the result of a known match ([`Event::result_of`]), also when it was read back.
    pub fn is_result(&self) -> bool {
        self.event_type == EventType::MatchEnd && self.source_type == RESULT
    }
}

/// What the tracker made of an event, decided once and never again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stamp {
    pub received_at: Millis,
    /// The sender's time where it is believable, else the time of receipt.
    pub event_at: Millis,
    pub server_id: Uuid,
    pub match_id: Uuid,
    /// Map of the match as far as known when the event arrived.
    pub map_name: Text,
    pub game_type: GameType,
    /// Canonical id of `Event::player`: forum id, engine guid, or `g_…` for a guest; `""` for the environment.
    pub player_id: Text,
    /// The same for `Event::target`.
    pub target_id: Text,
    /// Team of the players as sent, or as last seen in the match where the event does not say.
    pub player_team: Team,
    pub target_team: Team,
    pub player_bot: bool,
    pub target_bot: bool,
    /// Slug of the weapon, `""` without one; of a hit that names none, that of the player's last shot.
    pub weapon: Text,
    /// What a kill event counts as; `None` for every other type.
    pub kill_kind: KillKind,
    /// A scoring kill to the head or helmet.
    pub headshot: bool,
    /// The player did this to somebody else who is not a team mate, by the rules that tell kills from team kills.
    pub hostile: bool,
    /// The request's `Idempotency-Key`, `""` without one.
    pub idempotency_key: Text,
    /// Sequence number of the spool record, and the event's place in it: together they name the event.
    pub spool_seq: u64,
    pub spool_index: u32,
}
