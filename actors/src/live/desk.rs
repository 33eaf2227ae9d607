//! LiveDesk: which match's actor gets what, when matches end, and what the spool has to keep for them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actix::ArbiterHandle;
use mohaa_domain::event::{Event, Millis, Stamp};
use mohaa_domain::live::{Board, LiveEvent};
use mohaa_domain::tracker::{
    CLOSES_AFTER_MS, CORRECTABLE_AFTER_CLOSE_MS, MAX_MATCHES, MatchInfo, SILENCE_ENDS_AFTER_MS,
};
use mohaa_spool::SpoolReader;
use tokio::sync::{Semaphore, oneshot};
use uuid::Uuid;

use super::catch_up::Lack;
use super::feed::{LiveFeed, LiveFeeds, Renditions, Seen};
use super::match_actor::{Delivery, MatchActor, MatchEstate, MatchSignal};
use super::nodes::{Forwarded, Owner};
use super::{LivePorts, TELL_EVERY};
use crate::clock::Clock;
use crate::metrics::MailboxMetrics;
use crate::port::{Capacity, Port, Post, Weight};
use crate::record::RecordView;
use crate::supervision::{Directory, RestartBudget};

/// Threads that all matches share.
const ARBITERS: usize = 2;
/// Further matches are stored, and not followed.
const MOST_MATCHES: usize = 2_000;
/// As many as its tracker remembers: beyond, the one that was silent longest is followed no more. What a server can make up
/// is bounded by this and by [`mohaa_domain::live::MOST_PLAYERS`].
const MOST_MATCHES_OF_A_SERVER: usize = MAX_MATCHES;
/// Half a minute of a full server.
const MAILBOX_EVENTS: u64 = 4_000;
const MAILBOX_BYTES: u64 = 16 << 20;
/// The spool keeps what no snapshot has for so long at most: storing comes first.
const RETAINED_AT_MOST: Duration = Duration::from_secs(10 * 60);
/// Snapshots that are on their way at once: each is a tenth of a megabyte, and Redis takes them one after the other.
const MOST_SAVING: usize = 16;
/// Events that wait for a match's actor, at most: a quarter of a kilobyte each and more.
const MOST_WAITING: usize = 256;
/// Room is made for no more events before they come.
const MOST_EXPECTED: usize = 32;
/// Requests that wait until it is decided who follows their server; beyond, the owner reads them from the store.
const MOST_UNDECIDED: usize = 1_000;

/// What a desk is made of.
pub struct LiveParts {
    pub feeds: LiveFeeds,
    pub ports: LivePorts,
    pub spool_id: Uuid,
    pub spool: SpoolReader,
    pub clock: Clock,
    pub metrics: MailboxMetrics,
    pub directory: Directory,
}

struct Entry {
    server_id: Uuid,
    /// Which one it was to be opened.
    opened: usize,
    port: Port<MatchActor>,
    feed: Arc<LiveFeed>,
    /// What the actor was not given yet, all of it from one spool.
    waiting: Waiting,
    last_received_at: Millis,
    ended_at: Option<Millis>,
    /// By whose tracker, that of the node with this spool; none where silence ended it.
    ended_by: Option<Uuid>,
    saved_through: Arc<AtomicU64>,
    /// The number that was there last, and since when.
    seen_saved: (u64, Instant),
}

/// Events on their way to the actor of their match.
struct Waiting {
    spool_id: Uuid,
    events: Vec<LiveEvent>,
    /// As many will probably come; room for them is made when the first one does.
    expected: usize,
    /// Of the records that they are from.
    bytes: u64,
    /// Somebody watches: they are handed out when the Batcher rests.
    is_watched: bool,
}

impl Entry {
    /// Gives the actor what waits for it. `own_spool_id` is this node's.
    fn hand_out(&mut self, own_spool_id: Uuid) {
        self.waiting.is_watched = false;
        if self.waiting.events.is_empty() {
            return;
        }
        let (spool_id, bytes) = (self.waiting.spool_id, std::mem::take(&mut self.waiting.bytes));
        self.waiting.expected = self.waiting.events.len().min(MOST_EXPECTED);
        let delivery = Delivery { spool_id, events: std::mem::take(&mut self.waiting.events) };
        let weight = Weight { events: delivery.events.len() as u64, bytes };
        if let Err((refused, _)) = self.port.offer(delivery, weight) {
            self.port.tell(match refused.last_seq() {
                Some(seq) if spool_id == own_spool_id => MatchSignal::Missed { seq },
                _ => MatchSignal::Lacking,
            });
        }
    }
}

