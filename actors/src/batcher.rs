//! BatcherActor: the one place through which accepted events pass, in order.
//!
//! For each request it lets the tracker stamp the events, hands them to the spool without waiting, and collects
//! them into the open batch. The answer is sent from the spool's thread when the append is done; the place in the
//! mailbox is held until then. An open batch is sealed (its boundary logged in the spool) and given to a writer
//! that is free; while none is, it grows to `batch_max_rows` or `batch_max_bytes` and then queues up. Beyond two
//! waiting batches a writer only their boundaries stay in memory, so a store that is down costs disk, not memory.
//!
//! A batch is never sent before its boundary is logged: a restart must form the same batches, or their tokens would
//! not protect against sending twice.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{ActorContext, AsyncContext, Context};
use mohaa_domain::event::{Event, Millis, Text};
use mohaa_domain::tracker::{EventWindow, Trackers};
use mohaa_spool::Spool;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::accounting::{Accounted, RejectReason};
use crate::batch::{SealedRange, StoredRecord};
use crate::clock::Clock;
use crate::idempotency::{BodyHash, IdempotencyKeys, IngestAnswer, Lookup};
use crate::port::{Admitted, Kernel, Port, Weight, Worker};
use crate::record::{RecordBuilder, RecordKey};
use crate::writer::{ClickHouseWriter, WriteJob};

/// Other nodes read a tracker's state only when its server moves to them; a second's loss opens no new match.
const TRACKER_STATE_INTERVAL: Duration = Duration::from_secs(1);

/// One accepted request, on its way to the spool.
pub struct IngestRequest {
    pub server_id: Uuid,
    pub received_at: Millis,
    /// Best freed where they were made: a sender that keeps a share until it is answered spares the allocators of two
    /// threads from writing to each other's memory.
    pub events: Accounted<Arc<Vec<Event>>>,
    pub idempotency: Option<(Text, BodyHash)>,
    /// What the sender is told when the events are safe.
    pub answer: IngestAnswer,
    /// State of this server's tracker as another node left it, for a server that is new to this one.
    pub tracker_state: Option<Vec<u8>>,
    pub reply: oneshot::Sender<IngestOutcome>,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IngestOutcome {
    /// Its events survive the end of this process.
    Accepted(IngestAnswer),
    /// It repeats an accepted request, whose answer this is.
    Replayed(IngestAnswer),
    Rejected(RejectReason),
}

/// How the Batcher forms batches.
#[derive(Clone, Copy, Debug)]
pub struct BatcherOptions {
    pub batch_rows: usize,
    pub batch_max_rows: usize,
    pub batch_max_bytes: usize,
    pub flush_interval: Duration,
    pub event_window: EventWindow,
    pub writer_count: usize,
}

/// What collaborators tell the Batcher.
pub enum BatcherSignal {
    Tick,
    /// The append of a record has failed; its events are already refused towards the sender.
    AppendFailed {
        seq: u64,
        rows: u64,
    },
    /// The append of a request with an idempotency key has ended.
    KeyedAppendEnded {
        server_id: Uuid,
        key: Text,
        at: Millis,
        outcome: Result<IngestAnswer, IngestOutcome>,
    },
    /// A batch's boundary is in the log, or could not be written.
    SealLogged {
        range: SealedRange,
        logged: bool,
    },
    /// All rows of a batch have ended.
    Written {
        writer: usize,
        range: SealedRange,
    },
    /// Seal and write everything; answered when nothing is open any more.
    Drain(oneshot::Sender<()>),
    /// End; answered when the spool is closed. What is not stored stays in it.
    Close(oneshot::Sender<()>),
}

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

struct SealedBatch {
    range: SealedRange,
    /// In memory, or to be read back from the spool.
    records: Option<Vec<StoredRecord>>,
    events: Accounted<()>,
    state: SealState,
    recovered: bool,
}

/// A batch that an earlier process left in the spool.
pub struct RecoveredBatch {
    pub range: SealedRange,
    /// Whether its boundary is in the log: then it may have been sent.
    pub sealed: bool,
    pub events: Accounted<()>,
}

/// The parts a Batcher is made of.
pub struct BatcherParts {
    pub options: BatcherOptions,
    pub spool: Spool,
    pub trackers: Trackers,
    pub keys: IdempotencyKeys,
    pub clock: Clock,
    /// Where changed tracker states go, for other nodes.
    pub tracker_states: mpsc::UnboundedSender<(Uuid, Vec<u8>)>,
    pub recovered: Vec<RecoveredBatch>,
}

pub struct Batcher {
    options: BatcherOptions,
    port: Port<Batcher>,
    writers: Vec<Port<ClickHouseWriter>>,
    idle_writers: Vec<usize>,
    spool: Spool,
    trackers: Trackers,
    keys: IdempotencyKeys,
    clock: Clock,
    tracker_states: mpsc::UnboundedSender<(Uuid, Vec<u8>)>,
    changed_trackers: HashSet<Uuid>,
    trackers_sent_at: Instant,
    open: Vec<OpenRecord>,
    open_rows: usize,
    open_bytes: usize,
    open_since: Option<Instant>,
    sealed: VecDeque<SealedBatch>,
    draining: Option<oneshot::Sender<()>>,
    /// The server and key of the request in work; after a panic they tell whose tracker may be half changed and
    /// which key nobody else would ever free.
    in_work: Option<(Uuid, Option<Text>)>,
    /// Behind the spool, hence dropped after it was closed.
    closed: Option<CloseNotice>,
}

/// Tells, when it is dropped, that everything before it was.
struct CloseNotice(Option<oneshot::Sender<()>>);

impl Drop for CloseNotice {
    fn drop(&mut self) {
        if let Some(closed) = self.0.take() {
            // Whoever asked may have given up waiting.
            let _ = closed.send(());
        }
    }
}

impl Batcher {
    /// `writers` must be `options.writer_count` idle writers that tell this Batcher's port when a batch is written.
    pub fn new(parts: BatcherParts, port: Port<Batcher>, writers: Vec<Port<ClickHouseWriter>>) -> Self {
        let sealed = parts
            .recovered
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
            options: parts.options,
            port,
            idle_writers: (0..writers.len()).collect(),
            writers,
            spool: parts.spool,
            trackers: parts.trackers,
            keys: parts.keys,
            clock: parts.clock,
            tracker_states: parts.tracker_states,
            changed_trackers: HashSet::new(),
            trackers_sent_at: Instant::now(),
            open: Vec::new(),
            open_rows: 0,
            open_bytes: 0,
            open_since: None,
            sealed,
            draining: None,
            in_work: None,
            closed: None,
        }
    }

