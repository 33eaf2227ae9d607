//! `/admin`: users, players and the audit log.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use mohaa_domain::player::PlayerId;
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::PgPool;

use super::{Form, Pages, see, text, view};
use crate::access::{Admin, SafeForm};
use crate::admin::{anonymise_player, list_users, merge_players, preview};
use crate::audit::LoggedEntry;
use crate::auth::{Identity, Sessions};
use crate::http::query::{Parameter, QueryShape};
use crate::http::{ApiError, query};
use crate::players as game_players;
use crate::users::{self, Role, UserChangeError, users_unavailable};
use crate::{audit, servers};

const SEARCH: Parameter =
    Parameter { name: "q", description: "Part of a name, or a user id.", example: "anna" };
const FROM_PLAYER: Parameter =
    Parameter { name: "from", description: "The player that becomes a part.", example: "4711" };
const INTO_PLAYER: Parameter =
    Parameter { name: "into", description: "The player that stays.", example: "1000000001" };
const USERS: QueryShape = QueryShape { parameters: &[SEARCH], filters: &[], paged: true };
const PLAYERS: QueryShape = QueryShape { parameters: &[FROM_PLAYER, INTO_PLAYER], filters: &[], paged: true };
const AUDIT: QueryShape = QueryShape { parameters: &[], filters: &[], paged: true };

async fn admin_page(
    pages: &Pages,
    request: &HttpRequest,
    admin: Identity,
    template: &str,
    title: &str,
    context: Value,
) -> Result<HttpResponse, ApiError> {
    pages.form(Form { request, viewer: Some(admin), template, title, context }).await
}

pub(super) async fn overview(
    Admin(admin): Admin,
    request: HttpRequest,
    pages: Data<Pages>,
    pool: Data<PgPool>,
) -> Result<HttpResponse, ApiError> {
    let users =
        list_users(&pool, "", query::Paging { page: 1, limit: 1 }).await.map_err(users_unavailable)?;
    let listed = servers::list_servers(&pool, None).await.map_err(servers::servers_unavailable)?;
    let (entries, _) = audit::list(&pool, 5, 0).await.map_err(users_unavailable)?;
    let waiting = listed.iter().filter(|server| !server.approved).count();
    let context = json!({
        "users": users.total, "servers": listed.len(), "waiting_servers": waiting, "entries": shown(entries)?,
    });
    admin_page(&pages, &request, admin, "admin/index.html", "Administration", context).await
}

pub(super) async fn users(
    Admin(admin): Admin,
    request: HttpRequest,
    pages: Data<Pages>,
    pool: Data<PgPool>,
) -> Result<HttpResponse, ApiError> {
    let mut values = USERS.read(request.query_string());
    let search = values.parameter("q").unwrap_or_default();
    let paging = values.paging();
    values.finish()?;
    let list = list_users(&pool, search.trim(), paging).await.map_err(users_unavailable)?;
    let total = u64::try_from(list.total).unwrap_or(0);
    let context = json!({
        "list": list,
        "search": search,
        "me": admin.user_id,
        "roles": [Role::Player, Role::Organizer, Role::Admin],
        "pages": view::page_links("/admin/users", request.query_string(), paging, total),
    });
    admin_page(&pages, &request, admin, "admin/users.html", "Users", context).await
}

#[derive(Deserialize)]
pub(super) struct UserForm {
    /// `role`, `ban`, `unban` or `sign-out`.
    action: String,
    #[serde(default)]
    role: Option<Role>,
    #[serde(default)]
    reason: String,
}

pub(super) async fn change_user(
    Admin(admin): Admin,
    pool: Data<PgPool>,
    sessions: Data<Sessions>,
    id: Path<i32>,
    SafeForm(form): SafeForm<UserForm>,
) -> Result<HttpResponse, ApiError> {
    match (form.action.as_str(), form.role) {
        ("role", Some(role)) => users::set_role(&pool, admin.user_id, *id, role).await?,
        ("ban", _) => users::ban(&pool, admin.user_id, *id, &form.reason).await?,
        ("unban", _) => users::unban(&pool, admin.user_id, *id).await?,
        ("sign-out", _) => users::sign_out_by_admin(&pool, &sessions, admin.user_id, *id).await?,
        _ => return Err(ApiError::invalid_field("action", "must be role, ban, unban or sign-out")),
    }
    sessions.access_changed(*id).await.map_err(|cause| ApiError::from(UserChangeError::Store(cause)))?;
    Ok(see(&format!("/admin/users#user-{id}")))
}

