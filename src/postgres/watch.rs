//! Memories of what PostgreSQL says, kept true by its notifications: a task listens, reads everything anew whenever the
//! connection had been lost, and connects again for ever.

use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgListener, PgNotification, PgPoolOptions};
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::{sync::watch as value, task::JoinHandle, time::Instant};

/// How long a start waits for PostgreSQL's first word.
const LONGEST_WAIT_AT_START: Duration = Duration::from_secs(1);
const LONGEST_CONNECT: Duration = Duration::from_secs(2);
/// Of a connection that is listened on.
const ASK_WHEN_SILENT_FOR: Duration = Duration::from_secs(5);
pub const LONGEST_READ: Duration = Duration::from_secs(10);
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Between two looks whether the pool has gone to another server.
const LOOK_FOR_A_MOVE_EVERY: Duration = Duration::from_secs(1);

/// Ends the task when dropped.
#[derive(Debug)]
pub struct Watcher(JoinHandle<Infallible>);

impl Drop for Watcher {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    #[error(transparent)]
    Postgres(#[from] sqlx::Error),
    #[error("PostgreSQL takes too long")]
    TooSlow(#[from] tokio::time::error::Elapsed),
    #[error("the connection was lost")]
    Lost,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reached {
    Nothing,
    /// What is remembered is what PostgreSQL says.
    Watching,
    Failed,
}

/// How far an attempt has come.
pub struct Progress {
    what: &'static str,
    reached: value::Sender<Reached>,
}

impl Progress {
    /// What is remembered is what PostgreSQL says, and changes are heard of from here on.
    pub fn watching(&self) {
        if self.reached.send_replace(Reached::Watching) != Reached::Watching {
            tracing::info!("{} are read and watched", self.what);
        }
    }
}

/// Makes `attempt` again and again, which ends when its connection does. Waits for the first one, or a moment: neither a
/// late nor a failed one keeps the service from starting.
///
/// `what` is remembered, in the plural.
pub async fn start<F>(
    what: &'static str,
    mut attempt: impl FnMut(Arc<Progress>) -> F + Send + 'static,
) -> Watcher
where
    F: Future<Output = Result<Infallible, WatchError>> + Send,
{
    let (reached, mut first_attempt) = value::channel(Reached::Nothing);
    let progress = Arc::new(Progress { what, reached });
    let watcher = Watcher(tokio::spawn(async move {
        let mut pause = SHORTEST_PAUSE;
        let mut was_told = false;
        loop {
            let Err(error) = attempt(progress.clone()).await;
            if progress.reached.send_replace(Reached::Failed) == Reached::Watching {
                pause = SHORTEST_PAUSE;
                was_told = false;
            }
            if was_told {
                tracing::debug!(%error, "changes of {what} are still not heard of");
            } else {
                tracing::warn!(%error, "changes of {what} are not heard of: connecting again");
                was_told = true;
            }
            tokio::time::sleep(pause).await;
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }));
    let is_over = first_attempt.wait_for(|reached| *reached != Reached::Nothing);
    let _ = tokio::time::timeout(LONGEST_WAIT_AT_START, is_over).await;
    watcher
}

/// Hears notifications on a connection of its own, which the pool's other users can't be kept waiting by. It is lost rather than
/// made anew behind the caller's back.
pub struct Listener {
    connection: PgListener,
    heard_at: Instant,
    pool: PgPool,
    /// The pool's address when the connection was made.
    server: Arc<PgConnectOptions>,
}

/// Listens on a channel, at the server that the pool goes to now.
///
/// # Errors
/// When PostgreSQL can't be reached.
pub async fn listen(pool: &PgPool, channel: &str) -> Result<Listener, WatchError> {
    let server = pool.connect_options();
    let connection = PgPoolOptions::new()
        .max_connections(1)
        .max_lifetime(None)
        .idle_timeout(None)
        .acquire_timeout(LONGEST_CONNECT)
        .connect_lazy_with(server.as_ref().clone());
    let mut connection = PgListener::connect_with(&connection).await?;
    connection.eager_reconnect(false);
    connection.listen(channel).await?;
    Ok(Listener { connection, heard_at: Instant::now(), pool: pool.clone(), server })
}

impl Listener {
    /// Listens on one more channel.
    ///
    /// # Errors
    /// When PostgreSQL can't be reached.
    pub async fn listen(&mut self, channel: &str) -> Result<(), WatchError> {
        Ok(self.connection.listen(channel).await?)
    }

    /// The next notification; may be dropped and called again. A connection that says nothing is asked now and then whether it
    /// is still there: of a server that lost its power TCP hears nothing by itself.
    ///
    /// # Errors
    /// When the connection is lost, or is one to a server that the pool has left: nothing is told there any more, even where it
    /// lives on.
    pub async fn next(&mut self) -> Result<PgNotification, WatchError> {
        loop {
            let silent_until = self.heard_at + ASK_WHEN_SILENT_FOR;
            tokio::select! {
                told = self.connection.try_recv() => {
                    self.heard_at = Instant::now();
                    return told?.ok_or(WatchError::Lost);
                }
                () = is_left(&self.pool, &self.server) => return Err(WatchError::Lost),
                () = tokio::time::sleep_until(silent_until) => {}
            }
            let asked = sqlx::query("SELECT 1").execute(&mut self.connection);
            tokio::time::timeout(LONGEST_CONNECT, asked).await??;
            self.heard_at = Instant::now();
        }
    }
}

async fn is_left(pool: &PgPool, server: &Arc<PgConnectOptions>) {
    while Arc::ptr_eq(&pool.connect_options(), server) {
        tokio::time::sleep(LOOK_FOR_A_MOVE_EVERY).await;
    }
}
