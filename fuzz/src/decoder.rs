//! Bodies of requests: every element is accounted for once, every event can be stored as it is, no secret is kept, and
//! memory is bounded by the body.

use mohaa_domain::event::{Event, SecretText, Stamp};
use mohaa_domain::row;
use mohaa_domain::wire::{self, DecodeError, Decoded, Limits};
use serde_json::Value;

use crate::memory::most_held;

/// Few, so that the limit is met.
const LIMITS: Limits = Limits { max_events: 50 };
/// A control character takes six bytes in JSON, and a value may stand in its own place, in the block that held it and
/// in `extra`; buffers double when they grow.
const BYTES_HELD_PER_BYTE: usize = 64;
const BYTES_HELD_PER_EVENT: usize = 8 << 10;
/// What stands around the levels that are kept: the object itself.
const DEEPEST_EXTRA: usize = 34;

pub fn check(body: &[u8]) {
    let (decoded, held) = most_held(|| wire::decode(body, LIMITS));
    let bound = BYTES_HELD_PER_BYTE * body.len() + BYTES_HELD_PER_EVENT * LIMITS.max_events;
    assert!(held <= bound, "{held} bytes are held for a body of {}", body.len());
    let decoded = match decoded {
        Ok(decoded) => decoded,
        Err(DecodeError::TooManyEvents { limit }) => return assert_eq!(limit, LIMITS.max_events),
    };
    check_elements(&decoded);
    decoded.events.iter().for_each(check_event);
    let again = wire::decode(body, LIMITS).expect("it could be read before");
    assert_eq!(decoded.events, again.events);
    assert_eq!(decoded.rejected, again.rejected);
}

fn check_elements(decoded: &Decoded) {
    let elements = decoded.events.len() + decoded.rejected.len();
    assert!(elements <= LIMITS.max_events, "{elements} elements");
    assert!(decoded.rejected.is_sorted_by(|left, right| left.index < right.index), "{:?}", decoded.rejected);
    assert!(decoded.rejected.iter().all(|rejected| rejected.index < elements), "{:?}", decoded.rejected);
}

/// What holds for every event that was ever decoded.
pub fn check_event(event: &Event) {
    assert!(!event.source_type.is_empty() && event.source_type.chars().count() <= 64);
    for text in texts(event) {
        assert!(!text.contains('\0'), "{text:?} holds NUL");
    }
    assert!(event.level_time.is_none_or(|seconds| seconds.is_finite() && seconds >= 0.0));
    for number in decimals(event).into_iter().flatten() {
        assert!(number.is_finite() && (number != 0.0 || number.is_sign_positive()), "{number}");
    }
    if !event.extra.is_empty() {
        let extra: Value = serde_json::from_str(&event.extra)
            .unwrap_or_else(|error| panic!("extra is no JSON: {error}: {}", event.extra));
        let fields = extra.as_object().expect("extra is an object");
        assert!(!fields.is_empty());
        check_kept(&extra, 1);
    }
    check_row(event, &Stamp::default());
}

/// A stamped event is a row, and the row is that event; the match's token is for nobody to read.
pub fn check_row(event: &Event, stamp: &Stamp) {
    let mut bytes = Vec::new();
    row::encode(event, stamp, &mut bytes);
    let (read_event, read_stamp) =
        row::decode(&bytes, row::COLUMNS.len()).unwrap_or_else(|error| panic!("{error} of {event:?}"));
    let expected =
        Event { match_token: SecretText::default(), claim_code: SecretText::default(), ..event.clone() };
    assert_eq!((&read_event, &read_stamp), (&expected, stamp));
}

fn check_kept(value: &Value, depth: usize) {
    assert!(depth <= DEEPEST_EXTRA, "extra is {depth} levels deep");
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                assert!(!is_secret(name), "extra keeps {name}");
                check_kept(value, depth + 1);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| check_kept(value, depth + 1)),
        _ => {}
    }
}

/// Names of addresses, tokens and passwords, as the contract lists them.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(
        name.as_str(),
        "ip" | "player_ip" | "address" | "auth_token" | "password" | "server_token" | "match_token"
    ) || name.ends_with("_token")
        || name.ends_with("_ip")
}

fn texts(event: &Event) -> impl Iterator<Item = &str> {
    let Event { player, target, .. } = event;
    [
        event.source_type.as_str(),
        &event.source_match_id,
        &event.session_id,
        &event.map_name,
        &player.name,
        &player.guid,
        &player.member_id,
        &player.stance,
        &target.name,
        &target.guid,
        &target.member_id,
        &target.stance,
        &event.weapon_name,
        &event.hitloc,
        &event.means_of_death,
        &event.inflictor,
        &event.item,
        &event.message,
        &event.extra,
    ]
    .into_iter()
}

fn decimals(event: &Event) -> [Option<f32>; 16] {
    let Event { player, target, .. } = event;
    [
        player.x,
        player.y,
        player.z,
        player.pitch,
        player.yaw,
        target.x,
        target.y,
        target.z,
        target.pitch,
        target.yaw,
        event.damage,
        event.duration,
        event.walked,
        event.sprinted,
        event.swam,
        event.driven,
    ]
}
