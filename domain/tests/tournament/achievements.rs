//! What entrants did in a tournament, as achievements measure it.

use mohaa_domain::achievements::{Catalogue, Deed, Definition, Rule, RuleError, Tier, campaigns};
use mohaa_domain::tournament::{
    Bout, Command, EntrantId, Forfeit, Format, Game, GrandFinal, Options, Section, Settings, Tournament,
    Verdict,
};

use super::play::{
    begun, better, correct, forfeit, key, played, reported, score, settings, then, with_options, worse,
};

fn measured(tournament: &Tournament, entrant: u32, deed: Deed) -> u64 {
    campaigns(tournament)[&EntrantId(entrant)].measure(deed)
}

fn tier(tier: i16, threshold: u64) -> Tier {
    Tier { tier, threshold, points: 5 }
}

fn definition(slug: &str, rule: &str, tiers: Vec<Tier>) -> Definition {
    let text = || slug.to_owned();
    let rule: Rule = serde_json::from_str(rule).unwrap();
    rule.check().unwrap();
    Definition {
        slug: text(),
        name: text(),
        description: text(),
        category: text(),
        icon: text(),
        hidden: false,
        rule,
        tiers,
    }
}

#[test]
fn nobody_has_done_anything_before_it_is_completed() {
    let tournament = begun(settings(Format::SingleElimination), 4);
    assert!(campaigns(&tournament).is_empty());
    let played = played(&tournament, better);
    assert_eq!(campaigns(&played).len(), 4);
    // A correction opens the final again.
    let open = then(&played, &Command::Reset { key: key("R2.1") });
    assert!(campaigns(&open).is_empty());
}

#[test]
fn places_wins_and_defeats_are_those_of_the_bracket() {
    let tournament = played(&begun(settings(Format::SingleElimination), 8), better);
    let of = |entrant| {
        [Deed::Place, Deed::Sharing, Deed::Wins, Deed::Defeats]
            .map(|deed| measured(&tournament, entrant, deed))
    };
    assert_eq!(of(1), [1, 0, 3, 0]);
    assert_eq!(of(2), [2, 0, 2, 1]);
    assert_eq!(of(3), [3, 1, 1, 1]);
    assert_eq!(of(8), [5, 3, 0, 1]);
    assert_eq!(measured(&tournament, 1, Deed::Field), 8);
    assert_eq!((measured(&tournament, 1, Deed::Shutouts), measured(&tournament, 1, Deed::Upset)), (3, 0));
}

#[test]
fn an_upset_is_by_how_many_seeds_the_best_of_the_beaten_stood_above() {
    let unrated = played(&begun(settings(Format::SingleElimination), 8), worse);
    assert_eq!(measured(&unrated, 8, Deed::Upset), 0, "seeds may be an order of registration");
    let mut tournament = unrated;
    for entrant in tournament.entrants.values_mut() {
        entrant.rating = Some(30.0 - f64::from(entrant.id.0));
    }
    // 8 beats 1, then 5, then 7 who has beaten 2 and 6.
    assert_eq!(measured(&tournament, 8, Deed::Upset), 7);
    assert_eq!(measured(&tournament, 7, Deed::Upset), 5);
}

#[test]
fn byes_and_what_the_other_side_forfeits_are_no_wins_but_a_forfeit_is_a_defeat() {
    let tournament = begun(settings(Format::SingleElimination), 3);
    let tournament = reported(&tournament, "R1.2", score(1, 0));
    let tournament = reported(&tournament, "R2.1", forfeit(Forfeit::Two));
    assert_eq!((measured(&tournament, 1, Deed::Place), measured(&tournament, 1, Deed::Wins)), (1, 0));
    assert_eq!((measured(&tournament, 2, Deed::Wins), measured(&tournament, 2, Deed::Defeats)), (1, 1));
}

#[test]
fn who_comes_back_through_the_lower_bracket_has_won_there() {
    let options = Options { grand_final: Some(GrandFinal::Double), ..Options::default() };
    let tournament = begun(with_options(Format::DoubleElimination, options), 4);
    // The best loses the first match and none after that.
    let by_the_way = |bout: &Bout| {
        if bout.key.section == Section::Upper && bout.key.round == 1 { worse(bout) } else { better(bout) }
    };
    let tournament = played(&tournament, by_the_way);
    let of = |deed| measured(&tournament, 1, deed);
    assert_eq!((of(Deed::Place), of(Deed::LowerWins), of(Deed::Defeats), of(Deed::Wins)), (1, 2, 1, 4));
}

