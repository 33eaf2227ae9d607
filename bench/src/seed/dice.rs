//! The one source of chance. A die is made from the seed, a purpose and numbers (day, match), so days can be made in any
//! order and on any number of threads.
//!
//! Xoshiro256++ has a published reference, and nothing here calls a function whose last digit depends on the machine
//! (no logarithm, no power, no sine): equal seeds give equal rows everywhere.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};

pub struct Dice {
    generator: Xoshiro256PlusPlus,
}

impl Dice {
    pub fn new(seed: u64, purpose: &str, numbers: &[u64]) -> Self {
        let bytes = purpose.bytes().map(u64::from);
        let mixed = bytes.chain(numbers.iter().copied()).fold(mix(seed, 0x6d6f_6861), mix);
        Self { generator: Xoshiro256PlusPlus::seed_from_u64(mixed) }
    }

    /// From 0 up to, not including, 1.
    pub fn fraction(&mut self) -> f64 {
        // 53 bits are what an f64 holds exactly.
        (self.generator.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn chance(&mut self, probability: f64) -> bool {
        self.fraction() < probability
    }

    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.fraction()
    }

    /// From 0 up to, not including, `count`; 0 when `count` is 0.
    pub fn below(&mut self, count: usize) -> usize {
        ((u128::from(self.generator.next_u64()) * count as u128) >> 64) as usize
    }

    /// An element by chance. `items` must not be empty.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

/// The finaliser of SplitMix64: every bit of both inputs reaches every bit of the result.
pub fn mix(state: u64, value: u64) -> u64 {
    let mut mixed = state.rotate_left(17) ^ value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
