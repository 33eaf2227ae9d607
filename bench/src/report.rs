//! What was measured, as JSON for machines and as a table for people.

use std::fmt;

use serde::Serialize;

use crate::peers::{CLIENTS, PeerRound};
use crate::targets::{Measured, Target};

#[derive(Debug, Serialize)]
pub struct Settings {
    pub connections: usize,
    pub rounds: usize,
    pub round_seconds: f64,
    pub batch_events: usize,
    pub batch_body_bytes: usize,
    pub single_body_bytes: usize,
    pub cores: usize,
    pub load_average_before: Option<f64>,
}

/// One load loop against one program.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Side {
    pub requests_per_second: f64,
    pub events_per_second: f64,
    pub accepted_requests: u64,
    pub refused_requests: u64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// The program's own, user and system. The service's includes what follows the answer until all is stored.
    pub cpu_us_per_request: f64,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct IngestRound {
    pub service: Side,
    pub yardstick: Side,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct StoreRound {
    pub rows: usize,
    pub inserts: usize,
    pub bare_inserts: usize,
    /// From the first request until the last row is stored, with decoding, spool and load generator on the same cores.
    pub rows_per_second: f64,
    pub bare_rows_per_second: f64,
    pub service_cpu_us_per_row: f64,
    pub engine_cpu_us_per_row: f64,
    pub bare_engine_cpu_us_per_row: f64,
}

#[derive(Debug, Serialize)]
pub struct Report {
    pub settings: Settings,
    pub batches: Vec<IngestRound>,
    pub singles: Vec<IngestRound>,
    pub store: Vec<StoreRound>,
    pub peers: Vec<PeerRound>,
}

/// The report with the medians of its rounds.
#[derive(Serialize)]
struct Summarised<'a> {
    medians: Medians,
    #[serde(flatten)]
    report: &'a Report,
}

/// Ratios are taken within each round, then their median.
#[derive(Debug, Serialize)]
pub struct Medians {
    pub batches: IngestMedians,
    pub singles: IngestMedians,
    pub store: StoreMedians,
    pub peers: PeerMedians,
}

#[derive(Debug, Serialize)]
pub struct PeerMedians {
    pub service_events_per_second: f64,
    pub service_accepted_per_second: f64,
    pub async_events_per_second: f64,
    pub async_p99_ms: f64,
    pub async_events_per_insert: f64,
    pub gathered_here: bool,
    /// Stored events a second, service to async inserts.
    pub ratio: f64,
}

#[derive(Debug, Serialize)]
pub struct IngestMedians {
    pub service: Side,
    pub yardstick: Side,
    /// CPU per request, service to yardstick.
    pub cpu_ratio: f64,
}

#[derive(Debug, Serialize)]
pub struct StoreMedians {
    pub rows_per_second: f64,
    pub bare_rows_per_second: f64,
    pub batch_rows: f64,
    pub service_cpu_us_per_row: f64,
    pub engine_cpu_us_per_row: f64,
    pub bare_engine_cpu_us_per_row: f64,
    /// Service and engine to the engine alone with bare inserts.
    pub cpu_ratio: f64,
    /// The engine's own work to its work with bare inserts.
    pub engine_cpu_ratio: f64,
    /// Stored rows a second to bare rows a second.
    pub rows_per_second_ratio: f64,
}

/// The middle one, or the mean of the two in the middle; 0 of none.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

impl IngestMedians {
    fn of(rounds: &[IngestRound]) -> Self {
        let side = |of: fn(&IngestRound) -> &Side| {
            let value = |value: fn(&Side) -> f64| median(rounds.iter().map(|round| value(of(round))));
            Side {
                requests_per_second: value(|side| side.requests_per_second),
                events_per_second: value(|side| side.events_per_second),
                accepted_requests: value(|side| side.accepted_requests as f64) as u64,
                refused_requests: value(|side| side.refused_requests as f64) as u64,
                p50_ms: value(|side| side.p50_ms),
                p99_ms: value(|side| side.p99_ms),
                cpu_us_per_request: value(|side| side.cpu_us_per_request),
            }
        };
        let ratio =
            |round: &IngestRound| round.service.cpu_us_per_request / round.yardstick.cpu_us_per_request;
        Self {
            service: side(|round| &round.service),
            yardstick: side(|round| &round.yardstick),
            cpu_ratio: median(rounds.iter().map(ratio)),
        }
    }
}

