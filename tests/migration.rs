//! Installations of earlier versions keep what they have and get what is new.

use mohaa_domain::event::{Event, Stamp};
use mohaa_embedded::testing::TestStores;
use mohaa_stats::clickhouse::schema;

use crate::support::Warehouse;
use crate::support::statistics::{StatsUnderTest, kill};

/// The newest schema without the level's clock in the roll-ups.
const WITHOUT_LEVEL_TIME: u32 = 2;
const LEVEL_TIME: &str = include_str!("../clickhouse/0003_level_time.sql");

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

async fn installation_of_the_version_before(name: &str) -> (StatsUnderTest, Warehouse) {
    let urls = TestStores::shared().await.database(name).await;
    let this = StatsUnderTest::on(&urls).await;
    schema::migrate_up_to(&this.clickhouse, WITHOUT_LEVEL_TIME).await.unwrap();
    this.store(&stored_before()).await;
    (this, Warehouse::new(&urls.clickhouse_url))
}

async fn assert_brought_up_to_date(this: &StatsUnderTest, warehouse: &Warehouse, kills: u64, seconds: u64) {
    schema::check(&this.clickhouse).await.unwrap();
    let player = this.get("/api/v1/stats/player/1").await.json();
    assert_eq!((&player["total_kills"], &player["playtime_seconds"]), (&kills.into(), &seconds.into()));
    assert_eq!(player["player_name"], "1");
    warehouse.assert_rollups_agree().await;
}

#[actix_web::test]
async fn what_was_stored_before_is_counted_in_once() {
    let (this, warehouse) = installation_of_the_version_before("migration").await;
    schema::migrate(&this.clickhouse).await.unwrap();
    assert_brought_up_to_date(&this, &warehouse, 2, 300).await;
    this.store(&[at(410.0, kill("1", "2", "2026-11-21T00:00:02Z", 1))]).await;
    assert_brought_up_to_date(&this, &warehouse, 3, 400).await;
    schema::migrate(&this.clickhouse).await.unwrap();
    assert_brought_up_to_date(&this, &warehouse, 3, 400).await;
}

#[actix_web::test]
async fn a_migration_that_was_cut_short_is_finished_by_the_next() {
    let code: Vec<&str> = LEVEL_TIME.lines().filter(|line| !line.starts_with("--")).collect();
    let code = code.join("\n");
    let statements: Vec<&str> = code.split(";\n").filter(|text| !text.trim().is_empty()).collect();
    assert_eq!(statements.len(), 3);
    // The last time all of them were done, and only the note of it was not.
    for done in 1..=statements.len() {
        let (this, warehouse) = installation_of_the_version_before(&format!("cut_short_{done}")).await;
        for statement in &statements[..done] {
            warehouse.execute(statement.trim_end_matches([';', '\n'])).await;
        }
        // Another node goes on storing.
        this.store(&[at(410.0, kill("1", "2", "2026-11-21T00:00:02Z", 1))]).await;
        schema::migrate(&this.clickhouse).await.unwrap();
        assert_brought_up_to_date(&this, &warehouse, 3, 400).await;
    }
}
