//! Carries one server's requests to the service, one at a time, and keeps account of the answers.
//!
//! Like a game server it never repeats a request: what is refused is gone. An answer that never comes leaves the
//! request's fate unknown, and is counted as that.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::{Client, StatusCode, Url};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::dialect::framing::{Request, Scribe, SendClock};
use super::meaning::{Fate, MatchLedger};
use super::report::{EventCounts, RequestCounts};

/// How long an answer may take. A service under test may be paused or restarted meanwhile.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// After a broken connection, so that a service that restarts isn't run over.
const PAUSE_AFTER_SILENCE: Duration = Duration::from_millis(250);
const MOST_COMPLAINTS: usize = 20;

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
    client: Client,
    url: Url,
    gauges: Arc<Gauges>,
    silent_since: Option<Instant>,
    give_up_after: Duration,
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

enum Answer {
    Accepted(Option<Receipt>),
    Refused(StatusCode),
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
            client,
            url,
            gauges,
            silent_since: None,
            give_up_after,
        }
    }

    /// Sends a whole match. Ends early when the service has been silent for too long.
    pub async fn deliver(&mut self, mut scribe: Scribe, pace: &Pace) -> Result<MatchDelivery, SimulateError> {
        let mut delivery = MatchDelivery::default();
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
            let Some(request) = scribe.next_request(clock) else { break };
            level_ms = request.level_ms;
            match pace {
                Pace::Fast | Pace::Past { .. } => {}
                Pace::Limited(limit) => limit.wait_for(request.meanings.len()).await,
                Pace::Realtime => {
                    tokio::time::sleep_until(began + Duration::from_millis(request.level_ms)).await
                }
            }
            self.send(request, &mut delivery).await?;
        }
        self.gauges.matches_ended.fetch_add(1, Ordering::Relaxed);
        Ok(delivery)
    }

    async fn send(&mut self, request: Request, delivery: &mut MatchDelivery) -> Result<(), SimulateError> {
        let Request { headers, body, meanings, .. } = request;
        let event_count = meanings.len() as u64;
        self.requests.sent += 1;
        self.events.sent += event_count;
        delivery.events_sent += event_count;
        self.gauges.requests_sent.fetch_add(1, Ordering::Relaxed);
        self.gauges.events_sent.fetch_add(event_count, Ordering::Relaxed);

        let fate = match self.post(headers, body).await {
            Answer::Accepted(receipt) => {
                let accepted = self.check(receipt, event_count);
                self.requests.accepted += 1;
                self.events.accepted += accepted;
                delivery.events_accepted += accepted;
                self.gauges.events_accepted.fetch_add(accepted, Ordering::Relaxed);
                Fate::Accepted
            }
            Answer::Refused(StatusCode::UNAUTHORIZED) => {
                self.gauges.requests_refused.fetch_add(1, Ordering::Relaxed);
                return Err(SimulateError::TokenRefused { server: self.server });
            }
            Answer::Refused(status) => {
                self.requests.refused += 1;
                self.events.refused += event_count;
                self.gauges.requests_refused.fetch_add(1, Ordering::Relaxed);
                if !matches!(status.as_u16(), 429 | 503) {
                    self.complain(format!("a request of {event_count} events was answered {status}"));
                }
                return Ok(());
            }
            Answer::None => {
                self.requests.unanswered += 1;
                self.events.unanswered += event_count;
                self.gauges.requests_unanswered.fetch_add(1, Ordering::Relaxed);
                self.bear_silence().await;
                Fate::Unanswered
            }
        };
        for meaning in &meanings {
            delivery.ledger.record(meaning, fate);
        }
        Ok(())
    }

    async fn post(&mut self, headers: Vec<(&'static str, String)>, body: Vec<u8>) -> Answer {
        let mut builder = self.client.post(self.url.clone()).body(body);
        for (name, value) in headers {
            builder = builder.header(name, value);
        }
        let response = match builder.send().await {
            Ok(response) => response,
            Err(error) => {
                tracing::debug!(server = self.server, error = %error.without_url(), "a request had no answer");
                return Answer::None;
            }
        };
        let status = response.status();
        self.silent_since = None;
        *self.requests.by_status.entry(status.as_u16()).or_default() += 1;
        // Reading the body to its end lets the connection be used again. The status alone decides: a 202 whose
        // body breaks off was accepted.
        let body = response.bytes().await.unwrap_or_default();
        match status {
            StatusCode::ACCEPTED => Answer::Accepted(serde_json::from_slice(&body).ok()),
            refused => Answer::Refused(refused),
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
