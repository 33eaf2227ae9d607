//! What a statement of the migrations becomes in a cluster: where it runs, and by which engine a table is made. The statements
//! themselves are those of a single engine; there is no second copy of the schema.
//!
//! Tables replicate what is in them, not what they are. So a statement that makes or drops something runs on every node, one that
//! changes rows on one node of each shard. The order is kept: nothing begins before the statement before it has ended everywhere.

use std::fmt::Write as _;

use super::Replication;

/// Tables that every node has whole. Questions join them, on whichever shard they run.
pub const SHARED: &[&str] = &["player_links", "player_ratings"];

/// An insert that is tried again within this time is known again, if it is among the last of them.
const DEDUPLICATION: &str =
    "replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800";
const DEDUPLICATION_OF_ONE: &str = "non_replicated_deduplication_window = 10000";

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("«{0}» has no form for a cluster")]
pub struct NoForm(pub String);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// What is there.
    EveryNode,
    /// What is in it.
    EachShard,
}

/// A statement for a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    pub scope: Scope,
    /// It is about one of [`SHARED`], and runs where those are.
    pub is_shared: bool,
    pub work: Work,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    Run(String),
    /// Makes a table like another one. A replicated table's engine has its place in Keeper, which can't be copied: it is asked of
    /// the node, and changed ([`engine_of_copy`]).
    Copy {
        table: String,
        of: String,
        settings: String,
    },
}

/// Where a table's replicas find each other: no two tables of one database ever have the same, also when they change names
/// afterwards, as a migration makes a name once.
#[derive(Clone, Copy, Debug)]
pub struct Keeper<'a> {
    pub local_database: &'a str,
    /// Of [`SHARED`].
    pub whole_database: &'a str,
    pub version: u32,
}

impl Keeper<'_> {
    fn arguments(&self, table: &str) -> String {
        let Self { local_database, whole_database, version } = self;
        match SHARED.contains(&table) {
            true => format!(
                "'/clickhouse/tables/all/{whole_database}/{table}_{version}', '{{shard}}_{{replica}}'"
            ),
            false => {
                format!("'/clickhouse/tables/{{shard}}/{local_database}/{table}_{version}', '{{replica}}'")
            }
        }
    }
}

/// # Errors
/// When nothing is known of such a statement: whoever writes a migration sees it in a test.
pub fn placed(statement: &str, replication: Replication, keeper: Keeper<'_>) -> Result<Placed, NoForm> {
    let words: Vec<&str> = statement.split_whitespace().take(8).collect();
    let unknown = || NoForm(statement.chars().take(80).collect());
    let named = |position: usize| words.get(position).copied().map(bare_name).ok_or_else(unknown);
    let behind = |position: usize, optional: &[&str]| {
        position + if words[position..].starts_with(optional) { optional.len() } else { 0 }
    };
    let run = |scope, table: &str, statement: String| Placed {
        scope,
        is_shared: SHARED.contains(&table),
        work: Work::Run(statement),
    };
    match words.as_slice() {
        ["CREATE", "TABLE", ..] => {
            let position = behind(2, &["IF", "NOT", "EXISTS"]);
            let table = named(position)?;
            let is_shared = SHARED.contains(&table);
            if words.get(position + 1) == Some(&"AS") {
                let of = named(position + 2)?.to_owned();
                let settings = statement.split_once("SETTINGS ").map_or("", |(_, settings)| settings).trim();
                let work = Work::Copy { table: table.to_owned(), of, settings: settings.to_owned() };
                return Ok(Placed { scope: Scope::EveryNode, is_shared, work });
            }
            let statement = match replication {
                Replication::OneHost => statement.to_owned(),
                Replication::ByKeeper => {
                    replicated(statement, &keeper.arguments(table)).ok_or_else(unknown)?
                }
            };
            Ok(run(Scope::EveryNode, table, statement))
        }
        ["CREATE", "MATERIALIZED", "VIEW", ..] => {
            Ok(run(Scope::EveryNode, named(behind(3, &["IF", "NOT", "EXISTS"]))?, statement.to_owned()))
        }
        ["DROP", "VIEW", ..] => {
            Ok(run(Scope::EveryNode, named(behind(2, &["IF", "EXISTS"]))?, statement.to_owned()))
        }
        // Its place in Keeper is free when the statement ends, not minutes later.
        ["DROP", "TABLE", ..] => {
            Ok(run(Scope::EveryNode, named(behind(2, &["IF", "EXISTS"]))?, format!("{statement} SYNC")))
        }
        ["EXCHANGE", "TABLES", table, ..] => {
            Ok(run(Scope::EveryNode, bare_name(table), statement.to_owned()))
        }
        ["ALTER", "TABLE", table, "MODIFY", "QUERY", ..] => {
            Ok(run(Scope::EveryNode, bare_name(table), statement.to_owned()))
        }
        ["ALTER" | "TRUNCATE" | "OPTIMIZE", "TABLE", table, ..] | ["INSERT", "INTO", table, ..] => {
            Ok(run(Scope::EachShard, bare_name(table), statement.to_owned()))
        }
        _ => Err(unknown()),
    }
}

