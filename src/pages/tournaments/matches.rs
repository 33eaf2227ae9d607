//! One match of a bracket: what is said of it, and what captains, referees and organizers do to it.

use std::future::{Ready, ready};
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{Error, FromRequest, HttpRequest, HttpResponse};
use chrono::DateTime;
use mohaa_domain::tournament::{
    Bout, BoutStatus, By, Command, Forfeit, Key, Refusal, Report, Side, Tournament,
};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use super::Page;
use super::bracket::with_words;
use super::forms::{self, Fields, MOST_GAMES, Sent, said};
use super::settings::moment;
use super::shown::{Seen, plain};
use super::stream::live_scores;
use crate::access::{Anyone, SafeForm, SignedIn};
use crate::auth::{Identity, NEW_SECRET_COOKIE, SessionCookies};
use crate::http::query::{Parameter, QueryShape};
use crate::http::{ApiError, from_json};
use crate::live::Live;
use crate::pages::notice::sentence;
use crate::pages::{Pages, see, with_cookies};
use crate::servers::{list_servers, servers_unavailable};
use crate::tournaments::{Tournaments, View, match_key};

/// The page takes the cookie of a new match token away again: it is shown once.
const TOKEN_SHOWN_WITHIN: Duration = Duration::from_secs(60);

const fn typed(name: &'static str, description: &'static str, example: &'static str) -> Parameter {
    Parameter { name, description, example }
}

/// A result's fields with so many games.
macro_rules! result_fields {
    ($($game:literal),*) => {
        &[
            typed("score1", "The first side's score.", "2"),
            typed("score2", "The second side's score.", "1"),
            typed("winner", "1 or 2, where it does not follow.", "1"),
            typed("forfeit", "1, 2 or both.", "2"),
            $(
                typed(concat!("game", $game, "_map"), "Where a game was played.", "dm/mohdm1"),
                typed(concat!("game", $game, "_score1"), "The first side's score in it.", "10"),
                typed(concat!("game", $game, "_score2"), "The second side's score in it.", "4"),
            )*
        ]
    };
}

/// What a correction is previewed by: the fields of its form, which has room for [`MOST_GAMES`].
const CORRECTION: QueryShape =
    QueryShape { parameters: result_fields!(1, 2, 3, 4, 5, 6, 7), filters: &[], paged: false };

/// A match of a tournament with all its page shows.
struct Looked {
    seen: Seen,
    key: Key,
}

impl Looked {
    async fn at(
        tournaments: &Tournaments,
        viewer: Anyone,
        path: Path<(Uuid, String)>,
    ) -> Result<Self, ApiError> {
        let (id, key) = path.into_inner();
        let seen = Seen::of(tournaments, viewer, id).await?;
        let key = match_key(&key)?;
        // A reset match that is not due does not exist.
        View::new(id, &seen.current.tournament).find(key).ok_or(Refusal::UnknownMatch(key))?;
        Ok(Looked { seen, key })
    }

    fn bout(&self) -> Result<&Bout, ApiError> {
        let bout = self.seen.current.tournament.bouts.get(&self.key);
        bout.ok_or_else(|| Refusal::UnknownMatch(self.key).into())
    }

    fn shown(&self, scores: &super::bracket::Scores) -> Result<Value, ApiError> {
        let mut one =
            plain(&View::new(self.seen.current.id, &self.seen.current.tournament).bout(self.bout()?))?;
        with_words(&mut one, &self.seen, scores);
        Ok(one)
    }
}

pub async fn page(viewer: Anyone, request: HttpRequest, around: Around, path: Path<(Uuid, String)>) -> Page {
    QueryShape::default().read(request.query_string()).finish()?;
    shown(viewer, &request, &around, path, None).await
}

/// What a page of a match is made from.
pub struct Around {
    pages: Data<Pages>,
    tournaments: Data<Tournaments>,
    live: Data<Live>,
    cookies: Data<SessionCookies>,
}

impl FromRequest for Around {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        fn of<T: 'static>(request: &HttpRequest) -> Result<Data<T>, Error> {
            Data::<T>::extract(request).into_inner()
        }
        ready((|| {
            Ok(Around {
                pages: of(request)?,
                tournaments: of(request)?,
                live: of(request)?,
                cookies: of(request)?,
            })
        })())
    }
}

