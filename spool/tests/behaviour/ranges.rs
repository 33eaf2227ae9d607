use std::collections::BTreeSet;

use mohaa_spool::{RangeSet, SeqRange};
use proptest::prelude::*;

fn range() -> impl Strategy<Value = (u64, u64)> {
    (0..60_u64, 0..8_u64).prop_map(|(first, more)| (first, first + more))
}

fn build(ranges: &[(u64, u64)]) -> (RangeSet, BTreeSet<u64>) {
    let mut set = RangeSet::default();
    let mut model = BTreeSet::new();
    for &(first, last) in ranges {
        set.insert(SeqRange::new(first, last));
        model.extend(first..=last);
    }
    (set, model)
}

fn members(set: &RangeSet) -> BTreeSet<u64> {
    set.iter().flat_map(|range| range.first..=range.last).collect()
}

proptest! {
    #[test]
    fn a_range_set_is_a_set(
        inserted in prop::collection::vec(range(), 0..12),
        (first, last) in range(),
        floor in 0..70_u64,
    ) {
        let (mut set, mut model) = build(&inserted);
        prop_assert_eq!(members(&set), model.clone());
        let listed: Vec<SeqRange> = set.iter().collect();
        prop_assert!(listed.windows(2).all(|pair| pair[0].last + 1 < pair[1].first));
        let asked = SeqRange::new(first, last);
        prop_assert_eq!(set.contains_all(asked), (first..=last).all(|seq| model.contains(&seq)));
        prop_assert_eq!(set.intersects(asked), (first..=last).any(|seq| model.contains(&seq)));
        set.remove_below(floor);
        model.retain(|&seq| seq >= floor);
        prop_assert_eq!(set.last(), model.last().copied());
        prop_assert_eq!(set.is_empty(), model.is_empty());
        prop_assert_eq!(members(&set), model);
    }
}
