//! Files with right checksums that no spool ever wrote: numbers at the end of all numbers, and given twice.

use std::path::Path;

use mohaa_spool::testing::FakeStorage;
use mohaa_spool::{DamageKind, Spool, Storage};

use crate::harness::*;

const ID: [u8; 16] = *b"a forged spool's";

fn write(storage: &FakeStorage, name: &str, bytes: &[u8]) {
    let mut file = storage.create(&path(name)).unwrap();
    file.append(bytes).unwrap();
    storage.sync_dir(Path::new(DIR)).unwrap();
}

fn with_checksum(magic: &[u8; 8], checked: &[u8]) -> Vec<u8> {
    [magic, &crc32c::crc32c(checked).to_le_bytes()[..], checked].concat()
}

fn identity(storage: &FakeStorage, reserved_below: u64) {
    let checked = [&1_u32.to_le_bytes()[..], &ID, &reserved_below.to_le_bytes()].concat();
    write(storage, "identity", &with_checksum(b"MOHIDENT", &checked));
}

fn segment(storage: &FakeStorage, ordinal: u64, first_seq: u64, seqs: &[u64]) {
    let numbers = [ordinal, first_seq, 1].map(u64::to_le_bytes).concat();
    let checked = [&1_u32.to_le_bytes()[..], &ID, &numbers, &0_u32.to_le_bytes()].concat();
    let mut bytes = with_checksum(b"MOHSPOOL", &checked);
    let seed = [ordinal, first_seq]
        .iter()
        .fold(crc32c::crc32c(&ID), |seed, number| crc32c::crc32c_append(seed, &number.to_le_bytes()));
    for seq in seqs {
        let payload = format!("{ordinal}: {seq}");
        let lengths = [payload.len() as u32, 1].map(u32::to_le_bytes).concat();
        let numbers = [*seq, 1].map(u64::to_le_bytes).concat();
        let checked = [&lengths[..], &numbers, &[1, 0, 0, 0], payload.as_bytes()].concat();
        let checksum = crc32c::crc32c_append(seed, &checked).to_le_bytes();
        bytes.extend_from_slice(&[&[0xFF, 0x5E, 0xC0, 0xFD], &checksum[..], &checked].concat());
    }
    write(storage, &format!("segment-{ordinal:020}-{first_seq:020}"), &bytes);
}

/// Takes an append, and the next start finds it.
fn assert_takes_appends(storage: &FakeStorage, spool: Spool) {
    spool.rotate(b"state".to_vec()).unwrap();
    let mut outcomes = Outcomes::new();
    outcomes.append(&spool, "new");
    outcomes.all_succeed();
    spool.close(LONG).unwrap();
    let (_spool, recovered) = open(options(storage));
    assert!(payloads(recovered.records).contains(&b"new".to_vec()));
}

/// Takes none, rather than one that the next start would not find.
fn assert_refuses_appends(spool: &Spool) {
    spool.rotate(b"state".to_vec()).unwrap();
    let mut outcomes = Outcomes::new();
    outcomes.append(spool, "new");
    assert!(matches!(outcomes.all()[..], [(_, Err(_))]));
}

#[test]
fn an_identity_that_reserved_more_than_all_numbers_is_damage() {
    for reserved_below in [u64::MAX, u64::MAX - (1 << 20), (1 << 62) + 1] {
        let storage = FakeStorage::new();
        identity(&storage, reserved_below);
        segment(&storage, 0, 1, &[1, 2]);
        let (spool, recovered) = open(options(&storage));
        assert_eq!(recovered.damage[0].kind, DamageKind::UnreadableIdentity);
        assert_eq!(payloads(recovered.records), [b"0: 1", b"0: 2"]);
        assert_takes_appends(&storage, spool);
    }
}

#[test]
fn a_segment_at_the_end_of_all_ordinals_is_none_of_ours() {
    for (ordinal, first_seq) in [(u64::MAX, 1), (0, u64::MAX), (1 << 62, 1 << 62)] {
        let storage = FakeStorage::new();
        identity(&storage, 100);
        segment(&storage, ordinal, first_seq, &[first_seq]);
        let (spool, recovered) = open(options(&storage));
        assert!(payloads(recovered.records).is_empty());
        assert_takes_appends(&storage, spool);
    }
}

