//! What operators and balancers ask: `/health`, `/ready`, `/metrics`.

pub mod handlers;
pub mod health;
pub mod metrics;

pub use health::{CheckResult, HealthMonitor};
pub use metrics::OpsMetrics;
