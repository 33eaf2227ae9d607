//! Mirrors: matches that this node's viewers watch though another node follows them, and the other way round.
//!
//! Each node tells all others once a second what it follows. Where a viewer asks for a match of another node, this one opens a
//! *mirror* of its feed and asks that node for the updates, as long as somebody watches. Updates keep their numbers, so
//! viewers can go from node to node. A message that gets lost costs a snapshot.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mohaa_actors::live::{LiveFeed, LiveFeeds, Renditions, Seen, Since};
use mohaa_domain::live::Board;
use uuid::Uuid;

use super::super::answers::ListedLiveMatch;
use super::{LiveNodes, Said, lock};

/// A node that says nothing for so long has no matches any more.
const SILENT_AFTER: Duration = Duration::from_secs(4);
const FORGOTTEN_AFTER: Duration = Duration::from_secs(10 * 60);
/// How often viewers' nodes say that somebody watches, and when the other one stops telling.
const WATCH_EVERY: Duration = Duration::from_secs(1);
const TELL_FOR: Duration = Duration::from_secs(5);
/// Mirrors are kept so long behind their last viewer, who may only have turned the page.
const KEEP_MIRROR_FOR: Duration = Duration::from_secs(10);
const MOST_MIRRORS: usize = 2_000;

pub(super) struct OtherNode {
    pub(super) heard_at: Instant,
    pub(super) matches: Vec<ListedLiveMatch>,
    pub(super) viewers: u64,
    pub(super) is_drained: bool,
}

/// Another node, by its own word.
pub struct HeardNode {
    pub node: Uuid,
    pub heard_before: Duration,
    pub live_matches: usize,
    pub viewers: u64,
    pub is_drained: bool,
}

/// A match that is watched here and followed elsewhere.
pub(super) struct Mirror {
    /// Who was asked last.
    asked: Option<Uuid>,
    /// A snapshot came, and no update was missed since.
    pub(super) is_told: bool,
    watched_at: Instant,
}

/// Another node that is told of a match.
pub(super) struct Told {
    until: Instant,
    afresh: bool,
}

/// Matches of other nodes.
impl LiveNodes {
    /// What other nodes follow.
    pub(crate) fn followed_elsewhere(&self) -> Vec<ListedLiveMatch> {
        let mut others = lock(&self.inner.others);
        others.retain(|_, other| other.heard_at.elapsed() < FORGOTTEN_AFTER);
        let speaking = others.values().filter(|other| other.heard_at.elapsed() < SILENT_AFTER);
        speaking.flat_map(|other| other.matches.iter().cloned()).collect()
    }

    /// The other nodes that were heard in the last ten minutes, those that are silent by now among them.
    pub fn heard(&self) -> Vec<HeardNode> {
        let mut heard: Vec<HeardNode> = lock(&self.inner.others)
            .iter()
            .map(|(node, other)| HeardNode {
                node: *node,
                heard_before: other.heard_at.elapsed(),
                live_matches: other.matches.len(),
                viewers: other.viewers,
                is_drained: other.is_drained,
            })
            .filter(|other| other.heard_before < FORGOTTEN_AFTER)
            .collect();
        heard.sort_by_key(|other| other.node);
        heard
    }

    /// Tells the other nodes what this one follows, and how many watch here.
    pub(crate) async fn tell_what_is_followed(&self, matches: Vec<ListedLiveMatch>, viewers: u64) {
        let said = Said::List { node: self.node(), matches, viewers, is_drained: self.is_drained() };
        self.say(&self.inner.store.list_channel(), &said).await;
    }

    /// The mirror of a match that another node follows, as soon as it shows something, or after a moment.
    pub(crate) async fn mirror(&self, feeds: &LiveFeeds, followed: &ListedLiveMatch) -> Arc<LiveFeed> {
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

    pub(super) async fn keep_mirrors(self, feeds: LiveFeeds) {
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

/// Matches of this node that are watched elsewhere.
impl LiveNodes {
    /// Another node has viewers of this match.
    pub(super) fn tell_of(&self, match_id: Uuid, node: Uuid, afresh: bool, feeds: &LiveFeeds) {
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
