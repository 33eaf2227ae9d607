//! One match as the tracker knows it: its name, its clock, when it ends and closes, what was learned in it.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::placing::Sighting;
use super::roster::Roster;
use super::{is_short, is_time};
use crate::event::{Millis, Stamp, Text};
use crate::vocabulary::GameType;

/// A match ends when nothing was heard of it for this long (10 min).
pub const SILENCE_ENDS_AFTER_MS: i64 = 10 * 60 * 1000;
/// A match closes this long after its end (60 s).
pub const CLOSES_AFTER_MS: i64 = 60 * 1000;
/// Late events may correct a closed match for this long (10 min).
pub const CORRECTABLE_AFTER_CLOSE_MS: i64 = 10 * 60 * 1000;
/// Estimates of when a map was loaded that differ by no more than this (20 s) mean the same load: level.time is
/// exact, but events take their time to arrive.
pub(super) const SAME_LOAD_MS: i64 = 20 * 1000;

/// When an event says its map was loaded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct LevelClock {
    /// Milliseconds since the map was loaded.
    pub level_ms: i64,
    /// `received_at − level.time`.
    pub loaded_at: i64,
}

/// How long an answer counts for a match whose clock nobody knows: twice as long as it takes to ask again.
const QUERIED_VALID_MS: i64 = 60 * 1000;

/// What a server plays, as it answered when it was asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QueriedLevel {
    /// When the question was sent.
    pub asked_at: Millis,
    pub map_name: Text,
    pub game_type: GameType,
}

