//! `/ops`: what admins see of the node that answers and what they can do to it, and `/ops/runbook`: what to do when something
//! is wrong.
//!
//! The page's parts are rendered once for all who watch, whenever the node was looked at, and told to each over one stream. They
//! hold no token of a form: their buttons belong to the one form of the page, which is not among them.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, ContentEncoding};
use actix_web::web::{Bytes, Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream::{Stream, unfold};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::sync::watch;
use uuid::Uuid;

use super::charts::Line;
use super::{Form, Pages, runbook, see};
use crate::access::{Admin, NoFields, SafeForm};
use crate::auth;
use crate::http::ApiError;
use crate::http::query::QueryShape;
use crate::ingest::Ingest;
use crate::live::Live;
use crate::ops::handlers::Ops;
use crate::ops::overview::{ActorReport, NodeOverview};
use crate::ops::{HistoryPoint, SPAN, actions, watch::Seen};
use crate::users::Role;

type Page = Result<HttpResponse, ApiError>;

/// Of actors, by what there is to say of them; the API lists all.
const MOST_ACTORS: usize = 12;
const MOST_MATCHES: usize = 20;
/// How long a browser waits before it comes back.
const RETRY: &str = "retry: 2000\n\n";
/// Nobody looks for longer without being asked again who they are.
const LONGEST_STREAM: Duration = Duration::from_secs(15 * 60);

pub(super) async fn page(
    Admin(admin): Admin,
    request: HttpRequest,
    pages: Data<Pages>,
    ops: Data<Ops>,
    live: Data<Live>,
) -> Page {
    QueryShape::default().read(request.query_string()).finish()?;
    let context = json!({ "ops": shown(&ops.watch.look().await, &live)? });
    pages
        .form(Form {
            request: &request,
            viewer: Some(admin),
            template: "ops/page.html",
            title: "Operations",
            context,
        })
        .await
}

/// Server-Sent Events without a name, whose data are the page's parts. It ends when its viewer is no admin any more.
pub(super) async fn stream(
    _: Admin,
    request: HttpRequest,
    pages: Data<Pages>,
    ops: Data<Ops>,
    live: Data<Live>,
) -> Page {
    QueryShape::default().read(request.query_string()).finish()?;
    let watcher = Watcher { seen: ops.watch.seen(), ends: live.ends(), pages, live, request, is_first: true };
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream; charset=utf-8")
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header(("X-Accel-Buffering", "no"))
        .insert_header(ContentEncoding::Identity)
        .streaming(watched(watcher)))
}

struct Watcher {
    seen: watch::Receiver<Option<Arc<Seen>>>,
    ends: watch::Receiver<bool>,
    pages: Data<Pages>,
    live: Data<Live>,
    request: HttpRequest,
    is_first: bool,
}

fn watched(watcher: Watcher) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let ends_at = tokio::time::Instant::now() + LONGEST_STREAM;
    unfold(watcher, move |mut watcher| async move {
        let text = tokio::time::timeout_at(ends_at, watcher.next()).await.ok().flatten()?;
        Some((Ok(text), watcher))
    })
}

impl Watcher {
    /// What is written next; none: the stream ends.
    async fn next(&mut self) -> Option<Bytes> {
        let is_first = std::mem::take(&mut self.is_first);
        if !is_first {
            self.wait().await;
        }
        loop {
            let seen = self.seen.borrow_and_update().clone();
            let is_admin = auth::identify(&self.request).is_ok_and(|viewer| viewer.role == Role::Admin);
            if !is_admin || *self.ends.borrow() {
                return None;
            }
            if let Some(seen) = seen {
                let message = self.message(&seen);
                return Some(if is_first { [RETRY.as_bytes(), &message].concat().into() } else { message });
            }
            self.wait().await;
        }
    }

    async fn wait(&mut self) {
        tokio::select! {
            // Nobody looks any more when the service ends.
            _ = self.seen.changed() => {}
            _ = self.ends.wait_for(|ends| *ends) => {}
        }
    }

    /// The parts of the page, made once for all who watch.
    fn message(&self, seen: &Seen) -> Bytes {
        let html = || {
            let rendered = shown(&seen.overview, &self.live)
                .and_then(|ops| self.pages.fragment("ops/parts.html", &json!({ "ops": ops })));
            let html = rendered.unwrap_or_else(|error| {
                tracing::error!(cause = ?error.cause(), "the parts of /ops can't be rendered");
                String::new()
            });
            let mut text = format!("id: {}\n", seen.number);
            for line in html.lines() {
                text.extend(["data: ", line, "\n"]);
            }
            text.push('\n');
            text.into()
        };
        seen.renditions.html.get_or_init(html).clone()
    }
}

