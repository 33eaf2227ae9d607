//! Bracket, standings and schedule.

use std::collections::BTreeMap;

use actix_web::HttpRequest;
use actix_web::web::{Data, Path};
use chrono::{DateTime, NaiveDate};
use mohaa_domain::tournament::{
    Bout, BoutStatus, Entrant, EntrantId, Key, Occupant, Section, Side, Source, Status, Tier, Tournament,
};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Page;
use super::shown::{Seen, bout_word, plain, tie_break_word};
use super::stream::{LiveScore, live_scores};
use crate::access::Anyone;
use crate::http::ApiError;
use crate::http::query::{Parameter, QueryShape};
use crate::live::Live;
use crate::pages::Pages;
use crate::tournaments::{Tournaments, View, standings};

/// A cross table of more is no table that can be read.
const MOST_IN_CROSS_TABLE: usize = 24;
/// Matches of the overview.
const MOST_OPEN_SHOWN: usize = 6;

/// By the width of the screen, if nothing is said.
const VIEWS: QueryShape = QueryShape { parameters: &[VIEW], filters: &[], paged: false };
const VIEW: Parameter = Parameter {
    name: "view",
    description: "list: rounds one below the other; bracket: side by side.",
    example: "list",
};

pub type Scores = BTreeMap<String, LiveScore>;

pub async fn page(
    viewer: Anyone,
    request: HttpRequest,
    pages: Data<Pages>,
    tournaments: Data<Tournaments>,
    live: Data<Live>,
    id: Path<Uuid>,
) -> Page {
    let mut asked = VIEWS.read(request.query_string());
    let view = asked.parsed_parameter("view", |text| match text {
        "list" | "bracket" => Ok(text.to_owned()),
        _ => Err("must be list or bracket".to_owned()),
    });
    asked.finish()?;
    let seen = Seen::of(&tournaments, viewer, *id).await?;
    let scores = live_scores(&tournaments, &live, &seen.current).await;
    let context = json!({
        "view": view,
        "sections": sections(&seen, &scores)?,
        "said": last_result(&seen.current.tournament),
        "may_pair": may_pair(&seen),
    });
    seen.show(&pages, &request, "tournaments/bracket.html", Some("Bracket"), context).await
}

/// Whether an organizer looks at a round of Swiss that waits for the next.
pub fn may_pair(seen: &Seen) -> bool {
    let tournament = &seen.current.tournament;
    seen.is_organizer()
        && tournament.has_swiss()
        && tournament.swiss_round() > 0
        && tournament.section(Section::Swiss).all(|bout| bout.status == BoutStatus::Completed)
        && !tournament.swiss_is_over()
}

/// The parts of the bracket in the order in which they are played: trees of rounds, groups with their cross tables, rounds
/// of Swiss.
pub fn sections(seen: &Seen, scores: &Scores) -> Result<Value, ApiError> {
    let current = &seen.current;
    let tournament = &current.tournament;
    let bracket = plain(&View::new(current.id, tournament).bracket(current.version))?;
    let mut sections = Vec::new();
    for stage in bracket["stages"].as_array().into_iter().flatten() {
        let kind = match stage["kind"].as_str() {
            Some("groups") => "groups",
            Some("swiss") => "swiss",
            _ => "tree",
        };
        for (number, group) in stage["groups"].as_array().into_iter().flatten().enumerate() {
            let mut rounds: Vec<Value> = group["rounds"].as_array().cloned().unwrap_or_default();
            let sizes: Vec<usize> =
                rounds.iter().map(|round| round["matches"].as_array().map_or(0, Vec::len)).collect();
            // Of the column before: how it leads on, and which of its matches are played.
            let mut before: (String, Vec<bool>) = Default::default();
            for (at, round) in rounds.iter_mut().enumerate() {
                // How its matches lead to those of the next column.
                round["leads"] = match (kind, sizes.get(at + 1)) {
                    ("tree", Some(next)) if *next == sizes[at] => "straight",
                    ("tree", Some(next)) if *next * 2 == sizes[at] => "joined",
                    _ => "",
                }
                .into();
                let matches = round["matches"].as_array_mut().into_iter().flatten();
                let mut is_done = true;
                for (number, one) in matches.enumerate() {
                    with_words(one, seen, scores);
                    one["is_fed"] = feeders(&before, number).into();
                    is_done &= one["status"] == "completed";
                }
                round["is_done"] = is_done.into();
                let played = round["matches"].as_array().into_iter().flatten();
                let leads = round["leads"].as_str().unwrap_or_default().to_owned();
                before = (leads, played.map(|one| one["is_bye"] == false).collect());
            }
            let current_round = rounds.iter().position(|round| round["is_done"] == false);
            let cross = match kind {
                "groups" => cross_table(tournament, number),
                _ => Value::Null,
            };
            sections.push(json!({
                "id": format!("part-{}", sections.len() + 1), "kind": kind, "name": group["name"], "rounds": rounds,
                "current_round": current_round, "cross": cross,
            }));
        }
    }
    Ok(sections.into())
}

