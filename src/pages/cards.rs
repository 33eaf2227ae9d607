//! `…/card.png`: what other sites show of a match, a player or a tournament where somebody links to its page. The same to everybody.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use chrono::DateTime;
use mohaa_domain::tournament::{Status, Tournament};
use uuid::Uuid;

use super::Pages;
use super::filters::{clock_face, game_type_label, grouped};
use super::text::plain_name;
use super::tournaments::{format_word, played_of_all, status_word};
use crate::access::Anyone;
use crate::cards::{Body, Card, Figure, MOST_RANKS, Rank, Side, counted};
use crate::http::query::QueryShape;
use crate::http::{ApiError, caching};
use crate::stats::PlayerQuestion;
use crate::stats::answers::{MatchAnswer, PlayerAnswer, ScoreboardRow};
use crate::tournaments::Tournaments;

type Answer = Result<HttpResponse, ApiError>;

const UNKNOWN_MAP: &str = "Unknown map";

/// `/matches/{id}/card.png`.
pub(super) async fn of_match(
    _: Anyone,
    request: HttpRequest,
    pages: Data<Pages>,
    id: Path<String>,
) -> Answer {
    QueryShape::default().read(request.query_string()).finish()?;
    let found = pages.stats.match_detail(&id).await?;
    drawn(&request, &pages, match_card(&found)).await
}

/// `/players/{id}/card.png`.
pub(super) async fn of_player(
    _: Anyone,
    request: HttpRequest,
    pages: Data<Pages>,
    id: Path<String>,
) -> Answer {
    QueryShape::default().read(request.query_string()).finish()?;
    let player_id =
        id.parse().map_err(|_| ApiError::not_found("unknown_player", "this can't be a player's id"))?;
    let player = pages.stats.player(&PlayerQuestion::everything(player_id)).await?;
    drawn(&request, &pages, player_card(&player)).await
}

/// `/tournaments/{id}/card.png`.
pub(super) async fn of_tournament(
    _: Anyone,
    request: HttpRequest,
    pages: Data<Pages>,
    tournaments: Data<Tournaments>,
    id: Path<Uuid>,
) -> Answer {
    QueryShape::default().read(request.query_string()).finish()?;
    let current = tournaments.read(*id).await?;
    drawn(&request, &pages, tournament_card(&current.tournament)).await
}

async fn drawn(request: &HttpRequest, pages: &Pages, card: Card) -> Answer {
    let png = pages.pictures.png(card).await.map_err(ApiError::internal)?;
    Ok(caching::conditional(request, png.to_vec(), "image/png", caching::STATS_LIFETIME))
}

fn match_card(found: &MatchAnswer) -> Card {
    let game_type = found.gametype.as_deref();
    let of_side = |side: &str| found.scoreboard.iter().find(|row| row.team.as_deref() == Some(side));
    let (allies, axis) = (of_side("allies"), of_side("axis"));
    let has_sides = !matches!(game_type, Some("ffa" | "single")) && (allies.is_some() || axis.is_some());
    let side = |word: &str, score: i32, best: Option<&ScoreboardRow>| Side {
        score,
        has_won: found.winning_team.as_deref() == Some(word),
        best: best.map(|row| (row.player_name_raw.clone(), row.kills)),
    };
    let body = match has_sides {
        true => {
            Body::Sides([side("allies", found.allies_score, allies), side("axis", found.axis_score, axis)])
        }
        false => Body::Ranks(
            found
                .scoreboard
                .iter()
                .take(MOST_RANKS)
                .enumerate()
                .map(|(at, row)| Rank {
                    place: (at + 1).to_string(),
                    name: row.player_name_raw.clone(),
                    figure: counted(row.kills, "kill", "kills"),
                })
                .collect(),
        ),
    };
    let is_live = found.status == "live";
    let mut footer = vec![found.started_at.format("%Y-%m-%d %H:%M UTC").to_string()];
    footer.extend(game_type.map(|word| game_type_label(word).to_owned()));
    // The clock of a live match would make it another picture each second.
    if !is_live {
        footer.push(format!("{} played", clock_face(found.duration_seconds as f64)));
    }
    footer.push(plain_name(&found.server.name));
    Card {
        kind: if is_live { "Match in progress" } else { "After-action report" },
        is_live,
        title: found.map_name.clone().unwrap_or_else(|| UNKNOWN_MAP.to_owned()),
        body,
        footer,
    }
}

