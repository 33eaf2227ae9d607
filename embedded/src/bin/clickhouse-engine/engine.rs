//! The engine in this process: opening it, its pool of connections, running statements.
//!
//! A connection keeps the settings, database and `SET`s it was given, so it is reused only by
//! statements with the same user, database and settings, and dropped after an error or after a
//! statement that changed it. One more connection stays open always: the engine stops with its last.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::attempts::{Attempts, Registered, Victim};
use crate::exception::{Code, Exception};
use crate::libchdb::{Chdb, Connection, LoadError, Statistics};
use crate::sql::{KillMode, QueryIds, Statement};

/// Statements that run at a time; more wait for their turn.
pub const MAX_STATEMENTS: usize = 64;
/// Idle connections kept, about 0.3 MB each.
const MAX_IDLE: usize = 32;
/// A kill is repeated until its statement is gone: the engine may not have registered it yet.
const KILL_INTERVAL: Duration = Duration::from_millis(20);
/// Settings that differ by statement: their connections would never be asked for again.
const ONE_OFF_SETTINGS: [&str; 2] = ["insert_deduplication_token", "log_comment"];

/// Kept small: the service, PostgreSQL and Redis share the machine. Without `<logger>`, which would
/// log at trace whatever its level.
fn config() -> String {
    format!(
        "<clickhouse>
    <users_config>users.xml</users_config>
    <mark_cache_size>134217728</mark_cache_size>
    <index_mark_cache_size>16777216</index_mark_cache_size>
    <uncompressed_cache_size>0</uncompressed_cache_size>
    <max_server_memory_usage_to_ram_ratio>0.5</max_server_memory_usage_to_ram_ratio>
{}</clickhouse>
",
        mohaa_embedded::merge_settings()
    )
}

/// The engine's own single user. Without SOURCES `file()`, `url()`, `remote()` and the like fail.
const USERS: &str = "<clickhouse>
    <profiles><default></default></profiles>
    <quotas><default></default></quotas>
    <users>
        <default>
            <password></password>
            <networks><ip>::/0</ip></networks>
            <profile>default</profile>
            <quota>default</quota>
            <grants>
                <query>GRANT ALL ON *.*</query>
                <query>REVOKE SOURCES ON *.*</query>
            </grants>
        </default>
    </users>
</clickhouse>
";

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Library(#[from] LoadError),
    #[error("cannot write the engine's configuration to {path}: {source}")]
    Configuration { path: String, source: std::io::Error },
    #[error("the engine doesn't open {0}: it is damaged, or another process uses it")]
    Open(String),
    #[error("the engine refuses to prepare itself: {0}")]
    Prepare(String),
}

/// What a connection was opened with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionKey {
    pub user: String,
    pub database: String,
    /// Sorted by name.
    pub settings: Vec<(String, String)>,
}

impl ConnectionKey {
    fn is_one_off(&self) -> bool {
        self.settings.iter().any(|(name, _)| ONE_OFF_SETTINGS.contains(&name.as_str()))
    }
}

/// Which session a statement belongs to.
#[derive(Debug, Clone)]
pub struct SessionRequest {
    pub id: String,
    pub timeout: Duration,
    /// The session must exist already.
    pub must_exist: bool,
}

/// A statement with all it needs.
pub struct Job {
    pub key: ConnectionKey,
    pub session: Option<SessionRequest>,
    pub statement: Statement,
    pub default_format: String,
    pub parameters: Vec<(String, String)>,
    /// Rows of an insert, complete.
    pub rows: Vec<Bytes>,
    pub attempt: Registered,
}

pub struct Answer {
    pub body: Bytes,
    pub format: String,
    pub statistics: Statistics,
}

struct Session {
    user: String,
    /// `None` while a statement of the session runs.
    connection: Option<Connection>,
    expires: Instant,
}

#[derive(Default)]
struct Connections {
    /// Oldest first.
    idle: Vec<(ConnectionKey, Connection)>,
    sessions: HashMap<(String, String), Session>,
    closed: bool,
}

