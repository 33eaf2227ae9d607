//! Where every event went: an invariant kept by a type.
//!
//! ```text
//! received + recovered = stored + rejected(reason) + dead-lettered + held + in flight
//! ```
//!
//! Events enter through [`Ledger::receive`] or [`Ledger::recover`], and come back from being held through
//! [`Ledger::release`]; each wraps whatever carries them in an [`Accounted`]. From there on they can only be moved, split, joined, or ended in one of the ways named above.
//! An [`Accounted`] that is dropped instead is counted as `unaccounted` and logged: that is a bug, and an alert.

use std::sync::Arc;

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// Why events were refused. One enum is at once metric label, JSON code and log field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RejectReason {
    /// The event itself can't be read: not an object, no type.
    Unreadable,
    /// The Batcher's mailbox holds as many events as it may.
    MailboxFull,
    /// The spool has reached its budget because the store does not take events off it.
    SpoolFull,
    /// The spool can't write: the disk is full or broken.
    SpoolFailed,
    /// Stored, the events of one request would take more than a record of the spool holds.
    TooLarge,
    /// The request repeats one that was already accepted.
    IdempotentReplay,
    /// The request uses the key of an accepted request for other content.
    IdempotencyMismatch,
    /// Their server sends more than RATE_LIMITS lets it.
    RateLimited,
    /// The service is shutting down.
    Draining,
    /// Their server waits for approval, and as much of it is held as may be.
    HeldFull,
    /// Held for a server that was removed instead of approved.
    ServerRemoved,
    /// Accepted, and then lost with the part of the disk that held them.
    SpoolDamaged,
    /// A defect of ours lost the message.
    Internal,
}

impl RejectReason {
    pub const ALL: [RejectReason; 13] = [
        RejectReason::Unreadable,
        RejectReason::MailboxFull,
        RejectReason::SpoolFull,
        RejectReason::SpoolFailed,
        RejectReason::TooLarge,
        RejectReason::IdempotentReplay,
        RejectReason::IdempotencyMismatch,
        RejectReason::RateLimited,
        RejectReason::Draining,
        RejectReason::HeldFull,
        RejectReason::ServerRemoved,
        RejectReason::SpoolDamaged,
        RejectReason::Internal,
    ];

    /// Stable slug for metrics, answers and logs.
    pub const fn code(self) -> &'static str {
        match self {
            RejectReason::Unreadable => "unreadable_event",
            RejectReason::MailboxFull => "mailbox_full",
            RejectReason::SpoolFull => "spool_full",
            RejectReason::SpoolFailed => "spool_failed",
            RejectReason::TooLarge => "body_too_large",
            RejectReason::IdempotentReplay => "idempotent_replay",
            RejectReason::IdempotencyMismatch => "idempotency_mismatch",
            RejectReason::RateLimited => "rate_limited",
            RejectReason::Draining => "draining",
            RejectReason::HeldFull => "held_full",
            RejectReason::ServerRemoved => "server_removed",
            RejectReason::SpoolDamaged => "spool_damaged",
            RejectReason::Internal => "internal",
        }
    }
}

/// The books: counters of every way in and out, shared by all who hold events.
#[derive(Clone)]
pub struct Ledger {
    inner: Arc<Counters>,
}

struct Counters {
    received: IntCounter,
    recovered: IntCounter,
    stored: IntCounter,
    rejected: IntCounterVec,
    shed: IntCounter,
    dead_lettered: IntCounter,
    held: IntGauge,
    in_flight: IntGauge,
    unaccounted: IntCounter,
}

/// The books at one moment. Exact when nothing moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balance {
    pub received: u64,
    pub recovered: u64,
    pub stored: u64,
    pub rejected: u64,
    pub dead_lettered: u64,
    pub held: i64,
    pub in_flight: i64,
    pub unaccounted: u64,
}

impl Balance {
    /// Events that came in but are nowhere: 0 unless something is being moved right now, or there is a defect.
    pub fn missing(&self) -> i64 {
        (self.received + self.recovered) as i64
            - (self.stored + self.rejected + self.dead_lettered) as i64
            - self.held
            - self.in_flight
    }
}

