//! `/search`.

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
    let typed = form_urlencoded::parse(request.query_string().as_bytes())
        .find_map(|(name, value)| (name == "q").then(|| value.into_owned()));
    let (needle, mistake) = match read_needle(request.query_string()) {
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
    let context = json!({ "typed": typed, "mistake": mistake, "found": found });
    pages.page(&request, viewer, "search.html", &title, &context).await
}