/// A server of which nobody knows yet who follows it.
#[derive(Default)]
struct Undecided {
    /// The number of its first request here.
    since_seq: u64,
    /// Some did not fit.
    is_lacking: bool,
    requests: Vec<Forwarded>,
}

/// What of a request concerns all of its events.
struct Request {
    spool_id: Uuid,
    server_id: Uuid,
    received_at: Millis,
    /// Of its record.
    bytes: u64,
    fence: u64,
    /// Its number in this node's spool; of another node's the newest that was given out here.
    seq: u64,
}

/// Owned by the Batcher.
///
/// What is delivered is handed out at the next [tick](Self::tick), or when it has become much: an actor folds many events
/// for little more than what being woken for one costs. Where somebody watches, it is handed out when the Batcher
/// [rests](Self::rest).
pub struct LiveDesk {
    parts: LiveParts,
    arbiters: Vec<ArbiterHandle>,
    opened: usize,
    matches: HashMap<Uuid, Entry>,
    /// The request at hand, as far as live state is concerned.
    staged: Vec<LiveEvent>,
    /// Matches that are watched and have something waiting.
    watched: Vec<Uuid>,
    /// Matches of which events came before this process, or elsewhere.
    begun_before: HashSet<Uuid>,
    /// Those of them that gave way to later ones of their server, the first first.
    gave_way: VecDeque<Uuid>,
    /// As it was decided last; who is not in it has to be asked for.
    owners: HashMap<Uuid, Owner>,
    undecided: HashMap<Uuid, Undecided>,
    rebuilding: Arc<Semaphore>,
    saving: Arc<Semaphore>,
    ticked_at: Instant,
}

impl LiveDesk {
    pub fn new(parts: LiveParts) -> Self {
        let arbiters = (0..ARBITERS).map(|_| parts.directory.thread()).collect();
        let ticked_at = parts.clock.instant();
        Self {
            parts,
            arbiters,
            opened: 0,
            matches: HashMap::new(),
            staged: Vec::new(),
            watched: Vec::new(),
            begun_before: HashSet::new(),
            gave_way: VecDeque::new(),
            owners: HashMap::new(),
            undecided: HashMap::new(),
            rebuilding: Arc::new(Semaphore::new(1)),
            saving: Arc::new(Semaphore::new(MOST_SAVING)),
            ticked_at,
        }
    }

    /// Matches that a tracker knew before its first event here. They are followed at once, those that are over until it is told how
    /// they ended.
    pub fn meet(
        &mut self,
        server_id: Uuid,
        matches: impl Iterator<Item = MatchInfo>,
        delivered_through: u64,
    ) {
        let matches: Vec<MatchInfo> = matches.collect();
        self.begun_before.extend(matches.iter().map(|info| info.match_id));
        match self.owner_of(server_id) {
            Owner::Us { fence } => {
                self.open_those_that_are_known(server_id, &matches, delivered_through, fence, |_| {
                    Some(Lack::SinceSnapshot)
                });
            }
            Owner::Undecided => {
                let since_seq = delivered_through + 1;
                self.undecided.entry(server_id).or_insert(Undecided { since_seq, ..Undecided::default() });
            }
            Owner::Other => {}
        }
    }

    fn owner_of(&mut self, server_id: Uuid) -> Owner {
        *self.owners.entry(server_id).or_insert_with(|| self.parts.ports.nodes.owner_of(server_id))
    }

    fn open_those_that_are_known(
        &mut self,
        server_id: Uuid,
        matches: &[MatchInfo],
        delivered_through: u64,
        fence: u64,
        lack: impl Fn(Uuid) -> Option<Lack>,
    ) {
        for info in matches {
            // Those that are over too: how they ended may not be told yet.
            let lack = lack(info.match_id);
            self.open(server_id, info.match_id, info.last_event_at, delivered_through, fence, lack);
        }
        let ends = matches.iter().map(|info| (info.match_id, info.ended_at));
        self.tell_ends(self.parts.spool_id, ends);
    }

