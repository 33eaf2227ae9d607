//! Requests that were accepted under an `Idempotency-Key`, remembered for a day and over restarts.
//!
//! The key is in the spool record, so that it can't be lost while its events are kept; because records leave the
//! spool within minutes, each accepted key is also written to a journal (one file a day). A restart reads both, so
//! it does not matter which of the two a crash cut short. Only accepted requests are remembered; one that failed
//! may be tried again under its key.
//!
//! Messages of a broker come without a key. What they hold is theirs ([`message_key`]), and as two messages may well be
//! equal, it is remembered for ten minutes only, in journals of ten minutes.

use std::collections::{HashMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use mohaa_domain::event::{Millis, Text};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::batcher::IngestOutcome;

const MINUTE_MILLIS: i64 = 60 * 1000;
/// How long the key of an accepted request is remembered, in files of a day.
const REQUESTS: Span =
    Span { remembered_ms: 24 * 60 * MINUTE_MILLIS, file_ms: 24 * 60 * MINUTE_MILLIS, file_prefix: "keys-" };
/// How long an accepted message is: a broker sends again when a connection is back, which takes seconds.
const MESSAGES: Span =
    Span { remembered_ms: 10 * MINUTE_MILLIS, file_ms: 10 * MINUTE_MILLIS, file_prefix: "message-keys-" };
/// Begins the keys of messages. No header can say one: keys of requests hold no colon.
const MESSAGE: &str = "mqtt:";

/// The key of a message that a broker may deliver again: what it holds.
pub fn message_key(body_hash: BodyHash) -> Text {
    Text::from(format!("{MESSAGE}{:032x}", u128::from_be_bytes(body_hash.0)))
}

/// Whether a key is one of a message that was accepted so long ago that an equal one is another.
pub fn is_outlived(key: &Text, accepted_at: Millis, now: Millis) -> bool {
    now.0 - accepted_at.0 > Span::of(key).remembered_ms
}

/// Whether a key is that of a message.
pub fn is_of_message(key: &Text) -> bool {
    key.starts_with(MESSAGE)
}

/// How long keys are remembered, and how their journals are cut.
#[derive(Clone, Copy)]
struct Span {
    remembered_ms: i64,
    file_ms: i64,
    file_prefix: &'static str,
}

impl Span {
    fn of(key: &Text) -> Self {
        if is_of_message(key) { MESSAGES } else { REQUESTS }
    }
}

/// The first 16 bytes of the SHA-256 of a request body as it was decompressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct BodyHash(pub [u8; 16]);

/// What an accepted request was told: the counts, and `errors` as the JSON text of the list (`""` when empty).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IngestAnswer {
    pub processed: u32,
    pub rejected: u32,
    pub errors: Box<str>,
}

enum State {
    /// The first request of this key is on its way to the disk; repeats wait for it here.
    InWork {
        waiters: Vec<oneshot::Sender<IngestOutcome>>,
    },
    Accepted(IngestAnswer),
}

struct Entry {
    body_hash: BodyHash,
    state: State,
}

/// What a key means for a request that carries it.
pub enum Lookup {
    /// Nobody used it: the request goes on, and must be ended with [`IdempotencyKeys::finish`].
    New,
    /// The request repeats an accepted one.
    Replay(IngestAnswer),
    /// The key stands for other content.
    Mismatch,
    /// The first one is still in work: [`IdempotencyKeys::wait_for`] its answer.
    InWork,
}

/// The remembered keys of all servers.
pub struct IdempotencyKeys {
    entries: HashMap<(Uuid, Text), Entry>,
    requests: Remembered,
    messages: Remembered,
}

/// Keys that are remembered for the same time.
struct Remembered {
    span: Span,
    by_age: VecDeque<(Millis, Uuid, Text)>,
    journal: Journal,
}

impl Remembered {
    fn new(span: Span, directory: &Path) -> Self {
        Self { span, by_age: VecDeque::new(), journal: Journal::new(directory.to_path_buf(), span) }
    }
}

impl IdempotencyKeys {
    /// Reads the journals in `directory` that are young enough to matter.
    ///
    /// # Errors
    /// When the directory or a journal can't be read or written.
    pub fn open(directory: &Path, now: Millis) -> io::Result<Self> {
        let mut keys = Self {
            entries: HashMap::new(),
            requests: Remembered::new(REQUESTS, directory),
            messages: Remembered::new(MESSAGES, directory),
        };
        let mut remembered = keys.requests.journal.read(now)?;
        remembered.append(&mut keys.messages.journal.read(now)?);
        remembered.sort_by_key(|line| line.accepted_at);
        for line in remembered {
            keys.remember(line.server_id, line.key, line.body_hash, line.answer, line.accepted_at);
        }
        Ok(keys)
    }

