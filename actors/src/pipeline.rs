//! Puts the way of an event together: opens the spool, recovers what an earlier process left, starts the writers and
//! the Batcher on threads of their own.

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use mohaa_domain::event::{Millis, Text};
use mohaa_domain::tracker::Trackers;
use mohaa_spool::{OpenError, Recovered, SeqRange, Spool, SpoolOptions, SpoolReader};
use prometheus::Registry;
use tokio::sync::{RwLock, oneshot};
use uuid::Uuid;

use crate::accounting::Ledger;
use crate::batch::SealedRange;
use crate::batcher::{Batcher, BatcherOptions, BatcherParts, BatcherSignal, Outlets};
use crate::batches::{Batches, RecoveredBatch};
use crate::clock::Clock;
use crate::dead_letters::{DeadLetterError, DeadLetters};
use crate::held::HeldRequests;
use crate::idempotency::{self, IdempotencyKeys};
use crate::live::{LiveDesk, LiveFeeds, LiveParts, LivePorts};
use crate::metrics::MailboxMetricFamilies;
use crate::parked::ParkedKey;
use crate::port::{Capacity, Port, Post};
use crate::record::RecordView;
use crate::replay::Replayer;
use crate::store::EventStore;
use crate::supervision::{Directory, RestartBudget};
use crate::switches::WriterSwitches;
use crate::writer::{ClickHouseWriter, WriterEnvironment, WriterMetrics};

/// An event in the mailbox takes about a kilobyte once decoded; requests of huge events are bounded by bytes.
const MAILBOX_BYTES_PER_EVENT: u64 = 8 * 1024;

/// Snapshots are one write each.
pub const SAVE_DEADLINE: Duration = Duration::from_secs(2);

/// Closing the spool is one write and one sync.
pub const CLOSE_DEADLINE: Duration = Duration::from_secs(10);