/// Whether a line leads to a match from the column before: byes have none.
fn feeders((leads, is_played): &(String, Vec<bool>), number: usize) -> bool {
    let is_played = |at: usize| is_played.get(at) == Some(&true);
    match leads.as_str() {
        "straight" => is_played(number),
        "joined" => is_played(number * 2) || is_played(number * 2 + 1),
        _ => false,
    }
}

/// A match with what people read: its state, who stands or comes where, what is live.
pub fn with_words(one: &mut Value, seen: &Seen, scores: &Scores) {
    let tournament = &seen.current.tournament;
    let key = one["key"].as_str().unwrap_or_default().to_owned();
    let Some(bout) = key.parse().ok().and_then(|key: Key| tournament.bouts.get(&key)) else { return };
    one["state"] = bout_word(bout.status).into();
    one["is_bye"] = bout.has_bye().into();
    one["is_fed"] = false.into();
    one["is_own"] = seen.own.is_some_and(|own| bout.side_of(own).is_some()).into();
    one["is_disputed"] = bout.dispute.is_some().into();
    one["is_pending"] = (bout.outcome.is_none() && !bout.reports.is_empty()).into();
    let live = scores.get(&key).filter(|_| bout.outcome.is_none());
    one["live"] = live.map_or(Value::Null, |live| plain(live).unwrap_or_default());
    let won = games_won(bout);
    for (side, slot) in Side::BOTH.into_iter().zip(one["slots"].as_array_mut().into_iter().flatten()) {
        if slot["name"].is_null() {
            slot["waits_for"] = waits_for(bout, side).into();
        } else {
            slot["waits_for"] = Value::Null;
        }
        if bout.outcome.is_none() && won != [0, 0] {
            slot["score"] = won[side.index()].into();
        }
    }
}

/// Of games that a server reported, before they decide a match.
fn games_won(bout: &Bout) -> [usize; 2] {
    Side::BOTH.map(|side| bout.games.iter().filter(|game| game.winner() == Some(side)).count())
}

fn waits_for(bout: &Bout, side: Side) -> String {
    if bout.occupants[side.index()] == Occupant::Bye {
        return "Bye".to_owned();
    }
    match bout.sources[side.index()] {
        Source::Winner(key) => format!("Winner of {key}"),
        Source::Loser(key) => format!("Loser of {key}"),
        Source::Placed(0, place) => format!("{} of Swiss", ordinal(place)),
        Source::Placed(group, place) => {
            format!("{} of group {}", ordinal(place), crate::tournaments::group_letter(group))
        }
        Source::Seed(seed) => format!("Seed {seed}"),
        Source::Bye | Source::Entrant(_) => "Not known yet".to_owned(),
    }
}

pub fn ordinal(number: u16) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

