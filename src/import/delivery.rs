//! Brings matches to the stores that lack them, through a pipeline of its own.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clickhouse::{Client, Row};
use mohaa_actors::batcher::{BatcherOptions, IngestOutcome, IngestRequest, Outlets};
use mohaa_actors::idempotency::{BodyHash, IngestAnswer};
use mohaa_actors::pipeline::{Pipeline, PipelineError, PipelineOptions};
use mohaa_actors::port::Weight;
use mohaa_domain::event::{Event, Millis, Text};
use mohaa_domain::tracker::EventWindow;
use mohaa_spool::{Fsync, SpoolOptions};
use prometheus::Registry;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use sqlx::PgPool;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use uuid::Uuid;

use super::clock::History;
use super::ports::nothing_live;
use super::{ImportOptions, ImportReport, ImportedMatch};
use crate::clickhouse::cluster::Engines;
use crate::clickhouse::reconcile::Reconciler;
use crate::clickhouse::store::ClickHouseStore;
use crate::clickhouse::touched_days::TouchedDays;
use crate::clickhouse::upgrade::UpgradeError;
use crate::clickhouse::{schema, upgrade};
use crate::config::{Config, StoreUrls};
use crate::data_version::DataVersion;
use crate::postgres;
use crate::redis::{self as redis_store, SharedDataVersion};
use crate::servers;

/// Events of a request: a record of the spool holds them.
const CHUNK: usize = 500;
/// Events on their way to ClickHouse; more wait for it.
const MOST_IN_FLIGHT: i64 = 50_000;
const LOOK_EVERY: Duration = Duration::from_millis(50);
const TELL_EVERY: Duration = Duration::from_secs(1);
/// Nothing is stored for so long: ClickHouse is away, and the import goes on when it is run again.
const PATIENCE: Duration = Duration::from_secs(120);
/// Besides an event's own fields.
const EVENT_BYTES: u64 = 600;
const BATCH_MAX_BYTES: usize = 32 << 20;
/// On both sides of a match's events, where it is asked what is stored of it: only those days are read.
const AROUND_MS: i64 = 24 * 60 * 60 * 1000;

