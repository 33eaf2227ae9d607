//! What viewers are told, numbered and remembered for a while.
//!
//! Each update of a match has the next number, without gaps, and belongs to the feed's epoch, which changes whenever the
//! state was rebuilt. The last [`REMEMBERED`] are kept; viewers read them from the number that they have, and get the
//! whole state where that is too old. Nothing is kept for a viewer, so none can make anybody wait. Of states only the newest
//! is kept: it stands in for those before it, under their numbers. Where nobody has watched for as many updates as are
//! remembered, so that nobody can go on from one of them, only those since the newest state are.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use mohaa_domain::event::{Millis, Text};
use mohaa_domain::live::{Board, ChatLine, KillLine, ObjectiveLine, RoundLine};
use prometheus::{Histogram, HistogramOpts, Registry};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use uuid::Uuid;

use super::achievements::Unlocked;

/// Updates that are remembered of a match.
const REMEMBERED: usize = 256;
/// Those of them, the newest ones, whose forms are kept: beyond are few who need them, and they are larger than what they tell.
const RENDERED: usize = 16;

/// The forms in which an update is sent, each made once, by whoever sends it first: messages as they go over a stream. Those of a
/// match have no number, which depends on the viewer.
#[derive(Debug, Default)]
pub struct Renditions {
    pub json: OnceLock<Bytes>,
    pub html: OnceLock<Bytes>,
}

impl Renditions {
    fn are_made(&self) -> bool {
        self.json.get().is_some() || self.html.get().is_some()
    }
}

/// A match as it is to be seen at one moment.
#[derive(Debug, Serialize, Deserialize)]
pub struct Seen {
    pub match_id: Uuid,
    pub server_id: Uuid,
    pub source_match_id: String,
    pub board: Board,
    /// Something is missing that happened: it is being read, or can't be.
    pub stale: bool,
    pub ended_at: Option<Millis>,
    /// What was unlocked in it, the oldest first.
    pub achievements: Arc<Vec<Unlocked>>,
    /// As the whole state.
    #[serde(skip)]
    pub renditions: Renditions,
}

impl Seen {
    /// The same, to be put into its forms anew.
    fn again(&self) -> Self {
        Self {
            match_id: self.match_id,
            server_id: self.server_id,
            source_match_id: self.source_match_id.clone(),
            board: self.board.clone(),
            stale: self.stale,
            ended_at: self.ended_at,
            achievements: self.achievements.clone(),
            renditions: Renditions::default(),
        }
    }
}

/// What has happened.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum What {
    State(Arc<Seen>),
    Kill(Arc<KillLine>),
    Chat(ChatLine),
    Objective(ObjectiveLine),
    Round(RoundLine),
    /// Somebody, as they are called, has unlocked something.
    Achievement(Unlocked, Text),
    /// The match is over, with its last state.
    End(Arc<Seen>),
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Update {
    pub number: u64,
    pub what: What,
    #[serde(skip)]
    pub renditions: Arc<Renditions>,
}

/// An update of which the number follows from its place.
enum Remembered {
    /// The newest one stands in for it.
    State,
    Told(Arc<Update>),
}

/// What a viewer has to be sent.
pub enum Since {
    /// The whole state, and the number that it has.
    Snapshot { epoch: u64, number: u64, seen: Arc<Seen> },
    /// These, in order; none while there is nothing new.
    Updates { epoch: u64, updates: Vec<Arc<Update>> },
}

/// The feed of one match.
pub struct LiveFeed {
    pub match_id: Uuid,
    pub server_id: Uuid,
    state: Mutex<FeedState>,
    newest: watch::Sender<(u64, u64)>,
}

struct FeedState {
    epoch: u64,
    number: u64,
    updates: VecDeque<Remembered>,
    /// The newest state that was told, with the forms that were made of it; none since what was told was forgotten.
    state: Option<Arc<Update>>,
    /// Updates since somebody watched.
    unwatched: usize,
    seen: Arc<Seen>,
    /// The number of `seen`.
    seen_number: u64,
}

impl LiveFeed {
    fn new(seen: Seen) -> Self {
        let epoch = rand::random::<u32>().into();
        Self {
            match_id: seen.match_id,
            server_id: seen.server_id,
            state: Mutex::new(FeedState {
                epoch,
                number: 0,
                updates: VecDeque::new(),
                state: None,
                unwatched: REMEMBERED,
                seen: Arc::new(seen),
                seen_number: 0,
            }),
            newest: watch::Sender::new((epoch, 0)),
        }
    }

    /// The match as it was told last.
    pub fn seen(&self) -> Arc<Seen> {
        self.state().seen.clone()
    }

