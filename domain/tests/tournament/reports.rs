//! Who may say what came out, and when it holds.

use std::collections::BTreeSet;

use mohaa_domain::tournament::{
    At, BoutStatus, By, Command, EntrantId, Forfeit, Format, Game, Options, Plan, Refusal, Settings, Side,
    Status, Times, Tournament, Verdict,
};
use uuid::Uuid;

use super::play::{
    ORGANIZER, begun, bout, by, forfeit, key, refused, report, reported, score, settings, sides, then,
};

const FIRST: By = By::Captain(11, EntrantId(1));
const SECOND: By = By::Captain(12, EntrantId(4));
const OTHER: By = By::Captain(13, EntrantId(2));
const REFEREE: By = By::Referee(2);
const SERVER: By = By::Server(Uuid::from_u128(9));
const MINUTES: At = 60_000;

/// R1.1 is 1 against 4.
fn cup() -> Tournament {
    begun(settings(Format::SingleElimination), 4)
}

fn best_of(number: u8, format: Format) -> Tournament {
    begun(Settings { best_of: number, ..settings(format) }, 4)
}

fn confirm() -> Command {
    Command::Confirm { key: key("R1.1") }
}

fn dispute() -> Command {
    Command::Dispute { key: key("R1.1"), reason: "that was not us".to_owned() }
}

fn resolve(verdict: Verdict) -> Command {
    Command::Resolve { key: key("R1.1"), verdict }
}

fn winner(tournament: &Tournament) -> Option<u32> {
    bout(tournament, "R1.1").winner().entrant().map(|id| id.0)
}

#[test]
fn two_captains_who_agree_decide() {
    let one = by(&cup(), FIRST, 0, &report("R1.1", score(3, 1)));
    assert_eq!(bout(&one, "R1.1").status, BoutStatus::Ready, "one alone is pending");
    assert_eq!(winner(&one), None);
    let both = by(&one, SECOND, 1, &report("R1.1", score(3, 1)));
    assert_eq!((bout(&both, "R1.1").status, winner(&both)), (BoutStatus::Completed, Some(1)));
    assert_eq!(sides(bout(&both, "R2.1")), [Some(1), None]);
    let confirmed = by(&one, SECOND, 1, &confirm());
    assert_eq!(winner(&confirmed), Some(1));
    assert_eq!(refused(&one, FIRST, 1, &confirm()), Refusal::OwnReport(key("R1.1")));
    assert_eq!(refused(&cup(), SECOND, 1, &confirm()), Refusal::NothingReported(key("R1.1")));
    assert_eq!(winner(&by(&one, REFEREE, 1, &confirm())), Some(1));
}

#[test]
fn a_captain_may_say_something_else_before_anybody_answered() {
    let one = by(&cup(), FIRST, 0, &report("R1.1", score(3, 1)));
    let other = by(&one, FIRST, 5, &report("R1.1", score(1, 3)));
    assert_eq!(bout(&other, "R1.1").reports.len(), 1);
    assert_eq!(bout(&other, "R1.1").accept_at, Some(5 + 15 * MINUTES));
    assert_eq!(winner(&by(&other, SECOND, 6, &report("R1.1", score(1, 3)))), Some(4));
}

#[test]
fn nobody_else_reports() {
    for who in [OTHER, By::User(5), By::Clock] {
        let refusal = refused(&cup(), who, 0, &report("R1.1", score(1, 0)));
        assert!(matches!(refusal, Refusal::NotAllowed(_)), "{who:?}");
    }
    let one = by(&cup(), FIRST, 0, &report("R1.1", score(1, 0)));
    for command in [confirm(), dispute()] {
        assert!(matches!(refused(&one, OTHER, 0, &command), Refusal::NotAllowed(_)));
    }
}

