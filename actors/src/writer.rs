//! ClickHouseWriter: takes sealed batches to the store, each row exactly once, however often it must try.
//!
//! A piece of a batch (`batch.rs`) is sent with a deduplication token. That is enough while the store answers. When
//! it does not (connection broken, no answer, a batch that an earlier process had sealed and may have sent), the
//! token alone is no proof: a store that was killed can remember a token whose rows it lost. Then the writer waits until
//! no attempt runs any more, asks which rows are there, and sends the absent ones, under a new token once the old one
//! proved to be remembered without its rows, until all are there.
//!
//! Errors that say "not now" are retried for ever, with growing pauses. Rows that the store refuses are found by
//! halving the piece, and only they go to the dead letters.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix::{ActorFutureExt, AsyncContext, Context};
use futures_util::FutureExt;
use mohaa_spool::{Damage, DamageKind, ReadError, Record, SpoolReader};
use prometheus::core::Collector as _;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts, Registry};
use serde_json::{Value, json};
use tokio::sync::RwLock;
use tracing::field::Empty;
use tracing::{Instrument as _, debug_span};
use uuid::Uuid;

use crate::accounting::{Accounted, RejectReason};
use crate::batch::{Piece, SealedRange, StoredRecord, pieces_of};
use crate::clock::Clock;
use crate::dead_letters::{DeadLetter, DeadLetterError, DeadLetters};
use crate::kernel::{Kernel, Worker, panic_text};
use crate::port::{Admitted, Port};
use crate::record::RecordView;
use crate::store::{EventStore, InsertAttempt, RowName, StoreError};
use crate::supervision::Instance;

/// First pause after a failed attempt; doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Long enough to spare a store that is down, short enough that recovery is seen within seconds.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A batch for one writer.
pub struct WriteJob {
    pub range: SealedRange,
    /// The records, or `None` when they must be read back from the spool.
    pub records: Option<Vec<StoredRecord>>,
    /// An earlier process sealed this range and may have sent it.
    pub recovered: bool,
    pub events: Accounted<()>,
    /// Called when all its rows are in the store or in the dead letters.
    pub on_ended: Box<dyn FnOnce() + Send>,
}

/// What all writers share.
pub struct WriterEnvironment {
    pub spool_id: Uuid,
    pub reader: SpoolReader,
    pub store: Arc<dyn EventStore>,
    pub dead_letters: DeadLetters,
    /// Held for reading by each attempt, for writing by who must have the store to himself (reconciliation).
    pub gate: Arc<RwLock<()>>,
    pub clock: Clock,
    pub metrics: WriterMetrics,
    /// Counts pieces that were stored after an attempt without a clear end. Their rows are in the table once; the
    /// store's views may have seen them twice or not at all, and must be compared.
    pub doubtful_inserts: Arc<AtomicU64>,
}

#[derive(Clone)]
pub struct WriterMetrics {
    insert_seconds: Histogram,
    queryable_seconds: Histogram,
    retries: IntCounterVec,
    reinserted_rows: IntCounter,
    spool_damage: IntCounterVec,
}

