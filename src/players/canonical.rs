//! Whom each player id stands for, in memory: for what is told at once and can't ask a store.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

/// Filled by the watch over links, merges and anonymous players. Clones are one.
#[derive(Clone, Debug, Default)]
pub struct CanonicalIds {
    ids: Arc<RwLock<HashMap<String, String>>>,
}

impl CanonicalIds {
    /// Whom an id stands for: itself, mostly.
    pub fn of(&self, player_id: &str) -> String {
        let ids = self.ids.read().unwrap_or_else(PoisonError::into_inner);
        ids.get(player_id).map_or(player_id, String::as_str).to_owned()
    }

    pub(super) fn replace(&self, canonical: &BTreeMap<String, String>) {
        let ids = canonical.iter().map(|(id, canonical)| (id.clone(), canonical.clone())).collect();
        *self.ids.write().unwrap_or_else(PoisonError::into_inner) = ids;
    }
}
