//! Programs under measurement, and the CPU time that the kernel counted for them.

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::error::BenchError;

/// A service stores what it accepted before it ends.
const END_PATIENCE: Duration = Duration::from_secs(60);

/// A program that says `listening on http://…` when it takes requests.
pub struct Program {
    child: Child,
    pub pid: u32,
    pub address: SocketAddr,
}

impl Program {
    /// Standard error goes to `log`, which is emptied.
    pub async fn start(program: &Path, arguments: &[&str], log: &Path) -> Result<Self, BenchError> {
        File::create(log).map_err(|source| BenchError::File { path: log.to_owned(), source })?;
        let mut command = Command::new(program);
        command.args(arguments);
        Self::run(command, log).await
    }

    /// As [`start`](Self::start), with a command that may have an environment of its own; adds to `log`.
    pub async fn run(mut command: Command, log: &Path) -> Result<Self, BenchError> {
        let program = Path::new(command.as_std().get_program()).to_owned();
        let run_error = |source| BenchError::Run { program: program.clone(), source };
        let log_file = File::options()
            .create(true)
            .append(true)
            .open(log)
            .map_err(|source| BenchError::File { path: log.to_owned(), source })?;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log_file)
            .kill_on_drop(true)
            .spawn()
            .map_err(run_error)?;
        let not_listening = || BenchError::NotListening { program: program.clone(), log: log.to_owned() };
        let output = child.stdout.take().ok_or_else(not_listening)?;
        let mut lines = BufReader::new(output).lines();
        let address = loop {
            let line = lines.next_line().await.map_err(run_error)?.ok_or_else(not_listening)?;
            if let Some(address) = line.strip_prefix("listening on http://") {
                break address.trim_end_matches('/').parse().map_err(|_| not_listening())?;
            }
        };
        let pid = child.id().ok_or_else(not_listening)?;
        Ok(Self { child, pid, address })
    }

    /// Asks it to end, and waits.
    pub async fn stop(mut self) {
        self.signal(Signal::TERM);
        if self.ended_within(END_PATIENCE).await.is_none() {
            eprintln!("process {} does not end and is killed", self.pid);
        }
    }

    pub fn signal(&self, signal: Signal) {
        // `None` once it was waited for: the number may be a stranger's by then.
        if let Some(pid) = self.child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())) {
            // It may have ended by itself.
            let _ = kill_process(pid, signal);
        }
    }

    /// How it ended; `None` while it runs on.
    pub async fn ended_within(&mut self, patience: Duration) -> Option<ExitStatus> {
        tokio::time::timeout(patience, self.child.wait()).await.ok()?.ok()
    }
}

/// Lets this process and those that it starts from now on open as many files as the system allows.
///
/// # Errors
/// When the system does not let it.
pub fn raise_file_limit() -> Result<(), BenchError> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    setrlimit(Resource::Nofile, raised).map_err(|error| BenchError::FileLimit(error.into()))
}

/// What `/proc/PID/stat` says that matters here.
struct ProcessState {
    name: String,
    parent: u32,
    /// User and system time of the process itself, without the children it waited for.
    cpu_seconds: f64,
}

fn read_state(pid: u32) -> Result<ProcessState, BenchError> {
    let failed = |reason: String| BenchError::Process { pid, reason };
    let text =
        std::fs::read_to_string(format!("/proc/{pid}/stat")).map_err(|error| failed(error.to_string()))?;
    // The name stands in brackets and may hold brackets and spaces itself.
    let bounds = text.find('(').zip(text.rfind(')'));
    let (open, close) = bounds.ok_or_else(|| failed("no name".to_owned()))?;
    let fields: Vec<&str> = text[close + 1..].split_whitespace().collect();
    let number = |place: usize| -> Result<u64, BenchError> {
        fields
            .get(place)
            .and_then(|field| field.parse().ok())
            .ok_or_else(|| failed(format!("no field {place}")))
    };
    // proc(5) counts from the pid; the fields here begin with the third, the state.
    let (parent, user_ticks, system_ticks) = (number(1)?, number(11)?, number(12)?);
    Ok(ProcessState {
        name: text[open + 1..close].to_owned(),
        parent: u32::try_from(parent).map_err(|error| failed(error.to_string()))?,
        cpu_seconds: (user_ticks + system_ticks) as f64 / rustix::param::clock_ticks_per_second() as f64,
    })
}

/// CPU seconds (user and system) that the process has used, its children excluded. The kernel counts in steps of
/// 10 ms.
pub fn cpu_seconds(pid: u32) -> Result<f64, BenchError> {
    read_state(pid).map(|state| state.cpu_seconds)
}

/// Bytes of memory that the process holds, as the kernel counts them (RSS).
pub fn resident_bytes(pid: u32) -> Result<u64, BenchError> {
    let failed = |reason: String| BenchError::Process { pid, reason };
    let text =
        std::fs::read_to_string(format!("/proc/{pid}/statm")).map_err(|error| failed(error.to_string()))?;
    let pages: Option<u64> = text.split_whitespace().nth(1).and_then(|pages| pages.parse().ok());
    let pages = pages.ok_or_else(|| failed("no resident pages".to_owned()))?;
    Ok(pages * rustix::param::page_size() as u64)
}

/// The children of `ancestor`, theirs and so on, whose name begins with `prefix`.
pub fn descendants_named(ancestor: u32, prefix: &str) -> Result<Vec<u32>, BenchError> {
    let listing =
        std::fs::read_dir("/proc").map_err(|source| BenchError::File { path: "/proc".into(), source })?;
    let states: Vec<(u32, ProcessState)> = listing
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        // A process may end while the list is read.
        .filter_map(|pid| Some((pid, read_state(pid).ok()?)))
        .collect();
    let mut family = vec![ancestor];
    let mut next = 0;
    while let Some(&parent) = family.get(next) {
        family.extend(states.iter().filter(|(_, state)| state.parent == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    Ok(states
        .into_iter()
        .filter(|(pid, state)| *pid != ancestor && family.contains(pid) && state.name.starts_with(prefix))
        .map(|(pid, _)| pid)
        .collect())
}
