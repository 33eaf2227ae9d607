//! The time of an import: that of the event that was sent last, so that trackers see a server play on, not one that was silent
//! for years. Before the first it is the beginning of time, so that what an earlier import left behind is not old.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use mohaa_actors::clock::{Clock, TimeSource};
use mohaa_domain::event::Millis;

#[derive(Clone, Default)]
pub(super) struct History(Arc<AtomicI64>);

impl History {
    pub(super) fn clock(&self) -> Clock {
        Clock::of(self.clone())
    }

    /// It is then.
    pub(super) fn is_at(&self, at: Millis) {
        self.0.store(at.0, Ordering::Release);
    }
}

impl TimeSource for History {
    fn now(&self) -> Millis {
        Millis(self.0.load(Ordering::Acquire))
    }

    fn instant(&self) -> Instant {
        Instant::now()
    }

    fn sleep(&self, pause: Duration) -> BoxFuture<'static, ()> {
        tokio::time::sleep(pause).boxed()
    }
}
