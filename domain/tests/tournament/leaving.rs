//! Drop-outs and disqualifications: a forfeit from there on.

use mohaa_domain::tournament::{
    BoutStatus, By, Command, EntrantId, FirstStage, Forfeit, Format, Knockout, Options, Place, Refusal,
    Status, Tournament,
};

use super::play::{
    ORGANIZER, assert_sound, begun, better, bout, by, correct, key, open, places, played, played_and,
    refused, report, reported, score, settings, sides, then, with_options, worse,
};

fn withdraw(id: u32) -> Command {
    Command::Withdraw { entrant: EntrantId(id) }
}

fn disqualify(id: u32) -> Command {
    Command::Disqualify { entrant: EntrantId(id), reason: "cheating".to_owned() }
}

fn forfeit_of(tournament: &Tournament, text: &str) -> Option<Forfeit> {
    bout(tournament, text).outcome.as_ref().and_then(|outcome| outcome.verdict.forfeit)
}

#[test]
fn who_leaves_forfeits_the_open_match_and_all_that_come() {
    let cup = begun(settings(Format::SingleElimination), 4);
    let left = by(&cup, By::Captain(1, EntrantId(1)), 5, &withdraw(1));
    assert_eq!(forfeit_of(&left, "R1.1"), Some(Forfeit::One));
    assert_eq!(sides(bout(&left, "R2.1")), [Some(4), None]);
    assert_eq!(left.entrants[&EntrantId(1)].place, Place::DroppedOut);
    assert_eq!(bout(&left, "R1.1").outcome.as_ref().unwrap().at, 5);
    // Who has won already is forfeited as soon as an opponent is there.
    let won = reported(&cup, "R1.1", score(1, 0));
    let left = then(&won, &disqualify(1));
    assert_eq!(bout(&left, "R2.1").status, BoutStatus::Waiting);
    let over = reported(&left, "R1.2", score(1, 0));
    assert_eq!((over.status, places(&over)), (Status::Completed, vec![vec![2], vec![1], vec![3, 4]]));
    assert_eq!(over.entrants[&EntrantId(1)].reason.as_deref(), Some("cheating"));
    assert!(matches!(refused(&over, ORGANIZER, 0, &withdraw(2)), Refusal::WrongStatus { .. }));
    assert_eq!(refused(&left, ORGANIZER, 0, &withdraw(1)), Refusal::HasLeft(EntrantId(1)));
    assert!(matches!(refused(&cup, By::Referee(1), 0, &disqualify(1)), Refusal::NotAllowed(_)));
    let captain = refused(&cup, By::Captain(1, EntrantId(1)), 0, &disqualify(1));
    assert!(matches!(captain, Refusal::NotAllowed(_)));
}

#[test]
fn in_double_elimination_who_leaves_falls_through_the_lower_bracket() {
    let cup = begun(settings(Format::DoubleElimination), 4);
    let left = then(&cup, &withdraw(1));
    assert_eq!(sides(bout(&left, "L1.1")), [Some(1), None]);
    let second = reported(&left, "W1.2", score(1, 0));
    assert_eq!(forfeit_of(&second, "L1.1"), Some(Forfeit::One));
    assert_eq!(sides(bout(&second, "L2.1")), [None, Some(3)]);
    let over = played(&second, better);
    assert_eq!(places(&over), [[2], [3], [4], [1]]);
}

#[test]
fn an_upper_champion_who_leaves_loses_both_grand_finals() {
    let mut cup = begun(settings(Format::DoubleElimination), 4);
    while open(&cup).is_some_and(|bout| bout.key != key("GF1")) {
        let (text, side) = open(&cup).map(|bout| (bout.key.to_string(), better(bout))).unwrap();
        cup = reported(&cup, &text, super::play::win(side));
    }
    let over = then(&cup, &withdraw(1));
    assert_eq!(forfeit_of(&over, "GF2"), Some(Forfeit::One));
    assert_eq!(places(&over), [[2], [1], [3], [4]]);
    let other = then(&cup, &withdraw(2));
    assert_eq!(places(&other), [[1], [2], [3], [4]]);
}

#[test]
fn two_who_left_both_lose_and_nobody_goes_on() {
    let cup = begun(settings(Format::DoubleElimination), 8);
    let left = then(&then(&cup, &withdraw(8)), &withdraw(1));
    assert_eq!(sides(bout(&left, "W2.1"))[0], Some(1), "8 left first, so that 1 went on");
    let both = played_and(&left, worse, assert_sound);
    assert_eq!(both.status, Status::Completed);
    let all = (1..=8)
        .fold(cup, |cup, id| cup.apply(&withdraw(id), ORGANIZER, 0).map_or(cup, |done| done.tournament));
    assert_eq!(all.status, Status::Completed, "nobody is left to play");
    assert_sound(&all);
}

