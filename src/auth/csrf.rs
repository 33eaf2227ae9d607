//! Keeps other sites from sending our forms: a random value stands in a cookie and in the form, and both must
//! agree. Another site can make a browser send its form to us, but neither read nor set our cookie, nor is the
//! cookie sent along (`SameSite=Lax`). It guards forms before there is a session too, so nobody can be signed in
//! unawares with somebody else's link.

use super::{SessionCookies, random_code};
use crate::http::{ApiError, BaseUrl};
use actix_web::{HttpRequest, cookie::Cookie, http::header::HOST, web::Data};
use std::time::Duration;

pub const CSRF_COOKIE: &str = "mohaa_csrf";
const CSRF_LIFETIME: Duration = Duration::from_secs(24 * 3600);
const CSRF_BYTES: usize = 16;
/// What `CSRF_BYTES` bytes are in base64 without padding.
const CSRF_CHARS: usize = 22;

/// The value for the forms of a page, and the cookie to answer with when the browser has none yet.
pub struct CsrfToken {
    pub value: String,
    pub cookie: Option<Cookie<'static>>,
}

impl CsrfToken {
    /// The browser's value, so that several open pages stay usable, or a new one.
    pub fn for_page(request: &HttpRequest, cookies: SessionCookies) -> Self {
        let known = SessionCookies::value_in(request, CSRF_COOKIE).filter(|value| is_ours(value));
        match known {
            Some(value) => Self { value, cookie: None },
            None => {
                let value = random_code(CSRF_BYTES);
                let cookie = cookies.cookie(CSRF_COOKIE, value.clone(), CSRF_LIFETIME);
                Self { value, cookie: Some(cookie) }
            }
        }
    }

    /// Refuses a form that another site sent, or whose value is not the browser's.
    pub fn check(request: &HttpRequest, form_value: &str) -> Result<(), ApiError> {
        if is_cross_site(request) {
            return Err(ApiError::forbidden(
                "cross_site",
                "this form was sent by another site: load our page",
            ));
        }
        let known = SessionCookies::value_in(request, CSRF_COOKIE);
        let agrees = known.is_some_and(|known| is_ours(&known) && known == form_value);
        match agrees {
            true => Ok(()),
            false => Err(ApiError::forbidden(
                "csrf_mismatch",
                "this form is too old or was not sent by our page: load the page again",
            )),
        }
    }
}

/// By the browser's own word: `Sec-Fetch-Site`, and `Origin`, which must be ours as configured, or have the host that was asked.
pub fn is_cross_site(request: &HttpRequest) -> bool {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    if header("Sec-Fetch-Site").is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return true;
    }
    let Some(origin) = header("Origin") else { return false };
    let is_configured =
        request.app_data::<Data<BaseUrl>>().is_some_and(|base| origin.eq_ignore_ascii_case(base.as_str()));
    if is_configured {
        return false;
    }
    let host = asked_host(request);
    origin.split_once("://").is_none_or(|(_, origin_host)| {
        host.as_deref().is_none_or(|host| !origin_host.eq_ignore_ascii_case(host))
    })
}

/// The host that the browser asked, by what no page can set: neither `Forwarded` nor `X-Forwarded-Host`. Behind a proxy that
/// changes it, PUBLIC_URL says who we are.
pub fn asked_host(request: &HttpRequest) -> Option<String> {
    let authority = request.uri().authority().map(|authority| authority.as_str().to_owned());
    authority.or_else(|| Some(request.headers().get(HOST)?.to_str().ok()?.to_owned()))
}

fn is_ours(value: &str) -> bool {
    value.len() == CSRF_CHARS
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use actix_web::test::TestRequest;

    fn request_with(cookie: Option<&Cookie<'static>>) -> HttpRequest {
        match cookie {
            Some(cookie) => TestRequest::default().cookie(cookie.clone()).to_http_request(),
            None => TestRequest::default().to_http_request(),
        }
    }

    #[test]
    fn a_form_of_another_site_is_refused_whatever_its_value() {
        let token = CsrfToken::for_page(&request_with(None), SessionCookies::new(None));
        let cookie = token.cookie.unwrap();
        let sent = |name: &'static str, value: &'static str| {
            let request = TestRequest::default()
                .cookie(cookie.clone())
                .insert_header(("Host", "stats.example.org"))
                .insert_header((name, value))
                .to_http_request();
            CsrfToken::check(&request, &token.value)
        };
        assert!(sent("Origin", "https://stats.example.org").is_ok());
        assert!(sent("Origin", "https://evil.example").is_err());
        assert!(sent("Origin", "null").is_err());
        assert!(sent("Sec-Fetch-Site", "same-origin").is_ok());
        assert!(sent("Sec-Fetch-Site", "cross-site").is_err());
        assert!(sent("Sec-Fetch-Site", "same-site").is_err());
        for forwarded in ["X-Forwarded-Host", "Forwarded"] {
            let request = TestRequest::default()
                .cookie(cookie.clone())
                .insert_header(("Host", "stats.example.org"))
                .insert_header((forwarded, "host=evil.example"))
                .insert_header(("X-Forwarded-Host", "evil.example"))
                .insert_header(("Origin", "https://evil.example"))
                .to_http_request();
            assert!(CsrfToken::check(&request, &token.value).is_err(), "{forwarded}");
        }
    }

    #[test]
    fn a_form_is_taken_only_from_the_browser_that_loaded_it() {
        let cookies = SessionCookies::new(None);
        let first = CsrfToken::for_page(&request_with(None), cookies);
        let cookie = first.cookie.unwrap();
        assert!(CsrfToken::check(&request_with(Some(&cookie)), &first.value).is_ok());
        assert!(CsrfToken::check(&request_with(None), &first.value).is_err());
        assert!(CsrfToken::check(&request_with(Some(&cookie)), "").is_err());
        let strangers = CsrfToken::for_page(&request_with(None), cookies);
        assert!(CsrfToken::check(&request_with(Some(&cookie)), &strangers.value).is_err());
    }

    #[test]
    fn a_second_page_uses_the_value_of_the_first() {
        let cookies = SessionCookies::new(None);
        let first = CsrfToken::for_page(&request_with(None), cookies);
        let second = CsrfToken::for_page(&request_with(first.cookie.as_ref()), cookies);
        assert!(second.cookie.is_none() && second.value == first.value);
    }

    #[test]
    fn an_empty_cookie_opens_nothing() {
        let empty = Cookie::new(CSRF_COOKIE, "");
        assert!(CsrfToken::check(&request_with(Some(&empty)), "").is_err());
        assert!(CsrfToken::for_page(&request_with(Some(&empty)), SessionCookies::new(None)).cookie.is_some());
    }
}
