//! What organizers and referees see and do: steps, entrants, seeds, staff, settings, the log.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use mohaa_domain::tournament::{BoutStatus, By, Command, EntrantId, Status, Tournament};
use serde_json::{Value, json};
use uuid::Uuid;

use super::bracket::{may_pair, with_words};
use super::forms::{Fields, Sent, number, said};
use super::shown::{Seen, plain, status_word, what_comes_next};
use super::{Page, settings as fields_of};
use crate::access::{Anyone, Organizer, SafeForm, SignedIn};
use crate::auth::Identity;
use crate::http::query::{Paging, QueryShape};
use crate::http::{ApiError, from_json};
use crate::pages::{Form, Pages, see, text, view};
use crate::tournaments::{
    self, AuditEntry, EntryBody, NextRoundBody, SettingsBody, Tournaments, View, participants,
};

const AUDIT: QueryShape = QueryShape { parameters: &[], filters: &[], paged: true };
/// Entries of the log beside everything else.
const LAST_ENTRIES: u32 = 5;

/// The tournament as one of its staff sees it.
async fn as_staff(tournaments: &Tournaments, caller: Identity, id: Uuid) -> Result<Seen, ApiError> {
    let seen = Seen::of(tournaments, Anyone(Some(caller)), id).await?;
    match seen.is_staff() {
        true => Ok(seen),
        false => Err(ApiError::forbidden("not_allowed", "only the tournament's staff may see this")),
    }
}

pub async fn page(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    pages: Data<Pages>,
    tournaments: Data<Tournaments>,
    id: Path<Uuid>,
) -> Page {
    QueryShape::default().read(request.query_string()).finish()?;
    let seen = as_staff(&tournaments, caller, *id).await?;
    let (current, tournament) = (&seen.current, &seen.current.tournament);
    let list = plain(&participants(tournament, current.id, current.version))?;
    let mut entrants = list["participants"].clone();
    for one in entrants.as_array_mut().into_iter().flatten() {
        one["status_word"] = super::entrants::place_word(one["status"].as_str().unwrap_or_default()).into();
        one["is_in"] = matches!(one["status"].as_str(), Some("registered" | "waiting")).into();
    }
    let view_of = View::new(current.id, tournament);
    let (mut disputed, mut open, mut played) = (Vec::new(), Vec::new(), Vec::new());
    for bout in tournament.existing().filter(|bout| !bout.has_bye()) {
        let part = match bout.status {
            _ if bout.dispute.is_some() => &mut disputed,
            BoutStatus::Ready | BoutStatus::Running => &mut open,
            BoutStatus::Completed => &mut played,
            _ => continue,
        };
        let mut one = plain(&view_of.bout(bout))?;
        with_words(&mut one, &seen, &Default::default());
        part.push(one);
    }
    let paging = Paging { page: 1, limit: LAST_ENTRIES };
    let log = tournaments.audit(caller, *id, || Ok(paging)).await?;
    let context = json!({
        "next": what_comes_next(tournament),
        "steps": steps(tournament),
        "entrants": entrants,
        "can_seed": seen.is_organizer() && !tournament.status.has_begun() && tournament.status != Status::Cancelled,
        "can_enter": seen.is_organizer() && !tournament.status.has_begun() && tournament.status != Status::Cancelled,
        "is_over": matches!(tournament.status, Status::Completed | Status::Cancelled),
        "disputed": disputed,
        "open": open,
        "played": played,
        "may_pair": may_pair(&seen),
        "staff": plain(&tournaments::staff(&tournaments, current).await?)?["staff"],
        "log": entries(log.entries, tournament)?,
        "undone_next": entries(tournaments.undone_next(*id).await?, tournament)?.pop(),
        "said": super::bracket::last_result(tournament),
    });
    seen.show(&pages, &request, "tournaments/admin.html", Some("Run"), context).await
}

/// The steps of a tournament's life: which is done, which is now, which can be taken by hand.
fn steps(tournament: &Tournament) -> Value {
    let all = [
        Status::Draft,
        Status::RegistrationOpen,
        Status::RegistrationClosed,
        Status::Checkin,
        Status::InProgress,
        Status::Completed,
    ];
    let now = tournament.status;
    let next: &[Status] = match now {
        Status::Draft => &[Status::RegistrationOpen],
        Status::RegistrationOpen => &[Status::RegistrationClosed],
        Status::RegistrationClosed => &[Status::Checkin, Status::InProgress],
        Status::Checkin => &[Status::InProgress],
        Status::InProgress | Status::Completed | Status::Cancelled => &[],
    };
    let label = |status: Status| match status {
        Status::RegistrationOpen => "Open registration",
        Status::RegistrationClosed => "Close registration",
        Status::Checkin => "Open check-in",
        Status::InProgress => "Start",
        Status::Draft | Status::Completed | Status::Cancelled => "",
    };
    json!({
        "all": all.iter().map(|status| json!({
            "word": status_word(*status), "is_now": *status == now, "is_done": now != Status::Cancelled && *status < now,
        })).collect::<Vec<_>>(),
        "next": next.iter().map(|status| json!({ "status": status, "label": label(*status) })).collect::<Vec<_>>(),
        "can_cancel": !matches!(now, Status::Completed | Status::Cancelled),
    })
}

