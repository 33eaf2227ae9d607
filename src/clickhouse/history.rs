//! Matches as they are stored: their events read back as they were written ([`mohaa_domain::row`]).

use std::time::Duration;

use clickhouse::Client;
use clickhouse::error::Error;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use mohaa_actors::live::History;
use mohaa_domain::event::{Event, Stamp};
use mohaa_domain::row::{self, COLUMNS, RowError};
use uuid::Uuid;

/// A day of a full server. Beyond, a live match can't be rebuilt.
const MOST_EVENTS: usize = 2_000_000;
const LONGEST_READ: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
enum HistoryError {
    #[error("ClickHouse: {0}")]
    Store(#[from] Error),
    #[error("a stored event can't be read: {0}")]
    Row(#[from] RowError),
    #[error("the match has more than {MOST_EVENTS} events")]
    TooLong,
    #[error("ClickHouse did not answer in time")]
    Timeout(#[from] tokio::time::error::Elapsed),
}

/// [`History`] in a real ClickHouse.
pub struct StoredMatches {
    client: Client,
}

impl StoredMatches {
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// By the beginning of the primary key.
    async fn read_rows(
        &self,
        server_id: Uuid,
        match_id: Uuid,
        take: &mut (dyn FnMut(Vec<(Event, Stamp)>) + Send),
    ) -> Result<(), HistoryError> {
        let names: Vec<&str> = COLUMNS.iter().map(|column| column.name).collect();
        let statement = format!(
            "SELECT {} FROM raw_events WHERE server_id = toUUID(?) AND match_id = toUUID(?)
             ORDER BY received_at, spool_seq, spool_index LIMIT ?",
            names.join(", ")
        );
        let mut answer = self
            .client
            .query(&statement)
            .bind(server_id.to_string())
            .bind(match_id.to_string())
            .bind(MOST_EVENTS as u64 + 1)
            .fetch_bytes("RowBinary")?;
        let (mut unread, mut count) = (Vec::new(), 0);
        while let Some(part) = answer.next().await? {
            unread.extend_from_slice(&part);
            let (events, used) = whole_rows(&unread)?;
            unread.drain(..used);
            count += events.len();
            if count > MOST_EVENTS {
                return Err(HistoryError::TooLong);
            }
            take(events);
        }
        match unread.is_empty() {
            true => Ok(()),
            false => Err(RowError::TrailingBytes { bytes: unread.len() }.into()),
        }
    }
}

/// The rows that are there as a whole, and how many bytes they are.
fn whole_rows(bytes: &[u8]) -> Result<(Vec<(Event, Stamp)>, usize), RowError> {
    let (mut events, mut rest) = (Vec::new(), bytes);
    loop {
        let mut behind = rest;
        match row::take(&mut behind, COLUMNS.len()) {
            Ok(event) => {
                events.push(event);
                rest = behind;
            }
            Err(RowError::Truncated { .. }) => return Ok((events, bytes.len() - rest.len())),
            Err(error) => return Err(error),
        }
    }
}

impl History for StoredMatches {
    fn read<'a>(
        &'a self,
        server_id: Uuid,
        match_id: Uuid,
        take: &'a mut (dyn FnMut(Vec<(Event, Stamp)>) + Send),
    ) -> BoxFuture<'a, bool> {
        async move {
            let reading = tokio::time::timeout(LONGEST_READ, self.read_rows(server_id, match_id, take));
            let outcome = reading.await.map_err(HistoryError::from).flatten();
            outcome
                .inspect_err(
                    |error| tracing::warn!(%error, %match_id, "what is stored of a match can't be read"),
                )
                .is_ok()
        }
        .boxed()
    }
}
