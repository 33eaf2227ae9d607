//! What stands on the board.

use mohaa_domain::event::{Event, Millis, Stamp};
use mohaa_domain::live::{Happening, MOST_PLAYERS};
use mohaa_domain::vocabulary::{EventType, KillKind, Team};

use crate::{NOON, SPOOL, event, folded, kill, stamped};

#[test]
fn kills_deaths_streaks_and_first_blood_are_counted_as_the_stamps_say() {
    let events = [
        kill(10.0, "1001", "1001"),
        kill(20.0, "1002", "1001"),
        kill(22.0, "1002", "1003"),
        kill(25.5, "1002", "1005"),
        kill(40.0, "1002", "1001"),
        kill(50.0, "1001", "1002"),
        kill(60.0, "", "1003"),
    ];
    let mut live = folded(&stamped(&events));
    let board = live.board();
    let (hero, rival) = (&board.players["1002"], &board.players["1001"]);
    assert_eq!((hero.kills, hero.deaths, hero.streak, hero.best_streak, hero.best_multi), (4, 1, 0, 4, 3));
    assert_eq!((rival.kills, rival.deaths, rival.suicides, rival.streak), (1, 3, 1, 1));
    assert_eq!(board.players["1003"].deaths, 2, "the world kills too");
    assert!(!board.players.contains_key(""));
    let first: Vec<bool> = board.kills.iter().map(|line| line.first_blood).collect();
    assert_eq!(first, [false, true, false, false, false, false, false], "a suicide is no first blood");
    assert_eq!(board.weapons["m1-garand"].kills, 5);
    assert_eq!(board.kills.back().unwrap().kind, KillKind::World);
}

#[test]
fn who_is_on_is_who_was_seen_and_has_not_gone_until_a_heartbeat_says_otherwise() {
    let mut events = vec![
        event(EventType::Connect, 1.0, "1001"),
        event(EventType::Spawn, 2.0, "1002"),
        kill(3.0, "1003", "1004"),
        event(EventType::Disconnect, 4.0, "1001"),
    ];
    assert_eq!(folded(&stamped(&events)).board().player_count(), 3);
    let heartbeat = Event { player_count: Some(12), ..event(EventType::Heartbeat, 5.0, "") };
    events.push(heartbeat);
    assert_eq!(folded(&stamped(&events)).board().player_count(), 12);
    events.push(event(EventType::Connect, 6.0, "1009"));
    events.push(event(EventType::Disconnect, 7.0, "1002"));
    events.push(event(EventType::Disconnect, 8.0, "1003"));
    assert_eq!(folded(&stamped(&events)).board().player_count(), 11);
}

#[test]
fn a_round_has_its_winner_and_wakes_the_dead() {
    let round = |event_type, at, number, winner| Event {
        round_number: Some(number),
        winning_team: winner,
        ..event(event_type, at, "")
    };
    let events = [
        round(EventType::RoundStart, 1.0, 1, Team::Unknown),
        kill(5.0, "1002", "1001"),
        round(EventType::RoundEnd, 30.0, 1, Team::Allies),
        round(EventType::RoundStart, 31.0, 2, Team::Unknown),
    ];
    let stamped = stamped(&events);
    let mut live = folded(&stamped[..3]);
    assert!(!live.board().players["1001"].alive);
    assert_eq!(live.board().rounds[0].winning_team, Team::Allies);
    let (event, stamp) = &stamped[3];
    let Some(Happening::Round(round)) = live.fold(SPOOL, event, stamp) else { panic!("a round has begun") };
    assert_eq!((round.round_number, live.board().round_number), (2, 2));
    assert!(live.board().players["1001"].alive);
}

#[test]
fn what_comes_too_late_corrects_counts_and_nothing_that_order_decides() {
    let events = [
        kill(10.0, "1002", "1001"),
        kill(60.0, "1002", "1003"),
        kill(30.0, "1001", "1002"),
        kill(61.0, "1002", "1001"),
    ];
    let mut live = folded(&stamped(&events));
    let board = live.board();
    let hero = &board.players["1002"];
    assert_eq!((hero.kills, hero.deaths, hero.streak), (3, 1, 3), "the late death ends no run");
    assert_eq!(board.players["1001"].kills, 1);
    assert_eq!(board.kills.len(), 3, "and stands in no feed");
}

