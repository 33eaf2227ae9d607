//! The unescaped form lines of the first scripts: `k=v&k=v`, one event a line.
//!
//! Nobody escaped anything, so `&` ends a value only where a known name and `=` follow. After a value that scripts
//! make themselves (a number, an id) any name does, so that fields nobody knows yet survive too. A chat line
//! runs from `message=` to the run of fields that scripts write after it. `+` stands for itself, and so does a `%`
//! that two hexadecimal digits don't follow.

use std::borrow::Cow;

use memchr::{memchr, memrchr};

use super::encoding;
use super::event_builder::EventBuilder;
use super::field::{self, Field};
use super::json::Value;
use super::words::find_byte;
use super::{DecodeError, Elements, RejectReason};

/// What scripts write behind a chat line.
const AFTER_MESSAGE: [&str; 4] = ["is_team", "team_only", "server_token", "server_id"];

const MAX_NAME_LENGTH: usize = 64;

pub(super) fn read_body(text: &str, elements: &mut Elements) -> Result<(), DecodeError> {
    let holds_escapes = memchr(b'%', text.as_bytes()).is_some();
    let mut rest = text;
    while !rest.is_empty() {
        let end = memchr(b'\n', rest.as_bytes()).unwrap_or(rest.len());
        let line = rest[..end].trim_matches(['\r', '\0']).trim_ascii_start();
        rest = rest.get(end + 1..).unwrap_or_default();
        if line.is_empty() {
            continue;
        }
        let mut builder = elements.begin().of_form();
        if (Line { text: line, holds_escapes }).read(&mut builder) {
            let element = builder.finish();
            elements.finish(element)?;
        } else {
            elements.abandon(RejectReason::Unreadable)?;
        }
    }
    Ok(())
}

#[derive(Clone, Copy)]
struct Line<'a> {
    text: &'a str,
    /// There may be a `%` in it.
    holds_escapes: bool,
}

#[derive(Clone, Copy)]
struct Name<'a> {
    text: &'a str,
    /// Its place in the table, and what it stands for.
    listed: Option<(usize, Field)>,
    value_start: usize,
}

impl<'a> Line<'a> {
    /// Hands over the fields of the line; false if it has none.
    fn read(self, builder: &mut EventBuilder<'_>) -> bool {
        // Of the last name that is in the table; the next is looked for behind it.
        let mut place = field::COUNT;
        let first = self.name_at(0, builder.place_behind(place));
        let Some(mut name) = first.or_else(|| self.next_name(0, false, None).map(|(_, name)| name)) else {
            return false;
        };
        loop {
            let value_start = name.value_start;
            let field = name.listed.map(|(_, field)| field);
            if field == Some(Field::Message) {
                let message_end = self.message_end(value_start);
                self.hand_over(name, message_end, builder);
                for field in self.text[message_end..].split('&').skip(1) {
                    if let Some((key, text)) = field.split_once('=') {
                        builder.field(key, self.value(text));
                    }
                }
                return true;
            }
            place = name.listed.map_or(place, |(place, _)| place);
            let guess = builder.place_behind(place);
            let ends_before_any_name = field.is_some_and(|field| !field.is_free_text());
            let Some((value_end, next)) = self.next_name(value_start, ends_before_any_name, guess) else {
                self.hand_over(name, self.text.len(), builder);
                return true;
            };
            self.hand_over(name, value_end, builder);
            name = next;
        }
    }

    fn hand_over(self, name: Name<'_>, value_end: usize, builder: &mut EventBuilder<'_>) {
        let value = self.value(&self.text[name.value_start..value_end]);
        match name.listed {
            Some((place, field)) => builder.placed_field(place, name.text, field, &value),
            None => builder.unlisted_field(name.text, &value),
        }
    }

    /// The name that stands here with `=` behind it, known or not; `guess` is the place of a likely one.
    #[inline]
    fn name_at(self, start: usize, guess: Option<usize>) -> Option<Name<'a>> {
        let rest = &self.text.as_bytes()[start..];
        if let Some(place) = guess {
            let (text, field) = field::at(place);
            if rest.get(text.len()) == Some(&b'=') && rest.starts_with(text.as_bytes()) {
                return Some(Name {
                    text,
                    listed: Some((place, field)),
                    value_start: start + text.len() + 1,
                });
            }
        }
        let is_name_byte = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let length = rest.iter().take(MAX_NAME_LENGTH).take_while(|byte| is_name_byte(byte)).count();
        if length == 0 || rest.get(length) != Some(&b'=') {
            return None;
        }
        let text = &self.text[start..start + length];
        Some(Name { text, listed: field::find(text), value_start: start + length + 1 })
    }

    /// The next `&` from here on that a name follows, and the name.
    #[inline]
    fn next_name(self, start: usize, any_name: bool, guess: Option<usize>) -> Option<(usize, Name<'a>)> {
        let mut end = start;
        loop {
            end += find_byte(b'&', self.text.as_bytes().get(end..)?)?;
            if let Some(name) = self.name_at(end + 1, guess)
                && (any_name || name.listed.is_some())
            {
                return Some((end, name));
            }
            end += 1;
        }
    }

    /// Where the trailing run of [`AFTER_MESSAGE`] begins.
    fn message_end(self, value_start: usize) -> usize {
        let mut end = self.text.len();
        while let Some(ampersand) = memrchr(b'&', &self.text.as_bytes()[value_start..end]) {
            let ampersand = value_start + ampersand;
            match self.name_at(ampersand + 1, None) {
                Some(name) if AFTER_MESSAGE.contains(&name.text) => end = ampersand,
                _ => break,
            }
        }
        end
    }

    fn value<'t>(self, text: &'t str) -> Value<'t> {
        let percent = if self.holds_escapes { memchr(b'%', text.as_bytes()) } else { None };
        Value::Text(percent.map_or(Cow::Borrowed(text), |percent| unescape(text, percent)))
    }
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
