//! `/api/v1/webhooks…`: own webhooks of organizers, all of them for admins.

use std::time::Duration;

use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{Data, Json, Path};
use actix_web::{HttpRequest, HttpResponse};
use mohaa_domain::name::can_be_seen;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use utoipa::{OpenApi, ToSchema};
use uuid::Uuid;

use super::WebhookError;
use super::announcement::WebhookEvent;
use super::deliveries::{self, Delivery, DeliveryList};
use super::sealing::Sealer;
use super::store::{self, NewWebhook, Webhook, WebhookChange, WebhookKind, WebhookList};
use super::target::TargetUrl;
use crate::access::{Organizer, Route, delete, get, post, put};
use crate::http::query::{Parameter, QueryShape};
use crate::http::{ApiError, ErrorBody, JsonBody, said};
use crate::networks::{AllowedNetworks, LookupError};

#[derive(OpenApi)]
#[openapi(
    paths(webhooks, add, webhook, change, remove, rotate_secret, deliveries, replay, test),
    tags((name = "Webhooks", description = "Addresses that are told of what happens."))
)]
pub struct WebhooksApi;

const LONGEST_NAME_CHARS: usize = 100;
/// Whoever makes a webhook waits for the name server.
const LONGEST_LOOKUP: Duration = Duration::from_secs(3);

const LIST: QueryShape = QueryShape { parameters: &[], filters: &[], paged: true };
const STATUS: Parameter =
    Parameter { name: "status", description: "pending, delivered or given_up.", example: "given_up" };
const DELIVERIES: QueryShape = QueryShape { parameters: &[], filters: &[STATUS], paged: true };

/// The query parameters of each path, for the OpenAPI document.
pub const QUERY_SHAPES: &[(&str, QueryShape)] =
    &[("/api/v1/webhooks", LIST), ("/api/v1/webhooks/{id}/deliveries", DELIVERIES)];

pub fn routes() -> Vec<Route> {
    vec![
        get("/api/v1/webhooks", webhooks),
        post("/api/v1/webhooks", add),
        get("/api/v1/webhooks/{id}", webhook),
        put("/api/v1/webhooks/{id}", change),
        delete("/api/v1/webhooks/{id}", remove),
        post("/api/v1/webhooks/{id}/rotate-secret", rotate_secret),
        get("/api/v1/webhooks/{id}/deliveries", deliveries),
        post("/api/v1/webhooks/{id}/replay", replay),
        post("/api/v1/webhooks/{id}/test", test),
    ]
}

/// What the handlers need; the application holds it.
#[derive(Clone)]
pub struct WebhookSettings {
    pub sealer: Sealer,
    pub networks: AllowedNetworks,
}

/// Webhooks of the signed-in organizer, or all for an admin, the oldest first
#[utoipa::path(
    get,
    path = "/api/v1/webhooks",
    tag = "Webhooks",
    responses(
        (status = 200, body = WebhookList),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "The signed-in user is no organizer", body = ErrorBody),
        (status = 422, description = "A parameter can't be used", body = ErrorBody),
        (status = 503, description = "Webhooks can't be read at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn webhooks(
    Organizer(caller): Organizer,
    request: HttpRequest,
    pool: Data<PgPool>,
) -> Result<Json<WebhookList>, ApiError> {
    let mut values = LIST.read(request.query_string());
    let paging = values.paging();
    values.finish()?;
    Ok(Json(store::list(&pool, caller, paging).await?))
}

#[derive(Deserialize, ToSchema)]
pub struct NewWebhookBody {
    pub kind: WebhookKind,
    /// For people; at most 100 characters.
    #[schema(example = "Clan site")]
    pub name: String,
    /// http or https, on port 80, 443 or one from 1024 on, and not in a private network.
    #[schema(example = "https://clan.example/hooks/mohaa")]
    pub url: String,
    /// At least one.
    pub events: Vec<WebhookEvent>,
    /// A tournament that you run; without it, all that you run.
    #[serde(default)]
    pub tournament_id: Option<Uuid>,
}

/// A new webhook.
#[derive(Serialize, ToSchema)]
pub struct NewWebhookAnswer {
    #[serde(flatten)]
    pub webhook: Webhook,
    /// What its messages are signed with, shown this once; null for Discord.
    pub secret: Option<String>,
}

fn read_name(text: &str) -> Result<String, ApiError> {
    let name = text.trim();
    let is_good = name.chars().count() <= LONGEST_NAME_CHARS
        && can_be_seen(name)
        && !name.chars().any(char::is_control);
    match is_good {
        true => Ok(name.to_owned()),
        false => Err(ApiError::invalid_field(
            "name",
            format!(
                "has 1 to {LONGEST_NAME_CHARS} characters, some that can be seen, and no control characters"
            ),
        )),
    }
}

fn require_events(events: &[WebhookEvent]) -> Result<(), ApiError> {
    match events {
        [] => Err(ApiError::invalid_field("events", "names at least one")),
        _ => Ok(()),
    }
}

