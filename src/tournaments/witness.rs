//! Game servers as witnesses: what they play of a bracket reports itself.
//!
//! A server says which bracket match it plays by the match's token in its events, or by a result that names the match
//! ([`Witness`]). Or it says nothing: then it is the match that the server is assigned to, if exactly the players of that
//! match have played. When a server says that a game is over, its summary is looked at once ([`Tournaments::keep_witnessing`]): which bracket
//! match it was, which side played in which team, and what came out. Corrections of a game after that don't touch the
//! bracket.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use mohaa_actors::tournament::{Failed, Intent, Mutation};
use mohaa_domain::event::Event;
use mohaa_domain::tournament::{Bout, By, Command, Entrant, Game, Holder, Key, Side, Tournament};
use mohaa_domain::vocabulary::{EventType, GameType, Team};
use serde::Deserialize;
use serde_json::Value;
use sqlx::types::Json;
use sqlx::{FromRow, PgPool};
use uuid::Uuid;

use super::Tournaments;
use crate::http::ApiError;
use crate::players::CanonicalIds;
use crate::servers::TokenHash;
use crate::teams;

const EVERY: Duration = Duration::from_secs(1);
/// A token that was of no match, or could not be written down, keeps nobody waiting again before this.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// So long an answer to a server waits until a token of its is written down.
const WRITTEN_WITHIN: Duration = Duration::from_secs(2);
/// Games whose tokens are remembered.
const MOST_GAMES: usize = 4096;
/// By when a match is summed up with a result that was sent for it.
const RESULTS_WITHIN_SECONDS: f64 = 15.0;
/// By when every node knows which players were linked or merged, and PostgreSQL what was said while it answered late.
const KNOWN_WITHIN_SECONDS: f64 = 3.0;
/// Games looked at in one round.
const MOST_AT_ONCE: i64 = 50;
/// Who was there for less, and neither killed nor died, only looked in.
const LOOKED_IN_SECONDS: u64 = 30;

/// What servers say of the bracket matches they play. Clones are one.
#[derive(Clone)]
pub struct Witness {
    pool: PgPool,
    /// The last token of each game.
    tokens: Arc<Mutex<HashMap<Uuid, TokenOfGame>>>,
}

/// The token of a bracket match that came with a game, and how far it was heard.
#[derive(Clone, Copy)]
struct TokenOfGame {
    server_id: Uuid,
    token: TokenHash,
    hearing: Hearing,
    /// Its server has said so: what comes behind that has the next match's token.
    is_over: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Hearing {
    /// It is not written down yet; since when it could not be.
    Owed(Option<Instant>),
    Written,
    /// It was of no bracket match, when it was asked for last.
    OfNone(Instant),
}

impl TokenOfGame {
    fn is_owed(&self) -> bool {
        matches!(self.hearing, Hearing::Owed(_))
    }

