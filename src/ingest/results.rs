//! The handler of `POST /api/v1/ingest/match-result`: what a server says of a match as a whole, while it is played or long
//! after. It becomes an event like any other, so that whatever adds events up knows of it.

use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Data, block};
use actix_web::{HttpRequest, HttpResponse};
use mohaa_actors::accounting::RejectReason;
use mohaa_actors::batcher::IngestOutcome;
use mohaa_actors::idempotency::{BodyHash, IngestAnswer};
use mohaa_domain::event::{Event, Millis, RESULT};
use mohaa_domain::vocabulary::Team;
use mohaa_domain::wire;
use serde::Serialize;
use serde_json::{Map, Value};
use sqlx::PgPool;
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Ingest;
use super::held_results::{HeldResult, HoldError};
use super::submit::{Sender, Submission, hash, idempotency_key, refusal};
use crate::access::GameServer;
use crate::http::{ApiError, json_or_form};
use crate::limits::Limits;
use crate::postgres;
use crate::servers;
use crate::stats::{KnownMatch, Stats};

/// How long a result waits for another try.
const SETTLE_EVERY: Duration = Duration::from_secs(1);
/// Matches whose last result is remembered.
const MOST_LATEST: usize = 1_000;

/// A match as its server sums it up. Other fields are kept with the event.
#[derive(ToSchema)]
#[allow(dead_code, reason = "documents what is read field by field")]
pub struct MatchResultBody {
    /// Our id, or what the server calls the match.
    pub match_id: String,
    pub server_id: Option<String>,
    pub map_name: Option<String>,
    pub gametype: Option<String>,
    /// Seconds.
    pub duration: Option<f64>,
    /// allies or axis; draw, tie or none for a draw, or empty where scores are equal.
    pub winning_team: Option<String>,
    pub allies_score: Option<i32>,
    pub axis_score: Option<i32>,
    pub total_rounds: Option<i32>,
    pub players: Option<Vec<ResultPlayer>>,
    pub tournament_id: Option<Uuid>,
    pub bracket_match: Option<String>,
    pub match_token: Option<String>,
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "documents what is kept as it came")]
pub struct ResultPlayer {
    pub player_id: String,
    pub team: String,
    pub score: Option<i32>,
}

#[derive(Serialize, ToSchema)]
pub struct MatchResultAnswer {
    /// Always `accepted`.
    pub status: &'static str,
    /// Our id; what was sent, of a match that nothing was known of.
    pub match_id: String,
}

impl MatchResultAnswer {
    fn of(match_id: String) -> HttpResponse {
        HttpResponse::Accepted().json(Self { status: "accepted", match_id })
    }
}

