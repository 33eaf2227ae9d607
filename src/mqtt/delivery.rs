//! One message, to its end: its events are safe, or it can never be taken, or the broker keeps it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use mohaa_actors::accounting::RejectReason;
use mohaa_actors::batcher::IngestOutcome;
use mohaa_actors::idempotency::message_key;
use rumqttc::QoS;
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

use super::MqttSources;
use super::lanes::Message;
use super::metrics::Ending;
use crate::ingest::admission::{Taken, take};
use crate::ingest::body::Body;
use crate::ingest::submit::hash;
use crate::servers::TokenError;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// So many messages of a server may wait for its rate limit. Those in front of more are refused, as requests are: they would
/// fill the broker's window, in which the others' wait too.
const MOST_BEHIND_A_LIMIT: usize = 64;
/// Between two lines in the log about messages that are refused for one reason.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// The reason to refuse a message to a topic of no server, or of one whose tokens are all revoked.
pub(super) const UNKNOWN_SERVER: &str = "unknown_server";

/// What came of one try.
enum Try {
    Ended(Ending),
    /// Not now: tried again after this pause at least.
    Again {
        reason: &'static str,
        pause: Duration,
    },
}

impl Try {
    fn refused(reason: &'static str) -> Self {
        Try::Ended(Ending::Refused(reason))
    }

    fn again(reason: &'static str) -> Self {
        Try::Again { reason, pause: Duration::ZERO }
    }
}

pub(super) struct Delivery {
    sources: MqttSources,
    stopped: watch::Receiver<bool>,
    told: RefCell<HashMap<&'static str, Instant>>,
}

impl Delivery {
    pub(super) fn new(sources: MqttSources, stopped: watch::Receiver<bool>) -> Self {
        Self { sources, stopped, told: RefCell::default() }
    }

    /// Takes a message of a server. `behind` says how many wait for it.
    pub(super) async fn deliver(
        &self,
        server_id: Uuid,
        message: &Message,
        behind: impl Fn() -> usize,
    ) -> Ending {
        let mut pause = FIRST_PAUSE;
        let mut stopped = self.stopped.clone();
        let ending = loop {
            // Whoever stops it may have gone without a word.
            let is_stopped = *stopped.borrow_and_update() || stopped.has_changed().is_err();
            if is_stopped && message.is_kept_by_broker() {
                return Ending::Returned;
            }
            let (reason, at_least) = match self.attempt(server_id, message).await {
                Try::Ended(ending) => break ending,
                Try::Again { reason, pause } => (reason, pause),
            };
            self.sources.metrics.retries.with_label_values(&[reason]).inc();
            let is_limited = reason == RejectReason::RateLimited.code();
            if is_stopped || (is_limited && behind() > MOST_BEHIND_A_LIMIT) {
                if is_limited {
                    self.book_as_limited(message);
                }
                break Ending::Refused(reason);
            }
            tokio::select! {
                () = tokio::time::sleep(pause.max(at_least).min(LONGEST_PAUSE)) => {}
                _ = stopped.wait_for(|stopped| *stopped) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        };
        if let Ending::Refused(reason) = ending {
            self.tell(server_id, message, reason);
        }
        message.connection.acknowledge(&message.publish).await;
        ending
    }

    /// Makes an end of a message that was refused when it came.
    pub(super) async fn refuse(&self, server_id: Uuid, message: &Message, reason: &'static str) -> Ending {
        self.tell(server_id, message, reason);
        message.connection.acknowledge(&message.publish).await;
        Ending::Refused(reason)
    }

    async fn attempt(&self, server_id: Uuid, message: &Message) -> Try {
        let MqttSources { ingest, server_tokens, limits, .. } = &self.sources;
        let payload = &message.publish.payload;
        let server = match server_tokens.of_server(server_id).await {
            Ok(server) => server,
            Err(TokenError::Unknown) => return Try::refused(UNKNOWN_SERVER),
            Err(TokenError::Unavailable) => return Try::again("tokens_unavailable"),
        };
        if payload.len() > ingest.limits.max_body_bytes {
            return Try::refused("body_too_large");
        }
        let Ok(decoded) = ingest.decode(payload) else { return Try::refused("too_many_events") };
        // The topic says who speaks. A token beside it may say nothing else.
        if let Some(token) = &decoded.body_token {
            match server_tokens.identify(token.as_str()).await {
                Ok(of_token) if of_token.server_id == server_id => {}
                Ok(_) | Err(TokenError::Unknown) => return Try::refused("invalid_token"),
                Err(TokenError::Unavailable) => return Try::again("tokens_unavailable"),
            }
        }
        ingest.last_seen.note(server_id);
        let arrived = decoded.events.len() + decoded.rejected.len();
        if let Err(exhausted) = limits.take_of_message(server_id, arrived) {
            return Try::Again { reason: RejectReason::RateLimited.code(), pause: exhausted.wait };
        }
        // At QoS 0 nothing comes twice, so equal messages are two.
        let key = (message.publish.qos != QoS::AtMostOnce).then(|| {
            let hash = hash(payload);
            (message_key(hash), hash)
        });
        match take(ingest.clone(), server, decoded, &Body::whole(payload.clone()), key).await {
            Ok(Taken::Nothing { .. }) => Try::refused(RejectReason::Unreadable.code()),
            Ok(Taken::Ended(IngestOutcome::Accepted(_))) => Try::Ended(Ending::Accepted),
            Ok(Taken::Ended(IngestOutcome::Replayed(_))) => Try::Ended(Ending::Redelivered),
            Ok(Taken::Ended(IngestOutcome::Rejected(reason))) => match reason {
                RejectReason::MailboxFull
                | RejectReason::SpoolFull
                | RejectReason::SpoolFailed
                | RejectReason::Draining => Try::again(reason.code()),
                // What a handler panicked over is in the dead letters, and would make it panic again.
                reason => Try::refused(reason.code()),
            },
            Err(error) if error.code() == RejectReason::Draining.code() => Try::again(error.code()),
            Err(error) => {
                tracing::error!(%server_id, %error, cause = ?error.cause(), "a message of the broker is lost");
                Try::refused(RejectReason::Internal.code())
            }
        }
    }

    /// Puts the events of a message that is given up for its server's limit into the books.
    fn book_as_limited(&self, message: &Message) {
        let ingest = &self.sources.ingest;
        if let Ok(decoded) = ingest.decode(&message.publish.payload) {
            let arrived = (decoded.events.len() + decoded.rejected.len()) as u64;
            ingest.pipeline.ledger.receive((), arrived).reject(RejectReason::RateLimited);
        }
    }

    /// Logs what is refused: once a minute for each reason, the metrics count them all.
    fn tell(&self, server_id: Uuid, message: &Message, reason: &'static str) {
        let now = Instant::now();
        let mut told = self.told.borrow_mut();
        if told.get(reason).is_some_and(|at| now.duration_since(*at) < TOLD_EVERY) {
            return;
        }
        told.insert(reason, now);
        let bytes = message.publish.payload.len();
        tracing::warn!(%server_id, bytes, reason, "a message of the broker is refused; further ones are counted only");
    }
}
