//! Single values: text, numbers and words of the vocabularies, and what becomes of those that can't be read.

use std::borrow::Cow;

use super::extra::Extra;
use super::field::Key;
use super::json::Value;
use super::{BodyToken, number};
use crate::vocabulary::Team;

/// Reads the values of one event. Whatever its normal form would lose goes to `extra` as it came; what can't be
/// read at all is counted besides.
pub(super) struct Values<'s> {
    pub(super) extra: &'s mut Extra,
    pub(super) unreadable_fields: u32,
    /// Texts that were taken over as they are may hold NUL.
    pub(super) may_hold_nul: bool,
}

impl Values<'_> {
    pub(super) fn team(&mut self, key: Key<'_>, value: &Value<'_>) -> Option<Team> {
        self.vocabulary_word(key, value, Team::parse, Team::as_str)
    }

    /// A team, or none for a draw.
    pub(super) fn winner(&mut self, key: Key<'_>, value: &Value<'_>) -> Option<Team> {
        self.vocabulary_word(key, value, Team::parse_winner, Team::as_str)
    }

    /// A word of a closed vocabulary. What came is kept unless it is that very word.
    pub(super) fn vocabulary_word<T: Copy>(
        &mut self,
        key: Key<'_>,
        value: &Value<'_>,
        parse: fn(&str) -> Option<T>,
        as_str: fn(T) -> &'static str,
    ) -> Option<T> {
        let text = self.word(key, value)?;
        let Some(word) = parse(&text) else {
            self.unreadable(key, value);
            return None;
        };
        if as_str(word) != text {
            self.keep(key, value);
        }
        Some(word)
    }

    /// A word that the engine may have another name for. What came is kept where it has.
    pub(super) fn canonical<'v>(
        &mut self,
        key: Key<'_>,
        value: &'v Value<'_>,
        canonical_name: fn(&str) -> Option<&'static str>,
    ) -> Option<Cow<'v, str>> {
        let text = self.word(key, value)?;
        match canonical_name(&text) {
            Some(name) if name != text => {
                self.keep(key, value);
                Some(Cow::Borrowed(name))
            }
            _ => Some(text),
        }
    }

    /// A forum id; none for 0, −1 and the empty text, by which scripts say that there is none.
    pub(super) fn member_id<'v>(&mut self, key: Key<'_>, value: &'v Value<'_>) -> Option<Cow<'v, str>> {
        match parse_member_id(self.word(key, value)?) {
            Some(member_id) => member_id,
            None => {
                self.unreadable(key, value);
                None
            }
        }
    }

    pub(super) fn decimal(&mut self, key: Key<'_>, value: &Value<'_>) -> Option<f32> {
        self.number_as(key, value, number::to_f32)
    }

    /// A number without a place of its own.
    pub(super) fn kept_number(&mut self, key: Key<'_>, value: &Value<'_>) -> Option<f64> {
        let number = self.number_as(key, value, Some);
        if number.is_some() {
            self.keep(key, value);
        }
        number
    }

    /// A number that `convert` takes; any other is absent and counted.
    pub(super) fn number_as<T>(
        &mut self,
        key: Key<'_>,
        value: &Value<'_>,
        convert: fn(f64) -> Option<T>,
    ) -> Option<T> {
        let text = match value {
            Value::Null => return None,
            _ => spelling(value),
        };
        if text.is_some_and(str::is_empty) {
            return None;
        }
        let number = text.and_then(number::parse).and_then(convert);
        if number.is_none() {
            self.unreadable(key, value);
        }
        number
    }

    /// An identifier or a word of some vocabulary: white space around it means nothing, and `NIL` and `NULL` are how
    /// scripts print that there is none.
    pub(super) fn word<'v>(&mut self, key: Key<'_>, value: &'v Value<'_>) -> Option<Cow<'v, str>> {
        let Value::Text(text) = value else { return self.free_text(key, value) };
        match text.trim_ascii() {
            "NIL" | "NULL" => {
                self.unreadable(key, value);
                None
            }
            text => self.stored_text(key, value, text),
        }
    }

    /// Text that a person chose.
    pub(super) fn free_text<'v>(&mut self, key: Key<'_>, value: &'v Value<'_>) -> Option<Cow<'v, str>> {
        match value {
            Value::Text(text) => self.stored_text(key, value, text),
            Value::Number(text) => Some(Cow::Borrowed(text)),
            Value::Bool(flag) => Some(Cow::Borrowed(if *flag { "true" } else { "false" })),
            Value::Null => None,
            Value::Word(_) | Value::Nested(_) => {
                self.unreadable(key, value);
                None
            }
        }
    }

    fn stored_text<'v>(&mut self, key: Key<'_>, value: &Value<'_>, text: &'v str) -> Option<Cow<'v, str>> {
        if text.is_empty() {
            return None;
        }
        if !self.may_hold_nul && matches!(value, Value::Text(Cow::Borrowed(_))) {
            return Some(Cow::Borrowed(text));
        }
        let stored = without_nul(text);
        if stored.len() != text.len() {
            self.keep(key, value);
        }
        Some(stored)
    }

    pub(super) fn unreadable(&mut self, key: Key<'_>, value: &Value<'_>) {
        self.unreadable_fields += 1;
        self.extra.push(key, value);
    }

    pub(super) fn keep(&mut self, key: Key<'_>, value: &Value<'_>) {
        if !self.extra.push(key, value) {
            self.unreadable_fields += 1;
        }
    }
}

/// The text of a value that is one, trimmed; none for flags, `null` and nested values.
pub(super) fn spelling<'v>(value: &'v Value<'_>) -> Option<&'v str> {
    match value {
        Value::Text(text) => Some(text.trim_ascii()),
        Value::Number(text) | Value::Word(text) => Some(text),
        Value::Bool(_) | Value::Null | Value::Nested(_) => None,
    }
}

/// The inner value is none for 0 and −1.
pub(super) fn parse_member_id(text: Cow<'_, str>) -> Option<Option<Cow<'_, str>>> {
    let is_plain = matches!(text.as_bytes(), [b'1'..=b'9', digits @ ..]
        if digits.len() < 15 && digits.iter().all(u8::is_ascii_digit));
    if is_plain {
        return Some(Some(text));
    }
    match number::parse(&text)? {
        0.0 | -1.0 => Some(None),
        // Ids have at most ten digits; all of these are whole in an `f64`.
        id if id > 0.0 && id < 1e15 && id.fract() == 0.0 => Some(Some((id as u64).to_string().into())),
        _ => None,
    }
}

/// PostgreSQL stores no NUL, and C ends a string there.
pub(super) fn without_nul(text: &str) -> Cow<'_, str> {
    if !text.as_bytes().contains(&0) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace('\0', ""))
}

/// A token, which is never kept elsewhere, not even when it can't be read.
pub(super) fn secret(value: &Value<'_>) -> Option<BodyToken> {
    spelling(value).filter(|text| !text.is_empty()).map(BodyToken::from)
}
