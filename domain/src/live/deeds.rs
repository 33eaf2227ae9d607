//! What of each player adds up in a match, kept beside the board: order decides nothing of it, so each event is counted
//! once, when it comes.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::LiveEvent;
use super::board::MOST_PLAYERS;
use crate::achievements::Tally;
use crate::event::{Millis, Text};
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
    event: &LiveEvent,
) {
    let moment = event.moment();
    if moment.player.bot || moment.target.bot || !Tally::is_changed_by(moment.event_type) {
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
            Some(at) => *at = moment.event_at.max(*at),
            None => drop(stirred.insert(player_id.clone(), moment.event_at)),
        }
    };
    of_player(&moment.player.player_id, &|deeds| {
        deeds.tally.add_act(event);
        deeds.longest_kill = deeds.longest_kill.max(event.kill_distance.unwrap_or_default());
    });
    if moment.kill_kind != KillKind::None {
        of_player(&moment.target.player_id, &|deeds| deeds.tally.add_suffering(moment));
    }
}
