//! How events are told apart in a body.

use mohaa_domain::vocabulary::EventType;
use mohaa_domain::wire::{self, DecodeError, Limits, RejectReason, Rejected};

use crate::{decode, only, rejections, types};

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
