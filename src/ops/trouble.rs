//! What is wrong, in words that lead to what to do. The rules are those of the alerts, but told at once: an alert waits until
//! somebody should be woken.

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use super::overview::NodeOverview;

/// A part of this node that needs somebody, or is about to.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Trouble {
    /// The alert whose runbook says what to do.
    pub alert: &'static str,
    /// A sentence. It holds no figure that changes by the second: who is read it to hears it once.
    pub what: String,
    /// Where the runbook stands.
    pub runbook: String,
}

/// Of a budget or a capacity.
const SPOOL_FILLING: f64 = 0.7;
const MAILBOX_FILLING: f64 = 0.8;
const FILES_RUN_OUT: f64 = 0.8;
const STUCK_AFTER_SECONDS: f64 = 10.0;
const LAG_SECONDS: f64 = 5.0;
/// A batch that is large is stored within some seconds.
const STORES_NOTHING_AFTER: Duration = Duration::from_secs(10);

/// What an overview alone does not tell.
pub(super) struct Besides {
    pub stored_nothing_for: Duration,
    /// Of the file descriptors that may be open.
    pub open_files: f64,
}

/// What is wrong, the worst first.
pub(super) fn of(overview: &NodeOverview, besides: &Besides) -> Vec<Trouble> {
    let mut found = Vec::new();
    let mut add = |alert: &'static str, what: String| {
        let runbook = format!("/ops/runbook#{}", alert.to_lowercase());
        found.push(Trouble { alert, what, runbook });
    };
    let spool = &overview.spool;
    if let Some(problem) = overview.stores.spool.problem {
        let alert = if problem == "can't write" { "MohaaSpoolFailing" } else { "MohaaSpoolFilling" };
        add(alert, format!("The spool takes nothing: {problem}. Events are refused."));
    }
    for actor in overview.actors.iter().filter(|actor| actor.failing) {
        add("MohaaActorFailing", format!("{} {} panics again and again.", spoken(actor.kind), actor.name));
    }
    if overview.events.unaccounted > 0 {
        add("MohaaEventsUnaccounted", "Events were dropped without an end: a defect.".to_owned());
    }
    let stores = [
        ("ClickHouse", &overview.stores.clickhouse),
        ("PostgreSQL", &overview.stores.postgres),
        ("Redis", &overview.stores.redis),
    ];
    for (store, check) in stores {
        if let Some(problem) = check.problem {
            add("MohaaStoreAway", format!("{store} does not answer: {problem}."));
        }
    }
    if let Some(problem) = overview.stores.mqtt.as_ref().and_then(|check| check.problem) {
        add("MohaaBrokerAway", format!("The broker's messages do not come in: {problem}."));
    }
    let paused = overview.writers.iter().filter(|writer| writer.paused).count();
    let writers = overview.writers.len();
    if paused > 0 {
        let rest = if paused == writers { "Events wait in the spool" } else { "The others write on" };
        add(
            "MohaaWritersPaused",
            format!("{paused} of {writers} writers are paused by an operator. {rest}."),
        );
    }
    let may_write = paused < writers;
    if may_write && overview.events.in_flight > 0 && besides.stored_nothing_for >= STORES_NOTHING_AFTER {
        add("MohaaStoreTakesNothing", "Events wait, and none is stored.".to_owned());
    }
    for kind in &overview.kinds {
        let name = spoken(kind.kind);
        if kind.rejected_lately > 0 {
            add(
                "MohaaMailboxFull",
                format!("{name}: a full mailbox handed messages back in the last minute."),
            );
        }
        if kind.fullest > MAILBOX_FILLING {
            add("MohaaMailboxFilling", format!("{name}: a mailbox is more than four fifths full."));
        }
        if kind.restarts_lately > 0 {
            add("MohaaActorPanicked", format!("{name}: a handler panicked in the last minute."));
        }
    }
    for actor in overview.actors.iter().filter(|actor| actor.busy_seconds > STUCK_AFTER_SECONDS) {
        add(
            "MohaaActorStuck",
            format!("{} {}: a handler has been running for over 10 s.", spoken(actor.kind), actor.name),
        );
    }
    let is_full = overview.stores.spool.problem.is_some();
    if !is_full && spool.bytes as f64 > SPOOL_FILLING * spool.budget_bytes as f64 {
        add("MohaaSpoolFilling", "More than 70 % of the spool's budget are used.".to_owned());
    }
    if overview.dead_letters.count > 0 {
        let count = overview.dead_letters.count;
        let verb = if count == 1 { "letter waits" } else { "letters wait" };
        add("MohaaDeadLetters", format!("{count} dead {verb} for somebody to look at."));
    }
    if may_write && overview.clickhouse.lag_seconds > LAG_SECONDS {
        add("MohaaStatisticsLag", "Events have been waiting to be stored for more than 5 s.".to_owned());
    }
    if overview.clickhouse.drift_days > 0 {
        add("MohaaRollupsDrift", "Roll-ups differ from the events that they sum up.".to_owned());
    }
    if besides.open_files > FILES_RUN_OUT {
        add("MohaaFilesRunOut", "Four fifths of the file descriptors are open.".to_owned());
    }
    match overview.state {
        "drained" => add(
            "MohaaNotReady",
            "An operator drains this node: the balancer sends nothing here, and what comes is taken."
                .to_owned(),
        ),
        "starting" | "stopping" => {
            add("MohaaNotReady", format!("This node is {}.", overview.state));
        }
        _ => {}
    }
    found
}

/// An actor kind as people say it.
fn spoken(kind: &str) -> String {
    let mut words = kind.replace('_', " ");
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    words
}
