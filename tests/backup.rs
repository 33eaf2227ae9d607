//! Backup and restore: what was accepted before is there again once, and so is everything else.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::path::Path;
use std::rc::Rc;

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};

use mohaa_embedded::StoreUrls;
use mohaa_embedded::testing::TestStores;
use mohaa_stats::backup::{self, BackupError, RestoreStep, Stores};
use mohaa_stats::clickhouse::cluster::Engines;
use mohaa_stats::clickhouse::{client, schema};
use mohaa_stats::config::{ClickHouseUrl, StoreUrl};
use mohaa_stats::startup::{Application, StartError, Surroundings};
use mohaa_stats::users::Role;

use crate::support::{Cup, JWT_SECRET, Service, Warehouse, configuration, eventually, favourite};

async fn stores(urls: &StoreUrls, data_dir: &Path) -> Stores {
    let postgres_url = StoreUrl::postgres(&urls.postgres_url).unwrap();
    Stores {
        postgres: mohaa_stats::postgres::pool(&postgres_url).await.unwrap(),
        clickhouse: client::connect(&ClickHouseUrl::parse(&urls.clickhouse_url).unwrap()),
        spool_dir: data_dir.join("spool"),
        data_dir: data_dir.to_owned(),
    }
}

/// Kills, each of a match of its own name, posted one after the other until it is told to stop.
struct Load {
    accepted: Rc<RefCell<Vec<String>>>,
    stops: Rc<Cell<bool>>,
    task: tokio::task::JoinHandle<()>,
}

impl Load {
    fn start(service: &Service) -> Self {
        let (accepted, stops) = (Rc::new(RefCell::new(Vec::new())), Rc::new(Cell::new(false)));
        let (client, taken, ends) = (service.client.clone(), accepted.clone(), stops.clone());
        let task = tokio::task::spawn_local(async move {
            let mut number = 0;
            while !ends.get() {
                let name = format!("killer-{number:06}");
                let kill = json!([{"type": "kill", "match_id": "evening", "timestamp": number, "weapon": "Thompson",
                    "attacker_name": name, "attacker_guid": "41", "victim_name": "B", "victim_guid": "42"}]);
                client.send(kill.to_string()).await.assert_batch(202, 1, &[]);
                taken.borrow_mut().push(name);
                number += 1;
            }
        });
        Self { accepted, stops, task }
    }

    fn accepted(&self) -> Vec<String> {
        self.accepted.borrow().clone()
    }

    async fn grows_by(&self, count: usize) {
        let before = self.accepted.borrow().len();
        eventually("more is accepted", async || {
            (self.accepted.borrow().len() >= before + count).then_some(())
        })
        .await;
    }

    async fn stop(self) -> Vec<String> {
        self.stops.set(true);
        self.task.await.unwrap();
        self.accepted.take()
    }
}

/// Files below a folder, by their names below it, but the lock of a spool.
fn files_below(folder: &Path) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).into_iter().flatten() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => drop(files.insert(path.strip_prefix(folder).unwrap().display().to_string())),
            }
        }
    }
    files.remove("lock");
    files
}

/// Every row of a table as text, in an order of its own.
async fn content(pool: &PgPool, table: &str) -> Vec<String> {
    let question = format!("SELECT to_jsonb(t)::text FROM {table} t ORDER BY 1");
    sqlx::query_scalar(AssertSqlSafe(question)).fetch_all(pool).await.unwrap()
}

async fn killers(warehouse: &Warehouse) -> Vec<String> {
    let rows =
        warehouse.rows("SELECT player_name FROM raw_events WHERE type = 'kill' ORDER BY player_name").await;
    rows.iter().map(|row| row["player_name"].as_str().unwrap().to_owned()).collect()
}

