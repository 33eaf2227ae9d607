//! What operators see of this node: the shape of the answer of `GET /api/v1/ops/actors`, which the page `/ops` is made of too.

use chrono::{DateTime, Utc};
use mohaa_actors::dead_letters::DeadLetter;
use mohaa_actors::supervision::{ActorError, Failure, InstanceReport};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::engine::{EngineError, Parts};
use super::health::Checks;
use super::history::HistoryPoint;
use super::trouble::Trouble;
use crate::stats::SlowQuestion;

/// This node, its actors, and what it stands on.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct NodeOverview {
    /// This node; the same over restarts.
    pub node: Uuid,
    pub at: DateTime<Utc>,
    pub ready: bool,
    /// `starting`, `serving`, `drained` or `stopping`.
    pub state: &'static str,
    /// What is wrong, the worst first.
    pub trouble: Vec<Trouble>,
    pub actors: Vec<ActorReport>,
    pub kinds: Vec<KindReport>,
    pub writers: Vec<WriterState>,
    pub events: EventFigures,
    pub spool: SpoolFigures,
    pub stores: Checks,
    pub clickhouse: ClickHouseFigures,
    pub dead_letters: DeadLetterFigures,
    /// All nodes that this one knows of, itself first.
    pub nodes: Vec<NodeReport>,
    /// The statements of statistics that this node waited for longest within ten minutes.
    pub slow_questions: Vec<SlowQuestion>,
    /// The last ten minutes, the oldest first.
    pub history: Vec<HistoryPoint>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ActorReport {
    /// What it does: `batcher`, `clickhouse_writer`.
    pub kind: &'static str,
    /// Tells instances of a kind apart.
    pub name: String,
    /// Events queued or in work.
    pub depth: u64,
    /// Events its mailbox may hold.
    pub capacity: u64,
    /// Messages and signals handled.
    pub handled: u64,
    /// Messages handed back because the mailbox was full.
    pub rejected: u64,
    /// Panics after which it was made anew.
    pub restarts: u64,
    /// Whether it has used up its restart budget.
    pub failing: bool,
    /// How long the oldest message has been waiting or in work, in seconds.
    pub oldest_wait_seconds: f64,
    /// From offer to handling: the mean of all messages, in seconds.
    pub mean_wait_seconds: f64,
    /// Of a handler and the work that went on behind it: the mean of all runs, in seconds.
    pub mean_handling_seconds: f64,
    /// How long the handler that runs now has been running, in seconds.
    pub busy_seconds: f64,
    /// How long the work has been going on whose handler has returned (a batch, a change of a bracket), in seconds.
    pub working_seconds: f64,
    /// When the last handler came back; null before the first.
    pub last_progress_at: Option<DateTime<Utc>>,
    /// For how long it had work and waited for others since it was started, in seconds.
    pub blocked_seconds: f64,
    /// Its last panic.
    pub last_failure: Option<ActorFailure>,
    /// What went wrong last: a store that refused or did not answer, a disk, a panic.
    pub last_error: Option<ReportedError>,
    /// What it says of itself; null while it is too busy to answer.
    pub state: Value,
}

impl ActorReport {
    pub(super) fn new(report: InstanceReport, failing: bool) -> Self {
        Self {
            kind: report.kind,
            name: report.name,
            depth: report.depth,
            capacity: report.capacity,
            handled: report.handled,
            rejected: report.rejected,
            restarts: report.restarts,
            failing,
            oldest_wait_seconds: report.oldest_wait.as_secs_f64(),
            mean_wait_seconds: report.mean_wait.as_secs_f64(),
            mean_handling_seconds: report.mean_handling.as_secs_f64(),
            busy_seconds: report.busy_for.as_secs_f64(),
            working_seconds: report.working_for.as_secs_f64(),
            last_progress_at: report.last_progress.and_then(|at| DateTime::from_timestamp_millis(at.0)),
            blocked_seconds: report.blocked.as_secs_f64(),
            last_failure: report.last_failure.map(ActorFailure::from),
            last_error: report.last_error.map(ReportedError::from),
            state: Value::Null,
        }
    }
}

/// What an actor met.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ReportedError {
    pub at: Option<DateTime<Utc>>,
    /// Which actor of its kind it was; it may have ended since.
    pub name: String,
    /// The first 300 characters.
    pub what: String,
}

