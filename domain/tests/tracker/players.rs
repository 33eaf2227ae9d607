//! Player ids, teams, bots and weapons of a stamp.

use mohaa_domain::event::{Event, Player, Stamp};
use mohaa_domain::player::is_guest_id;
use mohaa_domain::tracker::{BotName, EventWindow, Tracker, Trackers};
use mohaa_domain::vocabulary::{EventType, Team};
use uuid::Uuid;

use crate::{Described, SERVER, Server, at, event, jump, player};

fn id_of(server: &mut Server, received_at: f64, block: Player) -> String {
    server.receives(received_at, &event(EventType::Jump).by(block)).player_id.to_string()
}

#[test]
fn members_and_engine_guids_keep_their_ids_in_every_match() {
    let mut server = Server::start();
    for received_at in [0.0, 3600.0] {
        assert_eq!(id_of(&mut server, received_at, player("42", "Elgan", Team::Unknown)), "42");
        assert_eq!(id_of(&mut server, received_at, player("AbC123", "Elgan", Team::Unknown)), "AbC123");
        let member = Player { member_id: "77".into(), ..player("allies", "Hiro", Team::Unknown) };
        assert_eq!(id_of(&mut server, received_at, member), "77");
    }
}

#[test]
fn a_guest_is_known_within_a_match_by_slot_and_plain_name() {
    let mut server = Server::start();
    let id = id_of(&mut server, 0.0, player("unauth_3", "^1Hiro", Team::Unknown));
    assert!(is_guest_id(&id));
    assert_eq!(id_of(&mut server, 1.0, player("unauth_3", "^1Hiro", Team::Unknown)), id);
    assert_eq!(id_of(&mut server, 1.0, player("unauth_3", "Hi^2ro", Team::Unknown)), id);
    assert_ne!(
        id_of(&mut server, 1.0, player("unauth_3", "Yuta", Team::Unknown)),
        id,
        "a slot is reused by strangers"
    );
    assert_ne!(id_of(&mut server, 1.0, player("unauth_4", "Hiro", Team::Unknown)), id);
    let next_match = id_of(&mut server, 3600.0, player("unauth_3", "^1Hiro", Team::Unknown));
    assert_ne!(next_match, id);
    let mut elsewhere = Server { tracker: Tracker::new(Uuid::from_u128(1)) };
    assert_ne!(id_of(&mut elsewhere, 0.0, player("unauth_3", "^1Hiro", Team::Unknown)), id);
}

#[test]
fn a_guest_in_a_teams_name_is_known_by_name_whatever_the_team() {
    let mut server = Server::start();
    let id = id_of(&mut server, 0.0, player("allies", "Yuta", Team::Unknown));
    assert!(is_guest_id(&id));
    assert_eq!(id_of(&mut server, 1.0, player("axis", "Yuta", Team::Unknown)), id);
    assert_eq!(id_of(&mut server, 1.0, player("", "Yuta", Team::Unknown)), id);
}

#[test]
fn the_environment_has_no_id_as_player_or_target() {
    let mut server = Server::start();
    let world = event(EventType::Kill).by(player("world", "world", Team::Unknown)).to(Player::default());
    let stamp = server.receives(0.0, &world);
    assert_eq!((stamp.player_id.as_str(), stamp.target_id.as_str()), ("", ""));
}

#[test]
fn a_team_is_as_sent_or_as_last_seen_for_that_player_in_that_match() {
    let mut server = Server::start();
    let team = |server: &mut Server, received_at, level, block| {
        server.receives(received_at, &jump(level).by(block)).player_team
    };
    assert_eq!(team(&mut server, 0.0, 0.0, player("42", "Elgan", Team::Unknown)), Team::Unknown);
    assert_eq!(team(&mut server, 1.0, 1.0, player("42", "Elgan", Team::Axis)), Team::Axis);
    assert_eq!(team(&mut server, 2.0, 2.0, player("42", "^3New name", Team::Unknown)), Team::Axis);
    assert_eq!(team(&mut server, 3.0, 3.0, player("43", "Elgan", Team::Unknown)), Team::Unknown);
    assert_eq!(team(&mut server, 4.0, 4.0, player("42", "Elgan", Team::Spectator)), Team::Spectator);
    assert_eq!(team(&mut server, 5.0, 5.0, player("42", "Elgan", Team::Unknown)), Team::Spectator);
    assert_eq!(
        team(&mut server, 60.0, 0.0, player("42", "Elgan", Team::Unknown)),
        Team::Unknown,
        "another match"
    );
}

#[test]
fn a_target_teaches_its_team_like_a_player() {
    let mut server = Server::start();
    server.receives(0.0, &event(EventType::WeaponHit).to(player("9", "Yuta", Team::Allies)));
    assert_eq!(
        server.receives(1.0, &jump(1.0).by(player("9", "Yuta", Team::Unknown))).player_team,
        Team::Allies
    );
}

#[test]
fn the_team_that_stands_in_a_guid_is_the_team() {
    let mut server = Server::start();
    assert_eq!(
        server.receives(0.0, &jump(0.0).by(player("axis", "Yuta", Team::Unknown))).player_team,
        Team::Axis
    );
    assert_eq!(
        server.receives(0.0, &jump(0.0).by(player("3", "Elgan", Team::Unknown))).player_team,
        Team::Unknown
    );
}

