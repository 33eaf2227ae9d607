//! Which statements run, under the `query_id` of the client: what `KILL QUERY` works on.
//!
//! An insert is an attempt from the moment its head was read, so that a kill also covers a body that
//! is still on its way: it is then never handed to the engine.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::exception::{Code, Exception};
use crate::sql;

pub struct Attempt {
    number: u64,
    pub query_id: String,
    cancelled: AtomicBool,
    /// Its request is complete and the engine has it, or will have.
    handed_over: AtomicBool,
    /// Tells the waiting kills that it ended.
    finished: watch::Sender<()>,
}

impl Attempt {
    /// The comment that identifies this attempt inside the engine.
    pub fn marker(&self) -> String {
        sql::attempt_marker(self.number, &self.query_id)
    }

    pub fn hand_over(&self) {
        self.handed_over.store(true, Ordering::SeqCst);
    }

    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    pub fn refuse_if_cancelled(&self) -> Result<(), Exception> {
        if self.is_cancelled() {
            return Err(Exception::new(Code::QueryWasCancelled, "Query was cancelled"));
        }
        Ok(())
    }
}

#[derive(Default)]
pub struct Attempts {
    next: AtomicU64,
    running: Mutex<HashMap<u64, Arc<Attempt>>>,
}

/// Registers an attempt for as long as it lives.
pub struct Registered {
    attempts: Arc<Attempts>,
    pub attempt: Arc<Attempt>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.attempts.lock().remove(&self.attempt.number);
        self.attempt.finished.send_replace(());
    }
}

/// One attempt that a kill waits for.
pub struct Victim {
    pub query_id: String,
    pub marker: String,
    pub finished: watch::Receiver<()>,
}

impl Attempts {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<Attempt>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A second attempt under an id that still runs is refused, as by a server: the client could
    /// not tell the two apart afterwards.
    pub fn register(self: &Arc<Self>, query_id: String) -> Result<Registered, Exception> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut running = self.lock();
        if running.values().any(|attempt| attempt.query_id == query_id) {
            return Err(Exception::new(
                Code::QueryWithSameIdIsAlreadyRunning,
                format!("Query with id = {query_id} is already running"),
            ));
        }
        let attempt = Arc::new(Attempt {
            number,
            query_id,
            cancelled: AtomicBool::new(false),
            handed_over: AtomicBool::new(false),
            finished: watch::Sender::new(()),
        });
        running.insert(number, Arc::clone(&attempt));
        Ok(Registered { attempts: Arc::clone(self), attempt })
    }

    /// The attempts of these ids; with `cancel` none of them starts from here on.
    pub fn victims(&self, query_ids: &sql::QueryIds, cancel: bool) -> Vec<Victim> {
        self.lock()
            .values()
            .filter(|attempt| query_ids.include(&attempt.query_id))
            .map(|attempt| {
                attempt.cancelled.fetch_or(cancel, Ordering::SeqCst);
                Victim {
                    query_id: attempt.query_id.clone(),
                    marker: attempt.marker(),
                    finished: attempt.finished.subscribe(),
                }
            })
            .collect()
    }

    /// No statement is with the engine; requests may still be on their way.
    pub fn none_handed_over(&self) -> bool {
        !self.lock().values().any(|attempt| attempt.handed_over.load(Ordering::SeqCst))
    }
}
