//! Takes a running service down within the time that there is: not ready, stop accepting, drain, and then six ends that have a
//! share each, whatever hangs. The spool makes every step after the first optional.

use std::time::{Duration, Instant};

use mohaa_actors::pipeline::{CLOSE_DEADLINE, SAVE_DEADLINE};

use super::Application;
use crate::ops::health::Phase;

/// The third of the time for shutdown that is kept from requests which don't end: for writers, and the ends behind them.
const FLUSH_SHARE: u32 = 3;
/// The fifth of it that is kept for the ends.
const ENDS_SHARE: u32 = 5;
/// What each of them takes where nothing hangs is far less.
const ENDS: u32 = 6;
/// What is on its way to a webhook by then is sent again after the next start.
const WEBHOOKS_END_WITHIN: Duration = Duration::from_secs(2);
/// Redis may be away; this node's own spool has the states too.
const TRACKERS_KEPT_WITHIN: Duration = Duration::from_secs(2);
/// Leases that are not given back expire.
const LEASES_LEFT_WITHIN: Duration = Duration::from_secs(2);
/// A connection that is in use is waited for.
const POSTGRES_CLOSES_WITHIN: Duration = Duration::from_secs(2);

/// Hands out what is left of the time.
struct TimeLeft {
    deadline: Instant,
    share: Duration,
}

impl TimeLeft {
    fn new(patience: Duration) -> Self {
        Self { deadline: Instant::now() + patience, share: patience / ENDS_SHARE / ENDS }
    }

    /// For what is followed by so many `ends`: all that they don't need.
    fn before(&self, ends: u32) -> Duration {
        let left = self.deadline.saturating_duration_since(Instant::now());
        left.saturating_sub(self.share * ends).max(self.share)
    }
}

impl Application {
    /// Says on `/ready` that nothing more should be sent here; what comes is taken all the same.
    pub fn withdraw(&self) {
        self.health.enter(Phase::Draining);
    }

    /// Takes the service down within `patience`; what is not stored by then stays in the spool.
    pub async fn stop(self, patience: Duration) {
        let time = TimeLeft::new(patience);
        self.withdraw();
        self.live.end();
        let messages_end = async {
            if let Some(mqtt) = self.mqtt {
                mqtt.stop(patience / FLUSH_SHARE).await;
            }
        };
        let requests_end = async { tokio::join!(self.server.stop(true), messages_end) };
        if tokio::time::timeout(patience - patience / FLUSH_SHARE, requests_end).await.is_err() {
            tracing::warn!("open requests don't end; they get no answer");
        }
        if let Some(ops_server) = self.ops_server
            && tokio::time::timeout(time.share, ops_server.stop(false)).await.is_err()
        {
            tracing::warn!("open requests of operators get no answer");
        }
        let drained = self.pipeline.drain(time.before(ENDS)).await;
        self.pipeline.save_live(SAVE_DEADLINE.min(time.before(5))).await;
        // Two shares at least: its end is the one that the next start is slower without.
        self.pipeline.close(CLOSE_DEADLINE.min(time.before(3))).await;
        // Before its servers are anybody's: who follows them next asks Redis which matches they are in.
        let mut keeping_trackers = self.keeping_trackers;
        let kept_within = TRACKERS_KEPT_WITHIN.min(time.before(2));
        if tokio::time::timeout(kept_within, &mut keeping_trackers).await.is_err() {
            tracing::warn!(
                "trackers' states are not all kept in Redis; matches may begin anew on other nodes"
            );
            keeping_trackers.abort();
        }
        // Or it could renew a lease that was given back.
        self.following.abort();
        let leases_left =
            tokio::time::timeout(LEASES_LEFT_WITHIN.min(time.before(1)), self.live_nodes.leave());
        let webhooks_ended = self.webhook_sending.stop(WEBHOOKS_END_WITHIN.min(time.before(1)));
        let (leases_left, ()) = tokio::join!(leases_left, webhooks_ended);
        if leases_left.is_err() {
            tracing::warn!("leases of live matches are left to expire: Redis does not answer");
        }
        for task in self.background {
            task.abort();
        }
        // Actors of live matches, which nobody waits for, hold connections too. They give them back on their own threads.
        let closes_within = POSTGRES_CLOSES_WITHIN.min(time.before(0));
        if tokio::time::timeout(closes_within, self.postgres.close()).await.is_err() {
            tracing::warn!("connections to PostgreSQL are left behind");
        }
        self.pipeline.actors.end_threads();
        if !drained {
            tracing::warn!("not everything is stored; the rest waits in the spool for the next start");
            return;
        }
        if !self.comparisons.are_up_to_date() {
            tracing::info!("roll-ups were not compared to the end; the next start does it");
        } else if let Err(error) = self.touched_days.clear() {
            tracing::warn!(%error, "the next start compares roll-ups again");
        }
        tracing::info!("everything that was accepted is stored");
    }
}
