//! Which match an event belongs to, and when matches end.

use mohaa_domain::event::{Event, Millis};
use mohaa_domain::tracker::EventWindow;
use mohaa_domain::vocabulary::EventType;
use uuid::Uuid;

use crate::{Described, MINUTE, SERVER, Server, at, event, jump};

#[test]
fn an_event_whose_estimate_is_at_most_20_s_later_belongs_to_the_current_match() {
    let mut server = Server::start();
    let current = server.places(100.0, &jump(100.0));
    assert_eq!(server.places(200.0, &jump(180.0)), current);
    assert_ne!(server.places(201.0, &jump(180.999)), current);
}

#[test]
fn loaded_at_is_a_running_minimum() {
    let mut server = Server::start();
    let current = server.places(115.0, &jump(100.0));
    assert_eq!(server.places(116.0, &jump(116.0)), current);
    // 21 s after the minimum, though only 6 s after the first estimate.
    assert_ne!(server.places(121.0, &jump(100.0)), current);
}

#[test]
fn an_event_of_more_than_20_s_before_that_fits_the_previous_match_belongs_to_it_and_moves_nothing() {
    let mut server = Server::start();
    let previous = server.places(100.0, &jump(100.0));
    let current = server.places(160.0, &jump(0.5));
    assert_ne!(current, previous);
    // Four seconds before what was the earliest estimate of that match.
    assert_eq!(server.places(161.0, &jump(165.0)), previous);
    let loaded =
        |server: &Server, id| server.tracker.matches(at(161.0)).find(|known| known.match_id == id).unwrap();
    assert_eq!(loaded(&server, previous).loaded_at, Some(at(0.0)));
    assert_eq!(loaded(&server, current).loaded_at, Some(at(159.5)));
    assert_eq!(server.places(162.0, &jump(2.5)), current);
}

#[test]
fn an_event_of_long_before_that_fits_no_match_belongs_to_the_current_one() {
    let mut server = Server::start();
    let current = server.places(10.0, &jump(10.0));
    assert_eq!(server.places(11.0, &jump(500.0)), current);
}

#[test]
fn a_larger_jump_is_a_map_load_and_opens_a_new_match() {
    let mut server = Server::start();
    let first = server.places(600.0, &jump(600.0));
    let second = server.places(610.0, &jump(1.0));
    let third = server.places(640.0, &jump(1.0));
    assert!(first != second && second != third && first != third);
}

#[test]
fn a_start_of_map_or_match_opens_a_new_match_once_the_current_has_seen_10_s() {
    for event_type in [EventType::MapStart, EventType::MatchStart] {
        let start = event(event_type);
        let mut server = Server::start();
        let first = server.places(0.0, &start.clone().level(0.0));
        assert_eq!(server.places(9.9, &jump(9.9)), first);
        assert_eq!(server.places(9.95, &start.clone().level(0.1)), first, "the match has not seen 10 s");
        assert_eq!(server.places(10.0, &jump(10.0)), first);
        assert_eq!(server.places(12.0, &start.clone().level(10.0)), first, "level.time is not under 10 s");
        assert_ne!(server.places(12.0, &start.clone().level(0.0)), first);
    }
}

#[test]
fn map_start_and_match_start_of_one_load_open_one_match() {
    let mut server = Server::start();
    server.places(0.0, &jump(300.0));
    let opened = server.places(5.0, &event(EventType::MapStart).level(0.05));
    assert_eq!(server.places(5.1, &event(EventType::MatchStart).level(0.1)), opened);
}

#[test]
fn any_event_30_min_after_the_last_opens_a_new_match() {
    let mut server = Server::start();
    let first = server.places(0.0, &jump(0.0));
    assert_eq!(server.places(30.0 * MINUTE - 0.001, &jump(30.0 * MINUTE)), first);
    let second = server.places(60.0 * MINUTE, &jump(60.0 * MINUTE));
    assert_ne!(second, first);
    assert_ne!(server.places(90.0 * MINUTE, &event(EventType::Heartbeat)), second);
}

#[test]
fn an_event_without_id_or_level_time_joins_the_current_match_or_opens_one() {
    let mut server = Server::start();
    let first = server.places(0.0, &event(EventType::Heartbeat));
    assert_eq!(server.places(1.0, &event(EventType::Chat)), first);
    assert_eq!(server.places(2.0, &jump(50.0)), first);
    let second = server.places(60.0, &jump(0.0));
    assert_eq!(server.places(61.0, &event(EventType::Chat)), second);
}

