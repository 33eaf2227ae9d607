//! A sealed batch: a fixed range of spool records on its way into the store, cut into one piece a partition.
//!
//! Everything about a piece follows from the spool's id, the range and the partition: its deduplication token, its
//! batch id, its rows and their order. A restart that seals the same range therefore sends the same pieces.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use mohaa_domain::row;
use uuid::Uuid;

use crate::record::{EncodedRow, RecordError, RecordView};
use crate::store::RowName;

/// Before each row of an INSERT.
const BATCH_ID_BYTES: usize = size_of::<Uuid>();

/// A spool record in memory.
#[derive(Clone)]
pub struct StoredRecord {
    pub seq: u64,
    /// Events it was appended with.
    pub events: u32,
    pub payload: Arc<Vec<u8>>,
}

/// A sealed range of the spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedRange {
    pub first_seq: u64,
    pub last_seq: u64,
}

/// Where a row's bytes are: a record of the batch and a range in its payload.
#[derive(Clone, Copy)]
struct RowPlace {
    record: usize,
    start: usize,
    end: usize,
    name: RowName,
}

/// Rows of one partition that are inserted together.
#[derive(Clone)]
pub struct Piece {
    records: Arc<Vec<StoredRecord>>,
    rows: Arc<Vec<RowPlace>>,
    from: usize,
    to: usize,
    pub day: i32,
    pub column_count: usize,
    pub token: String,
    pub batch_id: Uuid,
}

/// An INSERT's body in parts that are made when they are asked for.
///
/// A large batch's whole body would be tens of megabytes beside the records it is copied from; memory that the system
/// clears anew for each batch. A part is small enough to be still in the processor's cache when it is sent.
#[derive(Clone)]
pub struct InsertBody {
    unsent: Piece,
}

/// Well above what a write to a socket costs by itself.
const BODY_PART_BYTES: usize = 256 * 1024;

impl Iterator for InsertBody {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let mut part = Vec::new();
        while let Some(row) = self.unsent.rows().first() {
            let row_bytes = self.unsent.bytes_of(row);
            if part.is_empty() {
                part.reserve_exact(BODY_PART_BYTES.max(row_bytes.len() + BATCH_ID_BYTES));
            } else if part.len() + BATCH_ID_BYTES + row_bytes.len() > BODY_PART_BYTES {
                break;
            }
            row::encode_batch_id(self.unsent.batch_id, &mut part);
            part.extend_from_slice(row_bytes);
            self.unsent.from += 1;
        }
        (!part.is_empty()).then(|| Bytes::from(part))
    }
}

impl fmt::Debug for InsertBody {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "InsertBody({} rows unsent)", self.unsent.row_count())
    }
}

/// Cuts a sealed range into its pieces, oldest partition first. Records that can't be read, whole as they are, come
/// back with the reason.
pub fn pieces_of(
    spool_id: Uuid,
    range: SealedRange,
    records: Vec<StoredRecord>,
) -> (Vec<Piece>, Vec<(StoredRecord, RecordError)>) {
    // Rows with fewer columns come from an earlier version and need an INSERT with a shorter column list.
    let mut rows_of: BTreeMap<(i32, usize), Vec<RowPlace>> = BTreeMap::new();
    let mut unreadable = Vec::new();
    for (record, stored) in records.iter().enumerate() {
        let rows = match readable_rows(&stored.payload) {
            Ok(rows) => rows,
            Err(error) => {
                unreadable.push((stored.clone(), error));
                continue;
            }
        };
        let payload_start = stored.payload.as_ptr() as usize;
        for (index, (column_count, row)) in rows.into_iter().enumerate() {
            let start = row.bytes.as_ptr() as usize - payload_start;
            rows_of.entry((row.day, column_count)).or_default().push(RowPlace {
                record,
                start,
                end: start + row.bytes.len(),
                name: (stored.seq, index as u32),
            });
        }
    }
    let records = Arc::new(records);
    let pieces = rows_of
        .into_iter()
        .map(|((day, column_count), rows)| {
            let token =
                format!("{}:{}-{}:{day}:{column_count}", spool_id.simple(), range.first_seq, range.last_seq);
            Piece {
                records: records.clone(),
                from: 0,
                to: rows.len(),
                rows: Arc::new(rows),
                day,
                column_count,
                batch_id: Uuid::new_v5(&spool_id, token.as_bytes()),
                token,
            }
        })
        .collect();
    (pieces, unreadable)
}

/// All rows of a record with their column count, or none.
fn readable_rows(payload: &[u8]) -> Result<Vec<(usize, EncodedRow<'_>)>, RecordError> {
    let view = RecordView::parse(payload)?;
    view.rows().map(|row| Ok((view.column_count, row?))).collect()
}

impl Piece {
    /// A piece of one encoded row that no batch holds any more.
    pub fn of_row(spool_id: Uuid, name: RowName, day: i32, column_count: usize, row: Vec<u8>) -> Self {
        let token = format!("{}:row-{}-{}:{day}:{column_count}", spool_id.simple(), name.0, name.1);
        let place = RowPlace { record: 0, start: 0, end: row.len(), name };
        Self {
            records: Arc::new(vec![StoredRecord { seq: name.0, events: 1, payload: Arc::new(row) }]),
            rows: Arc::new(vec![place]),
            from: 0,
            to: 1,
            day,
            column_count,
            batch_id: Uuid::new_v5(&spool_id, token.as_bytes()),
            token,
        }
    }

    pub fn row_count(&self) -> usize {
        self.to - self.from
    }

    fn rows(&self) -> &[RowPlace] {
        &self.rows[self.from..self.to]
    }

    pub fn row_names(&self) -> impl Iterator<Item = RowName> + '_ {
        self.rows().iter().map(|row| row.name)
    }

    /// The encoded row of a piece that has just one.
    pub fn only_row(&self) -> Option<(RowName, &[u8])> {
        let [row] = self.rows() else { return None };
        Some((row.name, self.bytes_of(row)))
    }

    fn bytes_of(&self, row: &RowPlace) -> &[u8] {
        &self.records[row.record].payload[row.start..row.end]
    }

    /// The body of an INSERT with all rows, or with those that `absent` names, and how many these are.
    pub fn body(&self, absent: Option<&HashSet<RowName>>) -> (InsertBody, usize) {
        let rows = match absent {
            None => self.clone(),
            Some(absent) => {
                let absent_rows: Vec<RowPlace> =
                    self.rows().iter().filter(|row| absent.contains(&row.name)).copied().collect();
                Piece { from: 0, to: absent_rows.len(), rows: Arc::new(absent_rows), ..self.clone() }
            }
        };
        let row_count = rows.row_count();
        (InsertBody { unsent: rows }, row_count)
    }

    /// The two halves of a piece with more than one row, each under a token of its own. The batch id stays: when the
    /// whole is sent again one day, what was stored of its halves is found.
    pub fn halves(&self) -> Option<[Piece; 2]> {
        let rows = self.row_count();
        if rows < 2 {
            return None;
        }
        let middle = self.from + rows / 2;
        let part = |from: usize, to: usize| {
            let base = self.token.split('/').next().unwrap_or_default();
            let token = format!("{base}/{from}-{to}");
            Piece { from, to, token, ..self.clone() }
        };
        Some([part(self.from, middle), part(middle, self.to)])
    }
}
