//! `/api/v1/auth/device/…`: what a device calls.

use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::device::{Devices, INTERVAL_SECONDS, LIFETIME, NotYet};
use crate::access::{Anyone, SignedIn};
use crate::auth::{Identity, SessionError, Sessions, TokenPair};
use crate::http::{ApiError, BaseUrl, ErrorBody, JsonBody, json_or_form};
use crate::limits::GuessLimits;
use crate::users::users_unavailable;

#[derive(Default, Deserialize, ToSchema)]
pub struct DeviceInitBody {
    /// What the person who approves reads.
    #[serde(default)]
    #[schema(example = "mohaa-stats on kitchen-pc")]
    pub client_name: String,
}

/// RFC 8628, 3.2.
#[derive(Serialize, ToSchema)]
pub struct DeviceInit {
    pub device_code: String,
    /// To be typed at `verification_uri`.
    #[schema(example = "K7WQ-2MXHT")]
    pub user_code: String,
    pub verification_uri: String,
    pub verification_uri_complete: String,
    /// Seconds that the codes hold.
    pub expires_in: u64,
    /// Seconds between two polls.
    pub interval: i32,
}

/// Sign a device in, the beginning
#[utoipa::path(
    post,
    path = "/api/v1/auth/device/init",
    tag = "Signing in",
    request_body(content = DeviceInitBody, content_type = "*/*"),
    responses(
        (status = 200, description = "The codes", body = DeviceInit),
        (status = 429, description = "Too many wrong codes came from this address", body = ErrorBody),
        (status = 503, description = "Nobody can sign in at the moment", body = ErrorBody),
    )
)]
pub async fn init_device(
    _: Anyone,
    request: HttpRequest,
    devices: Data<Devices>,
    guesses: Data<GuessLimits>,
    base_url: Data<BaseUrl>,
    body: Bytes,
) -> Result<HttpResponse, ApiError> {
    drop(guesses.check(&request).await?);
    let body: DeviceInitBody = json_or_form(&body).unwrap_or_default();
    let begun = devices.begin(&body.client_name).await.map_err(users_unavailable)?;
    let verification_uri = format!("{}/device", base_url.as_str());
    Ok(HttpResponse::Ok().json(DeviceInit {
        verification_uri_complete: format!("{verification_uri}?user_code={}", begun.user_code),
        device_code: begun.device_code,
        user_code: begun.user_code,
        verification_uri,
        expires_in: LIFETIME.as_secs(),
        interval: INTERVAL_SECONDS,
    }))
}

#[derive(Default, Deserialize, ToSchema)]
pub struct DevicePollBody {
    #[serde(default)]
    pub device_code: String,
}

/// Why there are no tokens (RFC 8628, 3.5).
#[derive(Serialize, ToSchema)]
pub struct DeviceError {
    /// `authorization_pending`, `slow_down`, `expired_token`, `access_denied` or `invalid_request`.
    pub error: &'static str,
    pub error_description: &'static str,
    /// The same as `error`.
    pub code: &'static str,
}

