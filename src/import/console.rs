//! Logs of a server's console: who killed whom, who joined which side, and when a map was loaded.
//!
//! The game writes no times into it. Where whoever kept the log put one in front of each line, it counts; else the first line
//! was written when the operator says, and each later one a second after the one before.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use mohaa_domain::event::Millis;
use mohaa_domain::wire;
use serde_json::{Map, Value, json};

use super::obituary;
use super::{ImportedMatch, Reading};

const TIME_FORMATS: [&str; 3] = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y/%m/%d %H:%M:%S%.f"];

/// Reads a whole log.
pub(super) fn read(bytes: &[u8], began: Option<DateTime<Utc>>) -> Reading {
    let mut log = Log { reading: Reading::default(), at: began, is_timed: began.is_some(), current: None };
    for line in bytes.split(|byte| *byte == b'\n') {
        let text = match std::str::from_utf8(line) {
            Ok(text) => text.to_owned(),
            // Windows-1252, which for letters is Latin-1.
            Err(_) => line.iter().map(|byte| char::from(*byte)).collect(),
        };
        log.take(text.trim());
    }
    // Without an end: the log may grow.
    log.keep();
    log.reading
}

struct Log {
    reading: Reading,
    at: Option<DateTime<Utc>>,
    /// Whether lines without a time of their own have one.
    is_timed: bool,
    current: Option<Level>,
}

/// A load of a map.
struct Level {
    played: ImportedMatch,
    map_name: String,
    has_deeds: bool,
    /// Names that were seen, with their side; `""` while it is not known.
    sides: HashMap<String, &'static str>,
}

impl Log {
    fn take(&mut self, line: &str) {
        if line.is_empty() {
            return;
        }
        self.reading.lines += 1;
        let (time, text) = with_time(line);
        match time {
            Some(time) => (self.at, self.is_timed) = (Some(time), false),
            None if self.is_timed => self.at = self.at.map(|at| at + TimeDelta::seconds(1)),
            None => {}
        }
        let text = text.trim();
        if let Some(map_name) = text.strip_prefix("Server: ") {
            self.end();
            self.begin(map_name.trim());
        } else if text.contains("==== ShutdownGame ====") {
            self.end();
        } else {
            self.take_deed(text);
        }
    }

    fn take_deed(&mut self, text: &str) {
        const JOINED: [(&str, &str); 2] =
            [(" has joined the Allies", "allies"), (" has joined the Axis", "axis")];
        let joined = JOINED.iter().find_map(|(phrase, side)| Some((text.strip_suffix(phrase)?, *side)));
        let sides = self.current.as_ref().map(|level| &level.sides);
        let is_known = |name: &str| sides.is_some_and(|sides| sides.contains_key(name));
        let (kind, fields, seen) = if let Some((name, side)) = joined {
            let fields = json!({ "player_name": name, "new_team": side });
            ("team_change", fields, vec![(name.to_owned(), side)])
        } else if let Some(name) = text.strip_suffix(" has entered the battle") {
            ("connect", json!({ "player_name": name }), vec![(name.to_owned(), "")])
        } else if let Some(name) = text.strip_suffix(" has left the battle") {
            ("disconnect", json!({ "player_name": name }), Vec::new())
        } else if let Some(death) = obituary::read(text, is_known) {
            let side = |name: &str| sides.and_then(|sides| sides.get(name)).copied().unwrap_or_default();
            let mut fields = json!({
                "victim_name": death.victim, "victim_team": side(death.victim),
                "mod": death.means, "weapon": death.weapon, "hitloc": death.hitloc,
            });
            let mut seen = vec![(death.victim.to_owned(), side(death.victim))];
            if let Some(attacker) = death.attacker {
                fields["attacker_name"] = attacker.into();
                fields["attacker_team"] = side(attacker).into();
                seen.push((attacker.to_owned(), side(attacker)));
            }
            ("kill", fields, seen)
        } else {
            return;
        };
        let Value::Object(fields) = fields else { return };
        if self.current.is_none() {
            // The log begins in the middle of a match.
            self.begin("");
        }
        self.add(kind, fields);
        if let Some(level) = &mut self.current {
            level.has_deeds = true;
            for (name, side) in seen {
                level.sides.insert(name, side);
            }
        }
    }

    fn begin(&mut self, map_name: &str) {
        let Some(at) = self.at else { return };
        let name = format!("console-{}-{}", at.format("%Y%m%dT%H%M%S%.3f"), map_name.replace('/', "_"));
        self.current = Some(Level {
            played: ImportedMatch { name, events: Vec::new() },
            map_name: map_name.to_owned(),
            has_deeds: false,
            sides: HashMap::new(),
        });
        if !map_name.is_empty() {
            self.add("match_start", Map::new());
        }
    }

