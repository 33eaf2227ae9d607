//! In which order entrants meet: the first round of a bracket, fallers into a lower bracket, and groups.

use serde::{Deserialize, Serialize};

/// How a list is put in order: the seeds of a first round, or those who fall from the upper bracket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ordering {
    /// The best against the worst, such that the best two meet as late as can be: 1 8 4 5 2 7 3 6.
    #[default]
    InnerOuter,
    Natural,
    Reverse,
    /// The second half first.
    HalfShift,
    /// Each half backwards.
    ReverseHalfShift,
    /// Neighbours change places.
    PairFlip,
}

impl Ordering {
    /// Puts a list in order.
    ///
    /// # Panics
    /// [`Ordering::InnerOuter`] needs a power of two.
    pub fn apply<T: Copy>(self, list: &[T]) -> Vec<T> {
        let (first, second) = list.split_at(list.len() / 2);
        match self {
            Ordering::InnerOuter => inner_outer(list.len()).into_iter().map(|seed| list[seed - 1]).collect(),
            Ordering::Natural => list.to_vec(),
            Ordering::Reverse => list.iter().rev().copied().collect(),
            Ordering::HalfShift => second.iter().chain(first).copied().collect(),
            Ordering::ReverseHalfShift => first.iter().rev().chain(second.iter().rev()).copied().collect(),
            Ordering::PairFlip => list.chunks(2).flat_map(|pair| pair.iter().rev()).copied().collect(),
        }
    }
}

/// Seeds from the top of a bracket of so many: each round's seeds are those of the round after it, each followed by the
/// one that it should beat.
fn inner_outer(size: usize) -> Vec<usize> {
    assert!(size.is_power_of_two(), "a bracket has a power of two of slots, not {size}");
    let mut seeds = vec![1];
    while seeds.len() < size {
        let sum = seeds.len() * 2 + 1;
        seeds = seeds.into_iter().flat_map(|seed| [seed, sum - seed]).collect();
    }
    seeds
}

/// How those who lose a round of the upper bracket are put into the lower one, `fall` 0 for the first round. The orders
/// are those of the tables up to 128 slots; larger brackets go on in the way of 128.
pub fn fallers(size: usize, fall: usize) -> Ordering {
    use Ordering::{HalfShift, Natural, PairFlip, Reverse, ReverseHalfShift};
    let rounds = size.trailing_zeros() as usize;
    let orders: &[Ordering] = match rounds {
        0..=3 => &[Natural, Reverse],
        4 => &[Natural, ReverseHalfShift, Reverse],
        5 => &[Natural, Reverse, HalfShift],
        6 => &[Natural, Reverse, HalfShift, Reverse],
        _ => &[Natural, Reverse, HalfShift],
    };
    let between = rounds > 6 && fall + 1 < rounds;
    orders.get(fall).copied().unwrap_or(if between { PairFlip } else { Natural })
}

/// How entrants are dealt to groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupSeeding {
    /// 1 to the first group, 2 to the second, and again from the first.
    EffortBalanced,
    /// The snake: there and back, so that the sums of seeds are alike.
    #[default]
    SeedOptimized,
    /// Who would meet in the first round of a bracket is dealt to groups half the field apart.
    BracketOptimized,
}

/// Deals the seeds 1 to `entrants` to so many groups, each sorted by seed. Sizes differ by one at most.
pub fn groups(seeding: GroupSeeding, entrants: usize, groups: usize) -> Vec<Vec<usize>> {
    let mut dealt = vec![Vec::new(); groups];
    let group_of = |place: usize| match seeding {
        GroupSeeding::EffortBalanced => place % groups,
        // An odd number of groups has no two halves.
        GroupSeeding::BracketOptimized if groups.is_multiple_of(2) => {
            let (run, at) = (place / groups, place % groups);
            if run.is_multiple_of(2) { at } else { (groups - 1 - at + groups / 2) % groups }
        }
        GroupSeeding::SeedOptimized | GroupSeeding::BracketOptimized => {
            let (run, at) = (place / groups, place % groups);
            if run.is_multiple_of(2) { at } else { groups - 1 - at }
        }
    };
    for place in 0..entrants {
        dealt[group_of(place)].push(place + 1);
    }
    dealt
}
