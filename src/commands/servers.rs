//! `server add`, `server bot-names`, `server list`, `server key`, `server approve`, `server revoke`.

use super::{CommandError, block_on, load, open_postgres, print_json};
use crate::{
    auth::ShortCodes,
    cli::{ServerCommand, SettingFlags},
    config::Purpose,
    servers::{
        Changer, NewServer, add_server, approve_server, list_servers, make_server_key, revoke_server_tokens,
        set_bot_names,
    },
};
use serde_json::json;
use sqlx::PgPool;

pub fn server(command: ServerCommand) -> Result<(), CommandError> {
    block_on(async {
        match command {
            ServerCommand::Add { name, bot_names, settings } => {
                let pool = open(settings).await?;
                let new = NewServer { name, bot_names, ..NewServer::default() };
                let added = add_server(&pool, &new).await.map_err(CommandError::failed)?;
                print_json(&json!({ "server_id": added.server_id, "token": added.token.expose() }))
            }
            ServerCommand::BotNames { server_id, bot_names, settings } => {
                let pool = open(settings).await?;
                let bot_names =
                    set_bot_names(&pool, server_id, &bot_names).await.map_err(CommandError::failed)?;
                print_json(&json!({ "server_id": server_id, "bot_names": bot_names }))
            }
            ServerCommand::List { settings } => {
                let servers =
                    list_servers(&open(settings).await?, None).await.map_err(CommandError::failed)?;
                print_json(&json!({ "servers": servers }))
            }
            ServerCommand::Key { settings } => {
                let config = load(settings, Purpose::MAKE_KEYS)?;
                let not_set = || CommandError::Usage("JWT_SECRET is not set".to_owned());
                let secret = config.jwt_secret.as_ref().ok_or_else(not_set)?;
                let codes = ShortCodes::new(secret, config.jwt_secret_previous.as_ref());
                let pool = open_postgres(&config).await?;
                let made = make_server_key(&pool, &codes, Changer::Operator).await;
                let made = made.map_err(CommandError::failed)?;
                print_json(&json!({ "key": made.key, "expires_at": made.expires_at }))
            }
            ServerCommand::Approve { server_id, settings } => {
                let pool = open(settings).await?;
                approve_server(&pool, Changer::Operator, server_id, None)
                    .await
                    .map_err(CommandError::failed)?;
                print_json(&json!({ "server_id": server_id, "approved": true }))
            }
            ServerCommand::Revoke { server_id, settings } => {
                let pool = open(settings).await?;
                let revoked = revoke_server_tokens(&pool, Changer::Operator, server_id)
                    .await
                    .map_err(CommandError::failed)?;
                print_json(&json!({ "server_id": server_id, "revoked_tokens": revoked }))
            }
        }
    })
}

async fn open(settings: SettingFlags) -> Result<PgPool, CommandError> {
    open_postgres(&load(settings, Purpose::CHANGE_SERVERS)?).await
}
