//! Events by a broker: taken as requests are, each server for itself, none lost and none twice.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mohaa_embedded::StoreUrls;
use mohaa_faults::process::{ServiceProcess, Signal};
use mohaa_spool::testing::FakeStorage;
use mohaa_stats::servers;
use mohaa_stats::startup::Surroundings;
use rumqttc::QoS;
use serde_json::json;
use uuid::Uuid;

use crate::support::{
    Broker, Publisher, SERVICE_PASSWORD, Service, ServiceClient, Warehouse, eventually, schemas,
    sooner_or_later,
};

fn topic(server: Uuid) -> String {
    format!("openmohaa/events/{server}")
}

fn jump(name: &str) -> String {
    json!([{"type": "jump", "match_id": "no_match", "timestamp": "37.900", "player_name": name}]).to_string()
}

/// A service that is subscribed at a broker of its own, and two servers with users there.
struct Stage {
    service: Service,
    broker: Broker,
    other_id: Uuid,
    other_token: String,
}

impl Stage {
    async fn start(name_hint: &str, settings: &[(&str, &str)], surroundings: Surroundings) -> Self {
        let urls = schemas::database(name_hint).await;
        // Who the servers are is known before there is a broker with users for them.
        let before = Service::start_on(&urls, &[], Surroundings::default()).await;
        let (one_id, one_token) = before.add_server("One").await;
        let (other_id, other_token) = before.add_server("Other").await;
        before.stop().await;
        let broker = Broker::start(&[one_id, other_id]).await;
        let url = broker.url();
        let mut all = vec![("MQTT_URL", url.as_str())];
        all.extend_from_slice(settings);
        let mut service = Service::start_on(&urls, &all, surroundings).await;
        service.server_id = one_id;
        service.client = service.client.with_token(&one_token);
        subscribed(&service.client).await;
        Self { service, broker, other_id, other_token }
    }

    fn publisher(&self) -> Publisher {
        Publisher::of_server(&self.broker, self.service.server_id)
    }

    async fn publish(&self, qos: QoS, payload: &str) {
        self.publisher().publish(&topic(self.service.server_id), qos, payload).await.unwrap();
    }

    /// Returns when so many messages have ended so.
    async fn ended(&self, outcome: &str, count: f64) {
        ended(&self.service.client, outcome, count).await;
    }

    /// The names of those who jumped, and at which server, as they are stored.
    async fn jumpers(&self) -> Vec<(String, String)> {
        self.service.client.settled().await;
        let sql = "SELECT player_name, toString(server_id) AS server FROM raw_events WHERE type = 'jump' ORDER BY player_name";
        let rows = self.service.warehouse.rows(sql).await;
        rows.iter()
            .map(|row| {
                (row["player_name"].as_str().unwrap().to_owned(), row["server"].as_str().unwrap().to_owned())
            })
            .collect()
    }

