//! Ratings of players, derived from how matches ended.
//!
//! [`mohaa_domain::rating`] has the method; here is what keeps everybody's rating true. `history` reads summaries of
//! matches in the order of history, `rerun` rates what has changed in one transaction, `copy` brings the outcome to
//! ClickHouse, where boards are asked, and [`RatingKeeper`] does both whenever there is reason to, on one node at a
//! time. `docs/decisions/ratings-are-derived.md` says why it is built this way.

mod answers;
mod copy;
mod handlers;
mod history;
mod keeper;
mod rerun;

pub use answers::{RatedMatch, RatingAfter, RatingHistory};
pub use handlers::{__path_player_rating, HISTORY, player_rating};
pub use history::rated_matches;
pub use keeper::RatingKeeper;
