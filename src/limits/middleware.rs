//! Limits of everything but events, by route and caller, and what answers say about them.

use std::time::Duration;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpMessage, HttpRequest};
use percent_encoding::percent_decode_str;
use uuid::Uuid;

use super::{Allowance, Exhausted, LimitedCaller, Limits};
use crate::auth;
use crate::config::LimitedCalls;
use crate::http::ApiError;
use crate::http::client_address::client_network;
use crate::http::security;

const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// Middleware that limits calls. The application holds `web::Data<Limits>`.
pub async fn limit<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let limits = request.app_data::<Data<Limits>>().filter(|limits| !limits.are_off());
    let Some(limits) = limits.cloned() else { return Ok(next.call(request).await?.map_into_left_body()) };
    // As routes are found: a path may be written in more than one way.
    let path = percent_decode_str(request.path()).decode_utf8_lossy().into_owned();
    let taken = kind_of(request.method(), &path).map(|calls| {
        let caller = caller_of(calls, request.request());
        note(request.request(), limits.take(calls, caller, 1))
    });
    let mut response = match taken {
        Some(Err(refused)) => {
            // It stands before what makes answers safe for browsers.
            let mut refusal = request.error_response(refused);
            security::add_headers(&mut refusal);
            refusal.map_into_right_body()
        }
        _ => next.call(request).await?.map_into_left_body(),
    };
    let allowance = response.request().extensions_mut().remove::<Allowance>();
    if let Some(allowance) = allowance {
        state(response.headers_mut(), allowance);
    }
    Ok(response)
}

impl Limits {
    /// Counts a game server's request and its events.
    ///
    /// # Errors
    /// 429 `rate_limited`.
    pub fn take_of_server(
        &self,
        request: &HttpRequest,
        server_id: Uuid,
        events: usize,
    ) -> Result<(), ApiError> {
        self.take_all_of_server(server_id, events, |taken| note_tightest(request, taken))
    }

    /// Counts a game server's message and its events, for which nobody waits.
    ///
    /// # Errors
    /// When it has to wait.
    pub fn take_of_message(&self, server_id: Uuid, events: usize) -> Result<(), Exhausted> {
        self.take_all_of_server(server_id, events, |taken| taken.transpose().map(drop))
    }

    fn take_all_of_server<E>(
        &self,
        server_id: Uuid,
        events: usize,
        note: impl Fn(Option<Result<Allowance, Exhausted>>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.are_off() {
            return Ok(());
        }
        let server = LimitedCaller::Server(server_id);
        let events = u32::try_from(events).unwrap_or(u32::MAX);
        let take = |calls: LimitedCalls, count: u32| {
            note(self.take(calls, server, count)).inspect_err(|_| self.tell_of(server_id, calls))
        };
        take(LimitedCalls::Ingest, 1)?;
        take(LimitedCalls::Events, events)?;
        // Events that the quota refuses are not stored, and owe nothing.
        take(LimitedCalls::Quota, events)
            .inspect_err(|_| self.give_back(LimitedCalls::Events, server, events))
    }
}

/// Keeps what is left for the answer's headers.
fn note(request: &HttpRequest, taken: Option<Result<Allowance, Exhausted>>) -> Result<(), ApiError> {
    let Some(taken) = taken else { return Ok(()) };
    let allowance =
        taken.unwrap_or_else(|Exhausted { limit, wait }| Allowance { limit, remaining: 0, reset: wait });
    request.extensions_mut().insert(allowance);
    match taken {
        Ok(_) => Ok(()),
        Err(exhausted) => Err(refusal(exhausted)),
    }
}

/// As [`note`], where several limits hold: headers tell of the one of which the least part is left.
fn note_tightest(request: &HttpRequest, taken: Option<Result<Allowance, Exhausted>>) -> Result<(), ApiError> {
    let part = |allowance: &Allowance| f64::from(allowance.remaining) / f64::from(allowance.limit.max(1));
    let noted = request.extensions().get::<Allowance>().copied();
    match (&taken, noted) {
        (Some(Ok(allowance)), Some(noted)) if part(&noted) <= part(allowance) => Ok(()),
        _ => note(request, taken),
    }
}

fn refusal(exhausted: Exhausted) -> ApiError {
    let message = "too many requests: wait before the next one";
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", message)
        .with_retry_after(whole_seconds(exhausted.wait).max(1))
}

fn state(headers: &mut HeaderMap, allowance: Allowance) {
    headers.insert(LIMIT, HeaderValue::from(allowance.limit));
    headers.insert(REMAINING, HeaderValue::from(allowance.remaining));
    headers.insert(RESET, HeaderValue::from(whole_seconds(allowance.reset)));
}

/// Rounded up: who comes back then does not come too early.
fn whole_seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX)
}

/// What a request counts as. Probes and files don't count, and events are counted where their server is known.
fn kind_of(method: &Method, path: &str) -> Option<LimitedCalls> {
    let is_change = !method.is_safe();
    match path {
        "/health" | "/ready" | "/metrics" => None,
        "/api/v1/servers/register" => Some(LimitedCalls::Register),
        "/device" | "/account" if is_change => Some(LimitedCalls::Auth),
        path if path.starts_with("/api/v1/ingest/") || path.starts_with("/static/") => None,
        path if path.starts_with("/api/v1/auth/") || path.starts_with("/login/") => Some(LimitedCalls::Auth),
        path if path.starts_with("/account/") && is_change => Some(LimitedCalls::Auth),
        _ => Some(LimitedCalls::Api),
    }
}

/// A signed-in user wherever they are; else, and where servers register, an address.
fn caller_of(calls: LimitedCalls, request: &HttpRequest) -> LimitedCaller {
    match calls {
        LimitedCalls::Register => LimitedCaller::Address(client_network(request)),
        _ => auth::identify(request).map_or_else(
            |_| LimitedCaller::Address(client_network(request)),
            |identity| LimitedCaller::User(identity.user_id),
        ),
    }
}
