//! What was sent, and sending it again.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::{FromRow, PgConnection, PgPool};
use utoipa::ToSchema;
use uuid::Uuid;

use super::WebhookError;
use super::outbox::CHANNEL;
use super::store;
use crate::auth::Identity;
use crate::http::query::Paging;
use crate::users::lock_caller;

/// The event of a message by which somebody sees whether a webhook works.
const TEST_EVENT: &str = "test";

#[derive(Debug, FromRow, Serialize, ToSchema)]
pub struct Delivery {
    /// As in `X-Mohaa-Delivery`: the same however often it is tried or replayed.
    #[sqlx(rename = "id")]
    pub delivery_id: Uuid,
    /// An event, or `test`.
    pub event: String,
    pub tournament_id: Option<Uuid>,
    pub at: DateTime<Utc>,
    #[schema(value_type = Object)]
    pub data: Value,
    /// `pending`, `delivered` or `given_up`.
    pub status: String,
    /// Since it was written, or replayed.
    pub attempts: i32,
    /// Of the last attempt; null where nobody answered.
    pub response_code: Option<i32>,
    /// Of the last attempt, in milliseconds.
    pub duration_ms: Option<i32>,
    /// Why the last attempt failed.
    pub error: Option<String>,
    pub created_at: DateTime<Utc>,
    /// Null for one that has ended.
    pub next_try_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct DeliveryList {
    pub page: u32,
    pub limit: u32,
    pub total: i64,
    pub deliveries: Vec<Delivery>,
}

/// Messages of a webhook, the latest first. By `webhook_deliveries_by_webhook`.
pub(super) async fn list(
    pool: &PgPool,
    caller: Identity,
    webhook_id: Uuid,
    status: Option<&str>,
    paging: Paging,
) -> Result<DeliveryList, WebhookError> {
    let mut connection = pool.acquire().await?;
    store::find(&mut connection, caller, webhook_id).await?;
    let deliveries = sqlx::query_as(
        "SELECT id, event, tournament_id, at, data, status, attempts, response_code, duration_ms, error, created_at,
                CASE WHEN status = 'pending' THEN next_try_at END AS next_try_at, ended_at
         FROM webhook_deliveries WHERE webhook_id = $1 AND ($2::text IS NULL OR status = $2)
         ORDER BY sequence DESC LIMIT $3 OFFSET $4",
    )
    .bind(webhook_id)
    .bind(status)
    .bind(i64::from(paging.limit))
    .bind(i64::try_from(paging.offset()).unwrap_or(i64::MAX))
    .fetch_all(&mut *connection)
    .await?;
    let total = sqlx::query_scalar(
        "SELECT count(*) FROM webhook_deliveries WHERE webhook_id = $1 AND ($2::text IS NULL OR status = $2)",
    )
    .bind(webhook_id)
    .bind(status)
    .fetch_one(&mut *connection)
    .await?;
    Ok(DeliveryList { page: paging.page, limit: paging.limit, total, deliveries })
}

/// By primary key.
async fn find(
    connection: &mut PgConnection,
    webhook_id: Uuid,
    delivery_id: Uuid,
) -> Result<Delivery, WebhookError> {
    let found = sqlx::query_as(
        "SELECT id, event, tournament_id, at, data, status, attempts, response_code, duration_ms, error, created_at,
                CASE WHEN status = 'pending' THEN next_try_at END AS next_try_at, ended_at
         FROM webhook_deliveries WHERE id = $1 AND webhook_id = $2",
    )
    .bind(delivery_id)
    .bind(webhook_id)
    .fetch_optional(connection)
    .await?;
    found.ok_or(WebhookError::UnknownDelivery)
}

/// Sends a message again that has ended, as if it were new, under its own id.
pub(super) async fn replay(
    pool: &PgPool,
    by: Identity,
    webhook_id: Uuid,
    delivery_id: Uuid,
) -> Result<Delivery, WebhookError> {
    let mut transaction = pool.begin().await?;
    lock_caller(&mut transaction, by).await?;
    let webhook = store::lock(&mut transaction, by, webhook_id).await?;
    let delivery = find(&mut transaction, webhook_id, delivery_id).await?;
    if !webhook.enabled {
        return Err(WebhookError::Disabled);
    }
    if delivery.status == "pending" {
        return Err(WebhookError::StillPending);
    }
    sqlx::query(
        "UPDATE webhook_deliveries SET status = 'pending', attempts = 0, next_try_at = now(), ended_at = NULL,
                response_code = NULL, duration_ms = NULL, error = NULL WHERE id = $1",
    )
    .bind(delivery_id)
    .execute(&mut *transaction)
    .await?;
    hurry(&mut transaction, webhook_id).await?;
    let delivery = find(&mut transaction, webhook_id, delivery_id).await?;
    transaction.commit().await?;
    Ok(delivery)
}

/// Sends a message that says only that the webhook works.
pub(super) async fn send_test(
    pool: &PgPool,
    by: Identity,
    webhook_id: Uuid,
) -> Result<Delivery, WebhookError> {
    let mut transaction = pool.begin().await?;
    lock_caller(&mut transaction, by).await?;
    let webhook = store::lock(&mut transaction, by, webhook_id).await?;
    if !webhook.enabled {
        return Err(WebhookError::Disabled);
    }
    let delivery_id = Uuid::new_v4();
    sqlx::query(
        "INSERT INTO webhook_deliveries (id, webhook_id, event, at, data) VALUES ($1, $2, $3, now(), $4)",
    )
    .bind(delivery_id)
    .bind(webhook_id)
    .bind(TEST_EVENT)
    .bind(json!({ "webhook_id": webhook_id, "name": webhook.name }))
    .execute(&mut *transaction)
    .await?;
    hurry(&mut transaction, webhook_id).await?;
    let delivery = find(&mut transaction, webhook_id, delivery_id).await?;
    transaction.commit().await?;
    Ok(delivery)
}

/// Somebody waits for it: the receiver is not left alone any longer.
async fn hurry(connection: &mut PgConnection, webhook_id: Uuid) -> sqlx::Result<()> {
    sqlx::query("UPDATE webhooks SET paused_until = NULL WHERE id = $1")
        .bind(webhook_id)
        .execute(&mut *connection)
        .await?;
    sqlx::query("SELECT pg_notify($1, '')").bind(CHANNEL).execute(connection).await?;
    Ok(())
}
