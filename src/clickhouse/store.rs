//! The writers' store: inserts of ready-made rows into `raw_events`, with every setting that matters pinned.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clickhouse::Row;
use clickhouse::error::Error;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use mohaa_actors::store::{EventStore, InsertAttempt, RowName, StoreError};
use mohaa_domain::row;
use mohaa_spool::crash_point::{self, CrashPoint};
use serde::Deserialize;
use uuid::Uuid;

use super::cluster::{ClusterError, Engines};
use super::error_code;
use super::schema;
use super::touched_days::TouchedDays;
use crate::data_version::DataVersion;

/// A stalled connection is given up after this; the writer then treats the insert as ambiguous.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// An insert of the largest batch takes some seconds; a store under pressure may take long over merges.
const END_TIMEOUT: Duration = Duration::from_secs(120);
/// A question about a batch reads one partition, or ends an insert. Asked again when it is lost: a connection that went
/// without a word must not cost what an insert may take once more.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(30);

/// Settings of every insert. Each is named even where it is the default, because a server's profile may say
/// otherwise, and a different value of any of them breaks "once" or "all or nothing".
pub const INSERT_SETTINGS: &[(&str, &str)] = &[
    ("async_insert", "0"),
    ("insert_deduplicate", "1"),
    ("deduplicate_blocks_in_dependent_materialized_views", "1"),
    // One block, hence one part and one token, for the largest batch: rows are what ends a block, and WORKER_BATCH_MAX has fewer.
    ("max_insert_block_size", "1048576"),
    ("min_insert_block_size_rows", "1048576"),
    ("min_insert_block_size_bytes", "268435456"),
    ("max_insert_threads", "1"),
    ("parallel_view_processing", "0"),
    ("materialized_views_ignore_errors", "0"),
    ("optimize_on_insert", "1"),
    ("max_partitions_per_insert_block", "100"),
    ("throw_on_max_partitions_per_insert_block", "1"),
    ("max_execution_time", "0"),
    // The status is sent when the insert has ended, not when it has begun.
    ("wait_end_of_query", "1"),
];

/// ClickHouse's codes for rows that can't be stored as they are, now or later.
const BAD_ROWS_CODES: &[u32] = &[
    6,   // CANNOT_PARSE_TEXT
    20,  // NUMBER_OF_COLUMNS_DOESNT_MATCH
    27,  // CANNOT_PARSE_INPUT_ASSERTION_FAILED
    33,  // CANNOT_READ_ALL_DATA
    53,  // TYPE_MISMATCH
    69,  // ARGUMENT_OUT_OF_BOUND
    70,  // CANNOT_CONVERT_TYPE
    72,  // CANNOT_PARSE_NUMBER
    117, // INCORRECT_DATA
    131, // TOO_LARGE_STRING_SIZE
    321, // VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
    349, // CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN
    376, // CANNOT_PARSE_UUID
    407, // DECIMAL_OVERFLOW
    469, // VIOLATED_CONSTRAINT
];

/// [`EventStore`] on a real ClickHouse.
pub struct ClickHouseStore {
    engines: Engines,
    touched_days: Arc<TouchedDays>,
    data_version: DataVersion,
}

#[derive(Row, Deserialize)]
struct StoredRow {
    spool_seq: u64,
    spool_index: u32,
}

impl ClickHouseStore {
    pub fn new(engines: Engines, touched_days: Arc<TouchedDays>, data_version: DataVersion) -> Self {
        Self { engines, touched_days, data_version }
    }

    async fn insert_rows(&self, attempt: InsertAttempt) -> Result<(), Error> {
        let columns = columns(attempt.column_count);
        let names: Vec<&str> = columns.clone().map(|column| column.name).collect();
        let statement =
            format!("INSERT INTO raw_events ({}) FORMAT RowBinaryWithNamesAndTypes", names.join(", "));
        let mut insert = self
            .engines
            .questions()
            .insert_formatted_with(statement)
            .with_timeouts(Some(SEND_TIMEOUT), Some(END_TIMEOUT))
            .with_setting("query_id", attempt.query_id)
            .with_setting("insert_deduplication_token", attempt.token);
        for (name, value) in INSERT_SETTINGS {
            insert = insert.with_setting(*name, *value);
        }
        insert.send(header(columns)).await?;
        for part in attempt.body {
            insert.send(part).await?;
        }
        insert.end().await
    }
}

impl ClickHouseStore {
    fn note(&self, day: i32) -> Result<(), StoreError> {
        self.touched_days.note(day).map_err(|error| {
            let message = format!("the day can't be noted for reconciliation: {error}");
            StoreError::Transient { code: 0, message, ambiguous: false }
        })
    }

    /// What an insert has begun on the nodes of a cluster, which give it ids of their own. A node that is away is passed over: what
    /// reaches Keeper from it is known by the token of the insert.
    async fn settle_on_shards(&self, query_id_prefix: &str) -> Result<(), ClusterError> {
        if self.engines.cluster().is_none() {
            return Ok(());
        }
        for shard in self.engines.shards().await? {
            for node in shard.all_answering().await? {
                let kill = "KILL QUERY WHERE startsWith(initial_query_id, ?) SYNC";
                node.local.query(kill).bind(query_id_prefix).execute().await?;
            }
        }
        Ok(())
    }

    /// Whoever is asked what is stored must have what its replicas were given: rows that it lacks would be inserted again. Rows on a
    /// replica that is away make it wait for that one.
    async fn catch_up(&self) -> Result<(), ClusterError> {
        if self.engines.cluster().is_none() {
            return Ok(());
        }
        for shard in self.engines.shards().await? {
            for node in shard.all_answering().await? {
                node.catch_up("raw_events").await?;
            }
        }
        Ok(())
    }

