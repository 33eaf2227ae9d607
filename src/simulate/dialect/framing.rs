//! From a match to the requests that a server sends: who says what about itself, how many events go together,
//! in which format, under which headers.
//!
//! Scripts keep up to 20 events or 2 seconds of them and send at once when somebody dies; the first generation
//! sends every event alone.

use std::collections::VecDeque;

use chrono::{DateTime, SecondsFormat};

use super::Dialect;
use super::sentence::{self, Sentence};
use super::value::{Fields, Numbers, Value};
use crate::simulate::battle::Battle;
use crate::simulate::dice::Dice;
use crate::simulate::event::{Side, Stand};
use crate::simulate::meaning::Meaning;

const MOST_EVENTS: usize = 20;
const LONGEST_WAIT_MS: u64 = 2_000;

/// A game's clock never runs slower than the wall's. When requests are slow or held back, level.time is moved
/// on before it lags by as much as makes a receiver think of another map (20 s).
const MOST_LAG_MS: u64 = 5_000;

/// What a server says about itself and its match.
#[derive(Clone, Debug)]
pub struct Letterhead {
    pub token: String,
    /// The server's own name for itself.
    pub server_id: String,
    pub session_id: String,
    pub match_id: String,
    /// Number of the match on this server: scripts of several releases alternate.
    pub match_number: usize,
}

/// The wall clock at the moment of sending.
#[derive(Clone, Copy, Debug)]
pub struct SendClock {
    pub epoch_ms: i64,
    /// Since the match's first request was asked for.
    pub match_elapsed_ms: u64,
}

/// One POST.
#[derive(Debug)]
pub struct Request {
    pub headers: Vec<(&'static str, String)>,
    /// Unique among the requests of a server, for those that are sent again.
    pub key: String,
    pub body: Vec<u8>,
    /// One for each event in the body, in order.
    pub meanings: Vec<Meaning>,
    /// level.time of the last event.
    pub level_ms: u64,
    /// The body is JSON by the book; false also for form text.
    pub strict_json: bool,
}

#[derive(Debug)]
struct Written {
    fields: Fields,
    meaning: Meaning,
    level_ms: u64,
    is_kill: bool,
    strict: bool,
}

/// Plays a match and writes it down request by request.
#[derive(Debug)]
pub struct Scribe {
    dialect: Dialect,
    letterhead: Letterhead,
    battle: Battle,
    dice: Dice,
    written: VecDeque<Written>,
    last_level_ms: u64,
    level_offset_ms: u64,
    requests: u64,
}

impl Scribe {
    pub fn new(dialect: Dialect, letterhead: Letterhead, battle: Battle, dice: Dice) -> Self {
        Self {
            dialect,
            letterhead,
            battle,
            dice,
            written: VecDeque::new(),
            last_level_ms: 0,
            level_offset_ms: 0,
            requests: 0,
        }
    }

    /// Writes another token from the next event on that is not written yet.
    pub fn speak_with(&mut self, token: &str) {
        if self.letterhead.token != token {
            self.letterhead.token = token.to_owned();
        }
    }

    /// The next request, or nothing once the match is over and told.
    pub fn next_request(&mut self, clock: SendClock) -> Option<Request> {
        let level_ms = self.last_level_ms + self.level_offset_ms;
        if clock.match_elapsed_ms > level_ms + MOST_LAG_MS {
            self.level_offset_ms += clock.match_elapsed_ms - level_ms;
        }
        let most_events = self.draw_batch_size();
        let mut batch: Vec<Written> = Vec::new();
        while batch.len() < most_events && self.write_ahead(clock) {
            let first_ms = batch.first().map(|first| first.level_ms);
            let is_due =
                |written: &mut Written| first_ms.is_none_or(|ms| written.level_ms < ms + LONGEST_WAIT_MS);
            let Some(written) = self.written.pop_front_if(is_due) else { break };
            let is_kill = written.is_kill;
            batch.push(written);
            if is_kill {
                break;
            }
        }
        let level_ms = batch.last()?.level_ms;
        let strict_values = batch.iter().all(|written| written.strict);
        let (body, is_json_document) = self.write_body(&batch);
        self.requests += 1;
        Some(Request {
            headers: self.headers(),
            key: format!("{}-{}", self.letterhead.match_id, self.requests),
            strict_json: is_json_document && strict_values && std::str::from_utf8(&body).is_ok(),
            body,
            meanings: batch.into_iter().map(|written| written.meaning).collect(),
            level_ms,
        })
    }

    /// Tools send whatever they like.
    fn draw_batch_size(&mut self) -> usize {
        match self.dialect {
            Dialect::G1 => 1,
            Dialect::G2 | Dialect::G3 | Dialect::Live => MOST_EVENTS,
            Dialect::Tools if self.dice.chance(0.2) => 1,
            Dialect::Tools => MOST_EVENTS,
        }
    }

