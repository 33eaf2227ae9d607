//! Mailboxes with a bound that holds, and the kernel that runs a worker behind one.
//!
//! actix alone can't bound a mailbox: its limit is per clone of an address, `do_send` ignores it, `send` is
//! cancelled when the caller goes away, and it has no depth. So the [`Port`] owns the bound: it counts the
//! events and bytes that are queued *or in work*, admits or hands the message back, and only then sends. The
//! count falls when the [`Admitted`] guard that travels with the message is dropped, which its receiver does when
//! the message's work is done, not when it is taken from the queue.
//!
//! A [`Kernel`] is the actix actor around a [`Worker`]. A panic in a handler loses that one message, is counted as
//! a restart, and the worker mends itself ([`Worker::recover_after_panic`]); the queue is kept.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use actix::{Actor, Addr, Arbiter, AsyncContext, Context, Handler, Message};

use crate::metrics::MailboxMetrics;

/// What a message takes up in a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weight {
    pub events: u64,
    pub bytes: u64,
}

/// The bound of a mailbox, counting what is queued and in work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    pub events: u64,
    pub bytes: u64,
}

struct Admission {
    capacity: Capacity,
    events: AtomicU64,
    bytes: AtomicU64,
    metrics: MailboxMetrics,
}

impl Admission {
    /// A message is admitted when it fits, or when nothing else is there: else one larger than the whole mailbox
    /// could never be.
    fn admit(self: &Arc<Self>, weight: Weight) -> Option<Admitted> {
        let fits = |used: u64, more: u64, capacity: u64| {
            let total = used.saturating_add(more);
            (used == 0 || total <= capacity).then_some(total)
        };
        self.events
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| {
                fits(used, weight.events, self.capacity.events)
            })
            .ok()?;
        let bytes_fit = self.bytes.fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| {
            fits(used, weight.bytes, self.capacity.bytes)
        });
        if bytes_fit.is_err() {
            self.events.fetch_sub(weight.events, Ordering::AcqRel);
            return None;
        }
        self.metrics.depth.add(weight.events as i64);
        Some(Admitted { admission: self.clone(), weight })
    }
}

/// A place in a mailbox, given back when dropped.
pub struct Admitted {
    admission: Arc<Admission>,
    weight: Weight,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.admission.events.fetch_sub(self.weight.events, Ordering::AcqRel);
        self.admission.bytes.fetch_sub(self.weight.bytes, Ordering::AcqRel);
        self.admission.metrics.depth.sub(self.weight.events as i64);
    }
}

/// The state and handlers of an actor, without the machinery.
pub trait Worker: Sized + Unpin + 'static {
    /// What callers may offer; bounded.
    type Message: Send + 'static;
    /// What collaborators tell it (a writer is done, time has passed); unbounded, as each is answered by one message
    /// at most for one of its own.
    type Signal: Send + 'static;

    /// Runs once on the actor's own thread.
    fn started(&mut self, _context: &mut Context<Kernel<Self>>) {}

    /// Handles one admitted message. The place in the mailbox is held until `admitted` is dropped.
    fn handle(&mut self, message: Self::Message, admitted: Admitted, context: &mut Context<Kernel<Self>>);

    fn signal(&mut self, signal: Self::Signal, context: &mut Context<Kernel<Self>>);

    /// Puts the state in order after a handler panicked in the middle of its work.
    fn recover_after_panic(&mut self);
}

/// The actix actor that runs a [`Worker`].
pub struct Kernel<W: Worker> {
    worker: W,
    metrics: MailboxMetrics,
}

impl<W: Worker> Kernel<W> {
    pub fn worker(&mut self) -> &mut W {
        &mut self.worker
    }

    fn guarded(&mut self, work: impl FnOnce(&mut W)) {
        let began = Instant::now();
        if catch_unwind(AssertUnwindSafe(|| work(&mut self.worker))).is_err() {
            self.metrics.restarts.inc();
            tracing::error!(
                actor = self.metrics.kind,
                "a handler panicked; its message is lost, the actor goes on"
            );
            self.worker.recover_after_panic();
        }
        self.metrics.handling_seconds.observe(began.elapsed().as_secs_f64());
        self.metrics.last_progress.set(unix_seconds());
    }
}

fn unix_seconds() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs() as i64)
}

impl<W: Worker> Actor for Kernel<W> {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        self.metrics.instances.inc();
        self.worker.started(context);
    }

    fn stopped(&mut self, _context: &mut Self::Context) {
        self.metrics.instances.dec();
    }
}

struct Envelope<M> {
    message: M,
    admitted: Admitted,
    queued_at: Instant,
}

impl<M> Message for Envelope<M> {
    type Result = ();
}

impl<W: Worker> Handler<Envelope<W::Message>> for Kernel<W> {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<W::Message>, context: &mut Self::Context) {
        self.metrics.queue_wait_seconds.observe(envelope.queued_at.elapsed().as_secs_f64());
        self.guarded(|worker| worker.handle(envelope.message, envelope.admitted, context));
    }
}

struct Told<S>(S);

impl<S> Message for Told<S> {
    type Result = ();
}

impl<W: Worker> Handler<Told<W::Signal>> for Kernel<W> {
    type Result = ();

    fn handle(&mut self, told: Told<W::Signal>, context: &mut Self::Context) {
        self.guarded(|worker| worker.signal(told.0, context));
    }
}

/// The only way to reach an actor.
pub struct Port<W: Worker> {
    address: Addr<Kernel<W>>,
    admission: Arc<Admission>,
}

impl<W: Worker> Clone for Port<W> {
    fn clone(&self) -> Self {
        Self { address: self.address.clone(), admission: self.admission.clone() }
    }
}

impl<W: Worker> Port<W> {
    /// Starts a worker on `arbiter`'s thread; `make` runs there and is given the worker's own port.
    pub fn start(
        arbiter: &Arbiter,
        capacity: Capacity,
        metrics: MailboxMetrics,
        make: impl FnOnce(Port<W>) -> W + Send + 'static,
    ) -> Port<W> {
        metrics.capacity.set(i64::try_from(capacity.events).unwrap_or(i64::MAX));
        let admission = Arc::new(Admission {
            capacity,
            events: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            metrics: metrics.clone(),
        });
        let for_worker = admission.clone();
        let address = Kernel::start_in_arbiter(&arbiter.handle(), move |context: &mut Context<Kernel<W>>| {
            let port = Port { address: context.address(), admission: for_worker };
            Kernel { worker: make(port), metrics }
        });
        Port { address, admission }
    }

    /// Sends `message` if it fits, else hands it back.
    ///
    /// # Errors
    /// The message itself, when the mailbox is full.
    #[allow(clippy::disallowed_methods, reason = "the port is the one place that sends")]
    pub fn offer(&self, message: W::Message, weight: Weight) -> Result<(), W::Message> {
        let Some(admitted) = self.admission.admit(weight) else {
            self.admission.metrics.rejected.inc();
            return Err(message);
        };
        self.address.do_send(Envelope { message, admitted, queued_at: Instant::now() });
        Ok(())
    }

    #[allow(clippy::disallowed_methods, reason = "the port is the one place that sends")]
    pub fn tell(&self, signal: W::Signal) {
        self.address.do_send(Told(signal));
    }

    /// Events queued or in work.
    pub fn depth(&self) -> u64 {
        self.admission.events.load(Ordering::Acquire)
    }

    pub fn capacity(&self) -> Capacity {
        self.admission.capacity
    }
}
