//! The tracker stamps every event, once and in the order in which events were admitted, with what the server did
//! not say: which match it belongs to, on which map, who the players are, when it happened and what it counts as.
//! Everything behind it (spool, live state, ClickHouse and its views) only adds up what stands in the [`Stamp`],
//! so that no two of them can disagree and a replay can't decide differently.
//!
//! A [`Tracker`] is the state of one server. It is a pure fold of (event, receipt time): equal inputs give equal
//! stamps, and a tracker read back from its JSON goes on as if it had never stopped. Its size is bounded whatever
//! a server sends: [`MAX_MATCHES`] matches, [`MAX_PLAYERS`] players in each, and no text longer than 128 bytes.
//!
//! # Which match
//!
//! `received_at − level.time` estimates when the map was loaded; delays only make it later, so a match's
//! `loaded_at` is the minimum over its events. All comparisons are inclusive at 20 s, in whole milliseconds.
//!
//! Events **without** an explicit id, in this order:
//! 1. 30 min or more after the current match's last event: a new match.
//! 2. no usable level.time (absent, negative, not a number, beyond the engine's 32 bits): the current match.
//! 3. estimate more than 20 s before the current match's load and within 20 s of the previous match's: the
//!    previous match, which it moves nothing of.
//! 4. estimate more than 20 s after the current match's load: the map was (re)loaded, a new match.
//! 5. map_start or match_start below 10 s of level.time, when the current match has seen 10 s: a new match.
//! 6. else the current match. That includes an estimate far before its load that fits no other match: the
//!    minimum falls, because a level's clock that runs ahead is no reload.
//!
//! An **explicit** id (any that the decoder left in [`Event::source_match_id`]) alone decides:
//! 1. no living match of that name: a new match.
//! 2. map_start or match_start after the match's match_end, or level.time more than 20 s below the newest seen
//!    under the name: a new match of the same name.
//! 3. else the newest match of that name. A straggler of the load before a restart goes to the match before under
//!    that name (the estimates tell, as in 3. above), or it would raise "the newest level.time" and split the new
//!    match with the next event. This is only asked where that match's level.time ran with the wall clock.
//!
//! A name lives until the match can't be corrected any more, 11 min after its end or its last late event.
//!
//! **Mixing.** The match opened last is the current one, named or not; late events never change which that is.
//! So a heartbeat without an id, sent between kills with one, joins their match by its clock. The reverse does not
//! hold: a new name opens its own match even if an unnamed one is running, because an explicit id *alone*
//! decides. The new match takes over map and game type when it plays on the same load. A match whose load nobody
//! knows (a tool that sends epochs) doesn't take the events that fit the load of the match before it. A session
//! id names a match without an explicit id but opens none.
//!
//! **Our id** is the UUIDv5, in the namespace of the server's id, of the source id, else the session id, else
//! nothing, and the match's ordinal. The first ordinal of a tracker without history is the receipt time of its
//! first event in milliseconds, then it counts up by one: a lost state starts above every ordinal it ever
//! used, as long as a server opens less than a match per millisecond.
//!
//! # Maps and game types
//!
//! An event's own map wins and is learned for its match, the same for the game type. The `to_map` of a
//! `map_change_start` is the map to come: it is learned for the match that the next load opens (within two
//! minutes), not for the event's own.
//!
//! A server can also be asked ([`crate::server_query`]). What it answers counts where no event of the match has said it, and only
//! if the match was played when the question was sent: an event of it happened later, and its map was loaded before. So an
//! answer that arrives around a change of the map is given to neither match wrongly. Events that were stamped before
//! stay without a map.
//!
//! # Weapons
//!
//! A weapon_hit that names no weapon was done with the weapon of that player's last weapon_fire in the match, in the
//! order of arrival; a change of weapon in between changes nothing, because no shot was fired with the new one. Before
//! the first shot, or where a server sends no shots, the weapon stays unknown. What was received stays in
//! [`Event::weapon_name`].

