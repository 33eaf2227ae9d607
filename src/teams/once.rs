//! Changes of teams that are sent again: done once, and answered as they were the first time, for a day.
//!
//! What was answered is written in the transaction of the change, whose user is locked: of two requests under one key the later
//! waits and finds it. Refusals are not kept: who tries again is judged anew.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};

use super::TeamError;
use crate::auth::Identity;
use crate::http::Once;
use crate::users::lock_caller;

/// How a change begins.
pub(super) enum Begun<T> {
    /// The caller is locked.
    Anew(Transaction<'static, Postgres>),
    /// It was done before: its answer.
    Before(T),
}

/// # Errors
/// [`TeamError::KeyReused`] where the key was of another request.
pub(super) async fn begin<T: DeserializeOwned + Send + Unpin>(
    pool: &PgPool,
    by: Identity,
    once: &Once,
) -> Result<Begun<T>, TeamError> {
    let mut transaction = pool.begin().await?;
    lock_caller(&mut transaction, by).await?;
    let Some(key) = &once.key else { return Ok(Begun::Anew(transaction)) };
    // By primary key.
    let answered: Option<(Vec<u8>, Json<serde_json::Value>)> = sqlx::query_as(
        "SELECT asked, answer FROM answered_requests
         WHERE user_id = $1 AND key = $2 AND answered_at > now() - interval '1 day'",
    )
    .bind(by.user_id)
    .bind(key)
    .fetch_optional(&mut *transaction)
    .await?;
    match answered {
        None => Ok(Begun::Anew(transaction)),
        Some((asked, _)) if asked != once.asked => Err(TeamError::KeyReused),
        Some((_, answer)) => {
            let answer = serde_json::from_value(answer.0);
            Ok(Begun::Before(answer.map_err(|error| sqlx::Error::Decode(error.into()))?))
        }
    }
}

/// Keeps what a change that is sent again is to be answered, and commits it.
pub(super) async fn commit<T: Serialize + Sync>(
    mut transaction: Transaction<'static, Postgres>,
    by: Identity,
    once: &Once,
    answer: &T,
) -> Result<(), TeamError> {
    keep(&mut transaction, by, once, answer).await?;
    Ok(transaction.commit().await?)
}

async fn keep<T: Serialize + Sync>(
    connection: &mut PgConnection,
    by: Identity,
    once: &Once,
    answer: &T,
) -> sqlx::Result<()> {
    let Some(key) = &once.key else { return Ok(()) };
    // The user's own, who is locked; by the primary key.
    sqlx::query(
        "DELETE FROM answered_requests WHERE user_id = $1 AND answered_at <= now() - interval '1 day'",
    )
    .bind(by.user_id)
    .execute(&mut *connection)
    .await?;
    sqlx::query("INSERT INTO answered_requests (user_id, key, asked, answer) VALUES ($1, $2, $3, $4)")
        .bind(by.user_id)
        .bind(key)
        .bind(once.asked.as_slice())
        .bind(Json(answer))
        .execute(connection)
        .await?;
    Ok(())
}
