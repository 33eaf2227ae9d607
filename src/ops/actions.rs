//! What admins do to a running node, by way of any: pause writers, flush, drain, end a match, send a dead letter again. None of it can lose
//! an event. Each is in the audit log before it is done; while PostgreSQL can't keep that, nothing is.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use mohaa_actors::dead_letters::DeadLetterError;
use serde_json::{Value, json};
use sqlx::PgPool;
use utoipa::OpenApi;
use uuid::Uuid;

use super::handlers::Ops;
use crate::access::{Admin, Route, delete, post};
use crate::audit::{self, By, Entry};
use crate::http::query::{Parameter, QueryShape};
use crate::http::{ApiError, ErrorBody};
use crate::ingest::Ingest;
use crate::live::{Live, NotDone, Order};
use crate::postgres;

#[derive(OpenApi)]
#[openapi(paths(
    pause_writer,
    resume_writer,
    flush_events,
    drain_node,
    take_node_back,
    end_live_match,
    replay_dead_letter
))]
pub struct OpsActionsApi;

pub fn routes() -> Vec<Route> {
    vec![
        post("/api/v1/ops/writers/{writer}/pause", pause_writer),
        delete("/api/v1/ops/writers/{writer}/pause", resume_writer),
        post("/api/v1/ops/flush", flush_events),
        post("/api/v1/ops/nodes/{node}/drain", drain_node),
        delete("/api/v1/ops/nodes/{node}/drain", take_node_back),
        post("/api/v1/ops/matches/{match_id}/end", end_live_match),
        post("/api/v1/ops/dead-letters/{id}/replay", replay_dead_letter),
    ]
}

const OF_NODE: QueryShape = QueryShape {
    parameters: &[Parameter {
        name: "node",
        description: "The node that is meant, as `GET /api/v1/ops/actors` lists it (default: the one that answers).",
        example: "0a3f5e1c-3a56-4c0c-9d3e-5d0f6f3f7d11",
    }],
    filters: &[],
    paged: false,
};

/// The node that a request means: behind a balancer that need not be the one that answers.
///
/// # Errors
/// 422 `validation_failed`; 404 `unknown_node` for one that nobody hears.
pub fn meant_node(request: &HttpRequest, ops: &Ops) -> Result<Uuid, ApiError> {
    let mut query = OF_NODE.read(request.query_string());
    let asked = query.parsed_parameter("node", |text| {
        text.parse::<Uuid>().map_err(|_| "must be the id of a node".to_owned())
    });
    query.finish()?;
    let node = asked.unwrap_or_else(|| ops.watch.node());
    if ops.watch.knows(node) { Ok(node) } else { Err(unknown_node()) }
}

fn unknown_node() -> ApiError {
    ApiError::not_found("unknown_node", "no node of this name is there to hear it")
}

/// Which writers are meant: one by its number, or `all`. How many another node has is not known here.
fn read_writers(text: &str, count: Option<usize>) -> Result<Option<usize>, ApiError> {
    match text.parse::<usize>() {
        _ if text == "all" => Ok(None),
        Ok(writer) if count.is_none_or(|count| writer < count) => Ok(Some(writer)),
        _ => Err(unknown_writer()),
    }
}

async fn order(ops: &Ops, node: Uuid, order: Order) -> Result<(), ApiError> {
    ops.watch.order(node, order).await.map_err(refusal)
}

fn refusal(why: NotDone) -> ApiError {
    match why {
        NotDone::UnknownNode => unknown_node(),
        NotDone::UnknownWriter => unknown_writer(),
        NotDone::UnknownLetter => unknown_letter(),
        NotDone::Failed => ApiError::internal(OrderFailed),
        NotDone::NoAnswer => ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "node_silent",
            "the node does not say whether it was done: look there, and try again",
        ),
    }
}

/// The log of the node that was to do it has the cause.
#[derive(Debug, thiserror::Error)]
#[error("an operator's order was not carried out")]
struct OrderFailed;

