//! The log of a tournament's mutations, and the tournament that comes of it.

use serde::{Deserialize, Serialize};

use super::At;
use super::apply::Applied;
use super::bout::By;
use super::change::Change;
use super::command::{Command, Refusal};
use super::settings::Settings;
use super::state::Tournament;

/// One mutation as it was done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Logged {
    /// Of the tournament after it.
    pub version: u64,
    pub at: At,
    pub by: By,
    /// Null: an undo.
    pub command: Option<Command>,
    /// The version that it took back.
    pub undoes: Option<u64>,
}

/// Why a log can't be replayed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    #[error("version {version}: {refusal}")]
    Refused { version: u64, refusal: Refusal },
    #[error("version {version} takes back version {undoes}, which is not the last that stands")]
    WrongUndo { version: u64, undoes: u64 },
    #[error("version {0} is neither a command nor an undo")]
    Nothing(u64),
}

/// Does everything of a log again, from the draft, an entry after the other. Keeps what undos need, and no state but the last.
pub struct Replay {
    tournament: Tournament,
    /// What stands, the last on top.
    standing: Vec<(u64, By, Vec<Change>)>,
}

impl Replay {
    pub fn new(draft: Settings) -> Self {
        Self { tournament: Tournament::new(draft), standing: Vec::new() }
    }

    /// Does the next entry again.
    pub fn step(&mut self, entry: &Logged) -> Result<Applied, ReplayError> {
        let version = entry.version;
        let applied = match (&entry.command, entry.undoes) {
            (Some(command), None) => {
                let applied = self.tournament.apply(command, entry.by, entry.at);
                let applied = applied.map_err(|refusal| ReplayError::Refused { version, refusal })?;
                // A name that is gone stays gone: an undo takes back what was done before.
                if !matches!(command, Command::Forget { .. }) {
                    self.standing.push((version, entry.by, applied.changes.clone()));
                }
                applied
            }
            (None, Some(undoes)) => {
                let last = self.standing.pop().filter(|(last, ..)| *last == undoes);
                let (_, was_by, undone) = last.ok_or(ReplayError::WrongUndo { version, undoes })?;
                self.tournament.undo(&undone, was_by)
            }
            _ => return Err(ReplayError::Nothing(version)),
        };
        self.tournament = applied.tournament.clone();
        Ok(applied)
    }

    /// As it is after the entries so far.
    pub fn tournament(&self) -> &Tournament {
        &self.tournament
    }
}
