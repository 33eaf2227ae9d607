//! Round robin, groups, and the knockout after them.

use std::collections::{BTreeMap, BTreeSet};

use mohaa_domain::tournament::{
    FirstStage, Format, GrandFinal, GroupSeeding, Knockout, Options, Refusal, Section, Settings, Source,
    Status, Tournament, groups,
};
use proptest::prelude::*;

use super::play::{
    ORGANIZER, assert_sound, begun, better, bout, by_hash, closed, played, played_and, refused, settings,
    sides, to, with_options, worse,
};

const SEEDINGS: [GroupSeeding; 3] =
    [GroupSeeding::EffortBalanced, GroupSeeding::SeedOptimized, GroupSeeding::BracketOptimized];

/// Rounds of a group: pairs of entrants.
fn rounds(tournament: &Tournament, group: u16) -> BTreeMap<u16, Vec<[u32; 2]>> {
    let mut rounds: BTreeMap<u16, Vec<[u32; 2]>> = BTreeMap::new();
    for bout in tournament.section(Section::Group).filter(|bout| bout.key.group == group) {
        rounds.entry(bout.key.round).or_default().push(sides(bout).map(Option::unwrap));
    }
    rounds
}

#[test]
fn everybody_meets_everybody_once_and_pauses_once_if_the_number_is_odd() {
    for entrants in 2..=64_u32 {
        for twice in [false, true] {
            let options = Options { double_round_robin: twice, ..Options::default() };
            let league = begun(with_options(Format::RoundRobin, options), entrants);
            let rounds = rounds(&league, 1);
            let once = entrants - 1 + entrants % 2;
            assert_eq!(rounds.len() as u32, if twice { 2 * once } else { once });
            let mut met: BTreeMap<[u32; 2], usize> = BTreeMap::new();
            let mut firsts: BTreeMap<[u32; 2], usize> = BTreeMap::new();
            let mut idle: BTreeMap<u32, usize> = BTreeMap::new();
            for pairs in rounds.values() {
                assert_eq!(pairs.len() as u32, entrants / 2);
                let busy: BTreeSet<u32> = pairs.concat().into_iter().collect();
                assert_eq!(busy.len(), pairs.len() * 2, "nobody plays twice in a round");
                for one in (1..=entrants).filter(|one| !busy.contains(one)) {
                    *idle.entry(one).or_default() += 1;
                }
                for pair in pairs {
                    *firsts.entry(*pair).or_default() += 1;
                    let mut pair = *pair;
                    pair.sort_unstable();
                    *met.entry(pair).or_default() += 1;
                }
            }
            let times = if twice { 2 } else { 1 };
            assert_eq!(met.len() as u32, entrants * (entrants - 1) / 2);
            assert!(met.values().all(|met| *met == times));
            assert!(firsts.values().all(|met| *met == 1), "the second time sides are changed");
            if entrants % 2 == 1 {
                assert_eq!(idle.len() as u32, entrants);
                assert!(idle.values().all(|idle| *idle == times));
            }
        }
    }
}

#[test]
fn groups_are_of_alike_sizes_and_every_seed_is_in_one() {
    for seeding in SEEDINGS {
        for entrants in 2..=64 {
            for number in 1..=entrants / 2 {
                let dealt = groups(seeding, entrants, number);
                let mut all: Vec<usize> = dealt.concat();
                assert!(dealt.iter().all(|group| group.is_sorted()));
                all.sort_unstable();
                assert_eq!(all, (1..=entrants).collect::<Vec<_>>());
                let sizes = dealt.iter().map(Vec::len);
                assert!(sizes.clone().max().unwrap() - sizes.min().unwrap() <= 1, "{seeding:?}");
                let heads: BTreeSet<usize> = dealt.iter().map(|group| group[0]).collect();
                assert_eq!(heads, (1..=number).collect(), "the best head the groups");
            }
        }
    }
}

#[test]
fn groups_are_dealt_as_their_names_say() {
    assert_eq!(groups(GroupSeeding::EffortBalanced, 8, 2), [[1, 3, 5, 7], [2, 4, 6, 8]]);
    assert_eq!(groups(GroupSeeding::SeedOptimized, 8, 2), [[1, 4, 5, 8], [2, 3, 6, 7]]);
    assert_eq!(groups(GroupSeeding::SeedOptimized, 7, 2), [vec![1, 4, 5], vec![2, 3, 6, 7]]);
    // Who would meet in the first round of a bracket is never in one group.
    for number in [2, 4, 8] {
        for entrants in [8, 16, 32, 64] {
            for group in groups(GroupSeeding::BracketOptimized, entrants, number) {
                assert!(group.iter().all(|seed| !group.contains(&(entrants + 1 - seed))), "{group:?}");
            }
        }
    }
}

#[test]
fn several_groups_are_played_side_by_side() {
    let options = Options { groups: Some(3), ..Options::default() };
    let league = begun(with_options(Format::RoundRobin, options), 10);
    assert_eq!(league.tables(), [1, 2, 3]);
    let over = played_and(&league, by_hash, assert_sound);
    assert_eq!(over.final_places()[0].len(), 3, "the firsts of the groups are equal");
    let many = Options { groups: Some(6), ..Options::default() };
    let refusal =
        refused(&closed(with_options(Format::RoundRobin, many), 10), ORGANIZER, 0, &to(Status::InProgress));
    assert_eq!(refusal, Refusal::TooFewEntrants { have: 10, need: 12 });
}

