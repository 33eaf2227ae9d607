//! ClickHouse as a cluster, as far as the engine of the tests is one: its clusters have this very engine for their nodes, as it
//! speaks to no other. So what is one node's (migrations, inserts, comparisons) is tried on one shard, and questions on two whose
//! rows differ; what replicas say to each other is not tried here, only that the engine understands the statements.

use chrono::{DateTime, Utc};
use mohaa_actors::clock::Clock;
use mohaa_actors::store::EventStore as _;
use mohaa_domain::row;
use mohaa_embedded::testing::TestStores;
use mohaa_embedded::{EmbeddedStores, StoreUrls};
use mohaa_stats::clickhouse::cluster::{Engines, Replication};
use mohaa_stats::clickhouse::store::{ClickHouseStore, INSERT_SETTINGS};
use mohaa_stats::clickhouse::touched_days::TouchedDays;
use mohaa_stats::clickhouse::{cluster, schema};
use mohaa_stats::config::ClickHouseUrl;
use mohaa_stats::data_version::DataVersion;
use mohaa_stats::startup::Surroundings;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::contract::Asked;
use crate::erasure::names_that_are_stored_while_others_are_erased_are_found;
use crate::support::statistics::{NOW, StatsUnderTest, kill};
use crate::support::{Service, Warehouse, eventually};

/// What its configuration says of clusters. The port is the one by which the engine knows itself; nobody listens there.
const CLUSTERS: &str = "<clickhouse>
    <tcp_port>9000</tcp_port>
    <remote_servers>
        <one><shard><replica><host>127.0.0.1</host><port>9000</port></replica></shard></one>
        <two>
            <shard><replica><host>127.0.0.1</host><port>9000</port></replica></shard>
            <shard><replica><host>127.0.0.1</host><port>9000</port></replica></shard>
        </two>
        <twofold>
            <shard>
                <replica><host>127.0.0.1</host><port>9000</port></replica>
                <replica><host>ch2</host><port>9000</port></replica>
            </shard>
        </twofold>
    </remote_servers>
</clickhouse>
";
/// What `Distributed` tables need beside what the service's own tables do.
const GRANTS: &str = "<clickhouse><users><default><grants replace=\"1\">
    <query>GRANT ALL ON *.*</query>
</grants></default></users></clickhouse>
";

static STORES: OnceCell<(EmbeddedStores, tempfile::TempDir)> = OnceCell::const_new();

/// An engine that knows clusters, shared by the tests of this file.
async fn engine() -> &'static EmbeddedStores {
    let start = async || {
        let folder = tempfile::Builder::new().prefix("mohaa-stats-clusters-").tempdir().unwrap();
        // PostgreSQL runs as somebody else.
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join("clickhouse").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("config.d/clusters.xml", CLUSTERS);
        write("users.d/grants.xml", GRANTS);
        (EmbeddedStores::start(folder.path()).await.unwrap(), folder)
    };
    &STORES.get_or_init(start).await.0
}

/// Databases of a test, of which ClickHouse's is not made yet.
async fn urls(database: &str) -> StoreUrls {
    let engine = engine().await.urls().clickhouse_url;
    let (base, _) = engine.rsplit_once('/').unwrap();
    let urls = TestStores::shared().await.database(database).await;
    StoreUrls { clickhouse_url: format!("{base}/{database}"), ..urls }
}

fn in_database(urls: &StoreUrls, database: &str) -> ClickHouseUrl {
    ClickHouseUrl { database: database.to_owned(), ..ClickHouseUrl::parse(&urls.clickhouse_url).unwrap() }
}

async fn execute(urls: &StoreUrls, statement: &str) {
    let client = mohaa_stats::clickhouse::client::connect(&in_database(urls, "default"));
    client.query_raw(statement).execute().await.unwrap_or_else(|error| panic!("{statement}: {error}"));
}

async fn names(urls: &StoreUrls, database: &str, engines: &str) -> Vec<String> {
    let client = mohaa_stats::clickhouse::client::connect(&in_database(urls, "default"));
    // A comparison of roll-ups may be under way, in a table of its own.
    let question = "SELECT name FROM system.tables WHERE database = ? AND match(engine, ?) AND name != 'schema_migrations' \
                    AND NOT match(name, '_recount_[0-9a-f]+$') ORDER BY name";
    client.query(question).bind(database).bind(engines).fetch_all().await.unwrap()
}

