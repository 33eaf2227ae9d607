//! Results of matches on disk, each from before its sender is answered until all that follows from it is done: nobody sends
//! a result again, and whose it is may not be to be told while a store is away.
//!
//! Each is a file `results/<number>-<server id>.result` beside the spool, as [`mohaa_actors::parked`] writes it, synced
//! before it counts. A server's results are settled in their order. A crash in between settles one twice, which the
//! Batcher notices by its key and a summary does not mind.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use mohaa_actors::idempotency::{BodyHash, IngestAnswer};
use mohaa_actors::parked::park;
use mohaa_actors::record::{RecordKey, RecordView};
use mohaa_domain::event::{Event, Millis, Text};
use uuid::Uuid;

/// Of all servers together.
const MOST_RESULTS: u64 = 10_000;
const MOST_BYTES: u64 = 64 << 20;

/// By when a match is to be seen that a result was taken for.
const SEEN_WITHIN_MS: i64 = 60_000;

const DIRECTORY: &str = "results";
const SUFFIX: &str = ".result";
const DAMAGED_SUFFIX: &str = "damaged";
const UNFINISHED: &str = "unfinished";

/// A result that is kept.
#[derive(Clone, Debug)]
pub struct HeldResult {
    pub server_id: Uuid,
    pub received_at: Millis,
    pub event: Event,
    /// Under which its event is taken once: the sender's, or one of its own.
    pub key: Text,
    pub body_hash: BodyHash,
    path: PathBuf,
    bytes: u64,
}

impl HeldResult {
    /// Whether its match may not be seen yet.
    pub fn is_new(&self, now: Millis) -> bool {
        now.0 - self.received_at.0 < SEEN_WITHIN_MS
    }

    /// Of its file.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// A server's results, the first first. Whoever holds it settles.
pub type ResultQueue = Arc<tokio::sync::Mutex<VecDeque<HeldResult>>>;

/// Why a result is not kept.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    #[error("too many results wait already")]
    Full,
    #[error(transparent)]
    File(#[from] io::Error),
}

/// See the [module](self).
pub struct HeldResults {
    directory: PathBuf,
    servers: Mutex<HashMap<Uuid, ResultQueue>>,
    next_number: AtomicU64,
    count: AtomicU64,
    bytes: AtomicU64,
}

impl HeldResults {
    /// Those beside the spool; whatever is there waits again.
    ///
    /// # Errors
    /// When the folder can't be made or read.
    pub fn open(spool_directory: &Path) -> io::Result<Self> {
        let directory = spool_directory.join(DIRECTORY);
        fs::create_dir_all(&directory)?;
        let mut paths = Vec::new();
        for entry in fs::read_dir(&directory)? {
            let path = entry?.path();
            if path.to_str().is_some_and(|path| path.ends_with(SUFFIX)) {
                paths.push(path);
            }
        }
        paths.sort();
        let this = Self {
            directory,
            servers: Mutex::default(),
            next_number: AtomicU64::new(
                paths.last().and_then(|path| number_of(path)).map_or(0, |last| last + 1),
            ),
            count: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        };
        let mut servers: HashMap<Uuid, VecDeque<HeldResult>> = HashMap::new();
        for path in paths {
            match read(&path)? {
                Some(held) => {
                    this.add(&held);
                    servers.entry(held.server_id).or_default().push_back(held);
                }
                None => {
                    tracing::error!(path = %path.display(), "a result can't be read; it is set aside");
                    fs::rename(&path, path.with_extension(DAMAGED_SUFFIX))?;
                }
            }
        }
        let queues = servers
            .into_iter()
            .map(|(server_id, results)| (server_id, Arc::new(tokio::sync::Mutex::new(results))))
            .collect();
        Ok(Self { servers: Mutex::new(queues), ..this })
    }

    /// The results of a server.
    pub fn of_server(&self, server_id: Uuid) -> ResultQueue {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        servers.entry(server_id).or_default().clone()
    }

