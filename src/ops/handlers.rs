//! Handlers of the operations endpoints.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, RETRY_AFTER};
use actix_web::web::Data;
use mohaa_actors::pipeline::Pipeline;
use serde::Serialize;
use utoipa::ToSchema;

use super::health::Checks;
use super::{HealthMonitor, OpsMetrics, OpsWatch};
use crate::access::{Anyone, Route, get};
use crate::http::ApiError;

/// What the operations handlers need.
pub struct Ops {
    pub health: Arc<HealthMonitor>,
    pub metrics: OpsMetrics,
    pub pipeline: Pipeline,
    pub watch: OpsWatch,
}

#[derive(Serialize, ToSchema)]
pub struct Health {
    /// Always `ok`: the process answers.
    pub status: &'static str,
    pub version: &'static str,
}

#[derive(Serialize, ToSchema)]
pub struct Readiness {
    /// Whether events are taken.
    pub ready: bool,
    /// `starting`, `serving`, `drained` by an operator, or `stopping`.
    pub state: &'static str,
    /// Whether something does not work that ingest can do without for a while.
    pub degraded: bool,
    pub checks: Checks,
    /// Events waiting in the Batcher's mailbox.
    pub queue_depth: u64,
}

/// The process is up.
#[utoipa::path(get, path = "/health", tag = "Operations", responses((status = 200, description = "the process is up", body = Health)))]
pub async fn health(_: Anyone) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(Health { status: "ok", version: env!("CARGO_PKG_VERSION") })
}

/// Whether events are taken, and how the stores are.
///
/// 503 only while starting, stopping, drained by an operator, or when the spool is full or broken; failing stores show in
/// `checks`.
#[utoipa::path(
    get,
    path = "/ready",
    tag = "Operations",
    responses(
        (status = 200, description = "events are taken", body = Readiness),
        (status = 503, description = "starting, stopping, drained, or the spool is full or broken", body = Readiness),
    )
)]
pub async fn ready(_: Anyone, ops: Data<Ops>) -> HttpResponse {
    let checks = ops.health.checks();
    let ready = ops.health.is_ready();
    let degraded = !checks.all_ok() || ops.pipeline.actors.instances().iter().any(|actor| actor.is_failing());
    let answer = Readiness {
        ready,
        state: ops.health.state(),
        degraded,
        checks,
        queue_depth: ops.health.queue_depth(),
    };
    let mut response = match ready {
        true => HttpResponse::Ok(),
        false => HttpResponse::ServiceUnavailable(),
    };
    if !ready {
        response.insert_header((RETRY_AFTER, "2"));
    }
    response.insert_header((CACHE_CONTROL, "no-store")).json(answer)
}

/// Metrics in Prometheus' text format.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "Operations",
    responses(
        (status = 200, description = "every metric", body = String, content_type = "text/plain"),
        (status = 404, description = "they are told on an address of the operators' own", body = crate::http::ErrorBody),
    )
)]
pub async fn metrics(_: Anyone, ops: Data<Ops>) -> Result<HttpResponse, ApiError> {
    let text = ops.metrics.render(&ops.pipeline, &ops.health).map_err(ApiError::internal)?;
    Ok(HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(text))
}

/// Liveness and readiness, on the public address and on the operators' own.
pub fn probes() -> Vec<Route> {
    vec![get("/health", health), get("/ready", ready)]
}

/// Metrics, on the public address or on the operators' own (OPS_LISTEN).
pub fn metrics_routes() -> Vec<Route> {
    vec![get("/metrics", metrics)]
}
