//! Users: people with an id, a name, a role and linked player ids.

pub mod account;
mod changes;
mod locks;
pub mod me;
mod store;

pub use account::AccountApi;
pub use changes::{
    UserChangeError, ban, delete_account, set_role, sign_out_by_admin, unban, users_unavailable,
};
pub use locks::{CallerError, LockedUser, lock_caller, lock_user, lock_users};
pub use me::{Me, me};
pub use store::{User, add, find, find_player_ids, is_banned};

use crate::access::Route;
use mohaa_domain::name::can_be_seen;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

pub fn routes() -> Vec<Route> {
    let mut routes = me::routes();
    routes.extend(account::routes());
    routes
}

/// What a user may do; each role may do what the ones before it may. Referee is no role of this kind: it holds
/// within one tournament.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Player,
    Organizer,
    Admin,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Player => "player",
            Self::Organizer => "organizer",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a role: player, organizer or admin")]
pub struct UnknownRole(String);

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        match text {
            "player" => Ok(Self::Player),
            "organizer" => Ok(Self::Organizer),
            "admin" => Ok(Self::Admin),
            _ => Err(UnknownRole(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Role {
    type Error = UnknownRole;

    fn try_from(text: String) -> Result<Self, UnknownRole> {
        text.parse()
    }
}

/// What a user is called: 1 to 64 characters of which something can be seen, no control characters, no white space around.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisplayName(String);

const LONGEST_DISPLAY_NAME_CHARS: usize = 64;

#[derive(Debug, thiserror::Error)]
#[error(
    "a name has 1 to {LONGEST_DISPLAY_NAME_CHARS} characters, some that can be seen and no control characters"
)]
pub struct InvalidDisplayName;

impl FromStr for DisplayName {
    type Err = InvalidDisplayName;

    fn from_str(text: &str) -> Result<Self, InvalidDisplayName> {
        let text = text.trim();
        let has_a_good_length = (1..=LONGEST_DISPLAY_NAME_CHARS).contains(&text.chars().count());
        match has_a_good_length && can_be_seen(text) && !text.chars().any(char::is_control) {
            true => Ok(Self(text.to_owned())),
            false => Err(InvalidDisplayName),
        }
    }
}

impl DisplayName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
