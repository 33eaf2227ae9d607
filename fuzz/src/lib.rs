//! Laws that hold for any input at all, each a function that panics where one is broken. `targets/` hands them to
//! libFuzzer, which searches for inputs that reach new code; `make fuzz` runs them.
//!
//! A finding is mended with a test of its own beside what it broke; nothing here is a test of the workspace.

pub mod decoder;
pub mod memory;
pub mod spool;
pub mod tracker;