    fn has_heard(&self, token: &TokenHash) -> bool {
        let is_heard = match self.hearing {
            // Whoever has the same waits for it too.
            Hearing::Owed(None) => false,
            Hearing::Written => true,
            Hearing::Owed(Some(tried_at)) | Hearing::OfNone(tried_at) => tried_at.elapsed() < ASK_AGAIN_AFTER,
        };
        is_heard && self.token == *token
    }
}

/// What a request says of games of brackets: in which of its events.
pub struct PresentedTokens(Vec<(usize, Said)>);

enum Said {
    /// This is the token of the bracket match.
    Token(TokenHash),
    TheEnd,
}

impl PresentedTokens {
    pub fn of(events: &[Event]) -> Self {
        let mut last = ("", None);
        let mut tokens = Vec::new();
        for (index, event) in events.iter().enumerate() {
            let token = event.match_token.as_str();
            if !token.is_empty() {
                let hash = match last {
                    (text, Some(hash)) if text == token => hash,
                    _ => TokenHash::of(token),
                };
                last = (token, Some(hash));
                tokens.push((index, Said::Token(hash)));
            }
            if event.event_type == EventType::MatchEnd {
                tokens.push((index, Said::TheEnd));
            }
        }
        Self(tokens)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What a result says of a bracket, as it came.
#[derive(Deserialize)]
struct NamedMatch {
    #[serde(default)]
    tournament_id: Option<Uuid>,
    #[serde(default)]
    bracket_match: Option<String>,
    #[serde(default)]
    players: Option<Value>,
}

impl Witness {
    pub fn new(pool: PgPool) -> Self {
        Self { pool, tokens: Arc::default() }
    }

    /// A server has sent events with tokens. `matches` says which match each of its events is of. What is new is written down
    /// before this returns, unless PostgreSQL does not answer soon: then it is [owed](Self::write_owed).
    pub async fn hear_tokens(&self, server_id: Uuid, presented: &PresentedTokens, matches: &[Uuid]) {
        let (mut heard, mut over) = (Vec::new(), Vec::new());
        {
            let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
            for (index, said) in &presented.0 {
                let Some(match_id) = matches.get(*index).filter(|match_id| !match_id.is_nil()) else {
                    continue;
                };
                let token = match said {
                    Said::Token(token) => token,
                    Said::TheEnd => {
                        tokens.entry(*match_id).and_modify(|known| known.is_over = true);
                        over.push(*match_id);
                        continue;
                    }
                };
                if tokens.get(match_id).is_some_and(|known| known.is_over || known.has_heard(token)) {
                    continue;
                }
                if tokens.len() >= MOST_GAMES {
                    tokens.retain(|_, known| known.is_owed());
                }
                if tokens.len() >= MOST_GAMES {
                    tracing::warn!(%server_id, "too many games with tokens wait to be written down: one is left out");
                    continue;
                }
                let hearing = Hearing::Owed(None);
                tokens.insert(*match_id, TokenOfGame { server_id, token: *token, hearing, is_over: false });
                heard.push(*match_id);
            }
        }
        if heard.is_empty() && over.is_empty() {
            return;
        }
        let written = async {
            self.write_ends(&over).await?;
            self.write_owed().await
        };
        match tokio::time::timeout(WRITTEN_WITHIN, written).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, %server_id, "a game's token can't be written down yet"),
            Err(_) => {
                tracing::warn!(%server_id, "a game's token is not written down yet: PostgreSQL does not answer")
            }
        }
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        for match_id in heard {
            if let Some(known) = tokens.get_mut(&match_id).filter(|known| known.is_owed()) {
                known.hearing = Hearing::Owed(Some(Instant::now()));
            }
        }
    }

    /// Games that are over keep their tokens, whichever node hears what comes behind. By primary key.
    async fn write_ends(&self, over: &[Uuid]) -> sqlx::Result<()> {
        if !over.is_empty() {
            sqlx::query("UPDATE tournament_announced_games SET is_over = true WHERE match_id = ANY($1)")
                .bind(over)
                .execute(&self.pool)
                .await?;
        }
        Ok(())
    }

    /// Writes tokens down that are not yet, those that are of a bracket match, open or not. By `match_token_hash`.
    ///
    /// # Errors
    /// When PostgreSQL does not answer; they stay owed.
    async fn write_owed(&self) -> sqlx::Result<()> {
        let owed: Vec<(Uuid, TokenOfGame)> = {
            let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
            let owed = tokens.iter().filter(|(_, known)| known.is_owed());
            owed.map(|(match_id, known)| (*match_id, *known)).collect()
        };
        if owed.is_empty() {
            return Ok(());
        }
        let written: Vec<Uuid> = sqlx::query_scalar(
            "INSERT INTO tournament_announced_games (match_id, server_id, tournament_id, key, said_by, is_over)
             SELECT said.match_id, said.server_id, played.tournament_id, played.key, 'token', said.is_over
             FROM unnest($1::uuid[], $2::uuid[], $3::bytea[], $4::boolean[]) AS said (match_id, server_id, token, is_over)
             JOIN tournament_matches AS played ON played.match_token_hash = said.token
             JOIN servers ON servers.id = said.server_id
             ON CONFLICT (match_id) DO UPDATE SET tournament_id = excluded.tournament_id, key = excluded.key,
                 announced_at = excluded.announced_at, is_over = excluded.is_over
             WHERE tournament_announced_games.said_by = 'token' AND NOT tournament_announced_games.is_over
             RETURNING match_id",
        )
        .bind(owed.iter().map(|(match_id, _)| *match_id).collect::<Vec<_>>())
        .bind(owed.iter().map(|(_, known)| known.server_id).collect::<Vec<_>>())
        .bind(owed.iter().map(|(_, known)| known.token.as_bytes().to_vec()).collect::<Vec<_>>())
        .bind(owed.iter().map(|(_, known)| known.is_over).collect::<Vec<_>>())
        .fetch_all(&self.pool)
        .await?;
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        for (match_id, asked) in owed {
            // Another one may have come meanwhile.
            if let Some(known) = tokens.get_mut(&match_id).filter(|known| known.token == asked.token) {
                known.hearing = match written.contains(&match_id) {
                    true => Hearing::Written,
                    false => Hearing::OfNone(Instant::now()),
                };
            }
        }
        Ok(())
    }

