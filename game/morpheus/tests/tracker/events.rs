//! What is sent of what happens: all 25 types, in the decoder's fields, whatever people call themselves and say.

use std::collections::{BTreeMap, BTreeSet};

use mohaa_domain::event::Event;
use mohaa_domain::vocabulary::{EventType, GameType, HIT_LOCATIONS, MEANS_OF_DEATH, Team};
use mohaa_domain::wire;
use mohaa_morpheus::Value;
use proptest::prelude::*;

use crate::server::{Request, Server};

/// Everything that scripts can tell of happens once, in a game of rounds.
pub fn everything() -> Vec<Request> {
    let server = Server::playing("obj/obj_team2", "4");
    server.machine.happen("roundstart");
    let anna = server.connect(3, b"Anna", "allies");
    let bert = server.connect(4, b"^1Bert", "axis");
    let (anna_value, bert_value) = (Value::Listener(Some(anna)), Value::Listener(Some(bert)));
    server.tell("player_spawned", Some(anna), &[]);
    server.tell("team_join", Some(bert), &["spectator".into(), "axis".into()]);
    server.tell("weapon_change", Some(anna), &["Colt 45".into(), "M1 Garand".into()]);
    server.tell("weapon_fire", Some(anna), &["M1 Garand".into(), Value::Integer(7)]);
    server.tell("weapon_hit", Some(anna), &[bert_value.clone(), Value::Integer(3)]);
    server.tell("weapon_reload", Some(anna), &["M1 Garand".into()]);
    let grenade = server.machine.spawn_entity();
    server.machine.set_field(grenade, "classname", "Projectile".into());
    let grenade = Value::Listener(Some(grenade));
    server.tell("grenade_throw", Some(anna), std::slice::from_ref(&grenade));
    server.tell("grenade_explode", Some(anna), std::slice::from_ref(&grenade));
    server.tell("player_jump", Some(anna), &[Value::Float(41.5)]);
    server.tell("player_land", Some(anna), &[Value::Float(80.0)]);
    server.tell("player_crouch", Some(anna), &[]);
    server.tell("player_prone", Some(anna), &[]);
    server.tell("player_distance", Some(anna), &[50.0, 30.0, 10.0, 5.0].map(Value::Float));
    server.say(anna, b"well done");
    server.kill(anna_value, bert, 18, 0);
    server.pass(30.0);
    server.leave(4);
    server.machine.happen("allieswin");
    server.leave_level(true);
    let requests = server.take_all();
    server.assert_no_errors();
    requests
}

fn events_of(requests: &[Request]) -> Vec<Event> {
    requests.iter().flat_map(Request::events).collect()
}

fn only(events: &[Event], event_type: EventType) -> &Event {
    let mut found = events.iter().filter(|event| event.event_type == event_type);
    let first = found.next().unwrap_or_else(|| panic!("no {event_type:?}"));
    assert!(found.next().is_none(), "{event_type:?} twice");
    first
}

#[test]
fn every_canonical_type_is_sent_under_its_own_name() {
    let requests = everything();
    let sent: BTreeSet<String> = requests
        .iter()
        .flat_map(Request::objects)
        .map(|object| object["type"].as_str().expect("a text").to_owned())
        .collect();
    let canonical: BTreeSet<String> =
        EventType::CANONICAL.iter().map(|event_type| event_type.as_str().to_owned()).collect();
    assert_eq!(canonical.len(), 25);
    assert_eq!(sent, canonical);
}

#[test]
fn every_field_is_one_that_the_decoder_knows() {
    for object in everything().iter().flat_map(Request::objects) {
        for field in object.keys() {
            assert!(wire::knows_field(field), "{field} of {}", object["type"]);
        }
    }
}

#[test]
fn every_event_says_match_time_map_and_game_type() {
    let events = events_of(&everything());
    let match_id = events[0].source_match_id.clone();
    assert_eq!(match_id.len(), 32);
    for event in &events {
        assert_eq!(event.source_match_id, match_id, "{event:?}");
        assert_eq!(event.map_name, "obj/obj_team2");
        assert_eq!(event.game_type, GameType::Objective);
        assert!(event.level_time.is_some());
        assert!(!event.session_id.is_empty());
    }
}

