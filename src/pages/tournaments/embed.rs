//! What other sites show in a frame, and what a stream lays over its picture.

use actix_web::http::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;
use uuid::Uuid;

use super::Page;
use super::bracket::{Scores, last_result, open_matches, places, sections};
use super::shown::Seen;
use super::stream::live_scores;
use crate::access::Anyone;
use crate::http::ApiError;
use crate::http::query::QueryShape;
use crate::http::security::PAGE_POLICY_FOR_ALL_FRAMES;
use crate::live::Live;
use crate::pages::Pages;
use crate::tournaments::Tournaments;

/// Which sites may show what is meant to be embedded: the sources of `frame-ancestors`.
#[derive(Clone, Debug)]
pub struct FrameAncestors(pub String);

/// Makes an answer one that may stand in a frame of those sites. What is embedded shows the same to everybody and has no forms, so
/// that nobody can be led to press something in it.
pub fn embeddable(request: &HttpRequest, policy: &str, mut response: HttpResponse) -> Page {
    let ancestors = request.app_data::<Data<FrameAncestors>>().map_or("'none'", |it| it.0.as_str());
    let policy = format!("{policy}; frame-ancestors {ancestors}");
    let policy = HeaderValue::from_str(&policy).map_err(ApiError::internal)?;
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    Ok(response)
}

/// The bracket alone.
pub async fn bracket(
    _: Anyone,
    request: HttpRequest,
    pages: Data<Pages>,
    tournaments: Data<Tournaments>,
    live: Data<Live>,
    id: Path<Uuid>,
) -> Page {
    QueryShape::default().read(request.query_string()).finish()?;
    let seen = Seen::of(&tournaments, Anyone(None), *id).await?;
    let scores = live_scores(&tournaments, &live, &seen.current).await;
    let context = json!({
        "sections": sections(&seen, &scores)?,
        "places": places(&seen.current.tournament),
        "said": last_result(&seen.current.tournament),
    });
    let page = seen.show(&pages, &request, "tournaments/embed.html", None, context).await?;
    embeddable(&request, PAGE_POLICY_FOR_ALL_FRAMES, page)
}

/// The matches that are played now, on nothing: for the picture of a stream.
pub async fn overlay(
    _: Anyone,
    request: HttpRequest,
    pages: Data<Pages>,
    tournaments: Data<Tournaments>,
    live: Data<Live>,
    id: Path<Uuid>,
) -> Page {
    QueryShape::default().read(request.query_string()).finish()?;
    let seen = Seen::of(&tournaments, Anyone(None), *id).await?;
    let scores: Scores = live_scores(&tournaments, &live, &seen.current).await;
    let context = json!({
        "open": open_matches(&seen, &scores)?,
        "places": places(&seen.current.tournament),
        "said": last_result(&seen.current.tournament),
    });
    let page = seen.show(&pages, &request, "tournaments/overlay.html", None, context).await?;
    embeddable(&request, PAGE_POLICY_FOR_ALL_FRAMES, page)
}
