//! What is sent for a batch: its rows, each once and in order, however its body is cut into parts.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashSet;
use std::sync::Arc;

use mohaa_actors::batch::{InsertBody, Piece, SealedRange, StoredRecord, pieces_of};
use mohaa_actors::record::RecordBuilder;
use mohaa_actors::store::RowName;
use mohaa_domain::event::{Event, Millis, Stamp, Text};
use mohaa_domain::row;
use uuid::Uuid;

const SPOOL: Uuid = Uuid::from_u128(7);
const SERVER: Uuid = Uuid::from_u128(1);
const ROWS_A_RECORD: u32 = 20;

/// A record of [`ROWS_A_RECORD`] events of one day, each with a chat line of so many bytes.
fn record(seq: u64, message_bytes: usize) -> StoredRecord {
    let mut builder = RecordBuilder::new(SERVER, Millis(0), None, ROWS_A_RECORD as usize);
    let event = Event { message: Text::from("x".repeat(message_bytes)), ..Event::default() };
    for spool_index in 0..ROWS_A_RECORD {
        builder.push(&event, &Stamp { spool_seq: seq, spool_index, ..Stamp::default() });
    }
    StoredRecord { seq, events: ROWS_A_RECORD, payload: Arc::new(builder.finish()) }
}

fn only_piece(records: Vec<StoredRecord>) -> Piece {
    let range = SealedRange { first_seq: records[0].seq, last_seq: records.last().unwrap().seq };
    let (mut pieces, unreadable) = pieces_of(SPOOL, range, records);
    assert!(unreadable.is_empty());
    assert_eq!(pieces.len(), 1, "all rows are of one day");
    pieces.remove(0)
}

/// The rows that a body's parts hold together, as the store would read them.
fn rows_of(body: InsertBody, piece: &Piece) -> Vec<RowName> {
    let bytes: Vec<u8> = body.flatten().collect();
    let mut batch_id = Vec::new();
    row::encode_batch_id(piece.batch_id, &mut batch_id);
    let mut rest = bytes.as_slice();
    let mut rows = Vec::new();
    while !rest.is_empty() {
        rest = rest.strip_prefix(batch_id.as_slice()).expect("each row follows the batch id");
        let (_, stamp) = row::take(&mut rest, piece.column_count).unwrap();
        rows.push((stamp.spool_seq, stamp.spool_index));
    }
    rows
}

fn all_rows(seqs: std::ops::RangeInclusive<u64>) -> Vec<RowName> {
    seqs.flat_map(|seq| (0..ROWS_A_RECORD).map(move |index| (seq, index))).collect()
}

#[test]
fn a_large_body_comes_in_several_parts_that_hold_each_row_once_and_in_order() {
    let piece = only_piece((1..=100).map(|seq| record(seq, 300)).collect());
    let (body, rows) = piece.body(None);
    assert_eq!(rows, 2000);
    assert!(body.clone().count() > 1);
    assert_eq!(rows_of(body, &piece), all_rows(1..=100));
}

#[test]
fn a_row_that_is_larger_than_a_part_is_sent_whole() {
    let piece = only_piece(vec![record(1, 10), record(2, 1 << 20), record(3, 10)]);
    let (body, _) = piece.body(None);
    assert_eq!(rows_of(body, &piece), all_rows(1..=3));
}

#[test]
fn a_body_of_absent_rows_holds_no_others() {
    let piece = only_piece((1..=3).map(|seq| record(seq, 10)).collect());
    let absent: HashSet<RowName> = [(1, 3), (3, 0), (3, 19)].into();
    let (body, rows) = piece.body(Some(&absent));
    assert_eq!(rows, 3);
    assert_eq!(rows_of(body, &piece), [(1, 3), (3, 0), (3, 19)]);
}
