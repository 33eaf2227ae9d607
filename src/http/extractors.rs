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
    serde_json::from_str(text).ok().or_else(as_scripts_write).or_else(|| serde_qs::from_str(text).ok())
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
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let why = error.into_inner().to_string();
        // What is missing is told about the object that lacks it.
        let missing = why.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
        let (name, why) = match missing {
            Some(name) if path == "." => (name.to_owned(), "is needed".to_owned()),
            Some(name) => (format!("{path}.{name}"), "is needed".to_owned()),
            None if path == "." => ("body".to_owned(), why),
            None => (path, why),
        };
        ApiError::invalid(BTreeMap::from([(name, why)]))
    })
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
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Whole(i64),
            Number(f64),
            Truth(bool),
            Other(IgnoredAny),
        }
        Ok(Self(match Written::deserialize(deserializer)? {
            Written::Text(text) => text,
            Written::Whole(number) => number.to_string(),
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

    #[test]
    fn loose_text_is_whatever_a_script_writes() {
        for (written, text) in [
            (json!("a"), "a"),
            (json!(4711), "4711"),
            (json!(1.5), "1.5"),
            (json!(true), "true"),
            (json!(null), ""),
            (json!({}), ""),
        ] {
            assert_eq!(from_json::<LooseText>(written).unwrap().0, text);
        }
        assert_eq!(serde_qs::from_str::<BTreeMap<String, LooseText>>("a=12&b=").unwrap()["a"].0, "12");
    }
}