    /// Notes a key found in a spool record at start.
    pub fn remember(
        &mut self,
        server_id: Uuid,
        key: Text,
        body_hash: BodyHash,
        answer: IngestAnswer,
        accepted_at: Millis,
    ) {
        let entry = Entry { body_hash, state: State::Accepted(answer) };
        if self.entries.insert((server_id, key.clone()), entry).is_none() {
            self.remembered(&key).by_age.push_back((accepted_at, server_id, key));
        }
    }

    fn remembered(&mut self, key: &Text) -> &mut Remembered {
        if is_of_message(key) { &mut self.messages } else { &mut self.requests }
    }

    /// Looks a request's key up; a new one is in work from now on.
    pub fn look_up(&mut self, server_id: Uuid, key: &Text, body_hash: BodyHash) -> Lookup {
        use std::collections::hash_map::Entry as Slot;
        match self.entries.entry((server_id, key.clone())) {
            Slot::Vacant(slot) => {
                slot.insert(Entry { body_hash, state: State::InWork { waiters: Vec::new() } });
                Lookup::New
            }
            Slot::Occupied(slot) if slot.get().body_hash != body_hash => Lookup::Mismatch,
            Slot::Occupied(slot) => match &slot.get().state {
                State::Accepted(answer) => Lookup::Replay(answer.clone()),
                State::InWork { .. } => Lookup::InWork,
            },
        }
    }

    /// Tells `reply` how the request that holds this key ends. Without one it is dropped.
    pub fn wait_for(&mut self, server_id: Uuid, key: &Text, reply: oneshot::Sender<IngestOutcome>) {
        if let Some(Entry { state: State::InWork { waiters }, .. }) =
            self.entries.get_mut(&(server_id, key.clone()))
        {
            waiters.push(reply);
        }
    }

    /// Ends the request that holds a key: with its answer when it was accepted, else it frees the key. Those who
    /// waited for it are told the same.
    pub fn finish(
        &mut self,
        server_id: Uuid,
        key: &Text,
        at: Millis,
        outcome: Result<IngestAnswer, IngestOutcome>,
    ) {
        let slot = (server_id, key.clone());
        let Some(entry) = self.entries.get_mut(&slot) else { return };
        let State::InWork { waiters } = &mut entry.state else { return };
        let waiters = std::mem::take(waiters);
        let told = match outcome {
            Ok(answer) => {
                let body_hash = entry.body_hash;
                entry.state = State::Accepted(answer.clone());
                let remembered = self.remembered(key);
                remembered.by_age.push_back((at, server_id, key.clone()));
                if let Err(error) = remembered.journal.append(at, server_id, key, body_hash, &answer) {
                    // The record in the spool still holds the key: it is forgotten too early at worst.
                    tracing::warn!(%error, "idempotency journal can't be written");
                }
                IngestOutcome::Replayed(answer)
            }
            Err(refused) => {
                self.entries.remove(&slot);
                refused
            }
        };
        for waiter in waiters {
            // A waiter whose client has gone needs no answer.
            let _ = waiter.send(told.clone());
        }
    }

    /// Forgets what has been remembered for long enough.
    pub fn expire(&mut self, now: Millis) {
        for Remembered { span, by_age, .. } in [&mut self.requests, &mut self.messages] {
            while let Some((accepted_at, _, _)) = by_age.front() {
                // One from the future was accepted before the clock was set back: it must not keep those behind it.
                if (now.0 - accepted_at.0).abs() <= span.remembered_ms {
                    break;
                }
                if let Some((_, server_id, key)) = by_age.pop_front() {
                    self.entries.remove(&(server_id, key));
                }
            }
        }
    }
}

struct JournalLine {
    accepted_at: Millis,
    server_id: Uuid,
    key: Text,
    body_hash: BodyHash,
    answer: IngestAnswer,
}

/// `keys-<day>.log`: a line a key, `<ms> <server> <key> <hash> <processed> <rejected> <errors>`. Those of messages are
/// `message-keys-<ten minutes>.log`.
struct Journal {
    directory: PathBuf,
    span: Span,
    open: Option<(i64, File)>,
}

impl Journal {
    fn new(directory: PathBuf, span: Span) -> Self {
        Self { directory, span, open: None }
    }

    /// The number of the file that a moment is written to.
    fn file_at(&self, at: Millis) -> i64 {
        at.0.div_euclid(self.span.file_ms)
    }

    fn append(
        &mut self,
        at: Millis,
        server_id: Uuid,
        key: &Text,
        body_hash: BodyHash,
        answer: &IngestAnswer,
    ) -> io::Result<()> {
        let number = self.file_at(at);
        if self.open.as_ref().is_none_or(|(open_number, _)| *open_number != number) {
            let path = self.directory.join(format!("{}{number}.log", self.span.file_prefix));
            self.open = Some((number, OpenOptions::new().create(true).append(true).open(path)?));
            self.remove_older(number - 1)?;
        }
        let Some((_, file)) = &mut self.open else { return Ok(()) };
        let hash = u128::from_be_bytes(body_hash.0);
        let line = format!(
            "{} {server_id} {key} {hash:032x} {} {} {}\n",
            at.0, answer.processed, answer.rejected, answer.errors
        );
        file.write_all(line.as_bytes())
    }

