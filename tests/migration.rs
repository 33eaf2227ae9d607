//! Installations of earlier versions keep what they have and get what is new.

use std::cell::Cell;
use std::time::Duration;

use mohaa_domain::event::{Event, Stamp};
use mohaa_embedded::testing::TestStores;
use mohaa_stats::clickhouse::cluster::Engines;
use mohaa_stats::clickhouse::{schema, upgrade};
use mohaa_stats::config::{ClickHouseUrl, StoreUrl};
use mohaa_stats::postgres;
use mohaa_stats::startup::Surroundings;

use crate::database::fresh_database;
use crate::support::statistics::{StatsUnderTest, kill};
use crate::support::{Service, Warehouse, eventually};

/// Files that change roll-ups which hold rows already, each with the version before it.
const CHANGES: [(u32, &str); 14] = [
    (2, include_str!("../clickhouse/0003_level_time.sql")),
    (3, include_str!("../clickhouse/0004_match_order.sql")),
    (5, include_str!("../clickhouse/0006_player_match_deeds.sql")),
    (7, include_str!("../clickhouse/0008_kill_distances.sql")),
    (8, include_str!("../clickhouse/0009_server_players_hourly.sql")),
    (9, include_str!("../clickhouse/0010_first_kills_and_stances.sql")),
    (11, include_str!("../clickhouse/0012_name_keys.sql")),
    (12, include_str!("../clickhouse/0013_sums_of_all_days.sql")),
    (13, include_str!("../clickhouse/0014_cells_of_weapons_and_servers.sql")),
    (14, include_str!("../clickhouse/0015_finer_granules.sql")),
    (15, include_str!("../clickhouse/0016_maps_and_weapons.sql")),
    (16, include_str!("../clickhouse/0017_first_kills_of_matches.sql")),
    (17, include_str!("../clickhouse/0019_told_last.sql")),
    (19, include_str!("../clickhouse/0020_finer_cells.sql")),
];

/// After how many statements a file is cut short: after each of two tables' and, of a file that does the same with many, after
/// those of the last one.
fn cuts(statements: usize) -> impl Iterator<Item = usize> {
    const EACH: usize = 10;
    (1..=statements).filter(move |done| *done <= EACH || *done + EACH / 2 > statements)
}

fn at(level_time: f64, mut row: (Event, Stamp)) -> (Event, Stamp) {
    row.0.level_time = Some(level_time);
    row
}

/// 300 s of play on two days, received within two seconds.
fn stored_before() -> Vec<(Event, Stamp)> {
    vec![
        at(10.0, kill("1", "2", "2026-11-20T23:59:59Z", 1)),
        at(310.0, kill("1", "2", "2026-11-21T00:00:01Z", 1)),
    ]
}

async fn installation_of(version: u32, name: &str) -> (StatsUnderTest, Warehouse) {
    let urls = TestStores::shared().await.database(name).await;
    let this = StatsUnderTest::on(&urls).await;
    schema::migrate_up_to(&this.clickhouse, version).await.unwrap();
    this.store(&stored_before()).await;
    (this, Warehouse::new(&urls.clickhouse_url))
}

async fn assert_brought_up_to_date(this: &StatsUnderTest, warehouse: &Warehouse, kills: u64, seconds: u64) {
    schema::check(&this.engines()).await.unwrap();
    let player = this.get("/api/v1/stats/player/1").await.json();
    assert_eq!((&player["total_kills"], &player["playtime_seconds"]), (&kills.into(), &seconds.into()));
    assert_eq!(player["player_name"], "1");
    warehouse.assert_rollups_agree().await;
}

#[actix_web::test]
async fn what_was_stored_before_is_counted_in_once() {
    let (this, warehouse) = installation_of(2, "migration").await;
    schema::migrate(&this.engines()).await.unwrap();
    assert_brought_up_to_date(&this, &warehouse, 2, 300).await;
    this.store(&[at(410.0, kill("1", "2", "2026-11-21T00:00:02Z", 1))]).await;
    assert_brought_up_to_date(&this, &warehouse, 3, 400).await;
    schema::migrate(&this.engines()).await.unwrap();
    assert_brought_up_to_date(&this, &warehouse, 3, 400).await;
}

