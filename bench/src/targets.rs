//! What the service is to reach, and what came of it: each part of a measurement notes its figures as it ends, and one table
//! puts them beside the aims.

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::error::BenchError;
use crate::run::load_average;

/// What an aim is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    AcceptArrays,
    AcceptSingles,
    AcceptSinglesTime,
    DecodeArrays,
    DecodeForms,
    Store,
    AsyncInserts,
    SustainedRate,
    SustainedTime,
    SustainedLag,
    SustainedMemory,
    FoldAndPublish,
    Viewers,
    CachedPages,
    IdleMemory,
    MatchMemory,
    ViewerMemory,
    StartWithStores,
    StartEmbedded,
    Reports,
    BinarySize,
    BuildTouched,
    BuildClean,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

/// An aim in words.
#[derive(Clone, Copy, Debug)]
struct Aim {
    work: &'static str,
    /// Stands before the bound: what the figure is of.
    measure: &'static str,
    bound: Bound,
    /// Stands behind figures.
    unit: &'static str,
    yardstick: &'static str,
}

impl Target {
    fn aim(self) -> Aim {
        use Bound::{AtLeast, AtMost};
        let (work, measure, bound, unit, yardstick) = match self {
            Self::AcceptArrays => (
                "accept, arrays of 20 events, SPOOL_FSYNC=interval",
                "CPU a request",
                AtMost(1.4),
                "×",
                "actix-web handler, serde_json into the same structs",
            ),
            Self::AcceptSingles => (
                "accept, one event a POST, SPOOL_FSYNC=always",
                "CPU a request",
                AtMost(1.8),
                "×",
                "the same handler",
            ),
            Self::AcceptSinglesTime => {
                ("accept, one event a POST, SPOOL_FSYNC=always", "p99", AtMost(10.0), "ms", "–")
            }
            Self::DecodeArrays => {
                ("decode, arrays (G3)", "speed", AtLeast(1.3), "×", "serde_json into the same structs")
            }
            Self::DecodeForms => {
                ("decode, forms (G2)", "speed", AtLeast(1.5), "×", "form_urlencoded into the same structs")
            }
            Self::Store => (
                "accepted to stored",
                "CPU of service and engine an event",
                AtMost(2.0),
                "×",
                "bare RowBinary inserts of the same rows, batch size and views",
            ),
            Self::AsyncInserts => (
                "64 clients, 20 events a request, until stored",
                "events/s",
                AtLeast(3.0),
                "×",
                "JSONEachRow, async_insert=1, wait_for_async_insert=1, same engine, table and views",
            ),
            Self::SustainedRate => {
                ("sustained, everything on", "accepted", AtLeast(100_000.0), "events/s", "–")
            }
            Self::SustainedTime => ("sustained, everything on", "for", AtLeast(600.0), "s", "–"),
            Self::SustainedLag => ("sustained, everything on", "oldest not stored", AtMost(5.0), "s", "–"),
            Self::SustainedMemory => {
                ("sustained, everything on", "resident, second half by first", AtMost(1.1), "×", "–")
            }
            Self::FoldAndPublish => {
                ("live: fold and publish", "on one core", AtLeast(1_000_000.0), "events/s", "–")
            }
            Self::Viewers => ("live: viewers", "served without a gap", AtLeast(5_000.0), "viewers", "–"),
            Self::CachedPages => (
                "cached pages and JSON",
                "answered",
                AtLeast(3_000.0),
                "requests/s",
                "actix-web, static answer of the same size",
            ),
            Self::IdleMemory => ("memory, idle, without the stores", "resident", AtMost(60.0), "MB", "–"),
            Self::MatchMemory => ("memory, a live match", "resident", AtMost(64.0), "kB", "–"),
            Self::ViewerMemory => ("memory, a viewer", "resident", AtMost(16.0), "kB", "–"),
            Self::StartWithStores => ("start to ready, stores up", "time", AtMost(1.0), "s", "–"),
            Self::StartEmbedded => ("start to ready, embedded stores", "time", AtMost(5.0), "s", "–"),
            Self::Reports => {
                ("200 reports/s over 20 tournaments, written durably", "p99", AtMost(25.0), "ms", "–")
            }
            Self::BinarySize => ("binary, stripped", "size", AtMost(30.0), "MB", "–"),
            Self::BuildTouched => {
                ("build, one file of domain touched, debug", "time", AtMost(30.0), "s", "–")
            }
            Self::BuildClean => ("build, clean, debug", "time", AtMost(720.0), "s", "–"),
        };
        Aim { work, measure, bound, unit, yardstick }
    }

