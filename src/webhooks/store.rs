//! Webhooks in PostgreSQL: made, changed, listed. Each change is one transaction with its entry in the audit log, which
//! holds neither address nor secret.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::{FromRow, PgConnection, PgPool};
use utoipa::ToSchema;
use uuid::Uuid;

use super::announcement::WebhookEvent;
use super::sealing::{SealedPart, Sealer, SigningSecret};
use super::target::TargetUrl;
use super::{MOST_WEBHOOKS_OF_USER, WebhookError};
use crate::audit::{self, By, Entry};
use crate::auth::Identity;
use crate::http::query::Paging;
use crate::users::{Role, lock_caller};

/// Why a message of a disabled webhook ended.
pub(super) const NEVER_SENT: &str = "the webhook was disabled before this was sent";

/// How messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WebhookKind {
    /// `{id, event, at, data}`, signed.
    Generic,
    /// As Discord's webhooks take them.
    Discord,
}

impl WebhookKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::Discord => "discord",
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no kind of webhook")]
pub struct UnknownKind(String);

impl TryFrom<String> for WebhookKind {
    type Error = UnknownKind;

    fn try_from(text: String) -> Result<Self, UnknownKind> {
        match text.as_str() {
            "generic" => Ok(Self::Generic),
            "discord" => Ok(Self::Discord),
            _ => Err(UnknownKind(text)),
        }
    }
}

/// A webhook, for its owner and admins.
#[derive(Debug, FromRow, Serialize, ToSchema)]
pub struct Webhook {
    #[sqlx(rename = "id")]
    pub webhook_id: Uuid,
    pub owner_id: i32,
    pub owner_name: String,
    #[sqlx(try_from = "String")]
    pub kind: WebhookKind,
    pub name: String,
    /// Without what opens it: the last part of the path, and the query.
    #[sqlx(rename = "shown_url")]
    #[schema(example = "https://discord.com/api/webhooks/123/…")]
    pub url: String,
    /// What it is told of.
    pub events: Vec<String>,
    /// Null: of every tournament that its owner runs.
    pub tournament_id: Option<Uuid>,
    pub enabled: bool,
    pub disabled_at: Option<DateTime<Utc>>,
    pub disabled_reason: Option<String>,
    /// Since when nothing has come through; null after a success.
    pub failing_since: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct WebhookList {
    pub page: u32,
    pub limit: u32,
    pub total: i64,
    pub webhooks: Vec<Webhook>,
}

/// What a new webhook is to be.
pub(super) struct NewWebhook {
    pub kind: WebhookKind,
    pub name: String,
    pub url: TargetUrl,
    pub events: Vec<WebhookEvent>,
    pub tournament_id: Option<Uuid>,
}

/// What is to be otherwise of a webhook.
pub(super) struct WebhookChange {
    pub name: Option<String>,
    pub url: Option<TargetUrl>,
    pub events: Option<Vec<WebhookEvent>>,
    pub tournament_id: Option<Option<Uuid>>,
    pub enabled: Option<bool>,
}

/// Whose webhooks a caller sees: an admin all, others their own.
fn seen_by(caller: Identity) -> Option<i32> {
    (caller.role != Role::Admin).then_some(caller.user_id)
}

fn words(events: &[WebhookEvent]) -> Vec<&'static str> {
    WebhookEvent::ALL.into_iter().filter(|event| events.contains(event)).map(WebhookEvent::as_str).collect()
}