/// A form that could not be used.
struct Refused<'a> {
    form: &'static str,
    fields: &'a Fields,
    error: &'a ApiError,
}

/// The page of a match; with what was typed into a form that could not be used, and why.
async fn shown(
    viewer: Anyone,
    request: &HttpRequest,
    around: &Around,
    path: Path<(Uuid, String)>,
    refused: Option<Refused<'_>>,
) -> Page {
    let Around { pages, tournaments, live, cookies } = around;
    let looked = Looked::at(tournaments, viewer, path).await?;
    let scores = live_scores(tournaments, live, &looked.seen.current).await;
    let Looked { seen, key } = &looked;
    let (tournament, bout) = (&seen.current.tournament, looked.bout()?);
    let round = round_of(seen, *key);
    let token = match seen.is_staff() {
        true => shown_token(request, seen.current.id, *key),
        false => Value::Null,
    };
    let has_token = !token.is_null();
    let servers = match seen.is_staff() {
        true => servers(tournaments.pool()).await?,
        false => server_name(tournaments.pool(), bout.plan.server_id).await?,
    };
    let typed = |form: &str| {
        let refused = refused.as_ref().filter(|refused| refused.form == form);
        let mistake = refused.map(|refused| sentence(refused.error));
        typed_result(tournament, bout, refused.map(|refused| refused.fields), None, mistake)
    };
    let context = json!({
        "match": looked.shown(&scores)?,
        "round": round,
        "can": what_viewer_can(&looked)?,
        "veto": next_veto(seen, bout),
        "reports": reports(tournament, bout),
        "disputed_by": bout.dispute.as_ref().map(|dispute| witness(tournament, dispute.by)),
        "outcome_by": bout.outcome.as_ref().map(|outcome| witness(tournament, outcome.by)),
        "typed": { "report": typed("report"), "resolve": typed("resolve") },
        "map_pool": tournament.settings.map_pool,
        "servers": servers,
        "token": token,
        "scheduled_at": bout.plan.scheduled_at.map(moment),
        "said": said_of(bout),
    });
    let title = format!("Match {key}");
    let mut page = seen.show(pages, request, "tournaments/match.html", Some(&title), context).await?;
    if let Some(Refused { error, .. }) = refused {
        *page.status_mut() = error.status();
    }
    match has_token {
        true => with_cookies(page, [cookies.cookie(NEW_SECRET_COOKIE, String::new(), Duration::ZERO)]),
        false => Ok(page),
    }
}

/// The round's name and how many games there are.
fn round_of(seen: &Seen, key: Key) -> Value {
    let view = View::new(seen.current.id, &seen.current.tournament);
    let bracket = plain(&view.bracket(seen.current.version)).unwrap_or_default();
    for group in bracket["stages"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|stage| stage["groups"].as_array().into_iter().flatten())
    {
        for round in group["rounds"].as_array().into_iter().flatten() {
            let matches = round["matches"].as_array().into_iter().flatten();
            if matches.into_iter().any(|one| one["key"] == key.to_string()) {
                return json!({ "name": round["name"], "group": group["name"] });
            }
        }
    }
    Value::Null
}

fn said_of(bout: &Bout) -> Value {
    let score = bout.outcome.as_ref().map(|outcome| {
        format!("{} ended {} to {}", bout.key, outcome.verdict.scores[0], outcome.verdict.scores[1])
    });
    score.into()
}

async fn servers(pool: &PgPool) -> Result<Value, ApiError> {
    let servers = list_servers(pool, None).await.map_err(servers_unavailable)?;
    let servers = servers.into_iter().filter(|server| server.approved);
    Ok(servers.map(|server| json!({ "server_id": server.server_id, "name": server.name })).collect())
}

