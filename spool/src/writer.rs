//! The one thread that changes the directory: takes everything queued, writes it with one write, syncs
//! by policy, completes each.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crate::Fsync;
use crate::checkpoint::Checkpoint;
use crate::crash_point::{self, CrashPoint};
use crate::error::{AppendError, Fault};
use crate::format::{
    MAX_PAYLOAD_BYTES, NUMBER_LIMIT, RECORD_HEADER_BYTES, SegmentHeader, encode_data, encode_seal,
    segment_name, segment_seed,
};
use crate::identity::{Identity, RESERVATION, RESERVATION_MARGIN};
use crate::ranges::{RangeSet, SeqRange};
use crate::segments::Segment;
use crate::shared::{Command, Done, Rotation, Shared, lock, unix_ms};
use crate::storage::{DirectoryLock, PublishError, StorageFile, append_all, publish};

/// Written at the latest when the group has grown to this: a disk's throughput is reached well below
/// it, and the buffer stays small beside what is queued.
const GROUP_WRITE_BYTES: usize = 1 << 20;

/// Given back to the allocator above this, so that one huge record isn't paid for ever after.
const KEPT_BUFFER_BYTES: usize = 4 << 20;

/// Before the name of a segment that is done with and holds bytes that could not be read.
const DAMAGED_PREFIX: &str = "damaged-";

pub(crate) struct Writer {
    shared: Arc<Shared>,
    fsync: Fsync,
    identity: Identity,
    checkpoint: Checkpoint,
    retain_from: Option<u64>,
    /// Segments from this one on stay: it holds the newest state of the caller.
    newest_header_ordinal: u64,
    next_ordinal: u64,
    current: Option<CurrentSegment>,
    buffer: Vec<u8>,
    group: Vec<Pending>,
    /// The highest number taken from the queue.
    last_seq: u64,
    awaiting_sync: Vec<Answer>,
    unsynced_since: Option<Instant>,
    newly_stored: Vec<SeqRange>,
    _lock: DirectoryLock,
}

struct CurrentSegment {
    file: Box<dyn StorageFile>,
    name: String,
    seed: u32,
    /// Behind the last good record, in bytes from the file's start.
    end: u64,
}

/// An encoded record that is not written yet: `buffer[start..end]`.
struct Pending {
    start: usize,
    end: usize,
    /// `None`: a seal
    seq: Option<u64>,
    done: Done,
}

struct Answer {
    done: Done,
    /// Without a failure of its own it becomes what the sync becomes.
    failure: Option<AppendError>,
}

pub(crate) struct WriterStart {
    pub shared: Arc<Shared>,
    pub fsync: Fsync,
    pub identity: Identity,
    pub stored: RangeSet,
    pub newest_header_ordinal: u64,
    pub next_ordinal: u64,
    pub lock: DirectoryLock,
}

impl Writer {
    pub(crate) fn new(start: WriterStart) -> Self {
        let shared = start.shared;
        let checkpoint =
            Checkpoint::new(Arc::clone(&shared.storage), shared.dir.clone(), shared.spool_id, start.stored);
        let last_seq = lock(&shared.segments).written_through;
        Self {
            shared,
            fsync: start.fsync,
            identity: start.identity,
            checkpoint,
            retain_from: None,
            newest_header_ordinal: start.newest_header_ordinal,
            next_ordinal: start.next_ordinal,
            current: None,
            buffer: Vec::new(),
            group: Vec::new(),
            last_seq,
            awaiting_sync: Vec::new(),
            unsynced_since: None,
            newly_stored: Vec::new(),
            _lock: start.lock,
        }
    }

    pub(crate) fn run(&mut self) {
        loop {
            let commands = self.take_commands();
            let may_free_segments = commands
                .iter()
                .any(|command| !matches!(command, Command::Append { .. } | Command::Seal { .. }));
            let written_at_ms = unix_ms();
            let mut closing = None;
            for command in commands {
                match command {
                    Command::Append { seq, events, payload, done } => {
                        self.append(seq, events, &payload, written_at_ms, done);
                    }
                    Command::Seal { next_seq, range, done } => {
                        self.seal(next_seq, range, written_at_ms, done);
                    }
                    Command::Rotate { next_seq, state } => self.rotate(next_seq, state),
                    Command::Stored(range) => self.newly_stored.push(range),
                    Command::RetainFrom(seq) => self.retain_from = seq,
                    Command::Close { next_seq } => closing = Some(next_seq),
                }
            }
            self.write_group();
            if closing.is_some() || self.time_to_sync() == Some(Duration::ZERO) {
                self.sync();
            }
            if may_free_segments {
                self.note_stored();
                self.delete_stored_segments();
            }
            if let Some(next_seq) = closing {
                self.leave_cleanly(next_seq);
                return;
            }
        }
    }

