//! Servers that are asked over UDP what they play, as stand-ins that answer as the game does.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::net::UdpSocket;
use uuid::Uuid;

use crate::support::{Service, ServiceClient, sooner_or_later};

const ALLOWED: [(&str, &str); 2] = [("SERVER_QUERY", "on"), ("SERVER_QUERY_ALLOWED_NETWORKS", "127.0.0.1")];

/// A game server's port for queries.
struct GameServer {
    address: SocketAddr,
    asked: Arc<AtomicU64>,
    map_name: Arc<Mutex<String>>,
}

impl GameServer {
    async fn start(map_name: &str, answer: impl Fn(&str, &str) -> Vec<u8> + Send + 'static) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let asked = Arc::new(AtomicU64::new(0));
        let map_name = Arc::new(Mutex::new(map_name.to_owned()));
        let (counted, played) = (asked.clone(), map_name.clone());
        tokio::spawn(async move {
            let mut question = [0; 1024];
            while let Ok((length, from)) = socket.recv_from(&mut question).await {
                counted.fetch_add(1, Ordering::Relaxed);
                let question = question[..length].strip_prefix(b"\xff\xff\xff\xff\x02getstatus ").unwrap();
                let challenge = std::str::from_utf8(question).unwrap().trim_end();
                let map_name = played.lock().unwrap().clone();
                socket.send_to(&answer(challenge, &map_name), from).await.unwrap();
            }
        });
        Self { address, asked, map_name }
    }

    async fn honest(map_name: &str) -> Self {
        Self::start(map_name, status).await
    }

    /// Adds it as its owner would: with its address.
    async fn register(&self, service: &Service) -> ServiceClient {
        let (_, organizer) = service.add_user("Owner", mohaa_stats::users::Role::Admin).await;
        let body = json!({ "name": "Queried", "address": "127.0.0.1", "port": self.address.port() });
        let added = service.client.call_as(&organizer, "POST", "/api/v1/servers", body).await;
        let token = added.json()["token"].as_str().unwrap_or_else(|| panic!("{added:?}")).to_owned();
        service.client.with_token(&token)
    }
}

fn status(challenge: &str, map_name: &str) -> Vec<u8> {
    let variables = format!(
        r"\sv_hostname\^1Omaha <b>24/7</b>\mapname\{map_name}\g_gametype\2\sv_maxclients\20\challenge\{challenge}"
    );
    let players = "57 \"^2Bert\"\n0 \"Robot & Co\"\n";
    [b"\xff\xff\xff\xff\x01statusResponse\n".as_slice(), variables.as_bytes(), b"\n", players.as_bytes()]
        .concat()
}

/// What a live script sends: no match, no map. Gives the key under which it is stored.
async fn report(client: &ServiceClient, event_type: &str, level_time: f64) -> String {
    let key = Uuid::new_v4().simple().to_string();
    let event = json!([{ "type": event_type, "match_id": "no_match", "timestamp": level_time, "player_name": "Bert",
                         "player_guid": "unauth_3" }]);
    client.send_with(&[("Idempotency-Key", &key)], event.to_string()).await.assert_batch(202, 1, &[]);
    key
}

/// Gives the stored row's map and game type.
async fn jump(service: &Service, client: &ServiceClient, level_time: f64) -> (Value, Value) {
    let key = report(client, "jump", level_time).await;
    let stored = service.warehouse.events_of(&key, 1).await.remove(0);
    (stored["map_name"].clone(), stored["gametype"].clone())
}

