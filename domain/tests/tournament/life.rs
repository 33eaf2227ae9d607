//! The life of a tournament, by hand and by the clock.

use mohaa_domain::tournament::{
    At, By, Command, Entrant, EntrantId, Format, Holder, Mistake, Options, Place, Refusal, SeedBy, Settings,
    Status, Times, Tournament,
};
use proptest::prelude::*;
use uuid::Uuid;

use super::play::{
    ORGANIZER, assert_sound, begun, by, closed, entrants, refused, register, report, score, settings, then,
    to,
};

fn clock(tournament: &Tournament, at: At) -> Tournament {
    by(tournament, By::Clock, at, &Command::Clock { random: 7 })
}

fn timed(times: Times) -> Settings {
    Settings { times, ..settings(Format::SingleElimination) }
}

fn all_times() -> Times {
    Times {
        registration_start: Some(10),
        registration_end: Some(20),
        checkin_start: Some(30),
        checkin_end: Some(40),
        start_time: Some(50),
    }
}

fn check_in(id: u32) -> Command {
    Command::CheckIn { entrant: EntrantId(id) }
}

fn place(tournament: &Tournament, id: u32) -> Place {
    tournament.entrants[&EntrantId(id)].place
}

fn user(id: i64) -> Command {
    Command::Register { holder: Holder::User(id), name: format!("user {id}"), player_id: None, rating: None }
}

#[test]
fn time_moves_it_on_step_by_step() {
    let mut tournament = entrants(&Tournament::new(timed(all_times())), 3);
    for (at, before, after) in [
        (10, Status::Draft, Status::RegistrationOpen),
        (20, Status::RegistrationOpen, Status::RegistrationClosed),
        (30, Status::RegistrationClosed, Status::Checkin),
    ] {
        assert_eq!(tournament.next_deadline(), Some(at));
        assert_eq!(clock(&tournament, at - 1).status, before);
        tournament = clock(&tournament, at);
        assert_eq!(tournament.status, after);
    }
    tournament = by(&tournament, By::Captain(4, EntrantId(1)), 31, &check_in(1));
    tournament = by(&tournament, By::Referee(2), 32, &check_in(3));
    assert_eq!(tournament.next_deadline(), Some(40));
    tournament = clock(&tournament, 40);
    assert_eq!((tournament.status, tournament.checkin_is_over), (Status::Checkin, true));
    assert_eq!(place(&tournament, 2), Place::NoShow);
    tournament = clock(&tournament, 50);
    assert_eq!(tournament.status, Status::InProgress);
    assert_eq!(tournament.draw.seeds, [EntrantId(1), EntrantId(3)]);
    assert_eq!(tournament.next_deadline(), None);
}

#[test]
fn an_organizer_moves_it_by_hand_and_no_missing_time_is_in_the_way() {
    let draft = Tournament::new(settings(Format::SingleElimination));
    assert_eq!(draft.next_deadline(), None);
    let open = entrants(&then(&draft, &to(Status::RegistrationOpen)), 2);
    let closed = then(&open, &to(Status::RegistrationClosed));
    let begun = then(&closed, &to(Status::InProgress));
    assert_eq!(begun.status, Status::InProgress, "check-in is passed over without a window");
    assert_eq!(then(&begun, &to(Status::InProgress)), begun, "it is so already");
}

#[test]
fn a_step_that_is_not_next_is_refused_and_says_what_is() {
    let draft = Tournament::new(timed(all_times()));
    let refusal = refused(&draft, ORGANIZER, 0, &to(Status::InProgress));
    let next = Some(Status::RegistrationOpen);
    assert_eq!(refusal, Refusal::NoSuchStep { from: Status::Draft, to: Status::InProgress, next });
    let closed = closed(timed(all_times()), 2);
    let next = Some(Status::Checkin);
    let skipped = Refusal::NoSuchStep { from: Status::RegistrationClosed, to: Status::InProgress, next };
    assert_eq!(refused(&closed, ORGANIZER, 0, &to(Status::InProgress)), skipped);
    let back = refused(&closed, ORGANIZER, 0, &to(Status::RegistrationOpen));
    assert!(matches!(back, Refusal::NoSuchStep { .. }));
    let begun = begun(settings(Format::SingleElimination), 2);
    assert_eq!(refused(&begun, ORGANIZER, 0, &to(Status::Completed)), Refusal::NotPlayed);
    for who in [By::Referee(1), By::User(1), By::Captain(1, EntrantId(1))] {
        let refusal = refused(&begun, who, 0, &to(Status::Cancelled));
        assert!(matches!(refusal, Refusal::NotAllowed(_)));
    }
}