    /// Whether there is an event that hasn't been sent.
    fn write_ahead(&mut self, clock: SendClock) -> bool {
        while self.written.is_empty() {
            let Some(event) = self.battle.next() else { return false };
            self.last_level_ms = event.level_ms;
            let level_ms = event.level_ms + self.level_offset_ms;
            for sentence in sentence::sentences(self.dialect, &event, level_ms, &mut self.dice) {
                let written = self.write(sentence, level_ms, clock);
                self.written.push_back(written);
            }
        }
        true
    }

    fn numbers(&self) -> Numbers {
        match self.dialect {
            Dialect::Tools => Numbers::Native,
            // Both kinds of script are in the field.
            Dialect::G3 if self.letterhead.match_number % 2 == 1 => Numbers::Native,
            _ => Numbers::Strings,
        }
    }

    fn write(&mut self, sentence: Sentence, level_ms: u64, clock: SendClock) -> Written {
        let is_kill = sentence.is_kill();
        // Kills keep whole blocks, so that the places where people die stay certain.
        let is_partial = !is_kill && self.dice.chance(0.02);
        let is_unreadable = !is_kill && !is_partial && self.dice.chance(0.004);
        let is_nested = self.dialect == Dialect::Tools && self.dice.chance(0.5);
        let mut fields = Fields::default();
        let mut smf_ids = Fields::default();
        self.write_head(sentence.kind, level_ms, &mut fields);
        for (prefix, stand) in &sentence.blocks {
            match self.dialect {
                Dialect::G1 => write_first_block(sentence.kind, prefix, stand, &mut fields),
                _ if is_nested => write_nested_block(prefix, stand, &mut fields),
                _ => write_identity(self.dialect, prefix, stand, &mut fields, &mut smf_ids),
            }
            if self.dialect != Dialect::G1 && !is_partial {
                write_whereabouts(prefix, stand, is_unreadable, &mut fields);
            }
        }
        fields.append(smf_ids);
        fields.append(sentence.details);
        self.write_tail(clock, &mut fields);
        let has_bare_number =
            is_unreadable && !sentence.blocks.is_empty() && self.numbers() == Numbers::Native;
        Written { fields, meaning: sentence.meaning, level_ms, is_kill, strict: !has_bare_number }
    }

    fn write_head(&self, kind: &str, level_ms: u64, fields: &mut Fields) {
        let level_time = Value::Measure(level_ms as f64 / 1000.0);
        fields.put("type", kind);
        match self.dialect {
            Dialect::G1 => {
                fields.put("match_id", "match_sess_0.000_0.000");
                if matches!(kind, "match_start" | "match_end" | "heartbeat" | "connect" | "disconnect") {
                    fields.put("session_id", "sess_0.000");
                }
                fields.put("timestamp", level_time);
            }
            Dialect::G2 | Dialect::G3 => {
                fields.put("match_id", self.letterhead.match_id.as_str());
                fields.put("session_id", self.letterhead.session_id.as_str());
                fields.put("timestamp", level_time);
            }
            Dialect::Live => {
                fields.put("match_id", "no_match");
                fields.put("session_id", self.letterhead.session_id.as_str());
                fields.put("timestamp", level_time);
            }
            Dialect::Tools => {}
        }
    }

    fn write_tail(&mut self, clock: SendClock, fields: &mut Fields) {
        match self.dialect {
            Dialect::G1 | Dialect::G2 => {
                fields.put("server_token", self.letterhead.token.as_str());
                fields.put("server_id", self.letterhead.server_id.as_str());
            }
            Dialect::G3 | Dialect::Live => {}
            Dialect::Tools => {
                fields.put("match_id", self.letterhead.match_id.as_str());
                let sent_at = match self.dice.below(3) {
                    0 => Value::Native(clock.epoch_ms as f64 / 1000.0),
                    1 => Value::Count(clock.epoch_ms),
                    _ => DateTime::from_timestamp_millis(clock.epoch_ms)
                        .unwrap_or_default()
                        .to_rfc3339_opts(SecondsFormat::Millis, true)
                        .into(),
                };
                fields.put("timestamp", sent_at);
            }
        }
    }

    /// The body, and whether it is one JSON document.
    fn write_body(&mut self, batch: &[Written]) -> (Vec<u8>, bool) {
        let mut body = Vec::with_capacity(batch.len() * 640);
        match self.dialect {
            Dialect::G1 | Dialect::G2 => {
                for (index, written) in batch.iter().enumerate() {
                    if index > 0 {
                        body.push(b'\n');
                    }
                    written.fields.write_form(&mut body);
                }
                // What C strings leave behind.
                match self.dice.below(60) {
                    0 => body.push(b'\0'),
                    1 => body.push(b'\n'),
                    _ => {}
                }
                (body, false)
            }
            Dialect::G3 | Dialect::Live => (self.write_array(batch, body), true),
            Dialect::Tools => match (batch, self.dice.below(4)) {
                ([alone], 0) => {
                    alone.fields.write_json(Numbers::Native, &mut body);
                    (body, true)
                }
                ([alone], 1 | 2) => {
                    alone.fields.write_pretty_json(Numbers::Native, &mut body);
                    (body, true)
                }
                (_, 0 | 1) => (self.write_array(batch, body), true),
                _ => {
                    for written in batch {
                        written.fields.write_json(Numbers::Native, &mut body);
                        body.push(b'\n');
                    }
                    (body, false)
                }
            },
        }
    }

