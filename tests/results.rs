//! Results of whole matches, while they are played and long after.

use serde_json::{Value, json};

use crate::support::{EventStream, PATIENCE, Reply, Service, eventually, schemas};

fn kill(match_id: &str) -> Value {
    json!({"type": "player_kill", "match_id": match_id, "timestamp": 20.0, "weapon": "M1 Garand", "map_name": "dm/mohdm1",
        "attacker_name": "A", "attacker_guid": "1001", "victim_name": "B", "victim_guid": "1002"})
}

async fn send(service: &Service, events: Value) {
    let count = events.as_array().unwrap().len() as u64;
    service.client.send(events.to_string()).await.assert_batch(202, count, &[]);
}

async fn sum_up(service: &Service, result: &Value) -> Reply {
    // As scripts do it: JSON under a form's label.
    let headers = [
        ("X-Server-Token", service.client.token.as_str()),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ];
    service.client.post("/api/v1/ingest/match-result", &headers, result.to_string()).await.unwrap()
}

/// The match once this is true of it.
async fn stored(service: &Service, id: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    eventually("the match is as it was summed up", async || {
        let reply = service.client.get(&format!("/api/v1/stats/match/{id}")).await;
        (reply.status == 200).then(|| reply.json()).filter(&is_it)
    })
    .await
}

async fn events_stored(service: &Service) -> u64 {
    service.client.settled().await;
    service.warehouse.count("SELECT count() FROM raw_events").await
}

#[actix_web::test]
async fn a_result_ends_the_match_that_is_played_once_however_often_it_is_sent() {
    let service = Service::start("result_live").await;
    send(&service, json!([kill("evening")])).await;
    let match_id = eventually("the match is live", async || {
        let live = service.client.get("/api/v1/stats/live").await.json();
        live["matches"][0]["match_id"].as_str().map(str::to_owned)
    })
    .await;
    let mut viewer = EventStream::open(&format!("{}/api/v1/live/evening", service.client.url), None).await;
    let result = json!({
        "match_id": "evening", "map_name": "dm/mohdm1", "gametype": "tdm", "duration": 640, "winning_team": "axis",
        "allies_score": "3", "axis_score": 5, "total_rounds": 8, "players": [{"player_id": "1001", "team": "allies", "score": 3}],
        "match_token": "s3cret",
    });
    for _ in 0..3 {
        let reply = sum_up(&service, &result).await;
        assert_eq!(
            (reply.status.as_u16(), reply.json()),
            (202, json!({"status": "accepted", "match_id": match_id}))
        );
    }
    let end = viewer.next_of("end").await;
    assert_eq!(
        (&end.data["winning_team"], &end.data["allies_score"], &end.data["axis_score"]),
        (&json!("axis"), &json!(3), &json!(5))
    );
    let over =
        stored(&service, "evening", |found| found["status"] == "ended" && found["axis_score"] == 5).await;
    assert_eq!(
        (&over["winning_team"], &over["duration_seconds"], &over["allies_score"]),
        (&json!("axis"), &json!(640), &json!(3))
    );
    assert_eq!(sum_up(&service, &result).await.status, 202);
    assert_eq!(events_stored(&service).await, 2, "once");
    let rows = service.warehouse.rows("SELECT toString(tuple(*)) AS row FROM raw_events").await;
    assert!(!format!("{rows:?}").contains("s3cret"), "{rows:?}");
    service.stop().await;
}

