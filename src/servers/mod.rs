//! Game servers and their tokens: made by organizers and operators or registered by the servers themselves, asked for
//! with each batch of events, rotated and revoked.

mod handlers;
mod identify;
mod kept_answers;
mod keys;
mod last_seen;
mod public;
mod query;
mod registration;
mod release;
mod store;
mod token;
mod watch;

pub use handlers::{AdminServer, NewServerBody, QUERY_SHAPES, ServersApi, of_game_servers, routes};
pub(crate) use handlers::{new_server, public_list, servers_unavailable};
pub use identify::{Clock, ServerIdentity, ServerTokens, TokenError};
pub use keys::{MadeKey, make_server_key};
pub use last_seen::LastSeen;
pub(crate) use public::{KnownServer, find_known, named_like};
pub use query::{QueriedServer, ServerQuery, ServerStatuses};
pub use registration::{RegisterError, Registration, register};
pub use release::release_held;
pub use store::{
    AddedServer, Changer, ListedServer, NewServer, ServerError, add_server, add_server_of, approve_server,
    give_server, is_approved, list_servers, remove_server, revoke_server_tokens, rotate_server_token,
    set_bot_names,
};
pub use token::{ServerToken, TokenHash};
