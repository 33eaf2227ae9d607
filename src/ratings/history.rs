//! What ratings are made of, and what they were: summaries in the order of history, and what each match changed.

use chrono::{DateTime, Utc};
use mohaa_domain::rating::{Participant, PlayedMatch};
use mohaa_domain::vocabulary::{GameType, Team};
use serde::Deserialize;
use sqlx::{FromRow, PgConnection, PgPool};
use std::collections::BTreeMap;
use uuid::Uuid;

use crate::http::query::Paging;

/// A match's place in history. Two that end at one moment have an order too, the same on every node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, FromRow)]
pub(super) struct Place {
    pub(super) ended_at: DateTime<Utc>,
    pub(super) match_id: Uuid,
}

/// A match that is over.
pub(super) struct Summary {
    pub(super) place: Place,
    pub(super) played: PlayedMatch,
}

#[derive(FromRow)]
struct SummaryRow {
    #[sqlx(flatten)]
    place: Place,
    gametype: String,
    allies_score: i32,
    axis_score: i32,
    winning_team: String,
    players: serde_json::Value,
}

/// As `live::MatchSummaries` writes it.
#[derive(Deserialize)]
struct SummaryPlayer {
    player_id: String,
    team: String,
    bot: bool,
    kills: u32,
    deaths: u32,
    playtime_seconds: u64,
}

/// The next matches from a place on, which is the first of them unless it `was_seen`. By `match_summaries_in_order`.
pub(super) async fn matches_from(
    connection: &mut PgConnection,
    from: Place,
    was_seen: bool,
    most: i64,
    canonical_ids: &BTreeMap<String, String>,
) -> sqlx::Result<Vec<Summary>> {
    let rows: Vec<SummaryRow> = sqlx::query_as(
        "SELECT ended_at, match_id, gametype, allies_score, axis_score, winning_team, players FROM match_summaries
         WHERE (ended_at, match_id) >= ($1, $2) AND NOT ($3 AND match_id = $2)
         ORDER BY ended_at, match_id LIMIT $4",
    )
    .bind(from.ended_at)
    .bind(from.match_id)
    .bind(was_seen)
    .bind(most)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| summary(row, canonical_ids)).collect())
}

fn summary(row: SummaryRow, canonical_ids: &BTreeMap<String, String>) -> Summary {
    let match_id = row.place.match_id;
    let players: Vec<SummaryPlayer> = serde_json::from_value(row.players).unwrap_or_else(|error| {
        tracing::error!(%error, %match_id, "who took part in a match can't be read: it rates nobody");
        Vec::new()
    });
    let participant = |player: SummaryPlayer| Participant {
        player_id: canonical_ids.get(&player.player_id).unwrap_or(&player.player_id).as_str().into(),
        team: Team::from_word(&player.team).unwrap_or_default(),
        bot: player.bot,
        kills: player.kills,
        deaths: player.deaths,
        playtime_seconds: player.playtime_seconds,
    };
    Summary {
        place: row.place,
        played: PlayedMatch {
            game_type: GameType::from_word(&row.gametype).unwrap_or_default(),
            winning_team: Team::from_word(&row.winning_team).unwrap_or_default(),
            allies_score: row.allies_score,
            axis_score: row.axis_score,
            participants: players.into_iter().map(participant).collect(),
        },
    }
}

/// What a match changed about a player.
#[derive(Clone, Debug, FromRow)]
pub struct RatedMatchRow {
    pub match_id: Uuid,
    pub server_id: Uuid,
    pub map_name: String,
    pub gametype: String,
    pub ended_at: DateTime<Utc>,
    pub ordinal: i32,
    pub value_before: f64,
    pub deviation_before: f64,
    pub value_after: f64,
    pub deviation_after: f64,
}

/// Rated matches of a person, the latest first, and how many there are. By `match_ratings_by_player`, whose last row knows
/// the number.
pub async fn rated_matches(
    pool: &PgPool,
    player_id: &str,
    paging: Paging,
) -> sqlx::Result<(Vec<RatedMatchRow>, u64)> {
    let rows: Vec<RatedMatchRow> = sqlx::query_as(
        "SELECT match_id, server_id, map_name, gametype, rated.ended_at, ordinal, value_before, deviation_before,
                value_after, deviation_after
         FROM match_ratings AS rated JOIN match_summaries USING (match_id) WHERE player_id = $1
         ORDER BY rated.ended_at DESC, match_id DESC LIMIT $2 OFFSET $3",
    )
    .bind(player_id)
    .bind(i64::from(paging.limit))
    .bind(i64::try_from(paging.offset()).unwrap_or(i64::MAX))
    .fetch_all(pool)
    .await?;
    let total: Option<i32> = match (paging.page, rows.first()) {
        (1, first) => first.map(|row| row.ordinal),
        _ => {
            sqlx::query_scalar("SELECT matches FROM player_ratings WHERE player_id = $1")
                .bind(player_id)
                .fetch_optional(pool)
                .await?
        }
    };
    Ok((rows, total.and_then(|total| u64::try_from(total).ok()).unwrap_or_default()))
}