#[test]
fn momentum_is_told_by_steps_of_fifteen_seconds() {
    let events = [
        kill(1.0, "1002", "1001"),
        kill(16.0, "1001", "1002"),
        kill(17.0, "1003", "1002"),
        kill(46.0, "1002", "1001"),
    ];
    assert_eq!(folded(&stamped(&events)).board().momentum, [1, -2, 0, 1]);
}

#[test]
fn no_server_can_make_the_state_grow_without_bound() {
    let long = "x".repeat(100_000);
    let events: Vec<Event> = (0..3_000)
        .map(|number| Event {
            message: long.as_str().into(),
            item: long.as_str().into(),
            ..kill(f64::from(number) / 1_000.0, &format!("{number}"), &format!("{}", number + 1))
        })
        .collect();
    let mut live = folded(&stamped(&events));
    assert_eq!((live.board().players.len(), live.board().more_players), (3_001, false));
    assert!(live.board().kills.len() <= 40);
    assert!(serde_json::to_vec(&live).unwrap().len() < 6 << 20);

    let made_up: Vec<Event> =
        (3_000..6_000).map(|number| kill(f64::from(number) / 1_000.0, &format!("{number}"), "1")).collect();
    live.fold_all(SPOOL, later(3_000, &stamped(&made_up)).iter().map(|(event, stamp)| (event, stamp)));
    assert_eq!((live.board().players.len(), live.board().more_players), (MOST_PLAYERS, true));
    assert!(serde_json::to_vec(&live).unwrap().len() < 6 << 20);
}

/// A kill as tools send it: with a time of day and no level.time.
fn kill_by_time_of_day(seconds: i64, killer: &str, victim: &str) -> Event {
    Event { level_time: None, sent_at: Some(Millis(NOON + seconds * 1_000)), ..kill(0.0, killer, victim) }
}

#[test]
fn a_match_without_level_times_counts_from_its_first_event() {
    let events = [
        kill_by_time_of_day(0, "1002", "1001"),
        kill_by_time_of_day(3, "1002", "1003"),
        kill_by_time_of_day(60, "1002", "1005"),
    ];
    let mut live = folded(&stamped(&events));
    let board = live.board();
    assert_eq!(board.clock_ms, 60_000);
    assert_eq!(board.kills.iter().map(|line| line.at_ms).collect::<Vec<_>>(), [0, 3_000, 60_000]);
    let hero = &board.players["1002"];
    assert_eq!((hero.best_multi, hero.multi, hero.best_streak), (2, 1, 3));
    assert_eq!(hero.playtime_ms(), 60_000);
}

#[test]
fn the_clock_of_the_level_takes_over_from_the_time_of_day() {
    let events = [
        kill_by_time_of_day(0, "1002", "1001"),
        kill_by_time_of_day(60, "1002", "1003"),
        kill(10.0, "1004", "1001"),
        kill(20.0, "1004", "1003"),
        kill_by_time_of_day(90, "1004", "1005"),
    ];
    let mut live = folded(&stamped(&events));
    let board = live.board();
    assert_eq!(
        board.kills.iter().map(|line| line.at_ms).collect::<Vec<_>>(),
        [0, 60_000, 10_000, 20_000, 20_000],
        "each is in the feed, where it was when it came"
    );
    assert_eq!((board.players["1002"].kills, board.players["1004"].kills), (2, 3));
}

/// The same further on in the spool.
fn later(by: u64, events: &[(Event, Stamp)]) -> Vec<(Event, Stamp)> {
    let moved = |(event, stamp): &(Event, Stamp)| {
        (event.clone(), Stamp { spool_seq: stamp.spool_seq + by, ..stamp.clone() })
    };
    events.iter().map(moved).collect()
}