#[actix_web::test]
async fn events_that_name_no_map_are_of_the_one_that_their_server_answers() {
    let service = Service::start_with("server_query", &ALLOWED, Default::default()).await;
    let game = GameServer::honest("dm/mohdm3").await;
    let client = game.register(&service).await;
    let began = std::time::Instant::now();
    let level_time = |began: std::time::Instant| began.elapsed().as_secs_f64() + 100.0;
    assert_eq!(jump(&service, &client, level_time(began)).await.0, "", "nobody has been asked yet");
    sooner_or_later("events are of the answered map", async || {
        let seen = jump(&service, &client, level_time(began)).await;
        if seen == ("dm/mohdm3".into(), "tdm".into()) { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await;
    sooner_or_later("the live match is on the map", async || {
        // Live matches pass over what nobody watches, as jumps.
        report(&client, "spawn", level_time(began)).await;
        let live = service.client.get("/api/v1/stats/live/matches").await.json();
        if live["matches"][0]["map_name"] == "dm/mohdm3" { Ok(()) } else { Err(live) }
    })
    .await;

    let listed = service.client.get("/api/v1/servers").await.json();
    let server =
        listed["servers"].as_array().unwrap().iter().find(|it| it["name"] == "Queried").unwrap().clone();
    let queried = &server["queried"];
    assert_eq!(
        (&queried["host_name"], &queried["map_name"], &queried["gametype"], &queried["max_players"]),
        (&"^1Omaha <b>24/7</b>".into(), &"dm/mohdm3".into(), &"tdm".into(), &20.into()),
    );
    assert_eq!(
        (&queried["player_count"], &queried["players"]),
        (&2.into(), &json!(["^2Bert", "Robot & Co"]))
    );

    *game.map_name.lock().unwrap() = "obj/obj_team2".to_owned();
    let reloaded = std::time::Instant::now();
    let first = jump(&service, &client, 0.1).await.0;
    assert_ne!(first, "dm/mohdm3", "that was the level before");
    sooner_or_later("the next level has its own map", async || {
        let seen = jump(&service, &client, reloaded.elapsed().as_secs_f64() + 0.1).await.0;
        if seen == "obj/obj_team2" { Ok(()) } else { Err(seen.to_string()) }
    })
    .await;
    service.stop().await;
}

#[actix_web::test]
async fn a_server_on_which_nobody_plays_shows_what_it_answered() {
    let service = Service::start_with("server_answers", &ALLOWED, Default::default()).await;
    let game = GameServer::honest("dm/mohdm6").await;
    game.register(&service).await;
    let server_id = sooner_or_later("the server was asked", async || {
        let listed = service.client.get("/api/v1/servers").await.json();
        let server =
            listed["servers"].as_array().unwrap().iter().find(|it| !it["queried"].is_null()).cloned();
        server.map(|server| server["server_id"].as_str().unwrap().to_owned()).ok_or(listed)
    })
    .await;
    let shows = async |path: &str, expected: &[&str]| {
        sooner_or_later(&format!("{path} shows what was answered"), async || {
            // It can't be read while the tables are being made.
            let page = service.client.get(path).await.text;
            match expected.iter().find(|shown| !page.contains(**shown)) {
                Some(missing) => Err(format!("{missing} is missing in {page}")),
                None => Ok(()),
            }
        })
        .await;
    };
    let map = "/maps/dm%2Fmohdm6";
    let answered = [map, "2 of 20 players", "Bert", "Robot &amp; Co", "Omaha &lt;b&gt;24/7&lt;/b&gt;"];
    shows(&format!("/servers/{server_id}"), &answered).await;
    shows("/servers", &[map]).await;
    sooner_or_later("who answers is online", async || {
        let listed = service.client.get("/api/v1/servers").await.json();
        let server = listed["servers"].as_array().unwrap().iter().find(|it| it["name"] == "Queried").cloned();
        if server.is_some_and(|server| server["online"] == true) { Ok(()) } else { Err(listed) }
    })
    .await;
    service.stop().await;
}

#[actix_web::test]
async fn a_server_at_a_private_address_is_not_asked() {
    let service = Service::start_with("private_server", &[("SERVER_QUERY", "on")], Default::default()).await;
    let game = GameServer::honest("dm/mohdm3").await;
    let client = game.register(&service).await;
    sooner_or_later("the address is refused", async || {
        assert_eq!(jump(&service, &client, 50.0).await.0, "");
        let refused =
            service.client.metrics().await.series("mohaa_server_queries_total{outcome=\"address\"}");
        if refused > 0.0 { Ok(()) } else { Err(refused) }
    })
    .await;
    assert_eq!(game.asked.load(Ordering::Relaxed), 0);
    service.stop().await;
}

#[actix_web::test]
async fn an_answer_to_another_question_counts_for_nothing() {
    let service = Service::start_with("forged_answers", &ALLOWED, Default::default()).await;
    let game = GameServer::start("dm/mohdm3", |_, map_name| status("0123456789abcdef", map_name)).await;
    let client = game.register(&service).await;
    sooner_or_later("the answers are left alone", async || {
        assert_eq!(jump(&service, &client, 50.0).await.0, "");
        let silent = service.client.metrics().await.series("mohaa_server_queries_total{outcome=\"silent\"}");
        if silent > 0.0 { Ok(()) } else { Err(silent) }
    })
    .await;
    assert!(game.asked.load(Ordering::Relaxed) > 0);
    let listed = service.client.get("/api/v1/servers").await.json();
    assert!(listed["servers"].as_array().unwrap().iter().all(|it| it["queried"].is_null()), "{listed}");
    service.stop().await;
}
