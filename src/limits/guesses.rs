//! Guessing codes is slow: few wrong ones are listened to from one address, or from one player of a game server.
//!
//! All nodes have one limit: each code takes a place among its guesser's in Redis before it is looked at, and gives it back
//! where it was right. While Redis is away each node counts alone, and tells of it afterwards ([`super::shared`]).

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use hmac::Hmac;
use sha2::Sha256;
use tokio::sync::Notify;
use uuid::Uuid;

use super::{lock, name_in_redis, names_key};
use crate::config::Secret;
use crate::http::ApiError;
use crate::http::client_address::client_network;
use crate::redis::{Place, RedisError, SharedLimits};

/// Wrong codes of any kind that one guesser may send within [`PERIOD`].
const MOST_WRONG: usize = 20;
/// Of many together: all players of a game server, however they call themselves; a site's networks; whoever is beyond
/// [`MOST_GUESSERS`].
const MOST_WRONG_OF_MANY: usize = 100;
pub(super) const PERIOD: Duration = Duration::from_secs(600);
/// So many guessers are remembered, which bounds the memory; new ones beyond them are counted together.
const MOST_GUESSERS: usize = 50_000;
/// Codes that come at once, as of all players when a match begins, wait so long for their turn.
const LONGEST_TURN: Duration = Duration::from_secs(2);
/// Where Redis did not answer nobody else waits for it so long.
const ASK_REDIS_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// Looking through all of them for those whose time is over is not worth it more often.
const TIDY_EVERY: Duration = Duration::from_secs(1);

/// Whose wrong codes are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Guesser {
    /// Of IPv6 a whole /64.
    Address(IpAddr),
    /// All networks of a site: whoever is given a /48 of IPv6 has 65,536 of them.
    Site(Ipv6Addr),
    /// Whoever comes when too many are remembered already.
    Crowd,
    /// Who typed a code in the game, by the server's word.
    Player { server_id: Uuid, player_id: String },
    /// Everybody who typed one there.
    Server(Uuid),
}

impl Guesser {
    /// Under what a request's codes are counted.
    fn all_of(request: &HttpRequest) -> Vec<Self> {
        let network = client_network(request);
        let site = match network {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => {
                let [a, b, c, ..] = address.segments();
                Some(Self::Site(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)))
            }
        };
        std::iter::once(Self::Address(network)).chain(site).collect()
    }

    /// Wrong codes that are listened to.
    pub(super) fn most(&self) -> usize {
        match self {
            Self::Address(_) | Self::Player { .. } => MOST_WRONG,
            Self::Site(_) | Self::Crowd | Self::Server(_) => MOST_WRONG_OF_MANY,
        }
    }
}

/// For names in Redis, which shall not tell addresses.
impl fmt::Display for Guesser {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(formatter, "a:{address}"),
            Self::Site(address) => write!(formatter, "i:{address}"),
            Self::Crowd => formatter.write_str("c"),
            Self::Player { server_id, player_id } => write!(formatter, "p:{server_id}:{player_id}"),
            Self::Server(server_id) => write!(formatter, "s:{server_id}"),
        }
    }
}

/// Wrong codes of the last ten minutes.
pub struct GuessLimits {
    state: Arc<Mutex<State>>,
    names_key: Hmac<Sha256>,
    redis: Option<SharedLimits>,
    /// Told whenever a code has been looked at.
    one_is_known: Arc<Notify>,
}

/// A code that is being looked at. It counts as wrong until that is known, so that many at once are no more than one
/// after the other.
pub struct Guess<'a> {
    limits: &'a GuessLimits,
    guessers: Vec<Guesser>,
    /// In Redis; none where it is away.
    places: Vec<Place>,
}

impl Guess<'_> {
    pub fn was_wrong(mut self) {
        let is_told = !std::mem::take(&mut self.places).is_empty();
        self.guessers.iter().cloned().for_each(|guesser| self.limits.count_wrong_of(guesser, is_told));
    }

    /// Takes a place for each guesser among the wrong codes of all nodes, or says how long there is none.
    async fn take_places(&mut self) -> Result<(), Duration> {
        let Some(redis) = self.limits.redis_at_hand() else { return Ok(()) };
        let keys: Vec<(String, usize)> =
            self.guessers.iter().map(|guesser| (self.limits.key_of(guesser), guesser.most())).collect();
        let places = match redis.take_places(&keys, PERIOD).await {
            Ok(places) => places,
            Err(error) => {
                self.limits.redis_failed(&error);
                return Ok(());
            }
        };
        let mut longest_wait = None;
        for place in places {
            match place {
                Ok(place) => self.places.push(place),
                Err(wait) => longest_wait = longest_wait.max(Some(wait)),
            }
        }
        longest_wait.map_or(Ok(()), Err)
    }
}