    /// Waits until there is something to do; empty when only a sync is due.
    fn take_commands(&mut self) -> Vec<Command> {
        let shared = Arc::clone(&self.shared);
        let mut queue = lock(&shared.queue);
        loop {
            if !queue.commands.is_empty() {
                return mem::take(&mut queue.commands);
            }
            let timeout = self.time_to_sync();
            if timeout == Some(Duration::ZERO) {
                return Vec::new();
            }
            queue.writer_is_idle = true;
            queue = match timeout {
                None => shared.work.wait(queue).unwrap_or_else(PoisonError::into_inner),
                Some(timeout) => {
                    shared.work.wait_timeout(queue, timeout).unwrap_or_else(PoisonError::into_inner).0
                }
            };
            queue.writer_is_idle = false;
        }
    }

    fn time_to_sync(&self) -> Option<Duration> {
        match (self.fsync, self.unsynced_since) {
            (Fsync::Always, None) if self.awaiting_sync.is_empty() => None,
            (Fsync::Always, _) => Some(Duration::ZERO),
            (Fsync::Interval(interval), since) => Some(interval.saturating_sub(since?.elapsed())),
            (Fsync::Never, _) => None,
        }
    }

    fn append(&mut self, seq: u64, events: u32, payload: &[u8], written_at_ms: u64, done: Done) {
        self.last_seq = seq;
        let seed = match self.accept_data(seq, payload.len()) {
            Ok(seed) => seed,
            Err(error) => {
                // Earlier ones are answered first.
                self.write_group();
                self.leave_queue(payload.len());
                self.answer(done, Some(error), false);
                return;
            }
        };
        let start = self.buffer.len();
        encode_data(&mut self.buffer, seed, seq, events, written_at_ms, payload);
        self.group.push(Pending { start, end: self.buffer.len(), seq: Some(seq), done });
        if self.buffer.len() >= GROUP_WRITE_BYTES {
            self.write_group();
        }
    }

    /// The checksum seed to encode with, or why this record can't be taken.
    fn accept_data(&mut self, seq: u64, payload_bytes: usize) -> Result<u32, AppendError> {
        if payload_bytes > MAX_PAYLOAD_BYTES {
            let (bytes, limit) = (payload_bytes as u64, MAX_PAYLOAD_BYTES as u64);
            return Err(AppendError::TooLarge { bytes, limit });
        }
        let seed = self.seed()?;
        if seq >= NUMBER_LIMIT {
            return Err(AppendError::NumbersUsedUp);
        }
        if seq + RESERVATION_MARGIN >= self.identity.reserved_below {
            let further = Identity { reserved_below: seq + RESERVATION, ..self.identity };
            match further.publish(&*self.shared.storage, &self.shared.dir) {
                Ok(()) => self.identity = further,
                Err(fault) if seq >= self.identity.reserved_below => {
                    return Err(AppendError::Reservation(fault));
                }
                // Tried again with the next record; the margin is long.
                Err(_) => {}
            }
        }
        Ok(seed)
    }

    fn seal(&mut self, next_seq: u64, range: SeqRange, written_at_ms: u64, done: Done) {
        let SeqRange { first, last } = range;
        let accepted = if first > last || last >= next_seq {
            Err(AppendError::InvalidSeal { first, last, next_seq })
        } else {
            self.seed()
        };
        match accepted {
            Ok(seed) => {
                let start = self.buffer.len();
                encode_seal(&mut self.buffer, seed, next_seq, written_at_ms, range);
                self.group.push(Pending { start, end: self.buffer.len(), seq: None, done });
            }
            Err(error) => {
                self.write_group();
                self.answer(done, Some(error), true);
            }
        }
    }

    fn seed(&self) -> Result<u32, AppendError> {
        if let Some(error) = self.shared.poisoned_error() {
            return Err(error);
        }
        self.current.as_ref().map(|current| current.seed).ok_or(AppendError::NoSegment)
    }

