//! Who is on in matches that are being played, from their events alone: players seen and not gone. A heartbeat's
//! count replaces what was counted before it; who came or left since is added or taken away.

use std::collections::HashMap;

use clickhouse::Row;
use serde::Deserialize;
use uuid::Uuid;

use super::Stats;
use super::matches::OutcomeRow;
use super::query::Sql;
use crate::http::ApiError;

const PRESENT: &str = "SELECT match_id, toUInt64(greatest(0, if(max(beat_at) > toDateTime64(0, 3, 'UTC'), \
    toInt64(max(beat_players)) + countIf(first_at > beat_at AND NOT is_gone) \
    - countIf(first_at <= beat_at AND is_gone AND last_at > beat_at), toInt64(countIf(NOT is_gone))))) AS players \
    FROM (SELECT match_id, player, min(event_at) AS first_at, max(event_at) AS last_at, \
    argMax(type, (event_at, spool_seq, spool_index)) = 'disconnect' AS is_gone FROM raw_events \
    ARRAY JOIN [player_id, target_id] AS player \
    WHERE server_id IN (SELECT toUUID(arrayJoin(?))) AND match_id IN (SELECT toUUID(arrayJoin(?))) \
    AND player != '' GROUP BY match_id, player) AS seen LEFT JOIN \
    (SELECT match_id, max(event_at) AS beat_at, argMax(ifNull(player_count, 0), (event_at, spool_seq, spool_index)) \
    AS beat_players FROM raw_events WHERE server_id IN (SELECT toUUID(arrayJoin(?))) \
    AND match_id IN (SELECT toUUID(arrayJoin(?))) AND type = 'heartbeat' AND player_count IS NOT NULL \
    GROUP BY match_id) AS beats USING (match_id) GROUP BY match_id";

#[derive(Clone, Row, Deserialize)]
struct PresentRow {
    #[serde(with = "clickhouse::serde::uuid")]
    match_id: Uuid,
    players: u64,
}

impl Stats {
    /// Served by the primary key of `raw_events`: server, match.
    pub(super) async fn players_present(&self, live: &[&OutcomeRow]) -> Result<HashMap<Uuid, u64>, ApiError> {
        if live.is_empty() {
            return Ok(HashMap::new());
        }
        let servers: Vec<String> = live.iter().map(|row| row.server_id.to_string()).collect();
        let matches: Vec<String> = live.iter().map(|row| row.match_id.to_string()).collect();
        let sql = Sql::new(PRESENT).bind(servers.clone()).bind(matches.clone()).bind(servers).bind(matches);
        let rows: Vec<PresentRow> = self.rows(sql).await?;
        Ok(rows.into_iter().map(|row| (row.match_id, row.players)).collect())
    }
}
