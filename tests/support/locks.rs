//! Races made certain: a test holds a lock that the service needs, and knows who waits for it.

use actix_web::rt::task::JoinHandle;
use sqlx::PgPool;

use super::eventually;

/// Statements of the service that wait for a lock now.
async fn waiting(pool: &PgPool) -> i64 {
    sqlx::query_scalar(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
    )
    .fetch_one(pool)
    .await
    .unwrap()
}

/// Comes back when so many statements wait for locks.
pub async fn until_waiting(pool: &PgPool, count: i64) {
    eventually("the service waits for a lock", async || (waiting(pool).await == count).then_some(())).await;
}

/// Comes back when this is done, or waits for a lock itself, as the last of so many.
pub async fn until_done_or_waiting<T>(pool: &PgPool, task: &JoinHandle<T>, count: i64) {
    eventually("it is done or waits", async || {
        (task.is_finished() || waiting(pool).await == count).then_some(())
    })
    .await;
}
