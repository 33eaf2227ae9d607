//! The days into which rows were inserted of late: those in which the store's end could leave a difference.
//!
//! An incremental view can disagree with its table after the store was killed while inserting, in the days that
//! were written to and in no others. Each day is on disk (`touched-days.json` beside the spool) before its first
//! insert is sent, so that a crash of both processes still leaves the list.
//!
//! A day that nothing was sent to for long is let go of once the store is known to be sound
//! ([`forget_settled`](TouchedDays::forget_settled)), or a service that runs for months would compare all of them after
//! each start of the store.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use mohaa_actors::clock::Clock;

/// An insert and the questions about it end within minutes, and what the store wrote is on its disk within another one,
/// should the machine lose its power: this is long after both.
const SETTLED_AFTER: Duration = Duration::from_secs(60 * 60);

pub struct TouchedDays {
    path: PathBuf,
    clock: Clock,
    /// When something was last sent to a day, or asked of what may have been. Only the days are on disk: when they were
    /// touched is not known to the next process, which takes the time of its start.
    days: Mutex<BTreeMap<i32, Instant>>,
}

impl TouchedDays {
    /// Reads the list of an earlier process.
    ///
    /// # Errors
    /// When the file is there and can't be read.
    pub fn open(directory: &Path, clock: Clock) -> io::Result<Self> {
        let path = directory.join("touched-days.json");
        let days: Vec<i32> = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let now = clock.instant();
        Ok(Self { path, clock, days: Mutex::new(days.into_iter().map(|day| (day, now)).collect()) })
    }

    /// Notes that rows are about to be inserted into `day` (days since the epoch), or that some may have been.
    ///
    /// # Errors
    /// When the list can't be written; then the insert must wait.
    pub fn note(&self, day: i32) -> io::Result<()> {
        let now = self.clock.instant();
        let mut days = self.days.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(touched) = days.get_mut(&day) {
            *touched = now;
            return Ok(());
        }
        self.write(days.keys().copied().chain([day]))?;
        days.insert(day, now);
        Ok(())
    }

    pub fn all(&self) -> Vec<i32> {
        self.days.lock().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    /// Lets go of the days that nothing was sent to for an hour. They need no comparison: each insert into them ended
    /// clearly, in the table and in its views, and the store has it on its disk.
    ///
    /// Only for a caller who knows that the store has not stopped since its last comparison, on none of its nodes, and
    /// that no insert ended unclearly that was not compared.
    ///
    /// # Errors
    /// When the list can't be written; then it stays as it is.
    pub fn forget_settled(&self) -> io::Result<()> {
        let now = self.clock.instant();
        let mut days = self.days.lock().unwrap_or_else(PoisonError::into_inner);
        let mut recent = days.clone();
        recent.retain(|_, touched| now.saturating_duration_since(*touched) < SETTLED_AFTER);
        if recent.len() < days.len() {
            self.write(recent.keys().copied())?;
            *days = recent;
        }
        Ok(())
    }

    /// The store and the views agree, and nothing is being inserted.
    ///
    /// # Errors
    /// When the list can't be written; the next start then compares more than it must.
    pub fn clear(&self) -> io::Result<()> {
        let mut days = self.days.lock().unwrap_or_else(PoisonError::into_inner);
        self.write([])?;
        days.clear();
        Ok(())
    }

    fn write(&self, days: impl IntoIterator<Item = i32>) -> io::Result<()> {
        let days: Vec<i32> = days.into_iter().collect();
        let temporary = self.path.with_extension("tmp");
        std::fs::write(&temporary, serde_json::to_vec(&days)?)?;
        std::fs::File::open(&temporary)?.sync_all()?;
        std::fs::rename(&temporary, &self.path)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use mohaa_actors::clock::SimulatedTime;
    use mohaa_domain::event::Millis;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// What another process would find.
    fn on_disk(directory: &Path) -> Vec<i32> {
        TouchedDays::open(directory, Clock::system()).unwrap().all()
    }

    #[test]
    fn a_day_is_let_go_of_an_hour_after_it_was_touched_last() {
        let directory = tempfile::tempdir().unwrap();
        let time = SimulatedTime::starting_at(Millis(0));
        let days = TouchedDays::open(directory.path(), time.clock()).unwrap();
        days.note(1).unwrap();
        days.note(2).unwrap();
        time.advance(59 * MINUTE);
        days.note(2).unwrap();
        days.forget_settled().unwrap();
        assert_eq!(on_disk(directory.path()), [1, 2]);
        time.advance(MINUTE);
        days.forget_settled().unwrap();
        assert_eq!((days.all(), on_disk(directory.path())), (vec![2], vec![2]));
        days.note(1).unwrap();
        assert_eq!(on_disk(directory.path()), [1, 2], "it is touched again");
    }

    #[test]
    fn days_of_a_killed_process_stay_for_an_hour_after_the_next_start() {
        let directory = tempfile::tempdir().unwrap();
        let time = SimulatedTime::starting_at(Millis(0));
        TouchedDays::open(directory.path(), time.clock()).unwrap().note(1).unwrap();
        time.advance(600 * MINUTE);
        let days = TouchedDays::open(directory.path(), time.clock()).unwrap();
        days.forget_settled().unwrap();
        assert_eq!(days.all(), [1]);
        time.advance(60 * MINUTE);
        days.forget_settled().unwrap();
        assert_eq!(on_disk(directory.path()), Vec::<i32>::new());
    }
}
