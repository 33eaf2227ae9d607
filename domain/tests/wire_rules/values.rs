//! Numbers, words and texts, however they are spelled.

use mohaa_domain::event::Event;
use mohaa_domain::vocabulary::{EventType, Team};
use serde_json::json;

use crate::{decode, extra, json_event, only, types};

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
