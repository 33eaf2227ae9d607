//! What happened in a match, moment by moment: kills, rounds, objectives, who came and went, what was said to everybody.
//!
//! Moments stand on the level's clock, which is that of the live page: by `level.time` where an event has it, else by the
//! event's time since the first event that does, or since the match began. Late events stand where they belong.

use chrono::{DateTime, Utc};
use clickhouse::Row;
use mohaa_domain::name::strip_colors;
use mohaa_domain::vocabulary::EventType;
use serde::Deserialize;

use super::Stats;
use super::answers::{MatchTimeline, TimelineEvent, TimelinePlayer};
use super::matches::{OutcomeRow, word_or_none};
use super::names::{PlayerNames, weapon_name};
use super::people::{ANONYMOUS_PREFIX, canonical};
use super::query::Sql;
use crate::http::ApiError;
use crate::http::query::Format;

/// What is told; whatever else kills is told as well.
pub(super) const TOLD: [EventType; 17] = [
    EventType::Kill,
    EventType::Chat,
    EventType::Connect,
    EventType::Disconnect,
    EventType::TeamChange,
    EventType::MatchStart,
    EventType::MatchEnd,
    EventType::RoundStart,
    EventType::RoundEnd,
    EventType::TeamWin,
    EventType::ObjectiveUpdate,
    EventType::ObjectiveCapture,
    EventType::VoteStart,
    EventType::VotePassed,
    EventType::VoteFailed,
    EventType::WarmupEnd,
    EventType::IntermissionStart,
];

/// `level_time` as the tracker takes it.
const HAS_LEVEL_TIME: &str = "ifNull(level_time BETWEEN 0 AND 2147483.647, false)";

/// Which moments of a match.
#[derive(Clone, Debug, Default)]
pub struct TimelineQuestion {
    /// All that are told when empty.
    pub types: Vec<EventType>,
    /// Only what this player did, or what was done to them.
    pub player_id: Option<String>,
    /// Behind this one.
    pub after: Option<Place>,
    pub limit: u32,
    pub format: Format,
}

impl TimelineQuestion {
    /// The types as they stand in an address.
    pub fn types_word(&self) -> String {
        self.types.iter().map(|it| it.as_str()).collect::<Vec<_>>().join(",")
    }
}

/// Where a moment stands: its milliseconds on the level's clock, and its place in the spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    at_ms: i64,
    spool_seq: u64,
    spool_index: u32,
}

impl Place {
    /// As callers give it back.
    pub fn from_word(word: &str) -> Result<Self, String> {
        let wrong = || "must be a next_cursor of this timeline".to_owned();
        let mut parts = word.split('.');
        let mut part = || parts.next().ok_or_else(wrong);
        let place = Place {
            at_ms: part()?.parse().map_err(|_| wrong())?,
            spool_seq: part()?.parse().map_err(|_| wrong())?,
            spool_index: part()?.parse().map_err(|_| wrong())?,
        };
        if parts.next().is_some() { Err(wrong()) } else { Ok(place) }
    }

    fn word(self) -> String {
        format!("{}.{}.{}", self.at_ms, self.spool_seq, self.spool_index)
    }
}

/// When the level's clock stood at 0.
#[derive(Clone, Row, Deserialize)]
struct ClockRow {
    zero_ms: i64,
}

#[derive(Clone, Row, Deserialize)]
struct MomentRow {
    at_ms: i64,
    spool_seq: u64,
    spool_index: u32,
    #[serde(with = "clickhouse::serde::chrono::datetime64::millis")]
    event_at: DateTime<Utc>,
    event_type: String,
    kill_kind: String,
    is_headshot: bool,
    actor_id: String,
    actor_name: String,
    actor_team: String,
    target_id: String,
    target_name: String,
    target_team: String,
    weapon: String,
    hitloc: String,
    means_of_death: String,
    message: String,
    item: String,
    round_number: Option<i32>,
    allies_score: Option<i32>,
    axis_score: Option<i32>,
    winning_team: String,
}

impl MomentRow {
    fn place(&self) -> Place {
        Place { at_ms: self.at_ms, spool_seq: self.spool_seq, spool_index: self.spool_index }
    }
}

