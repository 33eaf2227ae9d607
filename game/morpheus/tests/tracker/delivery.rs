//! Batches, and what becomes of them when the service is slow, full, away or unwilling.

use std::collections::BTreeSet;

use mohaa_domain::event::Event;
use mohaa_domain::vocabulary::EventType;
use mohaa_morpheus::Entity;

use crate::server::{Request, Server};

fn playing() -> (Server, Entity) {
    let server = Server::playing("dm/mohdm1", "2");
    let player = server.connect(0, b"Anna", "allies");
    server.take_all();
    (server, player)
}

fn jumps(server: &Server, player: Entity, count: usize) {
    for _ in 0..count {
        server.tell("player_jump", Some(player), &[]);
    }
}

fn count_of(requests: &[Request], event_type: EventType) -> usize {
    requests.iter().flat_map(Request::events).filter(|event| event.event_type == event_type).count()
}

#[test]
fn a_request_has_the_address_the_token_and_a_key() {
    let server = Server::playing("dm/mohdm1", "2");
    server.pass(2.0);
    let request = server.request().expect("one");
    assert_eq!(request.url, "http://stats.example.org:8080/api/v1/ingest/events");
    assert_eq!(request.headers["X-Server-Token"], "mohaa_s_test");
    assert_eq!(request.headers["Content-Type"], "application/json");
    let key = request.key();
    assert!((1..=64).contains(&key.len()), "{key}");
    assert!(key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)), "{key}");
}

#[test]
fn twenty_events_go_at_once_and_fewer_after_two_seconds() {
    let (server, player) = playing();
    jumps(&server, player, 19);
    assert!(server.request().is_none());
    jumps(&server, player, 1);
    assert_eq!(server.answer(202, "").events().len(), 20);
    jumps(&server, player, 3);
    assert!(server.request().is_none());
    server.pass(2.0);
    assert_eq!(server.answer(202, "").events().len(), 3);
    server.assert_no_errors();
}

#[test]
fn nothing_is_sent_when_nothing_happens() {
    let (server, _) = playing();
    server.pass(20.0);
    assert!(server.request().is_none());
}

#[test]
fn one_request_is_under_way_at_a_time_and_batches_keep_their_order() {
    let (server, player) = playing();
    for line in 0..65 {
        server.say(player, format!("line {line}").as_bytes());
    }
    assert_eq!(server.requests_under_way(), 1);
    let mut lines = Vec::new();
    let mut keys = BTreeSet::new();
    while server.request().is_some() {
        assert_eq!(server.requests_under_way(), 1);
        let request = server.answer(202, "");
        assert!(keys.insert(request.key().to_owned()));
        lines.extend(request.events().into_iter().map(|event: Event| event.message.to_string()));
        server.pass(2.0);
    }
    assert_eq!(lines, (0..65).map(|line| format!("line {line}")).collect::<Vec<_>>());
}

