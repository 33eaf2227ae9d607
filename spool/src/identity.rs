//! The file `identity`: who this spool is, and how far sequence numbers are spoken for.

use std::path::Path;

use uuid::Uuid;

use crate::error::Fault;
use crate::format::{FORMAT_VERSION, NUMBER_LIMIT, array_at, u32_at, u64_at};
use crate::storage::{PublishError, Storage, publish, read_full};

pub(crate) const IDENTITY_NAME: &str = "identity";

const MAGIC: [u8; 8] = *b"MOHIDENT";
/// magic 8, checksum 4, version 4, spool id 16, reserved below 8
const IDENTITY_BYTES: usize = 40;

/// How many numbers are reserved at once: at the design load of 5,000 records a second one small
/// synced write every 100 s, and an unclean stop skips a millionth of a millionth of all numbers.
pub(crate) const RESERVATION: u64 = 1 << 20;

/// Reserve anew when so few are left: a disk that refuses the write for a while stops nobody.
pub(crate) const RESERVATION_MARGIN: u64 = RESERVATION / 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub spool_id: Uuid,
    /// Every number below this may have been given to a record; none from here on has.
    pub reserved_below: u64,
}

pub(crate) enum StoredIdentity {
    Present(Identity),
    Absent,
    Unreadable,
    OtherVersion(u32),
}

impl Identity {
    pub(crate) fn publish(&self, storage: &dyn Storage, dir: &Path) -> Result<(), Fault> {
        let mut bytes = Vec::with_capacity(IDENTITY_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes.extend_from_slice(self.spool_id.as_bytes());
        // There are no further numbers to reserve, and whoever reads this takes more for damage.
        bytes.extend_from_slice(&self.reserved_below.min(NUMBER_LIMIT).to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[12..]);
        bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
        publish(storage, dir, IDENTITY_NAME, &bytes).map(drop).map_err(PublishError::into_fault)
    }

    pub(crate) fn read(storage: &dyn Storage, dir: &Path) -> Result<StoredIdentity, Fault> {
        let path = dir.join(IDENTITY_NAME);
        let mut bytes = [0; IDENTITY_BYTES];
        let read = storage.open(&path).and_then(|file| read_full(&*file, &mut bytes, 0));
        match read {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(StoredIdentity::Absent);
            }
            Err(error) => return Err(Fault::new("read", &path, error)),
            Ok(count) if count < IDENTITY_BYTES => return Ok(StoredIdentity::Unreadable),
            Ok(_) => {}
        }
        if bytes[..8] != MAGIC || crc32c::crc32c(&bytes[12..]) != u32_at(&bytes, 8) {
            return Ok(StoredIdentity::Unreadable);
        }
        let version = u32_at(&bytes, 12);
        if version != FORMAT_VERSION {
            return Ok(StoredIdentity::OtherVersion(version));
        }
        let reserved_below = u64_at(&bytes, 32);
        if reserved_below > NUMBER_LIMIT {
            return Ok(StoredIdentity::Unreadable);
        }
        Ok(StoredIdentity::Present(Self { spool_id: Uuid::from_bytes(array_at(&bytes, 16)), reserved_below }))
    }
}