    fn write_group(&mut self) {
        let group = mem::take(&mut self.group);
        let (written, failure) = match &mut self.current {
            Some(current) if !group.is_empty() && self.shared.poisoned.get().is_none() => {
                reach_for_each_kind(&group, CrashPoint::BeforeAppend, CrashPoint::BeforeSeal);
                let written = write_whole_records(&self.shared, current, &self.buffer, &group);
                reach_for_each_kind(&group, CrashPoint::AfterAppend, CrashPoint::AfterSeal);
                written
            }
            // Encoded before a sync in between failed.
            _ => (0, self.shared.poisoned_error()),
        };
        if let Some(current) = &mut self.current {
            let bytes = group[..written].last().map_or(0, |last| last.end as u64);
            let mut segments = lock(&self.shared.segments);
            if let Some(segment) = segments.list.back_mut() {
                let written_at_ms = unix_ms();
                for pending in &group[..written] {
                    if let Some(seq) = pending.seq {
                        segment.note_record(seq, current.end + pending.start as u64, written_at_ms);
                    }
                }
                current.end += bytes;
                segment.end = current.end;
            }
            segments.written_through = self.last_seq;
            self.shared.refresh_gauges(&segments);
            drop(segments);
            self.shared.budget.add_to_disk(bytes);
            if written > 0 {
                self.unsynced_since.get_or_insert_with(Instant::now);
            }
        } else {
            lock(&self.shared.segments).written_through = self.last_seq;
        }
        self.buffer.clear();
        self.buffer.shrink_to(KEPT_BUFFER_BYTES);
        for (position, pending) in group.into_iter().enumerate() {
            let is_seal = pending.seq.is_none();
            if !is_seal {
                self.leave_queue(pending.end - pending.start - RECORD_HEADER_BYTES);
            }
            let failed = position >= written;
            let failure = failed.then(|| failure.clone().unwrap_or(AppendError::Closed));
            self.answer(pending.done, failure, is_seal);
        }
    }

    /// Now, or when the policy calls the record safe. Appends are answered in their order, seals in theirs.
    fn answer(&mut self, done: Done, failure: Option<AppendError>, is_seal: bool) {
        let waits_for_sync = match self.fsync {
            Fsync::Always => true,
            Fsync::Interval(_) => is_seal && self.unsynced_since.is_some(),
            Fsync::Never => false,
        };
        if waits_for_sync {
            self.awaiting_sync.push(Answer { done, failure });
        } else {
            self.complete(done, failure.map_or(Ok(()), Err));
        }
    }

    fn sync(&mut self) {
        if let (Some(_), Some(current)) = (self.unsynced_since.take(), &self.current) {
            let began = Instant::now();
            let synced = current.file.sync();
            let micros = began.elapsed().as_micros() as u64;
            self.shared.gauges.last_sync_micros.store(micros, Ordering::Relaxed);
            if let Err(error) = synced {
                // After a failed fsync the kernel may have dropped the pages and call them clean: a
                // second fsync that succeeds proves nothing.
                let fault = Fault::new("sync", &self.shared.dir.join(&current.name), error);
                self.shared.poison(fault.to_string());
            }
        }
        let outcome = self.shared.poisoned_error();
        for answer in mem::take(&mut self.awaiting_sync) {
            self.complete(answer.done, answer.failure.or_else(|| outcome.clone()).map_or(Ok(()), Err));
        }
    }

    fn rotate(&mut self, first_seq: u64, state: Vec<u8>) {
        self.write_group();
        if self.fsync != Fsync::Never {
            self.sync();
        }
        if self.shared.poisoned.get().is_some() {
            return;
        }
        let ordinal = self.next_ordinal;
        if ordinal >= NUMBER_LIMIT || first_seq >= NUMBER_LIMIT {
            // A segment of that name would be nobody's at the next start.
            self.shared.gauges.failed_rotations.fetch_add(1, Ordering::Relaxed);
            lock(&self.shared.queue).rotation = Rotation::Failed(Instant::now());
            return;
        }
        let spool_id = self.shared.spool_id;
        let name = segment_name(ordinal, first_seq);
        let header = SegmentHeader { spool_id, ordinal, first_seq, created_at_ms: unix_ms(), state }.encode();
        match publish(&*self.shared.storage, &self.shared.dir, &name, &header) {
            Err(PublishError::NotPublished(_)) => {
                self.shared.gauges.failed_rotations.fetch_add(1, Ordering::Relaxed);
                lock(&self.shared.queue).rotation = Rotation::Failed(Instant::now());
                return;
            }
            Err(PublishError::Unknown(fault)) => {
                self.shared.poison(fault.to_string());
                return;
            }
            Ok(file) => {
                let seed = segment_seed(spool_id, ordinal, first_seq);
                let end = header.len() as u64;
                self.shared.budget.add_to_disk(end);
                let mut segments = lock(&self.shared.segments);
                segments.list.push_back(Segment {
                    ordinal,
                    first_seq,
                    name: name.clone(),
                    seed,
                    lowest_seq: first_seq,
                    seq_limit: NUMBER_LIMIT,
                    records_start: end,
                    end,
                    present: RangeSet::default(),
                    index: Vec::new(),
                    known_damage: Vec::new(),
                    first_written_at_ms: None,
                });
                self.shared.refresh_gauges(&segments);
                drop(segments);
                self.current = Some(CurrentSegment { file, name, seed, end });
                self.newest_header_ordinal = ordinal;
                self.next_ordinal += 1;
            }
        }
        // What an older segment left unsynced under `Never` stays so.
        self.unsynced_since = None;
        lock(&self.shared.queue).rotation = Rotation::Opened(Instant::now());
    }

