//! What admins do to a running node: pause writers, flush, drain, end a match, send a dead letter again. None of it can lose
//! an event. Each is in the audit log before it is done; while PostgreSQL can't keep that, nothing is.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use mohaa_actors::dead_letters::DeadLetterError;
use serde_json::{Value, json};
use sqlx::PgPool;
use utoipa::OpenApi;
use uuid::Uuid;

use super::handlers::Ops;
use crate::access::{Admin, Route, delete, post};
use crate::audit::{self, By, Entry};
use crate::http::{ApiError, ErrorBody};
use crate::ingest::Ingest;
use crate::live::Live;
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

/// Which writers are meant: one by its number, or `all`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writers {
    All,
    One(usize),
}

impl Writers {
    fn read(text: &str, count: usize) -> Result<Self, ApiError> {
        match text.parse::<usize>() {
            _ if text == "all" => Ok(Self::All),
            Ok(writer) if writer < count => Ok(Self::One(writer)),
            _ => Err(ApiError::not_found("unknown_writer", "this node has no writer of this number")),
        }
    }

    fn numbers(self, count: usize) -> std::ops::Range<usize> {
        match self {
            Self::All => 0..count,
            Self::One(writer) => writer..writer + 1,
        }
    }
}

/// Pauses writers or has them go on.
///
/// # Errors
/// 404 `unknown_writer`; 503 `audit_unavailable`.
pub async fn set_paused(
    ops: &Ops,
    pool: &PgPool,
    admin_id: i32,
    writers: &str,
    is_paused: bool,
) -> Result<(), ApiError> {
    let count = ops.pipeline.switches.count();
    let chosen = Writers::read(writers, count)?;
    let action = if is_paused { "ops.pause_writer" } else { "ops.resume_writer" };
    let before = chosen.numbers(count).map(|writer| ops.pipeline.switches.is_paused(writer));
    let before = json!({ "paused": before.collect::<Vec<_>>() });
    let after = json!({ "paused": is_paused, "node": ops.watch.node() });
    note(pool, admin_id, action, ("writer", writers), Some(before), Some(after)).await?;
    for writer in chosen.numbers(count) {
        ops.pipeline.set_paused(writer, is_paused);
    }
    Ok(())
}

/// Has what is accepted written now.
///
/// # Errors
/// 503 `audit_unavailable`.
pub async fn flush(ops: &Ops, pool: &PgPool, admin_id: i32) -> Result<(), ApiError> {
    note(pool, admin_id, "ops.flush", ("node", &ops.watch.node().to_string()), None, None).await?;
    ops.pipeline.flush().await;
    Ok(())
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
    let unknown = || ApiError::not_found("unknown_node", "no node of this name is there to hear it");
    let known = ops.watch.look().await.nodes.into_iter().find(|known| known.node == node);
    let before = known.ok_or_else(unknown)?.drained;
    let action = if is_drained { "ops.drain_node" } else { "ops.take_node_back" };
    let (before, after) = (json!({ "drained": before }), json!({ "drained": is_drained }));
    note(pool, admin_id, action, ("node", &node.to_string()), Some(before), Some(after)).await?;
    match ops.watch.drain(node, is_drained).await {
        true => Ok(()),
        false => Err(unknown()),
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

/// Asks for a dead letter to be sent again.
///
/// # Errors
/// 404 `unknown_dead_letter`; 503 `audit_unavailable`.
pub async fn replay(ops: &Ops, pool: &PgPool, admin_id: i32, id: String) -> Result<(), ApiError> {
    let letters = ops.pipeline.dead_letters.clone();
    let wanted = id.clone();
    let found = actix_web::web::block(move || letters.read(&wanted)).await.map_err(ApiError::internal)?;
    let before = match found {
        Ok(letter) => json!({ "reason": letter.reason, "events": letter.events() }),
        Err(error @ DeadLetterError::Unknown { .. }) => {
            return Err(
                ApiError::not_found("unknown_dead_letter", "no dead letter has this id").with_source(error)
            );
        }
        // A letter that can't be read can't be sent either.
        Err(error) => return Err(ApiError::internal(error)),
    };
    note(pool, admin_id, "ops.replay_dead_letter", ("dead_letter", &id), Some(before), None).await?;
    let letters = ops.pipeline.dead_letters.clone();
    let asked = actix_web::web::block(move || letters.ask_for(&id)).await.map_err(ApiError::internal)?;
    match asked {
        Ok(()) => Ok(()),
        // It was sent meanwhile.
        Err(DeadLetterError::Unknown { .. }) => Ok(()),
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
    params(("writer" = String, Path, description = "its number on this node, or `all`")),
    responses(
        (status = 204, description = "it is paused, or was"),
        (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 503, description = "the audit log can't be written", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn pause_writer(
    Admin(admin): Admin,
    ops: Data<Ops>,
    pool: Data<PgPool>,
    writer: Path<String>,
) -> Result<HttpResponse, ApiError> {
    set_paused(&ops, &pool, admin.user_id, &writer, true).await?;
    done()
}

/// Have a paused writer go on
#[utoipa::path(
    delete,
    path = "/api/v1/ops/writers/{writer}/pause",
    tag = "Operations",
    params(("writer" = String, Path, description = "its number on this node, or `all`")),
    responses(
        (status = 204, description = "it writes, or did"),
        (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 503, description = "the audit log can't be written", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn resume_writer(
    Admin(admin): Admin,
    ops: Data<Ops>,
    pool: Data<PgPool>,
    writer: Path<String>,
) -> Result<HttpResponse, ApiError> {
    set_paused(&ops, &pool, admin.user_id, &writer, false).await?;
    done()
}

/// Write what is accepted now
///
/// Instead of when its batch is large or old enough. Of the node that answers.
#[utoipa::path(
    post,
    path = "/api/v1/ops/flush",
    tag = "Operations",
    responses(
        (status = 204, description = "it is begun"),
        (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody),
        (status = 503, description = "the audit log can't be written", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn flush_events(
    Admin(admin): Admin,
    ops: Data<Ops>,
    pool: Data<PgPool>,
) -> Result<HttpResponse, ApiError> {
    flush(&ops, &pool, admin.user_id).await?;
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
        (status = 503, description = "the audit log can't be written", body = ErrorBody),
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
        (status = 503, description = "the audit log can't be written", body = ErrorBody),
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
/// Within seconds it is stored, exactly once, or back with the new reason. Of the node that answers.
#[utoipa::path(
    post,
    path = "/api/v1/ops/dead-letters/{id}/replay",
    tag = "Operations",
    params(("id" = String, Path, description = "the letter")),
    responses(
        (status = 204, description = "it will be sent again"),
        (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 503, description = "the audit log can't be written", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn replay_dead_letter(
    Admin(admin): Admin,
    ops: Data<Ops>,
    pool: Data<PgPool>,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    replay(&ops, &pool, admin.user_id, id.into_inner()).await?;
    done()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn writers_are_named_by_number_or_all_of_them() {
        assert_eq!(Writers::read("all", 2).unwrap().numbers(2), 0..2);
        assert_eq!(Writers::read("1", 2).unwrap().numbers(2), 1..2);
        for wrong in ["2", "-1", "", "ALL", "1.0"] {
            assert_eq!(Writers::read(wrong, 2).unwrap_err().code(), "unknown_writer", "{wrong}");
        }
    }
}
