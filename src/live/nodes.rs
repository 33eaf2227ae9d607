//! This node among others: who follows which server, events that are handed on to whoever does, and matches that this
//! node's viewers watch though another node follows them.
//!
//! **Leases.** The first node that gets events of a server follows its matches, as long as it renews its lease in Redis. The
//! others hand on what they get. When a lease runs out, the next node that gets events takes it. While Redis is away
//! each node follows what it gets.
//!
//! **Mirrors.** Each node tells all others once a second what it follows. Where a viewer asks for a match of another node, this
//! one opens a *mirror* of its feed and asks that node for the updates, as long as somebody watches. Updates keep
//! their numbers, so viewers can go from node to node. A message that gets lost costs a snapshot.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::StreamExt as _;
use mohaa_actors::live::{
    Forwarded, LiveFeed, LiveFeeds, NodeNews, Nodes, Owner, Renditions, Seen, Since, Update,
};
use mohaa_domain::event::Millis;
use mohaa_domain::live::Board;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, mpsc};
use uuid::Uuid;

use super::answers::ListedLiveMatch;
use crate::redis::{Lease, LiveNodesStore};

const RENEW_EVERY: Duration = Duration::from_millis(500);
/// A server that moved here and on again is not waited for any longer.
const WANTED_FOR: Duration = Duration::from_secs(15 * 60);
/// A node that says nothing for so long has no matches any more.
const SILENT_AFTER: Duration = Duration::from_secs(4);
const FORGOTTEN_AFTER: Duration = Duration::from_secs(10 * 60);
/// How often viewers' nodes say that somebody watches, and when the other one stops telling.
const WATCH_EVERY: Duration = Duration::from_secs(1);
const TELL_FOR: Duration = Duration::from_secs(5);
/// Mirrors are kept so long behind their last viewer, who may only have turned the page.
const KEEP_MIRROR_FOR: Duration = Duration::from_secs(10);
const MOST_MIRRORS: usize = 2_000;
const MOST_OUTGOING: usize = 1_000;
/// A batch is sealed within a second or so, and stored within another; a store that was away takes longer.
const STORED_AFTER: Duration = Duration::from_secs(3);
const STORED_AT_LAST_AFTER: Duration = Duration::from_secs(15);
const LISTEN_AGAIN_AFTER: Duration = Duration::from_secs(1);
const LEASES_AT_ONCE: usize = 500;

/// What nodes say to each other.
#[derive(Serialize, Deserialize)]
enum Said {
    Forwarded {
        spool_id: Uuid,
        record: String,
        matches: Vec<(Uuid, Option<Millis>)>,
    },
    Lacking {
        server_id: Uuid,
    },
    /// Somebody watches this match at that node. `afresh`: begin with a snapshot.
    Watch {
        match_id: Uuid,
        node: Uuid,
        afresh: bool,
    },
    Snapshot {
        match_id: Uuid,
        epoch: u64,
        number: u64,
        seen: Arc<Seen>,
    },
    Update {
        match_id: Uuid,
        epoch: u64,
        update: Arc<Update>,
    },
    /// What a node follows.
    List {
        node: Uuid,
        matches: Vec<ListedLiveMatch>,
    },
}

/// See the [module](self). Cheap to clone.
#[derive(Clone)]
pub struct LiveNodes {
    inner: Arc<Inner>,
}

struct Inner {
    /// The same over restarts: a node that comes back in time still has its leases.
    node: OnceLock<Uuid>,
    store: LiveNodesStore,
    servers: Mutex<HashMap<Uuid, Server>>,
    released: Mutex<Vec<Uuid>>,
    is_asked: Notify,
    news: mpsc::UnboundedSender<NodeNews>,
    outgoing: mpsc::Sender<(Uuid, Said)>,
    others: Mutex<HashMap<Uuid, OtherNode>>,
    mirrors: Mutex<HashMap<Uuid, Mirror>>,
    is_watched: Notify,
    told: Mutex<HashMap<(Uuid, Uuid), Told>>,
}

#[derive(Clone, Copy)]
enum Follower {
    Asking,
    Us {
        fence: u64,
    },
    /// As long as nobody can say who else does.
    UsAlone,
    Node(Uuid),
}

struct Server {
    follower: Follower,
    /// When events of it came here last that another node follows.
    wanted_at: Instant,
    /// Its owner may lack events that are stored here, or are about to be.
    lacking: Option<Lacking>,
}

