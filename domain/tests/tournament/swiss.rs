//! Swiss: exact pairing, byes, rounds and thresholds.

use std::collections::{BTreeMap, BTreeSet};

use mohaa_domain::tournament::{
    Bout, BoutStatus, By, Command, Contender, EntrantId, FirstStage, Format, NoLegalRound, Options, Outcome,
    Points, PointsFor, Refusal, Section, Side, Source, Status, Tournament, pair,
};
use proptest::prelude::*;

use super::play::{
    ORGANIZER, assert_sound, begun, better, bout, by_hash, open, played, played_and, refused, report,
    reported, score, settings, sides, then, win, with_options, worse,
};
use super::vectors::cost_of;

fn next_round(allow_rematches: bool) -> Command {
    Command::NextRound { allow_rematches }
}

fn swiss(options: Options, entrants: u32) -> Tournament {
    begun(with_options(Format::Swiss, options), entrants)
}

fn rounds(number: u32) -> Options {
    Options { swiss_rounds: Some(number), ..Options::default() }
}

/// No rematch, at most one bye each, nobody twice in a round.
fn assert_swiss(tournament: &Tournament) {
    let mut met = BTreeSet::new();
    let mut byes: BTreeMap<u32, usize> = BTreeMap::new();
    for bout in tournament.section(Section::Swiss) {
        let mut pair = sides(bout).map(Option::unwrap);
        if pair[1] == 0 {
            *byes.entry(pair[0]).or_default() += 1;
        } else {
            pair.sort_unstable();
            assert!(met.insert(pair), "{pair:?} meet again in {}", bout.key);
        }
    }
    assert!(byes.values().all(|byes| *byes == 1), "{byes:?}");
    for round in 1..=tournament.swiss_round() {
        let bouts: Vec<&Bout> =
            tournament.section(Section::Swiss).filter(|bout| bout.key.round == round).collect();
        let busy: Vec<u32> =
            bouts.iter().flat_map(|bout| sides(bout)).flatten().filter(|id| *id > 0).collect();
        assert_eq!(busy.len(), busy.iter().collect::<BTreeSet<_>>().len());
        let bye = bouts.iter().position(|bout| bout.has_bye());
        assert!(bye.is_none_or(|bye| bye + 1 == bouts.len()), "a bye is the round's last match");
    }
}

#[test]
fn in_the_first_round_the_top_half_meets_the_bottom_half() {
    for entrants in 2..=65_u32 {
        let tournament = swiss(Options::default(), entrants);
        let half = entrants / 2;
        for bout in tournament.bouts.values() {
            let number = u32::from(bout.key.number);
            let expected = if number > half { [entrants, 0] } else { [number, number + half] };
            assert_eq!(sides(bout), expected.map(Some), "of {entrants}");
        }
    }
}

#[test]
fn rounds_are_paired_by_hand_when_the_last_one_is_played() {
    let tournament = swiss(Options::default(), 8);
    assert_eq!(tournament.draw.swiss_rounds, 3);
    let open_round = refused(&tournament, ORGANIZER, 0, &next_round(false));
    assert_eq!(open_round, Refusal::RoundIsOpen(super::play::key("S1.1")));
    assert!(matches!(refused(&tournament, By::Referee(1), 0, &next_round(false)), Refusal::NotAllowed(_)));
    let over = played_and(&tournament, better, |tournament| {
        assert_sound(tournament);
        assert_swiss(tournament);
    });
    assert_eq!(over.swiss_round(), 3);
    assert_eq!(refused(&over, ORGANIZER, 0, &next_round(false)), Refusal::NoFurtherRound);
    let other = begun(settings(Format::RoundRobin), 4);
    assert_eq!(refused(&other, ORGANIZER, 0, &next_round(false)), Refusal::NotSwiss);
}

#[test]
fn a_bye_is_a_win_without_an_opponent_and_asks_for_nothing() {
    let tournament = swiss(Options::default(), 5);
    let bye = bout(&tournament, "S1.3");
    assert_eq!((sides(bye), bye.status), ([Some(5), Some(0)], BoutStatus::Completed));
    let refusal = refused(&tournament, ORGANIZER, 0, &report("S1.3", score(1, 0)));
    assert_eq!(refusal, Refusal::HasBye(bye.key));
    let row = tournament.table(0).into_iter().find(|row| row.entrant == EntrantId(5)).unwrap();
    assert_eq!((row.points.value(), row.count(Outcome::Bye), row.wins()), (1.0, 1, 1));
    assert_eq!(row.played[0].opponent, None);
}

