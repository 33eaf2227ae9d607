use mohaa_spool::testing::FakeStorage;
use mohaa_spool::{DamageKind, OpenError, ReadError, SeqRange, Spool};

use crate::harness::*;

/// Ten records, "record 1" to "record 10", in one segment, closed.
fn ten_records(storage: &FakeStorage) {
    let spool = open_rotated(storage);
    let mut outcomes = Outcomes::new();
    for n in 1..=10 {
        outcomes.append(&spool, format!("record {n}"));
    }
    outcomes.all_succeed();
    spool.close(LONG).unwrap();
}

fn find(bytes: &[u8], text: &str) -> usize {
    bytes.windows(text.len()).position(|window| window == text.as_bytes()).unwrap()
}

#[test]
fn an_unreadable_record_is_skipped_and_told() {
    let storage = FakeStorage::new();
    ten_records(&storage);
    let segment = &segment_paths(&storage)[0];
    storage.corrupt(segment, |bytes| {
        let at = find(bytes, "record 4");
        bytes[at] ^= 1;
    });
    let (spool, recovered) = open(options(&storage));
    assert_eq!(payloads(recovered.records).len(), 9);
    let [damage] = &recovered.damage[..] else { panic!("{:?}", recovered.damage) };
    assert_eq!(damage.kind, DamageKind::UnreadableRecords);
    assert_eq!(damage.suspects, Some(SeqRange::new(4, 4)));
    assert_eq!(damage.bytes, 36 + 8);
    assert_eq!(spool.reader().read(3, 5).unwrap().len(), 2);
    assert_eq!(recovered.unstored_records, 9);
}

#[test]
fn a_record_whose_length_is_wrong_hides_no_later_one() {
    let storage = FakeStorage::new();
    ten_records(&storage);
    storage.corrupt(&segment_paths(&storage)[0], |bytes| {
        let length_at = find(bytes, "record 4") - 36 + 8;
        bytes[length_at..length_at + 4].copy_from_slice(&60_u32.to_le_bytes());
    });
    let (_spool, recovered) = open(options(&storage));
    assert_eq!(payloads(recovered.records).len(), 9);
    assert_eq!(recovered.damage[0].suspects, Some(SeqRange::new(4, 4)));
}

#[test]
fn a_tail_lost_in_a_segment_with_a_successor_is_damage() {
    let storage = FakeStorage::new();
    ten_records(&storage);
    let spool = open_rotated(&storage);
    spool.close(LONG).unwrap();
    storage.corrupt(&segment_paths(&storage)[0], |bytes| {
        let at = find(bytes, "record 9");
        bytes[at..].fill(0);
    });
    let (spool, recovered) = open(options(&storage));
    assert_eq!(payloads(recovered.records).len(), 8);
    assert_eq!(recovered.torn_tail, None);
    assert_eq!(recovered.damage[0].suspects, Some(SeqRange::new(9, 10)));
    assert_eq!(spool.next_seq(), 11);
}

#[test]
fn a_record_of_another_place_does_not_pass() {
    let storage = FakeStorage::new();
    ten_records(&storage);
    storage.corrupt(&segment_paths(&storage)[0], |bytes| {
        // "record 2" again behind "record 10", whole and with a right checksum, but an old number.
        let start = find(bytes, "record 2") - 36;
        let stale = bytes[start..start + 44].to_vec();
        bytes.extend_from_slice(&stale);
    });
    let (_spool, recovered) = open(options(&storage));
    assert_eq!(payloads(recovered.records).len(), 10);
    assert_eq!(recovered.torn_tail.unwrap().bytes, 44);
}

#[test]
fn a_lost_header_costs_the_state_but_no_record() {
    let storage = FakeStorage::new();
    ten_records(&storage);
    let (spool, _) = open(options(&storage));
    spool.rotate(b"newer".to_vec()).unwrap();
    let mut outcomes = Outcomes::new();
    outcomes.append(&spool, "record 11");
    outcomes.all_succeed();
    spool.close(LONG).unwrap();
    storage.corrupt(&segment_paths(&storage)[1], |bytes| bytes[20] ^= 1);
    let (spool, recovered) = open(options(&storage));
    assert_eq!(recovered.damage[0].kind, DamageKind::UnreadableHeader);
    assert_eq!(recovered.newest_header, Some(b"state".to_vec()));
    assert_eq!(payloads(recovered.after_newest_header).len(), 11);
    // Stored or not, the older state is the newest there is and stays.
    spool.stored(1, 11);
    settle(&spool);
    assert_eq!(spool.stats().segments, 2);
    assert_eq!(spool.reader().read(11, 11).unwrap()[0].payload, b"record 11");
}

