//! What callers used at all nodes, added up in Redis.
//!
//! Nothing waits for Redis: every [`TELL_EVERY`] a node tells what its callers used since, and hears who has used up
//! everything; those wait here for as long as Redis says. So a caller who goes to several nodes can get ahead by what
//! each of them gives in that time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Key, Limits, lock};
use crate::redis::{SharedLimits, Usage};

const TELL_EVERY: Duration = Duration::from_millis(100);
/// Callers told about at once; the rest has its turn a moment later.
const MOST_AT_ONCE: usize = 1_000;

/// Shares for ever.
pub async fn share_limits(limits: Arc<Limits>, redis: SharedLimits) {
    if limits.are_off() {
        return;
    }
    let mut is_failing = false;
    loop {
        tokio::time::sleep(TELL_EVERY).await;
        limits.forget_idle();
        let used = some_of_used(&limits);
        if used.is_empty() {
            continue;
        }
        match redis.add(&usages(&limits, &used)).await {
            Ok(waits) => {
                if is_failing {
                    tracing::info!("limits of requests are shared with other nodes again");
                }
                is_failing = false;
                let now = Instant::now();
                let mut waiting = lock(&limits.waiting);
                for ((key, _), wait) in used.into_iter().zip(waits) {
                    if !wait.is_zero() {
                        waiting.insert(key, now + wait);
                    }
                }
            }
            Err(error) if !is_failing => {
                tracing::warn!(%error, "limits of requests can't be shared: each node counts alone");
                is_failing = true;
            }
            Err(_) => {}
        }
    }
}

fn some_of_used(limits: &Limits) -> Vec<(Key, u32)> {
    let mut used = lock(&limits.used);
    if used.len() <= MOST_AT_ONCE {
        return used.drain().collect();
    }
    let some: Vec<(Key, u32)> = used.iter().take(MOST_AT_ONCE).map(|(key, count)| (*key, *count)).collect();
    for (key, _) in &some {
        used.remove(key);
    }
    some
}

fn usages(limits: &Limits, used: &[(Key, u32)]) -> Vec<Usage> {
    let usage = |((calls, caller), count): &(Key, u32)| {
        let rate = limits.rates.get(calls)?.rate;
        let key = format!("limit:{}:{}", calls.as_str(), limits.name_of(*caller));
        Some(Usage { key, count: *count, limit: rate.requests, per: rate.per })
    };
    used.iter().filter_map(usage).collect()
}
