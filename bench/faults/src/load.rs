//! Load whose every event has a name of its own, and which remembers what each request was told.
//!
//! The name is the event's player name: `<sender>-<number>`. The numbers of one sender follow one another, so what
//! became of a request is a range of them, and millions of events fit in memory.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hyper::{Request, StatusCode};
use mohaa_bench::connection::{Answer, Connection};
use mohaa_stats::simulate::dice::Dice;
use tokio::task::JoinSet;

use crate::error::Result;

const INGEST_PATH: &str = "/api/v1/ingest/events";
/// In every event of distances, so that a value that was taken for another shows.
pub(crate) const MAX_CLIENTS: u32 = 16;
/// Between two tries to reach a service that takes no connection.
const PAUSE_BEFORE_RECONNECTING: Duration = Duration::from_millis(20);

/// What a request was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// 202: its events are safe.
    Accepted,
    /// Another answer: its status and its code.
    Refused { status: u16, cause: String },
    /// The connection broke before an answer came.
    Unanswered,
}

#[derive(Clone, Debug)]
struct ToldRequest {
    first: u32,
    count: u32,
    fate: Fate,
}

/// What all requests of all senders were told.
#[derive(Clone, Debug, Default)]
pub struct Told {
    of_sender: BTreeMap<String, Vec<ToldRequest>>,
}

impl Told {
    pub fn merge(&mut self, other: Told) {
        for (sender, requests) in other.of_sender {
            self.of_sender.entry(sender).or_default().extend(requests);
        }
    }

    fn requests(&self) -> impl Iterator<Item = &ToldRequest> {
        self.of_sender.values().flatten()
    }

    fn events(&self, is_counted: impl Fn(&Fate) -> bool) -> u64 {
        self.requests()
            .filter(|request| is_counted(&request.fate))
            .map(|request| u64::from(request.count))
            .sum()
    }

    pub fn accepted(&self) -> u64 {
        self.events(|fate| *fate == Fate::Accepted)
    }

    pub fn unanswered(&self) -> u64 {
        self.events(|fate| *fate == Fate::Unanswered)
    }

    /// Refused events by status and cause.
    pub fn refused(&self) -> BTreeMap<(u16, String), u64> {
        let mut refused = BTreeMap::new();
        for request in self.requests() {
            if let Fate::Refused { status, cause } = &request.fate {
                *refused.entry((*status, cause.clone())).or_default() += u64::from(request.count);
            }
        }
        refused
    }

    /// Sender and number of every event that may be stored, and what it was told.
    pub(crate) fn each_unrefused(&self) -> impl Iterator<Item = (&str, u32, &Fate)> {
        self.of_sender.iter().flat_map(|(sender, requests)| {
            let unrefused = requests.iter().filter(|request| !matches!(request.fate, Fate::Refused { .. }));
            unrefused.flat_map(move |request| {
                (request.first..request.first + request.count)
                    .map(move |number| (sender.as_str(), number, &request.fate))
            })
        })
    }

    pub(crate) fn was_refused(&self, sender: &str, number: u32) -> bool {
        self.of_sender.get(sender).into_iter().flatten().any(|request| {
            matches!(request.fate, Fate::Refused { .. })
                && (request.first..request.first + request.count).contains(&number)
        })
    }

    fn note(&mut self, sender: &str, first: u32, count: u32, fate: Fate) {
        let requests = self.of_sender.entry(sender.to_owned()).or_default();
        match requests.last_mut() {
            // Most requests follow one that was told the same.
            Some(last) if last.fate == fate && last.first + last.count == first => last.count += count,
            _ => requests.push(ToldRequest { first, count, fate }),
        }
    }
}

/// How senders go about it.
#[derive(Clone, Debug)]
pub struct Manner {
    pub senders: u64,
    /// Of a request.
    pub events: RangeInclusive<u64>,
    /// After an answer, before the next request.
    pub pause: Duration,
    /// After any answer but 202, instead.
    pub pause_after_refusal: Duration,
    /// Whether a sender opens a new connection when its own broke; else it ends.
    pub reconnects: bool,
}

impl Manner {
    /// Six senders that post small requests one after the other, and end with the service.
    pub fn bombardment() -> Self {
        Self {
            senders: 6,
            events: 1..=20,
            pause: Duration::from_millis(5),
            pause_after_refusal: Duration::from_millis(5),
            reconnects: false,
        }
    }
}

/// Posts one request whose events are named `<sender>-<first>` and on.
///
/// # Errors
/// When the service can't be reached.
pub async fn post_once(
    address: SocketAddr,
    token: &str,
    sender: &str,
    numbers: std::ops::Range<u32>,
) -> Result<Told> {
    let mut connection = Connection::open(address).await?;
    let mut told = Told::default();
    let count = numbers.len() as u32;
    let mut dice = Dice::new(0, sender, &[]);
    let fate = post(&mut connection, token, sender, numbers.start, count, &mut dice).await;
    told.note(sender, numbers.start, count, fate);
    Ok(told)
}

/// Senders at work.
pub struct Load {
    is_over: Arc<AtomicBool>,
    accepted: Arc<AtomicU64>,
    senders: JoinSet<Told>,
}

