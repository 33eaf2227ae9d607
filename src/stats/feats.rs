//! What a player did that sums alone don't tell: several kills at once, first kills of matches, and how they stood.
//!
//! A multi-kill is a row of kills of one player, each within four seconds of the one before on the level's clock, with no
//! death in between; it is counted once, by its length. The first kill of a match is the first that scores.

use std::collections::BTreeMap;

use clickhouse::Row;
use serde::Deserialize;

use super::Stats;
use super::answers::{MultiKills, StanceTally};
use super::query::Sql;
use super::selection::{COMBAT, PLAYER_MATCHES, STANCES, Selection};
use crate::http::ApiError;

#[derive(Clone, Row, Deserialize)]
struct MultiKillsRow {
    double: u64,
    triple: u64,
    ultra: u64,
    monster: u64,
}

#[derive(Clone, Row, Deserialize)]
struct FirstKillsRow {
    first_kills: u64,
}

#[derive(Clone, Row, Deserialize)]
struct StanceRow {
    stance: String,
    kills: u64,
    deaths: u64,
}

impl Stats {
    /// Served by the primary key of `player_fights`, which tells days too.
    pub(super) async fn multi_kills(
        &self,
        ids: &[String],
        selection: &Selection,
    ) -> Result<MultiKills, ApiError> {
        // Each piece begins with a death, or with a kill that is too late for the piece before.
        let sql = Sql::new(
            "SELECT countIf(length = 2) AS double, countIf(length = 3) AS triple, countIf(length = 4) AS ultra, \
             countIf(length >= 5) AS monster FROM (SELECT arrayJoin(arrayMap(\
             piece -> arrayCount(entry -> entry.5, piece), arraySplit((entry, gap_ms) -> NOT entry.5 OR gap_ms > 4000, \
             ordered, arrayDifference(arrayMap(entry -> entry.1, ordered))))) AS length FROM (\
             SELECT arraySort(groupArray((if(level_time BETWEEN 0 AND 2147483.647, \
             toInt64(round(ifNull(level_time, 0) * 1000)), toUnixTimestamp64Milli(event_at)), event_at, spool_seq, \
             spool_index, is_kill))) AS ordered FROM ",
        )
        .text(COMBAT.overall)
        .text(" WHERE player_id IN ?")
        .bind(ids.to_vec())
        .then(selection.daily_conditions())
        .text(" GROUP BY match_id))");
        let row: MultiKillsRow = self.row(sql).await?;
        Ok(MultiKills { double: row.double, triple: row.triple, ultra: row.ultra, monster: row.monster })
    }

    /// Served by the primary keys of `player_matches` and `match_totals`. The first kill is that of the whole match, whichever days
    /// are asked about.
    pub(super) async fn first_kills(&self, ids: &[String], selection: &Selection) -> Result<u64, ApiError> {
        let bots = match selection.bots {
            super::Bots::Without => " AND NOT first.bots",
            super::Bots::With => "",
            super::Bots::Only => " AND first.bots",
        };
        let sql = Sql::new(
            "SELECT count() AS first_kills FROM (SELECT match_id, min(match_totals.first_kill) AS first \
             FROM match_totals WHERE match_id IN (SELECT match_id FROM ",
        )
        .text(selection.table(PLAYER_MATCHES))
        .text(" WHERE player_id IN ?")
        .bind(ids.to_vec())
        .then(selection.player_conditions())
        .text(") GROUP BY match_id) WHERE first.player_id IN ?")
        .bind(ids.to_vec())
        .text(bots);
        Ok(self.row::<FirstKillsRow>(sql).await?.first_kills)
    }

    /// Served by the primary key of `player_stances`, or `player_stances_daily` of some days.
    pub(super) async fn stances(
        &self,
        ids: &[String],
        selection: &Selection,
    ) -> Result<BTreeMap<String, StanceTally>, ApiError> {
        let sql = Sql::new(
            "SELECT toString(stood.stance) AS stance, sum(stood.kills) AS kills, sum(stood.deaths) AS deaths FROM ",
        )
        .text(selection.table(STANCES))
        .text(" AS stood WHERE player_id IN ?")
        .bind(ids.to_vec())
        .then(selection.daily_conditions())
        .text(" GROUP BY stance ORDER BY kills DESC, stance ASC LIMIT 20");
        let rows: Vec<StanceRow> = self.rows(sql).await?;
        let tally = |row: StanceRow| (row.stance, StanceTally { kills: row.kills, deaths: row.deaths });
        Ok(rows.into_iter().map(tally).collect())
    }
}
