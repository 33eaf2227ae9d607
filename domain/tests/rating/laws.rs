//! Laws, for any match.

use mohaa_domain::rating::{Outcome, Rating, rate_free_for_all, rate_sides};
use proptest::prelude::*;

fn rating() -> impl Strategy<Value = Rating> {
    (-20.0..70.0_f64, 0.5..9.0_f64).prop_map(|(value, deviation)| Rating { value, deviation })
}

fn side() -> impl Strategy<Value = Vec<Rating>> {
    prop::collection::vec(rating(), 1..17)
}

fn field() -> impl Strategy<Value = Vec<(Rating, usize)>> {
    prop::collection::vec((rating(), 1_usize..12), 2..33)
}

/// What a deviation may be after a match: above nothing, and no more than before but for what skill drifts.
fn is_sound(before: Rating, after: Rating) -> bool {
    let most = (before.deviation.powi(2) + (25.0_f64 / 300.0).powi(2)).sqrt();
    after.value.is_finite() && after.deviation > 0.0 && after.deviation <= most
}

proptest! {
    #[test]
    fn who_wins_never_falls_and_who_loses_never_rises(winners in side(), losers in side()) {
        let (won, lost) = rate_sides(&winners, &losers, Outcome::Won);
        for (before, after) in winners.iter().zip(&won) {
            prop_assert!(after.value >= before.value && is_sound(*before, *after), "{before:?} {after:?}");
        }
        for (before, after) in losers.iter().zip(&lost) {
            prop_assert!(after.value <= before.value && is_sound(*before, *after), "{before:?} {after:?}");
        }
    }

    #[test]
    fn it_does_not_matter_which_side_is_named_first(one in side(), other in side()) {
        for (outcome, seen_from_there) in
            [(Outcome::Won, Outcome::Lost), (Outcome::Lost, Outcome::Won), (Outcome::Draw, Outcome::Draw)]
        {
            let (a, b) = rate_sides(&one, &other, outcome);
            let (d, c) = rate_sides(&other, &one, seen_from_there);
            for (one, other) in a.iter().zip(&c).chain(b.iter().zip(&d)) {
                prop_assert!((one.value - other.value).abs() < 1e-9);
                prop_assert!((one.deviation - other.deviation).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn a_draw_lies_between_winning_and_losing(one in side(), other in side()) {
        let value = |outcome| rate_sides(&one, &other, outcome).0[0].value;
        prop_assert!(value(Outcome::Lost) <= value(Outcome::Draw));
        prop_assert!(value(Outcome::Draw) <= value(Outcome::Won));
    }

    #[test]
    fn some_doubt_is_left_however_many_fight(players in field()) {
        let rated = rate_free_for_all(&players);
        for ((before, _), after) in players.iter().zip(&rated) {
            prop_assert!(is_sound(*before, *after), "{before:?} {after:?}");
            prop_assert!(after.deviation > before.deviation / 100.0, "{before:?} {after:?}");
        }
    }

    #[test]
    fn a_better_place_is_never_worth_less(players in field(), who in any::<prop::sample::Index>()) {
        let who = who.index(players.len());
        let mut better = players.clone();
        better[who].1 = better[who].1.saturating_sub(1);
        let (worse, better) = (rate_free_for_all(&players)[who], rate_free_for_all(&better)[who]);
        prop_assert!(better.value >= worse.value - 1e-9);
    }
}