impl Drop for Guess<'_> {
    fn drop(&mut self) {
        let places = std::mem::take(&mut self.places);
        let guessers = std::mem::take(&mut self.guessers);
        let state = Arc::clone(&self.limits.state);
        let one_is_known = Arc::clone(&self.limits.one_is_known);
        let is_known = move || {
            lock(&state).is_known(&guessers);
            one_is_known.notify_waiters();
        };
        match (places.is_empty(), &self.limits.redis, tokio::runtime::Handle::try_current()) {
            // Whoever waits for the turn finds the place free in Redis, too.
            (false, Some(redis), Ok(runtime)) => {
                let redis = redis.clone();
                runtime.spawn(async move {
                    if let Err(error) = redis.give_places_back(&places).await {
                        tracing::warn!(%error, "a code that was right counts as a wrong one for ten minutes");
                    }
                    is_known();
                });
            }
            _ => is_known(),
        }
    }
}

/// There is no place for another code.
#[derive(Clone, Copy, Debug)]
struct Full {
    wait: Duration,
    /// There would be one if all that is looked at were right.
    is_for_now: bool,
}

#[derive(Default)]
struct State {
    wrong: HashMap<Guesser, VecDeque<Instant>>,
    looked_at: HashMap<Guesser, usize>,
    /// Who has to wait because of what was tried at other nodes, and until when.
    waiting: HashMap<Guesser, Instant>,
    /// Wrong codes that the other nodes have not been told of.
    untold: Vec<Guesser>,
    redis_failed_at: Option<Instant>,
    tidied_at: Option<Instant>,
}

impl GuessLimits {
    /// `secret` is one that all nodes share. Without `redis` this node counts alone.
    pub fn new(secret: &Secret, redis: Option<SharedLimits>) -> Self {
        let state = Arc::default();
        Self { state, names_key: names_key(secret), redis, one_is_known: Arc::default() }
    }

    /// Lets this address try another code.
    ///
    /// # Errors
    /// 429 `too_many_guesses`.
    pub async fn check(&self, request: &HttpRequest) -> Result<Guess<'_>, ApiError> {
        self.begin(Guesser::all_of(request)).await.map_err(|wait| {
            let message = "too many wrong codes came from your address: wait before you try another";
            let seconds = u32::try_from(wait.as_secs() + 1).unwrap_or(u32::MAX);
            ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_guesses", message)
                .with_retry_after(seconds)
        })
    }

    /// Lets these try another code, each of whom it counts for. While so many are looked at that it would be one too many if
    /// all were wrong, it waits for its turn.
    ///
    /// # Errors
    /// How long no code of one of them is listened to.
    pub async fn begin(&self, guessers: Vec<Guesser>) -> Result<Guess<'_>, Duration> {
        let give_up_at = tokio::time::Instant::now() + LONGEST_TURN;
        let mut guess = loop {
            let mut one_is_known = std::pin::pin!(self.one_is_known.notified());
            one_is_known.as_mut().enable();
            match self.begin_here(guessers.clone()) {
                Ok(guess) => break guess,
                Err(Full { wait, is_for_now: false }) => return Err(wait),
                Err(Full { wait, is_for_now: true }) => {
                    tokio::time::timeout_at(give_up_at, one_is_known).await.map_err(|_| wait)?;
                }
            }
        };
        guess.take_places().await?;
        Ok(guess)
    }

    fn begin_here(&self, mut guessers: Vec<Guesser>) -> Result<Guess<'_>, Full> {
        let full = {
            let mut state = lock(&self.state);
            guessers.iter_mut().for_each(|guesser| *guesser = state.counted_as(guesser.clone()));
            guessers.dedup();
            let full = guessers
                .iter()
                .filter_map(|guesser| state.full_of(guesser))
                .max_by_key(|full| (!full.is_for_now, full.wait));
            if full.is_none() {
                for guesser in &guessers {
                    *state.looked_at.entry(guesser.clone()).or_default() += 1;
                }
            }
            full
        };
        match full {
            None => Ok(Guess { limits: self, guessers, places: Vec::new() }),
            Some(full) => Err(full),
        }
    }

    fn redis_at_hand(&self) -> Option<&SharedLimits> {
        let failed_at = lock(&self.state).redis_failed_at;
        let is_away = failed_at.is_some_and(|at| at.elapsed() < ASK_REDIS_AGAIN_AFTER);
        self.redis.as_ref().filter(|_| !is_away)
    }

    fn redis_failed(&self, error: &RedisError) {
        tracing::warn!(%error, "wrong codes can't be counted with other nodes: this one counts alone");
        lock(&self.state).redis_failed_at = Some(Instant::now());
    }

    /// This guesser has sent a wrong code, of which the other nodes know or not.
    fn count_wrong_of(&self, guesser: Guesser, is_told: bool) {
        let now = Instant::now();
        let mut state = lock(&self.state);
        let guesser = state.counted_as(guesser);
        let State { wrong, untold, .. } = &mut *state;
        if !is_told && untold.len() < MOST_GUESSERS {
            untold.push(guesser.clone());
        }
        let most = guesser.most();
        let times = wrong.entry(guesser).or_default();
        times.push_back(now);
        if times.len() > most {
            times.pop_front();
        }
    }

    /// Up to `most` wrong codes that the other nodes are to be told of, by guesser.
    pub(super) fn take_untold(&self, most: usize) -> Vec<Guesser> {
        let mut state = lock(&self.state);
        let count = state.untold.len().min(most);
        state.untold.drain(..count).collect()
    }

    /// Redis did not answer: they are told of later.
    pub(super) fn still_untold(&self, guessers: Vec<Guesser>) {
        let mut state = lock(&self.state);
        let room = MOST_GUESSERS.saturating_sub(state.untold.len());
        state.untold.extend(guessers.into_iter().take(room));
    }

    /// So long this guesser has to wait for what was tried at all nodes.
    pub(super) fn make_wait(&self, guesser: Guesser, wait: Duration) {
        let now = Instant::now();
        let mut state = lock(&self.state);
        state.waiting.retain(|_, until| *until > now);
        if !wait.is_zero() {
            state.waiting.insert(guesser, now + wait);
        }
    }

    /// The same at every node, and telling nobody who it is.
    pub(super) fn key_of(&self, guesser: &Guesser) -> String {
        format!("guesses:{}", name_in_redis(&self.names_key, guesser))
    }
}

