//! Logs go to standard error: for people by default, as JSON with `LOG_FORMAT=json`. `RUST_LOG` filters them. Traces go where
//! [`Traces`] says.

use std::io::{self, IsTerminal};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use crate::traces::Traces;

/// Libraries tell of every notice and worker; what they warn of is enough.
const DEFAULT_FILTER: &str = "info,sqlx=warn,actix_server=warn";

/// What has to be ended with the process.
pub fn start() -> Option<Traces> {
    let filter = std::env::var("RUST_LOG").ok().filter(|filter| !filter.is_empty());
    let (filter, mistake) = match filter.as_deref().unwrap_or(DEFAULT_FILTER).parse::<EnvFilter>() {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new(DEFAULT_FILTER), Some(error)),
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let as_json = std::env::var("LOG_FORMAT").is_ok_and(|format| format.eq_ignore_ascii_case("json"));
    let lines = if as_json {
        lines.json().flatten_event(true).with_filter(filter).boxed()
    } else {
        lines.with_ansi(io::stderr().is_terminal()).with_target(false).with_filter(filter).boxed()
    };
    let (traces, no_traces) = match Traces::from_environment() {
        Ok(traces) => (traces, None),
        Err(error) => (None, Some(error)),
    };
    tracing_subscriber::registry().with(lines).with(traces.as_ref().map(Traces::layer)).init();
    if let Some(error) = mistake {
        tracing::warn!(%error, "RUST_LOG can't be read: logging at {DEFAULT_FILTER}");
    }
    if let Some(error) = no_traces {
        tracing::warn!(%error, "there are no traces");
    }
    traces
}
