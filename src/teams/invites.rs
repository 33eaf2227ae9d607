//! Invitations into a team: of a user, who accepts or declines, or by a code for whoever has it.
//!
//! A code has 44 random bits of an alphabet without look-alikes; a keyed hash of it is kept, and guessing is limited where codes
//! are taken. Invitations expire, are revoked by the captain, and end with the team.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::{FromRow, PgConnection, PgPool};
use utoipa::ToSchema;
use uuid::Uuid;

use super::once::{Begun, begin, commit};
use super::store::{LockedTeam, TeamDetails, find_team, log, require_room_for_a_team};
use super::{MOST_MEMBERS, MOST_OPEN_INVITES, TeamError};
use crate::auth::{Identity, ShortCodes};
use crate::http::Once;
use crate::players::random_short_code;

/// Whom an invitation is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invited {
    User(i32),
    /// The first so many who show the code.
    Anyone {
        uses: i32,
    },
}

/// An invitation that was just made.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct MadeInvite {
    pub invite_id: Uuid,
    pub team_id: Uuid,
    /// Shown this once: null where a user is invited, and when the request is sent again under its `Idempotency-Key`.
    #[schema(example = "K7WQ2MXHT")]
    pub code: Option<String>,
    pub expires_at: DateTime<Utc>,
}

/// An invitation, for the team's captain or the invited user.
#[derive(Debug, FromRow, Serialize, ToSchema)]
pub struct TeamInvite {
    #[sqlx(rename = "id")]
    pub invite_id: Uuid,
    pub team_id: Uuid,
    pub team_name: String,
    pub team_tag: Option<String>,
    /// Null for an invitation by code.
    pub user_id: Option<i32>,
    pub user_name: Option<String>,
    pub uses_left: i32,
    /// Null where the captain's account is gone.
    pub created_by: Option<i32>,
    pub created_by_name: Option<String>,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    /// `open`, `accepted`, `declined`, `revoked` or `expired`.
    pub status: String,
    pub answered_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct InviteList {
    pub page: u32,
    pub limit: u32,
    pub total: usize,
    pub invites: Vec<TeamInvite>,
}

/// Invitations of a team, or to a user, the latest first; both are few, because they go a month after they expire.
/// By `team_invites_by_team` and `team_invites_by_user`.
async fn list_where(
    connection: &mut PgConnection,
    team_id: Option<Uuid>,
    user_id: Option<i32>,
) -> sqlx::Result<Vec<TeamInvite>> {
    sqlx::query_as(
        "SELECT team_invites.id, team_id, teams.name AS team_name, teams.tag AS team_tag, user_id,
                invited.display_name AS user_name, uses_left, team_invites.created_by,
                inviter.display_name AS created_by_name, team_invites.created_at, expires_at, answered_at,
                CASE WHEN status = 'open' AND expires_at <= now() THEN 'expired' ELSE status END AS status
         FROM team_invites JOIN teams ON teams.id = team_id
         LEFT JOIN users AS invited ON invited.id = user_id
         LEFT JOIN users AS inviter ON inviter.id = team_invites.created_by
         WHERE ($1::uuid IS NULL OR team_id = $1) AND ($2::integer IS NULL OR user_id = $2)
         ORDER BY team_invites.created_at DESC, team_invites.id",
    )
    .bind(team_id)
    .bind(user_id)
    .fetch_all(connection)
    .await
}

/// All invitations of a team, for its captain.
pub(super) async fn invites_of_team(
    pool: &PgPool,
    by: Identity,
    team_id: Uuid,
) -> Result<Vec<TeamInvite>, TeamError> {
    let mut transaction = pool.begin().await?;
    LockedTeam::lock(&mut transaction, team_id).await?.require_captain(by.user_id)?;
    Ok(list_where(&mut transaction, Some(team_id), None).await?)
}

/// Invitations that a user may still answer, or has answered of late.
pub async fn invites_to(pool: &PgPool, user_id: i32) -> sqlx::Result<Vec<TeamInvite>> {
    let mut connection = pool.acquire().await?;
    list_where(&mut connection, None, Some(user_id)).await
}

/// Makes an invitation. A user who is invited again has one that lasts longer; an earlier one ends.
pub async fn invite(
    pool: &PgPool,
    codes: &ShortCodes,
    by: Identity,
    once: &Once,
    team_id: Uuid,
    invited: Invited,
    lifetime: Duration,
) -> Result<MadeInvite, TeamError> {
    let mut transaction = match begin(pool, by, once).await? {
        Begun::Anew(transaction) => transaction,
        Begun::Before(answer) => return Ok(answer),
    };
    let team = LockedTeam::lock(&mut transaction, team_id).await?;
    team.require_captain(by.user_id)?;
    // By `team_invites_by_expiry`.
    sqlx::query("DELETE FROM team_invites WHERE expires_at < now() - interval '30 days'")
        .execute(&mut *transaction)
        .await?;
    if let Invited::User(user_id) = invited {
        make_way_for_another(&mut transaction, &team, user_id).await?;
    }
    let open: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM team_invites WHERE team_id = $1 AND status = 'open' AND expires_at > now()",
    )
    .bind(team_id)
    .fetch_one(&mut *transaction)
    .await?;
    if open >= MOST_OPEN_INVITES {
        return Err(TeamError::TooManyInvites);
    }
    let (user_id, code, uses) = match invited {
        Invited::User(user_id) => (Some(user_id), None, 1),
        Invited::Anyone { uses } => (None, Some(random_short_code()), uses),
    };
    let invite_id = Uuid::new_v4();
    let expires_at = sqlx::query_scalar(
        "INSERT INTO team_invites (id, team_id, user_id, code_hash, uses_left, created_by, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7)) RETURNING expires_at",
    )
    .bind(invite_id)
    .bind(team_id)
    .bind(user_id)
    .bind(code.as_deref().map(|code| codes.kept(code)))
    .bind(uses)
    .bind(by.user_id)
    .bind(lifetime.as_secs_f64())
    .fetch_one(&mut *transaction)
    .await?;
    let after = json!({ "invite_id": invite_id, "user_id": user_id, "uses": uses });
    log(&mut transaction, by.user_id, "team.invite", team_id, None, Some(after)).await?;
    // A code is kept by nobody, so that it is not told again.
    let again = MadeInvite { invite_id, team_id, code: None, expires_at };
    commit(transaction, by, once, &again).await?;
    Ok(MadeInvite { code, ..again })
}