#[test]
fn the_decoder_understands_what_was_meant() {
    let events = events_of(&everything());
    let kill = only(&events, EventType::Kill);
    assert_eq!((kill.player.name.as_str(), kill.player.guid.as_str()), ("Anna", "unauth_3"));
    assert_eq!((kill.target.name.as_str(), kill.target.guid.as_str()), ("^1Bert", "unauth_4"));
    assert_eq!((kill.player.team, kill.target.team), (Team::Allies, Team::Axis));
    assert_eq!((kill.player.x, kill.player.y, kill.player.z), (Some(-512.0), Some(96.5), Some(27.0)));
    assert_eq!((kill.player.pitch, kill.player.yaw), (Some(1.5), Some(-90.0)));
    assert_eq!(kill.player.stance, "prone");
    assert_eq!((kill.weapon_name.as_str(), kill.hitloc.as_str()), ("M1 Garand", "head"));
    assert_eq!((kill.means_of_death.as_str(), kill.damage), ("bullet", Some(120.0)));
    assert_eq!(kill.inflictor, "");

    let headshot = only(&events, EventType::Headshot);
    assert_eq!((headshot.player.name.as_str(), headshot.target.name.as_str()), ("Anna", "^1Bert"));
    let death = only(&events, EventType::Death);
    assert_eq!((death.player.name.as_str(), death.means_of_death.as_str()), ("^1Bert", "bullet"));
    let damage = only(&events, EventType::Damage);
    assert_eq!((damage.player.name.as_str(), damage.target.name.as_str()), ("Anna", "^1Bert"));
    let hit = only(&events, EventType::WeaponHit);
    assert_eq!(
        (hit.target.name.as_str(), hit.hitloc.as_str(), hit.weapon_name.as_str()),
        ("^1Bert", "torso_upper", "M1 Garand")
    );
    let change = only(&events, EventType::WeaponChange);
    assert_eq!(change.weapon_name, "M1 Garand");
    let team_change = only(&events, EventType::TeamChange);
    assert_eq!(team_change.player.team, Team::Axis);
    let distance = only(&events, EventType::Distance);
    assert_eq!(
        (distance.walked, distance.sprinted, distance.swam, distance.driven),
        (Some(50.0), Some(30.0), Some(10.0), Some(5.0))
    );
    let chat = only(&events, EventType::Chat);
    assert_eq!((chat.message.as_str(), chat.team_only), ("well done", Some(false)));
    let heartbeat = only(&events, EventType::Heartbeat);
    assert_eq!((heartbeat.player_count, heartbeat.round_number), (Some(2), Some(1)));
    let connect = events.iter().find(|event| event.event_type == EventType::Connect).expect("one");
    assert_eq!(connect.client_num, Some(3));
    let start = only(&events, EventType::MatchStart);
    assert_eq!(start.max_clients, Some(20));
    let round_end = only(&events, EventType::RoundEnd);
    assert_eq!((round_end.winning_team, round_end.round_number), (Team::Allies, Some(1)));
    let end = only(&events, EventType::MatchEnd);
    assert_eq!((end.winning_team, end.allies_score, end.axis_score), (Team::Allies, Some(1), Some(0)));
    assert!(end.duration.is_some_and(|seconds| seconds >= 30.0));
}

/// The other form of the engine's event: a sum, and what was walked since the last.
#[test]
fn distances_in_the_other_form_are_steps() {
    let server = Server::playing("dm/mohdm1", "1");
    let anna = server.connect(0, b"Anna", "freeforall");
    server.tell("player_distance", Some(anna), &[Value::Float(500.0), Value::Float(100.0)]);
    let events = server.take_events();
    assert_eq!(only(&events, EventType::Distance).walked, Some(100.0));
    server.assert_no_errors();
}

#[test]
fn every_means_of_death_and_hit_location_has_the_decoders_name() {
    let server = Server::playing("dm/mohdm1", "2");
    let anna = server.connect(0, b"Anna", "allies");
    let bert = server.connect(1, b"Bert", "axis");
    server.take_all();
    for means in 0..30 {
        server.kill(Value::Listener(Some(anna)), bert, means, -1);
    }
    for location in -2..19 {
        server.kill(Value::Listener(Some(anna)), bert, 18, location);
    }
    let events = server.take_events();
    let kills: Vec<&Event> = events.iter().filter(|event| event.event_type == EventType::Kill).collect();
    let means: Vec<&str> = kills[..30].iter().map(|kill| kill.means_of_death.as_str()).collect();
    assert_eq!(means, MEANS_OF_DEATH);
    let locations: Vec<&str> = kills[30..].iter().map(|kill| kill.hitloc.as_str()).collect();
    assert_eq!(locations, HIT_LOCATIONS);
    assert_eq!(events.iter().filter(|event| event.event_type == EventType::Headshot).count(), 2);
    // Names leave nothing to keep beside them.
    assert!(kills.iter().all(|kill| !kill.extra.contains("hitloc") && !kill.extra.contains("\"mod\"")));
    server.assert_no_errors();
}

