//! Batches on their way from the spool to the writers: the open one, the sealed ones in order, and which writers are free.
//!
//! An open batch is sealed (its boundary logged in the spool) and given to a writer that is free; while none is, it
//! grows to `batch_max_rows` or `batch_max_bytes` and then queues up. Beyond two waiting batches a writer only their
//! boundaries stay in memory, so a store that is down costs disk, not memory.
//!
//! A batch is never sent before its boundary is logged: a restart must form the same batches, or their tokens would
//! not protect against sending twice.

use std::collections::VecDeque;
use std::time::Instant;

use mohaa_spool::Spool;
use serde_json::{Value, json};

use crate::accounting::{Accounted, RejectReason};
use crate::batch::{SealedRange, StoredRecord};
use crate::batcher::{Batcher, BatcherOptions, BatcherSignal};
use crate::clock::Clock;
use crate::port::{Port, Weight};
use crate::switches::WriterSwitches;
use crate::writer::{ClickHouseWriter, WriteJob};

struct OpenRecord {
    record: StoredRecord,
    events: Accounted<()>,
}

enum SealState {
    /// Its boundary must be written (again).
    Unlogged,
    BeingLogged,
    Logged,
}

/// Of sealed batches that wait for a writer, unless it is one alone: a store that is down costs disk, not memory.
const MOST_BYTES_IN_MEMORY: usize = 192 << 20;

struct SealedBatch {
    range: SealedRange,
    /// In memory, or to be read back from the spool.
    records: Option<Vec<StoredRecord>>,
    events: Accounted<()>,
    state: SealState,
    recovered: bool,
}

impl SealedBatch {
    fn is_ready(&self) -> bool {
        matches!(self.state, SealState::Logged)
    }
}

fn bytes_of(records: &[StoredRecord]) -> usize {
    records.iter().map(|record| record.payload.len()).sum()
}

/// A batch that an earlier process left in the spool.
pub struct RecoveredBatch {
    pub range: SealedRange,
    /// Whether its boundary is in the log: then it may have been sent.
    pub sealed: bool,
    pub events: Accounted<()>,
}

/// All batches of one Batcher.
pub struct Batches {
    options: BatcherOptions,
    clock: Clock,
    writers: Vec<Port<ClickHouseWriter>>,
    idle_writers: Vec<usize>,
    switches: WriterSwitches,
    open: Vec<OpenRecord>,
    open_rows: usize,
    open_bytes: usize,
    open_since: Option<Instant>,
    sealed: VecDeque<SealedBatch>,
    is_draining: bool,
    /// What is open doesn't wait any longer.
    is_flushing: bool,
}

impl Batches {
    /// `writers` are idle, and have a switch each.
    pub fn new(
        options: BatcherOptions,
        clock: Clock,
        writers: Vec<Port<ClickHouseWriter>>,
        switches: WriterSwitches,
        recovered: Vec<RecoveredBatch>,
    ) -> Self {
        let sealed = recovered
            .into_iter()
            .map(|batch| SealedBatch {
                range: batch.range,
                records: None,
                events: batch.events,
                state: if batch.sealed { SealState::Logged } else { SealState::Unlogged },
                recovered: batch.sealed,
            })
            .collect();
        Self {
            options,
            clock,
            idle_writers: (0..writers.len()).collect(),
            writers,
            switches,
            open: Vec::new(),
            open_rows: 0,
            open_bytes: 0,
            open_since: None,
            sealed,
            is_draining: false,
            is_flushing: false,
        }
    }

    /// Adds a record to the open batch; says whether that is large enough to be sealed.
    pub fn add(&mut self, record: StoredRecord, events: Accounted<()>) -> bool {
        self.open_rows += record.events as usize;
        self.open_bytes += record.payload.len();
        self.open.push(OpenRecord { record, events });
        let clock = &self.clock;
        self.open_since.get_or_insert_with(|| clock.instant());
        self.open_rows >= self.options.batch_rows
    }

    /// From here on the open batch doesn't wait to grow.
    pub fn drain(&mut self) {
        self.is_draining = true;
    }

    /// The open batch is sealed as soon as a writer is free, however small and young it is.
    pub fn flush(&mut self) {
        self.is_flushing = !self.open.is_empty();
    }

    /// Something waits, and nobody will ever take it: every writer is paused, and none has a batch.
    pub fn wait_in_vain(&self) -> bool {
        self.switches.are_all_paused()
            && self.idle_writers.len() == self.writers.len()
            && !(self.open.is_empty() && self.sealed.is_empty())
    }

    /// Writers that have no batch and may have one.
    fn free_writers(&self) -> usize {
        self.idle_writers.iter().filter(|writer| !self.switches.is_paused(**writer)).count()
    }

    /// Nothing waits and nothing is in work.
    pub fn are_written(&self) -> bool {
        self.open.is_empty() && self.sealed.is_empty() && self.idle_writers.len() == self.writers.len()
    }

    /// Gives free writers work, and seals what must not grow further.
    pub fn dispatch(&mut self, spool: &Spool, port: &Port<Batcher>) {
        self.hand_out_what_is_due(spool, port);
        let is_blocked = self.free_writers() == 0
            && (self.open_batch_is_due() || self.sealed.iter().any(SealedBatch::is_ready));
        port.instance().set_blocked(is_blocked);
    }

    fn hand_out_what_is_due(&mut self, spool: &Spool, port: &Port<Batcher>) {
        self.log_boundaries(spool, port);
        while self.free_writers() > 0 {
            let next_ready = self.sealed.iter().position(SealedBatch::is_ready);
            if let Some(position) = next_ready {
                self.hand_out(position, port);
                continue;
            }
            // One boundary under way is enough for each free writer.
            if self.sealed.len() >= self.free_writers() || !self.open_batch_is_due() {
                return;
            }
            self.seal_open_batch(spool, port);
        }
        if self.open_rows >= self.options.batch_max_rows || self.open_bytes >= self.options.batch_max_bytes {
            self.seal_open_batch(spool, port);
        }
    }

