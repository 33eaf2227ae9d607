//! MatchActor: the live state of one match.
//!
//! It *follows* while it has everything; then each delivery is folded as it comes. It *catches up* when it begins in the
//! middle of a match, when something did not fit into its mailbox, and after a panic: deliveries wait, what lies before
//! them is read ([`Lack`]), and then they are folded like the rest.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actix::fut::wrap_future;
use actix::{ActorContext as _, ActorFutureExt as _, AsyncContext as _, Context};
use mohaa_domain::event::{Millis, Text};
use mohaa_domain::live::{Happening, LiveEvent, LiveMatch};
use mohaa_spool::SpoolReader;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use uuid::Uuid;

use super::achievements::{Achievements, Errand, Standing, Unlocked, Unlocking};
use super::catch_up::{CatchUp, EventName, Lack, MAY_COME_TWICE, Reading, SNAPSHOT_VERSION, Snapshot};
use super::feed::{LiveFeed, LiveFeeds, Renditions, Seen, What};
use super::summary::{Summaries, Summary};
use super::{History, SAVE_EVERY, Snapshots};
use crate::clock::Clock;
use crate::kernel::{Kernel, Worker};
use crate::port::{Admitted, Port};
use crate::record::RecordView;

/// Deliveries that wait while the actor catches up; beyond, it catches up once more.
const MOST_WAITING: usize = 2_000;
/// What is stored could not be read.
const REBUILD_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// What corrects a match that is over comes in several requests.
const SUM_UP_AFTER: Duration = Duration::from_secs(2);
/// Of a closed match of which something can't be kept yet.
const SETTLE_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Events of one match in their order, of one request or several.
pub struct Delivery {
    /// Where they are, or will be: this node's spool or another's.
    pub spool_id: Uuid,
    pub events: Vec<LiveEvent>,
}

impl Delivery {
    /// The events of a record that are of this match; none where they can't be read.
    pub(super) fn of(spool_id: Uuid, match_id: Uuid, record: &RecordView<'_>) -> Option<Self> {
        let events = record.events().ok()?;
        let of_match = events.iter().filter(|(_, stamp)| stamp.match_id == match_id);
        Some(Self { spool_id, events: of_match.map(|(event, stamp)| LiveEvent::of(event, stamp)).collect() })
    }

    /// The number of the last record that some of it is from.
    pub(super) fn last_seq(&self) -> Option<u64> {
        self.events.last().map(|event| event.position.spool_seq)
    }
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
    /// Other nodes have events that were not handed on.
    Lacking,
    /// This node follows the server from now on as this owner.
    Fence(u64),
    /// Another node follows it.
    HandOver,
    Ended {
        at: Millis,
    },
    /// Late events came: it is not over after all.
    Reopened,
    /// Leave a snapshot now; answered, or dropped, when that is done or nothing has to be left.
    Save(oneshot::Sender<()>),
    /// It is this match's turn to leave one.
    SaveNow {
        turn: OwnedSemaphorePermit,
        done: Option<oneshot::Sender<()>>,
    },
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
    /// How the match ended was kept, or could not be.
    SummedUp {
        is_kept: bool,
    },
    /// Time to try again what is left to do of a match that is closed.
    Settle,
}

/// What a successor begins with.
pub struct MatchEstate {
    pub match_id: Uuid,
    pub server_id: Uuid,
    pub spool_id: Uuid,
    pub spool: SpoolReader,
    pub snapshots: Arc<dyn Snapshots>,
    pub history: Arc<dyn History>,
    /// Who reads everything anew does so alone.
    pub rebuilding: Arc<Semaphore>,
    /// Whose turn it is to leave a snapshot.
    pub saving: Arc<Semaphore>,
    pub achievements: Arc<dyn Achievements>,
    pub summaries: Arc<dyn Summaries>,
    pub feeds: LiveFeeds,
    pub feed: Arc<LiveFeed>,
    /// Of the owner that this node is.
    pub fence: u64,
    pub clock: Clock,
    /// The newest number that was delivered, or lies before the first that is.
    pub delivered_through: u64,
    /// What there may be of the match that this actor does not have.
    pub lack: Option<Lack>,
    /// Number through which a snapshot is kept; tells the desk what the spool may forget.
    pub saved_through: Arc<AtomicU64>,
    pub ended_at: Option<Millis>,
}

