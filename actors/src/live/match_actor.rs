//! MatchActor: the live state of one match.
//!
//! It *follows* while it has everything; then each delivery is folded as it comes. It *catches up* when it begins in the
//! middle of a match, when something did not fit into its mailbox, and after a panic: deliveries wait, what lies before
//! them is read from the spool, and then they are folded like the rest.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actix::fut::wrap_future;
use actix::{ActorContext as _, ActorFutureExt as _, AsyncContext as _, Context};
use mohaa_domain::event::{Event, Millis, Stamp, Text};
use mohaa_domain::live::{Happening, LiveMatch};
use mohaa_spool::{ReadError, SpoolReader};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::achievements::{Achievements, Errand, Standing, Unlocked, Unlocking};
use super::feed::{LiveFeed, LiveFeeds, Renditions, Seen, What};
use super::{SAVE_EVERY, Snapshots};
use crate::clock::Clock;
use crate::kernel::{Kernel, Worker};
use crate::port::{Admitted, Port};
use crate::record::RecordView;

/// Deliveries that wait while the actor catches up; beyond, it catches up once more.
const MOST_WAITING: usize = 2_000;
/// The spool may not have written yet what it was given.
const READ_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// Of a closed match whose achievements can't be kept yet.
const SETTLE_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// The events of one request, stamped. Those of other matches among them are passed over.
#[derive(Clone)]
pub struct Delivery {
    pub events: Arc<Vec<Event>>,
    pub stamps: Arc<Vec<Stamp>>,
}

pub enum MatchSignal {
    /// Every record up to this number was delivered, as far as it concerns this match.
    Tick {
        through_seq: u64,
    },
    /// The delivery of this number did not fit into the mailbox.
    Missed {
        seq: u64,
    },
    Ended {
        at: Millis,
    },
    /// Late events came: it is not over after all.
    Reopened,
    /// Leave a snapshot now; answered, or dropped, when that is done or nothing has to be left.
    Save(oneshot::Sender<()>),
    /// Nobody can be told anything more.
    Stop,
    CaughtUp(Box<CatchUp>),
    /// What is known of players besides this match.
    Standings {
        asked: Vec<Text>,
        standings: HashMap<Text, Standing>,
    },
    /// What was earned was kept, or could not be.
    Kept {
        sent: Vec<Unlocked>,
        new: Option<Vec<Unlocked>>,
    },
    /// What was unlocked in this match before.
    UnlockedBefore(Vec<Unlocked>),
    /// Time to try again what is left to do of a match that is closed.
    Settle,
}

/// What was read of what an actor lacks.
pub struct CatchUp {
    snapshot: Option<Snapshot>,
    records: Vec<Delivery>,
    /// Everything up to here is in it.
    through_seq: u64,
    /// Something is lost that lay before.
    has_gap: bool,
}

/// A snapshot as it is kept.
#[derive(Serialize, Deserialize)]
struct Snapshot {
    version: u32,
    /// Whose numbers the next field means.
    spool_id: Uuid,
    /// Every record up to this one is folded in.
    through_seq: u64,
    has_gap: bool,
    live: LiveMatch,
}

const SNAPSHOT_VERSION: u32 = 2;

/// What a successor begins with.
pub struct MatchEstate {
    pub match_id: Uuid,
    pub server_id: Uuid,
    pub spool_id: Uuid,
    pub spool: SpoolReader,
    pub snapshots: Arc<dyn Snapshots>,
    pub achievements: Arc<dyn Achievements>,
    pub feeds: LiveFeeds,
    pub feed: Arc<LiveFeed>,
    pub clock: Clock,
    /// The newest number that was delivered, or lies before the first that is.
    pub delivered_through: u64,
    /// Whether there may be events of the match before that which this actor does not have.
    pub began_before: bool,
    /// Number through which a snapshot is kept; tells the desk what the spool may forget.
    pub saved_through: Arc<AtomicU64>,
    /// The last snapshot, for a successor.
    pub snapshot: Option<Vec<u8>>,
    pub ended_at: Option<Millis>,
}

