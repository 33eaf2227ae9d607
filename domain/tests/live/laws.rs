//! Laws, for any stream of events.

use mohaa_domain::event::{Event, Millis, Stamp};
use mohaa_domain::live::{DISORDER_MS, LiveMatch};
use mohaa_domain::vocabulary::{EventType, Team};
use proptest::prelude::*;

use crate::{NOON, SERVER, SPOOL, event, folded, kill, stamped};

/// A stream in the order of the level's clock, no two events at one moment.
fn streams() -> impl Strategy<Value = Vec<Event>> {
    let step = (1_u32..4_000, 0_u8..10, 1000_u32..1008, 1000_u32..1008);
    proptest::collection::vec(step, 1..120).prop_map(|steps| {
        let mut at_ms = 0_u32;
        steps
            .into_iter()
            .map(|(pause, kind, one, other)| {
                at_ms += pause;
                let (at, one, other) = (f64::from(at_ms) / 1000.0, one.to_string(), other.to_string());
                match kind {
                    0..=3 => kill(at, &one, &other),
                    4 => event(EventType::Spawn, at, &one),
                    5 => event(EventType::Disconnect, at, &one),
                    6 => Event { message: "hello".into(), ..event(EventType::Chat, at, &one) },
                    7 => Event {
                        player_count: Some(3),
                        allies_score: Some(at_ms as i32),
                        ..event(EventType::Heartbeat, at, "")
                    },
                    8 => Event {
                        round_number: Some((at_ms / 20_000) as i32),
                        winning_team: Team::Axis,
                        ..event(
                            if pause % 2 == 0 { EventType::RoundStart } else { EventType::RoundEnd },
                            at,
                            "",
                        )
                    },
                    _ => event(EventType::WeaponFire, at, &one),
                }
            })
            .collect()
    })
}

/// The same as tools tell it, with times of day, or with the level's clock.
fn streams_with_and_without_clock() -> impl Strategy<Value = Vec<Event>> {
    let without_clock = |mut event: Event| {
        let at_ms = (event.level_time.take().unwrap_or_default() * 1000.0).round() as i64;
        Event { sent_at: Some(Millis(NOON + at_ms)), ..event }
    };
    (streams(), any::<bool>()).prop_map(move |(events, keeps_time)| {
        if keeps_time { events } else { events.into_iter().map(without_clock).collect() }
    })
}