/// The name of the server that plays the match, as the only one of a list. By primary key.
async fn server_name(pool: &PgPool, server_id: Option<Uuid>) -> Result<Value, ApiError> {
    let Some(server_id) = server_id else { return Ok(Value::Array(Vec::new())) };
    let name: Option<String> = sqlx::query_scalar("SELECT name FROM servers WHERE id = $1")
        .bind(server_id)
        .fetch_optional(pool)
        .await
        .map_err(servers_unavailable)?;
    Ok(name.into_iter().map(|name| json!({ "server_id": server_id, "name": name })).collect())
}

fn is_open(bout: &Bout) -> bool {
    matches!(bout.status, BoutStatus::Ready | BoutStatus::Running) && !bout.has_bye()
}

/// What the forms of the page can do for the viewer now; the rules decide again when one is sent.
fn what_viewer_can(looked: &Looked) -> Result<Value, ApiError> {
    let (seen, bout) = (&looked.seen, looked.bout()?);
    let side = seen.side_in(looked.key);
    let has_a_say = side.is_some() || seen.is_staff();
    let is_own = |report: &Report| match report.by {
        By::Captain(_, entrant) => side.is_some() && bout.side_of(entrant) == side,
        _ => false,
    };
    let own_report = bout.reports.iter().any(is_own);
    let last_is_of_others = bout.reports.last().is_some_and(|report| !is_own(report));
    let is_open = is_open(bout) && seen.current.tournament.status.has_begun();
    let is_organizer = seen.is_organizer();
    let is_disputed = bout.dispute.is_some();
    Ok(json!({
        "side": side.map(u8::from),
        "report": is_open && has_a_say && !(is_disputed && (own_report || seen.is_staff())),
        "confirm": is_open && has_a_say && !is_disputed && last_is_of_others,
        "dispute": has_a_say && !is_disputed && (bout.outcome.is_some() || !bout.reports.is_empty()),
        "start": has_a_say && bout.status == BoutStatus::Ready && bout.dispute.is_none() && is_open,
        "veto": is_open && has_a_say,
        "resolve": is_organizer && is_disputed,
        "correct": is_organizer && bout.outcome.is_some(),
        "reset": is_organizer && bout.is_touched() && !bout.has_bye(),
        "schedule": seen.is_staff() && !bout.has_bye(),
    }))
}

fn next_veto(seen: &Seen, bout: &Bout) -> Value {
    let tournament = &seen.current.tournament;
    if !is_open(bout) {
        return Value::Null;
    }
    let Ok(turn) = tournament.next_veto(bout.key) else { return Value::Null };
    let occupant = bout.occupants[turn.side.index()].entrant();
    let name = occupant.and_then(|id| tournament.entrants.get(&id)).map(|entrant| entrant.name.clone());
    let is_viewers_turn = seen.is_staff() || seen.side_in(bout.key) == Some(turn.side);
    json!({
        "side": u8::from(turn.side), "banned": turn.banned, "maps": turn.maps, "name": name,
        "is_viewers_turn": is_viewers_turn,
    })
}

/// Who says something of a match.
fn witness(tournament: &Tournament, by: By) -> Value {
    let name = match by {
        By::Captain(_, entrant) => tournament.entrants.get(&entrant).map(|entrant| entrant.name.clone()),
        _ => None,
    };
    let word = match by {
        By::Captain(..) => "captain",
        By::Organizer(_) => "organizer",
        By::Referee(_) => "referee",
        By::Server(_) => "game server",
        By::User(_) => "user",
        By::Clock => "clock",
    };
    json!({ "word": word, "name": name })
}

/// What was said; where a result is disputed that itself first.
fn reports(tournament: &Tournament, bout: &Bout) -> Vec<Value> {
    let standing = bout.outcome.as_ref().filter(|_| bout.dispute.is_some()).map(|outcome| {
        let mut standing = of_report(tournament, outcome);
        standing["stands"] = true.into();
        standing
    });
    standing.into_iter().chain(bout.reports.iter().map(|report| of_report(tournament, report))).collect()
}

fn of_report(tournament: &Tournament, report: &Report) -> Value {
    let verdict = &report.verdict;
    let forfeit = verdict.forfeit.map(forfeit_word);
    json!({
        "by": witness(tournament, report.by),
        "stands": false,
        "at": DateTime::from_timestamp_millis(report.at),
        "score1": verdict.scores[0], "score2": verdict.scores[1],
        "winner": verdict.winner.map(u8::from),
        "forfeit": forfeit,
        "games": verdict.games.iter().map(|game| json!({
            "map": game.map, "score1": game.score1, "score2": game.score2,
        })).collect::<Vec<_>>(),
    })
}

