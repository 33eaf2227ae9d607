use std::sync::mpsc::channel;
use std::time::Duration;

use mohaa_spool::testing::FakeStorage;
use mohaa_spool::{AppendError, Fsync, MAX_PAYLOAD_BYTES, ReadError, Spool, SpoolOptions};

use crate::harness::*;

#[test]
fn appends_are_answered_in_order_and_read_back() {
    let spool = open_rotated(&FakeStorage::new());
    let mut outcomes = Outcomes::new();
    let seqs: Vec<u64> = (0..3000_u32).map(|n| outcomes.append(&spool, n.to_le_bytes().repeat(30))).collect();
    let answered: Vec<u64> = outcomes
        .all()
        .into_iter()
        .map(|(seq, result)| {
            result.unwrap();
            seq
        })
        .collect();
    assert_eq!(answered, seqs);

    let reader = spool.reader();
    let (first, last) = (seqs[1234], seqs[2345]);
    let records = std::thread::spawn(move || reader.read(first, last)).join().unwrap().unwrap();
    assert_eq!(records.len(), 1112);
    for (record, n) in records.iter().zip(1234_u32..) {
        assert_eq!(record.seq, seqs[n as usize]);
        assert_eq!(record.events, 1);
        assert_eq!(record.payload, n.to_le_bytes().repeat(30));
    }
}

#[test]
fn a_range_may_span_segments() {
    let spool = open_rotated(&FakeStorage::new());
    let mut outcomes = Outcomes::new();
    let first = outcomes.append(&spool, "a");
    spool.rotate(vec![]).unwrap();
    spool.rotate(vec![]).unwrap();
    outcomes.append(&spool, "b");
    spool.rotate(vec![]).unwrap();
    let last = outcomes.append(&spool, "c");
    outcomes.all_succeed();
    let read = spool.reader().read(first, last).unwrap();
    let read: Vec<_> = read.into_iter().map(|record| record.payload).collect();
    assert_eq!(read, [b"a", b"b", b"c"]);
}

#[test]
fn what_is_not_written_yet_is_not_read() {
    let storage = FakeStorage::new();
    let spool = open_rotated(&storage);
    let mut outcomes = Outcomes::new();
    outcomes.append(&spool, "first");
    outcomes.all_succeed();
    storage.stall();
    let seq = outcomes.append(&spool, "second");
    storage.wait_until_stalled();
    assert!(matches!(spool.reader().read(seq, seq), Err(ReadError::NotWritten { .. })));
    assert_eq!(spool.stats().queued_appends, 1);
    storage.release();
    outcomes.all_succeed();
    assert_eq!(spool.reader().read(seq, seq).unwrap().len(), 1);
    assert_eq!(spool.stats().queued_appends, 0);
}

#[test]
fn everything_queued_behind_a_slow_write_becomes_one_write() {
    let storage = FakeStorage::new();
    let spool = open_rotated(&storage);
    let mut outcomes = Outcomes::new();
    outcomes.append(&spool, "first");
    outcomes.all_succeed();
    storage.stall();
    outcomes.append(&spool, "second");
    storage.wait_until_stalled();
    for _ in 0..100 {
        outcomes.append(&spool, "queued");
    }
    let (writes, syncs) = (storage.writes(), storage.syncs());
    storage.release();
    outcomes.all_succeed();
    assert_eq!(storage.writes() - writes, 2);
    assert_eq!(storage.syncs() - syncs, 2);
}

#[test]
fn nothing_is_taken_before_the_first_rotation() {
    let (spool, _) = open(options(&FakeStorage::new()));
    assert!(spool.wants_rotation());
    let mut outcomes = Outcomes::new();
    outcomes.append(&spool, "early");
    assert!(matches!(outcomes.all()[..], [(1, Err(AppendError::NoSegment))]));
    spool.rotate(vec![]).unwrap();
    assert!(!spool.wants_rotation());
    outcomes.append(&spool, "on time");
    outcomes.all_succeed();
}

