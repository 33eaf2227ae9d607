//! Who is in a team: roles, leaving, and what tournaments ask.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use sqlx::{FromRow, PgConnection, PgExecutor, PgPool};
use utoipa::ToSchema;
use uuid::Uuid;

use super::once::{Begun, begin, commit};
use super::store::{LockedTeam, TeamDetails, TeamRole, disband, find_team, log};
use super::{TeamError, teams_unavailable};
use crate::auth::Identity;
use crate::http::{ApiError, Once};

/// A team as a tournament takes it in. Nobody stands in two of the lists.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Roster {
    #[sqlx(rename = "id")]
    pub team_id: Uuid,
    pub name: String,
    pub tag: Option<String>,
    /// One.
    pub captain_ids: Vec<i32>,
    pub member_ids: Vec<i32>,
    pub substitute_ids: Vec<i32>,
}

/// Who is in a team now; none for one that is unknown or was disbanded. By primary keys.
pub async fn roster(db: impl PgExecutor<'_>, team_id: Uuid) -> sqlx::Result<Option<Roster>> {
    sqlx::query_as(
        "SELECT id, name, tag,
                ARRAY(SELECT user_id FROM team_members
                      WHERE team_id = $1 AND role = 'captain') AS captain_ids,
                ARRAY(SELECT user_id FROM team_members
                      WHERE team_id = $1 AND role = 'member' ORDER BY joined_at, user_id) AS member_ids,
                ARRAY(SELECT user_id FROM team_members
                      WHERE team_id = $1 AND role = 'substitute' ORDER BY joined_at, user_id) AS substitute_ids
         FROM teams WHERE id = $1 AND disbanded_at IS NULL",
    )
    .bind(team_id)
    .fetch_optional(db)
    .await
}

/// The teams of which a user is the captain, as they joined them. By `team_members_by_user`.
pub async fn captain_of(db: impl PgExecutor<'_>, user_id: i32) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar(
        "SELECT team_id FROM team_members WHERE user_id = $1 AND role = 'captain' ORDER BY joined_at, team_id",
    )
    .bind(user_id)
    .fetch_all(db)
    .await
}

/// Who is in which of these teams: captains, then members, then substitutes, each as they joined. By primary key.
pub async fn members_of(db: impl PgExecutor<'_>, teams: &[Uuid]) -> sqlx::Result<Vec<ListedMember>> {
    sqlx::query_as(
        "SELECT team_id, user_id, display_name, team_members.role
         FROM team_members JOIN users ON users.id = user_id WHERE team_id = ANY($1)
         ORDER BY team_id, array_position(ARRAY['captain', 'member', 'substitute'], team_members.role), joined_at, user_id",
    )
    .bind(teams)
    .fetch_all(db)
    .await
}

/// Somebody in a team.
#[derive(Debug, FromRow, Serialize)]
pub struct ListedMember {
    pub team_id: Uuid,
    pub user_id: i32,
    pub display_name: String,
    #[sqlx(try_from = "String")]
    pub role: TeamRole,
}

/// A membership, for its user.
#[derive(Debug, FromRow, Serialize, ToSchema)]
pub struct ExportedMembership {
    pub team_id: Uuid,
    pub name: String,
    pub tag: Option<String>,
    #[sqlx(try_from = "String")]
    pub role: TeamRole,
    pub joined_at: DateTime<Utc>,
}

/// The teams of a user, as they joined them. By `team_members_by_user`.
pub async fn memberships_of(pool: &PgPool, user_id: i32) -> sqlx::Result<Vec<ExportedMembership>> {
    sqlx::query_as(
        "SELECT team_id, name, tag, role, joined_at FROM team_members JOIN teams ON teams.id = team_id
         WHERE user_id = $1 ORDER BY joined_at, team_id",
    )
    .bind(user_id)
    .fetch_all(pool)
    .await
}

/// Gives a member another role. A team's captain becomes a member where the role is the captain's: it is handed over.
pub(super) async fn set_role(
    pool: &PgPool,
    by: Identity,
    once: &Once,
    team_id: Uuid,
    user_id: i32,
    role: TeamRole,
) -> Result<TeamDetails, TeamError> {
    let mut transaction = match begin(pool, by, once).await? {
        Begun::Anew(transaction) => transaction,
        Begun::Before(answer) => return Ok(answer),
    };
    let team = LockedTeam::lock(&mut transaction, team_id).await?;
    team.require_captain(by.user_id)?;
    let before = team.role_of(&mut transaction, user_id).await?.ok_or(TeamError::UnknownMember)?;
    match (before, role) {
        (before, role) if before == role => {}
        (TeamRole::Captain, _) => return Err(TeamError::CaptainStays),
        (_, TeamRole::Captain) => {
            write_role(&mut transaction, team_id, by.user_id, TeamRole::Member).await?;
            write_role(&mut transaction, team_id, user_id, TeamRole::Captain).await?;
            let captains = (json!({ "captain": by.user_id }), json!({ "captain": user_id }));
            log(&mut transaction, by.user_id, "team.hand_over", team_id, Some(captains.0), Some(captains.1))
                .await?;
        }
        _ => {
            write_role(&mut transaction, team_id, user_id, role).await?;
            let roles =
                (json!({ "user_id": user_id, "role": before }), json!({ "user_id": user_id, "role": role }));
            log(&mut transaction, by.user_id, "team.set_role", team_id, Some(roles.0), Some(roles.1)).await?;
        }
    }
    let team = find_team(&mut transaction, team_id).await?;
    commit(transaction, by, once, &team).await?;
    Ok(team)
}