#[test]
fn a_report_that_nobody_answers_holds_after_its_time() {
    let one = by(&cup(), FIRST, 1000, &report("R1.1", score(3, 1)));
    let due = 1000 + 15 * MINUTES;
    assert_eq!(one.next_deadline(), Some(due));
    let clock = Command::Clock { random: 0 };
    assert_eq!(by(&one, By::Clock, due - 1, &clock), one);
    let accepted = by(&one, By::Clock, due, &clock);
    assert_eq!((winner(&accepted), accepted.next_deadline()), (Some(1), None));
    assert_eq!(bout(&accepted, "R1.1").outcome.as_ref().unwrap().by, FIRST);
    let never = Options { auto_accept_minutes: Some(0), ..Options::default() };
    let never = begun(Settings { options: never, ..settings(Format::SingleElimination) }, 4);
    assert_eq!(by(&never, FIRST, 0, &report("R1.1", score(3, 1))).next_deadline(), None);
}

#[test]
fn two_different_reports_make_a_dispute_that_shows_both() {
    let one = by(&cup(), FIRST, 0, &report("R1.1", score(3, 1)));
    let both = by(&one, SECOND, 1, &report("R1.1", score(1, 3)));
    let disputed = bout(&both, "R1.1");
    assert!(disputed.dispute.is_some() && disputed.accept_at.is_none() && disputed.outcome.is_none());
    assert_eq!(disputed.reports.len(), 2);
    let start = Command::Start { key: key("R1.1") };
    for (who, command) in
        [(FIRST, report("R1.1", score(3, 1))), (SECOND, confirm()), (FIRST, dispute()), (FIRST, start)]
    {
        assert_eq!(refused(&both, who, 2, &command), Refusal::Disputed(key("R1.1")));
    }
    assert_eq!(both.next_deadline(), None);
    assert!(matches!(refused(&both, REFEREE, 2, &resolve(score(3, 1))), Refusal::NotAllowed(_)));
    let resolved = by(&both, ORGANIZER, 2, &resolve(score(3, 1)));
    assert_eq!(winner(&resolved), Some(1));
    assert_eq!(bout(&resolved, "R1.1").reports.len(), 2, "what was said stays to be seen");
    assert!(bout(&resolved, "R1.1").dispute.is_none());
}

#[test]
fn a_witness_who_has_not_spoken_is_heard_in_a_dispute_and_decides_nothing() {
    let one = by(&cup(), FIRST, 0, &report("R1.1", score(3, 1)));
    let both = by(&one, SECOND, 1, &report("R1.1", score(1, 3)));
    let third = by(&both, SERVER, 2, &report("R1.1", score(3, 1)));
    assert_eq!((bout(&third, "R1.1").reports.len(), winner(&third)), (3, None));
    assert!(bout(&third, "R1.1").dispute.is_some());
    assert_eq!(by(&third, SERVER, 3, &report("R1.1", score(3, 1))), third, "it may say it again");
    let other = refused(&third, SERVER, 3, &report("R1.1", score(1, 3)));
    assert_eq!(other, Refusal::Disputed(key("R1.1")));
    let disputed = by(&one, SECOND, 1, &dispute());
    let spoken = by(&disputed, SECOND, 2, &report("R1.1", score(1, 3)));
    assert_eq!((bout(&spoken, "R1.1").reports.len(), winner(&spoken)), (2, None));
    assert_eq!(winner(&by(&third, ORGANIZER, 4, &resolve(score(3, 1)))), Some(1));
}

