//! Game servers and their tokens: made and revoked by operators, asked for with each batch of events.

mod identify;
mod kept_answers;
mod store;
mod token;
mod watch;

pub use identify::{Clock, ServerIdentity, ServerTokens, TokenError};
pub use store::{
    AddedServer, ListedServer, NewServer, ServerError, add_server, list_servers, revoke_server_tokens,
    rotate_server_token, set_bot_names,
};
pub use token::{ServerToken, TokenHash};