mod bot_name;
mod game_match;
pub mod map_name;
mod meaning;
mod placing;
mod roster;
mod trackers;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use bot_name::BotName;
pub use game_match::{
    CLOSES_AFTER_MS, CORRECTABLE_AFTER_CLOSE_MS, MatchInfo, QueriedLevel, SILENCE_ENDS_AFTER_MS,
};
pub use placing::MAX_MATCHES;
pub use roster::MAX_PLAYERS;
pub use trackers::{FORGOTTEN_AFTER_MS, SnapshotError, Trackers};

use crate::event::{Event, Millis, Stamp, Text};
use crate::vocabulary::{EventType, GameType};
use crate::weapon;
use meaning::{Circumstances, Relation};
use placing::{Matches, Sighting};
use roster::{Resolved, Roster};

/// How long an announced map is waited for: longer than any map takes to load.
const ANNOUNCED_MAP_VALID_MS: i64 = 2 * 60 * 1000;

/// No text of the state is longer.
const MAX_TEXT_BYTES: usize = 128;
/// Some 140,000 years around 1970, in milliseconds: differences of such times never overflow.
const MAX_TIME_MS: u64 = 1 << 52;

fn is_short(text: &Text) -> bool {
    text.len() <= MAX_TEXT_BYTES
}

fn is_time(millis: i64) -> bool {
    millis.unsigned_abs() <= MAX_TIME_MS
}

/// How far a sender's own time may be from the receipt time and still be believed, inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventWindow {
    pub past_ms: i64,
    pub future_ms: i64,
}

impl Default for EventWindow {
    /// 7 days back, 5 minutes ahead.
    fn default() -> Self {
        EventWindow { past_ms: 7 * 86_400_000, future_ms: 5 * 60 * 1000 }
    }
}

impl EventWindow {
    /// When an event happened.
    pub fn event_at(&self, sent_at: Option<Millis>, received_at: Millis) -> Millis {
        let earliest = received_at.0.saturating_sub(self.past_ms);
        let latest = received_at.0.saturating_add(self.future_ms);
        sent_at.filter(|sent_at| (earliest..=latest).contains(&sent_at.0)).unwrap_or(received_at)
    }
}

/// The map that `map_change_start` announced.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct AnnouncedMap {
    map_name: Text,
    announced_at: i64,
}

/// What is known of one server's matches. See the [module](self).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tracker {
    server_id: Uuid,
    matches: Matches,
    announced_map: Option<AnnouncedMap>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    queried: Option<QueriedLevel>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    bot_names: Vec<BotName>,
}

impl Tracker {
    pub fn new(server_id: Uuid) -> Self {
        Tracker {
            server_id,
            matches: Matches::default(),
            announced_map: None,
            queried: None,
            bot_names: Vec::new(),
        }
    }

    /// One without history, whose first match gets this ordinal: nodes that meet a server at one moment agree on it.
    fn beginning_with(server_id: Uuid, ordinal: Millis) -> Self {
        Tracker { matches: Matches::beginning_with(ordinal.0), ..Tracker::new(server_id) }
    }

    /// Whether this can be the state of a tracker: within the bounds, and of times that can be reckoned with.
    fn is_sound(&self) -> bool {
        let announced = self.announced_map.as_ref();
        self.matches.is_sound()
            && announced.is_none_or(|it| is_short(&it.map_name) && is_time(it.announced_at))
            && self.queried.as_ref().is_none_or(QueriedLevel::is_sound)
    }

    pub fn server_id(&self) -> Uuid {
        self.server_id
    }

    /// Names that mark bots from the next event on. Part of the state.
    pub fn set_bot_names(&mut self, bot_names: &[BotName]) {
        if self.bot_names == bot_names {
            return;
        }
        self.bot_names = bot_names.to_vec();
        self.matches.iter_mut().for_each(|known| known.roster.forget_resolved());
    }

