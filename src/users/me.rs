//! `GET /api/v1/users/me`: who is signed in.

use super::{Role, find, find_player_ids, users_unavailable};
use crate::{
    access::{Route, SignedIn, get},
    http::ApiError,
};
use actix_web::web;
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgPool;

pub(super) fn routes() -> Vec<Route> {
    vec![get("/api/v1/users/me", me)]
}

/// The signed-in user.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Me {
    pub user_id: i32,
    pub display_name: String,
    pub role: Role,
    /// Linked player ids, the canonical one first.
    pub player_ids: Vec<String>,
    pub created_at: DateTime<Utc>,
}

/// The signed-in user
#[utoipa::path(
    get,
    path = "/api/v1/users/me",
    tag = "auth",
    responses(
        (status = 200, description = "The signed-in user", body = Me),
        (status = 401, description = "Nobody is signed in", body = crate::http::ErrorBody),
        (status = 503, description = "Users can't be read at the moment", body = crate::http::ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn me(SignedIn(caller): SignedIn, pool: web::Data<PgPool>) -> Result<web::Json<Me>, ApiError> {
    let user = find(&pool, caller.user_id).await.map_err(users_unavailable)?;
    let user = user.ok_or_else(|| ApiError::unauthorized("unknown_user", "this account no longer exists"))?;
    let player_ids = find_player_ids(&pool, user.user_id).await.map_err(users_unavailable)?;
    Ok(web::Json(Me {
        user_id: user.user_id,
        display_name: user.display_name,
        role: user.role,
        player_ids,
        created_at: user.created_at,
    }))
}
