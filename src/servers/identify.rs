//! From a token to the server that speaks.
//!
//! Each process keeps all live tokens in memory, by their hashes: asking costs a SHA-256 and a look into a map, and
//! waits for nothing. A background task (`watch`) re-reads them every minute and hears of changes at once. What the
//! memory doesn't know is asked of PostgreSQL, once per token however many requests wait for it.
//!
//! What each choice survives:
//! - **PostgreSQL is away**: what it said last stays good for 24 hours, also over a restart (`kept_answers`). A token
//!   that is not known then is *unavailable*, never *unknown*: game servers erase their identity on a 401.
//! - **A revocation** wins at once, on every node: PostgreSQL's notification removes the token. A notification that
//!   gets lost with its connection is made up for when the connection is back, as all tokens are then read anew.
//! - **A flood of made-up tokens**: wrong answers are remembered for 10 s in bounded memory, few lookups run at once,
//!   and beyond a queue of them, or just after one failed, the answer is *unavailable*; tokens in memory aren't touched
//!   by any of it.

use super::{kept_answers::KeptAnswers, store, token::TokenHash, watch};
use crate::postgres::watch::Watcher;
use chrono::{DateTime, TimeDelta, Utc};
use mohaa_domain::tracker::BotName;
use sqlx::PgPool;
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, watch as value},
};
use uuid::Uuid;

/// How long PostgreSQL's last word holds while it can't be asked.
const ANSWERS_STAY_GOOD: TimeDelta = TimeDelta::hours(24);
/// How long a token stays unknown without asking again; a notification ends it earlier.
const UNKNOWN_STAYS_GOOD: TimeDelta = TimeDelta::seconds(10);
/// A shard's bound on remembered wrong tokens: 16 × 6,250 = 100,000 of 40 bytes.
const MOST_UNKNOWN_PER_SHARD: usize = 6_250;
const SHARDS: usize = 16;
/// Ids of no server that are remembered; further ones are asked for each time.
const MOST_UNKNOWN_SERVERS: usize = 10_000;
/// Lookups that use PostgreSQL at once, of the pool's ten connections.
const MOST_LOOKUPS_AT_ONCE: usize = 4;
/// Lookups that may wait for their turn.
const MOST_LOOKUPS_IN_PROGRESS: usize = 1_024;
/// A lookup that takes longer has no answer; a game server waits for its reply meanwhile.
const LONGEST_LOOKUP: Duration = Duration::from_secs(2);
/// After a failed lookup, so long no other one is tried: requests don't pile up while PostgreSQL is away.
const PAUSE_AFTER_FAILURE: TimeDelta = TimeDelta::seconds(1);
/// No token of ours is longer; a longer text isn't worth hashing.
const LONGEST_TOKEN_BYTES: usize = 512;

/// Tells the time; tests tell another.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// The server that a token speaks for; cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerIdentity {
    pub server_id: Uuid,
    pub name: Arc<str>,
    /// Events of a server that waits for approval are held.
    pub approved: bool,
    /// Names that mark bots on it.
    pub bot_names: Arc<[BotName]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Answer 401: no live token of ours.
    #[error("the server token is unknown or was revoked")]
    Unknown,
    /// Answer 503: we can't know now.
    #[error("server tokens can't be checked at the moment")]
    Unavailable,
}

type Answer = Result<ServerIdentity, TokenError>;

/// Asks whom tokens belong to. Clones share one memory; the background task ends with the last of them.
#[derive(Clone)]
pub struct ServerTokens {
    known: Arc<KnownTokens>,
    _watcher: Arc<Watcher>,
}

impl ServerTokens {
    /// Reads what was kept in `kept_file` (nothing is kept without one), starts the background task and waits a
    /// moment for PostgreSQL's word, so that a service whose PostgreSQL is there starts with the truth.
    ///
    /// Lookups run on the runtime that this is called on: it must outlive the HTTP workers' own.
    pub async fn start(pool: PgPool, kept_file: Option<PathBuf>) -> Self {
        Self::start_with_clock(pool, kept_file, Arc::new(Utc::now)).await
    }

    pub async fn start_with_clock(pool: PgPool, kept_file: Option<PathBuf>, clock: Clock) -> Self {
        let known = Arc::new(KnownTokens::new(pool, kept_file, clock));
        known.recall();
        let watcher = watch::start(known.clone()).await;
        Self { known, _watcher: Arc::new(watcher) }
    }

