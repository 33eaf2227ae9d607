//! Finding the match that an event belongs to. The rules and the decisions behind them stand in the
//! [module's documentation](super).

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::game_match::{LevelClock, Match, SAME_LOAD_MS};
use super::{MAX_TEXT_BYTES, is_time};
use crate::event::{Event, Text};
use crate::vocabulary::EventType;

/// Matches that are remembered per server. Two are needed without explicit ids; the rest are named matches that
/// late batches may still mean.
pub const MAX_MATCHES: usize = 16;

/// An event that names no match opens one when it comes this long after the last of its match (30 min).
const SILENCE_OPENS_AFTER_MS: i64 = 30 * 60 * 1000;
/// map_start and match_start speak of a new load when their level.time is under 10 s and the match has seen 10 s.
const START_OF_LEVEL_MS: i64 = 10 * 1000;
/// The engine's level.time is a signed 32-bit number of milliseconds.
const MAX_LEVEL_SECONDS: f64 = 2_147_483.647;
/// A longer explicit id is remembered by its hash.
const MAX_SOURCE_KEY_BYTES: usize = MAX_TEXT_BYTES;

/// What an event says about the match it belongs to.
pub(super) struct Sighting<'a> {
    pub received_at: i64,
    pub clock: Option<LevelClock>,
    pub source_match_id: &'a str,
    pub session_id: &'a str,
    /// map_start or match_start.
    pub starts_match: bool,
}

impl<'a> Sighting<'a> {
    pub fn of(event: &'a Event, received_at: i64) -> Self {
        Sighting {
            received_at,
            clock: event.level_time.and_then(|seconds| level_clock(seconds, received_at)),
            source_match_id: &event.source_match_id,
            session_id: &event.session_id,
            starts_match: matches!(event.event_type, EventType::MapStart | EventType::MatchStart),
        }
    }

    /// Whether this is the start of a level that `known` is already well into.
    fn restarts(&self, known: &Match) -> bool {
        let known_is_under_way = known.newest_level_ms.is_some_and(|newest| newest >= START_OF_LEVEL_MS);
        let at_start = self.clock.is_some_and(|clock| clock.level_ms < START_OF_LEVEL_MS);
        self.starts_match && at_start && known_is_under_way
    }
}

/// The clock of a usable level.time.
fn level_clock(seconds: f64, received_at: i64) -> Option<LevelClock> {
    if !(0.0..=MAX_LEVEL_SECONDS).contains(&seconds) {
        return None;
    }
    let level_ms = (seconds * 1000.0).round() as i64;
    Some(LevelClock { level_ms, loaded_at: received_at.saturating_sub(level_ms) })
}

/// The match of an event.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Of(usize),
    /// Of this match by its clock, which it does not move.
    LateOf(usize),
    New,
}

/// The matches of one server, in the order in which they opened. The last one is the current match.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Matches {
    remembered: Vec<Match>,
    /// Ordinal of the next match, `None` before the first.
    next_ordinal: Option<i64>,
}

/// The match of an event.
pub(super) struct Placed<'a> {
    pub game_match: &'a mut Match,
    pub is_current: bool,
    /// Whether it was opened for this event, and not on the map load of the match before it.
    pub opened_by_new_load: bool,
}