pub(super) async fn players(
    Admin(admin): Admin,
    request: HttpRequest,
    pages: Data<Pages>,
    pool: Data<PgPool>,
) -> Result<HttpResponse, ApiError> {
    let mut values = PLAYERS.read(request.query_string());
    let mut player = |name: &str| {
        values
            .parsed_parameter(name, |text| text.trim().parse::<PlayerId>().map_err(|error| error.to_string()))
    };
    let (from, into) = (player("from"), player("into"));
    let paging = values.paging();
    values.finish()?;
    let text = |id: &Option<PlayerId>| id.as_ref().map(|id| id.as_str().to_owned()).unwrap_or_default();
    let asked = json!({ "from": text(&from), "into": text(&into) });
    let previewed = match (from, into) {
        (Some(from), Some(into)) => serde_json::to_value(preview(&pool, &pages.stats, from, into).await?)
            .map_err(ApiError::internal)?,
        _ => Value::Null,
    };
    let merges = game_players::list_merges(&pool, paging).await.map_err(users_unavailable)?;
    let total = u64::try_from(merges.total).unwrap_or(0);
    let context = json!({
        "asked": asked,
        "preview": previewed,
        "list": merges,
        "pages": view::page_links("/admin/players", request.query_string(), paging, total),
    });
    admin_page(&pages, &request, admin, "admin/players.html", "Players", context).await
}

#[derive(Deserialize)]
pub(super) struct MergeForm {
    from: String,
    into: String,
}

pub(super) async fn merge(
    Admin(admin): Admin,
    pages: Data<Pages>,
    pool: Data<PgPool>,
    SafeForm(form): SafeForm<MergeForm>,
) -> Result<HttpResponse, ApiError> {
    merge_players(&pool, &pages.stats, admin.user_id, &form.from, &form.into).await?;
    Ok(see("/admin/players#merges"))
}

#[derive(Deserialize)]
pub(super) struct UndoForm {
    merge_id: i64,
}

pub(super) async fn undo_merge(
    Admin(admin): Admin,
    pool: Data<PgPool>,
    SafeForm(form): SafeForm<UndoForm>,
) -> Result<HttpResponse, ApiError> {
    game_players::undo_merge(&pool, admin.user_id, form.merge_id).await?;
    Ok(see("/admin/players#merges"))
}

#[derive(Deserialize)]
pub(super) struct AnonymiseForm {
    player_id: String,
    /// The id once more: it can't be undone.
    confirmation: String,
}

pub(super) async fn anonymise(
    Admin(admin): Admin,
    pages: Data<Pages>,
    pool: Data<PgPool>,
    SafeForm(form): SafeForm<AnonymiseForm>,
) -> Result<HttpResponse, ApiError> {
    if form.confirmation.trim() != form.player_id.trim() {
        return Err(ApiError::invalid_field(
            "confirmation",
            "type the player's id once more: this can't be undone",
        ));
    }
    anonymise_player(&pool, &pages.stats, admin.user_id, &form.player_id).await?;
    Ok(see("/admin/players"))
}

/// Entries of the log with what was changed as text.
fn shown(entries: Vec<LoggedEntry>) -> Result<Vec<Value>, ApiError> {
    let entry = |entry: LoggedEntry| {
        let (before, after) = (entry.before.clone(), entry.after.clone());
        let mut shown = serde_json::to_value(entry)?;
        let spelled = |value: Value| text::with_hidden_spelled(&value.to_string());
        shown["before"] = before.map(spelled).into();
        shown["after"] = after.map(spelled).into();
        Ok(shown)
    };
    entries.into_iter().map(entry).collect::<Result<_, serde_json::Error>>().map_err(ApiError::internal)
}

pub(super) async fn audit_log(
    Admin(admin): Admin,
    request: HttpRequest,
    pages: Data<Pages>,
    pool: Data<PgPool>,
) -> Result<HttpResponse, ApiError> {
    let mut values = AUDIT.read(request.query_string());
    let paging = values.paging();
    values.finish()?;
    let (entries, total) =
        audit::list(&pool, paging.limit, paging.offset()).await.map_err(users_unavailable)?;
    let total = u64::try_from(total).unwrap_or(0);
    let context = json!({
        "entries": shown(entries)?,
        "list": { "page": paging.page, "limit": paging.limit, "total": total },
        "pages": view::page_links("/admin/audit", request.query_string(), paging, total),
    });
    admin_page(&pages, &request, admin, "admin/audit.html", "Audit log", context).await
}