impl Load {
    /// `label` must be new for each load on a database: it begins the events' names. It must not hold a `-`.
    pub fn start(address: SocketAddr, token: &str, label: &str, seed: u64, manner: &Manner) -> Self {
        let (is_over, accepted) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut senders = JoinSet::new();
        for sender in 0..manner.senders {
            let sender = Sender {
                address,
                token: token.to_owned(),
                name: format!("{label}s{sender}"),
                dice: Dice::new(seed, label, &[sender]),
                manner: manner.clone(),
                is_over: is_over.clone(),
                accepted: accepted.clone(),
                told: Told::default(),
            };
            senders.spawn(sender.run());
        }
        Self { is_over, accepted, senders }
    }

    /// Events accepted so far.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Lets open requests end.
    ///
    /// # Errors
    /// When a sender panicked.
    pub async fn stop(mut self) -> Result<Told> {
        self.is_over.store(true, Ordering::Relaxed);
        let mut told = Told::default();
        while let Some(ended) = self.senders.join_next().await {
            told.merge(ended?);
        }
        Ok(told)
    }
}

struct Sender {
    address: SocketAddr,
    token: String,
    name: String,
    dice: Dice,
    manner: Manner,
    is_over: Arc<AtomicBool>,
    accepted: Arc<AtomicU64>,
    told: Told,
}

impl Sender {
    async fn run(mut self) -> Told {
        let mut first = 0;
        while !self.is_over.load(Ordering::Relaxed) {
            let Ok(mut connection) = Connection::open(self.address).await else {
                if !self.manner.reconnects {
                    break;
                }
                tokio::time::sleep(PAUSE_BEFORE_RECONNECTING).await;
                continue;
            };
            while !self.is_over.load(Ordering::Relaxed) {
                let (fewest, most) = (*self.manner.events.start(), *self.manner.events.end());
                let count = (fewest + self.dice.bits() % (most - fewest + 1)) as u32;
                let fate = post(&mut connection, &self.token, &self.name, first, count, &mut self.dice).await;
                let pause = match &fate {
                    Fate::Accepted => self.manner.pause,
                    _ => self.manner.pause_after_refusal,
                };
                let is_broken = fate == Fate::Unanswered;
                if fate == Fate::Accepted {
                    self.accepted.fetch_add(u64::from(count), Ordering::Relaxed);
                }
                self.told.note(&self.name, first, count, fate);
                first += count;
                if is_broken {
                    break;
                }
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
            }
            if !self.manner.reconnects {
                break;
            }
        }
        self.told
    }
}

async fn post(
    connection: &mut Connection,
    token: &str,
    sender: &str,
    first: u32,
    count: u32,
    dice: &mut Dice,
) -> Fate {
    let mut body = String::from("[");
    for number in first..first + count {
        if number > first {
            body.push(',');
        }
        push_event(&mut body, sender, number, dice);
    }
    body.push(']');
    let request = Request::post(INGEST_PATH).header("X-Server-Token", token);
    match connection.send(request, Bytes::from(body)).await {
        Ok(Answer { status: StatusCode::ACCEPTED, .. }) => Fate::Accepted,
        Ok(Answer { status, body, .. }) => {
            let answer: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
            let cause = answer["code"].as_str().unwrap_or("no code").to_owned();
            Fate::Refused { status: status.as_u16(), cause }
        }
        Err(_) => Fate::Unanswered,
    }
}

/// An event that no other equals, of a kind that roll-ups count.
fn push_event(body: &mut String, sender: &str, number: u32, dice: &mut Dice) {
    let (one, other) = (100 + dice.bits() % 20, 100 + dice.bits() % 20);
    let match_number = dice.bits() % 3;
    let written = match dice.bits() % 4 {
        0 => {
            let x = (dice.bits() % 4000) as i64 - 2000;
            write!(
                body,
                r#"{{"type":"kill","attacker_name":"{sender}-{number}","attacker_guid":"{one}","attacker_team":"allies","attacker_x":{x},"attacker_y":16.5,"victim_name":"victim","victim_guid":"{other}","victim_team":"axis","victim_x":-33.25,"victim_y":700,"weapon":"M1 Garand","hitloc":"head","map_name":"dm/mohdm1","gametype":"2","match_id":"match-{match_number}"}}"#
            )
        }
        1 => {
            let damage = dice.bits() % 100_000;
            write!(
                body,
                r#"{{"type":"damage","attacker_name":"{sender}-{number}","attacker_guid":"{one}","attacker_team":"allies","victim_guid":"{other}","victim_team":"axis","damage":{damage},"weapon":"BAR","match_id":"match-{match_number}"}}"#
            )
        }
        2 => write!(
            body,
            r#"{{"type":"weapon_fire","player_name":"{sender}-{number}","player_guid":"{one}","weapon":"Kar98k","match_id":"match-{match_number}"}}"#
        ),
        _ => write!(
            body,
            r#"{{"type":"distance","player_name":"{sender}-{number}","player_guid":"{one}","walked":100.25,"swam":0.5,"max_clients":{MAX_CLIENTS},"match_id":"match-{match_number}"}}"#
        ),
    };
    // Writing to a string can't fail.
    let _ = written;
}
