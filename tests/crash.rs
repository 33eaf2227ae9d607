//! The service killed without warning, again and again: what it accepted is stored, once.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};

use mohaa_embedded::testing::TestStores;
use mohaa_stats::config::StoreUrl;
use mohaa_stats::postgres;
use mohaa_stats::servers::{NewServer, add_server};
use mohaa_stats::simulate::dice::Dice;

use crate::support::{ServiceClient, ServiceProcess, Warehouse};

const ROUNDS: u64 = 10;
const CLIENTS: u64 = 6;

/// Names of events by what their sender was told.
#[derive(Default)]
struct Told {
    accepted: BTreeSet<String>,
    /// The connection broke before an answer came.
    nothing: BTreeSet<String>,
}

/// An event that no other equals: its name says which it is.
fn event(name: &str, dice: &mut Dice) -> Value {
    let player = |dice: &mut Dice| (100 + dice.bits() % 20).to_string();
    let (one, other) = (player(dice), player(dice));
    match dice.bits() % 4 {
        0 => json!({
            "type": "kill", "attacker_name": name, "attacker_guid": one, "attacker_team": "allies",
            "attacker_x": (dice.bits() % 4000) as i64 - 2000, "attacker_y": 16.5, "victim_name": "victim",
            "victim_guid": other, "victim_team": "axis", "victim_x": -33.25, "victim_y": 700, "weapon": "M1 Garand",
            "hitloc": "head", "map_name": "dm/mohdm1", "gametype": "2",
        }),
        1 => json!({
            "type": "damage", "attacker_name": name, "attacker_guid": one, "attacker_team": "allies",
            "victim_guid": other, "victim_team": "axis", "damage": dice.bits() % 100_000, "weapon": "BAR",
        }),
        2 => json!({"type": "weapon_fire", "player_name": name, "player_guid": one, "weapon": "Kar98k"}),
        _ => {
            json!({"type": "distance", "player_name": name, "player_guid": one, "walked": 100.25, "swam": 0.5})
        }
    }
}

/// Posts until the service is gone or `is_over`.
async fn bombard(
    client: ServiceClient,
    label: String,
    told: Rc<RefCell<Told>>,
    is_over: Rc<Cell<bool>>,
    seed: u64,
) {
    let mut dice = Dice::new(seed, &label, &[]);
    let mut number = 0;
    while !is_over.get() {
        let mut names = Vec::new();
        let events: Vec<Value> = (0..=dice.bits() % 20)
            .map(|_| {
                names.push(format!("{label}-{number}"));
                number += 1;
                let mut event = event(&names[names.len() - 1], &mut dice);
                event["match_id"] = json!(format!("match-{}", dice.bits() % 3));
                event
            })
            .collect();
        let headers = [("X-Server-Token", client.token.as_str())];
        match client.post("/api/v1/ingest/events", &headers, json!(events).to_string()).await {
            Ok(reply) if reply.status.as_u16() == 202 => told.borrow_mut().accepted.extend(names),
            Ok(reply) => panic!("{}: {}", reply.status, reply.text),
            Err(_) => {
                told.borrow_mut().nothing.extend(names);
                return;
            }
        }
    }
}

/// Bombards a service for so long; the caller ends it before the senders notice.
async fn bombard_until_killed(
    process: ServiceProcess,
    token: &str,
    (seed, round): (u64, u64),
    kill_after: Duration,
    told: &Rc<RefCell<Told>>,
) {
    let is_over = Rc::new(Cell::new(false));
    let senders: Vec<_> = (0..CLIENTS)
        .map(|sender| {
            let client = ServiceClient::new(process.url.clone(), token.to_owned());
            let label = format!("r{round}-s{sender}");
            tokio::task::spawn_local(bombard(client, label, told.clone(), is_over.clone(), seed))
        })
        .collect();
    // The moment is the test's input: there is nothing to wait for.
    tokio::time::sleep(kill_after).await;
    process.kill().await;
    is_over.set(true);
    for sender in senders {
        sender.await.unwrap();
    }
}

/// Every accepted event is stored once, every unanswered one at most once, and nothing else is there.
async fn assert_kept(warehouse: &Warehouse, told: &Told) {
    let rows =
        warehouse.rows("SELECT player_name, count() AS copies FROM raw_events GROUP BY player_name").await;
    let stored: BTreeMap<&str, u64> = rows
        .iter()
        .map(|row| (row["player_name"].as_str().unwrap(), row["copies"].as_u64().unwrap()))
        .collect();
    let twice: Vec<_> = stored.iter().filter(|(_, copies)| **copies != 1).collect();
    assert!(twice.is_empty(), "stored more than once: {twice:?}");
    let lost: Vec<_> = told.accepted.iter().filter(|name| !stored.contains_key(name.as_str())).collect();
    assert!(lost.is_empty(), "{} of {} accepted events are lost: {lost:?}", lost.len(), told.accepted.len());
    let unknown: Vec<_> = stored
        .keys()
        .filter(|name| !told.accepted.contains(**name) && !told.nothing.contains(**name))
        .collect();
    assert!(unknown.is_empty(), "nobody sent {unknown:?}");
}

async fn server_token(postgres_url: &str) -> String {
    let pool = postgres::pool(&StoreUrl::postgres(postgres_url).unwrap()).unwrap();
    postgres::migrate(&pool).await.unwrap();
    let new = NewServer { name: "Omaha".to_owned(), ..NewServer::default() };
    add_server(&pool, &new).await.unwrap().token.expose().to_owned()
}

