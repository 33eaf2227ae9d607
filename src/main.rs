//! The command line of mohaa-stats; everything it does is in the library.

use clap::Parser;
use std::process::ExitCode;

/// Requests allocate on one thread and are freed on another; this allocator is made for that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    mohaa_stats::commands::run(mohaa_stats::cli::Cli::parse())
}