#[test]
fn it_can_be_cancelled_until_it_is_completed() {
    let cup = || settings(Format::SingleElimination);
    let open = then(&Tournament::new(cup()), &to(Status::RegistrationOpen));
    for tournament in [Tournament::new(cup()), open, closed(cup(), 2), begun(cup(), 2)] {
        let cancelled = then(&tournament, &to(Status::Cancelled));
        assert_eq!(cancelled.status, Status::Cancelled);
        let again = refused(&cancelled, ORGANIZER, 0, &to(Status::RegistrationOpen));
        assert!(matches!(again, Refusal::NoSuchStep { next: None, .. }));
        assert!(cancelled.apply(&report("R1.1", score(1, 0)), ORGANIZER, 0).is_err());
        assert!(cancelled.apply(&register("late"), ORGANIZER, 0).is_err());
    }
    let completed = then(&begun(cup(), 2), &report("R1.1", score(1, 0)));
    assert_eq!(completed.status, Status::Completed);
    let refusal = refused(&completed, ORGANIZER, 0, &to(Status::Cancelled));
    assert!(matches!(refusal, Refusal::NoSuchStep { .. }));
}

#[test]
fn nothing_happens_by_itself_to_a_cancelled_tournament() {
    let begun = begun(settings(Format::SingleElimination), 2);
    let reported = by(&begun, By::Captain(1, EntrantId(1)), 0, &report("R1.1", score(1, 0)));
    assert!(reported.next_deadline().is_some());
    let cancelled = then(&reported, &to(Status::Cancelled));
    assert_eq!(cancelled.next_deadline(), None);
    assert_eq!(clock(&cancelled, At::MAX / 2), cancelled);
}

#[test]
fn a_start_without_enough_participants_is_refused_with_how_many_are_needed() {
    let few = Settings { min_participants: 4, ..settings(Format::SingleElimination) };
    let refusal = refused(&closed(few, 3), ORGANIZER, 0, &to(Status::InProgress));
    assert_eq!(refusal, Refusal::TooFewEntrants { have: 3, need: 4 });
}

#[test]
fn time_that_cannot_start_it_says_why_and_tries_again_after_the_next_mutation() {
    let times = Times { registration_start: Some(0), start_time: Some(50), ..Times::default() };
    let tournament = clock(&entrants(&Tournament::new(timed(times)), 1), 60);
    assert_eq!(tournament.status, Status::RegistrationClosed);
    assert!(tournament.held_up.as_deref().unwrap().contains("too few"));
    assert_eq!(tournament.next_deadline(), None, "it isn't tried over and over");
    assert_eq!(clock(&tournament, 70), tournament);
    let entered = by(&tournament, ORGANIZER, 71, &register("late"));
    assert_eq!(entered.next_deadline(), Some(50));
    assert_eq!(clock(&entered, 72).status, Status::InProgress);
}

#[test]
fn with_only_an_end_check_in_opens_as_registration_ends() {
    let times = Times { checkin_start: None, ..all_times() };
    let tournament = entrants(&Tournament::new(timed(times)), 2);
    let tournament = clock(&tournament, 20);
    assert_eq!(tournament.status, Status::Checkin);
    let tournament = by(&by(&tournament, ORGANIZER, 21, &check_in(1)), ORGANIZER, 22, &check_in(2));
    assert_eq!(clock(&tournament, 50).status, Status::InProgress);
}

#[test]
fn nobody_is_dropped_by_a_check_in_that_was_never_open() {
    // The service was away, or the window was set when it was over.
    let tournament = entrants(&Tournament::new(timed(all_times())), 4);
    let late = clock(&tournament, 60);
    assert_eq!(late.status, Status::InProgress);
    assert_eq!(late.draw.seeds.len(), 4);
    let times = Times {
        registration_start: Some(0),
        checkin_end: Some(40),
        start_time: Some(50),
        ..Times::default()
    };
    let tournament = clock(&entrants(&Tournament::new(timed(times)), 2), 45);
    assert_eq!(tournament.field().count(), 2);
    assert_eq!(clock(&tournament, 50).status, Status::InProgress);
    // Opened by hand, without a window, and nobody was asked.
    let by_hand = then(&closed(settings(Format::Swiss), 4), &to(Status::Checkin));
    assert_eq!(then(&by_hand, &to(Status::InProgress)).draw.seeds.len(), 4);
    let late = then(&by_hand, &register("late"));
    assert_eq!(then(&late, &to(Status::InProgress)).draw.seeds.len(), 5);
    let asked = then(&then(&late, &check_in(1)), &check_in(5));
    assert_eq!(then(&asked, &to(Status::InProgress)).draw.seeds.len(), 2);
}

