//! Bodies as handlers take them, and extractors of the framework, made to answer in our own error shape.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::error::{JsonPayloadError, PathError, UrlencodedError};
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpRequest, web};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::ApiError;

/// Bodies that people and programs send to the API; ingest has its own, larger cap.
const MAX_JSON_BYTES: usize = 256 * 1024;

/// Makes the framework's extractors fail in our own shape.
pub fn configure_extractors(config: &mut web::ServiceConfig) {
    config
        .app_data(web::JsonConfig::default().limit(MAX_JSON_BYTES).error_handler(json_error))
        .app_data(web::PathConfig::default().error_handler(path_error))
        .app_data(web::FormConfig::default().limit(MAX_JSON_BYTES).error_handler(form_error));
}

/// What a body holds as JSON or as a form, whatever it is labelled as and however it is encoded: scripts and devices
/// label it wrongly. NUL bytes and white space around it are residue of C strings, and numbers may be `nan`.
pub fn json_or_form<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    let text = mohaa_domain::wire::to_text(body);
    let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
    let as_scripts_write = || {
        let object = mohaa_domain::wire::to_object(text)?;
        serde_json::from_value(Value::Object(object)).ok()
    };
    let as_form = || serde_qs::from_str(&with_single_ands_escaped(text)).ok();
    serde_json::from_str(text).ok().or_else(as_scripts_write).or_else(as_form)
}

/// A form in which an `&` that begins no field is a part of the value before it: scripts escape nothing
/// (`name=Tom & Jerry&port=12203`).
fn with_single_ands_escaped(form: &str) -> String {
    let mut escaped = String::with_capacity(form.len());
    for (number, part) in form.split('&').enumerate() {
        if number > 0 {
            escaped.push_str(if part.contains('=') { "&" } else { "%26" });
        }
        escaped.push_str(part);
    }
    escaped
}

/// A JSON body, labelled as such. What can't be used of it is named by its field.
#[derive(Debug)]
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for JsonBody<T> {
    type Error = actix_web::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, actix_web::Error>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = web::Json::<Value>::from_request(request, payload);
        Box::pin(async move { Ok(Self(from_json(body.await?.into_inner())?)) })
    }
}

/// What a JSON value holds.
///
/// # Errors
/// 422 that names the field.
pub fn from_json<T: DeserializeOwned>(value: Value) -> Result<T, ApiError> {
    if let Some(name) = text_with_nul(&value) {
        return Err(ApiError::invalid_field(&name, "holds a NUL character"));
    }
    // Else the first item would be taken for the first field.
    if value.is_array() {
        return Err(ApiError::invalid_field("body", "must be an object"));
    }
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let why = error.into_inner().to_string();
        // What is missing, or too much, is told about the object that it is missing from.
        let member = |begin: &str| why.strip_prefix(begin).and_then(|rest| rest.split('`').next());
        let (member, why) = match (member("missing field `"), member("unknown field `")) {
            (Some(member), _) => (Some(member), "is needed".to_owned()),
            (_, Some(member)) => (Some(member), "is not known here".to_owned()),
            _ => (None, in_plain_words(&why)),
        };
        let name = match member {
            Some(member) if path == "." || path == member => member.to_owned(),
            Some(member) if path.ends_with(&format!(".{member}")) => path,
            Some(member) => format!("{path}.{member}"),
            None if path == "." => "body".to_owned(),
            None => path,
        };
        ApiError::invalid(BTreeMap::from([(shortened(&name), why)]))
    })
}

/// What `chrono` says of a text that is no time.
const NO_TIME: [&str; 7] = [
    "input contains invalid characters",
    "premature end of input",
    "input is out of range",
    "input is not enough for unique date and time",
    "no possible date and time matching input",
    "trailing input",
    "bad or unsupported format string",
];