impl Matches {
    pub fn is_sound(&self) -> bool {
        self.remembered.len() <= MAX_MATCHES
            && self.remembered.iter().all(Match::is_sound)
            && self.next_ordinal.is_none_or(is_time)
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Match> + ExactSizeIterator {
        self.remembered.iter()
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Match> {
        self.remembered.iter_mut()
    }

    /// The match of an event, opened where none fits, its clock and times advanced.
    pub fn find_or_open(&mut self, server_id: Uuid, sighting: &Sighting<'_>) -> Placed<'_> {
        let source_key = source_key(sighting.source_match_id);
        let place = match source_key.as_str() {
            "" => self.place_unnamed(sighting),
            key => self.place_named(key, sighting),
        };
        let mut opened_by_new_load = false;
        let index = match place {
            Place::Of(index) | Place::LateOf(index) => index,
            Place::New => {
                opened_by_new_load = !self.open(server_id, source_key, sighting);
                self.remembered.len() - 1
            }
        };
        let is_current = index + 1 == self.remembered.len();
        let game_match = &mut self.remembered[index];
        game_match.last_event_at = game_match.last_event_at.max(sighting.received_at);
        if let (Some(clock), Place::Of(_) | Place::New) = (sighting.clock, place) {
            game_match.advance_clock(clock);
        }
        Placed { game_match, is_current, opened_by_new_load }
    }

    /// The match of an event that another node's tracker has placed in this one; it is opened under that id where this tracker
    /// would open one too. None where this one holds the event for one of another match.
    pub fn find_or_adopt(
        &mut self,
        server_id: Uuid,
        match_id: Uuid,
        sighting: &Sighting<'_>,
    ) -> Option<&mut Match> {
        let known = self.remembered.iter().position(|known| known.match_id == match_id);
        let index = match known {
            Some(index) => index,
            None => {
                let source_key = source_key(sighting.source_match_id);
                let place = match source_key.as_str() {
                    "" => self.place_unnamed(sighting),
                    key => self.place_named(key, sighting),
                };
                if place != Place::New {
                    return None;
                }
                self.open(server_id, source_key, sighting);
                let opened = self.remembered.last_mut()?;
                if opened.match_id != match_id {
                    // Its ordinals are others: what is opened next has one above all of them.
                    opened.match_id = match_id;
                    let next =
                        self.next_ordinal.unwrap_or_default().max(sighting.received_at.saturating_add(1));
                    self.next_ordinal = Some(next);
                }
                self.remembered.len() - 1
            }
        };
        let game_match = &mut self.remembered[index];
        game_match.last_event_at = game_match.last_event_at.max(sighting.received_at);
        if let Some(clock) = sighting.clock
            && !game_match.loaded_after(clock)
        {
            game_match.advance_clock(clock);
        }
        Some(game_match)
    }

    /// What the first match that is opened gets for its ordinal.
    pub fn beginning_with(ordinal: i64) -> Self {
        Self { remembered: Vec::new(), next_ordinal: Some(ordinal) }
    }

    /// An explicit id alone decides.
    fn place_named(&self, source_key: &str, sighting: &Sighting<'_>) -> Place {
        let mut of_that_name =
            self.remembered.iter().enumerate().rev().filter(|(_, known)| known.source_key == source_key);
        let Some((index, newest)) =
            of_that_name.next().filter(|(_, known)| known.lives(sighting.received_at))
        else {
            return Place::New;
        };
        if let Some(clock) = sighting.clock
            && newest.loaded_after(clock)
            && let Some((earlier_index, earlier)) = of_that_name.next()
            && earlier.lives(sighting.received_at)
            && !earlier.clock_jumped
            && earlier.same_load(sighting.clock)
        {
            return Place::LateOf(earlier_index);
        }
        if newest.match_end_seen && sighting.starts_match {
            return Place::New;
        }
        if let (Some(clock), Some(newest_level_ms)) = (sighting.clock, newest.newest_level_ms)
            && newest_level_ms - clock.level_ms > SAME_LOAD_MS
        {
            return Place::New;
        }
        Place::Of(index)
    }

    /// Without an id, silence and the level's clock decide.
    fn place_unnamed(&self, sighting: &Sighting<'_>) -> Place {
        let Some((current_index, current)) = self.remembered.iter().enumerate().next_back() else {
            return Place::New;
        };
        if sighting.received_at.saturating_sub(current.last_event_at) >= SILENCE_OPENS_AFTER_MS {
            return Place::New;
        }
        let Some(clock) = sighting.clock else { return Place::Of(current_index) };

        if current.loaded_at.is_none_or(|loaded_at| loaded_at - clock.loaded_at > SAME_LOAD_MS)
            && let Some((previous_index, previous)) = self.previous()
            && previous.same_load(sighting.clock)
        {
            return Place::LateOf(previous_index);
        }
        let jumped = current.loaded_at.is_some_and(|loaded_at| clock.loaded_at - loaded_at > SAME_LOAD_MS);
        if jumped || sighting.restarts(current) { Place::New } else { Place::Of(current_index) }
    }

    /// The last match before the current one whose load is known.
    fn previous(&self) -> Option<(usize, &Match)> {
        self.remembered.iter().enumerate().rev().skip(1).find(|(_, known)| known.loaded_at.is_some())
    }

    /// Opens a match, which thereby is the current one and ends the others. Where it plays on the load of the match
    /// before it, it takes over what that one knew of the map; returns whether it does.
    fn open(&mut self, server_id: Uuid, source_key: Text, sighting: &Sighting<'_>) -> bool {
        let opened_at = sighting.received_at;
        let ordinal = self.next_ordinal.unwrap_or(opened_at);
        self.next_ordinal = Some(ordinal.saturating_add(1));
        let name = if source_key.is_empty() { sighting.session_id } else { source_key.as_str() };
        let match_id = Uuid::new_v5(&server_id, format!("{name}\n{ordinal}").as_bytes());
        let mut opened = Match::new(match_id, source_key, opened_at);

        let before = self.remembered.last();
        let on_same_load =
            before.filter(|known| known.same_load(sighting.clock) && !sighting.restarts(known));
        if let Some(before) = on_same_load {
            opened.sent_map_name = before.sent_map_name.clone();
            opened.sent_game_type = before.sent_game_type;
            opened.queried = before.queried.clone();
        }
        let on_same_load = on_same_load.is_some();
        for known in &mut self.remembered {
            known.end(opened_at);
        }
        self.forget_the_dead(opened_at);
        self.remembered.push(opened);
        on_same_load
    }

    /// Forgets what no event can mean any more, and at the bound the match that was silent longest. The last two
    /// stay: events without an id may mean them.
    fn forget_the_dead(&mut self, now: i64) {
        let kept_from = self
            .previous()
            .map_or(usize::MAX, |(index, _)| index)
            .min(self.remembered.len().saturating_sub(2));
        let mut index = 0;
        self.remembered.retain(|known| {
            index += 1;
            index > kept_from || known.lives(now)
        });
        if self.remembered.len() < MAX_MATCHES {
            return;
        }
        let forgettable = &self.remembered[..self.remembered.len() - 2];
        if let Some((oldest, _)) = forgettable.iter().enumerate().min_by_key(|(_, known)| known.last_event_at)
        {
            self.remembered.remove(oldest);
        }
    }
}

/// The form in which an explicit id is remembered and compared.
fn source_key(source_match_id: &str) -> Text {
    if source_match_id.len() <= MAX_SOURCE_KEY_BYTES {
        return Text::from(source_match_id);
    }
    Text::from(format!("sha1:{}", Uuid::new_v5(&Uuid::NAMESPACE_OID, source_match_id.as_bytes())))
}
