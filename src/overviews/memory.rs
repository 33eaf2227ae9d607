//! Overviews as the pages of heatmaps need them: what there is of a map, and its picture from memory.

use std::time::Duration;

use actix_web::web::Bytes;
use moka::future::Cache;
use sqlx::PgPool;

use super::store::{MapOverview, OverviewError, find_overview, overview_image};
use crate::heatmap::Backdrop;

/// Pictures in memory, all together.
const MOST_BYTES: u64 = 48 << 20;
/// A grid serves as well: nobody is to wait for a PostgreSQL that does not answer.
const GIVE_UP_AFTER: Duration = Duration::from_secs(1);

/// Pictures by their digest, so that none is ever the wrong one. Clones are one memory.
#[derive(Clone)]
pub struct OverviewImages {
    images: Cache<String, Bytes>,
}

impl Default for OverviewImages {
    fn default() -> Self {
        let images = Cache::builder()
            .max_capacity(MOST_BYTES)
            .weigher(|_, png: &Bytes| u32::try_from(png.len()).unwrap_or(u32::MAX))
            .build();
        Self { images }
    }
}

impl OverviewImages {
    /// The PNG of an overview; none if it has been replaced meanwhile.
    pub async fn png(&self, pool: &PgPool, overview: &MapOverview) -> Result<Option<Bytes>, OverviewError> {
        let hash = &overview.image_hash;
        if let Some(known) = self.images.get(hash).await {
            return Ok(Some(known));
        }
        let Some(png) = overview_image(pool, &overview.map_name, hash).await? else {
            return Ok(None);
        };
        let png = Bytes::from(png);
        self.images.insert(hash.clone(), png.clone()).await;
        Ok(Some(png))
    }

    /// What a map's heatmaps are drawn on: a grid where it has no overview, or while PostgreSQL can't be asked.
    pub async fn backdrop(&self, pool: &PgPool, map_name: &str) -> Backdrop {
        let Some(overview) = overview_if_reachable(pool, map_name).await else { return Backdrop::Grid };
        let png = tokio::time::timeout(GIVE_UP_AFTER, self.png(pool, &overview)).await;
        match png {
            Ok(Ok(Some(png))) => {
                let bounds = overview.bounds();
                Backdrop::Overview { hash: overview.image_hash, png, bounds }
            }
            Ok(Ok(None)) => Backdrop::Grid,
            Ok(Err(error)) => {
                tracing::warn!(%error, map_name, "an overview can't be read; a grid is drawn");
                Backdrop::Grid
            }
            Err(_) => {
                tracing::warn!(map_name, "an overview takes too long to read; a grid is drawn");
                Backdrop::Grid
            }
        }
    }
}

/// The overview of a map; none while PostgreSQL can't be asked.
pub async fn overview_if_reachable(pool: &PgPool, map_name: &str) -> Option<MapOverview> {
    match tokio::time::timeout(GIVE_UP_AFTER, find_overview(pool, map_name)).await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => {
            tracing::warn!(%error, map_name, "an overview can't be looked for; a grid is drawn");
            None
        }
        Err(_) => {
            tracing::warn!(map_name, "PostgreSQL does not say whether there is an overview; a grid is drawn");
            None
        }
    }
}
