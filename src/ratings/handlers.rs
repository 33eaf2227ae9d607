//! How a rating came about, on HTTP.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use mohaa_domain::player::PlayerId;
use sqlx::PgPool;

use super::answers::{RatedMatch, RatingHistory};
use super::history::rated_matches;
use crate::access::Anyone;
use crate::http::query::{FORMAT, Paging, QueryShape};
use crate::http::{ApiError, ErrorBody, table};
use crate::postgres;
use crate::stats::Stats;

/// Parameters of [`player_rating`].
pub const HISTORY: QueryShape = QueryShape { parameters: &[FORMAT], filters: &[], paged: true };

/// How a player's rating came about
///
/// What each rated match changed, the latest first; empty for who was never rated. Matches that are rated anew, because an
/// earlier one was corrected or ids turned out to be one person's, change here too.
#[utoipa::path(get, path = "/api/v1/stats/player/{guid}/rating", tag = "Statistics",
    params(("guid" = String, Path, description = "Forum or user id, engine guid, or a guest's id", example = "4711")), responses(
    (status = 200, description = "One page of matches", body = RatingHistory),
    (status = 404, description = "Nobody of this id was ever seen", body = ErrorBody),
    (status = 422, description = "Parameters that can't be used", body = ErrorBody),
    (status = 503, description = "Statistics or ratings can't be read at the moment", body = ErrorBody)))]
pub async fn player_rating(
    _: Anyone,
    request: HttpRequest,
    stats: Data<Stats>,
    postgres: Data<PgPool>,
    guid: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let mut values = HISTORY.read(request.query_string());
    let (format, paging) = (values.format(), values.paging());
    let player_id: Result<PlayerId, _> = guid.parse();
    values.finish()?;
    let player_id =
        player_id.map_err(|_| ApiError::not_found("unknown_player", "this can't be a player's id"))?;
    let canonical_id = stats.require_player(&player_id).await?;
    let history = RatingHistory::read(&stats, &postgres, canonical_id, paging).await?;
    table::answer(&request, format, &history, "matches")
}

impl RatingHistory {
    /// Of a person by their own id.
    pub async fn read(
        stats: &Stats,
        postgres: &PgPool,
        player_id: String,
        paging: Paging,
    ) -> Result<Self, ApiError> {
        let (rows, total) = rated_matches(postgres, &player_id, paging).await.map_err(unavailable)?;
        let names = stats.server_names(rows.iter().map(|row| row.server_id)).await;
        let matches = rows.into_iter().map(|row| {
            let server_name = names.get(&row.server_id).cloned().unwrap_or_default();
            RatedMatch::of(row, server_name)
        });
        Ok(Self { player_id, page: paging.page, limit: paging.limit, total, matches: matches.collect() })
    }
}

fn unavailable(cause: sqlx::Error) -> ApiError {
    let message = "ratings can't be read at the moment; try again in a moment";
    postgres::unanswered("ratings_unavailable", message, cause)
}
