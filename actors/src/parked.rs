//! A request that is put aside before it was stamped, and sent to the Batcher later: of a handler that panicked
//! ([`crate::dead_letters`]), or of a server that waits for approval ([`crate::held`]).
//!
//! It is kept as a spool record ([`crate::record`]) whose rows have nothing in their stamps but who sent them and when.

use std::sync::Arc;

use mohaa_domain::event::{Event, Millis, Stamp, Text};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::accounting::{Accounted, RejectReason};
use crate::batcher::{Batcher, IngestOutcome, IngestRequest};
use crate::idempotency::{BodyHash, IngestAnswer};
use crate::port::{Port, Weight};
use crate::record::{RecordBuilder, RecordError, RecordKey, RecordView};

/// The bytes of a request that is put aside.
pub fn park(server_id: Uuid, received_at: Millis, key: Option<&RecordKey>, events: &[Event]) -> Vec<u8> {
    let mut record = RecordBuilder::new(server_id, received_at, key, events.len());
    let stamp = Stamp { received_at, event_at: received_at, server_id, ..Stamp::default() };
    events.iter().for_each(|event| record.push(event, &stamp));
    record.finish()
}

/// What a request is taken in under, once: its sender, the key, and what the key stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ParkedKey {
    pub server_id: Uuid,
    pub key: Text,
    pub body_hash: BodyHash,
}

impl ParkedKey {
    /// Of a request that came under `own`, or else is sent again under `fallback_key`.
    pub fn new(server_id: Uuid, own: Option<(Text, BodyHash)>, fallback_key: &str) -> Self {
        let (key, body_hash) = own.unwrap_or_else(|| (Text::from(fallback_key), BodyHash::default()));
        Self { server_id, key, body_hash }
    }

    /// Of the record that a request is kept as, or has become in the spool.
    pub fn of(view: &RecordView<'_>, fallback_key: &str) -> Self {
        let own = view.key.as_ref().map(|own| (Text::from(own.key.as_str()), own.body_hash));
        Self::new(view.server_id, own, fallback_key)
    }
}

/// What became of a request that was sent again.
pub enum SentAgain {
    /// Its events are in the spool, now or since an earlier try.
    Accepted,
    /// Its handler panicked, and made a dead letter of it.
    Panicked,
    /// Not taken now; its events have ended as refused for this reason.
    Refused(RejectReason),
}

/// Sends a parked request to the Batcher as if it had just come, but for its time of receipt. `account` opens its events'
/// books. Under its own key, or else `fallback_key`, the Batcher takes it once, however often it is sent within a day.
///
/// # Errors
/// When the bytes can't be read.
pub async fn send_again(
    batcher: &Port<Batcher>,
    parked: &[u8],
    fallback_key: &str,
    account: impl FnOnce(Arc<Vec<Event>>) -> Accounted<Arc<Vec<Event>>>,
) -> Result<SentAgain, RecordError> {
    let view = RecordView::parse(parked)?;
    let events: Vec<Event> = view.events()?.into_iter().map(|(event, _)| event).collect();
    let count = events.len() as u64;
    let ParkedKey { server_id, key, body_hash } = ParkedKey::of(&view, fallback_key);
    let received_at = view.received_at;
    let answer = match view.key {
        Some(own) => own.answer,
        None => IngestAnswer { processed: count as u32, ..IngestAnswer::default() },
    };
    let (reply, outcome) = oneshot::channel();
    let request = IngestRequest {
        server_id,
        received_at,
        events: account(Arc::new(events)),
        idempotency: Some((key, body_hash)),
        answer,
        tracker_state: None,
        bot_names: None,
        matches: None,
        reply,
    };
    let weight = Weight { events: count, bytes: parked.len() as u64 };
    if let Err((request, _)) = batcher.offer(request, weight) {
        request.events.reject(RejectReason::MailboxFull);
        return Ok(SentAgain::Refused(RejectReason::MailboxFull));
    }
    Ok(match outcome.await.unwrap_or(IngestOutcome::Rejected(RejectReason::Internal)) {
        IngestOutcome::Accepted(_) | IngestOutcome::Replayed(_) => SentAgain::Accepted,
        IngestOutcome::Rejected(RejectReason::Internal) => SentAgain::Panicked,
        IngestOutcome::Rejected(reason) => SentAgain::Refused(reason),
    })
}
