//! The public pages.

use std::time::Duration;

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use mohaa_domain::vocabulary::GameType;
use serde_json::{Value, json};
use sqlx::PgPool;

use super::player_parts::form_line;
use super::rating_line::rating_line;
use super::{Pages, heatmap_panel, story, text, view};
use crate::access::Anyone;
use crate::achievements::AchievementStore;
use crate::http::query::{Format, Paging};
use crate::http::{ApiError, table};
use crate::live::Live;
use crate::ratings::{RatedMatch, RatingHistory};
use crate::stats::answers::PlayerAnswer;
use crate::stats::{
    BoardQuestion, Interval, MatchQuestion, Period, PlayerQuestion, Selection, Statistic, Stats,
    TimelineQuestion,
};
use crate::tournaments::Tournaments;

type Page = Result<HttpResponse, ApiError>;

/// Ended matches and ranks that the front page shows.
const FRONT_PAGE_ENTRIES: u32 = 10;
/// Matches on a player's page.
const PLAYER_PAGE_MATCHES: u32 = 15;
/// Rated matches that its line is drawn of.
const PLAYER_PAGE_RATINGS: u32 = 100;
/// A page is worth more than its line.
const RATINGS_PATIENCE: Duration = Duration::from_secs(2);

pub(super) async fn home(
    viewer: Anyone,
    request: HttpRequest,
    pages: Data<Pages>,
    live: Data<Live>,
    tournaments: Option<Data<Tournaments>>,
) -> Page {
    let stats = &pages.stats;
    let board = BoardQuestion {
        period: Period::Week,
        selection: Selection::default().within(Period::Week.days(stats.now())),
        paging: Paging { page: 1, limit: FRONT_PAGE_ENTRIES },
        ..BoardQuestion::default()
    };
    let (recent, top_players, totals) = tokio::try_join!(
        stats.ended_matches(FRONT_PAGE_ENTRIES),
        stats.leaderboard(&board),
        stats.totals(),
    )?;
    let tournaments = match tournaments {
        Some(tournaments) => super::tournaments::of_front_page(&tournaments).await,
        None => Value::Null,
    };
    let context = json!({
        "live": view::live_matches(&live.list_now().matches)?,
        "tournaments": tournaments,
        "recent": view::matches(&recent)?,
        "top_players": view::with_raw_names(&top_players)?,
        "totals": totals.today,
        "servers": totals.servers,
    });
    pages.page(&request, viewer, "index.html", "Live matches and standings", &context).await
}

pub(super) async fn leaderboard(viewer: Anyone, request: HttpRequest, pages: Data<Pages>) -> Page {
    let stats = &pages.stats;
    let question = BoardQuestion::read(stats, request.query_string())?;
    if question.format != Format::Json {
        return table::answer(&request, question.format, &stats.leaderboard(&question).await?, "players");
    }
    let (board, maps, servers, weapons) = tokio::try_join!(
        stats.leaderboard(&question),
        stats.known_maps(),
        stats.known_servers(),
        stats.known_weapons(),
    )?;
    let selection = &question.selection;
    let words: Vec<&str> = Statistic::ALL.iter().map(|statistic| statistic.as_str()).collect();
    let labels = Statistic::ALL.map(Statistic::label);
    let servers: Vec<_> = servers
        .into_iter()
        .map(|(server_id, name)| json!({ "server_id": server_id, "name": name }))
        .collect();
    let context = json!({
        "board": view::with_raw_names(&board)?,
        "query": {
            "stat": question.statistic.as_str(),
            "period": question.period.as_str(),
            "filter": {
                "map": selection.map_name,
                "server": selection.server_id,
                "gametype": selection.game_type.map(GameType::as_str),
                "weapon": selection.weapon,
            },
        },
        "options": {
            "stats": view::choices(&words, &labels),
            "periods": view::choices(&Period::ALL.map(Period::as_str), &Period::ALL.map(view::period_label)),
            "gametypes": view::game_type_choices(),
            "maps": maps,
            "servers": servers,
            "weapons": weapons,
        },
        "pages": view::page_links("/leaderboard", request.query_string(), question.paging, board.total),
    });
    pages.page(&request, viewer, "leaderboard.html", "Leaderboard", &context).await
}

