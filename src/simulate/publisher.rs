//! A game server at a broker: publishes what it would have posted, at QoS 1, and goes on when the broker has it.

use std::fmt;
use std::time::Duration;

use rumqttc::{AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, MqttOptions, Packet, QoS};
use tokio::time::Instant;

/// Between two tries on new connections.
const PAUSE: Duration = Duration::from_millis(250);

/// Why the broker has not got a message.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    #[error("the broker lets nobody in with this user and password")]
    NotAuthorized,
    #[error("the broker has not taken it: {0}")]
    NotTaken(String),
}

#[derive(Clone)]
pub struct Publisher {
    options: MqttOptions,
    topic: String,
}

/// Passwords stay out of logs.
impl fmt::Debug for Publisher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Publisher").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl Publisher {
    /// `options` say who publishes where; `topic` is the server's.
    pub fn new(options: MqttOptions, topic: String) -> Self {
        Self { options, topic }
    }

    pub(super) fn open(self) -> Published {
        Published { publisher: self, connection: None }
    }
}

/// A publisher with the connection that it may have.
pub(super) struct Published {
    publisher: Publisher,
    connection: Option<(AsyncClient, EventLoop)>,
}

impl fmt::Debug for Published {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.publisher.fmt(formatter)
    }
}

impl Published {
    /// Returns when the broker says that it has the message. Until then it is published again on connections made anew, as the
    /// standard asks of senders: it may arrive more than once.
    ///
    /// # Errors
    /// When that took longer than `give_up_after`, or the broker lets nobody in.
    pub(super) async fn publish(&mut self, body: &[u8], give_up_after: Duration) -> Result<(), PublishError> {
        let deadline = Instant::now() + give_up_after;
        loop {
            let tried = tokio::time::timeout_at(deadline, self.attempt(body)).await;
            let why = match tried {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(PublishError::NotTaken(why))) => why,
                Ok(Err(error)) => return Err(error),
                Err(_) => "no answer".to_owned(),
            };
            self.connection = None;
            if Instant::now() + PAUSE >= deadline {
                return Err(PublishError::NotTaken(why));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn attempt(&mut self, body: &[u8]) -> Result<(), PublishError> {
        let Publisher { options, topic } = &self.publisher;
        let (client, event_loop) =
            self.connection.get_or_insert_with(|| AsyncClient::new(options.clone(), 1));
        let not_taken = |error: &dyn fmt::Display| PublishError::NotTaken(error.to_string());
        client.publish(topic, QoS::AtLeastOnce, false, body).await.map_err(|error| not_taken(&error))?;
        loop {
            match event_loop.poll().await {
                Ok(Event::Incoming(Packet::PubAck(_))) => return Ok(()),
                Ok(_) => {}
                Err(ConnectionError::ConnectionRefused(
                    ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized,
                )) => return Err(PublishError::NotAuthorized),
                Err(error) => return Err(not_taken(&error)),
            }
        }
    }
}
