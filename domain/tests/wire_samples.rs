//! Every sample of what game servers send, and exactly what it is read as.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use mohaa_domain::event::{Event, Millis, Player};
use mohaa_domain::vocabulary::{EventType, GameType, Team};
use mohaa_domain::wire::{self, Decoded, Limits};
use serde_json::{Value, json};

const TOKEN: &str = "dev-server-token-replace-in-production";

fn decode(body: &str) -> Decoded {
    wire::decode(body.as_bytes(), Limits { max_events: 100 }).unwrap()
}

/// The one event of a body, and its `extra` apart.
fn only_event(body: &str) -> (Event, Value) {
    let mut decoded = decode(body);
    assert_eq!(decoded.events.len(), 1, "{decoded:?}");
    assert!(decoded.rejected.is_empty());
    assert_eq!(decoded.unreadable_fields, 0);
    let mut event = decoded.events.remove(0);
    let extra = std::mem::take(&mut event.extra);
    (event, if extra.is_empty() { json!({}) } else { serde_json::from_str(&extra).unwrap() })
}

macro_rules! g1 {
    ($name:literal) => {{
        let body = include_str!(concat!("wire/g1/", $name, ".form"));
        assert_eq!(decode(body).body_token.unwrap().as_str(), TOKEN);
        let (event, mut extra) = only_event(body);
        let server_id = extra.as_object_mut().unwrap().remove("server_id");
        assert_eq!(server_id, Some(json!("dev-server-01")));
        let match_id = extra.as_object_mut().unwrap().remove("match_id");
        assert_eq!(match_id, Some(json!("match_sess_0.000_0.000")));
        assert_eq!(event.session_id.is_empty(), !body.contains("&session_id="));
        (Event { session_id: "".into(), ..event }, extra)
    }};
}

macro_rules! g3 {
    ($name:literal) => {{
        let body = include_str!(concat!("wire/g3/", $name, ".json"));
        assert!(decode(body).body_token.is_none());
        let (event, mut extra) = only_event(body);
        let match_id = extra.as_object_mut().unwrap().remove("match_id");
        assert_eq!(match_id.is_some(), body.contains("no_match"));
        (event, extra)
    }};
}

macro_rules! tool {
    ($name:literal) => {
        only_event(
            &include_str!(concat!("wire/tools/", $name, ".json"))
                .replace("{{match_id}}", "m1")
                .replace("{{guid}}", "abc123"),
        )
    };
}

fn event(event_type: EventType, source_type: &str) -> Event {
    Event { event_type, source_type: source_type.into(), level_time: Some(37.9), ..Event::default() }
}

fn player(name: &str, guid: &str, team: Team) -> Player {
    Player { name: name.into(), guid: guid.into(), team, ..Player::default() }
}

fn at(player: Player, x: f32, y: f32, z: f32) -> Player {
    Player { x: Some(x), y: Some(y), z: Some(z), ..player }
}

fn looking(player: Player, pitch: f32, yaw: f32) -> Player {
    Player { pitch: Some(pitch), yaw: Some(yaw), ..player }
}

/// The subject of G1's single-player events.
fn oneil(team: Team) -> Player {
    player("Sgt. O'Neil", "allies", team)
}

fn yuta_g1() -> Player {
    at(player("Yuta", "axis", Team::Axis), 288.405, -702.15, 0.125)
}

/// A block as G2 and G3 samples repeat it.
fn standing(name: &str, guid: &str, team: Team) -> Player {
    Player {
        stance: "stand".into(),
        ..looking(at(player(name, guid, team), 704.477, -215.872, 0.125), 0.0, 240.612)
    }
}

fn hiroshi_g3() -> Player {
    standing("Hiroshi", "unauth_34", Team::Allies)
}

fn yuta_g3() -> Player {
    standing("Yuta", "unauth_41", Team::Axis)
}

fn g3_event(event_type: EventType, source_type: &str) -> Event {
    Event { session_id: "sess_53e89f0cd1cea438".into(), ..event(event_type, source_type) }
}

