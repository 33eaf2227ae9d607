//! Which of our users an account of a provider opens.

use serde_json::json;
use sqlx::{PgConnection, PgPool};

use super::ProvidersAccount;
use crate::audit::{self, By, Entry};
use crate::auth::Identity;
use crate::users::{CallerError, DisplayName, Role, lock_caller, lock_user};

const LONGEST_NAME_CHARS: usize = 64;

#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    #[error("this sign-in belongs to another account")]
    Taken,
    #[error("there is no such sign-in")]
    Unknown,
    #[error("this sign-in was taken from its account at this moment: sign in again")]
    Gone,
    #[error("this is the only way into the account: link another one first")]
    Last,
    #[error(transparent)]
    Caller(#[from] CallerError),
    #[error("sign-ins can't be read or changed: {0}")]
    Store(#[from] sqlx::Error),
}

/// A name of theirs as one of ours.
fn display_name(account: &ProvidersAccount) -> String {
    let visible: String = account.display_name.chars().filter(|c| !c.is_control()).collect();
    let cut: String = visible.trim().chars().take(LONGEST_NAME_CHARS).collect();
    match cut.parse::<DisplayName>() {
        Ok(name) => name.as_str().to_owned(),
        Err(_) => format!("{} user", account.provider),
    }
}

/// The user of an account, who is locked until the transaction ends; a new one when it comes for the first time. An account
/// that is taken from its user at the same moment opens it before that, with a session that is there to be ended, or
/// not at all.
pub(super) async fn user_of(
    connection: &mut PgConnection,
    account: &ProvidersAccount,
) -> Result<i32, SignInError> {
    let name = display_name(account);
    // Serialises the first sign-ins of one account: it never opens two.
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(format!("{} {}", account.provider, account.subject))
        .execute(&mut *connection)
        .await?;
    let known: Option<i32> =
        sqlx::query_scalar("SELECT user_id FROM sign_ins WHERE provider = $1 AND subject = $2")
            .bind(account.provider)
            .bind(&account.subject)
            .fetch_optional(&mut *connection)
            .await?;
    match known {
        Some(user_id) => {
            lock_user(&mut *connection, user_id).await?;
            let still_opens = sqlx::query(
                "UPDATE sign_ins SET display_name = $3, last_used_at = now()
                 WHERE provider = $1 AND subject = $2 AND user_id = $4",
            )
            .bind(account.provider)
            .bind(&account.subject)
            .bind(&name)
            .bind(user_id)
            .execute(connection)
            .await?;
            if still_opens.rows_affected() == 1 { Ok(user_id) } else { Err(SignInError::Gone) }
        }
        None => add_user(connection, account, &name).await,
    }
}

async fn add_user(
    connection: &mut PgConnection,
    account: &ProvidersAccount,
    name: &str,
) -> Result<i32, SignInError> {
    let user_id: i32 =
        sqlx::query_scalar("INSERT INTO users (display_name, role) VALUES ($1, $2) RETURNING id")
            .bind(name)
            .bind(Role::Player.as_str())
            .fetch_one(&mut *connection)
            .await?;
    sqlx::query("INSERT INTO sign_ins (provider, subject, user_id, display_name) VALUES ($1, $2, $3, $4)")
        .bind(account.provider)
        .bind(&account.subject)
        .bind(user_id)
        .bind(name)
        .execute(&mut *connection)
        .await?;
    let subject = user_id.to_string();
    let after = json!({ "provider": account.provider });
    audit::record(connection, entry(user_id, "user.add", &subject, after)).await?;
    Ok(user_id)
}

/// Links an account to a user who is signed in.
pub(super) async fn link(pool: &PgPool, by: Identity, account: &ProvidersAccount) -> Result<(), SignInError> {
    let user_id = by.user_id;
    let mut transaction = pool.begin().await?;
    // Who is being deleted, or signed out, gets no further way in.
    lock_caller(&mut transaction, by).await?;
    let added = sqlx::query(
        "INSERT INTO sign_ins (provider, subject, user_id, display_name) VALUES ($1, $2, $3, $4)
         ON CONFLICT (provider, subject) DO NOTHING",
    )
    .bind(account.provider)
    .bind(&account.subject)
    .bind(user_id)
    .bind(display_name(account))
    .execute(&mut *transaction)
    .await?;
    if added.rows_affected() == 0 {
        let owner: i32 =
            sqlx::query_scalar("SELECT user_id FROM sign_ins WHERE provider = $1 AND subject = $2")
                .bind(account.provider)
                .bind(&account.subject)
                .fetch_one(&mut *transaction)
                .await?;
        return if owner == user_id { Ok(()) } else { Err(SignInError::Taken) };
    }
    let subject = user_id.to_string();
    let after = json!({ "provider": account.provider });
    audit::record(&mut transaction, entry(user_id, "user.link_sign_in", &subject, after)).await?;
    transaction.commit().await?;
    Ok(())
}

/// Takes a sign-in from a user; not the last one, or nobody could get in any more.
pub async fn unlink_sign_in(
    pool: &PgPool,
    by: Identity,
    provider: &str,
    subject: &str,
) -> Result<(), SignInError> {
    let user_id = by.user_id;
    let mut transaction = pool.begin().await?;
    lock_caller(&mut transaction, by).await?;
    let all: Vec<(String, String)> =
        sqlx::query_as("SELECT provider, subject FROM sign_ins WHERE user_id = $1")
            .bind(user_id)
            .fetch_all(&mut *transaction)
            .await?;
    if !all.iter().any(|(one, other)| one == provider && other == subject) {
        return Err(SignInError::Unknown);
    }
    if all.len() == 1 {
        return Err(SignInError::Last);
    }
    sqlx::query("DELETE FROM sign_ins WHERE provider = $1 AND subject = $2")
        .bind(provider)
        .bind(subject)
        .execute(&mut *transaction)
        .await?;
    let user = user_id.to_string();
    let after = json!({ "provider": provider });
    audit::record(&mut transaction, entry(user_id, "user.unlink_sign_in", &user, after)).await?;
    transaction.commit().await?;
    Ok(())
}

fn entry<'a>(user_id: i32, action: &'a str, subject_id: &'a str, after: serde_json::Value) -> Entry<'a> {
    Entry {
        by: By::User(user_id),
        action,
        subject_kind: "user",
        subject_id,
        before: None,
        after: Some(after),
    }
}
