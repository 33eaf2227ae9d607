//! `/api/v1/tournaments/{id}/matches/{key}/…`: results and what leads to them.

use std::collections::BTreeSet;

use actix_web::web::{Bytes, Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use mohaa_actors::tournament::{Done, Intent};
use mohaa_domain::tournament::{Command, Forfeit, Game, Key, Plan, Refusal, Side, Verdict};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use url::Url;
use utoipa::ToSchema;
use uuid::Uuid;

use super::answers::{BracketAnswer, MatchAnswer, View};
use super::handlers::versioned;
use super::organizing::only_organizers;
use super::roles::About;
use super::{Terms, Tournaments, unavailable};
use crate::access::{Anyone, Route, SignedIn, get, post};
use crate::auth::{Identity, random_code};
use crate::http::query::QueryShape;
use crate::http::{ApiError, ErrorBody, JsonBody, from_json, said};
use crate::servers::TokenHash;

/// Tells a match's token from a server's.
const TOKEN_PREFIX: &str = "mohaa_m_";
/// 256 bits.
const TOKEN_BYTES: usize = 32;

pub fn routes() -> Vec<Route> {
    vec![
        post("/api/v1/tournaments/{id}/rounds/next", next_round),
        get("/api/v1/tournaments/{id}/matches/{key}", one_match),
        post("/api/v1/tournaments/{id}/matches/{key}/report", report),
        post("/api/v1/tournaments/{id}/matches/{key}/confirm", confirm),
        post("/api/v1/tournaments/{id}/matches/{key}/dispute", dispute),
        post("/api/v1/tournaments/{id}/matches/{key}/resolve", resolve),
        post("/api/v1/tournaments/{id}/matches/{key}/reset", reset),
        post("/api/v1/tournaments/{id}/matches/{key}/schedule", schedule),
        post("/api/v1/tournaments/{id}/matches/{key}/start", start),
        post("/api/v1/tournaments/{id}/matches/{key}/veto", veto),
        post("/api/v1/tournaments/{id}/matches/{key}/correct", correct),
    ]
}

/// A match with the version of its tournament.
#[derive(Serialize, ToSchema)]
pub struct ChangedMatch {
    pub version: u64,
    /// Matches that are open again.
    pub falls: Vec<String>,
    /// Of a match that was just given a server: with it the server says, in any event or in its result, that it plays this
    /// match. Shown this once: neither asking nor the same call under its `Idempotency-Key` shows it again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub match_token: Option<String>,
    #[serde(flatten)]
    pub changed: MatchAnswer,
}

fn changed(id: Uuid, key: Key, done: &Done) -> Result<ChangedMatch, ApiError> {
    let view = View::new(id, &done.tournament);
    let changed = view.find(key).ok_or(Refusal::UnknownMatch(key))?;
    let falls = done.fallen.iter().map(Key::to_string).collect();
    Ok(ChangedMatch { version: done.version, falls, match_token: None, changed })
}

/// What came out.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ResultBody {
    /// Of a single game its score; else games won. Not needed with `forfeit`.
    #[serde(default)]
    pub score1: Option<u32>,
    #[serde(default)]
    pub score2: Option<u32>,
    /// 1 or 2: who won, where it does not follow from the scores.
    #[serde(default)]
    #[schema(value_type = Option<u8>)]
    pub winner: Option<Side>,
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    pub games: Vec<Game>,
    /// 1, 2 or "both": who did not play.
    #[serde(default, deserialize_with = "forfeit")]
    #[schema(value_type = Option<u8>)]
    pub forfeit: Option<Forfeit>,
    /// Only see what it would do (with `correct`).
    #[serde(default)]
    pub dry_run: bool,
}

fn forfeit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Forfeit>, D::Error> {
    match Option::<Value>::deserialize(deserializer)? {
        None | Some(Value::Null) => Ok(None),
        Some(value) if value == 1 => Ok(Some(Forfeit::One)),
        Some(value) if value == 2 => Ok(Some(Forfeit::Two)),
        Some(value) if value == "both" => Ok(Some(Forfeit::Both)),
        Some(_) => Err(serde::de::Error::custom("is 1, 2 or \"both\"")),
    }
}