#[test]
fn a_level_time_that_no_engine_could_send_is_unusable() {
    for level_time in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 1e12] {
        let mut server = Server::start();
        let first = server.places(1000.0, &jump(1000.0));
        assert_eq!(server.places(2000.0, &jump(level_time)), first, "{level_time}");
        assert_eq!(server.places(2001.0, &jump(2001.0)), first, "{level_time}");
    }
    let mut server = Server::start();
    let first = server.places(0.0, &jump(-0.0));
    assert_eq!(server.tracker.current_match(at(0.0)).unwrap().loaded_at, Some(at(0.0)));
    assert_eq!(server.places(1.0, &jump(1.0)), first);
}

#[test]
fn an_explicit_id_alone_decides_while_it_lives() {
    let mut server = Server::start();
    let first = server.places(0.0, &jump(300.0).named("match_a"));
    let second = server.places(10.0, &jump(0.5).named("match_b"));
    assert_ne!(first, second);
    // Late by more than any estimate allows, on the clock of the other match, and without any clock.
    assert_eq!(server.places(200.0, &jump(295.0).named("match_a")), first);
    assert_eq!(server.places(201.0, &jump(300.0).named("match_a")), first);
    assert_eq!(server.places(202.0, &event(EventType::Heartbeat).named("match_a")), first);
    assert_eq!(server.places(203.0, &jump(20.0).named("match_b")), second);
}

#[test]
fn two_ids_are_two_matches_even_on_one_load() {
    let mut server = Server::start();
    let first = server.places(0.0, &jump(10.0).named("match_a"));
    assert_ne!(server.places(1.0, &jump(11.0).named("match_b")), first);
}

#[test]
fn the_same_id_is_a_new_match_when_level_time_falls_more_than_20_s() {
    let mut server = Server::start();
    let first = server.places(0.0, &jump(100.0).named("same"));
    assert_eq!(server.places(1.0, &jump(80.0).named("same")), first);
    let second = server.places(2.0, &jump(79.9).named("same"));
    assert_ne!(second, first);
    assert_eq!(server.places(3.0, &jump(80.9).named("same")), second);
}

#[test]
fn the_same_id_is_a_new_match_at_a_start_after_its_match_end() {
    for event_type in [EventType::MapStart, EventType::MatchStart] {
        let mut server = Server::start();
        let first = server.places(0.0, &jump(5.0).named("same"));
        assert_eq!(server.places(0.5, &event(event_type).level(5.5).named("same")), first);
        assert_eq!(server.places(1.0, &event(EventType::MatchEnd).level(6.0).named("same")), first);
        assert_eq!(server.places(1.5, &jump(6.5).named("same")), first);
        assert_ne!(server.places(2.0, &event(event_type).named("same")), first);
    }
}

#[test]
fn the_same_recording_sent_twice_at_once_under_one_id_is_two_whole_matches() {
    let mut server = Server::start();
    let recording = [
        event(EventType::MatchStart).level(0.05).named("same"),
        jump(37.9).named("same"),
        jump(110.0).named("same"),
        event(EventType::MatchEnd).level(120.0).named("same"),
    ];
    let first: Vec<_> = recording.iter().map(|event| server.places(0.0, event)).collect();
    let second: Vec<_> = recording.iter().map(|event| server.places(0.1, event)).collect();
    assert!(first.iter().all(|id| *id == first[0]));
    assert!(second.iter().all(|id| *id == second[0]));
    assert_ne!(first[0], second[0]);
}

#[test]
fn a_straggler_of_the_load_before_a_restart_does_not_split_the_match_after_it() {
    let mut server = Server::start();
    let first = server.places(0.0, &jump(0.0).named("same"));
    assert_eq!(server.places(300.0, &jump(300.0).named("same")), first);
    let second = server.places(310.0, &jump(1.0).named("same"));
    assert_ne!(second, first);
    assert_eq!(server.places(311.0, &jump(301.0).named("same")), first);
    assert_eq!(server.places(312.0, &jump(3.0).named("same")), second);
}

#[test]
fn an_id_lives_until_its_match_can_not_be_corrected_any_more() {
    let mut server = Server::start();
    let first = server.places(0.0, &event(EventType::MatchEnd).named("match_a"));
    assert_eq!(server.places(11.0 * MINUTE, &event(EventType::Chat).named("match_a")), first);
    assert_ne!(server.places(22.1 * MINUTE, &event(EventType::Chat).named("match_a")), first);
}

#[test]
fn a_heartbeat_without_id_joins_the_named_match_that_plays() {
    let mut server = Server::start();
    let named = server.places(0.0, &jump(10.0).named("match_a"));
    assert_eq!(server.places(1.0, &event(EventType::Heartbeat).level(11.0)), named);
    assert_eq!(server.places(2.0, &jump(12.0).named("match_a")), named);
}