#[test]
fn a_result_of_who_left_can_be_corrected_and_is_forfeited_again_if_it_is_reset() {
    let left = then(&begun(settings(Format::SingleElimination), 4), &withdraw(1));
    let corrected = then(&left, &correct("R1.1", score(1, 0)));
    assert_eq!(sides(bout(&corrected, "R2.1")), [Some(1), None]);
    let reset = then(&corrected, &Command::Reset { key: key("R1.1") });
    assert_eq!(forfeit_of(&reset, "R1.1"), Some(Forfeit::One));
    let again = refused(&left, ORGANIZER, 0, &report("R1.1", score(1, 0)));
    assert_eq!(again, Refusal::AlreadyDecided(key("R1.1")));
}

#[test]
fn pending_and_disputed_matches_are_forfeited_too() {
    let cup = begun(settings(Format::SingleElimination), 4);
    let pending = by(&cup, By::Captain(1, EntrantId(1)), 0, &report("R1.1", score(1, 0)));
    let left = then(&pending, &withdraw(1));
    assert_eq!((forfeit_of(&left, "R1.1"), left.next_deadline()), (Some(Forfeit::One), None));
}

#[test]
fn in_a_table_what_was_played_stays_and_the_rest_is_forfeited() {
    let mut league = begun(settings(Format::RoundRobin), 4);
    league = reported(&league, "G1.R1.1", score(1, 0)); // 1 beats 4.
    let left = then(&league, &withdraw(1));
    assert_eq!(left.bouts.values().filter(|bout| bout.outcome.is_some()).count(), 3);
    let row = left.table(1).into_iter().find(|row| row.entrant == EntrantId(1)).unwrap();
    assert_eq!((row.wins(), row.forfeits(), row.played.len()), (1, 2, 3));
    let over = played(&left, better);
    assert_eq!(places(&over)[0], [2]);
}

#[test]
fn who_left_swiss_is_not_paired_any_more() {
    let swiss = begun(settings(Format::Swiss), 8);
    let left = then(&then(&swiss, &withdraw(1)), &disqualify(8));
    assert_eq!(forfeit_of(&left, "S1.1"), Some(Forfeit::One));
    let over = played_and(&left, better, assert_sound);
    assert_eq!(over.swiss_round(), 3);
    let later = over.bouts.values().filter(|bout| bout.key.round > 1);
    assert!(later.flat_map(sides).all(|side| side != Some(1) && side != Some(8)));
    assert_eq!(places(&over).concat().len(), 8);
    let few = (2..=8).fold(swiss, |swiss, id| then(&swiss, &withdraw(id)));
    assert_eq!(few.status, Status::Completed, "one alone has nobody to play");
}

#[test]
fn who_left_during_the_first_stage_takes_no_place_in_the_knockout() {
    let options = |first_stage| Options {
        first_stage,
        groups: (first_stage == FirstStage::Groups).then_some(2),
        advance: Some(if first_stage == FirstStage::Groups { 2 } else { 4 }),
        knockout: Knockout::SingleElimination,
        ..Options::default()
    };
    for (first_stage, rounds) in [(FirstStage::Groups, 3), (FirstStage::Swiss, 3)] {
        let mut cup = begun(with_options(Format::GroupStage, options(first_stage)), 8);
        // 1 wins all but the last round.
        loop {
            let next = open(&cup).filter(|bout| bout.key.round < rounds);
            let command = match next {
                Some(bout) => Command::Report { key: bout.key, verdict: super::play::win(better(bout)) },
                None if first_stage == FirstStage::Swiss && cup.swiss_round() < rounds => {
                    Command::NextRound { allow_rematches: false }
                }
                None => break,
            };
            cup = then(&cup, &command);
        }
        let left = then(&cup, &withdraw(1));
        let knockout = loop_until_knockout(left);
        let first: Vec<_> = knockout
            .bouts
            .values()
            .filter(|bout| bout.key.to_string().starts_with("R1."))
            .flat_map(sides)
            .collect();
        assert!(first.iter().all(|side| side.is_some_and(|id| id > 1)), "{first_stage:?}: {first:?}");
        // Who leaves later keeps the place and forfeits: nothing that was played falls.
        let one = first[0].unwrap();
        let played_on = reported(&knockout, "R1.1", score(1, 0));
        let applied = played_on.apply(&withdraw(one), ORGANIZER, 0).unwrap();
        assert!(applied.fallen.is_empty());
        assert_eq!(sides(bout(&applied.tournament, "R2.1"))[0], Some(one));
        assert_sound(&played(&applied.tournament, worse));
    }
}

fn loop_until_knockout(mut cup: Tournament) -> Tournament {
    while let Some(bout) = open(&cup).filter(|bout| !bout.key.to_string().starts_with('R')) {
        let verdict = super::play::win(better(bout));
        cup = then(&cup, &Command::Report { key: bout.key, verdict });
    }
    cup
}
