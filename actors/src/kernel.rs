//! What runs a [`Worker`]: the actix actor around it, which survives its panics.
//!
//! A worker is made by a factory from its estate: that which must outlive it. When a handler panics, the worker tells
//! a last time what it knows ([`Worker::observe`]), gives its estate up ([`Worker::bequeath`]), and the factory makes
//! its successor, while the mailbox is kept. The message of that handler, unless it was taken over by then, is
//! [buried](Worker::bury). So a panic costs one message at most, and its sender learns of it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Instant;

use actix::fut::ActorFuture;
use actix::{Actor, ActorContext, AsyncContext, Context, Handler, Message};
use serde_json::Value;
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::metrics::MailboxMetrics;
use crate::port::Admitted;
use crate::supervision::Instance;

/// The state and handlers of an actor, without the machinery.
pub trait Worker: Sized + Unpin + 'static {
    /// What callers may offer; bounded.
    type Message: Send + 'static;
    /// What collaborators tell it (a writer is done, time has passed); unbounded, as each is answered by one message
    /// at most for one of its own.
    type Signal: Send + 'static;
    /// What a successor needs.
    type Estate: Send + 'static;
    /// Whether the work of a message goes on when its handler has returned, one at a time. Then the worker says when it has
    /// [ended](Instance::work_ended), and until then counts as working, not as busy: its thread is free.
    const WORKS_ON: bool = false;

    /// Runs once on the actor's own thread, before the first message; not again for a successor.
    fn started(&mut self, _context: &mut Context<Kernel<Self>>) {}

    /// Handles one admitted message. The handler takes it over, by taking it, where a panic of its own could no
    /// longer lose it. The place in the mailbox is held until `admitted` is dropped.
    fn handle(
        &mut self,
        message: &mut Option<Self::Message>,
        admitted: Admitted,
        context: &mut Context<Kernel<Self>>,
    );

    fn signal(&mut self, signal: Self::Signal, context: &mut Context<Kernel<Self>>);

    /// Runs when everything that had come is handled: the place for what is done once for several messages. A flood never
    /// comes to an end, so whatever is left to this must be bounded.
    fn rest(&mut self) {}

    /// What operators may see of its state.
    fn observe(&self) -> Value;

    /// Gives up what its successor needs, after a handler panicked in the middle of its work. What that handler may
    /// have left half done is not part of it.
    fn bequeath(self) -> Self::Estate;

    /// Keeps a message whose handler panicked where an operator finds it, and answers whoever waits for it.
    fn bury(&mut self, message: Self::Message, panic: &str);
}

/// Makes a worker from its estate, on the actor's own thread.
pub type Factory<W> = Box<dyn FnMut(<W as Worker>::Estate) -> W>;

/// The actix actor that runs a [`Worker`].
pub struct Kernel<W: Worker> {
    /// `None` once no successor could be made.
    worker: Option<W>,
    make: Factory<W>,
    instance: Arc<Instance>,
    clock: Clock,
    metrics: MailboxMetrics,
}

impl<W: Worker> Kernel<W> {
    pub(crate) fn new(
        estate: W::Estate,
        mut make: Factory<W>,
        instance: Arc<Instance>,
        clock: Clock,
        metrics: MailboxMetrics,
    ) -> Self {
        Self { worker: Some(make(estate)), make, instance, clock, metrics }
    }

    /// Changes the worker from a future that it has spawned.
    pub(crate) fn update(&mut self, change: impl FnOnce(&mut W)) {
        if let Some(worker) = &mut self.worker {
            change(worker);
        }
    }

    /// Runs a handler; returns what a panic in it said.
    fn guarded(
        &mut self,
        queued_at: Option<Instant>,
        context: &mut Context<Self>,
        work: impl FnOnce(&mut W, &mut Context<Self>),
    ) -> Option<String> {
        let Some(worker) = &mut self.worker else { return None };
        let began = self.clock.instant();
        self.instance.enter(began, queued_at);
        if let Some(queued_at) = queued_at {
            let waited = began.saturating_duration_since(queued_at);
            self.metrics.queue_wait_seconds.observe(waited.as_secs_f64());
        }
        let ended = catch_unwind(AssertUnwindSafe(|| work(worker, context)));
        let panic = ended.err().map(|payload| panic_text(&*payload));
        if let Some(panic) = &panic {
            self.succeed(panic, context);
        }
        match W::WORKS_ON && queued_at.is_some() && panic.is_none() {
            true => self.instance.works_on(began),
            false => self.instance.leave(began),
        }
        panic
    }

