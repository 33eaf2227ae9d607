//! Players of the game and whose they are: codes typed in the game, ids linked to users, merges by admins, names taken
//! away. Events keep the ids under which they came; what is decided here is laid over them when questions are asked
//! ([`copy`]).

mod anonymity;
mod canonical;
mod claims;
mod codes;
mod copy;
mod decisions;
mod erasure;
mod export;
mod handlers;
mod links;
mod merges;
mod persons;
mod resolution;

pub use anonymity::anonymise;
pub use canonical::CanonicalIds;
pub use claims::take_claims;
pub(crate) use codes::random_short_code;
pub use codes::{CODE_LIFETIME, CodeError, MadeCode, Purpose, consume_code, is_unused, make_code};
pub use copy::PlayerLinksCopy;
pub use decisions::whom_ids_stand_for;
pub use erasure::{EraseError, Erased, NameEraser};
pub use export::{Export, ExportedSignIn, export, sign_ins_of};
pub(crate) use handlers::unlink_of;
pub use handlers::{PlayersApi, QUERY_SHAPES, routes};
pub use links::{LinkError, LinkedPlayer, link, linked_players, unlink};
pub use merges::{ListedMerge, MergeError, MergeList, list_merges, merge, undo_merge, why_not_merged};
pub use persons::lock_decisions;
pub use resolution::resolve;
