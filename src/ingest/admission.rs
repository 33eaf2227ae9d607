//! What requests and messages with events have in common: the way from a body that was read to events that are safe.

use std::sync::Arc;

use actix_web::http::StatusCode;
use mohaa_actors::accounting::RejectReason;
use mohaa_actors::batcher::IngestOutcome;
use mohaa_actors::idempotency::{BodyHash, IngestAnswer};
use mohaa_domain::event::Text;
use mohaa_domain::wire::{self, DecodeError, Decoded, Rejected};
use serde::Serialize;
use utoipa::ToSchema;

use super::Ingest;
use super::body::Body;
use super::submit::Submission;
use crate::http::ApiError;
use crate::servers::ServerIdentity;
use crate::tournaments::PresentedTokens;

/// At most so many errors are named in an answer.
const NAMED_ERRORS: usize = 20;

#[derive(Serialize, ToSchema)]
pub struct EventError {
    /// Place of the event in the request, from 0.
    pub index: usize,
    /// What is wrong with it.
    pub error: String,
}

/// What became of a body's events.
pub enum Taken {
    /// None could be read.
    Nothing {
        rejected: u32,
        errors: Vec<EventError>,
    },
    Ended(IngestOutcome),
}

impl Ingest {
    /// # Errors
    /// 413 `too_many_events`.
    pub fn decode(&self, bytes: &[u8]) -> Result<Decoded, ApiError> {
        wire::decode(bytes, wire::Limits { max_events: self.limits.max_events }).map_err(
            |DecodeError::TooManyEvents { limit }| {
                let message = format!("the request holds more than {limit} events; send fewer a request");
                ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_many_events", message)
            },
        )
    }
}

/// Takes the events of a body that a server sent, once its limits let them through.
///
/// # Errors
/// When they can't be taken now.
pub async fn take(
    ingest: Arc<Ingest>,
    server: ServerIdentity,
    decoded: Decoded,
    body: &Body,
    idempotency: Option<(Text, BodyHash)>,
) -> Result<Taken, ApiError> {
    ingest.metrics.count(&decoded);

    // What is lost of a damaged body is at least one event. The rest is taken: its sender will not send it again.
    let rejected = decoded.rejected.len() + usize::from(body.is_damaged);
    let ledger = &ingest.pipeline.ledger;
    if rejected > 0 {
        ledger.receive((), rejected as u64).reject(RejectReason::Unreadable);
    }
    let mut errors = named_errors(&decoded.rejected);
    if body.is_damaged && errors.len() < NAMED_ERRORS {
        let index = decoded.events.len() + decoded.rejected.len();
        errors.push(EventError { index, error: "the compressed body is damaged or cut short".to_owned() });
    }
    let rejected = rejected as u32;
    if decoded.events.is_empty() {
        return Ok(Taken::Nothing { rejected, errors });
    }
    let errors = match errors.is_empty() {
        true => Box::default(),
        false => serde_json::to_string(&errors).map_err(ApiError::internal)?.into(),
    };
    let answer = IngestAnswer { processed: decoded.events.len() as u32, rejected, errors };
    let (server_id, tokens) = (server.server_id, PresentedTokens::of(&decoded.events));
    let bytes = body.bytes.len() as u64;
    let submission = Submission { idempotency, answer, bytes, asks_for_matches: !tokens.is_empty() };
    if tokens.is_empty() {
        return Ok(Taken::Ended(ingest.submit(server, decoded.events, submission).await?.outcome));
    }
    // To its end, also if the server does not wait for the answer: its events are taken, and so is what they say.
    let hearing = actix_web::rt::spawn(async move {
        let submitted = ingest.submit(server, decoded.events, submission).await?;
        ingest.witness.hear_tokens(server_id, &tokens, &submitted.matches).await;
        Ok::<_, ApiError>(submitted.outcome)
    });
    Ok(Taken::Ended(hearing.await.map_err(ApiError::internal)??))
}

fn named_errors(rejected: &[Rejected]) -> Vec<EventError> {
    rejected
        .iter()
        .take(NAMED_ERRORS)
        .map(|rejected| EventError { index: rejected.index, error: rejected.reason.to_string() })
        .collect()
}
