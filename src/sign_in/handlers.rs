//! `/api/v1/auth/discord`, `/steam` and their callbacks: where browsers are sent, and what they bring back.

use actix_web::cookie::Cookie;
use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use sqlx::PgPool;
use std::collections::HashMap;
use url::form_urlencoded;
use utoipa::OpenApi;

use super::attempt::{ATTEMPT_COOKIE, ATTEMPT_LIFETIME, Attempt, give_back, take_once};
use super::device_handlers as device_api;
use super::device_handlers::{approve_device, deny_device, init_device, poll_device};
use super::own_sign_ins;
use super::{ProviderError, ProvidersAccount, SignIn, SignInError, accounts, discord, steam};
use crate::access::{Anyone, Route, get, post};
use crate::auth::{SessionCookies, Sessions, is_cross_site, random_code, sign_browser_in};
use crate::http::{ApiError, ErrorBody};
use crate::users::users_unavailable;

const STATE_BYTES: usize = 24;
const LONGEST_RETURN_BYTES: usize = 1_024;

#[derive(OpenApi)]
#[openapi(paths(
    start_discord,
    finish_discord,
    start_steam,
    finish_steam,
    device_api::init_device,
    device_api::poll_device,
    device_api::approve_device,
    device_api::deny_device
))]
pub struct SignInApi;

pub fn routes() -> Vec<Route> {
    let mut routes = vec![
        get("/api/v1/auth/discord", start_discord),
        get("/api/v1/auth/discord/callback", finish_discord),
        get("/api/v1/auth/steam", start_steam),
        get("/api/v1/auth/steam/callback", finish_steam),
        post("/api/v1/auth/device/init", init_device),
        post("/api/v1/auth/device/poll", poll_device),
        post("/api/v1/auth/device/approve", approve_device),
        post("/api/v1/auth/device/deny", deny_device),
    ];
    routes.extend(own_sign_ins::routes());
    routes
}

/// A path of our own site, whatever was asked for.
pub(crate) fn safe_return(asked: &str) -> &str {
    // A second slash, or a backslash, which browsers take for one, would name another host.
    let is_ours = asked.starts_with('/')
        && !asked.starts_with("//")
        && asked.len() <= LONGEST_RETURN_BYTES
        && asked.chars().all(|c| !c.is_control() && !c.is_whitespace() && c != '\\');
    if is_ours { asked } else { "/" }
}

fn parameters(request: &HttpRequest) -> HashMap<String, String> {
    form_urlencoded::parse(request.query_string().as_bytes()).into_owned().collect()
}

fn not_offered() -> ApiError {
    ApiError::not_found("provider_not_offered", "nobody can sign in by this here")
}

/// Whom the account is to be linked to: the signed-in user, where our own page asks for that.
async fn link_to(
    request: &HttpRequest,
    sessions: &Sessions,
    caller: Anyone,
    parameters: &HashMap<String, String>,
) -> Result<Option<i32>, ApiError> {
    if !parameters.contains_key("link") {
        return Ok(None);
    }
    if is_cross_site(request) {
        return Err(ApiError::forbidden("cross_site", "another site asked for this: use our own page"));
    }
    let identity = caller.0.ok_or_else(|| ApiError::unauthorized("not_signed_in", "sign in first"))?;
    sessions.require_recent(identity.session_id).await?;
    Ok(Some(identity.user_id))
}

/// Sends the browser to a provider with an attempt that only it can finish.
fn depart(
    sign_in: &SignIn,
    cookies: &SessionCookies,
    attempt: &Attempt,
    location: &str,
) -> Result<HttpResponse, ApiError> {
    let signed = sign_in.attempts.sign(attempt).map_err(ApiError::internal)?;
    let cookie = cookies.cookie(ATTEMPT_COOKIE, signed, ATTEMPT_LIFETIME);
    Ok(HttpResponse::SeeOther().insert_header((LOCATION, location)).cookie(cookie).finish())
}

/// Sign in with Discord
#[utoipa::path(
    get,
    path = "/api/v1/auth/discord",
    tag = "Signing in",
    params(
        ("return_to" = Option<String>, Query, description = "a path of this site to come back to"),
        ("link" = Option<String>, Query, description = "link the account to the signed-in user"),
    ),
    responses(
        (status = 303, description = "To Discord"),
        (status = 401, description = "To be linked, and nobody is signed in", body = ErrorBody),
        (status = 403, description = "To be linked, and signed in longer than an hour ago", body = ErrorBody),
        (status = 404, description = "Not offered here", body = ErrorBody),
    )
)]
pub async fn start_discord(
    caller: Anyone,
    request: HttpRequest,
    sign_in: Data<SignIn>,
    sessions: Data<Sessions>,
    cookies: Data<SessionCookies>,
) -> Result<HttpResponse, ApiError> {
    let discord = sign_in.discord.as_ref().ok_or_else(not_offered)?;
    let parameters = parameters(&request);
    let link_to = link_to(&request, &sessions, caller, &parameters).await?;
    let return_to = safe_return(parameters.get("return_to").map_or("/", String::as_str)).to_owned();
    let start = discord.start();
    let attempt = Attempt::new(discord::NAME, start.state, start.verifier, return_to, link_to);
    depart(&sign_in, &cookies, &attempt, &start.url)
}

