//! Every sample of what game servers send, and the ways in which such bodies are damaged: what is accepted, and that
//! each value that was sent can be found again.
//!
//! What to expect is read from the files by readers of this file's own, so that it is a second opinion.

use std::io::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::Service;

const PLACEHOLDER_TOKEN: &str = "dev-server-token-replace-in-production";

/// One event as it was sent: its fields with values as text, nested ones under their last name.
type SentEvent = Vec<(String, String)>;

fn read_json(body: &str) -> Vec<SentEvent> {
    fn flatten(name: &str, value: &Value, event: &mut SentEvent) {
        match value {
            Value::Object(members) => members.iter().for_each(|(name, value)| flatten(name, value, event)),
            Value::String(text) => event.push((name.to_owned(), text.clone())),
            other => event.push((name.to_owned(), other.to_string())),
        }
    }
    let events: Vec<Value> = serde_json::from_str(body).unwrap();
    events
        .iter()
        .map(|value| {
            let mut event = SentEvent::new();
            flatten("", value, &mut event);
            event
        })
        .collect()
}

/// A field begins at `name=` after `&`; an `&` with anything else behind it belongs to the value.
fn read_form(body: &str) -> Vec<SentEvent> {
    let is_field = |part: &str| {
        let name = part.split('=').next().unwrap_or_default();
        part.contains('=') && name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_')
    };
    let read_line = |line: &str| {
        let mut event = SentEvent::new();
        for part in line.split('&') {
            match (is_field(part), event.last_mut()) {
                (false, Some((_, value))) => value.extend(["&", part]),
                _ => {
                    let (name, value) = part.split_once('=').unwrap();
                    event.push((name.to_owned(), value.to_owned()));
                }
            }
        }
        event
    };
    body.lines().map(read_line).collect()
}

fn canonical_type(sent: &str) -> &str {
    match sent {
        "player_kill" => "kill",
        "player_spawn" => "spawn",
        other => other,
    }
}

fn as_number(text: &str) -> Option<f32> {
    text.parse().ok()
}

/// Every value of a row, those of `extra` included. Places in the spool are ours and could stand for anything.
fn stored_values(row: &Value) -> Vec<String> {
    let mut values = Vec::new();
    for (name, value) in row.as_object().unwrap() {
        match (name.as_str(), value) {
            ("spool_seq" | "spool_index" | "batch_id", _) => {}
            ("extra", Value::String(text)) if !text.is_empty() => {
                let extra: Value = serde_json::from_str(text).unwrap();
                for event in read_json(&json!([extra]).to_string()) {
                    values.extend(event.into_iter().map(|(_, value)| value));
                }
            }
            (_, Value::String(text)) => values.push(text.clone()),
            (_, other) => values.push(other.to_string()),
        }
    }
    values
}

/// The column in which a field must stand, and what must stand there.
fn expected_column(name: &str, value: &str) -> Option<(String, String)> {
    let role = match name.split('_').next().unwrap_or_default() {
        "player" | "attacker" => "player",
        "victim" | "target" => "target",
        _ => "",
    };
    let part = name.split_once('_').map_or("", |(_, part)| part);
    let team = match value {
        "american" => "allies",
        "german" => "axis",
        other => other,
    };
    let column = match (role, part, name) {
        ("player" | "target", "name" | "guid" | "x" | "y" | "z" | "pitch" | "yaw" | "stance", _) => {
            (format!("{role}_{part}"), value)
        }
        ("player" | "target", "team", _) => (format!("{role}_source_team"), team),
        ("player" | "target", "smf_id" | "member_id", _) => (format!("{role}_member_id"), value),
        (_, _, "pos_x" | "pos_y" | "pos_z" | "aim_pitch" | "aim_yaw") => (format!("player_{part}"), value),
        (_, _, "type") => ("type".to_owned(), canonical_type(value)),
        (_, _, "map_name") => ("source_map_name".to_owned(), value),
        (_, _, "maxclients") => ("max_clients".to_owned(), value),
        (
            _,
            _,
            "session_id" | "message" | "damage" | "inflictor" | "client_num" | "walked" | "sprinted" | "swam"
            | "driven" | "round_number" | "allies_score" | "axis_score" | "winning_team" | "player_count"
            | "duration" | "shots_fired" | "shots_hit",
        ) => (name.to_owned(), value),
        _ => return None,
    };
    Some((column.0, column.1.to_owned()))
}

