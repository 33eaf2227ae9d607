//! Events of servers that wait for approval: taken, kept as they came, and sent on once an admin has approved.
//!
//! Each request is a file `held/<server id>/<number>.request` beside the spool, as [`crate::parked`] writes it, whole and
//! synced before its sender is answered: what is held survives the end of the process and of the machine. A server's
//! requests are sent on in their order, with their times of receipt; each is removed when the Batcher has it. A crash
//! in between sends it twice, which the Batcher notices by its key; so does a backup that has copied both, and may be restored when
//! no key of that time is remembered any more. So a start lets go of whatever has a record in the spool
//! ([`HeldRequests::forget_sent`]).
//!
//! Bounded: so many events and bytes of one server, for so long, of so many servers. Beyond, requests are refused.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mohaa_domain::event::{Event, Millis, Text};
use uuid::Uuid;

use crate::accounting::{Accounted, Ledger, RejectReason};
use crate::batcher::{Batcher, IngestOutcome};
use crate::clock::Clock;
use crate::idempotency::{self, BodyHash, IngestAnswer};
use crate::parked::{ParkedKey, SentAgain, park, send_again};
use crate::port::Port;
use crate::record::{RecordKey, RecordView};

/// Of one server.
const MOST_EVENTS: u64 = 10_000;
/// Of one server: events are mostly smaller than a kilobyte, and nobody vouches for these.
const MOST_BYTES: u64 = 16 << 20;
/// After the first of a server's events that are held.
const LONGEST_MILLIS: i64 = 24 * 60 * 60 * 1000;
const MOST_SERVERS: usize = 100;

const DIRECTORY: &str = "held";
const SUFFIX: &str = ".request";
const DAMAGED_SUFFIX: &str = ".damaged";
const UNFINISHED: &str = "unfinished";

/// A request of a server that waits for approval.
pub struct HeldRequest {
    pub server_id: Uuid,
    pub received_at: Millis,
    pub events: Accounted<Arc<Vec<Event>>>,
    pub idempotency: Option<(Text, BodyHash)>,
    /// What the sender is told.
    pub answer: IngestAnswer,
}

/// What is held of one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holding {
    pub events: u64,
    /// When the first of them was received.
    pub since: Millis,
}

/// All that is held. Clones are one.
#[derive(Clone)]
pub struct HeldRequests {
    inner: Arc<Inner>,
}

struct Inner {
    directory: PathBuf,
    ledger: Ledger,
    clock: Clock,
    servers: Mutex<HashMap<Uuid, Arc<Mutex<HeldServer>>>>,
    /// When the log told last of a server of which nothing more is held.
    told: Mutex<HashMap<Uuid, Instant>>,
}

/// What is refused is lost: whoever looks for it finds the server in the log.
const TELL_EVERY: Duration = Duration::from_secs(60);

#[derive(Default)]
struct HeldServer {
    requests: VecDeque<HeldFile>,
    /// Keys of accepted requests, until the Batcher knows them.
    /// Each with when it was accepted.
    keys: HashMap<Text, (BodyHash, IngestAnswer, Millis)>,
    next_number: u64,
    events: u64,
    bytes: u64,
    since: Millis,
    /// Nothing is held any more, and this is not where further requests go.
    has_ended: bool,
}

#[derive(Clone, Debug)]
struct HeldFile {
    path: PathBuf,
    /// What it is sent on under: the same at each try, and another one for an equal request.
    key: ParkedKey,
    events: u64,
    bytes: u64,
}

