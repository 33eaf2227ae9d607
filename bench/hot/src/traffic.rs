//! Bodies as game servers of the third script generation post them: a full server of 32 players, half of them
//! logged in, who walk, shoot, kill and die.
//!
//! Most values are text, as these scripts print them. Bodies are made once and sent over and over; level.time is
//! written into them as they are sent ([`at_level_time`]), so that a match's clock runs on as a real one does.

use std::fmt::Write;

use bytes::Bytes;
use memchr::memmem;
use mohaa_domain::vocabulary::{hit_location, means_of_death};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// A script posts after 20 events or 2 s.
pub const BATCH_EVENTS: usize = 20;

const PLAYERS: usize = 32;
const BATCHES: usize = 64;
const SINGLES: usize = 512;
/// What stands before a level.time, which has [`CLOCK_BYTES`] bytes.
const CLOCK_MARK: &[u8] = br#""timestamp": ""#;
const CLOCK_BYTES: usize = 9;

/// The engine's numbers for places of hits end at 18, those for means of death at 29.
const LAST_OF_ENGINE: u8 = 29;
/// As long as the service's own.
const FORM_TOKEN: &str = "mohaa_s_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG";

const NAMES: [&str; 16] = [
    "Hiroshi",
    "Yuta",
    "Elgan",
    "^1Red^7Baron",
    "Pvt. Baker",
    "[82nd] Ash",
    "Frieda",
    "O'Neill",
    "Zoë",
    "K98-fan",
    "^4Blue^7Jay",
    "Sgt. Mike",
    "moh_veteran",
    "Łukasz",
    "Tex",
    "der Fuchs",
];
const MAPS: [&str; 6] =
    ["dm/mohdm1", "dm/mohdm2", "dm/mohdm6", "obj/obj_team1", "obj/obj_team2", "obj/obj_team4"];
const WEAPONS: [&str; 10] = [
    "M1 Garand",
    "Springfield '03 Sniper",
    "Thompson",
    "BAR",
    "Colt 45",
    "Mauser KAR 98K",
    "KAR98 - Sniper",
    "MP40",
    "StG 44",
    "Walther P38",
];
const HIT_LOCATIONS: [&str; 8] =
    ["head", "helmet", "neck", "torso_upper", "torso_lower", "l_arm_upper", "r_leg_upper", "pelvis"];
const STANCES: [&str; 3] = ["stand", "crouch", "run"];

/// What one game server posts.
pub struct ServerTraffic {
    /// A match_start, posted once before everything else.
    pub prelude: Bytes,
    /// Arrays of [`BATCH_EVENTS`] events.
    pub batches: Vec<Bytes>,
    /// Arrays of one event.
    pub singles: Vec<Bytes>,
    /// The events of `batches` as scripts of the second generation post them: form lines, [`BATCH_EVENTS`] to a body.
    pub forms: Vec<Bytes>,
}

impl ServerTraffic {
    /// The same numbers make the same bodies.
    pub fn of_server(number: usize) -> Self {
        let mut battle = Battle::new(number);
        let prelude = battle.match_start();
        let posts: Vec<Vec<String>> = (0..BATCHES).map(|_| battle.events(BATCH_EVENTS)).collect();
        let singles = (0..SINGLES).map(|_| array(&battle.events(1))).collect();
        let form = |events: &Vec<String>| {
            let lines: Vec<String> = events.iter().map(|event| form_line(event, battle.map)).collect();
            Bytes::from(lines.join("\n"))
        };
        Self {
            prelude: array(&[prelude]),
            batches: posts.iter().map(|events| array(events)).collect(),
            singles,
            forms: posts.iter().map(form).collect(),
        }
    }

    /// Arrays of so many events each, for a server whose events come faster than scripts post them.
    pub fn arrays(number: usize, events: usize, count: usize) -> Vec<Bytes> {
        let mut battle = Battle::new(number);
        (0..count).map(|_| array(&battle.events(events))).collect()
    }
}

fn array(events: &[String]) -> Bytes {
    Bytes::from(format!("[{}]", events.join(", ")))
}