    /// Begins with a request of a server; whether its events have to be [staged](Self::stage).
    pub fn begin_request(&mut self, server_id: Uuid) -> bool {
        self.staged.clear();
        matches!(self.owner_of(server_id), Owner::Us { .. })
    }

    /// Takes an event of the request at hand, while it is at hand.
    pub fn stage(&mut self, event: &Event, stamp: &Stamp) {
        self.staged.push(LiveEvent::of(event, stamp));
    }

    /// Delivers the request at hand to its matches, and tells those of its server that have ended; or hands it to the node that
    /// follows the server. `record` is the request as the spool gets it, `ends` are those of the server's matches as its tracker
    /// knows them now.
    pub fn deliver(
        &mut self,
        server_id: Uuid,
        received_at: Millis,
        seq: u64,
        record: &Arc<Vec<u8>>,
        ends: impl Iterator<Item = (Uuid, Option<Millis>)>,
    ) {
        let owner = self.owner_of(server_id);
        if let Owner::Us { fence } = owner {
            let (spool_id, bytes) = (self.parts.spool_id, record.len() as u64);
            return self.take(&Request { spool_id, server_id, received_at, bytes, fence, seq }, ends);
        }
        let request =
            Forwarded { spool_id: self.parts.spool_id, record: record.clone(), matches: ends.collect() };
        if owner == Owner::Other {
            return self.parts.ports.nodes.forward(server_id, request);
        }
        let waiting = self.undecided.entry(server_id).or_default();
        if waiting.since_seq == 0 {
            waiting.since_seq = seq;
        }
        match waiting.requests.len() < MOST_UNDECIDED {
            true => waiting.requests.push(request),
            false => waiting.is_lacking = true,
        }
    }

    /// Hands out what somebody watches.
    pub fn rest(&mut self) {
        for match_id in self.watched.drain(..) {
            if let Some(entry) = self.matches.get_mut(&match_id) {
                entry.hand_out(self.parts.spool_id);
            }
        }
    }

    /// Takes what another node got of a server that this one follows; gives what was taken. `newest_seq` is the newest number
    /// that was given out here.
    pub fn take_forwarded(&mut self, forwarded: &Forwarded, newest_seq: u64) -> Option<Vec<(Event, Stamp)>> {
        let view = RecordView::parse(&forwarded.record).ok()?;
        let server_id = view.server_id;
        let Owner::Us { fence } = self.owner_of(server_id) else { return None };
        let events = view.events().ok()?;
        self.staged.clear();
        self.staged.extend(events.iter().map(|(event, stamp)| LiveEvent::of(event, stamp)));
        let request = Request {
            spool_id: forwarded.spool_id,
            server_id,
            received_at: view.received_at,
            bytes: forwarded.record.len() as u64,
            fence,
            seq: newest_seq,
        };
        self.take(&request, forwarded.matches.iter().copied());
        Some(events)
    }

    /// Whether another node follows this server: what that one knows of it counts.
    pub fn is_followed_elsewhere(&self, server_id: Uuid) -> bool {
        self.owners.get(&server_id) == Some(&Owner::Other)
    }

    /// Other nodes have events of this server that were not handed on.
    pub fn is_lacking(&self, server_id: Uuid) {
        let of_server = self.matches.values().filter(|entry| entry.server_id == server_id);
        of_server.for_each(|entry| entry.port.tell(MatchSignal::Lacking));
    }

    /// It is decided who follows a server. `matches` are the server's as its tracker knows them, `newest_seq` the newest
    /// number that was given out.
    pub fn decided(
        &mut self,
        server_id: Uuid,
        owner: Owner,
        matches: impl Iterator<Item = MatchInfo>,
        newest_seq: u64,
    ) {
        self.owners.insert(server_id, owner);
        let waited = self.undecided.remove(&server_id);
        match owner {
            Owner::Undecided => {}
            Owner::Us { fence } => {
                for entry in self.matches.values().filter(|entry| entry.server_id == server_id) {
                    entry.port.tell(MatchSignal::Fence(fence));
                }
                let matches: Vec<MatchInfo> = matches.collect();
                let begun_before = self.begun_before.clone();
                // Whatever came here first is in the spool, whole; what another node followed is not.
                let lack = |match_id: Uuid| match &waited {
                    Some(waited) if !begun_before.contains(&match_id) => {
                        Some(Lack::After(waited.since_seq.saturating_sub(1)))
                    }
                    Some(_) => Some(Lack::SinceSnapshot),
                    None => Some(Lack::Everything),
                };
                self.open_those_that_are_known(server_id, &matches, newest_seq, fence, lack);
            }
            Owner::Other => {
                let (feeds, nodes) = (&self.parts.feeds, &self.parts.ports.nodes);
                let spool_id = self.parts.spool_id;
                self.matches.retain(|match_id, entry| {
                    let stays = entry.server_id != server_id;
                    if !stays {
                        entry.hand_out(spool_id);
                        feeds.hand_over(*match_id);
                        entry.port.tell(MatchSignal::HandOver);
                    }
                    stays
                });
                for request in waited.into_iter().flat_map(|waited| waited.requests) {
                    nodes.forward(server_id, request);
                }
            }
        }
    }

