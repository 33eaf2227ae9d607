//! What templates can call: see `templates/README.md`, which says what each does.

use chrono::{DateTime, Utc};
use mohaa_domain::weapon;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tera::{Kwargs, State, Tera, TeraResult, Value};

use super::text;
use crate::http::assets::Assets;

const UNKNOWN: &str = "–";

/// Everything but unreserved characters. A slash too is encoded: it may be part of a name, and `%2F` is understood
/// wherever a name with slashes is.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(super) fn register(tera: &mut Tera, assets: Assets) {
    tera.register_function("asset", move |arguments: Kwargs, _: &State| -> TeraResult<String> {
        let path: String = arguments.must_get("path")?;
        let url = assets.url(&path).map(str::to_owned);
        url.ok_or_else(|| tera::Error::message(format!("there is no static file {path}")))
    });
    tera.set_escape_fn(text::escape);
    tera.register_filter("player_name", |name: Value, _: Kwargs, _: &State| -> TeraResult<Value> {
        text::name_html(word(&name)).map(|html| safe(&html)).map_err(tera::Error::message)
    });
    tera.register_filter("exact", |value: Value, _: Kwargs, _: &State| {
        safe(&text::exact_value(word(&value)))
    });
    tera.register_filter("player_id", |id: Value, _: Kwargs, _: &State| text::spelled_id(word(&id)));
    tera.register_filter("number", |value: Value, arguments: Kwargs, _: &State| -> TeraResult<String> {
        let decimals: u8 = arguments.get("decimals")?.unwrap_or(0);
        Ok(value.as_f64().map_or(UNKNOWN.to_owned(), |number| grouped(number, decimals.into())))
    });
    tera.register_filter("duration", |value: Value, _: Kwargs, _: &State| {
        value.as_f64().map_or(UNKNOWN.to_owned(), clock_face)
    });
    tera.register_filter("ago", |value: Value, _: Kwargs, _: &State| {
        moment(&value, "age", |at| (time_ago(at, Utc::now()), at.format("%Y-%m-%d %H:%M UTC").to_string()))
    });
    tera.register_filter("datetime", |value: Value, _: Kwargs, _: &State| {
        moment(&value, "at", |at| {
            (at.format("%Y-%m-%d %H:%M").to_string(), at.format("%Y-%m-%d %H:%M:%S UTC").to_string())
        })
    });
    tera.register_filter("team_label", |team: Value, _: Kwargs, _: &State| team_label(word(&team)));
    tera.register_filter("gametype_label", |name: Value, _: Kwargs, _: &State| game_type_label(word(&name)));
    tera.register_filter("weapon_name", |slug: Value, _: Kwargs, _: &State| {
        weapon::by_slug(word(&slug)).map_or_else(|| word(&slug).to_owned(), |weapon| weapon.name.to_owned())
    });
    tera.register_filter("path_encode", |path: Value, _: Kwargs, _: &State| {
        let path = path.as_str().map_or_else(|| path.to_string(), str::to_owned);
        path_encode(&path)
    });
}

/// One part of a path.
pub(super) fn path_encode(part: &str) -> String {
    utf8_percent_encode(part, PATH).to_string()
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn safe(html: &str) -> Value {
    Value::safe_string(html)
}

/// `1234567.89` → `1,234,567.9`.
pub(super) fn grouped(number: f64, decimals: usize) -> String {
    let text = format!("{:.decimals$}", number.abs());
    let (whole, fraction) =
        text.split_once('.').map_or((text.as_str(), None), |(whole, rest)| (whole, Some(rest)));
    let mut shown = String::with_capacity(text.len() + 6);
    let is_zero = text.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    if number < 0.0 && !is_zero {
        shown.push('−');
    }
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    if let Some(fraction) = fraction {
        shown.push('.');
        shown.push_str(fraction);
    }
    shown
}

/// Seconds → `12:34`, from an hour on `1:02:03`.
pub(super) fn clock_face(seconds: f64) -> String {
    let seconds = seconds.max(0.0) as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// A `<time>` element around what `shown` makes of a moment: text and title. `static/js/times.js` tells by `kind` how to say it in the
/// reader's zone.
fn moment(value: &Value, kind: &str, shown: impl FnOnce(DateTime<Utc>) -> (String, String)) -> Value {
    let Some(at) = value.as_str().and_then(|text| text.parse::<DateTime<Utc>>().ok()) else {
        return safe(UNKNOWN);
    };
    let (label, title) = shown(at);
    let machine = at.format("%Y-%m-%dT%H:%M:%SZ");
    safe(&format!("<time datetime=\"{machine}\" title=\"{title}\" data-{kind}>{label}</time>"))
}

fn time_ago(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let minutes = (now - at).num_minutes();
    match minutes {
        ..1 => "just now".to_owned(),
        1..60 => format!("{minutes} min ago"),
        60..1440 => format!("{} h ago", minutes / 60),
        1440..43_200 => format!("{} d ago", minutes / 1440),
        _ => at.format("%Y-%m-%d").to_string(),
    }
}

fn team_label(team: &str) -> &'static str {
    match team {
        "allies" => "Allies",
        "axis" => "Axis",
        "spectator" => "Spectators",
        "freeforall" => "Free for all",
        _ => "No side",
    }
}

pub(super) fn game_type_label(word: &str) -> &'static str {
    match word {
        "single" => "Single player",
        "ffa" => "Free for all",
        "tdm" => "Team deathmatch",
        "rounds" => "Round-based",
        "objective" => "Objective",
        "tow" => "Tug of war",
        "liberation" => "Liberation",
        _ => "Unknown game type",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!(grouped(1_234_567.0, 0), "1,234,567");
        assert_eq!(grouped(999.0, 0), "999");
        assert_eq!(grouped(1000.05, 1), "1,000.0");
        assert_eq!(grouped(-1234.5, 1), "−1,234.5");
        assert_eq!(grouped(-0.01, 1), "0.0");
    }

    #[test]
    fn spans_and_ages_are_short() {
        assert_eq!(clock_face(754.9), "12:34");
        assert_eq!(clock_face(3723.0), "1:02:03");
        let now: DateTime<Utc> = "2026-11-22T10:00:00Z".parse().unwrap();
        let ago = |text: &str| time_ago(text.parse().unwrap(), now);
        assert_eq!(ago("2026-11-22T09:59:30Z"), "just now");
        assert_eq!(ago("2026-11-22T09:46:00Z"), "14 min ago");
        assert_eq!(ago("2026-11-20T09:46:00Z"), "2 d ago");
        assert_eq!(ago("2025-11-20T09:46:00Z"), "2025-11-20");
    }
}