/// Sign a device in, the end
///
/// To be asked every `interval` seconds; `slow_down` makes that five seconds longer.
#[utoipa::path(
    post,
    path = "/api/v1/auth/device/poll",
    tag = "Signing in",
    request_body(content = DevicePollBody, content_type = "*/*"),
    responses(
        (status = 200, description = "Approved; told once", body = TokenPair),
        (status = 400, description = "Not yet, or not at all", body = DeviceError),
        (status = 429, description = "Too many wrong codes came from this address", body = ErrorBody),
        (status = 503, description = "Nobody can sign in at the moment", body = ErrorBody),
    )
)]
pub async fn poll_device(
    _: Anyone,
    request: HttpRequest,
    devices: Data<Devices>,
    guesses: Data<GuessLimits>,
    sessions: Data<Sessions>,
    body: Bytes,
) -> Result<HttpResponse, ApiError> {
    let body: DevicePollBody = json_or_form(&body).unwrap_or_default();
    if body.device_code.is_empty() {
        let answer = DeviceError {
            error: "invalid_request",
            error_description: "send what `device/init` gave as `device_code`",
            code: "invalid_request",
        };
        return Ok(HttpResponse::BadRequest().json(answer));
    }
    let guess = guesses.check(&request).await?;
    let (error, error_description) = match devices.poll(&sessions, &body.device_code).await {
        Ok(Ok(opened)) => return Ok(HttpResponse::Ok().json(TokenPair::from(opened))),
        Err(SessionError::Banned | SessionError::Invalid) => {
            ("access_denied", "the account that approved this device is banned or gone")
        }
        Err(error) => return Err(error.into()),
        Ok(Err(NotYet::Pending)) => ("authorization_pending", "nobody has approved this device yet"),
        Ok(Err(NotYet::SlowDown)) => ("slow_down", "ask less often: five seconds longer from here on"),
        Ok(Err(NotYet::Denied)) => ("access_denied", "the person who was asked said no"),
        Ok(Err(NotYet::Expired)) => ("expired_token", "this code has expired or was used: begin again"),
        Ok(Err(NotYet::Unknown)) => {
            guess.was_wrong();
            ("expired_token", "this code has expired or was used: begin again")
        }
    };
    let answer = DeviceError { error, error_description, code: error };
    Ok(HttpResponse::BadRequest().json(answer))
}

#[derive(Deserialize, ToSchema)]
pub struct DeviceAnswerBody {
    /// What the device shows.
    #[schema(example = "K7WQ-2MXHT")]
    pub user_code: String,
}

/// Let a device act in the name of the signed-in user
#[utoipa::path(
    post,
    path = "/api/v1/auth/device/approve",
    tag = "Signing in",
    request_body = DeviceAnswerBody,
    responses(
        (status = 204, description = "The device is signed in when it asks the next time"),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "The account is banned", body = ErrorBody),
        (status = 404, description = "No device waits with this code", body = ErrorBody),
        (status = 415, description = "The body is not JSON", body = ErrorBody),
        (status = 422, description = "The code is missing", body = ErrorBody),
        (status = 429, description = "Too many wrong codes came from this address", body = ErrorBody),
        (status = 503, description = "Nobody can sign in at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn approve_device(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    devices: Data<Devices>,
    guesses: Data<GuessLimits>,
    JsonBody(body): JsonBody<DeviceAnswerBody>,
) -> Result<HttpResponse, ApiError> {
    answer_device(caller, &request, &devices, &guesses, &body.user_code, true).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Turn a device away
#[utoipa::path(
    post,
    path = "/api/v1/auth/device/deny",
    tag = "Signing in",
    request_body = DeviceAnswerBody,
    responses(
        (status = 204, description = "The device is told"),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "The account is banned", body = ErrorBody),
        (status = 404, description = "No device waits with this code", body = ErrorBody),
        (status = 415, description = "The body is not JSON", body = ErrorBody),
        (status = 422, description = "The code is missing", body = ErrorBody),
        (status = 429, description = "Too many wrong codes came from this address", body = ErrorBody),
        (status = 503, description = "Nobody can sign in at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn deny_device(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    devices: Data<Devices>,
    guesses: Data<GuessLimits>,
    JsonBody(body): JsonBody<DeviceAnswerBody>,
) -> Result<HttpResponse, ApiError> {
    answer_device(caller, &request, &devices, &guesses, &body.user_code, false).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Tells a device; a code that none shows counts as guessed.
pub(crate) async fn answer_device(
    caller: Identity,
    request: &HttpRequest,
    devices: &Devices,
    guesses: &GuessLimits,
    user_code: &str,
    approved: bool,
) -> Result<(), ApiError> {
    let guess = guesses.check(request).await?;
    if devices.answer(caller, user_code, approved).await? {
        return Ok(());
    }
    guess.was_wrong();
    Err(ApiError::not_found("unknown_code", "no device waits with this code: look at it once more"))
}
