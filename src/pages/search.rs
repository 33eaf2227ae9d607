//! `/search`. With `compare`, ids of players with commas between them, it looks for one more to set beside them.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;
use sqlx::PgPool;
use url::form_urlencoded;

use super::{Pages, text, view};
use crate::access::Anyone;
use crate::http::ApiError;
use crate::stats::read_needle;

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
