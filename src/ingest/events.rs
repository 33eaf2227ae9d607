//! The handler of `POST /api/v1/ingest/events`.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use actix_web::web::{Data, Payload, block};
use actix_web::{HttpRequest, HttpResponse};
use mohaa_actors::accounting::RejectReason;
use mohaa_actors::batcher::{IngestOutcome, IngestRequest};
use mohaa_actors::held::HeldRequest;
use mohaa_actors::idempotency::{BodyHash, IngestAnswer};
use mohaa_actors::port::{Refusal, Weight};
use mohaa_domain::event::Text;
use mohaa_domain::wire::{self, DecodeError, Rejected};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;
use utoipa::ToSchema;

use super::{Ingest, body};
use crate::access::GameServer;
use crate::http::ApiError;
use crate::limits::Limits;

/// At most so many errors are named in an answer.
const NAMED_ERRORS: usize = 20;
const LONGEST_KEY: usize = 64;

/// Answer to a batch of events.
#[derive(Serialize, ToSchema)]
pub struct IngestAnswerBody {
    /// `accepted`, or `rejected` when no event could be read.
    pub status: &'static str,
    /// Events that are safe now.
    pub processed: u32,
    /// Events that could not be read.
    pub rejected: u32,
    /// The first twenty of them.
    pub errors: Vec<EventError>,
}

#[derive(Serialize, ToSchema)]
pub struct EventError {
    /// Place of the event in the request, from 0.
    pub index: usize,
    /// What is wrong with it.
    pub error: String,
}

/// Take in a batch of events from a game server.
///
/// Takes what game servers of every generation send: JSON arrays, single objects, NDJSON, and unescaped form lines;
/// the content type does not matter. The token is looked for in `X-Server-Token`, then `Authorization`, then the
/// body's `server_token`. 202 means that the events survive a crash of this service.
#[utoipa::path(
    post,
    path = "/api/v1/ingest/events",
    tag = "Ingest",
    params(
        ("X-Server-Token" = Option<String>, Header, description = "the server's token"),
        ("Authorization" = Option<String>, Header,
            description = "the server's token, with or without `Bearer `, where there is no X-Server-Token"),
        ("Content-Encoding" = Option<String>, Header, description = "gzip or zstd"),
        ("Idempotency-Key" = Option<String>, Header,
            description = "1–64 of [A-Za-z0-9_-]; a repeat within 24 h stores nothing and gets the first answer"),
    ),
    request_body(content = String, description = "events as the game server writes them", content_type = "*/*"),
    responses(
        (status = 202, description = "accepted", body = IngestAnswerBody,
            headers(("Idempotent-Replayed" = String, description = "`true` where it repeats an earlier answer"))),
        (status = 400, description = "no event could be read", body = IngestAnswerBody),
        (status = 401, description = "token missing, unknown or revoked", body = crate::http::ErrorBody),
        (status = 408, description = "the body paused for too long", body = crate::http::ErrorBody),
        (status = 413, description = "too many bytes or events", body = crate::http::ErrorBody),
        (status = 415, description = "unknown content encoding", body = crate::http::ErrorBody),
        (status = 422, description = "idempotency key malformed or used for other content", body = crate::http::ErrorBody),
        (status = 429, description = "mailbox or spool full, or too much held of a server that waits for approval; see Retry-After", body = crate::http::ErrorBody),
        (status = 503, description = "not able to at the moment; see Retry-After", body = crate::http::ErrorBody),
    ),
    security(("server_token" = []), ("bearer" = []))
)]
pub async fn ingest_events(
    caller: GameServer,
    request: HttpRequest,
    ingest: Data<Ingest>,
    limits_of_callers: Data<Limits>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let known_server = caller.of_headers(request.headers()).await?;
    let limits = &ingest.limits;
    let body = body::read(request.headers(), payload, limits.max_body_bytes, limits.chunk_timeout).await?;
    // Without a header nobody knows yet who speaks: too large a body is 413 and not 401, which would cost a script
    // whose token stands in the body its identity.
    let decoded = wire::decode(&body.bytes, wire::Limits { max_events: limits.max_events }).map_err(
        |DecodeError::TooManyEvents { limit }| {
            let message = format!("the request holds more than {limit} events; send fewer a request");
            ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_many_events", message)
        },
    )?;
    let server = match known_server {
        Some(server) => server,
        None => {
            let body_token = decoded.body_token.as_ref().map(wire::BodyToken::as_str);
            caller.identify(body_token).await?
        }
    };
    ingest.last_seen.note(server.server_id);
    let arrived = decoded.events.len() + decoded.rejected.len();
    if let Err(refused) = limits_of_callers.take_of_server(&request, server.server_id, arrived) {
        ingest.pipeline.ledger.receive((), arrived as u64).reject(RejectReason::RateLimited);
        return Err(refused);
    }
    let idempotency = idempotency_key(request.headers())?.map(|key| (key, hash(&body.bytes)));
    if body.is_damaged && idempotency.is_some() {
        // Whoever has a key can send it again, and must be able to do so under that key.
        return Err(body::damaged());
    }
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
    if decoded.events.is_empty() {
        let answer = IngestAnswerBody { status: "rejected", processed: 0, rejected: rejected as u32, errors };
        return Ok(HttpResponse::BadRequest().json(answer));
    }
    let errors_json = match errors.is_empty() {
        true => Box::default(),
        false => serde_json::to_string(&errors).map_err(ApiError::internal)?.into(),
    };
    let event_count = decoded.events.len();
    let answer =
        IngestAnswer { processed: event_count as u32, rejected: rejected as u32, errors: errors_json };
    let held = &ingest.pipeline.held;
    if !server.approved || held.is_holding(server.server_id) {
        let request = HeldRequest {
            server_id: server.server_id,
            received_at: ingest.clock.now(),
            events: ledger.receive(Arc::new(decoded.events), event_count as u64),
            idempotency,
            answer,
        };
        let held = held.clone();
        let outcome = block(move || held.hold(request)).await.map_err(|_| refusal(RejectReason::Draining))?;
        return answered(outcome);
    }
    // Before the events are received: a sender that goes away while this waits takes none of them along.
    let tracker_state = ingest.tracker_states.of_unmet_server(server.server_id).await;
    let events = Arc::new(decoded.events);
    let (reply, outcome) = oneshot::channel();
    let offered = ingest.pipeline.batcher.offer(
        IngestRequest {
            server_id: server.server_id,
            received_at: ingest.clock.now(),
            events: ledger.receive(events.clone(), event_count as u64),
            idempotency,
            answer,
            tracker_state,
            bot_names: Some(server.bot_names),
            reply,
        },
        Weight { events: event_count as u64, bytes: body.bytes.len() as u64 },
    );
    if let Err((refused, why)) = offered {
        let reason = match why {
            Refusal::Full => RejectReason::MailboxFull,
            Refusal::Ended => RejectReason::Draining,
        };
        refused.events.reject(reason);
        return Err(refusal(reason));
    }
    let outcome = outcome.await;
    // The Batcher has let go of its share, so they are freed by the thread that made them.
    drop(events);
    // Without an outcome the handler of the message panicked: it is counted and logged there.
    answered(outcome.unwrap_or(IngestOutcome::Rejected(RejectReason::Internal)))
}