impl WriterMetrics {
    /// Registers the writers' metrics.
    ///
    /// # Errors
    /// When `registry` already holds metrics of these names.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let histogram = |name: &str, help: &str, buckets: Vec<f64>| -> Result<Histogram, prometheus::Error> {
            let histogram = Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets))?;
            registry.register(Box::new(histogram.clone()))?;
            Ok(histogram)
        };
        let seconds = vec![0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
        let retries = IntCounterVec::new(
            Opts::new(
                "mohaa_batch_insert_retries_total",
                "Inserts tried again, by ClickHouse's error code (0: none).",
            ),
            &["code"],
        )?;
        registry.register(Box::new(retries.clone()))?;
        // A rate over a series that begins with its first error misses that error.
        retries.with_label_values(&["0"]);
        let reinserted_rows = IntCounter::new(
            "mohaa_batch_reinserted_rows_total",
            "Rows that were absent after an ambiguous insert and were sent again.",
        )?;
        registry.register(Box::new(reinserted_rows.clone()))?;
        let spool_damage = IntCounterVec::new(
            Opts::new("mohaa_spool_damage_total", "Places of the spool that could not be read, by kind."),
            &["kind"],
        )?;
        registry.register(Box::new(spool_damage.clone()))?;
        for kind in DamageKind::ALL {
            spool_damage.with_label_values(&[kind.as_str()]);
        }
        Ok(Self {
            insert_seconds: histogram(
                "mohaa_batch_insert_duration_seconds",
                "Time of one insert into ClickHouse.",
                seconds.clone(),
            )?,
            queryable_seconds: histogram(
                "mohaa_ingest_to_queryable_seconds",
                "Time from the receipt of a batch's oldest event until it can be queried.",
                seconds,
            )?,
            retries,
            reinserted_rows,
            spool_damage,
        })
    }

    /// See [`Pipeline::insert_retries`](crate::pipeline::Pipeline::insert_retries).
    pub(crate) fn retries_by_code(&self) -> Vec<(u32, u64)> {
        let families = self.retries.collect();
        let series = families.iter().flat_map(|family| family.get_metric());
        let retries = series.filter_map(|series| {
            let code = series.get_label().first()?.value().parse().ok()?;
            Some((code, series.get_counter().get_value() as u64))
        });
        retries.filter(|(_, count)| *count > 0).collect()
    }

    /// Logs and counts what could not be read of the spool.
    pub fn note_damage(&self, damage: &[Damage]) {
        for damage in damage {
            tracing::error!(%damage, "the spool is damaged; what can be read is kept");
            self.spool_damage.with_label_values(&[damage.kind.as_str()]).inc();
        }
    }
}

/// One member of the pool.
pub struct ClickHouseWriter {
    environment: Arc<WriterEnvironment>,
    port: Port<ClickHouseWriter>,
    /// The batch in work.
    range: Option<SealedRange>,
}

impl ClickHouseWriter {
    pub fn new(environment: Arc<WriterEnvironment>, port: Port<ClickHouseWriter>) -> Self {
        Self { environment, port, range: None }
    }
}

impl Worker for ClickHouseWriter {
    type Message = WriteJob;
    type Signal = std::convert::Infallible;
    type Estate = Arc<WriterEnvironment>;
    const WORKS_ON: bool = true;

    fn handle(
        &mut self,
        job: &mut Option<WriteJob>,
        admitted: Admitted,
        context: &mut Context<Kernel<Self>>,
    ) {
        let Some(job) = job.take() else { return };
        let (environment, port) = (self.environment.clone(), self.port.clone());
        self.range = Some(job.range);
        let work = async move { write_until_ended(&environment, job, port.instance()).await };
        let finish =
            actix::fut::wrap_future::<_, Kernel<Self>>(work).map(move |on_ended, kernel, _context| {
                kernel.update(|writer| {
                    writer.range = None;
                    writer.port.instance().work_ended();
                });
                drop(admitted);
                on_ended();
            });
        context.spawn(finish);
    }

    fn signal(&mut self, signal: Self::Signal, _context: &mut Context<Kernel<Self>>) {
        match signal {}
    }

    fn observe(&self) -> Value {
        json!({ "range": self.range.map(|range| [range.first_seq, range.last_seq]) })
    }

    fn bequeath(self) -> Arc<WriterEnvironment> {
        self.environment
    }

    fn bury(&mut self, _job: WriteJob, _panic: &str) {
        // The handler takes its job over at once; a panic during the work is caught there and costs an attempt.
    }
}

/// Why one run through a batch ended early; the batch is then tried again from its beginning.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("dead letters can't be written: {0}")]
    DeadLetters(#[from] DeadLetterError),
    #[error("batch can't be read back from the spool: {0}")]
    Spool(#[from] mohaa_spool::ReadError),
    #[error("the task that read the spool ended early")]
    Reader,
}

/// Runs until every row of the batch has ended. A panic in here costs one attempt, not the batch.
async fn write_until_ended(
    environment: &WriterEnvironment,
    mut job: WriteJob,
    writer: &Instance,
) -> Box<dyn FnOnce() + Send> {
    let mut pause = Pause::new(environment, Some(writer));
    loop {
        let attempt = AssertUnwindSafe(write_batch(environment, &mut job, writer)).catch_unwind().await;
        match attempt {
            Ok(Ok(())) => break,
            Ok(Err(error)) => {
                tracing::warn!(%error, range = ?job.range, "batch not stored yet");
                writer.note_error(&error.to_string());
            }
            Err(panic) => {
                let panic = panic_text(&*panic);
                tracing::error!(range = ?job.range, panic, "writer panicked; the batch is tried again");
                writer.note_failure(panic, json!({ "range": [job.range.first_seq, job.range.last_seq] }));
            }
        }
        // Pieces that are stored already are found again by their batch id.
        job.recovered = true;
        pause.make().await;
    }
    job.events.stored();
    job.on_ended
}

/// The pauses between attempts.
struct Pause<'a> {
    clock: &'a Clock,
    writer: Option<&'a Instance>,
    next: Duration,
}

