//! Opening a spool: what is on disk is read once, front to back, and told to the caller.

use std::collections::HashSet;
use std::io;
use std::path::Path;

use uuid::Uuid;

use crate::checkpoint::{CHECKPOINT_NAME, Checkpoint};
use crate::damage::{Damage, DamageKind};
use crate::error::{Fault, OpenError};
use crate::format::{
    BadHeader, FORMAT_VERSION, NUMBER_LIMIT, SEGMENT_HEADER_BYTES, SegmentHeader, parse_segment_name,
    segment_seed,
};
use crate::identity::{IDENTITY_NAME, Identity, RESERVATION, StoredIdentity};
use crate::ranges::{RangeSet, SeqRange};
use crate::scan::{Scanned, SegmentScanner};
use crate::segments::Segment;
use crate::storage::{Storage, StorageFile, UNFINISHED_SUFFIX, read_full};

/// The incomplete end of the newest segment, cut off. Not damage: a record is answered only after it
/// was written whole, so a killed process leaves nothing here that anyone was told is safe. After a
/// power loss under `Interval` or `Never` it may be what those policies give up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornTail {
    pub segment: String,
    pub offset: u64,
    pub bytes: u64,
}

/// All that the directory tells, before it is turned into what the caller sees.
pub(crate) struct Survey {
    pub identity: Identity,
    pub stored: RangeSet,
    pub segments: Vec<Segment>,
    pub newest_header: Option<SegmentHeader>,
    pub next_seq: u64,
    pub unstored: RangeSet,
    pub unstored_records: u64,
    pub unstored_events: u64,
    pub seals: Vec<SeqRange>,
    pub damage: Vec<Damage>,
    pub torn_tail: Option<TornTail>,
    pub next_ordinal: u64,
}

struct SegmentFile {
    ordinal: u64,
    first_seq: u64,
    name: String,
    bytes: u64,
    file: Box<dyn StorageFile>,
    header: Option<SegmentHeader>,
}

pub(crate) fn survey(storage: &dyn Storage, dir: &Path) -> Result<Survey, OpenError> {
    let mut damage = Vec::new();
    let files = list_segments(storage, dir)?;
    let next_ordinal = files.last().map_or(0, |file| file.ordinal + 1);
    let (identity, identity_is_new) = establish_identity(storage, dir, &files, &mut damage)?;

    let (stored, damaged_bytes) = Checkpoint::read(storage, dir, identity.spool_id)?;
    if damaged_bytes > 0 {
        damage.push(Damage {
            kind: DamageKind::UnreadableCheckpoint,
            file: CHECKPOINT_NAME.to_owned(),
            offset: 0,
            bytes: damaged_bytes,
            suspects: None,
        });
    }

    let files = only_our_own(files, identity.spool_id, &mut damage);
    let mut survey = Survey {
        identity,
        stored,
        segments: Vec::with_capacity(files.len()),
        newest_header: None,
        next_seq: 1,
        unstored: RangeSet::default(),
        unstored_records: 0,
        unstored_events: 0,
        seals: Vec::new(),
        damage,
        torn_tail: None,
        next_ordinal,
    };
    let mut files = files.into_iter().peekable();
    while let Some(file) = files.next() {
        let successor = files.peek().map(|next| (next.ordinal, next.first_seq));
        let (ordinal, name) = (file.ordinal, file.name.clone());
        survey.read_segment(dir, file, successor.map(|(_, first_seq)| first_seq), identity_is_new)?;
        if let Some((successor_ordinal, first_seq)) = successor
            && successor_ordinal != ordinal + 1
        {
            survey.damage.push(Damage {
                kind: DamageKind::MissingSegment,
                file: format!("between {name} and segment {successor_ordinal}"),
                offset: 0,
                bytes: 0,
                suspects: suspects(survey.next_seq, first_seq),
            });
        }
    }
    survey.next_seq = survey.next_seq.max(survey.identity.reserved_below);
    if identity_is_new && !survey.segments.is_empty() {
        // How far the lost file had reserved isn't known: two reservations are further than it was.
        survey.next_seq += 2 * RESERVATION;
    }
    let reserving = Identity { reserved_below: survey.next_seq + RESERVATION, ..survey.identity };
    match reserving.publish(storage, dir) {
        Ok(()) => survey.identity = reserving,
        Err(fault) if identity_is_new => return Err(fault.into()),
        // A full disk must not keep the spool from draining. The writer reserves before it writes.
        Err(_) => {}
    }
    let unstored = &survey.unstored;
    let mut seen = HashSet::new();
    survey.seals.retain(|&seal| unstored.intersects(seal) && seen.insert(seal));
    Ok(survey)
}

