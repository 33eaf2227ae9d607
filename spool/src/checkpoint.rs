//! The file `checkpoint`: which ranges are in the store. A log of fixed-size entries.
//!
//! Losing entries is harmless: their batches come back as not stored, and a batch that was sent before is
//! verified before it is sent again. So entries aren't synced one by one. Inventing one would lose
//! events, so each carries a checksum that begins with the spool id.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use crate::error::Fault;
use crate::format::{NUMBER_LIMIT, u32_at, u64_at};
use crate::ranges::{RangeSet, SeqRange};
use crate::storage::{PublishError, Storage, StorageFile, append_all, publish, read_full};

pub(crate) const CHECKPOINT_NAME: &str = "checkpoint";

/// first 8, last 8, checksum 4
const ENTRY_BYTES: usize = 20;

/// 80 KiB: read in no time at a start, rewritten once in thousands of batches.
const ENTRIES_BEFORE_COMPACTION: usize = 4096;

pub(crate) struct Checkpoint {
    storage: Arc<dyn Storage>,
    dir: PathBuf,
    spool_id: Uuid,
    /// `None` when the file's end is unknown after a failure: it is then written anew.
    file: Option<Box<dyn StorageFile>>,
    entries: usize,
    stored: RangeSet,
}

impl Checkpoint {
    /// What the file tells, and how many bytes of it are damaged. A partial last entry is what a crash
    /// leaves and no damage.
    pub(crate) fn read(storage: &dyn Storage, dir: &Path, spool_id: Uuid) -> Result<(RangeSet, u64), Fault> {
        let path = dir.join(CHECKPOINT_NAME);
        let fault = |error| Fault::new("read", &path, error);
        let file = match storage.open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok((RangeSet::default(), 0));
            }
            Err(error) => return Err(fault(error)),
        };
        // A killed process left it in the page cache: what this process knows a power loss mustn't unlearn.
        file.sync().map_err(fault)?;
        let mut bytes = vec![0; file.bytes().map_err(fault)? as usize];
        let read = read_full(&*file, &mut bytes, 0).map_err(fault)?;
        let mut stored = RangeSet::default();
        let mut damaged_bytes = 0;
        for entry in bytes[..read].chunks_exact(ENTRY_BYTES) {
            let range = SeqRange::new(u64_at(entry, 0), u64_at(entry, 8));
            let is_sane = range.first <= range.last && range.last < NUMBER_LIMIT;
            if is_sane && entry_checksum(spool_id, range) == u32_at(entry, 16) {
                stored.insert(range);
            } else {
                damaged_bytes += ENTRY_BYTES as u64;
            }
        }
        Ok((stored, damaged_bytes))
    }

    pub(crate) fn new(storage: Arc<dyn Storage>, dir: PathBuf, spool_id: Uuid, stored: RangeSet) -> Self {
        Self { storage, dir, spool_id, file: None, entries: 0, stored }
    }

    pub(crate) fn stored(&self) -> &RangeSet {
        &self.stored
    }

    /// The range counts as stored from now on, whether or not the file could take it.
    pub(crate) fn add(&mut self, ranges: &[SeqRange]) -> Result<(), Fault> {
        let mut bytes = Vec::with_capacity(ranges.len() * ENTRY_BYTES);
        for &range in ranges {
            self.stored.insert(range);
            encode_entry(&mut bytes, self.spool_id, range);
        }
        if self.entries + ranges.len() > ENTRIES_BEFORE_COMPACTION {
            return self.compact();
        }
        let Some(file) = &mut self.file else { return self.compact() };
        match append_all(&mut **file, &bytes) {
            Ok(()) => {
                self.entries += ranges.len();
                Ok(())
            }
            Err((_, error)) => {
                self.file = None;
                Err(Fault::new("append to", &self.dir.join(CHECKPOINT_NAME), error))
            }
        }
    }

    /// Segments before `seq` are gone for good: nobody will ask for their records.
    pub(crate) fn forget_below(&mut self, seq: u64) {
        self.stored.remove_below(seq);
    }

    pub(crate) fn compact(&mut self) -> Result<(), Fault> {
        let mut bytes = Vec::new();
        for range in self.stored.iter() {
            encode_entry(&mut bytes, self.spool_id, range);
        }
        self.file = None;
        let file =
            publish(&*self.storage, &self.dir, CHECKPOINT_NAME, &bytes).map_err(PublishError::into_fault)?;
        self.file = Some(file);
        self.entries = bytes.len() / ENTRY_BYTES;
        Ok(())
    }
}

fn encode_entry(bytes: &mut Vec<u8>, spool_id: Uuid, range: SeqRange) {
    bytes.extend_from_slice(&range.first.to_le_bytes());
    bytes.extend_from_slice(&range.last.to_le_bytes());
    bytes.extend_from_slice(&entry_checksum(spool_id, range).to_le_bytes());
}

fn entry_checksum(spool_id: Uuid, range: SeqRange) -> u32 {
    let checksum = crc32c::crc32c(spool_id.as_bytes());
    let checksum = crc32c::crc32c_append(checksum, &range.first.to_le_bytes());
    crc32c::crc32c_append(checksum, &range.last.to_le_bytes())
}