    /// Whose token this is. A token in memory is answered without waiting.
    pub async fn identify(&self, token: &str) -> Result<ServerIdentity, TokenError> {
        if token.len() > LONGEST_TOKEN_BYTES {
            return Err(TokenError::Unknown);
        }
        let hash = TokenHash::of(token);
        match self.known.remembered(&hash) {
            Some(answer) => answer,
            // On the heap: every request would carry the room that look-ups need.
            None => Box::pin(self.known.clone().look_up(hash)).await,
        }
    }

    /// The server of this id, as long as it has a token that lives: for messages of which somebody else vouches who sent
    /// them. One in memory is answered without waiting.
    ///
    /// # Errors
    /// As [`identify`](Self::identify).
    pub async fn of_server(&self, server_id: Uuid) -> Result<ServerIdentity, TokenError> {
        match self.known.remembered_server(server_id) {
            Some(answer) => answer,
            None => Box::pin(self.known.clone().look_up_server(server_id)).await,
        }
    }
}

/// Servers with a live token, as of a number of changes.
type ServersAsOf = (u64, HashMap<Uuid, ServerIdentity>);

/// The memory behind `ServerTokens`, shared with the background task.
pub(super) struct KnownTokens {
    pub(super) pool: PgPool,
    kept_file: Option<PathBuf>,
    clock: Clock,
    runtime: Handle,
    shards: [RwLock<Shard>; SHARDS],
    /// When PostgreSQL last said which tokens live, in milliseconds since 1970.
    confirmed_at: AtomicI64,
    /// The same by their servers; made when it is asked for and the tokens have changed.
    by_server: RwLock<Arc<ServersAsOf>>,
    /// Grows with each change of what the shards hold, from 1.
    shard_changes: AtomicU64,
    /// Ids of no server, and until when they needn't be asked for again.
    unknown_servers: Mutex<HashMap<Uuid, DateTime<Utc>>>,
    /// Grows with each notified change: an answer that was asked for before a change is not remembered after it.
    changes: AtomicU64,
    /// Until when lookups needn't be tried, in milliseconds since 1970.
    away_until: AtomicI64,
    lookups: Mutex<HashMap<TokenHash, value::Receiver<Option<Answer>>>>,
    lookup_turns: Semaphore,
}

#[derive(Default)]
struct Shard {
    live: HashMap<TokenHash, ServerIdentity>,
    /// Wrong tokens, and until when they needn't be asked for again.
    unknown: HashMap<TokenHash, DateTime<Utc>>,
}

impl KnownTokens {
    fn new(pool: PgPool, kept_file: Option<PathBuf>, clock: Clock) -> Self {
        Self {
            pool,
            kept_file,
            clock,
            runtime: Handle::current(),
            shards: Default::default(),
            by_server: RwLock::default(),
            shard_changes: AtomicU64::new(1),
            unknown_servers: Mutex::default(),
            confirmed_at: AtomicI64::new(0),
            changes: AtomicU64::new(0),
            away_until: AtomicI64::new(0),
            lookups: Mutex::default(),
            lookup_turns: Semaphore::new(MOST_LOOKUPS_AT_ONCE),
        }
    }

    fn remembered(&self, hash: &TokenHash) -> Option<Answer> {
        let now = (self.clock)();
        let shard = self.shard(hash).read().unwrap_or_else(PoisonError::into_inner);
        if let Some(identity) = shard.live.get(hash) {
            return self.still_good(now).then(|| Ok(identity.clone()));
        }
        let until = shard.unknown.get(hash)?;
        (now < *until).then_some(Err(TokenError::Unknown))
    }

    fn remembered_server(&self, server_id: Uuid) -> Option<Answer> {
        let now = (self.clock)();
        if let Some(identity) = self.servers().1.get(&server_id) {
            return self.still_good(now).then(|| Ok(identity.clone()));
        }
        let unknown = self.unknown_servers.lock().unwrap_or_else(PoisonError::into_inner);
        let until = unknown.get(&server_id)?;
        (now < *until).then_some(Err(TokenError::Unknown))
    }

    /// Servers with a live token, as the shards have it.
    fn servers(&self) -> Arc<ServersAsOf> {
        // Read first: what changes meanwhile makes the answer one of the past.
        let as_of = self.shard_changes.load(Ordering::Acquire);
        let made = self.by_server.read().unwrap_or_else(PoisonError::into_inner).clone();
        if made.0 == as_of {
            return made;
        }
        let mut servers = HashMap::new();
        for shard in &self.shards {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            servers.extend(shard.live.values().map(|identity| (identity.server_id, identity.clone())));
        }
        let made = Arc::new((as_of, servers));
        *self.by_server.write().unwrap_or_else(PoisonError::into_inner) = made.clone();
        made
    }