    fn ingest(&mut self, request: IngestRequest, admitted: Admitted) {
        let IngestRequest { server_id, received_at, events, idempotency, answer, tracker_state, reply } =
            request;
        if self.draining.is_some() {
            refuse(events, reply, RejectReason::Draining);
            return;
        }
        let mut reply = Some(reply);
        if let Some((key, body_hash)) = &idempotency {
            match self.keys.look_up(server_id, key, *body_hash, &mut reply) {
                Lookup::New => {}
                Lookup::Replay(answer) => {
                    events.reject(RejectReason::IdempotentReplay);
                    send(reply, IngestOutcome::Replayed(answer));
                    return;
                }
                Lookup::Waiting => {
                    events.reject(RejectReason::IdempotentReplay);
                    return;
                }
                Lookup::Mismatch => {
                    events.reject(RejectReason::IdempotencyMismatch);
                    send(reply, IngestOutcome::Rejected(RejectReason::IdempotencyMismatch));
                    return;
                }
            }
        }
        let Some(reply) = reply else { return };
        let key = idempotency.as_ref().map(|(key, _)| key.clone());
        let Some(events_to_stamp) = events.get() else { return };
        if self.spool.admit(estimated_bytes(events_to_stamp)).is_err() {
            self.release_key(server_id, key, RejectReason::SpoolFull);
            refuse(events, reply, RejectReason::SpoolFull);
            return;
        }
        if self.spool.wants_rotation() {
            self.rotate();
        }
        let seq = self.spool.next_seq();
        let record_key = idempotency.map(|(key, body_hash)| RecordKey {
            key: key.to_string(),
            body_hash,
            answer: answer.clone(),
        });
        let payload =
            self.stamp(server_id, received_at, seq, events_to_stamp, record_key.as_ref(), tracker_state);
        let rows = events_to_stamp.len();
        let payload_bytes = payload.len();
        let payload = Arc::new(payload);
        self.append(server_id, received_at, seq, rows, payload.clone(), key, answer, reply, admitted);
        self.open.push(OpenRecord { record: StoredRecord { seq, payload }, events: events.map(drop) });
        self.open_rows += rows;
        self.open_bytes += payload_bytes;
        self.open_since.get_or_insert_with(Instant::now);
        if self.open_rows >= self.options.batch_rows {
            self.dispatch();
        }
    }

    /// Begins a new segment with the trackers' state at exactly this point.
    fn rotate(&mut self) {
        self.trackers.forget_idle((self.clock)());
        if let Err(error) = self.spool.rotate(self.trackers.snapshot()) {
            // The old segment goes on, and with it the older state: a restart reads more records again.
            tracing::error!(%error, "a new spool segment could not be begun");
        }
    }

