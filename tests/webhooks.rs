//! Webhooks, with receivers that speak real HTTP on this machine.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard};

use actix_web::dev::ServerHandle;
use actix_web::web::{Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use chrono::Utc;
use mohaa_stats::startup::Surroundings;
use mohaa_stats::users::Role;
use mohaa_stats::webhooks::{Announcement, WebhookEvent, announce, signature_of};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::support::locks::until_waiting;
use crate::support::{Cup, PATIENCE, Reply, Service, eventually, schemas};

/// How a receiver answers the next message; one that has no orders says 204.
enum Order {
    Status(u16),
    Redirect(String),
    /// Longer than anybody waits.
    Hang,
    RetryAfter(u16, &'static str),
}

struct Message {
    headers: HashMap<String, String>,
    body: String,
}

impl Message {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn id(&self) -> &str {
        &self.headers["x-mohaa-delivery"]
    }
}

#[derive(Default)]
struct Received {
    messages: Vec<Message>,
    orders: VecDeque<Order>,
}

struct Receiver {
    url: String,
    received: Arc<Mutex<Received>>,
    server: ServerHandle,
}

impl Receiver {
    fn start() -> Self {
        let received = Arc::new(Mutex::new(Received::default()));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Data::from(received.clone());
        let server =
            HttpServer::new(move || App::new().app_data(shared.clone()).default_service(web::to(receive)))
                .workers(1)
                .shutdown_timeout(0)
                .disable_signals()
                .listen(listener)
                .unwrap()
                .run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        Self { url, received, server: handle }
    }

    fn received(&self) -> MutexGuard<'_, Received> {
        self.received.lock().unwrap()
    }

    fn order(&self, orders: impl IntoIterator<Item = Order>) {
        self.received().orders.extend(orders);
    }

    fn count(&self) -> usize {
        self.received().messages.len()
    }

    async fn until(&self, count: usize) {
        eventually("the messages have come", async || (self.count() >= count).then_some(())).await;
    }

    async fn stop(self) {
        self.server.stop(false).await;
    }
}

async fn receive(request: HttpRequest, received: Data<Mutex<Received>>, body: Bytes) -> HttpResponse {
    assert_eq!(request.method(), "POST");
    let order = {
        let mut received = received.lock().unwrap();
        let headers = request.headers().iter();
        received.messages.push(Message {
            headers: headers
                .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                .collect(),
            body: String::from_utf8(body.to_vec()).unwrap(),
        });
        received.orders.pop_front()
    };
    match order {
        None => HttpResponse::NoContent().finish(),
        Some(Order::Status(status)) => HttpResponse::build(status.try_into().unwrap()).body("told to nobody"),
        Some(Order::Redirect(to)) => HttpResponse::Found().insert_header(("Location", to)).finish(),
        Some(Order::RetryAfter(status, seconds)) => {
            HttpResponse::build(status.try_into().unwrap()).insert_header(("Retry-After", seconds)).finish()
        }
        Some(Order::Hang) => std::future::pending().await,
    }
}

/// As a service in a private network would be set up: receivers of these tests stand on this machine.
const HERE: [(&str, &str); 2] =
    [("WEBHOOK_ALLOWED_NETWORKS", "127.0.0.0/8,::1/128"), ("WEBHOOK_TIMEOUT", "500ms")];
/// As any other: nothing private may be sent to.
const NOWHERE: [(&str, &str); 1] = [("WEBHOOK_TIMEOUT", "500ms")];

async fn service(name: &str) -> Service {
    Service::start_with(name, &HERE, Surroundings::default()).await
}

/// A webhook and its secret, made by whom the token is of.
async fn webhook(service: &Service, token: &str, body: Value) -> (String, String) {
    let made = service.client.call_as(token, "POST", "/api/v1/webhooks", body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let made = made.json();
    let path = format!("/api/v1/webhooks/{}", made["webhook_id"].as_str().unwrap());
    (path, made["secret"].as_str().unwrap_or_default().to_owned())
}

fn generic(url: &str, events: &[&str]) -> Value {
    json!({ "kind": "generic", "name": "Clan site", "url": format!("{url}/hook"), "events": events })
}

async fn tournament(pool: &PgPool, owner_id: i32) -> Uuid {
    let id = Uuid::new_v4();
    sqlx::query("INSERT INTO tournaments (id, name, format, owner_id) VALUES ($1, 'Cup', 'swiss', $2)")
        .bind(id)
        .bind(owner_id)
        .execute(pool)
        .await
        .unwrap();
    id
}

fn result_of(tournament_id: Option<Uuid>, data: Value) -> Announcement {
    Announcement { event: WebhookEvent::Result, tournament_id, at: Utc::now(), data }
}

/// In a transaction of its own; says how many webhooks hear of it.
async fn tell(pool: &PgPool, announcement: &Announcement) -> u64 {
    let mut transaction = pool.begin().await.unwrap();
    let heard_by = announce(&mut transaction, announcement).await.unwrap();
    transaction.commit().await.unwrap();
    heard_by
}

/// As if every pause were over.
async fn let_pauses_pass(pool: &PgPool) {
    for statement in [
        "UPDATE webhooks SET paused_until = NULL",
        "UPDATE webhook_deliveries SET next_try_at = now() WHERE status = 'pending' AND next_try_at > now()",
        "SELECT pg_notify('webhook_deliveries', '')",
    ] {
        sqlx::query(statement).execute(pool).await.unwrap();
    }
}

async fn log(service: &Service, token: &str, webhook: &str) -> Vec<Value> {
    let reply = service.client.get_as(token, &format!("{webhook}/deliveries?limit=100")).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.json()["deliveries"].as_array().unwrap().clone()
}

/// The latest delivery, once it is so.
async fn latest(service: &Service, token: &str, webhook: &str, status: &str) -> Value {
    eventually(status, async || {
        let latest = log(service, token, webhook).await.into_iter().next()?;
        (latest["status"] == status).then_some(latest)
    })
    .await
}

async fn post(service: &Service, token: &str, path: &str, body: Value) -> Reply {
    service.client.call_as(token, "POST", path, body).await
}

#[actix_web::test]
async fn a_message_is_signed_as_documented_and_says_what_happened() {
    let service = service("webhook_signed").await;
    let receiver = Receiver::start();
    let (organizer, token) = service.add_user("Olga", Role::Organizer).await;
    let (path, secret) = webhook(&service, &token, generic(&receiver.url, &["result", "completed"])).await;
    assert!(secret.starts_with("mohaa_w_") && secret.len() > 40, "256 bits");
    let pool = &service.application.postgres;
    let cup = tournament(pool, organizer).await;
    let told = result_of(Some(cup), json!({ "match": "R2.1", "score": [2, 1], "name": "Ä \"x\"" }));
    assert_eq!(tell(pool, &told).await, 1);
    let unheard = Announcement { event: WebhookEvent::Dispute, ..told.clone() };
    assert_eq!(tell(pool, &unheard).await, 0, "only events that it names");

    receiver.until(1).await;
    let delivered = latest(&service, &token, &path, "delivered").await;
    {
        let received = receiver.received();
        let message = &received.messages[0];
        let header = |name: &str| message.headers[name].as_str();
        assert_eq!((header("x-mohaa-event"), header("content-type")), ("result", "application/json"));
        let timestamp: i64 = header("x-mohaa-timestamp").parse().unwrap();
        assert!((Utc::now().timestamp() - timestamp).abs() < 60);
        assert_eq!(header("x-mohaa-signature"), signature_of(&secret, timestamp, message.body.as_bytes()));
        let body = message.json();
        assert_eq!(body["id"].as_str().unwrap(), message.id());
        assert_eq!(body["id"], delivered["delivery_id"]);
        assert_eq!((&body["event"], &body["data"]), (&json!("result"), &told.data));
        assert!(body["at"].as_str().unwrap().ends_with('Z'));
        assert_eq!(body.as_object().unwrap().len(), 4, "{body}");
    }
    assert_eq!(
        (&delivered["attempts"], &delivered["response_code"], &delivered["error"], &delivered["next_try_at"]),
        (&json!(1), &json!(204), &Value::Null, &Value::Null)
    );
    assert!(delivered["duration_ms"].as_i64().unwrap() < 500);

    // A message by which somebody sees that it works, and another secret.
    let rotated = post(&service, &token, &format!("{path}/rotate-secret"), json!({})).await.json();
    let secret = rotated["secret"].as_str().unwrap().to_owned();
    assert_eq!(post(&service, &token, &format!("{path}/test"), json!({})).await.status, 202);
    receiver.until(2).await;
    {
        let received = receiver.received();
        let message = &received.messages[1];
        let timestamp = message.headers["x-mohaa-timestamp"].parse().unwrap();
        assert_eq!(message.headers["x-mohaa-event"], "test");
        assert_eq!(
            message.headers["x-mohaa-signature"],
            signature_of(&secret, timestamp, message.body.as_bytes())
        );
    }
    eventually("both are counted", async || {
        let delivered = r#"mohaa_webhook_attempts_total{kind="generic",outcome="delivered"} 2"#;
        service.client.metrics_text().await.contains(delivered).then_some(())
    })
    .await;
    service.stop().await;
    receiver.stop().await;
}

#[actix_web::test]
async fn a_message_that_fails_is_tried_again_under_its_id_until_it_comes_through() {
    let service = service("webhook_retries").await;
    let receiver = Receiver::start();
    let (_, token) = service.add_user("Olga", Role::Organizer).await;
    let (path, secret) = webhook(&service, &token, generic(&receiver.url, &["result"])).await;
    receiver.order([Order::Status(500), Order::Hang, Order::RetryAfter(429, "1800")]);
    let pool = &service.application.postgres;
    assert_eq!(tell(pool, &result_of(None, json!({}))).await, 1);
    let after = async |attempts: i64| {
        eventually("an attempt has failed", async || {
            // Asked first: until then the log shows how the attempt before ended.
            let has_ended = !is_claimed(pool).await;
            let latest = log(&service, &token, &path).await.remove(0);
            let is_over = latest["attempts"] == attempts && !latest["error"].is_null();
            (is_over && has_ended && latest["status"] == "pending").then_some(latest)
        })
        .await
    };
    let first = after(1).await;
    assert_eq!((&first["response_code"], &first["error"]), (&json!(500), &json!("answered 500")));
    let pause = seconds_until(&first["next_try_at"]);
    assert!((8..=20).contains(&pause), "{pause} s");

    let_pauses_pass(pool).await;
    eventually("the second attempt has come", async || (receiver.count() == 2).then_some(())).await;
    let second = after(2).await;
    assert_eq!(
        (&second["response_code"], &second["error"]),
        (&Value::Null, &json!("no answer within 0.5 s"))
    );
    let_pauses_pass(pool).await;
    let third = eventually("the third attempt is over", async || {
        let latest = log(&service, &token, &path).await.remove(0);
        (latest["response_code"] == 429).then_some(latest)
    })
    .await;
    let pause = seconds_until(&third["next_try_at"]);
    assert!((1_700..=1_810).contains(&pause), "as long as the receiver asks for: {pause} s");
    let_pauses_pass(pool).await;
    let delivered = latest(&service, &token, &path, "delivered").await;
    assert_eq!((&delivered["attempts"], &delivered["error"]), (&json!(4), &Value::Null));

    {
        let received = receiver.received();
        let ids: BTreeSet<&str> = received.messages.iter().map(Message::id).collect();
        let bodies: BTreeSet<&str> = received.messages.iter().map(|message| message.body.as_str()).collect();
        assert_eq!((received.messages.len(), ids.len(), bodies.len()), (4, 1, 1), "one id, one body");
        for message in &received.messages {
            let timestamp = message.headers["x-mohaa-timestamp"].parse().unwrap();
            let signature = signature_of(&secret, timestamp, message.body.as_bytes());
            assert_eq!(message.headers["x-mohaa-signature"], signature);
        }
    }
    let found = service.client.get_as(&token, &path).await.json();
    assert_eq!((&found["enabled"], &found["failing_since"]), (&json!(true), &Value::Null));
    service.stop().await;
    receiver.stop().await;
}

async fn is_claimed(pool: &PgPool) -> bool {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM webhooks WHERE claim IS NOT NULL)")
        .fetch_one(pool)
        .await
        .unwrap()
}

fn seconds_until(time: &Value) -> i64 {
    let at: chrono::DateTime<Utc> = time.as_str().unwrap().parse().unwrap();
    (at - Utc::now()).num_seconds()
}

#[actix_web::test]
async fn a_message_is_given_up_after_eight_tries_and_can_be_replayed() {
    let service = service("webhook_replay").await;
    let receiver = Receiver::start();
    let (_, token) = service.add_user("Olga", Role::Organizer).await;
    let (path, _) = webhook(&service, &token, generic(&receiver.url, &["result"])).await;
    receiver.order((0..8).map(|_| Order::Status(503)));
    let pool = &service.application.postgres;
    tell(pool, &result_of(None, json!({ "first": true }))).await;
    let replay = format!("{path}/replay");
    let given_up = eventually("it is given up", async || {
        let_pauses_pass(pool).await;
        let latest = log(&service, &token, &path).await.remove(0);
        (latest["status"] == "given_up").then_some(latest)
    })
    .await;
    assert_eq!((&given_up["attempts"], &given_up["response_code"]), (&json!(8), &json!(503)));
    assert_eq!((receiver.count(), &given_up["next_try_at"]), (8, &Value::Null));
    let of_given_up =
        service.client.get_as(&token, &format!("{path}/deliveries?filter[status]=given_up")).await;
    assert_eq!(of_given_up.json()["total"], 1);
    let unknown = service.client.get_as(&token, &format!("{path}/deliveries?filter[status]=lost")).await;
    unknown.assert_refused(422, "validation_failed");

    let id = given_up["delivery_id"].clone();
    let replayed = post(&service, &token, &replay, json!({ "delivery_id": id })).await;
    assert_eq!(replayed.status, 202, "{}", replayed.text);
    let delivered = latest(&service, &token, &path, "delivered").await;
    assert_eq!((&delivered["delivery_id"], &delivered["attempts"]), (&id, &json!(1)));
    assert_eq!(receiver.received().messages[8].id(), id.as_str().unwrap());
    // What was delivered may be asked for again; what nobody sent may not.
    assert_eq!(post(&service, &token, &replay, json!({ "delivery_id": id })).await.status, 202);
    receiver.until(10).await;
    let nothing = json!({ "delivery_id": Uuid::new_v4() });
    post(&service, &token, &replay, nothing).await.assert_refused(404, "unknown_delivery");
    assert_eq!(log(&service, &token, &path).await.len(), 1, "one row, however often it is sent");
    service.stop().await;
    receiver.stop().await;
}

#[actix_web::test]
async fn nothing_is_sent_to_private_addresses_by_whatever_way() {
    let urls = schemas::database("webhook_private").await;
    let receiver = Receiver::start();
    let port = receiver.url.rsplit(':').next().unwrap().to_owned();
    let allowing = Service::start_on(&urls, &HERE, Surroundings::default()).await;
    let (_, token) = allowing.add_user("Olga", Role::Organizer).await;
    let (by_number, _) = webhook(&allowing, &token, generic(&receiver.url, &["result"])).await;
    let by_name = format!("http://localhost:{port}");
    let (by_name, _) = webhook(&allowing, &token, generic(&by_name, &["result"])).await;

    // To somewhere else by the receiver's word: nobody follows.
    let elsewhere = Receiver::start();
    receiver.order([
        Order::Redirect(format!("{}/secrets", elsewhere.url)),
        Order::Redirect("http://169.254.169.254/latest/meta-data".to_owned()),
    ]);
    for path in [&by_number, &by_name] {
        assert_eq!(post(&allowing, &token, &format!("{path}/test"), json!({})).await.status, 202);
        eventually("nobody was followed", async || {
            let error = log(&allowing, &token, path).await.remove(0)["error"].clone();
            (error == "answered 302: nobody is followed elsewhere").then_some(())
        })
        .await;
    }
    assert_eq!((receiver.count(), elsewhere.count()), (2, 0));
    allowing.stop().await;

    // The same webhooks at a service to which nothing private is allowed.
    let service = Service::start_on(&urls, &NOWHERE, Surroundings::default()).await;
    let pool = &service.application.postgres;
    for path in [&by_number, &by_name] {
        assert_eq!(post(&service, &token, &format!("{path}/test"), json!({})).await.status, 202);
        eventually("it is refused", async || {
            let_pauses_pass(pool).await;
            let latest = log(&service, &token, path).await.remove(0);
            (latest["error"] == "leads to an address that is not public").then_some(())
        })
        .await;
    }
    assert_eq!(receiver.count(), 2, "nothing came");
    for url in [
        receiver.url.as_str(),
        &format!("http://localhost:{port}/"),
        "http://127.1:8080/",
        "http://[::1]:8080/",
        "http://[::ffff:10.0.0.1]:8080/",
        "http://169.254.169.254/latest/meta-data/",
        "http://100.64.1.1/",
        "http://[fd00:ec2::254]/",
        "http://0x7f000001/",
        "ftp://example.org/",
        "http://example.org:22/",
        "http://user:word@example.org/",
        "javascript:alert(1)",
        "",
    ] {
        let body = json!({ "kind": "generic", "name": "x", "url": url, "events": ["result"] });
        let refused = post(&service, &token, "/api/v1/webhooks", body).await;
        refused.assert_refused(422, "validation_failed");
        assert!(refused.json()["fields"]["url"].is_string(), "{url}: {}", refused.text);
    }
    let change = json!({ "name": "x", "url": "http://10.0.0.1/", "events": ["result"] });
    let changed = service.client.call_as(&token, "PUT", &by_number, change).await;
    changed.assert_refused(422, "validation_failed");
    service.stop().await;
    receiver.stop().await;
    elsewhere.stop().await;
}

#[actix_web::test]
async fn an_organizer_sees_and_hears_nothing_of_another() {
    let service = service("webhook_owners").await;
    let (mine, others, chiefs) = (Receiver::start(), Receiver::start(), Receiver::start());
    let (olga, olgas) = service.add_user("Olga", Role::Organizer).await;
    let (otto, ottos) = service.add_user("Otto", Role::Organizer).await;
    let (_, chief) = service.add_user("Chief", Role::Admin).await;
    let (_, player) = service.add_user("Anna", Role::Player).await;
    let pool = &service.application.postgres;
    let (olgas_cup, ottos_cup) = (tournament(pool, olga).await, tournament(pool, otto).await);
    let (olgas_hook, _) = webhook(&service, &olgas, generic(&mine.url, &["result"])).await;
    let (ottos_hook, _) = webhook(&service, &ottos, generic(&others.url, &["result"])).await;
    webhook(&service, &chief, generic(&chiefs.url, &["result"])).await;
    // One for one tournament, of which another one's organizer can't have any.
    let mut narrow = generic(&mine.url, &["result"]);
    narrow["tournament_id"] = json!(ottos_cup);
    let refused = post(&service, &olgas, "/api/v1/webhooks", narrow.clone()).await;
    assert!(refused.json()["fields"]["tournament_id"].is_string(), "{}", refused.text);
    let moved = json!({ "name": "x", "events": ["result"], "tournament_id": ottos_cup });
    let refused = service.client.call_as(&olgas, "PUT", &olgas_hook, moved).await;
    refused.assert_refused(422, "validation_failed");
    narrow["tournament_id"] = json!(olgas_cup);
    let (narrow, _) = webhook(&service, &olgas, narrow).await;

    assert_eq!(tell(pool, &result_of(Some(ottos_cup), json!({ "secret": "of Otto" }))).await, 2);
    assert_eq!(tell(pool, &result_of(Some(olgas_cup), json!({ "secret": "of Olga" }))).await, 3);
    assert_eq!(tell(pool, &result_of(None, json!({ "for": "all" }))).await, 3, "not the narrow one");
    mine.until(3).await;
    others.until(2).await;
    chiefs.until(3).await;
    assert!(mine.received().messages.iter().all(|message| !message.body.contains("of Otto")));
    assert!(others.received().messages.iter().all(|message| !message.body.contains("of Olga")));
    assert_eq!(log(&service, &olgas, &narrow).await.len(), 1);

    // Neither looking at another's, nor changing it.
    let id = log(&service, &ottos, &ottos_hook).await.remove(0)["delivery_id"].clone();
    let body = json!({ "name": "x", "events": ["result"] });
    for (method, path, body) in [
        ("GET", ottos_hook.clone(), Value::Null),
        ("PUT", ottos_hook.clone(), body),
        ("DELETE", ottos_hook.clone(), Value::Null),
        ("POST", format!("{ottos_hook}/rotate-secret"), Value::Null),
        ("GET", format!("{ottos_hook}/deliveries"), Value::Null),
        ("POST", format!("{ottos_hook}/replay"), json!({ "delivery_id": id })),
        ("POST", format!("{ottos_hook}/test"), Value::Null),
    ] {
        let reply = service.client.call_as(&olgas, method, &path, body.clone()).await;
        reply.assert_refused(404, "unknown_webhook");
        service.client.call_as(&player, method, &path, body).await.assert_refused(403, "not_allowed");
    }
    // Nor by way of one's own.
    let replay = post(&service, &olgas, &format!("{olgas_hook}/replay"), json!({ "delivery_id": id })).await;
    replay.assert_refused(404, "unknown_delivery");
    let own = service.client.get_as(&olgas, "/api/v1/webhooks").await.json();
    assert_eq!(own["total"], 2);
    let all = service.client.get_as(&chief, "/api/v1/webhooks?limit=3").await.json();
    assert_eq!((&all["total"], all["webhooks"].as_array().unwrap().len()), (&json!(4), 3));
    assert_eq!(service.client.get_as(&chief, &format!("{ottos_hook}/deliveries")).await.status, 200);

    assert_eq!(service.client.call_as(&ottos, "DELETE", &ottos_hook, Value::Null).await.status, 204);
    assert_eq!(tell(pool, &result_of(Some(ottos_cup), json!({}))).await, 1, "the admin's alone");
    service.stop().await;
    for receiver in [mine, others, chiefs] {
        receiver.stop().await;
    }
}

#[actix_web::test]
async fn each_event_is_one_row_of_each_webhook_over_nodes_and_restarts() {
    let urls = schemas::database("webhook_rows").await;
    let receiver = Receiver::start();
    let first = Service::start_on(&urls, &HERE, Surroundings::default()).await;
    let second = Service::start_on(&urls, &HERE, Surroundings::default()).await;
    let (_, token) = first.add_user("Olga", Role::Organizer).await;
    for _ in 0..2 {
        webhook(&first, &token, generic(&receiver.url, &["result"])).await;
    }
    let pool = first.application.postgres.clone();
    // What is rolled back never happened.
    let mut transaction = pool.begin().await.unwrap();
    assert_eq!(announce(&mut transaction, &result_of(None, json!({ "never": true }))).await.unwrap(), 2);
    transaction.rollback().await.unwrap();
    for number in 0..30 {
        assert_eq!(tell(&pool, &result_of(None, json!({ "number": number }))).await, 2);
    }
    receiver.until(60).await;
    first.stop().await;
    second.stop().await;

    // What is written while nobody runs is sent by the next one that starts; the rest isn't sent again.
    let third = Service::start_on(&urls, &NOWHERE, Surroundings::default()).await;
    let pool = third.application.postgres.clone();
    third.stop().await;
    drop(pool);
    let fourth = Service::start_on(&urls, &HERE, Surroundings::default()).await;
    let pool = &fourth.application.postgres;
    tell(pool, &result_of(None, json!({ "number": 30 }))).await;
    receiver.until(62).await;
    let (rows, delivered): (i64, i64) = eventually("all are delivered", async || {
        let counts: (i64, i64) = sqlx::query_as(
            "SELECT count(*), count(*) FILTER (WHERE status = 'delivered' AND attempts = 1) FROM webhook_deliveries",
        )
        .fetch_one(pool)
        .await
        .unwrap();
        (counts.0 == counts.1).then_some(counts)
    })
    .await;
    assert_eq!((rows, delivered), (62, 62));
    {
        let received = receiver.received();
        let ids: BTreeSet<&str> = received.messages.iter().map(Message::id).collect();
        assert_eq!((ids.len(), received.messages.len()), (62, 62), "each came once");
        let mut numbers: HashMap<u64, usize> = HashMap::new();
        for message in &received.messages {
            *numbers.entry(message.json()["data"]["number"].as_u64().unwrap()).or_default() += 1;
        }
        assert!(numbers.len() == 31 && numbers.values().all(|count| *count == 2));
    }
    fourth.stop().await;
    receiver.stop().await;
}

#[actix_web::test]
async fn what_happens_does_not_fail_because_a_webhook_is_removed_at_that_moment() {
    let service = service("webhook_removed").await;
    let receiver = Receiver::start();
    let (_, token) = service.add_user("Olga", Role::Organizer).await;
    let (going, _) = webhook(&service, &token, generic(&receiver.url, &["result"])).await;
    let (staying, _) = webhook(&service, &token, generic(&receiver.url, &["result"])).await;
    let pool = &service.application.postgres;
    let id: Uuid = going.rsplit('/').next().unwrap().parse().unwrap();
    let mut removing = pool.begin().await.unwrap();
    sqlx::query("DELETE FROM webhooks WHERE id = $1").bind(id).execute(&mut *removing).await.unwrap();
    let telling = pool.clone();
    let told =
        actix_web::rt::spawn(async move { tell(&telling, &result_of(None, json!({ "number": 1 }))).await });
    until_waiting(pool, 1).await;
    removing.commit().await.unwrap();
    assert_eq!(told.await.unwrap(), 1, "the one that stays");
    latest(&service, &token, &staying, "delivered").await;
    service.stop().await;
    receiver.stop().await;
}

#[actix_web::test]
async fn messages_of_a_webhook_come_in_their_order_and_a_lost_claim_is_taken_over() {
    let service = service("webhook_order").await;
    let receiver = Receiver::start();
    let (_, token) = service.add_user("Olga", Role::Organizer).await;
    webhook(&service, &token, generic(&receiver.url, &["result"])).await;
    let pool = &service.application.postgres;
    // As a node leaves it that was killed in the middle of an attempt.
    sqlx::query("UPDATE webhooks SET claim = gen_random_uuid(), claimed_until = now() + interval '1 hour'")
        .execute(pool)
        .await
        .unwrap();
    let mut transaction = pool.begin().await.unwrap();
    for number in 0..20 {
        announce(&mut transaction, &result_of(None, json!({ "number": number }))).await.unwrap();
    }
    transaction.commit().await.unwrap();
    let_pauses_pass(pool).await;
    assert_eq!(receiver.count(), 0, "somebody else may be at it");
    sqlx::query("UPDATE webhooks SET claimed_until = now()").execute(pool).await.unwrap();
    let_pauses_pass(pool).await;
    receiver.until(20).await;
    {
        let received = receiver.received();
        let numbers: Vec<u64> =
            received.messages.iter().map(|it| it.json()["data"]["number"].as_u64().unwrap()).collect();
        assert_eq!(numbers, (0..20).collect::<Vec<u64>>());
    }
    service.stop().await;
    receiver.stop().await;
}

#[actix_web::test]
async fn a_webhook_is_disabled_that_fails_for_days_or_is_gone_or_whose_owner_may_have_none() {
    let service = service("webhook_disabled").await;
    let receiver = Receiver::start();
    let (_, token) = service.add_user("Olga", Role::Organizer).await;
    let (olga, other_token) = service.add_user("Otto", Role::Organizer).await;
    let (_, chief) = service.add_user("Chief", Role::Admin).await;
    let (path, _) = webhook(&service, &token, generic(&receiver.url, &["result"])).await;
    let pool = &service.application.postgres;
    let found = async || service.client.get_as(&token, &path).await.json();
    receiver.order([Order::Status(500)]);
    sqlx::query("UPDATE webhooks SET failing_since = now() - interval '4 days'").execute(pool).await.unwrap();
    tell(pool, &result_of(None, json!({ "number": 1 }))).await;
    tell(pool, &result_of(None, json!({ "number": 2 }))).await;
    let disabled =
        eventually("it is disabled", async || Some(found().await).filter(|it| it["enabled"] == false)).await;
    assert_eq!(disabled["disabled_reason"], "nothing has come through for 3 days: answered 500");
    eventually("what waited is given up", async || {
        let log = log(&service, &token, &path).await;
        log.iter().all(|delivery| delivery["status"] == "given_up").then_some(())
    })
    .await;
    assert_eq!(tell(pool, &result_of(None, json!({}))).await, 0, "nothing more is written for it");
    post(&service, &token, &format!("{path}/test"), json!({})).await.assert_refused(409, "webhook_disabled");
    let id = log(&service, &token, &path).await.remove(0)["delivery_id"].clone();
    let replay = format!("{path}/replay");
    let refused = post(&service, &token, &replay, json!({ "delivery_id": id })).await;
    refused.assert_refused(409, "webhook_disabled");

    let enabled = service.client.call_as(&token, "PUT", &path, json!({ "enabled": true })).await.json();
    assert_eq!((&enabled["enabled"], &enabled["disabled_reason"]), (&json!(true), &Value::Null));
    for same in ["name", "events", "shown_url", "tournament_id"] {
        assert_eq!(enabled[same], disabled[same], "what is absent stays");
    }
    assert_eq!(post(&service, &token, &replay, json!({ "delivery_id": id })).await.status, 202);
    latest(&service, &token, &path, "delivered").await;

    receiver.order([Order::Status(410)]);
    assert_eq!(post(&service, &token, &format!("{path}/test"), json!({})).await.status, 202);
    let gone =
        eventually("it is gone", async || Some(found().await).filter(|it| it["enabled"] == false)).await;
    assert_eq!(gone["disabled_reason"], "the receiver answered 410: it is gone for good");

    // With the right to have any they end, and they don't come back by themselves.
    let (others, _) = webhook(&service, &other_token, generic(&receiver.url, &["result"])).await;
    let role = format!("/api/v1/admin/users/{olga}/role");
    assert_eq!(post(&service, &chief, &role, json!({ "role": "player" })).await.status, 204);
    let seen = service.client.get_as(&chief, &others).await.json();
    assert_eq!(seen["disabled_reason"], "its owner is no organizer any more");
    assert_eq!(tell(pool, &result_of(None, json!({}))).await, 0);
    let deleted = service.client.call_as(&token, "DELETE", "/api/v1/users/me", json!({})).await;
    assert_eq!(deleted.status, 204, "{}", deleted.text);
    service.client.get_as(&chief, &path).await.assert_refused(404, "unknown_webhook");
    service.stop().await;
    receiver.stop().await;
}

#[actix_web::test]
async fn secrets_and_addresses_are_sealed_and_outlive_a_change_of_keys() {
    let urls = schemas::database("webhook_keys").await;
    let receiver = Receiver::start();
    let service = Service::start_on(&urls, &HERE, Surroundings::default()).await;
    let (_, token) = service.add_user("Olga", Role::Organizer).await;
    let (_, chief) = service.add_user("Chief", Role::Admin).await;
    let mut body = generic(&receiver.url, &["result"]);
    body["url"] = json!(format!("{}/hook/s3cret-path-of-olga/?key=s3cret-key-of-olga", receiver.url));
    let (path, secret) = webhook(&service, &token, body).await;
    let pool = service.application.postgres.clone();
    tell(&pool, &result_of(None, json!({}))).await;
    receiver.until(1).await;
    latest(&service, &token, &path, "delivered").await;
    let mut told = vec![service.client.metrics_text().await];
    for path in [path.clone(), format!("{path}/deliveries"), "/api/v1/webhooks".to_owned()] {
        told.push(service.client.get_as(&token, &path).await.text);
    }
    told.push(service.client.get_as(&chief, "/api/v1/admin/audit").await.text);
    let export = service.client.get_as(&token, "/api/v1/users/me/export").await;
    assert_eq!(export.json()["webhooks"][0]["name"], "Clan site");
    told.push(export.text);
    for table in ["webhooks", "webhook_deliveries", "audit_log"] {
        let rows: Vec<String> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT {table}::text FROM {table}")))
                .fetch_all(&pool)
                .await
                .unwrap();
        told.extend(rows);
    }
    let told = told.join("\n");
    assert!(told.contains("webhook.add") && told.contains("/…?…") && !told.contains("/hook/"));
    let in_hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    for hidden in [secret.as_str(), "s3cret-path-of-olga", "s3cret-key-of-olga"] {
        assert!(!told.contains(hidden) && !told.contains(&in_hex(hidden)), "{hidden}");
    }
    service.stop().await;
    drop(pool);

    let old = crate::support::JWT_SECRET;
    let new = "9c1d7e3f5a2b4860b1c2d3e4f5061728";
    let both = [HERE[0], HERE[1], ("JWT_SECRET", new), ("JWT_SECRET_PREVIOUS", old)];
    let only_new = [HERE[0], HERE[1], ("JWT_SECRET", new)];
    for (settings, count) in [(&both[..], 2), (&only_new[..], 3)] {
        let service = Service::start_on(&urls, settings, Surroundings::default()).await;
        tell(&service.application.postgres, &result_of(None, json!({}))).await;
        receiver.until(count).await;
        {
            let received = receiver.received();
            let message = &received.messages[count - 1];
            let timestamp = message.headers["x-mohaa-timestamp"].parse().unwrap();
            let signature = signature_of(&secret, timestamp, message.body.as_bytes());
            assert_eq!(message.headers["x-mohaa-signature"], signature);
        }
        service.stop().await;
    }
    // With a key that never knew it, nothing can be sent; its owner is told so.
    let service = Service::start_on(&urls, &HERE, Surroundings::default()).await;
    tell(&service.application.postgres, &result_of(None, json!({}))).await;
    let disabled = eventually("it is disabled", async || {
        let found = service.client.get_as(&token, &path).await.json();
        (found["enabled"] == false).then_some(found)
    })
    .await;
    assert!(disabled["disabled_reason"].as_str().unwrap().contains("another JWT_SECRET"), "{disabled}");
    assert_eq!(receiver.count(), 3);
    service.stop().await;
    receiver.stop().await;
}

#[actix_web::test]
async fn discord_gets_what_it_takes_and_nobody_is_called_by_a_name() {
    let service = service("webhook_discord").await;
    let receiver = Receiver::start();
    let (_, token) = service.add_user("Olga", Role::Organizer).await;
    let body = json!({
        "kind": "discord", "name": "Our channel", "url": format!("{}/api/webhooks/1/t0ken", receiver.url),
        "events": ["result"],
    });
    let (path, secret) = webhook(&service, &token, body).await;
    assert_eq!(secret, "", "messages to Discord are not signed");
    let rotated = post(&service, &token, &format!("{path}/rotate-secret"), json!({})).await;
    rotated.assert_refused(409, "no_secret");
    tell(&service.application.postgres, &result_of(None, json!({ "winner": "@everyone **A**" }))).await;
    receiver.until(1).await;
    {
        let received = receiver.received();
        let message = received.messages[0].json();
        assert_eq!(message["allowed_mentions"], json!({ "parse": [] }));
        let field = &message["embeds"][0]["fields"][0];
        assert_eq!((&field["name"], &field["value"]), (&json!("winner"), &json!(r"\@everyone \*\*A\*\*")));
        assert!(!received.messages[0].headers.contains_key("x-mohaa-signature"));
    }
    service.stop().await;
    receiver.stop().await;
}

#[actix_web::test]
async fn an_unlocked_achievement_is_announced_once() {
    let service = service("webhook_achievement").await;
    let receiver = Receiver::start();
    let (_, token) = service.add_user("Olga", Role::Organizer).await;
    webhook(&service, &token, generic(&receiver.url, &["achievement"])).await;
    let kill = |at: u32| {
        json!({
            "type": "player_kill", "match_id": "m", "timestamp": f64::from(at) * 10.0, "weapon": "M1 Garand",
            "hitloc": "torso_upper", "mod": "bullet", "attacker_name": "A", "attacker_guid": "1001",
            "attacker_team": "allies", "victim_name": "B", "victim_guid": "1002", "victim_team": "axis",
        })
    };
    let kills: Vec<Value> = (1..7).map(kill).collect();
    service.client.send(json!(kills).to_string()).await.assert_batch(202, 6, &[]);
    let streak = eventually("the streak is told", async || {
        let received = receiver.received();
        received
            .messages
            .iter()
            .map(Message::json)
            .find(|message| message["data"]["achievement"] == "streak-5")
    })
    .await;
    let data = &streak["data"];
    assert_eq!(
        (&streak["event"], &data["player_id"], &data["name"], &data["tier"]),
        (&json!("achievement"), &json!("1001"), &json!("Warmed Up"), &json!(1))
    );
    let pool = &service.application.postgres;
    eventually("each unlock is one row", async || {
        let (unlocks, rows): (i64, i64) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM player_achievements), (SELECT count(*) FROM webhook_deliveries)",
        )
        .fetch_one(pool)
        .await
        .unwrap();
        assert!(rows <= unlocks);
        (rows == unlocks && rows > 0).then_some(())
    })
    .await;
    service.stop().await;
    receiver.stop().await;
}