#[actix_web::test]
async fn a_backup_under_load_brings_back_all_that_was_accepted_before_it_and_nothing_twice() {
    let stores_of_tests = TestStores::shared().await;
    let urls = stores_of_tests.database("backup_from").await;
    let directory = tempfile::tempdir().unwrap();
    let (data_dir, backup) = (directory.path().join("data"), directory.path().join("backup"));
    // Batches of moments: some are on their way whenever the backup begins.
    let settings = [("DATA_DIR", data_dir.to_str().unwrap()), ("WORKER_FLUSH_INTERVAL", "20ms")];
    let service = Service::start_on(&urls, &settings, Surroundings::default()).await;
    let (user, organizer) = service.add_user("Anna", Role::Organizer).await;
    service.link_player(user, "41").await;
    let cup_settings = json!({ "name": "Autumn", "format": "single_elimination" });
    let cup = Cup::begun(&service.client, &organizer, cup_settings, 4).await;
    cup.plays(favourite).await;
    let places = cup.final_places().await;

    let load = Load::start(&service);
    load.grows_by(50).await;
    eventually("some are stored already", async || {
        (!killers(&service.warehouse).await.is_empty()).then_some(())
    })
    .await;
    let before = load.accepted();
    let manifest = stores(&urls, &data_dir).await.save(&backup).await.unwrap();
    load.grows_by(20).await;
    let all = load.stop().await;
    assert!(
        manifest.events() >= 1 && all.len() > before.len() + 20,
        "{} of {}",
        manifest.events(),
        all.len()
    );
    service.client.settled().await;
    let leftovers = "SELECT count() FROM system.tables WHERE database = currentDatabase() AND startsWith(name, 'backup_')";
    assert_eq!(service.warehouse.count(leftovers).await, 0, "clones are gone");
    assert_eq!(killers(&service.warehouse).await, all, "the service has lost nothing by it");
    let tables = ["users", "servers", "tournaments", "audit_log", "achievements", "achievement_tiers"];
    let mut expected = Vec::new();
    for table in tables {
        expected.push(content(&service.application.postgres, table).await);
    }
    let token = service.client.token.clone();
    service.stop().await;

    // Nothing is left but the backup.
    std::fs::remove_dir_all(&data_dir).unwrap();
    let fresh = stores_of_tests.database("backup_to").await;
    let restored = stores(&fresh, &data_dir).await.restore(&backup).await.unwrap();
    assert_eq!(restored.events(), manifest.events());
    for (table, expected) in tables.iter().zip(expected) {
        let found = content(&stores(&fresh, &data_dir).await.postgres, table).await;
        let without_time = |rows: &[String]| -> Vec<Value> {
            let mut rows: Vec<Value> = rows.iter().map(|row| serde_json::from_str(row).unwrap()).collect();
            // When the server was heard last goes on changing after the backup.
            rows.iter_mut().for_each(|row| drop(row.as_object_mut().unwrap().remove("last_seen_at")));
            rows
        };
        assert_eq!(without_time(&found), without_time(&expected), "{table}");
    }
    let service = Service::restart_on(&fresh, &settings, &token).await;
    let cup = Cup { client: service.client.clone(), organizer, id: cup.id };
    assert_eq!(cup.final_places().await, places);
    // The server's token is good, and its events get numbers that no other has.
    let kill = r#"[{"type":"kill","match_id":"evening","timestamp":99999,"attacker_name":"later","attacker_guid":"41","victim_guid":"42"}]"#;
    service.client.send(kill).await.assert_batch(202, 1, &[]);
    service.client.settled().await;
    let there = killers(&service.warehouse).await;
    let distinct: BTreeSet<&String> = there.iter().collect();
    assert_eq!(distinct.len(), there.len(), "nothing is there twice");
    assert!(
        before.iter().all(|name| distinct.contains(name)),
        "all that was accepted before the backup is there"
    );
    let sent: BTreeSet<&str> = all.iter().map(String::as_str).chain(["later"]).collect();
    assert!(there.iter().all(|name| sent.contains(name.as_str())));
    assert!(there.contains(&"later".to_owned()));
    service.warehouse.assert_rollups_agree().await;
    service.stop().await;
}

