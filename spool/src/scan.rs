//! Reads one segment record by record, and finds the next whole record behind unreadable bytes.

use std::io;

use crate::format::{
    RECORD_HEADER_BYTES, RECORD_MAGIC, RecordHeader, RecordKind, checksum_matches, decode_record_header,
    decode_seal,
};
use crate::ranges::SeqRange;
use crate::storage::{StorageFile, read_full};

/// Large enough that reading is bound by the disk and not by calls, small beside a batch.
const READ_AHEAD_BYTES: usize = 256 << 10;

pub(crate) enum Scanned {
    Data {
        offset: u64,
        header: RecordHeader,
        payload: Vec<u8>,
    },
    Seal {
        next_seq: u64,
        range: SeqRange,
    },
    /// Bytes `offset..end` hold no readable record; `reaches_end` when no record follows them.
    Unreadable {
        offset: u64,
        end: u64,
        reaches_end: bool,
    },
}

pub(crate) struct SegmentScanner {
    file: Box<dyn StorageFile>,
    seed: u32,
    offset: u64,
    end: u64,
    /// Numbers only grow within a segment: anything below this is no record of ours.
    lowest_seq: u64,
    /// Numbers from here on were never given to this segment.
    seq_limit: u64,
    buffer: Vec<u8>,
    buffer_offset: u64,
}

impl SegmentScanner {
    pub(crate) fn new(
        file: Box<dyn StorageFile>,
        seed: u32,
        offset: u64,
        end: u64,
        lowest_seq: u64,
        seq_limit: u64,
    ) -> Self {
        Self { file, seed, offset, end, lowest_seq, seq_limit, buffer: Vec::new(), buffer_offset: offset }
    }

    pub(crate) fn into_file(self) -> Box<dyn StorageFile> {
        self.file
    }

    pub(crate) fn next(&mut self) -> io::Result<Option<Scanned>> {
        if self.offset >= self.end {
            return Ok(None);
        }
        let offset = self.offset;
        let Some(header) = self.record_at(offset)? else {
            return self.skip_to_next_record().map(Some);
        };
        let record_bytes = RECORD_HEADER_BYTES + header.payload_bytes;
        let start = (offset - self.buffer_offset) as usize;
        let payload = &self.buffer[start + RECORD_HEADER_BYTES..start + record_bytes];
        let scanned = match header.kind {
            RecordKind::Data => {
                self.lowest_seq = header.seq + 1;
                Scanned::Data { offset, header, payload: payload.to_vec() }
            }
            RecordKind::Seal => {
                self.lowest_seq = header.seq;
                Scanned::Seal { next_seq: header.seq, range: decode_seal(payload) }
            }
        };
        self.offset = offset + record_bytes as u64;
        Ok(Some(scanned))
    }

    fn skip_to_next_record(&mut self) -> io::Result<Scanned> {
        let offset = self.offset;
        let mut candidate = offset + 1;
        while candidate + RECORD_HEADER_BYTES as u64 <= self.end {
            let available = self.fill(candidate, READ_AHEAD_BYTES)?;
            let start = (candidate - self.buffer_offset) as usize;
            let window = &self.buffer[start..start + available];
            let Some(found) = window.windows(RECORD_MAGIC.len()).position(|bytes| bytes == RECORD_MAGIC)
            else {
                // The magic may lie across the window's end.
                candidate += (available + 1).saturating_sub(RECORD_MAGIC.len()).max(1) as u64;
                continue;
            };
            candidate += found as u64;
            if self.record_at(candidate)?.is_some() {
                self.offset = candidate;
                return Ok(Scanned::Unreadable { offset, end: candidate, reaches_end: false });
            }
            candidate += 1;
        }
        self.offset = self.end;
        Ok(Scanned::Unreadable { offset, end: self.end, reaches_end: true })
    }

    /// The header of the whole, valid record that begins at `offset`, which then is in the buffer.
    fn record_at(&mut self, offset: u64) -> io::Result<Option<RecordHeader>> {
        if self.fill(offset, RECORD_HEADER_BYTES)? < RECORD_HEADER_BYTES {
            return Ok(None);
        }
        let start = (offset - self.buffer_offset) as usize;
        let Some(header) = decode_record_header(&self.buffer[start..]) else { return Ok(None) };
        // A seal may stand behind the last number the segment was given.
        let highest_seq = match header.kind {
            RecordKind::Data => self.seq_limit.saturating_sub(1),
            RecordKind::Seal => self.seq_limit,
        };
        if header.seq < self.lowest_seq || header.seq > highest_seq {
            return Ok(None);
        }
        let record_bytes = RECORD_HEADER_BYTES + header.payload_bytes;
        if offset + record_bytes as u64 > self.end || self.fill(offset, record_bytes)? < record_bytes {
            return Ok(None);
        }
        let start = (offset - self.buffer_offset) as usize;
        let record = &self.buffer[start..start + record_bytes];
        Ok(checksum_matches(&header, self.seed, record).then_some(header))
    }

    /// Makes up to `wanted` bytes from `offset` on available in the buffer and tells how many there are.
    fn fill(&mut self, offset: u64, wanted: usize) -> io::Result<usize> {
        let wanted = wanted.min((self.end.saturating_sub(offset)) as usize);
        let buffer_end = self.buffer_offset + self.buffer.len() as u64;
        if offset >= self.buffer_offset && offset + wanted as u64 <= buffer_end {
            return Ok(wanted);
        }
        if offset >= self.buffer_offset && offset < buffer_end {
            self.buffer.drain(..(offset - self.buffer_offset) as usize);
        } else {
            self.buffer.clear();
        }
        self.buffer_offset = offset;
        let have = self.buffer.len();
        let target = wanted.max(READ_AHEAD_BYTES).min((self.end - offset) as usize);
        self.buffer.resize(target, 0);
        let read = read_full(&*self.file, &mut self.buffer[have..], offset + have as u64)?;
        self.buffer.truncate(have + read);
        Ok(self.buffer.len().min(wanted))
    }
}
