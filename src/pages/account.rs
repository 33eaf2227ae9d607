//! `/account`: what belongs to the signed-in user, and how they leave.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use super::{Form, Pages, see, with_cookies};
use crate::access::{NoFields, SafeForm, SignedIn};
use crate::auth::{CODE_COOKIE, SessionCookies, Sessions, ShortCodes};
use crate::http::ApiError;
use crate::players::{self, CODE_LIFETIME, MadeCode, Purpose};
use crate::sign_in::{self, SignIn};
use crate::users::account::SessionAnswer;
use crate::users::{self, delete_account, users_unavailable};

pub(super) async fn page(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    pages: Data<Pages>,
    pool: Data<PgPool>,
    sessions: Data<Sessions>,
    providers: Data<SignIn>,
    codes: Data<ShortCodes>,
) -> Result<HttpResponse, ApiError> {
    let user = users::find(&pool, caller.user_id).await.map_err(users_unavailable)?;
    let user = user.ok_or_else(|| ApiError::unauthorized("unknown_user", "this account no longer exists"))?;
    let linked = players::linked_players(&pool, caller.user_id).await.map_err(users_unavailable)?;
    let has_statistics = has_statistics(&pages, caller.user_id).await;
    let sign_ins = players::sign_ins_of(&pool, caller.user_id).await.map_err(users_unavailable)?;
    let open = sessions.list(caller.user_id).await?;
    let open: Vec<SessionAnswer> =
        open.into_iter().map(|session| SessionAnswer::new(session, caller.session_id)).collect();
    let context = json!({
        "user": {
            "user_id": user.user_id,
            "display_name": user.display_name,
            "role": user.role,
            "created_at": user.created_at,
        },
        "has_statistics": has_statistics,
        "players": linked,
        "sign_ins": sign_ins,
        "sessions": open,
        "providers": providers.offered(),
        "codes": shown_codes(&request, &pool, &codes, caller.user_id).await?,
    });
    let form = Form {
        request: &request,
        viewer: Some(caller),
        template: "account.html",
        title: "Your account",
        context,
    };
    pages.form(form).await
}

/// Whether the user's page of statistics holds anything; so it is taken to while nobody can say.
async fn has_statistics(pages: &Pages, user_id: i32) -> bool {
    let Ok(player_id) = user_id.to_string().parse() else { return false };
    let found = pages.stats.require_player(&player_id).await;
    !found.is_err_and(|error| error.status() == StatusCode::NOT_FOUND)
}

/// A code of the signed-in user, as their browser keeps it.
struct ShownCode {
    kind: String,
    code: String,
    expires_at: DateTime<Utc>,
}

impl ShownCode {
    /// As it stands in the cookie.
    fn read(text: &str, user_id: i32) -> Option<Self> {
        let mut parts = text.split('.');
        let (kind, code, expires, owner) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let expires_at = DateTime::from_timestamp(expires.parse().ok()?, 0)?;
        let is_known = matches!(kind, "login" | "claim");
        let is_sane = code.bytes().all(|byte| byte.is_ascii_alphanumeric()) && code.len() < 32;
        (owner == user_id.to_string() && is_known && is_sane && expires_at > Utc::now()).then(|| Self {
            kind: kind.to_owned(),
            code: code.to_owned(),
            expires_at,
        })
    }

    fn written(&self, user_id: i32) -> String {
        format!("{}.{}.{}.{user_id}", self.kind, self.code, self.expires_at.timestamp())
    }
}

/// The codes of this user that the cookie brings, while they hold: one of each kind.
fn codes_in(request: &HttpRequest, user_id: i32) -> Vec<ShownCode> {
    let value = SessionCookies::value_in(request, CODE_COOKIE).unwrap_or_default();
    value.split('~').take(2).filter_map(|text| ShownCode::read(text, user_id)).collect()
}

/// By kind; of one that was used no more than that.
async fn shown_codes(
    request: &HttpRequest,
    pool: &PgPool,
    codes: &ShortCodes,
    user_id: i32,
) -> Result<Value, ApiError> {
    let mut shown = Map::new();
    for ShownCode { kind, code, expires_at } in codes_in(request, user_id) {
        let is_good = players::is_unused(pool, codes, user_id, &code).await.map_err(users_unavailable)?;
        let told = match is_good {
            true => {
                json!({ "code": code, "expires_at": expires_at, "seconds_left": seconds_left(expires_at) })
            }
            false => json!({ "is_used": true }),
        };
        shown.insert(kind, told);
    }
    Ok(Value::Object(shown))
}

/// For what counts down.
pub(super) fn seconds_left(until: DateTime<Utc>) -> i64 {
    (until - Utc::now()).num_seconds().max(0)
}

