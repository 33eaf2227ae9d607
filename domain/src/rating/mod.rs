//! Ratings: how strong a player is, and how sure that is.
//!
//! A rating is a normal distribution with a mean and a deviation, changed after each match by the method of R. C. Weng and
//! C.-J. Lin, "A Bayesian Approximation Method for Online Ranking" (JMLR 12, 2011), in its Bradley–Terry form, as the
//! crate `skillratings` has it. Two sides meet as two teams; where everybody fights for himself, everybody meets
//! everybody. [`contest`](PlayedMatch::contest) says who of a match counts and what came out, [`Contest::rate`] what
//! that changes. All of it is pure: the same matches in the same order give the same numbers, to the last bit.

mod contest;

use skillratings::Outcomes;
use skillratings::weng_lin::{WengLinConfig, WengLinRating, weng_lin, weng_lin_two_teams};

pub use contest::{Change, Contest, Participant, PlayedMatch};

/// With fewer rated matches a rating is called provisional.
pub const PROVISIONAL_BELOW: u32 = 10;
/// What skill may change by between two matches (τ): it is added to the deviation before each one, so that a rating
/// never becomes so sure that it stops to move. A hundredth of the first deviation, as in TrueSkill and OpenSkill.
const DRIFT: f64 = 25.0 / 300.0;
/// A player of a free-for-all is compared with everybody else, but all of that weighs no more than this many duels.
/// The method adds the comparisons up: unweighed, sixteen of them leave nothing of the deviation of somebody new. A duel
/// takes less than a quarter of the variance, so four leave some whatever the ratings are.
const MOST_DUELS: usize = 4;
/// Deviations to either side of the mean between which skill lies: all but surely, and what boards rank by.
const SURELY: f64 = 3.0;

/// What is known about a player's skill.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rating {
    /// The best estimate (μ).
    pub value: f64,
    /// Its standard deviation (σ), above 0.
    pub deviation: f64,
}

impl Rating {
    /// Of somebody who was never rated.
    pub const NEW: Rating = Rating { value: 25.0, deviation: 25.0 / 3.0 };

    /// What skill is at least, all but surely (μ − 3σ): boards rank by it, so that a few lucky matches lead nowhere.
    pub fn low(self) -> f64 {
        self.value - SURELY * self.deviation
    }

    /// What skill is at most, all but surely (μ + 3σ).
    pub fn high(self) -> f64 {
        self.value + SURELY * self.deviation
    }

    fn before_a_match(self) -> WengLinRating {
        let variance = self.deviation * self.deviation + DRIFT * DRIFT;
        WengLinRating { rating: self.value, uncertainty: variance.sqrt() }
    }
}

impl From<WengLinRating> for Rating {
    fn from(rated: WengLinRating) -> Self {
        Rating { value: rated.rating, deviation: rated.uncertainty }
    }
}

/// Whether so many matches are too few to take a rating at its word.
pub fn is_provisional(matches: u32) -> bool {
    matches < PROVISIONAL_BELOW
}

/// How it went for the first of two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Won,
    Lost,
    Draw,
}

impl From<Outcome> for Outcomes {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Won => Outcomes::WIN,
            Outcome::Lost => Outcomes::LOSS,
            Outcome::Draw => Outcomes::DRAW,
        }
    }
}

/// Ratings of two sides after a match, in the order given. Where a side is empty nothing changes.
pub fn rate_sides(one: &[Rating], other: &[Rating], outcome: Outcome) -> (Vec<Rating>, Vec<Rating>) {
    if one.is_empty() || other.is_empty() {
        return (one.to_vec(), other.to_vec());
    }
    let drifted =
        |side: &[Rating]| -> Vec<WengLinRating> { side.iter().map(|it| it.before_a_match()).collect() };
    let (one, other) =
        weng_lin_two_teams(&drifted(one), &drifted(other), &outcome.into(), &WengLinConfig::new());
    let rated = |side: Vec<WengLinRating>| side.into_iter().map(Rating::from).collect();
    (rated(one), rated(other))
}

/// Ratings after a match of everybody against everybody, in the order given; each with the place that was reached,
/// equal ones being draws. Of up to five players it is what the crate's function for several teams gives.
pub fn rate_free_for_all(players: &[(Rating, usize)]) -> Vec<Rating> {
    if players.len() < 2 {
        return players.iter().map(|(rating, _)| *rating).collect();
    }
    let config = WengLinConfig::new();
    let drifted: Vec<(WengLinRating, usize)> =
        players.iter().map(|(rating, place)| (rating.before_a_match(), *place)).collect();
    let opponents = drifted.len() - 1;
    let weight = MOST_DUELS.min(opponents) as f64 / opponents as f64;
    let rated = drifted.iter().enumerate().map(|(index, (own, place))| {
        let variance = own.uncertainty * own.uncertainty;
        let (mut gained, mut settled) = (0.0, 0.0);
        for (_, (other, their_place)) in drifted.iter().enumerate().filter(|(theirs, _)| *theirs != index) {
            let outcome = match place.cmp(their_place) {
                std::cmp::Ordering::Less => Outcomes::WIN,
                std::cmp::Ordering::Equal => Outcomes::DRAW,
                std::cmp::Ordering::Greater => Outcomes::LOSS,
            };
            let (after, _) = weng_lin(own, other, &outcome, &config);
            gained += after.rating - own.rating;
            settled += 1.0 - after.uncertainty * after.uncertainty / variance;
        }
        Rating {
            value: own.rating + weight * gained,
            deviation: (variance * (1.0 - weight * settled)).sqrt(),
        }
    });
    rated.collect()
}
