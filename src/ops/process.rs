//! What this process uses of the machine, under the names that Prometheus' own clients give it.

use prometheus::{Counter, IntGauge, Registry};

/// In which the kernel tells processor time to programs, a second; fixed on Linux whatever it counts in itself.
const TICKS_A_SECOND: f64 = 100.0;

/// Gauges that are read off `/proc` when somebody asks; where there is none, they stay 0.
pub(super) struct ProcessMetrics {
    resident_bytes: IntGauge,
    open_files: IntGauge,
    most_open_files: IntGauge,
    threads: IntGauge,
    cpu_seconds: Counter,
}

impl ProcessMetrics {
    /// # Errors
    /// When `registry` already holds metrics of these names.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| -> Result<IntGauge, prometheus::Error> {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let cpu_seconds = Counter::new(
            "process_cpu_seconds_total",
            "Processor time of this process, in user and kernel mode.",
        )?;
        registry.register(Box::new(cpu_seconds.clone()))?;
        Ok(Self {
            resident_bytes: gauge("process_resident_memory_bytes", "Memory of this process that is in RAM.")?,
            open_files: gauge("process_open_fds", "File descriptors that are open.")?,
            most_open_files: gauge("process_max_fds", "File descriptors that may be open.")?,
            threads: gauge("process_threads", "Threads of this process.")?,
            cpu_seconds,
        })
    }

    /// Reads them anew. A value that can't be read stays as it was.
    pub fn read(&self) {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        if let Some(kibibytes) = first_number(&status, "VmRSS:") {
            self.resident_bytes.set(kibibytes.saturating_mul(1024));
        }
        if let Some(threads) = first_number(&status, "Threads:") {
            self.threads.set(threads);
        }
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
        if let Some(most) = first_number(&limits, "Max open files") {
            self.most_open_files.set(most);
        }
        if let Ok(entries) = std::fs::read_dir("/proc/self/fd") {
            // One of them is this folder itself.
            let open = entries.count().saturating_sub(1);
            self.open_files.set(i64::try_from(open).unwrap_or(i64::MAX));
        }
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        if let Some(ticks) = cpu_ticks(&stat) {
            // Two may read at once; the counter never goes back.
            self.cpu_seconds.inc_by((ticks as f64 / TICKS_A_SECOND - self.cpu_seconds.get()).max(0.0));
        }
    }
}

/// Of the file descriptors that may be open, those that are; 0 where nobody can say.
pub(super) fn share_of_open_files() -> f64 {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    match first_number(&limits, "Max open files") {
        Some(most @ 1..) => open as f64 / most as f64,
        _ => 0.0,
    }
}

/// The first number of the line that begins so.
fn first_number(text: &str, beginning: &str) -> Option<i64> {
    let line = text.lines().find_map(|line| line.strip_prefix(beginning))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Ticks in user and kernel mode of a process, off its `stat`: the 14th and 15th field. The 2nd, its name in
/// parentheses, may hold blanks.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let behind_name = stat.rsplit_once(')')?.1;
    let mut fields = behind_name.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let kernel: u64 = fields.next()?.parse().ok()?;
    Some(user + kernel)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn processor_time_is_read_behind_a_name_with_blanks_and_parentheses() {
        let stat = "17 (a) b) S 1 17 17 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 9 0 1 2 3";
        assert_eq!(cpu_ticks(stat), Some(300));
        assert_eq!(cpu_ticks(""), None);
        assert_eq!(cpu_ticks("17 (a) S 1"), None);
    }

    #[test]
    fn a_process_has_memory_threads_and_files() {
        let metrics = ProcessMetrics::new(&Registry::new()).unwrap();
        metrics.read();
        assert!(metrics.resident_bytes.get() > 1 << 20);
        assert!(metrics.threads.get() >= 1);
        assert!((1..=metrics.most_open_files.get()).contains(&metrics.open_files.get()));
    }
}
