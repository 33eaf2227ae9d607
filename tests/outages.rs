//! What stops while a store is away, what goes on, and what comes back by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use mohaa_actors::clock::{Clock, TimeSource};
use mohaa_domain::event::Millis;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use mohaa_faults::cuttable::CuttableProxy;
use mohaa_spool::testing::FakeStorage;
use mohaa_stats::config::RedisUrl;
use mohaa_stats::servers;
use mohaa_stats::startup::Surroundings;
use mohaa_stats::users::Role;

use crate::support::{EventStream, Service, eventually, schemas};

const KILL: &str =
    r#"[{"type":"kill","attacker_guid":"41","attacker_name":"Hiro","victim_guid":"42","timestamp":1}]"#;

/// A proxy in front of the store at `url`, and the URL through it.
async fn cuttable(url: &str) -> (CuttableProxy, String) {
    let target = format!("127.0.0.1:{}", url::Url::parse(url).unwrap().port().unwrap());
    let proxy = CuttableProxy::start(target).await.unwrap();
    let through_proxy = proxy.in_front_of(url).unwrap().to_string();
    (proxy, through_proxy)
}

async fn store_becomes(service: &Service, store: &str, ok: bool) {
    eventually(&format!("{store} is seen to be {}", if ok { "there" } else { "away" }), async || {
        let ready = service.client.get("/ready").await;
        assert_eq!(ready.status.as_u16(), 200, "a store that is away takes no node out: {}", ready.text);
        let answer = ready.json();
        (answer["checks"][store]["ok"] == ok && answer["degraded"] == !ok).then_some(())
    })
    .await;
}