    /// A result names a bracket match, which its server has to be assigned to or to hold the token of. `match_id` is the game's.
    /// `is_summed_up` tells that the game's summary says what the result does, and may be looked at again. Nothing
    /// happens where none is named.
    ///
    /// # Errors
    /// When PostgreSQL does not answer.
    pub async fn hear_result(
        &self,
        server_id: Uuid,
        match_id: Uuid,
        result: &Event,
        is_summed_up: bool,
    ) -> sqlx::Result<()> {
        let named: Option<NamedMatch> = serde_json::from_str(&result.extra).ok();
        let NamedMatch { tournament_id, bracket_match, players } =
            named.unwrap_or(NamedMatch { tournament_id: None, bracket_match: None, players: None });
        // What can't be kept can't be said either: it would be said again for ever.
        let bracket_match = bracket_match.and_then(|key| key.trim_matches(['\0', ' ']).parse::<Key>().ok());
        let players = players.map(without_nul);
        let token = Some(result.match_token.as_str()).filter(|token| !token.is_empty()).map(TokenHash::of);
        let is_named = tournament_id.is_some() && bracket_match.is_some();
        if !is_named && token.is_none() {
            return Ok(());
        }
        let mut transaction = self.pool.begin().await?;
        let heard = sqlx::query(
            "INSERT INTO tournament_announced_games (server_id, tournament_id, key, match_id, players, said_by, announced_at)
             SELECT $1, tournament_id, key, $4, $5, 'result',
                 CASE WHEN $7 THEN coalesce((SELECT changed_at FROM match_summaries WHERE match_id = $4), now())
                      ELSE now() END
             FROM tournament_matches WHERE match_token_hash = $6 OR (tournament_id = $2 AND key = $3 AND server_id = $1)
             ORDER BY match_token_hash = $6 DESC NULLS LAST LIMIT 1
             ON CONFLICT (match_id) DO UPDATE SET tournament_id = excluded.tournament_id, key = excluded.key,
                 said_by = excluded.said_by, announced_at = excluded.announced_at, players = excluded.players",
        )
        .bind(server_id)
        .bind(tournament_id)
        .bind(bracket_match.map(|key| key.to_string()))
        .bind(match_id)
        .bind(players)
        .bind(token.as_ref().map(|token| token.as_bytes().as_slice()))
        .bind(is_summed_up)
        .execute(&mut *transaction)
        .await?;
        if heard.rows_affected() == 0 {
            tracing::info!(%server_id, "a result names a bracket match that is not this server's");
        }
        if is_summed_up {
            // It may have been looked at already.
            sqlx::query("UPDATE match_summaries SET witnessed = false WHERE match_id = $1")
                .bind(match_id)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await
    }
}

/// A value without the one character that PostgreSQL keeps in no text.
fn without_nul(value: Value) -> Value {
    let strip = |text: String| if text.contains('\0') { text.replace('\0', "") } else { text };
    match value {
        Value::String(text) => Value::String(strip(text)),
        Value::Array(items) => items.into_iter().map(without_nul).collect(),
        Value::Object(members) => {
            members.into_iter().map(|(name, member)| (strip(name), without_nul(member))).collect()
        }
        other => other,
    }
}

/// A game that is over.
#[derive(FromRow)]
struct Played {
    match_id: Uuid,
    server_id: Uuid,
    map_name: String,
    gametype: String,
    changed_at: DateTime<Utc>,
    allies_score: i32,
    axis_score: i32,
    winning_team: String,
    told_end: bool,
    /// Summed up a moment ago: what was said of it may not be known yet.
    is_fresh: bool,
    players: Json<Vec<PlayedBy>>,
}

#[derive(Deserialize)]
struct PlayedBy {
    player_id: String,
    #[serde(default)]
    team: String,
    #[serde(default)]
    bot: bool,
    #[serde(default)]
    kills: u32,
    #[serde(default)]
    deaths: u32,
    #[serde(default)]
    playtime_seconds: u64,
}

impl PlayedBy {
    fn has_played(&self) -> bool {
        !self.bot && (self.kills + self.deaths > 0 || self.playtime_seconds >= LOOKED_IN_SECONDS)
    }
}

#[derive(Debug, thiserror::Error)]
enum WitnessError {
    #[error(transparent)]
    Postgres(#[from] sqlx::Error),
    #[error("{0}")]
    Api(ApiError),
    #[error(transparent)]
    Failed(Failed),
}

/// What became of a look at a game.
enum Borne {
    Done,
    /// It can't be told yet which match it was.
    Later,
}

/// Which bracket match a game was.
enum Whose {
    /// With the players that a result named.
    Match(Box<(Uuid, Arc<Tournament>, Bout, Vec<PlayedBy>)>),
    Nobodys,
    NotKnownYet,
}

/// Canonical ids of those who play for each side.
type Expected = [BTreeSet<String>; 2];

impl Tournaments {
    /// Looks at every game that ends, for ever. Several nodes may: the same game said twice changes nothing.
    pub async fn keep_witnessing(self: Arc<Self>, witness: Witness, ids: CanonicalIds) {
        let mut was_told = false;
        loop {
            tokio::time::sleep(EVERY).await;
            match self.look(&witness, &ids).await {
                Ok(()) => was_told = false,
                Err(error) if !was_told => {
                    was_told = true;
                    tracing::warn!(%error, "games of brackets can't be looked at yet");
                }
                Err(_) => {}
            }
        }
    }

