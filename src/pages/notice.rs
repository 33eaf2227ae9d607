//! A form that could not be used leads back to where it was sent from, with a sentence that says why.
//!
//! One that did what it says leads on to a page that says so. Either sentence travels in a cookie: nobody can put one on our page by a
//! link.

use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::cookie::Cookie;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::REFERER;
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpRequest, HttpResponse};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::Url;

use super::{see, view};
use crate::auth::{SessionCookies, asked_host};
use crate::http::{ApiError, BaseUrl};

const NOTICE_COOKIE: &str = "mohaa_notice";
const DONE_COOKIE: &str = "mohaa_done";
const SHOWN_WITHIN: Duration = Duration::from_secs(60);
/// A cookie holds four thousand bytes, of which a character takes up to twelve.
const LONGEST_NOTICE_CHARS: usize = 300;

/// What a form has done, by where it is sent. Forms that lead to what they made (codes, tokens, another account) say it there.
const DONE: [(&str, &str); 40] = [
    ("/tournaments", "The tournament is made. It is in no list until its registration opens."),
    ("/tournaments/{id}/register", "The entry is in."),
    ("/tournaments/{id}/withdraw", "Out: the place is given back."),
    ("/tournaments/{id}/checkin", "Checked in."),
    ("/tournaments/{id}/matches/{key}/correct", "The result is corrected."),
    ("/tournaments/{id}/matches/{key}/report", "The result is reported."),
    ("/tournaments/{id}/matches/{key}/confirm", "The result is confirmed."),
    ("/tournaments/{id}/matches/{key}/dispute", "The result is disputed: an organizer decides."),
    ("/tournaments/{id}/matches/{key}/resolve", "The dispute is decided."),
    ("/tournaments/{id}/matches/{key}/reset", "The match is open again."),
    ("/tournaments/{id}/matches/{key}/schedule", "The plan is saved."),
    ("/tournaments/{id}/matches/{key}/start", "The match is under way."),
    ("/tournaments/{id}/matches/{key}/veto", "The choice of the map is made."),
    ("/tournaments/{id}/admin/settings", "The settings are saved."),
    ("/tournaments/{id}/admin/status", "The step is taken."),
    ("/tournaments/{id}/admin/enter", "The entry is in."),
    ("/tournaments/{id}/admin/seeds", "The seeds are saved."),
    ("/tournaments/{id}/admin/disqualify", "The entrant is disqualified."),
    ("/tournaments/{id}/admin/staff", "The staff is changed."),
    ("/tournaments/{id}/admin/next-round", "The next round is paired."),
    ("/tournaments/{id}/admin/undo", "The last change is taken back."),
    ("/account/sign-ins/unlink", "That way to sign in is taken away."),
    ("/account/players/unlink", "The player is no longer linked."),
    ("/account/sessions/end", "The session has ended."),
    ("/admin/servers/{id}/approve", "The server is approved."),
    ("/admin/servers/{id}/owner", "The server has another owner."),
    ("/admin/servers/{id}/remove", "The server is removed."),
    ("/admin/users/{id}", "The account is changed."),
    ("/admin/players/merge", "The players are merged."),
    ("/admin/players/undo-merge", "The merge is taken back."),
    ("/admin/players/anonymise", "The names are taken away."),
    ("/admin/maps", "The overview is uploaded."),
    ("/admin/maps/remove", "The overview is removed."),
    ("/ops/writers/{writer}/pause", "Paused: what is accepted stays in the spool."),
    ("/ops/writers/{writer}/resume", "Writing again."),
    ("/ops/flush", "What was accepted is on its way to ClickHouse."),
    ("/ops/nodes/{node}/drain", "The node is drained: nothing new is sent to it."),
    ("/ops/nodes/{node}/take-back", "The node takes part again."),
    ("/ops/matches/{match_id}/end", "The match has ended."),
    ("/ops/dead-letters/{id}/replay", "The dead letter was sent again."),
];