/// What stands in the form of a result: what was typed and could not be used, else `held`, which counts now, else the maps that were
/// chosen, a row for as many games as there can be.
fn typed_result(
    tournament: &Tournament,
    bout: &Bout,
    typed: Option<&Fields>,
    held: Option<&Report>,
    mistake: Option<String>,
) -> Value {
    let chosen: Vec<&str> =
        bout.vetoes.iter().filter(|choice| !choice.banned).map(|choice| choice.map.as_str()).collect();
    let is_chosen = bout.best_of > 1 || !chosen.is_empty() || !tournament.settings.map_pool.is_empty();
    let rows = if is_chosen { usize::from(bout.best_of).min(MOST_GAMES) } else { 0 };
    let verdict = held.map(|report| &report.verdict).filter(|_| typed.is_none());
    let of_game = |at: usize| {
        if let Some(fields) = typed {
            let typed = |what: &str| said(fields, &format!("game{}_{what}", at + 1));
            return json!({ "map": typed("map"), "score1": typed("score1"), "score2": typed("score2") });
        }
        match verdict.and_then(|verdict| verdict.games.get(at)) {
            Some(game) => json!({
                "map": game.map, "score1": game.score1.to_string(), "score2": game.score2.to_string(),
            }),
            None => {
                let planned = bout.plan.map.as_deref().filter(|_| rows == 1);
                json!({ "map": chosen.get(at).copied().or(planned), "score1": null, "score2": null })
            }
        }
    };
    let rows: Vec<Value> = (0..rows)
        .map(|at| {
            let mut row = of_game(at);
            row["number"] = (at + 1).into();
            row
        })
        .collect();
    let forfeit = verdict.and_then(|verdict| verdict.forfeit);
    let scores = verdict.filter(|_| forfeit.is_none()).map(|verdict| verdict.scores.map(|it| it.to_string()));
    let field = |name: &str, held: Option<String>| {
        typed.and_then(|fields| said(fields, name)).map(str::to_owned).or(held).unwrap_or_default()
    };
    json!({
        "rows": rows,
        "score1": field("score1", scores.as_ref().map(|[score, _]| score.clone())),
        "score2": field("score2", scores.as_ref().map(|[_, score]| score.clone())),
        "winner": field("winner", None),
        "forfeit": field("forfeit", forfeit.map(|forfeit| forfeit_word(forfeit).to_owned())),
        "mistake": mistake,
    })
}

fn forfeit_word(forfeit: Forfeit) -> &'static str {
    match forfeit {
        Forfeit::One => "1",
        Forfeit::Two => "2",
        Forfeit::Both => "both",
    }
}

fn back(id: Uuid, key: &str) -> HttpResponse {
    see(&format!("/tournaments/{id}/matches/{}#state", crate::pages::filters::path_encode(key)))
}

/// Does to a match what a form asks.
async fn act(
    tournaments: &Tournaments,
    caller: Identity,
    path: Path<(Uuid, String)>,
    fields: &Fields,
    command: impl FnOnce(Key) -> Result<Command, ApiError>,
) -> Result<HttpResponse, ApiError> {
    let (id, key) = path.into_inner();
    tournaments.act_on(&Sent::of(fields)?, caller, id, &key, command).await?;
    Ok(back(id, &key))
}

/// How many games a match has: a result that was typed is read by it.
async fn best_of(tournaments: &Tournaments, id: Uuid, key: Key) -> Result<u8, ApiError> {
    let current = tournaments.read(id).await?;
    Ok(current.tournament.bouts.get(&key).ok_or(Refusal::UnknownMatch(key))?.best_of)
}

pub async fn report(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    around: Around,
    path: Path<(Uuid, String)>,
    SafeForm(fields): SafeForm<Fields>,
) -> Page {
    let tournaments = &around.tournaments;
    let best_of = best_of(tournaments, path.0, match_key(&path.1)?).await?;
    let command = |key| Ok(Command::Report { key, verdict: forms::result(&fields, best_of)?.verdict()? });
    let done = act(tournaments, caller, Path::from(path.clone()), &fields, command).await;
    or_as_typed(done, "report", caller, &request, &around, path, &fields).await
}

