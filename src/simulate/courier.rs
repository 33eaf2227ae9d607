//! Carries one server's requests to the service, one at a time, and keeps account of the answers.
//!
//! Like the scripts of the field it never repeats a request: what is refused is gone, and on a 401 it registers anew. An answer
//! that never comes leaves the request's fate unknown, and is counted as that. Like the scripts of this project
//! ([`Manners::Keep`]) it keeps what is not taken and sends it again under its `Idempotency-Key`, so that nothing is lost and
//! nothing unknown. A server at a broker ([`Publisher`]) publishes until the broker has a request; what the service makes of it, it
//! doesn't hear.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::{Client, StatusCode, Url};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::dialect::framing::{Request, Scribe, SendClock};
use super::meaning::{Fate, MatchLedger, Meaning};
use super::publisher::{PublishError, Published, Publisher};
use super::report::{EventCounts, RequestCounts};

/// How long an answer may take. A service under test may be paused or restarted meanwhile.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// After a broken connection, so that a service that restarts isn't run over.
const PAUSE_AFTER_SILENCE: Duration = Duration::from_millis(250);
const MOST_COMPLAINTS: usize = 20;
/// Batches that are kept, as in `game/tracker_http.scr`: 10,000 events.
const MOST_KEPT: usize = 500;
/// Until a batch that was not taken is sent again; doubles from there.
pub const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A script that was given a token does not ask for another one before.
const REGISTERS_AGAIN_AFTER: Duration = Duration::from_secs(60);
/// Of the first server; the others' follow.
const FIRST_GAME_PORT: usize = 12_203;

#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    #[error("{url:?} is not an http or https address")]
    InvalidUrl { url: String },
    #[error("nothing answers at {url}: {source}")]
    Unreachable { url: String, source: reqwest::Error },
    #[error("a simulation needs at least one server token")]
    NoTokens,
    #[error("a rate of {rate} events per second is not a positive number")]
    InvalidRate { rate: f64 },
    #[error("{percent} percent of guests is more than everybody")]
    InvalidGuests { percent: u8 },
    #[error("match length {shortest}..={longest} s is empty or shorter than {minimum} s")]
    InvalidMatchLength { shortest: u32, longest: u32, minimum: u32 },
    #[error("the HTTP client could not be made")]
    Client(#[source] reqwest::Error),
    #[error("the token of server {server} was refused: it is missing, unknown or revoked")]
    TokenRefused { server: usize },
    #[error("a server's task failed")]
    Task(#[source] tokio::task::JoinError),
}

/// Counters that the progress line reads while servers play.
#[derive(Debug, Default)]
pub struct Gauges {
    pub requests_sent: AtomicU64,
    pub events_sent: AtomicU64,
    pub events_accepted: AtomicU64,
    pub requests_refused: AtomicU64,
    pub requests_unanswered: AtomicU64,
    pub matches_ended: AtomicU64,
}

/// When requests leave.
#[derive(Clone, Debug)]
pub enum Pace {
    /// As fast as answers come.
    Fast,
    /// At most so many events a second over the whole fleet.
    Limited(Arc<RateLimit>),
    /// As fast as answers come, and as if it had been played from that moment on, in milliseconds since 1970.
    Past { began_ms: i64 },
    /// level.time is wall time.
    Realtime,
}

/// Gives every request its place in time, so that the fleet as a whole keeps the rate.
#[derive(Debug)]
pub struct RateLimit {
    events_per_second: f64,
    next_free: Mutex<Option<Instant>>,
}

impl RateLimit {
    pub fn new(events_per_second: f64) -> Self {
        Self { events_per_second, next_free: Mutex::new(None) }
    }

    async fn wait_for(&self, events: usize) {
        let slot = {
            let mut next_free = self.next_free.lock().await;
            let now = Instant::now();
            // A fleet that was held up doesn't catch up in a burst.
            let slot = next_free.map_or(now, |free| free.max(now));
            *next_free = Some(slot + Duration::from_secs_f64(events as f64 / self.events_per_second));
            slot
        };
        tokio::time::sleep_until(slot).await;
    }
}

/// The address of the service's ingest from its base address.
pub fn ingest_url(base: &str) -> Result<Url, SimulateError> {
    let invalid = || SimulateError::InvalidUrl { url: base.to_owned() };
    let url =
        Url::parse(&format!("{}/api/v1/ingest/events", base.trim_end_matches('/'))).map_err(|_| invalid())?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(invalid());
    }
    Ok(url)
}

