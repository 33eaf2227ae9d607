//! The command line of mohaa-stats; everything it does is in the library.

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    mohaa_stats::commands::run(mohaa_stats::cli::Cli::parse())
}