    async fn look(&self, witness: &Witness, ids: &CanonicalIds) -> Result<(), WitnessError> {
        witness.write_owed().await?;
        // By `match_summaries_to_witness`.
        let games: Vec<Played> = sqlx::query_as(
            "SELECT match_id, server_id, map_name, gametype, changed_at, allies_score, axis_score, winning_team, told_end,
                    changed_at > now() - make_interval(secs => $2) AS is_fresh, players
             FROM match_summaries WHERE NOT witnessed ORDER BY ended_at LIMIT $1",
        )
        .bind(MOST_AT_ONCE)
        .bind(KNOWN_WITHIN_SECONDS)
        .fetch_all(self.pool())
        .await?;
        for game in games {
            if !game.told_end {
                // A map that is loaded anew, or a crash: what was played of it decides nothing.
                self.note_witnessed(&game).await?;
                continue;
            }
            match self.bear_witness(&game, ids).await {
                Ok(Borne::Later) => continue,
                Ok(Borne::Done) => {}
                Err(WitnessError::Failed(failed @ (Failed::Refused(_) | Failed::Unknown))) => {
                    tracing::info!(%failed, match_id = %game.match_id, "a game says nothing to its bracket");
                }
                Err(error) => return Err(error),
            }
            self.note_witnessed(&game).await?;
        }
        Ok(())
    }

    /// Unless it has changed since it was read.
    async fn note_witnessed(&self, game: &Played) -> sqlx::Result<()> {
        sqlx::query("UPDATE match_summaries SET witnessed = true WHERE match_id = $1 AND changed_at = $2")
            .bind(game.match_id)
            .bind(game.changed_at)
            .execute(self.pool())
            .await?;
        Ok(())
    }

    async fn bear_witness(&self, game: &Played, ids: &CanonicalIds) -> Result<Borne, WitnessError> {
        let (id, tournament, bout, named) = match self.bracket_match_of(game, ids).await? {
            Whose::Match(found) => *found,
            Whose::Nobodys => return Ok(Borne::Done),
            Whose::NotKnownYet => return Ok(Borne::Later),
        };
        let expected = self.expected(&tournament, &bout, ids).await?;
        let played = game.players.0.iter().filter(|player| player.has_played());
        // What a result says of its players is the server's last word.
        let teams: BTreeMap<String, Team> = played
            .chain(&named)
            .map(|player| (ids.of(&player.player_id), Team::parse(&player.team).unwrap_or_default()))
            .collect();
        let Some(told) = verdict(game, &expected, &teams, ids) else {
            if game.is_fresh {
                // Who has linked a player just now is heard of by every node a moment later.
                return Ok(Borne::Later);
            }
            tracing::info!(match_id = %game.match_id, key = %bout.key, "a game of a bracket does not tell who won");
            return Ok(Borne::Done);
        };
        if self.has_told_another(id, &bout, game).await? {
            tracing::info!(match_id = %game.match_id, key = %bout.key, "a game of another bracket match decides nothing here");
            return Ok(Borne::Done);
        }
        if self.has_been_told(id, &bout, game).await? {
            tracing::info!(match_id = %game.match_id, key = %bout.key, "a game of a bracket was sent twice");
            return Ok(Borne::Done);
        }
        let command = Command::ReportGame { key: bout.key, game: told };
        let mutation = Mutation {
            intent: Intent::Apply(command),
            by: By::Server(game.server_id),
            expected: None,
            idempotency_key: None,
            is_dry_run: false,
        };
        self.desk.mutate(id, mutation).await.map_err(WitnessError::Failed)?;
        sqlx::query(
            "INSERT INTO tournament_games (match_id, tournament_id, key) VALUES ($1, $2, $3)
             ON CONFLICT (match_id) DO UPDATE SET tournament_id = excluded.tournament_id, key = excluded.key",
        )
        .bind(game.match_id)
        .bind(id)
        .bind(bout.key.to_string())
        .execute(self.pool())
        .await?;
        Ok(Borne::Done)
    }