/// A name as it stands before a list of columns or at the end.
fn bare_name(word: &str) -> &str {
    word.split(['(', ';', ',']).next().unwrap_or(word)
}

/// The same table, replicated.
fn replicated(statement: &str, arguments: &str) -> Option<String> {
    let (columns, rest) = statement.split_once("\nENGINE = ")?;
    let engine_ends = rest.find(|character: char| !character.is_ascii_alphanumeric()).unwrap_or(rest.len());
    let (engine, rest) = rest.split_at(engine_ends);
    if !engine.ends_with("MergeTree") {
        return None;
    }
    let (own_arguments, rest) = match rest.strip_prefix('(') {
        Some(rest) => rest.split_once(')')?,
        None => ("", rest),
    };
    let mut text = format!("{columns}\nENGINE = Replicated{engine}({arguments}");
    if !own_arguments.is_empty() {
        // Writing to a `String` can't fail.
        let _ = write!(text, ", {own_arguments}");
    }
    let _ = write!(text, "){}", rest.replace(DEDUPLICATION_OF_ONE, DEDUPLICATION));
    Some(text)
}

/// The engine of a copy, from what `system.tables.engine_full` says of the first; `settings` beat its own.
pub fn engine_of_copy(engine_full: &str, table: &str, settings: &str, keeper: Keeper<'_>) -> String {
    let engine = match after_place_in_keeper(engine_full) {
        None => engine_full.to_owned(),
        Some((engine, rest)) => {
            let comma = if rest.starts_with(')') { "" } else { ", " };
            format!("{engine}({}{comma}{rest}", keeper.arguments(table))
        }
    };
    with_settings(&engine, settings)
}

/// The engine of a table beside one, that no other replica knows of.
pub fn engine_without_replication(engine_full: &str) -> String {
    match after_place_in_keeper(engine_full) {
        None => engine_full.to_owned(),
        Some((engine, rest)) => {
            let engine = engine.trim_start_matches("Replicated");
            match rest.strip_prefix(')') {
                Some(rest) => format!("{engine}{rest}"),
                None => format!("{engine}({rest}"),
            }
        }
    }
}

/// The name of a replicated engine, and what follows its place in Keeper and its replica's name: further arguments, or `)`.
fn after_place_in_keeper(engine_full: &str) -> Option<(&str, &str)> {
    let (engine, arguments) = engine_full.split_once('(')?;
    if !engine.starts_with("Replicated") {
        return None;
    }
    let mut quotes = arguments.match_indices('\'').map(|(position, _)| position);
    let behind_both = arguments.get(quotes.nth(3)? + 1..)?;
    Some((engine, behind_both.strip_prefix(", ").unwrap_or(behind_both)))
}