/// An owner that lacks events reads everything anew, once they are stored, and again in case that took longer.
#[derive(Clone, Copy)]
struct Lacking {
    tell_at: Instant,
    times_left: u8,
}

impl Lacking {
    fn from_now() -> Self {
        Self { tell_at: Instant::now() + STORED_AFTER, times_left: 2 }
    }
}

struct OtherNode {
    heard_at: Instant,
    matches: Vec<ListedLiveMatch>,
}

/// A match that is watched here and followed elsewhere.
struct Mirror {
    /// Who was asked last.
    asked: Option<Uuid>,
    /// A snapshot came, and no update was missed since.
    is_told: bool,
    watched_at: Instant,
}

/// Another node that is told of a match.
struct Told {
    until: Instant,
    afresh: bool,
}

/// What runs as long as the process.
pub struct LiveNodesWork {
    nodes: LiveNodes,
    outgoing: mpsc::Receiver<(Uuid, Said)>,
}

impl LiveNodes {
    /// `news` go to the Batcher.
    pub fn new(store: LiveNodesStore, news: mpsc::UnboundedSender<NodeNews>) -> (Self, LiveNodesWork) {
        let (outgoing, sent) = mpsc::channel(MOST_OUTGOING);
        let inner = Inner {
            node: OnceLock::new(),
            store,
            servers: Mutex::default(),
            released: Mutex::default(),
            is_asked: Notify::new(),
            news,
            outgoing,
            others: Mutex::default(),
            mirrors: Mutex::default(),
            is_watched: Notify::new(),
            told: Mutex::default(),
        };
        let nodes = Self { inner: Arc::new(inner) };
        (nodes.clone(), LiveNodesWork { nodes, outgoing: sent })
    }

    /// Gives every lease back: the next node need not wait for them to expire.
    pub async fn leave(&self) {
        let servers: Vec<Uuid> = lock(&self.inner.servers).drain().map(|(server_id, _)| server_id).collect();
        if !servers.is_empty()
            && let Err(error) = self.inner.store.release(self.node(), &servers).await
        {
            tracing::warn!(%error, "leases of live matches are left to expire");
        }
    }

    fn node(&self) -> Uuid {
        *self.inner.node.get_or_init(Uuid::new_v4)
    }

    fn tell(&self, news: NodeNews) {
        // Nobody listens any more when the service is ending.
        let _ = self.inner.news.send(news);
    }

    async fn say(&self, channel: &str, said: &Said) -> u64 {
        let Ok(message) = serde_json::to_vec(said) else { return 0 };
        self.inner.store.publish(channel, &message).await.unwrap_or_default()
    }

    async fn say_to(&self, node: Uuid, said: &Said) -> bool {
        self.say(&self.inner.store.channel_of(node), said).await > 0
    }
}

impl Nodes for LiveNodes {
    fn owner_of(&self, server_id: Uuid) -> Owner {
        let mut servers = lock(&self.inner.servers);
        let server = servers.entry(server_id).or_insert_with(|| {
            self.inner.is_asked.notify_one();
            Server { follower: Follower::Asking, wanted_at: Instant::now(), lacking: None }
        });
        match server.follower {
            Follower::Asking => Owner::Undecided,
            Follower::Us { fence } => Owner::Us { fence },
            Follower::UsAlone => Owner::Us { fence: 0 },
            Follower::Node(_) => Owner::Other,
        }
    }

    fn forward(&self, server_id: Uuid, request: Forwarded) {
        let Forwarded { spool_id, record, matches } = request;
        let said = Said::Forwarded { spool_id, record: BASE64_STANDARD.encode(&*record), matches };
        let is_taken = self.inner.outgoing.try_send((server_id, said)).is_ok();
        if let Some(server) = lock(&self.inner.servers).get_mut(&server_id) {
            server.wanted_at = Instant::now();
            if !is_taken {
                server.lacking = Some(Lacking::from_now());
            }
        }
    }

    fn release(&self, server_id: Uuid) {
        lock(&self.inner.servers).remove(&server_id);
        lock(&self.inner.released).push(server_id);
    }
}

/// Leases, and what is handed on.
impl LiveNodes {
    async fn keep_leases(self) {
        let mut is_failing = false;
        loop {
            // Whoever waits to be told is told at once.
            let _ = tokio::time::timeout(RENEW_EVERY, self.inner.is_asked.notified()).await;
            let outcome = self.renew().await;
            match outcome {
                Ok(()) if is_failing => tracing::info!("live matches are shared with other nodes again"),
                Err(error) if !is_failing => {
                    tracing::warn!(%error, "live matches can't be shared: each node follows what it gets");
                    is_failing = true;
                    continue;
                }
                _ => {}
            }
            is_failing = outcome.is_err();
        }
    }