/// Everybody of a group against everybody: in each cell the matches of the row's entrant against the column's.
fn cross_table(tournament: &Tournament, number: usize) -> Value {
    let Some(members) = tournament.draw.groups.get(number) else { return Value::Null };
    if members.len() > MOST_IN_CROSS_TABLE {
        return Value::Null;
    }
    let group = u16::try_from(number + 1).unwrap_or(u16::MAX);
    let name = |id: &EntrantId| tournament.entrants.get(id).map(|entrant| entrant.name.clone());
    let cell = |row: EntrantId, column: EntrantId| -> Value {
        if row == column {
            return Value::Null;
        }
        let between = |bout: &&Bout| {
            bout.key.group == group && bout.side_of(row).is_some() && bout.side_of(column).is_some()
        };
        let matches = tournament.section(Section::Group).filter(between).map(|bout| {
            let side = bout.side_of(row).unwrap_or(Side::One);
            let verdict = bout.outcome.as_ref().map(|outcome| &outcome.verdict);
            let result = verdict.map(|verdict| match verdict.winner {
                Some(winner) if winner == side => "won",
                Some(_) => "lost",
                None if verdict.forfeit.is_some() => "lost",
                None => "drawn",
            });
            json!({
                "key": bout.key,
                "result": result,
                "score": verdict.map(|verdict| [verdict.scores[side.index()], verdict.scores[side.other().index()]]),
            })
        });
        matches.collect()
    };
    let rows: Vec<Value> = members
        .iter()
        .enumerate()
        .map(|(at, row)| {
            let cells: Vec<Value> = members.iter().map(|column| cell(*row, *column)).collect();
            json!({ "number": at + 1, "name": name(row), "participant_id": row.0, "cells": cells })
        })
        .collect();
    json!({ "rows": rows })
}

/// What a reader of the screen is told when it changes: the result that came last.
pub fn last_result(tournament: &Tournament) -> Value {
    let last = tournament
        .existing()
        .filter_map(|bout| Some((bout.outcome.as_ref()?, bout)))
        .max_by_key(|(outcome, bout)| (outcome.at, bout.key));
    let Some((outcome, bout)) = last else { return Value::Null };
    let side = |side: Side| {
        let entrant = bout.occupants[side.index()].entrant().and_then(|id| tournament.entrants.get(&id));
        let name = entrant.map_or("nobody", |entrant| entrant.name.as_str());
        format!("{} {}", crate::pages::text::plain_name(name), outcome.verdict.scores[side.index()])
    };
    format!("{}: {}, {}", bout.key, side(Side::One), side(Side::Two)).into()
}

/// Matches that are played or can be, those under way first.
pub fn open_matches(seen: &Seen, scores: &Scores) -> Result<Value, ApiError> {
    let tournament = &seen.current.tournament;
    let view = View::new(seen.current.id, tournament);
    let mut open: Vec<&Bout> = tournament
        .existing()
        .filter(|bout| matches!(bout.status, BoutStatus::Ready | BoutStatus::Running))
        .collect();
    let is_live = |bout: &Bout| scores.contains_key(&bout.key.to_string());
    open.sort_by_key(|bout| (!is_live(bout), bout.status != BoutStatus::Running, bout.key));
    let total = open.len();
    let mut matches = Vec::new();
    for bout in open.into_iter().take(MOST_OPEN_SHOWN) {
        let mut one = plain(&view.bout(bout))?;
        with_words(&mut one, seen, scores);
        matches.push(one);
    }
    Ok(json!({ "matches": matches, "total": total }))
}

/// Final places as tiers with their place's number; empty until all is played.
pub fn places(tournament: &Tournament) -> Value {
    let mut place = 1;
    let tiers = tournament.final_places().into_iter().map(|entrants| {
        let (first, last) = (place, place + entrants.len() - 1);
        place += entrants.len();
        shown_tier(tournament, &Tier { first, last, entrants })
    });
    tiers.collect()
}

/// The same of a knockout that is played: who is not out yet leaves a gap, so that nothing moves when they are. Null while tables are
/// played and nobody is out.
fn known_places(tournament: &Tournament) -> Value {
    let tiers = tournament.known_places();
    let is_known = tiers.iter().any(|tier| !tier.entrants.is_empty());
    match tournament.status.has_begun() && (is_known || tournament.tables().is_empty()) {
        true => tiers.iter().map(|tier| shown_tier(tournament, tier)).collect(),
        false => Value::Null,
    }
}