#[test]
fn thirty_three_entrants_play_all_rounds() {
    for policy in [better, worse, by_hash] {
        let over = played(&swiss(Options::default(), 33), policy);
        assert_eq!(over.swiss_round(), 6);
        assert_swiss(&over);
        // More rounds than anybody plays, as long as there is a legal one.
        let mut long = swiss(rounds(32), 33);
        loop {
            let next = match open(&long) {
                Some(bout) => Command::Report { key: bout.key, verdict: win(policy(bout)) },
                None => next_round(false),
            };
            match long.apply(&next, ORGANIZER, 0) {
                Ok(applied) => long = applied.tournament,
                Err(refusal) => {
                    assert!(matches!(refusal, Refusal::NoLegalRound | Refusal::NoFurtherRound));
                    break;
                }
            }
        }
        assert_swiss(&long);
        assert!(
            long.swiss_round() >= 17,
            "a legal round exists for at least half as many: {}",
            long.swiss_round()
        );
    }
}

#[test]
fn without_a_legal_round_it_says_so_and_rematches_may_be_allowed() {
    let mut tournament = swiss(rounds(4), 4);
    while tournament.swiss_round() < 3 || open(&tournament).is_some() {
        let next = match open(&tournament) {
            Some(bout) => Command::Report { key: bout.key, verdict: win(better(bout)) },
            None => next_round(false),
        };
        tournament = then(&tournament, &next);
    }
    assert_eq!(refused(&tournament, ORGANIZER, 0, &next_round(false)), Refusal::NoLegalRound);
    let again = then(&tournament, &next_round(true));
    assert_eq!(again.swiss_round(), 4);
    assert_sound(&played(&again, better));
    let options = Options { allow_rematches: true, ..rounds(5) };
    let over = played(&swiss(options, 4), better);
    assert_eq!(over.swiss_round(), 5);
}

#[test]
fn costs_that_are_too_wide_for_narrow_numbers_are_exact_all_the_same() {
    // Points that have no common measure, as far apart as points can be.
    let contenders: Vec<Contender> = (0..301_u32)
        .map(|place| Contender {
            id: EntrantId(place + 1),
            points: Points(63_000_000 - i64::from(place) * 419_993),
            met: Vec::new(),
            had_bye: place > 299,
        })
        .collect();
    let round = pair(&contenders, false).unwrap();
    assert_eq!(round.bye, Some(EntrantId(300)));
    // The last one meets the one before the bye, all others their neighbours.
    let expected = 149.0 * 419.993 + 2.0 * 419.993;
    assert!((cost_of(&contenders, &round) - expected).abs() < 1e-3);
}

#[test]
fn with_rematches_allowed_there_are_as_few_as_can_be() {
    let contender = |id, met: &[u32]| Contender {
        id: EntrantId(id),
        points: Points::default(),
        met: met.iter().copied().map(EntrantId).collect(),
        had_bye: false,
    };
    // 1 has met all others, who have not met each other.
    let contenders = [contender(1, &[2, 3, 4]), contender(2, &[1]), contender(3, &[1]), contender(4, &[1])];
    assert_eq!(pair(&contenders, false), Err(NoLegalRound));
    let round = pair(&contenders, true).unwrap();
    let again = round.pairs.iter().filter(|(one, two)| one.0 == 1 || two.0 == 1).count();
    assert_eq!((round.pairs.len(), again), (2, 1));
}

#[test]
fn so_many_wins_are_enough_and_so_many_losses_end_it() {
    let options = Options { swiss_wins: Some(3), swiss_losses: Some(3), ..Options::default() };
    for policy in [better, worse, by_hash] {
        let over = played_and(&swiss(options.clone(), 16), policy, |tournament| {
            assert_sound(tournament);
            assert_swiss(tournament);
        });
        assert_eq!(over.swiss_round(), 5);
        let mut results: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        for row in over.table(0) {
            *results.entry((row.wins(), row.count(Outcome::Loss))).or_default() += 1;
        }
        let expected = [((0, 3), 2), ((1, 3), 3), ((2, 3), 3), ((3, 0), 2), ((3, 1), 3), ((3, 2), 3)];
        assert_eq!(results, expected.into());
    }
}