    async fn renew(&self) -> Result<(), crate::redis::RedisError> {
        let now = Instant::now();
        let wanted: Vec<Uuid> = lock(&self.inner.servers)
            .iter()
            .filter(|(_, server)| {
                !matches!(server.follower, Follower::Node(_)) || now - server.wanted_at < WANTED_FOR
            })
            .map(|(server_id, _)| *server_id)
            .collect();
        for servers in wanted.chunks(LEASES_AT_ONCE) {
            match self.inner.store.lease(self.node(), servers).await {
                Ok(leases) => {
                    servers.iter().zip(leases).for_each(|(server, lease)| self.note(*server, lease))
                }
                Err(error) => {
                    self.follow_alone();
                    return Err(error);
                }
            }
        }
        let released = std::mem::take(&mut *lock(&self.inner.released));
        if !released.is_empty() {
            self.inner.store.release(self.node(), &released).await?;
        }
        self.tell_lacking().await;
        Ok(())
    }

    fn note(&self, server_id: Uuid, lease: Lease) {
        let mut servers = lock(&self.inner.servers);
        let Some(server) = servers.get_mut(&server_id) else { return };
        let before = server.follower;
        let owner = match lease {
            Lease::Ours { fence } => {
                server.follower = Follower::Us { fence };
                Owner::Us { fence }
            }
            Lease::Of { node } => {
                server.follower = Follower::Node(node);
                if !matches!(before, Follower::Node(known) if known == node) {
                    // Whatever came here while this node followed it, or before it was known who does.
                    server.lacking = Some(Lacking::from_now());
                }
                Owner::Other
            }
        };
        drop(servers);
        let (is_news, missed_something) = match (before, owner) {
            (Follower::Us { fence }, Owner::Us { fence: now }) => (fence != now, now > fence + 1),
            (Follower::Node(_), Owner::Other) => (false, false),
            _ => (true, false),
        };
        if is_news {
            self.tell(NodeNews::Owner { server_id, owner });
        }
        if missed_something {
            self.tell(NodeNews::Lacking { server_id });
        }
    }

    /// Nobody can say who follows the servers that were asked for.
    fn follow_alone(&self) {
        let mut alone = Vec::new();
        for (server_id, server) in lock(&self.inner.servers).iter_mut() {
            if matches!(server.follower, Follower::Asking) {
                server.follower = Follower::UsAlone;
                alone.push(*server_id);
            }
        }
        for server_id in alone {
            self.tell(NodeNews::Owner { server_id, owner: Owner::Us { fence: 0 } });
        }
    }

    async fn tell_lacking(&self) {
        let now = Instant::now();
        let is_due = |server: &Server| server.lacking.is_some_and(|lacking| lacking.tell_at <= now);
        let lacking: Vec<(Uuid, Follower)> = lock(&self.inner.servers)
            .iter()
            .filter(|(_, server)| is_due(server))
            .map(|(server_id, server)| (*server_id, server.follower))
            .collect();
        for (server_id, follower) in lacking {
            let is_heard = match follower {
                Follower::Node(node) => self.say_to(node, &Said::Lacking { server_id }).await,
                Follower::Us { .. } => {
                    self.tell(NodeNews::Lacking { server_id });
                    true
                }
                Follower::Asking | Follower::UsAlone => false,
            };
            if is_heard && let Some(server) = lock(&self.inner.servers).get_mut(&server_id) {
                server.lacking = server.lacking.filter(|lacking| lacking.times_left > 1).map(|lacking| {
                    Lacking { tell_at: now + STORED_AT_LAST_AFTER, times_left: lacking.times_left - 1 }
                });
            }
        }
    }

    /// What others said while they were not heard is lost.
    fn may_have_missed_something(&self) {
        // Also of those that are silent just now, for the same reason.
        let has_others = !lock(&self.inner.others).is_empty();
        for server in lock(&self.inner.servers).values_mut() {
            if has_others && matches!(server.follower, Follower::Us { .. }) {
                server.lacking = Some(Lacking::from_now());
            }
        }
    }

