//! Single and double elimination of any size.

use std::collections::{BTreeMap, BTreeSet};

use mohaa_domain::tournament::{
    Bout, BoutStatus, Format, GrandFinal, Key, Knockout, Occupant, Options, Ordering, Section, Side, Source,
    Status, Tournament,
};
use proptest::prelude::*;

use super::play::{
    ORGANIZER, assert_sound, begun, better, bout, by_hash, key, losses, open, places, played, played_and,
    really_played, refused, report, reported, score, settings, sides, win, with_options, worse,
};
use mohaa_domain::tournament::Refusal;

const ORDERINGS: [Ordering; 6] = [
    Ordering::InnerOuter,
    Ordering::Natural,
    Ordering::Reverse,
    Ordering::HalfShift,
    Ordering::ReverseHalfShift,
    Ordering::PairFlip,
];

fn single(options: Options, entrants: u32) -> Tournament {
    begun(with_options(Format::SingleElimination, options), entrants)
}

fn double(options: Options, entrants: u32) -> Tournament {
    begun(with_options(Format::DoubleElimination, options), entrants)
}

fn grand_final(option: GrandFinal) -> Options {
    Options { grand_final: Some(option), ..Options::default() }
}

/// Seeds of the first round from the top, 0 for byes.
fn first_round(tournament: &Tournament, section: Section) -> Vec<u32> {
    let first = tournament.section(section).filter(|bout| bout.key.round == 1);
    first.flat_map(|bout| sides(bout).map(Option::unwrap)).collect()
}

fn log2(entrants: u32) -> u32 {
    entrants.next_power_of_two().trailing_zeros()
}

#[test]
fn every_seed_stands_once_in_the_first_round_and_byes_go_to_the_best() {
    for entrants in 2..=130 {
        for ordering in ORDERINGS {
            for format in [Format::SingleElimination, Format::DoubleElimination] {
                let tournament = begun(
                    mohaa_domain::tournament::Settings { seeding: ordering, ..settings(format) },
                    entrants,
                );
                let section =
                    if format == Format::SingleElimination { Section::Single } else { Section::Upper };
                let slots = first_round(&tournament, section);
                let mut seeds: Vec<u32> = slots.iter().copied().filter(|seed| *seed > 0).collect();
                seeds.sort_unstable();
                assert_eq!(seeds, (1..=entrants).collect::<Vec<_>>(), "{ordering:?} of {entrants}");
                assert_eq!(slots.len(), 1 << log2(entrants));
                if ordering == Ordering::InnerOuter {
                    let byes: BTreeSet<u32> = slots
                        .chunks(2)
                        .filter(|pair| pair.contains(&0))
                        .map(|pair| pair[0].max(pair[1]))
                        .collect();
                    let number = (1 << log2(entrants)) - entrants;
                    assert_eq!(byes, (1..=number).collect(), "of {entrants}");
                }
                assert_sound(&tournament);
            }
        }
    }
}

#[test]
fn single_elimination_plays_one_match_less_than_there_are_entrants() {
    for entrants in 2..=128 {
        for third_place in [false, true] {
            let begun = single(Options { third_place, ..Options::default() }, entrants);
            let rounds = begun.section(Section::Single).map(|bout| u32::from(bout.key.round)).max();
            assert_eq!(rounds, Some(log2(entrants)));
            for policy in [better, worse, by_hash] {
                let over = played(&begun, policy);
                assert_sound(&over);
                let third = usize::from(third_place && entrants >= 4);
                assert_eq!(really_played(&over), entrants as usize - 1 + third, "of {entrants}");
                let tiers = places(&over);
                let mut sizes = vec![1];
                sizes.extend((0..log2(entrants)).map(|round| 1 << round));
                if third_place && entrants >= 3 {
                    assert_eq!(tiers[2].len(), 1);
                    if entrants >= 4 {
                        assert_eq!(tiers[3].len(), 1, "third and fourth are not equal");
                    }
                } else {
                    let most = sizes.pop().unwrap();
                    let found: Vec<usize> = tiers.iter().map(Vec::len).collect();
                    assert_eq!(found[..found.len() - 1], sizes, "tiers of {entrants}");
                    assert!(*found.last().unwrap() <= most);
                }
            }
        }
    }
}

#[test]
fn when_the_better_one_always_wins_places_are_those_of_the_seeds() {
    for entrants in 2..=128 {
        let third = Options { third_place: true, ..Options::default() };
        let consolation = Options { consolation: true, ..Options::default() };
        for begun in [
            single(Options::default(), entrants),
            single(third, entrants),
            double(Options::default(), entrants),
            double(consolation, entrants),
            double(grand_final(GrandFinal::None), entrants),
        ] {
            let over = played(&begun, better);
            let order: Vec<u32> = places(&over).concat();
            assert_eq!(order, (1..=entrants).collect::<Vec<_>>(), "{:?}", over.settings.format);
        }
    }
}

