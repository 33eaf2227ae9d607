//! Types, teams, hit locations and means of death by all their names.

use mohaa_domain::vocabulary::{EventType, GameType, HIT_LOCATIONS, MEANS_OF_DEATH, Team};
use serde_json::json;

use crate::{decode, extra, json_event, only};

#[test]
fn every_alias_means_its_canonical_type() {
    let aliases = [
        ("player_kill", "kill"),
        ("player_damage", "damage"),
        ("player_pain", "damage"),
        ("weapon_reload", "reload"),
        ("weapon_reload_done", "reload"),
        ("player_spawn", "spawn"),
        ("player_respawn", "spawn"),
        ("client_begin", "spawn"),
        ("team_join", "team_change"),
        ("player_connect", "connect"),
        ("player_connected", "connect"),
        ("player_disconnect", "disconnect"),
        ("player_disconnecting", "disconnect"),
        ("player_say", "chat"),
        ("player_textMessage", "chat"),
        ("player_textmessage", "chat"),
        ("player_distance", "distance"),
        ("player_movement", "distance"),
        ("player_jump", "jump"),
        ("player_land", "land"),
        ("player_crouch", "crouch"),
        ("KILL", "kill"),
        (" jump ", "jump"),
    ];
    for (name, canonical) in aliases {
        let event = only(format!(r#"{{"type":"{name}"}}"#));
        assert_eq!(event.event_type.as_str(), canonical, "{name}");
        assert_eq!(event.source_type, name.trim());
    }
    for event_type in EventType::ALL {
        assert_eq!(EventType::parse(event_type.as_str()), *event_type);
    }
}

#[test]
fn an_unknown_type_is_an_event_under_its_own_name() {
    for name in ["vehicle_enter", "player_death", "Ünïcode", "{}"] {
        let event = only(format!(r#"{{"type":"{name}"}}"#));
        assert_eq!((event.event_type, event.source_type.as_str()), (EventType::Other, name));
    }
    let long = "é".repeat(100);
    let event = only(format!(r#"{{"type":"{long}"}}"#));
    assert_eq!(event.source_type, "é".repeat(64));
    assert_eq!(extra(&event), json!({"type": long}));
}

#[test]
fn teams_have_many_names() {
    for (text, team) in [
        ("american", Team::Allies),
        ("allies", Team::Allies),
        ("german", Team::Axis),
        ("axis", Team::Axis),
        ("spectator", Team::Spectator),
        ("freeforall", Team::FreeForAll),
        ("none", Team::None),
        ("Axis", Team::Axis),
        ("0", Team::None),
        ("1", Team::Spectator),
        ("2", Team::FreeForAll),
        ("3", Team::Allies),
        ("4", Team::Axis),
        ("3.000", Team::Allies),
    ] {
        let event = json_event("kill", &format!(r#""victim_team":"{text}""#));
        assert_eq!(event.target.team, team, "{text}");
        let kept = if team.as_str() == text { json!({}) } else { json!({"victim_team": text}) };
        assert_eq!(extra(&event), kept, "{text}");
        for key in ["winning_team", "winner", "teamnum"] {
            assert_eq!(
                json_event("team_win", &format!(r#""{key}":"{text}""#)).winning_team,
                team,
                "{key} {text}"
            );
        }
    }
    // Of winners alone there are words for a draw.
    for text in ["draw", "Draw", "tie", "tied", "stalemate", "nobody", "no_one", "none", "0"] {
        let event = json_event("match_end", &format!(r#""winning_team":"{text}""#));
        assert_eq!(event.winning_team, Team::None, "{text}");
    }
    assert_eq!(json_event("kill", r#""victim_team":"draw""#).target.team, Team::Unknown);
    let decoded = decode(r#"{"type":"kill","victim_team":"purple","winning_team":9}"#);
    assert_eq!((decoded.events[0].target.team, decoded.unreadable_fields), (Team::Unknown, 2));
    assert_eq!(extra(&decoded.events[0]), json!({"victim_team": "purple", "winning_team": 9}));
}

#[test]
fn game_types_come_as_numbers_and_words() {
    for (words, game_type) in [
        (vec!["0", "single"], GameType::Single),
        (vec!["1", "dm", "ffa", "FFA", "1.000"], GameType::FreeForAll),
        (vec!["2", "tdm"], GameType::TeamDeathmatch),
        (vec!["3", "rb", "roundbased", "rounds"], GameType::Rounds),
        (vec!["4", "obj", "objective"], GameType::Objective),
        (vec!["5", "tow"], GameType::TugOfWar),
        (vec!["6", "lib", "liberation"], GameType::Liberation),
    ] {
        for word in words {
            assert_eq!(
                json_event("match_start", &format!(r#""gametype":"{word}""#)).game_type,
                game_type,
                "{word}"
            );
        }
    }
    assert_eq!(json_event("match_start", r#""gametype":4"#).game_type, GameType::Objective);
}

#[test]
fn hit_locations_come_as_names_and_as_the_engines_numbers() {
    for (place, name) in HIT_LOCATIONS.iter().enumerate() {
        let number = place as i32 - 2;
        for (key, value) in [
            ("hitloc", format!("\"{name}\"")),
            ("hitloc", number.to_string()),
            ("hitlocation", format!("\"{number}\"")),
        ] {
            assert_eq!(json_event("kill", &format!(r#""{key}":{value}"#)).hitloc, *name, "{value}");
        }
    }
    assert_eq!(json_event("kill", r#""hitloc":"Head""#).hitloc, "head");
    for unknown in ["torso", "19", "-3"] {
        assert_eq!(json_event("kill", &format!(r#""hitloc":"{unknown}""#)).hitloc, unknown);
    }
    assert_eq!(extra(&json_event("kill", r#""hitloc":0"#)), json!({"hitloc": 0}));
    assert_eq!((HIT_LOCATIONS[2], HIT_LOCATIONS[20]), ("head", "l_foot"));
}

#[test]
fn means_of_death_come_as_names_and_as_the_engines_numbers() {
    for (number, name) in MEANS_OF_DEATH.iter().enumerate() {
        assert_eq!(json_event("kill", &format!(r#""mod":"{name}""#)).means_of_death, *name);
        assert_eq!(json_event("kill", &format!(r#""mod":{number}"#)).means_of_death, *name);
        assert_eq!(json_event("death", &format!(r#""means_of_death":"{number}""#)).means_of_death, *name);
        assert_eq!(only(format!("type=kill&weapon={number}&inflictor=Bar")).means_of_death, *name);
    }
    assert_eq!(json_event("kill", r#""mod":"MOD_BULLET""#).means_of_death, "bullet");
    for unknown in ["MOD_THOMPSON", "30", "xyz"] {
        assert_eq!(json_event("kill", &format!(r#""mod":"{unknown}""#)).means_of_death, unknown);
    }
    assert_eq!((MEANS_OF_DEATH[18], MEANS_OF_DEATH[29]), ("bullet", "landmine"));
}
