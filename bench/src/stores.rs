//! The private stores of a data directory: those of a service that runs there, or started here for as long as they are
//! needed.

use std::path::Path;

use mohaa_embedded::{EmbeddedStores, StoreKind, StoreUrls};
use tokio::process::Command;
use uuid::Uuid;

use crate::error::BenchError;

pub struct Stores {
    pub urls: StoreUrls,
    /// None where somebody else runs them.
    own: Option<EmbeddedStores>,
}

impl Stores {
    /// # Errors
    /// When they neither run nor can be started.
    pub async fn of_data_dir(data_dir: &Path) -> Result<Self, BenchError> {
        match EmbeddedStores::start(data_dir).await {
            Ok(own) => Ok(Self { urls: own.urls(), own: Some(own) }),
            Err(mohaa_embedded::Error::InUse(_)) => Ok(Self { urls: read_urls(data_dir)?, own: None }),
            Err(error) => Err(error.into()),
        }
    }

    /// Tells a service where they are, and what else it needs when they are not its own.
    pub(crate) fn tell(&self, command: &mut Command) {
        let StoreUrls { postgres_url, redis_url, clickhouse_url } = &self.urls;
        command
            .env("POSTGRES_URL", postgres_url)
            .env("REDIS_URL", redis_url)
            .env("CLICKHOUSE_URL", clickhouse_url)
            .env("JWT_SECRET", Uuid::new_v4().to_string())
            // As with private stores.
            .env("RATE_LIMITS", "off");
    }

    /// The processes of the ClickHouse engine, where it was started here.
    pub fn engine_pids(&self) -> Vec<u32> {
        let own = self.own.as_ref().map(EmbeddedStores::restarts);
        own.into_iter()
            .flatten()
            .filter(|store| store.store == StoreKind::ClickHouse)
            .filter_map(|store| store.pid)
            .collect()
    }

    /// Stops those that were started here.
    pub async fn stop(self) {
        if let Some(own) = self.own {
            own.stop().await;
        }
    }
}

/// The addresses that the service on `data_dir` wrote down.
pub(crate) fn read_urls(data_dir: &Path) -> Result<StoreUrls, BenchError> {
    let path = data_dir.join("stores.env");
    let text =
        std::fs::read_to_string(&path).map_err(|source| BenchError::File { path: path.clone(), source })?;
    let url = |name: &str| {
        let found = text.lines().filter_map(|line| line.split_once('=')).find(|(key, _)| *key == name);
        found.map(|(_, url)| url.to_owned()).ok_or_else(|| BenchError::NoEngineUrl { path: path.clone() })
    };
    Ok(StoreUrls {
        postgres_url: url("POSTGRES_URL")?,
        redis_url: url("REDIS_URL")?,
        clickhouse_url: url("CLICKHOUSE_URL")?,
    })
}

/// Brings the schemas of the stores of `data_dir` up to date with the service's own command.
///
/// # Errors
/// When the command fails.
pub async fn migrate(service: &Path, data_dir: &Path) -> Result<(), BenchError> {
    let output = Command::new(service)
        .args(["migrate", "--data-dir"])
        .arg(data_dir)
        .output()
        .await
        .map_err(|source| BenchError::Run { program: service.to_owned(), source })?;
    if output.status.success() {
        return Ok(());
    }
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(BenchError::Migrate { program: service.to_owned(), message })
}