    /// Whether the rows are bad or the table is: one that was changed underneath refuses every row, and all of them
    /// would end in the dead letters.
    async fn blame(&self, code: u32, message: String) -> StoreError {
        match within_patience(schema::check(&self.engines)).await {
            Ok(Ok(())) => StoreError::BadRows { code, message },
            Ok(Err(difference)) => {
                tracing::error!(%difference, "rows are refused; events stay in the spool until the schema is mended");
                StoreError::Transient { code, message: format!("{message}; {difference}"), ambiguous: false }
            }
            Err(no_answer) => no_answer,
        }
    }
}

impl EventStore for ClickHouseStore {
    fn insert(&self, attempt: InsertAttempt) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            if attempt.column_count > row::COLUMNS.len() {
                let message = format!("rows have {} columns", attempt.column_count);
                return Err(StoreError::BadRows { code: 0, message });
            }
            self.note(attempt.day)?;
            crash_point::reach(CrashPoint::BeforeSend);
            let inserted = self.insert_rows(attempt).await;
            crash_point::reach(CrashPoint::AfterSend);
            // Rows may be there even after an error.
            self.data_version.changed();
            match inserted.map_err(|error| classify(&error)) {
                Err(StoreError::BadRows { code, message }) => Err(self.blame(code, message).await),
                ended => ended,
            }
        }
        .boxed()
    }

    fn settle<'a>(&'a self, query_id_prefix: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        async move {
            // `SYNC` answers when none of them runs any more.
            let kill = "KILL QUERY WHERE startsWith(query_id, ?) SYNC";
            let kill = self.engines.questions().query(kill).bind(query_id_prefix);
            within_patience(kill.execute()).await?.map_err(|error| classify(&error))?;
            within_patience(self.settle_on_shards(query_id_prefix))
                .await?
                .map_err(|error| classify_cluster(&error))
        }
        .boxed()
    }

    fn stored_rows(&self, batch_id: Uuid, day: i32) -> BoxFuture<'_, Result<HashSet<RowName>, StoreError>> {
        async move {
            // Should all rows be there, nothing is sent any more, and the day is compared all the same.
            self.note(day)?;
            // Reads one partition of the base table; only after ambiguous failures.
            within_patience(self.catch_up()).await?.map_err(|error| classify_cluster(&error))?;
            let stored = self
                .engines
                .questions()
                .query(
                    "SELECT spool_seq, spool_index FROM raw_events \
                     WHERE toDate(event_at) = toDate(?) AND batch_id = toUUID(?)",
                )
                .bind(day)
                .bind(batch_id.to_string());
            let rows: Vec<StoredRow> =
                within_patience(stored.fetch_all()).await?.map_err(|error| classify(&error))?;
            // Those of an attempt whose end nobody saw.
            self.data_version.changed();
            Ok(rows.into_iter().map(|row| (row.spool_seq, row.spool_index)).collect())
        }
        .boxed()
    }
}

/// The columns of an insert: the batch's id and so many of the row's.
fn columns(count: usize) -> impl Iterator<Item = &'static row::ColumnDefinition> + Clone {
    const BATCH_ID: row::ColumnDefinition = row::ColumnDefinition { name: "batch_id", sql_type: "UUID" };
    std::iter::once(&BATCH_ID).chain(&row::COLUMNS[..count])
}

/// What precedes the rows: how many columns, their names, their types. Bare rows say nothing of their types, and a
/// column that has another by now would take the bytes for something else, or misread all that follows.
fn header(columns: impl Iterator<Item = &'static row::ColumnDefinition> + Clone) -> Bytes {
    let mut header = Vec::new();
    push_length(columns.clone().count(), &mut header);
    for text in columns.clone().map(|column| column.name).chain(columns.map(|column| column.sql_type)) {
        push_length(text.len(), &mut header);
        header.extend_from_slice(text.as_bytes());
    }
    Bytes::from(header)
}

/// LEB128, as RowBinary writes lengths.
fn push_length(mut length: usize, bytes: &mut Vec<u8>) {
    while length >= 0x80 {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
}

/// A question whose answer does not come counts as a failed attempt.
async fn within_patience<T>(work: impl Future<Output = T>) -> Result<T, StoreError> {
    tokio::time::timeout(QUESTION_TIMEOUT, work).await.map_err(|_| classify(&Error::TimedOut))
}

fn classify_cluster(error: &ClusterError) -> StoreError {
    match error {
        ClusterError::ClickHouse(error) => classify(error),
        other => StoreError::Transient { code: 0, message: other.to_string(), ambiguous: false },
    }
}

fn classify(error: &Error) -> StoreError {
    let message = error.to_string();
    match error {
        Error::BadResponse(answer) => {
            let code = error_code(answer);
            if BAD_ROWS_CODES.contains(&code) {
                return StoreError::BadRows { code, message };
            }
            // An answer with a code is the store's own word that the insert ended without success. Rows may still
            // have reached the base table before a view failed: the same token repeats what is missing.
            StoreError::Transient { code, message, ambiguous: code == 0 }
        }
        Error::Network(source) => {
            let never_sent = source
                .downcast_ref::<hyper_util::client::legacy::Error>()
                .is_some_and(hyper_util::client::legacy::Error::is_connect);
            StoreError::Transient { code: 0, message, ambiguous: !never_sent }
        }
        _ => StoreError::Transient { code: 0, message, ambiguous: true },
    }
}
