//! A fleet of simulated game servers: plays whole matches, reports them in the words of every script generation,
//! and says at the end what the service's statistics must be.
//!
//! [`battle`] plays, knowing nothing of wires; [`dialect`] finds words and frames requests; [`courier`] sends them,
//! one at a time per server and never twice; [`meaning`] keeps the ledger that [`report`] prints. Everything random
//! comes from the seed: two runs of one seed send the same bytes, except for wall-clock times (dialect `tools`)
//! and where a slow service makes level.time move on.
//!
//! The module uses nothing else of the service, so that what it expects is a second opinion.

pub mod arsenal;
pub mod battle;
pub mod chatter;
pub mod courier;
pub mod cup;
mod demo;
pub mod dialect;
pub mod dice;
pub mod event;
pub mod maps;
pub mod meaning;
mod publisher;
pub mod query_port;
pub mod report;
pub mod roster;
pub mod soldier;

#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use battle::{Battle, BattlePlan};
pub use courier::SimulateError;
use courier::{Courier, Gauges, Pace, RateLimit};
pub use demo::demo;
use dialect::Dialect;
use dialect::framing::{Letterhead, Scribe};
use dice::Dice;
use meaning::Tallies;
pub use publisher::Publisher;
use query_port::QueryPort;
pub use report::Report;
use report::{EventCounts, MatchReport, RequestCounts, ServerReport, UnansweredReport};
use roster::Roster;

/// Seconds of level.time. A match must last longer than the 20 s by which a receiver without match ids tells two
/// matches apart.
const SHORTEST_MATCH: u32 = 60;

/// What a fleet speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DialectChoice {
    /// One event a request, unescaped form text
    G1,
    /// Newline batches of form lines
    G2,
    /// JSON arrays with match ids
    G3,
    /// What today's scripts send: no match id, no map, few event types
    Live,
    /// JSON objects of API tools
    Tools,
    /// What the scripts of this project send: as g3, kept until it is taken, and sent again
    Tracker,
    /// Another one of the others for each server in turn
    Mixed,
}

impl DialectChoice {
    pub fn of_server(self, server: usize) -> Dialect {
        match self {
            Self::G1 => Dialect::G1,
            Self::G2 => Dialect::G2,
            Self::G3 => Dialect::G3,
            Self::Live => Dialect::Live,
            Self::Tools => Dialect::Tools,
            Self::Tracker => Dialect::G3,
            Self::Mixed => Dialect::ALL[server % Dialect::ALL.len()],
        }
    }
}

#[derive(Clone)]
pub struct SimulateOptions {
    /// Base address of the service (`http://127.0.0.1:8080`).
    pub url: String,
    /// One for each server; their number is the size of the fleet.
    pub tokens: Vec<String>,
    /// Matches for each server.
    pub matches: usize,
    /// Percentage of players that aren't logged in; each dialect has its own when not given.
    pub guests: Option<u8>,
    /// Events a second over the whole fleet; as fast as answers come when not given.
    pub rate: Option<f64>,
    pub dialect: DialectChoice,
    pub seed: u64,
    /// level.time is wall time; a `rate` counts for nothing then.
    pub realtime: bool,
    /// What each server publishes through at a broker, in place of posting; none for servers that post.
    pub publishers: Vec<Publisher>,
    /// Where each server answers questions over UDP; none for servers that don't.
    pub query_ports: Vec<Arc<QueryPort>>,
    /// Seconds of level.time that a match lasts, drawn for each.
    pub match_length: RangeInclusive<u32>,
    /// A server stops when no request has been answered for so long, or in the dialect `tracker` none was taken.
    pub give_up_after: Duration,
    /// In the dialect `tracker`, the shortest pause before a batch is sent again.
    pub first_pause: Duration,
}

impl SimulateOptions {
    /// One mixed match a server, of 8 to 15 minutes level.time, at full speed.
    pub fn new(url: impl Into<String>, tokens: Vec<String>) -> Self {
        Self {
            url: url.into(),
            tokens,
            matches: 1,
            guests: None,
            rate: None,
            dialect: DialectChoice::Mixed,
            seed: 1,
            realtime: false,
            publishers: Vec::new(),
            query_ports: Vec::new(),
            match_length: 480..=900,
            give_up_after: Duration::from_secs(30),
            first_pause: courier::FIRST_PAUSE,
        }
    }

    fn check(&self) -> Result<(), SimulateError> {
        if self.tokens.is_empty() {
            return Err(SimulateError::NoTokens);
        }
        if let Some(rate) = self.rate.filter(|rate| !rate.is_finite() || *rate <= 0.0) {
            return Err(SimulateError::InvalidRate { rate });
        }
        if let Some(percent) = self.guests.filter(|percent| *percent > 100) {
            return Err(SimulateError::InvalidGuests { percent });
        }
        if self.match_length.is_empty() || *self.match_length.start() < SHORTEST_MATCH {
            return Err(SimulateError::InvalidMatchLength {
                shortest: *self.match_length.start(),
                longest: *self.match_length.end(),
                minimum: SHORTEST_MATCH,
            });
        }
        Ok(())
    }
}

