//! Starting child processes so that they end with this one.
//!
//! The kernel's parent-death signal belongs to the *thread* that spawned the child: one thread, which
//! lives as long as the process, spawns them all. `setpriv` sets the signal after its change of user,
//! which would clear it. Each child is its own process group: Ctrl-C in a terminal goes to the whole
//! foreground group, and would end the stores before the service has used them for its last flush.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};
use std::sync::{OnceLock, mpsc};

use rustix::process::Signal;

use crate::found;

type Request = (Command, mpsc::Sender<io::Result<Child>>);

static SPAWNER: OnceLock<mpsc::Sender<Request>> = OnceLock::new();

/// A user to run as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
}

/// A command that ends with `signal` when this process dies, as `user` if one is given.
pub fn command(
    program: &std::path::Path,
    signal: Signal,
    user: Option<User>,
) -> Result<Command, crate::Error> {
    let Some(setpriv) = found::on_path("setpriv") else {
        return Err(crate::Error::NotInstalled { program: "setpriv (util-linux)" });
    };
    let name = if signal == Signal::INT { "INT" } else { "TERM" };
    let mut command = Command::new(setpriv);
    command.arg("--pdeathsig").arg(name);
    if let Some(user) = user {
        command
            .arg(format!("--reuid={}", user.uid))
            .arg(format!("--regid={}", user.gid))
            .arg("--clear-groups");
    }
    command.arg(program);
    command.process_group(0);
    Ok(command)
}

/// Spawns on the thread that lives as long as the process.
pub fn spawn(command: Command) -> io::Result<Child> {
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, requests) = mpsc::channel::<Request>();
        let loop_over_requests = move || {
            for (mut command, answer) in requests {
                // The asker waits for this answer.
                let _ = answer.send(command.spawn());
            }
        };
        if let Err(error) =
            std::thread::Builder::new().name("store-spawner".to_owned()).spawn(loop_over_requests)
        {
            tracing::error!(%error, "cannot start the thread that spawns the stores");
        }
        sender
    });
    let gone = || io::Error::other("the thread that spawns the stores is gone");
    let (answer, result) = mpsc::channel();
    spawner.send((command, answer)).map_err(|_| gone())?;
    result.recv().map_err(|_| gone())?
}
