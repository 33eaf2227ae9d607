//! Who somebody is to a tournament.

use mohaa_domain::tournament::{By, EntrantId, Holder, Tournament};
use sqlx::PgPool;
use uuid::Uuid;

use super::unavailable;
use crate::auth::Identity;
use crate::http::ApiError;
use crate::teams;
use crate::users::Role;

/// Owner and staff. By primary key.
pub async fn staff_role(
    pool: &PgPool,
    tournament_id: Uuid,
    user_id: i32,
) -> Result<Option<StaffRole>, ApiError> {
    let role: Option<String> = sqlx::query_scalar(
        "SELECT 'organizer' FROM tournaments WHERE id = $1 AND owner_id = $2
         UNION ALL
         SELECT role FROM tournament_staff WHERE tournament_id = $1 AND user_id = $2
         LIMIT 1",
    )
    .bind(tournament_id)
    .bind(user_id)
    .fetch_optional(pool)
    .await
    .map_err(unavailable)?;
    Ok(match role.as_deref() {
        Some("organizer") => Some(StaffRole::Organizer),
        Some("referee") => Some(StaffRole::Referee),
        _ => None,
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StaffRole {
    Organizer,
    Referee,
}

/// As whom a caller acts. Staff are staff even in matches of their own.
pub async fn by(
    pool: &PgPool,
    tournament_id: Uuid,
    tournament: &Tournament,
    caller: Identity,
) -> Result<By, ApiError> {
    let user = i64::from(caller.user_id);
    if caller.role == Role::Admin {
        return Ok(By::Organizer(user));
    }
    Ok(match staff_role(pool, tournament_id, caller.user_id).await? {
        Some(StaffRole::Organizer) => By::Organizer(user),
        Some(StaffRole::Referee) => By::Referee(user),
        None => match own_entrant(pool, tournament, caller.user_id).await? {
            Some(entrant) => By::Captain(user, entrant),
            None => By::User(user),
        },
    })
}

/// The participant that somebody is or speaks for as captain of a team; the last one, if it was entered again.
pub async fn own_entrant(
    pool: &PgPool,
    tournament: &Tournament,
    user_id: i32,
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
    Ok(tournament.entrants.values().rev().find(|entrant| is_own(entrant.holder)).map(|entrant| entrant.id))
}