/// Settings stand at the end, each once.
fn with_settings(engine: &str, settings: &str) -> String {
    if settings.is_empty() {
        return engine.to_owned();
    }
    let names: Vec<&str> =
        settings.split(',').filter_map(|setting| setting.split('=').next()).map(str::trim).collect();
    let (engine, own) = engine.split_once(" SETTINGS ").unwrap_or((engine, ""));
    let kept = own.split(", ").filter(|setting| {
        let name = setting.split('=').next().unwrap_or_default().trim();
        !name.is_empty() && !names.contains(&name)
    });
    let all: Vec<&str> = kept.chain([settings]).collect();
    format!("{engine} SETTINGS {}", all.join(", "))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const KEEPER: Keeper<'static> =
        Keeper { local_database: "mohaa_local", whole_database: "mohaa", version: 7 };

    fn placed_by_keeper(statement: &str) -> Placed {
        placed(statement, Replication::ByKeeper, KEEPER).unwrap()
    }

    fn text(placed: &Placed) -> &str {
        match &placed.work {
            Work::Run(statement) => statement,
            Work::Copy { .. } => panic!("a copy"),
        }
    }

    #[test]
    fn a_table_is_made_on_every_node_and_finds_its_replicas() {
        let made = placed_by_keeper(
            "CREATE TABLE IF NOT EXISTS kills\n(\n    day Date\n)\nENGINE = AggregatingMergeTree\nPARTITION BY day\n\
             ORDER BY day\nSETTINGS non_replicated_deduplication_window = 10000, index_granularity = 512",
        );
        assert_eq!((made.scope, made.is_shared), (Scope::EveryNode, false));
        assert_eq!(
            text(&made),
            "CREATE TABLE IF NOT EXISTS kills\n(\n    day Date\n)\nENGINE = ReplicatedAggregatingMergeTree(\
             '/clickhouse/tables/{shard}/mohaa_local/kills_7', '{replica}')\nPARTITION BY day\nORDER BY day\n\
             SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800, \
             index_granularity = 512"
        );
        let of_one_host =
            placed("CREATE TABLE t\n(\n)\nENGINE = MergeTree", Replication::OneHost, KEEPER).unwrap();
        assert_eq!(text(&of_one_host), "CREATE TABLE t\n(\n)\nENGINE = MergeTree");
    }

    #[test]
    fn a_table_that_all_need_has_one_place_for_all_shards() {
        let made = placed_by_keeper(
            "CREATE TABLE IF NOT EXISTS player_links\n(\n)\nENGINE = ReplacingMergeTree(version)\nORDER BY player_id",
        );
        assert!(made.is_shared);
        assert!(text(&made).contains(
            "ReplicatedReplacingMergeTree('/clickhouse/tables/all/mohaa/player_links_7', '{shard}_{replica}', version)"
        ));
    }

    #[test]
    fn what_is_there_is_changed_on_every_node_and_what_is_in_it_once_a_shard() {
        for statement in [
            "CREATE MATERIALIZED VIEW IF NOT EXISTS kills_mv TO kills AS SELECT 1",
            "DROP VIEW IF EXISTS kills_mv",
            "EXCHANGE TABLES kills AND kills_fine",
            "ALTER TABLE kills_mv MODIFY QUERY SELECT 1",
        ] {
            let placed = placed_by_keeper(statement);
            assert_eq!((placed.scope, text(&placed)), (Scope::EveryNode, statement));
        }
        for statement in [
            "ALTER TABLE kills\n    ADD COLUMN x UInt8",
            "TRUNCATE TABLE kills",
            "OPTIMIZE TABLE kills FINAL",
            "INSERT INTO kills (day) SELECT 1",
        ] {
            let placed = placed_by_keeper(statement);
            assert_eq!((placed.scope, text(&placed)), (Scope::EachShard, statement));
        }
        assert_eq!(text(&placed_by_keeper("DROP TABLE IF EXISTS kills")), "DROP TABLE IF EXISTS kills SYNC");
        let unknown = placed("GRANT ALL TO me", Replication::ByKeeper, KEEPER);
        assert_eq!(unknown, Err(NoForm("GRANT ALL TO me".to_owned())));
    }

    #[test]
    fn a_copy_has_a_place_of_its_own_and_the_settings_that_were_said() {
        let copy = placed_by_keeper("CREATE TABLE kills_fine AS kills SETTINGS index_granularity = 32");
        let expected = Work::Copy {
            table: "kills_fine".to_owned(),
            of: "kills".to_owned(),
            settings: "index_granularity = 32".to_owned(),
        };
        assert_eq!(copy.work, expected);
        let engine = "ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/a/kills_2', '{replica}') PARTITION BY day \
                      ORDER BY day SETTINGS replicated_deduplication_window = 10000, index_granularity = 8192";
        assert_eq!(
            engine_of_copy(engine, "kills_fine", "index_granularity = 32", KEEPER),
            "ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/mohaa_local/kills_fine_7', '{replica}') \
             PARTITION BY day ORDER BY day SETTINGS replicated_deduplication_window = 10000, index_granularity = 32"
        );
        assert_eq!(
            engine_without_replication(engine),
            "AggregatingMergeTree PARTITION BY day ORDER BY day SETTINGS replicated_deduplication_window = 10000, \
             index_granularity = 8192"
        );
        let with_version = "ReplicatedReplacingMergeTree('/a', '{replica}', version) ORDER BY id";
        assert_eq!(engine_without_replication(with_version), "ReplacingMergeTree(version) ORDER BY id");
        assert_eq!(
            engine_of_copy(with_version, "b", "", KEEPER),
            "ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/mohaa_local/b_7', '{replica}', version) ORDER BY id"
        );
        let plain = "AggregatingMergeTree ORDER BY day";
        assert_eq!(
            engine_of_copy(plain, "b", "index_granularity = 32", KEEPER),
            format!("{plain} SETTINGS index_granularity = 32")
        );
    }
}
