//! Pages for people, rendered from the same answers as the API gives programs.
//!
//! A handler asks [`crate::stats`], hands the answer to a template and is done; `view` alone adapts answers to what
//! people see. Templates are part of the binary. Errors of handlers become the error page (`http::error_answers`),
//! so that every page keeps the navigation even when the statistics can't be read.

mod account;
mod achievements;
mod admin;
mod api_docs;
mod cards;
mod charts;
mod filters;
mod finished;
mod game_servers;
mod heatmap;
mod heatmap_panel;
mod live;
mod login_link;
mod map_overviews;
mod maps;
mod notice;
mod ops;
mod player_parts;
mod rating_line;
mod routes;
mod runbook;
mod search;
mod servers;
mod sign_in;
mod story;
mod text;
mod tournaments;
mod view;
mod weapons;

use actix_web::cookie::Cookie;
use actix_web::http::header::{CACHE_CONTROL, HeaderName, HeaderValue, LOCATION, VARY};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use include_dir::{Dir, include_dir};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgPool;
use tera::{Context, Tera};

pub use notice::tell_what_was_done;
pub use tournaments::FrameAncestors;

use self::finished::{FinishedPages, Ingredients};
use crate::access::{Anyone, Route, get, post};
use crate::auth::{self, CsrfToken, Identity, SessionCookies};
use crate::http::assets::Assets;
use crate::http::error_answers::ErrorPage;
use crate::http::requests::RequestId;
use crate::http::{ApiError, caching};
use crate::overviews::OverviewImages;
use crate::pictures::Pictures;
use crate::stats::Stats;
use crate::users;

static TEMPLATES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/templates");

/// Pages differ by who looks at them and change by the second: a browser asks each time, and gets 304 if it can.
const PAGE_LIFETIME: &str = "private, no-cache";

/// By which htmx says whether it takes a whole page or a part of one.
const PART_HEADER: &str = "HX-Request-Type";
/// A page and its part have one address, and no cache may take one for the other.
const VARY_BY_PART: (HeaderName, &str) = (VARY, "HX-Request, HX-Request-Type");

#[derive(Debug, thiserror::Error)]
#[error("the page templates can't be used")]
pub struct PagesError(#[from] tera::Error);

/// Everything that pages are made of.
pub struct Pages {
    tera: Tera,
    stats: Stats,
    pictures: Pictures,
    overviews: OverviewImages,
    finished: FinishedPages,
}

/// What every page says about itself.
#[derive(Serialize)]
struct PageHead {
    /// Plain text.
    title: String,
    path: String,
    user: Option<Viewer>,
    /// Only what differs from page to page is wanted: htmx puts it into the page that is there.
    is_part: bool,
}

#[derive(Serialize)]
struct Viewer {
    user_id: i32,
    name: String,
    role: &'static str,
}

impl Pages {
    /// Reads all templates, so that a broken one is a start-up error.
    /// `origin` is where the site is reached from everywhere (`PUBLIC_URL`): pages tell other sites where their picture is only
    /// where that is known.
    pub fn new(assets: &Assets, stats: Stats, origin: Option<&str>) -> Result<Self, PagesError> {
        let mut tera = Tera::new();
        filters::register(&mut tera, assets.clone());
        let mut templates = Vec::new();
        collect(&TEMPLATES, &mut templates);
        tera.add_raw_templates(templates)?;
        // Social tags need an absolute address, which only a configured one can be.
        let site = serde_json::json!({ "version": env!("CARGO_PKG_VERSION"), "origin": origin });
        tera.global_context().insert("site", &site);
        Ok(Pages {
            tera,
            stats,
            pictures: Pictures::default(),
            overviews: OverviewImages::default(),
            finished: FinishedPages::default(),
        })
    }

    /// Renders a page's template over `context`, an object.
    fn render(&self, template: &str, head: &PageHead, context: &Value) -> Result<String, ApiError> {
        let mut whole = Context::from_serialize(context).map_err(ApiError::internal)?;
        whole.insert("page", head);
        self.tera.render(template, &whole).map_err(ApiError::internal)
    }

    /// A part of a page.
    fn fragment(&self, template: &str, context: &Value) -> Result<String, ApiError> {
        let context = Context::from_serialize(context).map_err(ApiError::internal)?;
        self.tera.render(template, &context).map_err(ApiError::internal)
    }

    /// A page as an answer.
    async fn page(
        &self,
        request: &HttpRequest,
        viewer: Anyone,
        template: &str,
        title: &str,
        context: &Value,
    ) -> Result<HttpResponse, ApiError> {
        let head = PageHead { user: viewer_of(request, viewer).await, ..PageHead::of(request, title) };
        let ingredients = Ingredients::of(&(template, &head, context))?;
        let page = self.finished.get(ingredients, || self.render(template, &head, context)).await?;
        let content_type = "text/html; charset=utf-8";
        let mut page = caching::tagged(request, &page.tag, page.body.clone(), content_type, PAGE_LIFETIME);
        let (name, value) = VARY_BY_PART;
        page.headers_mut().append(name, HeaderValue::from_static(value));
        Ok(page)
    }
}

/// What a page with forms, or for one person alone, is made from.
struct Form<'a> {
    request: &'a HttpRequest,
    /// Who looks at it; nobody is somebody too.
    viewer: Option<Identity>,
    template: &'a str,
    title: &'a str,
    /// An object; `csrf` is added.
    context: Value,
}

