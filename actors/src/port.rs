//! Mailboxes with a bound that holds.
//!
//! actix alone can't bound a mailbox: its limit is per clone of an address, `do_send` ignores it, `send` is
//! cancelled when the caller goes away, and it has no depth. So the [`Port`] owns the bound: it counts the
//! events and bytes that are queued *or in work*, admits or hands the message back, and only then sends. The
//! count falls when the [`Admitted`] guard that travels with the message is dropped, which its receiver does when
//! the message's work is done, not when it is taken from the queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actix::dev::channel;
use actix::{Addr, ArbiterHandle, Context};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::kernel::{Envelope, Kernel, Observe, Told, Worker};
use crate::metrics::MailboxMetrics;
use crate::supervision::{Directory, Instance, InstanceParts, RestartBudget};

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

/// Why a port handed a message back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The mailbox holds as much as it may.
    Full,
    /// The actor has ended.
    Ended,
}

/// How an actor is started.
pub struct Post<'a> {
    /// Whose thread it runs on.
    pub arbiter: &'a ArbiterHandle,
    /// Tells instances of a kind apart.
    pub name: String,
    pub capacity: Capacity,
    pub budget: RestartBudget,
    pub clock: Clock,
    pub metrics: MailboxMetrics,
    pub directory: &'a Directory,
}

/// The only way to reach an actor. Cheap to clone; an address of actix is not, as each clone makes a sender of its own.
pub struct Port<W: Worker> {
    inner: Arc<Inner<W>>,
}

struct Inner<W: Worker> {
    address: Addr<Kernel<W>>,
    admission: Arc<Admission>,
    clock: Clock,
    instance: Arc<Instance>,
}

impl<W: Worker> Clone for Port<W> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<W: Worker> Port<W> {
    /// Starts an actor. `make` is its factory, for the first worker as for every successor; it runs on the actor's
    /// thread and is given the actor's own port. `estate` is what the first one begins with.
    pub fn start(
        post: Post<'_>,
        estate: W::Estate,
        make: impl Fn(&Port<W>, W::Estate) -> W + Send + 'static,
    ) -> Port<W> {
        let Post { arbiter, name, capacity, budget, clock, metrics, directory } = post;
        metrics.capacity.set(i64::try_from(capacity.events).unwrap_or(i64::MAX));
        let admission = Arc::new(Admission {
            capacity,
            events: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            metrics: metrics.clone(),
        });
        // Its bound is per sender and unused: everything is sent past it, once the port has admitted it.
        let (sender, receiver) = channel::channel(1);
        let address = Addr::new(sender);
        let counted = admission.clone();
        // Weak, or the instance in the kernel would keep the kernel's own mailbox open.
        let asked = address.downgrade();
        let instance = directory.enlist(InstanceParts {
            metrics: metrics.clone(),
            name,
            clock: clock.clone(),
            budget,
            capacity: capacity.events,
            depth: Box::new(move || counted.events.load(Ordering::Acquire)),
            observe: Box::new(move || ask_for_state(asked.upgrade())),
        });
        let inner = Inner { address, admission, clock: clock.clone(), instance: instance.clone() };
        let port = Port { inner: Arc::new(inner) };
        let own_port = port.clone();
        arbiter.spawn_fn(move || {
            let factory = Box::new(move |estate| make(&own_port, estate));
            let kernel = Kernel::new(estate, factory, instance, clock, metrics);
            Context::with_receiver(receiver).run(kernel);
        });
        port
    }

    /// Sends `message` if it fits, else hands it back with the reason.
    ///
    /// # Errors
    /// The message itself, when the mailbox is full or the actor has ended.
    #[allow(clippy::disallowed_methods, reason = "the port is the one place that sends")]
    pub fn offer(&self, message: W::Message, weight: Weight) -> Result<(), (W::Message, Refusal)> {
        let Inner { address, admission, clock, instance } = &*self.inner;
        if !address.connected() {
            return Err((message, Refusal::Ended));
        }
        let Some(admitted) = admission.admit(weight) else {
            admission.metrics.rejected.inc();
            instance.note_rejected();
            return Err((message, Refusal::Full));
        };
        address.do_send(Envelope { message, admitted, queued_at: clock.instant() });
        Ok(())
    }

    #[allow(clippy::disallowed_methods, reason = "the port is the one place that sends")]
    pub fn tell(&self, signal: W::Signal) {
        self.inner.address.do_send(Told(signal));
    }

    /// Where the actor keeps what operators are to know of it.
    pub(crate) fn instance(&self) -> &Instance {
        &self.inner.instance
    }

    /// Events queued or in work.
    pub fn depth(&self) -> u64 {
        self.inner.admission.events.load(Ordering::Acquire)
    }

    pub fn capacity(&self) -> Capacity {
        self.inner.admission.capacity
    }
}

#[allow(clippy::disallowed_methods, reason = "the port is the one place that sends")]
fn ask_for_state<W: Worker>(address: Option<Addr<Kernel<W>>>) -> BoxFuture<'static, Option<Value>> {
    let (reply, state) = oneshot::channel();
    if let Some(address) = address {
        address.do_send(Observe(reply));
    }
    state.map(Result::ok).boxed()
}
