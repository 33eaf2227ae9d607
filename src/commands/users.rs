//! `user add`, `user login-link`.

use super::{CommandError, block_on, load, open_postgres, print_json};
use crate::{
    auth::{AccessTokens, Revocations, SessionKind, Sessions, make_further_login_link, make_login_link},
    cli::{SettingFlags, UserCommand},
    config::Purpose,
    users::{self, DisplayName, Role},
};
use serde_json::json;

pub fn user(command: UserCommand) -> Result<(), CommandError> {
    match command {
        UserCommand::Add { name, role, settings } => add(&name, role, settings),
        UserCommand::LoginLink { user_id, settings } => login_link(user_id, settings),
    }
}

fn login_link(user_id: i32, settings: SettingFlags) -> Result<(), CommandError> {
    let config = load(settings, Purpose::CHANGE_USERS)?;
    block_on(async {
        let pool = open_postgres(&config).await?;
        let user = users::find(&pool, user_id).await.map_err(CommandError::failed)?;
        user.ok_or_else(|| CommandError::failed(format!("there is no user {user_id}")))?;
        if users::is_banned(&pool, user_id).await.map_err(CommandError::failed)? {
            return Err(CommandError::failed(format!("user {user_id} is banned")));
        }
        let login_url = make_further_login_link(&pool, user_id, &config.base_url())
            .await
            .map_err(CommandError::failed)?;
        print_json(&json!({ "user_id": user_id, "login_url": login_url }))
    })
}

fn add(name: &str, role: Role, settings: SettingFlags) -> Result<(), CommandError> {
    let name: DisplayName = name.parse().map_err(|error| CommandError::Usage(format!("--name: {error}")))?;
    let config = load(settings, Purpose::CHANGE_USERS)?;
    let not_set = || CommandError::Usage("JWT_SECRET is not set".to_owned());
    let secret = config.jwt_secret.as_ref().ok_or_else(not_set)?;
    let tokens = AccessTokens::new(secret, config.jwt_secret_previous.as_ref());
    block_on(async {
        let pool = open_postgres(&config).await?;
        let user = users::add(&pool, &name, role).await.map_err(CommandError::failed)?;
        let sessions = Sessions::new(pool.clone(), tokens, Revocations::default());
        let opened = sessions
            .open(user.user_id, SessionKind::Operator, "made at the command line")
            .await
            .map_err(CommandError::failed)?;
        let login_url =
            make_login_link(&pool, user.user_id, &config.base_url()).await.map_err(CommandError::failed)?;
        print_json(
            &json!({ "user_id": user.user_id, "access_token": opened.access_token, "login_url": login_url }),
        )
    })
}
