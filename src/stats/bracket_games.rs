//! Which matches are games of a bracket, from PostgreSQL: those that reported themselves to a tournament, and those of which
//! their server says so while they are played.

use std::collections::HashMap;
use std::sync::Arc;

use moka::Entry;
use sqlx::FromRow;
use uuid::Uuid;

use super::Stats;
use super::answers::MatchTournament;
use super::cache::{FlightError, single_flight};
use super::names::{GIVE_UP_AFTER, KnownNames, NamesError};
use crate::http::ApiError;
use crate::postgres;

/// Their ids stand in one statement, whose text ClickHouse takes up to 256 KiB of: 39 bytes an id.
pub(super) const MOST_GAMES: usize = 5_000;
#[derive(FromRow)]
struct BracketGame {
    match_id: Uuid,
    tournament_id: Uuid,
    name: String,
    key: String,
}

impl KnownNames {
    /// By the primary keys of `tournament_games`, `tournament_announced_games` and `tournaments`.
    async fn of_bracket_games(
        &self,
        mut matches: Vec<Uuid>,
    ) -> Result<Arc<HashMap<Uuid, MatchTournament>>, FlightError<NamesError>> {
        matches.sort_unstable();
        let postgres = self.postgres.clone();
        let asked_for = matches.clone();
        let query = async move {
            let query = sqlx::query_as::<_, BracketGame>(
                "SELECT played.match_id, tournaments.id AS tournament_id, tournaments.name,
                        coalesce(game.key, announced.key) AS key
                 FROM unnest($1::uuid[]) AS played (match_id)
                 LEFT JOIN tournament_games AS game ON game.match_id = played.match_id
                 LEFT JOIN tournament_announced_games AS announced ON announced.match_id = played.match_id
                 JOIN tournaments ON tournaments.id = coalesce(game.tournament_id, announced.tournament_id)",
            )
            .bind(asked_for)
            .fetch_all(&postgres);
            let rows = tokio::time::timeout(GIVE_UP_AFTER, query).await??;
            let named = |game: BracketGame| {
                let BracketGame { match_id, tournament_id, name, key } = game;
                (match_id, MatchTournament { tournament_id, name, key })
            };
            Ok(Arc::new(rows.into_iter().map(named).collect()))
        };
        single_flight(&self.bracket_games, matches, query).await.map(Entry::into_value)
    }
}

impl Stats {
    /// The tournaments of those matches that are games of one; none where PostgreSQL can't be asked.
    pub async fn tournaments_of(&self, matches: Vec<Uuid>) -> Option<Arc<HashMap<Uuid, MatchTournament>>> {
        if matches.is_empty() {
            return Some(Arc::default());
        }
        match self.names.of_bracket_games(matches).await {
            Ok(found) => Some(found),
            Err(error) => {
                tracing::warn!(%error, "tournaments of matches can't be read");
                None
            }
        }
    }

    /// The games that reported themselves to a tournament, with the keys of their matches. By
    /// `tournament_games_by_tournament`.
    ///
    /// # Errors
    /// 503 when PostgreSQL can't be asked.
    pub(super) async fn games_of_tournament(
        &self,
        tournament_id: Uuid,
    ) -> Result<Vec<(Uuid, String)>, ApiError> {
        sqlx::query_as(
            "SELECT match_id, key FROM tournament_games WHERE tournament_id = $1 ORDER BY match_id LIMIT $2",
        )
        .bind(tournament_id)
        // One more tells that there are more.
        .bind(MOST_GAMES as i64 + 1)
        .fetch_all(&self.names.postgres)
        .await
        .map_err(|cause| {
            let message = "the games of tournaments can't be read at the moment: try again";
            postgres::unanswered("tournaments_unavailable", message, cause)
        })
    }
}
