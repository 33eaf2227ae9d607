//! The hot paths, one at a time and over and over, for a profiler that counts instructions: unlike time, their number
//! does not depend on what else the machine does.

use std::hint::black_box;

use clap::ValueEnum;
use mohaa_domain::event::{Event, Millis, Stamp};
use mohaa_domain::live::{LiveEvent, LiveMatch};
use mohaa_domain::row;
use mohaa_domain::tracker::{EventWindow, Trackers};
use mohaa_domain::wire::{DecodeError, Limits, decode};
use uuid::Uuid;

use crate::mirror::{self, FormError};
use crate::traffic::{BATCH_EVENTS, ServerTraffic, at_level_time};

const SERVER: Uuid = Uuid::from_u128(1);
/// Of the node that takes the events.
pub const SPOOL: Uuid = Uuid::from_u128(2);
/// When the first one comes.
pub const NOON: Millis = Millis(1_795_600_000_000);
/// A full server sends some twenty events in that time.
pub const SECONDS_A_REQUEST: f64 = 0.5;

/// More than most take.
const BYTES_A_ROW: usize = 400;

/// What is repeated; stamps need what was decoded, rows and live state need stamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum HotPath {
    /// Nothing but the level.time written into each body
    Bodies,
    /// The yardstick of decode: serde_json into the same structs
    Mirror,
    /// Body to events
    Decode,
    /// The yardstick of forms: form_urlencoded into the same structs
    FormMirror,
    /// Body of form lines to events
    Forms,
    /// Events to stamps
    Stamp,
    /// Stamped events to rows
    Rows,
    /// Stamped events to what live state takes of them, folded in, without who has earned what
    Fold,
}

/// What can't be read.
#[derive(Debug, thiserror::Error)]
pub enum HotError {
    #[error("a body can't be read: {0}")]
    Body(#[from] DecodeError),
    #[error("a form can't be read by its yardstick: {0}")]
    Form(#[from] FormError),
    #[error("a body can't be read by its yardstick: {0}")]
    Json(#[from] serde_json::Error),
}

/// Runs `requests` of 20 events as far as `path`.
///
/// # Errors
/// When the traffic can't be read.
pub fn run(path: HotPath, requests: usize) -> Result<(), HotError> {
    let traffic = ServerTraffic::of_server(1);
    let mut trackers = Trackers::default();
    let window = EventWindow::default();
    let mut live: Option<LiveMatch> = None;
    if matches!(path, HotPath::FormMirror | HotPath::Forms) {
        return read_forms(path, &traffic, requests);
    }
    for (number, body) in traffic.batches.iter().cycle().take(requests).enumerate() {
        let seconds = number as f64 * SECONDS_A_REQUEST;
        let received_at = Millis(NOON.0 + (seconds * 1000.0) as i64);
        let body = at_level_time(body, seconds);
        if path == HotPath::Bodies {
            black_box(&body);
            continue;
        }
        if path == HotPath::Mirror {
            black_box(mirror::events_of(&body)?);
            continue;
        }
        let decoded = decode(&body, Limits { max_events: BATCH_EVENTS })?;
        if path == HotPath::Decode {
            black_box(decoded);
            continue;
        }
        let tracker = trackers.of_server(SERVER);
        let stamped: Vec<(&Event, Stamp)> = decoded
            .events
            .iter()
            .enumerate()
            .map(|(index, event)| {
                let mut stamp = tracker.stamp(event, received_at, &window);
                (stamp.spool_seq, stamp.spool_index) = (number as u64 + 1, index as u32);
                (event, stamp)
            })
            .collect();
        match path {
            HotPath::Rows => {
                let mut rows = Vec::with_capacity(BATCH_EVENTS * BYTES_A_ROW);
                stamped.iter().for_each(|(event, stamp)| row::encode(event, stamp, &mut rows));
                black_box(rows);
            }
            HotPath::Fold => {
                let Some((_, first)) = stamped.first() else { continue };
                let live = live.get_or_insert_with(|| LiveMatch::new(first.match_id, SERVER));
                let events = stamped.iter().map(|(event, stamp)| LiveEvent::of(event, stamp));
                black_box(live.fold_events(SPOOL, events));
            }
            _ => drop(black_box(stamped)),
        }
    }
    Ok(())
}

/// Forms are as they are: no level.time is written into them.
fn read_forms(path: HotPath, traffic: &ServerTraffic, requests: usize) -> Result<(), HotError> {
    for body in traffic.forms.iter().cycle().take(requests) {
        match path {
            HotPath::FormMirror => drop(black_box(mirror::events_of_forms(body)?)),
            _ => drop(black_box(decode(body, Limits { max_events: BATCH_EVENTS })?)),
        }
    }
    Ok(())
}
