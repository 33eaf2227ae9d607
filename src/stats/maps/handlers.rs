//! `/api/v1/stats/maps` and `/api/v1/stats/maps/{map}`.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use utoipa::OpenApi;

use super::answers::{MapAnswer, MapList};
use super::{MapSort, MapsQuestion};
use crate::access::{Anyone, Route, get};
use crate::http::query::{FORMAT, Parameter, QueryShape};
use crate::http::{ApiError, ErrorBody, caching, table};
use crate::stats::handlers::PERIOD;
use crate::stats::selection::{self, normal_map_name};
use crate::stats::{Period, Selection, Stats};

const SORT: Parameter = Parameter {
    name: "sort",
    description: "What the list is ordered by: plays (default), kills, players, duration or last_played, the most or the \
                  latest first; or name.",
    example: "kills",
};
const FILTERS: &[Parameter] =
    &[selection::SERVER, selection::GAMETYPE, selection::FROM, selection::TO, selection::BOTS];
pub(in crate::stats) const LIST: QueryShape =
    QueryShape { parameters: &[PERIOD, SORT, FORMAT], filters: FILTERS, paged: true };
pub(in crate::stats) const ONE: QueryShape =
    QueryShape { parameters: &[PERIOD], filters: FILTERS, paged: false };

#[derive(OpenApi)]
#[openapi(paths(maps, map))]
pub struct MapsApi;

/// Behind every other route that begins with `/api/v1/stats/maps/`: a map's name takes the rest of the path.
pub(in crate::stats) fn routes() -> Vec<Route> {
    vec![get("/api/v1/stats/maps", maps), get("/api/v1/stats/maps/{map:.+}", map)]
}

impl MapsQuestion {
    /// Reads the parameters of the list, as API and page take them.
    pub fn read(stats: &Stats, query_string: &str) -> Result<Self, ApiError> {
        let mut values = LIST.read(query_string);
        let period = values.parsed_parameter("period", Period::from_word).unwrap_or_default();
        let question = MapsQuestion {
            period,
            sort: values.parsed_parameter("sort", MapSort::from_word).unwrap_or_default(),
            format: values.format(),
            paging: values.paging(),
            selection: Selection::take(&mut values).within(period.days(stats.now())),
        };
        values.finish()?;
        Ok(question)
    }
}

/// Reads what of a page's parameters is meant for its map.
pub fn read_map_of_page(
    stats: &Stats,
    map: &str,
    query_string: &str,
) -> Result<(Period, Selection), ApiError> {
    read_map(stats, map, &ONE.only(query_string))
}

/// Reads the parameters of one map.
pub fn read_map(stats: &Stats, map: &str, query_string: &str) -> Result<(Period, Selection), ApiError> {
    let mut values = ONE.read(query_string);
    let period = values.parsed_parameter("period", Period::from_word).unwrap_or_default();
    let selection = Selection {
        map_name: Some(normal_map_name(map)),
        ..Selection::take(&mut values).within(period.days(stats.now()))
    };
    values.finish()?;
    Ok((period, selection))
}

/// Maps that were played
///
/// How often, for how long, and how the sides fared. Matches count on the day they started.
#[utoipa::path(get, path = "/api/v1/stats/maps", tag = "Statistics", responses(
    (status = 200, description = "One page of maps", body = MapList),
    (status = 422, description = "Parameters that can't be used", body = ErrorBody),
    (status = 503, description = "Statistics can't be read at the moment", body = ErrorBody)))]
async fn maps(_: Anyone, request: HttpRequest, stats: Data<Stats>) -> Result<HttpResponse, ApiError> {
    let question = MapsQuestion::read(&stats, request.query_string())?;
    table::answer(&request, question.format, &stats.maps(&question).await?, "maps")
}

/// One map
///
/// Its figures, plays over time, best players, weapons, servers and latest matches.
#[utoipa::path(get, path = "/api/v1/stats/maps/{map}", tag = "Statistics",
    params(("map" = String, Path, description = "Map name; its slash may stand plain", example = "dm/mohdm1")), responses(
    (status = 200, description = "The map", body = MapAnswer),
    (status = 404, description = "Nobody ever played such a map", body = ErrorBody),
    (status = 422, description = "Parameters that can't be used", body = ErrorBody),
    (status = 503, description = "Statistics can't be read at the moment", body = ErrorBody)))]
async fn map(
    _: Anyone,
    request: HttpRequest,
    stats: Data<Stats>,
    map: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let (period, selection) = read_map(&stats, &map, request.query_string())?;
    caching::json(&request, &stats.map(period, &selection).await?)
}
