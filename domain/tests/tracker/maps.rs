//! Maps and game types: learned, carried forward, announced.

use mohaa_domain::event::Event;
use mohaa_domain::tracker::map_name::normalise;
use mohaa_domain::vocabulary::{EventType, GameType};

use crate::{Described, Server, event, jump};

fn map_change(to_map: &str) -> Event {
    Event { extra: format!(r#"{{"to_map":"{to_map}"}}"#), ..event(EventType::MapChangeStart).map(to_map) }
}

#[test]
fn a_map_is_carried_forward_within_its_match() {
    let mut server = Server::start();
    assert_eq!(server.receives(0.0, &jump(0.0)).map_name, "");
    let start = event(EventType::MatchStart).level(1.0).map("dm/mohdm1").game_type(GameType::Rounds);
    server.receives(1.0, &start);
    let stamp = server.receives(2.0, &jump(2.0));
    assert_eq!((stamp.map_name.as_str(), stamp.game_type), ("dm/mohdm1", GameType::Rounds));
    let after_reload = server.receives(60.0, &jump(0.0));
    assert_eq!((after_reload.map_name.as_str(), after_reload.game_type), ("", GameType::Unknown));
}

#[test]
fn an_events_own_map_and_game_type_win_and_are_learned() {
    let mut server = Server::start();
    server.receives(0.0, &jump(0.0).map("dm/mohdm1").game_type(GameType::FreeForAll));
    let own = server.receives(1.0, &jump(1.0).map("dm/mohdm2").game_type(GameType::Objective));
    assert_eq!((own.map_name.as_str(), own.game_type), ("dm/mohdm2", GameType::Objective));
    let next = server.receives(2.0, &jump(2.0));
    assert_eq!((next.map_name.as_str(), next.game_type), ("dm/mohdm2", GameType::Objective));
}

#[test]
fn a_late_event_has_the_map_of_its_own_match() {
    let mut server = Server::start();
    server.receives(100.0, &jump(100.0).map("dm/mohdm1"));
    server.receives(200.0, &jump(0.0).map("dm/mohdm2"));
    assert_eq!(server.receives(201.0, &jump(199.0)).map_name, "dm/mohdm1");
    assert_eq!(server.receives(202.0, &jump(2.0)).map_name, "dm/mohdm2");
}

#[test]
fn the_map_a_server_changes_to_is_that_of_the_next_match() {
    let mut server = Server::start();
    server.receives(300.0, &jump(300.0).map("dm/mohdm1"));
    assert_eq!(server.receives(301.0, &map_change("obj/obj_team2")).map_name, "dm/mohdm1");
    assert_eq!(server.receives(302.0, &jump(302.0)).map_name, "dm/mohdm1");
    assert_eq!(server.receives(320.0, &jump(0.5)).map_name, "obj/obj_team2");
    assert_eq!(server.receives(400.0, &jump(0.5)).map_name, "", "an announcement is used once");
}

#[test]
fn an_announcement_that_nothing_followed_is_forgotten() {
    let mut server = Server::start();
    server.receives(300.0, &jump(300.0));
    server.receives(301.0, &map_change("obj/obj_team2"));
    assert_eq!(server.receives(900.0, &jump(0.5)).map_name, "");
}

#[test]
fn a_map_change_that_names_the_running_map_too_teaches_both() {
    let mut server = Server::start();
    let change = Event { map_name: "dm/mohdm1".into(), ..map_change("dm/mohdm7") };
    assert_eq!(server.receives(300.0, &change.level(300.0)).map_name, "dm/mohdm1");
    assert_eq!(server.receives(350.0, &jump(0.0)).map_name, "dm/mohdm7");
}

#[test]
fn a_named_match_knows_the_map_that_was_said_before_it_on_the_same_load() {
    let mut server = Server::start();
    server.receives(0.0, &jump(300.0).map("dm/mohdm1"));
    server
        .receives(10.0, &event(EventType::MapStart).level(0.05).map("dm/mohdm2").game_type(GameType::Rounds));
    let named = server.receives(10.1, &event(EventType::MatchStart).level(0.1).named("match_b"));
    assert_eq!((named.map_name.as_str(), named.game_type), ("dm/mohdm2", GameType::Rounds));
    let other_load = server.receives(80.0, &jump(0.1).named("match_c"));
    assert_eq!(other_load.map_name, "");
}

#[test]
fn spellings_of_a_map_are_one_map() {
    for sent in ["dm/mohdm1", " DM/MOHDM1 ", "maps/dm/mohdm1.bsp", "Maps/dm/mohdm1.BSP", "/dm/mohdm1/"] {
        assert_eq!(normalise(sent), "dm/mohdm1", "{sent:?}");
    }
    for sent in ["", "  ", ".bsp", "maps/", "a\nb", &"x".repeat(65)] {
        assert_eq!(normalise(sent), "", "{sent:?}");
    }
    assert_eq!(normalise("ü.bsp"), "ü");
    assert_eq!(normalise("äöü"), "äöü");
}
