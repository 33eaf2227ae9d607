//! The command line of mohaa-stats; everything it does is in the library.

use clap::Parser;
use std::process::ExitCode;

/// Requests allocate on one thread and are freed on another; this allocator is made for that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The allocator asks for huge pages, of which all two megabytes are resident as soon as a piece is used: 39 of the 45 MB that
    // an idle service held. Where that can't be refused it holds them.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    mohaa_stats::commands::run(mohaa_stats::cli::Cli::parse())
}