    /// Whether the figure is what was aimed at; no figure that is no number is.
    pub fn is_met(self, figure: f64) -> bool {
        match self.aim().bound {
            Bound::AtMost(most) => figure <= most,
            Bound::AtLeast(least) => figure >= least,
        }
    }
}

/// What came of a target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    pub target: Target,
    /// In the target's unit; none where it could not be had.
    pub figure: Option<f64>,
    /// Of what the figure is made, for people.
    pub detail: String,
}

impl Measured {
    pub fn new(target: Target, figure: f64, detail: impl Into<String>) -> Self {
        Self { target, figure: figure.is_finite().then_some(figure), detail: detail.into() }
    }
}

/// Adds what was measured to the file, a line of JSON each.
///
/// # Errors
/// When the file can't be written.
pub fn note(path: &Path, measured: &[Measured]) -> Result<(), BenchError> {
    let file_error = |source| BenchError::File { path: path.to_owned(), source };
    let mut lines = String::new();
    for one in measured {
        lines.push_str(&serde_json::to_string(one)?);
        lines.push('\n');
    }
    let mut file = File::options().create(true).append(true).open(path).map_err(file_error)?;
    file.write_all(lines.as_bytes()).map_err(file_error)
}

/// Every target with its figure, where there is one, as a table of Markdown.
pub struct Table {
    measured: Vec<Measured>,
    /// What was measured, as its version control names it.
    commit: String,
    machine: Machine,
    /// Of the machine's last minute before anything was measured, and now.
    load_before: Option<f64>,
    load_now: Option<f64>,
}

impl Table {
    /// Reads what was noted. Of a target that was noted twice the later figure counts.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn of_notes(path: &Path, commit: String, load_before: Option<f64>) -> Result<Self, BenchError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| BenchError::File { path: path.to_owned(), source })?;
        let measured: Result<Vec<Measured>, _> = text.lines().map(serde_json::from_str).collect();
        Ok(Self {
            measured: measured?,
            commit,
            machine: Machine::this(),
            load_before,
            load_now: load_average(),
        })
    }
}

/// On what was measured.
struct Machine {
    cores: usize,
    processor: Option<String>,
    memory_bytes: Option<u64>,
    kernel: Option<String>,
}

impl Machine {
    fn this() -> Self {
        let of = |path: &str, name: &str| -> Option<String> {
            let text = std::fs::read_to_string(path).ok()?;
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_prefix(':'))?;
            Some(value.trim().to_owned())
        };
        let kib = |text: String| text.trim_end_matches("kB").trim().parse::<u64>().ok();
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").ok();
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            processor: of("/proc/cpuinfo", "model name"),
            memory_bytes: of("/proc/meminfo", "MemTotal").and_then(kib).map(|kib| kib * 1024),
            kernel: kernel.map(|kernel| kernel.trim().to_owned()),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} cores", self.cores)?;
        if let Some(processor) = &self.processor {
            write!(out, " of {processor}")?;
        }
        if let Some(bytes) = self.memory_bytes {
            write!(out, ", {:.1} GB", bytes as f64 / 1e9)?;
        }
        match &self.kernel {
            Some(kernel) => write!(out, ", Linux {kernel}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Commit {}, {}", self.commit, self.machine)?;
        for (load, when) in [(self.load_before, "before"), (self.load_now, "at the end")] {
            if let Some(load) = load {
                write!(out, ", load average {load:.1} {when}")?;
            }
        }
        writeln!(out, "\n\n| work | aim | figure | met | yardstick | detail |")?;
        writeln!(out, "|---|---|---|---|---|---|")?;
        for &target in Target::value_variants() {
            let Aim { work, measure, bound, unit, yardstick } = target.aim();
            let aim = match bound {
                Bound::AtMost(most) => format!("{measure} ≤ {}", plain(most)),
                Bound::AtLeast(least) => format!("{measure} ≥ {}", plain(least)),
            };
            let measured = self.measured.iter().rfind(|measured| measured.target == target);
            let (figure, met) = match measured.map(|measured| measured.figure) {
                None => ("not measured".to_owned(), "–"),
                Some(None) => ("none".to_owned(), "no"),
                Some(Some(figure)) => (
                    format!("{} {unit}", shown(figure)),
                    if target.is_met(figure) { "yes" } else { "**no**" },
                ),
            };
            let detail = measured.map_or("", |measured| measured.detail.as_str());
            writeln!(out, "| {work} | {aim} {unit} | {figure} | {met} | {yardstick} | {detail} |")?;
        }
        Ok(())
    }
}

