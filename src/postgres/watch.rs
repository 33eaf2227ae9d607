//! Memories of what PostgreSQL says, kept true by its notifications: a task listens, reads everything anew whenever the
//! connection had been lost, and connects again for ever.

use sqlx::PgPool;
use sqlx::postgres::{PgListener, PgPoolOptions};
use std::{convert::Infallible, time::Duration};
use tokio::{sync::watch as value, task::JoinHandle};

/// How long a start waits for PostgreSQL's first word.
const LONGEST_WAIT_AT_START: Duration = Duration::from_secs(1);
const LONGEST_CONNECT: Duration = Duration::from_secs(2);
pub const LONGEST_READ: Duration = Duration::from_secs(10);
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

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
    mut attempt: impl FnMut(std::sync::Arc<Progress>) -> F + Send + 'static,
) -> Watcher
where
    F: Future<Output = Result<Infallible, WatchError>> + Send,
{
    let (reached, mut first_attempt) = value::channel(Reached::Nothing);
    let progress = std::sync::Arc::new(Progress { what, reached });
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

/// A listener on a connection of its own, which the pool's other users can't be kept waiting by. It is lost rather than
/// made anew behind the caller's back.
pub async fn listen(pool: &PgPool, channel: &str) -> Result<PgListener, WatchError> {
    let connection = PgPoolOptions::new()
        .max_connections(1)
        .max_lifetime(None)
        .idle_timeout(None)
        .acquire_timeout(LONGEST_CONNECT)
        .connect_lazy_with(pool.connect_options().as_ref().clone());
    let mut listener = PgListener::connect_with(&connection).await?;
    listener.eager_reconnect(false);
    listener.listen(channel).await?;
    Ok(listener)
}
