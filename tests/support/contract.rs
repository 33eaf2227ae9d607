//! The published contract, and whether an answer is as it says. Every answer that a test gets goes through
//! [`assert_kept`], so that each flow that any test plays is a test of the OpenAPI document too.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{LazyLock, Mutex};

use chrono::{DateTime, NaiveDate};
use serde_json::{Map, Value};
use uuid::Uuid;

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::to_value(mohaa_stats::openapi::document()).unwrap());
static OPERATIONS: LazyLock<Vec<Operation>> = LazyLock::new(operations);

/// Answers that were looked at: a hundred equal ones are looked at once.
static KEPT: LazyLock<Mutex<HashSet<u64>>> = LazyLock::new(Mutex::default);

/// Statuses that the server, not a handler, gives to what is no request of this API.
const OF_THE_SERVER: [u16; 3] = [400, 405, 431];

/// A call that the document lists.
#[derive(Clone, Debug)]
pub struct Operation {
    pub method: String,
    pub path: String,
    pub described: &'static Value,
}

impl Operation {
    pub fn all() -> &'static [Operation] {
        &OPERATIONS
    }

    /// The operation that answers this path; where several could, that with the most fixed segments.
    pub fn of(method: &str, path: &str) -> Option<&'static Operation> {
        let path = path.split('?').next().unwrap_or_default();
        let fitting = OPERATIONS.iter().filter(|it| it.method == method && fits(&it.path, path));
        // Of those with as many words the one whose words come first, as the router has them.
        let words = |it: &&Operation| -> Vec<bool> {
            it.path.split('/').map(|segment| !segment.starts_with('{')).collect()
        };
        fitting.max_by_key(|it| {
            let words = words(it);
            (words.iter().filter(|is_word| **is_word).count(), words)
        })
    }

    pub fn statuses(&self) -> Vec<u16> {
        let responses = self.described["responses"].as_object().unwrap();
        responses.keys().map(|status| status.parse().unwrap()).collect()
    }

    /// Names of its parameters of a kind (`path`, `query`, `header`).
    pub fn parameters(&self, kind: &str) -> Vec<&'static str> {
        let all = self.described["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
        all.iter().filter(|it| it["in"] == kind).map(|it| it["name"].as_str().unwrap()).collect()
    }

    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    fn breach(&self, status: u16, content_type: &str, body: &str) -> Option<String> {
        let Some(response) = self.described["responses"].get(status.to_string()) else {
            return Some(format!("status {status} is not documented"));
        };
        let documented = response["content"].as_object();
        if body.is_empty() {
            // A table without rows is a text without lines.
            let may_be_empty = |it: &Map<String, Value>| it.is_empty() || it.contains_key("text/csv");
            return documented.is_some_and(|it| !may_be_empty(it)).then(|| format!("{status} has no body"));
        }
        let bare_type = content_type.split(';').next().unwrap_or_default();
        let Some(schema) = documented.and_then(|it| it.get(bare_type)).map(|it| &it["schema"]) else {
            return Some(format!("{status} as {content_type:?} is not documented"));
        };
        if bare_type != "application/json" {
            return None;
        }
        let value: Value = match serde_json::from_str(body) {
            Ok(value) => value,
            Err(error) => return Some(format!("{status} is no JSON: {error}")),
        };
        let mut breaches = Vec::new();
        check(schema, &value, "", &mut breaches);
        (!breaches.is_empty()).then(|| format!("{status}: {}", breaches.join("; ")))
    }
}

/// Panics where the document has this call, and not this answer.
#[track_caller]
pub fn assert_kept(method: &str, path: &str, status: u16, content_type: &str, body: &str) {
    let Some(operation) = Operation::of(method, path) else { return };
    if OF_THE_SERVER.contains(&status) && !operation.statuses().contains(&status) {
        return;
    }
    let mut hasher = DefaultHasher::new();
    (method, path, status, content_type, body).hash(&mut hasher);
    if !KEPT.lock().unwrap().insert(hasher.finish()) {
        return;
    }
    if let Some(breach) = operation.breach(status, content_type, body) {
        let start: String = body.chars().take(600).collect();
        panic!("{method} {path} is not as documented under {}: {breach}\n{start}", operation.path);
    }
}

