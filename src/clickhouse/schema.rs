//! The ClickHouse schema: numbered files of `clickhouse/`, applied in order and never changed afterwards, and a
//! check at start that what is there is what this version writes to.

use clickhouse::{Client, Row};
use mohaa_domain::row;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::cluster::form::NoForm;
use super::cluster::{self, ClusterError, Engines};

/// The numbered files. A file that was applied once must never change: a later one changes the schema.
pub(super) const MIGRATIONS: &[(u32, &str, &str)] = &[
    (1, "raw_events", include_str!("../../clickhouse/0001_raw_events.sql")),
    (2, "rollups", include_str!("../../clickhouse/0002_rollups.sql")),
    (3, "level_time", include_str!("../../clickhouse/0003_level_time.sql")),
    (4, "match_order", include_str!("../../clickhouse/0004_match_order.sql")),
    (5, "player_links", include_str!("../../clickhouse/0005_player_links.sql")),
    (6, "player_match_deeds", include_str!("../../clickhouse/0006_player_match_deeds.sql")),
    (7, "player_ratings", include_str!("../../clickhouse/0007_player_ratings.sql")),
    (8, "kill_distances", include_str!("../../clickhouse/0008_kill_distances.sql")),
    (9, "server_players_hourly", include_str!("../../clickhouse/0009_server_players_hourly.sql")),
    (10, "first_kills_and_stances", include_str!("../../clickhouse/0010_first_kills_and_stances.sql")),
    (12, "name_keys", include_str!("../../clickhouse/0012_name_keys.sql")),
    (13, "sums_of_all_days", include_str!("../../clickhouse/0013_sums_of_all_days.sql")),
    (
        14,
        "cells_of_weapons_and_servers",
        include_str!("../../clickhouse/0014_cells_of_weapons_and_servers.sql"),
    ),
    (15, "finer_granules", include_str!("../../clickhouse/0015_finer_granules.sql")),
    (16, "maps_and_weapons", include_str!("../../clickhouse/0016_maps_and_weapons.sql")),
    (17, "first_kills_of_matches", include_str!("../../clickhouse/0017_first_kills_of_matches.sql")),
    (19, "told_last", include_str!("../../clickhouse/0019_told_last.sql")),
    (20, "finer_cells", include_str!("../../clickhouse/0020_finer_cells.sql")),
];

/// The table that is there while a restore fills the others: an empty one.
pub const RESTORE_MARK: &str = "restore_unfinished";

/// A table filled by the view of the same name with `_mv` behind it.
#[derive(Clone, Copy, Debug)]
pub struct Rollup {
    pub table: &'static str,
    pub span: Span,
    /// Whether rows of one key are added up when parts are merged, so that reading them takes FINAL.
    pub adds_up: bool,
}

