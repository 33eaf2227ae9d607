//! Each request's id, span and log line; HEAD as GET without a body.
//!
//! The id is the caller's `X-Request-Id` where that is sane, else a new one. It is echoed, stands in the span of
//! everything that is logged meanwhile, and so leads from a 5xx, whose body shows nothing, to its cause. Neither
//! the query string nor headers are logged: secrets of others may stand there.

use std::time::Instant;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest, HttpResponse};
use tracing::field::Empty;
use tracing::{Instrument, debug, debug_span, error, info, info_span};
use uuid::Uuid;

use super::ApiError;
use crate::traces;

static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MAX_REQUEST_ID_BYTES: usize = 128;

/// Methods that a route or a browser may use; every other one stands in the metrics as [`unknown_method`].
const KNOWN_METHODS: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
    Method::TRACE,
    Method::CONNECT,
];

fn unknown_method() -> Method {
    Method::from_bytes(b"OTHER").unwrap_or(Method::TRACE)
}

/// The id of a request, in its extensions.
#[derive(Clone, Debug)]
pub struct RequestId(String);

impl RequestId {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id of this request, `""` outside of the middleware.
    pub fn of(request: &HttpRequest) -> String {
        request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default()
    }

    fn from_header(value: &HeaderValue) -> Option<Self> {
        let text = value.to_str().ok()?;
        let is_sane = (1..=MAX_REQUEST_ID_BYTES).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte));
        is_sane.then(|| RequestId(text.to_owned()))
    }
}

/// What led to an error answer whose body was replaced, in the request's extensions.
struct Cause(String);

/// Remembers why a request failed, for its log line, before the answer that knows it is replaced.
pub(super) fn keep_cause(request: &HttpRequest, response: &HttpResponse) {
    if let Some(cause) = cause_of(response) {
        request.extensions_mut().insert(Cause(cause));
    }
}

fn cause_of(response: &HttpResponse<impl MessageBody>) -> Option<String> {
    let failure = response.error()?;
    let cause = failure.as_error::<ApiError>().and_then(ApiError::cause);
    Some(cause.map_or_else(|| failure.to_string(), error_chain))
}

/// Outermost middleware: names the request, times it and writes its log line.
pub async fn trace<B: MessageBody>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let started_at = Instant::now();
    let request_id = request
        .headers()
        .get(&X_REQUEST_ID)
        .and_then(RequestId::from_header)
        .unwrap_or_else(|| RequestId(Uuid::now_v7().to_string()));
    let method = request.method().clone();
    if method == Method::HEAD {
        // The connection knows that it was a HEAD and sends no body; routing need not know.
        request.head_mut().method = Method::GET;
    } else if !KNOWN_METHODS.contains(&method) {
        // The method is a label of the HTTP metrics: made-up ones would be new time series for ever.
        request.head_mut().method = unknown_method();
    }
    request.extensions_mut().insert(request_id.clone());

    let is_routine = is_routine(request.path());
    let span = match is_routine {
        true => debug_span!("request", id = %request_id.0, trace_id = Empty, otel.kind = Empty),
        false => info_span!("request", id = %request_id.0, trace_id = Empty, otel.kind = Empty),
    };
    traces::request_begins(&span, request.headers());
    let traced = span.clone();
    async move {
        let mut response = next.call(request).await?;
        let echo = HeaderValue::from_str(&request_id.0).unwrap_or(HeaderValue::from_static("invalid"));
        response.headers_mut().insert(X_REQUEST_ID.clone(), echo);
        let status = response.status();
        // What only the line shows is made where the line is written, which for routine requests is by default nowhere.
        let microseconds = || started_at.elapsed().as_micros();
        let route = || response.request().match_pattern().unwrap_or_else(|| "unmatched".to_owned());
        // The span of a routine request is off by default: what is worth a line then names the request itself.
        let id = is_routine.then(|| tracing::field::display(&request_id.0));
        if status.is_server_error() {
            let kept = response.request().extensions_mut().remove::<Cause>().map(|cause| cause.0);
            let cause = kept.or_else(|| cause_of(response.response())).unwrap_or_default();
            let (route, microseconds) = (route(), microseconds());
            error!(id, %method, %route, status = status.as_u16(), microseconds, cause, "request failed");
        } else if is_routine && status.is_success() {
            debug!(%method, route = %route(), status = status.as_u16(), microseconds = microseconds(), "request");
        } else {
            info!(id, %method, route = %route(), status = status.as_u16(), microseconds = microseconds(), "request");
        }
        traces::request_ends(&traced, &method, route, status);
        Ok(response)
    }
    .instrument(span)
    .await
}

/// Middleware: nothing is called by a name with a NUL in it, and no store need be asked.
pub async fn refuse_nul<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    if request.uri().path().contains("%00") {
        let nothing = ApiError::from_status(StatusCode::NOT_FOUND);
        return Ok(request.error_response(nothing).map_into_right_body());
    }
    Ok(next.call(request).await?.map_into_left_body())
}

/// What machines ask every second or thousands of times a second: their successes are in the metrics, and a line
/// each would bury what people do.
fn is_routine(path: &str) -> bool {
    matches!(path, "/api/v1/ingest/events" | "/health" | "/ready" | "/metrics")
}

fn error_chain(error: &(dyn std::error::Error + Send + Sync)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Many errors already print their source.
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
