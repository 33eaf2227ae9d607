//! PostgreSQL: the truth about users, servers and tournaments. Queries stand beside their callers; here is only what
//! all of them share. The pool connects when it is first used, so that the service starts and takes events while
//! PostgreSQL is away.

mod primary;
pub mod watch;

use crate::config::StoreUrl;
use crate::http::ApiError;
use actix_web::http::StatusCode;
use primary::{KnownPrimary, Servers};
use prometheus::{IntGauge, Registry};
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
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
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
/// made within a runtime, and waits until each of them has answered, or for two seconds.
///
/// # Errors
/// When an address can't be used.
pub async fn pool(url: &StoreUrl) -> Result<PgPool, PostgresError> {
    observed_pool(url, &Registry::new()).await
}

/// A [`pool`] whose servers are counted.
///
/// # Errors
/// When an address can't be used, or `registry` already holds a metric of this name.
pub async fn observed_pool(url: &StoreUrl, registry: &Registry) -> Result<PgPool, PostgresError> {
    let primaries = IntGauge::new(
        "mohaa_postgres_primaries",
        "Servers of POSTGRES_URL that say they are the primary, where it names several; one alone is not asked.",
    )?;
    registry.register(Box::new(primaries.clone()))?;
    let mut addresses = Vec::new();
    for server in url.servers() {
        let options: PgConnectOptions = server.parse().map_err(PostgresError::Address)?;
        addresses.push(
            options
                .application_name("mohaa-stats")
                .options([("statement_timeout", STATEMENT_TIMEOUT)])
                .options(SIGNS_OF_LIFE),
        );
    }
    if addresses.len() < 2 {
        return Ok(pool_of(addresses.pop().unwrap_or_default(), None));
    }
    let servers = Servers::find(addresses, primaries).await;
    let pool = pool_of(servers.address(), Some(servers.known()));
    tokio::spawn(servers.follow(pool.clone()));
    Ok(pool)
}

/// One of several servers may be a standby, or become one while a connection to it is open: it would answer, and refuse what is
/// written. Or another one is the primary instead: it would take what is written, and nobody else would see it.
fn pool_of(server: PgConnectOptions, primary: Option<KnownPrimary>) -> PgPool {
    let primary_at_connect = primary.clone();
    PgPoolOptions::new()
        .max_connections(MOST_CONNECTIONS)
        .acquire_timeout(LONGEST_WAIT_FOR_A_CONNECTION)
        .test_before_acquire(false)
        .before_acquire(move |connection, last| {
            let primary = primary.clone();
            Box::pin(async move {
                if primary.as_ref().is_some_and(|primary| primary.is_younger_than(last.age)) {
                    return Ok(false);
                }
                if last.idle_for < TRUSTED_FOR {
                    return Ok(true);
                }
                if let Some(primary) = primary {
                    return primary.is_at(connection).await;
                }
                connection.ping().await?;
                Ok(true)
            })
        })
        .after_connect(move |connection, _| {
            let primary = primary_at_connect.clone();
            Box::pin(async move {
                match primary {
                    Some(primary) if !primary.is_at(connection).await? => {
                        Err(sqlx::Error::Configuration("the server is not the primary".into()))
                    }
                    _ => Ok(()),
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