#[test]
fn a_pending_or_accepted_result_can_be_disputed() {
    let one = by(&cup(), FIRST, 0, &report("R1.1", score(3, 1)));
    let disputed = by(&one, SECOND, 1, &dispute());
    assert_eq!((winner(&disputed), disputed.next_deadline()), (None, None));
    let accepted = by(&one, By::Clock, 60 * MINUTES, &Command::Clock { random: 0 });
    let late = by(&accepted, SECOND, 61 * MINUTES, &dispute());
    assert_eq!(winner(&late), Some(1), "what was accepted holds until it is decided");
    assert_eq!(bout(&late, "R1.1").status, BoutStatus::Completed);
    let turned = by(&late, ORGANIZER, 62 * MINUTES, &resolve(score(1, 3)));
    assert_eq!((winner(&turned), sides(bout(&turned, "R2.1"))), (Some(4), [Some(4), None]));
    assert_eq!(refused(&cup(), FIRST, 0, &dispute()), Refusal::NothingReported(key("R1.1")));
    assert_eq!(refused(&one, ORGANIZER, 0, &resolve(score(1, 0))), Refusal::NotDisputed(key("R1.1")));
    let empty = Command::Dispute { key: key("R1.1"), reason: " ".to_owned() };
    assert!(matches!(refused(&one, SECOND, 1, &empty), Refusal::Invalid(_)));
}

#[test]
fn the_word_of_a_referee_or_organizer_is_final() {
    for who in [REFEREE, ORGANIZER] {
        let one = by(&cup(), FIRST, 0, &report("R1.1", score(3, 1)));
        let decided = by(&one, who, 1, &report("R1.1", score(1, 3)));
        assert_eq!((winner(&decided), decided.next_deadline()), (Some(4), None));
        let again = refused(&decided, who, 2, &report("R1.1", score(3, 1)));
        assert_eq!(again, Refusal::AlreadyDecided(key("R1.1")));
    }
}

#[test]
fn the_server_is_a_witness_of_its_own() {
    let alone = by(&cup(), SERVER, 0, &report("R1.1", score(3, 1)));
    assert_eq!(winner(&alone), Some(1));
    assert_eq!(by(&alone, SERVER, 9, &report("R1.1", score(3, 1))), alone, "it may say it again");
    let one = by(&cup(), FIRST, 0, &report("R1.1", score(3, 1)));
    assert_eq!(winner(&by(&one, SERVER, 1, &report("R1.1", score(3, 1)))), Some(1));
    let against = by(&one, SERVER, 1, &report("R1.1", score(1, 3)));
    assert!(bout(&against, "R1.1").dispute.is_some());
    assert_eq!(winner(&against), None);
}

#[test]
fn a_match_that_cannot_be_played_takes_no_report() {
    let final_match = refused(&cup(), ORGANIZER, 0, &report("R2.1", score(1, 0)));
    assert_eq!(final_match, Refusal::NotReady { key: key("R2.1"), status: BoutStatus::Locked });
    let one = reported(&cup(), "R1.1", score(1, 0));
    let waits = refused(&one, ORGANIZER, 0, &report("R2.1", score(1, 0)));
    assert_eq!(waits, Refusal::NotReady { key: key("R2.1"), status: BoutStatus::Waiting });
    let three = begun(settings(Format::SingleElimination), 3);
    for command in [
        report("R1.1", score(1, 0)),
        Command::Correct { key: key("R1.1"), verdict: score(1, 0) },
        Command::Start { key: key("R1.1") },
        Command::Reset { key: key("R1.1") },
    ] {
        assert_eq!(refused(&three, ORGANIZER, 0, &command), Refusal::HasBye(key("R1.1")));
    }
    let unknown = refused(&cup(), ORGANIZER, 0, &report("W1.1", score(1, 0)));
    assert_eq!(unknown, Refusal::UnknownMatch(key("W1.1")));
}

#[test]
fn a_winner_follows_from_unequal_scores_and_may_not_be_against_them() {
    let verdict = |one, two, winner| Verdict { winner, ..score(one, two) };
    let of = |verdict| reported(&cup(), "R1.1", verdict);
    assert_eq!(winner(&of(verdict(5, 3, None))), Some(1));
    assert_eq!(winner(&of(verdict(3, 5, Some(Side::Two)))), Some(4));
    assert_eq!(winner(&of(verdict(3, 3, Some(Side::Two)))), Some(4), "a tie that was broken elsewhere");
    for wrong in [verdict(5, 3, Some(Side::Two)), verdict(3, 3, None), verdict(u32::MAX, 0, None)] {
        let refusal = refused(&cup(), ORGANIZER, 0, &report("R1.1", wrong));
        assert!(matches!(refusal, Refusal::Invalid(_)));
    }
}

