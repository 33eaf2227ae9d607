//! Players whose names are taken off every page and answer. Their events stay, under an id that leads to nobody.

use serde_json::json;
use sqlx::PgConnection;

use crate::audit::{self, By, Entry};
use crate::auth::random_code;
use crate::stats::ANONYMOUS_PREFIX;

/// Beyond guessing which of two anonymous players is which.
const ID_BYTES: usize = 12;

/// Shows this player, and whoever stands for them, under a new id without a name. `by` is the user who asked for it.
pub async fn anonymise(connection: &mut PgConnection, by: i32, player_id: &str) -> sqlx::Result<()> {
    let added = sqlx::query(
        "INSERT INTO anonymous_players (player_id, anonymous_id) VALUES ($1, $2) ON CONFLICT (player_id) DO NOTHING",
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