#[test]
fn bots_are_flagged_by_guid_or_by_the_servers_settings() {
    let mut server = Server::start();
    let bots = |server: &mut Server, name: &str| {
        let kill = event(EventType::Kill).by(player("bot_1", "Fritz", Team::Unknown));
        let stamp = server.receives(0.0, &kill.to(player("unauth_2", name, Team::Unknown)));
        assert!(is_guest_id(&stamp.player_id));
        (stamp.player_bot, stamp.target_bot)
    };
    assert_eq!(bots(&mut server, "^1Robo^2-7"), (true, false));
    server.tracker.set_bot_names(&[BotName::parse("ROBO-*").unwrap()]);
    assert_eq!(bots(&mut server, "^1Robo^2-7"), (true, true));
    assert_eq!(bots(&mut server, "Robot"), (true, false));
}

#[test]
fn a_bot_name_is_a_name_with_wildcards_and_never_everybody() {
    let matches = |pattern: &str, name: &str| BotName::parse(pattern).unwrap().matches(name);
    assert!(matches("Fritz", "^1fritz "));
    assert!(!matches("Fritz", "Fritz2"));
    assert!(matches("*bot*", "ABot7") && matches("*bot", "robot") && matches("a*b*c", "aXbYc"));
    assert!(!matches("a*a", "a") && !matches("a*b*c", "acb") && !matches("*x*y*", "yx"));
    assert_eq!(BotName::parse("**"), None);
    assert_eq!(BotName::parse(" "), None);
}

#[test]
fn the_weapon_is_the_slug_of_its_name_on_any_event_with_one() {
    let mut server = Server::start();
    let mut weapon = |event_type, name: &str| {
        server.receives(0.0, &Event { weapon_name: name.into(), ..event(event_type) }).weapon
    };
    assert_eq!(weapon(EventType::Kill, "M1 Garand"), "m1-garand");
    assert_eq!(weapon(EventType::WeaponFire, "KAR98 - Sniper"), "kar98-sniper");
    assert_eq!(weapon(EventType::Reload, "My Gun"), "my-gun");
    assert_eq!(weapon(EventType::Kill, "falling"), "");
    assert_eq!(weapon(EventType::Jump, ""), "");
}

#[test]
fn the_stamp_names_server_and_receipt_and_leaves_the_spool_its_fields() {
    let mut server = Server::start();
    let stamp = server.receives(5.0, &jump(5.0));
    assert_eq!((stamp.server_id, stamp.received_at), (crate::SERVER, crate::at(5.0)));
    let spool = Stamp::default();
    assert_eq!((stamp.spool_seq, stamp.spool_index), (spool.spool_seq, spool.spool_index));
    assert_eq!(stamp.idempotency_key, "");
}

#[test]
fn a_hit_without_a_weapon_was_done_with_the_weapon_of_the_last_shot() {
    let mut server = Server::start();
    let with = |event_type, guid: &str, weapon: &str| {
        let event = event(event_type).by(player(guid, "", Team::Unknown));
        Event { weapon_name: weapon.into(), ..event }
    };
    let steps = [
        (EventType::WeaponHit, "1", "", ""),
        (EventType::WeaponHit, "1", "Thompson", "thompson"),
        (EventType::WeaponFire, "1", "M1 Garand", "m1-garand"),
        (EventType::WeaponFire, "2", "KAR98K", "kar98k"),
        (EventType::WeaponChange, "1", "Thompson", "thompson"),
        (EventType::WeaponHit, "1", "", "m1-garand"),
        (EventType::WeaponHit, "2", "", "kar98k"),
        (EventType::WeaponHit, "2", "Colt 45", "colt-45"),
        (EventType::WeaponHit, "2", "", "kar98k"),
        (EventType::WeaponHit, "3", "", ""),
        // A shot that names no weapon leaves the next hit without one.
        (EventType::WeaponFire, "1", "", ""),
        (EventType::WeaponHit, "1", "", ""),
    ];
    for (event_type, guid, weapon, expected) in steps {
        let stamp = server.receives(1.0, &with(event_type, guid, weapon));
        assert_eq!(stamp.weapon, expected, "{event_type:?} of {guid} with {weapon:?}");
    }
    let reload = with(EventType::Reload, "2", "");
    assert_eq!(server.receives(1.0, &reload).weapon, "", "only hits are made whole");
}

#[test]
fn the_last_shot_is_part_of_the_state_and_of_one_match() {
    let fire = Event { weapon_name: "M1 Garand".into(), ..event(EventType::WeaponFire) };
    let fire = fire.by(player("1", "", Team::Unknown)).level(20.0);
    let hit = event(EventType::WeaponHit).by(player("1", "", Team::Unknown));
    let mut trackers = Trackers::default();
    trackers.stamp(SERVER, &fire, at(20.0), &EventWindow::default());
    let mut restored = Trackers::restore(&trackers.snapshot()).unwrap();
    let mut weapon_of_hit = |level_time: f64, received_at: f64| {
        let hit = hit.clone().level(level_time);
        restored.stamp(SERVER, &hit, at(received_at), &EventWindow::default()).weapon
    };
    assert_eq!(weapon_of_hit(21.0, 21.0), "m1-garand");
    assert_eq!(weapon_of_hit(1.0, 60.0), "", "the map was loaded anew");
}
