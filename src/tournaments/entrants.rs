//! `/api/v1/tournaments/{id}/…`: taking a place, checking in, leaving, seeds.

use actix_web::web::{Bytes, Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use mohaa_actors::tournament::Done;
use mohaa_domain::player::PlayerId;
use mohaa_domain::tournament::{By, Command, EntrantId, Holder};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::answers::ParticipantAnswer;
use super::handlers::versioned;
use super::organizing::only_organizers;
use super::roles::{About, own_entrant};
use super::{Terms, Tournaments, unavailable};
use crate::access::{Anyone, Route, SignedIn, delete, get, post, put};
use crate::auth::Identity;
use crate::http::query::{Parameter, QueryShape};
use crate::http::{ApiError, ErrorBody, JsonBody, from_json};
use crate::{teams, users};

const WITHDRAWAL: QueryShape = QueryShape {
    parameters: &[Parameter {
        name: "participant_id",
        description: "When withdrawing: another one than the caller's own, as an organizer.",
        example: "3",
    }],
    filters: &[],
    paged: false,
};

pub fn routes() -> Vec<Route> {
    vec![
        post("/api/v1/tournaments/{id}/register", register),
        delete("/api/v1/tournaments/{id}/register", withdraw),
        post("/api/v1/tournaments/{id}/checkin", check_in),
        get("/api/v1/tournaments/{id}/participants", participants),
        put("/api/v1/tournaments/{id}/participants", order_participants),
        put("/api/v1/tournaments/{id}/seeds", set_seeds),
        post("/api/v1/tournaments/{id}/participants/{participant}/disqualify", disqualify),
    ]
}

/// Who is to be entered; nothing: the caller.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct EntryBody {
    /// A player: one of the caller's own, or anybody's as an organizer.
    pub player_guid: Option<String>,
    pub team_id: Option<Uuid>,
    /// As an organizer: anybody, by name.
    pub name: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct Registered {
    pub version: u64,
    #[serde(flatten)]
    pub participant: ParticipantAnswer,
}

fn registered(done: &Done, entrant: Option<EntrantId>) -> Result<Registered, ApiError> {
    let entrant = entrant.and_then(|id| done.tournament.entrants.get(&id));
    let taken_back = || ApiError::conflict("taken_back", "this registration was taken back meanwhile");
    let entrant = entrant.ok_or_else(taken_back)?;
    Ok(Registered { version: done.version, participant: entrant.into() })
}

/// JSON, or nothing at all: the fields are optional.
pub(super) fn optional_body<T: serde::de::DeserializeOwned + Default>(body: &[u8]) -> Result<T, ApiError> {
    if body.trim_ascii().is_empty() {
        return Ok(T::default());
    }
    let value: Value = serde_json::from_slice(body)
        .map_err(|cause| ApiError::bad_request("invalid_json", format!("the body is not JSON: {cause}")))?;
    from_json(value)
}

/// Take a place
///
/// For oneself, for a team of which one is captain, or as an organizer for anybody. When all places are taken it is one on the
/// waiting list.
#[utoipa::path(
    post,
    path = "/api/v1/tournaments/{id}/register",
    tag = "Tournaments",
    params(("id" = Uuid, Path, description = "the tournament")),
    request_body = EntryBody,
    responses(
        (status = 201, description = "The participant", body = Registered),
        (status = 400, description = "The body is not JSON", body = ErrorBody),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "Somebody else can't be entered", body = ErrorBody),
        (status = 404, description = "There is no such tournament", body = ErrorBody),
        (status = 409, description = "Registration is not open, or has a place already, or no player is linked", body = ErrorBody),
        (status = 422, description = "A field can't be used", body = ErrorBody),
        (status = 503, description = "Tournaments can't be changed at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn register(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    tournaments: Data<Tournaments>,
    id: Path<Uuid>,
    body: Bytes,
) -> Result<HttpResponse, ApiError> {
    let done = tournaments.take_place(&request, caller, *id, || optional_body(&body)).await?;
    Ok(HttpResponse::Created().json(registered(&done, done.entrant)?))
}

struct Entry {
    holder: Holder,
    name: String,
    player_id: Option<String>,
}

impl Tournaments {
    pub async fn take_place(
        &self,
        terms: &impl Terms,
        caller: Identity,
        id: Uuid,
        body: impl FnOnce() -> Result<EntryBody, ApiError>,
    ) -> Result<Done, ApiError> {
        let (current, by) = self.seen_by(id, caller).await?;
        let team_size = current.tournament.settings.team_size;
        let entry = self.entry(body()?, caller, by, team_size).await?;
        let rating = match &entry.player_id {
            Some(player_id) => {
                // Seeding by rating can be done by hand; a place can't wait for statistics.
                let rating = self.stats.rating_of(player_id).await;
                rating.ok().flatten().map(|rating| rating.low)
            }
            None => None,
        };
        let Entry { holder, name, player_id } = entry;
        self.apply(terms, id, by, Command::Register { holder, name, player_id, rating }).await
    }

    /// Gives back the place that is named, else the caller's own.
    pub async fn give_place_back(
        &self,
        terms: &impl Terms,
        caller: Identity,
        id: Uuid,
        named: impl FnOnce() -> Result<Option<EntrantId>, ApiError>,
    ) -> Result<(EntrantId, Done), ApiError> {
        let (by, entrant) = self.own_or_named(id, caller, named()?).await?;
        let done = self.apply(terms, id, by, Command::Withdraw { entrant }).await?;
        Ok((entrant, done))
    }

    /// Checks in whoever is named, else the caller.
    pub async fn check_in(
        &self,
        terms: &impl Terms,
        caller: Identity,
        id: Uuid,
        named: impl FnOnce() -> Result<Option<EntrantId>, ApiError>,
    ) -> Result<(EntrantId, Done), ApiError> {
        let (by, entrant) = self.own_or_named(id, caller, named()?).await?;
        let done = self.apply(terms, id, by, Command::CheckIn { entrant }).await?;
        Ok((entrant, done))
    }

    /// Seeds by hand, from the first.
    pub async fn seed_by_hand(
        &self,
        terms: &impl Terms,
        caller: Identity,
        id: Uuid,
        seeds: impl FnOnce() -> Result<Vec<u32>, ApiError>,
    ) -> Result<Done, ApiError> {
        let (_, by) = self.seen_by(id, caller).await?;
        only_organizers(by)?;
        let order = seeds()?.into_iter().map(EntrantId).collect();
        self.apply(terms, id, by, Command::Seed { order }).await
    }

    pub async fn disqualify(
        &self,
        terms: &impl Terms,
        caller: Identity,
        id: Uuid,
        entrant: EntrantId,
        reason: impl FnOnce() -> Result<String, ApiError>,
    ) -> Result<Done, ApiError> {
        let (_, by) = self.seen_by(id, caller).await?;
        only_organizers(by)?;
        let reason = reason()?;
        self.apply(terms, id, by, Command::Disqualify { entrant, reason }).await
    }

    async fn entry(
        &self,
        body: EntryBody,
        caller: Identity,
        by: By,
        team_size: u32,
    ) -> Result<Entry, ApiError> {
        let EntryBody { player_guid, team_id, name } = body;
        if let Some(team_id) = team_id {
            return self.team(team_id, caller, by, team_size).await;
        }
        if let Some(name) = name {
            only_organizers(by)?;
            let player_id = match player_guid.as_deref().map(player_id).transpose()? {
                Some(player_id) => {
                    let owner = self.owner_of(&player_id).await?;
                    Some(owner.map_or(player_id, |user_id| user_id.to_string()))
                }
                None => None,
            };
            return Ok(Entry { holder: Holder::Nobody, name, player_id });
        }
        if team_size > 1 {
            return Err(ApiError::conflict(
                "teams_only",
                "teams take part in this tournament: name one with team_id",
            ));
        }
        let user_id = match player_guid {
            None => caller.user_id,
            Some(guid) => {
                let player_id = player_id(&guid)?;
                match self.owner_of(&player_id).await? {
                    Some(user_id) if user_id == caller.user_id || by.is_organizer() => user_id,
                    None if by.is_organizer() => {
                        let name = player_id.clone();
                        return Ok(Entry { holder: Holder::Nobody, name, player_id: Some(player_id) });
                    }
                    _ => {
                        return Err(ApiError::forbidden(
                            "not_your_player",
                            "this player is not linked to you",
                        ));
                    }
                }
            }
        };
        let unknown = || ApiError::invalid_field("player_guid", "belongs to nobody any more");
        let user = users::find(self.pool(), user_id).await.map_err(unavailable)?.ok_or_else(unknown)?;
        if users::is_banned(self.pool(), user_id).await.map_err(unavailable)? {
            return Err(ApiError::conflict("banned", "whoever plays as this player is banned"));
        }
        let linked = users::find_player_ids(self.pool(), user_id).await.map_err(unavailable)?;
        if linked.is_empty() && !by.is_organizer() {
            return Err(ApiError::conflict(
                "no_linked_player",
                "link the player you play as first: results of games are told by it",
            ));
        }
        let player_id = (!linked.is_empty()).then(|| user_id.to_string());
        Ok(Entry { holder: Holder::User(i64::from(user_id)), name: user.display_name, player_id })
    }

    /// A team with enough members, at the word of its captain or of an organizer.
    async fn team(&self, team_id: Uuid, caller: Identity, by: By, team_size: u32) -> Result<Entry, ApiError> {
        if team_size == 1 {
            return Err(ApiError::conflict("players_only", "single players take part in this tournament"));
        }
        let roster = teams::roster(self.pool(), team_id).await.map_err(unavailable)?;
        let roster = roster.ok_or_else(|| ApiError::invalid_field("team_id", "no such team"))?;
        if !roster.captain_ids.contains(&caller.user_id) && !by.is_organizer() {
            return Err(ApiError::forbidden("not_captain", "only the team's captain may enter it"));
        }
        let players = roster.captain_ids.len() + roster.member_ids.len();
        if players < team_size as usize {
            let message =
                format!("the team has {players} players besides substitutes, {team_size} are needed");
            return Err(ApiError::conflict("team_too_small", message));
        }
        Ok(Entry { holder: Holder::Team(team_id), name: roster.name, player_id: None })
    }

    /// The user to whom a player is linked. By primary key.
    async fn owner_of(&self, player_id: &str) -> Result<Option<i32>, ApiError> {
        if let Ok(user_id) = player_id.parse::<i32>() {
            let user = users::find(self.pool(), user_id).await.map_err(unavailable)?;
            return Ok(user.map(|user| user.user_id));
        }
        sqlx::query_scalar("SELECT user_id FROM user_identities WHERE player_id = $1")
            .bind(player_id)
            .fetch_optional(self.pool())
            .await
            .map_err(unavailable)
    }
}

fn player_id(text: &str) -> Result<String, ApiError> {
    match text.trim().parse::<PlayerId>() {
        Ok(player_id) => Ok(player_id.as_str().to_owned()),
        Err(error) => Err(ApiError::invalid_field("player_guid", error.to_string())),
    }
}

/// Give a place back
///
/// Before the start it becomes free; afterwards whatever is left to play is forfeited.
#[utoipa::path(
    delete,
    path = "/api/v1/tournaments/{id}/register",
    tag = "Tournaments",
    params(
        ("id" = Uuid, Path, description = "the tournament"),
        ("participant_id" = Option<u32>, Query, description = "another one than the caller's own, as an organizer"),
    ),
    responses(
        (status = 200, description = "The participant", body = Registered),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "Somebody else's place", body = ErrorBody),
        (status = 404, description = "There is no such tournament or participant", body = ErrorBody),
        (status = 409, description = "The place was given back already", body = ErrorBody),
        (status = 422, description = "A parameter can't be used", body = ErrorBody),
        (status = 503, description = "Tournaments can't be changed at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn withdraw(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    tournaments: Data<Tournaments>,
    id: Path<Uuid>,
) -> Result<HttpResponse, ApiError> {
    let named = || {
        let mut values = WITHDRAWAL.read(request.query_string());
        let named = values
            .parsed_parameter("participant_id", |text| text.parse().map_err(|_| "is a number".to_owned()))
            .map(EntrantId);
        values.finish()?;
        Ok(named)
    };
    let (entrant, done) = tournaments.give_place_back(&request, caller, *id, named).await?;
    Ok(HttpResponse::Ok().json(registered(&done, Some(entrant))?))
}

impl Tournaments {
    /// The participant that is meant: the one that is named, else the caller's own, also if the caller is staff. And as whom the
    /// caller acts on it.
    async fn own_or_named(
        &self,
        id: Uuid,
        caller: Identity,
        named: Option<EntrantId>,
    ) -> Result<(By, EntrantId), ApiError> {
        let about = named.map_or(About::Tournament, About::Entrant);
        let (current, by) = self.seen_about(id, caller, about).await?;
        if let Some(named) = named {
            return Ok((by, named));
        }
        if let By::Captain(_, own) = by {
            return Ok((by, own));
        }
        let own = own_entrant(self.pool(), &current.tournament, caller.user_id, about).await?;
        let nobody = || ApiError::not_found("unknown_participant", "you have no place in this tournament");
        Ok((by, own.ok_or_else(nobody)?))
    }
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct CheckInBody {
    /// Another one than the caller's own, as staff.
    pub participant_id: Option<u32>,
}

/// Check in
#[utoipa::path(
    post,
    path = "/api/v1/tournaments/{id}/checkin",
    tag = "Tournaments",
    params(("id" = Uuid, Path, description = "the tournament")),
    request_body = CheckInBody,
    responses(
        (status = 200, description = "The participant", body = Registered),
        (status = 400, description = "The body is not JSON", body = ErrorBody),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "Somebody else's place", body = ErrorBody),
        (status = 404, description = "There is no such tournament or participant", body = ErrorBody),
        (status = 409, description = "It is not the time for it, or was done already", body = ErrorBody),
        (status = 422, description = "A field can't be used", body = ErrorBody),
        (status = 503, description = "Tournaments can't be changed at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn check_in(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    tournaments: Data<Tournaments>,
    id: Path<Uuid>,
    body: Bytes,
) -> Result<HttpResponse, ApiError> {
    let named = || {
        let CheckInBody { participant_id } = optional_body(&body)?;
        Ok(participant_id.map(EntrantId))
    };
    let (entrant, done) = tournaments.check_in(&request, caller, *id, named).await?;
    Ok(HttpResponse::Ok().json(registered(&done, Some(entrant))?))
}

#[derive(Serialize, ToSchema)]
pub struct ParticipantList {
    pub tournament_id: Uuid,
    pub version: u64,
    /// Those with a place, by seed or else in the order of registration; then those who wait; then those who left.
    pub participants: Vec<ParticipantAnswer>,
}

/// Participants
#[utoipa::path(
    get,
    path = "/api/v1/tournaments/{id}/participants",
    tag = "Tournaments",
    params(("id" = Uuid, Path, description = "the tournament")),
    responses(
        (status = 200, description = "All of them", body = ParticipantList),
        (status = 404, description = "There is no such tournament", body = ErrorBody),
        (status = 503, description = "Tournaments can't be read at the moment", body = ErrorBody),
    )
)]
pub async fn participants(
    _: Anyone,
    request: HttpRequest,
    tournaments: Data<Tournaments>,
    id: Path<Uuid>,
) -> Result<HttpResponse, ApiError> {
    QueryShape::default().read(request.query_string()).finish()?;
    let current = tournaments.read(*id).await?;
    Ok(versioned(&request, &current, || listed(&current.tournament, current.id, current.version)))
}