/// Tokens stay out of logs.
impl fmt::Debug for SimulateOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SimulateOptions")
            .field("url", &self.url)
            .field("servers", &self.tokens.len())
            .field("matches", &self.matches)
            .field("guests", &self.guests)
            .field("rate", &self.rate)
            .field("dialect", &self.dialect)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

/// How far a run is. Its `Display` is one line for a terminal.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    pub matches_ended: u64,
    pub matches: u64,
    pub requests_sent: u64,
    pub events_sent: u64,
    pub events_accepted: u64,
    pub requests_refused: u64,
    pub requests_unanswered: u64,
    pub elapsed: Duration,
}

impl fmt::Display for Progress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.elapsed.as_secs_f64().max(0.001);
        write!(
            formatter,
            "{}/{} matches, {} events sent in {} requests ({:.0} events/s), {} accepted, {} requests refused, {} unanswered",
            self.matches_ended,
            self.matches,
            self.events_sent,
            self.requests_sent,
            self.events_sent as f64 / seconds,
            self.events_accepted,
            self.requests_refused,
            self.requests_unanswered,
        )
    }
}

/// Plays all matches and reports. `progress` is called once a second and at the end.
pub async fn run(
    options: SimulateOptions,
    mut progress: impl FnMut(&Progress) + Send,
) -> Result<Report, SimulateError> {
    options.check()?;
    let url = courier::ingest_url(&options.url)?;
    let client = courier::client()?;
    // A broker that isn't there is told of by the first message.
    if options.publishers.is_empty() {
        courier::reach(&client, &url).await?;
    }
    let gauges = Arc::new(Gauges::default());
    let roster = Arc::new(Roster::new(options.seed, options.tokens.len(), true));
    let pace = match options.rate {
        _ if options.realtime => Pace::Realtime,
        Some(rate) => Pace::Limited(Arc::new(RateLimit::new(rate))),
        None => Pace::Fast,
    };
    let began = Instant::now();
    let mut shown =
        Progress { matches: (options.tokens.len() * options.matches) as u64, ..Progress::default() };

    // How many matches each server has behind it.
    let (ended, ending): (Vec<_>, Vec<_>) = options.tokens.iter().map(|_| watch::channel(0_usize)).unzip();
    let mut servers = JoinSet::new();
    for (server, ended) in ended.into_iter().enumerate() {
        let courier =
            Courier::new(server, client.clone(), url.clone(), Arc::clone(&gauges), options.give_up_after);
        let courier = match options.dialect {
            DialectChoice::Tracker => courier.keeping(options.first_pause),
            _ => courier,
        };
        let courier = match options.publishers.get(server) {
            Some(publisher) => courier.publishing(publisher.clone()),
            None => courier,
        };
        servers.spawn(serve(
            options.clone(),
            server,
            Arc::clone(&roster),
            courier,
            pace.clone(),
            ended,
            ending.clone(),
        ));
    }
    // They end with the run.
    let mut answering = JoinSet::new();
    for port in &options.query_ports {
        let port = Arc::clone(port);
        answering.spawn(async move { port.answer().await });
    }
    let mut outcomes = Vec::new();
    let mut second = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            joined = servers.join_next() => match joined {
                // Dropping the set on an error stops the other servers.
                Some(outcome) => outcomes.push(outcome.map_err(SimulateError::Task)??),
                None => break,
            },
            _ = second.tick() => progress(shown.read(&gauges, began)),
        }
    }
    progress(shown.read(&gauges, began));
    outcomes.sort_by_key(|outcome| outcome.report.token_index);
    Ok(sum_up(&options, outcomes, began.elapsed()))
}

impl Progress {
    fn read(&mut self, gauges: &Gauges, began: Instant) -> &Self {
        self.matches_ended = gauges.matches_ended.load(Ordering::Relaxed);
        self.requests_sent = gauges.requests_sent.load(Ordering::Relaxed);
        self.events_sent = gauges.events_sent.load(Ordering::Relaxed);
        self.events_accepted = gauges.events_accepted.load(Ordering::Relaxed);
        self.requests_refused = gauges.requests_refused.load(Ordering::Relaxed);
        self.requests_unanswered = gauges.requests_unanswered.load(Ordering::Relaxed);
        self.elapsed = began.elapsed();
        self
    }
}

struct ServerOutcome {
    report: ServerReport,
    requests: RequestCounts,
    events: EventCounts,
    accepted: Tallies,
    unanswered: Tallies,
    complaints: Vec<String>,
}

