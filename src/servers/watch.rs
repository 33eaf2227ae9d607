//! Keeps the known tokens true: hears of notified changes, reads all tokens anew every minute and after each loss of the
//! connection, and keeps them in the data directory.

use super::{identify::KnownTokens, token::TokenHash};
use crate::postgres::watch::{self, LONGEST_READ, Progress, WatchError, Watcher};
use sqlx::postgres::PgNotification;
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::time::Instant;

/// The channel of the triggers in `migrations/0002_servers.sql`.
const CHANNEL: &str = "server_tokens";
const READ_ALL_EVERY: Duration = Duration::from_secs(60);
/// A burst of changes is kept once.
const KEEP_AFTER: Duration = Duration::from_millis(50);

pub async fn start(known: Arc<KnownTokens>) -> Watcher {
    watch::start("server tokens", move |progress| listen(known.clone(), progress)).await
}

/// Listens until the connection fails. Listening begins before the tokens are read, so no change falls in between.
async fn listen(known: Arc<KnownTokens>, progress: Arc<Progress>) -> Result<Infallible, WatchError> {
    let mut listener = watch::listen(&known.pool, CHANNEL).await?;
    let mut read_all_at = Instant::now();
    let mut keep_at: Option<Instant> = None;
    loop {
        tokio::select! {
            biased;
            notification = listener.next() => {
                let notification = notification?;
                apply(&known, &notification).await?;
                keep_at.get_or_insert(Instant::now() + KEEP_AFTER);
            }
            () = tokio::time::sleep_until(keep_at.unwrap_or(read_all_at)), if keep_at.is_some() => {
                keep_at = None;
                keep(&known).await;
            }
            () = tokio::time::sleep_until(read_all_at) => {
                tokio::time::timeout(LONGEST_READ, known.read_all()).await??;
                progress.watching();
                read_all_at = Instant::now() + READ_ALL_EVERY;
                keep(&known).await;
            }
        }
    }
}

/// The payload is a token's hash, or the id of a server whose name, approval or existence changed.
async fn apply(known: &KnownTokens, notification: &PgNotification) -> Result<(), WatchError> {
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
