//! The way of an event from the Batcher's port to the store, with a store that fails in every way a store can.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix::System;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use mohaa_actors::accounting::RejectReason;
use mohaa_actors::batcher::{BatcherOptions, IngestOutcome, IngestRequest, Outlets};
use mohaa_actors::clock::{Clock, SimulatedTime, TimeSource};
use mohaa_actors::dead_letters::{DeadLetter, DeadLetterContent, DeadLetters};
use mohaa_actors::held::HeldRequest;
use mohaa_actors::idempotency::{BodyHash, IngestAnswer};
use mohaa_actors::live::{
    Achievements, History, LivePorts, OneNode, Snapshots, Standing, Summaries, Summary, Unlocked,
};
use mohaa_actors::pipeline::{Pipeline, PipelineOptions};
use mohaa_actors::port::Weight;
use mohaa_actors::store::{EventStore, InsertAttempt, RowName, StoreError};
use mohaa_domain::achievements::Catalogue;
use mohaa_domain::event::{Event, Millis, Stamp, Text};
use mohaa_domain::row;
use mohaa_domain::tracker::{EventWindow, Trackers};
use mohaa_domain::vocabulary::EventType;
use mohaa_spool::testing::FakeStorage;
use mohaa_spool::{Fsync, Spool, SpoolOptions};
use prometheus::Registry;
use proptest::prelude::*;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use uuid::Uuid;

const SERVER: Uuid = Uuid::from_u128(1);

/// What the store does with one insert.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// Refuses cleanly: nothing is stored.
    Refuse,
    /// Gives no answer and stores nothing.
    LoseRequest,
    /// Stores the rows and gives no answer.
    LoseAnswer,
    /// Remembers the token, loses the rows, and gives no answer: what a killed engine can do.
    LoseRows,
    /// Stores the rows; then the code that talks to the store panics.
    Panic,
}

#[derive(Default)]
struct StoreState {
    tokens: HashSet<String>,
    rows: HashMap<Uuid, Vec<(RowName, String)>>,
    faults: VecDeque<Fault>,
    down: bool,
    /// Refuses rows of players of this name.
    refused_name: Option<&'static str>,
}

/// Keeps nothing for the next process.
struct NoSnapshots;

impl Snapshots for NoSnapshots {
    fn load(&self, _: Uuid, _: Uuid) -> BoxFuture<'_, Option<Vec<u8>>> {
        async { None }.boxed()
    }

    fn save(&self, _: Uuid, _: Uuid, _: u64, _: Vec<u8>) -> BoxFuture<'_, bool> {
        async { false }.boxed()
    }
}

/// Nothing can be read.
struct NoHistory;

impl History for NoHistory {
    fn read<'a>(
        &'a self,
        _: Uuid,
        _: Uuid,
        _: &'a mut (dyn FnMut(Vec<(Event, Stamp)>) + Send),
    ) -> BoxFuture<'a, bool> {
        async { false }.boxed()
    }
}

/// Nobody goes on from what has ended.
struct NoSummaries;

impl Summaries for NoSummaries {
    fn keep(&self, _: Summary) -> BoxFuture<'_, bool> {
        async { true }.boxed()
    }
}

/// Nothing is earned.
struct NoAchievements;

impl Achievements for NoAchievements {
    fn catalogue(&self) -> Arc<Catalogue> {
        Arc::default()
    }

    fn standings(&self, _: Uuid, _: Vec<Text>) -> BoxFuture<'_, HashMap<Text, Standing>> {
        async { HashMap::new() }.boxed()
    }

    fn of_match(&self, _: Uuid) -> BoxFuture<'_, Option<Vec<Unlocked>>> {
        async { None }.boxed()
    }

    fn unlock(&self, _: Uuid, _: Vec<Unlocked>) -> BoxFuture<'_, Option<Vec<Unlocked>>> {
        async { None }.boxed()
    }
}

/// A store with ClickHouse's deduplication by token.
#[derive(Clone, Default)]
struct ModelStore {
    state: Arc<Mutex<StoreState>>,
}

impl ModelStore {
    fn with_faults(faults: Vec<Fault>) -> Self {
        let store = Self::default();
        store.state.lock().unwrap().faults = faults.into();
        store
    }

    fn refuse(&self, name: Option<&'static str>) {
        self.state.lock().unwrap().refused_name = name;
    }

    fn set_down(&self, down: bool) {
        self.state.lock().unwrap().down = down;
    }

