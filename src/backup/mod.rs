//! Backup and restore of all that the service keeps: PostgreSQL, ClickHouse, and the files of its data directory.
//!
//! **One moment.** The service goes on taking events while a backup is made. An event is in the spool until it is in
//! ClickHouse; copied at two moments it would be in both or in neither. So the writers of all nodes stand aside for the
//! seconds in which ClickHouse's tables are cloned (which copies nothing), the spool's files are copied and a snapshot of
//! PostgreSQL is begun ([`quiet`]). What is slow, writing it all out, is done from these afterwards, with the writers at work.
//! Events that arrive meanwhile wait in the spool, and are not in the backup.
//!
//! **Verified.** The manifest, written last, has the size and the SHA-256 of every file, and the rows of every table with
//! an order-free hash of them. A folder without a manifest is no backup. A restore checks the files before it touches
//! anything, and the tables after they are filled. It fills empty stores only, of the same version of the schema.
//!
//! Roll-ups are saved as they are, not made anew from the events: they outlive them (RAW_EVENTS_TTL). Redis holds nothing that can't be
//! rebuilt. A backup is of the stores, which all nodes share, and of the spool of one node.

mod clickhouse;
mod files;
mod manifest;
mod postgres;
mod quiet;

pub use manifest::Manifest;

use std::path::{Path, PathBuf};

use sqlx::PgPool;

use crate::clickhouse::cluster::{ClusterError, Engines};
use crate::clickhouse::schema;
use crate::config::Config;
use files::Folder;
use manifest::MANIFEST;

#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("{} is not empty", .0.display())]
    NotEmpty(PathBuf),
    #[error("{} is no backup: {reason}", path.display())]
    NoBackup { path: PathBuf, reason: String },
    #[error("{} is within the spool, which a backup copies", .0.display())]
    WithinSpool(PathBuf),
    #[error("{path} is not as it was written: it is damaged, or was changed")]
    Damaged { path: String },
    #[error(
        "the backup is of another version of the schema ({of_backup}; this is {of_program}): restore it with that version"
    )]
    OtherSchema { of_backup: String, of_program: String },
    #[error("{0} holds something already; a backup is restored into empty stores")]
    StoreNotEmpty(String),
    #[error("{table} has {found} after it was restored, {expected} were saved")]
    Differs { table: String, found: String, expected: String },
    #[error("events are stored all the time, also while the writers should stand aside; try again")]
    NotQuiet,
    #[error("PostgreSQL: {0}")]
    Postgres(#[from] sqlx::Error),
    #[error(transparent)]
    PostgresSchema(#[from] crate::postgres::PostgresError),
    #[error("ClickHouse: {0}")]
    ClickHouse(#[from] ::clickhouse::error::Error),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    ClickHouseSchema(#[from] schema::SchemaError),
    #[error("the manifest can't be written: {0}")]
    Manifest(#[from] serde_json::Error),
}

type Result<T> = std::result::Result<T, BackupError>;

/// What is saved and filled again.
pub struct Stores {
    pub postgres: PgPool,
    pub clickhouse: ::clickhouse::Client,
    pub spool_dir: PathBuf,
    pub data_dir: PathBuf,
}

impl Stores {
    pub fn new(config: &Config, postgres: PgPool, clickhouse: ::clickhouse::Client) -> Self {
        Self { postgres, clickhouse, spool_dir: config.spool_dir(), data_dir: config.data_dir.clone() }
    }

    /// Saves everything into a folder, which is made; whether or not the service runs.
    ///
    /// # Errors
    /// When the folder holds something, a store fails, or other nodes don't stand aside. What was written by then is no backup.
    pub async fn save(&self, to: &Path) -> Result<Manifest> {
        files::refuse_within(to, &self.spool_dir)?;
        let folder = Folder::make(to)?;
        let clones = clickhouse::Clones::new(&self.clickhouse);
        let saved = self.save_with(&folder, &clones).await;
        let dropped = clones.drop_all().await;
        let manifest = saved?;
        dropped?;
        folder.write_manifest(&manifest)?;
        Ok(manifest)
    }

    async fn save_with(&self, folder: &Folder, clones: &clickhouse::Clones<'_>) -> Result<Manifest> {
        let writers = quiet::Writers::stand_aside(&self.postgres, &self.clickhouse).await?;
        clones.drop_those_of_the_dead().await?;
        let (tables, files, snapshot) = loop {
            let rows = writers.quiet().await?;
            let tables = clones.make().await?;
            let files = folder.save_data_dir(&self.spool_dir, &self.data_dir)?;
            let snapshot = postgres::Snapshot::begin(&self.postgres).await?;
            if writers.stored_nothing_since(rows).await? {
                break (tables, files, snapshot);
            }
            clones.drop_all().await?;
        };
        writers.go_on().await?;
        tracing::info!("the moment of the backup is over; writing it out");
        let postgres = snapshot.save(folder).await?;
        let clickhouse = clones.save(tables, folder).await?;
        Ok(Manifest::new(postgres, clickhouse, files))
    }

    /// Fills empty stores and an empty spool from a backup. No service may run on them.
    ///
    /// # Errors
    /// When the backup is damaged or of another schema, something is there already, or a store fails. Tables that were filled by
    /// then are emptied again; when this process is killed, by the next restore: what was put into PostgreSQL and the spool is there as
    /// a whole or not at all.
    pub async fn restore(&self, from: &Path) -> Result<Manifest> {
        let (folder, manifest) = Folder::open(from)?;
        tracing::info!(made_at = %manifest.made_at, "the files of the backup are as they were written");
        crate::postgres::migrate(&self.postgres).await?;
        schema::migrate(&Engines::single(self.clickhouse.clone())).await?;
        files::check_is_empty(&self.spool_dir)?;
        let filling = postgres::Filling::begin(&self.postgres, &manifest.postgres).await?;
        clickhouse::begin(&self.clickhouse, &manifest.clickhouse).await?;
        let filled = clickhouse::fill(&self.clickhouse, &manifest.clickhouse, &folder).await;
        let restored = async {
            filled?;
            let filling = filling.fill(&manifest.postgres, &folder).await?;
            folder.restore_data_dir(&manifest.files, &self.spool_dir, &self.data_dir)?;
            clickhouse::end(&self.clickhouse).await?;
            filling.commit().await
        };
        if let Err(error) = restored.await {
            // They were empty: whoever tries again finds them so.
            clickhouse::empty(&self.clickhouse, &manifest.clickhouse).await?;
            clickhouse::end(&self.clickhouse).await?;
            return Err(error);
        }
        Ok(manifest)
    }
}
