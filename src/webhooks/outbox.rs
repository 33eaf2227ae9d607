//! The outbox: what is due is claimed by one node, tried, and tried again.
//!
//! A claim is a lock on the webhook's row while it is made, and a lease afterwards: a node that ends in the middle of an
//! attempt loses it after a minute, and the message is tried again, by whichever node looks. So a message comes at least
//! once, and messages of one webhook are sent one after the other, in the order in which they were written but for
//! those that wait for another try.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use mohaa_actors::clock::Clock;
use mohaa_actors::pipeline::Pipeline;
use mohaa_actors::port::{Port, Post};
use mohaa_actors::supervision::RestartBudget;
use mohaa_actors::webhooks::{
    ClaimedDelivery, Claims, MAILBOX, Outbox, WAKE_WEIGHT, Wake, WebhookSender, WebhookSenderEstate,
    WebhookSignal,
};
use prometheus::{Histogram, HistogramOpts, IntCounterVec, IntGauge, Opts, Registry};
use serde_json::Value;
use sqlx::{FromRow, PgPool};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::sealing::{SealedPart, Sealer, SigningSecret};
use super::sending::{Attempt, Courier, Failure, Message, MessageForm};
use super::store::{NEVER_SENT, WebhookKind, disable};
use super::target::TargetUrl;
use crate::http::outgoing::ClientError;
use crate::networks::AllowedNetworks;
use crate::postgres::watch;

/// Of the trigger in `migrations/0026_webhooks.sql`.
pub(super) const CHANNEL: &str = "webhook_deliveries";
/// Tries of one message before it is given up; with the pauses between them they take about a day.
pub(super) const MOST_ATTEMPTS: i32 = 8;
/// Between the first try and the second; four times as long before each further one: 16 s, 1 min, 4 min, 17 min, 1 h, 5 h,
/// 18 h, each a fifth more or less.
const FIRST_PAUSE: Duration = Duration::from_secs(16);
const PAUSE_GROWS_BY: u32 = 4;
/// A receiver that failed is left alone for a second, twice as long after each further failure in a row, for all messages.
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(300);
/// A webhook to which nothing has come through for so long is disabled.
const DISABLED_AFTER: &str = "3 days";
/// Longer than any attempt takes.
const LEASE: Duration = Duration::from_secs(90);
/// How an attempt went is written down, or else it is made again.
const TRIES_TO_WRITE: u32 = 3;
const PATIENCE: Duration = Duration::from_secs(10);
const TIDY_EVERY: Duration = Duration::from_secs(3_600);
/// How long the log is kept.
const KEPT_FOR: &str = "30 days";
const MOST_REMOVED_AT_ONCE: i64 = 5_000;

#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
}

/// What waits to be sent, in PostgreSQL. Cheap to clone.
#[derive(Clone)]
pub struct WebhookOutbox {
    postgres: PgPool,
    sealer: Sealer,
    courier: Courier,
    metrics: Metrics,
    is_resealed: Arc<AtomicBool>,
    tidied_at: Arc<Mutex<Option<Instant>>>,
}

#[derive(Clone)]
struct Metrics {
    attempts: IntCounterVec,
    attempt_seconds: Histogram,
    pending: IntGauge,
    disabled: IntCounterVec,
}

impl Metrics {
    fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let attempts = IntCounterVec::new(
            Opts::new(
                "mohaa_webhook_attempts_total",
                "Attempts to send a message to a webhook, by its kind and how they ended.",
            ),
            &["kind", "outcome"],
        )?;
        let disabled = IntCounterVec::new(
            Opts::new(
                "mohaa_webhooks_disabled_total",
                "Webhooks that were disabled because nothing came through.",
            ),
            &["kind"],
        )?;
        for kind in [WebhookKind::Generic, WebhookKind::Discord] {
            disabled.with_label_values(&[kind.as_str()]);
            for outcome in ["delivered", "failed", "given_up"] {
                attempts.with_label_values(&[kind.as_str(), outcome]);
            }
        }
        let attempt_seconds = Histogram::with_opts(
            HistogramOpts::new(
                "mohaa_webhook_attempt_seconds",
                "Time until a receiver answered, or was given up.",
            )
            .buckets(vec![0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0]),
        )?;
        let pending = IntGauge::new(
            "mohaa_webhook_deliveries_pending",
            "Messages to webhooks that are not sent yet, when this process last looked.",
        )?;
        registry.register(Box::new(attempts.clone()))?;
        registry.register(Box::new(disabled.clone()))?;
        registry.register(Box::new(attempt_seconds.clone()))?;
        registry.register(Box::new(pending.clone()))?;
        Ok(Self { attempts, attempt_seconds, pending, disabled })
    }
}

