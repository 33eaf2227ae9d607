//! Which matches are games of a bracket, from PostgreSQL: those that reported themselves to a tournament, and those of which
//! their server says so while they are played.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
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
/// So long after a match's last event its server may have said which bracket match it was: the word is written down once a
/// second, and a heartbeat after the end may carry it.
const SAID_WITHIN: TimeDelta = TimeDelta::seconds(10);

/// A match, as far as its server could say which bracket match it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MatchSpan {
    pub match_id: Uuid,
    pub server_id: Uuid,
    pub started_at: DateTime<Utc>,
    /// Its last event; none while it is played.
    pub ended_by: Option<DateTime<Utc>>,
}

#[derive(FromRow)]
struct BracketGame {
    match_id: Uuid,
    tournament_id: Uuid,
    name: String,
    key: String,
}

impl KnownNames {
    /// By the primary keys of `tournament_games`, `tournament_announced_matches` and `tournaments`.
    async fn of_bracket_games(
        &self,
        mut spans: Vec<MatchSpan>,
    ) -> Result<Arc<HashMap<Uuid, MatchTournament>>, FlightError<NamesError>> {
        spans.sort_unstable();
        let postgres = self.postgres.clone();
        let asked_for = spans.clone();
        let query = async move {
            let query = sqlx::query_as::<_, BracketGame>(
                "SELECT played.match_id, tournaments.id AS tournament_id, tournaments.name,
                        coalesce(game.key, announced.key) AS key
                 FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::timestamptz[])
                     AS played (match_id, server_id, started_at, said_until)
                 LEFT JOIN tournament_games AS game ON game.match_id = played.match_id
                 LEFT JOIN tournament_announced_matches AS announced ON announced.server_id = played.server_id
                     AND (announced.match_id = played.match_id
                         OR announced.match_id IS NULL AND announced.announced_at >= played.started_at
                             AND announced.announced_at <= coalesce(played.said_until, 'infinity'))
                 JOIN tournaments ON tournaments.id = coalesce(game.tournament_id, announced.tournament_id)",
            )
            .bind(asked_for.iter().map(|span| span.match_id).collect::<Vec<_>>())
            .bind(asked_for.iter().map(|span| span.server_id).collect::<Vec<_>>())
            .bind(asked_for.iter().map(|span| span.started_at).collect::<Vec<_>>())
            .bind(asked_for.iter().map(|span| span.ended_by.map(|end| end + SAID_WITHIN)).collect::<Vec<_>>())
            .fetch_all(&postgres);
            let rows = tokio::time::timeout(GIVE_UP_AFTER, query).await??;
            let named = |game: BracketGame| {
                let BracketGame { match_id, tournament_id, name, key } = game;
                (match_id, MatchTournament { tournament_id, name, key })
            };
            Ok(Arc::new(rows.into_iter().map(named).collect()))
        };
        single_flight(&self.bracket_games, spans, query).await.map(Entry::into_value)
    }
}

impl Stats {
    /// The tournaments of those matches that are games of one; none where PostgreSQL can't be asked.
    pub async fn tournaments_of(&self, spans: Vec<MatchSpan>) -> Option<Arc<HashMap<Uuid, MatchTournament>>> {
        if spans.is_empty() {
            return Some(Arc::default());
        }
        match self.names.of_bracket_games(spans).await {
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
