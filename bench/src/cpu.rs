//! How fast the parts of an event's way are that need neither network nor disk, on one thread and by its CPU time: what else the
//! machine does hardly changes it. Each is measured in turns with its yardstick, and the ratios are those of the turns.

use std::fmt;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mohaa_actors::live::{LiveFeed, LiveFeeds, Renditions, Seen, Update, What};
use mohaa_domain::event::{Event, Millis, Stamp};
use mohaa_domain::live::{Happening, LiveEvent, LiveMatch};
use mohaa_domain::tracker::{EventWindow, Trackers};
use mohaa_domain::wire::{Limits, decode};
use mohaa_hot::mirror;
use mohaa_hot::paths::{NOON, SECONDS_A_REQUEST, SPOOL};
use mohaa_hot::traffic::{BATCH_EVENTS, ServerTraffic, at_level_time};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use uuid::Uuid;

use crate::error::BenchError;
use crate::report::median;
use crate::targets::{Measured, Target};

/// Servers whose bodies are read in turn, and whose matches are followed.
const SERVERS: usize = 16;

pub struct CpuOptions {
    pub rounds: usize,
    /// CPU time that each side of a round takes at least.
    pub turn: Duration,
}

/// Events a second of one core.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Turn {
    pub service: f64,
    pub yardstick: f64,
}

#[derive(Debug, Serialize)]
pub struct CpuReport {
    pub arrays: Vec<Turn>,
    pub forms: Vec<Turn>,
    /// Live state and its feed: events a second of one core.
    pub live: Vec<f64>,
    /// Events for each state that viewers are told.
    pub events_per_state: usize,
}

/// Measures.
///
/// # Errors
/// When a body can't be read.
pub fn measure(options: &CpuOptions) -> Result<CpuReport, BenchError> {
    let traffic: Vec<ServerTraffic> = (0..SERVERS).map(ServerTraffic::of_server).collect();
    let arrays: Vec<Bytes> = traffic.iter().flat_map(|server| server.batches.clone()).collect();
    let forms: Vec<Bytes> = traffic.iter().flat_map(|server| server.forms.clone()).collect();
    let mut live = FollowedMatches::new(&traffic);
    let (mut of_arrays, mut of_forms, mut of_live) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        of_arrays.push(Turn {
            service: speed(options.turn, &arrays, decoded)?,
            yardstick: speed(options.turn, &arrays, |body| Ok(mirror::events_of(body)?.len()))?,
        });
        of_forms.push(Turn {
            service: speed(options.turn, &forms, decoded)?,
            yardstick: speed(options.turn, &forms, |body| Ok(mirror::events_of_forms(body)?.len()))?,
        });
        of_live.push(live.speed(options.turn)?);
    }
    Ok(CpuReport { arrays: of_arrays, forms: of_forms, live: of_live, events_per_state: BATCH_EVENTS })
}

fn decoded(body: &Bytes) -> Result<usize, BenchError> {
    let decoded = black_box(decode(body, Limits { max_events: BATCH_EVENTS })?);
    Ok(decoded.events.len())
}

/// Events a second of CPU time; `read` gives how many it found in a body.
fn speed(
    turn: Duration,
    bodies: &[Bytes],
    read: impl Fn(&Bytes) -> Result<usize, BenchError>,
) -> Result<f64, BenchError> {
    let began = thread_cpu();
    let mut events = 0;
    loop {
        for body in bodies {
            events += read(black_box(body))?;
        }
        let taken = thread_cpu() - began;
        if taken >= turn {
            return Ok(events as f64 / taken.as_secs_f64());
        }
    }
}

/// CPU time that the calling thread has used.
fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Matches that are followed as the service does it: each request's events are folded in, what happened is published line by
/// line, and then the state, since scripts post less often than changes are told.
struct FollowedMatches<'a> {
    matches: Vec<FollowedMatch<'a>>,
    trackers: Trackers,
    window: EventWindow,
    feeds: LiveFeeds,
    /// Of each server.
    requests: usize,
}

struct FollowedMatch<'a> {
    server: Uuid,
    bodies: &'a [Bytes],
    live: Option<(LiveMatch, Arc<LiveFeed>)>,
    /// Updates that the feed has.
    number: u64,
}

impl<'a> FollowedMatches<'a> {
    fn new(traffic: &'a [ServerTraffic]) -> Self {
        let matches = traffic.iter().enumerate().map(|(number, server)| FollowedMatch {
            server: Uuid::from_u128(number as u128 + 1),
            bodies: &server.batches,
            live: None,
            number: 0,
        });
        Self {
            matches: matches.collect(),
            trackers: Trackers::default(),
            window: EventWindow::default(),
            feeds: LiveFeeds::default(),
            requests: 0,
        }
    }

    /// Events a second of CPU time. Decoding and stamping are not in it.
    fn speed(&mut self, turn: Duration) -> Result<f64, BenchError> {
        let (mut events, mut taken) = (0, Duration::ZERO);
        while taken < turn {
            let stamped = self.next_requests()?;
            let began = thread_cpu();
            for (one, stamped) in self.matches.iter_mut().zip(&stamped) {
                one.follow(&self.feeds, stamped);
                events += stamped.len();
            }
            taken += thread_cpu() - began;
        }
        Ok(events as f64 / taken.as_secs_f64())
    }