#[actix_web::test]
async fn a_restore_that_fails_leaves_the_stores_empty_and_one_into_stores_that_are_used_is_refused() {
    let stores_of_tests = TestStores::shared().await;
    let urls = stores_of_tests.database("restore_fails").await;
    let directory = tempfile::tempdir().unwrap();
    let (data_dir, backup) = (directory.path().join("data"), directory.path().join("backup"));
    let settings = [("DATA_DIR", data_dir.to_str().unwrap())];
    let service = Service::start_on(&urls, &settings, Surroundings::default()).await;
    service.client.send(r#"[{"type":"jump"},{"type":"jump"}]"#).await.assert_batch(202, 2, &[]);
    service.client.settled().await;
    service.stop().await;
    let from = stores(&urls, &data_dir).await;
    from.save(&backup).await.unwrap();
    assert_eq!(
        files_below(&backup.join("spool")),
        files_below(&from.spool_dir),
        "a spool is saved as a whole"
    );
    backup::check(&backup).unwrap();
    assert!(
        matches!(from.save(&backup).await, Err(BackupError::NotEmpty(_))),
        "a backup is never overwritten"
    );
    let refused = from.restore(&backup).await.unwrap_err();
    assert!(matches!(refused, BackupError::NotEmpty(_)), "{refused}");
    std::fs::remove_dir_all(&data_dir).unwrap();
    let refused = from.restore(&backup).await.unwrap_err();
    assert!(matches!(refused, BackupError::StoreNotEmpty(_)), "{refused}");

    // A table that does not have what the manifest says.
    let path = backup.join("manifest.json");
    let whole = std::fs::read_to_string(&path).unwrap();
    let mut manifest: Value = serde_json::from_str(&whole).unwrap();
    let tables = manifest["postgres"]["tables"].as_array_mut().unwrap();
    let servers = tables.iter_mut().find(|table| table["name"] == "servers").unwrap();
    servers["rows"] = 7.into();
    std::fs::write(&path, manifest.to_string()).unwrap();
    let fresh = stores_of_tests.database("restore_to").await;
    let to = stores(&fresh, &data_dir).await;
    let failed = to.restore(&backup).await.unwrap_err();
    assert!(matches!(&failed, BackupError::Differs { table, .. } if table == "servers"), "{failed}");
    assert_eq!(files_below(&to.spool_dir), BTreeSet::new());
    assert!(matches!(backup::check(&backup), Err(BackupError::Differs { table, .. }) if table == "servers"));
    let warehouse = Warehouse::new(&fresh.clickhouse_url);
    assert_eq!(warehouse.count("SELECT count() FROM raw_events").await, 0);
    assert_eq!(content(&to.postgres, "servers").await.len(), 0);
    assert!(!content(&to.postgres, "achievements").await.is_empty(), "what migrations made is there");

    // A file that was changed is noticed before anything is touched.
    std::fs::write(&path, &whole).unwrap();
    let events = backup.join("clickhouse/raw_events.native.zst");
    let mut bytes = std::fs::read(&events).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&events, &bytes).unwrap();
    assert!(matches!(to.restore(&backup).await, Err(BackupError::Damaged { .. })));
    assert!(matches!(backup::check(&backup), Err(BackupError::Damaged { .. })));
    bytes[middle] ^= 1;
    std::fs::write(&events, &bytes).unwrap();
    assert_eq!(to.restore(&backup).await.unwrap().events(), 2);
    assert_eq!(warehouse.count("SELECT count() FROM raw_events").await, 2);
}

#[actix_web::test]
async fn a_backup_is_not_written_into_the_spool_that_it_copies() {
    let urls = TestStores::shared().await.database("backup_within").await;
    let directory = tempfile::tempdir().unwrap();
    let stores = stores(&urls, directory.path()).await;
    std::fs::create_dir(&stores.spool_dir).unwrap();
    let elsewhere = directory.path().join("elsewhere");
    std::os::unix::fs::symlink(&stores.spool_dir, &elsewhere).unwrap();
    for within in [stores.spool_dir.clone(), stores.spool_dir.join("a/backup"), elsewhere.join("backup")] {
        let refused = stores.save(&within).await.unwrap_err();
        assert!(matches!(refused, BackupError::WithinSpool(_)), "{}: {refused}", within.display());
    }
    assert_eq!(std::fs::read_dir(&stores.spool_dir).unwrap().count(), 0);
}

