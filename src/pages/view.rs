//! Answers as people see them: names with their colours, errors with advice, links to other pages of a list.

use actix_web::http::StatusCode;
use mohaa_domain::vocabulary::GameType;
use serde::Serialize;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::filters::game_type_label;
use crate::http::ApiError;
use crate::http::query::Paging;
use crate::live::{ListedLiveMatch, LiveState};
use crate::stats::Period;
use crate::stats::answers::{MatchAnswer, MatchSummary};

/// The answer with raw names where it has plain ones: pages show colours.
pub(super) fn with_raw_names<T: Serialize>(answer: &T) -> Result<Value, ApiError> {
    let mut value = serde_json::to_value(answer).map_err(ApiError::internal)?;
    put_raw_names(&mut value);
    Ok(value)
}

fn put_raw_names(value: &mut Value) {
    match value {
        Value::Object(members) => {
            let raw: Vec<(String, Value)> = members
                .iter()
                .filter_map(|(name, value)| Some((name.strip_suffix("_raw")?.to_owned(), value.clone())))
                .collect();
            members.extend(raw);
            members.values_mut().for_each(put_raw_names);
        }
        Value::Array(items) => items.iter_mut().for_each(put_raw_names),
        _ => {}
    }
}

/// Matches of a list.
pub(super) fn matches(matches: &[MatchSummary]) -> Result<Value, ApiError> {
    let mut value = with_raw_names(&matches)?;
    value.as_array_mut().into_iter().flatten().for_each(take_sides_out);
    Ok(value)
}

/// One match with all that is known of it.
pub(super) fn match_detail(found: &MatchAnswer) -> Result<Value, ApiError> {
    let mut value = with_raw_names(found)?;
    take_sides_out(&mut value);
    Ok(value)
}

/// Live matches of a list.
pub(super) fn live_matches(matches: &[ListedLiveMatch]) -> Result<Value, ApiError> {
    let mut value = with_raw_names(&matches)?;
    value.as_array_mut().into_iter().flatten().for_each(take_sides_out);
    Ok(value)
}

/// A live match.
pub(super) fn live_state(state: &LiveState) -> Result<Value, ApiError> {
    let mut value = with_raw_names(state)?;
    take_sides_out(&mut value);
    value["momentum_line"] = momentum_line(&state.momentum).into();
    let has_sides = !value["allies_score"].is_null();
    let leader = state.players.first().filter(|first| !has_sides && first.kills > 0);
    value["said"] = match leader {
        _ if has_sides => format!("Allies {}, axis {}", state.allies_score, state.axis_score).into(),
        Some(leader) => format!("{} leads", leader.player_name).into(),
        None => Value::Null,
    };
    value["leader"] = leader.map(with_raw_names).transpose()?.into();
    Ok(value)
}

/// Points of a line in a box of 240 by 48: for each step what allies killed more than axis in it and the three before.
fn momentum_line(steps: &[i32]) -> String {
    const WINDOW: usize = 4;
    if steps.len() < 2 {
        return String::new();
    }
    let sums: Vec<i32> =
        (0..steps.len()).map(|at| steps[at.saturating_sub(WINDOW - 1)..=at].iter().sum()).collect();
    let most = sums.iter().map(|sum| sum.abs()).max().unwrap_or_default().max(1);
    let width = 240.0 / (sums.len() - 1) as f64;
    let point = |(at, sum): (usize, &i32)| {
        format!("{:.1},{:.1}", at as f64 * width, 24.0 - 22.0 * f64::from(*sum) / f64::from(most))
    };
    sums.iter().enumerate().map(point).collect::<Vec<_>>().join(" ")
}

/// Where nobody fights for a side there are no rounds, neither a score nor a winner to show, and players stand in one list:
/// their teams are only the colours of their coats.
fn take_sides_out(summary: &mut Value) {
    if !matches!(summary["gametype"].as_str(), Some("ffa" | "single")) {
        return;
    }
    for of_sides in ["allies_score", "axis_score", "winning_team", "round_number", "rounds"] {
        summary[of_sides] = Value::Null;
    }
    for list in ["scoreboard", "players"] {
        for player in summary.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            player["team"] = Value::Null;
        }
    }
}

pub(super) fn choices(values: &[&str], labels: &[&str]) -> Value {
    values.iter().zip(labels).map(|(value, label)| json!({ "value": value, "label": label })).collect()
}

pub(super) fn game_type_choices() -> Value {
    let known = GameType::ALL.iter().filter(|game_type| **game_type != GameType::Unknown);
    known.map(|it| json!({ "value": it.as_str(), "label": game_type_label(it.as_str()) })).collect()
}

pub(super) fn period_label(period: Period) -> &'static str {
    match period {
        Period::All => "All time",
        Period::Day => "Today",
        Period::Week => "This week",
        Period::Month => "This month",
    }
}

