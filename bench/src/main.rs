//! `mohaa-bench run` measures ingest, `mohaa-bench yardstick` is what it measures against; `cpu` measures decoding and live state
//! alone; `live` measures what viewers get; `tournament` measures reports of results; `seed` makes a year of matches, and
//! `queries` measures questions over it. `targets` prints what came of it all.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::{Parser, Subcommand};
use mohaa_bench::cpu::{self, CpuOptions};
use mohaa_bench::error::BenchError;
use mohaa_bench::growth::{self, Growing, GrowthOptions, GrowthReport};
use mohaa_bench::live::{self, LiveOptions};
use mohaa_bench::node::{self, NodeOptions};
use mohaa_bench::plots;
use mohaa_bench::process::raise_file_limit;
use mohaa_bench::queries::{self, QueriesOptions};
use mohaa_bench::run::{RunOptions, run};
use mohaa_bench::seed::{self, Extent, SeedOptions};
use mohaa_bench::sustained::{self, SustainedOptions};
use mohaa_bench::targets::{self, Measured, Table, Target};
use mohaa_bench::tournament::{self, TournamentOptions};
use mohaa_bench::yardstick;

/// A player for so many events, unless it is said how many there are.
const EVENTS_A_PLAYER: u64 = 200;
/// A match needs some.
const FEWEST_PLAYERS: usize = 100;

/// The yardsticks have the allocator of what is measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(name = "mohaa-bench", about = "What the way of an event costs, beside its yardsticks")]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Where what came of each target is noted
    #[arg(long, global = true, default_value = "target/bench-targets.jsonl")]
    targets: PathBuf,
}

