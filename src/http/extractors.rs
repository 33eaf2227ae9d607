//! Extractors of the framework, made to answer in our own error shape.

use actix_web::error::{JsonPayloadError, PathError, UrlencodedError};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};

use serde::de::DeserializeOwned;

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
/// label it wrongly. NUL bytes and white space around it are residue of C strings.
pub fn json_or_form<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    let text = mohaa_domain::wire::to_text(body);
    let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
    serde_json::from_str(text).ok().or_else(|| serde_qs::from_str(text).ok())
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
        JsonPayloadError::Deserialize(cause) if cause.is_data() => {
            ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "validation_failed", cause.to_string())
        }
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
