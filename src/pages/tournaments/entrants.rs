//! Who takes part, and how a player or a captain takes a place, checks in and leaves.

use std::collections::BTreeMap;

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use mohaa_domain::tournament::{EntrantId, Holder, Place, Status};
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use super::Page;
use super::forms::Sent;
use super::shown::{Seen, plain};
use crate::access::{Anyone, SafeForm, SignedIn};
use crate::http::ApiError;
use crate::http::query::QueryShape;
use crate::pages::{Pages, see};
use crate::teams::{self, ListedMember};
use crate::tournaments::{EntryBody, Tournaments, participants};
use crate::users::{self, users_unavailable};

pub async fn page(
    viewer: Anyone,
    request: HttpRequest,
    pages: Data<Pages>,
    tournaments: Data<Tournaments>,
    pool: Data<PgPool>,
    id: Path<Uuid>,
) -> Page {
    QueryShape::default().read(request.query_string()).finish()?;
    let seen = Seen::of(&tournaments, viewer, *id).await?;
    let current = &seen.current;
    let list = plain(&participants(&current.tournament, current.id, current.version))?;
    let rosters = rosters(&pool, &seen).await?;
    let mut parts: [Vec<Value>; 3] = Default::default();
    for mut one in list["participants"].as_array().cloned().unwrap_or_default() {
        let team = one["team_id"].as_str().and_then(|team| rosters.get(team));
        one["roster"] = team.cloned().unwrap_or_default();
        one["is_own"] = seen.own.is_some_and(|own| one["participant_id"] == own.0).into();
        one["status_word"] = place_word(one["status"].as_str().unwrap_or_default()).into();
        let part = match one["status"].as_str() {
            Some("registered") => 0,
            Some("waiting") => 1,
            _ => 2,
        };
        parts[part].push(one);
    }
    let [field, waiting, left] = parts;
    let context = json!({
        "field": field, "waiting": waiting, "left": left,
        "shows_checkin": shows_checkin(&seen),
        "can": what_viewer_can(&tournaments, &seen).await?,
        "teams": own_teams(&tournaments, &seen).await?,
    });
    seen.show(&pages, &request, "tournaments/participants.html", Some("Entrants"), context).await
}

/// Whether it says something who has checked in.
fn shows_checkin(seen: &Seen) -> bool {
    let tournament = &seen.current.tournament;
    tournament.status == Status::Checkin || tournament.field().any(|entrant| entrant.checked_in)
}

pub fn place_word(place: &str) -> &'static str {
    match place {
        "registered" => "In",
        "waiting" => "On the waiting list",
        "withdrawn" => "Withdrew",
        "no_show" => "Did not check in",
        "dropped_out" => "Dropped out",
        "disqualified" => "Disqualified",
        _ => "",
    }
}

/// Members and substitutes of all teams that take part, by the team's id.
async fn rosters(pool: &PgPool, seen: &Seen) -> Result<BTreeMap<String, Value>, ApiError> {
    let ids: Vec<Uuid> = seen
        .current
        .tournament
        .entrants
        .values()
        .filter_map(|entrant| match entrant.holder {
            Holder::Team(team_id) => Some(team_id),
            _ => None,
        })
        .collect();
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let members = teams::members_of(pool, &ids).await.map_err(teams::TeamError::from)?;
    let mut rosters: BTreeMap<String, Vec<ListedMember>> = BTreeMap::new();
    for member in members {
        rosters.entry(member.team_id.to_string()).or_default().push(member);
    }
    rosters.into_iter().map(|(team, members)| Ok((team, plain(&members)?))).collect()
}

