//! The connection to the broker: made anew for ever, each with an event loop of its own.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, MqttOptions, Packet, Publish, QoS,
    SubscribeReasonCode,
};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use uuid::Uuid;

use super::MqttSources;
use super::TOPIC_PREFIX;
use super::lanes::{Lanes, Message};

/// All servers' topics, shared with the other nodes, or for this one alone.
const SHARED: &str = "$share/mohaa/openmohaa/events/+";
const UNSHARED: &str = "openmohaa/events/+";
/// Acknowledgements on their way to the event loop.
const MOST_REQUESTS: usize = 1_000;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A connection that held for so long was a good one: the next pause is short again.
const GOOD_AFTER: Duration = Duration::from_secs(10);
/// How long the broker may take to say that a subscription stands.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
/// Between two looks at whether an operator drains this node.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Of messages in work, and of the goodbye, when this node stops.
const ENDS_WITHIN: Duration = Duration::from_secs(2);

/// One connection. Messages hold it to be acknowledged on it, or never.
pub(super) struct Connection {
    client: AsyncClient,
    is_open: Cell<bool>,
}

impl Connection {
    fn new(client: AsyncClient) -> Rc<Self> {
        Rc::new(Self { client, is_open: Cell::new(true) })
    }

    pub(super) fn is_open(&self) -> bool {
        self.is_open.get()
    }

    fn close(&self) {
        self.is_open.set(false);
    }

    /// Tells the broker that a message needn't come again. On a connection that is gone, it comes again.
    pub(super) async fn acknowledge(&self, publish: &Publish) {
        if self.is_open() && self.client.ack(publish).await.is_err() {
            tracing::debug!("a message is acknowledged when it comes again");
        }
    }
}

/// Why a connection came to its end.
enum End {
    Stopped,
    /// More waits here than should; the broker keeps the rest meanwhile.
    Overfull,
    Lost(String),
}

pub(super) struct Subscriber {
    options: MqttOptions,
    is_shared: bool,
    sources: MqttSources,
    lanes: Rc<Lanes>,
    stopped: watch::Receiver<bool>,
}

impl Subscriber {
    pub(super) fn new(
        options: MqttOptions,
        is_shared: bool,
        sources: MqttSources,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        let lanes = Lanes::new(sources.clone(), stopped.clone());
        Self { options, is_shared, sources, lanes, stopped }
    }

