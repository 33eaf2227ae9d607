//! What is wrong, in words that lead to what to do. The rules are those of the alerts, but told at once: an alert waits until
//! somebody should be woken.

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use super::figures::Figures;
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
    /// Events are lost or will be, or nobody gets an answer.
    pub is_critical: bool,
}

impl Trouble {
    fn new(alert: &'static str, what: String, is_critical: bool) -> Self {
        Self { alert, what, runbook: format!("/ops/runbook#{}", alert.to_lowercase()), is_critical }
    }
}

/// Of a budget or a capacity.
const SPOOL_FILLING: f64 = 0.7;
const MAILBOX_FILLING: f64 = 0.8;
const FILES_RUN_OUT: f64 = 0.8;
const STUCK_AFTER_SECONDS: f64 = 10.0;
/// Of work that waits for a store that is there.
const WORKS_FOR_TOO_LONG_SECONDS: f64 = 300.0;
const LAG_SECONDS: f64 = 5.0;
/// A batch that is large is stored within some seconds.
const STORES_NOTHING_AFTER: Duration = Duration::from_secs(10);
/// What is being moved, read or compared right now is no trouble.
const LASTS: Duration = Duration::from_secs(30);
/// Of the last minute, which is measured a little too short.
const BLOCKED_SECONDS: f64 = 50.0;
/// One answer, or one change that viewers are told, in so many.
const TOO_MANY: u64 = 100;
/// A single one among few says nothing.
const NO_ACCIDENT: u64 = 3;
const WEBHOOKS_PILE: u64 = 100;
const RATINGS_LAG_SECONDS: f64 = 900.0;

/// What an overview alone does not tell.
pub(super) struct Besides {
    pub stored_nothing_for: Duration,
    pub missing_for: Duration,
    pub unverified_for: Duration,
    pub stale_for: Duration,
    /// Of the file descriptors that may be open.
    pub open_files: f64,
    pub now: Figures,
    /// A minute ago.
    pub lately: Figures,
}

impl Besides {
    /// What came to a counter within the last minute.
    fn more(&self, counter: fn(&Figures) -> u64) -> u64 {
        counter(&self.now).saturating_sub(counter(&self.lately))
    }
}

/// What is wrong, the worst first.
pub(super) fn of(overview: &NodeOverview, besides: &Besides) -> Vec<Trouble> {
    let mut found = Vec::new();
    lost_events(overview, besides, &mut found);
    stores(overview, besides, &mut found);
    actors(overview, &mut found);
    answers(overview, besides, &mut found);
    found.sort_by_key(|trouble| !trouble.is_critical);
    found
}

fn critical(alert: &'static str, what: impl Into<String>) -> Trouble {
    Trouble::new(alert, what.into(), true)
}

fn warning(alert: &'static str, what: impl Into<String>) -> Trouble {
    Trouble::new(alert, what.into(), false)
}

/// Events that are lost, or will be.
fn lost_events(overview: &NodeOverview, besides: &Besides, found: &mut Vec<Trouble>) {
    let spool = &overview.spool;
    match overview.stores.spool.problem {
        Some(problem) => {
            let alert = if problem == "can't write" { "MohaaSpoolFailing" } else { "MohaaSpoolFilling" };
            found.push(critical(alert, format!("The spool takes nothing: {problem}. Events are refused.")));
        }
        None if spool.bytes as f64 > SPOOL_FILLING * spool.budget_bytes as f64 => {
            found.push(critical("MohaaSpoolFilling", "More than 70 % of the spool's budget are used."));
        }
        None => {}
    }
    if besides.more(|figures| figures.load_shed) > 0 {
        let what = "A mailbox or the spool was full: events were refused in the last minute, and game servers don't \
                    send them again.";
        found.push(critical("MohaaEventsRefused", what));
    }
    if overview.events.unaccounted > 0 {
        found.push(critical("MohaaEventsUnaccounted", "Events were dropped without an end: a defect."));
    }
    if besides.missing_for >= LASTS {
        found.push(critical("MohaaEventsMissing", "The books don't balance: events are nowhere, or twice."));
    }
    if besides.now.spool_damage > 0 {
        let what = "Places of the spool could not be read since this node started: its disk loses data.";
        found.push(critical("MohaaSpoolDamaged", what));
    }
    if besides.more(|figures| figures.limited) > 0 {
        let what = "Events of a server were refused in the last minute: it sends too much, or waits for approval for too \
                    long.";
        found.push(warning("MohaaServerLimited", what));
    }
    if overview.dead_letters.count > 0 {
        let count = overview.dead_letters.count;
        let verb = if count == 1 { "letter waits" } else { "letters wait" };
        found.push(warning("MohaaDeadLetters", format!("{count} dead {verb} for somebody to look at.")));
    }
}

