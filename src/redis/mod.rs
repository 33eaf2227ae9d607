//! Redis: what is live and shared between nodes. Everything kept there can be rebuilt; when Redis is away, the
//! service goes on without it and says so.

mod live_nodes;
mod pool;

pub use live_nodes::{Lease, LiveNodesStore};
pub use pool::Pool;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use deadpool_redis::redis::cmd;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use mohaa_actors::live::Snapshots;
use mohaa_domain::event::Millis;
use mohaa_domain::tracker::Trackers;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::config::RedisUrl;

/// Long enough for a healthy Redis on the same network, short enough not to hold up ingest.
const PATIENCE: Duration = Duration::from_millis(250);
/// What nodes agree on before a server's first event is worth more: it costs each server as much once.
const PATIENCE_WITH_THE_UNMET: Duration = Duration::from_secs(1);
/// Tens of kilobytes each, where a server is full.
const STATES_AT_ONCE: usize = 100;
/// A server that moves to another node and back does so in no shorter time.
const MET_FOR_MS: u64 = 15_000;
/// A server silent for two days opens a new match anyway.
const TRACKER_STATE_SECONDS: u64 = 48 * 60 * 60;
/// Nodes that meet a server within this time, before one of them has left a state, agree on its first match. It must not
/// outlive a state that is lost.
const FIRST_ORDINAL_MS: u64 = 10_000;
/// After a failure.
const ASK_AGAIN_AFTER_MS: u64 = 5_000;

