//! Matches and rounds: one match for all rounds of a map, told apart by its id.

use mohaa_domain::event::{Event, Millis};
use mohaa_domain::tracker::{EventWindow, Tracker};
use mohaa_domain::vocabulary::{EventType, Team};
use mohaa_morpheus::Value;
use uuid::Uuid;

use crate::server::Server;

fn types(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.source_type.as_str()).collect()
}

#[test]
fn all_rounds_of_a_map_are_one_match_whose_time_goes_on() {
    let server = Server::playing("obj/obj_team2", "3");
    let mut events = Vec::new();
    for (round, winner) in [(1, "allieswin"), (2, "axiswin"), (3, "allieswin")] {
        if round > 1 {
            server.load_map("obj/obj_team2");
        }
        server.pass(5.0);
        server.machine.happen("roundstart");
        server.pass(60.0);
        server.machine.happen(winner);
        server.pass(3.0);
        server.leave_level(round == 3);
        events.extend(server.take_events());
    }
    server.assert_no_errors();
    let lifecycle: Vec<&Event> =
        events.iter().filter(|event| event.event_type != EventType::Heartbeat).collect();
    let told: Vec<(&str, Option<i32>)> =
        lifecycle.iter().map(|event| (event.source_type.as_str(), event.round_number)).collect();
    assert_eq!(
        told,
        [
            ("match_start", None),
            ("round_start", Some(1)),
            ("round_end", Some(1)),
            ("round_start", Some(2)),
            ("round_end", Some(2)),
            ("round_start", Some(3)),
            ("round_end", Some(3)),
            ("match_end", None),
        ]
    );
    assert!(events.iter().all(|event| event.source_match_id == events[0].source_match_id));
    let times: Vec<f64> = events.iter().filter_map(|event| event.level_time).collect();
    assert!(times.is_sorted(), "{times:?}");
    let end = lifecycle[7];
    assert_eq!((end.allies_score, end.axis_score, end.winning_team), (Some(2), Some(1), Team::Allies));
    assert!(end.duration.is_some_and(|seconds| (180.0..240.0).contains(&seconds)), "{:?}", end.duration);
}

/// What the service makes of it: one match for each map, also when batches come minutes late.
#[test]
fn the_service_finds_a_match_a_map_whatever_comes_late() {
    let server = Server::playing("obj/obj_team2", "4");
    let mut tracker = Tracker::new(Uuid::from_u128(1));
    let mut matches: Vec<(Uuid, String)> = Vec::new();
    let mut now = 0.0;
    for (level, map) in ["obj/obj_team2"; 4].into_iter().chain(["obj/obj_team1"; 3]).enumerate() {
        if level > 0 {
            server.leave_level(level == 4);
            server.load_map(map);
        }
        server.pass(4.0);
        server.machine.happen("roundstart");
        for _ in 0..3 {
            server.pass(40.0);
        }
        now += 124.0;
        // Of every second level nothing arrives before the next.
        if level % 2 == 1 {
            for event in server.take_events() {
                let received_at = Millis(1_700_000_000_000 + (now * 1000.0) as i64);
                let stamp = tracker.stamp(&event, received_at, &EventWindow::default());
                if matches.last().is_none_or(|(last, _)| *last != stamp.match_id) {
                    matches.push((stamp.match_id, stamp.map_name.to_string()));
                }
            }
        }
    }
    server.assert_no_errors();
    let maps: Vec<&str> = matches.iter().map(|(_, map)| map.as_str()).collect();
    assert_eq!(maps, ["obj/obj_team2", "obj/obj_team1"]);
}

#[test]
fn the_next_map_is_another_match() {
    let server = Server::playing("dm/mohdm1", "2");
    server.pass(100.0);
    server.leave_level(true);
    server.load_map("dm/mohdm2");
    let events = server.take_events();
    server.assert_no_errors();
    let events: Vec<Event> =
        events.into_iter().filter(|event| event.event_type != EventType::Heartbeat).collect();
    assert_eq!(types(&events), ["match_start", "match_end", "match_start"]);
    assert_eq!(events[0].source_match_id, events[1].source_match_id);
    assert_ne!(events[1].source_match_id, events[2].source_match_id);
    assert_eq!((events[1].map_name.as_str(), events[2].map_name.as_str()), ("dm/mohdm1", "dm/mohdm2"));
    assert!(events[2].level_time.is_some_and(|seconds| seconds < 1.0));
}

#[test]
fn a_restart_outside_of_rounds_is_another_match() {
    let server = Server::playing("dm/mohdm1", "2");
    server.leave_level(false);
    server.load_map("dm/mohdm1");
    let events = server.take_events();
    assert_eq!(types(&events), ["match_start", "match_end", "match_start"]);
    assert_ne!(events[0].source_match_id, events[2].source_match_id);
}

#[test]
fn a_match_ends_once_however_many_events_say_so() {
    let server = Server::playing("dm/mohdm1", "2");
    server.tell("match_end", None, &["dm/mohdm1".into(), Value::Integer(2), Value::Integer(4)]);
    server.tell("level_intermission", None, &[]);
    server.tell("intermission_start", None, &[]);
    server.tell("map_change_start", None, &["dm/mohdm1".into(), "dm/mohdm2".into()]);
    server.leave_level(true);
    let events = server.take_events();
    assert_eq!(types(&events), ["match_start", "match_end"]);
    assert_eq!(events[1].winning_team, Team::Axis);
    server.assert_no_errors();
}

