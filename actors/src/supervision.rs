//! What is known of running actors, and how much trouble one may make.
//!
//! Every actor has an [`Instance`]: counters and last words that outlive the worker inside it. The [`Directory`] lists
//! them for operators, for metrics and for the watch over handlers that don't come back.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use actix::{Arbiter, ArbiterHandle};
use futures_util::future::BoxFuture;
use mohaa_domain::event::Millis;
use serde_json::Value;

use crate::clock::Clock;
use crate::metrics::MailboxMetrics;

/// How many panics within how long are bad luck. More is a defect that repeats itself: the actor goes on, because
/// ending it would lose what waits in its mailbox too, but it counts as failing until the time has passed.
#[derive(Clone, Copy, Debug)]
pub struct RestartBudget {
    pub restarts: usize,
    pub within: Duration,
}

impl Default for RestartBudget {
    fn default() -> Self {
        Self { restarts: 3, within: Duration::from_secs(60) }
    }
}

/// Why an actor was made anew, and what it knew then.
#[derive(Clone, Debug)]
pub struct Failure {
    pub at: Millis,
    /// What the panic said.
    pub panic: String,
    /// The worker's own view of itself, as it was when its handler had panicked.
    pub state: Value,
}

/// What went wrong, in the words of whoever met it; panics too.
#[derive(Clone, Debug)]
pub struct ActorError {
    pub at: Millis,
    /// Which of its kind it was.
    pub name: String,
    /// At most [`LONGEST_ERROR_CHARS`] of it.
    pub what: String,
}

/// A store may quote a whole row.
const LONGEST_ERROR_CHARS: usize = 300;

/// The last error of each kind: matches and tournaments end, and with them what they said.
type KindErrors = Arc<Mutex<BTreeMap<&'static str, ActorError>>>;

type Observe = Box<dyn Fn() -> BoxFuture<'static, Option<Value>> + Send + Sync>;

/// One running actor, seen from outside.
pub struct Instance {
    pub kind: &'static str,
    /// Tells instances of a kind apart: a number, a server, a match.
    pub name: String,
    clock: Clock,
    budget: RestartBudget,
    began: Instant,
    /// Events queued or in work.
    depth: Box<dyn Fn() -> u64 + Send + Sync>,
    capacity: u64,
    observe: Observe,
    handled: AtomicU64,
    rejected: AtomicU64,
    /// Messages that were taken from the mailbox, and for how many nanoseconds they had waited together.
    taken: AtomicU64,
    waited_nanos: AtomicU64,
    /// Handlers that came back, and for how many nanoseconds they had run together.
    runs: AtomicU64,
    run_nanos: AtomicU64,
    /// When the last handler came back, in Unix milliseconds; [`IDLE`] before the first.
    last_progress: AtomicI64,
    /// Microseconds from `began` to when the present handler was entered; [`IDLE`] between handlers.
    busy_since: AtomicI64,
    /// The same of work that goes on when its handler has returned.
    working_since: AtomicI64,
    /// Microseconds from `began` to when the message that was taken last had come in.
    last_taken_queued_at: AtomicI64,
    /// For how many nanoseconds it had work and waited for others, and since when it does now, as far as that is not counted yet;
    /// as `busy_since`.
    blocked_nanos: AtomicU64,
    blocked_since: AtomicI64,
    /// Of its kind.
    metrics: MailboxMetrics,
    kind_errors: KindErrors,
    trouble: Mutex<Trouble>,
}

#[derive(Default)]
struct Trouble {
    restarts: u64,
    recent: VecDeque<Instant>,
    last: Option<Failure>,
    last_error: Option<ActorError>,
}

const IDLE: i64 = -1;

/// What a new [`Instance`] is made of.
pub(crate) struct InstanceParts {
    pub metrics: MailboxMetrics,
    pub name: String,
    pub clock: Clock,
    pub budget: RestartBudget,
    pub capacity: u64,
    pub depth: Box<dyn Fn() -> u64 + Send + Sync>,
    pub observe: Observe,
}

impl Instance {
    fn new(parts: InstanceParts, kind_errors: KindErrors) -> Self {
        let InstanceParts { metrics, name, clock, budget, capacity, depth, observe } = parts;
        Self {
            kind: metrics.kind,
            name,
            began: clock.instant(),
            clock,
            budget,
            depth,
            capacity,
            observe,
            handled: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            waited_nanos: AtomicU64::new(0),
            runs: AtomicU64::new(0),
            run_nanos: AtomicU64::new(0),
            last_progress: AtomicI64::new(IDLE),
            busy_since: AtomicI64::new(IDLE),
            working_since: AtomicI64::new(IDLE),
            last_taken_queued_at: AtomicI64::new(IDLE),
            blocked_nanos: AtomicU64::new(0),
            blocked_since: AtomicI64::new(IDLE),
            metrics,
            kind_errors,
            trouble: Mutex::default(),
        }
    }