#[test]
fn draws_are_only_where_the_format_has_them() {
    for (format, text) in [(Format::RoundRobin, "G1.R1.1"), (Format::Swiss, "S1.1")] {
        let drawn = reported(&begun(settings(format), 4), text, score(2, 2));
        assert_eq!(bout(&drawn, text).status, BoutStatus::Completed);
        let series = reported(&best_of(3, format), text, score(1, 1));
        assert_eq!(bout(&series, text).outcome.as_ref().unwrap().verdict.winner, None);
    }
    for format in [Format::SingleElimination, Format::DoubleElimination] {
        let text = if format == Format::SingleElimination { "R1.1" } else { "W1.1" };
        let refusal = refused(&begun(settings(format), 4), ORGANIZER, 0, &report(text, score(2, 2)));
        assert!(matches!(refusal, Refusal::Invalid(_)));
    }
}

#[test]
fn a_series_takes_just_enough_games() {
    for (number, need) in [(3, 2), (5, 3), (7, 4)] {
        let tournament = best_of(number, Format::SingleElimination);
        for loser in 0..need {
            assert_eq!(winner(&reported(&tournament, "R1.1", score(need, loser))), Some(1));
            assert_eq!(winner(&reported(&tournament, "R1.1", score(loser, need))), Some(4));
        }
        for wrong in [score(need - 1, 0), score(need, need), score(need + 1, 0), score(need - 1, need - 1)] {
            let refusal = refused(&tournament, ORGANIZER, 0, &report("R1.1", wrong));
            assert!(matches!(refusal, Refusal::Invalid(_)), "best of {number}");
        }
    }
}

fn game(id: u128, one: u32, two: u32) -> Game {
    Game { map: None, score1: one, score2: two, winner: None, match_id: Some(Uuid::from_u128(id)) }
}

fn of_server(game: Game) -> Command {
    Command::ReportGame { key: key("R1.1"), game }
}

#[test]
fn games_may_not_say_something_else_than_the_score() {
    let tournament = best_of(3, Format::SingleElimination);
    let with = |games| Verdict { games, ..score(2, 1) };
    let fine = with(vec![game(1, 9, 3), game(2, 3, 9), game(3, 9, 4)]);
    assert_eq!(winner(&reported(&tournament, "R1.1", fine)), Some(1));
    let one_alone = with(vec![game(1, 9, 3)]);
    assert_eq!(winner(&reported(&tournament, "R1.1", one_alone)), Some(1));
    let control = Game { map: Some("dm\0".to_owned()), ..game(1, 9, 3) };
    for wrong in [
        with(vec![game(1, 3, 9), game(2, 3, 9), game(3, 9, 4)]),
        with(vec![game(1, 9, 3), game(2, 9, 3), game(3, 9, 3), game(4, 9, 3)]),
        with(vec![game(1, u32::MAX, 3)]),
        with(vec![control]),
    ] {
        let refusal = refused(&tournament, ORGANIZER, 0, &report("R1.1", wrong));
        assert!(matches!(refusal, Refusal::Invalid(_)));
    }
    let single = Verdict { games: vec![game(1, 3, 9)], ..score(9, 3) };
    assert!(matches!(refused(&cup(), ORGANIZER, 0, &report("R1.1", single)), Refusal::Invalid(_)));
}

