//! What was played before there was a service: logs of consoles and files of events, brought to the stores by an operator.
//!
//! An import is a way of its own, beside the service and while it runs. It has the operator's access to the stores, so no
//! token, no limit and no window of time holds, and events keep their own times however old they are. Behind that it is the
//! service's way: the same decoder, tracker, spool and writers, in a spool of its own (`DATA_DIR/import`). A killed import goes
//! on where it stopped.
//!
//! **Twice is once.** What is imported is a match as a whole. Each of its events has an id made of the server, the match and its
//! place in the match, and before a match is sent ClickHouse is asked how many of these it has: all, and there is nothing to
//! do; some, from the first on, and the rest is sent. That holds for as long as the rows are kept. A match that the
//! server reported itself is left as it is.
//!
//! Follow it in order: [`console`] and [`records`] read files into matches, [`delivery`] sends what is missing.

mod clock;
mod console;
mod delivery;
mod obituary;
mod ports;
mod records;

use std::io;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use mohaa_domain::event::{Event, Millis};
use serde::Serialize;
use uuid::Uuid;

pub use self::delivery::{ImportError, import};

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ImportFormat {
    /// Log of a server's console
    Console,
    /// A JSON object a line
    Ndjson,
    /// A row an event, under a row of names
    Csv,
}

#[derive(Clone, Debug)]
pub struct ImportOptions {
    pub server_id: Uuid,
    pub files: Vec<PathBuf>,
    /// None to go by the names of the files: `.csv`, `.ndjson`, `.jsonl`, `.json`, and consoles' logs.
    pub format: Option<ImportFormat>,
    /// When the first line of a console's log was written, where lines don't say it.
    pub began: Option<DateTime<Utc>>,
    /// Reads and counts, and sends nothing.
    pub dry_run: bool,
}

/// A match out of a file, its events in the order of their times.
#[derive(Debug, Default)]
pub struct ImportedMatch {
    /// What the server called it, or a name made of when it began.
    pub name: String,
    pub events: Vec<(Millis, Event)>,
}

/// What a file held.
#[derive(Debug, Default)]
pub struct Reading {
    pub matches: Vec<ImportedMatch>,
    pub lines: u64,
    /// Lines that should have been events and could not be read, or say no time.
    pub unreadable: u64,
}

/// What became of it all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    pub files: usize,
    pub lines: u64,
    pub unreadable: u64,
    pub matches: u64,
    pub events: u64,
    /// Events that are stored now and were not before.
    pub imported: u64,
    /// Events that an earlier import had stored.
    pub already_stored: u64,
    /// Events of matches that the server reported itself; they are left as they are.
    pub reported_live: u64,
}

/// Reads a file.
fn read(path: &std::path::Path, options: &ImportOptions) -> io::Result<Reading> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    let format = options.format.unwrap_or(match ending.as_str() {
        "csv" => ImportFormat::Csv,
        "ndjson" | "jsonl" | "json" => ImportFormat::Ndjson,
        _ => ImportFormat::Console,
    });
    let bytes = std::fs::read(path)?;
    match format {
        ImportFormat::Console => Ok(console::read(&bytes, options.began)),
        ImportFormat::Ndjson => Ok(records::read_ndjson(&bytes)),
        ImportFormat::Csv => records::read_csv(&bytes),
    }
}
