//! Servers for a demonstration: a quick past, then a present at real time, for ever.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::courier::{self, Courier, Gauges, Pace, SimulateError};
use super::dialect::Dialect;
use super::roster::Roster;
use super::{DialectChoice, Setting};

const SEED: u64 = 1944;
/// Short whole matches that each server plays at full speed, so that there is something to look at.
const PAST_MATCHES: usize = 3;
const PAST_SECONDS: std::ops::RangeInclusive<u32> = 90..=150;
/// From the beginning of one to that of the next.
const PAST_MATCH_MILLIS: i64 = 180_000;
const PRESENT_SECONDS: u32 = 300;
const SHORTEST_PRESENT_SECONDS: u32 = 75;

/// Plays with one server a token, in dialects that include today's, until `stop` is ready. A service that goes
/// away is waited for.
pub async fn demo(
    url: String,
    tokens: Vec<String>,
    stop: impl Future<Output = ()>,
) -> Result<(), SimulateError> {
    if tokens.is_empty() {
        return Err(SimulateError::NoTokens);
    }
    let url = courier::ingest_url(&url)?;
    let client = courier::client()?;
    let gauges = Arc::new(Gauges::default());
    let servers = tokens.len();
    let roster = Arc::new(Roster::new(SEED, servers, false));
    // Every start is another story under other match ids; the people stay the same.
    let story = chrono::Utc::now().timestamp_millis().cast_unsigned();
    let mut playing = JoinSet::new();
    for (server, token) in tokens.into_iter().enumerate() {
        let courier = Courier::new(server, client.clone(), url.clone(), Arc::clone(&gauges), Duration::MAX);
        playing.spawn(play_for_ever(server, servers, story, token, Arc::clone(&roster), courier));
    }
    tokio::pin!(stop);
    tokio::select! {
        () = &mut stop => Ok(()),
        ended = playing.join_next() => match ended {
            Some(Ok(Err(error))) => Err(error),
            Some(Err(error)) => Err(SimulateError::Task(error)),
            Some(Ok(Ok(never))) => match never {},
            None => Ok(()),
        },
    }
}

async fn play_for_ever(
    server: usize,
    servers: usize,
    story: u64,
    token: String,
    roster: Arc<Roster>,
    mut courier: Courier,
) -> Result<std::convert::Infallible, SimulateError> {
    // The first server speaks what today's scripts speak, which most servers of the field do. That tells neither map nor length, so
    // its past is told in other words.
    let today = DialectChoice::Mixed.of_server(server + 3);
    let guests = today.usual_guest_percent();
    let mut number = 0;
    loop {
        let is_past = number < PAST_MATCHES;
        let dialect = if is_past && today == Dialect::Live { Dialect::G3 } else { today };
        let (pace, length) = if is_past {
            let matches_ago = (PAST_MATCHES - number) as i64;
            let began_ms = story.cast_signed() - matches_ago * PAST_MATCH_MILLIS;
            (Pace::Past { began_ms }, PAST_SECONDS)
        } else {
            (Pace::Realtime, present_length(server, servers, number))
        };
        let setting =
            Setting { seed: story, server, number, dialect, token: &token, guests, length, query_port: None };
        let (scribe, _) = setting.stage(&roster);
        courier.deliver(scribe, &pace).await?;
        // Nobody asks what became of them, and it goes on for ever.
        courier.deliveries.clear();
        number += 1;
    }
}

/// The first match at real time is cut short by the server's place, so that matches end at different times.
fn present_length(server: usize, servers: usize, number: usize) -> std::ops::RangeInclusive<u32> {
    if number > PAST_MATCHES {
        return PRESENT_SECONDS - 20..=PRESENT_SECONDS + 20;
    }
    let share = (PRESENT_SECONDS as usize * (server + 1) / servers) as u32;
    let length = share.max(SHORTEST_PRESENT_SECONDS);
    length..=length
}
