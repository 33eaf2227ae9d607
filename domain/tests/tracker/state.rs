//! The state: kept, read back, bounded, forgotten.

use mohaa_domain::event::Millis;
use mohaa_domain::tracker::{
    EventWindow, FORGOTTEN_AFTER_MS, MAX_MATCHES, MAX_PLAYERS, SnapshotError, Tracker, Trackers,
};
use mohaa_domain::vocabulary::{EventType, Team};
use serde_json::json;
use uuid::Uuid;

use crate::{Described, SERVER, Server, at, event, jump, player};

#[test]
fn a_hostile_stream_leaves_a_bounded_state() {
    let mut trackers = Trackers::default();
    let long = "x".repeat(5000);
    let mut feed = |from: u32, to: u32| {
        for n in from..to {
            let id = if n % 3 == 0 { format!("match_{}", n % 97) } else { format!("{long}{}", n / 4000) };
            let made_up = format!("{n}_{}", &long[..(n as usize * 7) % 120]);
            let event = jump(f64::from(n % 50))
                .named(if n % 5 == 0 { "" } else { &id })
                .session(&long)
                .map(&format!("dm/{}", &long[..(n as usize) % 70]))
                .by(player(&made_up, &long, Team::Axis))
                .to(player(&format!("unauth_{n}"), &made_up, Team::Allies));
            trackers.stamp(SERVER, &event, at(f64::from(n) * 0.01), &EventWindow::default());
        }
        let now = at(f64::from(to) * 0.01);
        assert!(trackers.get(SERVER).unwrap().matches(now).count() <= MAX_MATCHES);
        trackers.snapshot().len()
    };
    feed(0, 12_000);
    let bytes = feed(12_000, 24_000);
    // 16 matches × 512 teams × (an id of at most 128 bytes and its JSON).
    assert!(bytes < MAX_MATCHES * 512 * 170, "{bytes} bytes");
}

#[test]
fn the_state_of_a_full_server_is_small() {
    let mut trackers = Trackers::default();
    for n in 0..3000_u32 {
        let name = format!("Player {}", n % 64);
        let event = jump(f64::from(n)).by(player(&format!("unauth_{}", n % 64), &name, Team::Axis));
        trackers.stamp(SERVER, &event, at(f64::from(n)), &EventWindow::default());
    }
    let bytes = trackers.snapshot().len();
    assert!(bytes < 5_000, "{bytes} bytes");
}

#[test]
fn a_server_is_forgotten_after_48_h() {
    let mut trackers = Trackers::default();
    trackers.stamp(SERVER, &jump(0.0), Millis(0), &EventWindow::default());
    trackers.stamp(Uuid::from_u128(2), &jump(0.0), Millis(1), &EventWindow::default());
    assert_eq!(trackers.forget_idle(Millis(FORGOTTEN_AFTER_MS)), 1);
    assert!(trackers.get(SERVER).is_none() && trackers.get(Uuid::from_u128(2)).is_some());
}

#[test]
fn one_servers_state_moves_to_another_node() {
    let mut here = Trackers::default();
    let first = here.stamp(SERVER, &jump(10.0), at(0.0), &EventWindow::default());
    let kept = here.snapshot_server(SERVER).unwrap();
    assert!(here.snapshot_server(Uuid::from_u128(2)).is_none());

    let mut there = Trackers::default();
    there.restore_server(SERVER, &kept).unwrap();
    let second = there.stamp(SERVER, &jump(11.0), at(1.0), &EventWindow::default());
    assert_eq!(second.match_id, first.match_id);
    assert!(matches!(
        there.restore_server(Uuid::from_u128(2), &kept),
        Err(SnapshotError::WrongServer { found: SERVER, .. })
    ));
}

