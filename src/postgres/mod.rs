//! PostgreSQL: the truth about users, servers and tournaments. Queries stand beside their callers; here is only what
//! all of them share. The pool connects when it is first used, so that the service starts and takes events while
//! PostgreSQL is away.

mod primary;
pub mod watch;

use crate::config::StoreUrl;
use crate::http::ApiError;
use actix_web::http::StatusCode;
use sqlx::{
    Connection as _, PgConnection, PgPool, Row as _,
    migrate::{MigrateError, Migrator},
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::time::Duration;

/// The schema, compiled in; it only ever goes forward.
static MIGRATIONS: Migrator = sqlx::migrate!();

/// Connections of one process; a few suffice, as events never wait for PostgreSQL.
const MOST_CONNECTIONS: u32 = 10;
/// A request that finds no connection for so long is better told so.
const LONGEST_WAIT_FOR_A_CONNECTION: Duration = Duration::from_secs(3);
/// A connection that answered so lately is used without asking it first whether it is still there: that would be as many questions
/// again. Its failure is answered as any other.
const TRUSTED_FOR: Duration = Duration::from_secs(1);
/// A statement that runs longer is cancelled by the server.
const STATEMENT_TIMEOUT: &str = "10s";
/// A node that vanishes without a word (its machine lost power, its network is gone) is noticed by PostgreSQL within half a minute
/// instead of hours; then its locks are free, for which the writers of all other nodes may be standing aside.
const SIGNS_OF_LIFE: [(&str, &str); 3] =
    [("tcp_keepalives_idle", "10"), ("tcp_keepalives_interval", "5"), ("tcp_keepalives_count", "3")];
const RETRY_AFTER_SECONDS: u32 = 5;
/// Between two tries to take a table's lock.
const LOCK_RETRY: Duration = Duration::from_secs(1);
/// Readiness says within this time that PostgreSQL does not answer.
const LONGEST_CHECK: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    #[error("the address of PostgreSQL can't be used")]
    Address(#[source] sqlx::Error),
    #[error("cannot bring PostgreSQL's schema up to date: {0}")]
    Migrate(#[from] MigrateError),
    #[error("PostgreSQL does not answer")]
    NoAnswer,
    #[error("PostgreSQL can't be asked: {0}")]
    Query(#[from] sqlx::Error),
}

/// What a caller is told whose question PostgreSQL did not answer: `message` under 503 `code`, or 422 where it was the
/// question's fault, which held what can't be stored as text (a NUL).
pub fn unanswered(code: &'static str, message: &'static str, cause: sqlx::Error) -> ApiError {
    let sql_state = cause.as_database_error().and_then(|error| error.code());
    match sql_state.as_deref() {
        Some("22021" | "22P05") => ApiError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "validation_failed",
            "a text holds a NUL character",
        )
        .with_source(cause),
        _ => ApiError::unavailable(code, message, RETRY_AFTER_SECONDS).with_source(cause),
    }
}

/// Whether PostgreSQL refuses what a statement holds (class 22): trying it again changes nothing.
pub fn is_about_the_data(error: &sqlx::Error) -> bool {
    let sql_state = error.as_database_error().and_then(|error| error.code());
    sql_state.is_some_and(|state| state.starts_with("22"))
}

/// A pool that connects when it is used. Of several servers it connects to the primary, whichever that is at the time; then it must be
/// made within a runtime.
///
/// # Errors
/// When an address can't be used.
pub fn pool(url: &StoreUrl) -> Result<PgPool, PostgresError> {
    let mut servers = Vec::new();
    for server in url.servers() {
        let options: PgConnectOptions = server.parse().map_err(PostgresError::Address)?;
        servers.push(
            options
                .application_name("mohaa-stats")
                .options([("statement_timeout", STATEMENT_TIMEOUT)])
                .options(SIGNS_OF_LIFE),
        );
    }
    let first = servers.first().cloned().unwrap_or_default();
    let are_several = servers.len() > 1;
    let pool = pool_of(first, are_several);
    if are_several {
        tokio::spawn(primary::follow(pool.clone(), servers));
    }
    Ok(pool)
}

/// One of several servers may be a standby, or become one while a connection to it is open: it would answer, and refuse what is
/// written.
fn pool_of(server: PgConnectOptions, is_one_of_several: bool) -> PgPool {
    PgPoolOptions::new()
        .max_connections(MOST_CONNECTIONS)
        .acquire_timeout(LONGEST_WAIT_FOR_A_CONNECTION)
        .test_before_acquire(false)
        .before_acquire(move |connection, last| {
            Box::pin(async move {
                if last.idle_for < TRUSTED_FOR {
                    return Ok(true);
                }
                if is_one_of_several {
                    return primary::is_primary(connection).await;
                }
                connection.ping().await?;
                Ok(true)
            })
        })
        .after_connect(move |connection, _| {
            Box::pin(async move {
                match is_one_of_several && !primary::is_primary(connection).await? {
                    true => Err(sqlx::Error::Configuration("the server is a standby".into())),
                    false => Ok(()),
                }
            })
        })
        .after_release(|connection, _| Box::pin(async move { Ok(!is_in_transaction(connection).await?) }))
        .connect_lazy_with(server)
}

/// Whether a connection that comes back is still in a transaction: whoever waited for the answer to BEGIN and went away leaves one
/// that sqlx knows nothing of. Statements of others would run in it, be answered, and be rolled back with it: it is closed instead.
/// Only as a simple query has a transaction of its own begun in the same moment as its statement.
async fn is_in_transaction(connection: &mut PgConnection) -> sqlx::Result<bool> {
    let row = sqlx::raw_sql("SELECT now() <> statement_timestamp()").fetch_one(connection).await?;
    row.try_get(0)
}

/// Applies the migrations that are missing; several processes may do so at once.
pub async fn migrate(pool: &PgPool) -> Result<(), PostgresError> {
    // Not the pool's: whoever gives up waiting for this drops the connection, which ends its session. In the pool the session
    // would live on with the lock under which migrations run, and everybody else would wait for that.
    let mut connection = pool.acquire().await?.detach();
    // A migration, or the wait for another process that migrates, takes as long as it takes.
    sqlx::query("SET statement_timeout = 0").execute(&mut connection).await?;
    // But while it waits for whoever reads a table, such as a backup, everybody else waits behind it: it steps aside and tries again.
    sqlx::query("SET lock_timeout = '3s'").execute(&mut connection).await?;
    let mut migrations = Migrator { migrations: MIGRATIONS.migrations.clone(), ..Migrator::DEFAULT };
    // A newer version may have been there already: this one serves beside it.
    migrations.set_ignore_missing(true);
    let migrated = loop {
        match migrations.run(&mut connection).await {
            Err(error) if is_kept_waiting(&error) => tokio::time::sleep(LOCK_RETRY).await,
            ended => break ended,
        }
    };
    connection.close().await?;
    Ok(migrated?)
}

fn is_kept_waiting(error: &MigrateError) -> bool {
    let (MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _)) = error else {
        return false;
    };
    cause.as_database_error().and_then(|error| error.code()).as_deref() == Some("55P03")
}

/// Whether PostgreSQL answers now.
pub async fn check(pool: &PgPool) -> Result<(), PostgresError> {
    let answer = tokio::time::timeout(LONGEST_CHECK, sqlx::query("SELECT 1").execute(pool)).await;
    answer.map_err(|_| PostgresError::NoAnswer)??;
    Ok(())
}