impl<'a> Pause<'a> {
    fn new(environment: &'a WriterEnvironment, writer: Option<&'a Instance>) -> Self {
        Self { clock: &environment.clock, writer, next: FIRST_PAUSE }
    }

    /// Between half and the whole of what is due, so that writers that failed together don't return together.
    async fn make(&mut self) {
        let pause = self.next.mul_f64(rand::random_range(0.5..1.0));
        self.next = (self.next * 2).min(LONGEST_PAUSE);
        blocked(self.writer, self.clock.sleep(pause)).await;
    }
}

/// Waits, which counts as the writer's time blocked.
async fn blocked<T>(writer: Option<&Instance>, wait: impl Future<Output = T>) -> T {
    if let Some(writer) = writer {
        writer.set_blocked(true);
    }
    let waited = wait.await;
    if let Some(writer) = writer {
        writer.set_blocked(false);
    }
    waited
}

async fn write_batch(
    environment: &WriterEnvironment,
    job: &mut WriteJob,
    writer: &Instance,
) -> Result<(), WriteError> {
    let records = match &job.records {
        Some(records) => records.clone(),
        None => read_back(environment, job).await?,
    };
    let oldest_received_at = records
        .first()
        .and_then(|record| RecordView::parse(&record.payload).ok())
        .map(|view| view.received_at);
    let (mut pieces, unreadable) = pieces_of(environment.spool_id, job.range, records);
    for (record, error) in unreadable {
        let StoredRecord { seq, events, payload } = record;
        tracing::error!(seq, events, %error, "a record can't be read, kept in the dead letters");
        let letter = DeadLetter::record(environment.spool_id, seq, events, &payload, error.to_string());
        environment.dead_letters.keep(&letter)?;
        job.events.split_off(u64::from(events)).dead_letter();
    }
    pieces.reverse();
    while let Some(piece) = pieces.pop() {
        match write_piece(environment, &piece, job.recovered, Some(writer)).await? {
            PieceEnd::Stored => {}
            PieceEnd::Refused { code, message } => match piece.halves() {
                Some([first, second]) => pieces.extend([second, first]),
                None => {
                    if let Some((name, row)) = piece.only_row() {
                        writer.note_error(&format!("a row is refused with code {code}: {message}"));
                        bury(environment, &piece, name, row, code, message)?;
                        job.events.split_off(1).dead_letter();
                    }
                }
            },
        }
    }
    if let (Some(received_at), false) = (oldest_received_at, job.recovered) {
        let age = environment.clock.now().0 - received_at.0;
        environment.metrics.queryable_seconds.observe(age.max(0) as f64 / 1000.0);
    }
    Ok(())
}

/// Reads the batch's records from the spool. What the disk has lost since they were written ends here: the events
/// can't be stored any more.
async fn read_back(
    environment: &WriterEnvironment,
    job: &mut WriteJob,
) -> Result<Vec<StoredRecord>, WriteError> {
    let reader = environment.reader.clone();
    let range = job.range;
    let (records, damage) =
        tokio::task::spawn_blocking(move || match reader.read(range.first_seq, range.last_seq) {
            Err(ReadError::Damaged { .. }) => reader.salvage(range.first_seq, range.last_seq),
            read => read.map(|records| (records, Vec::new())),
        })
        .await
        .map_err(|_| WriteError::Reader)??;
    environment.metrics.note_damage(&damage);
    let left: u64 = records.iter().map(|record| u64::from(record.events)).sum();
    let lost = job.events.events().saturating_sub(left);
    if lost > 0 {
        tracing::error!(lost, ?range, "events were lost with the part of the disk that held them");
        job.events.split_off(lost).reject(RejectReason::SpoolDamaged);
    }
    Ok(records
        .into_iter()
        .map(|Record { seq, events, payload, .. }| StoredRecord { seq, events, payload: Arc::new(payload) })
        .collect())
}

