//! `/login` and `/device`.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::json;

use super::account::seconds_left;
use super::{Form, Pages, see};
use crate::access::{Anyone, SafeForm, SignedIn};
use crate::http::ApiError;
use crate::http::query::{Parameter, QueryShape};
use crate::limits::GuessLimits;
use crate::sign_in::{self, Devices, SignIn, safe_return};
use crate::users::users_unavailable;

const RETURN_TO: Parameter =
    Parameter { name: "return_to", description: "A path of this site to come back to.", example: "/account" };
const USER_CODE: Parameter =
    Parameter { name: "user_code", description: "The code that the device shows.", example: "K7WQ-2MXHT" };
const DONE: Parameter = Parameter { name: "done", description: "What was answered.", example: "approved" };
const LOGIN: QueryShape = QueryShape { parameters: &[RETURN_TO], filters: &[], paged: false };
const DEVICE: QueryShape = QueryShape { parameters: &[USER_CODE, DONE], filters: &[], paged: false };

pub(super) async fn login(
    Anyone(viewer): Anyone,
    request: HttpRequest,
    pages: Data<Pages>,
    providers: Data<SignIn>,
) -> Result<HttpResponse, ApiError> {
    let mut values = LOGIN.read(request.query_string());
    let asked = values.parameter("return_to").unwrap_or_default();
    values.finish()?;
    let return_to = safe_return(&asked);
    if viewer.is_some() {
        return Ok(see(return_to));
    }
    let context = json!({ "providers": providers.offered(), "return_to": return_to });
    let form = Form { request: &request, viewer: None, template: "login.html", title: "Sign in", context };
    pages.form(form).await
}

pub(super) async fn device(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    pages: Data<Pages>,
    devices: Data<Devices>,
    guesses: Data<GuessLimits>,
) -> Result<HttpResponse, ApiError> {
    let mut values = DEVICE.read(request.query_string());
    let user_code = values.parameter("user_code").unwrap_or_default();
    let done = values.parameter("done").filter(|done| matches!(done.as_str(), "approved" | "denied"));
    values.finish()?;
    let asked = match user_code.is_empty() {
        true => None,
        false => {
            let guess = guesses.check(&request).await?;
            let asked = devices.asked(&user_code).await.map_err(users_unavailable)?;
            if asked.is_none() {
                guess.was_wrong();
            }
            asked
        }
    };
    let context = json!({
        "user_code": user_code,
        "device": asked.map(|device| json!({
            "client_name": device.client_name,
            "expires_at": device.expires_at,
            "seconds_left": seconds_left(device.expires_at),
        })),
        "done": done,
    });
    let form = Form {
        request: &request,
        viewer: Some(caller),
        template: "device.html",
        title: "Sign in a device",
        context,
    };
    pages.form(form).await
}

#[derive(Deserialize)]
pub(super) struct DeviceForm {
    user_code: String,
    /// `approve` or `deny`.
    answer: String,
}

pub(super) async fn answer_device(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    devices: Data<Devices>,
    guesses: Data<GuessLimits>,
    SafeForm(form): SafeForm<DeviceForm>,
) -> Result<HttpResponse, ApiError> {
    let approved = match form.answer.as_str() {
        "approve" => true,
        "deny" => false,
        _ => return Err(ApiError::invalid_field("answer", "must be approve or deny")),
    };
    sign_in::answer_device(caller, &request, &devices, &guesses, &form.user_code, approved).await?;
    Ok(see(if approved { "/device?done=approved" } else { "/device?done=denied" }))
}
