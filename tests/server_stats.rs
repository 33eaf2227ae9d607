//! One server on HTTP, over rows in a real ClickHouse.

use actix_web::http::StatusCode;
use mohaa_domain::event::{Event, Stamp};
use mohaa_domain::vocabulary::EventType;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::statistics::{MAP, SERVER, StatsUnderTest, between, event, kill};
use crate::support::{Service, eventually};

fn path() -> String {
    format!("/api/v1/stats/server/{SERVER}")
}

fn on(map: &str, mut row: (Event, Stamp)) -> (Event, Stamp) {
    row.1.map_name = map.into();
    row
}

async fn add_server(this: &StatsUnderTest) {
    sqlx::query(
        "INSERT INTO servers (id, name, address, port, approved_at, last_seen_at)
         VALUES ($1, '^1Omaha', '203.0.113.5', 12203, now(), now())",
    )
    .bind(SERVER)
    .execute(&this.postgres)
    .await
    .unwrap();
}

#[actix_web::test]
async fn a_server_tells_what_was_played_on_it_and_when_it_was_busy() {
    let this = StatsUnderTest::start("server_stats").await;
    add_server(&this).await;
    let mut of_a_bot = kill("bot", "2", "2026-11-22T11:30:00Z", 1);
    of_a_bot.1.player_bot = true;
    let mut elsewhere = kill("9", "8", "2026-11-22T11:00:00Z", 5);
    elsewhere.1.server_id = Uuid::from_u128(0x5e2);
    this.store(&[
        kill("1", "2", "2026-11-22T11:00:00Z", 1),
        kill("1", "3", "2026-11-22T11:59:59Z", 1),
        of_a_bot,
        event(EventType::Heartbeat, "2026-11-22T12:00:00Z", 1),
        kill("1", "4", "2026-11-20T10:00:00Z", 2),
        on("obj/obj_team2", kill("1", "2", "2026-11-19T10:00:00Z", 3)),
        kill("1", "2", "2026-08-01T10:00:00Z", 4),
        elsewhere,
    ])
    .await;
    let server = this.get(&path()).await.json();
    assert_eq!(
        (&server["name"], &server["address"], &server["online"]),
        (&"^1Omaha".into(), &"203.0.113.5:12203".into(), &true.into())
    );
    assert_eq!(
        (&server["map_name"], &server["player_count"]),
        (&Value::Null, &Value::Null),
        "nothing is live here"
    );
    assert_eq!((&server["total_matches"], &server["total_kills"]), (&4.into(), &5.into()));
    assert_eq!(server["unique_players"], 4, "and a bot");
    assert_eq!(server["last_activity"], "2026-11-22T12:00:00Z");
    assert_eq!(
        (&server["top_players"][0]["player_id"], &server["top_players"][0]["kills"]),
        (&"1".into(), &5.into())
    );
    assert_eq!((&server["maps"][0]["map_name"], &server["maps"][0]["plays"]), (&MAP.into(), &3.into()));

    let activity = server["activity"].as_array().unwrap();
    assert_eq!((activity.len(), &activity[0]["hour"]), (24, &"2026-11-21T13:00:00Z".into()));
    assert_eq!(activity[22], json!({"hour": "2026-11-22T11:00:00Z", "players": 3, "events": 3}));
    assert_eq!(activity[23], json!({"hour": "2026-11-22T12:00:00Z", "players": 0, "events": 1}));
    for (period, hours, events) in [("week", 168, 6), ("month", 744, 6), ("day", 24, 4)] {
        let server = this.get(&format!("{}?period={period}", path())).await.json();
        let activity = server["activity"].as_array().unwrap();
        assert_eq!(activity.len(), hours, "{period}");
        assert_eq!(
            activity.iter().map(|hour| hour["events"].as_u64().unwrap()).sum::<u64>(),
            events,
            "{period}"
        );
    }
    let wrong = this.get(&format!("{}?period=year", path())).await;
    assert_eq!((wrong.status.as_u16(), wrong.json()["fields"]["period"].is_string()), (422, true));
}

#[actix_web::test]
async fn two_ids_of_one_person_are_one_player_of_the_hour() {
    let this = StatsUnderTest::start("server_people").await;
    this.store(&[
        between(event(EventType::Jump, "2026-11-22T11:00:00Z", 1), "1", ""),
        between(event(EventType::Jump, "2026-11-22T11:10:00Z", 1), "engine-guid", ""),
    ])
    .await;
    assert_eq!(this.get(&path()).await.json()["unique_players"], 2);
    this.clickhouse
        .query("INSERT INTO player_links (player_id, canonical_id, version) VALUES ('engine-guid', '1', 1)")
        .execute()
        .await
        .unwrap();
    this.store(&[between(event(EventType::Jump, "2026-11-22T11:20:00Z", 1), "1", "")]).await;
    let server = this.get(&path()).await.json();
    assert_eq!((&server["unique_players"], &server["activity"][22]["players"]), (&1.into(), &1.into()));
    assert_eq!(server["activity"][22]["events"], 3);
}

