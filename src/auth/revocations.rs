//! Which access tokens no longer open anything, though they have not expired.
//!
//! Access tokens are checked without asking PostgreSQL. So each process remembers which sessions have ended and which users'
//! access has changed in the last minutes, as long as a token that says otherwise may still be about; later ones
//! have expired. It hears of a change at once by notification, and reads all of them anew every half minute and whenever
//! its connection had been lost. While PostgreSQL is away nothing can be revoked, and what is remembered stays.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;
use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, PoisonError, RwLock, RwLockWriteGuard},
    time::Duration,
};
use tokio::time::Instant;
use uuid::Uuid;

use super::ACCESS_TOKEN_LIFETIME;
use crate::postgres::watch::{self, LONGEST_READ, Progress, WatchError, Watcher};

/// The channel of the triggers in `migrations/0007_sessions.sql`.
const CHANNEL: &str = "access";
const READ_ALL_EVERY: Duration = Duration::from_secs(30);
/// Beyond a token's life: clocks of nodes and of PostgreSQL may differ by so much.
const MARGIN: Duration = Duration::from_secs(60);

/// What is remembered. Cheap to clone; clones are one memory.
#[derive(Clone, Debug, Default)]
pub struct Revocations {
    state: Arc<RwLock<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Ended sessions, and until when a token of theirs may be about.
    ended_sessions: HashMap<Uuid, DateTime<Utc>>,
    users: HashMap<i32, UserAccess>,
}

impl State {
    /// Of two that were read side by side the earlier one may come last: what has ended stays ended.
    fn learn(&mut self, access: UserAccess) {
        let known = self.users.entry(access.user_id).or_insert(access);
        if known.generation < access.generation {
            *known = access;
        }
    }
}

/// A user whose access has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct UserAccess {
    #[sqlx(rename = "id")]
    user_id: i32,
    /// Tokens of an earlier one open nothing.
    #[sqlx(rename = "access_generation")]
    generation: i32,
    banned: bool,
}

/// Why a token opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoked {
    SessionEnded,
    AccessChanged,
    Banned,
}

impl Revocations {
    /// Whether a token of this session, made for this generation of the user's access, opens nothing.
    pub fn of(&self, session_id: Uuid, user_id: i32, generation: i32) -> Option<Revoked> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(user) = state.users.get(&user_id).filter(|user| generation < user.generation) {
            return Some(if user.banned { Revoked::Banned } else { Revoked::AccessChanged });
        }
        state.ended_sessions.contains_key(&session_id).then_some(Revoked::SessionEnded)
    }

    /// Takes effect in this process at once; the others hear of it by PostgreSQL.
    pub fn session_ended(&self, session_id: Uuid) {
        self.state().ended_sessions.insert(session_id, Utc::now() + longest_life());
    }

    /// As [`session_ended`](Self::session_ended), for a user whose role, ban or existence changed.
    pub async fn user_changed(&self, pool: &PgPool, user_id: i32) -> sqlx::Result<()> {
        let access: Option<UserAccess> = sqlx::query_as(
            "SELECT id, access_generation, banned_at IS NOT NULL AND deleted_at IS NULL AS banned FROM users
             WHERE id = $1",
        )
        .bind(user_id)
        .fetch_optional(pool)
        .await?;
        if let Some(access) = access {
            self.state().learn(access);
        }
        Ok(())
    }

    /// Keeps the memory true until the watcher is dropped.
    pub async fn watch(&self, pool: PgPool) -> Watcher {
        let memory = self.clone();
        watch::start("ended sessions", move |progress| memory.clone().listen(pool.clone(), progress)).await
    }

    async fn listen(self, pool: PgPool, progress: Arc<Progress>) -> Result<Infallible, WatchError> {
        let mut listener = watch::listen(&pool, CHANNEL).await?;
        let mut read_all_at = Instant::now();
        loop {
            tokio::select! {
                biased;
                notification = listener.next() => {
                    let notification = notification?;
                    tokio::time::timeout(LONGEST_READ, self.apply(&pool, notification.payload())).await??;
                }
                () = tokio::time::sleep_until(read_all_at) => {
                    tokio::time::timeout(LONGEST_READ, self.read_all(&pool)).await??;
                    progress.watching();
                    read_all_at = Instant::now() + READ_ALL_EVERY;
                }
            }
        }
    }

    /// `session <uuid>` or `user <id>`.
    async fn apply(&self, pool: &PgPool, payload: &str) -> sqlx::Result<()> {
        match payload.split_once(' ') {
            Some(("session", id)) => {
                if let Ok(session_id) = id.parse() {
                    self.session_ended(session_id);
                }
                Ok(())
            }
            Some(("user", id)) => match id.parse() {
                Ok(user_id) => self.user_changed(pool, user_id).await,
                Err(_) => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// By `sessions_by_end` and `users_by_access_change`.
    async fn read_all(&self, pool: &PgPool) -> sqlx::Result<()> {
        let seconds = longest_life().num_seconds();
        let ended: Vec<(Uuid, DateTime<Utc>)> = sqlx::query_as(
            "SELECT id, ended_at FROM sessions WHERE ended_at > now() - make_interval(secs => $1::integer)",
        )
        .bind(seconds)
        .fetch_all(pool)
        .await?;
        let users: Vec<UserAccess> = sqlx::query_as(
            "SELECT id, access_generation, banned_at IS NOT NULL AND deleted_at IS NULL AS banned FROM users
             WHERE access_changed_at > now() - make_interval(secs => $1::integer)",
        )
        .bind(seconds)
        .fetch_all(pool)
        .await?;
        let now = Utc::now();
        let mut state = self.state();
        // What this process ended itself may not be in the answer yet.
        state.ended_sessions.retain(|_, until| now < *until);
        state.ended_sessions.extend(ended.into_iter().map(|(id, ended_at)| (id, ended_at + longest_life())));
        // Few users change: they are kept as long as the process lives.
        users.into_iter().for_each(|access| state.learn(access));
        Ok(())
    }

    fn state(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn longest_life() -> TimeDelta {
    TimeDelta::from_std(ACCESS_TOKEN_LIFETIME + MARGIN).unwrap_or(TimeDelta::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_earlier_and_comes_later_gives_no_access_back() {
        let revocations = Revocations::default();
        let access = |generation, banned| UserAccess { user_id: 1, generation, banned };
        for read in [access(1, false), access(2, true), access(1, false)] {
            revocations.state().learn(read);
        }
        assert_eq!(revocations.of(Uuid::nil(), 1, 1), Some(Revoked::Banned));
        assert_eq!(revocations.of(Uuid::nil(), 1, 2), None);
    }
}
