use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use mohaa_spool::testing::FakeStorage;
use mohaa_spool::{AppendError, Fsync, Record, Records, Recovered, Spool, SpoolOptions};

pub const LONG: Duration = Duration::from_secs(20);
pub const DIR: &str = "/spool";

pub fn options(storage: &FakeStorage) -> SpoolOptions {
    SpoolOptions {
        fsync: Fsync::Always,
        max_bytes: 1 << 20,
        storage: Arc::new(storage.clone()),
        ..SpoolOptions::new(DIR)
    }
}

pub fn open(options: SpoolOptions) -> (Spool, Recovered) {
    Spool::open(options).unwrap()
}

pub fn open_rotated(storage: &FakeStorage) -> Spool {
    let (spool, _) = open(options(storage));
    spool.rotate(b"state".to_vec()).unwrap();
    spool
}

/// Gathers the outcomes of appends and seals in the order in which they come.
pub struct Outcomes {
    sender: Sender<(u64, Result<(), AppendError>)>,
    receiver: Receiver<(u64, Result<(), AppendError>)>,
    pub expected: usize,
}

impl Outcomes {
    pub fn new() -> Self {
        let (sender, receiver) = channel();
        Self { sender, receiver, expected: 0 }
    }

    pub fn append(&mut self, spool: &Spool, payload: impl Into<Vec<u8>>) -> u64 {
        let sender = self.sender.clone();
        self.expected += 1;
        let seq = spool.next_seq();
        let appended = spool.append(payload.into(), 1, move |result| {
            let _ = sender.send((seq, result));
        });
        assert_eq!(appended, seq);
        seq
    }

    pub fn seal(&mut self, spool: &Spool, first: u64, last: u64) {
        let sender = self.sender.clone();
        self.expected += 1;
        spool.seal(first, last, move |result| {
            let _ = sender.send((last, result));
        });
    }

    /// Everything asked for so far, answered.
    pub fn all(&mut self) -> Vec<(u64, Result<(), AppendError>)> {
        let expected = std::mem::take(&mut self.expected);
        (0..expected).map(|_| self.receiver.recv_timeout(LONG).unwrap()).collect()
    }

    pub fn all_succeed(&mut self) {
        for (seq, result) in self.all() {
            result.unwrap_or_else(|error| panic!("{seq} failed: {error}"));
        }
    }
}

/// Returns when the writer has done everything asked of it before: what it answers comes in order, and a
/// seal of nothing leaves no trace.
pub fn settle(spool: &Spool) {
    let (sender, receiver) = channel();
    // Two: the first may be answered in the group whose deletions are still to come.
    for _ in 0..2 {
        let sender = sender.clone();
        spool.seal(1, 0, move |_| sender.send(()).unwrap());
        receiver.recv_timeout(LONG).unwrap();
    }
}

pub fn collect(records: Records) -> Vec<Record> {
    records.collect::<Result<_, _>>().unwrap()
}

pub fn payloads(records: Records) -> Vec<Vec<u8>> {
    collect(records).into_iter().map(|record| record.payload).collect()
}

pub fn segment_paths(storage: &FakeStorage) -> Vec<PathBuf> {
    let is_segment = |path: &PathBuf| path.to_string_lossy().contains("segment-");
    storage.files().into_iter().filter(is_segment).collect()
}

pub fn path(name: &str) -> PathBuf {
    Path::new(DIR).join(name)
}