#[actix_web::test]
async fn a_service_on_a_cluster_stores_compares_and_answers_as_on_one_engine() {
    let urls = urls("cluster_of_one").await;
    let spool = tempfile::tempdir().unwrap();
    let settings = [("CLICKHOUSE_CLUSTER", "one"), ("SPOOL_DIR", spool.path().to_str().unwrap())];
    let service = Service::start_on(&urls, &settings, Surroundings::default()).await;
    let kill = |number: u32| {
        json!([{"type": "kill", "match_id": "evening", "timestamp": number, "attacker_guid": "1001",
            "attacker_name": "Anna", "victim_guid": "1002", "victim_name": "Ben", "weapon": "M1 Garand"}])
        .to_string()
    };
    for number in 0..5 {
        service.client.send(kill(number)).await.assert_batch(202, 1, &[]);
    }
    service.client.settled().await;
    let local = Warehouse::new(&urls.clickhouse_url.replace("/cluster_of_one", "/cluster_of_one_local"));
    assert_eq!(local.count("SELECT count() FROM raw_events").await, 5);
    local.assert_rollups_agree().await;
    // Above every table of its own there is one of all shards, but for those that each node has whole.
    let above = names(&urls, "cluster_of_one", "^Distributed$").await;
    assert_eq!(above, names(&urls, "cluster_of_one_local", "MergeTree$").await);
    assert!(above.iter().any(|name| name == "player_totals"), "{above:?}");
    let shared = names(&urls, "cluster_of_one", "MergeTree$").await;
    assert_eq!(shared, cluster::form::SHARED);
    let board = service.client.get("/api/v1/stats/leaderboard").await.json();
    assert_eq!(board["players"][0]["kills"], 5, "{board}");
    service.stop().await;

    // What an unclean end may leave: a roll-up that says otherwise than the events, and a day that is to be looked at.
    local
        .execute("INSERT INTO player_stats_daily (day, player_id, server_id, kills) SELECT day, player_id, server_id, 7 FROM player_stats_daily LIMIT 1")
        .await;
    TouchedDays::open(spool.path(), Clock::system())
        .unwrap()
        .note(i32::try_from(Utc::now().timestamp() / 86_400).unwrap())
        .unwrap();
    let service = Service::start_on(&urls, &settings, Surroundings::default()).await;
    eventually("the roll-up is mended", async || {
        let mended = r#"mohaa_rollup_mended_days_total{rollup="player_stats_daily"}"#;
        (service.client.metrics().await.series(mended) == 1.0).then_some(())
    })
    .await;
    local.assert_rollups_agree().await;
    service.stop().await;
}

#[actix_web::test]
async fn an_insert_into_a_cluster_that_is_sent_again_is_stored_once_and_found_by_its_batch() {
    let urls = urls("cluster_twice").await;
    let engines = Engines::connect(&in_database(&urls, "cluster_twice"), Some("one"));
    schema::migrate(&engines).await.unwrap();
    assert!(schema::is_up_to_date(&engines).await.unwrap());
    schema::check(&engines).await.unwrap();
    schema::set_raw_events_ttl(&engines, 90).await.unwrap();
    // Again, by another process that starts.
    schema::migrate(&engines).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let store = ClickHouseStore::new(
        engines.clone(),
        TouchedDays::open(directory.path(), Clock::system()).unwrap().into(),
        DataVersion::default(),
    );
    let batch_id = Uuid::from_u128(7);
    let mut rows = Vec::new();
    let (event, stamp) = kill("1", "2", NOW, 1);
    row::encode_batch_id(batch_id, &mut rows);
    row::encode(&event, &stamp, &mut rows);
    let day = i32::try_from(NOW.parse::<DateTime<Utc>>().unwrap().timestamp() / 86_400).unwrap();
    let columns: Vec<&str> = row::COLUMNS.iter().map(|column| column.name).collect();
    for _ in 0..3 {
        let statement = format!("INSERT INTO raw_events (batch_id, {}) FORMAT RowBinary", columns.join(", "));
        let mut insert = engines
            .questions()
            .insert_formatted_with(statement)
            .with_setting("insert_deduplication_token", "a-batch");
        for (name, value) in INSERT_SETTINGS {
            insert = insert.with_setting(*name, *value);
        }
        insert.send(rows.clone().into()).await.unwrap();
        insert.end().await.unwrap();
    }
    store.settle("a-batch-").await.unwrap();
    assert_eq!(store.stored_rows(batch_id, day).await.unwrap().len(), 1);
    let all = engines.questions();
    assert_eq!(all.query("SELECT count() FROM raw_events").fetch_one::<u64>().await.unwrap(), 1);
    let kills = "SELECT toUInt64(sum(kills)) FROM player_totals WHERE player_id = '1'";
    assert_eq!(all.query(kills).fetch_one::<u64>().await.unwrap(), 1, "its views have counted it once");
}