#[test]
fn the_two_best_meet_only_in_the_final() {
    for entrants in 2..=128 {
        let over = played(&single(Options::default(), entrants), better);
        for bout in over.bouts.values().filter(|bout| sides(bout) == [Some(1), Some(2)]) {
            assert_eq!(u32::from(bout.key.round), log2(entrants));
        }
    }
}

#[test]
fn double_elimination_has_the_rounds_and_matches_of_its_size() {
    for entrants in 2..=130 {
        let tournament = double(Options::default(), entrants);
        let (size, rounds) = (1_usize << log2(entrants), log2(entrants) as usize);
        let count = |section| tournament.section(section).count();
        let last =
            |section| tournament.section(section).map(|bout| usize::from(bout.key.round)).max().unwrap_or(0);
        assert_eq!((count(Section::Upper), last(Section::Upper)), (size - 1, rounds));
        assert_eq!((count(Section::Lower), last(Section::Lower)), (size - 2, 2 * rounds - 2));
        assert_eq!(count(Section::GrandFinal), 2);
        assert_eq!(tournament.bouts.len(), 2 * size - 1);
    }
}

#[test]
fn everybody_but_the_champion_loses_twice_in_double_elimination() {
    for entrants in (2..=66).chain([96, 100, 127, 128]) {
        for option in [GrandFinal::None, GrandFinal::Simple, GrandFinal::Double] {
            let begun = double(grand_final(option), entrants);
            for policy in [better, worse, by_hash] {
                let over = played(&begun, policy);
                assert_sound(&over);
                let reset = usize::from(over.reset_is_due() && option == GrandFinal::Double);
                let expected = match option {
                    GrandFinal::None => 2 * entrants as usize - 3,
                    _ => 2 * entrants as usize - 2 + reset,
                };
                assert_eq!(really_played(&over), expected, "{option:?} of {entrants}");
                let places = over.final_places();
                for (id, lost) in losses(&over) {
                    let place = places.iter().position(|tier| tier.contains(&id)).unwrap();
                    match (place, option) {
                        (0, GrandFinal::Simple) => assert!(lost <= 1),
                        (0, _) => assert_eq!(lost, usize::from(reset == 1)),
                        (1, GrandFinal::Double) => assert_eq!(lost, 2),
                        (1, _) => assert!((1..=2).contains(&lost)),
                        _ => assert_eq!(lost, 2, "{id:?} of {entrants}"),
                    }
                }
            }
        }
    }
}

#[test]
fn losers_of_the_upper_bracket_fall_into_the_next_round_and_winners_go_to_the_neighbour() {
    for entrants in [4, 7, 8, 13, 16, 32, 64, 100, 128, 200, 256] {
        let tournament = double(Options::default(), entrants);
        let routes = tournament.routes();
        let upper_rounds = u16::try_from(log2(entrants)).unwrap();
        for upper in tournament.section(Section::Upper) {
            let Key { round, number, .. } = upper.key;
            let route = routes[&upper.key];
            let winner = if round == upper_rounds {
                (Key::GRAND_FINAL, Side::One)
            } else {
                let side = if number % 2 == 1 { Side::One } else { Side::Two };
                (Key::new(Section::Upper, usize::from(round) + 1, usize::from(number).div_ceil(2)), side)
            };
            assert_eq!(route.winner, Some(winner));
            let (to, side) = route.loser.unwrap();
            assert_eq!(to.section, Section::Lower);
            if round == 1 {
                assert_eq!((to.round, to.number), (1, number.div_ceil(2)), "neighbours meet");
            } else {
                assert_eq!((to.round, side), (2 * round - 2, Side::One));
            }
        }
        for lower in tournament.section(Section::Lower) {
            let route = routes[&lower.key];
            assert!(route.loser.is_none());
            let (to, side) = route.winner.unwrap();
            if lower.key.round == 2 * upper_rounds - 2 {
                assert_eq!((to, side), (Key::GRAND_FINAL, Side::Two));
            } else {
                assert_eq!((to.section, to.round), (Section::Lower, lower.key.round + 1));
                if lower.key.round % 2 == 1 {
                    assert_eq!((to.number, side), (lower.key.number, Side::Two));
                } else {
                    assert_eq!(to.number, lower.key.number.div_ceil(2));
                }
            }
        }
    }
}