pub fn listed(tournament: &mohaa_domain::tournament::Tournament, id: Uuid, version: u64) -> ParticipantList {
    use mohaa_domain::tournament::Place;
    let mut all: Vec<_> = tournament.entrants.values().collect();
    all.sort_by_key(|entrant| {
        let group = match entrant.place {
            Place::Registered => 0,
            Place::Waiting => 1,
            _ => 2,
        };
        (group, entrant.seed.unwrap_or(u32::MAX), entrant.id)
    });
    ParticipantList {
        tournament_id: id,
        version,
        participants: all.into_iter().map(ParticipantAnswer::from).collect(),
    }
}

#[derive(Deserialize, ToSchema)]
pub struct SeedsBody {
    /// From the first; who is not named comes after them.
    pub seeds: Vec<u32>,
}

/// Seed by hand
#[utoipa::path(
    put,
    path = "/api/v1/tournaments/{id}/seeds",
    tag = "Tournaments",
    params(("id" = Uuid, Path, description = "the tournament")),
    request_body = SeedsBody,
    responses(
        (status = 200, description = "Participants now", body = ParticipantList),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "Not an organizer of it", body = ErrorBody),
        (status = 404, description = "There is no such tournament or participant", body = ErrorBody),
        (status = 409, description = "It has begun", body = ErrorBody),
        (status = 422, description = "A field can't be used", body = ErrorBody),
        (status = 503, description = "Tournaments can't be changed at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn set_seeds(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    tournaments: Data<Tournaments>,
    id: Path<Uuid>,
    JsonBody(body): JsonBody<Value>,
) -> Result<HttpResponse, ApiError> {
    let seeds = || from_json::<SeedsBody>(body).map(|body| body.seeds);
    let done = tournaments.seed_by_hand(&request, caller, *id, seeds).await?;
    Ok(HttpResponse::Ok().json(listed(&done.tournament, *id, done.version)))
}