fn operations() -> Vec<Operation> {
    let mut found = Vec::new();
    for (path, item) in DOCUMENT["paths"].as_object().unwrap() {
        for (method, described) in item.as_object().unwrap() {
            found.push(Operation { method: method.to_uppercase(), path: path.clone(), described });
        }
    }
    found
}

/// Names that hold slashes: a map's, and a player's.
fn may_hold_slashes(parameter: &str) -> bool {
    matches!(parameter, "{map}" | "{name}")
}

fn fits(template: &str, path: &str) -> bool {
    let template: Vec<&str> = template.split('/').collect();
    let path: Vec<&str> = path.split('/').collect();
    fits_segments(&template, &path)
}

fn fits_segments(template: &[&str], path: &[&str]) -> bool {
    match (template, path) {
        ([], []) => true,
        ([first, template @ ..], [segment, rest @ ..]) if first.starts_with('{') => {
            !segment.is_empty()
                && (fits_segments(template, rest)
                    || may_hold_slashes(first)
                        && (1..rest.len() + 1).any(|more| fits_segments(template, &rest[more..])))
        }
        ([first, template @ ..], [segment, rest @ ..]) => first == segment && fits_segments(template, rest),
        _ => false,
    }
}

fn resolved(schema: &'static Value) -> &'static Value {
    let Some(reference) = schema["$ref"].as_str() else { return schema };
    let name = reference.strip_prefix("#/components/schemas/").unwrap();
    let found = &DOCUMENT["components"]["schemas"][name];
    assert!(found.is_object(), "{reference} leads nowhere");
    resolved(found)
}

/// Adds to `breaches` whatever of `value` is not as `schema` says: also members that it does not list.
fn check(schema: &'static Value, value: &Value, place: &str, breaches: &mut Vec<String>) {
    let schema = resolved(schema);
    if let Some(choices) = schema["oneOf"].as_array() {
        let fitting = choices.iter().filter(|choice| {
            let mut own = Vec::new();
            check(choice, value, place, &mut own);
            own.is_empty()
        });
        if fitting.count() != 1 {
            let null = |choice: &&Value| choice["type"] == "null";
            match choices.iter().filter(|choice| !null(choice)).collect::<Vec<_>>().as_slice() {
                // The only other thing that it can be says what is wrong.
                [only] if !value.is_null() => check(only, value, place, breaches),
                _ => breaches.push(format!("{place} is none of those documented: {value}")),
            }
        }
        return;
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        breaches.push(format!("{place} is {value}, not one of {words:?}"));
    }
    if !has_type(&schema["type"], value) {
        breaches.push(format!("{place} is {value}, not {}", schema["type"]));
        return;
    }
    match value {
        Value::Object(members) => check_members(schema, members, place, breaches),
        Value::Array(items) => {
            let inner = &schema["items"];
            assert!(inner.is_object(), "{place}: a list of nobody knows what");
            for (index, item) in items.iter().enumerate() {
                check(inner, item, &format!("{place}[{index}]"), breaches);
            }
        }
        Value::String(text) => check_format(&schema["format"], text, place, breaches),
        Value::Number(number) => {
            let least = schema["minimum"].as_f64().unwrap_or(f64::NEG_INFINITY);
            if number.as_f64().is_some_and(|number| number < least) {
                breaches.push(format!("{place} is {number}, less than {least}"));
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

fn check_members(
    schema: &'static Value,
    members: &Map<String, Value>,
    place: &str,
    breaches: &mut Vec<String>,
) {
    let parts = object_parts(schema);
    for part in &parts {
        for name in part["required"].as_array().into_iter().flatten() {
            let name = name.as_str().unwrap();
            if !members.contains_key(name) {
                breaches.push(format!("{place}.{name} is missing"));
            }
        }
    }
    let says_nothing =
        parts.iter().all(|part| part["properties"].is_null() && part["additionalProperties"].is_null());
    for (name, value) in members {
        let inner = format!("{place}.{name}");
        let described = parts.iter().find_map(|part| part["properties"].get(name));
        let any_name = parts.iter().map(|part| &part["additionalProperties"]).find(|it| it.is_object());
        match described.or(any_name) {
            Some(schema) => check(schema, value, &inner, breaches),
            None if says_nothing => {}
            None => breaches.push(format!("{inner} is not documented: {value}")),
        }
    }
}

/// What an object is put together from.
fn object_parts(schema: &'static Value) -> Vec<&'static Value> {
    let schema = resolved(schema);
    match schema["allOf"].as_array() {
        Some(parts) => parts.iter().flat_map(object_parts).collect(),
        None => vec![schema],
    }
}

fn has_type(documented: &Value, value: &Value) -> bool {
    match documented {
        Value::Null => true,
        Value::Array(several) => several.iter().any(|one| has_type(one, value)),
        one => match (one.as_str().unwrap(), value) {
            ("string", Value::String(_))
            | ("number", Value::Number(_))
            | ("boolean", Value::Bool(_))
            | ("array", Value::Array(_))
            | ("object", Value::Object(_))
            | ("null", Value::Null) => true,
            ("integer", Value::Number(number)) => number.is_i64() || number.is_u64(),
            ("string" | "number" | "integer" | "boolean" | "array" | "object" | "null", _) => false,
            (unknown, _) => panic!("a type {unknown} is documented"),
        },
    }
}

fn check_format(format: &Value, text: &str, place: &str, breaches: &mut Vec<String>) {
    let is_right = match format.as_str() {
        Some("date-time") => DateTime::parse_from_rfc3339(text).is_ok_and(|_| text.ends_with('Z')),
        Some("uuid") => Uuid::parse_str(text).is_ok(),
        Some("date") => text.parse::<NaiveDate>().is_ok(),
        None => true,
        Some(unknown) => panic!("{place}: a format {unknown} of text is documented"),
    };
    if !is_right {
        breaches.push(format!("{place} is {text:?}, no {format}"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn breaches(schema: Value, value: Value) -> Vec<String> {
        let mut found = Vec::new();
        check(Box::leak(Box::new(schema)), &value, "", &mut found);
        found
    }

    #[test]
    fn a_checker_of_answers_sees_what_is_missing_wrong_or_not_documented() {
        let entry = json!({"type": "object", "required": ["id", "at"], "properties": {
            "id": {"type": "integer", "minimum": 0}, "at": {"type": ["string", "null"], "format": "date-time"},
            "inner": {"oneOf": [{"type": "null"}, {"type": "object", "required": ["x"],
                "properties": {"x": {"type": "string", "format": "uuid"}}}]}}});
        let wrong = |value: Value| breaches(entry.clone(), value);
        assert_eq!(wrong(json!({"id": 1, "at": null, "inner": null})), Vec::<String>::new());
        assert_eq!(wrong(json!({"id": 1})), [".at is missing"]);
        assert_eq!(wrong(json!({"id": -1, "at": null})), [".id is -1, less than 0"]);
        assert_eq!(wrong(json!({"id": 1.5, "at": null})), [".id is 1.5, not \"integer\""]);
        assert_eq!(wrong(json!({"id": 1, "at": "soon"})), [".at is \"soon\", no \"date-time\""]);
        assert_eq!(wrong(json!({"id": 1, "at": null, "more": 2})), [".more is not documented: 2"]);
        assert_eq!(wrong(json!({"id": 1, "at": null, "inner": {}})), [".inner.x is missing"]);
        assert_eq!(
            breaches(json!({"type": "array", "items": entry}), json!([{"id": 1}])),
            ["[0].at is missing"]
        );
    }

    #[test]
    fn a_path_is_that_of_the_operation_with_the_most_of_it() {
        let of = |path: &str| Operation::of("GET", path).map(|it| it.path.as_str());
        assert_eq!(of("/api/v1/stats/maps/obj/obj_team2"), Some("/api/v1/stats/maps/{map}"));
        assert_eq!(
            of("/api/v1/stats/maps/obj/obj_team2/heatmap?kind=x"),
            Some("/api/v1/stats/maps/{map}/heatmap")
        );
        assert_eq!(of("/api/v1/stats/leaderboard/weekly"), Some("/api/v1/stats/leaderboard/weekly"));
        assert_eq!(
            of("/api/v1/stats/player/7/heatmap/dm/mohdm1"),
            Some("/api/v1/stats/player/{guid}/heatmap/{map}")
        );
        assert_eq!(of("/api/v1/users/me/players"), Some("/api/v1/users/me/players"));
        assert_eq!(of("/players/7"), None);
    }
}