    /// The shards hold something else now.
    fn shards_changed(&self) {
        self.shard_changes.fetch_add(1, Ordering::AcqRel);
    }

    /// Asks for a server that is not in memory: one that was added a moment ago.
    async fn look_up_server(self: Arc<Self>, server_id: Uuid) -> Answer {
        if (self.clock)().timestamp_millis() < self.away_until.load(Ordering::Relaxed) {
            return Err(TokenError::Unavailable);
        }
        let known = self.clone();
        let asked = self.runtime.spawn(async move {
            let _turn = known.lookup_turns.acquire().await;
            store::find_live_server(&known.pool, server_id).await
        });
        match tokio::time::timeout(LONGEST_LOOKUP, asked).await {
            // The tokens follow by notification, and their revocation with them.
            Ok(Ok(Ok(Some(identity)))) => Ok(identity),
            Ok(Ok(Ok(None))) => {
                let now = (self.clock)();
                let mut unknown = self.unknown_servers.lock().unwrap_or_else(PoisonError::into_inner);
                if unknown.len() >= MOST_UNKNOWN_SERVERS {
                    unknown.retain(|_, until| now < *until);
                }
                if unknown.len() < MOST_UNKNOWN_SERVERS {
                    unknown.insert(server_id, now + UNKNOWN_STAYS_GOOD);
                }
                Err(TokenError::Unknown)
            }
            Ok(Ok(Err(error))) => self.failed(&error),
            Ok(Err(failed)) => self.failed(&failed),
            Err(too_long) => self.failed(&too_long),
        }
    }

    /// Whether PostgreSQL's last word may still be relied on.
    fn still_good(&self, now: DateTime<Utc>) -> bool {
        now.timestamp_millis() - self.confirmed_at.load(Ordering::Relaxed)
            < ANSWERS_STAY_GOOD.num_milliseconds()
    }

    fn shard(&self, hash: &TokenHash) -> &RwLock<Shard> {
        &self.shards[usize::from(hash.as_bytes()[0]) % SHARDS]
    }

    /// One lookup per token: later callers wait for the first one's. It runs on its own, so that a caller who goes
    /// away doesn't take it from the others.
    async fn look_up(self: Arc<Self>, hash: TokenHash) -> Answer {
        if (self.clock)().timestamp_millis() < self.away_until.load(Ordering::Relaxed) {
            return Err(TokenError::Unavailable);
        }
        let mut answer = {
            let mut lookups = self.lookups();
            match lookups.get(&hash) {
                Some(running) => running.clone(),
                None if lookups.len() >= MOST_LOOKUPS_IN_PROGRESS => return Err(TokenError::Unavailable),
                None => {
                    let (sender, receiver) = value::channel(None);
                    lookups.insert(hash, receiver.clone());
                    self.runtime.spawn(Lookup { known: self.clone(), hash, sender }.run());
                    receiver
                }
            }
        };
        match answer.wait_for(Option::is_some).await {
            Ok(answer) => answer.clone().unwrap_or(Err(TokenError::Unavailable)),
            Err(_) => Err(TokenError::Unavailable),
        }
    }