#[test]
fn the_two_best_of_each_group_go_on_and_meet_late_again() {
    let options = Options { groups: Some(4), ..Options::default() };
    let cup = begun(with_options(Format::GroupStage, options), 16);
    assert_eq!(cup.section(Section::Single).count(), 7);
    assert_eq!(sides(bout(&cup, "R1.1")), [None, None]);
    let first: Vec<[Source; 2]> = (1..=4).map(|number| bout(&cup, &format!("R1.{number}")).sources).collect();
    let mut halves: Vec<BTreeSet<u16>> = Vec::new();
    for pairs in first.chunks(2) {
        let groups: Vec<u16> = pairs
            .concat()
            .iter()
            .map(|source| match source {
                Source::Placed(group, _) => *group,
                other => panic!("{other:?}"),
            })
            .collect();
        halves.push(groups.into_iter().collect());
    }
    assert!(halves.iter().all(|half| half.len() == 4), "two of a group meet in the final at the earliest");
    for sources in first {
        assert!(matches!(sources, [Source::Placed(_, 1), Source::Placed(_, 2)]));
    }
    let over = played(&cup, better);
    let places: Vec<usize> = over.final_places().iter().map(Vec::len).collect();
    assert_eq!(places, [1, 1, 2, 4, 4, 4]);
    assert_eq!(super::play::places(&over)[..3], [vec![1], vec![2], vec![3, 4]]);
}

#[test]
fn a_group_that_is_over_sends_its_best_on_while_others_play() {
    let options = Options { groups: Some(2), ..Options::default() };
    let mut cup = begun(with_options(Format::GroupStage, options), 8);
    while let Some(bout) = super::play::open(&cup).filter(|bout| bout.key.group == 1) {
        let verdict = super::play::win(better(bout));
        cup = super::play::then(&cup, &mohaa_domain::tournament::Command::Report { key: bout.key, verdict });
    }
    let known: Vec<_> = cup.section(Section::Single).flat_map(sides).flatten().collect();
    assert_eq!(known, [1, 4]);
}

#[test]
fn more_cannot_go_on_than_there_are() {
    let advance = |advance| {
        let options = Options { groups: Some(2), advance: Some(advance), ..Options::default() };
        closed(with_options(Format::GroupStage, options), 7).apply(&to(Status::InProgress), ORGANIZER, 0)
    };
    assert!(advance(3).is_ok());
    assert_eq!(advance(4).unwrap_err(), Refusal::TooFewAdvance { advance: 4, smallest: 3 });
    let options = Options { groups: Some(1), advance: Some(1), ..Options::default() };
    let alone = closed(with_options(Format::GroupStage, options), 4);
    let refusal = refused(&alone, ORGANIZER, 0, &to(Status::InProgress));
    assert!(matches!(refusal, Refusal::TooFewAdvance { .. }));
}

#[test]
fn every_number_of_entrants_can_play_every_format() {
    for entrants in (2..=24).chain([31, 32, 33, 64, 65]) {
        for format in [
            Format::SingleElimination,
            Format::DoubleElimination,
            Format::RoundRobin,
            Format::Swiss,
            Format::GroupStage,
        ] {
            let over = played(&begun(settings(format), entrants), worse);
            assert_eq!(over.status, Status::Completed, "{format:?} of {entrants}");
            assert_sound(&over);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_group_stage_is_sound_at_every_step(
        entrants in 2_u32..=40,
        swiss in any::<bool>(),
        double in any::<bool>(),
        number in prop::option::of(1_u32..=8),
        advance in prop::option::of(1_u32..=8),
        seeding in prop::sample::select(SEEDINGS.to_vec()),
        (double_round_robin, third_place, consolation, lower_start) in any::<(bool, bool, bool, bool)>(),
        option in prop::sample::select(vec![GrandFinal::None, GrandFinal::Simple, GrandFinal::Double]),
    ) {
        let options = Options {
            first_stage: if swiss { FirstStage::Swiss } else { FirstStage::Groups },
            knockout: if double { Knockout::DoubleElimination } else { Knockout::SingleElimination },
            groups: number, advance, group_seeding: seeding, double_round_robin, third_place, consolation,
            lower_start, grand_final: Some(option), ..Options::default()
        };
        let closed = closed(Settings { ..with_options(Format::GroupStage, options) }, entrants);
        match closed.apply(&to(Status::InProgress), ORGANIZER, 0) {
            Ok(begun) => {
                assert_sound(&begun.tournament);
                let over = played_and(&begun.tournament, by_hash, assert_sound);
                prop_assert_eq!(over.final_places()[0].len(), 1);
                let first = over.bouts.values().find(|bout| !matches!(bout.key.section, Section::Group | Section::Swiss));
                prop_assert!(first.is_some());
            }
            Err(refusal) => {
                prop_assert!(number.is_some() || advance.is_some(), "{refusal}: the defaults fit any number");
            }
        }
    }
}