/// The overview as people read it.
fn shown(overview: &NodeOverview, live: &Live) -> Result<Value, ApiError> {
    let mut shown = serde_json::to_value(overview).map_err(ApiError::internal)?;
    let mut actors: Vec<&ActorReport> = overview.actors.iter().collect();
    let count = actors.len();
    // Stable: of those that have nothing to say, the ones that were started first.
    actors.sort_by(|one, other| weight(other).total_cmp(&weight(one)));
    actors.truncate(MOST_ACTORS);
    let actors: Vec<Value> = actors.into_iter().map(actor).collect();
    shown["actor_count"] = count.into();
    shown["actors"] = actors.into();
    for kind in shown["kinds"].as_array_mut().into_iter().flatten() {
        let words = |seconds: &Value| seconds.as_f64().map_or_else(|| "–".to_owned(), duration);
        let (wait, handling) = (words(&kind["wait_seconds"]), words(&kind["handling_seconds"]));
        (kind["wait"], kind["handling"]) = (wait.into(), handling.into());
    }
    for question in shown["slow_questions"].as_array_mut().into_iter().flatten() {
        question["took"] = duration(question["seconds"].as_f64().unwrap_or_default()).into();
    }
    let spool = &overview.spool;
    shown["spool"]["size"] = bytes(spool.bytes as f64).into();
    shown["spool"]["budget"] = bytes(spool.budget_bytes as f64).into();
    shown["spool"]["share"] = (100.0 * spool.bytes as f64 / spool.budget_bytes.max(1) as f64).into();
    shown["spool"]["age"] = spool.oldest_record_seconds.map_or_else(|| "none".to_owned(), duration).into();
    shown["lag"] = duration(overview.clickhouse.lag_seconds).into();
    shown["any_paused"] = overview.writers.iter().any(|writer| writer.paused).into();
    shown["all_paused"] = overview.writers.iter().all(|writer| writer.paused).into();
    shown["charts"] = charts(overview);
    shown["history"] = Value::Null;
    let mut matches = live.list_now().matches;
    shown["match_count"] = matches.len().into();
    matches.truncate(MOST_MATCHES);
    shown["matches"] = serde_json::to_value(matches).map_err(ApiError::internal)?;
    Ok(shown)
}

/// How much an actor has to say: failing ones, then those that are busy or have most waiting.
fn weight(actor: &ActorReport) -> f64 {
    let failing = if actor.failing { 1e9 } else { 0.0 };
    let full = actor.depth as f64 / actor.capacity.max(1) as f64;
    failing + actor.oldest_wait_seconds.max(actor.busy_seconds) * 1e3 + full.min(1.0) * 1e2
}

fn actor(actor: &ActorReport) -> Value {
    json!({
        "kind": actor.kind,
        "name": actor.name,
        "depth": actor.depth,
        "capacity": actor.capacity,
        "handled": actor.handled,
        "rejected": actor.rejected,
        "restarts": actor.restarts,
        "failing": actor.failing,
        "oldest_wait": duration(actor.oldest_wait_seconds),
        "wait": duration(actor.mean_wait_seconds),
        "handling": duration(actor.mean_handling_seconds),
        "last_progress_at": actor.last_progress_at,
        "blocked": duration(actor.blocked_seconds),
        "last_error": actor.last_error,
    })
}

/// The charts of the last ten minutes, each with what it says in words: now, and the most there was.
fn charts(overview: &NodeOverview) -> Value {
    let chart = |title: &str, value: fn(&HistoryPoint) -> f64, words: fn(f64) -> String| {
        let ago = |point: &HistoryPoint| (overview.at - point.at).to_std().unwrap_or_default();
        let values: Vec<(Duration, f64)> =
            overview.history.iter().map(|point| (ago(point), value(point))).collect();
        let line = Line::new(&values, SPAN);
        let now = values.last().map_or(0.0, |(_, value)| *value);
        json!({ "title": title, "path": line.path, "most": words(line.most), "now": words(now) })
    };
    let per_second: fn(f64) -> String = |value| format!("{value:.1}/s");
    let count: fn(f64) -> String = |value| format!("{value:.0}");
    json!([
        chart("Events accepted", |point| point.accepted_per_second, per_second),
        chart("Events stored", |point| point.stored_per_second, per_second),
        chart("Events in the mailbox", |point| point.mailbox_depth as f64, count),
        chart("Spool", |point| point.spool_bytes as f64, bytes),
        chart("Lag until stored", |point| point.lag_seconds, duration),
    ])
}

