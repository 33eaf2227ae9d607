//! Who somebody is to a tournament.

use mohaa_domain::tournament::{By, EntrantId, Holder, Tournament};
use sqlx::PgPool;
use uuid::Uuid;

use super::unavailable;
use crate::auth::Identity;
use crate::http::ApiError;
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
        None => match own_entrant(tournament, caller.user_id) {
            Some(entrant) => By::Captain(user, entrant),
            None => By::User(user),
        },
    })
}

/// The participant that somebody is; the last one, if he was entered again.
pub fn own_entrant(tournament: &Tournament, user_id: i32) -> Option<EntrantId> {
    let user = Holder::User(i64::from(user_id));
    tournament.entrants.values().rev().find(|entrant| entrant.holder == user).map(|entrant| entrant.id)
}