/// What a roll-up's rows are sums of.
#[derive(Clone, Copy, Debug)]
pub enum Span {
    /// Of one day's events: partitioned by this expression, recounted from `raw_events`.
    Day(&'static str),
    /// Of all days: not partitioned, recounted as a whole from the roll-up of days that its view reads.
    AllDays,
}

const fn of_days(table: &'static str, day: &'static str) -> Rollup {
    Rollup { table, span: Span::Day(day), adds_up: true }
}

const fn of_all_days(table: &'static str) -> Rollup {
    Rollup { table, span: Span::AllDays, adds_up: true }
}

/// Those of days come first: the others are recounted from them.
pub const ROLLUPS: &[Rollup] = &[
    of_days("player_stats_daily", "day"),
    of_days("weapon_stats", "day"),
    of_days("kill_heatmap", "day"),
    of_days("player_match_totals", "day"),
    of_days("matches", "day"),
    of_days("player_names", "day"),
    of_days("player_rivals_daily", "day"),
    of_days("player_match_deeds", "day"),
    of_days("player_stances_daily", "day"),
    Rollup { adds_up: false, ..of_days("player_combat", "day") },
    of_days("kill_distances", "day"),
    of_days("server_players_hourly", "toDate(hour)"),
    of_all_days("player_totals"),
    of_all_days("player_map_totals"),
    of_all_days("player_days"),
    of_all_days("weapon_totals"),
    of_all_days("weapon_map_totals"),
    of_all_days("map_players"),
    of_all_days("map_weapons"),
    of_all_days("player_aliases"),
    of_all_days("player_matches"),
    of_all_days("match_totals"),
    of_all_days("player_deeds"),
    Rollup { adds_up: false, ..of_all_days("player_fights") },
    of_all_days("player_rivals"),
    of_all_days("player_killers"),
    of_all_days("player_stances"),
    of_all_days("weapon_ranges"),
    of_all_days("player_ranges"),
    of_all_days("server_players"),
    of_all_days("map_cells"),
    of_all_days("player_cells"),
    of_all_days("map_extents"),
    of_all_days("weapon_cells"),
    of_all_days("server_cells"),
];

#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    #[error("ClickHouse: {0}")]
    ClickHouse(#[from] clickhouse::error::Error),
    #[error("migration {version} ({name}) failed at «{statement}»: {source}")]
    Migration { version: u32, name: &'static str, statement: String, source: clickhouse::error::Error },
    #[error("migration {version} ({name}) was applied with other content; applied files must not change")]
    Changed { version: u32, name: &'static str },
    #[error("{node} refuses «{statement}»: {source}")]
    OnNode { node: String, statement: String, source: clickhouse::error::Error },
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    NoForm(#[from] NoForm),
    #[error(
        "the database of CLICKHOUSE_URL holds the tables of a single engine, and CLICKHOUSE_CLUSTER is set: a cluster begins with a \
         database of its own"
    )]
    OfSingleEngine,
    #[error("the database of CLICKHOUSE_URL belongs to a cluster: set CLICKHOUSE_CLUSTER")]
    OfCluster,
    #[error("the schema in ClickHouse is not the one this version writes to: {}", .0.join("; "))]
    Drift(Vec<String>),
}

impl SchemaError {
    /// Whether it may be otherwise in a moment, without anybody's doing.
    pub fn is_for_now(&self) -> bool {
        match self {
            SchemaError::ClickHouse(_) => true,
            SchemaError::Cluster(error) => error.is_for_now(),
            _ => false,
        }
    }
}

#[derive(Row, Deserialize)]
pub(super) struct AppliedMigration {
    pub(super) version: u32,
    pub(super) checksum: String,
}

/// Whether nothing is missing of what this version writes to, by the notes of what was applied.
///
/// # Errors
/// When ClickHouse can't be reached.
pub async fn is_up_to_date(engines: &Engines) -> Result<bool, SchemaError> {
    if let Some(cluster) = engines.cluster() {
        return cluster::schema::is_up_to_date(engines, cluster).await;
    }
    let client = engines.questions();
    let applied = applied_migrations(client).await?;
    Ok(MIGRATIONS.iter().all(|&(version, _, sql)| {
        let is_it = |found: &AppliedMigration| found.version == version && found.checksum == checksum_of(sql);
        applied.iter().any(is_it)
    }))
}

/// Whether this or an earlier version has ever applied anything.
///
/// # Errors
/// When ClickHouse can't be reached.
pub async fn was_ever_applied(engines: &Engines) -> Result<bool, SchemaError> {
    if engines.cluster().is_some() {
        return cluster::schema::was_ever_applied(engines).await;
    }
    let client = engines.questions();
    Ok(!applied_migrations(client).await?.is_empty())
}

pub(super) async fn applied_migrations(client: &Client) -> Result<Vec<AppliedMigration>, SchemaError> {
    client
        .query_raw(
            "CREATE TABLE IF NOT EXISTS schema_migrations (version UInt32, name String, checksum String, \
             applied_at DateTime DEFAULT now()) ENGINE = MergeTree ORDER BY version",
        )
        .execute()
        .await?;
    let applied = client.query("SELECT version, checksum FROM schema_migrations ORDER BY version");
    Ok(applied.fetch_all().await?)
}

pub(super) fn checksum_of(sql: &str) -> String {
    format!("{:x}", HexDigest(Sha256::digest(sql.as_bytes()).into()))
}

/// Applies what is not applied yet, for stores that nobody else uses; otherwise see [`super::upgrade`].
///
/// # Errors
/// When ClickHouse can't be reached or refuses a statement.
pub async fn migrate(engines: &Engines) -> Result<(), SchemaError> {
    match engines.cluster() {
        Some(cluster) => cluster::schema::migrate(engines, cluster).await,
        None => {
            refuse_tables_of_a_cluster(engines.questions()).await?;
            migrate_up_to(engines.questions(), u32::MAX).await
        }
    }
}

/// Its tables have the same names, and would be taken for ours.
async fn refuse_tables_of_a_cluster(client: &Client) -> Result<(), SchemaError> {
    let question = "SELECT count() FROM system.tables \
        WHERE database = currentDatabase() AND name = 'raw_events' AND engine = 'Distributed'";
    match client.query(question).fetch_one::<u64>().await? {
        0 => Ok(()),
        _ => Err(SchemaError::OfCluster),
    }
}

/// Applies what is not applied yet, up to the schema of an earlier version of this service.
///
/// # Errors
/// As [`migrate`].
pub async fn migrate_up_to(client: &Client, newest: u32) -> Result<(), SchemaError> {
    let applied = applied_migrations(client).await?;
    for &(version, name, sql) in MIGRATIONS.iter().filter(|(version, ..)| *version <= newest) {
        let checksum = checksum_of(sql);
        if let Some(found) = applied.iter().find(|migration| migration.version == version) {
            if found.checksum != checksum {
                return Err(SchemaError::Changed { version, name });
            }
            continue;
        }
        tracing::info!(version, name, "applying ClickHouse migration");
        for statement in statements(sql) {
            client.query_raw(&statement).execute().await.map_err(|source| SchemaError::Migration {
                version,
                name,
                statement: statement.chars().take(120).collect(),
                source,
            })?;
        }
        note(client, version, name, &checksum).await?;
    }
    Ok(())
}

/// Writes down that a migration was applied to the database of a client.
pub(super) async fn note(
    client: &Client,
    version: u32,
    name: &str,
    checksum: &str,
) -> Result<(), SchemaError> {
    let note = client.query("INSERT INTO schema_migrations (version, name, checksum) VALUES (?, ?, ?)");
    Ok(note.bind(version).bind(name).bind(checksum).execute().await?)
}

struct HexDigest([u8; 32]);

impl std::fmt::LowerHex for HexDigest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// Statements end with `;` at the end of a line; comments take whole lines.
pub(super) fn statements(sql: &str) -> Vec<String> {
    let code: Vec<&str> = sql.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
    code.join("\n")
        .split(";\n")
        .map(|statement| statement.trim().trim_end_matches(';').to_owned())
        .filter(|statement| !statement.is_empty())
        .collect()
}

/// Keeps events for `days` days, or for ever when 0. Whole partitions are dropped.
///
/// # Errors
/// When ClickHouse can't be reached or refuses.
pub async fn set_raw_events_ttl(engines: &Engines, days: u32) -> Result<(), SchemaError> {
    for shard in engines.shards().await? {
        // Its replicas follow.
        set_ttl(&shard.answering().await?.local, days).await?;
    }
    Ok(())
}

async fn set_ttl(client: &Client, days: u32) -> Result<(), SchemaError> {
    let definition: String = client
        .query("SELECT create_table_query FROM system.tables WHERE database = currentDatabase() AND name = 'raw_events'")
        .fetch_one()
        .await?;
    let has_ttl = definition.contains(" TTL ");
    if days == 0 {
        if has_ttl {
            client.query_raw("ALTER TABLE raw_events REMOVE TTL").execute().await?;
        }
    } else if !definition.contains(&format!("toIntervalDay({days})")) {
        let statement = format!("ALTER TABLE raw_events MODIFY TTL toDate(event_at) + toIntervalDay({days})");
        client.query_raw(&statement).execute().await?;
    }
    Ok(())
}

#[derive(Row, Deserialize)]
struct FoundColumn {
    name: String,
    sql_type: String,
}

#[derive(Row, Deserialize)]
struct FoundTable {
    name: String,
    engine: String,
    definition: String,
}

/// Compares what is in ClickHouse with what this version writes: columns and types of `raw_events`, every roll-up
/// with its view and its deduplication window.
///
/// # Errors
/// [`SchemaError::Drift`] with every difference, or when ClickHouse can't be reached.
pub async fn check(engines: &Engines) -> Result<(), SchemaError> {
    let mut differences = Vec::new();
    for shard in engines.shards().await? {
        let node = shard.answering().await?;
        let found = differences_of(&node.local).await?;
        differences.extend(found.into_iter().map(|difference| match engines.cluster() {
            Some(_) => format!("{}: {difference}", node.name),
            None => difference,
        }));
    }
    if engines.cluster().is_some() {
        differences.extend(differing_columns(engines.questions()).await?);
    }
    if differences.is_empty() { Ok(()) } else { Err(SchemaError::Drift(differences)) }
}

/// Of `raw_events`, which inserts name.
async fn differing_columns(client: &Client) -> Result<Vec<String>, SchemaError> {
    let mut differences = Vec::new();
    let columns: Vec<FoundColumn> = client
        .query(
            "SELECT name, type AS sql_type FROM system.columns \
             WHERE database = currentDatabase() AND table = 'raw_events'",
        )
        .fetch_all()
        .await?;
    let batch_id = row::ColumnDefinition { name: "batch_id", sql_type: "UUID" };
    for expected in std::iter::once(&batch_id).chain(row::COLUMNS) {
        match columns.iter().find(|column| column.name == expected.name) {
            None => differences.push(format!("raw_events has no column {}", expected.name)),
            Some(found) if found.sql_type != expected.sql_type => differences.push(format!(
                "raw_events.{} is {}, not {}",
                expected.name, found.sql_type, expected.sql_type
            )),
            Some(_) => {}
        }
    }
    Ok(differences)
}

async fn differences_of(client: &Client) -> Result<Vec<String>, SchemaError> {
    let mut differences = differing_columns(client).await?;
    let tables: Vec<FoundTable> = client
        .query(
            "SELECT name, engine, create_table_query AS definition FROM system.tables \
             WHERE database = currentDatabase()",
        )
        .fetch_all()
        .await?;
    for table in ROLLUPS.iter().map(|rollup| rollup.table).chain(["raw_events"]) {
        match tables.iter().find(|found| found.name == table) {
            None => differences.push(format!("table {table} is missing")),
            Some(found)
                if !found.definition.contains("non_replicated_deduplication_window")
                    && !found.engine.starts_with("Replicated") =>
            {
                differences.push(format!("table {table} has no deduplication window"));
            }
            Some(_) => {}
        }
    }
    if tables.iter().any(|found| found.name == RESTORE_MARK) {
        differences.push("a restore did not end; begin it anew".to_owned());
    }
    for rollup in ROLLUPS {
        let view = format!("{}_mv", rollup.table);
        match tables.iter().find(|found| found.name == view) {
            None => differences.push(format!("view {view} is missing")),
            Some(found) if !found.definition.contains(&format!(".{} ", rollup.table)) => {
                differences.push(format!("view {view} does not fill {}", rollup.table));
            }
            Some(_) => {}
        }
    }
    for view in tables.iter().filter(|found| found.engine == "MaterializedView") {
        if !ROLLUPS.iter().any(|rollup| view.name == format!("{}_mv", rollup.table)) {
            differences.push(format!("view {} is not known, nobody would reconcile it", view.name));
        }
    }
    Ok(differences)
}
