//! Sequence numbers as ranges, and a set of them that stays small because neighbours melt together.

use std::collections::BTreeMap;
use std::fmt;

/// Sequence numbers `first` to `last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeqRange {
    pub first: u64,
    pub last: u64,
}

impl SeqRange {
    #[must_use]
    pub fn new(first: u64, last: u64) -> Self {
        Self { first, last }
    }

    #[must_use]
    pub fn contains(&self, seq: u64) -> bool {
        self.first <= seq && seq <= self.last
    }
}

impl fmt::Display for SeqRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}..={}", self.first, self.last)
    }
}

/// A set of sequence numbers. Ranges in it never touch or overlap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RangeSet {
    /// first → last, both included
    ranges: BTreeMap<u64, u64>,
}

impl RangeSet {
    /// An inverted range is empty and changes nothing.
    pub fn insert(&mut self, range: SeqRange) {
        let SeqRange { mut first, mut last } = range;
        if first > last {
            return;
        }
        while let Some((&other_first, &other_last)) = self.ranges.range(..=last.saturating_add(1)).next_back()
        {
            if other_last.saturating_add(1) < first {
                break;
            }
            self.ranges.remove(&other_first);
            first = first.min(other_first);
            last = last.max(other_last);
        }
        self.ranges.insert(first, last);
    }

    #[must_use]
    pub fn contains_all(&self, range: SeqRange) -> bool {
        self.ranges.range(..=range.first).next_back().is_some_and(|(_, &last)| last >= range.last)
    }

    #[must_use]
    pub fn intersects(&self, range: SeqRange) -> bool {
        self.ranges.range(..=range.last).next_back().is_some_and(|(_, &last)| last >= range.first)
    }

    /// Forgets every number below `seq`.
    pub fn remove_below(&mut self, seq: u64) {
        while let Some((&first, &last)) = self.ranges.iter().next() {
            if first >= seq {
                return;
            }
            self.ranges.remove(&first);
            if last >= seq {
                self.ranges.insert(seq, last);
                return;
            }
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    #[must_use]
    pub fn last(&self) -> Option<u64> {
        self.ranges.values().next_back().copied()
    }

    pub fn iter(&self) -> impl Iterator<Item = SeqRange> + '_ {
        self.ranges.iter().map(|(&first, &last)| SeqRange::new(first, last))
    }
}