#[test]
fn what_is_not_taken_is_sent_again_the_same_under_the_same_key() {
    for status in [429, 503, 500, 502, 408, 404, 0] {
        let (server, player) = playing();
        jumps(&server, player, 20);
        let first = server.answer(status, r#"{"error":"later","code":"mailbox_full"}"#);
        assert!(server.request().is_none(), "{status}: sent again at once");
        server.pass(1.9);
        assert!(server.request().is_none(), "{status}: sent again too soon");
        server.pass(4.0);
        let second = server.answer(202, "");
        assert_eq!((first.key(), &first.body), (second.key(), &second.body), "{status}");
        server.pass(10.0);
        assert!(server.request().is_none(), "{status}: sent after it was taken");
        server.assert_no_errors();
    }
}

#[test]
fn pauses_grow_to_a_minute_and_end_with_the_first_success() {
    let (server, player) = playing();
    jumps(&server, player, 20);
    let mut pauses = Vec::new();
    for _ in 0..8 {
        server.answer(503, "");
        let mut pause = 0;
        while server.request().is_none() {
            server.pass(1.0);
            pause += 1;
        }
        pauses.push(pause);
    }
    let expected = [2, 4, 8, 16, 32, 60, 60, 60];
    for (pause, expected) in pauses.iter().zip(expected) {
        assert!((expected..=expected + 4).contains(pause), "{pauses:?}");
    }
    server.answer(202, "");
    server.take_all();
    jumps(&server, player, 20);
    server.answer(503, "");
    server.pass(5.0);
    assert!(server.request().is_some());
    assert!(server.printed().iter().any(|line| line.contains("takes events again")));
}

#[test]
fn nothing_is_lost_or_doubled_over_an_outage_of_minutes() {
    let (server, player) = playing();
    let mut happened = 0;
    let mut taken: Vec<Request> = Vec::new();
    let mut keys = BTreeSet::new();
    for second in 0..600 {
        jumps(&server, player, 5);
        happened += 5;
        server.pass(1.0);
        let is_away = (60..360).contains(&second);
        if server.request().is_some() {
            let status = if is_away { [503, 429, 0][second % 3] } else { 202 };
            let request = server.answer(status, "");
            // What is taken twice the service counts once, by its key.
            if status == 202 && keys.insert(request.key().to_owned()) {
                taken.push(request);
            }
        }
    }
    taken.extend(server.take_all());
    assert_eq!(count_of(&taken, EventType::Jump), happened);
    server.assert_no_errors();
}

#[test]
fn the_queue_is_bounded_and_says_what_it_lost() {
    let (server, player) = playing();
    jumps(&server, player, 20);
    // Nobody answers: 500 batches are kept, one of them under way.
    jumps(&server, player, 20 * 550);
    server.pass(30.0);
    let bodies = server.machine.game("tracker_bodies");
    assert_eq!(bodies_count(&bodies), 500);
    assert_eq!(server.machine.game("tracker_lost").integer(), Ok(20 * 51));
    assert!(
        server.printed().iter().any(|line| line.contains("1020 events were lost")),
        "{:?}",
        server.printed()
    );
    let requests = server.take_all();
    assert_eq!(count_of(&requests, EventType::Jump), 500 * 20);
    assert_eq!(bodies_count(&server.machine.game("tracker_bodies")), 0);
    server.assert_no_errors();
}

fn bodies_count(bodies: &mohaa_morpheus::Value) -> usize {
    match bodies {
        mohaa_morpheus::Value::Map(entries) => entries.borrow().len(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_can_never_be_taken_is_forgotten_and_the_next_goes() {
    for status in [400, 413, 415, 422] {
        let (server, player) = playing();
        jumps(&server, player, 40);
        let first = server.answer(status, r#"{"status":"rejected"}"#);
        let second = server.request().expect("the next batch");
        assert_ne!(first.key(), second.key());
        server.take_all();
        assert!(server.printed().iter().any(|line| line.contains(&format!("refused ({status})"))));
        server.assert_no_errors();
    }
}

#[test]
fn a_refused_token_stops_it_until_the_next_map() {
    let (server, player) = playing();
    jumps(&server, player, 20);
    let refused = server.answer(401, r#"{"error":"unknown token","code":"invalid_token"}"#);
    jumps(&server, player, 20);
    server.pass(300.0);
    assert!(server.request().is_none());
    assert!(server.printed().iter().any(|line| line.contains("token is not taken (401)")));
    server.leave_level(true);
    server.set_cvar("tracker_token", "mohaa_s_new");
    server.load_map("dm/mohdm2");
    server.pass(2.0);
    let again = server.request().expect("sent again");
    assert_eq!((again.key(), again.headers["X-Server-Token"].as_str()), (refused.key(), "mohaa_s_new"));
    assert_eq!(count_of(&server.take_all(), EventType::Jump), 40);
    server.assert_no_errors();
}

#[test]
fn the_end_of_a_level_loses_nothing() {
    let (server, player) = playing();
    jumps(&server, player, 25);
    // The first batch is under way; the rest and the end of the match are sealed when the level ends.
    server.leave_level(true);
    server.load_map("dm/mohdm2");
    let mut requests = vec![server.answer(202, "")];
    requests.extend(server.take_all());
    assert_eq!(count_of(&requests, EventType::Jump), 25);
    assert_eq!(count_of(&requests, EventType::MatchEnd), 1);
    server.assert_no_errors();
}

/// The engine asks on while it loads the next map, and may end without one.
#[test]
fn what_happened_last_is_under_way_when_the_level_ends() {
    let (server, player) = playing();
    jumps(&server, player, 1);
    server.leave_level(true);
    let events = server.request().expect("one").events();
    assert_eq!(events.last().map(|event| event.event_type), Some(EventType::MatchEnd));
}

/// An engine that was made anew forgets what it was asked.
#[test]
fn a_request_that_is_never_answered_is_sent_again_under_its_key() {
    let (server, player) = playing();
    jumps(&server, player, 20);
    let key = server.request().expect("one").key().to_owned();
    server.pass(50.0);
    assert_eq!(server.requests_under_way(), 1);
    server.pass(20.0);
    assert_eq!(server.requests_under_way(), 2);
    server.answer(202, "");
    let second = server.request().expect("the same again");
    assert_eq!(second.key(), key);
}
