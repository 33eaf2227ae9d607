//! Which match of a server is the live one.

use serde_json::json;

use crate::support::{Service, eventually};

/// Waits until `total` matches are known, and these are live.
async fn assert_live(service: &Service, total: u64, expected: &[&str]) {
    eventually(&format!("{total} matches are known"), async || {
        let all = service.client.get("/api/v1/stats/matches").await.json();
        (all["total"] == total).then_some(())
    })
    .await;
    eventually(&format!("{expected:?} are live"), async || {
        let live = service.client.get("/api/v1/stats/live").await.json();
        let matches = live["matches"].as_array().unwrap();
        let mut ids: Vec<&str> =
            matches.iter().map(|live| live["source_match_id"].as_str().unwrap()).collect();
        ids.sort_unstable();
        (ids == expected).then_some(())
    })
    .await;
}

#[actix_web::test]
async fn of_matches_that_one_request_opens_only_the_last_is_live() {
    let service = Service::start("live_in_one").await;
    let events = json!([
        {"type": "match_start", "match_id": "A", "timestamp": 0.1},
        {"type": "jump", "match_id": "A", "timestamp": 300},
        {"type": "match_start", "match_id": "B", "timestamp": 0.1},
        {"type": "jump", "match_id": "B", "timestamp": 5},
    ]);
    service.client.send(events.to_string()).await.assert_batch(202, 4, &[]);
    assert_live(&service, 2, &["B"]).await;
    // A late batch of an earlier match does not bring it back.
    service.client.send(r#"[{"type":"jump","match_id":"A","timestamp":301}]"#).await.assert_batch(
        202,
        1,
        &[],
    );
    service.client.settled().await;
    assert_live(&service, 2, &["B"]).await;
    service.stop().await;
}

#[actix_web::test]
async fn a_match_that_is_opened_later_is_the_live_one_whatever_its_clock_says() {
    let service = Service::start("live_clock").await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    for (id, seconds_ago) in [("C", 50), ("D", 100)] {
        let event = json!([{"type": "match_start", "match_id": id, "timestamp": now - seconds_ago}]);
        service.client.send(event.to_string()).await.assert_batch(202, 1, &[]);
    }
    assert_live(&service, 2, &["D"]).await;
    let earlier = service.client.get("/api/v1/stats/match/C").await.json();
    let current = service.client.get("/api/v1/stats/match/D").await.json();
    assert_eq!((&earlier["status"], &current["status"]), (&"ended".into(), &"live".into()));
    service.stop().await;
}

#[actix_web::test]
async fn the_page_of_an_id_that_several_servers_use_offers_their_matches() {
    let service = Service::start("ambiguous").await;
    let (_, other_token) = service.add_server("Other <b>").await;
    let event = r#"[{"type":"match_start","match_id":"shared","timestamp":"0.1"}]"#;
    service.client.send(event).await.assert_batch(202, 1, &[]);
    let headers = [("X-Server-Token", other_token.as_str())];
    service.client.post("/api/v1/ingest/events", &headers, event).await.unwrap().assert_batch(202, 1, &[]);
    assert_live(&service, 2, &["shared", "shared"]).await;
    let page = service.client.get("/matches/shared").await;
    assert_eq!(page.status.as_u16(), 409);
    let candidates = service.client.get("/api/v1/stats/match/shared").await.json()["candidates"].clone();
    let candidates = candidates.as_array().unwrap();
    assert_eq!(candidates.len(), 2);
    for candidate in candidates {
        let href = format!("/matches/{}", candidate["match_id"].as_str().unwrap());
        assert!(page.text.contains(&href), "{}", page.text);
        assert_eq!(service.client.get(&href).await.status.as_u16(), 200);
    }
    assert!(page.text.contains("Other &lt;b&gt;"), "{}", page.text);
    service.stop().await;
}

#[actix_web::test]
async fn of_many_matches_of_a_server_the_last_are_followed_and_each_is_summed_up() {
    const MATCHES: i64 = 40;
    let service = Service::start("many_matches").await;
    service.client.send(r#"[{"type":"jump","match_id":"m0"}]"#).await.assert_batch(202, 1, &[]);
    assert_live(&service, 1, &["m0"]).await;
    let events: Vec<_> = (0..MATCHES)
        .map(|number| json!({"type": "kill", "match_id": format!("m{number}"), "timestamp": 10, "attacker_guid": "1001", "victim_guid": "1002"}))
        .collect();
    service.client.send(json!(events).to_string()).await.assert_batch(202, 40, &[]);
    assert_live(&service, 40, &["m39"]).await;
    eventually("all but the last are summed up", async || {
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM match_summaries")
            .fetch_one(&service.application.postgres)
            .await
            .unwrap();
        (count == MATCHES - 1).then_some(())
    })
    .await;
    eventually("those that gave way are let go", async || {
        let followed = service.client.metrics().await.series(r#"mohaa_actor_instances{actor="match"}"#);
        (followed <= 16.0).then_some(())
    })
    .await;
    // Late events still find their match.
    let kill =
        r#"[{"type":"kill","match_id":"m38","timestamp":11,"attacker_guid":"1001","victim_guid":"1002"}]"#;
    service.client.send(kill).await.assert_batch(202, 1, &[]);
    eventually("its summary has both kills", async || {
        let kills: Option<i64> = sqlx::query_scalar(
            "SELECT (players -> 0 -> 'kills')::bigint FROM match_summaries WHERE source_match_id = 'm38'",
        )
        .fetch_optional(&service.application.postgres)
        .await
        .unwrap();
        (kills == Some(2)).then_some(())
    })
    .await;
    service.stop().await;
}