    /// The names of the players of all stored rows, sorted.
    fn stored_names(&self) -> Vec<String> {
        let state = self.state.lock().unwrap();
        let mut names: Vec<String> =
            state.rows.values().flatten().map(|(_, player_name)| player_name.clone()).collect();
        names.sort();
        names
    }
}

fn lost() -> StoreError {
    StoreError::Transient { code: 0, message: "connection reset".into(), ambiguous: true }
}

impl EventStore for ModelStore {
    fn insert(&self, attempt: InsertAttempt) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            let mut state = self.state.lock().unwrap();
            if state.down {
                return Err(StoreError::Transient { code: 210, message: "refused".into(), ambiguous: false });
            }
            let body: Vec<u8> = attempt.body.flatten().collect();
            let mut body = body.as_slice();
            let mut rows = Vec::new();
            while !body.is_empty() {
                let (high, rest) = body.split_first_chunk::<8>().unwrap();
                let (low, rest) = rest.split_first_chunk::<8>().unwrap();
                let batch_id = Uuid::from_u64_pair(u64::from_le_bytes(*high), u64::from_le_bytes(*low));
                body = rest;
                let (event, stamp) = row::take(&mut body, attempt.column_count).unwrap();
                assert_eq!(stamp.event_at.day(), attempt.day, "an insert holds one partition only");
                rows.push((batch_id, (stamp.spool_seq, stamp.spool_index), event.player.name.to_string()));
            }
            assert_eq!(rows.len(), attempt.rows);
            if rows.iter().any(|(_, _, name)| Some(name.as_str()) == state.refused_name) {
                return Err(StoreError::BadRows { code: 117, message: "incorrect data".into() });
            }
            let fault = state.faults.pop_front();
            match fault {
                Some(Fault::Refuse) => {
                    return Err(StoreError::Transient {
                        code: 241,
                        message: "memory".into(),
                        ambiguous: false,
                    });
                }
                Some(Fault::LoseRequest) => return Err(lost()),
                Some(Fault::LoseRows) => {
                    state.tokens.insert(attempt.token);
                    return Err(lost());
                }
                Some(Fault::LoseAnswer | Fault::Panic) | None => {}
            }
            if state.tokens.insert(attempt.token) {
                for (batch_id, name, player_name) in rows {
                    state.rows.entry(batch_id).or_default().push((name, player_name));
                }
            }
            drop(state);
            match fault {
                Some(Fault::Panic) => panic!("a defect"),
                Some(_) => Err(lost()),
                None => Ok(()),
            }
        }
        .boxed()
    }

    fn settle<'a>(&'a self, _query_id_prefix: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        async { Ok(()) }.boxed()
    }

    fn stored_rows(&self, batch_id: Uuid, _day: i32) -> BoxFuture<'_, Result<HashSet<RowName>, StoreError>> {
        let state = self.state.lock().unwrap();
        let names = state.rows.get(&batch_id).into_iter().flatten().map(|(name, _)| *name).collect();
        async move { Ok(names) }.boxed()
    }
}

struct Running {
    pipeline: Pipeline,
    registry: Registry,
    clock: Clock,
    tracker_states: UnboundedReceiver<(Uuid, Vec<u8>)>,
}

fn start(directory: &Path, store: &ModelStore, change: impl FnOnce(&mut PipelineOptions)) -> Running {
    start_at(directory, store, Clock::system(), change)
}

fn start_at(
    directory: &Path,
    store: &ModelStore,
    clock: Clock,
    change: impl FnOnce(&mut PipelineOptions),
) -> Running {
    let mut options = PipelineOptions {
        spool: SpoolOptions { fsync: Fsync::Never, ..SpoolOptions::new(directory) },
        batcher: BatcherOptions {
            batch_rows: 10,
            batch_max_rows: 50,
            batch_max_bytes: 1 << 20,
            flush_interval: Duration::from_millis(20),
            event_window: EventWindow::default(),
            writer_count: 2,
        },
        queue_events: 1000,
    };
    change(&mut options);
    let registry = Registry::new();
    let (changed, tracker_states) = tokio::sync::mpsc::unbounded_channel();
    let (claims, _heard) = tokio::sync::mpsc::channel(1);
    let (unknown_maps, _wanted) = tokio::sync::mpsc::channel(1);
    let pipeline = Pipeline::start(
        options,
        Arc::new(store.clone()),
        &registry,
        clock.clone(),
        Outlets { tracker_states: changed, claims, unknown_maps },
        LivePorts {
            snapshots: Arc::new(NoSnapshots),
            history: Arc::new(NoHistory),
            achievements: Arc::new(NoAchievements),
            summaries: Arc::new(NoSummaries),
            nodes: Arc::new(OneNode),
        },
    )
    .unwrap();
    Running { pipeline, registry, clock, tracker_states }
}