    fn end(&mut self) {
        if self.current.is_some() {
            self.add("match_end", Map::new());
        }
        self.keep();
    }

    /// A level on which nobody did anything is no match.
    fn keep(&mut self) {
        if let Some(level) = self.current.take().filter(|level| level.has_deeds) {
            self.reading.matches.push(level.played);
        }
    }

    /// Adds an event, by way of the words in which servers would tell it.
    fn add(&mut self, kind: &str, mut fields: Map<String, Value>) {
        let (Some(level), Some(at)) = (&mut self.current, self.at) else {
            self.reading.unreadable += 1;
            return;
        };
        fields.insert("type".to_owned(), kind.into());
        fields.insert("match_id".to_owned(), level.played.name.as_str().into());
        if !level.map_name.is_empty() {
            fields.insert("map_name".to_owned(), level.map_name.as_str().into());
        }
        fields.retain(|_, value| value.as_str() != Some(""));
        let text = Value::Object(fields).to_string();
        let decoded = wire::decode(text.as_bytes(), wire::Limits { max_events: 1 });
        let event = decoded.ok().and_then(|decoded| decoded.events.into_iter().next());
        match event {
            Some(event) => level.played.events.push((Millis(at.timestamp_millis()), event)),
            None => self.reading.unreadable += 1,
        }
    }
}

/// The time in front of a line, with or without brackets, and the rest.
fn with_time(line: &str) -> (Option<DateTime<Utc>>, &str) {
    let (stamp, rest) = match line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some(split) => split,
        None => {
            let mut blanks = line.match_indices(' ').map(|(at, _)| at);
            // One word, or a day and a time.
            let ends: Vec<usize> = blanks.by_ref().take(2).collect();
            let timed = ends.iter().find_map(|end| Some((parse_time(&line[..*end])?, &line[*end..])));
            return match timed {
                Some((time, rest)) => (Some(time), rest),
                None => (None, line),
            };
        }
    };
    match parse_time(stamp.trim()) {
        Some(time) => (Some(time), rest),
        None => (None, line),
    }
}

/// Without a zone it is UTC.
fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.to_utc());
    }
    TIME_FORMATS.iter().find_map(|format| Some(NaiveDateTime::parse_from_str(text, format).ok()?.and_utc()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const LOG: &str = "\
[2019-05-04 20:00:00] ------ Server Initialization ------
[2019-05-04 20:00:00] Server: dm/mohdm1
[2019-05-04 20:00:05] Anna has entered the battle
[2019-05-04 20:00:06] Anna has joined the Allies
[2019-05-04 20:00:07] Bert has joined the Axis
[2019-05-04 20:00:30] Anna was rifled by Bert in the head
[2019-05-04 20:00:41] Bert cratered
[2019-05-04 20:10:00] ==== ShutdownGame ====
[2019-05-04 20:10:05] Server: obj/obj_team2
[2019-05-04 20:10:30] Bert was shot by Anna
[2019-05-04 20:10:31] nonsense
";

    #[test]
    fn a_log_is_a_match_for_each_load_of_a_map() {
        let reading = read(LOG.as_bytes(), None);
        assert_eq!((reading.lines, reading.unreadable, reading.matches.len()), (11, 0, 2));
        let first = &reading.matches[0];
        assert_eq!(first.name, "console-20190504T200000.000-dm_mohdm1");
        let kinds: Vec<&str> = first.events.iter().map(|(_, event)| event.event_type.as_str()).collect();
        assert_eq!(
            kinds,
            ["match_start", "connect", "team_change", "team_change", "kill", "kill", "match_end"]
        );
        let (at, kill) = &first.events[4];
        assert_eq!(at.0, 1_557_000_030_000);
        let names = (kill.player.name.as_str(), kill.target.name.as_str());
        assert_eq!(
            (names, kill.hitloc.as_str(), kill.map_name.as_str()),
            (("Bert", "Anna"), "head", "dm/mohdm1")
        );
        // Which may go on.
        assert_eq!(reading.matches[1].events.len(), 2);
    }

    #[test]
    fn without_times_lines_are_seconds_and_without_any_there_is_no_event() {
        let plain: String = LOG.lines().map(|line| format!("{}\n", &line[22..])).collect();
        let began = "2019-05-04T20:00:00Z".parse().unwrap();
        let reading = read(plain.as_bytes(), Some(began));
        assert_eq!(reading.matches.len(), 2);
        assert_eq!(reading.matches[0].events[4].0.0, 1_557_000_006_000);
        let timeless = read(plain.as_bytes(), None);
        assert_eq!(timeless.matches.len(), 0);
        assert!(timeless.unreadable > 0);
    }
}
