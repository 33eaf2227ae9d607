//! An independent reader of request bodies: much simpler than a service needs, and good enough for what the
//! simulator sends.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value};

const FORM_KEYS: [&str; 6] =
    ["type=", "match_id=", "session_id=", "timestamp=", "server_token=", "server_id="];

/// The events of a body of any dialect; nested players are flattened.
pub fn events(body: &[u8]) -> Vec<Value> {
    let text = String::from_utf8_lossy(body).replace(":nan,", ":null,").replace(": nan,", ": null,");
    let text = text.trim_matches(['\0', '\n']);
    if text.starts_with("type=") {
        return text.split('\n').map(form_event).collect();
    }
    let documents = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    documents
        .flat_map(|document| match document.unwrap() {
            Value::Array(events) => events,
            event => vec![event],
        })
        .map(flatten)
        .collect()
}

fn form_event(line: &str) -> Value {
    let mut fields: Vec<(String, String)> = Vec::new();
    for piece in line.split('&') {
        let is_field = FORM_KEYS.iter().any(|key| piece.starts_with(key))
            || piece.split_once('=').is_some_and(|(key, _)| {
                key.len() > 2 && key.chars().all(|c| c.is_ascii_lowercase() || c == '_')
            });
        let in_message = fields.last().is_some_and(|(key, _)| key == "message")
            && !piece.starts_with("server_")
            && !piece.starts_with("is_team=");
        match (piece.split_once('='), fields.last_mut()) {
            (Some((key, value)), _) if is_field && !in_message => {
                fields.push((key.to_owned(), value.to_owned()))
            }
            (_, Some((_, value))) => {
                value.push('&');
                value.push_str(piece);
            }
            _ => panic!("no field in {line}"),
        }
    }
    Value::Object(fields.into_iter().map(|(key, value)| (key, Value::String(value))).collect())
}

fn flatten(event: Value) -> Value {
    let Value::Object(fields) = event else { panic!("{event} is no event") };
    let mut flat = Map::new();
    for (key, value) in fields {
        match value {
            Value::Object(inner) => {
                flat.extend(inner.into_iter().map(|(name, value)| (format!("{key}_{name}"), value)))
            }
            value => {
                flat.insert(key, value);
            }
        }
    }
    Value::Object(flat)
}

pub fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok()).filter(|number| number.is_finite())
}

#[derive(Clone, Debug, Default)]
pub struct Counts {
    pub kills: u64,
    pub deaths: u64,
    pub headshots: u64,
    pub suicides: u64,
    pub team_kills: u64,
    pub world_deaths: u64,
    pub damage: u64,
    pub shots_fired: u64,
    pub shots_hit: u64,
    pub jumps: u64,
    pub distance: f64,
}

#[derive(Debug, Default)]
pub struct Recount {
    pub events: u64,
    pub matches: usize,
    pub players: BTreeMap<String, Counts>,
    pub guests: Counts,
    current: Reading,
}

/// The match that is being read.
#[derive(Debug, Default)]
struct Reading {
    match_id: String,
    level_time: f64,
    free_for_all: Option<bool>,
    teams: HashSet<String>,
}

impl Recount {
    /// Bodies by server, each server's in the order of arrival.
    pub fn of(servers: &[Vec<Vec<u8>>]) -> Self {
        let mut recount = Self::default();
        for server in servers {
            recount.current = Reading { level_time: f64::INFINITY, ..Reading::default() };
            for body in server {
                recount.follow(body);
            }
        }
        recount
    }

    /// Reads on; returns how many events the body has.
    pub fn follow(&mut self, body: &[u8]) -> usize {
        let events = events(body);
        events.iter().for_each(|event| self.read(event));
        events.len()
    }

