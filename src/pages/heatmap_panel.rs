//! The panel in which pages show a heatmap: a form of filters and a canvas, on which `static/js/heatmap.js` tells the count of
//! each cell. Without scripts the service's own picture stands there. `templates/README.md` says what it is made of.

use mohaa_domain::player::PlayerId;
use mohaa_domain::vocabulary::Team;
use serde_json::{Value, json};
use sqlx::PgPool;
use url::form_urlencoded;

use super::filters::path_encode;
use super::heatmap::PICTURE_CELL;
use super::{Pages, view};
use crate::heatmap::{DEFAULT_WIDTH, Frame, RAMP, picture_size};
use crate::http::ApiError;
use crate::overviews::overview_if_reachable;
use crate::stats::answers::{MatchAnswer, PlayerWeapon};
use crate::stats::{HEATMAP_PANEL, HeatKind, Heatmap, HeatmapBounds, HeatmapQuestion, Period, Stats};

/// What a page was asked to show in its panel.
struct Asked {
    question: HeatmapQuestion,
    period: Period,
    map_name: Option<String>,
}

impl Asked {
    /// Reads what is meant for a panel; the rest of the address belongs to other parts of the page.
    fn read(stats: &Stats, query_string: &str) -> Result<Self, ApiError> {
        let query = HEATMAP_PANEL.only(query_string);
        let mut again = HEATMAP_PANEL.read(&query);
        let period = again.parsed_parameter("period", Period::from_word).unwrap_or_default();
        let mut values = HEATMAP_PANEL.read(&query);
        let question = HeatmapQuestion::take(stats, &mut values, PICTURE_CELL);
        values.finish()?;
        let map_name = question.selection.map_name.clone();
        Ok(Asked { question, period, map_name })
    }

    /// What the heatmap's addresses are asked for.
    fn query(&self, has_period: bool) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("cell_size", &PICTURE_CELL.to_string());
        query.append_pair("kind", self.question.kind.as_str());
        if has_period {
            query.append_pair("period", self.period.as_str());
        }
        if let Some(team) = self.question.selection.team {
            query.append_pair("filter[team]", team.as_str());
        }
        if let Some(weapon) = &self.question.selection.weapon {
            query.append_pair("filter[weapon]", weapon);
        }
        query.finish()
    }

    /// Selects of what every panel can be narrowed to.
    fn selects(&self, weapons: impl Iterator<Item = (String, String)>) -> Vec<Value> {
        let kinds = view::choices(&HeatKind::ALL.map(HeatKind::as_str), &HeatKind::ALL.map(HeatKind::label));
        let teams = view::choices(&["allies", "axis"], &["Allies", "Axis"]);
        let weapons: Vec<Value> =
            weapons.map(|(slug, name)| json!({ "value": slug, "label": name })).collect();
        let selection = &self.question.selection;
        let team = selection.team.map(Team::as_str);
        vec![
            select("kind", "Show", "", kinds, Some(self.question.kind.as_str())),
            select("filter[team]", "Side", "Both sides", teams, team),
            select("filter[weapon]", "Weapon", "All weapons", weapons.into(), selection.weapon.as_deref()),
        ]
    }
}

fn select(name: &str, label: &str, any: &str, options: Value, selected: Option<&str>) -> Value {
    let id = format!("heatmap-{}", name.trim_start_matches("filter[").trim_end_matches(']'));
    json!({ "id": id, "name": name, "label": label, "any": any, "options": options, "selected": selected.unwrap_or_default() })
}

/// Where a panel's data comes from, and where its form leads.
struct Addresses {
    page: String,
    /// Both end where a query begins or goes on.
    json: String,
    picture: String,
}