/// Names of those who have no place yet, by seed, while nothing but a knockout is played.
fn still_in(tournament: &Tournament) -> Vec<&str> {
    if tournament.status != Status::InProgress || !tournament.tables().is_empty() {
        return Vec::new();
    }
    let tiers = tournament.known_places();
    let mut left: Vec<(&EntrantId, &Entrant)> = tournament
        .entrants
        .iter()
        .filter(|(id, entrant)| entrant.is_in() && !tiers.iter().any(|tier| tier.entrants.contains(id)))
        .collect();
    left.sort_by_key(|(id, entrant)| (entrant.seed.is_none(), entrant.seed, **id));
    left.into_iter().map(|(_, entrant)| entrant.name.as_str()).collect()
}

fn shown_tier(tournament: &Tournament, tier: &Tier) -> Value {
    let mut names: Vec<Value> = tier
        .entrants
        .iter()
        .filter_map(|id| tournament.entrants.get(id))
        .map(|entrant| json!({ "name": entrant.name, "participant_id": entrant.id.0, "seed": entrant.seed }))
        .collect();
    let gap = json!({ "name": null, "participant_id": null, "seed": null });
    names.resize((tier.last + 1 - tier.first).max(names.len()), gap);
    json!({ "first": tier.first, "last": tier.last, "entrants": names })
}

pub async fn standings_page(
    viewer: Anyone,
    request: HttpRequest,
    pages: Data<Pages>,
    tournaments: Data<Tournaments>,
    id: Path<Uuid>,
) -> Page {
    QueryShape::default().read(request.query_string()).finish()?;
    let seen = Seen::of(&tournaments, viewer, *id).await?;
    let current = &seen.current;
    let mut tables = plain(&standings(current.id, &current.tournament, current.version))?;
    let chain = tie_breaks(&current.tournament);
    for row in tables["groups"]
        .as_array_mut()
        .into_iter()
        .flatten()
        .filter_map(|table| table["rows"].as_array_mut())
        .flatten()
    {
        let values: Vec<String> = chain.iter().map(|(word, _)| figure(&row["tie_breaks"][word])).collect();
        row["values"] = values.into();
        row["points"] = figure(&row["points"]).into();
        row["is_own"] = seen.own.is_some_and(|own| row["participant_id"] == own.0).into();
        for game in row["games"].as_array_mut().into_iter().flatten() {
            let opponent = game["opponent_id"].as_u64().and_then(|id| u32::try_from(id).ok());
            let opponent = opponent.and_then(|id| current.tournament.entrants.get(&EntrantId(id)));
            game["opponent"] = opponent.map(|entrant| entrant.name.clone()).into();
            game["points"] = figure(&game["points"]).into();
            let points = Some(&game["opponent_points"]).filter(|points| !points.is_null()).map(figure);
            game["opponent_points"] = points.into();
        }
    }
    let context = json!({
        "tables": tables["groups"],
        "tie_breaks": chain.iter().map(|(_, label)| label).collect::<Vec<_>>(),
        "places": places(&current.tournament),
        "known": known_places(&current.tournament),
        "still_in": still_in(&current.tournament),
        "said": last_result(&current.tournament),
    });
    seen.show(&pages, &request, "tournaments/standings.html", Some("Standings"), context).await
}

/// A sum of points as people write it: `6`, `2.5`, `−3`.
fn figure(value: &Value) -> String {
    value.as_f64().map_or_else(|| "–".to_owned(), |number| number.to_string().replace('-', "−"))
}

