//! `simulate`: a fleet of made-up game servers against a running service.

use super::{CommandError, block_on, load, open_postgres, print_json};
use crate::{
    auth::{AccessTokens, Revocations, SessionKind, Sessions},
    cli::{SettingFlags, SimulateArguments},
    config::{BrokerUrl, Config, Purpose},
    mqtt,
    servers::{NewServer, add_server},
    simulate::{
        self, Publisher, SimulateOptions,
        cup::{CupOptions, play_cup},
        query_port::QueryPort,
    },
    users::{self, DisplayName, Role},
};
use sqlx::PgPool;
use std::{collections::HashMap, path::Path, sync::Arc};
use uuid::Uuid;

pub fn simulate(arguments: SimulateArguments) -> Result<(), CommandError> {
    if let (Some(tournament_id), Some(data_dir)) = (arguments.tournament, &arguments.data_dir) {
        return block_on(simulate_cup(&arguments, tournament_id, data_dir));
    }
    // Which clap does not ask for beside a `--token`.
    if arguments.tournament.is_some() {
        let message = "--tournament needs --data-dir, and no --token: it makes the players and servers of the tournament";
        return Err(CommandError::Usage(message.to_owned()));
    }
    block_on(async {
        let (mut query_ports, mut publishers) = (Vec::new(), Vec::new());
        let tokens = match &arguments.data_dir {
            Some(data_dir) => {
                let count = arguments.servers.unwrap_or(1);
                if arguments.answer_queries {
                    for _ in 0..count {
                        query_ports.push(Arc::new(QueryPort::open().await.map_err(CommandError::failed)?));
                    }
                }
                let (pool, _) = open_stores(data_dir, Purpose::CHANGE_SERVERS).await?;
                let servers = make_servers(&pool, count, &query_ports).await?;
                if let Some(broker) = &arguments.mqtt {
                    for (server_id, _) in &servers {
                        publishers.push(publisher(broker, server_id)?);
                    }
                }
                servers.into_iter().map(|(_, token)| token).collect()
            }
            None => given_tokens(&arguments)?,
        };
        let new = SimulateOptions::new(arguments.url, tokens);
        let options = SimulateOptions {
            matches: usize::try_from(arguments.matches).map_err(CommandError::failed)?,
            guests: arguments.guests,
            rate: arguments.rate,
            dialect: arguments.dialect,
            seed: arguments.seed,
            realtime: arguments.realtime,
            publishers,
            query_ports,
            match_length: arguments
                .match_length
                .map_or(new.match_length.clone(), |seconds| seconds..=seconds),
            ..new
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

async fn open_stores(data_dir: &Path, purpose: Purpose) -> Result<(PgPool, Config), CommandError> {
    let data_dir = data_dir.to_string_lossy().into_owned();
    let flags = HashMap::from([("DATA_DIR".to_owned(), data_dir)]);
    let config = load(SettingFlags { flags, config_file: None }, purpose)?;
    Ok((open_postgres(&config).await?, config))
}

/// Ids and tokens of new servers, at the addresses where they answer questions.
async fn make_servers(
    pool: &PgPool,
    count: u16,
    query_ports: &[Arc<QueryPort>],
) -> Result<Vec<(String, String)>, CommandError> {
    let mut servers = Vec::with_capacity(count.into());
    for number in 0..usize::from(count) {
        let answers_at = query_ports.get(number).map(|port| port.address());
        let answers_at = answers_at.transpose().map_err(CommandError::failed)?;
        let new = NewServer {
            name: format!("Simulated server {}", number + 1),
            address: answers_at.map(|address| address.ip().to_string()),
            port: answers_at.map(|address| address.port()),
            ..NewServer::default()
        };
        let added = add_server(pool, &new).await.map_err(CommandError::failed)?;
        servers.push((added.server_id.to_string(), added.token.expose().to_owned()));
    }
    Ok(servers)
}

/// A server at a broker.
fn publisher(broker: &BrokerUrl, server_id: &str) -> Result<Publisher, CommandError> {
    let options = mqtt::options_of_client(broker, &format!("simulated-{server_id}"));
    let options = options.map_err(CommandError::failed)?;
    Ok(Publisher::new(options, mqtt::topic_of(server_id)))
}

/// Plays a tournament to its end in the name of an admin who is made for it.
async fn simulate_cup(
    arguments: &SimulateArguments,
    tournament_id: Uuid,
    data_dir: &Path,
) -> Result<(), CommandError> {
    let (pool, config) = open_stores(data_dir, Purpose::CHANGE_USERS).await?;
    let not_set = || CommandError::Usage("JWT_SECRET is not set".to_owned());
    let secret = config.jwt_secret.as_ref().ok_or_else(not_set)?;
    let tokens = AccessTokens::new(secret, config.jwt_secret_previous.as_ref());
    let name: DisplayName = "Simulation".parse().map_err(CommandError::failed)?;
    let user = users::add(&pool, &name, Role::Admin).await.map_err(CommandError::failed)?;
    let sessions = Sessions::new(pool.clone(), tokens, Revocations::default());
    let opened = sessions
        .open(user.user_id, SessionKind::Operator, "simulates a cup")
        .await
        .map_err(CommandError::failed)?;
    let options = CupOptions {
        url: arguments.url.clone(),
        tournament_id: tournament_id.to_string(),
        access_token: opened.access_token,
        servers: make_servers(&pool, arguments.servers.unwrap_or(4), &[]).await?,
        seed: arguments.seed,
    };
    let report = play_cup(options, |progress| eprintln!("{progress}")).await.map_err(CommandError::failed)?;
    print_json(&report)
}