#[test]
fn nobody_meets_the_same_again_before_he_must() {
    // Under any results a rematch comes in the second half of the lower bracket's rounds at the earliest.
    for entrants in [8, 16, 32, 64, 128] {
        for policy in [better, worse, by_hash] {
            let over = played(&double(Options::default(), entrants), policy);
            let mut met = BTreeSet::new();
            for bout in over.existing().filter(|bout| bout.outcome.is_some()) {
                let mut pair = sides(bout);
                pair.sort_unstable();
                if !met.insert(pair) && bout.key.section == Section::Lower {
                    assert!(u32::from(bout.key.round) >= log2(entrants), "{} of {entrants}", bout.key);
                }
            }
        }
    }
}

#[test]
fn the_reset_match_is_hidden_until_the_lower_champion_wins_and_keeps_the_sides() {
    let mut tournament = double(Options::default(), 4);
    assert!(tournament.existing().all(|bout| bout.key != Key::RESET));
    while open(&tournament).is_some_and(|bout| bout.key != Key::GRAND_FINAL) {
        let next = open(&tournament).map(|bout| (bout.key, better(bout))).unwrap();
        tournament = reported(&tournament, &next.0.to_string(), win(next.1));
    }
    let reset = report("GF2", score(1, 0));
    assert_eq!(refused(&tournament, ORGANIZER, 0, &reset), Refusal::ResetNotDue);
    assert_eq!(sides(bout(&tournament, "GF1")), [Some(1), Some(2)]);

    let straight = reported(&tournament, "GF1", score(2, 1));
    assert_eq!(straight.status, Status::Completed);
    assert_eq!(places(&straight), [[1], [2], [3], [4]]);
    assert_eq!(refused(&straight, ORGANIZER, 0, &reset), Refusal::ResetNotDue);

    let again = reported(&tournament, "GF1", score(1, 2));
    assert_eq!(again.status, Status::InProgress);
    assert_eq!(sides(bout(&again, "GF2")), [Some(1), Some(2)]);
    assert_eq!(places(&reported(&again, "GF2", score(1, 0))), [[1], [2], [3], [4]]);
    assert_eq!(places(&reported(&again, "GF2", score(0, 1))), [[2], [1], [3], [4]]);
}

#[test]
fn two_entrants_play_double_elimination_too() {
    let tournament = double(Options::default(), 2);
    let first = reported(&tournament, "W1.1", score(0, 1));
    assert_eq!(sides(bout(&first, "GF1")), [Some(2), Some(1)]);
    assert_eq!(places(&reported(&first, "GF1", score(1, 0))), [[2], [1]]);
    let reset = reported(&first, "GF1", score(0, 1));
    assert_eq!(sides(bout(&reset, "GF2")), [Some(2), Some(1)]);
    assert_eq!(places(&reported(&reset, "GF2", score(0, 1))), [[1], [2]]);
    let none = double(grand_final(GrandFinal::None), 2);
    assert_eq!(places(&reported(&none, "W1.1", score(0, 1))), [[2], [1]]);
    let all = Options { consolation: true, lower_start: true, ..Options::default() };
    assert_eq!(double(all, 2).bouts.len(), 3);
}

#[test]
fn losers_of_the_semi_finals_meet_in_order_for_third_place() {
    let mut tournament = single(Options { third_place: true, ..Options::default() }, 8);
    for text in ["R1.1", "R1.2", "R1.3", "R1.4"] {
        tournament = reported(&tournament, text, score(1, 0));
    }
    let second = reported(&tournament, "R2.2", score(1, 0));
    assert_eq!(sides(bout(&second, "C1")), [None, Some(3)]);
    assert_eq!(bout(&second, "C1").status, BoutStatus::Waiting);
    let both = reported(&second, "R2.1", score(1, 0));
    assert_eq!(sides(bout(&both, "C1")), [Some(4), Some(3)]);
    let last = reported(&both, "R3.1", score(1, 0));
    assert_eq!(last.status, Status::InProgress, "third place is left to play");
    assert_eq!(places(&reported(&last, "C1", score(1, 0)))[2..4], [[4], [3]]);
}

#[test]
fn the_consolation_is_between_the_losers_of_the_last_two_lower_rounds() {
    for entrants in 3..=64 {
        let tournament = double(Options { consolation: true, ..Options::default() }, entrants);
        let rounds = usize::try_from(2 * log2(entrants) - 2).unwrap();
        let loser = |round| Source::Loser(Key::new(Section::Lower, round, 1));
        assert_eq!(bout(&tournament, "C1").sources, [loser(rounds - 1), loser(rounds)]);
        let over = played(&tournament, by_hash);
        assert_sound(&over);
        let tiers = places(&over);
        let third = over.bouts[&Key::CONSOLATION].winner();
        assert_eq!(tiers[2], [third.entrant().unwrap().0]);
    }
}