    fn files(&self) -> io::Result<Vec<(i64, PathBuf)>> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.directory)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let number = name.strip_prefix(self.span.file_prefix).and_then(|rest| rest.strip_suffix(".log"));
            if let Some(number) = number.and_then(|number| number.parse().ok()) {
                files.push((number, path));
            }
        }
        Ok(files)
    }

    fn remove_older(&self, oldest: i64) -> io::Result<()> {
        for (number, path) in self.files()? {
            if number < oldest {
                std::fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// Reads the journals that may hold keys that are remembered.
    fn read(&self, now: Millis) -> io::Result<Vec<JournalLine>> {
        let mut lines = Vec::new();
        for (number, path) in self.files()? {
            if number < self.file_at(now) - 1 {
                continue;
            }
            for line in BufReader::new(File::open(&path)?).split(b'\n') {
                // A line that a crash cut short is in the spool; see the module's documentation.
                if let Some(line) = std::str::from_utf8(&line?).ok().and_then(parse_line)
                    && now.0 - line.accepted_at.0 <= self.span.remembered_ms
                {
                    lines.push(line);
                }
            }
        }
        Ok(lines)
    }
}

fn parse_line(line: &str) -> Option<JournalLine> {
    let mut parts = line.splitn(7, ' ');
    let accepted_at = Millis(parts.next()?.parse().ok()?);
    let server_id = parts.next()?.parse().ok()?;
    let key = Text::from(parts.next()?);
    let body_hash = BodyHash(u128::from_str_radix(parts.next()?, 16).ok()?.to_be_bytes());
    let processed = parts.next()?.parse().ok()?;
    let rejected = parts.next()?.parse().ok()?;
    let errors = parts.next()?.into();
    Some(JournalLine {
        accepted_at,
        server_id,
        key,
        body_hash,
        answer: IngestAnswer { processed, rejected, errors },
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::accounting::RejectReason;

    const BEGAN: Millis = Millis(1_800_000_000_000);
    const HASH: BodyHash = BodyHash([7; 16]);

    fn after(minutes: i64) -> Millis {
        Millis(BEGAN.0 + minutes * MINUTE_MILLIS)
    }

    fn accept(keys: &mut IdempotencyKeys, key: &Text, at: Millis) {
        assert!(matches!(keys.look_up(Uuid::nil(), key, HASH), Lookup::New));
        keys.finish(Uuid::nil(), key, at, Ok(IngestAnswer { processed: 1, ..IngestAnswer::default() }));
    }

    fn is_known(keys: &mut IdempotencyKeys, key: &Text) -> bool {
        let is_known = matches!(keys.look_up(Uuid::nil(), key, HASH), Lookup::Replay(_));
        if !is_known {
            keys.finish(Uuid::nil(), key, BEGAN, Err(IngestOutcome::Rejected(RejectReason::Internal)));
        }
        is_known
    }

    #[test]
    fn a_message_is_remembered_for_ten_minutes_and_a_request_for_a_day_also_over_restarts() {
        let directory = tempfile::tempdir().unwrap();
        let (message, request) = (message_key(HASH), Text::from("k-1"));
        let mut keys = IdempotencyKeys::open(directory.path(), BEGAN).unwrap();
        accept(&mut keys, &message, BEGAN);
        accept(&mut keys, &request, BEGAN);
        for (minutes, message_is_known, request_is_known) in
            [(9, true, true), (11, false, true), (23 * 60, false, true), (25 * 60, false, false)]
        {
            keys.expire(after(minutes));
            let known = (is_known(&mut keys, &message), is_known(&mut keys, &request));
            assert_eq!(known, (message_is_known, request_is_known), "after {minutes} minutes");
            let mut restarted = IdempotencyKeys::open(directory.path(), after(minutes)).unwrap();
            let known = (is_known(&mut restarted, &message), is_known(&mut restarted, &request));
            assert_eq!(known, (message_is_known, request_is_known), "after {minutes} minutes, restarted");
        }
    }

    #[test]
    fn journals_of_messages_are_removed_within_the_hour() {
        let directory = tempfile::tempdir().unwrap();
        let mut keys = IdempotencyKeys::open(directory.path(), BEGAN).unwrap();
        for minutes in [0, 10, 20, 30] {
            keys.expire(after(minutes));
            accept(&mut keys, &message_key(BodyHash([minutes as u8; 16])), after(minutes));
        }
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2);
    }
}
