//! The unescaped form lines of the first scripts: `k=v&k=v`, one event a line.
//!
//! Nobody escaped anything, so `&` ends a value only where a known name and `=` follow. After a value that scripts
//! make themselves (a number, an id) any name does, so that fields nobody knows yet survive too. A chat line
//! runs from `message=` to the run of fields that scripts write after it. `+` stands for itself, and so does a `%`
//! that two hexadecimal digits don't follow.

use std::borrow::Cow;

use memchr::{memchr, memchr_iter, memrchr};

use super::encoding;
use super::event_builder::EventBuilder;
use super::field::{self, Field};
use super::json::Value;
use super::{DecodeError, Elements, RejectReason};

/// What scripts write behind a chat line.
const AFTER_MESSAGE: [&str; 4] = ["is_team", "team_only", "server_token", "server_id"];

const MAX_NAME_LENGTH: usize = 64;

pub(super) fn read_body(text: &str, elements: &mut Elements) -> Result<(), DecodeError> {
    for line in text.split('\n') {
        let line = line.trim_matches(['\r', '\0']).trim_ascii_start();
        if line.is_empty() {
            continue;
        }
        let mut builder = elements.begin().of_form();
        if read_line(line, &mut builder) {
            let element = builder.finish();
            elements.finish(element)?;
        } else {
            elements.abandon(RejectReason::Unreadable)?;
        }
    }
    Ok(())
}

/// Hands over the fields of a line; false if it has none.
fn read_line(line: &str, builder: &mut EventBuilder<'_>) -> bool {
    let Some(mut name) = name_at(line, 0).or_else(|| next_name(line, 0, false).map(|(_, name)| name)) else {
        return false;
    };
    loop {
        let value_start = name.value_start;
        if name.field == Some(Field::Message) {
            let message_end = message_end(line, value_start);
            builder.field(name.text, value(&line[value_start..message_end]));
            for field in line[message_end..].split('&').skip(1) {
                if let Some((key, text)) = field.split_once('=') {
                    builder.field(key, value(text));
                }
            }
            return true;
        }
        let ends_before_any_name = name.field.is_some_and(|field| !field.is_free_text());
        let Some((value_end, next)) = next_name(line, value_start, ends_before_any_name) else {
            builder.field(name.text, value(&line[value_start..]));
            return true;
        };
        builder.field(name.text, value(&line[value_start..value_end]));
        name = next;
    }
}

#[derive(Clone, Copy)]
struct Name<'a> {
    text: &'a str,
    field: Option<Field>,
    value_start: usize,
}

/// The name that stands here with `=` behind it, known or not.
fn name_at(line: &str, start: usize) -> Option<Name<'_>> {
    let rest = &line.as_bytes()[start..];
    let is_name_byte = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let length = rest.iter().take(MAX_NAME_LENGTH).take_while(|byte| is_name_byte(byte)).count();
    if length == 0 || rest.get(length) != Some(&b'=') {
        return None;
    }
    let text = &line[start..start + length];
    Some(Name { text, field: field::find(text).map(|(_, field)| field), value_start: start + length + 1 })
}

/// The next `&` from here on that a name follows, and the name.
fn next_name(line: &str, start: usize, any_name: bool) -> Option<(usize, Name<'_>)> {
    memchr_iter(b'&', &line.as_bytes()[start..]).find_map(|distance| {
        let name = name_at(line, start + distance + 1)?;
        (any_name || name.field.is_some()).then_some((start + distance, name))
    })
}

/// Where the trailing run of [`AFTER_MESSAGE`] begins.
fn message_end(line: &str, value_start: usize) -> usize {
    let mut end = line.len();
    while let Some(ampersand) = memrchr(b'&', &line.as_bytes()[value_start..end]) {
        let ampersand = value_start + ampersand;
        match name_at(line, ampersand + 1) {
            Some(name) if AFTER_MESSAGE.contains(&name.text) => end = ampersand,
            _ => break,
        }
    }
    end
}

fn value(text: &str) -> Value<'_> {
    Value::Text(match memchr(b'%', text.as_bytes()) {
        Some(percent) => unescape(text, percent),
        None => Cow::Borrowed(text),
    })
}

/// Resolves `%XX`; neighbouring escapes are decoded together, as the bytes of one character stand in several.
fn unescape(text: &str, first_percent: usize) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut unescaped = String::with_capacity(text.len());
    let mut run = Vec::new();
    let mut plain_start = 0;
    let mut position = first_percent;
    loop {
        let run_start = position;
        while let Some(byte) = escape_at(bytes, position) {
            run.push(byte);
            position += 3;
        }
        if position > run_start {
            unescaped.push_str(&text[plain_start..run_start]);
            encoding::push_text(&run, &mut unescaped);
            run.clear();
            plain_start = position;
        } else {
            position += 1;
        }
        match bytes.get(position..).and_then(|rest| memchr(b'%', rest)) {
            Some(distance) => position += distance,
            None => break,
        }
    }
    unescaped.push_str(&text[plain_start..]);
    Cow::Owned(unescaped)
}

fn escape_at(bytes: &[u8], position: usize) -> Option<u8> {
    let [b'%', high, low] = *bytes.get(position..position + 3)? else {
        return None;
    };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}