/// Sum a match up
///
/// Ends a match that is being played, or corrects the summary of one that is over. The same result sent again changes
/// nothing. It is kept on disk until all that follows from it is done: while a store is away, it is accepted all the same.
#[utoipa::path(
    post,
    path = "/api/v1/ingest/match-result",
    tag = "Ingest",
    params(
        ("X-Server-Token" = Option<String>, Header, description = "the server's token"),
        ("Idempotency-Key" = Option<String>, Header, description = "1–64 of [A-Za-z0-9_-]"),
    ),
    request_body(content = MatchResultBody, content_type = "*/*", description = "as JSON or as a form, whatever it is labelled as"),
    responses(
        (status = 202, description = "accepted", body = MatchResultAnswer),
        (status = 401, description = "token missing, unknown or revoked", body = crate::http::ErrorBody),
        (status = 403, description = "the result of another server's match", body = crate::http::ErrorBody),
        (status = 404, description = "no match of this server has this id", body = crate::http::ErrorBody),
        (status = 413, description = "too large", body = crate::http::ErrorBody),
        (status = 422, description = "a field can't be used", body = crate::http::ErrorBody),
        (status = 429, description = "mailbox or spool full; see Retry-After", body = crate::http::ErrorBody),
        (status = 503, description = "not able to at the moment; see Retry-After", body = crate::http::ErrorBody),
    ),
    security(("server_token" = []), ("bearer" = []))
)]
pub async fn ingest_result(
    caller: GameServer,
    request: HttpRequest,
    ingest: Data<Ingest>,
    stats: Data<Stats>,
    limits: Data<Limits>,
    body: Bytes,
) -> Result<HttpResponse, ApiError> {
    let known_server = caller.of_headers(request.headers()).await?;
    let fields: Map<String, Value> = json_or_form(&body).unwrap_or_default();
    let server = match known_server {
        Some(server) => server,
        None => caller.identify(fields.get("server_token").and_then(Value::as_str)).await?,
    };
    ingest.last_seen.note(server.server_id);
    limits.take_of_server(&request, server.server_id, 1)?;
    let named_server =
        fields.get("server_id").and_then(Value::as_str).and_then(|id| Uuid::parse_str(id).ok());
    if named_server.is_some_and(|named| named != server.server_id) {
        return Err(ApiError::forbidden("not_your_match", "this token speaks for another server"));
    }
    let event = event_of(fields)?;
    let sent_id = event.source_match_id.to_string();
    let key = idempotency_key(request.headers())?;
    // Settled one after the other, and safe before they are answered.
    let queue = ingest.held_results.of_server(server.server_id);
    let mut queue = queue.lock_owned().await;
    let held = {
        let (ingest, server_id) = (ingest.clone(), server.server_id);
        let (received_at, body_hash) = (ingest.clock.now(), hash(&body));
        block(move || ingest.held_results.keep(server_id, received_at, event, key, body_hash)).await
    };
    let held = match held {
        Ok(Ok(held)) => held,
        Ok(Err(HoldError::Full)) => return Err(refusal(RejectReason::SpoolFull)),
        Ok(Err(HoldError::File(error))) => {
            tracing::error!(%error, server_id = %server.server_id, "a result can't be kept");
            return Err(refusal(RejectReason::SpoolFailed));
        }
        Err(_) => return Err(refusal(RejectReason::Draining)),
    };
    queue.push_back(held);
    if queue.len() > 1 {
        return Ok(MatchResultAnswer::of(sent_id));
    }
    let sender = Sender {
        server_id: server.server_id,
        approved: server.approved,
        bot_names: Some(server.bot_names),
        received_at: ingest.clock.now(),
    };
    let settled = settle_first(&ingest, &stats, &mut queue, sender).await;
    match settled? {
        Settled::Done(match_id) | Settled::Later(match_id) => {
            Ok(MatchResultAnswer::of(match_id.map_or(sent_id, |match_id| match_id.to_string())))
        }
    }
}

/// What has become of a result; the match, where it was found.
enum Settled {
    Done(Option<Uuid>),
    /// Something is left to do.
    Later(Option<Uuid>),
}

/// Settles whatever could not be settled when it came, for ever.
pub async fn settle_results(ingest: Data<Ingest>, stats: Stats, postgres: PgPool) {
    loop {
        tokio::time::sleep(SETTLE_EVERY).await;
        for queue in ingest.held_results.queues() {
            // Whoever holds it settles.
            let Ok(mut queue) = queue.try_lock_owned() else { continue };
            while let Some(held) = queue.front() {
                let (server_id, name) = (held.server_id, held.event.source_match_id.clone());
                // What waits for an admin waits here too, also for who may say whether it does.
                let approved = match servers::is_approved(&postgres, server_id).await {
                    Ok(approved) => approved,
                    Err(error) => {
                        tracing::info!(%error, %server_id, "a result waits until it is known whether its server is approved");
                        break;
                    }
                };
                let sender = Sender { server_id, approved, bot_names: None, received_at: held.received_at };
                match settle_first(&ingest, &stats, &mut queue, sender).await {
                    Ok(Settled::Done(_)) => {}
                    Ok(Settled::Later(_)) => break,
                    Err(error) => {
                        tracing::warn!(%error, %server_id, %name, "a result that was taken is of no match: it is dropped");
                    }
                }
            }
        }
    }
}

