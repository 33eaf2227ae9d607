//! Codes of users for the game, and what game servers do with them.

use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Data, Json, Path};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use mohaa_domain::event::{Event, Player};
use mohaa_domain::player::{self, Identity, PlayerId};
use mohaa_domain::tracker::{EventWindow, Trackers};
use mohaa_domain::vocabulary::EventType;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use utoipa::{OpenApi, ToSchema};
use uuid::Uuid;

use super::claims::{ClaimError, claim};
use super::codes::{CodeError, MadeCode, Purpose, consume_code, make_code};
use super::links::{LinkError, LinkedPlayer, linked_players, unlink};
use super::lock_decisions;
use crate::access::{Anyone, GameServer, Route, SignedIn, delete, get, post};
use crate::audit::{self, By, Entry};
use crate::auth::{Sessions, ShortCodes};
use crate::http::query::QueryShape;
use crate::http::{ApiError, ErrorBody, LooseText, json_or_form};
use crate::ingest::Ingest;
use crate::limits::GuessLimits;
use crate::users::{self, lock_user, users_unavailable};

/// Longer than any of ours: a JWT has some 500 bytes.
const LONGEST_TOKEN_BYTES: usize = 4_096;

#[derive(OpenApi)]
#[openapi(
    paths(game_token, verify, init_claim, verify_claim, my_players, unlink_player),
    tags((name = "Players", description = "Who plays under which account."))
)]
pub struct PlayersApi;

pub fn routes() -> Vec<Route> {
    vec![
        post("/api/v1/auth/game-token", game_token),
        post("/api/v1/auth/verify", verify),
        post("/api/v1/auth/claim/init", init_claim),
        post("/api/v1/auth/claim/verify", verify_claim),
        get("/api/v1/users/me/players", my_players),
        delete("/api/v1/users/me/players/{id}", unlink_player),
    ]
}

/// A code to type in the game.
#[derive(Serialize, ToSchema)]
pub struct CodeAnswer {
    #[schema(example = "K7WQ2MXHT")]
    pub code: String,
    pub expires_at: DateTime<Utc>,
    /// What to do with it.
    pub message: String,
}

impl CodeAnswer {
    fn created(made: MadeCode, message: String) -> HttpResponse {
        let answer = Self { code: made.code, expires_at: made.expires_at, message };
        HttpResponse::Created().json(answer)
    }
}

/// A code to sign in with in the game
///
/// Typed as `login CODE` within ten minutes, once. A new one ends the one before.
#[utoipa::path(
    post,
    path = "/api/v1/auth/game-token",
    tag = "Players",
    responses(
        (status = 201, description = "The code", body = CodeAnswer),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 503, description = "Codes can't be made at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn game_token(
    SignedIn(caller): SignedIn,
    pool: Data<PgPool>,
    codes: Data<ShortCodes>,
) -> Result<HttpResponse, ApiError> {
    let made = make_code(&pool, &codes, caller, Purpose::GameLogin).await?;
    let message = format!("type in the game's console: login {}", made.code);
    Ok(CodeAnswer::created(made, message))
}

/// A code to claim a player with
///
/// Typed in the chat as `!claim CODE` by the player who is to be linked, within ten minutes, once. A new one ends the one before.
#[utoipa::path(
    post,
    path = "/api/v1/auth/claim/init",
    tag = "Players",
    responses(
        (status = 201, description = "The code", body = CodeAnswer),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 503, description = "Codes can't be made at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn init_claim(
    SignedIn(caller): SignedIn,
    pool: Data<PgPool>,
    codes: Data<ShortCodes>,
) -> Result<HttpResponse, ApiError> {
    let made = make_code(&pool, &codes, caller, Purpose::Claim).await?;
    let message = format!("say in the game's chat: !claim {}", made.code);
    Ok(CodeAnswer::created(made, message))
}

/// What a game script sends for a player who typed `login CODE`. Other fields are not needed.
#[derive(Default, Deserialize, ToSchema)]
pub struct VerifyBody {
    /// The code, or an access token.
    #[serde(default)]
    #[schema(value_type = String)]
    pub token: LooseText,
    #[serde(default)]
    #[schema(value_type = String)]
    pub player_guid: LooseText,
}

