//! A form that could not be used leads back to where it was sent from, with a sentence that says why.
//!
//! The sentence travels in a cookie: nobody can put one on our page by a link.

use std::time::Duration;

use actix_web::cookie::Cookie;
use actix_web::http::header::REFERER;
use actix_web::http::{Method, StatusCode};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::Url;

use super::see;
use crate::auth::{SessionCookies, asked_host};
use crate::http::{ApiError, BaseUrl};

const NOTICE_COOKIE: &str = "mohaa_notice";
const SHOWN_WITHIN: Duration = Duration::from_secs(60);
/// A cookie holds four thousand bytes, of which a character takes up to twelve.
const LONGEST_NOTICE_CHARS: usize = 300;

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
    let value = utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string();
    let cookies = request.app_data::<Data<SessionCookies>>()?;
    let mut back = see(&location);
    back.add_cookie(&cookies.cookie(NOTICE_COOKIE, value, SHOWN_WITHIN)).ok()?;
    Some(back)
}

fn sentence(error: &ApiError) -> String {
    match error.fields().is_empty() {
        true => error.message().to_owned(),
        false => {
            let fields: Vec<String> =
                error.fields().iter().map(|(name, why)| format!("{name}: {why}")).collect();
            format!("This could not be used: {}", fields.join("; "))
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

/// What the page has to say.
pub(super) fn read(request: &HttpRequest) -> Option<String> {
    let value = SessionCookies::value_in(request, NOTICE_COOKIE)?;
    let text = percent_decode_str(&value).decode_utf8().ok()?;
    (!text.is_empty()).then(|| text.chars().take(LONGEST_NOTICE_CHARS).collect())
}

/// It is said once.
pub(super) fn gone(cookies: SessionCookies) -> Cookie<'static> {
    cookies.cookie(NOTICE_COOKIE, String::new(), Duration::ZERO)
}