/// An address that may be sent to as far as is known now. A name that nobody knows yet may be known later; where it leads is
/// checked each time something is sent.
async fn read_url(text: &str, networks: &AllowedNetworks) -> Result<TargetUrl, ApiError> {
    let refused = |why: String| ApiError::invalid_field("url", why);
    let url = TargetUrl::parse(text, networks).map_err(|error| refused(error.to_string()))?;
    if let Some((host, port)) = url.name_and_port() {
        let looked_up = tokio::time::timeout(LONGEST_LOOKUP, networks.resolve(host, port)).await;
        if let Ok(Err(error @ LookupError::Private(_))) = looked_up {
            return Err(refused(error.to_string()));
        }
    }
    Ok(url)
}

/// Make a webhook
///
/// The secret with which messages of the kind `generic` are signed is in this answer and never again.
#[utoipa::path(
    post,
    path = "/api/v1/webhooks",
    tag = "Webhooks",
    request_body = NewWebhookBody,
    responses(
        (status = 201, body = NewWebhookAnswer),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "The signed-in user is no organizer", body = ErrorBody),
        (status = 409, description = "There are too many", body = ErrorBody),
        (status = 422, description = "A field can't be used", body = ErrorBody),
        (status = 503, description = "Webhooks can't be changed at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn add(
    Organizer(caller): Organizer,
    pool: Data<PgPool>,
    settings: Data<WebhookSettings>,
    JsonBody(body): JsonBody<NewWebhookBody>,
) -> Result<HttpResponse, ApiError> {
    let name = read_name(&body.name)?;
    require_events(&body.events)?;
    let url = read_url(&body.url, &settings.networks).await?;
    let new =
        NewWebhook { kind: body.kind, name, url, events: body.events, tournament_id: body.tournament_id };
    let (webhook, secret) = store::add(&pool, &settings.sealer, caller, &new).await?;
    let answer = NewWebhookAnswer { webhook, secret: secret.map(|secret| secret.expose().to_owned()) };
    Ok(HttpResponse::Created().insert_header((CACHE_CONTROL, "no-store")).json(answer))
}

/// A webhook
#[utoipa::path(
    get,
    path = "/api/v1/webhooks/{id}",
    tag = "Webhooks",
    params(("id" = Uuid, Path, description = "the webhook")),
    responses(
        (status = 200, body = Webhook),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "The signed-in user is no organizer", body = ErrorBody),
        (status = 404, description = "The user has no such webhook", body = ErrorBody),
        (status = 503, description = "Webhooks can't be read at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn webhook(
    Organizer(caller): Organizer,
    pool: Data<PgPool>,
    id: Path<Uuid>,
) -> Result<Json<Webhook>, ApiError> {
    let mut connection = pool.acquire().await.map_err(WebhookError::from)?;
    Ok(Json(store::find(&mut connection, caller, *id).await?))
}

/// What is absent stays as it is.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct WebhookBody {
    pub name: Option<String>,
    pub url: Option<String>,
    pub events: Option<Vec<WebhookEvent>>,
    /// Null: of all tournaments.
    #[serde(deserialize_with = "said")]
    #[schema(value_type = Option<Uuid>)]
    pub tournament_id: Option<Option<Uuid>>,
    /// `true` also enables one that was disabled because nothing came through.
    pub enabled: Option<bool>,
}

/// Change a webhook
#[utoipa::path(
    put,
    path = "/api/v1/webhooks/{id}",
    tag = "Webhooks",
    params(("id" = Uuid, Path, description = "the webhook")),
    request_body = WebhookBody,
    responses(
        (status = 200, body = Webhook),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "The signed-in user is no organizer", body = ErrorBody),
        (status = 404, description = "The user has no such webhook", body = ErrorBody),
        (status = 422, description = "A field can't be used", body = ErrorBody),
        (status = 503, description = "Webhooks can't be changed at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn change(
    Organizer(caller): Organizer,
    pool: Data<PgPool>,
    settings: Data<WebhookSettings>,
    id: Path<Uuid>,
    JsonBody(body): JsonBody<WebhookBody>,
) -> Result<Json<Webhook>, ApiError> {
    let name = body.name.as_deref().map(read_name).transpose()?;
    if let Some(events) = &body.events {
        require_events(events)?;
    }
    let url = match &body.url {
        Some(url) => Some(read_url(url, &settings.networks).await?),
        None => None,
    };
    let change = WebhookChange {
        name,
        url,
        events: body.events,
        tournament_id: body.tournament_id,
        enabled: body.enabled,
    };
    Ok(Json(store::change(&pool, &settings.sealer, caller, *id, &change).await?))
}