    /// What the server has answered when it was asked. Part of the state.
    pub fn set_queried(&mut self, queried: QueriedLevel) {
        let is_news = self.queried.as_ref().is_none_or(|known| known.asked_at < queried.asked_at);
        if is_news && queried.is_sound() {
            self.queried = Some(queried);
        }
    }

    /// Decides what an event is. The caller fills in the spool's sequence and the idempotency key.
    pub fn stamp(&mut self, event: &Event, received_at: Millis, window: &EventWindow) -> Stamp {
        if let Some(match_id) = event.result_of.as_deref() {
            return self.stamp_result(*match_id, event, received_at);
        }
        let sighting = Sighting::of(event, received_at.0);
        let placed = self.matches.find_or_open(self.server_id, &sighting);
        let game_match = placed.game_match;
        if placed.is_current
            && let Some(queried) = &self.queried
        {
            game_match.learn(queried, &sighting);
        }
        if placed.opened_by_new_load
            && let Some(announced) = self.announced_map.take()
            && received_at.0.saturating_sub(announced.announced_at) <= ANNOUNCED_MAP_VALID_MS
        {
            game_match.sent_map_name = announced.map_name;
        }
        let mut own_map_name = map_name::normalise(&event.map_name);
        if let Some(next_map_name) = announced_map_name(event) {
            // Where the event names no other map, the decoder took the coming one for its own.
            if own_map_name == next_map_name {
                own_map_name = Text::default();
            }
            self.announced_map = Some(AnnouncedMap { map_name: next_map_name, announced_at: received_at.0 });
        }
        if !own_map_name.is_empty() {
            game_match.sent_map_name = own_map_name;
        }
        if event.game_type != GameType::Unknown {
            game_match.sent_game_type = event.game_type;
        }
        if event.event_type == EventType::MatchEnd {
            game_match.match_end_seen = true;
            game_match.end(received_at.0);
        }

        let player = game_match.roster.resolve(game_match.match_id, &event.player, &self.bot_names);
        let weapon = weapon_of(event, &player, &mut game_match.roster);
        let target = game_match.roster.resolve(game_match.match_id, &event.target, &self.bot_names);
        let circumstances = Circumstances {
            game_type: game_match.game_type(),
            both_teams_seen: game_match.roster.both_teams_seen(),
        };
        let relation = meaning::relation(event, &player, &target, &circumstances);
        let kill_kind = meaning::kill_kind(event, relation);
        let target_is_nobody = target.id.is_empty();
        Stamp {
            received_at,
            event_at: window.event_at(event.sent_at, received_at),
            server_id: self.server_id,
            match_id: game_match.match_id,
            map_name: game_match.map_name().clone(),
            game_type: game_match.game_type(),
            player_id: player.id,
            target_id: target.id,
            player_team: player.team,
            target_team: target.team,
            player_bot: player.bot,
            target_bot: target.bot,
            weapon,
            kill_kind,
            headshot: meaning::is_headshot(event, kill_kind),
            hostile: relation == Relation::Opponents && !target_is_nobody,
            ..Stamp::default()
        }
    }

    /// The result of a match that may be long over: it ends it, if it is not, and moves nothing else.
    fn stamp_result(&mut self, match_id: Uuid, event: &Event, received_at: Millis) -> Stamp {
        self.end(match_id, received_at);
        Stamp {
            received_at,
            event_at: event.sent_at.unwrap_or(received_at),
            server_id: self.server_id,
            match_id,
            map_name: map_name::normalise(&event.map_name),
            game_type: event.game_type,
            ..Stamp::default()
        }
    }

    fn end(&mut self, match_id: Uuid, at: Millis) {
        if let Some(known) = self.matches.iter_mut().find(|known| known.match_id == match_id) {
            known.match_end_seen = true;
            known.end(at.0);
        }
    }