#[test]
fn g1_events_of_one_player() {
    let cases = [
        (g1!("crouch"), EventType::Crouch, json!({})),
        (g1!("prone"), EventType::Prone, json!({})),
        (g1!("land"), EventType::Land, json!({"fall_height": "128.000"})),
    ];
    for ((found, extra), event_type, expected_extra) in cases {
        assert_eq!(found, Event { player: oneil(Team::Unknown), ..event(event_type, event_type.as_str()) });
        assert_eq!(extra, expected_extra);
    }
}

#[test]
fn g1_events_at_a_place() {
    let (jump, extra) = g1!("jump");
    let place = at(oneil(Team::Unknown), 704.477, -215.872, 0.125);
    assert_eq!(jump, Event { player: place.clone(), ..event(EventType::Jump, "jump") });
    assert_eq!(extra, json!({}));

    let (spawn, extra) = g1!("spawn");
    let player = Player { team: Team::Allies, ..place.clone() };
    assert_eq!(spawn, Event { player, ..event(EventType::Spawn, "spawn") });
    assert_eq!(extra, json!({}));

    let (fire, extra) = g1!("weapon_fire");
    let player = looking(place.clone(), -2.5, 240.612);
    let expected =
        Event { player, weapon_name: "Thompson".into(), ..event(EventType::WeaponFire, "weapon_fire") };
    assert_eq!(fire, expected);
    assert_eq!(extra, json!({"ammo_remaining": "29"}));

    let (throw, extra) = g1!("grenade_throw");
    assert_eq!(throw, Event { player: place, ..event(EventType::GrenadeThrow, "grenade_throw") });
    assert_eq!(extra, json!({"projectile": "Frag Grenade"}));

    let (explode, extra) = g1!("grenade_explode");
    assert_eq!(explode, event(EventType::GrenadeExplode, "grenade_explode"));
    assert_eq!(extra, json!({"projectile": "Frag Grenade"}));
}

#[test]
fn g1_chat_keeps_every_character_of_the_line() {
    let (chat, extra) = g1!("chat");
    let message = "gg & wp = 100% + fun".into();
    assert_eq!(chat, Event { player: oneil(Team::Unknown), message, ..event(EventType::Chat, "chat") });
    assert_eq!(extra, json!({}));
}

#[test]
fn g1_connections() {
    let (connect, _) = g1!("connect");
    let expected = Event {
        level_time: Some(5.1),
        client_num: Some(3),
        player: oneil(Team::Unknown),
        ..event(EventType::Connect, "connect")
    };
    assert_eq!(connect, expected);
    let (disconnect, _) = g1!("disconnect");
    let expected = Event {
        level_time: Some(900.0),
        player: oneil(Team::Unknown),
        ..event(EventType::Disconnect, "disconnect")
    };
    assert_eq!(disconnect, expected);
}

#[test]
fn g1_kill_has_the_means_of_death_in_weapon_and_the_weapon_in_inflictor() {
    let (kill, extra) = g1!("kill");
    let hiroshi = Player { member_id: "42".into(), ..player("^1Hiro^7shi", "allies", Team::Allies) };
    let expected = Event {
        player: looking(at(hiroshi, 704.477, -215.872, 0.125), 0.0, 240.612),
        target: yuta_g1(),
        weapon_name: "M1 Garand".into(),
        inflictor: "M1 Garand".into(),
        means_of_death: "bullet".into(),
        hitloc: "head".into(),
        ..event(EventType::Kill, "kill")
    };
    assert_eq!(kill, expected);
    assert_eq!(extra, json!({"weapon": "18", "hitloc": "0"}));
}

#[test]
fn g1_kill_by_the_world_has_no_weapon() {
    let (kill, extra) = g1!("kill_world");
    let expected = Event {
        player: player("world", "world", Team::Unknown),
        target: yuta_g1(),
        inflictor: "world".into(),
        means_of_death: "falling".into(),
        hitloc: "general".into(),
        ..event(EventType::Kill, "kill")
    };
    assert_eq!(kill, expected);
    assert_eq!(extra, json!({"weapon": "7", "hitloc": "-1"}));
}

