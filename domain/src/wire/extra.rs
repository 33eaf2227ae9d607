//! The JSON object of [`Event::extra`](crate::event::Event::extra): fields that have no place of their own.
//!
//! Addresses, tokens and passwords are dropped here, at whatever depth they stand, and taken out of texts (`hidden`).

use std::ops::Range;

use super::field::Key;
use super::hidden::{is_address, without_secrets};
use super::json::{Scanner, Value};
use super::number;
use super::words::find_escaped;
use crate::claim::speaks_of_codes;

/// Nested values deeper than this are dropped: readers of JSON have such a limit too (serde_json 128).
const MAX_DEPTH: usize = 32;

/// Up to here the duplicates of a name are looked for one by one.
const FEW: usize = 16;

/// Collects fields in order of arrival. The buffers live as long as the body.
#[derive(Default)]
pub(super) struct Extra {
    /// `"key":value` of each entry, one after the other.
    json: String,
    entries: Vec<Entry>,
    speaks_of_codes: bool,
}

#[derive(Clone)]
struct Entry {
    key: Range<usize>,
    /// With the key; no longer than it for a field that was taken back.
    whole: Range<usize>,
}

impl Extra {
    pub(super) fn clear(&mut self) {
        self.json.clear();
        self.entries.clear();
        self.speaks_of_codes = false;
    }

    /// Whether a name or a text speaks of claiming or logging in, also one that was taken back since.
    pub(super) fn speaks_of_codes(&self) -> bool {
        self.speaks_of_codes
    }

    /// Adds a field; false if its value is too deep to keep. Secrets are passed over.
    pub(super) fn push(&mut self, key: Key<'_>, value: &Value<'_>) -> bool {
        if is_never_kept(key, value) {
            return true;
        }
        let start = self.json.len();
        let key_range = self.push_key(key.name);
        self.json.push(':');
        if write_value(value, 1, &mut self.json).is_err() {
            self.json.truncate(start);
            return false;
        }
        self.entries.push(Entry { key: key_range, whole: start..self.json.len() });
        self.speaks_of_codes |= key.may_speak_of_codes && speaks_of_codes(key.name)
            || match value {
                Value::Text(text) => speaks_of_codes(text),
                // What is escaped in it is compared with nothing.
                Value::Nested(_) => speaks_of_codes(&self.json[start..]),
                Value::Word(text) => speaks_of_codes(text),
                Value::Number(_) | Value::Bool(_) | Value::Null => false,
            };
        true
    }

    /// Adds a field unless one of this name is there.
    pub(super) fn push_if_absent(&mut self, name: &str, value: &Value<'_>) {
        let mut json_key = String::with_capacity(name.len() + 2);
        write_text(name, &mut json_key);
        if self.entries.iter().all(|entry| self.json[entry.key.clone()] != json_key) {
            self.push(Key::unlisted(name), value);
        }
    }

    /// Takes back what was kept under this name: the field came again.
    pub(super) fn forget(&mut self, name: &str) {
        if !self.entries.is_empty() {
            let key = self.push_key(name);
            self.entries.push(Entry { whole: key.clone(), key });
        }
    }

    fn push_key(&mut self, name: &str) -> Range<usize> {
        let start = self.json.len();
        write_text(name, &mut self.json);
        start..self.json.len()
    }

    /// The object, of repeated names the last; `""` without fields.
    pub(super) fn to_object(&self) -> String {
        if self.entries.is_empty() {
            return String::new();
        }
        let mut object = String::with_capacity(self.json.len() + self.entries.len() + 1);
        let superseded = self.superseded();
        for (index, entry) in self.entries.iter().enumerate() {
            let taken_back = entry.whole == entry.key;
            if taken_back || superseded.get(index).copied().unwrap_or(false) {
                continue;
            }
            object.push(if object.is_empty() { '{' } else { ',' });
            object.push_str(&self.json[entry.whole.clone()]);
        }
        if !object.is_empty() {
            object.push('}');
        }
        object
    }

    /// Which entries have a later one of the same name; empty when none has.
    fn superseded(&self) -> Vec<bool> {
        let key = |index: usize| &self.json[self.entries[index].key.clone()];
        let count = self.entries.len();
        if count <= FEW && !(1..count).any(|later| (0..later).any(|earlier| key(earlier) == key(later))) {
            return Vec::new();
        }
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by(|&left, &right| key(left).cmp(key(right)).then(left.cmp(&right)));
        let mut superseded = vec![false; count];
        for pair in order.windows(2) {
            superseded[pair[0]] = key(pair[0]) == key(pair[1]);
        }
        superseded
    }
}