#[test]
fn behind_the_last_of_all_ordinals_nothing_is_taken_that_the_next_start_would_not_find() {
    let storage = FakeStorage::new();
    identity(&storage, 100);
    segment(&storage, (1 << 62) - 1, 1, &[1]);
    let (spool, _) = open(options(&storage));
    assert_refuses_appends(&spool);
    spool.close(LONG).unwrap();
    let (_spool, recovered) = open(options(&storage));
    assert_eq!(payloads(recovered.records).len(), 1);
}

#[test]
fn a_spool_that_is_near_the_end_of_all_numbers_can_be_opened_again() {
    for first_seq in [(1_u64 << 62) - 1, (1 << 62) - 2, (1 << 62) - (1 << 20)] {
        let storage = FakeStorage::new();
        identity(&storage, 0);
        write(&storage, &format!("segment-{:020}-{first_seq:020}", (1_u64 << 62) - 1), b"");
        let (spool, _) = open(options(&storage));
        assert_refuses_appends(&spool);
        drop(spool);
        drop(open(options(&storage.kill())));
    }
}

#[test]
fn the_last_record_of_all_is_kept_by_every_start() {
    let storage = FakeStorage::new();
    segment(&storage, 0, 1, &[1, (1 << 62) - 1]);
    for _ in 0..2 {
        let (spool, recovered) = open(options(&storage));
        assert_eq!(payloads(recovered.records).len(), 2);
        drop(spool);
    }
}

#[test]
fn records_without_an_identity_count_as_far_as_numbers_go_and_no_further() {
    let storage = FakeStorage::new();
    segment(&storage, 0, 1, &[1, (1 << 62) - 1, u64::MAX - 1]);
    let (spool, recovered) = open(options(&storage));
    assert_eq!(collect(recovered.records).len(), 2);
    // No number is left behind the last one.
    assert_refuses_appends(&spool);
}

#[test]
fn a_checkpoint_of_all_numbers_stores_none() {
    let storage = FakeStorage::new();
    identity(&storage, 100);
    segment(&storage, 0, 1, &[1]);
    let (first, last) = (0_u64.to_le_bytes(), u64::MAX.to_le_bytes());
    let checksum = crc32c::crc32c(&[&ID[..], &first, &last].concat());
    write(&storage, "checkpoint", &[&first[..], &last, &checksum.to_le_bytes()].concat());
    let (_spool, recovered) = open(options(&storage));
    assert_eq!(recovered.unstored_records, 1, "it is not called stored");
    assert_eq!(recovered.damage[0].kind, DamageKind::UnreadableCheckpoint);
}

#[test]
fn a_record_of_a_number_that_was_never_reserved_is_given_back_by_no_reader() {
    let storage = FakeStorage::new();
    identity(&storage, 100);
    segment(&storage, 0, 1, &[1, 103, 2]);
    let (spool, recovered) = open(options(&storage));
    assert_eq!(payloads(recovered.records), [b"0: 1", b"0: 2"]);
    assert_eq!(payloads(recovered.after_newest_header), [b"0: 1", b"0: 2"]);
    assert_eq!(spool.reader().read(1, 2).unwrap().len(), 2);
    assert_eq!(recovered.damage.len(), 1, "{:?}", recovered.damage);
}

#[test]
fn a_number_that_two_segments_claim_is_given_back_once() {
    let storage = FakeStorage::new();
    identity(&storage, 200);
    segment(&storage, 0, 1, &[1, 2]);
    segment(&storage, 1, 50, &[50]);
    segment(&storage, 2, 1, &[1, 2, 51]);
    let (spool, recovered) = open(options(&storage));
    let told: Vec<_> = recovered.damage.iter().map(|damage| &damage.file[..]).collect();
    // 50 is not below the first number of the segment behind it: which of the two lies, nobody can say.
    assert_eq!(
        told,
        [
            "segment-00000000000000000001-00000000000000000050",
            "segment-00000000000000000002-00000000000000000001"
        ]
    );
    assert_eq!(payloads(recovered.records), [b"0: 1".to_vec(), b"0: 2".to_vec(), b"2: 51".to_vec()]);
    assert_eq!(recovered.unstored_records, 3);
    assert_takes_appends(&storage, spool);
}
