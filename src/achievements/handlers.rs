//! `/api/v1/achievements`.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use utoipa::OpenApi;

use super::AchievementStore;
use super::answers::AchievementList;
use crate::access::{Anyone, Route, get};
use crate::http::{ApiError, ErrorBody, caching};

#[derive(OpenApi)]
#[openapi(
    paths(list),
    tags((name = "Achievements", description = "What there is to earn, and who has it."))
)]
pub struct AchievementsApi;

pub fn routes() -> Vec<Route> {
    vec![get("/api/v1/achievements", list)]
}

/// All achievements
///
/// With how many players have each tier, and what was unlocked last. Hidden ones are listed without anything
/// that says what they are.
#[utoipa::path(
    get,
    path = "/api/v1/achievements",
    tag = "Achievements",
    responses(
        (status = 200, description = "The list", body = AchievementList),
        (status = 503, description = "Achievements can't be read at the moment", body = ErrorBody),
    )
)]
pub async fn list(
    _: Anyone,
    request: HttpRequest,
    achievements: Data<AchievementStore>,
) -> Result<HttpResponse, ApiError> {
    caching::json(&request, &achievements.list().await?)
}
