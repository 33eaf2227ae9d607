//! Brings the schemas of both databases up to date in the background, and starts what needs them.

use std::time::Duration;

use mohaa_actors::pipeline::Pipeline;
use sqlx::PgPool;

use crate::clickhouse::cluster::Engines;
use crate::clickhouse::reconcile::Reconciler;
use crate::clickhouse::upgrade::UpgradeError;
use crate::clickhouse::{schema, upgrade};
use crate::data_version::DataVersion;
use crate::players::{NameEraser, PlayerLinksCopy};
use crate::postgres;
use crate::ratings::RatingKeeper;

/// A store that takes a connection and does not answer the simplest question within this is away.
const QUESTION_PATIENCE: Duration = Duration::from_secs(10);
/// Between two tries to bring a schema up to date.
const SCHEMA_RETRY: Duration = Duration::from_secs(2);

pub(super) async fn keep_postgres_schema(pool: PgPool) {
    while let Err(error) = postgres::migrate(&pool).await {
        tracing::warn!(%error, "PostgreSQL's schema can't be brought up to date yet");
        tokio::time::sleep(SCHEMA_RETRY).await;
    }
}

/// Who keeps ClickHouse true to what PostgreSQL says.
pub(super) struct Keepers {
    pub links: PlayerLinksCopy,
    pub ratings: RatingKeeper,
    pub names: NameEraser,
}

/// Holds the writers back until ClickHouse has the schema that they write to, then watches over the roll-ups.
pub(super) async fn prepare_clickhouse(
    (engines, postgres): (Engines, PgPool),
    pipeline: Pipeline,
    raw_events_ttl_days: u32,
    data_version: DataVersion,
    keepers: Keepers,
    reconciler: Reconciler,
) {
    let writers_wait = pipeline.gate.clone().write_owned().await;
    loop {
        let prepared: Result<(), UpgradeError> = async {
            // A store that hangs must not be waited for: the next try may meet it awake.
            let awake = tokio::time::timeout(QUESTION_PATIENCE, engines.answer());
            awake.await.map_err(|_| clickhouse::error::Error::TimedOut)??;
            upgrade::migrate(&engines, &postgres).await?;
            schema::check(&engines).await?;
            Ok(schema::set_raw_events_ttl(&engines, raw_events_ttl_days).await?)
        }
        .await;
        match prepared {
            Ok(()) => break,
            Err(error) if error.is_for_now() => {
                tracing::warn!(%error, "ClickHouse's schema can't be brought up to date yet");
            }
            Err(error) => tracing::error!(%error, "events stay in the spool until the schema is mended"),
        }
        tokio::time::sleep(SCHEMA_RETRY).await;
    }
    data_version.changed();
    drop(writers_wait);
    let _links_are_copied = keepers.links.watch().await;
    let _ratings_are_kept = keepers.ratings.watch().await;
    let _names_are_erased = keepers.names.watch().await;
    reconciler.watch().await;
}
