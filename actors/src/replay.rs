//! Sends dead letters again that an operator asked for.
//!
//! A row is stored as a batch of its own: the store is asked first whether it has it, so a crash between storing it
//! and removing its letter doesn't store it twice. A request goes through the Batcher like any other, under its
//! `Idempotency-Key` or else its letter's id, which does the same for it for a day.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::accounting::{Accounted, Ledger, RejectReason};
use crate::batch::{Piece, SealedRange, StoredRecord, pieces_of};
use crate::batcher::Batcher;
use crate::dead_letters::{DeadLetter, DeadLetterContent, DeadLetterError, DeadLetters};
use crate::parked::{SentAgain, send_again};
use crate::port::Port;
use crate::writer::{PieceEnd, WriteError, WriterEnvironment, write_piece};

/// An operator who has asked for a replay looks again after a few seconds.
const INTERVAL: Duration = Duration::from_secs(1);

pub struct Replayer {
    pub environment: Arc<WriterEnvironment>,
    pub batcher: Port<Batcher>,
    pub ledger: Ledger,
}

#[derive(Debug, thiserror::Error)]
enum ReplayError {
    #[error(transparent)]
    Letter(#[from] DeadLetterError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("the request was refused: {}", .0.code())]
    Refused(RejectReason),
}

impl Replayer {
    /// Looks for letters for ever.
    pub async fn watch(self) {
        loop {
            match self.letters().asked_for() {
                Ok(ids) => {
                    for id in ids {
                        if let Err(error) = self.replay(&id).await {
                            tracing::warn!(%error, id, "a dead letter can't be replayed yet");
                        }
                    }
                }
                Err(error) => tracing::warn!(%error, "dead letters can't be looked at"),
            }
            self.environment.clock.sleep(INTERVAL).await;
        }
    }

    fn letters(&self) -> &DeadLetters {
        &self.environment.dead_letters
    }

    async fn replay(&self, id: &str) -> Result<(), ReplayError> {
        let letter = self.letters().read(id)?;
        match &letter.content {
            DeadLetterContent::Row { .. } => self.replay_row(letter).await,
            DeadLetterContent::Request { .. } => self.replay_request(&letter).await,
            DeadLetterContent::Record { .. } => self.replay_record(letter).await,
        }
    }

    /// A later version may read what an earlier one couldn't.
    async fn replay_record(&self, mut letter: DeadLetter) -> Result<(), ReplayError> {
        let DeadLetterContent::Record { spool_id, spool_seq, events, record } = &letter.content else {
            return Ok(());
        };
        let payload = Arc::new(STANDARD.decode(record).map_err(DeadLetterError::from)?);
        let range = SealedRange { first_seq: *spool_seq, last_seq: *spool_seq };
        let record = StoredRecord { seq: *spool_seq, events: *events as u32, payload };
        let (pieces, unreadable) = pieces_of(*spool_id, range, vec![record]);
        if let Some((_, error)) = unreadable.into_iter().next() {
            letter.reason = error.to_string();
            return Ok(self.letters().put_back(&letter)?);
        }
        let mut refusal = None;
        for piece in pieces {
            if let PieceEnd::Refused { message, .. } =
                write_piece(&self.environment, &piece, true, None).await?
            {
                refusal = Some(message);
            }
        }
        let events: Accounted<()> = self.ledger.recover((), *events);
        if let Some(message) = refusal {
            events.dead_letter();
            letter.reason = message;
            return Ok(self.letters().put_back(&letter)?);
        }
        events.stored();
        Ok(self.letters().replayed(&letter.id)?)
    }

    async fn replay_row(&self, mut letter: DeadLetter) -> Result<(), ReplayError> {
        let DeadLetterContent::Row { spool_id, spool_seq, spool_index, day, column_count, row, .. } =
            &letter.content
        else {
            return Ok(());
        };
        let row = STANDARD.decode(row).map_err(DeadLetterError::from)?;
        let piece = Piece::of_row(*spool_id, (*spool_seq, *spool_index), *day, *column_count, row);
        let end = write_piece(&self.environment, &piece, true, None).await?;
        // It was dead-lettered in some life of the service; in this one it has come back.
        let event: Accounted<()> = self.ledger.recover((), 1);
        match end {
            PieceEnd::Stored => {
                event.stored();
                self.letters().replayed(&letter.id)?;
                tracing::info!(id = letter.id, "dead letter stored");
            }
            PieceEnd::Refused { message, .. } => {
                event.dead_letter();
                letter.reason = message;
                self.letters().put_back(&letter)?;
                tracing::warn!(id = letter.id, reason = letter.reason, "dead letter refused again");
            }
        }
        Ok(())
    }

    async fn replay_request(&self, letter: &DeadLetter) -> Result<(), ReplayError> {
        let DeadLetterContent::Request { events, record } = &letter.content else { return Ok(()) };
        let record = STANDARD.decode(record).map_err(DeadLetterError::from)?;
        // It was dead-lettered in some life of the service; in this one it has come back.
        let account = |carried| self.ledger.recover(carried, *events);
        match send_again(&self.batcher, &record, &letter.id, account).await.map_err(DeadLetterError::from)? {
            SentAgain::Accepted => tracing::info!(id = letter.id, "dead letter taken in again"),
            // That made a new letter of it.
            SentAgain::Panicked => {}
            SentAgain::Refused(reason) => return Err(ReplayError::Refused(reason)),
        }
        Ok(self.letters().replayed(&letter.id)?)
    }
}
