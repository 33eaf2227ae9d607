//! What could not be stored, kept for an operator: rows that the store refuses for what they hold, requests whose
//! handler panicked, and records of the spool that this version can't read.
//!
//! Each is a file `dead-letters/<id>.json` beside the spool, written whole and synced before its events count as
//! ended. An id follows from what it names, so a crash between the two doesn't keep a row twice. An operator wants a
//! letter sent again by moving it to `dead-letters/replay/` (`mohaa-stats dead-letters replay`); the running service
//! finds it there ([`crate::replay`]) and removes it once it is stored. Both may be done while the service runs and
//! while it doesn't.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mohaa_domain::event::{Event, Millis};
use mohaa_domain::row;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::idempotency::is_of_message;
use crate::parked::{ParkedKey, park};
use crate::record::{RecordError, RecordKey, RecordView};
use crate::store::RowName;

/// One thing that could not be stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    pub id: String,
    /// When it was received.
    pub received_at: Millis,
    pub server_id: Uuid,
    /// What the store or the panic said.
    pub reason: String,
    #[serde(flatten)]
    pub content: DeadLetterContent,
}

/// What a letter holds, enough to look at it and to send it again. Bytes are base64.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum DeadLetterContent {
    /// A stamped row that ClickHouse refuses.
    Row {
        spool_id: Uuid,
        spool_seq: u64,
        spool_index: u32,
        /// ClickHouse's error code.
        code: u32,
        /// Day of the event since the epoch: the row's partition.
        day: i32,
        column_count: usize,
        row: String,
    },
    /// An accepted request that was never stamped, as [`crate::parked`] keeps it.
    Request { events: u64, record: String },
    /// A spool record, whole, that this version can't read.
    Record { spool_id: Uuid, spool_seq: u64, events: u64, record: String },
}

