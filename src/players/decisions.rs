//! What PostgreSQL says of links, merges and anonymous players.

use sqlx::PgConnection;
use std::collections::BTreeMap;

use super::resolution::{Decisions, resolve};

/// Whom each id stands for that doesn't stand for itself, as it is decided now.
pub async fn whom_ids_stand_for(connection: &mut PgConnection) -> sqlx::Result<BTreeMap<String, String>> {
    Ok(resolve(&read_decisions(connection).await?))
}

pub(super) async fn read_decisions(connection: &mut PgConnection) -> sqlx::Result<Decisions> {
    let links: Vec<(String, i32)> =
        sqlx::query_as("SELECT player_id, user_id FROM user_identities").fetch_all(&mut *connection).await?;
    let merges: Vec<(String, String)> =
        sqlx::query_as("SELECT from_player, into_player FROM player_merges WHERE undone_at IS NULL")
            .fetch_all(&mut *connection)
            .await?;
    let anonymous: Vec<(String, String)> =
        sqlx::query_as("SELECT player_id, anonymous_id FROM anonymous_players").fetch_all(connection).await?;
    Ok(Decisions {
        links: links.into_iter().collect(),
        merges: merges.into_iter().collect(),
        anonymous: anonymous.into_iter().collect(),
    })
}
