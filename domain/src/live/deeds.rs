//! What of each player adds up in a match, kept beside the board: order decides nothing of it, so each event is counted
//! once, when it comes.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::board::MOST_PLAYERS;
use crate::achievements::Tally;
use crate::event::{Event, Millis, Player, Stamp, Text};
use crate::player::is_guest_id;
use crate::vocabulary::KillKind;

/// One player's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Deeds {
    pub tally: Tally,
    /// Map units between killer and victim.
    pub longest_kill: u32,
}

/// Counts an event for those who did it and those it was done to, and notes that they stirred.
pub(super) fn count(
    deeds: &mut BTreeMap<Text, Deeds>,
    stirred: &mut HashMap<Text, Millis>,
    event: &Event,
    stamp: &Stamp,
) {
    if stamp.player_bot || stamp.target_bot || !Tally::is_changed_by(event.event_type) {
        return;
    }
    let mut of_player = |player_id: &Text, change: &dyn Fn(&mut Deeds)| {
        if player_id.is_empty() {
            return;
        }
        if let Some(known) = deeds.get_mut(player_id) {
            change(known);
        } else if !is_guest_id(player_id) && deeds.len() < MOST_PLAYERS {
            change(deeds.entry(player_id.clone()).or_default());
        } else {
            return;
        }
        match stirred.get_mut(player_id) {
            Some(at) => *at = stamp.event_at.max(*at),
            None => drop(stirred.insert(player_id.clone(), stamp.event_at)),
        }
    };
    of_player(&stamp.player_id, &|deeds| {
        deeds.tally.add_act(event, stamp);
        if stamp.kill_kind == KillKind::Kill {
            let distance = distance(&event.player, &event.target).unwrap_or_default();
            deeds.longest_kill = deeds.longest_kill.max(distance);
        }
    });
    if stamp.kill_kind != KillKind::None {
        of_player(&stamp.target_id, &|deeds| deeds.tally.add_suffering(event, stamp));
    }
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