#[derive(Debug, thiserror::Error)]
pub enum RedisError {
    #[error("pool of Redis connections: {0}")]
    Pool(#[from] deadpool::managed::BuildError),
    #[error("no connection to Redis: {0}")]
    Connection(#[from] pool::PoolError),
    #[error("Redis: {0}")]
    Command(#[from] deadpool_redis::redis::RedisError),
    #[error("Redis did not answer in time")]
    Timeout,
}

/// A pool for `url`; connects when first used.
///
/// # Errors
/// When the URL can't be used.
pub fn connect(url: &RedisUrl) -> Result<Pool, RedisError> {
    Ok(Pool::builder(pool::Manager::new(url)?).runtime(deadpool::Runtime::Tokio1).build()?)
}

/// Asks Redis for a sign of life.
///
/// # Errors
/// When it gives none in time.
pub async fn ping(pool: &Pool) -> Result<(), RedisError> {
    within_patience(async {
        let mut connection = pool.get().await?;
        cmd("PING").query_async::<String>(&mut connection).await?;
        Ok(())
    })
    .await
}

async fn within_patience<T>(work: impl Future<Output = Result<T, RedisError>>) -> Result<T, RedisError> {
    within(PATIENCE, work).await
}

async fn within<T>(
    patience: Duration,
    work: impl Future<Output = Result<T, RedisError>>,
) -> Result<T, RedisError> {
    tokio::time::timeout(patience, work).await.unwrap_or(Err(RedisError::Timeout))
}

/// The trackers' states, `track:<server>`: where a node looks that meets a server for the first time, or that gets events of
/// one that another node follows. `track:<server>:first` is the ordinal of a server's first match, for a moment.
#[derive(Clone)]
pub struct TrackerStates {
    pool: Pool,
    /// When each server was heard of last, in milliseconds since this began.
    met: Arc<RwLock<HashMap<Uuid, AtomicU64>>>,
    began_at: Instant,
    /// By the same clock.
    failed_at: Arc<AtomicU64>,
}

impl TrackerStates {
    pub fn new(pool: Pool) -> Self {
        Self { pool, met: Arc::default(), began_at: Instant::now(), failed_at: Arc::default() }
    }

    /// The state that another node may have kept of a server, when this node meets it first or has not heard of it for so
    /// long that it may have been elsewhere.
    /// Of a server that nobody has met, a state without history: whoever meets it at the same moment gets the same one.
    pub async fn of_unmet_server(&self, server_id: Uuid, received_at: Millis) -> Option<Vec<u8>> {
        if self.has_met(server_id) {
            return None;
        }
        // On the heap, or every request would carry the room that only a server's first one needs.
        let asking = Box::pin(within(PATIENCE_WITH_THE_UNMET, async {
            let mut connection = self.pool.get().await?;
            let state: Option<Vec<u8>> = cmd("GET").arg(key(server_id)).query_async(&mut connection).await?;
            if state.is_some() {
                return Ok(state);
            }
            let first_key = format!("{}:first", key(server_id));
            cmd("SET")
                .arg(&first_key)
                .arg(received_at.0)
                .arg("NX")
                .arg("PX")
                .arg(FIRST_ORDINAL_MS)
                .query_async::<()>(&mut connection)
                .await?;
            let ordinal: Option<i64> = cmd("GET").arg(&first_key).query_async(&mut connection).await?;
            Ok(ordinal.map(|ordinal| Trackers::snapshot_of_unmet(server_id, Millis(ordinal))))
        }));
        let state = self.ask(server_id, asking).await;
        let now = AtomicU64::new(self.now_ms());
        self.met.write().unwrap_or_else(PoisonError::into_inner).insert(server_id, now);
        state
    }

    /// The state of a server that another node follows, as that one left it last.
    pub async fn of_server_elsewhere(&self, server_id: Uuid) -> Option<Vec<u8>> {
        self.ask(server_id, Box::pin(self.of_server(server_id))).await
    }

    /// What is asked for; none while Redis is down, which must not cost every request its patience.
    async fn ask(
        &self,
        server_id: Uuid,
        asking: impl Future<Output = Result<Option<Vec<u8>>, RedisError>>,
    ) -> Option<Vec<u8>> {
        let failed_at = self.failed_at.load(Ordering::Relaxed);
        if failed_at != 0 && self.now_ms().saturating_sub(failed_at) < ASK_AGAIN_AFTER_MS {
            return None;
        }
        match asking.await {
            Ok(state) => {
                self.failed_at.store(0, Ordering::Relaxed);
                state
            }
            Err(error) => {
                tracing::warn!(%error, %server_id, "what other nodes know of a server can't be asked: its match may begin anew");
                self.failed_at.store(self.now_ms().max(1), Ordering::Relaxed);
                None
            }
        }
    }

    /// Notes that a server is heard of; whether it was lately.
    fn has_met(&self, server_id: Uuid) -> bool {
        let now = self.now_ms();
        let met = self.met.read().unwrap_or_else(PoisonError::into_inner);
        met.get(&server_id)
            .is_some_and(|heard_at| now - heard_at.swap(now, Ordering::Relaxed).min(now) < MET_FOR_MS)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began_at.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The state of a server's tracker as its node left it within the last second or two.
    ///
    /// # Errors
    /// When Redis does not answer in time.
    pub async fn of_server(&self, server_id: Uuid) -> Result<Option<Vec<u8>>, RedisError> {
        within_patience(async {
            let mut connection = self.pool.get().await?;
            Ok(cmd("GET").arg(key(server_id)).query_async::<Option<Vec<u8>>>(&mut connection).await?)
        })
        .await
    }

    /// Writes what comes through `changed` until its sender is gone: the newest state of each server, those that came meanwhile
    /// together. What Redis does not take is not kept for it: a server's next event brings a newer one.
    pub async fn keep(self, mut changed: mpsc::UnboundedReceiver<(Uuid, Vec<u8>)>) {
        let mut is_failing = false;
        while let Some((server_id, state)) = changed.recv().await {
            let mut newest = HashMap::from([(server_id, state)]);
            while let Ok((server_id, state)) = changed.try_recv() {
                newest.insert(server_id, state);
            }
            match self.write(newest).await {
                Ok(()) => is_failing = false,
                Err(error) if !is_failing => {
                    tracing::warn!(%error, "tracker states can't be kept in Redis; the spool has them");
                    is_failing = true;
                }
                Err(_) => {}
            }
        }
    }

    async fn write(&self, states: HashMap<Uuid, Vec<u8>>) -> Result<(), RedisError> {
        let mut states = states.into_iter().peekable();
        while states.peek().is_some() {
            let mut pipeline = deadpool_redis::redis::pipe();
            for (server_id, state) in states.by_ref().take(STATES_AT_ONCE) {
                pipeline.cmd("SET").arg(key(server_id)).arg(state).arg("EX").arg(TRACKER_STATE_SECONDS);
            }
            within_patience(async {
                let mut connection = self.pool.get().await?;
                Ok(pipeline.query_async::<()>(&mut connection).await?)
            })
            .await?;
        }
        Ok(())
    }
}

/// The token of the newest data version, `data:version`: it changes when a node has stored something.
#[derive(Clone)]
pub struct SharedDataVersion {
    pool: Pool,
}

impl SharedDataVersion {
    const KEY: &str = "data:version";

    pub fn new(pool: Pool) -> Self {
        Self { pool }
    }

    /// The token, none before the first.
    ///
    /// # Errors
    /// When Redis does not answer in time.
    pub async fn get(&self) -> Result<Option<String>, RedisError> {
        within_patience(async {
            let mut connection = self.pool.get().await?;
            Ok(cmd("GET").arg(Self::KEY).query_async(&mut connection).await?)
        })
        .await
    }

    /// Leaves a token and returns the one before it.
    ///
    /// # Errors
    /// When Redis does not answer in time; the token may be there all the same.
    pub async fn replace(&self, token: &str) -> Result<Option<String>, RedisError> {
        within_patience(async {
            let mut connection = self.pool.get().await?;
            Ok(cmd("SET").arg(Self::KEY).arg(token).arg("GET").query_async(&mut connection).await?)
        })
        .await
    }
}

fn key(server_id: Uuid) -> String {
    format!("track:{server_id}")
}

/// What one caller used of one kind of call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    pub key: String,
    pub count: u32,
    /// So many in so long.
    pub limit: u32,
    pub per: Duration,
}

/// Where a caller stands with what it used at all nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// Until it is within its limit; zero where it is.
    pub wait: Duration,
    /// Until its bucket is full.
    pub full_in: Duration,
}

/// What callers used at all nodes, `limit:<calls>:<caller>`: the time at which the caller's bucket is full again (the
/// generic cell rate algorithm).
#[derive(Clone)]
pub struct SharedLimits {
    pool: Pool,
}

impl SharedLimits {
    /// Adds what was used, also beyond the limit, and answers with the milliseconds until the caller is within it, and those
    /// until the bucket is full. Owing
    /// more than a bucket is forgiven, unless one call was so large: nodes that let too much through together must not shut
    /// a caller out for long.
    const ADD: &str = "\
        local time = redis.call('TIME') \
        local now = time[1] * 1000000 + time[2] \
        local bucket = tonumber(ARGV[1]) \
        local spent = tonumber(ARGV[2]) \
        local was = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now) \
        local full_at = math.min(was + spent, math.max(was, now + math.max(2 * bucket, spent))) \
        redis.call('SET', KEYS[1], string.format('%.0f', full_at), 'PX', math.ceil((full_at - now) / 1000) + 1) \
        return {math.max(0, math.ceil((full_at - now - bucket) / 1000)), math.ceil((full_at - now) / 1000)}";

    pub fn new(pool: Pool) -> Self {
        Self { pool }
    }

    /// Adds what callers used, and says for each where it stands, in their order.
    ///
    /// # Errors
    /// When Redis does not answer in time.
    pub async fn add(&self, used: &[Usage]) -> Result<Vec<Used>, RedisError> {
        let mut pipeline = deadpool_redis::redis::pipe();
        for Usage { key, count, limit, per } in used {
            let microseconds = per.as_micros();
            let spent = microseconds * u128::from(*count) / u128::from((*limit).max(1));
            pipeline.cmd("EVAL").arg(Self::ADD).arg(1).arg(key);
            pipeline.arg(microseconds.to_string()).arg(spent.to_string());
        }
        let standings: Vec<(u64, u64)> = within_patience(async {
            let mut connection = self.pool.get().await?;
            Ok(pipeline.query_async(&mut connection).await?)
        })
        .await?;
        let read = |(wait, full_in)| Used {
            wait: Duration::from_millis(wait),
            full_in: Duration::from_millis(full_in),
        };
        Ok(standings.into_iter().map(read).collect())
    }
}

impl SharedLimits {
    /// The times of the last events of a window, the latest first, as a list.
    const ADD_TO_WINDOW: &str = "\
        local time = redis.call('TIME') \
        local now = time[1] * 1000 + math.floor(time[2] / 1000) \
        local most = tonumber(ARGV[1]) \
        local period = tonumber(ARGV[2]) \
        redis.call('LPUSH', KEYS[1], now) \
        redis.call('LTRIM', KEYS[1], 0, most - 1) \
        redis.call('PEXPIRE', KEYS[1], period) \
        local earliest = redis.call('LINDEX', KEYS[1], most - 1) \
        return earliest and math.max(0, period - (now - earliest)) or 0";

    /// Takes a place in such a window, unless it is full: then it stays as it is. Answers with the milliseconds until there
    /// is one, and the place, which is its time.
    const TAKE_PLACE: &str = "\
        local time = redis.call('TIME') \
        local now = time[1] * 1000 + math.floor(time[2] / 1000) \
        local most = tonumber(ARGV[1]) \
        local period = tonumber(ARGV[2]) \
        local earliest = redis.call('LINDEX', KEYS[1], most - 1) \
        if earliest and now - earliest < period then return {period - (now - earliest), now} end \
        redis.call('LPUSH', KEYS[1], now) \
        redis.call('LTRIM', KEYS[1], 0, most - 1) \
        redis.call('PEXPIRE', KEYS[1], period) \
        return {0, now}";

    /// Takes a place in the window of each key, `guesses:<guesser>`, that holds less of the last `period` than the number
    /// beside it; for each, in their order, the place or how long there is none.
    ///
    /// # Errors
    /// When Redis does not answer in time; places may be taken all the same.
    pub async fn take_places(
        &self,
        keys: &[(String, usize)],
        period: Duration,
    ) -> Result<Vec<Result<Place, Duration>>, RedisError> {
        let mut pipeline = deadpool_redis::redis::pipe();
        for (key, most) in keys {
            let milliseconds = period.as_millis().to_string();
            pipeline.cmd("EVAL").arg(Self::TAKE_PLACE).arg(1).arg(key).arg(*most).arg(milliseconds);
        }
        let answers: Vec<(u64, u64)> = within_patience(async {
            let mut connection = self.pool.get().await?;
            Ok(pipeline.query_async(&mut connection).await?)
        })
        .await?;
        let read = |((key, _), (wait, at)): (&(String, usize), (u64, u64))| match wait {
            0 => Ok(Place { key: key.clone(), at }),
            wait => Err(Duration::from_millis(wait)),
        };
        Ok(keys.iter().zip(answers).map(read).collect())
    }

    /// Gives places back.
    ///
    /// # Errors
    /// When Redis does not answer in time.
    pub async fn give_places_back(&self, places: &[Place]) -> Result<(), RedisError> {
        let mut pipeline = deadpool_redis::redis::pipe();
        for Place { key, at } in places {
            pipeline.cmd("LREM").arg(key).arg(1).arg(*at);
        }
        within_patience(async {
            let mut connection = self.pool.get().await?;
            pipeline.query_async::<Vec<u64>>(&mut connection).await?;
            Ok(())
        })
        .await
    }

    /// Adds one event to the window of each key, `guesses:<guesser>`, and says for each, in their order, how long it holds
    /// as many events of the last `period` as the number beside it.
    ///
    /// # Errors
    /// When Redis does not answer in time.
    pub async fn add_to_windows(
        &self,
        keys: &[(String, usize)],
        period: Duration,
    ) -> Result<Vec<Duration>, RedisError> {
        let mut pipeline = deadpool_redis::redis::pipe();
        for (key, most) in keys {
            let milliseconds = period.as_millis().to_string();
            pipeline.cmd("EVAL").arg(Self::ADD_TO_WINDOW).arg(1).arg(key).arg(*most).arg(milliseconds);
        }
        let waits: Vec<u64> = within_patience(async {
            let mut connection = self.pool.get().await?;
            Ok(pipeline.query_async(&mut connection).await?)
        })
        .await?;
        Ok(waits.into_iter().map(Duration::from_millis).collect())
    }
}

/// One event in a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    key: String,
    /// Milliseconds by the clock of Redis. Two of the same time are as good as each other.
    at: u64,
}

/// Snapshots of live matches, `live:{<server>}:match:<match>`.
#[derive(Clone)]
pub struct LiveSnapshots {
    pool: Pool,
}

impl LiveSnapshots {
    /// Longer than a match may be silent and still go on.
    const EXPIRES_SECONDS: u64 = 60 * 60;
    /// Whoever had the server before a later owner keeps nothing any more.
    const SAVE: &str = "\
        if tonumber(redis.call('GET', KEYS[2]) or '0') > tonumber(ARGV[3]) then return 0 end \
        redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2]) \
        return 1";

