//! A disk in memory that stalls, fills up, fails and loses power, for tests of the spool and its callers.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::storage::{DirectoryEntry, DirectoryLock, Space, Storage, StorageFile};

/// One process's view of the disk. After a crash every operation through it, and through files it
/// opened, fails; [`Self::kill`] and [`Self::lose_power`] give the next process's view.
#[derive(Clone)]
pub struct FakeStorage {
    disk: Arc<Disk>,
    process: u64,
}

struct Disk {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    process: u64,
    /// What the running system sees.
    names: BTreeMap<PathBuf, usize>,
    /// What a power loss leaves of the names.
    synced_names: BTreeMap<PathBuf, usize>,
    contents: Vec<Content>,
    locked_by: Option<u64>,
    stalled: bool,
    waiting: usize,
    space_left: Option<(usize, io::ErrorKind)>,
    reported_space: Option<Space>,
    crash_in_write: Option<usize>,
    sync_error: Option<io::ErrorKind>,
    truncate_error: Option<io::ErrorKind>,
    remove_error: Option<io::ErrorKind>,
    syncs: u64,
    writes: u64,
}

#[derive(Default, Clone)]
struct Content {
    bytes: Vec<u8>,
    synced: Vec<u8>,
}

impl Default for FakeStorage {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeStorage {
    #[must_use]
    pub fn new() -> Self {
        Self {
            disk: Arc::new(Disk { state: Mutex::new(State::default()), changed: Condvar::new() }),
            process: 0,
        }
    }

    /// Writes wait until [`Self::release`].
    pub fn stall(&self) {
        self.state().stalled = true;
    }

    pub fn release(&self) {
        self.state().stalled = false;
        self.disk.changed.notify_all();
    }

    /// Returns when a write waits.
    pub fn wait_until_stalled(&self) {
        let mut state = self.state();
        while state.waiting == 0 {
            state = self.disk.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes so many bytes more, then answers every write with `kind` (`StorageFull`, say).
    pub fn fail_writes_after(&self, bytes: usize, kind: io::ErrorKind) {
        self.state().space_left = Some((bytes, kind));
    }

    /// What the disk says of its room from now on; at first more than anybody needs.
    pub fn report_space(&self, available: u64, total: u64) {
        self.state().reported_space = Some(Space { available, total });
    }

    pub fn fail_syncs(&self, kind: io::ErrorKind) {
        self.state().sync_error = Some(kind);
    }

    pub fn fail_truncates(&self, kind: io::ErrorKind) {
        self.state().truncate_error = Some(kind);
    }

    pub fn fail_removals(&self, kind: io::ErrorKind) {
        self.state().remove_error = Some(kind);
    }

    /// No more failures.
    pub fn heal(&self) {
        let mut state = self.state();
        state.space_left = None;
        state.sync_error = None;
        state.truncate_error = None;
        state.remove_error = None;
    }

    /// The process dies within its next write, of which so many bytes arrive.
    pub fn die_in_next_write(&self, bytes: usize) {
        self.state().crash_in_write = Some(bytes);
    }

    /// `kill -9`: what was written stays. Returns the next process's view.
    #[must_use]
    pub fn kill(&self) -> Self {
        let mut state = self.state();
        if state.process == self.process {
            end_process(&mut state);
        }
        let process = state.process;
        drop(state);
        self.disk.changed.notify_all();
        Self { disk: Arc::clone(&self.disk), process }
    }

    /// The power fails: of what was not synced each file keeps the first `kept_percent` (cut at any byte).
    #[must_use]
    pub fn lose_power(&self, kept_percent: u8) -> Self {
        let next = self.kill();
        let mut state = next.state();
        state.names = state.synced_names.clone();
        for content in &mut state.contents {
            let synced = content.synced.len();
            // Shortened and not synced: the old length may come back, with the old bytes.
            let appended = content.bytes.strip_prefix(&content.synced[..]).map(<[u8]>::to_vec);
            content.bytes.clone_from(&content.synced);
            if let Some(appended) = appended {
                let kept = appended.len() * usize::from(kept_percent.min(100)) / 100;
                content.bytes.extend_from_slice(&appended[..kept]);
            }
            debug_assert!(content.bytes.len() >= synced);
            content.synced.clone_from(&content.bytes);
        }
        drop(state);
        next
    }

    /// Changes bytes behind everybody's back, as a bad sector does.
    pub fn corrupt(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        if let Some(&at) = state.names.get(path) {
            let content = &mut state.contents[at];
            change(&mut content.bytes);
            content.synced.clone_from(&content.bytes);
        }
    }

    pub fn delete(&self, path: &Path) {
        let mut state = self.state();
        state.names.remove(path);
        state.synced_names.remove(path);
    }

    /// Paths of all files, sorted.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        self.state().names.keys().cloned().collect()
    }

    /// fsyncs of files so far.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.state().syncs
    }

