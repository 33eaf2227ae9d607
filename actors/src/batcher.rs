//! BatcherActor: the one place through which accepted events pass, in order.
//!
//! For each request it lets the tracker stamp the events, hands them to the spool without waiting, and collects
//! them into the open batch ([`crate::batches`]). The answer is sent from the spool's thread when the append is done; the
//! place in the mailbox is held until then.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{ActorContext, AsyncContext, Context};
use mohaa_domain::event::{Event, Millis, SecretText, Text};
use mohaa_domain::tracker::{BotName, EventWindow, QueriedLevel, Trackers};
use mohaa_spool::crash_point::{self, CrashPoint};
use mohaa_spool::{MAX_PAYLOAD_BYTES, Spool};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::accounting::{Accounted, RejectReason};
use crate::batch::{SealedRange, StoredRecord};
use crate::batches::Batches;
use crate::clock::Clock;
use crate::dead_letters::{DeadLetter, DeadLetters};
use crate::idempotency::{BodyHash, IdempotencyKeys, IngestAnswer, Lookup};
use crate::kernel::{Kernel, Worker};
use crate::live::{LiveDesk, NodeNews};
use crate::port::{Admitted, Port};
use crate::record::{RecordBuilder, RecordKey};

/// Other nodes read a tracker's state only when its server moves to them; a second's loss opens no new match.
const TRACKER_STATE_INTERVAL: Duration = Duration::from_secs(1);

/// Requests that the spool's writer is woken for at the latest, however many more are waiting here.
const MOST_IN_GROUP: usize = 32;

/// One accepted request, on its way to the spool.
pub struct IngestRequest {
    pub server_id: Uuid,
    pub received_at: Millis,
    /// A sender that keeps a share until it is answered frees them itself: memory that another thread frees costs both
    /// threads more.
    pub events: Accounted<Arc<Vec<Event>>>,
    pub idempotency: Option<(Text, BodyHash)>,
    /// What the sender is told when the events are safe.
    pub answer: IngestAnswer,
    /// State of this server's tracker as another node left it, for a server that this one has not heard of lately.
    pub tracker_state: Option<Vec<u8>>,
    /// Names that mark bots on this server; none to leave them as the tracker knows them.
    pub bot_names: Option<Arc<[BotName]>>,
    /// Where somebody wants to know which match each of the events is of: nil where it is of none.
    pub matches: Option<oneshot::Sender<Vec<Uuid>>>,
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

/// A player of a match says, by a code, whose they are.
#[derive(Clone, Debug)]
pub struct IdentityClaim {
    pub code: SecretText,
    pub server_id: Uuid,
    pub player_id: Text,
    pub player_name: Text,
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
    /// What other nodes do.
    Nodes(NodeNews),
    /// What a server answered when it was asked what it plays.
    Queried {
        server_id: Uuid,
        level: QueriedLevel,
    },
    /// Have live matches leave snapshots; answered when they have, or can't.
    SaveLive(oneshot::Sender<()>),
    /// Seal what is open; answered when that is begun.
    Flush(oneshot::Sender<()>),
    /// Seal and write everything; answered when nothing is open any more, or dropped where all writers are paused.
    Drain(oneshot::Sender<()>),
    /// End; answered when the spool is closed. What is not stored stays in it.
    Close(oneshot::Sender<()>),
}

/// What the Batcher passes on besides events. Nobody listens any more when the service is ending.
pub struct Outlets {
    /// Changed states of trackers, for other nodes.
    pub tracker_states: mpsc::UnboundedSender<(Uuid, Vec<u8>)>,
    /// Claims of players; those beyond its bound are not listened to, the player claims once more then.
    pub claims: mpsc::Sender<IdentityClaim>,
    /// Servers of whose level nobody knows the map; those beyond its bound are asked in their turn.
    pub unknown_maps: mpsc::Sender<Uuid>,
}

/// A Batcher's state, but for what a panic can have left half done: its successor begins with it.
pub struct BatcherEstate {
    options: BatcherOptions,
    batches: Batches,
    spool: Spool,
    trackers: Trackers,
    /// Those whose state was not passed on since it changed.
    changed_trackers: HashSet<Uuid>,
    keys: IdempotencyKeys,
    clock: Clock,
    outlets: Outlets,
    live: LiveDesk,
    dead_letters: DeadLetters,
    draining: Option<oneshot::Sender<()>>,
    /// Behind the spool, hence dropped after it was closed.
    closed: Option<CloseNotice>,
}

/// What the first Batcher of a process begins with.
pub struct BatcherParts {
    pub options: BatcherOptions,
    pub batches: Batches,
    pub spool: Spool,
    pub trackers: Trackers,
    pub keys: IdempotencyKeys,
    pub clock: Clock,
    pub outlets: Outlets,
    /// Where stamped events go at once.
    pub live: LiveDesk,
    pub dead_letters: DeadLetters,
}

impl From<BatcherParts> for BatcherEstate {
    fn from(parts: BatcherParts) -> Self {
        let BatcherParts { options, batches, spool, trackers, keys, clock, outlets, live, dead_letters } =
            parts;
        Self {
            options,
            batches,
            spool,
            trackers,
            changed_trackers: HashSet::new(),
            keys,
            clock,
            outlets,
            live,
            dead_letters,
            draining: None,
            closed: None,
        }
    }
}

pub struct Batcher {
    estate: BatcherEstate,
    port: Port<Batcher>,
    trackers_sent_at: Instant,
    /// Appends that the spool's writer was not woken for.
    in_group: usize,
    /// The server and key of the request in work; after a panic they tell whose tracker may be half changed and
    /// which key nobody else would ever free.
    in_work: Option<(Uuid, Option<Text>)>,
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
    pub fn new(estate: BatcherEstate, port: Port<Batcher>) -> Self {
        let trackers_sent_at = estate.clock.instant();
        Self { estate, port, trackers_sent_at, in_group: 0, in_work: None }
    }

