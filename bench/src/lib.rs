//! What the way of an event costs, beside yardsticks that do the least anybody could do.
//!
//! [`run`] measures the way of an event. It starts a service with private stores and a [`yardstick`] process, sends both
//! the [`traffic`](mohaa_hot::traffic) of game servers through a closed [`load`] loop, inserts the same rows into a second database of
//! the service's own [`engine`], and lets its [`peers`] insert for themselves. The [`report`] compares them round by round: machines are noisy, so only what was
//! measured within one run is compared, and only medians of the rounds' ratios count.
//!
//! [`cpu`] measures what needs neither network nor disk. What everything is to reach stands in [`targets`], which makes one table of
//! what came of it.
//!
//! [`sustained`] sees whether the service keeps up for minutes. [`node`] measures starts, memory and answers from memory.
//!
//! [`growth`] measures how costs grow, and [`plots`] draws it.
//!
//! [`tournament`] reports results to many tournaments at once.
//!
//! [`seed`] fills stores with a year of matches, and [`queries`] asks a service over them: what each answer reads, how
//! long it takes beside its bare statements, and how pages and JSON come under load.

pub mod clickhouse;
pub mod connection;
pub mod cpu;
pub mod crowd;
pub mod engine;
pub mod error;
pub mod growth;
pub mod live;
pub mod load;
pub mod node;
pub mod peers;
pub mod plots;
pub mod process;
pub mod queries;
pub mod report;
pub mod run;
pub mod seed;
pub mod service;
pub mod stores;
pub mod sustained;
pub mod targets;
pub mod tournament;
pub mod yardstick;
