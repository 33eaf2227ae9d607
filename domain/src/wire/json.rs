//! A single pass over JSON as game scripts write it.
//!
//! Accepted beyond the standard: bare words as values (`nan`, `-nan(ind)`, `NIL`), control characters and bad
//! escapes in strings (kept as they are), repeated and trailing commas, closing brackets that are missing at the
//! end or too many, and any number of arrays and objects one after the other.
//!
//! An object that is broken all the same is rejected alone: the reader goes on at the next `,{"` (white space
//! between them aside), or at a `{"` that starts a line or follows a `}`. The search begins where the last token
//! began. No token holds such a start anywhere but at its end, so whatever is read twice is short, and the time
//! linear.

use std::borrow::Cow;

use memchr::memchr;

use super::words::{find_byte, find_quote_or_backslash};
use super::{DecodeError, Elements, RejectReason};

/// A value as it stands in the body.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Text(Cow<'a, str>),
    /// A bare token that starts like a number.
    Number(&'a str),
    /// Any other bare token: `nan`, `NIL`.
    Word(&'a str),
    Bool(bool),
    Null,
    /// An object or array, whose text [`Scanner::members`] or [`Scanner::elements`] reads.
    Nested(&'a str),
}

/// The text is not JSON from here on, even as it is understood above.
#[derive(Debug)]
pub(super) struct Broken;

pub(super) fn read_body(text: &str, elements: &mut Elements) -> Result<(), DecodeError> {
    let mut scanner = Scanner::new(text);
    let mut in_batch = false;
    loop {
        scanner.skip_space();
        match scanner.peek() {
            None => return Ok(()),
            Some(b'[') if !in_batch => {
                in_batch = true;
                scanner.position += 1;
            }
            Some(b']') => {
                in_batch = false;
                scanner.position += 1;
            }
            Some(b',' | b'}') => scanner.position += 1,
            Some(b'{') => {
                let object_start = scanner.position;
                let mut builder = elements.begin();
                match scanner.members_of(&mut builder) {
                    Ok(()) => {
                        let element = builder.finish();
                        elements.finish(element)?;
                    }
                    Err(Broken) => {
                        elements.abandon(RejectReason::Unreadable)?;
                        scanner.resume_after(object_start);
                    }
                }
            }
            Some(_) => {
                let element_start = scanner.position;
                if scanner.value().is_ok() && scanner.at_element_end() {
                    elements.reject(RejectReason::NotAnObject)?;
                } else {
                    elements.reject(RejectReason::Unreadable)?;
                    scanner.resume_after(element_start);
                }
            }
        }
    }
}

/// What is done with the members of an object.
pub(super) trait OnMember<'a> {
    /// Where the text stands with which the next member probably begins: to compare it costs less than to read it. None for no
    /// guess.
    fn guess(&self) -> Option<Lead> {
        None
    }

    /// The next member, which begins as [`guess`](Self::guess) said.
    fn guessed_member(&mut self, value: Value<'a>);

    /// The next member, and how it began.
    fn member(&mut self, name: &str, lead: Lead, value: Value<'a>);
}

/// What stands between a value, or the beginning of an object, and the value of the next member: a comma, the member's name
/// and a colon, with the white space between them, and the quote of a value that is a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lead {
    /// In the text of the body.
    start: u32,
    end: u32,
    /// It is the first of its object, and there is no comma; in all others there is.
    pub(super) is_first: bool,
    /// It ends with the quote of a string.
    is_of_string: bool,
}

struct NoGuess<F>(F);

impl<'a, F: FnMut(&str, Value<'a>)> OnMember<'a> for NoGuess<F> {
    fn guessed_member(&mut self, value: Value<'a>) {
        (self.0)("", value);
    }

    fn member(&mut self, name: &str, _lead: Lead, value: Value<'a>) {
        (self.0)(name, value);
    }
}