impl HeldRequests {
    /// Those beside the spool in `spool_directory`; whatever is there is held again.
    ///
    /// # Errors
    /// When the folder can't be made or read.
    pub fn open(spool_directory: &Path, ledger: Ledger, clock: Clock) -> io::Result<Self> {
        let directory = spool_directory.join(DIRECTORY);
        fs::create_dir_all(&directory)?;
        let mut servers = HashMap::new();
        for entry in fs::read_dir(&directory)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let Some(server_id) = name.and_then(|name| Uuid::parse_str(name).ok()) else { continue };
            let server = HeldServer::read(server_id, &path)?;
            ledger.recover_held(server.events);
            if !server.requests.is_empty() {
                servers.insert(server_id, Arc::new(Mutex::new(server)));
            }
        }
        Ok(Self {
            inner: Arc::new(Inner {
                directory,
                ledger,
                clock,
                servers: Mutex::new(servers),
                told: Mutex::default(),
            }),
        })
    }

    /// Whether something of this server is held. Then what it sends has to be held too, so that its events stay in order.
    pub fn is_holding(&self, server_id: Uuid) -> bool {
        self.servers().contains_key(&server_id)
    }

    /// Servers of which something is held.
    pub fn servers_held(&self) -> Vec<Uuid> {
        self.servers().keys().copied().collect()
    }

    /// What is held of a server.
    pub fn of_server(&self, server_id: Uuid) -> Option<Holding> {
        let server = self.servers().get(&server_id)?.clone();
        let server = lock(&server);
        Some(Holding { events: server.events, since: server.since })
    }

    /// Keeps a request. Blocks on the disk.
    pub fn hold(&self, request: HeldRequest) -> IngestOutcome {
        loop {
            let Some(server) = self.server(request.server_id) else {
                return self.refuse_held(request, "too many servers wait");
            };
            let mut server = lock(&server);
            // It was sent on, or thrown away, since we found it.
            if !server.has_ended {
                return self.hold_in(&mut server, request);
            }
        }
    }

    /// Refuses a request that nothing holds. The log says whose it is, once in so long.
    fn refuse_held(&self, request: HeldRequest, why: &'static str) -> IngestOutcome {
        let (now, server_id) = (self.inner.clock.instant(), request.server_id);
        let mut told = lock(&self.inner.told);
        told.retain(|_, at| now.saturating_duration_since(*at) < TELL_EVERY);
        if let Entry::Vacant(untold) = told.entry(server_id) {
            untold.insert(now);
            tracing::warn!(%server_id, why, "events of a server that waits for approval are refused");
        }
        drop(told);
        refuse(request, RejectReason::HeldFull)
    }

    fn hold_in(&self, server: &mut HeldServer, request: HeldRequest) -> IngestOutcome {
        let now = self.inner.clock.now();
        if let Some((key, body_hash)) = &request.idempotency
            && let Some((known_hash, answer, accepted_at)) = server.keys.get(key)
            && !idempotency::is_outlived(key, *accepted_at, now)
        {
            if known_hash != body_hash {
                return refuse(request, RejectReason::IdempotencyMismatch);
            }
            let answer = answer.clone();
            request.events.reject(RejectReason::IdempotentReplay);
            return IngestOutcome::Replayed(answer);
        }
        let count = request.events.events();
        let is_late = !server.requests.is_empty() && now.0 - server.since.0 >= LONGEST_MILLIS;
        let full = match () {
            () if is_late => Some("it waits for too long"),
            () if server.events + count > MOST_EVENTS || server.bytes >= MOST_BYTES => {
                Some("it sent too much")
            }
            () => None,
        };
        if let Some(why) = full {
            return self.refuse_held(request, why);
        }
        // Equal messages that came far apart are sent on together, where one key would make one of them.
        let key_of_request = request.idempotency.as_ref().filter(|(key, _)| !idempotency::is_of_message(key));
        let key = key_of_request.map(|(key, body_hash)| RecordKey {
            key: key.to_string(),
            body_hash: *body_hash,
            answer: request.answer.clone(),
        });
        let events = request.events.get().map_or(&[][..], |events| events.as_slice());
        let bytes = park(request.server_id, request.received_at, key.as_ref(), events);
        let directory = self.directory_of(request.server_id);
        let path = directory.join(format!("{:012}{SUFFIX}", server.next_number));
        let own = key.map(|own| (Text::from(own.key), own.body_hash));
        let file = HeldFile::new(request.server_id, path.clone(), &bytes, own, count);
        if let Err(error) = write(&directory, &path, &bytes) {
            tracing::error!(%error, server_id = %request.server_id, "events can't be held");
            return refuse(request, RejectReason::SpoolFailed);
        }
        if server.requests.is_empty() {
            server.since = request.received_at;
        }
        server.next_number += 1;
        server.add(file);
        if let Some((key, body_hash)) = request.idempotency {
            server.keys.insert(key, (body_hash, request.answer.clone(), now));
        }
        request.events.hold();
        IngestOutcome::Accepted(request.answer)
    }

    /// Sends everything of a server on, in order; `false` when some of it has to wait for another try.
    ///
    /// # Errors
    /// When a file can't be read or removed.
    pub async fn release(&self, server_id: Uuid, batcher: &Port<Batcher>) -> io::Result<bool> {
        let Some(server) = self.servers().get(&server_id).cloned() else { return Ok(true) };
        let mut released = 0;
        loop {
            let first = lock(&server).requests.front().cloned();
            let Some(file) = first else {
                if self.end(server_id, &server)? {
                    tracing::info!(%server_id, events = released, "held events were sent on");
                    return Ok(true);
                }
                continue;
            };
            let parked = fs::read(&file.path)?;
            let account = |carried| self.inner.ledger.release(carried, file.events);
            match send_again(batcher, &parked, &file.key.key, account).await {
                Ok(SentAgain::Accepted) => released += file.events,
                // It is a dead letter now.
                Ok(SentAgain::Panicked) => {}
                Ok(SentAgain::Refused(reason)) if may_pass(reason) => {
                    self.inner.ledger.recover_held(file.events);
                    return Ok(false);
                }
                Ok(SentAgain::Refused(reason)) => {
                    tracing::error!(%server_id, reason = reason.code(), "held events are refused for good");
                }
                Err(error) => {
                    tracing::error!(%error, path = %file.path.display(), "held events can't be read; they are set aside");
                    self.inner.ledger.release((), file.events).reject(RejectReason::SpoolDamaged);
                    fs::rename(&file.path, file.path.with_extension(&DAMAGED_SUFFIX[1..]))?;
                    lock(&server).remove_first();
                    continue;
                }
            }
            fs::remove_file(&file.path)?;
            lock(&server).remove_first();
        }
    }

    /// What everything that is held is sent on under.
    pub fn keys(&self) -> HashSet<ParkedKey> {
        let servers: Vec<_> = self.servers().values().cloned().collect();
        servers
            .iter()
            .flat_map(|server| lock(server).requests.iter().map(|file| file.key.clone()).collect::<Vec<_>>())
            .collect()
    }

    /// Lets go of what is in the spool already, before anything is sent on.
    ///
    /// # Errors
    /// When a file can't be removed.
    pub fn forget_sent(&self, sent: &HashSet<ParkedKey>) -> io::Result<()> {
        let servers: Vec<_> = self.servers().iter().map(|(id, server)| (*id, server.clone())).collect();
        for (server_id, server) in servers {
            {
                let mut server = lock(&server);
                for file in std::mem::take(&mut server.requests) {
                    if !sent.contains(&file.key) {
                        server.requests.push_back(file);
                        continue;
                    }
                    fs::remove_file(&file.path)?;
                    tracing::info!(%server_id, events = file.events, "held events are in the spool already");
                    self.inner.ledger.release((), file.events).reject(RejectReason::IdempotentReplay);
                    server.events -= file.events;
                    server.bytes -= file.bytes;
                }
            }
            self.end(server_id, &server)?;
        }
        Ok(())
    }

    /// Throws away what is held of a server that was removed.
    ///
    /// # Errors
    /// When a file can't be removed.
    pub fn discard(&self, server_id: Uuid) -> io::Result<()> {
        let Some(server) = self.servers().get(&server_id).cloned() else { return Ok(()) };
        let mut server = lock(&server);
        while let Some(file) = server.requests.front() {
            fs::remove_file(&file.path)?;
            self.inner.ledger.release((), file.events).reject(RejectReason::ServerRemoved);
            server.remove_first();
        }
        server.has_ended = true;
        self.servers().remove(&server_id);
        Ok(())
    }

    /// Ends a server's holding if it is empty.
    fn end(&self, server_id: Uuid, server: &Mutex<HeldServer>) -> io::Result<bool> {
        let mut server = lock(server);
        if !server.requests.is_empty() {
            return Ok(false);
        }
        server.has_ended = true;
        self.servers().remove(&server_id);
        match fs::remove_dir(self.directory_of(server_id)) {
            // Something damaged was set aside in it.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            removed => removed.map(|()| true),
        }
    }

    /// Where a server's requests go; none when too many servers wait already.
    fn server(&self, server_id: Uuid) -> Option<Arc<Mutex<HeldServer>>> {
        let mut servers = self.servers();
        if servers.len() >= MOST_SERVERS && !servers.contains_key(&server_id) {
            return None;
        }
        Some(servers.entry(server_id).or_default().clone())
    }

    fn servers(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<Mutex<HeldServer>>>> {
        lock(&self.inner.servers)
    }

    fn directory_of(&self, server_id: Uuid) -> PathBuf {
        self.inner.directory.join(server_id.to_string())
    }
}