/// Entries of the log in words: who did it, to whom or to what end, and all that was asked as text.
fn entries(
    log: impl IntoIterator<Item = AuditEntry>,
    tournament: &Tournament,
) -> Result<Vec<Value>, ApiError> {
    let entry = |entry: AuditEntry| -> Result<Value, serde_json::Error> {
        let by = match entry.by {
            By::Organizer(_) => "organizer",
            By::Referee(_) => "referee",
            By::Captain(..) => "captain",
            By::User(_) => "player",
            By::Server(_) => "game server",
            By::Clock => "clock",
        };
        let command = entry.command.as_ref().map(serde_json::to_string).transpose()?;
        let about = entry.command.as_ref().map(|command| about(command, tournament)).unwrap_or_default();
        Ok(json!({
            "version": entry.version, "at": entry.at, "user_id": entry.user_id, "user_name": entry.user_name,
            "by": by, "action": action_word(&entry.action), "key": entry.key, "undoes": entry.undoes,
            "whose": about.whose, "what": about.what, "falls": entry.falls, "command": command.map(|text| text::with_hidden_spelled(&text)),
        }))
    };
    log.into_iter().map(entry).collect::<Result<_, _>>().map_err(ApiError::internal)
}

/// Whom a mutation is about, by name, and what came of it in words.
#[derive(Default)]
struct About {
    whose: Option<String>,
    what: Option<String>,
}

fn about(command: &Command, tournament: &Tournament) -> About {
    let whose = match command {
        Command::Register { name, .. } => Some(name.clone()),
        Command::Withdraw { entrant }
        | Command::Disqualify { entrant, .. }
        | Command::CheckIn { entrant } => {
            tournament.entrants.get(entrant).map(|entrant| entrant.name.clone())
        }
        _ => None,
    };
    let what = match command {
        Command::SetStatus { to, .. } => Some(status_word(*to).to_owned()),
        Command::Disqualify { reason, .. } | Command::Dispute { reason, .. } => Some(reason.clone()),
        Command::Seed { order } => Some(format!("{} by hand", order.len())),
        Command::Report { verdict, .. }
        | Command::Resolve { verdict, .. }
        | Command::Correct { verdict, .. } => Some(format!("{}–{}", verdict.scores[0], verdict.scores[1])),
        Command::Veto { map, .. } => Some(map.clone()),
        Command::Update { fields: Some(fields), .. } => {
            Some(fields.iter().map(|field| fields_of::in_words(field, "").0).collect::<Vec<_>>().join(", "))
        }
        _ => None,
    };
    About { whose, what }
}

fn action_word(action: &str) -> String {
    let word = match action {
        "update" => "Settings changed",
        "set_status" => "Step",
        "clock" => "Step by the clock",
        "register" => "Entered",
        "withdraw" => "Out",
        "disqualify" => "Disqualified",
        "check_in" => "Checked in",
        "seed" => "Seeded",
        "next_round" => "Round paired",
        "report" => "Reported",
        "report_game" => "Game reported",
        "confirm" => "Confirmed",
        "dispute" => "Disputed",
        "resolve" => "Dispute decided",
        "reset" => "Match opened again",
        "plan" => "Match planned",
        "start" => "Match started",
        "veto" => "Map chosen",
        "correct" => "Corrected",
        "undo" => "Taken back",
        other => other,
    };
    word.to_owned()
}

pub async fn audit_log(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    pages: Data<Pages>,
    tournaments: Data<Tournaments>,
    id: Path<Uuid>,
) -> Page {
    let seen = as_staff(&tournaments, caller, *id).await?;
    let mut values = AUDIT.read(request.query_string());
    let paging = values.paging();
    values.finish()?;
    let log = tournaments.audit(caller, *id, || Ok(paging)).await?;
    let total = u64::try_from(log.total).unwrap_or(0);
    let context = json!({
        "list": { "page": paging.page, "limit": paging.limit, "total": log.total },
        "pages": view::page_links(request.path(), request.query_string(), paging, total),
        "entries": entries(log.entries, &seen.current.tournament)?,
        "is_still": true,
    });
    seen.show(&pages, &request, "tournaments/audit.html", Some("Log"), context).await
}