/// Whom a code or token names.
#[derive(Serialize, ToSchema)]
pub struct Verified {
    /// Always true.
    pub valid: bool,
    pub forum_user_id: i32,
    pub member_name: String,
    /// As it was sent.
    pub player_guid: String,
}

/// Why a code or token names nobody.
#[derive(Serialize, ToSchema)]
pub struct NotVerified {
    /// Always false.
    pub valid: bool,
    pub error: String,
    pub code: String,
}

fn not_verified(code: &'static str, error: &str) -> HttpResponse {
    HttpResponse::Unauthorized().json(NotVerified {
        valid: false,
        error: error.to_owned(),
        code: code.to_owned(),
    })
}

/// Whom a code or an access token names
///
/// What game scripts call. A code is used up. The body is JSON, whatever it is labelled as, or a form.
#[utoipa::path(
    post,
    path = "/api/v1/auth/verify",
    tag = "Players",
    request_body(content = VerifyBody, content_type = "*/*"),
    responses(
        (status = 200, description = "The user; events may carry this id from here on", body = Verified),
        (status = 401, description = "Nobody", body = NotVerified),
        (status = 429, description = "Too many wrong codes came from this address", body = ErrorBody),
        (status = 503, description = "Codes can't be looked up at the moment", body = ErrorBody),
    )
)]
pub async fn verify(
    _: Anyone,
    request: HttpRequest,
    sessions: Data<Sessions>,
    guesses: Data<GuessLimits>,
    pool: Data<PgPool>,
    codes: Data<ShortCodes>,
    body: Bytes,
) -> Result<HttpResponse, ApiError> {
    let guess = guesses.check(&request).await?;
    let body: VerifyBody = json_or_form(&body).unwrap_or_default();
    let token = body.token.0.trim();
    if token.is_empty() || token.len() > LONGEST_TOKEN_BYTES {
        return Ok(not_verified("missing_token", "send the code that the player typed as `token`"));
    }
    let user_id = match token.contains('.') {
        true => sessions.identify(token).map(|identity| identity.user_id).ok(),
        false => {
            let mut transaction = pool.begin().await.map_err(users_unavailable)?;
            match consume_code(&mut transaction, &codes, token, Purpose::GameLogin).await {
                Ok(user_id) => {
                    transaction.commit().await.map_err(users_unavailable)?;
                    Some(user_id)
                }
                Err(CodeError::Expired) => {
                    return Ok(not_verified("expired_code", "this code has expired: get a new one"));
                }
                Err(CodeError::Unknown) => None,
                Err(CodeError::Store(cause)) => return Err(users_unavailable(cause)),
            }
        }
    };
    let user = match user_id {
        Some(user_id) => users::find(&pool, user_id).await.map_err(users_unavailable)?,
        None => None,
    };
    let Some(user) = user else {
        guess.was_wrong();
        return Ok(not_verified("unknown_code", "this code is not known or was used: get a new one"));
    };
    Ok(HttpResponse::Ok().json(Verified {
        valid: true,
        forum_user_id: user.user_id,
        member_name: user.display_name,
        player_guid: body.player_guid.0,
    }))
}

/// A player who showed a code to a game server.
#[derive(Default, Deserialize, ToSchema)]
pub struct ClaimBody {
    /// Where no header holds the server's token.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub server_token: LooseText,
    #[serde(default)]
    #[schema(value_type = String)]
    pub code: LooseText,
    /// As events of the server name the player.
    #[serde(default)]
    #[schema(value_type = String)]
    pub player_guid: LooseText,
    #[serde(default)]
    #[schema(value_type = String)]
    pub player_name: LooseText,
}

#[derive(Serialize, ToSchema)]
pub struct ClaimAnswer {
    /// Always `linked`.
    pub status: &'static str,
    /// The id that was linked.
    pub player_id: String,
    pub user_id: i32,
}

