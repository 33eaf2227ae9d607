//! A viewer of a stream of Server-Sent Events.

use std::collections::VecDeque;

use serde_json::Value;

use super::PATIENCE;

/// One event of a stream.
#[derive(Clone, Debug)]
pub struct StreamEvent {
    pub event: String,
    pub epoch: u64,
    pub number: u64,
    pub data: Value,
}

impl StreamEvent {
    pub fn id(&self) -> String {
        format!("{}-{}", self.epoch, self.number)
    }
}

/// An open stream.
pub struct EventStream {
    response: reqwest::Response,
    buffer: String,
    events: VecDeque<StreamEvent>,
}

impl EventStream {
    /// Opens a stream, behind an id if there is one.
    pub async fn open(url: &str, last_event_id: Option<&str>) -> Self {
        // Without a limit of time: a stream goes on.
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut request = client.get(url);
        if let Some(id) = last_event_id {
            request = request.header("Last-Event-ID", id);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
        Self { response, buffer: String::new(), events: VecDeque::new() }
    }

    /// The next event; none when the stream has ended.
    pub async fn next(&mut self) -> Option<StreamEvent> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await;
            let chunk = chunk.expect("the stream goes on").ok().flatten()?;
            self.buffer.push_str(&String::from_utf8_lossy(&chunk));
            while let Some((message, rest)) = self.buffer.split_once("\n\n") {
                self.events.extend(parse(message));
                self.buffer = rest.to_owned();
            }
        }
    }

    /// The next event of this name; those before it are passed over.
    pub async fn next_of(&mut self, name: &str) -> StreamEvent {
        loop {
            let event = self.next().await.unwrap_or_else(|| panic!("the stream ended before {name}"));
            if event.event == name {
                return event;
            }
        }
    }

    /// The kill of this second.
    pub async fn kill_at(&mut self, t: f64) -> Value {
        loop {
            let kill = self.next_of("kill").await;
            if kill.data["t"] == t {
                return kill.data;
            }
        }
    }

    /// The next state (or snapshot) of which this is true.
    pub async fn state_where(&mut self, is_it: impl Fn(&Value) -> bool) -> StreamEvent {
        loop {
            let event = self.next().await.expect("the stream goes on");
            if matches!(event.event.as_str(), "state" | "snapshot" | "end") && is_it(&event.data) {
                return event;
            }
        }
    }
}

fn parse(message: &str) -> Option<StreamEvent> {
    let field = |name: &str| message.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let (epoch, number) = field("id")?.split_once('-')?;
    Some(StreamEvent {
        event: field("event")?.to_owned(),
        epoch: epoch.parse().unwrap(),
        number: number.parse().unwrap(),
        data: serde_json::from_str(field("data")?).unwrap(),
    })
}
