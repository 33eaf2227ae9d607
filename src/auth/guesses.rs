//! Guessing codes is slow: from one address few wrong ones are listened to.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actix_web::HttpRequest;
use actix_web::http::StatusCode;

use crate::http::ApiError;
use crate::http::client_address::client_network;

/// Wrong codes of any kind that one address may send within [`PERIOD`].
const MOST_WRONG: usize = 20;
const PERIOD: Duration = Duration::from_secs(600);
/// So many addresses are remembered, which bounds the memory; beyond them new ones go uncounted.
const MOST_ADDRESSES: usize = 50_000;

/// Wrong codes of the last ten minutes, by address. Of this node alone: a code is 40 bits, so that the nodes'
/// twenties don't add up to anything.
#[derive(Debug, Default)]
pub struct GuessLimits {
    wrong: Mutex<HashMap<IpAddr, VecDeque<Instant>>>,
}

impl GuessLimits {
    /// Whether this address may try another code.
    ///
    /// # Errors
    /// 429 `too_many_guesses`.
    pub fn check(&self, request: &HttpRequest) -> Result<(), ApiError> {
        let now = Instant::now();
        let mut wrong = self.wrong();
        let Some(times) = wrong.get_mut(&client_network(request)) else { return Ok(()) };
        times.retain(|at| now.duration_since(*at) < PERIOD);
        let Some(first) = times.front().filter(|_| times.len() >= MOST_WRONG) else { return Ok(()) };
        let seconds = (PERIOD - now.duration_since(*first)).as_secs() + 1;
        let message = "too many wrong codes came from your address: wait before you try another";
        Err(ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_guesses", message)
            .with_retry_after(u32::try_from(seconds).unwrap_or(u32::MAX)))
    }

    /// This address has sent a wrong code.
    pub fn count_wrong(&self, request: &HttpRequest) {
        let now = Instant::now();
        let mut wrong = self.wrong();
        if wrong.len() >= MOST_ADDRESSES {
            wrong.retain(|_, times| times.back().is_some_and(|at| now.duration_since(*at) < PERIOD));
        }
        let address = client_network(request);
        if wrong.len() < MOST_ADDRESSES || wrong.contains_key(&address) {
            let times = wrong.entry(address).or_default();
            times.push_back(now);
            if times.len() > MOST_WRONG {
                times.pop_front();
            }
        }
    }

    fn wrong(&self) -> MutexGuard<'_, HashMap<IpAddr, VecDeque<Instant>>> {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