/// What a script of the second generation says of the event: nothing is escaped, places of hits and means of death are the
/// engine's numbers, and the weapon of a hit is what inflicted it.
fn form_line(event: &str, map: &str) -> String {
    let is_hit = event.contains(r#""hitloc""#);
    let fields = event.trim_matches(['{', '}']).split(", \"").filter_map(|field| field.split_once(": "));
    let mut line = String::new();
    for (key, value) in fields {
        let (key, value) = (key.trim_matches('"'), value.trim_matches('"'));
        let separator = if line.is_empty() { "" } else { "&" };
        let number = |canonical: fn(&str) -> Option<&'static str>| {
            (0..=LAST_OF_ENGINE)
                .map(|number| number.to_string())
                .find(|number| canonical(number) == Some(value))
                .unwrap_or_else(|| value.to_owned())
        };
        match key {
            "map_name" => continue,
            "hitloc" => push(&mut line, format_args!("{separator}hitlocation={}", number(hit_location))),
            "mod" => push(&mut line, format_args!("{separator}mod={}", number(means_of_death))),
            "weapon" if is_hit => push(&mut line, format_args!("{separator}inflictor={value}")),
            _ => push(&mut line, format_args!("{separator}{key}={value}")),
        }
    }
    push(&mut line, format_args!("&map_name={map}&server_token={FORM_TOKEN}&server_id=bench"));
    line
}

/// The body with this level.time, in seconds below 100,000, in each of its events.
pub fn at_level_time(body: &Bytes, seconds: f64) -> Bytes {
    let clock = level_time(seconds);
    let mut at_time = body.to_vec();
    for found in memmem::find_iter(body, CLOCK_MARK) {
        let at = found + CLOCK_MARK.len();
        at_time[at..at + CLOCK_BYTES].copy_from_slice(clock.as_bytes());
    }
    at_time.into()
}

fn level_time(seconds: f64) -> String {
    format!("{seconds:0CLOCK_BYTES$.3}")
}

struct Soldier {
    name: String,
    guid: String,
    /// Forum id, `""` for a guest.
    member_id: String,
    team: &'static str,
    place: [f64; 3],
    yaw: f64,
    weapon: &'static str,
    walked: f64,
}

struct Battle {
    dice: StdRng,
    map: &'static str,
    match_id: String,
    session_id: String,
    soldiers: Vec<Soldier>,
}

impl Battle {
    fn new(number: usize) -> Self {
        let mut dice = StdRng::seed_from_u64(number as u64);
        let soldiers = (0..PLAYERS)
            .map(|slot| {
                let logged_in = slot % 2 == 0;
                let member_id =
                    if logged_in { (1000 * number + slot + 1).to_string() } else { String::new() };
                Soldier {
                    name: format!("{}{}", NAMES[(number + slot) % NAMES.len()], slot / NAMES.len() + 1),
                    guid: if logged_in { member_id.clone() } else { format!("unauth_{slot}") },
                    member_id,
                    team: if slot % 4 < 2 { "american" } else { "german" },
                    place: [
                        dice.random_range(-3000.0..3000.0),
                        dice.random_range(-3000.0..3000.0),
                        dice.random_range(-64.0..512.0),
                    ],
                    yaw: dice.random_range(0.0..360.0),
                    weapon: WEAPONS[dice.random_range(0..WEAPONS.len())],
                    walked: 0.0,
                }
            })
            .collect();
        let match_id = format!("match_{:016x}", dice.random::<u64>());
        let session_id = format!("sess_{:016x}", dice.random::<u64>());
        Self { dice, map: MAPS[number % MAPS.len()], match_id, session_id, soldiers }
    }

    fn match_start(&self) -> String {
        let mut event = self.head("match_start");
        let map = self.map;
        push(
            &mut event,
            format_args!(
                r#", "map_name": "{map}", "gametype": "2", "timelimit": 20, "fraglimit": 50, "maxclients": 32}}"#
            ),
        );
        event
    }