#[actix_web::test]
async fn a_migration_that_nobody_waits_for_any_more_keeps_nobody_else_waiting() {
    let url = TestStores::shared().await.database("abandoned").await.postgres_url;
    let url = StoreUrl::postgres(&url).unwrap();
    let pool = async || postgres::pool(&url).await.unwrap();
    // Whoever migrates has taken the lock by the time they wait for this table, which is being made here.
    let slow = pool().await;
    let mut making = slow.begin().await.unwrap();
    sqlx::query("CREATE TABLE _sqlx_migrations (version bigint)").execute(&mut *making).await.unwrap();
    let impatient = pool().await;
    let migrating = postgres::migrate(&impatient);
    assert!(tokio::time::timeout(Duration::from_millis(500), migrating).await.is_err());
    making.rollback().await.unwrap();
    let other = pool().await;
    let migrated = tokio::time::timeout(Duration::from_secs(60), postgres::migrate(&other)).await;
    migrated.expect("the lock is free again").unwrap();
}

#[actix_web::test]
async fn a_node_serves_beside_a_newer_one_that_has_migrated_already() {
    let pool = fresh_database("newer").await.pool;
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'of the next version', true, '\\x00', 1)",
    )
    .execute(&pool)
    .await
    .unwrap();
    postgres::migrate(&pool).await.unwrap();
}

#[actix_web::test]
async fn several_nodes_that_start_at_once_migrate_one_after_the_other() {
    for version in [12, 14] {
        let (this, warehouse) = installation_of(version, &format!("at_once_{version}")).await;
        let engines = this.engines();
        let node = || upgrade::migrate(&engines, &this.postgres);
        let (one, two, three) = futures_util::join!(node(), node(), node());
        one.and(two).and(three).unwrap();
        assert_brought_up_to_date(&this, &warehouse, 2, 300).await;
    }
}

#[actix_web::test]
async fn what_a_node_stores_while_another_one_migrates_is_counted_once() {
    let urls = TestStores::shared().await.database("migrated_beside").await;
    let service = Service::start_on(&urls, &[], Surroundings::default()).await;
    let send = async |number: u32| {
        let kill = serde_json::json!([{"type": "kill", "match_id": "evening", "timestamp": number,
            "attacker_guid": "1001", "victim_guid": "1002", "weapon": "M1 Garand"}]);
        service.client.send(kill.to_string()).await.assert_batch(202, 1, &[]);
    };
    send(0).await;
    service.client.settled().await;
    // As if it had been started by the version before.
    service
        .warehouse
        .execute("ALTER TABLE schema_migrations DELETE WHERE version >= 15 SETTINGS mutations_sync = 1")
        .await;
    let is_over = Cell::new(false);
    let sending = async {
        let mut sent = 1;
        while !is_over.get() {
            send(sent).await;
            sent += 1;
        }
        u64::from(sent)
    };
    let migrating = async {
        let clickhouse = Engines::connect(&ClickHouseUrl::parse(&urls.clickhouse_url).unwrap(), None);
        let migrated = upgrade::migrate(&clickhouse, &service.application.postgres).await;
        is_over.set(true);
        migrated.unwrap();
    };
    let (sent, ()) = futures_util::join!(sending, migrating);
    eventually("all is stored", async || {
        (service.warehouse.count("SELECT count() FROM raw_events").await == sent).then_some(())
    })
    .await;
    for table in [
        "player_stats_daily",
        "player_totals",
        "weapon_stats",
        "matches",
        "match_totals",
        "player_rivals_daily",
    ] {
        eventually(&format!("{table} counts each kill once"), async || {
            let kills = service.warehouse.count(&format!("SELECT sum(kills) FROM {table}")).await;
            (kills == sent).then_some(())
        })
        .await;
    }
    service.stop().await;
}