    /// The next request of each server.
    fn next_requests(&mut self) -> Result<Vec<Vec<(Event, Stamp)>>, BenchError> {
        let seconds = self.requests as f64 * SECONDS_A_REQUEST;
        let received_at = Millis(NOON.0 + (seconds * 1000.0) as i64);
        self.requests += 1;
        let mut requests = Vec::with_capacity(self.matches.len());
        for one in &self.matches {
            let body = at_level_time(&one.bodies[self.requests % one.bodies.len()], seconds);
            let decoded = decode(&body, Limits { max_events: BATCH_EVENTS })?;
            let tracker = self.trackers.of_server(one.server);
            let stamped = decoded.events.into_iter().enumerate().map(|(index, event)| {
                let mut stamp = tracker.stamp(&event, received_at, &self.window);
                (stamp.spool_seq, stamp.spool_index) = (self.requests as u64, index as u32);
                (event, stamp)
            });
            requests.push(stamped.collect());
        }
        Ok(requests)
    }
}

impl FollowedMatch<'_> {
    fn follow(&mut self, feeds: &LiveFeeds, stamped: &[(Event, Stamp)]) {
        let Some((_, first)) = stamped.first() else { return };
        if self.live.as_ref().is_none_or(|(live, _)| live.match_id != first.match_id) {
            let mut live = LiveMatch::new(first.match_id, self.server);
            let feed = feeds.open_mirror(seen(&mut live));
            (self.live, self.number) = (Some((live, feed)), 0);
        }
        let Some((live, feed)) = &mut self.live else { return };
        let (epoch, _) = *feed.newest().borrow();
        // As a match's own actor publishes, and numbered as that numbers.
        let mut publish = |what| {
            self.number += 1;
            let renditions = Arc::<Renditions>::default();
            feed.mirror_update(epoch, Update { number: self.number, what, renditions });
        };
        let events = stamped.iter().map(|(event, stamp)| LiveEvent::of(event, stamp));
        for happening in live.fold_events(SPOOL, events) {
            match happening {
                Happening::Kill(kill) => publish(What::Kill(kill)),
                Happening::Chat(line) => publish(What::Chat(line)),
                Happening::Objective(line) => publish(What::Objective(line)),
                Happening::Round(line) => publish(What::Round(line)),
                Happening::End => {}
            }
        }
        publish(What::State(Arc::new(seen(live))));
    }
}

fn seen(live: &mut LiveMatch) -> Seen {
    Seen {
        match_id: live.match_id,
        server_id: live.server_id,
        source_match_id: live.source_match_id.clone(),
        board: live.board().clone(),
        stale: false,
        ended_at: None,
        achievements: Arc::default(),
        renditions: Renditions::default(),
    }
}

impl CpuReport {
    /// What came of the targets.
    pub fn measured(&self) -> Vec<Measured> {
        let of_turns = |target, turns: &[Turn]| {
            let ratio = median(turns.iter().map(|turn| turn.service / turn.yardstick));
            let service = median(turns.iter().map(|turn| turn.service));
            let yardstick = median(turns.iter().map(|turn| turn.yardstick));
            let detail = format!("{:.0} k and {:.0} k events/s of one core", service / 1e3, yardstick / 1e3);
            Measured::new(target, ratio, detail)
        };
        vec![
            of_turns(Target::DecodeArrays, &self.arrays),
            of_turns(Target::DecodeForms, &self.forms),
            Measured::new(
                Target::FoldAndPublish,
                median(self.live.iter().copied()),
                format!("{SERVERS} matches of 32 players, a state told for {} events", self.events_per_state),
            ),
        ]
    }
}

impl fmt::Display for CpuReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "Events a second of one core, medians of {} rounds", self.arrays.len())?;
        for (name, turns) in [("decode, arrays (G3)", &self.arrays), ("decode, forms (G2)", &self.forms)] {
            let service = median(turns.iter().map(|turn| turn.service));
            let yardstick = median(turns.iter().map(|turn| turn.yardstick));
            let ratio = median(turns.iter().map(|turn| turn.service / turn.yardstick));
            writeln!(out, "  {name:<24}{service:>12.0}, yardstick {yardstick:>10.0}, ratio {ratio:.2}")?;
        }
        writeln!(out, "  {:<24}{:>12.0}", "live: fold and publish", median(self.live.iter().copied()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::unwrap_used, reason = "a test")]
    fn a_followed_match_tells_a_state_for_each_request_and_the_kills_between() {
        let traffic: Vec<ServerTraffic> = (0..2).map(ServerTraffic::of_server).collect();
        let mut followed = FollowedMatches::new(&traffic);
        for _ in 0..20 {
            let stamped = followed.next_requests().unwrap();
            for (one, stamped) in followed.matches.iter_mut().zip(&stamped) {
                one.follow(&followed.feeds, stamped);
            }
        }
        for one in &followed.matches {
            let (_, feed) = one.live.as_ref().unwrap();
            let (_, number) = *feed.newest().borrow();
            assert_eq!(number, one.number, "no update was left out");
            assert!(number > 20, "{number}");
            assert!(!feed.seen().board.kills.is_empty());
        }
    }
}
