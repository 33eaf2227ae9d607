//! What operators and balancers ask: `/health`, `/ready`, `/metrics`; what admins see of a node ([`overview`], looked at by
//! [`watch`]) and do to it ([`actions`]).

pub mod actions;
pub mod actors;
mod engine;
mod figures;
pub mod handlers;
pub mod health;
mod history;
pub mod metrics;
pub mod overview;
mod process;
mod trouble;
pub mod watch;

pub use health::{CheckResult, HealthMonitor};
pub use history::{HistoryPoint, SPAN};
pub use metrics::OpsMetrics;
pub use watch::{OpsSources, OpsWatch};