    pub fn new(pool: Pool) -> Self {
        Self { pool }
    }
}

impl Snapshots for LiveSnapshots {
    fn load(&self, server_id: Uuid, match_id: Uuid) -> BoxFuture<'_, Option<Vec<u8>>> {
        let loading = within_patience(async move {
            let mut connection = self.pool.get().await?;
            let key = snapshot_key(server_id, match_id);
            Ok(cmd("GET").arg(key).query_async::<Option<Vec<u8>>>(&mut connection).await?)
        });
        async move {
            loading.await.unwrap_or_else(|error| {
                tracing::warn!(%error, %match_id, "the snapshot of a live match can't be read");
                None
            })
        }
        .boxed()
    }

    fn save(&self, server_id: Uuid, match_id: Uuid, fence: u64, state: Vec<u8>) -> BoxFuture<'_, bool> {
        let saving = within_patience(async move {
            let mut connection = self.pool.get().await?;
            let is_kept: bool = cmd("EVAL")
                .arg(Self::SAVE)
                .arg(2)
                .arg(snapshot_key(server_id, match_id))
                .arg(live_nodes::fence_key(server_id))
                .arg(state)
                .arg(Self::EXPIRES_SECONDS)
                .arg(fence)
                .query_async(&mut connection)
                .await?;
            Ok(is_kept)
        });
        // Said once a minute by the health check, not by every match.
        async move { saving.await.unwrap_or_default() }.boxed()
    }
}

fn snapshot_key(server_id: Uuid, match_id: Uuid) -> String {
    format!("live:{{{server_id}}}:match:{match_id}")
}
