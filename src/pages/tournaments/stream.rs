//! What keeps a tournament's pages up to date: a stream that says that something was changed, and what the live matches of
//! the bracket stand at.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, ContentEncoding};
use actix_web::web::{Bytes, Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream::{Stream, unfold};
use mohaa_domain::tournament::BoutStatus;
use serde::Serialize;
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;
use uuid::Uuid;

use super::bracket::Scores;
use crate::access::Anyone;
use crate::http::ApiError;
use crate::http::query::QueryShape;
use crate::live::Live;
use crate::tournaments::{Current, Tournaments};

/// The list of live matches is made once a second.
const SCORES_EVERY: Duration = Duration::from_secs(2);
const HEARTBEAT_EVERY: Duration = Duration::from_secs(15);

/// A game that is being played for a match of the bracket.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LiveScore {
    pub match_id: Uuid,
    pub map_name: Option<String>,
    pub allies_score: i32,
    pub axis_score: i32,
    pub player_count: u64,
}

/// By key. A game counts for the match that its server has named; else for the only open match that was given to the server.
pub async fn live_scores(tournaments: &Tournaments, live: &Live, current: &Current) -> Scores {
    let is_open = |status| matches!(status, BoutStatus::Ready | BoutStatus::Running);
    let open: Vec<_> = current.tournament.existing().filter(|bout| is_open(bout.status)).collect();
    let games = live.list_now().matches;
    if games.is_empty() || open.iter().all(|bout| bout.plan.server_id.is_none()) {
        return BTreeMap::new();
    }
    // What is live is an extra: pages go without it.
    let announced = tournaments.announced(current.id).await.unwrap_or_default();
    let mut scores = BTreeMap::new();
    for game in games {
        let named = announced.get(&game.match_id);
        let named = named.and_then(|key| open.iter().find(|bout| bout.key.to_string() == *key));
        let mut given = open.iter().filter(|bout| bout.plan.server_id == Some(game.server_id));
        let only = given.next().filter(|_| given.next().is_none());
        let Some(bout) = named.or(only) else { continue };
        let score = LiveScore {
            match_id: game.match_id,
            map_name: game.map_name,
            allies_score: game.allies_score,
            axis_score: game.axis_score,
            player_count: game.player_count,
        };
        scores.insert(bout.key.to_string(), score);
    }
    scores
}

/// Server-Sent Events for our pages: `changed` with the tournament's version, `scores` with what live matches stand at, by key.
pub async fn stream(
    _: Anyone,
    request: HttpRequest,
    tournaments: Data<Tournaments>,
    live: Data<Live>,
    id: Path<Uuid>,
) -> Result<HttpResponse, ApiError> {
    QueryShape::default().read(request.query_string()).finish()?;
    // From before the version is read: nothing falls between the two.
    let news = tournaments.news();
    tournaments.read(*id).await?;
    let ends = live.ends();
    let follower = Follower {
        tournaments: tournaments.into_inner(),
        live: live.into_inner(),
        id: *id,
        version: None,
        scores: None,
        news,
        ends,
        said_at: Instant::now(),
    };
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream; charset=utf-8")
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header(("X-Accel-Buffering", "no"))
        .insert_header(ContentEncoding::Identity)
        .streaming(followed(follower)))
}

struct Follower {
    tournaments: Arc<Tournaments>,
    live: Arc<Live>,
    id: Uuid,
    /// What was told last.
    version: Option<u64>,
    scores: Option<Scores>,
    news: broadcast::Receiver<(Uuid, u64)>,
    ends: watch::Receiver<bool>,
    said_at: Instant,
}

fn followed(follower: Follower) -> impl Stream<Item = Result<Bytes, Infallible>> {
    unfold(follower, |mut follower| async move {
        let text = follower.next().await?;
        follower.said_at = Instant::now();
        Some((Ok(Bytes::from(text)), follower))
    })
}

impl Follower {
    /// What is written next; none: the stream ends.
    async fn next(&mut self) -> Option<String> {
        loop {
            let is_first = self.version.is_none();
            if let Some(text) = self.news_to_tell().await {
                let retry = if is_first { "retry: 2000\n\n" } else { "" };
                return Some(format!("{retry}{text}"));
            }
            if self.said_at.elapsed() >= HEARTBEAT_EVERY {
                return Some(": still here\n\n".to_owned());
            }
            if !self.wait().await {
                return None;
            }
        }
    }

    async fn news_to_tell(&mut self) -> Option<String> {
        // While the store can't be asked the next look brings it.
        let current = self.tournaments.read(self.id).await.ok()?;
        let scores = live_scores(&self.tournaments, &self.live, &current).await;
        let mut text = String::new();
        if self.version != Some(current.version) {
            self.version = Some(current.version);
            text.push_str(&format!("event: changed\ndata: {}\n\n", current.version));
        }
        if self.scores.as_ref() != Some(&scores) {
            if let Ok(data) = serde_json::to_string(&scores) {
                text.push_str(&format!("event: scores\ndata: {data}\n\n"));
            }
            self.scores = Some(scores);
        }
        (!text.is_empty()).then_some(text)
    }

    /// Until there may be something to tell; false where nothing will come any more.
    async fn wait(&mut self) -> bool {
        let heartbeat_at = Instant::now() + HEARTBEAT_EVERY;
        loop {
            tokio::select! {
                heard = self.news.recv() => match heard {
                    Ok((id, _)) if id == self.id || id.is_nil() => return true,
                    Ok(_) => {}
                    Err(broadcast::error::RecvError::Lagged(_)) => return true,
                    Err(broadcast::error::RecvError::Closed) => return false,
                },
                _ = self.ends.wait_for(|ends| *ends) => return false,
                () = tokio::time::sleep(SCORES_EVERY) => {
                    let are_scores_shown = self.scores.as_ref().is_some_and(|scores| !scores.is_empty());
                    let may_be_other = are_scores_shown || !self.live.list_now().matches.is_empty();
                    if may_be_other || Instant::now() >= heartbeat_at {
                        return true;
                    }
                }
            }
        }
    }
}
