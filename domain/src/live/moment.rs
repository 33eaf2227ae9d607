//! What live state keeps of an event until it is settled.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Position;
use super::board::MOST_PLAYERS;
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

/// Whom a moment names: nobody, or somebody whom all moments of a match share that say the same of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Named(Option<Arc<Who>>);

static NOBODY: Who =
    Who { player_id: Text::const_new(""), name: Text::const_new(""), team: Team::Unknown, bot: false };

impl Deref for Named {
    type Target = Who;
    fn deref(&self) -> &Who {
        self.0.as_deref().unwrap_or(&NOBODY)
    }
}

impl From<Who> for Named {
    fn from(who: Who) -> Self {
        Self((who != NOBODY).then(|| Arc::new(who)))
    }
}

/// Those whom moments name, each once, as they were named last.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct People {
    by_id: HashMap<Text, Arc<Who>>,
}

impl People {
    /// Has somebody who is known already stand for the same one.
    pub(super) fn share(&mut self, named: &mut Named) {
        let Some(who) = &mut named.0 else { return };
        match self.by_id.get_mut(&who.player_id) {
            Some(known) if *known == *who => *who = known.clone(),
            Some(known) => *known = who.clone(),
            None => {
                // Whom a server makes up costs it that it is asked anew who the others are.
                if self.by_id.len() >= MOST_PLAYERS {
                    self.by_id.clear();
                }
                drop(self.by_id.insert(who.player_id.clone(), who.clone()));
            }
        }
    }
}

/// What few events tell.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Details {
    /// Slug, of what killed.
    #[serde(skip_serializing_if = "is_default")]
    pub weapon: Text,
    /// Of a kill.
    #[serde(skip_serializing_if = "is_default")]
    pub hitloc: Text,
    #[serde(skip_serializing_if = "is_default")]
    pub means_of_death: Text,
    /// What was said, or captured.
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
}

static NO_DETAILS: Details = Details {
    weapon: Text::const_new(""),
    hitloc: Text::const_new(""),
    means_of_death: Text::const_new(""),
    text: Text::const_new(""),
    team_only: false,
    round_number: None,
    allies_score: None,
    axis_score: None,
    winning_team: Team::Unknown,
    player_count: None,
    max_clients: None,
    shots_fired: 0,
    shots_hit: 0,
};

impl Details {
    fn of(event: &Event, stamp: &Stamp) -> Self {
        let is_kill = stamp.kill_kind != KillKind::None || event.event_type == EventType::Kill;
        let if_kill = |text: &Text| if is_kill { short(text) } else { Text::default() };
        Self {
            weapon: if_kill(&stamp.weapon),
            hitloc: if_kill(&event.hitloc),
            means_of_death: if_kill(&event.means_of_death),
            text: match event.event_type {
                EventType::Chat => short(&event.message),
                EventType::ObjectiveCapture | EventType::ObjectiveUpdate => short(&event.item),
                _ => Text::default(),
            },
            team_only: event.team_only.unwrap_or_default(),
            round_number: match event.event_type {
                EventType::Heartbeat | EventType::RoundStart | EventType::RoundEnd => event.round_number,
                _ => None,
            },
            allies_score: event.allies_score,
            axis_score: event.axis_score,
            winning_team: event.winning_team,
            player_count: event.player_count,
            max_clients: event.max_clients,
            shots_fired: count(event.shots_fired),
            shots_hit: count(event.shots_hit),
        }
    }
}

/// One event, as far as live state is concerned. A match keeps the hundreds of its last ten seconds: they are small.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Moment {
    /// Where it stands among the others, in milliseconds of the level's clock.
    #[serde(skip_serializing_if = "is_default")]
    pub at_ms: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub event_at: Millis,
    #[serde(skip_serializing_if = "is_default")]
    pub player: Named,
    #[serde(skip_serializing_if = "is_default")]
    pub target: Named,
    /// Thousandths of a point.
    #[serde(skip_serializing_if = "is_default")]
    pub damage: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub map_name: Text,
    #[serde(skip_serializing_if = "is_default")]
    details: Option<Box<Details>>,
    #[serde(skip_serializing_if = "is_default")]
    pub event_type: EventType,
    #[serde(skip_serializing_if = "is_default")]
    pub kill_kind: KillKind,
    #[serde(skip_serializing_if = "is_default")]
    pub game_type: GameType,
    #[serde(skip_serializing_if = "is_default")]
    pub headshot: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub hostile: bool,
}

impl Moment {
    fn of(event: &Event, stamp: &Stamp, at_ms: i64) -> Self {
        let details = Details::of(event, stamp);
        Self {
            at_ms,
            event_at: stamp.event_at,
            event_type: event.event_type,
            player: Named::from(Who {
                player_id: stamp.player_id.clone(),
                name: short(&event.player.name),
                team: stamp.player_team,
                bot: stamp.player_bot,
            }),
            target: Named::from(Who {
                player_id: stamp.target_id.clone(),
                name: short(&event.target.name),
                team: stamp.target_team,
                bot: stamp.target_bot,
            }),
            kill_kind: stamp.kill_kind,
            headshot: stamp.headshot,
            hostile: stamp.hostile,
            damage: thousandths(event.damage),
            map_name: stamp.map_name.clone(),
            game_type: stamp.game_type,
            details: (details != NO_DETAILS).then(|| Box::new(details)),
        }
    }

    pub fn details(&self) -> &Details {
        self.details.as_deref().unwrap_or(&NO_DETAILS)
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