#[actix_web::test]
async fn a_migration_that_was_cut_short_is_finished_by_the_next() {
    for (version_before, file) in CHANGES {
        let code: Vec<&str> = file.lines().filter(|line| !line.starts_with("--")).collect();
        let code = code.join("\n");
        let statements: Vec<&str> = code.split(";\n").filter(|text| !text.trim().is_empty()).collect();
        assert!(statements.len() >= 2);
        // The last time all of them were done, and only the note of it was not.
        for done in cuts(statements.len()) {
            let name = format!("cut_short_{version_before}_{done}");
            let (this, warehouse) = installation_of(version_before, &name).await;
            for statement in &statements[..done] {
                warehouse.execute(statement.trim_end_matches([';', '\n'])).await;
            }
            // Another node goes on storing.
            this.store(&[at(410.0, kill("1", "2", "2026-11-21T00:00:02Z", 1))]).await;
            schema::migrate(&this.engines()).await.unwrap();
            assert_brought_up_to_date(&this, &warehouse, 3, 400).await;
        }
    }
}

/// Files up to this one are older than the rule.
const LAST_BEFORE_THE_RULE: u32 = 40;
const UNUSED_SINCE: &str = "unused since ";

/// A statement of a migration, without its comments and texts.
#[derive(Default)]
struct Statement {
    /// Above it or within it.
    comments: String,
    words: Vec<String>,
}

fn statements(file: &str) -> Vec<Statement> {
    let mut statements = vec![Statement::default()];
    for line in file.lines() {
        let (code, comment) = line.split_once("--").unwrap_or((line, ""));
        let code: String = code.split('\'').step_by(2).collect::<Vec<_>>().join(" ");
        let mut parts = code.split(';').peekable();
        statements.last_mut().unwrap().comments += comment;
        while let Some(part) = parts.next() {
            let words = part.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
            let words = words.filter(|word| !word.is_empty()).map(str::to_uppercase);
            statements.last_mut().unwrap().words.extend(words);
            if parts.peek().is_some() {
                statements.push(Statement::default());
            }
        }
    }
    statements
}

impl Statement {
    /// Whether a node of the version before may ask for what is gone then.
    fn takes_something_away(&self) -> bool {
        // What makes a column looser. A constraint may be what its `ON CONFLICT` names, a default what it leaves out.
        const HARMLESS: [&str; 3] = ["EXPRESSION", "IDENTITY", "NOT"];
        let is_drop = |pair: &[String]| pair[0] == "DROP" && !HARMLESS.contains(&pair[1].as_str());
        let of_tables =
            ["ALTER TABLE", "DROP TABLE", "DROP VIEW", "ALTER VIEW", "DROP MATERIALIZED", "DROP INDEX"];
        let is_of_tables =
            of_tables.contains(&self.words.iter().take(2).cloned().collect::<Vec<_>>().join(" ").as_str());
        is_of_tables && (self.words.windows(2).any(is_drop) || self.words.iter().any(|word| word == "RENAME"))
            || self.asks_for_more()
    }

    /// Whether what a node of the version before writes may be refused then.
    fn asks_for_more(&self) -> bool {
        let has = |words: &[&str]| self.words.windows(words.len()).any(|some| some == words);
        let is_new_column = has(&["ADD", "COLUMN"]);
        let lacks_value = has(&["NOT", "NULL"]) && !has(&["DEFAULT"]) && !has(&["GENERATED"]);
        has(&["ALTER", "TABLE"])
            && (has(&["SET", "NOT", "NULL"])
                || has(&["SET", "DATA", "TYPE"])
                || self
                    .words
                    .windows(4)
                    .any(|some| some[0] == "ALTER" && some[1] == "COLUMN" && some[3] == "TYPE")
                || has(&["ADD", "CONSTRAINT"])
                || is_new_column && lacks_value)
    }

