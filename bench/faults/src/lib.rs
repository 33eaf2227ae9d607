//! How the service fails, as operators would see it fail, each time with a verdict.
//!
//! A scenario ([`crash`] and its like) starts the real program on a [`stand`] of its own, puts [`load`] on it that
//! remembers what every request was told, does it harm (signals, a [`proxy`] in front of ClickHouse, a table changed
//! underneath) and has the [`verdict`] compare what is stored with what was promised. `mohaa-faults` plays all of them,
//! `tests/` plays them short; the service's own tests use the parts.

//! Nothing here is meant for production; [`crash_point`](mohaa_spool::crash_point) says what of it is in the service.

pub mod crash;
pub mod cuttable;
pub mod engine_kill;
pub mod error;
pub mod load;
pub mod metrics;
pub mod outcome;
pub mod overload;
pub mod process;
pub mod proxy;
pub mod service;
pub mod shutdown;
pub mod stand;
pub mod store_faults;
pub mod verdict;
pub mod warehouse;
