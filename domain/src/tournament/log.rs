//! The log of a tournament's mutations, and the tournament that comes of it.

use std::collections::BTreeMap;

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

/// Does everything of a log again, from the draft. Gives the tournament, and what each entry changed.
pub fn replay(draft: Settings, log: &[Logged]) -> Result<(Tournament, Vec<Applied>), ReplayError> {
    let mut tournament = Tournament::new(draft);
    let mut steps = Vec::with_capacity(log.len());
    // What stands, the last on top.
    let mut standing: Vec<u64> = Vec::new();
    let mut changes: BTreeMap<u64, (By, Vec<Change>)> = BTreeMap::new();
    for entry in log {
        let version = entry.version;
        let applied = match (&entry.command, entry.undoes) {
            (Some(command), None) => {
                standing.push(version);
                tournament
                    .apply(command, entry.by, entry.at)
                    .map_err(|refusal| ReplayError::Refused { version, refusal })?
            }
            (None, Some(undoes)) => {
                let last = standing.pop().filter(|last| *last == undoes);
                let (was_by, undone) = last
                    .and_then(|last| changes.get(&last))
                    .ok_or(ReplayError::WrongUndo { version, undoes })?;
                tournament.undo(undone, *was_by)
            }
            _ => return Err(ReplayError::Nothing(version)),
        };
        changes.insert(version, (entry.by, applied.changes.clone()));
        tournament = applied.tournament.clone();
        steps.push(applied);
    }
    Ok((tournament, steps))
}