    /// Receives until it is stopped.
    pub(super) async fn run(mut self) {
        let (broker, port) = self.options.broker_address();
        let mut pause = FIRST_PAUSE;
        loop {
            let began = Instant::now();
            let (client, event_loop) = AsyncClient::new(self.options.clone(), MOST_REQUESTS);
            let connection = Connection::new(client);
            let end = self.follow(&connection, event_loop).await;
            connection.close();
            self.sources.metrics.connected.set(0);
            if began.elapsed() >= GOOD_AFTER {
                pause = FIRST_PAUSE;
            }
            match end {
                End::Stopped => break,
                End::Overfull => {
                    tracing::warn!("messages of the broker wait for room; it keeps further ones meanwhile");
                    tokio::select! {
                        () = self.lanes.has_room() => continue,
                        _ = self.stopped.wait_for(|stopped| *stopped) => break,
                    }
                }
                End::Lost(error) => {
                    tracing::warn!(broker, port, error, pause = ?pause, "no connection to the broker");
                }
            }
            let jittered = pause.mul_f64(rand::random_range(0.5..1.0));
            tokio::select! {
                () = tokio::time::sleep(jittered) => {}
                _ = self.stopped.wait_for(|stopped| *stopped) => break,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        if tokio::time::timeout(ENDS_WITHIN, self.lanes.are_empty()).await.is_err() {
            tracing::warn!("not every message of the broker came to its end");
        }
    }

    /// Receives on one connection.
    async fn follow(&self, connection: &Rc<Connection>, event_loop: EventLoop) -> End {
        let (heard, mut events) = mpsc::unbounded_channel();
        // It must not be dropped between two steps: an acknowledgement that it took could get lost.
        let polling = actix_web::rt::spawn(poll(event_loop, heard));
        let mut membership = Membership::new(connection.clone(), self.is_shared);
        let mut look = tokio::time::interval(LOOK_EVERY);
        let mut stopped = self.stopped.clone();
        let end = loop {
            let step = tokio::select! {
                biased;
                _ = stopped.wait_for(|stopped| *stopped) => break End::Stopped,
                _ = look.tick() => membership.look(self.is_drained()),
                event = events.recv() => match event {
                    Some(Ok(Event::Incoming(Packet::Publish(publish)))) => {
                        if !self.receive(connection, publish) {
                            break End::Overfull;
                        }
                        Ok(())
                    }
                    Some(Ok(Event::Incoming(Packet::ConnAck(_)))) => membership.begin(self.is_drained()),
                    Some(Ok(Event::Incoming(Packet::SubAck(answer)))) => {
                        let is_refused = answer.return_codes.contains(&SubscribeReasonCode::Failure);
                        if is_refused {
                            Err("the broker refuses the subscription".to_owned())
                        } else {
                            self.stands("subscribed at the broker");
                            membership.stands()
                        }
                    }
                    // Of the other subscription it says nothing.
                    Some(Ok(Event::Incoming(Packet::UnsubAck(_)))) if membership.is_member => Ok(()),
                    Some(Ok(Event::Incoming(Packet::UnsubAck(_)))) => {
                        self.stands("left the subscription at the broker, as this node is drained");
                        membership.stands()
                    }
                    Some(Ok(_)) => Ok(()),
                    Some(Err(error)) => Err(told(&error)),
                    None => Err("the connection ended".to_owned()),
                },
            };
            if let Err(problem) = step {
                break End::Lost(problem);
            }
        };
        if matches!(end, End::Stopped)
            && tokio::time::timeout(ENDS_WITHIN, self.lanes.are_empty()).await.is_err()
        {
            tracing::warn!("messages in work are not acknowledged; the broker delivers them again");
        }
        if !matches!(end, End::Lost(_)) && connection.client.try_disconnect().is_err() {
            tracing::debug!("the broker gets no goodbye");
        }
        connection.close();
        let rest = async {
            while let Some(event) = events.recv().await {
                if let Ok(Event::Incoming(Packet::Publish(publish))) = event
                    && publish.qos == QoS::AtMostOnce
                {
                    // Others come again.
                    self.receive(connection, publish);
                }
            }
        };
        if tokio::time::timeout(ENDS_WITHIN, rest).await.is_err() {
            polling.abort();
        }
        end
    }

    fn stands(&self, how: &str) {
        let (broker, port) = self.options.broker_address();
        self.sources.metrics.connected.set(1);
        tracing::info!(broker, port, "{how}");
    }

    fn is_drained(&self) -> bool {
        self.sources.ingest.live_nodes.is_drained()
    }

    /// Gives a message to its server's lane; `false` when there is no room for one that the broker keeps.
    fn receive(&self, connection: &Rc<Connection>, publish: Publish) -> bool {
        let server_id =
            publish.topic.strip_prefix(TOPIC_PREFIX).and_then(|level| Uuid::parse_str(level).ok());
        self.lanes.add(server_id, Message::new(publish, connection.clone()))
    }
}

/// Whether this node is to be among those that share the subscription, and whether the broker knows.
struct Membership {
    connection: Rc<Connection>,
    subscription: &'static str,
    /// What an earlier process may have been subscribed to: the session remembers it.
    other: &'static str,
    is_connected: bool,
    is_member: bool,
    /// Until when the broker has to say that it knows.
    answers_until: Option<Instant>,
}

impl Membership {
    fn new(connection: Rc<Connection>, is_shared: bool) -> Self {
        let (subscription, other) = if is_shared { (SHARED, UNSHARED) } else { (UNSHARED, SHARED) };
        Self { connection, subscription, other, is_connected: false, is_member: false, answers_until: None }
    }

    /// The session stands; the subscription is said again, as the broker may have lost it.
    fn begin(&mut self, is_drained: bool) -> Result<(), String> {
        self.is_connected = true;
        self.ask(!is_drained)?;
        self.connection.client.try_unsubscribe(self.other).map_err(|error| error.to_string())
    }

    /// Looks whether something has changed, or whether the broker owes an answer.
    fn look(&mut self, is_drained: bool) -> Result<(), String> {
        match self.answers_until {
            Some(until) if Instant::now() > until => {
                Err("the broker does not answer a subscription".to_owned())
            }
            None if self.is_connected && self.is_member == is_drained => self.ask(!is_drained),
            _ => Ok(()),
        }
    }

    fn ask(&mut self, is_member: bool) -> Result<(), String> {
        let client = &self.connection.client;
        let asked = match is_member {
            true => client.try_subscribe(self.subscription, QoS::AtLeastOnce),
            false => client.try_unsubscribe(self.subscription),
        };
        self.is_member = is_member;
        self.answers_until = Some(Instant::now() + ANSWERS_WITHIN);
        asked.map_err(|error| error.to_string())
    }

    fn stands(&mut self) -> Result<(), String> {
        self.answers_until = None;
        Ok(())
    }
}

/// Polls until the connection is lost, and tells what was read until then too.
async fn poll(mut event_loop: EventLoop, heard: mpsc::UnboundedSender<Result<Event, ConnectionError>>) {
    loop {
        let event = event_loop.poll().await;
        let is_lost = event.is_err();
        if is_lost {
            for event in std::mem::take(&mut event_loop.state.events) {
                // Whoever listened has gone.
                let _ = heard.send(Ok(event));
            }
        }
        if heard.send(event).is_err() || is_lost {
            return;
        }
    }
}

/// What went wrong, in words that an operator can act on. Nothing of it tells a password.
fn told(error: &ConnectionError) -> String {
    match error {
        ConnectionError::ConnectionRefused(
            ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized,
        ) => "the broker refuses this user or password".to_owned(),
        error => error.to_string(),
    }
}
