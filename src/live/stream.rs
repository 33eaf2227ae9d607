//! Server-Sent Events: each viewer reads at their own pace, from where they are.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, ContentEncoding};
use actix_web::web::{Bytes, BytesMut};
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
/// Who takes nothing costs little more than that.
const MOST_AT_ONCE_BYTES: usize = 16 * 1024;
/// Of which the connection is given so much at a time: what it has once had room for, it keeps.
const PIECE_BYTES: usize = 4 * 1024;
/// A piece that lacks less is not filled up: that would copy it.
const SHORT_BYTES: usize = 1024;
/// How long a browser waits before it comes back.
const RETRY: &str = "retry: 2000\n\n";

/// One message of a stream as it goes over it, but for its number: what is the same for all viewers is made once and
/// shared; only short pieces are put together for each. What one update says in several goes under the number of the last.
pub struct Message(Bytes);

impl Message {
    pub fn new(event: &str, data: &str) -> Self {
        let mut text = String::with_capacity(data.len() + 64);
        // Writing to a text can't fail.
        let _ = writeln!(text, "event: {event}");
        for line in data.split('\n') {
            let _ = writeln!(text, "data: {line}");
        }
        text.push('\n');
        // It is kept.
        text.shrink_to_fit();
        Self(text.into())
    }

    /// The one that was made first.
    pub fn once(kept: &OnceLock<Bytes>, make: impl FnOnce() -> Self) -> Self {
        Self(kept.get_or_init(|| make().0).clone())
    }
}

/// What is told a viewer next, and was not given to the connection.
#[derive(Default)]
struct Told {
    parts: VecDeque<Bytes>,
    bytes: usize,
}

impl Told {
    fn push(&mut self, part: impl Into<Bytes>) {
        let part = part.into();
        if part.is_empty() {
            return;
        }
        self.bytes += part.len();
        self.parts.push_back(part);
    }

    /// Adds what is told under one number. The last message has the id: who is cut off before it gets all of them again.
    fn push_messages(&mut self, (epoch, number): (u64, u64), messages: Vec<Message>) {
        let last = messages.len().saturating_sub(1);
        for (place, Message(message)) in messages.into_iter().enumerate() {
            if place == last {
                self.push(format!("id: {epoch}-{number}\n"));
            }
            self.push(message);
        }
    }

    /// At most [`PIECE_BYTES`], none when all is given: a piece of a long part, or short ones together.
    fn next_piece(&mut self) -> Option<Bytes> {
        let first = self.take_at_most(PIECE_BYTES)?;
        if first.len() + SHORT_BYTES > PIECE_BYTES {
            return Some(first);
        }
        let mut piece = BytesMut::with_capacity(PIECE_BYTES.min(first.len() + self.bytes));
        piece.extend_from_slice(&first);
        while let Some(next) = self.take_at_most(PIECE_BYTES - piece.len()) {
            piece.extend_from_slice(&next);
        }
        Some(piece.freeze())
    }

    /// Of the first part; none where not even a character has room.
    fn take_at_most(&mut self, most: usize) -> Option<Bytes> {
        let first = self.parts.front_mut()?;
        let is_between_characters = |at: &usize| first.get(*at).is_none_or(|byte| (*byte as i8) >= -0x40);
        let end = (1..=most.min(first.len())).rev().find(is_between_characters)?;
        let taken = first.split_to(end);
        if first.is_empty() {
            self.parts.pop_front();
        }
        self.bytes -= taken.len();
        Some(taken)
    }
}

/// How updates are written: as JSON for programs, as parts of pages for browsers ([`Renditions`]).
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

fn answer(told: impl Stream<Item = Told> + 'static, viewer: Viewer) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/event-stream; charset=utf-8")
        .insert_header((CACHE_CONTROL, "no-store"))
        // A proxy must pass on what comes, when it comes.
        .insert_header(("X-Accel-Buffering", "no"))
        .insert_header(ContentEncoding::Identity)
        .streaming(in_pieces(told, viewer))
}

