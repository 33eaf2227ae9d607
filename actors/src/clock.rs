//! The wall clock that actors are given, so that tests can run on simulated time.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use mohaa_domain::event::Millis;

/// Tells the time of day. Pauses and timers use tokio's clock instead.
pub type Clock = Arc<dyn Fn() -> Millis + Send + Sync>;

/// The system's clock.
pub fn system_clock() -> Clock {
    Arc::new(|| {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Millis(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
    })
}
