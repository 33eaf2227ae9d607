//! Stores for tests: one set per test process, fresh databases per test.
//!
//! The set starts with the first test that asks, is shared by all tests of the process, and ends with
//! it: nothing is dropped at exit, so the kernel's parent-death signal stops the stores, and the next run
//! removes the folder they leave.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::{Mutex, OnceCell};

use crate::redis_store::DATABASES;
use crate::{EmbeddedStores, Error, StoreUrls, lock_directory};

const FOLDER_PREFIX: &str = "mohaa-stats-test-stores-";

static SHARED: OnceCell<TestStores> = OnceCell::const_new();

/// The stores of this test process.
pub struct TestStores {
    stores: EmbeddedStores,
    next: AtomicU32,
    /// PostgreSQL copies its template one at a time.
    creating: Mutex<()>,
}

impl TestStores {
    /// The shared set, started at the first call. Panics with the reason when it can't start: no test
    /// could go on.
    pub async fn shared() -> &'static TestStores {
        SHARED
            .get_or_init(|| async {
                Self::start()
                    .await
                    .unwrap_or_else(|error| panic!("the stores for tests don't start: {error}"))
            })
            .await
    }

    async fn start() -> Result<Self, Error> {
        let temporary = std::env::temp_dir();
        remove_leftovers(&temporary);
        let number: u64 = rand::random();
        let folder = temporary.join(format!("{FOLDER_PREFIX}{number:016x}"));
        // Others may pass through, or PostgreSQL couldn't reach its files when root runs the tests.
        std::fs::DirBuilder::new().mode(0o711).create(&folder).map_err(Error::file("make", &folder))?;
        let stores = EmbeddedStores::start(&folder).await?;
        Ok(TestStores { stores, next: AtomicU32::new(1), creating: Mutex::new(()) })
    }

    pub fn stores(&self) -> &EmbeddedStores {
        &self.stores
    }

    /// A fresh PostgreSQL database, ClickHouse database and Redis database. `name_hint` appears in the
    /// names, for whoever looks at them. Panics when they can't be made.
    pub async fn database(&self, name_hint: &str) -> StoreUrls {
        self.database_like(None, name_hint).await
    }

    /// The same, with what the PostgreSQL database `template` holds; nobody may be connected to it.
    pub async fn database_like(&self, template: Option<&str>, name_hint: &str) -> StoreUrls {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        assert!(number < DATABASES, "more tests than Redis databases: raise DATABASES");
        let hint: String = name_hint
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' })
            .take(40)
            .collect();
        let name = format!("test_{number}_{hint}");
        let created = async {
            let _turn = self.creating.lock().await;
            self.stores.postgres.create_database(&name, template).await?;
            let sql = format!("CREATE DATABASE {name}");
            self.stores
                .clickhouse
                .client()
                .query(&sql)
                .execute()
                .await
                .map_err(|error| Error::Prepare { store: "clickhouse", message: error.to_string() })
        };
        if let Err(error) = created.await {
            panic!("the databases of test {name} can't be made: {error}");
        }
        let urls = self.stores.urls();
        let with_last = |url: &str, last: &str| {
            let base = url.rsplit_once('/').map_or(url, |(base, _)| base);
            format!("{base}/{last}")
        };
        StoreUrls {
            postgres_url: self.stores.postgres.url_of(&name),
            redis_url: with_last(&urls.redis_url, &number.to_string()),
            clickhouse_url: with_last(&urls.clickhouse_url, &name),
        }
    }
}

/// Programs of PostgreSQL, and the user and group as whom it has to be run, for tests that need servers of their own. Panics when there
/// are none.
pub fn postgres_programs() -> (PathBuf, Option<(u32, u32)>) {
    let Some(programs) = crate::found::postgres_programs(None) else {
        panic!("PostgreSQL is not installed; `make setup` gets it")
    };
    let user = crate::postgres_store::user_to_run_as()
        .unwrap_or_else(|error| panic!("PostgreSQL can't be run as anybody: {error}"));
    (programs, user.map(|user| (user.uid, user.gid)))
}

/// The program of Redis, for tests that need servers of their own. Panics when there is none.
pub fn redis_program() -> PathBuf {
    crate::found::redis_server().unwrap_or_else(|error| panic!("{error}; `make setup` gets it"))
}

/// Folders of test processes that are gone; a living one holds its lock.
fn remove_leftovers(temporary: &Path) {
    for entry in std::fs::read_dir(temporary).into_iter().flatten().flatten() {
        let is_ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(FOLDER_PREFIX));
        // Without a lock file it is just being made.
        let abandoned =
            is_ours && entry.path().join("stores.lock").exists() && lock_directory(&entry.path()).is_ok();
        if abandoned {
            // Its stores may still be ending; the next run tries again.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
