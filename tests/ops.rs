//! `/ops`: what admins see of a node, how soon they see what is wrong, and what they can do about it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mohaa_embedded::StoreUrls;
use mohaa_faults::cuttable::CuttableProxy;
use mohaa_spool::testing::FakeStorage;
use mohaa_stats::auth::make_login_link;
use mohaa_stats::startup::Surroundings;
use mohaa_stats::users::{self, Role};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    Chromium, DESKTOP, PATIENCE, PHONE, Reply, Service, ServiceClient, eventually, schemas, sooner_or_later,
};

const JUMP: &str = r#"[{"type":"jump"}]"#;
const KILL: &str = r#"[{"type":"player_kill","match_id":"evening","timestamp":5.0,"map_name":"dm/mohdm1",
    "attacker_guid":"1","victim_guid":"2"}]"#;
/// Whoever watches sees what is wrong by then.
const SEEN_WITHIN: Duration = Duration::from_secs(5);
/// In the cookie and in the form.
const CSRF: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// The parts of `/ops` as they come to whoever watches.
struct Watched {
    response: reqwest::Response,
    text: String,
}

impl Watched {
    async fn open(client: &ServiceClient, token: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = http.get(format!("{}/ops/stream", client.url)).bearer_auth(token);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
        Self { response, text: String::new() }
    }

    /// The next page; none when the stream has ended.
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some((message, rest)) = self.text.split_once("\n\n") {
                let lines = message.lines().filter_map(|line| line.strip_prefix("data: "));
                let page = lines.collect::<Vec<_>>().join("\n");
                self.text = rest.to_owned();
                if !page.is_empty() {
                    return Some(page);
                }
                continue;
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await;
            let chunk = chunk.expect("the stream goes on").ok().flatten()?;
            self.text.push_str(&String::from_utf8_lossy(&chunk));
        }
    }

    /// Waits until what is wrong says this.
    async fn says(&mut self, words: &str) {
        loop {
            let page = self.next().await.unwrap_or_else(|| panic!("the stream ended before {words:?}"));
            if trouble(&page).contains(words) {
                return;
            }
        }
    }
}

/// What is wrong, as the page says it.
fn trouble(page: &str) -> String {
    let part = page.split(r#"id="trouble""#).nth(1).unwrap_or_else(|| panic!("no trouble in {page}"));
    part.split("</section>").next().unwrap().to_owned()
}

/// Of what an overview says is wrong.
fn alerts(overview: &Value) -> Vec<String> {
    let trouble = overview["trouble"].as_array().unwrap().iter();
    trouble.map(|trouble| trouble["alert"].as_str().unwrap().to_owned()).collect()
}

async fn admin(service: &Service) -> String {
    service.add_user("Operator", Role::Admin).await.1
}

async fn overview(service: &Service, token: &str) -> Value {
    service.client.get_as(token, "/api/v1/ops/actors").await.json()
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn of_kind<'a>(reports: &'a Value, kind: &str) -> Option<&'a Value> {
    array(reports).iter().find(|report| report["kind"] == kind)
}

async fn call(service: &Service, token: &str, method: &str, path: &str) -> Reply {
    let bearer = format!("Bearer {token}");
    service.client.call(method, path, &[("Authorization", &bearer)], "").await
}

async fn done(service: &Service, token: &str, method: &str, path: &str) {
    let reply = call(service, token, method, path).await;
    assert_eq!(reply.status.as_u16(), 204, "{method} {path}: {}", reply.text);
}

/// A button of the page.
async fn press(service: &Service, token: &str, path: &str) -> Reply {
    let (bearer, cookie) = (format!("Bearer {token}"), format!("mohaa_csrf={CSRF}"));
    let headers = [
        ("Authorization", bearer.as_str()),
        ("Cookie", &cookie),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ];
    service.client.call("POST", path, &headers, format!("csrf={CSRF}")).await
}

async fn audited(service: &Service) -> Vec<(String, String)> {
    let sql = "SELECT action, subject_id FROM audit_log WHERE action LIKE 'ops.%' ORDER BY id";
    sqlx::query_as(sql).fetch_all(&service.application.postgres).await.unwrap()
}

async fn stored(service: &Service) -> u64 {
    service.warehouse.count("SELECT count() FROM raw_events").await
}

