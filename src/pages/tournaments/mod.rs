//! `/tournaments…`: what spectators, players, captains and organizers see of tournaments and do by forms.
//!
//! Pages are made of the answers of the API ([`crate::tournaments`]) with words for people; forms are done by the same functions as the
//! API's calls, so that roles, rules and refusals are the same. `shown` holds what all pages of one tournament share, `forms`
//! reads what was typed; everything else is a page or a few of them.

mod admin;
mod bracket;
mod draw;
mod embed;
mod entrants;
mod forms;
mod matches;
mod settings;
mod shown;
mod stream;

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use mohaa_domain::tournament::Tournament;
use serde_json::{Value, json};
use uuid::Uuid;

pub use embed::FrameAncestors;

use super::{Pages, view};
use crate::access::{Anyone, Route, get, post};
use crate::http::ApiError;
use crate::http::query::{Paging, QueryShape};
use crate::tournaments::{self, Tournaments};
use shown::{Seen, formats, statuses};
pub(super) use shown::{format_word, status_word};

type Page = Result<HttpResponse, ApiError>;

/// Entries of each part of the list while nothing is asked for.
const PART_OF_LIST: u32 = 25;
/// Of those that are over.
const OVER_OF_LIST: u32 = 10;
/// Tournaments on the front page.
const FRONT_PAGE_TOURNAMENTS: u32 = 3;

pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/tournaments", list),
        post("/tournaments", admin::create),
        get("/tournaments/new", admin::new),
        get("/tournaments/{id}", overview),
        get("/tournaments/{id}/participants", entrants::page),
        post("/tournaments/{id}/register", entrants::register),
        post("/tournaments/{id}/withdraw", entrants::withdraw),
        post("/tournaments/{id}/checkin", entrants::check_in),
        get("/tournaments/{id}/bracket", bracket::page),
        get("/tournaments/{id}/bracket.svg", draw::picture),
        get("/tournaments/{id}/standings", bracket::standings_page),
        get("/tournaments/{id}/schedule", bracket::schedule_page),
        get("/tournaments/{id}/stream", stream::stream),
        get("/tournaments/{id}/matches/{key}", matches::page),
        get("/tournaments/{id}/matches/{key}/correct", matches::preview),
        post("/tournaments/{id}/matches/{key}/correct", matches::correct),
        post("/tournaments/{id}/matches/{key}/report", matches::report),
        post("/tournaments/{id}/matches/{key}/confirm", matches::confirm),
        post("/tournaments/{id}/matches/{key}/dispute", matches::dispute),
        post("/tournaments/{id}/matches/{key}/resolve", matches::resolve),
        post("/tournaments/{id}/matches/{key}/reset", matches::reset),
        post("/tournaments/{id}/matches/{key}/schedule", matches::schedule),
        post("/tournaments/{id}/matches/{key}/start", matches::start),
        post("/tournaments/{id}/matches/{key}/veto", matches::veto),
        get("/tournaments/{id}/admin", admin::page),
        get("/tournaments/{id}/admin/settings", admin::settings),
        post("/tournaments/{id}/admin/settings", admin::change),
        get("/tournaments/{id}/admin/audit", admin::audit_log),
        post("/tournaments/{id}/admin/status", admin::move_on),
        post("/tournaments/{id}/admin/enter", admin::enter),
        post("/tournaments/{id}/admin/seeds", admin::seeds),
        post("/tournaments/{id}/admin/disqualify", admin::disqualify),
        post("/tournaments/{id}/admin/staff", admin::staff),
        post("/tournaments/{id}/admin/next-round", admin::next_round),
        post("/tournaments/{id}/admin/undo", admin::undo),
        get("/embed/tournaments/{id}", embed::bracket),
        get("/embed/tournaments/{id}/overlay", embed::overlay),
        get("/embed/tournaments/{id}/bracket.svg", draw::embedded_picture),
    ]
}