#[derive(Subcommand)]
enum Command {
    /// Measure a service with private stores of its own
    Run {
        /// The service's program
        #[arg(long, default_value = "target/release/mohaa-stats")]
        service: PathBuf,
        /// Emptied first and removed afterwards
        #[arg(long, default_value = "target/bench-data")]
        data_dir: PathBuf,
        /// The numbered files of the ClickHouse schema
        #[arg(long, default_value = "clickhouse")]
        schema: PathBuf,
        /// Where the figures go as JSON
        #[arg(long, default_value = "target/bench.json")]
        json: PathBuf,
        #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1000))]
        connections: u16,
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
        rounds: u16,
        /// Length of each load loop; a round has four
        #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=3600))]
        seconds: u16,
    },
    /// Measure decoding and live state on one thread, by its CPU time
    Cpu {
        /// Where the figures go as JSON
        #[arg(long, default_value = "target/bench-cpu.json")]
        json: PathBuf,
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
        rounds: u16,
        /// Milliseconds of CPU time that each side of a round takes
        #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=60_000))]
        turn: u64,
    },
    /// Post arrays at a steady rate, and see whether the service keeps up
    Sustained {
        /// The service's program
        #[arg(long, default_value = "target/release/mohaa-stats")]
        service: PathBuf,
        /// Emptied first and removed afterwards
        #[arg(long, default_value = "target/bench-data")]
        data_dir: PathBuf,
        /// Where the figures go as JSON
        #[arg(long, default_value = "target/bench-sustained.json")]
        json: PathBuf,
        /// Events a second of all servers together
        #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
        rate: u32,
        #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u32).range(2..=86_400))]
        seconds: u32,
        /// Events of a request
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=2000))]
        size: u16,
        /// Each with a match and a connection
        #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=10_000))]
        servers: u16,
    },
    /// Measure starts, memory, and pages and JSON that are in memory
    Node {
        /// The service's program
        #[arg(long, default_value = "target/release/mohaa-stats")]
        service: PathBuf,
        /// Emptied first and removed afterwards
        #[arg(long, default_value = "target/bench-data")]
        data_dir: PathBuf,
        /// Where the figures go as JSON
        #[arg(long, default_value = "target/bench-node.json")]
        json: PathBuf,
        /// Starts of each kind, and loops of requests
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
        rounds: u16,
        /// Matches whose memory is measured
        #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u16).range(1..=20_000))]
        matches: u16,
        /// Length of each loop of requests
        #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=3600))]
        seconds: u16,
    },
    /// Watch many live matches at once: how long events take, and what a match and a viewer take up
    Live {
        /// The service's program
        #[arg(long, default_value = "target/release/mohaa-stats")]
        service: PathBuf,
        /// Emptied first and removed afterwards
        #[arg(long, default_value = "target/bench-data")]
        data_dir: PathBuf,
        /// Where the figures go as JSON
        #[arg(long, default_value = "target/bench-live.json")]
        json: PathBuf,
        #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..=2000))]
        servers: u16,
        #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u16).range(1..=10000))]
        viewers: u16,
        /// Events a second of all servers together
        #[arg(long, default_value_t = 4000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        rate: u32,
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=3600))]
        seconds: u16,
    },
    /// Report results to many tournaments at once: how long each takes until it is committed and answered
    Tournament {
        /// The service's program
        #[arg(long, default_value = "target/release/mohaa-stats")]
        service: PathBuf,
        /// Emptied first and removed afterwards
        #[arg(long, default_value = "target/bench-data")]
        data_dir: PathBuf,
        /// Where the figures go as JSON
        #[arg(long, default_value = "target/bench-tournament.json")]
        json: PathBuf,
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
        tournaments: u16,
        /// Reports a second of all tournaments together
        #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        rate: u32,
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=3600))]
        seconds: u16,
    },
    /// Fill the stores of a data directory with a year of matches
    Seed {
        /// The service's program: brings the schemas up to date
        #[arg(long, default_value = "target/release/mohaa-stats")]
        service: PathBuf,
        /// Made when missing; its stores are started unless a service runs on it
        #[arg(long, default_value = "target/bench-big")]
        data_dir: PathBuf,
        #[arg(long, default_value_t = 10_000_000)]
        events: u64,
        /// One for 200 events when not said
        #[arg(long)]
        players: Option<usize>,
        #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u16).range(1..=1000))]
        servers: u16,
        #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3650))]
        days: u32,
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// The moment at which it ends, RFC 3339; now when not said
        #[arg(long)]
        until: Option<DateTime<Utc>>,
    },
    /// Ask a service over seeded data directories: what answers read and take, and how they come under load
    Queries {
        /// The service's program
        #[arg(long, default_value = "target/release/mohaa-stats")]
        service: PathBuf,
        /// Seeded; several are compared in the order in which they are named
        #[arg(long, required = true)]
        data_dir: Vec<PathBuf>,
        /// Where the figures go as JSON
        #[arg(long, default_value = "target/bench-queries.json")]
        json: PathBuf,
        /// Where the tables go as Markdown
        #[arg(long, default_value = "target/bench-queries.md")]
        markdown: PathBuf,
        /// Times that each answer is asked for cold; the median counts
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
        rounds: u16,
        /// Requests a second of the load
        #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        rate: u32,
        /// Length of the load
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(0..=3600))]
        seconds: u16,
    },
    /// Measure how costs grow with what they depend on; what is left out stays as it was measured before
    Growth {
        /// The service's program
        #[arg(long, default_value = "target/release/mohaa-stats")]
        service: PathBuf,
        /// Emptied first and removed afterwards
        #[arg(long, default_value = "target/bench-data")]
        data_dir: PathBuf,
        /// Where the figures go as JSON, and those that are not measured anew are read from
        #[arg(long, default_value = "target/growth.json")]
        json: PathBuf,
        #[arg(long, value_delimiter = ',', default_value = "sizes,matches,viewers,cores")]
        growing: Vec<Growing>,
        /// Length of each load
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=3600))]
        seconds: u16,
        /// Matches and viewers beyond so many are left out
        #[arg(long, default_value_t = 10_000)]
        at_most: usize,
    },
    /// Draw how costs grow
    Plots {
        /// What `growth` has measured
        #[arg(long, default_value = "target/growth.json")]
        growth: PathBuf,
        /// What `queries` has measured
        #[arg(long, default_value = "target/bench-queries.json")]
        queries: PathBuf,
        /// Where the pictures go
        #[arg(long, default_value = "docs/performance")]
        folder: PathBuf,
        /// What was measured, as version control names it
        #[arg(long, default_value = "unknown")]
        commit: String,
    },
    /// Parse posted events with serde_json and do nothing else, until standard input ends
    Yardstick,
    /// Note a figure that was measured elsewhere
    Note {
        target: Target,
        /// In the target's unit
        figure: f64,
        /// Of what the figure is made
        #[arg(long, default_value = "")]
        detail: String,
    },
    /// Print every target with its yardstick and what came of it
    Targets {
        /// What was measured, as version control names it
        #[arg(long, default_value = "unknown")]
        commit: String,
        /// The machine's load average before anything was built or measured
        #[arg(long)]
        load_before: Option<f64>,
        /// Where the table goes too
        #[arg(long, default_value = "target/bench.md")]
        markdown: PathBuf,
    },
}

