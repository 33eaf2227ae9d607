//! `/api/v1/stats/weapons` and `/api/v1/stats/weapons/{slug}`.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use mohaa_domain::weapon::WeaponSlug;
use utoipa::OpenApi;

use super::answers::{WeaponAnswer, WeaponList};
use super::{WeaponSort, WeaponsQuestion};
use crate::access::{Anyone, Route, get};
use crate::http::query::{FORMAT, Parameter, QueryShape};
use crate::http::{ApiError, ErrorBody, caching, table};
use crate::stats::handlers::PERIOD;
use crate::stats::selection;
use crate::stats::{Period, Selection, Stats};

const SORT: Parameter = Parameter {
    name: "sort",
    description: "What the list is ordered by, the most first: kills (default), headshots, damage, users, accuracy or \
                  distance (of the longest kill).",
    example: "headshots",
};
const FILTERS: &[Parameter] = &[
    selection::MAP,
    selection::SERVER,
    selection::GAMETYPE,
    selection::TEAM,
    selection::FROM,
    selection::TO,
    selection::BOTS,
];
pub(in crate::stats) const LIST: QueryShape =
    QueryShape { parameters: &[PERIOD, SORT, FORMAT], filters: FILTERS, paged: true };
pub(in crate::stats) const ONE: QueryShape =
    QueryShape { parameters: &[PERIOD], filters: FILTERS, paged: false };

#[derive(OpenApi)]
#[openapi(paths(weapons, weapon))]
pub struct WeaponsApi;

pub(in crate::stats) fn routes() -> Vec<Route> {
    vec![get("/api/v1/stats/weapons", weapons), get("/api/v1/stats/weapons/{slug}", weapon)]
}

impl WeaponsQuestion {
    /// Reads the parameters of the list, as API and page take them.
    pub fn read(stats: &Stats, query_string: &str) -> Result<Self, ApiError> {
        let mut values = LIST.read(query_string);
        let period = values.parsed_parameter("period", Period::from_word).unwrap_or_default();
        let question = WeaponsQuestion {
            period,
            sort: values.parsed_parameter("sort", WeaponSort::from_word).unwrap_or_default(),
            format: values.format(),
            paging: values.paging(),
            selection: Selection::take(&mut values).within(period.days(stats.now())),
        };
        values.finish()?;
        Ok(question)
    }
}

/// Reads the parameters of one weapon, as API and page take them.
pub fn read_weapon(stats: &Stats, slug: &str, query_string: &str) -> Result<(Period, Selection), ApiError> {
    let mut values = ONE.read(query_string);
    let period = values.parsed_parameter("period", Period::from_word).unwrap_or_default();
    let selection = Selection::take(&mut values).within(period.days(stats.now()));
    values.finish()?;
    let slug: WeaponSlug =
        slug.parse().map_err(|_| ApiError::not_found("unknown_weapon", "this can't be a weapon's slug"))?;
    Ok((period, Selection { weapon: Some(slug.as_str().to_owned()), ..selection }))
}

/// Weapons that were used
#[utoipa::path(get, path = "/api/v1/stats/weapons", tag = "Statistics", responses(
    (status = 200, description = "One page of weapons", body = WeaponList),
    (status = 422, description = "Parameters that can't be used", body = ErrorBody),
    (status = 503, description = "Statistics can't be read at the moment", body = ErrorBody)))]
async fn weapons(_: Anyone, request: HttpRequest, stats: Data<Stats>) -> Result<HttpResponse, ApiError> {
    let question = WeaponsQuestion::read(&stats, request.query_string())?;
    table::answer(&request, question.format, &stats.weapons(&question).await?, "weapons")
}

/// One weapon
///
/// Its figures, how far away its victims stood, its best players and its maps.
#[utoipa::path(get, path = "/api/v1/stats/weapons/{slug}", tag = "Statistics",
    params(("slug" = String, Path, description = "Weapon slug", example = "m1-garand")), responses(
    (status = 200, description = "The weapon", body = WeaponAnswer),
    (status = 404, description = "Nobody ever used such a weapon", body = ErrorBody),
    (status = 422, description = "Parameters that can't be used", body = ErrorBody),
    (status = 503, description = "Statistics can't be read at the moment", body = ErrorBody)))]
async fn weapon(
    _: Anyone,
    request: HttpRequest,
    stats: Data<Stats>,
    slug: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let (period, selection) = read_weapon(&stats, &slug, request.query_string())?;
    caching::json(&request, &stats.weapon(period, &selection).await?)
}
