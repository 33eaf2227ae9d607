//! Players whose names are taken off every page and answer. Their events stay, under an id that leads to nobody.

use serde_json::json;
use sqlx::PgConnection;

use super::persons::ids_of_person;
use crate::audit::{self, By, Entry};
use crate::auth::random_code;
use crate::stats::ANONYMOUS_PREFIX;

/// Beyond guessing which of two anonymous players is which.
const ID_BYTES: usize = 12;

/// Shows a whole person, with every id of theirs (see [`ids_of_person`]), under one id without a name: a new one, or the one
/// that some of these ids are shown under already. Whatever becomes of links and merges later, none of them leads to a name
/// again. `by` is the user who asked for it. The caller holds [`lock_decisions`](super::lock_decisions).
pub async fn anonymise(connection: &mut PgConnection, by: i32, player_id: &str) -> sqlx::Result<()> {
    let person = ids_of_person(&mut *connection, player_id).await?;
    // By primary key.
    let added = sqlx::query(
        "INSERT INTO anonymous_players (player_id, anonymous_id)
         SELECT player_id, coalesce(
             (SELECT anonymous_id FROM anonymous_players WHERE player_id = ANY($1)
              ORDER BY anonymised_at, anonymous_id LIMIT 1), $2)
         FROM unnest($1::text[]) AS person (player_id)
         ON CONFLICT (player_id) DO UPDATE SET anonymous_id = EXCLUDED.anonymous_id
         WHERE anonymous_players.anonymous_id <> EXCLUDED.anonymous_id",
    )
    .bind(&person)
    .bind(format!("{ANONYMOUS_PREFIX}{}", random_code(ID_BYTES)))
    .execute(&mut *connection)
    .await?;
    if added.rows_affected() == 0 {
        return Ok(());
    }
    let entry = Entry {
        by: By::User(by),
        action: "player.anonymise",
        subject_kind: "player",
        subject_id: player_id,
        before: None,
        after: Some(json!({ "anonymous": true })),
    };
    audit::record(connection, entry).await
}
