//! One attempt to send one message.

use std::error::Error as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{StatusCode, redirect};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::discord;
use super::sealing::{SigningSecret, signature_of};
use super::target::TargetUrl;
use crate::http::outgoing;
use crate::networks::{AllowedNetworks, LookupError};

/// A receiver that asks for more is asked again all the same.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3_600);
const LONGEST_CONNECT: Duration = Duration::from_secs(5);

/// What is sent to whom.
pub(super) struct Message {
    pub delivery_id: Uuid,
    pub url: TargetUrl,
    pub event: String,
    pub form: MessageForm,
    pub at: DateTime<Utc>,
    pub data: Value,
}

pub(super) enum MessageForm {
    Signed(SigningSecret),
    Discord,
}

/// A body as receivers of the kind `generic` get it.
#[derive(Serialize)]
struct GenericBody<'a> {
    id: Uuid,
    event: &'a str,
    at: DateTime<Utc>,
    data: &'a Value,
}

/// How an attempt went.
#[derive(Debug)]
pub(super) struct Attempt {
    pub response_code: Option<u16>,
    pub took: Duration,
    pub failure: Option<Failure>,
}

/// Why a message did not come through. What it says is shown to the webhook's owner: nothing about what stands where
/// nothing is sent.
#[derive(Debug)]
pub(super) struct Failure {
    pub reason: String,
    pub retry_after: Option<Duration>,
    /// It never will come through: the receiver says so, or nobody knows any more where it is.
    pub is_final: bool,
}

impl Failure {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), retry_after: None, is_final: false }
    }

    pub(super) fn last(reason: impl Into<String>) -> Self {
        Self { is_final: true, ..Self::new(reason) }
    }
}

/// Sends to addresses that are allowed, follows nobody elsewhere, waits for nobody long, and reads nothing but an answer's
/// head.
#[derive(Clone)]
pub(super) struct Courier {
    http: reqwest::Client,
    networks: AllowedNetworks,
    timeout: Duration,
}

impl Courier {
    pub(super) fn new(networks: AllowedNetworks, timeout: Duration) -> Result<Self, outgoing::ClientError> {
        let http = reqwest::Client::builder()
            .timeout(timeout)
            .connect_timeout(LONGEST_CONNECT.min(timeout))
            .redirect(redirect::Policy::none())
            // A proxy would resolve names by itself.
            .no_proxy()
            .dns_resolver(Arc::new(networks.clone()))
            .pool_max_idle_per_host(0)
            .tls_backend_preconfigured(outgoing::tls()?)
            .user_agent(concat!("mohaa-stats-webhooks/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { http, networks, timeout })
    }

    pub(super) async fn send(&self, message: &Message) -> Attempt {
        let began = Instant::now();
        let (response_code, failure) = match self.answer_to(message).await {
            Ok((status, retry_after)) => (Some(status.as_u16()), judge(status, retry_after)),
            Err(failure) => (None, Some(failure)),
        };
        Attempt { response_code, took: began.elapsed(), failure }
    }

    async fn answer_to(&self, message: &Message) -> Result<(StatusCode, Option<Duration>), Failure> {
        // What stands there as an address is connected to without asking the resolver.
        message.url.check_literal(&self.networks).map_err(|error| Failure::new(error.to_string()))?;
        let Message { delivery_id, event, at, data, .. } = message;
        let body = match &message.form {
            MessageForm::Discord => serde_json::to_vec(&discord::message(event, *at, data)),
            MessageForm::Signed(_) => {
                serde_json::to_vec(&GenericBody { id: *delivery_id, event, at: *at, data })
            }
        };
        let body = body.map_err(|_| Failure::last("the message can't be written"))?;
        let timestamp = Utc::now().timestamp();
        let mut request = self
            .http
            .post(message.url.expose())
            .header(CONTENT_TYPE, "application/json")
            .header("X-Mohaa-Event", event.as_str())
            .header("X-Mohaa-Delivery", delivery_id.to_string())
            .header("X-Mohaa-Timestamp", timestamp);
        if let MessageForm::Signed(secret) = &message.form {
            request = request.header("X-Mohaa-Signature", signature_of(secret.expose(), timestamp, &body));
        }
        let response = request.body(body).send().await.map_err(|error| self.why(&error))?;
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse::<f64>().ok())
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .map(|pause| pause.min(LONGEST_RETRY_AFTER));
        Ok((response.status(), retry_after))
    }

    /// In words that tell neither the address nor what stands there.
    fn why(&self, error: &reqwest::Error) -> Failure {
        if error.is_timeout() {
            return Failure::new(format!("no answer within {} s", self.timeout.as_secs_f64()));
        }
        let mut cause = error.source();
        while let Some(inner) = cause {
            if let Some(lookup) = inner.downcast_ref::<LookupError>() {
                return Failure::new(lookup.to_string());
            }
            cause = inner.source();
        }
        Failure::new(match error.is_connect() {
            true => "can't be connected to",
            false => "the connection ended without an answer",
        })
    }
}

fn judge(status: StatusCode, retry_after: Option<Duration>) -> Option<Failure> {
    match status {
        status if status.is_success() => None,
        StatusCode::GONE => Some(Failure::last("the receiver answered 410: it is gone for good")),
        status if status.is_redirection() => {
            Some(Failure::new(format!("answered {}: nobody is followed elsewhere", status.as_u16())))
        }
        status => Some(Failure { retry_after, ..Failure::new(format!("answered {}", status.as_u16())) }),
    }
}
