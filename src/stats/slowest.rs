//! The statements of statistics that ClickHouse took longest for lately, by their text: values are nobody's business.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use utoipa::ToSchema;

const REMEMBERED: usize = 10;
const REMEMBERED_FOR: TimeDelta = TimeDelta::minutes(10);
/// Of a text; the rest of it says hardly more.
const LONGEST_TEXT_CHARS: usize = 400;

/// A statement, and the longest that it took within the last ten minutes.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct SlowQuestion {
    /// As it was sent, with `?` for values; at most 400 characters.
    pub statement: String,
    /// From sending it to the last row, in seconds.
    pub seconds: f64,
    pub at: DateTime<Utc>,
    /// How often it was among the slowest since it first was.
    pub times: u64,
    /// Whether it brought no answer.
    pub failed: bool,
}

/// Cheap to clone; clones are one.
#[derive(Clone, Default)]
pub struct SlowestQuestions {
    slowest: Arc<Mutex<Vec<SlowQuestion>>>,
}

impl SlowestQuestions {
    /// Notes how long a statement took.
    pub(super) fn note(&self, statement: &str, took: Duration, failed: bool, at: DateTime<Utc>) {
        let seconds = took.as_secs_f64();
        let mut slowest = self.slowest.lock().unwrap_or_else(PoisonError::into_inner);
        slowest.retain(|known| at - known.at < REMEMBERED_FOR);
        if slowest.len() == REMEMBERED && slowest.last().is_some_and(|last| seconds <= last.seconds) {
            return;
        }
        let statement = shortened(statement);
        match slowest.iter_mut().find(|known| known.statement == statement) {
            Some(known) => {
                known.times += 1;
                if seconds > known.seconds {
                    (known.seconds, known.at, known.failed) = (seconds, at, failed);
                }
            }
            None => {
                slowest.truncate(REMEMBERED - 1);
                slowest.push(SlowQuestion { statement, seconds, at, times: 1, failed });
            }
        }
        slowest.sort_by(|one, other| other.seconds.total_cmp(&one.seconds));
    }

    /// The slowest first.
    pub fn list(&self, now: DateTime<Utc>) -> Vec<SlowQuestion> {
        let slowest = self.slowest.lock().unwrap_or_else(PoisonError::into_inner);
        slowest.iter().filter(|known| now - known.at < REMEMBERED_FOR).cloned().collect()
    }
}

/// In one line.
fn shortened(statement: &str) -> String {
    let mut text = String::new();
    for word in statement.split_whitespace() {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(word);
    }
    match text.char_indices().nth(LONGEST_TEXT_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_slowest_are_remembered_by_their_longest_for_ten_minutes() {
        let slowest = SlowestQuestions::default();
        let began = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        for number in 1..=20 {
            slowest.note(&format!("SELECT {number}"), Duration::from_secs(number), false, began);
        }
        slowest.note("SELECT\n  15", Duration::from_secs(30), true, began + TimeDelta::minutes(5));
        let seconds = |at| slowest.list(at).iter().map(|known| known.seconds as u64).collect::<Vec<_>>();
        assert_eq!(seconds(began), [30, 20, 19, 18, 17, 16, 14, 13, 12, 11]);
        let longest = &slowest.list(began)[0];
        assert_eq!((longest.statement.as_str(), longest.times, longest.failed), ("SELECT 15", 2, true));
        assert_eq!(seconds(began + TimeDelta::minutes(11)), [30]);
        slowest.note("SELECT 1", Duration::from_secs(1), false, began + TimeDelta::minutes(11));
        assert_eq!(seconds(began + TimeDelta::minutes(11)), [30, 1]);
    }
}