#[actix_web::test]
async fn a_restore_that_was_cut_short_is_begun_anew_and_nothing_is_stored_meanwhile() {
    let urls = TestStores::shared().await.database("cut_from").await;
    let directory = tempfile::tempdir().unwrap();
    let (data_dir, backup) = (directory.path().join("data"), directory.path().join("backup"));
    let settings = [("DATA_DIR", data_dir.to_str().unwrap())];
    let service = Service::start_on(&urls, &settings, Surroundings::default()).await;
    let kill = r#"[{"type":"kill","attacker_guid":"41","victim_guid":"42","timestamp":1}]"#;
    service.client.send(kill).await.assert_batch(202, 1, &[]);
    service.client.settled().await;
    stores(&urls, &data_dir).await.save(&backup).await.unwrap();
    service.stop().await;

    let fresh = TestStores::shared().await.database("cut_to").await;
    let to = stores(&fresh, &directory.path().join("other")).await;
    let warehouse = Warehouse::new(&fresh.clickhouse_url);
    let is_begun = eventually("some tables are filled", async || {
        (warehouse.count("SELECT count() FROM raw_events").await > 0).then_some(())
    });
    tokio::select! {
        biased;
        () = is_begun => {}
        restored = to.restore(&backup) => panic!("it came to its end before it was cut short: {restored:?}"),
    }
    let engines = Engines::single(to.clickhouse.clone());
    let unfinished = schema::check(&engines).await.unwrap_err().to_string();
    assert!(unfinished.contains("a restore did not end"), "{unfinished}");

    to.restore(&backup).await.unwrap();
    schema::check(&engines).await.unwrap();
    assert_eq!(warehouse.count("SELECT count() FROM raw_events").await, 1);
    assert_eq!(warehouse.count("SELECT sum(kills) FROM player_totals").await, 1);
    let held = to.restore(&backup).await.unwrap_err();
    assert!(matches!(held, BackupError::NotEmpty(_) | BackupError::StoreNotEmpty(_)), "{held}");
}