impl ResultBody {
    pub fn verdict(self) -> Result<Verdict, ApiError> {
        let score = |score: Option<u32>, name: &str| match (score, self.forfeit) {
            (Some(score), _) => Ok(score),
            (None, Some(_)) => Ok(0),
            (None, None) => Err(ApiError::invalid_field(name, "is needed")),
        };
        let scores = [score(self.score1, "score1")?, score(self.score2, "score2")?];
        Ok(Verdict { scores, winner: self.winner, forfeit: self.forfeit, games: self.games })
    }
}

fn names_a_game(command: &Command) -> bool {
    let Command::Report { verdict, .. } = command else { return false };
    verdict.games.iter().any(|game| game.match_id.is_some())
}

impl Tournaments {
    /// Does to a match what is asked, and answers with it.
    async fn act(
        &self,
        request: &HttpRequest,
        caller: Identity,
        path: Path<(Uuid, String)>,
        command: impl FnOnce(Key) -> Result<Command, ApiError>,
    ) -> Result<HttpResponse, ApiError> {
        let (id, key) = path.into_inner();
        let (key, done) = self.act_on(request, caller, id, &key, command).await?;
        Ok(HttpResponse::Ok().json(changed(id, key, &done)?))
    }

    /// Does to a match what is asked.
    pub async fn act_on(
        &self,
        terms: &impl Terms,
        caller: Identity,
        id: Uuid,
        key: &str,
        command: impl FnOnce(Key) -> Result<Command, ApiError>,
    ) -> Result<(Key, Done), ApiError> {
        let key = parsed(key)?;
        let (current, by) = self.seen_about(id, caller, About::Match(key)).await?;
        // Who may not is told so before it is looked at what was sent.
        current.tournament.must_have_a_say(key, by)?;
        let command = command(key)?;
        if !by.is_staff() && names_a_game(&command) {
            return Err(ApiError::invalid_field(
                "games",
                "which match a game was is told by its server or by staff",
            ));
        }
        let done = self.apply(terms, id, by, command).await?;
        Ok((key, done))
    }

    /// Decides a dispute.
    pub async fn resolve(
        &self,
        terms: &impl Terms,
        caller: Identity,
        id: Uuid,
        key: &str,
        body: impl FnOnce() -> Result<ResultBody, ApiError>,
    ) -> Result<(Key, Done), ApiError> {
        let (_, by) = self.seen_by(id, caller).await?;
        only_organizers(by)?;
        let command = |key| Ok(Command::Resolve { key, verdict: body()?.verdict()? });
        self.act_on(terms, caller, id, key, command).await
    }

    /// Corrects a result, or only sees what that would do.
    pub async fn correct(
        &self,
        terms: &impl Terms,
        caller: Identity,
        id: Uuid,
        key: &str,
        body: impl FnOnce() -> Result<ResultBody, ApiError>,
    ) -> Result<(Key, Done), ApiError> {
        let (_, by) = self.seen_by(id, caller).await?;
        only_organizers(by)?;
        let key = parsed(key)?;
        let body = body()?;
        let is_dry_run = body.dry_run;
        let command = Command::Correct { key, verdict: body.verdict()? };
        let done = self.mutate(terms, id, by, Intent::Apply(command), is_dry_run).await?;
        Ok((key, done))
    }

    /// Says when and where a match is played. Gives the match's token too if it was just given a server.
    pub async fn plan(
        &self,
        terms: &impl Terms,
        caller: Identity,
        id: Uuid,
        key: &str,
        body: impl FnOnce() -> Result<ScheduleBody, ApiError>,
    ) -> Result<(Key, Done, Option<String>), ApiError> {
        let (current, by) = self.seen_by(id, caller).await?;
        if !by.is_staff() {
            return Err(Refusal::NotAllowed("a referee or an organizer of the tournament").into());
        }
        let key = parsed(key)?;
        let bout = current.tournament.bouts.get(&key).ok_or(Refusal::UnknownMatch(key))?;
        let body = body()?;
        let fields = Some(body.said());
        let mut plan = self.planned(bout.plan.clone(), body).await?;
        let token = format!("{TOKEN_PREFIX}{}", random_code(TOKEN_BYTES));
        let token_hash = TokenHash::of(&token).to_hex();
        plan.token_hash = plan.server_id.map(|_| token_hash.clone());
        let done = self.apply(terms, id, by, Command::Plan { key, plan, fields }).await?;
        // A server that the match had already keeps the token that it has.
        let kept = done.tournament.bouts.get(&key).and_then(|bout| bout.plan.token_hash.as_ref());
        let match_token = (kept == Some(&token_hash)).then_some(token);
        Ok((key, done, match_token))
    }