/// Whether a user may be invited into a team that is locked; an open invitation of theirs ends.
async fn make_way_for_another(
    connection: &mut PgConnection,
    team: &LockedTeam,
    user_id: i32,
) -> Result<(), TeamError> {
    let can_be_invited: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM users WHERE id = $1 AND deleted_at IS NULL AND banned_at IS NULL)",
    )
    .bind(user_id)
    .fetch_one(&mut *connection)
    .await?;
    if !can_be_invited {
        return Err(TeamError::UnknownUser);
    }
    if team.role_of(connection, user_id).await?.is_some() {
        return Err(TeamError::AlreadyMember);
    }
    let has_declined_lately: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM team_invites WHERE team_id = $1 AND user_id = $2 AND status = 'declined'
                        AND answered_at > now() - interval '1 day')",
    )
    .bind(team.team_id)
    .bind(user_id)
    .fetch_one(&mut *connection)
    .await?;
    if has_declined_lately {
        return Err(TeamError::DeclinedLately);
    }
    // By `team_invites_open`.
    sqlx::query(
        "UPDATE team_invites SET status = 'revoked' WHERE team_id = $1 AND user_id = $2 AND status = 'open'",
    )
    .bind(team.team_id)
    .bind(user_id)
    .execute(connection)
    .await?;
    Ok(())
}

/// Ends an invitation, at the captain's wish.
pub async fn revoke_invite(
    pool: &PgPool,
    by: Identity,
    once: &Once,
    team_id: Uuid,
    invite_id: Uuid,
) -> Result<(), TeamError> {
    let mut transaction = match begin(pool, by, once).await? {
        Begun::Anew(transaction) => transaction,
        Begun::Before(answer) => return Ok(answer),
    };
    LockedTeam::lock(&mut transaction, team_id).await?.require_captain(by.user_id)?;
    let revoked = sqlx::query(
        "UPDATE team_invites SET status = 'revoked' WHERE id = $1 AND team_id = $2 AND status = 'open'",
    )
    .bind(invite_id)
    .bind(team_id)
    .execute(&mut *transaction)
    .await?;
    if revoked.rows_affected() == 0 {
        return Err(TeamError::UnknownInvite);
    }
    let after = json!({ "invite_id": invite_id });
    log(&mut transaction, by.user_id, "team.revoke_invite", team_id, None, Some(after)).await?;
    commit(transaction, by, once, &()).await
}

#[derive(FromRow)]
struct AnsweredInvite {
    id: Uuid,
    user_id: Option<i32>,
    is_open: bool,
}

/// Joins the team that has invited the caller.
pub async fn accept_invite(
    pool: &PgPool,
    by: Identity,
    once: &Once,
    team_id: Uuid,
    invite_id: Uuid,
) -> Result<TeamDetails, TeamError> {
    let mut transaction = match begin(pool, by, once).await? {
        Begun::Anew(transaction) => transaction,
        Begun::Before(answer) => return Ok(answer),
    };
    let team = LockedTeam::lock(&mut transaction, team_id).await?;
    let invite = own_invite(&mut transaction, by, team_id, invite_id).await?;
    join(&mut transaction, by, &team, &invite).await?;
    let team = find_team(&mut transaction, team_id).await?;
    commit(transaction, by, once, &team).await?;
    Ok(team)
}