/// Whether a field is what may never be stored, by its name or as a whole. Of other texts only what they hold of it goes.
fn is_never_kept(key: Key<'_>, value: &Value<'_>) -> bool {
    matches!(value, Value::Text(text) if is_address(text))
        || !key.is_harmless && (is_secret(key.name) || without_secrets(key.name).is_some())
}

/// Whether a field of this name may never be stored, however it is spelled: it is, or ends in, a word for an address or for
/// something that opens a door.
pub(super) fn is_secret(key: &str) -> bool {
    const LONGEST: usize = 64;
    let key = key.trim();
    let mut lower = [0; LONGEST];
    // Only the end of a name that long matters.
    let tail = &key.as_bytes()[key.len().saturating_sub(LONGEST)..];
    let lower = &mut lower[..tail.len()];
    lower.copy_from_slice(tail);
    lower.make_ascii_lowercase();
    // As part of a name, between its other words.
    const WORDS: [&[u8]; 14] = [
        b"ip",
        b"ips",
        b"ipv4",
        b"ipv6",
        b"ip4",
        b"ip6",
        b"ipaddr",
        b"ipaddress",
        b"addr",
        b"address",
        b"password",
        b"passwd",
        b"rcon",
        b"jwt",
    ];
    // Whatever stands before them.
    const ENDINGS: [&[u8]; 13] = [
        b"addr",
        b"address",
        b"playerip",
        b"clientip",
        b"token",
        b"tokens",
        b"password",
        b"passwd",
        b"secret",
        b"apikey",
        b"api_key",
        b"authorization",
        b"login_code",
    ];
    // `userinfo` is the engine's text of a client's settings, address and password among them.
    const WHOLE: [&[u8]; 11] = [
        b"auth",
        b"peer",
        b"remote",
        b"remote_host",
        b"userinfo",
        b"clientinfo",
        b"cookie",
        b"cookies",
        b"session_key",
        b"sessionkey",
        b"credentials",
    ];
    lower.split(|byte| !byte.is_ascii_alphanumeric()).any(|word| WORDS.contains(&word))
        || ENDINGS.iter().any(|ending| lower.ends_with(ending))
        || WHOLE.contains(&&*lower)
}

struct TooDeep;

fn write_value(value: &Value<'_>, depth: usize, out: &mut String) -> Result<(), TooDeep> {
    match value {
        Value::Text(text) => match without_secrets(text) {
            Some(shown) => write_text(&shown, out),
            None => write_text(text, out),
        },
        Value::Number(text) if number::is_json_number(text) => out.push_str(text),
        Value::Number(text) | Value::Word(text) => write_text(text, out),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Null => out.push_str("null"),
        Value::Nested(text) => write_nested(text, depth, out)?,
    }
    Ok(())
}

fn write_nested(text: &str, depth: usize, out: &mut String) -> Result<(), TooDeep> {
    if depth > MAX_DEPTH {
        return Err(TooDeep);
    }
    let mut result = Ok(());
    let mut is_first = true;
    let mut separate = |out: &mut String| {
        if !std::mem::take(&mut is_first) {
            out.push(',');
        }
    };
    let mut scanner = Scanner::new(text);
    // The text was scanned by the same rules before, so it can't be broken.
    let (scanned, closing) = if text.starts_with('{') {
        out.push('{');
        let scanned = scanner.members(|key, value| {
            if result.is_err() || is_never_kept(Key::unlisted(key), &value) {
                return;
            }
            separate(out);
            write_text(key, out);
            out.push(':');
            result = write_value(&value, depth + 1, out);
        });
        (scanned, '}')
    } else {
        out.push('[');
        let scanned = scanner.elements(|value| {
            if result.is_err() || matches!(&value, Value::Text(text) if is_address(text)) {
                return;
            }
            separate(out);
            result = write_value(&value, depth + 1, out);
        });
        (scanned, ']')
    };
    out.push(closing);
    scanned.map_err(|_| TooDeep)?;
    result
}

fn write_text(text: &str, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push('"');
    let bytes = text.as_bytes();
    let mut plain_start = 0;
    while let Some(distance) = find_escaped(&bytes[plain_start..]) {
        let index = plain_start + distance;
        let byte = bytes[index];
        out.push_str(&text[plain_start..index]);
        plain_start = index + 1;
        out.push('\\');
        match byte {
            b'"' | b'\\' => out.push(char::from(byte)),
            b'\n' => out.push('n'),
            b'\r' => out.push('r'),
            b'\t' => out.push('t'),
            _ => {
                out.push_str("u00");
                out.push(char::from(HEX[usize::from(byte >> 4)]));
                out.push(char::from(HEX[usize::from(byte & 15)]));
            }
        }
    }
    out.push_str(&text[plain_start..]);
    out.push('"');
}