    async fn hand_on(self, mut outgoing: mpsc::Receiver<(Uuid, Said)>) {
        while let Some((server_id, said)) = outgoing.recv().await {
            let follower = lock(&self.inner.servers).get(&server_id).map(|server| server.follower);
            let is_heard = match follower {
                Some(Follower::Node(node)) => self.say_to(node, &said).await,
                _ => false,
            };
            if !is_heard && let Some(server) = lock(&self.inner.servers).get_mut(&server_id) {
                server.lacking = Some(Lacking::from_now());
            }
        }
    }
}

/// What others say.
impl LiveNodes {
    async fn listen(self, feeds: LiveFeeds) {
        let channels = [self.inner.store.channel_of(self.node()), self.inner.store.list_channel()];
        loop {
            match self.inner.store.listen(&channels).await {
                Ok(mut heard) => {
                    // Whatever was said meanwhile is lost.
                    for mirror in lock(&self.inner.mirrors).values_mut() {
                        mirror.is_told = false;
                    }
                    self.may_have_missed_something();
                    while let Some(message) = heard.next().await {
                        match serde_json::from_slice(&message) {
                            Ok(said) => self.hear(said, &feeds),
                            Err(error) => tracing::warn!(%error, "what another node says can't be read"),
                        }
                    }
                }
                // Said by who keeps the leases.
                Err(error) => tracing::debug!(%error, "other nodes can't be heard"),
            }
            tokio::time::sleep(LISTEN_AGAIN_AFTER).await;
        }
    }

    fn hear(&self, said: Said, feeds: &LiveFeeds) {
        match said {
            Said::Forwarded { spool_id, record, matches } => {
                if let Ok(record) = BASE64_STANDARD.decode(record) {
                    let forwarded = Forwarded { spool_id, record: Arc::new(record), matches };
                    self.tell(NodeNews::Forwarded(forwarded));
                }
            }
            Said::Lacking { server_id } => self.tell(NodeNews::Lacking { server_id }),
            Said::Watch { match_id, node, afresh } => self.tell_of(match_id, node, afresh, feeds),
            Said::Snapshot { match_id, epoch, number, seen } => {
                if let (Some(feed), Some(seen)) = (feeds.mirror_of(match_id), Arc::into_inner(seen)) {
                    feed.mirror_snapshot(epoch, number, seen);
                    if let Some(mirror) = lock(&self.inner.mirrors).get_mut(&match_id) {
                        mirror.is_told = true;
                    }
                }
            }
            Said::Update { match_id, epoch, update } => {
                let (Some(feed), Some(update)) = (feeds.mirror_of(match_id), Arc::into_inner(update)) else {
                    return;
                };
                if !feed.mirror_update(epoch, update) {
                    if let Some(mirror) = lock(&self.inner.mirrors).get_mut(&match_id) {
                        mirror.is_told = false;
                    }
                    self.inner.is_watched.notify_one();
                }
            }
            Said::List { node, .. } if node == self.node() => {}
            Said::List { node, matches } => {
                lock(&self.inner.others).insert(node, OtherNode { heard_at: Instant::now(), matches });
            }
        }
    }

    /// Another node has viewers of this match.
    fn tell_of(&self, match_id: Uuid, node: Uuid, afresh: bool, feeds: &LiveFeeds) {
        let Some(feed) = feeds.of(match_id) else { return };
        let until = Instant::now() + TELL_FOR;
        let is_told = {
            let mut told = lock(&self.inner.told);
            match told.get_mut(&(match_id, node)) {
                Some(known) => {
                    known.until = until;
                    known.afresh |= afresh;
                    true
                }
                None => {
                    told.insert((match_id, node), Told { until, afresh });
                    false
                }
            }
        };
        if !is_told {
            actix_web::rt::spawn(self.clone().keep_telling(feeds.clone(), feed, node));
        }
    }

    async fn keep_telling(self, feeds: LiveFeeds, feed: Arc<LiveFeed>, node: Uuid) {
        let (match_id, mut news) = (feed.match_id, feed.newest());
        let mut position = None;
        loop {
            {
                let mut told = lock(&self.inner.told);
                let Some(known) = told.get_mut(&(match_id, node)) else { return };
                // Or another node follows it by now.
                if known.until < Instant::now() || feeds.of(match_id).is_none() {
                    told.remove(&(match_id, node));
                    return;
                }
                if std::mem::take(&mut known.afresh) {
                    position = None;
                }
            }
            news.borrow_and_update();
            match feed.since(position) {
                Since::Snapshot { epoch, number, seen } => {
                    position = Some((epoch, number));
                    self.say_to(node, &Said::Snapshot { match_id, epoch, number, seen }).await;
                }
                Since::Updates { epoch, updates } => {
                    for update in updates {
                        position = Some((epoch, update.number));
                        self.say_to(node, &Said::Update { match_id, epoch, update }).await;
                    }
                }
            }
            let _ = tokio::time::timeout(WATCH_EVERY, news.changed()).await;
        }
    }
}

