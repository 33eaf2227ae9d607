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
//! anything, and the tables after they are filled. It fills empty stores only, of the same version of the schema. What was written of
//! ClickHouse's tables is read back when the backup is made.
//!
//! **Begun anew.** A restore ends in three stores, which can't be done in one step. So each is marked as of a restore that did not
//! end: the spool, where a start refuses it, and ClickHouse, where nothing is stored, before their first row; PostgreSQL by the
//! transaction that fills it. The marks go when all of it is there. What is marked is emptied by the next restore, whatever is in it;
//! what is not has to be empty.
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
use files::{Folder, SpoolToFill};
use manifest::MANIFEST;

#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("{} is not empty", .0.display())]
    NotEmpty(PathBuf),
    #[error("{} is no backup: {reason}", path.display())]
    NoBackup { path: PathBuf, reason: String },
    #[error("{} is in use: a restore needs a spool that no service has open", .0.display())]
    InUse(PathBuf),
    #[error("a restore did not end here: begin it anew, then there is something to save")]
    Unfinished,
    #[error("{table} was not written as it is: {found} are in the file, {expected} in the table")]
    WrittenOtherwise { table: String, found: String, expected: String },
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
    #[error("{table} has {found}, {expected} were saved")]
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

impl BackupError {
    fn differs(table: &str, found: &str, expected: &str) -> Self {
        Self::Differs { table: table.to_owned(), found: found.to_owned(), expected: expected.to_owned() }
    }
}

type Result<T> = std::result::Result<T, BackupError>;

/// Whether a restore has begun to fill this spool, and did not end. Nobody may use it then.
pub fn is_unfinished(spool_dir: &Path) -> bool {
    files::is_marked(spool_dir)
}

/// Looks at a backup without any store: every file against its checksum, and every table from its beginning to its end.
///
/// # Errors
/// When it is no backup, or damaged.
pub fn check(from: &Path) -> Result<Manifest> {
    let (folder, manifest) = Folder::open(from)?;
    folder.check_tables(&manifest)?;
    Ok(manifest)
}

/// How far a restore has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestoreStep {
    /// All is where it belongs, but for what PostgreSQL has yet to commit.
    Filled,
    Committed,
    /// ClickHouse's mark is gone.
    ClickHouseEnded,
    /// The spool's is, too.
    SpoolEnded,
}

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
        if files::is_marked(&self.spool_dir) || clickhouse::is_marked(&self.clickhouse).await? {
            return Err(BackupError::Unfinished);
        }
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

    /// Fills empty stores and an empty spool from a backup, or those that a restore has left which did not end. No service may run on
    /// them.
    ///
    /// # Errors
    /// When the backup is damaged or of another schema, something is there already, or a store fails. What was filled by then is emptied
    /// again, or else by the next restore.
    pub async fn restore(&self, from: &Path) -> Result<Manifest> {
        self.restore_in_steps(from, async |_| ()).await
    }

    /// As [`restore`](Self::restore), and waits for `reached` after each step.
    ///
    /// # Errors
    /// As [`restore`](Self::restore).
    pub async fn restore_in_steps(
        &self,
        from: &Path,
        reached: impl AsyncFn(RestoreStep),
    ) -> Result<Manifest> {
        let (folder, manifest) = Folder::open(from)?;
        tracing::info!(made_at = %manifest.made_at, "the files of the backup are as they were written");
        let engines = Engines::single(self.clickhouse.clone());
        crate::postgres::migrate(&self.postgres).await?;
        schema::migrate(&engines).await?;
        let spool = SpoolToFill::open(&self.spool_dir, &self.data_dir)?;
        let is_clickhouse_marked = clickhouse::is_marked(&self.clickhouse).await?;
        let is_any_marked = spool.is_marked() || is_clickhouse_marked;
        let filling = postgres::Filling::begin(&self.postgres, &manifest.postgres, is_any_marked).await?;
        let is_committed = filling.is_marked();
        // Its mark goes before the spool's and PostgreSQL's.
        let may_be_full = is_clickhouse_marked || spool.is_marked() && is_committed;
        clickhouse::check(&self.clickhouse, &manifest.clickhouse, may_be_full).await?;
        if is_any_marked {
            tracing::info!("an earlier restore did not end: what it has filled is emptied");
        }

        let filled = async {
            spool.begin()?;
            clickhouse::begin(&self.clickhouse).await?;
            // Else what is older would go as soon as it is there; a service sets it again at its start.
            schema::set_raw_events_ttl(&engines, 0).await?;
            clickhouse::fill(&self.clickhouse, &manifest.clickhouse, &folder).await?;
            let filling = filling.fill(&manifest.postgres, &folder).await?;
            folder.fill_spool(&manifest.files, &spool)?;
            Ok::<_, BackupError>(filling)
        };
        let filling = match filled.await {
            Ok(filling) => filling,
            Err(error) => {
                // They were empty: whoever tries again, or does not, finds them so. Where PostgreSQL isn't, the marks have to stay.
                if !is_committed && let Err(error) = self.undo(&manifest, &spool).await {
                    tracing::warn!(%error, "what was filled can't be emptied now: the next restore does that");
                }
                return Err(error);
            }
        };
        reached(RestoreStep::Filled).await;
        // From here on whatever fails is begun anew: whether a commit came through isn't known when its answer is lost.
        filling.commit().await?;
        reached(RestoreStep::Committed).await;
        folder.fill_data_dir(&manifest.files, &self.data_dir)?;
        clickhouse::end(&self.clickhouse).await?;
        reached(RestoreStep::ClickHouseEnded).await;
        spool.end()?;
        reached(RestoreStep::SpoolEnded).await;
        postgres::end(&self.postgres).await?;
        Ok(manifest)
    }

    async fn undo(&self, manifest: &Manifest, spool: &SpoolToFill) -> Result<()> {
        clickhouse::empty(&self.clickhouse, &manifest.clickhouse).await?;
        clickhouse::end(&self.clickhouse).await?;
        spool.undo()
    }
}
