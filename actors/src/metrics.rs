//! Metrics of a mailbox, labelled by the actor's kind and never by an instance.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use prometheus::{
    Counter, CounterVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};

/// The metric families of all mailboxes; one [`MailboxMetrics`] is taken from it for each actor kind.
pub struct MailboxMetricFamilies {
    depth: IntGaugeVec,
    capacity: IntGaugeVec,
    rejected: IntCounterVec,
    restarts: IntCounterVec,
    instances: IntGaugeVec,
    last_progress: IntGaugeVec,
    queue_wait_seconds: HistogramVec,
    handling_seconds: HistogramVec,
    blocked_seconds: CounterVec,
    /// What was taken from the families.
    kinds: Mutex<BTreeMap<&'static str, MailboxMetrics>>,
}

/// The metrics of one actor kind.
#[derive(Clone)]
pub struct MailboxMetrics {
    pub kind: &'static str,
    pub depth: IntGauge,
    pub capacity: IntGauge,
    pub rejected: IntCounter,
    pub restarts: IntCounter,
    pub instances: IntGauge,
    pub last_progress: IntGauge,
    pub queue_wait_seconds: Histogram,
    pub handling_seconds: Histogram,
    pub blocked_seconds: Counter,
}

/// 10 µs to 10 s: a handler that takes longer than a second is already an incident.
const SECONDS_BUCKETS: &[f64] = &[0.000_01, 0.000_1, 0.001, 0.01, 0.1, 1.0, 10.0];

impl MailboxMetricFamilies {
    /// Registers the families.
    ///
    /// # Errors
    /// When `registry` already holds metrics of these names.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauges = |name: &str, help: &str| -> Result<IntGaugeVec, prometheus::Error> {
            let family = IntGaugeVec::new(Opts::new(name, help), &["actor"])?;
            registry.register(Box::new(family.clone()))?;
            Ok(family)
        };
        let counters = |name: &str, help: &str| -> Result<IntCounterVec, prometheus::Error> {
            let family = IntCounterVec::new(Opts::new(name, help), &["actor"])?;
            registry.register(Box::new(family.clone()))?;
            Ok(family)
        };
        let histograms = |name: &str, help: &str| -> Result<HistogramVec, prometheus::Error> {
            let options = HistogramOpts::new(name, help).buckets(SECONDS_BUCKETS.to_vec());
            let family = HistogramVec::new(options, &["actor"])?;
            registry.register(Box::new(family.clone()))?;
            Ok(family)
        };
        let blocked_seconds = CounterVec::new(
            Opts::new(
                "mohaa_actor_blocked_seconds_total",
                "Time in which work was ready and everybody downstream was busy.",
            ),
            &["actor"],
        )?;
        registry.register(Box::new(blocked_seconds.clone()))?;
        Ok(Self {
            depth: gauges("mohaa_mailbox_depth", "Events queued or in work, by actor kind.")?,
            capacity: gauges("mohaa_mailbox_capacity", "Events a mailbox may hold, by actor kind.")?,
            rejected: counters(
                "mohaa_mailbox_rejected_total",
                "Messages handed back because the mailbox was full.",
            )?,
            restarts: counters(
                "mohaa_actor_restarts_total",
                "Panics of actors; each cost a message at most.",
            )?,
            instances: gauges("mohaa_actor_instances", "Running actors, by kind.")?,
            last_progress: gauges(
                "mohaa_actor_last_progress_seconds",
                "Unix time of the last handled message.",
            )?,
            queue_wait_seconds: histograms("mohaa_mailbox_wait_seconds", "Time from offer to handling.")?,
            handling_seconds: histograms(
                "mohaa_actor_handling_seconds",
                "Time of one handler, and of the work that went on behind it.",
            )?,
            blocked_seconds,
            kinds: Mutex::default(),
        })
    }

    /// Those of every kind that was asked for, by its name.
    pub fn kinds(&self) -> Vec<MailboxMetrics> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// The metrics of one actor kind.
    pub fn of_kind(&self, kind: &'static str) -> MailboxMetrics {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        kinds.entry(kind).or_insert_with(|| self.made(kind)).clone()
    }

    fn made(&self, kind: &'static str) -> MailboxMetrics {
        let label = &[kind];
        MailboxMetrics {
            kind,
            depth: self.depth.with_label_values(label),
            capacity: self.capacity.with_label_values(label),
            rejected: self.rejected.with_label_values(label),
            restarts: self.restarts.with_label_values(label),
            instances: self.instances.with_label_values(label),
            last_progress: self.last_progress.with_label_values(label),
            queue_wait_seconds: self.queue_wait_seconds.with_label_values(label),
            handling_seconds: self.handling_seconds.with_label_values(label),
            blocked_seconds: self.blocked_seconds.with_label_values(label),
        }
    }
}