/// Matches of other nodes.
impl LiveNodes {
    /// What other nodes follow.
    pub(super) fn followed_elsewhere(&self) -> Vec<ListedLiveMatch> {
        let mut others = lock(&self.inner.others);
        others.retain(|_, other| other.heard_at.elapsed() < FORGOTTEN_AFTER);
        let speaking = others.values().filter(|other| other.heard_at.elapsed() < SILENT_AFTER);
        speaking.flat_map(|other| other.matches.iter().cloned()).collect()
    }

    /// Tells the other nodes what this one follows.
    pub(super) async fn tell_what_is_followed(&self, matches: Vec<ListedLiveMatch>) {
        let said = Said::List { node: self.node(), matches };
        self.say(&self.inner.store.list_channel(), &said).await;
    }

    /// The mirror of a match that another node follows, as soon as it shows something, or after a moment.
    pub(super) async fn mirror(&self, feeds: &LiveFeeds, followed: &ListedLiveMatch) -> Arc<LiveFeed> {
        let match_id = followed.match_id;
        let feed = feeds.open_mirror(Seen {
            match_id,
            server_id: followed.server_id,
            source_match_id: followed.source_match_id.clone().unwrap_or_default(),
            board: Board::default(),
            stale: true,
            ended_at: None,
            achievements: Arc::default(),
            renditions: Renditions::default(),
        });
        let mut news = feed.newest();
        let is_told = {
            let mut mirrors = lock(&self.inner.mirrors);
            let new = || Mirror { asked: None, is_told: false, watched_at: Instant::now() };
            let mirror = mirrors.entry(match_id).or_insert_with(new);
            mirror.watched_at = Instant::now();
            mirror.is_told
        };
        if !is_told {
            self.inner.is_watched.notify_one();
            let _ = tokio::time::timeout(WATCH_EVERY, news.changed()).await;
        }
        feed
    }

    async fn keep_mirrors(self, feeds: LiveFeeds) {
        loop {
            let _ = tokio::time::timeout(WATCH_EVERY, self.inner.is_watched.notified()).await;
            for feed in feeds.mirrored() {
                self.keep_mirror(&feeds, &feed).await;
            }
            lock(&self.inner.mirrors).retain(|match_id, _| feeds.mirror_of(*match_id).is_some());
        }
    }

    async fn keep_mirror(&self, feeds: &LiveFeeds, feed: &LiveFeed) {
        let match_id = feed.match_id;
        let follower = self.follower_of_match(match_id);
        let afresh = {
            let mut mirrors = lock(&self.inner.mirrors);
            let count = mirrors.len();
            // One that was followed here.
            let new = || Mirror { asked: None, is_told: false, watched_at: Instant::now() };
            let mirror = mirrors.entry(match_id).or_insert_with(new);
            if feed.has_viewers() {
                mirror.watched_at = Instant::now();
            } else if mirror.watched_at.elapsed() > KEEP_MIRROR_FOR || count > MOST_MIRRORS {
                feeds.close_mirror(match_id);
                return;
            }
            let afresh = !mirror.is_told || mirror.asked != follower;
            mirror.asked = follower;
            mirror.is_told &= follower.is_some();
            afresh
        };
        match follower {
            Some(node) => {
                self.say_to(node, &Said::Watch { match_id, node: self.node(), afresh }).await;
            }
            None => feed.mirror_is_stale(),
        }
    }

    fn follower_of_match(&self, match_id: Uuid) -> Option<Uuid> {
        let others = lock(&self.inner.others);
        let mut followers = others.iter().filter(|(_, other)| {
            other.heard_at.elapsed() < SILENT_AFTER
                && other.matches.iter().any(|followed| followed.match_id == match_id)
        });
        followers.next().map(|(node, _)| *node)
    }
}

impl LiveNodesWork {
    /// Works for ever. `node` names this node, also after a restart.
    pub async fn run(self, node: Uuid, feeds: LiveFeeds) {
        let Self { nodes, outgoing } = self;
        nodes.inner.node.get_or_init(|| node);
        tokio::join!(
            nodes.clone().keep_leases(),
            nodes.clone().hand_on(outgoing),
            nodes.clone().listen(feeds.clone()),
            nodes.keep_mirrors(feeds),
        );
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
