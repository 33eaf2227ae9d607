//! `/api/v1/servers…`: the public list, servers of organizers and admins, and what a game script calls that has no token.

use std::collections::HashMap;

use actix_web::http::StatusCode;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{Bytes, Data, Json, Path};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use utoipa::{OpenApi, ToSchema};
use uuid::Uuid;

use super::keys::{make_server_key, split_key};
use super::query::{QueriedServer, ServerStatuses};
use super::registration::{RegisterError, Registration, register};
use super::store::{
    AddedServer, Changer, ListedServer, NewServer, ServerError, add_server_of, approve_server, give_server,
    is_host, list_servers, remove_server, rotate_server_token,
};
use crate::access::{Admin, Anyone, Organizer, Route, delete, get, post};
use crate::auth::{Identity, ShortCodes};
use crate::config::RegistrationPolicy;
use crate::http::client_address::client_address;
use crate::http::query::{Paging, QueryShape};
use crate::http::{ApiError, ErrorBody, JsonBody, LooseText, json_or_form};
use crate::ingest::Ingest;
use crate::limits::GuessLimits;
use crate::live::{ListedLiveMatch, Live};
use crate::postgres;

/// A server is online that was heard of so lately: an empty one sends a heartbeat a minute.
pub(super) const ONLINE_FOR: TimeDelta = TimeDelta::minutes(3);

#[derive(OpenApi)]
#[openapi(
    paths(
        servers, add, rotate_token, remove, make_key, register_server, admin_servers, my_servers, approve, give
    ),
    tags((name = "Servers", description = "Game servers and their tokens."))
)]
pub struct ServersApi;

const LIST: QueryShape = QueryShape { parameters: &[], filters: &[], paged: true };

/// The query parameters of each path, for the OpenAPI document.
pub const QUERY_SHAPES: &[(&str, QueryShape)] =
    &[("/api/v1/servers", LIST), ("/api/v1/admin/servers", LIST), ("/api/v1/users/me/servers", LIST)];

/// What game scripts call.
pub fn of_game_servers() -> Vec<Route> {
    vec![post("/api/v1/servers/register", register_server)]
}

pub fn routes() -> Vec<Route> {
    vec![
        get("/api/v1/servers", servers),
        post("/api/v1/servers", add),
        post("/api/v1/servers/keys", make_key),
        post("/api/v1/servers/{id}/rotate-token", rotate_token),
        delete("/api/v1/servers/{id}", remove),
        get("/api/v1/users/me/servers", my_servers),
        get("/api/v1/admin/servers", admin_servers),
        post("/api/v1/admin/servers/{id}/approve", approve),
        post("/api/v1/admin/servers/{id}/owner", give),
    ]
}

/// While PostgreSQL can't be asked.
pub(crate) fn servers_unavailable(cause: sqlx::Error) -> ApiError {
    let message = "servers can't be read or changed at the moment: try again";
    postgres::unanswered("servers_unavailable", message, cause)
}

impl From<ServerError> for ApiError {
    fn from(error: ServerError) -> Self {
        let message = error.to_string();
        match error {
            ServerError::Name => Self::invalid_field("name", message),
            ServerError::Text { field, .. } => Self::invalid_field(field, message),
            ServerError::Address => Self::invalid_field("address", message),
            ServerError::Port => Self::invalid_field("port", message),
            ServerError::BotName(_) | ServerError::TooManyBotNames => {
                Self::invalid_field("bot_names", message)
            }
            ServerError::Owner(_) => Self::invalid_field("user_id", message),
            ServerError::Unknown(_) => Self::not_found("unknown_server", "there is no such server"),
            ServerError::Renamed => Self::conflict("server_renamed", message),
            ServerError::NotYours => Self::forbidden("not_your_server", message),
            ServerError::Caller(cause) => cause.into(),
            ServerError::Store(cause) => servers_unavailable(cause),
        }
    }
}

/// A server as everybody sees it.
#[derive(Serialize, ToSchema)]
pub struct PublicServer {
    pub server_id: Uuid,
    pub name: String,
    pub address: Option<String>,
    pub port: Option<i32>,
    pub region: Option<String>,
    pub description: Option<String>,
    /// Heard of within the last three minutes.
    pub online: bool,
    /// To about ten seconds; null for one that never sent anything.
    pub last_seen: Option<DateTime<Utc>>,
    /// Of the match that is being played, else as the server answered when it was asked; null where neither says it.
    pub map_name: Option<String>,
    pub gametype: Option<String>,
    pub player_count: Option<u64>,
    pub max_players: Option<i32>,
    pub match_id: Option<Uuid>,
    /// What it answered when it was asked over UDP; null where it did not within two minutes, or is not asked
    /// (`SERVER_QUERY`).
    pub queried: Option<QueriedServer>,
}

