//! Events that game servers publish to a broker instead of posting them (`MQTT_URL`).
//!
//! Servers publish to `openmohaa/events/<server id>`. The last level of the topic says who speaks, and the broker vouches for
//! it: each server has a user of its own there that may publish to its topic alone (`ops/mosquitto/acl`). From there on a
//! message is what a request's body is, with the same decoder, limits and mailbox ([`crate::ingest::admission`]).
//!
//! What each choice survives:
//! - **An end of this process, at any time**: the session is persistent, its client id is this node's spool, and a message
//!   is acknowledged when its events are in the spool. What was not acknowledged comes again.
//! - **A message that comes again** although it was accepted, as the connection was lost before the acknowledgement: what a
//!   message at QoS 1 holds is its key for ten minutes ([`mohaa_actors::idempotency`]), also over restarts. At QoS 0 nothing
//!   comes twice, so equal messages are different ones.
//! - **A full mailbox or spool, a PostgreSQL that can't say whose id it is**: the message waits, unacknowledged, and is tried
//!   again; the broker keeps those behind it.
//! - **A message that never can be taken**: counted, logged and acknowledged, so that it blocks nobody, as a request is
//!   answered 400 or 413.
//! - **A broker that ended without warning**, and may have forgotten what it had delivered: what was received is taken all the
//!   same, on whichever connection it came.
//! - **A broker that is away**: tried again for ever, with growing pauses. Each connection has an event loop of its own, so no
//!   acknowledgement of an old one can reach a new one, where the same number may be another message's.
//! - **Several nodes**: they share the subscription, and a node that is drained leaves it. Mosquitto keeps shared subscriptions
//!   over a restart of a node and not over its own; one node alone subscribes for itself (`MQTT_SHARED=off`).
//!
//! Follow it in order: [`connection`] receives, [`lanes`] keeps the messages of each server in their order, [`delivery`] makes
//! an end of each. All of it runs on a thread of its own.

mod connection;
mod delivery;
mod lanes;
mod metrics;
mod options;

use std::sync::Arc;
use std::time::Duration;

use actix::Arbiter;
use tokio::sync::{oneshot, watch};

use crate::config::BrokerUrl;
use crate::ingest::Ingest;
use crate::limits::Limits;
use crate::servers::ServerTokens;

use self::connection::Subscriber;
pub use self::metrics::MqttMetrics;
pub use self::options::{TlsError, of_client as options_of_client};

/// What stands before a server's id in the name of its topic.
const TOPIC_PREFIX: &str = "openmohaa/events/";

/// Where a server publishes.
pub fn topic_of(server_id: &str) -> String {
    format!("{TOPIC_PREFIX}{server_id}")
}

/// What messages are taken with.
#[derive(Clone)]
pub struct MqttSources {
    pub ingest: Arc<Ingest>,
    pub server_tokens: ServerTokens,
    pub limits: Arc<Limits>,
    pub metrics: MqttMetrics,
}

/// The subscription at work, until it is stopped.
pub struct MqttIngest {
    stop: watch::Sender<bool>,
    ended: oneshot::Receiver<()>,
    arbiter: Arbiter,
}

impl MqttIngest {
    /// Connects in the background, for ever.
    ///
    /// # Errors
    /// When TLS can't be set up.
    pub fn start(url: &BrokerUrl, is_shared: bool, sources: MqttSources) -> Result<Self, TlsError> {
        let options = options::of(url, sources.ingest.pipeline.spool_id)?;
        let (stop, stopped) = watch::channel(false);
        let (end, ended) = oneshot::channel();
        let arbiter = Arbiter::new();
        sources.metrics.configured.set(1);
        let subscriber = move || {
            let subscriber = Subscriber::new(options, is_shared, sources, stopped);
            actix_web::rt::spawn(async move {
                subscriber.run().await;
                // Nobody may be waiting any more.
                let _ = end.send(());
            });
        };
        if !arbiter.spawn_fn(subscriber) {
            tracing::error!("the thread for messages of the broker ended at once");
        }
        Ok(Self { stop, ended, arbiter })
    }

    /// Takes no further messages, ends those in work, and leaves the broker, which keeps the rest for the next start.
    pub async fn stop(self, patience: Duration) {
        self.stop.send_replace(true);
        if tokio::time::timeout(patience, self.ended).await.is_err() {
            tracing::warn!("messages in work don't end; the broker delivers them again");
        }
        self.arbiter.stop();
    }
}