/// Teams that the viewer may enter: those of which they are captain, with how many players besides substitutes they have.
pub async fn own_teams(tournaments: &Tournaments, seen: &Seen) -> Result<Value, ApiError> {
    let is_for_teams = seen.current.tournament.settings.team_size > 1;
    let Some(viewer) = seen.viewer.filter(|_| is_for_teams) else { return Ok(Value::Array(Vec::new())) };
    let unavailable = |cause: sqlx::Error| ApiError::from(teams::TeamError::from(cause));
    let ids = teams::captain_of(tournaments.pool(), viewer.user_id).await.map_err(unavailable)?;
    let mut own = Vec::new();
    for id in ids {
        if let Some(roster) = teams::roster(tournaments.pool(), id).await.map_err(unavailable)? {
            let players = roster.captain_ids.len() + roster.member_ids.len();
            own.push(json!({
                "team_id": id, "name": roster.name, "players": players, "substitutes": roster.substitute_ids.len(),
                "is_enough": players >= seen.current.tournament.settings.team_size as usize,
            }));
        }
    }
    Ok(own.into())
}

/// What the viewer can do about a place of their own.
pub async fn what_viewer_can(tournaments: &Tournaments, seen: &Seen) -> Result<Value, ApiError> {
    let tournament = &seen.current.tournament;
    let own = seen.own.and_then(|own| tournament.entrants.get(&own));
    let has_place = own.is_some_and(|own| matches!(own.place, Place::Registered | Place::Waiting));
    let is_over = matches!(tournament.status, Status::Completed | Status::Cancelled);
    let can_register = tournament.status == Status::RegistrationOpen && !has_place;
    // Organizers may enter without; they are told of nothing.
    let has_to_link = match &seen.viewer {
        Some(viewer) if can_register && tournament.settings.team_size == 1 && !seen.is_organizer() => {
            let linked = users::find_player_ids(tournaments.pool(), viewer.user_id).await;
            linked.map_err(users_unavailable)?.is_empty()
        }
        _ => false,
    };
    Ok(json!({
        "register": can_register,
        "has_to_link": has_to_link,
        "check_in": tournament.status == Status::Checkin
            && own.is_some_and(|own| own.place == Place::Registered && !own.checked_in),
        "withdraw": has_place && !is_over,
        "is_full": tournament.field().count() >= tournament.settings.max_participants as usize,
    }))
}

#[derive(Deserialize)]
pub struct RegisterForm {
    #[serde(default)]
    team_id: Option<String>,
}

pub async fn register(
    SignedIn(caller): SignedIn,
    tournaments: Data<Tournaments>,
    id: Path<Uuid>,
    SafeForm(form): SafeForm<RegisterForm>,
) -> Result<HttpResponse, ApiError> {
    let body = || {
        let team = form.team_id.as_deref().map(str::trim).filter(|team| !team.is_empty());
        let no_team = |_| ApiError::invalid_field("team_id", "no such team");
        Ok(EntryBody { team_id: team.map(str::parse).transpose().map_err(no_team)?, ..Default::default() })
    };
    tournaments.take_place(&Sent::default(), caller, *id, body).await?;
    Ok(see(&format!("/tournaments/{id}#place")))
}

/// Whose place: the caller's own where nobody is named.
#[derive(Deserialize)]
pub struct PlaceForm {
    #[serde(default)]
    participant_id: Option<u32>,
    /// Where the form stood.
    #[serde(default)]
    back: Option<String>,
}

impl PlaceForm {
    fn back(&self, id: Uuid) -> String {
        match self.back.as_deref() {
            Some("admin") => format!("/tournaments/{id}/admin#entrants"),
            Some("participants") => format!("/tournaments/{id}/participants"),
            _ => format!("/tournaments/{id}#place"),
        }
    }
}

pub async fn withdraw(
    SignedIn(caller): SignedIn,
    tournaments: Data<Tournaments>,
    id: Path<Uuid>,
    SafeForm(form): SafeForm<PlaceForm>,
) -> Result<HttpResponse, ApiError> {
    let named = || Ok(form.participant_id.map(EntrantId));
    tournaments.give_place_back(&Sent::default(), caller, *id, named).await?;
    Ok(see(&form.back(*id)))
}

pub async fn check_in(
    SignedIn(caller): SignedIn,
    tournaments: Data<Tournaments>,
    id: Path<Uuid>,
    SafeForm(form): SafeForm<PlaceForm>,
) -> Result<HttpResponse, ApiError> {
    let named = || Ok(form.participant_id.map(EntrantId));
    tournaments.check_in(&Sent::default(), caller, *id, named).await?;
    Ok(see(&form.back(*id)))
}