/// Links to the other pages of a list, with everything else that the address says kept.
pub(super) fn page_links(path: &str, query_string: &str, paging: Paging, total: u64) -> Value {
    let last = total.div_ceil(u64::from(paging.limit)).max(1);
    let here = u64::from(paging.page);
    let kept: Vec<(String, String)> = form_urlencoded::parse(query_string.as_bytes())
        .filter(|(name, value)| name != "page" && !value.is_empty())
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    let link = |page: u64| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&kept);
        if page > 1 {
            query.append_pair("page", &page.to_string());
        }
        let query = query.finish();
        if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
    };
    json!({
        "first": link(1),
        "prev": (here > 1).then(|| link((here - 1).min(last))),
        "next": (here < last).then(|| link(here + 1)),
        "last": link(last),
    })
}

/// What the error page says.
pub(super) fn error(error: &ApiError, request_id: String) -> Value {
    let (title, advice) = match error.status().as_u16() {
        _ if error.code() == "sign_in_refused" => (
            "You are not signed in",
            Some("Nothing has changed here. You can begin again whenever you like."),
        ),
        401 => ("Sign in first", Some("You were never signed in here, or your session has ended meanwhile.")),
        403 => ("Not allowed", Some("Your account may not do this.")),
        404 => ("Nothing here", Some("Check the address, or look for it where it should be listed.")),
        405 => ("Not like this", Some("This address does not take such a request.")),
        409 if error.detail("candidates").is_some() => ("Which one?", None),
        409 => ("Not possible now", Some("Something has changed meanwhile: look at the page again.")),
        410 => ("Gone", Some("Ask for a new one.")),
        422 => ("This can't be used", Some("Change what is named, or go back and begin again.")),
        429 => ("Slow down", Some("Wait a moment, then try again.")),
        503 => ("Not available at the moment", Some("Reload the page in a few seconds.")),
        500..=599 => ("Our mistake", Some("Try again; if it stays, report it with the number below.")),
        _ => ("That did not work", None),
    };
    let mut message = match error.detail("candidates") {
        Some(_) => "Several servers have a match of this name.".to_owned(),
        None => sentence(error.message()),
    };
    if !error.fields().is_empty() {
        message = sentence(&mistakes(error).join("; "));
    }
    json!({
        "status": error.status().as_u16(),
        "title": title,
        "message": message,
        "advice": advice,
        "leads_to": whole_list(error.code()).map(|(href, label)| json!({ "href": href, "label": label })),
        "leads_to_login": error.status() == StatusCode::UNAUTHORIZED || error.code() == "sign_in_refused",
        "candidates": error.detail("candidates"),
        "request_id": (!request_id.is_empty()).then_some(request_id),
    })
}

/// Where what isn't there would be found.
fn whole_list(code: &str) -> Option<(&'static str, &'static str)> {
    Some(match code {
        "unknown_tournament" => ("/tournaments", "See all tournaments"),
        "unknown_player" => ("/search", "Search for a player"),
        "unknown_match" => ("/matches", "See the last matches"),
        "unknown_map" => ("/maps", "See all maps"),
        "unknown_weapon" => ("/weapons", "See all weapons"),
        "unknown_server" => ("/servers", "See all servers"),
        _ => return None,
    })
}

/// What is wrong with which field, a line a field.
pub(super) fn mistakes(error: &ApiError) -> Vec<String> {
    error.fields().iter().map(|(name, why)| format!("{}: {why}", label(name))).collect()
}

/// What forms call a field of the API.
fn label(name: &str) -> String {
    let label = match name {
        "score1" => "score of the first side",
        "score2" => "score of the second side",
        "scheduled_at" => "when",
        "server_id" => "game server",
        "stream_url" => "address of the stream",
        "participant_id" => "entrant",
        "player_guid" | "player_id" => "player’s id",
        "user_id" => "number of the account",
        "team_id" => "team",
        "map_name" => "map",
        "min_x" => "left edge",
        "max_x" => "right edge",
        "min_y" => "lower edge",
        "max_y" => "upper edge",
        "image" => "picture",
        other => return other.replace('_', " "),
    };
    label.to_owned()
}

/// With a capital and a full stop.
fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let Some(first) = characters.next() else { return String::new() };
    let stop = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{}{}{stop}", first.to_uppercase(), characters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_keep_the_filters_and_stay_inside_the_list() {
        let query = "stat=deaths&filter%5Bmap%5D=dm%2Fmohdm1&filter%5Bserver%5D=&page=2";
        let links = page_links("/leaderboard", query, Paging { page: 2, limit: 25 }, 60);
        let kept = "/leaderboard?stat=deaths&filter%5Bmap%5D=dm%2Fmohdm1";
        assert_eq!(links["first"], kept);
        assert_eq!(links["prev"], kept);
        assert_eq!(links["next"], format!("{kept}&page=3"));
        assert_eq!(links["last"], format!("{kept}&page=3"));
        let only = page_links("/matches", "", Paging { page: 1, limit: 25 }, 0);
        assert_eq!((&only["prev"], &only["next"]), (&Value::Null, &Value::Null));
    }

    #[test]
    fn raw_names_replace_plain_ones_at_every_depth() {
        let answer = json!({"player_name": "Hiro", "player_name_raw": "^1Hiro", "list": [{"name": "a", "name_raw": "^2a"}]});
        let shown = with_raw_names(&answer).unwrap_or_default();
        assert_eq!(shown["player_name"], "^1Hiro");
        assert_eq!(shown["list"][0]["name"], "^2a");
    }
}
