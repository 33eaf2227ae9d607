//! Results that change after later matches were played, and what was taken back.

use mohaa_domain::tournament::{
    BoutStatus, Format, Key, Occupant, Options, Refusal, Settings, Side, Status, Tournament,
};
use proptest::prelude::*;

use super::play::{
    Checked, ORGANIZER, assert_sound, begun, better, bout, by, correct, key, open, places, played, refused,
    report, reported, score, series, settings, sides, then, win, with_options,
};
use mohaa_domain::tournament::{By, Command, EntrantId};

#[test]
fn what_follows_from_a_corrected_result_falls_and_one_undo_brings_it_back() {
    let over = played(&begun(settings(Format::SingleElimination), 8), better);
    assert_eq!(over.status, Status::Completed);
    let applied = over.apply(&correct("R1.1", score(0, 1)), ORGANIZER, 9).unwrap();
    assert_eq!(applied.fallen, [key("R2.1"), key("R3.1")]);
    let corrected = applied.tournament;
    assert_eq!(corrected.status, Status::InProgress);
    assert_eq!(sides(bout(&corrected, "R2.1")), [Some(8), Some(4)]);
    assert_eq!(bout(&corrected, "R2.1").status, BoutStatus::Ready);
    assert_eq!(sides(bout(&corrected, "R3.1")), [None, Some(2)]);
    assert!(bout(&corrected, "R2.2").outcome.is_some(), "what does not depend on it stays");
    assert!(corrected.final_places().is_empty());
    let undone = corrected.undo(&applied.changes, ORGANIZER).tournament;
    assert_eq!(undone, over);
    // The same by hand.
    let again = then(&undone, &correct("R1.1", score(0, 1)));
    assert_eq!(again.bouts.keys().collect::<Vec<_>>(), corrected.bouts.keys().collect::<Vec<_>>());
    assert_eq!(places(&played(&corrected, better))[0], [2]);
}

#[test]
fn in_double_elimination_it_falls_in_both_brackets() {
    let over = played(&begun(settings(Format::DoubleElimination), 8), better);
    let applied = over.apply(&correct("W1.1", score(0, 1)), ORGANIZER, 9).unwrap();
    let fallen: Vec<String> = applied.fallen.iter().map(Key::to_string).collect();
    assert_eq!(fallen, ["W2.1", "W3.1", "L1.1", "L2.1", "L2.2", "L3.1", "L4.1", "GF1"].map(str::to_owned));
    assert_eq!(sides(bout(&applied.tournament, "L1.1")), [Some(1), Some(5)]);
    assert_sound(&applied.tournament);
}

#[test]
fn a_corrected_grand_final_brings_or_takes_the_reset_match() {
    let won = played(&begun(settings(Format::DoubleElimination), 4), better);
    let applied = won.apply(&correct("GF1", score(0, 1)), ORGANIZER, 0).unwrap();
    assert_eq!((applied.fallen.len(), applied.tournament.status), (0, Status::InProgress));
    let reset = reported(&applied.tournament, "GF2", score(0, 1));
    assert_eq!(places(&reset)[..2], [[2], [1]]);
    let back = reset.apply(&correct("GF1", score(1, 0)), ORGANIZER, 0).unwrap();
    assert_eq!(back.fallen, [Key::RESET]);
    assert_eq!((back.tournament.status, places(&back.tournament)), (Status::Completed, places(&won)));
    assert_eq!(refused(&back.tournament, ORGANIZER, 0, &report("GF2", score(1, 0))), Refusal::ResetNotDue);
}

#[test]
fn only_an_organizer_corrects_and_only_what_has_a_result() {
    let cup = begun(settings(Format::SingleElimination), 4);
    let none = refused(&cup, ORGANIZER, 0, &correct("R1.1", score(1, 0)));
    assert_eq!(none, Refusal::NotDecided(key("R1.1")));
    let one = reported(&cup, "R1.1", score(1, 0));
    for who in [By::Referee(1), By::Captain(1, EntrantId(1)), By::Clock] {
        assert!(matches!(refused(&one, who, 0, &correct("R1.1", score(0, 1))), Refusal::NotAllowed(_)));
        let reset = Command::Reset { key: key("R1.1") };
        assert!(matches!(refused(&one, who, 0, &reset), Refusal::NotAllowed(_)));
    }
    assert!(matches!(refused(&one, ORGANIZER, 0, &correct("R1.1", score(1, 1))), Refusal::Invalid(_)));
}

#[test]
fn a_match_that_is_reset_is_as_if_it_had_not_been_played() {
    let cup = begun(settings(Format::SingleElimination), 4);
    let over = played(&cup, better);
    let applied = over.apply(&Command::Reset { key: key("R1.2") }, ORGANIZER, 0).unwrap();
    assert_eq!(applied.fallen, [key("R2.1")]);
    assert_eq!(bout(&applied.tournament, "R1.2"), bout(&cup, "R1.2"));
    assert_eq!(open(&applied.tournament).map(|bout| bout.key), Some(key("R1.2")));
}

#[test]
fn rounds_of_swiss_stay_as_they_were_paired_and_the_table_is_counted_anew() {
    let mut tournament = begun(settings(Format::Swiss), 4);
    for text in ["S1.1", "S1.2"] {
        tournament = reported(&tournament, text, score(1, 0));
    }
    tournament = then(&tournament, &Command::NextRound { allow_rematches: false });
    let pairs = |tournament: &Tournament| -> Vec<_> { tournament.bouts.values().map(sides).collect() };
    let before = pairs(&tournament);
    let over = reported(&reported(&tournament, "S2.1", score(1, 0)), "S2.2", score(1, 0));
    let applied = over.apply(&correct("S1.1", score(0, 1)), ORGANIZER, 0).unwrap();
    assert!(applied.fallen.is_empty());
    assert_eq!(pairs(&applied.tournament), before);
    assert_eq!(applied.tournament.status, Status::Completed);
    let points = |tournament: &Tournament, id| {
        tournament.table(0).iter().find(|row| row.entrant == EntrantId(id)).unwrap().points.value()
    };
    assert_eq!((points(&over, 1), points(&applied.tournament, 1)), (2.0, 1.0));
}

