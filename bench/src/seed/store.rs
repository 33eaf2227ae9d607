//! Where days go: events to ClickHouse as the writers send them, servers and summaries of matches to PostgreSQL.

use bytes::Bytes;
use chrono::{DateTime, NaiveDate, Utc};
use mohaa_domain::event::Millis;
use mohaa_domain::player::is_guest_id;
use mohaa_domain::row;
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use super::battle::{Outcome, Rows};
use super::calendar::{self, Extent, MatchPlan};
use crate::clickhouse::ClickHouse;
use crate::connection::Connection;
use crate::error::BenchError;

/// Rows of one insert at most: twice what the writers send.
const INSERT_ROWS: usize = 100_000;

/// A day as it was played.
pub struct PlayedDay {
    pub date: NaiveDate,
    pub rows: Rows,
    /// Rows of `match_summaries`.
    pub summaries: Vec<Value>,
}

/// As the service's own statement names them.
fn insert_statement() -> String {
    let columns: Vec<&str> = row::COLUMNS.iter().map(|column| column.name).collect();
    format!("INSERT INTO raw_events (batch_id, {}) FORMAT RowBinary", columns.join(", "))
}

/// Inserts a day's rows: one partition, so each insert is whole or absent. Stored before, they are not stored again.
pub async fn store_events(
    clickhouse: &ClickHouse,
    connection: &mut Connection,
    seed: u64,
    day: &PlayedDay,
) -> Result<(), BenchError> {
    let statement = insert_statement();
    let mut first = 0;
    while first < day.rows.ends.len() {
        let last = (first + INSERT_ROWS).min(day.rows.ends.len());
        let name = format!("{seed} {} {first}", day.date);
        let batch_id = Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes());
        let mut body = Vec::with_capacity((last - first) * 400);
        let mut start = first.checked_sub(1).map_or(0, |before| day.rows.ends[before]);
        for &end in &day.rows.ends[first..last] {
            row::encode_batch_id(batch_id, &mut body);
            body.extend_from_slice(&day.rows.bytes[start..end]);
            start = end;
        }
        clickhouse.insert(connection, &statement, batch_id, Bytes::from(body)).await?;
        first = last;
    }
    Ok(())
}

/// A row of `match_summaries`, in the shape that its columns and the service's writer have.
pub fn summary(plan: &MatchPlan, outcome: &Outcome) -> Value {
    let time = |at: Millis| DateTime::<Utc>::from_timestamp_millis(at.0).unwrap_or_default();
    let mut soldiers: Vec<_> = outcome.soldiers.iter().collect();
    soldiers.sort_by(|one, other| one.id.cmp(&other.id));
    let players: Vec<Value> = soldiers
        .iter()
        .map(|soldier| {
            json!({
                "player_id": soldier.id,
                "team": soldier.team.as_str(),
                "guest": is_guest_id(&soldier.id),
                "bot": soldier.bot,
                "kills": soldier.kills,
                "deaths": soldier.deaths,
                "playtime_seconds": (outcome.ended_at.0 - plan.started_at.0) / 1_000,
            })
        })
        .collect();
    json!({
        "match_id": plan.match_id,
        "server_id": plan.server_id,
        "source_match_id": plan.source_match_id,
        "map_name": plan.map.name,
        "gametype": plan.game_type.as_str(),
        "started_at": time(plan.started_at),
        "ended_at": time(outcome.ended_at),
        "allies_score": outcome.allies_score,
        "axis_score": outcome.axis_score,
        "winning_team": outcome.winning_team.as_str(),
        "players": players,
    })
}

pub async fn store_summaries(postgres: &PgPool, summaries: &[Value]) -> Result<(), BenchError> {
    sqlx::query(
        "INSERT INTO match_summaries (match_id, server_id, source_match_id, map_name, gametype, started_at, ended_at,
                                      allies_score, axis_score, winning_team, players)
         SELECT * FROM jsonb_to_recordset($1::jsonb) AS summary
             (match_id uuid, server_id uuid, source_match_id text, map_name text, gametype text, started_at timestamptz,
              ended_at timestamptz, allies_score integer, axis_score integer, winning_team text, players jsonb)
         ON CONFLICT (match_id) DO NOTHING",
    )
    .bind(serde_json::to_string(summaries)?)
    .execute(postgres)
    .await?;
    Ok(())
}

pub async fn store_servers(postgres: &PgPool, extent: &Extent) -> Result<(), BenchError> {
    let first_day = extent.until - chrono::Days::new(extent.days.into());
    for server in 0..extent.servers {
        sqlx::query(
            "INSERT INTO servers (id, name, address, port, region, created_at, approved_at)
             VALUES ($1, $2, $3, 12203, 'Europe', $4, $4) ON CONFLICT (id) DO NOTHING",
        )
        .bind(calendar::server_id(extent.seed, server))
        .bind(calendar::server_name(server))
        // Of the block that is reserved for documentation.
        .bind(format!("203.0.113.{}", server % 250 + 1))
        .bind(first_day)
        .execute(postgres)
        .await?;
    }
    Ok(())
}
