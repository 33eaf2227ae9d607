//! Reads the body of an ingest request into events, whatever generation of script sent it.
//!
//! No label says what a body is, so its first character decides: `[` or `{` is JSON ([`json`]: an array, one
//! object, NDJSON, objects one after the other), anything else unescaped form lines ([`form`]). Both hand their
//! fields one by one to an [`event_builder`], which knows every field name ([`field`]) and puts what has no place
//! of its own into [`Event::extra`](crate::event::Event::extra) ([`extra`]).
//!
//! None of the scripts sends anything twice, so what can be read must be read: a value that can't be read is
//! absent and counted, and never costs its event; an event that can't be read is rejected by its index and never
//! costs the batch; no encoding is an error. Hostile input costs time linear in its length, no panic and no
//! recursion beyond a fixed depth.

mod encoding;
mod event_builder;
mod extra;
mod field;
mod form;
mod hidden;
mod json;
mod number;
mod object;
mod players;
mod time;
mod values;
mod words;

use crate::event::{Event, SecretText};
pub use encoding::to_text;
use event_builder::{EventBuilder, Scratch};
pub use object::to_object;

/// Bounds of one request, beyond the size of its body.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Events, counting those that are rejected.
    pub max_events: usize,
}

/// What a body held. Events and rejections together are its elements.
#[derive(Debug, Default)]
pub struct Decoded {
    /// In the order of the body.
    pub events: Vec<Event>,
    /// In the order of the body.
    pub rejected: Vec<Rejected>,
    /// `server_token` of the first element that has one.
    pub body_token: Option<BodyToken>,
    /// Values that could not be read in the events of this body.
    pub unreadable_fields: u64,
}

/// An element that is not an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Place among the array elements, objects or lines of the body, from 0.
    pub index: usize,
    pub reason: RejectReason,
}

/// Why an element is not an event. Its text is a sentence for the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum RejectReason {
    #[error("an event must be a JSON object")]
    NotAnObject,
    #[error("an event needs a non-empty text `type`")]
    MissingType,
    #[error("the event could not be read: broken JSON, or a line without fields")]
    Unreadable,
}

impl RejectReason {
    pub const ALL: &'static [RejectReason] =
        &[RejectReason::NotAnObject, RejectReason::MissingType, RejectReason::Unreadable];

    /// Stable name for metrics, logs and answers.
    pub const fn code(self) -> &'static str {
        match self {
            RejectReason::NotAnObject => "not_an_object",
            RejectReason::MissingType => "missing_type",
            RejectReason::Unreadable => "unreadable",
        }
    }
}

/// Why a body is refused as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("the request holds more than {limit} events")]
    TooManyEvents { limit: usize },
}

/// The server token of a body, for scripts that can't send headers.
pub type BodyToken = SecretText;

/// Whether the decoder has a place for a field of this name, or at least lists it among those that are kept.
pub fn knows_field(name: &str) -> bool {
    field::find(name).is_some()
}

/// Of what today's scripts send in batches, few events are shorter.
const BYTES_OF_SHORT_EVENT: usize = 400;

/// Reads a whole body; see the module for what is tolerated.
pub fn decode(body: &[u8], limits: Limits) -> Result<Decoded, DecodeError> {
    let body = strip_residue(body);
    // Events are large: a list that grew with them would copy each once more.
    let expected_events = (body.len() / BYTES_OF_SHORT_EVENT + 1).min(limits.max_events);
    let decoded = Decoded { events: Vec::with_capacity(expected_events), ..Decoded::default() };
    let mut elements = Elements { limits, scratch: Scratch::default(), decoded };
    elements.scratch.holds_nul = memchr::memchr(0, body).is_some();
    match body.first() {
        None => {}
        Some(b'[' | b'{') => json::read_body(&encoding::to_text(body), &mut elements)?,
        Some(_) => form::read_body(&encoding::to_text(body), &mut elements)?,
    }
    Ok(elements.decoded)
}

/// Cuts what C strings and editors leave around a body: NUL bytes, white space, a byte order mark.
fn strip_residue(mut body: &[u8]) -> &[u8] {
    const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
    let is_residue = |byte: &u8| *byte == 0 || byte.is_ascii_whitespace();
    loop {
        match body {
            [first, rest @ ..] if is_residue(first) => body = rest,
            [rest @ .., last] if is_residue(last) => body = rest,
            _ => match body.strip_prefix(BYTE_ORDER_MARK) {
                Some(rest) => body = rest,
                None => return body,
            },
        }
    }
}

/// The elements of a body as they are read: each ends here, as an event or as a rejection.
struct Elements {
    limits: Limits,
    scratch: Scratch,
    decoded: Decoded,
}

impl Elements {
    /// Starts the next element; what it builds stands behind the events before it until [`finish`](Self::finish) or
    /// [`abandon`](Self::abandon).
    fn begin(&mut self) -> EventBuilder<'_> {
        EventBuilder::new(&mut self.scratch, self.decoded.events.push_mut(Event::default()))
    }

    /// Takes back what was begun.
    fn abandon(&mut self, reason: RejectReason) -> Result<(), DecodeError> {
        self.decoded.events.pop();
        self.reject(reason)
    }

    /// The index of an element with so many events before it.
    fn check_room(&self, events_before: usize) -> Result<usize, DecodeError> {
        let index = events_before + self.decoded.rejected.len();
        if index >= self.limits.max_events {
            return Err(DecodeError::TooManyEvents { limit: self.limits.max_events });
        }
        Ok(index)
    }

    fn finish(&mut self, element: event_builder::Element) -> Result<(), DecodeError> {
        let index = self.check_room(self.decoded.events.len().saturating_sub(1))?;
        if self.decoded.body_token.is_none() {
            self.decoded.body_token = element.server_token;
        }
        match element.rejected {
            None => self.decoded.unreadable_fields += u64::from(element.unreadable_fields),
            Some(reason) => {
                self.decoded.events.pop();
                self.decoded.rejected.push(Rejected { index, reason });
            }
        }
        Ok(())
    }

    fn reject(&mut self, reason: RejectReason) -> Result<(), DecodeError> {
        let index = self.check_room(self.decoded.events.len())?;
        self.decoded.rejected.push(Rejected { index, reason });
        Ok(())
    }
}
