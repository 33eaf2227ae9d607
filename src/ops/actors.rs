//! `GET /api/v1/ops/actors`: every actor, its mailbox, and what it says of itself.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Data;
use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use mohaa_actors::supervision::{Failure, Instance};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::handlers::Ops;
use crate::access::{Admin, Route, get};
use crate::http::ApiError;

/// An actor answers in its turn: one that is busy for longer is shown without its state.
const PATIENCE: Duration = Duration::from_millis(500);

#[derive(Serialize, ToSchema)]
pub struct ActorList {
    pub actors: Vec<ActorReport>,
}

#[derive(Serialize, ToSchema)]
pub struct ActorReport {
    /// What it does: `batcher`, `clickhouse_writer`.
    pub kind: &'static str,
    /// Tells instances of a kind apart.
    pub name: String,
    /// Events queued or in work.
    pub depth: u64,
    /// Events its mailbox may hold.
    pub capacity: u64,
    /// Messages and signals handled.
    pub handled: u64,
    /// Messages handed back because the mailbox was full.
    pub rejected: u64,
    /// Panics after which it was made anew.
    pub restarts: u64,
    /// Whether it has used up its restart budget.
    pub failing: bool,
    /// How long the oldest message has been waiting or in work, in seconds.
    pub oldest_wait_seconds: f64,
    /// How long the handler that runs now has been running, in seconds.
    pub busy_seconds: f64,
    pub last_failure: Option<ActorFailure>,
    /// What it says of itself; null while it is too busy to answer.
    pub state: Value,
}

#[derive(Serialize, ToSchema)]
pub struct ActorFailure {
    pub at: Option<DateTime<Utc>>,
    /// What the panic said.
    pub panic: String,
    /// Its state when it had panicked.
    pub state: Value,
}

impl From<Failure> for ActorFailure {
    fn from(failure: Failure) -> Self {
        Self { at: DateTime::from_timestamp_millis(failure.at.0), panic: failure.panic, state: failure.state }
    }
}

/// Every actor with its mailbox and state.
#[utoipa::path(
    get,
    path = "/api/v1/ops/actors",
    tag = "Operations",
    responses(
        (status = 200, description = "all actors of this node", body = ActorList),
        (status = 401, description = "nobody is signed in", body = crate::http::ErrorBody),
        (status = 403, description = "only an admin may see this", body = crate::http::ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn list_actors(_: Admin, ops: Data<Ops>) -> Result<HttpResponse, ApiError> {
    let instances = ops.pipeline.actors.instances();
    let actors = join_all(instances.iter().map(|instance| report(instance))).await;
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(ActorList { actors }))
}

async fn report(instance: &Instance) -> ActorReport {
    let state = tokio::time::timeout(PATIENCE, instance.observe()).await;
    let report = instance.report();
    ActorReport {
        kind: report.kind,
        name: report.name,
        depth: report.depth,
        capacity: report.capacity,
        handled: report.handled,
        rejected: report.rejected,
        restarts: report.restarts,
        failing: instance.is_failing(),
        oldest_wait_seconds: report.oldest_wait.as_secs_f64(),
        busy_seconds: report.busy_for.as_secs_f64(),
        last_failure: report.last_failure.map(ActorFailure::from),
        state: state.ok().flatten().unwrap_or(Value::Null),
    }
}

pub fn routes() -> Vec<Route> {
    vec![get("/api/v1/ops/actors", list_actors)]
}
