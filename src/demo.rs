//! What `demo` adds to a service: servers that play for ever, so that a newcomer sees life, and an admin's way in.

use std::time::Duration;

use sqlx::PgPool;

use crate::auth::make_login_link;
use crate::servers::{self, Changer, NewServer, ServerError};
use crate::users::{self, Role};
use crate::{postgres, simulate};

const SERVERS: [&str; 4] =
    ["Omaha Beach 24/7", "Stalingrad Freeforall", "The Bridge Objective", "Old Guard TDM"];
const ADMIN: &str = "Demo admin";
/// Between two tries while PostgreSQL is not ready.
const RETRY: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
enum DemoError {
    #[error(transparent)]
    Schema(#[from] postgres::PostgresError),
    #[error(transparent)]
    Servers(#[from] ServerError),
    #[error("users can't be read or changed: {0}")]
    Users(#[from] sqlx::Error),
    #[error("{0}")]
    Name(#[from] users::InvalidDisplayName),
}

/// Plays on the service at `url` for ever.
pub async fn run(postgres: PgPool, url: String) {
    let tokens = loop {
        match prepare(&postgres, &url).await {
            Ok(tokens) => break tokens,
            Err(error) => tracing::warn!(%error, "demo servers can't be added yet"),
        }
        tokio::time::sleep(RETRY).await;
    };
    if let Err(error) = simulate::demo(url, tokens, std::future::pending()).await {
        tracing::error!(%error, "the demo ended");
    }
}

async fn prepare(postgres: &PgPool, url: &str) -> Result<Vec<String>, DemoError> {
    postgres::migrate(postgres).await?;
    let tokens = server_tokens(postgres).await?;
    let link = make_login_link(postgres, admin(postgres).await?, url).await?;
    // For who sits at the terminal, and not for a log: it opens a door.
    eprintln!("to look around as its admin, sign in once within 24 hours: {link}");
    Ok(tokens)
}

/// A fresh token for each demo server; the servers themselves stay the same over restarts.
async fn server_tokens(postgres: &PgPool) -> Result<Vec<String>, DemoError> {
    let known = servers::list_servers(postgres, None).await?;
    let mut tokens = Vec::new();
    for name in SERVERS {
        let token = match known.iter().find(|server| server.name == name) {
            Some(server) => {
                servers::rotate_server_token(postgres, Changer::Operator, server.server_id).await?
            }
            None => {
                let new = NewServer { name: name.to_owned(), ..Default::default() };
                servers::add_server(postgres, &new).await?.token
            }
        };
        tokens.push(token.expose().to_owned());
    }
    Ok(tokens)
}

/// The demo's admin, the same over restarts.
async fn admin(postgres: &PgPool) -> Result<i32, DemoError> {
    let known = sqlx::query_scalar(
        "SELECT id FROM users WHERE display_name = $1 AND role = 'admin' AND banned_at IS NULL AND deleted_at IS NULL
         ORDER BY id LIMIT 1",
    )
    .bind(ADMIN)
    .fetch_optional(postgres)
    .await?;
    match known {
        Some(user_id) => Ok(user_id),
        None => Ok(users::add(postgres, &ADMIN.parse()?, Role::Admin).await?.user_id),
    }
}
