//! Looks at this node every two seconds, remembers ten minutes of it, and tells whoever watches.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use mohaa_actors::dead_letters::{DeadLetterError, DeadLetters};
use mohaa_actors::live::Renditions;
use mohaa_actors::pipeline::Pipeline;
use prometheus::Registry;
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use super::engine::Engine;
use super::figures::Figures;
use super::history::{History, KindTotals, SAMPLE_EVERY, Sample};
use super::overview::{
    ActorReport, ClickHouseFigures, DeadLetterFigures, EventFigures, InsertRetries, KindReport, LetterReport,
    NodeOverview, NodeReport, ReportedError, SpoolFigures, WriterState,
};
use super::trouble::{self, Besides};
use super::{HealthMonitor, process};
use crate::clickhouse::cluster::Engines;
use crate::live::{GivenOrder, Live, LiveNodes, NotDone, Order};
use crate::stats::Stats;

/// Of dead letters; the command line lists all.
const MOST_LETTERS: usize = 50;
const FLUSH_BEGINS_WITHIN: Duration = Duration::from_secs(1);

/// What is looked at.
pub struct OpsSources {
    pub pipeline: Pipeline,
    pub health: Arc<HealthMonitor>,
    pub live: Live,
    pub nodes: LiveNodes,
    pub stats: Stats,
    pub engines: Engines,
    pub registry: Registry,
}

/// This node as it was seen last, and in the form of a page, which is made once for all who watch.
pub struct Seen {
    pub number: u64,
    pub overview: NodeOverview,
    pub renditions: Renditions,
}

/// Cheap to clone; clones are one.
#[derive(Clone)]
pub struct OpsWatch {
    inner: Arc<Inner>,
}

struct Inner {
    sources: OpsSources,
    engine: Engine,
    history: Mutex<History>,
    seen: watch::Sender<Option<Arc<Seen>>>,
}

impl OpsWatch {
    pub fn new(sources: OpsSources) -> Self {
        let (engine, history, seen) = (Engine::default(), Mutex::default(), watch::Sender::new(None));
        Self { inner: Arc::new(Inner { sources, engine, history, seen }) }
    }

    /// Looks for ever. What a check of the stores finds is told at once.
    pub async fn keep(self) {
        tokio::join!(self.keep_looking(), self.inner.engine.ask(&self.inner.sources.engines));
    }

    async fn keep_looking(&self) {
        let mut checks = self.inner.sources.health.changes();
        let mut number = 0;
        loop {
            let taken = Instant::now();
            self.history().push(self.sample());
            self.tell(&mut number).await;
            while let Some(left) = SAMPLE_EVERY.checked_sub(taken.elapsed()) {
                match tokio::time::timeout(left, checks.changed()).await {
                    Ok(Ok(())) => self.tell(&mut number).await,
                    // Nobody checks any more: the service ends.
                    Ok(Err(_)) => tokio::time::sleep(left).await,
                    Err(_) => break,
                }
            }
        }
    }

    async fn tell(&self, number: &mut u64) {
        *number += 1;
        let (overview, renditions) = (self.look().await, Renditions::default());
        self.inner.seen.send_replace(Some(Arc::new(Seen { number: *number, overview, renditions })));
    }

    /// This node's name.
    pub fn node(&self) -> Uuid {
        self.inner.sources.nodes.node()
    }

    /// Has a node do something.
    ///
    /// # Errors
    /// When it was not done, or nobody knows.
    pub async fn order(&self, node: Uuid, order: Order) -> Result<(), NotDone> {
        match node == self.node() {
            true => self.carry_out(&order).await,
            false => self.inner.sources.nodes.order(node, order).await,
        }
    }

    /// Carries out what other nodes were told by operators, as long as the process runs.
    pub async fn obey(self, mut orders: mpsc::UnboundedReceiver<GivenOrder>) {
        while let Some(given) = orders.recv().await {
            let outcome = self.carry_out(&given.order).await;
            self.inner.sources.nodes.answer(&given, outcome).await;
        }
    }