/// Remove a webhook, with the log of what was sent
#[utoipa::path(
    delete,
    path = "/api/v1/webhooks/{id}",
    tag = "Webhooks",
    params(("id" = Uuid, Path, description = "the webhook")),
    responses(
        (status = 204, description = "Removed; nothing more is sent"),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "The signed-in user is no organizer", body = ErrorBody),
        (status = 404, description = "The user has no such webhook", body = ErrorBody),
        (status = 503, description = "Webhooks can't be changed at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn remove(
    Organizer(caller): Organizer,
    pool: Data<PgPool>,
    id: Path<Uuid>,
) -> Result<HttpResponse, ApiError> {
    store::remove(&pool, caller, *id).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[derive(Serialize, ToSchema)]
pub struct WebhookSecretAnswer {
    pub webhook_id: Uuid,
    pub secret: String,
}

/// Another secret for a webhook
///
/// Messages that are sent from here on are signed with it, those that were tried before too.
#[utoipa::path(
    post,
    path = "/api/v1/webhooks/{id}/rotate-secret",
    tag = "Webhooks",
    params(("id" = Uuid, Path, description = "the webhook")),
    responses(
        (status = 200, description = "The secret, shown this once", body = WebhookSecretAnswer),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "The signed-in user is no organizer", body = ErrorBody),
        (status = 404, description = "The user has no such webhook", body = ErrorBody),
        (status = 409, description = "Messages to Discord are not signed", body = ErrorBody),
        (status = 503, description = "Webhooks can't be changed at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn rotate_secret(
    Organizer(caller): Organizer,
    pool: Data<PgPool>,
    settings: Data<WebhookSettings>,
    id: Path<Uuid>,
) -> Result<HttpResponse, ApiError> {
    let secret = store::rotate_secret(&pool, &settings.sealer, caller, *id).await?;
    let answer = WebhookSecretAnswer { webhook_id: *id, secret: secret.expose().to_owned() };
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(answer))
}

/// What was sent to a webhook, and what waits, the latest first
///
/// Kept for thirty days.
#[utoipa::path(
    get,
    path = "/api/v1/webhooks/{id}/deliveries",
    tag = "Webhooks",
    params(("id" = Uuid, Path, description = "the webhook")),
    responses(
        (status = 200, body = DeliveryList),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "The signed-in user is no organizer", body = ErrorBody),
        (status = 404, description = "The user has no such webhook", body = ErrorBody),
        (status = 422, description = "A parameter can't be used", body = ErrorBody),
        (status = 503, description = "Webhooks can't be read at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn deliveries(
    Organizer(caller): Organizer,
    request: HttpRequest,
    pool: Data<PgPool>,
    id: Path<Uuid>,
) -> Result<Json<DeliveryList>, ApiError> {
    let mut values = DELIVERIES.read(request.query_string());
    let status = values.parsed_filter("status", |word| match word {
        "pending" | "delivered" | "given_up" => Ok(word.to_owned()),
        _ => Err("must be pending, delivered or given_up".to_owned()),
    });
    let paging = values.paging();
    values.finish()?;
    Ok(Json(deliveries::list(&pool, caller, *id, status.as_deref(), paging).await?))
}

#[derive(Deserialize, ToSchema)]
pub struct ReplayBody {
    pub delivery_id: Uuid,
}

/// Send a message again
///
/// Under its own id: a receiver that has it already sees that.
#[utoipa::path(
    post,
    path = "/api/v1/webhooks/{id}/replay",
    tag = "Webhooks",
    params(("id" = Uuid, Path, description = "the webhook")),
    request_body = ReplayBody,
    responses(
        (status = 202, description = "It is sent in a moment", body = Delivery),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "The signed-in user is no organizer", body = ErrorBody),
        (status = 404, description = "The user has no such webhook, or it no such delivery", body = ErrorBody),
        (status = 409, description = "It is still being tried, or the webhook is disabled", body = ErrorBody),
        (status = 422, description = "A field can't be used", body = ErrorBody),
        (status = 503, description = "Webhooks can't be changed at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn replay(
    Organizer(caller): Organizer,
    pool: Data<PgPool>,
    id: Path<Uuid>,
    JsonBody(body): JsonBody<ReplayBody>,
) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Accepted().json(deliveries::replay(&pool, caller, *id, body.delivery_id).await?))
}

/// Send a message of the event `test`
#[utoipa::path(
    post,
    path = "/api/v1/webhooks/{id}/test",
    tag = "Webhooks",
    params(("id" = Uuid, Path, description = "the webhook")),
    responses(
        (status = 202, description = "It is sent in a moment; the log says how that went", body = Delivery),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "The signed-in user is no organizer", body = ErrorBody),
        (status = 404, description = "The user has no such webhook", body = ErrorBody),
        (status = 409, description = "The webhook is disabled", body = ErrorBody),
        (status = 503, description = "Webhooks can't be changed at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn test(
    Organizer(caller): Organizer,
    pool: Data<PgPool>,
    id: Path<Uuid>,
) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Accepted().json(deliveries::send_test(&pool, caller, *id).await?))
}