async fn list(
    viewer: Anyone,
    request: HttpRequest,
    pages: Data<Pages>,
    tournaments: Data<Tournaments>,
) -> Page {
    let asked = tournaments::asked_of_list(request.query_string())?;
    let context = match (&asked.status, asked.paging == Paging::default()) {
        (None, true) => {
            let part = async |statuses: &[&str], limit| {
                let paging = Paging { page: 1, limit };
                tournaments::list(&tournaments, statuses, asked.format.as_deref(), paging).await
            };
            let (running, upcoming, over) = tokio::try_join!(
                part(&["in_progress"], PART_OF_LIST),
                part(&["registration_open", "registration_closed", "checkin"], PART_OF_LIST),
                part(&["completed", "cancelled"], OVER_OF_LIST),
            )?;
            json!({ "parts": [
                { "id": "running", "title": "Under way", "list": shown::listed(&running)? },
                { "id": "upcoming", "title": "To come", "list": shown::listed(&upcoming)? },
                { "id": "over", "title": "Over", "list": shown::listed(&over)? },
            ] })
        }
        (status, _) => {
            let statuses: &[&str] = match status {
                Some(status) => &[status.as_str()],
                None => tournaments::ALL_BUT_DRAFTS,
            };
            let found =
                tournaments::list(&tournaments, statuses, asked.format.as_deref(), asked.paging).await?;
            let total = u64::try_from(found.total).unwrap_or(0);
            json!({
                "parts": [{ "id": "found", "title": "Found", "list": shown::listed(&found)? }],
                "pages": view::page_links("/tournaments", request.query_string(), asked.paging, total),
            })
        }
    };
    let mut context = context;
    let is_empty = context["parts"]
        .as_array()
        .is_some_and(|parts| parts.iter().all(|part| part["list"]["tournaments"] == json!([])));
    context["is_empty"] = is_empty.into();
    context["query"] = json!({ "status": asked.status, "format": asked.format });
    context["options"] = json!({ "statuses": statuses(asked.status.as_deref()), "formats": formats() });
    context["may_make"] = viewer.0.is_some_and(|viewer| viewer.role >= crate::users::Role::Organizer).into();
    pages.page(&request, viewer, "tournaments/list.html", "Tournaments", &context).await
}

/// What the front page shows: those that are under way or come next.
pub(super) async fn of_front_page(tournaments: &Tournaments) -> Value {
    let statuses = ["in_progress", "registration_open", "registration_closed", "checkin"];
    let paging = Paging { page: 1, limit: FRONT_PAGE_TOURNAMENTS };
    // The front page is worth more than this part of it.
    match tournaments::list(tournaments, &statuses, None, paging).await {
        Ok(list) => shown::listed(&list).unwrap_or_default(),
        Err(error) => {
            tracing::warn!(cause = ?error.cause(), "the front page's tournaments can't be read");
            Value::Null
        }
    }
}

async fn overview(
    viewer: Anyone,
    request: HttpRequest,
    pages: Data<Pages>,
    tournaments: Data<Tournaments>,
    live: Data<crate::live::Live>,
    id: Path<Uuid>,
) -> Page {
    QueryShape::default().read(request.query_string()).finish()?;
    let seen = Seen::of(&tournaments, viewer, *id).await?;
    let tournament = &seen.current.tournament;
    let scores = stream::live_scores(&tournaments, &live, &seen.current).await;
    let context = json!({
        "next": shown::what_comes_next(tournament),
        "rules": shown::rules(tournament),
        "own_match": seen.own_match(),
        "open": bracket::open_matches(&seen, &scores)?,
        "places": bracket::places(tournament),
        "schedule": shown::times(tournament),
        "progress": progress(tournament),
        "can": entrants::what_viewer_can(&tournaments, &seen).await?,
        "teams": entrants::own_teams(&tournaments, &seen).await?,
    });
    seen.show(&pages, &request, "tournaments/overview.html", None, context).await
}

fn progress(tournament: &Tournament) -> Value {
    let (all, played) = played_of_all(tournament);
    json!({ "matches": all, "played": played })
}

/// How many matches there are to play, byes aside, and how many of them are played.
pub(super) fn played_of_all(tournament: &Tournament) -> (usize, usize) {
    let real = tournament.existing().filter(|bout| !bout.has_bye());
    let (mut all, mut played) = (0, 0);
    for bout in real {
        all += 1;
        played += usize::from(bout.status == mohaa_domain::tournament::BoutStatus::Completed);
    }
    (all, played)
}