    /// Whether another bracket match stands by a game. By primary keys.
    async fn has_told_another(&self, id: Uuid, bout: &Bout, game: &Played) -> Result<bool, WitnessError> {
        let told: Option<(Uuid, String)> =
            sqlx::query_as("SELECT tournament_id, key FROM tournament_games WHERE match_id = $1")
                .bind(game.match_id)
                .fetch_optional(self.pool())
                .await?;
        let Some((other_id, key)) = told.filter(|(other, key)| *other != id || *key != bout.key.to_string())
        else {
            return Ok(false);
        };
        let Some((_, other)) = self.bout(other_id, &key).await? else { return Ok(false) };
        let decided = other.outcome.iter().flat_map(|outcome| &outcome.verdict.games);
        Ok(other.games.iter().chain(decided).any(|played| played.match_id == Some(game.match_id)))
    }

    /// Whether a game is one of the bracket match that was sent before: under the same name, on the same map, with the same score,
    /// and everybody did the same. Scripts can't say that they send a batch again. By `tournament_games_by_tournament`.
    async fn has_been_told(&self, id: Uuid, bout: &Bout, game: &Played) -> sqlx::Result<bool> {
        sqlx::query_scalar(
            "SELECT EXISTS (
                 SELECT FROM tournament_games AS told JOIN match_summaries AS earlier USING (match_id)
                 JOIN match_summaries AS this ON this.match_id = $3 AND this.match_id <> earlier.match_id
                 WHERE told.tournament_id = $1 AND told.key = $2 AND this.source_match_id <> ''
                 AND (earlier.server_id, earlier.source_match_id, earlier.map_name, earlier.players, earlier.allies_score,
                      earlier.axis_score)
                     = (this.server_id, this.source_match_id, this.map_name, this.players, this.allies_score, this.axis_score))",
        )
        .bind(id)
        .bind(bout.key.to_string())
        .bind(game.match_id)
        .fetch_one(self.pool())
        .await
    }

    /// The bracket match that a game was: as its server said, or else the one whose players have played, all of them
    /// and nobody else. With the players that a result named.
    async fn bracket_match_of(&self, game: &Played, ids: &CanonicalIds) -> Result<Whose, WitnessError> {
        // By primary key.
        let announced: Option<(Uuid, String, Option<Json<Value>>, bool)> = sqlx::query_as(
            "SELECT tournament_id, key, players, said_by = 'result' AND announced_at > $2
                 AND announced_at > now() - make_interval(secs => $3) AS is_awaited
             FROM tournament_announced_games WHERE match_id = $1",
        )
        .bind(game.match_id)
        .bind(game.changed_at)
        .bind(RESULTS_WITHIN_SECONDS)
        .fetch_optional(self.pool())
        .await?;
        if let Some((id, key, players, is_awaited)) = announced {
            if is_awaited {
                // The summary is from before the result, which is on its way to it.
                return Ok(Whose::NotKnownYet);
            }
            let players: Vec<PlayedBy> =
                players.and_then(|players| serde_json::from_value(players.0).ok()).unwrap_or_default();
            let found = self.bout(id, &key).await?;
            return Ok(match found {
                Some((tournament, bout)) => Whose::Match(Box::new((id, tournament, bout, players))),
                None => Whose::Nobodys,
            });
        }
        if game.is_fresh {
            return Ok(Whose::NotKnownYet);
        }
        // By `tournament_matches_by_server`.
        let assigned: Vec<(Uuid, String)> = sqlx::query_as(
            "SELECT tournament_id, key FROM tournament_matches
             WHERE server_id = $1 AND status IN ('ready', 'running')
             ORDER BY scheduled_at NULLS LAST, tournament_id, key",
        )
        .bind(game.server_id)
        .fetch_all(self.pool())
        .await?;
        let played = game.players.0.iter().filter(|player| player.has_played());
        let played: BTreeSet<String> = played.map(|player| ids.of(&player.player_id)).collect();
        for (id, key) in assigned {
            let Some((tournament, bout)) = self.bout(id, &key).await? else { continue };
            let [one, two] = self.expected(&tournament, &bout, ids).await?;
            let nobody_else = played.iter().all(|player| one.contains(player) || two.contains(player));
            let both_there = !played.is_disjoint(&one) && !played.is_disjoint(&two);
            if nobody_else && both_there {
                return Ok(Whose::Match(Box::new((id, tournament, bout, Vec::new()))));
            }
        }
        Ok(Whose::Nobodys)
    }

