//! Ports, kernels and supervision, seen through a worker that does as it is told.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::{Context, System};
use mohaa_actors::clock::{Clock, SimulatedTime};
use mohaa_actors::kernel::{Kernel, Worker};
use mohaa_actors::metrics::MailboxMetricFamilies;
use mohaa_actors::port::{Admitted, Capacity, Port, Post, Refusal, Weight};
use mohaa_actors::supervision::{Directory, RestartBudget};
use mohaa_domain::event::Millis;
use prometheus::Registry;
use serde_json::{Value, json};
use tokio::sync::oneshot;

enum Order {
    Add(u64),
    /// Panics before or after it has taken its message over.
    Panic {
        taken: bool,
    },
    /// Ends when the sender does.
    Wait(std::sync::mpsc::Receiver<()>),
}

struct Told {
    order: Order,
    /// Told the sum after this order; dropped when the order is lost.
    done: oneshot::Sender<u64>,
}

#[derive(Clone, Default)]
struct Estate {
    sum: u64,
    buried: Arc<Mutex<Vec<String>>>,
    generations: Arc<Mutex<u32>>,
}

struct Adder {
    estate: Estate,
    orders: u64,
}

impl Adder {
    fn new(estate: Estate) -> Self {
        *estate.generations.lock().unwrap() += 1;
        Self { estate, orders: 0 }
    }
}

impl Worker for Adder {
    type Message = Told;
    type Signal = ();
    type Estate = Estate;

    fn handle(&mut self, told: &mut Option<Told>, _admitted: Admitted, _context: &mut Context<Kernel<Self>>) {
        self.orders += 1;
        match &told.as_ref().unwrap().order {
            Order::Add(summand) => self.estate.sum += summand,
            Order::Panic { taken: false } => panic!("told to, at {}", self.estate.sum),
            Order::Panic { taken: true } => {
                let _taken = told.take();
                panic!("told to");
            }
            Order::Wait(end) => end.recv().unwrap_err().to_string().clear(),
        }
        let _ = told.take().unwrap().done.send(self.estate.sum);
    }

    fn signal(&mut self, (): (), _context: &mut Context<Kernel<Self>>) {
        panic!("signals are refused");
    }

    fn observe(&self) -> Value {
        json!({ "sum": self.estate.sum, "orders": self.orders })
    }

    fn bequeath(self) -> Estate {
        self.estate
    }

    fn bury(&mut self, told: Told, panic: &str) {
        self.estate.buried.lock().unwrap().push(panic.to_owned());
        drop(told);
    }
}

struct Running {
    port: Port<Adder>,
    estate: Estate,
    directory: Directory,
    time: SimulatedTime,
    registry: Registry,
}

const ONE: Weight = Weight { events: 1, bytes: 10 };

fn start(capacity: Capacity) -> Running {
    let registry = Registry::new();
    let directory = Directory::default();
    let time = SimulatedTime::starting_at(Millis(1_790_000_000_000));
    let estate = Estate::default();
    let post = Post {
        arbiter: &directory.thread(),
        name: "only".to_owned(),
        capacity,
        budget: RestartBudget { restarts: 2, within: Duration::from_secs(60) },
        clock: time.clock(),
        metrics: MailboxMetricFamilies::new(&registry).unwrap().of_kind("adder"),
        directory: &directory,
    };
    let port = Port::start(post, estate.clone(), |_port, estate| Adder::new(estate));
    Running { port, estate, directory, time, registry }
}

impl Running {
    fn offer(&self, order: Order) -> Result<oneshot::Receiver<u64>, Refusal> {
        let (done, receiver) = oneshot::channel();
        match self.port.offer(Told { order, done }, ONE) {
            Ok(()) => Ok(receiver),
            Err((_told, refusal)) => Err(refusal),
        }
    }

    /// The sum after this order, `None` when the order was lost.
    async fn order(&self, order: Order) -> Option<u64> {
        self.offer(order).unwrap().await.ok()
    }

    fn instance(&self) -> Arc<mohaa_actors::supervision::Instance> {
        self.directory.instances().into_iter().next().unwrap()
    }

    fn metric(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name).unwrap();
        let metric = &family.get_metric()[0];
        metric.get_counter().get_value() + metric.get_gauge().get_value()
    }
}

const ROOMY: Capacity = Capacity { events: 100, bytes: 1_000 };

fn on_system<T>(test: impl Future<Output = T>) -> T {
    System::new().block_on(test)
}

