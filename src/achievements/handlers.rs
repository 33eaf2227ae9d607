//! `/api/v1/achievements`.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use utoipa::OpenApi;

use super::AchievementStore;
use super::answers::AchievementList;
use crate::access::{Anyone, Route, get};
use crate::http::query::{FORMAT, QueryShape};
use crate::http::{ApiError, ErrorBody, table};

#[derive(OpenApi)]
#[openapi(
    paths(list),
    tags((name = "Achievements", description = "What there is to earn, and who has it."))
)]
pub struct AchievementsApi;

const LIST: QueryShape = QueryShape { parameters: &[FORMAT], filters: &[], paged: false };

/// Query parameters by path, for the OpenAPI document.
pub const QUERY_SHAPES: &[(&str, QueryShape)] = &[("/api/v1/achievements", LIST)];

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
        (status = 422, description = "Parameters that can't be used", body = ErrorBody),
        (status = 503, description = "Achievements can't be read at the moment", body = ErrorBody),
    )
)]
pub async fn list(
    _: Anyone,
    request: HttpRequest,
    achievements: Data<AchievementStore>,
) -> Result<HttpResponse, ApiError> {
    let values = LIST.read(request.query_string());
    let format = values.format();
    values.finish()?;
    table::answer(&request, format, &achievements.list().await?, "achievements")
}
