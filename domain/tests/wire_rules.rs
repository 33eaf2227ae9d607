//! What the decoder does with each peculiarity of the scripts in the field, one test a rule.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use mohaa_domain::event::{Event, Millis, Player};
use mohaa_domain::vocabulary::{EventType, GameType, HIT_LOCATIONS, MEANS_OF_DEATH, Team};
use mohaa_domain::wire::{self, DecodeError, Decoded, Limits, RejectReason, Rejected};
use serde_json::{Value, json};

const LIMITS: Limits = Limits { max_events: 1000 };

fn decode(body: impl AsRef<[u8]>) -> Decoded {
    wire::decode(body.as_ref(), LIMITS).unwrap()
}

fn only(body: impl AsRef<[u8]>) -> Event {
    let mut decoded = decode(body);
    assert_eq!((decoded.events.len(), decoded.rejected.len()), (1, 0), "{decoded:?}");
    decoded.events.remove(0)
}

/// A JSON event of a type with more fields.
fn json_event(event_type: &str, fields: &str) -> Event {
    only(format!(r#"[{{"type":"{event_type}",{fields}}}]"#))
}

fn extra(event: &Event) -> Value {
    if event.extra.is_empty() { json!({}) } else { serde_json::from_str(&event.extra).unwrap() }
}

fn types(decoded: &Decoded) -> Vec<&str> {
    decoded.events.iter().map(|event| event.source_type.as_str()).collect()
}

fn rejections(decoded: &Decoded) -> Vec<(usize, RejectReason)> {
    decoded.rejected.iter().map(|rejected| (rejected.index, rejected.reason)).collect()
}

// Framing

#[test]
fn residue_around_a_body_is_stripped() {
    for body in [
        "\0\0 \r\n[{\"type\":\"jump\"}]\n\0\0",
        "\u{feff}{\"type\":\"jump\"}\0",
        "\0type=jump\0\n",
        " \u{feff}\0 type=jump",
    ] {
        assert_eq!(only(body).event_type, EventType::Jump, "{body:?}");
    }
}

#[test]
fn every_framing_of_json_is_read() {
    for body in [
        r#"[{"type":"a"},{"type":"b"}]"#,
        "{\"type\":\"a\"}\n{\"type\":\"b\"}\n",
        r#"{"type":"a"}{"type":"b"}"#,
        r#"{"type":"a"} , {"type":"b"}"#,
        r#"[{"type":"a"}][{"type":"b"}]"#,
        "[\n  {\n    \"type\": \"a\"\n  },\n  {\n    \"type\": \"b\"\n  }\n]\n",
        "{\"type\":\"a\"}\0{\"type\":\"b\"}\0",
        r#"[{"type":"a",},{"type":"b",},]"#,
        r#"[{"type":"a"},{"type":"b"}"#,
        r#"[{"type":"a"},{"type":"b""#,
        r#"[{"type":"a"},{"type":"b"]"#,
        r#"[{"type":"a"},{"type":"b"}]}]"#,
    ] {
        let decoded = decode(body);
        assert_eq!(types(&decoded), ["a", "b"], "{body}");
        assert_eq!(decoded.rejected, [], "{body}");
    }
}

#[test]
fn a_body_without_events_is_empty() {
    for body in ["", "[]", "\0", " \n ", "[\n]", "\u{feff}"] {
        let decoded = decode(body);
        assert_eq!((decoded.events.len(), decoded.rejected.len()), (0, 0), "{body:?}");
    }
}

#[test]
fn what_is_not_an_event_is_rejected_by_its_index() {
    use RejectReason::{MissingType, NotAnObject};
    let decoded = decode(
        r#"[{"type":"a"}, 1, "x,{\"type\":\"y\"}", null, [{"type":"nested"}], {}, {"type":""}, {"type":5}, {"type":null}, {"type":"  "}, {"type":["a"]}, {"type":"b"}]"#,
    );
    assert_eq!(types(&decoded), ["a", "b"]);
    let expected = [
        (1, NotAnObject),
        (2, NotAnObject),
        (3, NotAnObject),
        (4, NotAnObject),
        (5, MissingType),
        (6, MissingType),
        (7, MissingType),
        (8, MissingType),
        (9, MissingType),
        (10, MissingType),
    ];
    assert_eq!(rejections(&decoded), expected);
}

#[test]
fn broken_json_costs_the_object_it_is_in() {
    for broken in [
        r#"{"type":"x","a":}"#,
        r#"{"type":"x" "a":1}"#,
        r#"{"type":"x","a":1"#,
        r#"{"type":"x","name":"Say "hi""}"#,
        r#"{"type":"x","name":"unterminated}"#,
        r#"{"type":"x","a":oops oops}"#,
        r#"{"type":"x","a":{"b":1}"#,
        r#"{"type":"x","a":{"b":1,"c":}}"#,
        r#"{"type":"x","a":[1,2}}"#,
        r#"{type:"x"}"#,
        r#"{"type":"x","#,
        r#"{"type""#,
    ] {
        for separator in [",", ", ", " ,\n  "] {
            let body =
                format!(r#"[{{"type":"a"}}{separator}{broken}{separator}{{"type":"b"}},{{"type":"c"}}]"#);
            let decoded = decode(&body);
            assert_eq!(types(&decoded), ["a", "b", "c"], "{body}");
            assert_eq!(rejections(&decoded), [(1, RejectReason::Unreadable)], "{body}");
        }
        let lines = format!("{{\"type\":\"a\"}}\n{broken}\n{{\"type\":\"b\"}}\n");
        // A line that ends where a value may stand takes the next line for it.
        if !broken.ends_with(':') {
            let decoded = decode(&lines);
            assert_eq!(types(&decoded), ["a", "b"], "{lines}");
            assert_eq!(rejections(&decoded), [(1, RejectReason::Unreadable)], "{lines}");
        }
    }
}

#[test]
fn a_body_that_was_cut_off_costs_its_last_object_alone() {
    let body = r#"[{"type":"a"},{"type":"b","player_name":"Hir"#;
    let decoded = decode(body);
    assert_eq!(types(&decoded), ["a"]);
    assert_eq!(rejections(&decoded), [(1, RejectReason::Unreadable)]);
}

#[test]
fn a_line_that_cannot_be_read_costs_that_line_alone() {
    let decoded = decode("type=a&match_id=m\r\n\r\nnonsense\nmatch_id=m\ntype=&match_id=m\ntype=b\n");
    assert_eq!(types(&decoded), ["a", "b"]);
    let expected =
        [(1, RejectReason::Unreadable), (2, RejectReason::MissingType), (3, RejectReason::MissingType)];
    assert_eq!(rejections(&decoded), expected);
}

#[test]
fn more_events_than_allowed_refuse_the_body() {
    let body = r#"[{"type":"a"},1,{"type":"b"}]"#;
    assert_eq!(wire::decode(body.as_bytes(), Limits { max_events: 3 }).unwrap().events.len(), 2);
    let refused = wire::decode(body.as_bytes(), Limits { max_events: 2 }).unwrap_err();
    assert_eq!(refused, DecodeError::TooManyEvents { limit: 2 });
    let refused = wire::decode(b"type=a\ntype=b", Limits { max_events: 1 }).unwrap_err();
    assert_eq!(refused.to_string(), "the request holds more than 1 events");
}

#[test]
fn a_rejection_says_what_is_wrong_in_a_sentence() {
    for reason in RejectReason::ALL {
        assert!(reason.to_string().contains(' '));
        assert!(reason.code().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'));
    }
    let decoded = decode("[3]");
    assert_eq!(decoded.rejected, [Rejected { index: 0, reason: RejectReason::NotAnObject }]);
}

// Tokens and secrets

#[test]
fn the_first_lines_token_speaks_for_all() {
    let decoded = decode("type=a&server_token=first&server_id=1\ntype=b&server_token=second&server_id=2");
    assert_eq!(decoded.body_token.as_ref().unwrap().as_str(), "first");
    assert!(!format!("{decoded:?}").contains("first"));
}

#[test]
fn a_json_body_may_hold_the_token_too() {
    assert_eq!(decode(r#"{"type":"a","server_token":"t"}"#).body_token.unwrap().as_str(), "t");
    assert!(decode(r#"{"type":"a"}"#).body_token.is_none());
}

#[test]
fn a_match_token_is_read_but_neither_kept_nor_shown() {
    for body in [r#"{"type":"a","match_token":"s3cret"}"#, "type=a&match_token=s3cret"] {
        let event = only(body);
        assert_eq!(event.match_token.as_str(), "s3cret");
        assert!(!format!("{event:?}").contains("s3cret"));
        assert_eq!(event.extra, "");
    }
}

#[test]
fn addresses_tokens_and_passwords_are_never_kept() {
    for key in [
        "ip",
        "player_ip",
        "address",
        "auth_token",
        "password",
        "server_token",
        "rcon_token",
        "IP",
        "Auth_Token",
        "PASSWORD",
        "client_ip",
        "token",
        "authToken",
    ] {
        let event = only(format!(
            r#"{{"type":"a","{key}":"s3cret","kept":{{"{key}":"s3cret","deep":[{{"{key}":{{"x":"s3cret"}},"y":1}}]}},"player":{{"name":"A","{key}":"s3cret"}}}}"#
        ));
        assert!(!format!("{event:?}").contains("s3cret"), "{key}: {event:?}");
        assert_eq!(extra(&event), json!({"kept": {"deep": [{"y": 1}]}, "player": {"name": "A"}}));
        let event = only(format!("type=a&timestamp=1&{key}=s3cret&server_id=x"));
        assert!(!format!("{event:?}").contains("s3cret"), "{key}: {event:?}");
    }
    let event = only(r#"{"type":"a","password ":"s3cret","\t ip":"s3cret"}"#);
    assert!(!format!("{event:?}").contains("s3cret"), "{event:?}");
    let event = only(r#"{"type":"a","n":{"\u0069p":"s3cret","clip":30},"clip":1,"token_count":2}"#);
    assert_eq!(extra(&event), json!({"n": {"clip": 30}, "clip": 1, "token_count": 2}));
}

// Values

#[test]
fn what_can_not_be_less_than_nothing_or_last_for_ever_is_absent_and_kept() {
    let event = only(
        r#"{"type":"a","damage":-5,"duration":1e30,"round_number":-5,"player_count":-1,"walked":-1,"fired":-2,"allies_score":-3,"client_num":-1}"#,
    );
    assert_eq!((event.damage, event.duration, event.round_number), (None, None, None));
    assert_eq!((event.player_count, event.walked, event.shots_fired), (None, None, None));
    assert_eq!((event.allies_score, event.client_num), (Some(-3), Some(-1)));
    assert_eq!(extra(&event)["damage"], -5);
    assert_eq!(only(r#"{"type":"a","duration":-1}"#).duration, None);
}

#[test]
fn numbers_are_read_however_they_are_spelled() {
    for (spelling, value) in [
        ("35", 35.0),
        ("\"35\"", 35.0),
        ("\"35.000\"", 35.0),
        ("-0.000", 0.0),
        ("\"-0.000\"", 0.0),
        ("+3", 3.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e2", 100.0),
        ("\" 7 \"", 7.0),
        ("112.487", 112.487),
        ("-12.5", -12.5),
        ("12345678901234567890", 1.234_567_9e19),
        ("007", 7.0),
    ] {
        let decoded = decode(format!(r#"{{"type":"jump","player_x":{spelling}}}"#));
        let x = decoded.events[0].player.x.unwrap();
        assert_eq!(x, value, "{spelling}");
        assert!(x.is_sign_positive() || x < 0.0, "{spelling}");
        assert_eq!(decoded.events[0].extra, "", "{spelling}");
        assert_eq!(decoded.unreadable_fields, 0);
    }
}

#[test]
fn a_field_that_cannot_be_read_is_absent_counted_and_kept_as_it_came() {
    for spelling in
        ["nan", "inf", "-inf", "-nan(ind)", "NIL", "NULL", "1.#QNAN", "abc", "1e999", "--1", "1.2.3"]
    {
        for body in [
            format!(r#"[{{"type":"damage","damage":{spelling},"victim_guid":"v"}}]"#),
            format!(r#"[{{"type":"damage","damage":"{spelling}","victim_guid":"v"}}]"#),
            format!("type=damage&damage={spelling}&victim_guid=v"),
        ] {
            let decoded = decode(&body);
            assert_eq!(decoded.unreadable_fields, 1, "{body}");
            let event = &decoded.events[0];
            assert_eq!((event.damage, event.target.guid.as_str()), (None, "v"), "{body}");
            assert_eq!(extra(event), json!({"damage": spelling}), "{body}");
        }
    }
}

#[test]
fn an_empty_or_null_value_is_absent_and_nothing_else() {
    let decoded = decode(
        r#"{"type":"kill","damage":"","attacker_name":"","attacker_team":"","hitloc":null,"damage":null,"timestamp":"","client_num":" "}"#,
    );
    let expected = Event { event_type: EventType::Kill, source_type: "kill".into(), ..Event::default() };
    assert_eq!(decoded.events, [expected]);
    assert_eq!(decoded.unreadable_fields, 0);
}

#[test]
fn whole_numbers_out_of_range_or_with_a_fraction_are_unreadable() {
    for (spelling, value) in [
        ("2147483647", Some(i32::MAX)),
        ("-2147483648", Some(i32::MIN)),
        ("2147483648", None),
        ("5.5", None),
        ("\"5.000\"", Some(5)),
        ("true", None),
        ("[1]", None),
    ] {
        let decoded = decode(format!(r#"{{"type":"heartbeat","allies_score":{spelling}}}"#));
        assert_eq!(decoded.events[0].allies_score, value, "{spelling}");
        assert_eq!(decoded.unreadable_fields, u64::from(value.is_none()), "{spelling}");
        assert_eq!(decoded.events[0].extra.is_empty(), value.is_some(), "{spelling}");
    }
}

#[test]
fn identifiers_printed_as_nil_name_nobody_but_a_person_may_be_called_null() {
    let decoded = decode(
        r#"{"type":"kill","attacker_guid":"NIL","match_id":"NULL","attacker_name":"NULL","victim_guid":NIL}"#,
    );
    let event = &decoded.events[0];
    assert_eq!(
        (event.player.guid.as_str(), event.source_match_id.as_str(), event.player.name.as_str()),
        ("", "", "NULL")
    );
    assert_eq!(decoded.unreadable_fields, 3);
    assert_eq!(extra(event), json!({"attacker_guid": "NIL", "match_id": "NULL", "victim_guid": "NIL"}));
}

#[test]
fn text_sent_as_a_number_is_its_spelling() {
    let event = json_event("kill", r#""attacker_guid":42,"match_id":7,"attacker_smf_id":42"#);
    assert_eq!(
        (event.player.guid.as_str(), event.player.member_id.as_str(), event.source_match_id.as_str()),
        ("42", "42", "7")
    );
    assert_eq!(event.extra, "");
}

#[test]
fn escapes_are_resolved_and_bad_ones_kept() {
    let event = json_event("chat", r#""message":"a\"b\\c\/d\n\t\u00e9\ud83d\ude00 \q \ud83d \u12 \uzzzz""#);
    assert_eq!(event.message, "a\"b\\c/d\n\té😀 \\q \\ud83d \\u12 \\uzzzz");
    let event =
        json_event("chat", "\"message\":\"raw\ttab\nand\u{1}control\",\"x\\ty\":\"\u{1}\\u0000\\\\\"");
    assert_eq!(event.message, "raw\ttab\nand\u{1}control");
    assert_eq!(extra(&event), json!({"x\ty": "\u{1}\0\\"}));
}

#[test]
fn nul_in_text_is_dropped_and_what_came_is_kept() {
    let event = json_event("chat", r#""player_name":"A\u0000B""#);
    assert_eq!(event.player.name, "AB");
    assert_eq!(extra(&event), json!({"player_name": "A\0B"}));
}

#[test]
fn bytes_that_are_not_utf_8_are_windows_1252_each_value_for_itself() {
    let decoded = decode(b"type=chat&player_name=Caf\xe9 \x80\x99&message=\xc3\xa9t\xc3\xa9&server_id=1\ntype=chat&message=\xe9\n");
    assert_eq!(decoded.events[0].player.name, "Café €™");
    assert_eq!(decoded.events[0].message, "été");
    assert_eq!(decoded.events[1].message, "é");
    assert_eq!(decode(b"type=chat&message=\xc3\xbc \xe9").events[0].message, "ü é");
    let event = only(b"[{\"type\":\"chat\",\"player_name\":\"M\xfcller\x81\",\"message\":\"\xe2\x82\xac\"}]");
    assert_eq!((event.player.name.as_str(), event.message.as_str()), ("Müller\u{81}", "€"));
}

#[test]
fn unknown_fields_survive_as_they_came() {
    let event = json_event(
        "jump",
        r#""a":1,"b":"x\"y","c":[1,{"d":null,"e":nan}],"f":1.50,"g":true,"h":-nan(ind),"i":05,"j":{},"k":[],"l":null"#,
    );
    assert_eq!(
        event.extra,
        r#"{"a":1,"b":"x\"y","c":[1,{"d":null,"e":"nan"}],"f":1.50,"g":true,"h":"-nan(ind)","i":"05","j":{},"k":[],"l":null}"#
    );
    let event = only("type=jump&timestamp=1&brand_new=5&server_id=s");
    assert_eq!(event.level_time, Some(1.0));
    assert_eq!(extra(&event), json!({"brand_new": "5", "server_id": "s"}));
}

#[test]
fn numbers_that_no_reader_could_hold_are_kept_as_text() {
    let huge = "9".repeat(400);
    let event = json_event("jump", &format!(r#""a":1e999,"b":{huge},"c":-1e-999"#));
    assert_eq!(extra(&event)["a"], json!("1e999"));
    assert_eq!(extra(&event)["b"], json!(huge));
}

#[test]
fn the_last_of_a_repeated_name_wins() {
    let event = json_event(
        "kill",
        r#""damage":"nan","damage":5,"x":1,"y":2,"x":3,"attacker_team":"american","attacker_team":"axis""#,
    );
    assert_eq!((event.damage, event.player.team), (Some(5.0), Team::Axis));
    assert_eq!(event.extra, r#"{"y":2,"x":3}"#);
    let event = json_event("kill", r#""damage":5,"damage":"nan""#);
    assert_eq!((event.damage, extra(&event)), (None, json!({"damage": "nan"})));
    let many: String = (0..200).map(|number| format!(r#""k{}":{number},"#, number % 50)).collect();
    let event = json_event("kill", &format!("{many}\"end\":1"));
    let fields = extra(&event);
    assert_eq!(fields.as_object().unwrap().len(), 51);
    assert_eq!((&fields["k0"], &fields["k49"]), (&json!(150), &json!(199)));
    assert_eq!(event.extra.matches("\"k7\"").count(), 1);
}

#[test]
fn nested_values_are_kept_to_a_depth_of_32() {
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let decoded = decode(format!(r#"{{"type":"a","x":{}}}"#, nested(32)));
    assert!(decoded.events[0].extra.contains(&nested(32)));
    for depth in [33, 100_000] {
        let decoded = decode(format!(r#"{{"type":"a","x":{},"y":1}}"#, nested(depth)));
        assert_eq!((types(&decoded), decoded.unreadable_fields), (vec!["a"], 1));
        assert_eq!(decoded.events[0].extra, r#"{"y":1}"#);
    }
}

// Forms

#[test]
fn form_text_is_split_only_where_a_known_name_follows() {
    let event =
        only("type=kill&attacker_name=A&B=C+D;100%&attacker_guid=unauth_1&inflictor=Bar & Grill&hitloc=0");
    assert_eq!(event.player.name, "A&B=C+D;100%");
    assert_eq!((event.player.guid.as_str(), event.inflictor.as_str()), ("unauth_1", "Bar & Grill"));
    let event = only("type=jump&player_name=a&&b&player_guid=x");
    assert_eq!((event.player.name.as_str(), event.player.guid.as_str()), ("a&&b", "x"));
}

#[test]
fn good_percent_escapes_are_resolved_and_bad_ones_and_plus_kept() {
    let event = only("type=chat&player_name=%41%26%C3%A9%E9%2&message=50%+%zz %2B%&server_id=1");
    assert_eq!(event.player.name, "A&éé%2");
    assert_eq!(event.message, "50%+%zz +%");
    assert_eq!(only("type=chat&message=%C3%A9 %E9").message, "é é");
}

#[test]
fn a_chat_line_runs_to_the_fields_behind_it() {
    let event = only(
        "type=chat&player_guid=42&message=x&player_guid=1&type=kill&a=b&is_team=1&server_token=t&server_id=s",
    );
    assert_eq!(event.message, "x&player_guid=1&type=kill&a=b");
    assert_eq!(
        (event.player.guid.as_str(), event.event_type, event.team_only),
        ("42", EventType::Chat, Some(true))
    );
    let decoded =
        decode("type=chat&message=server_token=evil & server_token=evil&x&server_token=good&server_id=s");
    assert_eq!(decoded.events[0].message, "server_token=evil & server_token=evil&x");
    assert_eq!(decoded.body_token.unwrap().as_str(), "good");
    let decoded = decode("type=chat&message=hi&server_token=evil&server_token=good&server_id=s");
    assert_eq!(decoded.body_token.unwrap().as_str(), "good");
    assert_eq!(only("type=chat&message=").message, "");
}

#[test]
fn a_name_cannot_change_token_or_identity() {
    let decoded = decode(
        "type=jump&player_name=x&server_token=evil&player_guid=1&player_guid=unauth_3&server_token=good&server_id=s",
    );
    assert_eq!(decoded.body_token.unwrap().as_str(), "good");
    assert_eq!(decoded.events[0].player.guid, "unauth_3");
    for forged in ["player_smf_id=7", "player_member_id=7"] {
        let event = only(format!("type=jump&player_name=x&{forged}&player_guid=unauth_3&server_id=s"));
        assert_eq!(event.player.member_id, "", "{forged}");
    }
    let event = only("type=jump&player_name=x&attacker_smf_id=7&player_guid=unauth_3");
    assert_eq!((event.player.guid.as_str(), event.player.member_id.as_str()), ("unauth_3", ""));
    let event = only("type=jump&player_name=x&player_guid=unauth_3&player_member_id=7");
    assert_eq!(event.player.member_id, "7");
}

// Vocabulary

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

// Fields

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

// Time

#[test]
fn a_timestamp_is_level_time_unless_it_is_as_large_as_an_epoch() {
    let times = |value: &str| {
        let event = json_event("jump", &format!(r#""timestamp":{value}"#));
        (event.level_time, event.sent_at.map(|Millis(millis)| millis), event.extra.is_empty())
    };
    assert_eq!(times("9.8"), (Some(9.8), None, true));
    assert_eq!(times("\"37.900\""), (Some(37.9), None, true));
    assert_eq!(times("0"), (Some(0.0), None, true));
    assert_eq!(times("-0.000"), (Some(0.0), None, true));
    assert_eq!(times("99999999"), (Some(99_999_999.0), None, true));
    assert_eq!(times("100000000"), (None, Some(100_000_000_000), true));
    assert_eq!(times("1738540800.25"), (None, Some(1_738_540_800_250), true));
    assert_eq!(times("1738540800.123456"), (None, Some(1_738_540_800_123), false));
    assert_eq!(times("1738540800123"), (None, Some(1_738_540_800_123), true));
    assert_eq!(times("\"1738540800123\""), (None, Some(1_738_540_800_123), true));
    assert_eq!(times("\"2025-02-03T00:00:00Z\""), (None, Some(1_738_540_800_000), true));
    assert_eq!(times("\"2025-02-03T00:00:00.250Z\""), (None, Some(1_738_540_800_250), true));
    assert_eq!(times("\"2025-02-03T01:00:00.2504567+01:00\""), (None, Some(1_738_540_800_250), false));
    assert_eq!(times("\"2025-02-02 19:30:00-04:30\""), (None, Some(1_738_540_800_000), false));
    assert_eq!(times("\"2024-02-29t00:00:00z\""), (None, Some(1_709_164_800_000), true));
}

#[test]
fn a_time_that_cannot_be_read_is_absent() {
    for value in [
        "-1",
        "nan",
        "\"abc\"",
        "1e300",
        "\"2025-02-29T00:00:00Z\"",
        "\"2025-02-03T24:00:00Z\"",
        "\"2025-02-03\"",
        "\"2025-02-03T00:00:00\"",
        "\"2025-13-03T00:00:00Z\"",
        "\"2025-02-03T00:00:00+0100\"",
        "true",
        "\"9999-01-01T00:00:00Z\"",
    ] {
        let decoded = decode(format!(r#"{{"type":"jump","timestamp":{value}}}"#));
        let event = &decoded.events[0];
        assert_eq!((event.level_time, event.sent_at, decoded.unreadable_fields), (None, None, 1), "{value}");
        assert!(extra(event).get("timestamp").is_some(), "{value}");
    }
}
