//! The further pages of a player's record, and players side by side.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use mohaa_domain::player::PlayerId;
use serde_json::{Value, json};

use super::filters::{clock_face, grouped};
use super::{Pages, text, view};
use crate::access::Anyone;
use crate::http::query::Format;
use crate::http::{ApiError, table};
use crate::stats::answers::{Comparison, FormEntry, PlayerAnswer};
use crate::stats::{
    COMPARED, PlayerQuestion, compared, player_maps_question, player_matches_question, player_rivals_question,
};

type Page = Result<HttpResponse, ApiError>;

pub(super) async fn maps(viewer: Anyone, request: HttpRequest, pages: Data<Pages>, id: Path<String>) -> Page {
    let stats = &pages.stats;
    let question = player_maps_question(&id, request.query_string())?;
    let list = stats.player_maps(&question).await?;
    if question.format != Format::Json {
        return table::answer(&request, question.format, &list, "maps");
    }
    let player = whole(&pages, &question).await?;
    let context = json!({ "player": view::with_raw_names(&player)?, "maps": list.maps });
    pages.page(&request, viewer, "player_maps.html", &title(&player, "maps"), &context).await
}

pub(super) async fn matches(
    viewer: Anyone,
    request: HttpRequest,
    pages: Data<Pages>,
    id: Path<String>,
) -> Page {
    let stats = &pages.stats;
    let (question, paging) = player_matches_question(&id, request.query_string())?;
    let list = stats.player_matches(&question, paging).await?;
    if question.format != Format::Json {
        return table::answer(&request, question.format, &list, "matches");
    }
    let player = whole(&pages, &question).await?;
    let context = json!({
        "player": view::with_raw_names(&player)?,
        "matches": list.matches,
        "list": { "page": list.page, "limit": list.limit, "total": list.total },
        "pages": view::page_links(request.path(), request.query_string(), paging, list.total),
    });
    pages.page(&request, viewer, "player_matches.html", &title(&player, "matches"), &context).await
}

pub(super) async fn rivals(
    viewer: Anyone,
    request: HttpRequest,
    pages: Data<Pages>,
    id: Path<String>,
) -> Page {
    let stats = &pages.stats;
    let (question, paging) = player_rivals_question(&id, request.query_string())?;
    let list = stats.player_rivals(&question, paging).await?;
    if question.format != Format::Json {
        return table::answer(&request, question.format, &list, "rivals");
    }
    let player = whole(&pages, &question).await?;
    let context = json!({
        "player": view::with_raw_names(&player)?,
        "rivals": view::with_raw_names(&list.rivals)?,
        "list": { "page": list.page, "limit": list.limit, "total": list.total },
        "pages": view::page_links(request.path(), request.query_string(), paging, list.total),
    });
    pages.page(&request, viewer, "player_rivals.html", &title(&player, "rivals"), &context).await
}

pub(super) async fn compare(viewer: Anyone, request: HttpRequest, pages: Data<Pages>) -> Page {
    let player_ids = compared(request.query_string())?;
    let comparison = pages.stats.comparison(&player_ids).await?;
    let context = json!({
        "players": view::with_raw_names(&comparison.players)?,
        "lines": lines(&comparison),
        "duels": duels(&comparison),
        "ids": player_ids.iter().map(PlayerId::as_str).collect::<Vec<_>>().join(","),
        "most": COMPARED.end(),
    });
    pages.page(&request, viewer, "compare.html", "Players side by side", &context).await
}

/// The player of whom a part is shown, whatever that part is narrowed to.
async fn whole(pages: &Pages, question: &PlayerQuestion) -> Result<PlayerAnswer, ApiError> {
    pages.stats.player(&PlayerQuestion::everything(question.player_id.clone())).await
}

fn title(player: &PlayerAnswer, part: &str) -> String {
    format!("{}: {part}", text::plain_name(&player.player_name))
}

