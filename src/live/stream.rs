//! Server-Sent Events: each viewer reads at their own pace, from where they are.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, ContentEncoding};
use actix_web::web::Bytes;
use futures_util::stream::{Stream, unfold};
use mohaa_actors::live::{LiveFeed, Since};
use tokio::sync::watch;

use super::Live;

/// Whoever hears nothing for longer is cut off: proxies wait for a minute.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(15);
const HEARTBEAT: &str = ": still here\n\n";
/// How long a browser waits before it comes back.
const RETRY: &str = "retry: 2000\n\n";

/// `<epoch>-<n>`, as it was sent.
pub(super) fn parse_id(text: &str) -> Option<(u64, u64)> {
    let (epoch, number) = text.trim().split_once('-')?;
    Some((epoch.parse().ok()?, number.parse().ok()?))
}

/// An answer that goes on.
pub(super) fn answer(events: impl Stream<Item = Result<Bytes, Infallible>> + 'static) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/event-stream; charset=utf-8")
        .insert_header((CACHE_CONTROL, "no-store"))
        // A proxy must pass on what comes, when it comes.
        .insert_header(("X-Accel-Buffering", "no"))
        .insert_header(ContentEncoding::Identity)
        .streaming(events)
}

fn message(out: &mut String, event: &str, (epoch, number): (u64, u64), data: &str) {
    // Writing to a text can't fail.
    let _ = write!(out, "id: {epoch}-{number}\nevent: {event}\ndata: {data}\n\n");
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
    position: Option<(u64, u64)>,
    news: watch::Receiver<(u64, u64)>,
    ends: watch::Receiver<bool>,
    begins: bool,
    is_over: bool,
}

/// The updates of one match, from behind this position; it ends behind `end`.
pub(super) fn of_match(
    live: Live,
    feed: Arc<LiveFeed>,
    position: Option<(u64, u64)>,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let (news, ends) = (feed.newest(), live.ends.subscribe());
    let viewer = MatchViewer { live, feed, position, news, ends, begins: true, is_over: false };
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
                return Some((Ok(Bytes::from(out)), viewer));
            }
            match wait(&mut viewer.news, &mut viewer.ends).await {
                None => return None,
                Some(true) => {}
                Some(false) => return Some((Ok(Bytes::from_static(HEARTBEAT.as_bytes())), viewer)),
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
                message(out, "snapshot", (epoch, number), &self.live.snapshot(&seen));
                if seen.ended_at.is_some() {
                    self.is_over = true;
                }
            }
            Since::Updates { epoch, updates } => {
                for update in updates {
                    self.position = Some((epoch, update.number));
                    if let Some(rendered) = self.live.render(&update) {
                        message(out, rendered.event, (epoch, update.number), &rendered.json);
                        self.is_over |= rendered.event == "end";
                    }
                }
            }
        }
    }
}

/// The list of live matches, whole whenever it has changed.
pub(super) fn of_list(
    live: &Live,
    position: Option<(u64, u64)>,
) -> impl Stream<Item = Result<Bytes, Infallible>> + use<> {
    let state = (live.list.subscribe(), live.ends.subscribe(), position, true);
    unfold(state, |(mut news, mut ends, mut position, mut begins)| async move {
        let mut out = String::new();
        if std::mem::take(&mut begins) {
            out.push_str(RETRY);
        }
        loop {
            let update = news.borrow_and_update().clone();
            if position != Some((update.epoch, update.number)) {
                position = Some((update.epoch, update.number));
                message(&mut out, "snapshot", (update.epoch, update.number), &update.json);
            }
            if !out.is_empty() {
                return Some((Ok(Bytes::from(out)), (news, ends, position, begins)));
            }
            match wait(&mut news, &mut ends).await {
                None => return None,
                Some(true) => {}
                Some(false) => {
                    let heartbeat = Bytes::from_static(HEARTBEAT.as_bytes());
                    return Some((Ok(heartbeat), (news, ends, position, begins)));
                }
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
