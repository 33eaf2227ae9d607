//! Traces by OpenTelemetry, on request: `OTEL_EXPORTER_OTLP_ENDPOINT` names a collector that takes OTLP over HTTP, and the other
//! standard variables (headers, timeout, sampler, service name, resource attributes) hold as the SDK reads them.
//!
//! A trace is a request with the statements of statistics that it waited for, or an insert into ClickHouse. A request goes on with
//! its caller's `traceparent`. As in logs, neither query strings nor headers nor values of statements are in it. Without a collector
//! nothing of this costs anything; with one that does not answer, spans are dropped, and nobody waits for it.

use std::sync::OnceLock;
use std::time::Duration;

use actix_web::http::header::HeaderMap;
use actix_web::http::{Method, StatusCode};
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{Status, TraceContextExt as _, TracerProvider as _};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Level, Metadata, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use crate::http::outgoing;

/// Any of them is a request for traces.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
/// Of the last spans, when the process ends.
const FLUSH_WITHIN: Duration = Duration::from_secs(5);

static ARE_ON: OnceLock<()> = OnceLock::new();

/// Why there are no traces though they were asked for.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    #[error("what speaks to the collector can't be made: {0}")]
    Client(#[from] outgoing::ClientError),
    #[error("the variables OTEL_… can't be followed: {0}")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
}

/// What sends spans. To be [ended](Traces::end) with the process.
#[must_use]
pub struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// As the environment says; none where it names no collector. Makes a thread of its own, so it is not for a runtime's.
    ///
    /// # Errors
    /// When the collector's address or another variable can't be read.
    pub fn from_environment() -> Result<Option<Self>, TracesError> {
        if !ENDPOINTS.iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty())) {
            return Ok(None);
        }
        let tls = outgoing::tls().map_err(outgoing::ClientError::from)?;
        let client = reqwest::blocking::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(outgoing::ClientError::from)?;
        let exporter = SpanExporter::builder().with_http().with_http_client(client).build()?;
        let mut resource = Resource::builder();
        if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name("mohaa-stats");
        }
        let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = resource.with_attribute(version).build();
        let provider =
            SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(exporter).build();
        Ok(Some(Self { provider }))
    }

    /// The part of a subscriber that makes spans of ours into theirs.
    pub fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        ARE_ON.get_or_init(|| ());
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("mohaa-stats"))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(is_told).with_max_level_hint(Level::DEBUG))
    }

    /// Sends what has not been sent yet.
    pub fn end(self) {
        if let Err(error) = self.provider.shutdown_with_timeout(FLUSH_WITHIN) {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// Our own spans, and what is worth a warning within them.
fn is_told(metadata: &Metadata<'_>) -> bool {
    let most = if metadata.is_span() { Level::DEBUG } else { Level::WARN };
    metadata.target().starts_with("mohaa_") && *metadata.level() <= most
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(|name| name.as_str()).collect()
    }
}

/// Makes this span that of a request, within its caller's trace where there is one. The fields `otel.kind` and `trace_id` of the
/// span are told, so that a log line leads to its trace.
pub(crate) fn request_begins(span: &Span, headers: &HeaderMap) {
    if ARE_ON.get().is_none() || span.is_disabled() {
        return;
    }
    span.record("otel.kind", "server");
    // Fails where the span began already, which it did not.
    let _ = span.set_parent(TraceContextPropagator::new().extract(&Headers(headers)));
    let trace_id = span.context().span().span_context().trace_id();
    span.record("trace_id", tracing::field::display(trace_id));
}

/// What became of a request.
pub(crate) fn request_ends(span: &Span, method: &Method, route: impl FnOnce() -> String, status: StatusCode) {
    if ARE_ON.get().is_none() || span.is_disabled() {
        return;
    }
    let route = route();
    // A field `otel.name` would be too late: the span began when its trace was told.
    span.context().span().update_name(format!("{method} {route}"));
    span.set_attribute("http.request.method", method.to_string());
    span.set_attribute("http.route", route);
    span.set_attribute("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.set_status(Status::error(""));
    }
}