    async fn bout(&self, id: Uuid, key: &str) -> Result<Option<(Arc<Tournament>, Bout)>, WitnessError> {
        let Ok(key) = key.parse::<Key>() else { return Ok(None) };
        let current = self.read(id).await.map_err(WitnessError::Api)?;
        let bout = current.tournament.bouts.get(&key).cloned();
        Ok(bout.map(|bout| (current.tournament, bout)))
    }

    async fn expected(
        &self,
        tournament: &Tournament,
        bout: &Bout,
        ids: &CanonicalIds,
    ) -> Result<Expected, WitnessError> {
        let mut expected = Expected::default();
        for side in Side::BOTH {
            let entrant = bout.occupants[side.index()].entrant().and_then(|id| tournament.entrants.get(&id));
            if let Some(entrant) = entrant {
                expected[side.index()] = self.players_of(entrant, ids).await?;
            }
        }
        Ok(expected)
    }

    async fn players_of(
        &self,
        entrant: &Entrant,
        ids: &CanonicalIds,
    ) -> Result<BTreeSet<String>, WitnessError> {
        Ok(match entrant.holder {
            Holder::Team(team_id) => {
                let roster = teams::roster(self.pool(), team_id).await?;
                let members = roster.into_iter().flat_map(|roster| {
                    [roster.captain_ids, roster.member_ids, roster.substitute_ids].into_iter().flatten()
                });
                members.map(|user_id| user_id.to_string()).collect()
            }
            Holder::User(user_id) => BTreeSet::from([user_id.to_string()]),
            Holder::Nobody => entrant.player_id.iter().map(|player_id| ids.of(player_id)).collect(),
        })
    }
}

/// What a game came to, as the bracket's sides. None: it can't be told which side played in which team, or who won.
fn verdict(
    game: &Played,
    expected: &Expected,
    teams: &BTreeMap<String, Team>,
    ids: &CanonicalIds,
) -> Option<Game> {
    let in_team = |side: Side, team: Team| {
        teams.iter().filter(|(player, of)| **of == team && expected[side.index()].contains(*player)).count()
    };
    let straight = in_team(Side::One, Team::Allies) + in_team(Side::Two, Team::Axis);
    let crossed = in_team(Side::One, Team::Axis) + in_team(Side::Two, Team::Allies);
    let is_everybody_for_himself = GameType::parse(&game.gametype) == Some(GameType::FreeForAll);
    let (scores, winner) = if is_everybody_for_himself || straight + crossed == 0 {
        let kills = |side: Side| {
            let own = game.players.0.iter().filter(|player| {
                player.has_played() && expected[side.index()].contains(&ids.of(&player.player_id))
            });
            own.map(|player| player.kills).reduce(|one, other| one + other)
        };
        ([kills(Side::One)?, kills(Side::Two)?], None)
    } else if straight == crossed {
        return None;
    } else {
        let scores = [game.allies_score, game.axis_score].map(|score| u32::try_from(score).unwrap_or(0));
        let winner = match game.winning_team.as_str() {
            "allies" => Some(Side::One),
            "axis" => Some(Side::Two),
            _ => None,
        };
        if straight > crossed { (scores, winner) } else { ([scores[1], scores[0]], winner.map(Side::other)) }
    };
    // One side alone has played nobody of the other, whatever came out.
    let is_there = |side: Side| teams.keys().any(|player| expected[side.index()].contains(player));
    if !Side::BOTH.into_iter().all(is_there) {
        return None;
    }
    // Where the score and the word of the server differ, the score says it.
    let winner = winner.filter(|_| scores[0] == scores[1]);
    let map = Some(game.map_name.clone()).filter(|map| !map.is_empty());
    Some(Game { map, score1: scores[0], score2: scores[1], winner, match_id: Some(game.match_id) })
}