#[test]
fn state_that_can_not_be_read_is_an_error() {
    assert!(matches!(Trackers::restore(b"{"), Err(SnapshotError::Unreadable(_))));
    assert!(matches!(
        Trackers::restore(br#"{"version":9}"#),
        Err(SnapshotError::UnknownVersion { found: 9 })
    ));
}

#[test]
fn state_that_no_tracker_could_have_is_an_error() {
    let mut trackers = Trackers::default();
    let event = jump(10.0).named("match").by(player("4711", "Hiro", Team::Axis)).map("dm/mohdm1");
    trackers.stamp(SERVER, &event, at(0.0), &EventWindow::default());
    let sound: serde_json::Value = serde_json::from_slice(&trackers.snapshot()).unwrap();
    let of_match = "/trackers/0/matches/remembered/0";
    let long = serde_json::Value::from("x".repeat(129));
    let matches = vec![sound.pointer(of_match).unwrap().clone(); MAX_MATCHES + 1];
    let players = vec![sound.pointer(&format!("{of_match}/roster/seen/0")).unwrap().clone(); MAX_PLAYERS + 1];
    let unsound = [
        ("/trackers/0/matches/remembered".to_owned(), matches.into()),
        ("/trackers/0/matches/next_ordinal".to_owned(), i64::MAX.into()),
        (format!("{of_match}/loaded_at"), i64::MIN.into()),
        (format!("{of_match}/newest_level_ms"), i64::MAX.into()),
        (format!("{of_match}/last_event_at"), i64::MAX.into()),
        (format!("{of_match}/ended_at"), i64::MIN.into()),
        (format!("{of_match}/source_key"), long.clone()),
        (format!("{of_match}/map_name"), long.clone()),
        (format!("{of_match}/roster/oldest"), MAX_PLAYERS.into()),
        (format!("{of_match}/roster/seen"), players.into()),
        (format!("{of_match}/roster/seen/0/id"), long.clone()),
        // Hits are stamped with it, and no weapon is called so.
        (format!("{of_match}/roster/seen/0"), json!({"id": "4711", "team": "Axis", "fired": long})),
        (
            format!("{of_match}/roster/seen/0"),
            json!({"id": "4711", "team": "Axis", "fired": "kunauth_1ar98k"}),
        ),
    ];
    for (place, value) in unsound {
        let mut state = sound.clone();
        *state.pointer_mut(&place).unwrap() = value;
        let read = Trackers::restore(state.to_string().as_bytes());
        assert!(matches!(read, Err(SnapshotError::Unsound { server_id: SERVER })), "{place}");
        let read = Trackers::default().restore_server(SERVER, state.to_string().as_bytes());
        assert!(matches!(read, Err(SnapshotError::Unsound { server_id: SERVER })), "{place}");
    }
}

#[test]
fn resuming_from_another_state_is_noticed() {
    let event = jump(10.0);
    let mut server = Server::start();
    let stamp = server.receives(0.0, &event);
    assert!(Tracker::new(SERVER).resume(&event, &stamp));
    let mut other = Server::start();
    other.receives(-5.0, &jump(100.0));
    assert!(!other.tracker.resume(&event, &stamp));
}

#[test]
fn trackers_that_follow_each_other_place_events_as_one_does_that_gets_them_all() {
    let first = Trackers::snapshot_of_unmet(SERVER, at(0.0));
    let mut trackers = [Trackers::default(), Trackers::default()];
    for tracker in &mut trackers {
        assert!(tracker.restore_server(SERVER, &first).unwrap());
    }
    let mut whole = Trackers::restore(&first).unwrap();
    let mut events = Vec::new();
    for (number, name) in ["", "evening", "", "evening", "night"].into_iter().enumerate() {
        let began = number as f64 * 400.0;
        events.push((began + 1.0, event(EventType::MatchStart).level(1.0).named(name)));
        for second in 2..9 {
            let seconds = f64::from(second) * 30.0;
            events.push((began + seconds, jump(seconds).named(name)));
        }
        events.push((began + 300.0, event(EventType::MatchEnd).level(300.0).named(name)));
    }
    let window = EventWindow::default();
    for (number, (seconds, event)) in events.iter().enumerate() {
        // Not quite in turns: each gets the first event of some match.
        let (here, there) = if number % 2 == 0 { (0, 1) } else { (1, 0) };
        let stamp = trackers[here].stamp(SERVER, event, at(*seconds), &window);
        assert_eq!(stamp.match_id, whole.stamp(SERVER, event, at(*seconds), &window).match_id, "{number}");
        trackers[there].follow(event, &stamp);
    }
    let ids = |trackers: &Trackers| -> Vec<(Uuid, Option<Millis>)> {
        let tracker = trackers.get(SERVER).unwrap();
        tracker.matches(at(2_000.0)).map(|known| (known.match_id, known.ended_at)).collect()
    };
    assert_eq!(ids(&trackers[0]), ids(&whole));
    assert_eq!(ids(&trackers[1]), ids(&whole));
}

#[test]
fn a_match_that_another_tracker_opened_is_adopted_under_its_id() {
    let mut here = Trackers::default();
    let mut there = Trackers::default();
    let window = EventWindow::default();
    here.stamp(SERVER, &jump(100.0).named("evening"), at(100.0), &window);
    let opened = there.stamp(SERVER, &jump(5.0).named("night"), at(500.0), &window);
    here.follow(&jump(5.0).named("night"), &opened);
    let next = here.stamp(SERVER, &jump(6.0).named("night"), at(501.0), &window);
    assert_eq!(next.match_id, opened.match_id);
    let later = here.stamp(SERVER, &jump(1.0).named("midnight"), at(900.0), &window);
    assert_ne!(later.match_id, opened.match_id);
}