#[test]
fn numbers_that_the_engine_does_not_have_are_left_out() {
    let server = Server::playing("dm/mohdm1", "2");
    let anna = server.connect(0, b"Anna", "allies");
    let bert = server.connect(1, b"Bert", "axis");
    for (means, location) in [(30, 19), (-1, -3), (1_000_000, i32::MIN)] {
        server.kill(Value::Listener(Some(anna)), bert, means, location);
    }
    for kill in server.take_events().iter().filter(|event| event.event_type == EventType::Kill) {
        assert_eq!((kill.means_of_death.as_str(), kill.hitloc.as_str()), ("", ""));
    }
    server.assert_no_errors();
}

#[test]
fn a_death_that_nobody_caused_has_no_attacker() {
    let server = Server::playing("dm/mohdm1", "2");
    let bert = server.connect(1, b"Bert", "axis");
    let world = server.machine.spawn_entity();
    server.machine.set_field(world, "classname", "World".into());
    for attacker in [Value::Nil, Value::Listener(None), Value::Listener(Some(world)), Value::Integer(-1)] {
        server.kill(attacker, bert, 7, -1);
    }
    let events = server.take_events();
    let kills: Vec<&Event> = events.iter().filter(|event| event.event_type == EventType::Kill).collect();
    assert_eq!(kills.len(), 4);
    for kill in kills {
        assert_eq!((kill.player.name.as_str(), kill.target.name.as_str()), ("", "Bert"));
        assert_eq!(kill.means_of_death, "falling");
    }
    server.assert_no_errors();
}

#[test]
fn a_grenade_kills_as_what_was_thrown_also_after_a_change_of_weapon() {
    let server = Server::playing("dm/mohdm1", "2");
    let anna = server.connect(0, b"Anna", "allies");
    let bert = server.connect(1, b"Bert", "axis");
    server.tell("weapon_fire", Some(anna), &["Frag Grenade".into(), Value::Integer(2)]);
    server.tell("grenade_throw", Some(anna), &[Value::Nil]);
    server.tell("weapon_change", Some(anna), &["Frag Grenade".into(), "Thompson".into()]);
    server.kill(Value::Listener(Some(anna)), bert, 14, -1);
    let events = server.take_events();
    assert_eq!(only(&events, EventType::Kill).weapon_name, "Frag Grenade");
    server.assert_no_errors();
}

#[test]
fn who_left_is_no_attacker_and_no_error() {
    let server = Server::playing("dm/mohdm1", "2");
    let anna = server.connect(0, b"Anna", "allies");
    let bert = server.connect(1, b"Bert", "axis");
    server.leave(0);
    server.kill(Value::Listener(Some(anna)), bert, 14, -1);
    server.tell("grenade_explode", Some(anna), &[Value::Listener(None)]);
    let events = server.take_events();
    assert_eq!(only(&events, EventType::Kill).player.name, "");
    assert_eq!(only(&events, EventType::GrenadeExplode).player.name, "");
    server.assert_no_errors();
}

#[test]
fn who_hits_his_own_head_scores_no_headshot() {
    let server = Server::playing("dm/mohdm1", "2");
    let anna = server.connect(0, b"Anna", "allies");
    server.kill(Value::Listener(Some(anna)), anna, 9, 0);
    let events = server.take_events();
    assert_eq!(only(&events, EventType::Kill).hitloc, "head");
    assert!(events.iter().all(|event| event.event_type != EventType::Headshot));
    server.assert_no_errors();
}

#[test]
fn bots_are_told_by_their_guid() {
    let server = Server::playing("dm/mohdm1", "2");
    server.connect_bot(7, b"Bot Fritz", "axis");
    let events = server.take_events();
    assert_eq!(only(&events, EventType::Connect).player.guid, "bot_7");
}