    /// Changes whenever there is something new.
    pub fn newest(&self) -> watch::Receiver<(u64, u64)> {
        self.newest.subscribe()
    }

    /// What a viewer has to be sent who has seen this number of this epoch, or nothing yet.
    pub fn since(&self, position: Option<(u64, u64)>) -> Since {
        let state = self.state();
        let oldest = state.number + 1 - state.updates.len() as u64;
        // Lines behind the state that are not remembered can't be told: whoever has it goes on from those that are.
        let at = state.seen_number.max(oldest - 1);
        let snapshot = || Since::Snapshot { epoch: state.epoch, number: at, seen: state.seen.clone() };
        let Some((epoch, number)) = position else { return snapshot() };
        if epoch != state.epoch || number > state.number || number + 1 < oldest {
            return snapshot();
        }
        let missed = (oldest..).zip(&state.updates).skip((number + 1 - oldest) as usize);
        let updates = missed.filter_map(|(number, update)| state.update(number, update)).collect();
        Since::Updates { epoch, updates }
    }

    pub(super) fn publish(&self, what: What) {
        let is_watched = self.has_viewers();
        let mut state = self.state();
        state.add(what, is_watched);
        let newest = (state.epoch, state.number);
        drop(state);
        self.newest.send_replace(newest);
    }

    /// The state was rebuilt: what was told before is not continued.
    pub(super) fn begin_epoch(&self, seen: Seen) {
        let mut state = self.state();
        state.epoch = state.epoch.wrapping_add(1);
        state.number = 0;
        state.seen_number = 0;
        state.forget();
        state.seen = Arc::new(seen);
        let newest = (state.epoch, 0);
        drop(state);
        self.newest.send_replace(newest);
    }

    /// As another node tells it: the whole state.
    pub fn mirror_snapshot(&self, epoch: u64, number: u64, seen: Seen) {
        let mut state = self.state();
        (state.epoch, state.number, state.seen_number) = (epoch, number, number);
        state.forget();
        state.seen = Arc::new(seen);
        drop(state);
        self.newest.send_replace((epoch, number));
    }

    /// As another node tells it: the next update; false where it is not the next one.
    pub fn mirror_update(&self, epoch: u64, update: Update) -> bool {
        let is_watched = self.has_viewers();
        let mut state = self.state();
        if (epoch, update.number) != (state.epoch, state.number + 1) {
            return false;
        }
        state.add(update.what, is_watched);
        drop(state);
        self.newest.send_replace((epoch, update.number));
        true
    }

    /// Nobody tells of it any more.
    pub fn mirror_is_stale(&self) {
        let seen = self.seen();
        if seen.stale {
            return;
        }
        self.begin_epoch(Seen { stale: true, ..seen.again() });
    }

    /// Whether somebody reads it.
    pub fn has_viewers(&self) -> bool {
        self.newest.receiver_count() > 0
    }

    fn state(&self) -> MutexGuard<'_, FeedState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FeedState {
    fn add(&mut self, what: What, is_watched: bool) {
        self.unwatched = if is_watched { 0 } else { self.unwatched.saturating_add(1) };
        self.number += 1;
        let number = self.number;
        if let What::State(seen) | What::End(seen) = &what {
            (self.seen, self.seen_number) = (seen.clone(), number);
        }
        let is_state = matches!(what, What::State(_));
        if is_state && self.unwatched > REMEMBERED {
            self.forget();
            return;
        }
        if self.updates.len() == REMEMBERED {
            self.updates.pop_front();
        }
        let update = Arc::new(Update { number, what, renditions: Arc::default() });
        self.updates.push_back(match is_state {
            true => {
                self.state = Some(update);
                Remembered::State
            }
            false => Remembered::Told(update),
        });
        if let Some(older) = self.updates.len().checked_sub(RENDERED + 1)
            && let Some(Remembered::Told(update)) = self.updates.get_mut(older)
            && update.renditions.are_made()
        {
            let Update { number, ref what, .. } = **update;
            *update = Arc::new(Update { number, what: what.clone(), renditions: Arc::default() });
        }
    }

    fn forget(&mut self) {
        self.updates = VecDeque::new();
        self.state = None;
    }

    /// A remembered update under its number.
    fn update(&self, number: u64, remembered: &Remembered) -> Option<Arc<Update>> {
        let newest = match remembered {
            Remembered::Told(update) => return Some(update.clone()),
            Remembered::State => self.state.as_ref()?,
        };
        if newest.number == number {
            return Some(newest.clone());
        }
        let What::State(seen) = &newest.what else { return None };
        let what = What::State(seen.clone());
        Some(Arc::new(Update { number, what, renditions: newest.renditions.clone() }))
    }
}

