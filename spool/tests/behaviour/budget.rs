use mohaa_spool::SpoolOptions;
use mohaa_spool::testing::FakeStorage;

use crate::harness::*;

const MAX: u64 = 100_000;

#[test]
fn a_full_spool_refuses_until_it_is_below_the_low_watermark() {
    let (spool, _) = open(SpoolOptions { max_bytes: MAX, ..options(&FakeStorage::new()) });
    let mut outcomes = Outcomes::new();
    let mut seqs = Vec::new();
    // Nineteen segments of 5 kB: deleting one moves the level by a twentieth.
    for _ in 0..19 {
        spool.rotate(vec![]).unwrap();
        seqs.push(outcomes.append(&spool, vec![0; 5000]));
    }
    outcomes.all_succeed();
    let used = spool.stats().bytes_on_disk;
    assert!((95_000..97_000).contains(&used), "{used}");

    assert_eq!(spool.admit(MAX - used), Ok(()));
    let full = spool.admit(MAX - used + 1).unwrap_err();
    assert_eq!((full.used, full.max), (used, MAX));
    assert!(!full.retry_after.is_zero());
    assert!(spool.stats().full);

    spool.stored(seqs[0], seqs[0]);
    settle(&spool);
    assert!(spool.stats().bytes_on_disk > MAX / 10 * 9);
    assert!(spool.admit(1).is_err(), "admitted between the watermarks");
    spool.stored(seqs[1], seqs[1]);
    settle(&spool);
    assert!(spool.stats().bytes_on_disk < MAX / 10 * 9);
    assert_eq!(spool.reader().admit(1), Ok(()));
    assert!(!spool.stats().full);
}

#[test]
fn what_is_queued_counts() {
    let storage = FakeStorage::new();
    let (spool, _) = open(SpoolOptions { max_bytes: MAX, ..options(&storage) });
    spool.rotate(vec![]).unwrap();
    let mut outcomes = Outcomes::new();
    outcomes.append(&spool, vec![0; 10]);
    outcomes.all_succeed();
    storage.stall();
    outcomes.append(&spool, vec![0; 60_000]);
    storage.wait_until_stalled();
    assert!(spool.admit(50_000).is_err());
    assert!(spool.stats().bytes_queued > 60_000);
    storage.release();
    outcomes.all_succeed();
    assert_eq!(spool.stats().bytes_queued, 0);
    assert!(spool.admit(50_000).is_err());
}

#[test]
fn a_full_spool_asks_for_rotation_so_that_it_can_empty() {
    let (spool, _) = open(SpoolOptions { max_bytes: MAX, ..options(&FakeStorage::new()) });
    spool.rotate(vec![]).unwrap();
    let mut outcomes = Outcomes::new();
    let seq = outcomes.append(&spool, vec![0; 99_000]);
    outcomes.all_succeed();
    assert!(spool.admit(5_000).is_err());
    spool.stored(seq, seq);
    settle(&spool);
    assert!(spool.admit(5_000).is_err());
    assert!(spool.wants_rotation());
    spool.rotate(vec![]).unwrap();
    settle(&spool);
    assert!(!spool.wants_rotation());
    assert_eq!(spool.admit(5_000), Ok(()));
}

#[test]
fn a_restart_finds_the_same_level() {
    let storage = FakeStorage::new();
    let small = || SpoolOptions { max_bytes: MAX, ..options(&storage) };
    let (spool, _) = open(small());
    spool.rotate(vec![]).unwrap();
    let mut outcomes = Outcomes::new();
    outcomes.append(&spool, vec![0; 95_000]);
    outcomes.all_succeed();
    let before = spool.stats();
    spool.close(LONG).unwrap();
    let (spool, _) = open(small());
    assert_eq!(spool.stats().bytes_on_disk, before.bytes_on_disk);
    assert!(spool.stats().oldest_record_age.is_some());
    assert!(spool.admit(10_000).is_err());
}

#[test]
fn a_disk_that_is_almost_full_admits_nothing_until_it_has_room_again() {
    let storage = FakeStorage::new();
    let (spool, _) = open(options(&storage));
    spool.rotate(vec![]).unwrap();
    let mut outcomes = Outcomes::new();
    outcomes.append(&spool, vec![0; 5000]);
    outcomes.all_succeed();
    assert_eq!(spool.admit(1), Ok(()));
    let becomes = |available: u64, admits: bool| {
        storage.report_space(available, 1 << 40);
        while spool.admit(1).is_ok() != admits {
            // The disk is asked a few times a second.
            std::thread::yield_now();
        }
        assert_eq!(spool.stats().disk_is_low, !admits);
    };
    becomes((64 << 20) - 1, false);
    assert!(spool.wants_rotation(), "what is stored could not be deleted else");
    becomes(100 << 20, true);
    // A small disk spares a sixteenth.
    storage.report_space(1 << 20, 15 << 20);
    std::thread::sleep(std::time::Duration::from_millis(150));
    assert_eq!(spool.admit(1), Ok(()));
}
