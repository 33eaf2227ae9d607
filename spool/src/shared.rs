//! What the caller's handle, the readers and the writer thread share.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use uuid::Uuid;

use crate::budget::Budget;
use crate::error::{AppendError, Fault, Full};
use crate::ranges::SeqRange;
use crate::segments::Segments;
use crate::storage::Storage;

pub(crate) type Done = Box<dyn FnOnce(Result<(), AppendError>) + Send>;

pub(crate) enum Command {
    Append { seq: u64, events: u32, payload: Arc<Vec<u8>>, done: Done },
    Seal { next_seq: u64, range: SeqRange, done: Done },
    Rotate { next_seq: u64, state: Vec<u8> },
    Stored(SeqRange),
    RetainFrom(Option<u64>),
    Close { next_seq: u64 },
}

/// A failed rotation (a full disk, usually) is asked for again after this: soon enough to be over with the
/// outage, seldom enough to cost nothing during it.
const ROTATION_RETRY: Duration = Duration::from_secs(1);

pub(crate) enum Rotation {
    /// No segment of this process exists yet.
    Never,
    Queued,
    Opened(Instant),
    Failed(Instant),
}

impl Rotation {
    pub(crate) fn is_due(&self, segment_max_age: Option<Duration>) -> bool {
        match self {
            Self::Never => true,
            Self::Queued => false,
            Self::Opened(at) => segment_max_age.is_some_and(|max_age| at.elapsed() >= max_age),
            Self::Failed(at) => at.elapsed() >= ROTATION_RETRY,
        }
    }
}

pub(crate) struct Queue {
    pub commands: Vec<Command>,
    pub next_seq: u64,
    /// The writer waits on the condition variable; nobody else needs waking it.
    pub writer_is_idle: bool,
    pub closed: bool,
    pub finished: bool,
    /// What the writer could not leave in order when it closed.
    pub close_fault: Option<Fault>,
    pub rotation: Rotation,
    /// Of the segment that the last queued rotation begins.
    pub bytes_since_rotation: u64,
    pub records_since_rotation: u64,
}

#[derive(Default)]
pub(crate) struct Gauges {
    pub queued_appends: AtomicU64,
    pub segments: AtomicU64,
    /// 0: no record on disk
    pub oldest_record_ms: AtomicU64,
    pub last_sync_micros: AtomicU64,
    pub failed_writes: AtomicU64,
    pub failed_rotations: AtomicU64,
    pub failed_checkpoints: AtomicU64,
    pub failed_deletions: AtomicU64,
    pub panicked_completions: AtomicU64,
}

pub(crate) struct Shared {
    pub storage: Arc<dyn Storage>,
    pub dir: PathBuf,
    pub spool_id: Uuid,
    pub budget: Budget,
    pub gauges: Gauges,
    pub poisoned: OnceLock<Arc<str>>,
    pub queue: Mutex<Queue>,
    pub work: Condvar,
    pub finished: Condvar,
    pub segments: Mutex<Segments>,
}

impl Shared {
    /// See [`crate::Spool::admit`].
    pub(crate) fn admit(&self, bytes: u64) -> Result<(), Full> {
        self.budget.look_at_disk(|| self.storage.space(&self.dir));
        self.budget.admit(bytes)
    }

    pub(crate) fn poison(&self, reason: String) {
        // The first reason is the cause, later ones are its consequences.
        let _ = self.poisoned.set(reason.into());
    }

    pub(crate) fn poisoned_error(&self) -> Option<AppendError> {
        self.poisoned.get().map(|reason| AppendError::Poisoned { reason: Arc::clone(reason) })
    }

    pub(crate) fn refresh_gauges(&self, segments: &Segments) {
        self.gauges.segments.store(segments.list.len() as u64, Ordering::Relaxed);
        let oldest = segments.oldest_written_at_ms().unwrap_or(0);
        self.gauges.oldest_record_ms.store(oldest, Ordering::Relaxed);
    }
}

/// Tells the end of the thread, however it ends, and answers what was queued behind it.
pub(crate) struct FinishGuard(pub Arc<Shared>);

impl Drop for FinishGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.poison("the writer thread panicked".to_owned());
        }
        let mut queue = lock(&self.0.queue);
        queue.closed = true;
        let left = std::mem::take(&mut queue.commands);
        drop(queue);
        for command in left {
            if let Command::Append { done, .. } | Command::Seal { done, .. } = command {
                done(Err(self.0.poisoned_error().unwrap_or(AppendError::Closed)));
            }
        }
        lock(&self.0.queue).finished = true;
        self.0.finished.notify_all();
    }
}

/// A panic of one holder doesn't make these data wrong: every change under these locks is a single step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