/// Where Discord sends the browser back to
#[utoipa::path(
    get,
    path = "/api/v1/auth/discord/callback",
    tag = "Signing in",
    responses(
        (status = 303, description = "Signed in"),
        (status = 400, description = "Not what this browser was sent for", body = ErrorBody),
        (status = 403, description = "Refused, or the account is banned", body = ErrorBody),
        (status = 404, description = "Not offered here", body = ErrorBody),
        (status = 409, description = "The sign-in belongs to another account", body = ErrorBody),
        (status = 503, description = "Discord can't be asked at the moment", body = ErrorBody),
    )
)]
pub async fn finish_discord(
    caller: Anyone,
    request: HttpRequest,
    sign_in: Data<SignIn>,
    arrival: Arrival,
) -> Result<HttpResponse, ApiError> {
    let discord = sign_in.discord.as_ref().ok_or_else(not_offered)?;
    let parameters = parameters(&request);
    let attempt = expected_attempt(&sign_in, &request, discord::NAME, &parameters)?;
    take_once(&arrival.pool, &nonce_of(&attempt)).await?;
    let found = match (parameters.get("code"), parameters.get("error")) {
        (Some(code), None) => discord.finish(code, &attempt.verifier).await,
        (_, Some(_)) => Err(ProviderError::Refused("it was cancelled".to_owned())),
        (None, None) => Err(ProviderError::Forged("it holds no code")),
    };
    arrival.arrive(&request, caller, &attempt, found).await
}

/// Sign in with Steam
#[utoipa::path(
    get,
    path = "/api/v1/auth/steam",
    tag = "Signing in",
    params(
        ("return_to" = Option<String>, Query, description = "a path of this site to come back to"),
        ("link" = Option<String>, Query, description = "link the account to the signed-in user"),
    ),
    responses(
        (status = 303, description = "To Steam"),
        (status = 401, description = "To be linked, and nobody is signed in", body = ErrorBody),
        (status = 403, description = "To be linked, and signed in longer than an hour ago", body = ErrorBody),
        (status = 404, description = "Not offered here", body = ErrorBody),
    )
)]
pub async fn start_steam(
    caller: Anyone,
    request: HttpRequest,
    sign_in: Data<SignIn>,
    sessions: Data<Sessions>,
    cookies: Data<SessionCookies>,
) -> Result<HttpResponse, ApiError> {
    let steam = sign_in.steam.as_ref().ok_or_else(not_offered)?;
    let parameters = parameters(&request);
    let link_to = link_to(&request, &sessions, caller, &parameters).await?;
    let return_to = safe_return(parameters.get("return_to").map_or("/", String::as_str)).to_owned();
    let attempt = Attempt::new(steam::NAME, random_code(STATE_BYTES), String::new(), return_to, link_to);
    let location = steam.start(&attempt.state);
    depart(&sign_in, &cookies, &attempt, &location)
}

/// Where Steam sends the browser back to
#[utoipa::path(
    get,
    path = "/api/v1/auth/steam/callback",
    tag = "Signing in",
    responses(
        (status = 303, description = "Signed in"),
        (status = 400, description = "Not what this browser was sent for", body = ErrorBody),
        (status = 403, description = "Refused, or the account is banned", body = ErrorBody),
        (status = 404, description = "Not offered here", body = ErrorBody),
        (status = 409, description = "The sign-in belongs to another account", body = ErrorBody),
        (status = 503, description = "Steam can't be asked at the moment", body = ErrorBody),
    )
)]
pub async fn finish_steam(
    caller: Anyone,
    request: HttpRequest,
    sign_in: Data<SignIn>,
    arrival: Arrival,
) -> Result<HttpResponse, ApiError> {
    let steam = sign_in.steam.as_ref().ok_or_else(not_offered)?;
    let attempt = expected_attempt(&sign_in, &request, steam::NAME, &parameters(&request))?;
    take_once(&arrival.pool, &nonce_of(&attempt)).await?;
    let found = steam.finish(request.query_string(), &attempt.state, &arrival.pool).await;
    arrival.arrive(&request, caller, &attempt, found).await
}

/// The attempt of this browser, if what came back belongs to it.
fn expected_attempt(
    sign_in: &SignIn,
    request: &HttpRequest,
    provider: &str,
    parameters: &HashMap<String, String>,
) -> Result<Attempt, ApiError> {
    let attempt =
        SessionCookies::value_in(request, ATTEMPT_COOKIE).and_then(|value| sign_in.attempts.read(&value));
    let state = parameters.get("state");
    attempt.filter(|attempt| attempt.provider == provider && Some(&attempt.state) == state).ok_or_else(|| {
        ApiError::bad_request(
            "sign_in_mismatch",
            "this does not belong to a sign-in that this browser began, or it took too long: sign in again",
        )
    })
}