fn answered(outcome: IngestOutcome) -> Result<HttpResponse, ApiError> {
    match outcome {
        IngestOutcome::Accepted(answer) => Ok(accepted(&answer)),
        IngestOutcome::Replayed(answer) => {
            let mut response = accepted(&answer);
            response.headers_mut().insert(
                actix_web::http::header::HeaderName::from_static("idempotent-replayed"),
                actix_web::http::header::HeaderValue::from_static("true"),
            );
            Ok(response)
        }
        IngestOutcome::Rejected(reason) => Err(refusal(reason)),
    }
}

fn named_errors(rejected: &[Rejected]) -> Vec<EventError> {
    rejected
        .iter()
        .take(NAMED_ERRORS)
        .map(|rejected| EventError { index: rejected.index, error: rejected.reason.to_string() })
        .collect()
}

fn accepted(answer: &IngestAnswer) -> HttpResponse {
    let errors = if answer.errors.is_empty() { "[]" } else { &answer.errors };
    let body = format!(
        r#"{{"status":"accepted","processed":{},"rejected":{},"errors":{errors}}}"#,
        answer.processed, answer.rejected
    );
    HttpResponse::Accepted().content_type("application/json").body(body)
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<Text>, ApiError> {
    let Some(value) = headers.get("Idempotency-Key") else { return Ok(None) };
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    match value.to_str() {
        Ok(key) if (1..=LONGEST_KEY).contains(&key.len()) && key.as_bytes().iter().all(is_allowed) => {
            Ok(Some(Text::from(key)))
        }
        _ => Err(ApiError::invalid_field("Idempotency-Key", "must be 1 to 64 of A–Z, a–z, 0–9, _ and -")),
    }
}

fn hash(body: &[u8]) -> BodyHash {
    let digest: [u8; 32] = Sha256::digest(body).into();
    let mut first_half = [0; 16];
    first_half.copy_from_slice(&digest[..16]);
    BodyHash(first_half)
}

/// The answer for events that were not taken. Never 401, which game scripts answer by dropping their identity.
fn refusal(reason: RejectReason) -> ApiError {
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
