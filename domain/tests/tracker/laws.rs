//! Laws that hold for whatever servers send.

use std::collections::HashMap;

use mohaa_domain::event::{Event, Millis, Stamp};
use mohaa_domain::row;
use mohaa_domain::tracker::{EventWindow, QueriedLevel, Trackers};
use mohaa_domain::vocabulary::{EventType, GameType, Team};
use proptest::prelude::*;
use uuid::Uuid;

use crate::{Described, SERVER, Server, at, event, player};

const WINDOW: EventWindow = EventWindow { past_ms: 1_000_000, future_ms: 1_000 };

/// What a server sends and the milliseconds until the next.
fn arbitrary_events() -> impl Strategy<Value = Vec<(Event, i64)>> {
    let event_type = prop::sample::select(vec![
        EventType::Jump,
        EventType::Kill,
        EventType::MatchStart,
        EventType::MatchEnd,
        EventType::MapStart,
        EventType::MapChangeStart,
        EventType::Heartbeat,
        EventType::Spawn,
    ]);
    let level_time = prop_oneof![
        1 => Just(None),
        6 => (0_u32..400_000).prop_map(|ms| Some(f64::from(ms) / 1000.0)),
        1 => Just(Some(f64::NAN)),
    ];
    let names = ("", "match_a", "match_b", "match_c");
    let source = prop::sample::select(vec![names.0, names.0, names.1, names.2, names.3]);
    let block =
        (0..6_usize, 0..4_usize, prop::sample::select(Team::ALL.to_vec())).prop_map(|(guid, name, team)| {
            let guids = ["", "world", "unauth_1", "42", "allies", "bot_2"];
            player(guids[guid], ["", "Hiro", "^1Yuta", "x"][name], team)
        });
    let map = prop::sample::select(vec!["", "", "dm/mohdm1", "obj/obj_team2"]);
    let game_type =
        prop_oneof![3 => Just(GameType::Unknown), 1 => prop::sample::select(GameType::ALL.to_vec())];
    let pause = prop_oneof![8 => 0_i64..30_000, 1 => 0_i64..4_000_000];
    let sent = (event_type, level_time, source, block.clone(), block, map, game_type, pause).prop_map(
        |(event_type, level_time, source, by, to, map, game_type, pause)| {
            let described = event(event_type).named(source).by(by).to(to).map(map).game_type(game_type);
            let extra = if event_type == EventType::MapChangeStart {
                format!(r#"{{"to_map":"{map}"}}"#)
            } else {
                String::new()
            };
            (Event { level_time, extra, ..described }, pause)
        },
    );
    prop::collection::vec(sent, 1..120)
}

fn received(events: &[(Event, i64)]) -> impl Iterator<Item = (&Event, Millis)> {
    let mut now = at(0.0).0;
    events.iter().map(move |(event, pause)| {
        let received_at = Millis(now);
        now += pause;
        (event, received_at)
    })
}

/// A running server: how long each map is played, and its events as (seconds into the map, delay).
fn played_maps() -> impl Strategy<Value = Vec<(f64, Vec<(f64, f64)>)>> {
    let events = prop::collection::vec((0.0..1.0_f64, 0.0..19.9_f64), 4..30);
    prop::collection::vec((45.0..400.0_f64, events), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn equal_inputs_give_equal_stamps(events in arbitrary_events()) {
        let stamped = || {
            let mut trackers = Trackers::default();
            received(&events).map(|(event, now)| trackers.stamp(SERVER, event, now, &WINDOW)).collect::<Vec<_>>()
        };
        prop_assert_eq!(stamped(), stamped());
    }

    #[test]
    fn a_tracker_read_back_at_any_cut_goes_on_as_if_it_had_never_stopped(
        events in arbitrary_events(),
        cut in any::<prop::sample::Index>(),
    ) {
        let cut = cut.index(events.len());
        let mut without_stop = Trackers::default();
        let mut stopped = Trackers::default();
        for (position, (event, now)) in received(&events).enumerate() {
            if position == cut {
                stopped = Trackers::restore(&stopped.snapshot()).unwrap();
            }
            let expected = without_stop.stamp(SERVER, event, now, &WINDOW);
            prop_assert_eq!(stopped.stamp(SERVER, event, now, &WINDOW), expected);
        }
        prop_assert_eq!(stopped.snapshot(), without_stop.snapshot());
    }

    #[test]
    fn events_read_back_from_their_rows_bring_the_state_to_where_it_was(
        events in arbitrary_events(),
        cut in any::<prop::sample::Index>(),
    ) {
        let cut = cut.index(events.len());
        let mut running = Trackers::default();
        let mut kept = Vec::new();
        let mut rows = Vec::new();
        for (position, (event, now)) in received(&events).enumerate() {
            if position == cut {
                kept = running.snapshot();
            }
            let stamp = running.stamp(SERVER, event, now, &WINDOW);
            if position >= cut {
                let mut encoded = Vec::new();
                row::encode(event, &stamp, &mut encoded);
                rows.push(encoded);
            }
        }
        let mut resumed = Trackers::restore(&kept).unwrap();
        for encoded in rows {
            let (event, stamp) = row::decode(&encoded, row::COLUMNS.len()).unwrap();
            prop_assert!(resumed.resume(&event, &stamp));
        }
        prop_assert_eq!(resumed.snapshot(), running.snapshot());
    }

    #[test]
    fn explicit_ids_never_mix(events in arbitrary_events()) {
        let mut trackers = Trackers::default();
        let mut name_of_match: HashMap<Uuid, String> = HashMap::new();
        for (event, now) in received(&events).filter(|(event, _)| !event.source_match_id.is_empty()) {
            let Stamp { match_id, .. } = trackers.stamp(SERVER, event, now, &WINDOW);
            let name = name_of_match.entry(match_id).or_insert_with(|| event.source_match_id.to_string());
            prop_assert_eq!(name.as_str(), event.source_match_id.as_str());
        }
    }

    #[test]
    fn delays_under_20_s_and_reordering_split_a_stream_into_the_maps_that_were_played(maps in played_maps()) {
        // (received at, level.time, which map), in the order of receipt.
        let mut sent = Vec::new();
        let mut loaded_at = 0.0;
        for (map, (length, events)) in maps.iter().enumerate() {
            sent.push((loaded_at + 0.05, 0.05, map, EventType::MapStart));
            sent.extend(events.iter().map(|(share, delay)| {
                let level_time = (share * length * 1000.0).round() / 1000.0;
                (loaded_at + level_time + delay, level_time, map, EventType::Jump)
            }));
            loaded_at += length;
        }
        sent.sort_by(|one, other| one.0.total_cmp(&other.0));
        let mut server = Server::start();
        let mut map_of_match = HashMap::new();
        for (received_at, level_time, map, event_type) in sent {
            let match_id = server.places(received_at, &event(event_type).level(level_time));
            prop_assert_eq!(*map_of_match.entry(match_id).or_insert(map), map);
        }
        prop_assert_eq!(map_of_match.len(), maps.len());
    }

    #[test]
    fn whenever_a_server_is_asked_no_event_gets_a_map_that_was_not_played_when_it_happened(
        maps in played_maps(),
        questions in prop::collection::vec(any::<prop::sample::Index>(), 1..12),
    ) {
        // Loading takes longer than anything is under way.
        const LOADING: f64 = 4.0;
        const LONGEST_DELAY: f64 = 3.0;
        enum Seen { Event(f64), Answer(QueriedLevel) }
        let mut seen = Vec::new();
        let mut loaded_at = 0.0;
        let mut levels = Vec::new();
        for (map, (length, events)) in maps.iter().enumerate() {
            let played = length - LOADING;
            seen.extend(events.iter().map(|(share, delay)| {
                let level_time = (share * played * 1000.0).round() / 1000.0;
                let late = (delay % LONGEST_DELAY * 1000.0).round() / 1000.0;
                (loaded_at + level_time + late, map, Seen::Event(level_time))
            }));
            levels.push((loaded_at, played));
            loaded_at += length;
        }
        for question in questions {
            let at_second = question.index(loaded_at as usize) as f64;
            let played = levels.iter().position(|(loaded_at, played)| {
                (*loaded_at..*loaded_at + *played).contains(&at_second)
            });
            if let Some(map) = played {
                let map_name = format!("dm/{map}").into();
                let level = QueriedLevel { asked_at: at(at_second), map_name, game_type: GameType::TeamDeathmatch };
                seen.push((at_second + 0.1, map, Seen::Answer(level)));
            }
        }
        seen.sort_by(|one, other| one.0.total_cmp(&other.0));
        let mut server = Server::start();
        for (seen_at, map, what) in seen {
            match what {
                Seen::Answer(level) => server.tracker.set_queried(level),
                Seen::Event(level_time) => {
                    let told = server.receives(seen_at, &event(EventType::Jump).level(level_time)).map_name;
                    let played = format!("dm/{map}");
                    prop_assert!(told.is_empty() || told == played.as_str(), "{} on {}", told, played);
                }
            }
        }
    }
}
