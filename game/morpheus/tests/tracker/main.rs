//! The tracker's scripts (`game/*.scr`), run as a game server would run them: what they send is what the decoder knows,
//! and what the service has not taken is sent again.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod delivery;
mod document;
mod events;
mod matches;
mod players;
mod server;
mod sources;