impl HeldFile {
    fn new(
        server_id: Uuid,
        path: PathBuf,
        parked: &[u8],
        own: Option<(Text, BodyHash)>,
        events: u64,
    ) -> Self {
        let name = path.file_name().map_or(&[][..], |name| name.as_encoded_bytes());
        let fallback = format!("held-{}", Uuid::new_v5(&server_id, &[name, parked].concat()).simple());
        let key = ParkedKey::new(server_id, own, &fallback);
        Self { path, key, events, bytes: parked.len() as u64 }
    }
}

impl HeldServer {
    fn read(server_id: Uuid, directory: &Path) -> io::Result<Self> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path.to_str().is_some_and(|path| path.ends_with(SUFFIX)) {
                paths.push(path);
            }
        }
        paths.sort();
        let mut server = Self::default();
        for path in paths {
            let bytes = fs::read(&path)?;
            let view = match RecordView::parse(&bytes) {
                Ok(view) => view,
                Err(error) => {
                    tracing::error!(%error, path = %path.display(), "held events can't be read; they are set aside");
                    fs::rename(&path, path.with_extension(&DAMAGED_SUFFIX[1..]))?;
                    continue;
                }
            };
            if server.requests.is_empty() {
                server.since = view.received_at;
            }
            let own = view.key.as_ref().map(|own| (Text::from(own.key.as_str()), own.body_hash));
            if let Some(key) = view.key {
                server.keys.insert(key.key.into(), (key.body_hash, key.answer, view.received_at));
            }
            let number =
                path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<u64>().ok());
            server.next_number = number.map_or(server.next_number, |number| number + 1);
            server.add(HeldFile::new(server_id, path, &bytes, own, view.row_count as u64));
        }
        Ok(server)
    }

    fn add(&mut self, file: HeldFile) {
        self.events += file.events;
        self.bytes += file.bytes;
        self.requests.push_back(file);
    }

    fn remove_first(&mut self) {
        if let Some(file) = self.requests.pop_front() {
            self.events -= file.events;
            self.bytes -= file.bytes;
        }
    }
}

/// Whether a refusal is one of this moment.
fn may_pass(reason: RejectReason) -> bool {
    matches!(
        reason,
        RejectReason::MailboxFull
            | RejectReason::SpoolFull
            | RejectReason::SpoolFailed
            | RejectReason::Draining
    )
}

fn refuse(request: HeldRequest, reason: RejectReason) -> IngestOutcome {
    request.events.reject(reason);
    IngestOutcome::Rejected(reason)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write(directory: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let unfinished = directory.join(UNFINISHED);
    let mut file = File::create(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    File::open(directory)?.sync_all()
}