fn nonce_of(attempt: &Attempt) -> String {
    format!("state {}", attempt.state)
}

/// What it takes to sign in whoever comes back.
pub struct Arrival {
    pool: Data<PgPool>,
    sessions: Data<Sessions>,
    cookies: Data<SessionCookies>,
}

impl actix_web::FromRequest for Arrival {
    type Error = ApiError;
    type Future = std::future::Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut actix_web::dev::Payload) -> Self::Future {
        let parts = || {
            Some(Self {
                pool: request.app_data::<Data<PgPool>>()?.clone(),
                sessions: request.app_data::<Data<Sessions>>()?.clone(),
                cookies: request.app_data::<Data<SessionCookies>>()?.clone(),
            })
        };
        std::future::ready(parts().ok_or_else(|| ApiError::internal("nobody can sign in here")))
    }
}

impl Arrival {
    async fn arrive(
        &self,
        request: &HttpRequest,
        caller: Anyone,
        attempt: &Attempt,
        found: Result<ProvidersAccount, ProviderError>,
    ) -> Result<HttpResponse, ApiError> {
        if matches!(found, Err(ProviderError::Unavailable(_))) {
            // The same address may be loaded once more.
            give_back(&self.pool, &nonce_of(attempt)).await?;
        }
        let account = found?;
        let mut cookies: Vec<Cookie<'static>> =
            vec![self.cookies.cookie(ATTEMPT_COOKIE, String::new(), std::time::Duration::ZERO)];
        match attempt.link_to {
            None => {
                // Who it opens and that it does are one: what takes the sign-in away comes before both or after both.
                let mut transaction = self.pool.begin().await.map_err(users_unavailable)?;
                let user_id = accounts::user_of(&mut transaction, &account).await?;
                let signed_in =
                    sign_browser_in(transaction, &self.sessions, **self.cookies, request, user_id);
                cookies.extend(signed_in.await?);
            }
            // Whoever signed in as somebody else meanwhile would link their account to the earlier one's.
            Some(user_id) => {
                let identity = caller.0.filter(|identity| identity.user_id == user_id).ok_or_else(|| {
                    let message = "you are not signed in as the user who began this: sign in and begin again";
                    ApiError::forbidden("sign_in_mismatch", message)
                })?;
                accounts::link(&self.pool, identity, &account).await?;
            }
        }
        let mut response = HttpResponse::SeeOther();
        response.insert_header((LOCATION, safe_return(&attempt.return_to)));
        for cookie in cookies {
            response.cookie(cookie);
        }
        Ok(response.finish())
    }
}

impl From<ProviderError> for ApiError {
    fn from(error: ProviderError) -> Self {
        match error {
            ProviderError::Refused(why) => {
                Self::forbidden("sign_in_refused", "the sign-in was refused or cancelled: try again")
                    .with_source(why)
            }
            ProviderError::Forged(why) => {
                tracing::warn!(why, "an answer of a sign-in provider was not taken");
                Self::bad_request("sign_in_invalid", "this answer can't be trusted: sign in again")
            }
            ProviderError::Unavailable(cause) => {
                let message = "the sign-in provider can't be asked at the moment: try again";
                Self::unavailable("provider_unavailable", message, 5).with_source(cause)
            }
            ProviderError::Store(cause) => users_unavailable(cause),
        }
    }
}

impl From<SignInError> for ApiError {
    fn from(error: SignInError) -> Self {
        let message = error.to_string();
        match error {
            SignInError::Taken => Self::conflict("sign_in_taken", message),
            SignInError::Unknown => Self::not_found("unknown_sign_in", message),
            SignInError::Gone => Self::conflict("sign_in_gone", message),
            SignInError::Last => Self::new(StatusCode::CONFLICT, "last_sign_in", message),
            SignInError::Caller(cause) => cause.into(),
            SignInError::Store(cause) => users_unavailable(cause),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::safe_return;

    #[test]
    fn nobody_is_sent_to_another_site() {
        for ours in ["/", "/account", "/players/1?tab=weapons#top", "/matches/a%2Fb"] {
            assert_eq!(safe_return(ours), ours);
        }
        for foreign in [
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "evil.example",
            "",
            "javascript:alert(1)",
            "/\t/evil.example",
            " /account",
            "/\u{2028}evil",
            "/a\r\nSet-Cookie: x=y",
        ] {
            assert_eq!(safe_return(foreign), "/", "{foreign:?}");
        }
        assert_eq!(safe_return(&format!("/{}", "a".repeat(2_000))), "/");
    }
}
