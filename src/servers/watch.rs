//! The background task that keeps the known tokens true: it listens for notified changes, reads all tokens anew
//! every minute and after each loss of the connection, and keeps them in the data directory.

use super::{identify::KnownTokens, token::TokenHash};
use sqlx::postgres::{PgListener, PgNotification, PgPoolOptions};
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::{sync::watch as value, task::JoinHandle, time::Instant};

/// The channel of the triggers in `migrations/0002_servers.sql`.
const CHANNEL: &str = "server_tokens";
const READ_ALL_EVERY: Duration = Duration::from_secs(60);
/// A burst of changes is kept once.
const KEEP_AFTER: Duration = Duration::from_millis(50);
/// How long a start waits for PostgreSQL's first word.
const LONGEST_WAIT_AT_START: Duration = Duration::from_secs(1);
const LONGEST_CONNECT: Duration = Duration::from_secs(2);
const LONGEST_READ: Duration = Duration::from_secs(10);
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Ends the task when dropped.
pub struct Watcher(JoinHandle<Infallible>);

impl Drop for Watcher {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Starting,
    /// The tokens are those of PostgreSQL.
    Watching,
    Failed,
}

/// Starts the task and waits for its first attempt, or a moment.
pub async fn start(known: Arc<KnownTokens>) -> Watcher {
    let (progress, mut first_attempt) = value::channel(Progress::Starting);
    let watcher = Watcher(tokio::spawn(watch(known, progress)));
    let is_over = first_attempt.wait_for(|progress| *progress != Progress::Starting);
    // Neither a late nor a failed first attempt keeps the service from starting.
    let _ = tokio::time::timeout(LONGEST_WAIT_AT_START, is_over).await;
    watcher
}

async fn watch(known: Arc<KnownTokens>, progress: value::Sender<Progress>) -> Infallible {
    let mut pause = SHORTEST_PAUSE;
    let mut was_told = false;
    loop {
        let Err(error) = listen(&known, &progress).await;
        if progress.send_replace(Progress::Failed) == Progress::Watching {
            pause = SHORTEST_PAUSE;
            was_told = false;
        }
        if was_told {
            tracing::debug!(%error, "changes of server tokens are still not heard of");
        } else {
            tracing::warn!(%error, "changes of server tokens are not heard of: connecting again");
            was_told = true;
        }
        tokio::time::sleep(pause).await;
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}

#[derive(Debug, thiserror::Error)]
enum ListenError {
    #[error(transparent)]
    Postgres(#[from] sqlx::Error),
    #[error("PostgreSQL takes too long")]
    TooSlow(#[from] tokio::time::error::Elapsed),
    #[error("the connection was lost")]
    Lost,
}

/// Listens until the connection fails. Listening begins before the tokens are read, so no change falls in between.
async fn listen(
    known: &Arc<KnownTokens>,
    progress: &value::Sender<Progress>,
) -> Result<Infallible, ListenError> {
    let connection = PgPoolOptions::new()
        .max_connections(1)
        .max_lifetime(None)
        .idle_timeout(None)
        .acquire_timeout(LONGEST_CONNECT)
        .connect_lazy_with(known.pool.connect_options().as_ref().clone());
    let mut listener = PgListener::connect_with(&connection).await?;
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;

    let mut read_all_at = Instant::now();
    let mut keep_at: Option<Instant> = None;
    loop {
        tokio::select! {
            biased;
            notification = listener.try_recv() => {
                let notification = notification?.ok_or(ListenError::Lost)?;
                apply(known, &notification).await?;
                keep_at.get_or_insert(Instant::now() + KEEP_AFTER);
            }
            () = tokio::time::sleep_until(keep_at.unwrap_or(read_all_at)), if keep_at.is_some() => {
                keep_at = None;
                keep(known).await;
            }
            () = tokio::time::sleep_until(read_all_at) => {
                tokio::time::timeout(LONGEST_READ, known.read_all()).await??;
                if progress.send_replace(Progress::Watching) != Progress::Watching {
                    tracing::info!("server tokens are read and watched");
                }
                read_all_at = Instant::now() + READ_ALL_EVERY;
                keep(known).await;
            }
        }
    }
}

/// The payload is a token's hash, or the id of a server whose name, approval or existence changed.
async fn apply(known: &KnownTokens, notification: &PgNotification) -> Result<(), ListenError> {
    match TokenHash::from_hex(notification.payload()) {
        Some(hash) => tokio::time::timeout(LONGEST_READ, known.token_changed(hash)).await??,
        None => tokio::time::timeout(LONGEST_READ, known.read_all()).await??,
    }
    Ok(())
}

async fn keep(known: &Arc<KnownTokens>) {
    let known = known.clone();
    let kept = tokio::task::spawn_blocking(move || known.keep()).await;
    if let Err(error) = kept {
        tracing::error!(%error, "keeping server tokens failed");
    }
}
