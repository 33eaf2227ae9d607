//! Whom each player id stands for, in memory: for what is told at once and can't ask a store.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::watch;

/// Filled by the watch over links, merges and anonymous players. Clones are one.
#[derive(Clone, Debug)]
pub struct CanonicalIds {
    ids: Arc<RwLock<HashMap<String, String>>>,
    changes: watch::Sender<()>,
}

impl Default for CanonicalIds {
    fn default() -> Self {
        Self { ids: Arc::default(), changes: watch::Sender::new(()) }
    }
}

impl CanonicalIds {
    /// Whom an id stands for: itself, mostly.
    pub fn of(&self, player_id: &str) -> String {
        let ids = self.ids.read().unwrap_or_else(PoisonError::into_inner);
        ids.get(player_id).map_or(player_id, String::as_str).to_owned()
    }

    /// Every id that stands for a person, whose own is the first.
    pub fn all_of(&self, canonical_id: &str) -> Vec<String> {
        let ids = self.ids.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<String> = ids
            .iter()
            .filter(|(_, canonical)| *canonical == canonical_id)
            .map(|(id, _)| id.clone())
            .collect();
        all.sort_unstable();
        all.insert(0, canonical_id.to_owned());
        all
    }

    /// Each id that stands for a person of more than one, with that person's own.
    pub fn shared(&self) -> (Vec<String>, Vec<String>) {
        let ids = self.ids.read().unwrap_or_else(PoisonError::into_inner);
        let persons: BTreeSet<&String> = ids.values().collect();
        let own = persons.into_iter().map(|person| (person, person));
        ids.iter().chain(own).map(|(id, person)| (id.clone(), person.clone())).unzip()
    }

    pub(super) fn replace(&self, canonical: &BTreeMap<String, String>) {
        let ids: HashMap<String, String> =
            canonical.iter().map(|(id, canonical)| (id.clone(), canonical.clone())).collect();
        let mut known = self.ids.write().unwrap_or_else(PoisonError::into_inner);
        if *known != ids {
            *known = ids;
            drop(known);
            self.changes.send_replace(());
        }
    }

    /// Changes when somebody is somebody else from then on.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }
}