/// The same events as they may arrive: none later than others that are 5 s younger.
fn shuffled(events: &[(Event, Stamp)], delays: &[u16]) -> Vec<(Event, Stamp)> {
    let mut keyed: Vec<(i64, (Event, Stamp))> = events
        .iter()
        .zip(delays.iter().cycle())
        .map(|(event, delay)| {
            let at_ms = match event.0.level_time {
                Some(seconds) => (seconds * 1000.0).round() as i64,
                None => event.1.event_at.0 - NOON,
            };
            (at_ms + i64::from(*delay) % DISORDER_MS, event.clone())
        })
        .collect();
    keyed.sort_by_key(|(arrives, _)| *arrives);
    keyed
        .into_iter()
        .enumerate()
        .map(|(number, (_, (event, mut stamp)))| {
            stamp.spool_seq = number as u64 + 1;
            (event, stamp)
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn disorder_of_less_than_five_seconds_leaves_no_trace(
        events in streams(),
        delays in proptest::collection::vec(any::<u16>(), 1..50),
    ) {
        let in_order = stamped(&events);
        let mut one = folded(&in_order);
        let mut other = folded(&shuffled(&in_order, &delays));
        prop_assert_eq!(one.board_and_deeds(), other.board_and_deeds());
    }

    #[test]
    fn what_is_read_from_where_it_is_stored_makes_the_same_state(
        events in streams_with_and_without_clock(),
        delays in proptest::collection::vec(any::<u16>(), 1..50),
        size in 1_usize..40,
    ) {
        let events = shuffled(&stamped(&events), &delays);
        let mut unbroken = folded(&events);
        let mut rebuilt = LiveMatch::new(events[0].1.match_id, SERVER);
        for chunk in events.chunks(size) {
            rebuilt.fold_stored(chunk.iter().map(|(event, stamp)| (event, stamp)));
        }
        prop_assert_eq!(unbroken.board_and_deeds(), rebuilt.board_and_deeds());
    }

    #[test]
    fn a_state_that_was_written_down_and_read_back_anywhere_goes_on_as_if_it_never_was(
        events in streams_with_and_without_clock(),
        delays in proptest::collection::vec(any::<u16>(), 1..50),
        cuts in proptest::collection::vec(0_usize..120, 0..4),
    ) {
        let events = shuffled(&stamped(&events), &delays);
        let mut unbroken = folded(&events);
        let mut live = LiveMatch::new(events[0].1.match_id, SERVER);
        let mut told = Vec::new();
        for (number, (event, stamp)) in events.iter().enumerate() {
            if cuts.contains(&number) {
                live = serde_json::from_slice(&serde_json::to_vec(&live).unwrap()).unwrap();
            }
            told.push(live.fold(SPOOL, event, stamp));
        }
        prop_assert_eq!(unbroken.board_and_deeds(), live.board_and_deeds());
        let mut again = LiveMatch::new(events[0].1.match_id, SERVER);
        let told_again: Vec<_> = events.iter().map(|(event, stamp)| again.fold(SPOOL, event, stamp)).collect();
        prop_assert_eq!(told, told_again, "viewers are told the same");
    }

    #[test]
    fn however_events_are_bundled_the_board_is_the_same_and_each_happening_is_told_once(
        events in streams_with_and_without_clock(),
        delays in proptest::collection::vec(any::<u16>(), 1..50),
        size in 1_usize..40,
    ) {
        let events = shuffled(&stamped(&events), &delays);
        let mut one_by_one = LiveMatch::new(events[0].1.match_id, SERVER);
        let told = events.iter().filter(|(event, stamp)| one_by_one.fold(SPOOL, event, stamp).is_some()).count();
        let mut bundled = LiveMatch::new(events[0].1.match_id, SERVER);
        let told_bundled: usize = events
            .chunks(size)
            .map(|chunk| bundled.fold_all(SPOOL, chunk.iter().map(|(event, stamp)| (event, stamp))).len())
            .sum();
        prop_assert_eq!(one_by_one.board_and_deeds(), bundled.board_and_deeds());
        prop_assert_eq!(told, told_bundled);
    }

    #[test]
    fn what_was_folded_before_changes_nothing(events in streams_with_and_without_clock(), from in 0_usize..120, to in 0_usize..120) {
        let events = stamped(&events);
        let (from, to) = (from.min(events.len()), to.min(events.len()));
        let mut once = folded(&events);
        let mut twice = folded(&events);
        for (event, stamp) in &events[from.min(to)..from.max(to)] {
            prop_assert_eq!(twice.fold(SPOOL, event, stamp), None);
        }
        prop_assert_eq!(once.board_and_deeds(), twice.board_and_deeds());
    }

    #[test]
    fn every_kill_is_one_death_and_sums_agree(events in streams_with_and_without_clock()) {
        let events = stamped(&events);
        let mut live = folded(&events);
        let board = live.board();
        let kills = events.iter().filter(|(_, stamp)| stamp.kill_kind.as_str() == "kill").count();
        let deaths = events.iter().filter(|(event, _)| event.event_type == EventType::Kill).count();
        prop_assert_eq!(board.players.values().map(|player| player.kills as usize).sum::<usize>(), kills);
        prop_assert_eq!(board.players.values().map(|player| player.deaths as usize).sum::<usize>(), deaths);
        for player in board.players.values() {
            prop_assert!(player.best_streak <= player.kills && player.streak <= player.best_streak);
        }
    }
}
