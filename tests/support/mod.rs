//! What the end-to-end tests stand on: the whole service in this process or as a child, its HTTP interface, and
//! ClickHouse beside it.

mod broker;
mod browser;
mod chromium;
mod client;
pub mod contract;
mod cups;
mod events;
pub mod locks;
mod metrics;
mod numbers;
mod providers;
pub mod schemas;
mod season;
mod service;
mod slow;
pub mod statistics;
mod warehouse;

pub use broker::{Broker, Publisher, SERVER_PASSWORD, SERVICE_PASSWORD};
pub use browser::Browser;
pub use chromium::{Chromium, DESKTOP, PHONE, Screen, Theme};
pub use client::{Reply, ServiceClient};
pub use cups::{Cup, favourite};
pub use events::{EventStream, StreamEvent};
pub use metrics::Metrics;
pub use mohaa_faults::process::JWT_SECRET;
pub use numbers::{Counted, Numbers};
pub use providers::Providers;
pub use season::Season;
pub use service::Service;
pub use slow::SlowFiles;
pub use warehouse::Warehouse;

use std::fmt::Display;
use std::time::{Duration, Instant};

/// Everything a test waits for happens within seconds; a loaded machine gets the rest.
/// For what has to come about some time. Nothing that passes takes so long: a machine with much to do does not fail a test.
pub const PATIENCE: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(20);

/// Asks again and again until there is an answer. Panics when it stays away for [`PATIENCE`].
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    sooner_or_later(what, async || ask().await.ok_or("nothing")).await
}

/// As [`eventually`], and says what there was instead.
pub async fn sooner_or_later<T, E: Display>(what: &str, mut ask: impl AsyncFnMut() -> Result<T, E>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(seen) => assert!(Instant::now() < deadline, "it never came about that {what}: {seen}"),
        }
        tokio::time::sleep(POLL).await;
    }
}

/// A configuration from settings alone, without this process's environment.
pub fn configuration(settings: &[(&str, &str)]) -> mohaa_stats::config::Config {
    use mohaa_stats::config::{Config, Purpose, Sources};
    let flags = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let sources = Sources { flags, ..Sources::default() };
    Config::load(&sources, Purpose::SERVE).unwrap_or_else(|error| panic!("{error}")).config
}