#[test]
fn a_corrected_group_sends_others_to_the_knockout() {
    let options = Options { groups: Some(2), ..Options::default() };
    let over = played(&begun(with_options(Format::GroupStage, options), 8), better);
    // Group 1 is 1 4 5 8; the last match of 4 against 5 decides who is second.
    let text = over
        .bouts
        .values()
        .find(|bout| {
            let mut pair = sides(bout);
            pair.sort_unstable();
            pair == [Some(4), Some(5)]
        })
        .map(|bout| bout.key)
        .unwrap();
    let verdict = win(if sides(&over.bouts[&text])[0] == Some(5) { Side::One } else { Side::Two });
    let applied = over.apply(&correct(&text.to_string(), verdict), ORGANIZER, 0).unwrap();
    assert!(!applied.fallen.is_empty());
    assert!(applied.fallen.iter().all(|key| key.to_string().starts_with('R')));
    let in_knockout = |id| {
        let first = applied.tournament.bouts.values().filter(|bout| bout.key.to_string().starts_with("R1."));
        first.flat_map(sides).any(|side| side == Some(id))
    };
    assert!(in_knockout(5) && !in_knockout(4));
    assert_eq!(applied.tournament.undo(&applied.changes, ORGANIZER).tournament, over);
    assert_sound(&played(&applied.tournament, better));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_correction_that_changes_no_winner_makes_nothing_fall(
        entrants in 2_u32..=40, double in any::<bool>(), at in any::<prop::sample::Index>(),
        results in prop::collection::vec(any::<bool>(), 200), until in 0_usize..200,
    ) {
        let format = if double { Format::DoubleElimination } else { Format::SingleElimination };
        let mut tournament = begun(Settings { best_of: 3, ..settings(format) }, entrants);
        for one in results.iter().take(until + 1) {
            let Some(bout) = open(&tournament) else { break };
            let side = if *one { Side::One } else { Side::Two };
            tournament = then(&tournament, &Command::Report { key: bout.key, verdict: series(side, 3) });
        }
        let decided: Vec<Key> =
            tournament.existing().filter(|bout| bout.outcome.is_some()).map(|bout| bout.key).collect();
        let key = *at.get(&decided);
        let won = tournament.bouts[&key].outcome.as_ref().unwrap().verdict.winner.unwrap();
        let verdict = if won == Side::One { score(2, 1) } else { score(1, 2) };
        let same = tournament.apply(&Command::Correct { key, verdict }, ORGANIZER, 1).unwrap();
        prop_assert!(same.fallen.is_empty());
        prop_assert_eq!(same.changes.len(), 1);
        prop_assert_eq!(same.tournament.status, tournament.status);
        let verdict = series(won.other(), 3);
        let other = tournament.apply(&Command::Correct { key, verdict }, ORGANIZER, 1).unwrap();
        assert_sound(&other.tournament);
        prop_assert_eq!(other.tournament.undo(&other.changes, ORGANIZER).tournament, tournament.clone());
        // Exactly those fell that had something in them and have other sides now.
        let fell: Vec<Key> = tournament
            .bouts
            .values()
            .filter(|bout| bout.is_touched() && bout.occupants != other.tournament.bouts[&bout.key].occupants)
            .map(|bout| bout.key)
            .collect();
        prop_assert_eq!(&other.fallen, &fell);
        for key in fell {
            prop_assert!(!other.tournament.bouts[&key].is_touched());
        }
        // Corrected back, all that fell is open with the sides it had, or waits for what is open.
        let verdict = series(won, 3);
        let back = by(&other.tournament, ORGANIZER, 2, &Command::Correct { key, verdict });
        for bout in back.bouts.values() {
            let before = &tournament.bouts[&bout.key].occupants;
            for (now, then) in bout.occupants.iter().zip(before) {
                prop_assert!(now == then || *now == Occupant::Tbd);
            }
        }
        assert_sound(&back);
    }

    #[test]
    fn undoing_all_mutations_leads_back_to_the_draft(
        entrants in 2_u32..=12, results in prop::collection::vec(any::<bool>(), 40),
    ) {
        let mut checked = Checked::new(settings(Format::DoubleElimination));
        let mut stack = Vec::new();
        let mut results = results.iter();
        for command in [super::play::to(Status::RegistrationOpen)]
            .into_iter()
            .chain((1..=entrants).map(|entrant| super::play::register(&entrant.to_string())))
            .chain([super::play::to(Status::RegistrationClosed), super::play::to(Status::InProgress)])
        {
            stack.push(checked.does(command).changes);
        }
        while let (Some(bout), Some(one)) = (open(&checked.now), results.next()) {
            let verdict = win(if *one { Side::One } else { Side::Two });
            let command = Command::Report { key: bout.key, verdict };
            stack.push(checked.does(command).changes);
        }
        checked.assert_replays();
        let back = stack.iter().rev().fold(checked.now.clone(), |tournament, changes| {
            tournament.undo(changes, ORGANIZER).tournament
        });
        // But for numbers that were given: none is given again.
        let last_entrant = checked.now.last_entrant;
        prop_assert_eq!(back, Tournament { last_entrant, ..checked.draft });
    }
}
