//! How many requests a caller may make (RATE_LIMITS).
//!
//! Each kind of call has a rate, and each caller of it a bucket of so many: a signed-in user, a game server, or else an
//! address. `governor` counts on this node and answers without waiting for anybody. What was used is told to Redis a
//! moment later, which adds up all nodes and says who has to wait ([`shared`]); while Redis is away each node counts
//! alone. Answers say how much is left (`RateLimit-Limit`, `-Remaining`, `-Reset`); who has used up everything gets 429
//! `rate_limited` with `Retry-After`.
//!
//! A call may be larger than its caller's bucket, as a request with many events is. It is let through where the bucket is
//! full and paid for afterwards ([`debts`]): what is let through in the long run is what the rate says.
//!
//! Game servers are limited as such, by requests and by events, never by their address: several may share one, and
//! what is refused is lost. Wrong codes are counted apart, and always ([`GuessLimits`]).

mod debts;
mod guesses;
mod middleware;
mod shared;

pub use guesses::{Guess, GuessLimits, Guesser};
pub use middleware::limit;
pub use shared::share_limits;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use hmac::{Hmac, KeyInit, Mac as _};
use prometheus::{IntCounterVec, Opts, Registry};
use sha2::Sha256;
use uuid::Uuid;

use debts::{Debt, Standing};

use crate::config::{LimitedCalls, Rate, RateLimits, Secret};

/// Beyond so many callers in memory, those whose buckets are full again are forgotten.
const MANY_CALLERS: usize = 10_000;

/// What is refused of a server is lost: whoever looks for it finds the server in the log, once in so long.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// Whose requests are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LimitedCaller {
    /// Of IPv6 a whole /64.
    Address(IpAddr),
    User(i32),
    Server(Uuid),
}

/// For the names of callers in Redis, which shall not tell addresses.
impl fmt::Display for LimitedCaller {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(formatter, "a:{address}"),
            Self::User(user_id) => write!(formatter, "u:{user_id}"),
            Self::Server(server_id) => write!(formatter, "s:{server_id}"),
        }
    }
}

/// What a caller has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    pub limit: u32,
    pub remaining: u32,
    /// Until the bucket is full again.
    pub reset: Duration,
}

/// A caller has nothing left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted {
    pub limit: u32,
    /// Until another request is taken.
    pub wait: Duration,
}

type Key = (LimitedCalls, LimitedCaller);

/// All limits of this node.
pub struct Limits {
    rates: BTreeMap<LimitedCalls, RateOfCalls>,
    clock: DefaultClock,
    names_key: Hmac<Sha256>,
    /// What was used and not yet told to the other nodes.
    used: Mutex<HashMap<Key, u32>>,
    /// Of callers who made a call larger than their bucket.
    debts: Mutex<HashMap<Key, Debt>>,
    /// Who has to wait because of what they did at other nodes, and until when.
    waiting: Mutex<HashMap<Key, Instant>>,
    /// When a caller's bucket is full again by what it used at all nodes, as far as is known: for what answers say.
    everywhere: Mutex<HashMap<Key, Instant>>,
    refused: IntCounterVec,
    /// When the log told last of a server that sends too much.
    told: Mutex<HashMap<Uuid, Instant>>,
}

struct RateOfCalls {
    rate: Rate,
    limiter: DefaultKeyedRateLimiter<LimitedCaller, StateInformationMiddleware>,
}

impl Limits {
    /// `secret` is one that all nodes share.
    ///
    /// # Errors
    /// When `registry` already holds a metric of this name.
    pub fn new(limits: &RateLimits, secret: &Secret, registry: &Registry) -> Result<Self, prometheus::Error> {
        let refused = IntCounterVec::new(
            Opts::new("mohaa_requests_limited_total", "Requests refused by RATE_LIMITS, by kind of call."),
            &["calls"],
        )?;
        registry.register(Box::new(refused.clone()))?;
        for calls in LimitedCalls::ALL {
            refused.with_label_values(&[calls.as_str()]);
        }
        let mut rates = BTreeMap::new();
        for (calls, rate) in &limits.0 {
            if let Some(quota) = quota(*rate) {
                let limiter = RateLimiter::keyed(quota).with_middleware();
                rates.insert(*calls, RateOfCalls { rate: *rate, limiter });
            }
        }
        Ok(Self {
            rates,
            clock: DefaultClock::default(),
            names_key: names_key(secret),
            used: Mutex::default(),
            debts: Mutex::default(),
            waiting: Mutex::default(),
            everywhere: Mutex::default(),
            refused,
            told: Mutex::default(),
        })
    }