/// A restore that gets as far as `last` and is killed there.
async fn restore_up_to(to: &Stores, backup: &Path, last: RestoreStep) {
    let is_there = tokio::sync::Notify::new();
    let reached = async |step| {
        if step == last {
            is_there.notify_one();
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = is_there.notified() => {}
        ended = to.restore_in_steps(backup, reached) => panic!("it ended before {last:?}: {ended:?}"),
    }
}

#[actix_web::test]
async fn a_restore_that_is_killed_or_fails_when_all_is_nearly_done_is_begun_anew() {
    let stores_of_tests = TestStores::shared().await;
    let urls = stores_of_tests.database("late_from").await;
    let directory = tempfile::tempdir().unwrap();
    let (data_dir, backup) = (directory.path().join("data"), directory.path().join("backup"));
    let settings = [("DATA_DIR", data_dir.to_str().unwrap())];
    let service = Service::start_on(&urls, &settings, Surroundings::default()).await;
    service.add_user("Anna", Role::Organizer).await;
    let kill = r#"[{"type":"kill","attacker_guid":"41","victim_guid":"42","timestamp":1}]"#;
    service.client.send(kill).await.assert_batch(202, 1, &[]);
    service.client.settled().await;
    let from = stores(&urls, &data_dir).await;
    from.save(&backup).await.unwrap();
    let users = content(&from.postgres, "users").await;
    service.stop().await;
    let spool = files_below(&backup.join("spool"));

    let is_whole = async |to: &Stores, urls: &StoreUrls| {
        let warehouse = Warehouse::new(&urls.clickhouse_url);
        schema::check(&Engines::single(to.clickhouse.clone())).await.unwrap();
        assert_eq!(warehouse.count("SELECT count() FROM raw_events").await, 1);
        assert_eq!(warehouse.count("SELECT sum(kills) FROM player_totals").await, 1);
        assert_eq!(content(&to.postgres, "users").await, users);
        assert_eq!(files_below(&to.spool_dir), spool);
        let refused = to.restore(&backup).await.unwrap_err();
        assert!(matches!(refused, BackupError::NotEmpty(_)), "{refused}");
    };
    for (number, step) in
        [RestoreStep::Filled, RestoreStep::Committed, RestoreStep::ClickHouseEnded].into_iter().enumerate()
    {
        let fresh = stores_of_tests.database(&format!("late_to_{number}")).await;
        let data_dir = directory.path().join(format!("killed-{number}"));
        let to = stores(&fresh, &data_dir).await;
        restore_up_to(&to, &backup, step).await;
        let settings = [
            ("LISTEN", "127.0.0.1:0"),
            ("DATA_DIR", data_dir.to_str().unwrap()),
            ("POSTGRES_URL", &fresh.postgres_url),
            ("REDIS_URL", &fresh.redis_url),
            ("CLICKHOUSE_URL", &fresh.clickhouse_url),
            ("JWT_SECRET", JWT_SECRET),
        ];
        let started = Application::start(configuration(&settings)).await;
        assert!(matches!(started.err(), Some(StartError::UnfinishedRestore(_))), "after {step:?}");
        let saved = to.save(&directory.path().join("of-a-half")).await.unwrap_err();
        assert!(matches!(saved, BackupError::Unfinished), "after {step:?}: {saved}");
        // Of another try.
        std::fs::write(to.spool_dir.join("segment-9-9"), "").unwrap();
        to.restore(&backup).await.unwrap();
        is_whole(&to, &fresh).await;
    }

    let fresh = stores_of_tests.database("late_end").await;
    let to = stores(&fresh, &directory.path().join("killed-at-the-end")).await;
    restore_up_to(&to, &backup, RestoreStep::SpoolEnded).await;
    is_whole(&to, &fresh).await;

    // PostgreSQL goes away before it commits.
    let fresh = stores_of_tests.database("late_commit").await;
    let to = stores(&fresh, &directory.path().join("not-committed")).await;
    let ends_connections = async |step| {
        if step == RestoreStep::Filled {
            let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                          WHERE datname = current_database() AND pid <> pg_backend_pid() AND state LIKE 'idle in%'";
            sqlx::query(others).execute(&to.postgres).await.unwrap();
        }
    };
    let failed = to.restore_in_steps(&backup, ends_connections).await.unwrap_err();
    assert!(matches!(failed, BackupError::Postgres(_)), "{failed}");
    assert!(backup::is_unfinished(&to.spool_dir));
    to.restore(&backup).await.unwrap();
    is_whole(&to, &fresh).await;
}

#[actix_web::test]
async fn a_backup_holds_events_whose_time_ends_while_it_is_made() {
    let urls = TestStores::shared().await.database("backup_ttl").await;
    let directory = tempfile::tempdir().unwrap();
    let (data_dir, backup) = (directory.path().join("data"), directory.path().join("backup"));
    let settings = [("DATA_DIR", data_dir.to_str().unwrap())];
    let service = Service::start_on(&urls, &settings, Surroundings::default()).await;
    service.client.send(r#"[{"type":"jump"},{"type":"jump"}]"#).await.assert_batch(202, 2, &[]);
    service.client.settled().await;
    let warehouse = Warehouse::new(&urls.clickhouse_url);
    // They are over at once, and would go with the next merge of a table that has the same rule.
    warehouse.execute("SYSTEM STOP MERGES raw_events").await;
    warehouse.execute("ALTER TABLE raw_events MODIFY TTL toDate(event_at) - toIntervalDay(3) SETTINGS materialize_ttl_after_modify = 0, mutations_sync = 2").await;
    warehouse.execute("ALTER TABLE raw_events MODIFY SETTING merge_with_ttl_timeout = 0").await;
    let manifest = stores(&urls, &data_dir).await.save(&backup).await.unwrap();
    assert_eq!(manifest.events(), 2);
    service.stop().await;

    let fresh = TestStores::shared().await.database("backup_ttl_to").await;
    let restored = stores(&fresh, &directory.path().join("other")).await.restore(&backup).await.unwrap();
    assert_eq!(restored.events(), 2);
}
