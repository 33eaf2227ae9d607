use std::io::ErrorKind;
use std::sync::mpsc::channel;

use mohaa_spool::testing::FakeStorage;
use mohaa_spool::{AppendError, CloseError, Fsync, SpoolOptions};

use crate::harness::*;

#[test]
fn a_full_disk_fails_what_did_not_fit_and_nothing_before_or_after() {
    let storage = FakeStorage::new();
    let spool = open_rotated(&storage);
    let mut outcomes = Outcomes::new();
    outcomes.append(&spool, "before");
    outcomes.all_succeed();

    storage.stall();
    outcomes.append(&spool, "held");
    storage.wait_until_stalled();
    for _ in 0..10 {
        outcomes.append(&spool, vec![b'x'; 100]);
    }
    // "held" and three records of 136 bytes fit whole, the fourth in part.
    storage.fail_writes_after(40 + 3 * 136 + 50, ErrorKind::StorageFull);
    storage.release();
    let results = outcomes.all();
    assert!(results[..4].iter().all(|(_, result)| result.is_ok()));
    for (_, result) in &results[4..] {
        assert!(matches!(result, Err(AppendError::Write(fault)) if fault.kind() == ErrorKind::StorageFull));
    }
    assert_eq!(spool.poisoned(), None);
    storage.heal();
    let last = outcomes.append(&spool, "after");
    outcomes.all_succeed();
    assert_eq!(spool.reader().read(1, last).unwrap().len(), 6);
    assert_eq!(spool.stats().failed_writes, 7);

    let next_seq = spool.next_seq();
    let storage = storage.kill();
    drop(spool);
    let (spool, recovered) = open(options(&storage));
    let read = payloads(recovered.records);
    assert_eq!(read.first().unwrap(), b"before");
    assert_eq!(read.last().unwrap(), b"after");
    assert_eq!(read.len(), 6);
    assert_eq!((recovered.damage, recovered.torn_tail), (vec![], None));
    assert!(spool.next_seq() >= next_seq);
}

#[test]
fn numbers_of_failed_appends_are_not_given_again() {
    let storage = FakeStorage::new();
    let spool = open_rotated(&storage);
    let mut outcomes = Outcomes::new();
    outcomes.append(&spool, "kept");
    outcomes.all_succeed();
    storage.fail_writes_after(0, ErrorKind::StorageFull);
    let failed = outcomes.append(&spool, "failed");
    assert!(outcomes.all()[0].1.is_err());
    storage.heal();
    let storage = storage.kill();
    drop(spool);
    let (spool, _) = open(options(&storage));
    assert!(spool.next_seq() > failed);
}

#[test]
fn a_failed_sync_poisons() {
    let storage = FakeStorage::new();
    let spool = open_rotated(&storage);
    let mut outcomes = Outcomes::new();
    outcomes.append(&spool, "fine");
    outcomes.all_succeed();
    storage.fail_syncs(ErrorKind::Other);
    outcomes.append(&spool, "unknown");
    assert!(matches!(outcomes.all()[0].1, Err(AppendError::Poisoned { .. })));
    storage.heal();
    outcomes.append(&spool, "refused");
    assert!(matches!(outcomes.all()[0].1, Err(AppendError::Poisoned { .. })));
    let reason = spool.reader().poisoned().unwrap();
    assert!(reason.contains("could not sync"), "{reason}");
    assert!(matches!(spool.close(LONG), Err(CloseError::Poisoned { .. })));

    let (_spool, recovered) = open(options(&storage));
    assert_eq!(payloads(recovered.records)[0], b"fine");
}

#[test]
fn a_failed_interval_sync_poisons_and_fails_the_seal_that_waited() {
    let storage = FakeStorage::new();
    let (spool, _) = open(SpoolOptions {
        fsync: Fsync::Interval(std::time::Duration::from_millis(5)),
        ..options(&storage)
    });
    spool.rotate(vec![]).unwrap();
    let mut outcomes = Outcomes::new();
    let seq = outcomes.append(&spool, "x");
    outcomes.seal(&spool, seq, seq);
    outcomes.all_succeed();
    storage.fail_syncs(ErrorKind::Other);
    outcomes.append(&spool, "answered after the write");
    outcomes.seal(&spool, seq, seq);
    let results = outcomes.all();
    assert!(results[0].1.is_ok());
    assert!(matches!(results[1].1, Err(AppendError::Poisoned { .. })));
}