/// What `serde` has against a value, for whoever knows neither it nor Rust. What was sent is left out: it may be long, and
/// the sender has it.
fn in_plain_words(why: &str) -> String {
    let expected = || why.rsplit_once(", expected ").map(|(_, expected)| expected);
    if why.starts_with("unknown variant `") {
        let known: Vec<&str> = expected().unwrap_or_default().split('`').skip(1).step_by(2).collect();
        return match &known[..] {
            [] => "is none of the words that are known here".to_owned(),
            [one] => format!("must be {one}"),
            [others @ .., last] => format!("must be {} or {last}", others.join(", ")),
        };
    }
    if why.starts_with("invalid type: ") || why.starts_with("invalid value: ") {
        return expected().map_or_else(|| "can't be used".to_owned(), must_be);
    }
    if why.starts_with("invalid length ") {
        return "has too few or too many items".to_owned();
    }
    if why.starts_with("data did not match any variant") {
        return "can't be used: it has none of the forms that are known here".to_owned();
    }
    if why.starts_with("UUID parsing failed") {
        return "must be a UUID".to_owned();
    }
    if NO_TIME.contains(&why) {
        return must_be("an RFC 3339");
    }
    // Our own words, which may say what they are about.
    shortened(why)
}

/// By the name that `serde` has for what it expected.
fn must_be(expected: &str) -> String {
    let from_to = |least: &str, most: &str| format!("must be a whole number from {least} to {most}");
    match expected {
        "u8" => from_to("0", "255"),
        "u16" => from_to("0", "65535"),
        "u32" => from_to("0", "4294967295"),
        "u64" | "usize" => from_to("0", "18446744073709551615"),
        "i8" => from_to("-128", "127"),
        "i16" => from_to("-32768", "32767"),
        "i32" => from_to("-2147483648", "2147483647"),
        "i64" | "isize" => from_to("-9223372036854775808", "9223372036854775807"),
        "f32" | "f64" => "must be a number".to_owned(),
        "a string" | "string" | "str" | "a borrowed string" => "must be a text".to_owned(),
        "a character" => "must be a single character".to_owned(),
        "a boolean" => "must be true or false".to_owned(),
        "a map" => "must be an object".to_owned(),
        "string or map" | "variant identifier" => "must be one of the words that are known here".to_owned(),
        "unit" | "null" => "must be null".to_owned(),
        "a formatted UUID string" => "must be a UUID".to_owned(),
        other if other.starts_with("struct ") || other.contains("tagged enum") => {
            "must be an object".to_owned()
        }
        other if other.starts_with("a nonzero ") => "must be a whole number, and not 0".to_owned(),
        other
            if other.starts_with("a sequence")
                || other.starts_with("an array")
                || other.starts_with("a tuple") =>
        {
            "must be a list".to_owned()
        }
        other if other.starts_with("an RFC 3339") => "must be a time, as 2026-11-27T20:00:00Z".to_owned(),
        _ => "can't be used".to_owned(),
    }
}

/// So much of a text as fits into a message.
fn shortened(text: &str) -> String {
    const LONGEST_CHARS: usize = 200;
    match text.char_indices().nth(LONGEST_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Of a field that stays where it is absent, and may be null: tells the one from the other.
///
/// # Errors
/// When what stands there is neither null nor a `T`.
pub fn said<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Where a text stands that no store takes.
fn text_with_nul(value: &Value) -> Option<String> {
    let under = |name: String, value: &Value| {
        let below = text_with_nul(value)?;
        Some(if below.is_empty() { name } else { format!("{name}.{below}") })
    };
    match value {
        Value::String(text) => text.contains('\0').then(String::new),
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(index, item)| under(format!("[{index}]"), item))
        }
        Value::Object(members) => members.iter().find_map(|(name, member)| under(name.clone(), member)),
        _ => None,
    }
}

/// Text as scripts write it: numbers as text, texts that look like one as numbers, and nothing as null.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LooseText(pub String);

