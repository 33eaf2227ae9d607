//! Which timestamps are level.time, and which the sender's own.

use mohaa_domain::event::Millis;

use crate::{decode, extra, json_event};

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