    /// Since when nothing uses it.
    fn unused_since(&self) -> Option<[u32; 3]> {
        let (_, version) = self.comments.split_once(UNUSED_SINCE)?;
        version_of(version.split(|letter: char| !letter.is_ascii_digit() && letter != '.').next()?)
    }
}

fn version_of(text: &str) -> Option<[u32; 3]> {
    let numbers: Option<Vec<u32>> = text.split('.').map(|number| number.parse().ok()).collect();
    numbers?.try_into().ok()
}

/// What a migration of `version` takes away that the version before may use.
fn taken_away(file: &str, version: [u32; 3]) -> Vec<String> {
    statements(file)
        .iter()
        .filter(|statement| statement.takes_something_away())
        .filter(|statement| statement.unused_since().is_none_or(|since| since >= version))
        .map(|statement| statement.words.join(" "))
        .collect()
}

#[test]
fn a_migration_takes_nothing_away_that_nodes_of_the_version_before_use() {
    let this_version = version_of(env!("CARGO_PKG_VERSION")).unwrap();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let number: u32 = name.split('_').next().unwrap().parse().unwrap();
        if number > LAST_BEFORE_THE_RULE {
            let taken = taken_away(&std::fs::read_to_string(&path).unwrap(), this_version);
            assert!(
                taken.is_empty(),
                "{name}: the version before still serves while this is applied, and may use what goes: {taken:#?}. \
                 Leave it for a later version, or say «-- {UNUSED_SINCE}<an earlier version>» above it"
            );
        }
    }
}

#[test]
fn what_a_migration_takes_away_is_known_by_its_statements() {
    let of_two = |file: &str| taken_away(file, [0, 2, 0]).len();
    for taking in [
        "DROP TABLE some;",
        "CREATE TABLE other (id int);\ndrop table\n  if exists some;",
        "ALTER TABLE some\n    ADD COLUMN a int,\n    DROP COLUMN b;",
        "ALTER TABLE some DROP b;",
        "ALTER TABLE some RENAME COLUMN a TO b;",
        "ALTER TABLE some RENAME TO other;",
        "ALTER TABLE some DROP CONSTRAINT one;",
        "ALTER TABLE some ALTER COLUMN a DROP DEFAULT;",
        "DROP INDEX one;",
        "ALTER TABLE some ALTER COLUMN a TYPE bigint;",
        "ALTER TABLE some ALTER COLUMN a SET NOT NULL;",
        "ALTER TABLE some ADD COLUMN a int NOT NULL;",
        "ALTER TABLE some ADD CONSTRAINT one CHECK (a > 0);",
        "DROP VIEW some;",
        "-- Unused.\nDROP TABLE some;",
        "-- unused since 0.2.0, which is this one.\nDROP TABLE some;",
        "-- unused since 0.1.0\nDROP TABLE some;\nDROP TABLE other;",
    ] {
        assert_eq!(of_two(taking), 1, "{taking}");
    }
    for harmless in [
        "-- DROP TABLE some;\nCREATE TABLE other (what text CHECK (what IN ('drop table', 'rename')));",
        "ALTER TABLE some ALTER COLUMN a DROP NOT NULL, ADD COLUMN b int, ADD COLUMN c int NOT NULL DEFAULT 0;",
        "DROP TRIGGER one ON some; DROP FUNCTION one();",
        "-- unused since 0.1.0\nDROP TABLE some;",
        "ALTER TABLE some\n    -- unused since 0.1.12; it was never filled.\n    DROP COLUMN a;",
    ] {
        assert_eq!(of_two(harmless), 0, "{harmless}");
    }
    let announced =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/0037_announced_games.sql"));
    assert_eq!(taken_away(&announced.unwrap(), [1, 0, 0]), ["DROP TABLE TOURNAMENT_ANNOUNCED_MATCHES"]);
}