#[actix_web::test]
async fn a_webhook_is_described_in_full_or_not_made() {
    let service = service("webhook_fields").await;
    let (_, token) = service.add_user("Olga", Role::Organizer).await;
    let good =
        json!({ "kind": "generic", "name": "x", "url": "http://127.0.0.1:8099/hook", "events": ["result"] });
    for (field, value) in [
        ("kind", json!("carrier pigeon")),
        ("name", json!(" ")),
        ("name", json!("a\nb")),
        ("name", json!("x".repeat(101))),
        ("events", json!([])),
        ("events[0]", json!(["everything"])),
        ("tournament_id", json!(Uuid::new_v4())),
    ] {
        let mut body = good.clone();
        body[field.trim_end_matches("[0]")] = value;
        let refused = post(&service, &token, "/api/v1/webhooks", body).await;
        refused.assert_refused(422, "validation_failed");
        assert!(refused.json()["fields"][field].is_string(), "{}", refused.text);
    }
    let (path, _) = webhook(&service, &token, good.clone()).await;
    let off = json!({ "name": "Renamed", "events": ["completed", "result", "result"], "enabled": false });
    let changed = service.client.call_as(&token, "PUT", &path, off).await.json();
    assert_eq!(
        (&changed["name"], &changed["events"], &changed["disabled_reason"], &changed["url"]),
        (
            &json!("Renamed"),
            &json!(["result", "completed"]),
            &json!("switched off"),
            &json!("http://127.0.0.1:8099/…")
        )
    );
    for _ in 0..19 {
        webhook(&service, &token, good.clone()).await;
    }
    post(&service, &token, "/api/v1/webhooks", good).await.assert_refused(409, "too_many_webhooks");
    tokio::time::timeout(PATIENCE / 3, service.stop()).await.unwrap();
}