    /// All servers of which one was held since the start.
    pub fn queues(&self) -> Vec<ResultQueue> {
        let servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        servers.values().cloned().collect()
    }

    /// Writes a result down. Blocks on the disk. The caller puts it into its queue.
    ///
    /// # Errors
    /// When it can't be kept.
    pub fn keep(
        &self,
        server_id: Uuid,
        received_at: Millis,
        event: Event,
        key: Option<Text>,
        body_hash: BodyHash,
    ) -> Result<HeldResult, HoldError> {
        if self.count.load(Ordering::Relaxed) >= MOST_RESULTS
            || self.bytes.load(Ordering::Relaxed) >= MOST_BYTES
        {
            return Err(HoldError::Full);
        }
        let key = key.unwrap_or_else(|| format!("result-{}", Uuid::new_v4().simple()).into());
        let answer = IngestAnswer { processed: 1, ..IngestAnswer::default() };
        let record_key = RecordKey { key: key.to_string(), body_hash, answer };
        let bytes = park(server_id, received_at, Some(&record_key), std::slice::from_ref(&event));
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        let path = self.directory.join(format!("{number:012}-{server_id}{SUFFIX}"));
        write(&self.directory, &path, number, &bytes)?;
        let held =
            HeldResult { server_id, received_at, event, key, body_hash, path, bytes: bytes.len() as u64 };
        self.add(&held);
        Ok(held)
    }

    /// Removes what was settled. Blocks on the disk.
    pub fn forget(&self, held: &HeldResult) {
        if let Err(error) = fs::remove_file(&held.path) {
            tracing::error!(%error, path = %held.path.display(), "a settled result can't be removed; it is settled again");
        }
        self.count.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(held.bytes, Ordering::Relaxed);
    }

    fn add(&self, held: &HeldResult) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(held.bytes, Ordering::Relaxed);
    }
}

fn number_of(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.split_once('-')?.0.parse().ok()
}

/// None for what is no result.
fn read(path: &Path) -> io::Result<Option<HeldResult>> {
    let bytes = fs::read(path)?;
    let Ok(view) = RecordView::parse(&bytes) else { return Ok(None) };
    let event = view.events().ok().and_then(|events| events.into_iter().next());
    let Some((RecordKey { key, body_hash, .. }, (event, _))) = view.key.zip(event) else { return Ok(None) };
    Ok(Some(HeldResult {
        server_id: view.server_id,
        received_at: view.received_at,
        event,
        key: key.into(),
        body_hash,
        path: path.to_owned(),
        bytes: bytes.len() as u64,
    }))
}

fn write(directory: &Path, path: &Path, number: u64, bytes: &[u8]) -> io::Result<()> {
    let unfinished = directory.join(format!("{number}.{UNFINISHED}"));
    let mut file = File::create(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_kept_is_there_after_a_restart_in_its_order_until_it_is_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let server_id = Uuid::from_u128(7);
        let results = HeldResults::open(directory.path()).unwrap();
        let keep = |results: &HeldResults, name: &str| {
            let event = Event { source_match_id: name.into(), allies_score: Some(3), ..Event::default() };
            results.keep(server_id, Millis(1_000), event, None, BodyHash::default()).unwrap()
        };
        let first = keep(&results, "first");
        let second = keep(&results, "second");
        results.forget(&first);
        fs::write(directory.path().join("results/000000000009-x.result"), "torn").unwrap();

        let results = HeldResults::open(directory.path()).unwrap();
        keep(&results, "third");
        let results = HeldResults::open(directory.path()).unwrap();
        let queue = results.of_server(server_id);
        let queue = queue.try_lock().unwrap();
        let names: Vec<&str> = queue.iter().map(|held| held.event.source_match_id.as_str()).collect();
        assert_eq!(names, ["second", "third"]);
        assert_eq!((&queue[0].key, queue[0].event.allies_score), (&second.key, Some(3)));
    }
}
