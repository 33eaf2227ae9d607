//! When servers were last heard of: noted in memory with each of their calls and answers, written to PostgreSQL now and then.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::PgPool;
use uuid::Uuid;

const WRITE_EVERY: Duration = Duration::from_secs(10);

/// Cheap to clone; clones are one.
#[derive(Clone, Debug, Default)]
pub struct LastSeen {
    heard: Arc<Mutex<HashSet<Uuid>>>,
}

impl LastSeen {
    /// This server has called, or has answered a question.
    pub fn note(&self, server_id: Uuid) {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).insert(server_id);
    }

    /// Writes what was noted, for ever. What PostgreSQL does not take is noted anew with the servers' next calls.
    pub async fn keep(self, pool: PgPool) {
        loop {
            tokio::time::sleep(WRITE_EVERY).await;
            let heard = std::mem::take(&mut *self.heard.lock().unwrap_or_else(PoisonError::into_inner));
            if heard.is_empty() {
                continue;
            }
            let servers: Vec<Uuid> = heard.into_iter().collect();
            let written = sqlx::query("UPDATE servers SET last_seen_at = now() WHERE id = ANY($1)")
                .bind(servers)
                .execute(&pool)
                .await;
            if let Err(error) = written {
                tracing::debug!(%error, "when servers were last seen can't be written");
            }
        }
    }
}
