//! What can go wrong, each with what the caller can do about it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

/// One operation that the storage refused. Cloneable, because one failed write fails many appends.
#[derive(Debug, Clone, Error)]
#[error("could not {operation} {}: {cause}", path.display())]
pub struct Fault {
    pub operation: &'static str,
    pub path: PathBuf,
    pub cause: Arc<io::Error>,
}

impl Fault {
    pub(crate) fn new(operation: &'static str, path: &Path, cause: io::Error) -> Self {
        Self { operation, path: path.to_path_buf(), cause: Arc::new(cause) }
    }

    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        self.cause.kind()
    }
}

#[derive(Debug, Error)]
pub enum OpenError {
    #[error("the spool {} is in use by another process", dir.display())]
    Locked { dir: PathBuf },
    #[error(transparent)]
    Storage(#[from] Fault),
    #[error("{} was written by format version {found}, this build reads version {expected}", path.display())]
    Version { path: PathBuf, found: u32, expected: u32 },
    /// Neither the identity file nor any segment header tells the spool id, without which no record's
    /// checksum can be checked. Nothing was changed: an operator moves the directory away.
    #[error("{} holds segments, but neither its identity file nor a segment header can be read; move it away to start anew", dir.display())]
    NoIdentity { dir: PathBuf },
    #[error("could not start the spool's writer thread: {0}")]
    Thread(io::Error),
}

/// Why one append or seal did not happen.
#[derive(Debug, Clone, Error)]
pub enum AppendError {
    /// The write failed and was undone: this record is not on disk, a later one may succeed.
    #[error(transparent)]
    Write(Fault),
    /// Sequence numbers could not be reserved on disk: this record is not on disk, a later one may succeed.
    #[error("no sequence number could be reserved: {0}")]
    Reservation(Fault),
    /// What is on disk is no longer known: whether this record is, shows at the next start.
    #[error("the spool takes nothing more until it is opened again: {reason}")]
    Poisoned { reason: Arc<str> },
    #[error("a record of {bytes} bytes exceeds the limit of {limit} bytes")]
    TooLarge { bytes: u64, limit: u64 },
    #[error("the spool has no segment to append to; rotate first")]
    NoSegment,
    #[error("{first}..={last} is not a range of sequence numbers below {next_seq}")]
    InvalidSeal { first: u64, last: u64, next_seq: u64 },
    /// The next process would not take a record of such a number for one of ours.
    #[error("all sequence numbers are used up; a file with forged numbers is in the spool's directory")]
    NumbersUsedUp,
    #[error("the spool is closed")]
    Closed,
}

#[derive(Debug, Clone, Error)]
pub enum ReadError {
    #[error(transparent)]
    Storage(#[from] Fault),
    /// Deleted, because it was stored, or never there.
    #[error("records {first}..={last} are not on disk (the oldest segment begins at {oldest})")]
    NotOnDisk { first: u64, last: u64, oldest: u64 },
    #[error("records up to {last} were asked for, only those up to {written} are written")]
    NotWritten { last: u64, written: u64 },
    /// The bytes changed after they were written or recovered. [`crate::SpoolReader::salvage`] reads around it.
    #[error("segment {segment} is unreadable at offset {offset} ({bytes} bytes)")]
    Damaged { segment: String, offset: u64, bytes: u64 },
}

#[derive(Debug, Error)]
pub enum CloseError {
    #[error(
        "the spool's writer did not finish in time; what it has not written is lost unless it still does"
    )]
    Deadline,
    #[error("the spool closed poisoned: {reason}")]
    Poisoned { reason: Arc<str> },
    #[error(transparent)]
    Storage(#[from] Fault),
}

/// The spool is at its budget: ask again later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the spool is full: {used} of {max} bytes are in use")]
pub struct Full {
    pub used: u64,
    pub max: u64,
    pub retry_after: std::time::Duration,
}
