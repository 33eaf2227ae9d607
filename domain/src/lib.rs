//! Pure rules of mohaa-stats: no I/O, no async, no clock, and no knowledge of any other package.
//!
//! Follow one event: [`wire`] reads a request body into [`event::Event`]s, [`tracker`] stamps each with its
//! match, players and meaning ([`event::Stamp`]), [`row`] gives the pair its one binary form, which the spool
//! keeps and ClickHouse stores.

pub mod achievements;
pub mod claim;
pub mod event;
pub mod live;
pub mod name;
pub mod player;
pub mod rating;
pub mod row;
pub mod server_query;
pub mod tournament;
pub mod tracker;
pub mod vocabulary;
pub mod weapon;
pub mod wire;