fn unknown_writer() -> ApiError {
    ApiError::not_found("unknown_writer", "this node has no writer of this number")
}

fn unknown_letter() -> ApiError {
    ApiError::not_found("unknown_dead_letter", "no dead letter has this id")
}

/// Pauses writers of a node or has them go on.
///
/// # Errors
/// 404 `unknown_writer`, `unknown_node`; 503 `audit_unavailable`, `node_silent`.
pub async fn set_paused(
    ops: &Ops,
    pool: &PgPool,
    admin_id: i32,
    node: Uuid,
    writers: &str,
    is_paused: bool,
) -> Result<(), ApiError> {
    let switches = &ops.pipeline.switches;
    let is_this = node == ops.watch.node();
    let writer = read_writers(writers, is_this.then(|| switches.count()))?;
    let action = if is_paused { "ops.pause_writer" } else { "ops.resume_writer" };
    let before = is_this.then(|| {
        let meant = (0..switches.count()).filter(|number| writer.is_none_or(|writer| writer == *number));
        json!({ "paused": meant.map(|writer| switches.is_paused(writer)).collect::<Vec<_>>() })
    });
    let after = json!({ "paused": is_paused, "node": node });
    note(pool, admin_id, action, ("writer", writers), before, Some(after)).await?;
    order(ops, node, Order::Pause { writer, is_paused }).await
}

/// Has what a node has accepted written now.
///
/// # Errors
/// 404 `unknown_node`; 503 `audit_unavailable`, `node_silent`.
pub async fn flush(ops: &Ops, pool: &PgPool, admin_id: i32, node: Uuid) -> Result<(), ApiError> {
    note(pool, admin_id, "ops.flush", ("node", &node.to_string()), None, None).await?;
    order(ops, node, Order::Flush).await
}

/// Drains a node, or takes that back.
///
/// # Errors
/// 404 `unknown_node` for one that nobody hears; 503 `audit_unavailable`.
pub async fn set_drained(
    ops: &Ops,
    pool: &PgPool,
    admin_id: i32,
    node: Uuid,
    is_drained: bool,
) -> Result<(), ApiError> {
    let known = ops.watch.look().await.nodes.into_iter().find(|known| known.node == node);
    let before = known.ok_or_else(unknown_node)?.drained;
    let action = if is_drained { "ops.drain_node" } else { "ops.take_node_back" };
    let (before, after) = (json!({ "drained": before }), json!({ "drained": is_drained }));
    note(pool, admin_id, action, ("node", &node.to_string()), Some(before), Some(after)).await?;
    match ops.watch.drain(node, is_drained).await {
        true => Ok(()),
        false => Err(unknown_node()),
    }
}

/// Ends a match that is played, as its server would.
///
/// # Errors
/// 404 `match_not_live`; 503 `audit_unavailable`; whatever events are refused for.
pub async fn end_match(
    ingest: &Ingest,
    live: &Live,
    pool: &PgPool,
    admin_id: i32,
    match_id: Uuid,
) -> Result<(), ApiError> {
    let listed = live.list_now().matches.into_iter().find(|listed| listed.match_id == match_id);
    let Some(listed) = listed else {
        return Err(ApiError::not_found("match_not_live", "no match with this id is played now"));
    };
    let before = json!({ "server_id": listed.server_id, "map_name": listed.map_name });
    note(pool, admin_id, "ops.end_match", ("match", &match_id.to_string()), Some(before), None).await?;
    ingest.end_match(listed.server_id, match_id, listed.source_match_id.as_deref().unwrap_or_default()).await
}

/// Asks a node for a dead letter to be sent again. Which letters another node has is known only there.
///
/// # Errors
/// 404 `unknown_dead_letter`, `unknown_node`; 503 `audit_unavailable`, `node_silent`.
pub async fn replay(
    ops: &Ops,
    pool: &PgPool,
    admin_id: i32,
    node: Uuid,
    letter: String,
) -> Result<(), ApiError> {
    let is_this = node == ops.watch.node();
    let before = match is_this {
        true => Some(letter_here(ops, &letter).await?),
        false => None,
    };
    let after = json!({ "node": node });
    note(pool, admin_id, "ops.replay_dead_letter", ("dead_letter", &letter), before, Some(after)).await?;
    match ops.watch.order(node, Order::Replay { letter }).await {
        // It was sent since we looked.
        Err(NotDone::UnknownLetter) if is_this => Ok(()),
        outcome => outcome.map_err(refusal),
    }
}