impl<'de> Deserialize<'de> for LooseText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// 2^53: whole numbers from here on may stand for others beside them.
        const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0;
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Whole(i64),
            Large(u64),
            Number(f64),
            Truth(bool),
            Other(IgnoredAny),
        }
        Ok(Self(match Written::deserialize(deserializer)? {
            Written::Text(text) => text,
            Written::Whole(number) => number.to_string(),
            Written::Large(number) => number.to_string(),
            // It had more figures than a number holds: what is left of it is another one.
            Written::Number(number) if number.fract() == 0.0 && number.abs() >= LARGEST_EXACT => {
                String::new()
            }
            Written::Number(number) => number.to_string(),
            Written::Truth(truth) => truth.to_string(),
            Written::Other(_) => String::new(),
        }))
    }
}

fn json_error(error: JsonPayloadError, _: &HttpRequest) -> actix_web::Error {
    match &error {
        JsonPayloadError::OverflowKnownLength { .. } | JsonPayloadError::Overflow { .. } => {
            ApiError::from_status(StatusCode::PAYLOAD_TOO_LARGE)
        }
        JsonPayloadError::ContentType => ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "send JSON, labelled as application/json",
        ),
        JsonPayloadError::Deserialize(cause) => {
            ApiError::bad_request("invalid_json", format!("the body is not JSON: {cause}"))
        }
        _ => ApiError::bad_request("bad_request", "the body can't be read"),
    }
    .into()
}

fn path_error(_: PathError, _: &HttpRequest) -> actix_web::Error {
    ApiError::from_status(StatusCode::NOT_FOUND).into()
}