#[test]
fn a_failed_write_that_cannot_be_undone_poisons() {
    let storage = FakeStorage::new();
    let spool = open_rotated(&storage);
    let mut outcomes = Outcomes::new();
    outcomes.append(&spool, "fine");
    outcomes.all_succeed();
    storage.fail_writes_after(20, ErrorKind::Other);
    storage.fail_truncates(ErrorKind::Other);
    outcomes.append(&spool, "torn");
    assert!(matches!(outcomes.all()[0].1, Err(AppendError::Poisoned { .. })));
    storage.heal();
    outcomes.append(&spool, "refused");
    assert!(matches!(outcomes.all()[0].1, Err(AppendError::Poisoned { .. })));
    assert!(spool.poisoned().is_some());
    drop(spool);

    let (_spool, recovered) = open(options(&storage));
    assert_eq!(payloads(recovered.records), [b"fine"]);
    assert_eq!(recovered.torn_tail.unwrap().bytes, 20);
    assert_eq!(recovered.damage, []);
}

#[test]
fn a_failed_rotation_goes_on_in_the_old_segment() {
    let storage = FakeStorage::new();
    let spool = open_rotated(&storage);
    let mut outcomes = Outcomes::new();
    outcomes.append(&spool, "a");
    outcomes.all_succeed();
    storage.fail_writes_after(5, ErrorKind::StorageFull);
    spool.rotate(b"lost".to_vec()).unwrap();
    settle(&spool);
    assert_eq!(spool.stats().failed_rotations, 1);
    storage.heal();
    outcomes.append(&spool, "b");
    outcomes.all_succeed();
    let storage = storage.kill();
    drop(spool);
    let (_spool, recovered) = open(options(&storage));
    assert_eq!(recovered.newest_header, Some(b"state".to_vec()));
    assert_eq!(payloads(recovered.after_newest_header), [b"a", b"b"]);
}

#[test]
fn a_spool_opens_and_drains_on_a_disk_without_a_free_byte() {
    let storage = FakeStorage::new();
    let spool = open_rotated(&storage);
    let mut outcomes = Outcomes::new();
    let seq = outcomes.append(&spool, "a");
    spool.rotate(b"newest".to_vec()).unwrap();
    outcomes.append(&spool, "b");
    outcomes.all_succeed();
    let storage = storage.kill();
    drop(spool);

    storage.fail_writes_after(0, ErrorKind::StorageFull);
    let (spool, recovered) = open(options(&storage));
    assert_eq!(payloads(recovered.records), [b"a", b"b"]);
    spool.stored(seq, seq);
    settle(&spool);
    assert_eq!(spool.stats().segments, 1);
    assert_eq!(spool.stats().failed_checkpoints, 1);
    storage.heal();
    spool.rotate(vec![]).unwrap();
    outcomes.append(&spool, "c");
    outcomes.all_succeed();
}

#[test]
fn without_reserved_numbers_nothing_is_appended() {
    let storage = FakeStorage::new();
    open_rotated(&storage).close(LONG).unwrap();
    // Of what a start reserves no byte fits; the segment's header then does.
    storage.fail_writes_after(0, ErrorKind::StorageFull);
    let (spool, _) = open(options(&storage));
    storage.heal();
    spool.rotate(vec![]).unwrap();
    settle(&spool);
    storage.fail_writes_after(0, ErrorKind::StorageFull);
    let mut outcomes = Outcomes::new();
    outcomes.append(&spool, "x");
    assert!(matches!(outcomes.all()[0].1, Err(AppendError::Reservation(_))));
    storage.heal();
    outcomes.append(&spool, "y");
    outcomes.all_succeed();
}

#[test]
fn under_always_answers_keep_their_order_through_failures() {
    let storage = FakeStorage::new();
    let spool = open_rotated(&storage);
    let mut outcomes = Outcomes::new();
    outcomes.append(&spool, "first");
    outcomes.all_succeed();
    storage.stall();
    outcomes.append(&spool, "held");
    storage.wait_until_stalled();
    let (sender, receiver) = channel();
    for n in 0..3 {
        let sender = sender.clone();
        let bytes = if n == 1 { mohaa_spool::MAX_PAYLOAD_BYTES + 1 } else { 1 };
        spool.append(vec![0; bytes], 1, move |result| sender.send((n, result.is_ok())).unwrap());
    }
    storage.release();
    let answers: Vec<_> = (0..3).map(|_| receiver.recv_timeout(LONG).unwrap()).collect();
    assert_eq!(answers, [(0, true), (1, false), (2, true)]);
}
