//! A stamped event comes back from its row as it went in.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use mohaa_domain::event::{Event, Millis, Player, SecretText, Stamp, Text};
use mohaa_domain::row;
use mohaa_domain::vocabulary::{EventType, GameType, KillKind, Team};
use proptest::prelude::*;
use uuid::Uuid;

fn text() -> impl Strategy<Value = Text> {
    prop_oneof![3 => ".{0,12}", 1 => ".{100,300}"].prop_map(Text::from)
}

fn decimal() -> impl Strategy<Value = Option<f32>> {
    prop::option::of(-1e9..1e9_f32)
}

fn team() -> impl Strategy<Value = Team> {
    prop::sample::select(Team::ALL)
}

fn game_type() -> impl Strategy<Value = GameType> {
    prop::sample::select(GameType::ALL)
}

fn millis() -> impl Strategy<Value = Millis> {
    any::<i64>().prop_map(Millis)
}

fn uuid() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}

prop_compose! {
    fn player()(
        (name, guid, member_id, stance) in (text(), text(), text(), text()),
        team in team(),
        (x, y, z, pitch, yaw) in (decimal(), decimal(), decimal(), decimal(), decimal()),
    ) -> Player {
        Player { name, guid, member_id, team, x, y, z, pitch, yaw, stance }
    }
}

prop_compose! {
    fn event()(
        event_type in prop::sample::select(EventType::ALL),
        (other_type, source_match_id, session_id, map_name) in (text(), text(), text(), text()),
        level_time in prop::option::of(0.0..1e8),
        sent_at in prop::option::of(millis()),
        game_type in game_type(),
        (player, target) in (player(), player()),
        (weapon_name, hitloc, means_of_death, inflictor, item, message) in (text(), text(), text(), text(), text(), text()),
        (damage, duration, walked, sprinted, swam, driven) in (decimal(), decimal(), decimal(), decimal(), decimal(), decimal()),
        team_only: Option<bool>,
        (client_num, round_number, allies_score, axis_score) in any::<(Option<i32>, Option<i32>, Option<i32>, Option<i32>)>(),
        winning_team in team(),
        (player_count, max_clients, shots_fired, shots_hit) in any::<(Option<i32>, Option<i32>, Option<i32>, Option<i32>)>(),
        extra in ".{0,300}",
    ) -> Event {
        let source_type = match event_type {
            // No canonical word: of those the type itself says all.
            EventType::Other => Text::from(format!("?{other_type}")),
            listed => Text::from(listed.as_str()),
        };
        Event {
            event_type, source_type, source_match_id, session_id, match_token: SecretText::default(),
            claim_code: SecretText::default(), result_of: None, level_time,
            sent_at, map_name, game_type, player, target, client_num, weapon_name, hitloc, means_of_death, inflictor,
            damage, item, message, team_only, round_number, allies_score, axis_score, winning_team, player_count,
            max_clients, duration, walked, sprinted, swam, driven, shots_fired, shots_hit, extra,
        }
    }
}

prop_compose! {
    fn stamp()(
        (received_at, event_at) in (millis(), millis()),
        (server_id, match_id) in (uuid(), uuid()),
        (map_name, player_id, target_id, weapon, idempotency_key) in (text(), text(), text(), text(), text()),
        game_type in game_type(),
        (player_team, target_team) in (team(), team()),
        (player_bot, target_bot, headshot, hostile) in any::<(bool, bool, bool, bool)>(),
        kill_kind in prop::sample::select(KillKind::ALL),
        (spool_seq, spool_index) in any::<(u64, u32)>(),
    ) -> Stamp {
        Stamp {
            received_at, event_at, server_id, match_id, map_name, game_type, player_id, target_id, player_team,
            target_team, player_bot, target_bot, weapon, kill_kind, headshot, hostile, idempotency_key, spool_seq,
            spool_index,
        }
    }
}

proptest! {
    #[test]
    fn a_row_gives_back_what_was_written(event in event(), stamp in stamp()) {
        let mut row = Vec::new();
        row::encode(&event, &stamp, &mut row);
        prop_assert_eq!(row::decode(&row, row::COLUMNS.len()), Ok((event, stamp)));
    }

    #[test]
    fn a_row_that_was_cut_or_grew_is_an_error(event in event(), stamp in stamp(), cut in any::<prop::sample::Index>()) {
        let mut row = Vec::new();
        row::encode(&event, &stamp, &mut row);
        prop_assert!(row::decode(&row[..cut.index(row.len())], row::COLUMNS.len()).is_err());
        row.push(0);
        prop_assert_eq!(row::decode(&row, row::COLUMNS.len()), Err(row::RowError::TrailingBytes { bytes: 1 }));
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..600), columns in 0..80_usize) {
        let _ = row::decode(&bytes, columns);
    }
}

#[test]
fn a_match_token_or_a_claim_code_is_never_in_a_row() {
    let event = Event { match_token: "s3cret".into(), claim_code: "s3cret".into(), ..Event::default() };
    let mut row = Vec::new();
    row::encode(&event, &Stamp::default(), &mut row);
    assert!(!row.windows(6).any(|window| window == b"s3cret"));
}

#[test]
fn a_row_of_fewer_columns_leaves_the_rest_at_their_defaults() {
    let mut row = Vec::new();
    row::encode(&Event::default(), &Stamp { received_at: Millis(5), ..Stamp::default() }, &mut row);
    let (event, stamp) = row::decode(&row[..8], 1).unwrap();
    assert_eq!((event, stamp), (Event::default(), Stamp { received_at: Millis(5), ..Stamp::default() }));
    assert!(row::decode(&row, row::COLUMNS.len() + 1).is_err());
}