#[actix_web::test]
async fn what_is_stored_in_a_cluster_while_names_are_erased_is_found_at_the_next_look() {
    let urls = urls("cluster_erased").await;
    let engines = Engines::connect(&in_database(&urls, "cluster_erased"), Some("one"));
    schema::migrate(&engines).await.unwrap();
    names_that_are_stored_while_others_are_erased_are_found(&urls, Some("one")).await;
}

#[actix_web::test]
async fn a_cluster_that_can_not_be_used_is_refused_with_the_reason() {
    let urls = urls("cluster_refused").await;
    let migrate = async |database: &str, cluster: Option<&str>| {
        let engines = Engines::connect(&in_database(&urls, database), cluster);
        schema::migrate(&engines).await.map_err(|error| error.to_string())
    };
    let unknown = migrate("cluster_refused", Some("three")).await.unwrap_err();
    assert!(unknown.contains("no cluster three") && unknown.contains("one, two"), "{unknown}");
    let twofold = migrate("cluster_refused", Some("twofold")).await.unwrap_err();
    assert!(twofold.contains("internal_replication"), "{twofold}");
    // A database that has tables of the other form.
    execute(&urls, "CREATE DATABASE cluster_refused").await;
    migrate("cluster_refused", None).await.unwrap();
    let of_one = migrate("cluster_refused", Some("one")).await.unwrap_err();
    assert!(of_one.contains("holds the tables of a single engine"), "{of_one}");
    migrate("cluster_forgotten", Some("one")).await.unwrap();
    let of_many = migrate("cluster_forgotten", None).await.unwrap_err();
    assert!(of_many.contains("set CLICKHOUSE_CLUSTER"), "{of_many}");
}

#[actix_web::test]
async fn the_engine_understands_every_statement_for_replicated_tables() {
    let client = engine_client().await;
    let statements = cluster::schema::all_statements(Replication::ByKeeper).unwrap();
    assert!(statements.iter().filter(|statement| statement.contains("ENGINE = Replicated")).count() > 40);
    for statement in statements {
        let understood = client.query("SELECT formatQuery(?)").bind(&statement).fetch_one::<String>().await;
        let understood = understood.unwrap_or_else(|error| panic!("{statement}: {error}"));
        assert!(!understood.contains("non_replicated_deduplication_window"), "{understood}");
    }
}

async fn engine_client() -> clickhouse::Client {
    let url = ClickHouseUrl::parse(&engine().await.urls().clickhouse_url).unwrap();
    mohaa_stats::clickhouse::client::connect(&url)
}

