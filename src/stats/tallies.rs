//! What players' matches add up to, as achievements measure it.

use std::collections::{HashMap, HashSet};

use clickhouse::Row;
use mohaa_domain::achievements::{ByWord, Fights, Tally};
use mohaa_domain::event::Text;
use serde::Deserialize;
use uuid::Uuid;

use super::Stats;
use super::query::Sql;
use crate::http::ApiError;

#[derive(Clone, Row, Deserialize)]
struct TotalsRow {
    player_id: String,
    matches: u64,
    wins: u64,
    playtime_ms: i64,
    kills: u64,
    deaths: u64,
    headshots: u64,
    suicides: u64,
    team_kills: u64,
    damage: i64,
}

#[derive(Clone, Row, Deserialize)]
struct DeedRow {
    player_id: String,
    deed: String,
    word: String,
    kills: u64,
    deaths: u64,
    headshots: u64,
    events: u64,
    distance: i64,
}

impl Stats {
    /// The sum of each id's matches, but for one where that is said; an id without any has an empty one. Whatever bots took
    /// part in is left out. Served by the primary keys of `player_matches`, `match_totals` and `player_deeds`; what one match
    /// added is taken off again by what `player_match_deeds` has on the days of all those that are said.
    pub async fn tallies(
        &self,
        asked: HashMap<String, Option<Uuid>>,
    ) -> Result<HashMap<String, Tally>, ApiError> {
        if asked.is_empty() {
            return Ok(HashMap::new());
        }
        // A match's id is of one length, so these are told apart.
        let but_for =
            asked.iter().filter_map(|(player_id, except)| Some(format!("{}{player_id}", (*except)?)));
        let but_for: Vec<String> = but_for.collect();
        // Those who meet in matches at this moment are asked for together once: to keep the answers, of thousands of rows each, would
        // take the room of what people look at.
        let asks_for_a_match = !but_for.is_empty();
        let matches: HashSet<Uuid> = asked.values().flatten().copied().collect();
        let matches: Vec<String> = matches.iter().map(Uuid::to_string).collect();
        let player_ids: Vec<String> = asked.into_keys().collect();
        let mut totals = Sql::new(
            "SELECT player_id, count() AS matches, \
             countIf(winner IN ('allies', 'axis') AND side = winner) AS wins, sum(milliseconds) AS playtime_ms, \
             sum(k) AS kills, sum(d) AS deaths, sum(h) AS headshots, sum(s) AS suicides, sum(tk) AS team_kills, \
             sum(dmg) AS damage FROM (SELECT player_id, match_id, max(side_told).team AS side, \
             ifNull(toInt64(max(last_level_ms)) - toInt64(min(first_level_ms)), \
             dateDiff('millisecond', min(first_seen), max(last_seen))) AS milliseconds, \
             sum(player_matches.kills) AS k, sum(player_matches.deaths) AS d, \
             sum(player_matches.headshots) AS h, sum(player_matches.suicides) AS s, \
             sum(player_matches.team_kills) AS tk, \
             toInt64(sum(player_matches.damage) * 1000) AS dmg FROM player_matches WHERE player_id IN ? AND NOT bots",
        )
        .bind(player_ids.clone());
        if !but_for.is_empty() {
            totals = totals.text(" AND concat(toString(match_id), player_id) NOT IN ?").bind(but_for.clone());
        }
        let totals = totals
            .text(
                " GROUP BY player_id, match_id) AS played LEFT JOIN (SELECT match_id, \
             max(winner_told).team AS winner FROM match_totals WHERE match_id IN \
             (SELECT match_id FROM player_matches WHERE player_id IN ?) GROUP BY match_id) AS decided \
             USING (match_id) GROUP BY player_id",
            )
            .bind(player_ids.clone());
        let mut deeds = Sql::new(
            "SELECT player_id, toString(word_of.deed) AS deed, toString(word_of.word) AS word, \
             toUInt64(sum(k)) AS kills, toUInt64(sum(d)) AS deaths, toUInt64(sum(h)) AS headshots, \
             toUInt64(sum(e)) AS events, toInt64(sum(dist) * 1000) AS distance FROM (\
             SELECT player_id, deed, word, toInt64(kills) AS k, toInt64(deaths) AS d, toInt64(headshots) AS h, \
             toInt64(events) AS e, distance AS dist FROM player_deeds WHERE player_id IN ? AND NOT bots",
        )
        .bind(player_ids.clone());
        if !but_for.is_empty() {
            deeds = deeds
                .text(
                    " UNION ALL SELECT player_id, deed, word, -toInt64(kills), -toInt64(deaths), -toInt64(headshots), \
                     -toInt64(events), -distance FROM player_match_deeds \
                     WHERE player_id IN ? AND NOT bots AND concat(toString(match_id), player_id) IN ? AND day BETWEEN \
                     (SELECT toDate(min(started_at)) FROM match_totals WHERE match_id IN (SELECT toUUID(arrayJoin(?)))) AND \
                     (SELECT toDate(max(updated_at)) FROM match_totals WHERE match_id IN (SELECT toUUID(arrayJoin(?))))",
                )
                .bind(player_ids.clone())
                .bind(but_for)
                .bind(matches.clone())
                .bind(matches);
        }
        // What was only done in that match is none of the others'.
        let deeds = deeds.text(") AS word_of GROUP BY player_id, deed, word HAVING sum(e) > 0");
        let (totals, deeds) = if asks_for_a_match {
            tokio::try_join!(self.rows_once::<TotalsRow>(totals), self.rows_once::<DeedRow>(deeds))?
        } else {
            tokio::try_join!(self.rows::<TotalsRow>(totals), self.rows::<DeedRow>(deeds))?
        };
        let mut tallies: HashMap<String, Tally> =
            player_ids.into_iter().map(|player_id| (player_id, Tally::default())).collect();
        for row in totals {
            let Some(tally) = tallies.get_mut(&row.player_id) else { continue };
            tally.matches = row.matches;
            tally.wins = row.wins;
            tally.playtime_ms = u64::try_from(row.playtime_ms).unwrap_or_default();
            tally.kills = row.kills;
            tally.deaths = row.deaths;
            tally.headshots = row.headshots;
            tally.suicides = row.suicides;
            tally.team_kills = row.team_kills;
            tally.damage = row.damage;
        }
        for row in deeds {
            let Some(tally) = tallies.get_mut(&row.player_id) else { continue };
            let fights = Fights { kills: row.kills, deaths: row.deaths, headshots: row.headshots };
            let add = |words: &mut ByWord<Fights>| {
                *words.entry(Text::from(&row.word)).or_default() += fights;
            };
            match row.deed.as_str() {
                "weapon" => add(&mut tally.by_weapon),
                "means" => add(&mut tally.by_means),
                _ if row.word == "distance" => tally.distance += row.distance,
                _ => *tally.events.entry(Text::from(&row.word)).or_default() += row.events,
            }
        }
        Ok(tallies)
    }

    /// Players who stand on boards.
    pub async fn known_players(&self) -> Result<u64, ApiError> {
        #[derive(Clone, Row, Deserialize)]
        struct CountRow {
            players: u64,
        }
        let sql = Sql::new("SELECT uniqExact(")
            .text(&super::people::canonical("player_id"))
            .text(") AS players FROM player_totals WHERE NOT bots AND NOT startsWith(player_id, 'g_')");
        Ok(self.row::<CountRow>(sql).await?.players)
    }
}
