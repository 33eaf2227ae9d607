//! ClickHouse: every table in its format Native, out of clones and into empty tables.
//!
//! A clone shares the parts of its table; making one moves no row, and what is stored afterwards is not in it. Nothing changes a clone: its
//! parts are neither merged nor dropped for their age. What was written out is read back, and has to be what the clone holds. A table is
//! filled beside itself and then given the partitions: rows that are inserted into it would be counted by its views, into tables
//! that are filled as well.

use clickhouse::{Client, Row};
use serde::Deserialize;
use uuid::Uuid;

use super::files::Folder;
use super::manifest::{ClickHouse, ClickHouseTable, Fingerprint, SavedFile};
use super::{BackupError, Result};
use crate::clickhouse::schema::RESTORE_MARK;

/// Of the migrations, which a restore applies itself.
const MIGRATIONS: &str = "schema_migrations";
const VERSION: &str = "SELECT max(version) FROM schema_migrations";
/// Rows that are written out in one piece and hashed; neither may be cut off.
const FOR_EVER: (&str, &str) = ("max_execution_time", "0");

/// A clone's parts are larger than what it merges.
const NO_MERGES: &str =
    "max_bytes_to_merge_at_max_space_in_pool = 1, max_bytes_to_merge_at_min_space_in_pool = 1";

#[derive(Row, Deserialize)]
struct Column {
    name: String,
    sql_type: String,
}

#[derive(Row, Deserialize)]
struct Table {
    name: String,
    engine: String,
}

/// The tables of the service that hold rows; not those that another process makes for a while.
async fn tables(client: &Client) -> Result<Vec<Table>> {
    let question = "SELECT name, engine FROM system.tables WHERE database = currentDatabase() \
         AND endsWith(engine, 'MergeTree') AND name NOT IN (?, ?) \
         AND NOT match(name, '_recount_[0-9a-f]{32}$|^(backup|restore)_[0-9a-f]{32}_') ORDER BY name";
    Ok(client.query(question).bind(MIGRATIONS).bind(RESTORE_MARK).fetch_all().await?)
}

async fn execute(client: &Client, statement: &str) -> Result<()> {
    let statement = client.query_raw(statement).with_setting(FOR_EVER.0, FOR_EVER.1);
    Ok(statement.execute().await?)
}

/// Rows and their hash, as they are after rows of one key were added up: merges in the background change neither. Values
/// kept as aggregate states have no hash of their own; the files' hashes hold for them.
async fn fingerprint(client: &Client, table: &str, engine: &str) -> Result<Fingerprint> {
    let columns: Vec<String> = client
        .query(
            "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = ? \
             AND NOT startsWith(type, 'AggregateFunction') ORDER BY position",
        )
        .bind(table)
        .fetch_all()
        .await?;
    let added_up = if matches!(engine, "MergeTree" | "ReplicatedMergeTree") { "" } else { "FINAL" };
    let question = format!(
        "SELECT count() AS rows, sum(cityHash64(tuple({}))) AS hash FROM {table} {added_up}",
        columns.join(", ")
    );
    let question = client.query_raw(&question).with_setting(FOR_EVER.0, FOR_EVER.1);
    Ok(question.fetch_one().await?)
}

async fn has_ttl(client: &Client, table: &str) -> Result<bool> {
    let question = "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name = ? AND create_table_query LIKE '% TTL %'";
    Ok(client.query(question).bind(table).fetch_one::<u64>().await? > 0)
}

/// Tables beside the service's own, of one backup.
pub struct Clones<'a> {
    client: &'a Client,
    prefix: String,
}

impl<'a> Clones<'a> {
    pub fn new(client: &'a Client) -> Self {
        Self { client, prefix: format!("backup_{}_", Uuid::new_v4().simple()) }
    }

    /// Clones every table as it is; their names with their engines.
    pub async fn make(&self) -> Result<Vec<(String, String)>> {
        let mut made = Vec::new();
        for Table { name, engine } in tables(self.client).await? {
            let clone = format!("{}{name}", self.prefix);
            execute(self.client, &format!("CREATE TABLE {clone} AS {name}")).await?;
            // What `CLONE AS` does, with something in between: rows whose time is over (RAW_EVENTS_TTL) would be dropped, and others
            // be merged, while the clone is being read.
            if has_ttl(self.client, &clone).await? {
                execute(self.client, &format!("ALTER TABLE {clone} REMOVE TTL")).await?;
            }
            execute(self.client, &format!("ALTER TABLE {clone} MODIFY SETTING {NO_MERGES}")).await?;
            execute(self.client, &format!("ALTER TABLE {clone} ATTACH PARTITION ALL FROM {name}")).await?;
            made.push((name, engine));
        }
        Ok(made)
    }