async fn stores_are_there(service: &Service) {
    eventually("all stores answer", async || {
        (service.client.get("/ready").await.json()["degraded"] == false).then_some(())
    })
    .await;
}

#[actix_web::test]
async fn paused_writers_store_nothing_and_lose_nothing_and_the_node_stays_ready() {
    let service = Service::start("ops_pause").await;
    let token = admin(&service).await;
    service.client.send(JUMP).await.assert_batch(202, 1, &[]);
    service.client.settled().await;

    done(&service, &token, "POST", "/api/v1/ops/writers/all/pause").await;
    for _ in 0..3 {
        service.client.send(JUMP).await.assert_batch(202, 1, &[]);
    }
    done(&service, &token, "POST", "/api/v1/ops/flush").await;
    let seen = overview(&service, &token).await;
    let batcher = seen["actors"].as_array().unwrap().iter().find(|actor| actor["kind"] == "batcher").unwrap();
    let batches = &batcher["state"]["batches"];
    assert_eq!((&batches["idle_writers"], &batches["paused_writers"]), (&json!(2), &json!(2)), "{batches}");
    assert_eq!(
        (&seen["events"]["in_flight"], &seen["ready"]),
        (&json!(3), &json!(true)),
        "{}",
        seen["events"]
    );
    assert!(seen["writers"].as_array().unwrap().iter().all(|writer| writer["paused"] == true));
    assert!(alerts(&seen).contains(&"MohaaWritersPaused".to_owned()), "{}", seen["trouble"]);
    let ready = service.client.get("/ready").await;
    assert_eq!((ready.status.as_u16(), &ready.json()["state"]), (200, &json!("serving")));
    assert_eq!(service.client.metrics().await.value("mohaa_writers_paused"), 2.0);
    let page = service.client.get_as(&token, "/ops").await.text;
    assert!(trouble(&page).contains("2 of 2 writers are paused"), "{}", trouble(&page));
    assert_eq!(stored(&service).await, 1);

    // One is enough.
    done(&service, &token, "DELETE", "/api/v1/ops/writers/1/pause").await;
    service.client.settled().await;
    assert_eq!(stored(&service).await, 4);
    let again = press(&service, &token, "/ops/writers/all/resume").await;
    assert_eq!((again.status.as_u16(), again.header("location")), (303, Some("/ops#writers")));
    assert_eq!(service.client.metrics().await.value("mohaa_writers_paused"), 0.0);
    let entry = |action: &str, subject: &str| (action.to_owned(), subject.to_owned());
    let log = audited(&service).await;
    assert_eq!(log[0], entry("ops.pause_writer", "all"));
    assert_eq!(log[2..], [entry("ops.resume_writer", "1"), entry("ops.resume_writer", "all")]);
    service.stop().await;
}

#[actix_web::test]
async fn a_service_that_stops_while_its_writers_are_paused_leaves_what_waits_to_the_next_start() {
    let urls = schemas::database("ops_paused_stop").await;
    let data_dir = tempfile::tempdir().unwrap();
    let settings = [("DATA_DIR", data_dir.path().to_str().unwrap())];
    let service = Service::start_on(&urls, &settings, Surroundings::default()).await;
    let token = admin(&service).await;
    let server_token = service.client.token.clone();
    done(&service, &token, "POST", "/api/v1/ops/writers/all/pause").await;
    service.client.send(JUMP).await.assert_batch(202, 1, &[]);
    let began = Instant::now();
    service.application.stop(PATIENCE).await;
    assert!(
        began.elapsed() < PATIENCE / 3,
        "nobody waits for writers that don't write: {:?}",
        began.elapsed()
    );
    assert_eq!(service.warehouse.count("SELECT count() FROM raw_events").await, 0);

    let next = Service::restart_on(&urls, &settings, &server_token).await;
    next.client.settled().await;
    assert_eq!(stored(&next).await, 1, "after a start everybody writes");
    next.stop().await;
}

#[actix_web::test]
async fn what_is_accepted_is_written_at_once_when_an_admin_flushes() {
    let settings = [("WORKER_FLUSH_INTERVAL", "60s")];
    let service = Service::start_with("ops_flush", &settings, Surroundings::default()).await;
    let token = admin(&service).await;
    let began = Instant::now();
    service.client.send(JUMP).await.assert_batch(202, 1, &[]);
    assert_eq!(overview(&service, &token).await["events"]["in_flight"], 1);
    assert_eq!(press(&service, &token, "/ops/flush").await.status.as_u16(), 303);
    service.client.settled().await;
    assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
    assert_eq!(stored(&service).await, 1);
    assert_eq!(audited(&service).await[0].0, "ops.flush");
    service.stop().await;
}