fn event_named(name: &str) -> Event {
    let mut event =
        Event { event_type: EventType::Jump, source_type: Text::from("jump"), ..Event::default() };
    event.player.name = Text::from(name);
    event.player.guid = Text::from("engine-guid");
    event
}

impl Running {
    fn offer(&self, names: &[String], key: Option<(&str, u8)>) -> oneshot::Receiver<IngestOutcome> {
        let (reply, outcome) = oneshot::channel();
        let events: Vec<Event> = names.iter().map(|name| event_named(name)).collect();
        let count = events.len() as u64;
        let request = IngestRequest {
            server_id: SERVER,
            received_at: self.clock.now(),
            events: self.pipeline.ledger.receive(Arc::new(events), count),
            idempotency: key.map(|(key, body)| (Text::from(key), BodyHash([body; 16]))),
            answer: IngestAnswer { processed: count as u32, ..IngestAnswer::default() },
            tracker_state: None,
            bot_names: None,
            matches: None,
            reply,
        };
        if let Err((request, _full)) =
            self.pipeline.batcher.offer(request, Weight { events: count, bytes: 100 })
        {
            request.events.reject(RejectReason::MailboxFull);
            request.reply.send(IngestOutcome::Rejected(RejectReason::MailboxFull)).unwrap();
        }
        outcome
    }

    async fn ingest(&self, names: &[String]) -> IngestOutcome {
        self.offer(names, None).await.unwrap()
    }

    async fn end(&self) {
        assert!(self.pipeline.shut_down(Duration::from_secs(30)).await, "everything is stored in time");
    }

    fn assert_books_balance(&self) {
        let balance = self.pipeline.ledger.balance();
        assert_eq!(balance.missing(), 0, "{balance:?}");
        assert_eq!(balance.unaccounted, 0, "{balance:?}");
    }

    fn metric(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name).expect("metric is registered");
        family
            .get_metric()
            .iter()
            .map(|metric| metric.get_counter().get_value() + metric.get_gauge().get_value())
            .sum()
    }
}

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}-{number:04}")).collect()
}

fn accepted(count: u32) -> IngestOutcome {
    IngestOutcome::Accepted(IngestAnswer { processed: count, ..IngestAnswer::default() })
}

fn on_system<T>(test: impl Future<Output = T>) -> T {
    System::new().block_on(test)
}

fn any_fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        Just(Fault::Refuse),
        Just(Fault::LoseRequest),
        Just(Fault::LoseAnswer),
        Just(Fault::LoseRows),
        Just(Fault::Panic)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn every_accepted_event_is_stored_once_however_the_store_fails(
        faults in prop::collection::vec(any_fault(), 0..8),
        requests in prop::collection::vec(1..30_usize, 1..12),
    ) {
        on_system(async {
            let directory = tempfile::tempdir().unwrap();
            let store = ModelStore::with_faults(faults);
            let running = start(directory.path(), &store, |_| {});
            let mut expected = Vec::new();
            for (number, count) in requests.iter().enumerate() {
                let batch = names(&format!("r{number:02}"), *count);
                assert_eq!(running.ingest(&batch).await, accepted(*count as u32));
                expected.extend(batch);
            }
            running.end().await;
            expected.sort();
            assert_eq!(store.stored_names(), expected);
            running.assert_books_balance();
        });
    }
}

#[test]
fn a_row_that_the_store_refuses_ends_in_the_dead_letters_and_only_that_row() {
    on_system(async {
        let directory = tempfile::tempdir().unwrap();
        let store = ModelStore::default();
        store.refuse(Some("poison"));
        let running = start(directory.path(), &store, |_| {});
        let mut batch = names("good", 37);
        batch.insert(20, "poison".into());
        running.ingest(&batch).await;
        running.end().await;
        batch.retain(|name| name != "poison");
        assert_eq!(store.stored_names(), batch);
        let letters = DeadLetters::open(directory.path()).unwrap();
        let ids = letters.ids().unwrap();
        assert_eq!(ids.len(), 1);
        let letter = letters.read(&ids[0]).unwrap();
        assert_eq!((letter.reason.as_str(), letter.server_id), ("incorrect data", SERVER));
        assert!(matches!(letter.content, DeadLetterContent::Row { code: 117, .. }));
        let balance = running.pipeline.ledger.balance();
        assert_eq!((balance.stored, balance.dead_lettered), (37, 1));
        running.assert_books_balance();
    });
}