/// What of a sent event is not in its row.
fn not_held(row: &Value, event: &SentEvent) -> Vec<String> {
    let values = stored_values(row);
    let is_same = |stored: &str, sent: &str| {
        stored == sent || (as_number(sent).is_some() && as_number(stored) == as_number(sent))
    };
    let mut problems = Vec::new();
    for (name, sent) in event {
        let is_found = match name.as_str() {
            "server_token" => !values.iter().any(|value| value.contains(sent)),
            "is_team" | "team_only" => row["team_only"] == json!(matches!(sent.as_str(), "1" | "true")),
            // By these scripts say that they know of none: they name no match, and are kept all the same.
            "match_id" if matches!(sent.as_str(), "no_match" | "match_sess_0.000_0.000") => {
                row["source_match_id"] == "" && values.iter().any(|value| is_same(value, sent))
            }
            "timestamp" if as_number(sent).is_some_and(|seconds| seconds > 1e9) => {
                row["sent_at"] == "2025-02-03 00:00:00.000"
            }
            "timestamp" => row["level_time"].as_f64() == sent.parse().ok(),
            _ => match expected_column(name, sent) {
                None => values.iter().any(|value| is_same(value, sent)),
                Some((column, expected)) => match &row[&column] {
                    Value::String(text) => is_same(text, &expected),
                    other => is_same(&other.to_string(), &expected),
                },
            },
        };
        // What the normal form renames must be there as it came, too.
        let is_kept = match name.as_str() {
            "server_token" | "is_team" | "team_only" | "match_id" | "session_id" | "timestamp" => true,
            _ => values.iter().any(|value| is_same(value, sent)),
        };
        if !is_found || !is_kept {
            problems.push(format!("{name}={sent}"));
        }
    }
    problems
}

