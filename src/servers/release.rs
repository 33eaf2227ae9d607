//! Sends on what is held of servers that were approved, and throws away what is held of those that were removed.

use std::collections::HashMap;
use std::time::Duration;

use mohaa_actors::pipeline::Pipeline;
use sqlx::PgPool;
use uuid::Uuid;

/// An admin who has approved a server sees its events a moment later.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Looks for ever. Every node does so for what it holds itself.
pub async fn release_held(pipeline: Pipeline, pool: PgPool) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let held = pipeline.held.servers_held();
        if held.is_empty() {
            continue;
        }
        match approvals(&pool, &held).await {
            Ok(approvals) => {
                for server_id in held {
                    decide(&pipeline, server_id, approvals.get(&server_id).copied()).await;
                }
            }
            Err(error) => tracing::warn!(%error, "whether servers were approved can't be read"),
        }
    }
}

async fn decide(pipeline: &Pipeline, server_id: Uuid, is_approved: Option<bool>) {
    let decided = match is_approved {
        Some(false) => return,
        Some(true) => pipeline.held.release(server_id, &pipeline.batcher).await.map(drop),
        None => pipeline.held.discard(server_id),
    };
    if let Err(error) = decided {
        tracing::error!(%error, %server_id, "held events can't be sent on or thrown away");
    }
}

/// Of servers that were not removed, whether they are approved. By primary key.
async fn approvals(pool: &PgPool, server_ids: &[Uuid]) -> sqlx::Result<HashMap<Uuid, bool>> {
    let rows: Vec<(Uuid, bool)> = sqlx::query_as(
        "SELECT id, approved_at IS NOT NULL FROM servers WHERE id = ANY($1) AND removed_at IS NULL",
    )
    .bind(server_ids)
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().collect())
}
