//! Tokens that speak, and what is never kept.

use proptest::prelude::*;
use serde_json::json;

use crate::{decode, extra, only};

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
fn the_code_of_a_claim_is_read_but_neither_kept_nor_shown() {
    for body in [
        r#"{"type":"chat","message":" !claim  K7WQ-2MXHT "}"#,
        "type=chat&player_name=A&message=!CLAIM K7WQ-2MXHT&is_team=0",
        r#"{"type":"identity_claim","code":"K7WQ-2MXHT","player_name":"A"}"#,
        r#"{"claim_code":"K7WQ-2MXHT","type":"identity_claim"}"#,
    ] {
        let event = only(body);
        assert_eq!(event.claim_code.as_str(), "K7WQ-2MXHT", "{body}");
        assert!(!format!("{event:?}").contains("K7WQ"), "{event:?}");
    }
    let other = only(r#"{"type":"vote_start","code":"K7WQ-2MXHT","message":"!claims are mine"}"#);
    assert!(other.claim_code.is_empty() && other.extra.contains("K7WQ-2MXHT"), "{other:?}");
    for no_code in ["!claim", "!claim MOH-9921", "!claim what you like"] {
        let event = only(format!(r#"{{"type":"chat","message":"{no_code}"}}"#));
        assert!(event.claim_code.is_empty() && event.message == no_code, "{event:?}");
    }
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
        "ip_port",
        "player_ipaddress",
        "player_ip6",
        "ipv4",
        "address_list",
        "password_hash",
        "rcon_pass",
        "tokens",
        "jwt",
        "cookie",
        "session_key",
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

#[test]
fn addresses_are_never_kept_whatever_they_are_called() {
    let event = only(
        r#"{"type":"a","from":"203.0.113.18:12203","of":["2001:db8::1",1],"n":{"x":"203.0.113.18","y":"1.5"},"version":"1.12.0"}"#,
    );
    assert_eq!(extra(&event), json!({"of": [1], "n": {"y": "1.5"}, "version": "1.12.0"}));
    let event =
        only(r#"{"type":"chat","message":"connected from 203.0.113.18:12203, at 12:30 by [2001:db8::1]"}"#);
    assert_eq!(event.message, "connected from [hidden], at 12:30 by [hidden]");
}

#[test]
fn addresses_tokens_and_passwords_are_taken_out_of_texts_whatever_stands_around_them() {
    for (said, kept) in [
        ("my ip:77.88.98.1", "my ip:[hidden]"),
        ("server=77.88.98.3", "server=[hidden]"),
        ("server:77.88.98.4:12203", "server:[hidden]"),
        ("add:77.88.98.18, connect77.88.99.39", "add:[hidden], connect[hidden]"),
        ("^277.88.98.14 is ^377.88.98.15:12203", "^2[hidden] is ^3[hidden]"),
        ("^177.88.99.41^7", "^1[hidden]^7"),
        ("77.88.98.6,77.88.98.7 and 77.88.98.12-77.88.98.13", "[hidden],[hidden] and [hidden]-[hidden]"),
        ("join 77.88.98.5/12203, http://77.88.99.44/", "join [hidden]/12203, http://[hidden]/"),
        ("/connect\u{a0}77.88.98.9.", "/connect\u{a0}[hidden]."),
        ("to:2001:db8::1 or [2001:db8::2]:12203.", "to:[hidden] or [hidden]."),
        ("add:2001:db8:1:2:3:4:5:6, 2001:db8::beef:7.", "[hidden], [hidden]."),
        ("mine is mohaa_s_CHotCvHTSdDwUG_DB3h-hrP!", "mine is [hidden]!"),
        ("Omaha [KEY:RD6R-6PNN]", "Omaha [hidden]"),
        ("/rcon hunter6secret status", "/rcon [hidden] status"),
        ("version 1.12.0.1234 at 12:30:59", "version 1.12.0.1234 at 12:30:59"),
        ("std::vec a::b 1.2.3 ...", "std::vec a::b 1.2.3 ..."),
    ] {
        let event = only(json!({"type": "chat", "message": said}).to_string());
        assert_eq!(event.message, kept);
        let event = only(json!({"type": "other", "note": said, "n": [{"deep": said}]}).to_string());
        assert_eq!(extra(&event), json!({"note": kept, "n": [{"deep": kept}]}), "{said}");
    }
    let event = only(r#"{"type":"other","77.88.99.22":"a","n":{"at 77.88.99.22":1,"kept":2}}"#);
    assert_eq!(extra(&event), json!({"n": {"kept": 2}}));
}

/// A search that began anew at each of them would take hours.
#[test]
fn texts_that_might_hold_a_secret_everywhere_are_read_once() {
    for part in ["1:", "::", "a:b::", "1.", "[key:", "[", "mohaa_s_", "77.88.98.1,", "2001:db8::1 ", "rcon "]
    {
        let said = part.repeat(8_000_000 / part.len());
        let event = only(json!({"type": "other", "note": said}).to_string());
        assert!(!event.extra.is_empty(), "{part}");
    }
}

proptest! {
    #[test]
    fn no_address_is_kept_whatever_stands_around_it(
        address: std::net::IpAddr, before in "\\PC{0,12}", between in "[ !,;/()=|é…-]", behind in "[ !,;/()=|é…-]\\PC{0,12}",
    ) {
        let address = address.to_string();
        prop_assume!(address.len() >= 7);
        let said = format!("{before}{between}{address}{behind}");
        let event = only(json!({"type": "chat", "message": &said, "typed": &said}).to_string());
        prop_assert!(!event.message.contains(&address), "{said:?} is {:?}", event.message);
        prop_assert!(!event.extra.contains(&address), "{said:?} is {:?}", event.extra);
    }
}

#[test]
fn codes_are_never_kept_of_what_people_typed() {
    let event =
        only(r#"{"type":"chat","message":"hi","text":"!claim K7WQ2MXHT","n":{"msg":"login K7WQ2MXHT!"}}"#);
    assert_eq!(extra(&event), json!({"text": "!claim [hidden]", "n": {"msg": "login [hidden]"}}));
    let event = only(r#"{"type":"identity_claim","code":"claim K7WQ2MXHT","typed":"K7WQ-2MXHT"}"#);
    assert_eq!((event.claim_code.as_str(), extra(&event)), ("K7WQ2MXHT", json!({"typed": "[hidden]"})));
    for (said, kept) in [
        ("!clam K7WQ2MXHT", "!clam [hidden]"),
        ("login codek7wq2mxht", "login [hidden]"),
        ("K7WQ 2MXHT", "[hidden]"),
        ("^2ABCD-EFGH", "[hidden]"),
    ] {
        let event = only(json!({"type": "chat", "message": said}).to_string());
        assert_eq!(event.message, kept);
    }
    let event = only(r#"{"type":"chat","message":"hi","text":"K7WQ 2MXHT","n":{"said":["k7wq2mxht"]}}"#);
    assert_eq!(extra(&event), json!({"text": "[hidden]", "n": {"said": ["[hidden]"]}}));
    let event =
        only(r#"{"type":"typed","claim":"K7WQ2MXHT","n":{"line":"K7WQ2MXHT"},"login":["k7wq-2mxht"]}"#);
    let kept = json!({"claim": "[hidden]", "n": {"line": "K7WQ2MXHT"}, "login": ["[hidden]"]});
    assert_eq!(extra(&event), kept);
}
