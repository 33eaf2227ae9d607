//! What a match remembers of its players: the team each was last seen in, and the weapon each last fired.
//!
//! Bounded: after [`MAX_PLAYERS`] players the one that was met first is forgotten, so that a server that makes
//! up a player per event costs it memory of teams, and costs us nothing.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::bot_name::BotName;
use super::is_short;
use crate::event::{Player, Text};
use crate::player::{Identity, Slot, guest_id, identify, team_named_in_guid};
use crate::vocabulary::Team;
use crate::weapon::WeaponSlug;

/// Players that are remembered per match: a full server of 64 slots, each taken by eight people.
pub const MAX_PLAYERS: usize = 512;

/// Blocks with a longer name are resolved anew each time: the engine cuts names at 32 bytes.
const MAX_CACHED_NAME_BYTES: usize = 64;

/// A block of player fields, resolved.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Resolved {
    /// `""` for the environment.
    pub id: Text,
    pub bot: bool,
    pub team: Team,
    /// Where the roster holds the player, until it meets the next one.
    seen_at: Option<usize>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Seen {
    id: Text,
    team: Team,
    /// Slug of the weapon of the last shot, `""` while that is not known.
    #[serde(default, skip_serializing_if = "Text::is_empty")]
    fired: Text,
}

impl Seen {
    /// Whether it can be an entry of ours, before it is taken over from outside: hits are stamped with `fired`.
    fn is_sound(&self) -> bool {
        let is_slug = |text: &Text| text.parse::<WeaponSlug>().is_ok_and(|slug| slug.as_str() == text);
        is_short(&self.id) && (self.fired.is_empty() || is_short(&self.fired) && is_slug(&self.fired))
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Roster {
    seen: Vec<Seen>,
    /// The entry that the next player replaces once `seen` is full.
    oldest: usize,
    allies_seen: bool,
    axis_seen: bool,
    /// Ids are pure functions of the blocks; this only saves hashing them again, and is not part of the state.
    #[serde(skip)]
    cache: Cache,
}

/// Resolved blocks, found by the fingerprint of what was sent. Parallel arrays, so that a look-up reads few
/// cache lines.
#[derive(Clone, Debug, Default)]
struct Cache {
    fingerprints: Vec<u64>,
    entries: Vec<CacheEntry>,
    oldest: usize,
}

#[derive(Clone, Debug)]
struct CacheEntry {
    guid: Text,
    member_id: Text,
    name: Text,
    id: Text,
    bot: bool,
    /// Where `seen` probably holds the player.
    seen_at: usize,
}

impl Roster {
    pub fn is_sound(&self) -> bool {
        self.seen.len() <= MAX_PLAYERS && self.oldest < MAX_PLAYERS && self.seen.iter().all(Seen::is_sound)
    }

    /// Says who a block means, and learns the team from it.
    pub fn resolve(&mut self, match_id: Uuid, player: &Player, bot_names: &[BotName]) -> Resolved {
        if player.guid.is_empty() && player.name.is_empty() && player.member_id.is_empty() {
            return Resolved { team: player.team, ..Resolved::default() };
        }
        let sent_team = match player.team {
            Team::Unknown => team_named_in_guid(&player.guid),
            sent => sent,
        };
        let fingerprint = fingerprint(player);
        let cached = self.cache.find(fingerprint, player);
        let (id, bot) = match cached {
            Some(at) => (self.cache.entries[at].id.clone(), self.cache.entries[at].bot),
            None => canonical_id(match_id, player, bot_names),
        };
        if id.is_empty() {
            return Resolved { id, bot, team: sent_team, seen_at: None };
        }
        let cached = cached.or_else(|| self.cache.insert(fingerprint, player, &id, bot));
        let seen_at = self.seen_index(&id, cached);
        let (team, seen_at) = self.learn_team(&id, seen_at, sent_team);
        Resolved { id, bot, team, seen_at }
    }

    /// Learns with which weapon a player fired; `""` when the shot named none. `player` was resolved just before.
    pub fn fired(&mut self, player: &Resolved, weapon: &Text) {
        match player.seen_at {
            _ if player.id.is_empty() => {}
            Some(at) => self.seen[at].fired = weapon.clone(),
            None => {
                self.remember(Seen { id: player.id.clone(), fired: weapon.clone(), ..Seen::default() });
            }
        }
    }

    /// The weapon of a player's last shot, `""` when unknown. `player` was resolved just before.
    pub fn last_fired(&self, player: &Resolved) -> Text {
        player.seen_at.map(|at| self.seen[at].fired.clone()).unwrap_or_default()
    }

    pub fn both_teams_seen(&self) -> bool {
        self.allies_seen && self.axis_seen
    }

    /// Ids stay, but whether they are bots may have changed.
    pub fn forget_resolved(&mut self) {
        self.cache = Cache::default();
    }

    fn seen_index(&mut self, id: &Text, cached: Option<usize>) -> Option<usize> {
        let probable = cached.map(|at| self.cache.entries[at].seen_at);
        if let Some(at) = probable
            && self.seen.get(at).is_some_and(|seen| seen.id == *id)
        {
            return Some(at);
        }
        let found = self.seen.iter().position(|seen| seen.id == *id);
        if let (Some(entry_at), Some(seen_at)) = (cached, found) {
            self.cache.entries[entry_at].seen_at = seen_at;
        }
        found
    }

    /// The player's team, and where the player is remembered.
    fn learn_team(&mut self, id: &Text, seen_at: Option<usize>, sent_team: Team) -> (Team, Option<usize>) {
        match sent_team {
            Team::Unknown => return (seen_at.map_or(Team::Unknown, |at| self.seen[at].team), seen_at),
            Team::Allies => self.allies_seen = true,
            Team::Axis => self.axis_seen = true,
            _ => {}
        }
        let at = match seen_at {
            Some(at) => {
                self.seen[at].team = sent_team;
                at
            }
            None => self.remember(Seen { id: id.clone(), team: sent_team, ..Seen::default() }),
        };
        (sent_team, Some(at))
    }

    fn remember(&mut self, player: Seen) -> usize {
        if self.seen.len() < MAX_PLAYERS {
            self.seen.push(player);
            return self.seen.len() - 1;
        }
        let at = self.oldest;
        self.seen[at] = player;
        self.oldest = (at + 1) % MAX_PLAYERS;
        at
    }
}

impl Cache {
    fn find(&self, fingerprint: u64, player: &Player) -> Option<usize> {
        let at = self.fingerprints.iter().position(|&known| known == fingerprint)?;
        let entry = &self.entries[at];
        (entry.name == player.name && entry.guid == player.guid && entry.member_id == player.member_id)
            .then_some(at)
    }

    fn insert(&mut self, fingerprint: u64, player: &Player, id: &Text, bot: bool) -> Option<usize> {
        if player.name.len() > MAX_CACHED_NAME_BYTES || player.guid.len() > MAX_CACHED_NAME_BYTES {
            return None;
        }
        let entry = CacheEntry {
            guid: player.guid.clone(),
            member_id: player.member_id.clone(),
            name: player.name.clone(),
            id: id.clone(),
            bot,
            seen_at: usize::MAX,
        };
        if self.entries.len() < MAX_PLAYERS {
            self.fingerprints.push(fingerprint);
            self.entries.push(entry);
            return Some(self.entries.len() - 1);
        }
        let at = self.oldest;
        self.fingerprints[at] = fingerprint;
        self.entries[at] = entry;
        self.oldest = (at + 1) % MAX_PLAYERS;
        Some(at)
    }
}

/// Fast rather than safe from collisions: a server that makes some has its own look-ups made in vain.
fn fingerprint(player: &Player) -> u64 {
    /// Of FxHash.
    const FACTOR: u64 = 0x517c_c1b7_2722_0a95;
    let mut hash = 0_u64;
    let mut add = |word: u64| hash = (hash.rotate_left(5) ^ word).wrapping_mul(FACTOR);
    for text in [&player.guid, &player.member_id, &player.name] {
        add(text.len() as u64);
        let (words, rest) = text.as_bytes().as_chunks::<8>();
        words.iter().for_each(|word| add(u64::from_le_bytes(*word)));
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        add(u64::from_le_bytes(last));
    }
    hash
}

fn canonical_id(match_id: Uuid, player: &Player, bot_names: &[BotName]) -> (Text, bool) {
    let marked_as_bot = bot_names.iter().any(|bot_name| bot_name.matches(&player.name));
    match identify(player) {
        Identity::Environment => (Text::default(), false),
        Identity::Member(id) | Identity::Engine(id) => (id.into(), marked_as_bot),
        Identity::Guest { slot, raw_name } => {
            (guest_id(match_id, slot, raw_name), marked_as_bot || matches!(slot, Slot::Bot(_)))
        }
    }
}