#[test]
fn what_a_writer_meets_is_kept_with_it_and_with_its_kind() {
    on_system(async {
        let directory = tempfile::tempdir().unwrap();
        let store = ModelStore::with_faults(vec![Fault::Refuse]);
        let running = start(directory.path(), &store, |options| options.batcher.writer_count = 1);
        let actors = running.pipeline.actors.clone();
        assert!(actors.last_error("clickhouse_writer").is_none());
        running.ingest(&names("some", 3)).await;
        running.pipeline.drain(Duration::from_secs(30)).await;
        let writer =
            actors.instances().into_iter().find(|actor| actor.kind == "clickhouse_writer").unwrap().report();
        let error = writer.last_error.unwrap();
        assert_eq!(
            (error.name.as_str(), error.what.as_str()),
            ("0", "an insert failed with code 241: memory")
        );
        assert_eq!(actors.last_error("clickhouse_writer").unwrap().what, error.what);
        assert!(actors.last_error("batcher").is_none());
        assert!(writer.blocked >= Duration::from_millis(25), "{:?} of the first pause", writer.blocked);
        assert!(running.metric("mohaa_actor_blocked_seconds_total") >= writer.blocked.as_secs_f64());
        running.end().await;
    });
}

#[test]
fn a_panic_of_a_writer_over_a_batch_is_its_last_error() {
    on_system(async {
        let directory = tempfile::tempdir().unwrap();
        let store = ModelStore::with_faults(vec![Fault::Panic]);
        let running = start(directory.path(), &store, |_| {});
        running.ingest(&names("some", 3)).await;
        running.end().await;
        let error = running.pipeline.actors.last_error("clickhouse_writer").unwrap();
        assert_eq!(error.what, "panicked: a defect");
        assert_eq!(running.metric("mohaa_actor_restarts_total"), 1.0);
    });
}

/// A batch is halved around a row that the store refuses, and the process ends before all halves are stored. The next one
/// sends the whole again, and by then the store takes every row.
#[test]
fn halves_that_were_stored_before_a_restart_are_not_stored_again_with_the_whole() {
    let directory = tempfile::tempdir().unwrap();
    let store = ModelStore::default();
    store.refuse(Some("poison"));
    let mut batch = names("good", 8);
    batch.push("poison".into());
    on_system(async {
        let running = start(directory.path(), &store, |_| {});
        // The letter can't be kept, so the batch does not end.
        let letters = directory.path().join("dead-letters");
        std::fs::remove_dir_all(&letters).unwrap();
        std::fs::write(&letters, "in the way").unwrap();
        assert_eq!(running.ingest(&batch).await, accepted(9));
        while store.stored_names().len() < 8 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(!running.pipeline.shut_down(Duration::from_millis(50)).await);
        std::fs::remove_file(&letters).unwrap();
    });
    store.refuse(None);
    on_system(async {
        let running = start(directory.path(), &store, |_| {});
        running.end().await;
        assert_eq!(store.stored_names(), batch);
        running.assert_books_balance();
    });
}

#[test]
fn what_an_earlier_process_accepted_is_stored_once_by_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let store = ModelStore::default();
    store.set_down(true);
    let earlier = names("earlier", 120);
    on_system(async {
        let running = start(directory.path(), &store, |_| {});
        for part in earlier.chunks(7) {
            running.ingest(part).await;
        }
        assert!(
            !running.pipeline.shut_down(Duration::from_millis(200)).await,
            "a store that is down takes nothing"
        );
        assert_eq!(store.stored_names(), Vec::<String>::new());
    });
    store.set_down(false);
    on_system(async {
        let running = start(directory.path(), &store, |_| {});
        let later = names("later", 5);
        running.ingest(&later).await;
        running.end().await;
        let mut expected = [earlier, later].concat();
        expected.sort();
        assert_eq!(store.stored_names(), expected);
        let balance = running.pipeline.ledger.balance();
        assert_eq!((balance.recovered, balance.received, balance.stored), (120, 5, 125));
        running.assert_books_balance();
    });
}

