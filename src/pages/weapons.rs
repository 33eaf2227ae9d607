//! `/weapons` and `/weapons/{slug}`.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::charts::Bars;
use super::maps::{filter_options, filters};
use super::{Pages, text, view};
use crate::access::Anyone;
use crate::http::query::Format;
use crate::http::{ApiError, table};
use crate::stats::{WeaponSort, WeaponsQuestion, read_weapon};

type Page = Result<HttpResponse, ApiError>;

pub(super) async fn list(viewer: Anyone, request: HttpRequest, pages: Data<Pages>) -> Page {
    let stats = &pages.stats;
    let question = WeaponsQuestion::read(stats, request.query_string())?;
    if question.format != Format::Json {
        return table::answer(&request, question.format, &stats.weapons(&question).await?, "weapons");
    }
    let (list, options) = tokio::try_join!(stats.weapons(&question), filter_options(stats))?;
    let context = json!({
        "list": list,
        "query": filters(question.period, &question.selection),
        "options": options,
        "sorts": view::choices(&WeaponSort::ALL.map(WeaponSort::as_str), &WeaponSort::ALL.map(WeaponSort::label)),
        "pages": view::page_links("/weapons", request.query_string(), question.paging, list.total),
    });
    pages.page(&request, viewer, "weapons.html", "Weapons", &context).await
}

pub(super) async fn one(
    viewer: Anyone,
    request: HttpRequest,
    pages: Data<Pages>,
    slug: Path<String>,
) -> Page {
    let stats = &pages.stats;
    let (period, selection) = read_weapon(stats, &slug, request.query_string())?;
    let (weapon, options) = tokio::try_join!(stats.weapon(period, &selection), filter_options(stats))?;
    let kills: Vec<u64> = weapon.ranges.steps.iter().map(|step| step.kills).collect();
    let label = |at: usize| format!("{} m", weapon.ranges.steps[at].from_metres);
    let context = json!({
        "weapon": view::with_raw_names(&weapon)?,
        "chart": Bars::new(&kills, label),
        "query": filters(period, &selection),
        "options": options,
    });
    let title = text::plain_name(&weapon.figures.name);
    pages.page(&request, viewer, "weapon.html", &title, &context).await
}