    /// Passes on the trackers that changed; at most once in [`TRACKER_STATE_INTERVAL`] each.
    fn send_changed_trackers(&mut self) {
        if self.trackers_sent_at.elapsed() < TRACKER_STATE_INTERVAL {
            return;
        }
        self.trackers_sent_at = Instant::now();
        for server_id in self.changed_trackers.drain() {
            if let Some(state) = self.trackers.snapshot_server(server_id) {
                // Nobody listens any more when the service is ending.
                let _ = self.tracker_states.send((server_id, state));
            }
        }
    }

    fn stamp(
        &mut self,
        server_id: Uuid,
        received_at: Millis,
        seq: u64,
        events: &[Event],
        key: Option<&RecordKey>,
        tracker_state: Option<Vec<u8>>,
    ) -> Vec<u8> {
        if let Some(state) = tracker_state
            && !self.trackers.knows(server_id)
            && let Err(error) = self.trackers.restore_server(server_id, &state)
        {
            tracing::warn!(%error, %server_id, "another node's tracker state can't be read, beginning anew");
        }
        self.changed_trackers.insert(server_id);
        let mut record = RecordBuilder::new(server_id, received_at, key, events.len());
        for (index, event) in events.iter().enumerate() {
            let mut stamp = self.trackers.stamp(server_id, event, received_at, &self.options.event_window);
            stamp.spool_seq = seq;
            stamp.spool_index = index as u32;
            if let Some(RecordKey { key, .. }) = key {
                stamp.idempotency_key = Text::from(key.as_str());
            }
            record.push(event, &stamp);
        }
        record.finish()
    }

    #[allow(clippy::too_many_arguments, reason = "each is a part of the one request that is appended")]
    fn append(
        &mut self,
        server_id: Uuid,
        received_at: Millis,
        seq: u64,
        rows: usize,
        payload: Arc<Vec<u8>>,
        key: Option<Text>,
        answer: IngestAnswer,
        reply: oneshot::Sender<IngestOutcome>,
        admitted: Admitted,
    ) {
        let port = self.port.clone();
        let appended_as = self.spool.append(payload, rows as u32, move |result| {
            let outcome = match result {
                Ok(()) => IngestOutcome::Accepted(answer.clone()),
                Err(error) => {
                    tracing::error!(%error, seq, "append to the spool failed");
                    port.tell(BatcherSignal::AppendFailed { seq, rows: rows as u64 });
                    IngestOutcome::Rejected(RejectReason::SpoolFailed)
                }
            };
            if let Some(key) = key {
                let ended = match &outcome {
                    IngestOutcome::Accepted(_) => Ok(answer),
                    refused => Err(refused.clone()),
                };
                port.tell(BatcherSignal::KeyedAppendEnded {
                    server_id,
                    key,
                    at: received_at,
                    outcome: ended,
                });
            }
            send(Some(reply), outcome);
            drop(admitted);
        });
        debug_assert_eq!(appended_as, seq);
    }

    fn release_key(&mut self, server_id: Uuid, key: Option<Text>, reason: RejectReason) {
        if let Some(key) = key {
            self.keys.finish(server_id, &key, (self.clock)(), Err(IngestOutcome::Rejected(reason)));
        }
    }

    /// Gives free writers work, and seals what must not grow further.
    fn dispatch(&mut self) {
        self.log_boundaries();
        while !self.idle_writers.is_empty() {
            let next_ready = self.sealed.iter().position(|batch| matches!(batch.state, SealState::Logged));
            if let Some(position) = next_ready {
                self.hand_out(position);
                continue;
            }
            // One boundary under way is enough for each free writer.
            if self.sealed.len() >= self.idle_writers.len() || !self.open_batch_is_due() {
                return;
            }
            self.seal_open_batch();
        }
        if self.open_rows >= self.options.batch_max_rows || self.open_bytes >= self.options.batch_max_bytes {
            self.seal_open_batch();
        }
    }

    fn open_batch_is_due(&self) -> bool {
        let Some(since) = self.open_since else { return false };
        self.open_rows >= self.options.batch_rows
            || since.elapsed() >= self.options.flush_interval
            || self.draining.is_some()
    }

    fn seal_open_batch(&mut self) {
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
        let Some(events) = events else { return };
        let in_memory = self.sealed.iter().filter(|batch| batch.records.is_some()).count();
        let keep_in_memory = in_memory < 2 * self.options.writer_count;
        self.sealed.push_back(SealedBatch {
            range,
            records: keep_in_memory.then_some(records),
            events,
            state: SealState::Unlogged,
            recovered: false,
        });
        self.log_boundaries();
    }

    fn log_boundaries(&mut self) {
        for batch in &mut self.sealed {
            if !matches!(batch.state, SealState::Unlogged) {
                continue;
            }
            batch.state = SealState::BeingLogged;
            let range = batch.range;
            let port = self.port.clone();
            self.spool.seal(range.first_seq, range.last_seq, move |result| {
                port.tell(BatcherSignal::SealLogged { range, logged: result.is_ok() });
            });
        }
    }

