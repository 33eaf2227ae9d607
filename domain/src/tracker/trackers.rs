//! The trackers of all servers that a node heard of lately.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{EventWindow, Tracker};
use crate::event::{Event, Millis, Stamp};

/// A server that was silent for this long (48 h) is forgotten; its next event starts anew, with ordinals that
/// can't repeat because they start at that moment.
pub const FORGOTTEN_AFTER_MS: i64 = 48 * 60 * 60 * 1000;

const SNAPSHOT_VERSION: u32 = 1;

/// Kept tracker state could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("tracker state is not readable: {0}")]
    Unreadable(#[from] serde_json::Error),
    #[error("tracker state has version {found}, this version reads {SNAPSHOT_VERSION}")]
    UnknownVersion { found: u32 },
    #[error("tracker state of server {server_id} is none that a tracker could have")]
    Unsound { server_id: Uuid },
    #[error("tracker state of server {found} was kept for server {expected}")]
    WrongServer { expected: Uuid, found: Uuid },
}

#[derive(Serialize)]
struct SnapshotReference<'a> {
    version: u32,
    trackers: Vec<&'a Tracker>,
}

#[derive(Deserialize)]
struct SnapshotVersion {
    version: u32,
}

#[derive(Deserialize)]
struct Snapshot {
    trackers: Vec<Tracker>,
}

/// Every server's [`Tracker`].
#[derive(Clone, Debug, Default)]
pub struct Trackers {
    by_server: BTreeMap<Uuid, Tracker>,
}

impl Trackers {
    /// Stamps an event with the tracker of its server; a server that is met first gets a new one. Where its state
    /// may be kept elsewhere, hand that to [`Trackers::restore_server`] before.
    pub fn stamp(
        &mut self,
        server_id: Uuid,
        event: &Event,
        received_at: Millis,
        window: &EventWindow,
    ) -> Stamp {
        self.of_server(server_id).stamp(event, received_at, window)
    }

    /// Folds in an event that was stamped before ([`Tracker::resume`]).
    pub fn resume(&mut self, event: &Event, stamp: &Stamp) -> bool {
        self.of_server(stamp.server_id).resume(event, stamp)
    }

    /// Folds in an event that another node has stamped ([`Tracker::follow`]).
    pub fn follow(&mut self, event: &Event, stamp: &Stamp) {
        self.of_server(stamp.server_id).follow(event, stamp);
    }

    pub fn iter(&self) -> impl Iterator<Item = &Tracker> {
        self.by_server.values()
    }

    pub fn get(&self, server_id: Uuid) -> Option<&Tracker> {
        self.by_server.get(&server_id)
    }

    pub fn get_mut(&mut self, server_id: Uuid) -> Option<&mut Tracker> {
        self.by_server.get_mut(&server_id)
    }

    /// The tracker of a server, made when it is met first.
    pub fn of_server(&mut self, server_id: Uuid) -> &mut Tracker {
        self.by_server.entry(server_id).or_insert_with(|| Tracker::new(server_id))
    }

    /// Drops the state of a server: its next event opens a new match.
    pub fn forget(&mut self, server_id: Uuid) {
        self.by_server.remove(&server_id);
    }

    /// Forgets the servers that were silent too long; returns how many.
    pub fn forget_idle(&mut self, now: Millis) -> usize {
        let known = self.by_server.len();
        self.by_server.retain(|_, tracker| {
            tracker.last_event_at().is_some_and(|last| now.0.saturating_sub(last.0) < FORGOTTEN_AFTER_MS)
        });
        known - self.by_server.len()
    }

    /// The state of all servers as JSON, for the header of a spool segment.
    pub fn snapshot(&self) -> Vec<u8> {
        to_json(self.by_server.values().collect())
    }

    /// The state of one server, for Redis.
    pub fn snapshot_server(&self, server_id: Uuid) -> Option<Vec<u8>> {
        self.by_server.get(&server_id).map(|tracker| to_json(vec![tracker]))
    }

    /// The state of a server's tracker that has seen nothing, and whose first match gets this ordinal.
    pub fn snapshot_of_unmet(server_id: Uuid, ordinal: Millis) -> Vec<u8> {
        to_json(vec![&Tracker::beginning_with(server_id, ordinal)])
    }

    /// The trackers that [`Trackers::snapshot`] described.
    pub fn restore(snapshot: &[u8]) -> Result<Self, SnapshotError> {
        let by_server =
            from_json(snapshot)?.into_iter().map(|tracker| (tracker.server_id(), tracker)).collect();
        Ok(Trackers { by_server })
    }

    /// Takes over the state that [`Trackers::snapshot_server`] described, where it knows later events of that server than
    /// this one does; whether it did.
    pub fn restore_server(&mut self, server_id: Uuid, snapshot: &[u8]) -> Result<bool, SnapshotError> {
        let mut is_newer = false;
        for tracker in from_json(snapshot)? {
            if tracker.server_id() != server_id {
                return Err(SnapshotError::WrongServer { expected: server_id, found: tracker.server_id() });
            }
            let known = self.by_server.get(&server_id);
            if known.is_none_or(|known| known.last_event_at() < tracker.last_event_at()) {
                self.by_server.insert(server_id, tracker);
                is_newer = true;
            }
        }
        Ok(is_newer)
    }
}

fn to_json(trackers: Vec<&Tracker>) -> Vec<u8> {
    // The state is made of numbers, texts and lists: writing it to memory can't fail.
    serde_json::to_vec(&SnapshotReference { version: SNAPSHOT_VERSION, trackers }).unwrap_or_default()
}

fn from_json(snapshot: &[u8]) -> Result<Vec<Tracker>, SnapshotError> {
    let SnapshotVersion { version } = serde_json::from_slice(snapshot)?;
    if version != SNAPSHOT_VERSION {
        return Err(SnapshotError::UnknownVersion { found: version });
    }
    let Snapshot { trackers } = serde_json::from_slice(snapshot)?;
    match trackers.iter().find(|tracker| !tracker.is_sound()) {
        Some(unsound) => Err(SnapshotError::Unsound { server_id: unsound.server_id() }),
        None => Ok(trackers),
    }
}
