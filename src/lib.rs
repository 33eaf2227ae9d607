//! mohaa-stats: takes in telemetry of OpenMOHAA game servers, loses none of it, and turns it into statistics.

pub mod access;
pub mod admin;
pub mod audit;
pub mod auth;
pub mod cli;
pub mod clickhouse;
pub mod commands;
pub mod config;
pub mod data_version;
pub mod demo;
pub mod http;
pub mod ingest;
pub mod limits;
pub mod openapi;
pub mod ops;
pub mod pages;
pub mod players;
pub mod postgres;
pub mod redis;
pub mod routes;
pub mod servers;
pub mod sign_in;
pub mod simulate;
pub mod startup;
pub mod stats;
pub mod users;