#[actix_web::test]
async fn a_node_is_drained_and_taken_back_by_way_of_another_and_takes_what_comes_meanwhile() {
    let urls = schemas::database("ops_drain").await;
    let one = Service::start_on(&urls, &[], Surroundings::default()).await;
    let other = Service::start_on(&urls, &[], Surroundings::default()).await;
    let token = admin(&one).await;
    let node = overview(&other, &token).await["node"].as_str().unwrap().to_owned();
    let as_one_sees = async |is_it: fn(&Value) -> bool| {
        eventually("the one node hears of the other", async || {
            let nodes = overview(&one, &token).await["nodes"].clone();
            let known = nodes.as_array()?.iter().find(|known| known["node"] == *node)?.clone();
            is_it(&known).then_some(())
        })
        .await;
    };
    as_one_sees(|known| known["drained"] == false).await;
    done(&one, &token, "POST", &format!("/api/v1/ops/nodes/{node}/drain")).await;
    let state = async |status: u16, state: &str| {
        eventually(&format!("the other is {state}"), async || {
            let ready = other.client.get("/ready").await;
            (ready.status.as_u16() == status && ready.json()["state"] == *state).then_some(())
        })
        .await;
    };
    state(503, "drained").await;
    as_one_sees(|known| known["drained"] == true).await;
    assert_eq!(one.client.get("/ready").await.status.as_u16(), 200);
    other.client.send(JUMP).await.assert_batch(202, 1, &[]);
    assert!(alerts(&overview(&other, &token).await).contains(&"MohaaNotReady".to_owned()));

    let back = press(&one, &token, &format!("/ops/nodes/{node}/take-back")).await;
    assert_eq!((back.status.as_u16(), back.header("location")), (303, Some("/ops#nodes")));
    state(200, "serving").await;
    let log = audited(&one).await;
    assert_eq!(log, [("ops.drain_node".to_owned(), node.clone()), ("ops.take_node_back".to_owned(), node)]);
    other.stop().await;
    one.stop().await;
}

/// A balancer sends what an admin does to any of them.
#[actix_web::test]
async fn what_an_admin_has_done_on_a_node_is_done_there_whichever_answers() {
    let urls = schemas::database("ops_orders").await;
    let one = Service::start_on(&urls, &[], Surroundings::default()).await;
    let settings = [("WORKER_FLUSH_INTERVAL", "60s")];
    let other = Service::start_on(&urls, &settings, Surroundings::default()).await;
    let token = admin(&one).await;
    let node = overview(&other, &token).await["node"].as_str().unwrap().to_owned();
    eventually("the one node hears of the other", async || {
        let nodes = overview(&one, &token).await["nodes"].clone();
        nodes.as_array()?.iter().any(|known| known["node"] == *node).then_some(())
    })
    .await;
    let paused = async |expected: [bool; 2]| {
        eventually(&format!("the other's writers are paused or not: {expected:?}"), async || {
            let writers = overview(&other, &token).await["writers"].clone();
            let paused: Vec<bool> = array(&writers).iter().map(|writer| writer["paused"] == true).collect();
            (paused == expected).then_some(())
        })
        .await;
    };
    done(&one, &token, "POST", &format!("/api/v1/ops/writers/1/pause?node={node}")).await;
    paused([false, true]).await;
    let page = press(&one, &token, &format!("/ops/writers/all/pause?node={node}")).await;
    assert_eq!((page.status.as_u16(), page.header("location")), (303, Some("/ops#writers")));
    paused([true, true]).await;
    assert!(array(&overview(&one, &token).await["writers"]).iter().all(|writer| writer["paused"] == false));
    done(&one, &token, "DELETE", &format!("/api/v1/ops/writers/all/pause?node={node}")).await;
    paused([false, false]).await;

    other.client.send(JUMP).await.assert_batch(202, 1, &[]);
    done(&one, &token, "POST", &format!("/api/v1/ops/flush?node={node}")).await;
    eventually("the other's event is stored", async || (stored(&other).await == 1).then_some(())).await;

    let beyond = call(&one, &token, "POST", &format!("/api/v1/ops/writers/7/pause?node={node}")).await;
    beyond.assert_refused(404, "unknown_writer");
    let no_letter =
        call(&one, &token, "POST", &format!("/api/v1/ops/dead-letters/none/replay?node={node}")).await;
    no_letter.assert_refused(404, "unknown_dead_letter");
    let nobody = Uuid::from_u128(9);
    for path in ["writers/1/pause", "flush", "dead-letters/some/replay"] {
        let unknown = call(&one, &token, "POST", &format!("/api/v1/ops/{path}?node={nobody}")).await;
        unknown.assert_refused(404, "unknown_node");
        let wrong = call(&one, &token, "POST", &format!("/api/v1/ops/{path}?node=that")).await;
        wrong.assert_refused(422, "validation_failed");
    }
    let log = audited(&one).await;
    let actions: Vec<&str> = log.iter().map(|(action, _)| action.as_str()).collect();
    let done = ["ops.pause_writer", "ops.pause_writer", "ops.resume_writer", "ops.flush"];
    assert_eq!(actions, [&done[..], &["ops.pause_writer", "ops.replay_dead_letter"]].concat());
    other.stop().await;
    one.stop().await;
}