/// Makes two shards of one engine: each has the tables of a single form with the events of its own servers, and beneath the tables
/// of all shards are views that give each shard its own.
async fn two_shards_of(urls: &StoreUrls, whole: &str, all: &str) {
    let shard = |number: u8| format!("{all}_shard_{number}");
    for (number, server) in [(1, "min"), (2, "max")] {
        let database = shard(number);
        execute(urls, &format!("CREATE DATABASE {database}")).await;
        let engines = Engines::connect(&in_database(urls, &database), None);
        schema::migrate(&engines).await.unwrap();
        execute(
            urls,
            &format!(
                "INSERT INTO {database}.raw_events SELECT * FROM {whole}.raw_events \
                 WHERE server_id = (SELECT {server}(server_id) FROM {whole}.raw_events)"
            ),
        )
        .await;
    }
    for database in [all.to_owned(), format!("{all}_local")] {
        execute(urls, &format!("CREATE DATABASE {database}")).await;
    }
    let client = mohaa_stats::clickhouse::client::connect(&in_database(urls, &shard(1)));
    for table in names(urls, &shard(1), "MergeTree$").await {
        if cluster::form::SHARED.contains(&table.as_str()) {
            execute(urls, &format!("CREATE TABLE {all}.{table} AS {whole}.{table}")).await;
            execute(urls, &format!("INSERT INTO {all}.{table} SELECT * FROM {whole}.{table}")).await;
            continue;
        }
        let columns = "SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = ? ORDER BY position";
        let columns: Vec<(String, String)> = client.query(columns).bind(&table).fetch_all().await.unwrap();
        let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(", ");
        let typed: Vec<String> = columns.iter().map(|(name, type_)| format!("{name} {type_}")).collect();
        let of_shard =
            |number: u8| format!("SELECT {names} FROM {}.{table} WHERE shardNum() = {number}", shard(number));
        execute(
            urls,
            &format!("CREATE VIEW {all}_local.{table} AS {} UNION ALL {}", of_shard(1), of_shard(2)),
        )
        .await;
        execute(
            urls,
            &format!(
                "CREATE TABLE {all}.{table} ({}) ENGINE = Distributed('two', '{all}_local', '{table}')",
                typed.join(", ")
            ),
        )
        .await;
    }
}

#[actix_web::test]
async fn two_shards_answer_every_question_as_one_engine_does() {
    let urls = urls("whole").await;
    execute(&urls, "CREATE DATABASE whole").await;
    let asked = Asked::play_at(Service::start_on(&urls, &[], Surroundings::default()).await).await;
    two_shards_of(&urls, "whole", "halves").await;
    let of_halves =
        StoreUrls { clickhouse_url: urls.clickhouse_url.replace("/whole", "/halves"), ..urls.clone() };
    let one = StatsUnderTest::over(&urls, None).await;
    let two = StatsUnderTest::over(&of_halves, Some("two")).await;
    let since = Utc::now() - NOW.parse::<DateTime<Utc>>().unwrap();
    one.pass_time(since);
    two.pass_time(since);
    // Both have a part of the events.
    let rows = "SELECT count() FROM raw_events WHERE _shard_num = ?";
    for shard in [1, 2] {
        assert!(two.clickhouse.query(rows).bind(shard).fetch_one::<u64>().await.unwrap() > 1_000);
    }
    let mut differing = Vec::new();
    let mut compared = 0;
    // Others need more than statistics.
    let is_of_statistics =
        |path: &String| path.starts_with("/api/v1/stats/") || path.starts_with("/api/v1/search");
    let mut questions: Vec<String> = asked.everything().into_iter().filter(is_of_statistics).collect();
    questions.extend(["/", "/leaderboard", "/maps", "/weapons", "/matches", "/servers"].map(str::to_owned));
    for path in questions {
        // As a browser would send it.
        let url = url::Url::parse(&format!("http://stats.example.org{path}")).unwrap();
        let path = url[url::Position::BeforePath..].to_owned();
        let (of_one, of_two) = futures_util::join!(one.get(&path), two.get(&path));
        compared += 1;
        let is_page = of_one.text.starts_with('<');
        if of_one.status != of_two.status || (!is_page && parsed(&of_one.text) != parsed(&of_two.text)) {
            differing.push(format!("{path}:\n  {}\n  {} {}", of_one.text, of_two.status, of_two.text));
        }
    }
    assert!(compared > 100, "{compared} questions");
    let shown: Vec<String> = differing.iter().take(12).map(|one| one.chars().take(1_500).collect()).collect();
    assert!(differing.is_empty(), "{} of {compared} differ:\n{}", differing.len(), shown.join("\n"));
    asked.season.service.stop().await;
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}