impl State {
    /// Under whom a guesser is counted: the crowd's where no more are remembered.
    fn counted_as(&mut self, guesser: Guesser) -> Guesser {
        let is_full = |wrong: &HashMap<_, _>| wrong.len() >= MOST_GUESSERS && !wrong.contains_key(&guesser);
        if !is_full(&self.wrong) {
            return guesser;
        }
        let now = Instant::now();
        if self.tidied_at.is_none_or(|at| now.duration_since(at) >= TIDY_EVERY) {
            self.tidied_at = Some(now);
            self.wrong.retain(|_, times| times.back().is_some_and(|at| now.duration_since(*at) < PERIOD));
        }
        if is_full(&self.wrong) { Guesser::Crowd } else { guesser }
    }

    /// Codes of these have been looked at.
    fn is_known(&mut self, guessers: &[Guesser]) {
        for guesser in guessers {
            if let Some(count) = self.looked_at.get_mut(guesser) {
                *count -= 1;
                if *count == 0 {
                    self.looked_at.remove(guesser);
                }
            }
        }
    }

    fn full_of(&mut self, guesser: &Guesser) -> Option<Full> {
        let now = Instant::now();
        let elsewhere = self.waiting.get(guesser).map(|until| until.saturating_duration_since(now));
        if let Some(wait) = elsewhere.filter(|wait| !wait.is_zero()) {
            return Some(Full { is_for_now: false, wait });
        }
        let looked_at = self.looked_at.get(guesser).copied().unwrap_or_default();
        let times = self.wrong.entry(guesser.clone()).or_default();
        times.retain(|at| now.duration_since(*at) < PERIOD);
        let is_for_now = times.len() < guesser.most();
        let is_full = times.len() + looked_at >= guesser.most();
        let wait = match times.front() {
            Some(first) if !is_for_now => PERIOD - now.duration_since(*first),
            _ => Duration::from_secs(1),
        };
        if times.is_empty() {
            self.wrong.remove(guesser);
        }
        is_full.then_some(Full { wait, is_for_now })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn limits() -> GuessLimits {
        GuessLimits::new(&Secret::new("0f8a3c5e7b9d1f2a4c6e8b0d3f5a7c9e"), None)
    }

    fn player(player_id: &str) -> Guesser {
        Guesser::Player { server_id: Uuid::nil(), player_id: player_id.to_owned() }
    }

    #[test]
    fn who_sends_twenty_wrong_codes_has_to_wait_and_others_do_not() {
        let limits = limits();
        for _ in 0..MOST_WRONG {
            assert_eq!(wait_of(&limits, player("a")), None);
            limits.count_wrong_of(player("a"), false);
        }
        assert!(wait_of(&limits, player("a")).is_some_and(|wait| wait > Duration::from_secs(590)));
        assert_eq!(wait_of(&limits, player("b")), None);
    }

    #[test]
    fn codes_that_are_looked_at_at_once_count_until_it_is_known_that_they_are_right() {
        let limits = limits();
        let request = TestRequest::default().to_http_request();
        let looked_at: Vec<_> = (0..MOST_WRONG).map(|_| check(&limits, &request).ok()).collect();
        assert!(looked_at.iter().all(Option::is_some));
        assert!(check(&limits, &request).is_err());
        drop(looked_at);
        for _ in 0..MOST_WRONG {
            let guess = check(&limits, &request).ok();
            assert!(guess.is_some());
            guess.into_iter().for_each(Guess::was_wrong);
        }
        assert!(check(&limits, &request).is_err());
    }

    #[tokio::test]
    async fn a_code_that_comes_while_others_are_looked_at_waits_for_its_turn() {
        let limits = limits();
        let first: Vec<_> =
            (0..MOST_WRONG).filter_map(|_| limits.begin_here(vec![player("a")]).ok()).collect();
        assert_eq!(first.len(), MOST_WRONG);
        let mut next = std::pin::pin!(limits.begin(vec![player("a")]));
        tokio::select! {
            biased;
            _ = &mut next => panic!("all places are taken"),
            () = tokio::task::yield_now() => {}
        }
        let mut first = first.into_iter();
        drop(first.next());
        assert!(next.await.is_ok(), "one was right");

        let next = limits.begin(vec![player("a")]);
        let (next, ()) = tokio::join!(next, async { first.for_each(Guess::was_wrong) });
        assert!(next.is_ok(), "of nineteen wrong ones");
        let last = limits.begin(vec![player("a")]);
        let (last, ()) = tokio::join!(last, async { next.into_iter().for_each(Guess::was_wrong) });
        assert!(last.is_err_and(|wait| wait > Duration::from_secs(590)), "twenty were wrong");
    }

    fn wait_of(limits: &GuessLimits, guesser: Guesser) -> Option<Duration> {
        limits.begin_here(vec![guesser]).err().map(|full| full.wait)
    }

    fn check<'a>(limits: &'a GuessLimits, request: &HttpRequest) -> Result<Guess<'a>, Full> {
        limits.begin_here(Guesser::all_of(request))
    }

    fn wrong_from(limits: &GuessLimits, address: std::net::Ipv6Addr) -> bool {
        let request = TestRequest::default().peer_addr((address, 1_000).into()).to_http_request();
        check(limits, &request).map(Guess::was_wrong).is_ok()
    }

    #[test]
    fn who_has_many_networks_is_no_better_off_for_long() {
        let limits = limits();
        let network = |site: u16, number: u16| Ipv6Addr::new(0x2001, 0xdb8, site, number, 0, 0, 0, 1);
        let heard = (0..1_000).filter(|number| wrong_from(&limits, network(1, *number))).count();
        assert_eq!(heard, MOST_WRONG_OF_MANY);
        assert!(wrong_from(&limits, network(2, 0)));
    }

    #[test]
    fn whoever_is_not_remembered_any_more_is_counted_with_the_others() {
        let limits = limits();
        for number in 0..MOST_GUESSERS {
            limits.count_wrong_of(player(&number.to_string()), false);
        }
        let heard = (0..1_000_u32)
            .filter(|number| {
                let address = IpAddr::V4((0x0a00_0000 + number).into());
                let request = TestRequest::default().peer_addr((address, 1_000).into()).to_http_request();
                check(&limits, &request).map(Guess::was_wrong).is_ok()
            })
            .count();
        assert!(heard <= MOST_WRONG_OF_MANY, "{heard}");
        assert_eq!(wait_of(&limits, player("1")), None, "who is known is counted alone");
    }

    #[test]
    fn what_was_tried_elsewhere_counts_here() {
        let limits = limits();
        limits.make_wait(player("a"), Duration::from_secs(60));
        assert!(wait_of(&limits, player("a")).is_some());
        assert_eq!(wait_of(&limits, player("b")), None);
    }

    #[test]
    fn names_in_redis_tell_nobody_who_it_is() {
        let limits = limits();
        let guesser = Guesser::Address(IpAddr::from([203, 0, 113, 7]));
        assert!(!limits.key_of(&guesser).contains("203"));
        assert_eq!(limits.key_of(&guesser), limits.key_of(&guesser));
        assert_ne!(limits.key_of(&guesser), limits.key_of(&player("a")));
    }
}