async fn letter_here(ops: &Ops, letter: &str) -> Result<Value, ApiError> {
    let (letters, wanted) = (ops.pipeline.dead_letters.clone(), letter.to_owned());
    let found = actix_web::web::block(move || letters.read(&wanted)).await.map_err(ApiError::internal)?;
    match found {
        Ok(letter) => Ok(json!({ "reason": letter.reason, "events": letter.events() })),
        Err(error @ DeadLetterError::Unknown { .. }) => Err(unknown_letter().with_source(error)),
        // A letter that can't be read can't be sent either.
        Err(error) => Err(ApiError::internal(error)),
    }
}

/// Writes what is about to be done into the audit log.
async fn note(
    pool: &PgPool,
    admin_id: i32,
    action: &str,
    (subject_kind, subject_id): (&str, &str),
    before: Option<Value>,
    after: Option<Value>,
) -> Result<(), ApiError> {
    let noted = async {
        let mut connection = pool.acquire().await?;
        let by = By::User(admin_id);
        audit::record(&mut connection, Entry { by, action, subject_kind, subject_id, before, after }).await
    };
    noted.await.map_err(|cause| {
        let message =
            "who did this can't be written down at the moment, so it was not done; try again shortly";
        postgres::unanswered("audit_unavailable", message, cause)
    })
}

fn done() -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::NoContent().finish())
}

