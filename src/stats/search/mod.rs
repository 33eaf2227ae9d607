//! Search by name: players, servers, maps, weapons and tournaments. Colour codes and case don't matter; what has the very
//! name stands before what begins with it, and that before what holds it somewhere.

pub mod answers;
pub(super) mod handlers;
mod players;
mod rank;

use std::cmp::Reverse;
use std::time::Duration;

use chrono::Utc;
use mohaa_domain::name::{comparison_key, strip_colors};
use sqlx::PgPool;
use uuid::Uuid;

use self::answers::{FoundMap, FoundServer, SearchAnswer};
use self::rank::best_fit;
use super::Stats;
use super::answers::{TournamentName, WeaponName};
use crate::http::ApiError;
use crate::servers::{self, KnownServer};

/// A single letter is in every other name.
pub const SHORTEST: usize = 2;
/// Twice what the game lets a name have.
pub const LONGEST: usize = 64;
const MOST_OF_A_KIND: usize = 10;
/// Longest that a search waits for PostgreSQL: what is stored of games is worth showing without it.
const GIVE_UP_AFTER: Duration = Duration::from_millis(500);

/// What is looked for: 2 to 64 characters that can be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needle(String);

impl Needle {
    /// # Errors
    /// In words, when it is too short or too long.
    pub fn parse(text: &str) -> Result<Self, String> {
        let plain = strip_colors(text).trim().to_owned();
        match plain.chars().count() {
            count if count < SHORTEST => Err(format!("must have at least {SHORTEST} characters")),
            count if count > LONGEST => Err(format!("must have at most {LONGEST} characters")),
            _ => Ok(Self(plain)),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn key(&self) -> String {
        comparison_key(&self.0)
    }
}

impl Stats {
    /// What bears a name like this one. While PostgreSQL can't be asked, no servers and tournaments are found.
    pub async fn search(&self, postgres: &PgPool, needle: &Needle) -> Result<SearchAnswer, ApiError> {
        let (players, maps, weapons, found) = tokio::try_join!(
            self.players_named_like(needle.as_str()),
            self.maps_named_like(needle),
            self.weapons_named_like(needle),
            async { Ok(tokio::time::timeout(GIVE_UP_AFTER, of_postgres(postgres, needle)).await) },
        )?;
        let (servers, tournaments) = match found {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                tracing::warn!(%error, "servers and tournaments can't be searched");
                Default::default()
            }
            Err(_) => {
                tracing::warn!("servers and tournaments can't be searched: PostgreSQL takes too long");
                Default::default()
            }
        };
        Ok(SearchAnswer { query: needle.as_str().to_owned(), players, servers, maps, weapons, tournaments })
    }

    async fn maps_named_like(&self, needle: &Needle) -> Result<Vec<FoundMap>, ApiError> {
        let key = needle.key();
        let fitting = |(map_name, plays): (String, u64)| {
            // The folder is rarely said.
            let without_folder = map_name.rsplit('/').next().unwrap_or_default();
            let fit = best_fit([map_name.as_str(), without_folder], &key)?;
            Some((fit, Reverse(plays), map_name))
        };
        let plays = self.plays_of_maps().await?;
        let mut found: Vec<_> = plays.into_iter().filter_map(fitting).collect();
        found.sort();
        found.truncate(MOST_OF_A_KIND);
        Ok(found.into_iter().map(|(_, Reverse(plays), map_name)| FoundMap { map_name, plays }).collect())
    }

    async fn weapons_named_like(&self, needle: &Needle) -> Result<Vec<WeaponName>, ApiError> {
        let key = needle.key();
        let fitting = |weapon: WeaponName| {
            let name = comparison_key(&weapon.name);
            let fit = best_fit([name.as_str(), weapon.slug.as_str()], &key)?;
            Some((fit, name, weapon))
        };
        let mut found: Vec<_> = self.known_weapons().await?.into_iter().filter_map(fitting).collect();
        found.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
        found.truncate(MOST_OF_A_KIND);
        Ok(found.into_iter().map(|(_, _, weapon)| weapon).collect())
    }
}

async fn of_postgres(
    postgres: &PgPool,
    needle: &Needle,
) -> sqlx::Result<(Vec<FoundServer>, Vec<TournamentName>)> {
    let most = MOST_OF_A_KIND as i64;
    let server = |known: KnownServer| FoundServer {
        server_id: known.server_id,
        online: known.is_online(Utc::now()),
        name: known.name,
    };
    let servers = servers::named_like(postgres, needle.as_str(), most).await?;
    // A scan of `tournaments`, which has a row a tournament.
    let tournaments: Vec<(Uuid, String)> = sqlx::query_as(
        "SELECT id, name FROM tournaments
         WHERE status <> 'draft' AND strpos(lower(name), lower($1)) > 0
         ORDER BY lower(name) <> lower($1), strpos(lower(name), lower($1)) <> 1, start_time DESC NULLS LAST, id LIMIT $2",
    )
    .bind(needle.as_str())
    .bind(most)
    .fetch_all(postgres)
    .await?;
    let tournament = |(tournament_id, name)| TournamentName { tournament_id, name };
    Ok((servers.into_iter().map(server).collect(), tournaments.into_iter().map(tournament).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_looked_for_is_plain_and_neither_too_short_nor_too_long() {
        assert_eq!(Needle::parse(" ^1Hi^7ro ").map(|needle| needle.0), Ok("Hiro".to_owned()));
        for short in ["", "x", "^1x", " ^1 ^2 ", "ł"] {
            assert!(Needle::parse(short).is_err(), "{short:?}");
        }
        assert!(Needle::parse("łó").is_ok());
        assert!(Needle::parse(&"x".repeat(64)).is_ok());
        assert!(Needle::parse(&"x".repeat(65)).is_err());
    }
}