fn form_error(error: UrlencodedError, _: &HttpRequest) -> actix_web::Error {
    match error {
        UrlencodedError::Overflow { .. } => ApiError::from_status(StatusCode::PAYLOAD_TOO_LARGE),
        UrlencodedError::ContentType => ApiError::from_status(StatusCode::UNSUPPORTED_MEDIA_TYPE),
        _ => ApiError::bad_request("bad_request", "the form can't be read"),
    }
    .into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[derive(Debug, Deserialize)]
    #[allow(dead_code, reason = "only read from JSON")]
    struct Body {
        name: String,
        #[serde(default)]
        players: Vec<Player>,
    }

    #[derive(Debug, Deserialize)]
    #[allow(dead_code, reason = "only read from JSON")]
    struct Player {
        team: u8,
    }

    #[test]
    fn a_field_that_cannot_be_used_is_named() {
        let wrong = [
            (json!({}), "name"),
            (json!({ "name": 7 }), "name"),
            (json!({ "name": "a", "players": [{ "team": 1 }, { "team": "x" }] }), "players[1].team"),
            (json!({ "name": "a", "players": [{}] }), "players[0].team"),
            (json!([]), "body"),
            (json!("text"), "body"),
            (json!(null), "body"),
            (json!({ "name": "a\0b" }), "name"),
        ];
        for (body, field) in wrong {
            let error = from_json::<Body>(body.clone()).unwrap_err();
            assert_eq!(error.fields().keys().collect::<Vec<_>>(), [field], "{body}");
        }
        assert!(from_json::<Body>(json!({ "name": "a" })).is_ok());
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only read from JSON")]
    struct Strict {
        port: Option<u16>,
        size: i32,
        share: f64,
        is_open: bool,
        names: Vec<String>,
        kind: Kind,
        role: crate::users::Role,
        at: Option<chrono::DateTime<chrono::Utc>>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        Single,
        Double,
    }

    #[test]
    fn what_is_wrong_with_a_field_is_said_in_plain_words_without_what_was_sent() {
        let good = json!({
            "port": 1, "size": 1, "share": 0.5, "is_open": true, "names": [], "kind": "single", "role": "admin",
        });
        let long = "x".repeat(5_000);
        let wrong = [
            ("port", json!("x"), "port", "must be a whole number from 0 to 65535"),
            ("port", json!(70_000), "port", "must be a whole number from 0 to 65535"),
            ("port", json!(long), "port", "must be a whole number from 0 to 65535"),
            ("size", json!(1.5), "size", "must be a whole number from -2147483648 to 2147483647"),
            ("size", json!(null), "size", "must be a whole number from -2147483648 to 2147483647"),
            ("share", json!([1]), "share", "must be a number"),
            ("is_open", json!("yes"), "is_open", "must be true or false"),
            ("names", json!(long), "names", "must be a list"),
            ("names", json!(["a", { "b": 1 }]), "names[1]", "must be a text"),
            ("kind", json!(long), "kind", "must be single or double"),
            ("kind", json!(7), "kind", "must be one of the words that are known here"),
            ("role", json!(long), "role", "must be player, organizer or admin"),
            ("prot", json!(1), "prot", "is not known here"),
            ("at", json!("soon"), "at", "must be a time, as 2026-11-27T20:00:00Z"),
            ("at", json!(""), "at", "must be a time, as 2026-11-27T20:00:00Z"),
            ("at", json!("2026-11-27"), "at", "must be a time, as 2026-11-27T20:00:00Z"),
            ("at", json!("2026-11-27T25:00:00Z"), "at", "must be a time, as 2026-11-27T20:00:00Z"),
            ("at", json!("2026-02-30T20:00:00Z"), "at", "must be a time, as 2026-11-27T20:00:00Z"),
            ("at", json!("2026-11-27T20:00:00Z!"), "at", "must be a time, as 2026-11-27T20:00:00Z"),
            ("at", json!(7), "at", "must be a time, as 2026-11-27T20:00:00Z"),
        ];
        for (field, value, named, why) in wrong {
            let mut body = good.clone();
            body[field] = value;
            let error = from_json::<Strict>(body).unwrap_err();
            assert_eq!(
                error.fields().iter().map(|(name, why)| (&**name, &**why)).collect::<Vec<_>>(),
                [(named, why)]
            );
        }
        let error = from_json::<Strict>(json!("x")).unwrap_err();
        assert_eq!(error.fields()["body"], "must be an object");
        let error = from_json::<Strict>(json!([1, 1, 0.5, true, [], "single", "admin"])).unwrap_err();
        assert_eq!(error.fields()["body"], "must be an object");
        assert!(from_json::<Strict>(good).is_ok());
    }

    #[test]
    fn an_and_that_nobody_escaped_is_a_part_of_the_value_in_which_it_stands() {
        for (form, name) in [
            ("name=Tom & Jerry [key:K7WQ-2MXH]&ip_address=1.2.3.4", "Tom & Jerry [key:K7WQ-2MXH]"),
            ("ip_address=1.2.3.4&name=R&D", "R&D"),
            ("name=Tom+%26+Jerry&ip_address=1.2.3.4&x=y", "Tom & Jerry"),
            ("name=&ip_address=1.2.3.4", ""),
        ] {
            let read: BTreeMap<String, String> = json_or_form(form.as_bytes()).unwrap();
            assert_eq!((&*read["name"], &*read["ip_address"]), (name, "1.2.3.4"), "{form}");
        }
    }

    #[test]
    fn loose_text_is_whatever_a_script_writes() {
        for (written, text) in [
            (json!("a"), "a"),
            (json!(4711), "4711"),
            (json!(1.5), "1.5"),
            (json!(-7), "-7"),
            (json!(u64::MAX), "18446744073709551615"),
            (json!(1e20), ""),
            (json!(true), "true"),
            (json!(null), ""),
            (json!({}), ""),
        ] {
            assert_eq!(from_json::<LooseText>(written).unwrap().0, text);
        }
        assert_eq!(serde_qs::from_str::<BTreeMap<String, LooseText>>("a=12&b=").unwrap()["a"].0, "12");
    }
}
