//! The data version: a number that moves after something was stored, by which answers are cached.
//!
//! Whoever changes what the statistics are made of calls [`DataVersion::changed`] afterwards. [`DataVersion::keep`]
//! looks every [`LOOK_INTERVAL`]: after a change it leaves a new token in Redis, at most once in [`SHORTEST_LIFE`],
//! and moves the number; it also moves it when another node left a token there. While Redis can't be asked, the
//! number moves once in [`SHORTEST_LIFE`] whether or not anything was stored, as others may have stored something.
//!
//! How long a change stays unseen: here at most `SHORTEST_LIFE + LOOK_INTERVAL` (1.1 s), on another node a further
//! `LOOK_INTERVAL` and Redis' patience (1.45 s), without Redis `SHORTEST_LIFE + LOOK_INTERVAL` and that patience
//! (1.35 s). For [`GRACE`] after a move answers of the version before still serve, so that nobody waits while they are
//! asked for anew. All together is below the two seconds that are promised of answers.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};
use uuid::Uuid;

use crate::redis::SharedDataVersion;

const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// Each move costs every question one more query.
const SHORTEST_LIFE: Duration = Duration::from_secs(1);

/// Longer than the front page's questions take on a busy machine, and what the two seconds have to spare.
const GRACE: Duration = Duration::from_millis(500);

/// Cheap to clone; clones are one version.
#[derive(Clone, Debug, Default)]
pub struct DataVersion {
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    number: AtomicU64,
    has_changed: AtomicBool,
    moved_at: Mutex<Option<Instant>>,
}

impl DataVersion {
    /// What was read before this number moved may lack what has been stored since. Means nothing to other processes.
    pub fn current(&self) -> u64 {
        self.state.number.load(Ordering::Acquire)
    }

    /// To be called after something was stored, or may have been.
    pub fn changed(&self) {
        self.state.has_changed.store(true, Ordering::Release);
    }

    /// Whether answers of the version before this one still serve.
    pub fn has_just_moved(&self) -> bool {
        self.moved_at().is_some_and(|at| at.elapsed() < GRACE)
    }

    fn moved_at(&self) -> MutexGuard<'_, Option<Instant>> {
        self.state.moved_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the number at once, on this node alone; earlier answers don't serve any more.
    pub fn advance(&self) {
        *self.moved_at() = None;
        self.state.number.fetch_add(1, Ordering::AcqRel);
    }

    /// Moves the number as the module says, for ever.
    pub async fn keep(self, shared: SharedDataVersion) {
        let mut looks = interval(LOOK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The token that this node saw in Redis last; none while Redis is away.
        let mut known_token: Option<Option<String>> = None;
        let mut advanced_at = Instant::now();
        loop {
            looks.tick().await;
            let is_due = advanced_at.elapsed() >= SHORTEST_LIFE;
            // Taken before the number moves: what is stored from here on is for the next move.
            let publishes = is_due && self.state.has_changed.swap(false, Ordering::AcqRel);
            let token = Uuid::new_v4().to_string();
            let earlier_token = if publishes { shared.replace(&token).await } else { shared.get().await };
            let moves = match earlier_token {
                Ok(earlier_token) => {
                    if known_token.is_none() {
                        tracing::info!("the data version is shared with other nodes");
                    }
                    let moved_elsewhere = known_token.as_ref() != Some(&earlier_token);
                    known_token = Some(if publishes { Some(token) } else { earlier_token });
                    publishes || moved_elsewhere
                }
                Err(error) => {
                    if publishes {
                        // Others hear of it when Redis is back.
                        self.changed();
                    }
                    let was_shared = known_token.take().is_some();
                    if was_shared {
                        tracing::warn!(%error, "the data version can't be shared; answers are cached for a second");
                    }
                    was_shared || is_due
                }
            };
            if moves {
                self.advance();
                advanced_at = Instant::now();
                *self.moved_at() = Some(advanced_at);
            }
        }
    }
}
