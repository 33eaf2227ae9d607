//! Rows that the store refuses for what they hold, kept in `dead-letters.jsonl` beside the spool.
//!
//! A row is written and synced before its batch counts as ended. A crash between the two makes the next process
//! find the same row again, so a row already there is not written twice.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::sync::Mutex;

use uuid::Uuid;

use crate::store::DeadLetter;

/// The dead letters of one spool directory.
pub struct DeadLetters {
    state: Mutex<State>,
}

struct State {
    file: File,
    known: HashSet<(Uuid, u64, u32)>,
}

impl DeadLetters {
    /// Opens or creates the file.
    ///
    /// # Errors
    /// When it can't be read or written.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let path = directory.join("dead-letters.jsonl");
        let mut known = HashSet::new();
        let mut ends_with_newline = true;
        if path.exists() {
            for line in BufReader::new(File::open(&path)?).split(b'\n') {
                let line = line?;
                match serde_json::from_slice::<DeadLetter>(&line) {
                    Ok(letter) => drop(known.insert((letter.spool_id, letter.spool_seq, letter.spool_index))),
                    Err(error) if !line.is_empty() => {
                        // Cut short by a crash before it was acknowledged: the row is still in the spool.
                        tracing::warn!(%error, "a dead letter can't be read and is skipped");
                    }
                    Err(_) => {}
                }
            }
            ends_with_newline = std::fs::read(&path)?.last().is_none_or(|last| *last == b'\n');
        }
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        if !ends_with_newline {
            file.write_all(b"\n")?;
        }
        Ok(Self { state: Mutex::new(State { file, known }) })
    }

    /// Keeps a row; does nothing when it is there already.
    ///
    /// # Errors
    /// When it can't be written or synced; then the row must stay in the spool.
    pub fn keep(&self, letter: &DeadLetter) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let name = (letter.spool_id, letter.spool_seq, letter.spool_index);
        if state.known.contains(&name) {
            return Ok(());
        }
        let mut line = serde_json::to_vec(letter)?;
        line.push(b'\n');
        state.file.write_all(&line)?;
        state.file.sync_data()?;
        state.known.insert(name);
        Ok(())
    }

    /// How many rows are kept.
    pub fn count(&self) -> usize {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner).known.len()
    }
}
