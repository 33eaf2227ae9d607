//! Bytes on disk: segment names, segment headers, records. Pure; all integers little-endian.

use uuid::Uuid;

use crate::ranges::SeqRange;

/// Raised whenever a reader of the old format would misread the new one.
pub(crate) const FORMAT_VERSION: u32 = 1;

pub(crate) const SEGMENT_MAGIC: [u8; 8] = *b"MOHSPOOL";

/// magic 8, checksum 4, version 4, spool id 16, ordinal 8, first seq 8, created at 8, state length 4
pub(crate) const SEGMENT_HEADER_BYTES: usize = 60;

/// 0xFF and 0xFD occur in no UTF-8 text, so a search for the next record isn't held up by JSON payloads.
pub(crate) const RECORD_MAGIC: [u8; 4] = [0xFF, 0x5E, 0xC0, 0xFD];

/// magic 4, checksum 4, payload length 4, events 4, seq 8, written at 8, kind 1, zeroes 3
pub(crate) const RECORD_HEADER_BYTES: usize = 36;

/// Far above any request body, far below what a corrupt length could make a reader allocate.
pub const MAX_PAYLOAD_BYTES: usize = 64 << 20;

/// No spool ever counts so far: a sequence number or an ordinal from here on is damage, and adding to one below never
/// overflows.
pub(crate) const NUMBER_LIMIT: u64 = 1 << 62;

