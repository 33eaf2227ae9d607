//! `/admin/maps`: overviews of maps.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::json;
use sqlx::PgPool;

use super::{Form, Pages, see};
use crate::access::{Admin, SafeForm};
use crate::audit::By;
use crate::http::ApiError;
use crate::overviews::{SafeUpload, list_overviews, map_name, put_uploaded, remove_overview};

pub(super) async fn page(
    Admin(admin): Admin,
    request: HttpRequest,
    pages: Data<Pages>,
    pool: Data<PgPool>,
) -> Result<HttpResponse, ApiError> {
    let overviews = list_overviews(&pool).await?;
    // A choice to type less by: without the statistics any name can be typed all the same.
    let maps = pages.stats.known_maps().await.unwrap_or_default();
    let context = json!({ "overviews": overviews, "maps": maps });
    let (template, title) = ("admin/maps.html", "Map overviews");
    pages.form(Form { request: &request, viewer: Some(admin), template, title, context }).await
}

pub(super) async fn put(
    Admin(admin): Admin,
    pool: Data<PgPool>,
    SafeUpload(upload): SafeUpload,
) -> Result<HttpResponse, ApiError> {
    let map = upload.text("map_name").to_owned();
    put_uploaded(&pool, By::User(admin.user_id), &map, upload).await?;
    Ok(see("/admin/maps#overviews"))
}

#[derive(Deserialize)]
pub(super) struct RemoveForm {
    map_name: String,
}

pub(super) async fn remove(
    Admin(admin): Admin,
    pool: Data<PgPool>,
    SafeForm(form): SafeForm<RemoveForm>,
) -> Result<HttpResponse, ApiError> {
    remove_overview(&pool, By::User(admin.user_id), &map_name(&form.map_name)?).await?;
    Ok(see("/admin/maps#overviews"))
}
