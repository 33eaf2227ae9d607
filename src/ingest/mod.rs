//! `POST /api/v1/ingest/events`: from a request's bytes to an answer that its events are safe.
//!
//! Follow it in order: [`body`] reads and decompresses, [`mohaa_domain::wire`] decodes, [`events`] asks who speaks,
//! [`submit`] offers the events to the Batcher and words what became of them. What they have in common with messages of a
//! broker ([`crate::mqtt`]) is in [`admission`]. Nothing here blocks and nothing here decides what an event means. [`results`] makes an event of a match's result, which [`held_results`] keeps until it is settled,
//! and [`ends`] one of a match that an admin ends.

pub mod admission;
pub mod body;
mod ends;
pub mod events;
pub mod held_results;
pub mod metrics;
pub mod results;
pub(crate) mod submit;

use std::time::Duration;

use mohaa_actors::clock::Clock;
use mohaa_actors::pipeline::Pipeline;

use self::held_results::HeldResults;
use self::metrics::IngestMetrics;
use self::results::LatestResults;
use crate::access::{Route, post};
use crate::live::{LiveNodes, MatchSummaries};
use crate::redis::TrackerStates;
use crate::servers::LastSeen;
use crate::tournaments::Witness;

/// What the ingest handlers need, the same for every worker.
pub struct Ingest {
    pub pipeline: Pipeline,
    pub tracker_states: TrackerStates,
    pub live_nodes: LiveNodes,
    pub clock: Clock,
    pub metrics: IngestMetrics,
    /// Notes who was heard of.
    pub last_seen: LastSeen,
    pub limits: IngestLimits,
    pub results: LatestResults,
    /// Those that are not settled.
    pub held_results: HeldResults,
    pub summaries: MatchSummaries,
    /// Hears of bracket matches.
    pub witness: Witness,
}

#[derive(Clone, Copy, Debug)]
pub struct IngestLimits {
    /// Bytes of a body after decompression.
    pub max_body_bytes: usize,
    pub max_events: usize,
    /// A sender that pauses longer than this between two parts of a body is given up.
    pub chunk_timeout: Duration,
}

pub fn routes() -> Vec<Route> {
    vec![
        post("/api/v1/ingest/events", events::ingest_events),
        post("/api/v1/ingest/match-result", results::ingest_result),
    ]
}
