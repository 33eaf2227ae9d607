//! What an actor does not have of its match, and how it is read: from the spool behind a snapshot, or anew from what is
//! stored.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use mohaa_domain::event::{Event, Millis, Stamp};
use mohaa_domain::live::{LiveEvent, LiveMatch};
use mohaa_spool::{ReadError, SpoolReader};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::match_actor::Delivery;
use super::{History, Snapshots};
use crate::clock::Clock;
use crate::record::RecordView;

/// The spool may not have written yet what it was given.
const READ_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// So long an event that was read from the store may still be delivered.
pub(super) const MAY_COME_TWICE: Duration = Duration::from_secs(60);

/// What an actor has to read before it can follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// What lies behind this number in the spool.
    After(u64),
    /// What lies behind the last snapshot; everything where there is none.
    SinceSnapshot,
    /// Events that other nodes have: everything, from where all nodes store.
    Everything,
}

/// What tells an event from all others, whatever spool it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct EventName {
    received_at: Millis,
    spool_seq: u64,
    spool_index: u32,
}

impl EventName {
    pub(super) fn of(event: &LiveEvent) -> Self {
        Self::new(event.received_at, event.position.spool_seq, event.position.spool_index)
    }

    fn of_stamp(stamp: &Stamp) -> Self {
        Self::new(stamp.received_at, stamp.spool_seq, stamp.spool_index)
    }

    fn new(received_at: Millis, spool_seq: u64, spool_index: u32) -> Self {
        Self { received_at, spool_seq, spool_index }
    }
}

/// What was read of what an actor lacks.
pub struct CatchUp {
    /// The state to go on from; none to go on from what is there.
    pub(super) base: Option<Base>,
    pub(super) records: Vec<Delivery>,
    /// Everything up to here is in it.
    pub(super) through_seq: u64,
    /// Something is lost that lay before.
    pub(super) has_gap: bool,
}

/// A state to go on from.
pub(super) struct Base {
    pub(super) live: LiveMatch,
    pub(super) has_gap: bool,
    pub(super) has_foreign: bool,
    /// Events in it that may still be delivered.
    pub(super) recent: HashSet<EventName>,
}

pub(super) const SNAPSHOT_VERSION: u32 = 5;

/// A snapshot as it is kept.
#[derive(Serialize, Deserialize)]
pub(super) struct Snapshot<'a> {
    pub(super) version: u32,
    /// Whose numbers the next field means.
    pub(super) spool_id: Uuid,
    /// Every record up to this one is folded in.
    pub(super) through_seq: u64,
    pub(super) has_gap: bool,
    /// Events of other nodes' spools are in it.
    pub(super) has_foreign: bool,
    pub(super) live: Cow<'a, LiveMatch>,
}

/// What has to be read for an actor that lacks something.
pub(super) struct Reading {
    pub(super) match_id: Uuid,
    pub(super) server_id: Uuid,
    pub(super) spool_id: Uuid,
    pub(super) spool: SpoolReader,
    pub(super) snapshots: Arc<dyn Snapshots>,
    pub(super) history: Arc<dyn History>,
    pub(super) rebuilding: Arc<Semaphore>,
    pub(super) clock: Clock,
    pub(super) lack: Lack,
    pub(super) through_seq: u64,
}

impl Reading {
    pub(super) async fn catch_up(self) -> CatchUp {
        let through_seq = self.through_seq;
        let whole = |base, records| CatchUp { base, records, through_seq, has_gap: false };
        let snapshot = match self.lack {
            Lack::After(known) => match self.records(known + 1).await {
                Some(records) => return whole(None, records),
                None => None,
            },
            Lack::SinceSnapshot => self.snapshot().await,
            Lack::Everything => None,
        };
        // Another node's numbers say nothing about this spool, and what other nodes had since is not in it.
        let own = snapshot.as_ref().filter(|snapshot| {
            snapshot.spool_id == self.spool_id && !snapshot.has_foreign && !snapshot.has_gap
        });
        if let Some(known) = own.map(|snapshot| snapshot.through_seq)
            && let Some(records) = self.records(known + 1).await
        {
            return whole(snapshot.map(Base::from), records);
        }
        match self.rebuild().await {
            Some(base) => whole(Some(base), Vec::new()),
            // What is known has to do for now; what lies behind it is folded on top.
            None => {
                CatchUp { base: snapshot.map(Base::from), records: Vec::new(), through_seq, has_gap: true }
            }
        }
    }

