//! How matches ended, in PostgreSQL (`match_summaries`).

use chrono::{DateTime, Utc};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use mohaa_actors::live::{Summaries, Summary};
use mohaa_domain::event::{Event, Millis};
use mohaa_domain::vocabulary::Team;
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::stats::KnownMatch;

/// [`Summaries`] in a real PostgreSQL.
pub struct MatchSummaries {
    pool: PgPool,
}

impl MatchSummaries {
    pub fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    async fn write(&self, summary: Summary) -> sqlx::Result<()> {
        let time = |at: Millis| DateTime::<Utc>::from_timestamp_millis(at.0).unwrap_or_default();
        let players: Vec<Value> = summary
            .players
            .iter()
            .map(|player| {
                json!({
                    "player_id": player.player_id,
                    "team": player.team.as_str(),
                    "guest": player.guest,
                    "bot": player.bot,
                    "kills": player.kills,
                    "deaths": player.deaths,
                    "playtime_seconds": player.playtime_seconds,
                })
            })
            .collect();
        sqlx::query(
            "INSERT INTO match_summaries (match_id, server_id, source_match_id, map_name, gametype, started_at, ended_at,
                                          allies_score, axis_score, winning_team, players)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
             ON CONFLICT (match_id) DO UPDATE SET
                 source_match_id = excluded.source_match_id, map_name = excluded.map_name, gametype = excluded.gametype,
                 started_at = excluded.started_at, ended_at = excluded.ended_at, allies_score = excluded.allies_score,
                 axis_score = excluded.axis_score, winning_team = excluded.winning_team, players = excluded.players,
                 changed_at = now()",
        )
        .bind(summary.match_id)
        .bind(summary.server_id)
        .bind(storable(&summary.source_match_id))
        .bind(storable(&summary.map_name))
        .bind(summary.game_type.as_str())
        .bind(time(summary.started_at))
        .bind(time(summary.ended_at))
        .bind(summary.allies_score)
        .bind(summary.axis_score)
        .bind(summary.winning_team.as_str())
        .bind(Value::Array(players))
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

/// What the summary of a match says, which this server calls so or which has this id. By `match_summaries_by_name` and
/// the primary key.
pub async fn summed_up(
    pool: &PgPool,
    server_id: Uuid,
    name: &str,
    match_id: Option<Uuid>,
) -> sqlx::Result<Option<KnownMatch>> {
    let row: Option<(Uuid, Uuid, i32, i32, String, DateTime<Utc>)> = sqlx::query_as(
        "SELECT match_id, server_id, allies_score, axis_score, winning_team, ended_at FROM match_summaries
         WHERE match_id = $3 OR (server_id = $1 AND source_match_id = $2)
         ORDER BY started_at DESC LIMIT 1",
    )
    .bind(server_id)
    .bind(storable(name))
    .bind(match_id)
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|(match_id, server_id, allies_score, axis_score, winning_team, ended_at)| KnownMatch {
        match_id,
        server_id,
        allies_score,
        axis_score,
        winning_team,
        ended_at_ms: Some(ended_at.timestamp_millis()),
        reported_duration: None,
    }))
}

/// Puts the result of a match that nobody follows any more into its summary.
pub async fn correct_summary(pool: &PgPool, match_id: Uuid, result: &Event) {
    let corrected = sqlx::query(
        "UPDATE match_summaries SET allies_score = coalesce($2, allies_score), axis_score = coalesce($3, axis_score),
                winning_team = coalesce($4, winning_team), changed_at = now()
         WHERE match_id = $1",
    )
    .bind(match_id)
    .bind(result.allies_score)
    .bind(result.axis_score)
    .bind((result.winning_team != Team::Unknown).then(|| result.winning_team.as_str()))
    .execute(pool)
    .await;
    if let Err(error) = corrected {
        tracing::warn!(%error, %match_id, "a correction is not in the summary of its match");
    }
}

/// Texts of servers may hold what PostgreSQL takes nowhere.
fn storable(text: &str) -> String {
    text.replace('\0', "")
}

impl Summaries for MatchSummaries {
    fn keep(&self, summary: Summary) -> BoxFuture<'_, bool> {
        async move {
            let match_id = summary.match_id;
            let written = self.write(summary).await;
            written
                .inspect_err(|error| tracing::warn!(%error, %match_id, "how a match ended can't be kept yet"))
                .is_ok()
        }
        .boxed()
    }
}