/// A bound as it was set: no zeros behind.
fn plain(bound: f64) -> String {
    if bound >= 1_000.0 { grouped(bound) } else { bound.to_string() }
}

/// A figure with three digits that count.
pub(crate) fn shown(figure: f64) -> String {
    match figure.abs() {
        1_000.0.. => grouped(figure),
        100.0.. => format!("{figure:.0}"),
        10.0.. => format!("{figure:.1}"),
        _ => format!("{figure:.2}"),
    }
}

/// `1,234,567`
fn grouped(figure: f64) -> String {
    let digits = format!("{:.0}", figure.abs());
    let mut text = String::from(if figure < 0.0 { "-" } else { "" });
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        // Writing to a string can't fail.
        let _ = text.write_char(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_the_digits_that_count() {
        assert_eq!(
            [1.404, 14.04, 140.4, 1_404.4, 1_234_567.8].map(shown),
            ["1.40", "14.0", "140", "1,404", "1,234,568"]
        );
        assert_eq!([1.4, 60.0, 100_000.0].map(plain), ["1.4", "60", "100,000"]);
    }

    #[test]
    fn a_bound_is_met_on_its_side_of_it() {
        assert!(Target::AcceptArrays.is_met(1.4) && !Target::AcceptArrays.is_met(1.41));
        assert!(Target::DecodeForms.is_met(1.5) && !Target::DecodeForms.is_met(1.49));
        assert!(!Target::DecodeForms.is_met(f64::NAN) && !Target::AcceptArrays.is_met(f64::NAN));
    }

    #[test]
    #[allow(clippy::unwrap_used, reason = "a test")]
    fn the_later_figure_of_a_target_counts_and_what_was_not_measured_is_said() {
        let path = std::env::temp_dir().join(format!("mohaa-bench-targets-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let measured = |figure| [Measured::new(Target::AcceptArrays, figure, "94 µs by 70 µs")];
        note(&path, &measured(2.0)).unwrap();
        note(&path, &measured(1.35)).unwrap();
        note(&path, &[Measured::new(Target::DecodeArrays, f64::INFINITY, "")]).unwrap();
        let table = Table::of_notes(&path, "abc".to_owned(), Some(0.25)).unwrap().to_string();
        std::fs::remove_file(&path).unwrap();
        let line = |work: &str| table.lines().find(|line| line.contains(work)).unwrap().to_owned();
        assert!(line("SPOOL_FSYNC=interval").contains("| 1.35 × | yes |"), "{table}");
        assert!(line("94 µs by 70 µs").contains("CPU a request ≤ 1.4 ×"), "{table}");
        assert!(line("decode, arrays").contains("| none | no |"), "{table}");
        assert!(line("decode, forms").contains("| not measured | – |"), "{table}");
        assert_eq!(table.lines().count(), 4 + Target::value_variants().len());
    }
}
