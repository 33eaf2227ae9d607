//! What a spool promises, through its public interface, on a disk that stalls, fills up, fails and loses power.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod appending;
mod budget;
mod damage;
mod deleting;
mod faults;
mod forged;
mod harness;
mod killed;
mod model;
mod ranges;
mod restarting;