impl From<ActorError> for ReportedError {
    fn from(error: ActorError) -> Self {
        Self { at: DateTime::from_timestamp_millis(error.at.0), name: error.name, what: error.what }
    }
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ActorFailure {
    pub at: Option<DateTime<Utc>>,
    /// What the panic said.
    pub panic: String,
    /// Its state when it had panicked.
    pub state: Value,
}

impl From<Failure> for ActorFailure {
    fn from(failure: Failure) -> Self {
        Self { at: DateTime::from_timestamp_millis(failure.at.0), panic: failure.panic, state: failure.state }
    }
}

/// All actors of a kind together.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct KindReport {
    pub kind: &'static str,
    pub instances: u64,
    /// Events queued or in work, of all of them.
    pub depth: u64,
    /// Events that one mailbox may hold.
    pub capacity: u64,
    /// How full the fullest mailbox is, from 0 to 1.
    pub fullest: f64,
    /// From offer to handling: the mean of the last minute, in seconds; null where nothing came.
    pub wait_seconds: Option<f64>,
    /// Of a handler: the mean of the last minute, in seconds; null where none ran.
    pub handling_seconds: Option<f64>,
    /// Messages handed back, since the start and in the last minute.
    pub rejected: u64,
    pub rejected_lately: u64,
    /// Panics, since the start and in the last minute.
    pub restarts: u64,
    pub restarts_lately: u64,
    /// Of the last minute, in how many seconds work was ready and everybody downstream was busy or paused.
    pub blocked_seconds_lately: f64,
    /// What went wrong last, also of an actor that has ended.
    pub last_error: Option<ReportedError>,
    pub last_progress_at: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WriterState {
    /// Its number.
    pub writer: usize,
    /// An operator keeps it from taking batches.
    pub paused: bool,
}

/// Where events are, since this process began.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EventFigures {
    pub received: u64,
    pub stored: u64,
    pub rejected: u64,
    /// Whose end is open: in the mailbox, the spool, or on their way to ClickHouse.
    pub in_flight: i64,
    /// Kept until their server is approved.
    pub held: i64,
    /// What the books miss: 0 but for what is being moved right now.
    pub missing: i64,
    /// Dropped by a defect.
    pub unaccounted: u64,
    /// As in the newest point of `history`.
    pub accepted_per_second: f64,
    pub stored_per_second: f64,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SpoolFigures {
    /// On disk and queued.
    pub bytes: u64,
    /// SPOOL_MAX_BYTES.
    pub budget_bytes: u64,
    pub segments: u64,
    /// Age of the oldest record on disk, stored or not; null where there is none.
    pub oldest_record_seconds: Option<f64>,
    /// Appends waiting for its writer.
    pub queued_appends: u64,
    /// Writes, rotations, checkpoints and deletions that failed.
    pub failures: u64,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ClickHouseFigures {
    /// For how long the oldest event has been waiting that is not stored.
    pub lag_seconds: f64,
    /// Null while it can't be asked.
    pub parts: Option<Parts>,
    /// What it told anybody in the last ten minutes, the latest first.
    pub errors: Vec<EngineError>,
    /// Inserts of this node that were tried again, by code.
    pub insert_retries: Vec<InsertRetries>,
    /// Days on which a roll-up differs from its base table.
    pub drift_days: u64,
    /// Days whose roll-ups have to be compared.
    pub unverified_days: u64,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct InsertRetries {
    /// ClickHouse's error code; 0 where no answer came.
    pub code: u32,
    pub count: u64,
}

#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct DeadLetterFigures {
    /// Those to be replayed among them.
    pub count: usize,
    /// The first fifty.
    pub letters: Vec<LetterReport>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LetterReport {
    pub id: String,
    /// `row`, `request` or `record`; null where its file can't be read.
    pub kind: Option<&'static str>,
    pub received_at: Option<DateTime<Utc>>,
    pub server_id: Option<Uuid>,
    pub events: Option<u64>,
    /// What the store or the panic said, or why its file can't be read; the first 300 characters.
    pub reason: String,
    /// Somebody has asked for it to be sent again.
    pub to_be_replayed: bool,
}

/// Of what the store says; it may quote a whole row.
const LONGEST_REASON_CHARS: usize = 300;

impl LetterReport {
    pub(super) fn of(letter: &DeadLetter, to_be_replayed: bool) -> Self {
        let received_at = (letter.received_at.0 > 0).then_some(letter.received_at.0);
        Self {
            id: letter.id.clone(),
            kind: Some(letter.content.kind()),
            received_at: received_at.and_then(DateTime::from_timestamp_millis),
            server_id: (!letter.server_id.is_nil()).then_some(letter.server_id),
            events: Some(letter.events()),
            reason: letter.reason.chars().take(LONGEST_REASON_CHARS).collect(),
            to_be_replayed,
        }
    }

    pub(super) fn unreadable(id: String, why: &str, to_be_replayed: bool) -> Self {
        let reason = why.chars().take(LONGEST_REASON_CHARS).collect();
        Self { id, kind: None, received_at: None, server_id: None, events: None, reason, to_be_replayed }
    }
}

/// A node, by its own word.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct NodeReport {
    pub node: Uuid,
    /// It is the one that answers.
    pub is_this: bool,
    /// An operator keeps it out of the balancer.
    pub drained: bool,
    /// Matches that it follows.
    pub live_matches: u64,
    /// Open streams of live matches.
    pub viewers: u64,
    /// How long ago it was heard.
    pub heard_seconds_ago: f64,
}