enum Mode {
    Following,
    /// `again`: something was missed meanwhile, and what comes is in the spool as well as it could wait here.
    CatchingUp {
        waiting: VecDeque<Delivery>,
        again: bool,
    },
}

pub struct MatchActor {
    estate: MatchEstate,
    live: LiveMatch,
    /// Every record up to this one is folded in.
    through_seq: u64,
    has_gap: bool,
    mode: Mode,
    /// Since viewers were told the state.
    is_changed: bool,
    is_saving: bool,
    saved_at: Instant,
    unlocking: Unlocking,
    /// In this match, the oldest first.
    unlocked: Arc<Vec<Unlocked>>,
    port: Port<MatchActor>,
}

impl MatchActor {
    pub fn new(estate: MatchEstate, port: Port<MatchActor>) -> Self {
        let mut actor = Self {
            live: LiveMatch::new(estate.match_id, estate.server_id),
            through_seq: estate.delivered_through,
            has_gap: false,
            mode: Mode::Following,
            is_changed: true,
            is_saving: false,
            saved_at: estate.clock.instant(),
            unlocking: Unlocking::default(),
            unlocked: Arc::default(),
            port,
            estate,
        };
        if actor.estate.began_before {
            actor.ask_what_was_unlocked();
            actor.begin_to_catch_up(None);
        }
        actor
    }

    fn is_stale(&self) -> bool {
        self.has_gap || matches!(self.mode, Mode::CatchingUp { .. })
    }

    fn seen(&mut self) -> Seen {
        Seen {
            match_id: self.estate.match_id,
            server_id: self.estate.server_id,
            source_match_id: self.live.source_match_id.clone(),
            board: self.live.board().clone(),
            stale: self.is_stale(),
            ended_at: self.estate.ended_at,
            achievements: self.unlocked.clone(),
            renditions: Renditions::default(),
        }
    }

    fn fold(&mut self, delivery: &Delivery, tells: bool) {
        let match_id = self.estate.match_id;
        let of_match = || {
            delivery.events.iter().zip(delivery.stamps.iter()).filter(|(_, stamp)| stamp.match_id == match_id)
        };
        if let Some((_, stamp)) = of_match().next() {
            self.is_changed = true;
            self.through_seq = self.through_seq.max(stamp.spool_seq);
        }
        let happenings = self.live.fold_all(self.estate.spool_id, of_match());
        if tells {
            happenings.into_iter().for_each(|happening| self.tell(happening));
        }
    }

    fn tell(&self, happening: Happening) {
        let what = match happening {
            Happening::Kill(kill) => What::Kill(kill),
            Happening::Chat(line) => What::Chat(line),
            Happening::Objective(line) => What::Objective(line),
            Happening::Round(line) => What::Round(line),
            // The tracker decides when a match has ended; its signal follows.
            Happening::End => return,
        };
        self.estate.feed.publish(what);
    }

    fn tell_state(&mut self) {
        if std::mem::take(&mut self.is_changed) {
            let seen = Arc::new(self.seen());
            self.estate.feed.publish(What::State(seen));
            self.estate.feeds.changed();
        }
    }

    /// Looks at who did something, and has done what that takes.
    fn look_for_achievements(&mut self) {
        if matches!(self.mode, Mode::CatchingUp { .. }) {
            return;
        }
        let (catalogue, now) = (self.estate.achievements.catalogue(), self.estate.clock.instant());
        let has_ended = self.estate.ended_at.is_some();
        for errand in self.unlocking.look(&mut self.live, has_ended, &catalogue, now) {
            let (keeper, match_id, port) =
                (self.estate.achievements.clone(), self.estate.match_id, self.port.clone());
            actix::spawn(async move {
                port.tell(match errand {
                    Errand::Ask(asked) => {
                        let standings = keeper.standings(match_id, asked.clone()).await;
                        MatchSignal::Standings { asked, standings }
                    }
                    Errand::Keep(sent) => {
                        let new = keeper.unlock(match_id, sent.clone()).await;
                        MatchSignal::Kept { sent, new }
                    }
                });
            });
        }
    }