#[test]
fn impossible_seals_and_records_are_refused_and_nothing_else_is() {
    let spool = open_rotated(&FakeStorage::new());
    let mut outcomes = Outcomes::new();
    outcomes.append(&spool, "fine");
    outcomes.append(&spool, vec![0; MAX_PAYLOAD_BYTES + 1]);
    outcomes.seal(&spool, 2, 1);
    outcomes.seal(&spool, 1, 3);
    outcomes.append(&spool, "fine too");
    let results: Vec<_> = outcomes.all().into_iter().map(|(_, result)| result).collect();
    assert!(matches!(
        results[..],
        [
            Ok(()),
            Err(AppendError::TooLarge { .. }),
            Err(AppendError::InvalidSeal { .. }),
            Err(AppendError::InvalidSeal { next_seq: 3, .. }),
            Ok(())
        ]
    ));
    assert_eq!(spool.reader().read(1, 3).unwrap().len(), 2);
    assert!(matches!(spool.rotate(vec![0; MAX_PAYLOAD_BYTES + 1]), Err(AppendError::TooLarge { .. })));
}

#[test]
fn rotation_is_wanted_by_size_and_by_age_but_not_of_an_empty_segment() {
    let sized = SpoolOptions { segment_bytes: 1000, ..options(&FakeStorage::new()) };
    let (spool, _) = open(sized);
    spool.rotate(vec![0; 5000]).unwrap();
    let mut outcomes = Outcomes::new();
    outcomes.append(&spool, vec![0; 900]);
    assert!(!spool.wants_rotation());
    outcomes.append(&spool, vec![0; 100]);
    assert!(spool.wants_rotation());
    spool.rotate(vec![]).unwrap();
    assert!(!spool.wants_rotation());

    let aged = SpoolOptions { segment_max_age: Duration::ZERO, ..options(&FakeStorage::new()) };
    let (spool, _) = open(aged);
    spool.rotate(vec![]).unwrap();
    settle(&spool);
    assert!(!spool.wants_rotation());
    outcomes.append(&spool, "x");
    assert!(spool.wants_rotation());
}

#[test]
fn an_interval_answers_appends_at_once_and_seals_after_the_sync() {
    let storage = FakeStorage::new();
    let hourly = SpoolOptions { fsync: Fsync::Interval(LONG * 180), ..options(&storage) };
    let (spool, _) = open(hourly);
    spool.rotate(vec![]).unwrap();
    let mut outcomes = Outcomes::new();
    let seq = outcomes.append(&spool, "x");
    outcomes.all_succeed();
    let syncs = storage.syncs();
    let (sender, receiver) = channel();
    spool.seal(seq, seq, move |result| sender.send(result).unwrap());
    outcomes.append(&spool, "y");
    outcomes.all_succeed();
    assert!(receiver.try_recv().is_err(), "the seal was answered before it was synced");
    assert_eq!(storage.syncs(), syncs);
    spool.rotate(vec![]).unwrap();
    receiver.recv_timeout(LONG).unwrap().unwrap();
    assert!(storage.syncs() > syncs);
}

#[test]
fn an_interval_syncs_by_itself() {
    let storage = FakeStorage::new();
    let (spool, _) =
        open(SpoolOptions { fsync: Fsync::Interval(Duration::from_millis(5)), ..options(&storage) });
    spool.rotate(vec![]).unwrap();
    let mut outcomes = Outcomes::new();
    let seq = outcomes.append(&spool, "x");
    outcomes.seal(&spool, seq, seq);
    outcomes.all_succeed();
}

#[test]
fn a_panicking_completion_stops_nobody() {
    let spool = open_rotated(&FakeStorage::new());
    spool.append(b"x".to_vec(), 1, |_| panic!("the caller's own bug"));
    let mut outcomes = Outcomes::new();
    outcomes.append(&spool, "y");
    outcomes.all_succeed();
    assert_eq!(spool.stats().panicked_completions, 1);
}

#[test]
fn a_second_opener_is_told_so_on_a_real_disk() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = Spool::open(SpoolOptions::new(dir.path())).unwrap();
    let Err(error) = Spool::open(SpoolOptions::new(dir.path())) else { panic!("opened twice") };
    assert!(error.to_string().contains("is in use by another process"), "{error}");
    spool.close(LONG).unwrap();
    Spool::open(SpoolOptions::new(dir.path())).unwrap();
}

#[test]
fn closing_answers_everything_and_a_deadline_is_kept() {
    let storage = FakeStorage::new();
    let spool = open_rotated(&storage);
    let mut outcomes = Outcomes::new();
    for _ in 0..50 {
        outcomes.append(&spool, "x");
    }
    spool.close(LONG).unwrap();
    outcomes.all_succeed();

    let spool = open_rotated(&storage);
    settle(&spool);
    storage.stall();
    outcomes.append(&spool, "y");
    storage.wait_until_stalled();
    assert!(spool.close(Duration::from_millis(1)).is_err());
    storage.release();
    outcomes.all_succeed();
}
