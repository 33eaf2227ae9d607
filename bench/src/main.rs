//! `mohaa-bench run` measures, `mohaa-bench yardstick` is what it measures against.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use mohaa_bench::error::BenchError;
use mohaa_bench::live::{self, LiveOptions};
use mohaa_bench::run::{RunOptions, run};
use mohaa_bench::yardstick;

#[derive(Parser)]
#[command(name = "mohaa-bench", about = "What the way of an event costs, beside its yardsticks")]
struct Cli {
    #[command(subcommand)]
    command: Command,
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
    /// Parse posted events with serde_json and do nothing else, until standard input ends
    Yardstick,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Yardstick => yardstick::serve().map_err(BenchError::Yardstick),
        Command::Live { service, data_dir, json, servers, viewers, rate, seconds } => {
            let options = LiveOptions {
                service,
                data_dir,
                servers: servers.into(),
                viewers: viewers.into(),
                rate,
                length: Duration::from_secs(seconds.into()),
            };
            measure_live(&options, &json)
        }
        Command::Run { service, data_dir, schema, json, connections, rounds, seconds } => {
            std::env::current_exe()
                .map_err(|source| BenchError::File { path: "/proc/self/exe".into(), source })
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
                    measure(&options, &json)
                })
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mohaa-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure_live(options: &LiveOptions, json: &Path) -> Result<(), BenchError> {
    let runtime = tokio::runtime::Runtime::new().map_err(BenchError::Runtime)?;
    let report = runtime.block_on(live::measure(options))?;
    std::fs::write(json, serde_json::to_string_pretty(&report)?)
        .map_err(|source| BenchError::File { path: json.to_owned(), source })?;
    print!("{report}");
    Ok(())
}

fn measure(options: &RunOptions, json: &Path) -> Result<(), BenchError> {
    let runtime = tokio::runtime::Runtime::new().map_err(BenchError::Runtime)?;
    let report = runtime.block_on(run(options))?;
    std::fs::write(json, report.to_json()?)
        .map_err(|source| BenchError::File { path: json.to_owned(), source })?;
    print!("{report}");
    Ok(())
}