pub(super) async fn make_game_token(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    pool: Data<PgPool>,
    codes: Data<ShortCodes>,
    cookies: Data<SessionCookies>,
    _: SafeForm<NoFields>,
) -> Result<HttpResponse, ApiError> {
    let made = players::make_code(&pool, &codes, caller, Purpose::GameLogin).await?;
    show_code(&request, &cookies, caller.user_id, "login", made)
}

pub(super) async fn make_claim(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    pool: Data<PgPool>,
    codes: Data<ShortCodes>,
    cookies: Data<SessionCookies>,
    _: SafeForm<NoFields>,
) -> Result<HttpResponse, ApiError> {
    let made = players::make_code(&pool, &codes, caller, Purpose::Claim).await?;
    show_code(&request, &cookies, caller.user_id, "claim", made)
}

/// Beside the code of the other kind, which is good still.
fn show_code(
    request: &HttpRequest,
    cookies: &SessionCookies,
    user_id: i32,
    kind: &str,
    made: MadeCode,
) -> Result<HttpResponse, ApiError> {
    let mut codes = codes_in(request, user_id);
    codes.retain(|code| code.kind != kind);
    codes.push(ShownCode { kind: kind.to_owned(), code: made.code, expires_at: made.expires_at });
    let value = codes.iter().map(|code| code.written(user_id)).collect::<Vec<_>>().join("~");
    let cookie = cookies.cookie(CODE_COOKIE, value, CODE_LIFETIME);
    with_cookies(see(&format!("/account#{kind}-code")), [cookie])
}

#[derive(Deserialize)]
pub(super) struct PlayerForm {
    player_id: String,
}

pub(super) async fn unlink_player(
    SignedIn(caller): SignedIn,
    pool: Data<PgPool>,
    SafeForm(form): SafeForm<PlayerForm>,
) -> Result<HttpResponse, ApiError> {
    players::unlink_of(&pool, caller.user_id, &form.player_id).await?;
    Ok(see("/account#players"))
}

#[derive(Deserialize)]
pub(super) struct SignInForm {
    provider: String,
    subject: String,
}

pub(super) async fn unlink_sign_in(
    SignedIn(caller): SignedIn,
    pool: Data<PgPool>,
    sessions: Data<Sessions>,
    SafeForm(form): SafeForm<SignInForm>,
) -> Result<HttpResponse, ApiError> {
    sessions.require_recent(caller.session_id).await?;
    sign_in::unlink_sign_in(&pool, caller, &form.provider, &form.subject).await?;
    Ok(see("/account#sign-ins"))
}

#[derive(Deserialize)]
pub(super) struct SessionForm {
    session_id: Uuid,
}

pub(super) async fn end_session(
    SignedIn(caller): SignedIn,
    sessions: Data<Sessions>,
    SafeForm(form): SafeForm<SessionForm>,
) -> Result<HttpResponse, ApiError> {
    // One that has ended meanwhile is what was asked for.
    sessions.end(caller.user_id, form.session_id).await?;
    Ok(see("/account#sessions"))
}

pub(super) async fn sign_out(
    SignedIn(caller): SignedIn,
    sessions: Data<Sessions>,
    cookies: Data<SessionCookies>,
    _: SafeForm<NoFields>,
) -> Result<HttpResponse, ApiError> {
    sessions.end(caller.user_id, caller.session_id).await?;
    with_cookies(see("/"), cookies.sign_out())
}

pub(super) async fn sign_out_everywhere(
    SignedIn(caller): SignedIn,
    sessions: Data<Sessions>,
    cookies: Data<SessionCookies>,
    _: SafeForm<NoFields>,
) -> Result<HttpResponse, ApiError> {
    sessions.end_all(caller.user_id).await?;
    with_cookies(see("/"), cookies.sign_out())
}

#[derive(Deserialize)]
pub(super) struct DeletionForm {
    /// The user's id, typed: nobody deletes their account by a slip.
    #[serde(default)]
    confirmation: String,
    #[serde(default)]
    anonymise_players: Option<String>,
}

pub(super) async fn delete(
    SignedIn(caller): SignedIn,
    pool: Data<PgPool>,
    sessions: Data<Sessions>,
    cookies: Data<SessionCookies>,
    SafeForm(form): SafeForm<DeletionForm>,
) -> Result<HttpResponse, ApiError> {
    if form.confirmation.trim() != caller.user_id.to_string() {
        return Err(ApiError::invalid_field("confirmation", "type your account's number to delete it"));
    }
    sessions.require_recent(caller.session_id).await?;
    delete_account(&pool, caller, form.anonymise_players.is_some()).await?;
    sessions.access_changed(caller.user_id).await.map_err(users_unavailable)?;
    with_cookies(see("/"), cookies.sign_out())
}
