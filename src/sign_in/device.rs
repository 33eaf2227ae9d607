//! Devices without a browser (RFC 8628): the device shows a short code, somebody types it at `/device` and approves, and
//! the device, which has been asking meanwhile, gets its tokens once.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgPool};
use std::time::Duration;

use crate::audit::{self, By, Entry};
use crate::auth::{
    Identity, OpenedSession, SessionError, SessionKind, Sessions, ShortCodes, hash_of_code, random_code,
};
use crate::players::random_short_code;
use crate::users::{CallerError, lock_caller, lock_user};

pub(super) const LIFETIME: Duration = Duration::from_secs(600);
/// Seconds between two questions of a device.
pub(super) const INTERVAL_SECONDS: i32 = 5;
/// What a device that asks too often has to wait longer (RFC 8628, 3.5).
const SLOW_DOWN_SECONDS: i32 = 5;
const DEVICE_CODE_BYTES: usize = 32;
const LONGEST_NAME_CHARS: usize = 100;

/// Asks and answers for devices. Cheap to clone.
#[derive(Clone)]
pub struct Devices {
    pool: PgPool,
    codes: ShortCodes,
}

pub(super) struct Begun {
    pub(super) device_code: String,
    /// As people type it: `K7WQ-2MXHT`.
    pub(super) user_code: String,
}

/// Why a device gets no tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotYet {
    Pending,
    SlowDown,
    /// Or used.
    Expired,
    /// Never made: somebody guesses.
    Unknown,
    Denied,
}

/// A device as it asks whoever was given its code.
#[derive(Clone, Debug, FromRow)]
pub struct AskedDevice {
    pub client_name: String,
    pub expires_at: DateTime<Utc>,
}

#[derive(FromRow)]
struct DeviceRow {
    is_good: bool,
    is_used: bool,
    is_too_early: bool,
    approved: Option<bool>,
}

impl Devices {
    pub fn new(pool: PgPool, codes: ShortCodes) -> Self {
        Self { pool, codes }
    }