#[actix_web::test]
async fn a_match_that_is_over_is_corrected_and_ends_when_it_ended() {
    let service = Service::start("result_late").await;
    let end = json!({"type": "match_end", "match_id": "evening", "timestamp": 60.0, "winning_team": "allies", "allies_score": 2, "axis_score": 1});
    send(&service, json!([kill("evening"), end])).await;
    send(&service, json!([kill("later")])).await;
    let before =
        stored(&service, "evening", |found| found["status"] == "ended" && found["allies_score"] == 2).await;
    let match_id = before["match_id"].as_str().unwrap().to_owned();
    // By our id as well as by theirs, and back again.
    for (id, scores, winner) in
        [(match_id.as_str(), (1, 2), "axis"), ("evening", (4, 2), "allies"), (&match_id, (1, 2), "axis")]
    {
        let result =
            json!({"match_id": id, "winning_team": winner, "allies_score": scores.0, "axis_score": scores.1});
        let reply = sum_up(&service, &result).await;
        assert_eq!(
            (reply.status.as_u16(), &reply.json()["match_id"]),
            (202, &json!(match_id)),
            "{}",
            reply.text
        );
        let after = stored(&service, "evening", |found| found["allies_score"] == scores.0).await;
        assert_eq!((&after["winning_team"], &after["axis_score"]), (&json!(winner), &json!(scores.1)));
        let when = |found: &Value| found["ended_at"].as_str().unwrap()[..19].to_owned();
        let seconds = |found: &Value| {
            chrono::DateTime::parse_from_rfc3339(found["ended_at"].as_str().unwrap()).unwrap()
        };
        assert!(
            (seconds(&after) - seconds(&before)).num_milliseconds() < 100,
            "{} {}",
            when(&after),
            when(&before)
        );
    }
    let summed_up = eventually("the correction is where ratings begin", async || {
        let row: Option<(i32, i32, String, Value)> = sqlx::query_as(
            "SELECT allies_score, axis_score, winning_team, players FROM match_summaries WHERE match_id = $1",
        )
        .bind(match_id.parse::<uuid::Uuid>().unwrap())
        .fetch_optional(&service.application.postgres)
        .await
        .unwrap();
        row.filter(|row| (row.0, row.1) == (1, 2))
    })
    .await;
    assert_eq!(summed_up.2, "axis");
    let players: Vec<_> = summed_up
        .3
        .as_array()
        .unwrap()
        .iter()
        .map(|player| (&player["player_id"], &player["kills"]))
        .collect();
    assert_eq!(players, [(&json!("1001"), &json!(1)), (&json!("1002"), &json!(0))]);
    let list = service.client.get("/api/v1/stats/matches").await.json();
    assert_eq!(list["total"], 2, "no match was made of it: {list}");
    eventually("the match that is played is the only live one", async || {
        let live = service.client.get("/api/v1/stats/live").await.json();
        let live = live["matches"].as_array().unwrap();
        (live.len() == 1 && live[0]["source_match_id"] == "later").then_some(())
    })
    .await;
    service.stop().await;
}

#[actix_web::test]
async fn a_result_needs_its_own_servers_token_and_a_match() {
    let service = Service::start("result_refused").await;
    let (_, other_token) = service.add_server("Other").await;
    send(&service, json!([kill("evening")])).await;
    let found = stored(&service, "evening", |_| true).await;
    let headers = [("X-Server-Token", other_token.as_str())];
    let body = json!({"match_id": found["match_id"], "winning_team": "axis"}).to_string();
    let reply = service.client.post("/api/v1/ingest/match-result", &headers, body).await.unwrap();
    reply.assert_refused(403, "not_your_match");
    let named = json!({"match_id": "evening", "server_id": uuid::Uuid::new_v4()});
    sum_up(&service, &named).await.assert_refused(403, "not_your_match");
    let nowhere = json!({"match_id": uuid::Uuid::new_v4()});
    sum_up(&service, &nowhere).await.assert_refused(404, "unknown_match");
    for wrong in [json!({}), json!({"match_id": ""}), json!([]), json!({"match_id": "no_match"})] {
        sum_up(&service, &wrong).await.assert_refused(422, "validation_failed");
    }
    let reply = service.client.call("POST", "/api/v1/ingest/match-result", &[], "{}").await;
    reply.assert_refused(401, "missing_token");
    // Where a match is played, a wrong name ends nothing.
    let typo = json!({"match_id": "evenign", "winning_team": "axis"});
    sum_up(&service, &typo).await.assert_refused(404, "unknown_match");
    let end = json!({"type": "match_end", "match_id": "evening", "timestamp": 90.0});
    send(&service, json!([end])).await;
    eventually("nothing is played", async || {
        let live = service.client.get("/api/v1/stats/live").await.json();
        (live["matches"] == json!([])).then_some(())
    })
    .await;
    // A match of which nothing is known but its result.
    // What scripts write that is no number costs the result nothing else.
    let result = r#"{"match_id": "unheard", "winning_team": "axis", "duration": -nan(ind), "total_rounds": 1e400, "allies_score": 1, "axis_score": 4}"#;
    let headers = [("X-Server-Token", service.client.token.as_str())];
    let reply = service.client.post("/api/v1/ingest/match-result", &headers, result).await.unwrap();
    assert_eq!(reply.status, 202, "{}", reply.text);
    let over = stored(&service, "unheard", |found| found["status"] == "ended").await;
    assert_eq!((&over["winning_team"], &over["axis_score"]), (&json!("axis"), &json!(4)));
    service.stop().await;
}

