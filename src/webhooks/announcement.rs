//! What webhooks are told of, and how it gets into the outbox.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

/// What a webhook may be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WebhookEvent {
    /// Somebody entered a tournament, or left it.
    Registration,
    /// A tournament's check-in has begun.
    CheckinOpen,
    /// Both sides of a match are known.
    MatchReady,
    /// A match has a result, or another than before.
    Result,
    /// Two reports of a match differ.
    Dispute,
    /// A tournament is over.
    Completed,
    /// A player has earned an achievement.
    Achievement,
}

impl WebhookEvent {
    pub const ALL: [Self; 7] = [
        Self::Registration,
        Self::CheckinOpen,
        Self::MatchReady,
        Self::Result,
        Self::Dispute,
        Self::Completed,
        Self::Achievement,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Registration => "registration",
            Self::CheckinOpen => "checkin_open",
            Self::MatchReady => "match_ready",
            Self::Result => "result",
            Self::Dispute => "dispute",
            Self::Completed => "completed",
            Self::Achievement => "achievement",
        }
    }
}

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Announcement {
    pub event: WebhookEvent,
    /// The tournament in which it happened: only those who run it hear of it.
    pub tournament_id: Option<Uuid>,
    pub at: DateTime<Utc>,
    /// The `data` of the message: a JSON object of a few members. `docs/webhooks.md` says what stands in it.
    pub data: Value,
}

/// Writes it into the outbox, once for each webhook that is to hear of it; says how many those are. It is sent when the
/// transaction is committed, and never if it is not.
///
/// A webhook hears of events that it names, of the tournament that it names, or else of all that its owner runs (an
/// admin's: of all there are). What happens in no tournament is public, and every webhook that names the event hears it.
/// Reads all webhooks, which are few.
///
/// A webhook that is being removed is waited for and hears nothing: what happens must not fail because of it. Announce
/// last, after everything that is locked is locked (`users/locks.rs`): the rows of those webhooks stay until the transaction
/// ends.
pub async fn announce(connection: &mut PgConnection, announcement: &Announcement) -> sqlx::Result<u64> {
    announce_all(connection, std::slice::from_ref(announcement)).await
}

/// The same of several things, in the order in which they happened: one statement.
pub async fn announce_all(
    connection: &mut PgConnection,
    announcements: &[Announcement],
) -> sqlx::Result<u64> {
    if announcements.is_empty() {
        return Ok(0);
    }
    let written = sqlx::query(
        "INSERT INTO webhook_deliveries (id, webhook_id, event, tournament_id, at, data)
         SELECT gen_random_uuid(), webhooks.id, news.event, news.tournament_id, news.at, news.data
         FROM unnest($1::text[], $2::uuid[], $3::timestamptz[], $4::jsonb[]) WITH ORDINALITY
             AS news (event, tournament_id, at, data, place)
         JOIN webhooks ON news.event = ANY(webhooks.events) AND webhooks.disabled_at IS NULL
         JOIN users ON users.id = webhooks.owner_id
         LEFT JOIN tournaments ON tournaments.id = news.tournament_id
         WHERE users.role IN ('organizer', 'admin') AND users.banned_at IS NULL AND users.deleted_at IS NULL
           AND (webhooks.tournament_id IS NULL OR webhooks.tournament_id = news.tournament_id)
           AND (news.tournament_id IS NULL OR users.role = 'admin' OR tournaments.owner_id = users.id OR EXISTS (
               SELECT FROM tournament_staff AS staff
               WHERE staff.tournament_id = news.tournament_id AND staff.user_id = users.id
                   AND staff.role = 'organizer'))
         ORDER BY webhooks.id, news.place FOR KEY SHARE OF webhooks",
    )
    .bind(announcements.iter().map(|one| one.event.as_str()).collect::<Vec<_>>())
    .bind(announcements.iter().map(|one| one.tournament_id).collect::<Vec<_>>())
    .bind(announcements.iter().map(|one| one.at).collect::<Vec<_>>())
    .bind(announcements.iter().map(|one| &one.data).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(written.rows_affected())
}