/// A new tournament's settings before anything was typed.
fn blank() -> Result<SettingsBody, ApiError> {
    from_json(json!({ "name": "", "format": "single_elimination" }))
}

pub async fn new(Organizer(caller): Organizer, request: HttpRequest, pages: Data<Pages>) -> Page {
    QueryShape::default().read(request.query_string()).finish()?;
    form_of_new(&pages, &request, caller, fields_of::form(&blank()?)?, None).await
}

async fn form_of_new(
    pages: &Pages,
    request: &HttpRequest,
    caller: Identity,
    parts: Value,
    mistake: Option<&ApiError>,
) -> Page {
    let context = json!({ "parts": parts, "mistakes": mistake.map(mistakes), "t": null });
    let title = "New tournament";
    let form = Form { request, viewer: Some(caller), template: "tournaments/settings.html", title, context };
    with_status(pages.form(form).await?, mistake)
}

/// Why settings could not be used, a line a field.
fn mistakes(error: &ApiError) -> Vec<String> {
    match error.fields().is_empty() {
        true => vec![error.message().to_owned()],
        false => {
            let fields = error.fields().iter();
            let in_words = fields.map(|(name, why)| fields_of::in_words(name, why));
            in_words.map(|(label, why)| format!("{label}: {why}")).collect()
        }
    }
}

/// The status of the mistake that a page shows.
fn with_status(mut page: HttpResponse, mistake: Option<&ApiError>) -> Page {
    *page.status_mut() = mistake.map_or(StatusCode::OK, ApiError::status);
    Ok(page)
}

pub async fn create(
    Organizer(caller): Organizer,
    request: HttpRequest,
    pages: Data<Pages>,
    tournaments: Data<Tournaments>,
    SafeForm(fields): SafeForm<Fields>,
) -> Page {
    let made = async {
        let body = fields_of::whole(&fields, &blank()?)?;
        tournaments.create(&Sent::default(), caller, body).await
    };
    match made.await {
        Ok(current) => Ok(see(&format!("/tournaments/{}/admin", current.id))),
        // What was typed is worth more than a way back.
        Err(error) if is_mistake(&error) => {
            let parts = fields_of::as_typed(&fields, &blank()?, &error)?;
            form_of_new(&pages, &request, caller, parts, Some(&error)).await
        }
        Err(error) => Err(error),
    }
}

fn is_mistake(error: &ApiError) -> bool {
    matches!(error.status(), StatusCode::UNPROCESSABLE_ENTITY | StatusCode::CONFLICT)
}

pub async fn settings(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    pages: Data<Pages>,
    tournaments: Data<Tournaments>,
    id: Path<Uuid>,
) -> Page {
    QueryShape::default().read(request.query_string()).finish()?;
    let seen = as_organizer(&tournaments, caller, *id).await?;
    let parts = fields_of::form(&SettingsBody::from(&seen.current.tournament.settings))?;
    form_of_change(&pages, &request, &seen, parts, None).await
}

async fn as_organizer(tournaments: &Tournaments, caller: Identity, id: Uuid) -> Result<Seen, ApiError> {
    let seen = as_staff(tournaments, caller, id).await?;
    match seen.is_organizer() {
        true => Ok(seen),
        false => Err(ApiError::forbidden("not_allowed", "only an organizer of the tournament may do that")),
    }
}

async fn form_of_change(
    pages: &Pages,
    request: &HttpRequest,
    seen: &Seen,
    parts: Value,
    mistake: Option<&ApiError>,
) -> Page {
    let parts = fields_of::with_what_holds(parts, &seen.current.tournament);
    let context = json!({ "parts": parts, "mistakes": mistake.map(mistakes) });
    let page = seen.show(pages, request, "tournaments/settings.html", Some("Settings"), context).await?;
    with_status(page, mistake)
}

pub async fn change(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    pages: Data<Pages>,
    tournaments: Data<Tournaments>,
    id: Path<Uuid>,
    SafeForm(fields): SafeForm<Fields>,
) -> Page {
    let seen = as_organizer(&tournaments, caller, *id).await?;
    let now = SettingsBody::from(&seen.current.tournament.settings);
    let changed = async {
        let change = || fields_of::change(&fields);
        tournaments.change_settings(&Sent::of(&fields)?, caller, *id, change).await
    };
    match changed.await {
        Ok(_) => Ok(see(&format!("/tournaments/{id}/admin"))),
        Err(error) if is_mistake(&error) => {
            let parts = fields_of::as_typed(&fields, &now, &error)?;
            form_of_change(&pages, &request, &seen, parts, Some(&error)).await
        }
        Err(error) => Err(error),
    }
}