async fn serve(
    options: SimulateOptions,
    server: usize,
    roster: Arc<Roster>,
    mut courier: Courier,
    pace: Pace,
    ended: watch::Sender<usize>,
    mut ending: Vec<watch::Receiver<usize>>,
) -> Result<ServerOutcome, SimulateError> {
    let dialect = options.dialect.of_server(server);
    let guests = options.guests.unwrap_or_else(|| dialect.usual_guest_percent());
    let mut source_match_ids = Vec::new();
    let (mut accepted, mut unanswered) = (Tallies::default(), Tallies::default());
    for number in 0..options.matches {
        if let Some(other) = roster.rovers_come_from(server, number) {
            // A server that is no longer there holds nobody back.
            let _ = ending[other].wait_for(|matches| *matches >= number).await;
        }
        let length = options.match_length.clone();
        let setting = Setting {
            seed: options.seed,
            server,
            number,
            dialect,
            token: &options.tokens[server],
            guests,
            length,
            query_port: options.query_ports.get(server).map(Arc::as_ref),
        };
        let (scribe, letterhead) = setting.stage(&roster);
        courier.deliver(scribe, &pace).await?;
        source_match_ids.push(dialect.names_matches().then_some(letterhead.match_id));
        ended.send_replace(number + 1);
        if courier.gave_up {
            break;
        }
    }
    courier.finish().await;
    let mut matches = Vec::new();
    for (delivery, source_match_id) in courier.deliveries.iter().zip(source_match_ids) {
        accepted.add(&delivery.ledger.accepted);
        unanswered.add(&delivery.ledger.unanswered);
        matches.push(MatchReport::new(
            source_match_id,
            &delivery.ledger,
            delivery.events_sent,
            delivery.events_accepted,
        ));
    }
    Ok(ServerOutcome {
        report: ServerReport {
            token_index: server,
            dialect,
            events_sent: courier.events.sent,
            events_accepted: courier.events.accepted,
            requests: courier.requests.sent,
            matches,
        },
        requests: courier.requests,
        events: courier.events,
        accepted,
        unanswered,
        complaints: courier.complaints,
    })
}

/// Everything that decides how one match goes.
struct Setting<'a> {
    seed: u64,
    server: usize,
    number: usize,
    dialect: Dialect,
    token: &'a str,
    guests: u8,
    length: RangeInclusive<u32>,
    query_port: Option<&'a QueryPort>,
}

impl Setting<'_> {
    fn stage(self, roster: &Roster) -> (Scribe, Letterhead) {
        let Self { seed, server, number, dialect, token, guests, length, query_port } = self;
        let numbers = [server as u64, number as u64];
        let mut plan_dice = Dice::new(seed, "plan", &numbers);
        // Today's scripts don't say the game type, and then a free-for-all can't be told from a team game.
        let plan = BattlePlan::draw(&mut plan_dice, length, dialect != Dialect::Live);
        let letterhead = Letterhead {
            token: token.to_owned(),
            server_id: format!("sim-server-{server:02}"),
            session_id: format!("sess_{:016x}", Dice::new(seed, "session", &numbers[..1]).bits()),
            match_id: format!("match_{:016x}", Dice::new(seed, "match", &numbers).bits()),
            match_number: number,
        };
        let participants = roster.participants(server, number, guests);
        if let Some(port) = query_port {
            port.plays(&plan, &participants);
        }
        let battle = Battle::new(plan, participants, Dice::new(seed, "battle", &numbers));
        let scribe = Scribe::new(dialect, letterhead.clone(), battle, Dice::new(seed, "scribe", &numbers));
        (scribe, letterhead)
    }
}

fn sum_up(options: &SimulateOptions, outcomes: Vec<ServerOutcome>, elapsed: Duration) -> Report {
    let mut requests = RequestCounts::default();
    let mut events = EventCounts::default();
    let (mut accepted, mut unanswered) = (Tallies::default(), Tallies::default());
    let mut complaints = Vec::new();
    let mut servers = Vec::new();
    for outcome in outcomes {
        requests.add(&outcome.requests);
        events.add(&outcome.events);
        accepted.add(&outcome.accepted);
        unanswered.add(&outcome.unanswered);
        complaints.extend(outcome.complaints);
        servers.push(outcome.report);
    }
    let seen =
        servers.iter().flat_map(|server| &server.matches).filter(|played| played.events_accepted > 0).count();
    Report {
        seed: options.seed,
        dialect: options.dialect,
        servers,
        requests,
        matches: seen,
        players: report::players(&accepted),
        guests: accepted.guests,
        unanswered: UnansweredReport {
            events: events.unanswered,
            players: report::players(&unanswered),
            guests: unanswered.guests,
        },
        events,
        complaints,
        elapsed_seconds: elapsed.as_secs_f64(),
    }
}
