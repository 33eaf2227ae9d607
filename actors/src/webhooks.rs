//! WebhookSender: sends what waits in the outbox, a few messages at a time.
//!
//! What is to be sent, to whom and when again is the outbox's matter, which the service implements ([`Outbox`]). The actor
//! looks into it when it is woken ([`Wake`]), when something becomes due, and when a message has ended, because the next one
//! for the same receiver may have waited for it. It never waits for a receiver: messages are sent side by side, and an
//! attempt that panics counts as one that never ended, which the outbox gives to somebody again.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use actix::{ActorFutureExt, AsyncContext, Context, SpawnHandle};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::clock::Clock;
use crate::kernel::{Kernel, Worker, panic_text};
use crate::port::{Admitted, Capacity, Port, Weight};

/// Messages on their way at a time; each takes a socket, and most of its time waiting.
pub const MOST_AT_ONCE: usize = 16;
/// Whatever no notification told of, and while the outbox can't be asked.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Keeps something that is due and can't be had from being asked for without a pause.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);

/// One look at a time waits: whoever finds the mailbox full is seen to by the look that waits.
pub const MAILBOX: Capacity = Capacity { events: 1, bytes: 1 };
pub const WAKE_WEIGHT: Weight = Weight { events: 1, bytes: 1 };

/// A message that this node has claimed.
pub struct ClaimedDelivery {
    pub delivery_id: Uuid,
    /// Sends it and writes down how it went.
    pub attempt: BoxFuture<'static, ()>,
}

/// What a look into the outbox found.
#[derive(Default)]
pub struct Claims {
    pub deliveries: Vec<ClaimedDelivery>,
    /// Until something else becomes due, as far as is known.
    pub next_due: Option<Duration>,
}

/// Where messages wait.
pub trait Outbox: Send + Sync + 'static {
    /// Claims up to `most` messages that are due; or says why it can't be asked now.
    fn claim(&self, most: usize) -> BoxFuture<'static, Result<Claims, String>>;
}

/// There may be something to send.
pub struct Wake;

pub enum WebhookSignal {
    /// Claims nothing more; answers when nothing is on its way.
    Stop(oneshot::Sender<()>),
}

/// What outlives a panic: messages that are on their way end in their own time.
pub struct WebhookSenderEstate {
    pub outbox: Arc<dyn Outbox>,
    pub clock: Clock,
    on_their_way: BTreeSet<Uuid>,
    stopped: Option<oneshot::Sender<()>>,
    is_stopping: bool,
    is_looking: bool,
}

impl WebhookSenderEstate {
    pub fn new(outbox: Arc<dyn Outbox>, clock: Clock) -> Self {
        Self {
            outbox,
            clock,
            on_their_way: BTreeSet::new(),
            stopped: None,
            is_stopping: false,
            is_looking: false,
        }
    }
}

pub struct WebhookSender {
    estate: WebhookSenderEstate,
    port: Port<WebhookSender>,
    /// Woken during a look, which may have missed what it was woken for.
    look_again: bool,
    timer: Option<SpawnHandle>,
}

impl WebhookSender {
    pub fn new(estate: WebhookSenderEstate, port: Port<WebhookSender>) -> Self {
        Self { estate, port, look_again: false, timer: None }
    }

    fn look(&mut self, context: &mut Context<Kernel<Self>>) {
        let room = MOST_AT_ONCE.saturating_sub(self.estate.on_their_way.len());
        if self.estate.is_stopping || room == 0 {
            // Whatever ends looks again.
            return;
        }
        if self.estate.is_looking {
            self.look_again = true;
            return;
        }
        self.estate.is_looking = true;
        self.look_again = false;
        let claims = AssertUnwindSafe(self.estate.outbox.claim(room)).catch_unwind();
        let looked =
            actix::fut::wrap_future::<_, Kernel<Self>>(claims).map(move |claims, kernel, context| {
                kernel.update(|sender| {
                    sender.estate.is_looking = false;
                    let claims = claims.unwrap_or_else(|panic| Err(panic_text(&*panic)));
                    sender.looked(claims, context);
                });
            });
        context.spawn(looked);
    }

    fn looked(&mut self, claims: Result<Claims, String>, context: &mut Context<Kernel<Self>>) {
        let Claims { deliveries, next_due } = claims.unwrap_or_else(|why| {
            self.port.instance().note_error(&format!("messages can't be looked for: {why}"));
            Claims::default()
        });
        for delivery in deliveries {
            self.send(delivery, context);
        }
        if self.look_again {
            return self.look(context);
        }
        self.look_after(next_due.unwrap_or(LOOK_EVERY).clamp(SHORTEST_PAUSE, LOOK_EVERY), context);
        self.answer_who_waits_for_the_end();
    }

    fn send(&mut self, delivery: ClaimedDelivery, context: &mut Context<Kernel<Self>>) {
        let ClaimedDelivery { delivery_id, attempt } = delivery;
        self.estate.on_their_way.insert(delivery_id);
        let ended = actix::fut::wrap_future::<_, Kernel<Self>>(AssertUnwindSafe(attempt).catch_unwind()).map(
            move |ended, kernel, context| {
                kernel.update(|sender| {
                    if let Err(panic) = ended {
                        tracing::error!(%delivery_id, "an attempt to send to a webhook panicked; it is made again");
                        let what = format!("an attempt to send panicked: {}", panic_text(&*panic));
                        sender.port.instance().note_error(&what);
                    }
                    sender.estate.on_their_way.remove(&delivery_id);
                    sender.look(context);
                    sender.answer_who_waits_for_the_end();
                });
            },
        );
        context.spawn(ended);
    }

    fn look_after(&mut self, pause: Duration, context: &mut Context<Kernel<Self>>) {
        if let Some(timer) = self.timer.take() {
            context.cancel_future(timer);
        }
        let due = actix::fut::wrap_future::<_, Kernel<Self>>(self.estate.clock.sleep(pause)).map(
            |(), kernel, context| {
                kernel.update(|sender| {
                    sender.timer = None;
                    sender.look(context);
                });
            },
        );
        self.timer = Some(context.spawn(due));
    }

    fn answer_who_waits_for_the_end(&mut self) {
        let is_idle = self.estate.on_their_way.is_empty() && !self.estate.is_looking;
        if let Some(stopped) = self.estate.stopped.take_if(|_| is_idle) {
            // Whoever asked may have given up waiting.
            let _ = stopped.send(());
        }
    }
}

impl Worker for WebhookSender {
    type Message = Wake;
    type Signal = WebhookSignal;
    type Estate = WebhookSenderEstate;

    fn started(&mut self, context: &mut Context<Kernel<Self>>) {
        self.look(context);
    }

    fn handle(&mut self, _wake: &mut Option<Wake>, admitted: Admitted, context: &mut Context<Kernel<Self>>) {
        // Before the look: whoever comes from here on is not seen by it for certain.
        drop(admitted);
        self.look(context);
    }

    fn signal(&mut self, signal: WebhookSignal, _context: &mut Context<Kernel<Self>>) {
        let WebhookSignal::Stop(stopped) = signal;
        self.estate.is_stopping = true;
        self.estate.stopped = Some(stopped);
        self.answer_who_waits_for_the_end();
    }

    fn observe(&self) -> Value {
        json!({ "on_their_way": self.estate.on_their_way, "stopping": self.estate.is_stopping })
    }

    fn bequeath(self) -> WebhookSenderEstate {
        self.estate
    }

    fn bury(&mut self, _wake: Wake, _panic: &str) {
        // The next look, half a minute later at the latest, sees what this one would have.
    }
}