    /// Has the log name a server whose events are refused.
    fn tell_of(&self, server_id: Uuid, calls: LimitedCalls) {
        let now = Instant::now();
        let mut told = lock(&self.told);
        told.retain(|_, at| now.saturating_duration_since(*at) < TELL_EVERY);
        if let Entry::Vacant(untold) = told.entry(server_id) {
            untold.insert(now);
            tracing::warn!(%server_id, limit = calls.as_str(), "a server sends more than RATE_LIMITS lets it; its events are refused");
        }
    }

    /// Whether anything is limited at all.
    pub fn are_off(&self) -> bool {
        self.rates.is_empty()
    }

    /// Takes `count` out of a caller's bucket. One that is larger than any bucket is let through where the bucket is full, so
    /// that it can be made at all, and leaves a debt: nothing more is let through until that is filled up. None where these
    /// calls are not limited.
    pub fn take(
        &self,
        calls: LimitedCalls,
        caller: LimitedCaller,
        count: u32,
    ) -> Option<Result<Allowance, Exhausted>> {
        let RateOfCalls { rate, limiter } = self.rates.get(&calls)?;
        let limit = rate.requests;
        let key = (calls, caller);
        let exhausted = |wait| {
            self.refused.with_label_values(&[calls.as_str()]).inc();
            Some(Err(Exhausted { limit, wait }))
        };
        if let Some(wait) = self.wait_for_others(&key) {
            return exhausted(wait);
        }
        let now = Instant::now();
        let mut debts = lock(&self.debts);
        match debts.get(&key).map(|debt| debt.at(now, *rate)) {
            Some(Standing::Owes { wait }) => return exhausted(wait),
            Some(Standing::Paid { too_full_by }) => {
                debts.remove(&key);
                if let Some(surplus) = NonZeroU32::new(too_full_by) {
                    let _ = limiter.check_key_n(&caller, surplus);
                }
            }
            None => {}
        }
        let count = count.max(1);
        match limiter.check_key_n(&caller, NonZeroU32::new(count.min(limit))?) {
            Ok(Ok(state)) => {
                if count > limit {
                    debts.insert(key, Debt::new(now, count - limit, *rate));
                }
                drop(debts);
                let mut all_used = lock(&self.used);
                let used = all_used.entry(key).or_default();
                *used = used.saturating_add(count);
                let remaining =
                    self.left_everywhere(now, &key, *rate, count).min(state.remaining_burst_capacity());
                let reset =
                    rate.per.mul_f64(f64::from(count.max(limit - remaining.min(limit))) / f64::from(limit));
                Some(Ok(Allowance { limit, remaining, reset }))
            }
            Ok(Err(not_until)) => exhausted(not_until.wait_time_from(self.clock.now())),
            // More than the bucket holds, which was ruled out.
            Err(_) => None,
        }
    }

    /// What was taken for a call that was refused by another limit after all: it is not paid for where it was larger than the
    /// bucket, and the other nodes are not told of it. What the bucket held stays taken; it fills up by itself.
    fn give_back(&self, calls: LimitedCalls, caller: LimitedCaller, count: u32) {
        let key = (calls, caller);
        // One that was there before would have let nothing through.
        lock(&self.debts).remove(&key);
        if let Some(used) = lock(&self.used).get_mut(&key) {
            *used = used.saturating_sub(count);
        }
        if let (Some(full_at), Some(calls)) = (lock(&self.everywhere).get_mut(&key), self.rates.get(&calls)) {
            let spent = calls.rate.per.mul_f64(f64::from(count) / f64::from(calls.rate.requests));
            *full_at = full_at.checked_sub(spent).unwrap_or(*full_at);
        }
    }

    /// What is left of a bucket by what was used at all nodes, when this call is paid for too.
    fn left_everywhere(&self, now: Instant, key: &Key, rate: Rate, count: u32) -> u32 {
        let mut everywhere = lock(&self.everywhere);
        let Some(full_at) = everywhere.get_mut(key) else { return rate.requests };
        *full_at = (*full_at).max(now) + rate.per.mul_f64(f64::from(count) / f64::from(rate.requests));
        let spent = full_at.duration_since(now).as_secs_f64() / rate.per.as_secs_f64();
        // What lies between two nodes' clocks is no whole call.
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is between 0 and the limit"
        )]
        let left = (f64::from(rate.requests) * (1.0 - spent).max(0.0) + 1e-3) as u32;
        left
    }

    fn wait_for_others(&self, key: &Key) -> Option<Duration> {
        let waiting = lock(&self.waiting);
        let left = waiting.get(key)?.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    /// What a caller is called in Redis: the same at every node, and telling nobody who it is.
    fn name_of(&self, caller: LimitedCaller) -> String {
        name_in_redis(&self.names_key, &caller)
    }

    /// Forgets callers who have not called for so long that it makes no difference.
    fn forget_idle(&self) {
        let now = Instant::now();
        lock(&self.waiting).retain(|_, until| *until > now);
        lock(&self.everywhere).retain(|_, full_at| *full_at > now);
        lock(&self.debts).retain(|(calls, _), debt| {
            self.rates.get(calls).is_some_and(|calls| !debt.is_forgotten(now, calls.rate))
        });
        for RateOfCalls { limiter, .. } in self.rates.values() {
            if limiter.len() > MANY_CALLERS {
                limiter.retain_recent();
            }
        }
    }
}

