//! Keeps ratings true: looks whenever a summary or a player's identity changes, and from time to time.

use clickhouse::Client;
use prometheus::{Gauge, IntCounter, Registry};
use sqlx::PgPool;
use std::sync::{Arc, Mutex, PoisonError};
use std::{convert::Infallible, time::Duration};
use tokio::time::Instant;

use super::copy::{CopyError, copy};
use super::rerun::{Run, bring_up_to_date};
use crate::data_version::DataVersion;
use crate::postgres::watch::{self, Progress, WatchError, Watcher};

/// The channels of the triggers in `migrations/0016_match_summaries.sql` and `migrations/0010_player_identity.sql`.
const CHANNELS: [&str; 2] = ["match_summaries", "players"];
/// Whatever no notification told of.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Changes that come close together are rated at once.
const LOOK_AFTER: Duration = Duration::from_millis(50);
/// After a failure, or while another process rates, which may end before it sees what we were told of.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// How often it is asked what waits.
const MEASURE_EVERY: Duration = Duration::from_secs(5);

/// Rates and copies. Every node has one, and they take turns.
#[derive(Clone)]
pub struct RatingKeeper {
    postgres: PgPool,
    clickhouse: Client,
    data_version: DataVersion,
    matches_rated: IntCounter,
    reruns: IntCounter,
    lag_seconds: Gauge,
    copy_lag_seconds: Gauge,
    /// Since when this process tries to bring ratings to ClickHouse; none while they are there.
    copying_since: Arc<Mutex<Option<Instant>>>,
}

impl RatingKeeper {
    /// # Errors
    /// When `registry` already holds metrics of these names.
    pub fn new(
        postgres: PgPool,
        clickhouse: Client,
        data_version: DataVersion,
        registry: &Registry,
    ) -> Result<Self, prometheus::Error> {
        let matches_rated = IntCounter::new(
            "mohaa_matches_rated_total",
            "Matches that were rated, as often as they were, by this process.",
        )?;
        let reruns = IntCounter::new(
            "mohaa_rating_reruns_total",
            "Times that later matches were rated anew, because an earlier one or somebody's identity had changed.",
        )?;
        let lag_seconds = Gauge::new(
            "mohaa_rating_lag_seconds",
            "How long the oldest change waits to be rated, by whichever process; 0 when nothing waits.",
        )?;
        let copy_lag_seconds = Gauge::new(
            "mohaa_rating_copy_lag_seconds",
            "For how long this process has been trying to copy ratings to ClickHouse; 0 when they are there.",
        )?;
        registry.register(Box::new(matches_rated.clone()))?;
        registry.register(Box::new(reruns.clone()))?;
        registry.register(Box::new(lag_seconds.clone()))?;
        registry.register(Box::new(copy_lag_seconds.clone()))?;
        let copying_since = Arc::default();
        Ok(Self {
            postgres,
            clickhouse,
            data_version,
            matches_rated,
            reruns,
            lag_seconds,
            copy_lag_seconds,
            copying_since,
        })
    }

    /// Says how far ratings are behind, for ever. Apart from rating, which may fail, take long or be another node's turn: then above
    /// all somebody wants to know. While PostgreSQL doesn't answer, the last figure stands.
    pub async fn measure_lag(self) {
        loop {
            self.copy_lag_seconds.set(self.copying_for().as_secs_f64());
            match self.longest_wait().await {
                Ok(waited) => self.lag_seconds.set(waited),
                Err(error) => tracing::debug!(%error, "nobody knows how long changes wait to be rated"),
            }
            tokio::time::sleep(MEASURE_EVERY).await;
        }
    }

    /// Of the changes that are not rated, in seconds. Few wait, so all of them are read.
    async fn longest_wait(&self) -> sqlx::Result<f64> {
        sqlx::query_scalar(
            "SELECT greatest(coalesce(extract(epoch FROM clock_timestamp() - min(since)), 0), 0)::double precision
             FROM matches_to_rate",
        )
        .fetch_one(&self.postgres)
        .await
    }

    fn copying_for(&self) -> Duration {
        let since = *self.copying_since.lock().unwrap_or_else(PoisonError::into_inner);
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Keeps ratings true until the watcher is dropped. ClickHouse must have its tables.
    pub async fn watch(self) -> Watcher {
        watch::start("ratings", move |progress| self.clone().listen(progress)).await
    }

    async fn listen(self, progress: Arc<Progress>) -> Result<Infallible, WatchError> {
        let [first, second] = CHANNELS;
        let mut listener = watch::listen(&self.postgres, first).await?;
        listener.listen(second).await?;
        let mut look_at = Instant::now();
        loop {
            tokio::select! {
                biased;
                notification = listener.next() => {
                    notification?;
                    look_at = look_at.min(Instant::now() + LOOK_AFTER);
                }
                () = tokio::time::sleep_until(look_at) => {
                    let is_elsewhere = self.rate().await?;
                    look_at = Instant::now() + if is_elsewhere { RETRY_AFTER } else { LOOK_EVERY };
                    match self.copy().await {
                        Ok(has_copied) => {
                            if has_copied {
                                self.data_version.changed();
                            }
                            progress.watching();
                        }
                        Err(CopyError::Postgres(error)) => return Err(error.into()),
                        Err(error @ CopyError::ClickHouse(_)) => {
                            tracing::warn!(%error, "ratings can't be copied to ClickHouse yet");
                            look_at = Instant::now() + RETRY_AFTER;
                        }
                    }
                }
            }
        }
    }

    /// As [`copy`], and says how long it takes, attempts that failed included.
    async fn copy(&self) -> Result<bool, CopyError> {
        let since = || self.copying_since.lock().unwrap_or_else(PoisonError::into_inner);
        since().get_or_insert_with(Instant::now);
        let copied = copy(&self.postgres, &self.clickhouse).await?;
        *since() = None;
        Ok(copied)
    }

    /// Rates what is to be rated; whether another process is at it.
    async fn rate(&self) -> sqlx::Result<bool> {
        match bring_up_to_date(&self.postgres).await? {
            Run::Elsewhere => return Ok(true),
            Run::Nothing => {}
            Run::Rated(rerun) => {
                self.matches_rated.inc_by(rerun.matches);
                if rerun.is_repeated {
                    self.reruns.inc();
                    tracing::info!(
                        from = %rerun.from.ended_at,
                        first_match = %rerun.from.match_id,
                        matches = rerun.matches,
                        "ratings were worked out anew"
                    );
                }
            }
        }
        Ok(false)
    }
}
