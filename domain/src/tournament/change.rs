//! What a mutation changed: enough to write it, to tell of it, and to take it back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::At;
use super::bout::Bout;
use super::entrant::{Entrant, EntrantId};
use super::key::Key;
use super::settings::Settings;
use super::state::{Draw, Status, Tournament};

/// A tournament without its entrants and matches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    pub settings: Settings,
    pub status: Status,
    pub last_entrant: u32,
    pub draw: Draw,
    #[serde(default)]
    pub checkin_since: Option<At>,
    pub checkin_is_over: bool,
    pub clock_is_held: bool,
    pub held_up: Option<String>,
}

/// One part of a tournament before and after; null: it was not there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "part", rename_all = "snake_case")]
pub enum Change {
    Frame { before: Box<Frame>, after: Box<Frame> },
    Entrant { id: EntrantId, before: Option<Box<Entrant>>, after: Option<Box<Entrant>> },
    Match { key: Key, before: Option<Box<Bout>>, after: Option<Box<Bout>> },
}

impl Tournament {
    pub fn frame(&self) -> Frame {
        Frame {
            settings: self.settings.clone(),
            status: self.status,
            last_entrant: self.last_entrant,
            draw: self.draw.clone(),
            checkin_since: self.checkin_since,
            checkin_is_over: self.checkin_is_over,
            clock_is_held: self.clock_is_held,
            held_up: self.held_up.clone(),
        }
    }

    /// Puts a tournament together from its parts.
    pub fn assemble(
        frame: Frame,
        entrants: impl IntoIterator<Item = Entrant>,
        bouts: impl IntoIterator<Item = Bout>,
    ) -> Tournament {
        let Frame {
            settings,
            status,
            last_entrant,
            draw,
            checkin_since,
            checkin_is_over,
            clock_is_held,
            held_up,
        } = frame;
        Tournament {
            settings,
            status,
            last_entrant,
            draw,
            checkin_since,
            checkin_is_over,
            clock_is_held,
            held_up,
            entrants: entrants.into_iter().map(|entrant| (entrant.id, entrant)).collect(),
            bouts: bouts.into_iter().map(|bout| (bout.key, bout)).collect(),
        }
    }

    /// What is different in `after`.
    pub fn changes_to(&self, after: &Tournament) -> Vec<Change> {
        let mut changes = Vec::new();
        let frames = (self.frame(), after.frame());
        if frames.0 != frames.1 {
            changes.push(Change::Frame { before: Box::new(frames.0), after: Box::new(frames.1) });
        }
        changes.extend(
            differences(&self.entrants, &after.entrants).map(|(id, before, after)| Change::Entrant {
                id,
                before,
                after,
            }),
        );
        changes.extend(differences(&self.bouts, &after.bouts).map(|(key, before, after)| Change::Match {
            key,
            before,
            after,
        }));
        changes
    }

    /// Puts back what was before. The changes have to be those that led to this state.
    pub fn revert(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Frame { before, .. } => {
                    let entrants = std::mem::take(&mut self.entrants);
                    let bouts = std::mem::take(&mut self.bouts);
                    *self = Tournament::assemble(
                        Frame::clone(before),
                        entrants.into_values(),
                        bouts.into_values(),
                    );
                }
                Change::Entrant { id, before, .. } => put(&mut self.entrants, *id, before),
                Change::Match { key, before, .. } => put(&mut self.bouts, *key, before),
            }
        }
    }
}

fn put<K: Ord, V: Clone>(map: &mut BTreeMap<K, V>, key: K, value: &Option<Box<V>>) {
    match value {
        Some(value) => drop(map.insert(key, V::clone(value))),
        None => drop(map.remove(&key)),
    }
}

type Difference<K, V> = (K, Option<Box<V>>, Option<Box<V>>);

fn differences<'a, K: Ord + Copy, V: PartialEq + Clone>(
    before: &'a BTreeMap<K, V>,
    after: &'a BTreeMap<K, V>,
) -> impl Iterator<Item = Difference<K, V>> + use<'a, K, V> {
    let boxed = |value: Option<&V>| value.cloned().map(Box::new);
    let gone = before
        .iter()
        .filter(|(key, _)| !after.contains_key(key))
        .map(move |(key, value)| (*key, boxed(Some(value)), None));
    let other = after.iter().filter_map(move |(key, value)| {
        let old = before.get(key);
        (old != Some(value)).then(|| (*key, boxed(old), boxed(Some(value))))
    });
    gone.chain(other)
}