/// The feeds of all matches that this node follows, and of those that it tells after another. Clones are one.
#[derive(Clone)]
pub struct LiveFeeds {
    inner: Arc<Inner>,
}

struct Inner {
    feeds: Mutex<HashMap<Uuid, Arc<LiveFeed>>>,
    /// Of matches that another node follows.
    mirrors: Mutex<HashMap<Uuid, Arc<LiveFeed>>>,
    /// Grows when a match begins, ends or is told anew.
    changes: watch::Sender<u64>,
    told_after: Option<Histogram>,
}

impl Default for LiveFeeds {
    fn default() -> Self {
        Self::with(None)
    }
}

impl LiveFeeds {
    fn with(told_after: Option<Histogram>) -> Self {
        let (feeds, mirrors) = (Mutex::default(), Mutex::default());
        let changes = watch::Sender::new(0);
        Self { inner: Arc::new(Inner { feeds, mirrors, changes, told_after }) }
    }

    /// Feeds that measure how old what viewers are told is.
    ///
    /// # Errors
    /// When `registry` already holds a metric of this name.
    pub fn measured(registry: &Registry) -> Result<Self, prometheus::Error> {
        let options = HistogramOpts::new(
            "mohaa_ingest_to_viewer_seconds",
            "Time from the receipt of a watched match's event until its viewers are told the state that it made.",
        );
        let seconds = vec![0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0];
        let told_after = Histogram::with_opts(options.buckets(seconds))?;
        registry.register(Box::new(told_after.clone()))?;
        Ok(Self::with(Some(told_after)))
    }

    /// Somebody was told of what was received so long ago.
    pub(super) fn told_after(&self, millis: i64) {
        if let Some(told_after) = &self.inner.told_after {
            told_after.observe(millis.max(0) as f64 / 1_000.0);
        }
    }

    pub fn of(&self, match_id: Uuid) -> Option<Arc<LiveFeed>> {
        self.feeds().get(&match_id).cloned()
    }

    /// All feeds, those of matches that have just ended among them.
    pub fn all(&self) -> Vec<Arc<LiveFeed>> {
        self.feeds().values().cloned().collect()
    }

