//! Players whose names are taken off every page and answer. Their events stay, under an id that leads to nobody.

use serde_json::json;
use sqlx::PgConnection;

use crate::audit::{self, By, Entry};
use crate::auth::random_code;
use crate::stats::ANONYMOUS_PREFIX;

/// Beyond guessing which of two anonymous players is which.
const ID_BYTES: usize = 12;

/// Shows this player, and every id that stands for them, under a new id without a name. Whatever becomes of links and merges
/// later, none of these ids leads to a name again. `by` is the user who asked for it.
pub async fn anonymise(connection: &mut PgConnection, by: i32, player_id: &str) -> sqlx::Result<()> {
    let added = sqlx::query(
        "WITH RECURSIVE person (player_id) AS (
             SELECT $1::text
             UNION SELECT known.one FROM person JOIN (
                 SELECT user_identities.player_id AS one, user_id::text AS other FROM user_identities
                 UNION SELECT from_player, into_player FROM player_merges WHERE undone_at IS NULL
             ) AS known ON known.other = person.player_id)
         INSERT INTO anonymous_players (player_id, anonymous_id) SELECT player_id, $2 FROM person
         ON CONFLICT (player_id) DO NOTHING",
    )
    .bind(player_id)
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