#[test]
fn late_events_of_a_named_match_do_not_make_it_the_current_one() {
    let mut server = Server::start();
    server.places(0.0, &jump(300.0).named("match_a"));
    let current = server.places(10.0, &jump(1.0).named("match_b"));
    server.places(11.0, &jump(299.0).named("match_a"));
    assert_eq!(server.places(12.0, &jump(3.0)), current);
    assert_eq!(server.places(12.0, &event(EventType::Chat)), current);
}

#[test]
fn a_tools_named_match_without_a_clock_leaves_the_running_match_its_events() {
    let mut server = Server::start();
    let running = server.places(0.0, &jump(100.0));
    let tools = server.places(1.0, &event(EventType::Chat).named("tool"));
    assert_ne!(tools, running);
    assert_eq!(server.places(2.0, &jump(102.0)), running);
}

#[test]
fn equal_ids_of_two_servers_are_two_matches() {
    let mut here = Server::start();
    let mut there = Server { tracker: mohaa_domain::tracker::Tracker::new(Uuid::from_u128(2)) };
    assert_ne!(here.places(0.0, &jump(1.0).named("same")), there.places(0.0, &jump(1.0).named("same")));
}

#[test]
fn our_id_is_made_of_server_source_or_session_and_ordinal() {
    let expected = |name: &str, ordinal: i64| Uuid::new_v5(&SERVER, format!("{name}\n{ordinal}").as_bytes());
    let mut server = Server::start();
    let start = at(0.0).0;
    assert_eq!(server.places(0.0, &jump(0.0).session("sess_1")), expected("sess_1", start));
    assert_eq!(server.places(50.0, &jump(0.0)), expected("", start + 1));
    assert_eq!(
        server.places(51.0, &jump(0.0).named("match_a").session("sess_1")),
        expected("match_a", start + 2)
    );
}

#[test]
fn a_lost_state_repeats_no_id() {
    let mut before = Server::start();
    let known: Vec<_> = (0..5).map(|n| before.places(f64::from(n) * 60.0, &jump(0.0))).collect();
    let mut after_loss = Server::start();
    assert!(!known.contains(&after_loss.places(300.0, &jump(0.0))));
}

#[test]
fn a_new_session_alone_opens_no_match() {
    let mut server = Server::start();
    let first = server.places(0.0, &jump(10.0).session("sess_1"));
    assert_eq!(server.places(1.0, &jump(11.0).session("sess_2")), first);
}

#[test]
fn a_match_ends_at_its_match_end() {
    let mut server = Server::start();
    let match_id = server.places(0.0, &jump(600.0));
    assert_eq!(server.ended_at(match_id, 1.0), None);
    server.places(5.0, &event(EventType::MatchEnd).level(605.0));
    assert_eq!(server.places(6.0, &jump(606.0)), match_id);
    assert_eq!(server.ended_at(match_id, 7.0), Some(at(5.0)));
}

#[test]
fn a_match_ends_when_another_opens_on_its_server() {
    let mut server = Server::start();
    let first = server.places(0.0, &jump(600.0));
    let second = server.places(50.0, &jump(0.0));
    assert_eq!(server.ended_at(first, 51.0), Some(at(50.0)));
    assert_eq!(server.ended_at(second, 51.0), None);
}

#[test]
fn a_match_ends_10_min_after_its_last_event_and_a_later_one_takes_that_back() {
    let mut server = Server::start();
    let match_id = server.places(0.0, &jump(0.0));
    assert_eq!(server.ended_at(match_id, 10.0 * MINUTE - 1.0), None);
    assert_eq!(server.ended_at(match_id, 10.0 * MINUTE), Some(at(10.0 * MINUTE)));
    assert_eq!(server.places(15.0 * MINUTE, &jump(15.0 * MINUTE)), match_id);
    assert_eq!(server.ended_at(match_id, 15.0 * MINUTE), None);
    server.places(50.0 * MINUTE, &jump(0.0));
    assert_eq!(server.ended_at(match_id, 50.0 * MINUTE), Some(at(25.0 * MINUTE)));
}

#[test]
fn the_events_time_is_the_receipt_time_unless_the_sender_gave_one_within_the_window() {
    let window = EventWindow { past_ms: 1000, future_ms: 500 };
    let mut server = Server::start();
    let mut event_at = |sent_at: Option<i64>| {
        let sent = Event { sent_at: sent_at.map(Millis), ..event(EventType::Chat) };
        server.tracker.stamp(&sent, Millis(10_000), &window).event_at.0
    };
    assert_eq!(event_at(None), 10_000);
    assert_eq!(event_at(Some(9_000)), 9_000);
    assert_eq!(event_at(Some(8_999)), 10_000);
    assert_eq!(event_at(Some(10_500)), 10_500);
    assert_eq!(event_at(Some(10_501)), 10_000);
    assert_eq!(EventWindow::default(), EventWindow { past_ms: 604_800_000, future_ms: 300_000 });
}