    async fn refused(&self, reason: &str) -> f64 {
        let metrics = self.service.client.metrics().await;
        metrics.series(&format!(r#"mohaa_mqtt_messages_refused_total{{reason="{reason}"}}"#))
    }
}

async fn subscribed(client: &ServiceClient) {
    eventually("it is subscribed", async || {
        (client.metrics().await.value("mohaa_mqtt_connected") == 1.0).then_some(())
    })
    .await;
}

async fn ended(client: &ServiceClient, outcome: &str, count: f64) {
    let series = format!(r#"mohaa_mqtt_messages_total{{outcome="{outcome}"}}"#);
    eventually(&format!("{count} messages are {outcome}"), async || {
        (client.metrics().await.series(&series) == count).then_some(())
    })
    .await;
}

#[actix_web::test]
async fn a_message_is_taken_as_a_request_is() {
    let stage = Stage::start("mqtt_taken", &[], Surroundings::default()).await;
    let server = stage.service.server_id.to_string();
    stage.publish(QoS::AtMostOnce, &jump("at-0")).await;
    stage.publish(QoS::AtLeastOnce, &jump("at-1")).await;
    stage.service.client.send(jump("posted")).await.assert_batch(202, 1, &[]);
    stage.ended("accepted", 2.0).await;
    let expected = ["at-0", "at-1", "posted"].map(|name| (name.to_owned(), server.clone()));
    assert_eq!(stage.jumpers().await, expected);
    // As of one sender: one match.
    let matches = "SELECT uniqExact(match_id) FROM raw_events";
    assert_eq!(stage.service.warehouse.count(matches).await, 1);
    let ready = stage.service.client.get("/ready").await.json();
    assert_eq!(ready["checks"]["mqtt"], json!({"ok": true}), "{ready}");
    let metrics = stage.service.client.metrics().await;
    assert_eq!(metrics.value("mohaa_mqtt_messages_received_total"), 2.0);
    assert_eq!(metrics.value("mohaa_mqtt_messages_waiting"), 0.0);
    stage.service.stop().await;
}

#[actix_web::test]
async fn a_server_publishes_for_itself_alone() {
    let stage = Stage::start("mqtt_alone", &[], Surroundings::default()).await;
    let (one, other) = (stage.service.server_id, stage.other_id);
    // The broker takes it, as MQTT 3 knows no refusal, and gives it to nobody.
    // Mosquitto 2.0.11 then hangs up; whether before its word is read is chance.
    let _ = stage.publisher().publish(&topic(other), QoS::AtLeastOnce, &jump("an impostor")).await;
    let mut publisher = stage.publisher();
    for (user, password) in [(one.to_string(), "guessed"), ("somebody".to_owned(), "guessed")] {
        let mut stranger = Publisher::of_user(&stage.broker, &user, password);
        stranger.publish(&topic(one), QoS::AtLeastOnce, &jump("a stranger")).await.unwrap_err();
    }
    // A token says who speaks, also where the broker has vouched for another.
    let with_token = |token: &str, name: &str| {
        json!([{"type": "jump", "player_name": name, "server_token": token}]).to_string()
    };
    for token in [stage.other_token.as_str(), "mohaa_s_made-up"] {
        publisher.publish(&topic(one), QoS::AtLeastOnce, &with_token(token, "two voices")).await.unwrap();
    }
    let own = with_token(&stage.service.client.token, "own token");
    publisher.publish(&topic(one), QoS::AtLeastOnce, &own).await.unwrap();
    stage.ended("accepted", 1.0).await;
    assert_eq!(stage.refused("invalid_token").await, 2.0);

    // With its last token a server loses its topic too.
    servers::revoke_server_tokens(&stage.service.application.postgres, servers::Changer::Operator, one)
        .await
        .unwrap();
    eventually("the server is not known any more", async || {
        publisher.publish(&topic(one), QoS::AtLeastOnce, &jump("revoked")).await.unwrap();
        (stage.refused("unknown_server").await > 0.0).then_some(())
    })
    .await;
    let jumpers = stage.jumpers().await;
    let names: Vec<&str> =
        jumpers.iter().map(|(name, _)| name.as_str()).filter(|name| *name != "revoked").collect();
    assert_eq!(names, ["own token"]);
    stage.service.stop().await;
}

#[actix_web::test]
async fn what_comes_again_at_qos_1_is_stored_once_and_equal_messages_at_qos_0_are_two() {
    let stage = Stage::start("mqtt_again", &[], Surroundings::default()).await;
    for _ in 0..3 {
        stage.publish(QoS::AtLeastOnce, &jump("once")).await;
        stage.publish(QoS::AtMostOnce, &jump("thrice")).await;
    }
    stage.ended("accepted", 4.0).await;
    stage.ended("redelivered", 2.0).await;
    let jumpers = stage.jumpers().await;
    let names: Vec<&str> = jumpers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["once", "thrice", "thrice", "thrice"]);
    // The same of another server is another's.
    let mut other = Publisher::of_server(&stage.broker, stage.other_id);
    other.publish(&topic(stage.other_id), QoS::AtLeastOnce, &jump("once")).await.unwrap();
    stage.ended("accepted", 5.0).await;
    stage.service.stop().await;
}

#[actix_web::test]
async fn what_can_never_be_taken_is_counted_and_holds_up_nobody() {
    let settings = [("INGEST_MAX_BODY", "64KiB"), ("INGEST_MAX_EVENTS", "10")];
    let stage = Stage::start("mqtt_poison", &settings, Surroundings::default()).await;
    let many = json!((0..11).map(|_| json!({"type": "jump"})).collect::<Vec<_>>()).to_string();
    for payload in ["", "no events", r#"[{"no":"type"}]"#, &" ".repeat(70_000), &many] {
        stage.publish(QoS::AtLeastOnce, payload).await;
    }
    stage.publish(QoS::AtLeastOnce, &jump("after all that")).await;
    stage.ended("accepted", 1.0).await;
    stage.ended("refused", 5.0).await;
    for (reason, count) in [("unreadable_event", 3.0), ("body_too_large", 1.0), ("too_many_events", 1.0)] {
        assert_eq!(stage.refused(reason).await, count, "{reason}");
    }
    // Nothing of it comes again.
    let metrics = stage.service.client.metrics().await;
    assert_eq!(metrics.value("mohaa_mqtt_messages_waiting"), 0.0);
    assert_eq!(metrics.value("mohaa_mqtt_messages_received_total"), 6.0);
    stage.service.stop().await;
}

#[actix_web::test]
async fn a_full_mailbox_lets_messages_wait_unacknowledged_and_loses_none() {
    let disk = FakeStorage::new();
    let surroundings = Surroundings { storage: Arc::new(disk.clone()), ..Surroundings::default() };
    let settings = [("WORKER_QUEUE_SIZE", "1"), ("SPOOL_FSYNC", "never")];
    let stage = Stage::start("mqtt_full", &settings, surroundings).await;
    disk.stall();
    let mut other = Publisher::of_server(&stage.broker, stage.other_id);
    for number in 0..5 {
        stage.publish(QoS::AtLeastOnce, &jump(&format!("one-{number}"))).await;
        let name = format!("other-{number}");
        other.publish(&topic(stage.other_id), QoS::AtLeastOnce, &jump(&name)).await.unwrap();
    }
    eventually("one is in work, and those of the other server are told to wait", async || {
        let metrics = stage.service.client.metrics().await;
        let retries = metrics.series(r#"mohaa_mqtt_message_retries_total{reason="mailbox_full"}"#);
        (retries > 1.0 && metrics.value("mohaa_mqtt_messages_waiting") == 10.0).then_some(())
    })
    .await;
    stage.service.client.send(jump("posted")).await.assert_refused(429, "mailbox_full");
    disk.release();
    stage.ended("accepted", 10.0).await;
    let jumpers = stage.jumpers().await;
    assert_eq!(jumpers.len(), 10, "{jumpers:?}");
    // In the order of each server.
    let sql =
        "SELECT player_name FROM raw_events WHERE player_name LIKE 'one-%' ORDER BY spool_seq, spool_index";
    let rows = stage.service.warehouse.rows(sql).await;
    let order: Vec<&str> = rows.iter().map(|row| row["player_name"].as_str().unwrap()).collect();
    assert_eq!(order, ["one-0", "one-1", "one-2", "one-3", "one-4"]);
    stage.service.stop().await;
}

#[actix_web::test]
async fn a_server_beyond_its_limit_waits_and_lets_the_others_pass() {
    let settings = [("RATE_LIMITS", "ingest=10/h")];
    let stage = Stage::start("mqtt_limited", &settings, Surroundings::default()).await;
    let mut publisher = stage.publisher();
    for number in 0..80 {
        let name = format!("one-{number:02}");
        publisher.publish(&topic(stage.service.server_id), QoS::AtLeastOnce, &jump(&name)).await.unwrap();
    }
    // Ten are taken, one and those that may wait behind it wait.
    stage.ended("accepted", 10.0).await;
    stage.ended("refused", 5.0).await;
    assert_eq!(stage.refused("rate_limited").await, 5.0);
    let mut other = Publisher::of_server(&stage.broker, stage.other_id);
    other.publish(&topic(stage.other_id), QoS::AtLeastOnce, &jump("other")).await.unwrap();
    stage.ended("accepted", 11.0).await;
    assert_eq!(stage.service.client.metrics().await.value("mohaa_mqtt_messages_waiting"), 65.0);
    stage.service.stop().await;
}

#[actix_web::test]
async fn a_drained_node_leaves_the_subscription_and_comes_back() {
    let stage = Stage::start("mqtt_drained", &[], Surroundings::default()).await;
    let (_, admin) = stage.service.add_user("Admin", mohaa_stats::users::Role::Admin).await;
    let node = stage.service.application.pipeline.spool_id;
    let path = format!("/api/v1/ops/nodes/{node}/drain");
    let drained = stage.service.client.call_as(&admin, "POST", &path, json!({})).await;
    assert!(drained.status.is_success(), "{}", drained.text);
    eventually("what is published reaches nobody", async || {
        let before = stage.service.client.metrics().await.value("mohaa_mqtt_messages_received_total");
        stage.publish(QoS::AtLeastOnce, &jump(&Uuid::new_v4().to_string())).await;
        stage.publish(QoS::AtLeastOnce, &jump(&Uuid::new_v4().to_string())).await;
        let after = stage.service.client.metrics().await.value("mohaa_mqtt_messages_received_total");
        (before == after).then_some(())
    })
    .await;
    let back = stage.service.client.call_as(&admin, "DELETE", &path, json!({})).await;
    assert!(back.status.is_success(), "{}", back.text);
    eventually("what is published arrives", async || {
        let before = stage.service.client.metrics().await.value("mohaa_mqtt_messages_received_total");
        stage.publish(QoS::AtLeastOnce, &jump(&Uuid::new_v4().to_string())).await;
        let after = stage.service.client.metrics().await.value("mohaa_mqtt_messages_received_total");
        (after > before).then_some(())
    })
    .await;
    stage.service.stop().await;
}

#[actix_web::test]
async fn a_broker_that_is_away_takes_no_node_out_and_its_password_stands_nowhere() {
    let urls = schemas::database("mqtt_away").await;
    let aside = Service::start_on(&urls, &[], Surroundings::default()).await;
    let (server, token) = aside.add_server("One").await;
    let mut broker = Broker::start(&[server]).await;
    broker.end(Signal::TERM).await;
    let data_dir = tempfile::tempdir().unwrap();
    let process = started(&urls, data_dir.path(), &broker.url()).await;
    let client = ServiceClient::new(process.url.clone(), token);
    let ready = client.get("/ready").await;
    assert_eq!(ready.status.as_u16(), 200, "{}", ready.text);
    assert_eq!(ready.json()["checks"]["mqtt"], json!({"ok": false, "problem": "not subscribed"}));
    assert_eq!(ready.json()["degraded"], true);
    client.send(jump("posted meanwhile")).await.assert_batch(202, 1, &[]);

    broker.run().await;
    subscribed(&client).await;
    eventually("nothing is amiss", async || {
        (client.get("/ready").await.json()["degraded"] == false).then_some(())
    })
    .await;
    broker.end(Signal::KILL).await;
    eventually("its loss is seen", async || {
        (client.metrics().await.value("mohaa_mqtt_connected") == 0.0).then_some(())
    })
    .await;
    process.terminate().await.unwrap();
    let log = std::fs::read_to_string(data_dir.path().join("service.log")).unwrap();
    assert!(log.contains("no connection to the broker"), "{log}");
    assert!(!log.contains(SERVICE_PASSWORD), "{log}");
    aside.stop().await;
}

/// The only node there is.
async fn started(urls: &StoreUrls, data_dir: &Path, broker_url: &str) -> ServiceProcess {
    let program = Path::new(env!("CARGO_BIN_EXE_mohaa-stats"));
    let settings = [("MQTT_URL", broker_url), ("MQTT_SHARED", "off")];
    ServiceProcess::start(program, data_dir, urls, &settings).await.unwrap()
}

/// As [`started`], after an earlier one was killed; returns when the roll-ups were compared for that. Who is killed meanwhile
/// leaves the writers waiting for it.
async fn started_again(urls: &StoreUrls, data_dir: &Path, broker_url: &str) -> ServiceProcess {
    let process = started(urls, data_dir, broker_url).await;
    let client = ServiceClient::new(process.url.clone(), String::new());
    subscribed(&client).await;
    eventually("roll-ups were compared", async || {
        (client.metrics().await.value("mohaa_rollup_comparisons_total") >= 1.0).then_some(())
    })
    .await;
    process
}

/// What servers have published, each for good as the broker said.
#[derive(Default)]
struct Published {
    names: RefCell<Vec<String>>,
    is_over: Cell<bool>,
}

/// A full server sends ten messages a second; these are as many on one machine with everything else.
const PUBLISH_EVERY: Duration = Duration::from_millis(10);

/// A server that publishes, and again where it can't know whether the broker has it.
async fn play(mut publisher: Publisher, server: Uuid, number: usize, published: Rc<Published>) {
    let mut second = 0_u32;
    while !published.is_over.get() {
        second += 1;
        let name = format!("s{number}-{second}");
        publisher.publish_at_least_once(&topic(server), &jump(&name)).await;
        published.names.borrow_mut().push(name);
        tokio::time::sleep(PUBLISH_EVERY).await;
    }
}

async fn further(published: &Published, count: usize) {
    let from = published.names.borrow().len();
    eventually("servers publish on", async || (published.names.borrow().len() >= from + count).then_some(()))
        .await;
}

/// How often each name is stored.
async fn stored(warehouse: &Warehouse) -> BTreeMap<String, u64> {
    let sql = "SELECT player_name, toUInt32(count()) AS times FROM raw_events WHERE player_name LIKE 's%-%' GROUP BY player_name";
    let rows = warehouse.rows(sql).await;
    rows.iter()
        .map(|row| (row["player_name"].as_str().unwrap().to_owned(), row["times"].as_u64().unwrap()))
        .collect()
}

#[actix_web::test]
async fn restarts_of_broker_and_service_under_load_lose_and_double_nothing() {
    let urls = schemas::database("mqtt_restarts").await;
    let aside = Service::start_on(&urls, &[], Surroundings::default()).await;
    let mut ids = Vec::new();
    for number in 0..4 {
        ids.push(aside.add_server(&format!("Server {number}")).await.0);
    }
    let mut broker = Broker::start(&ids).await;
    let data_dir = tempfile::tempdir().unwrap();
    let mut process = started(&urls, data_dir.path(), &broker.url()).await;
    let client_of = |process: &ServiceProcess| ServiceClient::new(process.url.clone(), String::new());
    subscribed(&client_of(&process)).await;

    let published = Rc::new(Published::default());
    let playing: Vec<_> = ids
        .iter()
        .enumerate()
        .map(|(number, id)| {
            let publisher = Publisher::of_server(&broker, *id);
            tokio::task::spawn_local(play(publisher, *id, number, published.clone()))
        })
        .collect();
    further(&published, 100).await;
    let mut redelivered = 0.0;
    // The service dies; the broker keeps what is published meanwhile.
    redelivered += redeliveries(&client_of(&process)).await;
    process.kill().await.unwrap();
    further(&published, 50).await;
    process = started_again(&urls, data_dir.path(), &broker.url()).await;
    // The broker is restarted, the service stays.
    broker.end(Signal::TERM).await;
    broker.run().await;
    subscribed(&client_of(&process)).await;
    further(&published, 50).await;
    // Both: what the broker has not delivered is in its file alone.
    redelivered += redeliveries(&client_of(&process)).await;
    process.kill().await.unwrap();
    further(&published, 50).await;
    broker.end(Signal::TERM).await;
    broker.run().await;
    further(&published, 50).await;
    process = started_again(&urls, data_dir.path(), &broker.url()).await;
    // An orderly restart.
    redelivered += redeliveries(&client_of(&process)).await;
    process.terminate().await.unwrap();
    further(&published, 50).await;
    process = started(&urls, data_dir.path(), &broker.url()).await;
    further(&published, 50).await;
    published.is_over.set(true);
    futures_util::future::join_all(playing).await;
    let names = published.names.borrow().clone();
    sooner_or_later("all that the broker took is stored", async || {
        let stored = stored(&aside.warehouse).await;
        let missing: Vec<_> = names.iter().filter(|name| !stored.contains_key(*name)).collect();
        let (first, last) = (missing.first(), missing.last());
        match missing.len() {
            0 => Ok(()),
            count => Err(format!("{count} of {} are missing, {first:?} to {last:?}", names.len())),
        }
    })
    .await;
    let client = client_of(&process);
    let metrics = client.settled().await;
    assert_eq!(metrics.value("mohaa_mqtt_messages_waiting"), 0.0);
    let stored = stored(&aside.warehouse).await;
    let twice: Vec<_> = stored.iter().filter(|(_, times)| **times != 1).collect();
    assert!(twice.is_empty(), "stored more than once: {twice:?}");
    assert_eq!(stored.len(), names.len());
    redelivered += redeliveries(&client).await;
    println!("{} published and stored once each, {redelivered} came again", names.len());
    process.terminate().await.unwrap();
    aside.stop().await;
}

#[actix_web::test]
async fn nodes_that_share_the_subscription_take_each_message_once_and_a_killed_one_finds_its_share() {
    let urls = schemas::database("mqtt_nodes").await;
    let aside = Service::start_on(&urls, &[], Surroundings::default()).await;
    let mut ids = Vec::new();
    for number in 0..4 {
        ids.push(aside.add_server(&format!("Server {number}")).await.0);
    }
    let broker = Broker::start(&ids).await;
    let url = broker.url();
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let program = Path::new(env!("CARGO_BIN_EXE_mohaa-stats"));
    let settings = [("MQTT_URL", url.as_str())];
    let node = async |folder: usize| {
        let process = ServiceProcess::start(program, folders[folder].path(), &urls, &settings).await.unwrap();
        let client = ServiceClient::new(process.url.clone(), String::new());
        subscribed(&client).await;
        (process, client)
    };
    let (one, to_one) = node(0).await;
    let (other, to_other) = node(1).await;
    let published = Rc::new(Published::default());
    let play_at = |(number, id): (usize, &Uuid)| {
        let publisher = Publisher::of_server(&broker, *id);
        tokio::task::spawn_local(play(publisher, *id, number, published.clone()))
    };
    let playing: Vec<_> = ids.iter().enumerate().map(play_at).collect();
    for client in [&to_one, &to_other] {
        eventually("both have a share", async || {
            let accepted = r#"mohaa_mqtt_messages_total{outcome="accepted"}"#;
            (client.metrics().await.series(accepted) > 20.0).then_some(())
        })
        .await;
    }
    one.kill().await.unwrap();
    further(&published, 100).await;
    let (one, _) = node(0).await;
    further(&published, 50).await;
    published.is_over.set(true);
    futures_util::future::join_all(playing).await;
    let names = published.names.borrow().clone();
    sooner_or_later("all that the broker took is stored", async || {
        let stored = stored(&aside.warehouse).await;
        let missing = names.iter().filter(|name| !stored.contains_key(*name)).count();
        if missing == 0 { Ok(()) } else { Err(format!("{missing} of {} are missing", names.len())) }
    })
    .await;
    let stored = stored(&aside.warehouse).await;
    let twice: Vec<_> = stored.iter().filter(|(_, times)| **times != 1).collect();
    assert!(twice.is_empty(), "stored more than once: {twice:?}");
    one.terminate().await.unwrap();
    other.terminate().await.unwrap();
    aside.stop().await;
}

async fn redeliveries(client: &ServiceClient) -> f64 {
    client.metrics().await.series(r#"mohaa_mqtt_messages_total{outcome="redelivered"}"#)
}

/// A broker that is killed forgets up to five seconds, so it sends again what was accepted, perhaps as if for the first time.
#[actix_web::test]
async fn a_broker_that_is_killed_makes_nothing_twice() {
    let urls = schemas::database("mqtt_killed").await;
    let aside = Service::start_on(&urls, &[], Surroundings::default()).await;
    let (id, _) = aside.add_server("One").await;
    let mut broker = Broker::start(&[id]).await;
    let data_dir = tempfile::tempdir().unwrap();
    let process = started(&urls, data_dir.path(), &broker.url()).await;
    let client = ServiceClient::new(process.url.clone(), String::new());
    subscribed(&client).await;
    let published = Rc::new(Published::default());
    let publisher = Publisher::of_server(&broker, id);
    let playing = tokio::task::spawn_local(play(publisher, id, 0, published.clone()));
    // Who is subscribed is older than what it forgets.
    broker.save().await;
    for _ in 0..3 {
        further(&published, 100).await;
        broker.end(Signal::KILL).await;
        broker.run().await;
        subscribed(&client).await;
    }
    further(&published, 100).await;
    published.is_over.set(true);
    playing.await.unwrap();
    let last = published.names.borrow().last().cloned().unwrap();
    eventually("the last one is stored", async || {
        stored(&aside.warehouse).await.contains_key(&last).then_some(())
    })
    .await;
    client.settled().await;
    let stored = stored(&aside.warehouse).await;
    let twice: Vec<_> = stored.iter().filter(|(_, times)| **times != 1).collect();
    assert!(twice.is_empty(), "stored more than once: {twice:?}");
    let forgotten = published.names.borrow().len() - stored.len();
    println!(
        "{} stored, {forgotten} forgotten by the broker, {} came again",
        stored.len(),
        redeliveries(&client).await
    );
    // While the service listens, a message is on its way to it before its sender hears that the broker has it.
    assert!(forgotten <= 3, "{forgotten} are lost");
    process.terminate().await.unwrap();
    aside.stop().await;
}
