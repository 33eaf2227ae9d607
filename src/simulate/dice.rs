//! The one source of chance. A die is made from the seed, a purpose and numbers (server, match), so that each part
//! of a simulation throws its own: a draw more in one match changes no other match.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};

/// A named, seeded stream of random numbers. Xoshiro256++ has a published reference, so a seed gives the same
/// numbers on every machine; ranges are derived here, because `rand` may change its own between releases.
#[derive(Clone, Debug)]
pub struct Dice {
    generator: Xoshiro256PlusPlus,
}

impl Dice {
    pub fn new(seed: u64, purpose: &str, numbers: &[u64]) -> Self {
        let mut mixed = fold(seed, 0x006d_6f68_6161);
        for byte in purpose.bytes() {
            mixed = fold(mixed, u64::from(byte));
        }
        for number in numbers {
            mixed = fold(mixed, *number);
        }
        Self { generator: Xoshiro256PlusPlus::seed_from_u64(mixed) }
    }

    pub fn bits(&mut self) -> u64 {
        self.generator.next_u64()
    }

    /// From 0 up to, not including, 1.
    pub fn fraction(&mut self) -> f64 {
        // 53 bits are what an f64 holds exactly.
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn chance(&mut self, probability: f64) -> bool {
        self.fraction() < probability
    }

    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.fraction()
    }

    /// From 0 up to, not including, `count`; 0 when `count` is 0.
    pub fn below(&mut self, count: usize) -> usize {
        ((u128::from(self.bits()) * count as u128) >> 64) as usize
    }

    /// Both ends are included.
    pub fn whole(&mut self, low: u32, high: u32) -> u32 {
        low + self.below((high.saturating_sub(low) + 1) as usize) as u32
    }

    /// An element by chance. `items` must not be empty.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// The finaliser of SplitMix64: every bit of both inputs reaches every bit of the result.
fn fold(state: u64, value: u64) -> u64 {
    let mut mixed = state.rotate_left(17) ^ value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