    fn note_stored(&mut self) {
        let ranges = mem::take(&mut self.newly_stored);
        if ranges.is_empty() {
            return;
        }
        crash_point::reach(CrashPoint::BeforeCheckpoint);
        if self.checkpoint.add(&ranges).is_err() {
            self.shared.gauges.failed_checkpoints.fetch_add(1, Ordering::Relaxed);
        }
        crash_point::reach(CrashPoint::AfterCheckpoint);
    }

    fn delete_stored_segments(&mut self) {
        loop {
            let segments = lock(&self.shared.segments);
            let Some(oldest) = segments.list.front() else { return };
            let retained = match (oldest.present.last(), self.retain_from) {
                (Some(last), Some(retain_from)) => last >= retain_from,
                _ => false,
            };
            if retained
                || oldest.ordinal >= self.newest_header_ordinal
                || !oldest.is_stored(self.checkpoint.stored())
            {
                return;
            }
            let path = self.shared.dir.join(&oldest.name);
            let set_aside = (!oldest.known_damage.is_empty())
                .then(|| self.shared.dir.join(format!("{DAMAGED_PREFIX}{}", oldest.name)));
            let bytes = oldest.end;
            drop(segments);
            let storage = &self.shared.storage;
            crash_point::reach(CrashPoint::BeforeDelete);
            let gone = match set_aside {
                None => storage.remove(&path),
                Some(aside) => storage.rename(&path, &aside),
            };
            crash_point::reach(CrashPoint::AfterDelete);
            let removed = match gone {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                // Synced one by one: were a removal undone by a power loss, those left must still follow
                // one another, or recovery would miss a segment.
                _ => storage.sync_dir(&self.shared.dir),
            };
            if removed.is_err() {
                // Tried again when the next range is stored.
                self.shared.gauges.failed_deletions.fetch_add(1, Ordering::Relaxed);
                return;
            }
            let mut segments = lock(&self.shared.segments);
            let deleted = segments.list.pop_front().and_then(|segment| segment.present.last());
            segments.deleted_through = deleted.unwrap_or(segments.deleted_through);
            self.shared.budget.remove_from_disk(bytes);
            self.shared.refresh_gauges(&segments);
            if let Some(oldest) = segments.list.front() {
                self.checkpoint.forget_below(oldest.first_seq);
            }
        }
    }

    /// The next process goes on with the next number and doesn't skip the reserved ones.
    fn leave_cleanly(&mut self, next_seq: u64) {
        let identity = Identity { reserved_below: next_seq, ..self.identity };
        let published = identity.publish(&*self.shared.storage, &self.shared.dir);
        let compacted = self.checkpoint.compact();
        lock(&self.shared.queue).close_fault = published.and(compacted).err();
    }

    fn leave_queue(&self, payload_bytes: usize) {
        self.shared.budget.dequeue((RECORD_HEADER_BYTES + payload_bytes) as u64);
        self.shared.gauges.queued_appends.fetch_sub(1, Ordering::Relaxed);
    }

    fn complete(&self, done: Done, result: Result<(), AppendError>) {
        // The closure is the caller's: its panic must not stop everybody's appends.
        if catch_unwind(AssertUnwindSafe(|| done(result))).is_err() {
            self.shared.gauges.panicked_completions.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn reach_for_each_kind(group: &[Pending], of_data: CrashPoint, of_seals: CrashPoint) {
    if group.iter().any(|pending| pending.seq.is_some()) {
        crash_point::reach(of_data);
    }
    if group.iter().any(|pending| pending.seq.is_none()) {
        crash_point::reach(of_seals);
    }
}

/// How many records of the group are on disk, and why the others aren't.
fn write_whole_records(
    shared: &Shared,
    current: &mut CurrentSegment,
    buffer: &[u8],
    group: &[Pending],
) -> (usize, Option<AppendError>) {
    let Err((taken, error)) = append_all(&mut *current.file, buffer) else {
        return (group.len(), None);
    };
    let path = shared.dir.join(&current.name);
    let written = group.partition_point(|pending| pending.end <= taken);
    let failed = (group.len() - written) as u64;
    shared.gauges.failed_writes.fetch_add(failed, Ordering::Relaxed);
    let good_end = current.end + group[..written].last().map_or(0, |last| last.end as u64);
    match current.file.truncate(good_end) {
        Ok(()) => (written, Some(AppendError::Write(Fault::new("append to", &path, error)))),
        Err(truncate_error) => {
            let undo = Fault::new("undo a failed append to", &path, truncate_error);
            shared.poison(format!("{undo} (the append failed with: {error})"));
            (written, shared.poisoned_error())
        }
    }
}
