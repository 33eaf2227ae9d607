//! The schema on the nodes of a cluster: the migrations of a single engine in their form for many ([`form`](super::form)), and above
//! the tables the `Distributed` ones.
//!
//! Each node keeps its own notes of what was applied (`schema_migrations`). A migration is noted only when all of its statements
//! ended on all nodes of a shard, so a note on any of them says so for all. A node without notes in a shard that has some is a new
//! replica: it is given the tables of the others as they are now, and its rows come by replication. To run old migrations there
//! would empty and fill tables that the others use.
//!
//! Nothing is applied while a node is away: it would be without the tables for ever. Where nothing is to be applied, nodes may be
//! away, as long as each shard has one that answers.

use clickhouse::{Client, Row};
use serde::{Deserialize, Serialize};

use super::form::{self, Keeper, SHARED, Scope, Work};
use super::{ClusterError, Engines, Node, Replication, Shard};
use crate::clickhouse::schema::{
    AppliedMigration, MIGRATIONS, SchemaError, applied_migrations, checksum_of, note, statements,
};

/// What only one process needs for a while, and the notes themselves.
const NOT_FOR_QUESTIONS: &str = "_recount_[0-9a-f]{32}$|^schema_migrations$";
/// Events find their shard by it, and with them all that is counted of them.
const SHARDING: &[(&str, &str)] = &[("raw_events", "cityHash64(server_id)")];

#[derive(Row, Deserialize)]
struct Table {
    name: String,
    engine: String,
    definition: String,
}

/// A table as questions see it.
#[derive(Row, Deserialize, PartialEq, Eq, Debug)]
struct Shape {
    name: String,
    engine: String,
    /// Names and types of its columns.
    columns: Vec<(String, String)>,
}

#[derive(Row, Serialize, Deserialize)]
struct Note {
    version: u32,
    name: String,
    checksum: String,
}