#[actix_web::test]
async fn an_unknown_server_is_404_and_a_new_or_a_forgotten_one_is_shown() {
    let this = StatsUnderTest::start("server_known").await;
    for id in [SERVER.to_string(), "no-uuid".to_owned()] {
        let answer = this.get(&format!("/api/v1/stats/server/{id}")).await;
        assert_eq!(
            (answer.status, answer.json()["code"].clone()),
            (StatusCode::NOT_FOUND, "unknown_server".into())
        );
    }
    assert_eq!(this.get(&format!("/servers/{SERVER}")).await.status, StatusCode::NOT_FOUND);
    sqlx::query("INSERT INTO servers (id, name) VALUES ($1, 'Waiting')")
        .bind(SERVER)
        .execute(&this.postgres)
        .await
        .unwrap();
    assert_eq!(this.get(&path()).await.status, StatusCode::NOT_FOUND, "it waits for approval");
    sqlx::query("UPDATE servers SET approved_at = now()").execute(&this.postgres).await.unwrap();
    let new = this.get(&path()).await.json();
    assert_eq!(
        (&new["name"], &new["total_matches"], &new["last_activity"]),
        (&"Waiting".into(), &0.into(), &Value::Null)
    );
    assert_eq!((&new["online"], &new["address"]), (&false.into(), &Value::Null));
    let page = this.get(&format!("/servers/{SERVER}")).await;
    assert!(
        page.status == StatusCode::OK && page.text.contains("Nothing was played here yet"),
        "{}",
        page.text
    );

    sqlx::query("DELETE FROM servers").execute(&this.postgres).await.unwrap();
    this.store(&[kill("1", "2", "2026-11-22T11:00:00Z", 1)]).await;
    let forgotten = this.get(&path()).await.json();
    assert!(forgotten["name"].as_str().unwrap().starts_with("server 0000"), "{forgotten}");
}

#[actix_web::test]
async fn the_pages_of_servers_show_what_the_api_answers() {
    let this = StatsUnderTest::start("servers_pages").await;
    let empty = this.get("/servers").await;
    assert!(empty.text.contains("No server has reported yet"), "{}", empty.text);
    add_server(&this).await;
    this.store(&[kill("1", "2", "2026-11-22T11:00:00Z", 1)]).await;
    let list = this.get("/servers").await;
    assert!(list.text.contains(&format!("href=\"/servers/{SERVER}\"")), "{}", list.text);
    assert!(list.text.contains("<span class=\"c1\">Omaha</span>"), "{}", list.text);
    for period in ["", "?period=week", "?period=month"] {
        let page = this.get(&format!("/servers/{SERVER}{period}")).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text);
        for expected in ["203.0.113.5:12203", "<svg", "href=\"/maps/dm%2Fmohdm1\"", "href=\"/players/1\""] {
            assert!(page.text.contains(expected), "{period}: no {expected}: {}", page.text);
        }
    }
}

#[actix_web::test]
async fn who_is_on_a_server_is_told_while_they_play() {
    let service = Service::start("server_live").await;
    let kill = json!({
        "type": "player_kill", "match_id": "evening", "timestamp": 20.0, "weapon": "M1 Garand",
        "attacker_name": "^1Anna", "attacker_guid": "1001", "victim_name": "Bert", "victim_guid": "1002",
    });
    let start = json!({"type": "match_start", "match_id": "evening", "timestamp": 1.0, "map_name": "dm/mohdm1", "gametype": 2});
    service.client.send(json!([start, kill]).to_string()).await.assert_batch(202, 2, &[]);
    let path = format!("/api/v1/stats/server/{}", service.server_id);
    let server = eventually("the server's match is live", async || {
        let reply = service.client.get(&path).await;
        (reply.status == 200 && reply.json()["player_count"] == 2).then(|| reply.json())
    })
    .await;
    assert_eq!((&server["map_name"], &server["name"]), (&"dm/mohdm1".into(), &"Omaha Beach".into()));
    let page = service.client.get(&format!("/servers/{}", service.server_id)).await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert!(
        page.text.contains("Watch it live") && page.text.contains("<span class=\"c1\">Anna</span>"),
        "{}",
        page.text
    );
    service.stop().await;
}
