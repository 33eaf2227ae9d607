//! The days into which rows were inserted since the store was last known to have stopped cleanly.
//!
//! An incremental view can disagree with its table after the store was killed while inserting, in the days that
//! were written to and in no others. Each day is on disk (`touched-days.json` beside the spool) before its first
//! insert is sent, so that a crash of both processes still leaves the list.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

pub struct TouchedDays {
    path: PathBuf,
    days: Mutex<BTreeSet<i32>>,
}

impl TouchedDays {
    /// Reads the list of an earlier process.
    ///
    /// # Errors
    /// When the file is there and can't be read.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let path = directory.join("touched-days.json");
        let days = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeSet::new(),
            Err(error) => return Err(error),
        };
        Ok(Self { path, days: Mutex::new(days) })
    }

    /// Notes that rows are about to be inserted into `day` (days since the epoch).
    ///
    /// # Errors
    /// When the list can't be written; then the insert must wait.
    pub fn note(&self, day: i32) -> io::Result<()> {
        let mut days = self.days.lock().unwrap_or_else(PoisonError::into_inner);
        if days.contains(&day) {
            return Ok(());
        }
        let mut with_day = days.clone();
        with_day.insert(day);
        self.write(&with_day)?;
        *days = with_day;
        Ok(())
    }

    pub fn all(&self) -> Vec<i32> {
        self.days.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }

    /// The store and the views agree, and nothing is being inserted.
    ///
    /// # Errors
    /// When the list can't be written; the next start then compares more than it must.
    pub fn clear(&self) -> io::Result<()> {
        let mut days = self.days.lock().unwrap_or_else(PoisonError::into_inner);
        self.write(&BTreeSet::new())?;
        days.clear();
        Ok(())
    }

    fn write(&self, days: &BTreeSet<i32>) -> io::Result<()> {
        let temporary = self.path.with_extension("tmp");
        std::fs::write(&temporary, serde_json::to_vec(days)?)?;
        std::fs::File::open(&temporary)?.sync_all()?;
        std::fs::rename(&temporary, &self.path)
    }
}