impl DeadLetterContent {
    /// `row`, `request` or `record`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Row { .. } => "row",
            Self::Request { .. } => "request",
            Self::Record { .. } => "record",
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum DeadLetterError {
    #[error("{path}: {source}", path = .path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("no dead letter has the id {id:?}")]
    Unknown { id: String },
    #[error("{path} holds no dead letter: {source}", path = .path.display())]
    Damaged { path: PathBuf, source: serde_json::Error },
    #[error("bytes of the dead letter can't be read: {0}")]
    Base64(#[from] base64::DecodeError),
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl DeadLetter {
    /// A row that the store refused with `code` and `reason`. `row` is in the form of [`mohaa_domain::row`].
    pub fn row(
        spool_id: Uuid,
        (spool_seq, spool_index): RowName,
        day: i32,
        column_count: usize,
        row: &[u8],
        (code, reason): (u32, String),
    ) -> Self {
        let stamp = row::decode(row, column_count).map(|(_, stamp)| stamp).unwrap_or_default();
        let row = STANDARD.encode(row);
        Self {
            id: format!("row-{}-{spool_seq}-{spool_index}", spool_id.simple()),
            received_at: stamp.received_at,
            server_id: stamp.server_id,
            reason,
            content: DeadLetterContent::Row {
                spool_id,
                spool_seq,
                spool_index,
                code,
                day,
                column_count,
                row,
            },
        }
    }

    /// A request whose handler panicked.
    pub fn request(
        server_id: Uuid,
        received_at: Millis,
        key: Option<&RecordKey>,
        events: &[Event],
        reason: &str,
    ) -> Self {
        let record = STANDARD.encode(park(server_id, received_at, key, events));
        Self {
            id: format!("{REQUEST_PREFIX}{}", Uuid::now_v7().simple()),
            received_at,
            server_id,
            reason: reason.to_owned(),
            content: DeadLetterContent::Request { events: events.len() as u64, record },
        }
    }

    /// A spool record whose content can't be read.
    pub fn record(spool_id: Uuid, spool_seq: u64, events: u32, payload: &[u8], reason: String) -> Self {
        Self {
            id: format!("record-{}-{spool_seq}", spool_id.simple()),
            received_at: Millis::default(),
            server_id: Uuid::nil(),
            reason,
            content: DeadLetterContent::Record {
                spool_id,
                spool_seq,
                events: u64::from(events),
                record: STANDARD.encode(payload),
            },
        }
    }

    /// How many events it holds.
    pub fn events(&self) -> u64 {
        match self.content {
            DeadLetterContent::Row { .. } => 1,
            DeadLetterContent::Request { events, .. } | DeadLetterContent::Record { events, .. } => events,
        }
    }

    /// The rows it holds in the form of [`mohaa_domain::row`], and how many columns each has. Those of a request were
    /// never stamped.
    ///
    /// # Errors
    /// When its bytes can't be read by this version.
    pub fn rows(&self) -> Result<(usize, Vec<Vec<u8>>), DeadLetterError> {
        match &self.content {
            DeadLetterContent::Row { column_count, row, .. } => {
                Ok((*column_count, vec![STANDARD.decode(row)?]))
            }
            DeadLetterContent::Request { record, .. } | DeadLetterContent::Record { record, .. } => {
                let record = STANDARD.decode(record)?;
                let view = RecordView::parse(&record)?;
                let rows =
                    view.rows().map(|row| Ok(row?.bytes.to_vec())).collect::<Result<_, RecordError>>()?;
                Ok((view.column_count, rows))
            }
        }
    }
}

/// The dead letters of one spool directory.
#[derive(Clone)]
pub struct DeadLetters {
    directory: PathBuf,
}

/// Of the ids of requests.
const REQUEST_PREFIX: &str = "request-";
const REPLAY: &str = "replay";
const SUFFIX: &str = ".json";
const UNFINISHED_SUFFIX: &str = ".unfinished";

impl DeadLetters {
    /// Those beside the spool in `spool_directory`; makes their folders.
    ///
    /// # Errors
    /// When the folders can't be made or read.
    pub fn open(spool_directory: &Path) -> Result<Self, DeadLetterError> {
        let letters = Self { directory: spool_directory.join("dead-letters") };
        let replay = letters.replay_directory();
        fs::create_dir_all(&replay).map_err(in_file(&replay))?;
        Ok(letters)
    }

    /// Keeps a letter; does nothing when it is there already, also when it is to be replayed.
    ///
    /// # Errors
    /// When it can't be written or synced; then its events must not end yet.
    pub fn keep(&self, letter: &DeadLetter) -> Result<(), DeadLetterError> {
        if self.find(&letter.id).is_ok() {
            return Ok(());
        }
        self.write(letter)
    }

    /// Puts a letter that was to be replayed back, with the reason why it can't be stored now.
    ///
    /// # Errors
    /// When a file can't be written or removed.
    pub fn put_back(&self, letter: &DeadLetter) -> Result<(), DeadLetterError> {
        self.write(letter)?;
        self.replayed(&letter.id)
    }

    fn write(&self, letter: &DeadLetter) -> Result<(), DeadLetterError> {
        let path = self.directory.join(format!("{}{SUFFIX}", letter.id));
        let unfinished = self.directory.join(format!("{}{UNFINISHED_SUFFIX}", letter.id));
        let written = serde_json::to_vec_pretty(letter).map_err(io::Error::from).and_then(|text| {
            let mut file = File::create(&unfinished)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)?;
            File::open(&self.directory)?.sync_all()
        });
        written.map_err(in_file(&path))
    }

    /// How many there are, those to be replayed included.
    pub fn count(&self) -> usize {
        self.ids().map_or(0, |ids| ids.len()) + self.asked_for().map_or(0, |ids| ids.len())
    }

    /// The ids of those that wait for an operator.
    ///
    /// # Errors
    /// When the folder can't be read.
    pub fn ids(&self) -> Result<Vec<String>, DeadLetterError> {
        ids_in(&self.directory)
    }

    /// The ids of those that an operator wants sent again.
    ///
    /// # Errors
    /// When the folder can't be read.
    pub fn asked_for(&self) -> Result<Vec<String>, DeadLetterError> {
        ids_in(&self.replay_directory())
    }

    /// Reads a letter.
    ///
    /// # Errors
    /// When there is none of this id, or its file can't be read.
    pub fn read(&self, id: &str) -> Result<DeadLetter, DeadLetterError> {
        let path = self.find(id)?;
        let text = fs::read(&path).map_err(in_file(&path))?;
        serde_json::from_slice(&text).map_err(|source| DeadLetterError::Damaged { path, source })
    }

    /// Asks the service that runs, or the next that does, to store a letter.
    ///
    /// # Errors
    /// When there is none of this id, or it can't be moved.
    pub fn ask_for(&self, id: &str) -> Result<(), DeadLetterError> {
        let path = self.find(id)?;
        let wanted = self.replay_directory().join(format!("{id}{SUFFIX}"));
        fs::rename(&path, wanted).map_err(in_file(&path))
    }

    /// Forgets a letter for good.
    ///
    /// # Errors
    /// When there is none of this id, or it can't be removed.
    pub fn discard(&self, id: &str) -> Result<(), DeadLetterError> {
        let path = self.find(id)?;
        fs::remove_file(&path).map_err(in_file(&path))
    }

    /// Removes a letter that was asked for.
    ///
    /// # Errors
    /// When it can't be removed.
    pub fn replayed(&self, id: &str) -> Result<(), DeadLetterError> {
        let path = self.replay_directory().join(format!("{id}{SUFFIX}"));
        fs::remove_file(&path).map_err(in_file(&path))
    }

    /// The requests among them, those to be replayed included, with what each is sent again under. What can't be read is left out, and so
    /// are messages of a broker, of which an equal one may be another.
    ///
    /// # Errors
    /// When a folder can't be read.
    pub fn requests(&self) -> Result<Vec<(String, ParkedKey)>, DeadLetterError> {
        let mut ids = self.ids()?;
        ids.append(&mut self.asked_for()?);
        ids.retain(|id| id.starts_with(REQUEST_PREFIX));
        let key_of = |id: String| {
            let letter = self.read(&id).ok()?;
            let DeadLetterContent::Request { record, .. } = &letter.content else { return None };
            let record = STANDARD.decode(record).ok()?;
            let key = ParkedKey::of(&RecordView::parse(&record).ok()?, &letter.id);
            (!is_of_message(&key.key)).then_some((id, key))
        };
        Ok(ids.into_iter().filter_map(key_of).collect())
    }

    /// Forgets the requests that are in the spool already: they were sent again, and the process ended, or a backup was made, before their
    /// letters were removed. The Batcher remembers their keys for a day only, and a backup may be older.
    ///
    /// # Errors
    /// When a letter can't be removed.
    pub fn forget_sent(
        &self,
        requests: Vec<(String, ParkedKey)>,
        sent: &HashSet<ParkedKey>,
    ) -> Result<(), DeadLetterError> {
        for (id, _) in requests.into_iter().filter(|(_, key)| sent.contains(key)) {
            tracing::info!(id, "the events of a dead letter are in the spool already");
            self.discard(&id)?;
        }
        Ok(())
    }

    fn replay_directory(&self) -> PathBuf {
        self.directory.join(REPLAY)
    }

    fn find(&self, id: &str) -> Result<PathBuf, DeadLetterError> {
        // Ids come from a command line: none may lead out of the folder.
        let is_id = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let name = format!("{id}{SUFFIX}");
        [self.directory.join(&name), self.replay_directory().join(&name)]
            .into_iter()
            .find(|path| is_id && path.is_file())
            .ok_or_else(|| DeadLetterError::Unknown { id: id.to_owned() })
    }
}

fn ids_in(directory: &Path) -> Result<Vec<String>, DeadLetterError> {
    let mut ids = Vec::new();
    for entry in fs::read_dir(directory).map_err(in_file(directory))? {
        let name = entry.map_err(in_file(directory))?.file_name();
        ids.extend(name.to_str().and_then(|name| name.strip_suffix(SUFFIX)).map(str::to_owned));
    }
    ids.sort();
    Ok(ids)
}

fn in_file(path: &Path) -> impl Fn(io::Error) -> DeadLetterError {
    let path = path.to_path_buf();
    move |source| DeadLetterError::File { path: path.clone(), source }
}
