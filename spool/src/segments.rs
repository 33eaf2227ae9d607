//! What is known of the segments on disk: the index from sequence numbers to places.

use std::collections::VecDeque;

use crate::ranges::{RangeSet, SeqRange};

/// One index entry per so many bytes: 1,000 entries (16 KB) a segment of 64 MiB, and a read begins at
/// most this far before its first record.
const INDEX_EVERY_BYTES: u64 = 64 << 10;

#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub ordinal: u64,
    pub first_seq: u64,
    pub name: String,
    pub seed: u32,
    /// Numbers below the one and from the other on are not of this segment, whatever its bytes say: those of segments
    /// before and behind it.
    pub lowest_seq: u64,
    pub seq_limit: u64,
    /// Records lie in `records_start..end`.
    pub records_start: u64,
    pub end: u64,
    /// Data records in it. Gaps are appends that failed, or damage.
    pub present: RangeSet,
    /// (seq, offset), sparse, ascending
    pub index: Vec<(u64, u64)>,
    /// Where unreadable bytes begin that recovery has reported.
    pub known_damage: Vec<u64>,
    pub first_written_at_ms: Option<u64>,
}

impl Segment {
    pub(crate) fn note_record(&mut self, seq: u64, offset: u64, written_at_ms: u64) {
        let due = self.index.last().is_none_or(|&(_, last)| offset - last >= INDEX_EVERY_BYTES);
        if due {
            self.index.push((seq, offset));
        }
        self.present.insert(SeqRange::new(seq, seq));
        self.first_written_at_ms.get_or_insert(written_at_ms);
    }

    /// Where to begin reading so as not to miss `seq`, and the lowest number that can stand there.
    pub(crate) fn start_for(&self, seq: u64) -> (u64, u64) {
        let after = self.index.partition_point(|&(indexed, _)| indexed <= seq);
        match after.checked_sub(1).and_then(|at| self.index.get(at)) {
            Some(&(indexed, offset)) => (offset, indexed),
            None => (self.records_start, self.lowest_seq),
        }
    }

    pub(crate) fn is_stored(&self, stored: &RangeSet) -> bool {
        self.present.iter().all(|range| stored.contains_all(range))
    }
}

/// Oldest first; the last one is the one written to, once the writer has rotated.
#[derive(Debug, Default)]
pub(crate) struct Segments {
    pub list: VecDeque<Segment>,
    /// Every append up to this number is on disk or has failed.
    pub written_through: u64,
    /// The highest number of a record that this process deleted.
    pub deleted_through: u64,
}

impl Segments {
    pub(crate) fn oldest_written_at_ms(&self) -> Option<u64> {
        self.list.iter().find_map(|segment| segment.first_written_at_ms)
    }
}
