//! A spool record: one accepted request, its events stamped and encoded as rows of `raw_events`.
//!
//! Layout (integers little-endian): format version `u8` = 1, column count of the rows `u16`, server id 16 bytes,
//! received at `i64` ms, then the idempotency part (key length `u8`; when not 0: the key, the body's hash 16 bytes,
//! processed `u32`, rejected `u32`, length of the errors `u32` and the errors as JSON text), row count `u32`, and for
//! each row its partition (day since the epoch, `i32`), its length `u32` and its bytes (`mohaa_domain::row`).

use mohaa_domain::event::{Event, Millis, Stamp};
use mohaa_domain::row;
use uuid::Uuid;

use crate::idempotency::{BodyHash, IngestAnswer};

const FORMAT_VERSION: u8 = 1;

/// A record that does not hold what its format promises; its checksum was right, so this is a defect or a record
/// of a later version.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("record has format version {found}, this version reads {FORMAT_VERSION}")]
    Version { found: u8 },
    #[error("record ends early")]
    Truncated,
    #[error("record holds text that is not UTF-8")]
    Text,
    #[error(transparent)]
    Row(#[from] row::RowError),
}

/// The idempotency part of a record.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordKey {
    pub key: String,
    pub body_hash: BodyHash,
    pub answer: IngestAnswer,
}

/// Builds a record row by row.
pub struct RecordBuilder {
    bytes: Vec<u8>,
    row_count_at: usize,
    row_count: u32,
}

impl RecordBuilder {
    pub fn new(server_id: Uuid, received_at: Millis, key: Option<&RecordKey>, expected_rows: usize) -> Self {
        // A row takes about 350 bytes.
        let mut bytes = Vec::with_capacity(64 + expected_rows * 400);
        bytes.push(FORMAT_VERSION);
        bytes.extend_from_slice(&(row::COLUMNS.len() as u16).to_le_bytes());
        bytes.extend_from_slice(server_id.as_bytes());
        bytes.extend_from_slice(&received_at.0.to_le_bytes());
        match key {
            None => bytes.push(0),
            Some(RecordKey { key, body_hash, answer }) => {
                bytes.push(key.len() as u8);
                bytes.extend_from_slice(key.as_bytes());
                bytes.extend_from_slice(&body_hash.0);
                bytes.extend_from_slice(&answer.processed.to_le_bytes());
                bytes.extend_from_slice(&answer.rejected.to_le_bytes());
                bytes.extend_from_slice(&(answer.errors.len() as u32).to_le_bytes());
                bytes.extend_from_slice(answer.errors.as_bytes());
            }
        }
        let row_count_at = bytes.len();
        bytes.extend_from_slice(&[0; 4]);
        Self { bytes, row_count_at, row_count: 0 }
    }

    pub fn push(&mut self, event: &Event, stamp: &Stamp) {
        self.bytes.extend_from_slice(&stamp.event_at.day().to_le_bytes());
        let length_at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        row::encode(event, stamp, &mut self.bytes);
        let length = (self.bytes.len() - length_at - 4) as u32;
        self.bytes[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
        self.row_count += 1;
    }

    pub fn finish(mut self) -> Vec<u8> {
        let at = self.row_count_at;
        self.bytes[at..at + 4].copy_from_slice(&self.row_count.to_le_bytes());
        self.bytes
    }
}

/// One row of a record, still encoded.
#[derive(Clone, Copy, Debug)]
pub struct EncodedRow<'a> {
    /// Day of the event since the epoch: the row's partition.
    pub day: i32,
    pub bytes: &'a [u8],
}

/// A record, read without copying.
pub struct RecordView<'a> {
    pub column_count: usize,
    pub server_id: Uuid,
    pub received_at: Millis,
    pub key: Option<RecordKey>,
    pub row_count: usize,
    rows: &'a [u8],
}

impl<'a> RecordView<'a> {
    /// Reads the head of a record.
    ///
    /// # Errors
    /// When the bytes are no record of this version.
    pub fn parse(payload: &'a [u8]) -> Result<Self, RecordError> {
        let mut rest = payload;
        let [version] = take(&mut rest)?;
        if version != FORMAT_VERSION {
            return Err(RecordError::Version { found: version });
        }
        let column_count = usize::from(u16::from_le_bytes(take(&mut rest)?));
        let server_id = Uuid::from_bytes(take(&mut rest)?);
        let received_at = Millis(i64::from_le_bytes(take(&mut rest)?));
        let [key_length] = take(&mut rest)?;
        let key = if key_length == 0 {
            None
        } else {
            let key = take_text(&mut rest, usize::from(key_length))?;
            let body_hash = BodyHash(take(&mut rest)?);
            let processed = u32::from_le_bytes(take(&mut rest)?);
            let rejected = u32::from_le_bytes(take(&mut rest)?);
            let errors_length = u32::from_le_bytes(take(&mut rest)?) as usize;
            let errors = take_text(&mut rest, errors_length)?;
            let answer = IngestAnswer { processed, rejected, errors: errors.into() };
            Some(RecordKey { key: key.to_owned(), body_hash, answer })
        };
        let row_count = u32::from_le_bytes(take(&mut rest)?) as usize;
        Ok(Self { column_count, server_id, received_at, key, row_count, rows: rest })
    }

    /// The rows in order. A record that ends early yields an error once and then ends.
    pub fn rows(&self) -> impl Iterator<Item = Result<EncodedRow<'a>, RecordError>> + use<'a> {
        let mut rest = self.rows;
        let mut rows_left = self.row_count;
        std::iter::from_fn(move || {
            if rows_left == 0 {
                return None;
            }
            let row = take_row(&mut rest);
            rows_left = if row.is_ok() { rows_left - 1 } else { 0 };
            Some(row)
        })
    }

    /// The events with their stamps.
    ///
    /// # Errors
    /// When a row can't be read.
    pub fn events(&self) -> Result<Vec<(Event, Stamp)>, RecordError> {
        self.rows().map(|row| Ok(row::decode(row?.bytes, self.column_count)?)).collect()
    }
}

fn take_row<'a>(rest: &mut &'a [u8]) -> Result<EncodedRow<'a>, RecordError> {
    let day = i32::from_le_bytes(take(rest)?);
    let length = u32::from_le_bytes(take(rest)?) as usize;
    let (bytes, after) = rest.split_at_checked(length).ok_or(RecordError::Truncated)?;
    *rest = after;
    Ok(EncodedRow { day, bytes })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], RecordError> {
    let (taken, after) = rest.split_first_chunk::<N>().ok_or(RecordError::Truncated)?;
    *rest = after;
    Ok(*taken)
}

fn take_text<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a str, RecordError> {
    let (taken, after) = rest.split_at_checked(length).ok_or(RecordError::Truncated)?;
    *rest = after;
    std::str::from_utf8(taken).map_err(|_| RecordError::Text)
}