#[actix_web::test]
async fn every_sample_is_accepted_and_each_of_its_values_can_be_found_again() {
    let service = Service::start("samples").await;
    let (token, server_id) = (service.client.token.clone(), service.server_id.to_string());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire");
    let mut samples = Vec::new();
    for generation in ["g1", "g2", "g3", "tools"] {
        let mut paths: Vec<_> =
            std::fs::read_dir(folder.join(generation)).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        samples.extend(paths.into_iter().map(|path| (generation, path)));
    }
    assert_eq!(samples.len(), 50, "samples are missing");

    let mut sent = Vec::new();
    for (number, (generation, path)) in samples.iter().enumerate() {
        let body = std::fs::read_to_string(path)
            .unwrap()
            .replace(PLACEHOLDER_TOKEN, &token)
            .replace("{{guid}}", "777")
            .replace("{{match_id}}", "match_of_tools");
        let events =
            if *generation == "g1" || *generation == "g2" { read_form(&body) } else { read_json(&body) };
        let key = format!("sample-{number}");
        // Scripts of the first two generations have no header for a token; all of them label bodies wrongly.
        let mut headers =
            vec![("Idempotency-Key", key.as_str()), ("Content-Type", "application/x-www-form-urlencoded")];
        let bearer = format!("Bearer {token}");
        match *generation {
            "g3" => headers.push(("X-Server-Token", &token)),
            "tools" => headers.push(("Authorization", &bearer)),
            _ => {}
        }
        let reply = service.client.post("/api/v1/ingest/events", &headers, body).await.unwrap();
        reply.assert_batch(202, events.len() as u64, &[]);
        sent.push((path.display().to_string(), key, events));
    }
    let mut missing = Vec::new();
    for (origin, key, events) in sent {
        let rows = service.warehouse.events_of(&key, events.len() as u64).await;
        for (row, event) in rows.iter().zip(&events) {
            assert_eq!(row["server_id"], server_id, "{origin}: the token alone says who speaks");
            let problems = not_held(row, event);
            if !problems.is_empty() {
                missing.push(format!("{origin}: {problems:?} in {row}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
    service.stop().await;
}

/// One damaged or unusual body: what is answered, and what the rows of its events must hold, in order.
struct Case {
    name: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: Vec<u8>,
    rejected: &'static [u64],
    expected: Vec<Value>,
}

impl Case {
    fn new(name: &'static str, body: impl Into<Vec<u8>>, expected: Vec<Value>) -> Self {
        Self { name, headers: &[], body: body.into(), rejected: &[], expected }
    }

    fn rejecting(self, rejected: &'static [u64]) -> Self {
        Self { rejected, ..self }
    }

    fn with(self, headers: &'static [(&'static str, &'static str)]) -> Self {
        Self { headers, ..self }
    }
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

#[actix_web::test]
async fn what_can_be_read_of_a_damaged_body_is_stored_and_the_rest_is_named() {
    let service = Service::start("damaged").await;
    let jump = |name: &str| json!({"type": "jump", "player_name": name});
    let cases = [
        Case::new("a form that is not UTF-8", b"type=jump&player_name=J\xfcrgen&player_guid=5", vec![jump("Jürgen")]),
        Case::new("JSON that is not UTF-8", b"[{\"type\":\"jump\",\"player_name\":\"Fran\xe7ois\"}]", vec![jump("François")]),
        Case::new("JSON that is UTF-8", "[{\"type\":\"jump\",\"player_name\":\"Зайцев\"}]", vec![jump("Зайцев")]),
        Case::new(
            "chat with unescaped text that looks like fields",
            "type=chat&player_name=A & B&player_guid=7&message=50% + 1; a=b & player_guid=9&type=kill&is_team=1",
            vec![json!({
                "type": "chat", "player_name": "A & B", "player_guid": "7", "team_only": true,
                "message": "50% + 1; a=b & player_guid=9&type=kill",
            })],
        ),
        Case::new(
            "the last of a repeated field",
            "type=jump&player_name=A+%zz&player_guid=1&player_guid=2",
            vec![json!({"player_name": "A+%zz", "player_guid": "2"})],
        ),
        Case::new(
            "words that are no numbers",
            "[{\"type\":\"damage\",\"damage\":nan,\"victim_x\":-nan(ind),\"victim_y\":inf,\"victim_z\":-0.000,\
             \"weapon\":NIL,\"victim_name\":NULL,\"victim_guid\":\"8\",\"timestamp\":1.5}]",
            vec![json!({
                "type": "damage", "damage": null, "target_x": null, "target_y": null, "target_z": 0,
                "target_guid": "8", "level_time": 1.5,
            })],
        ),
        Case::new("a form's words that are no numbers", "type=damage&damage=-nan(ind)&victim_x=1e3", vec![
            json!({"damage": null, "target_x": 1000}),
        ]),
        Case::new("a kill without an attacker", r#"[{"type":"kill","victim_guid":"8","victim_y":2}]"#, vec![
            json!({"kill_kind": "world", "player_id": "", "target_id": "8", "target_x": null, "target_y": 2}),
        ]),
        Case::new("a type that nobody knows", r#"{"type":"tank_stuck","weapon":"Panzer","mud":3.5}"#, vec![
            json!({"type": "tank_stuck", "extra": r#"{"mud":3.5}"#}),
        ]),
        Case::new(
            "JSON broken in the middle",
            r#"[{"type":"jump","player_name":"1"},{"type":"jump","player_name":"2",{"type":"jump","player_name":"3"},{"type":"jump","player_name":"4"}]"#,
            vec![jump("1"), jump("3"), jump("4")],
        )
        .rejecting(&[1]),
        Case::new("JSON cut short", r#"[{"type":"jump","player_name":"1"},{"type":"jump","player_na"#, vec![jump("1")])
            .rejecting(&[1]),
        Case::new(
            "array elements that are no events",
            r#"[7,{"type":"jump","player_name":"1"},{"no":"type"},{"type":""},{"type":4},"jump",null]"#,
            vec![jump("1")],
        )
        .rejecting(&[0, 2, 3, 4, 5, 6]),
        Case::new(
            "a bad line in a newline batch",
            "type=jump&player_name=1\nthis is no event\ntype=jump&player_name=3",
            vec![jump("1"), jump("3")],
        )
        .rejecting(&[1]),
        Case::new(
            "one object over many lines, with a nested player",
            "{\n  \"type\": \"jump\",\n  \"player\": {\n    \"guid\": \"g77\", \"name\": \"N\", \"smf_id\": 12, \"team\": \"german\"\n  }\n}\n",
            vec![json!({"type": "jump", "player_name": "N", "player_guid": "g77", "player_id": "12", "player_team": "axis"})],
        ),
        Case::new("NDJSON", "{\"type\":\"jump\",\"player_name\":\"1\"}\n{\"type\":\"jump\",\"player_name\":\"2\"}\n", vec![
            jump("1"),
            jump("2"),
        ]),
        Case::new("equal events", r#"[{"type":"jump","player_name":"1"},{"type":"jump","player_name":"1"}]"#, vec![
            jump("1"),
            jump("1"),
        ]),
        Case::new("a body that was a C string", b"\0\0 \n[{\"type\":\"jump\",\"player_name\":\"1\"}]\0\r\n\0", vec![jump("1")]),
        Case::new("JSON labelled as a form", r#"[{"type":"jump","player_name":"1"}]"#, vec![jump("1")])
            .with(&[("Content-Type", "application/x-www-form-urlencoded")]),
        Case::new("a form labelled as JSON", "type=jump&player_name=1", vec![jump("1")])
            .with(&[("Content-Type", "application/json")]),
        Case::new("a label that is none", "type=jump&player_name=1", vec![jump("1")])
            .with(&[("Content-Type", "???")]),
        Case::new("gzip", gzip(br#"[{"type":"jump","player_name":"1"}]"#), vec![jump("1")])
            .with(&[("Content-Encoding", "gzip")]),
        Case::new("zstd", zstd::encode_all(&b"type=jump&player_name=1"[..], 3).unwrap(), vec![jump("1")])
            .with(&[("Content-Encoding", "zstd")]),
    ];
    for (number, case) in cases.iter().enumerate() {
        let key = format!("case-{number}");
        let mut headers = vec![("Idempotency-Key", key.as_str())];
        headers.extend_from_slice(case.headers);
        let reply = service.client.send_with(&headers, case.body.clone()).await;
        println!("{}: {}", case.name, reply.text);
        reply.assert_batch(202, case.expected.len() as u64, case.rejected);
    }
    for (number, case) in cases.iter().enumerate() {
        let rows = service.warehouse.events_of(&format!("case-{number}"), case.expected.len() as u64).await;
        for (row, expected) in rows.iter().zip(&case.expected) {
            for (column, value) in expected.as_object().unwrap() {
                let is_equal =
                    row[column] == *value || (value.is_number() && row[column].as_f64() == value.as_f64());
                assert!(is_equal, "{}: {column} is {}, not {value}, in {row}", case.name, row[column]);
            }
        }
    }
    service.stop().await;
}

#[actix_web::test]
async fn addresses_tokens_and_passwords_reach_neither_store_nor_disk() {
    let service = Service::start("secrets").await;
    let secret = |number: u8| format!("s3cr3t-{number}-f00");
    let body = json!([{
        "type": "connect", "player_name": "Visitor", "ip": secret(1), "player_ip": secret(2), "address": secret(3),
        "auth_token": secret(4), "password": secret(5), "match_token": secret(6), "server_token": secret(7),
        "player": {"guid": "5", "ip": secret(8)}, "nested": {"deeper": [{"some_token": secret(9)}]},
    }]);
    service.client.send_with(&[("Idempotency-Key", "secrets")], body.to_string()).await.assert_batch(
        202,
        1,
        &[],
    );
    let rows = service.warehouse.events_of("secrets", 1).await;
    assert_eq!(rows[0]["player_name"], "Visitor");
    assert!(!rows[0].to_string().contains("s3cr3t"), "{}", rows[0]);

    let hides =
        |haystack: &[u8], needle: &str| !haystack.windows(needle.len()).any(|part| part == needle.as_bytes());
    let mut was_spooled = false;
    for path in service.files() {
        let content = std::fs::read(&path).unwrap();
        was_spooled |= !hides(&content, "Visitor");
        assert!(hides(&content, "s3cr3t"), "{}", path.display());
        assert!(hides(&content, &service.client.token), "{} holds the server's token", path.display());
    }
    assert!(was_spooled, "the event was nowhere on disk: this test looks in the wrong place");
    service.stop().await;
}

#[actix_web::test]
async fn the_first_token_of_a_newline_batch_speaks_for_all_its_lines() {
    let service = Service::start("first_token").await;
    let (_, other_token) = service.add_server("Other").await;
    let body = format!(
        "type=jump&server_token={}&server_id=a\ntype=jump&server_token={other_token}&server_id=b\ntype=jump",
        service.client.token
    );
    let headers = [("Idempotency-Key", "lines")];
    let reply = service.client.post("/api/v1/ingest/events", &headers, body).await.unwrap();
    reply.assert_batch(202, 3, &[]);
    let rows = service.warehouse.events_of("lines", 3).await;
    assert!(rows.iter().all(|row| row["server_id"] == service.server_id.to_string()), "{rows:?}");
    service.stop().await;
}
