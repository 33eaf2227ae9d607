//! Events in any order and at any time, and state from anywhere: stamps keep their promises, the state stays small, and
//! a state that was written and read back goes on the same.
//!
//! An input is a list of steps, separated by lines of `--`: `@` and a number moves the clock by so many milliseconds,
//! `!` and a snapshot takes that state over, and anything else is a body, whose length chooses one of three servers.

use mohaa_domain::event::{Event, Millis, Stamp};
use mohaa_domain::player::PlayerId;
use mohaa_domain::tracker::{EventWindow, MAX_MATCHES, MAX_PLAYERS, Trackers};
use mohaa_domain::vocabulary::{EventType, KillKind};
use mohaa_domain::weapon::WeaponSlug;
use mohaa_domain::wire::{self, Limits};
use uuid::Uuid;

use crate::decoder::check_row;

const LIMITS: Limits = Limits { max_events: 200 };
const WINDOW: EventWindow = EventWindow { past_ms: 7 * 86_400_000, future_ms: 300_000 };
/// 2026-11-22.
const STARTED_AT: i64 = 1_795_305_600_000;
const SERVERS: usize = 3;
const SEPARATOR: &[u8] = b"\n--\n";
/// No text in the state is longer than 128 bytes; escaped in JSON each may take six times that.
const MOST_BYTES_PER_PLAYER: usize = 2 << 10;

pub fn check(input: &[u8]) {
    let mut trackers = Trackers::default();
    let mut now = STARTED_AT;
    for step in steps(input) {
        match step.split_first() {
            Some((b'@', millis)) => {
                let millis =
                    std::str::from_utf8(millis).ok().and_then(|text| text.trim().parse::<i32>().ok());
                now = now.saturating_add(i64::from(millis.unwrap_or(0)));
            }
            Some((b'!', snapshot)) => take_over(&mut trackers, snapshot),
            _ => {
                let Ok(decoded) = wire::decode(step, LIMITS) else { continue };
                let server_id = Uuid::from_u128((step.len() % SERVERS) as u128 + 1);
                stamp_all(&mut trackers, server_id, &decoded.events, Millis(now));
            }
        }
    }
}

fn steps(input: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(input);
    std::iter::from_fn(move || {
        let step = rest?;
        let end = step.windows(SEPARATOR.len()).position(|bytes| bytes == SEPARATOR);
        rest = end.map(|end| &step[end + SEPARATOR.len()..]);
        Some(&step[..end.unwrap_or(step.len())])
    })
}

/// A state that can be read is read as it is written.
fn take_over(trackers: &mut Trackers, snapshot: &[u8]) {
    let server_id = Uuid::from_u128(1);
    // For one server, as from another node; and for all, as from a segment of the spool.
    let _ = trackers.clone().restore_server(server_id, snapshot);
    let Ok(restored) = Trackers::restore(snapshot) else { return };
    let written = restored.snapshot();
    let again = Trackers::restore(&written).expect("what was written can be read");
    assert_eq!(again.snapshot(), written);
    *trackers = restored;
}

fn stamp_all(trackers: &mut Trackers, server_id: Uuid, events: &[Event], received_at: Millis) {
    let mut read_back = Trackers::restore(&trackers.snapshot()).expect("what was written can be read");
    for event in events {
        let stamp = trackers.stamp(server_id, event, received_at, &WINDOW);
        check_stamp(event, &stamp, server_id, received_at);
        let same = read_back.stamp(server_id, event, received_at, &WINDOW);
        assert_eq!(stamp, same, "the state that was written and read back goes on differently");
    }
    let Some(tracker) = trackers.get(server_id) else { return assert!(events.is_empty()) };
    let matches = tracker.matches(received_at).count();
    assert!(matches <= MAX_MATCHES, "{matches} matches are remembered");
    let snapshot = trackers.snapshot_server(server_id).unwrap_or_default();
    let bound = MAX_MATCHES * (MAX_PLAYERS + 2) * MOST_BYTES_PER_PLAYER;
    assert!(snapshot.len() <= bound, "the state of a server takes {} bytes", snapshot.len());
}

fn check_stamp(event: &Event, stamp: &Stamp, server_id: Uuid, received_at: Millis) {
    assert_eq!((stamp.server_id, stamp.received_at), (server_id, received_at));
    assert!(!stamp.match_id.is_nil());
    let distance = stamp.event_at.0 - received_at.0;
    assert!((-WINDOW.past_ms..=WINDOW.future_ms).contains(&distance), "{distance} ms");
    for id in [&stamp.player_id, &stamp.target_id] {
        assert!(id.is_empty() || id.parse::<PlayerId>().is_ok(), "{id:?} can't be in a path");
    }
    assert!(stamp.map_name.len() <= 128, "{:?}", stamp.map_name);
    assert!(stamp.weapon.is_empty() || stamp.weapon.parse::<WeaponSlug>().is_ok(), "{:?}", stamp.weapon);
    assert_eq!(
        stamp.kill_kind != KillKind::None,
        event.event_type == EventType::Kill,
        "{:?}",
        stamp.kill_kind
    );
    assert!(!stamp.headshot || stamp.kill_kind == KillKind::Kill);
    assert!(!stamp.hostile || (!stamp.player_id.is_empty() && !stamp.target_id.is_empty()));
    check_row(event, stamp);
}