    async fn snapshot(&self) -> Option<Snapshot<'static>> {
        let state = self.snapshots.load(self.server_id, self.match_id).await?;
        let snapshot: Snapshot<'static> = serde_json::from_slice(&state)
            .inspect_err(
                |error| tracing::warn!(%error, match_id = %self.match_id, "a snapshot can't be read"),
            )
            .ok()?;
        (snapshot.version == SNAPSHOT_VERSION && snapshot.live.match_id == self.match_id).then_some(snapshot)
    }

    /// The server's records from this number on; none when they are not all there.
    async fn records(&self, from: u64) -> Option<Vec<Delivery>> {
        if from > self.through_seq {
            return Some(Vec::new());
        }
        if from < self.spool.oldest_seq() {
            return None;
        }
        let records = self.read_spool(Vec::new(), from, |records, delivery| records.push(delivery)).await;
        records.inspect_err(|error| self.cannot_read(error)).ok()
    }

    /// Folds the whole match from what is stored, and what is only in the spool.
    async fn rebuild(&self) -> Option<Base> {
        let _turn = self.rebuilding.acquire().await.ok()?;
        let mut rebuilt = Rebuilt::new(self.match_id, self.server_id);
        let mut take = |events: Vec<(Event, Stamp)>| rebuilt.take_stored(&events);
        if !self.history.read(self.server_id, self.match_id, &mut take).await {
            tracing::warn!(match_id = %self.match_id, "a live match can't be rebuilt: what is stored can't be read");
            return None;
        }
        let oldest = self.spool.oldest_seq();
        if oldest <= self.through_seq {
            let taken =
                self.read_spool(rebuilt, oldest, |rebuilt, delivery| rebuilt.take_own(delivery)).await;
            rebuilt = taken.inspect_err(|error| self.cannot_read(error)).ok()?;
        }
        Some(rebuilt.into_base(self.clock.now()))
    }

    fn cannot_read(&self, error: &ReadError) {
        tracing::warn!(%error, match_id = %self.match_id, "the spool can't be read for a live match");
    }

    /// Gives `take` the server's records from this number on, one after the other, on a thread that may wait for the disk.
    async fn read_spool<T: Send + 'static>(
        &self,
        mut taken: T,
        from: u64,
        take: impl Fn(&mut T, Delivery) + Copy + Send + 'static,
    ) -> Result<T, ReadError> {
        let (spool_id, last) = (self.spool_id, self.through_seq);
        let (server_id, match_id) = (self.server_id, self.match_id);
        loop {
            let spool = self.spool.clone();
            let reading = move || match spool.records(from, last) {
                Err(error) => (taken, Err(error)),
                Ok(records) => {
                    let each = || {
                        for record in records {
                            let record = record?;
                            let view = RecordView::parse(&record.payload).ok();
                            let of_server = view.filter(|view| view.server_id == server_id);
                            if let Some(delivery) =
                                of_server.and_then(|view| Delivery::of(spool_id, match_id, &view))
                            {
                                take(&mut taken, delivery);
                            }
                        }
                        Ok(())
                    };
                    let outcome = each();
                    (taken, outcome)
                }
            };
            match tokio::task::spawn_blocking(reading).await {
                Ok((taken, Ok(()))) => return Ok(taken),
                Ok((back, Err(ReadError::NotWritten { .. }))) => {
                    taken = back;
                    self.clock.sleep(READ_AGAIN_AFTER).await;
                }
                Ok((_, Err(error))) => return Err(error),
                Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
            }
        }
    }
}

impl From<Snapshot<'_>> for Base {
    fn from(Snapshot { has_gap, has_foreign, live, .. }: Snapshot<'_>) -> Self {
        Self { live: live.into_owned(), has_gap, has_foreign, recent: HashSet::new() }
    }
}

/// A match that is folded anew.
struct Rebuilt {
    live: LiveMatch,
    names: HashSet<EventName>,
}

impl Rebuilt {
    fn new(match_id: Uuid, server_id: Uuid) -> Self {
        Self { live: LiveMatch::new(match_id, server_id), names: HashSet::new() }
    }

    fn take_stored(&mut self, events: &[(Event, Stamp)]) {
        self.names.extend(events.iter().map(|(_, stamp)| EventName::of_stamp(stamp)));
        self.live.fold_stored(events.iter().map(|(event, stamp)| (event, stamp)));
    }

    fn take_own(&mut self, delivery: Delivery) {
        let Self { live, names } = self;
        let new = delivery.events.into_iter().filter(|event| names.insert(EventName::of(event)));
        live.fold_events(delivery.spool_id, new);
    }

    fn into_base(self, now: Millis) -> Base {
        let since = now.0 - i64::try_from(MAY_COME_TWICE.as_millis()).unwrap_or_default();
        let recent = self.names.into_iter().filter(|name| name.received_at.0 >= since).collect();
        Base { live: self.live, has_gap: false, has_foreign: true, recent }
    }
}