/// By primary key.
async fn write_role(
    connection: &mut PgConnection,
    team_id: Uuid,
    user_id: i32,
    role: TeamRole,
) -> sqlx::Result<()> {
    sqlx::query("UPDATE team_members SET role = $3 WHERE team_id = $1 AND user_id = $2")
        .bind(team_id)
        .bind(user_id)
        .bind(role.as_str())
        .execute(connection)
        .await?;
    Ok(())
}

/// Takes a member out of a team: at their own wish, or at the captain's.
pub(super) async fn remove_member(
    pool: &PgPool,
    by: Identity,
    once: &Once,
    team_id: Uuid,
    user_id: i32,
) -> Result<(), TeamError> {
    let mut transaction = match begin(pool, by, once).await? {
        Begun::Anew(transaction) => transaction,
        Begun::Before(answer) => return Ok(answer),
    };
    let team = LockedTeam::lock(&mut transaction, team_id).await?;
    if user_id != by.user_id {
        team.require_captain(by.user_id)?;
    }
    match team.role_of(&mut transaction, user_id).await? {
        None => return Err(TeamError::UnknownMember),
        Some(TeamRole::Captain) => return Err(TeamError::CaptainStays),
        Some(_) => {}
    }
    let action = if user_id == by.user_id { "team.leave" } else { "team.kick" };
    take_out(&mut transaction, by.user_id, action, team_id, user_id).await?;
    commit(transaction, by, once, &()).await
}

/// For a team that is locked; says whether the user was in it. By primary key.
async fn take_out(
    connection: &mut PgConnection,
    by: i32,
    action: &str,
    team_id: Uuid,
    user_id: i32,
) -> sqlx::Result<bool> {
    let role: Option<String> =
        sqlx::query_scalar("DELETE FROM team_members WHERE team_id = $1 AND user_id = $2 RETURNING role")
            .bind(team_id)
            .bind(user_id)
            .fetch_optional(&mut *connection)
            .await?;
    let Some(role) = role else { return Ok(false) };
    let before = json!({ "user_id": user_id, "role": role });
    log(connection, by, action, team_id, Some(before), None).await?;
    Ok(true)
}

/// Takes a user who is locked out of everything that has to do with teams, because their account goes or is banned. A team
/// of theirs gets the longest member as its captain, a substitute only where there is nobody else; without anybody left
/// it is disbanded. Teams are locked by id.
pub async fn leave_all(connection: &mut PgConnection, by: i32, user_id: i32) -> sqlx::Result<()> {
    let teams: Vec<Uuid> = sqlx::query_scalar(
        "SELECT id FROM teams WHERE id IN (SELECT team_id FROM team_members WHERE user_id = $1)
         ORDER BY id FOR NO KEY UPDATE",
    )
    .bind(user_id)
    .fetch_all(&mut *connection)
    .await?;
    for team_id in teams {
        // Whoever changed the team while it was waited for may have taken them out, or disbanded it.
        if take_out(connection, by, "team.leave", team_id, user_id).await? {
            seat_a_captain(connection, by, team_id).await?;
        }
    }
    // What was answered to them may be about others.
    sqlx::query("DELETE FROM answered_requests WHERE user_id = $1")
        .bind(user_id)
        .execute(&mut *connection)
        .await?;
    // By `team_invites_by_user`; those that the user made for teams that go on stay the team's.
    sqlx::query("DELETE FROM team_invites WHERE user_id = $1")
        .bind(user_id)
        .execute(&mut *connection)
        .await?;
    Ok(())
}

/// For a team that is locked.
async fn seat_a_captain(connection: &mut PgConnection, by: i32, team_id: Uuid) -> sqlx::Result<()> {
    let has_captain: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM team_members WHERE team_id = $1 AND role = 'captain')",
    )
    .bind(team_id)
    .fetch_one(&mut *connection)
    .await?;
    if has_captain {
        return Ok(());
    }
    // Whoever is being banned at this moment and waits for the team hands it on when they get it.
    let successor: Option<i32> = sqlx::query_scalar(
        "SELECT user_id FROM team_members WHERE team_id = $1
         ORDER BY role = 'substitute', joined_at, user_id LIMIT 1",
    )
    .bind(team_id)
    .fetch_optional(&mut *connection)
    .await?;
    match successor {
        Some(user_id) => {
            write_role(connection, team_id, user_id, TeamRole::Captain).await?;
            let after = json!({ "captain": user_id });
            log(connection, by, "team.hand_over", team_id, None, Some(after)).await
        }
        None => disband(connection, by, team_id).await,
    }
}

/// What the routes of members ask.
pub(super) async fn team_of(pool: &PgPool, team_id: Uuid) -> Result<TeamDetails, ApiError> {
    let mut connection = pool.acquire().await.map_err(teams_unavailable)?;
    Ok(find_team(&mut connection, team_id).await?)
}
