//! Logs go to standard error: for people by default, as JSON with `LOG_FORMAT=json`. `RUST_LOG` filters them.

use std::io::{self, IsTerminal};
use tracing_subscriber::EnvFilter;

/// Libraries tell of every notice and worker; what they warn of is enough.
const DEFAULT_FILTER: &str = "info,sqlx=warn,actix_server=warn";

pub fn start() {
    let filter = std::env::var("RUST_LOG").ok().filter(|filter| !filter.is_empty());
    let (filter, mistake) = match filter.as_deref().unwrap_or(DEFAULT_FILTER).parse::<EnvFilter>() {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new(DEFAULT_FILTER), Some(error)),
    };
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let as_json = std::env::var("LOG_FORMAT").is_ok_and(|format| format.eq_ignore_ascii_case("json"));
    if as_json {
        subscriber.json().flatten_event(true).init();
    } else {
        subscriber.with_ansi(io::stderr().is_terminal()).with_target(false).init();
    }
    if let Some(error) = mistake {
        tracing::warn!(%error, "RUST_LOG can't be read: logging at {DEFAULT_FILTER}");
    }
}