#[derive(FromRow)]
struct DueDelivery {
    id: Uuid,
    webhook_id: Uuid,
    #[sqlx(try_from = "String")]
    kind: WebhookKind,
    url_sealed: Vec<u8>,
    secret_sealed: Option<Vec<u8>>,
    event: String,
    at: DateTime<Utc>,
    data: Value,
    /// Counting the one that is made now.
    attempts: i32,
}

impl Outbox for WebhookOutbox {
    fn claim(&self, most: usize) -> BoxFuture<'static, Result<Claims, String>> {
        let outbox = self.clone();
        async move {
            let looked = async {
                outbox.reseal_once().await?;
                outbox.tidy().await?;
                outbox.claim_due(i64::try_from(most).unwrap_or(i64::MAX)).await
            };
            match tokio::time::timeout(PATIENCE, looked).await {
                Ok(Ok(claims)) => Ok(claims),
                Ok(Err(error)) => {
                    tracing::warn!(%error, "messages to webhooks can't be looked for yet");
                    Err(error.to_string())
                }
                Err(_) => Err("PostgreSQL does not answer".to_owned()),
            }
        }
        .boxed()
    }
}

impl WebhookOutbox {
    /// # Errors
    /// When `registry` already holds metrics of these names, or TLS can't be set up.
    pub fn new(
        postgres: PgPool,
        sealer: Sealer,
        networks: AllowedNetworks,
        timeout: Duration,
        registry: &Registry,
    ) -> Result<Self, OutboxError> {
        Ok(Self {
            postgres,
            sealer,
            courier: Courier::new(networks, timeout)?,
            metrics: Metrics::new(registry)?,
            is_resealed: Arc::default(),
            tidied_at: Arc::default(),
        })
    }

