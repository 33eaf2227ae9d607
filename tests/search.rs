//! Search by name on HTTP, over rows in real stores.

use actix_web::http::StatusCode;
use mohaa_domain::event::{Event, Stamp};
use mohaa_domain::vocabulary::EventType;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::statistics::{StatsUnderTest, between, event, kill};

/// `id` is seen under `name`.
fn seen(id: &str, name: &str, at: &str) -> (Event, Stamp) {
    let mut row = between(event(EventType::Jump, at, 1), id, "");
    row.0.player.name = name.into();
    row
}

async fn search(this: &StatsUnderTest, query: &str) -> Value {
    let answer = this.get(&format!("/api/v1/search?q={query}")).await;
    assert_eq!(answer.status, StatusCode::OK, "{query}: {}", answer.text);
    answer.json()
}

fn ids(found: &Value) -> Vec<&str> {
    found["players"].as_array().unwrap().iter().map(|player| player["player_id"].as_str().unwrap()).collect()
}

#[actix_web::test]
async fn players_are_found_by_any_name_they_had_the_best_first() {
    let this = StatsUnderTest::start("search_players").await;
    this.store(&[
        seen("part", "Old ^1hiro", "2026-11-22T11:00:00Z"),
        seen("prefix", "^3HIRO^7shi", "2026-11-22T10:00:00Z"),
        seen("exact", "^1H^2iro", "2026-11-01T10:00:00Z"),
        seen("once", "hiro", "2026-10-01T10:00:00Z"),
        seen("once", "^4Bert", "2026-11-20T10:00:00Z"),
        seen("nobody", "Anna", "2026-11-20T10:00:00Z"),
        seen("g_abcdefghijklmnop", "hiro", "2026-11-22T11:00:00Z"),
        seen("anon_1", "hiro", "2026-11-22T11:00:00Z"),
        seen("ashamed", "hiro", "2026-11-22T11:00:00Z"),
    ])
    .await;
    this.clickhouse
        .query("INSERT INTO player_links (player_id, canonical_id, version) VALUES ('ashamed', 'anon_2', 1)")
        .execute()
        .await
        .unwrap();
    this.store(&[]).await;
    let found = search(&this, "hiro").await;
    assert_eq!(ids(&found), ["once", "exact", "prefix", "part"]);
    let once = &found["players"][0];
    assert_eq!((&once["player_name"], &once["player_name_raw"]), (&"Bert".into(), &"^4Bert".into()));
    assert_eq!((&once["found_name"], &once["last_active"]), (&"hiro".into(), &"2026-11-20T10:00:00Z".into()));
    for same in ["HIRO", "%5E2hi%5E1RO", "%20hiro+"] {
        assert_eq!(ids(&search(&this, same).await).len(), 4, "{same}");
    }
    assert_eq!(ids(&search(&this, "iros").await), ["prefix"]);
    for strange in
        ["%25", "__", "h%25o", "'%20OR%201=1", "%5C%5C", "%7Bx%7D", "..", "%F0%9F%98%80%F0%9F%98%80"]
    {
        assert!(this.get(&format!("/api/v1/search?q={strange}")).await.status.as_u16() < 500, "{strange}");
        assert!(ids(&search(&this, &format!("x{strange}x")).await).is_empty(), "{strange}");
    }
}

#[actix_web::test]
async fn names_with_other_letters_are_found_in_either_case() {
    let this = StatsUnderTest::start("search_letters").await;
    this.store(&[seen("1", "ŁÓDŹ", "2026-11-22T11:00:00Z"), seen("2", "Привет", "2026-11-22T11:00:00Z")])
        .await;
    for (query, id) in [("łód", "1"), ("ŁÓD", "1"), ("привет", "2"), ("ПРИ", "2")] {
        let encoded = utf8_percent_encode(query, NON_ALPHANUMERIC).to_string();
        assert_eq!(ids(&search(&this, &encoded).await), [id], "{query}");
    }
}