#[test]
fn no_shows_are_dropped_and_those_who_wait_move_up() {
    let small = Settings { max_participants: 3, ..timed(all_times()) };
    let tournament = entrants(&Tournament::new(small), 5);
    assert_eq!([place(&tournament, 3), place(&tournament, 4)], [Place::Registered, Place::Waiting]);
    let tournament = clock(&tournament, 30);
    let tournament = by(&tournament, ORGANIZER, 30, &check_in(2));
    assert_eq!(refused(&tournament, ORGANIZER, 31, &check_in(2)), Refusal::AlreadyCheckedIn(EntrantId(2)));
    let tournament = clock(&tournament, 40);
    let places: Vec<Place> = (1..=5).map(|id| place(&tournament, id)).collect();
    use Place::{NoShow, Registered};
    assert_eq!(places, [NoShow, Registered, NoShow, Registered, Registered]);
    assert_eq!(refused(&tournament, ORGANIZER, 41, &check_in(1)), Refusal::HasLeft(EntrantId(1)));
    assert_sound(&tournament);
    assert_eq!(clock(&tournament, 50).draw.seeds, [2, 4, 5].map(EntrantId));
}

#[test]
fn a_start_by_hand_ends_check_in() {
    let open = clock(&entrants(&Tournament::new(timed(all_times())), 3), 30);
    let open = by(&by(&open, ORGANIZER, 31, &check_in(1)), ORGANIZER, 31, &check_in(2));
    let begun = by(&open, ORGANIZER, 35, &to(Status::InProgress));
    assert_eq!(begun.draw.seeds, [EntrantId(1), EntrantId(2)]);
    assert_eq!(place(&begun, 3), Place::NoShow);
    let none = clock(&entrants(&Tournament::new(timed(all_times())), 3), 30);
    let refusal = refused(&none, ORGANIZER, 35, &to(Status::InProgress));
    assert_eq!(refusal, Refusal::TooFewEntrants { have: 0, need: 2 });
}

#[test]
fn late_entrants_are_entered_by_an_organizer_before_the_start() {
    let tournament = clock(&entrants(&Tournament::new(timed(all_times())), 2), 25);
    let refusal = refused(&tournament, By::User(5), 25, &user(5));
    assert!(matches!(refusal, Refusal::WrongStatus { .. }));
    let entered = by(&tournament, ORGANIZER, 25, &user(5));
    let checkin = clock(&entered, 30);
    let late = by(&checkin, ORGANIZER, 33, &user(6));
    assert!(late.entrants[&EntrantId(4)].checked_in, "who is entered during check-in is there");
    let checked = (1..=3).fold(late, |tournament, id| by(&tournament, ORGANIZER, 34, &check_in(id)));
    let after = by(&clock(&checked, 45), ORGANIZER, 46, &user(7));
    let begun = clock(&after, 50);
    assert_eq!(begun.draw.seeds.len(), 5);
    let refusal = refused(&begun, ORGANIZER, 51, &user(8));
    assert!(matches!(refusal, Refusal::WrongStatus { .. }));
}

#[test]
fn who_is_entered_while_check_in_runs_without_a_window_is_there() {
    let closed = closed(settings(Format::Swiss), 4);
    let open = by(&closed, ORGANIZER, 10, &to(Status::Checkin));
    let late = by(&open, ORGANIZER, 11, &register("late"));
    assert_eq!(by(&late, ORGANIZER, 12, &to(Status::InProgress)).draw.seeds.len(), 5, "nobody was asked");
    let asked = by(&late, ORGANIZER, 12, &check_in(2));
    let begun = by(&asked, ORGANIZER, 13, &to(Status::InProgress));
    assert_eq!(begun.draw.seeds, [2, 5].map(EntrantId));
}