#[actix_web::test]
async fn organizers_of_a_tournament_are_told_of_it_in_its_order_and_nobody_else_is() {
    let service = service("told_of_cups").await;
    let (_, owner) = service.add_user("Owner", Role::Organizer).await;
    let (helper_id, helper) = service.add_user("Helper", Role::Organizer).await;
    let (_, foreign) = service.add_user("Foreign", Role::Organizer).await;
    let cup =
        Cup::draft(&service.client, &owner, json!({ "name": "Cup", "format": "single_elimination" })).await;
    let staff = json!({ "user_id": helper_id, "role": "organizer" });
    service.client.call_as(&owner, "PUT", &cup.path("/staff"), staff).await;
    let events = ["registration", "checkin_open", "match_ready", "result", "dispute", "completed"];
    let receivers = [Receiver::start(), Receiver::start(), Receiver::start()];
    for (receiver, token) in receivers.iter().zip([&owner, &helper, &foreign]) {
        webhook(
            &service,
            token,
            json!({ "kind": "generic", "name": "All", "url": receiver.url, "events": events }),
        )
        .await;
    }
    cup.moves_to("registration_open").await;
    cup.enters("One").await;
    cup.enters("Two").await;
    cup.moves_to("registration_closed").await;
    cup.moves_to("checkin").await;
    cup.moves_to("in_progress").await;
    cup.reports("R1.1", 3, 1).await;
    for receiver in &receivers[..2] {
        receiver.until(6).await;
        let received = receiver.received();
        let told: Vec<Value> = received.messages.iter().map(Message::json).collect();
        let names: Vec<&str> = told.iter().map(|message| message["event"].as_str().unwrap()).collect();
        assert_eq!(
            names,
            ["registration", "registration", "checkin_open", "match_ready", "result", "completed"]
        );
        let result = &told[4]["data"];
        assert_eq!(
            (&result["match"], &result["winner"], &result["score1"], &result["tournament"]),
            (&json!("R1.1"), &json!("One"), &json!(3), &json!("Cup"))
        );
        assert_eq!(told[5]["data"]["places"], json!([["One"], ["Two"]]));
    }
    cup.does("/matches/R1.1/correct", json!({ "score1": 1, "score2": 3 })).await;
    for receiver in &receivers[..2] {
        receiver.until(8).await;
        let told = receiver.received().messages.last().map(Message::json).unwrap();
        assert_eq!(
            (&told["event"], &told["data"]["winner"]),
            (&json!("completed"), &json!("Two")),
            "who has won is told again when it is somebody else"
        );
    }
    assert_eq!(receivers[2].count(), 0);
    for receiver in receivers {
        receiver.stop().await;
    }
    service.stop().await;
}