#[test]
fn games_of_the_server_add_up_to_a_report() {
    let tournament = best_of(3, Format::SingleElimination);
    let one = by(&tournament, SERVER, 5, &of_server(game(1, 9, 3)));
    assert_eq!((bout(&one, "R1.1").status, bout(&one, "R1.1").started_at), (BoutStatus::Running, Some(5)));
    assert_eq!(by(&one, SERVER, 6, &of_server(game(1, 9, 3))), one, "a game that is told again is one");
    let two = by(&one, SERVER, 7, &of_server(game(2, 3, 9)));
    let three = by(&two, SERVER, 8, &of_server(game(3, 3, 9)));
    let verdict = &bout(&three, "R1.1").outcome.as_ref().unwrap().verdict;
    assert_eq!((verdict.scores, verdict.games.len(), winner(&three)), ([1, 2], 3, Some(4)));
    assert_eq!(by(&three, SERVER, 9, &of_server(game(3, 3, 9))), three);
    assert!(matches!(refused(&tournament, FIRST, 5, &of_server(game(1, 9, 3))), Refusal::NotAllowed(_)));
    assert_eq!(winner(&by(&cup(), SERVER, 5, &of_server(game(1, 9, 3)))), Some(1), "one game is all");
}

#[test]
fn a_drawn_game_is_played_again() {
    let mut tournament = best_of(3, Format::SingleElimination);
    for (id, one, two) in [(1, 9, 3), (2, 5, 5), (3, 3, 9), (4, 5, 5), (5, 9, 8)] {
        tournament = by(&tournament, SERVER, 5, &of_server(game(id, one, two)));
    }
    assert_eq!(winner(&tournament), Some(1));
    let mut endless = best_of(3, Format::SingleElimination);
    let mut id = 0;
    let refusal = loop {
        id += 1;
        match endless.apply(&of_server(game(id, 1, 1)), SERVER, 0) {
            Ok(applied) => endless = applied.tournament,
            Err(refusal) => break refusal,
        }
        assert!(id < 100, "it has an end");
    };
    assert!(matches!(refusal, Refusal::Invalid(_)));
    let huge = refused(&tournament_of_three(), SERVER, 0, &of_server(game(1, u32::MAX, 1)));
    assert!(matches!(huge, Refusal::Invalid(_)));
}

fn tournament_of_three() -> Tournament {
    best_of(3, Format::SingleElimination)
}

#[test]
fn forfeits_are_wins_for_the_other_side_and_for_nobody_if_both_do() {
    let one = reported(&cup(), "R1.1", forfeit(Forfeit::One));
    assert_eq!(sides(bout(&one, "R2.1")), [Some(4), None]);
    let two = reported(&cup(), "R1.1", forfeit(Forfeit::Two));
    assert_eq!(sides(bout(&two, "R2.1")), [Some(1), None]);
    let both = reported(&cup(), "R1.1", forfeit(Forfeit::Both));
    assert_eq!(sides(bout(&both, "R2.1")), [Some(0), None]);
    let over = reported(&both, "R1.2", score(1, 0));
    assert_eq!(over.status, Status::Completed, "the final has a bye");
    assert_eq!(super::play::places(&over), [vec![2], vec![1, 3, 4]]);
    let contrary = Verdict { winner: Some(Side::One), ..forfeit(Forfeit::One) };
    assert!(matches!(refused(&cup(), ORGANIZER, 0, &report("R1.1", contrary)), Refusal::Invalid(_)));
}

