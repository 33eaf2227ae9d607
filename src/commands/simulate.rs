//! `simulate`: a fleet of made-up game servers against a running service.

use super::{CommandError, block_on, load, open_postgres, print_json};
use crate::{
    cli::{SettingFlags, SimulateArguments},
    config::Purpose,
    servers::{NewServer, add_server},
    simulate::{self, SimulateOptions},
};
use std::{collections::HashMap, path::Path};

pub fn simulate(arguments: SimulateArguments) -> Result<(), CommandError> {
    block_on(async {
        let tokens = match &arguments.data_dir {
            Some(data_dir) => make_servers(data_dir, arguments.servers.unwrap_or(1)).await?,
            None => given_tokens(&arguments)?,
        };
        let options = SimulateOptions {
            matches: usize::try_from(arguments.matches).map_err(CommandError::failed)?,
            guests: arguments.guests,
            rate: arguments.rate,
            dialect: arguments.dialect,
            seed: arguments.seed,
            ..SimulateOptions::new(arguments.url, tokens)
        };
        let report =
            simulate::run(options, |progress| eprintln!("{progress}")).await.map_err(CommandError::failed)?;
        print_json(&report)?;
        match report.events.accepted {
            0 => Err(CommandError::failed("no event was accepted")),
            _ => Ok(()),
        }
    })
}

/// One server speaks with each token, as a token says which server speaks.
fn given_tokens(arguments: &SimulateArguments) -> Result<Vec<String>, CommandError> {
    let given = arguments.tokens.len();
    let wanted = arguments.servers.map_or(given, usize::from);
    if wanted > given {
        let message =
            format!("--servers {wanted} needs as many --token, and there are {given}; or use --data-dir");
        return Err(CommandError::Usage(message));
    }
    Ok(arguments.tokens[..wanted].to_vec())
}

async fn make_servers(data_dir: &Path, count: u16) -> Result<Vec<String>, CommandError> {
    let data_dir = data_dir.to_string_lossy().into_owned();
    let flags = HashMap::from([("DATA_DIR".to_owned(), data_dir)]);
    let config = load(SettingFlags { flags, config_file: None }, Purpose::CHANGE_SERVERS)?;
    let pool = open_postgres(&config).await?;
    let mut tokens = Vec::with_capacity(count.into());
    for number in 1..=count {
        let new = NewServer { name: format!("Simulated server {number}"), ..NewServer::default() };
        let added = add_server(&pool, &new).await.map_err(CommandError::failed)?;
        tokens.push(added.token.expose().to_owned());
    }
    Ok(tokens)
}