#[test]
fn who_is_entered_while_check_in_runs_stays_whatever_becomes_of_its_window() {
    let small = Settings { max_participants: 2, ..settings(Format::Swiss) };
    let closed = closed(small, 2);
    let waiting = by(&closed, ORGANIZER, 9, &register("waiting"));
    let open = by(&waiting, ORGANIZER, 10, &to(Status::Checkin));
    let asked = by(&open, ORGANIZER, 11, &check_in(3));
    let late = by(&asked, ORGANIZER, 12, &register("late"));
    let asked = [1, 2].into_iter().fold(late, |tournament, id| {
        by(&tournament, ORGANIZER, 13, &Command::Withdraw { entrant: EntrantId(id) })
    });
    assert_eq!(by(&asked, ORGANIZER, 14, &to(Status::InProgress)).draw.seeds, [3, 4].map(EntrantId));

    let with_window = |tournament: &Tournament, checkin_end| {
        let times = Times { checkin_end, ..Times::default() };
        let settings = Settings { times, ..tournament.settings.clone() };
        by(tournament, ORGANIZER, 12, &Command::Update { settings: Box::new(settings), fields: None })
    };
    let open = by(&super::play::closed(settings(Format::Swiss), 4), ORGANIZER, 10, &to(Status::Checkin));
    let late = by(&open, ORGANIZER, 11, &register("late"));
    let set_later = by(&with_window(&late, Some(40)), ORGANIZER, 13, &check_in(2));
    assert_eq!(by(&set_later, ORGANIZER, 14, &to(Status::InProgress)).draw.seeds, [2, 5].map(EntrantId));

    let late = by(&with_window(&open, Some(40)), ORGANIZER, 12, &register("late"));
    assert!(late.entrants[&EntrantId(5)].checked_in);
    let taken_away = with_window(&late, None);
    assert_eq!(
        by(&taken_away, ORGANIZER, 14, &to(Status::InProgress)).draw.seeds.len(),
        5,
        "nobody was asked"
    );
}

#[test]
fn a_place_is_taken_once_and_can_be_taken_again_after_it_was_given_back() {
    let open = then(&Tournament::new(settings(Format::Swiss)), &to(Status::RegistrationOpen));
    let one = by(&open, By::User(5), 0, &user(5));
    assert_eq!(refused(&one, By::User(5), 0, &user(5)), Refusal::AlreadyEntered(EntrantId(1)));
    let withdraw = Command::Withdraw { entrant: EntrantId(1) };
    let refusal = refused(&one, By::Captain(6, EntrantId(2)), 0, &withdraw);
    assert!(matches!(refusal, Refusal::NotAllowed(_)));
    let gone = by(&one, By::Captain(5, EntrantId(1)), 0, &withdraw);
    assert_eq!(place(&gone, 1), Place::Withdrawn);
    assert_eq!(refused(&gone, ORGANIZER, 0, &withdraw), Refusal::HasLeft(EntrantId(1)));
    let again = open.apply(&user(5), By::User(5), 0).unwrap();
    assert_eq!(again.entrant, Some(EntrantId(1)));
    assert_eq!(by(&gone, By::User(5), 0, &user(5)).last_entrant, 2);
    let reason = "cheating".to_owned();
    let out = then(&one, &Command::Disqualify { entrant: EntrantId(1), reason });
    assert!(matches!(refused(&out, By::User(5), 0, &user(5)), Refusal::AlreadyEntered(_)));
}

#[test]
fn everybody_takes_a_place_for_himself_and_an_organizer_for_anybody() {
    let open = then(&Tournament::new(settings(Format::Swiss)), &to(Status::RegistrationOpen));
    for who in [By::User(6), By::Referee(6), By::Captain(6, EntrantId(1)), By::Clock] {
        assert!(matches!(refused(&open, who, 0, &user(5)), Refusal::NotAllowed(_)), "{who:?}");
    }
    for who in [By::User(5), By::Referee(5), ORGANIZER] {
        assert_eq!(by(&open, who, 0, &user(5)).field().count(), 1);
    }
    assert!(matches!(refused(&open, By::User(5), 0, &register("by name")), Refusal::NotAllowed(_)));
    let team = |user| {
        let holder = Holder::Team(Uuid::from_u128(8));
        (user, Command::Register { holder, name: "team".to_owned(), player_id: None, rating: None })
    };
    let of_teams = Settings { team_size: 4, ..settings(Format::Swiss) };
    let open = then(&Tournament::new(of_teams), &to(Status::RegistrationOpen));
    let (captain, command) = team(By::User(5));
    let entered = by(&open, captain, 0, &command);
    assert_eq!(refused(&entered, captain, 0, &command), Refusal::AlreadyEntered(EntrantId(1)));
    assert!(matches!(refused(&open, By::User(5), 0, &user(5)), Refusal::Invalid(_)), "teams play in it");
    assert_eq!(then(&open, &register("a team by name")).field().count(), 1);
}

