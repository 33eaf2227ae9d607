//! `/achievements`: what there is to earn.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::{Pages, view};
use crate::access::Anyone;
use crate::achievements::{AchievementStore, ListedAchievement};
use crate::http::ApiError;

/// Categories in the order of lists, and what they are called.
const CATEGORIES: [(&str, &str); 9] = [
    ("combat", "Combat"),
    ("weapons", "Weapons"),
    ("streaks", "Streaks and multi-kills"),
    ("feats", "Feats of one match"),
    ("service", "Service"),
    ("objectives", "Objectives and supplies"),
    ("tournaments", "Tournaments"),
    ("curiosities", "Curiosities"),
    ("rueful", "Better not mentioned"),
];

pub(super) async fn page(
    viewer: Anyone,
    request: HttpRequest,
    pages: Data<Pages>,
    achievements: Data<AchievementStore>,
) -> Result<HttpResponse, ApiError> {
    let list = achievements.list().await?;
    let group = |(category, title): &(&str, &str)| -> Value {
        let of_category: Vec<&ListedAchievement> =
            list.achievements.iter().filter(|achievement| achievement.category == *category).collect();
        json!({ "category": category, "title": title, "achievements": of_category })
    };
    let groups: Vec<Value> = CATEGORIES.iter().map(group).collect();
    let context = json!({ "list": { "recent": view::with_raw_names(&list.recent)? }, "groups": groups });
    pages.page(&request, viewer, "achievements.html", "Achievements", &context).await
}
