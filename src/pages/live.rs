//! `/live` and `/live/{match}`: the pages, and the streams of their parts as HTML.

use std::sync::Arc;

use actix_web::http::header::LOCATION;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use mohaa_actors::live::{Renditions, Seen, Update, What};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::{Pages, view};
use crate::access::Anyone;
use crate::http::ApiError;
use crate::live::{Form, Live, LiveList, Message};

type Page = Result<HttpResponse, ApiError>;

pub(super) async fn list(viewer: Anyone, request: HttpRequest, pages: Data<Pages>, live: Data<Live>) -> Page {
    let context = json!({ "matches": view::live_matches(&live.list_now().matches)? });
    pages.page(&request, viewer, "live/list.html", "Live now", &context).await
}

pub(super) async fn of_match(
    viewer: Anyone,
    request: HttpRequest,
    pages: Data<Pages>,
    live: Data<Live>,
    id: Path<String>,
) -> Page {
    let Ok(feed) = live.find(&id).await else {
        // It is over, or never was: its statistics say so.
        let location = format!("/matches/{}", utf8_percent_encode(&id, NON_ALPHANUMERIC));
        return Ok(HttpResponse::SeeOther().insert_header((LOCATION, location)).finish());
    };
    live.learn_server(&pages.stats, feed.server_id).await;
    let state = live.state(&feed.seen(), true);
    let title = state.map_name.clone().unwrap_or_else(|| "Live match".to_owned());
    let context = json!({ "state": view::live_state(&state)? });
    pages.page(&request, viewer, "live/match.html", &title, &context).await
}

pub(super) async fn list_stream(
    _: Anyone,
    request: HttpRequest,
    pages: Data<Pages>,
    live: Data<Live>,
) -> HttpResponse {
    live.stream_list(&request, Arc::new(Html(pages)))
}

pub(super) async fn match_stream(
    _: Anyone,
    request: HttpRequest,
    pages: Data<Pages>,
    live: Data<Live>,
    id: Path<String>,
) -> Page {
    let feed = live.find(&id).await?;
    live.learn_server(&pages.stats, feed.server_id).await;
    Ok(live.stream_match(&request, feed, Arc::new(Html(pages))))
}

/// Parts of pages.
struct Html(Data<Pages>);

impl Html {
    fn part(&self, event: &str, template: &str, context: &Value) -> Message {
        match self.0.fragment(template, context) {
            Ok(html) => Message::new(event, &html),
            Err(error) => {
                tracing::error!(cause = ?error.cause(), template, "a part of a live page can't be rendered");
                Message::new(event, "")
            }
        }
    }

    fn board(&self, live: &Live, seen: &Seen) -> Message {
        Message::once(&seen.renditions.html, || {
            let state = view::live_state(&live.state(seen, false)).unwrap_or_default();
            self.part("board", "live/board.html", &json!({ "state": state }))
        })
    }
}

impl Form for Html {
    fn snapshot(&self, live: &Live, seen: &Seen) -> Vec<Message> {
        let state = view::live_state(&live.state(seen, true)).unwrap_or_default();
        let mut messages = vec![
            self.part("kills", "live/kills.html", &json!({ "kills": state["kills"] })),
            self.part("chats", "live/chats.html", &json!({ "chat": state["chat"] })),
            self.part(
                "achievements",
                "live/achievements.html",
                &json!({ "achievements": state["achievements"] }),
            ),
            self.board(live, seen),
        ];
        if seen.ended_at.is_some() {
            messages.push(Message::new("end", ""));
        }
        messages
    }

    fn update(&self, live: &Live, update: &Update) -> Vec<Message> {
        match &update.what {
            What::State(seen) => vec![self.board(live, seen)],
            What::End(seen) => vec![self.board(live, seen), Message::new("end", "")],
            What::Kill(kill) => {
                let html = || {
                    let kill = view::with_raw_names(&live.kill(kill)).unwrap_or_default();
                    self.part("kill", "live/kill.html", &json!({ "kill": kill }))
                };
                vec![Message::once(&update.renditions.html, html)]
            }
            What::Chat(line) if !line.team_only => {
                let html = || {
                    let line = view::with_raw_names(&live.chat(line)).unwrap_or_default();
                    self.part("chat", "live/chat.html", &json!({ "line": line }))
                };
                vec![Message::once(&update.renditions.html, html)]
            }
            What::Achievement(unlocked, name) => {
                let Some(unlocked) = live.achievement(unlocked, name) else { return Vec::new() };
                let html = || {
                    let unlock = view::with_raw_names(&unlocked).unwrap_or_default();
                    self.part("achievement", "live/achievement.html", &json!({ "unlock": unlock }))
                };
                vec![Message::once(&update.renditions.html, html)]
            }
            // The board shows rounds.
            What::Chat(_) | What::Objective(_) | What::Round(_) => Vec::new(),
        }
    }

    fn list(&self, list: &LiveList, renditions: &Renditions) -> Message {
        let html = || {
            let matches = view::live_matches(&list.matches).unwrap_or_default();
            self.part("list", "live/matches.html", &json!({ "matches": matches }))
        };
        Message::once(&renditions.html, html)
    }
}