    /// Takes the request out of `slot` once nothing can lose it any more.
    fn ingest(&mut self, slot: &mut Option<IngestRequest>, admitted: Admitted) {
        let Some(request) = slot else { return };
        let server_id = request.server_id;
        if self.estate.draining.is_some() {
            refuse(slot, RejectReason::Draining);
            return;
        }
        if let Some((key, body_hash)) = &request.idempotency {
            match self.estate.keys.look_up(server_id, key, *body_hash) {
                Lookup::New => {}
                Lookup::Replay(answer) => {
                    if let Some(request) = slot.take() {
                        request.events.reject(RejectReason::IdempotentReplay);
                        send(request.reply, IngestOutcome::Replayed(answer));
                    }
                    return;
                }
                Lookup::InWork => {
                    if let Some(IngestRequest { events, idempotency: Some((key, _)), reply, .. }) =
                        slot.take()
                    {
                        events.reject(RejectReason::IdempotentReplay);
                        self.estate.keys.wait_for(server_id, &key, reply);
                    }
                    return;
                }
                Lookup::Mismatch => {
                    refuse(slot, RejectReason::IdempotencyMismatch);
                    return;
                }
            }
        }
        let key = request.idempotency.as_ref().map(|(key, _)| key.clone());
        let Some(events) = request.events.get() else { return };
        if self.estate.spool.admit(estimated_bytes(events)).is_err() {
            self.release_key(server_id, key, RejectReason::SpoolFull);
            refuse(slot, RejectReason::SpoolFull);
            return;
        }
        if self.estate.spool.wants_rotation() {
            self.rotate();
        }
        let seq = self.estate.spool.next_seq();
        let payload = Arc::new(self.stamp(request, seq));
        if payload.len() > MAX_PAYLOAD_BYTES {
            self.release_key(server_id, key, RejectReason::TooLarge);
            refuse(slot, RejectReason::TooLarge);
            return;
        }
        let Some(request) = slot.take() else { return };
        let IngestRequest { received_at, events, answer, reply, .. } = request;
        let rows = events.events() as usize;
        self.append(server_id, received_at, seq, rows, payload.clone(), key, answer, reply, admitted);
        let ends = self.estate.trackers.get(server_id).map(|tracker| tracker.ends(received_at));
        self.estate.live.deliver(server_id, received_at, seq, &payload, ends.into_iter().flatten());
        let record = StoredRecord { seq, events: rows as u32, payload };
        if self.estate.batches.add(record, events.map(drop)) {
            self.dispatch();
        }
    }