    pub(crate) fn enter(&self, now: Instant, queued_at: Option<Instant>) {
        self.busy_since.store(self.micros(now), Ordering::Relaxed);
        if let Some(queued_at) = queued_at {
            self.last_taken_queued_at.store(self.micros(queued_at), Ordering::Relaxed);
            let waited = now.saturating_duration_since(queued_at);
            self.waited_nanos.fetch_add(waited.as_nanos() as u64, Ordering::Relaxed);
            self.taken.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The handler that was entered at `began` has come back, and its work with it.
    pub(crate) fn leave(&self, began: Instant) {
        self.busy_since.store(IDLE, Ordering::Relaxed);
        self.note_run(self.clock.instant().saturating_duration_since(began));
    }

    /// The handler that was entered at `began` has come back, and its work goes on.
    pub(crate) fn works_on(&self, began: Instant) {
        self.busy_since.store(IDLE, Ordering::Relaxed);
        self.working_since.store(self.micros(began), Ordering::Relaxed);
    }

    /// The work that went on has ended.
    pub(crate) fn work_ended(&self) {
        let took = self.working_for();
        self.working_since.store(IDLE, Ordering::Relaxed);
        self.note_run(took);
    }

    fn note_run(&self, took: Duration) {
        self.run_nanos.fetch_add(took.as_nanos() as u64, Ordering::Relaxed);
        self.runs.fetch_add(1, Ordering::Relaxed);
        self.metrics.handling_seconds.observe(took.as_secs_f64());
        let now = self.clock.now();
        self.last_progress.store(now.0, Ordering::Relaxed);
        self.metrics.last_progress.set(now.0 / 1000);
    }

    pub(crate) fn note_handled(&self) {
        self.handled.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn note_rejected(&self) {
        self.rejected.fetch_add(1, Ordering::Relaxed);
    }

    /// From here on it has work and waits for others, or does not.
    pub(crate) fn set_blocked(&self, is_blocked: bool) {
        let now = if is_blocked { self.micros(self.clock.instant()) } else { IDLE };
        self.count_blocked(self.blocked_since.swap(now, Ordering::Relaxed));
    }

    /// Counts the time in which it has been waiting so far, too.
    pub fn count_time_blocked(&self) {
        let since = self.blocked_since.load(Ordering::Relaxed);
        let now = self.micros(self.clock.instant());
        // Unless it has ended meanwhile, and was counted.
        if since != IDLE
            && self.blocked_since.compare_exchange(since, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            self.count_blocked(since);
        }
    }

    fn count_blocked(&self, since: i64) {
        if since != IDLE {
            let waited = self.time_since(since);
            self.blocked_nanos.fetch_add(waited.as_nanos() as u64, Ordering::Relaxed);
            self.metrics.blocked_seconds.inc_by(waited.as_secs_f64());
        }
    }

    /// Keeps what went wrong where operators look.
    pub(crate) fn note_error(&self, what: &str) {
        let what = what.chars().take(LONGEST_ERROR_CHARS).collect();
        let error = ActorError { at: self.clock.now(), name: self.name.clone(), what };
        self.trouble().last_error = Some(error.clone());
        let mut of_kinds = self.kind_errors.lock().unwrap_or_else(PoisonError::into_inner);
        of_kinds.insert(self.kind, error);
    }

    /// Notes a panic, and tells when it is one too many.
    pub(crate) fn note_failure(&self, panic: String, state: Value) {
        self.note_error(&format!("panicked: {panic}"));
        self.metrics.restarts.inc();
        let now = self.clock.instant();
        let mut trouble = self.trouble();
        trouble.restarts += 1;
        trouble.recent.push_back(now);
        trouble.last = Some(Failure { at: self.clock.now(), panic, state });
        if self.is_over_budget(&mut trouble, now) {
            let (actor, name) = (self.kind, self.name.as_str());
            tracing::error!(actor, name, "panics keep coming; the actor counts as failing");
        }
    }

    /// Whether it has used up its restart budget.
    pub fn is_failing(&self) -> bool {
        let now = self.clock.instant();
        self.is_over_budget(&mut self.trouble(), now)
    }

    fn is_over_budget(&self, trouble: &mut Trouble, now: Instant) -> bool {
        while trouble.recent.front().is_some_and(|at| now.duration_since(*at) > self.budget.within) {
            trouble.recent.pop_front();
        }
        trouble.recent.len() > self.budget.restarts
    }

    /// How long the handler that runs now has been running; zero between handlers.
    pub fn busy_for(&self) -> Duration {
        match self.busy_since.load(Ordering::Relaxed) {
            IDLE => Duration::ZERO,
            since => self.time_since(since),
        }
    }

    /// For how long the work has been going on whose handler has returned; zero where there is none.
    pub fn working_for(&self) -> Duration {
        match self.working_since.load(Ordering::Relaxed) {
            IDLE => Duration::ZERO,
            since => self.time_since(since),
        }
    }

    /// How full its mailbox is, from 0 to 1. None of one that has a single place: a writer has one batch, whose events are
    /// more than that.
    pub fn filled(&self) -> Option<f64> {
        (self.capacity > 1).then(|| ((self.depth)() as f64 / self.capacity as f64).min(1.0))
    }

    /// What the actor tells of itself, in its turn among its messages. `None` when it has ended.
    pub fn observe(&self) -> BoxFuture<'static, Option<Value>> {
        (self.observe)()
    }

    pub fn report(&self) -> InstanceReport {
        self.count_time_blocked();
        let depth = (self.depth)();
        let trouble = self.trouble();
        // Messages are taken in order: nothing that is still in the mailbox came before the one taken last, and what
        // is still in work came no later.
        let oldest_wait = match (depth, self.last_taken_queued_at.load(Ordering::Relaxed)) {
            (0, _) | (_, IDLE) => Duration::ZERO,
            (_, queued_at) => self.time_since(queued_at),
        };
        let mean = |nanos: &AtomicU64, count: &AtomicU64| {
            let nanos = nanos.load(Ordering::Relaxed);
            Duration::from_nanos(nanos.checked_div(count.load(Ordering::Relaxed)).unwrap_or(0))
        };
        let last_progress = self.last_progress.load(Ordering::Relaxed);
        InstanceReport {
            kind: self.kind,
            name: self.name.clone(),
            depth,
            capacity: self.capacity,
            handled: self.handled.load(Ordering::Relaxed),
            rejected: self.rejected.load(Ordering::Relaxed),
            restarts: trouble.restarts,
            oldest_wait,
            mean_wait: mean(&self.waited_nanos, &self.taken),
            mean_handling: mean(&self.run_nanos, &self.runs),
            last_progress: (last_progress != IDLE).then_some(Millis(last_progress)),
            busy_for: self.busy_for(),
            working_for: self.working_for(),
            blocked: Duration::from_nanos(self.blocked_nanos.load(Ordering::Relaxed)),
            last_failure: trouble.last.clone(),
            last_error: trouble.last_error.clone(),
        }
    }

    fn micros(&self, at: Instant) -> i64 {
        at.saturating_duration_since(self.began).as_micros() as i64
    }

    fn time_since(&self, micros: i64) -> Duration {
        let now = self.micros(self.clock.instant());
        Duration::from_micros(u64::try_from(now - micros).unwrap_or(0))
    }

    fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An instance at one moment.
#[derive(Clone, Debug)]
pub struct InstanceReport {
    pub kind: &'static str,
    pub name: String,
    /// Events queued or in work.
    pub depth: u64,
    pub capacity: u64,
    /// Messages and signals handled, panicked ones included.
    pub handled: u64,
    /// Messages handed back because the mailbox was full.
    pub rejected: u64,
    pub restarts: u64,
    /// Since when the message that was taken last has been waiting, while anything is queued or in work.
    pub oldest_wait: Duration,
    /// From offer to handling, over all messages that were taken.
    pub mean_wait: Duration,
    /// Of a handler and the work that went on behind it, over all that ended.
    pub mean_handling: Duration,
    /// When the last handler came back.
    pub last_progress: Option<Millis>,
    /// How long the present handler has been running.
    pub busy_for: Duration,
    /// How long the work has been going on whose handler has returned.
    pub working_for: Duration,
    /// For how long it had work and waited for others, since it was started.
    pub blocked: Duration,
    pub last_failure: Option<Failure>,
    pub last_error: Option<ActorError>,
}

/// All running actors, and the threads they run on.
#[derive(Clone, Default)]
pub struct Directory {
    instances: Arc<Mutex<Vec<Weak<Instance>>>>,
    kind_errors: KindErrors,
    threads: Arc<Mutex<Vec<ArbiterHandle>>>,
}

impl Directory {
    pub(crate) fn enlist(&self, parts: InstanceParts) -> Arc<Instance> {
        let instance = Arc::new(Instance::new(parts, self.kind_errors.clone()));
        let mut instances = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
        instances.retain(|instance| instance.strong_count() > 0);
        instances.push(Arc::downgrade(&instance));
        instance
    }

    /// A new thread for actors. It runs until [all are ended](Self::end_threads): actix ends none by itself.
    pub fn thread(&self) -> ArbiterHandle {
        let thread = Arbiter::new().handle();
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread.clone());
        thread
    }

    /// Ends the threads, and with them whatever actors still do.
    pub fn end_threads(&self) {
        for thread in self.threads.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            thread.stop();
        }
    }

    /// The last error of a kind, also of one of it that has ended.
    pub fn last_error(&self, kind: &str) -> Option<ActorError> {
        self.kind_errors.lock().unwrap_or_else(PoisonError::into_inner).get(kind).cloned()
    }

    /// Those that run now, in the order in which they were started.
    pub fn instances(&self) -> Vec<Arc<Instance>> {
        let instances = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
        instances.iter().filter_map(Weak::upgrade).collect()
    }
}
