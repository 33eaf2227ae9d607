//! Processes of an earlier run on the same data directory.
//!
//! When a service is killed, the kernel tells its stores to end, which takes them moments to seconds.
//! A new start finds them by their pid files (and, as the file may be missing after a kill at the
//! wrong moment, by their command lines), lets them end, and kills only what doesn't. The lock on the
//! directory is already ours here, so nobody alive wants them.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::{Error, postgres_store};

/// Longer than the gateway's own patience with running statements.
const PATIENCE: Duration = Duration::from_secs(30);
const AFTER_KILL: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);

/// The programs that stores run as; anything else that mentions the directory is not ours to end.
const PROGRAMS: [&str; 7] = [
    "postgres",
    "redis-server",
    "valkey-server",
    "clickhouse-engine",
    "clickhouse",
    "clickhouse-server",
    "setpriv",
];

pub async fn end_all(data_dir: &Path) -> Result<(), Error> {
    let mut places = vec![data_dir.to_owned()];
    places.extend(postgres_store::location_elsewhere(data_dir));
    let found = processes_using(&places);
    for pid in &found {
        tracing::info!(pid, "waiting for a store of an earlier run to end");
        send(*pid, Signal::INT);
        // One that was stopped could not even hear that.
        send(*pid, Signal::CONT);
    }
    let deadline = Instant::now() + PATIENCE;
    for pid in found {
        while uses(pid, &places) && Instant::now() < deadline {
            tokio::time::sleep(POLL).await;
        }
        if !uses(pid, &places) {
            continue;
        }
        tracing::warn!(pid, "a store of an earlier run doesn't end and is killed");
        send(pid, Signal::KILL);
        let killed = Instant::now();
        while uses(pid, &places) {
            if killed.elapsed() > AFTER_KILL {
                return Err(Error::Predecessor { pid, path: data_dir.to_owned() });
            }
            tokio::time::sleep(POLL).await;
        }
    }
    Ok(())
}

fn processes_using(places: &[std::path::PathBuf]) -> Vec<u32> {
    let named = ["postgres", "redis", "clickhouse"].into_iter().filter_map(|store| {
        let path = places[0].join("run").join(format!("{store}.pid"));
        std::fs::read_to_string(path).ok()?.trim().parse().ok()
    });
    let listed = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let mut pids: Vec<u32> = named.chain(listed).filter(|pid| uses(*pid, places)).collect();
    pids.sort_unstable();
    pids.dedup();
    pids
}

/// A pid may have passed to a stranger: only a store's program with an argument in one of the
/// directories is ours, or one that works there (PostgreSQL's sessions rename themselves to `postgres: …`, and one
/// of them that is left keeps a new server from starting). A process that ended but isn't reaped has an empty command
/// line.
fn uses(pid: u32, places: &[std::path::PathBuf]) -> bool {
    let Ok(command_line) = std::fs::read(format!("/proc/{pid}/cmdline")) else {
        return false;
    };
    let mut arguments = command_line.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let Some(program) = arguments.next() else {
        return false;
    };
    let program = program.split_once(':').map_or(program.as_ref(), |(name, _)| name);
    let is_store =
        Path::new(program).file_name().is_some_and(|name| PROGRAMS.iter().any(|program| name == *program));
    let is_ours = |path: &Path| places.iter().any(|place| path.starts_with(place));
    is_store
        && (arguments.any(|argument| {
            let value = argument.split_once('=').map_or(argument.as_ref(), |(_, value)| value);
            is_ours(Path::new(value))
        }) || std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|folder| is_ours(&folder)))
}

fn send(pid: u32, signal: Signal) {
    let raw = i32::try_from(pid).ok().and_then(Pid::from_raw);
    // It may have ended by itself since it was found.
    if let Some(pid) = raw {
        let _ = kill_process(pid, signal);
    }
}
