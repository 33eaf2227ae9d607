//! One file for each group of commands. A command prints at most one JSON document on standard output; everything
//! said to people goes to standard error.

mod backup;
mod dead_letters;
mod health;
mod import;
mod logging;
mod login;
mod serve;
mod servers;
mod show;
mod simulate;
mod users;

use crate::{
    cli::{Cli, CliCommand},
    config::{Config, ConfigError, Loaded, Purpose},
    postgres,
};
use serde::Serialize;
use sqlx::PgPool;
use std::{
    error::Error,
    io::{self, Write},
    process::ExitCode,
};

/// Why a command did not do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// Exit code 2: nothing was begun.
    #[error(transparent)]
    Configuration(#[from] ConfigError),
    /// Exit code 2: nothing was begun.
    #[error("{0}")]
    Usage(String),
    /// Exit code 1.
    #[error("{0}")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
}

impl CommandError {
    pub fn failed(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Failed(error.into())
    }

    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Configuration(_) | Self::Usage(_) => ExitCode::from(2),
            Self::Failed(_) => ExitCode::FAILURE,
        }
    }
}

/// Does what the command line says.
pub fn run(cli: Cli) -> ExitCode {
    let traces = logging::start();
    let done = match cli.command {
        CliCommand::Serve { embedded, settings } => serve::serve(embedded, settings),
        CliCommand::Demo { settings } => serve::demo(settings),
        CliCommand::Simulate(arguments) => simulate::simulate(arguments),
        CliCommand::Import(arguments) => import::import(arguments),
        CliCommand::Server(command) => servers::server(command),
        CliCommand::User(command) => users::user(command),
        CliCommand::Login(arguments) => login::login(&arguments),
        CliCommand::Migrate { settings } => serve::migrate(settings),
        CliCommand::DeadLetters(command) => dead_letters::dead_letters(command),
        CliCommand::Backup(arguments) => backup::backup(arguments),
        CliCommand::Restore(arguments) => backup::restore(arguments),
        CliCommand::Health { settings } => health::health(settings),
        CliCommand::Config { settings } => show::config(settings),
        CliCommand::Openapi => show::openapi(),
    };
    if let Some(traces) = traces {
        traces.end();
    }
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Told without the log's filter and form: it is the answer to a person.
            eprintln!("mohaa-stats: {}", with_causes(&error));
            error.exit_code()
        }
    }
}

/// An error and the errors that led to it, as far as they add something.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}

fn load(settings: crate::cli::SettingFlags, purpose: Purpose) -> Result<Config, CommandError> {
    let Loaded { config, .. } = Config::load(&settings.sources(), purpose)?;
    Ok(config)
}

/// PostgreSQL as configured, with its schema up to date: the command may be the first to use it.
async fn open_postgres(config: &Config) -> Result<PgPool, CommandError> {
    let not_set = || CommandError::Usage("POSTGRES_URL is not set".to_owned());
    let url = config.postgres_url.as_ref().ok_or_else(not_set)?;
    let pool = postgres::pool(url).await.map_err(CommandError::failed)?;
    postgres::migrate(&pool).await.map_err(CommandError::failed)?;
    Ok(pool)
}

/// Runs a short command's work to its end.
fn block_on<T>(work: impl Future<Output = Result<T, CommandError>>) -> Result<T, CommandError> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(CommandError::failed)?
        .block_on(work)
}

/// Writes the command's one JSON document.
fn print_json(value: &impl Serialize) -> Result<(), CommandError> {
    let text = serde_json::to_string_pretty(value).map_err(CommandError::failed)?;
    writeln!(io::stdout(), "{text}").map_err(CommandError::failed)
}