fn list_segments(storage: &dyn Storage, dir: &Path) -> Result<Vec<SegmentFile>, OpenError> {
    let entries = storage.list(dir).map_err(|error| Fault::new("list", dir, error))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = dir.join(&entry.name);
        if entry.name.ends_with(UNFINISHED_SUFFIX) {
            storage.remove(&path).map_err(|error| Fault::new("remove", &path, error))?;
            continue;
        }
        let Some((ordinal, first_seq)) = parse_segment_name(&entry.name) else { continue };
        let file = storage.open(&path).map_err(|error| Fault::new("open", &path, error))?;
        let header = read_header(&*file).map_err(|error| Fault::new("read", &path, error))?;
        let header = match header {
            Ok(header) => Some(header),
            Err(BadHeader::Version(found)) => {
                return Err(OpenError::Version { path, found, expected: FORMAT_VERSION });
            }
            Err(BadHeader::Unreadable) => None,
        };
        files.push(SegmentFile {
            ordinal,
            first_seq,
            name: entry.name,
            bytes: entry.bytes,
            file,
            header: header.filter(|header| (header.ordinal, header.first_seq) == (ordinal, first_seq)),
        });
    }
    files.sort_by_key(|file| file.ordinal);
    Ok(files)
}

fn read_header(file: &dyn StorageFile) -> io::Result<Result<SegmentHeader, BadHeader>> {
    let mut bytes = vec![0; SEGMENT_HEADER_BYTES];
    let read = read_full(file, &mut bytes, 0)?;
    let file_bytes = file.bytes()?;
    // A claim of more than is there isn't worth the memory.
    let claimed =
        SegmentHeader::claimed_bytes(&bytes[..read]).filter(|claimed| *claimed as u64 <= file_bytes);
    let Some(header_bytes) = claimed else {
        return Ok(Err(BadHeader::Unreadable));
    };
    bytes.resize(header_bytes, 0);
    let read = read_full(file, &mut bytes, 0)?;
    Ok(SegmentHeader::decode(&bytes[..read]))
}

/// The spool's identity, and whether it has to be written because no readable one was there.
fn establish_identity(
    storage: &dyn Storage,
    dir: &Path,
    files: &[SegmentFile],
    damage: &mut Vec<Damage>,
) -> Result<(Identity, bool), OpenError> {
    match Identity::read(storage, dir)? {
        StoredIdentity::Present(identity) => return Ok((identity, false)),
        StoredIdentity::OtherVersion(found) => {
            let path = dir.join(IDENTITY_NAME);
            return Err(OpenError::Version { path, found, expected: FORMAT_VERSION });
        }
        StoredIdentity::Absent if files.is_empty() => {
            return Ok((Identity { spool_id: Uuid::new_v4(), reserved_below: 1 }, true));
        }
        StoredIdentity::Absent | StoredIdentity::Unreadable => {}
    }
    damage.push(Damage {
        kind: DamageKind::UnreadableIdentity,
        file: IDENTITY_NAME.to_owned(),
        offset: 0,
        bytes: 0,
        suspects: None,
    });
    let known = files.iter().rev().find_map(|file| file.header.as_ref());
    match known {
        Some(header) => Ok((Identity { spool_id: header.spool_id, reserved_below: 1 }, true)),
        None if files.is_empty() => Ok((Identity { spool_id: Uuid::new_v4(), reserved_below: 1 }, true)),
        None => Err(OpenError::NoIdentity { dir: dir.to_path_buf() }),
    }
}

fn only_our_own(files: Vec<SegmentFile>, spool_id: Uuid, damage: &mut Vec<Damage>) -> Vec<SegmentFile> {
    let (ours, foreign): (Vec<_>, Vec<_>) = files
        .into_iter()
        .partition(|file| file.header.as_ref().is_none_or(|header| header.spool_id == spool_id));
    damage.extend(foreign.into_iter().map(|file| Damage {
        kind: DamageKind::ForeignSegment,
        file: file.name,
        offset: 0,
        bytes: file.bytes,
        suspects: None,
    }));
    ours
}