    fn lookups(&self) -> MutexGuard<'_, HashMap<TokenHash, value::Receiver<Option<Answer>>>> {
        self.lookups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, hash: TokenHash) -> Result<Answer, sqlx::Error> {
        loop {
            let changes_before = self.changes.load(Ordering::Acquire);
            let found = store::find_live_token(&self.pool, hash).await?;
            let mut shard = self.shard(&hash).write().unwrap_or_else(PoisonError::into_inner);
            if self.changes.load(Ordering::Acquire) != changes_before {
                continue;
            }
            return Ok(match found {
                Some(identity) => {
                    shard.live.insert(hash, identity.clone());
                    self.shards_changed();
                    Ok(identity)
                }
                None => {
                    shard.live.remove(&hash);
                    shard.remember_unknown(hash, (self.clock)());
                    self.shards_changed();
                    Err(TokenError::Unknown)
                }
            });
        }
    }

    fn failed(&self, error: &dyn std::error::Error) -> Answer {
        tracing::warn!(%error, "a server token can't be checked");
        let until = (self.clock)() + PAUSE_AFTER_FAILURE;
        self.away_until.store(until.timestamp_millis(), Ordering::Relaxed);
        Err(TokenError::Unavailable)
    }

    /// Reads all live tokens and forgets all others. Errors leave everything as it was.
    pub(super) async fn read_all(&self) -> sqlx::Result<()> {
        let asked_at = (self.clock)();
        let mut live: [HashMap<TokenHash, ServerIdentity>; SHARDS] = Default::default();
        for (hash, identity) in store::find_live_tokens(&self.pool).await? {
            live[usize::from(hash.as_bytes()[0]) % SHARDS].insert(hash, identity);
        }
        for (shard, live) in self.shards.iter().zip(live) {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            shard.unknown.retain(|_, until| asked_at < *until);
            shard.live = live;
        }
        self.shards_changed();
        self.forget_unknown_servers();
        self.confirmed_at.store(asked_at.timestamp_millis(), Ordering::Relaxed);
        self.away_until.store(0, Ordering::Relaxed);
        Ok(())
    }

    /// Forgets what is known of a token, before anything else happens: a revoked one is refused from here on. Then
    /// asks for it, so that a new one is known even if PostgreSQL goes away before its first use.
    pub(super) async fn token_changed(&self, hash: TokenHash) -> sqlx::Result<()> {
        self.changes.fetch_add(1, Ordering::AcqRel);
        {
            let mut shard = self.shard(&hash).write().unwrap_or_else(PoisonError::into_inner);
            shard.live.remove(&hash);
            shard.unknown.remove(&hash);
            self.shards_changed();
        }
        let found = store::find_live_token(&self.pool, hash).await?;
        if let Some(identity) = found {
            let mut shard = self.shard(&hash).write().unwrap_or_else(PoisonError::into_inner);
            shard.live.insert(hash, identity);
            self.shards_changed();
        }
        self.forget_unknown_servers();
        Ok(())
    }

    /// One of them may be a server by now.
    fn forget_unknown_servers(&self) {
        self.unknown_servers.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Takes what was kept before a restart, if it may still be relied on.
    fn recall(&self) {
        let Some(path) = &self.kept_file else { return };
        match KeptAnswers::read(path) {
            Ok(None) => {}
            Ok(Some(kept)) => {
                self.confirmed_at.store(kept.confirmed_at.timestamp_millis(), Ordering::Relaxed);
                for (hash, identity) in kept.tokens {
                    let mut shard = self.shard(&hash).write().unwrap_or_else(PoisonError::into_inner);
                    shard.live.insert(hash, identity);
                }
                self.shards_changed();
            }
            Err(error) => tracing::warn!(%error, "server tokens are unknown until PostgreSQL answers"),
        }
    }

    /// Keeps what is known for a restart. Blocks on the disk.
    pub(super) fn keep(&self) {
        let Some(path) = &self.kept_file else { return };
        let milliseconds = self.confirmed_at.load(Ordering::Relaxed);
        let Some(confirmed_at) = DateTime::from_timestamp_millis(milliseconds) else { return };
        let mut tokens = Vec::new();
        for shard in &self.shards {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            tokens.extend(shard.live.iter().map(|(hash, identity)| (*hash, identity.clone())));
        }
        tokens.sort_by_key(|(hash, _)| *hash);
        if let Err(error) = (KeptAnswers { confirmed_at, tokens }).write(path) {
            tracing::warn!(%error, "server tokens won't be known after a restart without PostgreSQL");
        }
    }
}

impl Shard {
    fn remember_unknown(&mut self, hash: TokenHash, now: DateTime<Utc>) {
        if self.unknown.len() >= MOST_UNKNOWN_PER_SHARD {
            self.unknown.retain(|_, until| now < *until);
        }
        if self.unknown.len() < MOST_UNKNOWN_PER_SHARD {
            self.unknown.insert(hash, now + UNKNOWN_STAYS_GOOD);
        }
    }
}

/// A lookup in progress; it is over when this is dropped, however that comes about.
struct Lookup {
    known: Arc<KnownTokens>,
    hash: TokenHash,
    sender: value::Sender<Option<Answer>>,
}

impl Lookup {
    async fn run(self) {
        let turn_and_answer = async {
            let _turn = self.known.lookup_turns.acquire().await;
            self.known.ask(self.hash).await
        };
        let answer = match tokio::time::timeout(LONGEST_LOOKUP, turn_and_answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => self.known.failed(&error),
            Err(too_long) => self.known.failed(&too_long),
        };
        self.sender.send_replace(Some(answer));
    }
}

impl Drop for Lookup {
    fn drop(&mut self) {
        self.known.lookups().remove(&self.hash);
    }
}