    /// Pairs the next round of Swiss.
    pub async fn pair_next_round(
        &self,
        terms: &impl Terms,
        caller: Identity,
        id: Uuid,
        body: impl FnOnce() -> Result<NextRoundBody, ApiError>,
    ) -> Result<Done, ApiError> {
        let (_, by) = self.seen_by(id, caller).await?;
        only_organizers(by)?;
        let NextRoundBody { allow_rematches } = body()?;
        self.apply(terms, id, by, Command::NextRound { allow_rematches }).await
    }
}

pub fn parsed(key: &str) -> Result<Key, ApiError> {
    key.parse().map_err(|error: mohaa_domain::tournament::InvalidKey| {
        ApiError::not_found("unknown_match", error.to_string())
    })
}

/// A match of the bracket
#[utoipa::path(
    get,
    path = "/api/v1/tournaments/{id}/matches/{key}",
    tag = "Tournaments",
    params(("id" = Uuid, Path, description = "the tournament"), ("key" = String, Path, description = "R2.1, W1.3, GF1, …")),
    responses(
        (status = 200, description = "The match", body = MatchAnswer),
        (status = 404, description = "There is no such tournament or match", body = ErrorBody),
        (status = 503, description = "Tournaments can't be read at the moment", body = ErrorBody),
    )
)]
pub async fn one_match(
    _: Anyone,
    request: HttpRequest,
    tournaments: Data<Tournaments>,
    path: Path<(Uuid, String)>,
) -> Result<HttpResponse, ApiError> {
    QueryShape::default().read(request.query_string()).finish()?;
    let (id, key) = path.into_inner();
    let current = tournaments.read(id).await?;
    let key = parsed(&key)?;
    let found = View::new(id, &current.tournament).find(key).ok_or(Refusal::UnknownMatch(key))?;
    Ok(versioned(&request, &current, || found))
}

/// Report a result
///
/// A captain's report waits for the other side's; the word of a referee or organizer is final.
#[utoipa::path(
    post,
    path = "/api/v1/tournaments/{id}/matches/{key}/report",
    tag = "Tournaments",
    params(("id" = Uuid, Path, description = "the tournament"), ("key" = String, Path, description = "R2.1, W1.3, GF1, …")),
    request_body = ResultBody,
    responses(
        (status = 200, description = "The match now", body = ChangedMatch),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "Neither a captain of one of the sides nor staff", body = ErrorBody),
        (status = 404, description = "There is no such tournament or match", body = ErrorBody),
        (status = 409, description = "The match can't be reported now, or the tournament was changed meanwhile", body = ErrorBody),
        (status = 422, description = "No such result can be", body = ErrorBody),
        (status = 503, description = "Tournaments can't be changed at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn report(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    tournaments: Data<Tournaments>,
    path: Path<(Uuid, String)>,
    JsonBody(body): JsonBody<Value>,
) -> Result<HttpResponse, ApiError> {
    let command = |key| Ok(Command::Report { key, verdict: from_json::<ResultBody>(body)?.verdict()? });
    tournaments.act(&request, caller, path, command).await
}

/// Confirm the reported result
///
/// By the other side, or by staff.
#[utoipa::path(
    post,
    path = "/api/v1/tournaments/{id}/matches/{key}/confirm",
    tag = "Tournaments",
    params(("id" = Uuid, Path, description = "the tournament"), ("key" = String, Path, description = "R2.1, W1.3, GF1, …")),
    responses(
        (status = 200, description = "The match now", body = ChangedMatch),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "Neither the other side nor staff", body = ErrorBody),
        (status = 404, description = "There is no such tournament or match", body = ErrorBody),
        (status = 409, description = "Nothing was reported, or by this side", body = ErrorBody),
        (status = 503, description = "Tournaments can't be changed at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn confirm(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    tournaments: Data<Tournaments>,
    path: Path<(Uuid, String)>,
) -> Result<HttpResponse, ApiError> {
    tournaments.act(&request, caller, path, |key| Ok(Command::Confirm { key })).await
}

