//! `/search`. With `compare`, ids of players with commas between them, it looks for one more to set beside them.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use mohaa_domain::player::PlayerId;
use serde_json::json;
use sqlx::PgPool;
use url::form_urlencoded;

use super::{Pages, text, view};
use crate::access::Anyone;
use crate::http::ApiError;
use crate::stats::{COMPARED, read_needle};

pub(super) async fn page(
    viewer: Anyone,
    request: HttpRequest,
    pages: Data<Pages>,
    pool: Data<PgPool>,
) -> Result<HttpResponse, ApiError> {
    let asked: Vec<(String, String)> =
        form_urlencoded::parse(request.query_string().as_bytes()).into_owned().collect();
    let said = |name: &str| asked.iter().find(|(asked, _)| asked == name).map(|(_, value)| value.as_str());
    let (typed, compare) = (said("q"), said("compare").filter(|ids| !ids.is_empty()));
    compare.map_or(Ok(()), refuse_who_cannot_be_compared)?;
    let search = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(asked.iter().filter(|(name, _)| name != "compare"))
        .finish();
    let (needle, mistake) = match read_needle(&search) {
        Ok(needle) => (needle, None),
        // Who types too little is told beside the box, and goes on from there.
        Err(error) => match error.fields().get("q").filter(|_| error.fields().len() == 1) {
            Some(why) => (None, Some(format!("What you look for {why}."))),
            None => return Err(error),
        },
    };
    let found = match &needle {
        Some(needle) => Some(view::with_raw_names(&pages.stats.search(&pool, needle).await?)?),
        None => None,
    };
    let title = needle.as_ref().map_or_else(
        || "Search".to_owned(),
        |needle| format!("Search for {}", text::plain_name(needle.as_str())),
    );
    let context = json!({ "typed": typed, "compare": compare, "mistake": mistake, "found": found });
    pages.page(&request, viewer, "search.html", &title, &context).await
}

/// Those who are there already, and there is a place for one more.
fn refuse_who_cannot_be_compared(ids: &str) -> Result<(), ApiError> {
    let ids: Result<Vec<PlayerId>, _> = ids.split(',').map(str::parse).collect();
    let ids = ids.map_err(|error| ApiError::invalid_field("compare", error.to_string()))?;
    match ids.len() < *COMPARED.end() {
        true => Ok(()),
        false => {
            Err(ApiError::invalid_field("compare", format!("must be at most {} players", COMPARED.end() - 1)))
        }
    }
}
