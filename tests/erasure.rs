//! Names that go from the disk, and counts that stay.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mohaa_embedded::StoreUrls;
use mohaa_faults::cuttable::CuttableProxy;
use mohaa_stats::clickhouse::cluster::Engines;
use mohaa_stats::clickhouse::inserts;
use mohaa_stats::config::ClickHouseUrl;
use mohaa_stats::data_version::DataVersion;
use mohaa_stats::players::{Erased, NameEraser};
use mohaa_stats::startup::Surroundings;
use mohaa_stats::users::Role;
use serde_json::json;
use sqlx::PgPool;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::support::statistics::{StatsUnderTest, kill};
use crate::support::{Service, Warehouse, eventually, schemas};

/// How many rows of the database hold a word, in whichever column.
async fn rows_with(warehouse: &Warehouse, word: &str) -> u64 {
    let tables = warehouse
        .rows(
            "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'",
        )
        .await;
    let mut found = 0;
    for table in tables {
        let table = table["name"].as_str().unwrap();
        found += warehouse
            .count(&format!("SELECT count() FROM {table} WHERE position(toString(tuple(*)), '{word}') > 0"))
            .await;
    }
    found
}

fn eraser(postgres: &PgPool, engines: &Engines) -> NameEraser {
    let registry = prometheus::Registry::new();
    NameEraser::new(postgres.clone(), engines.clone(), DataVersion::default(), &registry).unwrap()
}

async fn forget_player(postgres: &PgPool, player_id: &str) {
    sqlx::query("INSERT INTO anonymous_players (player_id, anonymous_id) VALUES ($1, 'anon_of_a_test')")
        .bind(player_id)
        .execute(postgres)
        .await
        .unwrap();
}

/// A proxy that holds one statement back.
struct Holding {
    proxy: CuttableProxy,
    /// It is here.
    holds: Arc<Notify>,
    /// It may go on.
    lets_go: Arc<Notify>,
}

