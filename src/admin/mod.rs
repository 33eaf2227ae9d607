//! What admins do: to users, to players, and looking at what was done.

mod handlers;
mod users;

pub use handlers::{AdminApi, QUERY_SHAPES, routes};
pub(crate) use handlers::{anonymise_player, merge_players, preview};
pub use users::{ListedUser, UserList, list_users};
