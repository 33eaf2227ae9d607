//! A game server as far as the tracker's scripts see one: events, players, cvars, and requests that the test answers.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use mohaa_domain::event::Event;
use mohaa_domain::wire;
use mohaa_morpheus::{Call, Entity, Exception, Host, Machine, Value};
use serde_json::{Map, Value as Json};

pub const SCRIPTS: [&str; 5] =
    ["tracker.scr", "tracker_events.scr", "tracker_http.scr", "tracker_commands.scr", "DMprecache.scr"];

/// What the scripts may use of an engine beyond the language. Its compiler refuses a script that names anything else.
pub const ENGINE_COMMANDS: [&str; 15] = [
    "curl_get",
    "curl_post",
    "event_subscribe",
    "getclientnum",
    "getcvar",
    "getdate",
    "getip",
    "iprint",
    "isbot",
    "md5string",
    "println",
    "randomfloat",
    "randomint",
    "registercmd",
    "$",
];

/// Events that engines with `curl_post` tell of.
pub const ENGINE_EVENTS: [&str; 27] = [
    "level_exit",
    "level_intermission",
    "map_change_start",
    "intermission_start",
    "match_end",
    "round_start",
    "round_end",
    "team_win",
    "player_connected",
    "player_disconnecting",
    "player_spawned",
    "player_damaged",
    "player_killed",
    "player_textMessage",
    "weapon_fire",
    "weapon_hit",
    "weapon_reload",
    "weapon_change",
    "grenade_throw",
    "grenade_explode",
    "player_jump",
    "player_land",
    "player_crouch",
    "player_prone",
    "player_stand",
    "player_distance",
    "team_join",
];

