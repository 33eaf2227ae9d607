//! Ratings: against published numbers, and laws that hold for any match.

#![allow(clippy::unwrap_used)]

mod contests;
mod laws;

use mohaa_domain::rating::{Outcome, Rating, is_provisional, rate_free_for_all, rate_sides};
use serde_json::Value;

fn ratings(side: &Value) -> Vec<Rating> {
    let number = |value: &Value| value.as_f64().unwrap();
    let players = side.as_array().unwrap().iter();
    players.map(|one| Rating { value: number(&one[0]), deviation: number(&one[1]) }).collect()
}

fn assert_near(found: &[Rating], expected: &[Rating], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        let distance = (found.value - expected.value).abs().max((found.deviation - expected.deviation).abs());
        assert!(distance <= tolerance, "{found:?} instead of {expected:?}");
    }
}

#[test]
fn two_sides_are_rated_as_other_implementations_rate_them() {
    let reference: Value = serde_json::from_str(include_str!("two_sides.json")).unwrap();
    let cases = reference["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 5);
    for case in cases {
        let (winners, losers) = (ratings(&case["before"][0]), ratings(&case["before"][1]));
        let expected = (ratings(&case["after"][0]), ratings(&case["after"][1]));
        let (one, other) = rate_sides(&winners, &losers, Outcome::Won);
        assert_near(&one, &expected.0, 0.5e-6);
        assert_near(&other, &expected.1, 0.5e-6);
        let (one, other) = rate_sides(&losers, &winners, Outcome::Lost);
        assert_near(&one, &expected.1, 0.5e-6);
        assert_near(&other, &expected.0, 0.5e-6);
    }
}

#[test]
fn a_small_free_for_all_is_rated_as_the_method_for_several_teams_does() {
    use skillratings::MultiTeamOutcome;
    use skillratings::weng_lin::{WengLinConfig, WengLinRating, weng_lin_multi_team};
    let players =
        [(Rating::NEW, 2), (Rating { value: 31.5, deviation: 2.0 }, 1), (Rating::NEW, 2), (Rating::NEW, 4)];
    for count in 2..=players.len() {
        let drifted = players[..count].iter().map(|(rating, place)| {
            let uncertainty = (rating.deviation.powi(2) + (25.0_f64 / 300.0).powi(2)).sqrt();
            ([WengLinRating { rating: rating.value, uncertainty }], *place)
        });
        let drifted: Vec<_> = drifted.collect();
        let teams: Vec<(&[WengLinRating], MultiTeamOutcome)> =
            drifted.iter().map(|(team, place)| (team.as_slice(), MultiTeamOutcome::new(*place))).collect();
        let expected = weng_lin_multi_team(&teams, &WengLinConfig::new());
        let expected: Vec<Rating> = expected
            .iter()
            .map(|team| Rating { value: team[0].rating, deviation: team[0].uncertainty })
            .collect();
        assert_near(&rate_free_for_all(&players[..count]), &expected, 1e-12);
    }
}

#[test]
fn a_large_free_for_all_leaves_doubt_about_whoever_is_new() {
    let players: Vec<(Rating, usize)> = (1..=32).map(|place| (Rating::NEW, place)).collect();
    let rated = rate_free_for_all(&players);
    assert!(rated.iter().all(|rating| rating.deviation > 6.0), "{rated:?}");
    assert!(rated[0].value < 40.0 && rated[31].value > 10.0, "{rated:?}");
    assert!(rated.windows(2).all(|pair| pair[0].value > pair[1].value), "{rated:?}");
}

#[test]
fn a_rating_is_shown_as_a_range_and_is_provisional_below_ten_matches() {
    let rating = Rating { value: 30.0, deviation: 5.0 };
    assert_eq!((rating.low(), rating.high()), (15.0, 45.0));
    assert_eq!((Rating::NEW.low(), Rating::NEW.high()), (0.0, 50.0));
    assert_eq!([0, 9, 10, 11].map(is_provisional), [true, true, false, false]);
}
