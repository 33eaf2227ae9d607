//! What ClickHouse answered, kept by statement and data version, so that equal questions cost one query.
//!
//! - **Fresh**: an answer is found again only under the version it was asked for, and under the next one for a moment
//!   ([`DataVersion::has_just_moved`]): whoever comes then has the earlier answer at once, and the new one is asked for.
//! - **Single flight**: of equal statements at once, the first is sent and the others wait for it. It runs as a task of
//!   its own, so a caller who goes away takes it from nobody.
//! - **Bounded**: by an estimate of bytes, the least recently used goes first. Answers of earlier versions are no longer
//!   used, and go by that.
//! - **Asked again**: an answer that was kept for [`ASKED_AGAIN_AFTER`] still serves whoever asks, but is asked for again, so that
//!   what escapes the version shows in the end.
//! - Errors are never kept.

use std::any::{Any, TypeId};
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use moka::future::Cache;
use moka::policy::EvictionPolicy;
use moka::{Entry, Expiry};
use prometheus::{IntCounter, IntGauge, Registry};
use tokio::task::JoinHandle;

use super::query::{Sql, Value};
use crate::data_version::DataVersion;

const MAX_BYTES: u64 = 64 << 20;
/// A row's texts, roughly, beside its own size.
const TEXT_BYTES_OF_A_ROW: usize = 64;
/// Of what escapes the version (a table changed by hand, a replica that lags, a node that stores events but can't reach
/// Redis) whoever asks a moment later than this knows.
const ASKED_AGAIN_AFTER: Duration = Duration::from_secs(60);
/// Nothing is kept longer. Long enough that everything can be asked for anew meanwhile, over much data too.
const LONGEST_LIFE: Duration = Duration::from_secs(300);

/// How long an answer stays true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    UntilDataChanges,
    /// It also changes by the passing of time. Longer than a version has to live at least, so that it can serve for a
    /// moment after the next one has come.
    Briefly,
}

/// See [`Holds::Briefly`].
const BRIEFLY: Duration = Duration::from_millis(1_600);

#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct StatementKey {
    text: String,
    values: Vec<Value>,
    row_type: TypeId,
    version: u64,
}

/// A `Vec` of rows.
#[derive(Clone)]
struct CachedRows {
    rows: Arc<dyn Any + Send + Sync>,
    bytes: u32,
    holds: Holds,
    asked_at: Instant,
    is_asked_again: Arc<AtomicBool>,
}

struct Lifetime;

impl Holds {
    fn longest_life(self) -> Duration {
        match self {
            Holds::UntilDataChanges => LONGEST_LIFE,
            Holds::Briefly => BRIEFLY,
        }
    }
}

impl Expiry<StatementKey, CachedRows> for Lifetime {
    fn expire_after_create(&self, _: &StatementKey, cached: &CachedRows, _: Instant) -> Option<Duration> {
        Some(cached.holds.longest_life())
    }

    fn expire_after_update(
        &self,
        _: &StatementKey,
        cached: &CachedRows,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(cached.holds.longest_life())
    }
}

/// Cheap to clone; clones are one cache.
#[derive(Clone)]
pub struct AnswerCache {
    rows: Cache<StatementKey, CachedRows>,
    asked_again_after: Duration,
    version: DataVersion,
    hits: IntCounter,
    misses: IntCounter,
    entries: IntGauge,
}

impl AnswerCache {
    /// # Errors
    /// When `registry` already holds metrics of the same names.
    pub fn new(version: DataVersion, registry: &Registry) -> Result<Self, prometheus::Error> {
        let hits = IntCounter::new(
            "mohaa_answer_cache_hits_total",
            "Statements of statistics that were answered from memory, or by one that was under way.",
        )?;
        let misses = IntCounter::new(
            "mohaa_answer_cache_misses_total",
            "Statements of statistics that were sent to ClickHouse.",
        )?;
        let entries = IntGauge::new("mohaa_answer_cache_entries", "Answers of ClickHouse in memory.")?;
        registry.register(Box::new(hits.clone()))?;
        registry.register(Box::new(misses.clone()))?;
        registry.register(Box::new(entries.clone()))?;
        let rows = Cache::builder()
            .max_capacity(MAX_BYTES)
            .weigher(|_: &StatementKey, cached: &CachedRows| cached.bytes)
            // Frequency says nothing here: each version asks everything anew.
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(Lifetime)
            .build();
        Ok(Self { rows, asked_again_after: ASKED_AGAIN_AFTER, version, hits, misses, entries })
    }

    /// A statement was sent whose answer is not kept.
    pub(super) fn count_sent(&self) {
        self.misses.inc();
    }