/// What was typed is worth more than a way back: a result that could not be used stands in its form again.
async fn or_as_typed(
    done: Page,
    form: &'static str,
    caller: Identity,
    request: &HttpRequest,
    around: &Around,
    path: Path<(Uuid, String)>,
    fields: &Fields,
) -> Page {
    match done {
        // A conflict leads back: the form may be gone, and with it the place to say why.
        Err(error) if error.status() == StatusCode::UNPROCESSABLE_ENTITY => {
            let refused = Refused { form, fields, error: &error };
            shown(Anyone(Some(caller)), request, around, path, Some(refused)).await
        }
        done => done,
    }
}

pub async fn confirm(
    SignedIn(caller): SignedIn,
    tournaments: Data<Tournaments>,
    path: Path<(Uuid, String)>,
    SafeForm(fields): SafeForm<Fields>,
) -> Result<HttpResponse, ApiError> {
    act(&tournaments, caller, path, &fields, |key| Ok(Command::Confirm { key })).await
}

pub async fn dispute(
    SignedIn(caller): SignedIn,
    tournaments: Data<Tournaments>,
    path: Path<(Uuid, String)>,
    SafeForm(fields): SafeForm<Fields>,
) -> Result<HttpResponse, ApiError> {
    let reason = said(&fields, "reason").unwrap_or_default().to_owned();
    act(&tournaments, caller, path, &fields, |key| Ok(Command::Dispute { key, reason })).await
}

pub async fn start(
    SignedIn(caller): SignedIn,
    tournaments: Data<Tournaments>,
    path: Path<(Uuid, String)>,
    SafeForm(fields): SafeForm<Fields>,
) -> Result<HttpResponse, ApiError> {
    act(&tournaments, caller, path, &fields, |key| Ok(Command::Start { key })).await
}

pub async fn veto(
    SignedIn(caller): SignedIn,
    tournaments: Data<Tournaments>,
    path: Path<(Uuid, String)>,
    SafeForm(fields): SafeForm<Fields>,
) -> Result<HttpResponse, ApiError> {
    let map = said(&fields, "map").unwrap_or_default().to_owned();
    act(&tournaments, caller, path, &fields, |key| Ok(Command::Veto { key, map })).await
}

pub async fn reset(
    SignedIn(caller): SignedIn,
    tournaments: Data<Tournaments>,
    path: Path<(Uuid, String)>,
    SafeForm(fields): SafeForm<Fields>,
) -> Result<HttpResponse, ApiError> {
    act(&tournaments, caller, path, &fields, |key| Ok(Command::Reset { key })).await
}

pub async fn resolve(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    around: Around,
    path: Path<(Uuid, String)>,
    SafeForm(fields): SafeForm<Fields>,
) -> Page {
    let (id, key) = &*path;
    let done = async {
        let best_of = best_of(&around.tournaments, *id, match_key(key)?).await?;
        let body = || forms::result(&fields, best_of);
        around.tournaments.resolve(&Sent::of(&fields)?, caller, *id, key, body).await?;
        Ok(back(*id, key))
    };
    let done = done.await;
    or_as_typed(done, "resolve", caller, &request, &around, path, &fields).await
}

