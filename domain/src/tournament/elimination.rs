//! The shape of single and double elimination: which matches there are and where their sides come from.

use super::bout::Source;
use super::key::{Key, Section};
use super::seeding::{self, Ordering};
use super::settings::GrandFinal;

/// A match before it is known how many games it has.
pub type Shape = (Key, [Source; 2]);

/// Slots of a bracket for so many entrants: the next power of two.
pub fn size(entrants: usize) -> usize {
    entrants.next_power_of_two().max(2)
}

/// Single elimination of `entrants` (2 or more).
pub fn single(entrants: usize, seeding: Ordering, third_place: bool) -> Vec<Shape> {
    let slots = first_round(entrants, seeding);
    let mut shape = rounds(Section::Single, &slots);
    let last = slots.len().trailing_zeros() as usize;
    if third_place && last >= 2 {
        let semi_final = |number| Source::Loser(Key::new(Section::Single, last - 1, number));
        shape.push((Key::CONSOLATION, [semi_final(1), semi_final(2)]));
    }
    shape
}

pub struct Double {
    pub grand_final: GrandFinal,
    pub consolation: bool,
    /// The worse half of the field starts in the lower bracket: as if everybody had been beaten in the first round by
    /// whom he should be beaten by.
    pub lower_start: bool,
}

/// Double elimination of `entrants` (2 or more).
pub fn double(entrants: usize, seeding: Ordering, options: &Double) -> Vec<Shape> {
    let slots = first_round(entrants, seeding);
    let size = slots.len();
    let lower_start = options.lower_start && size >= 4;
    let (upper_slots, direct): (Vec<Source>, Vec<Source>) = if lower_start {
        slots.chunks(2).map(|pair| better_first(pair[0], pair[1])).unzip()
    } else {
        (slots, Vec::new())
    };
    let mut shape = rounds(Section::Upper, &upper_slots);
    let upper_rounds = upper_slots.len().trailing_zeros() as usize;
    let losers = |round: usize| -> Vec<Source> {
        let matches = upper_slots.len() >> round;
        (1..=matches).map(|number| Source::Loser(Key::new(Section::Upper, round, number))).collect()
    };
    // Each list falls into the lower bracket at once, the first two by two.
    let mut falls: Vec<Vec<Source>> = (1..=upper_rounds).map(losers).collect();
    if lower_start {
        falls.insert(0, direct);
    }
    let champion_below = lower(size, &falls, &mut shape);
    if options.consolation && size >= 4 {
        let rounds = lower_rounds(size);
        let loser = |round| Source::Loser(Key::new(Section::Lower, round, 1));
        shape.push((Key::CONSOLATION, [loser(rounds - 1), loser(rounds)]));
    }
    if options.grand_final != GrandFinal::None {
        let champion_above = Source::Winner(Key::new(Section::Upper, upper_rounds, 1));
        shape.push((Key::GRAND_FINAL, [champion_above, champion_below]));
    }
    if options.grand_final == GrandFinal::Double {
        // It keeps the sides: the lower bracket's champion won the first match, or there would be no second.
        shape.push((Key::RESET, [Source::Loser(Key::GRAND_FINAL), Source::Winner(Key::GRAND_FINAL)]));
    }
    shape
}

fn lower_rounds(size: usize) -> usize {
    2 * size.trailing_zeros() as usize - 2
}

/// Seeds of a first round from the top; those that nobody has are byes.
fn first_round(entrants: usize, seeding: Ordering) -> Vec<Source> {
    let seeds: Vec<Source> = (1..=size(entrants))
        .map(|seed| {
            if seed <= entrants { Source::Seed(u16::try_from(seed).unwrap_or(u16::MAX)) } else { Source::Bye }
        })
        .collect();
    seeding.apply(&seeds)
}

fn better_first(one: Source, two: Source) -> (Source, Source) {
    match (one, two) {
        (Source::Seed(first), Source::Seed(second)) if second < first => (two, one),
        (Source::Bye, _) => (two, one),
        _ => (one, two),
    }
}

/// All rounds of one tree.
fn rounds(section: Section, slots: &[Source]) -> Vec<Shape> {
    let mut shape = Vec::with_capacity(slots.len());
    let mut sides = slots.to_vec();
    let mut round = 1;
    while sides.len() >= 2 {
        sides = pair_up(section, round, &sides, &mut shape);
        round += 1;
    }
    shape
}

/// One round of neighbours; gives its winners.
fn pair_up(section: Section, round: usize, sides: &[Source], shape: &mut Vec<Shape>) -> Vec<Source> {
    let first = shape.len();
    shape.extend(
        sides
            .chunks(2)
            .enumerate()
            .map(|(place, pair)| (Key::new(section, round, place + 1), [pair[0], pair[1]])),
    );
    shape[first..].iter().map(|(key, _)| Source::Winner(*key)).collect()
}

/// The lower bracket: rounds among its own by turns with rounds against those who fall. Gives who comes out of it.
fn lower(size: usize, falls: &[Vec<Source>], shape: &mut Vec<Shape>) -> Source {
    let mut sides = seeding::fallers(size, 0).apply(&falls[0]);
    for (fall, fallers) in falls.iter().enumerate().skip(1) {
        let winners = pair_up(Section::Lower, 2 * fall - 1, &sides, shape);
        let fallers = seeding::fallers(size, fall).apply(fallers);
        let sides_of_both: Vec<Source> =
            fallers.iter().zip(&winners).flat_map(|(faller, winner)| [*faller, *winner]).collect();
        sides = pair_up(Section::Lower, 2 * fall, &sides_of_both, shape);
    }
    // With two entrants there is no lower bracket: who lost once is its champion.
    sides[0]
}