impl StoreMedians {
    fn of(rounds: &[StoreRound]) -> Self {
        let value = |value: fn(&StoreRound) -> f64| median(rounds.iter().map(value));
        Self {
            rows_per_second: value(|round| round.rows_per_second),
            bare_rows_per_second: value(|round| round.bare_rows_per_second),
            batch_rows: value(|round| round.rows as f64 / round.inserts.max(1) as f64),
            service_cpu_us_per_row: value(|round| round.service_cpu_us_per_row),
            engine_cpu_us_per_row: value(|round| round.engine_cpu_us_per_row),
            bare_engine_cpu_us_per_row: value(|round| round.bare_engine_cpu_us_per_row),
            cpu_ratio: value(|round| {
                (round.service_cpu_us_per_row + round.engine_cpu_us_per_row)
                    / round.bare_engine_cpu_us_per_row
            }),
            engine_cpu_ratio: value(|round| round.engine_cpu_us_per_row / round.bare_engine_cpu_us_per_row),
            rows_per_second_ratio: value(|round| round.rows_per_second / round.bare_rows_per_second),
        }
    }
}

impl PeerMedians {
    fn of(rounds: &[PeerRound]) -> Self {
        let value = |value: fn(&PeerRound) -> f64| median(rounds.iter().map(value));
        Self {
            service_events_per_second: value(|round| round.service_events_per_second),
            service_accepted_per_second: value(|round| round.service_accepted_per_second),
            async_events_per_second: value(|round| round.async_events_per_second),
            async_p99_ms: value(|round| round.async_p99_ms),
            async_events_per_insert: value(|round| round.async_events_per_insert),
            gathered_here: rounds.iter().any(|round| round.gathered_here),
            ratio: value(|round| round.service_events_per_second / round.async_events_per_second),
        }
    }
}

impl Report {
    pub fn new(settings: Settings) -> Self {
        let (batches, singles, store, peers) = Default::default();
        Self { settings, batches, singles, store, peers }
    }

    /// What came of the targets.
    pub fn measured(&self) -> Vec<Measured> {
        let Medians { batches, singles, store, peers } = self.medians();
        let by_parser = |medians: &IngestMedians| {
            let IngestMedians { service, yardstick, .. } = medians;
            format!(
                "{:.1} µs, handler {:.1} µs; {:.0} requests refused",
                service.cpu_us_per_request, yardstick.cpu_us_per_request, service.refused_requests as f64
            )
        };
        let gathered = if peers.gathered_here { ", gathered by the bench" } else { "" };
        vec![
            Measured::new(Target::AcceptArrays, batches.cpu_ratio, by_parser(&batches)),
            Measured::new(Target::AcceptSingles, singles.cpu_ratio, by_parser(&singles)),
            Measured::new(
                Target::AcceptSinglesTime,
                singles.service.p99_ms,
                format!(
                    "p50 {:.2} ms, {:.0} requests/s on {} connections",
                    singles.service.p50_ms, singles.service.requests_per_second, self.settings.connections
                ),
            ),
            Measured::new(
                Target::Store,
                store.cpu_ratio,
                format!(
                    "service {:.1} µs and engine {:.1} µs, bare {:.1} µs, batches of {:.0}",
                    store.service_cpu_us_per_row,
                    store.engine_cpu_us_per_row,
                    store.bare_engine_cpu_us_per_row,
                    store.batch_rows
                ),
            ),
            Measured::new(
                Target::AsyncInserts,
                peers.ratio,
                format!(
                    "stored {:.0}/s (accepted {:.0}/s), async inserts {:.0}/s, {:.0} events an insert{gathered}",
                    peers.service_events_per_second,
                    peers.service_accepted_per_second,
                    peers.async_events_per_second,
                    peers.async_events_per_insert
                ),
            ),
        ]
    }