    /// Writes the clones out.
    pub async fn save(&self, tables: Vec<(String, String)>, folder: &Folder) -> Result<ClickHouse> {
        let version = self.client.query(VERSION).fetch_one().await?;
        let mut saved = Vec::with_capacity(tables.len());
        for (name, engine) in tables {
            let clone = format!("{}{name}", self.prefix);
            let content = fingerprint(self.client, &clone, &engine).await?;
            let mut file = folder.compressed(format!("clickhouse/{name}.native.zst"))?;
            let rows = self.client.query_raw(&format!("SELECT * FROM {clone}"));
            let mut pieces = rows.with_setting(FOR_EVER.0, FOR_EVER.1).fetch_bytes("Native")?;
            while let Some(piece) = pieces.next().await? {
                file.write(&piece)?;
            }
            let file = file.end()?;
            self.read_back(&name, &clone, &file, folder).await?;
            saved.push(ClickHouseTable { name, content, file });
        }
        Ok(ClickHouse { version, tables: saved })
    }

    /// Whether a file holds what the clone does, row by row: ClickHouse reads it and keeps a hash of each row, and nothing else.
    async fn read_back(&self, name: &str, clone: &str, file: &SavedFile, folder: &Folder) -> Result<()> {
        // Those that `SELECT *` has written.
        let columns: Vec<Column> = self
            .client
            .query(
                "SELECT name, type AS sql_type FROM system.columns WHERE database = currentDatabase() AND table = ? \
                 AND default_kind IN ('', 'DEFAULT') ORDER BY position",
            )
            .bind(clone)
            .fetch_all()
            .await?;
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let passing: Vec<String> =
            columns.iter().map(|Column { name, sql_type }| format!("{name} {sql_type} EPHEMERAL")).collect();
        let hash = columns.iter().filter(|column| !column.sql_type.starts_with("AggregateFunction"));
        let hash: Vec<&str> = hash.map(|column| column.name.as_str()).collect();
        let hash = format!("cityHash64(tuple({}))", hash.join(", "));
        let read = format!("{}read_{name}", self.prefix);
        let make = format!(
            "CREATE TABLE {read} ({}, hash_of_row UInt64 DEFAULT {hash}) ENGINE = MergeTree ORDER BY tuple()",
            passing.join(", ")
        );
        execute(self.client, &make).await?;
        insert(self.client, &format!("{read} ({})", names.join(", ")), file, folder).await?;
        let sum = async |what: String| -> Result<Fingerprint> {
            let question = self.client.query_raw(&what).with_setting(FOR_EVER.0, FOR_EVER.1);
            Ok(question.fetch_one().await?)
        };
        let found = sum(format!("SELECT count() AS rows, sum(hash_of_row) AS hash FROM {read}")).await?;
        let expected = sum(format!("SELECT count() AS rows, sum({hash}) AS hash FROM {clone}")).await?;
        execute(self.client, &format!("DROP TABLE {read}")).await?;
        match found == expected {
            true => Ok(()),
            false => Err(BackupError::WrittenOtherwise {
                table: name.to_owned(),
                found: format!("{found:?}"),
                expected: format!("{expected:?}"),
            }),
        }
    }

    pub async fn drop_all(&self) -> Result<()> {
        self.drop_matching(&format!("^{}", self.prefix)).await
    }

    /// What backups have left that were killed. Nobody makes one now: there is a lock.
    pub async fn drop_those_of_the_dead(&self) -> Result<()> {
        self.drop_matching("^backup_[0-9a-f]{32}_").await
    }

    async fn drop_matching(&self, pattern: &str) -> Result<()> {
        let question = "SELECT name FROM system.tables WHERE database = currentDatabase() AND match(name, ?)";
        let names: Vec<String> = self.client.query(question).bind(pattern).fetch_all().await?;
        for name in names {
            execute(self.client, &format!("DROP TABLE IF EXISTS {name}")).await?;
        }
        Ok(())
    }
}

/// Whether the tables can be filled.
///
/// # Errors
/// When the schema is of another version than the backup's, or a table holds something that no restore has left: `may_be_full` where another
/// store says that one did.
pub async fn check(client: &Client, saved: &ClickHouse, may_be_full: bool) -> Result<()> {
    check_schema(client, saved).await?;
    if may_be_full {
        return Ok(());
    }
    for Table { name, .. } in tables(client).await? {
        let rows: u64 = client.query_raw(&format!("SELECT count() FROM {name}")).fetch_one().await?;
        if rows > 0 {
            return Err(BackupError::StoreNotEmpty(format!("ClickHouse ({name})")));
        }
    }
    Ok(())
}

