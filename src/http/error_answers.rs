//! Gives every error answer its shape, whoever made it: JSON for programs, a page with navigation for people.
//!
//! A page that needs signing in sends people to where they can.
//!
//! Handlers answer with [`ApiError`]; the framework answers with bare statuses (404 and 405 of the router, 404 of
//! static files, 400 of a broken request). Both end here, so a new route needs no thought about its errors.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION,
    SET_COOKIE,
};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpRequest, HttpResponse, ResponseError};
use futures_util::future::LocalBoxFuture;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{ApiError, requests};

/// Answers an error for people: with a page, or with the way back to the form that they sent; `None` when even that
/// fails. Pages put it into the application's
/// data; without it people get JSON too.
#[derive(Clone, Copy)]
pub struct ErrorPage(
    pub for<'r> fn(&'r HttpRequest, &'r ApiError) -> LocalBoxFuture<'r, Option<HttpResponse>>,
);

/// Answers for paths that no route matches.
pub async fn nothing_here() -> Result<HttpResponse, ApiError> {
    Err(ApiError::from_status(StatusCode::NOT_FOUND))
}

/// Paths that programs call; everything else is read by people.
fn is_for_programs(path: &str) -> bool {
    let is_api = path.starts_with("/api/") && path != "/api/docs";
    is_api || matches!(path, "/api" | "/health" | "/ready" | "/metrics")
}

/// Addresses of the API to which browsers are sent, by us and by providers: who looks at them wants to read.
fn is_where_people_sign_in(request: &HttpRequest) -> bool {
    let path = request.path();
    let is_such = path.starts_with("/api/v1/auth/discord") || path.starts_with("/api/v1/auth/steam");
    let accepted = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    is_such && accepted.contains("text/html")
}

/// Middleware that shapes error answers.
pub async fn shape<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let response = next.call(request).await?;
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) {
        return Ok(response.map_into_boxed_body());
    }
    let (request, response) = response.into_parts();
    let response = shaped(&request, response.map_into_boxed_body()).await;
    Ok(ServiceResponse::new(request, response))
}

async fn shaped(request: &HttpRequest, response: HttpResponse) -> HttpResponse {
    requests::keep_cause(request, &response);
    let for_programs = is_for_programs(request.path()) && !is_where_people_sign_in(request);
    let known = response.error().and_then(|error| error.as_error::<ApiError>());
    if for_programs {
        if has_shape(&response) {
            return response;
        }
        let own = ApiError::from_status(response.status());
        return replace_body(response, |_| own.error_response());
    }
    if content_type(&response).starts_with("text/html") {
        return response;
    }
    if response.status() == StatusCode::UNAUTHORIZED && request.method() == Method::GET {
        let asked = request.uri().path_and_query().map_or("/", |asked| asked.as_str());
        let location = format!("/login?return_to={}", utf8_percent_encode(asked, NON_ALPHANUMERIC));
        return replace_body(response, |_| {
            HttpResponse::SeeOther().insert_header((LOCATION, location)).finish()
        });
    }
    let bare = ApiError::from_status(response.status());
    let page = match request.app_data::<ErrorPage>() {
        Some(page) => (page.0)(request, known.unwrap_or(&bare)).await,
        None => None,
    };
    match page {
        Some(page) => replace_body(response, |_| page),
        None if has_shape(&response) => response,
        None => replace_body(response, |_| bare.error_response()),
    }
}

fn content_type(response: &HttpResponse) -> &str {
    response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("")
}

fn has_shape(response: &HttpResponse) -> bool {
    content_type(response).starts_with("application/json")
}

/// Headers that are about a body: those of one that goes go with it. Compression stands behind this and has marked its own.
const ABOUT_THE_BODY: [HeaderName; 2] = [CONTENT_TYPE, CONTENT_ENCODING];

/// Puts another body under the answer's status and headers.
fn replace_body(response: HttpResponse, make: impl FnOnce(StatusCode) -> HttpResponse) -> HttpResponse {
    let status = response.status();
    let kept: HeaderMap = response.headers().clone();
    let mut replaced = make(status);
    for (name, value) in kept {
        let is_about_the_body = ABOUT_THE_BODY.contains(&name);
        if name == SET_COOKIE || (!is_about_the_body && !replaced.headers().contains_key(&name)) {
            replaced.headers_mut().append(name, value);
        }
    }
    replaced.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    replaced
}
