//! What the decoder does with each peculiarity of the scripts in the field, one test a rule.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod fields;
mod forms;
mod framing;
mod secrets;
mod time;
mod values;
mod vocabulary;

use mohaa_domain::event::Event;
use mohaa_domain::wire::{self, Decoded, Limits, RejectReason};
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
