//! Keeps ClickHouse's copy of whom each player id stands for (`player_links`), so that every question can be asked there.
//! PostgreSQL is the truth; any node may write the copy, and all of them write the same.

use chrono::Utc;
use clickhouse::{Client, Row};
use serde::Deserialize;
use sqlx::PgPool;
use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

use super::CanonicalIds;
use super::decisions::read_decisions;
use super::resolution::{Decisions, resolve};
use crate::data_version::DataVersion;
use crate::postgres::watch::{self, LONGEST_READ, Progress, WatchError, Watcher};

/// The channel of the triggers in `migrations/0010_player_identity.sql`.
const CHANNEL: &str = "players";
const COMPARE_EVERY: Duration = Duration::from_secs(60);
/// After ClickHouse failed.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// Changes that come close together are copied once.
const COPY_AFTER: Duration = Duration::from_millis(20);
/// Links that one statement writes: the store refuses longer statements than 256 KiB.
const LINKS_A_STATEMENT: usize = 500;

#[derive(Clone)]
pub struct PlayerLinksCopy {
    postgres: PgPool,
    clickhouse: Client,
    data_version: DataVersion,
    canonical_ids: CanonicalIds,
}

#[derive(Row, Deserialize)]
struct LinkRow {
    player_id: String,
    canonical_id: String,
}

impl PlayerLinksCopy {
    /// `canonical_ids` are kept true as well.
    pub fn new(
        postgres: PgPool,
        clickhouse: Client,
        data_version: DataVersion,
        canonical_ids: CanonicalIds,
    ) -> Self {
        Self { postgres, clickhouse, data_version, canonical_ids }
    }

    /// Reads what is decided, before anybody is shown: ClickHouse's copy may take its time.
    pub async fn read(&self) {
        match tokio::time::timeout(LONGEST_READ, self.decisions()).await {
            Ok(Ok(decisions)) => self.canonical_ids.replace(&resolve(&decisions)),
            Ok(Err(error)) => tracing::warn!(%error, "links of players can't be read yet"),
            Err(_) => tracing::warn!("links of players can't be read yet"),
        }
    }

    /// Keeps the copy true until the watcher is dropped.
    pub async fn watch(self) -> Watcher {
        watch::start("player links", move |progress| self.clone().listen(progress)).await
    }

    async fn listen(self, progress: Arc<Progress>) -> Result<Infallible, WatchError> {
        let mut listener = watch::listen(&self.postgres, CHANNEL).await?;
        let mut copy_at = Instant::now();
        loop {
            tokio::select! {
                biased;
                notification = listener.next() => {
                    notification?;
                    copy_at = copy_at.min(Instant::now() + COPY_AFTER);
                }
                () = tokio::time::sleep_until(copy_at) => {
                    let decisions = tokio::time::timeout(LONGEST_READ, self.decisions()).await??;
                    let canonical = resolve(&decisions);
                    self.canonical_ids.replace(&canonical);
                    copy_at = match self.copy(&canonical).await {
                        Ok(()) => {
                            progress.watching();
                            Instant::now() + COMPARE_EVERY
                        }
                        Err(error) => {
                            tracing::warn!(%error, "links of players can't be copied to ClickHouse yet");
                            Instant::now() + RETRY_AFTER
                        }
                    };
                }
            }
        }
    }

    async fn decisions(&self) -> sqlx::Result<Decisions> {
        read_decisions(&mut *self.postgres.acquire().await?).await
    }

    /// Writes what differs; a link that is gone is written as one to itself.
    async fn copy(&self, canonical: &BTreeMap<String, String>) -> Result<(), clickhouse::error::Error> {
        let copied: Vec<LinkRow> = self
            .clickhouse
            .query("SELECT player_id, canonical_id FROM player_links FINAL")
            .fetch_all()
            .await?;
        let copied: BTreeMap<String, String> =
            copied.into_iter().map(|row| (row.player_id, row.canonical_id)).collect();
        let ids: BTreeSet<&String> = canonical.keys().chain(copied.keys()).collect();
        let changed: Vec<(String, String)> = ids
            .into_iter()
            .map(|id| (id, canonical.get(id).unwrap_or(id)))
            .filter(|(id, now)| copied.get(*id).unwrap_or(*id) != *now)
            .map(|(id, now)| (id.clone(), now.clone()))
            .collect();
        for links in changed.chunks(LINKS_A_STATEMENT) {
            let (ids, canonical_ids): (Vec<String>, Vec<String>) = links.iter().cloned().unzip();
            self.clickhouse
                .query(
                    "INSERT INTO player_links SELECT link.1, link.2, toUInt64(?) \
                     FROM (SELECT arrayJoin(arrayZip(?, ?)) AS link)",
                )
                .bind(Utc::now().timestamp_millis())
                .bind(ids)
                .bind(canonical_ids)
                .execute()
                .await?;
        }
        if !changed.is_empty() {
            self.data_version.changed();
        }
        Ok(())
    }
}
