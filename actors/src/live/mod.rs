//! Live matches: an actor for each, which folds the stamped events and tells viewers.
//!
//! The Batcher's [`LiveDesk`] gives every stamped event to the actor of its match, in mailbox order, past the spool and
//! without waiting for it: at once where somebody watches, else many together. A [`MatchActor`] folds them
//! ([`mohaa_domain::live`]) and publishes what has changed on the match's [`LiveFeed`], where viewers read at their own pace.
//!
//! What each choice survives:
//! - **A full mailbox of a match** costs viewers a moment, never a sender an answer: the actor reads what it missed from
//!   the spool, and says `stale` until it has.
//! - **The end of the process**: each actor leaves a snapshot every [`SAVE_EVERY`] with the number through which it knows
//!   all records; the spool keeps what is younger. The next process goes on from the snapshot and what the spool holds
//!   since. Where one of the two is missing, the match is folded anew from what is stored ([`History`]) and what is
//!   only in the spool; while that can't be read, the state is `stale`.
//! - **The end of a node**: the next one that gets events of the server follows its matches ([`nodes`]), from what is
//!   stored.
//! - **A panic** costs viewers a moment: the successor begins with the last snapshot, and reads the rest from the spool.
//! - **A slow viewer** is never waited for: who asks for updates that are gone gets the whole state.

mod achievements;
mod catch_up;
mod desk;
mod feed;
mod match_actor;
mod nodes;
mod summary;

pub use achievements::{Achievements, Standing, Unlocked};
pub use desk::{LiveDesk, LiveParts};
pub use feed::{LiveFeed, LiveFeeds, Renditions, Seen, Since, Update, What};
pub use match_actor::{Delivery, MatchActor};
pub use nodes::{Forwarded, NodeNews, Nodes, OneNode, Owner};
pub use summary::{Summaries, Summary, SummaryPlayer};

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use mohaa_domain::event::{Event, Stamp};
use uuid::Uuid;

/// Changes of state are told together, five times a second.
pub const TELL_EVERY: Duration = Duration::from_millis(200);
/// A snapshot is at most so old.
pub const SAVE_EVERY: Duration = Duration::from_secs(2);

/// Where snapshots are kept for the next process; it may lose them.
pub trait Snapshots: Send + Sync + 'static {
    /// The last one of a match; none where there is none, or nobody can say.
    fn load(&self, server_id: Uuid, match_id: Uuid) -> BoxFuture<'_, Option<Vec<u8>>>;

    /// Keeps one, unless a later owner of the server has kept one; whether it is kept.
    fn save(&self, server_id: Uuid, match_id: Uuid, fence: u64, state: Vec<u8>) -> BoxFuture<'_, bool>;
}

/// Where all nodes store events.
pub trait History: Send + Sync + 'static {
    /// Gives `take` the stored events of a match in the order of their receipt, some at a time; whether that was all.
    fn read<'a>(
        &'a self,
        server_id: Uuid,
        match_id: Uuid,
        take: &'a mut (dyn FnMut(Vec<(Event, Stamp)>) + Send),
    ) -> BoxFuture<'a, bool>;
}

/// What live matches need from outside.
#[derive(Clone)]
pub struct LivePorts {
    pub snapshots: Arc<dyn Snapshots>,
    pub history: Arc<dyn History>,
    pub achievements: Arc<dyn Achievements>,
    pub summaries: Arc<dyn Summaries>,
    pub nodes: Arc<dyn Nodes>,
}
