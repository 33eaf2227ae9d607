//! Requests that were accepted under an `Idempotency-Key`, remembered for a day and over restarts.
//!
//! The key is in the spool record, so that it can't be lost while its events are kept; because records leave the
//! spool within minutes, each accepted key is also written to a journal (one file a day). A restart reads both, so
//! it does not matter which of the two a crash cut short. Only accepted requests are remembered; one that failed
//! may be tried again under its key.

use std::collections::{HashMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use mohaa_domain::event::{Millis, Text};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::batcher::IngestOutcome;

/// How long an accepted key is remembered.
const REMEMBERED_MILLIS: i64 = 24 * 60 * 60 * 1000;

/// The first 16 bytes of the SHA-256 of a request body as it was decompressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
    by_age: VecDeque<(Millis, Uuid, Text)>,
    journal: Journal,
}

impl IdempotencyKeys {
    /// Reads the journals in `directory` that are young enough to matter.
    ///
    /// # Errors
    /// When the directory or a journal can't be read or written.
    pub fn open(directory: &Path, now: Millis) -> io::Result<Self> {
        let mut keys = Self {
            entries: HashMap::new(),
            by_age: VecDeque::new(),
            journal: Journal::new(directory.to_path_buf()),
        };
        let mut remembered = Journal::read(directory, now)?;
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
            self.by_age.push_back((accepted_at, server_id, key));
        }
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
                self.by_age.push_back((at, server_id, key.clone()));
                if let Err(error) = self.journal.append(at, server_id, key, body_hash, &answer) {
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

    /// Forgets what is older than a day.
    pub fn expire(&mut self, now: Millis) {
        while let Some((accepted_at, server_id, key)) = self.by_age.front() {
            // One from the future was accepted before the clock was set back: it must not keep those behind it.
            if (now.0 - accepted_at.0).abs() <= REMEMBERED_MILLIS {
                return;
            }
            self.entries.remove(&(*server_id, key.clone()));
            self.by_age.pop_front();
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

/// `keys-<day>.log`: a line a key, `<ms> <server> <key> <hash> <processed> <rejected> <errors>`.
struct Journal {
    directory: PathBuf,
    open: Option<(i32, File)>,
}

impl Journal {
    fn new(directory: PathBuf) -> Self {
        Self { directory, open: None }
    }

    fn append(
        &mut self,
        at: Millis,
        server_id: Uuid,
        key: &Text,
        body_hash: BodyHash,
        answer: &IngestAnswer,
    ) -> io::Result<()> {
        let day = at.day();
        if self.open.as_ref().is_none_or(|(open_day, _)| *open_day != day) {
            let path = self.directory.join(format!("keys-{day}.log"));
            self.open = Some((day, OpenOptions::new().create(true).append(true).open(path)?));
            Self::remove_older(&self.directory, day - 1)?;
        }
        let Some((_, file)) = &mut self.open else { return Ok(()) };
        let hash = u128::from_be_bytes(body_hash.0);
        let line = format!(
            "{} {server_id} {key} {hash:032x} {} {} {}\n",
            at.0, answer.processed, answer.rejected, answer.errors
        );
        file.write_all(line.as_bytes())
    }

    fn files(directory: &Path) -> io::Result<Vec<(i32, PathBuf)>> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(directory)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let day = name.strip_prefix("keys-").and_then(|rest| rest.strip_suffix(".log"));
            if let Some(day) = day.and_then(|day| day.parse().ok()) {
                files.push((day, path));
            }
        }
        Ok(files)
    }

    fn remove_older(directory: &Path, oldest_day: i32) -> io::Result<()> {
        for (day, path) in Self::files(directory)? {
            if day < oldest_day {
                std::fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// Reads the journals that may hold keys of the last 24 hours.
    fn read(directory: &Path, now: Millis) -> io::Result<Vec<JournalLine>> {
        let mut lines = Vec::new();
        for (day, path) in Self::files(directory)? {
            if day < now.day() - 1 {
                continue;
            }
            for line in BufReader::new(File::open(&path)?).split(b'\n') {
                // A line that a crash cut short is in the spool; see the module's documentation.
                if let Some(line) = std::str::from_utf8(&line?).ok().and_then(parse_line)
                    && now.0 - line.accepted_at.0 <= REMEMBERED_MILLIS
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
