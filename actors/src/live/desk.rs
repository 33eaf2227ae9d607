//! LiveDesk: which match's actor gets what, when matches end, and what the spool has to keep for them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actix::{Arbiter, ArbiterHandle};
use mohaa_domain::event::{Event, Millis, Stamp};
use mohaa_domain::live::Board;
use mohaa_domain::tracker::{CLOSES_AFTER_MS, CORRECTABLE_AFTER_CLOSE_MS, MatchInfo, SILENCE_ENDS_AFTER_MS};
use mohaa_spool::SpoolReader;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::achievements::Achievements;
use super::feed::{LiveFeeds, Renditions, Seen};
use super::match_actor::{Delivery, MatchActor, MatchEstate, MatchSignal};
use super::{Snapshots, TELL_EVERY};
use crate::clock::Clock;
use crate::metrics::MailboxMetrics;
use crate::port::{Capacity, Port, Post, Weight};
use crate::supervision::{Directory, RestartBudget};

/// Threads that all matches share.
const ARBITERS: usize = 2;
/// Further matches are stored, and not followed.
const MOST_MATCHES: usize = 2_000;
/// Half a minute of a full server.
const MAILBOX_EVENTS: u64 = 4_000;
const MAILBOX_BYTES: u64 = 16 << 20;
/// The spool keeps what no snapshot has for so long at most: storing comes first.
const RETAINED_AT_MOST: Duration = Duration::from_secs(10 * 60);

/// What a desk is made of.
pub struct LiveParts {
    pub feeds: LiveFeeds,
    pub snapshots: Arc<dyn Snapshots>,
    pub achievements: Arc<dyn Achievements>,
    pub spool_id: Uuid,
    pub spool: SpoolReader,
    pub clock: Clock,
    pub metrics: MailboxMetrics,
    pub directory: Directory,
}

struct Entry {
    port: Port<MatchActor>,
    last_received_at: Millis,
    ended_at: Option<Millis>,
    saved_through: Arc<AtomicU64>,
    /// The number that was there last, and since when.
    seen_saved: (u64, Instant),
}

/// Owned by the Batcher.
pub struct LiveDesk {
    parts: LiveParts,
    arbiters: Vec<ArbiterHandle>,
    opened: usize,
    matches: HashMap<Uuid, Entry>,
    /// Matches of which events came before this process, or elsewhere.
    begun_before: HashSet<Uuid>,
    ticked_at: Instant,
}

impl LiveDesk {
    pub fn new(parts: LiveParts) -> Self {
        let arbiters = (0..ARBITERS).map(|_| Arbiter::new().handle()).collect();
        let ticked_at = parts.clock.instant();
        Self { parts, arbiters, opened: 0, matches: HashMap::new(), begun_before: HashSet::new(), ticked_at }
    }

    /// Matches that a tracker knew before its first event here. Those that are being played are followed at once.
    pub fn meet(
        &mut self,
        server_id: Uuid,
        matches: impl Iterator<Item = MatchInfo>,
        delivered_through: u64,
    ) {
        for info in matches {
            self.begun_before.insert(info.match_id);
            if info.ended_at.is_none() {
                self.open(server_id, info.match_id, info.last_event_at, delivered_through);
            }
        }
    }

    /// Hands a stamped request to its matches, and tells those of its server that have ended. `matches` are the server's
    /// as its tracker knows them now.
    pub fn deliver(
        &mut self,
        events: &Arc<Vec<Event>>,
        stamps: Vec<Stamp>,
        bytes: u64,
        matches: impl Iterator<Item = MatchInfo>,
    ) {
        let Some((server_id, seq, received_at)) =
            stamps.first().map(|stamp| (stamp.server_id, stamp.spool_seq, stamp.received_at))
        else {
            return;
        };
        let mut named: Vec<Uuid> = stamps.iter().map(|stamp| stamp.match_id).collect();
        named.dedup();
        let delivery = Delivery { events: events.clone(), stamps: Arc::new(stamps) };
        let weight = Weight { events: delivery.events.len() as u64, bytes };
        let mut told = HashSet::new();
        for match_id in named.into_iter().filter(|match_id| told.insert(*match_id)) {
            self.open(server_id, match_id, received_at, seq.saturating_sub(1));
            let Some(entry) = self.matches.get_mut(&match_id) else { continue };
            entry.last_received_at = entry.last_received_at.max(received_at);
            if entry.port.offer(delivery.clone(), weight).is_err() {
                entry.port.tell(MatchSignal::Missed { seq });
            }
        }
        for info in matches {
            let Some(entry) = self.matches.get_mut(&info.match_id) else { continue };
            match (entry.ended_at, info.ended_at) {
                (None, Some(at)) => {
                    entry.ended_at = Some(at);
                    entry.port.tell(MatchSignal::Ended { at });
                }
                (Some(_), None) => {
                    entry.ended_at = None;
                    entry.port.tell(MatchSignal::Reopened);
                }
                _ => {}
            }
        }
    }

