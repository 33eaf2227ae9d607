//! `/api/v1/stats/server/{serverId}`.

use std::time::Duration;

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use sqlx::PgPool;
use utoipa::OpenApi;
use uuid::Uuid;

use super::Span;
use super::answers::ServerAnswer;
use crate::access::{Anyone, Route, get};
use crate::http::query::{Parameter, QueryShape};
use crate::http::{ApiError, ErrorBody, caching};
use crate::live::Live;
use crate::servers;
use crate::stats::Stats;

/// Longest that an answer waits for what PostgreSQL says of a server.
const GIVE_UP_AFTER: Duration = Duration::from_millis(500);

const PERIOD: Parameter = Parameter {
    name: "period",
    description: "How far back `activity` goes from the current hour: day (24 hours, default), week (7 days) or month \
                  (31 days).",
    example: "week",
};
pub(in crate::stats) const ONE: QueryShape = QueryShape { parameters: &[PERIOD], filters: &[], paged: false };

#[derive(OpenApi)]
#[openapi(paths(server))]
pub struct ServerStatsApi;

pub(in crate::stats) fn routes() -> Vec<Route> {
    vec![get("/api/v1/stats/server/{serverId}", server)]
}

/// A server as its page shows it, beside what PostgreSQL says.
pub struct ShownServer {
    pub answer: ServerAnswer,
    pub region: Option<String>,
    pub description: Option<String>,
    pub span: Span,
    /// The match that is being played.
    pub live_match: Option<Uuid>,
}

/// Reads the parameters of one server and answers them, for API and page.
///
/// # Errors
/// 404 for a server that is not known; while PostgreSQL can't be asked, for one that never sent anything.
pub async fn shown_server(
    stats: &Stats,
    pool: &PgPool,
    live: &Live,
    server_id: &str,
    query_string: &str,
) -> Result<ShownServer, ApiError> {
    let mut values = ONE.read(query_string);
    let span = values.parsed_parameter("period", Span::from_word).unwrap_or_default();
    values.finish()?;
    let server_id = Uuid::parse_str(server_id)
        .map_err(|_| ApiError::not_found("unknown_server", "this can't be a server's id"))?;
    // Names are not worth an outage.
    let known = match tokio::time::timeout(GIVE_UP_AFTER, servers::find_known(pool, server_id)).await {
        Ok(Ok(known)) => known,
        Ok(Err(error)) => {
            tracing::warn!(%error, "a server can't be read");
            None
        }
        Err(_) => {
            tracing::warn!("a server can't be read: PostgreSQL takes too long");
            None
        }
    };
    let mut answer = stats.server(server_id, known.as_ref(), span).await?;
    let playing = live.list_now().matches.into_iter().find(|listed| listed.server_id == server_id);
    if let Some(playing) = &playing {
        answer.map_name = playing.map_name.clone();
        answer.player_count = Some(playing.player_count);
    }
    let (region, description) = known.map_or((None, None), |known| (known.region, known.description));
    let live_match = playing.map(|playing| playing.match_id);
    Ok(ShownServer { answer, region, description, span, live_match })
}

/// One server
///
/// What was played on it, by whom, and when it was busy.
#[utoipa::path(get, path = "/api/v1/stats/server/{serverId}", tag = "Statistics",
    params(("serverId" = String, Path, description = "Server id (UUID)")), responses(
    (status = 200, description = "The server", body = ServerAnswer),
    (status = 404, description = "There is no such server", body = ErrorBody),
    (status = 422, description = "Parameters that can't be used", body = ErrorBody),
    (status = 503, description = "Statistics can't be read at the moment", body = ErrorBody)))]
async fn server(
    _: Anyone,
    request: HttpRequest,
    stats: Data<Stats>,
    pool: Data<PgPool>,
    live: Data<Live>,
    server_id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let shown = shown_server(&stats, &pool, &live, &server_id, request.query_string()).await?;
    caching::json(&request, &shown.answer)
}
