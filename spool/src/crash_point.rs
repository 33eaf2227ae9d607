//! Places at which a process can be made to kill itself, once, so that the fault harness (`bench/faults`) can prove
//! what the next process does then.
//!
//! Nothing happens unless the environment holds `MOHAA_CRASH_POINT=<name>:<passage>:<marker>`: the process sends itself
//! SIGKILL when it comes by the point of that [name](CrashPoint::name) for the `passage`-th time (from 1) *and* can
//! remove the file `marker`. The marker makes it happen once and not by accident: a variable that strays into
//! production names a file that isn't there, and a process that a supervisor starts again finds the marker gone. A
//! process that finds the variable says so on standard error, whether or not it understands it.
//!
//! The shipped program is the one that is tested; a point that isn't armed costs the load of one pointer. These live
//! here because the spool is the lowest of the crates on the way of an event.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

pub const VARIABLE: &str = "MOHAA_CRASH_POINT";

/// A moment on the way of an event, in the order in which an event meets them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashPoint {
    /// Records are about to be written to the log.
    BeforeAppend,
    AfterAppend,
    /// The sender is about to be told that its events are safe.
    BeforeAnswer,
    /// The answer is with the HTTP worker.
    AfterAnswer,
    /// A batch's boundary is about to be written to the log.
    BeforeSeal,
    AfterSeal,
    /// Rows are about to be sent to the store.
    BeforeSend,
    /// The store has said that it has them.
    AfterSend,
    /// The Batcher is about to tell the spool that a range is stored.
    BeforeAcknowledge,
    AfterAcknowledge,
    /// The range is about to be written to the checkpoint.
    BeforeCheckpoint,
    AfterCheckpoint,
    /// A segment is about to be removed.
    BeforeDelete,
    /// It is removed, and the directory not synced yet.
    AfterDelete,
}

impl CrashPoint {
    pub const ALL: [CrashPoint; 14] = [
        CrashPoint::BeforeAppend,
        CrashPoint::AfterAppend,
        CrashPoint::BeforeAnswer,
        CrashPoint::AfterAnswer,
        CrashPoint::BeforeSeal,
        CrashPoint::AfterSeal,
        CrashPoint::BeforeSend,
        CrashPoint::AfterSend,
        CrashPoint::BeforeAcknowledge,
        CrashPoint::AfterAcknowledge,
        CrashPoint::BeforeCheckpoint,
        CrashPoint::AfterCheckpoint,
        CrashPoint::BeforeDelete,
        CrashPoint::AfterDelete,
    ];

    /// As the variable writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            CrashPoint::BeforeAppend => "before-append",
            CrashPoint::AfterAppend => "after-append",
            CrashPoint::BeforeAnswer => "before-answer",
            CrashPoint::AfterAnswer => "after-answer",
            CrashPoint::BeforeSeal => "before-seal",
            CrashPoint::AfterSeal => "after-seal",
            CrashPoint::BeforeSend => "before-send",
            CrashPoint::AfterSend => "after-send",
            CrashPoint::BeforeAcknowledge => "before-acknowledge",
            CrashPoint::AfterAcknowledge => "after-acknowledge",
            CrashPoint::BeforeCheckpoint => "before-checkpoint",
            CrashPoint::AfterCheckpoint => "after-checkpoint",
            CrashPoint::BeforeDelete => "before-delete",
            CrashPoint::AfterDelete => "after-delete",
        }
    }
}

struct Armed {
    point: CrashPoint,
    passage: u64,
    marker: PathBuf,
    passages: AtomicU64,
}

static ARMED: LazyLock<Option<Armed>> = LazyLock::new(|| {
    let value = std::env::var(VARIABLE).ok()?;
    let armed = parse(&value);
    match &armed {
        Some(Armed { point, passage, .. }) => {
            eprintln!("{VARIABLE} is set: this process kills itself {}, passage {passage}", point.name());
        }
        None => eprintln!("{VARIABLE}={value} is not understood and does nothing"),
    }
    armed
});

fn parse(value: &str) -> Option<Armed> {
    let mut parts = value.splitn(3, ':');
    let (name, passage, marker) = (parts.next()?, parts.next()?, parts.next()?);
    let point = CrashPoint::ALL.into_iter().find(|point| point.name() == name)?;
    let passage = passage.parse().ok().filter(|passage| *passage > 0)?;
    Some(Armed { point, passage, marker: marker.into(), passages: AtomicU64::new(0) })
}

/// The caller has come by `point`. Returns, unless the process is made to end here.
#[inline]
pub fn reach(point: CrashPoint) {
    if let Some(armed) = ARMED.as_ref() {
        armed.reach(point);
    }
}

impl Armed {
    fn reach(&self, point: CrashPoint) {
        if point != self.point || self.passages.fetch_add(1, Ordering::SeqCst) + 1 != self.passage {
            return;
        }
        if let Err(error) = std::fs::remove_file(&self.marker) {
            eprintln!("{VARIABLE}: the marker {} can't be removed: {error}", self.marker.display());
            return;
        }
        // SIGKILL and not an abort: no handler, no core, what the out-of-memory killer does.
        if let Err(error) =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)
        {
            eprintln!("{VARIABLE}: this process can't kill itself: {error}");
            return;
        }
        loop {
            std::thread::park();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CrashPoint, parse};

    #[test]
    fn a_point_is_armed_by_its_name_a_passage_and_a_marker() {
        for point in CrashPoint::ALL {
            let armed = parse(&format!("{}:3:/tmp/a:b", point.name()))
                .map(|armed| (armed.point, armed.passage, armed.marker.to_string_lossy().into_owned()));
            assert_eq!(armed, Some((point, 3, "/tmp/a:b".to_owned())));
        }
    }

    #[test]
    fn whatever_else_the_variable_holds_arms_nothing() {
        for value in
            ["", "1", "before-append", "before-append:1", "before-append:0:/tmp/a", "append:1:/tmp/a"]
        {
            assert!(parse(value).is_none(), "{value}");
        }
    }
}