    pub(super) async fn begin(&self, client_name: &str) -> sqlx::Result<Begun> {
        let begun = Begun { device_code: random_code(DEVICE_CODE_BYTES), user_code: random_short_code() };
        let name: String = client_name.chars().filter(|c| !c.is_control()).take(LONGEST_NAME_CHARS).collect();
        let name = if name.trim().is_empty() { "a device" } else { name.trim() };
        // By `device_codes_by_expiry`.
        sqlx::query("DELETE FROM device_codes WHERE expires_at < now() - interval '1 hour'")
            .execute(&self.pool)
            .await?;
        sqlx::query(
            "INSERT INTO device_codes (device_code_hash, user_code_hash, client_name, interval_seconds, expires_at)
             VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5))",
        )
        .bind(hash_of_code(&begun.device_code).as_slice())
        .bind(self.codes.kept(&begun.user_code))
        .bind(name)
        .bind(INTERVAL_SECONDS)
        .bind(LIFETIME.as_secs_f64())
        .execute(&self.pool)
        .await?;
        Ok(Begun { user_code: dashed(&begun.user_code), ..begun })
    }

    /// Signs the device in for whoever approved it, if it is the first to ask since.
    pub(super) async fn poll(
        &self,
        sessions: &Sessions,
        device_code: &str,
    ) -> Result<Result<OpenedSession, NotYet>, SessionError> {
        let hash = hash_of_code(device_code);
        let mut transaction = self.pool.begin().await?;
        let approved_by: Option<i32> = sqlx::query_scalar(
            "SELECT user_id FROM device_codes
             WHERE device_code_hash = $1 AND approved AND user_id IS NOT NULL AND used_at IS NULL",
        )
        .bind(hash.as_slice())
        .fetch_optional(&mut *transaction)
        .await?;
        // Before the device's row, as everywhere: signing out everywhere takes the approval back.
        if let Some(user_id) = approved_by {
            lock_user(&mut transaction, user_id).await?;
        }
        let row: Option<DeviceRow> = sqlx::query_as(
            "SELECT expires_at > now() AS is_good, used_at IS NOT NULL AS is_used, approved,
                    coalesce(last_polled_at > now() - make_interval(secs => interval_seconds), false) AS is_too_early
             FROM device_codes WHERE device_code_hash = $1 FOR UPDATE",
        )
        .bind(hash.as_slice())
        .fetch_optional(&mut *transaction)
        .await?;
        let not_yet = match (row, approved_by) {
            (None, _) => NotYet::Unknown,
            (Some(row), _) if row.is_used || !row.is_good => NotYet::Expired,
            (Some(DeviceRow { approved: Some(false), .. }), _) => NotYet::Denied,
            (Some(DeviceRow { approved: Some(true), .. }), Some(user_id)) => {
                let (name, authenticated_at): (String, Option<DateTime<Utc>>) = sqlx::query_as(
                    "UPDATE device_codes SET used_at = now() WHERE device_code_hash = $1
                     RETURNING client_name, authenticated_at",
                )
                .bind(hash.as_slice())
                .fetch_one(&mut *transaction)
                .await?;
                let kind = SessionKind::Device;
                return sessions
                    .open_after(transaction, user_id, kind, &name, authenticated_at)
                    .await
                    .map(Ok);
            }
            // Approved in this moment: the next time it asks it is told.
            (Some(row), _) => {
                sqlx::query(
                    "UPDATE device_codes SET last_polled_at = now(), interval_seconds = interval_seconds + $2
                     WHERE device_code_hash = $1",
                )
                .bind(hash.as_slice())
                .bind(if row.is_too_early { SLOW_DOWN_SECONDS } else { 0 })
                .execute(&mut *transaction)
                .await?;
                if row.is_too_early { NotYet::SlowDown } else { NotYet::Pending }
            }
        };
        transaction.commit().await?;
        Ok(Err(not_yet))
    }

    /// The device that shows this code and waits for an answer.
    pub async fn asked(&self, user_code: &str) -> sqlx::Result<Option<AskedDevice>> {
        sqlx::query_as(
            "SELECT client_name, expires_at FROM device_codes
             WHERE user_code_hash = ANY($1) AND approved IS NULL AND expires_at > now()",
        )
        .bind(self.codes.shown(user_code))
        .fetch_optional(&self.pool)
        .await
    }

    /// What a user says to the device that shows this code; whether there is one that waits. What the device calls itself
    /// is its maker's text and stays out of the audit log: the session shows it.
    pub async fn answer(&self, by: Identity, user_code: &str, approved: bool) -> Result<bool, CallerError> {
        let user_id = by.user_id;
        let mut transaction = self.pool.begin().await?;
        lock_caller(&mut transaction, by).await?;
        let answered = sqlx::query(
            "UPDATE device_codes SET approved = $3, user_id = $2,
                    authenticated_at = (SELECT authenticated_at FROM sessions WHERE id = $4)
             WHERE user_code_hash = ANY($1) AND approved IS NULL AND expires_at > now()",
        )
        .bind(self.codes.shown(user_code))
        .bind(user_id)
        .bind(approved)
        .bind(by.session_id)
        .execute(&mut *transaction)
        .await?;
        if answered.rows_affected() == 0 {
            return Ok(false);
        }
        let entry = Entry {
            by: By::User(user_id),
            action: if approved { "user.approve_device" } else { "user.deny_device" },
            subject_kind: "user",
            subject_id: &user_id.to_string(),
            before: None,
            after: None,
        };
        audit::record(&mut transaction, entry).await?;
        transaction.commit().await?;
        Ok(true)
    }
}

/// Easier to read out.
fn dashed(code: &str) -> String {
    let (first, rest) = code.split_at(4);
    format!("{first}-{rest}")
}
