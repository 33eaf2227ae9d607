//! login, claim and stats.

use mohaa_domain::vocabulary::EventType;
use mohaa_morpheus::{Entity, Value};

use crate::server::Server;

const VERIFIED: &str =
    r#"{"valid":true,"forum_user_id":1000000017,"member_name":"x\",\"forum_user_id\":1","player_guid":"3"}"#;

fn playing() -> (Server, Entity) {
    let server = Server::playing("dm/mohdm1", "2");
    let player = server.connect(3, b"Anna", "allies");
    server.take_all();
    (server, player)
}

fn logged_in() -> (Server, Entity) {
    let (server, player) = playing();
    server.command("login", player, "K7WQ2MXHT");
    server.answer(200, VERIFIED);
    server.told(player);
    server.take_all();
    (server, player)
}

#[test]
fn a_login_asks_the_service_and_names_the_player_from_then_on() {
    let (server, player) = playing();
    server.command("login", player, "K7W\"Q2");
    let request = server.answer(200, VERIFIED);
    assert_eq!(request.url, "http://stats.example.org:8080/api/v1/auth/verify");
    assert_eq!(String::from_utf8_lossy(&request.body), r#"{"token":"K7W\"Q2","player_guid":"3"}"#);
    server.say(player, b"hello");
    let events = server.take_events();
    assert_eq!(events[0].event_type, EventType::PlayerAuth);
    for event in &events {
        assert_eq!(
            (event.player.guid.as_str(), event.player.member_id.as_str()),
            ("1000000017", "1000000017")
        );
    }
    assert!(server.told(player)[0].contains("logged in"));
    server.assert_no_errors();
}

#[test]
fn a_wrong_code_changes_nothing() {
    for (status, body) in [
        (401, r#"{"valid":false,"error":"…","code":"unknown_code"}"#),
        (429, r#"{"error":"…","code":"too_many"}"#),
        (503, ""),
        (0, "Timeout was reached"),
        (200, "{}"),
        (200, r#"{"valid":true,"forum_user_id":0}"#),
        (200, r#"{"valid":true,"forum_user_id":"#),
    ] {
        let (server, player) = playing();
        server.command("login", player, "K7WQ2MXHT");
        server.answer(status, body);
        server.say(player, b"hello");
        assert_eq!(server.take_events()[0].player.guid, "unauth_3", "{status} {body}");
        assert_eq!(server.told(player).len(), 1);
        server.assert_no_errors();
    }
}

#[test]
fn an_answer_for_somebody_who_left_is_nobodys() {
    let (server, player) = playing();
    server.command("login", player, "K7WQ2MXHT");
    server.leave(3);
    let other = server.connect(3, b"Bert", "axis");
    server.answer(200, VERIFIED);
    server.say(other, b"hello");
    let events = server.take_events();
    assert!(events.iter().all(|event| event.player.member_id.is_empty()));
    server.assert_no_errors();
}

#[test]
fn two_who_log_in_at_once_never_get_each_others_answer() {
    let (server, anna) = playing();
    let bert = server.connect(4, b"Bert", "axis");
    server.take_all();
    server.command("login", anna, "AAAA");
    server.command("login", bert, "BBBB");
    assert!(server.told(bert)[0].contains("Try again"));
    server.answer(200, VERIFIED);
    assert!(server.request().is_none());
    server.say(bert, b"hello");
    let events = server.take_events();
    let chat = events.iter().find(|event| event.event_type == EventType::Chat).expect("one");
    assert_eq!(chat.player.guid, "unauth_4");
}

#[test]
fn a_login_holds_over_maps_and_not_for_who_takes_the_slot() {
    let (server, _) = logged_in();
    server.leave_level(true);
    server.load_map("dm/mohdm2");
    let again = server.connect(3, b"Anna", "allies");
    server.say(again, b"hello");
    let events = server.take_events();
    assert_eq!(events.last().expect("chat").player.guid, "1000000017");

    server.leave(3);
    let same_name = server.connect(3, b"Anna", "allies");
    server.say(same_name, b"hello");
    assert_eq!(server.take_events().last().expect("chat").player.guid, "unauth_3");

    // Who left while the map changed was not told of.
    let (server, _) = logged_in();
    server.leave_level(true);
    server.load_map("dm/mohdm2");
    let stranger = server.connect(3, b"Bert", "allies");
    server.say(stranger, b"hello");
    assert_eq!(server.take_events().last().expect("chat").player.guid, "unauth_3");
    server.assert_no_errors();
}

#[test]
fn whoever_takes_name_and_slot_of_somebody_logged_in_is_not_them() {
    let (server, _) = logged_in();
    server.leave_level(true);
    server.load_map("dm/mohdm2");
    server.set_address(3, "198.51.100.7:12203");
    let impostor = server.connect(3, b"Anna", "allies");
    server.say(impostor, b"hello");
    assert_eq!(server.take_events().last().expect("chat").player.guid, "unauth_3");

    // And whom they took it from logs in again.
    server.leave_level(true);
    server.load_map("dm/mohdm3");
    server.set_address(3, "192.0.2.3:12203");
    let anna = server.connect(3, b"Anna", "allies");
    server.say(anna, b"hello");
    assert_eq!(server.take_events().last().expect("chat").player.guid, "unauth_3");
    server.assert_no_errors();
}

#[test]
fn a_claim_is_an_event_that_holds_the_code() {
    let (server, player) = playing();
    server.command("claim", player, "K7WQ2MXHT");
    let events = server.take_events();
    assert_eq!(events[0].event_type, EventType::IdentityClaim);
    assert_eq!(events[0].claim_code.as_str(), "K7WQ2MXHT");
    assert_eq!(events[0].player.guid, "unauth_3");
    server.assert_no_errors();
}

#[test]
fn codes_in_chat_are_read_by_nobody_else() {
    let (server, player) = playing();
    assert!(server.say(player, b"!claim K7WQ2MXHT").equals(&Value::Integer(0)));
    let events = server.take_events();
    assert_eq!((events[0].event_type, events[0].claim_code.as_str()), (EventType::Chat, "K7WQ2MXHT"));

    assert!(server.say(player, b"!login K7WQ2MXHT").equals(&Value::Integer(0)));
    let request = server.answer(200, VERIFIED);
    assert!(String::from_utf8_lossy(&request.body).contains("K7WQ2MXHT"));
    let events = server.take_events();
    assert!(events.iter().all(|event| event.event_type != EventType::Chat));

    for line in ["hello", "claim it", "!", "!claims", "!loginx", "! login", ""] {
        assert!(matches!(server.say(player, line.as_bytes()), Value::Nil), "{line}");
    }
    server.assert_no_errors();
}

#[test]
fn stats_are_shown_to_who_is_logged_in() {
    let (server, player) = playing();
    server.say(player, b"!stats");
    assert!(server.told(player)[0].contains("Log in first"));
    assert!(server.request().is_none());

    let (server, player) = logged_in();
    server.command("stats", player, "");
    let answer = r#"{"player_id":"1000000017","total_kills":129,"total_deaths":61,"kd_ratio":1.97}"#;
    let request = server.answer(200, answer);
    assert_eq!(request.url, "http://stats.example.org:8080/api/v1/stats/member/1000000017");
    assert_eq!(server.told(player), ["Kills: 129  Deaths: 61"]);

    server.command("stats", player, "");
    server.answer(404, "");
    assert!(server.told(player)[0].contains("nothing about you"));
    server.command("stats", player, "");
    server.answer(0, "");
    assert!(server.told(player)[0].contains("can't be read"));
    server.assert_no_errors();
}

#[test]
fn commands_without_a_code_say_what_is_missing() {
    let (server, player) = playing();
    server.command("login", player, "");
    server.command("claim", player, "");
    let told = server.told(player);
    assert!(told[0].starts_with("login CODE") && told[1].starts_with("claim CODE"), "{told:?}");
    assert!(server.request().is_none());
}