pub(super) struct Scanner<'a> {
    text: &'a str,
    position: usize,
    /// Where the last string, word or bracket began.
    token_start: usize,
    /// Nothing in the whole text is escaped.
    is_plain: bool,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, position: 0, token_start: 0, is_plain: memchr(b'\\', text.as_bytes()).is_none() }
    }

    /// Reads the object that starts here and hands over its members in order, repeated names and all.
    pub(super) fn members(&mut self, on_member: impl FnMut(&str, Value<'a>)) -> Result<(), Broken> {
        self.members_of(&mut NoGuess(on_member))
    }

    /// As [`members`](Self::members).
    pub(super) fn members_of(&mut self, on_member: &mut impl OnMember<'a>) -> Result<(), Broken> {
        self.open(b'{')?;
        let mut is_first = true;
        // Where the last value ended, or the object began.
        let mut behind = self.position;
        loop {
            if let Some(lead) = on_member.guess()
                && lead.is_first == is_first
                && self.skip_lead(behind, lead)
            {
                let value = match lead.is_of_string {
                    true => self.string().map(Value::Text)?,
                    false => self.value()?,
                };
                on_member.guessed_member(value);
                (behind, is_first) = (self.position, false);
                continue;
            }
            let mut has_comma = is_first;
            loop {
                self.skip_space();
                match self.peek() {
                    None => return Ok(()),
                    Some(b',') => {
                        has_comma = true;
                        self.position += 1;
                    }
                    Some(b'}') => {
                        self.position += 1;
                        return Ok(());
                    }
                    Some(b']') if self.rest_is_closing() => return Ok(()),
                    Some(b'"') if has_comma => break,
                    Some(_) => return Err(Broken),
                }
            }
            let name = self.string()?;
            self.colon()?;
            self.skip_space();
            let is_of_string = self.peek() == Some(b'"');
            // Bodies are far shorter than what such a number can say.
            let lead = Lead {
                start: behind as u32,
                end: self.position as u32 + u32::from(is_of_string),
                is_first,
                is_of_string,
            };
            let value = self.value()?;
            on_member.member(&name, lead, value);
            (behind, is_first) = (self.position, false);
        }
    }

    /// Goes to the value of the member that begins at `behind`, if it begins as `lead` says: to the quote of a string.
    #[inline]
    fn skip_lead(&mut self, behind: usize, lead: Lead) -> bool {
        let expected = lead.start as usize..lead.end as usize;
        let end = behind + expected.len();
        let bytes = self.text.as_bytes();
        let is_it = match (bytes.get(behind..end), bytes.get(expected)) {
            (Some(found), Some(expected)) => found == expected,
            _ => false,
        };
        if is_it {
            self.token_start = behind;
            self.position = end - usize::from(lead.is_of_string);
        }
        is_it
    }

    /// Reads the array that starts here and hands over its elements in order.
    pub(super) fn elements(&mut self, mut on_element: impl FnMut(Value<'a>)) -> Result<(), Broken> {
        self.open(b'[')?;
        loop {
            self.skip_space();
            match self.peek() {
                None => return Ok(()),
                Some(b',') => self.position += 1,
                Some(b']') => {
                    self.position += 1;
                    return Ok(());
                }
                Some(_) => on_element(self.value()?),
            }
        }
    }

    #[inline]
    fn value(&mut self) -> Result<Value<'a>, Broken> {
        self.skip_space();
        match self.peek() {
            Some(b'"') => self.string().map(Value::Text),
            Some(b'{' | b'[') => self.nested(),
            _ => self.bare(),
        }
    }

    /// A number, literal or word: all up to the next delimiter.
    fn bare(&mut self) -> Result<Value<'a>, Broken> {
        self.token_start = self.position;
        let rest = &self.text.as_bytes()[self.position..];
        let is_delimiter =
            |byte: &u8| is_space(*byte) || matches!(byte, b',' | b':' | b'"' | b'{' | b'}' | b'[' | b']');
        let length = rest.iter().position(is_delimiter).unwrap_or(rest.len());
        let token = &self.text[self.position..self.position + length];
        self.position += length;
        match token {
            "" => Err(Broken),
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            "null" => Ok(Value::Null),
            _ if matches!(token.as_bytes()[0], b'0'..=b'9' | b'+' | b'-' | b'.') => Ok(Value::Number(token)),
            _ => Ok(Value::Word(token)),
        }
    }

    // What is returned by a call is written in halves and read as a whole, which the processor has to wait for.
    #[inline(always)]
    fn string(&mut self) -> Result<Cow<'a, str>, Broken> {
        if !self.is_plain {
            return self.string_with_escapes();
        }
        self.token_start = self.position;
        let rest = self.text.get(self.position + 1..).ok_or(Broken)?;
        let content = &rest[..find_byte(b'"', rest.as_bytes()).ok_or(Broken)?];
        self.position += content.len() + 2;
        Ok(Cow::Borrowed(content))
    }

    #[inline(never)]
    fn string_with_escapes(&mut self) -> Result<Cow<'a, str>, Broken> {
        self.token_start = self.position;
        let start = self.position + 1;
        let bytes = self.text.as_bytes();
        let mut end = start;
        let mut escaped = false;
        loop {
            end += find_quote_or_backslash(bytes.get(end..).ok_or(Broken)?).ok_or(Broken)?;
            if bytes[end] == b'"' {
                break;
            }
            escaped = true;
            end += 2;
        }
        self.position = end + 1;
        let content = &self.text[start..end];
        Ok(if escaped { Cow::Owned(unescape(content)) } else { Cow::Borrowed(content) })
    }

    /// Finds the end of an object or array of any depth, by the same rules as [`members`](Self::members) and
    /// [`elements`](Self::elements).
    fn nested(&mut self) -> Result<Value<'a>, Broken> {
        let start = self.position;
        let mut open_objects = vec![self.peek() == Some(b'{')];
        self.position += 1;
        while let Some(&in_object) = open_objects.last() {
            self.skip_space();
            match self.peek() {
                None => break,
                Some(b',') => {
                    self.position += 1;
                    continue;
                }
                Some(b'}') if in_object => {
                    self.position += 1;
                    open_objects.pop();
                    continue;
                }
                Some(b']') if !in_object => {
                    self.position += 1;
                    open_objects.pop();
                    continue;
                }
                Some(b'"') if in_object => {
                    self.string()?;
                    self.colon()?;
                    self.skip_space();
                }
                Some(_) if in_object => return Err(Broken),
                Some(_) => {}
            }
            match self.peek() {
                Some(bracket @ (b'{' | b'[')) => {
                    open_objects.push(bracket == b'{');
                    self.position += 1;
                }
                Some(b'"') => {
                    self.string()?;
                }
                _ => {
                    self.bare()?;
                }
            }
        }
        Ok(Value::Nested(&self.text[start..self.position]))
    }

    fn colon(&mut self) -> Result<(), Broken> {
        self.skip_space();
        self.open(b':')
    }

    fn open(&mut self, expected: u8) -> Result<(), Broken> {
        if self.peek() != Some(expected) {
            return Err(Broken);
        }
        self.position += 1;
        Ok(())
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    #[inline]
    fn skip_space(&mut self) {
        while self.peek().is_some_and(is_space) {
            self.position += 1;
        }
    }

    /// Whether nothing but closing brackets follows, so that the ones before them may be missing.
    fn rest_is_closing(&self) -> bool {
        // A few are enough: this must not read a long tail again for each object.
        let rest = &self.text.as_bytes()[self.position..];
        rest.len() <= 64 && rest.iter().all(|&byte| is_space(byte) || matches!(byte, b']' | b'}'))
    }

    /// Whether the element of a batch that was just read is followed by something that may follow one.
    fn at_element_end(&mut self) -> bool {
        self.skip_space();
        matches!(self.peek(), None | Some(b',' | b']' | b'{'))
    }

    /// Moves to the next object that may be a whole one, or to the end.
    fn resume_after(&mut self, broken_start: usize) {
        let bytes = self.text.as_bytes();
        let mut candidate = self.token_start.max(broken_start + 1);
        while let Some(distance) = bytes.get(candidate..).and_then(|rest| memchr(b'{', rest)) {
            candidate += distance;
            if is_object_start(bytes, candidate) {
                self.position = candidate;
                return;
            }
            candidate += 1;
        }
        self.position = bytes.len();
    }
}

