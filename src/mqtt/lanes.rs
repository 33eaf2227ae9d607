//! Messages that wait, those of each server in a lane of their own: they are taken in their order, and a server that has to
//! wait lets the others pass.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use mohaa_actors::accounting::RejectReason;
use rumqttc::{Publish, QoS};
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use super::MqttSources;
use super::connection::Connection;
use super::delivery::{Delivery, UNKNOWN_SERVER};
use super::metrics::{Ending, MqttMetrics};

/// Of all messages that wait here.
const MOST_BYTES: usize = 64 << 20;
/// Of all messages that wait here; one has some twenty events.
const MOST_MESSAGES: usize = 20_000;

/// A message and the connection that it came on.
pub(super) struct Message {
    pub(super) publish: Publish,
    pub(super) connection: Rc<Connection>,
    /// Why it is refused at once.
    refused: Option<&'static str>,
}

impl Message {
    pub(super) fn new(publish: Publish, connection: Rc<Connection>) -> Self {
        Self { publish, connection, refused: None }
    }

    /// Whether it comes again, as long as it is not acknowledged.
    pub(super) fn is_kept_by_broker(&self) -> bool {
        self.publish.qos != QoS::AtMostOnce
    }

    /// Whether the other is the same, delivered again as its connection was lost. That it is there does not mean that the
    /// broker has the other still: one that ended without warning may have forgotten it.
    fn comes_again_as(&self, other: &Self) -> bool {
        !self.connection.is_open()
            && self.is_kept_by_broker()
            && self.publish.payload == other.publish.payload
    }
}

pub(super) struct Lanes {
    lanes: RefCell<HashMap<Uuid, VecDeque<Message>>>,
    delivery: Delivery,
    metrics: MqttMetrics,
    messages: Cell<usize>,
    bytes: Cell<usize>,
    /// Told whenever a message has ended.
    ended: Notify,
}

impl Lanes {
    pub(super) fn new(sources: MqttSources, stopped: watch::Receiver<bool>) -> Rc<Self> {
        let metrics = sources.metrics.clone();
        Rc::new(Self {
            lanes: RefCell::default(),
            delivery: Delivery::new(sources, stopped),
            metrics,
            messages: Cell::new(0),
            bytes: Cell::new(0),
            ended: Notify::new(),
        })
    }

    /// Takes a message in. Without room, one that the broker does not keep is refused, and `false` says that the broker has to
    /// keep the other.
    pub(super) fn add(self: &Rc<Self>, server_id: Option<Uuid>, mut message: Message) -> bool {
        let bytes = message.publish.payload.len();
        let has_room = self.messages.get() < MOST_MESSAGES
            && (self.messages.get() == 0 || self.bytes.get() + bytes <= MOST_BYTES);
        if !has_room && message.is_kept_by_broker() {
            return false;
        }
        self.metrics.received.inc();
        self.metrics.waiting.inc();
        self.messages.set(self.messages.get() + 1);
        self.bytes.set(self.bytes.get() + bytes);
        message.refused = match server_id {
            None => Some(UNKNOWN_SERVER),
            // What the broker kept for later subscribers is nothing of now.
            Some(_) if message.publish.retain => Some("retained"),
            Some(_) if !has_room => Some(RejectReason::MailboxFull.code()),
            Some(_) => None,
        };
        // Those that are refused at once have a lane too: acknowledging takes time.
        let lane_id = server_id.unwrap_or_default();
        let mut lanes = self.lanes.borrow_mut();
        let is_at_work = lanes.contains_key(&lane_id);
        let lane = lanes.entry(lane_id).or_default();
        match lane.iter_mut().find(|waiting| waiting.comes_again_as(&message)) {
            Some(waiting) => {
                // In its old place, to be acknowledged where it came last.
                *waiting = message;
                self.end(bytes, Ending::Returned);
            }
            None => lane.push_back(message),
        }
        drop(lanes);
        if !is_at_work {
            actix_web::rt::spawn(self.clone().work(lane_id));
        }
        true
    }

    /// Makes an end of the messages of a lane, until there is none.
    async fn work(self: Rc<Self>, lane_id: Uuid) {
        while let Some(message) = self.next(lane_id) {
            let ending = match message.refused {
                Some(reason) => self.delivery.refuse(lane_id, &message, reason).await,
                None => self.delivery.deliver(lane_id, &message, || self.behind(lane_id)).await,
            };
            self.end(message.publish.payload.len(), ending);
        }
    }

    fn end(&self, bytes: usize, ending: Ending) {
        self.metrics.end(ending);
        self.metrics.waiting.dec();
        self.messages.set(self.messages.get() - 1);
        self.bytes.set(self.bytes.get() - bytes);
        self.ended.notify_waiters();
    }

    /// The next message of a lane; a lane without one is gone.
    fn next(&self, lane_id: Uuid) -> Option<Message> {
        let mut lanes = self.lanes.borrow_mut();
        let message = lanes.get_mut(&lane_id).and_then(VecDeque::pop_front);
        if message.is_none() {
            lanes.remove(&lane_id);
        }
        message
    }

    /// Messages that wait for the one of their lane that is in work.
    fn behind(&self, lane_id: Uuid) -> usize {
        self.lanes.borrow().get(&lane_id).map_or(0, VecDeque::len)
    }

    /// Ends when half of the room is free.
    pub(super) async fn has_room(&self) {
        self.until(|| self.messages.get() <= MOST_MESSAGES / 2 && self.bytes.get() <= MOST_BYTES / 2).await;
    }

    /// Ends when no message is left.
    pub(super) async fn are_empty(&self) {
        self.until(|| self.messages.get() == 0).await;
    }

    async fn until(&self, is_so: impl Fn() -> bool) {
        loop {
            let ended = self.ended.notified();
            if is_so() {
                return;
            }
            ended.await;
        }
    }
}