#[test]
fn a_round_is_told_once_by_engines_that_tell_it_twice() {
    let server = Server::playing("obj/obj_team1", "4");
    server.tell("round_start", None, &[]);
    server.machine.happen("roundstart");
    server.tell("team_win", None, &[Value::Integer(3)]);
    server.machine.happen("allieswin");
    server.tell("round_end", None, &[]);
    let events = server.take_events();
    assert_eq!(types(&events), ["match_start", "round_start", "round_end"]);
    assert_eq!((events[2].winning_team, events[2].allies_score), (Team::Allies, Some(1)));
    server.assert_no_errors();
}

#[test]
fn kills_are_the_score_of_team_deathmatch() {
    let server = Server::playing("dm/mohdm1", "2");
    let anna = server.connect(0, b"Anna", "allies");
    let bert = server.connect(1, b"Bert", "axis");
    let carl = server.connect(2, b"Carl", "axis");
    for _ in 0..3 {
        server.kill(Value::Listener(Some(anna)), bert, 18, 3);
    }
    server.kill(Value::Listener(Some(bert)), anna, 18, 3);
    // Neither a team kill nor a suicide.
    server.kill(Value::Listener(Some(bert)), carl, 18, 3);
    server.kill(Value::Listener(Some(bert)), bert, 1, -1);
    server.tell("level_intermission", None, &[]);
    let events = server.take_events();
    let end = events.last().expect("a match_end");
    assert_eq!((end.allies_score, end.axis_score, end.winning_team), (Some(3), Some(1), Team::Allies));
    server.assert_no_errors();
}

#[test]
fn there_is_a_heartbeat_every_thirty_seconds() {
    let server = Server::playing("dm/mohdm1", "2");
    server.connect(0, b"Anna", "allies");
    server.take_all();
    server.pass(118.0);
    let beats: Vec<Event> =
        server.take_events().into_iter().filter(|event| event.event_type == EventType::Heartbeat).collect();
    let times: Vec<f64> = beats.iter().filter_map(|beat| beat.level_time).collect();
    assert_eq!(times, [30.0, 60.0, 90.0, 120.0]);
    assert!(beats.iter().all(|beat| beat.player_count == Some(1)));
}

/// Events of one request are simultaneous to the service, and of two scores the older could win.
#[test]
fn a_heartbeat_never_shares_a_request_with_the_score_that_follows_it() {
    let server = Server::playing("obj/obj_team1", "4");
    server.machine.happen("roundstart");
    server.pass(40.0);
    server.take_all();
    // The second heartbeat, and within the same two seconds a won round and the end of the match.
    server.pass(60.5 - f64::from(server.machine.seconds()));
    server.machine.happen("axiswin");
    server.leave_level(true);
    let requests = server.take_all();
    let scores: Vec<Vec<(String, Option<i32>)>> = requests
        .iter()
        .map(|request| {
            let events = request.events();
            let told = events.iter().filter(|event| event.axis_score.is_some());
            told.map(|event| (event.source_type.to_string(), event.axis_score)).collect()
        })
        .collect();
    assert_eq!(
        scores,
        [
            vec![("heartbeat".to_owned(), Some(0))],
            vec![("round_end".to_owned(), Some(1)), ("match_end".to_owned(), Some(1))]
        ]
    );
    server.assert_no_errors();
}

#[test]
fn two_servers_never_call_their_matches_the_same() {
    let first = Server::playing("dm/mohdm1", "2");
    let second = Server::new();
    second.set_cvar("net_port", "12204");
    second.load_map("dm/mohdm1");
    let ids = [first, second].map(|server| server.take_events()[0].source_match_id.clone());
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn maps_that_start_the_script_twice_start_it_once() {
    let server = Server::playing("dm/mohdm1", "2");
    server.machine.start("global/tracker.scr", "", Value::Nil, &[]);
    server.connect(0, b"Anna", "allies");
    assert_eq!(types(&server.take_events()), ["match_start", "connect"]);
    server.assert_no_errors();
}

#[test]
fn without_a_token_nothing_is_sent_and_the_console_says_why() {
    let server = Server::new();
    server.set_cvar("tracker_token", "");
    server.load_map("dm/mohdm1");
    server.connect(0, b"Anna", "allies");
    server.pass(60.0);
    assert!(server.request().is_none());
    assert!(server.printed()[0].contains("there is no token"), "{:?}", server.printed());
}

#[test]
fn an_engine_that_tells_of_less_is_told_so_and_sends_the_rest() {
    let server = Server::new();
    server.forget_event("player_land");
    server.forget_event("weapon_hit");
    server.forget_event("level_exit");
    server.load_map("dm/mohdm1");
    server.connect(0, b"Anna", "allies");
    assert_eq!(types(&server.take_events()), ["match_start", "connect"]);
    let printed = server.printed().join("\n");
    assert!(printed.contains("does not tell of level_exit weapon_hit player_land"), "{printed}");
    server.assert_no_errors();
}

/// Its compiler refuses the files that name the command.
#[test]
fn an_engine_that_can_not_post_says_so_and_plays_on() {
    let server = Server::with_scripts(&["tracker.scr", "tracker_events.scr", "DMprecache.scr"]);
    server.load_map("dm/mohdm1");
    server.connect(0, b"Anna", "allies");
    server.pass(60.0);
    server.leave_level(true);
    assert!(server.request().is_none());
    assert_eq!(server.printed(), ["tracker: this engine has no curl_post. Nothing will be sent."]);
    server.assert_no_errors();
}
