//! HTTP metrics by route template: `mohaa_http_requests_total` and `mohaa_http_requests_duration_seconds`.

use actix_web_prom::{PrometheusMetrics, PrometheusMetricsBuilder};
use prometheus::Registry;

/// Stands for every path that no route matches, so that scanners can't add time series.
const UNMATCHED_ROUTE: &str = "unmatched";

#[derive(Debug, thiserror::Error)]
#[error("the metrics of HTTP requests can't be registered: {0}")]
pub struct MetricsError(#[source] Box<dyn std::error::Error + Send + Sync>);

/// Middleware that counts and times requests into `registry`. Its clones count into the same series.
pub fn http_metrics(registry: &Registry) -> Result<PrometheusMetrics, MetricsError> {
    PrometheusMetricsBuilder::new("mohaa")
        .registry(registry.clone())
        .mask_unmatched_patterns(UNMATCHED_ROUTE)
        .build()
        .map_err(MetricsError)
}
