//! What callers used at all nodes, added up in Redis.
//!
//! Nothing waits for Redis: every [`TELL_EVERY`] a node tells what its callers used since, and hears what they have left and
//! who has used up everything; those wait here for as long as Redis says. So a caller who goes to several nodes can get ahead
//! by what each of them gives in that time, and the first answer of a node tells of that node alone.
//!
//! Guesses are not counted like that, or a guesser would have as many as there are nodes: each asks Redis first
//! ([`super::guesses`]). Only those that it did not hear of while it was away are told here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::guesses::PERIOD;
use super::{GuessLimits, Key, Limits, lock};
use crate::redis::{RedisError, SharedLimits, Usage, Used};

const TELL_EVERY: Duration = Duration::from_millis(100);
/// Callers told about at once; the rest has its turn a moment later.
const MOST_AT_ONCE: usize = 1_000;

/// Shares for ever.
pub async fn share_limits(limits: Arc<Limits>, guesses: Arc<GuessLimits>, redis: SharedLimits) {
    let mut is_failing = false;
    loop {
        tokio::time::sleep(TELL_EVERY).await;
        let told = async {
            tell_used(&limits, &redis).await?;
            tell_guesses(&guesses, &redis).await
        };
        match told.await {
            Ok(()) => {
                if is_failing {
                    tracing::info!("limits of requests are shared with other nodes again");
                }
                is_failing = false;
            }
            Err(error) if !is_failing => {
                tracing::warn!(%error, "limits of requests can't be shared: each node counts alone");
                is_failing = true;
            }
            Err(_) => {}
        }
    }
}

async fn tell_used(limits: &Limits, redis: &SharedLimits) -> Result<(), RedisError> {
    limits.forget_idle();
    let used = some_of_used(limits);
    if used.is_empty() {
        return Ok(());
    }
    let standings = redis.add(&usages(limits, &used)).await?;
    let now = Instant::now();
    let mut waiting = lock(&limits.waiting);
    let used_since = lock(&limits.used);
    let mut everywhere = lock(&limits.everywhere);
    for ((key, _), Used { wait, full_in }) in used.into_iter().zip(standings) {
        if !wait.is_zero() {
            waiting.insert(key, now + wait);
        }
        let Some(rate) = limits.rates.get(&key.0).map(|calls| calls.rate) else { continue };
        let untold = used_since.get(&key).copied().unwrap_or_default();
        everywhere
            .insert(key, now + full_in + rate.per.mul_f64(f64::from(untold) / f64::from(rate.requests)));
    }
    Ok(())
}

async fn tell_guesses(guesses: &GuessLimits, redis: &SharedLimits) -> Result<(), RedisError> {
    let untold = guesses.take_untold(MOST_AT_ONCE);
    if untold.is_empty() {
        return Ok(());
    }
    let keys: Vec<(String, usize)> =
        untold.iter().map(|guesser| (guesses.key_of(guesser), guesser.most())).collect();
    match redis.add_to_windows(&keys, PERIOD).await {
        Ok(waits) => {
            for (guesser, wait) in untold.into_iter().zip(waits) {
                guesses.make_wait(guesser, wait);
            }
            Ok(())
        }
        Err(error) => {
            guesses.still_untold(untold);
            Err(error)
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
