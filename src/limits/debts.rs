//! What is owed for a call that took more than a bucket holds.
//!
//! A bucket of `governor` knows no debts, and goes on filling up while one is paid. So a debt says until when nothing is
//! let through, and by how much the bucket is too full then: as if it had stood below empty all the time.

use std::time::{Duration, Instant};

use crate::config::Rate;

/// A debt of a caller whose bucket was emptied when it was made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Debt {
    since: Instant,
    /// When it is paid and the bucket would be empty.
    until: Instant,
}

/// How a debt stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Until another call of the least size is let through.
    Owes { wait: Duration },
    /// So much of what the bucket holds was filled in while the debt was being paid.
    Paid { too_full_by: u32 },
}

impl Debt {
    /// Of so many beyond what the bucket held.
    pub(super) fn new(now: Instant, count: u32, rate: Rate) -> Self {
        Self { since: now, until: now + rate.per.mul_f64(f64::from(count) / f64::from(rate.requests)) }
    }

    pub(super) fn at(&self, now: Instant, rate: Rate) -> Standing {
        let one = rate.per / rate.requests;
        let wait = (self.until + one).saturating_duration_since(now);
        if !wait.is_zero() {
            return Standing::Owes { wait };
        }
        let filled_since = |from: Instant| {
            let filled = now.saturating_duration_since(from).as_secs_f64() / one.as_secs_f64();
            (filled as u32).min(rate.requests)
        };
        Standing::Paid { too_full_by: filled_since(self.since) - filled_since(self.until) }
    }

    /// Whether it makes no difference any more: the bucket would be full in any case.
    pub(super) fn is_forgotten(&self, now: Instant, rate: Rate) -> bool {
        now >= self.until + rate.per
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RATE: Rate = Rate { requests: 10, per: Duration::from_secs(1) };

    #[test]
    fn a_debt_is_paid_at_the_rate() {
        let made = Instant::now();
        let debt = Debt::new(made, 3_990, RATE);
        let at = |seconds: f64| debt.at(made + Duration::from_secs_f64(seconds), RATE);
        assert_eq!(at(0.0), Standing::Owes { wait: Duration::from_millis(399_100) });
        assert_eq!(at(399.0), Standing::Owes { wait: Duration::from_millis(100) });
        assert_eq!(at(399.15), Standing::Paid { too_full_by: 9 });
        assert_eq!(at(399.55), Standing::Paid { too_full_by: 5 });
        assert_eq!(at(400.05), Standing::Paid { too_full_by: 0 });
        assert!(debt.is_forgotten(made + Duration::from_secs(400), RATE));
    }

    proptest! {
        /// Whatever is let through after a debt is no more than the rate has given since it was made, less the debt.
        #[test]
        fn who_paid_has_what_the_rate_gave_since(count in 1_u32..10_000, later_ms in 0_u64..2_000_000) {
            let made = Instant::now();
            let debt = Debt::new(made, count, RATE);
            if let Standing::Paid { too_full_by } = debt.at(made + Duration::from_millis(later_ms), RATE) {
                let given = later_ms as f64 / 100.0;
                let held = given.floor().min(10.0);
                let left = held - f64::from(too_full_by);
                prop_assert!(left <= given - f64::from(count) + 1.0, "{left} of {given}");
                prop_assert!(left >= 1.0, "it is worth coming back then");
            }
        }
    }
}