/// Settles the first result of a queue, and forgets it unless something is left to do.
async fn settle_first(
    ingest: &Data<Ingest>,
    stats: &Stats,
    queue: &mut VecDeque<HeldResult>,
    sender: Sender,
) -> Result<Settled, ApiError> {
    let Some(held) = queue.front() else { return Ok(Settled::Done(None)) };
    let settled = settle(ingest, stats, held, sender).await;
    if !matches!(settled, Ok(Settled::Later(_)))
        && let Some(held) = queue.pop_front()
    {
        let ingest = ingest.clone();
        // A service that ends settles it again.
        let _ = block(move || ingest.held_results.forget(&held)).await;
    }
    settled
}

/// Does what follows from a result, as far as that can be done now. Doing it again changes nothing.
async fn settle(
    ingest: &Ingest,
    stats: &Stats,
    held: &HeldResult,
    sender: Sender,
) -> Result<Settled, ApiError> {
    let known = match find(ingest, stats, held.server_id, &held.event.source_match_id).await {
        Ok(known) => known,
        Err(error) if error.status() == StatusCode::SERVICE_UNAVAILABLE => {
            tracing::info!(%error, server_id = %held.server_id, "a result waits until it can be told of which match it is");
            return Ok(Settled::Later(None));
        }
        Err(error) => return Err(error),
    };
    let (mut event, mut is_new) = (held.event.clone(), true);
    if let Some(known) = &known {
        let ended_at = known.stored.as_ref().and_then(|stored| stored.ended_at_ms).map(Millis);
        let is_known = known.stored.as_ref().is_some_and(|stored| stored.has_result(&event));
        match ingest.results.next(known.match_id, held.body_hash, is_known, ended_at, sender.received_at) {
            None => is_new = false,
            Some(at) => event.sent_at = Some(at),
        }
        event.result_of = Some(Box::new(known.match_id));
        event.source_type = RESULT.into();
    }
    let mut match_id = known.as_ref().map(|known| known.match_id);
    let is_summed_up = known.as_ref().and_then(|known| known.stored.as_ref());
    let is_summed_up = is_summed_up.is_some_and(|stored| stored.has_result(&held.event));
    // Before what it changes is summed up: whoever does that asks whether a bracket waits for it.
    if let Some(known) = match_id
        && !hear(ingest, held, known, is_summed_up).await
    {
        return Ok(Settled::Later(match_id));
    }
    if is_new {
        let submission = Submission {
            idempotency: Some((held.key.clone(), held.body_hash)),
            answer: IngestAnswer { processed: 1, ..IngestAnswer::default() },
            bytes: held.bytes(),
            asks_for_matches: match_id.is_none(),
        };
        let submitted = ingest.submit_of(sender, vec![event], submission).await?;
        match submitted.outcome {
            IngestOutcome::Accepted(_) => {
                let is_of = submitted.matches.first().filter(|match_id| !match_id.is_nil());
                match_id = match_id.or(is_of.copied());
            }
            // It was taken before a restart: where its match is not to be seen yet, it is soon.
            IngestOutcome::Replayed(_) if match_id.is_none() && held.is_new(ingest.clock.now()) => {
                return Ok(Settled::Later(None));
            }
            IngestOutcome::Replayed(_) => {}
            IngestOutcome::Rejected(reason) => {
                if let Some(match_id) = match_id {
                    ingest.results.forget(match_id);
                }
                return if may_pass(reason) { Ok(Settled::Later(match_id)) } else { Err(refusal(reason)) };
            }
        }
    }
    // Nobody may follow it any more who would sum it up anew.
    let is_followed = match_id.is_some_and(|match_id| ingest.pipeline.live.of(match_id).is_some());
    let is_corrected = match &known {
        Some(known) if !is_followed => ingest.summaries.correct(known.match_id, &held.event).await,
        _ => true,
    };
    let is_heard = match match_id {
        Some(match_id) if !is_followed || known.is_none() => hear(ingest, held, match_id, is_corrected).await,
        _ => true,
    };
    Ok(if is_corrected && is_heard { Settled::Done(match_id) } else { Settled::Later(match_id) })
}

