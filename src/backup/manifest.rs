//! What a backup holds.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Its name in the folder; written last.
pub const MANIFEST: &str = "manifest.json";
/// Of this layout of the folder.
pub const FORMAT: u32 = 1;

/// A file of the backup, by its path below the folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedFile {
    pub path: String,
    pub bytes: u64,
    /// Hexadecimal.
    pub sha256: String,
}

/// A table of PostgreSQL as `COPY` writes it, compressed with zstd.
#[derive(Debug, Serialize, Deserialize)]
pub struct PostgresTable {
    pub name: String,
    pub columns: String,
    pub rows: u64,
    pub file: SavedFile,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Postgres {
    /// Of the schema; the newest migration.
    pub version: i64,
    pub tables: Vec<PostgresTable>,
    /// Names and last values of sequences that were used.
    pub sequences: Vec<(String, i64)>,
}

/// Rows of a table with an order-free hash of them, after rows of one key were added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clickhouse::Row)]
pub struct Fingerprint {
    pub rows: u64,
    pub hash: u64,
}

/// A table of ClickHouse in its format Native, compressed with zstd.
#[derive(Debug, Serialize, Deserialize)]
pub struct ClickHouseTable {
    pub name: String,
    pub content: Fingerprint,
    pub file: SavedFile,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct ClickHouse {
    /// Of the schema; the newest migration.
    pub version: u32,
    pub tables: Vec<ClickHouseTable>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u32,
    /// Of the program that made the backup.
    pub program: String,
    pub made_at: DateTime<Utc>,
    pub postgres: Postgres,
    pub clickhouse: ClickHouse,
    /// Of the data directory, the spool's below `spool/`.
    pub files: Vec<SavedFile>,
}

impl Manifest {
    pub(super) fn new(postgres: Postgres, clickhouse: ClickHouse, files: Vec<SavedFile>) -> Self {
        let program = env!("CARGO_PKG_VERSION").to_owned();
        Self { format: FORMAT, program, made_at: Utc::now(), postgres, clickhouse, files }
    }

    /// Every file but the manifest itself.
    pub fn all_files(&self) -> impl Iterator<Item = &SavedFile> {
        let postgres = self.postgres.tables.iter().map(|table| &table.file);
        let clickhouse = self.clickhouse.tables.iter().map(|table| &table.file);
        postgres.chain(clickhouse).chain(&self.files)
    }

    pub fn bytes(&self) -> u64 {
        self.all_files().map(|file| file.bytes).sum()
    }

    pub fn events(&self) -> u64 {
        let events = self.clickhouse.tables.iter().find(|table| table.name == "raw_events");
        events.map_or(0, |table| table.content.rows)
    }
}
