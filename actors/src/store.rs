//! The port the writers need: where batches are stored.

use std::collections::HashSet;

use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::batch::InsertBody;

/// Names one row for ever: the spool record's sequence number and the row's place in it.
pub type RowName = (u64, u32);

/// One attempt to insert rows of one partition.
#[derive(Clone, Debug)]
pub struct InsertAttempt {
    /// Deduplication token: the store drops a block whose token it has seen.
    pub token: String,
    /// Names this very attempt, so that it can be found and ended.
    pub query_id: String,
    /// Partition of all rows: days since the epoch.
    pub day: i32,
    /// How many of `mohaa_domain::row::COLUMNS` the rows have.
    pub column_count: usize,
    /// RowBinary: for each row the batch id and the encoded row.
    pub body: InsertBody,
    pub rows: usize,
}

/// Why the store did not take a batch.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Try again. `ambiguous` when the rows may be in the store all the same (no answer, a broken connection).
    #[error("store is not taking rows: {message} (code {code})")]
    Transient { code: u32, message: String, ambiguous: bool },
    /// The rows themselves are refused; smaller pieces may pass.
    #[error("store refuses rows: {message} (code {code})")]
    BadRows { code: u32, message: String },
}

/// Where batches are stored.
pub trait EventStore: Send + Sync + 'static {
    fn insert(&self, attempt: InsertAttempt) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Returns only when no attempt whose query id begins with `query_id_prefix` runs in the store any more.
    fn settle<'a>(&'a self, query_id_prefix: &'a str) -> BoxFuture<'a, Result<(), StoreError>>;

    /// The rows of one batch that are in the store. `day`: days since the epoch, the batch's partition.
    fn stored_rows(&self, batch_id: Uuid, day: i32) -> BoxFuture<'_, Result<HashSet<RowName>, StoreError>>;
}