/// The same in pieces, each written to the connection before the next is made.
fn in_pieces(
    told: impl Stream<Item = Told> + 'static,
    viewer: Viewer,
) -> impl Stream<Item = Result<Bytes, Infallible>> + 'static {
    let state = (Box::pin(told), Told::default(), viewer);
    unfold(state, |(mut told, mut rest, viewer)| async move {
        if rest.parts.is_empty() {
            rest = told.next().await?;
        } else {
            tokio::task::yield_now().await;
        }
        Some((Ok(rest.next_piece()?), (told, rest, viewer)))
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
) -> impl Stream<Item = Told> {
    let (news, ends) = (feed.newest(), live.ends.subscribe());
    let viewer = MatchViewer { live, feed, form, position, news, ends, begins: true, is_over: false };
    unfold(viewer, |mut viewer| async move {
        if viewer.is_over {
            return None;
        }
        let mut out = Told::default();
        if std::mem::take(&mut viewer.begins) {
            out.push(RETRY);
        }
        loop {
            viewer.news.borrow_and_update();
            viewer.read(&mut out);
            if !out.parts.is_empty() {
                return Some((out, viewer));
            }
            match wait(&mut viewer.news, &mut viewer.ends).await {
                None => return None,
                Some(true) => {}
                Some(false) => out.push(HEARTBEAT),
            }
        }
    })
}

impl MatchViewer {
    /// Appends what the viewer has not seen.
    fn read(&mut self, out: &mut Told) {
        match self.feed.since(self.position) {
            Since::Snapshot { epoch, number, seen } => {
                self.position = Some((epoch, number));
                out.push_messages((epoch, number), self.form.snapshot(&self.live, &seen));
                self.is_over = seen.ended_at.is_some();
            }
            Since::Updates { epoch, updates } => {
                for update in updates {
                    if out.bytes >= MOST_AT_ONCE_BYTES {
                        return;
                    }
                    self.position = Some((epoch, update.number));
                    out.push_messages((epoch, update.number), self.form.update(&self.live, &update));
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
) -> impl Stream<Item = Told> + use<> {
    let state = (live.list.subscribe(), live.ends.subscribe(), form, position, true);
    unfold(state, |(mut news, mut ends, form, mut position, mut begins)| async move {
        let mut out = Told::default();
        if std::mem::take(&mut begins) {
            out.push(RETRY);
        }
        loop {
            let update = news.borrow_and_update().clone();
            if position != Some((update.epoch, update.number)) {
                position = Some((update.epoch, update.number));
                let message = form.list(&update.list, &update.renditions);
                out.push_messages((update.epoch, update.number), vec![message]);
            }
            if !out.parts.is_empty() {
                return Some((out, (news, ends, form, position, begins)));
            }
            match wait(&mut news, &mut ends).await {
                None => return None,
                Some(true) => {}
                Some(false) => out.push(HEARTBEAT),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use actix_web::web::Bytes;

    use super::{Message, PIECE_BYTES, SHORT_BYTES, Told, parse_id};

    #[test]
    fn what_is_told_is_given_in_whole_pieces_that_end_between_characters() {
        let long = Message::new("state", &"zoë€\n".repeat(3_000));
        let expected = [b"retry: 2000\n\nid: 7-12\n".as_slice(), &long.0, b": still here\n\n"].concat();
        let mut told = Told::default();
        told.push("retry: 2000\n\n");
        told.push("");
        told.push_messages((7, 12), vec![long]);
        told.push(": still here\n\n");
        let pieces: Vec<Bytes> = std::iter::from_fn(|| told.next_piece()).collect();
        assert_eq!(pieces.concat(), expected);
        assert!(pieces.iter().all(|piece| (1..=PIECE_BYTES).contains(&piece.len())));
        assert!(pieces.iter().all(|piece| std::str::from_utf8(piece).is_ok()));
        let (whole, _rests) = pieces.split_at(pieces.len() - 2);
        assert!(whole.iter().all(|piece| piece.len() > PIECE_BYTES - SHORT_BYTES));
        assert_eq!((told.bytes, told.parts.len()), (0, 0));
    }

    #[test]
    fn the_last_message_of_an_update_has_its_number() {
        let mut told = Told::default();
        told.push_messages((1, 2), vec![Message::new("board", "a\nb"), Message::new("end", "")]);
        let text = told.next_piece().unwrap_or_default();
        assert_eq!(text, "event: board\ndata: a\ndata: b\n\nid: 1-2\nevent: end\ndata: \n\n");
    }

    #[test]
    fn an_id_is_an_epoch_and_a_number() {
        assert_eq!(parse_id("17-256"), Some((17, 256)));
        for other in ["", "17", "17-", "-1", "a-b", "17-256-1", "99999999999999999999-1"] {
            assert_eq!(parse_id(other), None, "{other}");
        }
    }
}
