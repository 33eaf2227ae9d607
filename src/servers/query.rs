//! Asks game servers what they play, by the game's own question ([`mohaa_domain::server_query`]): each approved one with an
//! address every half minute, and at once one whose events name no map. Every node asks for itself, since any of them may
//! be sent events, and the question is a small datagram.
//!
//! A server names its own address, and others name it who register one. So only public addresses and
//! SERVER_QUERY_ALLOWED_NETWORKS are asked, of a server that an admin has let in, and no more often than every five seconds; nobody but the
//! address that was asked can answer; and what is read of it is bounded.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use mohaa_actors::batcher::{Batcher, BatcherSignal};
use mohaa_actors::port::Port;
use mohaa_domain::event::Millis;
use mohaa_domain::server_query::{MAX_ANSWER_BYTES, ServerStatus, question, read_answer};
use mohaa_domain::tracker::QueriedLevel;
use prometheus::{IntCounterVec, Opts, Registry};
use serde::Serialize;
use sqlx::PgPool;
use tokio::net::UdpSocket;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, MissedTickBehavior};
use utoipa::ToSchema;
use uuid::Uuid;

use super::last_seen::LastSeen;
use crate::networks::{AllowedNetworks, LookupError};

const ASK_EVERY: Duration = Duration::from_secs(30);
/// A server whose map nobody knows is asked out of its turn, but not more often.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(5);
const ANSWER_WITHIN: Duration = Duration::from_millis(1500);
/// A datagram may get lost.
const ATTEMPTS: u32 = 2;
/// Whatever else comes from the address that was asked.
const MOST_DATAGRAMS: u32 = 8;
/// Questions under way, each with room for an answer.
const MOST_AT_ONCE: usize = 64;
/// An answer tells of now until three further questions stayed without one.
const VALID_FOR: Duration = Duration::from_secs(120);
/// Where the game listens unless it is told otherwise.
const DEFAULT_PORT: u16 = 12_203;

/// What a server said of itself when it was asked last, over UDP.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct QueriedServer {
    pub asked_at: DateTime<Utc>,
    /// As it calls itself, with colour codes.
    pub host_name: String,
    pub map_name: Option<String>,
    pub gametype: Option<String>,
    /// Slots.
    pub max_players: Option<u32>,
    /// With bots and those who are connecting.
    pub player_count: usize,
    /// Their names with colour codes, in the order of their slots.
    pub players: Vec<String>,
}

/// What servers said of themselves lately. Cheap to clone; clones are one.
#[derive(Clone, Debug, Default)]
pub struct ServerStatuses {
    by_server: Arc<RwLock<HashMap<Uuid, (Instant, QueriedServer)>>>,
}

impl ServerStatuses {
    /// Of the last two minutes.
    pub fn of(&self, server_id: Uuid) -> Option<QueriedServer> {
        let by_server = self.by_server.read().unwrap_or_else(PoisonError::into_inner);
        by_server
            .get(&server_id)
            .filter(|(answered_at, _)| answered_at.elapsed() < VALID_FOR)
            .map(|(_, queried)| queried.clone())
    }

    fn keep(&self, server_id: Uuid, queried: QueriedServer) {
        let mut by_server = self.by_server.write().unwrap_or_else(PoisonError::into_inner);
        by_server.insert(server_id, (Instant::now(), queried));
    }

    fn forget_the_silent(&self) {
        let mut by_server = self.by_server.write().unwrap_or_else(PoisonError::into_inner);
        by_server.retain(|_, (answered_at, _)| answered_at.elapsed() < VALID_FOR);
    }
}