/// Stores that are away or behind.
fn stores(overview: &NodeOverview, besides: &Besides, found: &mut Vec<Trouble>) {
    let checks = [
        ("ClickHouse", &overview.stores.clickhouse),
        ("PostgreSQL", &overview.stores.postgres),
        ("Redis", &overview.stores.redis),
    ];
    for (store, check) in checks {
        if let Some(problem) = check.problem {
            found.push(warning("MohaaStoreAway", format!("{store} does not answer: {problem}.")));
        }
    }
    if besides.now.postgres_primaries > 1 {
        let what = "Several servers of PostgreSQL say that they are the primary: shut down the older one.";
        found.push(critical("MohaaTwoPrimaries", what));
    }
    if let Some(problem) = overview.stores.mqtt.as_ref().and_then(|check| check.problem) {
        found.push(warning("MohaaBrokerAway", format!("The broker's messages do not come in: {problem}.")));
    }
    let paused = overview.writers.iter().filter(|writer| writer.paused).count();
    let writers = overview.writers.len();
    if paused > 0 {
        let rest = if paused == writers { "Events wait in the spool" } else { "The others write on" };
        let what = format!("{paused} of {writers} writers are paused by an operator. {rest}.");
        found.push(warning("MohaaWritersPaused", what));
    }
    let may_write = paused < writers;
    if may_write && overview.events.in_flight > 0 && besides.stored_nothing_for >= STORES_NOTHING_AFTER {
        found.push(critical("MohaaStoreTakesNothing", "Events wait, and none is stored."));
    }
    let blocked = overview.kinds.iter().find(|kind| kind.kind == "batcher");
    let all_write = paused == 0 && overview.stores.clickhouse.ok;
    if all_write && blocked.is_some_and(|kind| kind.blocked_seconds_lately > BLOCKED_SECONDS) {
        let what = "All writers were busy for the whole last minute: ClickHouse is the limit.";
        found.push(warning("MohaaWritersSaturated", what));
    }
    if may_write && overview.clickhouse.lag_seconds > LAG_SECONDS {
        let what = "Events have been waiting to be stored for more than 5 s.";
        found.push(warning("MohaaStatisticsLag", what));
    }
    if overview.clickhouse.drift_days > 0 {
        found.push(warning("MohaaRollupsDrift", "Roll-ups differ from the events that they sum up."));
    }
    if besides.unverified_for >= LASTS {
        let what = "Roll-ups could not be compared with the events that they sum up: boards may be off.";
        found.push(warning("MohaaRollupsUnverified", what));
    }
    if besides.now.webhooks_pending > WEBHOOKS_PILE {
        found.push(warning("MohaaWebhooksPile", "More than a hundred messages to webhooks wait."));
    }
    if besides.now.rating_lag_seconds > RATINGS_LAG_SECONDS {
        found.push(warning("MohaaRatingsLag", "Ratings follow more than a quarter of an hour late."));
    }
}

fn actors(overview: &NodeOverview, found: &mut Vec<Trouble>) {
    for actor in &overview.actors {
        let name = format!("{} {}", spoken(actor.kind), actor.name);
        if actor.failing {
            found.push(critical("MohaaActorFailing", format!("{name} panics again and again.")));
        }
        if actor.busy_seconds > STUCK_AFTER_SECONDS {
            let what = format!("{name}: a handler has been running for over 10 s.");
            found.push(critical("MohaaActorStuck", what));
        }
    }
    let stores = &overview.stores;
    let stores_are_there = stores.clickhouse.ok && stores.postgres.ok;
    for actor in overview.actors.iter().filter(|_| stores_are_there) {
        if actor.working_seconds > WORKS_FOR_TOO_LONG_SECONDS {
            let what = format!(
                "{} {} has been at the same piece of work for over five minutes.",
                spoken(actor.kind),
                actor.name
            );
            found.push(warning("MohaaWorkStuck", what));
        }
    }
    for kind in &overview.kinds {
        let name = spoken(kind.kind);
        if kind.rejected_lately > 0 {
            let what = format!("{name}: a full mailbox handed messages back in the last minute.");
            found.push(warning("MohaaMailboxFull", what));
        }
        if kind.fullest > MAILBOX_FILLING {
            let what = format!("{name}: a mailbox is more than four fifths full.");
            found.push(warning("MohaaMailboxFilling", what));
        }
        if kind.restarts_lately > 0 {
            let what = format!("{name}: a handler panicked in the last minute.");
            found.push(warning("MohaaActorPanicked", what));
        }
    }
}

