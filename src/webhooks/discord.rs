//! Messages as Discord's webhooks take them: one embed, with everything that people chose as plain text.
//!
//! Whatever a name looks like, it formats nothing, links nothing and calls nobody: characters of Discord's markdown are
//! escaped, and `allowed_mentions` allows none.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

/// Discord's own limits, in characters.
const LONGEST_FIELD_NAME: usize = 256;
const LONGEST_FIELD_VALUE: usize = 1_024;
const MOST_FIELDS: usize = 25;
/// Values of fields, so that an embed stays below its 6,000 characters in all.
const LONGEST_VALUE_SHOWN: usize = 180;
/// Olive drab.
const COLOUR: u32 = 0x006b_8e23;

/// The body of a message. Members of `data` that are texts, numbers or truths become fields, in the order of their names.
pub(super) fn message(event: &str, at: DateTime<Utc>, data: &Value) -> Value {
    let members = data.as_object().into_iter().flatten();
    let fields: Vec<Value> = members
        .filter_map(|(name, value)| Some((name, text_of(value)?)))
        .filter(|(_, text)| !text.trim().is_empty())
        .take(MOST_FIELDS)
        .map(|(name, text)| {
            json!({
                "name": cut(&escaped(&name.replace('_', " ")), LONGEST_FIELD_NAME),
                "value": cut(&escaped(&cut(&text, LONGEST_VALUE_SHOWN)), LONGEST_FIELD_VALUE),
                "inline": true,
            })
        })
        .collect();
    json!({
        "embeds": [{
            "title": title_of(event),
            "color": COLOUR,
            "timestamp": at.to_rfc3339_opts(SecondsFormat::Millis, true),
            "fields": fields,
        }],
        "allowed_mentions": { "parse": [] },
    })
}

fn title_of(event: &str) -> &'static str {
    match event {
        "registration" => "Registration",
        "checkin_open" => "Check-in is open",
        "match_ready" => "A match is ready",
        "result" => "Result",
        "dispute" => "A result is disputed",
        "completed" => "The tournament is over",
        "achievement" => "Achievement unlocked",
        _ => "Test: this webhook works",
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(if *truth { "yes" } else { "no" }.to_owned()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// In one line, with markdown taken at its word; a colon is escaped so that an address is no link.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' | '*' | '_' | '~' | '`' | '|' | '>' | '#' | '-' | '[' | ']' | '(' | ')' | '<' | ':'
            | '@' => {
                escaped.extend(['\\', character]);
            }
            character if character.is_control() => escaped.push(' '),
            character => escaped.push(character),
        }
    }
    escaped
}

/// Of a text that is too long the beginning; a backslash at the cut would escape what comes after it.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let beginning: String = text.chars().take(most - 1).collect();
    format!("{}…", beginning.trim_end_matches('\\'))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_people_chose_formats_nothing_and_calls_nobody() {
        let data = json!({
            "player_name": "**@everyone** <@123> [x](http://evil.example) `a`\n# big",
            "nothing": null,
            "list": ["left out"],
            "kills": 12,
            "final": true,
        });
        let message = message("result", DateTime::UNIX_EPOCH, &data);
        assert_eq!(message["allowed_mentions"], json!({ "parse": [] }));
        let embed = &message["embeds"][0];
        assert_eq!(
            (&embed["title"], &embed["timestamp"]),
            (&json!("Result"), &json!("1970-01-01T00:00:00.000Z"))
        );
        let values: Vec<&str> = embed["fields"]
            .as_array()
            .unwrap()
            .iter()
            .map(|field| field["value"].as_str().unwrap())
            .collect();
        assert_eq!(
            values,
            ["yes", "12", r"\*\*\@everyone\*\* \<\@123\> \[x\]\(http\://evil.example\) \`a\` \# big",]
        );
        assert!(!message.to_string().contains("\"content\""));
    }

    #[test]
    fn a_message_stays_within_discords_limits() {
        let data: serde_json::Map<String, Value> =
            (0..40).map(|number| (format!("field_{number:02}"), json!("*".repeat(3_000)))).collect();
        let message = message("test", Utc::now(), &Value::Object(data));
        let fields = message["embeds"][0]["fields"].as_array().unwrap();
        assert_eq!(fields.len(), 25);
        let chars = |value: &Value| value.as_str().unwrap().chars().count();
        for field in fields {
            assert!(chars(&field["name"]) <= 256 && chars(&field["value"]) <= 1_024);
            assert!(!field["value"].as_str().unwrap().ends_with('\\'));
        }
    }
}