#[derive(Serialize, ToSchema)]
pub struct ServerList {
    pub page: u32,
    pub limit: u32,
    pub total: usize,
    pub servers: Vec<PublicServer>,
}

/// Game servers that report here, by name
#[utoipa::path(
    get,
    path = "/api/v1/servers",
    tag = "Servers",
    responses(
        (status = 200, body = ServerList),
        (status = 422, description = "A parameter can't be used", body = ErrorBody),
        (status = 503, description = "Servers can't be read at the moment", body = ErrorBody),
    )
)]
pub async fn servers(
    _: Anyone,
    request: HttpRequest,
    pool: Data<PgPool>,
    live: Data<Live>,
    statuses: Data<ServerStatuses>,
) -> Result<HttpResponse, ApiError> {
    let mut values = LIST.read(request.query_string());
    let paging = values.paging();
    values.finish()?;
    let list = public_list(&pool, &live, &statuses, paging).await?;
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "max-age=0, must-revalidate")).json(list))
}

/// Approved servers, by name, with what is played on them.
pub(crate) async fn public_list(
    pool: &PgPool,
    live: &Live,
    statuses: &ServerStatuses,
    paging: Paging,
) -> Result<ServerList, ApiError> {
    let mut approved = list_servers(pool, None).await.map_err(servers_unavailable)?;
    approved.retain(|server| server.approved);
    let total = approved.len();
    let mut playing: HashMap<Uuid, ListedLiveMatch> =
        live.list_now().matches.into_iter().map(|listed| (listed.server_id, listed)).collect();
    let now = Utc::now();
    let offset = usize::try_from(paging.offset()).unwrap_or(usize::MAX);
    let servers = approved
        .into_iter()
        .skip(offset)
        .take(paging.limit as usize)
        .map(|server| {
            let playing = playing.remove(&server.server_id);
            let queried = statuses.of(server.server_id);
            let said = queried.as_ref();
            PublicServer {
                server_id: server.server_id,
                online: server.last_seen_at.is_some_and(|at| now - at < ONLINE_FOR),
                last_seen: server.last_seen_at,
                name: server.name,
                address: server.address,
                port: server.port,
                region: server.region,
                description: server.description,
                map_name: playing
                    .as_ref()
                    .and_then(|playing| playing.map_name.clone())
                    .or_else(|| said?.map_name.clone()),
                gametype: playing
                    .as_ref()
                    .and_then(|playing| playing.gametype.clone())
                    .or_else(|| said?.gametype.clone()),
                player_count: playing
                    .as_ref()
                    .map(|playing| playing.player_count)
                    .or_else(|| u64::try_from(said?.player_count).ok()),
                max_players: playing
                    .as_ref()
                    .and_then(|playing| playing.max_players)
                    .or_else(|| i32::try_from(said?.max_players?).ok()),
                match_id: playing.map(|playing| playing.match_id),
                queried,
            }
        })
        .collect();
    Ok(ServerList { page: paging.page, limit: paging.limit, total, servers })
}

/// A server that its owner adds.
#[derive(Default, Deserialize, ToSchema)]
pub struct NewServerBody {
    #[schema(example = "Omaha Beach 24/7")]
    pub name: String,
    /// Host name or address at which players join.
    #[serde(default)]
    pub address: Option<String>,
    #[serde(default)]
    #[schema(example = 12203)]
    pub port: Option<u16>,
    #[serde(default)]
    pub region: Option<String>,
    #[serde(default)]
    pub description: Option<String>,
}

impl NewServerBody {
    /// Texts without white space around them; empty ones are none.
    pub(crate) fn tidied(self) -> NewServer {
        let tidy =
            |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        NewServer {
            name: self.name,
            address: tidy(self.address),
            port: self.port,
            region: tidy(self.region),
            description: tidy(self.description),
            bot_names: Vec::new(),
        }
    }
}

/// A server's token, shown this once.
#[derive(Serialize, ToSchema)]
pub struct ServerTokenAnswer {
    pub server_id: Uuid,
    pub token: String,
}