    fn rest(&mut self, context: &mut Context<Self>) {
        let Some(worker) = &mut self.worker else { return };
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| worker.rest())) {
            self.succeed(&panic_text(&*payload), context);
        }
    }

    /// Puts a new worker in the place of one that has panicked.
    fn succeed(&mut self, panic: &str, context: &mut Context<Self>) {
        let Some(worker) = self.worker.take() else { return };
        let actor = self.metrics.kind;
        let name = self.instance.name.as_str();
        // Its state may be anything: even looking at it can fail.
        let state = catch_unwind(AssertUnwindSafe(|| worker.observe())).unwrap_or(Value::Null);
        tracing::error!(actor, name, panic, %state, "a handler panicked; the actor is made anew");
        self.instance.note_failure(panic.to_owned(), state);
        match catch_unwind(AssertUnwindSafe(|| (self.make)(worker.bequeath()))) {
            Ok(successor) => self.worker = Some(successor),
            Err(payload) => {
                tracing::error!(
                    actor,
                    name,
                    panic = panic_text(&*payload),
                    "the actor can't be made anew and ends"
                );
                context.stop();
            }
        }
    }

    fn bury(&mut self, message: W::Message, panic: &str) {
        let Some(worker) = &mut self.worker else { return };
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| worker.bury(message, panic))) {
            let actor = self.metrics.kind;
            tracing::error!(actor, panic = panic_text(&*payload), "the message of the panic is lost");
        }
    }
}

/// What a panic said.
pub(crate) fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no text".to_owned())
}

impl<W: Worker> Actor for Kernel<W> {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        self.metrics.instances.inc();
        self.guarded(None, context, |worker, context| worker.started(context));
        context.spawn(Rest);
    }

    fn stopped(&mut self, _context: &mut Self::Context) {
        self.metrics.instances.dec();
    }
}

/// Never ends: actix polls what an actor has spawned whenever it has emptied its mailbox.
struct Rest;

impl<W: Worker> ActorFuture<Kernel<W>> for Rest {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        kernel: &mut Kernel<W>,
        context: &mut Context<Kernel<W>>,
        _task: &mut task::Context<'_>,
    ) -> Poll<()> {
        kernel.rest(context);
        Poll::Pending
    }
}

/// A message with its place in the mailbox.
pub(crate) struct Envelope<M> {
    pub message: M,
    pub admitted: Admitted,
    pub queued_at: Instant,
}

impl<M> Message for Envelope<M> {
    type Result = ();
}

impl<W: Worker> Handler<Envelope<W::Message>> for Kernel<W> {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<W::Message>, context: &mut Self::Context) {
        let Envelope { message, admitted, queued_at } = envelope;
        let mut message = Some(message);
        let panic = self.guarded(Some(queued_at), context, |worker, context| {
            worker.handle(&mut message, admitted, context);
        });
        self.instance.note_handled();
        if let (Some(panic), Some(message)) = (panic, message) {
            self.bury(message, &panic);
        }
    }
}

pub(crate) struct Told<S>(pub S);

impl<S> Message for Told<S> {
    type Result = ();
}

impl<W: Worker> Handler<Told<W::Signal>> for Kernel<W> {
    type Result = ();

    fn handle(&mut self, told: Told<W::Signal>, context: &mut Self::Context) {
        self.guarded(None, context, |worker, context| worker.signal(told.0, context));
        self.instance.note_handled();
    }
}

/// Asks for [`Worker::observe`].
pub(crate) struct Observe(pub oneshot::Sender<Value>);

impl Message for Observe {
    type Result = ();
}

impl<W: Worker> Handler<Observe> for Kernel<W> {
    type Result = ();

    fn handle(&mut self, Observe(reply): Observe, _context: &mut Self::Context) {
        let Some(worker) = &self.worker else { return };
        if let Ok(state) = catch_unwind(AssertUnwindSafe(|| worker.observe())) {
            // Whoever asked may have given up waiting.
            let _ = reply.send(state);
        }
    }
}