#[test]
fn a_missing_segment_is_told() {
    let storage = FakeStorage::new();
    for _ in 0..3 {
        let spool = open_rotated(&storage);
        let mut outcomes = Outcomes::new();
        outcomes.append(&spool, "x");
        outcomes.all_succeed();
        spool.close(LONG).unwrap();
    }
    storage.delete(&segment_paths(&storage)[1]);
    let (_spool, recovered) = open(options(&storage));
    assert_eq!(recovered.damage.len(), 1);
    assert_eq!(recovered.damage[0].kind, DamageKind::MissingSegment);
    assert_eq!(recovered.damage[0].suspects, Some(SeqRange::new(2, 2)));
}

#[test]
fn a_lost_identity_is_taken_from_the_segments_and_numbers_jump_ahead() {
    let storage = FakeStorage::new();
    ten_records(&storage);
    let (spool, _) = open(options(&storage));
    let spool_id = spool.spool_id();
    spool.close(LONG).unwrap();
    storage.corrupt(&path("identity"), |bytes| bytes.clear());
    let (spool, recovered) = open(options(&storage));
    assert_eq!(spool.spool_id(), spool_id);
    assert!(spool.next_seq() > 1_000_000);
    assert_eq!(recovered.damage[0].kind, DamageKind::UnreadableIdentity);
    assert_eq!(payloads(recovered.records).len(), 10);
}

#[test]
fn without_any_identity_nothing_is_opened_or_changed() {
    let storage = FakeStorage::new();
    ten_records(&storage);
    storage.delete(&path("identity"));
    storage.corrupt(&segment_paths(&storage)[0], |bytes| bytes[0] ^= 1);
    let before = storage.files();
    assert!(matches!(Spool::open(options(&storage)), Err(OpenError::NoIdentity { .. })));
    assert_eq!(storage.files(), before);
}

#[test]
fn an_unreadable_checkpoint_entry_brings_its_batch_back() {
    let storage = FakeStorage::new();
    ten_records(&storage);
    let (spool, _) = open(options(&storage));
    spool.stored(2, 3);
    spool.stored(5, 6);
    spool.close(LONG).unwrap();
    storage.corrupt(&path("checkpoint"), |bytes| bytes[0] ^= 1);
    let (_spool, recovered) = open(options(&storage));
    assert_eq!(recovered.damage[0].kind, DamageKind::UnreadableCheckpoint);
    assert_eq!(recovered.unstored, [SeqRange::new(1, 4), SeqRange::new(7, 10)]);
}

#[test]
fn a_segment_of_another_spool_is_left_alone() {
    let (ours, theirs) = (FakeStorage::new(), FakeStorage::new());
    ten_records(&ours);
    ten_records(&theirs);
    let mut foreign = Vec::new();
    let segment = segment_paths(&theirs)[0].clone();
    theirs.corrupt(&segment, |bytes| foreign.clone_from(bytes));
    ours.corrupt(&segment, |bytes| *bytes = foreign.clone());
    let (_spool, recovered) = open(options(&ours));
    assert_eq!(recovered.damage[0].kind, DamageKind::ForeignSegment);
    assert!(payloads(recovered.records).is_empty());
    assert!(ours.files().contains(&segment));
}

#[test]
fn bytes_that_rot_while_open_are_an_error_and_can_be_read_around() {
    let storage = FakeStorage::new();
    let spool = open_rotated(&storage);
    let mut outcomes = Outcomes::new();
    for n in 1..=5 {
        outcomes.append(&spool, format!("record {n}"));
    }
    outcomes.all_succeed();
    storage.corrupt(&segment_paths(&storage)[0], |bytes| {
        let at = find(bytes, "record 3");
        bytes[at] ^= 1;
    });
    let reader = spool.reader();
    assert!(matches!(reader.read(1, 5), Err(ReadError::Damaged { bytes: 44, .. })));
    let (records, damage) = reader.salvage(1, 5).unwrap();
    assert_eq!(records.len(), 4);
    assert_eq!(damage[0].bytes, 44);
}

#[test]
fn a_damaged_segment_is_set_aside_when_it_is_done_with_and_never_looked_at_again() {
    let storage = FakeStorage::new();
    ten_records(&storage);
    let segment = segment_paths(&storage)[0].clone();
    storage.corrupt(&segment, |bytes| {
        let at = find(bytes, "record 4");
        bytes[at] ^= 1;
    });
    let spool = open_rotated(&storage);
    spool.stored(1, 10);
    settle(&spool);
    let name = segment.file_name().unwrap().to_string_lossy().into_owned();
    assert!(!storage.files().contains(&segment));
    assert!(storage.files().contains(&path(&format!("damaged-{name}"))));
    spool.close(LONG).unwrap();
    let (_spool, recovered) = open(options(&storage));
    assert!(recovered.damage.is_empty(), "{:?}", recovered.damage);
}