impl Survey {
    fn read_segment(
        &mut self,
        dir: &Path,
        found: SegmentFile,
        successor_first_seq: Option<u64>,
        identity_is_new: bool,
    ) -> Result<(), OpenError> {
        let SegmentFile { ordinal, first_seq, name, bytes, file, header } = found;
        let path = dir.join(&name);
        let header_is_readable = header.is_some();
        let records_start =
            header.as_ref().map_or(0, |header| (SEGMENT_HEADER_BYTES + header.state.len()) as u64);
        let seq_limit = match successor_first_seq {
            Some(first_seq) => first_seq,
            None if identity_is_new => NUMBER_LIMIT,
            None => self.identity.reserved_below,
        };
        let lowest_seq = first_seq.max(self.next_seq);
        let mut segment = Segment {
            ordinal,
            first_seq,
            name,
            seed: segment_seed(self.identity.spool_id, ordinal, first_seq),
            lowest_seq,
            seq_limit,
            records_start,
            end: bytes,
            present: RangeSet::default(),
            index: Vec::new(),
            known_damage: Vec::new(),
            first_written_at_ms: None,
        };
        self.newest_header = header.or(self.newest_header.take());

        let fault = |error| Fault::new("read", &path, error);
        let mut scanner =
            SegmentScanner::new(file, segment.seed, records_start, bytes, lowest_seq, seq_limit);
        let mut next_seq = lowest_seq;
        // Damage whose suspects show with the next readable record.
        let mut open_damage: Option<Damage> = None;
        while let Some(scanned) = scanner.next().map_err(fault)? {
            match scanned {
                Scanned::Data { offset, header, .. } => {
                    self.close_damage(&mut open_damage, next_seq, header.seq);
                    next_seq = header.seq + 1;
                    segment.note_record(header.seq, offset, header.written_at_ms);
                    let record = SeqRange::new(header.seq, header.seq);
                    if !self.stored.contains_all(record) {
                        self.unstored.insert(record);
                        self.unstored_records += 1;
                        self.unstored_events += u64::from(header.events);
                    }
                }
                Scanned::Seal { next_seq: at_seq, range } => {
                    self.close_damage(&mut open_damage, next_seq, at_seq);
                    next_seq = at_seq;
                    self.seals.push(range);
                }
                Scanned::Unreadable { offset, end, reaches_end } => {
                    let is_newest = successor_first_seq.is_none();
                    if reaches_end && is_newest && (header_is_readable || offset > 0) {
                        segment.end = offset;
                        self.torn_tail =
                            Some(TornTail { segment: segment.name.clone(), offset, bytes: end - offset });
                        continue;
                    }
                    segment.known_damage.push(offset);
                    open_damage = Some(Damage {
                        kind: if offset == 0 {
                            DamageKind::UnreadableHeader
                        } else {
                            DamageKind::UnreadableRecords
                        },
                        file: segment.name.clone(),
                        offset,
                        bytes: end - offset,
                        suspects: None,
                    });
                }
            }
        }
        let end_seq = successor_first_seq.unwrap_or(seq_limit);
        self.close_damage(&mut open_damage, next_seq, end_seq);
        if successor_first_seq.is_none() {
            let is_torn = segment.end < bytes;
            settle_newest(scanner.into_file(), is_torn.then_some(segment.end))
                .map_err(|error| Fault::new("truncate and sync", &path, error))?;
        }
        self.next_seq = self.next_seq.max(next_seq);
        self.segments.push(segment);
        Ok(())
    }

    fn close_damage(&mut self, open: &mut Option<Damage>, expected_seq: u64, found_seq: u64) {
        if let Some(damage) = open.take() {
            self.damage.push(Damage { suspects: suspects(expected_seq, found_seq), ..damage });
        }
    }
}

fn suspects(expected_seq: u64, found_seq: u64) -> Option<SeqRange> {
    (expected_seq < found_seq).then(|| SeqRange::new(expected_seq, found_seq - 1))
}

/// Synced because a killed process may have left the newest segment in the page cache only, and this process
/// writes, and syncs, another one: a later power loss would take what was answered long ago.
fn settle_newest(mut file: Box<dyn StorageFile>, cut_at: Option<u64>) -> io::Result<()> {
    if let Some(end) = cut_at {
        file.truncate(end)?;
    }
    file.sync()
}