    /// Changes when the list of matches, or what it says of them, may have changed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changes.subscribe()
    }

    /// The feed of a match that another node follows.
    pub fn mirror_of(&self, match_id: Uuid) -> Option<Arc<LiveFeed>> {
        self.mirrors().get(&match_id).cloned()
    }

    pub fn mirrored(&self) -> Vec<Arc<LiveFeed>> {
        self.mirrors().values().cloned().collect()
    }

    /// A feed that tells what another node says.
    pub fn open_mirror(&self, seen: Seen) -> Arc<LiveFeed> {
        let mut mirrors = self.mirrors();
        mirrors.entry(seen.match_id).or_insert_with(|| Arc::new(LiveFeed::new(seen))).clone()
    }

    pub fn close_mirror(&self, match_id: Uuid) {
        self.mirrors().remove(&match_id);
    }

    /// Viewers of a mirror go on with what this node tells.
    pub(super) fn open(&self, seen: Seen) -> Arc<LiveFeed> {
        let feed = match self.mirrors().remove(&seen.match_id) {
            Some(mirror) => {
                mirror.begin_epoch(seen);
                mirror
            }
            None => Arc::new(LiveFeed::new(seen)),
        };
        self.feeds().insert(feed.match_id, feed.clone());
        self.changed();
        feed
    }

    /// Whatever was told may not be told like that any more: somebody is somebody else, or nobody, from here on. Every viewer
    /// gets the whole state.
    pub fn tell_anew(&self) {
        let own = self.all();
        for feed in own.into_iter().chain(self.mirrored()) {
            feed.begin_epoch(feed.seen().again());
        }
    }

    /// Another node follows the match from here on; viewers stay.
    pub(super) fn hand_over(&self, match_id: Uuid) {
        let handed = self.feeds().remove(&match_id);
        if let Some(feed) = handed {
            self.mirrors().insert(match_id, feed);
        }
        self.changed();
    }

    pub(super) fn close(&self, match_id: Uuid) {
        self.feeds().remove(&match_id);
        self.changed();
    }

    pub(super) fn changed(&self) {
        self.inner.changes.send_modify(|changes| *changes += 1);
    }

    fn mirrors(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<LiveFeed>>> {
        self.inner.mirrors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn feeds(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<LiveFeed>>> {
        self.inner.feeds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen() -> Seen {
        Seen {
            match_id: Uuid::nil(),
            server_id: Uuid::nil(),
            source_match_id: String::new(),
            board: Board::default(),
            stale: false,
            ended_at: None,
            achievements: Arc::default(),
            renditions: Renditions::default(),
        }
    }

    fn numbers(since: &Since) -> Option<Vec<u64>> {
        match since {
            Since::Snapshot { .. } => None,
            Since::Updates { updates, .. } => Some(updates.iter().map(|update| update.number).collect()),
        }
    }

    #[test]
    fn who_is_up_to_date_gets_what_comes_and_who_is_not_the_whole_state() {
        let feed = LiveFeed::new(seen());
        let _viewer = feed.newest();
        let Since::Snapshot { epoch, number: 0, .. } = feed.since(None) else { panic!("a snapshot") };
        assert_eq!(numbers(&feed.since(Some((epoch, 0)))), Some(vec![]));
        for _ in 0..300 {
            feed.publish(What::State(Arc::new(seen())));
        }
        assert_eq!(numbers(&feed.since(Some((epoch, 298)))), Some(vec![299, 300]));
        assert_eq!(numbers(&feed.since(Some((epoch, 44)))).map(|numbers| numbers.len()), Some(256));
        for gone in [(epoch, 43), (epoch, 0), (epoch, 301), (epoch + 1, 299)] {
            assert_eq!(numbers(&feed.since(Some(gone))), None, "{gone:?}");
        }
        let Since::Updates { updates, .. } = feed.since(Some((epoch, 44))) else { panic!("updates") };
        let states = updates.iter().map(|update| match &update.what {
            What::State(seen) => Arc::as_ptr(seen),
            other => panic!("{other:?} is no state"),
        });
        let newest = Arc::as_ptr(&feed.seen());
        assert!({ states }.all(|state| state == newest), "the newest stands in for all");
        feed.begin_epoch(seen());
        let Since::Snapshot { epoch: next, number: 0, .. } = feed.since(Some((epoch, 300))) else {
            panic!("a snapshot")
        };
        assert_ne!(next, epoch);
    }

    #[test]
    fn of_what_nobody_watches_only_what_came_behind_the_newest_state_is_remembered() {
        let feed = LiveFeed::new(seen());
        let state = || What::State(Arc::new(seen()));
        let line = || What::Round(RoundLine::default());
        let remembered = || feed.state().updates.len();
        for what in [line(), state(), line(), line()] {
            feed.publish(what);
        }
        assert_eq!(remembered(), 2);
        let Since::Snapshot { epoch, number: 2, .. } = feed.since(None) else { panic!("the newest state") };
        assert_eq!(numbers(&feed.since(Some((epoch, 2)))), Some(vec![3, 4]), "nothing is missing behind it");
        assert_eq!(numbers(&feed.since(Some((epoch, 1)))), None);

        let viewer = feed.newest();
        feed.publish(state());
        drop(viewer);
        for _ in 0..250 {
            feed.publish(state());
        }
        assert_eq!(
            numbers(&feed.since(Some((epoch, 5)))).map(|numbers| numbers.len()),
            Some(250),
            "who was away goes on where they were"
        );
        for _ in 0..10 {
            feed.publish(state());
        }
        assert_eq!(remembered(), 0);
        assert_eq!(numbers(&feed.since(Some((epoch, 265)))), Some(vec![]));
    }

    #[test]
    fn forms_are_kept_of_the_newest_updates_and_made_anew_of_older_ones() {
        let feed = LiveFeed::new(seen());
        let _viewer = feed.newest();
        let Since::Snapshot { epoch, .. } = feed.since(None) else { panic!("a snapshot") };
        for number in 1..=20 {
            feed.publish(What::Round(RoundLine { round_number: number, ..RoundLine::default() }));
            let Since::Updates { updates, .. } = feed.since(Some((epoch, number as u64 - 1))) else {
                panic!("one")
            };
            updates[0].renditions.json.get_or_init(|| number.to_string().into());
        }
        let Since::Updates { updates, .. } = feed.since(Some((epoch, 0))) else { panic!("all") };
        let rendered = updates.iter().filter(|update| update.renditions.json.get().is_some());
        assert_eq!(rendered.map(|update| update.number).collect::<Vec<_>>(), (5..=20).collect::<Vec<u64>>());
        for (number, update) in (1..).zip(&updates) {
            assert!(matches!(&update.what, What::Round(line) if line.round_number == number));
        }
    }

    #[test]
    fn whoever_gets_a_state_with_more_lines_behind_it_than_are_remembered_goes_on_from_those_that_are() {
        let feed = LiveFeed::new(seen());
        for _ in 0..300 {
            feed.publish(What::Round(RoundLine::default()));
        }
        let Since::Snapshot { epoch, number, .. } = feed.since(None) else { panic!("a snapshot") };
        assert_eq!(number, 300 - 256);
        assert_eq!(numbers(&feed.since(Some((epoch, number)))).map(|numbers| numbers.len()), Some(256));
    }
}
