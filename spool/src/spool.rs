//! The caller's handle.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::budget::Budget;
use crate::damage::Damage;
use crate::error::{AppendError, CloseError, Fault, Full, OpenError};
use crate::format::{MAX_PAYLOAD_BYTES, RECORD_HEADER_BYTES};
use crate::ranges::SeqRange;
use crate::reader::{Records, SpoolReader};
use crate::recover::{TornTail, survey};
use crate::segments::Segments;
use crate::shared::{Command, FinishGuard, Gauges, Queue, Rotation, Shared, lock};
use crate::stats::SpoolStats;
use crate::storage::{FileSystem, Storage};
use crate::writer::{Writer, WriterStart};

/// When an append is answered, and what it then survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fsync {
    /// After an fsync that covers it: survives a power loss.
    Always,
    /// After the write: survives the process (`kill -9`, a panic, out of memory). A power loss or a
    /// crash of the operating system takes at most what was answered in the last so long.
    Interval(Duration),
    /// After the write: survives the process. A power loss takes whatever the operating system had not written.
    Never,
}

#[derive(Clone)]
pub struct SpoolOptions {
    /// Made if absent. One spool owns it.
    pub dir: PathBuf,
    pub fsync: Fsync,
    /// The upper watermark of the budget, in bytes on disk and queued.
    pub max_bytes: u64,
    /// Rotation is wanted when a segment has so many bytes, or a sixteenth of `max_bytes` if that is less.
    pub segment_bytes: u64,
    /// Rotation is wanted when a segment that isn't empty is so old.
    pub segment_max_age: Duration,
    pub storage: Arc<dyn Storage>,
}

impl SpoolOptions {
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            fsync: Fsync::Interval(Duration::from_millis(100)),
            max_bytes: 8 << 30,
            segment_bytes: 64 << 20,
            segment_max_age: Duration::from_secs(600),
            storage: Arc::new(FileSystem),
        }
    }
}

/// A segment is the smallest thing that can be deleted. At a sixteenth of the budget the current one and
/// a partly stored one together stay under the tenth-wide gap between the watermarks, more or less.
const LEAST_SEGMENTS_IN_BUDGET: u64 = 16;

/// What dropping a spool waits for its writer: longer than a healthy disk ever takes.
const DROP_DEADLINE: Duration = Duration::from_secs(5);

/// What an earlier process left. Use the iterators up before the first [`Spool::rotate`] or
/// [`Spool::stored`]: both may delete segments, and an iterator that meets a deleted one ends in an error.
pub struct Recovered {
    /// The caller's state of the newest segment whose header is readable.
    pub newest_header: Option<Vec<u8>>,
    /// The records appended after that state was given: fold them into it.
    pub after_newest_header: Records,
    /// Every record on disk, stored ones too, oldest first.
    pub records: Records,
    /// Records on disk that no [`Spool::stored`] covers.
    pub unstored: Vec<SeqRange>,
    pub unstored_records: u64,
    pub unstored_events: u64,
    /// Logged boundaries with records in `unstored`, in the order they were logged, each once.
    pub seals: Vec<SeqRange>,
    pub damage: Vec<Damage>,
    pub torn_tail: Option<TornTail>,
}

/// An open spool; see the [module](crate). One thread appends, seals and rotates.
pub struct Spool {
    shared: Arc<Shared>,
    segment_bytes: u64,
    segment_max_age: Duration,
    writer: Option<JoinHandle<()>>,
}

impl Spool {
    pub fn open(options: SpoolOptions) -> Result<(Self, Recovered), OpenError> {
        let SpoolOptions { dir, fsync, max_bytes, segment_bytes, segment_max_age, storage } = options;
        storage.create_dir(&dir).map_err(|error| Fault::new("create", &dir, error))?;
        let directory_lock = match storage.lock(&dir) {
            Ok(directory_lock) => directory_lock,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                return Err(OpenError::Locked { dir });
            }
            Err(error) => return Err(Fault::new("lock", &dir, error).into()),
        };
        let survey = survey(&*storage, &dir)?;