fn games(winners: &[u8]) -> Verdict {
    let game = |winner: &u8| {
        let (score1, score2) = if *winner == 1 { (5, 2) } else { (2, 5) };
        Game { map: None, score1, score2, winner: None, match_id: None }
    };
    let won = |side: u8| winners.iter().filter(|winner| **winner == side).count() as u32;
    Verdict { games: winners.iter().map(game).collect(), ..score(won(1), won(2)) }
}

#[test]
fn a_reverse_sweep_begins_with_all_the_games_that_can_be_lost_and_two_at_least() {
    let series = |best_of: u8, winners: &[u8]| {
        let tournament = begun(Settings { best_of, ..settings(Format::SingleElimination) }, 2);
        let tournament = reported(&tournament, "R1.1", games(winners));
        let of = |deed| measured(&tournament, 1, deed);
        (of(Deed::ReverseSweeps), of(Deed::GamesLost), of(Deed::SeriesWon))
    };
    assert_eq!(series(5, &[2, 2, 1, 1, 1]), (1, 2, 1));
    assert_eq!(series(5, &[2, 1, 2, 1, 1]), (0, 2, 1));
    assert_eq!(series(3, &[2, 1, 1]), (0, 1, 1));
    assert_eq!(series(3, &[1, 1]), (0, 0, 1));
    assert_eq!(series(7, &[2, 2, 2, 1, 1, 1, 1]), (1, 3, 1));
}

#[test]
fn who_left_has_done_nothing() {
    let tournament = begun(settings(Format::RoundRobin), 3);
    let tournament =
        then(&tournament, &Command::Disqualify { entrant: EntrantId(2), reason: "wallhack".to_owned() });
    let tournament = played(&tournament, better);
    assert!(!campaigns(&tournament).contains_key(&EntrantId(2)));
}

#[test]
fn a_correction_gives_what_is_earned_to_whom_it_belongs_now() {
    let champion = definition(
        "champion",
        r#"{"scope": "tournament", "measure": {"tournament": "field"}, "require": [
            {"measure": {"tournament": "place"}, "at_least": 1, "at_most": 1},
            {"measure": {"tournament": "sharing"}, "at_most": 0}]}"#,
        vec![tier(1, 4), tier(2, 8)],
    );
    let catalogue = Catalogue::new(vec![champion]);
    let champions = |tournament: &Tournament| {
        let all = campaigns(tournament);
        let earned = |id: &&EntrantId| !catalogue.earned_in_tournament(&all[*id]).is_empty();
        all.keys().filter(earned).map(|id| id.0).collect::<Vec<_>>()
    };
    let tournament = played(&begun(settings(Format::SingleElimination), 4), better);
    assert_eq!(champions(&tournament), [1]);
    let tiers = catalogue.earned_in_tournament(&campaigns(&tournament)[&EntrantId(1)]);
    assert_eq!(tiers.iter().map(|(_, tier)| tier.tier).collect::<Vec<_>>(), [1]);
    let corrected = then(&tournament, &correct("R2.1", score(0, 1)));
    assert_eq!(champions(&corrected), [2]);
    // Equals in groups are no champions.
    let groups = Options { groups: Some(2), ..Options::default() };
    let shared = played(&begun(with_options(Format::RoundRobin, groups), 6), better);
    assert!(champions(&shared).is_empty());
}

#[test]
fn measures_of_tournaments_and_of_matches_dont_go_together() {
    let check = |rule: &str| serde_json::from_str::<Rule>(rule).unwrap().check();
    let of_tournaments = Err(RuleError::OfTournaments);
    assert_eq!(check(r#"{"scope": "match", "measure": {"tournament": "place"}}"#), of_tournaments);
    assert_eq!(check(r#"{"scope": "career", "measure": {"tournament": "wins"}}"#), of_tournaments);
    assert_eq!(check(r#"{"scope": "tournament", "measure": "kills"}"#), of_tournaments);
    let mixed = r#"{"scope": "tournament", "measure": {"tournament": "wins"}, "require": [{"measure": "deaths", "at_most": 0}]}"#;
    assert_eq!(check(mixed), of_tournaments);
    assert_eq!(check(r#"{"scope": "tournament", "measure": {"tournament": "wins"}}"#), Ok(()));
}