    fn write_array(&self, batch: &[Written], mut body: Vec<u8>) -> Vec<u8> {
        for (index, written) in batch.iter().enumerate() {
            body.push(if index == 0 { b'[' } else { b',' });
            written.fields.write_json(self.numbers(), &mut body);
        }
        body.push(b']');
        body
    }

    fn headers(&mut self) -> Vec<(&'static str, String)> {
        const FORM: &str = "application/x-www-form-urlencoded";
        let token = self.letterhead.token.clone();
        let is_later_release = self.letterhead.match_number % 2 == 1;
        match self.dialect {
            Dialect::G1 => vec![("content-type", FORM.to_owned())],
            Dialect::G2 if is_later_release => {
                vec![("content-type", FORM.to_owned()), ("x-server-token", token)]
            }
            Dialect::G2 => vec![("content-type", FORM.to_owned())],
            // The label lies, as it does in the field.
            Dialect::Live => vec![("content-type", FORM.to_owned()), ("x-server-token", token)],
            Dialect::G3 => vec![("content-type", "application/json".to_owned()), ("x-server-token", token)],
            Dialect::Tools => {
                let authorization = if self.dice.chance(0.5) { format!("Bearer {token}") } else { token };
                vec![("content-type", "application/json".to_owned()), ("authorization", authorization)]
            }
        }
    }
}

fn guid(stand: &Stand) -> String {
    stand.persona.member_id.map_or_else(|| format!("unauth_{}", stand.slot), |id| id.to_string())
}

/// The first script wrote the team where the guid belongs, and positions only where it thought of them.
fn write_first_block(kind: &str, prefix: &str, stand: &Stand, fields: &mut Fields) {
    let side = if stand.side == Side::Axis { "axis" } else { "allies" };
    fields.put(format!("{prefix}_name"), Value::Text(stand.persona.name.clone()));
    fields.put(format!("{prefix}_guid"), side);
    if matches!(kind, "kill" | "death") {
        fields.put(format!("{prefix}_team"), side);
    }
    if let Some(id) = stand.persona.member_id {
        fields.put(format!("{prefix}_member_id"), Value::Whole(i64::from(id)));
    }
    let [x, y, z] = stand.position.map(Value::Measure);
    match kind {
        "kill" => {
            fields.put(format!("{prefix}_x"), x).put(format!("{prefix}_y"), y).put(format!("{prefix}_z"), z);
            if prefix == "attacker" {
                fields.put("attacker_pitch", Value::Measure(stand.pitch));
                fields.put("attacker_yaw", Value::Measure(stand.yaw));
            }
        }
        "death" | "grenade_throw" | "jump" | "spawn" | "weapon_fire" => {
            fields.put("pos_x", x).put("pos_y", y).put("pos_z", z);
            if kind == "weapon_fire" {
                fields
                    .put("aim_pitch", Value::Measure(stand.pitch))
                    .put("aim_yaw", Value::Measure(stand.yaw));
            }
        }
        _ => {}
    }
}

fn write_identity(dialect: Dialect, prefix: &str, stand: &Stand, fields: &mut Fields, smf_ids: &mut Fields) {
    fields.put(format!("{prefix}_name"), Value::Text(stand.persona.name.clone()));
    fields.put(format!("{prefix}_guid"), guid(stand));
    fields.put(format!("{prefix}_team"), sentence::spell_side(dialect, stand.side));
    if let Some(id) = stand.persona.member_id {
        smf_ids.put(format!("{prefix}_smf_id"), id.to_string());
    }
}

fn write_nested_block(prefix: &str, stand: &Stand, fields: &mut Fields) {
    let mut player = Fields::default();
    player.put("guid", guid(stand));
    player.put("name", Value::Text(stand.persona.name.clone()));
    if let Some(id) = stand.persona.member_id {
        player.put("smf_id", Value::Count(i64::from(id)));
    }
    player.put("team", sentence::spell_side(Dialect::Tools, stand.side));
    fields.put(prefix, Value::Object(player));
}

fn write_whereabouts(prefix: &str, stand: &Stand, is_unreadable: bool, fields: &mut Fields) {
    let [x, y, z] = stand.position.map(Value::Measure);
    fields.put(format!("{prefix}_x"), x).put(format!("{prefix}_y"), y);
    fields.put(format!("{prefix}_z"), if is_unreadable { Value::NotANumber } else { z });
    fields.put(format!("{prefix}_pitch"), Value::Measure(stand.pitch));
    fields.put(format!("{prefix}_yaw"), Value::Measure(stand.yaw));
    fields.put(format!("{prefix}_stance"), stand.stance);
}
