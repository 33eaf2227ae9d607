//! Tournaments: against brackets and tables that other software made, rule by rule, and laws that hold for any of them.
//!
//! `data/brackets.json` is the sample of vectors that the contract names.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod elimination;
mod play;
mod vectors;
