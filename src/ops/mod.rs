//! What operators and balancers ask: `/health`, `/ready`, `/metrics`, the list of actors.

pub mod actors;
pub mod handlers;
pub mod health;
pub mod metrics;
mod process;

pub use health::{CheckResult, HealthMonitor};
pub use metrics::OpsMetrics;