impl Stats {
    /// One piece of a match's timeline, in the order of the level's clock.
    pub async fn timeline(&self, id: &str, question: &TimelineQuestion) -> Result<MatchTimeline, ApiError> {
        let outcome = self.find_match(id).await?;
        let person = match &question.player_id {
            Some(player_id) => Some(self.person(player_id).await?.ids),
            None => None,
        };
        let mut rows = self.moments(&outcome, question, person).await?;
        let has_more = rows.len() > question.limit as usize;
        rows.truncate(question.limit as usize);
        let next_cursor = rows.last().filter(|_| has_more).map(|row| row.place().word());
        let ids = rows.iter().flat_map(|row| [&row.actor_id, &row.target_id]);
        let names = self.player_names(ids.filter(|id| !id.is_empty()).cloned().collect()).await?;
        let events = rows.into_iter().map(|row| told(row, &names)).collect();
        Ok(MatchTimeline { match_id: outcome.match_id, events, next_cursor })
    }

    /// When the level's clock stood at 0, in milliseconds since 1970.
    pub(super) async fn level_zero_ms(&self, outcome: &OutcomeRow) -> Result<i64, ApiError> {
        let sql = Sql::new(&format!(
            "SELECT if(countIf({HAS_LEVEL_TIME}) > 0, \
             argMinIf(toUnixTimestamp64Milli(event_at), ifNull(level_time, 0), {HAS_LEVEL_TIME}) \
             - toInt64(round(minIf(ifNull(level_time, 0), {HAS_LEVEL_TIME}) * 1000)), \
             toUnixTimestamp64Milli(min(event_at))) AS zero_ms FROM raw_events"
        ))
        .then(outcome.its_events());
        Ok(self.row::<ClockRow>(sql).await?.zero_ms)
    }

    async fn moments(
        &self,
        outcome: &OutcomeRow,
        question: &TimelineQuestion,
        person: Option<Vec<String>>,
    ) -> Result<Vec<MomentRow>, ApiError> {
        let mut sql = Sql::new("SELECT ")
            .text(AT_MS)
            .bind(self.level_zero_ms(outcome).await?)
            .text(
                " AS at_ms, spool_seq, spool_index, event_at, toString(events.type) AS event_type, \
                 toString(events.kill_kind) AS kill_kind, is_headshot, ",
            )
            .text(&canonical("events.player_id"))
            .text(" AS actor_id, player_name AS actor_name, toString(player_team) AS actor_team, ")
            .text(&canonical("events.target_id"))
            .text(
                " AS target_id, target_name, toString(events.target_team) AS target_team, \
                 toString(events.weapon) AS weapon, toString(events.hitloc) AS hitloc, \
                 toString(events.means_of_death) AS means_of_death, message, toString(events.item) AS item, \
                 round_number, allies_score, axis_score, toString(events.winning_team) AS winning_team \
                 FROM raw_events AS events",
            )
            .then(outcome.its_events())
            // What a side says to itself is nobody else's business.
            .text(" AND NOT (events.type = 'chat' AND ifNull(team_only, false))");
        let types: &[EventType] = if question.types.is_empty() { &TOLD } else { &question.types };
        let words: Vec<String> = types.iter().map(|it| it.as_str().to_owned()).collect();
        sql = sql.text(" AND (events.type IN ? ").bind(words);
        if types.contains(&EventType::Kill) {
            sql = sql.text("OR events.kill_kind != ''");
        }
        sql = sql.text(")");
        if let Some(ids) = person {
            sql =
                sql.text(" AND (events.player_id IN ? OR events.target_id IN ?)").bind(ids.clone()).bind(ids);
        }
        if let Some(after) = question.after {
            sql = sql
                .text(" AND (at_ms, spool_seq, spool_index) > (?, ?, ?)")
                .bind(after.at_ms)
                .bind(i64::try_from(after.spool_seq).unwrap_or(i64::MAX))
                .bind(i64::from(after.spool_index));
        }
        sql = sql
            .text(" ORDER BY at_ms, spool_seq, spool_index LIMIT ?")
            // One more says whether there are more.
            .bind(i64::from(question.limit) + 1);
        self.rows(sql).await
    }
}

/// Milliseconds on the level's clock; binds when that stood at 0.
pub(super) const AT_MS: &str = "if(ifNull(level_time BETWEEN 0 AND 2147483.647, false), \
    toInt64(round(ifNull(level_time, 0) * 1000)), greatest(0, toUnixTimestamp64Milli(event_at) - toInt64(?)))";