fn main() -> ExitCode {
    let Cli { command, targets } = Cli::parse();
    let done = match command {
        Command::Yardstick => yardstick::serve().map_err(BenchError::Yardstick),
        Command::Cpu { json, rounds, turn } => measure_cpu(
            &CpuOptions { rounds: rounds.into(), turn: Duration::from_millis(turn) },
            &json,
            &targets,
        ),
        Command::Sustained { service, data_dir, json, rate, seconds, size, servers } => {
            let options = SustainedOptions {
                service,
                data_dir,
                rate,
                length: Duration::from_secs(seconds.into()),
                size: size.into(),
                servers: servers.into(),
            };
            measure_sustained(&options, &json, &targets)
        }
        Command::Node { service, data_dir, json, rounds, matches, seconds } => {
            this_program().and_then(|yardstick| {
                let options = NodeOptions {
                    service,
                    yardstick,
                    data_dir,
                    rounds: rounds.into(),
                    matches: matches.into(),
                    length: Duration::from_secs(seconds.into()),
                };
                measure_node(&options, &json, &targets)
            })
        }
        Command::Growth { service, data_dir, json, growing, seconds, at_most } => {
            this_program().and_then(|yardstick| {
                let length = Duration::from_secs(seconds.into());
                let options = GrowthOptions { service, yardstick, data_dir, growing, length, at_most };
                measure_growth(&options, &json)
            })
        }
        Command::Plots { growth, queries, folder, commit } => draw(&growth, &queries, &folder, &commit),
        Command::Note { target, figure, detail } => {
            targets::note(&targets, &[Measured::new(target, figure, detail)])
        }
        Command::Targets { commit, load_before, markdown } => {
            print_targets(&targets, commit, load_before, &markdown)
        }
        Command::Seed { service, data_dir, events, players, servers, days, seed, until } => {
            let servers = servers.into();
            let until = until.unwrap_or_else(Utc::now);
            let extent = Extent { seed, events, servers, days, until };
            let players = players.unwrap_or(((events / EVENTS_A_PLAYER) as usize).max(FEWEST_PLAYERS));
            fill(&SeedOptions { service, data_dir, extent, players })
        }
        Command::Queries { service, data_dir, json, markdown, rounds, rate, seconds } => {
            let length = Duration::from_secs(seconds.into());
            let options =
                QueriesOptions { service, data_dirs: data_dir, rounds: rounds.into(), rate, length };
            measure_queries(&options, &json, &markdown)
        }
        Command::Live { service, data_dir, json, servers, viewers, rate, seconds } => {
            let options = LiveOptions {
                service,
                data_dir,
                servers: servers.into(),
                viewers: viewers.into(),
                rate,
                length: Duration::from_secs(seconds.into()),
            };
            measure_live(&options, &json, &targets)
        }
        Command::Tournament { service, data_dir, json, tournaments, rate, seconds } => {
            let options = TournamentOptions {
                service,
                data_dir,
                tournaments: tournaments.into(),
                rate,
                length: Duration::from_secs(seconds.into()),
            };
            measure_tournaments(&options, &json, &targets)
        }
        Command::Run { service, data_dir, schema, json, connections, rounds, seconds } => this_program()
            .and_then(|yardstick| {
                let options = RunOptions {
                    service,
                    yardstick,
                    data_dir,
                    schema,
                    connections: connections.into(),
                    rounds: rounds.into(),
                    round_length: Duration::from_secs(seconds.into()),
                };
                measure(&options, &json, &targets)
            }),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mohaa-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn fill(options: &SeedOptions) -> Result<(), BenchError> {
    let runtime = tokio::runtime::Runtime::new().map_err(BenchError::Runtime)?;
    let report = runtime.block_on(seed::run(options))?;
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}

fn measure_queries(options: &QueriesOptions, json: &Path, markdown: &Path) -> Result<(), BenchError> {
    let runtime = tokio::runtime::Runtime::new().map_err(BenchError::Runtime)?;
    let report = runtime.block_on(queries::measure(options))?;
    for (path, text) in [(json, serde_json::to_string_pretty(&report)?), (markdown, report.to_string())] {
        write(path, &text)?;
    }
    print!("{report}");
    Ok(())
}

fn measure_cpu(options: &CpuOptions, json: &Path, targets: &Path) -> Result<(), BenchError> {
    let report = cpu::measure(options)?;
    write(json, &serde_json::to_string_pretty(&report)?)?;
    print!("{report}");
    targets::note(targets, &report.measured())
}

fn this_program() -> Result<PathBuf, BenchError> {
    std::env::current_exe().map_err(|source| BenchError::File { path: "/proc/self/exe".into(), source })
}

fn measure_sustained(options: &SustainedOptions, json: &Path, targets: &Path) -> Result<(), BenchError> {
    raise_file_limit()?;
    let runtime = tokio::runtime::Runtime::new().map_err(BenchError::Runtime)?;
    let report = runtime.block_on(sustained::measure(options))?;
    write(json, &serde_json::to_string_pretty(&report)?)?;
    print!("{report}");
    targets::note(targets, &report.measured())
}

fn measure_node(options: &NodeOptions, json: &Path, targets: &Path) -> Result<(), BenchError> {
    let runtime = tokio::runtime::Runtime::new().map_err(BenchError::Runtime)?;
    let report = runtime.block_on(node::measure(options))?;
    write(json, &serde_json::to_string_pretty(&report)?)?;
    print!("{report}");
    targets::note(targets, &report.measured())
}

fn measure_live(options: &LiveOptions, json: &Path, targets: &Path) -> Result<(), BenchError> {
    raise_file_limit()?;
    let runtime = tokio::runtime::Runtime::new().map_err(BenchError::Runtime)?;
    let report = runtime.block_on(live::measure(options))?;
    write(json, &serde_json::to_string_pretty(&report)?)?;
    print!("{report}");
    targets::note(targets, &report.measured())
}

fn measure_tournaments(options: &TournamentOptions, json: &Path, targets: &Path) -> Result<(), BenchError> {
    let runtime = tokio::runtime::Runtime::new().map_err(BenchError::Runtime)?;
    let report = runtime.block_on(tournament::measure(options))?;
    write(json, &serde_json::to_string_pretty(&report)?)?;
    print!("{report}");
    targets::note(targets, &report.measured())
}

fn measure(options: &RunOptions, json: &Path, targets: &Path) -> Result<(), BenchError> {
    let runtime = tokio::runtime::Runtime::new().map_err(BenchError::Runtime)?;
    let report = runtime.block_on(run(options))?;
    write(json, &report.to_json()?)?;
    print!("{report}");
    targets::note(targets, &report.measured())
}

fn measure_growth(options: &GrowthOptions, json: &Path) -> Result<(), BenchError> {
    raise_file_limit()?;
    let runtime = tokio::runtime::Runtime::new().map_err(BenchError::Runtime)?;
    let before = match read(json)? {
        Some(text) => serde_json::from_str(&text)?,
        None => GrowthReport::default(),
    };
    let report = serde_json::to_string_pretty(&runtime.block_on(growth::measure(options, before))?)?;
    println!("{report}");
    write(json, &report)
}

fn draw(growth: &Path, queries: &Path, folder: &Path, commit: &str) -> Result<(), BenchError> {
    let mut plots = Vec::new();
    if let Some(text) = read(growth)? {
        plots.extend(plots::of_growth(&serde_json::from_str(&text)?, commit));
    }
    if let Some(text) = read(queries)? {
        plots.extend(plots::of_queries(&text, commit)?);
    }
    for path in plots::write(&plots, folder)? {
        println!("{path}");
    }
    Ok(())
}

/// None where there is no such file.
fn read(path: &Path) -> Result<Option<String>, BenchError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(BenchError::File { path: path.to_owned(), source }),
    }
}

fn print_targets(
    targets: &Path,
    commit: String,
    load_before: Option<f64>,
    markdown: &Path,
) -> Result<(), BenchError> {
    let table = Table::of_notes(targets, commit, load_before)?.to_string();
    write(markdown, &table)?;
    print!("{table}");
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), BenchError> {
    std::fs::write(path, text).map_err(|source| BenchError::File { path: path.to_owned(), source })
}
