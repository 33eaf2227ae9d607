//! What everybody may know of one server.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgPool};
use uuid::Uuid;

use super::handlers::ONLINE_FOR;

/// A server that was approved once, removed or not: what is stored of it stays under its name.
#[derive(Clone, Debug, FromRow)]
pub(crate) struct KnownServer {
    #[sqlx(rename = "id")]
    pub(crate) server_id: Uuid,
    pub(crate) name: String,
    address: Option<String>,
    port: Option<i32>,
    pub(crate) region: Option<String>,
    pub(crate) description: Option<String>,
    last_seen_at: Option<DateTime<Utc>>,
    removed_at: Option<DateTime<Utc>>,
}

impl KnownServer {
    /// Where players join, as the game's console takes it; none of a server that is gone, or never said it.
    pub(crate) fn join_address(&self) -> Option<String> {
        let address = self.address.as_deref().filter(|_| self.removed_at.is_none())?;
        Some(match self.port {
            Some(port) if address.contains(':') => format!("[{address}]:{port}"),
            Some(port) => format!("{address}:{port}"),
            None => address.to_owned(),
        })
    }

    /// Heard of lately.
    pub(crate) fn is_online(&self, now: DateTime<Utc>) -> bool {
        self.removed_at.is_none() && self.last_seen_at.is_some_and(|at| now - at < ONLINE_FOR)
    }
}

/// By the primary key of `servers`.
pub(crate) async fn find_known(pool: &PgPool, server_id: Uuid) -> sqlx::Result<Option<KnownServer>> {
    sqlx::query_as(
        "SELECT id, name, address, port, region, description, last_seen_at, removed_at
         FROM servers WHERE id = $1 AND approved_at IS NOT NULL",
    )
    .bind(server_id)
    .fetch_optional(pool)
    .await
}

/// Those whose names hold `part`: the same name first, then those that begin with it; colour codes and case don't matter. A
/// scan of `servers`, which has a row a server.
pub(crate) async fn named_like(pool: &PgPool, part: &str, most: i64) -> sqlx::Result<Vec<KnownServer>> {
    sqlx::query_as(
        r"SELECT id, name, address, port, region, description, last_seen_at, removed_at
          FROM (SELECT *, lower(btrim(regexp_replace(name, '\^[0-9]', '', 'g'))) AS name_key FROM servers
                WHERE approved_at IS NOT NULL AND removed_at IS NULL) AS servers
          WHERE strpos(name_key, lower($1)) > 0
          ORDER BY name_key <> lower($1), strpos(name_key, lower($1)) <> 1, last_seen_at DESC NULLS LAST, name_key, id
          LIMIT $2",
    )
    .bind(part)
    .bind(most)
    .fetch_all(pool)
    .await
}