#[test]
fn the_waiting_list_moves_up_when_a_place_becomes_free() {
    let small = Settings { max_participants: 2, ..settings(Format::Swiss) };
    let open = then(&Tournament::new(small.clone()), &to(Status::RegistrationOpen));
    let full = entrants(&open, 5);
    let waits: Vec<u32> = full.waiting().map(|entrant| entrant.id.0).collect();
    assert_eq!(waits, [3, 4, 5]);
    let one = then(&full, &Command::Withdraw { entrant: EntrantId(1) });
    assert_eq!(place(&one, 3), Place::Registered);
    let reason = "cheating".to_owned();
    let two = then(&one, &Command::Disqualify { entrant: EntrantId(2), reason });
    assert_eq!(place(&two, 4), Place::Registered);
    let larger = Settings { max_participants: 3, ..small.clone() };
    let three = then(&two, &Command::Update { settings: Box::new(larger), fields: None });
    assert_eq!(place(&three, 5), Place::Registered);
    let refusal = refused(&three, ORGANIZER, 0, &Command::Update { settings: Box::new(small), fields: None });
    assert_eq!(refusal, Refusal::TooManyEntrants { have: 3, allowed: 2 });
    // Who waits in vain gives up no match.
    let begun = then(&then(&full, &to(Status::RegistrationClosed)), &to(Status::InProgress));
    let left = then(&begun, &Command::Withdraw { entrant: EntrantId(4) });
    assert_eq!(place(&left, 4), Place::Withdrawn);
    assert_eq!(left.bouts, begun.bouts);
}

fn seeds(tournament: &Tournament) -> Vec<u32> {
    then(tournament, &to(Status::InProgress)).draw.seeds.iter().map(|id| id.0).collect()
}

#[test]
fn seeds_by_hand_go_before_all_others() {
    let by_hand = |order: &[u32]| Command::Seed { order: order.iter().copied().map(EntrantId).collect() };
    let tournament = closed(settings(Format::SingleElimination), 5);
    assert_eq!(seeds(&tournament), [1, 2, 3, 4, 5]);
    let seeded = then(&tournament, &by_hand(&[4, 2]));
    assert_eq!(seeds(&seeded), [4, 2, 1, 3, 5]);
    assert_eq!(seeds(&then(&seeded, &by_hand(&[]))), [1, 2, 3, 4, 5]);
    assert_eq!(refused(&tournament, ORGANIZER, 0, &by_hand(&[9])), Refusal::UnknownEntrant(EntrantId(9)));
    assert!(matches!(refused(&tournament, ORGANIZER, 0, &by_hand(&[1, 1])), Refusal::Invalid(_)));
    assert!(matches!(refused(&tournament, By::Referee(1), 0, &by_hand(&[1])), Refusal::NotAllowed(_)));
    let begun = then(&seeded, &to(Status::InProgress));
    assert_eq!(begun.entrants[&EntrantId(4)].seed, Some(1));
    assert!(matches!(refused(&begun, ORGANIZER, 0, &by_hand(&[1])), Refusal::WrongStatus { .. }));
}

#[test]
fn seeds_by_rating_are_from_the_best_and_who_has_none_comes_last() {
    let options = Options { seed_by: SeedBy::Rating, ..Options::default() };
    let open = Settings { options, ..settings(Format::SingleElimination) };
    let mut tournament = then(&Tournament::new(open), &to(Status::RegistrationOpen));
    for rating in [None, Some(3.5), Some(-2.0), Some(11.0), None, Some(f64::NAN)] {
        let (holder, name) = (Holder::Nobody, format!("{}", tournament.last_entrant));
        let entrant = Command::Register { holder, name, player_id: None, rating };
        tournament = then(&tournament, &entrant);
    }
    assert_eq!(tournament.entrants[&EntrantId(6)].rating, None, "what is no number is no rating");
    assert_eq!(seeds(&then(&tournament, &to(Status::RegistrationClosed))), [4, 2, 3, 1, 5, 6]);
}

#[test]
fn drawn_seeds_are_those_of_the_recorded_number() {
    let options = Options { seed_by: SeedBy::Random, ..Options::default() };
    let tournament = closed(Settings { options, ..settings(Format::SingleElimination) }, 20);
    let drawn = |random| {
        let begun = then(&tournament, &Command::SetStatus { to: Status::InProgress, random });
        assert_eq!(begun.draw.random, random);
        begun.draw.seeds
    };
    assert_eq!(drawn(1), drawn(1));
    assert_ne!(drawn(1), drawn(2));
    let mut sorted = drawn(3);
    sorted.sort_unstable();
    assert_eq!(sorted, (1..=20).map(EntrantId).collect::<Vec<_>>());
}