        let budget = Budget::new(max_bytes);
        budget.add_to_disk(survey.segments.iter().map(|segment| segment.end).sum());
        let shared = Arc::new(Shared {
            storage,
            dir,
            spool_id: survey.identity.spool_id,
            budget,
            gauges: Gauges::default(),
            poisoned: OnceLock::new(),
            queue: Mutex::new(Queue {
                commands: Vec::new(),
                next_seq: survey.next_seq,
                writer_is_idle: false,
                closed: false,
                finished: false,
                close_fault: None,
                rotation: Rotation::Never,
                bytes_since_rotation: 0,
                records_since_rotation: 0,
            }),
            work: Condvar::new(),
            finished: Condvar::new(),
            segments: Mutex::new(Segments {
                list: survey.segments.into(),
                written_through: survey.next_seq - 1,
                deleted_through: 0,
            }),
        });
        let segments = lock(&shared.segments);
        shared.refresh_gauges(&segments);
        let everything = SeqRange::new(0, u64::MAX);
        let records = Records::over(&shared, segments.list.iter(), everything);
        let after_header = match &survey.newest_header {
            Some(header) => SeqRange::new(header.first_seq, u64::MAX),
            None => everything,
        };
        let after_newest_header = Records::over(&shared, segments.list.iter(), after_header);
        drop(segments);
        let recovered = Recovered {
            after_newest_header,
            records,
            unstored: survey.unstored.iter().collect(),
            unstored_records: survey.unstored_records,
            unstored_events: survey.unstored_events,
            seals: survey.seals,
            damage: survey.damage,
            torn_tail: survey.torn_tail,
            newest_header: None,
        };

