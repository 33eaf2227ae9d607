//! Everybody meets everybody: the circle method.

use super::bout::Source;
use super::elimination::Shape;
use super::entrant::EntrantId;
use super::key::Key;

/// The rounds of one group (numbered from 1) of two or more. With an odd number one pauses in each round.
pub fn group(group: usize, entrants: &[EntrantId], twice: bool) -> Vec<Shape> {
    let rounds = circle(entrants.len());
    let mut shape = Vec::new();
    let once = rounds.len();
    let second_half = rounds.iter().map(|round| round.iter().map(|&(one, two)| (two, one)).collect());
    let all: Vec<Vec<(usize, usize)>> =
        rounds.iter().cloned().chain(second_half).take(if twice { 2 * once } else { once }).collect();
    for (round, pairs) in all.iter().enumerate() {
        for (place, &(one, two)) in pairs.iter().enumerate() {
            let sides = [Source::Entrant(entrants[one]), Source::Entrant(entrants[two])];
            shape.push((Key::in_group(group, round + 1, place + 1), sides));
        }
    }
    shape
}

/// Pairs of indices, round by round. The last index stands still (or is the pause), the others turn around it.
fn circle(entrants: usize) -> Vec<Vec<(usize, usize)>> {
    let even = entrants + entrants % 2;
    let turning = even - 1;
    (0..turning)
        .map(|round| {
            (0..even / 2)
                .map(|place| {
                    let one = (round + turning - place) % turning;
                    let two = if place == 0 { turning } else { (round + place) % turning };
                    (one, two)
                })
                .filter(|&(one, two)| one < entrants && two < entrants)
                .collect()
        })
        .collect()
}