    /// Folds in an event that was stamped before and read back, so that the next one is stamped as if the process
    /// had never stopped. `false` when this state would now find another match: it is not the one that stamped
    /// the event. What the stamp says stays true all the same.
    pub fn resume(&mut self, event: &Event, stamp: &Stamp) -> bool {
        if event.is_result() {
            self.end(stamp.match_id, stamp.received_at);
            return true;
        }
        if self.stamp(event, stamp.received_at, &EventWindow::default()).match_id != stamp.match_id {
            return false;
        }
        // Answers of the server are in no log: what the stamp has from them is all that is left.
        if let Some(known) = self.matches.iter_mut().find(|known| known.match_id == stamp.match_id) {
            known.recall(stamp);
        }
        true
    }

    /// Folds in an event of the server that another node's tracker has stamped: this one then knows the matches that the other
    /// has opened and ended, under their ids.
    pub fn follow(&mut self, event: &Event, stamp: &Stamp) {
        if event.is_result() {
            return self.end(stamp.match_id, stamp.received_at);
        }
        let sighting = Sighting::of(event, stamp.received_at.0);
        let Some(game_match) = self.matches.find_or_adopt(self.server_id, stamp.match_id, &sighting) else {
            return;
        };
        if !stamp.map_name.is_empty() {
            game_match.sent_map_name = stamp.map_name.clone();
        }
        if stamp.game_type != GameType::Unknown {
            game_match.sent_game_type = stamp.game_type;
        }
        if event.event_type == EventType::MatchEnd {
            game_match.match_end_seen = true;
            game_match.end(stamp.received_at.0);
        }
        let player = game_match.roster.resolve(game_match.match_id, &event.player, &self.bot_names);
        weapon_of(event, &player, &mut game_match.roster);
        game_match.roster.resolve(game_match.match_id, &event.target, &self.bot_names);
    }

    /// Receipt time of the server's last event, `None` before the first.
    pub fn last_event_at(&self) -> Option<Millis> {
        self.matches.iter().map(|known| Millis(known.last_event_at)).max()
    }

    /// The matches that events may still belong to, in the order in which they opened, as of `now`.
    pub fn matches(&self, now: Millis) -> impl Iterator<Item = MatchInfo> {
        let current_at = self.matches.iter().len().saturating_sub(1);
        self.matches.iter().enumerate().map(move |(at, known)| MatchInfo {
            match_id: known.match_id,
            source_match_id: known.source_key.clone(),
            current: at == current_at,
            loaded_at: known.loaded_at.map(Millis),
            last_event_at: Millis(known.last_event_at),
            ended_at: known.ended_at(now.0).map(Millis),
            map_name: known.map_name().clone(),
            game_type: known.game_type(),
        })
    }

    /// When each of [`matches`](Self::matches) ended, as of `now`.
    pub fn ends(&self, now: Millis) -> impl Iterator<Item = (Uuid, Option<Millis>)> {
        self.matches.iter().map(move |known| (known.match_id, known.ended_at(now.0).map(Millis)))
    }

    /// The match that events without an id join.
    pub fn current_match(&self, now: Millis) -> Option<MatchInfo> {
        self.matches(now).last()
    }
}

/// The weapon that an event names; for a hit that names none, that of the player's last shot.
fn weapon_of(event: &Event, player: &Resolved, roster: &mut Roster) -> Text {
    let named = weapon::find(&event.weapon_name).map(|weapon| weapon.into_slug()).unwrap_or_default();
    match event.event_type {
        EventType::WeaponFire => roster.fired(player, &named),
        EventType::WeaponHit if named.is_empty() => return roster.last_fired(player),
        _ => {}
    }
    named
}

/// The map to come (`to_map`, which the decoder keeps in [`Event::extra`]).
fn announced_map_name(event: &Event) -> Option<Text> {
    #[derive(Deserialize)]
    struct ToMap {
        to_map: String,
    }
    if event.event_type != EventType::MapChangeStart {
        return None;
    }
    let ToMap { to_map } = serde_json::from_str(&event.extra).ok()?;
    Some(map_name::normalise(&to_map)).filter(|next_map_name| !next_map_name.is_empty())
}
