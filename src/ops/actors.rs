//! `GET /api/v1/ops/actors`: every actor with its mailbox and what it says of itself, and what they stand on.

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Data;
use futures_util::future::join_all;
use mohaa_actors::supervision::Instance;
use serde_json::Value;

use super::handlers::Ops;
use super::overview::NodeOverview;
use crate::access::{Admin, Route, get};
use crate::http::{ApiError, ErrorBody};

/// An actor answers in its turn: one that is busy for longer is shown without its state.
const PATIENCE: Duration = Duration::from_millis(500);

/// Every actor with its mailbox and state, and what they stand on
///
/// Of the node that answers: spool, ClickHouse, dead letters, the last ten minutes, and what is wrong, the critical first. Other nodes are listed.
#[utoipa::path(
    get,
    path = "/api/v1/ops/actors",
    tag = "Operations",
    responses(
        (status = 200, description = "all actors of this node", body = NodeOverview),
        (status = 401, description = "nobody is signed in", body = ErrorBody),
        (status = 403, description = "only an admin may see this", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn list_actors(_: Admin, ops: Data<Ops>) -> Result<HttpResponse, ApiError> {
    let states = ops.pipeline.actors.instances();
    let states = join_all(states.iter().map(state_of)).await;
    let mut overview = ops.watch.look().await;
    for actor in &mut overview.actors {
        let known = states.iter().find(|(kind, name, _)| *kind == actor.kind && *name == actor.name);
        if let Some((.., state)) = known {
            actor.state = state.clone();
        }
    }
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(overview))
}

async fn state_of(instance: &Arc<Instance>) -> (&'static str, String, Value) {
    let state = tokio::time::timeout(PATIENCE, instance.observe()).await;
    (instance.kind, instance.name.clone(), state.ok().flatten().unwrap_or(Value::Null))
}

pub fn routes() -> Vec<Route> {
    vec![get("/api/v1/ops/actors", list_actors)]
}
