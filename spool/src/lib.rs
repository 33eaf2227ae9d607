//! The durable segment log under the Batcher. This text is its specification.
//!
//! # Constraints
//!
//! - A record whose append was answered `Ok` survives what [`Fsync`] promises, is given back once and in
//!   order at the next start, and stays until the caller says that it is stored.
//! - A sequence number names one record for ever. The store deduplicates by it, so a number given twice
//!   would make the store drop new events as repeats.
//! - The caller never waits: [`Spool::append`] takes a lock for a few instructions, and a writer that is at
//!   work isn't woken, nor is one for each append of a group ([`Spool::append_to_group`]). All of this package is blocking code on plain threads.
//! - Bytes that are there and can't be read are told ([`Damage`]), never skipped in silence.
//!
//! # Directory
//!
//! | file | what it is |
//! |---|---|
//! | `lock` | Locked by the process that has the spool open; the lock ends with the process. |
//! | `identity` | The spool's random id, and the number below which numbers may be in use. Replaced whole. |
//! | `checkpoint` | Which ranges are stored. A log, replaced whole when it is long. |
//! | `segment-<ordinal>-<first seq>` | A header and records. Only ever appended to. |
//! | `damaged-segment-…` | A segment that is done with, but for bytes that could not be read: set aside for people. |
//! | `*.unfinished` | What a crash left of a file being made; removed at the next start. |
//!
//! `identity`, `checkpoint` and a new segment are written under an unfinished name, synced, renamed, and the
//! directory is synced, whatever the policy: a crash leaves the old file or the new one, whole. So a header
//! that can't be read is damage, never a crash.
//!
//! # Segment
//!
//! All integers are little-endian. The header: magic `MOHSPOOL`, CRC32C of what follows it, format version u32,
//! spool id (16 bytes), ordinal u64, first sequence number u64, creation in Unix milliseconds u64, length u32 and
//! bytes of the caller's state. The name repeats ordinal and first number: with the id from `identity` the
//! records of a segment stay readable without its header.
//!
//! Ordinals count up by one, so a segment that somebody removed from between two others is noticed.
//!
//! **Rotation** begins a segment with the caller's state at exactly that point in the order of appends; folding
//! the later records into it gives the state at the end. A process rotates before it appends. A rotation that
//! fails before the new name is there changes nothing: appending goes on in the old segment, whose state with
//! all its records is as good. [`Spool::wants_rotation`] goes by size (a sixteenth of the budget at most, because
//! a segment is the smallest thing that can be deleted), by age (so that a quiet system's records get deleted
//! too), and when the budget is used up.
//!
//! # Record
//!
//! Magic `FF 5E C0 FD`, CRC32C, payload length u32, events u32, sequence number u64, time of the write in Unix
//! milliseconds u64, kind u8 (1 data, 2 seal), three zeroes, payload. The checksum starts from a seed made of
//! spool id, ordinal and first number, and covers all behind itself; numbers grow along a segment. So neither
//! a record of another spool or segment nor an older one of the same passes, even whole. The magic occurs in
//! no UTF-8 text: looking for the next record behind damage isn't misled by JSON.
//!
//! **Numbers** count up by one, starting at 1; from 2^62 on they are damage. `identity` reserves them a million ahead (at the start, then by the
//! writer, before a record with such a number is written). A clean stop gives the unused ones back; after
//! any other stop numbering goes on behind the reserved ones, because a power loss may have taken
//! records that were already sent. A failed append leaves a gap.
//!
//! # Writing
//!
//! One thread takes everything queued, encodes it into one buffer (written early at 1 MiB), writes it
//! with one write, syncs by policy and answers. Under load a slow disk makes larger groups, not more of them.
//!
//! | policy | append answered | seal answered | kill, panic, out of memory | power loss |
//! |---|---|---|---|---|
//! | `Always` | after its sync | after its sync | loses nothing answered | loses nothing answered |
//! | `Interval` | after its write | after the next sync | loses nothing answered | appends of the last interval, no seal |
//! | `Never` | after its write | after its write | loses nothing answered | what the system had not written, also in the middle |
//!
//! `Always` and `Interval` also sync a segment before its successor exists, so a power loss takes a tail and
//! never the middle. Recovery syncs what a killed process left in the page cache.
//!
//! **A failed write** (disk full, I/O error): records that are whole on disk are answered `Ok`, the file is cut
//! back behind them, the others get the error, later appends may succeed. **A failed sync**, a cut that fails, or
//! a rename whose directory can't be synced **poisons**: what is on disk isn't known any more (after a failed
//! fsync Linux calls the lost pages clean, and a second fsync succeeds), so every later append fails until
//! the spool is opened, and thereby read, again. A record answered `Poisoned` may then turn out to be there:
//! the sender's repetition is caught by its idempotency key.
//!
//! # Seals and acknowledgement
//!
//! A **seal** is a record that logs the boundary of a batch in the order of appends. Recovery returns those with
//! records that are not stored: the same batches get the same tokens. Under `Interval` a batch that waits for its
//! seal's answer can't be stored and then be cut differently after a power loss.
//!
//! [`Spool::stored`] adds the range to `checkpoint`, an entry of 20 bytes with a checksum, written and not synced.
//! Lost entries bring batches back that are stored; the caller verifies a recovered batch before it sends it
//! again. A `checkpoint` that can't be written is counted and stops nothing.
//!
//! **Deletion**: the writer removes the oldest segment while all its records are stored, none is at or behind
//! [`Spool::retain_from`], and a newer segment has a readable header. One always remains, so the caller's
//! state survives an empty spool. A segment with damage that was told isn't removed but renamed, and is no part of the
//! spool from then on. The directory is synced after each removal: a power loss that undid one and
//! not the next would look like a missing segment.
//!
//! # Budget
//!
//! [`Spool::admit`] refuses above `max_bytes` and admits again below nine tenths of it. It also refuses while the disk has
//! less than 64 MiB to spare (a sixteenth of a small disk): a disk that is full to the last byte would leave no room
//! for the next segment, without which the last one is never deleted. It guards the entrance only:
//! an append of what was admitted is never refused for its size on disk, nor is a seal.
//!
//! # Recovery
//!
//! Reads every segment once, oldest first.
//!
//! - Unreadable bytes at the end of the newest segment are cut off ([`TornTail`]): a write that a crash
//!   interrupted, which nobody was answered for (under `Always` and after `kill -9`; a power loss under the other
//!   policies takes what they give up).
//! - Unreadable bytes elsewhere are skipped up to the next record whose checksum and number fit, or the segment's
//!   end, and told as [`Damage`] with the numbers that may be lost, at every start until the segment is deleted.
//! - An unreadable header costs that state: the next older one serves, with all records since.
//! - An unreadable `identity` is made anew from a segment's header, and numbers jump ahead. Without one either the
//!   spool doesn't open, rather than call everything damaged.
//! - A disk without a free byte doesn't keep a spool from opening and draining; appends fail meanwhile.
//!
//! [`Recovered`]'s iterators stream from disk. A record that becomes unreadable while the spool is open makes reading it
//! an error; [`SpoolReader::salvage`] reads around it.

mod budget;
mod checkpoint;
pub mod crash_point;
mod damage;
mod error;
mod format;
mod identity;
mod ranges;
mod reader;
mod recover;
mod scan;
mod segments;
mod shared;
mod spool;
mod stats;
mod storage;
pub mod testing;
mod writer;

pub use damage::{Damage, DamageKind};
pub use error::{AppendError, CloseError, Fault, Full, OpenError, ReadError};
pub use format::MAX_PAYLOAD_BYTES;
pub use ranges::{RangeSet, SeqRange};
pub use reader::{Record, Records, SpoolReader};
pub use recover::TornTail;
pub use spool::{Fsync, Recovered, Spool, SpoolOptions};
pub use stats::SpoolStats;
pub use storage::{DirectoryEntry, DirectoryLock, FileSystem, Space, Storage, StorageFile};