#[test]
fn a_panic_loses_its_own_message_and_nothing_of_the_queue_or_the_estate() {
    on_system(async {
        let running = start(ROOMY);
        let (release, end) = std::sync::mpsc::channel();
        let waiting = running.offer(Order::Wait(end)).unwrap();
        let before = running.offer(Order::Add(3)).unwrap();
        let lost = running.offer(Order::Panic { taken: false }).unwrap();
        let after = running.offer(Order::Add(4)).unwrap();
        drop(release);
        assert_eq!((waiting.await, before.await), (Ok(0), Ok(3)));
        assert!(lost.await.is_err());
        assert_eq!(after.await, Ok(7));
        assert_eq!(*running.estate.buried.lock().unwrap(), ["told to, at 3"]);
        assert_eq!(*running.estate.generations.lock().unwrap(), 2);
        assert_eq!(running.metric("mohaa_actor_restarts_total"), 1.0);
    });
}

#[test]
fn a_message_that_was_taken_over_is_not_buried() {
    on_system(async {
        let running = start(ROOMY);
        assert_eq!(running.order(Order::Panic { taken: true }).await, None);
        assert_eq!(running.order(Order::Add(1)).await, Some(1));
        assert!(running.estate.buried.lock().unwrap().is_empty());
    });
}

#[test]
fn the_last_state_before_a_panic_is_kept_and_the_successor_tells_its_own() {
    on_system(async {
        let running = start(ROOMY);
        running.order(Order::Add(5)).await;
        running.time.advance(Duration::from_secs(7));
        running.order(Order::Panic { taken: false }).await;
        running.order(Order::Add(1)).await;
        assert_eq!(running.instance().observe().await, Some(json!({ "sum": 6, "orders": 1 })));
        let report = running.instance().report();
        let failure = report.last_failure.unwrap();
        assert_eq!(failure.at, Millis(1_790_000_007_000));
        assert_eq!(failure.panic, "told to, at 5");
        assert_eq!(failure.state, json!({ "sum": 5, "orders": 2 }));
        assert_eq!((report.restarts, report.handled), (1, 3));
    });
}

#[test]
fn an_actor_that_panics_too_often_counts_as_failing_until_it_has_behaved_for_a_while() {
    on_system(async {
        let running = start(ROOMY);
        for _ in 0..2 {
            running.order(Order::Panic { taken: false }).await;
            assert!(!running.instance().is_failing());
            running.time.advance(Duration::from_secs(20));
        }
        running.port.tell(());
        assert_eq!(running.order(Order::Add(2)).await, Some(2), "it goes on all the same");
        assert!(running.instance().is_failing());
        running.time.advance(Duration::from_secs(41));
        assert!(!running.instance().is_failing());
    });
}

#[test]
fn a_mailbox_counts_what_is_in_work_and_tells_how_long_it_has_been() {
    on_system(async {
        let running = start(Capacity { events: 2, bytes: 1_000 });
        let (release, end) = std::sync::mpsc::channel();
        let waiting = running.offer(Order::Wait(end)).unwrap();
        let queued = running.offer(Order::Add(1)).unwrap();
        assert_eq!(running.offer(Order::Add(9)).err(), Some(Refusal::Full));
        let instance = running.instance();
        while instance.report().oldest_wait.is_zero() {
            // The handler runs on a thread of its own; time must pass after it has begun.
            running.time.advance(Duration::from_secs(1));
            tokio::task::yield_now().await;
        }
        running.time.advance(Duration::from_secs(30));
        let report = instance.report();
        assert_eq!((report.depth, report.capacity, report.rejected), (2, 2, 1));
        assert!(report.busy_for >= Duration::from_secs(30), "{report:?}");
        assert!(report.oldest_wait >= report.busy_for, "{report:?}");
        drop(release);
        assert_eq!((waiting.await, queued.await), (Ok(0), Ok(1)));
        assert_eq!(running.order(Order::Add(1)).await, Some(2));
        assert_eq!(instance.report().busy_for, Duration::ZERO);
    });
}

#[test]
fn simulated_time_wakes_sleepers_when_they_are_due_and_not_before() {
    on_system(async {
        let time = SimulatedTime::starting_at(Millis(0));
        let clock = time.clock();
        let (long, short) = (clock.sleep(Duration::from_secs(10)), clock.sleep(Duration::from_secs(1)));
        time.advance(Duration::from_secs(1));
        short.await;
        assert_eq!(time.sleepers(), 1);
        time.jump(-500);
        assert_eq!(clock.now(), Millis(500));
        time.advance(Duration::from_secs(9));
        long.await;
        assert_eq!(time.sleepers(), 0);
        Clock::system().sleep(Duration::ZERO).await;
    });
}

#[test]
fn actors_end_when_their_threads_are_ended() {
    on_system(async {
        let running = start(ROOMY);
        assert_eq!(running.order(Order::Add(1)).await, Some(1));
        running.directory.end_threads();
        let ended = async {
            // What still came in before that is lost.
            while let Ok(done) = running.offer(Order::Add(1)) {
                let _ = done.await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), ended).await.unwrap();
        assert_eq!(running.offer(Order::Add(1)).unwrap_err(), Refusal::Ended);
    });
}