    /// Puts what is staged to what waits for its matches.
    fn take(&mut self, request: &Request, ends: impl Iterator<Item = (Uuid, Option<Millis>)>) {
        let Request { spool_id, server_id, received_at, bytes, fence, seq } = *request;
        let own_spool_id = self.parts.spool_id;
        let is_own = spool_id == own_spool_id;
        let mut staged = std::mem::take(&mut self.staged);
        let mut events = staged.drain(..).peekable();
        while let Some((match_id, is_result)) = events.peek().map(|event| (event.match_id, event.is_result)) {
            let mut next_of_match = || events.next_if(|event| event.match_id == match_id);
            // A result may be that of a match which is long over: it brings none back.
            if is_result && !self.matches.contains_key(&match_id) {
                next_of_match();
                continue;
            }
            let (delivered_through, lack) = match is_own {
                true => {
                    let began_before = self.begun_before.contains(&match_id);
                    (seq.saturating_sub(1), began_before.then_some(Lack::SinceSnapshot))
                }
                // Nothing of it may ever have come here.
                false => (seq, Some(Lack::Everything)),
            };
            self.open(server_id, match_id, received_at, delivered_through, fence, lack);
            let Some(entry) = self.matches.get_mut(&match_id) else {
                while next_of_match().is_some() {}
                continue;
            };
            entry.last_received_at = entry.last_received_at.max(received_at);
            if entry.waiting.spool_id != spool_id {
                entry.hand_out(own_spool_id);
                entry.waiting.spool_id = spool_id;
            }
            if entry.waiting.events.is_empty() {
                entry.waiting.events.reserve(entry.waiting.expected);
            }
            entry.waiting.events.extend(std::iter::from_fn(next_of_match));
            entry.waiting.bytes += bytes;
            if entry.waiting.events.len() >= MOST_WAITING {
                entry.hand_out(own_spool_id);
            } else if !entry.waiting.is_watched && entry.feed.has_viewers() {
                entry.waiting.is_watched = true;
                self.watched.push(match_id);
            }
        }
        drop(events);
        self.staged = staged;
        self.tell_ends(spool_id, ends);
    }