/// `CRASH_SEED` repeats the moments of an earlier run.
fn seed() -> u64 {
    let seed =
        std::env::var("CRASH_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(rand::random);
    println!("CRASH_SEED={seed}");
    seed
}

#[actix_web::test]
async fn a_service_that_is_killed_ten_times_stores_every_accepted_event_once() {
    let urls = TestStores::shared().await.database("crash").await;
    let token = server_token(&urls.postgres_url).await;
    let warehouse = Warehouse::new(&urls.clickhouse_url);
    let data_dir = tempfile::tempdir().unwrap();
    // Small batches and segments, so that each moment has inserts, seals and rotations under way.
    let settings = [
        ("WORKER_FLUSH_INTERVAL", "20ms"),
        ("WORKER_BATCH_SIZE", "100"),
        ("SPOOL_SEGMENT_BYTES", "64KiB"),
        ("SHUTDOWN_TIMEOUT", "60s"),
    ];
    let seed = seed();
    let told = Rc::new(RefCell::new(Told::default()));
    for round in 0..ROUNDS {
        let process = ServiceProcess::start(data_dir.path(), &urls, &settings).await;
        let kill_after = Duration::from_millis(20 + Dice::new(seed, "kill", &[round]).bits() % 900);
        bombard_until_killed(process, &token, (seed, round), kill_after, &told).await;
    }
    let told = told.take();
    println!("{} events accepted, {} without an answer", told.accepted.len(), told.nothing.len());
    assert!(told.accepted.len() > 500, "too little was under way: {}", told.accepted.len());

    let process = ServiceProcess::start(data_dir.path(), &urls, &settings).await;
    let client = ServiceClient::new(process.url.clone(), token.clone());
    let metrics = client.settled().await;
    assert_eq!(metrics.value("mohaa_dead_letters"), 0.0);
    assert_eq!(metrics.value("mohaa_events_unaccounted_total"), 0.0);
    assert_kept(&warehouse, &told).await;
    warehouse.assert_rollups_agree().await;
    process.terminate().await;

    let process = ServiceProcess::start(data_dir.path(), &urls, &settings).await;
    let client = ServiceClient::new(process.url.clone(), token.clone());
    assert_eq!(
        client.metrics().await.value("mohaa_events_recovered_total"),
        0.0,
        "the spool held something unstored"
    );
    let log = process.log();
    process.terminate().await;
    assert_kept(&warehouse, &told).await;
    assert!(!log.contains("panicked"), "{log}");
    assert!(!log.contains(&token), "the log holds a server's token");
}

#[actix_web::test]
async fn roll_ups_that_a_short_lived_service_could_not_compare_are_compared_by_the_next() {
    let urls = TestStores::shared().await.database("compare").await;
    let token = server_token(&urls.postgres_url).await;
    let warehouse = Warehouse::new(&urls.clickhouse_url);
    let data_dir = tempfile::tempdir().unwrap();
    let process = ServiceProcess::start(data_dir.path(), &urls, &[]).await;
    let client = ServiceClient::new(process.url.clone(), token.clone());
    let kill = json!([{"type": "kill", "attacker_guid": "41", "victim_guid": "42", "weapon": "BAR"}]);
    client.send(kill.to_string()).await.assert_batch(202, 1, &[]);
    client.settled().await;
    process.kill().await;
    // What a store can leave behind that was killed while it inserted.
    warehouse.execute("TRUNCATE TABLE weapon_stats").await;

    let without_clickhouse = [("CLICKHOUSE_URL", "http://user:password@127.0.0.1:9/none")];
    let process = ServiceProcess::start(data_dir.path(), &urls, &without_clickhouse).await;
    process.terminate().await;

    let process = ServiceProcess::start(data_dir.path(), &urls, &[]).await;
    warehouse.assert_rollups_agree().await;
    assert_eq!(warehouse.count("SELECT count() FROM weapon_stats FINAL").await, 2);
    process.terminate().await;
}

#[actix_web::test]
async fn a_killed_service_leaves_its_private_stores_to_the_next_start() {
    let passable = std::fs::Permissions::from_mode(0o711);
    let data_dir = tempfile::Builder::new().permissions(passable).tempdir().unwrap();
    let store_url = |name: &str| {
        let stores = std::fs::read_to_string(data_dir.path().join("stores.env")).unwrap();
        let line = stores.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap();
        line.to_owned()
    };
    let seed = seed();
    let told = Rc::new(RefCell::new(Told::default()));
    let process = ServiceProcess::start_embedded(data_dir.path()).await;
    let token = server_token(&store_url("POSTGRES_URL")).await;
    let kill_after = Duration::from_millis(500 + Dice::new(seed, "kill", &[]).bits() % 1_000);
    bombard_until_killed(process, &token, (seed, 0), kill_after, &told).await;

    let process = ServiceProcess::start_embedded(data_dir.path()).await;
    let client = ServiceClient::new(process.url.clone(), token);
    client.settled().await;
    let told = told.take();
    assert!(!told.accepted.is_empty());
    let warehouse = Warehouse::new(&store_url("CLICKHOUSE_URL"));
    assert_kept(&warehouse, &told).await;
    warehouse.assert_rollups_agree().await;
    process.terminate().await;
}