/// Dispute a result
///
/// One that was reported or that holds; an organizer decides. What a referee or an organizer has decided is final for captains.
#[utoipa::path(
    post,
    path = "/api/v1/tournaments/{id}/matches/{key}/dispute",
    tag = "Tournaments",
    params(("id" = Uuid, Path, description = "the tournament"), ("key" = String, Path, description = "R2.1, W1.3, GF1, …")),
    request_body = super::entrants::ReasonBody,
    responses(
        (status = 200, description = "The match now", body = ChangedMatch),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "Neither a captain of one of the sides nor staff", body = ErrorBody),
        (status = 404, description = "There is no such tournament or match", body = ErrorBody),
        (status = 409, description = "Nothing was reported, it is disputed already, or staff has decided it", body = ErrorBody),
        (status = 422, description = "No reason", body = ErrorBody),
        (status = 503, description = "Tournaments can't be changed at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn dispute(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    tournaments: Data<Tournaments>,
    path: Path<(Uuid, String)>,
    JsonBody(body): JsonBody<Value>,
) -> Result<HttpResponse, ApiError> {
    let command = |key| {
        let super::entrants::ReasonBody { reason } = from_json(body)?;
        Ok(Command::Dispute { key, reason })
    };
    tournaments.act(&request, caller, path, command).await
}

/// Decide a dispute
#[utoipa::path(
    post,
    path = "/api/v1/tournaments/{id}/matches/{key}/resolve",
    tag = "Tournaments",
    params(("id" = Uuid, Path, description = "the tournament"), ("key" = String, Path, description = "R2.1, W1.3, GF1, …")),
    request_body = ResultBody,
    responses(
        (status = 200, description = "The match now", body = ChangedMatch),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "Not an organizer of it", body = ErrorBody),
        (status = 404, description = "There is no such tournament or match", body = ErrorBody),
        (status = 409, description = "It is not disputed, or the tournament was changed meanwhile", body = ErrorBody),
        (status = 422, description = "No such result can be", body = ErrorBody),
        (status = 503, description = "Tournaments can't be changed at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn resolve(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    tournaments: Data<Tournaments>,
    path: Path<(Uuid, String)>,
    JsonBody(body): JsonBody<Value>,
) -> Result<HttpResponse, ApiError> {
    let (id, key) = path.into_inner();
    let (key, done) = tournaments.resolve(&request, caller, id, &key, || from_json(body)).await?;
    Ok(HttpResponse::Ok().json(changed(id, key, &done)?))
}

/// Open a match again
///
/// As if nothing had been played or said in it. Later matches that it gave sides to fall.
#[utoipa::path(
    post,
    path = "/api/v1/tournaments/{id}/matches/{key}/reset",
    tag = "Tournaments",
    params(("id" = Uuid, Path, description = "the tournament"), ("key" = String, Path, description = "R2.1, W1.3, GF1, …")),
    responses(
        (status = 200, description = "The match now, and what fell", body = ChangedMatch),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "Not an organizer of it", body = ErrorBody),
        (status = 404, description = "There is no such tournament or match", body = ErrorBody),
        (status = 409, description = "The match has a bye, or the tournament was changed meanwhile", body = ErrorBody),
        (status = 503, description = "Tournaments can't be changed at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn reset(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    tournaments: Data<Tournaments>,
    path: Path<(Uuid, String)>,
) -> Result<HttpResponse, ApiError> {
    tournaments.act(&request, caller, path, |key| Ok(Command::Reset { key })).await
}

/// When and where a match is played. What is absent stays, what is null is taken away.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct ScheduleBody {
    #[serde(deserialize_with = "said")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub scheduled_at: Option<Option<DateTime<Utc>>>,
    /// The game server that plays it.
    #[serde(deserialize_with = "said")]
    #[schema(value_type = Option<Uuid>)]
    pub server_id: Option<Option<Uuid>>,
    #[serde(deserialize_with = "said")]
    #[schema(value_type = Option<String>)]
    pub map: Option<Option<String>>,
    #[serde(deserialize_with = "said")]
    #[schema(value_type = Option<String>)]
    pub stream_url: Option<Option<String>>,
}