    fn open_batch_is_due(&self) -> bool {
        let Some(since) = self.open_since else { return false };
        self.open_rows >= self.options.batch_rows
            || self.clock.instant().saturating_duration_since(since) >= self.options.flush_interval
            || self.is_draining
            || self.is_flushing
    }

    fn seal_open_batch(&mut self, spool: &Spool, port: &Port<Batcher>) {
        let Some(first) = self.open.first() else {
            self.open_since = None;
            return;
        };
        let range = SealedRange {
            first_seq: first.record.seq,
            last_seq: self.open.last().map_or(first.record.seq, |last| last.record.seq),
        };
        let mut records = Vec::with_capacity(self.open.len());
        let mut events: Option<Accounted<()>> = None;
        for open in self.open.drain(..) {
            records.push(open.record);
            match &mut events {
                None => events = Some(open.events),
                Some(events) => events.absorb(open.events),
            }
        }
        self.open_rows = 0;
        self.open_bytes = 0;
        self.open_since = None;
        self.is_flushing = false;
        let Some(events) = events else { return };
        let in_memory: Vec<usize> =
            self.sealed.iter().filter_map(|batch| batch.records.as_deref().map(bytes_of)).collect();
        let bytes = in_memory.iter().sum::<usize>() + bytes_of(&records);
        let keep_in_memory = in_memory.is_empty()
            || in_memory.len() < 2 * self.options.writer_count && bytes <= MOST_BYTES_IN_MEMORY;
        self.sealed.push_back(SealedBatch {
            range,
            records: keep_in_memory.then_some(records),
            events,
            state: SealState::Unlogged,
            recovered: false,
        });
        self.log_boundaries(spool, port);
    }

    fn log_boundaries(&mut self, spool: &Spool, port: &Port<Batcher>) {
        for batch in &mut self.sealed {
            if !matches!(batch.state, SealState::Unlogged) {
                continue;
            }
            batch.state = SealState::BeingLogged;
            let range = batch.range;
            let port = port.clone();
            spool.seal(range.first_seq, range.last_seq, move |result| {
                port.tell(BatcherSignal::SealLogged { range, logged: result.is_ok() });
            });
        }
    }

    /// A batch's boundary is in the log, or could not be written.
    pub fn seal_ended(&mut self, range: SealedRange, logged: bool) {
        if let Some(batch) = self.sealed.iter_mut().find(|batch| batch.range == range) {
            batch.state = if logged { SealState::Logged } else { SealState::Unlogged };
        }
    }

    fn hand_out(&mut self, position: usize, port: &Port<Batcher>) {
        let may_write = |writer: &usize| !self.switches.is_paused(*writer);
        let Some(place) = self.idle_writers.iter().rposition(may_write) else { return };
        let writer = self.idle_writers.remove(place);
        let Some(batch) = self.sealed.remove(position) else { return };
        let weight = Weight { events: batch.events.events(), bytes: 0 };
        let port = port.clone();
        let range = batch.range;
        let job = WriteJob {
            range,
            records: batch.records,
            recovered: batch.recovered,
            events: batch.events,
            on_ended: Box::new(move || port.tell(BatcherSignal::Written { writer, range })),
        };
        if let Err((job, refusal)) = self.writers[writer].offer(job, weight) {
            // An idle writer's mailbox is empty and admits anything; one that has ended is asked no more.
            tracing::error!(writer, ?refusal, "an idle writer refused a batch");
            self.sealed.push_front(SealedBatch {
                range: job.range,
                records: job.records,
                events: job.events,
                state: SealState::Logged,
                recovered: job.recovered,
            });
        }
    }

    /// A writer has no batch any more.
    pub fn writer_is_free(&mut self, writer: usize) {
        self.idle_writers.push(writer);
    }

    /// A record that never reached the disk leaves its batch; its events were refused.
    pub fn forget_failed(&mut self, seq: u64, rows: u64) {
        if let Some(position) = self.open.iter().position(|open| open.record.seq == seq) {
            let failed = self.open.remove(position);
            self.open_rows = self.open_rows.saturating_sub(rows as usize);
            self.open_bytes = self.open_bytes.saturating_sub(failed.record.payload.len());
            failed.events.reject(RejectReason::SpoolFailed);
            if self.open.is_empty() {
                self.open_since = None;
            }
            return;
        }
        // Sealed, but not sent: the boundary is logged after every append of its range has ended.
        let holds = |batch: &&mut SealedBatch| batch.range.first_seq <= seq && seq <= batch.range.last_seq;
        let Some(batch) = self.sealed.iter_mut().find(holds) else { return };
        if let Some(records) = &mut batch.records {
            records.retain(|record| record.seq != seq);
        }
        batch.events.split_off(rows).reject(RejectReason::SpoolFailed);
    }

    /// This process ends: what waits stays in the spool for the next one.
    pub fn leave_in_spool(&mut self) {
        self.open.drain(..).for_each(|open| open.events.leave_in_spool());
        self.sealed.drain(..).for_each(|batch| batch.events.leave_in_spool());
    }

    /// What operators may see.
    pub fn observe(&self) -> Value {
        json!({
            "open_records": self.open.len(),
            "open_rows": self.open_rows,
            "open_bytes": self.open_bytes,
            "sealed": self.sealed.len(),
            "sealed_in_memory": self.sealed.iter().filter(|batch| batch.records.is_some()).count(),
            "writers": self.writers.len(),
            "idle_writers": self.idle_writers.len(),
            "paused_writers": self.switches.paused(),
        })
    }
}