pub(super) async fn player(
    viewer: Anyone,
    request: HttpRequest,
    pages: Data<Pages>,
    achievements: Data<AchievementStore>,
    pool: Data<PgPool>,
    id: Path<String>,
) -> Page {
    let stats = &pages.stats;
    let player_id =
        id.parse().map_err(|_| ApiError::not_found("unknown_player", "this can't be a player's id"))?;
    let question = PlayerQuestion::everything(player_id);
    let paging = Paging { page: 1, limit: PLAYER_PAGE_MATCHES };
    let (mut player, weapons, matches, form) = tokio::try_join!(
        stats.player(&question),
        stats.player_weapons(&question),
        stats.player_matches(&question, paging),
        stats.player_form(&question, Interval::Week),
    )?;
    let (earned, to_earn): (Vec<_>, Vec<_>) =
        achievements.all_of(&player.player_id).await.into_iter().partition(|one| one.tier > 0);
    player.achievements = earned;
    let rated = rated_lately(stats, &pool, &player).await;
    let heatmap = heatmap_panel::of_player(
        &pages,
        &pool,
        &question.player_id,
        &weapons.weapons,
        request.query_string(),
    )
    .await?;
    let context = json!({
        "heatmap": heatmap,
        "to_earn": to_earn,
        "rating_line": rating_line(&rated),
        "form": form_line(&form.form),
        "player": view::with_raw_names(&player)?,
        "weapons": weapons.weapons,
        "recent_matches": matches.matches,
    });
    pages.page(&request, viewer, "player.html", &text::plain_name(&player.player_name), &context).await
}

/// What a player's rating went through; nothing while PostgreSQL can't say, or hasn't soon enough for a page.
async fn rated_lately(stats: &Stats, postgres: &PgPool, player: &PlayerAnswer) -> Vec<RatedMatch> {
    if player.rating.is_none() {
        return Vec::new();
    }
    let paging = Paging { page: 1, limit: PLAYER_PAGE_RATINGS };
    let reading = RatingHistory::read(stats, postgres, player.player_id.clone(), paging);
    match tokio::time::timeout(RATINGS_PATIENCE, reading).await {
        Ok(Ok(history)) => history.matches,
        Ok(Err(error)) => {
            tracing::warn!(cause = ?error.cause(), "a player's ratings can't be read");
            Vec::new()
        }
        Err(_) => Vec::new(),
    }
}

pub(super) async fn matches(viewer: Anyone, request: HttpRequest, pages: Data<Pages>) -> Page {
    let question = MatchQuestion::read(request.query_string())?;
    let list = pages.stats.matches(&question).await?;
    if question.format != Format::Json {
        return table::answer(&request, question.format, &list, "matches");
    }
    let context = json!({
        "matches": view::matches(&list.matches)?,
        "list": { "page": list.page, "limit": list.limit, "total": list.total },
        "pages": view::page_links("/matches", request.query_string(), question.paging, list.total),
    });
    pages.page(&request, viewer, "matches.html", "Matches", &context).await
}

pub(super) async fn match_detail(
    viewer: Anyone,
    request: HttpRequest,
    pages: Data<Pages>,
    pool: Data<PgPool>,
    id: Path<String>,
) -> Page {
    let question = TimelineQuestion::read_of_page(request.query_string())?;
    if question.format != Format::Json {
        let timeline = pages.stats.timeline(&id, &question).await?;
        return table::answer(&request, question.format, &timeline, "events");
    }
    let (found, timeline, duels) = tokio::try_join!(
        pages.stats.match_detail(&id),
        pages.stats.timeline(&id, &question),
        pages.stats.duels(&id),
    )?;
    let map_name = found.map_name.as_deref().unwrap_or("unknown map");
    let title = format!("Match on {}", text::plain_name(map_name));
    let heatmap = heatmap_panel::of_match(&pages, &pool, &found, request.query_string()).await?;
    let shown = view::match_detail(&found)?;
    let has_sides = !shown["allies_score"].is_null();
    let people: Vec<_> = found
        .scoreboard
        .iter()
        .map(|row| json!({ "value": row.player_id, "label": text::plain_name(&row.player_name) }))
        .collect();
    let story = story::story(&timeline, &duels, &question.types_word(), has_sides)?;
    let context = json!({
        "match": shown,
        "story": story,
        "player": question.player_id,
        "people": people,
        "later": story::later(request.path(), request.query_string(), timeline.next_cursor.as_deref()),
        "heatmap": heatmap,
    });
    pages.page(&request, viewer, "match.html", &title, &context).await
}
