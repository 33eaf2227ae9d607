//! Events on their way to the Batcher, and the words for what becomes of them.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use actix_web::web::block;
use mohaa_actors::accounting::RejectReason;
use mohaa_actors::batcher::{IngestOutcome, IngestRequest};
use mohaa_actors::held::HeldRequest;
use mohaa_actors::idempotency::{BodyHash, IngestAnswer};
use mohaa_actors::port::{Refusal, Weight};
use mohaa_domain::event::{Event, Millis, Text};
use mohaa_domain::tracker::BotName;
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::Ingest;
use crate::http::ApiError;
use crate::servers::ServerIdentity;

const LONGEST_KEY: usize = 64;

/// What goes with the events of a request.
pub(super) struct Submission {
    pub(super) idempotency: Option<(Text, BodyHash)>,
    /// What the sender is told.
    pub(super) answer: IngestAnswer,
    /// Of the request.
    pub(super) bytes: u64,
    /// Whether it is asked which match each of the events is of.
    pub(super) asks_for_matches: bool,
}

/// What became of events.
pub(super) struct Submitted {
    pub(super) outcome: IngestOutcome,
    /// Of each event, where that was asked and the events were stamped now; nil for one that is of no match.
    pub(super) matches: Vec<Uuid>,
}

/// Who sends events, and when they came.
pub(super) struct Sender {
    pub(super) server_id: Uuid,
    pub(super) approved: bool,
    /// None where they are not known, and what is known is to stay.
    pub(super) bot_names: Option<Arc<[BotName]>>,
    pub(super) received_at: Millis,
}

impl Ingest {
    /// Offers a server's events to the Batcher, or holds them until the server is approved.
    ///
    /// # Errors
    /// When they can't be taken now.
    pub(super) async fn submit(
        &self,
        server: ServerIdentity,
        events: Vec<Event>,
        submission: Submission,
    ) -> Result<Submitted, ApiError> {
        let sender = Sender {
            server_id: server.server_id,
            approved: server.approved,
            bot_names: Some(server.bot_names),
            received_at: self.clock.now(),
        };
        self.submit_of(sender, events, submission).await
    }

    /// As [`submit`](Self::submit), of events that may have come some time ago.
    ///
    /// # Errors
    /// When they can't be taken now.
    pub(super) async fn submit_of(
        &self,
        sender: Sender,
        events: Vec<Event>,
        submission: Submission,
    ) -> Result<Submitted, ApiError> {
        let Sender { server_id, approved, bot_names, received_at } = sender;
        let Submission { idempotency, answer, bytes, asks_for_matches } = submission;
        let not_stamped = |outcome| Submitted { outcome, matches: Vec::new() };
        let (ledger, held) = (&self.pipeline.ledger, &self.pipeline.held);
        let event_count = events.len() as u64;
        if !approved || held.is_holding(server_id) {
            let request = HeldRequest {
                server_id,
                received_at,
                events: ledger.receive(Arc::new(events), event_count),
                idempotency,
                answer,
            };
            let held = held.clone();
            let held = block(move || held.hold(request)).await;
            return held.map(not_stamped).map_err(|_| refusal(RejectReason::Draining));
        }
        // Before the events are received: a sender that goes away while this waits takes none of them along.
        let tracker_state = match self.live_nodes.is_followed_elsewhere(server_id) {
            // What the other node was sent decides too which match this is.
            true => self.tracker_states.of_server_elsewhere(server_id).await,
            false => self.tracker_states.of_unmet_server(server_id, received_at).await,
        };
        let events = Arc::new(events);
        let (reply, outcome) = oneshot::channel();
        let (matches, stamped) = asks_for_matches.then(oneshot::channel).unzip();
        let offered = self.pipeline.batcher.offer(
            IngestRequest {
                server_id,
                received_at,
                events: ledger.receive(events.clone(), event_count),
                idempotency,
                answer,
                tracker_state,
                bot_names,
                matches,
                reply,
            },
            Weight { events: event_count, bytes },
        );
        if let Err((refused, why)) = offered {
            let reason = match why {
                Refusal::Full => RejectReason::MailboxFull,
                Refusal::Ended => RejectReason::Draining,
            };
            refused.events.reject(reason);
            return Ok(not_stamped(IngestOutcome::Rejected(reason)));
        }
        let outcome = outcome.await;
        // The Batcher has let go of its share, so they are freed by the thread that made them.
        drop(events);
        // Without an outcome the handler of the message panicked: it is counted and logged there.
        let outcome = outcome.unwrap_or(IngestOutcome::Rejected(RejectReason::Internal));
        let matches = match stamped {
            Some(stamped) => stamped.await.unwrap_or_default(),
            None => Vec::new(),
        };
        Ok(Submitted { outcome, matches })
    }
}

pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<Text>, ApiError> {
    let Some(value) = headers.get("Idempotency-Key") else { return Ok(None) };
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    match value.to_str() {
        Ok(key) if (1..=LONGEST_KEY).contains(&key.len()) && key.as_bytes().iter().all(is_allowed) => {
            Ok(Some(Text::from(key)))
        }
        _ => Err(ApiError::invalid_field("Idempotency-Key", "must be 1 to 64 of A–Z, a–z, 0–9, _ and -")),
    }
}

pub(crate) fn hash(body: &[u8]) -> BodyHash {
    let digest: [u8; 32] = Sha256::digest(body).into();
    let mut first_half = [0; 16];
    first_half.copy_from_slice(&digest[..16]);
    BodyHash(first_half)
}

/// The answer for events that were not taken. Never 401, which game scripts answer by dropping their identity.
pub(crate) fn refusal(reason: RejectReason) -> ApiError {
    let code = reason.code();
    match reason {
        RejectReason::MailboxFull => {
            ApiError::new(StatusCode::TOO_MANY_REQUESTS, code, "too many events are waiting; try again")
                .with_retry_after(1)
        }
        RejectReason::SpoolFull => ApiError::new(
            StatusCode::TOO_MANY_REQUESTS,
            code,
            "the store does not take events and the space to keep them is used up; try again later",
        )
        .with_retry_after(10),
        RejectReason::HeldFull => ApiError::new(
            StatusCode::TOO_MANY_REQUESTS,
            code,
            "this server waits for an admin's approval, and no more of its events are kept until then",
        )
        .with_retry_after(600),
        RejectReason::IdempotencyMismatch => ApiError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            code,
            "this Idempotency-Key was used for another body within 24 hours",
        ),
        RejectReason::TooLarge => ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            code,
            "these events take more space than can be stored at once; send fewer a request",
        ),
        RejectReason::Draining => ApiError::unavailable(code, "the service is restarting; try again", 2),
        RejectReason::SpoolFailed => {
            ApiError::unavailable(code, "events can't be written to disk at the moment", 10)
        }
        RejectReason::Unreadable
        | RejectReason::IdempotentReplay
        | RejectReason::SpoolDamaged
        | RejectReason::RateLimited
        | RejectReason::ServerRemoved
        | RejectReason::Internal => {
            ApiError::unavailable(code, "something went wrong on our side; try again", 1)
        }
    }
}