impl QueriedLevel {
    pub(super) fn is_sound(&self) -> bool {
        is_short(&self.map_name) && is_time(self.asked_at.0)
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Match {
    pub match_id: Uuid,
    /// The explicit id that names the match, `""` without one.
    pub source_key: Text,
    /// Running minimum of the estimates, `None` until an event had a usable level.time.
    pub loaded_at: Option<i64>,
    /// Newest level.time seen, in milliseconds.
    pub newest_level_ms: Option<i64>,
    /// Whether two estimates ever differed by more than delays explain: this sender's level.time does not run
    /// with the clock on the wall, so an estimate proves nothing.
    pub clock_jumped: bool,
    /// When its first event was received; 0 in states of earlier versions.
    #[serde(default)]
    pub opened_at: i64,
    pub last_event_at: i64,
    /// When match_end came or another match opened, whichever was first.
    pub ended_at: Option<i64>,
    pub match_end_seen: bool,
    /// As events say it. [`Self::map_name`] is what counts.
    #[serde(rename = "map_name")]
    pub sent_map_name: Text,
    #[serde(rename = "game_type")]
    pub sent_game_type: GameType,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queried: Option<QueriedLevel>,
    pub roster: Roster,
}

impl Match {
    pub fn new(match_id: Uuid, source_key: Text, opened_at: i64) -> Self {
        Match {
            match_id,
            source_key,
            loaded_at: None,
            newest_level_ms: None,
            clock_jumped: false,
            opened_at,
            last_event_at: opened_at,
            ended_at: None,
            match_end_seen: false,
            sent_map_name: Text::default(),
            sent_game_type: GameType::Unknown,
            queried: None,
            roster: Roster::default(),
        }
    }

    pub fn is_sound(&self) -> bool {
        let times = [
            Some(self.opened_at),
            Some(self.last_event_at),
            self.loaded_at,
            self.newest_level_ms,
            self.ended_at,
        ];
        times.into_iter().flatten().all(is_time)
            && is_short(&self.source_key)
            && is_short(&self.sent_map_name)
            && self.queried.as_ref().is_none_or(QueriedLevel::is_sound)
            && self.roster.is_sound()
    }

    /// As events said it, else as the server answered; `""` where neither did.
    pub fn map_name(&self) -> &Text {
        let queried = self.queried.as_ref().filter(|_| self.sent_map_name.is_empty());
        queried.map_or(&self.sent_map_name, |queried| &queried.map_name)
    }

    pub fn game_type(&self) -> GameType {
        match (self.sent_game_type, &self.queried) {
            (GameType::Unknown, Some(queried)) => queried.game_type,
            (sent, _) => sent,
        }
    }

    /// Takes over what the server answered, if an event of this match shows that this match was played then: it happened after
    /// the question, and the map was loaded before. Where no clock tells, the match must have been known when it was asked.
    pub fn learn(&mut self, queried: &QueriedLevel, sighting: &Sighting<'_>) {
        if self.queried.as_ref().is_some_and(|known| known.asked_at == queried.asked_at) {
            return;
        }
        let asked_at = queried.asked_at.0;
        let was_played = match (self.loaded_at.filter(|_| !self.clock_jumped), sighting.clock) {
            (Some(loaded_at), Some(clock)) => {
                (loaded_at..=loaded_at.saturating_add(clock.level_ms)).contains(&asked_at)
            }
            (Some(_), None) => false,
            (None, _) => {
                let age = sighting.received_at.saturating_sub(asked_at);
                self.opened_at <= asked_at && (0..=QUERIED_VALID_MS).contains(&age)
            }
        };
        if was_played {
            self.queried = Some(queried.clone());
        }
    }

    /// Learns from an event's stamp what the server answered before.
    pub fn recall(&mut self, stamp: &Stamp) {
        let lacks_map = self.map_name().is_empty() && !stamp.map_name.is_empty();
        let lacks_game_type = self.game_type() == GameType::Unknown && stamp.game_type != GameType::Unknown;
        if lacks_map || lacks_game_type {
            self.queried = Some(QueriedLevel {
                asked_at: stamp.received_at,
                map_name: stamp.map_name.clone(),
                game_type: stamp.game_type,
            });
        }
    }

    /// When the match ended, as known at `now`.
    pub fn ended_at(&self, now: i64) -> Option<i64> {
        let silent_at = self.last_event_at.saturating_add(SILENCE_ENDS_AFTER_MS);
        self.ended_at.or_else(|| (now >= silent_at).then_some(silent_at))
    }

    /// Whether its name still means this match: until the last moment at which a late event may correct it, and
    /// each late event extends that, so that two servers behind one token don't split each other's matches.
    pub fn lives(&self, now: i64) -> bool {
        let ended_at = self.ended_at.unwrap_or(self.last_event_at.saturating_add(SILENCE_ENDS_AFTER_MS));
        let quiet_since = ended_at.max(self.last_event_at);
        now <= quiet_since.saturating_add(CLOSES_AFTER_MS + CORRECTABLE_AFTER_CLOSE_MS)
    }

    /// Whether the event comes from the same load of the map, as far as clocks can tell.
    pub fn same_load(&self, clock: Option<LevelClock>) -> bool {
        match (self.loaded_at, clock) {
            (Some(loaded_at), Some(clock)) => {
                loaded_at.abs_diff(clock.loaded_at) <= SAME_LOAD_MS.unsigned_abs()
            }
            _ => false,
        }
    }

    /// Whether the event comes from more than 20 s before this match's load.
    pub fn loaded_after(&self, clock: LevelClock) -> bool {
        self.loaded_at.is_some_and(|loaded_at| loaded_at - clock.loaded_at > SAME_LOAD_MS)
    }

    /// Follows the clock of an event that belongs to this match for certain.
    pub fn advance_clock(&mut self, clock: LevelClock) {
        self.clock_jumped |= self.loaded_at.is_some() && !self.same_load(Some(clock));
        self.loaded_at = Some(self.loaded_at.map_or(clock.loaded_at, |known| known.min(clock.loaded_at)));
        self.newest_level_ms =
            Some(self.newest_level_ms.map_or(clock.level_ms, |known| known.max(clock.level_ms)));
    }

    pub fn end(&mut self, at: i64) {
        let silent_at = self.last_event_at.saturating_add(SILENCE_ENDS_AFTER_MS);
        self.ended_at = self.ended_at.or(Some(at.min(silent_at)));
    }
}

/// A match as others may see it.
#[derive(Clone, Debug, PartialEq)]
pub struct MatchInfo {
    pub match_id: Uuid,
    /// What the server calls it, `""` where it has no name; of an id longer than 128 bytes a hash.
    pub source_match_id: Text,
    /// Whether events that name no match join this one.
    pub current: bool,
    /// When the map was loaded, where that is known.
    pub loaded_at: Option<Millis>,
    pub last_event_at: Millis,
    /// When the match ended and left the live list, `None` while it runs.
    pub ended_at: Option<Millis>,
    pub map_name: Text,
    pub game_type: GameType,
}
