//! Tournaments: against brackets and tables that other software made, rule by rule, and laws that hold for any of them.
//!
//! `data/brackets.json` is a sample of vectors that public tournament software made.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod achievements;
mod corrections;
mod elimination;
mod groups;
mod laws;
mod leaving;
mod life;
mod play;
mod reports;
mod swiss;
mod tables;
mod vectors;
mod vetoes;
