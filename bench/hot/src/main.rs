//! `mohaa-hot <path> --requests <n>`: see [`mohaa_hot::paths`].

use std::process::ExitCode;

use clap::Parser;
use mohaa_hot::paths::{HotPath, run};

/// As the service has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(name = "mohaa-hot", about = "Repeat one part of what every event goes through, for a profiler")]
struct Cli {
    path: HotPath,
    /// Of 20 events
    #[arg(long, default_value_t = 1_000)]
    requests: usize,
}

fn main() -> ExitCode {
    let Cli { path, requests } = Cli::parse();
    match run(path, requests) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mohaa-hot: {error}");
            ExitCode::FAILURE
        }
    }
}