    fn hand_out(&mut self, position: usize) {
        let Some(writer) = self.idle_writers.pop() else { return };
        let Some(batch) = self.sealed.remove(position) else { return };
        let weight = Weight { events: batch.events.events(), bytes: 0 };
        let job = WriteJob {
            range: batch.range,
            records: batch.records,
            recovered: batch.recovered,
            events: batch.events,
        };
        if let Err(job) = self.writers[writer].offer(job, weight) {
            // An idle writer's mailbox is empty and admits anything; should that ever fail, the batch waits on.
            tracing::error!(writer, "an idle writer refused a batch");
            self.sealed.push_front(SealedBatch {
                range: job.range,
                records: job.records,
                events: job.events,
                state: SealState::Logged,
                recovered: job.recovered,
            });
        }
    }

    /// A record that never reached the disk leaves its batch; its events were refused.
    fn forget_failed(&mut self, seq: u64, rows: u64) {
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

    fn finish_drain_if_empty(&mut self) {
        let busy = self.idle_writers.len() < self.writers.len();
        if self.draining.is_some() && self.open.is_empty() && self.sealed.is_empty() && !busy {
            self.rotate();
            if let Some(drained) = self.draining.take() {
                // Whoever asked may have given up waiting.
                let _ = drained.send(());
            }
        }
    }
}

impl Worker for Batcher {
    type Message = IngestRequest;
    type Signal = BatcherSignal;

    fn started(&mut self, context: &mut Context<Kernel<Self>>) {
        self.rotate();
        let tick =
            (self.options.flush_interval / 4).clamp(Duration::from_millis(5), Duration::from_millis(100));
        let port = self.port.clone();
        context.run_interval(tick, move |_kernel, _context| port.tell(BatcherSignal::Tick));
        self.dispatch();
    }

    fn handle(&mut self, request: IngestRequest, admitted: Admitted, _context: &mut Context<Kernel<Self>>) {
        self.in_work = Some((request.server_id, request.idempotency.as_ref().map(|(key, _)| key.clone())));
        self.ingest(request, admitted);
        self.in_work = None;
    }

    fn signal(&mut self, signal: BatcherSignal, context: &mut Context<Kernel<Self>>) {
        match signal {
            BatcherSignal::Tick => {
                self.keys.expire((self.clock)());
                self.send_changed_trackers();
                self.dispatch();
                self.finish_drain_if_empty();
            }
            BatcherSignal::AppendFailed { seq, rows } => self.forget_failed(seq, rows),
            BatcherSignal::KeyedAppendEnded { server_id, key, at, outcome } => {
                self.keys.finish(server_id, &key, at, outcome);
            }
            BatcherSignal::SealLogged { range, logged } => {
                if let Some(batch) = self.sealed.iter_mut().find(|batch| batch.range == range) {
                    batch.state = if logged { SealState::Logged } else { SealState::Unlogged };
                }
                if logged {
                    self.dispatch();
                }
            }
            BatcherSignal::Written { writer, range } => {
                self.spool.stored(range.first_seq, range.last_seq);
                self.idle_writers.push(writer);
                self.dispatch();
                self.finish_drain_if_empty();
            }
            BatcherSignal::Close(closed) => {
                self.closed = Some(CloseNotice(Some(closed)));
                self.rotate();
                self.open.drain(..).for_each(|open| open.events.leave_in_spool());
                self.sealed.drain(..).for_each(|batch| batch.events.leave_in_spool());
                context.stop();
            }
            BatcherSignal::Drain(drained) => {
                self.draining = Some(drained);
                self.dispatch();
                self.finish_drain_if_empty();
            }
        }
    }

    fn recover_after_panic(&mut self) {
        // Only stamping calls code with state of its own; the tracker it left half changed is made anew.
        let Some((server_id, key)) = self.in_work.take() else { return };
        self.trackers.forget(server_id);
        self.release_key(server_id, key, RejectReason::Internal);
    }
}

/// Upper estimate of a record's size, before it is built.
fn estimated_bytes(events: &[Event]) -> u64 {
    events.iter().map(|event| 600 + event.extra.len() as u64 + event.message.len() as u64).sum()
}

fn refuse(events: Accounted<Arc<Vec<Event>>>, reply: oneshot::Sender<IngestOutcome>, reason: RejectReason) {
    events.reject(reason);
    send(Some(reply), IngestOutcome::Rejected(reason));
}

fn send(reply: Option<oneshot::Sender<IngestOutcome>>, outcome: IngestOutcome) {
    if let Some(reply) = reply {
        // The sender may have gone; its events are safe all the same.
        let _ = reply.send(outcome);
    }
}