/// The panel of a player's page; null for somebody who was never seen on a map as well.
pub(super) async fn of_player(
    pages: &Pages,
    pool: &PgPool,
    player_id: &PlayerId,
    weapons: &[PlayerWeapon],
    query_string: &str,
) -> Result<Value, ApiError> {
    let mut asked = Asked::read(&pages.stats, query_string)?;
    let maps = pages.stats.maps_of_player(player_id).await?;
    let Some(most_played) = maps.first() else { return Ok(Value::Null) };
    let map_name = asked.map_name.clone().unwrap_or_else(|| most_played.clone());
    if !maps.contains(&map_name) {
        return Err(ApiError::invalid_field("filter[map]", "is no map that this player was seen on"));
    }
    asked.question.player_id = Some(player_id.clone());
    let heatmap = pages.stats.map_heatmap(&map_name, &asked.question).await?;
    let names = maps.iter().map(|name| json!({ "value": name, "label": name })).collect();
    let mut selects = vec![select("filter[map]", "Map", "", names, Some(&map_name))];
    selects.extend(asked.selects(weapons.iter().map(|weapon| (weapon.slug.clone(), weapon.name.clone()))));
    let periods = view::choices(&Period::ALL.map(Period::as_str), &Period::ALL.map(view::period_label));
    selects.push(select("period", "Period", "", periods, Some(asked.period.as_str())));
    let (id, map) = (path_encode(player_id.as_str()), path_encode(&map_name));
    let addresses = Addresses {
        page: format!("/players/{id}"),
        json: format!("/api/v1/stats/player/{id}/heatmap/{map}?"),
        picture: format!("/maps/{map}/heatmap.png?filter%5Bplayer%5D={id}&"),
    };
    Ok(panel(pool, &heatmap, &asked.query(true), selects, addresses).await)
}

/// The panel of a map's page, which has a form of its own for the period.
pub(super) async fn of_map(
    pages: &Pages,
    pool: &PgPool,
    map_name: &str,
    period: Period,
    query_string: &str,
) -> Result<Value, ApiError> {
    let asked = Asked::read(&pages.stats, query_string)?;
    let (heatmap, weapons) =
        tokio::try_join!(pages.stats.map_heatmap(map_name, &asked.question), pages.stats.known_weapons(),)?;
    let mut selects = asked.selects(weapons.into_iter().map(|weapon| (weapon.slug, weapon.name)));
    let periods = view::choices(&Period::ALL.map(Period::as_str), &Period::ALL.map(view::period_label));
    selects.push(select("period", "Period", "", periods, Some(period.as_str())));
    let map = path_encode(map_name);
    let addresses = Addresses {
        page: format!("/maps/{map}"),
        json: format!("/api/v1/stats/maps/{map}/heatmap?"),
        picture: format!("/maps/{map}/heatmap.png?"),
    };
    Ok(panel(pool, &heatmap, &asked.query(true), selects, addresses).await)
}

/// The panel of a match's page.
pub(super) async fn of_match(
    pages: &Pages,
    pool: &PgPool,
    found: &MatchAnswer,
    query_string: &str,
) -> Result<Value, ApiError> {
    let asked = Asked::read(&pages.stats, query_string)?;
    let id = found.match_id;
    let heatmap = pages.stats.match_heatmap(&id.to_string(), &asked.question).await?;
    let weapons = found.top_weapons.iter().map(|weapon| (weapon.slug.clone(), weapon.name.clone()));
    let addresses = Addresses {
        page: format!("/matches/{id}"),
        json: format!("/api/v1/stats/match/{id}/heatmap?"),
        picture: format!("/matches/{id}/heatmap.png?"),
    };
    Ok(panel(pool, &heatmap, &asked.query(false), asked.selects(weapons), addresses).await)
}

/// Null where no position of the map was ever stored.
async fn panel(
    pool: &PgPool,
    heatmap: &Heatmap,
    query: &str,
    selects: Vec<Value>,
    addresses: Addresses,
) -> Value {
    if heatmap.bounds == HeatmapBounds::default() {
        return Value::Null;
    }
    let overview = match &heatmap.map_name {
        Some(map_name) => overview_if_reachable(pool, map_name).await,
        None => None,
    };
    let frame = match &overview {
        Some(overview) => Frame::of_overview(overview.bounds()),
        None => Frame::around(heatmap.bounds),
    };
    let (width, height) = picture_size(&frame, DEFAULT_WIDTH);
    let shown = overview.map(|overview| {
        let bounds = overview.bounds();
        json!({
            "url": format!("/maps/{}/overview.png", path_encode(&overview.map_name)),
            "bounds": [bounds.min_x, bounds.min_y, bounds.max_x, bounds.max_y],
        })
    });
    json!({
        "map_name": heatmap.map_name,
        "total": heatmap.total(),
        "cells": heatmap.points.len(),
        "most": heatmap.most_in_a_cell(),
        "page": addresses.page,
        "json_url": addresses.json,
        "picture_url": addresses.picture,
        "query": query,
        "selects": selects,
        "width": width,
        "height": height,
        "canvas_height": frame.pixels_high(DEFAULT_WIDTH),
        "settings": json!({
            "frame": [frame.min_x, frame.min_y, frame.max_x, frame.max_y],
            "overview": shown,
            "ramp": RAMP,
        }).to_string(),
    })
}