#[actix_web::test]
async fn without_redis_events_and_answers_go_on_and_its_return_needs_no_restart() {
    let urls = schemas::database("redis_away").await;
    let (proxy, redis_url) = cuttable(&urls.redis_url).await;
    let service = Service::start_on(&urls, &[("REDIS_URL", &redis_url)], Surroundings::default()).await;
    store_becomes(&service, "redis", true).await;
    proxy.cut().await;
    store_becomes(&service, "redis", false).await;
    assert_eq!(service.client.metrics().await.series(r#"mohaa_store_up{store="redis"}"#), 0.0);

    service.client.send(KILL).await.assert_batch(202, 1, &[]);
    eventually("the kill is on the board", async || {
        let board = service.client.get("/api/v1/stats/leaderboard").await.json();
        (board["players"][0]["kills"] == 1).then_some(())
    })
    .await;
    assert_eq!(service.client.get("/").await.status.as_u16(), 200);

    proxy.mend().await.unwrap();
    store_becomes(&service, "redis", true).await;
    service.client.send(KILL).await.assert_batch(202, 1, &[]);
    service.stop().await;
}

/// A proxy in front of the store at `url` that takes everything and passes nothing on while the flag is set.
async fn hanging(url: &str) -> (CuttableProxy, String, Arc<AtomicBool>) {
    let hangs = Arc::new(AtomicBool::new(false));
    let flag = hangs.clone();
    let (proxy, through_proxy) = swallowing(url, move || {
        let flag = flag.clone();
        Box::new(move || flag.load(Ordering::Acquire))
    })
    .await;
    (proxy, through_proxy, hangs)
}

/// A proxy in front of the store at `url` whose connections are dead once the number was raised, and are not closed; later ones
/// work: as if the store's machine had lost its power and another one had its address.
async fn mortal(url: &str) -> (CuttableProxy, String, Arc<AtomicUsize>) {
    let deaths = Arc::new(AtomicUsize::new(0));
    let counted = deaths.clone();
    let (proxy, through_proxy) = swallowing(url, move || {
        let (counted, before) = (counted.clone(), counted.load(Ordering::Acquire));
        Box::new(move || counted.load(Ordering::Acquire) != before)
    })
    .await;
    (proxy, through_proxy, deaths)
}

/// Asked of each connection, for every piece that it would pass on.
type Swallows = Box<dyn Fn() -> bool + Send + Sync>;

async fn swallowing(
    url: &str,
    new: impl Fn() -> Swallows + Send + Sync + 'static,
) -> (CuttableProxy, String) {
    let target = format!("127.0.0.1:{}", url::Url::parse(url).unwrap().port().unwrap());
    let proxy = CuttableProxy::start_with(move |client| {
        let (target, swallows) = (target.clone(), new());
        async move {
            let Ok(server) = TcpStream::connect(target).await else { return };
            let ((from_client, to_client), (from_server, to_server)) =
                (client.into_split(), server.into_split());
            tokio::join!(pass(from_client, to_server, &swallows), pass(from_server, to_client, &swallows));
        }
    })
    .await
    .unwrap();
    let through_proxy = proxy.in_front_of(url).unwrap();
    (proxy, through_proxy)
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, swallows: &Swallows) {
    let mut bytes = [0; 8192];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if !swallows() && to.write_all(&bytes[..count]).await.is_err() {
            break;
        }
    }
    // Or the other side would wait for ever.
    let _ = to.shutdown().await;
}

#[actix_web::test]
async fn a_node_whose_connections_to_redis_died_in_silence_hears_the_others_again() {
    let urls = schemas::database("redis_dies").await;
    let (_proxy, redis_url, deaths) = mortal(&urls.redis_url).await;
    let one = Service::start_on(&urls, &[], Surroundings::default()).await;
    let other = Service::start_on(&urls, &[("REDIS_URL", &redis_url)], Surroundings::default()).await;
    let (_, admin) = one.add_user("Operator", Role::Admin).await;
    let node = other.client.get_as(&admin, "/api/v1/ops/actors").await.json()["node"].clone();
    let drain = format!("/api/v1/ops/nodes/{}/drain", node.as_str().unwrap());
    let is_drained = async || other.client.get("/ready").await.json()["state"] == "drained";
    let order = async |method: &str, drained: bool| {
        eventually(&format!("{method}: the other hears it"), async || {
            let ordered = one.client.call_as(&admin, method, &drain, json!({})).await;
            (ordered.status.is_success() && is_drained().await == drained).then_some(())
        })
        .await;
    };
    order("POST", true).await;
    order("DELETE", false).await;
    deaths.fetch_add(1, Ordering::AcqRel);
    order("POST", true).await;
    other.stop().await;
    one.stop().await;
}

#[actix_web::test]
async fn a_node_whose_connections_to_postgresql_died_in_silence_hears_of_revoked_tokens_again() {
    let urls = schemas::database("postgres_dies").await;
    let (_proxy, postgres_url, deaths) = mortal(&urls.postgres_url).await;
    let one = Service::start_on(&urls, &[], Surroundings::default()).await;
    let other = Service::start_on(&urls, &[("POSTGRES_URL", &postgres_url)], Surroundings::default()).await;
    let (server_id, token) = one.add_server("To be revoked").await;
    let headers = [("X-Server-Token", token.as_str())];
    let status = async || {
        let sent = other.client.post("/api/v1/ingest/events", &headers, KILL).await;
        sent.map(|answer| answer.status.as_u16()).unwrap_or_default()
    };
    eventually("the other knows the server", async || (status().await == 202).then_some(())).await;
    deaths.fetch_add(1, Ordering::AcqRel);
    servers::revoke_server_tokens(&one.application.postgres, servers::Changer::Operator, server_id)
        .await
        .unwrap();
    eventually("the other refuses it", async || (status().await == 401).then_some(())).await;
    other.stop().await;
    one.stop().await;
}

#[actix_web::test]
async fn a_service_stops_in_the_time_it_has_though_all_its_stores_and_its_disk_hang() {
    let urls = schemas::database("all_hang").await;
    let (_redis, redis_url, redis_hangs) = hanging(&urls.redis_url).await;
    let (_postgres, postgres_url, postgres_hangs) = hanging(&urls.postgres_url).await;
    let (_clickhouse, clickhouse_url, clickhouse_hangs) = hanging(&urls.clickhouse_url).await;
    let settings = [
        ("REDIS_URL", redis_url.as_str()),
        ("POSTGRES_URL", &postgres_url),
        ("CLICKHOUSE_URL", &clickhouse_url),
        ("SPOOL_FSYNC", "never"),
    ];
    let disk = FakeStorage::new();
    let surroundings = Surroundings { storage: Arc::new(disk.clone()), ..Surroundings::default() };
    let service = Service::start_on(&urls, &settings, surroundings).await;
    store_becomes(&service, "clickhouse", true).await;
    service.client.send(KILL).await.assert_batch(202, 1, &[]);
    eventually("its match is live", async || {
        let live = service.client.get("/api/v1/stats/live").await.json();
        (live["matches"][0]["player_count"] == 2).then_some(())
    })
    .await;
    for hangs in [&redis_hangs, &postgres_hangs, &clickhouse_hangs] {
        hangs.store(true, Ordering::Release);
    }
    disk.stall();
    let client = service.client.clone();
    let asking = actix_web::rt::spawn(async move {
        let headers = [("X-Server-Token", client.token.as_str())];
        // It gets no answer.
        let _ = client.post("/api/v1/ingest/events", &headers, KILL).await;
    });
    actix_web::web::block({
        let disk = disk.clone();
        move || disk.wait_until_stalled()
    })
    .await
    .unwrap();
    let (patience, began) = (Duration::from_secs(6), Instant::now());
    service.application.stop(patience).await;
    assert!(began.elapsed() < patience + Duration::from_secs(1), "{:?}", began.elapsed());
    disk.release();
    asking.abort();
}

#[actix_web::test]
async fn while_redis_hangs_events_are_taken_and_live_matches_told_and_it_comes_back_by_itself() {
    let urls = schemas::database("redis_hangs").await;
    let (proxy, redis_url, hangs) = hanging(&urls.redis_url).await;
    let service = Service::start_on(&urls, &[("REDIS_URL", &redis_url)], Surroundings::default()).await;
    store_becomes(&service, "redis", true).await;
    eventually("statistics have their tables", async || {
        (service.client.get("/").await.status == 200).then_some(())
    })
    .await;
    let kill = |second: u32| {
        json!([{"type": "kill", "match_id": "evening", "timestamp": second, "attacker_guid": "41", "victim_guid": "42"}])
            .to_string()
    };
    let url = format!("{}/api/v1/live/evening", service.client.url);
    service.client.send(kill(1)).await.assert_batch(202, 1, &[]);
    eventually("the match is live", async || {
        (service.client.get("/api/v1/stats/live").await.json()["matches"][0]["player_count"] == 2)
            .then_some(())
    })
    .await;
    let mut viewer = EventStream::open(&url, None).await;
    viewer.next_of("snapshot").await;

    hangs.store(true, Ordering::Release);
    store_becomes(&service, "redis", false).await;
    for second in 2..6 {
        service.client.send(kill(second)).await.assert_batch(202, 1, &[]);
        assert_eq!(viewer.kill_at(f64::from(second)).await["target"]["player_id"], "42");
    }
    // One that nobody has met is not refused either, and followed.
    let (_, unmet) = service.add_server("Stalingrad").await;
    let other = service.client.with_token(&unmet);
    other.send(kill(1).replace("evening", "morning")).await.assert_batch(202, 1, &[]);
    eventually("both are live", async || {
        let live = service.client.get("/api/v1/stats/live").await.json();
        (live["matches"].as_array().unwrap().len() == 2).then_some(())
    })
    .await;
    for page in ["/live", "/live/evening", "/live/morning", "/"] {
        let reply = service.client.get(page).await;
        assert_eq!(reply.status.as_u16(), 200, "{page}: {}", reply.text);
    }
    let newcomer = EventStream::open(&url, None).await.next_of("snapshot").await;
    assert_eq!((&newcomer.data["players"][0]["kills"], &newcomer.data["stale"]), (&json!(5), &json!(false)));

    hangs.store(false, Ordering::Release);
    // What hung is out of step.
    proxy.hang_up().await;
    store_becomes(&service, "redis", true).await;
    service.client.send(kill(9)).await.assert_batch(202, 1, &[]);
    viewer.kill_at(9.0).await;
    let node = Service::start_on(&urls, &[], Surroundings::default()).await;
    eventually("other nodes hear of its matches again", async || {
        let live = node.client.get("/api/v1/stats/live").await.json();
        (live["matches"].as_array().unwrap().len() == 2).then_some(())
    })
    .await;
    node.stop().await;
    service.stop().await;
}

#[actix_web::test]
async fn without_postgres_known_servers_go_on_over_a_restart_and_unknown_ones_are_asked_to_wait() {
    let urls = schemas::database("postgres_away").await;
    let (proxy, postgres_url) = cuttable(&urls.postgres_url).await;
    let data_dir = tempfile::tempdir().unwrap();
    let settings = [("POSTGRES_URL", postgres_url.as_str()), ("DATA_DIR", data_dir.path().to_str().unwrap())];
    let service = Service::start_on(&urls, &settings, Surroundings::default()).await;
    service.client.send(KILL).await.assert_batch(202, 1, &[]);
    service.client.settled().await;
    let (token, known) = (service.client.token.clone(), service.client.clone());

    proxy.cut().await;
    store_becomes(&service, "postgres", false).await;
    known.send(KILL).await.assert_batch(202, 1, &[]);
    let unknown = [("X-Server-Token", "mohaa_s_nobody")];
    let refused = known.post("/api/v1/ingest/events", &unknown, KILL).await.unwrap();
    refused.assert_refused(503, "tokens_unavailable");
    assert!(refused.header("retry-after").is_some());
    for page in ["/", "/leaderboard", "/players/41", "/matches"] {
        let reply = known.get(page).await;
        assert_eq!(reply.status.as_u16(), 200, "{page} needs no PostgreSQL: {}", reply.text);
    }
    service.stop().await;

    let restarted = Service::restart_on(&urls, &settings, &token).await;
    restarted.client.send(KILL).await.assert_batch(202, 1, &[]);
    let refused = restarted.client.post("/api/v1/ingest/events", &unknown, KILL).await.unwrap();
    refused.assert_refused(503, "tokens_unavailable");

    proxy.mend().await.unwrap();
    store_becomes(&restarted, "postgres", true).await;
    eventually("an unknown token is told so again", async || {
        let reply = restarted.client.post("/api/v1/ingest/events", &unknown, KILL).await.unwrap();
        (reply.status.as_u16() == 401).then_some(())
    })
    .await;
    restarted.client.settled().await;
    assert_eq!(restarted.warehouse.count("SELECT count() FROM raw_events").await, 3);
    restarted.stop().await;
}

#[actix_web::test]
async fn without_clickhouse_pages_say_what_is_missing_and_come_back() {
    let urls = schemas::database("clickhouse_away").await;
    let (proxy, clickhouse_url) = cuttable(&urls.clickhouse_url).await;
    let service =
        Service::start_on(&urls, &[("CLICKHOUSE_URL", &clickhouse_url)], Surroundings::default()).await;
    service.client.send(KILL).await.assert_batch(202, 1, &[]);
    service.client.settled().await;
    proxy.cut().await;
    store_becomes(&service, "clickhouse", false).await;
    for path in ["/", "/leaderboard", "/players/41", "/matches"] {
        let page = service.client.get_with(path, &[("Accept", "text/html")]).await;
        assert_eq!(page.status.as_u16(), 503, "{path}");
        assert!(page.text.contains("events are still taken in"), "{path}: {}", page.text);
        assert!(page.header("retry-after").is_some(), "{path}");
    }
    service.client.get("/api/v1/stats/leaderboard").await.assert_refused(503, "stats_unavailable");
    service.client.send(KILL).await.assert_batch(202, 1, &[]);
    proxy.mend().await.unwrap();
    eventually("the board is back with what came meanwhile", async || {
        let board = service.client.get("/api/v1/stats/leaderboard").await.json();
        (board["players"][0]["kills"] == 2).then_some(())
    })
    .await;
    service.stop().await;
}

/// Roll-ups outlive raw events: a comparison after an unclean stop must leave days alone that are being emptied.
#[actix_web::test]
async fn a_day_whose_raw_events_have_begun_to_expire_keeps_its_roll_ups() {
    let urls = schemas::database("expired_day").await;
    let service = Service::start_on(&urls, &[], Surroundings::default()).await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let old_kill = |seconds: u64| {
        json!([{"type": "kill", "attacker_guid": "41", "victim_guid": "42", "timestamp": seconds}])
            .to_string()
    };
    let three_days_ago = now - 3 * 86_400;
    service.client.send(old_kill(three_days_ago)).await.assert_batch(202, 1, &[]);
    service.client.send(old_kill(now)).await.assert_batch(202, 1, &[]);
    service.client.settled().await;
    service.stop().await;

    // As after a crash: both days were touched. Of today a roll-up has lost its row, of the old one the raw event expires.
    let data_dir = tempfile::tempdir().unwrap();
    let spool = data_dir.path().join("spool");
    std::fs::create_dir_all(&spool).unwrap();
    let days = [three_days_ago / 86_400, now / 86_400];
    std::fs::write(spool.join("touched-days.json"), json!(days).to_string()).unwrap();
    let warehouse = crate::support::Warehouse::new(&urls.clickhouse_url);
    warehouse.execute(&format!("ALTER TABLE raw_events DROP PARTITION '{}'", date(days[0]))).await;
    warehouse.execute(&format!("ALTER TABLE player_stats_daily DROP PARTITION '{}'", date(days[1]))).await;
    // The sums of all days are gone too; they are recounted from the days.
    warehouse.execute("TRUNCATE TABLE player_totals").await;
    let settings = [("DATA_DIR", data_dir.path().to_str().unwrap()), ("RAW_EVENTS_TTL", "2")];
    let restarted = Service::start_on(&urls, &settings, Surroundings::default()).await;
    eventually("today's roll-up is mended", async || {
        let metrics = restarted.client.metrics().await;
        (metrics.series(r#"mohaa_rollup_mended_days_total{rollup="player_stats_daily"}"#) == 1.0)
            .then_some(())
    })
    .await;
    eventually("both days are on the board", async || {
        let board = restarted.client.get("/api/v1/stats/leaderboard").await.json();
        (board["players"][0]["kills"] == 2).then_some(())
    })
    .await;
    restarted.stop().await;
}

/// A clock that was never set, as much ahead as a test says.
#[derive(Clone, Default)]
struct Ahead(Arc<AtomicU64>);

impl TimeSource for Ahead {
    fn now(&self) -> Millis {
        Clock::system().now()
    }

    fn instant(&self) -> Instant {
        Instant::now() + Duration::from_secs(60 * self.0.load(Ordering::Acquire))
    }

    fn sleep(&self, pause: Duration) -> BoxFuture<'static, ()> {
        Clock::system().sleep(pause)
    }
}

#[actix_web::test]
async fn days_that_nothing_is_stored_into_any_more_are_not_compared_for_ever() {
    let urls = schemas::database("settled_days").await;
    let (proxy, clickhouse_url) = cuttable(&urls.clickhouse_url).await;
    let spool = tempfile::tempdir().unwrap();
    let ahead = Ahead::default();
    let surroundings = Surroundings { clock: Clock::of(ahead.clone()), ..Surroundings::default() };
    let settings =
        [("CLICKHOUSE_URL", clickhouse_url.as_str()), ("SPOOL_DIR", spool.path().to_str().unwrap())];
    let service = Service::start_on(&urls, &settings, surroundings).await;
    let days = || -> Vec<i32> {
        serde_json::from_slice(&std::fs::read(spool.path().join("touched-days.json")).unwrap()).unwrap()
    };
    let an_hour_passes = || ahead.0.fetch_add(61, Ordering::AcqRel);
    eventually("roll-ups are compared", async || {
        (service.client.metrics().await.value("mohaa_rollup_comparisons_total") == 1.0).then_some(())
    })
    .await;
    service.client.send(KILL).await.assert_batch(202, 1, &[]);
    service.client.settled().await;
    assert_eq!(days().len(), 1);
    an_hour_passes();
    eventually("the day is let go of", async || days().is_empty().then_some(())).await;

    service.client.send(KILL).await.assert_batch(202, 1, &[]);
    service.client.settled().await;
    assert_eq!(days().len(), 1);
    proxy.cut().await;
    store_becomes(&service, "clickhouse", false).await;
    an_hour_passes();
    // It is asked every two seconds, and may be started anew meanwhile.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(days().len(), 1);
    proxy.mend().await.unwrap();
    eventually("it was the same all the time", async || days().is_empty().then_some(())).await;
    assert_eq!(service.client.metrics().await.value("mohaa_rollup_comparisons_total"), 1.0);
    service.stop().await;
}

fn date(day: u64) -> String {
    chrono::DateTime::from_timestamp(i64::try_from(day).unwrap() * 86_400, 0)
        .unwrap()
        .date_naive()
        .to_string()
}

#[actix_web::test]
async fn results_are_taken_while_clickhouse_is_away() {
    let urls = schemas::database("results_away").await;
    let (proxy, clickhouse_url) = cuttable(&urls.clickhouse_url).await;
    let service =
        Service::start_on(&urls, &[("CLICKHOUSE_URL", &clickhouse_url)], Surroundings::default()).await;
    eventually("the tables are there", async || {
        (service.client.get("/api/v1/search?q=nobody").await.status == 200).then_some(())
    })
    .await;
    let match_id = uuid::Uuid::new_v4();
    sqlx::query(
        "INSERT INTO match_summaries (match_id, server_id, source_match_id, map_name, gametype, started_at, ended_at,
                                      allies_score, axis_score, winning_team, players)
         SELECT $1, id, 'yesterday', 'dm/mohdm1', 'tdm', now() - interval '25 hours', now() - interval '24 hours',
                2, 1, 'allies', '[]' FROM servers",
    )
    .bind(match_id)
    .execute(&service.application.postgres)
    .await
    .unwrap();
    proxy.cut().await;
    store_becomes(&service, "clickhouse", false).await;
    let sum_up = async |id: &str| {
        let headers = [("X-Server-Token", service.client.token.as_str())];
        let body = json!({"match_id": id, "winning_team": "axis", "allies_score": 2, "axis_score": 3});
        service.client.post("/api/v1/ingest/match-result", &headers, body.to_string()).await.unwrap()
    };
    for id in ["yesterday", "yesterday", &match_id.to_string()] {
        let reply = sum_up(id).await;
        assert_eq!((reply.status.as_u16(), &reply.json()["match_id"]), (202, &json!(match_id)), "{id}");
    }
    let scores: (i32, i32, String) = sqlx::query_as(
        "SELECT allies_score, axis_score, winning_team FROM match_summaries WHERE match_id = $1",
    )
    .bind(match_id)
    .fetch_one(&service.application.postgres)
    .await
    .unwrap();
    assert_eq!(scores, (2, 3, "axis".to_owned()));
    // Nobody can say yet whose matches these are.
    for id in ["unheard", &uuid::Uuid::new_v4().to_string()] {
        let reply = sum_up(id).await;
        assert_eq!((reply.status.as_u16(), &reply.json()["match_id"]), (202, &json!(id)), "{}", reply.text);
    }
    proxy.mend().await.unwrap();
    eventually("the one that nothing is known of is a match", async || {
        let found = service.client.get("/api/v1/stats/match/unheard").await;
        (found.status == 200 && found.json()["axis_score"] == 3).then_some(())
    })
    .await;
    service.client.settled().await;
    let stored =
        format!("SELECT count() FROM raw_events WHERE match_id = '{match_id}' AND type = 'match_end'");
    assert_eq!(service.warehouse.count(&stored).await, 2, "what came twice in a row is one");
    assert_eq!(service.warehouse.count("SELECT count() FROM raw_events").await, 3);
    service.stop().await;
}

#[actix_web::test]
async fn a_result_of_a_server_that_waits_for_approval_waits_with_it_though_clickhouse_comes_back() {
    let urls = schemas::database("waiting_results").await;
    let (proxy, clickhouse_url) = cuttable(&urls.clickhouse_url).await;
    let settings = [("CLICKHOUSE_URL", clickhouse_url.as_str()), ("REGISTRATION_POLICY", "approval")];
    let service = Service::start_on(&urls, &settings, Surroundings::default()).await;
    eventually("the tables are there", async || {
        (service.client.get("/api/v1/search?q=nobody").await.status == 200).then_some(())
    })
    .await;
    let registration = json!({"name": "Waiting", "port": 2}).to_string();
    let waiting = service.client.post("/api/v1/servers/register", &[], registration).await.unwrap().json();
    proxy.cut().await;
    store_becomes(&service, "clickhouse", false).await;
    for (token, id) in [(waiting["token"].as_str().unwrap(), "theirs"), (&service.client.token, "ours")] {
        let headers = [("X-Server-Token", token)];
        let body = json!({"match_id": id, "winning_team": "axis", "allies_score": 2, "axis_score": 3});
        let sent =
            service.client.post("/api/v1/ingest/match-result", &headers, body.to_string()).await.unwrap();
        assert_eq!(sent.status, 202, "{}", sent.text);
    }
    proxy.mend().await.unwrap();
    eventually("the other server's is a match", async || {
        (service.client.get("/api/v1/stats/match/ours").await.status == 200).then_some(())
    })
    .await;
    // Theirs is looked at in the same round, before or after.
    eventually("it is held", async || {
        let metrics = service.client.metrics_text().await;
        metrics.lines().any(|line| line == "mohaa_events_held 1").then_some(())
    })
    .await;
    service.client.settled().await;
    assert_eq!(service.warehouse.count("SELECT count() FROM raw_events").await, 1);
    service.client.get("/api/v1/stats/match/theirs").await.assert_refused(404, "unknown_match");
    service.stop().await;
}

/// A service that played matches of these names to their ends and is gone, with all that is only in Redis; the ids of the
/// matches, and the server's token.
async fn played(urls: &mohaa_embedded::StoreUrls, names: &[&str]) -> (Vec<uuid::Uuid>, String) {
    let service = Service::start_on(urls, &[], Surroundings::default()).await;
    for name in names {
        let events = json!([
            {"type": "kill", "match_id": name, "timestamp": 10, "attacker_guid": "41", "attacker_team": "allies",
                "victim_guid": "42", "victim_team": "axis", "gametype": "tdm"},
            {"type": "kill", "match_id": name, "timestamp": 100, "attacker_guid": "41", "attacker_team": "allies",
                "victim_guid": "42", "victim_team": "axis"},
            {"type": "match_end", "match_id": name, "timestamp": 101, "winning_team": "allies", "allies_score": 2, "axis_score": 1},
        ]);
        service.client.send(events.to_string()).await.assert_batch(202, 3, &[]);
    }
    let summed_up = eventually("they are summed up", async || {
        let rows: Vec<(String, uuid::Uuid)> =
            sqlx::query_as("SELECT source_match_id, match_id FROM match_summaries")
                .fetch_all(&service.application.postgres)
                .await
                .unwrap();
        (rows.len() == names.len()).then_some(rows)
    })
    .await;
    let token = service.client.token.clone();
    service.stop().await;
    let redis = mohaa_stats::redis::connect(&RedisUrl::parse(&urls.redis_url).unwrap()).unwrap();
    let mut connection = redis.get().await.unwrap();
    deadpool_redis::redis::cmd("FLUSHDB").query_async::<()>(&mut connection).await.unwrap();
    let id_of = |name: &&str| summed_up.iter().find(|(known, _)| known == name).unwrap().1;
    (names.iter().map(id_of).collect(), token)
}

async fn sum_up_for_axis(client: &crate::support::ServiceClient, id: &str) -> crate::support::Reply {
    let headers = [("X-Server-Token", client.token.as_str())];
    let body = json!({"match_id": id, "winning_team": "axis", "allies_score": 2, "axis_score": 3});
    client.post("/api/v1/ingest/match-result", &headers, body.to_string()).await.unwrap()
}

async fn winners(service: &Service) -> Vec<(String, i32)> {
    sqlx::query_as("SELECT winning_team, axis_score FROM match_summaries ORDER BY source_match_id")
        .fetch_all(&service.application.postgres)
        .await
        .unwrap()
}

#[actix_web::test]
async fn a_result_that_comes_while_postgres_is_away_is_in_summary_and_ratings_over_a_restart() {
    let urls = schemas::database("correction_away").await;
    let (ids, token) = played(&urls, &["evening"]).await;
    let (proxy, postgres_url) = cuttable(&urls.postgres_url).await;
    let data_dir = tempfile::tempdir().unwrap();
    let settings = [("POSTGRES_URL", postgres_url.as_str()), ("DATA_DIR", data_dir.path().to_str().unwrap())];
    let service = Service::restart_on(&urls, &settings, &token).await;
    assert_eq!(winners(&service).await, [("allies".to_owned(), 1)]);
    let rating = |player: serde_json::Value| player["rating"]["value"].as_f64();
    let before = eventually("the winner is rated", async || {
        rating(service.client.get("/api/v1/stats/player/41").await.json())
    })
    .await;
    service.client.send(r#"[{"type":"jump","player_guid":"41"}]"#).await.assert_batch(202, 1, &[]);
    proxy.cut().await;
    store_becomes(&service, "postgres", false).await;
    let reply = sum_up_for_axis(&service.client, "evening").await;
    assert_eq!((reply.status.as_u16(), &reply.json()["match_id"]), (202, &json!(ids[0])), "{}", reply.text);
    eventually("the statistics have it", async || {
        let found = service.client.get("/api/v1/stats/match/evening").await.json();
        (found["axis_score"] == 3).then_some(())
    })
    .await;
    service.stop().await;

    let service = Service::restart_on(&urls, &settings, &token).await;
    proxy.mend().await.unwrap();
    eventually("the summary is corrected", async || {
        (winners(&service).await == [("axis".to_owned(), 3)]).then_some(())
    })
    .await;
    eventually("so are ratings", async || {
        let after = rating(service.client.get("/api/v1/stats/player/41").await.json())?;
        (after < before).then_some(())
    })
    .await;
    let ends = "SELECT count() FROM raw_events WHERE type = 'match_end'";
    assert_eq!(service.warehouse.count(ends).await, 2, "it is stored once");
    service.stop().await;
}

#[actix_web::test]
async fn results_of_matches_that_only_clickhouse_knows_wait_for_it_over_a_restart() {
    let urls = schemas::database("results_wait").await;
    let (ids, token) = played(&urls, &["evening", "morning"]).await;
    let (proxy, clickhouse_url) = cuttable(&urls.clickhouse_url).await;
    let data_dir = tempfile::tempdir().unwrap();
    let settings =
        [("CLICKHOUSE_URL", clickhouse_url.as_str()), ("DATA_DIR", data_dir.path().to_str().unwrap())];
    let service = Service::restart_on(&urls, &settings, &token).await;
    sqlx::query("DELETE FROM match_summaries").execute(&service.application.postgres).await.unwrap();
    let jump = r#"[{"type":"jump","player_guid":"41","match_id":"now"}]"#;
    service.client.send(jump).await.assert_batch(202, 1, &[]);
    service.client.settled().await;
    proxy.cut().await;
    store_becomes(&service, "clickhouse", false).await;
    // By our id, and while another match is played as their server calls them.
    for id in [&ids[0].to_string(), "morning"] {
        let reply = sum_up_for_axis(&service.client, id).await;
        assert_eq!((reply.status.as_u16(), &reply.json()["match_id"]), (202, &json!(id)), "{}", reply.text);
    }
    service.application.stop(std::time::Duration::from_secs(10)).await;

    let service = Service::restart_on(&urls, &settings, &token).await;
    proxy.mend().await.unwrap();
    for id in &ids {
        eventually("the result is in the statistics", async || {
            let found = service.client.get(&format!("/api/v1/stats/match/{id}")).await;
            (found.status == 200 && found.json()["winning_team"] == "axis").then_some(())
        })
        .await;
    }
    let matches = service.client.get("/api/v1/stats/matches").await.json();
    assert_eq!(matches["total"], 3, "no match was made of them: {matches}");
    service.stop().await;
}

#[actix_web::test]
async fn matches_that_end_while_postgres_is_away_are_summed_up_by_a_later_process() {
    let urls = schemas::database("summaries_owed").await;
    let (proxy, postgres_url) = cuttable(&urls.postgres_url).await;
    let data_dir = tempfile::tempdir().unwrap();
    let settings = [("POSTGRES_URL", postgres_url.as_str()), ("DATA_DIR", data_dir.path().to_str().unwrap())];
    let service = Service::start_on(&urls, &settings, Surroundings::default()).await;
    let token = service.client.token.clone();
    let kill = |name: &str| {
        json!([{"type": "kill", "match_id": name, "timestamp": 10, "attacker_guid": "41", "victim_guid": "42"}])
            .to_string()
    };
    service.client.send(kill("m0")).await.assert_batch(202, 1, &[]);
    service.client.settled().await;
    proxy.cut().await;
    store_becomes(&service, "postgres", false).await;
    // More than its tracker remembers, so that the next process knows nothing of the first.
    for number in 1..24 {
        service.client.send(kill(&format!("m{number}"))).await.assert_batch(202, 1, &[]);
    }
    eventually("those that are over are let go", async || {
        let followed = service.client.metrics().await.series(r#"mohaa_actor_instances{actor="match"}"#);
        // The first, which PostgreSQL may still have been asked about, may owe achievements until it is back.
        (followed <= 17.0).then_some(())
    })
    .await;
    service.stop().await;

    let service = Service::restart_on(&urls, &settings, &token).await;
    proxy.mend().await.unwrap();
    eventually("each that is over is summed up", async || {
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM match_summaries")
            .fetch_one(&service.application.postgres)
            .await
            .ok()?;
        (count == 23).then_some(())
    })
    .await;
    service.stop().await;
}

#[actix_web::test]
async fn ratings_that_clickhouse_does_not_get_are_said_to_be_behind() {
    let urls = schemas::database("ratings_away").await;
    let (proxy, clickhouse_url) = cuttable(&urls.clickhouse_url).await;
    let service =
        Service::start_on(&urls, &[("CLICKHOUSE_URL", &clickhouse_url)], Surroundings::default()).await;
    let lag_where = async |is_meant: &dyn Fn(f64) -> bool| {
        eventually("ratings are as far behind", async || {
            let seconds = service.client.metrics().await.value("mohaa_rating_copy_lag_seconds");
            is_meant(seconds).then_some(seconds)
        })
        .await
    };
    eventually("ratings are kept, which begins before roll-ups are compared", async || {
        (service.client.metrics().await.value("mohaa_rollup_comparisons_total") >= 1.0).then_some(())
    })
    .await;
    lag_where(&|seconds| seconds == 0.0).await;
    proxy.cut().await;
    let look = "SELECT pg_notify('match_summaries', '')";
    sqlx::query(look).execute(&service.application.postgres).await.unwrap();
    let seconds = lag_where(&|seconds| seconds > 0.0).await;
    lag_where(&|later| later > seconds + 1.0).await;
    proxy.mend().await.unwrap();
    lag_where(&|seconds| seconds == 0.0).await;
    service.stop().await;
}
