//! Which writers an operator has paused.
//!
//! A paused writer ends the batch that it has and gets no other: what is accepted meanwhile waits in the spool. Nothing of it
//! outlives the process: after a start every writer writes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A switch for each writer of a pool. Clones are one.
#[derive(Clone, Debug)]
pub struct WriterSwitches {
    is_paused: Arc<[AtomicBool]>,
}

impl WriterSwitches {
    pub fn new(writers: usize) -> Self {
        Self { is_paused: (0..writers).map(|_| AtomicBool::new(false)).collect() }
    }

    /// How many writers there are.
    pub fn count(&self) -> usize {
        self.is_paused.len()
    }

    /// Whether a writer is paused; one that there is not is not.
    pub fn is_paused(&self, writer: usize) -> bool {
        self.is_paused.get(writer).is_some_and(|paused| paused.load(Ordering::Acquire))
    }

    pub fn paused(&self) -> usize {
        (0..self.count()).filter(|writer| self.is_paused(*writer)).count()
    }

    /// Whether nobody writes: there is none who may.
    pub fn are_all_paused(&self) -> bool {
        self.count() > 0 && self.paused() == self.count()
    }

    pub(crate) fn set(&self, writer: usize, is_paused: bool) {
        if let Some(paused) = self.is_paused.get(writer) {
            paused.store(is_paused, Ordering::Release);
        }
    }
}