/// Lets brackets hear of a result; whether that was possible.
async fn hear(ingest: &Ingest, held: &HeldResult, match_id: Uuid, is_summed_up: bool) -> bool {
    match ingest.witness.hear_result(held.server_id, match_id, &held.event, is_summed_up).await {
        Ok(()) => true,
        // What PostgreSQL can't keep today it can't keep tomorrow: whatever the server says next would wait for it.
        Err(error) if postgres::is_about_the_data(&error) => {
            tracing::warn!(%error, server_id = %held.server_id, "what a result says to a bracket can't be kept");
            true
        }
        Err(error) => {
            tracing::warn!(%error, server_id = %held.server_id, "a bracket has not heard of a result yet");
            false
        }
    }
}

/// Whether a refusal is one of this moment.
fn may_pass(reason: RejectReason) -> bool {
    matches!(
        reason,
        RejectReason::MailboxFull
            | RejectReason::SpoolFull
            | RejectReason::SpoolFailed
            | RejectReason::Draining
    )
}

/// The results that this node took last: their order, and what came twice, until all of them are to be seen.
#[derive(Default)]
pub struct LatestResults {
    by_match: Mutex<HashMap<Uuid, (BodyHash, Millis)>>,
}

impl LatestResults {
    /// When the next result of a match is to stand: behind all before it, and for a match that is over hardly later than its
    /// end. None for one that changes nothing: it came last, or nothing came and it is known.
    fn next(
        &self,
        match_id: Uuid,
        body: BodyHash,
        is_known: bool,
        ended_at: Option<Millis>,
        now: Millis,
    ) -> Option<Millis> {
        let mut by_match = self.by_match.lock().unwrap_or_else(PoisonError::into_inner);
        if by_match.len() >= MOST_LATEST {
            by_match.clear();
        }
        let last = by_match.get(&match_id);
        if last.map_or(is_known, |(known, _)| *known == body) {
            return None;
        }
        let behind = |at: Millis| Millis(at.0 + 1);
        let at = ended_at.map_or(now, behind).max(last.map_or(Millis(0), |(_, at)| behind(*at)));
        by_match.insert(match_id, (body, at));
        Some(at)
    }

    fn forget(&self, match_id: Uuid) {
        self.by_match.lock().unwrap_or_else(PoisonError::into_inner).remove(&match_id);
    }
}

/// The match_end that a result is, read by the rules for events.
fn event_of(mut fields: Map<String, Value>) -> Result<Event, ApiError> {
    let needed = |why: &str| ApiError::invalid_field("match_id", why);
    match fields.get("match_id") {
        Some(Value::String(id)) if !id.trim().is_empty() => {}
        Some(Value::Number(_)) => {}
        _ => return Err(needed("is needed, in a JSON object or a form")),
    }
    if let Some(rounds) = fields.remove("total_rounds") {
        fields.insert("round_number".to_owned(), rounds);
    }
    let is_winner_left_empty =
        fields.get("winning_team").and_then(Value::as_str).is_some_and(|winner| winner.trim().is_empty());
    // When it is sent says nothing about when the match was.
    fields.remove("timestamp");
    fields.insert("type".to_owned(), "match_end".into());
    let text = serde_json::to_vec(&fields).map_err(ApiError::internal)?;
    let decoded = wire::decode(&text, wire::Limits { max_events: 1 })
        .map_err(|_| ApiError::from_status(StatusCode::PAYLOAD_TOO_LARGE))?;
    let mut event = decoded.events.into_iter().next().ok_or_else(|| needed("the result can't be read"))?;
    if is_winner_left_empty && event.winning_team == Team::Unknown && event.allies_score == event.axis_score {
        event.winning_team = Team::None;
    }
    match event.source_match_id.is_empty() {
        true => Err(needed("names no match")),
        false => Ok(event),
    }
}