#[test]
fn what_the_play_is_built_on_is_fixed_once_it_has_begun() {
    let tournament = begun(settings(Format::SingleElimination), 4);
    let update = |settings| Command::Update { settings: Box::new(settings), fields: None };
    let base = || tournament.settings.clone();
    for other in [
        Settings { format: Format::Swiss, ..base() },
        Settings { best_of: 3, ..base() },
        Settings { max_participants: 8, ..base() },
        Settings { team_size: 2, ..base() },
        Settings { options: Options { third_place: true, ..Options::default() }, ..base() },
    ] {
        assert!(matches!(refused(&tournament, ORGANIZER, 0, &update(other)), Refusal::Fixed(_)));
    }
    let options = Options { auto_accept_minutes: Some(5), allow_rematches: true, ..Options::default() };
    let renamed =
        Settings { name: "Other".to_owned(), map_pool: vec!["dm/mohdm1".to_owned()], options, ..base() };
    assert_eq!(then(&tournament, &update(renamed)).settings.name, "Other");
    let invalid = Settings { name: " ".to_owned(), best_of: 2, ..base() };
    let Refusal::Invalid(mistakes) = refused(&tournament, ORGANIZER, 0, &update(invalid)) else { panic!() };
    let fields: Vec<&str> = mistakes.iter().map(|Mistake { field, .. }| *field).collect();
    assert_eq!(fields, ["name", "best_of"]);
}

#[test]
fn an_undone_step_of_the_clock_waits_for_an_organizer() {
    let tournament = entrants(&Tournament::new(timed(all_times())), 3);
    let applied = tournament.apply(&Command::Clock { random: 7 }, By::Clock, 10).unwrap();
    let undone = applied.tournament.undo(&applied.changes, By::Clock).tournament;
    assert_eq!((undone.status, undone.next_deadline()), (Status::Draft, None));
    assert_eq!(clock(&undone, 15), undone);
    let touched = by(&undone, ORGANIZER, 16, &register("another"));
    assert_eq!(clock(&touched, 17).status, Status::RegistrationOpen);
    // Undoing what came after leaves the clock held.
    let applied = undone.apply(&register("another"), ORGANIZER, 16).unwrap();
    let taken_back = applied.tournament.undo(&applied.changes, ORGANIZER).tournament;
    assert_eq!(taken_back, Tournament { last_entrant: 4, ..undone.clone() }, "a number is not given again");
    // Nor does anybody else set it going again.
    let open = by(&undone, ORGANIZER, 16, &to(Status::RegistrationOpen));
    let closed = open.apply(&Command::Clock { random: 7 }, By::Clock, 20).unwrap();
    let reopened = closed.tournament.undo(&closed.changes, By::Clock).tournament;
    let entered = by(&reopened, By::User(9), 21, &user(9));
    assert_eq!(clock(&entered, 22).status, Status::RegistrationOpen);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whichever times are missing, and however late the clock comes.
    #[test]
    fn the_clock_never_goes_back_never_hangs_and_drops_nobody_who_had_no_chance(
        given in any::<[bool; 5]>(),
        ticks in prop::collection::vec(0_i64..70, 1..6),
        entered in 0_u32..6,
    ) {
        let time = |place: usize, at| given[place].then_some(at);
        let times = Times {
            registration_start: time(0, 10), registration_end: time(1, 20), checkin_start: time(2, 30),
            checkin_end: time(3, 40), start_time: time(4, 50),
        };
        let mut tournament = entrants(&Tournament::new(timed(times)), entered);
        let mut ticks = ticks;
        ticks.sort_unstable();
        let mut was_open = false;
        for at in ticks {
            let before = tournament.status;
            tournament = clock(&tournament, at);
            assert_sound(&tournament);
            prop_assert!(tournament.status >= before);
            prop_assert!(tournament.next_deadline().is_none_or(|due| due > at));
            prop_assert!(was_open || tournament.entrants.values().all(Entrant::is_in));
            was_open |= tournament.status == Status::Checkin;
        }
        if given[0] && given[4] && entered >= 2 && !was_open {
            prop_assert_eq!(clock(&tournament, 70).status, Status::InProgress);
        }
    }
}