/// Whether people are answered, and soon.
fn answers(overview: &NodeOverview, besides: &Besides, found: &mut Vec<Trouble>) {
    match overview.state {
        "drained" => found.push(critical(
            "MohaaNotReady",
            "An operator drains this node: the balancer sends nothing here, and what comes is taken.",
        )),
        "starting" | "stopping" => {
            found.push(critical("MohaaNotReady", format!("This node is {}.", overview.state)));
        }
        _ => {}
    }
    let too_many = |of: fn(&Figures) -> u64, all: fn(&Figures) -> u64| {
        let count = besides.more(of);
        count >= NO_ACCIDENT && count * TOO_MANY > besides.more(all)
    };
    if too_many(|figures| figures.failed_answers, |figures| figures.answers) {
        let what = "More than one answer in a hundred failed by a defect in the last minute.";
        found.push(critical("MohaaAnswersFail", what));
    }
    if too_many(|figures| figures.slow_answers, |figures| figures.timed_answers) {
        let what = "More than one answer in a hundred took over a second in the last minute.";
        found.push(warning("MohaaAnswersSlow", what));
    }
    if too_many(|figures| figures.told_late, |figures| figures.told) {
        found.push(warning("MohaaLiveLag", "Viewers of live matches are told late."));
    }
    if besides.stale_for >= LASTS {
        found.push(warning("MohaaLiveStale", "Live matches lack something and don't get it."));
    }
    if besides.open_files > FILES_RUN_OUT {
        found.push(warning("MohaaFilesRunOut", "Four fifths of the file descriptors are open."));
    }
}