#[actix_web::test]
async fn what_is_looked_for_has_two_to_sixty_four_characters() {
    let this = StatsUnderTest::start("search_length").await;
    for query in ["", "?q=", "?q=x", "?q=%5E1x", "?q=%20x%20", &format!("?q={}", "x".repeat(65))] {
        let answer = this.get(&format!("/api/v1/search{query}")).await;
        assert_eq!(answer.status.as_u16(), 422, "{query}: {}", answer.text);
        assert!(answer.json()["fields"]["q"].is_string(), "{query}");
    }
    let page = this.get("/search?q=x").await;
    assert!(page.status == StatusCode::OK && page.text.contains("at least 2 characters"), "{}", page.text);
    assert!(this.get("/search").await.text.contains("action=\"/search\""));
    assert_eq!(this.get("/search?q=xx&nope=1").await.status.as_u16(), 422);
}

#[actix_web::test]
async fn somebody_to_compare_with_is_found_by_name() {
    let this = StatsUnderTest::start("search_compare").await;
    this.store(&[
        seen("10", "Anna", "2026-11-22T11:00:00Z"),
        seen("11", "Bert", "2026-11-22T11:00:00Z"),
        seen("12", "Bertha", "2026-11-22T11:00:00Z"),
    ])
    .await;
    let rivals = this.get("/players/10/rivals").await.text;
    assert!(rivals.contains("name=\"compare\" value=\"10\""), "{rivals}");
    let found = this.get("/search?compare=10&q=ber").await.text;
    for id in ["11", "12"] {
        assert!(found.contains(&format!("href=\"/compare?players=10,{id}\"")), "{found}");
    }
    let compared = this.get("/compare?players=10,11").await;
    assert_eq!(compared.status, StatusCode::OK, "{}", compared.text);
    assert!(compared.text.contains("name=\"compare\" value=\"10,11\""), "{}", compared.text);
    let hostile = this.get("/search?compare=%22%3E%3Cscript%3E&q=ber").await.text;
    assert!(!hostile.contains("<script>") && hostile.contains("%22%3E%3Cscript%3E"), "{hostile}");
    for ids in ["10,11,12,13", "10,,11", "10,%00"] {
        let refused = this.get(&format!("/search?compare={ids}&q=ber")).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{ids}: {}", refused.text);
    }
}

#[actix_web::test]
async fn servers_maps_weapons_and_tournaments_are_found_too() {
    let this = StatsUnderTest::start("search_things").await;
    for (id, name, approved, removed) in [
        (1, "^1Oma^2ha Beach", true, false),
        (2, "The omaha", true, false),
        (3, "Omaha waiting", false, false),
        (4, "Omaha gone", true, true),
    ] {
        sqlx::query(
            "INSERT INTO servers (id, name, approved_at, removed_at)
             VALUES ($1, $2, CASE WHEN $3 THEN now() END, CASE WHEN $4 THEN now() END)",
        )
        .bind(Uuid::from_u128(id))
        .bind(name)
        .bind(approved)
        .bind(removed)
        .execute(&this.postgres)
        .await
        .unwrap();
    }
    let owner: i32 = sqlx::query_scalar(
        "INSERT INTO users (display_name, role) VALUES ('Owner', 'organizer') RETURNING id",
    )
    .fetch_one(&this.postgres)
    .await
    .unwrap();
    for (name, status) in [("Omaha Cup", "in_progress"), ("Omaha plans", "draft")] {
        sqlx::query(
            "INSERT INTO tournaments (id, name, format, status, owner_id) VALUES ($1, $2, 'swiss', $3, $4)",
        )
        .bind(Uuid::new_v4())
        .bind(name)
        .bind(status)
        .bind(owner)
        .execute(&this.postgres)
        .await
        .unwrap();
    }
    let mut rows = vec![kill("1", "2", "2026-11-22T11:00:00Z", 1), kill("1", "2", "2026-11-22T11:00:00Z", 2)];
    for (match_number, map_name) in [(3, "obj/omaha"), (4, "dm/fromohdm1")] {
        let mut row = kill("1", "2", "2026-11-22T11:00:00Z", match_number);
        row.1.map_name = map_name.into();
        rows.push(row);
    }
    this.store(&rows).await;
    let names = |found: &Value, kind: &str, member: &str| -> Vec<String> {
        found[kind].as_array().unwrap().iter().map(|one| one[member].as_str().unwrap().to_owned()).collect()
    };
    let found = search(&this, "omaha").await;
    assert_eq!(names(&found, "servers", "name"), ["^1Oma^2ha Beach", "The omaha"]);
    assert_eq!(names(&found, "tournaments", "name"), ["Omaha Cup"]);
    assert_eq!(names(&found, "maps", "map_name"), ["obj/omaha"]);
    let maps = search(&this, "mohdm1").await;
    assert_eq!(
        maps["maps"],
        json!([{"map_name": "dm/mohdm1", "plays": 2}, {"map_name": "dm/fromohdm1", "plays": 1}])
    );
    for query in ["garand", "m1-gar", "M1%20GARAND"] {
        assert_eq!(names(&search(&this, query).await, "weapons", "slug"), ["m1-garand"], "{query}");
    }
}

