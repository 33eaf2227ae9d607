//! Live state of a match: laws that hold for any stream of events, and what stands on the board.

#![allow(clippy::unwrap_used)]

mod laws;
mod seen;

use mohaa_domain::event::{Event, Millis, Player, Stamp};
use mohaa_domain::live::LiveMatch;
use mohaa_domain::tracker::{EventWindow, Tracker};
use mohaa_domain::vocabulary::{EventType, Team};
use uuid::Uuid;

pub const SPOOL: Uuid = Uuid::from_u128(7);
pub const SERVER: Uuid = Uuid::from_u128(1);
pub const NOON: i64 = 1_795_600_000_000;

/// An event of a player at so many seconds of the level.
pub fn event(event_type: EventType, level_time: f64, who: &str) -> Event {
    Event {
        event_type,
        source_type: event_type.as_str().into(),
        source_match_id: "m".into(),
        level_time: Some(level_time),
        player: player(who),
        ..Event::default()
    }
}

/// A kill with a rifle.
pub fn kill(level_time: f64, killer: &str, victim: &str) -> Event {
    Event {
        target: player(victim),
        weapon_name: "M1 Garand".into(),
        ..event(EventType::Kill, level_time, killer)
    }
}

/// Those with an even last digit are allies.
pub fn player(who: &str) -> Player {
    if who.is_empty() {
        return Player::default();
    }
    let team = match who.bytes().last().unwrap_or_default() % 2 {
        0 => Team::Allies,
        _ => Team::Axis,
    };
    Player { guid: who.into(), name: format!("name {who}").into(), team, ..Player::default() }
}

/// Stamps events as they would be, in the order in which they come.
pub fn stamped(events: &[Event]) -> Vec<(Event, Stamp)> {
    let mut tracker = Tracker::new(SERVER);
    let window = EventWindow::default();
    events
        .iter()
        .enumerate()
        .map(|(number, event)| {
            // As if each were sent when it happened.
            let happened_at = Millis(NOON + (event.level_time.unwrap_or_default() * 1000.0) as i64);
            let received_at = event.sent_at.unwrap_or(happened_at);
            let mut stamp = tracker.stamp(event, received_at, &window);
            stamp.spool_seq = number as u64 + 1;
            (event.clone(), stamp)
        })
        .collect()
}

pub fn folded(events: &[(Event, Stamp)]) -> LiveMatch {
    let mut live = LiveMatch::new(events[0].1.match_id, SERVER);
    for (event, stamp) in events {
        live.fold(SPOOL, event, stamp);
    }
    live
}