pub struct PipelineOptions {
    pub spool: SpoolOptions,
    pub batcher: BatcherOptions,
    /// Events that may be queued or in work.
    pub queue_events: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    #[error(transparent)]
    Spool(#[from] OpenError),
    #[error("spool can't be read: {0}")]
    Read(#[from] mohaa_spool::ReadError),
    #[error("{path}: {source}", path = .path.display())]
    Files { path: PathBuf, source: io::Error },
    #[error(transparent)]
    DeadLetters(#[from] DeadLetterError),
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// The running way of an event.
#[derive(Clone)]
pub struct Pipeline {
    pub batcher: Port<Batcher>,
    pub ledger: Ledger,
    pub spool: SpoolReader,
    pub dead_letters: DeadLetters,
    /// What waits for the approval of its server.
    pub held: HeldRequests,
    /// What viewers of live matches are told.
    pub live: LiveFeeds,
    /// Whoever holds it for writing has the store to himself.
    pub gate: Arc<RwLock<()>>,
    /// See [`WriterEnvironment::doubtful_inserts`].
    pub doubtful_inserts: Arc<AtomicU64>,
    pub spool_id: Uuid,
    /// Which writers are paused.
    pub switches: WriterSwitches,
    /// All actors that run.
    pub actors: Directory,
    /// Where further kinds of actors take the metrics of their mailboxes from.
    pub mailbox_metrics: Arc<MailboxMetricFamilies>,
    environment: Arc<WriterEnvironment>,
}

impl Pipeline {
    /// Blocks while the spool is read; afterwards events can be offered at once.
    ///
    /// # Errors
    /// When the spool can't be opened or read, or `registry` already holds metrics of the same names.
    pub fn start(
        options: PipelineOptions,
        store: Arc<dyn EventStore>,
        registry: &Registry,
        clock: Clock,
        outlets: Outlets,
        ports: LivePorts,
    ) -> Result<Self, PipelineError> {
        let directory = options.spool.dir.clone();
        let in_directory = |source| PipelineError::Files { path: directory.clone(), source };
        let (spool, recovered) = Spool::open(options.spool)?;
        let metrics = WriterMetrics::new(registry)?;
        metrics.note_damage(&recovered.damage);
        let ledger = Ledger::new(registry)?;
        let dead_letters = DeadLetters::open(&directory)?;
        let held = HeldRequests::open(&directory, ledger.clone(), clock.clone()).map_err(in_directory)?;
        let mut keys = IdempotencyKeys::open(&directory, clock.now()).map_err(in_directory)?;
        let dead_requests = dead_letters.requests()?;
        let mut parked = held.keys();
        parked.extend(dead_requests.iter().map(|(_, key)| key.clone()));
        let earlier =
            recover(recovered, &mut keys, &parked, &ledger, options.batcher.batch_max_rows, clock.now())?;
        held.forget_sent(&earlier.sent).map_err(in_directory)?;
        dead_letters.forget_sent(dead_requests, &earlier.sent)?;

        let families = Arc::new(MailboxMetricFamilies::new(registry)?);
        let spool_reader = spool.reader();
        let spool_id = spool.spool_id();
        let gate = Arc::new(RwLock::new(()));
        let doubtful_inserts = Arc::new(AtomicU64::new(0));
        let environment = Arc::new(WriterEnvironment {
            spool_id,
            reader: spool_reader.clone(),
            store,
            dead_letters: dead_letters.clone(),
            gate: gate.clone(),
            clock: clock.clone(),
            metrics,
            doubtful_inserts: doubtful_inserts.clone(),
        });
        let actors = Directory::default();
        let writer_metrics = families.of_kind("clickhouse_writer");
        let writers = (0..options.batcher.writer_count)
            .map(|index| {
                let post = Post {
                    arbiter: &actors.thread(),
                    name: index.to_string(),
                    // A writer has one batch at a time: the Batcher keeps the queue.
                    capacity: Capacity { events: 1, bytes: 1 },
                    budget: RestartBudget::default(),
                    clock: clock.clone(),
                    metrics: writer_metrics.clone(),
                    directory: &actors,
                };
                Port::start(post, environment.clone(), |port, environment| {
                    ClickHouseWriter::new(environment, port.clone())
                })
            })
            .collect();
        let feeds = LiveFeeds::measured(registry)?;
        let mut live = LiveDesk::new(LiveParts {
            feeds: feeds.clone(),
            ports,
            spool_id,
            spool: spool_reader.clone(),
            clock: clock.clone(),
            metrics: families.of_kind("match"),
            directory: actors.clone(),
        });
        let delivered_through = spool.next_seq() - 1;
        for tracker in earlier.trackers.iter() {
            live.meet(tracker.server_id(), tracker.matches(clock.now()), delivered_through);
        }
        let switches = WriterSwitches::new(options.batcher.writer_count);
        let metrics = families.of_kind("batcher");
        let batches =
            Batches::new(options.batcher, clock.clone(), writers, switches.clone(), earlier.batches);
        let parts = BatcherParts {
            options: options.batcher,
            batches,
            spool,
            trackers: earlier.trackers,
            keys,
            clock: clock.clone(),
            outlets,
            live,
            dead_letters: dead_letters.clone(),
        };
        let post = Post {
            arbiter: &actors.thread(),
            name: "0".to_owned(),
            capacity: Capacity {
                events: options.queue_events,
                bytes: options.queue_events.saturating_mul(MAILBOX_BYTES_PER_EVENT),
            },
            budget: RestartBudget::default(),
            clock,
            metrics,
            directory: &actors,
        };
        let batcher = Port::start(post, parts.into(), |port, estate| Batcher::new(estate, port.clone()));
        Ok(Self {
            batcher,
            ledger,
            spool: spool_reader,
            dead_letters,
            held,
            live: feeds,
            gate,
            doubtful_inserts,
            spool_id,
            switches,
            actors,
            mailbox_metrics: families,
            environment,
        })
    }

    /// Sends dead letters again that operators ask for, for ever.
    pub fn replay_dead_letters(&self) -> impl Future<Output = ()> + 'static {
        let replayer = Replayer {
            environment: self.environment.clone(),
            batcher: self.batcher.clone(),
            ledger: self.ledger.clone(),
        };
        replayer.watch()
    }

    /// Has a writer end its batch and take no other, or take batches again. Says nothing where there is no such writer.
    pub fn set_paused(&self, writer: usize, is_paused: bool) {
        self.switches.set(writer, is_paused);
        self.batcher.tell(BatcherSignal::Tick);
    }

    /// Has what is accepted and not sealed written now, instead of when its batch is large or old enough; returns when that
    /// was begun.
    pub async fn flush(&self) {
        let (begun, done) = oneshot::channel();
        self.batcher.tell(BatcherSignal::Flush(begun));
        // A Batcher that has ended has nothing to flush.
        let _ = done.await;
    }

    /// Inserts that were tried again, by ClickHouse's error code; 0 stands for no answer.
    pub fn insert_retries(&self) -> Vec<(u32, u64)> {
        self.environment.metrics.retries_by_code()
    }

    /// Writes what it can until `deadline` and [closes](Self::close) the spool; says whether everything is stored.
    pub async fn shut_down(&self, deadline: Duration) -> bool {
        let drained = self.drain(deadline).await;
        self.save_live(SAVE_DEADLINE).await;
        self.close(CLOSE_DEADLINE).await;
        drained
    }

    /// Has live matches leave snapshots. One that is not kept in time costs a viewer a moment after the next start.
    pub async fn save_live(&self, save_within: Duration) {
        let (saved, done) = oneshot::channel();
        self.batcher.tell(BatcherSignal::SaveLive(saved));
        if tokio::time::timeout(save_within, done).await.is_err() {
            tracing::warn!(
                "snapshots of live matches were not all kept; those matches may be stale after the start"
            );
        }
    }

    /// Closes the spool. One that is not closed in time is read as after a crash.
    pub async fn close(&self, close_within: Duration) {
        let (closed, done) = oneshot::channel();
        self.batcher.tell(BatcherSignal::Close(closed));
        if tokio::time::timeout(close_within, done).await.is_err() {
            tracing::error!("the spool was not closed in time; the next start reads it as after a crash");
        }
    }

    /// Writes everything that is accepted, for at most `deadline`; says whether it got that far. What is left stays
    /// in the spool for the next start.
    pub async fn drain(&self, deadline: Duration) -> bool {
        let (drained, done) = oneshot::channel();
        self.batcher.tell(BatcherSignal::Drain(drained));
        matches!(tokio::time::timeout(deadline, done).await, Ok(Ok(())))
    }
}

struct Earlier {
    trackers: Trackers,
    batches: Vec<RecoveredBatch>,
    /// Of what was put aside, that which has a record all the same.
    sent: HashSet<ParkedKey>,
}

/// Reads what an earlier process left: trackers, idempotency keys, and the batches that are not stored.
fn recover(
    recovered: Recovered,
    keys: &mut IdempotencyKeys,
    parked: &HashSet<ParkedKey>,
    ledger: &Ledger,
    batch_max_rows: usize,
    now: Millis,
) -> Result<Earlier, PipelineError> {
    let mut trackers = match &recovered.newest_header {
        None => Trackers::default(),
        Some(state) => Trackers::restore(state).unwrap_or_else(|error| {
            tracing::error!(%error, "tracker state of the newest segment can't be read, matches begin anew");
            Trackers::default()
        }),
    };
    for record in recovered.after_newest_header {
        let record = record?;
        match RecordView::parse(&record.payload).and_then(|view| view.events()) {
            Ok(events) => {
                for (event, stamp) in &events {
                    trackers.resume(event, stamp);
                }
            }
            // Its batch's writer puts it into the dead letters.
            Err(error) => tracing::error!(seq = record.seq, %error, "a record of the spool can't be read"),
        }
    }
    let is_unstored =
        |seq: u64| recovered.unstored.iter().any(|range| range.first <= seq && seq <= range.last);
    let mut sent = HashSet::new();
    let mut batches = SealedRecovery::new(&recovered.seals, batch_max_rows);
    for record in recovered.records {
        let record = record?;
        if let Ok(RecordView { key: Some(key), server_id, received_at, .. }) =
            RecordView::parse(&record.payload)
        {
            let (key, body_hash, answer) = (Text::from(key.key), key.body_hash, key.answer);
            let taken_under = ParkedKey { server_id, key: key.clone(), body_hash };
            if parked.contains(&taken_under) {
                sent.insert(taken_under);
            }
            if !idempotency::is_outlived(&key, received_at, now) {
                keys.remember(server_id, key, body_hash, answer, received_at);
            }
        }
        if is_unstored(record.seq) {
            batches.add(record.seq, u64::from(record.events));
        }
    }
    let batches: Vec<RecoveredBatch> = batches
        .finish()
        .into_iter()
        .map(|(range, sealed, rows)| RecoveredBatch { range, sealed, events: ledger.recover((), rows) })
        .collect();
    if !batches.is_empty() {
        let events: u64 = batches.iter().map(|batch| batch.events.events()).sum();
        tracing::info!(events, batches = batches.len(), "events of an earlier process are in the spool");
    }
    Ok(Earlier { trackers, batches, sent })
}

/// Groups unstored records into the batches that were sealed, and the rest into new ones.
struct SealedRecovery<'a> {
    seals: &'a [SeqRange],
    batch_max_rows: usize,
    batches: Vec<(SealedRange, bool, u64)>,
}

impl<'a> SealedRecovery<'a> {
    fn new(seals: &'a [SeqRange], batch_max_rows: usize) -> Self {
        Self { seals, batch_max_rows, batches: Vec::new() }
    }

    /// Records come in the order of their numbers.
    fn add(&mut self, seq: u64, rows: u64) {
        let seal = self.seals.iter().find(|seal| seal.first <= seq && seq <= seal.last);
        let last = self.batches.last_mut();
        match (seal, last) {
            (Some(seal), Some((range, true, batch_rows))) if range.first_seq == seal.first => {
                *batch_rows += rows
            }
            (Some(seal), _) => {
                let range = SealedRange { first_seq: seal.first, last_seq: seal.last };
                self.batches.push((range, true, rows));
            }
            (None, Some((range, false, batch_rows))) if *batch_rows + rows <= self.batch_max_rows as u64 => {
                range.last_seq = seq;
                *batch_rows += rows;
            }
            (None, _) => self.batches.push((SealedRange { first_seq: seq, last_seq: seq }, false, rows)),
        }
    }

    fn finish(self) -> Vec<(SealedRange, bool, u64)> {
        self.batches
    }
}
