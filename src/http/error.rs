//! The one error that HTTP handlers answer with, and the one place that gives it a status and a body.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::RETRY_AFTER;
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// An answer other than success: `{"error","code"}`, with `fields` where parameters are to blame.
///
/// Its source is for the log only; a caller never sees it.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    fields: BTreeMap<String, String>,
    details: serde_json::Map<String, serde_json::Value>,
    retry_after_seconds: Option<u32>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Body of every error answer.
#[derive(Serialize)]
pub struct ErrorBody {
    /// A sentence that a person can act on.
    pub error: String,
    /// Stable slug for programs.
    pub code: String,
    /// For 422: what is wrong with each parameter or field.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
    #[serde(flatten)]
    details: serde_json::Map<String, serde_json::Value>,
}

/// Body of every error answer.
#[derive(ToSchema)]
#[allow(dead_code, reason = "documents what an error's body may hold")]
struct DescribedError {
    /// A sentence that a person can act on.
    error: String,
    /// Stable slug for programs.
    #[schema(example = "unknown_player")]
    code: String,
    /// For 422: what is wrong with each parameter or field.
    #[schema(required = false)]
    fields: BTreeMap<String, String>,
    /// For `stale`: the version that the tournament is at.
    #[schema(required = false)]
    version: u64,
    /// For `already_registered`: the place that there is.
    #[schema(required = false)]
    participant_id: u32,
}

impl PartialSchema for ErrorBody {
    fn schema() -> RefOr<Schema> {
        DescribedError::schema()
    }
}

impl ToSchema for ErrorBody {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("ErrorBody")
    }
}

impl ApiError {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        ApiError {
            status,
            code,
            message: message.into(),
            fields: BTreeMap::new(),
            details: serde_json::Map::new(),
            retry_after_seconds: None,
            source: None,
        }
    }

    pub fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub fn unauthorized(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, message)
    }

    pub fn forbidden(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    pub fn not_found(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    pub fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    /// Parameters or fields that can't be taken, each with the reason.
    pub fn invalid(fields: BTreeMap<String, String>) -> Self {
        let names: Vec<&str> = fields.keys().map(String::as_str).collect();
        let message = format!("these parameters can't be used: {}", names.join(", "));
        ApiError { fields, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "validation_failed", message) }
    }

    /// One parameter that can't be taken.
    pub fn invalid_field(name: &str, why: impl Into<String>) -> Self {
        Self::invalid(BTreeMap::from([(name.to_owned(), why.into())]))
    }

    /// Something that we depend on can't be reached at the moment.
    pub fn unavailable(code: &'static str, message: impl Into<String>, retry_after_seconds: u32) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message).with_retry_after(retry_after_seconds)
    }

    /// A fault of ours. What it was goes to the log, under the request's id.
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal_error",
            "something went wrong on our side; quote the request id when you report it",
        )
        .with_source(source)
    }

    #[must_use]
    pub fn with_retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// A further member of the body, such as the `candidates` of an ambiguous id.
    #[must_use]
    pub fn with_detail(mut self, name: &str, value: serde_json::Value) -> Self {
        self.details.insert(name.to_owned(), value);
        self
    }

    /// A further member of the body, if it has it.
    pub fn detail(&self, name: &str) -> Option<&serde_json::Value> {
        self.details.get(name)
    }

    /// The error for a bare status, as frameworks answer it.
    pub fn from_status(status: StatusCode) -> Self {
        let (code, message) = match status {
            StatusCode::BAD_REQUEST => ("bad_request", "the request can't be read"),
            StatusCode::UNAUTHORIZED => ("unauthorized", "sign in first"),
            StatusCode::FORBIDDEN => ("forbidden", "this is not allowed"),
            StatusCode::NOT_FOUND => ("not_found", "there is nothing at this address"),
            StatusCode::METHOD_NOT_ALLOWED => {
                ("method_not_allowed", "this address does not take this method")
            }
            StatusCode::NOT_ACCEPTABLE => ("not_acceptable", "there is no answer in a form that you accept"),
            StatusCode::REQUEST_TIMEOUT => ("request_timeout", "the request did not arrive in time"),
            StatusCode::CONFLICT => ("conflict", "the state of things does not allow this"),
            StatusCode::PAYLOAD_TOO_LARGE => ("payload_too_large", "the request is too large"),
            StatusCode::URI_TOO_LONG => ("uri_too_long", "the address is too long"),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                ("unsupported_media_type", "the content type or encoding is not supported")
            }
            StatusCode::UNPROCESSABLE_ENTITY => ("validation_failed", "the request can't be used as it is"),
            StatusCode::TOO_MANY_REQUESTS => ("too_many_requests", "too many requests: slow down"),
            StatusCode::SERVICE_UNAVAILABLE => ("unavailable", "not available at the moment: try again"),
            other if other.is_client_error() => ("bad_request", "the request can't be answered"),
            _ => return Self { status, ..Self::internal(format!("answered with a bare {status}")) },
        };
        let error = Self::new(status, code, message);
        match status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => error.with_retry_after(1),
            _ => error,
        }
    }

    pub fn status(&self) -> StatusCode {
        self.status
    }

    pub fn code(&self) -> &'static str {
        self.code
    }

    pub fn message(&self) -> &str {
        &self.message
    }

    pub fn fields(&self) -> &BTreeMap<String, String> {
        &self.fields
    }

    /// The error that led to this one, for the log.
    pub fn cause(&self) -> Option<&(dyn std::error::Error + Send + Sync)> {
        self.source.as_deref()
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.code, self.message)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        if let Some(seconds) = self.retry_after_seconds {
            response.insert_header((RETRY_AFTER, seconds.to_string()));
        }
        response.json(ErrorBody {
            error: self.message.clone(),
            code: self.code.to_owned(),
            fields: self.fields.clone(),
            details: self.details.clone(),
        })
    }
}