#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("{path}: {source}", path = .path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{name} is not set")]
    MissingSetting { name: &'static str },
    #[error("there is no server {0}, or it is not approved")]
    UnknownServer(Uuid),
    #[error("PostgreSQL: {0}")]
    Postgres(#[from] sqlx::Error),
    #[error(transparent)]
    Connection(#[from] postgres::PostgresError),
    #[error("ClickHouse: {0}")]
    ClickHouse(#[from] clickhouse::error::Error),
    #[error(transparent)]
    Schema(#[from] schema::SchemaError),
    #[error(transparent)]
    Upgrade(#[from] UpgradeError),
    #[error(transparent)]
    Redis(#[from] redis_store::RedisError),
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
    #[error("events were refused: {0}")]
    Refused(&'static str),
    #[error("ClickHouse has stored nothing for {} s; run the import again when it does, it goes on where it stopped", PATIENCE.as_secs())]
    Stuck,
}

/// Imports, and says what became of it. `progress` is told a line now and then. Needs an actix system.
///
/// # Errors
/// When a file can't be read or a store does not answer. What is stored by then is not sent again.
pub async fn import(
    config: &Config,
    options: &ImportOptions,
    mut progress: impl FnMut(String),
) -> Result<ImportReport, ImportError> {
    let mut report = ImportReport { files: options.files.len(), ..ImportReport::default() };
    let mut matches: BTreeMap<String, ImportedMatch> = BTreeMap::new();
    for path in &options.files {
        let in_file = |source| ImportError::File { path: path.clone(), source };
        let reading = super::read(path, options).map_err(in_file)?;
        report.lines += reading.lines;
        report.unreadable += reading.unreadable;
        for played in reading.matches {
            // A match may go over several files.
            let known = matches.entry(played.name.clone()).or_default();
            known.name = played.name;
            known.events.extend(played.events);
        }
        progress(format!("{}: {} lines", path.display(), reading.lines));
    }
    let mut matches: Vec<ImportedMatch> = matches.into_values().collect();
    for played in &mut matches {
        played.events.sort_by_key(|(at, _)| *at);
    }
    matches.sort_by_key(|played| played.events.first().map(|(at, _)| *at));
    report.matches = matches.len() as u64;
    report.events = matches.iter().map(|played| played.events.len() as u64).sum();
    if options.dry_run || matches.is_empty() {
        return Ok(report);
    }
    let delivery = Delivery::start(config, options.server_id).await?;
    // What an earlier import left in its spool, before it is asked what is stored.
    delivery.settled(0).await?;
    let mut told_at = Instant::now();
    for (number, played) in matches.into_iter().enumerate() {
        delivery.send(played, &mut report).await?;
        if told_at.elapsed() >= TELL_EVERY {
            told_at = Instant::now();
            let (imported, stored) = (report.imported, report.already_stored);
            progress(format!(
                "{} of {} matches, {imported} events imported, {stored} were stored already",
                number + 1,
                report.matches
            ));
        }
    }
    delivery.finish().await?;
    Ok(report)
}

struct Delivery {
    server_id: Uuid,
    pipeline: Pipeline,
    history: History,
    clickhouse: Client,
    reconciler: Reconciler,
    touched_days: Arc<TouchedDays>,
    data_version: SharedDataVersion,
    postgres: PgPool,
    /// Days that an earlier import touched and nobody compared.
    was_unclean: bool,
}

/// What ClickHouse has of a match.
#[derive(Row, Deserialize)]
struct Stored {
    imported: u64,
    reported_live: u64,
}

impl Delivery {
    async fn start(config: &Config, server_id: Uuid) -> Result<Self, ImportError> {
        let missing = || ImportError::MissingSetting { name: "POSTGRES_URL, CLICKHOUSE_URL or REDIS_URL" };
        let StoreUrls { postgres: postgres_url, clickhouse: clickhouse_url, redis } =
            config.store_urls().ok_or_else(missing)?;
        let postgres = postgres::pool(&postgres_url).await?;
        servers::find_known(&postgres, server_id).await?.ok_or(ImportError::UnknownServer(server_id))?;
        let engines = Engines::connect(&clickhouse_url, config.clickhouse_cluster.as_deref());
        // The command may be the first to use it, or be run while the service is started for the first time.
        upgrade::migrate(&engines, &postgres).await?;
        schema::check(&engines).await?;
        let directory = config.data_dir.join("import");
        let in_directory = |source| ImportError::File { path: directory.clone(), source };
        std::fs::create_dir_all(&directory).map_err(in_directory)?;
        let touched_days = Arc::new(
            TouchedDays::open(&directory, mohaa_actors::clock::Clock::system()).map_err(in_directory)?,
        );
        let was_unclean = !touched_days.all().is_empty();
        let data_version = DataVersion::default();
        let store = ClickHouseStore::new(engines.clone(), touched_days.clone(), data_version.clone());
        let history = History::default();
        let registry = Registry::new();
        let (tracker_states, _) = mpsc::unbounded_channel();
        let (claims, _) = mpsc::channel(1);
        let (unknown_maps, _) = mpsc::channel(1);
        let pipeline = Pipeline::start(
            PipelineOptions {
                // What a power loss takes is in the files still.
                spool: SpoolOptions { fsync: Fsync::Never, ..SpoolOptions::new(directory.clone()) },
                batcher: BatcherOptions {
                    batch_rows: config.worker_batch_rows,
                    batch_max_rows: config.worker_batch_max_rows,
                    batch_max_bytes: BATCH_MAX_BYTES,
                    flush_interval: config.worker_flush_interval,
                    // Events are received when they happened.
                    event_window: EventWindow::default(),
                    writer_count: config.worker_count,
                },
                queue_events: CHUNK as u64 * 2,
            },
            Arc::new(store),
            &registry,
            history.clock(),
            Outlets { tracker_states, claims, unknown_maps },
            nothing_live(),
        )?;
        let clickhouse = engines.questions().clone();
        let reconciler = Reconciler::new(
            engines,
            postgres.clone(),
            &pipeline,
            touched_days.clone(),
            config.raw_events_ttl_days,
            mohaa_actors::clock::Clock::system(),
            data_version,
            &registry,
        )?;
        let data_version = SharedDataVersion::new(redis_store::connect(&redis)?);
        Ok(Self {
            server_id,
            pipeline,
            history,
            clickhouse,
            reconciler,
            touched_days,
            data_version,
            postgres,
            was_unclean,
        })
    }

    /// Sends what ClickHouse lacks of a match.
    async fn send(&self, played: ImportedMatch, report: &mut ImportReport) -> Result<(), ImportError> {
        let count = played.events.len() as u64;
        let prefix = id_prefix(self.server_id, &played.name);
        let Stored { imported, reported_live } = self.stored(&played, &prefix).await?;
        if reported_live > 0 {
            tracing::warn!(name = played.name, "a match is left as its server reported it");
            report.reported_live += count;
            return Ok(());
        }
        report.already_stored += imported.min(count);
        let mut number = usize::try_from(imported).unwrap_or(usize::MAX);
        let mut rest = played.events.into_iter().skip(number).peekable();
        while let Some((at, _)) = rest.peek() {
            let received_at = *at;
            // Of one time: the tracker takes it for that of them all.
            let chunk: Vec<Event> = std::iter::from_fn(|| rest.next_if(|(at, _)| *at == received_at))
                .take(CHUNK)
                .map(|(_, event)| event)
                .collect();
            let chunk_events = chunk.len();
            self.offer(received_at, chunk, format!("{prefix}{number}")).await?;
            number += chunk_events;
            report.imported += chunk_events as u64;
        }
        self.settled(MOST_IN_FLIGHT).await
    }

    async fn offer(&self, received_at: Millis, events: Vec<Event>, id: String) -> Result<(), ImportError> {
        self.history.is_at(received_at);
        let count = events.len() as u64;
        let bytes = events.iter().map(|event| EVENT_BYTES + event.extra.len() as u64).sum();
        let (reply, outcome) = oneshot::channel();
        let request = IngestRequest {
            server_id: self.server_id,
            received_at,
            events: self.pipeline.ledger.receive(Arc::new(events), count),
            idempotency: Some((Text::from(id), BodyHash::default())),
            answer: IngestAnswer { processed: count as u32, ..IngestAnswer::default() },
            tracker_state: None,
            bot_names: None,
            matches: None,
            reply,
        };
        // One at a time has room always.
        if let Err((refused, _)) = self.pipeline.batcher.offer(request, Weight { events: count, bytes }) {
            let reason = mohaa_actors::accounting::RejectReason::MailboxFull;
            refused.events.reject(reason);
            return Err(ImportError::Refused(reason.code()));
        }
        match outcome.await {
            Ok(IngestOutcome::Accepted(_) | IngestOutcome::Replayed(_)) => Ok(()),
            Ok(IngestOutcome::Rejected(reason)) => Err(ImportError::Refused(reason.code())),
            Err(_) => Err(ImportError::Refused("internal")),
        }
    }

    /// By the beginning of the primary key, in the days of the match.
    async fn stored(&self, played: &ImportedMatch, prefix: &str) -> Result<Stored, ImportError> {
        let first = played.events.first().map_or(0, |(at, _)| at.0);
        let last = played.events.last().map_or(0, |(at, _)| at.0);
        let stored = self
            .clickhouse
            .query(
                "SELECT countIf(startsWith(idempotency_key, ?)) AS imported,
                        countIf(NOT startsWith(idempotency_key, ?)) AS reported_live
                 FROM raw_events
                 WHERE server_id = ? AND source_match_id = ?
                   AND event_at BETWEEN fromUnixTimestamp64Milli(?) AND fromUnixTimestamp64Milli(?)",
            )
            .bind(prefix)
            .bind(prefix)
            .bind(self.server_id.to_string())
            .bind(&played.name)
            .bind(first - AROUND_MS)
            .bind(last + AROUND_MS)
            .fetch_one()
            .await?;
        Ok(stored)
    }

    /// Returns when at most so many events are on their way.
    async fn settled(&self, most_in_flight: i64) -> Result<(), ImportError> {
        let mut least = i64::MAX;
        let mut since = Instant::now();
        loop {
            let in_flight = self.pipeline.ledger.balance().in_flight;
            if in_flight <= most_in_flight {
                return Ok(());
            }
            if in_flight < least {
                (least, since) = (in_flight, Instant::now());
            }
            if since.elapsed() > PATIENCE {
                return Err(ImportError::Stuck);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until all is stored, and until the roll-ups are known to hold it.
    async fn finish(self) -> Result<(), ImportError> {
        self.pipeline.flush().await;
        self.settled(0).await?;
        let Self { pipeline, reconciler, touched_days, data_version, postgres, was_unclean, .. } = self;
        if was_unclean || pipeline.doubtful_inserts.load(Ordering::Acquire) > 0 {
            let comparisons = reconciler.comparisons();
            let comparing = actix_web::rt::spawn(async move { reconciler.watch().await });
            let began = Instant::now();
            while !comparisons.are_up_to_date() {
                if began.elapsed() > PATIENCE {
                    return Err(ImportError::Stuck);
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
            comparing.abort();
        }
        if pipeline.shut_down(PATIENCE).await
            && let Err(error) = touched_days.clear()
        {
            tracing::warn!(%error, "the next import compares roll-ups again");
        }
        // Answers that other processes remember lack what is stored now.
        data_version.replace(&Uuid::new_v4().to_string()).await?;
        postgres.close().await;
        pipeline.actors.end_threads();
        Ok(())
    }
}

/// What the ids of a match's events begin with; behind it stands the place of the first one of a request. No header can say
/// one, for the dot.
fn id_prefix(server_id: Uuid, name: &str) -> String {
    let digest = Sha256::new().chain_update(server_id.as_bytes()).chain_update(name.as_bytes()).finalize();
    let hash: String = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("import.{hash}.")
}