    fn events(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.event()).collect()
    }

    fn head(&self, event_type: &str) -> String {
        let (match_id, session_id, level_time) = (&self.match_id, &self.session_id, level_time(0.0));
        format!(
            r#"{{"type": "{event_type}", "match_id": "{match_id}", "session_id": "{session_id}", "timestamp": "{level_time}""#
        )
    }

    /// An event of a type as often as scripts post it: a distance every 100 units walked, many shots, few kills.
    fn event(&mut self) -> String {
        let acting = self.dice.random_range(0..PLAYERS);
        let roll = self.dice.random_range(0..100);
        self.walk(acting);
        match roll {
            0..36 => self.distance(acting),
            36..46 => {
                let height = self.dice.random_range(10.0..48.0);
                self.of_player("jump", acting, format_args!(r#", "jump_height": {height:.2}"#))
            }
            46..54 => self.of_player("crouch", acting, format_args!("")),
            54..70 => {
                let (weapon, left) = (self.soldiers[acting].weapon, self.dice.random_range(0..30));
                let details = format_args!(r#", "weapon": "{weapon}", "ammo_remaining": "{left}""#);
                self.of_player("weapon_fire", acting, details)
            }
            70..82 => self.hurt("damage", acting),
            82..88 => self.hurt("player_kill", acting),
            88..93 => {
                let old = self.soldiers[acting].weapon;
                let new = WEAPONS[self.dice.random_range(0..WEAPONS.len())];
                self.soldiers[acting].weapon = new;
                let details = format_args!(r#", "old_weapon": "{old}", "new_weapon": "{new}""#);
                self.of_player("weapon_change", acting, details)
            }
            93..96 => {
                let weapon = self.soldiers[acting].weapon;
                self.of_player("reload", acting, format_args!(r#", "weapon": "{weapon}""#))
            }
            96..99 => self.of_player("player_spawn", acting, format_args!("")),
            _ => {
                let mut event = self.head("heartbeat");
                let map = self.map;
                push(
                    &mut event,
                    format_args!(
                        r#", "map_name": "{map}", "round_number": "0", "allies_score": "12", "axis_score": "9", "player_count": "32"}}"#
                    ),
                );
                event
            }
        }
    }

    fn walk(&mut self, walking: usize) {
        let steps = [self.dice.random_range(-90.0..90.0), self.dice.random_range(-90.0..90.0), 0.0];
        let yaw = self.dice.random_range(0.0..360.0);
        let soldier = &mut self.soldiers[walking];
        soldier.yaw = yaw;
        for (coordinate, step) in soldier.place.iter_mut().zip(steps) {
            *coordinate = (*coordinate + step).clamp(-4000.0, 4000.0);
        }
    }

    fn distance(&mut self, walking: usize) -> String {
        let step = self.dice.random_range(100.0..120.0);
        self.soldiers[walking].walked += step;
        let total = self.soldiers[walking].walked;
        let details = format_args!(
            r#", "distance": {total:.2}, "walked": {step:.2}, "total_distance": {total:.2}, "delta_distance": {step:.2}"#
        );
        self.of_player("distance", walking, details)
    }

    fn of_player(&self, event_type: &str, slot: usize, details: std::fmt::Arguments<'_>) -> String {
        let mut event = self.head(event_type);
        self.push_block("player", slot, &mut event);
        push(&mut event, details);
        event.push('}');
        event
    }

    /// A kill, or damage, of a random other player.
    fn hurt(&mut self, event_type: &str, attacker: usize) -> String {
        let victim = (attacker + self.dice.random_range(1..PLAYERS)) % PLAYERS;
        let damage = self.dice.random_range(20.0..200.0);
        let hit_location = HIT_LOCATIONS[self.dice.random_range(0..HIT_LOCATIONS.len())];
        let weapon = self.soldiers[attacker].weapon;
        let mut event = self.head(event_type);
        self.push_block("attacker", attacker, &mut event);
        self.push_block("victim", victim, &mut event);
        push(
            &mut event,
            format_args!(
                r#", "weapon": "{weapon}", "damage": "{damage:.3}", "hitloc": "{hit_location}", "mod": "bullet"}}"#
            ),
        );
        event
    }

    fn push_block(&self, prefix: &str, slot: usize, event: &mut String) {
        let Soldier { name, guid, member_id, team, place: [x, y, z], yaw, .. } = &self.soldiers[slot];
        let stance = STANCES[slot % STANCES.len()];
        push(
            event,
            format_args!(
                r#", "{prefix}_name": "{name}", "{prefix}_guid": "{guid}", "{prefix}_team": "{team}""#
            ),
        );
        push(
            event,
            format_args!(r#", "{prefix}_x": "{x:.3}", "{prefix}_y": "{y:.3}", "{prefix}_z": "{z:.3}""#),
        );
        push(
            event,
            format_args!(
                r#", "{prefix}_pitch": "0.000", "{prefix}_yaw": "{yaw:.3}", "{prefix}_stance": "{stance}""#
            ),
        );
        if !member_id.is_empty() {
            push(event, format_args!(r#", "{prefix}_smf_id": "{member_id}""#));
        }
    }
}

fn push(event: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string can't fail.
    let _ = event.write_fmt(text);
}
