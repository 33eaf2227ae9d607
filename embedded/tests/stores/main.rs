//! The gateway through the `clickhouse` crate and raw HTTP, and the lives of the stores' processes.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod gateway;
mod http;
mod inserts;
mod lifecycle;
mod shared_set;
