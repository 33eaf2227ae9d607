use std::io::ErrorKind;

use mohaa_spool::ReadError;
use mohaa_spool::testing::FakeStorage;

use crate::harness::*;

/// Three segments with one record each and an empty current one.
fn three_segments(storage: &FakeStorage) -> (mohaa_spool::Spool, [u64; 3]) {
    let spool = open_rotated(storage);
    let mut outcomes = Outcomes::new();
    let seqs = [b"a", b"b", b"c"].map(|payload| {
        let seq = outcomes.append(&spool, *payload);
        outcomes.seal(&spool, seq, seq);
        spool.rotate(format!("after {seq}").into_bytes()).unwrap();
        seq
    });
    outcomes.all_succeed();
    settle(&spool);
    assert_eq!(spool.stats().segments, 4);
    (spool, seqs)
}

#[test]
fn segments_go_oldest_first_once_all_of_them_is_stored() {
    let storage = FakeStorage::new();
    let (spool, [a, b, c]) = three_segments(&storage);
    spool.stored(b, b);
    settle(&spool);
    assert_eq!(spool.stats().segments, 4);
    spool.stored(a, a);
    settle(&spool);
    assert_eq!(spool.stats().segments, 2);
    assert!(matches!(spool.reader().read(a, a), Err(ReadError::NotOnDisk { .. })));
    assert_eq!(spool.reader().read(c, c).unwrap().len(), 1);
    spool.stored(c, c);
    settle(&spool);
    assert_eq!(segment_paths(&storage).len(), 1);
    assert_eq!(spool.stats().oldest_record_age, None);
}

#[test]
fn a_range_stored_across_segments_frees_them_all_and_the_state_survives() {
    let storage = FakeStorage::new();
    let (spool, [a, _, c]) = three_segments(&storage);
    spool.stored(a, c);
    let next_seq = spool.next_seq();
    spool.close(LONG).unwrap();
    assert_eq!(segment_paths(&storage).len(), 1);

    let (spool, recovered) = open(options(&storage));
    assert_eq!(recovered.newest_header, Some(format!("after {c}").into_bytes()));
    assert!(payloads(recovered.records).is_empty());
    assert_eq!(recovered.unstored, []);
    assert_eq!(recovered.seals, []);
    assert_eq!(recovered.damage, []);
    assert_eq!(spool.next_seq(), next_seq);
}

#[test]
fn the_current_segment_waits_for_rotation() {
    let storage = FakeStorage::new();
    let spool = open_rotated(&storage);
    let mut outcomes = Outcomes::new();
    let seq = outcomes.append(&spool, "x");
    outcomes.all_succeed();
    spool.stored(seq, seq);
    settle(&spool);
    assert_eq!(spool.reader().read(seq, seq).unwrap().len(), 1);
    spool.rotate(vec![]).unwrap();
    settle(&spool);
    assert_eq!(segment_paths(&storage).len(), 1);
}

#[test]
fn retained_records_stay_although_they_are_stored() {
    let storage = FakeStorage::new();
    let (spool, [a, b, c]) = three_segments(&storage);
    spool.retain_from(Some(b));
    spool.stored(a, c);
    settle(&spool);
    assert_eq!(spool.stats().segments, 3);
    assert_eq!(spool.reader().read(b, c).unwrap().len(), 2);
    spool.retain_from(Some(c));
    settle(&spool);
    assert_eq!(spool.stats().segments, 2);
    spool.retain_from(None);
    settle(&spool);
    assert_eq!(spool.stats().segments, 1);
}

#[test]
fn a_removal_that_fails_is_tried_again() {
    let storage = FakeStorage::new();
    let (spool, [a, b, c]) = three_segments(&storage);
    storage.fail_removals(ErrorKind::PermissionDenied);
    spool.stored(a, b);
    settle(&spool);
    assert_eq!(spool.stats().segments, 4);
    assert_eq!(spool.stats().failed_deletions, 1);
    storage.heal();
    spool.stored(c, c);
    settle(&spool);
    assert_eq!(spool.stats().segments, 1);
}

#[test]
fn a_long_checkpoint_is_compacted_and_remembers() {
    let storage = FakeStorage::new();
    let spool = open_rotated(&storage);
    let mut outcomes = Outcomes::new();
    let seqs: Vec<u64> = (0..10_000).map(|_| outcomes.append(&spool, "x")).collect();
    outcomes.all_succeed();
    for &seq in &seqs[1..] {
        spool.stored(seq, seq);
        if seq % 500 == 0 {
            settle(&spool);
        }
    }
    settle(&spool);
    let storage = storage.kill();
    drop(spool);
    let mut bytes = 0;
    storage.corrupt(&path("checkpoint"), |content| bytes = content.len());
    assert!((20..5000 * 20).contains(&bytes), "{bytes}");
    let (_spool, recovered) = open(options(&storage));
    let unstored: Vec<_> = recovered.unstored.iter().map(|range| (range.first, range.last)).collect();
    assert_eq!(unstored, [(seqs[0], seqs[0])]);
}

#[test]
fn a_deleted_segment_does_not_come_back_with_the_power() {
    let storage = FakeStorage::new();
    let (spool, [a, b, c]) = three_segments(&storage);
    spool.stored(a, b);
    settle(&spool);
    let storage = storage.lose_power(0);
    drop(spool);
    assert_eq!(segment_paths(&storage).len(), 2);
    let (_spool, recovered) = open(options(&storage));
    assert_eq!(collect(recovered.records)[0].seq, c);
    assert_eq!(recovered.damage, []);
}

#[test]
fn what_a_start_knew_to_be_stored_a_later_power_loss_does_not_unlearn() {
    let storage = FakeStorage::new();
    let spool = open_rotated(&storage);
    let mut outcomes = Outcomes::new();
    let seqs = ["a", "b", "c"].map(|payload| outcomes.append(&spool, payload));
    outcomes.all_succeed();
    for seq in &seqs[..2] {
        spool.stored(*seq, *seq);
        settle(&spool);
    }
    let storage = storage.kill();
    drop(spool);
    let (spool, recovered) = open(options(&storage));
    let told = recovered.unstored;
    assert_eq!(told, [mohaa_spool::SeqRange::new(seqs[2], seqs[2])]);
    let storage = storage.lose_power(0);
    drop(spool);
    let (_spool, recovered) = open(options(&storage));
    assert_eq!(recovered.unstored, told);
}