enum Mode {
    Following,
    /// `again`: something was missed meanwhile, and what comes can as well be read as it could wait here.
    CatchingUp {
        waiting: VecDeque<Delivery>,
        again: Option<Lack>,
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
    /// When the oldest event was received of which viewers don't see yet what it did.
    untold_since: Option<Millis>,
    is_saving: bool,
    saved_at: Instant,
    has_foreign: bool,
    /// Read from the store, and may still be delivered; forgotten at the time beside.
    recent: (HashSet<EventName>, Instant),
    rebuild_at: Option<Instant>,
    unlocking: Unlocking,
    /// When how the match ended is to be told, and whether that is being done.
    sum_up_at: Option<Instant>,
    is_summing_up: bool,
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
            untold_since: None,
            is_saving: false,
            saved_at: estate.clock.instant(),
            has_foreign: false,
            recent: (HashSet::new(), estate.clock.instant()),
            rebuild_at: None,
            unlocking: Unlocking::default(),
            sum_up_at: None,
            is_summing_up: false,
            unlocked: Arc::default(),
            port,
            estate,
        };
        if let Some(lack) = actor.estate.lack {
            if !matches!(lack, Lack::After(_)) {
                actor.ask_what_was_unlocked();
            }
            actor.begin_to_catch_up(lack);
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

    fn fold(&mut self, delivery: Delivery, tells: bool) {
        let last_seq = delivery.last_seq();
        let Delivery { spool_id, mut events } = delivery;
        let recent = &self.recent.0;
        if !recent.is_empty() {
            events.retain(|event| !recent.contains(&EventName::of(event)));
        }
        if let (Some(last_seq), false) = (last_seq, events.is_empty()) {
            self.is_changed = true;
            if self.estate.ended_at.is_some() {
                self.sum_up_at = Some(self.estate.clock.instant() + SUM_UP_AFTER);
            }
            match spool_id == self.estate.spool_id {
                true => self.through_seq = self.through_seq.max(last_seq),
                false => self.has_foreign = true,
            }
        }
        if tells && self.estate.feed.has_viewers() {
            let oldest = events.iter().map(|event| event.received_at).min();
            self.untold_since = self.untold_since.into_iter().chain(oldest).min();
        }
        let happenings = self.live.fold_events(spool_id, events.into_iter());
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
        if !std::mem::take(&mut self.is_changed) {
            return;
        }
        let seen = Arc::new(self.seen());
        self.estate.feed.publish(What::State(seen));
        self.estate.feeds.changed();
        if let Some(received_at) = self.untold_since.take().filter(|_| self.estate.feed.has_viewers()) {
            self.estate.feeds.told_after(self.estate.clock.now().0 - received_at.0);
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

    /// Tells how the match ended, where that is due.
    fn sum_up(&mut self) {
        let is_due = self.sum_up_at.is_some_and(|at| at <= self.estate.clock.instant());
        let (Some(ended_at), true) = (self.estate.ended_at, is_due && !self.is_summing_up) else { return };
        if matches!(self.mode, Mode::CatchingUp { .. }) {
            return;
        }
        (self.sum_up_at, self.is_summing_up) = (None, true);
        let summary = Summary::of(&mut self.live, ended_at);
        let (summaries, port) = (self.estate.summaries.clone(), self.port.clone());
        actix::spawn(async move {
            let is_kept = summaries.keep(summary).await;
            port.tell(MatchSignal::SummedUp { is_kept });
        });
    }

    /// Ends, once nothing is left to be kept.
    fn settle(&mut self, context: &mut Context<Kernel<Self>>) {
        if self.unlocking.owed() == 0 && self.sum_up_at.is_none() && !self.is_summing_up {
            return context.stop();
        }
        self.look_for_achievements();
        self.sum_up();
        let (clock, port) = (self.estate.clock.clone(), self.port.clone());
        actix::spawn(async move {
            clock.sleep(SETTLE_AGAIN_AFTER).await;
            port.tell(MatchSignal::Settle);
        });
    }

    /// Reads what the actor lacks, up to what was delivered, without making anybody wait for disks and stores.
    fn begin_to_catch_up(&mut self, lack: Lack) {
        self.rebuild_at = None;
        self.mode = Mode::CatchingUp { waiting: VecDeque::new(), again: None };
        self.is_changed = true;
        let estate = &self.estate;
        let reading = Reading {
            match_id: estate.match_id,
            server_id: estate.server_id,
            spool_id: estate.spool_id,
            spool: estate.spool.clone(),
            snapshots: estate.snapshots.clone(),
            history: estate.history.clone(),
            rebuilding: estate.rebuilding.clone(),
            clock: estate.clock.clone(),
            lack,
            through_seq: estate.delivered_through,
        };
        let port = self.port.clone();
        actix::spawn(async move {
            let caught_up = Box::new(reading.catch_up().await);
            port.tell(MatchSignal::CaughtUp(caught_up));
        });
    }

    fn caught_up(&mut self, catch_up: CatchUp) {
        let CatchUp { base, records, through_seq, has_gap } = catch_up;
        let Mode::CatchingUp { waiting, again } = std::mem::replace(&mut self.mode, Mode::Following) else {
            return;
        };
        let now = self.estate.clock.instant();
        if let Some(base) = base {
            self.live = base.live;
            (self.has_gap, self.has_foreign) = (base.has_gap, base.has_foreign);
            self.recent = (base.recent, now + MAY_COME_TWICE);
        }
        self.has_gap |= has_gap;
        if has_gap {
            self.port.instance().note_error("what is stored of the match can't be read");
        }
        if self.has_gap {
            self.rebuild_at = Some(now + REBUILD_AGAIN_AFTER);
        }
        for delivery in records {
            self.fold(delivery, false);
        }
        self.through_seq = self.through_seq.max(through_seq);
        self.estate.lack = None;
        if let Some(lack) = again {
            self.begin_to_catch_up(match lack {
                Lack::After(_) => Lack::After(self.through_seq),
                more => more,
            });
            return;
        }
        for delivery in waiting {
            self.fold(delivery, false);
        }
        self.unlocking.look_at_all(&self.live, self.live.last_received_at);
        (self.is_changed, self.untold_since) = (false, None);
        let seen = self.seen();
        self.estate.feed.begin_epoch(seen);
        self.estate.feeds.changed();
    }

    /// Something is missing from here on.
    fn lacks(&mut self, lack: Lack) {
        match &mut self.mode {
            Mode::Following => self.begin_to_catch_up(lack),
            Mode::CatchingUp { waiting, again } => {
                let has_foreign = waiting.iter().any(|waits| waits.spool_id != self.estate.spool_id);
                waiting.clear();
                let more = if has_foreign { Lack::Everything } else { lack };
                *again = Some(if *again == Some(Lack::Everything) { Lack::Everything } else { more });
            }
        }
    }

    /// The state as it is kept, and the number through which everything is in it; none while something is missing.
    fn snapshot(&self) -> Option<(Vec<u8>, u64)> {
        if matches!(self.mode, Mode::CatchingUp { .. }) {
            return None;
        }
        let snapshot = Snapshot {
            version: SNAPSHOT_VERSION,
            spool_id: self.estate.spool_id,
            through_seq: self.through_seq,
            has_gap: self.has_gap,
            has_foreign: self.has_foreign,
            live: Cow::Borrowed(&self.live),
        };
        serde_json::to_vec(&snapshot).ok().map(|state| (state, self.through_seq))
    }

    /// Has a snapshot kept when it is this match's turn: those of many matches together would take more room than the matches.
    fn save(&mut self, context: &mut Context<Kernel<Self>>, done: Option<oneshot::Sender<()>>) {
        if matches!(self.mode, Mode::CatchingUp { .. }) || (self.is_saving && done.is_none()) {
            return;
        }
        (self.is_saving, self.saved_at) = (true, self.estate.clock.instant());
        let (turns, port) = (self.estate.saving.clone(), self.port.clone());
        context.spawn(wrap_future(async move {
            if let Ok(turn) = turns.acquire_owned().await {
                port.tell(MatchSignal::SaveNow { turn, done });
            }
        }));
    }

    fn save_now(
        &mut self,
        context: &mut Context<Kernel<Self>>,
        turn: OwnedSemaphorePermit,
        done: Option<oneshot::Sender<()>>,
    ) {
        let Some((state, through_seq)) = self.snapshot() else {
            self.is_saving = false;
            return;
        };
        let MatchEstate { server_id, match_id, fence, .. } = self.estate;
        let snapshots = self.estate.snapshots.clone();
        let saving = async move {
            let is_kept = snapshots.save(server_id, match_id, fence, state).await;
            drop(turn);
            if let Some(done) = done {
                // Whoever asked may have given up waiting.
                let _ = done.send(());
            }
            is_kept
        };
        context.spawn(wrap_future(saving).map(move |is_kept, kernel: &mut Kernel<Self>, _| {
            kernel.update(|actor| {
                actor.is_saving = false;
                match is_kept {
                    true => actor.estate.saved_through.store(through_seq, Ordering::Release),
                    false => actor.port.instance().note_error("its snapshot can't be kept"),
                }
            });
        }));
    }
}

impl Worker for MatchActor {
    type Message = Delivery;
    type Signal = MatchSignal;
    type Estate = MatchEstate;

    fn handle(&mut self, slot: &mut Option<Delivery>, _: Admitted, _: &mut Context<Kernel<Self>>) {
        let Some(delivery) = slot.take() else { return };
        let is_own = delivery.spool_id == self.estate.spool_id;
        if let Some(last_seq) = delivery.last_seq().filter(|_| is_own) {
            // Before it is folded: after a panic it has to be read again.
            self.estate.delivered_through = self.estate.delivered_through.max(last_seq);
        }
        match &mut self.mode {
            Mode::Following => self.fold(delivery, true),
            Mode::CatchingUp { again: Some(Lack::Everything), .. } => {}
            Mode::CatchingUp { again: Some(_), .. } if is_own => {}
            Mode::CatchingUp { waiting, again } if waiting.len() >= MOST_WAITING || again.is_some() => {
                let has_foreign =
                    !is_own || waiting.iter().any(|waits| waits.spool_id != self.estate.spool_id);
                waiting.clear();
                *again = Some(if has_foreign { Lack::Everything } else { Lack::After(0) });
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
                let now = self.estate.clock.instant();
                if !self.recent.0.is_empty() && now >= self.recent.1 {
                    self.recent.0 = HashSet::new();
                }
                if self.rebuild_at.is_some_and(|at| now >= at) && matches!(self.mode, Mode::Following) {
                    self.begin_to_catch_up(Lack::Everything);
                }
                self.look_for_achievements();
                self.sum_up();
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
                self.lacks(Lack::After(self.through_seq));
            }
            MatchSignal::Lacking => self.lacks(Lack::Everything),
            MatchSignal::Fence(fence) => self.estate.fence = fence,
            // Whatever was earned and not kept is earned again there.
            MatchSignal::HandOver => context.stop(),
            MatchSignal::Ended { at } => {
                self.estate.ended_at = Some(at);
                self.unlocking.match_has_ended(&self.live, at);
                self.sum_up_at = Some(self.estate.clock.instant());
                (self.is_changed, self.untold_since) = (false, None);
                let seen = Arc::new(self.seen());
                self.estate.feed.publish(What::End(seen));
                self.estate.feeds.changed();
            }
            MatchSignal::Reopened => {
                self.estate.ended_at = None;
                self.sum_up_at = None;
                self.is_changed = true;
            }
            MatchSignal::Save(done) => {
                if self.estate.saved_through.load(Ordering::Acquire) < self.through_seq {
                    self.save(context, Some(done));
                }
            }
            MatchSignal::SaveNow { turn, done } => self.save_now(context, turn, done),
            MatchSignal::Stop => {
                self.estate.feeds.close(self.estate.match_id);
                self.settle(context);
            }
            MatchSignal::Settle => self.settle(context),
            MatchSignal::SummedUp { is_kept } => {
                self.is_summing_up = false;
                if !is_kept {
                    self.port.instance().note_error("how it ended can't be kept yet");
                    self.sum_up_at.get_or_insert(self.estate.clock.instant() + SETTLE_AGAIN_AFTER);
                }
            }
            MatchSignal::CaughtUp(catch_up) => self.caught_up(*catch_up),
            MatchSignal::Standings { asked, standings } => {
                let now = self.estate.clock.instant();
                let at = self.live.last_received_at;
                self.unlocking.learn(&asked, standings, &self.live, at, now);
                self.look_for_achievements();
            }
            MatchSignal::Kept { sent, new } => {
                if new.is_none() {
                    self.port.instance().note_error("achievements can't be kept yet");
                }
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
            "players_to_look_at": self.unlocking.waiting(),
            "achievements_owed": self.unlocking.owed(),
            "ended_at": self.estate.ended_at,
            "last_received_at": self.live.last_received_at,
        })
    }

    fn bequeath(mut self) -> MatchEstate {
        // The state may be half changed: the successor begins with the last snapshot, and reads the rest.
        self.estate.lack = Some(if self.has_foreign { Lack::Everything } else { Lack::SinceSnapshot });
        self.estate
    }

    fn bury(&mut self, _: Delivery, _: &str) {
        // It is in a spool, where the successor reads it.
    }
}