/// Pause a writer
///
/// It ends the batch that it has and takes no other, until it is resumed or the service is restarted. Events are accepted
/// meanwhile and wait in the spool.
#[utoipa::path(
    post,
    path = "/api/v1/ops/writers/{writer}/pause",
    tag = "Operations",
    params(
        ("writer" = String, Path, description = "its number on the node, or `all`"),
        ("node" = Option<Uuid>, Query, description = "the node that is meant; else the one that answers"),
    ),
    responses(
        (status = 204, description = "it is paused, or was"),
        (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 503, description = "the audit log can't be written, or the node does not say whether it was done", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn pause_writer(
    Admin(admin): Admin,
    request: HttpRequest,
    ops: Data<Ops>,
    pool: Data<PgPool>,
    writer: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let node = meant_node(&request, &ops)?;
    set_paused(&ops, &pool, admin.user_id, node, &writer, true).await?;
    done()
}

/// Have a paused writer go on
#[utoipa::path(
    delete,
    path = "/api/v1/ops/writers/{writer}/pause",
    tag = "Operations",
    params(
        ("writer" = String, Path, description = "its number on the node, or `all`"),
        ("node" = Option<Uuid>, Query, description = "the node that is meant; else the one that answers"),
    ),
    responses(
        (status = 204, description = "it writes, or did"),
        (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 503, description = "the audit log can't be written, or the node does not say whether it was done", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn resume_writer(
    Admin(admin): Admin,
    request: HttpRequest,
    ops: Data<Ops>,
    pool: Data<PgPool>,
    writer: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let node = meant_node(&request, &ops)?;
    set_paused(&ops, &pool, admin.user_id, node, &writer, false).await?;
    done()
}

/// Write what is accepted now
///
/// Instead of when its batch is large or old enough.
#[utoipa::path(
    post,
    path = "/api/v1/ops/flush",
    tag = "Operations",
    params(("node" = Option<Uuid>, Query, description = "the node that is meant; else the one that answers")),
    responses(
        (status = 204, description = "it is begun"),
        (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 503, description = "the audit log can't be written, or the node does not say whether it was done", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn flush_events(
    Admin(admin): Admin,
    request: HttpRequest,
    ops: Data<Ops>,
    pool: Data<PgPool>,
) -> Result<HttpResponse, ApiError> {
    let node = meant_node(&request, &ops)?;
    flush(&ops, &pool, admin.user_id, node).await?;
    done()
}

/// Drain a node
///
/// Its `/ready` turns 503, so that the balancer takes it out; whatever comes all the same is taken. Until it is taken back or
/// restarted. Any node can be named, whichever answers.
#[utoipa::path(
    post,
    path = "/api/v1/ops/nodes/{node}/drain",
    tag = "Operations",
    params(("node" = Uuid, Path, description = "as `GET /api/v1/ops/actors` lists it")),
    responses(
        (status = 204, description = "it drains, or did"),
        (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 503, description = "the audit log can't be written, or the node does not say whether it was done", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn drain_node(
    Admin(admin): Admin,
    ops: Data<Ops>,
    pool: Data<PgPool>,
    node: Path<Uuid>,
) -> Result<HttpResponse, ApiError> {
    set_drained(&ops, &pool, admin.user_id, *node, true).await?;
    done()
}

/// Take a drained node back
#[utoipa::path(
    delete,
    path = "/api/v1/ops/nodes/{node}/drain",
    tag = "Operations",
    params(("node" = Uuid, Path, description = "as `GET /api/v1/ops/actors` lists it")),
    responses(
        (status = 204, description = "it is ready again, or was"),
        (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 503, description = "the audit log can't be written, or the node does not say whether it was done", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn take_node_back(
    Admin(admin): Admin,
    ops: Data<Ops>,
    pool: Data<PgPool>,
    node: Path<Uuid>,
) -> Result<HttpResponse, ApiError> {
    set_drained(&ops, &pool, admin.user_id, *node, false).await?;
    done()
}

/// End a live match
///
/// As its server would: for one whose server went away in the middle. Events that come later open it again within ten minutes.
#[utoipa::path(
    post,
    path = "/api/v1/ops/matches/{match_id}/end",
    tag = "Operations",
    params(("match_id" = Uuid, Path, description = "our id of the match")),
    responses(
        (status = 204, description = "its end is accepted like any event"),
        (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 429, description = "mailbox or spool full; see Retry-After", body = ErrorBody),
        (status = 503, description = "events can't be taken, or the audit log not be written", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn end_live_match(
    Admin(admin): Admin,
    ingest: Data<Ingest>,
    live: Data<Live>,
    pool: Data<PgPool>,
    match_id: Path<Uuid>,
) -> Result<HttpResponse, ApiError> {
    end_match(&ingest, &live, &pool, admin.user_id, *match_id).await?;
    done()
}

/// Send a dead letter again
///
/// Within seconds it is stored, exactly once, or back with the new reason.
#[utoipa::path(
    post,
    path = "/api/v1/ops/dead-letters/{id}/replay",
    tag = "Operations",
    params(
        ("id" = String, Path, description = "the letter"),
        ("node" = Option<Uuid>, Query, description = "the node that is meant; else the one that answers"),
    ),
    responses(
        (status = 204, description = "it will be sent again"),
        (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 503, description = "the audit log can't be written, or the node does not say whether it was done", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn replay_dead_letter(
    Admin(admin): Admin,
    request: HttpRequest,
    ops: Data<Ops>,
    pool: Data<PgPool>,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let node = meant_node(&request, &ops)?;
    replay(&ops, &pool, admin.user_id, node, id.into_inner()).await?;
    done()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn writers_are_named_by_number_or_all_of_them() {
        assert_eq!(read_writers("all", Some(2)).unwrap(), None);
        assert_eq!(read_writers("1", Some(2)).unwrap(), Some(1));
        assert_eq!(read_writers("2", None).unwrap(), Some(2));
        for wrong in ["2", "-1", "", "ALL", "1.0"] {
            assert_eq!(read_writers(wrong, Some(2)).unwrap_err().code(), "unknown_writer", "{wrong}");
        }
    }
}