/// Put participants in order
///
/// The same as their seeds by hand.
#[utoipa::path(
    put,
    path = "/api/v1/tournaments/{id}/participants",
    tag = "Tournaments",
    params(("id" = Uuid, Path, description = "the tournament")),
    request_body = SeedsBody,
    responses(
        (status = 200, description = "Participants now", body = ParticipantList),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "Not an organizer of it", body = ErrorBody),
        (status = 404, description = "There is no such tournament or participant", body = ErrorBody),
        (status = 409, description = "It has begun", body = ErrorBody),
        (status = 422, description = "A field can't be used", body = ErrorBody),
        (status = 503, description = "Tournaments can't be changed at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn order_participants(
    caller: SignedIn,
    request: HttpRequest,
    tournaments: Data<Tournaments>,
    id: Path<Uuid>,
    body: JsonBody<Value>,
) -> Result<HttpResponse, ApiError> {
    set_seeds(caller, request, tournaments, id, body).await
}

#[derive(Deserialize, ToSchema)]
pub struct ReasonBody {
    pub reason: String,
}

/// Disqualify a participant
///
/// Whatever is left to play is forfeited.
#[utoipa::path(
    post,
    path = "/api/v1/tournaments/{id}/participants/{participant}/disqualify",
    tag = "Tournaments",
    params(
        ("id" = Uuid, Path, description = "the tournament"),
        ("participant" = u32, Path, description = "the participant"),
    ),
    request_body = ReasonBody,
    responses(
        (status = 200, description = "The participant", body = Registered),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "Not an organizer of it", body = ErrorBody),
        (status = 404, description = "There is no such tournament or participant", body = ErrorBody),
        (status = 409, description = "The participant has left already", body = ErrorBody),
        (status = 422, description = "A field can't be used", body = ErrorBody),
        (status = 503, description = "Tournaments can't be changed at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn disqualify(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    tournaments: Data<Tournaments>,
    path: Path<(Uuid, u32)>,
    JsonBody(body): JsonBody<Value>,
) -> Result<HttpResponse, ApiError> {
    let (id, participant) = path.into_inner();
    let entrant = EntrantId(participant);
    let reason = || from_json::<ReasonBody>(body).map(|body| body.reason);
    let done = tournaments.disqualify(&request, caller, id, entrant, reason).await?;
    Ok(HttpResponse::Ok().json(registered(&done, Some(entrant))?))
}
