//! The whole service in this process, with databases and a data directory of its own.

use std::path::PathBuf;

use mohaa_embedded::StoreUrls;
use mohaa_stats::auth::{AccessTokens, OpenedSession, Revocations, SessionKind, Sessions};
use mohaa_stats::config::Secret;
use mohaa_stats::servers::{NewServer, add_server};
use mohaa_stats::startup::{Application, Surroundings};
use mohaa_stats::users::{self, Role};
use mohaa_stats::{players, postgres};
use uuid::Uuid;

use super::{JWT_SECRET, PATIENCE, ServiceClient, Warehouse, configuration, schemas};

pub struct Service {
    pub application: Application,
    pub client: ServiceClient,
    pub warehouse: Warehouse,
    pub server_id: Uuid,
    data_dir: tempfile::TempDir,
    /// Nobody else looks into its databases.
    is_alone: bool,
}

impl Service {
    pub async fn start(name_hint: &str) -> Self {
        Self::start_with(name_hint, &[], Surroundings::default()).await
    }

    pub async fn start_with(name_hint: &str, settings: &[(&str, &str)], surroundings: Surroundings) -> Self {
        let urls = schemas::database(name_hint).await;
        Self { is_alone: true, ..Self::start_on(&urls, settings, surroundings).await }
    }

    /// A store's address among the settings wins over that of `urls`, where the test itself looks.
    pub async fn start_on(urls: &StoreUrls, settings: &[(&str, &str)], surroundings: Surroundings) -> Self {
        let data_dir = tempfile::tempdir().unwrap();
        let application = started_application(urls, data_dir.path(), settings, surroundings).await;
        postgres::migrate(&application.postgres).await.unwrap();
        let (server_id, token) = added_server(&application, "Omaha Beach").await;
        Self {
            client: ServiceClient::new(application.url(), token),
            warehouse: Warehouse::new(&urls.clickhouse_url),
            server_id,
            application,
            data_dir,
            is_alone: false,
        }
    }

    /// A service on the data directory that `settings` name, for a server that an earlier one knew by `token`; needs no
    /// PostgreSQL.
    pub async fn restart_on(urls: &StoreUrls, settings: &[(&str, &str)], token: &str) -> Self {
        let data_dir = tempfile::tempdir().unwrap();
        let application = started_application(urls, data_dir.path(), settings, Surroundings::default()).await;
        Self {
            client: ServiceClient::new(application.url(), token.to_owned()),
            warehouse: Warehouse::new(&urls.clickhouse_url),
            server_id: Uuid::nil(),
            application,
            data_dir,
            is_alone: false,
        }
    }

    /// Another game server and its token.
    pub async fn add_server(&self, name: &str) -> (Uuid, String) {
        added_server(&self.application, name).await
    }

    /// A new user and an access token of theirs.
    pub async fn add_user(&self, name: &str, role: Role) -> (i32, String) {
        let (user_id, opened) = self.add_session(name, role).await;
        (user_id, opened.access_token)
    }

    /// A new user who signed in with a device.
    pub async fn add_session(&self, name: &str, role: Role) -> (i32, OpenedSession) {
        let user = users::add(&self.application.postgres, &name.parse().unwrap(), role).await.unwrap();
        let opened = self.sessions().open(user.user_id, SessionKind::Device, "a test").await.unwrap();
        (user.user_id, opened)
    }

    /// Sessions as another node makes them.
    pub fn sessions(&self) -> Sessions {
        let tokens = AccessTokens::new(&Secret::new(JWT_SECRET), None);
        Sessions::new(self.application.postgres.clone(), tokens, Revocations::default())
    }

    pub async fn link_player(&self, user_id: i32, player_id: &str) {
        let mut connection = self.application.postgres.acquire().await.unwrap();
        players::link(&mut connection, user_id, player_id).await.unwrap();
    }

    /// Every file below the data directory.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![self.data_dir.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        files
    }

    /// Stops it, and with it proves that the books balance: whatever came in has ended.
    pub async fn stop(self) {
        let ledger = self.application.pipeline.ledger.clone();
        // Boxed: what tests are made of would else be nested too deeply for the compiler.
        Box::pin(self.application.stop(PATIENCE)).await;
        if self.is_alone {
            self.warehouse.drop_tables().await;
        }
        let balance = ledger.balance();
        assert_eq!((balance.missing(), balance.in_flight, balance.unaccounted), (0, 0, 0), "{balance:?}");
    }
}

async fn started_application(
    urls: &StoreUrls,
    data_dir: &std::path::Path,
    settings: &[(&str, &str)],
    surroundings: Surroundings,
) -> Application {
    let mut all = vec![
        ("LISTEN", "127.0.0.1:0"),
        ("DATA_DIR", data_dir.to_str().unwrap()),
        ("POSTGRES_URL", &urls.postgres_url),
        ("REDIS_URL", &urls.redis_url),
        ("CLICKHOUSE_URL", &urls.clickhouse_url),
        ("RATE_LIMITS", "off"),
        ("JWT_SECRET", JWT_SECRET),
    ];
    all.extend_from_slice(settings);
    Application::start_with(configuration(&all), surroundings).await.unwrap()
}

async fn added_server(application: &Application, name: &str) -> (Uuid, String) {
    let new = NewServer { name: name.to_owned(), ..NewServer::default() };
    let added = add_server(&application.postgres, &new).await.unwrap();
    (added.server_id, added.token.expose().to_owned())
}
