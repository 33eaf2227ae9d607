//! A directory with anything in it: opening never panics, takes memory by what is there, gives back only records that
//! are whole on disk, and the spool that it opens keeps what is appended.
//!
//! An input is a list of files. Most are given the right magic and checksums, which no search would ever hit: what is
//! behind those is to be met.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use mohaa_spool::testing::FakeStorage;
use mohaa_spool::{Fsync, Record, Recovered, SeqRange, Spool, SpoolOptions, Storage};

use crate::memory::most_held;

const DIRECTORY: &str = "/spool";
const SPOOL_ID: [u8; 16] = *b"the spool's own.";
/// A buffer to read with, copies of what is read, indexes: several times the files, and never by what they claim.
const BYTES_HELD_PER_BYTE: usize = 64;
const BYTES_HELD_ANYHOW: usize = 4 << 20;
const MOST_FILES: usize = 8;
const CLOSE_DEADLINE: Duration = Duration::from_secs(20);

pub fn check(input: &[u8]) {
    let storage = FakeStorage::new();
    let files = write_files(&storage, input);
    let file_bytes: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
    let (opened, held) = most_held(|| open(&storage));
    let bound = BYTES_HELD_ANYHOW + BYTES_HELD_PER_BYTE * file_bytes;
    assert!(held <= bound, "opening {file_bytes} bytes takes {held}");
    let Ok((spool, recovered)) = opened else { return };
    let kept = check_recovered(&files, &spool, recovered);
    let appended = append_one(&spool);
    drop(spool);

    let (spool, recovered) = open(&storage.kill()).expect("what was open can be opened");
    let again: Vec<Record> =
        recovered.records.map(|record| record.expect("its record is readable")).collect();
    if let Some(seq) = appended {
        assert!(again.iter().any(|record| record.seq == seq && record.payload == b"new"), "{seq} is lost");
    }
    assert!(kept.iter().all(|record| again.contains(record)), "a record is gone that nobody called stored");
    drop(spool);
}

fn open(storage: &FakeStorage) -> Result<(Spool, Recovered), mohaa_spool::OpenError> {
    let storage = Arc::new(storage.clone());
    Spool::open(SpoolOptions { fsync: Fsync::Never, storage, ..SpoolOptions::new(DIRECTORY) })
}

/// Every record is on disk, whole and once, in order, and its number is not given again. Gives those that are not stored.
fn check_recovered(files: &[(String, Vec<u8>)], spool: &Spool, recovered: Recovered) -> Vec<Record> {
    let mut unstored_records = 0;
    let mut seen = HashSet::new();
    let is_unstored = |seq: u64| recovered.unstored.iter().any(|range: &SeqRange| range.contains(seq));
    let mut kept = Vec::new();
    let mut previous = None;
    for record in recovered.records {
        let record = record.expect("what recovery read can be read");
        assert!(is_on_disk(files, &record), "record {} was never written", record.seq);
        assert!(record.seq < spool.next_seq(), "{} would be given again", record.seq);
        assert!(seen.insert(record.seq), "{} comes twice", record.seq);
        assert!(previous.is_none_or(|previous| previous < record.seq), "{} is out of order", record.seq);
        previous = Some(record.seq);
        if is_unstored(record.seq) {
            unstored_records += 1;
            kept.push(record);
        }
    }
    assert_eq!(unstored_records, recovered.unstored_records);
    kept
}

/// Whether the bytes of this very record, with a checksum that fits its segment, are in a segment's file.
fn is_on_disk(files: &[(String, Vec<u8>)], record: &Record) -> bool {
    files.iter().any(|(name, bytes)| {
        let Some((ordinal, first_seq)) = segment_numbers(name) else { return false };
        bytes.windows(36 + record.payload.len()).any(|window| {
            window[..4] == RECORD_MAGIC
                && window[16..24] == record.seq.to_le_bytes()
                && window[36..] == record.payload
                && [SPOOL_ID, id_in_header(bytes)].iter().any(|id| {
                    let checksum = crc32c::crc32c_append(segment_seed(id, ordinal, first_seq), &window[8..]);
                    window[4..8] == checksum.to_le_bytes()
                })
        })
    })
}

fn id_in_header(segment: &[u8]) -> [u8; 16] {
    segment.get(16..32).and_then(|id| id.try_into().ok()).unwrap_or_default()
}

/// Number of a record that was answered, none where appending is refused.
fn append_one(spool: &Spool) -> Option<u64> {
    spool.rotate(b"state".to_vec()).ok()?;
    let (done, answered) = mpsc::channel();
    let seq = spool.append(b"new".to_vec(), 1, move |result| {
        // The receiver waits below.
        let _ = done.send(result.is_ok());
    });
    answered.recv_timeout(CLOSE_DEADLINE).expect("an append is answered").then_some(seq)
}

const RECORD_MAGIC: [u8; 4] = [0xFF, 0x5E, 0xC0, 0xFD];

fn segment_numbers(name: &str) -> Option<(u64, u64)> {
    let (ordinal, first_seq) = name.strip_prefix("segment-")?.split_once('-')?;
    Some((ordinal.parse().ok()?, first_seq.parse().ok()?))
}

fn segment_seed(id: &[u8; 16], ordinal: u64, first_seq: u64) -> u32 {
    let seed = crc32c::crc32c(id);
    let seed = crc32c::crc32c_append(seed, &ordinal.to_le_bytes());
    crc32c::crc32c_append(seed, &first_seq.to_le_bytes())
}

