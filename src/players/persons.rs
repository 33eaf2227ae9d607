//! Whose ids belong together, by what is decided: one person has a user's id and the ids linked to it, and whatever was
//! merged with any of them. A person has one owner at most: a link of any id makes all that were merged with it the user's,
//! and leaves them again with the merge or the link.

use sqlx::PgConnection;

/// Of several decisions about players at once (links, merges, names taken away) each waits for the one before: two that are
/// right only one after the other would not see each other. Held until the transaction ends; users are locked before it
/// (`users::lock_user`).
pub async fn lock_decisions(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('decisions about players', 0))")
        .execute(connection)
        .await?;
    Ok(())
}

/// Every id of the person that this one stands for, itself among them. Reads all links and merges that hold: admins, and
/// users who take their data along or leave, ask this.
pub(super) async fn ids_of_person(
    connection: &mut PgConnection,
    player_id: &str,
) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar(
        "WITH RECURSIVE joined (one, other) AS (
             SELECT player_id, user_id::text FROM user_identities
             UNION SELECT from_player, into_player FROM player_merges WHERE undone_at IS NULL
         ), person (player_id) AS (
             SELECT $1::text
             UNION SELECT CASE WHEN joined.one = person.player_id THEN joined.other ELSE joined.one END
             FROM person JOIN joined ON person.player_id IN (joined.one, joined.other))
         SELECT player_id FROM person ORDER BY player_id",
    )
    .bind(player_id)
    .fetch_all(connection)
    .await
}

/// Whom an id and those that admins merged with it belong to.
#[derive(Debug)]
pub(super) struct Belonging {
    /// One at most, but for what was decided before this was a rule.
    pub(super) owners: Vec<i32>,
    pub(super) is_anonymous: bool,
}

/// By `player_merges_live` and the primary keys of `user_identities`, `users` and `anonymous_players`.
pub(super) async fn belonging_of(connection: &mut PgConnection, player_id: &str) -> sqlx::Result<Belonging> {
    let merged: Vec<String> = sqlx::query_scalar(
        "WITH RECURSIVE merged (player_id) AS (
             SELECT $1::text
             UNION SELECT CASE WHEN from_player = merged.player_id THEN into_player ELSE from_player END
             FROM merged JOIN player_merges
                  ON undone_at IS NULL AND merged.player_id IN (from_player, into_player))
         SELECT player_id FROM merged",
    )
    .bind(player_id)
    .fetch_all(&mut *connection)
    .await?;
    let users: Vec<i32> = merged.iter().filter_map(|id| id.parse().ok()).collect();
    let owners = sqlx::query_scalar(
        "SELECT user_id FROM user_identities WHERE player_id = ANY($1)
         UNION SELECT id FROM users WHERE id = ANY($2)",
    )
    .bind(&merged)
    .bind(users)
    .fetch_all(&mut *connection)
    .await?;
    let is_anonymous =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM anonymous_players WHERE player_id = ANY($1))")
            .bind(&merged)
            .fetch_one(connection)
            .await?;
    Ok(Belonging { owners, is_anonymous })
}