    fn ask_what_was_unlocked(&self) {
        let (keeper, match_id, port) =
            (self.estate.achievements.clone(), self.estate.match_id, self.port.clone());
        actix::spawn(async move {
            if let Some(unlocked) = keeper.of_match(match_id).await {
                port.tell(MatchSignal::UnlockedBefore(unlocked));
            }
        });
    }

    fn tell_unlocked(&mut self, new: Vec<Unlocked>) {
        if new.is_empty() {
            return;
        }
        let known = Arc::make_mut(&mut self.unlocked);
        known.extend(new.iter().cloned());
        self.is_changed = true;
        for unlocked in new {
            let line = self.live.board().players.get(&unlocked.player_id);
            let name = line.map(|line| line.name.clone()).unwrap_or_default();
            self.estate.feed.publish(What::Achievement(unlocked, name));
        }
    }

    /// Ends, once nothing is left to be kept.
    fn settle(&mut self, context: &mut Context<Kernel<Self>>) {
        if !self.unlocking.is_owing() {
            return context.stop();
        }
        self.look_for_achievements();
        let (clock, port) = (self.estate.clock.clone(), self.port.clone());
        actix::spawn(async move {
            clock.sleep(SETTLE_AGAIN_AFTER).await;
            port.tell(MatchSignal::Settle);
        });
    }

    /// Reads what the actor lacks, on a thread that may wait for the disk: behind `known_through`, or behind the last
    /// snapshot, up to what was delivered.
    fn begin_to_catch_up(&mut self, known_through: Option<u64>) {
        self.mode = Mode::CatchingUp { waiting: VecDeque::new(), again: false };
        self.is_changed = true;
        let estate = &self.estate;
        let reading = Reading {
            match_id: estate.match_id,
            server_id: estate.server_id,
            spool_id: estate.spool_id,
            spool: estate.spool.clone(),
            snapshots: estate.snapshots.clone(),
            clock: estate.clock.clone(),
            kept: estate.snapshot.clone(),
            known_through,
            through_seq: estate.delivered_through,
        };
        let port = self.port.clone();
        actix::spawn(async move {
            let caught_up = Box::new(reading.catch_up().await);
            port.tell(MatchSignal::CaughtUp(caught_up));
        });
    }

    fn caught_up(&mut self, catch_up: CatchUp) {
        let CatchUp { snapshot, records, through_seq, has_gap } = catch_up;
        let Mode::CatchingUp { waiting, again } = std::mem::replace(&mut self.mode, Mode::Following) else {
            return;
        };
        if let Some(snapshot) = snapshot {
            self.live = snapshot.live;
            self.has_gap = snapshot.has_gap;
        }
        self.has_gap |= has_gap;
        for delivery in &records {
            self.fold(delivery, false);
        }
        self.through_seq = self.through_seq.max(through_seq);
        self.estate.began_before = false;
        if again {
            self.begin_to_catch_up(Some(self.through_seq));
            return;
        }
        for delivery in &waiting {
            self.fold(delivery, false);
        }
        self.unlocking.look_at_all(&self.live, self.live.last_received_at);
        self.is_changed = false;
        let seen = self.seen();
        self.estate.feed.begin_epoch(seen);
        self.estate.feeds.changed();
    }

    fn snapshot(&self) -> Option<Vec<u8>> {
        let snapshot = Snapshot {
            version: SNAPSHOT_VERSION,
            spool_id: self.estate.spool_id,
            through_seq: self.through_seq,
            has_gap: self.has_gap,
            live: self.live.clone(),
        };
        serde_json::to_vec(&snapshot).ok()
    }