/// Bytes in the largest unit of which there is one.
fn bytes(count: f64) -> String {
    let (mut count, mut unit) = (count, "B");
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if count < 1_024.0 {
            break;
        }
        (count, unit) = (count / 1_024.0, larger);
    }
    if unit == "B" { format!("{count:.0} B") } else { format!("{count:.1} {unit}") }
}

/// Seconds in a unit that fits.
fn duration(seconds: f64) -> String {
    match seconds {
        0.0 => "0 s".to_owned(),
        seconds if seconds < 0.001 => format!("{:.0} µs", seconds * 1e6),
        seconds if seconds < 1.0 => format!("{:.1} ms", seconds * 1e3),
        seconds if seconds < 120.0 => format!("{seconds:.1} s"),
        seconds if seconds < 7_200.0 => format!("{:.0} min", seconds / 60.0),
        seconds => format!("{:.1} h", seconds / 3_600.0),
    }
}

pub(super) async fn pause_writer(
    Admin(admin): Admin,
    request: HttpRequest,
    ops: Data<Ops>,
    pool: Data<PgPool>,
    writer: Path<String>,
    _: SafeForm<NoFields>,
) -> Page {
    let node = actions::meant_node(&request, &ops)?;
    actions::set_paused(&ops, &pool, admin.user_id, node, &writer, true).await?;
    Ok(see("/ops#writers"))
}

pub(super) async fn resume_writer(
    Admin(admin): Admin,
    request: HttpRequest,
    ops: Data<Ops>,
    pool: Data<PgPool>,
    writer: Path<String>,
    _: SafeForm<NoFields>,
) -> Page {
    let node = actions::meant_node(&request, &ops)?;
    actions::set_paused(&ops, &pool, admin.user_id, node, &writer, false).await?;
    Ok(see("/ops#writers"))
}

pub(super) async fn flush(
    Admin(admin): Admin,
    request: HttpRequest,
    ops: Data<Ops>,
    pool: Data<PgPool>,
    _: SafeForm<NoFields>,
) -> Page {
    let node = actions::meant_node(&request, &ops)?;
    actions::flush(&ops, &pool, admin.user_id, node).await?;
    Ok(see("/ops#writers"))
}

pub(super) async fn drain(
    Admin(admin): Admin,
    ops: Data<Ops>,
    pool: Data<PgPool>,
    node: Path<Uuid>,
    _: SafeForm<NoFields>,
) -> Page {
    actions::set_drained(&ops, &pool, admin.user_id, *node, true).await?;
    Ok(see("/ops#nodes"))
}

pub(super) async fn take_back(
    Admin(admin): Admin,
    ops: Data<Ops>,
    pool: Data<PgPool>,
    node: Path<Uuid>,
    _: SafeForm<NoFields>,
) -> Page {
    actions::set_drained(&ops, &pool, admin.user_id, *node, false).await?;
    Ok(see("/ops#nodes"))
}

pub(super) async fn end_match(
    Admin(admin): Admin,
    ingest: Data<Ingest>,
    live: Data<Live>,
    pool: Data<PgPool>,
    match_id: Path<Uuid>,
    _: SafeForm<NoFields>,
) -> Page {
    actions::end_match(&ingest, &live, &pool, admin.user_id, *match_id).await?;
    Ok(see("/ops#matches"))
}

pub(super) async fn replay(
    Admin(admin): Admin,
    request: HttpRequest,
    ops: Data<Ops>,
    pool: Data<PgPool>,
    id: Path<String>,
    _: SafeForm<NoFields>,
) -> Page {
    let node = actions::meant_node(&request, &ops)?;
    actions::replay(&ops, &pool, admin.user_id, node, id.into_inner()).await?;
    Ok(see("/ops#letters"))
}

pub(super) async fn show_runbook(Admin(admin): Admin, request: HttpRequest, pages: Data<Pages>) -> Page {
    QueryShape::default().read(request.query_string()).finish()?;
    let context = json!({ "entries": runbook::entries() });
    pages
        .form(Form {
            request: &request,
            viewer: Some(admin),
            template: "ops/runbook.html",
            title: "Runbook",
            context,
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::{bytes, duration};

    #[test]
    fn figures_have_a_unit_that_fits() {
        assert_eq!(
            [0.0, 1_023.0, 1_536.0, 4.0 * 1_073_741_824.0].map(bytes),
            ["0 B", "1023 B", "1.5 KiB", "4.0 GiB"]
        );
        assert_eq!(
            [0.0, 0.000_012, 0.25, 3.21, 600.0, 9_000.0].map(duration),
            ["0 s", "12 µs", "250.0 ms", "3.2 s", "10 min", "2.5 h"]
        );
    }
}