/// Link a player to the user of a code
///
/// A guest is linked for the match that is being played, for good where the player has an id of their own. What admins have
/// merged with the player is the user's as well, as long as both hold.
///
/// The server's token is looked for in `X-Server-Token`, then `Authorization`, then the body's `server_token`.
#[utoipa::path(
    post,
    path = "/api/v1/auth/claim/verify",
    tag = "Players",
    request_body(content = ClaimBody, content_type = "*/*", description = "as JSON or as a form, whatever it is labelled as"),
    responses(
        (status = 200, description = "Linked", body = ClaimAnswer),
        (status = 401, description = "The server's token is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "The server waits for approval", body = ErrorBody),
        (status = 404, description = "The code is unknown or was used, or nobody plays under this guid", body = ErrorBody),
        (status = 409, description = "The player, or one that was merged with it, belongs to another account", body = ErrorBody),
        (status = 410, description = "The code has expired", body = ErrorBody),
        (status = 422, description = "Something is missing", body = ErrorBody),
        (status = 429, description = "Too many wrong codes came from this address", body = ErrorBody),
        (status = 503, description = "Claims can't be taken at the moment", body = ErrorBody),
    ),
    security(("server_token" = []), ("bearer" = []))
)]
pub async fn verify_claim(
    caller: GameServer,
    request: HttpRequest,
    ingest: Data<Ingest>,
    guesses: Data<GuessLimits>,
    pool: Data<PgPool>,
    codes: Data<ShortCodes>,
    body: Result<Bytes, actix_web::Error>,
) -> Result<HttpResponse, actix_web::Error> {
    let body = readable(&caller, &request, body).await?;
    let body: ClaimBody = json_or_form(&body).unwrap_or_default();
    let server = caller.by_headers_or_body(request.headers(), &body.server_token.0).await?;
    if !server.approved {
        return Err(ApiError::forbidden("not_approved", "this server waits for an admin's approval").into());
    }
    let guess = guesses.check(&request).await?;
    for (field, LooseText(text)) in [("code", &body.code), ("player_guid", &body.player_guid)] {
        if text.trim().is_empty() {
            return Err(ApiError::invalid_field(field, "is needed, in a JSON object or a form").into());
        }
    }
    let player_id = player_of(&ingest, server.server_id, &body).await?;
    let claimed = claim(&pool, &codes, server.server_id, &body.code.0, &player_id).await.map_err(
        |error| match error {
            ClaimError::Code(CodeError::Unknown) => {
                guess.was_wrong();
                ApiError::not_found("unknown_code", "this code is not known or was used: get a new one")
            }
            ClaimError::Code(CodeError::Expired) => {
                ApiError::new(StatusCode::GONE, "expired_code", "this code has expired: get a new one")
            }
            ClaimError::Link(LinkError::OwnedByAnother) => {
                ApiError::conflict("player_owned", "this player belongs to another account")
            }
            ClaimError::Code(CodeError::Store(cause))
            | ClaimError::Link(LinkError::Store(cause))
            | ClaimError::Store(cause) => users_unavailable(cause),
        },
    )?;
    let answer = ClaimAnswer { status: "linked", player_id, user_id: claimed };
    Ok(HttpResponse::Ok().json(answer))
}

/// A body that could be read. Where it could not, a token in a header that is wrong is told first; without one nobody knows
/// yet who speaks, as it may stand in the body.
async fn readable(
    caller: &GameServer,
    request: &HttpRequest,
    body: Result<Bytes, actix_web::Error>,
) -> Result<Bytes, actix_web::Error> {
    if body.is_err() {
        caller.of_headers(request.headers()).await?;
    }
    body
}

