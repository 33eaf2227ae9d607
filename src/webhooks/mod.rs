//! Webhooks: addresses of organizers that are told of what happens, signed or as Discord takes it.
//!
//! [`announce`] writes one row for each webhook that is to hear of something into the outbox, in the caller's own transaction:
//! what is rolled back is told to nobody, and what is committed is told at least once. An actor of each node
//! ([`mohaa_actors::webhooks`]) claims what is due, one message of a webhook at a time ([`outbox`]), and sends it
//! ([`sending`]) to addresses that were checked as it connects ([`crate::networks`]).

mod announcement;
mod deliveries;
mod discord;
mod handlers;
mod outbox;
mod sealing;
mod sending;
mod store;
mod target;

pub use announcement::{Announcement, WebhookEvent, announce, announce_all};
pub use handlers::{QUERY_SHAPES, WebhookSettings, WebhooksApi, routes};
pub use outbox::{OutboxError, WebhookOutbox, WebhookSending};
pub use sealing::{Sealer, SigningSecret, signature_of};
pub use store::{Webhook, disable_all_of, remove_all_of, webhooks_of};

use crate::http::ApiError;
use crate::postgres;
use crate::users::CallerError;

/// Nobody needs more, and each event is written once for each.
const MOST_WEBHOOKS_OF_USER: i64 = 20;

/// Why a webhook is not changed or read.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    #[error("there is no such webhook")]
    Unknown,
    #[error("there is no such delivery of this webhook")]
    UnknownDelivery,
    #[error("there is no such tournament that you run")]
    UnknownTournament,
    #[error("a user has {MOST_WEBHOOKS_OF_USER} webhooks at most")]
    TooMany,
    #[error("the webhook is disabled: enable it first")]
    Disabled,
    #[error("this message is still being tried")]
    StillPending,
    #[error("messages to Discord are not signed: there is no secret")]
    NoSecret,
    #[error("a secret can't be sealed")]
    Sealing,
    #[error(transparent)]
    Caller(#[from] CallerError),
    #[error("webhooks can't be read or changed: {0}")]
    Store(#[from] sqlx::Error),
}

impl From<WebhookError> for ApiError {
    fn from(error: WebhookError) -> Self {
        let message = error.to_string();
        match error {
            WebhookError::Unknown => Self::not_found("unknown_webhook", message),
            WebhookError::UnknownDelivery => Self::not_found("unknown_delivery", message),
            WebhookError::UnknownTournament => Self::invalid_field("tournament_id", message),
            WebhookError::TooMany => Self::conflict("too_many_webhooks", message),
            WebhookError::Disabled => Self::conflict("webhook_disabled", message),
            WebhookError::StillPending => Self::conflict("delivery_pending", message),
            WebhookError::NoSecret => Self::conflict("no_secret", message),
            WebhookError::Sealing => Self::internal(message),
            WebhookError::Caller(error) => error.into(),
            WebhookError::Store(cause) => webhooks_unavailable(cause),
        }
    }
}

/// While PostgreSQL can't be asked.
fn webhooks_unavailable(cause: sqlx::Error) -> ApiError {
    let message = "webhooks can't be read or changed at the moment: try again";
    postgres::unanswered("webhooks_unavailable", message, cause)
}
