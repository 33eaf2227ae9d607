//! Teams in PostgreSQL: read, made, renamed, disbanded. Each change is one transaction with its entry in the audit log, which
//! holds no name: nothing can be taken out of it, and people put names of their own into those of their teams.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::{FromRow, PgConnection, PgPool};
use utoipa::ToSchema;
use uuid::Uuid;

use super::name::{TeamName, TeamTag, comparison_key};
use super::once::{Begun, begin, commit};
use super::{MOST_TEAMS_OF_USER, TeamError};
use crate::audit::{self, By, Entry};
use crate::auth::Identity;
use crate::http::Once;
use crate::http::query::Paging;
use crate::users::Role;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TeamRole {
    Captain,
    Member,
    Substitute,
}

impl TeamRole {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Captain => "captain",
            Self::Member => "member",
            Self::Substitute => "substitute",
        }
    }
}

impl fmt::Display for TeamRole {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no role of a team")]
pub struct UnknownTeamRole(String);

impl TryFrom<String> for TeamRole {
    type Error = UnknownTeamRole;

    fn try_from(text: String) -> Result<Self, UnknownTeamRole> {
        match text.as_str() {
            "captain" => Ok(Self::Captain),
            "member" => Ok(Self::Member),
            "substitute" => Ok(Self::Substitute),
            _ => Err(UnknownTeamRole(text)),
        }
    }
}

/// A team as a list shows it.
#[derive(Debug, FromRow, Serialize, ToSchema)]
pub struct ListedTeam {
    #[sqlx(rename = "id")]
    pub team_id: Uuid,
    pub name: String,
    pub tag: Option<String>,
    pub created_at: DateTime<Utc>,
    pub captain_id: i32,
    pub captain_name: String,
    /// With the captain and substitutes.
    pub member_count: i64,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct TeamList {
    pub page: u32,
    pub limit: u32,
    pub total: i64,
    pub teams: Vec<ListedTeam>,
}

#[derive(Debug, FromRow, Serialize, Deserialize, ToSchema)]
pub struct TeamMember {
    pub user_id: i32,
    pub display_name: String,
    #[sqlx(try_from = "String")]
    pub role: TeamRole,
    pub joined_at: DateTime<Utc>,
}

/// A team with everybody in it: the captain, then members, then substitutes, each as they joined.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct TeamDetails {
    pub team_id: Uuid,
    pub name: String,
    pub tag: Option<String>,
    pub created_at: DateTime<Utc>,
    pub members: Vec<TeamMember>,
}

/// A team that nobody else changes until the transaction ends.
pub(super) struct LockedTeam {
    pub team_id: Uuid,
    captain_id: Option<i32>,
}

impl LockedTeam {
    /// Locks a team for a caller who is locked already. By primary key.
    ///
    /// # Errors
    /// [`TeamError::Unknown`] for one that was disbanded.
    pub(super) async fn lock(connection: &mut PgConnection, team_id: Uuid) -> Result<Self, TeamError> {
        sqlx::query("SELECT FROM teams WHERE id = $1 AND disbanded_at IS NULL FOR NO KEY UPDATE")
            .bind(team_id)
            .fetch_optional(&mut *connection)
            .await?
            .ok_or(TeamError::Unknown)?;
        let captain_id =
            sqlx::query_scalar("SELECT user_id FROM team_members WHERE team_id = $1 AND role = 'captain'")
                .bind(team_id)
                .fetch_optional(connection)
                .await?;
        Ok(Self { team_id, captain_id })
    }

    pub(super) fn is_captain(&self, user_id: i32) -> bool {
        self.captain_id == Some(user_id)
    }

    pub(super) fn require_captain(&self, user_id: i32) -> Result<(), TeamError> {
        if self.is_captain(user_id) { Ok(()) } else { Err(TeamError::NotCaptain) }
    }