#[test]
fn a_repeated_key_stores_nothing_and_gets_the_first_answer_also_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let store = ModelStore::default();
    let batch = names("keyed", 3);
    let first_answer = IngestAnswer { processed: 3, ..IngestAnswer::default() };
    on_system(async {
        let running = start(directory.path(), &store, |_| {});
        let first = running.offer(&batch, Some(("key-1", 1)));
        let simultaneous = running.offer(&batch, Some(("key-1", 1)));
        assert_eq!(first.await.unwrap(), IngestOutcome::Accepted(first_answer.clone()));
        assert_eq!(simultaneous.await.unwrap(), IngestOutcome::Replayed(first_answer.clone()));
        let other_body = running.offer(&batch, Some(("key-1", 2)));
        assert_eq!(other_body.await.unwrap(), IngestOutcome::Rejected(RejectReason::IdempotencyMismatch));
        running.end().await;
        running.assert_books_balance();
    });
    on_system(async {
        let running = start(directory.path(), &store, |_| {});
        let repeated = running.offer(&batch, Some(("key-1", 1)));
        assert_eq!(repeated.await.unwrap(), IngestOutcome::Replayed(first_answer));
        running.end().await;
        assert_eq!(store.stored_names(), batch);
        running.assert_books_balance();
    });
}

#[test]
fn a_stalled_spool_fills_the_mailbox_and_nothing_is_lost_when_it_moves_again() {
    on_system(async {
        let directory = tempfile::tempdir().unwrap();
        let store = ModelStore::default();
        let storage = FakeStorage::new();
        let running = start(directory.path(), &store, |options| {
            options.queue_events = 100;
            options.spool.storage = Arc::new(storage.clone());
        });
        storage.stall();
        let waiting: Vec<_> = (0..10).map(|n| running.offer(&names(&format!("w{n}"), 10), None)).collect();
        assert_eq!(running.pipeline.batcher.depth(), 100);
        let refused = running.offer(&names("refused", 1), None).await.unwrap();
        assert_eq!(refused, IngestOutcome::Rejected(RejectReason::MailboxFull));
        storage.release();
        for outcome in waiting {
            assert_eq!(outcome.await.unwrap(), accepted(10));
        }
        assert_eq!(running.ingest(&names("after", 1)).await, accepted(1));
        running.end().await;
        assert_eq!(store.stored_names().len(), 101);
        assert_eq!(running.metric("mohaa_events_load_shed_total") as u64, 1);
        running.assert_books_balance();
    });
}