/// Own webhooks, or all for an admin, the oldest first. By `webhooks_by_owner`.
pub(super) async fn list(
    pool: &PgPool,
    caller: Identity,
    paging: Paging,
) -> Result<WebhookList, WebhookError> {
    let webhooks = sqlx::query_as(
        "SELECT webhooks.id, owner_id, users.display_name AS owner_name, kind, name, shown_url, events, tournament_id,
                disabled_at IS NULL AS enabled, disabled_at, disabled_reason, failing_since, webhooks.created_at
         FROM webhooks JOIN users ON users.id = owner_id
         WHERE $1::integer IS NULL OR owner_id = $1
         ORDER BY webhooks.created_at, webhooks.id LIMIT $2 OFFSET $3",
    )
    .bind(seen_by(caller))
    .bind(i64::from(paging.limit))
    .bind(i64::try_from(paging.offset()).unwrap_or(i64::MAX))
    .fetch_all(pool)
    .await?;
    let total =
        sqlx::query_scalar("SELECT count(*) FROM webhooks WHERE $1::integer IS NULL OR owner_id = $1")
            .bind(seen_by(caller))
            .fetch_one(pool)
            .await?;
    Ok(WebhookList { page: paging.page, limit: paging.limit, total, webhooks })
}

/// All webhooks of a user. By `webhooks_by_owner`.
pub async fn webhooks_of(pool: &PgPool, owner_id: i32) -> sqlx::Result<Vec<Webhook>> {
    sqlx::query_as(
        "SELECT webhooks.id, owner_id, users.display_name AS owner_name, kind, name, shown_url, events, tournament_id,
                disabled_at IS NULL AS enabled, disabled_at, disabled_reason, failing_since, webhooks.created_at
         FROM webhooks JOIN users ON users.id = owner_id WHERE owner_id = $1
         ORDER BY webhooks.created_at, webhooks.id",
    )
    .bind(owner_id)
    .fetch_all(pool)
    .await
}

/// By primary key; somebody else's is none.
pub(super) async fn find(
    connection: &mut PgConnection,
    caller: Identity,
    webhook_id: Uuid,
) -> Result<Webhook, WebhookError> {
    let found = sqlx::query_as(
        "SELECT webhooks.id, owner_id, users.display_name AS owner_name, kind, name, shown_url, events, tournament_id,
                disabled_at IS NULL AS enabled, disabled_at, disabled_reason, failing_since, webhooks.created_at
         FROM webhooks JOIN users ON users.id = owner_id
         WHERE webhooks.id = $1 AND ($2::integer IS NULL OR owner_id = $2)",
    )
    .bind(webhook_id)
    .bind(seen_by(caller))
    .fetch_optional(connection)
    .await?;
    found.ok_or(WebhookError::Unknown)
}

/// Locks a webhook for a caller who is locked already. By primary key.
pub(super) async fn lock(
    connection: &mut PgConnection,
    caller: Identity,
    webhook_id: Uuid,
) -> Result<Webhook, WebhookError> {
    sqlx::query("SELECT FROM webhooks WHERE id = $1 FOR NO KEY UPDATE")
        .bind(webhook_id)
        .execute(&mut *connection)
        .await?;
    find(connection, caller, webhook_id).await
}

async fn log(
    connection: &mut PgConnection,
    by: i32,
    action: &str,
    webhook_id: Uuid,
    before: Option<Value>,
    after: Option<Value>,
) -> sqlx::Result<()> {
    let subject_id = webhook_id.to_string();
    let entry =
        Entry { by: By::User(by), action, subject_kind: "webhook", subject_id: &subject_id, before, after };
    audit::record(connection, entry).await
}

/// A webhook tells only of tournaments that its owner runs.
async fn require_tournament(
    connection: &mut PgConnection,
    owner_id: i32,
    tournament_id: Option<Uuid>,
) -> Result<(), WebhookError> {
    let Some(tournament_id) = tournament_id else { return Ok(()) };
    let runs_it: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM tournaments JOIN users ON users.id = $2
                        WHERE tournaments.id = $1 AND (users.role = 'admin' OR tournaments.owner_id = users.id OR EXISTS (
                            SELECT FROM tournament_staff AS staff
                            WHERE staff.tournament_id = $1 AND staff.user_id = $2 AND staff.role = 'organizer')))",
    )
    .bind(tournament_id)
    .bind(owner_id)
    .fetch_one(connection)
    .await?;
    if runs_it { Ok(()) } else { Err(WebhookError::UnknownTournament) }
}