impl Holding {
    /// The first statement with this word in it, before the store at `url`.
    async fn back(word: &'static str, url: &str) -> Self {
        let target = format!("127.0.0.1:{}", url::Url::parse(url).unwrap().port().unwrap());
        let (holds, lets_go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let is_to_come = Arc::new(AtomicBool::new(true));
        let waiting = (holds.clone(), lets_go.clone());
        let proxy = CuttableProxy::start_with(move |client| {
            let (target, (holds, lets_go), is_to_come) =
                (target.clone(), waiting.clone(), is_to_come.clone());
            async move {
                let Ok(server) = TcpStream::connect(target).await else { return };
                let ((mut questions, mut answered), (mut answers, mut asked)) =
                    (client.into_split(), server.into_split());
                let asking = async {
                    let mut bytes = [0; 65_536];
                    while let Ok(count @ 1..) = questions.read(&mut bytes).await {
                        let is_it = bytes[..count].windows(word.len()).any(|part| part == word.as_bytes());
                        if is_it && is_to_come.swap(false, Ordering::AcqRel) {
                            holds.notify_one();
                            lets_go.notified().await;
                        }
                        if asked.write_all(&bytes[..count]).await.is_err() {
                            break;
                        }
                    }
                    let _ = asked.shutdown().await;
                };
                let _ = tokio::join!(asking, tokio::io::copy(&mut answers, &mut answered));
            }
        })
        .await
        .unwrap();
        Self { proxy, holds, lets_go }
    }
}

/// On one engine or a cluster, whose tables are there.
pub async fn names_that_are_stored_while_others_are_erased_are_found(
    urls: &StoreUrls,
    cluster: Option<&str>,
) {
    let this = StatsUnderTest::over(urls, cluster).await;
    let named = async || -> u64 {
        let named = "SELECT count() FROM raw_events WHERE player_id = '1' AND player_name != ''";
        this.clickhouse.query(named).fetch_one().await.unwrap()
    };
    this.store(&[kill("1", "2", "2026-11-20T12:00:00Z", 1), kill("1", "2", "2026-11-21T12:00:00Z", 2)]).await;
    forget_player(&this.postgres, "1").await;
    // Behind those that empty `raw_events`, before the one that takes the sign away.
    let holding = Holding::back("player_aliases DELETE", &urls.clickhouse_url).await;
    let url = holding.proxy.in_front_of(&urls.clickhouse_url).unwrap();
    let engines = Engines::connect(&ClickHouseUrl::parse(&url).unwrap(), cluster);
    let eraser = eraser(&this.postgres, &engines);
    let storing = async {
        holding.holds.notified().await;
        assert_eq!(named().await, 0);
        this.store(&[kill("1", "2", "2026-11-21T12:00:01Z", 2), kill("1", "2", "2026-11-22T11:00:00Z", 3)])
            .await;
        holding.lets_go.notify_one();
    };
    let (erased, ()) = futures_util::join!(eraser.erase(), storing);
    assert_eq!((erased.unwrap(), named().await), (Erased::Ids(1), 2));
    // The lock is given back a moment after a look has ended.
    let erase_again = async || {
        eventually("it is this one's turn", async || {
            Some(eraser.erase().await.unwrap()).filter(|erased| *erased != Erased::Elsewhere)
        })
        .await
    };
    assert_eq!((erase_again().await, named().await), (Erased::Ids(1), 0));
    assert_eq!(erase_again().await, Erased::Ids(0));
}

#[actix_web::test]
async fn what_is_stored_while_names_are_erased_is_found_at_the_next_look() {
    let urls = schemas::database("erased_beside").await;
    names_that_are_stored_while_others_are_erased_are_found(&urls, None).await;
}

#[actix_web::test]
async fn names_are_erased_when_inserts_have_ended_that_may_bring_some() {
    let this = StatsUnderTest::start("erased_behind").await;
    this.store(&[kill("1", "2", "2026-11-21T12:00:00Z", 1)]).await;
    forget_player(&this.postgres, "1").await;
    let engines = this.engines();
    let is_running = async || !inserts::running(&engines).await.unwrap().is_empty();
    let slow = "INSERT INTO raw_events SELECT * FROM raw_events WHERE sleepEachRow(3)";
    let inserting = async { this.clickhouse.query(slow).execute().await.unwrap() };
    let erasing = async {
        eventually("the insert runs", async || is_running().await.then_some(())).await;
        assert_eq!(eraser(&this.postgres, &engines).erase().await.unwrap(), Erased::Ids(1));
        assert!(!is_running().await);
    };
    futures_util::join!(inserting, erasing);
}

#[actix_web::test]
async fn names_of_an_anonymous_player_go_from_every_table_and_what_was_counted_stays() {
    let urls = schemas::database("erased").await;
    let service = Service::start_on(&urls, &[], Surroundings::default()).await;
    let kill = |number: u32| {
        json!({"type": "kill", "match_id": "evening", "timestamp": number, "weapon": "M1 Garand",
            "attacker_guid": "1001", "attacker_name": "Annabelle", "victim_guid": "1002", "victim_name": "Benedict"})
    };
    let back = json!({"type": "kill", "match_id": "evening", "timestamp": 9, "weapon": "Kar98k",
        "attacker_guid": "1002", "attacker_name": "Benedict", "victim_guid": "1001", "victim_name": "Annabelle"});
    let chat = json!({"type": "chat", "match_id": "evening", "timestamp": 10, "player_guid": "1001",
        "player_name": "Annabelle", "message": "call me Annabelle", "nickname": "Annabelle"});
    let events = json!([kill(1), kill(2), back, chat]).to_string();
    service.client.send(events).await.assert_batch(202, 4, &[]);
    service.client.settled().await;
    let warehouse = &service.warehouse;
    let benedicts = rows_with(warehouse, "Benedict").await;
    assert!(rows_with(warehouse, "Annabelle").await >= 4 && benedicts >= 4);
    let kills = "SELECT sum(kills) FROM player_totals WHERE player_id = '1001'";
    assert_eq!(warehouse.count(kills).await, 2);

    let (_, admin) = service.add_user("admin", Role::Admin).await;
    let asked =
        service.client.call_as(&admin, "POST", "/api/v1/admin/players/1001/anonymise", json!({})).await;
    assert!(asked.status.is_success(), "{}", asked.text);
    let engines = Engines::connect(&ClickHouseUrl::parse(&urls.clickhouse_url).unwrap(), None);
    let eraser = eraser(&service.application.postgres, &engines);
    // The service may be at it itself by then.
    let nothing_is_left = async || (eraser.erase().await.unwrap() == Erased::Ids(0)).then_some(());
    eventually("her names are erased", nothing_is_left).await;
    assert_eq!(rows_with(warehouse, "Annabelle").await, 0);
    assert_eq!(warehouse.count(kills).await, 2);
    assert_eq!(warehouse.count("SELECT count() FROM raw_events").await, 4);
    // The other one keeps his; but for what the events between them held beside names, nothing of him is gone.
    assert_eq!(rows_with(warehouse, "Benedict").await, benedicts);
    warehouse.assert_rollups_agree().await;

    // Whoever plays on is dealt with again.
    service.client.send(json!([kill(20)]).to_string()).await.assert_batch(202, 1, &[]);
    service.client.settled().await;
    assert_eq!(warehouse.count("SELECT count() FROM raw_events").await, 5);
    eventually("they are erased again", nothing_is_left).await;
    assert_eq!(rows_with(warehouse, "Annabelle").await, 0);
    service.stop().await;
}