    /// Writes so far.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.state().writes
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.disk.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn alive(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.state();
        if state.process == self.process { Ok(state) } else { Err(dead()) }
    }
}

fn end_process(state: &mut State) {
    state.process += 1;
    state.locked_by = None;
    state.crash_in_write = None;
    state.stalled = false;
}

fn dead() -> io::Error {
    io::Error::other("this process is dead")
}

fn failure(kind: Option<io::ErrorKind>) -> io::Result<()> {
    kind.map_or(Ok(()), |kind| Err(kind.into()))
}

impl Storage for FakeStorage {
    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        self.alive().map(drop)
    }

    fn lock(&self, _dir: &Path) -> io::Result<DirectoryLock> {
        let mut state = self.alive()?;
        if state.locked_by.is_some() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        state.locked_by = Some(self.process);
        Ok(Box::new(FakeLock(self.clone())))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirectoryEntry>> {
        let state = self.alive()?;
        Ok(state
            .names
            .iter()
            .filter(|(path, _)| path.parent() == Some(dir))
            .filter_map(|(path, &at)| {
                let name = path.file_name()?.to_str()?.to_owned();
                Some(DirectoryEntry { name, bytes: state.contents[at].bytes.len() as u64 })
            })
            .collect())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn StorageFile>> {
        let mut state = self.alive()?;
        state.contents.push(Content::default());
        let at = state.contents.len() - 1;
        state.names.insert(path.to_path_buf(), at);
        Ok(Box::new(FakeFile { storage: self.clone(), at }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn StorageFile>> {
        let state = self.alive()?;
        let &at = state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(FakeFile { storage: self.clone(), at }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.alive()?;
        let at = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_path_buf(), at);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.alive()?;
        failure(state.remove_error)?;
        state.names.remove(path).map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        let mut state = self.alive()?;
        failure(state.sync_error)?;
        state.synced_names = state.names.clone();
        Ok(())
    }

    fn space(&self, _dir: &Path) -> io::Result<Space> {
        let plenty = Space { available: 1 << 40, total: 1 << 40 };
        Ok(self.alive()?.reported_space.unwrap_or(plenty))
    }
}

struct FakeLock(FakeStorage);

impl Drop for FakeLock {
    fn drop(&mut self) {
        let mut state = self.0.state();
        if state.locked_by == Some(self.0.process) {
            state.locked_by = None;
        }
    }
}

struct FakeFile {
    storage: FakeStorage,
    at: usize,
}

impl StorageFile for FakeFile {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.storage.alive()?.contents[self.at].bytes.len() as u64)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let disk = &self.storage.disk;
        let mut state = self.storage.alive()?;
        while state.stalled {
            state.waiting += 1;
            disk.changed.notify_all();
            state = disk.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
            if state.process != self.storage.process {
                return Err(dead());
            }
        }
        if let Some(kept) = state.crash_in_write.take() {
            let kept = kept.min(bytes.len());
            state.contents[self.at].bytes.extend_from_slice(&bytes[..kept]);
            end_process(&mut state);
            return Err(dead());
        }
        let taken = match &mut state.space_left {
            None => bytes.len(),
            Some((0, kind)) if !bytes.is_empty() => return Err((*kind).into()),
            Some((left, _)) => {
                let taken = bytes.len().min(*left);
                *left -= taken;
                taken
            }
        };
        state.writes += 1;
        state.contents[self.at].bytes.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.storage.alive()?;
        let bytes = &state.contents[self.at].bytes;
        let rest = bytes.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn truncate(&mut self, bytes: u64) -> io::Result<()> {
        let mut state = self.storage.alive()?;
        failure(state.truncate_error)?;
        state.contents[self.at].bytes.truncate(bytes as usize);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.storage.alive()?;
        failure(state.sync_error)?;
        state.syncs += 1;
        let content = &mut state.contents[self.at];
        content.synced.clone_from(&content.bytes);
        drop(state);
        self.storage.disk.changed.notify_all();
        Ok(())
    }
}
