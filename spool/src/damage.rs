//! What recovery found missing or unreadable. Never silent: the caller logs and counts each.

use std::fmt;

use crate::ranges::SeqRange;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    pub kind: DamageKind,
    /// A file name in the spool's directory.
    pub file: String,
    pub offset: u64,
    pub bytes: u64,
    /// The numbers that the lost records can have had, at most; a seal may be lost besides.
    pub suspects: Option<SeqRange>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DamageKind {
    /// Skipped up to the next whole record, or to the end of a segment that has a successor.
    UnreadableRecords,
    /// The caller's state in it is lost (an older one serves), the records behind it aren't.
    UnreadableHeader,
    /// A segment between two others is gone.
    MissingSegment,
    /// Belongs to another spool: left alone, its records are not ours.
    ForeignSegment,
    /// The spool id was taken from a segment header, and sequence numbers jumped ahead.
    UnreadableIdentity,
    /// Some batches that are stored come back as not stored.
    UnreadableCheckpoint,
}

impl DamageKind {
    pub const ALL: [Self; 6] = [
        Self::UnreadableRecords,
        Self::UnreadableHeader,
        Self::MissingSegment,
        Self::ForeignSegment,
        Self::UnreadableIdentity,
        Self::UnreadableCheckpoint,
    ];

    /// A word for metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnreadableRecords => "unreadable_records",
            Self::UnreadableHeader => "unreadable_header",
            Self::MissingSegment => "missing_segment",
            Self::ForeignSegment => "foreign_segment",
            Self::UnreadableIdentity => "unreadable_identity",
            Self::UnreadableCheckpoint => "unreadable_checkpoint",
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            DamageKind::UnreadableRecords => "unreadable records",
            DamageKind::UnreadableHeader => "unreadable header",
            DamageKind::MissingSegment => "missing segment",
            DamageKind::ForeignSegment => "segment of another spool",
            DamageKind::UnreadableIdentity => "unreadable identity",
            DamageKind::UnreadableCheckpoint => "unreadable checkpoint entries",
        };
        write!(formatter, "{what}: {} bytes at offset {} of {}", self.bytes, self.offset, self.file)?;
        match self.suspects {
            Some(range) => write!(formatter, ", at most records {range} are lost"),
            None => Ok(()),
        }
    }
}