#[test]
fn g1_death_is_the_players() {
    let (death, extra) = g1!("death");
    let expected = Event {
        player: at(oneil(Team::Allies), 704.477, -215.872, 0.125),
        weapon_name: "M1 Garand".into(),
        inflictor: "M1 Garand".into(),
        ..event(EventType::Death, "death")
    };
    assert_eq!(death, expected);
    assert_eq!(extra, json!({}));
}

#[test]
fn g1_fights() {
    let (damage, extra) = g1!("damage");
    let expected = Event {
        player: player("Hiroshi", "allies", Team::Unknown),
        target: player("Yuta", "axis", Team::Unknown),
        damage: Some(35.0),
        means_of_death: "bullet".into(),
        ..event(EventType::Damage, "damage")
    };
    assert_eq!(damage, expected);
    assert_eq!(extra, json!({"weapon": "18"}));

    let (headshot, extra) = g1!("headshot");
    let expected = Event {
        player: oneil(Team::Unknown),
        target: player("Yuta", "axis", Team::Unknown),
        weapon_name: "Springfield '03 Sniper".into(),
        ..event(EventType::Headshot, "headshot")
    };
    assert_eq!(headshot, expected);
    assert_eq!(extra, json!({}));

    let (hit, extra) = g1!("weapon_hit");
    let expected = Event {
        player: oneil(Team::Unknown),
        target: player("Yuta", "axis", Team::Unknown),
        hitloc: "torso".into(),
        ..event(EventType::WeaponHit, "weapon_hit")
    };
    assert_eq!(hit, expected);
    assert_eq!(extra, json!({}));
}

#[test]
fn g1_weapons_in_hand() {
    let (reload, extra) = g1!("reload");
    let weapon_name = "Thompson";
    let expected = Event {
        player: oneil(Team::Unknown),
        weapon_name: weapon_name.into(),
        ..event(EventType::Reload, "reload")
    };
    assert_eq!(reload, expected);
    assert_eq!(extra, json!({}));

    let (change, extra) = g1!("weapon_change");
    let expected = Event {
        player: oneil(Team::Unknown),
        weapon_name: weapon_name.into(),
        ..event(EventType::WeaponChange, "weapon_change")
    };
    assert_eq!(change, expected);
    assert_eq!(extra, json!({"old_weapon": "Colt 45", "new_weapon": "Thompson"}));
}

#[test]
fn g1_distance_and_team_change() {
    let (distance, extra) = g1!("distance");
    let expected = Event {
        player: oneil(Team::Unknown),
        walked: Some(100.25),
        sprinted: Some(0.0),
        driven: Some(0.0),
        ..event(EventType::Distance, "distance")
    };
    assert_eq!(distance, expected);
    assert_eq!(extra, json!({}));

    let (change, extra) = g1!("team_change");
    assert_eq!(change, Event { player: oneil(Team::Allies), ..event(EventType::TeamChange, "team_change") });
    assert_eq!(extra, json!({"old_team": "1", "new_team": "3"}));
}

