//! What else must outlive a service that is killed.

use std::time::Duration;

use mohaa_faults::crash::bombard_until_killed;
use mohaa_faults::engine_kill::{passable_directory, store_url};
use mohaa_faults::load::{Load, Manner};
use mohaa_faults::process::{ServiceProcess, service_beside_this_program};
use mohaa_faults::service::eventually_within;
use mohaa_faults::stand::{Stand, server_token};
use mohaa_faults::verdict::{ROLLUP_PATIENCE, Verdict, settled};
use mohaa_faults::warehouse::Warehouse;

use crate::scenarios::seed;

#[tokio::test(flavor = "multi_thread")]
async fn roll_ups_that_a_short_lived_service_could_not_compare_are_compared_by_the_next() {
    let stand = Stand::new(&service_beside_this_program(), "compare", &[]).await.unwrap();
    let process = stand.start().await.unwrap();
    let load = Load::start(process.address(), &stand.token, "c", seed(), &Manner::bombardment());
    let patience = Duration::from_secs(10);
    eventually_within(patience, "a hundred events", async || Ok((load.accepted() > 100).then_some(())))
        .await
        .unwrap();
    load.stop().await.unwrap();
    settled(process.address()).await.unwrap();
    process.kill().await.unwrap();
    // What a store can leave behind that was killed while it inserted.
    stand.warehouse.execute("TRUNCATE TABLE weapon_stats").await.unwrap();

    let without_clickhouse = [("CLICKHOUSE_URL", "http://user:password@127.0.0.1:9/none")];
    let process = stand.start_with(&without_clickhouse).await.unwrap();
    assert!(process.terminate().await.unwrap().0.success());
    // The sums of all its days differ from what is left of it.
    let differing = stand.warehouse.differing_rollups().await.unwrap();
    let mut names: Vec<&str> = differing.iter().filter_map(|told| told.split(':').next()).collect();
    names.sort_unstable();
    assert_eq!(names, ["map_weapons", "weapon_map_totals", "weapon_stats", "weapon_totals"]);

    let process = stand.start().await.unwrap();
    let differing = stand.warehouse.rollups_differing_after(ROLLUP_PATIENCE).await.unwrap();
    assert!(differing.is_empty(), "{differing:?}");
    assert!(process.terminate().await.unwrap().0.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_service_leaves_its_private_stores_to_the_next_start() {
    let data_dir = passable_directory().unwrap();
    let store_url = |name| store_url(data_dir.path(), name).unwrap();
    let program = service_beside_this_program();
    let process = ServiceProcess::start_embedded(&program, data_dir.path(), &[]).await.unwrap();
    let token = server_token(&store_url("POSTGRES_URL")).await.unwrap();
    let told = bombard_until_killed(process, &token, seed(), 0, Duration::from_millis(1_000)).await.unwrap();
    assert!(told.accepted() > 0);

    let process = ServiceProcess::start_embedded(&program, data_dir.path(), &[]).await.unwrap();
    let warehouse = Warehouse::new(&store_url("CLICKHOUSE_URL")).unwrap();
    let mut verdict = Verdict::default();
    verdict.judge(&told, 0, process.address(), &warehouse).await.unwrap();
    assert!(process.terminate().await.unwrap().0.success());
    verdict.judge_spool(data_dir.path()).unwrap();
    assert!(verdict.problems.is_empty(), "{:#?}", verdict.problems);
}