    /// Begins a new segment with the trackers' state at exactly this point.
    fn rotate(&mut self) {
        self.estate.trackers.forget_idle(self.estate.clock.now());
        if let Err(error) = self.estate.spool.rotate(self.estate.trackers.snapshot()) {
            // The old segment goes on, and with it the older state: a restart reads more records again.
            tracing::error!(%error, "a new spool segment could not be begun");
            self.port.instance().note_error(&format!("a new spool segment could not be begun: {error}"));
        }
    }

    /// Passes on the trackers that changed; at most once in [`TRACKER_STATE_INTERVAL`] each.
    fn send_changed_trackers(&mut self) {
        let now = self.estate.clock.instant();
        if now.saturating_duration_since(self.trackers_sent_at) < TRACKER_STATE_INTERVAL {
            return;
        }
        self.trackers_sent_at = now;
        self.send_all_changed_trackers();
    }

    fn send_all_changed_trackers(&mut self) {
        for server_id in self.estate.changed_trackers.drain() {
            // Its owner knows more.
            if self.estate.live.is_followed_elsewhere(server_id) {
                continue;
            }
            if let Some(state) = self.estate.trackers.snapshot_server(server_id) {
                let _ = self.estate.outlets.tracker_states.send((server_id, state));
            }
        }
    }

