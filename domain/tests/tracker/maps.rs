//! Maps and game types: learned, carried forward, announced.

use mohaa_domain::event::Event;
use mohaa_domain::tracker::QueriedLevel;
use mohaa_domain::tracker::map_name::normalise;
use mohaa_domain::vocabulary::{EventType, GameType};

use crate::{Described, Server, at, event, jump};

fn map_change(to_map: &str) -> Event {
    Event { extra: format!(r#"{{"to_map":"{to_map}"}}"#), ..event(EventType::MapChangeStart).map(to_map) }
}

fn queried(asked_at: f64, map_name: &str) -> QueriedLevel {
    QueriedLevel { asked_at: at(asked_at), map_name: map_name.into(), game_type: GameType::TeamDeathmatch }
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

#[test]
fn what_a_server_answered_counts_from_the_next_event_of_the_level_on() {
    let mut server = Server::start();
    server.receives(100.0, &jump(90.0));
    server.tracker.set_queried(queried(105.0, "dm/mohdm3"));
    let before_the_question = server.receives(106.0, &jump(94.0));
    assert_eq!(before_the_question.map_name, "", "it does not show that the level was still played");
    let stamp = server.receives(107.0, &jump(97.0));
    assert_eq!((stamp.map_name.as_str(), stamp.game_type), ("dm/mohdm3", GameType::TeamDeathmatch));
    assert_eq!(server.receives(108.0, &jump(94.0)).map_name, "dm/mohdm3");
    assert_eq!(server.tracker.current_match(at(108.0)).unwrap().map_name, "dm/mohdm3");
}

#[test]
fn an_answer_says_nothing_of_the_level_after_it() {
    let mut server = Server::start();
    server.receives(100.0, &jump(90.0));
    server.tracker.set_queried(queried(105.0, "dm/mohdm3"));
    assert_eq!(server.receives(160.0, &jump(5.0)).map_name, "");
    server.tracker.set_queried(queried(165.0, "obj/obj_team2"));
    assert_eq!(server.receives(166.0, &jump(11.0)).map_name, "obj/obj_team2");
}

#[test]
fn an_answer_that_came_before_the_levels_first_event_counts_for_it() {
    let mut server = Server::start();
    server.receives(100.0, &jump(90.0).map("dm/mohdm1"));
    server.tracker.set_queried(queried(130.0, "dm/mohdm3"));
    assert_eq!(server.receives(131.0, &jump(120.5)).map_name, "dm/mohdm1", "its own map wins");
    assert_eq!(server.receives(135.0, &jump(8.0)).map_name, "dm/mohdm3");
}

#[test]
fn what_events_say_wins_over_an_answer() {
    let mut server = Server::start();
    server.receives(100.0, &jump(90.0));
    server.tracker.set_queried(queried(105.0, "dm/mohdm3"));
    server.receives(107.0, &jump(97.0));
    let own = server.receives(108.0, &jump(98.0).map("dm/mohdm4").game_type(GameType::Objective));
    assert_eq!((own.map_name.as_str(), own.game_type), ("dm/mohdm4", GameType::Objective));
    server.tracker.set_queried(queried(110.0, "dm/mohdm3"));
    let next = server.receives(115.0, &jump(105.0));
    assert_eq!((next.map_name.as_str(), next.game_type), ("dm/mohdm4", GameType::Objective));
}

#[test]
fn a_match_without_a_clock_is_what_the_server_answered_within_the_last_minute() {
    let mut server = Server::start();
    let clockless = event(EventType::Kill);
    server.receives(0.0, &clockless);
    server.tracker.set_queried(queried(1.0, "dm/mohdm3"));
    assert_eq!(server.receives(30.0, &clockless).map_name, "dm/mohdm3");
    server.tracker.set_queried(queried(31.0, "dm/mohdm4"));
    assert_eq!(server.receives(32.0, &clockless).map_name, "dm/mohdm4");
    let mut silent = Server::start();
    silent.receives(0.0, &clockless);
    silent.tracker.set_queried(queried(1.0, "dm/mohdm3"));
    assert_eq!(silent.receives(62.0, &clockless).map_name, "");
    let mut later = Server::start();
    later.tracker.set_queried(queried(1.0, "dm/mohdm3"));
    assert_eq!(later.receives(2.0, &clockless).map_name, "", "it may have been played before");
}

#[test]
fn an_answer_survives_a_restart_by_the_stamps_it_has_made() {
    let mut server = Server::start();
    let (first, second) = (jump(90.0), jump(97.0));
    let stamps = [server.receives(100.0, &first), {
        server.tracker.set_queried(queried(105.0, "dm/mohdm3"));
        server.receives(107.0, &second)
    }];
    let mut restarted = Server::start();
    assert!(restarted.tracker.resume(&first, &stamps[0]) && restarted.tracker.resume(&second, &stamps[1]));
    let stamp = restarted.receives(110.0, &jump(100.0));
    assert_eq!((stamp.map_name.as_str(), stamp.game_type), ("dm/mohdm3", GameType::TeamDeathmatch));
}
