//! What a scenario stands on: databases, a data directory and a game server of its own.

use std::path::{Path, PathBuf};

use mohaa_embedded::StoreUrls;
use mohaa_embedded::testing::TestStores;
use mohaa_stats::config::StoreUrl;
use mohaa_stats::postgres;
use mohaa_stats::servers::{NewServer, add_server};

use crate::error::{FaultsError, Result};
use crate::process::ServiceProcess;
use crate::warehouse::Warehouse;

pub struct Stand {
    program: PathBuf,
    data_dir: tempfile::TempDir,
    /// Of stores that outlive the service.
    pub urls: StoreUrls,
    pub token: String,
    pub warehouse: Warehouse,
    settings: Vec<(String, String)>,
}

impl Stand {
    /// `settings` are those of every service started here.
    ///
    /// # Errors
    /// When PostgreSQL or the file system refuse.
    pub async fn new(program: &Path, name: &str, settings: &[(&str, &str)]) -> Result<Self> {
        let urls = TestStores::shared().await.database(name).await;
        let warehouse = Warehouse::new(&urls.clickhouse_url)?;
        warehouse.prepare().await?;
        Ok(Self {
            program: program.to_owned(),
            data_dir: tempfile::tempdir().map_err(FaultsError::file(std::env::temp_dir()))?,
            token: server_token(&urls.postgres_url).await?,
            warehouse,
            urls,
            settings: settings
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        })
    }

    pub fn data_dir(&self) -> &Path {
        self.data_dir.path()
    }

    /// # Errors
    /// When the service does not listen.
    pub async fn start(&self) -> Result<ServiceProcess> {
        self.start_with(&[]).await
    }

    /// Starts it with further settings, which win.
    ///
    /// # Errors
    /// When the service does not listen.
    pub async fn start_with(&self, more: &[(&str, &str)]) -> Result<ServiceProcess> {
        let mut settings: Vec<(&str, &str)> =
            self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        settings.extend_from_slice(more);
        ServiceProcess::start(&self.program, self.data_dir.path(), &self.urls, &settings).await
    }
}

/// A game server's token.
///
/// # Errors
/// When PostgreSQL refuses.
pub async fn server_token(postgres_url: &str) -> Result<String> {
    let url = StoreUrl::postgres(postgres_url).map_err(FaultsError::StoreAddress)?;
    let pool = postgres::pool(&url).await?;
    postgres::migrate(&pool).await?;
    let new = NewServer { name: "Omaha".to_owned(), ..NewServer::default() };
    let token = add_server(&pool, &new).await?.token.expose().to_owned();
    pool.close().await;
    Ok(token)
}
