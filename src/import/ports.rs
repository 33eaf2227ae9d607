//! What live matches need from outside, where nothing is live: their server is followed elsewhere, so none is folded here, told
//! to viewers or summed up, and nothing is unlocked behind anybody's back.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use mohaa_actors::live::{
    Achievements, Forwarded, History, LivePorts, Nodes, Owner, Snapshots, Standing, Summaries, Summary,
    Unlocked,
};
use mohaa_domain::achievements::Catalogue;
use mohaa_domain::event::{Event, Stamp, Text};
use uuid::Uuid;

struct NothingLive;

pub(super) fn nothing_live() -> LivePorts {
    LivePorts {
        snapshots: Arc::new(NothingLive),
        history: Arc::new(NothingLive),
        achievements: Arc::new(NothingLive),
        summaries: Arc::new(NothingLive),
        nodes: Arc::new(NothingLive),
    }
}

impl Nodes for NothingLive {
    fn owner_of(&self, _: Uuid) -> Owner {
        Owner::Other
    }

    fn forward(&self, _: Uuid, _: Forwarded) {}

    fn release(&self, _: Uuid) {}
}

impl Snapshots for NothingLive {
    fn load(&self, _: Uuid, _: Uuid) -> BoxFuture<'_, Option<Vec<u8>>> {
        async { None }.boxed()
    }

    fn save(&self, _: Uuid, _: Uuid, _: u64, _: Vec<u8>) -> BoxFuture<'_, bool> {
        async { false }.boxed()
    }
}

impl History for NothingLive {
    fn read<'a>(
        &'a self,
        _: Uuid,
        _: Uuid,
        _: &'a mut (dyn FnMut(Vec<(Event, Stamp)>) + Send),
    ) -> BoxFuture<'a, bool> {
        async { false }.boxed()
    }
}

impl Achievements for NothingLive {
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

impl Summaries for NothingLive {
    fn keep(&self, _: Summary) -> BoxFuture<'_, bool> {
        async { true }.boxed()
    }
}