fn told(row: MomentRow, names: &PlayerNames) -> TimelineEvent {
    let who = |id: &str, name: &str, team: &str| {
        (!id.is_empty()).then(|| {
            let known = names.of(id);
            let is_named_here = !name.is_empty() && !id.starts_with(ANONYMOUS_PREFIX);
            let raw = if is_named_here { name.to_owned() } else { known.raw };
            let plain = strip_colors(&raw).trim().to_owned();
            TimelinePlayer {
                player_id: id.to_owned(),
                player_name: if plain.is_empty() { known.plain } else { plain },
                player_name_raw: raw,
                team: word_or_none(team.to_owned()),
            }
        })
    };
    let actor = who(&row.actor_id, &row.actor_name, &row.actor_team);
    let target = who(&row.target_id, &row.target_name, &row.target_team);
    TimelineEvent {
        t: row.at_ms as f64 / 1000.0,
        at: row.event_at,
        text: text(&row, actor.as_ref(), target.as_ref()),
        event_type: row.event_type,
        kind: word_or_none(row.kill_kind),
        headshot: row.is_headshot,
        weapon: word_or_none(row.weapon).map(|slug| weapon_name(&slug)),
        hitloc: word_or_none(row.hitloc),
        means_of_death: word_or_none(row.means_of_death),
        round_number: row.round_number,
        winning_team: word_or_none(row.winning_team),
        message: word_or_none(row.message),
        actor,
        target,
    }
}

/// A sentence, as people read it.
fn text(row: &MomentRow, actor: Option<&TimelinePlayer>, target: Option<&TimelinePlayer>) -> String {
    let named =
        |who: Option<&TimelinePlayer>| who.map_or("somebody", |who| who.player_name.as_str()).to_owned();
    let (who, whom) = (named(actor), named(target));
    let with = match weapon_name(&row.weapon).name {
        nothing if nothing.is_empty() => String::new(),
        weapon => format!(" with {weapon}"),
    };
    let headshot = if row.is_headshot { ", a headshot" } else { "" };
    let side = match row.winning_team.as_str() {
        "allies" => "the allies",
        "axis" => "the axis",
        _ => "nobody",
    };
    let round = row.round_number.map_or_else(|| "the round".to_owned(), |number| format!("round {number}"));
    match (row.kill_kind.as_str(), EventType::from_word(&row.event_type).unwrap_or_default()) {
        ("kill", _) => format!("{who} killed {whom}{with}{headshot}"),
        ("team_kill", _) => format!("{who} killed {whom} of the same side{with}"),
        ("suicide", _) => format!("{whom} killed themselves{with}"),
        ("world", _) => format!("{whom} died"),
        (_, EventType::Chat) => format!("{who}: {}", row.message),
        (_, EventType::Connect) => format!("{who} came"),
        (_, EventType::Disconnect) => format!("{who} left"),
        (_, EventType::TeamChange) => match row.actor_team.as_str() {
            "allies" => format!("{who} joined the allies"),
            "axis" => format!("{who} joined the axis"),
            "spectator" => format!("{who} looks on"),
            _ => format!("{who} changed sides"),
        },
        (_, EventType::MatchStart) => "the match began".to_owned(),
        (_, EventType::MatchEnd) => match (row.allies_score, row.axis_score) {
            (Some(allies), Some(axis)) => format!("the match ended, allies {allies}, axis {axis}"),
            _ => "the match ended".to_owned(),
        },
        (_, EventType::RoundStart) => format!("{round} began"),
        (_, EventType::RoundEnd | EventType::TeamWin) => format!("{side} won {round}"),
        (_, EventType::ObjectiveUpdate | EventType::ObjectiveCapture) => match row.item.as_str() {
            "" => format!("{who} reached an objective"),
            objective => format!("{who} reached {objective}"),
        },
        (_, EventType::VoteStart) => "a vote began".to_owned(),
        (_, EventType::VotePassed) => "a vote passed".to_owned(),
        (_, EventType::VoteFailed) => "a vote failed".to_owned(),
        (_, EventType::WarmupEnd) => "the warm-up ended".to_owned(),
        (_, EventType::IntermissionStart) => "the intermission began".to_owned(),
        _ => row.event_type.replace('_', " "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_written() {
        let place = Place { at_ms: -5, spool_seq: u64::MAX, spool_index: 7 };
        assert_eq!(Place::from_word(&place.word()), Ok(place));
        for wrong in ["", "1", "1.2", "1.2.3.4", "1.2.x", "1.-2.3"] {
            assert!(Place::from_word(wrong).is_err(), "{wrong}");
        }
    }
}
