//! Who somebody is to a tournament.

use mohaa_domain::tournament::{By, Entrant, EntrantId, Holder, Key, Tournament};
use sqlx::{PgExecutor, PgPool};
use uuid::Uuid;

use super::unavailable;
use crate::auth::Identity;
use crate::http::ApiError;
use crate::teams;
use crate::users::Role;

/// Owner and staff. By primary key.
pub async fn staff_role(
    db: impl PgExecutor<'_>,
    tournament_id: Uuid,
    user_id: i32,
) -> Result<Option<StaffRole>, ApiError> {
    let role: Option<String> = sqlx::query_scalar(
        "SELECT 'owner' FROM tournaments WHERE id = $1 AND owner_id = $2
         UNION ALL
         SELECT role FROM tournament_staff WHERE tournament_id = $1 AND user_id = $2
         LIMIT 1",
    )
    .bind(tournament_id)
    .bind(user_id)
    .fetch_optional(db)
    .await
    .map_err(unavailable)?;
    Ok(role.as_deref().and_then(StaffRole::from_word))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StaffRole {
    Owner,
    Organizer,
    Referee,
}

impl StaffRole {
    /// As it stands in the database.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "owner" => Some(StaffRole::Owner),
            "organizer" => Some(StaffRole::Organizer),
            "referee" => Some(StaffRole::Referee),
            _ => None,
        }
    }
}

/// What a caller acts on: who speaks for several participants acts for the one that it is about.
#[derive(Clone, Copy, Debug)]
pub enum About {
    Tournament,
    Match(Key),
    Entrant(EntrantId),
}

/// As whom a caller acts, who is of the staff or not. Staff are staff even in matches of their own; who is no organizer any more
/// owns as anybody else.
pub async fn by(
    pool: &PgPool,
    tournament: &Tournament,
    caller: Identity,
    role: Option<StaffRole>,
    about: About,
) -> Result<By, ApiError> {
    let user = i64::from(caller.user_id);
    if caller.role == Role::Admin {
        return Ok(By::Organizer(user));
    }
    Ok(match role {
        Some(StaffRole::Owner) if caller.role == Role::Organizer => By::Organizer(user),
        Some(StaffRole::Organizer) => By::Organizer(user),
        Some(StaffRole::Referee) => By::Referee(user),
        Some(StaffRole::Owner) | None => match own_entrant(pool, tournament, caller.user_id, about).await? {
            Some(entrant) => By::Captain(user, entrant),
            None => By::User(user),
        },
    })
}

/// The participant that somebody is or speaks for as captain of a team. Of several the one that it is about, else the last that
/// still has a place, else the last.
pub async fn own_entrant(
    pool: &PgPool,
    tournament: &Tournament,
    user_id: i32,
    about: About,
) -> Result<Option<EntrantId>, ApiError> {
    let has_teams = tournament.entrants.values().any(|entrant| matches!(entrant.holder, Holder::Team(_)));
    let teams = match has_teams {
        true => teams::captain_of(pool, user_id).await.map_err(unavailable)?,
        false => Vec::new(),
    };
    let is_own = |holder: Holder| match holder {
        Holder::User(holder) => holder == i64::from(user_id),
        Holder::Team(team_id) => teams.contains(&team_id),
        Holder::Nobody => false,
    };
    let own: Vec<&Entrant> =
        tournament.entrants.values().rev().filter(|entrant| is_own(entrant.holder)).collect();
    let is_meant = |entrant: &&&Entrant| match about {
        About::Tournament => false,
        About::Match(key) => {
            tournament.bouts.get(&key).is_some_and(|bout| bout.side_of(entrant.id).is_some())
        }
        About::Entrant(id) => entrant.id == id,
    };
    let found = own.iter().find(is_meant).or_else(|| own.iter().find(|entrant| entrant.has_stayed()));
    Ok(found.or(own.first()).map(|entrant| entrant.id))
}