/// Makes a webhook; with the secret that its messages are signed with, unless it is Discord's.
pub(super) async fn add(
    pool: &PgPool,
    sealer: &Sealer,
    by: Identity,
    new: &NewWebhook,
) -> Result<(Webhook, Option<SigningSecret>), WebhookError> {
    let webhook_id = Uuid::new_v4();
    let secret = (new.kind == WebhookKind::Generic).then(SigningSecret::random);
    let seal = |part, text: &str| sealer.seal(webhook_id, part, text).ok_or(WebhookError::Sealing);
    let url_sealed = seal(SealedPart::Url, new.url.expose())?;
    let secret_sealed =
        secret.as_ref().map(|secret| seal(SealedPart::Secret, secret.expose())).transpose()?;
    let mut transaction = pool.begin().await?;
    lock_caller(&mut transaction, by).await?;
    let has: i64 = sqlx::query_scalar("SELECT count(*) FROM webhooks WHERE owner_id = $1")
        .bind(by.user_id)
        .fetch_one(&mut *transaction)
        .await?;
    if has >= MOST_WEBHOOKS_OF_USER {
        return Err(WebhookError::TooMany);
    }
    require_tournament(&mut transaction, by.user_id, new.tournament_id).await?;
    let events = words(&new.events);
    sqlx::query(
        "INSERT INTO webhooks (id, owner_id, kind, name, url_sealed, shown_url, secret_sealed, events, tournament_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(webhook_id)
    .bind(by.user_id)
    .bind(new.kind.as_str())
    .bind(&new.name)
    .bind(url_sealed)
    .bind(new.url.shown())
    .bind(secret_sealed)
    .bind(&events)
    .bind(new.tournament_id)
    .execute(&mut *transaction)
    .await?;
    let after = json!({ "kind": new.kind, "events": events, "tournament_id": new.tournament_id });
    log(&mut transaction, by.user_id, "webhook.add", webhook_id, None, Some(after)).await?;
    let webhook = find(&mut transaction, by, webhook_id).await?;
    transaction.commit().await?;
    Ok((webhook, secret))
}

pub(super) async fn change(
    pool: &PgPool,
    sealer: &Sealer,
    by: Identity,
    webhook_id: Uuid,
    change: &WebhookChange,
) -> Result<Webhook, WebhookError> {
    let mut transaction = pool.begin().await?;
    lock_caller(&mut transaction, by).await?;
    let before = lock(&mut transaction, by, webhook_id).await?;
    if let Some(tournament_id) = change.tournament_id {
        require_tournament(&mut transaction, before.owner_id, tournament_id).await?;
    }
    sqlx::query(
        "UPDATE webhooks SET name = coalesce($2, name), events = coalesce($3, events),
                tournament_id = CASE WHEN $4 THEN $5 ELSE tournament_id END WHERE id = $1",
    )
    .bind(webhook_id)
    .bind(&change.name)
    .bind(change.events.as_deref().map(words))
    .bind(change.tournament_id.is_some())
    .bind(change.tournament_id.flatten())
    .execute(&mut *transaction)
    .await?;
    if let Some(url) = &change.url {
        let sealed = sealer.seal(webhook_id, SealedPart::Url, url.expose()).ok_or(WebhookError::Sealing)?;
        sqlx::query("UPDATE webhooks SET url_sealed = $2, shown_url = $3 WHERE id = $1")
            .bind(webhook_id)
            .bind(sealed)
            .bind(url.shown())
            .execute(&mut *transaction)
            .await?;
    }
    match change.enabled {
        Some(false) if before.enabled => {
            disable(&mut transaction, webhook_id, "switched off").await?;
        }
        Some(true) => {
            sqlx::query(
                "UPDATE webhooks SET disabled_at = NULL, disabled_reason = NULL, failing_since = NULL, failures = 0,
                        paused_until = NULL WHERE id = $1",
            )
            .bind(webhook_id)
            .execute(&mut *transaction)
            .await?;
        }
        _ => {}
    }
    let after = find(&mut transaction, by, webhook_id).await?;
    let told = |webhook: &Webhook| json!({ "events": webhook.events, "tournament_id": webhook.tournament_id, "enabled": webhook.enabled });
    let (told_before, mut told_after) = (told(&before), told(&after));
    told_after["address_changed"] = json!(change.url.is_some());
    log(&mut transaction, by.user_id, "webhook.change", webhook_id, Some(told_before), Some(told_after))
        .await?;
    transaction.commit().await?;
    Ok(after)
}

/// For a webhook that is locked. What waits for it is given up, and can be replayed when it is enabled again.
pub(super) async fn disable(connection: &mut PgConnection, webhook_id: Uuid, why: &str) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE webhooks SET disabled_at = now(), disabled_reason = $2 WHERE id = $1 AND disabled_at IS NULL",
    )
    .bind(webhook_id)
    .bind(why)
    .execute(&mut *connection)
    .await?;
    // By `webhook_deliveries_pending`.
    sqlx::query(
        "UPDATE webhook_deliveries SET status = 'given_up', ended_at = now(),
                error = coalesce(error, $2)
         WHERE webhook_id = $1 AND status = 'pending'",
    )
    .bind(webhook_id)
    .bind(NEVER_SENT)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn remove(pool: &PgPool, by: Identity, webhook_id: Uuid) -> Result<(), WebhookError> {
    let mut transaction = pool.begin().await?;
    lock_caller(&mut transaction, by).await?;
    let webhook = lock(&mut transaction, by, webhook_id).await?;
    sqlx::query("DELETE FROM webhooks WHERE id = $1").bind(webhook_id).execute(&mut *transaction).await?;
    let before = json!({ "kind": webhook.kind, "owner_id": webhook.owner_id });
    log(&mut transaction, by.user_id, "webhook.remove", webhook_id, Some(before), None).await?;
    transaction.commit().await?;
    Ok(())
}

