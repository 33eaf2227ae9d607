//! The scenarios of `make faults`, played just long enough to fail.

use mohaa_faults::error::Result;
use mohaa_faults::outcome::{Outcome, Table};
use mohaa_faults::process::service_beside_this_program;
use mohaa_faults::store_faults::{self, Length};
use mohaa_faults::{crash, engine_kill, overload, shutdown};

/// `FAULTS_SEED` repeats the moments of an earlier run.
pub fn seed() -> u64 {
    let seed =
        std::env::var("FAULTS_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(rand::random);
    println!("FAULTS_SEED={seed}");
    seed
}

#[track_caller]
fn assert_kept(outcome: Result<Outcome>) {
    assert_all_kept(outcome.map(|outcome| vec![outcome]));
}

#[track_caller]
fn assert_all_kept(outcomes: Result<Vec<Outcome>>) {
    let outcomes = outcomes.unwrap();
    let table = Table(&outcomes).to_string();
    println!("{table}");
    assert!(outcomes.iter().all(Outcome::is_good), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_killed_ten_times_stores_every_accepted_event_once() {
    assert_kept(crash::crash(&service_beside_this_program(), seed(), 10).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_dies_before_or_after_any_stage_stores_every_accepted_event_once() {
    assert_kept(crash::crash_points(&service_beside_this_program(), seed(), 1).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_told_to_stop_ends_in_time_and_loses_nothing() {
    assert_kept(shutdown::shutdown(&service_beside_this_program(), seed(), 1).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_killed_while_inserting_loses_and_doubles_nothing() {
    assert_kept(engine_kill::engine_kill(&service_beside_this_program(), seed(), 3).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_clickhouse_does_events_are_taken_until_the_spool_is_full_and_stored_once() {
    assert_all_kept(store_faults::store_faults(&service_beside_this_program(), seed(), Length::Short).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_times_more_than_the_store_takes_keeps_it_busy_and_the_rest_is_told() {
    assert_kept(overload::overload(&service_beside_this_program(), seed(), Length::Short).await);
}