/// Keeps a row that the store refuses by itself.
fn bury(
    environment: &WriterEnvironment,
    piece: &Piece,
    (spool_seq, spool_index): RowName,
    row: &[u8],
    code: u32,
    reason: String,
) -> Result<(), WriteError> {
    tracing::error!(
        spool_seq,
        spool_index,
        code,
        reason,
        "row refused by ClickHouse, kept in the dead letters"
    );
    let name = (spool_seq, spool_index);
    environment.dead_letters.keep(&DeadLetter::row(
        environment.spool_id,
        name,
        piece.day,
        piece.column_count,
        row,
        (code, reason),
    ))?;
    Ok(())
}

pub(crate) enum PieceEnd {
    Stored,
    Refused { code: u32, message: String },
}

/// Sends a piece until it is stored or refused for what it holds.
///
/// While an earlier attempt may have stored rows (`ambiguous`), rows are counted before each attempt. The first token
/// is used again as long as all rows are absent: should the lost attempt still arrive, one of the two is dropped.
/// What fails is noted with the `writer` that does it, where it is one.
pub(crate) async fn write_piece(
    environment: &WriterEnvironment,
    piece: &Piece,
    mut ambiguous: bool,
    writer: Option<&Instance>,
) -> Result<PieceEnd, WriteError> {
    let query_id_prefix = format!("{}-", piece.batch_id.simple());
    let mut absent: Option<HashSet<RowName>> = None;
    let mut acknowledged = false;
    let mut token_generation = 0_u32;
    let mut pause = Pause::new(environment, writer);
    loop {
        if ambiguous {
            environment.store.settle(&query_id_prefix).await?;
            let stored = environment.store.stored_rows(piece.batch_id, piece.day).await?;
            let missing: HashSet<RowName> = piece.row_names().filter(|name| !stored.contains(name)).collect();
            if missing.is_empty() {
                environment.doubtful_inserts.fetch_add(1, Ordering::AcqRel);
                return Ok(PieceEnd::Stored);
            }
            if acknowledged {
                tracing::warn!(rows = missing.len(), batch = %piece.batch_id, "acknowledged rows are absent, sent again");
                environment.metrics.reinserted_rows.inc_by(missing.len() as u64);
                token_generation += 1;
            } else if missing.len() < piece.row_count() {
                token_generation = token_generation.max(1);
            }
            absent = (missing.len() < piece.row_count()).then_some(missing);
        }
        let (body, rows) = piece.body(absent.as_ref());
        let token = match token_generation {
            0 => piece.token.clone(),
            generation => format!("{}#{generation}", piece.token),
        };
        let attempt = InsertAttempt {
            token,
            query_id: format!("{query_id_prefix}{}", Uuid::new_v4().simple()),
            day: piece.day,
            column_count: piece.column_count,
            body,
            rows,
        };
        match attempt_insert(environment, attempt, writer).await {
            Ok(()) if !ambiguous => return Ok(PieceEnd::Stored),
            Ok(()) => acknowledged = true,
            Err(StoreError::BadRows { code, message }) => return Ok(PieceEnd::Refused { code, message }),
            Err(StoreError::Transient { code, message, ambiguous: may_be_stored }) => {
                environment.metrics.retries.with_label_values(&[&code.to_string()]).inc();
                ambiguous |= may_be_stored;
                acknowledged = false;
                tracing::warn!(code, message, ambiguous, batch = %piece.batch_id, "insert failed, retrying");
                if let Some(writer) = writer {
                    writer.note_error(&format!("an insert failed with code {code}: {message}"));
                }
                pause.make().await;
            }
        }
    }
}

async fn attempt_insert(
    environment: &WriterEnvironment,
    attempt: InsertAttempt,
    writer: Option<&Instance>,
) -> Result<(), StoreError> {
    let _open_gate = blocked(writer, environment.gate.read()).await;
    let began = environment.clock.instant();
    let span = debug_span!(
        "insert",
        otel.kind = "client",
        otel.status_code = Empty,
        db.system.name = "clickhouse",
        rows = attempt.rows,
    );
    let result = environment.store.insert(attempt).instrument(span.clone()).await;
    if result.is_err() {
        span.record("otel.status_code", "ERROR");
    }
    let took = environment.clock.instant().saturating_duration_since(began);
    environment.metrics.insert_seconds.observe(took.as_secs_f64());
    result
}