/// Gives a webhook another secret; messages that are sent from here on are signed with it.
pub(super) async fn rotate_secret(
    pool: &PgPool,
    sealer: &Sealer,
    by: Identity,
    webhook_id: Uuid,
) -> Result<SigningSecret, WebhookError> {
    let secret = SigningSecret::random();
    let sealed = sealer.seal(webhook_id, SealedPart::Secret, secret.expose()).ok_or(WebhookError::Sealing)?;
    let mut transaction = pool.begin().await?;
    lock_caller(&mut transaction, by).await?;
    let webhook = lock(&mut transaction, by, webhook_id).await?;
    if webhook.kind == WebhookKind::Discord {
        return Err(WebhookError::NoSecret);
    }
    sqlx::query("UPDATE webhooks SET secret_sealed = $2 WHERE id = $1")
        .bind(webhook_id)
        .bind(sealed)
        .execute(&mut *transaction)
        .await?;
    log(&mut transaction, by.user_id, "webhook.rotate_secret", webhook_id, None, None).await?;
    transaction.commit().await?;
    Ok(secret)
}

/// Disables the webhooks of a user who is locked and may not have any now. By `webhooks_by_owner`, in the order of ids.
pub async fn disable_all_of(connection: &mut PgConnection, owner_id: i32, why: &str) -> sqlx::Result<()> {
    for webhook_id in lock_all_of(connection, owner_id).await? {
        disable(connection, webhook_id, why).await?;
    }
    Ok(())
}

/// Removes the webhooks of a user who is locked and leaves, with what was sent.
pub async fn remove_all_of(connection: &mut PgConnection, owner_id: i32) -> sqlx::Result<()> {
    let ids = lock_all_of(connection, owner_id).await?;
    sqlx::query("DELETE FROM webhooks WHERE id = ANY($1)").bind(ids).execute(connection).await?;
    Ok(())
}

async fn lock_all_of(connection: &mut PgConnection, owner_id: i32) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar("SELECT id FROM webhooks WHERE owner_id = $1 ORDER BY id FOR NO KEY UPDATE")
        .bind(owner_id)
        .fetch_all(connection)
        .await
}