#[test]
fn with_a_lower_start_half_of_the_field_begins_below() {
    let tournament = double(Options { lower_start: true, ..Options::default() }, 8);
    let of = |text| sides(bout(&tournament, text));
    assert_eq!([of("W1.1"), of("W1.2")], [[Some(1), Some(4)], [Some(2), Some(3)]]);
    assert_eq!([of("L1.1"), of("L1.2")], [[Some(8), Some(5)], [Some(7), Some(6)]]);
    assert_eq!(tournament.section(Section::Upper).count(), 3);
    assert_eq!(tournament.section(Section::Lower).count(), 6);
    for entrants in 2..=128 {
        let options = Options { lower_start: true, ..Options::default() };
        for policy in [better, worse, by_hash] {
            let over = played(&double(options.clone(), entrants), policy);
            assert_sound(&over);
            assert_eq!(over.final_places()[0].len(), 1);
        }
    }
}

/// Each tier's places, by entrant.
fn known(tournament: &Tournament) -> BTreeMap<u32, (usize, usize)> {
    let tiers = tournament.known_places().into_iter();
    tiers.flat_map(|tier| tier.entrants.into_iter().map(move |id| (id.0, (tier.first, tier.last)))).collect()
}

#[test]
fn who_is_out_has_a_place_while_others_play() {
    let begun = single(Options { third_place: true, ..Options::default() }, 8);
    assert!(known(&begun).is_empty());
    let first = reported(&begun, "R1.1", score(1, 0));
    assert_eq!(known(&first), BTreeMap::from([(8, (5, 8))]));
    let two = reported(&reported(&first, "R1.2", score(1, 0)), "R2.1", score(1, 0));
    assert_eq!(known(&two), BTreeMap::from([(8, (5, 8)), (5, (5, 8))]), "the loser plays for third place");
    let below = reported(&double(Options::default(), 8), "W1.1", score(1, 0));
    assert!(known(&below).is_empty(), "there is a lower bracket");
}

fn results() -> impl Strategy<Value = Vec<bool>> {
    prop::collection::vec(any::<bool>(), 300)
}

fn drawn(results: &[bool]) -> impl FnMut(&Bout) -> Side + '_ {
    let mut results = results.iter().cycle();
    move |_| if *results.next().unwrap() { Side::One } else { Side::Two }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_place_that_is_known_is_the_place_at_the_end(
        results in results(),
        entrants in 2_u32..=40,
        third_place: bool,
        lower_start: bool,
        last in prop_oneof![Just(None), Just(Some(GrandFinal::None)), Just(Some(GrandFinal::Simple)), Just(Some(GrandFinal::Double))],
    ) {
        let begun = match last {
            None => single(Options { third_place, ..Options::default() }, entrants),
            Some(last) => {
                let options = Options { consolation: third_place, lower_start, ..grand_final(last) };
                double(options, entrants)
            }
        };
        let mut told = BTreeMap::new();
        let over = played_and(&begun, drawn(&results), |now| {
            for (id, place) in known(now) {
                assert_eq!(*told.entry(id).or_insert(place), place, "{id} of {entrants}");
            }
        });
        let mut place = 1;
        for tier in places(&over) {
            for id in &tier {
                prop_assert_eq!(told[id], (place, place + tier.len() - 1), "{} of {}", id, entrants);
            }
            place += tier.len();
        }
    }

    #[test]
    fn any_elimination_is_sound_at_every_step(
        entrants in 2_u32..=128,
        double in any::<bool>(),
        option in prop::sample::select(vec![GrandFinal::None, GrandFinal::Simple, GrandFinal::Double]),
        (third_place, consolation, lower_start) in any::<(bool, bool, bool)>(),
        seeding in prop::sample::select(ORDERINGS.to_vec()),
        results in results(),
    ) {
        let format = if double { Format::DoubleElimination } else { Format::SingleElimination };
        let options = Options {
            grand_final: Some(option), third_place, consolation, lower_start,
            knockout: Knockout::SingleElimination, ..Options::default()
        };
        let settings = mohaa_domain::tournament::Settings { seeding, ..with_options(format, options) };
        let tournament = begun(settings, entrants);
        let over = played_and(&tournament, drawn(&results), assert_sound);
        prop_assert_eq!(over.final_places()[0].len(), 1);
        let champion = Occupant::Entrant(over.final_places()[0][0]);
        let last = match (double, option) {
            (false, _) => key(&format!("R{}.1", log2(entrants))),
            (true, GrandFinal::None) => {
                over.section(Section::Upper).map(|bout| bout.key).max().unwrap()
            }
            (true, GrandFinal::Double) if over.reset_is_due() => Key::RESET,
            (true, _) => Key::GRAND_FINAL,
        };
        prop_assert_eq!(over.bouts[&last].winner(), champion);
    }
}
