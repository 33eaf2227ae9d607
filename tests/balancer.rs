//! Two nodes behind HAProxy, configured as it is shipped, under load: restarts and a killed node lose no accepted event, and
//! whoever watches goes on.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::rc::Rc;
use std::time::{Duration, Instant};

use mohaa_embedded::StoreUrls;
use mohaa_faults::process::ServiceProcess;
use mohaa_stats::startup::Surroundings;
use serde_json::json;

use crate::support::{Service, eventually, schemas};

/// A viewer has the next kill by then, whatever happens to a node.
const GOES_ON_WITHIN: Duration = Duration::from_secs(5);
/// A game server gives a request up that nobody answers. A browser waits for a stream for ever.
const REQUEST_PATIENCE: Duration = Duration::from_secs(2);
const SERVERS: u8 = 6;
/// The last number of the first server's address.
const FIRST_HOST: u8 = 10;
/// A full server sends ten requests a second; these are as many on one machine with everything else.
const SEND_EVERY: Duration = Duration::from_millis(100);

/// The balancer, until it is dropped.
struct Balancer(tokio::process::Child);

impl Balancer {
    fn start(bind: SocketAddr, nodes: [SocketAddr; 2]) -> Self {
        let child = tokio::process::Command::new("haproxy")
            .args(["-db", "-f", "ops/balancer/haproxy.cfg"])
            .env("BALANCER_BIND", bind.to_string())
            .env("NODE1", nodes[0].to_string())
            .env("NODE2", nodes[1].to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        Self(child.unwrap_or_else(|error| panic!("haproxy: {error}; `ops/setup.sh tests` gets it")))
    }
}

/// An address that nobody listens on.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A client with an address of its own: the balancer tells game servers apart by it.
fn client_at(host: u8) -> reqwest::Client {
    let address = IpAddr::V4(Ipv4Addr::new(127, 0, 0, host));
    reqwest::Client::builder()
        .no_proxy()
        .local_address(address)
        .connect_timeout(Duration::from_secs(5))
        .build()
        .unwrap()
}

struct Node<'a> {
    urls: &'a StoreUrls,
    address: SocketAddr,
    data_dir: tempfile::TempDir,
}

impl Node<'_> {
    /// Starts it and returns when it is ready.
    async fn start(&self) -> ServiceProcess {
        let program = Path::new(env!("CARGO_BIN_EXE_mohaa-stats"));
        let listen = self.address.to_string();
        let settings = [("LISTEN", listen.as_str()), ("TRUSTED_PROXIES", "127.0.0.0/8")];
        let process =
            ServiceProcess::start(program, self.data_dir.path(), self.urls, &settings).await.unwrap();
        let client = client_at(1);
        eventually("the node is ready", async || {
            let ready = client.get(format!("http://{listen}/ready")).send().await.ok()?;
            ready.status().is_success().then_some(())
        })
        .await;
        process
    }
}

/// What was answered 202, and the last kill that the viewer was told.
#[derive(Default)]
struct Heard {
    accepted: RefCell<Vec<String>>,
    refused: Cell<u32>,
    last_kill: Cell<f64>,
    is_over: Cell<bool>,
}

/// A game server that sends kills, one a request, until it is over; never one twice.
async fn play(url: String, number: u8, token: String, heard: Rc<Heard>) {
    let client = client_at(FIRST_HOST + number);
    let mut second = 0_u32;
    while !heard.is_over.get() {
        let began = Instant::now();
        second += 1;
        let name = format!("s{number}-{second}");
        let kill = json!([{
            "type": "player_kill", "match_id": format!("evening-{number}"), "timestamp": second, "weapon": "M1 Garand",
            "attacker_name": name, "attacker_guid": "1001", "attacker_team": "allies",
            "victim_name": "Victim", "victim_guid": "1002", "victim_team": "axis",
        }]);
        let sending = client
            .post(format!("{url}/api/v1/ingest/events"))
            .header("X-Server-Token", &token)
            .body(kill.to_string())
            .timeout(REQUEST_PATIENCE)
            .send();
        match sending.await {
            Ok(answer) if answer.status() == 202 => heard.accepted.borrow_mut().push(name),
            // It may have been taken all the same: whoever gets no answer can't know.
            Ok(_) | Err(_) => heard.refused.set(heard.refused.get() + 1),
        }
        if let Some(left) = SEND_EVERY.checked_sub(began.elapsed()) {
            tokio::time::sleep(left).await;
        }
    }
}

