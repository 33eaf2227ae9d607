//! `/api/v1/live` and `/api/v1/live/{matchId}`.

use std::collections::HashMap;
use std::sync::Arc;

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use mohaa_actors::live::LiveFeed;
use mohaa_domain::event::Millis;
use serde_json::json;
use utoipa::OpenApi;
use uuid::Uuid;

use super::Live;
use super::answers::{Json, ListedLiveMatch, LiveKill, LiveList, LiveState};
use crate::access::{Anyone, Route, get};
use crate::http::query::QueryShape;
use crate::http::{ApiError, ErrorBody, caching};
use crate::stats::Stats;

#[derive(OpenApi)]
#[openapi(
    paths(list, of_match, list_now, list_now_too),
    components(schemas(LiveKill)),
    tags((name = "Live", description = "Matches as they are played, as Server-Sent Events."))
)]
pub struct LiveApi;

pub fn routes() -> Vec<Route> {
    vec![
        get("/api/v1/live", list),
        get("/api/v1/live/{matchId}", of_match),
        get("/api/v1/stats/live", list_now),
        get("/api/v1/stats/live/matches", list_now_too),
    ]
}

const NOTHING: QueryShape = QueryShape { parameters: &[], filters: &[], paged: false };

/// Matches that are being played, those with most players first
#[utoipa::path(get, path = "/api/v1/stats/live", tag = "Live", responses(
    (status = 200, description = "Live matches", body = LiveList),
    (status = 422, description = "Parameters that can't be used", body = ErrorBody)))]
async fn list_now(_: Anyone, request: HttpRequest, live: Data<Live>) -> Result<HttpResponse, ApiError> {
    NOTHING.read(request.query_string()).finish()?;
    caching::json(&request, &live.list_now())
}

/// Matches that are being played
///
/// The same as `/api/v1/stats/live`.
#[utoipa::path(get, path = "/api/v1/stats/live/matches", tag = "Live", responses(
    (status = 200, description = "Live matches", body = LiveList),
    (status = 422, description = "Parameters that can't be used", body = ErrorBody)))]
async fn list_now_too(
    caller: Anyone,
    request: HttpRequest,
    live: Data<Live>,
) -> Result<HttpResponse, ApiError> {
    list_now(caller, request, live).await
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
    let feed = live.find(&id).await?;
    live.learn_server(&stats, feed.server_id).await;
    Ok(live.stream_match(&request, feed, Arc::new(Json)))
}

impl Live {
    /// The feed of a match, by our id or by what its server calls it.
    ///
    /// # Errors
    /// 404 `match_not_live`; 409 `ambiguous_match` with candidates.
    pub async fn find(&self, id: &str) -> Result<Arc<LiveFeed>, ApiError> {
        let match_id = Uuid::parse_str(id).ok();
        if let Some(feed) = match_id.and_then(|match_id| self.feeds.of(match_id)) {
            return Ok(feed);
        }
        // Of a server's matches of one name, the one that is played, or else the last.
        let mut own: HashMap<Uuid, (bool, Option<Millis>, Arc<LiveFeed>)> = HashMap::new();
        for feed in self.feeds.all() {
            let seen = feed.seen();
            if seen.source_match_id == id {
                let newer = (seen.ended_at.is_none(), seen.board.started_at, feed.clone());
                let known = own.entry(feed.server_id).or_insert_with(|| newer.clone());
                if (newer.0, newer.1) > (known.0, known.1) {
                    *known = newer;
                }
            }
        }
        // A match that is over gives way to others of the name that are played.
        if own.values().any(|(is_played, ..)| *is_played) {
            own.retain(|_, (is_played, ..)| *is_played);
        }
        let mut named: Vec<Found> = own.into_values().map(|(.., feed)| Found::Here(feed)).collect();
        for followed in self.nodes.followed_elsewhere() {
            // While a match goes from node to node, both may follow it for a moment.
            let is_here = named.iter().any(|found| found.ids().0 == followed.match_id);
            let is_named =
                Some(followed.match_id) == match_id || followed.source_match_id.as_deref() == Some(id);
            if is_named && !is_here {
                named.push(Found::Elsewhere(Box::new(followed)));
            }
        }
        if named.len() > 1 {
            let candidates: Vec<_> = named
                .iter()
                .map(Found::ids)
                .map(|(match_id, server_id)| json!({ "match_id": match_id, "server_id": server_id }))
                .collect();
            let message =
                "several servers play a match of this id; ask by the match_id of one of the candidates";
            return Err(ApiError::conflict("ambiguous_match", message)
                .with_detail("candidates", serde_json::Value::Array(candidates)));
        }
        match named.pop() {
            Some(Found::Here(feed)) => Ok(feed),
            Some(Found::Elsewhere(followed)) => Ok(self.nodes.mirror(&self.feeds, &followed).await),
            // A viewer who comes back while its node is gone waits for the next one.
            None => match_id.and_then(|match_id| self.feeds.mirror_of(match_id)).ok_or_else(|| {
                ApiError::not_found(
                    "match_not_live",
                    "no match with this id is played now: ask for its statistics",
                )
            }),
        }
    }
}

/// A live match, and where it is followed.
enum Found {
    Here(Arc<LiveFeed>),
    Elsewhere(Box<ListedLiveMatch>),
}

impl Found {
    fn ids(&self) -> (Uuid, Uuid) {
        match self {
            Self::Here(feed) => (feed.match_id, feed.server_id),
            Self::Elsewhere(followed) => (followed.match_id, followed.server_id),
        }
    }
}
