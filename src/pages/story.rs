//! A match after it was played, as its page shows it.

use std::collections::HashMap;

use mohaa_domain::name::can_be_seen;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::view::with_raw_names;
use crate::http::ApiError;
use crate::stats::answers::{MatchDuels, MatchTimeline, Pace};

/// Rows and columns of the matrix; whoever has done more comes first.
const MOST_IN_MATRIX: usize = 32;
const STRIP_WIDTH: f64 = 600.0;
/// From the middle line of the strip to its edge, with a little air.
const STRIP_HALF: f64 = 32.0;
const HIGHEST_BAR: f64 = 30.0;

/// Which moments the form above the list offers.
const CHOICES: [(&str, &str); 4] = [
    ("kill", "Kills"),
    (
        "match_start,match_end,round_start,round_end,team_win,objective_update,objective_capture",
        "Rounds and objectives",
    ),
    ("chat", "Chat"),
    ("connect,disconnect,team_change", "Who came and went"),
];

/// What the template needs besides the match itself.
pub(super) fn story(
    timeline: &MatchTimeline,
    duels: &MatchDuels,
    shown_type: &str,
    has_sides: bool,
) -> Result<Value, ApiError> {
    let mut moments = with_raw_names(timeline)?;
    for moment in moments["events"].as_array_mut().into_iter().flatten() {
        let side = match moment["actor"]["team"].as_str() {
            Some(side @ ("allies" | "axis")) if has_sides => side.to_owned(),
            _ => "none".to_owned(),
        };
        moment["side"] = side.into();
        let said = moment["message"].as_str().filter(|message| can_be_seen(message)).unwrap_or_default();
        moment["said"] = said.into();
        let text = moment["text"].as_str().unwrap_or_default();
        // One that begins with a name begins as the name does.
        moment["sentence"] =
            if moment["actor"].is_null() { capitalised(text) } else { text.to_owned() }.into();
    }
    let choices: Vec<Value> =
        CHOICES.iter().map(|(value, label)| json!({ "value": value, "label": label })).collect();
    Ok(json!({
        "moments": moments["events"],
        "next_cursor": timeline.next_cursor,
        "choices": choices,
        "shown": shown_type,
        "pace": strip(&duels.pace, has_sides),
        "matrix": matrix(duels)?,
        "rounds": with_raw_names(&duels.rounds)?,
    }))
}

/// Link to the next piece of the timeline, with what is filtered by kept.
pub(super) fn later(path: &str, query_string: &str, next_cursor: Option<&str>) -> Option<String> {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in form_urlencoded::parse(query_string.as_bytes()) {
        if name != "cursor" && !value.is_empty() {
            query.append_pair(&name, &value);
        }
    }
    query.append_pair("cursor", next_cursor?);
    Some(format!("{path}?{}#timeline", query.finish()))
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters
        .next()
        .map_or_else(String::new, |first| format!("{}{}", first.to_uppercase(), characters.as_str()))
}

/// Allies above the middle line, axis below it; where nobody has a side, everybody above.
fn strip(pace: &Pace, has_sides: bool) -> Option<Value> {
    let steps = pace.allies.len();
    let sides: [(&str, Vec<u64>, bool); 2] = if has_sides {
        [("allies", pace.allies.clone(), true), ("axis", pace.axis.clone(), false)]
    } else {
        let all = (0..steps).map(|at| pace.allies[at] + pace.axis[at] + pace.others[at]).collect();
        [("others", all, true), ("others", Vec::new(), false)]
    };
    let most = sides.iter().flat_map(|(_, kills, _)| kills).max().copied().filter(|most| *most > 0)?;
    let width = STRIP_WIDTH / steps as f64;
    let mut bars = Vec::new();
    for (side, kills, is_above) in &sides {
        for (at, kills) in kills.iter().enumerate().filter(|(_, kills)| **kills > 0) {
            let height = HIGHEST_BAR * *kills as f64 / most as f64;
            bars.push(json!({
                "side": side,
                "x": format!("{:.1}", at as f64 * width),
                "y": format!("{:.1}", if *is_above { STRIP_HALF - height } else { STRIP_HALF }),
                "width": format!("{:.1}", width * 0.85),
                "height": format!("{height:.1}"),
            }));
        }
    }
    let sides = if has_sides { ": allies above, axis below" } else { "" };
    Some(json!({
        "bars": bars,
        "seconds": steps as u64 * pace.step_seconds,
        "label": format!("Kills every {} seconds{sides}; {most} at most", pace.step_seconds),
    }))
}

fn matrix(duels: &MatchDuels) -> Result<Value, ApiError> {
    let mut kills: HashMap<(&str, &str), u64> = HashMap::new();
    let mut kills_of: HashMap<&str, u64> = HashMap::new();
    for duel in &duels.duels {
        *kills.entry((&duel.player_id, &duel.target_id)).or_default() += duel.kills;
        *kills_of.entry(&duel.player_id).or_default() += duel.kills;
    }
    let mut players: Vec<_> = duels.players.iter().collect();
    players.sort_by_key(|player| {
        std::cmp::Reverse(kills_of.get(player.player_id.as_str()).copied().unwrap_or_default())
    });
    players.truncate(MOST_IN_MATRIX);
    let mut rows = Vec::new();
    for player in &players {
        let cell =
            |target: &str| kills.get(&(player.player_id.as_str(), target)).copied().unwrap_or_default();
        let cells: Vec<u64> = players.iter().map(|target| cell(&target.player_id)).collect();
        let mut row = with_raw_names(player)?;
        row["cells"] = cells.into();
        rows.push(row);
    }
    Ok(json!({ "rows": rows, "columns": with_raw_names(&players)? }))
}
