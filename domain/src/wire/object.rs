//! The members of one JSON object, by the rules for events: for bodies of scripts that are no events.

use serde_json::{Map, Value as JsonValue};

use super::json::{Scanner, Value};

/// The object that the text begins with; none where it begins with something else or can't be read. What JSON has no
/// number for (`nan`, `1e400`) is the text that stands there; of a repeated name the last value holds.
pub fn to_object(text: &str) -> Option<Map<String, JsonValue>> {
    let mut object = Map::new();
    let read = Scanner::new(text).members(|key, value| {
        let value = match value {
            Value::Text(text) => JsonValue::String(text.into_owned()),
            Value::Number(token) => {
                serde_json::from_str(token).unwrap_or_else(|_| JsonValue::String(token.to_owned()))
            }
            Value::Word(word) => JsonValue::String(word.to_owned()),
            Value::Bool(is_true) => JsonValue::Bool(is_true),
            Value::Null => JsonValue::Null,
            Value::Nested(text) => serde_json::from_str(text).unwrap_or_default(),
        };
        object.insert(key.to_owned(), value);
    });
    read.is_ok().then_some(object)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::to_object;

    #[test]
    fn what_is_json_is_read_as_json_and_what_scripts_write_beyond_it_as_text() {
        let strict = r#"{"a": "x\n", "b": -1.5, "c": [1, {"d": null}], "e": true, "f": null}"#;
        assert_eq!(
            to_object(strict).map(serde_json::Value::Object).as_ref(),
            serde_json::from_str(strict).ok().as_ref()
        );
        let loose = r#"{"match_id": "evening", "duration": -nan(ind), "score": 1e400, "players": [nan], "winner": NIL,}"#;
        assert_eq!(
            to_object(loose).map(serde_json::Value::Object),
            Some(
                json!({"match_id": "evening", "duration": "-nan(ind)", "score": "1e400", "players": null, "winner": "NIL"})
            )
        );
        for other in ["", "[1]", "match_id=evening", r#"{"a" 1}"#, r#"{"a": 1 "b": 2}"#] {
            assert_eq!(to_object(other), None, "{other}");
        }
    }
}