    /// To be called often: ends what is silent, forgets what is closed, lets actors tell viewers and leave snapshots. Says
    /// from which number on the spool has to keep records, where that is due.
    pub fn tick(&mut self, newest_seq: u64) -> Option<Option<u64>> {
        let instant = self.parts.clock.instant();
        if instant.saturating_duration_since(self.ticked_at) < TELL_EVERY {
            return None;
        }
        self.ticked_at = instant;
        let now = self.parts.clock.now().0;
        self.matches.retain(|match_id, entry| {
            let silent_at = entry.last_received_at.0.saturating_add(SILENCE_ENDS_AFTER_MS);
            if entry.ended_at.is_none() && now >= silent_at {
                entry.ended_at = Some(Millis(silent_at));
                entry.port.tell(MatchSignal::Ended { at: Millis(silent_at) });
            }
            let quiet_since = entry.ended_at.map(|at| at.max(entry.last_received_at).0);
            if quiet_since.is_some_and(|at| now - at > CLOSES_AFTER_MS + CORRECTABLE_AFTER_CLOSE_MS) {
                entry.port.tell(MatchSignal::Stop);
                self.begun_before.remove(match_id);
                return false;
            }
            entry.port.tell(MatchSignal::Tick { through_seq: newest_seq });
            true
        });
        Some(self.retained_from(instant))
    }

    /// The lowest number that a snapshot lacks.
    fn retained_from(&mut self, now: Instant) -> Option<u64> {
        if self.parts.spool.stats().full {
            return None;
        }
        let lacking = self.matches.values_mut().filter_map(|entry| {
            let saved = entry.saved_through.load(Ordering::Acquire);
            if entry.seen_saved.0 != saved {
                entry.seen_saved = (saved, now);
            }
            let age = now.saturating_duration_since(entry.seen_saved.1);
            (age < RETAINED_AT_MOST).then_some(saved + 1)
        });
        lacking.min()
    }

    /// Has every actor leave a snapshot; each answer comes, or is dropped, when that is done.
    pub fn save_all(&self) -> Vec<oneshot::Receiver<()>> {
        let save = |entry: &Entry| {
            let (done, saved) = oneshot::channel();
            entry.port.tell(MatchSignal::Save(done));
            saved
        };
        self.matches.values().map(save).collect()
    }

    /// Starts the actor of a match, if it has none.
    fn open(&mut self, server_id: Uuid, match_id: Uuid, last_received_at: Millis, delivered_through: u64) {
        if self.matches.contains_key(&match_id) {
            return;
        }
        if self.matches.len() >= MOST_MATCHES {
            tracing::warn!(%match_id, "too many matches are live: this one is stored, and not followed");
            return;
        }
        let began_before = self.begun_before.contains(&match_id);
        let feed = self.parts.feeds.open(Seen {
            match_id,
            server_id,
            source_match_id: String::new(),
            board: Board::default(),
            stale: began_before,
            ended_at: None,
            achievements: Arc::default(),
            renditions: Renditions::default(),
        });
        let saved_through = Arc::new(AtomicU64::new(if began_before { 0 } else { delivered_through }));
        let estate = MatchEstate {
            match_id,
            server_id,
            spool_id: self.parts.spool_id,
            spool: self.parts.spool.clone(),
            snapshots: self.parts.snapshots.clone(),
            achievements: self.parts.achievements.clone(),
            feeds: self.parts.feeds.clone(),
            feed,
            clock: self.parts.clock.clone(),
            delivered_through,
            began_before,
            saved_through: saved_through.clone(),
            snapshot: None,
            ended_at: None,
        };
        self.opened += 1;
        let post = Post {
            arbiter: &self.arbiters[self.opened % ARBITERS],
            name: match_id.to_string(),
            capacity: Capacity { events: MAILBOX_EVENTS, bytes: MAILBOX_BYTES },
            budget: RestartBudget::default(),
            clock: self.parts.clock.clone(),
            metrics: self.parts.metrics.clone(),
            directory: &self.parts.directory,
        };
        let port = Port::start(post, estate, |port, estate| MatchActor::new(estate, port.clone()));
        let seen_saved = (saved_through.load(Ordering::Acquire), self.parts.clock.instant());
        self.matches
            .insert(match_id, Entry { port, last_received_at, ended_at: None, saved_through, seen_saved });
    }
}
