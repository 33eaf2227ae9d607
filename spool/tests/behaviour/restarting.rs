use mohaa_spool::testing::FakeStorage;
use mohaa_spool::{SeqRange, Spool, SpoolOptions};

use crate::harness::*;

#[test]
fn a_restart_returns_boundaries_records_and_state_where_they_were() {
    let storage = FakeStorage::new();
    let spool = open_rotated(&storage);
    let mut outcomes = Outcomes::new();
    for payload in ["a", "b", "c"] {
        outcomes.append(&spool, payload);
    }
    outcomes.seal(&spool, 1, 2);
    spool.rotate(b"after c".to_vec()).unwrap();
    outcomes.append(&spool, "d");
    outcomes.seal(&spool, 3, 4);
    outcomes.append(&spool, "e");
    outcomes.all_succeed();
    spool.stored(1, 2);
    settle(&spool);
    let (id, next_seq) = (spool.spool_id(), spool.next_seq());
    let storage = storage.kill();
    drop(spool);

    let (spool, recovered) = open(options(&storage));
    assert_eq!(spool.spool_id(), id);
    assert!(spool.next_seq() >= next_seq);
    assert_eq!(recovered.newest_header, Some(b"after c".to_vec()));
    assert_eq!(payloads(recovered.after_newest_header), [b"d", b"e"]);
    assert_eq!(payloads(recovered.records), [b"a", b"b", b"c", b"d", b"e"]);
    assert_eq!(recovered.seals, [SeqRange::new(3, 4)]);
    assert_eq!(recovered.unstored, [SeqRange::new(3, 5)]);
    assert_eq!((recovered.unstored_records, recovered.unstored_events), (3, 3));
    assert_eq!(recovered.damage, []);
}

#[test]
fn a_clean_stop_goes_on_with_the_next_number_and_a_kill_beyond_the_reserved_ones() {
    let storage = FakeStorage::new();
    let spool = open_rotated(&storage);
    let mut outcomes = Outcomes::new();
    outcomes.append(&spool, "x");
    outcomes.all_succeed();
    spool.close(LONG).unwrap();
    let spool = open_rotated(&storage);
    assert_eq!(spool.next_seq(), 2);
    outcomes.append(&spool, "y");
    outcomes.all_succeed();
    let storage = storage.lose_power(0);
    drop(spool);
    let spool = open_rotated(&storage);
    assert!(spool.next_seq() > 1 << 20);
    let seq = outcomes.append(&spool, "z");
    outcomes.all_succeed();
    assert_eq!(spool.reader().read(1, seq).unwrap().len(), 3);
}

#[test]
fn an_iterator_that_meets_a_deleted_segment_says_so() {
    let storage = FakeStorage::new();
    let spool = open_rotated(&storage);
    let mut outcomes = Outcomes::new();
    let seq = outcomes.append(&spool, "x");
    outcomes.all_succeed();
    spool.stored(seq, seq);
    spool.close(LONG).unwrap();
    let (spool, mut recovered) = open(options(&storage));
    spool.rotate(vec![]).unwrap();
    settle(&spool);
    assert!(recovered.records.next().unwrap().is_err());
    assert!(recovered.records.next().is_none());
}

#[test]
fn a_real_directory_holds_what_the_fake_one_does() {
    let dir = tempfile::tempdir().unwrap();
    let options = || SpoolOptions::new(dir.path().join("made/on/demand"));
    let (spool, recovered) = Spool::open(options()).unwrap();
    assert_eq!(recovered.newest_header, None);
    spool.rotate(b"one".to_vec()).unwrap();
    let mut outcomes = Outcomes::new();
    for n in 0..2000_u32 {
        let seq = outcomes.append(&spool, vec![n as u8; 2000]);
        outcomes.seal(&spool, seq, seq);
        if n == 1000 {
            spool.rotate(b"two".to_vec()).unwrap();
        }
    }
    outcomes.all_succeed();
    spool.stored(1, 1500);
    spool.close(LONG).unwrap();

    let (spool, recovered) = Spool::open(options()).unwrap();
    assert_eq!(recovered.newest_header, Some(b"two".to_vec()));
    assert_eq!(recovered.seals.len(), 500);
    assert_eq!(collect(recovered.records).len(), 999);
    assert_eq!(recovered.unstored, [SeqRange::new(1501, 2000)]);
    let read = spool.reader().read(1501, 1503).unwrap();
    assert_eq!(read[0].payload, vec![1500_u32 as u8; 2000]);
    assert!(spool.stats().oldest_record_age.is_some());
}