#[test]
fn g1_course_of_a_match() {
    let (start, extra) = g1!("match_start");
    let expected = Event {
        level_time: Some(0.0),
        map_name: "dm/mohdm1".into(),
        game_type: GameType::TeamDeathmatch,
        max_clients: Some(20),
        ..event(EventType::MatchStart, "match_start")
    };
    assert_eq!(start, expected);
    assert_eq!(extra, json!({"gametype": "2", "timelimit": "20", "fraglimit": "50"}));

    let (end, extra) = g1!("match_end");
    let expected = Event {
        level_time: Some(1203.45),
        map_name: "dm/mohdm1".into(),
        duration: Some(1203.45),
        winning_team: Team::Allies,
        allies_score: Some(5),
        axis_score: Some(3),
        ..event(EventType::MatchEnd, "match_end")
    };
    assert_eq!(end, expected);
    assert_eq!(extra, json!({"total_rounds": "8"}));

    let (start, _) = g1!("round_start");
    let expected =
        Event { level_time: Some(2.0), round_number: Some(1), ..event(EventType::RoundStart, "round_start") };
    assert_eq!(start, expected);

    let (end, _) = g1!("round_end");
    let expected = Event {
        level_time: Some(150.25),
        round_number: Some(1),
        winning_team: Team::Axis,
        ..event(EventType::RoundEnd, "round_end")
    };
    assert_eq!(end, expected);

    let (heartbeat, _) = g1!("heartbeat");
    let expected = Event {
        level_time: Some(30.0),
        map_name: "dm/mohdm1".into(),
        round_number: Some(1),
        allies_score: Some(0),
        axis_score: Some(0),
        player_count: Some(12),
        ..event(EventType::Heartbeat, "heartbeat")
    };
    assert_eq!(heartbeat, expected);
}

#[test]
fn g2_batch_holds_one_event_a_line() {
    let decoded = decode(include_str!("wire/g2/batch.txt"));
    assert_eq!(decoded.body_token.unwrap().as_str(), TOKEN);
    assert_eq!(decoded.unreadable_fields, 0);
    assert!(decoded.rejected.is_empty());
    let [connect, kill, distance] = decoded.events.as_slice() else { panic!("three lines") };

    let common = Event {
        source_match_id: "match_4f3a".into(),
        session_id: "sess_f88106789e6e168b".into(),
        map_name: "dm/mohdm1".into(),
        extra: r#"{"server_id":"dev-server-01"}"#.into(),
        ..Event::default()
    };
    let expected = Event {
        event_type: EventType::Connect,
        source_type: "connect".into(),
        level_time: Some(5.1),
        client_num: Some(34),
        player: hiroshi_g3(),
        ..common.clone()
    };
    assert_eq!(*connect, expected);
    let expected = Event {
        event_type: EventType::Kill,
        source_type: "player_kill".into(),
        level_time: Some(37.9),
        player: hiroshi_g3(),
        target: yuta_g3(),
        inflictor: "M1 Garand".into(),
        weapon_name: "M1 Garand".into(),
        hitloc: "head".into(),
        means_of_death: "bullet".into(),
        extra: r#"{"hitlocation":"0","mod":"18","server_id":"dev-server-01"}"#.into(),
        ..common.clone()
    };
    assert_eq!(*kill, expected);
    let expected = Event {
        event_type: EventType::Distance,
        source_type: "distance".into(),
        level_time: Some(38.1),
        player: hiroshi_g3(),
        walked: Some(100.25),
        sprinted: Some(0.0),
        swam: Some(0.0),
        driven: Some(0.0),
        ..common
    };
    assert_eq!(*distance, expected);
}

