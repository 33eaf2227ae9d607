//! Random histories with crashes, checked against what each policy promises.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use mohaa_spool::testing::FakeStorage;
use mohaa_spool::{Fsync, Recovered, SeqRange, Spool, SpoolOptions};
use proptest::prelude::*;

use crate::harness::*;

#[derive(Debug, Clone)]
enum Step {
    Append {
        bytes: usize,
    },
    /// Wait for every answer, then seal so much of what is not sealed yet.
    Seal {
        records: usize,
    },
    Store,
    Rotate,
    /// Wait for every answer and read the outstanding batches back.
    Read,
    Close,
    Kill,
    DieInNextWrite {
        bytes: usize,
    },
    LosePower {
        kept_percent: u8,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..400_usize).prop_map(|bytes| Step::Append { bytes }),
        4 => (1..8_usize).prop_map(|records| Step::Seal { records }),
        3 => Just(Step::Store),
        2 => Just(Step::Rotate),
        1 => Just(Step::Read),
        1 => Just(Step::Close),
        1 => Just(Step::Kill),
        1 => (0..700_usize).prop_map(|bytes| Step::DieInNextWrite { bytes }),
        1 => (0..=100_u8).prop_map(|kept_percent| Step::LosePower { kept_percent }),
    ]
}

fn policy() -> impl Strategy<Value = Fsync> {
    prop_oneof![Just(Fsync::Always), Just(Fsync::Interval(Duration::from_millis(1))), Just(Fsync::Never)]
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Ending {
    Clean,
    Killed,
    PowerLost,
}

enum Answer {
    Append(u64, bool),
    Seal(SeqRange, bool),
}

struct Model {
    fsync: Fsync,
    storage: FakeStorage,
    spool: Option<Spool>,
    sender: Sender<Answer>,
    receiver: Receiver<Answer>,
    unanswered: usize,
    /// All that may be on disk.
    appended: BTreeMap<u64, Vec<u8>>,
    acknowledged: BTreeSet<u64>,
    highest_seq: u64,
    /// Logged, in order, not known to be stored.
    seals: Vec<SeqRange>,
    acknowledged_seals: BTreeSet<SeqRange>,
    sealed_through: u64,
    stored: BTreeSet<u64>,
    next_payload: u32,
    has_holes: bool,
}

impl Model {
    fn new(fsync: Fsync) -> Self {
        let (sender, receiver) = channel();
        let mut model = Self {
            fsync,
            storage: FakeStorage::new(),
            spool: None,
            sender,
            receiver,
            unanswered: 0,
            appended: BTreeMap::new(),
            acknowledged: BTreeSet::new(),
            highest_seq: 0,
            seals: Vec::new(),
            acknowledged_seals: BTreeSet::new(),
            sealed_through: 0,
            stored: BTreeSet::new(),
            next_payload: 0,
            has_holes: false,
        };
        model.reopen(Ending::Clean);
        model
    }

    fn spool(&self) -> &Spool {
        self.spool.as_ref().unwrap()
    }

    fn gather_answers(&mut self) {
        while self.unanswered > 0 {
            self.unanswered -= 1;
            match self.receiver.recv_timeout(LONG).unwrap() {
                Answer::Append(seq, true) => drop(self.acknowledged.insert(seq)),
                Answer::Seal(range, true) => drop(self.acknowledged_seals.insert(range)),
                Answer::Append(_, false) | Answer::Seal(_, false) => {}
            }
        }
    }

    fn append(&mut self, bytes: usize) {
        self.next_payload += 1;
        let mut payload = self.next_payload.to_le_bytes().to_vec();
        payload.resize(4 + bytes, self.next_payload as u8);
        let seq = self.spool().next_seq();
        assert!(seq > self.highest_seq, "{seq} is used twice");
        let sender = self.sender.clone();
        self.spool().append(payload.clone(), 7, move |result| {
            sender.send(Answer::Append(seq, result.is_ok())).unwrap();
        });
        self.unanswered += 1;
        self.appended.insert(seq, payload);
        self.highest_seq = seq;
    }

    fn seal(&mut self, records: usize) {
        self.gather_answers();
        let open: Vec<u64> =
            self.acknowledged.range(self.sealed_through + 1..).copied().take(records).collect();
        let (Some(&first), Some(&last)) = (open.first(), open.last()) else { return };
        let range = SeqRange::new(first, last);
        let sender = self.sender.clone();
        self.spool().seal(first, last, move |result| {
            sender.send(Answer::Seal(range, result.is_ok())).unwrap();
        });
        self.unanswered += 1;
        self.seals.push(range);
        self.sealed_through = last;
    }

    /// The oldest batch whose boundary is safe.
    fn store(&mut self) {
        self.gather_answers();
        let safe = self.seals.iter().position(|seal| self.acknowledged_seals.contains(seal));
        let Some(at) = safe else { return };
        let SeqRange { first, last } = self.seals.remove(at);
        self.spool().stored(first, last);
        self.stored.extend(self.appended.range(first..=last).map(|(&seq, _)| seq));
    }

    fn rotate(&mut self) {
        let state = self.spool().next_seq().to_le_bytes().to_vec();
        self.spool().rotate(state).unwrap();
    }

    fn read(&mut self) {
        self.gather_answers();
        for seal in &self.seals {
            if !self.acknowledged_seals.contains(seal) {
                continue;
            }
            let read = self.spool().reader().read(seal.first, seal.last).unwrap();
            let read: Vec<(u64, Vec<u8>)> =
                read.into_iter().map(|record| (record.seq, record.payload)).collect();
            let expected: Vec<(u64, Vec<u8>)> = self
                .appended
                .range(seal.first..=seal.last)
                .filter(|(seq, _)| self.acknowledged.contains(seq))
                .map(|(&seq, payload)| (seq, payload.clone()))
                .collect();
            assert_eq!(read, expected);
        }
    }

    fn end(&mut self, ending: Ending, next: Option<FakeStorage>) {
        let spool = self.spool.take().unwrap();
        match next {
            Some(next) => {
                drop(spool);
                self.storage = next;
            }
            None => spool.close(LONG).unwrap(),
        }
        self.gather_answers();
        self.reopen(ending);
    }

    fn reopen(&mut self, ending: Ending) {
        let (spool, recovered) =
            open(SpoolOptions { fsync: self.fsync, segment_bytes: 2000, ..options(&self.storage) });
        assert!(spool.next_seq() > self.highest_seq, "a number would be used twice");
        self.check(ending, recovered);
        self.spool = Some(spool);
        self.rotate();
    }

    fn check(&mut self, ending: Ending, recovered: Recovered) {
        let loss_allowed = ending == Ending::PowerLost && self.fsync != Fsync::Always;
        let holes_allowed = ending == Ending::PowerLost && self.fsync == Fsync::Never;
        // Told again at every start, as long as the segment exists.
        self.has_holes |= holes_allowed;
        assert!(self.has_holes || recovered.damage.is_empty(), "{:?}", recovered.damage);

        let records = collect(recovered.records);
        assert!(records.windows(2).all(|pair| pair[0].seq < pair[1].seq));
        let present: BTreeSet<u64> = records.iter().map(|record| record.seq).collect();
        for record in &records {
            assert_eq!(Some(&record.payload), self.appended.get(&record.seq), "{}", record.seq);
            assert_eq!(record.events, 7);
        }

        // What may be missing: deleted, because stored; or a tail that this ending may take.
        let highest = present.last().copied().unwrap_or(0);
        let safe_through = self.acknowledged_seals.iter().map(|seal| seal.last).max().unwrap_or(0);
        for &seq in self.appended.keys() {
            if present.contains(&seq) || self.stored.contains(&seq) {
                continue;
            }
            assert!(holes_allowed || seq > highest, "{seq} is lost, {highest} is not");
            if self.acknowledged.contains(&seq) {
                assert!(loss_allowed, "{seq} was acknowledged and is lost");
                assert!(holes_allowed || seq > safe_through, "{seq} was sealed safely and is lost");
            }
        }

        let unstored: BTreeSet<u64> =
            recovered.unstored.iter().flat_map(|range| range.first..=range.last).collect();
        assert!(unstored.is_subset(&present));
        assert!(present.difference(&self.stored).all(|seq| unstored.contains(seq)));
        assert_eq!(recovered.unstored_records, unstored.len() as u64);
        assert_eq!(recovered.unstored_events, 7 * unstored.len() as u64);
        if ending == Ending::Clean {
            assert!(unstored.is_disjoint(&self.stored));
            assert_eq!(recovered.torn_tail, None);
            assert_eq!(recovered.seals, self.seals);
        }

        let is_logged = |seal: &SeqRange| self.seals.contains(seal) || self.acknowledged_seals.contains(seal);
        assert!(recovered.seals.iter().all(is_logged));
        assert!(recovered.seals.windows(2).all(|pair| pair[0].last < pair[1].first));
        for seal in &self.seals {
            let is_safe = self.acknowledged_seals.contains(seal) && !holes_allowed;
            assert!(!is_safe || recovered.seals.contains(seal), "boundary {seal} is lost");
        }

        let state = recovered.newest_header.map(|state| u64::from_le_bytes(state.try_into().unwrap()));
        let after: BTreeSet<u64> =
            collect(recovered.after_newest_header).into_iter().map(|record| record.seq).collect();
        let expected: BTreeSet<u64> = present.range(state.unwrap_or(0)..).copied().collect();
        assert_eq!(after, expected);

        // What is lost is forgotten: it must not come back.
        self.appended.retain(|seq, _| present.contains(seq));
        self.acknowledged.clone_from(&present);
        self.stored.retain(|seq| present.contains(seq) && !unstored.contains(seq));
        self.sealed_through = recovered.seals.last().map_or(0, |seal| seal.last);
        let stored_through = self.stored.last().copied().unwrap_or(0);
        self.sealed_through = self.sealed_through.max(stored_through);
        self.acknowledged_seals = recovered.seals.iter().copied().collect();
        self.seals = recovered.seals;
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Append { bytes } => {
                if self.spool().wants_rotation() {
                    self.rotate();
                }
                self.append(bytes);
            }
            Step::Seal { records } => self.seal(records),
            Step::Store => self.store(),
            Step::Rotate => self.rotate(),
            Step::Read => self.read(),
            Step::Close => self.end(Ending::Clean, None),
            Step::Kill => {
                let next = self.storage.kill();
                self.end(Ending::Killed, Some(next));
            }
            Step::DieInNextWrite { bytes } => {
                self.storage.die_in_next_write(bytes);
                for _ in 0..3 {
                    self.append(100);
                }
                self.gather_answers();
                let next = self.storage.kill();
                self.end(Ending::Killed, Some(next));
            }
            Step::LosePower { kept_percent } => {
                let next = self.storage.lose_power(kept_percent);
                self.end(Ending::PowerLost, Some(next));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_what_was_acknowledged_is_there_once_and_in_order(
        fsync in policy(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut model = Model::new(fsync);
        for step in steps {
            model.step(step);
        }
        model.end(Ending::Clean, None);
    }
}