    pub fn medians(&self) -> Medians {
        Medians {
            batches: IngestMedians::of(&self.batches),
            singles: IngestMedians::of(&self.singles),
            store: StoreMedians::of(&self.store),
            peers: PeerMedians::of(&self.peers),
        }
    }

    /// # Errors
    /// When a figure is no number that JSON can hold.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(&Summarised { medians: self.medians(), report: self })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { connections, rounds, round_seconds, batch_events, cores, .. } = self.settings;
        let Medians { batches, singles, store, peers } = self.medians();
        writeln!(
            formatter,
            "Medians of {rounds} rounds of {round_seconds} s, {connections} keep-alive connections, {cores} cores"
        )?;
        if let Some(load) = self.settings.load_average_before.filter(|load| *load > 0.5) {
            writeln!(formatter, "Others were at work before (load {load:.1}): compare ratios only")?;
        }
        for (title, medians, bytes) in [
            (format!("Arrays of {batch_events}, fsync=interval"), &batches, self.settings.batch_body_bytes),
            ("Single events, fsync=always".to_owned(), &singles, self.settings.single_body_bytes),
        ] {
            let IngestMedians { service, yardstick, cpu_ratio } = medians;
            writeln!(
                formatter,
                "\n{:<38}{:>12}{:>12}",
                format!("{title} ({bytes} bytes)"),
                "service",
                "yardstick"
            )?;
            let mut line = |name: &str, value: fn(&Side) -> f64, decimals: usize| {
                writeln!(
                    formatter,
                    "  {name:<36}{:>12.decimals$}{:>12.decimals$}",
                    value(service),
                    value(yardstick)
                )
            };
            line("accepted requests/s", |side| side.requests_per_second, 0)?;
            line("accepted events/s", |side| side.events_per_second, 0)?;
            line("refused with 429, a round", |side| side.refused_requests as f64, 0)?;
            line("latency p50, ms", |side| side.p50_ms, 2)?;
            line("latency p99, ms", |side| side.p99_ms, 2)?;
            line("own CPU a request, µs", |side| side.cpu_us_per_request, 1)?;
            writeln!(formatter, "  {:<36}{cpu_ratio:>12.2}", "ratio of CPU a request")?;
        }
        writeln!(
            formatter,
            "\n{:<38}{:>12}{:>12}",
            format!("Rows stored, {:.0} an insert", store.batch_rows),
            "service",
            "bare"
        )?;
        writeln!(
            formatter,
            "  {:<36}{:>12.0}{:>12.0}",
            "rows/s", store.rows_per_second, store.bare_rows_per_second
        )?;
        writeln!(
            formatter,
            "  {:<36}{:>12.2}{:>12.2}",
            "engine's CPU a row, µs", store.engine_cpu_us_per_row, store.bare_engine_cpu_us_per_row
        )?;
        writeln!(
            formatter,
            "  {:<36}{:>12.2}{:>12}",
            "service's CPU a row, µs", store.service_cpu_us_per_row, "-"
        )?;
        writeln!(formatter, "  {:<36}{:>12.2}", "ratio of all CPU a row", store.cpu_ratio)?;
        writeln!(formatter, "  {:<36}{:>12.2}", "ratio of the engine's CPU a row", store.engine_cpu_ratio)?;
        writeln!(formatter, "  {:<36}{:>12.2}", "ratio of rows/s", store.rows_per_second_ratio)?;
        writeln!(
            formatter,
            "\n{:<38}{:>12}{:>12}",
            format!("{CLIENTS} clients, {batch_events} events a request"),
            "service",
            "async"
        )?;
        writeln!(
            formatter,
            "  {:<36}{:>12.0}{:>12.0}",
            "stored events/s", peers.service_events_per_second, peers.async_events_per_second
        )?;
        writeln!(
            formatter,
            "  {:<36}{:>12.0}{:>12}",
            "accepted events/s", peers.service_accepted_per_second, "-"
        )?;
        let who = if peers.gathered_here { "events an insert (gathered here)" } else { "events an insert" };
        writeln!(formatter, "  {who:<36}{:>12}{:>12.0}", "-", peers.async_events_per_insert)?;
        writeln!(formatter, "  {:<36}{:>12.2}", "ratio of stored events/s", peers.ratio)
    }
}