fn is_object_start(bytes: &[u8], brace: usize) -> bool {
    let next = bytes[brace + 1..].iter().find(|byte| !is_space(**byte));
    if next != Some(&b'"') {
        return false;
    }
    let mut starts_line = false;
    for &byte in bytes[..brace].iter().rev() {
        match byte {
            b'\n' => starts_line = true,
            byte if is_space(byte) => {}
            b',' | b'}' => return true,
            // The value of a member or the first of an array, on a line of its own.
            b':' | b'[' | b'{' => return false,
            _ => return starts_line,
        }
    }
    false
}

/// NUL bytes count as white space: C strings leave them between documents.
#[inline]
fn is_space(byte: u8) -> bool {
    // Most bytes are none.
    byte <= b' ' && matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | 0 | 0x0b | 0x0c)
}

/// Resolves the escapes of a string; those that mean nothing stay as they are.
fn unescape(content: &str) -> String {
    let mut text = String::with_capacity(content.len());
    let mut rest = content;
    while let Some(backslash) = memchr(b'\\', rest.as_bytes()) {
        text.push_str(&rest[..backslash]);
        rest = &rest[backslash..];
        let (character, length) = match rest.as_bytes().get(1) {
            Some(b'"') => (Some('"'), 2),
            Some(b'\\') => (Some('\\'), 2),
            Some(b'/') => (Some('/'), 2),
            Some(b'b') => (Some('\u{8}'), 2),
            Some(b'f') => (Some('\u{c}'), 2),
            Some(b'n') => (Some('\n'), 2),
            Some(b'r') => (Some('\r'), 2),
            Some(b't') => (Some('\t'), 2),
            Some(b'u') => unicode_escape(rest.as_bytes()),
            _ => (None, 1),
        };
        match character {
            Some(character) => text.push(character),
            None => text.push_str(&rest[..length]),
        }
        rest = &rest[length..];
    }
    text.push_str(rest);
    text
}

/// The character of `\u0041` or of a surrogate pair at the start of `rest`, and how many bytes that takes.
fn unicode_escape(rest: &[u8]) -> (Option<char>, usize) {
    let unit = |place: usize| -> Option<u32> {
        if rest.get(place..place + 2)? != br"\u" {
            return None;
        }
        rest.get(place + 2..place + 6)?
            .iter()
            .try_fold(0, |unit, &digit| Some(unit * 16 + char::from(digit).to_digit(16)?))
    };
    let Some(first) = unit(0) else {
        return (None, 1);
    };
    if let Some(character) = char::from_u32(first) {
        return (Some(character), 6);
    }
    let pair =
        unit(6).filter(|second| (0xd800..0xdc00).contains(&first) && (0xdc00..0xe000).contains(second));
    match pair {
        Some(second) => (char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)), 12),
        None => (None, 6),
    }
}
