//! `/servers` and `/servers/{id}`: what players see of servers. Their owners' page is `servers`.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::charts::Bars;
use super::{Pages, text, view};
use crate::access::Anyone;
use crate::http::ApiError;
use crate::http::query::{Paging, QueryShape};
use crate::live::Live;
use crate::servers::{self, ServerStatuses};
use crate::stats::answers::HourOfServer;
use crate::stats::{MatchQuestion, Selection, Span, shown_server};

type Page = Result<HttpResponse, ApiError>;

const LIST: QueryShape = QueryShape { parameters: &[], filters: &[], paged: true };
const RECENT_MATCHES: u32 = 10;

pub(super) async fn list(
    viewer: Anyone,
    request: HttpRequest,
    pages: Data<Pages>,
    pool: Data<PgPool>,
    live: Data<Live>,
    statuses: Data<ServerStatuses>,
) -> Page {
    let mut values = LIST.read(request.query_string());
    let paging = values.paging();
    values.finish()?;
    let list = servers::public_list(&pool, &live, &statuses, paging).await?;
    let context = json!({
        "pages": view::page_links("/servers", request.query_string(), paging, list.total as u64),
        "list": list,
    });
    pages.page(&request, viewer, "servers.html", "Servers", &context).await
}

pub(super) async fn one(
    viewer: Anyone,
    request: HttpRequest,
    pages: Data<Pages>,
    pool: Data<PgPool>,
    live: Data<Live>,
    statuses: Data<ServerStatuses>,
    id: Path<String>,
) -> Page {
    let stats = &pages.stats;
    let shown = shown_server(stats, &pool, &live, &id, request.query_string()).await?;
    let server = &shown.answer;
    let of_server = MatchQuestion {
        selection: Selection { server_id: Some(server.server_id), ..Selection::default() },
        paging: Paging { page: 1, limit: RECENT_MATCHES },
        ..MatchQuestion::default()
    };
    let recent = stats.matches(&of_server).await?.matches;
    let playing = match shown.live_match {
        // It may have ended meanwhile.
        Some(match_id) => live.find(&match_id.to_string()).await.ok(),
        None => None,
    };
    let playing = playing.map(|feed| view::live_state(&live.state(&feed.seen(), false))).transpose()?;
    let playing = playing.map(with_those_who_are_on);
    let players: Vec<u64> = server.activity.iter().map(|hour| hour.players).collect();
    let label = |at: usize| hour_label(server.activity[at].hour, shown.span);
    let context = json!({
        "server": view::with_raw_names(server)?,
        "region": shown.region,
        "description": shown.description,
        "playing": playing,
        "queried": statuses.of(server.server_id),
        "recent": view::matches(&recent)?,
        "chart": Bars::new(&players, label),
        "rows": rows(&server.activity, shown.span),
        "span": shown.span.as_str(),
        "spans": view::choices(&Span::ALL.map(Span::as_str), &Span::ALL.map(span_label)),
    });
    pages.page(&request, viewer, "server.html", &text::plain_name(&server.name), &context).await
}

/// A live match with those of its players who have not gone.
fn with_those_who_are_on(mut state: Value) -> Value {
    if let Some(players) = state["players"].as_array_mut() {
        players.retain(|player| player["present"] == true);
    }
    state
}

fn span_label(span: Span) -> &'static str {
    match span {
        Span::Day => "24 hours",
        Span::Week => "7 days",
        Span::Month => "31 days",
    }
}

fn hour_label(hour: DateTime<Utc>, span: Span) -> String {
    let form = if span == Span::Day { "%H:%M" } else { "%b %-d" };
    hour.format(form).to_string()
}

/// What the chart's table says: each hour of a day, each day of a longer span with its busiest hour. The latest first.
fn rows(activity: &[HourOfServer], span: Span) -> Vec<Value> {
    let mut rows: Vec<(String, u64, u64)> = Vec::new();
    for hour in activity {
        let form = if span == Span::Day { "%Y-%m-%d %H:00" } else { "%Y-%m-%d" };
        let name = hour.hour.format(form).to_string();
        match rows.last_mut().filter(|row| row.0 == name) {
            Some(row) => (row.1, row.2) = (row.1.max(hour.players), row.2 + hour.events),
            None => rows.push((name, hour.players, hour.events)),
        }
    }
    let row = |(when, players, events)| json!({ "when": when, "players": players, "events": events });
    rows.into_iter().rev().map(row).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_longer_span_is_told_by_day_with_its_busiest_hour() {
        let hour = |at: &str, players, events| HourOfServer { hour: at.parse().unwrap(), players, events };
        let activity = [
            hour("2026-11-21T22:00:00Z", 2, 10),
            hour("2026-11-21T23:00:00Z", 5, 1),
            hour("2026-11-22T00:00:00Z", 1, 7),
        ];
        let expected = [
            json!({ "when": "2026-11-22", "players": 1, "events": 7 }),
            json!({ "when": "2026-11-21", "players": 5, "events": 11 }),
        ];
        assert_eq!(rows(&activity, Span::Week), expected);
        assert_eq!(rows(&activity, Span::Day).len(), 3);
    }
}