pub struct Engine {
    chdb: &'static Chdb,
    arguments: Vec<String>,
    base: Mutex<Option<Connection>>,
    connections: Mutex<Connections>,
    permits: Semaphore,
    known_settings: HashSet<String>,
    pub attempts: Arc<Attempts>,
    pub version: String,
    pub timezone: String,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Engine {
    /// Loads the library and opens the store in `folder`, which must be the working directory: the
    /// engine reads a `config.xml` from there before anything else.
    pub fn open(library: &Path, folder: &Path) -> Result<Self, StartError> {
        let write = |name: &str, content: &str| {
            let path = folder.join(name);
            std::fs::write(&path, content)
                .map_err(|source| StartError::Configuration { path: path.display().to_string(), source })
        };
        write("config.xml", &config())?;
        write("users.xml", USERS)?;
        let chdb = Chdb::load(library)?;
        let arguments = vec![
            format!("--path={}", folder.join("store").display()),
            format!("--config-file={}", folder.join("config.xml").display()),
        ];
        let mut base = chdb.open(&arguments).ok_or_else(|| StartError::Open(folder.display().to_string()))?;
        let mut lines = |sql: &str| -> Result<Vec<String>, StartError> {
            let (body, _) = base.query(sql, "TSVRaw", &[]).map_err(StartError::Prepare)?;
            Ok(String::from_utf8_lossy(&body).lines().map(str::to_owned).collect())
        };
        let known_settings = lines("SELECT name FROM system.settings")?.into_iter().collect();
        let timezone = lines("SELECT timezone()")?.concat();
        Ok(Engine {
            chdb,
            arguments,
            base: Mutex::new(Some(base)),
            connections: Mutex::default(),
            permits: Semaphore::new(MAX_STATEMENTS),
            known_settings,
            attempts: Arc::default(),
            version: chdb.version(),
            timezone,
        })
    }

    /// The engine ignores names it doesn't know, so a misspelt setting would silently not apply.
    pub fn check_setting(&self, name: &str) -> Result<(), Exception> {
        if self.known_settings.contains(name) {
            return Ok(());
        }
        Err(Exception::new(Code::UnknownSetting, format!("Unknown setting '{name}'")))
    }

    /// Runs a job to its end, whether or not anyone still waits for the answer.
    pub async fn run(self: &Arc<Self>, job: Job) -> Result<Answer, Exception> {
        job.attempt.attempt.hand_over();
        let engine = Arc::clone(self);
        let task = tokio::spawn(async move {
            if let Statement::Kill { query_ids, mode, format } = &job.statement {
                let format = format.clone().unwrap_or_else(|| job.default_format.clone());
                return engine.kill(query_ids, *mode, &job.key.user, format).await;
            }
            let _permit = engine.permits.acquire().await;
            let blocking = Arc::clone(&engine);
            tokio::task::spawn_blocking(move || blocking.run_blocking(&job)).await.unwrap_or_else(stopped)
        });
        task.await.unwrap_or_else(stopped)
    }

    fn run_blocking(&self, job: &Job) -> Result<Answer, Exception> {
        let attempt = &job.attempt.attempt;
        attempt.refuse_if_cancelled()?;
        let mut connection = match &job.session {
            Some(session) => self.take_session(session, &job.key)?,
            None => self.take_connection(&job.key)?,
        };
        let outcome = match &job.statement {
            Statement::Query { sql, format, .. } => connection
                .query(&format!("{sql}{}", attempt.marker()), &job.default_format, &job.parameters)
                .map(|(body, statistics)| Answer {
                    body,
                    format: format.clone().unwrap_or_else(|| job.default_format.clone()),
                    statistics,
                }),
            Statement::Insert { sql, format, .. } => connection
                .insert(&format!("{sql}{}", attempt.marker()), format, &job.parameters, &job.rows, || {
                    attempt.is_cancelled()
                })
                .map(|(body, statistics)| Answer { body, format: format.clone(), statistics }),
            Statement::Kill { .. } => Err("a kill needs no connection".to_owned()),
        };
        let changed =
            matches!(&job.statement, Statement::Query { changes_connection, .. } if *changes_connection);
        match &job.session {
            Some(session) => self.return_session(session, &job.key, connection),
            None if outcome.is_ok() && !changed && !job.key.is_one_off() => {
                self.return_connection(job.key.clone(), connection);
            }
            None => drop(connection),
        }
        outcome.map_err(|text| Exception::from_engine(&text))
    }

    fn connect(&self, key: &ConnectionKey) -> Result<Connection, Exception> {
        let mut arguments = self.arguments.clone();
        arguments.extend(key.settings.iter().map(|(name, value)| format!("--{name}={value}")));
        let Some(mut connection) = self.chdb.open(&arguments) else {
            return Err(self.why_refused(key));
        };
        if key.database != "default" {
            let sql = format!("USE {}", quoted_name(&key.database));
            connection.query(&sql, "TSV", &[]).map_err(|text| Exception::from_engine(&text))?;
        }
        Ok(connection)
    }

    /// A refused connection has no error text; the same settings by `SET` have.
    fn why_refused(&self, key: &ConnectionKey) -> Exception {
        if let Some(mut connection) = self.chdb.open(&self.arguments) {
            for (name, value) in &key.settings {
                let sql = format!("SET {name} = '{}'", escaped(value));
                if let Err(text) = connection.query(&sql, "TSV", &[]) {
                    return Exception::from_engine(&text);
                }
            }
        }
        Exception::new(Code::BadArguments, "the engine refuses these settings")
    }

    fn take_connection(&self, key: &ConnectionKey) -> Result<Connection, Exception> {
        let mut connections = lock(&self.connections);
        if let Some(position) = connections.idle.iter().rposition(|(idle, _)| idle == key) {
            return Ok(connections.idle.remove(position).1);
        }
        drop(connections);
        self.connect(key)
    }

    fn return_connection(&self, key: ConnectionKey, connection: Connection) {
        let mut connections = lock(&self.connections);
        if connections.closed {
            return;
        }
        let surplus = (connections.idle.len() >= MAX_IDLE).then(|| connections.idle.remove(0));
        connections.idle.push((key, connection));
        drop(connections);
        drop(surplus);
    }

    /// A session's settings are those of its first statement plus what it `SET`s.
    fn take_session(&self, request: &SessionRequest, key: &ConnectionKey) -> Result<Connection, Exception> {
        let name = (key.user.clone(), request.id.clone());
        let mut connections = lock(&self.connections);
        let now = Instant::now();
        let mut expired = Vec::new();
        connections.sessions.retain(|_, session| {
            let keep = session.connection.is_none() || session.expires > now;
            if !keep {
                expired.extend(session.connection.take());
            }
            keep
        });
        let existing = connections.sessions.get_mut(&name);
        if let Some(session) = existing {
            return session.connection.take().ok_or_else(|| {
                Exception::new(
                    Code::SessionIsLocked,
                    format!("Session {} is locked by a concurrent client", request.id),
                )
            });
        }
        if request.must_exist {
            return Err(Exception::new(Code::SessionNotFound, format!("Session {} not found", request.id)));
        }
        let session = Session { user: key.user.clone(), connection: None, expires: now + request.timeout };
        connections.sessions.insert(name.clone(), session);
        drop(connections);
        drop(expired);
        self.connect(key).inspect_err(|_| {
            lock(&self.connections).sessions.remove(&name);
        })
    }

    fn return_session(&self, request: &SessionRequest, key: &ConnectionKey, connection: Connection) {
        let mut connections = lock(&self.connections);
        let Some(session) = connections.sessions.get_mut(&(key.user.clone(), request.id.clone())) else {
            return;
        };
        debug_assert_eq!(session.user, key.user);
        session.connection = Some(connection);
        session.expires = Instant::now() + request.timeout;
    }

    /// Cancels by the client's `query_id`. With SYNC it returns only when none of the
    /// attempts runs any more. The engine's own `KILL … SYNC` never returns here, so it is asked
    /// asynchronously and the gateway waits for its own statements.
    async fn kill(
        self: &Arc<Self>,
        query_ids: &QueryIds,
        mode: KillMode,
        user: &str,
        format: String,
    ) -> Result<Answer, Exception> {
        let mut victims = self.attempts.victims(query_ids, mode != KillMode::Test);
        if mode != KillMode::Test {
            for victim in &mut victims {
                self.kill_victim(victim, mode).await;
            }
        }
        let status = if mode == KillMode::Wait { "finished" } else { "waiting" };
        let ids: Vec<String> =
            victims.iter().map(|victim| format!("'{}'", escaped(&victim.query_id))).collect();
        let sql = format!(
            "SELECT '{status}' AS kill_status, arrayJoin(CAST([{}] AS Array(String))) AS query_id, \
             '{}' AS user",
            ids.join(","),
            escaped(user)
        );
        let engine = Arc::clone(self);
        let named = format.clone();
        let outcome = tokio::task::spawn_blocking(move || engine.on_base(&sql, &named)).await;
        let (body, statistics) = match outcome {
            Ok(outcome) => outcome.map_err(|text| Exception::from_engine(&text))?,
            Err(error) => return stopped(error),
        };
        Ok(Answer { body, format, statistics })
    }

    async fn kill_victim(self: &Arc<Self>, victim: &mut Victim, mode: KillMode) {
        loop {
            let engine = Arc::clone(self);
            let marker = victim.marker.trim().to_owned();
            let asked = tokio::task::spawn_blocking(move || engine.kill_inside(&marker)).await;
            if let Ok(Err(error)) = asked {
                tracing::warn!(query_id = victim.query_id, error, "the engine refuses a kill");
            }
            // The statement's end also shows as an error, when its attempt was dropped meanwhile.
            let ended = tokio::time::timeout(KILL_INTERVAL, victim.finished.changed());
            if mode == KillMode::DontWait || ended.await.is_ok() {
                return;
            }
        }
    }

    fn kill_inside(&self, marker: &str) -> Result<(), String> {
        // The marker is spelt in two pieces, or this statement would kill itself.
        let (head, tail) = marker.split_at(marker.len() / 2);
        let sql = format!(
            "KILL QUERY WHERE position(query, concat('{}', '{}')) > 0 ASYNC",
            escaped(head),
            escaped(tail)
        );
        self.on_base(&sql, "TSV").map(|_| ())
    }

    fn on_base(&self, sql: &str, format: &str) -> Result<(Bytes, Statistics), String> {
        lock(&self.base)
            .as_mut()
            .ok_or_else(|| "the engine is stopping".to_owned())
            .and_then(|base| base.query(sql, format, &[]))
    }

    pub fn create_database(&self, name: &str) -> Result<(), StartError> {
        self.on_base(&format!("CREATE DATABASE IF NOT EXISTS {}", quoted_name(name)), "TSV")
            .map(|_| ())
            .map_err(StartError::Prepare)
    }

    /// Closes every connection, the last one of which stops the engine: parts being written are
    /// finished, nothing is left half done.
    pub fn close(&self) {
        let (idle, sessions) = {
            let mut connections = lock(&self.connections);
            connections.closed = true;
            (std::mem::take(&mut connections.idle), std::mem::take(&mut connections.sessions))
        };
        drop(idle);
        drop(sessions);
        drop(lock(&self.base).take());
    }
}

fn stopped<T>(error: tokio::task::JoinError) -> Result<T, Exception> {
    Err(Exception::new(Code::UnknownException, format!("the statement's task ended early: {error}")))
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "\\'")
}

fn quoted_name(name: &str) -> String {
    format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
}