/// A figure of a comparison: what it is called, its value, how that is written, and whether more of it is better.
type Figure = (&'static str, fn(&PlayerAnswer) -> f64, fn(f64) -> String, bool);

const FIGURES: [Figure; 14] = [
    ("Kills", |player| player.total_kills as f64, whole_number, true),
    ("Deaths", |player| player.total_deaths as f64, whole_number, false),
    ("Kills per death", |player| player.kd_ratio, two_decimals, true),
    ("Kills by headshot", |player| player.headshot_percent, percent, true),
    ("Accuracy", |player| player.accuracy, percent, true),
    ("Damage", |player| player.total_damage, whole_number, true),
    ("Best streak", |player| player.best_killstreak as f64, whole_number, true),
    ("Multi-kills", |player| multi_kills(player) as f64, whole_number, true),
    ("First kills", |player| player.first_kills as f64, whole_number, true),
    ("Matches", |player| player.matches_played as f64, whole_number, true),
    ("Matches won", |player| player.win_rate, percent, true),
    ("Played", |player| player.playtime_seconds as f64, clock_face, true),
    ("Suicides", |player| player.suicides as f64, whole_number, false),
    ("Team kills", |player| player.team_kills as f64, whole_number, false),
];

fn multi_kills(player: &PlayerAnswer) -> u64 {
    let kinds = player.multi_kills;
    kinds.double + kinds.triple + kinds.ultra + kinds.monster
}

fn whole_number(value: f64) -> String {
    grouped(value, 0)
}

fn two_decimals(value: f64) -> String {
    grouped(value, 2)
}

fn percent(value: f64) -> String {
    format!("{} %", grouped(value, 1))
}

fn lines(comparison: &Comparison) -> Vec<Value> {
    let line = |(label, value, written, more_is_better): &Figure| {
        let values: Vec<f64> = comparison.players.iter().map(value).collect();
        let pick = |best: f64, value: &f64| if *more_is_better { best.max(*value) } else { best.min(*value) };
        let best = values.iter().skip(1).fold(values.first().copied().unwrap_or_default(), pick);
        let is_told_apart = values.iter().any(|value| *value != best);
        let cell =
            |value: &f64| json!({ "text": written(*value), "is_best": is_told_apart && *value == best });
        json!({ "label": label, "cells": values.iter().map(cell).collect::<Vec<_>>() })
    };
    FIGURES.iter().map(line).collect()
}

fn duels(comparison: &Comparison) -> Vec<Value> {
    let name = |id: &str| {
        let player = comparison.players.iter().find(|player| player.player_id == id);
        player.map_or(id, |player| player.player_name_raw.as_str()).to_owned()
    };
    let duel = |duel: &crate::stats::answers::Duel| {
        json!({
            "player_id": duel.player_id, "player_name": name(&duel.player_id),
            "target_id": duel.target_id, "target_name": name(&duel.target_id), "kills": duel.kills,
        })
    };
    comparison.duels.iter().map(duel).collect()
}

/// Kills per death week by week, as a line in a box of 240 by 48; none of fewer than two weeks.
pub(super) fn form_line(form: &[FormEntry]) -> Option<Value> {
    const SHOWN: usize = 26;
    let shown = &form[..form.len().min(SHOWN)];
    if shown.len() < 2 {
        return None;
    }
    let most = shown.iter().map(|entry| entry.kd_ratio).fold(1.0, f64::max);
    let height = |ratio: f64| 46.0 - 44.0 * ratio / most;
    let step = 240.0 / (shown.len() - 1) as f64;
    let points = shown
        .iter()
        .rev()
        .enumerate()
        .map(|(at, entry)| format!("{:.1},{:.1}", at as f64 * step, height(entry.kd_ratio)));
    let (first, last) = (shown.last()?, shown.first()?);
    Some(json!({
        "line": points.collect::<Vec<_>>().join(" "),
        "even": format!("{:.1}", height(1.0)),
        "label": format!(
            "Kills per death in the weeks with events from {} to {}: last {}, at most {}. The line is one to one.",
            first.from, last.from, grouped(last.kd_ratio, 2), grouped(most, 2)
        ),
    }))
}