impl Ledger {
    /// Registers the counters.
    ///
    /// # Errors
    /// When `registry` already holds metrics of these names.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| -> Result<IntCounter, prometheus::Error> {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let gauge = |name: &str, help: &str| -> Result<IntGauge, prometheus::Error> {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let rejected = IntCounterVec::new(
            Opts::new(
                "mohaa_events_rejected_total",
                "Events refused, by reason; repeats of accepted requests included.",
            ),
            &["reason"],
        )?;
        registry.register(Box::new(rejected.clone()))?;
        for reason in RejectReason::ALL {
            rejected.with_label_values(&[reason.code()]);
        }
        Ok(Self {
            inner: Arc::new(Counters {
                received: counter(
                    "mohaa_events_ingested_total",
                    "Events that arrived in requests, readable or not.",
                )?,
                recovered: counter(
                    "mohaa_events_recovered_total",
                    "Accepted events found in the spool at start, not yet stored.",
                )?,
                stored: counter("mohaa_events_processed_total", "Events stored in ClickHouse.")?,
                rejected,
                shed: counter(
                    "mohaa_events_load_shed_total",
                    "Events refused because a mailbox or the spool was full.",
                )?,
                dead_lettered: counter(
                    "mohaa_events_failed_total",
                    "Events that ClickHouse refuses for what they hold; kept in the dead letters.",
                )?,
                held: gauge("mohaa_events_held", "Events kept until their server is approved.")?,
                in_flight: gauge(
                    "mohaa_events_in_flight",
                    "Events received or recovered whose end is still open.",
                )?,
                unaccounted: counter(
                    "mohaa_events_unaccounted_total",
                    "Events dropped without an end; always 0 unless there is a defect.",
                )?,
            }),
        })
    }

    /// Takes in `events` events of a request, carried by `value`.
    pub fn receive<T>(&self, value: T, events: u64) -> Accounted<T> {
        self.inner.received.inc_by(events);
        self.open(value, events)
    }

    /// Takes in `events` events that an earlier process accepted and did not store.
    pub fn recover<T>(&self, value: T, events: u64) -> Accounted<T> {
        self.inner.recovered.inc_by(events);
        self.open(value, events)
    }

    /// Takes in `events` events that an earlier process, or an earlier try to send them on, left held.
    pub fn recover_held(&self, events: u64) {
        self.recover((), events).hold();
    }

    /// Takes `events` events on that were held, carried by `value`.
    pub fn release<T>(&self, value: T, events: u64) -> Accounted<T> {
        self.inner.held.sub(events as i64);
        self.open(value, events)
    }

    fn open<T>(&self, value: T, events: u64) -> Accounted<T> {
        self.inner.in_flight.add(events as i64);
        Accounted { value: Some(value), events, ledger: self.clone() }
    }

    pub fn balance(&self) -> Balance {
        let counters = &*self.inner;
        Balance {
            received: counters.received.get(),
            recovered: counters.recovered.get(),
            stored: counters.stored.get(),
            rejected: RejectReason::ALL
                .iter()
                .map(|reason| counters.rejected.with_label_values(&[reason.code()]).get())
                .sum(),
            dead_lettered: counters.dead_lettered.get(),
            held: counters.held.get(),
            in_flight: counters.in_flight.get(),
            unaccounted: counters.unaccounted.get(),
        }
    }
}

/// Something that carries events whose end is open. Must be ended; see the module's documentation.
#[must_use = "events must end stored, rejected, dead-lettered or left in the spool"]
pub struct Accounted<T> {
    value: Option<T>,
    events: u64,
    ledger: Ledger,
}

impl<T> Accounted<T> {
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The carrier, while the books stay open.
    pub fn get(&self) -> Option<&T> {
        self.value.as_ref()
    }

    /// Puts the events into another carrier.
    pub fn map<U>(mut self, change: impl FnOnce(T) -> U) -> Accounted<U> {
        // `value` is only ever taken by the methods that consume the carrier, this one among them; should that
        // change, the events are dropped below and counted as unaccounted instead of being lost in silence.
        let value = self.value.take().map(change);
        let events = std::mem::take(&mut self.events);
        Accounted { value, events, ledger: self.ledger.clone() }
    }

    /// Takes `events` (at most all) of them apart, to be ended by themselves.
    pub fn split_off(&mut self, events: u64) -> Accounted<()> {
        let taken = events.min(self.events);
        self.events -= taken;
        Accounted { value: Some(()), events: taken, ledger: self.ledger.clone() }
    }

    /// Takes over the events of `other`, whose carrier is dropped.
    pub fn absorb<U>(&mut self, mut other: Accounted<U>) {
        self.events += std::mem::take(&mut other.events);
        other.value = None;
    }

    /// The events are in ClickHouse.
    pub fn stored(mut self) {
        self.ledger.inner.stored.inc_by(self.events);
        self.close();
    }

    /// The events are refused.
    pub fn reject(mut self, reason: RejectReason) -> Option<T> {
        self.ledger.inner.rejected.with_label_values(&[reason.code()]).inc_by(self.events);
        if matches!(reason, RejectReason::MailboxFull | RejectReason::SpoolFull) {
            self.ledger.inner.shed.inc_by(self.events);
        }
        self.close();
        self.value.take()
    }

    /// The events are in the dead letters.
    pub fn dead_letter(mut self) {
        self.ledger.inner.dead_lettered.inc_by(self.events);
        self.close();
    }

    /// The events are kept until their server is approved; see [`Ledger::release`].
    pub fn hold(mut self) {
        self.ledger.inner.held.add(self.events as i64);
        self.close();
    }

    /// This process ends; the events stay in the spool and stay in flight: the next process recovers them.
    pub fn leave_in_spool(mut self) {
        self.events = 0;
    }

    fn close(&mut self) {
        self.ledger.inner.in_flight.sub(self.events as i64);
        self.events = 0;
    }
}

impl<T> Drop for Accounted<T> {
    fn drop(&mut self) {
        if self.events == 0 {
            return;
        }
        if std::thread::panicking() {
            // A panicking handler loses its message; that loss has a name.
            self.ledger
                .inner
                .rejected
                .with_label_values(&[RejectReason::Internal.code()])
                .inc_by(self.events);
        } else {
            self.ledger.inner.unaccounted.inc_by(self.events);
            tracing::error!(events = self.events, "events were dropped without an end");
        }
        self.close();
    }
}