#[actix_web::test]
async fn a_dead_letter_of_a_node_is_sent_again_by_way_of_another() {
    let urls = schemas::database("ops_letters").await;
    let one = Service::start_on(&urls, &[], Surroundings::default()).await;
    let other = Service::start_on(&urls, &[], Surroundings::default()).await;
    stores_are_there(&other).await;
    let token = admin(&one).await;
    other.client.send(JUMP).await.assert_batch(202, 1, &[]);
    other.client.settled().await;
    let constraint = "ALTER TABLE raw_events ADD CONSTRAINT no_poison CHECK player_name != 'poison'";
    other.warehouse.execute(constraint).await;
    other.client.send(r#"[{"type":"jump","player_name":"poison"}]"#).await.assert_batch(202, 1, &[]);
    let (node, letter) = eventually("the row is a dead letter", async || {
        let seen = overview(&other, &token).await;
        let letter = seen["dead_letters"]["letters"][0]["id"].as_str()?.to_owned();
        Some((seen["node"].as_str()?.to_owned(), letter))
    })
    .await;
    other.warehouse.execute("ALTER TABLE raw_events DROP CONSTRAINT no_poison").await;
    eventually("the one node hears of the other", async || {
        let nodes = overview(&one, &token).await["nodes"].clone();
        nodes.as_array()?.iter().any(|known| known["node"] == *node).then_some(())
    })
    .await;
    let here = call(&one, &token, "POST", &format!("/api/v1/ops/dead-letters/{letter}/replay")).await;
    here.assert_refused(404, "unknown_dead_letter");
    done(&one, &token, "POST", &format!("/api/v1/ops/dead-letters/{letter}/replay?node={node}")).await;
    eventually("its row is stored", async || (stored(&other).await == 2).then_some(())).await;
    assert_eq!(audited(&one).await, [("ops.replay_dead_letter".to_owned(), letter)]);
    other.stop().await;
    one.stop().await;
}

#[actix_web::test]
async fn an_admin_ends_a_match_whose_server_went_away() {
    let service = Service::start("ops_end").await;
    let token = admin(&service).await;
    service.client.send(KILL).await.assert_batch(202, 1, &[]);
    let live = async || service.client.get("/api/v1/stats/live").await.json()["matches"].clone();
    let match_id =
        eventually("the match is live", async || Some(live().await[0]["match_id"].as_str()?.to_owned()))
            .await;
    done(&service, &token, "POST", &format!("/api/v1/ops/matches/{match_id}/end")).await;
    eventually("nothing is live any more", async || (live().await == json!([])).then_some(())).await;
    service.client.settled().await;
    let path = format!("/api/v1/stats/match/{match_id}");
    let ended = eventually("the match is over in the statistics", async || {
        let answer = service.client.get(&path).await.json();
        (!answer["ended_at"].is_null()).then_some(answer)
    })
    .await;
    assert_eq!(ended["scoreboard"][0]["kills"], 1, "{ended}");
    assert_eq!(audited(&service).await, [("ops.end_match".to_owned(), match_id.clone())]);
    let again = call(&service, &token, "POST", &format!("/api/v1/ops/matches/{match_id}/end")).await;
    again.assert_refused(404, "match_not_live");
    service.stop().await;
}

#[actix_web::test]
async fn a_poisoned_batch_is_seen_within_five_seconds_and_its_letter_is_sent_again_from_the_page() {
    let service = Service::start("ops_poison").await;
    stores_are_there(&service).await;
    let token = admin(&service).await;
    service.client.send(JUMP).await.assert_batch(202, 1, &[]);
    service.client.settled().await;
    let mut watched = Watched::open(&service.client, &token).await;
    watched.says("Nothing. Events are taken and stored.").await;
    let constraint = "ALTER TABLE raw_events ADD CONSTRAINT no_poison CHECK player_name != 'poison'";
    service.warehouse.execute(constraint).await;
    let poisoned = r#"[{"type":"jump","player_name":"poison"},{"type":"jump","player_name":"good"}]"#;
    service.client.send(poisoned).await.assert_batch(202, 2, &[]);
    watched.says("1 dead letter waits").await;
    let letters =
        service.files().into_iter().filter(|file| file.to_string_lossy().contains("/dead-letters/"));
    let kept_at = letters.map(|file| file.metadata().unwrap().modified().unwrap()).max().unwrap();
    let kept = kept_at.elapsed().unwrap();
    assert!(kept < SEEN_WITHIN, "it was kept {kept:?} before");

    let letters = overview(&service, &token).await["dead_letters"].clone();
    assert_eq!((&letters["count"], &letters["letters"][0]["kind"]), (&json!(1), &json!("row")), "{letters}");
    let id = letters["letters"][0]["id"].as_str().unwrap();
    service.warehouse.execute("ALTER TABLE raw_events DROP CONSTRAINT no_poison").await;
    let sent = press(&service, &token, &format!("/ops/dead-letters/{id}/replay")).await;
    assert_eq!((sent.status.as_u16(), sent.header("location")), (303, Some("/ops#letters")));
    watched.says("Nothing. Events are taken and stored.").await;
    assert_eq!(stored(&service).await, 3);
    assert_eq!(audited(&service).await, [("ops.replay_dead_letter".to_owned(), id.to_owned())]);
    let gone = call(&service, &token, "POST", &format!("/api/v1/ops/dead-letters/{id}/replay")).await;
    gone.assert_refused(404, "unknown_dead_letter");
    service.stop().await;
}

#[actix_web::test]
async fn a_full_mailbox_is_seen_within_five_seconds() {
    let disk = FakeStorage::new();
    let surroundings = Surroundings { storage: Arc::new(disk.clone()), ..Surroundings::default() };
    let settings = [("WORKER_QUEUE_SIZE", "10"), ("SPOOL_FSYNC", "never")];
    let service = Service::start_with("ops_mailbox", &settings, surroundings).await;
    stores_are_there(&service).await;
    let token = admin(&service).await;
    let mut watched = Watched::open(&service.client, &token).await;
    watched.says("Nothing. Events are taken and stored.").await;
    disk.stall();
    let ten: Vec<_> = (0..10).map(|number| json!({"type": "jump", "timestamp": number})).collect();
    let (client, body) = (service.client.clone(), json!(ten).to_string());
    let began = Instant::now();
    let waiting = tokio::task::spawn_local(async move { client.send(body).await });
    watched.says("Batcher: a mailbox is more than four fifths full.").await;
    assert!(began.elapsed() < SEEN_WITHIN, "{:?}", began.elapsed());
    let began = Instant::now();
    service.client.send(JUMP).await.assert_refused(429, "mailbox_full");
    watched.says("Batcher: a full mailbox handed messages back").await;
    assert!(began.elapsed() < SEEN_WITHIN, "{:?}", began.elapsed());
    disk.release();
    waiting.await.unwrap().assert_batch(202, 10, &[]);
    service.stop().await;
}

/// A service whose ClickHouse can be cut off.
async fn cuttable(urls: &StoreUrls) -> (CuttableProxy, Service) {
    let address = url::Url::parse(&urls.clickhouse_url).unwrap();
    let proxy = CuttableProxy::start(format!("127.0.0.1:{}", address.port().unwrap())).await.unwrap();
    let through_proxy = proxy.in_front_of(&urls.clickhouse_url).unwrap();
    let settings = [("CLICKHOUSE_URL", through_proxy.as_str())];
    let service = Service::start_on(urls, &settings, Surroundings::default()).await;
    (proxy, service)
}

#[actix_web::test]
async fn a_stopped_clickhouse_is_seen_within_five_seconds_and_so_is_its_return() {
    let urls = schemas::database("ops_store").await;
    let (proxy, service) = cuttable(&urls).await;
    stores_are_there(&service).await;
    let token = admin(&service).await;
    service.client.send(JUMP).await.assert_batch(202, 1, &[]);
    service.client.settled().await;
    let mut watched = Watched::open(&service.client, &token).await;
    watched.says("Nothing. Events are taken and stored.").await;

    let began = Instant::now();
    proxy.cut().await;
    watched.says("ClickHouse does not answer").await;
    assert!(began.elapsed() < SEEN_WITHIN, "{:?}", began.elapsed());
    service.client.send(JUMP).await.assert_batch(202, 1, &[]);
    watched.says("Events have been waiting to be stored for more than 5 s.").await;
    let seen = overview(&service, &token).await;
    assert!(seen["clickhouse"]["lag_seconds"].as_f64().unwrap() > 5.0, "{}", seen["clickhouse"]);
    assert_eq!(seen["events"]["in_flight"], 1);
    let error = &of_kind(&seen["kinds"], "clickhouse_writer").unwrap()["last_error"];
    let (writer, what) = (error["name"].as_str().unwrap(), error["what"].as_str().unwrap());
    assert!(what.starts_with("an insert failed with code 0: "), "{error}");
    let is_it = |actor: &&Value| actor["kind"] == "clickhouse_writer" && actor["name"] == *writer;
    let actor = array(&seen["actors"]).iter().find(is_it).unwrap();
    assert_eq!(actor["last_error"]["what"], what);
    assert!(actor["blocked_seconds"].as_f64() > Some(0.0), "{actor}");
    assert!(watched.next().await.unwrap().contains("an insert failed with code 0: "));

    proxy.mend().await.unwrap();
    watched.says("Nothing. Events are taken and stored.").await;
    let seen = overview(&service, &token).await;
    assert_eq!(seen["clickhouse"]["lag_seconds"], 0.0);
    let retries = seen["clickhouse"]["insert_retries"].as_array().unwrap();
    assert!(
        retries.iter().any(|retries| retries["code"] == 0 && retries["count"].as_u64() > Some(0)),
        "{retries:?}"
    );
    service.stop().await;
}

#[actix_web::test]
async fn an_overview_tells_what_was_done_how_long_it_took_and_what_was_asked() {
    let service = Service::start("ops_overview").await;
    let token = admin(&service).await;
    eventually("its history has begun", async || {
        let seen = overview(&service, &token).await;
        (!seen["history"].as_array()?.is_empty()).then_some(())
    })
    .await;
    service.client.send(KILL).await.assert_batch(202, 1, &[]);
    service.client.settled().await;
    eventually("the board is told", async || {
        (service.client.get("/api/v1/stats/leaderboard").await.status == 200).then_some(())
    })
    .await;
    let seen = sooner_or_later("all of it is seen", async || {
        // The last minute's means need something of the last minute, which a busy machine may take to get here.
        service.client.send(JUMP).await.assert_batch(202, 1, &[]);
        let seen = overview(&service, &token).await;
        let batcher = of_kind(&seen["kinds"], "batcher").unwrap_or(&Value::Null);
        let missed = [
            ("its batcher's wait", batcher["wait_seconds"].as_f64() > Some(0.0)),
            ("its batcher's handling", batcher["handling_seconds"].as_f64() > Some(0.0)),
            ("rates", array(&seen["history"]).iter().any(|point| point["stored_per_second"] != 0.0)),
            ("parts", seen["clickhouse"]["parts"]["parts"].as_u64() > Some(0)),
            ("the live match", seen["nodes"][0]["live_matches"] == 1),
            ("its actor", of_kind(&seen["actors"], "match").is_some()),
            (
                "the question",
                array(&seen["slow_questions"]).iter().any(|asked| {
                    asked["statement"].as_str().is_some_and(|text| text.contains("SELECT"))
                        && asked["seconds"].as_f64() > Some(0.0)
                }),
            ),
            ("balanced books", seen["events"]["missing"] == 0),
        ]
        .into_iter()
        .filter_map(|(part, is_seen)| (!is_seen).then_some(part))
        .collect::<Vec<_>>();
        if missed.is_empty() { Ok(seen) } else { Err(format!("without {}: {seen}", missed.join(", "))) }
    })
    .await;
    let kind = of_kind(&seen["kinds"], "batcher").unwrap();
    assert_eq!((&kind["instances"], &kind["restarts"]), (&json!(1), &json!(0)), "{kind}");
    let batcher = of_kind(&seen["actors"], "batcher").unwrap();
    assert!(batcher["mean_handling_seconds"].as_f64() > Some(0.0), "{batcher}");
    assert!(batcher["last_progress_at"].is_string() && batcher["last_failure"].is_null(), "{batcher}");
    assert!(seen["events"]["received"].as_u64() > Some(1), "{}", seen["events"]);
    let spool = &seen["spool"];
    assert!(spool["bytes"].as_u64() > Some(0) && spool["segments"].as_u64() > Some(0), "{spool}");
    let nodes = array(&seen["nodes"]);
    assert_eq!((nodes.len(), &nodes[0]["is_this"]), (1, &json!(true)));
    service.stop().await;
}

#[actix_web::test]
async fn a_stream_ends_with_the_session_of_its_viewer() {
    let service = Service::start("ops_session").await;
    let (_, organizer) = service.add_user("Organizer", Role::Organizer).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let refused = http.get(format!("{}/ops/stream", service.client.url)).bearer_auth(organizer);
    assert_eq!(refused.send().await.unwrap().status(), 403);
    let token = admin(&service).await;
    let mut watched = Watched::open(&service.client, &token).await;
    watched.next().await.unwrap();
    done(&service, &token, "POST", "/api/v1/auth/logout").await;
    while watched.next().await.is_some() {}
    service.stop().await;
}

#[actix_web::test]
async fn an_admin_watches_a_node_and_acts_on_it_with_scripts_and_without() {
    let service = Service::start("browser_ops").await;
    stores_are_there(&service).await;
    service.client.send(KILL).await.assert_batch(202, 1, &[]);
    service.client.settled().await;
    let pool = &service.application.postgres;
    let admin = users::add(pool, &"Chief".parse().unwrap(), Role::Admin).await.unwrap();
    let signed_in = async |browser: &Chromium| {
        browser.go(&make_login_link(pool, admin.user_id, "").await.unwrap()).await;
        browser.click("Sign in").await;
        browser.arrives_at("/").await;
        browser.go("/admin").await;
        browser.click("Operations").await;
        browser.arrives_at("/ops").await;
        browser.comes_to_say("Nothing. Events are taken and stored.").await;
    };
    let browser = Chromium::open(&service.client.url, "ops", DESKTOP).await;
    signed_in(&browser).await;
    browser.run("document.querySelector('[formaction^=\"/ops/flush\"]').focus(); window.loaded = true").await;
    browser.picture("1-well").await;
    service.application.pipeline.set_paused(0, true);
    browser.comes_to_say("1 of 2 writers are paused").await;
    let is_same =
        "return window.loaded && document.activeElement.getAttribute('formaction').startsWith('/ops/flush')";
    assert_eq!(browser.run(is_same).await, true, "the page was not loaded anew, and the focus stayed");
    browser.picture("2-paused").await;
    browser.click("What to do").await;
    browser.arrives_at("/ops/runbook").await;
    browser.comes_to_say("Somebody has paused writers").await;
    browser.picture("3-runbook").await;
    browser.close().await;

    let browser = Chromium::open_without_scripts(&service.client.url, "ops-plain", PHONE).await;
    service.application.pipeline.set_paused(0, false);
    signed_in(&browser).await;
    browser.click("Pause all writers").await;
    browser.comes_to_say("2 of 2 writers are paused").await;
    browser.picture("1-paused").await;
    browser.click("Resume all writers").await;
    browser.comes_to_say("Nothing. Events are taken and stored.").await;
    browser.assert_fits().await;
    browser.close().await;
    service.stop().await;
}