/// Takes values off the front of an input; at its end there are zeroes.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or_default()
    }

    /// Mostly small, or at the end of all numbers.
    fn number(&mut self) -> u64 {
        match self.byte() {
            small @ 0..=199 => u64::from(small),
            200..=229 => u64::MAX - u64::from(self.byte()),
            230..=249 => (1 << 20) + u64::from(self.byte()),
            _ => {
                let mut number = [0; 8];
                let taken = self.bytes(8);
                number[..taken.len()].copy_from_slice(taken);
                u64::from_le_bytes(number)
            }
        }
    }

    fn part(&mut self) -> &'a [u8] {
        let count = usize::from(self.byte());
        self.bytes(count)
    }
}

fn write_files(storage: &FakeStorage, input: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut input = Input(input);
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    while !input.0.is_empty() && files.len() < MOST_FILES {
        let (name, bytes) = match input.byte() % 8 {
            0 => ("identity".to_owned(), identity(&mut input)),
            1 => ("checkpoint".to_owned(), checkpoint(&mut input)),
            2 => ("identity".to_owned(), input.part().to_vec()),
            3 => ("checkpoint".to_owned(), input.part().to_vec()),
            4 => (format!("{}.unfinished", input.byte()), input.part().to_vec()),
            5 => (segment_name(input.number(), input.number()), input.part().to_vec()),
            _ => segment(&mut input),
        };
        if files.iter().all(|(known, _)| *known != name) {
            files.push((name, bytes));
        }
    }
    for (name, bytes) in &files {
        let path: PathBuf = Path::new(DIRECTORY).join(name);
        let mut file = storage.create(&path).expect("the disk is whole");
        file.append(bytes).expect("the disk has room");
        file.sync().expect("the disk is whole");
    }
    storage.sync_dir(Path::new(DIRECTORY)).expect("the disk is whole");
    files
}

fn segment_name(ordinal: u64, first_seq: u64) -> String {
    format!("segment-{ordinal:020}-{first_seq:020}")
}

fn identity(input: &mut Input<'_>) -> Vec<u8> {
    let mut checked = 1_u32.to_le_bytes().to_vec();
    checked.extend_from_slice(&SPOOL_ID);
    checked.extend_from_slice(&input.number().to_le_bytes());
    with_checksum(b"MOHIDENT", &checked)
}

fn with_checksum(magic: &[u8], checked: &[u8]) -> Vec<u8> {
    [magic, &crc32c::crc32c(checked).to_le_bytes(), checked].concat()
}

fn checkpoint(input: &mut Input<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..input.byte() % 8 {
        let (first, last) = (input.number().to_le_bytes(), input.number().to_le_bytes());
        let checksum = crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(&SPOOL_ID), &first), &last);
        bytes.extend_from_slice(&[&first[..], &last, &checksum.to_le_bytes()].concat());
    }
    bytes.extend_from_slice(input.part());
    bytes
}

/// A header and records, each of them whole, damaged or left out as the input wants.
fn segment(input: &mut Input<'_>) -> (String, Vec<u8>) {
    let (ordinal, first_seq) = (input.number(), input.number());
    let seed = segment_seed(&SPOOL_ID, ordinal, first_seq);
    let flags = input.byte();
    let state = input.part();
    let mut checked = u32::from(flags & 1 == 0).to_le_bytes().to_vec();
    checked.extend_from_slice(&SPOOL_ID);
    for number in [ordinal, first_seq, input.number()] {
        checked.extend_from_slice(&number.to_le_bytes());
    }
    let claimed = if flags & 2 == 0 { state.len() as u32 } else { input.number() as u32 };
    checked.extend_from_slice(&claimed.to_le_bytes());
    checked.extend_from_slice(state);
    let mut bytes = if flags & 4 == 0 { with_checksum(b"MOHSPOOL", &checked) } else { input.part().to_vec() };
    let mut seq = first_seq;
    for _ in 0..flags >> 3 {
        match input.byte() % 8 {
            0 => bytes.extend_from_slice(input.part()),
            1 => seq = input.number(),
            2 => {
                let payload = [input.number().to_le_bytes(), input.number().to_le_bytes()].concat();
                bytes.extend_from_slice(&record(seed, 2, seq, 0, 16, &payload));
            }
            3 => {
                let claimed = input.number() as u32;
                bytes.extend_from_slice(&record(
                    seed,
                    input.byte(),
                    seq,
                    input.byte(),
                    claimed,
                    input.part(),
                ));
            }
            4 => bytes.extend_from_slice(&RECORD_MAGIC),
            _ => {
                let payload = input.part();
                bytes.extend_from_slice(&record(seed, 1, seq, 1, payload.len() as u32, payload));
                seq = seq.wrapping_add(1);
            }
        }
    }
    (segment_name(ordinal, first_seq), bytes)
}

fn record(seed: u32, kind: u8, seq: u64, events: u8, claimed: u32, payload: &[u8]) -> Vec<u8> {
    let mut checked = claimed.to_le_bytes().to_vec();
    checked.extend_from_slice(&u32::from(events).to_le_bytes());
    checked.extend_from_slice(&seq.to_le_bytes());
    checked.extend_from_slice(&STARTED_AT_MS.to_le_bytes());
    checked.extend_from_slice(&[kind, 0, 0, 0]);
    checked.extend_from_slice(payload);
    [&RECORD_MAGIC[..], &crc32c::crc32c_append(seed, &checked).to_le_bytes(), &checked].concat()
}

const STARTED_AT_MS: u64 = 1_795_305_600_000;
