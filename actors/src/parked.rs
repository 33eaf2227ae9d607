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
    let (idempotency, answer) = match view.key {
        Some(key) => ((Text::from(key.key), key.body_hash), key.answer),
        None => {
            let answer = IngestAnswer { processed: count as u32, ..IngestAnswer::default() };
            ((Text::from(fallback_key), BodyHash::default()), answer)
        }
    };
    let (reply, outcome) = oneshot::channel();
    let request = IngestRequest {
        server_id: view.server_id,
        received_at: view.received_at,
        events: account(Arc::new(events)),
        idempotency: Some(idempotency),
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