        let mut writer = Writer::new(WriterStart {
            shared: Arc::clone(&shared),
            fsync,
            identity: survey.identity,
            stored: survey.stored,
            newest_header_ordinal: survey.newest_header.as_ref().map_or(0, |header| header.ordinal),
            next_ordinal: survey.next_ordinal,
            lock: directory_lock,
        });
        let guarded = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("spool-writer".to_owned())
            .spawn(move || {
                let _guard = FinishGuard(guarded);
                writer.run();
                // Before the guard: who waits for the end may then open the directory again.
                drop(writer);
            })
            .map_err(OpenError::Thread)?;
        let spool = Self {
            shared,
            segment_bytes: segment_bytes.min(max_bytes / LEAST_SEGMENTS_IN_BUDGET),
            segment_max_age,
            writer: Some(thread),
        };
        let newest_header = survey.newest_header.map(|header| header.state);
        Ok((spool, Recovered { newest_header, ..recovered }))
    }

    /// Random, made with the directory, the same ever after.
    #[must_use]
    pub fn spool_id(&self) -> Uuid {
        self.shared.spool_id
    }

    /// The number that the next append will have.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        lock(&self.shared.queue).next_seq
    }

    /// Whether a request of so many bytes may be taken. Refuses once it would pass `max_bytes` (on disk
    /// and queued), and then until the spool is below nine tenths of that; also while the disk itself is almost full.
    /// Asking reserves nothing.
    pub fn admit(&self, bytes: u64) -> Result<(), Full> {
        self.shared.admit(bytes)
    }

    /// Queues `payload` for the writer and returns its sequence number at once. `done` runs on the writer
    /// thread once the record is as safe as [`Fsync`] promises, or with the reason why it isn't on disk; it
    /// must not block, because everything behind it waits.
    pub fn append(
        &self,
        payload: impl Into<Arc<Vec<u8>>>,
        events: u32,
        done: impl FnOnce(Result<(), AppendError>) + Send + 'static,
    ) -> u64 {
        let seq = self.append_to_group(payload, events, done);
        self.write_group();
        seq
    }

    /// Like [`append`](Self::append), but the writer need not begin before [`write_group`](Self::write_group) or any other
    /// command: whoever has several appends at hand wakes it once for all of them.
    pub fn append_to_group(
        &self,
        payload: impl Into<Arc<Vec<u8>>>,
        events: u32,
        done: impl FnOnce(Result<(), AppendError>) + Send + 'static,
    ) -> u64 {
        let payload = payload.into();
        let bytes = (RECORD_HEADER_BYTES + payload.len()) as u64;
        let mut queue = lock(&self.shared.queue);
        let seq = queue.next_seq;
        queue.next_seq += 1;
        queue.bytes_since_rotation += bytes;
        queue.records_since_rotation += 1;
        if queue.closed {
            drop(queue);
            done(Err(self.shared.poisoned_error().unwrap_or(AppendError::Closed)));
            return seq;
        }
        self.shared.budget.enqueue(bytes);
        self.shared.gauges.queued_appends.fetch_add(1, Ordering::Relaxed);
        queue.commands.push(Command::Append { seq, events, payload, done: Box::new(done) });
        seq
    }

    /// Has the writer write what was appended to a group.
    pub fn write_group(&self) {
        let queue = lock(&self.shared.queue);
        if !queue.commands.is_empty() {
            self.wake_writer(queue);
        }
    }

    /// Logs a batch boundary behind everything appended so far. `done` runs when the boundary is as safe
    /// as the policy ever makes it: under `Interval` that is after the next sync, so that a batch that
    /// waits for it can't reach the store and then be cut differently after a power loss.
    pub fn seal(
        &self,
        first_seq: u64,
        last_seq: u64,
        done: impl FnOnce(Result<(), AppendError>) + Send + 'static,
    ) {
        let queue = lock(&self.shared.queue);
        if queue.closed {
            drop(queue);
            return done(Err(self.shared.poisoned_error().unwrap_or(AppendError::Closed)));
        }
        let next_seq = queue.next_seq;
        let range = SeqRange::new(first_seq, last_seq);
        self.push(queue, Command::Seal { next_seq, range, done: Box::new(done) });
    }

    /// All of that sealed range is in the store, or accounted for elsewhere. Segments that have nothing
    /// else are deleted, oldest first.
    pub fn stored(&self, first_seq: u64, last_seq: u64) {
        let queue = lock(&self.shared.queue);
        self.push(queue, Command::Stored(SeqRange::new(first_seq, last_seq)));
    }

    /// Segments with a record from `seq` on stay, stored or not. `None`: no such wish, as at the start.
    pub fn retain_from(&self, seq: Option<u64>) {
        let queue = lock(&self.shared.queue);
        self.push(queue, Command::RetainFrom(seq));
    }

    /// True at the start, when the segment is large or old enough, when the last rotation failed, and
    /// when the budget is used up and the current segment has records (so that it can be deleted).
    #[must_use]
    pub fn wants_rotation(&self) -> bool {
        let queue = lock(&self.shared.queue);
        let not_empty = queue.records_since_rotation > 0;
        queue.bytes_since_rotation >= self.segment_bytes && not_empty
            || queue.rotation.is_due(not_empty.then_some(self.segment_max_age))
            || not_empty && self.shared.budget.is_full()
    }

    /// Begins a new segment behind everything appended so far, with the caller's state at exactly this
    /// point. When it can't be made, appending goes on in the old segment and [`Self::wants_rotation`]
    /// turns true again.
    pub fn rotate(&self, header_state: Vec<u8>) -> Result<(), AppendError> {
        let (bytes, limit) = (header_state.len() as u64, MAX_PAYLOAD_BYTES as u64);
        if bytes > limit {
            return Err(AppendError::TooLarge { bytes, limit });
        }
        let mut queue = lock(&self.shared.queue);
        queue.rotation = Rotation::Queued;
        queue.bytes_since_rotation = 0;
        queue.records_since_rotation = 0;
        let next_seq = queue.next_seq;
        self.push(queue, Command::Rotate { next_seq, state: header_state });
        Ok(())
    }

    #[must_use]
    pub fn reader(&self) -> SpoolReader {
        SpoolReader::new(Arc::clone(&self.shared))
    }

    #[must_use]
    pub fn stats(&self) -> SpoolStats {
        SpoolStats::of(&self.shared)
    }

    /// Why nothing more can be appended until the spool is opened again, if so.
    #[must_use]
    pub fn poisoned(&self) -> Option<Arc<str>> {
        self.shared.poisoned.get().cloned()
    }

    /// Writes what is queued, syncs whatever the policy, and ends the writer thread. Rotate with the final
    /// state before, and a spool whose records are all stored is left with that state and no record.
    pub fn close(mut self, deadline: Duration) -> Result<(), CloseError> {
        self.shut_down(deadline)
    }

    fn push(&self, mut queue: std::sync::MutexGuard<'_, Queue>, command: Command) {
        queue.commands.push(command);
        self.wake_writer(queue);
    }

    fn wake_writer(&self, mut queue: std::sync::MutexGuard<'_, Queue>) {
        let wake = std::mem::take(&mut queue.writer_is_idle);
        drop(queue);
        if wake {
            self.shared.work.notify_one();
        }
    }

    fn shut_down(&mut self, deadline: Duration) -> Result<(), CloseError> {
        let Some(writer) = self.writer.take() else { return Ok(()) };
        let began = Instant::now();
        let mut queue = lock(&self.shared.queue);
        if !queue.closed {
            queue.closed = true;
            let next_seq = queue.next_seq;
            self.push(queue, Command::Close { next_seq });
            queue = lock(&self.shared.queue);
        }
        while !queue.finished {
            let left = deadline.saturating_sub(began.elapsed());
            if left.is_zero() {
                return Err(CloseError::Deadline);
            }
            queue = self.shared.finished.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let close_fault = queue.close_fault.take();
        drop(queue);
        // A panic of the thread has poisoned the spool, which is told below.
        let _ = writer.join();
        match (self.shared.poisoned.get(), close_fault) {
            (Some(reason), _) => Err(CloseError::Poisoned { reason: Arc::clone(reason) }),
            (None, Some(fault)) => Err(fault.into()),
            (None, None) => Ok(()),
        }
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        // Nobody is left to tell; who wants to know calls `close`.
        let _ = self.shut_down(DROP_DEADLINE);
    }
}
