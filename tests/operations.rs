//! What operators and balancers rely on.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::json;

use mohaa_stats::routes;
use mohaa_stats::startup::Surroundings;
use mohaa_stats::users::Role;

use crate::support::{EventStream, Service, eventually, schemas};

#[actix_web::test]
async fn health_readiness_and_metrics_tell_what_operators_watch() {
    let service = Service::start("operations").await;
    let health = service.client.get("/health").await;
    assert_eq!((health.status.as_u16(), &health.json()["status"]), (200, &"ok".into()));
    let ready = eventually("all stores answer", async || {
        let ready = service.client.get("/ready").await;
        (ready.json()["degraded"] == false).then_some(ready)
    })
    .await;
    assert_eq!(ready.status.as_u16(), 200);
    let answer = ready.json();
    assert_eq!((&answer["ready"], &answer["queue_depth"]), (&true.into(), &0.into()), "{answer}");
    for check in ["postgres", "clickhouse", "redis", "spool"] {
        assert_eq!(answer["checks"][check]["ok"], true, "{answer}");
    }
    service.client.send(r#"[{"type":"jump"},{"type":"jump"},7]"#).await.assert_batch(202, 2, &[2]);
    let metrics = service.client.settled().await;
    for name in [
        "mohaa_events_ingested_total",
        "mohaa_events_processed_total",
        "mohaa_worker_queue_depth",
        "mohaa_batch_insert_duration_seconds_bucket",
        "mohaa_batch_insert_duration_seconds_count",
        "mohaa_events_load_shed_total",
        "mohaa_events_failed_total",
        "mohaa_events_rejected_total",
        "mohaa_spool_bytes",
        "mohaa_spool_oldest_record_seconds",
        "mohaa_dead_letters",
        "mohaa_ingest_to_queryable_seconds_count",
        "mohaa_mailbox_depth",
        "mohaa_mailbox_capacity",
        "mohaa_mailbox_rejected_total",
        "mohaa_mailbox_wait_seconds_count",
        "mohaa_actor_handling_seconds_count",
        "mohaa_actor_restarts_total",
        "mohaa_actor_instances",
        "mohaa_actor_last_progress_seconds",
        "mohaa_http_requests_total",
    ] {
        assert!(metrics.has(name), "{name} is missing");
    }
    assert_eq!(metrics.value("mohaa_events_ingested_total"), 3.0);
    assert_eq!(metrics.value("mohaa_events_processed_total"), 2.0);
    assert_eq!(metrics.value("mohaa_events_rejected_total"), 1.0);
    service.stop().await;
}

/// As the health check of a container asks, with the settings of the service.
#[actix_web::test]
async fn the_health_command_tells_a_service_that_answers_from_one_that_does_not() {
    let service = Service::start("health_command").await;
    let listen = service.application.address.to_string();
    let ask = async || {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_mohaa-stats"));
        command.arg("health").env_clear().env("LISTEN", &listen).output().await.unwrap()
    };
    let there = ask().await;
    assert!(there.status.success() && there.stdout.is_empty(), "{there:?}");
    service.stop().await;
    let gone = ask().await;
    assert_eq!(gone.status.code(), Some(1), "{gone:?}");
}

#[actix_web::test]
async fn who_watches_is_counted_for_as_long_as_they_do_and_told_how_soon() {
    let service = Service::start("viewers").await;
    let kill = |second: u32| {
        json!([{"type": "player_kill", "match_id": "m", "timestamp": second, "attacker_guid": "1", "victim_guid": "2"}])
            .to_string()
    };
    service.client.send(kill(1)).await.assert_batch(202, 1, &[]);
    eventually("the match is live", async || {
        let live = service.client.get("/api/v1/stats/live").await.json();
        (live["matches"][0]["player_count"] == 2).then_some(())
    })
    .await;
    const OF_MATCHES: &str = r#"mohaa_live_viewers{stream="match"}"#;
    const OF_LISTS: &str = r#"mohaa_live_viewers{stream="list"}"#;
    let before = service.client.metrics().await;
    assert_eq!((before.series(OF_MATCHES), before.series(OF_LISTS)), (0.0, 0.0));
    assert_eq!(before.series(r#"mohaa_live_matches{state="whole"}"#), 1.0);
    assert_eq!(before.value("mohaa_ingest_to_viewer_seconds_count"), 0.0, "nobody watched");

    let url = format!("{}/api/v1/live", service.client.url);
    let viewer = EventStream::open(&format!("{url}/m"), None).await;
    let reader = EventStream::open(&url, None).await;
    service.client.send(kill(2)).await.assert_batch(202, 1, &[]);
    let watched = eventually("viewers were told", async || {
        let metrics = service.client.metrics().await;
        (metrics.value("mohaa_ingest_to_viewer_seconds_count") >= 1.0).then_some(metrics)
    })
    .await;
    assert_eq!((watched.series(OF_MATCHES), watched.series(OF_LISTS)), (1.0, 1.0));
    let sum = watched.value("mohaa_ingest_to_viewer_seconds_sum");
    assert!(sum < 60.0, "{sum} s: not the time since the match began");
    drop((viewer, reader));
    eventually("they are gone", async || {
        // A connection that was closed is noticed when something is sent.
        service.client.send(kill(3)).await.assert_batch(202, 1, &[]);
        let metrics = service.client.metrics().await;
        (metrics.series(OF_MATCHES) == 0.0).then_some(())
    })
    .await;
    service.stop().await;
}

#[actix_web::test]
async fn methods_that_nobody_knows_add_one_time_series_and_no_more() {
    let service = Service::start("methods").await;
    let client = mohaa_stats::simulate::courier::client().unwrap();
    for number in 0..20 {
        let method = reqwest::Method::from_bytes(format!("MADE{number}").as_bytes()).unwrap();
        for path in ["/", "/api/v1/ingest/events", "/nothing"] {
            let url = format!("{}{path}", service.application.url());
            let status = client.request(method.clone(), url).send().await.unwrap().status().as_u16();
            assert!(matches!(status, 404 | 405), "{method} {path}: {status}");
        }
    }
    let metrics = service.client.get("/metrics").await.text;
    assert!(!metrics.contains("MADE"));
    assert!(metrics.contains(r#"method="OTHER""#));
    service.stop().await;
}

#[actix_web::test]
async fn an_admin_sees_every_actor_with_its_mailbox_and_nobody_else_does() {
    let service = Service::start("ops_actors").await;
    let get = async |role| {
        let (_, token) = service.add_user("Anna", role).await;
        service.client.get_as(&token, "/api/v1/ops/actors").await
    };
    service.client.get("/api/v1/ops/actors").await.assert_refused(401, "not_signed_in");
    get(Role::Organizer).await.assert_refused(403, "not_allowed");

    service.client.send(r#"[{"type":"jump"}]"#).await.assert_batch(202, 1, &[]);
    let answer = get(Role::Admin).await.json();
    let actors = answer["actors"].as_array().unwrap();
    let batcher = actors.iter().find(|actor| actor["kind"] == "batcher").unwrap();
    assert_eq!(batcher["state"]["next_spool_seq"], 2, "{batcher}");
    assert!(batcher["handled"].as_u64().unwrap() >= 1, "{batcher}");
    assert_eq!((&batcher["restarts"], &batcher["failing"]), (&0.into(), &false.into()), "{batcher}");
    let writers = actors.iter().filter(|actor| actor["kind"] == "clickhouse_writer").count();
    assert_eq!(batcher["state"]["batches"]["writers"], writers);
    service.stop().await;
}

#[actix_web::test]
async fn metrics_can_be_kept_from_the_public_address() {
    let settings = [("OPS_LISTEN", "127.0.0.1:0")];
    let service = Service::start_with("ops_listen", &settings, Default::default()).await;
    service.client.get("/metrics").await.assert_refused(404, "not_found");
    assert_eq!(service.client.get("/health").await.status.as_u16(), 200);
    service.stop().await;
}

#[actix_web::test]
async fn the_contract_lists_every_route_that_answers_and_no_other() {
    let service = Service::start("contract").await;
    let contract = service.client.get("/api/openapi.json").await.json();
    assert!(contract["openapi"].as_str().unwrap().starts_with("3.1"), "{}", contract["openapi"]);
    let listed = contract["paths"].as_object().unwrap();
    let mut documented = BTreeSet::new();
    for (path, operations) in listed {
        documented.extend(
            operations.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone())),
        );
    }
    let is_for_programs =
        |path: &str| path.starts_with("/api/v1/") || matches!(path, "/health" | "/ready" | "/metrics");
    let answered: BTreeSet<(String, String)> = routes::all()
        .into_iter()
        .filter(|route| is_for_programs(route.path))
        .map(|route| (route.method.to_string(), route.path.replace(":.+}", "}")))
        .collect();
    assert_eq!(documented, answered);
    let ingest = &contract["paths"]["/api/v1/ingest/events"]["post"];
    assert!(contract["components"]["securitySchemes"]["server_token"].is_object());
    assert!(ingest["security"].as_array().is_some_and(|all| all.len() == 2), "{ingest}");
    assert!(ingest["responses"]["429"]["headers"]["Retry-After"].is_object(), "{ingest}");
    for (path, operations) in listed {
        if path.starts_with("/api/v1/stats/") {
            // Every one of them is conditional and takes no parameter that it doesn't know.
            // What is live is known here, whatever is away.
            let is_live = path.starts_with("/api/v1/stats/live");
            for status in
                ["200", "304", "422", "503"].into_iter().filter(|status| !is_live || *status != "503")
            {
                assert!(operations["get"]["responses"][status].is_object(), "{path} {status}");
            }
        }
        for (method, operation) in operations.as_object().unwrap() {
            assert!(operation["responses"].as_object().is_some_and(|all| !all.is_empty()), "{method} {path}");
        }
    }
    service.stop().await;
}

#[actix_web::test]
async fn a_request_keeps_its_id_and_gets_one_if_it_has_none() {
    let service = Service::start("request_id").await;
    for path in ["/health", "/api/v1/nothing", "/api/v1/stats/leaderboard"] {
        let reply = service.client.get_with(path, &[("X-Request-Id", "trace-1.a:b_c")]).await;
        assert_eq!(reply.header("x-request-id"), Some("trace-1.a:b_c"), "{path}");
    }
    let made: Vec<String> = [
        service.client.get("/health").await,
        service.client.get("/health").await,
        service.client.get_with("/health", &[("X-Request-Id", "with space")]).await,
    ]
    .iter()
    .map(|reply| reply.header("x-request-id").unwrap().to_owned())
    .collect();
    assert!(made.iter().all(|id| id.len() >= 16 && !id.contains(' ')), "{made:?}");
    assert_ne!(made[0], made[1]);
    let refused = service.client.post("/api/v1/ingest/events", &[("X-Request-Id", "r1")], "").await.unwrap();
    assert_eq!(refused.header("x-request-id"), Some("r1"));
    service.stop().await;
}

/// A promise, not a benchmark: half of five tries must keep it on a machine that is busy with other tests.
#[actix_web::test]
async fn an_accepted_event_is_in_the_answers_within_two_seconds() {
    let service = Service::start("queryable").await;
    service.client.send(r#"[{"type":"jump"}]"#).await.assert_batch(202, 1, &[]);
    service.client.settled().await;
    let mut took = Vec::new();
    for kills in 1..=5_u64 {
        let kill = json!([{"type": "kill", "attacker_guid": "41", "victim_guid": "42", "timestamp": kills}]);
        let began = Instant::now();
        service.client.send(kill.to_string()).await.assert_batch(202, 1, &[]);
        eventually("the kill is on the board", async || {
            let board = service.client.get("/api/v1/stats/leaderboard").await.json();
            (board["players"][0]["kills"] == kills).then_some(())
        })
        .await;
        took.push(began.elapsed());
    }
    took.sort();
    assert!(took[2] < Duration::from_secs(2), "{took:?}");
    service.stop().await;
}

/// Live matches outlive a moment what they were started with; a process may hold several services.
#[actix_web::test]
async fn a_stopped_service_leaves_no_connection_to_postgresql_open() {
    let urls = schemas::database("left_open").await;
    let service = Service::start_on(&urls, &[], Surroundings::default()).await;
    let kill = json!([{"type": "player_kill", "match_id": "m", "timestamp": 20.0, "weapon": "M1 Garand",
        "attacker_name": "A", "attacker_guid": "1", "victim_name": "B", "victim_guid": "2"}]);
    service.client.send(kill.to_string()).await.assert_batch(202, 1, &[]);
    eventually("the match is live", async || {
        let live = service.client.get("/api/v1/stats/live").await.json();
        (live["matches"][0]["player_count"] == 2).then_some(())
    })
    .await;
    service.stop().await;
    let observer = sqlx::PgPool::connect(&urls.postgres_url).await.unwrap();
    eventually("only the observer is connected", async || {
        let others: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
             AND backend_type = 'client backend' AND application_name = 'mohaa-stats'",
        )
        .fetch_one(&observer)
        .await
        .unwrap();
        (others == 0).then_some(())
    })
    .await;
    observer.close().await;
}
