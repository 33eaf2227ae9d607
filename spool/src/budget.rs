//! How many bytes the spool may hold, with two watermarks.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::error::Full;
use crate::storage::Space;

/// Admit again below nine tenths: with a single watermark every deleted byte would admit one request and
/// refuse the next, and game servers would see a flapping service instead of one that asks for patience.
pub(crate) const ADMIT_AGAIN_PERCENT: u64 = 90;

/// The spool drains by whole segments, which takes seconds: sooner retries would only be refused again.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What stays free on the disk, or a sixteenth of it if that is less. On a disk that is full to the last byte no new
/// segment can be begun, and without one the old is never deleted: the spool would stay full after all is stored.
const SPARE_BYTES: u64 = 64 << 20;

/// How often the disk is asked; a spool can't write much more than a tenth of the spare in between.
const SPACE_ASKED_EVERY: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(crate) struct Budget {
    max_bytes: u64,
    on_disk: AtomicU64,
    queued: AtomicU64,
    full: AtomicBool,
    disk_is_low: AtomicBool,
    space_asked_at: Mutex<Option<Instant>>,
}

impl Budget {
    pub(crate) fn new(max_bytes: u64) -> Self {
        Self {
            max_bytes,
            on_disk: AtomicU64::new(0),
            queued: AtomicU64::new(0),
            full: AtomicBool::new(false),
            disk_is_low: AtomicBool::new(false),
            space_asked_at: Mutex::new(None),
        }
    }

    /// Asks how much room the disk has, unless that was asked a moment ago. A disk that can't tell is taken to have some.
    pub(crate) fn look_at_disk(&self, ask: impl FnOnce() -> io::Result<Space>) {
        let Ok(mut asked_at) = self.space_asked_at.try_lock() else { return };
        if asked_at.is_some_and(|at| at.elapsed() < SPACE_ASKED_EVERY) {
            return;
        }
        *asked_at = Some(Instant::now());
        let Ok(Space { available, total }) = ask() else { return };
        let spare = SPARE_BYTES.min(total / 16);
        // Two watermarks, as for the budget.
        let wanted = if self.disk_is_low() { spare + spare / 4 } else { spare };
        self.disk_is_low.store(available < wanted, Ordering::SeqCst);
    }

    pub(crate) fn disk_is_low(&self) -> bool {
        self.disk_is_low.load(Ordering::SeqCst)
    }

    pub(crate) fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    pub(crate) fn used(&self) -> u64 {
        // A record moves from queued to on_disk by adding first: read in this order, it is counted at least once.
        let queued = self.queued.load(Ordering::SeqCst);
        queued + self.on_disk.load(Ordering::SeqCst)
    }

    pub(crate) fn admit(&self, bytes: u64) -> Result<(), Full> {
        let used = self.used();
        if self.disk_is_low() {
            return Err(self.refusal(used));
        }
        let low_watermark = self.max_bytes / 100 * ADMIT_AGAIN_PERCENT;
        if self.full.load(Ordering::SeqCst) && used >= low_watermark {
            return Err(self.refusal(used));
        }
        let fits = used.saturating_add(bytes) <= self.max_bytes;
        self.full.store(!fits, Ordering::SeqCst);
        if fits { Ok(()) } else { Err(self.refusal(used)) }
    }

    /// Whether the last answer of [`Self::admit`] was no and still would be.
    pub(crate) fn is_full(&self) -> bool {
        self.disk_is_low()
            || self.full.load(Ordering::SeqCst) && self.used() >= self.max_bytes / 100 * ADMIT_AGAIN_PERCENT
    }

    fn refusal(&self, used: u64) -> Full {
        Full { used, max: self.max_bytes, retry_after: RETRY_AFTER }
    }

    pub(crate) fn on_disk(&self) -> u64 {
        self.on_disk.load(Ordering::SeqCst)
    }

    pub(crate) fn queued(&self) -> u64 {
        self.queued.load(Ordering::SeqCst)
    }

    pub(crate) fn enqueue(&self, bytes: u64) {
        self.queued.fetch_add(bytes, Ordering::SeqCst);
    }

    pub(crate) fn dequeue(&self, bytes: u64) {
        self.queued.fetch_sub(bytes, Ordering::SeqCst);
    }

    pub(crate) fn add_to_disk(&self, bytes: u64) {
        self.on_disk.fetch_add(bytes, Ordering::SeqCst);
    }

    pub(crate) fn remove_from_disk(&self, bytes: u64) {
        self.on_disk.fetch_sub(bytes, Ordering::SeqCst);
    }
}