#[test]
fn a_store_that_is_down_fills_the_spool_to_its_budget_and_then_events_are_refused() {
    on_system(async {
        let directory = tempfile::tempdir().unwrap();
        let store = ModelStore::default();
        store.set_down(true);
        let running = start(directory.path(), &store, |options| options.spool.max_bytes = 256 << 10);
        let mut taken = 0;
        let refused = loop {
            match running.ingest(&names("event", 20)).await {
                IngestOutcome::Accepted(_) => taken += 20,
                refused => break refused,
            }
            assert!(taken < 10_000, "the budget holds");
        };
        assert_eq!(refused, IngestOutcome::Rejected(RejectReason::SpoolFull));
        store.set_down(false);
        let mut recovered = false;
        for _ in 0..500 {
            if matches!(running.ingest(&names("again", 1)).await, IngestOutcome::Accepted(_)) {
                recovered = true;
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(recovered, "events are taken again once the store has caught up");
        running.end().await;
        assert_eq!(store.stored_names().len(), taken + 1);
        running.assert_books_balance();
    });
}

#[test]
fn a_dead_letter_is_stored_once_when_an_operator_asks_for_it_and_put_back_when_it_is_refused_again() {
    on_system(async {
        let directory = tempfile::tempdir().unwrap();
        let store = ModelStore::default();
        store.refuse(Some("poison"));
        let time = SimulatedTime::starting_at(Clock::system().now());
        let running = start_at(directory.path(), &store, time.clock(), |_| {});
        let replaying = actix::spawn(running.pipeline.replay_dead_letters());
        let outcome = running.ingest(&["good".into(), "poison".into()]).await;
        assert_eq!(outcome, accepted(2));
        let letters = DeadLetters::open(directory.path()).unwrap();
        until(&time, || letters.count() == 1 && store.stored_names() == ["good"]).await;
        let id = letters.ids().unwrap().remove(0);

        letters.ask_for(&id).unwrap();
        until(&time, || letters.ids().unwrap().len() == 1).await;
        assert_eq!(store.stored_names(), ["good"], "it is refused again and put back");

        store.refuse(None);
        letters.ask_for(&id).unwrap();
        until(&time, || letters.count() == 0).await;
        assert_eq!(store.stored_names(), ["good", "poison"]);
        assert!(letters.read("../identity").is_err());
        replaying.abort();
        running.assert_books_balance();
    });
}

#[test]
fn whoever_follows_a_server_behind_this_process_is_left_its_match_however_late_it_began() {
    on_system(async {
        let directory = tempfile::tempdir().unwrap();
        // No time passes: no state is due because of its age.
        let time = SimulatedTime::starting_at(Clock::system().now());
        let mut running = start_at(directory.path(), &ModelStore::default(), time.clock(), |_| {});
        assert_eq!(running.ingest(&names("late", 1)).await, accepted(1));
        running.end().await;
        let mut left = Trackers::default();
        while let Some((server_id, state)) = running.tracker_states.recv().await {
            left.restore_server(server_id, &state).unwrap();
        }
        let tracker = left.get(SERVER).expect("its state was left");
        assert_eq!(tracker.matches(running.clock.now()).count(), 1);
    });
}

/// Lets simulated time pass until it is so.
async fn until(time: &SimulatedTime, is_so: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if is_so() {
            return;
        }
        time.advance(Duration::from_millis(100));
        // Actors and spool have threads of their own.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("it never became so");
}

#[test]
fn a_store_that_is_down_for_hours_costs_no_time_to_test_and_no_event() {
    on_system(async {
        let directory = tempfile::tempdir().unwrap();
        let store = ModelStore::default();
        store.set_down(true);
        let time = SimulatedTime::starting_at(Clock::system().now());
        let running = start_at(directory.path(), &store, time.clock(), |_| {});
        let batch = names("patient", 120);
        for part in batch.chunks(10) {
            assert_eq!(running.ingest(part).await, accepted(10));
        }
        until(&time, || running.metric("mohaa_batch_insert_retries_total") > 0.0).await;
        time.advance(Duration::from_secs(3 * 60 * 60));
        store.set_down(false);
        until(&time, || store.stored_names() == batch).await;
        assert!(
            running.metric("mohaa_actor_blocked_seconds_total") > 3600.0,
            "both writers were busy for hours"
        );
        running.assert_books_balance();
    });
}

#[test]
fn what_a_disk_loses_while_the_store_is_away_is_counted_and_the_rest_is_stored() {
    on_system(async {
        let directory = tempfile::tempdir().unwrap();
        let store = ModelStore::default();
        store.set_down(true);
        let disk = FakeStorage::new();
        let time = SimulatedTime::starting_at(Clock::system().now());
        let running = start_at(directory.path(), &store, time.clock(), |options| {
            options.spool.storage = Arc::new(disk.clone());
        });
        // More batches than are kept in memory: the later ones are read back.
        let batch = names("event", 600);
        for part in batch.chunks(10) {
            assert_eq!(running.ingest(part).await, accepted(10));
        }
        let segment =
            disk.files().into_iter().find(|path| path.to_string_lossy().contains("segment-")).unwrap();
        disk.corrupt(&segment, |bytes| {
            let at = bytes.windows(10).position(|window| window == b"event-0395").unwrap();
            bytes[at] ^= 1;
        });
        store.set_down(false);
        until(&time, || running.pipeline.ledger.balance().in_flight == 0).await;
        let kept: Vec<String> =
            batch.iter().filter(|name| !(390..400).contains(&number(name))).cloned().collect();
        assert_eq!(
            store.stored_names(),
            kept,
            "the record with the flipped bit is lost, with its ten events"
        );
        let balance = running.pipeline.ledger.balance();
        assert_eq!((balance.stored, balance.rejected), (590, 10));
        assert_eq!(running.metric("mohaa_spool_damage_total"), 1.0);
        running.assert_books_balance();
    });
}

fn number(name: &str) -> usize {
    name.rsplit('-').next().unwrap().parse().unwrap()
}

#[test]
fn a_record_that_cannot_be_understood_is_kept_apart_and_nothing_behind_it_waits() {
    let directory = tempfile::tempdir().unwrap();
    let store = ModelStore::default();
    {
        let (spool, _) = Spool::open(SpoolOptions::new(directory.path())).unwrap();
        spool.rotate(Vec::new()).unwrap();
        spool.append(b"a record of another age".to_vec(), 3, |result| result.unwrap());
        spool.close(Duration::from_secs(20)).unwrap();
    }
    on_system(async {
        let running = start(directory.path(), &store, |_| {});
        assert_eq!(running.ingest(&names("later", 2)).await, accepted(2));
        running.end().await;
        assert_eq!(store.stored_names(), names("later", 2));
        let letters = DeadLetters::open(directory.path()).unwrap();
        let letter = letters.read(&letters.ids().unwrap()[0]).unwrap();
        assert!(matches!(letter.content, DeadLetterContent::Record { spool_seq: 1, events: 3, .. }));
        let balance = running.pipeline.ledger.balance();
        assert_eq!((balance.recovered, balance.dead_lettered, balance.stored), (3, 3, 2));
        running.assert_books_balance();
    });
}

#[test]
fn a_clock_that_jumps_loses_nothing_and_forgets_no_key() {
    on_system(async {
        let directory = tempfile::tempdir().unwrap();
        let store = ModelStore::default();
        let time = SimulatedTime::starting_at(Clock::system().now());
        let running = start_at(directory.path(), &store, time.clock(), |_| {});
        let mut expected = Vec::new();
        for (step, jump) in [0, -86_400_000_000, 172_800_000_000, -3_600_000].into_iter().enumerate() {
            time.jump(jump);
            let batch = names(&format!("step{step}"), 15);
            let key = format!("key-{step}");
            assert_eq!(running.offer(&batch, Some((&key, 1))).await.unwrap(), accepted(15));
            expected.extend(batch);
            until(&time, || store.stored_names() == expected).await;
        }
        let repeated = running.offer(&names("step3", 15), Some(("key-3", 1))).await.unwrap();
        assert!(matches!(repeated, IngestOutcome::Replayed(_)));
        running.assert_books_balance();
    });
}

/// A defect that strikes once, on a thread of the pipeline's, when it asks for the time.
#[derive(Clone)]
struct Treacherous {
    time: SimulatedTime,
    armed: Arc<AtomicBool>,
    spared: std::thread::ThreadId,
}

impl TimeSource for Treacherous {
    fn now(&self) -> Millis {
        if std::thread::current().id() != self.spared && self.armed.swap(false, Ordering::SeqCst) {
            panic!("a defect");
        }
        self.time.clock().now()
    }

    fn instant(&self) -> Instant {
        self.time.clock().instant()
    }

    fn sleep(&self, pause: Duration) -> BoxFuture<'static, ()> {
        self.time.clock().sleep(pause)
    }
}

#[test]
fn a_request_whose_handler_panics_goes_to_the_dead_letters_alone_and_can_be_replayed() {
    on_system(async {
        let directory = tempfile::tempdir().unwrap();
        let store = ModelStore::default();
        let time = SimulatedTime::starting_at(Clock::system().now());
        let armed = Arc::new(AtomicBool::new(false));
        let spared = std::thread::current().id();
        let clock = Clock::of(Treacherous { time: time.clone(), armed: armed.clone(), spared });
        let running = start_at(directory.path(), &store, clock, |options| {
            // Each request begins a segment, and asks for the time before it is stamped.
            options.spool.segment_bytes = 1;
        });
        let replaying = actix::spawn(running.pipeline.replay_dead_letters());
        assert_eq!(running.ingest(&names("before", 3)).await, accepted(3));
        let feed = loop {
            match running.pipeline.live.all().pop() {
                Some(feed) => break feed,
                None => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        };
        // Without a viewer the match would be given nothing while time stands still.
        let _viewer = feed.newest();
        assert_eq!(running.ingest(&names("watched", 1)).await, accepted(1));
        // Whoever else asks for the time has done so.
        while running
            .pipeline
            .actors
            .instances()
            .iter()
            .any(|actor| actor.kind == "match" && actor.report().handled == 0)
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        armed.store(true, Ordering::SeqCst);
        let lost = running.offer(&names("lost", 4), Some(("its-key", 7)));
        let waiting = running.offer(&names("after", 2), None);
        assert_eq!(lost.await.unwrap(), IngestOutcome::Rejected(RejectReason::Internal));
        assert_eq!(waiting.await.unwrap(), accepted(2), "what waited in the mailbox goes on");

        let letters = DeadLetters::open(directory.path()).unwrap();
        let id = letters.ids().unwrap().remove(0);
        let letter = letters.read(&id).unwrap();
        assert_eq!((letter.events(), letter.reason.as_str(), letter.server_id), (4, "a defect", SERVER));
        let balance = running.pipeline.ledger.balance();
        assert_eq!((balance.dead_lettered, balance.unaccounted, balance.missing()), (4, 0, 0));
        let batcher =
            running.pipeline.actors.instances().into_iter().find(|actor| actor.kind == "batcher").unwrap();
        assert_eq!(batcher.report().restarts, 1);
        assert_eq!(batcher.report().last_failure.unwrap().state["server_in_work"], SERVER.to_string());

        letters.ask_for(&id).unwrap();
        let everything =
            [names("after", 2), names("before", 3), names("lost", 4), names("watched", 1)].concat();
        until(&time, || letters.count() == 0 && store.stored_names() == everything).await;
        // Its sender, who was told that it failed, tries again.
        let repeated = running.offer(&names("lost", 4), Some(("its-key", 7))).await.unwrap();
        assert!(matches!(repeated, IngestOutcome::Replayed(_)), "{repeated:?}");
        replaying.abort();
        running.assert_books_balance();
    });
}

/// The clock of this machine, days later.
struct Late;

impl TimeSource for Late {
    fn now(&self) -> Millis {
        Millis(Clock::system().now().0 + 3 * 24 * 60 * 60 * 1000)
    }

    fn instant(&self) -> Instant {
        Clock::system().instant()
    }

    fn sleep(&self, pause: Duration) -> BoxFuture<'static, ()> {
        Clock::system().sleep(pause).boxed()
    }
}

/// A backup copies what was put aside before it copies the spool's log, so that what is sent on meanwhile is in one of them at least. It
/// is in both then, and no key is remembered for as long as a backup lies about.
#[test]
fn what_was_put_aside_and_is_in_the_log_too_is_stored_once_however_late_the_next_start_is() {
    let directory = tempfile::tempdir().unwrap();
    let store = ModelStore::default();
    store.set_down(true);
    let [held, dead, waiting] = ["held", "dead", "waiting"].map(|name| names(name, 3));
    let events = |names: &[String]| -> Vec<Event> { names.iter().map(|name| event_named(name)).collect() };
    let mut copies = Vec::new();
    on_system(async {
        let running = start(directory.path(), &store, |_| {});
        let hold = |server_id: Uuid, names: &[String]| {
            let request = HeldRequest {
                server_id,
                received_at: running.clock.now(),
                events: running.pipeline.ledger.receive(Arc::new(events(names)), 3),
                idempotency: None,
                answer: IngestAnswer { processed: 3, ..IngestAnswer::default() },
            };
            assert_eq!(running.pipeline.held.hold(request), accepted(3));
        };
        hold(SERVER, &held);
        hold(Uuid::from_u128(2), &waiting);
        let letters = DeadLetters::open(directory.path()).unwrap();
        let letter = DeadLetter::request(SERVER, running.clock.now(), None, &events(&dead), "a defect");
        letters.keep(&letter).unwrap();
        let held_file = directory.path().join(format!("held/{SERVER}/{:012}.request", 0));
        let letter_file = directory.path().join(format!("dead-letters/{}.json", letter.id));
        for path in [held_file, letter_file] {
            let bytes = std::fs::read(&path).unwrap();
            copies.push((path, bytes));
        }

        assert!(running.pipeline.held.release(SERVER, &running.pipeline.batcher).await.unwrap());
        letters.ask_for(&letter.id).unwrap();
        let replaying = actix::spawn(running.pipeline.replay_dead_letters());
        while letters.count() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        replaying.abort();
        assert!(!running.pipeline.shut_down(Duration::from_millis(100)).await);
    });
    for (path, bytes) in &copies {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    store.set_down(false);
    on_system(async {
        let running = start_at(directory.path(), &store, Clock::of(Late), |_| {});
        assert_eq!(running.pipeline.held.servers_held(), [Uuid::from_u128(2)], "nobody has sent that on");
        for server_id in [SERVER, Uuid::from_u128(2)] {
            assert!(running.pipeline.held.release(server_id, &running.pipeline.batcher).await.unwrap());
        }
        let letters = DeadLetters::open(directory.path()).unwrap();
        assert_eq!(letters.ids().unwrap(), Vec::<String>::new());
        running.end().await;
        assert_eq!(store.stored_names(), [dead, held, waiting].concat());
        running.assert_books_balance();
    });
    assert!(copies.iter().all(|(path, _)| !path.exists()));
}