#[test]
fn as_many_go_on_as_limits_let_through() {
    for (entrants, wins, losses, through) in
        [(16, 3, 3, 8), (32, 3, 3, 16), (32, 5, 5, 16), (16, 2, 1, 4), (8, 1, 2, 6), (64, 4, 3, 22)]
    {
        let options = Options {
            first_stage: FirstStage::Swiss,
            swiss_wins: Some(wins),
            swiss_losses: Some(losses),
            allow_rematches: true,
            ..Options::default()
        };
        let cup = begun(with_options(Format::GroupStage, options), entrants);
        let seeds = cup.section(Section::Single).flat_map(|bout| bout.sources);
        let placed = seeds.filter(|source| matches!(source, Source::Placed(..))).count();
        assert_eq!(placed, through, "{wins} wins or {losses} losses of {entrants}");
        let over = played(&cup, by_hash);
        assert_sound(&over);
        if (wins, losses) == (3, 3) {
            let table = over.table(0);
            let enough = table.iter().filter(|row| row.wins() >= 3).count();
            assert_eq!(enough, through);
        }
    }
}

#[test]
fn who_won_enough_goes_on_before_who_has_more_points() {
    let options = Options {
        first_stage: FirstStage::Swiss,
        swiss_wins: Some(2),
        swiss_losses: Some(2),
        advance: Some(2),
        points: Some(PointsFor { win: 1.0, draw: 1.0, loss: 0.0 }),
        ..Options::default()
    };
    let mut cup = begun(with_options(Format::GroupStage, options), 4);
    // 1 wins twice and is done; 2 has three points from draws and a win.
    for (text, verdict) in [("S1.1", score(1, 0)), ("S1.2", score(1, 1))] {
        cup = reported(&cup, text, verdict);
    }
    while open(&cup).is_some_and(|bout| bout.key.section == Section::Swiss) || cup.swiss_round() < 3 {
        let next = match open(&cup).filter(|bout| bout.key.section == Section::Swiss) {
            Some(bout) if sides(bout).contains(&Some(1)) => {
                Command::Report { key: bout.key, verdict: win(better(bout)) }
            }
            Some(bout) => Command::Report { key: bout.key, verdict: score(1, 1) },
            None => next_round(true),
        };
        match cup.apply(&next, ORGANIZER, 0) {
            Ok(applied) => cup = applied.tournament,
            Err(refusal) => panic!("{refusal}"),
        }
    }
    let table = cup.table(0);
    let wins = |id: EntrantId| table.iter().find(|row| row.entrant == id).unwrap().wins();
    let placed = cup.placed(0);
    assert_eq!(
        placed[0],
        EntrantId(1),
        "{:?}",
        table.iter().map(|row| (row.entrant, row.points)).collect::<Vec<_>>()
    );
    assert!(placed.windows(2).all(|pair| wins(pair[0]) >= 2 || wins(pair[1]) < 2));
}

/// All that is legal, tried out: the least points of who has the bye, and then the least sum of differences.
fn least(contenders: &[Contender]) -> Option<(i64, i64)> {
    fn all(left: &[&Contender]) -> Vec<(i64, i64)> {
        let Some((one, rest)) = left.split_first() else { return vec![(0, 0)] };
        let mut found = Vec::new();
        for (at, other) in rest.iter().enumerate() {
            if !one.met.contains(&other.id) {
                let others: Vec<&Contender> = rest
                    .iter()
                    .enumerate()
                    .filter(|(place, _)| *place != at)
                    .map(|(_, other)| *other)
                    .collect();
                let difference = (one.points.0 - other.points.0).abs();
                found.extend(all(&others).into_iter().map(|(bye, sum)| (bye, sum + difference)));
            }
        }
        if left.len() % 2 == 1 && !one.had_bye {
            found.extend(all(rest).into_iter().map(|(_, sum)| (one.points.0, sum)));
        }
        found
    }
    all(&contenders.iter().collect::<Vec<_>>()).into_iter().min()
}

