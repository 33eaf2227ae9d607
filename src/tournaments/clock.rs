//! What time does to tournaments: steps of the status, and reports that nobody answered.

use std::sync::Arc;
use std::time::Duration;

use mohaa_actors::tournament::{Failed, Intent, Mutation};
use mohaa_domain::tournament::{By, Command};
use rand::Rng as _;
use uuid::Uuid;

use super::Tournaments;
use super::store::time;

/// How late something may be.
const EVERY: Duration = Duration::from_secs(1);
/// Each look does so many; the rest a second later.
const MOST_AT_ONCE: i64 = 100;

impl Tournaments {
    /// Does what is due, for ever. Several nodes may: what one has done is not due any more for the others.
    pub async fn keep_time(self: Arc<Self>) {
        let mut was_told = false;
        loop {
            tokio::time::sleep(EVERY).await;
            match self.due().await {
                Ok(due) => {
                    was_told = false;
                    for tournament_id in due {
                        self.do_what_is_due(tournament_id).await;
                    }
                }
                Err(error) if !was_told => {
                    was_told = true;
                    tracing::warn!(%error, "what is due in tournaments can't be read");
                }
                Err(_) => {}
            }
        }
    }

    /// By `tournaments_by_deadline`.
    async fn due(&self) -> sqlx::Result<Vec<Uuid>> {
        sqlx::query_scalar(
            "SELECT id FROM tournaments WHERE next_deadline <= $1 ORDER BY next_deadline LIMIT $2",
        )
        .bind(time(self.clock.now().0))
        .bind(MOST_AT_ONCE)
        .fetch_all(self.pool())
        .await
    }

    async fn do_what_is_due(&self, tournament_id: Uuid) {
        let mutation = Mutation {
            intent: Intent::Apply(Command::Clock { random: rand::rng().next_u64() >> 11 }),
            by: By::Clock,
            expected: None,
            idempotency_key: None,
            is_dry_run: false,
        };
        match self.desk.mutate(tournament_id, mutation).await {
            Ok(_) | Err(Failed::Busy | Failed::Unknown) => {}
            Err(error) => tracing::warn!(%error, %tournament_id, "what is due in a tournament was not done"),
        }
    }
}
