//! What every event goes through, by itself: [`paths`] repeats it, so that its instructions can be counted. The [`traffic`] is that of game
//! servers, and [`mirror`] the yardstick that reads it.
//!
//! It is a package of its own because it needs the rules and nothing else: it is built in a minute wherever the instructions are compared
//! with those that are kept.

pub mod mirror;
pub mod paths;
pub mod traffic;