    fn save(&mut self, context: &mut Context<Kernel<Self>>, done: Option<oneshot::Sender<()>>) {
        if matches!(self.mode, Mode::CatchingUp { .. }) || (self.is_saving && done.is_none()) {
            return;
        }
        let Some(state) = self.snapshot() else { return };
        (self.is_saving, self.saved_at) = (true, self.estate.clock.instant());
        let (snapshots, match_id, through_seq) =
            (self.estate.snapshots.clone(), self.estate.match_id, self.through_seq);
        let saving = async move {
            let is_kept = snapshots.save(match_id, state.clone()).await;
            if let Some(done) = done {
                // Whoever asked may have given up waiting.
                let _ = done.send(());
            }
            (is_kept, state)
        };
        context.spawn(wrap_future(saving).map(move |(is_kept, state), kernel: &mut Kernel<Self>, _| {
            kernel.update(|actor| {
                actor.is_saving = false;
                if is_kept {
                    actor.estate.snapshot = Some(state);
                    actor.estate.saved_through.store(through_seq, Ordering::Release);
                }
            });
        }));
    }
}

/// What has to be read for an actor that lacks something.
struct Reading {
    match_id: Uuid,
    server_id: Uuid,
    spool_id: Uuid,
    spool: SpoolReader,
    snapshots: Arc<dyn Snapshots>,
    clock: Clock,
    /// The last snapshot of this process.
    kept: Option<Vec<u8>>,
    /// None: behind the last snapshot.
    known_through: Option<u64>,
    through_seq: u64,
}

impl Reading {
    async fn catch_up(self) -> CatchUp {
        let snapshot = match self.known_through {
            Some(_) => None,
            None => self.snapshot().await,
        };
        // Another node's numbers say nothing about this spool.
        let own = snapshot.as_ref().filter(|snapshot| snapshot.spool_id == self.spool_id);
        let from = self.known_through.or(own.map(|snapshot| snapshot.through_seq)).map(|through| through + 1);
        let records = match from {
            Some(from) => self.records(from).await,
            None => None,
        };
        CatchUp {
            snapshot,
            has_gap: records.is_none(),
            records: records.unwrap_or_default(),
            through_seq: self.through_seq,
        }
    }

    async fn snapshot(&self) -> Option<Snapshot> {
        let state = match self.kept.clone() {
            Some(kept) => kept,
            None => self.snapshots.load(self.match_id).await?,
        };
        let snapshot: Snapshot = serde_json::from_slice(&state)
            .inspect_err(
                |error| tracing::warn!(%error, match_id = %self.match_id, "a snapshot can't be read"),
            )
            .ok()?;
        (snapshot.version == SNAPSHOT_VERSION && snapshot.live.match_id == self.match_id).then_some(snapshot)
    }

    /// The server's records from this number on; none when they are not all there.
    async fn records(&self, from: u64) -> Option<Vec<Delivery>> {
        loop {
            let (spool, server_id, through_seq) = (self.spool.clone(), self.server_id, self.through_seq);
            let reading = move || read_records(&spool, server_id, from, through_seq);
            match tokio::task::spawn_blocking(reading).await {
                Ok(Ok(records)) => return Some(records),
                Ok(Err(ReadError::NotWritten { .. })) => self.clock.sleep(READ_AGAIN_AFTER).await,
                Ok(Err(error)) => {
                    tracing::warn!(%error, match_id = %self.match_id, "a live match can't be rebuilt whole");
                    return None;
                }
                Err(_) => return None,
            }
        }
    }
}

/// The records of a server in the spool, as deliveries.
fn read_records(
    spool: &SpoolReader,
    server_id: Uuid,
    from: u64,
    through_seq: u64,
) -> Result<Vec<Delivery>, ReadError> {
    if from > through_seq {
        return Ok(Vec::new());
    }
    let oldest = spool.oldest_seq();
    if from < oldest {
        return Err(ReadError::NotOnDisk { first: from, last: through_seq, oldest });
    }
    let mut deliveries = Vec::new();
    for record in spool.records(from, through_seq)? {
        let record = record?;
        let Ok(view) = RecordView::parse(&record.payload) else { continue };
        if view.server_id != server_id {
            continue;
        }
        if let Ok(events) = view.events() {
            let (events, stamps) = events.into_iter().unzip();
            deliveries.push(Delivery { events: Arc::new(events), stamps: Arc::new(stamps) });
        }
    }
    Ok(deliveries)
}