#[actix_web::test]
async fn the_search_page_shows_names_as_text_and_says_when_nothing_is_found() {
    let this = StatsUnderTest::start("search_page").await;
    this.store(&[
        seen("1", "^1<script>alert(1)</script>", "2026-11-22T11:00:00Z"),
        seen("2", "scripted", "2026-11-20T11:00:00Z"),
        seen("2", "^2Bert", "2026-11-21T11:00:00Z"),
    ])
    .await;
    let page = this.get("/search?q=script").await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    assert!(page.text.contains("<span class=\"c1\">&lt;script&gt;"), "{}", page.text);
    assert!(
        page.text.contains("<span class=\"c2\">Bert</span>") && page.text.contains("scripted"),
        "{}",
        page.text
    );
    for hostile in ["%22%3E%3Cscript%3Ealert(1)", "%3C/title%3E%3Csvg%20onload=1"] {
        let page = this.get(&format!("/search?q={hostile}")).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text);
        assert!(!page.text.contains("<script>alert") && !page.text.contains("<svg onload"), "{}", page.text);
        assert!(page.text.contains("Nothing bears such a name"), "{}", page.text);
    }
}

#[actix_web::test]
async fn the_game_asks_for_a_player_by_name_or_forum_id() {
    let this = StatsUnderTest::start("by_name").await;
    this.store(&[
        seen("4711", "^1Hiro", "2026-11-20T11:00:00Z"),
        seen("4712", "hiro", "2026-11-21T11:00:00Z"),
        seen("g_abcdefghijklmnop", "Hiro", "2026-11-22T11:00:00Z"),
        seen("g_ponmlkjihgfedcba", "Stranger", "2026-11-22T11:00:00Z"),
        seen("4713", "a/b weapons", "2026-11-20T11:00:00Z"),
        seen("4714", "weapons", "2026-11-20T11:00:00Z"),
    ])
    .await;
    for (path, id) in [
        ("player/name/Hiro", "4712"),
        ("player/name/%5E3HIRO", "4712"),
        ("player/name/a/b%20weapons", "4713"),
        ("player/name/a%2Fb%20weapons", "4713"),
        ("player/name/weapons", "4714"),
        ("member/4711", "4711"),
        ("member/04711", "4711"),
    ] {
        let answer = this.get(&format!("/api/v1/stats/{path}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
        assert_eq!(answer.json()["player_id"], id, "{path}");
        assert_eq!(answer.json(), this.get(&format!("/api/v1/stats/player/{id}")).await.json(), "{path}");
    }
    for path in [
        "player/name/Hir",
        "player/name/Stranger",
        "player/name/%5E1",
        "member/99",
        "member/Hiro",
        "member/0",
    ] {
        let answer = this.get(&format!("/api/v1/stats/{path}")).await;
        assert_eq!(
            (answer.status, answer.json()["code"].clone()),
            (StatusCode::NOT_FOUND, "unknown_player".into()),
            "{path}"
        );
    }
    let wrong = this.get("/api/v1/stats/member/4711?filter[map]=x").await;
    assert_eq!(wrong.status.as_u16(), 422);
}