    async fn claim_due(&self, most: i64) -> sqlx::Result<Claims> {
        let claim = Uuid::new_v4();
        let mut transaction = self.postgres.begin().await?;
        // Written by a transaction that did not see yet that the webhook was disabled.
        sqlx::query(
            "UPDATE webhook_deliveries SET status = 'given_up', ended_at = now(), error = $1
             FROM webhooks WHERE webhooks.id = webhook_id AND disabled_at IS NOT NULL AND status = 'pending'",
        )
        .bind(NEVER_SENT)
        .execute(&mut *transaction)
        .await?;
        // By `webhook_deliveries_pending`. Whoever else looks at this moment passes over these.
        let locked: Vec<Uuid> = sqlx::query_scalar(
            "SELECT id FROM webhooks
             WHERE disabled_at IS NULL AND coalesce(claimed_until <= now(), true)
               AND coalesce(paused_until <= now(), true)
               AND EXISTS (SELECT FROM webhook_deliveries WHERE webhook_id = webhooks.id AND status = 'pending'
                           AND next_try_at <= now())
             ORDER BY last_tried_at NULLS FIRST LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED",
        )
        .bind(most)
        .fetch_all(&mut *transaction)
        .await?;
        // A statement of its own sees what was written down before the locks were had.
        let due: Vec<DueDelivery> = sqlx::query_as(
            "WITH first AS (
                 SELECT DISTINCT ON (webhook_id) id, webhook_id FROM webhook_deliveries
                 WHERE webhook_id = ANY($1) AND status = 'pending' AND next_try_at <= now()
                 ORDER BY webhook_id, sequence),
             claimed AS (
                 UPDATE webhooks SET claim = $2, claimed_until = now() + make_interval(secs => $3),
                        last_tried_at = now()
                 FROM first WHERE webhooks.id = first.webhook_id
                 RETURNING webhooks.id, kind, url_sealed, secret_sealed)
             UPDATE webhook_deliveries AS delivery SET attempts = attempts + 1
             FROM first JOIN claimed ON claimed.id = first.webhook_id WHERE delivery.id = first.id
             RETURNING delivery.id, delivery.webhook_id, kind, url_sealed, secret_sealed, event, at, data, attempts",
        )
        .bind(&locked)
        .bind(claim)
        .bind(LEASE.as_secs_f64())
        .fetch_all(&mut *transaction)
        .await?;
        let (pending, next_due): (i64, Option<f64>) = sqlx::query_as(
            "SELECT count(*), extract(epoch FROM min(greatest(next_try_at, paused_until, claimed_until)) - now())::float8
             FROM webhook_deliveries JOIN webhooks ON webhooks.id = webhook_id
             WHERE status = 'pending' AND disabled_at IS NULL",
        )
        .fetch_one(&mut *transaction)
        .await?;
        transaction.commit().await?;
        self.metrics.pending.set(pending);
        let deliveries = due.into_iter().map(|delivery| self.clone().attempt(claim, delivery)).collect();
        let next_due = next_due.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default());
        Ok(Claims { deliveries, next_due })
    }

    fn attempt(self, claim: Uuid, delivery: DueDelivery) -> ClaimedDelivery {
        let delivery_id = delivery.id;
        let attempt = async move {
            let (webhook_id, kind, attempts) = (delivery.webhook_id, delivery.kind, delivery.attempts);
            let attempt = match self.open(delivery) {
                Some(message) => self.courier.send(&message).await,
                None => Attempt {
                    response_code: None,
                    took: Duration::ZERO,
                    failure: Some(Failure::last(
                        "the address or secret was sealed with another JWT_SECRET: set both again",
                    )),
                },
            };
            self.metrics.attempt_seconds.observe(attempt.took.as_secs_f64());
            let ended = Ended { claim, webhook_id, delivery_id, kind, attempts, attempt };
            for _ in 0..TRIES_TO_WRITE {
                match tokio::time::timeout(PATIENCE, self.write_down(&ended)).await {
                    Ok(Ok(())) => return,
                    Ok(Err(error)) => {
                        tracing::warn!(%error, %delivery_id, "how a message to a webhook ended can't be written down");
                    }
                    Err(_) => {
                        tracing::warn!(%delivery_id, "PostgreSQL takes too long to hear how a message ended")
                    }
                }
                tokio::time::sleep(FIRST_REST).await;
            }
        };
        ClaimedDelivery { delivery_id, attempt: attempt.boxed() }
    }

    fn open(&self, delivery: DueDelivery) -> Option<Message> {
        let DueDelivery { id, webhook_id, kind, url_sealed, secret_sealed, event, at, data, .. } = delivery;
        let url = self.sealer.open(webhook_id, SealedPart::Url, &url_sealed)?.text;
        let form = match kind {
            WebhookKind::Discord => MessageForm::Discord,
            WebhookKind::Generic => {
                let secret = self.sealer.open(webhook_id, SealedPart::Secret, &secret_sealed?)?;
                MessageForm::Signed(SigningSecret::kept(secret.text))
            }
        };
        Some(Message { delivery_id: id, url: TargetUrl::kept(&url)?, event, form, at, data })
    }

    /// Nothing where the claim was lost: somebody else tries, or nobody is to any more.
    async fn write_down(&self, ended: &Ended) -> sqlx::Result<()> {
        let Ended { claim, webhook_id, delivery_id, kind, attempts, attempt } = ended;
        let mut transaction = self.postgres.begin().await?;
        let had: Option<(i32, bool)> = sqlx::query_as(
            "SELECT failures, coalesce(failing_since < now() - $3::text::interval, false) FROM webhooks
             WHERE id = $1 AND claim = $2 FOR NO KEY UPDATE",
        )
        .bind(webhook_id)
        .bind(claim)
        .bind(DISABLED_AFTER)
        .fetch_optional(&mut *transaction)
        .await?;
        let Some((failures, has_failed_for_long)) = had else { return Ok(()) };
        let is_over = attempt.failure.as_ref().is_some_and(|failure| failure.is_final);
        let (status, pause) = match &attempt.failure {
            None => ("delivered", Duration::ZERO),
            Some(_) if is_over || *attempts >= MOST_ATTEMPTS => ("given_up", Duration::ZERO),
            Some(failure) => ("pending", pause_after(*attempts).max(failure.retry_after.unwrap_or_default())),
        };
        sqlx::query(
            "UPDATE webhook_deliveries SET status = $2, response_code = $3, duration_ms = $4, error = $5,
                    next_try_at = now() + make_interval(secs => $6),
                    ended_at = CASE WHEN $2 <> 'pending' THEN now() END
             WHERE id = $1 AND status = 'pending'",
        )
        .bind(delivery_id)
        .bind(status)
        .bind(attempt.response_code.map(i32::from))
        .bind(i32::try_from(attempt.took.as_millis()).unwrap_or(i32::MAX))
        .bind(attempt.failure.as_ref().map(|failure| failure.reason.as_str()))
        .bind(pause.as_secs_f64())
        .execute(&mut *transaction)
        .await?;
        let outcome = match &attempt.failure {
            None => {
                sqlx::query(
                    "UPDATE webhooks SET claim = NULL, claimed_until = NULL, paused_until = NULL, failures = 0,
                            failing_since = NULL WHERE id = $1",
                )
                .bind(webhook_id)
                .execute(&mut *transaction)
                .await?;
                "delivered"
            }
            Some(failure) => {
                let rest = rest_after(failures).max(failure.retry_after.unwrap_or_default());
                sqlx::query(
                    "UPDATE webhooks SET claim = NULL, claimed_until = NULL, failures = failures + 1,
                            failing_since = coalesce(failing_since, now()),
                            paused_until = now() + make_interval(secs => $2) WHERE id = $1",
                )
                .bind(webhook_id)
                .bind(rest.as_secs_f64())
                .execute(&mut *transaction)
                .await?;
                if is_over || has_failed_for_long {
                    let why = match is_over {
                        true => failure.reason.clone(),
                        false => format!("nothing has come through for {DISABLED_AFTER}: {}", failure.reason),
                    };
                    disable(&mut transaction, *webhook_id, &why).await?;
                    self.metrics.disabled.with_label_values(&[kind.as_str()]).inc();
                    tracing::warn!(%webhook_id, reason = failure.reason, "a webhook was disabled");
                }
                if status == "given_up" { "given_up" } else { "failed" }
            }
        };
        transaction.commit().await?;
        self.metrics.attempts.with_label_values(&[kind.as_str(), outcome]).inc();
        Ok(())
    }

    /// Seals anew what the key before this one has sealed; once in a process, as keys change with a start.
    async fn reseal_once(&self) -> sqlx::Result<()> {
        if self.is_resealed.load(Ordering::Acquire) {
            return Ok(());
        }
        let kept: Vec<(Uuid, Vec<u8>, Option<Vec<u8>>)> =
            sqlx::query_as("SELECT id, url_sealed, secret_sealed FROM webhooks ORDER BY id")
                .fetch_all(&self.postgres)
                .await?;
        for (webhook_id, url, secret) in kept {
            let reseal = |part, sealed: &[u8]| {
                let opened =
                    self.sealer.open(webhook_id, part, sealed).filter(|opened| opened.is_by_previous)?;
                self.sealer.seal(webhook_id, part, &opened.text)
            };
            let new_url = reseal(SealedPart::Url, &url);
            let new_secret = secret.as_deref().and_then(|secret| reseal(SealedPart::Secret, secret));
            if new_url.is_none() && new_secret.is_none() {
                continue;
            }
            // Unless somebody has set another one meanwhile.
            sqlx::query(
                "UPDATE webhooks SET url_sealed = coalesce($3, url_sealed), secret_sealed = coalesce($5, secret_sealed)
                 WHERE id = $1 AND url_sealed = $2 AND secret_sealed IS NOT DISTINCT FROM $4",
            )
            .bind(webhook_id)
            .bind(&url)
            .bind(new_url)
            .bind(&secret)
            .bind(new_secret)
            .execute(&self.postgres)
            .await?;
        }
        self.is_resealed.store(true, Ordering::Release);
        Ok(())
    }

    /// Removes what is old, once in an hour. By `webhook_deliveries_by_age`.
    async fn tidy(&self) -> sqlx::Result<()> {
        let is_due = {
            let mut tidied_at = self.tidied_at.lock().unwrap_or_else(PoisonError::into_inner);
            let is_due = tidied_at.is_none_or(|at| at.elapsed() >= TIDY_EVERY);
            if is_due {
                *tidied_at = Some(Instant::now());
            }
            is_due
        };
        if !is_due {
            return Ok(());
        }
        loop {
            let removed = sqlx::query(
                "DELETE FROM webhook_deliveries WHERE id IN (
                     SELECT id FROM webhook_deliveries WHERE created_at < now() - $1::text::interval
                     ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
            )
            .bind(KEPT_FOR)
            .bind(MOST_REMOVED_AT_ONCE)
            .execute(&self.postgres)
            .await?;
            if removed.rows_affected() < MOST_REMOVED_AT_ONCE as u64 {
                return Ok(());
            }
        }
    }
}