/// What a correction would bring about, with the button that makes it.
pub async fn preview(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    pages: Data<Pages>,
    tournaments: Data<Tournaments>,
    path: Path<(Uuid, String)>,
) -> Page {
    let mut values = CORRECTION.read(request.query_string());
    let mut fields = Fields::new();
    for Parameter { name, .. } in CORRECTION.parameters {
        if let Some(value) = values.parameter(name) {
            fields.insert((*name).to_owned(), value);
        }
    }
    values.finish()?;
    let looked = Looked::at(&tournaments, Anyone(Some(caller)), path).await?;
    let Looked { seen, key } = &looked;
    let (id, tournament) = (seen.current.id, &seen.current.tournament);
    if !seen.is_organizer() {
        return Err(Refusal::NotAllowed("an organizer of the tournament").into());
    }
    let bout = looked.bout()?;
    let mut context = json!({
        "match": looked.shown(&Default::default())?,
        "typed": null,
        "map_pool": tournament.settings.map_pool,
        "asked": fields,
        "preview": null,
        "is_still": true,
    });
    let mut mistake = None;
    // Nothing was typed yet: the page is a form.
    if !fields.is_empty() {
        let body = || {
            let mut body = forms::result(&fields, bout.best_of)?;
            body.dry_run = true;
            Ok(body)
        };
        let seen_version = Sent::default();
        match tournaments.correct(&seen_version, caller, id, &key.to_string(), body).await {
            Ok((_, done)) => {
                let falls: Vec<Value> = done
                    .fallen
                    .iter()
                    .filter_map(|key| tournament.bouts.get(key))
                    .map(|bout| {
                        let name = |side: Side| {
                            let id = bout.occupants[side.index()].entrant();
                            id.and_then(|id| tournament.entrants.get(&id)).map(|entrant| entrant.name.clone())
                        };
                        json!({
                            "key": bout.key, "names": [name(Side::One), name(Side::Two)],
                            "scores": bout.outcome.as_ref().map(|outcome| outcome.verdict.scores),
                        })
                    })
                    .collect();
                let status = done.tournament.status;
                context["preview"] = json!({
                    "falls": falls,
                    "opens_again": tournament.status != status,
                    "result": plain(&View::new(id, &done.tournament).find(*key))?,
                });
            }
            Err(error) if error.status().is_client_error() => {
                mistake = Some(sentence(&error));
            }
            Err(error) => return Err(error),
        }
    }
    let typed = Some(&fields).filter(|fields| !fields.is_empty());
    context["typed"] = typed_result(tournament, bout, typed, bout.outcome.as_ref(), mistake);
    let title = format!("Correct {key}");
    seen.show(&pages, &request, "tournaments/correct.html", Some(&title), context).await
}

pub async fn correct(
    SignedIn(caller): SignedIn,
    tournaments: Data<Tournaments>,
    path: Path<(Uuid, String)>,
    SafeForm(fields): SafeForm<Fields>,
) -> Result<HttpResponse, ApiError> {
    let (id, key) = path.into_inner();
    let best_of = best_of(&tournaments, id, match_key(&key)?).await?;
    let body = || forms::result(&fields, best_of);
    tournaments.correct(&Sent::of(&fields)?, caller, id, &key, body).await?;
    Ok(back(id, &key))
}

pub async fn schedule(
    SignedIn(caller): SignedIn,
    tournaments: Data<Tournaments>,
    cookies: Data<SessionCookies>,
    path: Path<(Uuid, String)>,
    SafeForm(fields): SafeForm<Fields>,
) -> Result<HttpResponse, ApiError> {
    let (id, key) = path.into_inner();
    let body = || {
        from_json(json!({
            "scheduled_at": super::settings::time_of(&fields, "scheduled_at"),
            "server_id": said(&fields, "server_id"),
            "map": said(&fields, "map"),
            "stream_url": said(&fields, "stream_url"),
        }))
    };
    let (parsed, _, token) = tournaments.plan(&Sent::of(&fields)?, caller, id, &key, body).await?;
    match token {
        None => Ok(back(id, &key)),
        Some(token) => {
            let value = format!("match.{id}.{parsed}.{token}");
            let page = see(&format!("/tournaments/{id}/matches/{parsed}#token"));
            with_cookies(page, [cookies.cookie(NEW_SECRET_COOKIE, value, TOKEN_SHOWN_WITHIN)])
        }
    }
}

/// The token that the cookie brings, as far as it can be one of ours and is this match's.
fn shown_token(request: &HttpRequest, id: Uuid, key: Key) -> Value {
    let read = || {
        let cookie = request.cookie(NEW_SECRET_COOKIE)?;
        let token = cookie.value().strip_prefix(&format!("match.{id}.{key}."))?;
        let is_sane = token.len() < 100
            && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        is_sane.then(|| token.to_owned())
    };
    read().into()
}