/// A browser that watches the first server's match: it comes back when it was cut off, as browsers do.
async fn watch(url: String, heard: Rc<Heard>) {
    // From where the match's server is: the balancer sends both to one node.
    let client = client_at(FIRST_HOST);
    let mut last_id: Option<String> = None;
    while !heard.is_over.get() {
        let mut request = client.get(format!("{url}/api/v1/live/evening-0"));
        if let Some(id) = &last_id {
            request = request.header("Last-Event-ID", id);
        }
        if let Ok(mut stream) = request.send().await
            && stream.status() == 200
        {
            let mut text = String::new();
            while let Ok(Some(chunk)) = stream.chunk().await {
                text.push_str(&String::from_utf8_lossy(&chunk));
                while let Some((message, rest)) = text.split_once("\n\n") {
                    let field = |name: &str| {
                        message.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned)
                    };
                    last_id = field("id: ").or(last_id);
                    let data = field("data: ").and_then(|data| serde_json::from_str(&data).ok());
                    let data: serde_json::Value = data.unwrap_or_default();
                    // Of a snapshot the newest of its kills.
                    let newest = data["kills"].as_array().and_then(|kills| kills.last()).unwrap_or(&data);
                    if let Some(at) = newest["t"].as_f64() {
                        heard.last_kill.set(heard.last_kill.get().max(at));
                    }
                    text = rest.to_owned();
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until the viewer was told of so many further kills; says how long that took.
async fn further_kills(heard: &Heard, count: f64) -> Duration {
    let (began, from) = (Instant::now(), heard.last_kill.get());
    eventually("the viewer is told of further kills", async || {
        (heard.last_kill.get() >= from + count).then_some(())
    })
    .await;
    began.elapsed()
}

#[actix_web::test]
async fn behind_the_balancer_restarts_and_a_killed_node_lose_no_accepted_event_and_viewers_go_on() {
    let urls = schemas::database("balancer").await;
    // Knows the servers and looks at what is stored; the balancer does not know of it.
    let aside = Service::start_on(&urls, &[], Surroundings::default()).await;
    let node = || Node { urls: &urls, address: free_address(), data_dir: tempfile::tempdir().unwrap() };
    let (one, other) = (node(), node());
    let bind = free_address();
    let (mut at_one, mut at_other) = (one.start().await, other.start().await);
    let mut balancer = Balancer::start(bind, [one.address, other.address]);
    let url = format!("http://{bind}");
    eventually("the balancer serves", async || {
        let home = client_at(1).get(format!("{url}/health")).send().await.ok()?;
        home.status().is_success().then_some(())
    })
    .await;

    let heard = Rc::new(Heard::default());
    let mut playing = Vec::new();
    for number in 0..SERVERS {
        let (_, token) = aside.add_server(&format!("Server {number}")).await;
        playing.push(tokio::task::spawn_local(play(url.clone(), number, token, heard.clone())));
    }
    eventually("the match is live", async || (heard.accepted.borrow().len() > 20).then_some(())).await;
    let watching = tokio::task::spawn_local(watch(url.clone(), heard.clone()));
    further_kills(&heard, 3.0).await;

    // One after the other, as they are upgraded.
    let mut gaps = Vec::new();
    for (node, process) in [(&one, &mut at_one), (&other, &mut at_other)] {
        process.signal(mohaa_faults::process::Signal::TERM);
        gaps.push(further_kills(&heard, 1.0).await);
        process.ended_within(Duration::from_secs(60)).await.unwrap();
        gaps.push(further_kills(&heard, 1.0).await);
        *process = node.start().await;
        // Long enough that the balancer has it back, twice over: it asks twice a second, and wants to hear it twice.
        further_kills(&heard, 40.0).await;
    }
    assert_eq!(heard.refused.get(), 0, "a restart refuses nobody");

    // The one that the viewer is at falls silent, as if its power were gone: nothing says that its connections are dead.
    let is_at_one = viewers_at(&one).await > 0.0;
    assert_ne!(is_at_one, viewers_at(&other).await > 0.0, "there is one viewer");
    let silent = if is_at_one { &at_one } else { &at_other };
    silent.signal(mohaa_faults::process::Signal::STOP);
    gaps.push(further_kills(&heard, 1.0).await);
    further_kills(&heard, 5.0).await;
    silent.signal(mohaa_faults::process::Signal::CONT);
    // It takes what had come meanwhile, and its servers' matches again.
    further_kills(&heard, 40.0).await;

    // The one that the viewer is at dies, and that its match's server sends to: both move to the other.
    let is_at_one = viewers_at(&one).await > 0.0;
    assert_ne!(is_at_one, viewers_at(&other).await > 0.0, "there is one viewer");
    let (dead, killed, rest) = if is_at_one { (&one, at_one, at_other) } else { (&other, at_other, at_one) };
    killed.kill().await.unwrap();
    gaps.push(further_kills(&heard, 1.0).await);
    assert!(gaps.iter().all(|gap| *gap < GOES_ON_WITHIN), "{gaps:?}");
    further_kills(&heard, 5.0).await;

    heard.is_over.set(true);
    futures_util::future::join_all(playing).await;
    watching.abort();
    // What was in its spool alone appears when it is there again.
    let again = dead.start().await;
    let accepted = heard.accepted.borrow().clone();
    let mut stored: BTreeMap<String, u64> = BTreeMap::new();
    eventually("every accepted event is stored", async || {
        let sql = "SELECT player_name, count() AS times FROM raw_events WHERE player_name LIKE 's%-%' GROUP BY player_name";
        stored = aside
            .warehouse
            .rows(sql)
            .await
            .iter()
            .map(|row| {
                let times = row["times"].as_u64().or_else(|| row["times"].as_str()?.parse().ok());
                (row["player_name"].as_str().unwrap().to_owned(), times.unwrap())
            })
            .collect();
        accepted.iter().all(|name| stored.contains_key(name)).then_some(())
    })
    .await;
    let twice: Vec<_> = stored.iter().filter(|(_, times)| **times != 1).collect();
    assert!(twice.is_empty(), "stored more than once: {twice:?}");
    // Requests that were on their way to the node that fell silent or was killed have no answer.
    let unanswered = stored.len() - accepted.len();
    assert!(unanswered <= 2 * usize::from(SERVERS), "{unanswered} of {} were not answered", stored.len());
    println!(
        "{} accepted, {} stored, {} without an answer; gaps {gaps:?}",
        accepted.len(),
        stored.len(),
        heard.refused.get()
    );
    again.terminate().await.unwrap();
    rest.terminate().await.unwrap();
    balancer.0.kill().await.unwrap();
    aside.stop().await;
}

/// How many watch a match at a node.
async fn viewers_at(node: &Node<'_>) -> f64 {
    let answer = client_at(1).get(format!("http://{}/metrics", node.address)).send().await.unwrap();
    let metrics = answer.text().await.unwrap();
    let viewers =
        metrics.lines().find_map(|line| line.strip_prefix(r#"mohaa_live_viewers{stream="match"} "#));
    viewers.unwrap().parse().unwrap()
}