/// An attempt that was made.
struct Ended {
    claim: Uuid,
    webhook_id: Uuid,
    delivery_id: Uuid,
    kind: WebhookKind,
    attempts: i32,
    attempt: Attempt,
}

/// Until a message is tried again that was tried so often.
fn pause_after(attempts: i32) -> Duration {
    let exponent = u32::try_from(attempts - 1).unwrap_or(0).min(MOST_ATTEMPTS as u32);
    (FIRST_PAUSE * PAUSE_GROWS_BY.pow(exponent)).mul_f64(rand::random_range(0.8..1.2))
}

/// Until anything is sent again to a receiver that had failed so often before it failed now.
fn rest_after(failures: i32) -> Duration {
    let exponent = u32::try_from(failures).unwrap_or(0).min(16);
    LONGEST_REST.min(FIRST_REST * 2_u32.pow(exponent))
}

/// The actor that sends. Cheap to clone.
#[derive(Clone)]
pub struct WebhookSending {
    sender: Port<WebhookSender>,
}

impl WebhookSending {
    pub fn start(outbox: WebhookOutbox, pipeline: &Pipeline, clock: Clock) -> Self {
        let post = Post {
            arbiter: &pipeline.actors.thread(),
            name: "0".to_owned(),
            capacity: MAILBOX,
            budget: RestartBudget::default(),
            clock: clock.clone(),
            metrics: pipeline.mailbox_metrics.of_kind("webhook_sender"),
            directory: &pipeline.actors,
        };
        let estate = WebhookSenderEstate::new(Arc::new(outbox), clock);
        Self { sender: Port::start(post, estate, |port, estate| WebhookSender::new(estate, port.clone())) }
    }

