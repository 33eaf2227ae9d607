//! Headers that keep pages from being turned against those who read them.

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use actix_web::middleware::Next;
use actix_web::web::Data;

use super::BaseUrl;

/// Where the site is reached by TLS, browsers shall never reach it otherwise.
const ONE_YEAR_OF_TLS: &str = "max-age=31536000; includeSubDomains";

macro_rules! page_policy {
    () => {
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; \
         connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'"
    };
}

/// Everything a page uses is our own file; nothing inline, nothing from elsewhere, no framing.
const PAGE_POLICY: &str = concat!(page_policy!(), "; frame-ancestors 'none'");

/// The same but for framing, which a page that is meant for it has to add.
pub const PAGE_POLICY_FOR_ALL_FRAMES: &str = page_policy!();

/// An answer that says nothing else about it is one person's, and kept nowhere.
const FIXED_HEADERS: [(HeaderName, &str); 5] = [
    (CACHE_CONTROL, "no-store"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "strict-origin-when-cross-origin"),
    (X_FRAME_OPTIONS, "DENY"),
    (CONTENT_SECURITY_POLICY, PAGE_POLICY),
];

/// Middleware that adds the headers to every answer that does not set its own.
pub async fn headers<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let mut response = next.call(request).await?;
    add_headers(&mut response);
    Ok(response)
}

/// Adds the headers to an answer that does not set its own.
pub fn add_headers<B>(response: &mut ServiceResponse<B>) {
    let base_url = response.request().app_data::<Data<BaseUrl>>();
    if base_url.is_some_and(|base_url| base_url.as_str().starts_with("https://")) {
        response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(ONE_YEAR_OF_TLS));
    }
    // Who may frame an answer says its own policy, where it has one.
    let has_policy = response.headers().contains_key(CONTENT_SECURITY_POLICY);
    for (name, value) in FIXED_HEADERS {
        let is_said = response.headers().contains_key(&name) || (has_policy && name == X_FRAME_OPTIONS);
        if !is_said {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
    }
}