impl Worker for MatchActor {
    type Message = Delivery;
    type Signal = MatchSignal;
    type Estate = MatchEstate;

    fn handle(&mut self, slot: &mut Option<Delivery>, _: Admitted, _: &mut Context<Kernel<Self>>) {
        let Some(delivery) = slot.take() else { return };
        if let Some(stamp) = delivery.stamps.last() {
            // Before it is folded: after a panic it has to be read again.
            self.estate.delivered_through = self.estate.delivered_through.max(stamp.spool_seq);
        }
        match &mut self.mode {
            Mode::Following => self.fold(&delivery, true),
            Mode::CatchingUp { again: true, .. } => {}
            Mode::CatchingUp { waiting, again } if waiting.len() >= MOST_WAITING => {
                waiting.clear();
                *again = true;
            }
            Mode::CatchingUp { waiting, .. } => waiting.push_back(delivery),
        }
    }

    fn signal(&mut self, signal: MatchSignal, context: &mut Context<Kernel<Self>>) {
        match signal {
            MatchSignal::Tick { through_seq } => {
                if matches!(self.mode, Mode::Following) {
                    self.through_seq = self.through_seq.max(through_seq);
                }
                self.look_for_achievements();
                self.tell_state();
                let age = self.estate.clock.instant().saturating_duration_since(self.saved_at);
                let is_behind = self.estate.saved_through.load(Ordering::Acquire) < self.through_seq;
                // Without events of its own too: the spool may then forget those of others.
                if age >= SAVE_EVERY && is_behind {
                    self.save(context, None);
                }
            }
            MatchSignal::Missed { seq } => {
                self.estate.delivered_through = self.estate.delivered_through.max(seq);
                match &mut self.mode {
                    Mode::Following => self.begin_to_catch_up(Some(self.through_seq)),
                    Mode::CatchingUp { waiting, again } => {
                        waiting.clear();
                        *again = true;
                    }
                }
            }
            MatchSignal::Ended { at } => {
                self.estate.ended_at = Some(at);
                self.unlocking.match_has_ended(&self.live, at);
                self.is_changed = false;
                let seen = Arc::new(self.seen());
                self.estate.feed.publish(What::End(seen));
                self.estate.feeds.changed();
            }
            MatchSignal::Reopened => {
                self.estate.ended_at = None;
                self.is_changed = true;
            }
            MatchSignal::Save(done) => {
                if self.estate.saved_through.load(Ordering::Acquire) < self.through_seq {
                    self.save(context, Some(done));
                }
            }
            MatchSignal::Stop => {
                self.estate.feeds.close(self.estate.match_id);
                self.settle(context);
            }
            MatchSignal::Settle => self.settle(context),
            MatchSignal::CaughtUp(catch_up) => self.caught_up(*catch_up),
            MatchSignal::Standings { asked, standings } => {
                let now = self.estate.clock.instant();
                let at = self.live.last_received_at;
                self.unlocking.learn(&asked, standings, &self.live, at, now);
                self.look_for_achievements();
            }
            MatchSignal::Kept { sent, new } => {
                let new = self.unlocking.kept(&sent, new, self.estate.clock.instant());
                self.tell_unlocked(new);
            }
            MatchSignal::UnlockedBefore(mut unlocked) => {
                unlocked.retain(|one| !self.unlocked.contains(one));
                unlocked.extend(self.unlocked.iter().cloned());
                self.unlocked = Arc::new(unlocked);
                self.is_changed = true;
            }
        }
    }

    fn observe(&self) -> Value {
        json!({
            "server_id": self.estate.server_id,
            "source_match_id": self.live.source_match_id,
            "through_seq": self.through_seq,
            "stale": self.is_stale(),
            "ended_at": self.estate.ended_at,
            "last_received_at": self.live.last_received_at,
        })
    }

    fn bequeath(mut self) -> MatchEstate {
        // The state may be half changed: the successor begins with the last snapshot, and reads the rest.
        self.estate.began_before = true;
        self.estate
    }

    fn bury(&mut self, _: Delivery, _: &str) {
        // It is in the spool, where the successor reads it.
    }
}