    /// Wakes the actor whenever something is written, by whichever node, for ever.
    pub async fn watch(self, postgres: PgPool) {
        let _watcher = watch::start("messages to webhooks", move |progress| {
            let (postgres, sender) = (postgres.clone(), self.sender.clone());
            async move {
                let mut listener = watch::listen(&postgres, CHANNEL).await?;
                loop {
                    // Else it holds a look that has yet to begin. Nobody else wakes it.
                    if sender.depth() == 0 {
                        let _ = sender.offer(Wake, WAKE_WEIGHT);
                    }
                    progress.watching();
                    listener.next().await?;
                }
            }
        })
        .await;
        std::future::pending().await
    }

    /// Claims nothing more and waits for what is on its way, or for as long as `patience` lasts: what does not end by then
    /// is sent again.
    pub async fn stop(self, patience: Duration) {
        let (stopped, done) = oneshot::channel();
        self.sender.tell(WebhookSignal::Stop(stopped));
        if tokio::time::timeout(patience, done).await.is_err() {
            tracing::warn!("messages to webhooks are on their way; they are sent again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tries_of_a_message_take_about_a_day() {
        for _ in 0..100 {
            let all: Duration = (1..MOST_ATTEMPTS).map(pause_after).sum();
            assert!((18..=30).contains(&(all.as_secs() / 3_600)), "{all:?}");
            assert!((12..=20).contains(&pause_after(1).as_secs()));
        }
    }

    #[test]
    fn a_receiver_that_fails_is_left_alone_for_longer_and_longer() {
        let rests: Vec<u64> = (0..12).map(|failures| rest_after(failures).as_secs()).collect();
        assert_eq!(rests, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        assert_eq!(rest_after(i32::MAX), LONGEST_REST);
    }
}
