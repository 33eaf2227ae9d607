//! Mailboxes, accounting and the actors of mohaa-stats.
//!
//! Events come in through a [`port::Port`], are stamped and spooled by the [`batcher::Batcher`], and taken to the
//! store by [`writer::ClickHouseWriter`]s. What an actor needs from outside is a trait in [`store`]; the service
//! implements it. Nothing here knows HTTP, SQL or a configuration file.

pub mod accounting;
pub mod batch;
pub mod batcher;
pub mod batches;
pub mod clock;
pub mod dead_letters;
pub mod held;
pub mod idempotency;
pub mod kernel;
pub mod live;
pub mod metrics;
pub mod parked;
pub mod pipeline;
pub mod port;
pub mod record;
pub mod replay;
pub mod store;
pub mod supervision;
pub mod switches;
pub mod tournament;
pub mod webhooks;
pub mod writer;
