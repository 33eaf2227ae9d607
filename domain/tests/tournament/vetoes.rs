//! The order in which maps are taken away and chosen.

use mohaa_domain::tournament::{
    By, Command, EntrantId, Format, Options, Refusal, Settings, Side, Tournament, VetoStep,
};

use super::play::{ORGANIZER, begun, bout, by, key, refused, settings};

const FIRST: By = By::Captain(11, EntrantId(1));
const SECOND: By = By::Captain(12, EntrantId(2));

fn with_maps(maps: usize, best_of: u8, veto: Option<Vec<VetoStep>>) -> Tournament {
    let map_pool = (1..=maps).map(|map| format!("m{map}")).collect();
    let options = Options { veto, ..Options::default() };
    begun(Settings { map_pool, best_of, options, ..settings(Format::SingleElimination) }, 2)
}

fn veto(map: &str) -> Command {
    Command::Veto { key: key("R1.1"), map: map.to_owned() }
}

fn choices(tournament: &Tournament) -> Vec<(Option<u8>, bool, &str)> {
    let vetoes = bout(tournament, "R1.1").vetoes.iter();
    vetoes.map(|choice| (choice.side.map(Side::into), choice.banned, choice.map.as_str())).collect()
}

#[test]
fn by_turns_maps_are_taken_away_until_those_to_be_played_are_left() {
    let tournament = with_maps(4, 1, None);
    assert_eq!(refused(&tournament, SECOND, 0, &veto("m1")), Refusal::NotYourTurn);
    let one = by(&tournament, FIRST, 0, &veto("m2"));
    assert!(matches!(refused(&one, SECOND, 0, &veto("m2")), Refusal::Invalid(_)));
    assert!(matches!(refused(&one, SECOND, 0, &veto("other")), Refusal::Invalid(_)));
    let two = by(&one, SECOND, 0, &veto("m1"));
    let three = by(&two, ORGANIZER, 0, &veto("m4"));
    let expected = [(Some(1), true, "m2"), (Some(2), true, "m1"), (Some(1), true, "m4"), (None, false, "m3")];
    assert_eq!(choices(&three), expected);
    assert!(matches!(refused(&three, SECOND, 0, &veto("m3")), Refusal::NoVeto(_)));
    assert!(matches!(refused(&tournament, By::User(1), 0, &veto("m1")), Refusal::NotAllowed(_)));
}

#[test]
fn an_organizer_sets_another_order_with_picks() {
    use VetoStep::{Ban1, Ban2, Pick1, Pick2};
    let steps = vec![Ban1, Ban2, Pick1, Pick2, Ban1, Ban2];
    let mut tournament = with_maps(7, 3, Some(steps));
    for (who, map) in [(FIRST, 1), (SECOND, 2), (FIRST, 3), (SECOND, 4), (FIRST, 5), (SECOND, 6)] {
        tournament = by(&tournament, who, 0, &veto(&format!("m{map}")));
    }
    let played: Vec<&str> = bout(&tournament, "R1.1")
        .vetoes
        .iter()
        .filter(|choice| !choice.banned)
        .map(|choice| choice.map.as_str())
        .collect();
    assert_eq!(played, ["m3", "m4", "m7"]);
}

#[test]
fn an_order_for_shorter_matches_ends_when_no_more_maps_can_go() {
    use VetoStep::{Ban1, Ban2, Pick1};
    let mut tournament = with_maps(4, 3, Some(vec![Ban1, Ban2, Ban1, Pick1]));
    tournament = by(&tournament, FIRST, 0, &veto("m1"));
    assert_eq!(refused(&tournament, SECOND, 0, &veto("m2")), Refusal::NotYourTurn, "no map can go any more");
    tournament = by(&tournament, FIRST, 0, &veto("m2"));
    let expected = [(Some(1), true, "m1"), (Some(1), false, "m2"), (None, false, "m3"), (None, false, "m4")];
    assert_eq!(choices(&tournament), expected);
}

#[test]
fn there_is_nothing_to_choose_where_all_maps_are_played() {
    for maps in [0, 1, 3] {
        assert!(matches!(refused(&with_maps(maps, 3, None), FIRST, 0, &veto("m1")), Refusal::NoVeto(_)));
    }
}

#[test]
fn a_correction_before_makes_a_veto_void() {
    let map_pool = (1..=3).map(|map| format!("m{map}")).collect();
    let mut tournament = begun(Settings { map_pool, ..settings(Format::SingleElimination) }, 4);
    for text in ["R1.1", "R1.2"] {
        tournament = super::play::reported(&tournament, text, super::play::score(1, 0));
    }
    let chosen = by(&tournament, FIRST, 0, &Command::Veto { key: key("R2.1"), map: "m1".to_owned() });
    let correct = super::play::correct("R1.1", super::play::score(0, 1));
    let applied = chosen.apply(&correct, ORGANIZER, 0).unwrap();
    assert_eq!(applied.fallen, [key("R2.1")]);
    assert!(bout(&applied.tournament, "R2.1").vetoes.is_empty());
}

#[test]
fn whose_turn_it_is_and_which_maps_are_left_is_told_until_all_are_chosen() {
    let tournament = with_maps(3, 1, None);
    let key = key("R1.1");
    let turn = tournament.next_veto(key).unwrap();
    assert_eq!(
        (turn.side, turn.banned, turn.maps),
        (Side::One, true, vec!["m1".into(), "m2".into(), "m3".into()])
    );
    let one = by(&tournament, FIRST, 0, &veto("m2"));
    let turn = one.next_veto(key).unwrap();
    assert_eq!((turn.side, turn.banned, turn.maps), (Side::Two, true, vec!["m1".into(), "m3".into()]));
    let two = by(&one, SECOND, 0, &veto("m1"));
    assert!(matches!(two.next_veto(key), Err(Refusal::NoVeto(_))));
}
