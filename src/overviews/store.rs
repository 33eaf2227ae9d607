//! Overviews in PostgreSQL, by the name of their map.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::{FromRow, PgConnection, PgPool};
use utoipa::ToSchema;

use super::accepted::AcceptedImage;
use crate::audit::{self, By, Entry};
use crate::http::ApiError;
use crate::stats::HeatmapBounds;

#[derive(Debug, thiserror::Error)]
pub enum OverviewError {
    #[error("there is no overview of {0}")]
    Unknown(String),
    #[error("overviews can't be read or changed: {0}")]
    Store(#[from] sqlx::Error),
}

impl From<OverviewError> for ApiError {
    fn from(error: OverviewError) -> Self {
        let message = error.to_string();
        match error {
            OverviewError::Unknown(_) => Self::not_found("unknown_overview", message),
            OverviewError::Store(cause) => {
                let message = "overviews of maps can't be read or changed at the moment";
                Self::unavailable("overviews_unavailable", message, 5).with_source(cause)
            }
        }
    }
}

/// What is known of an overview without its pixels.
#[derive(Clone, Debug, PartialEq, FromRow, Serialize, ToSchema)]
pub struct MapOverview {
    #[schema(example = "dm/mohdm1")]
    pub map_name: String,
    /// SHA-256 of the picture in hexadecimal.
    pub image_hash: String,
    /// In pixels.
    pub width: i32,
    pub height: i32,
    /// The part of the world that it shows, in map units.
    pub min_x: i32,
    pub min_y: i32,
    pub max_x: i32,
    pub max_y: i32,
    /// Null when the account is gone.
    pub uploaded_by: Option<i32>,
    pub uploaded_by_name: Option<String>,
    pub uploaded_at: DateTime<Utc>,
}

impl MapOverview {
    pub fn bounds(&self) -> HeatmapBounds {
        HeatmapBounds { min_x: self.min_x, min_y: self.min_y, max_x: self.max_x, max_y: self.max_y }
    }

    /// As the audit log shows it.
    fn logged(&self) -> Value {
        json!({ "image_hash": self.image_hash, "width": self.width, "height": self.height, "bounds": self.bounds() })
    }
}

/// A statement over everything but the pixels.
macro_rules! select_overviews {
    ($rest:literal) => {
        concat!(
            "SELECT map_name, image_hash, width, height, min_x, min_y, max_x, max_y, uploaded_by, \
             users.display_name AS uploaded_by_name, uploaded_at \
             FROM map_overviews LEFT JOIN users ON users.id = map_overviews.uploaded_by ",
            $rest
        )
    };
}

/// All of them, by map: as many as admins had pictures for.
pub async fn list_overviews(pool: &PgPool) -> Result<Vec<MapOverview>, OverviewError> {
    Ok(sqlx::query_as(select_overviews!("ORDER BY map_name")).fetch_all(pool).await?)
}

/// One, by primary key.
pub async fn find_overview(pool: &PgPool, map_name: &str) -> Result<Option<MapOverview>, OverviewError> {
    let sql = select_overviews!("WHERE map_name = $1");
    Ok(sqlx::query_as(sql).bind(map_name).fetch_optional(pool).await?)
}

/// The PNG of the overview with this digest, by primary key; none if it has been replaced meanwhile.
pub async fn overview_image(
    pool: &PgPool,
    map_name: &str,
    image_hash: &str,
) -> Result<Option<Vec<u8>>, OverviewError> {
    let sql = "SELECT image FROM map_overviews WHERE map_name = $1 AND image_hash = $2";
    Ok(sqlx::query_scalar(sql).bind(map_name).bind(image_hash).fetch_optional(pool).await?)
}

/// Puts an overview in the place of an earlier one, if there is one.
pub async fn put_overview(
    pool: &PgPool,
    by: By,
    map_name: &str,
    image: &AcceptedImage,
    bounds: HeatmapBounds,
) -> Result<(), OverviewError> {
    let mut transaction = pool.begin().await?;
    let before = locked(&mut transaction, map_name).await?;
    sqlx::query(
        "INSERT INTO map_overviews (map_name, image, content_type, image_hash, width, height, min_x, min_y, max_x, max_y,
             uploaded_by)
         VALUES ($1, $2, 'image/png', $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (map_name) DO UPDATE SET image = EXCLUDED.image, content_type = EXCLUDED.content_type,
             image_hash = EXCLUDED.image_hash, width = EXCLUDED.width, height = EXCLUDED.height, min_x = EXCLUDED.min_x,
             min_y = EXCLUDED.min_y, max_x = EXCLUDED.max_x, max_y = EXCLUDED.max_y,
             uploaded_by = EXCLUDED.uploaded_by, uploaded_at = now()",
    )
    .bind(map_name)
    .bind(&image.png)
    .bind(&image.hash)
    .bind(image.width.cast_signed())
    .bind(image.height.cast_signed())
    .bind(bounds.min_x)
    .bind(bounds.min_y)
    .bind(bounds.max_x)
    .bind(bounds.max_y)
    .bind(by.user_id())
    .execute(&mut *transaction)
    .await?;
    let after = locked(&mut transaction, map_name).await?;
    log(&mut transaction, by, "map_overview.put", map_name, before, after).await?;
    transaction.commit().await?;
    Ok(())
}

/// # Errors
/// When there is none.
pub async fn remove_overview(pool: &PgPool, by: By, map_name: &str) -> Result<(), OverviewError> {
    let mut transaction = pool.begin().await?;
    let before = locked(&mut transaction, map_name).await?;
    if before.is_none() {
        return Err(OverviewError::Unknown(map_name.to_owned()));
    }
    sqlx::query("DELETE FROM map_overviews WHERE map_name = $1")
        .bind(map_name)
        .execute(&mut *transaction)
        .await?;
    log(&mut transaction, by, "map_overview.remove", map_name, before, None).await?;
    transaction.commit().await?;
    Ok(())
}

/// One that nobody else changes until the transaction ends.
async fn locked(connection: &mut PgConnection, map_name: &str) -> sqlx::Result<Option<MapOverview>> {
    let sql = select_overviews!("WHERE map_name = $1 FOR UPDATE OF map_overviews");
    sqlx::query_as(sql).bind(map_name).fetch_optional(connection).await
}

async fn log(
    connection: &mut PgConnection,
    by: By,
    action: &str,
    map_name: &str,
    before: Option<MapOverview>,
    after: Option<MapOverview>,
) -> sqlx::Result<()> {
    let entry = Entry {
        by,
        action,
        subject_kind: "map",
        subject_id: map_name,
        before: before.map(|overview| overview.logged()),
        after: after.map(|overview| overview.logged()),
    };
    audit::record(connection, entry).await
}
