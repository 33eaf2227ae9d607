//! Live matches for viewers: what the actors tell ([`mohaa_actors::live`]), as Server-Sent Events.
//!
//! Each update is put into its form once a node, by whoever sends it first ([`answers`]), and sent to every viewer as it
//! is ([`stream`]). The list of matches is made by one task, once a second ([`list`]). Matches that another node follows are
//! told after it ([`nodes`]).

mod answers;
mod handlers;
mod list;
mod nodes;
mod stream;
mod summaries;
mod viewers;

pub use answers::{ListedLiveMatch, LiveAchievement, LiveKill, LiveList, LivePlayer, LiveState};
pub use handlers::{LiveApi, routes};
pub use nodes::{GivenOrder, HeardNode, LiveNodes, LiveNodesWork, NotDone, Order};
pub use stream::{Form, Message};
pub use summaries::MatchSummaries;
pub use viewers::Viewers;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use mohaa_actors::live::LiveFeeds;
use tokio::sync::watch;
use uuid::Uuid;

use crate::achievements::AchievementStore;
use crate::players::CanonicalIds;
use crate::stats::Stats;

/// What live pages and streams are made of. Cheap to clone.
#[derive(Clone)]
pub struct Live {
    feeds: LiveFeeds,
    nodes: LiveNodes,
    players: CanonicalIds,
    achievements: AchievementStore,
    server_names: Arc<RwLock<HashMap<Uuid, String>>>,
    list: watch::Sender<Arc<list::ListUpdate>>,
    /// Turns true when the service ends: a stream would go on for ever.
    ends: watch::Sender<bool>,
    viewers: Viewers,
}

impl Live {
    pub fn new(
        feeds: LiveFeeds,
        nodes: LiveNodes,
        players: CanonicalIds,
        achievements: AchievementStore,
        viewers: Viewers,
    ) -> Self {
        Self {
            feeds,
            nodes,
            players,
            achievements,
            server_names: Arc::default(),
            list: watch::Sender::new(Arc::new(list::ListUpdate::first())),
            ends: watch::Sender::new(false),
            viewers,
        }
    }

    /// Keeps the list of live matches, for ever.
    pub async fn keep_list(self, stats: Stats) {
        list::keep(self, stats).await;
    }

    /// Takes back what was put into its form under names that changed since, for ever.
    pub async fn keep_names(self) {
        let mut changes = self.players.changes();
        while changes.changed().await.is_ok() {
            self.feeds.tell_anew();
        }
    }

    /// The matches that are being played.
    pub fn list_now(&self) -> LiveList {
        self.list.borrow().list.clone()
    }

    /// Open streams of this node.
    pub fn viewers(&self) -> u64 {
        self.viewers.count()
    }

    /// Turns true when streams are to end.
    pub fn ends(&self) -> watch::Receiver<bool> {
        self.ends.subscribe()
    }

    /// Ends every stream.
    pub fn end(&self) {
        self.ends.send_replace(true);
    }

    /// Asks for a server's name, if nobody did: what is told is put into its form without waiting for one.
    pub async fn learn_server(&self, stats: &Stats, server_id: Uuid) {
        let is_known =
            self.server_names.read().unwrap_or_else(PoisonError::into_inner).contains_key(&server_id);
        if !is_known {
            self.learn(stats.server_names([server_id]).await);
        }
    }

    /// Says of which tournaments matches are; as it was said last, where nobody can be asked.
    async fn name_tournaments(&self, stats: &Stats, matches: &mut [ListedLiveMatch]) {
        let known = stats.tournaments_of(matches.iter().map(|listed| listed.match_id).collect()).await;
        let last = self.list.borrow().clone();
        for listed in matches {
            listed.tournament_id = match &known {
                Some(known) => known.get(&listed.match_id).map(|tournament| tournament.tournament_id),
                None => last
                    .list
                    .matches
                    .iter()
                    .find(|before| before.match_id == listed.match_id)
                    .and_then(|before| before.tournament_id),
            };
        }
    }

    fn learn(&self, names: HashMap<Uuid, String>) {
        self.server_names.write().unwrap_or_else(PoisonError::into_inner).extend(names);
    }

    fn server_name(&self, server_id: Uuid) -> String {
        let names = self.server_names.read().unwrap_or_else(PoisonError::into_inner);
        names.get(&server_id).cloned().unwrap_or_else(|| format!("server {}", &server_id.to_string()[..8]))
    }
}
