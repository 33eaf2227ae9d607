//! The clock that actors are given: the time of day, a clock that never goes back, and pauses.
//!
//! Actors ask nothing else for the time, so a test can run them on a [`SimulatedTime`], which stands still until the
//! test moves it: ten minutes of idleness then take no time, and nothing depends on how busy the machine is.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use mohaa_domain::event::Millis;
use tokio::sync::oneshot;

/// Where a [`Clock`] takes its time from.
pub trait TimeSource: Send + Sync + 'static {
    fn now(&self) -> Millis;
    fn instant(&self) -> Instant;
    fn sleep(&self, pause: Duration) -> BoxFuture<'static, ()>;
}

/// Tells the time; cheap to clone.
#[derive(Clone)]
pub struct Clock(Arc<dyn TimeSource>);

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self::of(SystemTimeSource)
    }

    pub fn of(source: impl TimeSource) -> Self {
        Self(Arc::new(source))
    }

    /// The time of day, in milliseconds since 1970. It may jump in either direction.
    pub fn now(&self) -> Millis {
        self.0.now()
    }

    /// For measuring how long something took; never goes back.
    pub fn instant(&self) -> Instant {
        self.0.instant()
    }

    /// Ends when so much time has passed by [`instant`](Self::instant).
    pub fn sleep(&self, pause: Duration) -> BoxFuture<'static, ()> {
        self.0.sleep(pause)
    }
}

struct SystemTimeSource;

impl TimeSource for SystemTimeSource {
    fn now(&self) -> Millis {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Millis(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
    }

    fn instant(&self) -> Instant {
        Instant::now()
    }

    fn sleep(&self, pause: Duration) -> BoxFuture<'static, ()> {
        tokio::time::sleep(pause).boxed()
    }
}

/// Time that passes only when it is told to.
#[derive(Clone)]
pub struct SimulatedTime(Arc<Mutex<SimulatedState>>);

struct SimulatedState {
    began: Instant,
    passed: Duration,
    /// What the time of day was when nothing had passed.
    start: Millis,
    sleepers: BinaryHeap<Reverse<Sleeper>>,
    sleepers_so_far: u64,
}

struct Sleeper {
    /// When it wakes, as [`SimulatedState::passed`]; then the order in which they went to sleep.
    due: (Duration, u64),
    wake: oneshot::Sender<()>,
}

impl PartialEq for Sleeper {
    fn eq(&self, other: &Self) -> bool {
        self.due == other.due
    }
}

impl Eq for Sleeper {}

impl PartialOrd for Sleeper {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Sleeper {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.due.cmp(&other.due)
    }
}

impl SimulatedTime {
    /// Stands at `now`.
    pub fn starting_at(now: Millis) -> Self {
        Self(Arc::new(Mutex::new(SimulatedState {
            began: Instant::now(),
            passed: Duration::ZERO,
            start: now,
            sleepers: BinaryHeap::new(),
            sleepers_so_far: 0,
        })))
    }

    /// A clock that shows this time.
    pub fn clock(&self) -> Clock {
        Clock::of(self.clone())
    }

    /// Lets `passed` go by and wakes whoever has slept long enough, in the order in which they are due.
    pub fn advance(&self, passed: Duration) {
        let mut state = self.state();
        state.passed += passed;
        while state.sleepers.peek().is_some_and(|Reverse(sleeper)| sleeper.due.0 <= state.passed) {
            if let Some(Reverse(sleeper)) = state.sleepers.pop() {
                // Whoever was dropped in his sleep needs no waking.
                let _ = sleeper.wake.send(());
            }
        }
    }

    /// Sets the time of day `millis` ahead (or back, when negative) without letting time pass.
    pub fn jump(&self, millis: i64) {
        self.state().start.0 += millis;
    }

    /// How many are asleep: a test that waits for an actor to go to sleep knows by it.
    pub fn sleepers(&self) -> usize {
        self.state().sleepers.iter().filter(|Reverse(sleeper)| !sleeper.wake.is_closed()).count()
    }

    fn state(&self) -> MutexGuard<'_, SimulatedState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TimeSource for SimulatedTime {
    fn now(&self) -> Millis {
        let state = self.state();
        Millis(state.start.0 + i64::try_from(state.passed.as_millis()).unwrap_or(i64::MAX))
    }

    fn instant(&self) -> Instant {
        let state = self.state();
        state.began + state.passed
    }

    fn sleep(&self, pause: Duration) -> BoxFuture<'static, ()> {
        if pause.is_zero() {
            return std::future::ready(()).boxed();
        }
        let (wake, woken) = oneshot::channel();
        let mut state = self.state();
        state.sleepers_so_far += 1;
        let due = (state.passed + pause, state.sleepers_so_far);
        state.sleepers.push(Reverse(Sleeper { due, wake }));
        // The sender goes with the time itself, and nobody sleeps beyond that.
        woken.map(drop).boxed()
    }
}
