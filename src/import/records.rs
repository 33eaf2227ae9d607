//! Files of events: a JSON object a line, or a row of CSV under a row of names. The names are those that servers send
//! ([docs/wire.md](../../docs/wire.md)); `timestamp` has to be a time of day, as epoch seconds, epoch milliseconds or RFC 3339.

use std::collections::BTreeMap;
use std::io;

use mohaa_domain::event::{Event, Millis};
use mohaa_domain::wire;
use serde_json::{Map, Value};

use super::{ImportedMatch, Reading};

/// Events of no match that lie further apart are of two.
const ANOTHER_MATCH_AFTER_MS: i64 = 30 * 60 * 1000;

pub(super) fn read_ndjson(bytes: &[u8]) -> Reading {
    let mut found = Found::default();
    for line in bytes.split(|byte| *byte == b'\n') {
        if !line.trim_ascii().is_empty() {
            found.take(line);
        }
    }
    found.into_reading()
}

/// # Errors
/// When it has no row of names, or is no CSV.
pub(super) fn read_csv(bytes: &[u8]) -> io::Result<Reading> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
    let names = reader.headers()?.clone();
    let mut found = Found::default();
    for row in reader.records() {
        let row = row?;
        let fields: Map<String, Value> = names
            .iter()
            .zip(&row)
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        found.take(Value::Object(fields).to_string().as_bytes());
    }
    Ok(found.into_reading())
}

#[derive(Default)]
struct Found {
    lines: u64,
    unreadable: u64,
    events: Vec<(Millis, Event)>,
}

impl Found {
    fn take(&mut self, line: &[u8]) {
        self.lines += 1;
        let decoded = wire::decode(line, wire::Limits { max_events: 1 });
        let event = decoded.ok().and_then(|decoded| decoded.events.into_iter().next());
        match event.and_then(|event| Some((event.sent_at?, event))) {
            Some(event) => self.events.push(event),
            None => self.unreadable += 1,
        }
    }

    /// By their matches. Those that name none are one as long as they follow each other.
    fn into_reading(mut self) -> Reading {
        self.events.sort_by_key(|(at, _)| *at);
        let mut matches: BTreeMap<String, ImportedMatch> = BTreeMap::new();
        let mut nameless: Option<(String, Millis)> = None;
        for (at, mut event) in self.events {
            if event.source_match_id.is_empty() {
                let name = match nameless {
                    Some((name, last)) if at.0 - last.0 <= ANOTHER_MATCH_AFTER_MS => name,
                    _ => format!("import-{}", at.0),
                };
                event.source_match_id = name.as_str().into();
                nameless = Some((name, at));
            }
            let name = event.source_match_id.to_string();
            let played = matches.entry(name.clone()).or_default();
            played.name = name;
            played.events.push((at, event));
        }
        let mut matches: Vec<ImportedMatch> = matches.into_values().collect();
        matches.sort_by_key(|played| played.events.first().map(|(at, _)| *at));
        Reading { matches, lines: self.lines, unreadable: self.unreadable }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn events_are_sorted_into_matches_by_name_or_by_time() {
        let lines = r#"
{"type":"kill","match_id":"b","timestamp":"2019-05-04T21:00:00Z","attacker_name":"Anna","victim_name":"Bert"}
{"type":"kill","match_id":"a","timestamp":1557000000,"attacker_name":"Anna","victim_name":"Bert"}
{"type":"jump","timestamp":1557100000,"player_name":"Anna"}
{"type":"jump","timestamp":1557100060,"player_name":"Anna"}
{"type":"jump","timestamp":1557190000,"player_name":"Anna"}
{"type":"jump","timestamp":"37.9","player_name":"when?"}
no event
"#;
        let reading = read_ndjson(lines.as_bytes());
        assert_eq!((reading.lines, reading.unreadable), (7, 2));
        let matches: Vec<(&str, usize)> =
            reading.matches.iter().map(|played| (played.name.as_str(), played.events.len())).collect();
        assert_eq!(matches, [("a", 1), ("b", 1), ("import-1557100000000", 2), ("import-1557190000000", 1)]);
    }

    #[test]
    fn a_row_of_csv_is_an_event() {
        let text = "type,match_id,timestamp,attacker_name,victim_name,hitloc\nkill,m,1557000000,Anna,\"Bert, Jr.\",head\nkill,m,,A,B,\n";
        let reading = read_csv(text.as_bytes()).unwrap();
        assert_eq!((reading.lines, reading.unreadable, reading.matches.len()), (2, 1, 1));
        let (_, event) = &reading.matches[0].events[0];
        assert_eq!((event.target.name.as_str(), event.hitloc.as_str()), ("Bert, Jr.", "head"));
    }
}