/// Add a game server
///
/// Its token is shown in this answer and never again; its owner is the signed-in user.
#[utoipa::path(
    post,
    path = "/api/v1/servers",
    tag = "Servers",
    request_body = NewServerBody,
    responses(
        (status = 201, description = "The server and its token", body = ServerTokenAnswer),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "The signed-in user is no organizer", body = ErrorBody),
        (status = 422, description = "A field can't be used", body = ErrorBody),
        (status = 503, description = "Servers can't be changed at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn add(
    Organizer(caller): Organizer,
    pool: Data<PgPool>,
    JsonBody(body): JsonBody<NewServerBody>,
) -> Result<HttpResponse, ApiError> {
    let added = new_server(&pool, caller, body).await?;
    Ok(HttpResponse::Created().json(added))
}

pub(crate) async fn new_server(
    pool: &PgPool,
    caller: Identity,
    body: NewServerBody,
) -> Result<ServerTokenAnswer, ApiError> {
    let added = add_server_of(pool, Changer::User(caller), &body.tidied()).await?;
    Ok(ServerTokenAnswer { server_id: added.server_id, token: added.token.expose().to_owned() })
}

/// A new token for a server
///
/// Every earlier one is refused from here on, on every node.
#[utoipa::path(
    post,
    path = "/api/v1/servers/{id}/rotate-token",
    tag = "Servers",
    params(("id" = Uuid, Path, description = "the server")),
    responses(
        (status = 200, description = "The token", body = ServerTokenAnswer),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "The server belongs to somebody else", body = ErrorBody),
        (status = 404, description = "There is no such server", body = ErrorBody),
        (status = 503, description = "Servers can't be changed at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn rotate_token(
    Organizer(caller): Organizer,
    pool: Data<PgPool>,
    id: Path<Uuid>,
) -> Result<HttpResponse, ApiError> {
    let token = rotate_server_token(&pool, Changer::User(caller), *id).await?;
    Ok(HttpResponse::Ok().json(ServerTokenAnswer { server_id: *id, token: token.expose().to_owned() }))
}