/// Middleware: a form that has led on to a page lets that page say what was done.
pub async fn tell_what_was_done<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let mut response = next.call(request).await?;
    if response.request().method() != Method::POST || response.status() != StatusCode::SEE_OTHER {
        return Ok(response);
    }
    let pattern = response.request().match_pattern();
    let text = DONE.iter().find(|(path, _)| pattern.as_deref() == Some(*path)).map(|(_, text)| *text);
    let cookies = response.request().app_data::<Data<SessionCookies>>().map(|cookies| ***cookies);
    // A form that could not be used has left its own sentence.
    let is_refused = response.response().cookies().any(|cookie| cookie.name().ends_with(NOTICE_COOKIE));
    if let (Some(text), Some(cookies), false) = (text, cookies, is_refused) {
        let cookie = cookies.cookie(DONE_COOKIE, encoded(text), SHOWN_WITHIN);
        response.response_mut().add_cookie(&cookie)?;
    }
    Ok(response)
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// The answer that leads back, where there is a form to lead back to and its sender can do better.
pub(super) fn back_to_form(request: &HttpRequest, error: &ApiError) -> Option<HttpResponse> {
    let can_do_better = matches!(
        error.status(),
        StatusCode::NOT_FOUND | StatusCode::CONFLICT | StatusCode::GONE | StatusCode::UNPROCESSABLE_ENTITY
    );
    if request.method() != Method::POST || !can_do_better {
        return None;
    }
    let location = own_referer(request)?;
    let text: String = sentence(error).chars().take(LONGEST_NOTICE_CHARS).collect();
    let cookies = request.app_data::<Data<SessionCookies>>()?;
    let mut back = see(&location);
    back.add_cookie(&cookies.cookie(NOTICE_COOKIE, encoded(&text), SHOWN_WITHIN)).ok()?;
    Some(back)
}

pub(super) fn sentence(error: &ApiError) -> String {
    match error.fields().is_empty() {
        true => error.message().to_owned(),
        false => {
            format!("This could not be used: {}", view::mistakes(error).join("; "))
        }
    }
}

/// Path and query of the page of ours that the form stood on.
fn own_referer(request: &HttpRequest) -> Option<String> {
    let referer = Url::parse(request.headers().get(REFERER)?.to_str().ok()?).ok()?;
    let host = referer.host_str()?;
    let authority = referer.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let path = referer.path();
    let is_configured = request
        .app_data::<Data<BaseUrl>>()
        .is_some_and(|base| referer.origin().ascii_serialization() == base.as_str());
    let is_own =
        is_configured || asked_host(request).is_some_and(|host| authority.eq_ignore_ascii_case(&host));
    // Two slashes would be the beginning of another host.
    if !is_own || path.starts_with("//") || path.contains('\\') {
        return None;
    }
    Some(referer.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}")))
}

/// What the page has to say of the form before it: each of them once.
#[derive(Default)]
pub(super) struct Said {
    /// Why it could not be used.
    pub refused: Option<String>,
    pub done: Option<String>,
}

impl Said {
    pub(super) fn of(request: &HttpRequest) -> Self {
        Said { refused: read(request, NOTICE_COOKIE), done: read(request, DONE_COOKIE) }
    }

    /// Cookies that take back those that were read.
    pub(super) fn gone(&self, cookies: SessionCookies) -> impl Iterator<Item = Cookie<'static>> + use<> {
        let read = [(NOTICE_COOKIE, self.refused.is_some()), (DONE_COOKIE, self.done.is_some())];
        let read = read.into_iter().filter(|(_, was_read)| *was_read);
        read.map(move |(name, _)| cookies.cookie(name, String::new(), Duration::ZERO))
    }
}

fn read(request: &HttpRequest, cookie: &'static str) -> Option<String> {
    let value = SessionCookies::value_in(request, cookie)?;
    let text = percent_decode_str(&value).decode_utf8().ok()?;
    (!text.is_empty()).then(|| text.chars().take(LONGEST_NOTICE_CHARS).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_says_what_it_has_done_or_leads_to_what_it_made() {
        /// What each of them shows or means is there at once, or somebody else looks at it.
        const LEAD_TO_IT: [&str; 10] = [
            "/device",
            "/account/game-token",
            "/account/claim",
            "/account/sign-out",
            "/account/sign-out-everywhere",
            "/account/delete",
            "/admin/servers",
            "/admin/servers/keys",
            "/admin/servers/{id}/rotate",
            "/login/link/{code}",
        ];
        let routes = crate::pages::routes();
        let forms: Vec<&str> =
            routes.iter().filter(|route| route.method == "POST").map(|route| route.path).collect();
        let is_told = |path: &str| DONE.iter().any(|(told, _)| *told == path);
        let silent: Vec<&&str> =
            forms.iter().filter(|path| !is_told(path) && !LEAD_TO_IT.contains(path)).collect();
        assert!(silent.is_empty(), "{silent:?}");
        let gone: Vec<&str> =
            DONE.iter().map(|(path, _)| *path).filter(|path| !forms.contains(path)).collect();
        assert!(gone.is_empty(), "{gone:?}");
    }
}
