//! Ends a match that its server does not end: with an event like any other, so that whatever adds events up knows of it.

use mohaa_actors::batcher::IngestOutcome;
use mohaa_actors::idempotency::IngestAnswer;
use mohaa_domain::event::{Event, RESULT};
use mohaa_domain::vocabulary::EventType;
use uuid::Uuid;

use super::Ingest;
use super::submit::{Sender, Submission, refusal};
use crate::http::ApiError;

/// What the event counts as in the mailbox.
const BYTES: u64 = 1_024;

impl Ingest {
    /// Ends a match that is played; who won and the scores stay as they are known.
    ///
    /// # Errors
    /// When no event can be taken now.
    pub async fn end_match(
        &self,
        server_id: Uuid,
        match_id: Uuid,
        source_match_id: &str,
    ) -> Result<(), ApiError> {
        let now = self.clock.now();
        let event = Event {
            event_type: EventType::MatchEnd,
            source_type: RESULT.into(),
            source_match_id: source_match_id.into(),
            result_of: Some(Box::new(match_id)),
            sent_at: Some(now),
            ..Event::default()
        };
        // What waits for approval is not live.
        let sender = Sender { server_id, approved: true, bot_names: None, received_at: now };
        let submission = Submission {
            idempotency: None,
            answer: IngestAnswer { processed: 1, ..IngestAnswer::default() },
            bytes: BYTES,
            asks_for_matches: false,
        };
        match self.submit_of(sender, vec![event], submission).await?.outcome {
            IngestOutcome::Accepted(_) | IngestOutcome::Replayed(_) => Ok(()),
            IngestOutcome::Rejected(reason) => Err(refusal(reason)),
        }
    }
}