/// Why a server did not answer.
#[derive(Debug, thiserror::Error)]
enum Unanswered {
    #[error("its address {0}")]
    Address(#[from] LookupError),
    #[error("it can't be asked: {0}")]
    Socket(#[from] std::io::Error),
    #[error("it gave no answer to the question")]
    Silent,
}

#[derive(Debug)]
struct Target {
    host: String,
    port: u16,
    asked_at: Option<Instant>,
}

/// Asks, for as long as it runs.
pub struct ServerQuery {
    pool: PgPool,
    batcher: Port<Batcher>,
    statuses: ServerStatuses,
    last_seen: LastSeen,
    asker: Asker,
    questions: IntCounterVec,
}

#[derive(Clone)]
struct Asker {
    networks: AllowedNetworks,
    places: Arc<Semaphore>,
}

impl ServerQuery {
    /// # Errors
    /// When `registry` already holds a metric of this name.
    pub fn new(
        pool: PgPool,
        batcher: Port<Batcher>,
        statuses: ServerStatuses,
        last_seen: LastSeen,
        networks: AllowedNetworks,
        registry: &Registry,
    ) -> prometheus::Result<Self> {
        let questions = IntCounterVec::new(
            Opts::new(
                "mohaa_server_queries_total",
                "Game servers asked over UDP what they play, by what came of it: answered, silent, address (not found, or not \
                 to be asked), failed",
            ),
            &["outcome"],
        )?;
        registry.register(Box::new(questions.clone()))?;
        for outcome in ["answered", "silent", "address", "failed"] {
            questions.with_label_values(&[outcome]);
        }
        let asker = Asker { networks, places: Arc::new(Semaphore::new(MOST_AT_ONCE)) };
        Ok(Self { pool, batcher, statuses, last_seen, asker, questions })
    }

    /// `unknown_maps`: servers whose events name no map.
    pub async fn run(self, mut unknown_maps: mpsc::Receiver<Uuid>) {
        let mut targets = HashMap::new();
        let mut read_at = Instant::now();
        let mut rounds = tokio::time::interval(ASK_EVERY);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut asking = FuturesUnordered::new();
        loop {
            let due: Vec<Uuid> = tokio::select! {
                _ = rounds.tick() => {
                    self.statuses.forget_the_silent();
                    self.read_targets(&mut targets).await;
                    read_at = Instant::now();
                    targets.keys().copied().collect()
                }
                Some(server_id) = unknown_maps.recv() => {
                    // It may be new.
                    if !targets.contains_key(&server_id) && read_at.elapsed() >= ASK_AGAIN_AFTER {
                        self.read_targets(&mut targets).await;
                        read_at = Instant::now();
                    }
                    vec![server_id]
                }
                Some((server_id, answered)) = asking.next(), if !asking.is_empty() => {
                    self.take(server_id, answered);
                    continue;
                }
            };
            for server_id in due {
                let Some(target) = targets.get_mut(&server_id) else { continue };
                if target.asked_at.is_some_and(|asked_at| asked_at.elapsed() < ASK_AGAIN_AFTER) {
                    continue;
                }
                target.asked_at = Some(Instant::now());
                let (asker, host, port) = (self.asker.clone(), target.host.clone(), target.port);
                asking.push(async move { (server_id, asker.ask(&host, port).await) });
            }
        }
    }

    /// Leaves them as they are while PostgreSQL is away.
    async fn read_targets(&self, targets: &mut HashMap<Uuid, Target>) {
        // A scan of a table with a row a server.
        let read: sqlx::Result<Vec<(Uuid, String, Option<i32>)>> = sqlx::query_as(
            "SELECT id, address, port FROM servers
             WHERE approved_at IS NOT NULL AND removed_at IS NULL AND address IS NOT NULL",
        )
        .fetch_all(&self.pool)
        .await;
        let rows = match read {
            Ok(rows) => rows,
            Err(error) => {
                tracing::debug!(%error, "addresses of servers can't be read");
                return;
            }
        };
        let target = |(server_id, host, port): (Uuid, String, Option<i32>)| {
            let port = port.and_then(|port| u16::try_from(port).ok()).unwrap_or(DEFAULT_PORT);
            let asked_at = targets.get(&server_id).and_then(|known| known.asked_at);
            (server_id, Target { host, port, asked_at })
        };
        *targets = rows.into_iter().map(target).collect();
    }

    fn take(&self, server_id: Uuid, answered: Result<(Millis, ServerStatus), Unanswered>) {
        let (asked_at, status) = match answered {
            Ok(answered) => answered,
            Err(unanswered) => {
                let outcome = match unanswered {
                    Unanswered::Silent => "silent",
                    Unanswered::Address(_) => "address",
                    Unanswered::Socket(_) => "failed",
                };
                self.questions.with_label_values(&[outcome]).inc();
                tracing::debug!(%server_id, reason = %unanswered, "a server was asked in vain");
                return;
            }
        };
        self.questions.with_label_values(&["answered"]).inc();
        self.last_seen.note(server_id);
        let level = QueriedLevel { asked_at, map_name: status.map_name.clone(), game_type: status.game_type };
        self.batcher.tell(BatcherSignal::Queried { server_id, level });
        self.statuses.keep(server_id, QueriedServer::of(asked_at, status));
    }
}

impl QueriedServer {
    fn of(asked_at: Millis, status: ServerStatus) -> Self {
        let known = |word: &str| (!word.is_empty()).then(|| word.to_owned());
        Self {
            asked_at: DateTime::from_timestamp_millis(asked_at.0).unwrap_or_default(),
            host_name: status.host_name.to_string(),
            map_name: known(&status.map_name),
            gametype: known(status.game_type.as_str()),
            max_players: status.max_clients,
            player_count: status.players.len(),
            players: status.players.iter().map(|player| player.name.to_string()).collect(),
        }
    }
}

impl Asker {
    /// When the answered question was sent, and the answer.
    async fn ask(&self, host: &str, port: u16) -> Result<(Millis, ServerStatus), Unanswered> {
        // Nobody closes it.
        let _place = self.places.acquire().await;
        let addresses = self.networks.resolve(host, port).await?;
        let Some(address) = addresses.first() else { return Err(Unanswered::Silent) };
        let own = match address {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let socket = UdpSocket::bind(own).await?;
        // Datagrams from anywhere else are not received.
        socket.connect(address).await?;
        for _ in 0..ATTEMPTS {
            let challenge = Uuid::new_v4().simple().to_string();
            let asked_at = Millis(Utc::now().timestamp_millis());
            socket.send(&question(&challenge)).await?;
            match tokio::time::timeout(ANSWER_WITHIN, answer_to(&challenge, &socket)).await {
                Ok(Some(status)) => return Ok((asked_at, status)),
                // Nobody listens there, or only to talk nonsense.
                Ok(None) => break,
                Err(_) => {}
            }
        }
        Err(Unanswered::Silent)
    }
}

/// None where something else is sent, over and over, or the machine says that nobody listens.
async fn answer_to(challenge: &str, socket: &UdpSocket) -> Option<ServerStatus> {
    let mut datagram = vec![0; MAX_ANSWER_BYTES + 1];
    for _ in 0..MOST_DATAGRAMS {
        let length = socket.recv(&mut datagram).await.ok()?;
        if let Ok(status) = read_answer(&datagram[..length], challenge) {
            return Some(status);
        }
    }
    None
}
