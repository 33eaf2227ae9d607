//! `/api/v1/tournaments/{id}/statistics`: what was played in the games of a bracket.

use std::collections::HashMap;

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use mohaa_domain::tournament::{Holder, Key, Tournament};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Tournaments, unavailable};
use crate::access::Anyone;
use crate::http::query::{Parameter, QueryShape};
use crate::http::{ApiError, ErrorBody, caching};
use crate::stats::{TournamentFigures, TournamentSort};

const STAT: Parameter = Parameter {
    name: "stat",
    description: "What players are ordered by: kills (default), deaths, kd_ratio, headshots, headshot_percent, accuracy, \
                  damage, wins, killstreak, mvps or playtime.",
    example: "mvps",
};
pub const STATISTICS: QueryShape = QueryShape { parameters: &[STAT], filters: &[], paged: true };

#[derive(Serialize, ToSchema)]
pub struct TournamentStatistics {
    pub tournament_id: Uuid,
    /// Of the tournament.
    pub version: u64,
    #[serde(flatten)]
    pub figures: TournamentFigures,
}

/// Statistics of a tournament
///
/// Players and records of the games that servers reported to the bracket, by the numbers of boards, without a minimum for ratios. A game counts while its match
/// stands by it: one that was taken back, reset or fell does not. Guests count, bots don't.
#[utoipa::path(
    get,
    path = "/api/v1/tournaments/{id}/statistics",
    tag = "Tournaments",
    params(("id" = Uuid, Path, description = "the tournament")),
    responses(
        (status = 200, description = "A page of the players, and the records of all", body = TournamentStatistics),
        (status = 404, description = "There is no such tournament", body = ErrorBody),
        (status = 422, description = "A parameter can't be used", body = ErrorBody),
        (status = 503, description = "Tournaments or statistics can't be read at the moment", body = ErrorBody),
    )
)]
pub async fn statistics(
    _: Anyone,
    request: HttpRequest,
    tournaments: Data<Tournaments>,
    id: Path<Uuid>,
) -> Result<HttpResponse, ApiError> {
    let mut values = STATISTICS.read(request.query_string());
    let sort = values.parsed_parameter("stat", TournamentSort::from_word).unwrap_or_default();
    let paging = values.paging();
    values.finish()?;
    let current = tournaments.read(*id).await?;
    let tournament = &current.tournament;
    let mut games = tournaments.stats.bracket_games(*id).await?;
    games.games.retain(|game| stands(tournament, &game.key, game.match_id));
    let mut figures = tournaments.stats.tournament_figures(&games, sort, paging).await?;
    let participants = tournaments.participants_of_players(tournament).await?;
    for player in &mut figures.players {
        player.participant_id = participants.get(&player.player_id).copied();
    }
    let answer = TournamentStatistics { tournament_id: *id, version: current.version, figures };
    caching::json(&request, &answer)
}

/// Whether the match that a game was of still has it.
fn stands(tournament: &Tournament, key: &str, match_id: Uuid) -> bool {
    let bout = key.parse::<Key>().ok().and_then(|key| tournament.bouts.get(&key));
    bout.is_some_and(|bout| bout.has_game(match_id))
}

impl Tournaments {
    /// Whom players play for, by canonical id: entrants themselves, and those who are members of their teams now.
    async fn participants_of_players(
        &self,
        tournament: &Tournament,
    ) -> Result<HashMap<String, u32>, ApiError> {
        let mut participants = HashMap::new();
        let mut teams: HashMap<Uuid, u32> = HashMap::new();
        for entrant in tournament.entrants.values() {
            match entrant.holder {
                Holder::User(user_id) => drop(participants.insert(user_id.to_string(), entrant.id.0)),
                Holder::Team(team_id) => drop(teams.insert(team_id, entrant.id.0)),
                Holder::Nobody => participants
                    .extend(entrant.player_id.iter().map(|player_id| (player_id.clone(), entrant.id.0))),
            }
        }
        if teams.is_empty() {
            return Ok(participants);
        }
        // By primary key.
        let members: Vec<(Uuid, i32)> =
            sqlx::query_as("SELECT team_id, user_id FROM team_members WHERE team_id = ANY($1)")
                .bind(teams.keys().copied().collect::<Vec<_>>())
                .fetch_all(self.pool())
                .await
                .map_err(unavailable)?;
        for (team_id, user_id) in members {
            participants.extend(teams.get(&team_id).map(|entrant| (user_id.to_string(), *entrant)));
        }
        Ok(participants)
    }
}
