//! Gauges that are read off their source when somebody asks, and the text that Prometheus gets.

use mohaa_actors::pipeline::Pipeline;
use prometheus::{
    Encoder, Gauge, GaugeVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use super::HealthMonitor;
use super::process::ProcessMetrics;

/// Values that others hold, copied when they are asked for.
pub struct OpsMetrics {
    registry: Registry,
    worker_queue_depth: IntGauge,
    events_missing: IntGauge,
    ready: IntGauge,
    spool_bytes: IntGauge,
    spool_budget_bytes: IntGauge,
    spool_failures: IntCounterVec,
    spool_segments: IntGauge,
    spool_oldest_seconds: Gauge,
    spool_queued_appends: IntGauge,
    dead_letters: IntGauge,
    writers_paused: IntGauge,
    live_matches: IntGaugeVec,
    process: ProcessMetrics,
    store_up: IntGaugeVec,
    actor_busy_seconds: GaugeVec,
    actor_working_seconds: GaugeVec,
    mailbox_fullest: GaugeVec,
    actor_failing: IntGaugeVec,
}

impl OpsMetrics {
    /// # Errors
    /// When `registry` already holds metrics of these names.
    pub fn new(registry: Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| -> Result<IntGauge, prometheus::Error> {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let spool_oldest_seconds = Gauge::new(
            "mohaa_spool_oldest_record_seconds",
            "Age of the oldest record on disk, stored or not; segments are deleted whole.",
        )?;
        registry.register(Box::new(spool_oldest_seconds.clone()))?;
        let actor_busy_seconds = GaugeVec::new(
            Opts::new(
                "mohaa_actor_busy_seconds",
                "The longest that a handler which runs now has been running.",
            ),
            &["actor"],
        )?;
        registry.register(Box::new(actor_busy_seconds.clone()))?;
        let actor_working_seconds = GaugeVec::new(
            Opts::new(
                "mohaa_actor_working_seconds",
                "The longest that work has been going on whose handler has returned: a batch, a change of a bracket.",
            ),
            &["actor"],
        )?;
        registry.register(Box::new(actor_working_seconds.clone()))?;
        let mailbox_fullest = GaugeVec::new(
            Opts::new("mohaa_mailbox_fullest", "How full the fullest mailbox of a kind is, from 0 to 1."),
            &["actor"],
        )?;
        registry.register(Box::new(mailbox_fullest.clone()))?;
        let actor_failing = IntGaugeVec::new(
            Opts::new("mohaa_actor_failing", "Instances that have used up their restart budget."),
            &["actor"],
        )?;
        registry.register(Box::new(actor_failing.clone()))?;
        let store_up = IntGaugeVec::new(
            Opts::new("mohaa_store_up", "1 when a store answered the last check."),
            &["store"],
        )?;
        registry.register(Box::new(store_up.clone()))?;
        let spool_failures = IntCounterVec::new(
            Opts::new("mohaa_spool_failures_total", "What the spool could not do, by kind of work."),
            &["work"],
        )?;
        registry.register(Box::new(spool_failures.clone()))?;
        let live_matches = IntGaugeVec::new(
            Opts::new(
                "mohaa_live_matches",
                "Matches that are being played and that this node follows: whole, or stale while something is missing.",
            ),
            &["state"],
        )?;
        registry.register(Box::new(live_matches.clone()))?;
        let build = IntGaugeVec::new(
            Opts::new("mohaa_build_info", "Always 1; its label says which version runs."),
            &["version"],
        )?;
        registry.register(Box::new(build.clone()))?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Ok(Self {
            ready: gauge("mohaa_ready", "1 while events are taken, as /ready says.")?,
            events_missing: gauge(
                "mohaa_events_missing",
                "What the books miss: 0 but for what is being moved right now.",
            )?,
            worker_queue_depth: gauge(
                "mohaa_worker_queue_depth",
                "Events in the Batcher's mailbox or in work.",
            )?,
            spool_bytes: gauge("mohaa_spool_bytes", "Bytes of the spool on disk and queued.")?,
            spool_budget_bytes: gauge(
                "mohaa_spool_budget_bytes",
                "What the spool may hold before events are refused (SPOOL_MAX_BYTES).",
            )?,
            spool_failures,
            spool_segments: gauge("mohaa_spool_segments", "Segment files of the spool.")?,
            spool_queued_appends: gauge(
                "mohaa_spool_queued_appends",
                "Appends waiting for the spool's writer.",
            )?,
            dead_letters: gauge(
                "mohaa_dead_letters",
                "Dead letters: refused rows, and requests whose handler panicked.",
            )?,
            writers_paused: gauge(
                "mohaa_writers_paused",
                "Writers that an operator keeps from taking batches.",
            )?,
            spool_oldest_seconds,
            live_matches,
            process: ProcessMetrics::new(&registry)?,
            store_up,
            actor_busy_seconds,
            actor_working_seconds,
            mailbox_fullest,
            actor_failing,
            registry,
        })
    }

    /// All metrics in Prometheus' text format.
    ///
    /// # Errors
    /// When a metric can't be written; a defect.
    pub fn render(&self, pipeline: &Pipeline, health: &HealthMonitor) -> Result<Vec<u8>, prometheus::Error> {
        let spool = pipeline.spool.stats();
        let to_gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.worker_queue_depth.set(to_gauge(pipeline.batcher.depth()));
        self.events_missing.set(pipeline.ledger.balance().missing());
        self.spool_bytes.set(to_gauge(spool.bytes_on_disk + spool.bytes_queued));
        self.spool_budget_bytes.set(to_gauge(spool.max_bytes));
        for (work, failures) in [
            ("write", spool.failed_writes),
            ("rotation", spool.failed_rotations),
            ("checkpoint", spool.failed_checkpoints),
            ("deletion", spool.failed_deletions),
            ("completion", spool.panicked_completions),
        ] {
            let counter = self.spool_failures.with_label_values(&[work]);
            counter.inc_by(failures.saturating_sub(counter.get()));
        }
        self.spool_segments.set(to_gauge(spool.segments));
        self.spool_queued_appends.set(to_gauge(spool.queued_appends));
        self.spool_oldest_seconds.set(spool.oldest_record_age.map_or(0.0, |age| age.as_secs_f64()));
        self.dead_letters.set(to_gauge(pipeline.dead_letters.count() as u64));
        self.writers_paused.set(to_gauge(pipeline.switches.paused() as u64));
        self.ready.set(i64::from(health.is_ready()));
        let feeds = pipeline.live.all().into_iter().map(|feed| feed.seen());
        let (stale, whole): (Vec<_>, Vec<_>) =
            feeds.filter(|seen| seen.ended_at.is_none()).partition(|seen| seen.stale);
        self.live_matches.with_label_values(&["stale"]).set(to_gauge(stale.len() as u64));
        self.live_matches.with_label_values(&["whole"]).set(to_gauge(whole.len() as u64));
        self.process.read();
        let checks = health.checks();
        for (store, check) in
            [("postgres", &checks.postgres), ("clickhouse", &checks.clickhouse), ("redis", &checks.redis)]
        {
            self.store_up.with_label_values(&[store]).set(i64::from(check.ok));
        }
        self.actor_busy_seconds.reset();
        self.actor_working_seconds.reset();
        self.mailbox_fullest.reset();
        self.actor_failing.reset();
        for instance in pipeline.actors.instances() {
            instance.count_time_blocked();
            let most = |gauges: &GaugeVec, value: f64| {
                let gauge = gauges.with_label_values(&[instance.kind]);
                gauge.set(gauge.get().max(value));
            };
            most(&self.actor_busy_seconds, instance.busy_for().as_secs_f64());
            most(&self.actor_working_seconds, instance.working_for().as_secs_f64());
            if let Some(filled) = instance.filled() {
                most(&self.mailbox_fullest, filled);
            }
            let failing = self.actor_failing.with_label_values(&[instance.kind]);
            failing.add(i64::from(instance.is_failing()));
        }
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}
