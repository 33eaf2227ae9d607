//! Names for ids: players' from the names they were seen under, servers' from PostgreSQL.

use std::collections::HashMap;
use std::time::Duration;

use clickhouse::Row;
use mohaa_domain::name::strip_colors;
use mohaa_domain::weapon;
use serde::Deserialize;
use uuid::Uuid;

use super::Stats;
use super::answers::{UserName, WeaponName};
use super::query::Sql;
use crate::http::ApiError;

/// Longest that an answer waits for names.
const GIVE_UP_AFTER: Duration = Duration::from_millis(500);

/// A player's latest name.
pub(super) struct PlayerName {
    pub(super) plain: String,
    pub(super) raw: String,
}

/// Latest names of some players.
pub(super) struct PlayerNames(HashMap<String, String>);

impl PlayerNames {
    /// The name, or the id of one who was never named.
    pub(super) fn of(&self, player_id: &str) -> PlayerName {
        let raw = self.0.get(player_id).map_or(player_id, String::as_str).to_owned();
        let plain = strip_colors(&raw).trim().to_owned();
        PlayerName { plain: if plain.is_empty() { player_id.to_owned() } else { plain }, raw }
    }
}

#[derive(Row, Deserialize)]
struct NameRow {
    player_id: String,
    player_name: String,
}

impl Stats {
    /// Served by the primary key of `player_names`.
    pub(super) async fn player_names(&self, player_ids: Vec<String>) -> Result<PlayerNames, ApiError> {
        if player_ids.is_empty() {
            return Ok(PlayerNames(HashMap::new()));
        }
        let sql = Sql::new(
            "SELECT player_id, argMax(player_name, (last_seen, player_name)) AS player_name \
             FROM player_names WHERE player_id IN ? GROUP BY player_id",
        );
        let rows: Vec<NameRow> = self.rows(sql.bind(player_ids)).await?;
        Ok(PlayerNames(rows.into_iter().map(|row| (row.player_id, row.player_name)).collect()))
    }

    /// Names of servers; those that PostgreSQL doesn't know, or can't be asked about, get one made of their id.
    pub async fn server_names(&self, server_ids: impl IntoIterator<Item = Uuid>) -> HashMap<Uuid, String> {
        let server_ids: Vec<Uuid> = server_ids.into_iter().collect();
        let mut names: HashMap<Uuid, String> =
            server_ids.iter().map(|id| (*id, format!("server {}", &id.to_string()[..8]))).collect();
        if names.is_empty() {
            return names;
        }
        let query = sqlx::query_as::<_, (Uuid, String)>("SELECT id, name FROM servers WHERE id = ANY($1)")
            .bind(server_ids)
            .fetch_all(&self.postgres);
        match tokio::time::timeout(GIVE_UP_AFTER, query).await {
            Ok(Ok(rows)) => names.extend(rows),
            Ok(Err(error)) => tracing::warn!(%error, "names of servers can't be read"),
            Err(_) => tracing::warn!("names of servers took too long"),
        }
        names
    }

    /// Who signs in as this player; nobody while PostgreSQL can't be asked.
    pub(super) async fn user_of_player(&self, player_id: &str) -> Option<UserName> {
        let query = sqlx::query_as::<_, (i32, String)>(
            "SELECT id, display_name FROM users WHERE id = \
             (SELECT user_id FROM user_identities WHERE player_id = $1) OR id::text = $1 ORDER BY id LIMIT 1",
        )
        .bind(player_id)
        .fetch_optional(&self.postgres);
        match tokio::time::timeout(GIVE_UP_AFTER, query).await {
            Ok(Ok(row)) => row.map(|(user_id, name)| UserName { user_id, name }),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the user of a player can't be read");
                None
            }
            Err(_) => None,
        }
    }
}

/// Slug and display name of a weapon; one that the table doesn't list is shown by its slug.
pub(super) fn weapon_name(slug: &str) -> WeaponName {
    let name = weapon::by_slug(slug).map_or(slug, |weapon| weapon.name);
    WeaponName { slug: slug.to_owned(), name: name.to_owned() }
}