#[actix_web::test]
async fn of_results_that_come_close_together_the_last_one_holds_everywhere() {
    let service = Service::start("result_burst").await;
    let end = json!({"type": "match_end", "match_id": "evening", "timestamp": 60.0, "winning_team": "allies", "allies_score": 2, "axis_score": 1});
    send(&service, json!([kill("evening"), end])).await;
    let before = stored(&service, "evening", |found| found["status"] == "ended").await;
    let result = |allies: i32, axis: i32| {
        let winner = if allies > axis { "allies" } else { "axis" };
        json!({"match_id": "evening", "winning_team": winner, "allies_score": allies, "axis_score": axis})
    };
    for (allies, axis) in [(1, 2), (3, 1), (1, 2), (1, 2), (7, 8)] {
        assert_eq!(sum_up(&service, &result(allies, axis)).await.status, 202);
    }
    let after = stored(&service, "evening", |found| found["axis_score"] == 8).await;
    assert_eq!((&after["allies_score"], &after["winning_team"]), (&json!(7), &json!("axis")));
    assert_eq!(events_stored(&service).await, 2 + 4, "what came twice in a row is one");
    let match_id = before["match_id"].as_str().unwrap();
    eventually("the summary says the same", async || {
        let scores: Option<(i32, i32)> =
            sqlx::query_as("SELECT allies_score, axis_score FROM match_summaries WHERE match_id = $1")
                .bind(match_id.parse::<uuid::Uuid>().unwrap())
                .fetch_optional(&service.application.postgres)
                .await
                .unwrap();
        (scores == Some((7, 8))).then_some(())
    })
    .await;
    service.stop().await;
}

#[actix_web::test]
async fn a_match_that_ends_just_before_a_stop_is_summed_up_by_the_next_start_and_corrected_later() {
    let urls = schemas::database("result_restart").await;
    let data_dir = tempfile::tempdir().unwrap();
    let settings = [("DATA_DIR", data_dir.path().to_str().unwrap())];
    let service = Service::start_on(&urls, &settings, Default::default()).await;
    let token = service.client.token.clone();
    send(&service, json!([kill("evening")])).await;
    stored(&service, "evening", |_| true).await;
    // Nothing of it may be told before the stop.
    sqlx::query("ALTER TABLE match_summaries RENAME TO not_there")
        .execute(&service.application.postgres)
        .await
        .unwrap();
    let end = json!({"type": "match_end", "match_id": "evening", "timestamp": 60.0, "winning_team": "allies", "allies_score": 2, "axis_score": 1});
    send(&service, json!([end])).await;
    stored(&service, "evening", |found| found["status"] == "ended").await;
    sqlx::query("ALTER TABLE not_there RENAME TO match_summaries")
        .execute(&service.application.postgres)
        .await
        .unwrap();
    service.application.stop(PATIENCE).await;

    let service = Service::start_on(&urls, &settings, Default::default()).await;
    let scores = async || -> Option<(i32, i32)> {
        sqlx::query_as("SELECT allies_score, axis_score FROM match_summaries")
            .fetch_optional(&service.application.postgres)
            .await
            .unwrap()
    };
    eventually("it is summed up", async || (scores().await == Some((2, 1))).then_some(())).await;
    let won =
        "SELECT count(*) FROM player_achievements WHERE player_id = '1001' AND achievement LIKE 'matches%'";
    eventually("what is earned at the end is earned", async || {
        let count: i64 = sqlx::query_scalar(won).fetch_one(&service.application.postgres).await.unwrap();
        (count > 0).then_some(())
    })
    .await;
    let headers = [("X-Server-Token", token.as_str())];
    let body = json!({"match_id": "evening", "winning_team": "axis", "allies_score": 0, "axis_score": 4})
        .to_string();
    let reply = service.client.post("/api/v1/ingest/match-result", &headers, body).await.unwrap();
    assert_eq!(reply.status, 202, "{}", reply.text);
    eventually("the summary is corrected", async || (scores().await == Some((0, 4))).then_some(())).await;
    service.stop().await;
}