const CHECKSUM_END: usize = 8;
const SEGMENT_CHECKSUM_END: usize = 12;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecordKind {
    Data,
    Seal,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordHeader {
    pub kind: RecordKind,
    /// Of data: its own number. Of a seal: the number that the next data record will have.
    pub seq: u64,
    pub events: u32,
    pub written_at_ms: u64,
    pub payload_bytes: usize,
    checksum: u32,
}

/// Starts every record's checksum, so that a record of another spool or segment never passes.
pub(crate) fn segment_seed(spool_id: Uuid, ordinal: u64, first_seq: u64) -> u32 {
    let seed = crc32c::crc32c(spool_id.as_bytes());
    let seed = crc32c::crc32c_append(seed, &ordinal.to_le_bytes());
    crc32c::crc32c_append(seed, &first_seq.to_le_bytes())
}

pub(crate) fn encode_data(
    buffer: &mut Vec<u8>,
    seed: u32,
    seq: u64,
    events: u32,
    written_at_ms: u64,
    payload: &[u8],
) {
    encode(buffer, seed, RecordKind::Data, seq, events, written_at_ms, payload);
}

pub(crate) fn encode_seal(
    buffer: &mut Vec<u8>,
    seed: u32,
    next_seq: u64,
    written_at_ms: u64,
    range: SeqRange,
) {
    let mut payload = [0; 16];
    payload[..8].copy_from_slice(&range.first.to_le_bytes());
    payload[8..].copy_from_slice(&range.last.to_le_bytes());
    encode(buffer, seed, RecordKind::Seal, next_seq, 0, written_at_ms, &payload);
}

fn encode(
    buffer: &mut Vec<u8>,
    seed: u32,
    kind: RecordKind,
    seq: u64,
    events: u32,
    written_at_ms: u64,
    payload: &[u8],
) {
    let mut header = [0; RECORD_HEADER_BYTES];
    header[..4].copy_from_slice(&RECORD_MAGIC);
    // The caller refuses payloads above MAX_PAYLOAD_BYTES, which fits.
    header[8..12].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    header[12..16].copy_from_slice(&events.to_le_bytes());
    header[16..24].copy_from_slice(&seq.to_le_bytes());
    header[24..32].copy_from_slice(&written_at_ms.to_le_bytes());
    header[32] = match kind {
        RecordKind::Data => 1,
        RecordKind::Seal => 2,
    };
    let checksum = crc32c::crc32c_append(crc32c::crc32c_append(seed, &header[CHECKSUM_END..]), payload);
    header[4..CHECKSUM_END].copy_from_slice(&checksum.to_le_bytes());
    buffer.extend_from_slice(&header);
    buffer.extend_from_slice(payload);
}

/// `None` when these bytes can't begin a record; the checksum is not looked at.
pub(crate) fn decode_record_header(bytes: &[u8]) -> Option<RecordHeader> {
    let bytes = bytes.get(..RECORD_HEADER_BYTES)?;
    if bytes[..4] != RECORD_MAGIC || bytes[33..] != [0; 3] {
        return None;
    }
    let kind = match bytes[32] {
        1 => RecordKind::Data,
        2 => RecordKind::Seal,
        _ => return None,
    };
    let payload_bytes = u32_at(bytes, 8) as usize;
    if payload_bytes > MAX_PAYLOAD_BYTES || (kind == RecordKind::Seal && payload_bytes != 16) {
        return None;
    }
    Some(RecordHeader {
        kind,
        seq: u64_at(bytes, 16),
        events: u32_at(bytes, 12),
        written_at_ms: u64_at(bytes, 24),
        payload_bytes,
        checksum: u32_at(bytes, 4),
    })
}

/// `record` is the header's bytes and the payload's.
pub(crate) fn checksum_matches(header: &RecordHeader, seed: u32, record: &[u8]) -> bool {
    crc32c::crc32c_append(seed, &record[CHECKSUM_END..]) == header.checksum
}

pub(crate) fn decode_seal(payload: &[u8]) -> SeqRange {
    SeqRange::new(u64_at(payload, 0), u64_at(payload, 8))
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub spool_id: Uuid,
    pub ordinal: u64,
    pub first_seq: u64,
    pub created_at_ms: u64,
    pub state: Vec<u8>,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SEGMENT_HEADER_BYTES + self.state.len());
        bytes.extend_from_slice(&SEGMENT_MAGIC);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes.extend_from_slice(self.spool_id.as_bytes());
        bytes.extend_from_slice(&self.ordinal.to_le_bytes());
        bytes.extend_from_slice(&self.first_seq.to_le_bytes());
        bytes.extend_from_slice(&self.created_at_ms.to_le_bytes());
        bytes.extend_from_slice(&(self.state.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&self.state);
        let checksum = crc32c::crc32c(&bytes[SEGMENT_CHECKSUM_END..]);
        bytes[8..SEGMENT_CHECKSUM_END].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// How many bytes the whole header has, as far as its fixed part can be believed.
    pub(crate) fn claimed_bytes(fixed: &[u8]) -> Option<usize> {
        let fixed = fixed.get(..SEGMENT_HEADER_BYTES)?;
        let state_bytes = u32_at(fixed, 56) as usize;
        (fixed[..8] == SEGMENT_MAGIC && state_bytes <= MAX_PAYLOAD_BYTES)
            .then_some(SEGMENT_HEADER_BYTES + state_bytes)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, BadHeader> {
        if Self::claimed_bytes(bytes) != Some(bytes.len()) {
            return Err(BadHeader::Unreadable);
        }
        if crc32c::crc32c(&bytes[SEGMENT_CHECKSUM_END..]) != u32_at(bytes, 8) {
            return Err(BadHeader::Unreadable);
        }
        let version = u32_at(bytes, 12);
        if version != FORMAT_VERSION {
            return Err(BadHeader::Version(version));
        }
        Ok(Self {
            spool_id: Uuid::from_bytes(array_at(bytes, 16)),
            ordinal: u64_at(bytes, 32),
            first_seq: u64_at(bytes, 40),
            created_at_ms: u64_at(bytes, 48),
            state: bytes[SEGMENT_HEADER_BYTES..].to_vec(),
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadHeader {
    Unreadable,
    Version(u32),
}

/// The ordinal makes names unique when two rotations have no record between them; the first sequence
/// number is repeated here so that records stay readable when the header isn't.
pub(crate) fn segment_name(ordinal: u64, first_seq: u64) -> String {
    format!("segment-{ordinal:020}-{first_seq:020}")
}

pub(crate) fn parse_segment_name(name: &str) -> Option<(u64, u64)> {
    let (ordinal, first_seq) = name.strip_prefix("segment-")?.split_once('-')?;
    let parsed = (ordinal.parse().ok()?, first_seq.parse().ok()?);
    let is_ours = segment_name(parsed.0, parsed.1) == name && parsed.0.max(parsed.1) < NUMBER_LIMIT;
    is_ours.then_some(parsed)
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

pub(crate) fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}
