//! Tests of the whole service against real stores: one binary, a module for each feature.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod access;
mod achievements;
mod attacks;
mod bots;
mod browser;
mod caching;
mod commands;
mod database;
mod device;
mod fleet;
mod hostile;
mod limits;
mod live;
mod live_streams;
mod match_story;
mod migration;
mod nodes;
mod operations;
mod outages;
mod overload;
mod pages;
mod players;
mod recount;
mod registration;
mod replies;
mod results;
mod samples;
mod secrets;
mod servers;
mod sessions;
mod sign_in;
mod stats;
mod support;
mod users;
