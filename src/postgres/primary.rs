//! Which of several servers is the primary.
//!
//! A pool has one address at a time. A task asks the server behind it every second, over a connection of its own, whether it is still
//! the primary; when it says no, or nothing, all servers are asked, and new connections of the pool go to the one that says yes. Until
//! there is one nothing is changed: whoever wants a connection waits, and is told that PostgreSQL is away.
//!
//! Who becomes the primary is decided elsewhere (an operator, Patroni, repmgr). Two that say so at once are not told apart: the one in use
//! stays in use.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection, PgPool};

const ASK_EVERY: Duration = Duration::from_secs(1);
/// A server that says nothing for so long is away.
const ANSWER_PATIENCE: Duration = Duration::from_secs(2);

/// Whether the server at the other end takes what is written.
///
/// # Errors
/// When it does not answer.
pub async fn is_primary(connection: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT NOT pg_is_in_recovery()").fetch_one(connection).await
}

/// Keeps the pool's address that of the primary until the pool is closed. `servers` are at least two, the pool's own is the first.
pub async fn follow(pool: PgPool, servers: Vec<PgConnectOptions>) {
    let mut in_use = 0;
    let mut connection = None;
    let mut is_told = false;
    while !pool.is_closed() {
        if !still_primary(&mut connection).await {
            match find(&servers).await {
                Some((found, to_it)) => {
                    if found != in_use {
                        pool.set_connect_options(servers[found].clone());
                        tracing::warn!(
                            host = servers[found].get_host(),
                            "PostgreSQL's primary is another server now"
                        );
                    }
                    (in_use, connection, is_told) = (found, Some(to_it), false);
                }
                None if !is_told => {
                    tracing::warn!("none of PostgreSQL's servers is the primary");
                    is_told = true;
                }
                None => {}
            }
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// Closes the connection to one that is not, or says nothing.
async fn still_primary(connection: &mut Option<PgConnection>) -> bool {
    let Some(asked) = connection else { return false };
    let is_it = matches!(tokio::time::timeout(ANSWER_PATIENCE, is_primary(asked)).await, Ok(Ok(true)));
    if !is_it {
        *connection = None;
    }
    is_it
}

/// The first that says that it is the primary; all are asked at once, as some may say nothing.
async fn find(servers: &[PgConnectOptions]) -> Option<(usize, PgConnection)> {
    let asking = servers.iter().map(|server| {
        tokio::time::timeout(ANSWER_PATIENCE, async move {
            let mut connection = PgConnection::connect_with(server).await?;
            let is_it = is_primary(&mut connection).await?;
            Ok::<_, sqlx::Error>((is_it, connection))
        })
    });
    let answers = futures_util::future::join_all(asking).await;
    answers.into_iter().enumerate().find_map(|(index, answer)| match answer {
        Ok(Ok((true, connection))) => Some((index, connection)),
        _ => None,
    })
}