    async fn carry_out(&self, order: &Order) -> Result<(), NotDone> {
        let pipeline = &self.inner.sources.pipeline;
        match order {
            Order::Pause { writer, is_paused } => {
                let count = pipeline.switches.count();
                if writer.is_some_and(|writer| writer >= count) {
                    return Err(NotDone::UnknownWriter);
                }
                for writer in (0..count).filter(|number| writer.is_none_or(|writer| writer == *number)) {
                    pipeline.set_paused(writer, *is_paused);
                }
                Ok(())
            }
            Order::Flush => {
                // A Batcher that waits for its disk flushes when it has it.
                let _ = tokio::time::timeout(FLUSH_BEGINS_WITHIN, pipeline.flush()).await;
                Ok(())
            }
            Order::Replay { letter } => {
                let (letters, letter) = (pipeline.dead_letters.clone(), letter.clone());
                match tokio::task::spawn_blocking(move || letters.ask_for(&letter)).await {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(DeadLetterError::Unknown { .. })) => Err(NotDone::UnknownLetter),
                    Ok(Err(error)) => {
                        tracing::error!(%error, "a dead letter can't be sent again");
                        Err(NotDone::Failed)
                    }
                    Err(error) => {
                        tracing::error!(%error, "a dead letter can't be sent again");
                        Err(NotDone::Failed)
                    }
                }
            }
        }
    }

    /// Whether a node is this one, or was heard of lately.
    pub fn knows(&self, node: Uuid) -> bool {
        self.inner.sources.nodes.knows(node)
    }

    /// Has a node drained, or taken back; says whether it was there to hear it.
    pub async fn drain(&self, node: Uuid, is_drained: bool) -> bool {
        self.inner.sources.nodes.drain(node, is_drained).await
    }

    /// Changes every two seconds at least.
    pub fn seen(&self) -> watch::Receiver<Option<Arc<Seen>>> {
        self.inner.seen.subscribe()
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.inner.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sample(&self) -> Sample {
        let pipeline = &self.inner.sources.pipeline;
        let spool = pipeline.spool.stats();
        let totals = |metrics: &mohaa_actors::metrics::MailboxMetrics| KindTotals {
            waits: metrics.queue_wait_seconds.get_sample_count(),
            waited_seconds: metrics.queue_wait_seconds.get_sample_sum(),
            runs: metrics.handling_seconds.get_sample_count(),
            run_seconds: metrics.handling_seconds.get_sample_sum(),
            rejected: metrics.rejected.get(),
            restarts: metrics.restarts.get(),
            blocked_seconds: metrics.blocked_seconds.get(),
        };
        let kinds = pipeline.mailbox_metrics.kinds();
        let is_stale = |feed: &Arc<mohaa_actors::live::LiveFeed>| {
            let seen = feed.seen();
            seen.ended_at.is_none() && seen.stale
        };
        Sample {
            at: Utc::now(),
            taken: Instant::now(),
            balance: pipeline.ledger.balance(),
            mailbox_depth: pipeline.batcher.depth(),
            spool_bytes: spool.bytes_on_disk + spool.bytes_queued,
            kinds: kinds.iter().map(|metrics| (metrics.kind, totals(metrics))).collect(),
            figures: Figures::of(&self.inner.sources.registry.gather()),
            stale_matches: pipeline.live.all().iter().filter(|feed| is_stale(feed)).count() as u64,
        }
    }

    /// This node now; actors' states are left out.
    pub async fn look(&self) -> NodeOverview {
        let OpsSources { pipeline, health, live, nodes, stats, .. } = &self.inner.sources;
        let letters = pipeline.dead_letters.clone();
        // A folder of thousands is no work for a thread that answers requests.
        let dead_letters =
            tokio::task::spawn_blocking(move || letters_of(&letters)).await.unwrap_or_default();
        let now = self.sample();
        let instances = pipeline.actors.instances();
        let actors: Vec<ActorReport> = instances
            .iter()
            .map(|instance| ActorReport::new(instance.report(), instance.is_failing()))
            .collect();
        let history = self.history();
        let lately = history.lately(now.taken);
        let mailboxes = pipeline.mailbox_metrics.kinds();
        let kinds = mailboxes.iter().map(|metrics| {
            let (total, before) = (
                now.of_kind(metrics.kind),
                lately.map(|sample| sample.of_kind(metrics.kind)).unwrap_or_default(),
            );
            let mean = |count: u64, seconds: f64| (count > 0).then(|| seconds.max(0.0) / count as f64);
            let of_kind = instances.iter().filter(|instance| instance.kind == metrics.kind);
            let fullest = of_kind.filter_map(|instance| instance.filled()).fold(0.0, f64::max);
            KindReport {
                kind: metrics.kind,
                instances: unsigned(metrics.instances.get()),
                depth: unsigned(metrics.depth.get()),
                capacity: unsigned(metrics.capacity.get()),
                fullest,
                wait_seconds: mean(
                    total.waits.saturating_sub(before.waits),
                    total.waited_seconds - before.waited_seconds,
                ),
                handling_seconds: mean(
                    total.runs.saturating_sub(before.runs),
                    total.run_seconds - before.run_seconds,
                ),
                rejected: total.rejected,
                rejected_lately: total.rejected.saturating_sub(before.rejected),
                restarts: total.restarts,
                restarts_lately: total.restarts.saturating_sub(before.restarts),
                blocked_seconds_lately: (total.blocked_seconds - before.blocked_seconds).max(0.0),
                last_error: pipeline.actors.last_error(metrics.kind).map(ReportedError::from),
                last_progress_at: match metrics.last_progress.get() {
                    0 => None,
                    seconds => DateTime::from_timestamp(seconds, 0),
                },
            }
        });
        let kinds: Vec<KindReport> = kinds.collect();
        let (points, point) = (history.points(), history.point(&now));
        // What came since the newest sample may be a moment's.
        let newest = points.last().copied().unwrap_or(point);
        let (parts, errors) = self.inner.engine.told();
        let spool = pipeline.spool.stats();
        let own = NodeReport {
            node: nodes.node(),
            is_this: true,
            drained: health.is_drained(),
            live_matches: pipeline.live.all().iter().filter(|feed| feed.seen().ended_at.is_none()).count()
                as u64,
            viewers: live.viewers(),
            heard_seconds_ago: 0.0,
        };
        let others = nodes.heard().into_iter().map(|heard| NodeReport {
            node: heard.node,
            is_this: false,
            drained: heard.is_drained,
            live_matches: heard.live_matches as u64,
            viewers: heard.viewers,
            heard_seconds_ago: heard.heard_before.as_secs_f64(),
        });
        let mut overview = NodeOverview {
            node: nodes.node(),
            at: now.at,
            ready: health.is_ready(),
            state: health.state(),
            trouble: Vec::new(),
            kinds,
            writers: (0..pipeline.switches.count())
                .map(|writer| WriterState { writer, paused: pipeline.switches.is_paused(writer) })
                .collect(),
            events: EventFigures {
                received: now.balance.received,
                stored: now.balance.stored,
                rejected: now.balance.rejected,
                in_flight: now.balance.in_flight,
                held: now.balance.held,
                missing: now.balance.missing(),
                unaccounted: now.balance.unaccounted,
                accepted_per_second: newest.accepted_per_second,
                stored_per_second: newest.stored_per_second,
            },
            spool: SpoolFigures {
                bytes: now.spool_bytes,
                budget_bytes: spool.max_bytes,
                segments: spool.segments,
                oldest_record_seconds: spool.oldest_record_age.map(|age| age.as_secs_f64()),
                queued_appends: spool.queued_appends,
                failures: spool.failed_writes
                    + spool.failed_rotations
                    + spool.failed_checkpoints
                    + spool.failed_deletions
                    + spool.panicked_completions,
            },
            stores: health.checks(),
            clickhouse: ClickHouseFigures {
                lag_seconds: point.lag_seconds,
                parts,
                errors,
                insert_retries: pipeline
                    .insert_retries()
                    .into_iter()
                    .map(|(code, count)| InsertRetries { code, count })
                    .collect(),
                drift_days: now.figures.drift_days,
                unverified_days: now.figures.unverified_days,
            },
            dead_letters,
            nodes: std::iter::once(own).chain(others).collect(),
            slow_questions: stats.slowest().list(now.at),
            history: points,
            actors,
        };
        let stored = now.balance.stored;
        let besides = Besides {
            stored_nothing_for: history.lasts(&now, |sample| sample.balance.stored == stored),
            missing_for: history.lasts(&now, |sample| sample.balance.missing() != 0),
            unverified_for: history.lasts(&now, |sample| sample.figures.unverified_days > 0),
            stale_for: history.lasts(&now, |sample| sample.stale_matches > 0),
            open_files: process::share_of_open_files(),
            now: now.figures,
            lately: lately.map_or(now.figures, |sample| sample.figures),
        };
        overview.trouble = trouble::of(&overview, &besides);
        overview
    }
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

fn letters_of(letters: &DeadLetters) -> DeadLetterFigures {
    let waiting = letters.ids().unwrap_or_default();
    let asked_for = letters.asked_for().unwrap_or_default();
    let count = waiting.len() + asked_for.len();
    let all = waiting.into_iter().map(|id| (id, false)).chain(asked_for.into_iter().map(|id| (id, true)));
    let reports = all.take(MOST_LETTERS).map(|(id, to_be_replayed)| match letters.read(&id) {
        Ok(letter) => LetterReport::of(&letter, to_be_replayed),
        Err(error) => LetterReport::unreadable(id, &error.to_string(), to_be_replayed),
    });
    DeadLetterFigures { count, letters: reports.collect() }
}
