//! Where each field goes, and which of several wins.

use mohaa_domain::event::Player;
use mohaa_domain::vocabulary::Team;
use serde_json::json;

use crate::{decode, extra, json_event, only};

#[test]
fn a_number_is_never_a_weapons_name() {
    let weapon = |fields: &str| {
        let event = json_event("kill", fields);
        (event.weapon_name.to_string(), event.means_of_death.to_string())
    };
    let pair = |name: &str, means: &str| (name.to_owned(), means.to_owned());
    assert_eq!(weapon(r#""weapon":"18","inflictor":"Thompson""#), pair("Thompson", "bullet"));
    assert_eq!(weapon(r#""weapon":18.000,"inflictor":"world""#), pair("", "bullet"));
    assert_eq!(weapon(r#""weapon":"99""#), pair("", "99"));
    assert_eq!(weapon(r#""weapon":"18","mod":"gib""#), pair("", "gib"));
    assert_eq!(weapon(r#""weapon":"BAR","inflictor":"Thompson""#), pair("BAR", ""));
    assert_eq!(weapon(r#""inflictor":"Thompson""#), pair("Thompson", ""));
    assert_eq!(weapon(r#""inflictor":"23""#), pair("", ""));
}

#[test]
fn field_aliases_reach_the_same_place() {
    for key in ["item", "item_name"] {
        assert_eq!(json_event("item_pickup", &format!(r#""{key}":"Medkit""#)).item, "Medkit");
    }
    for (fired, hit) in [("shots_fired", "shots_hit"), ("fired", "hits")] {
        let event = json_event("accuracy_summary", &format!(r#""{fired}":150,"{hit}":"67""#));
        assert_eq!((event.shots_fired, event.shots_hit), (Some(150), Some(67)));
    }
    for key in ["is_team", "team_only"] {
        for (value, flag) in
            [("1", true), ("0", false), ("\"1\"", true), ("true", true), ("\"false\"", false)]
        {
            assert_eq!(json_event("chat", &format!(r#""{key}":{value}"#)).team_only, Some(flag), "{value}");
        }
    }
    for key in ["maxclients", "max_clients"] {
        assert_eq!(json_event("match_start", &format!(r#""{key}":"20""#)).max_clients, Some(20));
    }
    assert_eq!(json_event("objective_capture", r#""capturing_team":"axis""#).player.team, Team::Axis);
    assert_eq!(extra(&json_event("health_pickup", r#""amount":25"#)), json!({"amount": 25}));
}

#[test]
fn the_surest_name_of_the_map_wins_whatever_the_order() {
    for key in ["map_name", "map", "current_map", "to_map"] {
        assert_eq!(json_event("map_start", &format!(r#""{key}":"obj/obj_team2""#)).map_name, "obj/obj_team2");
    }
    for fields in [r#""current_map":"a","to_map":"b""#, r#""to_map":"b","current_map":"a""#] {
        let event = json_event("map_change_start", fields);
        assert_eq!(event.map_name, "a");
        assert_eq!(extra(&event), json!({"current_map": "a", "to_map": "b"}));
    }
}

#[test]
fn every_prefix_names_a_player() {
    for (prefix, is_target) in
        [("player", false), ("attacker", false), ("killer", false), ("victim", true), ("target", true)]
    {
        let event = only(format!(
            "type=weapon_hit&{prefix}_name=N&{prefix}_guid=G&{prefix}_smf_id=7&{prefix}_team=axis&{prefix}_x=1&{prefix}_y=2&{prefix}_z=3&{prefix}_pitch=4&{prefix}_yaw=5&{prefix}_stance=prone"
        ));
        let block = if is_target { &event.target } else { &event.player };
        assert_eq!(
            (block.name.as_str(), block.guid.as_str(), block.member_id.as_str(), block.team),
            ("N", "G", "7", Team::Axis)
        );
        assert_eq!(
            (block.x, block.y, block.z, block.pitch, block.yaw),
            (Some(1.0), Some(2.0), Some(3.0), Some(4.0), Some(5.0))
        );
        assert_eq!(block.stance, "prone");
    }
}

#[test]
fn a_member_id_of_zero_is_none() {
    for absent in ["0", "-1", "", "0.000"] {
        let event = json_event("jump", &format!(r#""player_smf_id":"{absent}""#));
        assert_eq!((event.player.member_id.as_str(), event.extra.as_str()), ("", ""), "{absent}");
    }
    assert_eq!(json_event("jump", r#""player_smf_id":"42.000""#).player.member_id, "42");
    assert_eq!(json_event("jump", r#""player_member_id":1000000001"#).player.member_id, "1000000001");
    let decoded = decode(r#"{"type":"jump","player_smf_id":"x"}"#);
    assert_eq!((decoded.unreadable_fields, extra(&decoded.events[0])), (1, json!({"player_smf_id": "x"})));
}

#[test]
fn tools_nest_the_players() {
    let event = json_event(
        "kill",
        r#""attacker":{"guid":"42","name":"A","smf_id":42,"team":"american"},"victim":{"guid":"unauth_3","name":"V","team":"axis"}"#,
    );
    assert_eq!(
        (
            event.player.name.as_str(),
            event.player.guid.as_str(),
            event.player.member_id.as_str(),
            event.player.team
        ),
        ("A", "42", "42", Team::Allies)
    );
    assert_eq!(
        (event.target.name.as_str(), event.target.guid.as_str(), event.target.team),
        ("V", "unauth_3", Team::Axis)
    );
    assert_eq!(extra(&event)["attacker"]["team"], "american");
    let event = json_event("chat", r#""player":{"guid":"42","name":"A","smf_id":null}"#);
    assert_eq!((event.player.guid.as_str(), event.player.member_id.as_str()), ("42", ""));
    let decoded = decode(r#"{"type":"chat","player":{"guid":"NIL","name":NIL,"team":"purple","x":"nan"}}"#);
    assert_eq!((decoded.events[0].player.clone(), decoded.unreadable_fields), (Player::default(), 4));
    assert_eq!(extra(&decoded.events[0])["player"]["team"], "purple");
    assert_eq!(json_event("bot_spawn", r#""bot":{"name":"bot_1"}"#).player.name, "bot_1");
    let event = json_event("bot_killed", r#""bot":{"name":"bot_1"},"attacker":{"name":"A"}"#);
    assert_eq!((event.player.name.as_str(), event.target.name.as_str()), ("A", "bot_1"));
}

#[test]
fn the_type_says_who_acted() {
    let names = |event_type: &str, prefixes: &[&str]| {
        let fields: Vec<String> =
            prefixes.iter().map(|prefix| format!(r#""{prefix}_name":"{prefix}""#)).collect();
        let event = json_event(event_type, &fields.join(","));
        (event.player.name.to_string(), event.target.name.to_string(), extra(&event).to_string())
    };
    for (event_type, prefixes, player, target, kept) in [
        ("kill", &["attacker", "victim"][..], "attacker", "victim", "{}"),
        ("player_teamkill", &["killer", "victim"], "killer", "victim", "{}"),
        ("kill", &["victim"], "", "victim", "{}"),
        ("player_bash", &["attacker", "player"], "attacker", "player", "{}"),
        ("player_pain", &["attacker", "player"], "attacker", "player", "{}"),
        ("player_pain", &["player"], "", "player", "{}"),
        ("weapon_hit", &["player", "target"], "player", "target", "{}"),
        ("headshot", &["player", "victim"], "player", "victim", "{}"),
        ("headshot", &["attacker", "victim"], "attacker", "victim", "{}"),
        ("headshot", &["attacker", "player"], "attacker", "", r#"{"player_name":"player"}"#),
        ("death", &["player"], "player", "", "{}"),
        ("death", &["victim"], "victim", "", "{}"),
        ("death", &["player", "attacker"], "player", "", r#"{"attacker_name":"attacker"}"#),
        ("death", &["victim", "attacker"], "victim", "", r#"{"attacker_name":"attacker"}"#),
        ("player_suicide", &["victim"], "victim", "", "{}"),
        ("vehicle_enter", &["player", "target"], "player", "target", "{}"),
        ("kill", &["attacker", "player", "victim"], "attacker", "victim", r#"{"player_name":"player"}"#),
    ] {
        let expected = (player.to_owned(), target.to_owned(), kept.to_owned());
        assert_eq!(names(event_type, prefixes), expected, "{event_type} {prefixes:?}");
    }
}

#[test]
fn the_team_of_an_event_without_players_won_it() {
    for event_type in ["team_win", "round_end"] {
        let event = json_event(event_type, r#""team":"axis""#);
        assert_eq!((event.winning_team, event.player.team), (Team::Axis, Team::Unknown));
    }
}

#[test]
fn a_team_change_leads_to_the_new_team() {
    let event = json_event("team_change", r#""player_team":"allies","old_team":"allies","new_team":"axis""#);
    assert_eq!(event.player.team, Team::Axis);
    assert_eq!(extra(&event), json!({"old_team": "allies", "new_team": "axis", "player_team": "allies"}));
    assert_eq!(json_event("team_join", r#""team":"german""#).player.team, Team::Axis);
}

#[test]
fn a_distance_without_its_kinds_was_walked() {
    let walked = |fields: &str| json_event("distance", fields).walked;
    assert_eq!(walked(r#""delta_distance":50,"distance":900"#), Some(50.0));
    assert_eq!(walked(r#""distance":50"#), Some(50.0));
    assert_eq!(walked(r#""distance":900,"total_distance":900"#), None);
    assert_eq!(walked(r#""swam":5,"delta_distance":50"#), None);
    assert_eq!(json_event("jump", r#""delta_distance":50"#).walked, None);
}

#[test]
fn placeholder_ids_name_nothing() {
    for (id, extra) in [
        ("no_match", r#"{"match_id":"no_match"}"#),
        ("match_sess_0.000_0.000", r#"{"match_id":"match_sess_0.000_0.000"}"#),
        ("", ""),
    ] {
        let event = json_event("jump", &format!(r#""match_id":"{id}","session_id":"sess_0.000""#));
        assert_eq!(
            (event.source_match_id.as_str(), event.session_id.as_str(), event.extra.as_str()),
            ("", "sess_0.000", extra)
        );
    }
}

#[test]
fn a_name_that_begins_or_ends_like_the_one_expected_is_another() {
    let decoded = decode(
        r#"[{"type":"kill","map":"a","session_id":"1"},{"type":"kill","map_name":"b","session_id":"2"},
            {"type":"kill","map":"c","session_id":"3"},{"type":"kill","mapx":"d","session_id":"4"}]"#,
    );
    let read: Vec<(&str, &str)> =
        decoded.events.iter().map(|event| (event.map_name.as_str(), event.session_id.as_str())).collect();
    assert_eq!(read, [("a", "1"), ("b", "2"), ("c", "3"), ("", "4")]);
    assert_eq!(extra(&decoded.events[3]), json!({"mapx": "d"}));
}

#[test]
fn a_field_that_begins_like_the_one_before_it_may_hold_another_kind_of_value() {
    let decoded = decode(
        r#"[{"type":"distance", "walked": "1.5", "session_id": "1"},{"type":"distance", "walked": 2.5, "session_id": "2"},
            {"type":"distance", "walked":   "3.5" , "session_id":"3"},{"type":"distance", "walked": null, "session_id": "4"},
            {,"type":"distance", "walked": "5.5", "session_id": "5"}]"#,
    );
    let read: Vec<(Option<f32>, &str)> =
        decoded.events.iter().map(|event| (event.walked, event.session_id.as_str())).collect();
    assert_eq!(read, [(Some(1.5), "1"), (Some(2.5), "2"), (Some(3.5), "3"), (None, "4"), (Some(5.5), "5")]);
    assert_eq!(decoded.unreadable_fields, 0);
}

#[test]
fn a_comma_that_is_missing_breaks_an_event_however_the_ones_before_it_were() {
    let decoded = decode(
        r#"[{"type":"kill","map":"a"},{"other":1,"type":"kill","map":"b"},{"type":"kill" "map":"c"},
            {"other":1 "type":"kill","map":"d"},{"type":"kill","map":"e"}]"#,
    );
    let maps: Vec<&str> = decoded.events.iter().map(|event| event.map_name.as_str()).collect();
    let rejected: Vec<usize> = decoded.rejected.iter().map(|rejected| rejected.index).collect();
    assert_eq!((maps, rejected), (vec!["a", "b", "e"], vec![2, 3]));
}

#[test]
fn nul_is_taken_out_of_texts_and_what_came_is_kept() {
    for message in ["a\0b", r"a\u0000b"] {
        let event = json_event("chat", &format!(r#""player_name":"x","message":"{message}""#));
        assert_eq!((event.player.name.as_str(), event.message.as_str()), ("x", "ab"));
        assert_eq!(extra(&event), json!({"message": "a\0b"}));
    }
}
