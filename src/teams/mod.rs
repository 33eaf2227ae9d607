//! Teams: a name, a captain, members and substitutes. Teams of several enter tournaments ([`roster`], [`captain_of`]).
//!
//! A team has exactly one captain as long as there is a team: captaincy is handed over, passes to the longest member when a
//! captain's account goes or is banned ([`leave_all`]), and with the last member the team is disbanded. Whoever changes a
//! team locks their own user first and the team after it (`users/locks.rs`), so that a ban and a change never miss each other.
//! A change that is sent again under its `Idempotency-Key` is done once ([`once`]).

mod handlers;
mod invite_handlers;
mod invites;
mod members;
mod name;
mod once;
mod store;

pub use handlers::{TeamsApi, routes};
pub use invite_handlers::TeamInvitesApi;
pub use invites::{
    MadeInvite, TeamInvite, accept_code, accept_invite, decline_invite, invite, invites_to, revoke_invite,
};
pub use members::{
    ExportedMembership, ListedMember, Roster, captain_of, leave_all, members_of, memberships_of, roster,
};
pub use name::{InvalidTeamText, TeamName, TeamTag};
pub use store::{TeamDetails, TeamMember, TeamRole, create_team};

use actix_web::http::StatusCode;

use crate::http::ApiError;
use crate::http::query::QueryShape;
use crate::postgres;
use crate::users::CallerError;

/// The query parameters of each path, for the OpenAPI document.
pub const QUERY_SHAPES: &[(&str, QueryShape)] = &[
    ("/api/v1/teams", handlers::LIST),
    ("/api/v1/teams/{id}/members", handlers::PAGED),
    ("/api/v1/users/me/teams", handlers::PAGED),
    ("/api/v1/teams/{id}/invites", handlers::PAGED),
    ("/api/v1/users/me/team-invites", handlers::PAGED),
];

/// A match of the game has no more players on one side.
const MOST_MEMBERS: i64 = 32;
/// More are nobody's.
const MOST_TEAMS_OF_USER: i64 = 10;
const MOST_OPEN_INVITES: i64 = 50;

/// Why a team is not changed.
#[derive(Debug, thiserror::Error)]
pub enum TeamError {
    #[error("there is no such team")]
    Unknown,
    #[error("there is a team of this name, whatever its case and colours")]
    NameTaken,
    #[error("only the team's captain may do this")]
    NotCaptain,
    #[error("this user is not in the team")]
    UnknownMember,
    #[error("the team needs a captain: hand it over first, or delete it")]
    CaptainStays,
    #[error("the team has {MOST_MEMBERS} members already")]
    Full,
    #[error("a user is in {MOST_TEAMS_OF_USER} teams at most")]
    TooManyTeams,
    #[error("this user is in the team already")]
    AlreadyMember,
    #[error("there is no such user who could be invited")]
    UnknownUser,
    #[error("this user has declined within the last day")]
    DeclinedLately,
    #[error("the team has {MOST_OPEN_INVITES} open invitations already: revoke some")]
    TooManyInvites,
    #[error("there is no such invitation")]
    UnknownInvite,
    #[error("this invitation has expired, was revoked or is used up: ask for another")]
    InviteOver,
    #[error("the idempotency key was used for something else")]
    KeyReused,
    #[error(transparent)]
    Caller(#[from] CallerError),
    #[error("teams can't be read or changed: {0}")]
    Store(#[from] sqlx::Error),
}

impl From<TeamError> for ApiError {
    fn from(error: TeamError) -> Self {
        let message = error.to_string();
        match error {
            TeamError::Unknown => Self::not_found("unknown_team", message),
            TeamError::NameTaken => Self::conflict("name_taken", message),
            TeamError::NotCaptain => Self::forbidden("not_your_team", message),
            TeamError::UnknownMember => Self::not_found("unknown_member", message),
            TeamError::CaptainStays => Self::conflict("captain_stays", message),
            TeamError::Full => Self::conflict("team_full", message),
            TeamError::TooManyTeams => Self::conflict("too_many_teams", message),
            TeamError::AlreadyMember => Self::conflict("already_member", message),
            TeamError::UnknownUser => Self::invalid_field("user_id", message),
            TeamError::DeclinedLately => Self::conflict("declined_lately", message),
            TeamError::TooManyInvites => Self::conflict("too_many_invites", message),
            TeamError::UnknownInvite => Self::not_found("unknown_invite", message),
            TeamError::InviteOver => Self::new(StatusCode::GONE, "invite_over", message),
            TeamError::KeyReused => Self::conflict("idempotency_key_reused", message),
            TeamError::Caller(error) => error.into(),
            TeamError::Store(cause) => teams_unavailable(cause),
        }
    }
}

/// While PostgreSQL can't be asked.
fn teams_unavailable(cause: sqlx::Error) -> ApiError {
    let message = "teams can't be read or changed at the moment: try again";
    postgres::unanswered("teams_unavailable", message, cause)
}