#[test]
fn a_match_runs_from_its_start_and_keeps_its_plan() {
    let plan = Plan {
        scheduled_at: Some(77),
        server_id: Some(Uuid::from_u128(5)),
        map: Some("dm/mohdm6".to_owned()),
        stream_url: Some("https://example.org/live".to_owned()),
        token_hash: None,
    };
    let planned =
        by(&cup(), REFEREE, 0, &Command::Plan { key: key("R1.1"), plan: plan.clone(), fields: None });
    let running = by(&planned, FIRST, 5, &Command::Start { key: key("R1.1") });
    assert_eq!(bout(&running, "R1.1").status, BoutStatus::Running);
    assert_eq!(by(&running, SECOND, 6, &Command::Start { key: key("R1.1") }), running);
    let reset = then(&running, &Command::Reset { key: key("R1.1") });
    assert_eq!((bout(&reset, "R1.1").status, &bout(&reset, "R1.1").plan), (BoutStatus::Ready, &plan));
    let captain =
        refused(&cup(), FIRST, 0, &Command::Plan { key: key("R1.1"), plan: Plan::default(), fields: None });
    assert!(matches!(captain, Refusal::NotAllowed(_)));
    for (map, stream_url) in [
        (Some("a\u{0}".to_owned()), None),
        (None, Some("javascript:alert(1)".to_owned())),
        (None, Some("https://example.org/ x".to_owned())),
        (None, Some(format!("https://{}", "a".repeat(600)))),
    ] {
        let plan = Plan { map, stream_url, ..Plan::default() };
        let refusal = refused(&cup(), ORGANIZER, 0, &Command::Plan { key: key("R1.1"), plan, fields: None });
        assert!(matches!(refusal, Refusal::Invalid(_)));
    }
}

#[test]
fn rounds_have_the_games_that_were_set_for_them() {
    let rounds = [("R1", 3), ("final", 7), ("C", 5)].map(|(round, games)| (round.to_owned(), games));
    let options = Options { best_of_rounds: rounds.into(), third_place: true, ..Options::default() };
    let single = begun(Settings { options, ..settings(Format::SingleElimination) }, 8);
    let of = |text| bout(&single, text).best_of;
    assert_eq!([of("R1.4"), of("R2.1"), of("R3.1"), of("C1")], [3, 1, 7, 5]);
    let rounds = [("W1", 3), ("L2", 5), ("GF", 7)].map(|(round, games)| (round.to_owned(), games));
    let options = Options { best_of_rounds: rounds.into(), ..Options::default() };
    let double = begun(Settings { options, ..settings(Format::DoubleElimination) }, 8);
    let of = |text| bout(&double, text).best_of;
    assert_eq!([of("W1.1"), of("W2.1"), of("L1.1"), of("L2.2"), of("GF1"), of("GF2")], [3, 1, 1, 5, 7, 7]);
    for wrong in ["R0", "R", "X1", "R+1", "R01", "final1"] {
        let options = Options { best_of_rounds: [(wrong.to_owned(), 3)].into(), ..Options::default() };
        assert!(!Settings { options, ..settings(Format::Swiss) }.mistakes().is_empty(), "{wrong}");
    }
}

/// What is named of a command, by names in JSON.
fn only(names: &[&str]) -> Option<BTreeSet<String>> {
    Some(names.iter().map(|name| (*name).to_owned()).collect())
}

#[test]
fn two_changes_of_different_things_both_hold() {
    let old = settings(Format::SingleElimination);
    let described = Settings { description: "an evening".to_owned(), ..old.clone() };
    let played_so = Settings { game_mode: Some("tdm".to_owned()), ..old };
    let update = |settings: &Settings, names: &[&str]| Command::Update {
        settings: Box::new(settings.clone()),
        fields: only(names),
    };
    let one = then(&cup(), &update(&described, &["description"]));
    let both = then(&one, &update(&played_so, &["game_mode"]));
    assert_eq!(both.settings, Settings { description: described.description.clone(), ..played_so.clone() });
    assert!(update(&described, &["description"]).is_again(&update(
        &Settings { description: described.description.clone(), ..played_so.clone() },
        &["description"]
    )));
    assert!(!update(&described, &["description"]).is_again(&update(&played_so, &["description"])));

    let server = |number, token: &str| Plan {
        server_id: Some(Uuid::from_u128(number)),
        token_hash: Some(token.to_owned()),
        ..Plan::default()
    };
    let plan = |plan: Plan, names: &[&str]| Command::Plan { key: key("R1.1"), plan, fields: only(names) };
    let assigned = then(&cup(), &plan(server(5, "first"), &["server_id"]));
    let timed = then(&assigned, &plan(Plan { scheduled_at: Some(9), ..Plan::default() }, &["scheduled_at"]));
    assert_eq!(bout(&timed, "R1.1").plan, Plan { scheduled_at: Some(9), ..server(5, "first") });
    let again = then(&timed, &plan(server(5, "second"), &["server_id"]));
    assert_eq!(again, timed, "the server that it has keeps its token");
    let another = then(&timed, &plan(server(6, "third"), &["server_id"]));
    assert_eq!(bout(&another, "R1.1").plan.token_hash.as_deref(), Some("third"));
    assert!(plan(server(5, "first"), &["server_id"]).is_again(&plan(server(5, "second"), &["server_id"])));
    assert!(!plan(server(5, "first"), &["server_id"]).is_again(&plan(server(6, "first"), &["server_id"])));
}

