//! `/api/v1/admin/maps`: overviews for programs.

use actix_web::web::{self, Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use sqlx::PgPool;
use utoipa::{OpenApi, ToSchema};

use super::accepted::AcceptedImage;
use super::store::{
    MapOverview, OverviewError, find_overview, list_overviews, put_overview, remove_overview,
};
use super::upload::{Upload, UploadForm};
use super::{checked_bounds, map_name};
use crate::access::{Admin, Route, delete, get, post};
use crate::audit::By;
use crate::http::query::QueryShape;
use crate::http::{ApiError, ErrorBody};

#[derive(OpenApi)]
#[openapi(paths(overviews, put, remove))]
pub struct OverviewsApi;

pub fn routes() -> Vec<Route> {
    vec![
        get("/api/v1/admin/maps", overviews),
        post("/api/v1/admin/maps/{map:.+}/overview", put),
        delete("/api/v1/admin/maps/{map:.+}/overview", remove),
    ]
}

#[derive(Serialize, ToSchema)]
pub struct OverviewList {
    /// By map.
    pub overviews: Vec<MapOverview>,
}

/// Overviews of maps
#[utoipa::path(
    get,
    path = "/api/v1/admin/maps",
    tag = "Administration",
    responses(
        (status = 200, description = "All of them, by map", body = OverviewList),
        (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody),
        (status = 422, body = ErrorBody),
        (status = 503, description = "Overviews can't be read at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn overviews(_: Admin, request: HttpRequest, pool: Data<PgPool>) -> Result<HttpResponse, ApiError> {
    QueryShape::default().read(request.query_string()).finish()?;
    Ok(HttpResponse::Ok().json(OverviewList { overviews: list_overviews(&pool).await? }))
}

/// Upload the overview of a map
///
/// A picture from above, north up, with the part of the world that it shows. It takes the place of an earlier one. Only
/// its pixels are kept.
#[utoipa::path(
    post,
    path = "/api/v1/admin/maps/{map}/overview",
    tag = "Administration",
    params(("map" = String, Path, description = "Map name; its slash may stand plain", example = "dm/mohdm1")),
    request_body(content = UploadForm, content_type = "multipart/form-data"),
    responses(
        (status = 200, description = "The overview as it is kept", body = MapOverview),
        (status = 400, description = "The form can't be read", body = ErrorBody),
        (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody),
        (status = 408, description = "The picture did not arrive within a minute", body = ErrorBody),
        (status = 413, description = "The picture has more than 4 MiB", body = ErrorBody),
        (status = 415, description = "No multipart/form-data", body = ErrorBody),
        (status = 422, description = "No picture of a kind and size that is taken, or bounds of no world", body = ErrorBody),
        (status = 503, description = "Overviews can't be changed at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn put(
    Admin(admin): Admin,
    pool: Data<PgPool>,
    map: Path<String>,
    upload: Upload,
) -> Result<HttpResponse, ApiError> {
    let map_name = put_uploaded(&pool, By::User(admin.user_id), &map, upload).await?;
    let kept = find_overview(&pool, &map_name).await?.ok_or(OverviewError::Unknown(map_name))?;
    Ok(HttpResponse::Ok().json(kept))
}

/// Keeps what was uploaded for a map, and gives the map's name as it is stored.
///
/// # Errors
/// 422 for what can't be used of it.
pub async fn put_uploaded(pool: &PgPool, by: By, map: &str, upload: Upload) -> Result<String, ApiError> {
    let map_name = map_name(map)?;
    let bounds = checked_bounds(upload.bounds()?)?;
    let accepted = web::block(move || AcceptedImage::of(&upload.image)).await.map_err(ApiError::internal)?;
    let accepted = accepted
        .map_err(|refusal| ApiError::invalid_field("image", refusal.to_string()).with_source(refusal))?;
    put_overview(pool, by, &map_name, &accepted, bounds).await?;
    Ok(map_name)
}

/// Remove the overview of a map
///
/// Its heatmaps are drawn on a grid again.
#[utoipa::path(
    delete,
    path = "/api/v1/admin/maps/{map}/overview",
    tag = "Administration",
    params(("map" = String, Path, description = "Map name; its slash may stand plain", example = "dm/mohdm1")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody),
        (status = 404, description = "The map has none", body = ErrorBody),
        (status = 422, description = "No map's name", body = ErrorBody),
        (status = 503, description = "Overviews can't be changed at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn remove(
    Admin(admin): Admin,
    pool: Data<PgPool>,
    map: Path<String>,
) -> Result<HttpResponse, ApiError> {
    remove_overview(&pool, By::User(admin.user_id), &map_name(&map)?).await?;
    Ok(HttpResponse::NoContent().finish())
}