    /// Stamps a request's events, stages them for live state, and gives the spool's record of them.
    fn stamp(&mut self, request: &mut IngestRequest, seq: u64) -> Vec<u8> {
        let IngestRequest { server_id, received_at, .. } = *request;
        if let Some(state) = &request.tracker_state {
            match self.estate.trackers.restore_server(server_id, state) {
                Ok(false) => {}
                Ok(true) => {
                    let known =
                        self.estate.trackers.get(server_id).map(|tracker| tracker.matches(received_at));
                    self.estate.live.meet(server_id, known.into_iter().flatten(), seq - 1);
                }
                Err(error) => {
                    tracing::warn!(%error, %server_id, "another node's tracker state can't be read, beginning anew");
                }
            }
        }
        let is_followed = self.estate.live.begin_request(server_id);
        let BatcherEstate { trackers, changed_trackers, live, options, outlets, .. } = &mut self.estate;
        let tracker = trackers.of_server(server_id);
        if let Some(bot_names) = &request.bot_names {
            tracker.set_bot_names(bot_names);
        }
        changed_trackers.insert(server_id);
        let key = request.idempotency.as_ref().map(|(key, body_hash)| RecordKey {
            key: key.to_string(),
            body_hash: *body_hash,
            answer: request.answer.clone(),
        });
        let events = request.events.get().map_or(&[][..], |events| events.as_slice());
        let mut record = RecordBuilder::new(server_id, received_at, key.as_ref(), events.len());
        let mut matches = request.matches.is_some().then(|| Vec::with_capacity(events.len()));
        let mut lacks_map = false;
        for (index, event) in events.iter().enumerate() {
            let mut stamp = tracker.stamp(event, received_at, &options.event_window);
            stamp.spool_seq = seq;
            stamp.spool_index = index as u32;
            if let Some((key, _)) = &request.idempotency {
                stamp.idempotency_key = key.clone();
            }
            if !event.claim_code.is_empty() {
                let claim = IdentityClaim {
                    code: event.claim_code.clone(),
                    server_id,
                    player_id: stamp.player_id.clone(),
                    player_name: event.player.name.clone(),
                };
                let _ = outlets.claims.try_send(claim);
            }
            if let Some(matches) = &mut matches {
                matches.push(stamp.match_id);
            }
            record.push(event, &stamp);
            lacks_map = stamp.map_name.is_empty();
            if is_followed {
                live.stage(event, &stamp);
            }
        }
        if lacks_map {
            let _ = outlets.unknown_maps.try_send(server_id);
        }
        if let (Some(asked), Some(matches)) = (request.matches.take(), matches) {
            // Whoever asked may have gone.
            let _ = asked.send(matches);
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
        let appended_as = self.estate.spool.append_to_group(payload, rows as u32, move |result| {
            let outcome = match result {
                Ok(()) => IngestOutcome::Accepted(answer.clone()),
                Err(error) => {
                    tracing::error!(%error, seq, "append to the spool failed");
                    port.instance().note_error(&format!("an append to the spool failed: {error}"));
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
            crash_point::reach(CrashPoint::BeforeAnswer);
            send(reply, outcome);
            crash_point::reach(CrashPoint::AfterAnswer);
            drop(admitted);
        });
        debug_assert_eq!(appended_as, seq);
        self.in_group += 1;
        if self.in_group >= MOST_IN_GROUP {
            self.write_group();
        }
    }

    fn write_group(&mut self) {
        if std::mem::take(&mut self.in_group) > 0 {
            self.estate.spool.write_group();
        }
    }

    fn release_key(&mut self, server_id: Uuid, key: Option<Text>, reason: RejectReason) {
        if let Some(key) = key {
            self.estate.keys.finish(
                server_id,
                &key,
                self.estate.clock.now(),
                Err(IngestOutcome::Rejected(reason)),
            );
        }
    }

    fn dispatch(&mut self) {
        self.estate.batches.dispatch(&self.estate.spool, &self.port);
    }

    fn finish_drain_if_empty(&mut self) {
        if self.estate.draining.is_some() && self.estate.batches.are_written() {
            self.rotate();
            if let Some(drained) = self.estate.draining.take() {
                // Whoever asked may have given up waiting.
                let _ = drained.send(());
            }
        } else if self.estate.draining.is_some() && self.estate.batches.wait_in_vain() {
            self.rotate();
            self.estate.draining = None;
        }
    }
}

impl Worker for Batcher {
    type Message = IngestRequest;
    type Signal = BatcherSignal;
    type Estate = BatcherEstate;

    fn started(&mut self, context: &mut Context<Kernel<Self>>) {
        self.rotate();
        let tick = (self.estate.options.flush_interval / 4)
            .clamp(Duration::from_millis(5), Duration::from_millis(100));
        let (clock, port) = (self.estate.clock.clone(), self.port.clone());
        context.spawn(actix::fut::wrap_future(async move {
            loop {
                clock.sleep(tick).await;
                port.tell(BatcherSignal::Tick);
            }
        }));
        self.dispatch();
    }

    fn handle(
        &mut self,
        request: &mut Option<IngestRequest>,
        admitted: Admitted,
        _context: &mut Context<Kernel<Self>>,
    ) {
        self.in_work = request
            .as_ref()
            .map(|request| (request.server_id, request.idempotency.as_ref().map(|(key, _)| key.clone())));
        self.ingest(request, admitted);
        self.in_work = None;
    }

    fn signal(&mut self, signal: BatcherSignal, context: &mut Context<Kernel<Self>>) {
        match signal {
            BatcherSignal::Tick => {
                self.estate.keys.expire(self.estate.clock.now());
                self.send_changed_trackers();
                // Also while nothing comes or is admitted: what is stored is deleted a segment at a time.
                if self.estate.spool.wants_rotation() {
                    self.rotate();
                }
                if let Some(retained_from) = self.estate.live.tick(self.estate.spool.next_seq() - 1) {
                    self.estate.spool.retain_from(retained_from);
                }
                self.dispatch();
                self.finish_drain_if_empty();
            }
            BatcherSignal::Nodes(NodeNews::Owner { server_id, owner }) => {
                let now = self.estate.clock.now();
                let matches = self.estate.trackers.get(server_id).map(|tracker| tracker.matches(now));
                let newest_seq = self.estate.spool.next_seq() - 1;
                self.estate.live.decided(server_id, owner, matches.into_iter().flatten(), newest_seq);
            }
            BatcherSignal::Nodes(NodeNews::Forwarded(forwarded)) => {
                let newest_seq = self.estate.spool.next_seq() - 1;
                if let Some(taken) = self.estate.live.take_forwarded(&forwarded, newest_seq) {
                    for (event, stamp) in &taken {
                        self.estate.trackers.follow(event, stamp);
                        self.estate.changed_trackers.insert(stamp.server_id);
                    }
                }
            }
            BatcherSignal::Nodes(NodeNews::Lacking { server_id }) => self.estate.live.is_lacking(server_id),
            BatcherSignal::Queried { server_id, level } => {
                // Of a server that nothing was heard of there is nothing to know yet.
                if let Some(tracker) = self.estate.trackers.get_mut(server_id) {
                    tracker.set_queried(level);
                    self.estate.changed_trackers.insert(server_id);
                }
            }
            BatcherSignal::SaveLive(done) => {
                let saves = self.estate.live.save_all();
                context.spawn(actix::fut::wrap_future(async move {
                    futures_util::future::join_all(saves).await;
                    // Whoever asked may have given up waiting.
                    let _ = done.send(());
                }));
            }
            BatcherSignal::AppendFailed { seq, rows } => self.estate.batches.forget_failed(seq, rows),
            BatcherSignal::KeyedAppendEnded { server_id, key, at, outcome } => {
                self.estate.keys.finish(server_id, &key, at, outcome);
            }
            BatcherSignal::SealLogged { range, logged } => {
                self.estate.batches.seal_ended(range, logged);
                if logged {
                    self.dispatch();
                }
            }
            BatcherSignal::Written { writer, range } => {
                crash_point::reach(CrashPoint::BeforeAcknowledge);
                self.estate.spool.stored(range.first_seq, range.last_seq);
                crash_point::reach(CrashPoint::AfterAcknowledge);
                self.estate.batches.writer_is_free(writer);
                self.dispatch();
                self.finish_drain_if_empty();
            }
            BatcherSignal::Close(closed) => {
                self.estate.closed = Some(CloseNotice(Some(closed)));
                // Whoever goes on with these servers has to know their matches up to here.
                self.send_all_changed_trackers();
                self.rotate();
                self.estate.batches.leave_in_spool();
                context.stop();
            }
            BatcherSignal::Flush(begun) => {
                self.estate.batches.flush();
                self.dispatch();
                // Whoever asked may have given up waiting.
                let _ = begun.send(());
            }
            BatcherSignal::Drain(drained) => {
                self.estate.draining = Some(drained);
                self.estate.batches.drain();
                self.dispatch();
                self.finish_drain_if_empty();
            }
        }
    }

    fn rest(&mut self) {
        self.write_group();
        self.estate.live.rest();
    }

    fn observe(&self) -> Value {
        let estate = &self.estate;
        json!({
            "batches": estate.batches.observe(),
            "next_spool_seq": estate.spool.next_seq(),
            "draining": estate.draining.is_some(),
            "server_in_work": self.in_work.as_ref().map(|(server_id, _)| server_id),
        })
    }

    fn bequeath(mut self) -> BatcherEstate {
        self.write_group();
        // Only stamping calls code with state of its own; the tracker it left half changed begins anew.
        if let Some((server_id, key)) = self.in_work.take() {
            self.estate.trackers.forget(server_id);
            self.release_key(server_id, key, RejectReason::Internal);
        }
        self.estate
    }

    fn bury(&mut self, request: IngestRequest, panic: &str) {
        let IngestRequest { server_id, received_at, events, idempotency, answer, reply, .. } = request;
        let key = idempotency.map(|(key, body_hash)| RecordKey { key: key.to_string(), body_hash, answer });
        let unstamped = events.get().map_or(&[][..], |events| events.as_slice());
        let kept = self.estate.dead_letters.keep(&DeadLetter::request(
            server_id,
            received_at,
            key.as_ref(),
            unstamped,
            panic,
        ));
        match kept {
            Ok(()) => events.dead_letter(),
            Err(error) => {
                tracing::error!(%error, %server_id, "dead letters can't be written, the request is lost");
                self.port.instance().note_error(&format!("dead letters can't be written: {error}"));
                events.reject(RejectReason::Internal);
            }
        }
        send(reply, IngestOutcome::Rejected(RejectReason::Internal));
    }
}

/// Upper estimate of a record's size, before it is built.
fn estimated_bytes(events: &[Event]) -> u64 {
    events.iter().map(|event| 600 + event.extra.len() as u64 + event.message.len() as u64).sum()
}

fn refuse(slot: &mut Option<IngestRequest>, reason: RejectReason) {
    if let Some(request) = slot.take() {
        request.events.reject(reason);
        send(request.reply, IngestOutcome::Rejected(reason));
    }
}

fn send(reply: oneshot::Sender<IngestOutcome>, outcome: IngestOutcome) {
    // The sender may have gone; its events are safe all the same.
    let _ = reply.send(outcome);
}