impl Pages {
    /// A page that no cache keeps, whose forms carry a token.
    async fn form(&self, form: Form<'_>) -> Result<HttpResponse, ApiError> {
        let Form { request, viewer, template, title, mut context } = form;
        let cookies = request.app_data::<Data<SessionCookies>>();
        let cookies = cookies.ok_or_else(|| ApiError::internal("no cookies can be made here"))?;
        let csrf = CsrfToken::for_page(request, ***cookies);
        context["csrf"] = Value::String(csrf.value);
        let said = notice::Said::of(request);
        let said_once = said.gone(***cookies);
        context["notice"] = said.refused.into();
        context["was_done"] = said.done.into();
        let head =
            PageHead { user: viewer_of(request, Anyone(viewer)).await, ..PageHead::of(request, title) };
        let body = self.render(template, &head, &context)?;
        let mut response = HttpResponse::Ok();
        response
            .insert_header((CACHE_CONTROL, "no-store"))
            .append_header(VARY_BY_PART)
            .content_type("text/html; charset=utf-8");
        for cookie in csrf.cookie.into_iter().chain(said_once) {
            response.cookie(cookie);
        }
        Ok(response.body(body))
    }
}

/// After a form: the browser looks at this page next.
fn see(location: &str) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((LOCATION, location))
        .insert_header((CACHE_CONTROL, "no-store"))
        .finish()
}

fn with_cookies(
    mut response: HttpResponse,
    cookies: impl IntoIterator<Item = Cookie<'static>>,
) -> Result<HttpResponse, ApiError> {
    for cookie in cookies {
        response.add_cookie(&cookie).map_err(ApiError::internal)?;
    }
    Ok(response)
}

impl PageHead {
    fn of(request: &HttpRequest, title: &str) -> Self {
        PageHead {
            title: title.to_owned(),
            path: request.path().to_owned(),
            user: None,
            is_part: request.headers().get(PART_HEADER).is_some_and(|value| value == "partial"),
        }
    }
}

/// Name and role of who is looking; nobody while PostgreSQL can't be asked.
async fn viewer_of(request: &HttpRequest, viewer: Anyone) -> Option<Viewer> {
    let signed_in = viewer.0?;
    let pool = request.app_data::<Data<PgPool>>()?;
    let user = users::find(pool, signed_in.user_id).await.ok().flatten()?;
    Some(Viewer { user_id: user.user_id, name: user.display_name, role: user.role.as_str() })
}