/// A match of the server that a result can be about.
struct FoundMatch {
    match_id: Uuid,
    /// How it ended, as far as is known; none where it is played.
    stored: Option<KnownMatch>,
}

/// The match of this id. None where nothing is known of it: then the event alone says all.
///
/// # Errors
/// 503 where nobody can say; 403 and 404 where it is none of this server's.
async fn find(
    ingest: &Ingest,
    stats: &Stats,
    server_id: Uuid,
    id: &str,
) -> Result<Option<FoundMatch>, ApiError> {
    let our_id = Uuid::parse_str(id).ok();
    let followed = ingest.pipeline.live.all().into_iter().map(|feed| feed.seen());
    let of_server: Vec<_> = followed.filter(|seen| seen.server_id == server_id).collect();
    let here = of_server.iter().filter(|seen| Some(seen.match_id) == our_id || seen.source_match_id == id);
    // Of several loads of one name, the last.
    if let Some(seen) = here.max_by_key(|seen| seen.board.started_at) {
        let board = &seen.board;
        let stored = board.has_ended.then(|| KnownMatch {
            match_id: seen.match_id,
            server_id,
            allies_score: board.scores.allies,
            axis_score: board.scores.axis,
            winning_team: board.winning_team.as_str().to_owned(),
            ended_at_ms: seen.ended_at.max(Some(board.updated_at)).map(|at| at.0),
            reported_duration: None,
        });
        return Ok(Some(FoundMatch { match_id: seen.match_id, stored }));
    }
    let stored = match stored_match(stats, server_id, id, our_id).await {
        Ok(Some(known)) => Some(known),
        // Not stored, or not yet: how it ended is summed up at once.
        outcome => match (ingest.summaries.known(server_id, id, our_id).await, outcome) {
            (Ok(Some(known)), _) => Some(known),
            (_, Err(error)) => return Err(error),
            (Ok(None), Ok(_)) => None,
            (Err(cause), Ok(_)) => {
                let message = "how matches ended can't be read at the moment; try again in a moment";
                return Err(postgres::unanswered("summaries_unavailable", message, cause));
            }
        },
    };
    let is_playing = of_server.iter().any(|seen| seen.ended_at.is_none());
    // One that began a moment ago: what it is called is not told yet.
    let is_unnamed = of_server.iter().any(|seen| seen.board.updated_at == Millis::default());
    match stored {
        Some(known) if known.server_id != server_id => {
            Err(ApiError::forbidden("not_your_match", "this match was played on another server"))
        }
        Some(known) => Ok(Some(FoundMatch { match_id: known.match_id, stored: Some(known) })),
        None if is_unnamed => Err(ApiError::unavailable(
            "match_unknown_yet",
            "a match of this server began a moment ago; try again",
            1,
        )),
        // As an event of its own it would end the match that is played.
        None if our_id.is_some() || is_playing => {
            Err(ApiError::not_found("unknown_match", "no match of this server has this id"))
        }
        None => Ok(None),
    }
}

/// A match in the statistics: as the server calls it, or by our id.
async fn stored_match(
    stats: &Stats,
    server_id: Uuid,
    id: &str,
    our_id: Option<Uuid>,
) -> Result<Option<KnownMatch>, ApiError> {
    match (stats.known_match_of(server_id, id).await?, our_id) {
        (None, Some(match_id)) => stats.known_match(match_id).await,
        (stored, _) => Ok(stored),
    }
}
