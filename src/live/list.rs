//! The list of live matches: made by one task once a second, of what this node follows and what others say that they do.

use std::sync::Arc;
use std::time::Duration;

use mohaa_actors::live::Renditions;

use super::Live;
use super::answers::LiveList;
use crate::stats::Stats;

const MADE_EVERY: Duration = Duration::from_secs(1);

/// The list as it was last.
#[derive(Debug)]
pub(super) struct ListUpdate {
    pub epoch: u64,
    pub number: u64,
    pub list: LiveList,
    pub renditions: Renditions,
}

impl ListUpdate {
    pub fn first() -> Self {
        Self {
            epoch: rand::random::<u32>().into(),
            number: 0,
            list: LiveList { matches: Vec::new() },
            renditions: Renditions::default(),
        }
    }
}

pub(super) async fn keep(live: Live, stats: Stats) {
    loop {
        let seen: Vec<_> = live.feeds.all().iter().map(|feed| feed.seen()).collect();
        let names = stats.server_names(seen.iter().map(|seen| seen.server_id)).await;
        live.learn(names);
        let mut matches: Vec<_> = seen
            .iter()
            .filter(|seen| seen.ended_at.is_none() && seen.board.started_at.is_some())
            .map(|seen| live.listed(seen))
            .collect();
        live.name_tournaments(&stats, &mut matches).await;
        live.nodes.tell_what_is_followed(matches.clone(), live.viewers.count()).await;
        for followed in live.nodes.followed_elsewhere() {
            if !matches.iter().any(|listed| listed.match_id == followed.match_id) {
                matches.push(followed);
            }
        }
        matches.sort_by(|one, other| {
            other.player_count.cmp(&one.player_count).then_with(|| one.match_id.cmp(&other.match_id))
        });
        let list = LiveList { matches };
        live.list.send_if_modified(|last| {
            if last.list == list {
                return false;
            }
            let (epoch, number, renditions) = (last.epoch, last.number + 1, Renditions::default());
            *last = Arc::new(ListUpdate { epoch, number, list, renditions });
            true
        });
        tokio::time::sleep(MADE_EVERY).await;
    }
}