#[test]
fn what_staff_has_decided_is_final_for_captains() {
    let decided = by(&cup(), REFEREE, 0, &report("R1.1", score(2, 0)));
    assert_eq!(refused(&decided, SECOND, 1, &dispute()), Refusal::Final(key("R1.1")));
    let flagged = by(&decided, ORGANIZER, 1, &dispute());
    assert!(bout(&flagged, "R1.1").dispute.is_some(), "staff may ask an organizer to look again");
}

#[test]
fn who_forfeits_is_not_ahead() {
    let with = |forfeited, scores| Verdict { scores, ..forfeit(forfeited) };
    for (forfeited, scores) in [
        (Forfeit::One, [100, 0]),
        (Forfeit::Two, [0, 1]),
        (Forfeit::Both, [16_000_000, 5]),
        (Forfeit::Both, [3, 3]),
    ] {
        let refusal = refused(&cup(), ORGANIZER, 0, &report("R1.1", with(forfeited, scores)));
        assert!(matches!(refusal, Refusal::Invalid(_)), "{forfeited:?} {scores:?}");
    }
    let three = tournament_of_three();
    let refusal = refused(&three, ORGANIZER, 0, &report("R1.1", with(Forfeit::One, [0, 9])));
    assert!(matches!(refusal, Refusal::Invalid(_)));
    assert_eq!(winner(&reported(&three, "R1.1", with(Forfeit::One, [0, 2]))), Some(4));
    assert_eq!(winner(&reported(&cup(), "R1.1", with(Forfeit::Two, [3, 3]))), Some(1));
}

#[test]
fn a_series_has_no_game_after_the_last() {
    let games = |won: [[u32; 2]; 3]| -> Vec<Game> {
        won.map(|[score1, score2]| Game { map: None, score1, score2, winner: None, match_id: None }).into()
    };
    let over = Verdict { games: games([[1, 0], [1, 0], [0, 1]]), ..score(2, 1) };
    let refusal = refused(&tournament_of_three(), ORGANIZER, 0, &report("R1.1", over));
    assert!(matches!(refusal, Refusal::Invalid(_)));
    let full = Verdict { games: games([[1, 0], [0, 1], [1, 0]]), ..score(2, 1) };
    assert_eq!(winner(&reported(&tournament_of_three(), "R1.1", full)), Some(1));
}

#[test]
fn settings_hold_each_map_once_and_times_that_can_be_kept() {
    let old = settings(Format::SingleElimination);
    let twice = Settings { map_pool: vec!["a".to_owned(), "a".to_owned()], ..old.clone() };
    assert_eq!(twice.mistakes()[0].field, "map_pool");
    for at in [-6_375_000_000_000_000, 253_402_300_800_000] {
        let settings = Settings { times: Times { start_time: Some(at), ..old.times }, ..old.clone() };
        assert_eq!(settings.mistakes()[0].field, "start_time", "{at}");
        let plan = Plan { scheduled_at: Some(at), ..Plan::default() };
        let command = Command::Plan { key: key("R1.1"), plan, fields: None };
        assert!(matches!(refused(&cup(), ORGANIZER, 0, &command), Refusal::Invalid(_)));
    }
}