#[test]
fn g3_kills() {
    let (kill, extra) = g3!("player_kill");
    let expected = Event {
        player: hiroshi_g3(),
        target: yuta_g3(),
        weapon_name: "M1 Garand".into(),
        damage: Some(200.0),
        hitloc: "head".into(),
        means_of_death: "bullet".into(),
        ..g3_event(EventType::Kill, "player_kill")
    };
    assert_eq!(kill, expected);
    assert_eq!(extra, json!({"attacker_team": "american", "victim_team": "german"}));

    let (kill, extra) = g3!("player_kill_authenticated");
    let expected = Event {
        player: Player { member_id: "42".into(), ..standing("Elgan", "42", Team::Allies) },
        target: yuta_g3(),
        weapon_name: "Springfield '03 Sniper".into(),
        damage: Some(112.487),
        hitloc: "helmet".into(),
        means_of_death: "bullet".into(),
        ..g3_event(EventType::Kill, "player_kill")
    };
    assert_eq!(kill, expected);
    assert_eq!(extra, json!({"attacker_team": "american", "victim_team": "german"}));

    let (kill, extra) = g3!("player_kill_no_attacker");
    let expected = Event {
        target: yuta_g3(),
        weapon_name: "falling".into(),
        damage: Some(100.0),
        hitloc: "general".into(),
        means_of_death: "falling".into(),
        ..g3_event(EventType::Kill, "player_kill")
    };
    assert_eq!(kill, expected);
    assert_eq!(extra, json!({"victim_team": "german"}));

    let (kill, extra) = g3!("captured_player_kill");
    let victim = at(player("Yuta", "unauth_41", Team::Allies), 288.405, -702.15, 0.125);
    let expected = Event {
        player: hiroshi_g3(),
        target: Player { stance: "stand".into(), ..looking(victim, 0.0, 80.673) },
        weapon_name: "Explosion".into(),
        damage: Some(200.0),
        hitloc: "general".into(),
        means_of_death: "grenade".into(),
        ..g3_event(EventType::Kill, "player_kill")
    };
    assert_eq!(kill, expected);
    assert_eq!(extra, json!({"attacker_team": "american", "victim_team": "american"}));
}

#[test]
fn g3_events_of_one_player() {
    let cases = [
        (g3!("crouch"), EventType::Crouch, json!({})),
        (g3!("jump"), EventType::Jump, json!({"jump_height": 41.25})),
        (g3!("ladder_mount"), EventType::LadderMount, json!({})),
        (g3!("ladder_dismount"), EventType::LadderDismount, json!({})),
    ];
    for ((found, extra), event_type, more) in cases {
        assert_eq!(found, Event { player: hiroshi_g3(), ..g3_event(event_type, event_type.as_str()) });
        let mut expected_extra = json!({"player_team": "american"});
        expected_extra.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(extra, expected_extra);
    }

    let (spawn, _) = g3!("player_spawn");
    let expected =
        Event { level_time: Some(1.25), player: hiroshi_g3(), ..g3_event(EventType::Spawn, "player_spawn") };
    assert_eq!(spawn, expected);

    let (change, extra) = g3!("weapon_change");
    let expected = Event {
        player: hiroshi_g3(),
        weapon_name: "Thompson".into(),
        ..g3_event(EventType::WeaponChange, "weapon_change")
    };
    assert_eq!(change, expected);
    assert_eq!(extra, json!({"player_team": "american", "old_weapon": "none", "new_weapon": "Thompson"}));

    let (distance, extra) = g3!("distance");
    let expected =
        Event { player: hiroshi_g3(), walked: Some(100.25), ..g3_event(EventType::Distance, "distance") };
    assert_eq!(distance, expected);
    let expected = json!({"player_team": "american", "distance": 1500.75, "total_distance": 1500.75, "delta_distance": 100.25});
    assert_eq!(extra, expected);

    let (auth, extra) = g3!("player_auth");
    let expected = Event {
        player: Player { member_id: "42".into(), ..standing("Elgan", "42", Team::Allies) },
        ..g3_event(EventType::PlayerAuth, "player_auth")
    };
    assert_eq!(auth, expected);
    assert_eq!(extra, json!({"player_team": "american", "smf_member_id": "42", "smf_member_name": "Elgan"}));

    let (chat, _) = g3!("chat_disabled");
    let expected = Event {
        player: hiroshi_g3(),
        message: "!claim MOH-9921".into(),
        team_only: Some(false),
        ..g3_event(EventType::Chat, "chat")
    };
    assert_eq!(chat, expected);
}

