//! The handler of `POST /api/v1/ingest/events`.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use mohaa_actors::accounting::RejectReason;
use mohaa_actors::batcher::IngestOutcome;
use mohaa_actors::idempotency::IngestAnswer;
use mohaa_domain::wire;
use serde::Serialize;
use utoipa::ToSchema;

use super::admission::{EventError, Taken, take};
use super::submit::{hash, idempotency_key, refusal};
use super::{Ingest, body};
use crate::access::GameServer;
use crate::http::ApiError;
use crate::limits::Limits;

/// Of what nothing could be read.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum NothingReadBody {
    /// There were events, each of which was rejected.
    Rejected(IngestAnswerBody),
    /// The body itself is damaged or cut short.
    Unreadable(crate::http::ErrorBody),
}

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
        (status = 400, description = "no event could be read, or not even the body", body = NothingReadBody),
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
    let decoded = ingest.decode(&body.bytes)?;
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
    match take(ingest.into_inner(), server, decoded, &body, idempotency).await? {
        Taken::Nothing { rejected, errors } => {
            let answer = IngestAnswerBody { status: "rejected", processed: 0, rejected, errors };
            Ok(HttpResponse::BadRequest().json(answer))
        }
        Taken::Ended(outcome) => answered(outcome),
    }
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

fn accepted(answer: &IngestAnswer) -> HttpResponse {
    let errors = if answer.errors.is_empty() { "[]" } else { &answer.errors };
    let body = format!(
        r#"{{"status":"accepted","processed":{},"rejected":{},"errors":{errors}}}"#,
        answer.processed, answer.rejected
    );
    HttpResponse::Accepted().content_type("application/json").body(body)
}