/// With points of `scale` thousandths; `uneven`: such that none are multiples of the same.
fn contenders(
    entrants: usize,
    points: &[i64],
    scale: i64,
    uneven: bool,
    met: &[bool],
    byes: &[bool],
) -> Vec<Contender> {
    let mut contenders: Vec<Contender> = (0..entrants)
        .map(|one| Contender {
            id: EntrantId(u32::try_from(one).unwrap() + 1),
            points: Points(points[one] * scale + if uneven { one as i64 } else { 0 }),
            met: (0..entrants)
                .filter(|two| *two != one && met[one.min(*two) * 8 + one.max(*two)])
                .map(|two| EntrantId(u32::try_from(two).unwrap() + 1))
                .collect(),
            had_bye: byes[one],
        })
        .collect();
    contenders.sort_by_key(|contender| (std::cmp::Reverse(contender.points), contender.id));
    contenders
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_legal_round_costs_less(
        entrants in 2_usize..=8,
        points in prop::collection::vec(-2_i64..8, 8),
        scale in prop::sample::select(vec![500, 1000, 8_000_000]),
        uneven in any::<bool>(),
        met in prop::collection::vec(prop::bool::weighted(0.4), 64),
        byes in prop::collection::vec(prop::bool::weighted(0.4), 8),
    ) {
        let contenders = contenders(entrants, &points, scale, uneven, &met, &byes);
        match (pair(&contenders, false), least(&contenders)) {
            (Ok(round), Some((bye, sum))) => {
                prop_assert_eq!((cost_of(&contenders, &round) * 1000.0).round() as i64, sum);
                let of_bye = round.bye.map(|id| contenders.iter().find(|one| one.id == id).unwrap().points.0);
                prop_assert!(of_bye.is_none_or(|of_bye| of_bye == bye));
                prop_assert_eq!(pair(&contenders, false), Ok(round));
            }
            (Err(NoLegalRound), None) => {
                prop_assert!(pair(&contenders, true).is_ok());
            }
            (found, least) => prop_assert!(false, "{found:?}, {least:?}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_swiss_is_sound_at_every_step(
        entrants in 2_u32..=48,
        number in prop::option::of(1_u32..=6),
        (wins, losses) in (prop::option::of(1_u32..=4), prop::option::of(1_u32..=4)),
        results in prop::collection::vec(0_u8..5, 64),
        leaves in prop::collection::vec((0_usize..100, 1_u32..=48), 0..4),
    ) {
        let options = Options {
            swiss_rounds: number, swiss_wins: wins, swiss_losses: losses, ..Options::default()
        };
        let mut tournament = swiss(options, entrants);
        let mut results = results.iter().cycle();
        let mut step = 0;
        while tournament.status == Status::InProgress {
            for (_, id) in leaves.iter().filter(|(at, _)| *at == step) {
                let leave = Command::Withdraw { entrant: EntrantId(*id) };
                if let Ok(applied) = tournament.apply(&leave, ORGANIZER, 0) {
                    tournament = applied.tournament;
                }
            }
            step += 1;
            let next = match open(&tournament) {
                Some(bout) => {
                    let verdict = match results.next().unwrap() {
                        0 | 1 => win(Side::One),
                        2 | 3 => win(Side::Two),
                        _ => score(1, 1),
                    };
                    Command::Report { key: bout.key, verdict }
                }
                None => next_round(false),
            };
            match tournament.apply(&next, ORGANIZER, 0) {
                Ok(applied) => tournament = applied.tournament,
                Err(Refusal::NoLegalRound) => break,
                Err(_) if tournament.status == Status::Completed => break,
                Err(refusal) => prop_assert!(false, "{refusal}"),
            }
            assert_sound(&tournament);
            assert_swiss(&tournament);
        }
        if tournament.status == Status::InProgress {
            // No round of this number was legal; with rematches there is one.
            prop_assert!(tournament.apply(&next_round(true), ORGANIZER, 0).is_ok());
        }
    }
}