/// Notes that the tables are being filled, so that whatever is found in them is of a restore that did not end. What such a one has
/// left is taken out.
pub async fn begin(client: &Client) -> Result<()> {
    let mark = format!(
        "CREATE TABLE IF NOT EXISTS {RESTORE_MARK} (begun_at DateTime) ENGINE = MergeTree ORDER BY tuple()"
    );
    execute(client, &mark).await?;
    for Table { name, .. } in tables(client).await? {
        execute(client, &format!("TRUNCATE TABLE {name}")).await?;
    }
    let beside = "SELECT name FROM system.tables WHERE database = currentDatabase() AND match(name, '^restore_[0-9a-f]{32}_')";
    for name in client.query(beside).fetch_all::<String>().await? {
        execute(client, &format!("DROP TABLE IF EXISTS {name}")).await?;
    }
    Ok(())
}

/// # Errors
/// When ClickHouse does not answer.
pub async fn end(client: &Client) -> Result<()> {
    execute(client, &format!("DROP TABLE IF EXISTS {RESTORE_MARK} SYNC")).await
}

/// Whether a restore has begun to fill the tables, and did not end.
pub async fn is_marked(client: &Client) -> Result<bool> {
    let question = "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name = ?";
    Ok(client.query(question).bind(RESTORE_MARK).fetch_one::<u64>().await? > 0)
}

async fn check_schema(client: &Client, saved: &ClickHouse) -> Result<()> {
    let version: u32 = client.query(VERSION).fetch_one().await?;
    if version != saved.version {
        return Err(BackupError::OtherSchema {
            of_backup: format!("ClickHouse {}", saved.version),
            of_program: format!("ClickHouse {version}"),
        });
    }
    let known = tables(client).await?;
    for table in &saved.tables {
        if !known.iter().any(|known| known.name == table.name) {
            return Err(BackupError::OtherSchema {
                of_backup: format!("it has a table {}", table.name),
                of_program: "it has none".to_owned(),
            });
        }
    }
    Ok(())
}

/// Fills empty tables, and looks at what is in them then.
pub async fn fill(client: &Client, saved: &ClickHouse, folder: &Folder) -> Result<()> {
    let engines = tables(client).await?;
    for ClickHouseTable { name, content, file } in &saved.tables {
        let beside = format!("restore_{}_{name}", Uuid::new_v4().simple());
        execute(client, &format!("CREATE TABLE {beside} AS {name}")).await?;
        let filled = fill_one(client, name, &beside, file, folder).await;
        execute(client, &format!("DROP TABLE IF EXISTS {beside}")).await?;
        filled?;
        let engine = engines.iter().find(|table| table.name == *name).map_or("", |table| &table.engine);
        let found = fingerprint(client, name, engine).await?;
        if found != *content {
            return Err(BackupError::differs(name, &format!("{found:?}"), &format!("{content:?}")));
        }
    }
    Ok(())
}

async fn fill_one(
    client: &Client,
    name: &str,
    beside: &str,
    file: &SavedFile,
    folder: &Folder,
) -> Result<()> {
    insert(client, beside, file, folder).await?;
    let partitions: Vec<String> = client
        .query(
            "SELECT DISTINCT partition_id FROM system.parts WHERE database = currentDatabase() AND table = ? AND active \
             ORDER BY partition_id",
        )
        .bind(beside)
        .fetch_all()
        .await?;
    for partition in partitions {
        execute(client, &format!("ALTER TABLE {name} ATTACH PARTITION ID '{partition}' FROM {beside}"))
            .await?;
    }
    Ok(())
}

/// Inserts what a file holds as it is.
async fn insert(client: &Client, target: &str, file: &SavedFile, folder: &Folder) -> Result<()> {
    let mut pieces = folder.decompressed(file)?;
    let Some(first) = pieces.next()? else { return Ok(()) };
    let mut insert = client
        .insert_formatted_with(format!("INSERT INTO {target} FORMAT Native"))
        .with_setting(FOR_EVER.0, FOR_EVER.1)
        // Years of days at once, as they were saved, and the same rows as often as they were there.
        .with_setting("max_partitions_per_insert_block", "0")
        .with_setting("throw_on_max_partitions_per_insert_block", "0")
        .with_setting("optimize_on_insert", "0")
        .with_setting("insert_deduplicate", "0")
        .with_setting("async_insert", "0");
    insert.send(first.into()).await?;
    while let Some(piece) = pieces.next()? {
        insert.send(piece.into()).await?;
    }
    Ok(insert.end().await?)
}

/// Takes out again what was put into tables that were empty.
pub async fn empty(client: &Client, saved: &ClickHouse) -> Result<()> {
    for table in &saved.tables {
        execute(client, &format!("TRUNCATE TABLE {}", table.name)).await?;
    }
    Ok(())
}
