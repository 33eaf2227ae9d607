//! RATE_LIMITS: per user, server or address, told in headers, shared between nodes.

use mohaa_stats::startup::Surroundings;
use mohaa_stats::users::Role;
use serde_json::json;

use crate::support::{Reply, Service, eventually, schemas};

const LIMITS: &str = "ingest=5/h,events=40/h,api=6/h,auth=3/h,register=2/h";

async fn started(name_hint: &str, settings: &[(&str, &str)]) -> Service {
    Service::start_with(name_hint, settings, Surroundings::default()).await
}

#[track_caller]
fn remaining(reply: &Reply) -> u32 {
    assert!(reply.header("ratelimit-limit").is_some() && reply.header("ratelimit-reset").is_some());
    reply.header("ratelimit-remaining").unwrap().parse().unwrap()
}

fn jumps(count: usize) -> String {
    json!(vec![json!({"type": "jump", "match_id": "m", "timestamp": 20.0}); count]).to_string()
}

#[actix_web::test]
async fn who_has_used_up_a_limit_waits_and_others_do_not() {
    let service = started("limits", &[("RATE_LIMITS", LIMITS), ("TRUSTED_PROXIES", "127.0.0.0/8")]).await;
    let from = |address: &'static str| [("X-Forwarded-For", address)];
    let list = "/api/v1/stats/live";
    for left in (0..6).rev() {
        assert_eq!(remaining(&service.client.get_with(list, &from("198.51.100.1")).await), left);
    }
    let refused = service.client.get_with(list, &from("198.51.100.1")).await;
    refused.assert_refused(429, "rate_limited");
    assert_eq!(remaining(&refused), 0);
    let page = service.client.get_with("/", &from("198.51.100.1")).await;
    assert_eq!(page.status, 429, "pages and calls are one kind");
    assert!(page.text.contains("</nav>"), "people get a page that says so");
    for refused in [&refused, &page] {
        for (name, value) in [
            ("cache-control", "no-store"),
            ("x-frame-options", "DENY"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(refused.header(name), Some(value), "{name}");
        }
        assert!(refused.header("content-security-policy").unwrap().contains("frame-ancestors 'none'"));
    }

    // What the client writes itself before the proxy's word is not believed.
    let forged = service.client.get_with(list, &from("192.0.2.9, 198.51.100.1")).await;
    forged.assert_refused(429, "rate_limited");
    assert_eq!(remaining(&service.client.get_with(list, &from("198.51.100.2")).await), 5);
    // A /64 is one client.
    assert_eq!(remaining(&service.client.get_with(list, &from("2001:db8::1")).await), 5);
    assert_eq!(remaining(&service.client.get_with(list, &from("2001:db8::2")).await), 4);

    let (_, token) = service.add_user("Anna", Role::Player).await;
    let bearer = format!("Bearer {token}");
    let headers = [("X-Forwarded-For", "198.51.100.1"), ("Authorization", bearer.as_str())];
    assert_eq!(remaining(&service.client.get_with(list, &headers).await), 5, "a user is counted as such");

    for probe in ["/health", "/ready", "/metrics"] {
        let reply = service.client.get_with(probe, &from("198.51.100.1")).await;
        assert_eq!((reply.status.as_u16(), reply.header("ratelimit-limit")), (200, None), "{probe}");
    }
    let metrics = service.client.metrics().await;
    assert_eq!(metrics.series(r#"mohaa_requests_limited_total{calls="api"}"#), 3.0);
    service.stop().await;
}

#[actix_web::test]
async fn signing_in_and_registering_have_limits_of_their_own() {
    let service = started("auth_limits", &[("RATE_LIMITS", LIMITS)]).await;
    for _ in 0..3 {
        assert_eq!(service.client.call("POST", "/api/v1/auth/device/init", &[], "").await.status, 200);
    }
    service
        .client
        .call("POST", "/api/v1/auth/device/init", &[], "")
        .await
        .assert_refused(429, "rate_limited");
    for _ in 0..2 {
        let reply = service.client.call("POST", "/api/v1/servers/register", &[], "{}").await;
        reply.assert_refused(403, "registration_closed");
    }
    service
        .client
        .call("POST", "/api/v1/servers/register", &[], "{}")
        .await
        .assert_refused(429, "rate_limited");
    // However the path is written.
    for path in ["/api/v1/%61uth/device/init", "/api/v1/servers/%72egister"] {
        let reply = service.client.call("POST", path, &[], "{}").await;
        reply.assert_refused(429, "rate_limited");
    }
    service.stop().await;
}

#[actix_web::test]
async fn a_game_server_is_limited_as_such_by_requests_and_by_events() {
    let service = started("ingest_limits", &[("RATE_LIMITS", LIMITS)]).await;
    let (_, token) = service.add_server("Second").await;
    let second = service.client.with_token(&token);
    for left in (0..5).rev() {
        let reply = service.client.send(jumps(1)).await;
        reply.assert_batch(202, 1, &[]);
        assert_eq!(remaining(&reply), left);
    }
    service.client.send(jumps(1)).await.assert_refused(429, "rate_limited");
    // From the same address.
    second.send(jumps(30)).await.assert_batch(202, 30, &[]);
    second.send(jumps(20)).await.assert_refused(429, "rate_limited");
    second.send(jumps(10)).await.assert_batch(202, 10, &[]);
    let metrics = service.client.settled().await;
    assert_eq!(metrics.series(r#"mohaa_events_rejected_total{reason="rate_limited"}"#), 21.0);
    service.stop().await;
}

#[actix_web::test]
async fn a_request_with_more_events_than_the_limit_is_taken_and_paid_for() {
    let service = started("event_debts", &[("RATE_LIMITS", "ingest=100/h,events=40/h,quota=1000/d")]).await;
    let reply = service.client.send(jumps(100)).await;
    reply.assert_batch(202, 100, &[]);
    assert_eq!((remaining(&reply), reply.header("ratelimit-limit")), (0, Some("40")));
    let refused = service.client.send(jumps(1)).await;
    refused.assert_refused(429, "rate_limited");
    let seconds: u32 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!(seconds > 3_600, "sixty events at forty an hour are owed: {seconds}");
    // Others have buckets of their own; what is tightest is told.
    let (_, token) = service.add_server("Second").await;
    let second = service.client.with_token(&token);
    let reply = second.send(jumps(10)).await;
    assert_eq!((remaining(&reply), reply.header("ratelimit-limit")), (30, Some("40")));
    second.send(jumps(41)).await.assert_refused(429, "rate_limited");
    service.stop().await;
}

#[actix_web::test]
async fn a_quota_is_told_where_it_is_what_is_left_the_least_of() {
    let service = started("quota_headers", &[("RATE_LIMITS", "ingest=100/s,events=100/s,quota=40/d")]).await;
    let reply = service.client.send(jumps(10)).await;
    assert_eq!((remaining(&reply), reply.header("ratelimit-limit")), (30, Some("40")));
    service.stop().await;
}

#[actix_web::test]
async fn a_game_server_has_a_quota_for_the_long_run() {
    let service = started("quota", &[("RATE_LIMITS", "events=1000/s,quota=40/d")]).await;
    let (_, token) = service.add_server("Second").await;
    service.client.send(jumps(40)).await.assert_batch(202, 40, &[]);
    let refused = service.client.send(jumps(1)).await;
    refused.assert_refused(429, "rate_limited");
    let seconds: u32 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!(seconds > 1_000, "it fills up over the day: {seconds}");
    service.client.with_token(&token).send(jumps(1)).await.assert_batch(202, 1, &[]);
    service.stop().await;
}

#[actix_web::test]
async fn what_was_used_at_one_node_is_gone_at_another() {
    let urls = schemas::database("shared_limits").await;
    let settings = [("RATE_LIMITS", "api=6/h")];
    let one = Service::start_on(&urls, &settings, Surroundings::default()).await;
    let other = Service::start_on(&urls, &settings, Surroundings::default()).await;
    let (_, token) = one.add_user("Anna", Role::Player).await;
    let list = "/api/v1/users/me";
    for _ in 0..6 {
        assert_eq!(one.client.get_as(&token, list).await.status, 200);
    }
    // The other node hears of it a moment after it has told that somebody asks there.
    eventually("the other node refuses too", async || {
        (other.client.get_as(&token, list).await.status == 429).then_some(())
    })
    .await;
    let metrics = other.client.metrics().await;
    assert!(metrics.series(r#"mohaa_requests_limited_total{calls="api"}"#) >= 1.0);
    other.stop().await;
    one.stop().await;
}

async fn wrong_device_code(service: &Service) -> Reply {
    service.client.call("POST", "/api/v1/auth/device/poll", &[], r#"{"device_code":"wrong"}"#).await
}

#[actix_web::test]
async fn who_guesses_codes_has_no_more_tries_at_several_nodes_than_at_one() {
    let urls = schemas::database("shared_guesses").await;
    let one = Service::start_on(&urls, &[], Surroundings::default()).await;
    let other = Service::start_on(&urls, &[], Surroundings::default()).await;
    let at_once = (0..40).map(|number| wrong_device_code(if number % 2 == 0 { &one } else { &other }));
    let replies = futures_util::future::join_all(at_once).await;
    let heard = replies.iter().filter(|reply| reply.status == 400).count();
    assert!((1..=20).contains(&heard), "{heard} of forty guesses were listened to");
    for _ in heard..20 {
        assert_eq!(wrong_device_code(&other).await.status, 400, "one that was refused is no guess");
    }
    for node in [&one, &other] {
        wrong_device_code(node).await.assert_refused(429, "too_many_guesses");
    }
    other.stop().await;
    one.stop().await;
}

#[actix_web::test]
async fn codes_that_are_right_are_no_guesses_at_any_node() {
    let service = Service::start("right_codes").await;
    let begun = service.client.call("POST", "/api/v1/auth/device/init", &[], "{}").await.json();
    let body = json!({"device_code": begun["device_code"]}).to_string();
    for _ in 0..30 {
        let reply = service.client.call("POST", "/api/v1/auth/device/poll", &[], body.clone()).await;
        assert_eq!(reply.status, 400, "{}", reply.text);
    }
    assert_eq!(wrong_device_code(&service).await.status, 400);
    service.stop().await;
}

#[actix_web::test]
async fn a_node_soon_tells_what_is_left_of_what_was_used_at_all_nodes() {
    let urls = schemas::database("shared_headers").await;
    let settings = [("RATE_LIMITS", "api=100/h")];
    let one = Service::start_on(&urls, &settings, Surroundings::default()).await;
    let other = Service::start_on(&urls, &settings, Surroundings::default()).await;
    let (_, token) = one.add_user("Anna", Role::Player).await;
    let list = "/api/v1/users/me";
    for left in (50..100).rev() {
        assert_eq!(remaining(&one.client.get_as(&token, list).await), left);
    }
    let mut asked = 0;
    eventually("the other node tells of them too", async || {
        asked += 1;
        let left = 50_u32.checked_sub(asked).expect("it tells before all is used up");
        (remaining(&other.client.get_as(&token, list).await) == left).then_some(())
    })
    .await;
    other.stop().await;
    one.stop().await;
}
