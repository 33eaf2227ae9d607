//! `/admin/servers`: game servers, their tokens and approval. An organizer sees their own, an admin all.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::PgPool;
use std::time::Duration;
use uuid::Uuid;

use super::{Form, Pages, see, with_cookies};
use crate::access::{Admin, NoFields, Organizer, SafeForm};
use crate::auth::{Identity, NEW_SECRET_COOKIE, SessionCookies, ShortCodes};
use crate::http::ApiError;
use crate::ingest::Ingest;
use crate::servers::{
    AdminServer, Changer, NewServerBody, approve_server, give_server, list_servers, make_server_key,
    new_server, remove_server, rotate_server_token, servers_unavailable,
};
use crate::users::Role;

/// The page takes the cookie of a new token or key away again: it is shown once.
const SHOWN_WITHIN: Duration = Duration::from_secs(60);

fn is_admin(caller: Identity) -> bool {
    caller.role == Role::Admin
}

pub(super) async fn page(
    Organizer(caller): Organizer,
    request: HttpRequest,
    pages: Data<Pages>,
    pool: Data<PgPool>,
    ingest: Data<Ingest>,
    cookies: Data<SessionCookies>,
) -> Result<HttpResponse, ApiError> {
    let owner = (!is_admin(caller)).then_some(caller.user_id);
    let listed = list_servers(&pool, owner).await.map_err(servers_unavailable)?;
    let servers: Vec<AdminServer> =
        listed.into_iter().map(|server| AdminServer::of(server, &ingest)).collect();
    let secret = new_secret(&request);
    let shows_secret = !secret.is_null();
    let context = json!({ "servers": servers, "is_admin": is_admin(caller), "secret": secret });
    let title = if is_admin(caller) { "Servers" } else { "Your servers" };
    let form =
        Form { request: &request, viewer: Some(caller), template: "admin/servers.html", title, context };
    let page = pages.form(form).await?;
    match shows_secret {
        true => with_cookies(page, [cookies.cookie(NEW_SECRET_COOKIE, String::new(), Duration::ZERO)]),
        false => Ok(page),
    }
}

/// What the cookie brings, as far as it can be something of ours.
fn new_secret(request: &HttpRequest) -> Value {
    let read = || {
        let value = SessionCookies::value_in(request, NEW_SECRET_COOKIE)?;
        let (kind, secret) = value.split_once('.')?;
        let is_known = matches!(kind, "token" | "key");
        let is_sane = secret.len() < 100
            && secret.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        (is_known && is_sane).then(|| json!({ "kind": kind, "value": secret }))
    };
    read().unwrap_or(Value::Null)
}

fn show_secret(cookies: &SessionCookies, kind: &str, secret: &str) -> Result<HttpResponse, ApiError> {
    let cookie = cookies.cookie(NEW_SECRET_COOKIE, format!("{kind}.{secret}"), SHOWN_WITHIN);
    with_cookies(see("/admin/servers#secret"), [cookie])
}

#[derive(Deserialize)]
pub(super) struct AddForm {
    name: String,
    #[serde(default)]
    address: String,
    /// Browsers send an empty text where nothing was typed.
    #[serde(default)]
    port: String,
    #[serde(default)]
    region: String,
    #[serde(default)]
    description: String,
}

pub(super) async fn add(
    Organizer(caller): Organizer,
    pool: Data<PgPool>,
    cookies: Data<SessionCookies>,
    SafeForm(form): SafeForm<AddForm>,
) -> Result<HttpResponse, ApiError> {
    let port = match form.port.trim() {
        "" => None,
        port => Some(port.parse().map_err(|_| ApiError::invalid_field("port", "must be 1 to 65535"))?),
    };
    let body = NewServerBody {
        name: form.name,
        address: Some(form.address),
        port,
        region: Some(form.region),
        description: Some(form.description),
    };
    let added = new_server(&pool, caller, body).await?;
    show_secret(&cookies, "token", &added.token)
}

pub(super) async fn make_key(
    Organizer(caller): Organizer,
    pool: Data<PgPool>,
    codes: Data<ShortCodes>,
    cookies: Data<SessionCookies>,
    _: SafeForm<NoFields>,
) -> Result<HttpResponse, ApiError> {
    let made = make_server_key(&pool, &codes, Changer::User(caller)).await?;
    show_secret(&cookies, "key", &made.key)
}

pub(super) async fn rotate(
    Organizer(caller): Organizer,
    pool: Data<PgPool>,
    cookies: Data<SessionCookies>,
    id: Path<Uuid>,
    _: SafeForm<NoFields>,
) -> Result<HttpResponse, ApiError> {
    let token = rotate_server_token(&pool, Changer::User(caller), *id).await?;
    show_secret(&cookies, "token", token.expose())
}

#[derive(Deserialize)]
pub(super) struct RemovalForm {
    /// `yes`: nobody removes a server by a slip, as it can't be brought back.
    #[serde(default)]
    confirmed: String,
}

pub(super) async fn remove(
    Organizer(caller): Organizer,
    pool: Data<PgPool>,
    id: Path<Uuid>,
    SafeForm(form): SafeForm<RemovalForm>,
) -> Result<HttpResponse, ApiError> {
    if form.confirmed != "yes" {
        return Err(ApiError::invalid_field("confirmed", "say that the server is to be removed for good"));
    }
    remove_server(&pool, Changer::User(caller), *id).await?;
    Ok(see("/admin/servers"))
}

#[derive(Deserialize)]
pub(super) struct ApprovalForm {
    /// What the page showed.
    name: String,
}

pub(super) async fn approve(
    Admin(admin): Admin,
    pool: Data<PgPool>,
    id: Path<Uuid>,
    SafeForm(form): SafeForm<ApprovalForm>,
) -> Result<HttpResponse, ApiError> {
    approve_server(&pool, Changer::User(admin), *id, Some(&form.name)).await?;
    Ok(see(&format!("/admin/servers#server-{id}")))
}

#[derive(Deserialize)]
pub(super) struct OwnerForm {
    user_id: i32,
}

pub(super) async fn give(
    Admin(admin): Admin,
    pool: Data<PgPool>,
    id: Path<Uuid>,
    SafeForm(form): SafeForm<OwnerForm>,
) -> Result<HttpResponse, ApiError> {
    give_server(&pool, admin, *id, form.user_id).await?;
    Ok(see(&format!("/admin/servers#server-{id}")))
}
