//! What live state keeps of an event until it is settled.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Position;
use crate::event::{Event, Millis, Player, Stamp, Text};
use crate::vocabulary::{EventType, GameType, KillKind, Team};

/// No text of the state is longer, whatever a server sends.
const MAX_TEXT_CHARS: usize = 200;

/// What live state takes from one stamped event: made where the event is at hand, and folded in where the match is
/// ([`LiveMatch::fold_events`](super::LiveMatch::fold_events)).
#[derive(Clone, Debug, PartialEq)]
pub struct LiveEvent {
    pub match_id: Uuid,
    pub position: Position,
    pub received_at: Millis,
    /// It is the result of a match that may be long over.
    pub is_result: bool,
    pub(super) source_match_id: Text,
    /// Without one it is placed when it is folded in.
    pub(super) has_level_time: bool,
    pub(super) moment: Moment,
    /// Map units between the two players of a kill, where both places were sent and can be true.
    pub(super) kill_distance: Option<u32>,
    /// Thousandths of a map unit.
    pub(crate) walked: i64,
}

impl LiveEvent {
    pub fn of(event: &Event, stamp: &Stamp) -> Self {
        let level_ms = level_ms(event);
        Self {
            match_id: stamp.match_id,
            position: Position { spool_seq: stamp.spool_seq, spool_index: stamp.spool_index },
            received_at: stamp.received_at,
            is_result: event.is_result(),
            source_match_id: short(&event.source_match_id),
            has_level_time: level_ms.is_some(),
            moment: Moment::of(event, stamp, level_ms.unwrap_or_default()),
            kill_distance: match stamp.kill_kind {
                KillKind::Kill => distance(&event.player, &event.target),
                _ => None,
            },
            walked: match event.event_type {
                EventType::Distance => walked(event),
                _ => 0,
            },
        }
    }

    /// What happened, in short.
    pub(crate) fn moment(&self) -> &Moment {
        &self.moment
    }
}

/// Whom an event names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Who {
    /// Canonical id; `""` for the environment.
    #[serde(skip_serializing_if = "is_default")]
    pub player_id: Text,
    /// As sent, `""` when not.
    #[serde(skip_serializing_if = "is_default")]
    pub name: Text,
    #[serde(skip_serializing_if = "is_default")]
    pub team: Team,
    #[serde(skip_serializing_if = "is_default")]
    pub bot: bool,
}

impl Who {
    pub fn is_nobody(&self) -> bool {
        self.player_id.is_empty()
    }
}

/// One event, as far as live state is concerned.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Moment {
    /// Where it stands among the others, in milliseconds of the level's clock.
    #[serde(skip_serializing_if = "is_default")]
    pub at_ms: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub event_at: Millis,
    #[serde(skip_serializing_if = "is_default")]
    pub event_type: EventType,
    #[serde(skip_serializing_if = "is_default")]
    pub player: Who,
    #[serde(skip_serializing_if = "is_default")]
    pub target: Who,
    /// Slug.
    #[serde(skip_serializing_if = "is_default")]
    pub weapon: Text,
    #[serde(skip_serializing_if = "is_default")]
    pub kill_kind: KillKind,
    #[serde(skip_serializing_if = "is_default")]
    pub headshot: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub hostile: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub hitloc: Text,
    #[serde(skip_serializing_if = "is_default")]
    pub means_of_death: Text,
    /// Thousandths of a point.
    #[serde(skip_serializing_if = "is_default")]
    pub damage: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub text: Text,
    #[serde(skip_serializing_if = "is_default")]
    pub team_only: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub round_number: Option<i32>,
    #[serde(skip_serializing_if = "is_default")]
    pub allies_score: Option<i32>,
    #[serde(skip_serializing_if = "is_default")]
    pub axis_score: Option<i32>,
    #[serde(skip_serializing_if = "is_default")]
    pub winning_team: Team,
    #[serde(skip_serializing_if = "is_default")]
    pub player_count: Option<i32>,
    #[serde(skip_serializing_if = "is_default")]
    pub max_clients: Option<i32>,
    #[serde(skip_serializing_if = "is_default")]
    pub shots_fired: u64,
    #[serde(skip_serializing_if = "is_default")]
    pub shots_hit: u64,
    #[serde(skip_serializing_if = "is_default")]
    pub map_name: Text,
    #[serde(skip_serializing_if = "is_default")]
    pub game_type: GameType,
}

impl Moment {
    fn of(event: &Event, stamp: &Stamp, at_ms: i64) -> Self {
        Self {
            at_ms,
            event_at: stamp.event_at,
            event_type: event.event_type,
            player: Who {
                player_id: stamp.player_id.clone(),
                name: short(&event.player.name),
                team: stamp.player_team,
                bot: stamp.player_bot,
            },
            target: Who {
                player_id: stamp.target_id.clone(),
                name: short(&event.target.name),
                team: stamp.target_team,
                bot: stamp.target_bot,
            },
            weapon: short(&stamp.weapon),
            kill_kind: stamp.kill_kind,
            headshot: stamp.headshot,
            hostile: stamp.hostile,
            hitloc: short(&event.hitloc),
            means_of_death: short(&event.means_of_death),
            damage: thousandths(event.damage),
            text: match event.event_type {
                EventType::Chat => short(&event.message),
                _ => short(&event.item),
            },
            team_only: event.team_only.unwrap_or_default(),
            round_number: event.round_number,
            allies_score: event.allies_score,
            axis_score: event.axis_score,
            winning_team: event.winning_team,
            player_count: event.player_count,
            max_clients: event.max_clients,
            shots_fired: count(event.shots_fired),
            shots_hit: count(event.shots_hit),
            map_name: stamp.map_name.clone(),
            game_type: stamp.game_type,
        }
    }
}

/// Snapshots hold thousands of moments, most of which say little.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Map units between two players, where both places were sent and can be true.
fn distance(one: &Player, other: &Player) -> Option<u32> {
    /// No map is larger.
    const FARTHEST: f32 = 40_000.0;
    let square = |one: Option<f32>, other: Option<f32>| Some((one? - other?).powi(2));
    let squares = square(one.x, other.x)? + square(one.y, other.y)? + square(one.z, other.z)?;
    let distance = squares.sqrt();
    (distance <= FARTHEST).then_some(distance as u32)
}

/// Thousandths of a map unit, as the roll-ups add them up.
fn walked(event: &Event) -> i64 {
    let parts = [event.walked, event.sprinted, event.swam, event.driven];
    let units: f32 = parts.iter().map(|part| part.unwrap_or_default()).sum();
    (f64::from(units).clamp(0.0, 1_000_000.0) * 1_000.0).trunc() as i64
}

/// Milliseconds since the level was loaded, where an event says so.
fn level_ms(event: &Event) -> Option<i64> {
    let seconds = event.level_time.filter(|seconds| (0.0..=2_147_483.647).contains(seconds))?;
    Some((seconds * 1000.0).round() as i64)
}

fn short(text: &Text) -> Text {
    if text.len() <= MAX_TEXT_CHARS {
        return text.clone();
    }
    match text.char_indices().nth(MAX_TEXT_CHARS) {
        Some((end, _)) => Text::from(&text[..end]),
        None => text.clone(),
    }
}

/// As the roll-ups add damage up: cut off behind three digits, absurd values clamped.
fn thousandths(damage: Option<f32>) -> i64 {
    let damage = f64::from(damage.unwrap_or_default()).clamp(-1_000_000.0, 1_000_000.0);
    (damage * 1000.0).trunc() as i64
}

fn count(number: Option<i32>) -> u64 {
    u64::try_from(number.unwrap_or_default()).unwrap_or_default()
}
