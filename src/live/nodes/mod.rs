//! This node among others: who follows which server ([leases]), and matches that viewers of one node watch though another
//! follows them ([mirrors]). Here is what they say to each other.

mod leases;
mod mirrors;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::StreamExt as _;
use mohaa_actors::live::{Forwarded, LiveFeeds, NodeNews, Seen, Update};
use mohaa_domain::event::Millis;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, mpsc, oneshot};
use uuid::Uuid;

use self::leases::Server;
use self::mirrors::{Mirror, OtherNode, Told};
use super::answers::ListedLiveMatch;
use crate::redis::LiveNodesStore;

pub use self::mirrors::HeardNode;

const MOST_OUTGOING: usize = 1_000;
/// A node does what it is told at once, or never.
const ORDER_PATIENCE: Duration = Duration::from_secs(3);
const LISTEN_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Each node says something every second and hears that itself: whoever hears nothing for so long has a connection that is
/// dead, which TCP may take a quarter of an hour to find out.
const DEAF_AFTER: Duration = Duration::from_secs(5);

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
    /// What a node follows, how many watch there, and whether an operator drains it.
    List {
        node: Uuid,
        matches: Vec<ListedLiveMatch>,
        #[serde(default)]
        viewers: u64,
        #[serde(default)]
        is_drained: bool,
    },
    /// An operator drains this node, or takes that back.
    Drain {
        is_drained: bool,
    },
    /// An operator, whom another node answers, wants something else done.
    Order {
        id: Uuid,
        from: Uuid,
        order: Order,
    },
    /// What came of it.
    Obeyed {
        id: Uuid,
        outcome: Result<(), NotDone>,
    },
}

/// What operators have done on a node, whichever answers them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Order {
    /// Of one writer, or of all.
    Pause { writer: Option<usize>, is_paused: bool },
    /// Write what is accepted now.
    Flush,
    /// Send a dead letter again.
    Replay { letter: String },
}

/// Why an order was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NotDone {
    UnknownWriter,
    UnknownLetter,
    /// Its log says why.
    Failed,
    /// Nobody hears the node.
    UnknownNode,
    /// It does not say whether it was done.
    NoAnswer,
}

/// An order, and who waits for what comes of it.
pub struct GivenOrder {
    pub order: Order,
    id: Uuid,
    from: Uuid,
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
    orders: mpsc::UnboundedSender<GivenOrder>,
    /// Who waits for what comes of an order.
    ordered: Mutex<HashMap<Uuid, oneshot::Sender<Result<(), NotDone>>>>,
    outgoing: mpsc::Sender<(Uuid, Said)>,
    others: Mutex<HashMap<Uuid, OtherNode>>,
    mirrors: Mutex<HashMap<Uuid, Mirror>>,
    is_watched: Notify,
    told: Mutex<HashMap<(Uuid, Uuid), Told>>,
    /// An operator wants this node out of the balancer.
    is_drained: AtomicBool,
}

/// What runs as long as the process.
pub struct LiveNodesWork {
    nodes: LiveNodes,
    outgoing: mpsc::Receiver<(Uuid, Said)>,
}

impl LiveNodes {
    /// `news` go to the Batcher, `orders` of operators to who carries them out.
    pub fn new(
        store: LiveNodesStore,
        news: mpsc::UnboundedSender<NodeNews>,
        orders: mpsc::UnboundedSender<GivenOrder>,
    ) -> (Self, LiveNodesWork) {
        let (outgoing, sent) = mpsc::channel(MOST_OUTGOING);
        let inner = Inner {
            node: OnceLock::new(),
            store,
            servers: Mutex::default(),
            released: Mutex::default(),
            is_asked: Notify::new(),
            news,
            orders,
            ordered: Mutex::default(),
            outgoing,
            others: Mutex::default(),
            mirrors: Mutex::default(),
            is_watched: Notify::new(),
            told: Mutex::default(),
            is_drained: AtomicBool::new(false),
        };
        let nodes = Self { inner: Arc::new(inner) };
        (nodes.clone(), LiveNodesWork { nodes, outgoing: sent })
    }

    /// This node's name; the same over restarts.
    pub fn node(&self) -> Uuid {
        *self.inner.node.get_or_init(Uuid::new_v4)
    }

    /// Whether an operator drains this node: `/ready` is 503, and what comes is taken all the same.
    pub fn is_drained(&self) -> bool {
        self.inner.is_drained.load(Ordering::Acquire)
    }

    fn set_drained(&self, is_drained: bool) {
        if self.inner.is_drained.swap(is_drained, Ordering::AcqRel) != is_drained {
            tracing::warn!(is_drained, "an operator drains this node, or takes that back");
        }
    }

    /// Drains a node, or takes that back; says whether that node was there to hear it.
    pub async fn drain(&self, node: Uuid, is_drained: bool) -> bool {
        if node == self.node() {
            self.set_drained(is_drained);
            return true;
        }
        self.say_to(node, &Said::Drain { is_drained }).await
    }

    /// Has another node do something, and waits for what comes of it. A node of a version that knows no orders gives no answer.
    ///
    /// # Errors
    /// When it was not done, or nobody knows.
    pub async fn order(&self, node: Uuid, order: Order) -> Result<(), NotDone> {
        let (id, (outcome, told)) = (Uuid::new_v4(), oneshot::channel());
        lock(&self.inner.ordered).insert(id, outcome);
        let outcome = match self.say_to(node, &Said::Order { id, from: self.node(), order }).await {
            false => Err(NotDone::UnknownNode),
            true => match tokio::time::timeout(ORDER_PATIENCE, told).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) | Err(_) => Err(NotDone::NoAnswer),
            },
        };
        lock(&self.inner.ordered).remove(&id);
        outcome
    }

    /// Tells who gave an order what came of it.
    pub async fn answer(&self, given: &GivenOrder, outcome: Result<(), NotDone>) {
        self.say_to(given.from, &Said::Obeyed { id: given.id, outcome }).await;
    }

    /// Whether a node is this one, or was heard of lately.
    pub fn knows(&self, node: Uuid) -> bool {
        node == self.node() || self.heard().iter().any(|heard| heard.node == node)
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
                    while let Ok(Some(message)) = tokio::time::timeout(DEAF_AFTER, heard.next()).await {
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
            Said::List { node, matches, viewers, is_drained } => {
                let heard = OtherNode { heard_at: Instant::now(), matches, viewers, is_drained };
                lock(&self.inner.others).insert(node, heard);
            }
            Said::Drain { is_drained } => self.set_drained(is_drained),
            Said::Order { id, from, order } => {
                tracing::warn!(?order, %from, "an operator has this done by way of another node");
                // Nobody listens any more when the service is ending.
                let _ = self.inner.orders.send(GivenOrder { order, id, from });
            }
            Said::Obeyed { id, outcome } => {
                if let Some(waiting) = lock(&self.inner.ordered).remove(&id) {
                    // Whoever asked may have given up waiting.
                    let _ = waiting.send(outcome);
                }
            }
        }
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