#[test]
fn g3_course_of_a_match() {
    let (start, extra) = g3!("match_start_disabled");
    let expected = Event {
        source_match_id: "match_0f1e2d3c4b5a6978".into(),
        level_time: Some(0.05),
        map_name: "dm/mohdm1".into(),
        game_type: GameType::TeamDeathmatch,
        max_clients: Some(20),
        ..g3_event(EventType::MatchStart, "match_start")
    };
    assert_eq!(start, expected);
    assert_eq!(extra, json!({"gametype": "2", "timelimit": 20, "fraglimit": 50}));

    let (heartbeat, extra) = g3!("heartbeat_disabled");
    let expected = Event {
        level_time: Some(30.0),
        round_number: Some(0),
        allies_score: Some(0),
        axis_score: Some(0),
        player_count: Some(0),
        ..g3_event(EventType::Heartbeat, "heartbeat")
    };
    assert_eq!(heartbeat, expected);
    assert_eq!(extra, json!({}));
}

#[test]
fn g3_batch_is_the_sum_of_its_events() {
    let decoded = decode(include_str!("wire/g3/_batch.json"));
    let single = [
        include_str!("wire/g3/player_kill.json"),
        include_str!("wire/g3/player_kill_authenticated.json"),
        include_str!("wire/g3/player_kill_no_attacker.json"),
        include_str!("wire/g3/weapon_change.json"),
        include_str!("wire/g3/player_spawn.json"),
        include_str!("wire/g3/jump.json"),
        include_str!("wire/g3/crouch.json"),
        include_str!("wire/g3/distance.json"),
        include_str!("wire/g3/ladder_mount.json"),
        include_str!("wire/g3/ladder_dismount.json"),
        include_str!("wire/g3/player_auth.json"),
    ];
    let expected: Vec<Event> = single.iter().flat_map(|body| decode(body).events).collect();
    assert_eq!(decoded.events, expected);
}

#[test]
fn tools_send_epoch_times() {
    let common = Event {
        source_match_id: "m1".into(),
        sent_at: Some(Millis(1_738_540_800_000)),
        player: player("", "abc123", Team::Unknown),
        ..Event::default()
    };
    let typed = |event_type: EventType| Event {
        event_type,
        source_type: event_type.as_str().into(),
        ..common.clone()
    };

    let (accuracy, extra) = tool!("accuracy_summary");
    let expected = Event { shots_fired: Some(150), shots_hit: Some(67), ..typed(EventType::AccuracySummary) };
    assert_eq!(accuracy, expected);
    assert_eq!(extra, json!({"accuracy": 44.67}));

    let (chat, _) = tool!("chat");
    assert_eq!(chat, Event { message: "gg wp".into(), team_only: Some(false), ..typed(EventType::Chat) });

    let (damage, extra) = tool!("damage");
    let expected = Event {
        player: player("", "attacker_abc", Team::Unknown),
        target: player("", "abc123", Team::Unknown),
        damage: Some(35.0),
        weapon_name: "Thompson".into(),
        hitloc: "torso".into(),
        means_of_death: "MOD_THOMPSON".into(),
        ..typed(EventType::Damage)
    };
    assert_eq!(damage, expected);
    assert_eq!(extra, json!({}));

    let (heartbeat, extra) = tool!("heartbeat");
    let expected = Event { player: Player::default(), player_count: Some(12), ..typed(EventType::Heartbeat) };
    assert_eq!(heartbeat, expected);
    assert_eq!(extra, json!({"players": 12, "cpu_usage": 35.5}));

    let (capture, extra) = tool!("objective_capture");
    let expected = Event { player: player("", "abc123", Team::Allies), ..typed(EventType::ObjectiveCapture) };
    assert_eq!(capture, expected);
    assert_eq!(extra, json!({"objective_id": "obj_1", "capturing_team": "allies"}));

    let (vote, extra) = tool!("vote_passed");
    assert_eq!(vote, Event { player: Player::default(), ..typed(EventType::VotePassed) });
    assert_eq!(extra, json!({"vote_type": "kick_player", "yes_votes": 8, "no_votes": 2}));

    let (fire, extra) = tool!("weapon_fire");
    assert_eq!(fire, Event { weapon_name: "BAR".into(), ..typed(EventType::WeaponFire) });
    assert_eq!(extra, json!({"ammo_count": 18}));
}