/// The chain of a tournament's tables, as in JSON and as people read it; points have a column of their own.
fn tie_breaks(tournament: &Tournament) -> Vec<(String, &'static str)> {
    use mohaa_domain::tournament::TieBreak;
    let default: &[TieBreak] = if tournament.has_swiss() { &TieBreak::SWISS } else { &TieBreak::ROUND_ROBIN };
    let chain = tournament.settings.options.tie_breaks.as_deref().unwrap_or(default);
    chain
        .iter()
        .filter(|tie_break| **tie_break != TieBreak::Points)
        .filter_map(|tie_break| {
            let word = serde_json::to_value(tie_break).ok()?.as_str()?.to_owned();
            Some((word, tie_break_word(*tie_break)))
        })
        .collect()
}

/// How many matches lead to each one, at most: matches of one step can be played at once.
fn steps_of_play(tournament: &Tournament) -> BTreeMap<Key, u16> {
    let mut steps: BTreeMap<Key, u16> = BTreeMap::new();
    let mut first_stage = 0;
    // A match comes after all that lead to it.
    for bout in tournament.bouts.values() {
        let after = |source: &Source| match source {
            Source::Winner(key) | Source::Loser(key) => steps.get(key).copied().unwrap_or(0),
            Source::Placed(..) => first_stage,
            Source::Seed(_) | Source::Bye | Source::Entrant(_) => 0,
        };
        let step = match bout.key.section {
            Section::Group | Section::Swiss => bout.key.round,
            _ => bout.sources.iter().map(after).max().unwrap_or(0) + 1,
        };
        if matches!(bout.key.section, Section::Group | Section::Swiss) {
            first_stage = first_stage.max(step);
        }
        steps.insert(bout.key, step);
    }
    steps
}

/// Matches of one day, or those without a time that can be played at once.
#[derive(Serialize)]
struct Sitting {
    /// UTC.
    day: Option<NaiveDate>,
    #[serde(skip)]
    step: Option<u16>,
    rounds: Vec<String>,
    matches: Vec<Value>,
}

pub async fn schedule_page(
    viewer: Anyone,
    request: HttpRequest,
    pages: Data<Pages>,
    tournaments: Data<Tournaments>,
    live: Data<Live>,
    id: Path<Uuid>,
) -> Page {
    QueryShape::default().read(request.query_string()).finish()?;
    let seen = Seen::of(&tournaments, viewer, *id).await?;
    let scores = live_scores(&tournaments, &live, &seen.current).await;
    let tournament = &seen.current.tournament;
    let view = View::new(seen.current.id, tournament);
    let mut bouts: Vec<&Bout> = tournament.existing().filter(|bout| !bout.has_bye()).collect();
    let steps = steps_of_play(tournament);
    // Those with a time by it, then the others in the order of play.
    bouts.sort_by_key(|bout| {
        let step = steps.get(&bout.key).copied();
        (bout.plan.scheduled_at.is_none(), bout.plan.scheduled_at, step, bout.key)
    });
    let played = bouts.iter().filter(|bout| bout.status == BoutStatus::Completed).count();
    let next = bouts.iter().find(|bout| bout.status != BoutStatus::Completed);
    let next = next.map(|bout| bout.key.to_string());
    // Each keeps its place when it is over: a reader's page does not move.
    let count = bouts.len();
    let mut sittings: Vec<Sitting> = Vec::new();
    for bout in bouts {
        let mut one = plain(&view.bout(bout))?;
        with_words(&mut one, &seen, &scores);
        let day = bout.plan.scheduled_at.and_then(DateTime::from_timestamp_millis).map(|at| at.date_naive());
        let step = steps.get(&bout.key).copied().filter(|_| day.is_none());
        if sittings.last().is_none_or(|last| (last.day, last.step) != (day, step)) {
            sittings.push(Sitting { day, step, rounds: Vec::new(), matches: Vec::new() });
        }
        let Some(sitting) = sittings.last_mut() else { continue };
        let round = view.round_name(bout.key);
        if !sitting.rounds.contains(&round) {
            sitting.rounds.push(round);
        }
        sitting.matches.push(one);
    }
    let said = last_result(tournament);
    let context =
        json!({ "sittings": sittings, "count": count, "played": played, "next": next, "said": said });
    seen.show(&pages, &request, "tournaments/schedule.html", Some("Schedule"), context).await
}