    /// Tells the actors of matches that have ended, or have not after all. `by` is whose tracker says so: another one, which
    /// has not seen the end, does not take it back.
    fn tell_ends(&mut self, by: Uuid, ends: impl Iterator<Item = (Uuid, Option<Millis>)>) {
        for (match_id, ended_at) in ends {
            let Some(entry) = self.matches.get_mut(&match_id) else { continue };
            match (entry.ended_at, ended_at) {
                (None, Some(at)) => {
                    entry.hand_out(self.parts.spool_id);
                    (entry.ended_at, entry.ended_by) = (Some(at), Some(by));
                    entry.port.tell(MatchSignal::Ended { at });
                }
                (Some(_), None) if entry.ended_by.is_none_or(|known| known == by) => {
                    entry.hand_out(self.parts.spool_id);
                    (entry.ended_at, entry.ended_by) = (None, None);
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
        let spool_id = self.parts.spool_id;
        let mut left = HashSet::new();
        self.watched.clear();
        self.matches.retain(|match_id, entry| {
            entry.hand_out(spool_id);
            let silent_at = entry.last_received_at.0.saturating_add(SILENCE_ENDS_AFTER_MS);
            if entry.ended_at.is_none() && now >= silent_at {
                entry.ended_at = Some(Millis(silent_at));
                entry.port.tell(MatchSignal::Ended { at: Millis(silent_at) });
            }
            let quiet_since = entry.ended_at.map(|at| at.max(entry.last_received_at).0);
            if quiet_since.is_some_and(|at| now - at > CLOSES_AFTER_MS + CORRECTABLE_AFTER_CLOSE_MS) {
                entry.port.tell(MatchSignal::Stop);
                self.begun_before.remove(match_id);
                left.insert(entry.server_id);
                return false;
            }
            entry.port.tell(MatchSignal::Tick { through_seq: newest_seq });
            true
        });
        if !left.is_empty() {
            for entry in self.matches.values() {
                left.remove(&entry.server_id);
            }
            for server_id in left {
                self.owners.remove(&server_id);
                self.parts.ports.nodes.release(server_id);
            }
        }
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
    pub fn save_all(&mut self) -> Vec<oneshot::Receiver<()>> {
        let spool_id = self.parts.spool_id;
        let save = |entry: &mut Entry| {
            entry.hand_out(spool_id);
            let (done, saved) = oneshot::channel();
            entry.port.tell(MatchSignal::Save(done));
            saved
        };
        self.matches.values_mut().map(save).collect()
    }

    /// Follows one match of a server less, where there are as many as may be: rather one that is over.
    fn make_way(&mut self, server_id: Uuid) {
        let of_server = || self.matches.iter().filter(|(_, entry)| entry.server_id == server_id);
        if of_server().count() < MOST_MATCHES_OF_A_SERVER {
            return;
        }
        let quietest = of_server()
            .min_by_key(|(_, entry)| (entry.ended_at.is_none(), entry.last_received_at, entry.opened));
        let Some(match_id) = quietest.map(|(match_id, _)| *match_id) else { return };
        let Some(mut entry) = self.matches.remove(&match_id) else { return };
        entry.hand_out(self.parts.spool_id);
        if entry.ended_at.is_none() {
            entry.port.tell(MatchSignal::Ended { at: entry.last_received_at });
        }
        entry.port.tell(MatchSignal::Stop);
        // Should something come of it all the same, what is known of it is read.
        self.begun_before.insert(match_id);
        self.gave_way.push_back(match_id);
        if self.gave_way.len() > MOST_MATCHES
            && let Some(forgotten) = self.gave_way.pop_front()
        {
            self.begun_before.remove(&forgotten);
        }
    }

    /// Starts the actor of a match, if it has none.
    fn open(
        &mut self,
        server_id: Uuid,
        match_id: Uuid,
        last_received_at: Millis,
        delivered_through: u64,
        fence: u64,
        lack: Option<Lack>,
    ) {
        if self.matches.contains_key(&match_id) {
            return;
        }
        self.make_way(server_id);
        if self.matches.len() >= MOST_MATCHES {
            tracing::warn!(%match_id, "too many matches are live: this one is stored, and not followed");
            return;
        }
        let feed = self.parts.feeds.open(Seen {
            match_id,
            server_id,
            source_match_id: String::new(),
            board: Board::default(),
            stale: lack.is_some(),
            ended_at: None,
            achievements: Arc::default(),
            renditions: Renditions::default(),
        });
        let saved_through = Arc::new(AtomicU64::new(if lack.is_some() { 0 } else { delivered_through }));
        let estate = MatchEstate {
            match_id,
            server_id,
            spool_id: self.parts.spool_id,
            spool: self.parts.spool.clone(),
            snapshots: self.parts.ports.snapshots.clone(),
            history: self.parts.ports.history.clone(),
            rebuilding: self.rebuilding.clone(),
            saving: self.saving.clone(),
            achievements: self.parts.ports.achievements.clone(),
            summaries: self.parts.ports.summaries.clone(),
            feeds: self.parts.feeds.clone(),
            feed: feed.clone(),
            clock: self.parts.clock.clone(),
            fence,
            delivered_through,
            lack,
            saved_through: saved_through.clone(),
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
        self.matches.insert(
            match_id,
            Entry {
                server_id,
                opened: self.opened,
                port,
                feed,
                waiting: Waiting {
                    spool_id: self.parts.spool_id,
                    events: Vec::new(),
                    expected: 0,
                    bytes: 0,
                    is_watched: false,
                },
                last_received_at,
                ended_at: None,
                ended_by: None,
                saved_through,
                seen_saved,
            },
        );
    }
}