fn quota(rate: Rate) -> Option<Quota> {
    let burst = NonZeroU32::new(rate.requests)?;
    Quota::with_period(rate.per / rate.requests).map(|quota| quota.allow_burst(burst))
}

#[allow(clippy::expect_used, reason = "HMAC takes keys of any length")]
fn names_key(secret: &Secret) -> Hmac<Sha256> {
    let mut key =
        <Hmac<Sha256> as KeyInit>::new_from_slice(secret.expose().as_bytes()).expect("a key of any length");
    key.update(b"mohaa-stats callers with limits");
    key
}

fn name_in_redis(key: &Hmac<Sha256>, caller: &impl fmt::Display) -> String {
    let mut name = key.clone();
    name.update(caller.to_string().as_bytes());
    name.finalize().into_bytes()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn limits(text: &str) -> Limits {
        let secret = Secret::new("0f8a3c5e7b9d1f2a4c6e8b0d3f5a7c9e");
        Limits::new(&RateLimits::parse(text).unwrap(), &secret, &Registry::new()).unwrap()
    }

    const ONE: LimitedCaller = LimitedCaller::User(1);
    const OTHER: LimitedCaller = LimitedCaller::User(2);

    #[test]
    fn a_caller_gets_what_the_rate_says_and_then_has_to_wait() {
        let limits = limits("auth=3/h");
        let left: Vec<u32> =
            (0..3).map(|_| limits.take(LimitedCalls::Auth, ONE, 1).unwrap().unwrap().remaining).collect();
        assert_eq!(left, [2, 1, 0]);
        let exhausted = limits.take(LimitedCalls::Auth, ONE, 1).unwrap().unwrap_err();
        assert!(exhausted.limit == 3 && exhausted.wait > Duration::from_secs(1_100), "{exhausted:?}");
        assert!(
            limits.take(LimitedCalls::Auth, OTHER, 1).unwrap().is_ok(),
            "others have buckets of their own"
        );
        assert!(limits.take(LimitedCalls::Api, ONE, 1).is_none(), "what has no rate is not limited");
    }

    #[test]
    fn a_call_larger_than_the_bucket_leaves_a_debt() {
        let limits = limits("events=100/h");
        let large = limits.take(LimitedCalls::Events, ONE, 5_000).unwrap().unwrap();
        assert_eq!(large.remaining, 0);
        assert!(large.reset > Duration::from_secs(49 * 3_600), "{large:?}");
        let refused = limits.take(LimitedCalls::Events, ONE, 1).unwrap().unwrap_err();
        assert!(refused.wait > Duration::from_secs(48 * 3_600), "{refused:?}");
        assert!(limits.take(LimitedCalls::Events, OTHER, 1).unwrap().is_ok());
        assert!(
            limits.take(LimitedCalls::Events, OTHER, 5_000).unwrap().is_err(),
            "it is let through where the bucket is full"
        );
    }

    #[test]
    fn events_that_the_quota_refuses_are_not_paid_for() {
        let limits = limits("events=100/h,quota=10/d");
        let request = actix_web::test::TestRequest::default().to_http_request();
        let server = LimitedCaller::Server(Uuid::nil());
        limits.take(LimitedCalls::Quota, server, 1).unwrap().unwrap();
        assert!(limits.take_of_server(&request, Uuid::nil(), 5_000).is_err());
        let refused = limits.take(LimitedCalls::Events, server, 1).unwrap().unwrap_err();
        assert!(refused.wait < Duration::from_secs(60), "it owes nothing: {refused:?}");
    }

    #[test]
    fn who_has_to_wait_for_what_they_did_elsewhere_waits_here() {
        let limits = limits("api=10/s");
        let until = Instant::now() + Duration::from_secs(60);
        lock(&limits.waiting).insert((LimitedCalls::Api, ONE), until);
        assert!(limits.take(LimitedCalls::Api, ONE, 1).unwrap().is_err());
        assert!(limits.take(LimitedCalls::Api, OTHER, 1).unwrap().is_ok());
    }
}