pub fn source(script: &str) -> Vec<u8> {
    let path = format!("{}/../{script}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[derive(Clone, Debug)]
pub struct Request {
    pub url: String,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
    callback: String,
}

impl Request {
    pub fn key(&self) -> &str {
        &self.headers["Idempotency-Key"]
    }

    /// As the service reads them; panics where one can't be read.
    pub fn events(&self) -> Vec<Event> {
        let decoded =
            wire::decode(&self.body, wire::Limits { max_events: 5000 }).expect("not too many events");
        assert!(decoded.rejected.is_empty(), "{}", String::from_utf8_lossy(&self.body));
        assert_eq!(decoded.unreadable_fields, 0, "{}", String::from_utf8_lossy(&self.body));
        decoded.events
    }

    /// As any reader of JSON reads them.
    pub fn objects(&self) -> Vec<Map<String, Json>> {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }
}

#[derive(Default)]
struct Engine {
    subscriptions: Vec<(String, String, String)>,
    commands: BTreeMap<String, (String, String)>,
    requests: VecDeque<Request>,
    cvars: BTreeMap<String, String>,
    printed: Vec<String>,
    told: Vec<(Entity, String)>,
    slots: BTreeMap<usize, (Entity, bool, String)>,
    addresses: BTreeMap<usize, String>,
    unknown_events: BTreeSet<String>,
    dice: u32,
}

struct EngineHost(Rc<RefCell<Engine>>);

impl Host for EngineHost {
    fn call(&mut self, _: &Machine, call: &Call<'_>) -> Option<Result<Value, Exception>> {
        let mut engine = self.0.borrow_mut();
        let text = |index: usize| -> String {
            let value = call.arguments.get(index).cloned().unwrap_or_default();
            String::from_utf8_lossy(&value.text()).into_owned()
        };
        let place_of = |engine: &Engine| -> Result<usize, Exception> {
            let Some(Value::Listener(Some(entity))) = call.arguments.first() else {
                return Err(Exception(format!("{}: no entity", call.name)));
            };
            let mut slots = engine.slots.iter();
            let slot = slots.find(|(_, (other, ..))| other == entity).map(|(slot, _)| *slot);
            slot.ok_or_else(|| Exception(format!("{}: no player", call.name)))
        };
        let answer = match call.name {
            "event_subscribe" => {
                let (event, label) = (text(0), text(1));
                let is_known =
                    ENGINE_EVENTS.contains(&event.as_str()) && !engine.unknown_events.contains(&event);
                if !is_known {
                    return Some(Err(Exception(format!("Invalid event '{event}'"))));
                }
                engine.subscriptions.push((event, call.file.to_owned(), label));
                Ok(Value::Nil)
            }
            "registercmd" => {
                engine.commands.insert(text(0), (call.file.to_owned(), text(1)));
                Ok(Value::Nil)
            }
            "getcvar" => Ok(engine.cvars.get(&text(0)).map_or("", String::as_str).into()),
            "println" => {
                engine.printed.push(text(0));
                Ok(Value::Nil)
            }
            "iprint" => {
                if let Value::Listener(Some(entity)) = call.listener {
                    engine.told.push((*entity, text(0)));
                }
                Ok(Value::Nil)
            }
            "getclientnum" => place_of(&engine).map(|slot| Value::Integer(slot as i32)),
            "isbot" => place_of(&engine).map(|slot| Value::Integer(i32::from(engine.slots[&slot].1))),
            "getip" => place_of(&engine).map(|slot| engine.slots[&slot].2.as_str().into()),
            "getdate" => Ok("27.11.2026 11:41:43 PM".into()),
            "randomint" => {
                engine.dice = engine.dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let most = call.arguments[0].integer().unwrap_or(1).max(1) as u32;
                Ok(Value::Integer((engine.dice / 7 % most) as i32))
            }
            "randomfloat" => Ok(Value::Float(0.5)),
            // As long and as various as one.
            "md5string" => {
                let hash = text(0).bytes().fold(0x6c62_272e_07bb_0142_u128, |hash, byte| {
                    (hash ^ u128::from(byte)).wrapping_mul(0x0100_0000_0000_0000_0000_013b)
                });
                Ok(format!("{hash:032x}").as_str().into())
            }
            "curl_post" | "curl_get" => {
                let mut headers = BTreeMap::new();
                if let Value::Array(lines) = &call.arguments[1] {
                    for line in lines.iter() {
                        if let Value::Array(pair) = line {
                            let part = |at: usize| String::from_utf8_lossy(&pair[at].text()).into_owned();
                            headers.insert(part(0), part(1));
                        }
                    }
                }
                let is_post = call.name == "curl_post";
                let body = if is_post { call.arguments[2].text().to_vec() } else { Vec::new() };
                let callback = text(if is_post { 3 } else { 2 });
                engine.requests.push_back(Request { url: text(0), headers, body, callback });
                Ok(Value::Nil)
            }
            _ => return None,
        };
        Some(answer)
    }
}

pub struct Server {
    pub machine: Rc<Machine>,
    engine: Rc<RefCell<Engine>>,
    taken_keys: RefCell<BTreeSet<String>>,
}

impl Server {
    /// The scripts are loaded, and no map is.
    pub fn new() -> Self {
        Self::with_scripts(&SCRIPTS)
    }

    /// An engine that compiles only these.
    pub fn with_scripts(scripts: &[&str]) -> Self {
        let engine = Rc::new(RefCell::new(Engine::default()));
        let machine = Machine::new(Box::new(EngineHost(engine.clone())));
        for script in scripts {
            machine
                .load(&format!("global/{script}"), &source(script))
                .unwrap_or_else(|error| panic!("{script}:{error}"));
        }
        let server = Server { machine, engine, taken_keys: RefCell::default() };
        for (cvar, value) in [
            ("tracker_url", "http://stats.example.org:8080"),
            ("tracker_token", "mohaa_s_test"),
            ("sv_hostname", "A server"),
            ("net_port", "12203"),
            ("g_gametype", "2"),
            ("timelimit", "20"),
            ("fraglimit", "50"),
            ("sv_maxclients", "20"),
        ] {
            server.set_cvar(cvar, value);
        }
        server
    }

    /// A server that plays a map, with what it told of that already answered.
    pub fn playing(map: &str, game_type: &str) -> Self {
        let server = Server::new();
        server.set_cvar("g_gametype", game_type);
        server.load_map(map);
        server
    }

    pub fn set_cvar(&self, name: &str, value: &str) {
        self.engine.borrow_mut().cvars.insert(name.to_owned(), value.to_owned());
    }

    pub fn forget_event(&self, name: &str) {
        self.engine.borrow_mut().unknown_events.insert(name.to_owned());
    }

    /// The map's script runs `exec global/DMprecache.scr`.
    pub fn load_map(&self, map: &str) {
        self.set_cvar("mapname", map);
        self.machine.restart_level();
        self.engine.borrow_mut().subscriptions.clear();
        self.machine.start("global/DMprecache.scr", "", Value::Nil, &[]);
    }

    /// The engine leaves the level, for another map or for the next round.
    pub fn leave_level(&self, different_map: bool) {
        self.tell("level_exit", None, &[Value::Integer(i32::from(different_map))]);
    }

    pub fn connect(&self, slot: usize, name: &[u8], team: &str) -> Entity {
        let player = self.enter(slot, name, team, false);
        self.tell("player_connected", Some(player), &[]);
        player
    }

    pub fn connect_bot(&self, slot: usize, name: &[u8], team: &str) -> Entity {
        let player = self.enter(slot, name, team, true);
        self.tell("player_connected", Some(player), &[]);
        player
    }

    fn enter(&self, slot: usize, name: &[u8], team: &str, is_bot: bool) -> Entity {
        let player = self.machine.spawn_entity();
        self.machine.set_field(player, "netname", name.into());
        self.machine.set_field(player, "dmteam", team.into());
        self.machine.set_field(player, "origin", Value::Vector([-512.0, 96.5, 24.0 + slot as f32]));
        self.machine.set_field(player, "viewangles", Value::Vector([1.5, -90.0, 0.0]));
        self.machine.set_field(player, "classname", "Player".into());
        let set = self.engine.borrow().addresses.get(&slot).cloned();
        let address = set.unwrap_or_else(|| format!("192.0.2.{slot}:12203"));
        self.engine.borrow_mut().slots.insert(slot, (player, is_bot, address));
        player
    }

    /// Of who enters this slot next.
    pub fn set_address(&self, slot: usize, address: &str) {
        self.engine.borrow_mut().addresses.insert(slot, address.to_owned());
    }

    pub fn leave(&self, slot: usize) {
        let player = self.engine.borrow().slots[&slot].0;
        self.tell("player_disconnecting", Some(player), &[]);
        self.engine.borrow_mut().slots.remove(&slot);
        self.machine.remove_entity(player);
    }

    /// What the last thread that heard of it ended with.
    pub fn tell(&self, event: &str, of: Option<Entity>, arguments: &[Value]) -> Value {
        assert!(ENGINE_EVENTS.contains(&event), "{event}");
        let subscriptions = self.engine.borrow().subscriptions.clone();
        let mut last = Value::Nil;
        for (name, file, label) in &subscriptions {
            if name == event {
                let of = of.map_or(Value::Nil, |entity| Value::Listener(Some(entity)));
                last = self.machine.start(file, label, of, arguments).unwrap_or_default();
            }
        }
        last
    }

    pub fn say(&self, player: Entity, line: &[u8]) -> Value {
        self.tell("player_textMessage", Some(player), &[line.into(), Value::Integer(0)])
    }

    pub fn command(&self, name: &str, player: Entity, argument: &str) {
        let (file, label) = self.engine.borrow().commands[name].clone();
        let arguments = [Value::Listener(Some(player)), argument.into()];
        self.machine.start(&file, &label, Value::Nil, &arguments);
    }

    /// A kill by a bullet: means of death 18, at this hit location.
    pub fn kill(&self, attacker: Value, victim: Entity, means: i32, location: i32) {
        let vector = Value::Vector([0.0; 3]);
        let arguments = [
            attacker.clone(),
            Value::Float(120.0),
            attacker,
            vector.clone(),
            vector.clone(),
            vector,
            Value::Integer(0),
            Value::Integer(0),
            Value::Integer(means),
            Value::Integer(location),
        ];
        self.tell("player_damaged", Some(victim), &arguments);
        self.tell("player_killed", Some(victim), &arguments);
    }

    pub fn pass(&self, seconds: f64) {
        self.machine.advance((seconds * 1000.0).round() as u64);
    }

    /// The request that is under way, if there is one.
    pub fn request(&self) -> Option<Request> {
        self.engine.borrow().requests.front().cloned()
    }

    pub fn requests_under_way(&self) -> usize {
        self.engine.borrow().requests.len()
    }

    /// Answers the oldest request, as the engine does: none at all has status 0.
    pub fn answer(&self, status: i32, body: &str) -> Request {
        let request = self.engine.borrow_mut().requests.pop_front().expect("a request is under way");
        let (file, label) = request.callback.split_once("::").expect("a label of a file");
        let success = Value::Integer(i32::from((200..300).contains(&status)));
        self.machine.start(file, label, Value::Nil, &[success, body.into(), Value::Integer(status)]);
        request
    }

    /// Lets time pass and takes every batch until there is none left; what comes again under its key is taken once.
    pub fn take_all(&self) -> Vec<Request> {
        let mut taken = Vec::new();
        self.pass(2.0);
        while self.request().is_some() {
            let request = self.answer(202, r#"{"status":"accepted"}"#);
            if self.taken_keys.borrow_mut().insert(request.key().to_owned()) {
                taken.push(request);
            }
            self.pass(2.0);
        }
        taken
    }

    pub fn take_events(&self) -> Vec<Event> {
        self.take_all().iter().flat_map(Request::events).collect()
    }

    pub fn printed(&self) -> Vec<String> {
        self.engine.borrow().printed.clone()
    }

    /// What was shown to a player since the last time.
    pub fn told(&self, player: Entity) -> Vec<String> {
        let mut engine = self.engine.borrow_mut();
        let (own, others) = std::mem::take(&mut engine.told).into_iter().partition(|(to, _)| *to == player);
        engine.told = others;
        own.into_iter().map(|(_, line): (Entity, String)| line).collect()
    }

    /// Scripts that are right raise nothing that they don't catch.
    pub fn assert_no_errors(&self) {
        assert_eq!(self.machine.errors(), Vec::<String>::new());
    }
}