/// Remove a server
///
/// Its tokens end. What is stored of it stays under its name.
#[utoipa::path(
    delete,
    path = "/api/v1/servers/{id}",
    tag = "Servers",
    params(("id" = Uuid, Path, description = "the server")),
    responses(
        (status = 204, description = "Removed"),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "The server belongs to somebody else", body = ErrorBody),
        (status = 404, description = "There is no such server", body = ErrorBody),
        (status = 503, description = "Servers can't be changed at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn remove(
    Organizer(caller): Organizer,
    pool: Data<PgPool>,
    id: Path<Uuid>,
) -> Result<HttpResponse, ApiError> {
    remove_server(&pool, Changer::User(caller), *id).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// A key with which a game script registers a server.
#[derive(Serialize, ToSchema)]
pub struct ServerKeyAnswer {
    #[schema(example = "K7WQ-2MXH")]
    pub key: String,
    pub expires_at: DateTime<Utc>,
    /// What to do with it.
    pub message: String,
}

/// A key that registers one server
///
/// Good once and for 24 hours: it stands at the end of the server's name as ` [key:XXXX-XXXX]` when its script registers.
#[utoipa::path(
    post,
    path = "/api/v1/servers/keys",
    tag = "Servers",
    responses(
        (status = 201, description = "The key", body = ServerKeyAnswer),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "The signed-in user is no organizer", body = ErrorBody),
        (status = 503, description = "Keys can't be made at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn make_key(
    Organizer(caller): Organizer,
    pool: Data<PgPool>,
    codes: Data<ShortCodes>,
) -> Result<HttpResponse, ApiError> {
    let made = make_server_key(&pool, &codes, Changer::User(caller)).await?;
    let message = format!("put it at the end of the server's name, as: My server [key:{}]", made.key);
    let answer = ServerKeyAnswer { key: made.key, expires_at: made.expires_at, message };
    Ok(HttpResponse::Created().json(answer))
}

/// What a game script says that has no token.
#[derive(Default, Deserialize, ToSchema)]
pub struct RegistrationBody {
    /// What the server is called, perhaps with a key at its end: `Omaha [key:K7WQ-2MXH]`.
    #[serde(default)]
    #[schema(value_type = String)]
    pub name: LooseText,
    #[serde(default)]
    #[schema(value_type = String)]
    pub ip_address: LooseText,
    /// As text or as a number.
    #[serde(default)]
    #[schema(value_type = String)]
    pub port: LooseText,
}

impl RegistrationBody {
    fn has_key(&self) -> bool {
        split_key(&self.name.0).1.is_some()
    }

    fn read(self, source: std::net::IpAddr) -> Result<Registration, ApiError> {
        let tidy = |text: LooseText| text.0.trim().to_owned();
        let (name, address, port) = (tidy(self.name), tidy(self.ip_address), tidy(self.port));
        if name.is_empty() && address.is_empty() && port.is_empty() {
            return Err(ApiError::invalid_field(
                "name",
                "send name, ip_address and port, as JSON or as a form",
            ));
        }
        if !address.is_empty() && !is_host(&address) {
            return Err(ApiError::invalid_field("ip_address", ServerError::Address.to_string()));
        }
        let port = match port.as_str() {
            // A script that does not know its port says 0, and can't be taught otherwise.
            "" | "0" => None,
            port => match port.parse() {
                Ok(port) if port > 0 => Some(port),
                _ => return Err(ApiError::invalid_field("port", ServerError::Port.to_string())),
            },
        };
        let address = (!address.is_empty()).then_some(address);
        Ok(Registration { source, name, address, port })
    }
}

/// Register a game server by itself
///
/// By REGISTRATION_POLICY. `closed`: with a one-time key at the end of the name only. `approval`: its events are held until an
/// admin has approved it. `open`: at once. A server that registers again from the same address gets a further token.
#[utoipa::path(
    post,
    path = "/api/v1/servers/register",
    tag = "Servers",
    request_body(content = RegistrationBody, content_type = "*/*", description = "as JSON or as a form, whatever it is labelled as"),
    responses(
        (status = 200, description = "The server and its token", body = ServerTokenAnswer),
        (status = 403, description = "`registration_closed`: not without a key that is good", body = ErrorBody),
        (status = 422, description = "A field can't be used", body = ErrorBody),
        (status = 429, description = "Too many wrong keys or registrations, or too many servers wait for approval", body = ErrorBody),
        (status = 503, description = "Servers can't be registered at the moment", body = ErrorBody),
    )
)]
#[allow(clippy::too_many_arguments, reason = "each is asked of actix-web by its type")]
pub async fn register_server(
    _: Anyone,
    request: HttpRequest,
    pool: Data<PgPool>,
    codes: Data<ShortCodes>,
    policy: Data<RegistrationPolicy>,
    guesses: Data<GuessLimits>,
    body: Bytes,
) -> Result<HttpResponse, ApiError> {
    let guess = guesses.check(&request).await?;
    let body: RegistrationBody = json_or_form(&body).unwrap_or_default();
    // Who may not register is told so, whatever is wrong with what they say.
    if **policy == RegistrationPolicy::Closed && !body.has_key() {
        return Err(registration_closed());
    }
    let registration = body.read(client_address(&request))?;
    let registered = match register(&pool, &codes, **policy, &registration).await {
        Ok(registered) => registered,
        Err(RegisterError::UnknownKey) => {
            guess.was_wrong();
            return Err(no_such_key());
        }
        Err(RegisterError::Closed) => return Err(registration_closed()),
        Err(RegisterError::SpentKey) => return Err(no_such_key()),
        Err(RegisterError::TooManyWaiting) => {
            let message = "too many servers wait for an admin's approval: try again later";
            let refused = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_waiting", message);
            return Err(refused.with_retry_after(3_600));
        }
        Err(RegisterError::Store(cause)) => return Err(servers_unavailable(cause)),
    };
    if registered.showed_unknown_key {
        guess.was_wrong();
    }
    let AddedServer { server_id, token } = registered.server;
    let answer = ServerTokenAnswer { server_id, token: token.expose().to_owned() };
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(answer))
}

fn registration_closed() -> ApiError {
    ApiError::forbidden(
        "registration_closed",
        "servers can't register by themselves here: ask the operator to add yours and set its token in the script",
    )
}

fn no_such_key() -> ApiError {
    ApiError::forbidden(
        "registration_closed",
        "the key at the end of the server's name is unknown, was used or has expired: get a new one",
    )
}

/// A server as admins see it.
#[derive(Serialize, ToSchema)]
pub struct AdminServer {
    #[serde(flatten)]
    pub server: ListedServer,
    /// Events that this node holds until it is approved.
    pub held_events: u64,
    /// When the first of them was received.
    pub held_since: Option<DateTime<Utc>>,
}

