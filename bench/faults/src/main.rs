//! `mohaa-faults SCENARIO` plays one scenario, `mohaa-faults all` plays all; each ends with a table, and with an error
//! when a promise was broken.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use mohaa_faults::error::{FaultsError, Result};
use mohaa_faults::outcome::{Outcome, Table};
use mohaa_faults::process::service_beside_this_program;
use mohaa_faults::store_faults::{Length, store_faults};
use mohaa_faults::{crash, engine_kill, overload, shutdown};

#[derive(Parser)]
#[command(name = "mohaa-faults", about = "How the service fails, each time with a verdict")]
struct Cli {
    #[arg(value_enum)]
    scenario: Scenario,
    /// How often; each scenario has a number of its own
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    rounds: Option<u64>,
    /// Repeats the moments and choices of an earlier run
    #[arg(long)]
    seed: Option<u64>,
    /// Plays store-faults and overload as short as the tests do, without judging speed and memory
    #[arg(long)]
    short: bool,
    /// The service's program; else the one beside this program
    #[arg(long)]
    service: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// Every scenario, one after the other
    All,
    /// SIGKILL at random moments under load
    Crash,
    /// SIGKILL before and after every stage of the way of an event
    CrashPoints,
    /// SIGTERM under load, once and twice, with and without ClickHouse
    Shutdown,
    /// SIGKILL to the private ClickHouse engine while it inserts
    EngineKill,
    /// ClickHouse failing in every way, one after the other
    StoreFaults,
    /// Ten times more events than ClickHouse takes
    Overload,
}

impl Scenario {
    const EACH: [Scenario; 6] = [
        Scenario::Crash,
        Scenario::CrashPoints,
        Scenario::Shutdown,
        Scenario::EngineKill,
        Scenario::StoreFaults,
        Scenario::Overload,
    ];

    fn rounds(self) -> u64 {
        match self {
            Scenario::Crash => 200,
            Scenario::CrashPoints => 2,
            Scenario::Shutdown => 5,
            Scenario::EngineKill => 100,
            Scenario::All | Scenario::StoreFaults | Scenario::Overload => 1,
        }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let seed = cli.seed.unwrap_or_else(rand::random);
    eprintln!("faults: seed {seed}");
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("mohaa-faults: the runtime can't be made: {error}");
            return ExitCode::FAILURE;
        }
    };
    let (outcomes, error) = runtime.block_on(play(&cli, seed));
    print!("{}", Table(&outcomes));
    if let Some(error) = &error {
        eprintln!("mohaa-faults: {error}");
    }
    match error.is_none() && outcomes.iter().all(Outcome::is_good) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// A scenario that can't be played doesn't keep the others from being played; the last such error is told.
async fn play(cli: &Cli, seed: u64) -> (Vec<Outcome>, Option<FaultsError>) {
    let service = cli.service.clone().unwrap_or_else(service_beside_this_program);
    let length = if cli.short { Length::Short } else { Length::Full };
    let scenarios = match &cli.scenario {
        Scenario::All => &Scenario::EACH[..],
        one => std::slice::from_ref(one),
    };
    let (mut outcomes, mut last_error) = (Vec::new(), None);
    for scenario in scenarios {
        let rounds = cli.rounds.unwrap_or(scenario.rounds());
        match play_one(*scenario, &service, seed, rounds, length).await {
            Ok(played) => {
                if scenarios.len() > 1 {
                    eprint!("{}", Table(&played));
                }
                outcomes.extend(played);
            }
            Err(error) => {
                eprintln!("faults: {scenario:?} can't be played: {error}");
                last_error = Some(error);
            }
        }
    }
    (outcomes, last_error)
}

async fn play_one(
    scenario: Scenario,
    service: &Path,
    seed: u64,
    rounds: u64,
    length: Length,
) -> Result<Vec<Outcome>> {
    let outcomes = match scenario {
        Scenario::All => Vec::new(),
        Scenario::Crash => vec![crash::crash(service, seed, rounds).await?],
        Scenario::CrashPoints => vec![crash::crash_points(service, seed, rounds).await?],
        Scenario::Shutdown => vec![shutdown::shutdown(service, seed, rounds).await?],
        Scenario::EngineKill => vec![engine_kill::engine_kill(service, seed, rounds).await?],
        Scenario::StoreFaults => {
            let mut outcomes = Vec::new();
            for _ in 0..rounds {
                outcomes.extend(store_faults(service, seed, length).await?);
            }
            outcomes
        }
        Scenario::Overload => {
            let mut outcomes = Vec::new();
            for _ in 0..rounds {
                outcomes.push(overload::overload(service, seed, length).await?);
            }
            outcomes
        }
    };
    Ok(outcomes)
}
