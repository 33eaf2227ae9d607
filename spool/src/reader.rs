//! Reading records back, from any thread.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::damage::{Damage, DamageKind};
use crate::error::{Fault, Full, ReadError};
use crate::ranges::SeqRange;
use crate::scan::{Scanned, SegmentScanner};
use crate::segments::Segment;
use crate::shared::{Shared, lock};
use crate::stats::SpoolStats;

/// One appended payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub seq: u64,
    /// How many events the payload holds, as the caller said.
    pub events: u32,
    /// Unix time in milliseconds of the write, by the system's clock.
    pub written_at_ms: u64,
    pub payload: Vec<u8>,
}

/// Reads sealed ranges and tells how the spool is; cheap to clone, good on every thread, and valid
/// after the spool is closed.
#[derive(Clone)]
pub struct SpoolReader {
    shared: Arc<Shared>,
}

impl SpoolReader {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The records `first_seq..=last_seq`, in order; numbers whose append failed are absent. Ask only
    /// for ranges whose appends are done and that aren't told [`crate::Spool::stored`].
    pub fn read(&self, first_seq: u64, last_seq: u64) -> Result<Vec<Record>, ReadError> {
        self.records(first_seq, last_seq)?.collect()
    }

    /// The same as an iterator that holds one record at a time.
    pub fn records(&self, first_seq: u64, last_seq: u64) -> Result<Records, ReadError> {
        let segments = lock(&self.shared.segments);
        if last_seq > segments.written_through {
            let written = segments.written_through;
            return Err(ReadError::NotWritten { last: last_seq, written });
        }
        let oldest = segments.list.front().map_or(u64::MAX, |segment| segment.first_seq);
        let wanted = SeqRange::new(first_seq, last_seq);
        // A range that began in a segment whose records were all lost to damage, and which therefore is
        // deleted, still has its other records.
        let nothing_left = !segments.list.iter().any(|segment| segment.present.intersects(wanted));
        if first_seq <= segments.deleted_through || (first_seq < oldest && nothing_left) {
            return Err(ReadError::NotOnDisk { first: first_seq, last: last_seq, oldest });
        }
        Ok(Records::over(&self.shared, segments.list.iter(), wanted))
    }

    /// The lowest number that can still be on disk: what lies below was deleted.
    #[must_use]
    pub fn oldest_seq(&self) -> u64 {
        lock(&self.shared.segments).list.front().map_or(u64::MAX, |segment| segment.first_seq)
    }

    /// As [`Self::read`], but reads around bytes that became unreadable since they were written or
    /// recovered, and tells what it left out. For the caller whose read ended in [`ReadError::Damaged`].
    pub fn salvage(&self, first_seq: u64, last_seq: u64) -> Result<(Vec<Record>, Vec<Damage>), ReadError> {
        let mut records = self.records(first_seq, last_seq)?;
        records.salvaged = Some(Vec::new());
        let readable = records.by_ref().collect::<Result<Vec<_>, _>>()?;
        Ok((readable, records.salvaged.unwrap_or_default()))
    }

    /// Whether a request of so many bytes may be taken: see [`crate::Spool::admit`].
    pub fn admit(&self, bytes: u64) -> Result<(), Full> {
        self.shared.admit(bytes)
    }

    #[must_use]
    pub fn stats(&self) -> SpoolStats {
        SpoolStats::of(&self.shared)
    }

    /// Why nothing more can be appended, if so.
    #[must_use]
    pub fn poisoned(&self) -> Option<Arc<str>> {
        self.shared.poisoned.get().cloned()
    }
}

/// Streams records in order, one in memory at a time. Ends after the first error.
pub struct Records {
    shared: Arc<Shared>,
    wanted: SeqRange,
    remaining: VecDeque<Segment>,
    current: Option<(Segment, SegmentScanner)>,
    /// `Some`: collect unexpected damage here instead of ending with an error.
    salvaged: Option<Vec<Damage>>,
}

impl Records {
    pub(crate) fn over<'a>(
        shared: &Arc<Shared>,
        segments: impl Iterator<Item = &'a Segment>,
        wanted: SeqRange,
    ) -> Self {
        let remaining = segments.filter(|segment| segment.present.intersects(wanted)).cloned().collect();
        Self { shared: Arc::clone(shared), wanted, remaining, current: None, salvaged: None }
    }

    fn next_record(&mut self) -> Result<Option<Record>, ReadError> {
        loop {
            let Some((segment, scanner)) = &mut self.current else {
                let Some(segment) = self.remaining.pop_front() else { return Ok(None) };
                let scanner = self.open(&segment)?;
                self.current = Some((segment, scanner));
                continue;
            };
            let path = self.shared.dir.join(&segment.name);
            match scanner.next().map_err(|error| Fault::new("read", &path, error))? {
                None => self.current = None,
                Some(Scanned::Seal { .. }) => {}
                Some(Scanned::Data { header, .. }) if header.seq < self.wanted.first => {}
                Some(Scanned::Data { header, .. }) if header.seq > self.wanted.last => {
                    return Ok(None);
                }
                Some(Scanned::Data { header, payload, .. }) => {
                    return Ok(Some(Record {
                        seq: header.seq,
                        events: header.events,
                        written_at_ms: header.written_at_ms,
                        payload,
                    }));
                }
                Some(Scanned::Unreadable { offset, end, .. }) => {
                    if segment.known_damage.contains(&offset) {
                        continue;
                    }
                    let bytes = end - offset;
                    let segment = segment.name.clone();
                    match &mut self.salvaged {
                        None => return Err(ReadError::Damaged { segment, offset, bytes }),
                        Some(salvaged) => {
                            // Two who read by it at once tell of it once.
                            if !note_damage(&self.shared, &segment, offset) {
                                continue;
                            }
                            salvaged.push(Damage {
                                kind: DamageKind::UnreadableRecords,
                                file: segment,
                                offset,
                                bytes,
                                suspects: None,
                            });
                        }
                    }
                }
            }
        }
    }

    fn open(&self, segment: &Segment) -> Result<SegmentScanner, ReadError> {
        let path = self.shared.dir.join(&segment.name);
        let file = match self.shared.storage.open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let SeqRange { first, last } = self.wanted;
                let oldest =
                    lock(&self.shared.segments).list.front().map_or(u64::MAX, |segment| segment.first_seq);
                return Err(ReadError::NotOnDisk { first, last, oldest });
            }
            Err(error) => return Err(Fault::new("open", &path, error).into()),
        };
        let (offset, lowest_seq) = segment.start_for(self.wanted.first);
        Ok(SegmentScanner::new(file, segment.seed, offset, segment.end, lowest_seq, segment.seq_limit))
    }
}

/// Remembers where a segment can't be read; says whether that is new.
fn note_damage(shared: &Shared, segment: &str, offset: u64) -> bool {
    let mut segments = lock(&shared.segments);
    let Some(damaged) = segments.list.iter_mut().find(|known| known.name == segment) else { return true };
    if damaged.known_damage.contains(&offset) {
        return false;
    }
    damaged.known_damage.push(offset);
    true
}

impl Iterator for Records {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_record().transpose();
        if !matches!(next, Some(Ok(_))) {
            self.remaining.clear();
            self.current = None;
        }
        next
    }
}