/// Whom a game server means, by the rules that its events follow.
async fn player_of(ingest: &Ingest, server_id: Uuid, body: &ClaimBody) -> Result<String, ApiError> {
    let block = Player {
        guid: body.player_guid.0.trim().into(),
        name: body.player_name.0.as_str().into(),
        ..Player::default()
    };
    match player::identify(&block) {
        Identity::Environment => Err(ApiError::invalid_field("player_guid", "names no player")),
        Identity::Member(id) | Identity::Engine(id) => match id.parse::<PlayerId>() {
            Ok(id) => Ok(id.as_str().to_owned()),
            Err(error) => Err(ApiError::invalid_field("player_guid", error.to_string())),
        },
        // A guest is one of the match that is being played, which the tracker knows.
        Identity::Guest { .. } => {
            let state = ingest.tracker_states.of_server(server_id).await.map_err(|cause| {
                ApiError::unavailable("tracker_unavailable", "the match can't be looked up at the moment", 5)
                    .with_source(cause)
            })?;
            let no_match = || {
                ApiError::not_found(
                    "no_match",
                    "this server plays no match in which a guest could be claimed",
                )
            };
            let mut trackers = Trackers::default();
            trackers.restore_server(server_id, &state.ok_or_else(no_match)?).map_err(ApiError::internal)?;
            let now = ingest.clock.now();
            let tracker = trackers.of_server(server_id);
            tracker.current_match(now).ok_or_else(no_match)?;
            let event = Event {
                event_type: EventType::IdentityClaim,
                source_type: EventType::IdentityClaim.as_str().into(),
                player: block.clone(),
                ..Event::default()
            };
            Ok(tracker.stamp(&event, now, &EventWindow::default()).player_id.to_string())
        }
    }
}

const PLAYERS: QueryShape = QueryShape { parameters: &[], filters: &[], paged: true };

/// The query parameters of each path, for the OpenAPI document.
pub const QUERY_SHAPES: &[(&str, QueryShape)] = &[("/api/v1/users/me/players", PLAYERS)];

#[derive(Serialize, ToSchema)]
pub struct LinkedPlayers {
    pub page: u32,
    pub limit: u32,
    pub total: usize,
    pub players: Vec<LinkedPlayer>,
}

/// Player ids that are linked to the signed-in user, the oldest link first
#[utoipa::path(
    get,
    path = "/api/v1/users/me/players",
    tag = "Players",
    responses(
        (status = 200, description = "The players", body = LinkedPlayers),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 422, description = "A parameter can't be used", body = ErrorBody),
        (status = 503, description = "Players can't be read at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn my_players(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    pool: Data<PgPool>,
) -> Result<Json<LinkedPlayers>, ApiError> {
    let mut values = PLAYERS.read(request.query_string());
    let paging = values.paging();
    values.finish()?;
    let linked = linked_players(&pool, caller.user_id).await.map_err(users_unavailable)?;
    let (total, players) = (linked.len(), paging.cut(linked));
    Ok(Json(LinkedPlayers { page: paging.page, limit: paging.limit, total, players }))
}

/// Take a player id from the signed-in user
#[utoipa::path(
    delete,
    path = "/api/v1/users/me/players/{id}",
    tag = "Players",
    params(("id" = String, Path, description = "the linked player id")),
    responses(
        (status = 204, description = "Not linked any more"),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 404, description = "No such player is linked", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn unlink_player(
    SignedIn(caller): SignedIn,
    pool: Data<PgPool>,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    unlink_of(&pool, caller.user_id, &id).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Unlinks and logs it.
pub(crate) async fn unlink_of(pool: &PgPool, user_id: i32, player_id: &str) -> Result<(), ApiError> {
    let unlinked = async {
        let mut transaction = pool.begin().await?;
        lock_user(&mut transaction, user_id).await?;
        lock_decisions(&mut transaction).await?;
        let unlinked = unlink(&mut transaction, user_id, player_id).await?;
        if unlinked {
            let entry = Entry {
                by: By::User(user_id),
                action: "player.unlink",
                subject_kind: "player",
                subject_id: player_id,
                before: Some(serde_json::json!({ "user_id": user_id })),
                after: None,
            };
            audit::record(&mut transaction, entry).await?;
        }
        transaction.commit().await?;
        Ok(unlinked)
    };
    match unlinked.await.map_err(users_unavailable)? {
        true => Ok(()),
        false => Err(ApiError::not_found("unknown_player", "no such player is linked to this account")),
    }
}