fn back(id: Uuid, at: &str) -> HttpResponse {
    see(&format!("/tournaments/{id}/admin#{at}"))
}

pub async fn move_on(
    SignedIn(caller): SignedIn,
    tournaments: Data<Tournaments>,
    id: Path<Uuid>,
    SafeForm(fields): SafeForm<Fields>,
) -> Result<HttpResponse, ApiError> {
    let status = || from_json(Value::from(said(&fields, "status").unwrap_or_default()));
    tournaments.move_on(&Sent::of(&fields)?, caller, *id, status).await?;
    Ok(back(*id, "steps"))
}

/// Enters somebody by name, by the id of a player, or a team by its id.
pub async fn enter(
    SignedIn(caller): SignedIn,
    tournaments: Data<Tournaments>,
    id: Path<Uuid>,
    SafeForm(fields): SafeForm<Fields>,
) -> Result<HttpResponse, ApiError> {
    let body = || {
        let name = said(&fields, "name");
        let player_guid = said(&fields, "player_guid");
        let team_id = said(&fields, "team_id");
        if name.is_none() && player_guid.is_none() && team_id.is_none() {
            return Err(ApiError::invalid_field("name", "say who is to be entered"));
        }
        from_json::<EntryBody>(json!({ "name": name, "player_guid": player_guid, "team_id": team_id }))
    };
    tournaments.take_place(&Sent::of(&fields)?, caller, *id, body).await?;
    Ok(back(*id, "entrants"))
}

/// Fields `seed_<participant>`: who has a number comes in the order of numbers, the others are not seeded by hand.
pub async fn seeds(
    SignedIn(caller): SignedIn,
    tournaments: Data<Tournaments>,
    id: Path<Uuid>,
    SafeForm(fields): SafeForm<Fields>,
) -> Result<HttpResponse, ApiError> {
    let seeds = || {
        let mut order = Vec::new();
        for name in fields.keys() {
            let Some(participant) = name.strip_prefix("seed_").and_then(|id| id.parse::<u32>().ok()) else {
                continue;
            };
            if let Some(seed) = number(&fields, name)? {
                order.push((seed, participant));
            }
        }
        order.sort_unstable();
        if let Some(pair) = order.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(ApiError::invalid_field("seed", format!("{} is given twice", pair[0].0)));
        }
        Ok(order.into_iter().map(|(_, participant)| participant).collect())
    };
    tournaments.seed_by_hand(&Sent::of(&fields)?, caller, *id, seeds).await?;
    Ok(back(*id, "entrants"))
}

pub async fn disqualify(
    SignedIn(caller): SignedIn,
    tournaments: Data<Tournaments>,
    id: Path<Uuid>,
    SafeForm(fields): SafeForm<Fields>,
) -> Result<HttpResponse, ApiError> {
    let entrant = number(&fields, "participant_id")?;
    let entrant = entrant.ok_or_else(|| ApiError::invalid_field("participant_id", "is needed"))?;
    let reason = || Ok(said(&fields, "reason").unwrap_or_default().to_owned());
    tournaments.disqualify(&Sent::of(&fields)?, caller, *id, EntrantId(entrant), reason).await?;
    Ok(back(*id, "entrants"))
}

pub async fn staff(
    SignedIn(caller): SignedIn,
    tournaments: Data<Tournaments>,
    id: Path<Uuid>,
    SafeForm(fields): SafeForm<Fields>,
) -> Result<HttpResponse, ApiError> {
    let body = || from_json(json!({ "user_id": number(&fields, "user_id")?, "role": said(&fields, "role") }));
    tournaments.appoint(&Sent::of(&fields)?, caller, *id, body).await?;
    Ok(back(*id, "staff"))
}

pub async fn next_round(
    SignedIn(caller): SignedIn,
    tournaments: Data<Tournaments>,
    id: Path<Uuid>,
    SafeForm(fields): SafeForm<Fields>,
) -> Result<HttpResponse, ApiError> {
    let body = || Ok(NextRoundBody { allow_rematches: said(&fields, "allow_rematches").is_some() });
    tournaments.pair_next_round(&Sent::of(&fields)?, caller, *id, body).await?;
    Ok(see(&format!("/tournaments/{id}/bracket")))
}

pub async fn undo(
    SignedIn(caller): SignedIn,
    tournaments: Data<Tournaments>,
    id: Path<Uuid>,
    SafeForm(fields): SafeForm<Fields>,
) -> Result<HttpResponse, ApiError> {
    tournaments.undo(&Sent::of(&fields)?, caller, *id).await?;
    Ok(back(*id, "log"))
}