/// A client with the public roots built in, because small containers have no certificates of their own.
pub fn client() -> Result<Client, SimulateError> {
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut builder = Client::builder()
        .timeout(ANSWER_TIMEOUT)
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent("OpenMOHAA")
        .no_proxy();
    if let Ok(config) =
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()
    {
        builder =
            builder.tls_backend_preconfigured(config.with_root_certificates(roots).with_no_client_auth());
    }
    builder.build().map_err(SimulateError::Client)
}

/// Whether anything answers at `url`: a fleet bears silence, as game servers do, but not from the beginning.
pub async fn reach(client: &Client, url: &Url) -> Result<(), SimulateError> {
    match client.get(url.clone()).send().await {
        Err(source) if source.is_connect() => {
            Err(SimulateError::Unreachable { url: url.to_string(), source: source.without_url() })
        }
        // Whatever it says, somebody is there.
        _ => Ok(()),
    }
}

/// What a server does with a request that is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manners {
    /// As the scripts of the field: it is gone.
    Forget,
    /// As the scripts of this project: it is kept, with up to 500 batches behind it, and sent again.
    Keep,
}

/// A request that was not taken yet.
#[derive(Debug)]
struct Kept {
    request: Request,
    /// Of its match.
    delivery: usize,
    was_sent: bool,
}

/// What became of one match's requests.
#[derive(Debug, Default)]
pub struct MatchDelivery {
    pub ledger: MatchLedger,
    pub events_sent: u64,
    pub events_accepted: u64,
}

#[derive(Debug)]
pub struct Courier {
    pub server: usize,
    pub requests: RequestCounts,
    pub events: EventCounts,
    pub complaints: Vec<String>,
    /// The service has been silent for so long that the server stopped.
    pub gave_up: bool,
    /// Each match's, in the order in which they were played.
    pub deliveries: Vec<MatchDelivery>,
    client: Client,
    url: Url,
    /// In place of the client.
    published: Option<Published>,
    gauges: Arc<Gauges>,
    /// Since when nothing was answered, or where requests are kept, nothing was taken.
    silent_since: Option<Instant>,
    give_up_after: Duration,
    manners: Manners,
    first_pause: Duration,
    /// What it got when it registered, in place of the token that it was given.
    own_token: Option<String>,
    registered_at: Option<Instant>,
    kept: VecDeque<Kept>,
    pause: Duration,
    not_before: Instant,
    /// The token is not taken, and until the next match nothing is sent.
    is_stopped: bool,
}

/// The part of a 202 answer that is checked.
#[derive(serde::Deserialize)]
struct Receipt {
    processed: u64,
    #[serde(default)]
    rejected: u64,
    #[serde(default)]
    errors: Vec<serde_json::Value>,
}

impl Receipt {
    fn of_all(request: &Request) -> Self {
        Self { processed: request.meanings.len() as u64, rejected: 0, errors: Vec::new() }
    }
}

/// What a server is given that registers.
#[derive(serde::Deserialize)]
struct Identity {
    token: String,
}

enum Answer {
    Accepted(Option<Receipt>),
    Refused { status: StatusCode, retry_after: Duration },
    None,
}

impl Courier {
    pub fn new(
        server: usize,
        client: Client,
        url: Url,
        gauges: Arc<Gauges>,
        give_up_after: Duration,
    ) -> Self {
        Self {
            server,
            requests: RequestCounts::default(),
            events: EventCounts::default(),
            complaints: Vec::new(),
            gave_up: false,
            deliveries: Vec::new(),
            client,
            url,
            published: None,
            gauges,
            silent_since: None,
            give_up_after,
            manners: Manners::Forget,
            first_pause: FIRST_PAUSE,
            own_token: None,
            registered_at: None,
            kept: VecDeque::new(),
            pause: Duration::ZERO,
            not_before: Instant::now(),
            is_stopped: false,
        }
    }