/// An actor kind as people say it.
fn spoken(kind: &str) -> String {
    let mut words = kind.replace('_', " ");
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    words
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use chrono::Utc;
    use serde_json::Value;
    use uuid::Uuid;

    use super::*;
    use crate::ops::health::{CheckResult, Checks};
    use crate::ops::overview::{
        ActorReport, ClickHouseFigures, DeadLetterFigures, EventFigures, KindReport, SpoolFigures,
        WriterState,
    };

    const RULES: &str = include_str!("../../ops/prometheus/alerts.yml");

    /// Name and severity.
    fn alerts() -> BTreeMap<String, String> {
        let mut lines = RULES.lines().map(str::trim);
        let mut found = BTreeMap::new();
        while let Some(line) = lines.next() {
            let Some(name) = line.strip_prefix("- alert: ") else { continue };
            let severity = lines.find_map(|line| line.strip_prefix("labels: { severity: ")).unwrap();
            found.insert(name.to_owned(), severity.trim_end_matches(" }").to_owned());
        }
        found
    }

    fn check(problem: Option<&'static str>) -> CheckResult {
        CheckResult { ok: problem.is_none(), problem }
    }

    fn overview(is_well: bool) -> NodeOverview {
        let bad = |problem| check((!is_well).then_some(problem));
        let wrong = |count: u64| if is_well { 0 } else { count };
        let kind = |name: &'static str| KindReport {
            kind: name,
            instances: 1,
            depth: 0,
            capacity: 10,
            fullest: if is_well { 0.0 } else { 0.9 },
            wait_seconds: None,
            handling_seconds: None,
            rejected: 0,
            rejected_lately: wrong(1),
            restarts: 0,
            restarts_lately: wrong(1),
            blocked_seconds_lately: wrong(58) as f64,
            last_error: None,
            last_progress_at: None,
        };
        let actor = ActorReport {
            kind: "batcher",
            name: "0".to_owned(),
            depth: 0,
            capacity: 10,
            handled: 0,
            rejected: 0,
            restarts: 0,
            failing: !is_well,
            oldest_wait_seconds: 0.0,
            mean_wait_seconds: 0.0,
            mean_handling_seconds: 0.0,
            busy_seconds: wrong(11) as f64,
            working_seconds: wrong(301) as f64,
            last_progress_at: None,
            blocked_seconds: 0.0,
            last_failure: None,
            last_error: None,
            state: Value::Null,
        };
        NodeOverview {
            node: Uuid::nil(),
            at: Utc::now(),
            ready: is_well,
            state: if is_well { "serving" } else { "stopping" },
            trouble: Vec::new(),
            actors: vec![actor],
            kinds: vec![kind("batcher")],
            writers: vec![
                WriterState { writer: 0, paused: !is_well },
                WriterState { writer: 1, paused: false },
            ],
            events: EventFigures {
                received: 0,
                stored: 0,
                rejected: 0,
                in_flight: 5,
                held: 0,
                missing: 0,
                unaccounted: wrong(1),
                accepted_per_second: 0.0,
                stored_per_second: 0.0,
            },
            spool: SpoolFigures {
                bytes: wrong(80),
                budget_bytes: 100,
                segments: 1,
                oldest_record_seconds: None,
                queued_appends: 0,
                failures: 0,
            },
            stores: Checks {
                spool: check(None),
                clickhouse: bad("timeout"),
                postgres: bad("timeout"),
                redis: bad("timeout"),
                mqtt: Some(bad("not connected")),
            },
            clickhouse: ClickHouseFigures {
                lag_seconds: wrong(6) as f64,
                parts: None,
                errors: Vec::new(),
                insert_retries: Vec::new(),
                drift_days: wrong(1),
                unverified_days: 0,
            },
            dead_letters: DeadLetterFigures { count: wrong(1) as usize, letters: Vec::new() },
            nodes: Vec::new(),
            slow_questions: Vec::new(),
            history: Vec::new(),
        }
    }

    fn besides(is_well: bool) -> Besides {
        let lasts = if is_well { Duration::ZERO } else { Duration::from_secs(45) };
        let quiet = Figures { answers: 1_000, timed_answers: 1_000, told: 1_000, ..Figures::default() };
        let now = Figures {
            load_shed: 1,
            limited: 1,
            spool_damage: 1,
            answers: 1_100,
            failed_answers: 3,
            timed_answers: 1_100,
            slow_answers: 3,
            told: 1_100,
            told_late: 3,
            postgres_primaries: 2,
            webhooks_pending: 101,
            rating_lag_seconds: 901.0,
            ..quiet
        };
        Besides {
            stored_nothing_for: lasts,
            missing_for: lasts,
            unverified_for: lasts,
            stale_for: lasts,
            open_files: if is_well { 0.1 } else { 0.9 },
            now: if is_well { quiet } else { now },
            lately: quiet,
        }
    }

    #[test]
    fn every_alert_that_a_node_can_know_of_is_told_with_its_severity_the_worst_first() {
        assert_eq!(of(&overview(true), &besides(true)), Vec::new());
        let mut told = of(&overview(false), &besides(false));
        let first_warning = told.iter().position(|trouble| !trouble.is_critical).unwrap();
        assert!(told[first_warning..].iter().all(|trouble| !trouble.is_critical));
        // A spool that takes nothing is not told to be filling as well, work that waits for a store not to be stuck, and writers that
        // are paused or wait not to be busy.
        let mut broken = overview(false);
        broken.stores.spool = check(Some("can't write"));
        (broken.stores.clickhouse, broken.stores.postgres) = (check(None), check(None));
        broken.writers[0].paused = false;
        told.extend(of(&broken, &besides(false)));
        let severity =
            |trouble: &Trouble| (if trouble.is_critical { "critical" } else { "warning" }).to_owned();
        let told: BTreeMap<String, String> =
            told.iter().map(|trouble| (trouble.alert.to_owned(), severity(trouble))).collect();
        let mut expected = alerts();
        for of_others in ["MohaaDown", "MohaaBalancerDown", "MohaaBackendAway"] {
            assert!(expected.remove(of_others).is_some());
        }
        assert_eq!(told, expected);
    }

    #[test]
    fn a_slow_answer_or_two_among_hundreds_are_no_trouble() {
        let mut besides = besides(true);
        for (answers, slow, is_trouble) in [(10, 2, false), (300, 3, false), (299, 3, true)] {
            besides.now = Figures { timed_answers: 1_000 + answers, slow_answers: slow, ..besides.lately };
            let told = of(&overview(true), &besides);
            assert_eq!(
                told.iter().any(|one| one.alert == "MohaaAnswersSlow"),
                is_trouble,
                "{slow} of {answers}"
            );
        }
    }
}
