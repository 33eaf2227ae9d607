//! Names that go from the disk, and counts that stay.

use mohaa_stats::clickhouse::cluster::Engines;
use mohaa_stats::config::ClickHouseUrl;
use mohaa_stats::data_version::DataVersion;
use mohaa_stats::players::{Erased, NameEraser};
use mohaa_stats::startup::Surroundings;
use mohaa_stats::users::Role;
use serde_json::json;

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
    let eraser = NameEraser::new(
        service.application.postgres.clone(),
        engines,
        DataVersion::default(),
        &prometheus::Registry::new(),
    )
    .unwrap();
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
