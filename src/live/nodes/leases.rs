//! Leases: who follows which server, and what is handed on to whoever does.
//!
//! The first node that gets events of a server follows its matches, as long as it renews its lease in Redis. The others hand
//! on what they get. When a lease runs out, the next node that gets events takes it. While Redis is away each node
//! follows what it gets.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use mohaa_actors::live::{Forwarded, NodeNews, Nodes, Owner};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{LiveNodes, Said, lock};
use crate::redis::Lease;

const RENEW_EVERY: Duration = Duration::from_millis(500);
/// A server that moved here and on again is not waited for any longer.
const WANTED_FOR: Duration = Duration::from_secs(15 * 60);
/// A batch is sealed within a second or so, and stored within another; a store that was away takes longer.
const STORED_AFTER: Duration = Duration::from_secs(3);
const STORED_AT_LAST_AFTER: Duration = Duration::from_secs(15);
const LEASES_AT_ONCE: usize = 500;

#[derive(Clone, Copy)]
pub(super) enum Follower {
    Asking,
    Us {
        fence: u64,
    },
    /// As long as nobody can say who else does.
    UsAlone,
    Node(Uuid),
}

pub(super) struct Server {
    follower: Follower,
    /// When events of it came here last that another node follows.
    wanted_at: Instant,
    /// Its owner may lack events that are stored here, or are about to be.
    lacking: Option<Lacking>,
}

/// An owner that lacks events reads everything anew, once they are stored, and again in case that took longer.
#[derive(Clone, Copy)]
pub(super) struct Lacking {
    tell_at: Instant,
    times_left: u8,
}

impl Lacking {
    fn from_now() -> Self {
        Self { tell_at: Instant::now() + STORED_AFTER, times_left: 2 }
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

impl LiveNodes {
    /// Whether another node follows this server, as far as this one knows.
    pub fn is_followed_elsewhere(&self, server_id: Uuid) -> bool {
        let servers = lock(&self.inner.servers);
        servers.get(&server_id).is_some_and(|server| matches!(server.follower, Follower::Node(_)))
    }

    pub(super) async fn keep_leases(self) {
        let mut is_failing = false;
        loop {
            // Whoever waits to be told is told at once.
            let _ = tokio::time::timeout(RENEW_EVERY, self.inner.is_asked.notified()).await;
            let outcome = self.renew().await;
            match &outcome {
                Ok(()) if is_failing => tracing::info!("live matches are shared with other nodes again"),
                Err(error) if !is_failing => {
                    tracing::warn!(%error, "live matches can't be shared: each node follows what it gets");
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
    pub(super) fn may_have_missed_something(&self) {
        // Also of those that are silent just now, for the same reason.
        let has_others = !lock(&self.inner.others).is_empty();
        for server in lock(&self.inner.servers).values_mut() {
            if has_others && matches!(server.follower, Follower::Us { .. }) {
                server.lacking = Some(Lacking::from_now());
            }
        }
    }

    pub(super) async fn hand_on(self, mut outgoing: mpsc::Receiver<(Uuid, Said)>) {
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

    /// Gives every lease back: the next node need not wait for them to expire.
    pub async fn leave(&self) {
        let servers: Vec<Uuid> = lock(&self.inner.servers).drain().map(|(server_id, _)| server_id).collect();
        if !servers.is_empty()
            && let Err(error) = self.inner.store.release(self.node(), &servers).await
        {
            tracing::warn!(%error, "leases of live matches are left to expire");
        }
    }
}