/// Whether nothing is missing on any node that answers.
///
/// # Errors
/// When no node of a shard answers.
pub async fn is_up_to_date(engines: &Engines, cluster: &str) -> Result<bool, SchemaError> {
    for shard in engines.shards().await? {
        for node in shard.all_answering().await? {
            if !has_database(node, &node.local_database).await?
                || !are_all_applied(&applied_migrations(&node.local).await?)
                || !missing_above(node, cluster).await?.is_empty()
            {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Whether any node was ever given a schema.
///
/// # Errors
/// When no node of a shard answers.
pub async fn was_ever_applied(engines: &Engines) -> Result<bool, SchemaError> {
    for shard in engines.shards().await? {
        for node in shard.all_answering().await? {
            if has_database(node, &node.local_database).await?
                && !applied_migrations(&node.local).await?.is_empty()
            {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Every statement of the migrations as it would be run on a cluster; copies of tables are those of an engine that is nobody's.
///
/// # Errors
/// When one has no form.
pub fn all_statements(replication: Replication) -> Result<Vec<String>, form::NoForm> {
    let mut all = Vec::new();
    for &(version, _, sql) in MIGRATIONS {
        let keeper = Keeper { local_database: "mohaa_local", whole_database: "mohaa", version };
        for statement in statements(sql) {
            all.push(match form::placed(&statement, replication, keeper)?.work {
                Work::Run(statement) => statement,
                Work::Copy { table, of, settings } => {
                    let engine = "ReplicatedAggregatingMergeTree('/a', 'b') ORDER BY day";
                    let engine = form::engine_of_copy(engine, &table, &settings, keeper);
                    format!("CREATE TABLE {table} AS {of} ENGINE = {engine}")
                }
            });
        }
    }
    Ok(all)
}

fn are_all_applied(applied: &[AppliedMigration]) -> bool {
    MIGRATIONS.iter().all(|&(version, _, sql)| {
        applied.iter().any(|found| found.version == version && found.checksum == checksum_of(sql))
    })
}

async fn has_database(node: &Node, name: &str) -> Result<bool, SchemaError> {
    let client = node.anywhere();
    let found = client.query("SELECT count() FROM system.databases WHERE name = ?").bind(name);
    Ok(found.fetch_one::<u64>().await? > 0)
}

/// Applies what is not applied yet on every node, and makes the tables above.
///
/// # Errors
/// When a node does not answer or refuses a statement.
pub async fn migrate(engines: &Engines, cluster: &str) -> Result<(), SchemaError> {
    let (shards, replication) = engines.shards_and_replication().await?;
    let nodes = || shards.iter().flat_map(|shard| &shard.nodes);
    for node in nodes() {
        node.answers().await.map_err(|source| ClusterError::NodeAway { node: node.name.clone(), source })?;
        make_databases(node).await?;
        refuse_tables_of_a_single_engine(node).await?;
    }
    for shard in &shards {
        bring_up_to_date(shard, replication).await?;
    }
    for node in nodes() {
        for statement in missing_above(node, cluster).await? {
            execute(&node.local, &statement).await.map_err(|error| error.on(node, &statement))?;
        }
    }
    Ok(())
}

async fn make_databases(node: &Node) -> Result<(), SchemaError> {
    let client = node.anywhere();
    for name in [&node.local_database, &node.whole_database] {
        execute(&client, &format!("CREATE DATABASE IF NOT EXISTS `{name}`")).await?;
    }
    Ok(())
}

/// What an installation without a cluster has stored is where the tables of all shards would be put.
async fn refuse_tables_of_a_single_engine(node: &Node) -> Result<(), SchemaError> {
    let Some(whole) = &node.whole else { return Ok(()) };
    let question = "SELECT name FROM system.tables WHERE database = currentDatabase() AND name = 'raw_events' AND engine != 'Distributed'";
    let found: Vec<String> = whole.query(question).fetch_all().await?;
    match found.is_empty() {
        true => Ok(()),
        false => Err(SchemaError::OfSingleEngine),
    }
}

async fn bring_up_to_date(shard: &Shard, replication: Replication) -> Result<(), SchemaError> {
    let mut notes = Vec::new();
    for node in &shard.nodes {
        notes.push(applied_migrations(&node.local).await?);
    }
    // Whoever has the most notes has all that any node has: they are written in one order.
    let most = notes.iter().enumerate().max_by_key(|(_, notes)| notes.len()).map_or(0, |(index, _)| index);
    let known = &notes[most];
    for (node, own) in shard.nodes.iter().zip(&notes) {
        if own.is_empty() && !known.is_empty() {
            tracing::info!(node = node.name, "a new replica of ClickHouse is given the tables of its shard");
            copy_definitions(&shard.nodes[most], node).await?;
        }
        copy_notes(&shard.nodes[most], node, own).await?;
    }
    for &(version, name, sql) in MIGRATIONS {
        let checksum = checksum_of(sql);
        if let Some(found) = known.iter().find(|note| note.version == version) {
            match found.checksum == checksum {
                true => continue,
                false => return Err(SchemaError::Changed { version, name }),
            }
        }
        tracing::info!(version, name, shard = shard.number, "applying ClickHouse migration");
        for statement in statements(sql) {
            apply(shard, replication, &statement, version).await?;
        }
        for node in &shard.nodes {
            note(&node.local, version, name, &checksum).await?;
        }
    }
    Ok(())
}

/// Runs a statement wherever it belongs, and returns when it has ended everywhere.
async fn apply(
    shard: &Shard,
    replication: Replication,
    statement: &str,
    version: u32,
) -> Result<(), SchemaError> {
    for (index, node) in shard.nodes.iter().enumerate() {
        let keeper =
            Keeper { local_database: &node.local_database, whole_database: &node.whole_database, version };
        let placed = form::placed(statement, replication, keeper)?;
        let client = match placed.is_shared {
            true => node.whole.as_ref().unwrap_or(&node.local),
            false => &node.local,
        };
        if placed.scope == Scope::EachShard && index > 0 {
            continue;
        }
        let statement = match placed.work {
            Work::Run(statement) => statement,
            Work::Copy { table, of, settings } => {
                let engine = engine_of(client, &of).await?;
                let engine = form::engine_of_copy(&engine, &table, &settings, keeper);
                format!("CREATE TABLE {table} AS {of} ENGINE = {engine}")
            }
        };
        execute(client, &statement).await.map_err(|error| error.on(node, &statement))?;
    }
    Ok(())
}

/// The engine of a table of the client's database, as a statement that makes it would name it.
///
/// # Errors
/// When there is no such table, or ClickHouse does not answer.
pub async fn engine_of(client: &Client, table: &str) -> Result<String, clickhouse::error::Error> {
    let question = "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = ?";
    client.query(question).bind(table).fetch_one().await
}

async fn execute(client: &Client, statement: &str) -> Result<(), Refused> {
    let statement = client
        .query_raw(statement)
        .with_setting("max_execution_time", "0")
        // Until all replicas have changed what a table is.
        .with_setting("alter_sync", "2");
    statement.execute().await.map_err(Refused)
}

struct Refused(clickhouse::error::Error);

impl Refused {
    fn on(self, node: &Node, statement: &str) -> SchemaError {
        SchemaError::OnNode {
            node: node.name.clone(),
            statement: statement.chars().take(120).collect(),
            source: self.0,
        }
    }
}

impl From<Refused> for SchemaError {
    fn from(Refused(error): Refused) -> Self {
        SchemaError::ClickHouse(error)
    }
}

/// Makes on a new replica what another one has: tables first, then the views that fill them.
async fn copy_definitions(from: &Node, to: &Node) -> Result<(), SchemaError> {
    let both = [
        (
            Some(&from.local),
            Some(&to.local),
            "endsWith(engine, 'MergeTree') OR engine = 'MaterializedView'".to_owned(),
        ),
        (from.whole.as_ref(), to.whole.as_ref(), format!("name IN ('{}')", SHARED.join("', '"))),
    ];
    for (from, to, which) in both {
        let (Some(from), Some(client)) = (from, to) else { continue };
        let question = format!(
            "SELECT name, engine, create_table_query AS definition FROM system.tables \
             WHERE database = currentDatabase() AND ({which}) AND NOT match(name, '{NOT_FOR_QUESTIONS}') \
             ORDER BY engine = 'MaterializedView', name"
        );
        let tables: Vec<Table> = from.query_raw(&question).fetch_all().await?;
        for Table { name, engine, definition } in tables {
            let statement = definition.replacen("CREATE TABLE ", "CREATE TABLE IF NOT EXISTS ", 1).replacen(
                "CREATE MATERIALIZED VIEW ",
                "CREATE MATERIALIZED VIEW IF NOT EXISTS ",
                1,
            );
            tracing::debug!(name, engine, "making on a new replica");
            execute(client, &statement).await?;
        }
    }
    Ok(())
}

/// The notes that a node lacks.
async fn copy_notes(from: &Node, to: &Node, own: &[AppliedMigration]) -> Result<(), SchemaError> {
    let question = "SELECT version, name, checksum FROM schema_migrations ORDER BY version";
    let notes: Vec<Note> = from.local.query(question).fetch_all().await?;
    for Note { version, name, checksum } in notes {
        if !own.iter().any(|applied| applied.version == version) {
            note(&to.local, version, &name, &checksum).await?;
        }
    }
    Ok(())
}

/// The statements that make the tables above what they should be; none where they are.
async fn missing_above(node: &Node, cluster: &str) -> Result<Vec<String>, SchemaError> {
    let Some(whole) = &node.whole else { return Ok(Vec::new()) };
    let database = node.whole_database.as_str();
    let question = |which: &str| {
        format!(
            "SELECT tables.name AS name, any(tables.engine) AS engine, \
                 arraySort(groupArray((columns.name, columns.type))) AS columns \
             FROM system.tables AS tables INNER JOIN system.columns AS columns \
                 ON columns.database = tables.database AND columns.table = tables.name \
             WHERE tables.database = currentDatabase() AND {which} AND NOT match(tables.name, '{NOT_FOR_QUESTIONS}') \
             GROUP BY tables.name ORDER BY tables.name"
        )
    };
    let below: Vec<Shape> =
        node.local.query_raw(&question("endsWith(tables.engine, 'MergeTree')")).fetch_all().await?;
    let above: Vec<Shape> = match has_database(node, database).await? {
        true => whole.query_raw(&question("tables.engine = 'Distributed'")).fetch_all().await?,
        false => Vec::new(),
    };
    let mut missing = Vec::new();
    for table in &below {
        if !above.iter().any(|found| found.name == table.name && found.columns == table.columns) {
            missing.push(distributed_table(node, database, cluster, &table.name));
        }
    }
    for gone in above.iter().filter(|found| !below.iter().any(|table| table.name == found.name)) {
        missing.push(format!("DROP TABLE IF EXISTS `{database}`.`{}` SYNC", gone.name));
    }
    Ok(missing)
}

/// The statement that makes the table of all shards.
fn distributed_table(node: &Node, database: &str, cluster: &str, table: &str) -> String {
    let sharding = SHARDING.iter().find(|(name, _)| *name == table).map(|(_, key)| format!(", {key}"));
    format!(
        "CREATE OR REPLACE TABLE `{database}`.`{table}` AS `{local}`.`{table}` \
         ENGINE = Distributed('{cluster}', '{named}', '{table}'{sharding})",
        local = node.local_database,
        named = node.named_database,
        sharding = sharding.unwrap_or_default(),
    )
}
