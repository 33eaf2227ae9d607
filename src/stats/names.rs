//! Names for ids: players' from the names they were seen under, servers' and users' from PostgreSQL.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use clickhouse::Row;
use mohaa_domain::name::strip_colors;
use mohaa_domain::weapon;
use moka::Entry;
use moka::future::Cache;
use serde::Deserialize;
use sqlx::PgPool;
use uuid::Uuid;

use super::Stats;
use super::answers::{MatchTournament, UserName, WeaponName};
use super::cache::{FlightError, single_flight};
use super::people::{ANONYMOUS_NAME, ANONYMOUS_PREFIX, canonical, of_players};
use super::query::Sql;
use crate::http::ApiError;

/// Longest that an answer waits for names.
pub(super) const GIVE_UP_AFTER: Duration = Duration::from_millis(500);

/// How long names from PostgreSQL are kept: nothing tells us that one has changed.
const NAMES_HOLD: Duration = Duration::from_secs(1);
const MAX_KEPT: u64 = 1_000;

/// Names of servers, users and tournaments, as PostgreSQL gave them within the last second. Clones are one memory.
#[derive(Clone)]
pub(super) struct KnownNames {
    pub(super) postgres: PgPool,
    servers: Cache<Vec<Uuid>, Arc<HashMap<Uuid, String>>>,
    users: Cache<String, Option<UserName>>,
    pub(super) bracket_games: Cache<Vec<Uuid>, Arc<HashMap<Uuid, MatchTournament>>>,
}

/// Why names are missing from an answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum NamesError {
    #[error(transparent)]
    Postgres(#[from] sqlx::Error),
    #[error("PostgreSQL takes too long")]
    TooSlow(#[from] tokio::time::error::Elapsed),
}

impl KnownNames {
    pub(super) fn new(postgres: PgPool) -> Self {
        KnownNames {
            postgres,
            servers: Cache::builder().max_capacity(MAX_KEPT).time_to_live(NAMES_HOLD).build(),
            users: Cache::builder().max_capacity(MAX_KEPT).time_to_live(NAMES_HOLD).build(),
            bracket_games: Cache::builder().max_capacity(MAX_KEPT).time_to_live(NAMES_HOLD).build(),
        }
    }

    async fn of_servers(
        &self,
        mut server_ids: Vec<Uuid>,
    ) -> Result<Arc<HashMap<Uuid, String>>, FlightError<NamesError>> {
        server_ids.sort_unstable();
        server_ids.dedup();
        let postgres = self.postgres.clone();
        let asked_for = server_ids.clone();
        let query = async move {
            let query =
                sqlx::query_as::<_, (Uuid, String)>("SELECT id, name FROM servers WHERE id = ANY($1)")
                    .bind(asked_for)
                    .fetch_all(&postgres);
            let rows = tokio::time::timeout(GIVE_UP_AFTER, query).await??;
            Ok(Arc::new(rows.into_iter().collect()))
        };
        single_flight(&self.servers, server_ids, query).await.map(Entry::into_value)
    }

    async fn user_of_player(&self, player_id: &str) -> Result<Option<UserName>, FlightError<NamesError>> {
        let postgres = self.postgres.clone();
        let player_id = player_id.to_owned();
        let asked_for = player_id.clone();
        let query = async move {
            let query = sqlx::query_as::<_, (i32, String)>(
                "SELECT id, display_name FROM users WHERE id = \
                 (SELECT user_id FROM user_identities WHERE player_id = $1) OR id::text = $1 ORDER BY id LIMIT 1",
            )
            .bind(asked_for)
            .fetch_optional(&postgres);
            let row = tokio::time::timeout(GIVE_UP_AFTER, query).await??;
            Ok(row.map(|(user_id, name)| UserName { user_id, name }))
        };
        single_flight(&self.users, player_id, query).await.map(Entry::into_value)
    }
}

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
        if player_id.starts_with(ANONYMOUS_PREFIX) {
            return PlayerName { plain: ANONYMOUS_NAME.to_owned(), raw: ANONYMOUS_NAME.to_owned() };
        }
        let raw = self.0.get(player_id).map_or(player_id, String::as_str).to_owned();
        let plain = strip_colors(&raw).trim().to_owned();
        PlayerName { plain: if plain.is_empty() { player_id.to_owned() } else { plain }, raw }
    }
}

#[derive(Clone, Row, Deserialize)]
struct NameRow {
    who: String,
    player_name: String,
}

impl Stats {
    /// Served by the primary key of `player_aliases`.
    pub(super) async fn player_names(&self, mut player_ids: Vec<String>) -> Result<PlayerNames, ApiError> {
        // The same people are the same question, in whatever order they come.
        player_ids.sort_unstable();
        player_ids.dedup();
        if player_ids.is_empty() {
            return Ok(PlayerNames(HashMap::new()));
        }
        let sql = Sql::new("SELECT ")
            .text(&canonical("player_id"))
            .text(" AS who, argMax(player_aliases.player_name, (last_seen, player_aliases.player_name)) AS player_name \
                   FROM player_aliases WHERE 1")
            .then(of_players("player_id", &player_ids))
            .text(" GROUP BY who");
        let rows: Vec<NameRow> = self.rows(sql).await?;
        Ok(PlayerNames(rows.into_iter().map(|row| (row.who, row.player_name)).collect()))
    }

    /// The latest name of each player, plain and raw; of those who have one.
    pub async fn names_of_players(
        &self,
        player_ids: Vec<String>,
    ) -> Result<HashMap<String, (String, String)>, ApiError> {
        let names = self.player_names(player_ids.clone()).await?;
        let both = |id: String| {
            let PlayerName { plain, raw } = names.of(&id);
            (id, (plain, raw))
        };
        Ok(player_ids.into_iter().map(both).collect())
    }

    /// Names of servers; those that PostgreSQL doesn't know, or can't be asked about, get one made of their id.
    pub async fn server_names(&self, server_ids: impl IntoIterator<Item = Uuid>) -> HashMap<Uuid, String> {
        let server_ids: Vec<Uuid> = server_ids.into_iter().collect();
        let mut names: HashMap<Uuid, String> =
            server_ids.iter().map(|id| (*id, format!("server {}", &id.to_string()[..8]))).collect();
        if names.is_empty() {
            return names;
        }
        match self.names.of_servers(server_ids).await {
            Ok(found) => names.extend(found.iter().map(|(id, name)| (*id, name.clone()))),
            Err(error) => tracing::warn!(%error, "names of servers can't be read"),
        }
        names
    }

    /// Who signs in as this player; nobody while PostgreSQL can't be asked.
    pub(super) async fn user_of_player(&self, player_id: &str) -> Option<UserName> {
        self.names.user_of_player(player_id).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the user of a player can't be read");
            None
        })
    }
}

/// Slug and display name of a weapon; one that the table doesn't list is shown by its slug.
pub(super) fn weapon_name(slug: &str) -> WeaponName {
    let name = weapon::by_slug(slug).map_or(slug, |weapon| weapon.name);
    WeaponName { slug: slug.to_owned(), name: name.to_owned() }
}