impl AdminServer {
    pub(crate) fn of(server: ListedServer, ingest: &Ingest) -> Self {
        let holding = ingest.pipeline.held.of_server(server.server_id);
        Self {
            held_events: holding.map_or(0, |holding| holding.events),
            held_since: holding.and_then(|holding| DateTime::from_timestamp_millis(holding.since.0)),
            server,
        }
    }
}

#[derive(Serialize, ToSchema)]
pub struct AdminServers {
    pub page: u32,
    pub limit: u32,
    pub total: usize,
    pub servers: Vec<AdminServer>,
}

/// Every server, those that wait for approval first
#[utoipa::path(
    get,
    path = "/api/v1/admin/servers",
    tag = "Administration",
    responses(
        (status = 200, body = AdminServers),
        (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody),
        (status = 422, description = "A parameter can't be used", body = ErrorBody),
        (status = 503, description = "Servers can't be read at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn admin_servers(
    _: Admin,
    request: HttpRequest,
    pool: Data<PgPool>,
    ingest: Data<Ingest>,
) -> Result<Json<AdminServers>, ApiError> {
    listed(&request, &pool, &ingest, None).await
}

/// Servers of the signed-in user
///
/// As an admin sees all.
#[utoipa::path(
    get,
    path = "/api/v1/users/me/servers",
    tag = "Servers",
    responses(
        (status = 200, body = AdminServers),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "The signed-in user is no organizer", body = ErrorBody),
        (status = 422, description = "A parameter can't be used", body = ErrorBody),
        (status = 503, description = "Servers can't be read at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn my_servers(
    Organizer(caller): Organizer,
    request: HttpRequest,
    pool: Data<PgPool>,
    ingest: Data<Ingest>,
) -> Result<Json<AdminServers>, ApiError> {
    listed(&request, &pool, &ingest, Some(caller.user_id)).await
}

async fn listed(
    request: &HttpRequest,
    pool: &PgPool,
    ingest: &Ingest,
    owner_id: Option<i32>,
) -> Result<Json<AdminServers>, ApiError> {
    let mut values = LIST.read(request.query_string());
    let paging = values.paging();
    values.finish()?;
    let servers = list_servers(pool, owner_id).await.map_err(servers_unavailable)?;
    let total = servers.len();
    let servers = paging.cut(servers).into_iter().map(|server| AdminServer::of(server, ingest)).collect();
    Ok(Json(AdminServers { page: paging.page, limit: paging.limit, total, servers }))
}

#[derive(Deserialize, ToSchema)]
pub struct ApprovalBody {
    /// What the server was called when it was looked at: it may call itself otherwise until it is approved.
    pub name: String,
}

/// Let a server's events count
///
/// Those that are held are stored with their times of receipt.
#[utoipa::path(
    post,
    path = "/api/v1/admin/servers/{id}/approve",
    tag = "Administration",
    params(("id" = Uuid, Path, description = "the server")),
    request_body = ApprovalBody,
    responses(
        (status = 204, description = "Approved"),
        (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 409, description = "It calls itself otherwise by now", body = ErrorBody),
        (status = 422, description = "The name is missing", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn approve(
    Admin(admin): Admin,
    pool: Data<PgPool>,
    id: Path<Uuid>,
    JsonBody(body): JsonBody<ApprovalBody>,
) -> Result<HttpResponse, ApiError> {
    approve_server(&pool, Changer::User(admin), *id, Some(&body.name)).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[derive(Deserialize, ToSchema)]
pub struct OwnerBody {
    /// An organizer or admin.
    pub user_id: i32,
}

/// Give a server to another owner
#[utoipa::path(
    post,
    path = "/api/v1/admin/servers/{id}/owner",
    tag = "Administration",
    params(("id" = Uuid, Path, description = "the server")),
    request_body = OwnerBody,
    responses(
        (status = 204, description = "Done"),
        (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 422, description = "The user may not have servers", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn give(
    Admin(admin): Admin,
    pool: Data<PgPool>,
    id: Path<Uuid>,
    JsonBody(body): JsonBody<OwnerBody>,
) -> Result<HttpResponse, ApiError> {
    give_server(&pool, admin, *id, body.user_id).await?;
    Ok(HttpResponse::NoContent().finish())
}