    fn read(&mut self, event: &Value) {
        self.events += 1;
        // Tools send epoch times instead, and always a match id.
        let level_time = number(&event["timestamp"]).filter(|time| *time < 1e6).unwrap_or(0.0);
        let match_id = event["match_id"].as_str().unwrap().to_owned();
        if level_time + 20.0 < self.current.level_time || match_id != self.current.match_id {
            self.matches += 1;
            self.current = Reading { match_id, ..Reading::default() };
        }
        self.current.level_time = level_time;
        if let Some(game_type) = event.get("gametype") {
            let word = game_type.as_str().unwrap();
            self.current.free_for_all = Some(word == "1" || word == "dm");
        }
        for prefix in ["player", "attacker", "killer", "victim", "target"] {
            if let Some(team) = team(event, prefix) {
                self.current.teams.insert(team);
            }
            if who(event, prefix).is_some_and(|id| !id.starts_with("guest ")) {
                self.counts(event, prefix);
            }
        }
        match event["type"].as_str().unwrap() {
            "kill" | "player_kill" => self.read_kill(event),
            "damage" | "player_damage" | "player_pain" if !is_own(event) && !self.is_same_team(event) => {
                self.counts(event, "attacker").damage += number(&event["damage"]).unwrap() as u64;
            }
            "weapon_fire" => self.counts(event, "player").shots_fired += 1,
            "weapon_hit" => self.counts(event, "player").shots_hit += 1,
            "jump" | "player_jump" => self.counts(event, "player").jumps += 1,
            "distance" | "player_distance" | "player_movement" => {
                let ways = ["walked", "sprinted", "swam", "driven"];
                let sum: f64 = ways.iter().filter_map(|way| number(&event[*way])).sum();
                self.counts(event, "player").distance += sum;
            }
            _ => {}
        }
    }

    fn read_kill(&mut self, event: &Value) {
        self.counts(event, "victim").deaths += 1;
        let Some(attacker) = who(event, "attacker") else {
            self.counts(event, "victim").world_deaths += 1;
            return;
        };
        if attacker == who(event, "victim").unwrap() {
            self.counts(event, "victim").suicides += 1;
        } else if self.is_same_team(event) {
            self.counts(event, "attacker").team_kills += 1;
        } else {
            let location = event.get("hitloc").or(event.get("hitlocation")).and_then(Value::as_str).unwrap();
            let counts = self.counts(event, "attacker");
            counts.kills += 1;
            counts.headshots += u64::from(matches!(location, "head" | "helmet" | "0" | "1"));
        }
    }

    fn is_same_team(&self, event: &Value) -> bool {
        let separates = match self.current.free_for_all {
            Some(free_for_all) => !free_for_all,
            None => self.current.teams.len() == 2,
        };
        separates && team(event, "attacker") == team(event, "victim")
    }

    fn counts(&mut self, event: &Value, prefix: &str) -> &mut Counts {
        let id = who(event, prefix).unwrap();
        if id.starts_with("guest ") { &mut self.guests } else { self.players.entry(id).or_default() }
    }
}

fn is_own(event: &Value) -> bool {
    who(event, "attacker") == who(event, "victim")
}

fn who(event: &Value, prefix: &str) -> Option<String> {
    let guid = event.get(format!("{prefix}_guid"))?.as_str()?;
    if let Some(member) = event.get(format!("{prefix}_member_id")) {
        return Some(member.as_str()?.to_owned());
    }
    match guid {
        "world" => None,
        _ if guid.bytes().all(|byte| byte.is_ascii_digit()) => Some(guid.to_owned()),
        _ => Some(format!("guest {}", event.get(format!("{prefix}_name"))?.as_str()?)),
    }
}

fn team(event: &Value, prefix: &str) -> Option<String> {
    let named = event.get(format!("{prefix}_team")).or(event.get(format!("{prefix}_guid")))?.as_str()?;
    match named {
        "american" | "allies" => Some("allies".to_owned()),
        "german" | "axis" => Some("axis".to_owned()),
        _ => None,
    }
}
