//! One store's process: started, watched, started again when it ends, stopped on request.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::{Error, StoreKind, spawn};

/// The first restart is at once, for whoever waits; a store that keeps dying isn't hurried.
const FIRST_BACKOFF: Duration = Duration::from_millis(50);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);
/// A store that ran so long starts over with the first backoff.
const STEADY: Duration = Duration::from_secs(10);
/// How long a store may take to end before it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(30);
/// A log beyond this is put aside at the next start.
const LOG_BYTES: u64 = 16 << 20;
const TAIL_BYTES: u64 = 2_000;

type BuildCommand = Box<dyn Fn() -> Result<Command, Error> + Send>;

/// What to run and how to end it.
pub struct Plan {
    pub store: StoreKind,
    pub data_dir: PathBuf,
    pub stop_signal: Signal,
    pub command: BuildCommand,
}

#[derive(Default)]
struct State {
    /// Set only while the process exists, unreaped: a signal can't hit a stranger.
    pid: Option<Pid>,
    restarts: u64,
    stopping: bool,
    ended: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A store's process under supervision; dropping it stops the process.
pub struct Supervised {
    store: StoreKind,
    stop_signal: Signal,
    log: PathBuf,
    shared: Arc<Shared>,
}

impl Supervised {
    pub fn start(plan: Plan) -> Result<Self, Error> {
        let log = plan.data_dir.join("logs").join(format!("{}.log", plan.store.name()));
        put_large_log_aside(&log);
        let shared = Arc::new(Shared::default());
        let supervised = Supervised {
            store: plan.store,
            stop_signal: plan.stop_signal,
            log: log.clone(),
            shared: Arc::clone(&shared),
        };
        std::thread::Builder::new()
            .name(format!("{}-watch", plan.store.name()))
            .spawn(move || watch(&plan, &log, &shared))
            .map_err(|source| Error::Run { program: "a watching thread".to_owned(), source })?;
        Ok(supervised)
    }

    pub fn store(&self) -> StoreKind {
        self.store
    }

    pub fn restarts(&self) -> u64 {
        self.shared.lock().restarts
    }

    pub fn pid(&self) -> Option<u32> {
        self.shared.lock().pid.map(|pid| pid.as_raw_nonzero().get().unsigned_abs())
    }

    pub fn log(&self) -> &Path {
        &self.log
    }

    pub fn log_tail(&self) -> String {
        let read = || {
            let mut file = File::open(&self.log)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            std::io::Result::Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        read().unwrap_or_else(|error| format!("(unreadable: {error})"))
    }

    pub fn ask_to_stop(&self) {
        let mut state = self.shared.lock();
        state.stopping = true;
        signal(&state, self.store, self.stop_signal);
        self.shared.changed.notify_all();
    }

    /// Blocks until the process is gone.
    pub fn wait_stopped(&self) {
        let deadline = Instant::now() + STOP_PATIENCE;
        let mut state = self.shared.lock();
        while !state.ended {
            let patience = deadline.saturating_duration_since(Instant::now());
            if patience.is_zero() {
                tracing::warn!(store = self.store.name(), "the store doesn't stop and is killed");
                signal(&state, self.store, Signal::KILL);
                state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            } else {
                state = self
                    .shared
                    .changed
                    .wait_timeout(state, patience)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
            }
        }
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.ask_to_stop();
        self.wait_stopped();
    }
}

fn signal(state: &State, store: StoreKind, signal: Signal) {
    if let Some(pid) = state.pid
        && let Err(error) = kill_process(pid, signal)
    {
        tracing::warn!(store = store.name(), %error, "cannot signal the store");
    }
}

fn watch(plan: &Plan, log: &Path, shared: &Shared) {
    let name = plan.store.name();
    let pid_file = plan.data_dir.join("run").join(format!("{name}.pid"));
    let mut backoff = FIRST_BACKOFF;
    loop {
        let started = Instant::now();
        match run_once(plan, log, &pid_file, shared) {
            Ok(Some(status)) => tracing::warn!(store = name, %status, "the store ended by itself"),
            Ok(None) => break,
            Err(error) => tracing::error!(store = name, %error, "the store can't be run"),
        }
        if started.elapsed() >= STEADY {
            backoff = FIRST_BACKOFF;
        }
        let mut state = shared.lock();
        if !state.stopping {
            state = shared.changed.wait_timeout(state, backoff).unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.stopping {
            break;
        }
        state.restarts += 1;
        drop(state);
        backoff = (backoff * 2).min(LONGEST_BACKOFF);
        tracing::info!(store = name, "restarting the store");
    }
    let _ = std::fs::remove_file(&pid_file);
    shared.lock().ended = true;
    shared.changed.notify_all();
}

/// Runs the process to its end; `None` when it ended because it was asked to.
fn run_once(
    plan: &Plan,
    log: &Path,
    pid_file: &Path,
    shared: &Shared,
) -> Result<Option<std::process::ExitStatus>, Error> {
    let output = OpenOptions::new().create(true).append(true).open(log).map_err(Error::file("open", log))?;
    let errors = output.try_clone().map_err(Error::file("open", log))?;
    let mut command = (plan.command)()?;
    command.stdin(Stdio::null()).stdout(output).stderr(errors);
    let program = command.get_program().to_string_lossy().into_owned();
    let run_error = |source| Error::Run { program: program.clone(), source };

    // The lock is held over the spawn: who asks to stop meanwhile signals the new process.
    let mut state = shared.lock();
    if state.stopping {
        return Ok(None);
    }
    let mut child = spawn::spawn(command).map_err(run_error)?;
    let pid = Pid::from_child(&child);
    state.pid = Some(pid);
    drop(state);
    tracing::info!(store = plan.store.name(), pid = child.id(), "the store runs");
    if let Err(error) = std::fs::write(pid_file, format!("{}\n", child.id())) {
        tracing::warn!(%error, path = %pid_file.display(), "cannot write the pid file");
    }
    // Waits without reaping, so that the pid stays ours until it is forgotten.
    while waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
        .is_err_and(|error| error == rustix::io::Errno::INTR)
    {}
    let mut state = shared.lock();
    state.pid = None;
    let stopping = state.stopping;
    drop(state);
    let status = child.wait().map_err(run_error)?;
    tracing::debug!(store = plan.store.name(), %status, "the store's process ended");
    Ok((!stopping).then_some(status))
}

fn put_large_log_aside(log: &Path) {
    let large = std::fs::metadata(log).is_ok_and(|metadata| metadata.len() > LOG_BYTES);
    if large && let Err(error) = std::fs::rename(log, log.with_extension("log.old")) {
        tracing::warn!(%error, path = %log.display(), "cannot put the large log aside");
    }
}
