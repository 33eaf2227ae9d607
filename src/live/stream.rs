//! Server-Sent Events: each viewer reads at their own pace, from where they are.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, ContentEncoding};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream::{Stream, StreamExt as _, unfold};
use mohaa_actors::live::{LiveFeed, Renditions, Seen, Since, Update, What};
use tokio::sync::watch;

use super::Live;
use super::answers::LiveList;
use super::viewers::Viewer;

/// Whoever hears nothing for longer is cut off: proxies wait for a minute.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(15);
const HEARTBEAT: &str = ": still here\n\n";
/// So much is put together for a viewer at once, and one message more; the rest is read from the feed when that was taken.
/// Who takes nothing costs no more than that.
const MOST_AT_ONCE_BYTES: usize = 16 * 1024;
/// Of which the connection is given so much at a time: what it has once had room for, it keeps.
const PIECE_BYTES: usize = 4 * 1024;
/// How long a browser waits before it comes back.
const RETRY: &str = "retry: 2000\n\n";

/// One message of a stream. What one update says in several goes under the number of the last.
pub struct Message {
    pub event: &'static str,
    pub data: Arc<str>,
}

/// How updates are written: as JSON for programs, as parts of pages for browsers. What is the same for all viewers is made
/// once ([`Renditions`]).
pub trait Form: 'static {
    /// The whole state.
    fn snapshot(&self, live: &Live, seen: &Seen) -> Vec<Message>;

    /// Nothing for what isn't shown.
    fn update(&self, live: &Live, update: &Update) -> Vec<Message>;

    fn list(&self, list: &LiveList, renditions: &Renditions) -> Message;
}

/// `<epoch>-<n>`, as it was sent.
fn parse_id(text: &str) -> Option<(u64, u64)> {
    let (epoch, number) = text.trim().split_once('-')?;
    Some((epoch.parse().ok()?, number.parse().ok()?))
}

/// Where a stream goes on that was broken off.
fn position(request: &HttpRequest) -> Option<(u64, u64)> {
    request.headers().get("Last-Event-ID")?.to_str().ok().and_then(parse_id)
}

impl Live {
    /// A match as an answer that goes on until its end.
    pub fn stream_match(
        &self,
        request: &HttpRequest,
        feed: Arc<LiveFeed>,
        form: Arc<dyn Form>,
    ) -> HttpResponse {
        answer(of_match(self.clone(), feed, form, position(request)), self.viewers.of_match())
    }

    /// The list of matches as an answer that goes on.
    pub fn stream_list(&self, request: &HttpRequest, form: Arc<dyn Form>) -> HttpResponse {
        answer(of_list(self, form, position(request)), self.viewers.of_list())
    }
}

fn answer(parts: impl Stream<Item = String> + 'static, viewer: Viewer) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/event-stream; charset=utf-8")
        .insert_header((CACHE_CONTROL, "no-store"))
        // A proxy must pass on what comes, when it comes.
        .insert_header(("X-Accel-Buffering", "no"))
        .insert_header(ContentEncoding::Identity)
        .streaming(in_pieces(parts, viewer))
}

/// Writes what is told under one number. The last message has the id: who is cut off before it gets all of them again.
fn write(out: &mut String, (epoch, number): (u64, u64), messages: &[Message]) {
    let last = messages.len().saturating_sub(1);
    for (place, message) in messages.iter().enumerate() {
        // Writing to a text can't fail.
        if place == last {
            let _ = writeln!(out, "id: {epoch}-{number}");
        }
        let _ = writeln!(out, "event: {}", message.event);
        for line in message.data.split('\n') {
            let _ = writeln!(out, "data: {line}");
        }
        out.push('\n');
    }
}

/// The same in pieces, each written to the connection before the next is made.
fn in_pieces(
    parts: impl Stream<Item = String> + 'static,
    viewer: Viewer,
) -> impl Stream<Item = Result<Bytes, Infallible>> + 'static {
    let state = (Box::pin(parts), Bytes::new(), viewer);
    unfold(state, |(mut parts, mut rest, viewer)| async move {
        if rest.is_empty() {
            rest = Bytes::from(parts.next().await?);
        } else {
            tokio::task::yield_now().await;
        }
        let is_between_characters = |at: &usize| rest.get(*at).is_none_or(|byte| (*byte as i8) >= -0x40);
        let end = (1..=PIECE_BYTES.min(rest.len())).rev().find(is_between_characters).unwrap_or(rest.len());
        let piece = rest.split_to(end);
        Some((Ok(piece), (parts, rest, viewer)))
    })
}