fn player_card(player: &PlayerAnswer) -> Card {
    let figure = |value: String, label| Figure { value, label };
    let last = match &player.rating {
        Some(rating) => figure(
            format!("{}–{}", grouped(rating.low, 0), grouped(rating.high, 0)),
            if rating.provisional { "rating, provisional" } else { "rating" },
        ),
        None => figure(format!("{} %", grouped(player.accuracy, 0)), "accuracy"),
    };
    let mut footer = vec![counted(player.matches_played, "match", "matches")];
    footer.push(format!("{} played", clock_face(player.playtime_seconds as f64)));
    if let Some(rating) = &player.rating {
        footer.push(format!("rank {}", grouped(rating.rank as f64, 0)));
    }
    footer.extend(player.favourite_weapon.as_ref().map(|weapon| format!("favours the {}", weapon.name)));
    Card {
        kind: "Service record",
        is_live: false,
        title: player.player_name_raw.clone(),
        body: Body::Figures(vec![
            figure(grouped(player.total_kills as f64, 0), "kills"),
            figure(grouped(player.kd_ratio, 2), "kills per death"),
            figure(format!("{} %", grouped(player.headshot_percent, 0)), "by headshot"),
            last,
        ]),
        footer,
    }
}

fn tournament_card(tournament: &Tournament) -> Card {
    let settings = &tournament.settings;
    let (matches, played) = played_of_all(tournament);
    let places = ranks(tournament);
    let figure = |value: String, label| Figure { value, label };
    let entrants = if settings.team_size > 1 { "teams" } else { "players" };
    let in_field = tournament.field().count();
    let body = if !places.is_empty() {
        Body::Ranks(places)
    } else if tournament.status.has_begun() {
        Body::Figures(vec![
            figure(in_field.to_string(), entrants),
            figure(format!("{played} of {matches}"), "matches played"),
        ])
    } else {
        let room = format!("{in_field} of {}", settings.max_participants);
        let mut figures = vec![figure(room, entrants)];
        let start = settings.times.start_time.and_then(DateTime::from_timestamp_millis);
        figures.extend(start.map(|at| figure(at.format("%-d %b").to_string(), "start")));
        figures.extend(start.map(|at| figure(at.format("%H:%M").to_string(), "UTC")));
        Body::Figures(figures)
    };
    let mut footer = vec![format_word(settings.format).to_owned()];
    if settings.team_size > 1 {
        footer.push(format!("teams of {}", settings.team_size));
    }
    footer.push(format!("best of {}", settings.best_of));
    Card {
        kind: if tournament.status == Status::InProgress {
            "Tournament"
        } else {
            status_word(tournament.status)
        },
        is_live: tournament.status == Status::InProgress,
        title: settings.name.clone(),
        body,
        footer,
    }
}

/// The first places of a tournament that is over.
fn ranks(tournament: &Tournament) -> Vec<Rank> {
    let mut place = 1;
    let mut ranks = Vec::new();
    for tier in tournament.final_places() {
        for entrant in tier.iter().filter_map(|id| tournament.entrants.get(id)) {
            ranks.push(Rank {
                place: place.to_string(),
                name: entrant.name.clone(),
                figure: if place == 1 { "champion".to_owned() } else { String::new() },
            });
        }
        place += tier.len();
    }
    ranks.truncate(MOST_RANKS);
    ranks
}