    /// The rows of `sql`'s answer, from memory or by `ask`.
    pub(super) async fn rows<T, E>(
        &self,
        sql: &Sql,
        holds: fn(&[T]) -> Holds,
        ask: impl Future<Output = Result<Vec<T>, E>> + Send + 'static,
    ) -> Result<Arc<Vec<T>>, FlightError<E>>
    where
        T: Send + Sync + 'static,
        E: Send + Sync + 'static,
    {
        let version = self.version.current();
        let key = StatementKey {
            text: sql.text.clone(),
            values: sql.values.iter().map(Value::for_cache).collect(),
            row_type: TypeId::of::<T>(),
            version,
        };
        let earlier = match self.version.has_just_moved() && !self.rows.contains_key(&key) {
            true => self.rows.get(&StatementKey { version: version.wrapping_sub(1), ..key.clone() }).await,
            false => None,
        };
        let key_bytes = key.text.len();
        let misses = self.misses.clone();
        let asking = async move {
            misses.inc();
            let asked_at = Instant::now();
            let rows = ask.await?;
            let bytes = key_bytes + rows.len() * (size_of::<T>() + TEXT_BYTES_OF_A_ROW);
            Ok(CachedRows {
                holds: holds(&rows),
                bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
                rows: Arc::new(rows),
                asked_at,
                is_asked_again: Arc::default(),
            })
        };
        if let Some(kept) = self.rows.get(&key).await
            && kept.asked_at.elapsed() >= self.asked_again_after
            && !kept.is_asked_again.swap(true, Ordering::AcqRel)
        {
            let (rows, kept_rows) = (self.rows.clone(), kept.rows.clone());
            tokio::spawn(async move {
                match asking.await {
                    Ok(new) => rows.insert(key, new).await,
                    // Whoever comes next tries again.
                    Err::<_, E>(_) => kept.is_asked_again.store(false, Ordering::Release),
                }
            });
            self.hits.inc();
            return kept_rows.downcast().map_err(|_| FlightError::Lost);
        }
        let flight = take_off(&self.rows, key, asking);
        if let Some(earlier) = earlier {
            self.hits.inc();
            // The flight goes on without us, for whoever comes next.
            return earlier.rows.downcast().map_err(|_| FlightError::Lost);
        }
        let entry = land(flight).await?;
        if entry.is_fresh() {
            self.rows.run_pending_tasks().await;
            self.entries.set(i64::try_from(self.rows.entry_count()).unwrap_or(i64::MAX));
        } else {
            self.hits.inc();
        }
        // The type is part of the key.
        entry.into_value().rows.downcast().map_err(|_| FlightError::Lost)
    }
}

#[derive(Debug, thiserror::Error)]
pub(super) enum FlightError<E> {
    /// Why the one that was under way failed; shared with all who waited for it.
    #[error(transparent)]
    Failed(Arc<E>),
    #[error("the task that asked has ended without an answer")]
    Lost,
}

/// A cached value, or what `init` makes of it: once, however many ask for the same key meanwhile.
pub(super) async fn single_flight<K, V, E>(
    cache: &Cache<K, V>,
    key: K,
    init: impl Future<Output = Result<V, E>> + Send + 'static,
) -> Result<Entry<K, V>, FlightError<E>>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    E: Send + Sync + 'static,
{
    land(take_off(cache, key, init)).await
}

type Flight<K, V, E> = JoinHandle<Result<Entry<K, V>, Arc<E>>>;

/// Begins a flight, or joins the one that is under way.
fn take_off<K, V, E>(
    cache: &Cache<K, V>,
    key: K,
    init: impl Future<Output = Result<V, E>> + Send + 'static,
) -> Flight<K, V, E>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    E: Send + Sync + 'static,
{
    let cache = cache.clone();
    tokio::spawn(async move { cache.entry(key).or_try_insert_with(init).await })
}

async fn land<K, V, E>(flight: Flight<K, V, E>) -> Result<Entry<K, V>, FlightError<E>> {
    match flight.await {
        Ok(landed) => landed.map_err(FlightError::Failed),
        Err(_) => Err(FlightError::Lost),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::convert::Infallible;

    use tokio::sync::oneshot;

    use super::*;

    /// Asks for a statement to which the store would answer `number`.
    async fn ask(cache: &AnswerCache, number: u64) -> (u64, oneshot::Receiver<()>) {
        let (tell, is_asked) = oneshot::channel();
        let asking = async move {
            let _ = tell.send(());
            Ok::<_, Infallible>(vec![number])
        };
        let sql = Sql::new("SELECT 1");
        let rows = cache.rows(&sql, |_: &[u64]| Holds::UntilDataChanges, asking);
        let answer = rows.await.unwrap()[0];
        (answer, is_asked)
    }

    fn cache(asked_again_after: Duration) -> AnswerCache {
        let cache = AnswerCache::new(DataVersion::default(), &Registry::new()).unwrap();
        AnswerCache { asked_again_after, ..cache }
    }

    #[tokio::test]
    async fn an_old_answer_serves_while_it_is_asked_for_again() {
        let cache = cache(Duration::ZERO);
        assert_eq!(ask(&cache, 1).await.0, 1);
        let (answer, is_asked) = ask(&cache, 2).await;
        assert_eq!(answer, 1);
        is_asked.await.unwrap();
        // The task that asked has put its answer down before it yields again.
        assert_eq!(ask(&cache, 3).await.0, 2);
    }

    #[tokio::test]
    async fn a_fresh_answer_is_not_asked_for_again() {
        let cache = cache(ASKED_AGAIN_AFTER);
        assert_eq!(ask(&cache, 1).await.0, 1);
        let (answer, is_asked) = ask(&cache, 2).await;
        assert_eq!(answer, 1);
        assert!(is_asked.await.is_err());
    }
}