/// Waits for news; false when the stream is to end.
async fn wait<T>(news: &mut watch::Receiver<T>, ends: &mut watch::Receiver<bool>) -> Option<bool> {
    tokio::select! {
        changed = news.changed() => changed.is_ok().then_some(true),
        _ = ends.wait_for(|ends| *ends) => None,
        () = tokio::time::sleep(HEARTBEAT_EVERY) => Some(false),
    }
}

struct MatchViewer {
    live: Live,
    feed: Arc<LiveFeed>,
    form: Arc<dyn Form>,
    position: Option<(u64, u64)>,
    news: watch::Receiver<(u64, u64)>,
    ends: watch::Receiver<bool>,
    begins: bool,
    is_over: bool,
}

/// The updates of one match, from behind this position; it ends behind `end`.
fn of_match(
    live: Live,
    feed: Arc<LiveFeed>,
    form: Arc<dyn Form>,
    position: Option<(u64, u64)>,
) -> impl Stream<Item = String> {
    let (news, ends) = (feed.newest(), live.ends.subscribe());
    let viewer = MatchViewer { live, feed, form, position, news, ends, begins: true, is_over: false };
    unfold(viewer, |mut viewer| async move {
        if viewer.is_over {
            return None;
        }
        let mut out = String::new();
        if std::mem::take(&mut viewer.begins) {
            out.push_str(RETRY);
        }
        loop {
            viewer.news.borrow_and_update();
            viewer.read(&mut out);
            if !out.is_empty() {
                return Some((out, viewer));
            }
            match wait(&mut viewer.news, &mut viewer.ends).await {
                None => return None,
                Some(true) => {}
                Some(false) => out.push_str(HEARTBEAT),
            }
        }
    })
}

impl MatchViewer {
    /// Appends what the viewer has not seen.
    fn read(&mut self, out: &mut String) {
        match self.feed.since(self.position) {
            Since::Snapshot { epoch, number, seen } => {
                self.position = Some((epoch, number));
                write(out, (epoch, number), &self.form.snapshot(&self.live, &seen));
                self.is_over = seen.ended_at.is_some();
            }
            Since::Updates { epoch, updates } => {
                for update in updates {
                    if out.len() >= MOST_AT_ONCE_BYTES {
                        return;
                    }
                    self.position = Some((epoch, update.number));
                    write(out, (epoch, update.number), &self.form.update(&self.live, &update));
                    self.is_over |= matches!(update.what, What::End(_));
                }
            }
        }
    }
}

/// The list of live matches, whole whenever it has changed.
fn of_list(
    live: &Live,
    form: Arc<dyn Form>,
    position: Option<(u64, u64)>,
) -> impl Stream<Item = String> + use<> {
    let state = (live.list.subscribe(), live.ends.subscribe(), form, position, true);
    unfold(state, |(mut news, mut ends, form, mut position, mut begins)| async move {
        let mut out = String::new();
        if std::mem::take(&mut begins) {
            out.push_str(RETRY);
        }
        loop {
            let update = news.borrow_and_update().clone();
            if position != Some((update.epoch, update.number)) {
                position = Some((update.epoch, update.number));
                let message = form.list(&update.list, &update.renditions);
                write(&mut out, (update.epoch, update.number), &[message]);
            }
            if !out.is_empty() {
                return Some((out, (news, ends, form, position, begins)));
            }
            match wait(&mut news, &mut ends).await {
                None => return None,
                Some(true) => {}
                Some(false) => out.push_str(HEARTBEAT),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::parse_id;

    #[test]
    fn an_id_is_an_epoch_and_a_number() {
        assert_eq!(parse_id("17-256"), Some((17, 256)));
        for other in ["", "17", "17-", "-1", "a-b", "17-256-1", "99999999999999999999-1"] {
            assert_eq!(parse_id(other), None, "{other}");
        }
    }
}
