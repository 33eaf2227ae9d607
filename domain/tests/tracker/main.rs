//! The tracker, through its public interface: a test tells it what a server sends and when, and looks at the stamps.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod kills;
mod laws;
mod maps;
mod matches;
mod players;
mod state;

use mohaa_domain::event::{Event, Millis, Player, Stamp};
use mohaa_domain::tracker::{EventWindow, Tracker};
use mohaa_domain::vocabulary::{EventType, GameType, Team};
use uuid::Uuid;

pub const SERVER: Uuid = Uuid::from_u128(0x5e7);
pub const MINUTE: f64 = 60.0;

/// One server and its tracker. Seconds count from the moment at which the test starts.
pub struct Server {
    pub tracker: Tracker,
}

pub fn at(seconds: f64) -> Millis {
    Millis(1_700_000_000_000 + (seconds * 1000.0).round() as i64)
}

impl Server {
    pub fn start() -> Self {
        Server { tracker: Tracker::new(SERVER) }
    }

    pub fn receives(&mut self, received_at: f64, event: &Event) -> Stamp {
        self.tracker.stamp(event, at(received_at), &EventWindow::default())
    }

    /// The match that an event is stamped with.
    pub fn places(&mut self, received_at: f64, event: &Event) -> Uuid {
        self.receives(received_at, event).match_id
    }

    /// When a match ended, as known at that time.
    pub fn ended_at(&self, match_id: Uuid, now: f64) -> Option<Millis> {
        self.tracker.matches(at(now)).find(|known| known.match_id == match_id).unwrap().ended_at
    }
}

pub fn event(event_type: EventType) -> Event {
    Event { event_type, source_type: event_type.as_str().into(), ..Event::default() }
}

/// A jump at this level.time, the plainest event there is.
pub fn jump(level_time: f64) -> Event {
    event(EventType::Jump).level(level_time)
}

pub fn player(guid: &str, name: &str, team: Team) -> Player {
    Player { guid: guid.into(), name: name.into(), team, ..Player::default() }
}

pub trait Described {
    fn level(self, seconds: f64) -> Self;
    fn named(self, source_match_id: &str) -> Self;
    fn session(self, session_id: &str) -> Self;
    fn map(self, map_name: &str) -> Self;
    fn game_type(self, game_type: GameType) -> Self;
    fn by(self, player: Player) -> Self;
    fn to(self, target: Player) -> Self;
}

impl Described for Event {
    fn level(self, seconds: f64) -> Self {
        Event { level_time: Some(seconds), ..self }
    }

    fn named(self, source_match_id: &str) -> Self {
        Event { source_match_id: source_match_id.into(), ..self }
    }

    fn session(self, session_id: &str) -> Self {
        Event { session_id: session_id.into(), ..self }
    }

    fn map(self, map_name: &str) -> Self {
        Event { map_name: map_name.into(), ..self }
    }

    fn game_type(self, game_type: GameType) -> Self {
        Event { game_type, ..self }
    }

    fn by(self, player: Player) -> Self {
        Event { player, ..self }
    }

    fn to(self, target: Player) -> Self {
        Event { target, ..self }
    }
}
