//! The few file operations the spool uses, so that tests can put a failing disk under it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::error::Fault;

/// Held for as long as the spool is open.
pub type DirectoryLock = Box<dyn Send + Sync>;

pub struct DirectoryEntry {
    pub name: String,
    pub bytes: u64,
}

/// The room on the disk that a directory is on, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// What may still be written.
    pub available: u64,
    pub total: u64,
}

pub trait Storage: Send + Sync {
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// Fails with `WouldBlock` while somebody else holds the lock; it ends with the process that holds it.
    fn lock(&self, dir: &Path) -> io::Result<DirectoryLock>;
    /// Plain files only.
    fn list(&self, dir: &Path) -> io::Result<Vec<DirectoryEntry>>;
    /// An empty file; what was at that path is gone.
    fn create(&self, path: &Path) -> io::Result<Box<dyn StorageFile>>;
    fn open(&self, path: &Path) -> io::Result<Box<dyn StorageFile>>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes creations, renames and removals in the directory survive a power loss.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    fn space(&self, dir: &Path) -> io::Result<Space>;
}

pub trait StorageFile: Send + Sync {
    fn bytes(&self) -> io::Result<u64>;
    /// Writes at the end; may take fewer bytes than given, as `write(2)` may.
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize>;
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    fn truncate(&mut self, bytes: u64) -> io::Result<()>;
    /// Makes the content and the length survive a power loss (`fdatasync`).
    fn sync(&self) -> io::Result<()>;
}

/// The real file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct FileSystem;

impl Storage for FileSystem {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }

    fn lock(&self, dir: &Path) -> io::Result<DirectoryLock> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(dir.join("lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(file)),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirectoryEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            // Our own names are ASCII; anything else is not ours.
            let Ok(name) = entry.file_name().into_string() else { continue };
            if metadata.is_file() {
                entries.push(DirectoryEntry { name, bytes: metadata.len() });
            }
        }
        Ok(entries)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn StorageFile>> {
        if let Err(error) = fs::remove_file(path)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let file = OpenOptions::new().create_new(true).read(true).append(true).open(path)?;
        Ok(Box::new(DiskFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn StorageFile>> {
        Ok(Box::new(DiskFile(OpenOptions::new().read(true).append(true).open(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn space(&self, dir: &Path) -> io::Result<Space> {
        let found = rustix::fs::statvfs(dir)?;
        Ok(Space { available: found.f_bavail * found.f_frsize, total: found.f_blocks * found.f_frsize })
    }
}

struct DiskFile(File);

impl StorageFile for DiskFile {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn truncate(&mut self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

/// Writes all of `bytes`; on an error tells how many of them had been taken before.
pub(crate) fn append_all(file: &mut dyn StorageFile, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
    let mut taken = 0;
    while taken < bytes.len() {
        match file.append(&bytes[taken..]) {
            Ok(0) => return Err((taken, io::ErrorKind::WriteZero.into())),
            Ok(count) => taken += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((taken, error)),
        }
    }
    Ok(())
}

/// Fills as much of `buffer` as the file has from `offset` on.
pub(crate) fn read_full(file: &dyn StorageFile, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Publishes `bytes` under `name` so that a crash at any point leaves the old file or the new one, whole.
/// Gives the file back, open for appending.
pub(crate) fn publish(
    storage: &dyn Storage,
    dir: &Path,
    name: &str,
    bytes: &[u8],
) -> Result<Box<dyn StorageFile>, PublishError> {
    let path = dir.join(name);
    let unfinished = dir.join(format!("{name}{UNFINISHED_SUFFIX}"));
    let written = storage.create(&unfinished).and_then(|mut file| {
        append_all(&mut *file, bytes).map_err(|(_, error)| error)?;
        file.sync()?;
        storage.rename(&unfinished, &path)?;
        Ok(file)
    });
    let file = match written {
        Ok(file) => file,
        Err(error) => {
            // A left-over is removed at the next start; its failed removal says nothing new.
            let _ = storage.remove(&unfinished);
            return Err(PublishError::NotPublished(Fault::new("write", &path, error)));
        }
    };
    match storage.sync_dir(dir) {
        Ok(()) => Ok(file),
        Err(error) => Err(PublishError::Unknown(Fault::new("sync the directory of", &path, error))),
    }
}

/// Ends the name of a file that was not published; recovery removes those.
pub(crate) const UNFINISHED_SUFFIX: &str = ".unfinished";

#[derive(Debug)]
pub(crate) enum PublishError {
    /// The old file, or none, is there still.
    NotPublished(Fault),
    /// The new file is there now; whether it is after a power loss nobody knows.
    Unknown(Fault),
}

impl PublishError {
    pub(crate) fn into_fault(self) -> Fault {
        match self {
            Self::NotPublished(fault) | Self::Unknown(fault) => fault,
        }
    }
}
