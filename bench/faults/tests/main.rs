//! Every scenario of the fault harness, short; and crashes that no scenario has.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod crash;
mod scenarios;
