//! Figures for metrics and readiness, from any thread, without waiting for the writer.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::shared::{Shared, unix_ms};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolStats {
    /// Of segments; the checkpoint and the identity file are a few kilobytes more.
    pub bytes_on_disk: u64,
    pub bytes_queued: u64,
    /// What both may be together before admission is refused.
    pub max_bytes: u64,
    pub queued_appends: u64,
    pub segments: u64,
    /// Of the oldest record on disk, stored or not.
    pub oldest_record_age: Option<Duration>,
    pub last_sync: Duration,
    /// Whether admission is refused now.
    pub full: bool,
    /// Refused because the disk is almost full, whoever filled it.
    pub disk_is_low: bool,
    pub failed_writes: u64,
    pub failed_rotations: u64,
    pub failed_checkpoints: u64,
    pub failed_deletions: u64,
    /// `done` closures that panicked; the spool goes on.
    pub panicked_completions: u64,
}

impl SpoolStats {
    pub(crate) fn of(shared: &Shared) -> Self {
        let gauges = &shared.gauges;
        let oldest_record_ms = gauges.oldest_record_ms.load(Ordering::Relaxed);
        let oldest_record_age = (oldest_record_ms != 0)
            .then(|| Duration::from_millis(unix_ms().saturating_sub(oldest_record_ms)));
        Self {
            bytes_on_disk: shared.budget.on_disk(),
            bytes_queued: shared.budget.queued(),
            max_bytes: shared.budget.max_bytes(),
            queued_appends: gauges.queued_appends.load(Ordering::Relaxed),
            segments: gauges.segments.load(Ordering::Relaxed),
            oldest_record_age,
            last_sync: Duration::from_micros(gauges.last_sync_micros.load(Ordering::Relaxed)),
            full: shared.budget.is_full(),
            disk_is_low: shared.budget.disk_is_low(),
            failed_writes: gauges.failed_writes.load(Ordering::Relaxed),
            failed_rotations: gauges.failed_rotations.load(Ordering::Relaxed),
            failed_checkpoints: gauges.failed_checkpoints.load(Ordering::Relaxed),
            failed_deletions: gauges.failed_deletions.load(Ordering::Relaxed),
            panicked_completions: gauges.panicked_completions.load(Ordering::Relaxed),
        }
    }
}