fn collect(directory: &'static Dir<'static>, templates: &mut Vec<(String, &'static str)>) {
    for file in directory.files() {
        let name = file.path().to_string_lossy().replace('\\', "/");
        if let (true, Some(text)) = (name.ends_with(".html"), file.contents_utf8()) {
            templates.push((name, text));
        }
    }
    for inner in directory.dirs() {
        collect(inner, templates);
    }
}

/// Routes of the pages.
pub fn routes() -> Vec<Route> {
    let mut routes = vec![
        get("/", routes::home),
        get("/leaderboard", routes::leaderboard),
        get("/players/{id}", routes::player),
        get("/players/{id}/maps", player_parts::maps),
        get("/players/{id}/matches", player_parts::matches),
        get("/players/{id}/rivals", player_parts::rivals),
        get("/players/{id}/card.png", cards::of_player),
        get("/compare", player_parts::compare),
        get("/achievements", achievements::page),
        get("/live", live::list),
        get("/live/stream", live::list_stream),
        get("/live/{id}", live::of_match),
        get("/live/{id}/stream", live::match_stream),
        // Before everything below a map, whose name takes any number of slashes.
        get("/maps/{map:.+}/heatmap.png", heatmap::of_map),
        get("/maps/{map:.+}/overview.png", heatmap::overview),
        get("/matches", routes::matches),
        get("/matches/{id}", routes::match_detail),
        get("/matches/{id}/heatmap.png", heatmap::of_match),
        get("/matches/{id}/card.png", cards::of_match),
        get("/tournaments/{id}/card.png", cards::of_tournament),
        get("/login", sign_in::login),
        get("/device", sign_in::device),
        post("/device", sign_in::answer_device),
        get("/account", account::page),
        post("/account/sign-ins/unlink", account::unlink_sign_in),
        post("/account/game-token", account::make_game_token),
        post("/account/claim", account::make_claim),
        post("/account/players/unlink", account::unlink_player),
        post("/account/sessions/end", account::end_session),
        post("/account/sign-out", account::sign_out),
        post("/account/sign-out-everywhere", account::sign_out_everywhere),
        post("/account/delete", account::delete),
        get("/admin", admin::overview),
        get("/admin/servers", servers::page),
        post("/admin/servers", servers::add),
        post("/admin/servers/keys", servers::make_key),
        post("/admin/servers/{id}/approve", servers::approve),
        post("/admin/servers/{id}/rotate", servers::rotate),
        post("/admin/servers/{id}/owner", servers::give),
        post("/admin/servers/{id}/remove", servers::remove),
        get("/admin/users", admin::users),
        post("/admin/users/{id}", admin::change_user),
        get("/admin/players", admin::players),
        post("/admin/players/merge", admin::merge),
        post("/admin/players/undo-merge", admin::undo_merge),
        post("/admin/players/anonymise", admin::anonymise),
        get("/admin/maps", map_overviews::page),
        post("/admin/maps", map_overviews::put),
        post("/admin/maps/remove", map_overviews::remove),
        get("/admin/audit", admin::audit_log),
        get("/ops", ops::page),
        get("/ops/stream", ops::stream),
        get("/ops/runbook", ops::show_runbook),
        post("/ops/writers/{writer}/pause", ops::pause_writer),
        post("/ops/writers/{writer}/resume", ops::resume_writer),
        post("/ops/flush", ops::flush),
        post("/ops/nodes/{node}/drain", ops::drain),
        post("/ops/nodes/{node}/take-back", ops::take_back),
        post("/ops/matches/{match_id}/end", ops::end_match),
        post("/ops/dead-letters/{id}/replay", ops::replay),
        get("/api/docs", api_docs::page),
        get("/api/openapi.json", api_docs::document),
        get("/login/link/{code}", login_link::ask),
        post("/login/link/{code}", login_link::sign_in),
        get("/weapons", weapons::list),
        get("/weapons/{slug}", weapons::one),
        get("/servers", game_servers::list),
        get("/servers/{id}", game_servers::one),
        get("/search", search::page),
    ];
    routes.extend(tournaments::routes());
    routes.extend([
        get("/maps", maps::list),
        // The last of all: whatever begins like a map's path is a map's name to it.
        get("/maps/{map:.+}", maps::one),
    ]);
    routes
}

/// Errors of whatever people look at become a page.
pub fn error_pages() -> ErrorPage {
    ErrorPage(|request, error| Box::pin(error_page(request, error)))
}

async fn error_page(request: &HttpRequest, error: &ApiError) -> Option<HttpResponse> {
    if let Some(back) = notice::back_to_form(request, error) {
        return Some(back);
    }
    let pages = request.app_data::<Data<Pages>>()?;
    let view = view::error(error, RequestId::of(request));
    // Whoever can't be told apart at this moment looks as nobody.
    let viewer = Anyone(auth::identify(request).ok());
    let user = viewer_of(request, viewer).await;
    let head = PageHead { user, ..PageHead::of(request, view["title"].as_str().unwrap_or_default()) };
    match pages.render("error.html", &head, &view) {
        Ok(page) => {
            let mut answer = HttpResponse::build(error.status());
            Some(answer.append_header(VARY_BY_PART).content_type("text/html; charset=utf-8").body(page))
        }
        Err(failure) => {
            tracing::error!(cause = ?failure.cause(), "the error page can't be rendered");
            None
        }
    }
}