impl ScheduleBody {
    /// The names of what is not absent.
    fn said(&self) -> BTreeSet<String> {
        let names = [
            ("scheduled_at", self.scheduled_at.is_some()),
            ("server_id", self.server_id.is_some()),
            ("map", self.map.is_some()),
            ("stream_url", self.stream_url.is_some()),
        ];
        names.iter().filter(|(_, is_said)| *is_said).map(|(name, _)| (*name).to_owned()).collect()
    }
}

/// Say when and where a match is played
#[utoipa::path(
    post,
    path = "/api/v1/tournaments/{id}/matches/{key}/schedule",
    tag = "Tournaments",
    params(("id" = Uuid, Path, description = "the tournament"), ("key" = String, Path, description = "R2.1, W1.3, GF1, …")),
    request_body = ScheduleBody,
    responses(
        (status = 200, description = "The match now", body = ChangedMatch),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "Not of its staff", body = ErrorBody),
        (status = 404, description = "There is no such tournament or match", body = ErrorBody),
        (status = 409, description = "The match has a bye, or the tournament was changed meanwhile", body = ErrorBody),
        (status = 422, description = "A field can't be used", body = ErrorBody),
        (status = 503, description = "Tournaments can't be changed at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn schedule(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    tournaments: Data<Tournaments>,
    path: Path<(Uuid, String)>,
    JsonBody(body): JsonBody<Value>,
) -> Result<HttpResponse, ApiError> {
    let (id, key) = path.into_inner();
    let (key, done, match_token) = tournaments.plan(&request, caller, id, &key, || from_json(body)).await?;
    Ok(HttpResponse::Ok().json(ChangedMatch { match_token, ..changed(id, key, &done)? }))
}

impl Tournaments {
    async fn must_have_server(&self, server_id: Option<Uuid>) -> Result<(), ApiError> {
        let is_there: bool = sqlx::query_scalar(
            "SELECT $1::uuid IS NULL OR EXISTS (SELECT FROM servers WHERE id = $1 AND removed_at IS NULL)",
        )
        .bind(server_id)
        .fetch_one(self.pool())
        .await
        .map_err(unavailable)?;
        match is_there {
            true => Ok(()),
            false => Err(ApiError::invalid_field("server_id", "no such server")),
        }
    }

    async fn planned(&self, mut plan: Plan, body: ScheduleBody) -> Result<Plan, ApiError> {
        let ScheduleBody { scheduled_at, server_id, map, stream_url } = body;
        if let Some(at) = scheduled_at {
            plan.scheduled_at = at.map(|at| at.timestamp_millis());
        }
        if let Some(server_id) = server_id {
            plan.server_id = server_id;
            self.must_have_server(server_id).await?;
        }
        if let Some(map) = map {
            plan.map = map.map(|map| map.trim().to_owned()).filter(|map| !map.is_empty());
        }
        if let Some(url) = stream_url {
            plan.stream_url = url.filter(|url| !url.trim().is_empty());
        }
        if let Some(url) = &plan.stream_url {
            let is_web = Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
            if !is_web || url.len() > 500 {
                return Err(ApiError::invalid_field(
                    "stream_url",
                    "an address of the web, at most 500 characters",
                ));
            }
        }
        Ok(plan)
    }
}

/// Start a match
#[utoipa::path(
    post,
    path = "/api/v1/tournaments/{id}/matches/{key}/start",
    tag = "Tournaments",
    params(("id" = Uuid, Path, description = "the tournament"), ("key" = String, Path, description = "R2.1, W1.3, GF1, …")),
    responses(
        (status = 200, description = "The match now", body = ChangedMatch),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "Neither a captain of one of the sides nor staff", body = ErrorBody),
        (status = 404, description = "There is no such tournament or match", body = ErrorBody),
        (status = 409, description = "It is not ready, or over", body = ErrorBody),
        (status = 503, description = "Tournaments can't be changed at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn start(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    tournaments: Data<Tournaments>,
    path: Path<(Uuid, String)>,
) -> Result<HttpResponse, ApiError> {
    tournaments.act(&request, caller, path, |key| Ok(Command::Start { key })).await
}