    /// Keeps what is not taken; `first_pause` is the shortest one before it is sent again.
    #[must_use]
    pub fn keeping(self, first_pause: Duration) -> Self {
        Self { manners: Manners::Keep, first_pause, ..self }
    }

    /// Publishes instead of posting.
    #[must_use]
    pub fn publishing(self, publisher: Publisher) -> Self {
        Self { published: Some(publisher.open()), ..self }
    }

    /// Plays a whole match. Ends early when the service has been silent for too long. What is kept of it is sent with the
    /// following ones, or by [`finish`](Self::finish).
    pub async fn deliver(&mut self, mut scribe: Scribe, pace: &Pace) -> Result<(), SimulateError> {
        self.deliveries.push(MatchDelivery::default());
        let delivery = self.deliveries.len() - 1;
        self.is_stopped = false;
        let began = Instant::now();
        let mut level_ms = 0;
        while !self.gave_up {
            let clock = SendClock {
                epoch_ms: match pace {
                    Pace::Past { began_ms } => began_ms + level_ms as i64,
                    _ => chrono::Utc::now().timestamp_millis(),
                },
                match_elapsed_ms: began.elapsed().as_millis() as u64,
            };
            if let Some(token) = &self.own_token {
                scribe.speak_with(token);
            }
            let Some(request) = scribe.next_request(clock) else { break };
            level_ms = request.level_ms;
            match pace {
                Pace::Fast | Pace::Past { .. } => {}
                Pace::Limited(limit) => limit.wait_for(request.meanings.len()).await,
                Pace::Realtime => {
                    tokio::time::sleep_until(began + Duration::from_millis(request.level_ms)).await
                }
            }
            match self.manners {
                Manners::Forget => self.send(request, delivery).await?,
                Manners::Keep => self.keep(request, delivery, matches!(pace, Pace::Realtime)).await,
            }
        }
        self.gauges.matches_ended.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Sends what is kept, until it is taken or nothing has been taken for too long.
    pub async fn finish(&mut self) {
        self.send_kept(0).await;
        if self.kept.is_empty() {
            return;
        }
        let (batches, mut events) = (self.kept.len(), 0);
        for Kept { request, delivery, was_sent } in std::mem::take(&mut self.kept) {
            let count = request.meanings.len() as u64;
            events += count;
            // One that was sent may have arrived.
            if was_sent && !self.is_stopped {
                self.requests.unanswered += 1;
                self.events.unanswered += count;
                self.record(delivery, &request.meanings, Fate::Unanswered);
            } else {
                self.requests.refused += 1;
                self.events.refused += count;
            }
        }
        self.complain(format!("{events} events in {batches} batches were never taken"));
    }

    fn count_sent(&mut self, request: &Request, delivery: usize) -> u64 {
        let event_count = request.meanings.len() as u64;
        self.requests.sent += 1;
        self.events.sent += event_count;
        self.deliveries[delivery].events_sent += event_count;
        self.gauges.requests_sent.fetch_add(1, Ordering::Relaxed);
        self.gauges.events_sent.fetch_add(event_count, Ordering::Relaxed);
        event_count
    }

    fn count_accepted(&mut self, receipt: Option<Receipt>, delivery: usize, event_count: u64) {
        let accepted = self.check(receipt, event_count);
        self.requests.accepted += 1;
        self.events.accepted += accepted;
        self.deliveries[delivery].events_accepted += accepted;
        self.gauges.events_accepted.fetch_add(accepted, Ordering::Relaxed);
    }

    fn count_refused(&mut self, status: StatusCode, event_count: u64) {
        self.requests.refused += 1;
        self.events.refused += event_count;
        self.gauges.requests_refused.fetch_add(1, Ordering::Relaxed);
        if !matches!(status.as_u16(), 401 | 429 | 503) {
            self.complain(format!("a request of {event_count} events was answered {status}"));
        }
    }

    fn record(&mut self, delivery: usize, meanings: &[Meaning], fate: Fate) {
        for meaning in meanings {
            self.deliveries[delivery].ledger.record(meaning, fate);
        }
    }

    async fn send(&mut self, request: Request, delivery: usize) -> Result<(), SimulateError> {
        let event_count = self.count_sent(&request, delivery);
        match self.post(&request, None).await {
            Answer::Accepted(receipt) => {
                self.count_accepted(receipt, delivery, event_count);
                self.record(delivery, &request.meanings, Fate::Accepted);
            }
            Answer::Refused { status, .. } => {
                self.count_refused(status, event_count);
                if status == StatusCode::UNAUTHORIZED {
                    self.register().await?;
                }
            }
            Answer::None => {
                self.requests.unanswered += 1;
                self.events.unanswered += event_count;
                self.gauges.requests_unanswered.fetch_add(1, Ordering::Relaxed);
                self.bear_silence().await;
                self.record(delivery, &request.meanings, Fate::Unanswered);
            }
        }
        Ok(())
    }

    /// What scripts do when their token is not known any more: they ask for another one, though not again and again.
    async fn register(&mut self) -> Result<(), SimulateError> {
        if self.registered_at.is_some_and(|at| at.elapsed() < REGISTERS_AGAIN_AFTER) {
            return Ok(());
        }
        self.registered_at = Some(Instant::now());
        let server = self.server;
        let refused = || SimulateError::TokenRefused { server };
        let url = self.url.join("../servers/register").map_err(|_| refused())?;
        let whoami = serde_json::json!({
            "name": format!("Simulated server {}", self.server + 1),
            "ip_address": "127.0.0.1",
            "port": (FIRST_GAME_PORT + self.server).to_string(),
        });
        let sending =
            self.client.post(url).header("content-type", "application/json").body(whoami.to_string());
        let answer = sending.send().await.map_err(|_| refused())?;
        // To the byte: scripts know no other success.
        if answer.status() != StatusCode::OK {
            return Err(refused());
        }
        let body = answer.bytes().await.map_err(|_| refused())?;
        let identity: Identity = serde_json::from_slice(&body).map_err(|_| refused())?;
        self.own_token = Some(identity.token);
        self.requests.registrations += 1;
        Ok(())
    }

    /// Puts a request behind those that are kept, and sends what may be sent. A game goes on meanwhile, and loses what has no
    /// room; who plays faster than that waits.
    async fn keep(&mut self, request: Request, delivery: usize, is_real: bool) {
        let event_count = self.count_sent(&request, delivery);
        if self.kept.len() >= MOST_KEPT && !is_real {
            self.send_kept(MOST_KEPT - 1).await;
        }
        if self.kept.len() >= MOST_KEPT {
            self.requests.lost += 1;
            self.events.lost += event_count;
            return;
        }
        self.kept.push_back(Kept { request, delivery, was_sent: false });
        self.send_kept(usize::MAX).await;
    }

    /// Sends what is kept, the oldest first, until one is not taken; waits for it while more than `most_left` are kept.
    async fn send_kept(&mut self, most_left: usize) {
        while !self.is_stopped && !self.gave_up {
            if self.kept.is_empty() {
                return;
            }
            if Instant::now() < self.not_before {
                if self.kept.len() <= most_left {
                    return;
                }
                tokio::time::sleep_until(self.not_before).await;
            }
            let Some(mut first) = self.kept.pop_front() else { return };
            self.requests.sent_again += u64::from(first.was_sent);
            first.was_sent = true;
            let event_count = first.request.meanings.len() as u64;
            let key = first.request.key.clone();
            match self.post(&first.request, Some(&key)).await {
                Answer::Accepted(receipt) => {
                    self.count_accepted(receipt, first.delivery, event_count);
                    self.record(first.delivery, &first.request.meanings, Fate::Accepted);
                    (self.silent_since, self.pause) = (None, Duration::ZERO);
                }
                // It would not be taken another time either.
                Answer::Refused { status, .. } if matches!(status.as_u16(), 400 | 413 | 415 | 422) => {
                    self.count_refused(status, event_count);
                }
                Answer::Refused { status, .. } if matches!(status.as_u16(), 401 | 403) => {
                    self.complain(format!("the token is not taken ({status})"));
                    self.is_stopped = true;
                    self.kept.push_front(first);
                }
                Answer::Refused { retry_after, .. } => self.put_off(first, retry_after),
                Answer::None => self.put_off(first, Duration::ZERO),
            }
        }
    }

    fn put_off(&mut self, first: Kept, retry_after: Duration) {
        self.kept.push_front(first);
        let silent_since = *self.silent_since.get_or_insert_with(Instant::now);
        if silent_since.elapsed() > self.give_up_after {
            self.gave_up = true;
            self.complain(format!(
                "gave up after {} s in which nothing was taken",
                self.give_up_after.as_secs()
            ));
        }
        self.pause = (self.pause * 2).max(self.first_pause).min(LONGEST_PAUSE);
        self.not_before = Instant::now() + self.pause.max(retry_after);
    }

    async fn post(&mut self, request: &Request, key: Option<&str>) -> Answer {
        if let Some(published) = &mut self.published {
            return match published.publish(&request.body, self.give_up_after).await {
                Ok(()) => {
                    self.silent_since = None;
                    Answer::Accepted(Some(Receipt::of_all(request)))
                }
                Err(PublishError::NotAuthorized) => {
                    Answer::Refused { status: StatusCode::FORBIDDEN, retry_after: Duration::ZERO }
                }
                Err(error) => {
                    tracing::debug!(server = self.server, %error, "a message was not taken");
                    // It has been tried for long enough.
                    self.gave_up = true;
                    self.complain(format!("gave up after {} s: {error}", self.give_up_after.as_secs()));
                    Answer::None
                }
            };
        }
        let mut builder = self.client.post(self.url.clone()).body(request.body.clone());
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        if let Some(key) = key {
            builder = builder.header("idempotency-key", key);
        }
        let response = match builder.send().await {
            Ok(response) => response,
            Err(error) => {
                tracing::debug!(server = self.server, error = %error.without_url(), "a request had no answer");
                return Answer::None;
            }
        };
        let status = response.status();
        if self.manners == Manners::Forget {
            self.silent_since = None;
        }
        let header = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
        let retry_after = Duration::from_secs(header.and_then(|text| text.parse().ok()).unwrap_or(0));
        *self.requests.by_status.entry(status.as_u16()).or_default() += 1;
        // Reading the body to its end lets the connection be used again. The status alone decides: a 202 whose
        // body breaks off was accepted.
        let body = response.bytes().await.unwrap_or_default();
        match status {
            StatusCode::ACCEPTED => Answer::Accepted(serde_json::from_slice(&body).ok()),
            status => Answer::Refused { status, retry_after },
        }
    }

    /// How many events the answer says were taken. Anything but all of them is worth a complaint.
    fn check(&mut self, receipt: Option<Receipt>, sent: u64) -> u64 {
        let Some(receipt) = receipt else {
            self.complain(format!("a 202 answer to {sent} events could not be read"));
            return sent;
        };
        self.events.rejected += receipt.rejected;
        if receipt.processed != sent || receipt.rejected != 0 {
            let first = receipt.errors.first().map(ToString::to_string).unwrap_or_default();
            self.complain(format!(
                "of {sent} events {} were processed and {} rejected {first}",
                receipt.processed, receipt.rejected
            ));
        }
        receipt.processed
    }

    fn complain(&mut self, complaint: String) {
        if self.complaints.len() < MOST_COMPLAINTS {
            self.complaints.push(format!("server {}: {complaint}", self.server));
        }
    }

    async fn bear_silence(&mut self) {
        let silent_since = *self.silent_since.get_or_insert_with(Instant::now);
        if silent_since.elapsed() > self.give_up_after {
            self.gave_up = true;
            self.complain(format!("gave up after {} s without an answer", self.give_up_after.as_secs()));
        } else {
            tokio::time::sleep(PAUSE_AFTER_SILENCE).await;
        }
    }
}
