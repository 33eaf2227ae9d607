//! `/api/v1/live` and `/api/v1/live/{matchId}`.

use std::sync::Arc;

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use mohaa_actors::live::LiveFeed;
use utoipa::OpenApi;
use uuid::Uuid;

use super::Live;
use super::answers::{Json, LiveKill, LiveList, LiveState};
use crate::access::{Anyone, Route, get};
use crate::http::{ApiError, ErrorBody};
use crate::stats::Stats;

#[derive(OpenApi)]
#[openapi(
    paths(list, of_match),
    components(schemas(LiveKill)),
    tags((name = "Live", description = "Matches as they are played, as Server-Sent Events."))
)]
pub struct LiveApi;

pub fn routes() -> Vec<Route> {
    vec![get("/api/v1/live", list), get("/api/v1/live/{matchId}", of_match)]
}

/// The list of live matches
///
/// A stream of Server-Sent Events: `snapshot` with the whole list, whenever it has changed. `id` is `<epoch>-<n>`.
#[utoipa::path(
    get,
    path = "/api/v1/live",
    tag = "Live",
    params(("Last-Event-ID" = Option<String>, Header, description = "the last `id` that came")),
    responses((status = 200, description = "The stream", body = LiveList, content_type = "text/event-stream"))
)]
pub async fn list(_: Anyone, request: HttpRequest, live: Data<Live>) -> HttpResponse {
    live.stream_list(&request, Arc::new(Json))
}

/// A match as it is played
///
/// A stream of Server-Sent Events: `snapshot` first, then `state` (at most five a second), `kill`, `round`, `chat`,
/// `objective` and `end`. `id` is `<epoch>-<n>`: n without gaps within an epoch. Who comes back with `Last-Event-ID` gets
/// what was missed, or a `snapshot`.
#[utoipa::path(
    get,
    path = "/api/v1/live/{matchId}",
    tag = "Live",
    params(
        ("matchId" = String, Path, description = "our id, or what the server calls the match"),
        ("Last-Event-ID" = Option<String>, Header, description = "the last `id` that came"),
    ),
    responses(
        (status = 200, description = "The stream", body = LiveState, content_type = "text/event-stream"),
        (status = 404, description = "No such match is live", body = ErrorBody),
        (status = 409, description = "Matches of several servers have this id", body = ErrorBody),
    )
)]
pub async fn of_match(
    _: Anyone,
    request: HttpRequest,
    live: Data<Live>,
    stats: Data<Stats>,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let feed = live.find(&id)?;
    live.learn_server(&stats, feed.server_id).await;
    Ok(live.stream_match(&request, feed, Arc::new(Json)))
}

impl Live {
    /// The feed of a match, by our id or by what its server calls it.
    ///
    /// # Errors
    /// 404 `match_not_live`; 409 `ambiguous_match` with candidates.
    pub fn find(&self, id: &str) -> Result<Arc<LiveFeed>, ApiError> {
        if let Some(feed) = Uuid::parse_str(id).ok().and_then(|match_id| self.feeds.of(match_id)) {
            return Ok(feed);
        }
        let mut named: Vec<Arc<LiveFeed>> =
            self.feeds.all().into_iter().filter(|feed| feed.seen().source_match_id == id).collect();
        if named.len() > 1 {
            let candidates: Vec<_> = named
                .iter()
                .map(|feed| serde_json::json!({ "match_id": feed.match_id, "server_id": feed.server_id }))
                .collect();
            let message =
                "several servers play a match of this id; ask by the match_id of one of the candidates";
            return Err(ApiError::conflict("ambiguous_match", message)
                .with_detail("candidates", serde_json::Value::Array(candidates)));
        }
        named.pop().ok_or_else(|| {
            ApiError::not_found(
                "match_not_live",
                "no match with this id is played now: ask for its statistics",
            )
        })
    }
}
