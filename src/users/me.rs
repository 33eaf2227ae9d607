//! `GET /api/v1/users/me`: who is signed in.

use super::{Role, find, find_player_ids};
use crate::{auth::SignedInUser, http::ApiError};
use actix_web::web;
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgPool;

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
pub async fn me(signed_in: SignedInUser, pool: web::Data<PgPool>) -> Result<web::Json<Me>, ApiError> {
    let unavailable = |error: sqlx::Error| {
        ApiError::unavailable("users_unavailable", "users can't be read at the moment: try again", 5)
            .with_source(error)
    };
    let user = find(&pool, signed_in.user_id).await.map_err(unavailable)?;
    let user = user.ok_or_else(|| ApiError::unauthorized("unknown_user", "this account no longer exists"))?;
    let player_ids = find_player_ids(&pool, user.user_id).await.map_err(unavailable)?;
    Ok(web::Json(Me {
        user_id: user.user_id,
        display_name: user.display_name,
        role: user.role,
        player_ids,
        created_at: user.created_at,
    }))
}