#[test]
fn a_tournaments_token_goes_with_every_event() {
    let server = Server::new();
    server.set_cvar("tracker_match_token", "mohaa_m_\"token");
    server.load_map("dm/mohdm1");
    server.connect(0, b"Anna", "allies");
    let events = server.take_events();
    assert!(events.len() >= 2 && events.iter().all(|event| event.match_token.as_str() == "mohaa_m_\"token"));
    server.assert_no_errors();
}

/// What people call themselves to break something.
const HOSTILE: [&[u8]; 15] = [
    b"\"",
    b"\\",
    b"\\\"",
    b"a\\",
    b"\",\"type\":\"kill\",\"x\":\"",
    b"\"},{\"type\":\"kill\"",
    b"\\u0022},{",
    b"\x01\x02\x1b[31m\x1f",
    b"tab\tline\nreturn\r",
    b"100% /* & = + ; // */",
    "Zoë 的 😀".as_bytes(),
    b"Andr\xe9 \x80\x93",
    b"^1r^2e^3d",
    b"</script><script>alert(1)</script>",
    b"NIL",
];

#[test]
fn hostile_names_and_lines_are_what_they_are() {
    for name in HOSTILE {
        let server = Server::playing("dm/mohdm1", "2");
        let player = server.connect(0, name, "allies");
        server.say(player, name);
        let requests = server.take_all();
        // Strict readers of JSON, where it is text at all.
        if std::str::from_utf8(name).is_ok() {
            assert_eq!(requests.iter().flat_map(Request::objects).count(), 3);
        }
        let events = events_of(&requests);
        assert_eq!(events.len(), 3, "{}", String::from_utf8_lossy(name));
        let meant = wire::to_text(name);
        assert_eq!(only(&events, EventType::Connect).player.name, *meant);
        let chat = only(&events, EventType::Chat);
        assert_eq!((chat.player.name.as_str(), chat.message.as_str()), (&*meant, &*meant));
        server.assert_no_errors();
    }
}

#[test]
fn a_new_name_is_used_from_then_on() {
    let server = Server::playing("dm/mohdm1", "2");
    let player = server.connect(0, b"Anna", "allies");
    server.say(player, b"one");
    server.machine.set_field(player, "netname", "An\"na".into());
    server.say(player, b"two");
    let events = server.take_events();
    let names: Vec<&str> = events
        .iter()
        .filter(|event| event.event_type == EventType::Chat)
        .map(|event| event.player.name.as_str())
        .collect();
    assert_eq!(names, ["Anna", "An\"na"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_name_and_line_come_through(
        name in prop::collection::vec(1_u8..=255, 1..40),
        line in prop::collection::vec(1_u8..=255, 1..120),
    ) {
        // A line that is one of the script's own commands is not chat.
        prop_assume!(!line.starts_with(b"!"));
        let server = Server::playing("dm/mohdm1", "2");
        let player = server.connect(0, &name, "allies");
        server.say(player, &line);
        let events = server.take_events();
        prop_assert_eq!(events.len(), 3);
        let chat = &events[2];
        prop_assert_eq!(&chat.player.name, &*wire::to_text(&name));
        // The domain hides what looks like a code.
        if mohaa_domain::claim::without_codes(&wire::to_text(&line)).is_none() && !chat.message.contains("[hidden]") {
            prop_assert_eq!(&chat.message, &*wire::to_text(&line));
        }
        prop_assert_eq!(server.machine.errors(), Vec::<String>::new());
    }
}

/// The fields of each type that a whole game sends, without those of every event, blocks as `name_*`.
pub fn fields_by_type() -> BTreeMap<String, BTreeSet<String>> {
    const EVERYWHERE: [&str; 6] = ["type", "match_id", "session_id", "timestamp", "map_name", "gametype"];
    const PARTS: [&str; 11] =
        ["name", "guid", "smf_id", "member_id", "team", "x", "y", "z", "pitch", "yaw", "stance"];
    let mut by_type: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for object in everything().iter().flat_map(Request::objects) {
        let fields = by_type.entry(object["type"].as_str().expect("a text").to_owned()).or_default();
        for field in object.keys().filter(|field| !EVERYWHERE.contains(&field.as_str())) {
            let block = ["player", "attacker", "victim", "target"].into_iter().find(|prefix| {
                field.strip_prefix(&format!("{prefix}_")).is_some_and(|part| PARTS.contains(&part))
            });
            fields.insert(block.map_or_else(|| field.clone(), |prefix| format!("{prefix}_*")));
        }
    }
    by_type
}