#[derive(Deserialize, ToSchema)]
pub struct VetoBody {
    pub map: String,
}

/// Ban or pick the next map
///
/// Whose turn it is and what happens to the map says the order of the veto.
#[utoipa::path(
    post,
    path = "/api/v1/tournaments/{id}/matches/{key}/veto",
    tag = "Tournaments",
    params(("id" = Uuid, Path, description = "the tournament"), ("key" = String, Path, description = "R2.1, W1.3, GF1, …")),
    request_body = VetoBody,
    responses(
        (status = 200, description = "The match now", body = ChangedMatch),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "Neither a captain of one of the sides nor staff", body = ErrorBody),
        (status = 404, description = "There is no such tournament or match", body = ErrorBody),
        (status = 409, description = "It is the other side's turn, or all maps are chosen", body = ErrorBody),
        (status = 422, description = "Not one of the maps that are left", body = ErrorBody),
        (status = 503, description = "Tournaments can't be changed at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn veto(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    tournaments: Data<Tournaments>,
    path: Path<(Uuid, String)>,
    JsonBody(body): JsonBody<Value>,
) -> Result<HttpResponse, ApiError> {
    let command = |key| {
        let VetoBody { map } = from_json(body)?;
        Ok(Command::Veto { key, map })
    };
    tournaments.act(&request, caller, path, command).await
}

/// Correct a result
///
/// At any time. With `dry_run` it is only told which later matches would fall (`falls`); else they are open again, and one undo
/// brings all back.
#[utoipa::path(
    post,
    path = "/api/v1/tournaments/{id}/matches/{key}/correct",
    tag = "Tournaments",
    params(("id" = Uuid, Path, description = "the tournament"), ("key" = String, Path, description = "R2.1, W1.3, GF1, …")),
    request_body = ResultBody,
    responses(
        (status = 200, description = "The match as it is or would be, and what falls", body = ChangedMatch),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "Not an organizer of it", body = ErrorBody),
        (status = 404, description = "There is no such tournament or match", body = ErrorBody),
        (status = 409, description = "It has no result, or the tournament was changed meanwhile", body = ErrorBody),
        (status = 422, description = "No such result can be", body = ErrorBody),
        (status = 503, description = "Tournaments can't be changed at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn correct(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    tournaments: Data<Tournaments>,
    path: Path<(Uuid, String)>,
    JsonBody(body): JsonBody<Value>,
) -> Result<HttpResponse, ApiError> {
    let (id, key) = path.into_inner();
    let (key, done) = tournaments.correct(&request, caller, id, &key, || from_json(body)).await?;
    Ok(HttpResponse::Ok().json(changed(id, key, &done)?))
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct NextRoundBody {
    /// Where no other round exists two may meet again.
    pub allow_rematches: bool,
}

/// Pair the next round of Swiss
#[utoipa::path(
    post,
    path = "/api/v1/tournaments/{id}/rounds/next",
    tag = "Tournaments",
    params(("id" = Uuid, Path, description = "the tournament")),
    request_body = NextRoundBody,
    responses(
        (status = 200, description = "The bracket with the round", body = BracketAnswer),
        (status = 400, description = "The body is not JSON", body = ErrorBody),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "Not an organizer of it", body = ErrorBody),
        (status = 404, description = "There is no such tournament", body = ErrorBody),
        (status = 409, description = "The round before is not over, or no legal round is left", body = ErrorBody),
        (status = 422, description = "A field can't be used", body = ErrorBody),
        (status = 503, description = "Tournaments can't be changed at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn next_round(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    tournaments: Data<Tournaments>,
    id: Path<Uuid>,
    body: Bytes,
) -> Result<HttpResponse, ApiError> {
    let body = || super::entrants::optional_body(&body);
    let done = tournaments.pair_next_round(&request, caller, *id, body).await?;
    Ok(HttpResponse::Ok().json(View::new(*id, &done.tournament).bracket(done.version)))
}
