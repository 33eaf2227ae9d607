//! Heatmaps as pictures, for pages without scripts and for other sites.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::EntityTag;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use sqlx::PgPool;

use super::{Pages, text};
use crate::access::Anyone;
use crate::heatmap::{Backdrop, Captions, DEFAULT_WIDTH, Picture, WIDTHS};
use crate::http::query::{QueryShape, QueryValues};
use crate::http::{ApiError, caching};
use crate::overviews::{OverviewError, find_overview};
use crate::stats::{Bots, HeatKind, Heatmap, HeatmapQuestion, MAP_PICTURE, MATCH_PICTURE, normal_map_name};

/// Finer than the API's answers: smoothing needs it.
pub(super) const PICTURE_CELL: i32 = 64;

type Answer = Result<HttpResponse, ApiError>;

/// `/maps/{map}/heatmap.png`.
pub(super) async fn of_map(
    _: Anyone,
    request: HttpRequest,
    pages: Data<Pages>,
    pool: Data<PgPool>,
    map: Path<String>,
) -> Answer {
    let (question, width) = read(&pages, MAP_PICTURE, &request)?;
    let heatmap = pages.stats.map_heatmap(&normal_map_name(&map), &question).await?;
    picture(&request, &pages, &pool, heatmap, &question, width).await
}

/// `/matches/{id}/heatmap.png`.
pub(super) async fn of_match(
    _: Anyone,
    request: HttpRequest,
    pages: Data<Pages>,
    pool: Data<PgPool>,
    id: Path<String>,
) -> Answer {
    let (question, width) = read(&pages, MATCH_PICTURE, &request)?;
    let heatmap = pages.stats.match_heatmap(&id, &question).await?;
    picture(&request, &pages, &pool, heatmap, &question, width).await
}

/// `/maps/{map}/overview.png`.
pub(super) async fn overview(
    _: Anyone,
    request: HttpRequest,
    pages: Data<Pages>,
    pool: Data<PgPool>,
    map: Path<String>,
) -> Answer {
    QueryShape::default().read(request.query_string()).finish()?;
    let map_name = normal_map_name(&map);
    let unknown = || OverviewError::Unknown(map_name.clone());
    let overview = find_overview(&pool, &map_name).await?.ok_or_else(unknown)?;
    let tag = EntityTag::new_strong(overview.image_hash.clone());
    let png = match caching::has(&request, &tag) {
        true => Vec::new(),
        false => pages.overviews.png(&pool, &overview).await?.ok_or_else(unknown)?.to_vec(),
    };
    Ok(caching::tagged(&request, &tag, png, "image/png", caching::STATS_LIFETIME))
}

fn read(pages: &Pages, shape: QueryShape, request: &HttpRequest) -> Result<(HeatmapQuestion, u32), ApiError> {
    let mut values = shape.read(request.query_string());
    let question = HeatmapQuestion::take(&pages.stats, &mut values, PICTURE_CELL);
    let width = width(&mut values);
    values.finish()?;
    Ok((question, width))
}

fn width(values: &mut QueryValues) -> u32 {
    let read = |text: &str| {
        let width = text.parse().ok().filter(|width| WIDTHS.contains(width));
        width.ok_or_else(|| format!("must be {} to {} pixels", WIDTHS.start(), WIDTHS.end()))
    };
    values.parsed_parameter("width", read).unwrap_or(DEFAULT_WIDTH)
}

async fn picture(
    request: &HttpRequest,
    pages: &Pages,
    pool: &PgPool,
    heatmap: Heatmap,
    question: &HeatmapQuestion,
    width: u32,
) -> Answer {
    let backdrop = match &heatmap.map_name {
        Some(map_name) => pages.overviews.backdrop(pool, map_name).await,
        None => Backdrop::Grid,
    };
    let captions = captions(pages, &heatmap, question).await?;
    let picture = Picture { heatmap: Arc::new(heatmap), backdrop, captions, width };
    let png = pages.pictures.png(picture).await.map_err(ApiError::internal)?;
    Ok(caching::conditional(request, png.to_vec(), "image/png", caching::STATS_LIFETIME))
}

/// A picture that stands elsewhere has to say by itself what it counts.
async fn captions(
    pages: &Pages,
    heatmap: &Heatmap,
    question: &HeatmapQuestion,
) -> Result<Captions, ApiError> {
    let mut remarks = vec![format!("{} {}", heatmap.total(), counted(question.kind))];
    if let Some(player_id) = &question.player_id {
        let id = match pages.stats.require_player(player_id).await {
            Err(unknown) if unknown.status() == StatusCode::NOT_FOUND => player_id.as_str().to_owned(),
            known => known?,
        };
        let names = pages.stats.names_of_players(vec![id.clone()]).await?;
        let name = names.get(&id).map_or(id.as_str(), |(plain, _)| plain.as_str());
        remarks.push(format!("of {}", text::plain_name(name)));
    }
    let selection = &question.selection;
    remarks.extend(selection.team.map(|team| team.as_str().to_owned()));
    remarks.extend(selection.weapon.clone());
    remarks.extend(selection.from.map(|day| format!("from {day}")));
    remarks.extend(selection.to.map(|day| format!("before {day}")));
    remarks.extend(selection.server_id.map(|_| "one server".to_owned()));
    remarks.extend((selection.bots == Bots::Only).then(|| "bots only".to_owned()));
    remarks.extend((selection.bots == Bots::With).then(|| "with bots".to_owned()));
    let title = heatmap.map_name.as_deref().map_or_else(|| "Unknown map".to_owned(), text::plain_name);
    Ok(Captions { title, remarks: remarks.join(", ") })
}

fn counted(kind: HeatKind) -> &'static str {
    match kind {
        HeatKind::Kills => "kills, by the killer's place",
        HeatKind::Victims => "kills, by the victim's place",
        HeatKind::Deaths => "deaths",
    }
}
