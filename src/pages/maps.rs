//! `/maps` and `/maps/{map}`.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use mohaa_domain::vocabulary::GameType;
use serde_json::{Value, json};
use sqlx::PgPool;

use super::charts::Bars;
use super::{Pages, heatmap_panel, text, view};
use crate::access::Anyone;
use crate::http::query::Format;
use crate::http::{ApiError, table};
use crate::stats::{MapSort, MapsQuestion, Period, Selection, Stats, read_map_of_page};

type Page = Result<HttpResponse, ApiError>;

pub(super) async fn list(viewer: Anyone, request: HttpRequest, pages: Data<Pages>) -> Page {
    let stats = &pages.stats;
    let question = MapsQuestion::read(stats, request.query_string())?;
    if question.format != Format::Json {
        return table::answer(&request, question.format, &stats.maps(&question).await?, "maps");
    }
    let (list, options) = tokio::try_join!(stats.maps(&question), filter_options(stats))?;
    let context = json!({
        "list": list,
        "query": filters(question.period, &question.selection),
        "options": options,
        "sorts": view::choices(&MapSort::ALL.map(MapSort::as_str), &MapSort::ALL.map(MapSort::label)),
        "pages": view::page_links("/maps", request.query_string(), question.paging, list.total),
    });
    pages.page(&request, viewer, "maps.html", "Maps", &context).await
}

pub(super) async fn one(
    viewer: Anyone,
    request: HttpRequest,
    pages: Data<Pages>,
    pool: Data<PgPool>,
    map: Path<String>,
) -> Page {
    let stats = &pages.stats;
    let (period, selection) = read_map_of_page(stats, &map, request.query_string())?;
    let (map, options) = tokio::try_join!(stats.map(period, &selection), filter_options(stats))?;
    let heatmap =
        heatmap_panel::of_map(&pages, &pool, &map.figures.map_name, period, request.query_string()).await?;
    let plays: Vec<u64> = map.played.points.iter().map(|point| point.plays).collect();
    let label = |at: usize| map.played.points[at].from.to_string();
    let mut shown = view::with_raw_names(&map)?;
    shown["recent_matches"] = view::matches(&map.recent_matches)?;
    let context = json!({
        "map": shown,
        "heatmap": heatmap,
        "chart": Bars::new(&plays, label),
        "query": filters(period, &selection),
        "options": options,
    });
    let title = text::plain_name(&map.figures.map_name);
    pages.page(&request, viewer, "map.html", &title, &context).await
}

/// What the filters of maps and weapons are set to.
pub(super) fn filters(period: Period, selection: &Selection) -> Value {
    json!({
        "period": period.as_str(),
        "map": selection.map_name,
        "server": selection.server_id,
        "gametype": selection.game_type.map(GameType::as_str),
    })
}

/// What the filters of maps and weapons can be set to.
pub(super) async fn filter_options(stats: &Stats) -> Result<Value, ApiError> {
    let (maps, servers) = tokio::try_join!(stats.known_maps(), stats.known_servers())?;
    let servers: Vec<_> = servers
        .into_iter()
        .map(|(server_id, name)| json!({ "server_id": server_id, "name": name }))
        .collect();
    Ok(json!({
        "periods": view::choices(&Period::ALL.map(Period::as_str), &Period::ALL.map(view::period_label)),
        "gametypes": view::game_type_choices(),
        "maps": maps,
        "servers": servers,
    }))
}