    /// By primary key.
    pub(super) async fn role_of(
        &self,
        connection: &mut PgConnection,
        user_id: i32,
    ) -> Result<Option<TeamRole>, TeamError> {
        let role: Option<String> =
            sqlx::query_scalar("SELECT role FROM team_members WHERE team_id = $1 AND user_id = $2")
                .bind(self.team_id)
                .bind(user_id)
                .fetch_optional(connection)
                .await?;
        Ok(role.map(TeamRole::try_from).transpose().map_err(|error| sqlx::Error::Decode(error.into()))?)
    }
}

pub(super) async fn log(
    connection: &mut PgConnection,
    by: i32,
    action: &str,
    team_id: Uuid,
    before: Option<Value>,
    after: Option<Value>,
) -> sqlx::Result<()> {
    let subject_id = team_id.to_string();
    let entry =
        Entry { by: By::User(by), action, subject_kind: "team", subject_id: &subject_id, before, after };
    audit::record(connection, entry).await
}

/// Teams whose name or tag holds `search`, by name; those of one member where one is named. Reads the names of all teams,
/// which are few, or what `team_members_by_user` names.
pub(super) async fn list_teams(
    pool: &PgPool,
    search: &str,
    member_id: Option<i32>,
    paging: Paging,
) -> Result<TeamList, TeamError> {
    let key = comparison_key(search);
    let teams = sqlx::query_as(
        "SELECT teams.id, teams.name, teams.tag, teams.created_at, captain.user_id AS captain_id,
                users.display_name AS captain_name,
                (SELECT count(*) FROM team_members WHERE team_id = teams.id) AS member_count
         FROM teams
         JOIN team_members AS captain ON captain.team_id = teams.id AND captain.role = 'captain'
         JOIN users ON users.id = captain.user_id
         WHERE disbanded_at IS NULL AND ($1 = '' OR strpos(name_key, $1) > 0 OR lower(tag) = $1)
           AND ($2::integer IS NULL OR EXISTS (
               SELECT FROM team_members WHERE team_id = teams.id AND user_id = $2))
         ORDER BY name_key LIMIT $3 OFFSET $4",
    )
    .bind(&key)
    .bind(member_id)
    .bind(i64::from(paging.limit))
    .bind(i64::try_from(paging.offset()).unwrap_or(i64::MAX))
    .fetch_all(pool)
    .await?;
    let total = sqlx::query_scalar(
        "SELECT count(*) FROM teams
         WHERE disbanded_at IS NULL AND ($1 = '' OR strpos(name_key, $1) > 0 OR lower(tag) = $1)
           AND ($2::integer IS NULL OR EXISTS (
               SELECT FROM team_members WHERE team_id = teams.id AND user_id = $2))",
    )
    .bind(&key)
    .bind(member_id)
    .fetch_one(pool)
    .await?;
    Ok(TeamList { page: paging.page, limit: paging.limit, total, teams })
}

/// A team that was not disbanded. By primary keys.
pub(super) async fn find_team(
    connection: &mut PgConnection,
    team_id: Uuid,
) -> Result<TeamDetails, TeamError> {
    let found: Option<(String, Option<String>, DateTime<Utc>)> =
        sqlx::query_as("SELECT name, tag, created_at FROM teams WHERE id = $1 AND disbanded_at IS NULL")
            .bind(team_id)
            .fetch_optional(&mut *connection)
            .await?;
    let (name, tag, created_at) = found.ok_or(TeamError::Unknown)?;
    let members = sqlx::query_as(
        "SELECT user_id, users.display_name, team_members.role, joined_at
         FROM team_members JOIN users ON users.id = user_id WHERE team_id = $1
         ORDER BY array_position(ARRAY['captain', 'member', 'substitute'], team_members.role), joined_at, user_id",
    )
    .bind(team_id)
    .fetch_all(connection)
    .await?;
    Ok(TeamDetails { team_id, name, tag, created_at, members })
}

/// Makes a team of which the caller is the captain.
pub async fn create_team(
    pool: &PgPool,
    by: Identity,
    once: &Once,
    name: &TeamName,
    tag: Option<&TeamTag>,
) -> Result<TeamDetails, TeamError> {
    let team_id = Uuid::new_v4();
    let mut transaction = match begin(pool, by, once).await? {
        Begun::Anew(transaction) => transaction,
        Begun::Before(answer) => return Ok(answer),
    };
    require_room_for_a_team(&mut transaction, by.user_id).await?;
    sqlx::query("INSERT INTO teams (id, name, name_key, tag) VALUES ($1, $2, $3, $4)")
        .bind(team_id)
        .bind(name.as_str())
        .bind(name.key())
        .bind(tag.map(TeamTag::as_str))
        .execute(&mut *transaction)
        .await
        .map_err(name_taken)?;
    sqlx::query("INSERT INTO team_members (team_id, user_id, role) VALUES ($1, $2, 'captain')")
        .bind(team_id)
        .bind(by.user_id)
        .execute(&mut *transaction)
        .await?;
    let after = json!({ "captain": by.user_id });
    log(&mut transaction, by.user_id, "team.create", team_id, None, Some(after)).await?;
    let team = find_team(&mut transaction, team_id).await?;
    commit(transaction, by, once, &team).await?;
    Ok(team)
}

/// For a user who is locked. By `team_members_by_user`.
pub(super) async fn require_room_for_a_team(
    connection: &mut PgConnection,
    user_id: i32,
) -> Result<(), TeamError> {
    let teams: i64 = sqlx::query_scalar("SELECT count(*) FROM team_members WHERE user_id = $1")
        .bind(user_id)
        .fetch_one(connection)
        .await?;
    if teams < MOST_TEAMS_OF_USER { Ok(()) } else { Err(TeamError::TooManyTeams) }
}

fn name_taken(error: sqlx::Error) -> TeamError {
    let is_taken = error.as_database_error().is_some_and(|error| error.constraint() == Some("teams_by_name"));
    if is_taken { TeamError::NameTaken } else { error.into() }
}

/// Calls a team otherwise, at its captain's wish.
pub(super) async fn change_team(
    pool: &PgPool,
    by: Identity,
    once: &Once,
    team_id: Uuid,
    name: &TeamName,
    tag: Option<&TeamTag>,
) -> Result<TeamDetails, TeamError> {
    let mut transaction = match begin(pool, by, once).await? {
        Begun::Anew(transaction) => transaction,
        Begun::Before(answer) => return Ok(answer),
    };
    LockedTeam::lock(&mut transaction, team_id).await?.require_captain(by.user_id)?;
    let before = find_team(&mut transaction, team_id).await?;
    sqlx::query("UPDATE teams SET name = $2, name_key = $3, tag = $4 WHERE id = $1")
        .bind(team_id)
        .bind(name.as_str())
        .bind(name.key())
        .bind(tag.map(TeamTag::as_str))
        .execute(&mut *transaction)
        .await
        .map_err(name_taken)?;
    let team = find_team(&mut transaction, team_id).await?;
    let changed: Vec<&str> = [("name", before.name != team.name), ("tag", before.tag != team.tag)]
        .into_iter()
        .filter_map(|(field, is_changed)| is_changed.then_some(field))
        .collect();
    if !changed.is_empty() {
        let after = json!({ "changed": changed });
        log(&mut transaction, by.user_id, "team.change", team_id, None, Some(after)).await?;
    }
    commit(transaction, by, once, &team).await?;
    Ok(team)
}

/// Disbands a team, by its captain's or an admin's wish.
pub(super) async fn delete_team(
    pool: &PgPool,
    by: Identity,
    once: &Once,
    team_id: Uuid,
) -> Result<(), TeamError> {
    let mut transaction = match begin(pool, by, once).await? {
        Begun::Anew(transaction) => transaction,
        Begun::Before(answer) => return Ok(answer),
    };
    let team = LockedTeam::lock(&mut transaction, team_id).await?;
    if by.role != Role::Admin {
        team.require_captain(by.user_id)?;
    }
    disband(&mut transaction, by.user_id, team_id).await?;
    commit(transaction, by, once, &()).await
}

/// For a team that is locked.
pub(super) async fn disband(connection: &mut PgConnection, by: i32, team_id: Uuid) -> sqlx::Result<()> {
    let members: Vec<i32> =
        sqlx::query_scalar("DELETE FROM team_members WHERE team_id = $1 RETURNING user_id")
            .bind(team_id)
            .fetch_all(&mut *connection)
            .await?;
    sqlx::query("UPDATE team_invites SET status = 'revoked' WHERE team_id = $1 AND status = 'open'")
        .bind(team_id)
        .execute(&mut *connection)
        .await?;
    sqlx::query("UPDATE teams SET disbanded_at = now() WHERE id = $1")
        .bind(team_id)
        .execute(&mut *connection)
        .await?;
    log(connection, by, "team.disband", team_id, Some(json!({ "members": members })), None).await
}
