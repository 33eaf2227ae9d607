//! The last ten minutes of this node, in samples of every two seconds; older ones are Prometheus' business.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use mohaa_actors::accounting::Balance;
use serde::Serialize;
use utoipa::ToSchema;

use super::figures::Figures;

pub(super) const SAMPLE_EVERY: Duration = Duration::from_secs(2);
/// Of what is kept.
pub const SPAN: Duration = Duration::from_secs(600);
const MOST_SAMPLES: usize = SPAN.as_secs().div_ceil(SAMPLE_EVERY.as_secs()) as usize;
/// Over which means and increases are told.
const LATELY: Duration = Duration::from_secs(60);

/// What an actor kind had done up to a moment, since the process began.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct KindTotals {
    pub waits: u64,
    pub waited_seconds: f64,
    pub runs: u64,
    pub run_seconds: f64,
    pub rejected: u64,
    pub restarts: u64,
    pub blocked_seconds: f64,
}

/// What was counted at a moment.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub at: DateTime<Utc>,
    pub taken: Instant,
    pub balance: Balance,
    pub mailbox_depth: u64,
    pub spool_bytes: u64,
    pub kinds: Vec<(&'static str, KindTotals)>,
    pub figures: Figures,
    /// Live matches of this node that lack something.
    pub stale_matches: u64,
}

impl Sample {
    /// Events that came in, or were found in the spool, up to then.
    fn entered(&self) -> u64 {
        self.balance.received + self.balance.recovered
    }

    pub fn of_kind(&self, kind: &str) -> KindTotals {
        let totals = self.kinds.iter().find(|(known, _)| *known == kind);
        totals.map(|(_, totals)| *totals).unwrap_or_default()
    }
}

/// A node at one moment of the last ten minutes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub struct HistoryPoint {
    pub at: DateTime<Utc>,
    /// Events taken since the point before, a second.
    pub accepted_per_second: f64,
    /// Events that got into ClickHouse since the point before, a second.
    pub stored_per_second: f64,
    /// Events in the Batcher's mailbox or in work.
    pub mailbox_depth: u64,
    /// Of the spool, on disk and queued.
    pub spool_bytes: u64,
    /// For how long the oldest event has been waiting whose end is open; 0 where none waits.
    pub lag_seconds: f64,
}

/// A ring of samples.
#[derive(Default)]
pub(super) struct History {
    samples: VecDeque<(Sample, HistoryPoint)>,
}

impl History {
    pub fn push(&mut self, sample: Sample) {
        let point = self.point(&sample);
        if self.samples.len() == MOST_SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back((sample, point));
    }

    /// The oldest first.
    pub fn points(&self) -> Vec<HistoryPoint> {
        self.samples.iter().map(|(_, point)| *point).collect()
    }

    /// A sample of now, seen with those before it.
    pub fn point(&self, now: &Sample) -> HistoryPoint {
        let before = self.samples.back().map(|(sample, _)| sample);
        let seconds = before.map_or(0.0, |before| (now.taken - before.taken).as_secs_f64());
        let per_second = |count: fn(&Balance) -> u64| match before {
            Some(before) if seconds > 0.0 => {
                count(&now.balance).saturating_sub(count(&before.balance)) as f64 / seconds
            }
            _ => 0.0,
        };
        HistoryPoint {
            at: now.at,
            accepted_per_second: per_second(|balance| balance.received.saturating_sub(balance.rejected)),
            stored_per_second: per_second(|balance| balance.stored),
            mailbox_depth: now.mailbox_depth,
            spool_bytes: now.spool_bytes,
            lag_seconds: self.lag(now).as_secs_f64(),
        }
    }

    /// Events end about in the order in which they came: the oldest that is open came when as many had come as have ended by
    /// now. As exact as the samples are close; what has waited since before the oldest sample counts from there.
    fn lag(&self, now: &Sample) -> Duration {
        let in_flight = u64::try_from(now.balance.in_flight).unwrap_or(0);
        if in_flight == 0 {
            return Duration::ZERO;
        }
        let ended = now.entered().saturating_sub(in_flight);
        let came = self.samples.iter().map(|(sample, _)| sample).find(|sample| sample.entered() > ended);
        came.map_or(Duration::ZERO, |sample| now.taken - sample.taken)
    }

    /// The sample of a minute ago, or the oldest there is.
    pub fn lately(&self, now: Instant) -> Option<&Sample> {
        let samples = self.samples.iter().map(|(sample, _)| sample);
        samples.rev().take_while(|sample| now - sample.taken <= LATELY).last()
    }

    /// For how long something has been so in every sample up to now, as far back as is known.
    pub fn lasts(&self, now: &Sample, is_so: impl Fn(&Sample) -> bool) -> Duration {
        if !is_so(now) {
            return Duration::ZERO;
        }
        let samples = self.samples.iter().rev().map(|(sample, _)| sample);
        let so = samples.take_while(|sample| is_so(sample));
        so.last().map_or(Duration::ZERO, |sample| now.taken - sample.taken)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sample(began: Instant, second: u64, received: u64, stored: u64) -> Sample {
        Sample {
            at: DateTime::from_timestamp(1_700_000_000 + second as i64, 0).unwrap(),
            taken: began + Duration::from_secs(second),
            balance: Balance {
                received,
                recovered: 0,
                stored,
                rejected: 0,
                dead_lettered: 0,
                held: 0,
                in_flight: received as i64 - stored as i64,
                unaccounted: 0,
            },
            mailbox_depth: 0,
            spool_bytes: 0,
            kinds: Vec::new(),
            figures: Figures::default(),
            stale_matches: 0,
        }
    }

    #[test]
    fn the_oldest_open_event_came_when_as_many_had_come_as_have_ended() {
        let (began, mut history) = (Instant::now(), History::default());
        for second in (0..60).step_by(2) {
            history.push(sample(began, second, second * 10, second.min(20) * 10));
        }
        let points = history.points();
        assert_eq!(points[5].lag_seconds, 0.0);
        // 200 have ended, and the 201st was there at second 22.
        assert_eq!(points.last().unwrap().lag_seconds, 36.0);
        assert_eq!(points.last().unwrap().accepted_per_second, 10.0);
        assert_eq!(points.last().unwrap().stored_per_second, 0.0);
        let now = sample(began, 60, 600, 200);
        assert_eq!(history.lasts(&now, |sample| sample.balance.stored == 200), Duration::from_secs(40));
        assert_eq!(history.lasts(&now, |sample| sample.balance.stored == 100), Duration::ZERO);
        assert_eq!(history.point(&sample(began, 60, 600, 600)).lag_seconds, 0.0);
    }

    #[test]
    fn only_the_last_ten_minutes_are_kept() {
        let (began, mut history) = (Instant::now(), History::default());
        for second in (0..2_000).step_by(2) {
            history.push(sample(began, second, second, second));
        }
        let points = history.points();
        assert_eq!(points.len(), 300);
        assert_eq!(points[0].at.timestamp(), 1_700_000_000 + 1_400);
        assert_eq!(history.lately(began + Duration::from_secs(1_998)).unwrap().balance.received, 1_938);
    }
}
