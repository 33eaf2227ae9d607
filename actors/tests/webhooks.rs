//! The sender of webhooks over an outbox that does as it is told.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::System;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use mohaa_actors::clock::SimulatedTime;
use mohaa_actors::metrics::MailboxMetricFamilies;
use mohaa_actors::port::{Port, Post};
use mohaa_actors::supervision::{Directory, RestartBudget};
use mohaa_actors::webhooks::{
    ClaimedDelivery, Claims, MAILBOX, MOST_AT_ONCE, Outbox, WAKE_WEIGHT, Wake, WebhookSender,
    WebhookSenderEstate, WebhookSignal,
};
use mohaa_domain::event::Millis;
use prometheus::Registry;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

/// What happens to a message.
enum Fate {
    Panic,
    /// It is on its way until the sender of this goes.
    Until(oneshot::Receiver<()>),
}

/// Holds messages, and tells of each look how much room it was asked for.
struct Script {
    waiting: Mutex<VecDeque<Fate>>,
    next_due: Mutex<Option<Duration>>,
    looks: mpsc::UnboundedSender<usize>,
}

struct ScriptedOutbox(Arc<Script>);

impl Outbox for ScriptedOutbox {
    fn claim(&self, most: usize) -> BoxFuture<'static, Result<Claims, String>> {
        let script = self.0.clone();
        async move {
            let mut waiting = script.waiting.lock().unwrap();
            let count = most.min(waiting.len());
            let deliveries = waiting.drain(..count).map(|fate| ClaimedDelivery {
                delivery_id: Uuid::new_v4(),
                attempt: async move {
                    match fate {
                        Fate::Panic => panic!("told to"),
                        Fate::Until(end) => drop(end.await),
                    }
                }
                .boxed(),
            });
            let claims =
                Claims { deliveries: deliveries.collect(), next_due: script.next_due.lock().unwrap().take() };
            script.looks.send(most).unwrap();
            Ok(claims)
        }
        .boxed()
    }
}

struct Running {
    sender: Port<WebhookSender>,
    script: Arc<Script>,
    looks: mpsc::UnboundedReceiver<usize>,
    time: SimulatedTime,
    directory: Directory,
}

fn start() -> Running {
    start_with(None)
}

/// With what the first look says of when something becomes due.
fn start_with(next_due: Option<Duration>) -> Running {
    let (told, looks) = mpsc::unbounded_channel();
    let script = Arc::new(Script { waiting: Mutex::default(), next_due: Mutex::new(next_due), looks: told });
    let time = SimulatedTime::starting_at(Millis(1_790_000_000_000));
    let directory = Directory::default();
    let post = Post {
        arbiter: &directory.thread(),
        name: "0".to_owned(),
        capacity: MAILBOX,
        budget: RestartBudget::default(),
        clock: time.clock(),
        metrics: MailboxMetricFamilies::new(&Registry::new()).unwrap().of_kind("webhook_sender"),
        directory: &directory,
    };
    let estate = WebhookSenderEstate::new(Arc::new(ScriptedOutbox(script.clone())), time.clock());
    let sender = Port::start(post, estate, |port, estate| WebhookSender::new(estate, port.clone()));
    Running { sender, script, looks, time, directory }
}

impl Running {
    /// A message that is on its way until the sender goes.
    fn add(&self) -> oneshot::Sender<()> {
        let (end, until) = oneshot::channel();
        self.script.waiting.lock().unwrap().push_back(Fate::Until(until));
        end
    }

    fn wake(&self) {
        // A full mailbox holds a look that has yet to begin.
        let _ = self.sender.offer(Wake, WAKE_WEIGHT);
    }

    async fn look(&mut self) -> usize {
        tokio::time::timeout(Duration::from_secs(20), self.looks.recv())
            .await
            .expect("nobody looked")
            .unwrap()
    }

    async fn state(&self) -> serde_json::Value {
        self.directory.instances()[0].observe().await.unwrap()
    }
}

fn on_system<T>(test: impl Future<Output = T>) -> T {
    System::new().block_on(test)
}

#[test]
fn no_more_are_on_their_way_than_may_be_and_each_that_ends_makes_room() {
    on_system(async {
        let mut running = start();
        assert_eq!(running.look().await, MOST_AT_ONCE, "it looks when it starts");
        let mut ends: VecDeque<_> = (0..MOST_AT_ONCE + 2).map(|_| running.add()).collect();
        running.wake();
        assert_eq!(running.look().await, MOST_AT_ONCE);
        assert_eq!(running.state().await["on_their_way"].as_array().unwrap().len(), MOST_AT_ONCE);
        running.wake();
        for _ in 0..2 {
            drop(ends.pop_front());
            assert_eq!(running.look().await, 1, "room for one, and nobody looks without room");
        }
        assert!(running.script.waiting.lock().unwrap().is_empty());
    });
}

#[test]
fn an_attempt_that_panics_ends_nothing_but_itself() {
    on_system(async {
        let mut running = start();
        running.look().await;
        running.script.waiting.lock().unwrap().push_back(Fate::Panic);
        let _end = running.add();
        running.wake();
        assert_eq!(running.look().await, MOST_AT_ONCE);
        assert_eq!(running.look().await, MOST_AT_ONCE - 1, "the end of one makes it look again");
        assert_eq!(running.directory.instances()[0].report().restarts, 0);
    });
}

#[test]
fn it_looks_when_something_becomes_due_and_every_half_minute() {
    on_system(async {
        let mut running = start_with(Some(Duration::from_secs(7)));
        running.look().await;
        for pause in [7, 30, 30] {
            // Whoever is asked before it has gone to sleep is asked again.
            while running.time.sleepers() == 0 {
                running.state().await;
            }
            running.time.advance(Duration::from_secs(pause - 1));
            running.state().await;
            assert!(running.looks.try_recv().is_err(), "not before");
            running.time.advance(Duration::from_secs(1));
            running.look().await;
        }
    });
}

#[test]
fn it_stops_when_nothing_is_on_its_way_and_claims_nothing_more() {
    on_system(async {
        let mut running = start();
        running.look().await;
        let end = running.add();
        running.wake();
        running.look().await;
        let (stopped, mut has_stopped) = oneshot::channel();
        running.sender.tell(WebhookSignal::Stop(stopped));
        running.state().await;
        assert!(has_stopped.try_recv().is_err(), "one is on its way");
        let _never = running.add();
        running.wake();
        drop(end);
        has_stopped.await.unwrap();
        assert!(running.looks.try_recv().is_err());
        assert_eq!(running.script.waiting.lock().unwrap().len(), 1);
    });
}