/// By primary key; somebody else's invitation is none.
async fn own_invite(
    connection: &mut PgConnection,
    by: Identity,
    team_id: Uuid,
    invite_id: Uuid,
) -> Result<AnsweredInvite, TeamError> {
    let found = sqlx::query_as(
        "SELECT id, user_id, status = 'open' AND expires_at > now() AS is_open FROM team_invites
         WHERE id = $1 AND team_id = $2 AND user_id = $3",
    )
    .bind(invite_id)
    .bind(team_id)
    .bind(by.user_id)
    .fetch_optional(connection)
    .await?;
    found.ok_or(TeamError::UnknownInvite)
}

/// Says no.
pub async fn decline_invite(
    pool: &PgPool,
    by: Identity,
    once: &Once,
    team_id: Uuid,
    invite_id: Uuid,
) -> Result<(), TeamError> {
    let mut transaction = match begin(pool, by, once).await? {
        Begun::Anew(transaction) => transaction,
        Begun::Before(answer) => return Ok(answer),
    };
    LockedTeam::lock(&mut transaction, team_id).await?;
    let invite = own_invite(&mut transaction, by, team_id, invite_id).await?;
    if !invite.is_open {
        return Err(TeamError::InviteOver);
    }
    sqlx::query("UPDATE team_invites SET status = 'declined', answered_at = now() WHERE id = $1")
        .bind(invite_id)
        .execute(&mut *transaction)
        .await?;
    let after = json!({ "invite_id": invite_id });
    log(&mut transaction, by.user_id, "team.decline_invite", team_id, None, Some(after)).await?;
    commit(transaction, by, once, &()).await
}

/// Joins the team whose code this is.
///
/// # Errors
/// [`TeamError::UnknownInvite`] for a code that nobody has made: a wrong guess.
pub async fn accept_code(
    pool: &PgPool,
    codes: &ShortCodes,
    by: Identity,
    once: &Once,
    code: &str,
) -> Result<TeamDetails, TeamError> {
    let shown = codes.shown(code);
    let mut transaction = match begin(pool, by, once).await? {
        Begun::Anew(transaction) => transaction,
        Begun::Before(answer) => return Ok(answer),
    };
    // By the unique hash; what else stands there is read once the team is locked.
    let team_id: Option<Uuid> =
        sqlx::query_scalar("SELECT team_id FROM team_invites WHERE code_hash = ANY($1)")
            .bind(&shown)
            .fetch_optional(&mut *transaction)
            .await?;
    let team_id = team_id.ok_or(TeamError::UnknownInvite)?;
    let team = match LockedTeam::lock(&mut transaction, team_id).await {
        Err(TeamError::Unknown) => return Err(TeamError::InviteOver),
        locked => locked?,
    };
    let invite: Option<AnsweredInvite> = sqlx::query_as(
        "SELECT id, user_id, status = 'open' AND uses_left > 0 AND expires_at > now() AS is_open
         FROM team_invites WHERE code_hash = ANY($1)",
    )
    .bind(&shown)
    .fetch_optional(&mut *transaction)
    .await?;
    let invite = invite.ok_or(TeamError::InviteOver)?;
    join(&mut transaction, by, &team, &invite).await?;
    let team = find_team(&mut transaction, team_id).await?;
    commit(transaction, by, once, &team).await?;
    Ok(team)
}

/// Puts the caller into a team that is locked, by an invitation of it.
async fn join(
    connection: &mut PgConnection,
    by: Identity,
    team: &LockedTeam,
    invite: &AnsweredInvite,
) -> Result<(), TeamError> {
    if !invite.is_open {
        return Err(TeamError::InviteOver);
    }
    if team.role_of(connection, by.user_id).await?.is_some() {
        return Err(TeamError::AlreadyMember);
    }
    require_room_for_a_team(connection, by.user_id).await?;
    let members: i64 = sqlx::query_scalar("SELECT count(*) FROM team_members WHERE team_id = $1")
        .bind(team.team_id)
        .fetch_one(&mut *connection)
        .await?;
    if members >= MOST_MEMBERS {
        return Err(TeamError::Full);
    }
    sqlx::query("INSERT INTO team_members (team_id, user_id, role) VALUES ($1, $2, 'member')")
        .bind(team.team_id)
        .bind(by.user_id)
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "UPDATE team_invites SET uses_left = uses_left - 1, answered_at = now(),
                status = CASE WHEN uses_left > 1 THEN status ELSE 'accepted' END
         WHERE id = $1",
    )
    .bind(invite.id)
    .execute(&mut *connection)
    .await?;
    if invite.user_id.is_none() {
        // Who joined by a code needs no other invitation.
        sqlx::query(
            "UPDATE team_invites SET status = 'accepted', answered_at = now()
             WHERE team_id = $1 AND user_id = $2 AND status = 'open'",
        )
        .bind(team.team_id)
        .bind(by.user_id)
        .execute(&mut *connection)
        .await?;
    }
    let after = json!({ "user_id": by.user_id, "invite_id": invite.id });
    Ok(log(connection, by.user_id, "team.join", team.team_id, None, Some(after)).await?)
}
